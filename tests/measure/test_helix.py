"""Double helices among rows of dots: found, measured, told apart, and not seen where none is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emtools.measure.chains import helix as helix_module
from emtools.measure.chains.helix import Strand, find_helices
from emtools.measure.chains.unwind import unwind

SPACING = 5.5


def strand(s, offset, curvature=0.0):
    """Points beside a line or a circle, at arc lengths s."""
    if curvature == 0.0:
        return np.stack([40.0 + offset, 30.0 + s], axis=1)
    radius = 1 / curvature + offset
    angle = s * curvature
    return np.stack([300 - radius * np.cos(angle), 200 + radius * np.sin(angle)], axis=1)


def helix_rows(*, pitch=60.0, radius=4.0, turns=3.0, noise=0.1, bounce=0.5, cut=0.3,
               curvature=0.0, rng=0):
    """Rows as a tracing that bounces and breaks at crossings would leave them, and the strands."""
    random = np.random.default_rng(rng)
    step = SPACING / np.hypot(1, 2 * np.pi * radius / pitch)
    phase = random.uniform(0, 2 * np.pi)
    rows = [[], []]
    done = []
    places = [np.arange(random.uniform(0, step), pitch * turns, step) for _ in (0, 1)]
    angle = [2 * np.pi * s / pitch + phase for s in places]
    points = [strand(s, sign * radius * np.cos(a), curvature)
              + noise * random.standard_normal((len(s), 2))
              for s, a, sign in zip(places, angle, (1, -1), strict=True)]
    swapped = False
    halves = [np.floor(a / np.pi - 0.5) for a in angle]
    for half in np.unique(np.concatenate(halves)):
        swapped ^= random.uniform() < bounce
        for i in (0, 1):
            j = 1 - i if swapped else i
            if random.uniform() < cut and rows[i]:
                done.append(np.vstack(rows[i]))
                rows[i] = []
            rows[i].append(points[j][halves[j] == half])
    pieces = [piece for piece in [*done, np.vstack(rows[0]), np.vstack(rows[1])] if len(piece)]
    return [Strand(piece, np.full(len(piece), noise)) for piece in pieces], points


def rows(*pieces, noise=0.1, rng=0):
    random = np.random.default_rng(rng)
    return [Strand(piece + noise * random.standard_normal(piece.shape), np.full(len(piece), noise))
            for piece in pieces]


S = np.arange(0.0, 200.0, SPACING)


@pytest.mark.parametrize("options", [
    {}, {"pitch": 30.0, "radius": 8.0}, {"pitch": 150.0, "radius": 2.5, "turns": 2.0},
    {"turns": 1.3}, {"curvature": 0.01}, {"bounce": 1.0, "cut": 0.0}, {"bounce": 0.0, "cut": 1.0},
    {"noise": 0.6},
], ids=str)
def test_pitch_and_radius(options):
    true = {"pitch": 60.0, "radius": 4.0, "turns": 3.0} | options
    pieces, _ = helix_rows(**options)
    (helix,) = find_helices(pieces)
    assert abs(helix.pitch - true["pitch"]) < 4 * helix.pitch_err < 0.15 * true["pitch"]
    assert abs(helix.radius - true["radius"]) < 4 * helix.radius_err < 0.4 * true["radius"]
    assert helix.turns == pytest.approx(true["turns"], abs=0.35)
    assert abs(helix.n_crossings - 2 * true["turns"]) <= 1
    assert len(helix.members) >= 0.7 * len(pieces)
    assert helix.false_alarm < 1e-4


def test_errors_cover_the_truth():
    pulls = []
    for seed in range(24):
        (helix,) = find_helices(helix_rows(noise=0.2, rng=seed)[0])
        pulls.append([(helix.pitch - 60) / helix.pitch_err, (helix.radius - 4) / helix.radius_err])
    assert (np.abs(pulls) < 1.96).mean(axis=0).min() > 0.8
    assert np.abs(pulls).max() < 4.5


def test_the_unit_does_not_matter():
    pieces, _ = helix_rows()
    (helix,) = find_helices(pieces)
    (scaled,) = find_helices([Strand(3 * one.points, 3 * one.err) for one in pieces])
    for name in ("pitch", "pitch_err", "radius", "radius_err"):
        assert getattr(scaled, name) == pytest.approx(3 * getattr(helix, name), rel=1e-3)
    mirrored = [replace(one, points=one.points[:, ::-1]) for one in pieces]
    assert find_helices(mirrored)[0].pitch == pytest.approx(helix.pitch, rel=1e-3)


def test_a_pitch_that_changes_is_a_spread():
    s = np.arange(0.0, 240.0, 0.8 * SPACING)
    phase = 2 * np.pi * (s / 60 + 1.2e-5 * (s - 120) ** 2)  # from 1 / 70 to 1 / 50 per nm
    wave = 4 * np.cos(phase)
    (helix,) = find_helices(rows(strand(s, wave), strand(s, -wave)))
    assert helix.pitch_std > 2.0
    (steady,) = find_helices(helix_rows()[0])
    assert steady.pitch_std < 1.0


def wave(wavelength, amplitude=4.0):
    return amplitude * np.sin(2 * np.pi * S / wavelength)


LINE = strand(S, 0 * S)
CROSSING = np.stack([40 + 0.5 * (S - 100), 130 + 0.8 * (S - 100)], axis=1)


@pytest.mark.parametrize("pieces", [
    [LINE], [LINE, strand(S, 7 + 0 * S)], [LINE, CROSSING], [strand(S, wave(60.0))],
    [strand(S, wave(60.0)), strand(S, wave(60.0) + 7)], [strand(S, wave(60.0)), LINE],
    [strand(S, wave(60.0)), strand(S, wave(43.0, 5.0))], [LINE[:1], LINE[3:4]], [],
    [strand(S, 4 * np.cos(np.pi * S / 200)), strand(S, -4 * np.cos(np.pi * S / 200))],
], ids=["line", "parallel", "crossing", "wave", "waves in step", "wave about a line",
        "unrelated waves", "dots", "nothing", "half a turn"])
def test_no_helix(pieces):
    for seed in range(4):
        assert find_helices(rows(*pieces, rng=seed)) == []


def test_a_chain_that_crosses_and_a_neighbour_are_no_members():
    pieces, _ = helix_rows(bounce=0.0, cut=0.0)
    others = rows(np.stack([40 + (S - 100) * 0.9, 110 + (S - 100) * 0.3], axis=1),
                  strand(S, 20 + 0 * S))
    (helix,) = find_helices([*others, *pieces])
    assert helix.members == (2, 3)
    assert helix.pitch == pytest.approx(60.0, rel=0.02)


def test_rows_that_cannot_coil_are_not_fitted(monkeypatch):
    tried = []
    monkeypatch.setattr(helix_module, "likeliest_coil", lambda dots, _: tried.append(dots))
    beside = [strand(S, 7.5 * n + 0 * S) for n in range(6)]
    star = [np.stack([40 + np.sin(a) * (S - 100), 130 + np.cos(a) * (S - 100)], axis=1)
            for a in (0.2, 1.2, 2.2)]
    assert find_helices(rows(*beside)) == find_helices(rows(*star)) == [] == tried
    find_helices(helix_rows()[0])
    assert tried


def test_two_helices():
    first, _ = helix_rows()
    second, _ = helix_rows(pitch=40.0, rng=1)
    moved = [replace(one, points=one.points + np.array([60.0, 0.0])) for one in second]
    found = find_helices(first + moved)
    assert sorted(round(helix.pitch) for helix in found) == [40, 60]
    assert set(found[0].members).isdisjoint(found[1].members)


@pytest.mark.parametrize("radius", [3.0, 8.0])
def test_strands_are_told_apart(radius):
    wrong = total = 0
    for seed in range(4):
        pieces, strands = helix_rows(radius=radius, rng=seed)
        (helix,) = find_helices(pieces)
        away = np.array([[10.0, 10.0], [90.0, 100.0]])
        points = np.vstack([*strands, away])
        one, other, off = unwind(helix, points, np.full(len(points), 0.1))
        assert {len(points) - 2, len(points) - 1} <= set(off)
        assert len(off) <= 5  # and dots at the ends, where the helix is not sure to go on
        assert sorted(one + other + off) == list(range(len(points)))
        for side in (one, other):  # in order along the axis
            assert (np.abs(np.diff(points[side, 1])) < 3 * SPACING).all()
        swapped = np.isin(one, np.arange(len(strands[0]))).mean() < 0.5
        first = other if swapped else one
        wrong += len((set(first) ^ set(range(len(strands[0])))) - set(off))
        total += len(points) - 2
    assert wrong / total < 0.04

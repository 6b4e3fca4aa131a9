"""Dots linked into chains: crossings, touching neighbours, junctions, rings, bends."""

from __future__ import annotations

import numpy as np
import pytest

from emtools.measure.chains.dots import Dots
from emtools.measure.chains.links import link_dots

WIDTH = 9.0
PITCH = 11.0
MAX_GAP = 4.0


def dots_at(*rows, width=WIDTH):
    """Round dots at places (y, x), and which rows each belongs to; overlapping ones are merged."""
    places, owners, sizes = [], [], []
    for number, row in enumerate(rows):
        for place in row:
            apart = [np.hypot(*(place - other)) for other in places]
            if apart and min(apart) < 0.6 * width:
                near = int(np.argmin(apart))
                places[near] = 0.5 * (places[near] + place)
                owners[near] = owners[near] | {number}
                sizes[near] = 1.1 * width
            else:
                places.append(np.asarray(place, dtype=float))
                owners.append({number})
                sizes.append(width)
    n = len(places)
    parameters = np.zeros((n, 6))
    parameters[:, :2] = places
    parameters[:, 2] = parameters[:, 4] = (0.5 * np.array(sizes)) ** 2
    parameters[:, 5] = 100.0
    covariance = np.tile(0.01 * np.eye(6), (n, 1, 1))
    return Dots(parameters, covariance, np.zeros((3, n, 6)), 1.0, 0.1, 2.0), owners


def line(angle_deg, n=13, shift=0.0, across=0.0):
    """Places along a line through the origin."""
    angle = np.radians(angle_deg)
    along, normal = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle),
                                                                        -np.sin(angle)])
    return (PITCH * (np.arange(n) - n // 2) + shift)[:, None] * along + across * normal


def linked(dots, least=3):
    return [set(chain) for chain in link_dots(dots, MAX_GAP, least)]


def own(owners, number):
    return {dot for dot, rows in enumerate(owners) if rows == {number}}


def is_whole(chains, owners, number):
    """Whether one chain holds all dots of a row but perhaps one, and none of another's alone."""
    others = {dot for dot, rows in enumerate(owners) if number not in rows}
    return any(len(own(owners, number) - chain) <= 1 and not chain & others for chain in chains)


@pytest.mark.parametrize("angle", [30, 40, 55, 70, 90])
@pytest.mark.parametrize("curved", [0.0, 0.004])
def test_chains_that_cross_are_whole(angle, curved):
    right = total = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        rows = []
        for direction in (0, angle):
            straight = line(0, 15, random.uniform(-5, 5))
            bent = straight + curved * np.array([1.0, 0.0]) * straight[:, 1:] ** 2
            turn = np.radians(direction)
            rows.append(bent @ np.array([[np.cos(turn), np.sin(turn)],
                                         [-np.sin(turn), np.cos(turn)]])
                        + 0.2 * random.standard_normal(bent.shape))
        dots, owners = dots_at(*rows)
        chains = linked(dots)
        right += sum(is_whole(chains, owners, number) for number in (0, 1))
        total += 2
    assert right >= total - 1


def test_a_dot_shared_by_two_chains_is_in_one_of_them():
    dots, owners = dots_at(line(0), line(60))
    chains = link_dots(dots, MAX_GAP, 3)
    (shared,) = [dot for dot, rows in enumerate(owners) if len(rows) == 2]
    assert sorted(map(len, chains)) == [12, 13]
    assert sum(shared in chain for chain in chains) == 1
    for chain in chains:  # in order along a line
        steps = np.diff(dots.centre[chain], axis=0)
        assert (np.hypot(*steps.T) < 2.1 * PITCH).all()
        assert (steps @ (dots.centre[chain[-1]] - dots.centre[chain[0]]) > 0).all()


def test_three_chains_through_one_place():
    dots, owners = dots_at(line(0), line(60), line(120))
    chains = linked(dots)
    assert all(is_whole(chains, owners, number) for number in range(3))


@pytest.mark.parametrize("gap", [3.0, 4.5, 6.0])
@pytest.mark.parametrize("shift", [0.0, 3.0, 5.5])
def test_touching_neighbours_stay_apart(gap, shift):
    dots, owners = dots_at(line(0, 13), line(0, 8, shift, across=WIDTH + gap))
    chains = linked(dots)
    assert len(chains) == 2
    assert all(is_whole(chains, owners, number) for number in (0, 1))


def test_rows_whose_ends_touch_are_no_bend():
    # Side by side at 3.9 pixels at one end and 5 beyond: only the end dots are within reach.
    upper = line(0, 10) + np.array([1.1, 0.0])
    upper[0, 0] = 0.0
    dots, owners = dots_at(upper, line(0, 10, across=WIDTH + 3.9) * np.array([-1.0, 1.0]))
    chains = linked(dots)
    assert sorted(map(len, chains)) == [10, 10]
    assert all(is_whole(chains, owners, number) for number in (0, 1))


def test_an_end_that_meets_a_chain_ends_there():
    arm = line(90, 13)[7:]  # its first dot one pitch beside the other chain
    dots, owners = dots_at(line(0), arm)
    chains = linked(dots)
    assert sorted(chains, key=len) == [own(owners, 1), own(owners, 0)]


def test_the_straightest_two_of_three_arms_go_on():
    arms = [line(angle, 15)[8:] for angle in (0, 165, 280)]
    dots, owners = dots_at(*arms, np.zeros((1, 2)))
    chains = linked(dots)
    middle = own(owners, 3)
    assert own(owners, 0) | own(owners, 1) | middle in chains
    assert own(owners, 2) in chains


def test_a_ring_is_one_row():
    angle = 2 * np.pi * np.arange(20) / 20
    ring = PITCH / (2 * np.sin(np.pi / 20)) * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    (chain,) = link_dots(dots_at(ring + 100)[0], MAX_GAP, 3)
    assert sorted(chain) == list(range(20))
    dots, owners = dots_at(ring, line(0, 19))
    chains = linked(dots)
    assert is_whole(chains, owners, 1)
    assert max(len(chain & own(owners, 0)) for chain in chains) == len(own(owners, 0))


def test_a_sharp_bend_without_alternative_is_followed():
    corner = PITCH * np.array([[0, 0], [0, 1], [0, 2], [0.99, 2.15], [1.98, 2.3]])
    assert linked(dots_at(corner)[0]) == [set(range(5))]
    # With a neighbour straight on, the bend is none.
    straight = np.vstack([corner, PITCH * np.array([[-0.1, 3], [-0.2, 4], [-0.3, 5]])])
    assert {0, 1, 2, 5, 6, 7} in linked(dots_at(straight)[0])


def test_what_is_too_far_is_not_joined():
    near, far = line(0, 6), line(0, 6) + np.array([0.0, 8 * PITCH])
    assert len(linked(dots_at(near, far)[0])) == 2
    # Hidden by nothing, three missing dots are the end.
    crossing = line(90, 7) + np.array([0.0, 4.5 * PITCH])
    assert len(linked(dots_at(near, far, crossing)[0])) == 3


def test_no_dot_is_in_two_chains_in_a_heap():
    random = np.random.default_rng(0)
    dots, _ = dots_at(random.uniform(0, 250, (400, 2)))
    chains = link_dots(dots, MAX_GAP, 3)
    used = [dot for chain in chains for dot in chain]
    assert len(used) == len(set(used)) > 0
    assert chains == link_dots(dots, MAX_GAP, 3)

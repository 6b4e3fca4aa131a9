"""The distortion of a plane, fitted to wave vectors whose distortion is known."""

import numpy as np
import pytest

from emtools.crystal import phase
from emtools.errors import CalibrationError
from emtools.measure.lattice.affine import (
    IndexedGrain,
    consistent,
    fit_affine,
    reference_vectors,
)
from emtools.model.calibration import square_departure

HKL = ((1, 0, 0), (0, 1, 0), (1, 1, 0), (1, -1, 0), (2, 0, 0), (0, 2, 0), (2, 1, 0))
STRETCHED = np.array([[0.96, 0.009], [0.009, 0.97]])


def turn(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, sine], [-sine, cosine]])


def seen(matrix, degrees, rng, sigma=0.002, mirrored=False, hkl=HKL, name="SrTiO3"):
    """Reflections of a crystal through a distortion, with noise and with arbitrary signs."""
    reference = reference_vectors(phase(name), (0, 0, 1), hkl)
    true = reference * [-1, 1] if mirrored else reference
    spread = sigma * rng.uniform(0.5, 2.0, (len(hkl), 2))
    k = true @ (matrix @ turn(degrees)).T + spread * rng.standard_normal(spread.shape)
    signs = rng.choice([-1.0, 1.0], len(hkl))[:, None]
    return IndexedGrain(k * signs, np.array([np.diag(s**2) for s in spread]), reference)


def test_errors_cover_the_truth():
    rng = np.random.default_rng(0)
    off = []
    for _ in range(300):
        half = rng.normal(0, 0.015, (2, 2))
        values, vectors = np.linalg.eigh(half + half.T + np.diag([rng.normal(0, 0.03)] * 2))
        matrix = (vectors * np.exp(values)) @ vectors.T
        grains = [seen(matrix, rng.uniform(0, 360), rng, mirrored=bool(n % 2)) for n in range(2)]
        fitted, truth = fit_affine(grains), square_departure(matrix)
        difference = np.subtract(fitted.square, truth) / [truth.scale, 1.0, 1.0]
        off.append(difference / fitted.errors)
    off = np.array(off)
    # The chi-squared factor is never below 1, so the intervals are a little wide.
    assert np.all((np.sqrt(np.mean(off**2, axis=0)) > 0.75) & (np.mean(off**2, axis=0) < 1.15))
    assert np.all(np.mean(np.abs(off) < 1, axis=0) > 0.64)
    assert np.all(np.mean(np.abs(off) < 2, axis=0) > 0.93)


def test_reflections_that_scatter_more_than_they_say_widen_the_errors():
    rng = np.random.default_rng(1)
    honest = seen(STRETCHED, 20.0, rng, sigma=0.005)
    boastful = IndexedGrain(honest.k, honest.covariance / 100.0, honest.reference)
    wide, narrow = fit_affine([boastful]), fit_affine([honest])
    assert wide.chi2_per_degree > 20
    assert wide.errors.scale > 0.7 * narrow.errors.scale


def test_a_turned_picture_is_a_turned_crystal():
    rng = np.random.default_rng(2)
    fits = [fit_affine([seen(STRETCHED, angle, rng, sigma=1e-9)]) for angle in (0.0, 33.0, 170.0)]
    for fitted in fits:
        assert np.allclose(fitted.matrix, STRETCHED, atol=1e-7)
        assert fitted.matrix[0, 1] == fitted.matrix[1, 0]
    # A crystal that is turned by half a turn looks the same.
    assert np.tan(np.radians(fits[1].rotations_deg[0] - 33.0)) == pytest.approx(0.0, abs=1e-6)


def test_a_mirrored_crystal_is_seen_to_be_one():
    rng = np.random.default_rng(3)
    hkl = ((1, 0, 0), (1, 1, 0), (1, 2, 0), (2, 1, 0))
    fitted = fit_affine([seen(STRETCHED, 10.0, rng, 1e-4, True, hkl),
                         seen(STRETCHED, 70.0, rng, 1e-4, False, hkl)])
    assert fitted.mirrored == (True, False)
    assert np.allclose(fitted.matrix, STRETCHED, atol=3e-4)


def test_one_row_tells_no_distortion():
    rng = np.random.default_rng(4)
    row = seen(STRETCHED, 10.0, rng, hkl=((1, 0, 0), (2, 0, 0), (3, 0, 0)))
    with pytest.raises(CalibrationError, match="one row"):
        fit_affine([row])
    assert not consistent(row).any()
    with pytest.raises(CalibrationError):
        fit_affine([])


def test_rows_of_crystals_in_three_directions_tell_it_together():
    rng = np.random.default_rng(5)
    rows = [seen(STRETCHED, angle, rng, 1e-4, hkl=((1, 0, 0), (2, 0, 0)))
            for angle in (0.0, 50.0, 110.0)]
    assert np.allclose(fit_affine(rows).matrix, STRETCHED, atol=1e-3)


def test_peaks_of_noise_that_were_indexed_are_left_out():
    rng = np.random.default_rng(6)
    good = seen(STRETCHED, 25.0, rng)
    stray = seen(1.06 * STRETCHED, 28.0, rng, hkl=((3, 1, 0), (1, 4, 0), (4, 1, 0)))
    both = IndexedGrain(*(np.concatenate(parts) for parts in zip(
        (good.k, good.covariance, good.reference),
        (stray.k, stray.covariance, stray.reference), strict=True)))
    agree = consistent(both)
    assert agree[:len(HKL)].all()
    assert not agree[len(HKL):].any()
    assert np.allclose(fit_affine([both.only(agree)]).matrix, STRETCHED, atol=3e-3)


def test_reference_is_the_zone_of_the_phase():
    zone = phase("CuInS2").in_zone((1, 1, 0), 0.15)
    again = reference_vectors(phase("CuInS2"), (1, 1, 0), zone.hkl)
    assert np.allclose(again, zone.g_yx_per_nm)

"""The distortion of the image plane that carries a crystal's known lattice to the measured one.

A picture of a crystal tells how lengths and angles of its plane are distorted, not how it was
turned: a rotation of the picture is a rotation of the crystal.  The distortion is therefore the
symmetric matrix M with ``true position = M @ nominal position``, written as

    M = exp(E),  E = [[s + a/2, c/2], [c/2, s - a/2]]  in (y, x) order,

with s the logarithm of the scale, a that of the ratio of the two pixel sizes (y over x) and c the
shear: to first order the angle in radians by which the axes of the picture are short of square.
Wave vectors transform with the inverse transpose, so that a reflection g of a crystal turned by R
is seen at ``k = M R g``: three parameters common to all crystals of a picture and one angle each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from emtools.errors import CalibrationError
from emtools.measure.lattice.derivatives import jacobian
from emtools.model.calibration import SquareDeparture, square_departure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.crystal import Phase

    Floats = NDArray[np.float64]

# All reflections of a lattice are made of the same columns of atoms, so that they share part of the
# shot noise: in simulated images of four crystals at 20 and 300 counts a pixel, the scatter of the
# fit is 1.7 times what independent reflections would have (with additive noise it is not).
SHARED_NOISE = 1.7
_COMMON = 3  # log scale, anisotropy, shear
_STEPS = 50
_SETTLED = 1e-12  # relative change of the parameters
_DIFFERENCE = 1e-6  # of a parameter, for the derivatives
_MISTAKEN = 0.1  # of |k|: a reflection that is off by more decides nothing about the turn
_AGREES = 0.006  # of |k|: how far reflections of one lattice may be from each other's
_AGREES_SIGMAS = 4.0
_UNKNOWN = 0.05  # an anisotropy or shear (radians) not known better than this is not known


@dataclass(frozen=True)
class IndexedGrain:
    """Reflections of one crystal, measured and as the reference has them.

    Parameters
    ----------
    k
        ``(n, 2)`` measured wave vectors ``(y, x)`` in nominal 1/nm; the sign of each is arbitrary,
        as that of Friedel mates.
    covariance
        ``(n, 2, 2)`` of `k`.
    reference
        ``(n, 2)`` true wave vectors ``(y, x)`` in 1/nm in any orientation of the crystal, seen from
        either side.
    """

    k: Floats
    covariance: Floats
    reference: Floats

    def only(self, chosen: NDArray[np.bool_]) -> IndexedGrain:
        """Return the same crystal with some of its reflections."""
        return IndexedGrain(self.k[chosen], self.covariance[chosen], self.reference[chosen])


@dataclass(frozen=True)
class Affine:
    """Fitted distortion of the image plane.

    Parameters
    ----------
    matrix
        ``(2, 2)`` symmetric, ``(y, x)``: true position = matrix @ nominal position.
    covariance
        ``(3, 3)`` of log scale, anisotropy and shear (in radians).
    chi2_per_degree
        How well the reflections fit; the covariance holds it already where it is above 1.
    n_reflections
        How many were fitted.
    rotations_deg
        Turn of each crystal against its reference, clockwise on the screen (from +x to +y).
    mirrored
        Whether each crystal is seen from behind.
    """

    matrix: Floats
    covariance: Floats
    chi2_per_degree: float
    n_reflections: int
    rotations_deg: tuple[float, ...]
    mirrored: tuple[bool, ...]

    def widened(self, factor: float) -> Affine:
        """Return the same distortion with all errors `factor` times as large."""
        return replace(self, covariance=self.covariance * factor**2)

    @property
    def square(self) -> SquareDeparture:
        """Scale, anisotropy and shear."""
        return square_departure(self.matrix)

    @property
    def errors(self) -> SquareDeparture:
        """1 sigma of each of `square`; that of the scale is relative."""
        scale, anisotropy, shear = np.sqrt(self.covariance.diagonal()).tolist()
        return SquareDeparture(scale, anisotropy * (1.0 + self.square.anisotropy),
                               float(np.degrees(shear)))


def reference_vectors(
    phase: Phase, zone_axis: Sequence[int], hkl: Sequence[Sequence[int]]
) -> Floats:
    """Return the in-plane vectors ``(y, x)`` in 1/nm of reflections of a zone axis.

    Parameters
    ----------
    phase
        The crystal.
    zone_axis
        Three integers.
    hkl
        ``(n, 3)`` integers; also reflections that the structure extinguishes.
    """
    right, up = phase.screen_axes(zone_axis)
    g = phase.g_vector(np.asarray(hkl))
    return np.stack([-g @ up, g @ right], axis=-1)


def fit_affine(grains: Sequence[IndexedGrain]) -> Affine:
    """Fit the distortion of the plane to indexed reflections.

    Weighted least squares by Gauss-Newton steps (Press et al., Numerical Recipes, 3rd ed., ch.
    15.5), the noise of the reflections taken as independent (see `SHARED_NOISE`); the covariance is
    multiplied by chi squared per degree of freedom where that is above 1, the reflections then
    being off by more than their own errors say.

    Parameters
    ----------
    grains
        Reflections of one or more crystals in the same picture.

    Raises
    ------
    CalibrationError
        If the reflections do not determine the distortion: where all lie in one row, only the
        spacing along that row is known.
    """
    if not grains:
        raise CalibrationError("reflections", "none is indexed", "give another phase or image")
    aligned = [_aligned(grain) for grain in grains]
    root = np.array([_inverse_root(c) for grain in grains for c in grain.covariance])
    k = np.vstack([grain.k for grain in grains])

    def misfit(parameters: Floats) -> Floats:
        off: Floats = np.einsum("nij,nj->ni", root, k - _predicted(parameters, aligned))
        return off.ravel()

    lengths = np.linalg.norm(np.vstack([one.reference for one in aligned]), axis=1)
    scale = float(np.mean(np.log(np.linalg.norm(k, axis=1) / lengths)))
    parameters = np.array([scale, 0.0, 0.0, *(one.turn for one in aligned)])
    slopes = jacobian(misfit, parameters, _DIFFERENCE)
    _covariance(slopes)  # what is not determined must not be fitted
    for _ in range(_STEPS):
        step = np.linalg.lstsq(slopes, -misfit(parameters), rcond=None)[0]
        parameters = parameters + step
        slopes = jacobian(misfit, parameters, _DIFFERENCE)
        if np.abs(step).max() < _SETTLED:
            break
    covariance = _covariance(slopes)
    degrees = k.size - len(parameters)
    excess = float(misfit(parameters) @ misfit(parameters)) / degrees if degrees > 0 else 1.0
    return Affine(
        _matrix(parameters), covariance * max(1.0, excess), excess, len(k),
        tuple(np.degrees(parameters[_COMMON:]).tolist()), tuple(a.mirrored for a in aligned),
    )


def consistent(grain: IndexedGrain) -> NDArray[np.bool_]:
    """Return which reflections of a crystal agree on one distortion.

    Faint peaks of scan noise that lie near a reflection are indexed with it and would spoil the
    fit.  Each two reflections tell a distortion; the one that most others agree with is taken
    (Fischler & Bolles, Commun. ACM 24 (1981) 381, with all pairs in place of random ones).

    Parameters
    ----------
    grain
        Its reflections.

    Returns
    -------
    ndarray
        One boolean for each reflection; all False where no two directions are known.
    """
    reference = _aligned(grain).reference
    variance = np.trace(grain.covariance, axis1=1, axis2=2) / 2
    tolerance = np.hypot(_AGREES * np.linalg.norm(grain.k, axis=1),
                         _AGREES_SIGMAS * np.sqrt(variance))
    best = np.zeros(len(grain.k), dtype=bool)
    closest = np.inf
    for pair in combinations(range(len(grain.k)), 2):
        basis = reference[list(pair)]
        if abs(np.linalg.det(basis)) < 0.1 * np.prod(np.linalg.norm(basis, axis=1)):
            continue
        carried = reference @ np.linalg.solve(basis, grain.k[list(pair)])
        off = np.linalg.norm(grain.k - carried, axis=1) / tolerance
        agree = off < 1.0
        mean = float(np.mean(off[agree] ** 2))
        if (-agree.sum(), mean) < (-best.sum(), closest):
            best, closest = agree, mean
    return best


@dataclass(frozen=True)
class _Aligned:
    """Reference of a grain with the signs and the handedness of the measured reflections."""

    reference: Floats
    turn: float
    mirrored: bool


def _aligned(grain: IndexedGrain) -> _Aligned:
    """Find the turn, the signs and the side from which the crystal is seen."""
    best: tuple[float, _Aligned] | None = None
    for mirrored in (False, True):
        reference = grain.reference * [-1.0, 1.0] if mirrored else grain.reference
        for one, other in zip(grain.k, reference, strict=True):
            turn = float(np.arctan2(one[0], one[1]) - np.arctan2(other[0], other[1]))
            turned = reference @ _rotation(turn).T
            signs = np.where(np.einsum("ni,ni->n", grain.k, turned) < 0, -1.0, 1.0)
            size = np.linalg.norm(one) / np.linalg.norm(other)
            relative = (np.linalg.norm(grain.k - size * signs[:, None] * turned, axis=1)
                        / np.linalg.norm(grain.k, axis=1))
            off = float(np.sum(np.minimum(relative, _MISTAKEN) ** 2))
            if best is None or off < best[0] * (1 - 1e-9):
                best = off, _Aligned(signs[:, None] * reference, turn, mirrored)
    if best is None:
        raise CalibrationError("reflections", "a crystal has none", "leave it out")
    return best[1]


def _rotation(angle: float) -> Floats:
    """Matrix on ``(y, x)`` that turns x towards y."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def _matrix(parameters: Floats) -> Floats:
    """exp(E): symmetric, so by its eigenvalues."""
    scale, anisotropy, shear = parameters[:_COMMON]
    values, vectors = np.linalg.eigh(np.array([[scale + anisotropy / 2, shear / 2],
                                               [shear / 2, scale - anisotropy / 2]]))
    matrix = (vectors * np.exp(values)) @ vectors.T
    return np.asarray((matrix + matrix.T) / 2, dtype=np.float64)  # to the last bit


def _predicted(parameters: Floats, aligned: Sequence[_Aligned]) -> Floats:
    matrix = _matrix(parameters)
    turned = [one.reference @ (matrix @ _rotation(turn)).T
              for one, turn in zip(aligned, parameters[_COMMON:].tolist(), strict=True)]
    return np.vstack(turned)


def _inverse_root(covariance: Floats) -> Floats:
    """W with W' W the inverse of a covariance."""
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)), dtype=np.float64)


def _covariance(slopes: Floats) -> Floats:
    """Covariance of the common parameters, or the reason why there is none."""
    singular = np.linalg.svd(slopes, compute_uv=False)
    known = len(slopes) >= slopes.shape[1] and singular[-1] > 1e-6 * singular[0]
    covariance = np.linalg.inv(slopes.T @ slopes)[:_COMMON, :_COMMON] if known else None
    if covariance is None or np.sqrt(covariance.diagonal()[1:].max()) > _UNKNOWN:
        raise CalibrationError(
            "reflections", "lie in one row (or nearly): they tell the spacing along that row, but "
            "neither anisotropy nor shear",
            "give an image in which the crystal is seen along a zone axis",
        )
    return np.asarray(covariance, dtype=np.float64)

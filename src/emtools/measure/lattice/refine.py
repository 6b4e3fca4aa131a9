"""Frequencies of fringes to the limit that noise sets, all spots of a domain together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from emtools.measure.lattice.demodulate import demodulate
from emtools.measure.lattice.domain import weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.domain import Domain
    from emtools.measure.lattice.remainder import Remainder

_PASSES = 3  # over the frequencies, and over the pixels where they have moved since
_STEPS = 3
_LARGEST_STEP = 0.7  # of 1 / extent: a spot that moves further was not there
_FAR = (2.5, 12.0)  # of 1 / extent: where the noise beside a spot is looked for
_NEAR = (1.2, 2.5)  # and where fringes that bend or jump spread it
_BENT = 1.8  # times the noise further out: more than chance
_STREAK = (0.7, 1.2, 8.0)  # of 1 / extent: half width and reach of what jumping scan lines draw
_STREAKED = 2.0  # times the noise around: more than chance
_OUTLINE = 0.2  # part of their leaking into each other that an outline drawn from noise leaves
# The outline and the weights are drawn from the same noise.  What that adds, over the error at a
# given outline, measured on simulated crystals: a little always, more where fringes are faint.
_DRAWN = (1.05, 5.0)  # times, and in quadrature over the SNR
_SAMPLE = 512  # pixels along a side that are enough to see how noise varies with the fringes
_MOST_CORRELATED = 24  # fringes, the strongest come first
_LEAST = 1e-6  # of 1 / extent: error of the arithmetic


@dataclass(frozen=True)
class Fringes:
    """One set of fringes in a domain.

    Parameters
    ----------
    frequency
        ``(y, x)`` in cycles per pixel.
    covariance
        ``(2, 2)`` of the frequency.
    snr
        Amplitude over its 1 sigma noise.
    amplitude
        Where the envelope is 1.
    phase
        Of the fringes at pixel (0, 0), radians.
    noise
        Density of the noise beside them (variance per pixel), without what bends them.
    """

    frequency: NDArray[np.float64]
    covariance: NDArray[np.float64]
    snr: float
    amplitude: float
    phase: float
    noise: float


@dataclass(frozen=True)
class _Nodes:
    """The nodes of a domain as the fit uses them; positions from the weighted centre."""

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    centre: NDArray[np.float64]  # in pixels of the crop
    weight: NDArray[np.float64]
    model: NDArray[np.float64]  # envelope times pixels: what unit fringes leave on a node
    pixels: NDArray[np.float64]
    block: int

    def moments(self, on_nodes: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Return sums of weighted arrays ``(n, y, x)`` and of them times y and x, ``(n, 3)``."""
        weighted = on_nodes * self.weight
        rows = weighted.sum(axis=2)
        return np.stack([rows.sum(axis=1), rows @ self.y, weighted.sum(axis=1) @ self.x], axis=1)

    def leaks(self, shifts: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Moments that unit fringes leave `shifts` ``(n, 2)`` away from their own frequency."""
        mass = self.weight * self.model
        turn_y = np.exp(2j * np.pi * np.outer(shifts[:, 0], self.y))
        turn_x = np.exp(2j * np.pi * np.outer(shifts[:, 1], self.x))
        rows = turn_y @ mass
        sums = np.stack([(rows * turn_x).sum(axis=1),
                         (((turn_y * self.y) @ mass) * turn_x).sum(axis=1),
                         (rows * turn_x * self.x).sum(axis=1)], axis=1)
        # What a hat lets through.
        return np.asarray(sums * np.prod(np.sinc(shifts * self.block), axis=1)[:, None] ** 2)

    @property
    def second(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Second moments of the weighted envelope, and of the noise under the weights."""
        return tuple(self._second(mass) for mass in (  # type: ignore[return-value]
            self.weight * self.model, self.weight**2 * self.pixels))

    def _second(self, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, cols = mass.sum(axis=1), mass.sum(axis=0)
        mixed = float(self.y @ mass @ self.x)
        return np.array([[float(rows @ self.y**2), mixed], [mixed, float(cols @ self.x**2)]])


def refine(
    values: NDArray[np.float32], domain: Domain, frequencies: NDArray[np.float64]
) -> list[Fringes]:
    """Refine the frequencies of the fringes of a domain.

    Maximises ``|sum(w I exp(-2 pi i f r))|`` by Newton steps for all spots together: what each spot
    leaks into the others under the weights is taken off.  The weights are the fringes' envelope,
    which is what the least squares fit of such fringes to white noise weighs them with.  The
    covariance is the noise carried through that estimate, ``2 S / (2 pi A)^2 H^-1 G H^-1`` with
    ``H = sum(w e r r')``, ``G = sum(w^2 r r')`` (for w = e = 1 the Cramer-Rao bound), where the
    density S of the noise is read beside the spot in the domain's own transform.

    Parameters
    ----------
    values
        ``(y, x)``, flat.
    domain
        Where the fringes are.
    frequencies
        ``(n, 2)`` in cycles per pixel, to a fraction of 1 / extent.

    Returns
    -------
    list of Fringes
        In the order of the frequencies.

    References
    ----------
    Rife & Boorstyn, IEEE Trans. Inf. Theory 20 (1974) 591; Li & Stoica, IEEE Trans. Signal Process.
    44 (1996) 281 (spots refined in turn, each without the others).
    """
    crop = domain.crop(values)
    lattice = _nodes(domain, float(np.hypot(*frequencies.T).min()),
                     (values.shape[0], values.shape[1]))
    start, refined = frequencies, frequencies.copy()
    extent = domain.extent_px
    amplitude, on_nodes = np.zeros(0, dtype=complex), np.zeros((0, 0, 0), dtype=complex)
    brought_down = np.full_like(refined, np.inf)
    for _ in range(_PASSES):
        # What turning the nodes in place of the pixels leaves is of third order in the shift.
        moved = np.abs(refined - brought_down)
        if float(np.max((moved * domain.block) ** 2 * moved * extent)) > _LEAST:
            brought_down = refined
            on_nodes = demodulate(crop, refined, domain.block)
            on_nodes *= np.exp(2j * np.pi * refined @ lattice.centre)[:, None, None]
        between = _Leaks.of(lattice, refined)
        for _ in range(_STEPS):
            amplitude, step = _newton(lattice, on_nodes, between)
            wanted = start + np.clip((refined + step - start) * extent, -_LARGEST_STEP,
                                     _LARGEST_STEP) / extent
            step, refined = wanted - refined, wanted
            on_nodes *= np.exp(-2j * np.pi * (np.outer(step[:, 0], lattice.y)[:, :, None]
                                              + np.outer(step[:, 1], lattice.x)[:, None, :]))
    noise = [_noise(lattice, on_nodes[i], amplitude[i], extent) for i in range(len(refined))]
    least = np.hypot(_OUTLINE * between.steps(lattice, amplitude), _LEAST / extent)
    origin = np.array(domain.origin) + lattice.centre
    return [_fringes(lattice, refined[i], amplitude[i], on_nodes[i], noise[i], least[i], origin)
            for i in range(len(refined))]


def shared_noise(
    left: Remainder, domain: Domain, fringes: list[Fringes]
) -> NDArray[np.float64]:
    """Correlation of the errors of fringes in one domain.

    Noise that is stronger where the image is brighter (counting noise) is modulated by the fringes
    themselves, and so reaches all of them in step: the noise of two frequencies is correlated as
    the local variance varies with their difference and sum.

    Parameters
    ----------
    left
        The plane without any fringes.
    domain
        Where the fringes are.
    fringes
        Of one crystal.

    Returns
    -------
    ndarray
        ``(n, n)``; 1 on the diagonal.
    """
    first = [max(0, (n - _SAMPLE) // 2) for n in domain.shape]
    middle = [slice(one, min(one + _SAMPLE, n)) for one, n in zip(first, domain.shape,
                                                                 strict=True)]
    origin = (domain.origin[0] + first[0], domain.origin[1] + first[1])
    rest = left.part(origin, (middle[0].stop - first[0], middle[1].stop - first[1]))
    square = (rest * domain.per_pixel(domain.envelope, *middle)) ** 2
    few = fringes[:_MOST_CORRELATED]
    f, phase = np.array([one.frequency for one in few]), np.array([one.phase for one in few])
    n = len(few)
    pairs = np.concatenate([(f[:, None] - f).reshape(-1, 2), (f[:, None] + f).reshape(-1, 2)])
    sums = demodulate(square, pairs, 16).sum(axis=(1, 2)) * np.exp(-2j * np.pi * pairs @ origin)
    minus, plus = (sums / max(float(square.sum(dtype=float)), 1e-300)).reshape(2, n, n)
    # What turns a phase is the part of the noise in quadrature to the fringes.
    raw = np.real(minus * np.exp(-1j * (phase[:, None] - phase))
                  - plus * np.exp(-1j * (phase[:, None] + phase)))
    scale = np.sqrt(np.maximum(np.diag(raw), 0.1))
    result = np.eye(len(fringes))
    result[:n, :n] = raw / np.outer(scale, scale)
    np.fill_diagonal(result, 1.0)
    values, vectors = np.linalg.eigh(result)
    return np.asarray((vectors * np.maximum(values, 0.01)) @ vectors.T)


def _nodes(domain: Domain, lowest: float, frame: tuple[int, int]) -> _Nodes:
    weight = weights(domain, lowest, frame)
    pixels = domain.pixels
    envelope = np.maximum(domain.envelope, weight)
    y, x = (p - o for p, o in zip(domain.positions, domain.origin, strict=True))
    mass = weight * envelope * pixels
    centre = np.array([mass.sum(axis=1) @ y, mass.sum(axis=0) @ x]) / mass.sum()
    return _Nodes(y - centre[0], x - centre[1], centre, weight, envelope * pixels, pixels,
                  domain.block)


@dataclass(frozen=True)
class _Leaks:
    """What fringes of unit amplitude leave on each other's moments: ``(n, n, 3)`` arrays."""

    others: NDArray[np.complex128]
    mirrored: NDArray[np.complex128]  # of the Friedel mates, the own one included
    own: float

    @classmethod
    def of(cls, lattice: _Nodes, f: NDArray[np.float64]) -> _Leaks:
        n = len(f)
        others = lattice.leaks((f[None, :] - f[:, None]).reshape(-1, 2)).reshape(n, n, 3)
        others[np.arange(n), np.arange(n)] = 0.0
        mirrored = lattice.leaks((-f[None, :] - f[:, None]).reshape(-1, 2)).reshape(n, n, 3)
        return cls(others, mirrored, float((lattice.weight * lattice.model).sum()))

    def steps(
        self, lattice: _Nodes, amplitude: NDArray[np.complex128]
    ) -> NDArray[np.float64]:
        """Return how far each spot is moved by the others ``(n, 2)``, whatever their phases."""
        power = np.abs(amplitude) ** 2
        moved = sum(np.einsum("stm,t->sm", np.abs(leaks[:, :, 1:]) ** 2, power)
                    for leaks in (self.others, self.mirrored))
        hessian, _ = lattice.second
        size = np.maximum(np.sqrt(power), 1e-30)
        return np.asarray(np.sqrt(moved) / hessian.diagonal() / (2 * np.pi * size[:, None]))


def _newton(
    lattice: _Nodes, on_nodes: NDArray[np.complex128], between: _Leaks
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Complex amplitudes (half of the fringes'), and a Newton step of the frequencies."""
    seen = lattice.moments(on_nodes)
    amplitude = _amplitudes(seen[:, 0], between.others[:, :, 0], between.mirrored[:, :, 0],
                            between.own)
    left = seen - np.einsum("stm,t->sm", between.others, amplitude)
    left -= np.einsum("stm,t->sm", between.mirrored, amplitude.conj())
    size = np.maximum(np.abs(amplitude), 1e-30)
    across = np.imag(left[:, 1:] * (amplitude.conj() / size)[:, None])
    hessian, _ = lattice.second
    return amplitude, np.linalg.solve(hessian, across.T).T / (2 * np.pi * size[:, None])


def _amplitudes(
    seen: NDArray[np.complex128], others: NDArray[np.complex128],
    mirrored: NDArray[np.complex128], own: float,
) -> NDArray[np.complex128]:
    """Solve ``seen = (own + others) c + mirrored conj(c)`` for the amplitudes c."""
    n = len(seen)
    direct = others + own * np.eye(n)
    plus, minus = direct + mirrored, direct - mirrored
    system = np.block([[plus.real, -minus.imag], [plus.imag, minus.real]])
    solved, *_ = np.linalg.lstsq(system, np.concatenate([seen.real, seen.imag]), rcond=1e-6)
    return np.asarray(solved[:n] + 1j * solved[n:])


@dataclass(frozen=True)
class _Noise:
    """Density of the noise beside a spot.

    Parameters
    ----------
    far
        A few cells away.
    near
        What turns the phase of the fringes: where they bend, more than that.
    turning
        What tilts the phase along y and along x: where scan lines jump, more than that along one of
        them.
    """

    far: float
    near: float
    turning: NDArray[np.float64]


def _noise(
    lattice: _Nodes, on_nodes: NDArray[np.complex128], amplitude: complex,
    extent: NDArray[np.float64],
) -> _Noise:
    size = max(abs(amplitude), 1e-30)
    rest = (on_nodes * (np.conj(amplitude) / size) - size * lattice.model) * lattice.weight
    shape = tuple(2 * n for n in rest.shape)
    scale = float((lattice.weight**2 * lattice.pixels).sum())
    away_y, away_x = (np.abs(fft.fftfreq(n)) / lattice.block * span
                      for n, span in zip(shape, extent, strict=True))
    distance = np.hypot(away_y[:, None], away_x)
    # Hats pass (2 + cos) / 3 of white noise, what folds over included.
    passed = [(2 + np.cos(2 * np.pi * fft.fftfreq(n))) / 3 for n in shape]
    expected = scale * np.outer(passed[0], passed[1])
    power = np.abs(fft.fft2(rest, shape)) ** 2 / expected
    outer = (distance > _FAR[0]) & (distance < _FAR[1])
    far = float(np.median(power[outer])) / np.log(2.0) if outer.any() else float(power.mean())
    # Only what turns the phase moves a spot: the part in quadrature, which has half the noise.
    phase = 2 * np.abs(fft.fft2(rest.imag, shape)) ** 2 / expected
    inner = (distance > _NEAR[0]) & (distance < _NEAR[1])
    near = float(np.mean(phase[inner])) if inner.any() else far
    near = near if near > _BENT * far else far
    width, first, last = _STREAK
    streaks = [np.outer((away_y > first) & (away_y < last), away_x < width),
               np.outer(away_y < width, (away_x > first) & (away_x < last))]
    along = [float(phase[streak].mean()) if streak.any() else near for streak in streaks]
    return _Noise(far, near, np.array([one if one > _STREAKED * near else near for one in along]))


def _fringes(
    lattice: _Nodes, frequency: NDArray[np.float64], amplitude: complex,
    on_nodes: NDArray[np.complex128], noise: _Noise, least: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> Fringes:
    hessian, gram = lattice.second
    size = max(abs(amplitude), 1e-30)
    # Where the fringes really are within the weights tells how sharply their frequency is defined.
    seen_there = lattice._second(lattice.weight * np.real(on_nodes * np.conj(amplitude)) / size)
    if np.linalg.eigvalsh(seen_there)[0] < 0.1 * size * np.linalg.eigvalsh(hessian)[0]:
        seen_there = 0.1 * size * hessian
    inverse = np.linalg.inv(seen_there)
    root = np.diag(np.sqrt(noise.turning))
    covariance = inverse @ root @ gram @ root @ inverse / (2 * (2 * np.pi) ** 2)
    seen = size * float((lattice.weight * lattice.model).sum())
    under = 0.5 * noise.near * float((lattice.weight**2 * lattice.pixels).sum())
    spread = np.sqrt(max(under, 1e-300))
    covariance *= _DRAWN[0] ** 2 + (_DRAWN[1] * spread / max(seen, spread)) ** 2
    covariance += np.diag(least**2)
    phase = float(np.angle(amplitude * np.exp(-2j * np.pi * frequency @ origin)))
    return Fringes(frequency, covariance, float(seen / spread), 2 * size, phase, noise.far)

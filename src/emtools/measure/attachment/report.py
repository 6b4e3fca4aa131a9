"""Grains on chains -> rows, summary and layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emtools.measure.attachment.orientation import MIN_GRAINS, Setting, Verdict
from emtools.model import Layer, Measured
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from emtools.measure.attachment.courses import Tangent
    from emtools.measure.attachment.normals import Normals
    from emtools.model import Calibration

    Floats = NDArray[np.float64]

_ARROW = 0.45  # length of the arrows, in widths of the chain


class Pair(NamedTuple):
    """A grain on a chain."""

    grain: int
    chain: int
    place: Floats
    size: float  # width of the chain
    tangent: Tangent
    normals: Normals
    setting: Setting

    @property
    def err_deg(self) -> float:
        """1 sigma of the angle, statistical."""
        return float(np.hypot(self.normals.err_deg[self.setting.nearest], self.tangent.err_deg))

    @property
    def normal_deg(self) -> float:
        """Direction of the normal that is nearest to the axis."""
        return float(self.normals.angle_deg[self.setting.nearest])

    def distortion_err_deg(self, calibration: Calibration) -> float:
        """1 sigma of the angle by what is not known of the plane's distortion.

        A shear g and an anisotropy e turn a line at angle a by (g cos 2a + e sin 2a) / 2, and the
        normal of planes the other way.
        """
        twice = np.radians([2.0 * self.normal_deg, 2.0 * self.tangent.angle_deg])
        shear = calibration.shear_err_deg * 0.5 * np.cos(twice).sum()
        stretch = np.degrees(calibration.anisotropy_err) * 0.5 * np.sin(twice).sum()
        return float(np.hypot(shear, stretch))


@dataclass
class Found:
    """What was found on the chains, and how many grains were left out, by reason."""

    planes: str
    pairs: list[Pair] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Count a grain that gives no angle."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def rows(pairs: list[Pair]) -> list[dict[str, Any]]:
    """Return the rows of ``angles``."""
    return [{
        "grain": pair.grain, "chain": pair.chain, "hkl": pair.normals.hkl[pair.setting.nearest],
        "angle_deg": pair.setting.angle_deg, "angle_err_deg": pair.err_deg,
        "fold_deg": pair.setting.fold_deg, "y_nm": float(pair.place[0]),
        "x_nm": float(pair.place[1]),
    } for pair in pairs]


def summary(
    found: Found, verdict: Verdict | None, false_alarm_rate: float, calibration: Calibration
) -> dict[str, Any]:
    """Return the outcome in words, the test and what it rests on."""
    pairs = found.pairs
    if not pairs:
        return {"outcome": f"not measurable: {_why_none(found)}", "planes": found.planes,
                **_counts(found)}
    angles = np.array([pair.setting.angle_deg for pair in pairs])
    chance = float(np.mean([pair.setting.fold_deg for pair in pairs])) / 4.0
    distortion = np.array([pair.distortion_err_deg(calibration) for pair in pairs])
    result: dict[str, Any] = {
        "outcome": _outcome(found, verdict, false_alarm_rate), "planes": found.planes,
        **_counts(found), "mean_angle_deg": float(angles.mean()),
        "mean_angle_if_random_deg": chance,
        "distortion_err_deg": float(np.sqrt(np.mean(distortion**2))),
    }
    if verdict is not None:
        result |= {"order_parameter": Measured(verdict.order, verdict.order_err),
                   "order_parameter_low": verdict.low, "order_parameter_high": verdict.high,
                   "p_value": verdict.p_value}
        if verdict.n_chains == 1:
            result["caution"] = ("one chain: the interval is over its own grains and says nothing "
                                 "about other chains")
    return result


def _counts(found: Found) -> dict[str, Any]:
    counts: dict[str, Any] = {"n_grains": len(found.pairs),
                              "n_chains": len({pair.chain for pair in found.pairs})}
    if found.left_out:
        counts["left_out"] = _listed(found.left_out)
    return counts


def _listed(left_out: dict[str, int]) -> str:
    return "; ".join(f"{plural(n, 'grain')} {reason}" for reason, n in left_out.items())


def _why_none(found: Found) -> str:
    return _listed(found.left_out) or "no lattice"


def _outcome(found: Found, verdict: Verdict | None, rate: float) -> str:
    what = f"{found.planes} normals of {plural(len(found.pairs), 'grain')} on " \
           f"{plural(len({pair.chain for pair in found.pairs}), 'chain')}"
    if verdict is None:
        return f"{what}: angles without a test, which needs {MIN_GRAINS} grains"
    numbers = f"order parameter {verdict.order:.2f} ({verdict.low:.2f} to {verdict.high:.2f}), " \
              f"p = {verdict.p_value:.2g}"
    if verdict.p_value <= rate:
        return f"attached: {what} lie along the axes, {numbers}"
    return f"not told from random orientation: {what}, {numbers}"


def plural(n: int, word: str) -> str:
    """Return a number and its noun."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def layers(pairs: list[Pair], table: pd.DataFrame, unit: str) -> tuple[Layer, ...]:
    """Return tangents and nearest normals as vectors on the grains, in the image's unit."""
    if not pairs:
        return ()
    places = np.array([pair.place for pair in pairs])
    lengths = _ARROW * np.array([pair.size for pair in pairs])
    tangents = np.array([pair.tangent.angle_deg for pair in pairs])
    # The normal's sense is the one that runs with the tangent.
    off = (np.array([pair.normal_deg for pair in pairs]) - tangents + 90.0) % 180.0 - 90.0
    common: dict[str, Any] = {
        "scale": (1.0, 1.0), "units": (unit, unit), "metadata": {"space": "image"},
        "features": {str(name): table[name].to_numpy() for name in table.columns},
    }
    width = {"edge_width": 0.1 * float(np.median(lengths)), "length": 1.0}
    return tuple(
        (np.stack([places, lengths[:, None] * _direction(angle)], axis=1),
         {"name": name, "edge_color": colour, **width, **common}, "vectors")
        for name, angle, colour in (("tangents", tangents, "yellow"),
                                    ("normals", tangents + off, "cyan"))
    )


def _direction(angle_deg: Floats) -> Floats:
    """Unit vectors ``(y, x)``, rows running downwards."""
    angle = np.radians(angle_deg)
    return np.stack([-np.sin(angle), np.cos(angle)], axis=-1)


def place_of(row: dict[str, Any], unit: str) -> Floats:
    """Return the centre of a grain."""
    return np.array([row[in_unit("y_nm", unit)], row[in_unit("x_nm", unit)]], dtype=float)

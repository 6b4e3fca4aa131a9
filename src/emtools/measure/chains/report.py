"""Tables of chains -> summary and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure.chains.axial import axial_pitch
from emtools.measure.chains.rejected import BROADER, WIDER
from emtools.model import Layer, Measured
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.measure.chains.found import Found
    from emtools.process.resample import Square

_FEWEST_STEPS = 4  # distances that tell how even they are
_WIDEST_PITCH = 1.5  # largest pitch over the largest width sought


def summary(
    view: Square, tables: Mapping[str, pd.DataFrame], details: Mapping[str, pd.DataFrame],
    reason: str | None, found: Found | None,
) -> dict[str, Any]:
    """Return the outcome, the means with the scale's uncertainty, and how it was measured."""
    unit = "px" if view.plane.unit == "px" else "nm"
    result: dict[str, Any] = {"outcome": reason or _outcome(
        tables, drawn=found is not None and found.traced is not None)}
    if reason is None:
        result |= _means(tables["chains"], details["shared"], unit,
                         view.plane.calibration.scale_err)
    if found is not None:
        result |= {"contrast": found.ground.contrast,
                   "left_out_as_too_wide": sum(one.reason in (BROADER, WIDER)
                                               for one in found.rejected),
                   "regime": "dots resolved" if found.dots else "dots not resolved"}
    if found is not None and found.dots is not None:
        dots = found.dots
        result["blur_sigma"] = Measured(view.pixel * dots.blur, view.pixel * dots.blur_err, unit)
        top = "round top (sphere)" if dots.shape == 2.0 else \
            f"flattened top (exponent {dots.shape:g})"
        family = None if found.linked is None else found.linked.family
        result["body"] = family or top
    result |= {"unit": unit, "scale_err_percent": 100.0 * view.plane.calibration.scale_err,
               "averaged_pixels": view.averaged}
    if unit == "px":
        result["calibration"] = "none: lengths are in pixels"
    if view.plane.notes:
        result["masked"] = "; ".join(view.plane.notes)
    return result


def _outcome(tables: Mapping[str, pd.DataFrame], *, drawn: bool) -> str:
    chains, dots = tables["chains"], tables["dots"]
    single = int((dots["chain"] == 0).sum())
    isolated = f"{single} isolated dot{'' if single == 1 else 's'}"
    as_drawn = " as drawn" if drawn else ""
    if len(chains) == 0:
        return f"no chains{as_drawn}, {isolated}" if single else f"no chains{as_drawn}"
    cut = int(chains["touches_edge"].sum())
    text = f"{len(chains)} chain{'' if len(chains) == 1 else 's'}{as_drawn}"
    text += f" ({cut} cut by the frame)" if cut else ""
    return f"{text}, {isolated}" if single else text


def _means(
    chains: pd.DataFrame, shared: pd.DataFrame, unit: str, scale_err: float
) -> dict[str, Any]:
    """Means over the chains; the scale's uncertainty is common to all and enters once."""
    means = {}
    for quantity in ("width", "gap", "pitch"):
        values, errs = (chains[in_unit(f"{quantity}{part}_nm", unit)] for part in ("", "_err"))
        known = np.isfinite(values) & np.isfinite(errs)
        if known.any():
            moved = _moved(shared, in_unit(f"{quantity}_nm", unit), chains["chain"][known])
            mean = _mean(values[known].to_numpy(), errs[known].to_numpy(), unit, moved)
            means[f"mean_{quantity}"] = mean
            means[f"mean_{quantity}_with_scale"] = Measured(
                mean.value, float(np.hypot(mean.err, mean.value * scale_err)), unit)
    return means


def _moved(shared: pd.DataFrame, column: str, chains: pd.Series) -> NDArray[np.float64]:
    """``(causes, chains)``: what each cause that is common to all chains changes; 0 if unknown."""
    if column not in shared or not len(shared):
        return np.zeros((1, len(chains)))
    table = shared.pivot_table(index="cause", columns="chain", values=column, aggfunc="first")
    return np.asarray(table.reindex(columns=chains).fillna(0.0).to_numpy(dtype=float))


def _mean(
    values: NDArray[np.float64], errs: NDArray[np.float64], unit: str,
    moved: NDArray[np.float64] | None = None,
) -> Measured:
    """Mean over chains; its error that of theirs or of their spread, whichever is larger.

    What `moved` all of them together (a row for each cause) does not average out.
    """
    n = len(values)
    common = np.zeros((1, n)) if moved is None else moved
    own = float(np.sqrt(np.maximum(errs**2 - (common**2).sum(axis=0), 0.0).sum()) / n)
    spread = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    together = float(np.linalg.norm(common.mean(axis=1)))
    return Measured(float(values.mean()), float(np.hypot(max(own, spread), together)), unit)


def regularity(
    details: Mapping[str, pd.DataFrame], widths: Sequence[float], unit: str
) -> dict[str, Any]:
    """Return how even chains are, and their pitch by the spectrum of the brightness along them.

    Parameters
    ----------
    details
        ``steps`` and ``profiles`` of the result.
    widths
        Smallest and largest width sought.
    unit
        Of all lengths.
    """
    said: dict[str, Any] = {}
    steps = details["steps"]
    if len(steps) > _FEWEST_STEPS:
        distance, err = (steps[in_unit(f"distance{end}_nm", unit)] for end in ("", "_err"))
        own = distance.groupby(steps["chain"]).transform("mean")
        free = len(steps) - steps["chain"].nunique()
        variance = float(np.sum((distance - own) ** 2) / max(free, 1) - np.mean(err**2))
        said["pitch_variation_percent"] = \
            100.0 * float(np.sqrt(max(variance, 0.0))) / float(distance.mean())
    pitches = []
    for _, course in details["profiles"].groupby("chain"):
        s, signal = (course[name].to_numpy() for name in (in_unit("s_nm", unit), "signal"))
        pitches.append(axial_pitch(s, signal, (widths[0], _WIDEST_PITCH * widths[1])))
    known = np.array([pitch for pitch in pitches if np.isfinite(pitch).all()]).reshape(-1, 2)
    # A period of few of the chains is none of the chains.
    if len(known) > 0.5 * len(pitches):
        said["pitch_by_spectrum"] = _mean(known[:, 0], known[:, 1], unit)
        said["pitch_by_spectrum_chains"] = f"{len(known)} of {len(pitches)}"
    return said


def layers(tables: Mapping[str, pd.DataFrame], unit: str) -> tuple[Layer, ...]:
    """Return dots as points, centrelines as paths and gaps as points, all in the image's unit."""
    y, x = in_unit("y_nm", unit), in_unit("x_nm", unit)
    common: dict[str, Any] = {"scale": (1.0, 1.0), "units": (unit, unit),
                              "metadata": {"space": "image"}}
    dots, gaps, axes, chains = (tables[name] for name in ("dots", "gaps", "axes", "chains"))
    found: list[Layer] = []
    if len(axes):
        paths = [rows[[y, x]].to_numpy() for _, rows in axes.groupby("chain")]
        found.append((paths, {"name": "chains", "shape_type": "path", "edge_width": 0.5,
                              "features": _features(chains), **common}, "shapes"))
    if len(dots):
        found.append((dots[[y, x]].to_numpy(), {
            "name": "dots", "size": dots[in_unit("diameter_nm", unit)].to_numpy(),
            "face_color": "transparent", "features": _features(dots), **common}, "points"))
    if len(gaps):
        found.append((gaps[[y, x]].to_numpy(), {
            "name": "gaps", "symbol": "cross", "features": _features(gaps), **common}, "points"))
    return tuple(found)


def _features(table: pd.DataFrame) -> dict[str, Any]:
    return {str(name): table[name].to_numpy() for name in table.columns}

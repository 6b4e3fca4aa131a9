"""Tables, summary, layers and details of `eds`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure.eds.quantify import described
from emtools.measure.eds.shares import share_maps
from emtools.measure.eds.tables import DETAILS
from emtools.model import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.measure.eds.areas import Maps
    from emtools.measure.eds.places import Regions
    from emtools.measure.eds.rows import Quantified
    from emtools.measure.eds.total import Total
    from emtools.model.result import Layer

    Floats = NDArray[np.float64]


def summary(
    total: Total, whole: Quantified, counts: float, said: dict[str, Any]
) -> dict[str, Any]:
    """What was found, in a few values.

    Parameters
    ----------
    total
        The summed spectrum.
    whole
        Its composition.
    counts
        In the channels in use.
    said
        What else is to be stated.
    """
    there = [e for e, found in zip(total.elements, whole.detected, strict=True) if found]
    missing = [e for e, found in zip(total.elements, whole.detected, strict=True) if not found]
    outcome = f"{', '.join(there)} detected" if there else "no element detected"
    outcome += f"; not {', '.join(missing)}" if missing else ""
    found: dict[str, Any] = {"outcome": outcome, "counts": counts}
    if total.also:
        found["also_in_the_spectrum"] = ", ".join(total.also)
    overlaps = total.overlaps()
    if overlaps:
        found["overlaps"] = "; ".join(overlaps)
    for element, part in zip(total.elements, whole.parts, strict=True):
        if np.isfinite(part.atomic):
            both = float(np.hypot(part.atomic_err, part.atomic_k_err))
            found[f"{element}_atomic_percent"] = Measured(part.atomic, both, "at.%")
    response = total.fit.state.response
    worst = float(total.misfit.max(initial=1.0))
    found |= {
        "energy_shift_eV": response.shift_eV,
        "energy_stretch_percent": 100.0 * response.stretch,
        "mn_ka_fwhm_eV": response.fwhm_eV,
        "k_factors": described(dict(zip(total.elements, total.factors, strict=True))),
    }
    if worst > 1.0:
        found["misfit"] = (f"squared residuals are up to {worst:.2g} times those of counting; "
                           f"errors are up to {np.sqrt(worst):.2g} times larger for it")
    return found | said


def layers(
    total: Total, whole: Quantified, maps: Maps | None, regions: Sequence[Regions],
    scale: tuple[tuple[float, float], str],
) -> tuple[Layer, ...]:
    """Maps of counts and of atomic per cent, each with its 1 sigma, and the regions.

    Beside them what was recorded in a window about each line, overlaps and continuum with it.

    `scale`: size of a pixel along y and x, and its unit.
    """
    common: dict[str, Any] = {"scale": scale[0], "units": (scale[1], scale[1])}
    found: list[Layer] = []

    def add(element: str, quantity: str, name: str, *maps: NDArray[np.floating[Any]]) -> None:
        for title, data in zip((name, f"{name} 1 sigma"), maps, strict=False):
            about = {"space": "image", "element": element, "quantity": quantity}
            found.append((np.ascontiguousarray(data), {
                "name": title, "visible": title == name and quantity == "counts",
                "metadata": about, **common}, "image"))

    if maps is not None:
        there = [(e, i) for e, i in zip(total.elements, total.chosen, strict=True) if i >= 0]
        err = np.sqrt(np.maximum(maps.variance, 0.0))
        for n, (element, i) in enumerate(there):
            add(element, "counts", f"{element} {total.families[i].alpha.name}",
                maps.counts[..., n], err[..., n])
            add(element, "recorded", f"{element} {total.families[i].alpha.name} window",
                maps.windows[..., n])
        per_count = np.array([part.atoms_per_count if np.isfinite(part.atomic) else 0.0
                              for part, i in zip(whole.parts, total.chosen, strict=True) if i >= 0])
        shares = share_maps(maps, per_count)
        taken = [element for (element, _), k in zip(there, per_count, strict=True) if k > 0]
        for n, element in enumerate(taken):
            add(element, "atomic_percent", f"{element} at.%", 100 * shares.values[..., n],
                100 * shares.err[..., n])
    drawn: list[Layer] = [
        (one.labels, {"name": f"regions: {', '.join(one.names)[:40]}",
                      "metadata": {"space": "image"}, **common}, "labels") for one in regions]
    return (*found, *drawn)


def details(
    total: Total, energy_keV: Floats, counts: Floats
) -> dict[str, pd.DataFrame]:
    """The summed spectrum with its fit, and the lines that it is made of."""
    import pandas as pd

    fit, peaks = total.fit, total.fit.model.peaks
    response = fit.state.response
    spectrum = pd.DataFrame({
        "region": "all", "energy_keV": energy_keV, "counts": counts, "fitted": fit.mean,
        "continuum": fit.state.continuum @ fit.model.continuum})
    strengths = fit.counts[peaks.owner] * peaks.strengths(fit.state.ratios) * peaks.seen(response)
    rows = [{"element": line.element, "line": line.name, "energy_keV": energy, "counts": number}
            for line, energy, number in zip(peaks.lines, response.recorded(peaks.energies).tolist(),
                                            strengths.tolist(), strict=True)]
    return {"spectrum": spectrum[DETAILS["spectrum"].names()],
            "lines": DETAILS["lines"].frame(rows)}

"""Measure electron micrographs: lattice spacings, chains of particles, each with its uncertainty.

>>> import emtools
>>> image = emtools.read_one("micrograph.dm4")       # doctest: +SKIP
>>> result = emtools.lattice(image, phases=("PbS",))  # doctest: +SKIP
>>> result.tables["reflections"]                      # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from emtools._version import __version__

if TYPE_CHECKING:
    from emtools import (
        batch,
        corrections,
        crystal,
        figures,
        instrument,
        io,
        measure,
        population,
        probe,
        results,
        simulate,
    )
    from emtools.corrections import Correction, Drawing, corrected
    from emtools.errors import (
        CalibrationError,
        EmtoolsError,
        ImageError,
        ParameterError,
        ReadError,
        UnitError,
    )
    from emtools.figures import plot
    from emtools.instrument import InstrumentCalibration, calibrate, calibrate_distance
    from emtools.io import read, read_one
    from emtools.measure.attachment import attachment
    from emtools.measure.chains import chains
    from emtools.measure.eds import eds
    from emtools.measure.lattice import lattice
    from emtools.model import Acquisition, Axis, Image, Measured, Result, Source

# Public name -> module.  Nothing is imported before it is used: `import emtools` stays fast.
_PUBLIC = {
    "Acquisition": "emtools.model",
    "Axis": "emtools.model",
    "CalibrationError": "emtools.errors",
    "Correction": "emtools.corrections",
    "Drawing": "emtools.corrections",
    "EmtoolsError": "emtools.errors",
    "Image": "emtools.model",
    "ImageError": "emtools.errors",
    "InstrumentCalibration": "emtools.instrument",
    "Measured": "emtools.model",
    "ParameterError": "emtools.errors",
    "ReadError": "emtools.errors",
    "Result": "emtools.model",
    "Source": "emtools.model",
    "open_results": "emtools.results",
    "UnitError": "emtools.errors",
    "attachment": "emtools.measure.attachment",
    "calibrate": "emtools.instrument",
    "calibrate_distance": "emtools.instrument",
    "chains": "emtools.measure.chains",
    "corrected": "emtools.corrections",
    "eds": "emtools.measure.eds",
    "lattice": "emtools.measure.lattice",
    "plot": "emtools.figures",
    "read": "emtools.io",
    "read_one": "emtools.io",
}

# Rooms that are asked for by name: `emtools.io.find_files`.
_ROOMS = ("batch", "corrections", "crystal", "figures", "instrument", "io", "measure", "population",
          "probe", "results", "simulate")

__all__ = [
    "Acquisition",
    "Axis",
    "CalibrationError",
    "Correction",
    "Drawing",
    "EmtoolsError",
    "Image",
    "ImageError",
    "InstrumentCalibration",
    "Measured",
    "ParameterError",
    "ReadError",
    "Result",
    "Source",
    "UnitError",
    "__version__",
    "attachment",
    "batch",
    "calibrate",
    "calibrate_distance",
    "chains",
    "corrected",
    "corrections",
    "crystal",
    "eds",
    "figures",
    "instrument",
    "io",
    "lattice",
    "measure",
    "open_results",
    "plot",
    "population",
    "probe",
    "read",
    "read_one",
    "results",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"emtools.{name}")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    # A measurement added later is public by its name alone.
    from emtools.measure import load, names

    if name in names():
        return load(name).function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

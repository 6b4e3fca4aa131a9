"""Calibration of an instrument: its image plane measured on a known crystal, kept in a small file.

The stated pixel size of a microscope is off by per cents and its scan is not square.  One image of
a known crystal tells scale, anisotropy and shear to parts in 10^4, a distance that is known tells
the scale, the rings of a known powder that of diffraction patterns and their ellipse; other images
taken with the same settings share them, as far as the instrument repeats itself.
"""

from emtools.instrument.calibration import InstrumentCalibration, apply_fitting
from emtools.instrument.from_crystal import DEFAULT_REPRODUCIBILITY, calibrate
from emtools.instrument.from_distance import calibrate_distance, scaled
from emtools.instrument.from_rings import calibrate_rings
from emtools.instrument.setting import Setting

__all__ = ["DEFAULT_REPRODUCIBILITY", "InstrumentCalibration", "Setting", "apply_fitting",
           "calibrate", "calibrate_distance", "calibrate_rings", "scaled"]

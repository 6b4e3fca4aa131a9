"""Images whose truth is known: crystals, chains of dots, blank frames, EDX spectrum images, rings.

Every function returns ``(Image, truth)``, where `truth` maps the names of a measurement's tables to
DataFrames with the same columns (those that a truth has: no ``_err``).  The same seed gives the
same image bit for bit.
"""

from emtools.simulate._blank import blank
from emtools.simulate._chains import chains
from emtools.simulate._crystal import Grain, crystal
from emtools.simulate._rings import rings
from emtools.simulate._spectrum import spectrum, spectrum_image

__all__ = ["Grain", "blank", "chains", "crystal", "rings", "spectrum",
           "spectrum_image"]

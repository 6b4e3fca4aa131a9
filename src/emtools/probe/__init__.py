"""What a person points at: a spot of a transform, two of them, a line across an image.

Measurements search whole images; these functions measure the one thing that was clicked or drawn,
with the same methods, and say so where there is nothing.
"""

from emtools.probe.bodies import Bodies, Shape
from emtools.probe.fringes import FringesAlong
from emtools.probe.indexing import PairOfSpots, pair, planes, rings
from emtools.probe.picked import PickedSpot, spot
from emtools.probe.profiles import Profile, profile

__all__ = ["Bodies", "FringesAlong", "PairOfSpots", "PickedSpot", "Profile", "Shape", "pair",
           "planes", "profile", "rings", "spot"]

"""Corrections by hand: what a person changed in a result, as data, measured by the same functions.

A `Drawing` is what a person drew of chains and dots, `Marks` are what a person took or left out,
and a `Correction` is both, for one measurement of one image, with a comment.  Nothing here opens a
window; whoever edits keeps the former `Drawing` to undo a step.
"""

from emtools.corrections.correction import AS_LABELS, Correction, corrected, plane_of
from emtools.corrections.drawing import Drawing
from emtools.corrections.marks import Mark, Marks
from emtools.corrections.objects import place_of, without_rejected

__all__ = ["AS_LABELS", "Correction", "Drawing", "Mark", "Marks", "corrected", "place_of",
           "plane_of", "without_rejected"]

"""A folder -> a results folder: plan, measure in workers, store, tables, report."""

from emtools.batch.plan import Recipe, Rule
from emtools.batch.preview import Preview, preview
from emtools.batch.review import Review, ReviewedImage
from emtools.batch.run import Effort, FileDone, Monitor, Outcome, run
from emtools.batch.store import Store
from emtools.batch.watch import watch

__all__ = ["Effort", "FileDone", "Monitor", "Outcome", "Preview", "Recipe", "Review",
           "ReviewedImage", "Rule", "Store", "preview", "run", "watch"]

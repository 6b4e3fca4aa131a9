"""A folder -> a results folder: plan, measure in workers, store, tables, report."""

from emtools.batch.preview import Preview, preview
from emtools.batch.run import Outcome, run
from emtools.batch.store import Store

__all__ = ["Outcome", "Preview", "Store", "preview", "run"]

"""What batches found: one database in a folder, read as tables, exported as files."""

from emtools.results.export import export, write_table
from emtools.results.frames import frames
from emtools.results.groups import Groups
from emtools.results.reading import Results, open_results
from emtools.results.records import records
from emtools.results.single import write_result

__all__ = ["Groups", "Results", "export", "frames", "open_results", "records",
           "write_result", "write_table"]

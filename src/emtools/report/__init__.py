"""Results of a batch -> one HTML page that holds everything and asks for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emtools.errors import ParameterError
from emtools.report.held import held
from emtools.report.histograms import histograms
from emtools.report.page import render
from emtools.report.summary import summaries
from emtools.results.export import write_whole

if TYPE_CHECKING:
    from emtools.results.groups import Groups
    from emtools.results.reading import Results

__all__ = ["write_report"]


def write_report(
    results: Results, path: Path | None = None, *, groups: Groups | None = None, title: str = "",
) -> Path:
    """Write the page: population, comparison of groups, objects, images, methods, failures.

    The page is one file that works without a network; small pictures are inside it, full ones are
    linked where the page lies in the results folder.  Names and metadata out of files are shown as
    text, whatever they contain.  Of more than a thousand images those that are shown are drawn at
    random; histograms are of all.

    Parameters
    ----------
    results
        Of a batch.
    path
        File to write; by default ``index.html`` in the results folder.
    groups
        What files belong to, in place of what the batch was told.
    title
        By default the name of the folder that was measured.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ParameterError
        If the file cannot be written.
    """
    target = results.folder / "index.html" if path is None else path
    shown = held(results, groups)
    page = render(results, shown, summaries(shown), histograms(results, shown),
                  title=title or _title(results),
                  beside=target.resolve().parent == results.folder.resolve())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A file name that is not valid text holds lone surrogates, which UTF-8 refuses.
        content = page.encode("utf-8", "backslashreplace")
        write_whole(target, lambda file: file.write_bytes(content))
    except OSError as error:
        raise ParameterError(str(target), f"cannot be written to ({error})",
                             "make room or give another place; what was measured is safe, start "
                             "the same command again") from error
    return target


def _title(results: Results) -> str:
    runs = results.runs.set_index("run")
    return f"emtools: {Path(str(runs.loc[results.run, 'folder'])).name}"

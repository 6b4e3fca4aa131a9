"""All that is known of an image, in one mapping."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emtools.results import schema
from emtools.results.reading import NOT_OPENED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    import pandas as pd

    from emtools.results.reading import Results

Record = dict[str, Any]


def image_name(file: str, image: str) -> str:
    """What an image is called: its file, and its own name where it has one."""
    return f"{file} [{image}]" if image else file


def without_images(name: str, status: str, reason: str) -> Record:
    """The record of a file of which no image was opened."""
    return {"file": name, "image": "", "index": NOT_OPENED, "source_sha256": "", "status": status,
            "reason": reason, "description": {}, "audit": [], "thumbnail": "", "measurements": [],
            "skipped": [], "seconds": 0.0}


def records(
    results: Results, images: pd.DataFrame | None = None, *, tables: bool = True
) -> Iterator[Record]:
    """Yield one record for each image, and one for each file without, by file and image.

    Parameters
    ----------
    results
        Of a batch.
    images
        Only of these: rows of `Results.images`.
    tables
        Whether their rows are read too.
    """
    chosen = results.images if images is None else images
    for file, number, image, _, status, reason, group, sample in chosen.itertuples(index=False):
        found = results.connection.execute(
            "SELECT image.source_sha256, description, audit, thumbnail, image.seconds FROM seen "
            "JOIN image ON image.key = seen.image "
            "WHERE seen.run = ? AND seen.name = ? AND seen.number = ?",
            (results.run, schema.stored_name(file), number)).fetchone()
        record = without_images(file, status, reason) | {
            "image": image, "index": number, "group": group, "sample": sample}
        yield record if found is None else _whole(record, found, results, tables)


def _whole(record: Record, found: tuple[Any, ...], results: Results, tables: bool) -> Record:
    sha256, description, audit, thumbnail, seconds = found
    record |= {"source_sha256": sha256, "audit": json.loads(audit), "seconds": seconds,
               # It may have had another name when it was measured.
               "description": json.loads(description) | {"file": record["file"]}}
    for result, measurement, skipped, reason, *said in results.connection.execute(
        "SELECT result.id, measurement, skipped, reason, summary, parameters, pictures "
        "FROM found JOIN result ON result.id = found.result "
        "WHERE run = ? AND name = ? AND number = ? ORDER BY place",
        (results.run, schema.stored_name(record["file"]), record["index"])).fetchall():
        if skipped:
            record["skipped"].append({"measurement": measurement, "reason": reason})
            continue
        summary, parameters, pictures = (json.loads(text) for text in said)
        record["measurements"].append(
            {"measurement": measurement, "why": reason, "summary": summary,
             "parameters": parameters, "pictures": pictures,
             "tables": _tables(results.connection, measurement, result) if tables else {}})
    if record["measurements"]:
        record["thumbnail"] = thumbnail
    return record


def _tables(
    connection: sqlite3.Connection, measurement: str, result: int
) -> dict[str, list[dict[str, Any]]]:
    return {name.split(".", 1)[1]: schema.rows_of(connection, name, result)
            for name in schema.table_names() if name.startswith(f"{measurement}.")}


def pictures(results: Results) -> set[str]:
    """Paths of the pictures of all runs, relative to the folder."""
    return {path for (said,) in results.connection.execute("SELECT pictures FROM result")
            for path in json.loads(said).values()}

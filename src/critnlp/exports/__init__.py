"""Parsed trials as text: JSON Lines, JSON for reading, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from critnlp.schema import ParsedTrial

CSV_COLUMNS = ("nct_id", "id", "kind", "parent_id", "cohorts", "category", "clean_text", "describe", "computable")


def to_jsonl(parsed: ParsedTrial) -> str:
    """The trial on one line. U+2028 and its kin stay as they are: JSON allows them, and only LF ends a line."""
    return parsed.model_dump_json(by_alias=True) + "\n"


def to_json(parsed: ParsedTrial) -> str:
    """The trial for reading."""
    return parsed.model_dump_json(by_alias=True, indent=2)


def to_csv(parsed: ParsedTrial) -> str:
    """One row per criterion; several cohorts are joined by `|`."""
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    for criterion in parsed.criteria:
        row = criterion.model_dump(include=set(CSV_COLUMNS)) | {
            "nct_id": parsed.trial.nct_id,
            "cohorts": "|".join(criterion.cohorts),
        }
        writer.writerow(row[column] for column in CSV_COLUMNS)
    return rows.getvalue()


def frame(format: str, trials: Iterable[str]) -> Iterator[str]:
    """The written trials with what a file of this format needs around them: a CSV header, a JSON array for several."""
    if format == "csv":
        yield ",".join(CSV_COLUMNS) + "\n"
    if format != "json":
        yield from trials
        return
    ahead = iter(trials)
    first = next(ahead, None)
    if first is None:
        yield "[]\n"
        return
    second = next(ahead, None)
    if second is None:
        yield first + "\n"
        return
    yield f"[\n{first},\n{second}"
    for trial in ahead:
        yield f",\n{trial}"
    yield "\n]\n"

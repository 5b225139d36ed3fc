"""Typed, cached readers of the tables in `resources/`: knowledge that a clinician can edit.

A table is a CSV file in UTF-8. Lines that begin with `#` are comments: where its entries come from, the licence, the date of
the last review. The first other line names the columns. A fault is reported with its file and line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TypeVar

from critnlp.errors import ModelError

T = TypeVar("T")
Row = Mapping[str, str]


def parse(text: str, file: str) -> Iterator[tuple[int, Row]]:
    """The rows of a table with their line numbers; cells are stripped of white space."""
    columns: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], strict=True))]
        except csv.Error as error:
            raise ModelError(f"{file}:{number}: {error}; a cell with a quote or comma needs quotes around it") from None
        if columns is None:
            columns = cells
        elif len(cells) != len(columns):
            raise ModelError(f"{file}:{number}: {len(cells)} cells, but the table has {len(columns)} columns")
        else:
            yield number, MappingProxyType(dict(zip(columns, cells, strict=True)))


@cache
def _numbered(name: str) -> tuple[tuple[int, Row], ...]:
    source = files("critnlp").joinpath("resources", f"{name}.csv")
    if not source.is_file():
        raise ModelError(f"resources/{name}.csv is missing from this installation of critnlp; install it again")
    return tuple(parse(source.read_text(encoding="utf-8"), f"{name}.csv"))


def table(name: str) -> tuple[Row, ...]:
    """The rows of `resources/<name>.csv`, in file order, each by column name."""
    return tuple(row for _, row in _numbered(name))


def load(name: str, make: Callable[[Row], T]) -> tuple[T, ...]:
    """What `make` makes of each row of a table; a `ValueError` or `KeyError` of it is reported with file and line."""
    made: list[T] = []
    for number, row in _numbered(name):
        try:
            made.append(make(row))
        except KeyError as error:
            raise ModelError(f"{name}.csv:{number}: column {error} is missing") from None
        except ValueError as error:
            raise ModelError(f"{name}.csv:{number}: {error}") from None
    return tuple(made)


@cache
def _cues() -> dict[str, re.Pattern[str]]:
    return dict(load("cues", lambda row: (row["cue"], re.compile(row["pattern"], re.IGNORECASE))))


@cache
def cue(name: str) -> re.Pattern[str]:
    """The compiled pattern of a row of `cues.csv`. Raises KeyError for a name that the table lacks: a fault of the code."""
    return _cues()[name]

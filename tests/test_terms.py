"""Every term table is sound: known labels, one meaning per surface form, nothing that could never match."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from critnlp.lexicon import table
from critnlp.schema import Label

RESOURCES = Path(str(files("critnlp").joinpath("resources")))
TABLES = sorted(path.stem for path in RESOURCES.glob("terms_*.csv"))

# A surface form that rightly stands under two labels, and why; the text around it decides.
TWO_LABELS: dict[str, str] = {}


class Surface(NamedTuple):
    table: str
    label: str
    form: str
    match: str


def surfaces(name: str) -> Iterator[Surface]:
    for row in table(name):
        for form in (row["term"], *filter(None, row["variants"].split("|"))):
            yield Surface(name, row["label"], form, row["match"])


def test_there_are_tables() -> None:
    assert {"terms_condition", "terms_other"} <= set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_columns_labels_and_match(name: str) -> None:
    for row in table(name):
        assert {"label", "term", "variants", "match"} <= set(row)
        assert row["label"] in get_args(Label), row
        assert row["match"] in ("", "case"), row


@pytest.mark.parametrize("name", TABLES)
def test_no_empty_term_or_variant(name: str) -> None:
    for row in table(name):
        assert row["term"], row
        assert not row["variants"] or all(row["variants"].split("|")), row


@pytest.mark.parametrize("name", TABLES)
def test_no_stray_white_space(name: str) -> None:
    lines = (RESOURCES / f"{name}.csv").read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.startswith("#") or not line:
            continue
        for cell in next(csv.reader([line])):
            for form in cell.split("|"):
                assert form == " ".join(form.split()), f"{name}.csv:{number}: {form!r}"


@pytest.mark.parametrize("name", TABLES)
def test_lower_case_unless_matched_by_case(name: str) -> None:
    wrong = [s.form for s in surfaces(name) if s.match != "case" and s.form != s.form.lower()]
    assert not wrong


@pytest.mark.parametrize("name", TABLES)
def test_no_form_stands_twice_under_a_label(name: str) -> None:
    seen: set[tuple[str, str, str]] = set()
    twice: list[Surface] = []
    for surface in surfaces(name):
        key = (surface.label, surface.form, surface.match)
        if key in seen:
            twice.append(surface)
        seen.add(key)
    assert not twice


def test_no_form_stands_under_two_labels() -> None:
    labels: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name in TABLES:
        for surface in surfaces(name):
            labels[surface.form, surface.match].add(surface.label)
    torn = {form: sorted(found) for (form, _), found in labels.items() if len(found) > 1 and form not in TWO_LABELS}
    assert not torn


def test_the_exceptions_are_still_needed() -> None:
    labels: dict[str, set[str]] = defaultdict(set)
    for name in TABLES:
        for surface in surfaces(name):
            labels[surface.form].add(surface.label)
    assert [form for form in TWO_LABELS if len(labels[form]) < 2] == []

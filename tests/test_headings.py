"""Phrases that are headings, cohorts or notes, and their near relatives that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from critnlp import lexicon
from critnlp.headings import Heading, cohort_names, inline_headings, note_role, own_cohorts, read_heading
from critnlp.schema import Kind

FILE = Path(__file__).parent / "cases" / "headings.csv"
ROWS = [(row["reads"], row["phrase"], row["expected"]) for _, row in lexicon.parse(FILE.read_text(encoding="utf-8"), FILE.name)]


def braced(cohorts: tuple[str, ...]) -> str:
    return " ".join(f"{{{cohort}}}" for cohort in cohorts)


def shown(heading: Heading | None) -> str:
    """A heading as the table writes it."""
    if heading is None:
        return "no"
    kind = [heading.kind or "none"] if heading.rank in ("section", "polarity") else []
    cohorts = [] if heading.cohorts is None else [braced(heading.cohorts) or "{}"]
    return " ".join([heading.rank, *kind, *cohorts])


def read(reads: str, phrase: str) -> str:
    match reads:
        case "heading" | "beside controls" | "in exclusion":
            marked = phrase.startswith("* ")
            kind: Kind | None = "exclusion" if reads == "in exclusion" else None
            return shown(read_heading(phrase.removeprefix("* "), marked=marked, kind=kind, others=reads == "beside controls"))
        case "cohorts":
            return braced(cohort_names(phrase))
        case "own":
            return braced(own_cohorts(phrase))
        case "note":
            return note_role(phrase) or "no"
    raise AssertionError(f"headings.csv: {reads!r} is no way to read")


@pytest.mark.parametrize(("reads", "phrase", "expected"), ROWS)
def test_a_phrase_is_what_the_table_says(reads: str, phrase: str, expected: str) -> None:
    assert read(reads, phrase) == expected


PLAIN = [row for row in ROWS if row[0] == "heading" and not set("*_") & set(row[1]) and row[2] not in ("no", "topic")]


@pytest.mark.parametrize(("reads", "phrase", "expected"), PLAIN)
def test_bold_type_changes_no_heading(reads: str, phrase: str, expected: str) -> None:
    assert read(reads, f"**{phrase}**") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* Owns a scale Exclusion Criteria: Vertigo", ["Exclusion Criteria:"]),
        ("INCLUSION CRITERIA: Gout. EXCLUSION CRITERIA: Vertigo", ["INCLUSION CRITERIA:", "EXCLUSION CRITERIA:"]),
        ("DISEASE CHARACTERISTICS: Gout PATIENT CHARACTERISTICS: Old", ["DISEASE CHARACTERISTICS:", "PATIENT CHARACTERISTICS:"]),
        ("has read the exclusion criteria: all of them", []),
        ("may meet no other Exclusion Criteria: none", []),
        ("the exclusion of vertigo", []),
    ],
)
def test_headings_inside_a_row(text: str, expected: list[str]) -> None:
    assert [text[start:end].strip() for start, end in inline_headings(text)] == expected

"""Layouts of eligibility texts and the outlines a careful reader gives them; what holds of any text whatever."""

from __future__ import annotations

import difflib
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from critnlp.cleaning import clean
from critnlp.criteria import Split, split
from critnlp.schema import Criterion

LAYOUTS = Path(__file__).parent / "cases" / "layouts.txt"


# --- the table --------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    name: str
    text: str
    outline: list[str]


def cases(table: str) -> list[Case]:
    """The cases of a table of layouts; the head of `layouts.txt` says how one is written."""
    found = []
    for block in re.split(r"^== ", re.sub(r"^==== .*\n", "", table, flags=re.MULTILINE), flags=re.MULTILINE)[1:]:
        name, _, body = block.partition("\n")
        text, arrow, outline = ("\n" + body).partition("\n->\n")
        assert arrow, f"{name}: no line -> between the text and its outline"
        for sign, character in zip("␍␉⍽␠", "\r\t\xa0 ", strict=True):
            text = text.replace(sign, character)
        found.append(Case(name, text[1:], [line for line in outline.splitlines() if line]))
    return found


def outline(text: str, found: Split) -> list[str]:
    """The segments of a text as lines, its warnings behind them."""
    criteria = {criterion.id: criterion for criterion in found.criteria}
    lines, begun = [], set()
    for segment in found.segments:
        words = clean(" ".join(text[segment.start : segment.end].split())).text
        if segment.criterion in begun:
            lines.append(f"{segment.criterion} + | {words}")
        elif segment.criterion:
            begun.add(segment.criterion)
            criterion = criteria[segment.criterion]
            below = [f"< {criterion.parent_id}"] if criterion.parent_id else []
            modifies = [f"^{criterion.modifies}"] if criterion.modifies else []
            odd = [] if criterion.kind[0].upper() == criterion.id[0] else [f"({criterion.kind})"]  # never expected
            head = [criterion.id, *odd, *below, *modifies, *(f"{{{cohort}}}" for cohort in criterion.cohorts)]
            lines.append(f"{' '.join(head)} | {words}")
        elif segment.type in ("heading", "note"):
            lines.append(f"{'#' if segment.type == 'heading' else '~'} {words}")
    return [*lines, *(f"! {w.code} {w.criterion or ''}".rstrip() for w in found.warnings)]


TABLE = cases(LAYOUTS.read_bytes().decode())


@pytest.mark.parametrize("case", TABLE, ids=[case.name for case in TABLE])
def test_a_layout_has_the_outline_of_a_careful_reader(case: Case) -> None:
    found = outline(case.text, split(case.text))
    if found != case.outline:
        pytest.fail("\n".join(["", *difflib.ndiff(case.outline, found)]), pytrace=False)


def test_the_names_of_the_layouts_are_unique() -> None:
    assert len({case.name for case in TABLE}) == len(TABLE)


# --- what holds of any text -------------------------------------------------------------------------------------------

HEADINGS = (
    "Inclusion Criteria:",
    "EXCLUSION CRITERIA",
    "**Key Exclusion Criteria:**",
    "Inclusion Criteria for Part B:",
    "DISEASE CHARACTERISTICS:",
    "PRIOR CONCURRENT THERAPY:",
    "Age:",
    "Excluded:",
    "Patients must have:",
    "Cohort A:",
    "All cohorts:",
    "Healthy controls",
    "Part 2",
)
MARKERS = ("", "", "* ", "- ", "-", "• ", "o ", "1. ", "2. ", "1) ", "(2) ", "a. ", "b) ", "(i) ", "1.1 ", "* 1. ", "\uf0b7")
BODIES = (
    "Tufted gout",
    "one of the following:",
    "Uric acid > 7.3 mg/dL [fasting]",
    "Age >= 31 and < 58",
    ">= 3 flares a year",
    "heart disease such as a) flutter, b) angina, within 28 days",
    "Riders must (1) own a helmet and (2) be rested. Riders with vertigo are excluded.",
    "Riders of class (a) or (b), e.g. Zembrafil",
    "adequate marrow, defined as:",
    "Cohort A only: kidney stones",
    "(Part 2 only)",
    "Note: patients on tresovir are permitted",
    "Other protocol-defined criteria may apply",
    "Hepatic: Bilirubin below 1.4 mg/dL Renal: Not specified",
    "None",
    "OR",
    "and velorastat",
    "18",
    "...",
)
INDENTS = ("", "", "", "  ", "    ", "\t", "          ", "\xa0")
ONE_LINE_BREAKS = (" ", " - ", "        ", "~", "<br>", "\r\n", "\r", "<p>")


def rows(heads: tuple[str, ...], bodies: tuple[str, ...]) -> st.SearchStrategy[str]:
    row = st.builds(str.__add__, st.sampled_from(MARKERS), st.sampled_from(bodies))
    return st.builds(str.__add__, st.sampled_from(INDENTS), st.sampled_from(heads) | row | row)


def joined(breaks: tuple[str, ...], texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(texts, st.sampled_from(breaks)), max_size=14)
    return pairs.map(lambda found: "".join(text + end for text, end in found))


LISTS = joined(("\n", "\n", "\n\n", "\n \n"), rows(HEADINGS, BODIES))
MIXED = joined(("\n", "\n\n", *ONE_LINE_BREAKS), rows(HEADINGS, BODIES) | st.text(max_size=12))
ANY = LISTS | MIXED | st.text()
laws = settings(max_examples=250, deadline=None)


def below(found: Split, parent: str | None) -> list[Criterion]:
    return [criterion for criterion in found.criteria if criterion.parent_id == parent]


@laws
@given(ANY)
def test_segments_tile_the_text(text: str) -> None:
    segments = split(text).segments
    assert [0, *(s.end for s in segments)] == [*(s.start for s in segments), len(text)]
    assert all(s.start < s.end for s in segments)


@laws
@given(ANY)
def test_no_words_vanish_into_blanks_and_markers(text: str) -> None:
    for segment in split(text).segments:
        words = text[segment.start : segment.end]
        if segment.type == "blank":
            assert not words.strip()
        elif segment.type == "marker":
            assert not re.search(r"[^\W\d_]{3}", re.sub(r"(?i)\b[ivx]+\b|</?\w+\s*/?>", "", words))


@laws
@given(ANY)
def test_a_criterion_is_its_slice_and_its_fragments_are_its_segments(text: str) -> None:
    found = split(text)
    own: dict[str, list[tuple[int, int]]] = {}
    for segment in found.segments:
        assert (segment.criterion is not None) == (segment.type in ("criterion", "lead_in"))
        if segment.criterion:
            own.setdefault(segment.criterion, []).append((segment.start, segment.end))
    assert list(own) == [criterion.id for criterion in found.criteria]
    for criterion in found.criteria:
        spans = [(start, end) for start, end in criterion.fragments]
        assert spans == own[criterion.id]
        assert spans[0] == (criterion.start, criterion.end)
        assert criterion.text == text[criterion.start : criterion.end]
        assert all(text[start:end] == text[start:end].strip() for start, end in spans)
        assert criterion.clean_text == clean(text, spans).text


@laws
@given(ANY)
def test_fragments_never_overlap(text: str) -> None:
    spans = sorted((start, end) for criterion in split(text).criteria for start, end in criterion.fragments)
    assert all(start < end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@laws
@given(ANY)
def test_ids_count_up_in_text_order_below_their_parents(text: str) -> None:
    found = split(text)
    assert [c.start for c in found.criteria] == sorted(c.start for c in found.criteria)
    for kind, letter in (("inclusion", "I"), ("exclusion", "E"), ("unspecified", "U")):
        top = [c.id for c in below(found, None) if c.kind == kind]
        assert top == [f"{letter}{n}" for n in range(1, len(top) + 1)]
    seen: set[str] = set()
    for criterion in found.criteria:
        assert criterion.parent_id is None or criterion.parent_id in seen
        seen.add(criterion.id)
        items = below(found, criterion.id)
        assert [c.id for c in items] == [f"{criterion.id}.{n}" for n in range(1, len(items) + 1)]
    assert len(seen) == len(found.criteria)


@laws
@given(ANY)
def test_sub_items_inherit_and_lead_ins_are_those_that_have_some(text: str) -> None:
    found = split(text)
    criteria = {criterion.id: criterion for criterion in found.criteria}
    parents = {criterion.parent_id for criterion in found.criteria}
    for criterion in found.criteria:
        if criterion.parent_id and criteria[criterion.parent_id].kind != "unspecified":
            assert criterion.kind == criteria[criterion.parent_id].kind
    for segment in found.segments:
        if segment.criterion:
            assert (segment.type == "lead_in") == (segment.criterion in parents)


@laws
@given(ANY)
def test_what_refers_to_a_criterion_refers_to_one_that_exists(text: str) -> None:
    found = split(text)
    ids = {criterion.id for criterion in found.criteria}
    assert all(c.modifies is None or c.modifies in ids - {c.id} for c in found.criteria)
    assert all(w.criterion is None or w.criterion in ids for w in found.warnings)
    assert all(w.criterion for w in found.warnings if w.code == "duplicate")


def tree(text: str) -> list[tuple[str, str, str | None, tuple[str, ...]]]:
    return [(c.id, c.clean_text, c.modifies, c.cohorts) for c in split(text).criteria]


@laws
@given(LISTS)
def test_line_ends_change_no_criterion(text: str) -> None:
    assert tree(text.replace("\n", "\r\n")) == tree(text)


@laws
@given(LISTS)
def test_markdown_escapes_change_no_criterion(text: str) -> None:
    assert tree(re.sub(r"[<>\[\]]", r"\\\g<0>", text)) == tree(text)


@laws
@given(LISTS)
def test_white_space_round_a_text_changes_no_criterion(text: str) -> None:
    assert tree(f"\n \n{text}\n\n ") == tree(text)


@laws
@given(LISTS, st.sampled_from(("Inclusion Criteria:", "Exclusion Criteria:")))
def test_a_section_heading_leaves_nothing_unspecified(text: str, heading: str) -> None:
    assert all(c.kind != "unspecified" for c in split(f"{heading}\n\n{text}").criteria)


@pytest.mark.parametrize("odd", ["\0", "\x1c", "\r", "\v", "\u2028", "\ufeff", "\U0001f600", "e\u0301", "\ud7ff", "\\", "* "])
def test_odd_characters_are_text_like_any_other(odd: str) -> None:
    for text in (odd, odd * 3, f"Inclusion Criteria:{odd}\n* Tufted{odd}gout\n{odd}* Owns a scale{odd}"):
        segments = split(text).segments
        assert "".join(text[s.start : s.end] for s in segments) == text


def test_a_long_text_is_read_in_a_breath() -> None:
    text = "Inclusion Criteria:\n\n" + "".join(f"{n}. Owns scale number {n} (a or b), 1) one, 2) two\n" for n in range(1, 1000))
    assert len(below(split(text), None)) == 999

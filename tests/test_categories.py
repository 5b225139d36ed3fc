"""Categories: phrases with what they are chiefly about, mentions where no word says it, the cue table's own soundness."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critnlp import lexicon, schema
from critnlp.categories import categorize

CASES = [
    (row["phrase"], row["category"])
    for _, row in lexicon.parse((Path(__file__).parent / "cases" / "categories.csv").read_text(encoding="utf-8"), "categories.csv")
]
CUES = [row for row in lexicon.table("categories") if row["pattern"]]


def mention(label: schema.Label, status: schema.Status = "current") -> schema.Entity:
    attributes = schema.Attributes(status=status)
    return schema.Entity(id="I1.e1", label=label, start=0, end=1, fragments=((0, 1),), layer="rules", attributes=attributes)


@pytest.mark.parametrize(("phrase", "category"), CASES)
def test_a_phrase_has_its_category(phrase: str, category: str) -> None:
    assert categorize(phrase, ()) == category


def test_every_category_occurs() -> None:
    assert {category for _, category in CASES} == set(get_args(schema.Category))


def test_there_are_enough_phrases_and_none_stands_twice() -> None:
    assert len({phrase for phrase, _ in CASES}) == len(CASES) >= 120


@pytest.mark.parametrize(
    ("mentions", "category"),
    [
        ((mention("LAB"),), "lab"),
        ((mention("SCALE"),), "staging"),
        ((mention("DEVICE"),), "procedure"),
        ((mention("CONDITION"),), "disease"),
        ((mention("CONDITION", "history"),), "disease_history"),
        ((mention("DRUG", "history"),), "prior_therapy"),
        ((mention("DRUG"),), "concomitant_therapy"),
        ((mention("THRESHOLD"), mention("BIOMARKER")), "biomarker"),
        ((mention("CONDITION"), mention("LAB")), "disease"),
        ((), "other"),
    ],
)
def test_mentions_decide_where_no_word_does(mentions: tuple[schema.Entity, ...], category: str) -> None:
    assert categorize("xyz", mentions) == category


def test_the_subject_that_comes_first_wins() -> None:
    assert categorize("Type 2 diabetes, and a life that is otherwise full of unrelated remarks " * 3, ()) == "disease"


@given(st.text())
def test_any_text_has_a_category(text: str) -> None:
    assert categorize(text, ()) in get_args(schema.Category)


def test_case_and_underscores_change_nothing() -> None:
    for phrase, category in CASES:
        assert categorize(phrase.upper(), ()) == categorize(phrase.replace(" ", "_"), ()) == category


@pytest.mark.parametrize("row", CUES, ids=lambda row: f"{row['category']}-{row['pattern'][:20]}")
def test_a_cue_is_tried_where_it_can_begin(row: lexicon.Row) -> None:
    """What a search finds in the phrases begins with a word of `needs`, so that the look-up misses nothing."""
    needs = row["needs"].split("|")
    assert all(0 < len(need) <= 4 and need == need.lower() for need in needs)
    if row["pattern"].startswith("^"):
        return
    for phrase, _ in CASES:
        for found in re.finditer(row["pattern"], phrase.lower()):
            word = re.match(r"\d|\w{1,4}", found[0])
            assert word, phrase
            assert word[0] in needs, phrase

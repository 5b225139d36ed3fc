"""Abbreviations: which pairs are definitions, and what a definition does to the rest of a trial."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from critnlp import abbreviations, lexicon, schema
from critnlp.abbreviations import available, find, looks_short, plausible, spells
from critnlp.tagging import CriterionTagger, Terms, blank_pipeline, tag_trial

NLP = blank_pipeline()
needs_scispacy = pytest.mark.skipif(not available(), reason="scispaCy is not installed")


@pytest.mark.parametrize("text", ["ANC", "HbA1c", "eGFR", "PD-L1", "NSAIDs", "T2DM", "mCRC", "Hb", "IgA", "SOFA"])
def test_abbreviations_look_short(text: str) -> None:
    assert looks_short(text)


@pytest.mark.parametrize(
    "text", ["male", "msec", "Cohort", "mild", "A", "i.e.", "e.g.", "HIV+", "ER-", "AND", "or", "IMMUNOSUPPRESSED"]
)
def test_words_do_not(text: str) -> None:
    assert not looks_short(text)


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        ("ANC", "Absolute neutrophil count", True),
        ("NSAIDs", "non-steroidal anti-inflammatory drug", True),
        ("COPD", "chronic obstructive pulmonary disease", True),
        ("HCC", "liver cancer", False),
        ("ANC", "neutrophil count", False),
    ],
)
def test_a_short_form_spells_its_long_form(short: str, long: str, expected: bool) -> None:
    assert spells(short, long) is expected


@pytest.mark.parametrize(
    ("text", "short", "long", "expected"),
    [
        ("absolute neutrophil count (ANC) is low", "ANC", "absolute neutrophil count", True),
        ("AE (any adverse event seen) counts", "AE", "any adverse event seen", True),
        # a sex before a bound is no abbreviation of the bound
        ("QTc: male (msec above 450 in all leads)", "male", "msec above 450 in all leads", False),
        # a bound or a dose is no name
        ("platelets > 100 (PGT) counted", "PGT", "platelets > 100", False),
        ("aspirin 100 mg daily (AMD) taken", "AMD", "aspirin 100 mg daily", False),
        # half of a bracket
        ("renal (or hepatic failure (RHF) known", "RHF", "renal (or hepatic failure", False),
        # the long form begins inside a word
        ("preterm birth (TB) known", "TB", "term birth", False),
        # words between the two
        ("heart failure of any cause (HF)", "HF", "heart failure", False),
        # far too long for two letters
        (
            "patient who has had some other kind of trouble (PT)",
            "PT",
            "patient who has had some other kind of trouble",
            False,
        ),
    ],
)
def test_doubtful_pairs_are_dropped(text: str, short: str, long: str, expected: bool) -> None:
    spans = [(text.index(form), text.index(form) + len(form)) for form in (short, long)]
    assert plausible(text, spans[0], spans[1]) is expected


TEXTS = [
    "Absolute neutrophil count (ANC) above normal",
    "ANC and platelets stable",
    "History of chronic kidney disease (CKD) or physical therapy (PT)",
    "No bracket at all",
    "AE (any adverse event seen) or CKD",
    "male (msec above 450) or (female)",
    "Nested (really (quite)) brackets",
    "Long QT syndrome (LQTS)) with one bracket too many (",
]


@needs_scispacy
def test_definitions_say_where_they_stand() -> None:
    definitions = find({"I1": TEXTS[0], "E1": TEXTS[2]}, NLP.make_doc)
    assert [(d.short, d.long, d.criterion) for d in definitions] == [
        ("ANC", "Absolute neutrophil count", "I1"),
        ("CKD", "chronic kidney disease", "E1"),
        ("PT", "physical therapy", "E1"),
    ]
    for d in definitions:
        text = {"I1": TEXTS[0], "E1": TEXTS[2]}[d.criterion]
        assert (text[slice(*d.short_span)], text[slice(*d.long_span)]) == (d.short, d.long)


@needs_scispacy
@given(st.lists(st.sampled_from(TEXTS), max_size=5))
@settings(max_examples=60, deadline=None)
def test_texts_without_a_bracket_define_nothing(texts: list[str]) -> None:
    """scispaCy's own matcher over every text finds no candidate that `find` did not see."""
    from scispacy.abbreviation import filter_matches
    from spacy.matcher import Matcher

    matcher = Matcher(NLP.vocab)
    matcher.add("parenthesis", [[{"ORTH": "("}, {"OP": "+"}, {"ORTH": ")"}]])
    for text in texts:
        doc = NLP.make_doc(text)
        whole = filter_matches([(m, start + 1, end - 1) for m, start, end in matcher(doc)], doc)
        own = filter_matches(list(abbreviations._brackets(doc)), doc) if "(" in text else []
        assert {(a.text, b.text) for a, b in whole} == {(a.text, b.text) for a, b in own}


# --- over a trial -----------------------------------------------------------------------------------------------------

TERMS = """label,term,variants,match
CONDITION,chronic kidney disease,,
PROCEDURE,physical therapy,,
LAB,PT,prothrombin time,case
LAB,filtration rate,,
"""


def tagged(*texts: str) -> tuple[schema.Criterion, ...]:
    """The criteria of a trial whose lines these are, tagged with the few terms above."""
    eligibility, criteria = "\n".join(texts), []
    start = 0
    for number, text in enumerate(texts, start=1):
        span = (start, start + len(text))
        rule = schema.Unsupported(reason="unparsed")
        criteria.append(
            schema.Criterion(id=f"I{number}", kind="inclusion", start=span[0], end=span[1], fragments=(span,), rule=rule)
        )
        start = span[1] + 1
    nlp = blank_pipeline()
    pipe: object = nlp.get_pipe("critnlp_tagger")
    assert isinstance(pipe, CriterionTagger)
    pipe._terms = Terms(row for _, row in lexicon.parse(TERMS, "terms.csv"))
    return tag_trial(eligibility, criteria, nlp)


def names(criterion: schema.Criterion) -> list[tuple[str, str, str]]:
    return [(entity.label, entity.text, entity.layer) for entity in criterion.entities]


@needs_scispacy
def test_a_defined_short_form_is_known_in_the_whole_trial() -> None:
    first, second, third = tagged("ZKD is excluded", "Zonal knee deformity (ZKD) or chronic kidney disease (CKD)", "Two CKDs")
    assert names(first) == []  # nothing knows what "zonal knee deformity" is
    assert names(second) == [("CONDITION", "chronic kidney disease (CKD)", "lexicon")]
    assert names(third) == [("CONDITION", "CKDs", "abbreviation")]
    assert [(r.type, r.head, r.tail) for r in third.relations] == [("abbreviates", "I3.e1", "I2.e1")]
    assert second.relations == ()


@needs_scispacy
def test_a_use_before_the_definition_and_beside_it_counts() -> None:
    first, second = tagged("CKD known", "Chronic kidney disease (CKD), where CKD is stable, not ckd or XCKD")
    assert [(r.head, r.tail) for r in first.relations] == [("I1.e1", "I2.e1")]
    assert [(r.head, r.tail) for r in second.relations] == [("I2.e2", "I2.e1")]


@needs_scispacy
def test_the_trial_s_definition_beats_the_table() -> None:
    (alone,) = tagged("PT is normal")
    assert names(alone) == [("LAB", "PT", "lexicon")]
    first, second = tagged("Physical therapy (PT) is allowed", "PT twice")
    assert names(first) == [("PROCEDURE", "Physical therapy (PT)", "lexicon")]
    assert names(second) == [("PROCEDURE", "PT", "abbreviation")]


@needs_scispacy
def test_the_definition_widens_the_mention_to_what_it_spells() -> None:
    first, second = tagged("Estimated glomerular filtration rate (eGFR) normal", "eGFR stable")
    assert names(first)[0] == ("LAB", "Estimated glomerular filtration rate (eGFR)", "lexicon")
    assert names(second) == [("LAB", "eGFR", "abbreviation")]


def test_without_scispacy_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abbreviations, "available", lambda: False)
    assert find({"I1": TEXTS[0]}, NLP.make_doc) == ()
    first, second = tagged("Chronic kidney disease (CKD)", "CKD")
    assert names(first) == [("CONDITION", "Chronic kidney disease (CKD)", "lexicon")]  # the bracket needs no library
    assert names(second) == []


def test_it_says_whether_it_is_available() -> None:
    assert available() is (importlib.util.find_spec("scispacy") is not None)


def test_scispacy_is_loaded_only_where_a_bracket_asks_for_it() -> None:
    code = "import sys, critnlp.tagging; print('scispacy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr

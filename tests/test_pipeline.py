"""The order of the stages, used from Python."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

import critnlp
from critnlp import abbreviations, pipeline
from critnlp.errors import ModelError, SourceError

TEXT = """Inclusion Criteria:

* Absolute neutrophil count (ANC) \\>= 1.5 x 10^9/L
* Chronic kidney disease (CKD) stage 3

Exclusion Criteria:

* CKD treated with dialysis
* Prior pembrolizumab, except for melanoma
"""


@pytest.fixture(scope="module")
def nlp() -> Language:
    return critnlp.load()


def test_a_text_becomes_criteria_with_entities_and_categories(nlp: Language) -> None:
    parsed = critnlp.parse_text(TEXT, nlp)
    assert [(c.id, c.kind, c.category) for c in parsed.criteria] == [
        ("I1", "inclusion", "lab"),
        ("I2", "inclusion", "disease"),
        ("E1", "exclusion", "procedure"),
        ("E2", "exclusion", "prior_therapy"),
    ]
    found = {(e.label, e.text) for c in parsed.criteria for e in c.entities}
    assert ("LAB", "Absolute neutrophil count (ANC)") in found
    assert ("DRUG", "pembrolizumab") in found
    assert ("EXCEPTION", "except for") in found
    assert all(TEXT[e.start : e.end] == e.text for c in parsed.criteria for e in c.entities if len(e.fragments) == 1)
    assert parsed.pipeline.name == "en_critnlp"


@pytest.mark.skipif(not abbreviations.available(), reason="scispaCy is not installed")
def test_an_abbreviation_defined_in_one_criterion_is_linked_in_another(nlp: Language) -> None:
    parsed = critnlp.parse_text(TEXT, nlp)
    (link,) = parsed.criteria[2].relations
    entities = {e.id: e.text for c in parsed.criteria for e in c.entities}
    assert (link.type, entities[link.head], entities[link.tail]) == ("abbreviates", "CKD", "Chronic kidney disease (CKD)")
    assert "abbreviation" in parsed.pipeline.layers


def test_extract_yields_errors_in_place(tmp_path: Path) -> None:
    good = tmp_path / "a.txt"
    good.write_text(TEXT, encoding="utf-8")
    results: Iterator[object] = critnlp.extract([str(tmp_path / "none.txt"), str(good)])
    first, second = results
    assert isinstance(first, SourceError)
    assert isinstance(second, critnlp.ParsedTrial)


def test_a_folder_that_is_no_pipeline_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        pipeline.load(tmp_path)


def test_public_names_are_importable() -> None:
    for name in critnlp.__all__:
        assert getattr(critnlp, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        critnlp.nonsense  # noqa: B018


@cache
def _shipped() -> Language:
    return critnlp.load()


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300).filter(str.strip))
def test_any_text_is_parsed_and_every_offset_slices_it(text: str) -> None:
    parsed = critnlp.parse_text(text, _shipped())
    assert "".join(text[s.start : s.end] for s in parsed.segments) == text
    for criterion in parsed.criteria:
        assert criterion.text == text[criterion.start : criterion.end]
        for entity in criterion.entities:
            assert entity.text == " ".join(text[a:b] for a, b in entity.fragments)

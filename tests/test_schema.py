"""The contract's types: what the contract shows is accepted, nothing is lost on the way, the published schema is in step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from critnlp import schema
from critnlp.sources import trial_of

ROOT = Path(__file__).parents[1]
RULES: TypeAdapter[schema.Rule] = TypeAdapter(schema.Rule)

FACT: dict[str, Any] = {
    "op": "fact",
    "about": "lab",
    "name": "absolute neutrophil count",
    "codes": [{"system": "http://loinc.org", "code": "26499-4"}],
    "range": {"low": "1.5", "low_inclusive": True, "high": None, "unit": "10*9/L", "measures": "value"},
    "canonical": {"low": "1.5", "high": None, "unit": "10*9/L"},
    "except": [{"op": "fact", "about": "condition", "name": "benign neutropenia"}],
    "windows": [{"relation": "within", "high": "2", "unit": "a", "high_inclusive": True, "anchor": "enrollment"}],
    "start": 3,
    "end": 8,
    "entities": ["I5.e1"],
    "repairs": ["exponent 109 read as 10^9"],
}
ANCHORED = {**FACT, "windows": [{"relation": "after", "low": "6", "unit": "mo", "anchor": FACT, "choose": "longer"}]}
UNPARSED = {"op": "unsupported", "text": "…", "reason": "unparsed"}


def parsed_trial(rule: dict[str, Any]) -> dict[str, Any]:
    text = "* ANC ≥ 1.5"
    entity = {"id": "I1.e1", "label": "LAB", "start": 2, "end": 5, "fragments": [[2, 5]], "text": "ANC", "layer": "rules"}
    return {
        "critnlp_version": "0.1.0",
        "pipeline": {"name": "en_critnlp", "version": "0.1.0", "layers": ["rules"]},
        "trial": json.loads(trial_of(text, nct_id="NCT00000009").model_dump_json()),
        "criteria": [
            {
                "id": "I1",
                "kind": "inclusion",
                "start": 2,
                "end": 11,
                "fragments": [[2, 11]],
                "text": text[2:],
                "entities": [entity],
                "relations": [{"type": "has_value", "head": "I1.e1", "tail": "I1.e1"}],
                "rule": rule,
            }
        ],
        "segments": [{"type": "marker", "start": 0, "end": 2}, {"type": "criterion", "start": 2, "end": 11, "criterion": "I1"}],
        "warnings": [{"code": "impossible_value", "criterion": "I1", "message": "no unit"}],
    }


@pytest.mark.parametrize(
    "rule",
    [
        UNPARSED,
        FACT,
        ANCHORED,
        {"op": "all_of", "rules": []},
        {"op": "any_of", "rules": [FACT, UNPARSED]},
        {"op": "at_least", "n": 2, "rules": [FACT, FACT]},
        {"op": "not", "rule": FACT},
        {"op": "if", "if": FACT, "then": UNPARSED, "else": None},
        {"op": "if", "if": FACT, "then": UNPARSED, "else": {"op": "note", "text": "…", "reason": "permitted"}},
        {"op": "criterion", "id": "I7.1"},
    ],
)
def test_every_rule_of_the_contract_is_read_and_written_without_loss(rule: dict[str, Any]) -> None:
    record = parsed_trial(rule)
    jsonschema.validate(record, schema.json_schema(), jsonschema.Draft202012Validator)
    read = schema.ParsedTrial.model_validate(record)
    written = json.loads(read.model_dump_json())
    assert schema.ParsedTrial.model_validate(written) == read
    assert_within(record, written)


def assert_within(part: Any, whole: Any) -> None:
    """Everything in `part` stands in `whole`, which may hold more keys (defaults written out)."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert_within(value, whole[key])
    elif isinstance(part, list):
        assert len(part) == len(whole)
        for a, b in zip(part, whole, strict=True):
            assert_within(a, b)
    else:
        assert part == whole


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"op": "fact", "about": "lab"}, "name"),
        ({"op": "fact", "about": "weather", "name": "rain"}, "about"),
        ({"op": "at_least", "n": 0, "rules": []}, "n"),
        ({"op": "unsupported", "text": "", "reason": "lazy"}, "reason"),
        ({"op": "maybe"}, "op"),
        ({"op": "fact", "about": "lab", "name": "x", "range": {"low": "1,5"}}, "low"),
        ({"op": "fact", "about": "lab", "name": "x", "range": {"low": 1.5}}, "low"),
    ],
)
def test_what_bends_the_contract_is_refused_with_the_place(rule: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        RULES.validate_python(rule)


def test_unknown_fields_of_a_newer_writer_survive() -> None:
    record = parsed_trial(UNPARSED)
    record["criteria"][0]["verdict_hint"] = {"by": "someone"}
    written = json.loads(schema.ParsedTrial.model_validate(record).model_dump_json())
    assert written["criteria"][0]["verdict_hint"] == {"by": "someone"}


def test_stand_off_gold_without_text_is_accepted() -> None:
    record = parsed_trial(UNPARSED)
    record["annotation"] = {"annotators": [{"id": "a1", "type": "person"}], "guideline_version": "1"}
    del record["trial"]["eligibility"], record["criteria"][0]["text"], record["criteria"][0]["entities"][0]["text"]
    jsonschema.validate(record, schema.json_schema(), jsonschema.Draft202012Validator)
    assert schema.ParsedTrial.model_validate(record).annotation is not None


def test_values_are_frozen() -> None:
    segment = schema.Segment(type="blank", start=0, end=1)
    with pytest.raises(ValidationError, match="frozen"):
        segment.end = 2  # type: ignore[misc]  # what is tested


def test_only_gold_has_an_annotation() -> None:
    assert "annotation" not in json.loads(schema.ParsedTrial.model_validate(parsed_trial(UNPARSED)).model_dump_json())


def test_the_published_schema_is_in_step() -> None:
    published = json.loads((ROOT / "schema" / "critnlp-1.schema.json").read_text(encoding="utf-8"))
    assert published == schema.json_schema(), "run: critnlp schema > schema/critnlp-1.schema.json"
    jsonschema.Draft202012Validator.check_schema(published)

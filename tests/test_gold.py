"""Gold files: what is read, which slips of annotators are found, and that a record survives its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from critnlp import gold, schema, shorthand
from critnlp.errors import AnnotationError
from test_shorthand import records

ANNOTATION = schema.Annotation(annotators=(schema.Annotator(id="a", type="person"),), guideline_version="1.0")
LINES = """## G1 phenomenon=threshold
| Inclusion Criteria:
|
| * Age 18 years or older
| * No history of stroke or of a seizure
C I1 kind=inclusion category=demographic computable=full
T Age 18 years or older
E DEMOGRAPHIC | Age
E THRESHOLD | 18 years or older
L has_value 1 2
R "age: age >= 18 [a] @ 1 2"
C I2 kind=inclusion category=disease_history computable=full
T No history of stroke or of a seizure
E NEGATION | No
E CONDITION | stroke ; status=history ; negated
E CONDITION | seizure ; status=history ; negated
L has_negation 2 1
L has_negation 3 1
R {"not": {"any": ["condition: stroke ; status=history @ 2", "condition: seizure ; status=history @ 3"]}}
"""


def good() -> schema.ParsedTrial:
    (record,) = shorthand.compile(LINES.splitlines(), {}, annotation=ANNOTATION)
    assert isinstance(record, schema.ParsedTrial)
    return record


def changed(**changes: Any) -> schema.ParsedTrial:
    """The good record with values put in by path: `criteria__0__entities__0__end=99`."""
    data = json.loads(gold.to_line(good()))
    for path, value in changes.items():
        *keys, last = [int(key) if key.isdigit() else key for key in path.split("__")]
        inner = data
        for key in keys:
            inner = inner[key]
        inner[last] = value
    return schema.ParsedTrial.model_validate(data)


def test_a_good_record_has_no_problem() -> None:
    assert gold.check([good()], {"G1": "train"}) == []


SLIPS: list[tuple[str, dict[str, Any], str]] = [
    ("hash", {"trial__sha256": "0" * 64}, "G1: error hash: sha256 is not that of the text"),
    ("annotator", {"annotation__annotators": []}, "G1: error annotator: nobody is named"),
    ("same id", {"criteria__1__id": "I1"}, "G1 I1: error id: 2 criteria have this id"),
    ("overlap", {"criteria__1__fragments": [[30, 84]], "criteria__1__start": 30, "criteria__1__text": ""}, "error overlap"),
    ("parent", {"criteria__1__parent_id": "I9"}, "G1 I2: error reference: there is no criterion I9"),
    ("beyond the text", {"criteria__0__entities__1__end": 999, "criteria__0__entities__1__fragments": [[27, 999]]},
     "G1 I1 I1.e2: error offset: it ends at 999, and the text has 83 characters"),
    ("extent", {"criteria__0__entities__1__end": 40}, "error offset: its fragments do not reach from 27 to 40"),
    ("quote", {"criteria__0__entities__0__text": "Ages"}, "error quote: at 23-26 the text says 'Age', the record 'Ages'"),
    ("outside", {"criteria__0__entities__0__fragments": [[47, 49]], "criteria__0__entities__0__start": 47,
                 "criteria__0__entities__0__end": 49, "criteria__0__entities__0__text": "No"},
     "error outside: 'No' lies outside its criterion"),
    ("drift", {"criteria__0__entities__0__fragments": [[23, 27]], "criteria__0__entities__0__end": 27,
               "criteria__0__entities__0__text": "Age "}, "warning boundary: 'Age ' begins or ends with white space"),
    ("relation to nothing", {"criteria__0__relations__0__tail": "I1.e9"}, "error reference: has_value points at I1.e9"),
    ("wrong tail", {"criteria__0__relations__0__tail": "I1.e1"},
     "error relation: the tail of has_value is DEMOGRAPHIC 'Age'; it must be TEMPORAL or THRESHOLD"),
    ("full with a rest", {"criteria__0__rule": {"op": "unsupported", "reason": "vague"}}, "error computable: it is full, but"),
    ("partial without one", {"criteria__0__computable": "partial"}, "warning computable: it is partial, but no part"),
    ("none with facts", {"criteria__0__computable": "none"}, "warning computable: it is none, but its rule holds facts"),
    ("criterion node", {"criteria__0__rule": {"op": "criterion", "id": "I7"}}, "error reference: its rule names I7"),
    ("unit", {"criteria__0__rule__range__unit": "yearz"}, "error unit: 'yearz' is no UCUM unit"),
    ("reversed", {"criteria__0__rule__range__high": "2"}, "error range: 18 is above 2"),
    ("no bound", {"criteria__0__rule__range": {"unit": "a"}}, "error range: a range without a bound"),
    ("window", {"criteria__0__rule__windows": [{"relation": "within", "high": "2"}]}, "error window: a window with a number"),
    ("unit of a window", {"criteria__0__rule__windows": [{"relation": "for", "low": "6", "unit": "fortnight"}]},
     "error window: 'fortnight' is no UCUM unit of time"),
    ("name", {"criteria__0__rule__name": "Age"}, "warning name: names are in lower case"),
    ("entity of a fact", {"criteria__0__rule__entities": ["I9.e1"]}, "error reference: it stands at I9.e1"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), [row[1:] for row in SLIPS], ids=[row[0] for row in SLIPS])
def test_a_slip_is_found(changes: dict[str, Any], message: str) -> None:
    found = [str(problem) for problem in gold.check([changed(**changes)])]
    assert any(message in problem for problem in found), found


def test_a_trial_that_stands_twice_is_named() -> None:
    assert [str(problem) for problem in gold.check([good(), good()])] == [
        "G1: error twice: the trial stands 2 times in this gold; leave one"
    ]


def test_the_same_words_with_a_rare_label_are_named() -> None:
    usual = [changed(trial__nct_id=f"G{number}") for number in range(5)]
    rare = changed(trial__nct_id="G9", criteria__0__entities__0__label="LAB")
    found = [str(problem) for problem in gold.check([*usual, rare])]
    assert found == ["G9 I1.e1: warning label: 'age' is LAB here and DEMOGRAPHIC in 5 other places"]


def test_leaks_and_trials_without_a_split_are_named() -> None:
    words = "Written consent of the patient or of a legal guardian, given before any procedure that the protocol asks for"
    one, other = (changed(trial__nct_id=name, criteria__0__clean_text=words) for name in ("G1", "G2"))
    found = [str(problem) for problem in gold.check([one, other, changed(trial__nct_id="G3")], {"G1": "train", "G2": "test"})]
    assert found == [
        "G2 I1: warning leak: the same words stand in G1 I1 of train, and this is test",
        "G3: error split: it is in no split; add it to the file of splits",
    ]


BROKEN = [
    ("{", "gold.jsonl:1: no JSON (Expecting property name"),
    ('{"trial": 5}', "gold.jsonl:1: critnlp_version: Field required"),
    ("LABEL", "gold.jsonl:1: criteria.0.entities.0.label: Input should be"),
    ("OFFSET", "gold.jsonl:1: criteria.0.start: Input should be greater than or equal to 0, found '-3'"),
]


@pytest.mark.parametrize(("line", "message"), BROKEN)
def test_a_broken_line_is_named_and_the_next_is_read(tmp_path: Path, line: str, message: str) -> None:
    whole = gold.to_line(good())
    if line == "LABEL":
        line = whole.replace('"DEMOGRAPHIC"', '"PEOPLE"').rstrip()
    elif line == "OFFSET":
        line = whole.replace('"start":23', '"start":-3', 1).rstrip()
    (tmp_path / "gold.jsonl").write_text(f"{line}\n\n{whole}", encoding="utf-8")
    first, second = gold.read(tmp_path / "gold.jsonl")
    assert isinstance(first, AnnotationError)
    assert message in str(first)
    assert second == good()


def test_a_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    (only,) = gold.read(tmp_path / "none.jsonl")
    assert "cannot be read" in str(only)


def test_compact_files_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "gold.txt").write_text(LINES, encoding="utf-8")
    (record,) = gold.read(tmp_path / "gold.txt")
    assert isinstance(record, schema.ParsedTrial)
    assert record.criteria == good().criteria


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("nct_id,split\nG1,later\n", "splits.csv:2: G1 with split 'later'; there are train, dev and test"),
        ("nct_id,split\nG1,dev\nG1,test\n", "splits.csv:3: G1 is in dev and in test; leave one"),
        ("trial,split\nG1,dev\n", "splits.csv:2: no nct_id with split 'dev'"),
    ],
)
def test_a_faulty_file_of_splits_is_named(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "splits.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"splits\.csv") as raised:
        gold.read_splits(tmp_path / "splits.csv")
    assert message in str(raised.value)


def test_statistics_count_what_there_is() -> None:
    counts = gold.statistics([good()])
    assert counts["set"]["criteria"] == 2
    assert counts["label"] == {"DEMOGRAPHIC": 1, "THRESHOLD": 1, "NEGATION": 1, "CONDITION": 2}
    assert counts["about"] == {"age": 1, "condition": 2}
    assert counts["node"] == {"fact": 3, "not": 1, "any_of": 1}
    assert counts["phenomenon"] == {"threshold": 1}


@given(records())
def test_a_record_survives_its_line(record: schema.ParsedTrial) -> None:
    assert schema.ParsedTrial.model_validate_json(gold.to_line(record)) == record

"""What the measuring scripts call right and wrong, on invented lines and hand-made rules."""

from __future__ import annotations

import json
import random
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from critnlp import schema

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import numeric
import numeric_audit
from tagging import Counts


def annotation(op: str, values: str = "", *, nums: str | None = None, op_text: str = "", unit: str = "") -> dict[str, Any]:
    """An annotation in the corpus's shape; the parts are separated by blanks, "_" in `nums` is null."""
    written = values.split()
    read = (nums or values).split()
    return {
        "op": op.split(),
        "op_text": op_text.split(),
        "values": written,
        "nums": [None if num == "_" else num for num in read],
        "unit": unit.split(),
    }


def fact(low: str | None = None, high: str | None = None, inclusive: bool = True, **fields: Any) -> schema.Fact:
    """A fact with these bounds."""
    bounds = schema.Range(
        low=low,
        low_inclusive=inclusive if low else None,
        high=high,
        high_inclusive=inclusive if high else None,
        unit=fields.pop("unit", None),
    )
    return schema.Fact(about=fields.pop("about", "lab"), name="marker", range=bounds if low or high else None, **fields)


@pytest.mark.parametrize(
    ("found", "text", "bounds"),
    [
        (annotation("GTEQ", "18"), "at least 18 years", "low18="),
        (annotation("GT", "18"), "over 18", "low18"),
        (annotation("LT", "50,000", nums="5E+4"), "platelets < 50,000/mm3", "high50000"),
        (annotation("LTEQ", "7,5", nums="_"), "HbA1c ≤ 7,5 %", "high7.5="),
        (annotation("GTEQ", "III", nums="_"), "class ≥ III", "low3="),
        (annotation("GT", "25th", nums="_"), "> 25th percentile", "low25"),
        (annotation("LT", "two", nums="_"), "under two years", "high2"),
        (annotation("BETWEEN", "2 0"), "score 0~2", "low0= high2="),
        (annotation("BETWEEN", "ll l", nums="_ _"), "class l-ll", "low1= high2="),
        (annotation("BETWEEN", "21 70 70"), "from 21 to 70, no more than 70", "low21= high70="),
        (annotation("BETWEEN LT", "2 12"), "2 to < 12 years", "low2= high12"),
        (annotation("GTEQ BETWEEN LTEQ", "20 40"), "≥ 20 and ≤ 40", "low20= high40="),
        (annotation("GTEQ LT", "20 40"), "≥ 20, < 40", "low20= high40"),
        (annotation("BETWEEN", "5 24 30"), "between 5 and 24 / 30", "low5= high24="),
        (annotation("BETWEEN", "12 20 4"), "between 12 weeks and 20 weeks 4 days", ""),
        (annotation("BETWEEN", "60"), "60 ~ 90", ""),
        (annotation("GTEQ GTEQ", "18"), "at least 18 years or older", "low18="),
        (annotation("LT EQ", "2"), "score = <2", "high2="),
        (annotation("LT GTEQ", "7"), "less than or equal to 7", "high7="),
        (annotation("GTEQ GT", "4"), "≥ 4 mm above normal", "low4="),
        (annotation("GT", "140 90"), "BP > 140/90", "low140 low90"),
        (annotation("GT", "4 10"), "pain > 4/10", "low4"),
        (annotation("GTEQ", "1.5 1"), "a ratio of ≥ 1.5:1", "low1.5="),
        (annotation("GTEQ", "1.5 109"), "≥ 1.5 × 109/L", "low1.5="),
        (annotation("LT", "45 1.73"), "< 45 ml/min/1.73 m2", "high45"),
        (annotation("GTEQ", "5 3 4"), "3 or 4 mm to ≥ 5", ""),
        (annotation("GTEQ", op_text="≥18"), "be ≥18", "low18="),
        (annotation("LT", unit="two years"), "less than two years", "high2"),
        (annotation("GT", unit="mm3"), "more mm3", ""),
        (annotation("GT", op_text="above", unit="normal"), "above normal", ""),
        (annotation("", "0 1"), "0 or 1", ""),
        (annotation("EQ", "3"), "a score of 3", ""),
        (annotation("PLUS-MINUS", "5"), "± 5 kg", ""),
        (annotation("BETWEEN", "20/50 20/100", nums="_ _"), "20/50 to 20/100", ""),
        (annotation("GTEQ", "moderate", nums="_"), "at least moderate", ""),
    ],
)
def test_an_annotation_is_read_as_bounds(found: dict[str, Any], text: str, bounds: str) -> None:
    gold = numeric.gold_of(found, text)
    assert {f"{b.side}{b.value:f}{'=' if b.inclusive else ''}" for b in gold.bounds} == set(bounds.split())
    assert bool(gold.left_out) == (not bounds), "what gives no bound says why"
    assert not {bound.value for bound in gold.bounds} & gold.loose


def score(gold: dict[str, Any] | list[dict[str, Any]], text: str, *facts: schema.Fact) -> numeric.Line:
    """The line's result."""
    record = {"text": text, "bounds": gold if isinstance(gold, list) else [gold]}
    return numeric.judge("1", numeric.gold_line(record), [found for one in facts for found in numeric.found_of(one, text)])


@pytest.mark.parametrize(
    ("gold", "text", "found", "counts"),
    [
        (annotation("GTEQ", "18"), "≥ 18", fact("18"), (1, 1, 1, 1)),
        (annotation("GTEQ", "18"), "≥ 18", fact("18.0"), (1, 1, 1, 1)),
        (annotation("GTEQ", "18"), "≥ 18", fact("18", inclusive=False), (1, 0, 1, 0)),
        (annotation("GTEQ", "18"), "≥ 18", fact(high="18"), (1, 0, 1, 0)),
        (annotation("GTEQ", "1.5"), "≥ 1.5 × 109/L", fact("1.5", unit="10*9/L"), (1, 1, 1, 1)),
        (annotation("GTEQ", "1.5E+9"), "≥ 1.5 × 109/L", fact("1.5", unit="10*9/L"), (1, 1, 1, 1)),
        (annotation("LT", "100000"), "< 100,000/mm3", fact(high="100", inclusive=False, unit="10*3/uL"), (1, 1, 1, 1)),
        (annotation("BETWEEN", "0 2"), "0-2", fact(about="scale", values=("0", "1", "2")), (2, 2, 2, 2)),
        (annotation("BETWEEN", "I III", nums="_ _"), "I-III", fact(about="staging", values=("I", "II", "III")), (2, 2, 2, 2)),
        (annotation("GT", "II", nums="_"), "> II", fact(about="staging", values=("III", "IV")), (1, 1, 1, 1)),
        (annotation("GTEQ", "18"), "≥ 18, stage II-III", fact(about="staging", values=("II", "III")), (0, 0, 1, 0)),
        (annotation("GTEQ", "18"), "≥ 18, pain 2-3", fact(about="scale", values=("2", "3")), (2, 0, 1, 0)),
        (annotation("LTEQ", "1"), "≤ 1", fact(about="scale", values=("0", "1")), (1, 1, 1, 1)),
        (annotation("", "0 1"), "0 or 1", fact(about="scale", values=("0", "1")), (0, 0, 0, 0)),
        (annotation("GT", op_text="above", unit="ULN"), "above ULN", fact("1", inclusive=False), (0, 0, 0, 0)),
        (annotation("GT", "140 90"), "> 140/90", fact("140", inclusive=False), (1, 1, 2, 1)),
    ],
)
def test_a_line_is_scored_as_sets_of_bounds(
    gold: dict[str, Any], text: str, found: schema.Fact, counts: tuple[int, int, int, int]
) -> None:
    assert score(gold, text, found).counts.values == counts


def test_windows_count_only_where_the_annotators_marked_a_comparison() -> None:
    window = schema.Window(relation="for", low="6", low_inclusive=True, unit="mo")
    held = fact(about="condition", windows=(window,))
    assert score(annotation("GTEQ", "6"), "for at least 6 months", held).counts.values == (1, 1, 1, 1)
    assert score(annotation("GTEQ", "18"), "≥ 18, for at least 6 months", held).counts.values == (0, 0, 1, 0)


@pytest.mark.parametrize(("name", "counts"), [("life expectancy", (1, 0, 1, 0)), ("marathon training", (0, 0, 1, 0))])
def test_a_duration_is_held_against_a_prediction_only_where_the_corpus_calls_it_a_quantity(
    name: str, counts: tuple[int, int, int, int]
) -> None:
    lasting = schema.Range(low="6", low_inclusive=True, unit="mo", measures="duration")
    claimed = schema.Fact(about="observation", name=name, range=lasting)
    assert score(annotation("GTEQ", "18"), "≥ 18, at least 6 months of it", claimed).counts.values == counts
    assert score(annotation("GTEQ", "6"), "at least 6 months", claimed).counts.values == (1, 1, 1, 1)


def test_a_count_of_at_least_one_says_that_there_is_such_a_thing() -> None:
    one, two = (
        schema.Fact(about="condition", name="nodule", range=schema.Range(low=low, low_inclusive=True, unit="1", measures="count"))
        for low in ("1", "2")
    )
    assert score(annotation("GTEQ", "18"), "≥ 18, at least one nodule", one).counts.values == (0, 0, 1, 0)
    assert score(annotation("GTEQ", "18"), "≥ 18, at least two nodules", two).counts.values == (1, 0, 1, 0)


def test_several_names_with_one_bound_count_once() -> None:
    twice = [annotation("LTEQ", "2.5"), annotation("LTEQ", "2.5")]
    line = score(twice, "AST and ALT ≤ 2.5 × ULN", fact(high="2.5"), fact(high="2.5"))
    assert line.counts == Counts(1, 1, 1, 1)


def test_causes_are_told_apart() -> None:
    gold = numeric.Gold(frozenset({numeric.Bound(Decimal(5), "low", True), numeric.Bound(Decimal(9), "high", True)}))
    other = numeric.judge("1", gold, list(numeric.found_of(fact("5", inclusive=False), "")), marked="≤ 9", rest="up to 9")
    assert [why for _, why in other.missed] == ["other inclusiveness", "marked, in an unsupported rest"]
    assert [why for _, why in other.spurious] == ["other inclusiveness"]
    swapped = numeric.judge("1", gold, list(numeric.found_of(fact(high="5"), "")))
    assert [why for _, why in swapped.missed] == ["other side", "not marked"]


def test_every_fact_of_a_rule_is_found() -> None:
    facts = {name: schema.Fact(about="condition", name=name) for name in ("a", "b", "c", "d", "e", "f")}
    window = schema.Window(relation="after", anchor=facts["e"])
    anchored = schema.Fact(about="drug", name="g", windows=(window,), exceptions=(facts["f"],))
    rest = schema.Unsupported(reason="unparsed", facts=(facts["d"],))
    rule = schema.AllOf(
        rules=(
            schema.AnyOf(rules=(facts["a"], schema.Not(rule=facts["b"]))),
            schema.If(condition=facts["c"], then=rest),
            schema.AtLeast(n=1, rules=(anchored, schema.CriterionRef(id="I1.1"))),
            schema.Note(reason="permitted"),
        )
    )
    assert [found.name for found in numeric.facts_of(rule)] == ["a", "b", "c", "d", "g", "e", "f"]


def test_the_interval_holds_the_score() -> None:
    lines = [numeric.Line(str(n), Counts(1, n % 4 > 0, 1, n % 4 > 0)) for n in range(200)]
    low, high = numeric.interval(lines, lambda counts: counts.recall, rounds=200)
    assert low < 0.75 < high
    assert low > 0.6
    assert high < 0.9


def test_numbers_of_names_are_no_tokens() -> None:
    text = "CD4 count below 1,200/µL, IL-6, 18-75 years, 109/L"
    assert [text[start:end] for start, end in numeric.tokens(text, 0, len(text))] == ["1,200", "18", "75", "109"]


def criterion(rule: schema.Rule, text: str, **fields: Any) -> schema.Criterion:
    """A criterion over the whole of `text`."""
    return schema.Criterion(
        id="I1", kind="inclusion", start=0, end=len(text), fragments=((0, len(text)),), text=text, rule=rule, **fields
    )


def test_a_trial_adds_its_counts() -> None:
    text = "ANC ≥ 1.5, within 4 weeks; 7 tablets"
    held = fact("1.5", start=0, end=9, repairs=("exponent 109 read as 10^9",))
    time = schema.Entity(id="I1.e1", label="TEMPORAL", start=11, end=25, fragments=((11, 25),), layer="rules")
    rule = schema.AllOf(rules=(held, schema.Unsupported(reason="unparsed")))
    parsed = schema.ParsedTrial(
        critnlp_version="0",
        pipeline=schema.Pipeline(name="p", version="0"),
        trial=schema.Trial(eligibility=text, sha256="0"),
        criteria=(criterion(rule, text, entities=(time,), computable="partial"),),
        warnings=(schema.Warning(code="impossible_value", message=""),),
    )
    counts = numeric.tally(parsed)
    assert counts["outcome", "facts, partial"] == 1
    assert counts["about", "lab"] == counts["warning", "impossible_value"] == counts["with a numeric fact", "criteria"] == 1
    assert counts["repair", "exponent # read as #"] == 1
    assert {row: n for (table, row), n in counts.items() if table == "token"} == {
        "in a fact": 1,
        "in a THRESHOLD, TEMPORAL or STAGING of no fact": 1,
        "not covered": 1,
    }


def test_the_list_of_annotation_faults_has_ids_and_reasons() -> None:
    listed = numeric.faults()
    assert listed
    assert all(re.fullmatch(r"\d+_NCT\d{8}", id) and reason for id, reason in listed.items())


# --- the audit --------------------------------------------------------------------------------------------------------


def trial(number: int, *facts: schema.Fact) -> schema.ParsedTrial:
    """A trial with one criterion that holds these facts."""
    text = "Platelets ≥ 50 x 109/L within 14 days"
    return schema.ParsedTrial(
        critnlp_version="0",
        pipeline=schema.Pipeline(name="p", version="0"),
        trial=schema.Trial(nct_id=f"NCT{number:08}", eligibility=text, sha256="0"),
        criteria=(criterion(schema.AllOf(rules=facts), text, computable="full"),),
    )


def test_a_draw_takes_numeric_facts_one_of_a_trial() -> None:
    plain = schema.Fact(about="condition", name="asthma")
    trials = [trial(n, fact("1"), fact("2"), plain) for n in range(30)]
    drawn = numeric_audit.draw(trials, 20, random.Random(3))
    assert len({entry.parsed.trial.nct_id for entry in drawn}) == len(drawn) == 20
    assert all(entry.fact.range for entry in drawn)
    assert {entry.fact.range.low for entry in drawn if entry.fact.range} == {"1", "2"}
    again = numeric_audit.draw(trials, 20, random.Random(3))
    assert [entry.parsed.trial.nct_id for entry in again] == [entry.parsed.trial.nct_id for entry in drawn]


def test_a_fact_without_a_place_is_told_apart() -> None:
    placed, held = fact("1"), fact("2")
    rule = schema.AllOf(rules=(placed, schema.Unsupported(reason="unparsed", facts=(held,))))
    parsed = trial(1).model_copy(update={"criteria": (criterion(rule, "Platelets ≥ 1 or so"),)})
    assert [(entry.fact, entry.held) for entry in numeric_audit.entries(parsed)] == [(placed, False), (held, True)]


def test_a_sheet_shows_the_characters_the_reading_and_the_rule() -> None:
    window = schema.Window(relation="within", high="14", high_inclusive=True, unit="d", anchor="enrollment")
    platelets = schema.Fact(
        about="lab",
        name="platelet count",
        range=schema.Range(low="50", low_inclusive=True, unit="10*9/L"),
        windows=(window,),
        start=0,
        end=22,
        repairs=("exponent 109 read as 10^9",),
    )
    parsed = trial(1, schema.Fact(about="condition", name="asthma"), platelets)
    shown = list(numeric_audit.sheet("N001", numeric_audit.Entry(parsed, parsed.criteria[0], platelets)))
    assert "TEXT  ⟦Platelets ≥ 50 x 109/L⟧ within 14 days" in shown
    assert "READ  lab: platelet count" in shown
    assert "READ  range: at least 50 10*9/L" in shown
    assert "READ  window: within, at most 14 d, anchor enrollment" in shown
    assert "READ  repair: exponent 109 read as 10^9" in shown
    assert "    all of" in shown
    assert "        condition: asthma" in shown
    assert any(line.startswith("        >>> lab: platelet count; range") for line in shown)


def test_every_node_of_a_rule_is_outlined() -> None:
    rest = schema.Unsupported(text="some  rest", reason="vague", facts=(fact("7"),))
    rule = schema.If(
        condition=schema.Not(rule=fact("1")),
        then=schema.AtLeast(n=2, rules=(schema.CriterionRef(id="I1.1"), rest)),
        otherwise=fact(high="3", inclusive=False),
    )
    assert list(numeric_audit.outline(rule)) == [
        "if",
        "    not",
        "        lab: marker; range: at least 1 (no unit)",
        "then",
        "    at least 2 of",
        "        criterion I1.1",
        "        unsupported (vague): some rest",
        "            lab: marker; range: at least 7 (no unit)",
        "else",
        "    lab: marker; range: less than 3 (no unit)",
    ]


def test_folder_record_and_report_hold_together(tmp_path: Path) -> None:
    drawn = numeric_audit.draw([trial(n, fact("1")) for n in range(60)], 60, random.Random(1))
    numeric_audit.write(drawn, 1, tmp_path)
    sheets = {"part-01.txt", "part-02.txt", "second-01.txt"}
    assert {path.name for path in tmp_path.iterdir()} == sheets | {"guide.md", "key.jsonl"}
    keys = [numeric_audit.Drawn(**json.loads(line)) for line in (tmp_path / "key.jsonl").read_text().splitlines()]
    said: list[dict[str, Any]] = [{"id": key.id, "verdict": "right"} for key in keys]
    said[0] |= {"verdict": "wrong", "factor_of_ten": True, "cause": "value: exponent lost"}
    said[1] |= {"place": "doubtful", "cause": "logic"}
    kept = list(numeric_audit.record(keys, said))
    assert [row["id"] for row in kept] == [key.id for key in keys]
    assert not [row for row in kept if {"text", "name"} & row.keys()]
    lines = list(numeric_audit.report(kept, kept[:4]))
    assert lines[1].startswith("fact wrong        1/60 = 1.67%")
    assert "     1 wrong    value" in lines
    assert "     1 doubtful logic" in lines
    assert any(line.startswith("second reader, same verdict 4/4") for line in lines)


@pytest.mark.parametrize(
    "said",
    [
        [{"id": "N001", "verdict": "good"}],
        [{"id": "N999", "verdict": "right"}],
        [{"id": "N001", "verdict": "right"}, {"id": "N001", "verdict": "wrong"}],  # a second reader's among the first's
    ],
)
def test_a_verdict_that_cannot_be_kept_is_refused(said: list[dict[str, str]]) -> None:
    key = numeric_audit.Drawn("N001", "NCT00000001", "I1", 0, 9, "lab", held=False, seed=1)
    with pytest.raises(SystemExit, match=said[-1]["id"]):
        list(numeric_audit.record([key], said))

"""Numbers, units, stages and time: phrases and the rules they become, read right or not at all.

`cases/facts.csv` holds one phrase per row with what the contract makes of it, in the notation of `notation.py`.
"""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

import critnlp
from critnlp import schema
from critnlp.sources import trial_of
from notation import compact, facts, leaves, range_text, remarks, same, tree, windows_text

CASES = Path(__file__).parent / "cases" / "facts.csv"
KINDS = {"I": "Inclusion Criteria", "E": "Exclusion Criteria"}
# Only these speak about a number; a row lists all of them that its phrase deserves.
DOUBTS = {"impossible_value", "comparator_lost", "contradiction"}


def rows() -> Iterator[dict[str, str]]:
    """The rows of the table of phrases."""
    lines = (line for line in CASES.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    yield from csv.DictReader(lines, strict=True)


ROWS = list(rows())


def item(text: str, kind: str = "I") -> str:
    """An eligibility text with one criterion."""
    return f"{KINDS[kind]}:\n\n* {text}"


@pytest.fixture(scope="session")
def nlp() -> Language:
    return critnlp.load()


def read(nlp: Language, text: str, kind: str = "I") -> tuple[schema.ParsedTrial, schema.Criterion]:
    """The parsed text and its one criterion."""
    parsed = critnlp.parse_text(item(text, kind), nlp)
    assert len(parsed.criteria) == 1, f"{text!r} is split into {[c.text for c in parsed.criteria]}"
    return parsed, parsed.criteria[0]


def agrees(expected: str, rule: schema.Rule) -> bool:
    """Whether a rule is what a row expects: a whole tree; after "facts:" its facts whatever its form; after "only:" no others."""
    mode, colon, parts = expected.partition(":")
    if not colon or mode not in ("facts", "only"):
        return same(expected, compact(rule))
    wanted = [part.strip() for part in parts.split("|") if part.strip()]
    found = list(facts(rule))
    beside = [*found, *remarks(rule)]
    numbers = [f for f in beside if f.range is not None or f.about in ("staging", "scale") or (f.windows and not wanted)]
    # Every fact that is listed is there, and no number, stage or score that is not.
    there = mode == "only" or all(any(fits(one, fact) for fact in found) for one in wanted)
    return there and all(any(fits(one, fact) for one in wanted) for fact in numbers)


def fits(expected: str, fact: schema.Fact) -> bool:
    """Whether a fact is the one expected: whole, by its range ("* >=2 #", "~age >=18 a"), its windows, or a stage's members."""
    if stage := re.fullmatch(r"(.+) has {(.*)} lacks {(.*)}", expected):
        system, wanted, unwanted = stage[1], _folded(stage[2].split(",")), _folded(stage[3].split(","))
        values = _folded(fact.values or ())
        known = fact.system in SYSTEMS.get(system, {system}) or system == "*"
        return fact.about == "staging" and known and wanted <= values and not unwanted & values
    if expected[0] in "*~":
        name, written = ("*", "") if fact.range is None else (fact.name.lower(), range_text(fact.range))
        return f"* {written}" == expected or f"~{name} {written}" == expected
    if expected.startswith("@"):
        return windows_text(fact) == expected
    return same(expected, compact(fact))


# Where no system is written, the common one may be named or none.
SYSTEMS = {"stage": {None, "stage", "AJCC"}, "grade": {None, "grade", "CTCAE"}}
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5"}


def _folded(values: Iterable[str]) -> set[str]:
    """Members of a staging system whatever the numerals: "IIIb" and "3B", "G3" and "3" are the same."""
    folded = set()
    for value in (value.strip().upper() for value in values):
        head = re.match(r"(?:G(?=\d))?(IV|I{1,3}|V)?(.*)", value)
        assert head
        folded.add(_ROMAN.get(head[1] or "", "") + head[2])
    return folded


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['family']}:{row['kind']}:{row['text']}" for row in ROWS])
def test_a_phrase_becomes_its_rule(nlp: Language, row: dict[str, str]) -> None:
    parsed, criterion = read(nlp, row["text"], row["kind"])
    expected = row["rule"].split(" OR ")
    assert any(agrees(one, criterion.rule) for one in expected), (
        f"\ntext     {row['text']}\nexpected {row['rule']}\nfound    {compact(criterion.rule)}"
    )
    if row["computable"]:
        assert criterion.computable == row["computable"]
    repairs = " | ".join(repair for fact in facts(criterion.rule) for repair in fact.repairs)
    for mended in filter(None, row["repairs"].split("|")):
        assert mended.casefold() in repairs.casefold()
    if row["warnings"] != "?":
        assert {warning.code for warning in parsed.warnings} & DOUBTS == set(filter(None, row["warnings"].split("|")))
    lawful(parsed)


def lawful(parsed: schema.ParsedTrial) -> None:
    """Every fact stands on characters of its criterion and on entities that exist."""
    for criterion in parsed.criteria:
        entities = {entity.id for entity in criterion.entities}
        for fact in (*facts(criterion.rule), *remarks(criterion.rule)):
            assert fact.start is not None
            assert fact.end is not None
            assert criterion.start <= fact.start < fact.end <= criterion.end
            assert set(fact.entities) <= entities
            assert fact.range is None or re.search(r"\d|[A-Za-z]{2}|[½¼¾⅓²³]", parsed.trial.eligibility[fact.start : fact.end])


# --- what makes no difference -----------------------------------------------------------------------------------------

SURE = [row for row in ROWS if "unsupported" not in row["rule"]]
SPELLINGS = {
    "<": ("\\<", "&lt;"),
    ">": ("\\>", "&gt;"),
    "^": ("\\^",),
    "≥": ("≥ ", "≥  "),
    "≤": ("≤ ", "≤  "),
    " ": ("  ", "\u00a0", "\t", "\n  "),
}


@settings(deadline=None, max_examples=150)
@given(row=st.sampled_from(SURE), data=st.data())
def test_white_space_and_escapes_change_nothing(nlp: Language, row: dict[str, str], data: st.DataObject) -> None:
    plain = html.unescape(re.sub(r"\\(?!\*)", "", row["text"]))  # a bare asterisk may begin an item
    places = [place for place, character in enumerate(plain) if character in SPELLINGS]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    spelling = data.draw(st.sampled_from(SPELLINGS[plain[place]]))
    if "\n" in spelling and not plain[place + 1].islower():
        return  # what stands at the head of a line may be an item's number or a heading: the layout's business
    _, before = read(nlp, plain, row["kind"])
    _, after = read(nlp, plain[:place] + spelling + plain[place + 1 :], row["kind"])
    assert compact(after.rule) == compact(before.rule)
    assert after.computable == before.computable


@settings(deadline=None, max_examples=60)
@given(row=st.sampled_from(SURE), end=st.sampled_from([";", ".", ",", " ;", "; and"]))
def test_what_ends_an_item_changes_nothing(nlp: Language, row: dict[str, str], end: str) -> None:
    text = row["text"].rstrip(";. ")
    _, before = read(nlp, text, row["kind"])
    _, after = read(nlp, text + end, row["kind"])
    assert compact(after.rule) == compact(before.rule)


# --- written by rule, read back ---------------------------------------------------------------------------------------

# name in the text, name of the fact, UCUM unit, ways to write the unit, sane values
ANALYTES = [
    ("Hemoglobin", "hemoglobin", "g/dL", ("g/dL", "g/dl", "gm/dL"), (6, 16)),
    ("Hb", "hemoglobin", "g/L", ("g/L", "g/l"), (60, 160)),
    ("Platelet count", "platelet count", "10*9/L", ("x 10^9/L", "× 10⁹/L", "x10E9/L", "× 109/L", "G/L"), (20, 400)),
    ("Platelets", "platelet count", "/mm3", ("/mm3", "/mm³", "/mm^3", "cells/mm3"), (20000, 400000)),
    ("ANC", "absolute neutrophil count", "/uL", ("/µL", "/uL", "cells/mcL", "per microliter"), (500, 8000)),
    ("Serum albumin", "albumin", "g/dL", ("g/dL", "g/dl"), (2, 5)),
    ("Creatinine clearance", "creatinine clearance", "mL/min", ("mL/min", "ml/min", "mL/minute"), (20, 90)),
    ("Serum potassium", "potassium", "mmol/L", ("mmol/L", "mmol/l"), (3, 6)),
    ("LVEF", "left ventricular ejection fraction", "%", ("%", " %", " percent"), (30, 60)),
    ("HbA1c", "hemoglobin a1c", "%", ("%", " %"), (6, 12)),
    ("ALT", "alanine aminotransferase", "xULN", ("x ULN", "times the upper limit of normal", "× ULN", "times ULN"), (1, 10)),
    ("Total bilirubin", "total bilirubin", "xULN", ("x ULN", "X ULN", "times upper limit of normal (ULN)"), (1, 5)),
    ("Body weight", "body weight", "kg", ("kg", " kilograms"), (30, 120)),
    ("Heart rate", "heart rate", "/min", ("bpm", "beats/min", "beats per minute"), (40, 130)),
    ("QTcF", "corrected qt interval by fridericia", "ms", ("ms", "msec", "milliseconds"), (400, 500)),
    ("BMI", "body mass index", "kg/m2", ("kg/m2", "kg/m²", "kg/m^2"), (16, 45)),
]
ONE_SIDED = {
    ">={}": (
        "≥ {}",
        "≥{}",
        ">= {}",
        "\\>= {}",
        "&gt;= {}",
        "of at least {}",
        "greater than or equal to {}",
        "{} or higher",
        "not less than {}",
        "=> {}",
    ),
    ">{}": ("> {}", "greater than {}", "above {}", "&gt;{}", "higher than {}"),
    "<={}": (
        "≤ {}",
        "≤{}",
        "<= {}",
        "=< {}",
        "no more than {}",
        "not exceeding {}",
        "up to {}",
        "less than or equal to {}",
        "{} or less",
    ),
    "<{}": ("< {}", "less than {}", "below {}", "&lt; {}", "lower than {}"),
}
TWO_SIDED = {
    ">={0} <={1}": (
        "between {0} and {1}",
        "from {0} to {1}",
        "{0}-{1}",
        "{0} – {1}",
        "≥ {0} and ≤ {1}",
        "at least {0} but not more than {1}",
    ),
    ">={0} <{1}": ("≥ {0} and < {1}", "≥ {0} to < {1}"),
    ">{0} <={1}": ("> {0} and ≤ {1}",),
    ">{0} <{1}": ("> {0} and < {1}", "greater than {0} and less than {1}"),
}


def _number(data: st.DataObject, low: int, high: int, grouped: bool) -> tuple[str, str]:
    """A number of the range and a way to write it."""
    if high > 1000:
        value = str(data.draw(st.integers(low // 100, high // 100)) * 100)
        return value, f"{int(value):,}" if grouped else value
    if high <= 20:
        tenths = data.draw(st.integers(low * 10, high * 10))
        value = f"{tenths // 10}.{tenths % 10}" if data.draw(st.booleans()) else str(tenths // 10)
        return value, value
    value = str(data.draw(st.integers(low, high)))
    return value, value


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_what_is_written_is_read_back(nlp: Language, data: st.DataObject) -> None:
    name, expected_name, expected_unit, units, (low, high) = data.draw(st.sampled_from(ANALYTES))
    written_unit = data.draw(st.sampled_from(units))
    gap = "" if written_unit[0] in " %/" else " "
    kind = data.draw(st.sampled_from("IE"))
    grouped = data.draw(st.booleans())
    first, second = (_number(data, low, high, grouped) for _ in range(2))
    if data.draw(st.booleans()) and float(first[0]) < float(second[0]):
        expected_bounds, styles = data.draw(st.sampled_from(sorted(TWO_SIDED.items())))
        text = data.draw(st.sampled_from(styles)).format(first[1], f"{second[1]}{gap}{written_unit}")
        expected_bounds = expected_bounds.format(first[0], second[0])
    else:
        expected_bounds, styles = data.draw(st.sampled_from(sorted(ONE_SIDED.items())))
        text = data.draw(st.sampled_from(styles)).format(f"{first[1]}{gap}{written_unit}")
        expected_bounds = expected_bounds.format(first[0])
    parsed, criterion = read(nlp, f"{name} {text}", kind)
    assert same(f"{expected_name} {expected_bounds} {expected_unit}", compact(criterion.rule)), compact(criterion.rule)
    assert criterion.computable == "full"
    lawful(parsed)


TIMES = [("d", "days"), ("wk", "weeks"), ("mo", "months"), ("a", "years"), ("wk", "wks"), ("mo", "mos.")]
ANCHORS = [
    ("", "enrollment"),
    (" randomization", "randomization"),
    (" first_dose", "the first dose of study drug"),
    (" screening", "screening"),
]


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_a_window_that_is_written_is_read_back(nlp: Language, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 30))
    unit, written = data.draw(
        st.sampled_from([("d", "days"), ("wk", "weeks"), ("mo", "months"), ("a", "years"), ("wk", "wks"), ("mo", "mos.")])
    )
    anchor, event = data.draw(
        st.sampled_from(
            [
                ("", "enrollment"),
                (" randomization", "randomization"),
                (" first_dose", "the first dose of study drug"),
                (" screening", "screening"),
            ]
        )
    )
    inclusive, lead = data.draw(st.sampled_from([("<=", "within"), ("<=", "≤"), ("<", "<"), ("<", "less than")]))
    before = data.draw(st.sampled_from(["prior to", "before"]))
    _, criterion = read(nlp, f"Chemotherapy {lead} {number} {written} {before} {event}", "E")
    assert [windows_text(fact) for fact in facts(criterion.rule)] == [f"@within {inclusive}{number} {unit}{anchor}"]


# --- what stands beside the rule --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hemoglobin ≥ 9 g/dL", "Hemoglobin ≥ 90 g/L"),
        ("Hemoglobin ≥ 9 g/dL", "Hemoglobin ≥ 5.59 mmol/L"),
        ("Platelets ≥ 100 x 10^9/L", "Platelets ≥ 100,000/mm3"),
        ("Platelets ≥ 100 x 10^9/L", "Platelets ≥ 100 K/µL"),
        ("Platelets ≥ 100 x 109/L", "Platelets ≥ 100 G/L"),
        ("Serum creatinine ≤ 1.5 mg/dL", "Serum creatinine ≤ 132.6 µmol/L"),
        ("Total bilirubin ≤ 1.5 mg/dL", "Total bilirubin ≤ 25.65 µmol/L"),
        ("Fasting plasma glucose ≥ 126 mg/dL", "Fasting plasma glucose ≥ 6.99 mmol/L"),
        ("HbA1c ≤ 7.0%", "HbA1c ≤ 53 mmol/mol"),
        ("LDL-C ≥ 100 mg/dL", "LDL-C ≥ 2.586 mmol/L"),
        ("Triglycerides ≥ 150 mg/dL", "Triglycerides ≥ 1.693 mmol/L"),
        ("Serum calcium ≤ 10 mg/dL", "Serum calcium ≤ 2.495 mmol/L"),
        ("25-hydroxyvitamin D < 20 ng/mL", "25-hydroxyvitamin D < 49.9 nmol/L"),
        ("Testosterone < 50 ng/dL", "Testosterone < 1.734 nmol/L"),
        ("Blood urea nitrogen < 20 mg/dL", "Blood urea nitrogen < 7.14 mmol/L"),
        ("Uric acid > 6.8 mg/dL", "Uric acid > 404.5 µmol/L"),
        ("Serum albumin ≥ 3.5 g/dL", "Serum albumin ≥ 35 g/L"),
        ("Serum potassium ≤ 5.5 mEq/L", "Serum potassium ≤ 5.5 mmol/L"),
        ("CRP ≥ 1 mg/dL", "CRP ≥ 10 mg/L"),
        ("Body weight ≥ 110 lbs", "Body weight ≥ 49.9 kg"),
        ("Body temperature > 100.4 °F", "Body temperature > 38.0 °C"),
        ("QTcF > 0.45 sec", "QTcF > 450 ms"),
    ],
)
def test_two_units_have_one_canonical_bound(nlp: Language, one: str, other: str) -> None:
    pair = [next(facts(read(nlp, text)[1].rule)).canonical for text in (one, other)]
    assert pair[0] is not None
    assert pair[1] is not None
    assert pair[0].unit == pair[1].unit
    low, high = ((pair[0].low, pair[1].low), (pair[0].high, pair[1].high))
    known, beside = (low, high) if low[0] else (high, low)
    assert beside == (None, None)
    assert float(known[0] or "nan") == pytest.approx(float(known[1] or "nan"), rel=0.005)


@pytest.mark.parametrize("text", ["ALT ≤ 2.5 x ULN", "FEV1 ≥ 40% predicted", "Serum creatinine ≤ 2 x baseline"])
def test_a_ratio_has_no_canonical_bound(nlp: Language, text: str) -> None:
    assert [fact.canonical for fact in facts(read(nlp, text)[1].rule)] == [None]


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("Platelets ≥ 100 x 10^9/L", "lab"),
        ("HbA1c ≤ 9%", "lab"),
        ("Systolic blood pressure ≤ 140 mmHg", "vital"),
        ("Heart rate ≥ 50 bpm", "vital"),
        ("LVEF ≥ 50%", "measurement"),
        ("FEV1 ≥ 40% predicted", "measurement"),
        ("ECOG performance status 0-1", "scale"),
        ("MMSE ≥ 24", "scale"),
        ("NYHA class II or III", "staging"),
        ("FIGO stage III", "staging"),
        ("Age ≥ 18 years", "age"),
        ("Female", "sex"),
        ("Life expectancy ≥ 3 months", "observation"),
        ("No stroke within 6 months", "condition"),
        ("No chemotherapy within 4 weeks", "drug"),
        ("No radiotherapy within 4 weeks", "procedure"),
    ],
)
def test_a_fact_says_what_it_is_about(nlp: Language, text: str, about: str) -> None:
    assert {fact.about for fact in facts(read(nlp, text)[1].rule)} == {about}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Platelets ≥ 100 x 10^9/L", {"26515-7", "777-3"}),
        ("Hemoglobin ≥ 9 g/dL", {"718-7", "30350-3"}),
        ("HbA1c ≤ 9%", {"4548-4", "17856-6"}),
        ("Serum creatinine ≤ 1.5 mg/dL", {"2160-0"}),
        ("ALT ≤ 100 U/L", {"1742-6"}),
    ],
)
def test_a_lab_has_its_loinc_code(nlp: Language, text: str, code: set[str]) -> None:
    (fact,) = facts(read(nlp, text)[1].rule)
    assert code & {coding.code for coding in fact.codes if coding.system == "http://loinc.org"}


@pytest.mark.parametrize(
    ("inclusion", "exclusion", "contradict"),
    [
        ("Hemoglobin ≥ 10 g/dL", "Hemoglobin ≥ 9 g/dL", True),
        ("Hemoglobin ≥ 10 g/dL", "Hemoglobin ≥ 90 g/L", True),
        ("Hemoglobin ≥ 10 g/dL", "Hemoglobin < 10 g/dL", False),
        ("Hemoglobin ≥ 10 g/dL", "Hemoglobin < 9 g/dL", False),
        ("Hemoglobin ≥ 10 g/dL", "Hemoglobin > 16 g/dL", False),
        ("Age ≥ 18 years", "Age > 17 years", True),
        ("Age ≥ 18 years", "Age > 75 years", False),
        ("Serum creatinine ≤ 1.5 mg/dL", "Serum creatinine < 2 mg/dL", True),
        ("Serum creatinine ≤ 1.5 x ULN", "Serum creatinine > 2 mg/dL", False),
    ],
)
def test_bounds_that_nobody_meets_are_a_contradiction(nlp: Language, inclusion: str, exclusion: str, contradict: bool) -> None:
    parsed = critnlp.parse_text(f"{item(inclusion)}\n\n{item(exclusion, 'E')}", nlp)
    assert ("contradiction" in {warning.code for warning in parsed.warnings}) is contradict


@pytest.mark.parametrize(
    ("text", "fields", "conflict"),
    [
        ("Age ≥ 18 years", {"minimum_age": schema.Quantity(value="18", unit="a")}, False),
        ("Age ≥ 18 years", {"minimum_age": schema.Quantity(value="21", unit="a")}, True),
        ("Age 18-65 years", {"maximum_age": schema.Quantity(value="65", unit="a")}, False),
        ("Age 18-65 years", {"maximum_age": schema.Quantity(value="75", unit="a")}, True),
        ("Age 6 to 24 months", {"minimum_age": schema.Quantity(value="6", unit="mo")}, False),
        ("Age 6 to 24 months", {"minimum_age": schema.Quantity(value="6", unit="a")}, True),
        ("Age ≥ 1 year", {"minimum_age": schema.Quantity(value="12", unit="mo")}, False),
        ("Women", {"sex": "female"}, False),
        ("Women", {"sex": "male"}, True),
        ("Male or female", {"sex": "all"}, False),
        ("Hemoglobin ≥ 9 g/dL", {"sex": "female", "minimum_age": schema.Quantity(value="18", unit="a")}, False),
    ],
)
def test_the_registrys_own_fields_are_compared(nlp: Language, text: str, fields: dict[str, Any], conflict: bool) -> None:
    trial = trial_of(item(text)).model_copy(update=fields)
    codes = {warning.code for warning in critnlp.parse(trial, nlp).warnings}
    assert ("registry_conflict" in codes) is conflict


# --- the table and its notation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("any_of(a; b)", "any_of(b; a)", True),
        ("all_of(a; all_of(b; c))", "all_of(a; b; c)", True),
        ("any_of(a; b)", "all_of(a; b)", False),
        ("all_of(a; note(permitted))", "a", True),
        ("all_of(a; unsupported(vague))", "a", False),
        ("if(sex={female}; a; b)", "any_of(all_of(sex={female}; a); all_of(sex={male}; b))", True),
        ("if(sex={female}; a; b)", "any_of(a; b)", False),
        ("if(c; a; b)", "if(c; b; a)", False),
        ("at_least(2; a; b; c)", "any_of(all_of(a; b); all_of(a; c); all_of(b; c))", True),
        ("not(any_of(a; b))", "all_of(not(a); not(b))", True),
        ("TNM-T={T4,T3}", "TNM-T={T3, T4}", True),
        ("a >=7 g/dL", "a >7 g/dL", False),
    ],
)
def test_notations_are_compared_by_what_they_mean(one: str, other: str, alike: bool) -> None:
    assert same(one, other) is alike


def test_the_notation_holds_what_a_fact_says() -> None:
    fact = schema.Fact(
        about="drug",
        name="Platinum",
        range=schema.Range(low="2", low_inclusive=True, high="4", high_inclusive=False, unit="{lines}", measures="count"),
        status="history",
        windows=(
            schema.Window(
                relation="within", high="5", high_inclusive=True, unit="{half-life}", anchor="first_dose", choose="longer"
            ),
        ),
        exceptions=(schema.Fact(about="drug", name="adjuvant therapy"),),
    )
    assert compact(fact) == "platinum >=2 <4 # [history] @within <=5 {half-life} first_dose longer except(adjuvant therapy)"
    ratio = schema.Range(high="1", high_inclusive=True, unit="1", relative_to="ULN", relation="ratio")
    assert range_text(ratio) == "<=1 xULN"


def test_every_family_has_its_phrases() -> None:
    count: dict[str, int] = {}
    for row in ROWS:
        count[row["family"]] = count.get(row["family"], 0) + 1
    assert len(ROWS) >= 600
    assert {family: n for family, n in count.items() if n < 15} == {}
    assert len({(row["kind"], row["text"]) for row in ROWS}) == len(ROWS)


def test_the_expectations_are_notation() -> None:
    for row in ROWS:
        for expected in row["rule"].split(" OR "):
            parts = re.sub("^(facts|only):", "", expected).split("|")
            for leaf in (leaf for part in parts for leaf in leaves(tree(part))):
                assert not re.search(r"[≥≤]|[<>]=?(\s|$)|=(\s|$)|[^\s<>]=\d", leaf), leaf


LISTS = [
    ("except for:", "Exclusion Criteria:\n\n* Another malignancy except for:\n  * Melanoma, stage I\n",
     ["unsupported(unparsed)", "unsupported(unparsed)"]),
    ("outside:", "Exclusion Criteria:\n\n* Any value outside these ranges:\n  * Sodium: 130 - 150 mmol/L\n",
     ["all_of(unsupported(unparsed); any_of(criterion(E1.1)))", "unsupported(unparsed)"]),
    ("allowed:", "Inclusion Criteria:\n\n* Allowed before entry:\n  * Hemoglobin ≥ 8 g/dL\n",
     ["unsupported(unparsed)", "unsupported(unparsed)"]),
    ("items that end in or", "Inclusion Criteria:\n\n* Measurable by\n  * ferritin ≥ 500 ug/L or\n  * ferritin ≥ 2 xULN\n",
     ["all_of(unsupported(unparsed); any_of(criterion(I1.1); criterion(I1.2)))", "ferritin >=500 ug/L", "ferritin >=2 xULN"]),
    ("criteria that or ties", "Inclusion Criteria:\n\n* FEV1 at least 1.8 L OR\n* Age ≥ 70 years\n* BMI < 30 kg/m2\n",
     ["unsupported(unparsed)", "unsupported(unparsed)", "body mass index <30 kg/m2"]),
    ("a past lead-in", "Exclusion Criteria:\n\n* History or presence of heart disease:\n  * Heart failure (NYHA class III or IV)\n",
     ["all_of(unsupported(unparsed); any_of(criterion(E1.1)))", "NYHA={III,IV} of heart failure [history]"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rules"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
def test_a_lead_in_says_how_its_items_are_meant(nlp: Language, text: str, rules: list[str]) -> None:
    found = [compact(criterion.rule) for criterion in critnlp.parse_text(text, nlp).criteria]
    assert found == rules

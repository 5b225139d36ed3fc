"""Comparisons: a table of phrases, spans that are slices of the text, and the laws that every text keeps."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from critnlp import lexicon, schema
from critnlp.cleaning import clean
from critnlp.quantities import Bound, Op, Threshold, find, merged, parse_threshold

CASES = [
    (row["text"], row["expect"], row["repairs"])
    for _, row in lexicon.parse((Path(__file__).parent / "cases" / "thresholds.csv").read_text(encoding="utf-8"), "thresholds.csv")
]

untimed = settings(deadline=None)  # the first look loads the tables


# --- notation ---------------------------------------------------------------------------------------------------------


def sides(threshold: Threshold) -> str:
    """The bounds of a threshold: ">7 <=10", ">=160/100", "{0,1}", "=5"."""
    if threshold.form == "list":
        return "{" + ",".join(threshold.values) + "}"
    if threshold.form == "bare":
        return f"={threshold.low.value}" if threshold.low else ""
    second = threshold.second
    low, high = (
        f"{sign}{'=' if bound.inclusive else ''}{bound.value}{f'/{other.value}' if other else ''}" if bound else ""
        for sign, bound, other in (
            (">", threshold.low, second and second.low),
            ("<", threshold.high, second and second.high),
        )
    )
    return f"{low} {high}".strip()


def told(threshold: Threshold) -> str:
    """A threshold in the notation of the table."""
    if threshold.problem:
        return f"?{threshold.problem}"
    reference: str = threshold.relative_to or ""
    if reference and reference not in ("percentile", "z_score"):
        reference = ("+" if threshold.relation == "difference" else "x") + reference
    marks = [mark for mark in ("age", "reversed", "plus") if getattr(threshold, mark)]
    return " ".join(filter(None, (sides(threshold), threshold.unit, reference, *marks)))


def shown(text: str) -> str:
    """The thresholds of a text in the notation of the table; a bare number only behind a sign of equality."""
    return " ; ".join(told(threshold) for threshold in find(text) if threshold.form != "bare" or threshold.equals)


def nothing_certain(text: str) -> bool:
    """Whether no threshold of a text can be trusted: each is a bare number or has a problem."""
    return all(threshold.form == "bare" or threshold.problem for threshold in find(text))


# --- phrases ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expect", "repairs"), CASES)
def test_a_phrase_has_its_thresholds(text: str, expect: str, repairs: str) -> None:
    if expect == "?":
        assert nothing_certain(text)
        return
    assert shown(text) == expect
    told_of = [repair for threshold in find(text) if threshold.form != "bare" or threshold.equals for repair in threshold.repairs]
    assert "|".join(told_of) == repairs


def test_there_are_enough_phrases_and_none_stands_twice() -> None:
    assert len({text for text, _, _ in CASES}) == len(CASES) >= 700


@pytest.mark.parametrize("table", ["comparators", "references"])
def test_every_row_of_the_tables_is_in_a_phrase(table: str) -> None:
    for row in lexicon.table(table):
        if row["pattern"].startswith("up to but"):  # the row of "up to" stands before it and wins
            continue
        pattern = re.compile(row["pattern"], re.IGNORECASE)
        assert any(pattern.search(text) for text, _, _ in CASES), row


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Platelets ≥ 75 x 10^9/L without support", ["≥ 75 x 10^9/L"]),
        ("ALT (≤ 2.5 times the upper limit of normal) and AST", ["≤ 2.5 times the upper limit of normal"]),
        ("Men 18 years or older.", ["18 years or older"]),
        ("Women between the ages of 18 and 45 years, inclusive", ["between the ages of 18 and 45 years, inclusive"]),
        ("HbA1c ≥ 7.0% and ≤ 10.0% at screening", ["≥ 7.0% and ≤ 10.0%"]),
        ("HbA1c between 7.0% and 10.0%;", ["between 7.0% and 10.0%"]),
        ("ECOG score of 0 or 1", ["0 or 1"]),
        ("Systolic pressure of 160 mmHg or more", ["160 mmHg or more"]),
        ("Blood pressure > 160/100 mmHg on treatment", ["> 160/100 mmHg"]),
        ("Pain of ≥ 4/10 at rest", ["≥ 4/10"]),
        ("FEV1 < 80% of the predicted value.", ["< 80% of the predicted value"]),
        ("QTc > 470 msec (female) or > 450 msec (male)", ["> 470 msec", "> 450 msec"]),
        ("At least two (2) lesions", ["At least two (2)"]),
        ("Hemoglobin at least 9.0 g/dl, if transfused", ["at least 9.0 g/dl"]),
        ("HbA1c 7-10 % (53-86 mmol/mol)", ["7-10 %", "53-86 mmol/mol"]),
        ("ALT ≤ 3 x ULN (≤ 5 x ULN if metastases)", ["≤ 3 x ULN", "≤ 5 x ULN"]),
        ("Albumin: not less than 3 g/dL, bilirubin: < 2 mg/dL", ["not less than 3 g/dL", "< 2 mg/dL"]),
        ("Bilirubin > ULN", ["> ULN"]),
        ("Creatinine (mg/dL) > 1.5", ["> 1.5"]),
    ],
)
def test_a_span_holds_comparator_number_unit_and_reference(text: str, spans: list[str]) -> None:
    found = [text[threshold.start : threshold.end] for threshold in find(text) if threshold.form != "bare"]
    assert found == spans


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("platelets ≥ 100 x 10^9/L", "≥ 100 x 10^9/L"),
        ("3 cycles of a drug, then ANC > 1.5", "> 1.5"),
        ("a dose of 50 mg", "50 mg"),
        ("5 mg, then 7 mg", "5 mg"),
        ("no number at all", None),
        ("", None),
    ],
)
def test_the_first_comparison_of_a_text(text: str, read: str | None) -> None:
    threshold = parse_threshold(text)
    assert (threshold and text[threshold.start : threshold.end]) == read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("≥ 1.5 x ULN", schema.Range(low="1.5", low_inclusive=True, relative_to="ULN", relation="ratio")),
        ("< 3 g/dL", schema.Range(high="3", high_inclusive=False, unit="g/dL")),
        ("> 7 and ≤ 10 %", schema.Range(low="7", low_inclusive=False, high="10", high_inclusive=True, unit="%")),
        ("between 10 and 7 %", None),
        ("0 or 1", None),
        ("Albumin > 20 frobs/dL", None),
    ],
)
def test_a_range_is_that_of_the_contract(text: str, expected: schema.Range | None) -> None:
    threshold = parse_threshold(text)
    assert threshold is not None
    assert threshold.range == expected


# --- what is written is read ------------------------------------------------------------------------------------------

BEFORE: dict[Op, tuple[str, ...]] = {
    "ge": (
        *("≥", "≥ ", ">=", ">= ", "> = ", ">/= ", "=> ", "=/> ", "≧", "⩾ ", "> or = ", "> or equal to ", "not < ", "no < "),
        *("at least ", "not less than ", "no lower than ", "no fewer than ", "greater than or equal to ", "more than or equal to "),
        *("equal to or greater than ", "equal or above ", "a minimum of ", "minimum ", "minimum of ", "at or above ", "not below "),
        *("Greater than or equal to ", "AT LEAST ", "at least approximately ", "higher or equal to ", "min. ", "at least ≥ "),
    ),
    "gt": (
        *(">", "> ", "＞", "﹥ ", "greater than ", "more than ", "higher than ", "above ", "over ", "exceeding ", "exceeds "),
        *("in excess of ", "greater then ", "superior to ", "strictly greater than ", "More Than ", "beyond ", "not ≤ "),
    ),
    "le": (
        *("≤", "≤ ", "<=", "<= ", "< = ", "</= ", "=< ", "=/< ", "≦", "⩽ ", "< or = ", "< or equal to ", "not > "),
        *("at most ", "no more than ", "not more than ", "no greater than ", "not exceeding ", "up to ", "up to and including "),
        *("less than or equal to ", "lower than or equal to ", "equal to or less than ", "equal or below ", "at or below "),
        *("a maximum of ", "maximum ", "not to exceed ", "must not exceed ", "does not exceed ", "NOT EXCEEDING ", "not above "),
    ),
    "lt": (
        *("<", "< ", "＜", "﹤ ", "less than ", "fewer than ", "lower than ", "below ", "under ", "beneath ", "inferior to "),
        *("less then ", "strictly less than ", "Less Than ", "not ≥ "),
    ),
    "eq": (),
}
BEHIND: dict[Op, tuple[str, ...]] = {
    "ge": (" or more", " or greater", " or higher", " or above", " and above", " or over", ", or higher", " (or more)"),
    "le": (" or less", " or lower", " or below", " and below", ", or lower", " (or less)"),
    "gt": (),
    "lt": (),
    "eq": (),
}
# How a unit may be written, and its code.
UNITS = {
    " mg/dL": "mg/dL",
    "mg/dl": "mg/dL",
    " g/L": "g/L",
    " µmol/L": "umol/L",
    " mmol / L": "mmol/L",
    " %": "%",
    "%": "%",
    " percent": "%",
    " mL/min": "mL/min",
    " mL/min/1.73 m2": "mL/min/{1.73_m2}",
    " kg/m²": "kg/m2",
    " mm Hg": "mm[Hg]",
    " bpm": "/min",
    " IU/L": "[IU]/L",
    " ng per mL": "ng/mL",
    " cells/mm3": "/mm3",
    "/µL": "/uL",
    " x 10^9/L": "10*9/L",
    " × 10⁹/L": "10*9/L",
    "x10E3/uL": "10*3/uL",
    " x 10(12) / L": "10*12/L",
    " cm": "cm",
    " weeks": "wk",
    "-month": "mo",
    " hours": "h",
}
REFERENCES: dict[str, tuple[str | None, schema.RelativeTo, Literal["ratio", "difference"]]] = {
    " x ULN": (None, "ULN", "ratio"),
    "×ULN": (None, "ULN", "ratio"),
    " times the ULN": (None, "ULN", "ratio"),
    " times upper limit of normal": (None, "ULN", "ratio"),
    " x the institutional upper limit of normal (ULN)": (None, "ULN", "ratio"),
    "-fold the upper normal limit": (None, "ULN", "ratio"),
    " ULN": (None, "ULN", "ratio"),
    "% of the ULN": ("%", "ULN", "ratio"),
    " x LLN": (None, "LLN", "ratio"),
    " times the lower limit of normal": (None, "LLN", "ratio"),
    " x baseline": (None, "baseline", "ratio"),
    " times the baseline value": (None, "baseline", "ratio"),
    " % of baseline": ("%", "baseline", "ratio"),
    "% predicted": ("%", "predicted", "ratio"),
    " % of the predicted value": ("%", "predicted", "ratio"),
    " mg/dL above the ULN": ("mg/dL", "ULN", "difference"),
    " g/L over baseline": ("g/L", "baseline", "difference"),
    " SD above the mean": (None, "z_score", "ratio"),
    " standard deviations": (None, "z_score", "ratio"),
}
VALUES = st.one_of(
    st.integers(1, 9999).map(str),
    st.decimals("0.01", "9.99", places=2).map(lambda value: f"{value:f}"),
    st.decimals(1, 999, places=1).map(lambda value: f"{value:f}"),
)
OPS = st.sampled_from([(op, written) for op, ways in BEFORE.items() for written in ways])
OPS_BEHIND = st.sampled_from([(op, written) for op, ways in BEHIND.items() for written in ways])
MEASURES = st.sampled_from(
    [(written, unit, None, None) for written, unit in UNITS.items()]
    + [(written, *reference) for written, reference in REFERENCES.items()]
    + [("", None, None, None)]
)
Measure = tuple[str, str | None, schema.RelativeTo | None, Literal["ratio", "difference"] | None]


def bounded(op: Op, value: str, measure: Measure, start: int, end: int) -> Threshold:
    """The threshold that says no more than its comparator, value, unit and reference."""
    end_of_range = Bound(value, inclusive=op in ("ge", "le"))
    upward = op in ("ge", "gt")
    low, high = (end_of_range, None) if upward else (None, end_of_range)
    _, unit, reference, relation = measure
    return Threshold(start, end, low, high, unit, reference, relation)


@untimed
@given(OPS, VALUES, MEASURES)
def test_a_bound_that_is_written_is_read(comparator: tuple[Op, str], value: str, measure: Measure) -> None:
    op, written = comparator
    phrase = f"{written}{value}{measure[0]}"
    for before, behind in (("", ""), ("Analyte ", ""), ("Analyte: ", " at entry"), ("Analyte (", ")"), ("analyte ", "; others")):
        expected = bounded(op, value, measure, len(before), len(before) + len(phrase))
        assert find(f"{before}{phrase}{behind}") == (expected,), f"{before}{phrase}{behind}"


@untimed
@given(OPS_BEHIND, VALUES, MEASURES)
def test_a_bound_with_its_comparator_behind_is_read(comparator: tuple[Op, str], value: str, measure: Measure) -> None:
    op, written = comparator
    phrase = f"{value}{measure[0]}{written}"
    assert find(f"Analyte of {phrase}") == (bounded(op, value, measure, 11, 11 + len(phrase)),)


ENDS = (
    st.tuples(VALUES, VALUES)
    .map(lambda ends: tuple(sorted(ends, key=Decimal)))
    .filter(lambda ends: Decimal(ends[0]) < Decimal(ends[1]))
)
PLAIN_UNITS = st.sampled_from([*UNITS.items()]).filter(lambda unit: unit[1] not in ("wk", "mo", "h"))
# How a range is written, and whether its ends belong to it.
RANGES = {
    "{low}-{high}{unit}": ("ge", "le"),
    "{low} - {high}{unit}": ("ge", "le"),
    "{low}–{high}{unit}": ("ge", "le"),
    "{low}{unit} - {high}{unit}": ("ge", "le"),
    "{low} to {high}{unit}": ("ge", "le"),
    "{low}{unit} to {high}{unit}": ("ge", "le"),
    "from {low} to {high}{unit}": ("ge", "le"),
    "between {low} and {high}{unit}": ("ge", "le"),
    "between {low}{unit} and {high}{unit}": ("ge", "le"),
    "between {low} and {high}{unit} (inclusive)": ("ge", "le"),
    "between {low} and {high}{unit}, exclusive": ("gt", "lt"),
    "≥ {low}{unit} and ≤ {high}{unit}": ("ge", "le"),
    "> {low}{unit} and < {high}{unit}": ("gt", "lt"),
    ">{low} but <{high}{unit}": ("gt", "lt"),
    "at least {low}{unit} but no more than {high}{unit}": ("ge", "le"),
    "greater than {low} and less than or equal to {high}{unit}": ("gt", "le"),
    "{low}{unit} or more but less than {high}{unit}": ("ge", "lt"),
    "< {high}{unit} and > {low}{unit}": ("gt", "lt"),
    "at most {high}{unit} and at least {low}{unit}": ("ge", "le"),
    "≥ {low}{unit}, < {high}{unit}": ("ge", "lt"),
}


@untimed
@given(ENDS, PLAIN_UNITS, st.sampled_from([*RANGES]))
def test_a_range_that_is_written_is_read(ends: tuple[str, str], unit: tuple[str, str], form: str) -> None:
    low, high = ends
    (threshold,) = find(f"Analyte {form.format(low=low, high=high, unit=unit[0])}")
    bottom, top = RANGES[form]
    expected = Threshold(
        8, threshold.end, Bound(low, bottom == "ge"), Bound(high, top == "le"), unit[1], form="range", repairs=threshold.repairs
    )
    assert threshold == expected


@untimed
@given(ENDS, PLAIN_UNITS, st.sampled_from([*RANGES]))
def test_a_reversed_range_has_a_problem(ends: tuple[str, str], unit: tuple[str, str], form: str) -> None:
    high, low = ends
    text = f"Analyte {form.format(low=low, high=high, unit=unit[0])}"
    assert any(threshold.problem for threshold in find(text)), text
    assert nothing_certain(text)


@untimed
@given(VALUES, PLAIN_UNITS, st.sampled_from([form for form, ends in RANGES.items() if ends != ("ge", "le")]))
def test_an_empty_range_has_a_problem(value: str, unit: tuple[str, str], form: str) -> None:
    text = f"Analyte {form.format(low=value, high=value, unit=unit[0])}"
    assert any(threshold.problem for threshold in find(text)), text
    assert nothing_certain(text)


@untimed
@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=5, unique=True), st.sampled_from([" or ", ", or ", " and ", " and/or ", ", "])
)
def test_a_list_that_is_written_is_read(members: list[int], joint: str) -> None:
    first, last = ", ".join(map(str, members[:-1])), str(members[-1])
    text = f"Score of {first}{joint}{last}"
    expected = Threshold(9, len(text), values=tuple(map(str, members)), form="list")
    assert find(text) == (expected,)


@untimed
@given(OPS, st.integers(100, 220), st.integers(40, 99), st.sampled_from([" mmHg", " mm Hg", ""]))
def test_a_pair_that_is_written_is_read(comparator: tuple[Op, str], systolic: int, diastolic: int, unit: str) -> None:
    op, written = comparator
    phrase = f"{written}{systolic}/{diastolic}{unit}"
    (whole,) = find(f"Pressure {phrase}")
    measure = (unit, "mm[Hg]" if unit else None, None, None)
    assert whole.second is not None
    assert replace(whole, second=None, form="bound") == bounded(op, str(systolic), measure, 9, 9 + len(phrase))
    second = bounded(op, str(diastolic), measure, whole.second.start, whole.second.end)
    assert (whole.form, whole.second) == ("pair", second)


# --- white space and escapes ------------------------------------------------------------------------------------------

PHRASES = [text for text, _, _ in CASES]
# Signs that stand in no word and before no word of a comparison: the blanks around them are free.
SIGN = re.compile(r"(?<=[\w%)]) ?([≥≤⩾⩽≧≦＞＜]) ?(?=\d)")


def without_place(thresholds: tuple[Threshold, ...]) -> list[Threshold]:
    """Thresholds without their offsets, and with the text of their repairs without white space."""
    return [
        replace(
            each,
            start=0,
            end=0,
            repairs=tuple(re.sub(r"\s", "", repair) for repair in each.repairs),
            second=each.second and replace(each.second, start=0, end=0),
        )
        for each in thresholds
    ]


def pieces(text: str) -> list[str]:
    """The slices of a text that are thresholds, their white space taken out."""
    return [re.sub(r"\s", "", text[each.start : each.end]) for each in find(text)]


@pytest.mark.parametrize("blank", ["\u00a0", "\u2009", "\u202f"])
def test_a_blank_of_another_kind_changes_nothing(blank: str) -> None:
    for text in PHRASES:
        if re.search(r"1/2|higher than the|10 to the|both inclusive", text):  # read only with a plain blank
            continue
        other = text.replace(" ", blank)
        assert [replace(each, repairs=()) for each in find(other)] == [replace(each, repairs=()) for each in find(text)], text


@untimed
@given(st.sampled_from(PHRASES), st.data())
def test_white_space_changes_nothing_but_the_offsets(text: str, data: st.DataObject) -> None:
    spaced = re.sub(" ", lambda _: data.draw(st.sampled_from([" ", "  ", "\u00a0", " \n  ", "\t", "\u2009 "])), text)
    cleaned = clean(spaced)
    assert find(cleaned.text) == find(text)
    for each in find(cleaned.text):
        start, end = cleaned.source_span(each.start, each.end)
        assert re.sub(r"\s", "", spaced[start:end]) == re.sub(r"\s", "", text[each.start : each.end])


@untimed
@given(st.sampled_from([text for text in PHRASES if re.search(r"[<>*=^+.()\[\]-]", text) and "<sup>" not in text]), st.data())
def test_an_escape_or_entity_changes_nothing_but_the_offsets(text: str, data: st.DataObject) -> None:
    def masked(found: re.Match[str]) -> str:
        sign = found[0]
        return data.draw(st.sampled_from([sign, f"\\{sign}", *({"<": ["&lt;"], ">": ["&gt;", "&#62;"]}.get(sign, []))]))

    escaped = re.sub(r"[<>*=^+.()\[\]-]", masked, text)
    assert find(clean(escaped).text) == find(text)


@pytest.mark.parametrize("text", [text for text in PHRASES if SIGN.search(text)])
def test_blanks_round_a_sign_change_nothing_but_the_offsets(text: str) -> None:
    for layout in (r" \1 ", r" \1", r"\1 ", r"\1"):
        other = SIGN.sub(layout, text)
        assert without_place(find(other)) == without_place(find(text)), other
        assert pieces(other) == pieces(text)


# --- laws -------------------------------------------------------------------------------------------------------------

FRAGMENTS = sorted({word for text in PHRASES for word in text.split()})
REGISTRY = "0123456789.,·'’ \u00a0<>≥≤=/-–+~±()[]%^*×x:;&_²³⁹µ½\n abcdefgilmnoprstuvULN"
TEXTS = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=12).map(" ".join),
    st.lists(st.sampled_from(FRAGMENTS) | st.text(REGISTRY, max_size=4), max_size=10).map("".join),
    st.text(REGISTRY, max_size=40),
    st.text(max_size=30),
).filter(lambda text: not re.search(r"[.·]\d+\s?1/2|(?s:\d.*[^\D0-9])", text))  # a half behind a decimal, digits of two scripts


@untimed
@given(TEXTS)
def test_any_text_has_thresholds_that_keep_the_laws(text: str) -> None:
    found = find(text)
    at = 0
    for each in found:
        assert at <= each.start < each.end <= len(text)
        at = each.end
        lawful(each)
        assert each.second is None or each.start <= each.second.start < each.second.end <= each.end
    first = parse_threshold(text)
    certain = [each for each in found if each.form != "bare"]
    assert first == next(iter([*certain, *found]), None)


def lawful(threshold: Threshold) -> None:
    """What holds for every threshold, whatever its text."""
    low, high = threshold.low, threshold.high
    for value in (*threshold.values, *(bound.value for bound in (low, high) if bound)):
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
    assert (threshold.relation is None) == (threshold.relative_to is None)
    assert threshold.unit != ""
    if low and high:
        empty = low.value == high.value and not (low.inclusive and high.inclusive)
        assert threshold.problem or (Decimal(low.value) <= Decimal(high.value) and not empty)
    match threshold.form:
        case "bound" | "pair":
            assert (low is None) != (high is None)
        case "range":
            assert low is not None
            assert high is not None
        case "list":
            assert len(threshold.values) > 1
            assert low is high is None
        case "bare":
            assert high is None
    assert (threshold.second is not None) == (threshold.form == "pair")
    if not threshold.problem and (low or high):
        assert threshold.range is not None
        schema.Range.model_validate(threshold.range.model_dump())
    else:
        assert threshold.range is None


@untimed
@given(TEXTS, TEXTS)
def test_what_stands_in_another_sentence_changes_nothing(text: str, other: str) -> None:
    assume(not re.fullmatch(r"\D*zero\D*", other, re.IGNORECASE))  # where it is the only number, it is not seen
    whole = f"{text}.\n\nParticipants must have consented. {other}"
    shift = len(whole) - len(other)
    assert [each for each in find(whole) if each.start >= shift] == [moved(each, shift) for each in find(other)]


def moved(threshold: Threshold, by: int) -> Threshold:
    """A threshold at other offsets."""
    second = threshold.second and moved(threshold.second, by)
    return replace(threshold, start=threshold.start + by, end=threshold.end + by, second=second)


# --- two bounds of one range ------------------------------------------------------------------------------------------


def bound(op: Op, value: str, unit: str | None = "mg", at: int = 0) -> Threshold:
    """A bound as a text of ten characters at `at` may give it."""
    return bounded(op, value, ("", unit, None, None), at, at + 10)


@pytest.mark.parametrize(
    ("first", "second", "expect"),
    [
        (bound("ge", "5"), bound("le", "9", at=20), ">=5 <=9 mg"),
        (bound("lt", "9"), bound("gt", "5", at=20), ">5 <9 mg"),
        (bound("ge", "5", None), bound("lt", "9", at=20), ">=5 <9 mg"),
        (bound("ge", "5"), bound("lt", "9", None, at=20), ">=5 <9 mg"),
        (bound("ge", "5"), bound("le", "5", at=20), ">=5 <=5 mg"),
        (bound("ge", "9"), bound("le", "5", at=20), "?an empty range"),
        (bound("ge", "5"), bound("lt", "5", at=20), "?an empty range"),
        (bound("gt", "5"), bound("le", "5.0", at=20), "?an empty range"),
        (replace(bound("ge", "5"), problem="doubt"), bound("le", "9", at=20), "?doubt"),
        (bound("ge", "5"), replace(bound("le", "9", at=20), problem="doubt"), "?doubt"),
        (bound("ge", "5"), replace(bound("le", "9", at=20), age=True), ">=5 <=9 mg age"),
        (bound("ge", "5"), bound("gt", "9", at=20), None),
        (bound("le", "5"), bound("lt", "9", at=20), None),
        (bound("ge", "5"), bound("le", "9", "g", at=20), None),
        (bound("ge", "5"), replace(bound("le", "3", None, at=20), relative_to="ULN", relation="ratio"), None),
        (
            replace(bound("ge", "1", None), relative_to="LLN", relation="ratio"),
            replace(bound("le", "3", None, at=20), relative_to="ULN", relation="ratio"),
            None,
        ),
        (
            replace(bound("gt", "1", None), relative_to="ULN", relation="ratio"),
            replace(bound("le", "3", None, at=20), relative_to="ULN", relation="ratio"),
            ">1 <=3 xULN",
        ),
    ],
)
def test_two_bounds_that_face_each_other_are_a_range(first: Threshold, second: Threshold, expect: str | None) -> None:
    whole = merged(first, second)
    assert (whole and told(whole)) == expect
    if whole:
        assert (whole.start, whole.end, whole.form) == (0, 30, "range")


@untimed
@given(st.sampled_from(["ge", "gt"]), st.sampled_from(["le", "lt"]), VALUES, VALUES)
def test_the_order_of_two_bounds_makes_no_difference(lower: Op, upper: Op, low: str, high: str) -> None:
    one = merged(bound(lower, low), bound(upper, high, at=20))
    other = merged(bound(upper, high), bound(lower, low, at=20))
    assert one == other
    assert one is not None
    kept = one.range
    assert (kept is None) == (Decimal(low) > Decimal(high) or (Decimal(low) == Decimal(high) and (lower, upper) != ("ge", "le")))


def test_repairs_of_both_bounds_are_told_once() -> None:
    first = replace(bound("ge", "5"), repairs=("a", "b"))
    second = replace(bound("le", "9", at=20), repairs=("b", "c"))
    whole = merged(first, second)
    assert whole is not None
    assert whole.repairs == ("a", "b", "c")

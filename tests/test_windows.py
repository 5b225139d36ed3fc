"""Time phrases: a table of them, slices of the source under every layout, windows that are written and read back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critnlp import lexicon, windows
from critnlp.schema import Window
from critnlp.windows import Time, find, parse_window

CASES = [
    (row["text"], row["expect"])
    for _, row in lexicon.parse((Path(__file__).parent / "cases/windows.csv").read_text(encoding="utf-8"), "windows.csv")
]
TEXTS = [text for text, _ in CASES]
UNITS = {"h": "hours", "d": "days", "wk": "weeks", "mo": "months", "a": "years", "{half-life}": "half-lives"}
ANCHORS = {
    "enrollment": "study entry",
    "randomization": "randomization",
    "first_dose": "the first dose of study drug",
    "screening": "the screening visit",
    "baseline": "baseline",
    "consent": "informed consent",
    "surgery": "surgery",
    "last_dose": "the last dose of study drug",
}


def written(window: Window) -> str:
    """A window in the notation of the table."""
    words: list[str] = [window.relation]
    if window.unit:
        low = f"{'[' if window.low_inclusive is not False else '('}{window.low or ''}"
        high = f"{window.high or ''}{']' if window.high_inclusive is not False else ')'}"
        words += [f"{low},{high}", window.unit]
    words += [f"@{window.anchor}"] if window.anchor else []
    words += [window.choose] if window.choose else []
    return " ".join(words)


def told(time: Time) -> str:
    """A time in the notation of the table."""
    words = [" + ".join(map(written, time.windows)) or ("?" if time.problem else time.kind)]
    words += ["past"] if time.past and time.windows else []
    words += ["not"] if time.negated else []
    return " ".join(words)


def shown(text: str) -> str:
    """The times of a text in the notation of the table."""
    return " ; ".join(map(told, find(text)))


def phrase(window: Window) -> str:
    """A window in plain words, as a criterion may say it."""
    anchor = ANCHORS[str(window.anchor)] if window.anchor else ""
    unit = UNITS[str(window.unit)]
    match window.relation:
        case "within" if window.low:
            return f"between {window.low} and {window.high} {unit} before {anchor}"
        case "within":
            return f"{'within' if window.high_inclusive else 'less than'} {window.high} {unit} before {anchor}"
        case "after":
            return f"{'within' if window.high_inclusive else 'less than'} {window.high} {unit} after {anchor}"
        case "before":
            return f"{'at least' if window.low_inclusive else 'more than'} {window.low} {unit} before {anchor}"
        case _:
            return f"for {'at least' if window.low_inclusive else 'more than'} {window.low} {unit}"


NUMBERS = st.one_of(st.integers(1, 400).map(str), st.sampled_from(["0.5", "1.5", "2.25"]))


@st.composite
def some_windows(draw: st.DrawFn) -> Window:
    relation = draw(st.sampled_from(["within", "between", "before", "after", "for"]))
    inclusive, unit, value = draw(st.booleans()), draw(st.sampled_from(sorted(UNITS))), draw(NUMBERS)
    anchor = draw(st.sampled_from(sorted(ANCHORS)))
    match relation:
        case "for":
            return Window(relation="for", low=value, low_inclusive=inclusive, unit=unit)
        case "before":
            return Window(relation="before", low=value, low_inclusive=inclusive, unit=unit, anchor=anchor)
        case "between":
            low = draw(st.integers(1, 50))
            high = low + draw(st.integers(1, 50))
            both = {"low": str(low), "low_inclusive": True, "high": str(high), "high_inclusive": True}
            return Window.model_validate({"relation": "within", "unit": unit, "anchor": anchor, **both})
        case "within":
            return Window(relation="within", high=value, high_inclusive=inclusive, unit=unit, anchor=anchor)
        case _:
            return Window(relation="after", high=value, high_inclusive=inclusive, unit=unit, anchor=anchor)


@pytest.mark.parametrize(("text", "expect"), CASES)
def test_a_phrase_has_its_windows(text: str, expect: str) -> None:
    assert shown(text) == expect


def test_the_table_is_large_and_has_texts_without_a_time() -> None:
    assert len(CASES) >= 220
    assert sum(not expect for _, expect in CASES) >= 50


@given(some_windows())
def test_a_window_that_is_written_is_read_back(window: Window) -> None:
    assert parse_window(phrase(window)) == (window,)


@given(st.sampled_from(TEXTS), st.sampled_from(["  ", "\u00a0", "\n", "\t ", " \u200b", "\u2009"]))
def test_white_space_changes_nothing(text: str, blank: str) -> None:
    changed = text.replace(" ", blank)
    assert shown(changed) == shown(text)
    plain = [text[time.start : time.end].split() for time in find(text)]
    assert [re.split(r"[\s\u200b]+", changed[time.start : time.end]) for time in find(changed)] == plain


@given(st.sampled_from(TEXTS))
def test_escapes_and_capitals_change_nothing(text: str) -> None:
    escaped = re.sub(r"(?<!\\)([<>])", r"\\\1", text)
    assert shown(escaped) == shown(text)
    if not re.search(r"\b\d+ ?[dhy]\b|\bD\b|&", text):  # a capital D is dioptres
        assert shown(text.upper()) == shown(text)


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4), st.sampled_from(["; ", ". ", " (", " and ", ", "]))
def test_spans_are_slices_in_order(texts: list[str], glue: str) -> None:
    text = glue.join(texts)
    end = 0
    for time in find(text):
        assert end <= time.start < time.end <= len(text)
        assert text[time.start : time.end].strip() == text[time.start : time.end]
        assert ";" not in text[time.start : time.end].replace("&lt;", "")
        assert time.event is None or time.start <= time.event[0] < time.event[1] <= time.end
        end = time.end


@given(st.lists(st.sampled_from(TEXTS), min_size=2, max_size=4))
def test_a_semicolon_parts_what_is_read(texts: list[str]) -> None:
    alone = [told(time) for text in texts for time in find(text)]
    assert [told(time) for time in find("; ".join(texts))] == alone


@given(st.text(alphabet=st.sampled_from("0123456789 .,-–()<>=≥≤/'wk dayhmonsitherafp\u00a0\n"), max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    for time in find(text):
        assert text[time.start : time.end]


def test_what_has_a_problem_has_no_window() -> None:
    times = [time for text in TEXTS for time in find(text)]
    assert all(time.problem is None or not time.windows for time in times)
    assert all(time.kind in ("window", "duration", "anchor") for time in times if time.windows)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Stroke within 6 months prior to screening, or sepsis", "within 6 months prior to screening"),
        ("Use of two drugs in the last 30 days or so", "in the last 30 days"),
        ("ALT above 3 within 14 days of Day 1; 2 lesions", "within 14 days of Day 1"),
        ("stable (for at least 4 weeks) angina", "for at least 4 weeks"),
        ("At least 4 weeks since prior chemotherapy and recovered", "At least 4 weeks since prior chemotherapy"),
        (
            "Contraception during the study and for 90 days after the last dose.",
            "during the study and for 90 days after the last dose",
        ),
        ("History of MI, in the 12 months before visit 1.", "in the 12 months before visit 1"),
    ],
)
def test_a_span_holds_the_preposition_and_the_anchor(text: str, span: str) -> None:
    assert [text[time.start : time.end] for time in find(text)] == [span]


def test_since_names_the_event_that_did_not_happen() -> None:
    text = "At least 28 days since major surgery"
    (time,) = find(text)
    assert time.negated
    assert time.past
    assert time.event is not None
    assert text[slice(*time.event)] == "major surgery"
    assert time.windows == (Window(relation="within", high="28", high_inclusive=False, unit="d", anchor="enrollment"),)


def test_what_was_mended_is_told() -> None:
    assert find("within half a year")[0].repairs == ("half read as 0.5",)
    assert find("in the last two decades")[0].repairs == ("2 times 10 a",)
    assert find("within about 3 months")[0].repairs == ("a number that is approximate taken as exact",)
    assert find("between 24 hours and 3 days before surgery")[0].repairs == ("both bounds in h",)


def test_the_anchors_of_the_table_are_names() -> None:
    names = {row["name"] for row in lexicon.table("anchors") if row["role"] == "anchor"}
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)
    assert {row["phrases"] for row in lexicon.table("anchors") if row["role"] in ("before", "after")} <= names
    assert windows.find("") == ()

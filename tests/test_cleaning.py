"""Clean text reads well, and every character of it leads back to the source."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critnlp.cleaning import Clean, clean, clean_text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("ALT \\>= 3 x ULN", "ALT >= 3 x ULN"),
        ("\\* not a bullet, \\[sic\\], CO\\_2", "* not a bullet, [sic], CO_2"),
        ("age \\≥ 18", "age ≥ 18"),
        ("C:\\drive and 5\\ 6", "C:\\drive and 5\\ 6"),  # a backslash before a letter or a blank escapes nothing
        ("\\\\>= 3", "\\>= 3"),
        ("ALT &gt; 3, AST &lt;&nbsp;2 &amp; bilirubin &#8804; 1 &#x2265; 0", "ALT > 3, AST < 2 & bilirubin ≤ 1 ≥ 0"),
        ("age &gte; 18 and &lte; 75", "age ≥ 18 and ≤ 75"),
        ("AT&T; R&D; Q&notanentity;", "AT&T; R&D; Q&notanentity;"),
        ("wrapped\r\n  lines\r\nof CR LF", "wrapped lines of CR LF"),
        ("tab\there,  two blanks", "tab here, two blanks"),
        ("no\u00a0break, zero\u200bwidth, \ufeffmark", "no break, zero width, mark"),
        ("first<br>second<br/>third <BR /> fourth", "first second third fourth"),
        ("", ""),
        ("nothing to do", "nothing to do"),
    ],
)
def test_clean_text_is_for_readers(source: str, expected: str) -> None:
    assert clean(source).text == expected


def test_spans_are_joined_by_one_blank() -> None:
    source = "Any of these: (a) gout, (b) lupus, within  28 days"
    spans = [(0, 13), (35, len(source))]
    assert clean(source, spans).text == "Any of these: within 28 days"
    assert clean(source, []).text == ""


@pytest.mark.parametrize(
    ("source", "quote", "evidence"),
    [
        ("ALT \\>= 3\r\n x ULN", ">= 3 x", "\\>= 3\r\n x"),
        ("ALT &gt; 3", ">", "&gt;"),
        ("a<br>b", " ", "<br>"),
        ("plain", "lai", "lai"),
    ],
)
def test_spans_lead_to_the_source_and_back(source: str, quote: str, evidence: str) -> None:
    cleaned = clean(source)
    start = cleaned.text.index(quote)
    span = cleaned.source_span(start, start + len(quote))
    assert source[slice(*span)] == evidence
    assert cleaned.text[slice(*cleaned.clean_span(*span))] == quote


def test_what_was_left_out_has_no_clean_characters() -> None:
    cleaned = clean("skipped kept dropped \\> last", [(8, 12), (21, 28)])
    assert cleaned.text == "kept > last"
    assert cleaned.clean_span(0, 5) == (0, 0)
    assert cleaned.clean_span(12, 20) == (4, 4)
    assert cleaned.clean_span(21, 23) == (5, 6)  # a span begins with an edit
    assert cleaned.clean_span(8, 28) == (0, 11)
    assert cleaned.clean_span(30, 40) == (11, 11)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 2), (0, 99)])
def test_an_impossible_span_is_an_error(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="is no span"):
        clean("four").source_span(start, end)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 2)])
def test_an_impossible_source_span_is_an_error(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="is no span"):
        clean("four").clean_span(start, end)


PIECES = st.sampled_from([*"ab7 \t\n.>≥\\&;", "\r\n", "<br>", "<BR />", "\\>=", "&gt;", "&gte;", "&#8805;", "\u00a0", "😀"])
SOURCES = st.lists(PIECES, max_size=30).map("".join)


@st.composite
def spanned(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]], Clean]:
    """A source, one to three of its spans in order, and what `clean` makes of them."""
    source = draw(SOURCES.filter(bool))
    cuts = sorted(draw(st.sets(st.integers(0, len(source)), min_size=2, max_size=6)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    return source, spans, clean(source, spans)


@given(spanned())
def test_every_clean_character_has_its_place(case: tuple[str, list[tuple[int, int]], Clean]) -> None:
    """Source spans lie inside one of the given spans, never run backwards, and leave out no source character."""
    _, spans, cleaned = case
    places = [cleaned.source_span(at, at + 1) for at in range(len(cleaned.text))]
    for start, end in places:
        assert any(low <= start <= end <= high for low, high in spans)
    for left, right in itertools.pairwise(places):
        assert left == right or left[1] <= right[0]  # the characters of one edit share its span
    covered = {at for start, end in places for at in range(start, end)}
    assert covered == {at for start, end in spans for at in range(start, end)}


@given(spanned())
def test_what_no_edit_touched_is_verbatim(case: tuple[str, list[tuple[int, int]], Clean]) -> None:
    source, _, cleaned = case
    edited = {at for edit in cleaned.edits for at in range(edit.start, edit.end)}
    for at in set(range(len(cleaned.text))) - edited:
        start, end = cleaned.source_span(at, at + 1)
        assert source[start:end] == cleaned.text[at]


@given(spanned(), st.data())
def test_a_round_trip_never_loses_a_character(case: tuple[str, list[tuple[int, int]], Clean], data: st.DataObject) -> None:
    _, spans, cleaned = case
    low, high = data.draw(st.sampled_from(spans))
    start = data.draw(st.integers(low, high - 1))
    end = data.draw(st.integers(start + 1, high))
    clean_start, clean_end = cleaned.clean_span(start, end)
    source_start, source_end = cleaned.source_span(clean_start, clean_end)
    assert source_start <= start < end <= source_end
    assert cleaned.clean_span(source_start, source_end) == (clean_start, clean_end)


@given(SOURCES)
def test_cleaning_without_spans_is_cleaning_the_whole(source: str) -> None:
    assert clean(source) == clean(source, [(0, len(source))])


@given(st.text(alphabet=" \t\n\r\\&<br>;gtab(≥\u200b\ufeff\xa0", max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_the_fast_way_to_a_clean_text_gives_the_same(source: str, a: int, b: int) -> None:
    start, end = sorted((min(a, len(source)), min(b, len(source))))
    spans = [(start, end), (end, len(source))]
    assert clean_text(source, spans) == clean(source, spans).text

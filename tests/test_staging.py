"""Stages, grades and classes: a table of phrases, and laws that hold for any text and any system."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critnlp import staging
from critnlp.staging import Staging, covers, find, members, parse_staging, systems

CASES = Path(__file__).parent / "cases" / "staging.csv"


def rows() -> list[tuple[str, str]]:
    """The phrases with what they are expected to hold."""
    with CASES.open(encoding="utf-8", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    return [(row["text"], row["expect"]) for row in csv.DictReader(lines)]


ROWS = rows()
TEXTS = [text for text, _ in ROWS]


def shown(text: str, made: Staging) -> str:
    """A mention in the notation of the table."""
    out = f"{made.system}:{','.join(made.values) or '?'}"
    if made.qualifiers:
        out += "{" + ",".join(made.qualifiers) + "}"
    if made.prefix:
        out += f" prefix={made.prefix}"
    if made.edition:
        out += f" edition={made.edition}"
    return out if text[made.start : made.end] == text else f"{out} <{text[made.start : made.end]}>"


@pytest.mark.parametrize(("text", "expect"), ROWS, ids=TEXTS)
def test_a_phrase_is_read_as_the_table_says(text: str, expect: str) -> None:
    assert " ; ".join(shown(text, made) for made in find(text)) == expect


def test_the_table_is_broad() -> None:
    assert len(ROWS) >= 200
    assert sum(not expect for _, expect in ROWS) >= 60
    assert len(set(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("text", TEXTS)
def test_a_span_is_a_slice_in_order_and_has_values_or_a_problem(text: str) -> None:
    found = find(text)
    assert [made.start for made in found] == sorted(made.start for made in found)
    for made in found:
        assert 0 <= made.start < made.end <= len(text)
        assert text[made.start : made.end] == text[made.start : made.end].strip()
        assert (made.problem is None) is bool(made.values)
        assert made.system in systems()


@pytest.mark.parametrize("text", [text for text, expect in ROWS if expect])
def test_values_are_members_in_their_order(text: str) -> None:
    for made in find(text):
        if made.values in (("limited",), ("extensive",)):
            continue
        places = [place_of(made.system, value) for value in made.values]
        assert places == sorted(places), made
        assert len(set(places)) == len(places)


def place_of(system: str, value: str) -> int:
    places = [held.read(value) for held in staging._tables().systems if held.name == system]
    return next(place for place in places if place is not None)


@given(st.sampled_from(TEXTS), st.sampled_from(["  ", "   ", " \t"]), st.sampled_from(["", " ", "\t"]))
def test_white_space_changes_nothing(text: str, blank: str, edge: str) -> None:
    spaced = edge + text.replace(" ", blank) + edge
    assert [keep(made) for made in find(spaced)] == [keep(made) for made in find(text)]
    for made, plain in zip(find(spaced), find(text), strict=True):
        assert squeezed(spaced[made.start : made.end]) == squeezed(text[plain.start : plain.end])


def keep(made: Staging) -> tuple[object, ...]:
    """What a mention says, apart from where it stands."""
    return made.system, made.values, made.edition, made.prefix, made.qualifiers, bool(made.problem)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@given(st.text(alphabet="stage gradeclass NYHA TNM IVX0123abcABC+-/()≥<>,.Ⅲ＞～", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    for made in find(text):
        assert text[made.start : made.end].strip()
        assert (made.problem is None) is bool(made.values)


HELD = staging._tables().systems


def plain(held: staging._System) -> list[int]:
    """The members in the order that count in every text."""
    odd = {index for index, node in enumerate(held.nodes) if node.only is not None}
    return [index for index, node in enumerate(held.nodes) if node.first >= 0 and index not in odd and odd.isdisjoint(node.parents)]


ORDERED = st.sampled_from(HELD).flatmap(lambda held: st.tuples(st.just(held), *[st.sampled_from(plain(held)) for _ in range(3)]))


def leaves_of(held: staging._System, values: tuple[str, ...]) -> set[int]:
    """The places in the order that values cover."""
    nodes = [held.nodes[index] for value in values if (index := held.read(value)) is not None]
    assert len(nodes) == len(values)
    return {leaf for node in nodes for leaf in range(node.first, node.last + 1)}


@given(ORDERED)
def test_expansion_is_monotone_and_within_the_set(drawn: tuple[staging._System, int, int, int]) -> None:
    held, one, two, three = drawn
    low, mid, high = sorted((one, two, three), key=lambda index: (held.nodes[index].first, held.nodes[index].last))
    inner, outer = held.expand(low, mid, ""), held.expand(low, high, "")
    assert set(inner) <= {node.value for node in held.nodes}
    assert leaves_of(held, held.expand(low, low, "")) <= leaves_of(held, (held.nodes[low].value,))
    if held.nodes[mid].last <= held.nodes[high].last:
        assert leaves_of(held, inner) - leaves_of(held, (held.nodes[mid].value,)) <= leaves_of(held, outer)
    assert leaves_of(held, outer) <= leaves_of(held, held.expand(low, None, "")) | leaves_of(held, (held.nodes[high].value,))


@given(ORDERED)
def test_a_bound_and_its_opposite_share_nothing(drawn: tuple[staging._System, int, int, int]) -> None:
    held, at, _, _ = drawn
    above, below = held.expand(at, None, "", open_low=True), held.expand(None, at, "")
    assert not leaves_of(held, above) & leaves_of(held, below)
    assert held.nodes[at].value not in above
    assert held.nodes[at].value in below


@pytest.mark.parametrize(
    ("system", "value", "recorded", "held"),
    [
        ("AJCC", "III", "IIIB", True),
        ("AJCC", "III", "3b", True),
        ("AJCC", "IIIB", "III", False),
        ("TNM-T", "T4", "T4a", True),
        ("CKD", "G3", "3b", True),
        ("Child-Pugh", "A", "A5", True),
        ("Child-Pugh", "B7", "B", False),
        ("Gleason", "7", "3+4", True),
        ("NYHA", "III", "3", True),
        ("NYHA", "III", "II", False),
        ("no such system", "1", "1", True),
        ("AJCC", "III", "unknown", False),
    ],
)
def test_a_recorded_stage_counts_under_its_parent(system: str, value: str, recorded: str, held: bool) -> None:
    assert covers(system, value, recorded) is held


def test_every_system_reads_its_own_members() -> None:
    for held in HELD:
        assert held.nodes, held.name
        for index, node in enumerate(held.nodes):
            assert held.read(node.value) == index, (held.name, node.value)
            assert held.read(node.value.lower()) == index, (held.name, node.value)
    assert members("NYHA")[0] == "I"
    assert members("no such system") == ()


def test_a_bare_stage_is_read_where_it_is_all_there_is() -> None:
    assert [made.values for made in parse_staging("IIIB-IV")] == [("IIIB", "IIIC", "IV")]
    assert [made.values for made in parse_staging(" T2+ ")] == [("T2", "T3", "T4")]
    assert parse_staging("HIV") == ()
    assert [(made.start, made.end) for made in parse_staging(" N1-3")] == [(1, 5)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Gleason score 4+4=7", "no member"),
        ("Gleason grade 4", "pattern"),
        ("NYHA class VI", "no member"),
        ("NYHA, Classes II IV", "cannot be read"),
        ("at least Tanner stage 2-3", "before a range"),
        ("less than stage II or III cancer", "before a list"),
        ("Stage T2N0M0 or lower", "together"),
    ],
)
def test_what_is_doubtful_says_why(text: str, words: str) -> None:
    found = find(text)
    assert found
    assert words in (found[-1].problem or "")
    assert all(made.values == () for made in found)


def test_a_reversed_range_is_repaired() -> None:
    (made,) = find("NYHA class IV-II")
    assert made.values == ("II", "III", "IV")
    assert made.repairs == ("range IV-II read upwards",)

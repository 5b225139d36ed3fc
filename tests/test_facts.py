"""Numbers, units, stages and time: phrases and the rules they become, read right or not at all.

`cases/facts.csv` holds one phrase per row with what the contract makes of it, in the notation of `notation.py`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from spacy.language import Language

import critnlp
from critnlp import schema
from notation import compact, facts, leaves, range_text, same, tree

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
    """Whether a rule is what a row expects: a whole tree, or after "facts:" the facts of a tree."""
    if not expected.startswith("facts:"):
        return same(expected, compact(rule))
    wanted = [part.strip() for part in expected.removeprefix("facts:").split("|") if part.strip()]
    found = list(facts(rule))
    # Every fact that is listed is there, and no number or stage that is not.
    return all(any(_is(one, fact) for fact in found) for one in wanted) and all(
        any(_is(one, fact) for one in wanted) for fact in found if fact.range is not None or fact.about in ("staging", "scale")
    )


def _is(expected: str, fact: schema.Fact) -> bool:
    name, _, rest = expected.partition(" ")
    if name == "*":
        return fact.range is not None and range_text(fact.range) == rest
    return same(expected, compact(fact))


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
    assert {warning.code for warning in parsed.warnings} & DOUBTS == set(filter(None, row["warnings"].split("|")))
    lawful(parsed)


def lawful(parsed: schema.ParsedTrial) -> None:
    """Every fact stands on characters of its criterion and on entities that exist."""
    for criterion in parsed.criteria:
        entities = {entity.id for entity in criterion.entities}
        for fact in facts(criterion.rule):
            assert fact.start is not None
            assert fact.end is not None
            assert criterion.start <= fact.start < fact.end <= criterion.end
            assert set(fact.entities) <= entities
            assert fact.range is None or re.search(r"\d|[A-Za-z]{2}|[½¼¾⅓²³]", parsed.trial.eligibility[fact.start : fact.end])


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
            parts = expected.removeprefix("facts:").split("|") if expected.startswith("facts:") else [expected]
            for leaf in (leaf for part in parts for leaf in leaves(tree(part))):
                assert not re.search(r"[≥≤]|[<>]=?(\s|$)|=(\s|$)|[^\s<>]=\d", leaf), leaf

"""Numbers, units, stages and time: phrases and the rules they become, read right or not at all.

`cases/facts.csv` holds one phrase per row with what the contract makes of it, in the notation of `notation.py`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from spacy.language import Language

import critnlp
from critnlp import schema
from notation import compact, facts, leaves, range_text, same, tree, windows_text

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
    """Whether a rule is what a row expects: a whole tree, or after "facts:" the facts of a tree whatever its form."""
    if not expected.startswith("facts:"):
        return same(expected, compact(rule))
    wanted = [part.strip() for part in expected.removeprefix("facts:").split("|") if part.strip()]
    found = list(facts(rule))
    numbers = [f for f in found if f.range is not None or f.about in ("staging", "scale") or (f.windows and not wanted)]
    # Every fact that is listed is there, and no number, stage or score that is not.
    return all(any(fits(one, fact) for fact in found) for one in wanted) and all(
        any(fits(one, fact) for one in wanted) for fact in numbers
    )


def fits(expected: str, fact: schema.Fact) -> bool:
    """Whether a fact is the one expected: as written, a range ("* >=2 #"), windows ("@within <=6 mo"), or a stage's members."""
    if stage := re.fullmatch(r"(.+) has {(.*)} lacks {(.*)}", expected):
        system, wanted, unwanted = stage[1], _folded(stage[2].split(",")), _folded(stage[3].split(","))
        values = _folded(fact.values or ())
        known = fact.system in SYSTEMS.get(system, {system}) or system == "*"
        return fact.about == "staging" and known and wanted <= values and not unwanted & values
    if expected.startswith("* "):
        return fact.range is not None and range_text(fact.range) == expected[2:]
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

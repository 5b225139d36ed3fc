"""Measures how numbers are read.

python benchmarks/numeric.py lct [--show missed|spurious|all] [--out FILE]      bounds against those that people annotated
python benchmarks/numeric.py registry [--workers 2] [--limit N]                 what becomes of the registry's numbers
python benchmarks/numeric.py speed [--trials 500] [--rounds 5]                  criteria per second in one process

The paths of the data are options; the defaults are those of a checkout with `shared/` beside it. `lct` reads JSON Lines: `id`,
`text` and `bounds`, each with `op`, `op_text`, `values`, `nums` and `unit`. Text of the data is printed only where `--show` or
`--out` asks for it.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from unittest.mock import patch

from critnlp import schema, sources
from critnlp.errors import SourceError
from tagging import Counts

if TYPE_CHECKING:
    from spacy.language import Language

SHARED = Path("../shared")
FAULTS = Path(__file__).with_name("lct_gold_faults.csv")
Side = Literal["low", "high"]


# --- rules ------------------------------------------------------------------------------------------------------------


def nodes(rule: schema.Rule) -> Iterator[schema.Rule]:
    """Every node of a rule in the order of the tree: facts of anchors, exceptions and what `unsupported` keeps too."""
    yield rule
    parts: tuple[schema.Rule | None, ...] = ()
    match rule:
        case schema.Fact():
            parts = (*(window.anchor for window in rule.windows if isinstance(window.anchor, schema.Fact)), *rule.exceptions)
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            parts = rule.rules
        case schema.Not():
            parts = (rule.rule,)
        case schema.If():
            parts = (rule.condition, rule.then, rule.otherwise)
        case schema.Unsupported():
            parts = rule.facts
    for part in parts:
        if part is not None:
            yield from nodes(part)


def facts_of(rule: schema.Rule) -> Iterator[schema.Fact]:
    """Every fact of a rule, those included whose place in it is open."""
    return (node for node in nodes(rule) if isinstance(node, schema.Fact))


def is_numeric(fact: schema.Fact) -> bool:
    """Whether a fact holds something that can be read wrong as a number: bounds, grades of a scale or stage, windows."""
    return fact.range is not None or bool(fact.windows) or (bool(fact.values) and fact.about in ("scale", "staging"))


# --- bounds -----------------------------------------------------------------------------------------------------------


class Bound(NamedTuple):
    """One end of a range; `inclusive` is None where a prediction does not say."""

    value: Decimal
    side: Side
    inclusive: bool | None

    def __str__(self) -> str:
        sign = {"low": ">", "high": "<"}[self.side] + {True: "=", False: "", None: "?"}[self.inclusive]
        return f"{sign} {self.value:f}"


@dataclass(frozen=True, slots=True)
class Gold:
    """The bounds of one annotation or line; `loose` are values without a side, on which nobody is judged."""

    bounds: frozenset[Bound] = frozenset()
    loose: frozenset[Decimal] = frozenset()
    left_out: tuple[str, ...] = ()

    def __add__(self, other: Gold) -> Gold:
        return Gold(self.bounds | other.bounds, self.loose | other.loose, self.left_out + other.left_out)


@dataclass(frozen=True, slots=True)
class Found:
    """A predicted bound; any of `forms` may be what the annotators wrote. One that is not `sure` is only ever right."""

    forms: tuple[Bound, ...]
    sure: bool = True


_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
NUMBER_WORDS = {word: Decimal(n) for n, word in enumerate(_WORDS)} | {"once": Decimal(1), "twice": Decimal(2), "double": Decimal(2)}
# A lower-case L typed for a one is common; the full-width forms are characters of their own.
_ROMAN = {n: Decimal(i) for i, n in enumerate(["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"], start=1)}
_ROMAN |= {sign: Decimal(i) for i, sign in enumerate("ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ", start=1)}
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_POWERS = frozenset(Decimal(f"10{n}") for n in (3, 4, 5, 6, 9, 12))


def number(text: str, num: str | None = None) -> Decimal | None:
    """The value of an annotated number, or None for what is no single number ("20/50", "20 weeks 4 days", "moderate").

    `num` is the corpus's own reading and wins where it has one; it has none for words, ordinals, Roman numerals and decimal commas.
    """
    text = text.strip()
    try:
        if num is not None:
            return Decimal(num)
        if text.replace("l", "I") in _ROMAN:
            return _ROMAN[text.replace("l", "I")]
        if text.lower() in NUMBER_WORDS:
            return NUMBER_WORDS[text.lower()]
        text = re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", text)
        return Decimal(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text.replace(",", "."))
    except InvalidOperation:
        return None


def digits(text: str) -> frozenset[Decimal]:
    """Every number that stands in `text`, as digits, in words or as a Roman numeral; a lone "I" counts too."""
    written = {number(found) for found in _DIGITS.findall(text)}
    written |= {number(word) for word in re.findall(r"[^\W\d_]+", text) if word.lower() in NUMBER_WORDS or word in _ROMAN}
    return frozenset(value for value in written if value is not None)


def gold_of(annotation: Mapping[str, Any], text: str) -> Gold:
    """What one annotation of the corpus says, every oddity decided here and nowhere else.

    - GTEQ, GT, LTEQ, LT: the side and the inclusiveness. BETWEEN: the smallest value is the low bound, the largest the high one,
      both inclusive, unless a GT or LT beside it says that its side is not ("2 to < 12": BETWEEN, LT).
    - Several comparators with one value: a repetition counts once; LT or GT with EQ or its opposite's "or equal" is inclusive.
    - No comparator, EQ and PLUS-MINUS have no side: left out, and a prediction of these values is not judged. So is a BETWEEN with
      one value (nobody knows which end it is) and an annotation without a number ("above the normal range", read as 1 × ULN).
    - A value that is no single number (20/50, "20 weeks 4 days", a time of day, "moderate") is left out in the same way.
    - Several values behind one comparator: a repetition counts once; "140/90" is two bounds; in "4/10", "1.5:1", "1.5 × 109/L" and
      "60 mL/min/1.73 m2" only the first is a value. Anything else with several values is left out.
    - A number that the annotators put into the comparator ("≥18") or the unit ("two years") is the value.
    """
    ops: list[str] = list(dict.fromkeys(annotation["op"]))
    written = list(zip(annotation["values"], annotation["nums"], strict=True))
    if not written:
        inside = [m for part in (*annotation["op_text"], *annotation["unit"]) for m in _numbers_of_field(part)]
        written = [(part, None) for part in inside]
    if not written:
        return Gold(loose=frozenset({Decimal(1)}), left_out=("no number",))
    read = [number(value, num) for value, num in written]
    values = list(dict.fromkeys(value for value in read if value is not None))
    loose = frozenset(values).union(*(digits(value) for value, _ in written))
    if not ops or ops == ["EQ"]:
        return Gold(loose=loose, left_out=("no comparator" if not ops else "equality",))
    if "PLUS-MINUS" in ops:
        return Gold(loose=loose, left_out=("plus-minus",))
    if None in read:
        return Gold(loose=loose, left_out=("no single number",))
    if "BETWEEN" in ops and len(values) > 1:
        ends = [value for value in values if not re.search(rf"/\s*{re.escape(_plain(value))}(?!\d|\.\d)", text)]
        if len(ends) != 2:
            return Gold(loose=loose, left_out=("several values",))
        low, high = Bound(min(ends), "low", "GT" not in ops), Bound(max(ends), "high", "LT" not in ops)
        return Gold(frozenset({low, high}), loose - set(ends))
    comparators = [op for op in ops if op != "BETWEEN"]
    if not comparators:
        return Gold(loose=loose, left_out=("between with one value",))
    if len({op[0] for op in comparators}) > 1 and len(values) == 2:  # "≥ 7 and ≤ 10" without a BETWEEN
        low, high = Bound(min(values), "low", "GT" not in comparators), Bound(max(values), "high", "LT" not in comparators)
        return Gold(frozenset({low, high}))
    side: Side = "low" if comparators[0][0] == "G" else "high"
    inclusive = comparators[0].endswith("EQ") or any(op.endswith("EQ") and op[0] != comparators[0][0] for op in comparators)
    kept = _values_behind_one_comparator(values, text)
    if not kept:
        return Gold(loose=loose, left_out=("several values",))
    return Gold(frozenset(Bound(value, side, inclusive) for value in kept), loose - set(kept))


def _numbers_of_field(part: str) -> list[str]:
    """The numbers written in a comparator or a unit: "≥18", "two"; none of "mm3" and "1.73 m2"."""
    if part.lower() in NUMBER_WORDS:
        return [part]
    found = re.fullmatch(r"\W*\s*(\d+(?:[.,]\d+)*)", part)
    return [found[1]] if found else []


def _values_behind_one_comparator(values: Sequence[Decimal], text: str) -> list[Decimal]:
    """Which of several values behind one comparator are bounds, none where that is unclear."""
    if len(values) < 2:
        return list(values)
    first, second, *more = values
    if more:
        return []
    if second in _POWERS or second == Decimal("1.73"):
        return [first]
    joined = re.search(rf"{re.escape(_plain(first))}\s*([/:])\s*{re.escape(_plain(second))}(?!\d|\.\d)", text)
    if not joined:
        return []
    ratio = joined[1] == ":" or (second in (5, 10, 20, 30, 100) and first <= second)
    return [first] if ratio else [first, second]


def _plain(value: Decimal) -> str:
    return f"{value:f}"


def gold_line(record: Mapping[str, Any]) -> Gold:
    """The bounds of a line as one set: several names with one bound count once."""
    whole = Gold()
    for annotation in record["bounds"]:
        whole += gold_of(annotation, record["text"])
    return whole


def found_of(fact: schema.Fact, text: str) -> Iterator[Found]:
    """The bounds that a fact claims, in a form comparable with the annotators'.

    - A range gives its ends. Where the unit holds a power ("1.5", `10*9/L`) the value multiplied out is right as well.
    - Two and more values that are all numbers or Roman numerals (ECOG 0-2) give their smallest and largest, inclusive; "> II" read
      as III and IV is the same bound. An end that the line does not write is the scale's own and no reading.
    - Stages, time windows and durations other than life expectancy count where the annotators marked a comparison, and are not
      held against a prediction elsewhere: the corpus has labels of their own for them. So does a count of "at least one", which
      the annotators mostly left alone: it says that there is such a thing.
    """
    if fact.range is not None:
        power = re.search(r"10\*(-?\d+)", fact.range.unit or "")
        lasting = fact.range.measures == "duration" and not _LIFETIME.search(fact.name)
        existing = fact.range.measures == "count" and fact.range.low == "1" and fact.range.high is None
        yield from _ends(fact.range, Decimal(10) ** int(power[1]) if power else None, sure=not lasting and not existing)
    for window in fact.windows:
        yield from _ends(window, sure=False)
    values = [number(value) for value in fact.values or ()]
    if len(values) > 1 and None not in values:
        numbers = sorted(value for value in values if value is not None)
        written = digits(text)
        ends: tuple[tuple[Side, Decimal, int], ...] = (("low", numbers[0], -1), ("high", numbers[-1], 1))
        for side, value, step in ends:
            forms = (Bound(value, side, True), Bound(value + step, side, False))
            yield Found(forms, sure=fact.about == "scale" and value in written)


# A life expectancy is a quantity to the annotators, any other duration a time.
_LIFETIME = re.compile(r"life expectancy|surviv", re.IGNORECASE)


def _ends(bounds: schema.Range | schema.Window, factor: Decimal | None = None, *, sure: bool) -> Iterator[Found]:
    ends: tuple[tuple[Side, str | None, bool | None], ...] = (
        ("low", bounds.low, bounds.low_inclusive),
        ("high", bounds.high, bounds.high_inclusive),
    )
    for side, value, inclusive in ends:
        if value is not None:
            forms = (Decimal(value), *([Decimal(value) * factor] if factor else []))
            yield Found(tuple(Bound(form, side, inclusive) for form in forms), sure)


@dataclass(frozen=True, slots=True)
class Line:
    """One line judged. `missed` and `spurious` hold each bound with its cause."""

    id: str
    counts: Counts
    missed: tuple[tuple[Bound, str], ...] = ()
    spurious: tuple[tuple[Bound, str], ...] = ()


def judge(id: str, gold: Gold, found: Sequence[Found], *, marked: str = "", rest: str = "") -> Line:
    """The line's score. `marked` are the words of its number entities, `rest` those that no rule holds; they tell causes apart."""
    hit: set[Bound] = set()
    judged: dict[Bound, bool] = {}
    for one in found:
        right = gold.bounds.intersection(one.forms)
        hit |= right
        if right:
            judged[one.forms[0]] = True
        elif one.sure and not gold.loose.intersection(form.value for form in one.forms):
            judged.setdefault(one.forms[0], False)
    claimed = {form for one in found for form in one.forms}
    missed = [(bound, _why_missed(bound, claimed, marked, rest)) for bound in sorted(gold.bounds - hit)]
    spurious = [(bound, _why_spurious(bound, gold.bounds)) for bound in judged if not judged[bound]]
    counts = Counts(len(judged), sum(judged.values()), len(gold.bounds), len(hit))
    return Line(id, counts, tuple(missed), tuple(spurious))


def _why_missed(bound: Bound, claimed: set[Bound], marked: str, rest: str) -> str:
    if any(other.value == bound.value and other.side == bound.side for other in claimed):
        return "other inclusiveness"
    if any(other.value == bound.value for other in claimed):
        return "other side"
    if bound.value in digits(marked):
        return "marked, in an unsupported rest" if bound.value in digits(rest) else "marked, in no fact"
    return "not marked"


def _why_spurious(bound: Bound, gold: frozenset[Bound]) -> str:
    if any(other.value == bound.value and other.side == bound.side for other in gold):
        return "other inclusiveness"
    return "other side" if any(other.value == bound.value for other in gold) else "the annotators have no such value"


# --- lct --------------------------------------------------------------------------------------------------------------

HEAD = "Inclusion Criteria:\n\n* "


NUMBER_LABELS = ("THRESHOLD", "TEMPORAL", "STAGING")


def run_line(record: Mapping[str, Any], nlp: Language) -> Line:
    """One line of the corpus as an inclusion item of its own, judged."""
    from critnlp import pipeline

    criteria = pipeline.parse_text(HEAD + record["text"], nlp).criteria
    found = [one for c in criteria for fact in facts_of(c.rule) for one in found_of(fact, record["text"])]
    marked = " ".join(e.text for c in criteria for e in c.entities if e.label in NUMBER_LABELS)
    rest = " ".join(node.text for c in criteria for node in nodes(c.rule) if isinstance(node, schema.Unsupported))
    return judge(record["id"], gold_line(record), found, marked=marked, rest=rest)


def interval(lines: Sequence[Line], measure: Callable[[Counts], float], rounds: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of a measure, resampling lines: the bounds of one line go wrong together."""
    values = [line.counts.values for line in lines]
    rng = random.Random(seed)
    drawn = (zip(*rng.choices(values, k=len(values)), strict=True) for _ in range(rounds))
    scores = sorted(measure(Counts(*map(sum, columns))) for columns in drawn)
    return scores[int(0.025 * rounds)], scores[min(int(0.975 * rounds), rounds - 1)]


def scores(lines: Sequence[Line]) -> Iterator[str]:
    """Recall, precision and F1 of the lines, with intervals and counts."""
    total = sum((line.counts for line in lines), Counts())
    yield f"{len(lines)} lines; {total.gold} bounds annotated, {total.recalled} found; {total.found} claimed, {total.right} right"
    for name in ("recall", "precision", "f1"):

        def measure(counts: Counts, name: str = name) -> float:
            return float(getattr(counts, name))

        low, high = interval(lines, measure)
        yield f"  {name:9} {measure(total):.2%}  95 % {low:.2%} to {high:.2%}"


def faults(path: Path = FAULTS) -> dict[str, str]:
    """Line id → why its annotation cannot be the measure."""
    with path.open(encoding="utf-8", newline="") as rows:
        return {row["id"]: row["reason"] for row in csv.DictReader(line for line in rows if not line.startswith("#"))}


def lct(path: Path, show: str | None, out: Path | None) -> Iterator[str]:
    """The score on the corpus, on all lines and on those whose annotation holds, and what was missed by cause."""
    from critnlp import pipeline

    nlp = pipeline.load()
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    began = time.perf_counter()
    lines = [run_line(record, nlp) for record in records]
    faulty = faults() if FAULTS.exists() else {}
    yield f"all lines ({time.perf_counter() - began:.1f} s)"
    yield from scores(lines)
    if unknown := faulty.keys() - {record["id"] for record in records}:
        yield f"WARNING: {len(unknown)} ids of {FAULTS.name} are not in the corpus: {', '.join(sorted(unknown)[:5])}"
    yield f"without the {len(faulty)} lines of {FAULTS.name}"
    yield from scores([line for line in lines if line.id not in faulty])
    left_out = Counter(why for record in records for why in gold_line(record).left_out)
    yield f"{sum(left_out.values())} annotations without a bound, on which nobody is judged: " + _listed(left_out)
    for name, pairs in (
        ("missed", [p for line in lines for p in line.missed]),
        ("spurious", [p for line in lines for p in line.spurious]),
    ):
        yield f"{len(pairs)} {name}: " + _listed(Counter(why for _, why in pairs))
    for name in ("missed", "spurious"):
        by_line = [(line, pairs) for line in lines if (pairs := getattr(line, name))]
        if show in (name, "all"):
            texts = {record["id"]: record["text"] for record in records}
            for line, pairs in sorted(by_line, key=lambda pair: pair[1][0][1]):
                star = " (listed as an annotation fault)" if line.id in faulty else ""
                yield f"{name} {line.id}{star}: " + "; ".join(f"{bound} [{why}]" for bound, why in pairs)
                yield f"    {texts[line.id]}"
    if out:
        with out.open("w", encoding="utf-8") as file:
            for record, line in zip(records, lines, strict=True):
                row = {
                    "id": line.id,
                    "fault": faulty.get(line.id),
                    "text": record["text"],
                    "gold": _strings(gold_line(record).bounds),
                }
                row |= {name: [[str(b), why] for b, why in getattr(line, name)] for name in ("missed", "spurious")}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _strings(bounds: frozenset[Bound]) -> list[str]:
    return [str(bound) for bound in sorted(bounds)]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


# --- trials -----------------------------------------------------------------------------------------------------------


def sample(path: Path, number: int, seed: int) -> list[schema.Trial]:
    """Up to `number` trials of a file by simple random sampling; the file is not held in memory."""
    rng = random.Random(seed)
    drawn: list[schema.Trial] = []
    for index, trial in enumerate(trial for trial in sources.read([str(path)]) if isinstance(trial, schema.Trial)):
        if index < number:
            drawn.append(trial)
        elif (place := rng.randrange(index + 1)) < number:
            drawn[place] = trial
    return drawn


# --- registry ---------------------------------------------------------------------------------------------------------

Row = tuple[str, str]  # a table of the report and a row of it

# A criterion that says a number or compares: what the grammar should have an answer to.
COMPARES = re.compile(
    r"\d|[<>≤≥=⩽⩾≦≧]|\b(?:at (?:least|most)|(?:no |not )?(?:less|more|greater|higher|lower|fewer|older|younger) than|"
    r"minimum|maximum|exceed\w*|above|below|over|under|up to)\b",
    re.IGNORECASE,
)
# Digits of a name ("CD4", "IL-6", "COVID-19") are no number.
_TOKEN = re.compile(r"(?<![A-Za-z])(?<![A-Za-z]-)\d+(?:[.,]\d+)*")


def tokens(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the numbers of `text[start:end]` stand, those in names left out."""
    for found in _TOKEN.finditer(text, start, end):
        yield found.span()


def outcome(facts: Sequence[schema.Fact], criterion: schema.Criterion) -> str:
    """Where a criterion ends up: each falls into one of five."""
    if facts:
        return {"full": "facts, full", "partial": "facts, partial"}.get(criterion.computable, "facts whose place in a rule is open")
    if any(entity.label in NUMBER_LABELS for entity in criterion.entities):
        return "no fact, but a marked comparison, time or stage"
    return "nothing"


def tally(parsed: schema.ParsedTrial) -> Counter[Row]:
    """What a trial adds to the report, as (table, row) counts."""
    counts: Counter[Row] = Counter()
    counts.update(("warning", warning.code) for warning in parsed.warnings)
    text = parsed.trial.eligibility
    for criterion in parsed.criteria:
        counts["criteria", "all"] += 1
        if not any(COMPARES.search(text, start, end) for start, end in criterion.fragments):
            continue
        facts = list(facts_of(criterion.rule))
        counts["criteria", "with a digit or a comparator"] += 1
        counts["outcome", outcome(facts, criterion)] += 1
        counts["with a numeric fact", "criteria"] += any(is_numeric(fact) for fact in facts)
        counts.update(("about", fact.about) for fact in facts)
        counts.update(("kind of number", kind) for fact in facts for kind in _kinds(fact))
        counts.update(("repair", _kind_of_repair(repair)) for fact in facts for repair in fact.repairs)
        in_facts = [(fact.start, fact.end) for fact in facts if fact.start is not None and fact.end is not None]
        marked = [span for entity in criterion.entities if entity.label in NUMBER_LABELS for span in entity.fragments]
        for start, end in criterion.fragments:
            for span in tokens(text, start, end):
                counts["token", _cover(span, in_facts, marked)] += 1
    return counts


def _kinds(fact: schema.Fact) -> Iterator[str]:
    if fact.range is not None:
        yield f"range of {fact.range.measures}" + (f", relative to {fact.range.relative_to}" if fact.range.relative_to else "")
        if fact.canonical is not None:
            yield "canonical"
    if fact.windows:
        yield "window"
    if fact.values:
        yield "values"


def _kind_of_repair(repair: str) -> str:
    """A repair without the words it quotes: "exponent # read as #"."""
    return re.sub(r"\d[\d.,^*]*", "#", re.sub(r"(['\"‘“]).*?(['\"’”])", "…", repair))[:60]


def _cover(token: tuple[int, int], facts: Sequence[tuple[int, int]], marked: Sequence[tuple[int, int]]) -> str:
    if any(start <= token[0] and token[1] <= end for start, end in facts):
        return "in a fact"
    if any(start <= token[0] and token[1] <= end for start, end in marked):
        return "in a THRESHOLD, TEMPORAL or STAGING of no fact"
    return "not covered"


def registry(path: Path, workers: int, limit: int | None) -> Iterator[str]:
    """What becomes of the numbers of a file of trials, read in a stream."""
    from critnlp import pipeline

    counts: Counter[Row] = Counter()
    trials = failed = 0
    began = time.perf_counter()
    for result in pipeline.map_trials(tally, islice(sources.read([str(path)]), limit), workers=workers):
        if isinstance(result, SourceError):
            failed += 1
            continue
        trials += 1
        counts.update(result)
        if trials % 5000 == 0:
            print(f"{trials} trials, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    holding = counts["criteria", "with a digit or a comparator"]
    yield f"{trials} trials ({failed} failed), {counts['criteria', 'all']} criteria, {holding} with a digit or a comparator"
    numeric = counts["with a numeric fact", "criteria"]
    with_fact = sum(n for (table, row), n in counts.items() if table == "outcome" and row.startswith("facts"))
    yield f"of these with at least one fact {_share(with_fact, holding)}, with a numeric fact {_share(numeric, holding)}"
    for table in ("outcome", "token", "about", "kind of number", "warning", "repair"):
        rows = Counter({row: n for (name, row), n in counts.items() if name == table})
        yield f"by {table}:"
        yield from (f"  {_share(n, rows.total())} {row}" for row, n in rows.most_common(40))


def _share(part: int, whole: int) -> str:
    return f"{part:8} ({part / whole:6.2%})" if whole else f"{part:8}"


# --- speed ------------------------------------------------------------------------------------------------------------


def speed(path: Path, number: int, rounds: int, seed: int = 1) -> Iterator[str]:
    """Criteria per second of the rules pipeline on a fixed sample, with and without abbreviations, with and without splitting."""
    from critnlp import abbreviations, criteria, pipeline

    drawn = sample(path, number, seed)
    nlp = pipeline.load()
    splits = {trial.eligibility: criteria.split(trial.eligibility) for trial in drawn}
    amount = sum(len(splits[trial.eligibility].criteria) for trial in drawn)
    yield f"{len(drawn)} trials, {amount} criteria, {sum(len(t.eligibility) for t in drawn) / amount:.0f} characters a criterion"
    for abbreviated in (True, False):
        if abbreviated and not abbreviations.available():
            yield "with abbreviations: scispaCy is not installed"
            continue
        for ready in (False, True):
            with ExitStack() as patches:
                if not abbreviated:
                    patches.enter_context(patch.object(abbreviations, "available", lambda: False))
                if ready:
                    patches.enter_context(patch.object(pipeline, "split", splits.__getitem__))
                rates = [amount / _seconds(drawn, nlp) for _ in range(rounds + 1)][1:]  # the first one warms the caches
            what = "tagging and facts of split criteria" if ready else "the whole pipeline"
            with_them = "with" if abbreviated else "without"
            yield (
                f"{what}, {with_them} abbreviations: median of {rounds} {statistics.median(rates):,.0f} criteria/s"
                f" ({min(rates):,.0f} to {max(rates):,.0f})"
            )


def _seconds(trials: Sequence[schema.Trial], nlp: Language) -> float:
    from critnlp import pipeline

    began = time.perf_counter()
    for trial in trials:
        pipeline.parse(trial, nlp)
    return time.perf_counter() - began


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    scoring = commands.add_parser("lct")
    scoring.add_argument("--path", type=Path, default=SHARED / "corpora/lct/lct_numeric.jsonl")
    scoring.add_argument("--show", choices=["missed", "spurious", "all"])
    scoring.add_argument(
        "--out", type=Path, help="a JSONL file for every line's result with its text; keep it out of the repository"
    )
    for name in ("registry", "speed"):
        command = commands.add_parser(name)
        command.add_argument("--path", type=Path, default=SHARED / "trials/trials.jsonl.xz")
        if name == "registry":
            command.add_argument("--workers", type=int, default=2)
            command.add_argument("--limit", type=int, help="how many trials, from the start of the file")
        else:
            command.add_argument("--trials", type=int, default=500)
            command.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    match chosen.command:
        case "lct":
            report = lct(chosen.path, chosen.show, chosen.out)
        case "registry":
            report = registry(chosen.path, chosen.workers, chosen.limit)
        case _:
            report = speed(chosen.path, chosen.trials, chosen.rounds)
    for line in report:
        print(line, flush=True)


if __name__ == "__main__":
    main()

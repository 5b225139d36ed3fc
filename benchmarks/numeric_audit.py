"""Audits numbers by eye: draws numeric facts, prints them for readers, keeps and reports the verdicts.

    python benchmarks/numeric_audit.py draw --seed 1 --n 600 --out FOLDER [--path TRIALS.jsonl.xz] [--without AUDIT…]
    python benchmarks/numeric_audit.py record FOLDER VERDICTS… --out benchmarks/audits/numbers-1.jsonl   (each reader's by itself)
    python benchmarks/numeric_audit.py report benchmarks/audits/numbers-1.jsonl [--second benchmarks/audits/numbers-1-second.jsonl]

A numeric fact has a range, a window, or the values of a scale or stage. FOLDER gets a guide, sheets of 50 facts for the first
reader (`part-…`), sheets of a random quarter for the second (`second-…`) and the key that leads from a number on a sheet back to
its trial; it holds text of the registry and stays outside the repository. A record holds NCT id, offsets and verdicts, no text.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from critnlp import schema
from numeric import SHARED, facts_of, is_numeric, nodes, sample
from split_audit import read_lines, wilson

Verdict = dict[str, Any]
SHEET = 50
VERDICTS = ("right", "wrong", "doubtful")
CAUSES = (
    *("value", "side", "inclusive", "unit", "reference", "measures", "canonical", "name", "about", "stage", "window", "anchor"),
    *("status", "invented", "incomplete", "condition_lost", "negation", "logic", "text", "other"),
)

GUIDE = f"""\
How to read the sheets

Each entry shows one criterion of a clinical trial and ONE fact that a program read from it. The characters that the fact came from
stand between ⟦ and ⟧; READ is the program's reading in plain words; RULE is the whole criterion as the program understands it, with
the fact in question behind ">>>". LEAD-IN is the line above the item, where there is one: what it says may be part of the fact.
An "exclusion" describes who is NOT wanted; the rule says what the text says, and is not turned round for it.

Write one line of JSON per entry, in a file of your own:
  {{"id": "N001", "verdict": "right", "place": "right", "factor_of_ten": false, "cause": ""}}

verdict: the fact by itself. Judge each of these against the text:
  value       the number, decimals and thousands ("50.000" platelets are fifty thousand; "109/L" is 10^9 per litre)
  side        at least or at most: which way the number bounds
  inclusive   "over 18" and "> 18" leave 18 out; "at least 18", "≥ 18", "18 or older" hold it; "18 to 65", "between" hold both ends
  unit        UCUM: a is year, mo month, wk week, d day, 10*9/L is 10^9 per litre, "1" has no dimension; none where none is written
  reference   × ULN, × LLN, × baseline, % of predicted: a ratio of it or a difference from it
  measures    value, or a count, a dose, a duration, a change of something
  canonical   the same range in another unit: check that it is the same amount (no more than rounding apart)
  name, about what is measured, staged or had; a synonym or an expanded abbreviation is right, another quantity is wrong
  stage       which stages, grades or classes; "IIIB-IV" holds everything from IIIB to IV
  window      within, before, for, after; the bounds; the anchor ("enrollment" stands for any entry into the study)
  status      current, history (at any time up to now), planned
right:    all of this is what the text says, or an equivalent of it. A window or detail that the text has and the fact leaves out
          is right only where RULE keeps those words as "unsupported" beside it.
wrong:    any of it is not what the text says: who acted on the fact would act wrongly for some patient.
doubtful: the text itself can be read in two ways and the program took one, or you cannot tell.
factor_of_ten: true where a wrong value is off by ten times or more: an exponent lost, thousands read as decimals.

place: right, wrong or doubtful, independent of the verdict: whether the fact stands where it belongs in RULE: under the right
"all of", "any of" or "not", with its condition ("if", "unless"), no words lost that limit it. A right fact may have a wrong place.
A fact that is there twice, or that belongs to what the text only permits or explains, has a wrong place. A fact below a line that
says "unsupported" claims no place, so its place is right.

cause: "" where both are right; else one of these words, and behind a colon up to eight words of your own (quote nothing):
  {", ".join(CAUSES)}
  (invented: nothing in the text says so; incomplete: a bound, member or window is missing; condition_lost: an "if" or a group is
  missing; negation and logic: the place; text: the text itself is broken)
"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A fact on a sheet; the key of its number. No text."""

    id: str
    nct_id: str
    criterion: str
    start: int | None
    end: int | None
    about: str
    held: bool  # inside `unsupported`: read, but with no place in the rule
    seed: int
    second: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact with its criterion and trial, as a sheet prints it."""

    parsed: schema.ParsedTrial
    criterion: schema.Criterion
    fact: schema.Fact
    held: bool = False


def entries(parsed: schema.ParsedTrial) -> Iterator[Entry]:
    """The numeric facts of a trial."""
    for criterion in parsed.criteria:
        held = [id(fact) for node in nodes(criterion.rule) if isinstance(node, schema.Unsupported) for fact in facts_of(node)]
        for fact in facts_of(criterion.rule):
            if is_numeric(fact):
                yield Entry(parsed, criterion, fact, id(fact) in held)


def draw(trials: Iterable[schema.ParsedTrial], number: int, rng: random.Random) -> list[Entry]:
    """`number` facts by simple random sampling over the facts of `trials`, at most one of each trial."""
    pool = [entry for parsed in trials for entry in entries(parsed)]
    rng.shuffle(pool)
    by_trial: dict[str | None, Entry] = {}
    for entry in pool:
        by_trial.setdefault(entry.parsed.trial.nct_id, entry)
    return list(by_trial.values())[:number]


# --- sheets -----------------------------------------------------------------------------------------------------------


def ends(bounds: schema.Range | schema.Window, unit: str | None) -> str:
    """Bounds in words: "at least 18 a and less than 65 a"."""
    words = []
    for value, inclusive, holding, leaving in (
        (bounds.low, bounds.low_inclusive, "at least", "more than"),
        (bounds.high, bounds.high_inclusive, "at most", "less than"),
    ):
        if value is not None:
            words.append(f"{leaving if inclusive is False else holding} {value}" + (f" {unit}" if unit else ""))
    return " and ".join(words) or "no bounds"


def reading(fact: schema.Fact) -> Iterator[str]:
    """The fact in plain words, a line for each thing that it says."""
    yield f"{fact.about}: {fact.name}" + "".join(
        f", {key} {value}" for key in ("of", "gene", "variant", "method") if (value := getattr(fact, key))
    )
    if fact.range is not None:
        relative = f" {fact.range.relation or ''} relative to {fact.range.relative_to}" if fact.range.relative_to else ""
        measures = f" [{fact.range.measures}]" if fact.range.measures != "value" else ""
        unwritten = " (no unit)" if fact.range.unit is None else ""
        yield f"range: {ends(fact.range, fact.range.unit)}{unwritten}{relative}{measures}"
    if fact.canonical is not None:
        flags = {} if fact.range is None else {key: getattr(fact.range, key) for key in ("low_inclusive", "high_inclusive")}
        yield f"canonical: {ends(schema.Range(low=fact.canonical.low, high=fact.canonical.high, **flags), fact.canonical.unit)}"
    if fact.values is not None:
        yield f"values: {', '.join(fact.values)}" + (f" (system {fact.system})" if fact.system else "")
    for window in fact.windows:
        anchor = window.anchor.name if isinstance(window.anchor, schema.Fact) else window.anchor
        choose = f", whichever is {window.choose}" if window.choose else ""
        yield f"window: {window.relation}, {ends(window, window.unit)}" + (f", anchor {anchor}" if anchor else "") + choose
    said = [f"{key} {value}" for key in _STATES if (value := getattr(fact, key)) not in _UNSAID]
    said += [f"qualifier {qualifier}" for qualifier in fact.qualifiers]
    if said:
        yield "also: " + ", ".join(said)
    for repair in fact.repairs:
        yield f"repair: {repair}"


_STATES = ("status", "experiencer", "certainty", "outcome")
_UNSAID = (None, "current", "patient", "affirmed")


def outline(rule: schema.Rule, marked: schema.Fact | None = None, indent: str = "") -> Iterator[str]:
    """A rule as an indented tree, the fact in question behind ">>>"."""
    below = indent + "    "
    match rule:
        case schema.Fact():
            sign = ">>> " if rule is marked else ""
            yield f"{indent}{sign}" + "; ".join(reading(rule))
            for exception in rule.exceptions:
                yield f"{below}except"
                yield from outline(exception, marked, below + "    ")
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            yield indent + (f"at least {rule.n} of" if isinstance(rule, schema.AtLeast) else rule.op.replace("_", " "))
            for part in rule.rules:
                yield from outline(part, marked, below)
        case schema.Not():
            yield f"{indent}not"
            yield from outline(rule.rule, marked, below)
        case schema.If():
            for word, branch in (("if", rule.condition), ("then", rule.then), ("else", rule.otherwise)):
                if branch is not None:
                    yield f"{indent}{word}"
                    yield from outline(branch, marked, below)
        case schema.CriterionRef():
            yield f"{indent}criterion {rule.id}"
        case schema.Unsupported() | schema.Note():
            yield f"{indent}{rule.op} ({rule.reason}): {_folded(rule.text)}"
            for kept in rule.facts if isinstance(rule, schema.Unsupported) else ():
                yield from outline(kept, marked, below)


def _folded(text: str) -> str:
    return " ".join(text.split())


def sheet(number: str, entry: Entry) -> Iterator[str]:
    """The lines of one fact for a reader."""
    criterion, fact = entry.criterion, entry.fact
    text = entry.parsed.trial.eligibility
    by_id = {other.id: other for other in entry.parsed.criteria}
    yield f"=== {number}  {criterion.kind}" + (f", {', '.join(criterion.cohorts)}" if criterion.cohorts else "")
    above = criterion.parent_id
    while above in by_id:
        yield f"LEAD-IN  {_folded(by_id[above].clean_text)}"
        above = by_id[above].parent_id
    start, end = fact.start, fact.end
    for at, until in criterion.fragments:
        words = text[at:until]
        if start is not None and end is not None and start < until and end > at:
            first, last = max(start, at) - at, min(end, until) - at
            words = f"{words[:first]}⟦{words[first:last]}⟧{words[last:]}"
        yield f"TEXT  {_folded(words)}"
    if start is None or end is None or not any(at <= start and end <= until for at, until in criterion.fragments):
        yield f"FROM  {'no characters' if start is None or end is None else _folded(text[start:end])}"
    for line in reading(fact):
        yield f"READ  {line}"
    for warning in entry.parsed.warnings:
        if warning.criterion == criterion.id:
            yield f"WARNING  {warning.code}: {warning.message}"
    yield f"RULE  (computable: {criterion.computable})"
    yield from outline(criterion.rule, fact, "    ")
    yield ""


def write(drawn: Sequence[Entry], seed: int, folder: Path) -> None:
    """The guide, the sheets and the key, into a folder outside the repository."""
    rng = random.Random(seed)
    second = set(rng.sample(range(len(drawn)), len(drawn) // 4))
    keys = [
        Drawn(
            id=f"N{place + 1:03}",
            nct_id=entry.parsed.trial.nct_id or "",
            criterion=entry.criterion.id,
            start=entry.fact.start,
            end=entry.fact.end,
            about=entry.fact.about,
            held=entry.held,
            seed=seed,
            second=place in second,
        )
        for place, entry in enumerate(drawn)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "guide.md", [GUIDE])
    _write_lines(folder / "key.jsonl", (json.dumps(asdict(key)) + "\n" for key in keys))
    pairs = list(zip(keys, drawn, strict=True))
    for name, chosen in (("part", pairs), ("second", [pair for pair in pairs if pair[0].second])):
        for first in range(0, len(chosen), SHEET):
            lines = (line + "\n" for key, entry in chosen[first : first + SHEET] for line in sheet(key.id, entry))
            _write_lines(folder / f"{name}-{first // SHEET + 1:02}.txt", lines)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        out.writelines(lines)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def record(keys: Iterable[Drawn], said: Iterable[Verdict]) -> Iterator[Verdict]:
    """The verdicts in the order of the key, without any text. A verdict that is no verdict is an error."""
    by_id: dict[str, Verdict] = {}
    for verdict in said:
        place = verdict.get("place", "right")
        if verdict["verdict"] not in VERDICTS or place not in VERDICTS:
            raise SystemExit(f"{verdict['id']}: {verdict['verdict']!r}/{place!r}; write one of {', '.join(VERDICTS)}")
        if verdict["id"] in by_id:
            raise SystemExit(f"{verdict['id']}: two verdicts; record the second reader's by themselves")
        by_id[verdict["id"]] = verdict
    for key in keys:
        if verdict := by_id.pop(key.id, {}):
            row = {name: value for name, value in asdict(key).items() if name != "second"}
            cause = str(verdict.get("cause") or "")
            yield row | {
                "verdict": verdict["verdict"],
                "place": verdict.get("place", "right"),
                "factor_of_ten": bool(verdict.get("factor_of_ten")),
                "cause": cause[:80],
            }
    if by_id:
        raise SystemExit(f"{', '.join(sorted(by_id))}: not in the key; were these verdicts written for another draw?")


def rate(count: int, total: int) -> str:
    """A share with its 95 % Wilson interval."""
    low, high = wilson(count, total)
    return f"{count}/{total} = {count / total:.2%}  95 % {low:.2%} to {high:.2%}"


def report(verdicts: Sequence[Verdict], second: Sequence[Verdict]) -> Iterator[str]:
    """The shares of wrong facts and places with intervals, by kind and cause, and how far a second reader agrees."""
    total = len(verdicts)
    if not total:
        yield "no verdicts"
        return
    seeds = sorted({verdict["seed"] for verdict in verdicts})
    yield f"{total} facts of as many trials, seed {', '.join(map(str, seeds))}"
    yield "fact wrong        " + rate(sum(v["verdict"] == "wrong" for v in verdicts), total)
    yield "  by ten or more  " + rate(sum(v["factor_of_ten"] for v in verdicts), total)
    yield "fact doubtful     " + rate(sum(v["verdict"] == "doubtful" for v in verdicts), total)
    yield "place wrong       " + rate(sum(v["place"] == "wrong" for v in verdicts), total)
    yield "fact or place     " + rate(sum("wrong" in (v["verdict"], v["place"]) for v in verdicts), total)
    for what, part in (
        ("in a rule", [v for v in verdicts if not v["held"]]),
        ("in unsupported text", [v for v in verdicts if v["held"]]),
    ):
        if part:
            yield f"fact wrong, {what}: " + rate(sum(v["verdict"] == "wrong" for v in part), len(part))
    for about, count in Counter(v["about"] for v in verdicts).most_common():
        wrong = sum(v["verdict"] == "wrong" for v in verdicts if v["about"] == about)
        yield f"  {about:13} {wrong:3} wrong of {count}"
    causes: Counter[tuple[str, str]] = Counter()
    for verdict in verdicts:
        worst = "wrong" if "wrong" in (verdict["verdict"], verdict["place"]) else "doubtful"
        if (verdict["verdict"], verdict["place"]) != ("right", "right"):
            causes[worst, verdict["cause"].split(":")[0].strip() or "no cause given"] += 1
    for (worst, cause), count in causes.most_common():
        yield f"  {count:4} {worst:8} {cause}"
    first = {verdict["id"]: verdict for verdict in verdicts}
    both = [(first[verdict["id"]], verdict) for verdict in second if verdict["id"] in first]
    for aspect in ("verdict", "place") if both else ():
        yield f"second reader, same {aspect:7} " + rate(sum(a[aspect] == b[aspect] for a, b in both), len(both))
    for one, other in both:
        if one["verdict"] != other["verdict"]:
            yield f"  {one['id']} {one['nct_id']} {one['verdict']} against {other['verdict']} ({one['cause'] or other['cause']})"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("--path", type=Path, default=SHARED / "trials/trials.jsonl.xz")
    drawing.add_argument("--seed", type=int, required=True)
    drawing.add_argument("--n", type=int, default=600)
    drawing.add_argument("--trials", type=int, help="how many trials the facts are drawn from, by default four for each fact")
    drawing.add_argument("--without", type=Path, nargs="*", default=[], help="earlier audits, whose trials are not drawn again")
    drawing.add_argument("--out", type=Path, required=True)
    recording = commands.add_parser("record")
    recording.add_argument("folder", type=Path)
    recording.add_argument("verdicts", type=Path, nargs="+")
    recording.add_argument("--out", type=Path, required=True)
    reporting = commands.add_parser("report")
    reporting.add_argument("verdicts", type=Path)
    reporting.add_argument("--second", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "draw":
        from critnlp import pipeline

        seen = {row["nct_id"] for path in chosen.without for row in read_lines(path)}
        trials = [trial for trial in sample(chosen.path, chosen.trials or 4 * chosen.n, chosen.seed) if trial.nct_id not in seen]
        nlp = pipeline.load()
        drawn = draw((pipeline.parse(trial, nlp) for trial in trials), chosen.n, random.Random(chosen.seed))
        write(drawn, chosen.seed, chosen.out)
        print(f"{len(drawn)} facts from {len(trials)} trials in {chosen.out}", file=sys.stderr)
    elif chosen.command == "record":
        keys = [Drawn(**row) for row in read_lines(chosen.folder / "key.jsonl")]
        verdicts = list(record(keys, [row for path in chosen.verdicts for row in read_lines(path)]))
        _write_lines(chosen.out, (json.dumps(verdict) + "\n" for verdict in verdicts))
        print(f"{len(verdicts)} of {len(keys)} facts have a verdict", file=sys.stderr)
    else:
        print("\n".join(report(read_lines(chosen.verdicts), read_lines(chosen.second) if chosen.second else [])))


if __name__ == "__main__":
    main()

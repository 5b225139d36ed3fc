"""Audits the splitter by eye: draws trials, prints them for a reader, and reports the verdicts.

    python benchmarks/split_audit.py draw TRIALS.jsonl.xz --seed 1 --trials 200 --out FOLDER [--readers 5]
    python benchmarks/split_audit.py record FOLDER VERDICTS… --out benchmarks/audits/split-1.jsonl
    python benchmarks/split_audit.py report benchmarks/audits/split-1.jsonl [--second benchmarks/audits/split-1-second.jsonl]

A reader sees the text with every segment marked where it stands and writes down only what is wrong. A record holds the NCT id,
offsets and verdicts of every criterion, and no text of the registry.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from critnlp.criteria import split

Verdict = dict[str, Any]
ASPECTS = ("split", "kind", "parent")


def draw(trials: Path, seed: int, number: int) -> list[dict[str, Any]]:
    """`number` trials of a JSONL file by simple random sampling, in file order."""
    with lzma.open(trials, "rt", encoding="utf-8", newline="\n") as lines:
        rows = [json.loads(line) for line in lines]
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), number))]


def sheet(nct_id: str, text: str) -> Iterator[str]:
    """The text for a reader: a segment a line, `id parent cohorts | words`, headings and notes in their place."""
    parsed = split(text)
    criteria = {criterion.id: criterion for criterion in parsed.criteria}
    yield f"=== {nct_id}"
    lead = ""  # the indent and bullet in front of the next segment
    for segment in parsed.segments:
        words = text[segment.start : segment.end]
        if segment.type in ("blank", "marker"):
            lead = (lead + words).rpartition("\n")[2]
            continue
        words = words.replace("\n", "\\n")
        if segment.criterion:
            criterion = criteria[segment.criterion]
            below = f" <{criterion.parent_id}" if criterion.parent_id else ""
            cohorts = f" {{{', '.join(criterion.cohorts)}}}" if criterion.cohorts else ""
            tail = "" if segment.start == criterion.start else " (its words behind its items)"
            yield f"{lead}[{criterion.id}{below}{cohorts}{tail}] {words}"
        else:
            yield f"{lead}{segment.type.upper()}: {words}"
        lead = ""


def record(rows: Iterable[dict[str, Any]], wrong: Iterable[Verdict], reader: str) -> Iterator[Verdict]:
    """One verdict per criterion of the trials; what `wrong` does not name is right. Missed criteria stand at the end of a trial."""
    named: dict[str, list[Verdict]] = {}
    for verdict in wrong:
        named.setdefault(verdict["nct_id"], []).append(verdict)
    for row in rows:
        verdicts = named.get(row["nct_id"], [])
        by_id = {v["id"]: v for v in verdicts if v.get("id")}
        for criterion in split(row["eligibility"]).criteria:
            said = by_id.get(criterion.id, {})
            yield {
                "nct_id": row["nct_id"],
                "id": criterion.id,
                "start": criterion.start,
                "end": criterion.end,
                "kind_found": criterion.kind,
                **{aspect: said.get(aspect, "right") for aspect in ASPECTS},
                "why": said.get("why", ""),
                "reader": reader,
            }
        for said in verdicts:
            if not said.get("id"):
                yield {
                    "nct_id": row["nct_id"],
                    "id": None,
                    "split": "missed",
                    "why": said.get("why", ""),
                    "reader": reader,
                }


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    z = 1.959964
    share, spread = right / total, z * z / total
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    centre = (share + spread / 2) / (1 + spread)
    return centre - half, centre + half


def bootstrap(verdicts: list[Verdict], aspect: str, rounds: int = 2000) -> tuple[float, float]:
    """The 95 % interval of the share that is right, resampling trials: criteria of one trial go wrong together."""
    trials: dict[str, list[bool]] = {}
    for verdict in verdicts:
        if aspect in verdict:
            trials.setdefault(verdict["nct_id"], []).append(verdict[aspect] == "right")
    counts = [(sum(flags), len(flags)) for flags in trials.values()]
    rng = random.Random(0)
    shares = []
    for _ in range(rounds):
        drawn = rng.choices(counts, k=len(counts))
        shares.append(sum(r for r, _ in drawn) / sum(n for _, n in drawn))
    shares.sort()
    return shares[int(0.025 * rounds)], shares[int(0.975 * rounds)]


def report(verdicts: list[Verdict], second: list[Verdict]) -> Iterator[str]:
    """The shares that are right, with intervals, the causes, and how far a second reader agrees."""
    yield f"{len({v['nct_id'] for v in verdicts})} trials, {len(verdicts)} criteria"
    for aspect in ASPECTS:
        judged = [v for v in verdicts if aspect in v]
        right = sum(v[aspect] == "right" for v in judged)
        low, high = wilson(right, len(judged))
        by_trial = bootstrap(verdicts, aspect)
        yield (
            f"{aspect:7} right {right}/{len(judged)} = {right / len(judged):.2%}  95 % {low:.2%} to {high:.2%}"
            f"  by trial {by_trial[0]:.2%} to {by_trial[1]:.2%}"
        )
    for why, count in Counter(v["why"].split(":")[0] for v in verdicts if v["why"]).most_common():
        yield f"  {count:4} {why}"
    if second:
        first = {(v["nct_id"], v["id"]): v for v in verdicts if v["id"]}
        both = [(first[v["nct_id"], v["id"]], v) for v in second if (v["nct_id"], v["id"]) in first]
        for aspect in ASPECTS:
            same = sum(a[aspect] == b[aspect] for a, b in both)
            yield f"second reader, {aspect:7} same verdict {same}/{len(both)} = {same / len(both):.2%}"


def read_lines(path: Path) -> list[Any]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("trials", type=Path)
    drawing.add_argument("--seed", type=int, required=True)
    drawing.add_argument("--trials", dest="number", type=int, default=200)
    drawing.add_argument("--readers", type=int, default=5)
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
        chosen.out.mkdir(parents=True, exist_ok=True)
        rows = draw(chosen.trials, chosen.seed, chosen.number)
        for reader in range(chosen.readers):
            part = rows[reader :: chosen.readers]
            (chosen.out / f"part-{reader + 1}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in part), encoding="utf-8")
            lines = (line for r in part for line in sheet(r["nct_id"], r["eligibility"]))
            (chosen.out / f"part-{reader + 1}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif chosen.command == "record":
        with chosen.out.open("w", encoding="utf-8") as out:
            for path in chosen.verdicts:
                rows = read_lines(chosen.folder / f"{path.stem}.jsonl")
                for verdict in record(rows, read_lines(path), reader=path.parent.name):
                    out.write(json.dumps(verdict) + "\n")
    else:
        print("\n".join(report(read_lines(chosen.verdicts), read_lines(chosen.second) if chosen.second else [])))


if __name__ == "__main__":
    main()

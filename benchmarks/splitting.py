"""Measures the splitter on real texts.

python benchmarks/splitting.py scale TRIALS.jsonl.xz       crashes, tiling, criteria per kind, trials without a heading
python benchmarks/splitting.py speed TRIALS.jsonl.xz       trials per second in one process, median of rounds, peak memory
python benchmarks/splitting.py dual PAIRS.jsonl.xz         the legacy and the markdown form of a trial, compared
python benchmarks/splitting.py lines CORPUS.jsonl.xz…      agreement with a corpus whose lines are its criteria (Chia)
"""

from __future__ import annotations

import argparse
import gc
import html
import json
import lzma
import random
import re
import resource
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from critnlp.criteria import Split, split


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a compressed JSONL file."""
    with lzma.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


def scale(path: Path) -> Iterator[str]:
    """Every trial of the file through the splitter."""
    kinds: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    trials = crashes = untiled = bare = empty = depth = 0
    for row in records(path):
        text = row["eligibility"]
        trials += 1
        try:
            found = split(text)
        except Exception as error:  # a crash is what is counted here
            crashes += 1
            yield f"crash: {row['nct_id']}: {error!r}"
            continue
        untiled += not _tiles(text, found)
        kinds.update(c.kind for c in found.criteria)
        for segment in found.segments:
            segments[segment.type] += segment.end - segment.start
        warnings.update(w.code for w in found.warnings)
        bare += not any(s.type == "heading" for s in found.segments)
        empty += not found.criteria
        depth += sum(c.parent_id is not None for c in found.criteria)
    total = sum(kinds.values())
    yield f"{trials} trials, {crashes} crashes, {untiled} not tiled exactly"
    yield f"{total} criteria, {depth / total:.1%} of them sub-items"
    yield "criteria per kind: " + ", ".join(f"{k} {n} ({n / total:.2%})" for k, n in kinds.most_common())
    yield f"without any heading: {bare} trials ({bare / trials:.2%}); without any criterion: {empty} ({empty / trials:.2%})"
    characters = sum(segments.values())
    yield "characters per segment type: " + ", ".join(f"{k} {n / characters:.2%}" for k, n in segments.most_common())
    yield "warnings: " + ", ".join(f"{k} {n}" for k, n in warnings.most_common())


def _tiles(text: str, found: Split) -> bool:
    at = 0
    for segment in found.segments:
        if segment.start != at or segment.end <= segment.start:
            return False
        at = segment.end
    return at == len(text)


def speed(path: Path, number: int = 2000, rounds: int = 7, seed: int = 1) -> Iterator[str]:
    """Trials per second on a random sample, round by round."""
    texts = random.Random(seed).sample([row["eligibility"] for row in records(path)], number)
    gc.collect()
    gc.freeze()  # the sample itself is no work of the splitter
    for text in texts[:50]:
        split(text)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        for text in texts:
            split(text)
        seconds.append(time.perf_counter() - began)
    rate = [number / s for s in seconds]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield f"{number} trials, {rounds} rounds: median {statistics.median(rate):.0f} trials/s ({min(rate):.0f} to {max(rate):.0f})"
    yield f"{sum(map(len, texts)) / number:.0f} characters a trial; peak memory of the process with all texts loaded {peak:.0f} MB"


def _words(text: str) -> str:
    """The text without white space, escapes and the signs of bullets."""
    return re.sub(r"[\W_]+", "", html.unescape(text.replace("\\", ""))).lower()


def dual(path: Path) -> Iterator[str]:
    """The two forms of each trial: criteria of one that the other must have too, because its words stand there."""
    pairs = same_words = same = 0
    must = missed = 0
    for row in records(path):
        pairs += 1
        forms = [row["legacy_xml"], row["v2_markdown"]]
        split_forms = [[(c.kind, _words(c.clean_text)) for c in split(form).criteria] for form in forms]
        bare = [_words(re.sub(r"(?m)^\s*(?:\\?[*o•-]|\(?\d+\\?[.)]|\(?[a-z]\\?[.)])\s+", "", form)) for form in forms]
        if bare[0] == bare[1]:
            same_words += 1
            same += split_forms[0] == split_forms[1]
            if split_forms[0] != split_forms[1]:
                yield f"  differs: {row['nct_id']}"
        for mine, theirs, text in (
            (split_forms[0], split_forms[1], bare[1]),
            (split_forms[1], split_forms[0], bare[0]),
        ):
            for criterion in mine:
                if criterion[1] in text:
                    must += 1
                    if criterion not in theirs:
                        missed += 1
                        yield f"  only in one form: {row['nct_id']} {criterion[0]} of {len(criterion[1])} characters"
    yield f"{pairs} pairs; {same_words} with the same words, {same} of them with the same criteria and polarity"
    yield f"criteria whose words stand in the other form: {must}, found there too: {must - missed} ({1 - missed / must:.2%})"


_BULLET = re.compile(r"^\s*(?:[-*•·–—o]\s+|\(?\d{1,2}[.)]\s*|\(?[a-zA-Z][.)]\s+|[-•]\s*)+")


def lines(paths: list[Path]) -> Iterator[str]:
    """How the criteria agree with the lines of a corpus whose sections are kept apart."""
    for path in paths:
        total = agree = 0
        kinds: Counter[str] = Counter()
        for row in records(path):
            head = f"{row['section'].capitalize()} Criteria:\n\n"
            text = head + row["text"]
            found = split(text)
            spans = {_bare(text, c.start, c.end) for c in found.criteria}
            inside = [(c.start, c.end) for c in found.criteria]
            for m in re.finditer(r"[^\n]+", text[len(head) :]):
                start, end = m.start() + len(head), m.end() + len(head)
                if not re.search(r"\w", m[0]):
                    continue
                total += 1
                line = _bare(text, start + (b.end() if (b := _BULLET.match(m[0])) else 0), end)
                if line in spans:
                    agree += 1
                    continue
                within = [s for s in inside if s[0] < end and s[1] > start]
                if not within:
                    kinds["heading or note here, a line there"] += 1
                elif len(within) > 1:
                    kinds["several criteria here (inline list, sentences), one line there"] += 1
                elif within[0][0] < line[0] - 8 or within[0][1] > line[1] + 8:
                    kinds["lines joined here (wrapped or a split sentence), apart there"] += 1
                else:
                    kinds["other edges (bullet, heading in front of the words)"] += 1
        yield f"{path.parent.name}/{path.name}: {agree} of {total} lines are criteria with the same words ({agree / total:.2%})"
        for kind, count in kinds.most_common():
            yield f"  {count:5} {count / total:.2%} {kind}"


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space and closing punctuation at its ends."""
    while start < end and not text[start].isalnum() and text[start] not in "≥≤<>=([\"'":
        start += 1
    while end > start and text[end - 1] in " \t\r\n.;,:":
        end -= 1
    return start, end


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["scale", "speed", "dual", "lines"])
    parser.add_argument("paths", type=Path, nargs="+")
    chosen = parser.parse_args()
    match chosen.command:
        case "scale":
            report = scale(chosen.paths[0])
        case "speed":
            report = speed(chosen.paths[0])
        case "dual":
            report = dual(chosen.paths[0])
        case _:
            report = lines(chosen.paths)
    for line in report:
        print(line, flush=True)


if __name__ == "__main__":
    main()

"""Precision, recall and F1 of the tagger on an annotated corpus, and its speed.

    python benchmarks/tagging.py corpora/chia/dev.jsonl.xz [--misses LABEL]

The corpus is JSON Lines, plain or xz: `text`, one criterion a line, and `entities` with `label` and `spans`.
"""

from __future__ import annotations

import argparse
import json
import lzma
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from critnlp.tagging import CriterionTagger, blank_pipeline

# Chia's types, as far as a label says the same; its Observation is half behaviour and half finding, so it is left out.
LABELS = {
    "Condition": "CONDITION",
    "Drug": "DRUG",
    "Procedure": "PROCEDURE",
    "Measurement": "LAB",
    "Device": "DEVICE",
    "Value": "THRESHOLD",
    "Temporal": "TEMPORAL",
    "Qualifier": "QUALIFIER",
    "Negation": "NEGATION",
    "Person": "DEMOGRAPHIC",
}
# Chia has one type where critnlp tells apart: a scale or marker is a measurement, a stage or result its value.
SAME = {
    "SCALE": "LAB",
    "BIOMARKER": "LAB",
    "RESULT": "THRESHOLD",
    "STAGING": "THRESHOLD",
    "REPRODUCTIVE": "CONDITION",
}
Span = tuple[str, int, int]


@dataclass(frozen=True)
class Counts:
    """What was found and what was there; a span counts once on each side."""

    found: int = 0
    right: int = 0
    gold: int = 0
    recalled: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self.values, other.values, strict=True)))

    @property
    def values(self) -> tuple[int, int, int, int]:
        """The four counts."""
        return self.found, self.right, self.gold, self.recalled

    @property
    def precision(self) -> float:
        """The share of the found spans that are right."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """The share of the gold spans that were found."""
        return self.recalled / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def criteria(path: Path) -> Iterator[tuple[str, set[Span]]]:
    """Each line of each text with its gold spans, outer extents, as offsets in the line."""
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            start = 0
            for line in record["text"].split("\n"):
                end = start + len(line)
                yield (
                    line,
                    {
                        (LABELS[entity["label"]], entity["spans"][0][0] - start, entity["spans"][-1][1] - start)
                        for entity in record["entities"]
                        if entity["label"] in LABELS and start <= entity["spans"][0][0] < end
                    },
                )
                start = end + 1


def hits(spans: set[Span], others: set[Span], strict: bool) -> int:
    """How many of `spans` have a match of the same label in `others`: the same extent, or any overlap."""
    if strict:
        return len(spans & others)
    return sum(any(o[0] == s[0] and o[1] < s[2] and s[1] < o[2] for o in others) for s in spans)


def main() -> None:
    """Print scores and speed."""
    parser = argparse.ArgumentParser(description="Score and time the tagger.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--misses", help="list what was missed and what was wrongly found for this label")
    options = parser.parse_args()
    tagger = CriterionTagger()
    sample = [(line, gold) for line, gold in criteria(options.path) if line.strip()]
    scores: dict[tuple[str, bool], Counts] = {}
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for line, gold in sample:
        found = {(SAME.get(m.label, m.label), m.start, m.end) for m in tagger.mentions(line)}
        for label in LABELS.values():
            mine, theirs = ({span for span in spans if span[0] == label} for spans in (found, gold))
            for strict in (True, False):
                counts = Counts(len(mine), hits(mine, theirs, strict), len(theirs), hits(theirs, mine, strict))
                scores[label, strict] = scores.get((label, strict), Counts()) + counts
            if label == options.misses:
                missed.update(line[s[1] : s[2]].lower() for s in theirs if not hits({s}, mine, strict=False))
                wrong.update(line[s[1] : s[2]].lower() for s in mine if not hits({s}, theirs, strict=False))
    print("label         gold   strict P     R    F1   relaxed P     R    F1")
    for strict in (True, False):
        scores["all", strict] = sum((scores[label, strict] for label in LABELS.values()), Counts())
    for label in (*LABELS.values(), "all"):
        exact, loose = scores[label, True], scores[label, False]
        numbers = [f"{value:6.3f}" for c in (exact, loose) for value in (c.precision, c.recall, c.f1)]
        print(f"{label:12}{exact.gold:6}     {''.join(numbers[:3])}      {''.join(numbers[3:])}")
    if options.misses:
        print("missed:", missed.most_common(150), "wrong:", wrong.most_common(100), sep="\n")

    nlp = blank_pipeline()
    texts = [line for line, _ in sample]
    for name, run in (
        ("mentions", lambda: [tagger.mentions(t) for t in texts]),
        ("pipe", lambda: list(nlp.pipe(texts))),
    ):
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        print(f"{name}: {len(texts) / min(times):,.0f} criteria/s")


if __name__ == "__main__":
    main()

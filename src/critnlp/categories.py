"""What a criterion is chiefly about: one of the schema's categories.

The table `categories.csv` holds cues: words of the criterion, and labels of its mentions. The strongest cue decides; a cue
weakens towards the end of the text, because a criterion opens with its subject.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import get_args

from critnlp import lexicon, schema

_FADE = 5.0  # what a cue at the very end of a text has lost of its weight
_SHORT = 100  # characters; in a shorter text a cue fades as it would in one of this length
_WORD = re.compile(r"\b(?:\d|\w{1,4})")  # what is looked up of a word; of a number, its first digit


@dataclass(frozen=True, slots=True, eq=False)
class _Cue:
    category: schema.Category
    weight: float
    pattern: re.Pattern[str] | None
    anchored: bool
    needs: tuple[str, ...]
    mention: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Cues:
    by_word: dict[str, tuple[_Cue, ...]]
    by_mention: dict[tuple[str, str], _Cue]
    top: float
    top_mention: float


def _cue(row: lexicon.Row) -> _Cue:
    if row["category"] not in get_args(schema.Category):
        raise ValueError(f"{row['category']!r} is no category of the schema")
    if bool(row["label"]) == bool(row["pattern"]):
        raise ValueError("a row has either a pattern or a label")
    try:
        pattern = re.compile(row["pattern"]) if row["pattern"] else None
    except re.error as error:
        raise ValueError(f"{row['pattern'][:60]!r} cannot be compiled: {error}") from None
    return _Cue(
        category=row["category"],  # type: ignore[arg-type]  # checked above
        weight=float(row["weight"]),
        pattern=pattern,
        anchored=row["pattern"].startswith("^"),
        needs=tuple(dict.fromkeys(filter(None, row["needs"].split("|")))),
        mention=(row["label"], row["status"]),
    )


@cache
def _cues() -> _Cues:
    cues = sorted(lexicon.load("categories", _cue), key=lambda cue: -cue.weight)
    by_word: dict[str, list[_Cue]] = {}
    for cue in cues:
        for need in cue.needs:
            by_word.setdefault(need, []).append(cue)
    by_mention = {cue.mention: cue for cue in cues if cue.pattern is None}
    return _Cues(
        {word: tuple(found) for word, found in by_word.items()},
        by_mention,
        cues[0].weight,
        max(cue.weight for cue in by_mention.values()),
    )


def categorize(clean_text: str, entities: Sequence[schema.Entity]) -> schema.Category:
    """The category of a criterion with this text and these mentions; "other" when nothing says."""
    cues = _cues()
    text = clean_text.lower().replace("_", " ")
    best: float = 0
    category: schema.Category = "other"
    fade = _FADE / max(len(text), _SHORT)
    tried: set[_Cue] = set()
    for word in _WORD.finditer(text):
        at = word.start()
        if cues.top - at * fade <= best:
            break  # nothing that begins this late can win
        for cue in cues.by_word.get(word[0], ()):
            score = cue.weight if cue.anchored else cue.weight - at * fade
            if score <= best or cue in tried:
                continue
            if cue.anchored:
                tried.add(cue)
            if cue.pattern and cue.pattern.match(text, 0 if cue.anchored else at):
                best, category = score, cue.category
    fade = _FADE / max(len(entities), 1)
    for place, entity in enumerate(entities):
        if cues.top_mention - place * fade <= best:
            break
        status = entity.attributes.status if entity.attributes else ""
        said = cues.by_mention.get((entity.label, status)) or cues.by_mention.get((entity.label, ""))
        if said and said.weight - place * fade > best:
            best, category = said.weight - place * fade, said.category
    return category

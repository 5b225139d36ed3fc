"""Text for readers and taggers, with every character mapped back to the source.

The eligibility text itself is never changed. A `Clean` is derived from it where a stage needs one: white space folded,
markdown escapes (`\\>=`) undone, HTML entities (`&gt;`) decoded, `<br>` taken as white space.
"""

from __future__ import annotations

import html
import html.entities
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# A single blank is left alone, so that most texts hold nothing to edit. The last ASCII group is markdown's escapable
# punctuation.
_DIRTY = re.compile(
    r"(?P<space>(?:[\s\u200b\ufeff]|<br\s*/?>){2,}|<br\s*/?>|[^\S ]|[\u200b\ufeff])"
    r"|(?P<entity>&(?:[a-zA-Z]{2,8}|#\d{2,6}|#x[0-9a-fA-F]{2,5});)"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~≤≥])",
    re.IGNORECASE,
)


_MISSPELT = {"&gte;": "≥", "&lte;": "≤"}  # html.unescape would read "&gte;" as ">e;"


def _decode(entity: str) -> str:
    if entity in _MISSPELT:
        return _MISSPELT[entity]
    known = entity[1] == "#" or entity[1:] in html.entities.html5
    text = html.unescape(entity) if known else entity
    return text if text.strip() else " "


def _may_be_dirty(text: str) -> bool:
    """A cheap question before a costly pattern: most criteria hold nothing to edit. Any odd white space is not printable."""
    return not text.isprintable() or "  " in text or "\\" in text or "&" in text or ("<" in text and "<br" in text.lower())


@dataclass(frozen=True, slots=True)
class Edit:
    """`source[source_start:source_end]` reads as `text[start:end]`."""

    start: int
    end: int
    source_start: int
    source_end: int


@dataclass(frozen=True, slots=True)
class Clean:
    """A clean text and the way back to the source. `edits` are in order; between two of them the texts agree."""

    text: str
    edits: tuple[Edit, ...]

    def _edit(self, position: int) -> Edit:
        return self.edits[bisect_right(self.edits, position, key=lambda edit: edit.start) - 1]

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The half-open source span of the non-empty `text[start:end]`."""
        if not 0 <= start < end <= len(self.text):
            raise ValueError(f"[{start}, {end}) is no span of a text of {len(self.text)} characters")
        first, last = self._edit(start), self._edit(end - 1)
        source_start = first.source_start if start < first.end else first.source_end + start - first.end
        source_end = last.source_end if end - 1 < last.end else last.source_end + end - last.end
        return source_start, source_end

    def clean_span(self, start: int, end: int) -> tuple[int, int]:
        """The half-open span of `text` that reads as `source[start:end]`, with edits taken whole.

        It is empty where `clean` was not given that part of the source.
        """
        if not 0 <= start < end:
            raise ValueError(f"[{start}, {end}) is no span of the source")
        return self._landing(start, edge=0), self._landing(end - 1, edge=1)

    def _landing(self, position: int, edge: Literal[0, 1]) -> int:
        """Where the start (`edge` 0) or the end (1) of a source character falls in `text`."""
        index = bisect_right(self.edits, position, key=lambda edit: edit.source_start) - 1
        if index < 0:
            return 0
        edit = self.edits[index]
        if position < edit.source_end:
            return edit.end if edge else edit.start
        limit = self.edits[index + 1].start if index + 1 < len(self.edits) else len(self.text)
        return min(edit.end + position + edge - edit.source_end, limit)


def clean(source: str, spans: Sequence[tuple[int, int]] | None = None) -> Clean:
    """The clean form of `source`, or of the given spans of it joined by one blank."""
    parts: list[str] = []
    edits: list[Edit] = []
    length = 0

    def put(text: str, start: int, end: int) -> None:
        nonlocal length
        parts.append(text)
        edits.append(Edit(length, length + len(text), start, end))
        length += len(text)

    for start, end in spans if spans is not None else [(0, len(source))]:
        put(" " if edits else "", start, start)
        at = start
        for found in _DIRTY.finditer(source, start, end) if _may_be_dirty(source[start:end]) else ():
            parts.append(source[at : found.start()])
            length += found.start() - at
            text = found["escaped"] or " "
            if found["entity"]:
                text = _decode(found["entity"])
            put(text, *found.span())
            at = found.end()
        parts.append(source[at:end])
        length += end - at
    return Clean("".join(parts), tuple(edits))


def clean_text(source: str, spans: Sequence[tuple[int, int]]) -> str:
    """`clean(source, spans).text`, several times faster where white space is all there is to fold."""
    if len(spans) == 1:
        whole = source[slice(*spans[0])]
        if not _may_be_dirty(whole):
            return whole
    parts = [source[start:end] for start, end in spans]
    edged = any(part[:1].isspace() or part[-1:].isspace() for part in parts)
    if edged or any(sign in part for part in parts for sign in "\\&<\u200b\ufeff"):
        return clean(source, spans).text
    return " ".join(" ".join(part.split()) for part in parts)

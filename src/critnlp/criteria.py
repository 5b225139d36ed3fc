"""Eligibility text → sections → criteria, with every character in a segment.

    split(text)   the criteria, segments and warnings of one eligibility text

The layout gives blocks; a block is read as a heading, a note or an item; items form a tree by indent and numbering; an item is
then cut into inline lists or, where the section is prose, sentences. Polarity comes from the headings, else from the
sentence's own words, else it is `unspecified`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise, zip_longest
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter

from critnlp import layout, lexicon, schema
from critnlp.cleaning import clean_text
from critnlp.headings import (
    Below,
    Heading,
    inline_headings,
    is_topic,
    leading_heading,
    names_populations,
    note_role,
    own_cohorts,
    read_heading,
)
from critnlp.layout import Block
from critnlp.schema import Kind, SegmentType

Span = tuple[int, int]


class Split(NamedTuple):
    """What a text was split into. `criteria` hold no entities yet and the rule `unsupported: unparsed`."""

    criteria: tuple[schema.Criterion, ...]
    segments: tuple[schema.Segment, ...]
    warnings: tuple[schema.Warning, ...]


def split(text: str) -> Split:
    """The criteria of an eligibility text in text order, segments that tile it, and warnings. Any string is accepted."""
    tree = _grow(text)
    items = _refine(text, tree)
    _settle(text, tree, items)
    criteria = _criteria(text, items)
    return Split(criteria, _segments(text, tree, items), tuple(_warnings(text, tree, criteria)))


# --- the tree ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """What the headings above an item say. `heading` is the span of the heading that set the polarity."""

    kind: Kind | None = None
    cohorts: tuple[str, ...] = ()
    pdq: bool = False
    heading: Span | None = None


@dataclass(slots=True, eq=False)
class Item:
    """A requirement while the tree grows. `heading` marks a bulleted heading, which is dissolved at the end."""

    start: int
    end: int
    section: Section
    parent: Item | None = None
    indent: int = 0
    style: str = ""
    ordinal: int = 0
    gap: bool = False
    heading: Heading | None = None
    note: bool = False
    announces: bool = False
    children: list[Item] = field(default_factory=list)
    tails: list[Span] = field(default_factory=list)
    id: str = ""
    kind: Kind = "unspecified"
    cohorts: tuple[str, ...] = ()

    @property
    def marked(self) -> bool:
        """Whether it has a bullet or number."""
        return bool(self.style)

    @property
    def spans(self) -> list[Span]:
        """Its own words: in front of its sub-items and behind them."""
        return [(self.start, self.end), *self.tails]


@dataclass(slots=True)
class _Tree:
    items: list[Item] = field(default_factory=list)
    pieces: list[tuple[SegmentType, int, int]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    incomplete: list[Span] = field(default_factory=list)


# How a line ends that announces items below it; the other one may end with any word.
_ANNOUNCES = (
    ":",
    "：",
    "following",
    "defined as",
    "defined by",
    "one of",
    "any of",
    "all of",
    "including",
    "such as",
    "either",
)
_ANNOUNCES_NOUN = re.compile(r"following \w+$")
_WORD = re.compile(r"[^\W_]")
_CONNECTIVE = re.compile(r"\W*(?:or|and|and/or|either|plus)\W*", re.IGNORECASE)
# A note about patients relaxes a criterion and is kept as one; other notes explain.
_ABOUT_PATIENTS = re.compile(
    r"\b(?:patients?|subjects?|participants?|women|men|individuals|those|eligible|allowed|permitted|excluded|exclusion|exception"
    r"|acceptable|need not)\b",
    re.IGNORECASE,
)

_ABOUT_STUDY = re.compile(r"\bre-?screen|\bscreened (?:once )?(?:more|again)\b|\bsample size\b|\brecruitment\b", re.IGNORECASE)


# The same few headings stand over most trials, so that short lines are looked up.
_SHORT = 48
_known_heading = lru_cache(maxsize=8192)(read_heading)


def _grow(text: str) -> _Tree:
    """The items of a text as their indents and numbers nest them, below the headings that stand over them."""
    return _Grower(text).run()


class _Grower:
    """One pass over the blocks: the open section, the open items, and the tree so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = _Tree()
        self.blocks = layout.blocks(text, list(inline_headings(text)))
        self.others = names_populations(text)
        self.section = Section()
        self.base: Kind | None = None  # polarity of the section, which "Excluded:" turns until the next topic
        self.outer: tuple[str, ...] = ()  # cohorts named above a section heading: "Part A" over "Inclusion Criteria"
        self.after_cohort = False
        self.open: list[Item] = []
        self.items_since = 0  # items since the last heading

    def run(self) -> _Tree:
        self.tree.sections.append(self.section)
        for i, block in enumerate(self.blocks):
            for marker in block.markers:
                self.tree.pieces.append(("marker", marker.start, marker.end))
            if block.start < block.end:
                self._take(block, i)
        return self.tree

    def _take(self, block: Block, i: int) -> None:
        """Reads one block: the headings at its start, and then itself as a heading, a note or an item."""
        outside, alone = self.section, False
        heading = self._heading(block, i)
        while heading is None and (leading := self._leading(block)):
            found, start, stop = leading
            # "* CROSSOVER EXCLUSION CRITERIA: …" among other bullets speaks for this bullet alone.
            alone = alone or bool(block.markers and found.cohorts)
            if alone:
                self.tree.pieces.append(("heading", start, stop))
                self.section = Section(found.kind or self.section.kind, found.cohorts or self.section.cohorts, outside.pdq)
            else:
                self._turn(found, (start, stop))
            heading = self._heading(block, i)
        self._place(block, i, heading)
        if alone:
            self.section = outside

    def _heading(self, block: Block, i: int) -> Heading | None:
        """The heading that the whole block is."""
        raw = self.text[block.start : block.end]
        read = _known_heading if len(raw) <= _SHORT else read_heading
        return read(raw, marked=bool(block.markers), kind=self.section.kind, others=self.others, below=self._below(i))

    def _leading(self, block: Block) -> tuple[Heading, int, int] | None:
        """The heading at the start of the block with its extent, which is taken off the block."""
        raw = self.text[block.start : block.end]
        leading = leading_heading(raw, kind=self.section.kind, others=self.others)
        if leading is None:
            return None
        heading, length = leading
        start = block.start
        block.start += len(raw) - len(raw[length:].lstrip())
        return heading, start, start + length

    def _place(self, block: Block, i: int, heading: Heading | None) -> None:
        text, start, end = self.text, block.start, block.end
        raw = text[start:end]
        if not _WORD.search(raw):
            self.tree.pieces.append(("marker", start, end))
            return
        if not block.markers and self.open and len(raw) < 12 and _CONNECTIVE.fullmatch(raw):
            self.open[-1].tails.append((start, end))  # "OR" on a line of its own belongs to the item that it goes on from
            return
        if heading and block.markers and self._deeper(i):
            self._attach(block, heading)
            self.tree.pieces.append(("heading", start, end))
            return
        if heading:
            self._turn(heading, (start, end))
            return
        self.after_cohort = False
        role = note_role(raw)
        if role in ("incomplete", "remark"):
            self.tree.incomplete.append((start, end))
        alone = role == "incomplete" and (bool(block.markers) or len(_sentences(text, start, end)) == 1)
        explains = (
            role == "note"
            and not block.markers
            and not raw.endswith(":")
            and (not _ABOUT_PATIENTS.search(raw) or _ABOUT_STUDY.search(raw))
        )
        if role == "nothing" or alone or explains:
            self.tree.pieces.append(("note", start, end))
        else:
            item = self._attach(block, None)
            item.note = role == "note"
            self.items_since += 1
            self.tree.items.append(item)

    def _turn(self, heading: Heading, span: Span) -> None:
        """Opens what a heading without a bullet opens."""
        self.tree.pieces.append(("heading", *span))
        if "not limited to" in self.text[slice(*span)].lower():
            self.tree.incomplete.append(span)
        self.open.clear()
        section = self.section
        match heading.rank:
            case "section":
                if self.after_cohort:
                    self.outer = section.cohorts
                # "Study-wide eligibility:" right below "Key exclusion criteria:" only narrows it
                inherits = self.base == "inclusion" or (self.tree.sections[-1].heading and not self.items_since)
                kind = heading.kind or (self.base if inherits else None)
                self.base = kind
                self.section = Section(kind, heading.cohorts or self.outer, heading.pdq, span)
            case "polarity":
                if self.base is None and not section.pdq:
                    self.base = heading.kind
                self.section = Section(heading.kind, section.cohorts, section.pdq, span)
            case "cohort":
                if not heading.cohorts:
                    self.outer = ()
                self.section = Section(section.kind, heading.cohorts or (), section.pdq)
            case "topic":
                self.section = Section(section.kind if section.pdq else self.base, section.cohorts, section.pdq)
        self.after_cohort = heading.rank == "cohort"
        self.items_since = 0
        self.tree.sections.append(self.section)

    def _below(self, i: int) -> Below:
        """What stands right below block `i`."""
        if i + 1 == len(self.blocks):
            return ""
        following, block = self.blocks[i + 1], self.blocks[i]
        if following.alone:
            return "section"
        # Without an empty line above it, a line among bullets may be one that has lost its own.
        parts = block.gap and i and self.blocks[i - 1].markers
        return ("bullets" if parts else "list") if following.markers else ""

    def _deeper(self, i: int) -> bool:
        """Whether bullets stand below block `i` at a deeper indent."""
        if i + 1 == len(self.blocks):
            return False
        below, block = self.blocks[i + 1], self.blocks[i]
        return bool(below.markers) and (below.indent > block.indent or (below.style != block.style and below.ordinal == 1))

    def _attach(self, block: Block, heading: Heading | None) -> Item:
        """Hangs a block below the innermost open item that it can stand below, and closes the others."""
        while self.open and not (
            _holds(self.open[-1], block, self.text) if block.markers else _holds_line(self.open[-1], block, self.text)
        ):
            self.open.pop()
        parent = self.open[-1] if self.open else None
        item = Item(block.start, block.end, self.section, parent, block.indent, block.style, block.ordinal, block.gap, heading)
        ending = self.text[max(block.start, block.end - 40) : block.end].rstrip(" -–—.*_").lower()
        item.announces = (
            heading is not None or ending.endswith(_ANNOUNCES) or ("following" in ending and bool(_ANNOUNCES_NOUN.search(ending)))
        )
        if parent:
            parent.children.append(item)
        self.open.append(item)
        return item


_ENDS_IN_OR = re.compile(r"\b(?:or|and)\W*$", re.IGNORECASE)
# A bullet that names its own subject is no item of "Patients must have adequate:".
_SUBJECT = re.compile(r"(?:the )?(?:patients?|subjects?|participants?|women|men|females?|males?)\b", re.IGNORECASE)


def _ends_in_or(text: str, start: int, end: int) -> bool:
    return bool(_ENDS_IN_OR.search(text, max(start, end - 12), end))


def _holds(top: Item, block: Block, text: str) -> bool:
    """Whether a bulleted block stands below the open item `top`."""
    if not top.marked:
        if not top.announces or _continues_above(top, block):
            return False
        if not top.children:
            return True
        first = top.children[0]
        if block.indent < first.indent - 1:
            return False
        return block.indent > top.indent or not _SUBJECT.match(text, block.start) or bool(_SUBJECT.match(text, first.start))
    if block.indent < top.indent:
        return False
    if block.indent > top.indent + (1 if block.ordinal or block.style == top.style else 0):
        return True
    if block.style == top.style and top.announces:
        # Items in the column of "…one of the following:" are its own where "or" chains them, or where a numbering starts anew.
        chained = top.children[-1] if top.children else None
        if block.ordinal == 1 < top.ordinal:
            return True
        if chained is None or (chained.style == block.style and chained.indent == block.indent):
            before = (chained.start, chained.end) if chained else (block.start, block.end)
            if _ends_in_or(text, *before):
                return True
    last = top.children[-1] if top.children else None
    if (
        last
        and block.ordinal > 1
        and last.style == block.style
        and last.ordinal == block.ordinal - 1
        and last.indent <= block.indent + 1
    ):
        return True
    # Same column: another style of marker opens a list of its own, where the item announces one or a numbering starts.
    if block.style == top.style or _continues_above(top, block):
        return False
    if block.ordinal:
        return block.ordinal == 1 and (bool(top.ordinal) or top.announces)
    return bool(top.ordinal) or top.announces


def _continues_above(item: Item, block: Block) -> bool:
    """Whether the block goes on with a list that an item above is a member of."""
    above = item.parent
    while above:
        if above.style == block.style and abs(above.indent - block.indent) <= 1:
            return block.ordinal != 1
        above = above.parent
    return False


def _holds_line(top: Item, block: Block, text: str) -> bool:
    """Whether a line without a bullet stands below `top`: such a line ends every list, unless an item announced it."""
    if not top.marked:
        if top.children and top.children[-1].marked:
            return False
        # "…that:", "… or", "… or", and the item that ends the chain
        first, last = (top.children[0], top.children[-1]) if top.children else (block, block)
        if top.announces and _ends_in_or(text, first.start, first.end):
            return _ends_in_or(text, last.start, last.end)
        # Lines right below "…:" are its items, up to the first empty line.
        return top.announces and not block.gap and (top.gap or bool(top.children) or block.indent > top.indent)
    if block.indent > top.indent and top.announces:
        return True
    if not top.announces:
        return block.indent > top.indent + 1 and bool(top.ordinal or block.gap)
    first_below = not top.children
    lines_below = bool(top.children) and not top.children[-1].marked
    return first_below or (lines_below and (not block.gap or top.children[0].gap))


# --- inside an item: inline lists and sentences -----------------------------------------------------------------------

_INLINE = re.compile(
    r"(?<![\w.\-])(?P<open>[(\[（])?(?:(?P<num>\d{1,2})|(?P<roman>[ivx]{1,4}(?=[)\]]))|(?P<alpha>[a-zA-Z]))[)\]）](?=\s|[^\W\d]|[≥≤<>])"
    r"|(?<=[:;,.] )(?P<dot>\d{1,2}(?=\.\s+[A-Z])|[a-h](?=\.\s?[A-Za-z]{3})|[ivx]{1,4}(?=\.\s?[A-Za-z]{3}))\."
)
_BULLETED = re.compile(r"[:;]\s+(?P<bullet>[-–*•●])\s+[^\W\d].*?\s(?P=bullet)\s+[^\W\d]", re.DOTALL)
_FIRST_OF_LIST = ("1)", "1）", "a)", "i)", "A)", "1]", "a]", "i]", " 1. ", " a.", " i.")
_ROMAN = [tens + ones for tens in ("", "x") for ones in ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")]
# Words of the parent behind its last item.
_TAIL = re.compile(
    r"\s+(?=(?:are|is|will be) (?:excluded|not eligible|eligible|ineligible)\b)"
    r"|[,;]\s+(?=(?:within|prior to|before|in the (?:last|past|previous)|during|at (?:screening|baseline|study entry|the time)"
    r"|as (?:assessed|determined|judged)|unless|obtained|in the opinion)\b)"
)
_ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|vs|dr|drs|no|nos|approx|ca|cf|al|st|mr|ms|mrs|prof|fig|sp|spp|resp|incl|min|max|inc|dept|u\.s|a\.m|p\.m"
    r"|eq|ref|viz|wt|pt|pts|yr|yrs|mo|wk|hr|hrs)|\b[a-z])\.$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]+[\"”’')\]]*(?=\s+[\"“'(\[*]*[A-Z≥≤<>0-9])|[;.]\s*(?=\n\s*\n)")


def _trim(text: str, start: int, end: int) -> Span:
    """The span without the white space at its ends; empty at `start` where nothing else is in it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _sentences(text: str, start: int, end: int) -> list[Span]:
    """The sentences of a stretch of prose, without the blanks between them."""
    spans: list[Span] = []
    at = start
    for m in _SENTENCE_END.finditer(text, start, end):
        stop = _trim(text, m.end(), end)[0]
        if _ABBREVIATED.search(text, max(at, m.start() - 12), m.start() + 1):
            continue
        if text.count("(", at, m.start()) > text.count(")", at, m.end()):
            continue
        if text[stop : stop + 1].isdigit() and text[m.start() - 1].isdigit():
            continue
        if len(re.findall(r"\w+", text[at : m.end()])) > 1:
            spans.append((at, m.end()))
            at = stop
    if at < end:
        if spans and len(re.findall(r"\w+", text[at:end])) < 2:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((at, end))
    return spans


class _Listed(NamedTuple):
    marker: Span
    body: Span


class _InlineList(NamedTuple):
    before: Span
    items: list[_Listed]
    tails: list[Span]


def _inline_list(text: str, start: int, end: int) -> _InlineList | None:
    """The list that stands inside a sentence ("a) …, b) …"): words before it, its items, the parent's words behind it."""
    sentence = text[start:end]
    if (" - " in sentence or " – " in sentence or "•" in sentence or " * " in sentence) and (bullets := _BULLETED.search(sentence)):
        return _bulleted_list(text, start, end, start + bullets.start("bullet"), bullets["bullet"])
    for sign in _FIRST_OF_LIST:
        if sign in sentence:
            break
    else:
        return None
    hits = list(_list_markers(text, start, end))
    firsts = [i for i, m in enumerate(hits) if _inline_style(m, 1)]
    for i in firsts[:_CHANCES]:
        style = _inline_style(hits[i], 1)
        chain = [hits[i]]
        for m in hits[i + 1 :]:
            if _inline_style(m, len(chain) + 1) == style:
                chain.append(m)
        cuts = [*(m.start() for m in chain[1:]), end]
        items = [_Listed(m.span(), _trim(text, m.end(), cut)) for m, cut in zip(chain, cuts, strict=True)]
        if len(items) > 1 and all(_is_item(text[a:b]) for a, b in (item.body for item in items)):
            last, tails = _cut_tail(text, items)
            return _InlineList(_trim(text, start, chain[0].start()), [*items[:-1], last], tails)
    return None


_CHANCES = 6  # how many times a numbering may seem to start before one is taken for a list
_DEPTH = 4  # how deep lists stand within lists


def _list_markers(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """What looks like a list marker; the bracket of "(ECOG 0 or 1)" closes one that is open, and is none."""
    depth, at = 0, start
    for m in _INLINE.finditer(text, start, end):
        depth += text.count("(", at, m.start()) - text.count(")", at, m.start())
        at = m.start()
        if m["open"] or m["dot"] or depth <= 0:
            yield m


def _bulleted_list(text: str, start: int, end: int, first: int, bullet: str) -> _InlineList | None:
    """ "… including: - heart failure - stroke": bullets that an export left in the row."""
    places = [
        first,
        *(m.start() for m in re.compile(rf"(?<=\s){re.escape(bullet)}(?=\s+[^\W\d])").finditer(text, first + 1, end)),
    ]
    items = [_Listed((a, a + 1), _trim(text, a + 1, b)) for a, b in pairwise([*places, end])]
    if len(items) < 2 or not all(_is_item(text[a:b]) for _, (a, b) in items):
        return None
    return _InlineList(_trim(text, start, first), items, [])


def _is_item(body: str) -> bool:
    """Whether this can be an item: "(1) or (2)" and "criteria a) and b)" name items and hold none."""
    return (
        len(body) >= 4 and bool(re.search(r"[^\W\d_]{2}", body)) and not _CONNECTIVE.fullmatch(body) and body.strip(" ,;") != "to"
    )


def _inline_style(m: re.Match[str], ordinal: int) -> str | None:
    """The style of the list in which `m` can have this ordinal."""
    if m["dot"]:
        styles = {str(ordinal): "1.", chr(96 + min(ordinal, 26)): "a.", _ROMAN[min(ordinal, len(_ROMAN)) - 1]: "i."}
        return styles.get(m["dot"])
    if m["num"]:
        return "1)" if int(m["num"]) == ordinal else None
    letters = m["roman"] or m["alpha"]
    if m["roman"] and ordinal <= len(_ROMAN) and letters == _ROMAN[ordinal - 1]:
        return "i)"
    if len(letters) == 1 and ord(letters.lower()) - 96 == ordinal:
        return "A)" if letters.isupper() else "a)"
    return None


def _cut_tail(text: str, items: Sequence[_Listed]) -> tuple[_Listed, list[Span]]:
    """The last item without the parent's words behind it, and those words."""
    last, others = items[-1], items[:-1]
    start, end = last.body
    cut, depth = end, 0
    for i in range(start, end):
        depth += (text[i] in "([") - (text[i] in ")]")
        if depth < 0:  # the bracket round the whole list
            cut = i
            break
    sentences = _sentences(text, start, cut)
    if len(sentences) > 1 and not any(len(_sentences(text, *item.body)) > 1 for item in others):
        cut = sentences[1][0]
    tail = _TAIL.search(text, start, cut)
    if tail and not any(_TAIL.search(text, *item.body) for item in others):
        cut = tail.end()
    rest = _trim(text, cut, end)
    return _Listed(last.marker, _trim(text, start, cut)), [rest] if _WORD.search(text, *rest) else []


# The old PDQ prose has no full stops: topics ("Hepatic:") and the words that open a statement part it.
_PDQ_TOPIC = re.compile(
    r"(?<!\w)(?P<topic>Age|Sex|Performance\s+status|Life\s+expectancy|Menopausal\s+status|Hormone\s+receptor\s+status|Hematopoietic"
    r"|Hepatic|Renal|Cardiovascular|Pulmonary|Neurologic|Immunologic|Gastrointestinal|Other|Biologic\s+therapy|Chemotherapy"
    r"|Endocrine\s+therapy|Radiotherapy|Surgery|Nutrition|Bone\s+marrow):(?=\s)"
)
_PDQ_KEPT = frozenset(["Age", "Sex", "Performance status", "Life expectancy", "Menopausal status", "Hormone receptor status"])
# A capital behind a word that ends in lower case, a number or a bracket. Names keep their capital inside a statement.
_PDQ_START = re.compile(
    r"(?:(?<=[a-z0-9)%\"*])|(?<=dL)|(?<=mL)|(?<=/L)|(?<=ULN))\s+(?=(?:(?!Characteristics|Hodgkin|Burkitt|Gleason|Karnofsky|Zubrod|Lansky|Philadelphia|Hickman|Cooperative"
    r"|Oncology|Group|American|National|World|Institute|Epstein|Barr|Bence|Jones|Rai|Gilbert|Southwest|Eastern|Children|University"
    r"|Reed|Sternberg|Ann|Arbor|Durie|Salmon|Clark|Breslow|Roman|Phase|Arm|Part|Step|Grade|Class|Level|Intergroup|Wilms|Ewing|Kaposi)"
    r"[A-Z][a-z]+\b(?!:|['’]s|-?[A-Z])"
    r"|(?:HIV|CNS|CD4|[A-Z]{2,4}(?:(?:/| or | and )[A-Z]{2,4})?)\s(?:count\s)?"
    r"(?:at least|greater|less|no greater|no more|no less|within|normal|negative|positive|[<>=≥≤])))"
)
_PDQ_OPEN = re.compile(
    r"(?:\b(?:or|and|of|with|the|than|to|for|in|by|no|a|an|as|if|at|from|per|on|OR|AND|No|Not|See|Any|Prior|Concurrent|Other|is|are|be)|[:,/;-])$"
)
_PDQ_NAME = re.compile(r"[^\s.:]\s+(?!Characteristics)[A-Z][a-z]+$")
_PDQ_NOTHING = re.compile(r"(?:[\w ]+:\s+)?(?:Not\s+specified|See\s.{0,40}|Not\s+applicable)\W*", re.IGNORECASE | re.DOTALL)


def _pdq_statements(text: str, start: int, end: int) -> Iterator[tuple[SegmentType, int, int]]:
    cuts, topics = {start, *(a for a, _ in _sentences(text, start, end))}, set()
    for m in _PDQ_TOPIC.finditer(text, start, end):
        cuts.add(m.start())
        if " ".join(m["topic"].split()) not in _PDQ_KEPT:
            cuts.add(m.end())
            topics.add(m.start())
    for m in _PDQ_START.finditer(text, start, end):
        in_bracket = text.count("(", start, m.start()) > text.count(")", start, m.start())
        in_name = _PDQ_NAME.search(text, max(start, m.start() - 24), m.start())  # "New" before "York"
        if not in_bracket and not in_name and not _PDQ_OPEN.search(text, max(start, m.start() - 12), m.start()):
            cuts.add(m.end())
    for a, b in pairwise([*sorted(cuts), end]):
        span = _trim(text, a, b)
        if span[0] < span[1]:
            nothing = _PDQ_NOTHING.fullmatch(text, *span)
            yield "heading" if a in topics else "note" if nothing else "criterion", *span


def _refine(text: str, tree: _Tree) -> list[Item]:
    """The items in text order, those of prose cut into sentences and all of them into their inline lists."""
    prose = _prose_sections(text, tree.items)
    refined: list[Item] = []
    for item in tree.items:
        parts = [item]
        lone = not item.marked and not item.children
        if lone and item.section.pdq:
            parts = []
            for type_, start, end in _pdq_statements(text, item.start, item.end):
                if type_ == "criterion":
                    parts.append(_part(item, start, end))
                else:
                    tree.pieces.append((type_, start, end))
        elif lone and item.parent is None and not item.note and item.section in prose and not _listed_throughout(text, item):
            sentences = _sentences(text, item.start, item.end)
            if len(sentences) > 1:
                roles = [note_role(text[slice(*sentence)]) for sentence in sentences]
                tree.pieces.extend(
                    ("note", *s) for s, role in zip(sentences, roles, strict=True) if role in ("incomplete", "nothing")
                )
                parts = [_part(item, *s) for s, role in zip(sentences, roles, strict=True) if role not in ("incomplete", "nothing")]
                if parts:
                    parts[-1].tails = item.tails
        for part in parts:
            refined.extend(_cut_inline(text, part, tree))
    return refined


def _listed_throughout(text: str, item: Item) -> bool:
    """Whether an inline list goes on over several sentences of the item, so that these part nothing."""
    found = _inline_list(text, item.start, item.end)
    if found is None or len(found.items) < 3:
        return False
    return len(_sentences(text, found.items[0].marker[0], found.items[-1].marker[0])) > 1


def _part(item: Item, start: int, end: int, parent: Item | None = None) -> Item:
    return Item(start, end, item.section, parent or item.parent, gap=item.gap, note=item.note)


def _cut_inline(text: str, item: Item, tree: _Tree, depth: int = 0) -> Iterator[Item]:
    """The item and the items of its inline list; where no words stand before the list, its items alone."""
    found = _inline_list(text, item.start, item.end) if depth < _DEPTH else None
    if found is None:
        yield item
        return
    tree.pieces.extend(("marker", *listed.marker) for listed in found.items)
    if _WORD.search(text, *found.before):
        item.end = found.before[1]
        item.tails = [*found.tails, *item.tails]
        yield item
        for listed in found.items:
            yield from _cut_inline(text, _part(item, *listed.body, parent=item), tree, depth + 1)
        return
    parts = [_part(item, *listed.body) for listed in found.items]
    parts[-1].tails = [*found.tails, *item.tails]
    for child in item.children:
        child.parent = parts[-1]
    for part in parts:
        yield from _cut_inline(text, part, tree, depth + 1)


def _prose_sections(text: str, items: Sequence[Item]) -> set[Section]:
    """The sections that are prose: a few paragraphs, or many of several sentences, and not a list of lines."""
    counts: dict[Section, list[int]] = {}
    bulleted = {item.section for item in items if item.marked}
    for item in items:
        if not item.marked and item.parent is None and not item.children and item.section not in bulleted:
            counts.setdefault(item.section, []).append(len(_sentences(text, item.start, item.end)))
    return {s for s, lines in counts.items() if len(lines) < 4 or sum(lines) >= 3 * len(lines)}


# --- polarity, cohorts, ids -------------------------------------------------------------------------------------------

# Only words that point at another criterion; whether "X are allowed" relaxes one is a question for a person.
_MODIFIES_FIRST = re.compile(r"\W*(?:note\b|n\.\s?b\.|exceptions?\b|however\b)", re.IGNORECASE)
_MODIFIES_INSIDE = re.compile(
    r"\W*(?:patients?|subjects?|participants?|individuals|those|women|men)\b[^.]*"
    r"\b(?:need not meet|(?:is|are) (?:an exception|exempt|exempted) (?:to|from))"
    r" (?:this|the above|above|the previous|that|these)\b",
    re.IGNORECASE,
)


@cache
def _polarity_patterns() -> tuple[tuple[re.Pattern[str], Kind], ...]:
    return lexicon.load("polarity", lambda row: (re.compile(row["pattern"], re.IGNORECASE), cast(Kind, row["kind"])))


def _own_kind(text: str) -> Kind | None:
    """The polarity that a sentence's own words state."""
    return next((kind for pattern, kind in _polarity_patterns() if pattern.search(text)), None)


def _settle(text: str, tree: _Tree, items: list[Item]) -> None:
    """Gives every item its parent, polarity, cohorts and id."""
    for item in items:
        if item.marked and item.children and is_topic(text[item.start : item.end]):
            item.heading = Heading("topic")
    dissolved = [item for item in items if item.heading]
    tree.pieces.extend(("heading", item.start, item.end) for item in dissolved)
    items[:] = [item for item in items if not item.heading]
    explicit = [s for s in tree.sections if s.heading and s.kind]
    contrast = explicit[0].heading if explicit and explicit[0].kind == "exclusion" else None
    if any(s.kind == "inclusion" for s in explicit):
        contrast = None
    counters: Counter[str] = Counter()
    for item in items:
        scopes: list[Heading] = []  # bulleted headings over the item, innermost first
        above = item.parent
        while above and above.heading:
            scopes.append(above.heading)
            above = above.parent
        item.parent = above
        own = text[item.start : item.end]
        kind, cohorts = item.section.kind, item.section.cohorts
        for scope in reversed(scopes):
            kind = scope.kind or kind
            cohorts = cohorts if scope.cohorts is None else scope.cohorts
        if above:
            kind = above.kind
            cohorts = above.cohorts
        if kind is None:
            kind = _own_kind(" ".join(text[a:b] for a, b in item.spans))
        if kind is None and contrast and item.start < contrast[0]:
            kind = "inclusion"  # a list that the author set against the "Exclusion" below it
        item.kind = kind or "unspecified"
        item.cohorts = own_cohorts(own) or cohorts
        prefix = f"{above.id}." if above else item.kind[0].upper()
        counters[prefix] += 1
        item.id = f"{prefix}{counters[prefix]}"


# --- out --------------------------------------------------------------------------------------------------------------

# Validating lists of plain values in one call is several times faster than building the objects one by one.
_CRITERIA = TypeAdapter(tuple[schema.Criterion, ...])
_SEGMENTS = TypeAdapter(tuple[schema.Segment, ...])


def _criteria(text: str, items: Sequence[Item]) -> tuple[schema.Criterion, ...]:
    rows: list[dict[str, Any]] = []
    previous: dict[Kind, str] = {}
    for item in items:
        parent = item.parent.id if item.parent else None
        own, readable = text[item.start : item.end], clean_text(text, item.spans)
        points = "need not meet" in own or "exception to" in own or "exempt" in own
        modifies = item.note or _MODIFIES_FIRST.match(own) or (points and _MODIFIES_INSIDE.match(own))
        rows.append(
            {
                "id": item.id,
                "kind": item.kind,
                "parent_id": parent,
                "cohorts": item.cohorts,
                "modifies": parent or previous.get(item.kind) if modifies else None,
                "start": item.start,
                "end": item.end,
                "fragments": item.spans,
                "text": own,
                "clean_text": readable,
                "rule": {"op": "unsupported", "text": readable, "reason": "unparsed"},
                "describe": readable,
            }
        )
        if item.parent is None:
            previous[item.kind] = item.id
    return _CRITERIA.validate_python(rows)


def _segments(text: str, tree: _Tree, items: Sequence[Item]) -> tuple[schema.Segment, ...]:
    """All pieces in order, and what lies between them: white space is `blank`, a stray `<br>`, `~` or sign a `marker`."""
    parents = {item.parent.id for item in items if item.parent}
    pieces: list[tuple[int, int, SegmentType, str | None]] = [(a, b, type_, None) for type_, a, b in tree.pieces if a < b]
    for item in items:
        type_: SegmentType = "lead_in" if item.id in parents else "criterion"
        pieces.extend((a, b, type_, item.id) for a, b in item.spans)
    rows: list[dict[str, Any]] = []
    at = 0
    for start, end, type_, criterion in [*sorted(pieces), (len(text), len(text), "blank", None)]:
        if start > at:
            rows.append({"type": "marker" if text[at:start].strip() else "blank", "start": at, "end": start})
        if end > start:
            rows.append({"type": type_, "start": start, "end": end, "criterion": criterion})
        at = end
    return _SEGMENTS.validate_python(rows)


def _warnings(text: str, tree: _Tree, criteria: Sequence[schema.Criterion]) -> Iterator[schema.Warning]:
    for start, end in tree.incomplete:
        line = " ".join(text[start:end].split())
        yield schema.Warning(code="registry_incomplete", message=f"the registry does not hold all criteria: {line!r}")
    starts = [criterion.start for criterion in criteria]
    named = [(s.kind, s.heading) for s in tree.sections if s.heading and s.kind]
    for (kind, (start, end)), following in zip_longest(named, named[1:]):
        stop = following[1][0] if following else len(text)
        holds = bisect_left(starts, stop) > bisect_left(starts, end)
        if not holds and not (following and following[0] == kind):
            line = " ".join(text[start:end].split())
            yield schema.Warning(code="empty_section", message=f"no criterion below {line!r} at {start}")
    first: dict[tuple[str | None, ...], str] = {}
    for criterion in criteria:
        own = criterion.clean_text.lower().strip(" .;,")
        key = (criterion.kind, own, criterion.parent_id, *criterion.cohorts)
        if key in first:
            yield schema.Warning(code="duplicate", criterion=criterion.id, message=f"says the same as {first[key]}")
        first.setdefault(key, criterion.id)

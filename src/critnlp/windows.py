"""Time phrases: where they are, and when each one is true.

    find("MI within 6 months before screening")   the time phrases of a text, with their windows
    parse_window("within 2 years")                the windows of one phrase

A text is read as words. A number with a unit of time is the core; what stands before it (preposition, comparison, "last") and
behind it (direction, anchor) is looked up in `resources/anchors.csv`. Several windows of one phrase are the stretches that
together make it up, unless `choose` says that only the longer or shorter one counts. What is not certain has a `problem` and
no window.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from typing import Final, Literal

from critnlp import lexicon
from critnlp.numerals import WORDS, number_at
from critnlp.schema import Window

Kind = Literal["window", "duration", "frequency", "anchor"]
Choose = Literal["longer", "shorter"]


@dataclass(frozen=True, slots=True)
class Time:
    """A time phrase: its characters, preposition and anchor included, and the windows in which it is true."""

    start: int
    end: int
    kind: Kind
    windows: tuple[Window, ...] = ()
    negated: bool = False  # "≥ 28 days since surgery": the fact is not(surgery within < 28 d)
    past: bool = False  # the window lies in the past, which makes what it dates a history
    repairs: tuple[str, ...] = ()
    problem: str | None = None  # why it cannot be read with certainty; then there is no window
    event: tuple[int, int] | None = None  # "since surgery": the characters of what happened then, within the span


# --- words ------------------------------------------------------------------------------------------------------------

# A code ("ad26", "y-90", "c1d1") is one word, but for a number that a blank got lost before ("day1", "within28 days").
# A hyphen between letters counts as a blank, a possessive "s" as nothing.
_NO_CODE = (
    *("day", "week", "visit", "month", "year", "cycle", "period", "dose", "part", "step", "within", "least", "than", "most"),
    *("for", "last", "past", "of", "to", "and", "or"),
)
_TOKEN = re.compile(
    rf"([^\W\d_]+(?:(?=-?\d){''.join(f'(?<!{word})' for word in _NO_CODE)}-?\d[^\W_]*)?|\d+(?:[.,·]\d+)*|\S)"
    r"(?:(?<=[^\W\d_])(?:'s\b|-(?=[^\W\d_])))?"
)
_FOLD = re.compile(r"[\s\u200b\ufeff]+|\\(?=[<>=≤≥~+-])|&(?:gt|lt|ge|le);")
_ENTITIES = {"&gt;": ">", "&lt;": "<", "&ge;": "≥", "&le;": "≤"}
_SAME = str.maketrans(
    {**dict.fromkeys("‐‑‒–—−﹣－", "-"), "’": "'", "＞": ">", "＜": "<", "＝": "=", "，": ",", "（": "(", "）": ")"}
)


class _Words:
    """The words of a text in lower case, and where each one begins and ends in it."""

    __slots__ = ("_places", "backward", "source", "text", "words")

    def __init__(self, text: str, source: str = "") -> None:
        self.text = text
        self.source = source or text  # as written, not in lower case
        self.words: list[str] = _TOKEN.findall(text)
        self.backward = self.words[::-1]
        self._places: list[tuple[int, int]] | None = None

    @property
    def places(self) -> list[tuple[int, int]]:
        """Start and end of each word. Most texts are done with before anybody asks."""
        if self._places is None:
            at, places, find = 0, [], self.text.find
            for word in self.words:
                start = find(word, at)
                at = start + len(word)
                places.append((start, at))
            self._places = places
        return self._places

    def at(self, index: int) -> str:
        """The word at `index`, or "" outside the text."""
        return self.words[index] if 0 <= index < len(self.words) else ""

    def index(self, offset: int, start: int) -> int:
        """The first word at or behind `start` that begins at or behind the character `offset`."""
        places = self.places
        while start < len(places) and places[start][0] < offset:
            start += 1
        return start

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The characters from word `begin` up to, and without, word `end`."""
        return self.places[begin][0], self.places[end - 1][1]


def _folded(text: str) -> tuple[str, list[int] | None]:
    """The text with single blanks and plain marks, and for each of its characters the offset in `text` (None: the same)."""
    offsets: list[int] | None = None
    if not text.isprintable() or "  " in text or "\\" in text or "&" in text or text[:1] == " ":
        pieces: list[str] = []
        offsets = []
        last = 0
        for match in _FOLD.finditer(text):
            pieces.append(text[last : match.start()])
            offsets.extend(range(last, match.start()))
            piece = _ENTITIES.get(match[0], "" if match[0] == "\\" or not match[0].strip("\u200b\ufeff") else " ")
            pieces.append(piece)
            offsets.extend([match.start()] * len(piece))
            last = match.end()
        pieces.append(text[last:])
        offsets.extend(range(last, len(text) + 1))
        text = "".join(pieces)
    text = _ABBREVIATED.sub(r"\1 ", text)
    return (text if text.isascii() else text.translate(_SAME)), offsets


# The dot of an abbreviation ends no sentence: "within 6 mos. of study entry".
_ABBREVIATED = re.compile(r"\b(mos?|wks?|yrs?|hrs?|mins?|secs?)\.(?=\s[a-z])")


def _lower(text: str) -> str:
    lower = text.lower()
    return lower if len(lower) == len(text) else text  # "İ" becomes two characters, which would shift the offsets


# --- phrases ----------------------------------------------------------------------------------------------------------

_Value = tuple[str, str, str]  # role, name, sense of the table's row


@dataclass
class _Phrases:
    """A set of phrases as a tree of their words. In a loose one articles do not count, and parts are phrases of their own."""

    words: dict[str, _Phrases] = field(default_factory=dict)
    parts: list[tuple[_Phrases, _Phrases]] = field(default_factory=list)
    value: _Value | None = None
    root: bool = False
    loose: bool = False  # with parts, or with articles that do not count

    def add(self, elements: Sequence[str | _Phrases], value: _Value) -> None:
        """Adds one phrase; the first value of a phrase stays."""
        node = self
        for element in elements:
            if isinstance(element, str):
                node = node.words.setdefault(element, _Phrases())
            else:
                known = next((child for part, child in node.parts if part is element), None)
                if known is None:
                    known = _Phrases()
                    node.parts.append((element, known))
                node = known
        node.value = node.value or value

    @cached_property
    def first(self) -> frozenset[str]:
        """The words that a phrase can begin with."""
        return frozenset(self.words).union(*(part.first for part, _ in self.parts))

    def ends(self, words: Sequence[str], at: int) -> Iterator[tuple[int, _Value]]:
        """Where a phrase that begins at `at` can end, each end with the phrase's value."""
        if self.value:
            yield at, self.value
        if at < len(words):
            word = words[at]
            if child := self.words.get(word):
                yield from child.ends(words, at + 1)
            for part, child in self.parts:
                if word in part.first:
                    for end, _ in part.ends(words, at):
                        yield from child.ends(words, end)
            if word in _ARTICLES and not self.root:
                yield from (found for found in self.ends(words, at + 1) if found[0] > at + 1)

    def longest(self, words: Sequence[str], at: int) -> tuple[int, _Value] | None:
        """The end and value of the longest phrase that begins at `at`."""
        if at >= len(words) or words[at] not in self.first:
            return None
        best: tuple[int, _Value] | None = None
        if self.loose:
            for found in self.ends(words, at):
                if best is None or found[0] > best[0]:
                    best = found
            return best
        node: _Phrases | None = self
        for end in range(at, len(words)):
            node = node.words.get(words[end]) if node else None
            if node is None:
                break
            if node.value:
                best = end + 1, node.value
        return best


_ARTICLES: Final = frozenset({"the", "a", "an", "their", "his", "her", "this", "any", "our", "its", "your"})
_ROLES: Final = ("lead", "compare", "period", "filler", "vague")


@dataclass(frozen=True, slots=True)
class _Table:
    """The table of time words, each role as a tree of phrases."""

    roles: dict[str, _Phrases]
    before_number: _Phrases  # lead, compare, period, filler and vague, read from left to right
    backward: _Phrases  # the same, read from right to left
    units: frozenset[str]  # the words that a unit can begin with
    counted: frozenset[str]  # the words that a time can have in the place of a number in digits
    sets: dict[str, frozenset[str]]
    swap: dict[tuple[str, str], str]


def _variants(phrase: str) -> list[list[str]]:
    """The phrase as words and `<part>`s, once for each choice of its optional elements."""
    choices: list[list[str]] = [[]]
    for piece in re.findall(r"<\w+>\??|[^\s<]+|<", phrase):
        name = piece.removesuffix("?") if len(piece) > 1 else piece
        words = [name] if re.fullmatch(r"<\w+>", name) else _Words(name).words
        choices = [c + words for c in choices] + (choices if name != piece else [])
    return choices


@cache
def _table() -> _Table:
    roles: dict[str, _Phrases] = {}
    parts: dict[str, _Phrases] = {}
    forward, backward = _Phrases(root=True), _Phrases(root=True)
    sets: dict[str, frozenset[str]] = {}
    swap: dict[tuple[str, str], str] = {}

    def make(row: lexicon.Row) -> None:
        role, name = row["role"], row["name"]
        value = (role, name, row["sense"])
        if role == "word":
            tree = roles.setdefault(f"word {name}", _Phrases(root=True))
            sets[name] = frozenset(row["phrases"].split("|"))
        elif role == "part":
            tree = parts.setdefault(name, _Phrases(root=True))
        elif role in ("before", "after"):
            swap[role, name] = row["phrases"]
            return
        else:
            tree = roles.setdefault(role, _Phrases(root=True, loose=role in ("anchor", "frame")))
        for phrase in row["phrases"].split("|"):
            for elements in _variants(phrase):
                if not elements:
                    raise ValueError(f"an empty phrase in {row['phrases']!r}")
                tree.add([parts[e[1:-1]] if e.startswith("<") and len(e) > 1 else e for e in elements], value)
                if role in _ROLES:
                    forward.add(elements, value)
                    backward.add(elements[::-1], value)

    lexicon.load("anchors", make)
    units = roles["unit"].first
    return _Table(roles, forward, backward, units, units | {*WORDS, "half"}, sets, swap)


# --- a number with its unit -------------------------------------------------------------------------------------------


_Number = tuple[str, int, tuple[str, ...], str | None]  # value, the word behind it, repairs, problem
_Unit = tuple[int, str, str]  # the word behind it, UCUM code, sense of the table's row


@dataclass(frozen=True, slots=True)
class _Amount:
    """A time in numbers: no value (vague), one, or the two of a range; `end` is the word behind it."""

    values: tuple[str, ...]
    unit: str
    end: int
    compare: str = ""  # "3 or more weeks"
    measured: bool = False  # in a unit that is more often a measured value than a time
    singular: bool = False
    repairs: tuple[str, ...] = ()
    problem: str | None = None
    opened: bool = False  # "2 to < 6 years"


def _times(value: str, factor: str) -> str:
    return _plain(Decimal(value) * Decimal(factor))


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _unit(w: _Words, at: int) -> _Unit | None:
    """The unit that begins at `at`, or behind a hyphen there: the word behind it, its UCUM code and the row's sense."""
    if w.at(at) == "-":
        at += 1
    found = _table().roles["unit"].longest(w.words, at)
    if not found or (len(w.at(at)) == 1 and (w.at(found[0])[:1].isdigit() or w.source[w.places[at][0]].isupper())):
        return None  # "1 d 1", "6 D"
    end, (_, code, sense) = found
    if w.at(end) == "(" and w.at(end + 1) == "s" and w.at(end + 2) == ")":
        end += 3
    elif w.at(end) == "'":
        end += 1
    return end, code, sense


def _amount(w: _Words, at: int) -> _Amount | None:
    """The number or range with a unit of time that begins at word `at`."""
    first = _number(w, at)
    if first is None:
        return None
    value, end, repairs, problem = first
    compare = ""
    if (more := _table().roles["or"].longest(w.words, end)) and _unit(w, more[0]) and w.at(end) != "at":
        end, compare = more[0], more[1][1]
    unit = _unit(w, end)
    if not compare and (found := _range(w, at, first, unit)):
        return found
    if not unit or (unit[1] in ("d", "wk") and w.at(at - 1) in _NUMBERED and w.at(unit[0])[:1].isdigit()):
        return None
    return replace(_scaled((value,), value, unit, repairs, problem, singular=not w.at(unit[0] - 1).endswith("s")), compare=compare)


def _range(w: _Words, at: int, first: _Number, unit: _Unit | None) -> _Amount | None:
    """The range whose first number, with a unit of its own or without, is read already: "2-4 weeks", "6 months to < 2 years"."""
    value, end, repairs, problem = first
    after = unit[0] if unit else end
    if w.at(after) == "-" and w.at(after + 1) in ("to", "and", "or"):
        after += 1
    connector = w.at(after)
    if connector not in ("-", "to", "and", "or", "through", "~"):
        return None
    joined = connector in ("-", "to", "through", "~") or (connector == "and" and w.at(at - 1) == "between")
    if not joined and (connector != "or" or unit):
        return None
    behind, opened = after + 1, False
    if (bound := _table().roles["compare"].longest(w.words, behind)) and bound[1][1] in _UPPER:
        behind, opened = bound[0], bound[1][1] == "lt"
    second = _number(w, behind)
    other = _unit(w, second[1]) if second else None
    if second is None or other is None:
        return None
    values, repairs = (value, second[0]), (*repairs, *second[2])
    problem = problem or second[3] or (None if joined else f"{value} or {second[0]}: which one is not said")
    if unit and unit[1:] != other[1:]:
        exact = None if unit[2].isdigit() or other[2].isdigit() else _common(((value, unit[1]), (second[0], other[1])))
        if exact is None:
            return _Amount((), other[1], other[0], problem="the two bounds have units that do not convert exactly")
        amount = _Amount(exact[0], exact[1], other[0], repairs=(*repairs, f"both bounds in {exact[1]}"), problem=problem)
    else:
        amount = _scaled(values, f"{value}-{second[0]}", other, repairs, problem, singular=False)
    if Decimal(amount.values[0]) >= Decimal(amount.values[1]):
        amount = replace(amount, problem=amount.problem or "the lower bound is not below the upper one")
    return replace(amount, opened=opened)


_NUMBERED: Final = frozenset({"cycle", "visit", "week", "day", "month", "period", "part", "phase", "step", "arm", "c", "dose"})


def _number(w: _Words, at: int) -> _Number | None:
    """The number at word `at`: value, the word behind it, repairs and problem."""
    word = w.at(at)
    if word == "half":
        end = at + 1 + (w.at(at + 1) in ("a", "an", "of"))
        return ("0.5", end, ("half read as 0.5",), None) if _unit(w, end) else None
    if not (word[:1].isdigit() or word in WORDS):
        return None
    number = number_at(w.text, w.places[at][0])
    if number is None:
        return None
    end = w.index(number.end, at + 1)
    value, repairs = number.value, number.repairs
    problem = f"{value} can be read as {number.other}" if number.other else None
    if w.words[end : end + 3] == ["and", "a", "half"]:
        value, end, repairs = _plain(Decimal(value) + Decimal("0.5")), end + 3, (*repairs, f"{value} and a half read as {value}.5")
    if w.at(end) == "(" and w.at(end + 1) in ("+", "±", "-") and (close := _closing(w, end)):
        return value, close, repairs, problem or "a tolerance is written, no bound"
    if w.at(end) == "(" and w.at(end + 1) in "<>≤≥=" and (close := _closing(w, end)):
        inner = next((_number(w, i) for i in range(end + 2, close) if w.words[i] not in "<>≤≥=/"), None)
        if inner and inner[1] == close - 1 and Decimal(inner[0]) == Decimal(value):
            end = close
    if w.at(end) == "(" and w.at(end + 2) == ")" and (again := _number(w, end + 1)) and again[1] == end + 2:
        if Decimal(again[0]) != Decimal(value):
            return value, end + 3, repairs, f"{value} or {again[0]}: the number in brackets is another one"
        end += 3
    if w.at(end) in ("±",) or w.words[end : end + 3] == ["+", "/", "-"]:
        problem = problem or "a tolerance is written, no bound"
        end = next((i + 1 for i in range(end, min(end + 5, len(w.words))) if w.words[i][:1].isdigit()), end)
    return value, end, repairs, problem


def _closing(w: _Words, at: int, far: int = 6) -> int | None:
    """The word behind the bracket that closes the one at `at`, if it is near."""
    return next((i + 1 for i in range(at + 1, min(at + far, len(w.words))) if w.words[i] == ")"), None)


def _scaled(
    values: tuple[str, ...],
    written: str,
    unit: tuple[int, str, str],
    repairs: tuple[str, ...],
    problem: str | None,
    *,
    singular: bool,
) -> _Amount:
    end, code, sense = unit
    if sense.isdigit():
        repairs = (*repairs, f"{written} times {sense} {code}")
        values = tuple(_times(value, sense) for value in values)
    if code == "?":
        problem = problem or "business days are no unit of time"
    return _Amount(values, code, end, "", sense == "measured", singular, repairs, problem)


# What a unit is in the smallest one that it converts to exactly.
_EXACT: Final = {
    "min": ("s", 60),
    "h": ("s", 3600),
    "d": ("s", 86400),
    "wk": ("s", 604800),
    "s": ("s", 1),
    "a": ("mo", 12),
    "mo": ("mo", 1),
}
_DAYS: Final = {"s": 1 / 86400, "min": 1 / 1440, "h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}


def _common(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], str] | None:
    """The values of (value, unit) pairs in their smallest unit, if they convert exactly."""
    pairs = tuple(pairs)
    if any(unit not in _EXACT for _, unit in pairs) or len({_EXACT[unit][0] for _, unit in pairs}) != 1:
        return None
    target = min((unit for _, unit in pairs), key=lambda unit: _EXACT[unit][1])
    size = Decimal(_EXACT[target][1])
    return tuple(_plain(Decimal(value) * _EXACT[unit][1] / size) for value, unit in pairs), target


# --- what stands before it --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Left:
    """What stands before a number: where it begins, and what it says."""

    start: int
    lead: str = ""
    compare: str = ""
    period: str = ""
    vague: bool = False
    article: bool = False  # "the 6 months before"
    about: bool = False
    choose: Choose | None = None


def _left(w: _Words, at: int) -> _Left:
    """What stands before word `at`, read backwards: comparison, "the last", preposition."""
    total, table = len(w.words), _table()
    left, here = _Left(at), at
    # "greater than (>) 14 days", "at least [>=] 2 years"
    if (opened := _signs(w, here)) and (found := table.roles["compare"].longest(w.words, opened + 1)):
        left.compare, left.start, here = found[1][1], opened, opened
    signs = left.compare
    while here > 0 and (found := table.backward.longest(w.backward, total - here)):
        role, name, _ = found[1]
        begin = total - found[0]
        if role == "lead":
            if left.lead == "over" and not left.compare:
                left.lead, left.compare = name, "gt"
            elif left.lead:
                break
            elif name == "for up to":
                left.lead, left.compare = "for", left.compare or "le"
            else:
                left.lead = name
        elif role == "compare" and name == "about":
            left.about = True
        elif role == "compare":
            if (left.compare and left.compare not in (signs, name)) or (
                left.lead and (left.lead != "for" or total - found[0] + 1 == here)
            ):
                break  # "at least for 3 months", but not "below within 14 days"
            left.compare, signs = name, ""
        elif left.lead:
            break
        elif role == "period" and name in ("longer", "shorter"):
            left.choose = "longer" if name == "longer" else "shorter"
        elif role == "period":
            if left.period:
                break
            left.period = name
        elif role == "vague":
            left.vague = True
        else:
            left.article = left.article or w.words[begin] in ("the", "these", "those")
            here = begin
            continue
        left.start = here = begin
    return left


def _signs(w: _Words, at: int) -> int | None:
    """The bracket that opens before word `at`, if there is nothing but signs of comparison in it."""
    if w.at(at - 1) not in (")", "]"):
        return None
    opened = next((i for i in range(at - 2, max(at - 6, -1), -1) if w.words[i] in ("(", "[")), None)
    if opened is None or not all(word in "<>≤≥=/" for word in w.words[opened + 1 : at - 1]):
        return None
    return opened


# --- anchors ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What a time is counted from; `end` is the word behind it. An event that the table does not know goes by its own words."""

    name: str
    end: int
    sense: str = ""  # "" for an event that the table does not know
    first: int = 0
    ahead: bool = False  # "planned surgery": it lies ahead
    bare: bool = False  # one word, which says little

    @property
    def known(self) -> bool:
        """Whether the table holds the event."""
        return bool(self.sense)

    @property
    def side(self) -> str:
        """What "within 4 weeks of" this event means: the weeks before it, the weeks after it, "" for nobody can tell."""
        if "entry" in self.sense or self.ahead or (self.known and self.name in ("study", "study_treatment")):
            return "within"
        if self.known:
            return "after" if "onset" in self.sense else ""
        words = _table().sets
        head, *_, last = (*self.name.split(), self.name.split()[-1])
        if head in words["starting"] or last in words["entering"] or self.name in ("day 0", "day -1", "visit 1"):
            return "within"
        return "after" if head in words["ending"] else ""


_LONG: Final = 18  # no anchor has more words


def _anchor(w: _Words, at: int, *, during: bool = False) -> _Anchor | None:
    """The event that begins at word `at`; `during` looks for what has a length."""
    found = _anchor_of(tuple(w.words[at : at + _LONG]), during)
    return _Anchor(found.name, found.end + at, found.sense, found.first + at, found.ahead) if found else None


@lru_cache(maxsize=16384)
def _anchor_of(words: tuple[str, ...], during: bool) -> _Anchor | None:
    known, plain = _known_anchor(words, 0), None
    # "prior to any study procedure" is not prior to the study.
    noun = known is not None and not during and words[known.end - 1] in _STUDY
    if known is not None and not during and known.name == "study_treatment" and known.bare:
        known = None  # "prior to treatment": whose is not said
    if known is None or "?" in known.sense or noun:
        plain = _plain_anchor(words)
        if known is None and plain and _numbered_at(plain):
            known = plain
        elif known is None or (plain and plain.end > known.end):
            return plain
        known = replace(known, sense=known.sense.strip("? "))
    # "Day 1 (randomization)": what stands in brackets says which day it is.
    if known.end + 1 < len(words) and words[known.end] == "(":
        inner = _known_anchor(words, known.end + 1) or _numbered(words, known.end + 1)
        if inner and inner.end < len(words) and words[inner.end] == ")":
            weak = "weak" in known.sense or not known.known
            return replace(inner if weak and inner.known else known, end=inner.end + 1, first=known.first)
    return known


_STUDY: Final = frozenset({"study", "trial", "protocol", "research"})


def _known_anchor(words: tuple[str, ...], at: int) -> _Anchor | None:
    table = _table()
    start, ahead = at, False
    while True:
        found = table.roles["anchor"].longest(words, at)
        skip = table.roles["word planned"].longest(words, at)
        if found and not (skip and skip[0] > found[0]):
            break
        if skip:
            ahead = ahead or not table.sets["ahead"].isdisjoint(words[at : skip[0]])
            at = skip[0]
        elif at < len(words) and words[at] in table.sets["article"]:
            at += 1
        else:
            return None
    end, (_, name, sense) = found
    follow = words[end] if end < len(words) else ""
    # "first dose of rituximab", "start of therapy for tuberculosis": any medicine, not the study's.
    if (
        name in ("first_dose", "last_dose", "end_of_treatment", "study_treatment")
        and follow in ("of", "with", "for")
        and "weak" not in sense
    ):
        sense += " ?"
    if tail := table.roles["word visitword"].longest(words, end):
        end = tail[0]
    if (number := _numbered(words, end)) and number.end - end <= 3:
        end = number.end
    return _Anchor(name, end, sense, start, ahead, end - at == 1)


def _numbered(words: tuple[str, ...], at: int) -> _Anchor | None:
    """ "visit 2", "day -14"."""
    if at + 1 < len(words) and words[at] in _NUMBERED:
        sign = words[at + 1] in "-+" and at + 2 < len(words)
        value = words[at + 1 + sign]
        if value[:1].isdigit() or value in WORDS:
            return _Anchor(f"{words[at]} {words[at + 1] if sign else ''}{value}", at + 2 + sign, "", at)
    return None


def _plain_anchor(words: tuple[str, ...]) -> _Anchor | None:
    """An event by its own words, up to a word that cannot belong to it."""
    table = _table()
    at, ahead = 0, False
    while at < len(words):
        if skip := table.roles["word planned"].longest(words, at):
            ahead = ahead or not table.sets["ahead"].isdisjoint(words[at : skip[0]])
            at = skip[0]
        elif words[at] in table.sets["article"] or words[at] in _EARLIER:
            at += 1
        else:
            break
    name: list[str] = []
    start = end = at
    while at < len(words) and len(name) < 7:
        if number := _numbered(words, at):
            name.append(number.name)
            at = end = number.end
            continue
        word = words[at]
        if word.isdigit() and name and len(word) < 6 and not table.roles["unit"].longest(words, at + 1):
            pass  # "first dose of AMG 510"
        elif not word[:1].isalpha() or word in table.sets["stop"]:
            break
        if name or word != "of":
            name.append(word)
        at += 1
        if word not in ("of", "the", "a", "an", "their", "his", "her"):
            end = at
    while name and name[-1] in ("of", "the", "a", "an", "their", "his", "her"):
        name.pop()
    return _Anchor(" ".join(name), end, "", start, ahead) if name else None


_EARLIER: Final = frozenset({"prior", "previous", "other"})  # "since prior chemotherapy": since it


# --- what stands behind it --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Right:
    """What stands behind a number and its unit: where that ends, and what it says."""

    end: int
    compare: str = ""
    direction: str = ""
    elapsed: bool = False
    duration: bool = False
    anchors: list[_Anchor] = field(default_factory=list)
    others: list[tuple[str, _Amount]] = field(default_factory=list)  # "or 5 half-lives", each with its comparison
    joined: list[tuple[str, _Amount]] = field(default_factory=list)  # "and ≤ 12 weeks"
    shared: bool = False  # "4 weeks before and 2 weeks after X": the anchor stands behind the second time
    choose: Choose | None = None
    problem: str | None = None


_CHOICE: Final = re.compile(
    r"[,(]?\s?which ?ever(?: one)?(?: of (?:the|these) two)?"
    r"(?: (?:time|period|interval|duration|is|was|are|being|comes|occurs|occurred|will be|the))*"
    r" (?P<c>[a-z]+)(?: (?:first|one))?\)?"
)
_CHOICES: Final[dict[str, Choose]] = {
    **dict.fromkeys(("longer", "longest", "greater", "greatest", "later", "latest", "more", "larger"), "longer"),
    **dict.fromkeys(("shorter", "shortest", "lesser", "less", "smaller"), "shorter"),
}


def _choice(w: _Words, right: _Right) -> None:
    """Reads "(whichever is longer)" at the end of what is read so far."""
    at = _aside(w, right.end)
    if at >= len(w.words) or w.at(at + (w.at(at) in (",", "("))) not in ("whichever", "which"):
        return
    found = _CHOICE.match(w.text, w.places[at][0])
    if not found:
        return
    right.choose = _CHOICES.get(found["c"])
    if right.choose is None:
        right.problem = f"which of the two counts is not certain: {found[0].strip(' ,()')}"
    end = found.end()
    if found[0].endswith(")") and not found[0].startswith("("):
        end -= "(" not in w.words[:at]
    right.end = w.index(end, at)


def _behind(w: _Words, at: int, left: _Left, amount: _Amount) -> _Right:
    """What stands behind the number and unit that end at word `at`."""
    table = _table()
    right = _Right(at)
    bracket = int(w.at(at) in ("(", ","))
    more = table.roles["or"].longest(w.words, at + bracket)
    closed = more and w.at(more[0]) != "than" and not (w.at(at) == "(" and w.at(more[0]) != ")")
    if more and closed and not _unit(w, more[0]) and not _amount(w, more[0]):
        right.end, right.compare = more[0] + (w.at(at) == "("), more[1][1]
    if length := table.roles["word length"].longest(w.words, right.end):
        right.end, right.duration = length[0], True
    if amount.unit == "{half-life}":
        _skip_substance(w, right)
    _others(w, right)
    _choice(w, right)
    _toward(w, right, left, amount)
    if right.direction and not right.shared:
        if not right.choose:
            _others(w, right, late=True)
        _choice(w, right)
    return right


def _skip_substance(w: _Words, right: _Right) -> None:
    """ "5 half-lives of the agent": the substance is no anchor."""
    if w.at(right.end) != "of":
        return
    anchor = _anchor(w, right.end + 1)
    if anchor is None or (anchor.known and "entry" in anchor.sense and "dose" not in w.words[right.end + 1 : anchor.end - 2]):
        return
    if anchor.known and anchor.name != "study_treatment":
        return
    right.end = anchor.end


def _aside(w: _Words, at: int) -> int:
    """The word behind a remark in brackets that holds no number: "(if known)"."""
    if w.at(at) != "(":
        return at
    close = _closing(w, at, 12)
    if close is None or any(word[0].isdigit() or word in _TWO for word in w.words[at:close]):
        return at
    return close


_TWO: Final = frozenset({*WORDS, "whichever", ">", "<", "≥", "≤", "prior", "before", "after"})


def _more(w: _Words, at: int) -> tuple[str, _Amount, int] | None:
    """Another time at word `at`, with a comparison of its own: comparison, time, the word behind it."""
    compare, led = "", False
    while found := _table().before_number.longest(w.words, at):
        role, name, _ = found[1]
        if role in ("period", "vague") or (role == "lead" and (led or name not in ("within", "for", "at"))):
            return None
        led = led or role == "lead"
        compare = name if role == "compare" else compare
        at = found[0]
    amount = _amount(w, at)
    if amount is None:
        return None
    behind = _Right(amount.end)
    if amount.unit == "{half-life}":
        _skip_substance(w, behind)
    return compare, amount, behind.end


def _others(w: _Words, right: _Right, *, late: bool = False) -> None:
    """Reads more times: an alternative ("or 5 half-lives"), a second bound ("and ≤ 12 weeks"), one in brackets.

    `late`: behind the anchor, where only an alternative can stand.
    """
    while True:
        at = _aside(w, right.end)
        at += w.at(at) == ","
        if w.at(at) == "(":
            if not _bracketed(w, right, at, late=late):
                return
            continue
        word = w.at(at)
        more = _more(w, at + 1) if word in ("or", "and", "but", "/", "to") else None
        if more is None or (late and word != "or"):
            return
        compare, amount, end = more
        if word == "or" and not late and w.at(end) in ("for", "if", "in"):
            right.problem = "another window holds for some"
            return
        if word in ("and", "but", "to"):
            if compare in ("", "about"):
                return
            right.joined.append((compare, amount))
        else:
            if late:  # "or 5 half-lives, whichever is longer", and no other time in a list
                behind = _Right(end)
                _choice(w, behind)
                if behind.choose is None:
                    return
            right.others.append((compare, amount))
        right.end = end


def _bracketed(w: _Words, right: _Right, at: int, *, late: bool) -> bool:
    """Reads the time in the brackets that open at word `at`; whether there is one and it was understood."""
    word = w.at(at + 1)
    more = _more(w, at + 1 + (word in ("or", "and", "but")))
    if more is None:
        return False
    compare, amount, end = more
    if w.at(end) in (",", "whichever"):  # "(or 5 half-lives, whichever is longer)"
        behind = _Right(end)
        _choice(w, behind)
        if behind.choose is None:
            return False
        right.choose, right.end = behind.choose, behind.end
        right.others.append((compare, amount))
    elif w.at(end) != ")":  # "(6 weeks for nitrosoureas)"
        close = _closing(w, end - 1, 13)
        if not late and close and _table().roles["direction"].longest(w.words, close):
            right.problem, right.end = "another window holds for some", close
        return False
    elif word == "or":
        right.others.append((compare, amount))
        right.end = end + 1
    elif late or word in ("and", "but"):
        return False
    else:  # "(28 days)": the same time in another unit
        right.others.append(("same", amount))
        right.end = end + 1
    return True


def _toward(w: _Words, right: _Right, left: _Left, amount: _Amount) -> None:
    """Reads the direction and the anchor."""
    table = _table()
    at = _aside(w, right.end)
    at += w.at(at) == "," and (right.choose is not None or right.problem is not None)
    if left.lead in ("during", "throughout", "over", "for") and not (left.compare or left.period):
        period = _anchor(w, at, during=True)
        if period and "period" in period.sense and period.first == at:  # "during the 12-week study period"
            right.direction, right.end, right.anchors = "span", period.end, [period]
            return
    if span := table.roles["word span"].longest(w.words, at):
        at = span[0]
    opened = w.at(at) == "("  # "within the last 90 days (prior to screening)"
    at += opened
    found = table.roles["direction"].longest(w.words, at)
    if not found:
        return
    if opened:
        anchor = _anchor(w, found[0])
        if found[1][1] not in ("before", "after") or not (anchor and anchor.known and w.at(anchor.end) == ")"):
            return
        right.direction, right.end, right.anchors = found[1][1], anchor.end + 1, [anchor]
        return
    end, (_, name, sense) = found
    words = w.words[at:end]
    if words == ["post"] and w.at(end).startswith("menopaus"):
        return
    if name == "before" and w.at(end) in ("and", "or", "/", ",") and (shared := _shared(w, end + 1)):
        right.direction, right.end, right.anchors, right.shared = "before", end, [shared], True
        return
    if name == "ago":
        right.end, right.direction = end, "ago"
        return
    if sense.startswith("="):  # "6 weeks postoperatively"
        right.end, right.direction, right.anchors = end, name, [_Anchor(sense[1:], end, "either", at)]
        return
    anchor = _anchor(w, end)
    known = anchor is not None and anchor.known
    if name == "to":
        if not (left.period == "past" and anchor and anchor.side == "within"):
            return
        name = "before"
    elif name == "of":
        bounded = left.lead in ("within", "in", "upto") or left.compare in _UPPER or left.period or len(amount.values) == 2
        if not (bounded and anchor and (known or left.lead == "within")):
            return
    elif name == "from" and not known and not (left.lead in ("within", "for", "upto") or left.compare or right.compare):
        return
    if name == "before" and words in (["prior"], ["pre"], ["previous"]) and not known:
        anchor = None
    if anchor is None:
        # "6 months prior": before the study, as "6 months ago".
        if name in ("after", "since") or (name == "before" and words != ["pre"]):
            right.direction, right.end = "ago" if name == "before" else name, end
        return
    if not known and anchor.name in _NAMELESS:
        right.problem = right.problem or "what it is counted from is not named"
    right.direction, right.end, right.elapsed = name, anchor.end, sense == "elapsed"
    right.anchors = [anchor]
    # A second event: "screening or baseline", "enrollment/randomization".
    if w.at(anchor.end) in ("or", "/") and known:
        other = _known(w, anchor.end + 1)
        if other and "entry" in other.sense and not other.ahead:
            right.end = other.end
            if other.name != anchor.name:
                right.anchors.append(other)


_NAMELESS: Final = frozenset({"day", "date", "time", "start", "end", "beginning", "period", "initiation", "completion", "visit"})


def _known(w: _Words, at: int) -> _Anchor | None:
    anchor = _anchor(w, at)
    return anchor if anchor and anchor.known else None


def _shared(w: _Words, at: int) -> _Anchor | None:
    """The anchor in "… before and 8 weeks after X", read from behind the "and"."""
    table = _table()
    while found := table.before_number.longest(w.words, at):
        at = found[0]
    if amount := _amount(w, at):
        at = amount.end
    found = table.roles["direction"].longest(w.words, at) or table.roles["frame"].longest(w.words, at)
    return _anchor(w, found[0]) if found else None


# --- truth conditions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How long: like the bounds of a `Window`."""

    unit: str
    low: str | None = None
    low_inclusive: bool | None = None
    high: str | None = None
    high_inclusive: bool | None = None

    def window(self, relation: Relation, anchor: str | None, choose: Choose | None = None) -> Window:
        """The window with these bounds."""
        return _window(self, relation, anchor, choose)


@lru_cache(maxsize=4096)
def _window(bounds: _Bounds | None, relation: Relation, anchor: str | None, choose: Choose | None = None) -> Window:
    """The window; most windows occur again and again."""
    if bounds is None:
        return Window(relation=relation, anchor=anchor)
    return Window(
        relation=relation,
        low=bounds.low,
        low_inclusive=bounds.low_inclusive,
        high=bounds.high,
        high_inclusive=bounds.high_inclusive,
        unit=bounds.unit,
        anchor=anchor,
        choose=choose,
    )


Relation = Literal["within", "before", "for", "during", "after"]
_LOWER: Final = frozenset({"ge", "gt"})
_UPPER: Final = frozenset({"le", "lt"})


def _bounds(amount: _Amount, compare: str, side: Literal["low", "high"]) -> _Bounds:
    """The bounds of an amount; `side` is the one that a number without a comparison bounds."""
    if len(amount.values) == 2:
        return _Bounds(amount.unit, amount.values[0], True, amount.values[1], not amount.opened)
    value = amount.values[0]
    if compare in _LOWER or (compare not in _UPPER and side == "low"):
        return _Bounds(amount.unit, low=value, low_inclusive=compare != "gt")
    return _Bounds(amount.unit, high=value, high_inclusive=compare != "lt")


def _joined(bounds: _Bounds, compare: str, amount: _Amount) -> _Bounds | None:
    """Both bounds as one, in one unit; None where they do not go together."""
    other = _bounds(amount, compare, "high")
    low, high = (bounds, other) if bounds.low is not None else (other, bounds)
    if low.low is None or high.high is None or low.high is not None or high.low is not None:
        return None
    values, unit = (low.low, high.high), low.unit
    if low.unit != high.unit:
        exact = _common(((low.low, low.unit), (high.high, high.unit)))
        if exact is None:
            return None
        (values, unit) = ((exact[0][0], exact[0][1]), exact[1])
    if Decimal(values[0]) >= Decimal(values[1]):
        return None
    return _Bounds(unit, values[0], low.low_inclusive, values[1], high.high_inclusive)


def _clause(w: _Words, at: int) -> list[str]:
    """The words before word `at`, back to the last full stop or semicolon."""
    begin = at
    while begin > 0 and at - begin < 24 and w.words[begin - 1] not in (";", ".", "•", "*"):
        begin -= 1
    return w.words[begin:at]


@dataclass(slots=True)
class _Reading:
    """What a time phrase means, while it is being worked out."""

    kind: Kind = "window"
    windows: tuple[Window, ...] = ()
    negated: bool = False
    past: bool = False
    event: bool = False
    problem: str | None = None


@dataclass(slots=True)
class _Case:
    """A time phrase with its parts made plain, as the rules below ask for them."""

    w: _Words
    left: _Left
    right: _Right
    amount: _Amount
    lead: str
    compare: str
    direction: str
    clause: list[str]

    @property
    def ranged(self) -> bool:
        """Whether two numbers are written."""
        return len(self.amount.values) == 2

    @property
    def lower(self) -> bool:
        """Whether the comparison is a lower bound."""
        return self.compare in _LOWER

    @property
    def upper(self) -> bool:
        """Whether the comparison is an upper bound."""
        return self.compare in _UPPER

    @property
    def anchor(self) -> _Anchor | None:
        """What the time is counted from; of two, the first."""
        return self.right.anchors[0] if self.right.anchors else None


@dataclass(frozen=True, slots=True)
class _Sense:
    """What a phrase means: the relation of its window, and which bound a number without a comparison is."""

    relation: Relation | None = None  # None: no window, only the kind
    side: Literal["low", "high"] = "high"
    kind: Kind = "window"
    stretch: bool = False  # "for at least 90 days after X" holds over the 90 days, whatever the comparison says
    event: bool = False  # what is named behind it happened then, and the time is counted from enrollment
    negated: bool = False


_Doubt = str  # why it cannot be read
_SIDE: Final = "whether before or after the anchor is not said"
_BOUND: Final = "whether at least or at most is not said"


def _case(w: _Words, left: _Left, amount: _Amount, right: _Right) -> _Case:
    compare = left.compare or amount.compare or right.compare
    lead, direction = left.lead, right.direction
    if compare in ("late", "early"):  # "no later than 3 days before X", "no later than 3 days after X"
        backwards = direction in ("before", "ago")
        compare = "ge" if (compare == "late") == backwards else "le"
    if right.elapsed and not compare and len(amount.values) == 1:
        compare = "ge"  # "3 weeks must have elapsed since X"
    if lead == "over" and direction == "ago":
        lead, compare = "", "gt"
    return _Case(w, left, right, amount, lead, compare, direction, _clause(w, left.start))


def _means(w: _Words, left: _Left, amount: _Amount, right: _Right) -> _Reading:
    """What the time means, as the contract's windows say it."""
    case = _case(w, left, amount, right)
    kind: Kind = "window" if right.direction or left.period or left.lead in ("within", "in") else "duration"
    sense = _doubt(case) or _sense(case)
    if isinstance(sense, _Sense):
        if sense.relation is None:
            return _Reading(sense.kind)
        windows = _filled(case, sense)
        if not isinstance(windows, _Doubt):
            late = not (sense.event or _LATE.isdisjoint(anchor.name for anchor in right.anchors))
            past = sense.relation in ("within", "before") and not late
            return _Reading(sense.kind, windows, sense.negated, past and right.direction != "both", sense.event)
        sense = windows
    past = right.direction in ("ago", "before", "since") or left.period == "past"
    return _Reading(kind, past=past, event=right.direction == "since", problem=sense)


def _doubt(case: _Case) -> _Doubt | None:
    """Why the numbers cannot be read, whatever the words around them mean."""
    left, right, amount = case.left, case.right, case.amount
    problem = amount.problem or right.problem or next((a.problem for _, a in right.others if a.problem), None)
    if problem or not amount.values:
        return problem or "no number is written"
    if left.compare == "equal":
        return "a comparison that was lost"
    if left.compare and right.compare and left.compare != right.compare:
        return "two comparisons that do not agree"
    if case.ranged and (case.compare or right.elapsed or (not right.direction and case.lead in ("within", "in"))):
        return "which of the two numbers bounds is not said"
    if right.direction in ("since", "from") and case.w.at(right.end) in ("to", "until"):
        return "an interval between two events"
    if right.direction == "before" and any(word == "interval" for word in _before(case.w, left.start, 3)):
        return "an interval between two events"
    return None


def _sense(case: _Case) -> _Sense | _Doubt:
    """What the time means, by its period ("last", "next", "first"), else by its direction."""
    left, direction, anchor = case.left, case.direction, case.anchor
    if direction == "span":
        return _Sense("during")
    if left.period == "next":
        return _Sense("after") if direction in ("", "from", "of", "after") else _SIDE
    if left.period == "first":
        return _Sense("after") if direction in ("after", "of", "from", "since") and anchor else "the first of what is not said"
    if case.lead == "every":
        return _Sense(kind="frequency")
    if case.lead in ("at", "after", "before", "since") and not direction:
        return _Sense(kind="anchor")
    if left.period == "past":
        if case.ranged:
            return "which of the two numbers bounds is not said"
        if direction == "after" or (anchor and direction in ("of", "from") and anchor.side != "within"):
            return _SIDE
        runs = case.lead in ("for", "throughout") or case.lower
        return _Sense("for", "low") if runs else _Sense("within")
    match direction:
        case "both":
            return _Sense("within") if not case.lower and (case.lead in ("within", "for", "in") or case.upper) else _BOUND
        case "before" | "ago":
            return _backwards(case)
        case "after":
            return _forwards(case)
        case "since":
            return _since(case)
        case "of" | "from":
            return _around(case)
        case _:
            return _alone(case)


def _backwards(case: _Case) -> _Sense | _Doubt:
    """ "4 weeks before X", "6 months ago"."""
    if case.lead == "for":
        return _Sense("for", "low")
    if case.lead == "from" and not case.ranged and not case.upper:
        return _Sense("for", "low")  # "starting 4 weeks before X": at X it has lasted 4 weeks
    if case.ranged or case.upper or case.lead in ("within", "in", "during"):
        return _BOUND if case.lower else _Sense("within")
    if case.lower:
        return _Sense("before", "low")
    if case.lead == "throughout":
        return _Sense("for", "low")
    if case.left.article and case.lead in ("", "over"):
        return _Sense("within")  # "the 4 weeks before X"
    return "up to: within or until" if case.lead == "upto" else _BOUND


def _forwards(case: _Case) -> _Sense | _Doubt:
    """ "4 weeks after X"."""
    if case.anchor is None:
        return "after what is not written"
    if case.lead in ("for", "until"):
        return _Sense("after", stretch=True)
    if case.lower and not case.lead and (case.right.elapsed or _opens(case.clause)) and case.anchor.side != "within":
        return _Sense("within", event=True, negated=True)
    if case.ranged or case.upper or case.lead in ("within", "in", "during", "upto", "throughout", "over"):
        return _BOUND if case.lower else _Sense("after")
    if case.w.at(case.left.start - 1) in ("and", "or", "plus", "until", "including") and not _RUNNING.isdisjoint(case.clause):
        return _Sense("after", stretch=True)  # "throughout the study and 30 days after it"
    return _Sense("after", "low") if case.lower or case.lead == "from" else _BOUND


def _since(case: _Case) -> _Sense | _Doubt:
    """ "≥ 28 days since surgery": no surgery within < 28 days before the study."""
    if case.lower:
        return _Sense("within", event=True, negated=True)
    return _Sense("within", event=True) if case.ranged or case.upper or case.lead == "within" else _BOUND


def _around(case: _Case) -> _Sense | _Doubt:
    """ "within 4 weeks of X", "4 weeks from X"."""
    anchor, direction = case.anchor, case.direction
    opens = direction == "from" and not case.lead and (case.right.elapsed or _opens(case.clause))
    if anchor is None or case.amount.unit == "{cycle}":
        return _SIDE
    if case.lower:
        if opens and anchor.side != "within":
            return _Sense("within", event=True, negated=True)
        ahead = _future(case.clause) is not False
        return _SIDE if direction == "of" or case.lead or anchor.side != "within" or ahead else _Sense("before", "low")
    if case.lead not in ("", "within", "in", "upto", "between") or not (case.lead or case.upper or case.ranged):
        return _SIDE
    if anchor.side == "within":
        future = _future(case.clause)
        return _SIDE if future is None else _Sense("after" if future else "within")
    if anchor.side == "after" or (direction == "from" and anchor.known):
        return _Sense("after")
    return _Sense("within", event=True) if opens else _SIDE


def _alone(case: _Case) -> _Sense | _Doubt:
    """A time without a direction: "within 2 years", "for at least 12 weeks", "≥ 6 months"."""
    w, left, right = case.w, case.left, case.right
    if case.lead == "for":
        return _Sense("for", "low", "duration")
    if case.lead in ("within", "in"):
        future = _future(case.clause)
        return "past or future is not said" if case.lower or future is None else _Sense("after" if future else "within")
    washout = case.lead or case.compare or not {"washout", "wash"}.isdisjoint(case.clause)
    if (case.upper and _recent(w, left.start)) or (right.choose and not washout):
        return _Sense("within")
    if case.lead in ("between", "upto", "") and (lasts := _lasts(w, left.start, right)):
        if case.compare or case.ranged or lasts == "of":
            return _Sense("for", "low", "duration")
        return _Sense("for", "high", "duration") if case.lead == "upto" else _Sense(kind="duration")
    if _measured(w, left.start, right.end) or _adjective(w, left, case.amount, right):
        return _Sense(kind="duration")
    return "over: more than or during" if case.lead == "over" else "neither a direction nor what lasts is said"


def _filled(case: _Case, sense: _Sense) -> tuple[Window, ...] | _Doubt:
    """The windows of a phrase that is understood."""
    left, right, relation = case.left, case.right, sense.relation
    assert relation is not None
    names = [anchor.name for anchor in right.anchors]
    if right.direction == "span":
        return (_window(None, "during", names[0]),)
    compare = "" if sense.stretch and case.lower else case.compare
    bounds = _all_bounds(case, compare, sense)
    if isinstance(bounds, _Doubt):
        return bounds
    choose = (left.choose or right.choose) if len(bounds) == 2 else None
    if sense.event or (not names and (relation != "for" or right.direction or left.period)):
        names = ["enrollment"]
    if relation == "before" and bounds[0].high is not None:
        relation = "within"  # "more than 1 but less than 7 days before X"
    relations: tuple[Relation, ...] = ("within", "after") if right.direction == "both" else (relation,)
    return tuple(
        bound.window(one, _swap("within" if left.period == "first" else one, name) if name else None, choose)
        for name in names or [""]
        for one in relations
        for bound in bounds
    )


def _all_bounds(case: _Case, compare: str, sense: _Sense) -> list[_Bounds] | _Doubt:
    """The bounds of the time and of its alternatives."""
    right = case.right
    bounds = _bounds(case.amount, compare, sense.side)
    for other, more in right.joined:
        both = _joined(bounds, other, more)
        if both is None:
            return "two bounds that do not go together"
        bounds = both
    made = [bounds]
    for other, more in right.others:
        if other == "same":
            if not _same(case.amount, more):
                return "the time in brackets is another one"
            continue
        another = _bounds(more, other or compare, sense.side)
        if (another.low is None) != (bounds.low is None):
            return "two bounds that do not go together"
        made.append(another)
    if sense.negated:
        if len(made) > 1 and not right.choose:
            return "which of the two counts is not said"
        made = [_Bounds(b.unit, high=b.low, high_inclusive=not b.low_inclusive) for b in made]
    return made


_LATE: Final = frozenset({"last_dose", "end_of_treatment", "end_of_study"})  # what lies before these need not be in the past


def _swap(relation: str, anchor: str) -> str:
    """The end of a period that a window before or after it is counted from."""
    if relation == "during":
        return anchor
    swap = _table().swap
    side = "after" if relation == "after" else "before"
    return swap.get((side, anchor), anchor)


_RUNNING: Final = frozenset({"during", "throughout", "duration", "course", "while", "participation"})


def _opens(clause: Sequence[str]) -> bool:
    """Whether nothing that it could date stands before the time: "At least 4 weeks after surgery", "who is ≥ 4 weeks from"."""
    sets = _table().sets
    if len(clause) >= 2 and clause[-1] in sets["being"] and clause[-2] in sets["whoever"]:
        return True
    opening = clause[len(clause) - clause[::-1].index(":") :] if ":" in clause else clause
    return all(word in sets["neutral"] or not word.isalpha() for word in opening)


def _future(clause: Sequence[str]) -> bool | None:
    """Whether a time without direction lies ahead; None where the words before it say both."""
    table = _table()
    if table.sets["future"].isdisjoint(clause):
        return False
    return None if not table.sets["history"].isdisjoint(clause) else True


_LINKS: Final = frozenset(
    {"of", "is", "was", "for", ":", "are", "has", "been", "a", "the", "(", ",", "or", "be", "must", "with"}
) | {*("and", "symptoms", "at", "than")}


def _before(w: _Words, start: int, far: int = 4) -> Iterator[str]:
    """The words before word `start` that speak of it, nearest first, links left out."""
    at = start - 1
    while at >= 0 and far > 0:
        word = w.words[at]
        if word in (";", ".", ")"):
            return
        if word not in _LINKS:
            yield word
            far -= 1
        at -= 1


def _after(w: _Words, end: int, far: int) -> list[str]:
    """The words behind word `end`, up to the end of its clause."""
    words = w.words[end : end + far]
    return words[: next((at for at, word in enumerate(words) if word in (";", ".", ",")), len(words))]


def _lasts(w: _Words, start: int, right: _Right) -> str:
    """Whether the words around a duration say that it is one: "duration ≥ 6 months", "12 months of amenorrhea" ("of")."""
    lasting = _table().sets["lasting"]
    if right.duration or w.at(right.end - 1) == "longer":
        return "length"
    behind = [word for word in _after(w, right.end, 6) if word not in "()-"]
    if behind[:1] == ["of"] and not _table().sets["absence"].isdisjoint(behind[1:5]):
        return "of"
    if behind[:1] and (behind[0] in lasting or behind[:2] == ["post", "menopausal"]) and behind[0] != "period":
        return "behind"
    return "before" if any(word in lasting for word in _before(w, start, 3)) else ""


def _measured(w: _Words, start: int, end: int) -> bool:
    """Whether the time is a measured quantity: a life expectancy, a survival, an interval."""
    measured = _table().sets["measured"]
    return any(word in measured for word in (*_before(w, start, 5), *_after(w, end, 3)))


def _recent(w: _Words, start: int) -> bool:
    """Whether it stands in a bracket that says how recent: "recent stroke (< 6 months)"."""
    if w.at(start - 1) != "(":
        return False
    return not {"recent", "recently"}.isdisjoint(w.words[max(start - 8, 0) : start])


def _adjective(w: _Words, left: _Left, amount: _Amount, right: _Right) -> bool:
    """Whether the time only describes the noun behind it: "a 4-week washout", "24 hours apart"."""
    if w.at(right.end) == "apart":
        return True
    if left.lead or left.compare or right.compare or not w.at(right.end)[:1].isalpha():
        return False
    return amount.singular or "-" in w.text[slice(*w.span(left.start, right.end))]


def _same(amount: _Amount, other: _Amount) -> bool:
    """Whether two times are the same within five per cent, as 6 months and 180 days are."""
    if len(amount.values) != len(other.values) or amount.unit not in _DAYS or other.unit not in _DAYS:
        return False
    pairs = zip(amount.values, other.values, strict=True)
    return all(abs(float(a) * _DAYS[amount.unit] / (float(b) * _DAYS[other.unit]) - 1) < 0.05 for a, b in pairs if float(b))


# --- a whole text -----------------------------------------------------------------------------------------------------

# What every time phrase holds one of, at the beginning of a word. Grouped by its first letter a search takes 1.5 µs.
_HELD: Final = (
    *("month", r"mos?\b", r"mths?\b", "week", "wk", "day", "daily", r"d\b", "year", "yr", r"y\b", "hour", "hr", r"hs?\b"),
    *("min", "sec", "half", "cycle", "decade", "fortnight", "nightly", "biweek", "annual", "quarterly", "bimonth"),
    *("prior", "before", "preced", "previous", "after", "during", "since", "throug", "duration", "course", "while", "whilst"),
    *("when", "until", "till", "upon", "follow", "starting", "beginning", "anytime", "time", "present", "first dose", "at this"),
    *("screening", "baseline", "entry", "enrol", "random", "consent", "onset", "admission", "diagnosis", "inclusion"),
    *("registration", "participation", "birth", "delivery", "discharge", "surgery", "icf", "transplant", "recruitment"),
    *("entire", "whole", "full", "study start", "study period", "study duration", "start of", "end of", "visit", "c1d1"),
)


def _gate() -> re.Pattern[str]:
    letters = dict.fromkeys(word[0] for word in _HELD)
    groups = (f"{letter}(?:{'|'.join(word[1:] for word in _HELD if word[0] == letter)})" for letter in letters)
    return re.compile(f"[^a-z](?:{'|'.join(groups)})")


_GATE: Final = _gate()


def _is_time(text: str) -> bool:
    return _GATE.search(" " + text) is not None


def find(text: str) -> tuple[Time, ...]:
    """The time phrases of a text, in text order; no two overlap."""
    source, offsets = _folded(text)
    lower = _lower(source)
    if not _is_time(lower):
        return ()
    w = _Words(lower, source)
    spans: list[tuple[int, int, Time]] = []
    taken = bytearray(len(w.words) + 1)
    for read in (_amounts, _frames, _frequencies):
        for begin, end, time in read(w, taken):
            taken[begin:end] = b"\x01" * (end - begin)
            spans.append((begin, end, time))
    if not spans:
        return ()
    spans.sort(key=lambda span: span[0])
    times = [time for _, _, time in _merged(w, spans)]
    if offsets is None:
        return tuple(times)
    return tuple(
        replace(
            time,
            start=offsets[time.start],
            end=offsets[time.end - 1] + 1,
            event=(offsets[time.event[0]], offsets[time.event[1] - 1] + 1) if time.event else None,
        )
        for time in times
    )


def parse_window(text: str) -> tuple[Window, ...]:
    """The windows of the time phrases in `text`: `parse_window("within 2 years")`. Nothing where none is certain.

    Of a negated phrase ("at least 4 weeks since surgery") the window is the one in which nothing may have happened.
    """
    return tuple(window for time in find(text) for window in time.windows)


_Found = Iterator[tuple[int, int, Time]]


def _amounts(w: _Words, taken: bytearray) -> _Found:
    """The times that have a number, or a period without one ("the last year")."""
    table = _table()
    if table.units.isdisjoint(w.words):
        return
    done, aged = 0, -9  # the word behind what is read; behind the last age
    last: tuple[int, _Left, str] | None = None  # the word behind the last time, what stood before it, its direction
    units = [at for at, word in enumerate(w.words) if word in table.units]
    for at in [at for at, word in enumerate(w.words) if word in table.counted or word[0].isdigit()]:
        while units and units[0] < at:
            del units[0]
        if not units:
            break
        if at < done or taken[at] or units[0] - at > _FAR:
            continue
        left, amount = _counted(w, at)
        if amount is None:
            continue
        done = amount.end
        if _is_age(w, left, amount, aged):
            aged = amount.end
            continue
        if end := _rate(w, amount.end):
            yield left.start, end, Time(*w.span(left.start, end), "frequency")
            done = end
            continue
        right = _behind(w, amount.end, left, amount)
        if not right.direction and right.joined and table.roles["word aged"].longest(w.words, right.end):
            done = aged = right.end
            continue
        if left.lead == "to":
            left = replace(left, lead="until") if right.direction == "after" else _Left(at)
        if last and right.direction == last[2] and w.words[last[0] : left.start] in _LISTED and not (left.lead or left.compare):
            left = replace(left, lead=last[1].lead, compare=last[1].compare, period=left.period or last[1].period)
        if _is_value(w, left, amount, right) or any(taken[left.start : right.end]):
            continue
        reading = _means(w, left, amount, right)
        yield left.start, right.end, _time(w, left, amount, right, reading)
        done = right.end
        last = (right.end, left, right.direction) if reading.windows and right.direction and not reading.negated else None


def _counted(w: _Words, at: int) -> tuple[_Left, _Amount | None]:
    """The number at word `at`, or the unit that stands there without one, and what stands before it."""
    word = w.words[at]
    if word in _table().units and not (word == "half" and _unit(w, at) is None):
        left = _left(w, at)
        return left, _without_number(w, at, left)
    # "1/2 year", "±3 days", "+/-3 days"
    if at and w.words[at - 1] in ("/", "±", "-") and w.at(at - 2)[:1] in tuple("0123456789+/"):
        return _Left(at), None
    amount = _amount(w, at)
    if amount is None:
        return _Left(at), None
    left = _left(w, at)
    if left.period == "next" and w.at(at - 1) == "following" and not left.lead and not left.article:
        left.period, left.lead = "", "after"
    return left, amount


def _time(w: _Words, left: _Left, amount: _Amount, right: _Right, reading: _Reading) -> Time:
    repairs = (*amount.repairs, *(repair for _, other in (*right.others, *right.joined) for repair in other.repairs))
    if left.about and reading.windows:
        repairs = (*repairs, "a number that is approximate taken as exact")
    event = None
    if reading.event and right.anchors:
        first, end = right.anchors[0].first, right.anchors[0].end
        while w.words[first] in _ARTICLES:
            first += 1
        event = w.span(first, end)
    span = w.span(left.start, right.end)
    return Time(*span, reading.kind, reading.windows, reading.negated, reading.past, repairs, reading.problem, event)


_FAR: Final = 14  # words from a number to its unit: "twelve (12) or more (consecutive) months"
# In "within 28 days prior to A and 7 days prior to B" the second time has the preposition of the first.
_LISTED: Final = ([","], ["and"], ["or"], [",", "and"], [",", "or"], ["and", "/", "or"])


def _without_number(w: _Words, at: int, left: _Left) -> _Amount | None:
    """ "a year", "the last month", "several weeks": the time that a unit names alone."""
    unit = _unit(w, at)
    if unit is None or w.at(at - 1) == "-" or (w.at(unit[0])[:1].isdigit() and not left.period):
        return None
    end, code, sense = unit
    if code == "{cycle}":
        return None
    singular = not w.at(end - 1).endswith("s")
    if left.vague:
        return _Amount((), code, end, problem="how many is not said") if sense != "measured" else None
    if left.period and left.period not in ("longer", "shorter"):
        if not singular:
            return _Amount((), code, end, problem="how many is not said") if left.period != "first" else None
    elif singular and w.at(at - 1) in ("a", "an") and (left.lead or left.compare or _dated(w, end)):
        pass
    elif not (singular and w.at(at - 1) == "the" and left.lead in ("in", "within", "during", "over") and _unit_then_before(w, end)):
        return None
    return _scaled(("1",), "1", unit, (), None, singular=singular)


def _unit_then_before(w: _Words, end: int) -> bool:
    found = _table().roles["direction"].longest(w.words, end)
    return bool(found and found[1][1] == "before")


def _is_age(w: _Words, left: _Left, amount: _Amount, aged: int) -> bool:
    """Whether the number is how old somebody is, or a pregnancy."""
    table = _table()
    end = amount.end
    bracket = w.at(end) in ("(", ",", "-")
    if table.roles["word aged"].longest(w.words, end + bracket):
        return True
    if w.at(end) in ("or", "and") and w.at(end + 1) in ("older", "younger", "over", "above", "up", "under", "below"):
        return amount.unit == "a" or w.at(end + 1) in ("older", "younger")
    if aged >= 0 and not left.lead and _LINKING.issuperset(w.words[aged : left.start]):
        return True  # "≥ 18 years and ≤ 75 years"
    near = list(_before(w, left.start, 2))
    if near and near[0] in table.sets["aging"] and left.lead not in _TIMING:
        return not _dated(w, end) or near[0] in ("age", "aged", "gestation", "gestational", "ga", "older", "younger")
    # "over 65 years", "≥ 18 years": with nothing beside it, so many years are an age.
    plain = not (left.period or left.vague or left.lead in _TIMING)
    if amount.unit == "a" and plain and amount.values and (Decimal(amount.values[-1]) >= 12 or "age" in _clause(w, left.start)):
        return not _dated(w, end) and not (near and near[0] in table.sets["lasting"])
    return False


_LINKING: Final = frozenset({"and", "or", "but", "to", "-", ",", "("})
_TIMING: Final = frozenset({"within", "for", "in", "during", "throughout", "until", "after", "before", "since", "at", "every"})


def _dated(w: _Words, end: int) -> bool:
    table = _table()
    return bool(table.roles["direction"].longest(w.words, end) or table.roles["word length"].longest(w.words, end))


def _is_value(w: _Words, left: _Left, amount: _Amount, right: _Right) -> bool:
    """Whether the number is no time but a measured value or part of a name: "24-hour urine", "prothrombin time < 14 seconds"."""
    bare = not (left.lead or left.compare or left.period or left.vague or right.direction or right.compare or right.duration)
    table = _table()
    if bare and len(w.at(amount.end - 1)) == 1 and w.at(amount.end - 1).isalpha():
        return True  # "2d", "24 h"
    hyphen = "-" in w.text[slice(*w.span(left.start, amount.end))]
    if amount.measured and not (left.lead not in ("", "in", "at") or left.period or right.direction):
        return True
    if w.at(amount.end) in table.sets["measure"] and (bare or hyphen or amount.singular) and not right.direction:
        return True
    if not bare:
        return not (left.lead or left.period or left.compare) and w.at(left.start - 1) in ("/", "per")
    return w.at(left.start - 1) in ("/", "per", "x", "×") or not amount.values


_RATES: Final = frozenset({"day", "week", "month", "year", "hour", "night", "24"})


def _rate(w: _Words, at: int) -> int | None:
    """The word behind "per week", "a day", "each month" at `at`."""
    if w.at(at) in ("per", "a", "each", "every", "/", "an", "in", "out") and w.at(at + 1) in _RATES - {"24"}:
        return None if w.at(at) == "in" else at + 2
    if (
        w.at(at) in ("per", "each", "out", "in")
        and w.at(at + 1) in ("a", "of", "any", "the", "calendar")
        and w.at(at + 2) in ("day", "week", "month", "year")
    ):
        return at + 3 if w.at(at) != "in" else None
    return None


def _frames(w: _Words, taken: bytearray) -> _Found:
    """The times that name an event and no number: "during the study", "at screening", "prior to enrollment"."""
    table = _table()
    tree = table.roles["frame"]
    done = 0
    for at in [i for i, word in enumerate(w.words) if word in tree.first or word in ("any", "anytime")]:
        if at < done or taken[at]:
            continue
        found = tree.longest(w.words, at)
        read = None
        if found:
            end, names = found[0], [found[1][1]]
            if w.at(end) in ("and", "or", "/") and (second := tree.longest(w.words, end + 1)):
                end, names = second[0], [*names, second[1][1]]
            read = _frame(w, at, end, names)
        if not read and (moment := table.roles["moment"].longest(w.words, at)):
            read = moment[0], Time(*w.span(at, moment[0]), "anchor")
        if read and not any(taken[at : read[0]]):
            done = read[0]
            yield at, done, read[1]


def _frame(w: _Words, at: int, end: int, names: list[str]) -> tuple[int, Time] | None:
    """The time that the prepositions `names` and the event at word `end` make, and the word behind it."""
    anchor = _anchor(w, end, during="during" in names)
    if anchor is None:
        return None
    numbered, period = _numbered_at(anchor), "period" in anchor.sense
    if not (anchor.known or numbered):
        if set(names) != {"before"} or anchor.name.split()[0] in _NOT_BEFORE:
            return None
    elif "within" in names:
        if not (period and w.at(anchor.end - 1) in ("duration", "period", "phase")):
            return None  # "for the study duration", but not "for the study"
    elif "on" in names:
        if not (numbered or "weak" in anchor.sense or anchor.name in ("admission", "discharge", "screening")):
            return None
    elif "at" in names and period and anchor.name not in ("follow_up", "run_in", "washout"):
        return None
    # Behind a unit it belongs to a time that could not be read: "28 (+ 7) days prior to Day 1".
    behind = at
    if w.at(at - 1) == ")":
        behind = next((i for i in range(at - 2, max(at - 16, 0), -1) if w.words[i] == "("), at)
    if {"before", "after"}.issuperset(names) and behind and _table().roles["unit"].longest(w.words, behind - 1):
        return None
    if w.at(at) == "following" and w.at(at - 1) in ("the", "of", "each", "all"):
        return None
    if w.at(end - 1) in ("entire", "whole", "full") and not period:
        return None
    stop, anchors = anchor.end, [anchor.name]
    while w.at(stop) in ("or", "/", "and") and (other := _known(w, stop + 1)) and "period" not in other.sense:
        stop, anchors = other.end, [*anchors, other.name]
    relations: list[Relation] = [
        "before" if name in ("before", "until") else "after" if name == "after" else "during" for name in names
    ]
    windows = tuple(_window(None, relation, _swap(relation, one)) for relation in relations for one in dict.fromkeys(anchors))
    kind: Kind = "window" if period else "anchor"
    past = set(names) == {"before"} and _LATE.isdisjoint(anchors)
    return stop, Time(*w.span(at, stop), kind, windows, past=past)


_NOT_BEFORE: Final = frozenset({"age", "mentioned", "date", "time", "period", "proceeding", "each", "meals", "meal", "you", "we"})


def _numbered_at(anchor: _Anchor) -> bool:
    words = anchor.name.split()
    return len(words) >= 2 and words[0] in _NUMBERED and words[1].lstrip("-+").isdigit()


def _frequencies(w: _Words, taken: bytearray) -> _Found:
    """How often: "twice a week", "3 times per month", "daily", "per year"."""
    periodic, dosed, times = (_table().sets[name] for name in ("periodic", "dosed", "times"))
    if periodic.isdisjoint(w.words) and _RATES.isdisjoint(w.words):
        return
    for at, word in enumerate(w.words):
        if taken[at]:
            continue
        if word in periodic:
            begin = at - 1 if w.at(at - 1) in ("once", "twice", "thrice") and not taken[at - 1] else at
            if begin == at and w.at(at - 1) in times and at >= 2:
                begin = at - 2
            yield begin, at + 1, Time(*w.span(begin, at + 1), "frequency")
        elif word in ("per", "a", "each", "every", "/") and (end := _rate(w, at)) and not any(taken[at:end]):
            before = w.at(at - 1)
            begin = at
            if before in ("once", "twice", "thrice"):
                begin = at - 1
            elif before in times:
                begin = at - 1
                if w.at(at - 2)[:1].isdigit() or w.at(at - 2) in WORDS:
                    begin = at - 2
            elif word in ("/", "a") or not dosed.isdisjoint(w.words[max(at - 4, 0) : at]) or "/" in (before, w.at(at - 2)):
                continue
            yield begin, end, Time(*w.span(begin, end), "frequency")
        elif word == "every" and w.at(at + 1) == "other" and w.at(at + 2) in _RATES:
            yield at, at + 3, Time(*w.span(at, at + 3), "frequency")


_GLUE: Final = frozenset({"and", ", and", "and until", ",", "plus", "until", "", "and up to", "through", "and then"})


def _merged(w: _Words, spans: list[tuple[int, int, Time]]) -> list[tuple[int, int, Time]]:
    """The times in order; "throughout the trial and for 90 days after the last dose" is one with two windows."""
    merged: list[tuple[int, int, Time]] = []
    for begin, end, time in spans:
        if merged:
            start, stop, last = merged[-1]
            gap = " ".join(w.words[stop:begin])
            if (
                gap in _GLUE
                and last.kind == "window"
                and last.windows
                and time.windows
                and {x.relation for x in last.windows} == {"during"}
                and {x.relation for x in time.windows} == {"after"}
                and all(x.high for x in time.windows)
            ):
                both = replace(last, end=time.end, windows=(*last.windows, *time.windows), repairs=(*last.repairs, *time.repairs))
                merged[-1] = (start, end, both)
                continue
        merged.append((begin, end, time))
    return merged

"""Units as the registry writes them, as UCUM codes, and values converted from one to another.

unit_at(text, at)        the unit that begins at an offset, the longest
normalize_unit(text)     the UCUM code of a unit that stands alone
with_power(9, unit)      the code of a power of ten with a unit: "10*9/L"
convert(value, unit, to) a value in another unit, or None where that is not certain

`units.csv` knows the spellings; what is here composes them: "mL / min per 1.73 m²" is a spelling, a divider, a spelling, a
divider, an area. Case decides where it must ("G/L" are 10*9/L, "g/L" are grams) and does not where it cannot mislead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from critnlp import lexicon

if TYPE_CHECKING:
    import pint

# --- spellings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit in a text: its UCUM code, the half-open span it is read from, what was mended to read it."""

    ucum: str
    start: int
    end: int
    repairs: tuple[str, ...] = ()


class _Entry(NamedTuple):
    """A row of the table for one of its prefixes."""

    role: str
    ucum: str
    pint: str
    kind: str


class _Spelling(NamedTuple):
    """What follows the first word of a spelling, and what it means. `quotient`: only above or below a divider."""

    entry: _Entry
    rest: tuple[str, ...]
    loose: bool
    quotient: bool
    singular: bool  # of a counted noun: "line"


class _Table(NamedTuple):
    exact: dict[str, list[_Spelling]]
    folded: dict[str, list[_Spelling]]
    pints: dict[str, _Entry]  # the atoms that the units library knows, by UCUM code
    definitions: tuple[str, ...]


_SUPERSCRIPTS = "⁰¹²³⁴-⁹₀-₉¼-¾"
_LETTERS = rf"[^\W\d_{_SUPERSCRIPTS}]+"
_TOKEN = re.compile(rf"{_LETTERS}|[^\w\s]")
_JOINTS = frozenset(" \t\n\r\u00a0\u2009\u202f.-\u2010\u2011")


def _plurals(spelling: str) -> Iterator[tuple[str, bool]]:
    """The spelling with and without each of its optional plurals, and whether the last of them is left out."""
    parts = spelling.split("~")
    for ends in product(("", "s"), repeat=len(parts) - 1):
        yield "".join(part + end for part, end in zip(parts, (*ends, ""), strict=True)), ends[-1:] == ("",)


def _keys(spelling: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The first word of a spelling and the pieces behind it, for every way to close up its first words."""
    words = spelling.split()
    for count in range(1, len(words) + 1):
        joined = "".join(words[:count])
        first = _TOKEN.match(joined)
        if first is None:
            raise ValueError(f"{spelling!r} begins with no letter or sign")
        left = joined[first.end() :]
        if count == 1 or not left or left == words[count - 1][-len(left) :]:
            yield first.group(), tuple(filter(None, (left, *words[count:])))


@cache
def _table() -> _Table:
    """The spellings of `units.csv` by their first word, and the units library's names of the atoms."""
    exact: dict[str, list[_Spelling]] = {}
    folded: dict[str, list[_Spelling]] = {}
    pints: dict[str, _Entry] = {}
    definitions: list[str] = []
    prefixes: dict[str, lexicon.Row] = {}

    def add(entry: _Entry, spelling: str, case: str) -> None:
        for form, singular in _plurals(spelling):
            one = singular and entry.role in ("count", "cell")
            for first, rest in _keys(form):
                low = tuple(piece.lower() for piece in rest)
                if case == "any":
                    folded.setdefault(first.lower(), []).append(_Spelling(entry, low, True, False, one))
                else:
                    exact.setdefault(first, []).append(_Spelling(entry, rest, False, case == "quotient", one))
                    if case == "slash":
                        folded.setdefault(first.lower(), []).append(_Spelling(entry, low, True, True, one))

    def make(row: lexicon.Row) -> None:
        if row["role"] == "define":
            definitions.append(row["pint"])
        elif row["role"] == "prefix":
            prefixes[row["ucum"]] = row
        elif row["case"] not in ("any", "slash", "exact", "quotient"):
            raise ValueError(f"{row['case']!r} is no case; a symbol's case is any, slash, exact or quotient")
        else:
            symbols = list(filter(None, row["symbols"].split("|")))
            words = list(filter(None, row["words"].split("|")))
            for letter in row["prefixes"].split() or [""]:
                prefix = prefixes[letter] if letter else {"pint": "", "symbols": "", "words": ""}
                ucum = letter + row["ucum"]
                entry = _Entry(row["role"], ucum, prefix["pint"] + row["pint"], row["kind"])
                if row["pint"] and row["role"] == "unit":
                    pints.setdefault(ucum, entry)
                for before in prefix["symbols"].split("|"):
                    for symbol in symbols:
                        add(entry, before + symbol, row["case"])
                for before in prefix["words"].split("|"):
                    for word in words:
                        add(entry, before + word, "any")
                    for symbol in symbols if letter else ():  # "microL", "nanomol"; "microM" is no "microm"
                        add(entry, before + symbol, "exact")

    lexicon.load("units", make)
    return _Table(exact, folded, pints, tuple(definitions))


@lru_cache(maxsize=8192)
def _spellings(word: str) -> tuple[_Spelling, ...]:
    """All spellings that begin with a word, the longest first, its own case before others."""
    table = _table()
    found = (*table.exact.get(word, ()), *table.folded.get(word.lower(), ()))
    return tuple(sorted(dict.fromkeys(found), key=lambda spelling: -len("".join(spelling.rest))))


# --- parts of a unit --------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """One spelling in the text: "mm3" with its exponent. `kind` is that of the power: a length cubed is a volume."""

    entry: _Entry
    ucum: str
    kind: str
    end: int
    spelling: _Spelling
    power: int = 1


_POWER = re.compile(
    r"(?:(?:\s?\\?[\^ˆ]\s?|\*{1,2})(?P<raised>[235²³⁵])|(?:\s?\\?[\^ˆ]\s?|\*{2})?(?:\((?P<round>[235])\)|\{(?P<curly>[235])\})"
    r"|(?P<plain>[235²³⁵]))(?!\d|[.,]\d)"
)
_LOST_SIGN = re.compile(r"\s(?P<plain>[23])(?![\w.,]*\d|\s*(?:[x×*/-]|(?:h|d|w|m|y)\w*\b|times\b|min))")
_INVERSE = re.compile(
    r"\s?\\?(?:\^\s?)?(?:[-−–⁻]\s?(?P<digit>[1235¹²³⁵])|\([-−–]\s?(?P<round>[1235])\)|\{[-−–]\s?(?P<curly>[1235])\})(?!\d|[.,]\d)"
)
_RAISES = frozenset("-−–⁻^\\({ \u00a0")
_DIGIT = {"¹": 1, "²": 2, "³": 3, "⁵": 5}
_LINKS = frozenset("-‑'’+.")
_KIND = {2: "area", 3: "volume", 5: "fifth"}


def _end_of(text: str, at: int, spelling: _Spelling) -> int | None:
    """Where a spelling ends whose first word ends at `at`; None where the text does not have it."""
    for piece in spelling.rest:
        for _ in range(3):
            if text[at : at + 1] in _JOINTS and not text.startswith(piece, at):
                at += 1
        stretch = text[at : at + len(piece)]
        if (stretch.lower() if spelling.loose else stretch) != piece:
            return None
        at += len(piece)
    last, behind = text[at - 1], text[at : at + 1]
    if last.isalpha():
        if behind.isalpha() or behind == "_":
            return None
        if text.startswith("(s)", at):
            return at + 3
    elif last == "%" and text.startswith(("ile", "tile", "-ile"), at):
        return None
    return at


def _parts(text: str, at: int, below: bool = False) -> Iterator[_Part]:
    """The ways to read one part of a unit at an offset."""
    token = _TOKEN.match(text, at)
    if token is None:
        return
    for spelling in _spellings(token.group()):
        end = _end_of(text, token.end(), spelling)
        if end is None:
            continue
        entry = spelling.entry
        power = _POWER.match(text, end) or (_LOST_SIGN.match(text, end) if below else None) if entry.kind == "length" else None
        if power:
            digit = power[power.lastgroup or 0]
            number = _DIGIT.get(digit) or int(digit)
            yield _Part(entry, f"{entry.ucum}{number}", _KIND[number], power.end(), spelling)
            continue
        behind = text[end : end + 1]
        if behind.isdecimal() and text[end - 1].isalpha():
            continue
        if end - at == 1 and behind in _LINKS and text[end + 1 : end + 2].isalpha() and (behind != "." or entry.kind == "time"):
            continue  # "L-arginine", "D-dimer", "s.d."
        yield _Part(entry, entry.ucum, entry.kind, end, spelling)


def _inverse(text: str, part: _Part) -> _Part | None:
    """The part with a negative exponent behind it ("L-1", "m⁻²"), as it stands below a divider."""
    if text[part.end : part.end + 1] not in _RAISES:
        return None
    power = _INVERSE.match(text, part.end)
    if power is None or part.kind == "area":
        return None
    digit = power[power.lastgroup or 0]
    number = _DIGIT.get(digit) or int(digit)
    if number == 1:
        return part._replace(end=power.end(), power=-1)
    if part.kind != "length":
        return None
    return part._replace(ucum=f"{part.ucum}{number}", kind=_KIND[number], end=power.end(), power=-1)


# --- quotients --------------------------------------------------------------------------------------------------------

# What may stand below a unit, by its kind: "mg/day" is a dose a day, "mmHg/kPa" are two units.
_AMOUNT = frozenset({"volume", "mass", "time", "area", "substance", "count", "field"})
_NOTHING: frozenset[str] = frozenset()
_BELOW: dict[str, frozenset[str]] = {
    "": frozenset({"volume", "time", "mass", "area", "field", "dna"}),
    "mass": _AMOUNT,
    "substance": _AMOUNT,
    "arbitrary": _AMOUNT,
    "units": _AMOUNT,
    "volume": frozenset({"time", "mass", "area", "volume", "count"}),
    "length": frozenset({"time"}),
    "time": frozenset({"time"}),
    "weight": frozenset({"time"}),
    "fraction": frozenset({"time"}),
    "pressure": frozenset({"time", "volume"}),
    "count": frozenset({"time", "volume", "mass", "field", "dna", "area"}),
    "cell": frozenset({"volume", "mass", "area", "field"}),
    "event": frozenset({"time"}),
    "power": frozenset({"volume"}),
    "activity": frozenset({"mass", "volume"}),
    "dose": frozenset({"time", "count"}),
    "energy": frozenset({"time", "mass", "area"}),
    "electric": frozenset({"mass", "area", "time"}),
    "other": frozenset({"time"}),
    "sound": frozenset({"length"}),
    "force": frozenset({"area", "fifth", "time"}),
    "met": frozenset({"time"}),
    "area": frozenset({"time", "area"}),
}
_LENGTH_OF_TIME = {"us": 0, "ms": 1, "s": 2, "min": 3, "h": 4, "d": 5, "{nights}": 6, "wk": 7, "mo": 8, "a": 9}
_MULTIPLIED = {  # what two kinds a product may have, and the signs between them
    ("met", "time"): "*. -",
    ("force", "time"): "*. -",
    ("pressure", "time"): "*.",
    ("resistance", "area"): "*. x",
    ("mass", "time"): "*.-",
    ("substance", "time"): "*.-",
}
_TIMES = re.compile(r"\s?(?P<dot>[·⋅∙•*×])\s?|(?P<sign>\.)(?=[a-zµμ])|(?P<hyphen>[-‑])(?=[A-Za-z])|\s+(?P<x>x)\s+|(?P<blank>\s)")
_SLASH = "/∕⁄／"
_JOINT = re.compile(r"\s*[·⋅∙*×x./]\s*|\s+")
_NEXT_SLASH = re.compile(rf"\s*[{_SLASH}]")
_OVER = re.compile(
    rf"\.?\s*\\?(?P<slash>[{_SLASH}])\s*(?:per\s+)?|(?P<dotted>\.)?\s+(?P<per>per|an?|each|every|[Pp][Ee][Rr])\s+(?:each\s+|one\s+)?"
    r"|-(?P<hyphen>per)-"
)
_DIVIDES = re.compile(
    rf"\.?\s*\\?[{_SLASH}]|\.?\s+(?:per|an?|each|every|once|one time)\b|-per-|\s*[x×*·]\s*1[.,·⋅]73"
    r"|\s+(?:daily|qd|q\.d|(?:week|month|year|annual)ly)\b",
    re.IGNORECASE,
)
_MULTIPLIES = re.compile(r"\s?[·⋅∙•*×.]\s?[A-Za-zµμ]|[\s.][A-Za-zµμ]{1,4}\s?[-−–⁻\^(]")
_PRODUCTS = frozenset({"met", "force", "resistance"})
_ONCE = re.compile(r"\s+(?:once|one time)(?=\s+(?:per|an?|each|every|daily|weekly|monthly|yearly|annually)\b)", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)\s*-?\s*(?!\d)")
_BODY = re.compile(
    r"1\s?[.,·⋅∙]\s?73(?!\d)(?:(?:\s*(?P<slash>/)\s*|\s*-?\s*)(?P<unit>sq\.?\s?m(?:t|trs?|et(?:er|re)s?)?\b|square\s+m(?:et(?:er|re)s?)?\b|met(?:er|re)s?\s+squared?\b|㎡"
    r"|m\s?sq(?:uared?)?\b|m\s?(?:\\?[\^ˆ]|\*{1,2})?\s?(?:\([23]\)|\{[23]\}|[2²]|(?P<cubed>[3³]))(?!\d)|m(?P<bare>)(?![^\W_])))?"
    r"(?:\s*(?:of\s+)?(?:BSA|body[\s-]+surface(?:[\s-]+area)?)\b)?",
    re.IGNORECASE,
)
_BY_BODY = re.compile(r"\s*[x×*·]\s*(?=1[.,·⋅]73)")
_MAGNIFIED = {("24", "h"): "d", ("100", "mL"): "dL", ("1000", "mL"): "L", ("12", "mo"): "a", ("7", "d"): "wk"}
# A symbol behind a slash, known or not, and no word such as "placebo"; what is divided by it is not known without it.
_STRICT = frozenset({"mass", "substance", "arbitrary", "volume", "length", "count", "cell"})
_UNKNOWN = re.compile(rf"(?!(?!(?:d|m|k|u|mc|µ|μ|c)(?:l|g|m)|mm)[a-z]{{5,}}(?![^\W_])){_LETTERS}|1[.,]73")
_BY_TIME = re.compile(r"\s?[·⋅∙•*×.]\s?(?=min|hr?\b|hour|day|d\b)")


class _Divisor(NamedTuple):
    ucum: str
    kind: str
    end: int
    repairs: tuple[str, ...] = ()


def _body_surface(text: str, at: int) -> _Divisor | None:
    """The 1.73 m² of a standard body at an offset, with or without the area's unit."""
    body = _BODY.match(text, at)
    if body is None:
        return None
    written = text[at : body.end()].rstrip()
    lost = body["unit"] is None or body["bare"] is not None or body["cubed"] is not None or body["slash"] is not None
    return _Divisor("{1.73_m2}", "body", at + len(written), (f'"{written}" read as 1.73 m2',) if lost else ())


def _divisor(text: str, at: int, above: str, below: tuple[str, ...], bare: bool, slash: bool) -> _Divisor | None:
    """What stands below a divider that ends at `at`; `above` is the kind of what it divides, `below` what already divides it."""
    if body := _body_surface(text, at):
        return body if above == "volume" and below == ("time",) else None
    number = _NUMBER.match(text, at)
    if number and number[1].startswith("0"):
        return None
    start = number.end() if number else at
    permitted = _BELOW.get(above, _NOTHING) if not below else _AMOUNT | {"fifth"} if above == "force" else _AMOUNT
    best: _Divisor | None = None
    for part in _parts(text, start, below=True):
        kind, ucum = part.kind, part.ucum
        repairs: tuple[str, ...] = ()
        if best and part.end <= best.end:
            continue
        if bare and (part.spelling.quotient and part.end - start == 1):
            continue  # "/D" alone is no day
        if part.entry.role == "mend" or part.entry.role in ("power", "event", "cell"):
            continue
        if kind == "length" and not number:
            mended = _lost_exponent(ucum, above, below)
            if mended:
                written = text[at : part.end]
                ucum, kind, repairs = mended, _KIND[int(mended[-1])], (f'"/{written}" read as /{mended}',)
        if kind == "molar" and above == "mass" and not number:
            ucum, kind, repairs = (
                ucum.removesuffix("/L"),
                "substance",
                (f'"{text[at : part.end]}" read as {ucum.removesuffix("/L")}',),
            )
        slope = slash and not number and below[:1] == ("time",) and ucum in ("mo", "a")  # "mL/min/1.73 m2/year"
        if kind not in permitted or (kind in below and not slope):
            continue
        if number:
            if ucum == "{nights}" or not _may_be_numbered(number[1], ucum, kind, above, bare and slash):
                continue
            ucum = _MAGNIFIED.get((number[1], ucum)) or (ucum if number[1] == "1" else f"({number[1]}.{ucum})")
        best = _Divisor(ucum, kind, part.end, repairs)
    return best


def _lost_exponent(ucum: str, above: str, below: tuple[str, ...]) -> str | None:
    """The area or volume that a bare length below a divider must be: "cells/mm", "kg/m"."""
    if ucum == "mm" and not below and above in ("", "cell", "power"):
        return "mm3"
    if ucum == "m" and (above == "mass" or below == ("time",)) and above in ("mass", "volume"):
        return "m2"
    return None


def _may_be_numbered(number: str, ucum: str, kind: str, above: str, after_slash: bool) -> bool:
    """Whether a number may stand before the divisor: "/10 HPF", "per 28 days", "mL/100 g", but not "140/90 mmHg"."""
    if kind == "field":
        return True
    if after_slash or kind == above:
        return False
    return kind == "time" or (kind == "volume" and above != "time") or (kind == "mass" and number in ("1", "100"))


def _bracketed(text: str, at: int, above: str, below: tuple[str, ...]) -> list[_Divisor] | None:
    """The divisors of "(min·1.73 m²)" at an offset, the last one ending behind the bracket; None where there is no such thing."""
    close = {"(": ")", "[": "]"}.get(text[at : at + 1])
    if close is None:
        return None
    divisors: list[_Divisor] = []
    at += 1
    while True:
        divisor = _divisor(text, at, above, (*below, *(d.kind for d in divisors)), False, True)
        if divisor is None:
            return None
        divisors.append(divisor)
        at = divisor.end
        if text.startswith(close, at):
            divisors[-1] = divisor._replace(end=at + 1)
            return divisors
        joint = _JOINT.match(text, at)
        if joint is None:
            return None
        at = joint.end()


class _Quotient:
    """A unit being read from left to right; `end` moves on with every part that is taken in."""

    def __init__(self, text: str, at: int, first: _Part | None) -> None:
        self.text, self.start = text, at
        self.first = first
        self.above: list[str] = [first.ucum] if first else []
        self.kind = first.kind if first else ""
        self.below: list[_Divisor] = []
        self.end = first.end if first else at
        self.repairs: list[str] = []
        self.times = False  # holds a product

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(divisor.kind for divisor in self.below)

    def take(self, divisor: _Divisor) -> None:
        self.below.append(divisor)
        self.end = divisor.end
        self.repairs += divisor.repairs

    def multiply(self) -> None:
        """Take in a second factor: "MET-min", "dyn·s", and factors with a negative exponent: "mL min-1"."""
        while sign := _TIMES.match(self.text, self.end):
            kind = sign.lastgroup or ""
            mark = {"dot": "*", "sign": ".", "hyphen": "-", "x": "x", "blank": " "}[kind]
            for part in _parts(self.text, sign.end()):
                if part.spelling.quotient or part.entry.role != "unit":
                    continue
                if (
                    (inverse := _inverse(self.text, part))
                    and mark in "*. "
                    and (inverse.entry.kind != "time" or not part.spelling.loose or mark != " ")
                ):
                    if (
                        inverse.kind in (_AMOUNT | {"fifth"} if self.below or self.times else _BELOW.get(self.kind, _NOTHING))
                        and inverse.kind not in self.kinds
                    ):
                        self.take(_Divisor(inverse.ucum, inverse.kind, inverse.end))
                        break
                    continue
                if self.below or self.times or mark not in _MULTIPLIED.get((self.kind, part.kind), ""):
                    continue
                if self.kind in ("mass", "substance") and not _NEXT_SLASH.match(self.text, part.end):
                    continue  # "mg·h/L", but not "5 mg-day"
                self.above.append(part.ucum)
                self.end, self.times = part.end, True
                break
            else:
                return

    def divide(self) -> bool:
        """Take in all divisors. False where a symbol follows a slash that is no unit: what it is a unit of is not known."""
        while True:
            if (by := _BY_BODY.match(self.text, self.end)) and self.kinds == ("time",):
                body = _body_surface(self.text, by.end())
                assert body is not None
                self.take(body._replace(repairs=(f'"{self.text[self.end : body.end].strip()}" read as /1.73 m2',)))
                continue
            if (by := _BY_TIME.match(self.text, self.end)) and self.below and self.below[-1].ucum == "kg":  # "ng/kg*min"
                divisor = _divisor(self.text, by.end(), self.kind, self.kinds, False, True)
                if divisor and divisor.kind == "time":
                    written = self.text[self.end : divisor.end].strip()
                    self.take(divisor._replace(repairs=(f'"{written}" read as /{divisor.ucum}',)))
                    continue
            once = _ONCE.match(self.text, self.end)
            over = _OVER.match(self.text, once.end() if once else self.end)
            if over is None or (over["dotted"] and over["per"][0] == "P"):
                return True
            if (brackets := _bracketed(self.text, over.end(), self.kind, self.kinds)) and over["slash"]:
                for each in brackets:
                    self.take(each)
                continue
            divisor = _divisor(self.text, over.end(), self.kind, self.kinds, False, bool(over["slash"]))
            if divisor and over["per"] and over["per"].lower() != "per" and self.text[over.end()].isdecimal():
                return True  # "10 mg every 2 weeks" is a dose and its schedule
            if divisor is None or not self.fits(divisor, over["per"]):
                return not (over.group() in _SLASH and self.kind in _STRICT and _UNKNOWN.match(self.text, over.end()))
            self.take(divisor)

    def fits(self, divisor: _Divisor, word: str | None) -> bool:
        """Whether a divisor goes with what stands before it: "hours per day", but not "months/weeks"; "a week", but not "a mL"."""
        if word and word.lower() != "per" and divisor.kind != "time":
            return False
        if self.kind != "time":
            return True
        assert self.first is not None
        length = _LENGTH_OF_TIME.get(divisor.ucum)
        return length is not None and _LENGTH_OF_TIME.get(self.first.ucum, 99) < length

    def often(self) -> None:
        """Take in "daily", "once weekly" behind a dose."""
        if "time" in self.kinds or "time" not in _BELOW.get(self.kind, _NOTHING) or self.kind in ("pressure", "fraction", "length"):
            return
        once = _ONCE.match(self.text, self.end)
        at = once.end() if once else self.end
        if not self.text[at : at + 1].isspace():
            return
        for part in _parts(self.text, at + 1):
            if part.entry.role == "adverb":
                divisor = _Divisor(part.ucum, "time", part.end)
                if self.fits(divisor, None):
                    self.take(divisor)
                return

    def code(self) -> str | None:
        """The UCUM code, or None where the parts make no unit."""
        first = self.first
        if first is None:
            return "".join(f"/{d.ucum}" for d in self.below) or None
        above = ".".join(self.above)
        if (first.spelling.quotient and not self.below) or (first.entry.role == "event" and self.kinds[:1] != ("time",)):
            return None
        if first.entry.role == "cell" and self.below:
            above = ""
        elif first.kind == "units" and self.kinds[:1] in (("volume",), ("mass",)):
            above = "U"
        return above + "".join(f"/{d.ucum}" for d in self.below) or None

    def unit(self) -> Unit | None:
        code = self.code()
        return Unit(code, self.start, self.end, tuple(self.repairs)) if code else None


# --- reading ----------------------------------------------------------------------------------------------------------

# Letters that are a unit only where what stands round them says so: before them, behind them, the unit.
_CONTEXT: dict[str, tuple[re.Pattern[str], re.Pattern[str], str]] = {
    "in": (re.compile(r"\d[\s-]?$"), re.compile(r"\s*(?:[),;/]|$)|\s(?:tall|high|in height)\b"), "[in_i]"),
    "C": (re.compile(r"(?<![\d.,])(?:3[4-9]|4[0-3])(?:[.,]\d{1,2})?\s?$"), re.compile(r"(?![\w'’+-])"), "Cel"),
    "F": (re.compile(r"(?<![\d.,])(?:9[3-9]|10\d)(?:[.,]\d{1,2})?\s?$"), re.compile(r"(?![\w'’+-])"), "[degF]"),
    "D": (
        re.compile(r"(?:(?<!\d)(?<!\d\s)[-+−–±]\s?\d{1,2}(?:[.,]\d+)?|\b\d{1,2}[.,](?:00|25|50|75))\s?$"),
        re.compile(r"(?![\w'’+-])"),
        "[diop]",
    ),
}
_ONE = re.compile(
    r"(?P<label>\b(?:day|cycle|visit|week|exon|phase|stage|grade|type|arm|part|cohort|group|step|course|line|level)s?[\s-]+)?"
    r"(?:(?<![\d.,-])(?:\b(?:1|one|single|each|an?)|0?[.,]\d+|[½¼¾])[\s-]{0,2}|\d-)$|^$",
    re.IGNORECASE,
)
_PER = re.compile(rf"\\?[{_SLASH}]\s*(?:per\s+)?|per\s+", re.IGNORECASE)
_MOLAR_PER_LITRE = re.compile(rf"\s*[{_SLASH}]\s*(?:L|l|liters?|litres?)(?![^\W_])")
_CLOSED = re.compile(r"[),.;\]]|$")
_BLANKS = re.compile(r"\s*")


def _one(text: str, at: int) -> bool:
    """Whether a singular may stand at an offset: behind "1", "each", "0.5" or a hyphen, but not behind "Day 1"."""
    one = _ONE.search(text[max(0, at - 20) : at])
    return one is not None and one["label"] is None


def _with_noun(text: str, first: _Part) -> Iterator[_Part]:
    """A multiplier alone, and with the counted noun behind it: "K/µL", "thousand cells/µL", "million copies/mL"."""
    yield first
    blanks = _BLANKS.match(text, first.end)
    assert blanks is not None
    for part in _parts(text, blanks.end()):
        if part.entry.role == "cell":
            yield first._replace(end=part.end)
        elif part.entry.role == "count" and part.kind == "count":
            yield first._replace(ucum=first.ucum + part.ucum, end=part.end)


def _powered(text: str, at: int, first: _Part) -> Unit | None:
    """The unit of a count whose multiplier is a letter or word, "K/µL"; a multiplier alone is no unit."""
    letter = text[at : first.end]
    best: Unit | None = None
    for part in _with_noun(text, first):
        read = _Quotient(text, at, part)
        if not read.divide() or read.kinds[:1] != ("volume",):
            continue
        litre = read.below[0].ucum == "L"
        if (letter in ("G", "Gi", "T") and not litre) or (letter == "M" and litre):
            continue
        best = read.unit()
    return best


def _first(text: str, at: int, first: _Part) -> Unit | None:
    """The unit that begins with a part."""
    if first.entry.role == "adverb":
        return None
    if first.entry.role == "power":
        return _powered(text, at, first)
    if first.kind in ("dna", "field"):
        return None
    inverse = _inverse(text, first)
    if inverse and (
        text[first.end] in "⁻^" or inverse.ucum in ("L", "mm3") or (first.kind == "time" and _CLOSED.match(text, inverse.end))
    ):
        return Unit(f"/{inverse.ucum}", at, inverse.end)
    read = _Quotient(text, at, first)
    if first.entry.role == "mend":
        read.repairs.append(f'"{text[at : first.end]}" read as {first.ucum}')
    if first.kind == "molar":
        litre = _MOLAR_PER_LITRE.match(text, first.end)
        if litre:
            read.repairs.append(f'"{text[at : litre.end()]}" read as {first.ucum}')
            read.end = litre.end()
        return read.unit()
    if first.entry.ucum == "M[IU]":
        read.divide()
        if read.below:  # a million units in a millilitre of blood there are not; capitals for "mIU" are common
            read.above = ["m[IU]"]
            read.repairs.append(f'"{text[at : first.end]}" read as m[IU]')
            return read.unit()
    if first.ucum == "s" and text[at : first.end].lower() == "second" and not _one(text, at):
        return None  # an ordinal: "Day 1, second dose"
    if first.kind in _PRODUCTS or first.kind in ("mass", "substance") or _MULTIPLIES.match(text, first.end):
        read.multiply()
    if _DIVIDES.match(text, read.end):
        if not read.divide():
            return None
        read.often()
    if first.spelling.singular and not read.below and text[first.end - 1] != ")" and not _one(text, at):
        return None  # "EGFR exon 20 mutation", "Day 1 dose"
    return read.unit()


def _bare(text: str, at: int, start: int, slash: bool) -> Unit | None:
    """The unit "/L", "per hpf" whose divider ends at `start`."""
    divisor = _divisor(text, start, "", (), True, slash)
    if divisor is None:
        return None
    read = _Quotient(text, at, None)
    read.take(divisor)
    read.divide()
    if divisor.ucum not in ("kg", "m2") and (len(read.below) > 1 or text[read.end : read.end + 1] in set(_SLASH)):
        return None  # "/mg/dL", "/mL/1.73 m2": one slash too many
    return read.unit()


def _read(text: str, at: int) -> Unit | None:
    """The longest unit that begins at an offset."""
    token = _TOKEN.match(text, at)
    if token is None:
        return None
    word = token.group()
    if word in _SLASH or word in ("per", "\\", "Per", "PER"):
        over = _PER.match(text, at)
        bare = _bare(text, at, over.end(), word in _SLASH or word == "\\") if over else None
        if bare or word in _SLASH:
            return bare
    best: Unit | None = None
    for part in _parts(text, at):
        unit = _first(text, at, part)
        if unit and (best is None or unit.end > best.end):
            best = unit
    if best is None and (context := _CONTEXT.get(word)):
        before, behind, ucum = context
        if before.search(text[max(0, at - 10) : at]) and behind.match(text, token.end()):
            return Unit(ucum, at, token.end())
    return best


_RUN = re.compile(rf"(?:{_LETTERS}|%)?(?:/{_LETTERS}(?:\^?[23](?!\d)|[²³])?)*(?:/1\.73 ?m(?:\^?2|²)(?!\d))?")
_BEHIND = re.compile(r"\.?\s+(?P<word>[^\W\d_]+)(?P<raised>\s?[-−–⁻^/]|\()?|\s*(?:[,;:)\]]|$)|\s+[(\[<>=≥≤]|\.(?:$|\s+\()")


_DIVIDING = {"per", "a", "an", "each", "every", "once", "one", "x", "bsa", "body"}
_DIVIDING |= {"daily", "weekly", "monthly", "yearly", "annually", "qd", "q"}


class _Run(NamedTuple):
    """What a run of letters and slashes says by itself, and the words behind it that would say more."""

    unit: Unit | None
    sensitive: bool  # what stands before it matters, too, or a factor behind a blank
    going_on: frozenset[str]


@lru_cache(maxsize=16384)
def _run(run: str) -> _Run:
    """The reading of a run that stands alone."""
    words = _TOKEN.findall(run)
    spellings = _spellings(words[0])
    lowered = {word.lower() for word in words}
    sensitive = (
        words[0] in _CONTEXT
        or not lowered.isdisjoint({"per", "second"})
        or any(spelling.singular or spelling.entry.role == "power" or spelling.entry.kind in _PRODUCTS for spelling in spellings)
    )
    rests = (spelling.rest[0].lower() for spelling in _spellings(words[-1]) if spelling.rest)
    going_on = {word.group() for rest in rests if (word := _TOKEN.match(rest))}
    if "1.73" in run:
        going_on.add("of")
    return _Run(None if sensitive else _read(run, 0), sensitive, frozenset(_DIVIDING | going_on))


def unit_at(text: str, at: int) -> Unit | None:
    """The unit as written that begins exactly at `at`, the longest; None where none begins."""
    letters = _RUN.match(text, at)
    if letters and letters.end() > at:  # most units are one run of letters and slashes with nothing behind it that goes on
        behind = _BEHIND.match(text, letters.end())
        if behind and not behind["raised"]:
            run = _run(letters.group())
            if not run.sensitive and not (behind["word"] and behind["word"].lower() in run.going_on):
                unit = run.unit
                return Unit(unit.ucum, at, at + unit.end, unit.repairs) if unit else None
    return _read(text, at)


_POWER_OF_TEN = re.compile(
    r"(?:[x×*]\s*)?10\s?(?:(?:\\?[\^ˆ]|\*{1,2}|[Ee])\s?(?P<plain>\d{1,2})|(?P<raised>[⁰¹²³⁴-⁹]{1,2}))(?!\d)\s*"
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_CODED = re.compile(r"[\[{*]|/\(|/a$")


@lru_cache(maxsize=4096)
def normalize_unit(text: str) -> str | None:
    """The UCUM code of a unit that stands alone: "mg / dl" is "mg/dL", "cells/mm3" is "/mm3"; None where it is unknown."""
    text = text.strip()
    if not text:
        return None
    power = _POWER_OF_TEN.match(text)
    unit = unit_at(text, power.end() if power else 0)
    if power:
        exponent = int(power["plain"] or power["raised"].translate(_RAISED))
        if power.end() == len(text):
            return with_power(exponent, None)
        if unit and text[unit.end :] in ("", "."):
            return with_power(exponent, unit)
    elif unit and text[unit.end :] in ("", "."):
        return unit.ucum
    return text if _CODED.search(text) and _terms(text) is not None else None


_TEN = re.compile(r"10\*(\d+)")


def with_power(exponent: int, unit: Unit | None) -> str:
    """The UCUM code of a power of ten with a unit: 9 and "/L" are "10*9/L"."""
    code = unit.ucum if unit else ""
    if own := _TEN.match(code):  # "10^3 K/µL"
        exponent, code = exponent + int(own[1]), code[own.end() :]
    if exponent == 0:
        return code or "1"
    return f"10*{exponent}{code}" if not code or code[0] in "/{" else f"10*{exponent}.{code}"


# --- conversion -------------------------------------------------------------------------------------------------------


class _Term(NamedTuple):
    """One term of a UCUM code with its exponent, negative below a divider."""

    number: int
    ten: int
    atom: str
    note: str
    power: int


class _Measure(NamedTuple):
    """What a unit measures: its size in root units, their exponents, and the kinds that stand above and below ("mg/g")."""

    size: Fraction
    dimensions: frozenset[tuple[str, int]]
    ratio: frozenset[str]


_TERM = re.compile(
    r"(?P<over>[./])?(?P<open>\()?(?:10\*(?P<ten>-?\d+)|(?P<number>\d+)(?=[.)/]|$))?"
    r"(?P<atom>(?:[a-zA-Z%]|\[[^\[\]{}]+\])+)?(?P<power>-?\d)?(?P<note>\{[^{}]+\})?(?P<close>\))?"
)
_TEMPERATURES = {"Cel": "degree_Celsius", "[degF]": "degree_Fahrenheit", "K": "kelvin"}
_VALUE = re.compile(r"[-+]?\d+(?:\.\d+)?")
_VALENCE = re.compile(r"valence=([1-9])")
_NGSP_SLOPE, _NGSP_ZERO = Fraction("0.0915"), Fraction("2.15")
_SIX_DIGITS = Context(prec=6, rounding=ROUND_HALF_EVEN)


@lru_cache(maxsize=4096)
def _terms(code: str) -> tuple[_Term, ...] | None:
    """The terms of a UCUM code; None where it is none, or holds a unit that the table lacks."""
    terms: list[_Term] = []
    at, inner = 0, 0  # `inner`: the sign of the bracket that is open
    while at < len(code):
        term = _TERM.match(code, at)
        if term is None or term.end() == at or not (term["ten"] or term["number"] or term["atom"] or term["note"]):
            return None
        if (at and term["over"] is None) or (not at and term["over"] == "."):
            return None
        if term["atom"] and term["atom"] not in _table().pints:
            return None
        sign = -1 if term["over"] == "/" else 1
        if term["open"]:
            inner = sign
        elif inner:
            sign *= inner
        power = sign * int(term["power"] or 1)
        terms.append(_Term(int(term["number"] or 1), int(term["ten"] or 0), term["atom"] or "", term["note"] or "", power))
        if term["close"]:
            if not inner:
                return None
            inner = 0
        at = term.end()
    return tuple(terms) if terms and not inner else None


@cache
def _registry() -> pint.UnitRegistry[Any]:
    """The units library with the table's own units; loaded at the first conversion, because it takes its time."""
    import pint

    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(non_int_type=Fraction)
    for definition in _table().definitions:
        registry.define(definition)
    return registry


@cache
def _root(atom: str) -> tuple[Fraction, tuple[tuple[str, int], ...]]:
    """The size of an atom in the library's root units, and their exponents."""
    quantity = (Fraction(1) * _registry().parse_expression(_table().pints[atom].pint)).to_root_units()
    return Fraction(quantity.magnitude), tuple((str(name), int(power)) for name, power in quantity.unit_items())


@lru_cache(maxsize=4096)
def _measure(code: str) -> _Measure | None:
    """What a UCUM code measures; None where it is unknown, or a temperature, whose zero has to be known."""
    terms = _terms(code)
    if terms is None:
        return None
    size = Fraction(1)
    dimensions: dict[str, int] = {}
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    for term in terms:
        size *= (Fraction(10) ** term.ten * term.number) ** (1 if term.power > 0 else -1)
        if term.atom:
            if term.atom in _TEMPERATURES:
                return None
            kind = _table().pints[term.atom].kind
            kinds[term.power > 0].add(_KIND.get(abs(term.power), kind) if kind == "length" else kind)
            root, units = _root(term.atom)
            size *= root**term.power
            for name, power in units:
                dimensions[name] = dimensions.get(name, 0) + power * term.power
        if term.note:
            dimensions[term.note] = dimensions.get(term.note, 0) + (1 if term.power > 0 else -1)
    return _Measure(
        size, frozenset((name, power) for name, power in dimensions.items() if power), frozenset(kinds[True] & kinds[False])
    )


def _plain(value: Fraction) -> str:
    """A number as a plain decimal of at most six significant digits."""
    rounded = _SIX_DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))
    text = f"{rounded:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) if rounded else "0"


def _factor(unit: str, to: str, molar_mass: Decimal | None, valence: int | None) -> Fraction | None:
    """What a value in `unit` is to be multiplied with to be in `to`."""
    here, there = _measure(unit), _measure(to)
    if here is None or there is None:
        return None
    factor = here.size / there.size
    missing = dict(here.dimensions)
    for name, power in there.dimensions:
        missing[name] = missing.get(name, 0) - power
    missing = {name: power for name, power in missing.items() if power}
    if not missing:
        return factor if here.ratio == there.ratio else None
    if equivalents := missing.pop("equivalent", 0):
        if valence is None:
            return None
        factor /= Fraction(valence) ** equivalents
        missing["mole"] = missing.get("mole", 0) + equivalents
    moles, grams = missing.pop("mole", 0), missing.pop("gram", 0)
    if missing or moles != -grams or abs(grams) > 1:
        return None
    if grams:
        if molar_mass is None or not molar_mass.is_finite() or molar_mass <= 0:
            return None
        factor /= Fraction(molar_mass) ** grams
    return factor


@lru_cache(maxsize=4096)
def _cached_factor(unit: str, to: str, molar_mass: Decimal | None, valence: int | None) -> Fraction | None:
    return _factor(unit, to, molar_mass, valence)


def _temperature(value: Fraction, unit: str, to: str) -> Fraction:
    """A temperature on another scale."""
    quantity = _registry().Quantity(value, _TEMPERATURES[unit]).to(_TEMPERATURES[to])
    return Fraction(quantity.magnitude)


def convert(value: str, unit: str, to: str, *, molar_mass: Decimal | None = None, special: str = "") -> str | None:
    """`value` in the UCUM unit `to` as a plain decimal string, or None where it cannot be converted with certainty.

    The value is exact until it is rounded to six significant digits; in the same unit it is returned as written.
    `molar_mass` in g/mol lets mass and amount of substance convert; with a ratio such as "mg/g" it is that of the substance
    by which the two units differ (albumin per creatinine: creatinine). `special` is "valence=2" (mEq and mmol) or "hba1c":
    NGSP % = 0.0915 × IFCC mmol/mol + 2.15, the master equation of Weykamp et al., Clin Chem 2008;54:240-248, as the IFCC
    Working Group on Standardization of HbA1c publishes it. Temperatures are points of a scale, not differences. A year is
    365.25 days and a month its twelfth, as UCUM defines them. International units, annotations and fractions of different
    kinds ("%", "mg/g", "mmol/mol") never convert into each other.
    """
    if not _VALUE.fullmatch(value) or _terms(unit) is None or _terms(to) is None:
        return None
    if unit == to:
        return value
    number = Fraction(value)
    if unit in _TEMPERATURES and to in _TEMPERATURES:
        return _plain(_temperature(number, unit, to))
    if special == "hba1c" and (unit, to) == ("%", "mmol/mol"):
        return _plain((number - _NGSP_ZERO) / _NGSP_SLOPE)
    if special == "hba1c" and (unit, to) == ("mmol/mol", "%"):
        return _plain(number * _NGSP_SLOPE + _NGSP_ZERO)
    valence = _VALENCE.fullmatch(special)
    factor = _cached_factor(unit, to, molar_mass, int(valence[1]) if valence else None)
    return None if factor is None else _plain(number * factor)


def same_dimension(a: str, b: str) -> bool:
    """Whether values in the UCUM units `a` and `b` convert into each other without knowing the substance."""
    if a == b or (a in _TEMPERATURES and b in _TEMPERATURES):
        return _terms(a) is not None and _terms(b) is not None
    return _cached_factor(a, b, None, None) is not None

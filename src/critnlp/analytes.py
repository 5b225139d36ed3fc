"""What is measured: the analyte or the scored instrument that the words of a mention name.

    analyte("Serum ALT (SGPT) levels")   the row of `analytes.csv`: name, codes, canonical unit, sane range
    analytes_in("AST (SGOT)/ALT (SGPT)") all rows that one mention names
    of_unit(row, "%")                    the row that is meant where the value carries that unit
    scale("ECOG PS")                     the row of `scales.csv`: name, codes, range, step
    plain_name("Hgb")                    "hemoglobin"

Words are taken away from a mention only where that leaves the property as it is ("serum", "level", "at screening"). What is
then not in a table is not known: "urine creatinine" is never creatinine, "direct bilirubin" never bilirubin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar, cast, get_args

from critnlp import lexicon, schema
from critnlp.errors import ModelError

LOINC = "http://loinc.org"


@dataclass(frozen=True, slots=True)
class Analyte:
    """A laboratory test, vital sign or measurement; `low` and `high` are what a threshold may sanely name, in `unit`.

    `assumed` is the unit of a bare number that lies within the sane range: "HbA1c < 7" is in percent, "HbA1c < 53" is not.
    """

    name: str
    about: schema.About
    codes: tuple[schema.Code, ...]
    unit: str
    assumed: str | None
    low: Decimal | None
    high: Decimal | None
    molar_mass: Decimal | None
    special: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A scored instrument; `kind` is "roman" where its values are written in Roman numerals."""

    name: str
    codes: tuple[schema.Code, ...]
    low: Decimal | None
    high: Decimal | None
    step: Decimal | None
    kind: str


@lru_cache(maxsize=65536)
def analyte(mention: str) -> Analyte | None:
    """The analyte that the text of a measurement's mention names; None where the table knows none or it names several."""
    return _read(_without_formula(mention), _analytes())


@lru_cache(maxsize=65536)
def analytes_in(mention: str) -> tuple[Analyte, ...]:
    """All analytes that a mention names, in text order: two for "AST/ALT"; none where a part is not known."""
    whole = analyte(mention)
    if whole:
        return (whole,)
    parts = [part for part in _JOINED.split(mention) if part.strip()]
    if len(parts) < 2:
        return ()
    # Members may share their last words: "systolic and diastolic blood pressure".
    words = parts[-1].split()
    tails = ["", *(" ".join(words[-number:]) for number in range(1, min(len(words), 4)))]
    found: dict[str, Analyte] = {}
    for part in parts:
        row = next((row for tail in tails if (row := analyte(f"{part} {tail}".strip()))), None)
        if row is None:
            return ()
        found[row.name] = row
    return tuple(found.values())


def of_unit(row: Analyte, unit: str | None) -> Analyte:
    """The analyte that is meant where a value carries this UCUM unit: neutrophils in "%" are a percentage, no count."""
    other = _with_unit().get((row.name, unit))
    return other or row


@lru_cache(maxsize=65536)
def scale(mention: str) -> Scale | None:
    """The scored instrument that the text of a scale's mention names; None where the table does not know it."""
    return _read(mention, _scales())


@lru_cache(maxsize=65536)
def plain_name(mention: str, label: str | None = None) -> str:
    """The plain English name of what a mention names: the table's for a measurement or scale, else its own words.

    Without its label only forms count that mean nothing else: "TB" is total bilirubin only where it is a `LAB`.
    """
    known: Analyte | Scale | None = None
    if label == "LAB":
        known = analyte(mention) or _read(mention, _scales(sought=True))
    elif label == "SCALE":
        known = scale(mention) or _read(mention, _analytes(sought=True))
    elif label is None:
        known = _read(mention, _analytes(sought=True)) or _read(mention, _scales(sought=True))
    if known:
        return known.name
    text = " ".join(unicodedata.normalize("NFKC", mention).translate(_QUOTES).split())
    outer = " ".join(_BRACKET.sub(" ", text).split())
    words = _ARTICLE.sub("", outer or text).strip(" ,.;:-*•")
    return words.lower() or text.lower()


def rows_for_tagger() -> Iterator[lexicon.Row]:
    """The names and synonyms to look for in a text, as rows of a term table.

    Those with a capital letter stand in rows of their own, matched by case. Those behind `~` are left out, and a name too
    that stands behind `~` among its own synonyms.
    """
    for label, name in (("LAB", "analytes"), ("SCALE", "scales")):
        for row in lexicon.table(name):
            forms = _sought(row)
            for match, of_case in (("", [f for f in forms if f == f.lower()]), ("case", [f for f in forms if f != f.lower()])):
                if of_case:
                    cells = {"label": label, "term": of_case[0], "variants": "|".join(of_case[1:]), "match": match}
                    yield MappingProxyType(cells)


# --- the tables -------------------------------------------------------------------------------------------------------


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


@dataclass(frozen=True, slots=True)
class _Index(Generic[T]):
    """The rows of a table by folded name, by abbreviation as written, and what may be taken away before and behind a name."""

    any_case: dict[str, T]
    exact: dict[str, T]
    leads: frozenset[str]
    tails: frozenset[str]


def _surfaces(row: lexicon.Row) -> list[str]:
    """The name of a row and its synonyms, those behind `~` included."""
    return [row["name"], *filter(None, row["synonyms"].split("|"))]


def _sought(row: lexicon.Row) -> list[str]:
    """The name and the synonyms that are looked for in a text."""
    surfaces = _surfaces(row)
    return [form for form in surfaces if not form.startswith("~") and f"~{form}" not in surfaces]


def _number(cell: str) -> Decimal | None:
    try:
        return Decimal(cell) if cell else None
    except InvalidOperation:
        raise ValueError(f"{cell!r} is no number") from None


def _codes(cell: str) -> tuple[schema.Code, ...]:
    return tuple(schema.Code(system=LOINC, code=code) for code in cell.split("|") if code)


def _analyte(row: lexicon.Row) -> Analyte:
    if row["about"] not in get_args(schema.About):
        raise ValueError(f"{row['about']!r} is nothing that a fact can be about")
    return Analyte(
        name=row["name"],
        about=cast(schema.About, row["about"]),
        codes=_codes(row["loinc"]),
        unit=row["unit"],
        assumed=row["assumed"] or None,
        low=_number(row["low"]),
        high=_number(row["high"]),
        molar_mass=_number(row["molar_mass"]),
        special=row["special"],
    )


def _scale(row: lexicon.Row) -> Scale:
    low, high, step = (_number(row[column]) for column in ("low", "high", "step"))
    return Scale(name=row["name"], codes=_codes(row["loinc"]), low=low, high=high, step=step, kind=row["kind"])


def _indexed(table: str, rows: Sequence[T], words: tuple[str, str], sought: bool) -> _Index[T]:
    """The index over the rows of a table; two rows with a form in common are a fault of the table.

    With `sought` it holds only the forms that are looked for in a text.
    """
    index: _Index[T] = _Index({}, {}, frozenset(words[0].split()), frozenset(words[1].split()))
    for cells, row in zip(lexicon.table(table), rows, strict=True):
        for form in _sought(cells) if sought else _surfaces(cells):
            own = _words(form.removeprefix("~"))
            lower = form == form.lower()
            key = "".join(_fold(own) if lower else own)
            known = (index.any_case if lower else index.exact).setdefault(key, row)
            if known is not row:
                raise ModelError(f"{table}.csv: {form!r} stands for {known.name!r} and for {row.name!r}; leave it with one")
    return index


_SPECIMEN = "serum plasma blood whole peripheral venous"
_OCCASION = "baseline screening initial current recent most last local central laboratory lab institutional documented entry"
_WHOSE = "patient participant subject his her their your"
_HOW = "calculated estimated measured mean average resting seated sitting supine office clinic fasting circulating"


_QUALITY = "elevated abnormal normal adequate"


@cache
def _analytes(sought: bool = False) -> _Index[Analyte]:
    leads = f"{_SPECIMEN} {_OCCASION} {_WHOSE} {_HOW} {_QUALITY} level concentration value count"
    tails = f"level concentration value result reading measurement count number status test testing assay {_SPECIMEN}"
    return _indexed("analytes", _analyte_rows(), (leads, tails), sought)


@cache
def _analyte_rows() -> tuple[Analyte, ...]:
    return lexicon.load("analytes", _analyte)


@cache
def _with_unit() -> dict[tuple[str, str | None], Analyte]:
    rows = {row.name: row for row in _analyte_rows()}
    meant: dict[tuple[str, str | None], Analyte] = {}
    for cells in lexicon.table("analytes"):
        for pair in filter(None, cells["with_unit"].split("|")):
            unit, _, name = pair.partition("=")
            if name not in rows:
                raise ModelError(f"analytes.csv: {cells['name']!r} is {name!r} with {unit!r}, which is no name of the table")
            meant[cells["name"], unit] = rows[name]
    return meant


@cache
def _scales(sought: bool = False) -> _Index[Scale]:
    leads = f"{_OCCASION} {_WHOSE} total score global mean"
    tails = "score scale total rating value test questionnaire status assessment index result"
    return _indexed("scales", _scale_rows(), (leads, tails), sought)


@cache
def _scale_rows() -> tuple[Scale, ...]:
    return lexicon.load("scales", _scale)


# --- from words to a row ----------------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W_]+|[%+/&:]")
_BRACKET = re.compile(r"[(\[]([^()\[\]]*)(?:[)\]]|$)")
_ARTICLE = re.compile(r"^\s*(?:the|a|an|any|their|his|her|your)\s+(?=\S)", re.IGNORECASE)
_SAME = re.compile(r"[/=,;]|\s[-–—]\s|\bor\b")
# Between analytes, but not within brackets.
_JOINED = re.compile(r"(?:\s*[,/;&+]\s*|\s+)(?:and/or|and|or|&)\s+(?![^(]*\))|[,/;&](?![^(]*\))", re.IGNORECASE)
# How it was measured, behind the name.
_METHOD = re.compile(
    r"\s*,?\s+(?:as )?(?:(?:calculated|measured|assessed|estimated|determined|evaluated|documented|obtained|defined|corrected)"
    r"(?: (?:by|using|with|via|from|on|according to|per|for|in))?|by|using|according to|via|per|based on|with|on)\s+(?=\w)",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"\bq-?t.*\b(fridericia|bazett)|\b(fridericia|bazett).*\bq-?t", re.IGNORECASE)
_QUOTES = str.maketrans("’‘ʼ", "'''")
_DROPPED = str.maketrans({"'": "", "’": "", "‘": "", "ʼ": "", "`": "", "®": " ", "™": " ", "©": " "})
_STOP = frozenset({"the", "of", "in", "at", "on", "by"})
# Words that turn a test into another one, so that they may not be overlooked in brackets.
_TURNS = (
    "urine urinary csf cerebrospinal direct conjugated indirect unconjugated free bound bioavailable ionized corrected adjusted "
    "ratio percent percentage % ldl hdl random stimulated postprandial reduction change decrease increase clearance"
)
_OTHER = frozenset(_TURNS.split())
_SAID_AS = (
    "one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10 hour=h hr=h minute=min second=s sec=s meter=m metre=m "
    "foot=ft feet=ft α=alpha β=beta ß=beta γ=gamma δ=delta κ=kappa λ=lambda &=and :=/ titre=titer litre=liter fibre=fiber"
)
_PLAIN = dict(pair.split("=") for pair in _SAID_AS.split())
# British to American; what is folded too much is folded so on both sides.
_BRITISH = (
    *(("ae", "e"), ("oe", "e"), ("leuc", "leuk"), ("our", "or"), ("sulph", "sulf")),
    *(("ise", "ize"), ("isi", "izi"), ("isa", "iza")),
)


def _plain(text: str) -> str:
    """The text in compatibility form ("SpO₂" → "SpO2"), without apostrophes and trade marks."""
    return unicodedata.normalize("NFKC", text.translate(_DROPPED))


def _words(text: str) -> list[str]:
    """The words and joining marks of a text, without the small words that change nothing."""
    return [word for word in _WORD.findall(_plain(text)) if word not in _STOP]


def _fold(words: Sequence[str]) -> list[str]:
    """Each word in lower case, singular, American spelling, a number word as digits."""
    folded = [_fold_word(word.lower()) for word in words]
    if "ratio" in folded:  # "protein to creatinine ratio", "protein/creatinine ratio", "protein creatinine ratio"
        folded = ["" if word in ("to", "/") else word for word in folded]
    return folded


@lru_cache(maxsize=4096)
def _fold_word(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    elif word in ("hrs", "hr"):
        word = "h"
    word = _PLAIN.get(word, word)
    if len(word) > 4:
        for british, american in _BRITISH:
            word = word.replace(british, american)
    return word


def _find(text: str, index: _Index[T]) -> T | None:
    """The row that a text without brackets names, after as few words as possible are taken away at its ends."""
    words = _words(text)
    folded = _fold(words)
    leads = next((n for n, word in enumerate(folded) if word not in index.leads), len(folded))
    tails = next((n for n, word in enumerate(reversed(folded)) if word not in index.tails), len(folded))
    for taken in range(leads + tails + 1):
        for first in range(min(taken, leads) + 1):
            last = len(words) - (taken - first)
            if taken - first > tails or first >= last:
                continue
            found = index.any_case.get("".join(folded[first:last])) or index.exact.get("".join(words[first:last]))
            if found is None and words[last - 1][-1] == "s" and words[last - 1][-2:-1].isupper():
                found = index.exact.get("".join(words[first:last])[:-1])
            if found:
                return found
    return None


def _read(text: str, index: _Index[T]) -> T | None:
    """The row that a mention names: all of it, or what it and its bracket or its other name agree on."""
    found = _find(text, index)
    if found:
        return found
    if bracket := _BRACKET.search(text):
        inner, outer = bracket[1], text[: bracket.start()] + " " + text[bracket.end() :]
        return _with_bracket(outer, inner, index)
    parts = [part for part in _SAME.split(text) if part.strip()]
    if len(parts) > 1:
        rows = {row.name: row for part in parts if (row := _find(part, index))}
        if len(rows) == 1 and all(_find(part, index) for part in parts):
            return next(iter(rows.values()))
        if len(parts) == 2 and "," in text and (found := _find(f"{parts[1]} {parts[0]}", index)):
            return found  # "bilirubin, total", "creatinine, serum"
    method = _METHOD.search(text)
    if method and method.start() and _OTHER.isdisjoint(_fold(_words(text[method.start() :]))):
        return _find(text[: method.start()], index)
    return None


def _with_bracket(outer: str, inner: str, index: _Index[T]) -> T | None:
    """The row that "outer (inner)" names: "bilirubin (direct)" is not what "bilirubin (TBIL)" is."""
    named, short = _read(outer, index), _read(inner, index)
    if named and short:
        if f" {named.name} " in f" {short.name} ":  # "blood pressure (SBP)", "QT interval (QTc)"
            return short
        return named if f" {short.name} " in f" {named.name} " else None
    if named:
        changed = not _OTHER.isdisjoint(_fold(_words(inner)))
        return _find(f"{inner} {outer}", index) if changed else named
    if short and _OTHER.isdisjoint(_fold(_words(outer))) and _spells(inner, outer):
        return short
    return None


def _without_formula(mention: str) -> str:
    """The mention, or the short name of a QT interval that it says is corrected by Fridericia's or Bazett's formula."""
    formula = _FORMULA.search(mention)
    return mention if formula is None else "QTcF" if (formula[1] or formula[2]).lower() == "fridericia" else "QTcB"


def _spells(short: str, long: str) -> bool:
    """Whether the letters of `short` stand in `long` in this order, the first at the head of a word."""
    letters = [letter for letter in short.lower() if letter.isalpha()]
    text = long.lower()
    start = re.search(rf"\b{re.escape(letters[0])}", text) if letters else None
    if start is None:
        return False
    at = start.start()
    for letter in letters:
        at = text.find(letter, at) + 1
        if not at:
            return False
    return True

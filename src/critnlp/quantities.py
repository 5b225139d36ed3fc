"""Comparisons with numbers: "≥ 1.5 x 109/L", "between 7 and 10 %", "18 years or older", "2.5 times the upper limit of normal".

    parse_threshold("platelets ≥ 100 x 10^9/L")   the first comparison of a text
    find(text)                                    all of them, bare numbers included

A text becomes tokens (numbers with their units, comparators, joiners, other words), and a small grammar reads the tokens.
What a comparison is about is not asked here. Values, units (UCUM) and references are those of the contract's `range`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, lru_cache
from typing import Literal, cast

from critnlp import lexicon, schema, units
from critnlp.errors import ModelError
from critnlp.numerals import WORDS, Number, number_at

Op = Literal["ge", "gt", "le", "lt", "eq", "better", "worse"]
Form = Literal["bound", "range", "list", "pair", "bare"]
_MIRROR: dict[Op, Op] = {
    "ge": "le", "gt": "lt", "le": "ge", "lt": "gt", "eq": "eq", "better": "worse", "worse": "better",
}  # fmt: skip
TIME_UNITS = frozenset({"a", "mo", "wk", "d", "h", "min", "s"})


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range: a plain decimal, and whether it belongs to the range."""

    value: str
    inclusive: bool


@dataclass(frozen=True, slots=True)
class Threshold:
    """A comparison of the text, `text[start:end]`, with what was mended and, in `problem`, why it cannot be trusted.

    `form` is `bare` where nothing says which way the number bounds, `list` for alternatives ("0 or 1"), `pair` for two
    numbers of one measurement ("160/100 mmHg", `low`/`high` the first and `second` the other).
    """

    start: int
    end: int
    low: Bound | None = None
    high: Bound | None = None
    unit: str | None = None
    relative_to: schema.RelativeTo | None = None
    relation: Literal["ratio", "difference"] | None = None
    values: tuple[str, ...] = ()
    form: Form = "bound"
    second: Threshold | None = None
    age: bool = False  # "years of age", "years old"
    reversed: bool = False  # the number stands before the comparator: "18 years ≤ age"
    equals: bool = False  # written with "="
    way: Literal["", "better", "worse"] = ""  # "2 or better": which way that bounds depends on the instrument
    plus: bool = False  # "3+": a bound, or the grade of a stain
    repairs: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def range(self) -> schema.Range | None:
        """The bounds as the contract writes them; None where none is certain."""
        if self.problem or not (self.low or self.high):
            return None
        return schema.Range(
            low=self.low.value if self.low else None,
            low_inclusive=self.low.inclusive if self.low else None,
            high=self.high.value if self.high else None,
            high_inclusive=self.high.inclusive if self.high else None,
            unit=self.unit,
            relative_to=self.relative_to,
            relation=self.relation,
        )


def parse_threshold(text: str) -> Threshold | None:
    """The first comparison of `text`; a bare number only where nothing else stands there; None where no number is read."""
    found = find(text)
    return next((threshold for threshold in found if threshold.form != "bare"), found[0] if found else None)


# --- numbers with unit and reference ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Quantity:
    """A number with its power, unit and reference."""

    value: str
    start: int
    end: int
    unit: str | None = None
    relative_to: schema.RelativeTo | None = None
    relation: Literal["ratio", "difference"] | None = None
    age: bool = False
    other: str | None = None
    in_words: bool = False
    below: bool = False  # "2 SD below the mean": the number was made negative
    repairs: tuple[str, ...] = ()
    problem: str | None = None


_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_TIMES_SIGN = r"[x×X*·•✕✖⋅∙х✗✘⨯⨉χⅹⅩ]"
_EXPONENT = r"(?P<exp>1[0-2]|[2-9]|[⁰¹²³⁴-⁹]{1,2})"
_POWER = re.compile(
    rf"\s?(?:{_TIMES_SIGN}|times)\s?10\s?(?P<mark>\^|\*\*|\*|[eE]\+?|exp|↑|to the(?: power(?: of)?)?)?"
    r"\s?(?P<open>[(\[{<]\s?(?:sup>)?)?"
    rf"{_EXPONENT}(?:th|rd)?(?: power)?(?(open)\s?(?:[)\]}}]|</sup>|>))(?![\d.,]*\d)"
    rf"|\s?{_TIMES_SIGN}\s?(?P<thousands>1[,. ]?000(?:[,. ]?000)?)(?![\d.,]*\d)"
    r"|[eE]\+?0?(?P<scientific>[3-9]|1[0-2])(?=\s?/|\s|$)|\s[eE]\+?0?(?P<apart>[369]|12)(?=\s?/)"
    r"|\s10\s?(?:\^|\*\*|[eE])?\s?(?P<lost>[369]|12|⁹|³|⁶)(?=\s?/\s?[µμumcdl])",
    re.IGNORECASE,
)
_BARE_POWER = re.compile(
    r"10\s?(?P<mark>\^|\*\*|\*|E)?\s?(?P<open>\(\s?)?(?P<exp>[3-9]|1[0-2]|[⁰¹²³⁴-⁹]{1,2})(?(open)\s?\))(?![\d.,]*\d)"
)
_TIMES = re.compile(
    rf"\s?(?:{_TIMES_SIGN}(?![a-z](?!ln|nl|pper|nstit))|(?:-?\s?times|-?\s?fold|-?\s?multiples?)\b)\s?"
    r"(?:(?:of|the|or|above|over|higher than|greater than|more than|that|than|as|high)\s)*",
    re.IGNORECASE,
)
_OF = re.compile(r"\s?(?:(?:of|the|from|in|for|than|his|her|its|their)\s)*")
_OFF = re.compile(
    r"\s?(?P<way>above|over|below|under|beyond|greater than|higher than|lower than|less than|more than)\s(?:the\s)?", re.IGNORECASE
)
_WHOSE = (
    r"(?:(?:the|their|its|an?|institutional|institution(?:['’]s|al)?|local|laboratory(?:['’]s)?|lab|site|study|age|sex|gender|and|"
    r"age-adjusted|age-appropriate|age-specific|sex-specific|respective|central|reference|applicable|testing|investigational|"
    r"center['’]s|appropriate|adult|current|standard)[\s-])*"
)
_AGE = re.compile(
    r"[\s-]{0,2}(?:of|in|'|’)?\s?(?:age|old)\b(?! (?:related|adjusted))|[\s-]?(?:of|in) (?:their |his or her )?life\b"
    r"|(?<=yo)\b|(?<=YO)\b|(?<=y\.o)\.?|(?<=y/o)\b"
)
_YEARS_OLD = re.compile(r"\s?-?(?:ans\b|years\b|y\.?\s?/?o\.?|YO|Y\.O\.)(?!\w)", re.IGNORECASE)
_TIMES_WHAT = "times something that is not known"
_TIMES_UNKNOWN = re.compile(r"\s(?:times|-?fold)\b", re.IGNORECASE)
# ",000" behind a blank, a power without its exponent, "log10", "lakhs", "3X ULM"
_TORN = re.compile(
    r"\s?[x×*]\s?1[0,]{4,}|[?_#]|\s,\d|,\d{2}|\^|⁻|:\s?\d|\sin\s\d|\s\d/7\b|\s?[x×]\s?(?!10)\d+(?:\.\d+)?\s?(?:[x×]|mm\b|cm\b|m\b)|\s?[x×*]\s?10(?!\d)|\s?log(?:s|10|₁₀)?\b|\s(?:lakhs?|crores?|millions?|billions?|thousands?)\b"
    r"|\s?[x×]\s?(?!i?ULN|ULR|U\.L|UNL|LLN|N\b|the\b|upper|lower|inst|local|lab|normal|base|\d)[A-Za-z]{2,}",
    re.IGNORECASE,
)
_AND_MONTHS = re.compile(r"\s(?:and\s)?\d+\s(?P<unit>months?|weeks?|days?)\b", re.IGNORECASE)
_UNKNOWN_UNIT = re.compile(
    r"\s?(?!(?:and|his|he|or|male|female|men|M|F)/)[^\W\d_]{1,12}\s?/\s?(?!or\b|and\b|her\b|she\b)[^\W\d_]{1,6}\d?\b|/\s?[^\W\d_]"
)
_DEGREES = re.compile(r"\s?(?P<scale>[FC])\b")
_HEAT = re.compile(r"temp|fever|febrile|pyrexia|hypertherm|hypotherm", re.IGNORECASE)
_UNIT_GAP = re.compile(r"\s?[-‐–]?(?=\s?[^\W\d_])\s?|\s?")
_PERCENTILE = re.compile(
    r"\d{1,2}(?:\.\d+)?(?:st|nd|rd|th)?[\s-]?(?:percentiles?|centiles?|%-?iles?|%\s?tile)\b(?:\s(?:for|by)\s(?:(?:their|age|sex|gender|height|weight|and|or)[\s,/-]*)+(?<=\w))?|\d{1,2}(?:st|nd|rd|th)(?=\s?(?:and|to|-|–|but)\s?[<≤>≥]?=?\s?\d{1,2}(?:st|nd|rd|th)\s?(?:percentile|centile))",
    re.IGNORECASE,
)


@cache
def _references() -> tuple[re.Pattern[str], tuple[str, ...]]:
    rows = list(lexicon.table("references"))
    pattern = "|".join(f"(?P<r{number}>{row['pattern']})" for number, row in enumerate(rows))
    return _compiled("references", f"{_WHOSE}(?:{pattern})"), tuple(row["relative_to"] for row in rows)


def _compiled(table: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern.replace(" ", r"\s"), re.IGNORECASE)
    except re.error as error:
        raise ModelError(f"{table}.csv: a pattern cannot be compiled: {error}") from None


def _reference_at(text: str, at: int) -> tuple[str, int] | None:
    """What the words at `at` refer to, and where they end."""
    regex, names = _references()
    found = regex.match(text, at)
    if found and _DETECTION.match(text, found.end()):
        return None  # "the lower limit of detection" is that of the assay
    return (names[int(str(found.lastgroup)[1:])], found.end()) if found else None


_TO_ONE = re.compile(r"\s?:\s?1(?![\d.,:])")
_DETECTION = re.compile(r"\s(?:of\s|for\s)?(?:the\s)?(?:assay\s)?(?:detect|quantif|quantit)", re.IGNORECASE)


def _quantity_at(text: str, at: int, start: int) -> _Quantity | None:
    """The number at `at` with all that belongs to it; `start` is before `at` where a sign stands in front."""
    if found := _PERCENTILE.match(text, at):
        value = cast(re.Match[str], re.match(r"\d+(?:\.\d+)?", found[0]))[0]
        return _Quantity(value, start, found.end(), relative_to="percentile", relation="ratio")
    number = number_at(text, at)
    if not number:
        return None
    power = _BARE_POWER.match(text, at) if number.value.startswith("10") and not number.in_words else None
    if power and (read := _power_of_ten(text, power, start)):
        return read
    sign = "-" if start < at and text[start] in "-−–" else ""
    quantity = _Quantity(
        sign + number.value, start, number.end, other=number.other, in_words=number.in_words, repairs=number.repairs
    )
    if ratio := _TO_ONE.match(text, number.end):  # "Qp/Qs < 1.5:1"
        mended = f"{text[at : ratio.end()]} read as {number.value}"
        return replace(quantity, end=ratio.end(), repairs=(*quantity.repairs, mended))
    exponent: int | None = None
    if found := _POWER.match(text, number.end):
        exponent, repairs = _exponent(text, found)
        quantity = replace(quantity, end=found.end(), repairs=(*quantity.repairs, *repairs))
    gap = cast(re.Match[str], _UNIT_GAP.match(text, quantity.end))
    unit = units.unit_at(text, gap.end()) if gap.end() < len(text) else None
    if unit and gap.end() > quantity.end and not _is_unit_after_blank(text, number, unit):
        unit = None
    if (
        unit
        and unit.ucum == "s"
        and text[unit.start : unit.end] == "s"
        and gap.end() == quantity.end
        and number.value.endswith("0")
    ):
        unit = None  # "in their 40s"
    if unit and unit.ucum.startswith("{") and unit.ucum[1:].partition("}")[0] not in _UNIT_NOUNS:
        unit = None  # what is counted is the thing itself: "3 seizures", "two lines"
    if unit is None and exponent is None and text[number.end : number.end + 1].isalpha():
        years = _YEARS_OLD.match(text, number.end)
        if years:
            return replace(quantity, unit="a", end=years.end(), age=True)
        if text[number.end] not in "xX" or not _TIMES.match(text, number.end):
            return None  # a name: "5HT", "2D"
    if unit:
        code = unit.ucum if exponent is None else units.with_power(exponent, unit)
        quantity = replace(quantity, unit=code, end=unit.end, repairs=(*quantity.repairs, *unit.repairs))
    elif exponent is not None:
        quantity = replace(quantity, unit=units.with_power(exponent, None))
    elif years := _YEARS_OLD.match(text, number.end):
        quantity = replace(quantity, unit="a", end=years.end(), age=True)
    elif (degrees := _DEGREES.match(text, number.end)) and _HEAT.search(text, 0, at):
        quantity = replace(quantity, unit={"F": "[degF]", "C": "Cel"}[degrees["scale"]], end=degrees.end())
    rest = _AND_MONTHS.match(text, quantity.end) if quantity.unit in ("a", "mo", "wk") else None
    if rest and rest["unit"].lower()[0] in {"a": "mwd", "mo": "wd", "wk": "d"}[quantity.unit or ""]:
        return replace(quantity, problem="years and months in one")
    if (
        number.other
        and number.other.endswith("00")
        and quantity.unit not in (None, *_PER_MICROLITRE, *TIME_UNITS)
        and exponent is None
    ):
        return replace(quantity, problem=f"{number.value} may be {number.other}")
    if unit is None and quantity.unit is None and _UNKNOWN_UNIT.match(text, quantity.end):
        return replace(quantity, problem="a unit that is not known")
    if quantity.unit is None and exponent is None and (torn := _TORN.match(text, quantity.end)):
        return replace(quantity, end=torn.end(), problem="a number that goes on in a way that is not known")
    quantity = _with_convention(quantity, number)
    if quantity.unit in TIME_UNITS and (age := _AGE.match(text, quantity.end)):
        return replace(quantity, end=max(age.end(), quantity.end), age=True)
    return _with_reference(text, quantity)


# Counted things without a name of their own; all other nouns are what a count is about.
_UNIT_NOUNS = frozenset(
    {"letters", "points", "copies", "cells", "score", "pack-years", "log10 copies", "units", "WU", "titer", "RU", "AU"}
)


def _is_unit_after_blank(text: str, number: Number, unit: units.Unit) -> bool:
    """Whether a unit behind a blank is one: a lone letter often is a word or a name ("2 D echo")."""
    written = text[unit.start : unit.end]
    if written == "UI":  # "8 UI episodes" are no international units
        return False
    return len(written) > 1 or not written.isalpha() or written in "gLlhsKk%" or (written in "yYdwm" and not number.in_words)


def _with_convention(quantity: _Quantity, number: Number) -> _Quantity:
    """ "50.000 /mm3" is fifty thousand: a count of cells in so small a volume has no thousandths."""
    if number.other and quantity.unit in _PER_MICROLITRE:
        value = number.other
        return replace(quantity, value=value, other=None, repairs=(*quantity.repairs, f"{number.value} read as {value}"))
    if quantity.unit in _PER_MICROLITRE and any("," in repair for repair in number.repairs):
        return replace(quantity, problem="a comma that parts neither thousands nor decimals")
    return quantity


_PER_MICROLITRE = frozenset({"/mm3", "/uL"})


def _power_of_ten(text: str, power: re.Match[str], start: int) -> _Quantity | None:
    """ "10^9/L" on its own, which is 1 × 10^9/L; None for a plain number such as 104."""
    exponent = int(power["exp"].translate(_SUPERSCRIPT))
    certain = power["mark"] or power["open"] or power["exp"] in "⁰¹²³⁴⁵⁶⁷⁸⁹"
    gap = cast(re.Match[str], _UNIT_GAP.match(text, power.end()))
    unit = units.unit_at(text, gap.end())
    per_litre = unit is not None and unit.ucum == "/L" and exponent in (9, 12)
    if not certain and not per_litre:
        return None
    repairs = () if certain else (f"exponent {power[0]} read as 10^{exponent}",)
    end = unit.end if unit else power.end()
    return _Quantity("1", start, end, units.with_power(exponent, unit), repairs=repairs)


def _exponent(text: str, found: re.Match[str]) -> tuple[int, tuple[str, ...]]:
    """The exponent of a power as written, with the repair where its sign was lost."""
    if found["thousands"]:
        return (6 if found["thousands"].count("000") > 1 else 3), ()
    if found["scientific"] or found["apart"]:
        return int(found["scientific"] or found["apart"]), ()
    written = found["exp"] or found["lost"]
    exponent = int(written.translate(_SUPERSCRIPT))
    if found["lost"]:
        return exponent, (f"{found[0].strip()} read as × 10^{exponent}",)
    if not found["mark"] and not found["open"] and written.isascii():
        return exponent, (f"exponent 10{'' if found[0][-len(written) - 1] == '0' else ' '}{written} read as 10^{exponent}",)
    return exponent, ()


def _with_reference(text: str, quantity: _Quantity) -> _Quantity:
    """The quantity with the reference behind it: "× ULN", "% of predicted", "above baseline", "SD below the mean"."""
    if quantity.unit is None and _TIMES_UNKNOWN.match(text, quantity.end):
        quantity = replace(quantity, problem=_TIMES_WHAT)
    if not _MAY_REFER.search(text, quantity.end, quantity.end + 60):
        return quantity
    times = _TIMES.match(text, quantity.end)
    if times and quantity.unit in (None, "1") and (reference := _reference_at(text, times.end())):
        return _relative(quantity, reference, "ratio")
    if off := _OFF.match(text, quantity.end):
        reference = _reference_at(text, off.end())
        if reference and reference[0] in ("ULN", "LLN", "baseline", "normal", "predicted"):
            if quantity.unit == "%":  # "20 % above ULN" is 1.2 × ULN: a computation, not a reading
                return replace(quantity, end=reference[1], problem="a percentage above or below a reference")
            way = "" if off["way"].lower() in ("above", "over", "beyond", "greater than", "higher than", "more than") else "-"
            read = _relative(quantity, reference, "difference" if quantity.unit else "ratio")
            return replace(read, value=way + read.value, below=bool(way)) if quantity.unit else read
        return quantity
    of = cast(re.Match[str], _OF.match(text, quantity.end))
    reference = _reference_at(text, of.end())
    if not reference:
        return quantity
    if reference[0] in ("z_score", "percentile"):
        below = re.search(r"\b(?:below|under)\b", text[of.end() : reference[1]])
        read = _relative(quantity, reference, "ratio")
        return replace(read, value=f"-{read.value}", below=True) if below and not read.value.startswith("-") else read
    if quantity.unit in (None, "%", "1") and not (reference[0] == "normal" and quantity.unit is None):
        return _relative(quantity, reference, "ratio")
    if reference[0] == "normal" and quantity.unit is None and ("than" in of[0] or _NORMAL_ENDS.match(text, reference[1])):
        return replace(quantity, problem=_TIMES_WHAT)  # "> 2.5 normal"
    return quantity


_NORMAL_ENDS = re.compile(r"\s*(?:[;,.)\]]|$|(?:or|and|in|if|for|at|by|unless|based)\b)")
_MAY_REFER = re.compile(
    r"[uln]{2}|u\.l|(?-i:\bN\b)|limit|normal|baseline|predicted|expected|theoretical|cent|\bsd|s\.d|standard|range", re.IGNORECASE
)


def _relative(quantity: _Quantity, reference: tuple[str, int], relation: Literal["ratio", "difference"]) -> _Quantity:
    """The quantity relative to a reference; a bare "normal" is the upper limit where the number is above 1."""
    name, end = reference
    repairs = quantity.repairs
    problem = None if quantity.problem == _TIMES_WHAT else quantity.problem
    if name == "normal":
        name = "ULN"
        if quantity.unit == "%" or Decimal(quantity.value) <= 1:
            problem = problem or "which limit of normal is meant"
        else:
            repairs = (*repairs, "normal read as the upper limit of normal")
    return replace(
        quantity, end=end, relative_to=cast(schema.RelativeTo, name), relation=relation, repairs=repairs, problem=problem
    )


# --- tokens -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    """A stretch of the text: n(umber), c(omparator before), p(ostfix comparator), j(oiner), w(ord) or another sign."""

    kind: Literal["n", "c", "p", "j", "w", "s"]
    start: int
    end: int
    word: str = ""  # a joiner or a word in lower case; the op of a comparator
    quantity: _Quantity | None = None
    sign: bool = False  # the comparator is a sign and not a word


@cache
def _comparators(place: str) -> tuple[re.Pattern[str], tuple[Op, ...]]:
    rows = [row for row in lexicon.table("comparators") if row["place"] == place]
    pattern = "|".join(f"(?P<r{number}>{row['pattern']})" for number, row in enumerate(rows))
    return _compiled("comparators", pattern), tuple(cast(Op, row["op"]) for row in rows)


_COMPARING = frozenset(
    [
        "greater",
        "more",
        "higher",
        "larger",
        "older",
        "longer",
        "bigger",
        "better",
        "above",
        "over",
        "superior",
        "less",
        "lower",
        "smaller",
        "fewer",
        "younger",
        "shorter",
        "below",
        "under",
        "inferior",
        "equal",
        "equals",
        "not",
        "no",
        "never",
        "at",
        "a",
        "the",
        "of",
        "minimum",
        "minimally",
        "min",
        "maximum",
        "maximally",
        "max",
        "does",
        "do",
        "must",
        "should",
        "may",
        "can",
        "will",
        "shall",
        "without",
        "up",
        "strictly",
        "significantly",
        "exceed",
        "exceeds",
        "exceeded",
        "exceeding",
        "in",
        "beyond",
        "surpass",
        "surpasses",
        "surpassing",
        "beneath",
        "minimal",
        "maximal",
    ]
)
_POSTFIXED = frozenset({"or", "and", "minimum", "min", "maximum", "max", "at"})
_HANGING = re.compile(r"\s(?P<word>and|to)(?=\s\d)", re.IGNORECASE)
_AN_NUMBER = re.compile(r"an\s\d", re.IGNORECASE)
_JOINERS = frozenset({"and", "or", "to", "but", "between", "from", "through", "until", "and/or", "via"})
_WORD = re.compile(r"[^\W\d_]+(?:['’./-](?=[^\W\d_])[^\W\d_]+)*")
_NAME = re.compile(r"[\w.,/-]*[\w]")
_DASHES = "-–—−‐‑~～"
_COMPARISON_SIGNS = frozenset("<>=˂˃\uf0b3\uf0a3\uf03e\uf03c≤≥⩽⩾≦≧＜＞﹤﹥‹›≪≫≺≻⟨⟩≼≽⪯⪰≮≯＝")
_INCLUSIVE = re.compile(
    r"[(,\[]?\s?(?:both )?(?P<way>inclusive|exclusive)\b(?:ly\b)?(?: of (?:both|end ?points))?\s?[)\]]?", re.IGNORECASE
)
_REFERRING = re.compile(
    r"(?:i\.?)?u\.?l\.?n|unl\b|l\.?l\.?n|lnl\b|upper|lower|uppermost|high|highest|maximum|minimum|limit|normal|baseline",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def find(text: str) -> tuple[Threshold, ...]:
    """All comparisons of a text in order, bare numbers included; none overlap."""
    if not _GATE.search(text):
        return ()
    text = text.translate(_BLANKS)
    return tuple(_Grammar(text, list(_tokens(text))).read())


_BLANKS = dict.fromkeys(map(ord, "\u00a0\u2009\u202f\u2007\t\n"), " ")
_GATE = re.compile(
    r"\d|[<>≤≥⩽⩾≦≧＜＞˂˃\uf0b3\uf0a3\uf03e\uf03c]|\b[IiUL]*ULN|\bLLN|\bUNL|limits? of|normal|baseline|predicted|percentile"
    r"|\bASA\b|An(?:a)?esthesiolog|GMFCS|Gross Motor Function|\bMACS\b"
    r"|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|\w+teen|twelve|twenty|thirty|forty|fifty|"
    r"sixty|seventy|eighty|ninety|hundred|twice)\b",
    re.IGNORECASE,
)


def _tokens(text: str) -> Iterator[_Token]:
    at, last = 0, len(text)
    previous: _Token | None = None
    while at < last:
        character = text[at]
        if character.isspace():
            at += 1
            continue
        previous = _token_at(text, at, character, previous)
        yield previous
        at = previous.end


def _token_at(text: str, at: int, character: str, previous: _Token | None) -> _Token:
    if character.isdecimal() or (character == "." and text[at + 1 : at + 2].isdecimal()):
        return _number_token(text, at, at, previous)
    if character in _COMPARISON_SIGNS:
        regex, ops = _comparators("before")
        if found := regex.match(text, at):
            return _Token("c", at, found.end(), ops[int(str(found.lastgroup)[1:])], sign=True)
        return _Token("s", at, at + 1, character)
    if character in "(,[iIbBeE" and previous and previous.kind in "np" and (said := _INCLUSIVE.match(text, at)):
        return _Token("w", at, said.end(), said["way"].lower())
    if character.isalpha():
        return _word_token(text, at, previous)
    if character in _DASHES:
        follows = text[at + 1 : at + 2].isdecimal()
        opens = at == 0 or text[at - 1].isspace() or text[at - 1] in "([" or text[at - 1] in _COMPARISON_SIGNS
        if follows and opens and character in "-−–" and not (previous and previous.kind == "n"):
            return _number_token(text, at + 1, at, previous)
        if hanging := _HANGING.match(text, at + 1):  # "between 18- and 65 years"
            return _Token("j", at, hanging.end(), hanging["word"].lower())
        return _Token("j", at, at + 1, "to" if character in "~～" else "-")
    if character == "+":
        if previous and previous.kind == "n" and (plus := _comparators("behind")[0].match(text, at)):
            return _Token("p", at, plus.end(), "ge")
        if text[at + 1 : at + 2].isdecimal() and previous and previous.kind == "c":
            return _number_token(text, at + 1, at, previous)
        return _Token("s", at, at + 1, character)
    if character == ",":
        if previous and previous.kind == "n" and (postfix := _postfix(text, at)):
            return postfix
        return _Token("j", at, at + 1, ",")
    if character in "/&;":
        return _Token("j", at, at + 1, {"&": "and"}.get(character, character))
    if character == "(" and previous and previous.kind == "n" and (postfix := _postfix(text, at)):
        return postfix
    return _Token("s", at, at + 1, character)


def _postfix(text: str, at: int) -> _Token | None:
    regex, ops = _comparators("behind")
    found = regex.match(text, at)
    return _Token("p", at, found.end(), ops[int(str(found.lastgroup)[1:])]) if found else None


# "18y-75y", "5mg-10mg": the letters before the dash are a unit
_UNIT_BEFORE = re.compile(r"(?:^|[^\w.,-])\d[\d.,]*\s?[^\W\d_]{1,6}(?:/[^\W\d_]{1,2})?$")


def _number_token(text: str, at: int, start: int, previous: _Token | None) -> _Token:
    glued = start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_^")
    hyphened = (
        start > 1 and text[start - 1] in "-‐‑/." and text[start - 2].isalpha() and not _UNIT_BEFORE.search(text, 0, start - 1)
    )
    if not (glued and not _ends_name(text, start)) and not hyphened:
        quantity = _quantity_at(text, at, start)
        if quantity:
            return _Token("n", start, quantity.end, quantity=quantity)
    found = _NAME.match(text, at)
    return _Token("w", start, max(found.end() if found else at + 1, at + 1), "")


def _ends_name(text: str, at: int) -> bool:
    """Whether the letters before `at` are a word of their own, set too close: "age18", "x10"."""
    found = re.search(r"(?i)(?:^|[^\w])(?:aged?|ecog|bmi|than|least|to|and|or|score|x|×)$", text[max(0, at - 8) : at])
    return bool(found) or text[at - 1 : at] in "×²³"


def _word_token(text: str, at: int, previous: _Token | None) -> _Token:
    word = cast(re.Match[str], _WORD.match(text, at))
    lower = word[0].lower()
    first = lower.partition("-")[0]
    if previous and previous.kind == "n" and lower in _POSTFIXED and (postfix := _postfix(text, at)):
        return postfix
    reference = _reference_at(text, at) if previous and previous.kind == "c" and _WHOSE_WORD.match(lower) else None
    if reference and reference[0] not in ("percentile", "z_score"):
        return _reference_token(text, at, reference, previous)
    if lower in _COMPARING:
        regex, ops = _comparators("before")
        if found := regex.match(text, at):
            return _Token("c", at, found.end(), ops[int(str(found.lastgroup)[1:])])
    if lower in ("twice", "double", "triple"):
        value = "3" if lower == "triple" else "2"
        quantity = _with_reference(text, _Quantity(value, at, word.end(), in_words=True))
        if quantity.relative_to is None:
            reference = _reference_at(text, cast(re.Match[str], _OF.match(text, word.end())).end())
            quantity = (
                _relative(quantity, reference, "ratio")
                if reference and reference[0] in ("ULN", "normal", "baseline", "LLN")
                else quantity
            )
        if quantity.relative_to:
            return _Token("n", at, quantity.end, quantity=quantity)
        return _Token("w", at, word.end(), lower)
    roman = _ROMAN_AT.match(text, at) if word[0][0] in "IV" else None
    if roman and _ASA.search(text, max(0, at - 90), at):
        return _Token("n", at, roman.end(), quantity=_Quantity(_ROMAN[roman[0]], at, roman.end()))
    if first in WORDS and (number := _quantity_at(text, at, at)):
        return _Token("n", at, number.end, quantity=number)
    if _REFERRING.match(lower) and (reference := _reference_at(text, at)):
        return _reference_token(text, at, reference, previous)
    if lower == "an" and previous and previous.kind == "n" and _AN_NUMBER.match(text, at):
        return _Token("j", at, word.end(), "and")  # "between 50 an 65 years"
    if lower in _JOINERS:
        return _Token("j", at, word.end(), lower)
    return _Token("w", at, word.end(), lower)


_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
_ROMAN_AT = re.compile(r"(?:VI|IV|V|I{1,3})(?![^\W\d_])")
# instruments whose scores are written in Roman numerals
_ASA = re.compile(r"(?:\bASA\b|An(?:a)?esthesiolog|GMFCS|Gross Motor Function|\bMACS\b)[^.;]*$", re.IGNORECASE)
_WHOSE_WORD = re.compile(
    r"(?:the|its|their|an?|institution\w*|local|laboratory|lab|site|age|sex|gender|respective|reference|central|applicable|adult)\b"
)
_TIMES_BEHIND = re.compile(r"\s?[(\[]?\s?(?P<number>\d+(?:\.\d+)?)\s?(?:times|fold|x\b|×)\s?[)\]]?", re.IGNORECASE)
_ULN_FIRST = re.compile(rf"\s?(?:{_TIMES_SIGN}|times)\s?(?=[\d.])", re.IGNORECASE)


def _reference_token(text: str, at: int, reference: tuple[str, int], previous: _Token | None) -> _Token:
    """A reference without a number before it: "ULN × 3", or "> ULN", which is 1 × ULN."""
    name, end = reference
    if _AND_SO_MUCH.match(text, end):  # "> ULN + 4 seconds"
        return _Token("n", at, end, quantity=_Quantity("1", at, end, problem="a limit and so much more"))
    behind = _TIMES_BEHIND.match(text, end) if name in ("ULN", "LLN") else None
    if behind:  # "≤ ULN 1.5 times"
        quantity = _Quantity(behind["number"], at, behind.end())
        return _Token("n", at, behind.end(), quantity=_relative(quantity, (name, behind.end()), "ratio"))
    if name in ("ULN", "LLN") and (times := _ULN_FIRST.match(text, end)):
        number = number_at(text, times.end())
        if number:
            quantity = _Quantity(number.value, at, number.end, repairs=number.repairs)
            return _Token("n", at, number.end, quantity=_relative(quantity, (name, number.end), "ratio"))
    if name in ("ULN", "LLN", "baseline") and previous and previous.kind in "cw":
        quantity = _Quantity("1", at, end, relative_to=cast(schema.RelativeTo, name), relation="ratio", in_words=True)
        if previous.kind == "c" or previous.word in _COMPARED:
            return _Token("n", at, end, quantity=quantity)
    if name == "normal" and previous and previous.kind == "c" and previous.word in ("gt", "lt", "ge", "le"):
        upper = previous.word in ("gt", "ge", "le")
        limit: schema.RelativeTo = "ULN" if upper else "LLN"
        repair = f"normal read as the {'upper' if upper else 'lower'} limit of normal"
        quantity = _Quantity("1", at, end, relative_to=limit, relation="ratio", in_words=True, repairs=(repair,))
        return _Token("n", at, end, quantity=quantity)
    return _Token("w", at, end, "normal" if name == "normal" else "")


_AND_SO_MUCH = re.compile(r"\s?\+\s?\d")
_COMPARED = frozenset({"the", "its", "their", "institutional", "of"})


# --- the grammar ------------------------------------------------------------------------------------------------------

_FILLERS = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "age",
        "ages",
        "aged",
        "approximately",
        "about",
        "around",
        "approx",
        "score",
        "scores",
        "total",
        "value",
        "values",
        "level",
        "levels",
        "roughly",
        "only",
        "any",
        "full",
        "is",
        "are",
        "to",
        "be",
        "at",
        "least",
        "or",
        "equal",
        "grade",
        "period",
        "circa",
        "ca",
        "year",
        "years",
    ]
) - {"or", "year", "years"}
_OLD = re.compile(r"\b(?:older|younger)\b", re.IGNORECASE)
_OUT_OF = re.compile(r"\s?/\s?(?:5|10|15|28|30|40|42|56|60|63|75|100)\b(?![/.,]?\d)")
_AGES = frozenset({"age", "ages", "aged"})


class _Grammar:
    """Reads the tokens of one text from left to right."""

    def __init__(self, text: str, tokens: Sequence[_Token]) -> None:
        self._text = text
        self._tokens = tokens

    def read(self) -> Iterator[Threshold]:
        """The thresholds in text order."""
        at = 0
        while at < len(self._tokens):
            found, after = self._expression(at)
            yield from found
            at = max(after, at + 1)

    def _expression(self, at: int) -> tuple[tuple[Threshold, ...], int]:
        token = self._tokens[at]
        if token.kind == "j" and token.word in ("between", "from"):
            return self._between(at)
        if token.kind == "c":
            return self._compared(at)
        if token.kind == "n":
            return self._number_first(at, at)
        return (), at + 1

    # -- small steps over the tokens --

    def _is(self, at: int, kind: str, *words: str) -> bool:
        if at >= len(self._tokens):
            return False
        token = self._tokens[at]
        return token.kind == kind and (not words or token.word in words)

    def _quantity(self, at: int) -> _Quantity:
        return cast(_Quantity, self._tokens[at].quantity)

    def _past_fillers(self, at: int) -> tuple[int, bool]:
        """The first token behind words such as "the age of", and whether they speak of age."""
        first, age = at, False
        while at < len(self._tokens) and at < first + 5:
            token = self._tokens[at]
            if not (token.kind == "w" and token.word in _FILLERS) and not (
                token.kind == "s" and token.word in ":~≈(±" and token.word != "±"
            ):
                break
            age = age or token.word in _AGES
            at += 1
        return at, age

    def _past_inclusive(self, at: int) -> tuple[int, bool | None]:
        """Behind "(inclusive)", and what it says of the bounds; None where nothing is said."""
        if not self._is(at, "w", "inclusive", "exclusive"):
            return at, None
        return at + 1, self._tokens[at].word == "inclusive"

    # -- expressions --

    def _between(self, at: int) -> tuple[tuple[Threshold, ...], int]:
        """ "between 7 and 10 %", "from 18 to 75 years"."""
        first, age = self._past_fillers(at + 1)
        low_op: Op = "ge"
        if self._is(first, "c", "ge", "gt"):
            low_op = cast(Op, self._tokens[first].word)
            first, more = self._past_fillers(first + 1)
            age = age or more
        if not self._is(first, "n"):
            return (), at + 1
        if re.search(r"\bnot\s$", self._text[: self._tokens[at].start]):
            return (), at + 1
        found = self._range_from(first, self._tokens[at].start, low_op, ("and", "to", "-", "until", "through", "&"), age)
        if found:
            return found
        if self._tokens[at].word == "from":
            return (), at + 1
        quantity = self._quantity(first)
        return (Threshold(self._tokens[at].start, quantity.end, form="bare", problem='"between" with one number'),), first + 1

    def _compared(self, at: int) -> tuple[tuple[Threshold, ...], int]:
        """A comparator and its number: "≥ 1.5", "over the age of 18", "<= 140/90 mmHg"."""
        token = self._tokens[at]
        op = cast(Op, token.word)
        again = self._is(at + 1, "s", "(") and self._is(at + 2, "c", op) and self._is(at + 3, "s", ")")
        number, age = self._past_fillers(at + 4 if again else at + 1)  # "greater than or equal to (≥) 18"
        if self._is(number, "c") and number <= at + 1:  # "at least ≥ 18"
            second = cast(Op, self._tokens[number].word)
            if second[0] == op[0] or op == "eq":
                return self._compared_from(number, token.start, second)
        if not self._is(number, "n"):
            return (), at + 1
        if op == "eq":
            found, after = self._number_first(number, at)
            return tuple(replace(threshold, equals=threshold.form == "bare") for threshold in found), after
        return self._bounded(token.start, op, number, age)

    def _compared_from(self, at: int, start: int, op: Op) -> tuple[tuple[Threshold, ...], int]:
        number, age = self._past_fillers(at + 1)
        if not self._is(number, "n"):
            return (), at + 1
        return self._bounded(start, op, number, age)

    def _bounded(self, start: int, op: Op, number: int, age: bool) -> tuple[tuple[Threshold, ...], int]:
        quantity = self._quantity(number)
        if pair := self._pair(number, start, op):
            return pair
        age = age or _OLD.search(self._text, start, quantity.start) is not None
        threshold = _bound(op, quantity, start, age)
        after = number + 1
        again = self._is(after, "c", op) and self._is(after + 1, "n") and not quantity.unit
        if again and self._text[quantity.end : self._tokens[after].start].isspace():
            return (replace(threshold, end=self._quantity(after + 1).end, problem="two comparisons side by side"),), after + 2
        other = self._quantity(after + 1) if self._is(after, "j", "/") and self._is(after + 1, "n") else None
        split = other is not None and other.start == quantity.end + 1 and not _OUT_OF.match(self._text, quantity.end)
        if other and split:
            return (replace(threshold, end=other.end, problem="a fraction, or two numbers in one"),), after + 2
        if self._is(after, "n") and self._text[quantity.end : self._tokens[after].start].isspace():
            return (replace(threshold, end=self._tokens[after].end, problem="two numbers side by side"),), after + 1
        if quantity.unit is None and (scale := _OUT_OF.match(self._text, quantity.end)):
            threshold = replace(threshold, end=scale.end())  # "≥ 4/10"
            while after < len(self._tokens) and self._tokens[after].start < scale.end():
                after += 1
        if self._is(after, "j", "-", "to") and self._is(after + 1, "n") and self._quantity(after + 1).start > quantity.end - 1:
            found = self._range_from(number, start, op, ("-", "to"), age) if op in ("ge", "gt") else None
            bare = self._is(after + 1, "n")
            if found and bare and not (found[0][0].age or found[0][0].unit == "a"):
                # "≥ 50-100 × 10^9/L": a lower bound that depends on something, or a range
                found = (
                    tuple(replace(one, problem=one.problem or "a lower bound with a range behind it") for one in found[0]),
                    found[1],
                )
            if found:
                return found
            second = self._quantity(after + 1)
            if op in ("le", "lt") and self._tokens[after].word == "-" and not _far(self._text, quantity.end, second.start):
                problem = "an upper bound with a range behind it"
                return (replace(threshold, end=second.end, problem=problem),), after + 2
        if self._is(after, "p"):
            word = cast(Op, self._tokens[after].word)
            if word[0] != op[0]:
                threshold = replace(threshold, problem="two comparators that contradict each other")
            threshold = replace(threshold, end=self._tokens[after].end)
            threshold = replace(threshold, plus=self._text[threshold.end - 1] == "+")
            after += 1
        return self._extended(threshold, after)

    def _number_first(self, at: int, opened: int) -> tuple[tuple[Threshold, ...], int]:
        """What begins with a number: "18 or older", "7-10 %", "0, 1 or 2", "160/100 mmHg", "18 ≤ age"."""
        start = self._tokens[opened].start
        quantity = self._quantity(at)
        after, _ = self._past_inclusive(at + 1)
        if pair := self._pair(at, start, None):
            return pair
        if quantity.unit is None and (scale := _OUT_OF.match(self._text, quantity.end)):
            at_end = after
            while at_end < len(self._tokens) and self._tokens[at_end].start < scale.end():
                at_end += 1
            after = at_end if self._is(at_end, "p") else after  # "4/10 or more"
        if self._is(after, "p"):
            old = _OLD.search(self._text, quantity.end, self._tokens[after].end) is not None
            threshold = replace(_bound(cast(Op, self._tokens[after].word), quantity, start, old), end=self._tokens[after].end)
            threshold = replace(threshold, plus=self._text[threshold.end - 1] == "+")
            threshold, after = self._unit_behind(threshold, after + 1)
            return self._extended(threshold, after)
        if pair := self._pair(at, start, None):
            return pair
        second = self._quantity(at + 2) if self._is(at + 1, "j", "/") and self._is(at + 2, "n") else None
        if second and second.start == quantity.end + 1 and len(quantity.value) > 1:  # a visual acuity, a date
            return (Threshold(start, second.end, form="bare", problem="a fraction"),), at + 3
        if found := self._range_from(at, start, "ge", ("-", "to", "through", "until"), False):
            return found
        compares = self._is(after, "c", "ge", "gt", "le", "lt") and self._tokens[after].sign
        if compares and (self._is(after + 1, "w") or self._is(after + 1, "s", "(", "[")):
            op = _MIRROR[cast(Op, self._tokens[after].word)]
            threshold = _bound(op, quantity, start, False)
            return (replace(threshold, end=self._tokens[after].end, reversed=True),), after + 1
        if found := self._list(at, start):
            return found
        threshold = _bound("ge", quantity, start, False)
        return (replace(threshold, form="bare", high=None, low=threshold.low, end=quantity.end),), at + 1

    def _unit_behind(self, threshold: Threshold, after: int) -> tuple[Threshold, int]:
        """ "18+ years old", "two or more years": the unit behind the comparator."""
        gap = cast(re.Match[str], _UNIT_GAP.match(self._text, threshold.end))
        unit = units.unit_at(self._text, gap.end()) if threshold.unit is None and threshold.relative_to is None else None
        if unit is None or unit.ucum not in TIME_UNITS or unit.end - unit.start < 2:
            return threshold, after
        age = _AGE.match(self._text, unit.end)
        end = max(age.end(), unit.end) if age else unit.end
        while after < len(self._tokens) and self._tokens[after].start < end:
            after += 1
        return replace(threshold, unit=unit.ucum, end=end, age=threshold.age or age is not None), after

    def _range_from(
        self, at: int, start: int, low_op: Op, joiners: tuple[str, ...], age: bool
    ) -> tuple[tuple[Threshold, ...], int] | None:
        """The range that begins with the number at `at`: two numbers with a joiner, a comparator of the second allowed."""
        low = self._quantity(at)
        joint, inclusive = self._past_inclusive(at + 1)
        high_op: Op = "le"
        if self._is(joint, "j", *joiners):
            second, more = self._past_fillers(joint + 1)
            age = age or more
            if self._is(second, "c", "le", "lt"):
                high_op = cast(Op, self._tokens[second].word)
                second, more = self._past_fillers(second + 1)
        elif self._is(joint, "c", "le") and self._text[self._tokens[joint].start :][:2].lower() == "up":
            second = joint + 1
        else:
            return None
        if not self._is(second, "n") or _far(self._text, low.end, self._tokens[second].start):
            return None
        high = self._quantity(second)
        if low.in_words != high.in_words and joiners[0] == "-" and self._tokens[joint].word == "-":
            return None
        after, both = self._past_inclusive(second + 1)
        end = self._tokens[after - 1].end
        if both is not None and not inclusive:
            inclusive = both
        bottom, top = _bound(low_op, low, start, age), _bound(high_op, high, high.start, age)
        if inclusive is not None:
            bottom = replace(bottom, low=replace(cast(Bound, bottom.low), inclusive=inclusive))
            top = replace(top, high=replace(cast(Bound, top.high), inclusive=inclusive))
        if low.unit and high.unit and low.unit != high.unit and low.unit in TIME_UNITS and high.unit in TIME_UNITS:
            age = bottom.age or top.age
            return (replace(bottom, end=high.start, age=age), replace(top, end=end, age=age)), after
        whole = merged(bottom, top)
        if whole is None:
            return None
        if re.match(r"\s?/\s?\d", self._text[end : end + 4]) and not _OUT_OF.match(self._text, end):
            whole = replace(whole, problem="two ranges of one measurement")
        return (replace(whole, form="range", end=end),), after

    def _list(self, at: int, start: int) -> tuple[tuple[Threshold, ...], int] | None:
        """ "0, 1 or 2": whole numbers without units, the last one excepted."""
        members, last = [self._quantity(at)], at
        while True:
            step = last + 1
            while self._is(step, "j", ",", "or", "/", "and", "and/or") and step <= last + 2:
                step += 1
            if step == last + 1 or not self._is(step, "n") or self._is(step + 1, "c") or self._is(step + 1, "p"):
                break
            members.append(self._quantity(step))
            last = step
        whole = all(member.relative_to is None and not member.value.startswith("-") for member in members)
        if len(members) < 2 or not whole or any(member.unit for member in members[:-1]):
            return None
        values = tuple(member.value for member in members)
        final = members[-1]
        if len(members) == 2 and final.age and self._tokens[last - 1].word == "and":
            span = merged(_bound("ge", members[0], start, True), _bound("le", final, final.start, True))
            if span and not span.problem:
                return (replace(span, repairs=(*span.repairs, '"and" between two ages read as "to"')),), last + 1
        return (Threshold(start, final.end, unit=final.unit, values=values, form="list", age=final.age),), last + 1

    def _pair(self, at: int, start: int, op: Op | None) -> tuple[tuple[Threshold, ...], int] | None:
        """ "160/100 mmHg": two numbers of one measurement, the same comparison for both."""
        if not self._is(at + 1, "j", "/") or not self._is(at + 2, "n"):
            return None
        first, second = self._quantity(at), self._quantity(at + 2)
        sane = first.unit in (None, "mm[Hg]") and second.unit in (None, "mm[Hg]") and "." not in first.value + second.value
        if (
            not sane
            or not 60 <= int(first.value) <= 300
            or not 30 <= int(second.value) <= 200
            or int(first.value) <= int(second.value)
        ):
            return None
        after, end = at + 3, second.end
        if op is None and self._is(after, "p"):
            op, end, after = cast(Op, self._tokens[after].word), self._tokens[after].end, after + 1
        if op is None:
            return (Threshold(start, end, low=Bound(first.value, True), unit="mm[Hg]", form="bare"),), after
        unit = second.unit or first.unit
        systolic, diastolic = _bound(op, first, start, False), _bound(op, second, second.start, False)
        whole = replace(systolic, end=end, unit=unit, form="pair", second=replace(diastolic, unit=unit, end=end))
        return (whole,), after

    def _extended(self, threshold: Threshold, after: int) -> tuple[tuple[Threshold, ...], int]:
        """The threshold with the other end of its range, where that follows: "≥ 7 % and ≤ 10 %", "18 or older but under 65"."""
        step = after
        while self._is(step, "j", "and", "but", "to", "-", ",", ";", "&") and step <= after + 1:
            step += 1
        joined = step > after
        second: Threshold | None = None
        end = step
        if self._is(step, "c", "ge", "gt", "le", "lt"):
            number, age = self._past_fillers(step + 1)
            if self._is(number, "n") and not self._pair(number, 0, "ge"):
                second = _bound(cast(Op, self._tokens[step].word), self._quantity(number), self._tokens[step].start, age)
                end = number + 1
        elif joined and self._is(step, "n") and self._is(step + 1, "p"):
            op = cast(Op, self._tokens[step + 1].word)
            second = replace(_bound(op, self._quantity(step), self._tokens[step].start, False), end=self._tokens[step + 1].end)
            end = step + 2
        if second and not _far(self._text, threshold.end, second.start) and (whole := merged(threshold, second)):
            threshold, after = replace(whole, form="range"), end
        behind, inclusive = self._past_inclusive(after)
        if inclusive is not None:
            threshold = replace(
                threshold,
                end=self._tokens[behind - 1].end,
                low=threshold.low and replace(threshold.low, inclusive=inclusive),
                high=threshold.high and replace(threshold.high, inclusive=inclusive),
            )
            after = behind
        return (threshold,), after


def _far(text: str, start: int, end: int) -> bool:
    """Whether more than joiners and comparators lies between two numbers of a range."""
    return end - start > 60 or "." in text[start:end].strip(" .").replace("e.g.", "")


def _bound(op: Op, quantity: _Quantity, start: int, age: bool) -> Threshold:
    """The half-open range of a comparator and its number."""
    way: Literal["", "better", "worse"] = op if op == "better" or op == "worse" else ""
    if quantity.below:  # "≥ 2 SD below the mean" lies at or under -2
        op = _MIRROR[op]
    end = Bound(quantity.value, op in ("ge", "le", "eq") or bool(way))
    upward = op in ("ge", "gt", "eq") or bool(way)
    return Threshold(
        start,
        quantity.end,
        low=end if upward else None,
        high=None if upward else end,
        unit=quantity.unit,
        relative_to=quantity.relative_to,
        relation=quantity.relation,
        age=age or quantity.age,
        way=way,
        repairs=quantity.repairs,
        problem=quantity.problem,
    )


def merged(first: Threshold, second: Threshold) -> Threshold | None:
    """The range of two bounds that face each other; None where they do not, or speak of different things."""
    if bool(first.low) == bool(second.low) or bool(first.high) == bool(second.high):
        return None
    if first.unit and second.unit and second.unit.startswith(f"{first.unit}/"):
        first = replace(first, unit=second.unit, repairs=(*first.repairs, f"the unit is that of the second bound, {second.unit}"))
    unit, reference = first.unit or second.unit, first.relative_to or second.relative_to
    same_unit = first.unit == second.unit or None in (first.unit, second.unit)
    if not same_unit or (first.relative_to and second.relative_to and first.relative_to != second.relative_to):
        return None
    if (first.relative_to is None) != (second.relative_to is None) and (
        first.unit not in (None, "%") or second.relative_to is None
    ):
        return None
    low, high = cast(Bound, first.low or second.low), cast(Bound, first.high or second.high)
    problem = first.problem or second.problem
    bottom, top = Decimal(low.value), Decimal(high.value)
    if bottom > top or (bottom == top and not (low.inclusive and high.inclusive)):
        problem = problem or "an empty range"
    return Threshold(
        first.start,
        second.end,
        low,
        high,
        unit,
        reference,
        first.relation or second.relation,
        form="range",
        age=first.age or second.age,
        repairs=tuple(dict.fromkeys((*first.repairs, *second.repairs))),
        problem=problem,
    )

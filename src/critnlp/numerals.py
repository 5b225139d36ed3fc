"""Numbers as the registry writes them: "1,500", "7,5", "50.000", "100 000", ".5", "twenty-four", "two (2)".

`number_at` gives the value as a plain decimal, what was mended, and the other reading where the marks allow two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = {word: number for number, word in enumerate(_UNITS)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the text: its value as a plain decimal, its place, and what was mended to read it."""

    value: str
    start: int
    end: int
    repairs: tuple[str, ...] = ()
    other: str | None = None  # "1.500" is 1.5 by its mark and 1500 in the continental convention
    in_words: bool = False


_BLANKS = " \u00a0\u2009\u202f\u2007"
_DIGITS = re.compile(
    rf"(?P<commas>\d{{1,3}}(?:,\d{{3}})+(?!\d|,\d))(?P<rest>[.·]\d+)?"
    r"|(?P<parted>[1-9]\d{0,2},\s000(?:,\s?000)?)(?!\d)"
    rf"|(?P<apostrophes>\d{{1,3}}(?:['’]\d{{3}})+(?!\d))"
    rf"|(?P<dots>[1-9]\d{{0,2}}(?:\.\d{{3}})+)(?![\d.]*\d)(?:,(?P<after>\d+)(?![\d,]))?"
    # "100 109/L" is a power whose sign was lost, and no thousand
    rf"|(?P<blanks>[1-9]\d{{0,2}}(?:[{_BLANKS}]\d{{3}})+(?<![{_BLANKS}]109)(?![\d,.]*\d))"
    r"|(?P<comma>(?<!\d,)\d+,\d{1,2}(?!\d|,\d))"
    r"|(?P<middle>\d+·\d+)"
    r"|(?P<plain>(?>\d+(?:\.\d+)?|\.\d+))(?!\.{1,2}\d)(?:\s(?P<half>1/2|½)|(?P<half2>½))?"
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_TEN = "|".join(_TENS)
_ONE = "|".join(_UNITS[1:10])
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_WORD = re.compile(
    rf"(?:(?P<tens>{_TEN})(?:[-\s](?P<ones>{_ONE}))?|(?P<unit>{_UNIT}))"
    r"(?P<hundred>\s(?:hundred)(?:\s(?:and\s)?(?P<more>\w+(?:-\w+)?))?)?\b",
    re.IGNORECASE,
)
_THOUSAND = re.compile(r"\sthousand\b", re.IGNORECASE)
_FRACTION = re.compile(r"[-\s](?:thirds?|half(?!-?\s?li)|halves|quarters?|fourths?|fifths?|tenths?)\b", re.IGNORECASE)
_HALF = re.compile(r"\sand\s(?:a|one)[-\s]half\b", re.IGNORECASE)
_BRACKET = re.compile(r"\s?[(\[]\s?(?P<inside>[\w.,-]{1,14})\s?[)\]]")


def number_at(text: str, at: int) -> Number | None:
    """The number that begins exactly at `at`, with a bracket that repeats it ("six (6)"); None where none does.

    Powers and units behind it are not read here, and what stands before `at` is the caller's affair.
    """
    first = text[at : at + 1]
    if first.isdecimal() or (first == "." and text[at + 1 : at + 2].isdecimal()):
        number = _in_digits(text, at)
    elif first.isalpha():
        number = _in_words(text, at)
    else:
        return None
    return _with_bracket(text, number) if number else None


def _in_digits(text: str, at: int) -> Number | None:
    found = _DIGITS.match(text, at)
    if not found or (not found[0].isascii() and not found["blanks"] and not found["middle"] and not found["apostrophes"]):
        return None
    end = found.end()
    if _ORDINAL.match(text, end):
        return None
    written = found[0]
    if found["commas"]:
        whole = found["commas"].replace(",", "")
        if whole.startswith("0"):  # "0,125" can be no thousand
            if written.count(",") > 1 or found["rest"]:
                return None
            value = written.replace(",", ".")
            return Number(value, at, end, (f"{written} read as {value}",))
        return Number(whole + (found["rest"] or "").replace("·", "."), at, end)
    if found["parted"]:
        value = re.sub(r"[,\s]", "", written)
        return Number(value, at, end, (f"{written} read as {value}",))
    if found["apostrophes"]:
        return Number(re.sub(r"['’]", "", written), at, end)
    if found["dots"]:
        whole = found["dots"].replace(".", "")
        if found["after"] or found["dots"].count(".") > 1:
            value = whole + (f".{found['after']}" if found["after"] else "")
            return Number(value, at, end, (f"{written} read as {value}",))
        return Number(written, at, end, other=whole)
    if found["blanks"]:
        value = re.sub(r"\s", "", written)
        return Number(value, at, end, (f"{written} read as {value}",))
    if found["comma"] or found["middle"]:
        value = re.sub("[,·]", ".", written)
        return Number(value, at, end, (f"{written} read as {value}",) if found["comma"] else ())
    whole = found["plain"]
    value = f"0{whole}" if whole.startswith(".") else whole
    if end > found.end("plain"):
        return Number(f"{value}.5", at, end) if "." not in value else None  # "2.5 1/2" is no number
    return Number(value, at, end)


def _in_words(text: str, at: int) -> Number | None:
    found = _WORD.match(text, at)
    if not found:
        return None
    value = WORDS[(found["tens"] or found["unit"]).lower()] + (WORDS[found["ones"].lower()] if found["ones"] else 0)
    if _FRACTION.match(text, found.end()):
        return None  # "two thirds"
    end = found.end("ones") if found["ones"] else found.end("tens") if found["tens"] else found.end("unit")
    if found["hundred"]:
        end = at + len(re.match(r"\S+\s\S+", text[at:])[0])  # type: ignore[index]  # "hundred" is the second word
        value *= 100
        more = _WORD.fullmatch(found["more"]) if found["more"] else None
        if more and not more["hundred"]:
            value += WORDS[(more["tens"] or more["unit"]).lower()] + (WORDS[more["ones"].lower()] if more["ones"] else 0)
            end = found.end("more")
    if thousand := _THOUSAND.match(text, end):
        value, end = value * 1000, thousand.end()
    if half := _HALF.match(text, end):
        return Number(f"{value}.5", at, half.end(), in_words=True)
    return Number(str(value), at, end, in_words=True)


def _with_bracket(text: str, number: Number) -> Number:
    """The number with the bracket right behind it, where that repeats it in digits or in words."""
    bracket = _BRACKET.match(text, number.end)
    if not bracket:
        return number
    inside = _in_words(bracket["inside"], 0) or _in_digits(bracket["inside"], 0)
    if not inside or inside.end != len(bracket["inside"]) or inside.in_words == number.in_words:
        return number
    if inside.value != number.value:
        return number
    return Number(number.value, number.start, bracket.end(), number.repairs, number.other, number.in_words)

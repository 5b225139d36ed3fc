"""Which abbreviations a trial defines, and what they stand for.

    find(texts, make_doc)   the definitions in the clean texts of a trial's criteria, in text order

The Schwartz-Hearst search is scispaCy's; critnlp adds the doubts, because a wrong pair spreads over a whole trial.
Without scispaCy nothing is found, and `available` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc

_NUMBER = re.compile(r"[<>≤≥=%]|\d+(?:\.\d+)?\s?(?:[mkµ]?g|[md]?l|[mc]m|m?sec|ms|years?|days?|weeks?|months?)\b", re.IGNORECASE)
_SHORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9/&+.-]{0,8}[A-Za-z0-9]")
_CUES = frozenset(["e.g", "i.e", "eg", "ie", "etc", "or", "and", "vs", "see"])


@dataclass(frozen=True, slots=True)
class Definition:
    """A short form and what it stands for; the spans are those of the clean text of criterion `criterion`."""

    short: str
    long: str
    criterion: str
    short_span: tuple[int, int]
    long_span: tuple[int, int]


@cache
def available() -> bool:
    """Whether scispaCy is installed, so that this layer is at work."""
    return find_spec("scispacy") is not None


def looks_short(text: str) -> bool:
    """Whether `text` looks like an abbreviation and no word: 2-10 characters, with capitals or digits."""
    if not _SHORT.fullmatch(text) or not text[0].isalpha() or text.lower().strip(".") in _CUES:
        return False
    # A lone initial capital is how any word begins a sentence; "Hb" and "Ig" are short enough to be no sentence's word.
    marks = sum(letter.isupper() or letter.isdigit() for letter in text)
    return marks >= 2 or (marks == 1 and (not text[0].isupper() or len(text) <= 3)) or text.isupper()


def spells(short: str, long: str) -> bool:
    """Whether the letters of `short` occur in `long` in this order, the first one as the first letter of `long`."""
    letters = iter(long.lower())
    wanted = [letter for letter in singular(short).lower() if letter.isalnum()]
    return bool(wanted) and long[:1].lower() == wanted[0] and all(letter in letters for letter in wanted)


def singular(short: str) -> str:
    """A short form without the plural "s" behind its capitals: "NSAIDs" is "NSAID"."""
    return short[:-1] if len(short) > 2 and short.endswith("s") and short[-2].isupper() else short


def plausible(text: str, short: tuple[int, int], long: tuple[int, int]) -> bool:
    """Whether the pair that these spans of `text` name can be a definition."""
    short_form, long_form = text[slice(*short)], text[slice(*long)]
    words = len(long_form.split())
    first, second = sorted((short, long))
    return (
        looks_short(short_form)
        and len(long_form) > len(short_form)
        and words <= min(len(short_form) + 5, 2 * len(short_form))
        and not _NUMBER.search(long_form)
        and _balanced(long_form)
        and long_form[0].isalnum()
        and (long_form[-1].isalnum() or long_form[-1] == ")")
        and not text[: long[0]][-1:].isalnum()
        # What stands between the two is the bracket alone.
        and re.fullmatch(r"\s*\(\s*", text[first[1] : second[0]]) is not None
    )


def _balanced(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if depth < 0:
            return False
    return depth == 0


def _brackets(doc: Doc) -> Iterator[tuple[int, int, int]]:
    """Every bracketed stretch of up to eight tokens as (match id, start, end), as scispaCy's matcher gives them."""
    words = [token.text for token in doc]
    for start, word in enumerate(words):
        if word == "(":
            for end in range(start + 2, min(start + 10, len(words))):
                if words[end] == ")":
                    yield 0, start + 1, end


def find(texts: Mapping[str, str], make_doc: Callable[[str], Doc]) -> tuple[Definition, ...]:
    """The definitions in `texts` (criterion id → clean text), in text order.

    Only texts with a bracket are tokenised: nothing else can define.
    """
    if not available():
        return ()
    from scispacy.abbreviation import filter_matches, find_abbreviation

    found: list[Definition] = []
    for criterion, text in texts.items():
        if "(" not in text:
            continue
        doc = make_doc(text)
        in_text: dict[tuple[int, int], Definition] = {}
        for long_candidate, short_candidate in filter_matches(list(_brackets(doc)), doc):
            short, long = find_abbreviation(long_candidate, short_candidate)
            if long is None or not len(long):
                continue
            short_span, long_span = (short.start_char, short.end_char), (long.start_char, long.end_char)
            if plausible(text, short_span, long_span):
                in_text.setdefault(short_span, Definition(short.text, long.text, criterion, short_span, long_span))
        found += sorted(in_text.values(), key=lambda definition: definition.short_span)
    return tuple(found)

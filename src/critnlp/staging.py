"""Stages, grades and classes of disease as ordered sets: "stage IIIB-IV", "T3 or resectable T4", "NYHA class > II".

`find` is deterministic. The systems, their names and their ordered members are rows of `resources/staging.csv`; this module
holds the grammar: a name or the word "stage", "grade" or "class", comparators, and a list or range of members.

What the values mean, so that a matcher can act on them:

- A member stands for itself and everything below it: "stage III" is `("III",)`, and IIIA, IIIB and IIIC count (`covers`).
- A range, a comparator and "any" are expanded at the level at which they are written: "IIIB-IV" is IIIB, IIIC, IV;
  "> stage IIIA" is IIIB, IIIC, IV; "≤ grade 1" is 0, 1. A parent is never opened where it lies whole within the range.
- Alternatives are a union, two comparators joined by "and" an intersection.
- Where no system is written and none is certain (`stage`, `grade`, `class`) the set is the widest in use: a member that the
  patient's own system lacks is a stage that no patient has. Roman and Arabic are one there, "stage 3" is III and "grade II" is 2.
  A member that one disease alone has (IIID of melanoma) counts where the text names it.
- A system that is not written is given only where what is staged leaves no other: NYHA for a class of heart failure, CKD for a
  stage of kidney disease, CTCAE for a grade of toxicity, WHO for a grade of glioma.
- "Limited" and "extensive" stage are members of `stage` by name. Scored instruments (ASA, ECOG, Child-Pugh points) are none.
- What cannot be read with certainty ("classes II IV", "Gleason 4+4=7") has `values == ()` and says why in `problem`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import NamedTuple

from critnlp import lexicon
from critnlp.lexicon import Row


@dataclass(frozen=True, slots=True)
class Staging:
    """One mention of a stage, grade or class; `start` and `end` are half-open in the text given."""

    start: int
    end: int
    system: str
    values: tuple[str, ...]
    edition: str | None = None
    prefix: str | None = None
    qualifiers: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    problem: str | None = None


# --- the systems ------------------------------------------------------------------------------------------------------

_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
_WORDS = {"ZERO": "0", "ONE": "1", "TWO": "2", "THREE": "3", "FOUR": "4", "FIVE": "5"}
_KEY = re.compile(r"(IV|VI|V|III|II|I|\d+(?:\.\d)?)(.*)")


@lru_cache(maxsize=4096)
def _key(written: str, prefix: str) -> str:
    """The form in which spellings are compared: "IIIb", "3B" and (with the prefix G) "G3b" are all "3B"."""
    word = re.sub(r"[\s-]", "", written.upper()) if "+" not in written else re.sub(r"\s", "", written)
    word = _WORDS.get(word, word)
    if prefix and word.startswith(prefix):
        word = word[len(prefix) :]
    match = _KEY.fullmatch(word)
    return _ROMAN.get(match[1], match[1]) + match[2] if match else word


_KINDS = ("stag", "grad", "class", "categor", "group")  # how the words begin that make a name's members certain


@dataclass(frozen=True, slots=True)
class _Node:
    value: str
    first: int  # the leaves that it covers, as positions in the order
    last: int
    parents: tuple[int, ...]  # from the outermost inwards
    only: re.Pattern[str] | None  # counts only in a text that this finds


@dataclass(frozen=True, slots=True, eq=False)  # each is one of its kind, so that it can key a cache
class _System:
    name: str
    words: frozenset[str]
    word: str  # the first of the words: what the system's members are called
    bare: str
    prefix: str
    nodes: tuple[_Node, ...]  # parents before their members
    keys: dict[str, int]
    letters: bool
    conditions: tuple[re.Pattern[str], ...]  # on which some members count

    def read(self, written: str) -> int | None:
        """The member that is written so, as a position in `nodes`."""
        return self.keys.get(_key(written, self.prefix))

    def leaves(self, low: int, high: int, text: str, *written: int) -> tuple[str, ...]:
        """The members from leaf `low` to leaf `high`, none above the level of the members that are written."""
        opened = {parent for index in written for parent in self.nodes[index].parents}
        chosen: set[int] = set()
        passed = set[int]()  # members that do not count in this text, nor what they hold
        for index, node in enumerate(self.nodes):
            if node.first < low or node.last > high or node.first < 0 or index in opened or not chosen.isdisjoint(node.parents):
                continue
            counts = node.only is None or index in written or bool(node.only.pattern and node.only.search(text))
            (chosen if counts and passed.isdisjoint(node.parents) else passed).add(index)
        return tuple(self.nodes[index].value for index in sorted(chosen))

    def expand(
        self, low: int | None, high: int | None, text: str, *, open_low: bool = False, open_high: bool = False
    ) -> tuple[str, ...]:
        """The members between two of them, `None` being the end of the order, `open_*` leaving the bound itself out."""
        written = [index for index in (low, high) if index is not None]
        if any(self.nodes[index].first < 0 for index in written):
            return ()  # a member outside the order has no neighbours
        first = 0 if low is None else self.nodes[low].last + 1 if open_low else self.nodes[low].first
        last = (
            max(node.last for node in self.nodes)
            if high is None
            else self.nodes[high].first - 1
            if open_high
            else self.nodes[high].last
        )
        return self.leaves(first, last, text, *written)


_ITEM = re.compile(r"([^<\[\];{}]+)(?:\{([^}]*)\})?|([<\[\];])")


def _order(values: str, prefix: str) -> tuple[tuple[_Node, ...], dict[str, int]]:
    """The members of a `values` cell in their order, and their positions by key."""
    made: list[tuple[str, list[int], tuple[int, ...], re.Pattern[str] | None]] = []
    stack: list[int] = []
    leaf, outside, last = 0, False, -1
    tokens = list(_ITEM.finditer(values))
    if "".join(match[0] for match in tokens) != values:
        raise ValueError(f"values {values!r} hold a character that has no meaning there")
    for number, match in enumerate(tokens):
        if match[3] is None:
            following = tokens[number + 1][0] if number + 1 < len(tokens) else ""
            last = len(made)
            span = [-1, -1] if outside else [leaf, leaf]
            made.append((match[1], span, tuple(stack), None if match[2] is None else re.compile(match[2])))
            if following != "[" and not outside:
                for parent in stack:
                    made[parent][1][1] = leaf
                leaf += 1
        elif match[0] == "[":
            stack.append(last)
        elif match[0] == "]":
            stack.pop()
        elif match[0] == ";":
            outside = True
    nodes = tuple(_Node(value, span[0], span[1], parents, only) for value, span, parents, only in made)
    return nodes, {_key(node.value, prefix): index for index, node in enumerate(nodes)}


def _system(row: Row) -> _System:
    first = row["values"][:1]
    nodes, _ = _order(row["values"], "")
    shared = first if first in "GFTNMC" and first and all(node.value.startswith(first) for node in nodes) else ""
    nodes, keys = _order(row["values"], shared)
    words = [word for word in row["words"].split("|") if word]
    words += [kind for kind in _KINDS if any(word.startswith(kind) for word in words)]
    if row["bare"] not in ("", "any", "roman", "letter"):
        raise ValueError(f"bare is {row['bare']!r}; any, roman and letter are known")
    letters = any(key[:1] in "ABCD" for key in keys if key) and not shared
    conditions = tuple({node.only for node in nodes if node.only is not None and node.only.pattern})
    return _System(
        row["system"], frozenset(words), words[0] if words else "", row["bare"], shared, nodes, keys, letters, conditions
    )


def _blanks(pattern: str) -> str:
    """A pattern of the table with its blanks standing for any white space."""
    out: list[str] = []
    inside = blank = False
    index = 0
    while index < len(pattern):
        sign, following = pattern[index], pattern[index + 1 : index + 2]
        if sign == "\\":
            out.append(sign + following)
            index += 2
            continue
        if sign == "[":
            inside, blank = True, False
        if inside and sign == " ":
            blank = True
            out.append(r"\s")
        elif sign == " ":
            out.append(r"\s*" if following == "?" else r"\s+")
            index += following == "?"
        elif sign == "]" and inside and blank and following not in ("*", "+"):
            out.append("]*" if following == "?" else "]+")
            index += following == "?"
        else:
            out.append(sign)
        inside = inside and sign != "]"
        index += 1
    return "".join(out)


def _names(names: str, *, cased: bool) -> re.Pattern[str] | None:
    chosen = [
        _blanks(name.strip())
        for name in names.split(" | ")
        if name.strip() and bool(re.search("[A-Z]", re.sub(r"\\.", "", name))) is cased
    ]
    return re.compile("(?:" + "|".join(chosen) + ")(?![a-zA-Z])") if chosen else None


class _Tables(NamedTuple):
    systems: tuple[_System, ...]
    by_name: dict[str, _System]
    needs: dict[str, tuple[int, ...]]  # plain words, and the systems whose names are then looked for
    needed: frozenset[str]
    names: tuple[tuple[re.Pattern[str] | None, re.Pattern[str] | None], ...]  # in lower case; as written
    contexts: dict[str, tuple[re.Pattern[str], tuple[tuple[int, re.Pattern[str]], ...]]]  # by word: what is staged; and by system
    after: frozenset[str]  # the "-" rows
    between: frozenset[str]
    beside: frozenset[str]
    before: re.Pattern[str]
    never: dict[str, re.Pattern[str]]
    strong: re.Pattern[str]
    loose: re.Pattern[str]


def _either(names: str) -> str:
    """One pattern for the alternatives of a cell."""
    return "|".join(_blanks(name) for name in names.split(" | "))


@cache
def _tables() -> _Tables:
    table = lexicon.table("staging")
    made = lexicon.load("staging", lambda row: None if row["system"].startswith("-") else _system(row))
    rows = [row for row, system in zip(table, made, strict=True) if system is not None]
    systems = tuple(system for system in made if system is not None)
    other = {row["system"]: row for row, system in zip(table, made, strict=True) if system is None}
    needs: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        for need in filter(None, row["needs"].split("|")):
            needs.setdefault(need, []).append(index)
    contexts: dict[str, tuple[re.Pattern[str], tuple[tuple[int, re.Pattern[str]], ...]]] = {}
    for word in ("stage", "grade", "class"):
        held = [
            (index, _either(row["context"].lower()))
            for index, row in enumerate(rows)
            if row["context"] and word in systems[index].words
        ]
        # all of them in one flat pattern, in which each alternative opens with a letter: that is the fast form
        everything = re.compile(rf"\b(?:{'|'.join(context for _, context in held)})(?![a-z0-9])")
        contexts[word] = everything, tuple((index, re.compile(rf"(?:{context})(?![a-z0-9])")) for index, context in held)
    by_name: dict[str, _System] = {}
    for system in systems:
        by_name.setdefault(system.name, system)
    strong, loose = other["-TNM"]["names"], other["-TNM"]["context"]
    return _Tables(
        systems,
        by_name,
        {need: tuple(held) for need, held in needs.items()},
        frozenset(needs),
        tuple((_names(row["names"], cased=False), _names(row["names"], cased=True)) for row in rows),
        contexts,
        frozenset(other["-after"]["names"].split(" | ")),
        frozenset(other["-between"]["names"].split(" | ")),
        frozenset(other["-beside"]["names"].split(" | ")),
        re.compile(rf"[\s)\]]{{0,3}}(?:\s*\([^)]*\)\s*)?(?:{_either(other['-before']['names'])})(?![\w-])"),
        {letter: re.compile(_either(other["-" + letter]["names"])) for letter in "TNM"},
        re.compile(_either(strong)),
        re.compile(_either(strong + " | " + loose)),
    )


def systems() -> tuple[str, ...]:
    """The names of the systems that `Staging.system` can hold, in the order of the table."""
    return tuple(dict.fromkeys(system.name for system in _tables().systems))


def members(system: str) -> tuple[str, ...]:
    """Every member of a system in its order, parents before their own members; () for an unknown system."""
    held = _tables().by_name.get(system)
    return tuple(node.value for node in held.nodes) if held else ()


def covers(system: str, value: str, recorded: str) -> bool:
    """Whether a patient's `recorded` stage is `value` or one of its sub-stages: covers("AJCC", "III", "IIIB") is true."""
    held = _tables().by_name.get(system)
    if held is None:
        return value == recorded
    wanted, found = held.read(value), held.read(recorded)
    if wanted is None or found is None:
        return value == recorded
    return found == wanted or wanted in held.nodes[found].parents


# --- the text ---------------------------------------------------------------------------------------------------------

# Look-alikes of one character each; roman numerals that are one character follow, for they become several.
_ALIKE = str.maketrans(
    {
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
        **dict.fromkeys("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\\", " "),
        **dict.fromkeys("‐‑‒–—―−﹣⁻", "-"),
        **dict.fromkeys("≧⩾⋝≽", "≥"),
        **dict.fromkeys("≦⩽⋜≼", "≤"),
        **dict.fromkeys("’‘´`ʼ", "'"),
        **dict.fromkeys("“”", '"'),
        **dict.fromkeys("∼〜", "~"),
        **dict(zip("〈〉﹤﹥ΙІТΤМΜΝАВС", "<><>IITTMMNABC", strict=True)),
    }
)
_LONG = {
    chr(base + number): numeral if base == 0x2160 else numeral.lower()
    for base in (0x2160, 0x2170)
    for number, numeral in enumerate(["I", "II", "III", "IV", "V", "VI"])
}
_LONGS = re.compile("[" + "".join(_LONG) + "]")


def _view(text: str) -> tuple[str, list[int] | None]:
    """The text in plain letters and with single blanks, and where each of its characters came from (None: as they stand)."""
    plain = text.translate(_ALIKE) if not text.isascii() else text.replace("\\", " ") if "\\" in text else text
    origin: list[int] | None = None
    if not text.isascii() and _LONGS.search(plain):
        numerals = [_LONG.get(sign, sign) for sign in plain]
        origin = [index for index, letters in enumerate(numerals) for _ in letters]
        plain = "".join(numerals)
    if "  " in plain or not plain.isprintable():
        kept = [index for index, sign in enumerate(plain) if not sign.isspace() or not plain[index - 1 : index].isspace()]
        plain = "".join(" " if plain[index].isspace() else plain[index] for index in kept)
        origin = [origin[index] for index in kept] if origin else kept
    return plain, origin


def _lower(view: str) -> str:
    """The text in lower case, letter for letter."""
    low = view.lower()
    return low if len(low) == len(view) else "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in view)


_COMPARATOR = (
    r"(?P<ge>[≥>]\s*(?:,|/|or)\s*equals?(?:\s+to)?|[≥]\s*=?|>\s*/?\s*=|=\s*/?\s*>|>\s*or\s*=|=\s*or\s*>|&gt;\s*=|(?:greater|more|higher|worse|larger)\s+than\s*(?:,|/|or)?\s*(?:or\s+)?equal\s+to"
    r"|(?:equal|equals)\s+(?:to\s+)?or\s+(?:(?:greater|more|higher|worse|larger)\s+than|above|over|exceeding)|at\s+least|(?:a\s+)?minimum(?:\s+of)?"
    r"|not?\s+(?:less|lower|below|better|fewer)(?:\s+than)?)"
    r"|(?P<le>[≤<]\s*(?:,|/|or)\s*equals?(?:\s+to)?|[≤]\s*=?|<\s*/?\s*=|=\s*/?\s*<|<\s*or\s*=|=\s*or\s*<|&lt;\s*=|(?:less|lower|fewer|smaller|better)\s+than\s*(?:,|/|or)?\s*(?:or\s+)?equal\s+to"
    r"|(?:equal|equals)\s+(?:to\s+)?or\s+(?:(?:less|lower|fewer|smaller|better)\s+than|below|under)|up\s+to(?:\s+and\s+including)?|at\s+most"
    r"|(?:a\s+)?maximum(?:\s+of)?|not?\s+(?:more|greater|higher|worse|larger)\s+than|not\s+(?:to\s+)?exceed(?:ing)?|not\s+(?:above|over))"
    r"|(?P<gt>>|&gt;|(?:greater|more|higher|worse|larger)\s+than|above|over|exceed(?:s|ing|ed)?|beyond)"
    r"|(?P<lt><|&lt;|(?:less|lower|fewer|smaller|better|earlier)\s+than|below|under)"
)
_TWICE = r"(?:\s*[(\[]\s*(?:[≥≤<>]\s*/?\s*=?|=\s*[<>])\s*[)\]])?"  # "greater than or equal to (≥) 3"
_AHEAD = re.compile(rf"\s*(?:{_COMPARATOR}){_TWICE}(?:\s+(?:an?(?=\s+(?:grade|stage|class|ctcae|nyha))|the\b))?\s*")
_BEHIND = re.compile(rf"(?<![a-z])(?:{_COMPARATOR}){_TWICE}(?:\s+(?:an?|any|the|or))?[\s(]*$")
_BEHIND_ENDS = re.compile(
    r"(?:[≥≤<>=;)]|[a-z]{2}n|to|least|most|m|(?:abo|o)ve?r?|below|under|exceed\w*|beyond|including|of|an?|any|the|or)\s*\(?\s*$"
)
_BETWEEN = re.compile(r"(?<![a-z])(?:between|from)\s+(?:the\s+)?$")
_SUFFIX = re.compile(
    r"\s*\+(?!\s*[\dvi(])|\s*[,(\[]?\s*(?:(?:or|and|and/or|to|&)\s+|/\s*)(?:any\s+)?(?:of\s+)?(?:(?:grades?|stages?|class(?:es)?)\s+)?"
    r"(?:(?P<up>greater|higher|above(?!\s+baseline)|more(?:\s+(?:severe|advanced))?|worse|over(?!\s+baseline)|beyond|up(?:wards?)?(?!\s+to)|later|larger)"
    r"|(?P<down>less(?:er)?(?:\s+severe)?|lower|below|better|under|fewer|milder|earlier|smaller))(?![a-z])(?!\s+than)"
    r"(?:\s+(?:grades?|stages?|class|classes|severity))?(?P<close>\s*[)\]])?"
    r"|,?\s*\(?(?:at\s+(?:(?P<least>least)|(?P<most>most|maximum)))(?![a-z])\)?"
)
_SPLIT = re.compile(r"[;.]")
_ENDS = re.compile(r"[^A-Z]\. [A-Z(]")


def _kind(match: re.Match[str]) -> str:
    return next(kind for kind in ("ge", "le", "gt", "lt") if match[kind] is not None)


def _before(low: str, start: int) -> tuple[str, int]:
    """The comparator that ends right before a position, and where it starts; ("", start) if there is none."""
    head = low[max(0, start - 40) : start]
    if not _BEHIND_ENDS.search(head[-14:]):
        return "", start
    match = _BEHIND.search(head)
    return (_kind(match), start - len(head) + match.start()) if match else ("", start)


# --- members: "IIIB-IV", "≥ 2 and < 4", "A or B7" ---------------------------------------------------------------------

_END = r"(?![A-Za-z0-9]|[.,]\d|\.[A-Za-z]\b|\s*%)"
_NUMERAL = re.compile(
    r"(?P<roman>(?:IV|VI|V|I{1,3})(?:[A-E][1-3]?|[SX]|[a-e][1-3]?|(?:\s+|-)[ABC](?![A-Za-z0-9]|[\s-]*(?:[cC]ell|[sS]ymptom)))?"
    r"|(?:iv|vi|v|i{1,3})(?:[a-c][1-3]?)?)" + _END + r"|(?P<digit>(?:[GF](?=[0-5]))?[0-6](?:\.5)?(?:[A-Ea-e][1-3]?|S|is)?)" + _END
)
_LETTER = re.compile(r"(?:0|[A-E](?:1[0-5]|[1-9])?)(?![A-Za-z0-9'])(?!\.\w)")
_SUM = re.compile(
    r"(?P<sum>1?\d\s*\+\s*\d)(?:\s*=\s*(?P<total>\d{1,2}))?(?!\d)|(?P<score>10|[2-9])(?![\d.]\d|\d)(?:\s*[(\[=]\s*(?P<parts>\d\s*\+\s*\d)(?!\d)\s*[)\]]?)?"
)
_WORD = re.compile(r"(?:zero|one|two|three|four|five)(?![A-Za-z-])", re.IGNORECASE)
_SUB = re.compile(r"[A-Da-d][1-3]?(?![A-Za-z0-9'])")
_POINTS = re.compile(r"\d{1,2}(?![A-Za-z0-9.]|\s*%)")
_LINK = re.compile(
    r"\s*(?:(?P<range>-{1,2}|~|\.\.\.?|to(?![a-z])|through(?![a-z])|thru(?![a-z])|until(?![a-z])|up\s+to(?![a-z]))"
    r"|(?P<list>,?\s*(?:and/or|and\s*/\s*or|or|/or)(?![a-z])(?:\s*-(?=\d))?|,?\s*(?P<and>and(?![a-z])|&)|[/,+±|]))\s*"
)
_AGAIN = re.compile(r"(?P<word>stage|grade|class)(?:s|es)?[\s:-]*(?:of\s+)?")
_QUALIFIER = re.compile(
    r"(?:(?:(?:marginally|potentially|surgically|initially)\s+)?(?:un|non-?\s*|in)?(?:resectable|resected|operable)|selected|select|limited|"
    r"early|advanced|high-risk|low-risk|bulky|non-?bulky|superficial|metastatic|recurrent|small|large)\s+"
)
# What may stand between two members: "III [moderate] or IV", "IIIB N3, IIIC".
_GLOSS = re.compile(
    r"(?:\s*[(\[](?![^()\[\]]*\b(?:stage|grade|class)\b)[^()\[\]]{1,60}[)\]]|\s+[cp]?[tnm][0-4x][a-d]?(?:-[0-4])?(?:[\s,]*[tnm][0-4x][a-d]?(?:-[0-4])?)*)"
    r"(?=\s*(?:,|/|-|&|or\b|and\b|to\b|through\b))"
)
# What may stand between the last member and its bound: "grade 3 (CTCAE v5) or higher", "grade 1 severity or less".
_ASIDE = re.compile(
    r"(?:\s*[(\[][^()\[\]]{1,50}[)\]]|\s+(?:severity|intensity|level|toxicit(?:y|ies)|disease|aes?|adverse events?|neuropathy))"
    r"(?=\s+(?:or|and)\s+(?:higher|greater|above|worse|more|less|lower|below|better|beyond)\b(?!\s+[a-z]+\s+(?:therap|treat|line|prior|prev)))"
)
_COUNTED = re.compile(
    r"\s*-?\s*(?:or\s+more\s+(?!severe|advanced)|(?:consecutive|prior|previous|different|additional|separate|of\s+the)\b|(?:calendar\s+)?"
    r"(?:seconds?|minutes?|hours?|hrs?|days?|weeks?|wks?|months?|mos?|years?|yrs?|cycles?|lines?|doses?|times?|sites?|lesions?|nodes?|regimens?|"
    r"episodes?|events?|g|mg|kg|ml|cm|mm|dl|l|iu|u)\b|x\s|×)",
    re.IGNORECASE,
)


_NEXT_WORD = re.compile(r"\s+(?!(?:or|and|to)\b)[a-z]")


class _Member(NamedTuple):
    written: str
    comparator: str
    link: str  # how it follows the one before: "", "range", "or", "and"


class _Run(NamedTuple):
    """Members as they are written one behind the other."""

    members: list[_Member]
    qualifiers: list[str]
    roman: bool  # the first is a roman numeral
    start: int
    end: int
    problem: str | None


def _first(view: str, low: str, pos: int, letters: bool, system: str) -> tuple[str, int] | None:
    """The member written at a position, and its end."""
    if system == "Gleason":
        match = _SUM.match(view, pos)
        if match is None:
            return None
        return (match["parts"] or match["sum"] or match["score"]) + (
            f"={match['total'] or match['score']}" if match["total"] or match["parts"] else ""
        ), match.end()
    pattern = _LETTER if letters else _NUMERAL
    found = pattern.match(view, pos)
    return (found[0], found.end()) if found else None


def _run(
    view: str, low: str, pos: int, system: _System | None, word: str = "", *, between: bool = False, lower: bool = False
) -> _Run | None:
    """The members written from a position on; None if there is none.

    `word` is what they are called ("stage"); `lower`: letters may be in lower case; `between`: "and" makes a range.
    """
    letters = system is not None and system.letters
    name = system.name if system else ""
    members: list[_Member] = []
    qualifiers: list[str] = []
    comparator = ""
    if match := _AHEAD.match(low, pos):
        comparator, pos = _kind(match), match.end()
        if repeated := _AGAIN.match(low, pos):
            pos = repeated.end()
        if low[pos : pos + 1] in "([":
            pos += 1
    start, problem = pos, None
    source = (
        view.upper() if letters and lower and view[pos : pos + 1] in "abcd" and re.match(r"[a-d](?![a-z0-9])", view[pos:]) else view
    )
    found = _first(source, low, pos, letters, name)
    spelled = False
    if found is None and not letters and (match := _WORD.match(view, pos)):
        found, spelled = (match[0], match.end()), True
    if found is None:
        return None
    written, end = found
    roman = written[0] in "IViv" and not letters
    members.append(_Member(written, comparator, ""))
    while True:
        gloss = _GLOSS.match(low, end)
        match = _LINK.match(low, gloss.end() if gloss else end)
        if match is None:
            break
        link = "range" if match["range"] or (between and match["and"]) else "and" if match["and"] else "or"
        pos, again, comparator = match.end(), False, ""
        if link != "range" and match["list"] in ("/", ",") and (more := re.compile(r"(?:and/or|or|and)\s+").match(low, pos)):
            pos = more.end()
        qualifier = _QUALIFIER.match(low, pos)
        if qualifier:
            pos = qualifier.end()
        if repeated := _AGAIN.match(low, pos):
            if word and repeated["word"] != word:
                break  # "class I, grade 2"
            pos, again = repeated.end(), True
        if (compared := _AHEAD.match(low, pos)) and not (link == "range" and match["range"] in ("to", "up to")):
            comparator, pos = _kind(compared), compared.end()
            if repeated := _AGAIN.match(low, pos):
                if word and repeated["word"] != word:
                    break
                pos, again = repeated.end(), True
        if qualifier and not again:
            break
        found = _first(source, low, pos, letters, name)
        if found is None and spelled and (number := _WORD.match(view, pos)):
            found = number[0], number.end()
        previous = members[-1].written
        if found is None and not letters and not again and name != "Gleason" and previous[-1].isalpha() and len(previous) > 1:
            sub = _SUB.match(view, pos)
            if sub and (sub[0][0].isupper() or match[0].strip() in ("-", "/")) and previous[-1] not in "IViv":
                found = previous[:-1] + (sub[0] if previous[-1].islower() is sub[0].islower() else sub[0].swapcase()), sub.end()
        if found is None and letters and len(previous) > 1 and previous[1:].isdigit() and (points := _POINTS.match(view, pos)):
            found = previous[0] + points[0], points.end()
        if found is None:
            break
        written, until = found
        plain = written.isdigit() and not again and not letters
        if plain and (_COUNTED.match(low, until) or (match["list"] and roman)):
            break
        if not roman and not letters and not again and written in ("I", "IV", "V") and _NEXT_WORD.match(view, until):
            break  # "grade 2 or IV antibiotics"
        members.append(_Member(written, comparator, link))
        if qualifier:
            qualifiers.append(qualifier[0].strip())
        end = until
    last = members[-1]
    if match := _SUFFIX.match(low, end) or ((gloss := _ASIDE.match(low, end)) and _SUFFIX.match(low, gloss.end())):
        side = "le" if match["down"] or match["most"] else "ge"
        close = match["close"]
        opened = "(" in match[0] or "[" in match[0]
        end = match.end() - (len(close) if close and not opened else 0)
        if last.comparator and last.comparator != side:
            problem = "the words before and behind it contradict each other"
        members[-1] = last._replace(comparator=side)
    return _Run(members, qualifiers, roman, start, end, problem)


def _values(system: _System, run: _Run, low: str) -> tuple[tuple[str, ...], str | None]:
    """The members that a run stands for in their order; () and why, if that is not certain."""
    met = "|".join(found[0] for condition in system.conditions if (found := condition.search(low)))
    return _evaluated(system, tuple(run.members), met)


@lru_cache(maxsize=4096)
def _evaluated(system: _System, held: tuple[_Member, ...], low: str) -> tuple[tuple[str, ...], str | None]:
    """The members that written ones stand for; `low` holds the words on which some members count."""
    parts: list[tuple[str, tuple[str, ...]]] = []
    index = 0
    while index < len(held):
        member = held[index]
        at = system.read(_plain(member.written))
        if at is None or not _adds_up(member.written):
            return (), f"{member.written} is no member of {system.name}"
        following = held[index + 1] if index + 1 < len(held) and held[index + 1].link == "range" else None
        if following is not None:
            to = system.read(_plain(following.written))
            if to is None or not _adds_up(following.written):
                return (), f"{following.written} is no member of {system.name}"
            low_at, high_at = (at, to) if system.nodes[at].first <= system.nodes[to].first else (to, at)
            span = system.expand(low_at, high_at, low)
            if member.comparator and following.comparator and member.comparator[0] == "g" and following.comparator[0] == "l":
                span = system.expand(at, to, low, open_low=member.comparator == "gt", open_high=following.comparator == "lt")
            elif member.comparator and not (
                (
                    member.comparator == "ge"
                    and system.nodes[to].last == max(node.last for node in system.nodes if node.only is None)
                )
                or (member.comparator == "le" and system.nodes[at].first == 0)
            ):
                return (), "a comparator before a range"
            elif following.comparator:
                extra = _bounded(system, to, following.comparator, low)
                span = tuple(node.value for node in system.nodes if node.value in {*span, *extra})
            parts.append((member.link, span))
            # "T1c-T4a-c": the next range goes on where this one ends
            index += 1 if index + 2 < len(held) and held[index + 2].link == "range" else 2
            continue
        if member.comparator in ("lt", "gt") and index + 1 < len(held) and not held[index + 1].comparator:
            return (), "a comparator before a list"
        if member.comparator:
            both = (
                member.link == "and"
                and index
                and held[index - 1].comparator
                and held[index - 1].comparator[0] != member.comparator[0]
            )
            if system.name == "Gleason" and "=" in member.written and not member.written.startswith(("3+4", "4+3")):
                at = system.nodes[at].parents[-1] if system.nodes[at].parents else at  # "≥ 8 (4+4)" is at least 8
            parts.append(("both" if both else member.link, _bounded(system, at, member.comparator, low)))
        else:
            parts.append((member.link, (system.nodes[at].value,)))
        index += 1
    chosen = set(parts[0][1])
    for link, values in parts[1:]:
        chosen = chosen & set(values) if link == "both" else chosen | set(values)
    if any(member.comparator for member in held):
        chosen = {
            value
            for value in chosen
            if not any(system.nodes[up].value in chosen for up in system.nodes[system.keys[_key(value, system.prefix)]].parents)
        }
    values = tuple(node.value for node in system.nodes if node.value in chosen)
    return values, None if values else "it leaves no member"


def _bounded(system: _System, at: int, comparator: str, low: str) -> tuple[str, ...]:
    if comparator[0] == "g":
        return system.expand(at, None, low, open_low=comparator == "gt")
    return system.expand(None, at, low, open_high=comparator == "lt")


@lru_cache(maxsize=1024)
def _plain(written: str) -> str:
    """A member without its sum: "3+4=7" is "3+4", and "3+3=6" is "6", which has no other parts."""
    parts = re.sub(r"\s", "", written).partition("=")[0]
    return {"3+3": "6", "5+5": "10"}.get(parts, parts)


def _adds_up(written: str) -> bool:
    parts, _, total = written.partition("=")
    if not total:
        return True
    return sum(int(part) for part in parts.split("+")) == int(total)


# --- names and words --------------------------------------------------------------------------------------------------


_SCHOOL = re.compile(
    r"\s*(?:-|to|and|or|through|/)\s*(?:[6-9]|1[0-2])(?![\d.])(?!\s*(?:weeks|months|days|years|hours))|(?:st|nd|rd|th)\b"
)

_PUPILS = re.compile(r"(?:students?|pupils?|teachers?|kindergarten|schools?|classrooms?)\b[^.;]{0,25}$")


class _Name(NamedTuple):
    start: int
    end: int
    system: int


_FILLED = re.compile(
    r"(?:\s*\((?:cp|ctp|gs|fc|h&y|hy|kl|gg|gold|copd|ckd|who|ajcc|nyha)\)|[\s:,()\[\]'\"]|-|=(?!\s*[<>])|\.(?!\d)|(?<![a-z0-9])(?:functional|function|classifications?|class|classes|stages?|staging|grades?|grading|"
    r"categor(?:y|ies)|criteria|system|scale|scores?|sum|rating|groups?|status|heart\s+failure|congestive|chronic|chf|hf|cardiac|liver|hepatic|"
    r"cirrhosis|kidney|disease|angina|pain|toxicity|symptoms?|clinical|pathologic(?:al)?|prognostic|anatomic(?:al)?|manual|cancer|modified|revised|biopsy|"
    r"total|combined|combination|for|of|the|is|are|was|were|as|with|in|at\s+(?:baseline|screening|diagnosis|entry)|version|ver|edition|ed|first|sixth|seventh|eighth|"
    r"(?:19|20)\d\d|v(?:er(?:sion)?)?\.?\s*\d(?:\.\d+)*|\d\.0\d?|\d\.\d{2}|\d(?:st|nd|rd|th))(?![a-z0-9])"
    r"|(?<=v)\d(?:\.\d+)?|\d(?=(?:st|nd|rd|th)?\s+(?:ed\b|edition|stage|version)))*+"
)
_CLASSED = re.compile(
    r"(?<![a-z])(?:class(?:es|ifications?)?|stages?|staging|grades?|grading|categor(?:y|ies)|scores?|scale|groups?|criteria|system|functional|sum|status)(?![a-z])"
)
_BARE = re.compile(r"'?s?\s*[)\]]?\s*(?:[:=-]\s*)?[(\[]?\s*(?:(?:of|is)\s+)?")
_LED = re.compile(
    r"(?:stage|grade|class)(?:s|es)?\s*(?:[≥≤<>]=?\s*)?(?:i{1,3}|iv|[0-5])[abc]?(?:\s*(?:-|/|or|to|and)\s*(?:i{1,3}|iv|[0-5])[abc]?)*"
    r"(?:\s+(?:or|and)\s+\w+)?\s*[(,]?\s*(?:(?:by|per|according\s+to|as\s+defined\s+by|on|of|in)\s+)?(?:the\s+)?$"
)
_LAGGED = re.compile(r"[a-z)]\s*[,;)]")
_CHAIN = re.compile(r"[\s,/:-]*[(\[]?\s*(?:the\s+)?")
_PARTED = re.compile(r"[)\]]\s*[,.]|[.](?:\s|$)|,[^a-z]*\(")
_WORDS_RE = re.compile(r"(?P<word>stage|grade|class)(?:s|es|d\s+as)?(?P<tight>(?=[iv]{1,3}[abc]?(?![a-z]))|(?=[^a-z]))")
_INTRO = re.compile(
    r"(?:\s*(?:\(s\)|groups?(?:ing)?|classification|level|disease))?(?:\s*(?:(?:at|of)\s+(?:initial\s+|the\s+time\s+of\s+)?(?:diagnosis|presentation|baseline|"
    r"screening|enrol\w+|entry)|of|be|is(?!\s*(?:,|or\b|and\b))|are|was|as|either|being|[:=-](?!\s*[<>])))*\s*[(\[\"']?\s*(?:(?:of|either)\s+)?"
)
_STEP = re.compile(r"\W*(?:treatment|therapy|participants?|patients?|subjects?|only|inclusion|exclusion|eligib\w+|criteria)\b")
_DURING = re.compile(r"(?<![a-z])(?:during|into|for|in|at|to|from|of|after|before|complet\w+)\s$")
_ENTRY = re.compile(r"(?:enrol\w+|randomi[sz]\w+|registration|screening|consent)\s*[(\[]\s*$")  # "enrollment (stage I)"
_DISEASE = re.compile(
    r"cancer|carcinom|melanom|sarcom|lymphom|leuk|myelom|blastom|gliom|tumou?r|neoplas|malignan|metasta|nsclc|sclc|hodgkin|seminom|mesotheliom|disease|ulcer|hypertension|"
    r"edema|fibros|kidney|ckd|renal|sarcoid|endometrio|prolapse|retinopath|necro|dementia|syndrome|copd|parkinson|injur|disorder|cirrho|failure|psoria|"
    r"wound|sore|hiv|aids|gvhd|apnea|periodont|hernia|keratoconus|tnbc|crc\b|hcc\b|dlbcl|hnscc|scc\b|encephalopath|hepatitis|osteo|arthr|hole|rop\b|neuropath|nephro|ptosis|palsy|paralys|pressure|tendon|diabet|nsclc"
)
_CANCER = re.compile(
    r"cancer|carcinom|melanom|sarcom|lymphom|myelom|blastom|tumou?r|neoplas|malignan|metasta|nsclc|sclc|hodgkin|seminom|mesotheliom|hnscc|crc|dlbcl|\bhcc|tnbc"
)
_CLASS_OF = re.compile(
    r"(?:obes|malocclu|nephritis|myasthenia|furcation|recession|caries|cavit|cirrho|failure|heart|cardi|chf|dyspn|pulmonary|arterial|\bpah|hypertension|angina|insufficiency)"
)
_LIMITED = re.compile(
    r"(?<![a-z])(?P<which>limited|extensive|extended)[\s-]+stages?(?![a-z])|(?<![a-z])(?P<short>ls|es|ld|ed)(?=-?\s*sclc(?![a-z]))"
)
_PREFIX = re.compile(r"(?<![a-z])(?:(?P<c>clinical(?:ly)?)|(?P<p>patholog(?:ic(?:al(?:ly)?)?|y)))[\s-]+(?:tnm\s+)?(?:staged?\s+)?$")
_EDITION = re.compile(
    r"(?P<before>\d)(?:st|nd|rd|th)[\s,.]*(?:ed\b|edition|version)|(?P<word>fifth|sixth|seventh|eighth|ninth)[\s-]+(?:ed\b|edition)|"
    r"(?:edition|version|ed\.|ver\.?|v\.?)\s*(?P<after>\d)(?![\d.])|(?:ajcc|uicc|uicc/ajcc)[\s-]*v?(?P<plain>[5-9])(?![\d.])"
)
_EDITED = ("edition", "figo", "ed.", "ed)", "version", " v", "ajcc", "uicc", " ver")
_YEAR = re.compile(r"figo\W{0,3}((?:19|20)\d\d)|((?:19|20)\d\d)\W{0,3}(?:figo|staging|version|revis)")
_NTH = {"fifth": "5", "sixth": "6", "seventh": "7", "eighth": "8", "ninth": "9"}


_PLAIN = re.compile(r"[a-z]+")


def _opens(low: str, start: int) -> bool:
    """Whether a word starts at a position."""
    return start == 0 or not low[start - 1].isalnum()


class _Text:
    """One text with what all of its mentions look up in it."""

    __slots__ = ("_breaks", "_edited", "_editions", "found", "low", "names", "tables", "used", "view")

    def __init__(self, view: str, low: str) -> None:
        self.view, self.low, self.tables = view, low, _tables()
        self.found: list[Staging] = []
        self.used: set[tuple[int, int]] = set()  # names that lead a mention
        self._breaks: list[int] | None = None
        self._edited: bool | None = None
        self._editions: dict[tuple[int, int, bool], list[re.Match[str]]] = {}
        self.names = self._names()

    def _names(self) -> list[_Name]:
        """The names of systems in text order, none within the name of another system."""
        words = self.tables.needed.intersection(_PLAIN.findall(self.low))
        wanted = {index for word in words for index in self.tables.needs[word]}
        hits: list[_Name] = []
        for index in sorted(wanted):
            low, cased = self.tables.names[index]
            if low is not None:
                hits.extend(_Name(*match.span(), index) for match in low.finditer(self.low) if _opens(self.low, match.start()))
            if cased is not None:
                hits.extend(_Name(*match.span(), index) for match in cased.finditer(self.view) if _opens(self.low, match.start()))
        hits.sort(key=lambda hit: (hit.start, -hit.end, hit.system))
        kept: list[_Name] = []
        for hit in hits:
            if not kept or hit.end > kept[-1].end or hit[:2] == kept[-1][:2]:
                kept.append(hit)
        return kept

    def clause(self, start: int, end: int) -> tuple[int, int]:
        """The stretch without ";" or full stop around a span."""
        if self._breaks is None:
            self._breaks = [
                match.start()
                for match in _SPLIT.finditer(self.view)
                if match[0] == ";" or _ENDS.match(self.view, match.start() - 1)
            ]
        at, after = bisect_right(self._breaks, start), bisect_left(self._breaks, end)
        return (self._breaks[at - 1] + 1 if at else 0), (self._breaks[after] if after < len(self._breaks) else len(self.view))

    def nearby(self, word: str, low: int, high: int) -> Iterator[tuple[int, int, int]]:
        """Where the text says between two positions what is staged, graded or classed: start, end, system."""
        pattern, systems = self.tables.contexts[word]
        for match in pattern.finditer(self.low, low, high):
            yield match.start(), match.end(), next(system for system, own in systems if own.match(self.low, match.start()))

    def edition(self, start: int, end: int, system: str) -> str | None:
        """The edition of the staging manual that the clause around a span names; of FIGO, the year."""
        low, high = self.clause(start, end)
        if self._edited is None:
            self._edited = any(word in self.low for word in _EDITED)
        if not self._edited:
            return None
        key = low, high, system == "FIGO"
        if key not in self._editions:
            pattern = _YEAR if system == "FIGO" else _EDITION
            self._editions[key] = list(pattern.finditer(self.low, low, high))
        held = self._editions[key]
        if not held:
            return None
        nearest = min(held, key=lambda match: match.start() - end if match.start() >= end else start - match.end() + 10)
        written = nearest[nearest.lastgroup or 0] if system != "FIGO" else nearest[1] or nearest[2]
        return _NTH.get(written, written)


_FAR = re.compile(r"(?:\s|-)(?:from|due|to|with|after|than|by|except|without|or|and|no|not)(?=\s|$)|[;.%<>≥≤]|(?<![\d(])\d(?!\d)")


def _context(text: _Text, word: str, start: int, end: int) -> tuple[int | None, bool]:
    """The system that the thing staged makes certain, and whether it stands right beside the mention."""
    low, high = text.clause(start, end)
    best: tuple[int, int] | None = None
    for first, last, system in text.nearby(word, max(low, start - 160), min(high, end + 160)):
        if first < end and last > start:
            continue
        behind = first >= end
        gap = (
            text.low[end:first]
            if behind
            else text.low[last:start].rstrip(" ≥≤<>=(").removesuffix(" to").removesuffix(" from").removesuffix(" of")
        )
        loose = text.tables.systems[system].name == "CTCAE"
        if len(gap) > (140 if loose else 45) or (not loose and (len(gap.split()) > 4 or _FAR.search(gap))):
            continue
        distance = len(gap) + (0 if behind else 10)
        if best is None or distance < best[0]:
            best = distance, system
    if best is None:
        return None, False
    return best[1], best[0] <= 30


_OTHER = re.compile(r"(?<![A-Za-z])[A-Z]{3,}(?:'s)?\s$")  # "COG stage II": a system of its own


def _named(text: _Text, word: str, start: int, end: int) -> _Name | None:
    """The system named in the same clause that has members called `word`."""
    low, high = text.clause(start, end)
    best: tuple[int, _Name] | None = None
    for name in text.names:
        system = text.tables.systems[name.system]
        if name.start < low or name.end > high or word not in system.words:
            continue
        if start < name.start and name.end <= end:
            return name  # "grade 3 (CTCAE v5.0) or higher"
        if name[:2] in text.used and (
            system.word != word or (word == "class" and not system.letters) or _OTHER.search(text.view, max(0, start - 16), start)
        ):
            continue
        distance = name.start - end if name.start >= end else start - name.end + 20
        if best is None or distance < best[0]:
            best = distance, name
    if best is None and word != "stage":  # "... NYHA functional classification. Patients should be class II or better."
        for name in text.names:
            system = text.tables.systems[name.system]
            if name.end <= start and start - name.end < 200 and system.word == word and name[:2] not in text.used:
                best = 0, name
    return best[1] if best and best[0] <= 220 else None


def _close(view: str, start: int, end: int) -> int:
    """The end of a span with the bracket that it opens."""
    inside = view[start:end]
    for opening, closing in ("()", "[]"):
        if inside.count(opening) > inside.count(closing) and (match := re.compile(r"\s*" + re.escape(closing)).match(view, end)):
            return match.end()
    return end


def _after_names(text: _Text) -> Iterator[tuple[int, int]]:
    """Read the members behind each name ("NYHA class III or IV"); the spans that are done with."""
    names, number = text.names, 0
    while number < len(names):
        first = names[number]
        same = _alike(names, number)
        number += len(same)
        begin, end = first.start, first.end
        # "New York Heart Association (NYHA)": one name
        while number < len(names) and any(names[number].system == name.system for name in same) and names[number].start >= end:
            link = _CHAIN.match(text.low, end)
            if link is None or (link.end() != names[number].start and not _filled_to(text.low, end, names[number].start)):
                break
            stop = names[number].end
            kept = _alike(names, number)
            number += len(kept)
            same = [name for name in same if any(name.system == other.system for other in kept)] or same
            end = stop
        for name in same:
            system = text.tables.systems[name.system]
            read = _behind_name(text, system, begin, end)
            if read is not None:
                made, stop = read
                text.found.append(made)
                text.used.update(other[:2] for other in names if begin <= other.start and other.end <= max(end, made.end))
                yield begin, stop
                break


def _alike(names: list[_Name], number: int) -> list[_Name]:
    """The names that stand where a name stands: "GOLD" is two systems."""
    end = number
    while end < len(names) and names[end][:2] == names[number][:2]:
        end += 1
    return names[number:end]


def _filled_to(low: str, pos: int, end: int) -> bool:
    match = _FILLED.match(low, pos)
    return match is not None and match.end() >= end and end - pos < 25 and not re.search(r"class|stage|grade", low[pos:end])


def _behind_name(text: _Text, system: _System, begin: int, end: int) -> tuple[Staging, int] | None:
    """The mention that a name and the members behind it make, and where it ends."""
    low, view = text.low, text.view
    filled = _FILLED.match(low, end)
    pos = filled.end() if filled else end
    filler = low[end:pos]
    compared = ""
    if _LED.search(low, max(0, begin - 60), begin) and _LAGGED.search(filler):
        return None  # "> grade 2 NYHA heart failure, > grade 2 angina": the name belongs to what stands before it
    if (match := _AHEAD.match(low, pos)) and (more := _FILLED.match(low, match.end())) and _CLASSED.search(more[0]):
        compared, filler, pos = _kind(match), filler + " " + more[0], more.end()  # "NYHA > class II"
    classed = _CLASSED.findall(filler) if _CLASSED.search(filler) else []
    if filler.rstrip().endswith("[") and re.compile(r"\d+\]").match(low, pos):
        return None  # a reference: "classification [6]"
    if classed:
        if _PARTED.search(filler) or len(filler) > 70:
            return None
        kinds = {kind for word in classed for kind in _KINDS if word.startswith(kind)}
        if kinds and not kinds & system.words and (system.bare in ("", "roman") or ")" in filler):
            return None
        if not kinds and not system.bare:
            return None
    else:
        plain = _BARE.match(low, end)
        if system.bare == "" or plain is None or plain.end() < pos:
            return None
    between = filler.rstrip().endswith(("between", "from"))
    word = next((kind for held in reversed(classed) for kind in ("stage", "grade", "class") if held.startswith(kind)), system.word)
    lower = bool(classed) and classed[-1] in ("class", "stage", "grade", "classes")
    run = _run(view, low, pos, system, word, between=between, lower=lower)
    if run is None:
        return None
    if not classed and system.bare == "roman" and not run.roman and run.members[0].written != "0":
        return None
    if run.members[0].written.isdigit() and _COUNTED.match(low, run.end):
        return None
    if system.name == "Rutherford acute" and not (
        run.roman and (any(m.written[-1].islower() for m in run.members) or "acute" in low)
    ):
        return None
    if system.name == "Rutherford" and any(not m.written.isdigit() and m.written[-1] in "abAB" for m in run.members):
        return None
    if system.name == "GOLD group" and not system.letters:
        return None
    if compared:
        run.members[0] = run.members[0]._replace(comparator=compared)
    return _mention(text, system, run, begin, run.end), run.end


_AT_LEAST = re.compile(r"\bat\s+least\b")
_DOWN_TO = re.compile(
    r"\b(?:recover\w*|resol\w+|improv\w+|return\w*|reduc\w+|decreas\w+|subsid\w+|downgrad\w+|revers\w+)\b[^.;]{0,90}\bto\s+(?:a\s+)?(?:[a-z]+\s+or\s+(?:to\s+)?)?$"
)


def _mention(text: _Text, system: _System, run: _Run, start: int, end: int, prefix: str | None = None) -> Staging:
    """The mention of a run, its comparator in front included."""
    low = text.low
    doubt = run.problem
    repairs: list[str] = []
    comparator, before = _before(low, start)
    if _AT_LEAST.search(low, before, run.end) and _DOWN_TO.search(low, max(0, before - 110), before):
        # who has recovered to at least grade 1 is at grade 1 or better
        comparator = "le" if comparator else ""
        run.members[:] = [
            member._replace(comparator="le" if member.comparator == "ge" else member.comparator) for member in run.members
        ]
        repairs.append("at least read as at most, after a recovery")
    if comparator and "(" not in low[before:start]:
        start, held = before, run.members[0].comparator
        if held and held != comparator:
            doubt = "the words before and behind it contradict each other"
        run.members[0] = run.members[0]._replace(comparator=comparator)
    if system.name == "Child-Pugh":
        end = _points(text, run, end)
    values, problem = _values(system, run, low)
    if (
        system.name == "Gleason"
        and not run.members[0].comparator
        and all(m.written.isdigit() and int(m.written) < 6 for m in run.members)
    ):
        values, problem = (), "a Gleason score below 6 may be a pattern"
    problem = doubt or problem
    if not problem and not system.name.startswith("TNM") and _GOES_ON.match(text.view, run.end):
        problem = "what follows it cannot be read"
    for member, following in zip(run.members, run.members[1:], strict=False):
        if (
            following.link == "range"
            and (a := system.read(_plain(member.written))) is not None
            and (b := system.read(_plain(following.written))) is not None
        ) and system.nodes[a].first > system.nodes[b].first:
            repairs.append(f"range {member.written}-{following.written} read upwards")
    edition = text.edition(start, end, system.name) if system.name in ("AJCC", "FIGO") else None
    if (
        text.view.count(")", start, end) > text.view.count("(", start, end)
        and (split := text.view.rfind(")", start, run.start)) >= 0
    ):
        start = split + 1 + len(text.view[split + 1 :]) - len(text.view[split + 1 :].lstrip(" ,:-]"))
    return Staging(
        start,
        _close(text.view, start, end),
        system.name,
        () if problem else values,
        edition,
        prefix,
        tuple(run.qualifiers),
        tuple(repairs),
        problem,
    )


# More members, which the grammar does not know how to read: half a list would be a wrong one.
_GOES_ON = re.compile(
    r"\s(?:I{1,3}|IV)(?![A-Za-z])|\s*(?:-|/)\s*(?:I{1,3}|IV|V)(?!V?\s[a-z])[A-Z]*(?![a-z])|"
    r"\s*,?\s*(?:(?:or|and|to|&)\s+)?(?:I{1,3}|IV)[A-Ea-e]?\d?(?![A-Za-z0-9])(?=\s*(?:[,;.)]|or\b|and\b|$))"
)
_IN_POINTS = re.compile(
    r"\s*[(\[,]?\s*(?:(?:child-pugh|with|a|total|score|scores|points?|of|cp)\s+|=\s*)*(?P<le>≤|<\s*=|up\s+to)?\s*(?P<low>\d{1,2})(?:\s*(?:-|to|or|/)\s*(?P<high>\d{1,2}))?\s*(?:points?)?\s*[)\]]"
)


def _points(text: _Text, run: _Run, end: int) -> int:
    """The end of a Child-Pugh class with its points in brackets: "B (7 points)" is narrower than B."""
    match = _IN_POINTS.match(text.low, end)
    last = run.members[-1]
    if match is None or len(last.written) != 1 or last.comparator or last.link == "range":
        return end
    least, most = {"A": (5, 6), "B": (7, 9), "C": (10, 15)}.get(last.written, (0, 0))
    low, high = int(match["low"]), int(match["high"] or match["low"])
    if match["le"]:
        low = least
    if least <= low <= high <= most and (low, high) != (least, most):
        run.members[-1] = last._replace(written=f"{last.written}{low}")
        if high > low:
            run.members.append(_Member(f"{last.written}{high}", "", "range"))
        return match.end()
    return end


def _at_words(text: _Text, done: list[tuple[int, int]]) -> None:
    """Read the members behind "stage", "grade" and "class" where no name leads them."""
    view, low, systems = text.view, text.low, text.tables.systems
    after = 0
    for match in _WORDS_RE.finditer(low):
        start = match.start()
        if start < after or not _opens(low, start) or any(first <= start < last for first, last in done):
            continue
        word = match["word"]
        intro = _INTRO.match(low, match.end())
        pos = intro.end() if intro else match.end()
        lead = None
        if low[pos - 1 : pos] in "([":  # "stage (AJCC 8th edition) III"
            lead = next(
                (
                    name
                    for name in text.names
                    if name.start == pos or (name.start > pos and low[pos : name.start].strip() in ("", "the"))
                ),
                None,
            )
            if lead is not None:
                closing = re.compile(r"[^()\[\]]{0,40}[)\]]\s*(?:of\s+)?:?\s*").match(low, lead.end)
                pos = closing.end() if closing else pos
                lead = lead if closing else None
        between = bool(_BETWEEN.search(low[max(0, start - 20) : start]))
        named: _Name | None = lead
        system: _System | None = text.tables.systems[lead.system] if lead else None
        run = _run(view, low, pos, system or text.tables.by_name[word], word, between=between)
        if run is None and (turned := _turned(view, low, start)) is not None and turned.start >= after:
            run, start = turned._replace(end=match.end()), turned.start
        if run is None:
            made = _lettered(text, word, start, pos)
            if made is not None:
                text.found.append(made)
                after = made.end
            continue
        after = run.end
        if _refused(text, word, start, run):
            continue
        if any(
            systems[name.system].letters and name.end <= start and not low[name.end : start].strip(" ([,:-") for name in text.names
        ):
            continue  # "Child-Pugh class 2": which letter that is, nobody knows
        if system is None:
            near, beside = _context(text, word, start, run.end)
            named = _named(text, word, start, run.end)
            if named is not None and (
                run.end <= named.start <= run.end + 3 or (near is not None and systems[near].name == "CTCAE")
            ):
                near = None  # "grade 2 (CTCAE)": what is written beside it decides
            index = near if near is not None and (beside or named is None) else None
            if index is None and named is not None:
                index = named.system
            system = text.tables.systems[index] if index is not None else text.tables.by_name[word]
            if (
                any(system.read(_plain(member.written)) is None for member in run.members)
                and not (named is not None and system.words)
            ) or system.letters:
                system = text.tables.by_name[word]
        if system.name == "class" and not _classed(text, start, run.end):
            continue
        if system.name == "stage" and _step(text, start, run):
            continue
        if system.name in ("stage", "grade", "class") and any(system.read(member.written) is None for member in run.members):
            continue
        end = run.end
        if named is not None and named.start > end and low[end : named.start].isspace():
            end = named.end
            if version := re.compile(r"(?:\s|,)*v(?:er(?:sion)?)?\.?\s*\d(?:\.\d+)*").match(low, end):
                end = version.end()
        prefix = None
        if (
            word == "stage"
            and system.name in ("stage", "AJCC", "FIGO")
            and (marked := _PREFIX.search(low, max(0, start - 24), start))
        ):
            prefix, start = ("c" if marked["c"] else "p"), marked.start()
        text.found.append(_mention(text, system, run, start, end, prefix))


_TURNED = re.compile(
    r"(?:(?P<sign>[≥≤<>]=?)\s*)?(?<![A-Za-z0-9.,/+-])(?:(?:IV|I{1,3})[A-Ca-c]?(?:\s*(?:-|/|,|or|to|and)\s*(?:IV|I{1,3})[A-Ca-c]?){0,2}|[0-4](?:\s*(?:-|/)\s*[0-4])?)\s(?:functional\s)?$"
)


def _turned(view: str, low: str, end: int) -> _Run | None:
    """The members right before a word: "III-IV stage", "≥ 2 grade"."""
    match = _TURNED.search(view, max(0, end - 32), end)
    if match is None or (
        view[match.end("sign") :].lstrip()[:1].isdigit() and not match["sign"] and not re.search(r"[-/]", match[0])
    ):
        return None
    run = _run(view, low, match.start(), None)
    return run._replace(start=match.start()) if run is not None and low[run.end : end].strip() in ("", "functional") else None


def _lettered(text: _Text, word: str, start: int, pos: int) -> Staging | None:
    """ "Class B or C cirrhosis", "stage C (BCLC)": members that are letters, where a system with letters is certain."""
    run = None
    for system in text.tables.systems:
        if not system.letters or word not in system.words:
            continue
        run = run or _run(text.view, text.low, pos, system, word)
        if run is None or run.members[0].written == "0":
            return None
        near, _ = _context(text, word, start, run.end)
        named = _named(text, word, start, run.end)
        if (near is not None and text.tables.systems[near] is system) or (
            named is not None and text.tables.systems[named.system] is system
        ):
            return _mention(text, system, run, start, run.end)
    return None


def _refused(text: _Text, word: str, start: int, run: _Run) -> bool:
    """Whether a word and its members are no stage: a trial's step, a drug's class, a school's grade, a scale's level."""
    low = text.low
    head = low[max(0, start - 40) : start]
    words = _PLAIN.findall(head[max(head.rfind(";"), head.rfind(","), head.rfind(". ")) + 1 :])
    if head[-2:-1] in ("t", "n", "m") and not head[-3:-2].isalpha():
        return True  # "T stage"
    if words and words[-1] in text.tables.beside and head.rstrip().endswith(words[-1]):
        return True
    for held in reversed(words):
        if held in text.tables.after:
            return True
        if held not in text.tables.between:
            break
    if word == "grade" and (_SCHOOL.match(low, run.end) or _PUPILS.search(head)):
        return True
    return text.tables.before.match(low, run.end) is not None


def _step(text: _Text, start: int, run: _Run) -> bool:
    """Whether "stage 1" may be a step of the trial."""
    low = text.low
    digits = all(member.written.lower() in ("0", "1", "2", "one", "two") for member in run.members)
    if _ENTRY.search(low, max(0, start - 24), start) or (run.members[0].written.isdigit() and low.startswith(" only", run.end)):
        return True
    if not digits or _CANCER.search(low):
        return False
    if not _DISEASE.search(low) or (not low[:start].strip(" (*-") and low[run.end : run.end + 1] == ":"):
        return True
    if _DURING.search(low, max(0, start - 24), start) and not _DISEASE.search(low, max(0, start - 18), run.end + 30):
        return True
    return _STEP.match(low, run.end) is not None


def _classed(text: _Text, start: int, end: int) -> bool:
    low, high = text.clause(start, end)
    return _CLASS_OF.search(text.low, max(low, start - 40), min(high, end + 50)) is not None


# --- T, N and M -------------------------------------------------------------------------------------------------------

_TNM_END = r"(?:(?![A-Za-z0-9])|(?=[NM][0-3xX+*])|(?=[cp][NM][0-3xX])|(?=[NM]?[aA]ny)|(?=\(i))"
_T_VALUE = r"(?:1mi(?:c)?|[0-4](?:[a-e][1-3]?)?|is|IS|a|[xX])"
_N_VALUE = r"(?:[0-3](?:mi(?:c)?|[a-c])?|[xX]|\s*\+)"
_M_VALUE = r"(?:[01](?:[a-d][1-3]?)?|[xX]|\+)"
_ANY = r"(?:[aA]ny|ANY|[aA]ll)"
_TOKEN = re.compile(
    r"(?P<prefix>(?:y?[cpu]|yc|yp|rp?|rc|y|i)(?=[TNM]))?"
    rf"(?:(?P<T>T)(?P<t>{_T_VALUE}){_TNM_END}|(?P<N>N)(?P<n>{_N_VALUE}){_TNM_END}|(?P<M>M)(?P<m>{_M_VALUE}){_TNM_END}"
    rf"|(?P<any>{_ANY})[\s-]?(?:[cp])?(?P<which>[TNM])(?:[\s-]?(?:stages?|status|category))?(?![A-Za-z-])"
    r"|(?P<that>[TNM])[\s-]?(?:[aA]ny|ANY)(?:(?![A-Za-z])|(?=[NM][0-3xX+aA])))"
)
_TNM_WORD = re.compile(
    r"(?<![A-Za-z0-9-])(?P<prefix>[cp])?(?P<which>[TNM])(?:[\s-](?:stage|category|classification|status|descriptor))\s*(?:of\s+|is\s+|:\s*|=\s*)?"
)
_TNM_LINK = re.compile(
    r"\s*(?:(?P<range>-{1,2}|~|to(?![a-z])|through(?![a-z])|up\s+to(?![a-z]))|(?P<list>,?\s*(?:and\s*/\s*or|or|and|&)(?![a-z])|,\s|[/,]))\s*",
    re.IGNORECASE,
)
_SUB_VALUE = re.compile(r"[0-4](?:[a-d][1-3]?|mi)?" + _TNM_END)
_SUB_LETTER = re.compile(r"[a-d](?:[1-3])?(?![A-Za-z0-9])")
_ENDS_LIST = re.compile(r"\s*(?:[,;/)\]:-]|[cp]?[NM][0-3xX+]|or\b|and\b|[aA]ny\b|$|\.(?:\s|$))")
_VERTEBRA = re.compile(r"\s*(?:-|–|to|through|/|and|or)\s*(?:[LSC]\d|T\d{1,2}(?![A-Za-z0-9])|1[0-2]\b|[5-9]\b)")


_SUFFIXED = re.compile(r"(?:or|and)\s+(?!\s*[a-z]*[TNM][0-4])[a-z]+\)?$")


class _Tnm(NamedTuple):
    letter: str
    written: str  # with its letter
    prefix: str


def _token(match: re.Match[str]) -> _Tnm:
    letter = match["T"] or match["N"] or match["M"] or match["which"] or match["that"]
    if match["any"] or match["that"]:
        return _Tnm(letter, "any", match["prefix"] or "")
    value = (match["t"] or match["n"] or match["m"]).strip()
    value = {"1mic": "1mi", "IS": "is", "x": "X"}.get(value, value)
    return _Tnm(letter, letter + value, match["prefix"] or "")


def _tnm(text: _Text) -> None:
    """Read the mentions of T, N and M."""
    view = text.view
    held: list[tuple[Staging, bool]] = []  # with whether it is certain by itself
    pos, joined = 0, -1
    while match := _TOKEN.search(view, pos):
        start = match.start()
        if start != joined and start and (view[start - 1].isalnum() or view[start - 1] in "-_." or view[start - 2 : start] == "'-"):
            plain = view[start - 1] == "-" and (start < 2 or not view[start - 2].isalnum())
            if not plain and not re.search(r"(?<![A-Za-z])(?:HG|Hg|LG|Lg|stage)$", view[max(0, start - 6) : start]):
                pos = start + 1
                continue
        read = _tnm_run(text, match)
        if read is None:
            pos = match.end()
            continue
        made, sure = read
        if _SUFFIXED.search(view, made.start, made.end) and held and held[-1][0].end == made.start:
            vague = "it is not said whether T, N and M change together"
            made = replace(made, values=(), problem=vague)
            at, edge = len(held) - 1, made.start
            while at >= 0 and held[at][0].end == edge:
                edge = held[at][0].start
                held[at] = replace(held[at][0], values=(), problem=vague), held[at][1]
                at -= 1
        held.append((made, sure))
        pos = joined = made.end if made.end > match.start() else match.end()
    for match in _TNM_WORD.finditer(view):
        system = text.tables.by_name["TNM-" + match["which"]]
        numbered = _run(view, text.low, match.end(), system)
        if numbered is None or any(system.read(member.written) is None for member in numbered.members):
            continue
        if not any(made.start < numbered.end and match.start() < made.end for made, _ in held):
            held.append((_mention(text, system, numbered, match.start(), numbered.end, match["prefix"]), True))
    if not held:
        return
    kinds = {made.system for made, _ in held}
    strong = text.tables.strong.search(text.low) is not None
    loose = strong or text.tables.loose.search(text.low) is not None
    for made, sure in held:
        letter = made.system[-1]
        near = text.low[max(0, made.start - 40) : made.end + 40]
        if not sure and len(kinds) < 2:
            if not (strong if letter == "T" else loose) or text.tables.never[letter].search(near):
                continue
        elif not sure and text.tables.never[letter].search(near) and not (strong and len(kinds) > 1):
            continue
        text.found.append(made)


def _tnm_run(text: _Text, match: re.Match[str]) -> tuple[Staging, bool] | None:
    """The mention that starts at a token of T, N or M, and whether its spelling alone makes it certain."""
    view, low = text.view, text.low
    first = _token(match)
    system = text.tables.by_name["TNM-" + first.letter]
    members = [_Member(first.written, "", "")]
    prefixes, qualifiers = [first.prefix] if first.prefix else [], list[str]()
    start, end, problem = match.start(), match.end(), None
    if view.startswith("(i", end) and (ihc := re.compile(r"\(i?[+-]?\)|\(i\s*[+-]\)|\(sn\)|\(mol\s*[+-]\)").match(view, end)):
        end = ihc.end()
    while link := _TNM_LINK.match(view, end):
        pos, kind = (
            link.end(),
            "range" if link["range"] else "and" if (link["list"] or "").strip(" ,").lower() in ("and", "&") else "or",
        )
        qualifier = _QUALIFIER.match(low, pos)
        if qualifier:
            pos = qualifier.end()
        comparator = ""
        if compared := _AHEAD.match(low, pos):
            comparator, pos = _kind(compared), compared.end()
        token = _TOKEN.match(view, pos)
        if token is not None:
            following = _token(token)
            if following.letter != first.letter or (link["range"] and following.written == "any"):
                break
            written, until = following.written, token.end()
            if following.prefix:
                prefixes.append(following.prefix)
        elif qualifier is None and not comparator and (more := _SUB_VALUE.match(view, pos)):
            if link["list"] and not _ENDS_LIST.match(view, more.end()):
                break
            if kind != "range" and _COUNTED.match(low, more.end()):
                break
            written, until = first.letter + more[0], more.end()
        elif (
            qualifier is None
            and not comparator
            and members[-1].written[-1].isalpha()
            and len(members[-1].written) > 2
            and (sub := _SUB_LETTER.match(view, pos))
        ):
            if sub[0] == "a" and (link["list"] or "").strip(" ,").lower() in ("or", "and", ""):
                break
            written, until = members[-1].written[:2] + sub[0], sub.end()
        else:
            break
        if system.read(written) is None and written not in (first.letter + "+", "any"):
            problem = f"{written} is no member of {system.name}"
        members.append(_Member(written, comparator, kind))
        if qualifier:
            qualifiers.append(qualifier[0].strip())
        end = until
    if _VERTEBRA.match(view, end) and first.letter == "T":
        return None
    sure = bool(prefixes) or (
        first.letter != "M" and any(len(member.written) > 2 and member.written not in ("any", "Tis") for member in members)
    )
    if first.written == "any" and len(members) == 1 and not match["any"] and not match["that"]:
        return None
    if (suffix := _SUFFIX.match(low, end)) and not (suffix[0].strip() == "+" and first.letter == "M"):
        members[-1] = members[-1]._replace(comparator="le" if suffix["down"] or suffix["most"] else "ge")
        close = suffix["close"]
        end = suffix.end() - (len(close) if close and "(" not in suffix[0] and "[" not in suffix[0] else 0)
    resolved = [
        member._replace(written=f"{first.letter}1", comparator="ge") if member.written == f"{first.letter}+" else member
        for member in members
    ]
    if any(member.written == "any" for member in resolved):
        values: tuple[str, ...] = tuple(node.value for node in system.nodes if not node.parents and (node.only is None))
        return Staging(
            start, end, system.name, values, text.edition(start, end, system.name), _prefix(prefixes), tuple(qualifiers)
        ), False
    if system.read(resolved[0].written) is None:
        return None
    made = _mention(text, system, _Run(resolved, qualifiers, False, start, end, problem), start, end, _prefix(prefixes))
    if made.prefix is None and (marked := _PREFIX.search(low, max(0, made.start - 24), made.start)):
        made = replace(made, prefix="c" if marked["c"] else "p")
    return replace(made, edition=text.edition(start, end, system.name)), sure


def _prefix(prefixes: list[str]) -> str | None:
    return "/".join(dict.fromkeys(prefixes)) or None


# --- all of it --------------------------------------------------------------------------------------------------------


# A text without any of these holds no stage, grade or class. Most texts are such, so it is a quick look: three words, and
# what begins with a capital.
_NAMED = re.compile(
    r"[TNMKGCRFHBILDSAE](?:[0-4xX+*]|is\b|a\b|.?(?:[aA]ny|[sS]tag|cat|\+)|YHA|ew York|hild|KD|CS\b|TP|anad|leason|OLD|G\s*[1-5]|"
    r"lobal|illip|anner|CLC|ai\b|-?ISS|inet|SUP|ontaine|utherford|ellgren|[-/&]?L\b|DIGO|oehn|\s*&\s*Y|ETAVIR|etavir|ukes|ugano|"
    r"nn Arbor|IGO|NSS|asaoka|[SD]-|lavien|ny [TNM]\b|UGH|LEASON)"
)
_WIDE = re.compile(r"[\uff01-\uff5e\u2160-\u217fІТМΤΜΝ]")
_TNM_GATE = re.compile(r"[TNM](?:[0-4xX+*]|is\b|a\b|.?(?:[aA]ny|[sS]tag|cat|\+))|[aA]ny [TNM]\b")


@lru_cache(maxsize=512)
def find(text: str) -> tuple[Staging, ...]:
    """The stages, grades and classes of disease in a text, in text order; offsets are those of the text given."""
    low = text.lower()
    words = "stage" in low or "grade" in low or "class" in low
    if (
        not words
        and "pugh" not in low
        and "gleason" not in low
        and "nyha" not in low
        and _NAMED.search(text) is None
        and _WIDE.search(text) is None
    ):
        return ()
    view, origin = _view(text)
    low = _lower(view)
    tnm = _TNM_GATE.search(view) is not None
    held = _Text(view, low)
    done = list(_after_names(held)) if held.names else []
    _at_words(held, done)
    if "sclc" in low or ("stage" in low and ("limited" in low or "exten" in low)):
        for match in _LIMITED.finditer(low):
            value = "limited" if (match["which"] or match["short"])[0] == "l" else "extensive"
            held.found.append(Staging(match.start(), match.end(), "stage", (value,)))
    if tnm:
        _tnm(held)
    found = sorted(held.found, key=lambda made: (made.start, -made.end))
    if origin is None:
        return tuple(found)
    return tuple(replace(made, start=origin[made.start], end=origin[made.end - 1] + 1) for made in found)


def parse_staging(text: str) -> tuple[Staging, ...]:
    """The stages, grades and classes of disease that a text names, as ordered sets, in text order.

    >>> [(stage.system, stage.values) for stage in parse_staging("AJCC stage IIIB-IV melanoma, NYHA class > II")]
    [('AJCC', ('IIIB', 'IIIC', 'IIID', 'IV')), ('NYHA', ('III', 'IV'))]
    >>> [(stage.system, stage.values, stage.qualifiers) for stage in parse_staging("T3 or resectable T4 tumor")]
    [('TNM-T', ('T3', 'T4'), ('resectable',))]
    >>> parse_staging("free T4 within normal range")
    ()
    """
    return find(text) or _alone(text)


def _alone(text: str) -> tuple[Staging, ...]:
    """The mention that is the whole of a text and has no word beside it: "IIIB-IV", "T2+", "N+"."""
    view, origin = _view(text.strip())
    if origin is not None or not 2 <= len(view) <= 40:
        return ()
    shift = len(text) - len(text.lstrip())
    for word, before in (("stage", "stage "), ("cancer", "cancer: ")):
        made = find(before + view)
        if len(made) == 1 and made[0].end == len(before) + len(view) and (word == "cancer" or re.match(r"[IV]{2}", view)):
            start = max(made[0].start - len(before), 0)
            return (replace(made[0], start=start + shift, end=len(view) + shift),) if start == 0 else ()
    return ()

"""The geometry of an eligibility text: rows, their bullets or numbers, and the blocks that wrapped rows make up.

Nothing here knows what the words mean. A row ends at a line break, at `<br>`, at the `~` of a tilde-joined export, or, where an
export lost its line breaks, at a long run of blanks. A block is a row together with the rows that were wrapped off it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

# "\n<br>" is one break: exports set a <br> beside the line break that they keep.
_BREAK = re.compile(
    r"(?:\r\n?|\n)?<br\s*/?>(?:\r\n?|\n(?!\s*<br))?|\r\n?|[\n\v\f\x85\u2028\u2029]|</?(?:p|li|ul|ol)>", re.IGNORECASE
)
_TAGS = ("<br", "<p>", "</p>", "<li>", "</li>", "<ul>", "</ul>", "<ol>", "</ol>")
_NEWLINE = re.compile("\n")  # all that most texts have, and many times faster
# "approx. ~5 cm" is no separator: in a joined export the tilde stands right behind a word or between blanks.
_TILDE = re.compile(rf"{_BREAK.pattern}|(?<![\s(])~|(?<=[.;:,)]) ?~", re.IGNORECASE)
_BLANKS = re.compile(rf"{_BREAK.pattern}|(?<=\S)(?= {{6,}}\S)", re.IGNORECASE)

_SYMBOL = r"[*•·・●○▪◦‣⁃∙■□☐◆◇♦➢►▶▸→⇒✓✔⚫⦁※§°¿\uf0a7\uf0b7\uf0d8\uf02d\uf0fc]"
_ROMAN = r"[ivx]{1,5}|[IVX]{1,5}"
_MARKER = re.compile(
    rf"""
      \\?(?P<symbol>{_SYMBOL})(?!\*)(?=\s|(?P<glued>\S))
    | \\?(?P<dash>[-–—−‐‑]{{1,3}}|\+)(?=\s|[A-Za-z≥≤<>("“'\[\\])
    | (?P<stars>\*{{2,3}})(?=\s)
    | (?P<o>o)(?=\s)
    | [(\[（](?:(?P<num_b>\d{{1,3}})|(?P<roman_b>{_ROMAN})|(?P<alpha_b>[A-Za-z]))\\?[)\]）](?=\s|[^\W\d]|[≥≤<>\\]|$)
    | (?P<dotted>\d{{1,2}}(?:\.\d{{1,2}})+)(?:\\?[.)])?(?=\s)
    | (?P<num>\d{{1,3}})(?P<num_end>\\?[.)\]:：、](?!\d)|[.)]-)(?=\s|[^\W\d]|[≥≤<>(\\]|$)
    | (?P<dashed>\d{{1,2}})(?:\s?[-–](?=\s+[^\W\d]|[A-Z])|,(?=\s+[A-Z]))
    | (?P<code>(?:INC|EXC|IC|EC|I|E|In|Ex)[- ]?\d{{1,2}})\s?[.):](?=\s|[A-Z])
    | (?P<roman>{_ROMAN})\\?(?P<roman_end>[.)])(?=\s|[A-Z]|$)
    | (?P<alpha>[A-Za-z])\\?(?P<alpha_end>[.)])(?=\s|[A-Z]|$)
    | (?P<circled>[①-⑳⑴-⒇])
    | \#?(?P<bare>\d{{1,2}})(?=\s+[A-Z≥≤<>\\])
    """,
    re.VERBOSE,
)
_NOISE = re.compile(r"[.:;,：]\s*(?=[A-Z])|[.:;,：]\s+(?=\S)")  # "criteria:" cut off in an export leaves ". * First item"
_SPACE = re.compile(r"[\s\u200b\ufeff]+")
_SPACE_OR_NONE = re.compile(r"[\s\u200b\ufeff]*")
_NAMES_NUMBER = re.compile(r"\b(?:type|grade|stage|class|and|or|to|day|visit|phase|part|of|than)\s+$")
_WORD = re.compile(r"[^\W_]")
_FIRST_WORD = re.compile(r"\S+")

_BLANK = " \t\xa0\u3000\u200b\ufeff\x0b\x0c\x1c\x1d\x1e\x1f\x85\r\n"
_TAB = 4
_WRAP_MAX = 130  # no export wraps wider; a longer row means that the text is not hard-wrapped
_WRAP_MIN = 60
_LEGACY = 100  # the registry's old XML is wrapped below this column and indented
# Words that no line ends with unless the sentence goes on in the next.
_OPEN_END = re.compile(
    r"(?:[(/&+≥≤<>=]|\b(?:the|a|an|of|to|with|in|for|by|than|at|on|from|as|is|are|be|been|have|has|had|not|no"
    r"|any|that|which|who|whose|must|will|should|if|their|this|these|prior|within|least|between|during|per|via))$",
    re.IGNORECASE,
)
_OPEN_START = re.compile(r"[),;\]]")
_OPEN_WORD = re.compile(r"(?:and|or|of|with|to|in|for|by|than|at|on|from|as|which|that|who)\b")


@dataclass(frozen=True, slots=True)
class Marker:
    """A bullet or number. `style` is equal for markers of one list; `ordinal` is 0 for a bullet."""

    start: int
    end: int
    style: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class _Row:
    start: int
    end: int
    indent: int
    gap: bool
    right: int  # the column at which it ends
    piece: bool = False  # cut out of a row behind something else
    alone: bool = False


@dataclass(slots=True)
class Block:
    """A row without its bullet, and the rows wrapped off it. `indent` and `body_indent` are columns."""

    start: int
    end: int
    indent: int
    body_indent: int
    markers: tuple[Marker, ...]
    gap: bool
    run_in: bool = False  # begins inside a row, so that further bullets may stand inside rows too
    alone: bool = False
    last: _Row | None = None  # its last row

    @property
    def style(self) -> str:
        """The style of its marker, "" where it has none."""
        return self.markers[-1].style if self.markers else ""

    @property
    def ordinal(self) -> int:
        """The number of its marker, 0 where that is a bullet."""
        return self.markers[-1].ordinal if self.markers else 0


def blocks(text: str, alone: Sequence[tuple[int, int]]) -> list[Block]:
    """The blocks of `text` in order. Rows are broken before and behind the spans `alone`, which are in order."""
    rows = list(_break_around(text, _rows(text), alone) if alone else _rows(text))
    return [piece for block in _unwrap(text, rows) for piece in _split_listed(text, block)]


# --- rows -------------------------------------------------------------------------------------------------------------


def _separator(text: str) -> re.Pattern[str]:
    newlines = text.count("\n")
    if "~" in text and newlines < text.count("~") // 2 and len(_TILDE.findall(text)) >= 2:
        return _TILDE
    if newlines <= 2 and len(_BLANKS.findall(text.strip())) >= 2:
        return _BLANKS
    odd = any(sign in text for sign in "\r\v\f\x85\u2028\u2029")
    if "<" in text:
        lower = text.lower()
        odd = odd or any(tag in lower for tag in _TAGS)
    return _BREAK if odd else _NEWLINE


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of the text and where they start, without what parts them."""
    separator = _separator(text)
    at = 0
    if separator is _NEWLINE:
        for line in text.split("\n"):
            yield at, line
            at += len(line) + 1
        return
    for m in separator.finditer(text):
        yield at, text[at : m.start()]
        at = m.end()
    yield at, text[at:]


def _rows(text: str) -> Iterator[_Row]:
    gap = True  # nothing stands above the first row
    for at, line in _lines(text):
        content = line.strip(_BLANK)
        if content:
            lead = len(line) - len(line.lstrip())
            indent = lead if "\t" not in line[:lead] else len(line[:lead].expandtabs(_TAB))
            start = at + (lead if line.startswith(content, lead) else line.index(content))
            yield _Row(start, start + len(content), indent, gap, indent + len(content))
        gap = not content


def _break_around(text: str, rows: Iterator[_Row], alone: Sequence[tuple[int, int]]) -> Iterator[_Row]:
    """The rows in pieces, so that each of the spans stands in a row of its own."""
    cuts = [cut for span in alone for cut in span]
    heads = {(start + len(text[start:end]) - len(text[start:end].lstrip()), end) for start, end in alone}
    for row in rows:
        inside = cuts[bisect_right(cuts, row.start) : bisect_left(cuts, row.end)]
        for piece in _pieces(text, row, inside) if inside else (row,):
            yield replace(piece, alone=True) if (piece.start, piece.end) in heads else piece


def _pieces(text: str, row: _Row, cuts: list[int]) -> Iterator[_Row]:
    gap = row.gap
    for start, end in zip([row.start, *cuts], [*cuts, row.end], strict=True):
        piece = text[start:end]
        if stripped := piece.strip():
            start += len(piece) - len(piece.lstrip())
            stop = start + len(stripped)
            yield _Row(start, stop, row.indent, gap, row.right - (row.end - stop), piece=start > row.start)
            gap = True  # a piece of a row is never wrapped off the piece before it


def _split_listed(text: str, block: Block) -> Iterator[Block]:
    """A block that begins with a bullet or number and goes on with the next ones ("- … - …", "1. … 2. …"), item by item."""
    first = block.markers[-1] if block.markers else None
    cuts: list[int] = []
    if first and block.end - block.start > 8:
        sign = text[first.start : first.end].lstrip("\\")
        if not first.ordinal and not sign.isalpha() and (block.run_in or sign in "•●▪■"):
            cuts = _bullets_within(text, sign, block.start, block.end)
        elif first.style in ("1.", "1)", "(1)", "a)", "(a)"):
            cuts = list(_numbers_within(text, first, block.start, block.end))
    if not cuts:
        yield block
        return
    yield replace(block, end=_stripped_end(text, block.start, cuts[0]))
    for cut, stop in pairwise([*cuts, block.end]):
        marker = _marker(text, cut, stop, {})
        start = _SPACE_OR_NONE.match(text, marker.end if marker else cut, stop)
        yield replace(
            block,
            start=start.end() if start else cut,
            end=_stripped_end(text, cut, stop),
            markers=(marker,) if marker else (),
            gap=True,
        )


def _stripped_end(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip())


def _numbers_within(text: str, first: Marker, start: int, end: int) -> Iterator[int]:
    """Where the numbers stand that go on from `first`. "Type 1 or 2. Foo" names a number and begins no item."""
    shape, sign = first.style, re.escape(first.style[-1])
    bracket = r"\(" if shape[0] == "(" else r"(?<=[\s.;,])"
    expected = first.ordinal + 1
    while expected < (27 if "a" in shape else 100):
        number = chr(96 + expected) if "a" in shape else str(expected)
        if f"{number}{first.style[-1]}" not in text[start:end]:
            return
        found = re.compile(rf"{bracket}{number}\\?{sign}(?=\s*[A-Za-z≥≤<>(])").search(text, start, end)
        if not found or _NAMES_NUMBER.search(text, max(start, found.start() - 12), found.start()):
            return
        yield found.start()
        start, expected = found.end(), expected + 1


def _bullets_within(text: str, bullet: str, start: int, end: int) -> list[int]:
    """Where the same bullet stands again between blanks. A dash between numbers or before a small word is no bullet."""
    if f" {bullet} " not in text[start:end]:
        return []
    found = list(re.compile(rf"(?<=\s){re.escape(bullet)}(?=\s+\S)").finditer(text, start, end))
    if not found:
        return []
    if bullet in "-–—−‐‑+":
        follows = [text[m.end() : end].lstrip()[:1] for m in found]
        capital = sum(f.isupper() for f in follows)
        found = [
            m
            for m, f in zip(found, follows, strict=True)
            if not (text[: m.start()].rstrip()[-1:].isdigit() and f.isdigit()) and (not f.islower() or capital * 2 < len(follows))
        ]
        if len(found) < 2 and not capital:
            return []
    return [m.start() for m in found]


# --- markers ----------------------------------------------------------------------------------------------------------


_OPENS_MARKER = "ivxIVXEe"  # the letters with which a marker of several letters begins: "iv.", "Ex1:"


def _roman(numeral: str) -> int:
    values = [{"i": 1, "v": 5, "x": 10}[letter] for letter in numeral.lower()]
    return sum(-v if any(w > v for w in values[i + 1 :]) else v for i, v in enumerate(values))


def _marker(text: str, start: int, end: int, seen: dict[str, int]) -> Marker | None:
    """The marker at `start`. `seen` holds the last ordinal of each style: a doubtful number must go on with its list."""
    sign = text[start : start + 2]
    if sign.isalpha() and sign[0] not in _OPENS_MARKER and len(sign) == 2:
        return None  # a word: the common case, and cheaper to see than by the pattern
    m = _MARKER.match(text, start, end)
    if m is None:
        return None
    if bullet := m["symbol"] or m["stars"] or m["dash"] or m["o"]:
        return Marker(start, m.end(), "-" if m["dash"] else bullet + ("_" if m["glued"] else ""), 0)
    if number := m["num_b"] or m["num"] or m["dashed"] or m["bare"]:
        ordinal = int(number)
        style = "(1)" if m["num_b"] else f"1{m['num_end'].lstrip(chr(92))}" if m["num"] else "1-" if m["dashed"] else "1"
        if not (m["num_b"] or m["num"]) and ordinal != 1 and seen.get(style) != ordinal - 1:
            return None
        if m["num"] and re.match(r"[.)]?\s(?:(?:or|and|to)\s\d|degree\b)", text[m.end() - 1 : m.end() + 10]):
            return None  # "2. or 3. degree block"
    elif m["dotted"]:
        parts = [int(part) for part in m["dotted"].split(".")]
        ordinal, style = parts[-1], "1" + ".1" * (len(parts) - 1)
        closed = m.end() > m.end("dotted")
        if not closed and parts[-1] != 1 and seen.get(style) != ordinal - 1:
            return None
        if not closed and not re.match(r"\s+[A-Z]", text[m.end() : end]):
            return None  # "1.5 x ULN" at the start of a row
    elif m["code"]:
        ordinal, style = int(re.sub(r"\D", "", m["code"])), "I1"
    elif m["circled"]:
        ordinal, style = (ord(m["circled"]) - ord("①")) % 20 + 1, "①"
    else:
        letters = m["roman_b"] or m["roman"] or m["alpha_b"] or m["alpha"]
        shape = "({})" if m["roman_b"] or m["alpha_b"] else "{}" + (m["roman_end"] or m["alpha_end"])
        case = str.upper if letters.isupper() else str.lower
        alpha = shape.format(case("a"))
        if len(letters) == 1 and (not (m["roman_b"] or m["roman"]) or seen.get(alpha) == ord(letters.lower()) - 97):
            ordinal, style = ord(letters.lower()) - 96, alpha
        else:
            ordinal, style = _roman(letters), shape.format(case("i"))
        starts_item = letters.islower() and re.match(r"\s+[A-Z≥≤<>\\]", text[m.end() : end])
        if ordinal != 1 and seen.get(style) != ordinal - 1 and len(letters) == 1 and not starts_item:
            return None  # "E. coli", "C) and D)"
    return Marker(start, m.end(), style, ordinal)


# --- blocks -----------------------------------------------------------------------------------------------------------


def _wrap_width(text: str, rows: list[_Row]) -> int:
    """The column at which the text is hard-wrapped, 0 where it is not.

    A row was wrapped where the first word of the next would not have fitted. In a wrapped text that holds for most rows that are
    followed at once by a row without a bullet; in a list of short lines it holds for the longest at most.
    """
    width = max((row.right for row in rows), default=0)
    if not _WRAP_MIN <= width <= _WRAP_MAX:
        return 0
    pairs = filled = 0
    for row, below in pairwise(rows):
        if not below.gap and not _MARKER.match(text, below.start, below.end):
            pairs += 1
            filled += _filled(text, row, below, width)
    return width if (filled >= 3 and filled * 2 >= pairs) or (filled and width - 10 <= _LEGACY and rows[-1].indent >= 6) else 0


def _filled(text: str, row: _Row, below: _Row, width: int) -> bool:
    first = _FIRST_WORD.match(text, below.start, below.end)
    return first is not None and row.right + 1 + first.end() - first.start() > width


def _past_noise(text: str, start: int, end: int) -> int:
    if start < end and text[start] in ".:;,：" and (noise := _NOISE.match(text, start, end)):
        return noise.end()
    return start


def _unwrap(text: str, rows: list[_Row]) -> list[Block]:
    width = _wrap_width(text, rows)
    starts = [text[row.start] for row in rows if not width or row.gap]
    sentence_case = sum(c.islower() for c in starts) <= 0.4 * len(starts)
    made: list[Block] = []
    seen: dict[str, int] = {}
    for row in rows:
        markers: list[Marker] = []
        at = _past_noise(text, row.start, row.end)
        while len(markers) < 3 and (marker := _marker(text, at, row.end, seen)):
            # Behind a number only a further number or letter can follow, and a dash only before a blank.
            if markers and markers[-1].ordinal and not marker.ordinal and marker.style not in ("•", "●", "·"):
                break
            markers.append(marker)
            space = _SPACE.match(text, marker.end, row.end)
            at = space.end() if space else marker.end
        at = _past_noise(text, at, row.end)
        if made and _belongs(text, made[-1], row, markers, width, sentence_case):
            last = made[-1]
            if last.start == last.end:
                last.start = row.start
            last.end = row.end
            last.last = row
            continue
        for marker in markers:
            if marker.ordinal:
                seen[marker.style] = marker.ordinal
        block = Block(
            at,
            row.end,
            row.indent,
            row.indent + at - row.start,
            tuple(markers),
            row.gap,
            row.piece or len(rows) < 3,
            row.alone,
        )
        block.last = row
        made.append(block)
    return made


def _belongs(text: str, block: Block, row: _Row, markers: list[Marker], width: int, sentence_case: bool) -> bool:
    """Whether `row` was wrapped off `block`."""
    above = block.last
    if above is None or block.start >= block.end:  # a bullet alone on its row
        return not markers
    indent, before, after = above.indent, text[above.start : above.end], text[row.start : row.end]
    filled = bool(width) and _filled(text, above, row, width)
    if markers:
        # "… younger than / 18. Patients": a number that a wrap put at the start of a row, in the column of the text
        return bool(
            filled
            and not row.gap
            and row.indent == block.body_indent != block.indent
            and markers[0].ordinal
            and (markers[0].ordinal != block.ordinal + 1)
            and markers[0].ordinal != 1
        )
    if row.gap and not row.alone and not block.alone and not after[0].isupper():
        open_bracket = text.count("(", block.start, block.end) > text.count(")", block.start, block.end)
        return open_bracket and row.indent >= block.body_indent
    if row.gap or row.alone or block.alone or not _WORD.search(text, block.start, block.end):
        return False
    open_end = bool(_OPEN_END.search(before[-12:])) or (before.count("(") > before.count(")") and not after[0].isupper())
    lower = sentence_case and after[0].islower()
    goes_on = open_end or bool(_OPEN_START.match(after))
    if width:
        goes_on = goes_on or before[-1] == "," or bool(_OPEN_WORD.match(after)) or (lower and before[-1] not in ".:;")
    if block.markers:
        if row.indent >= min(block.body_indent, block.indent + 2) and row.indent > block.indent:
            return before[-1] != ":" or filled
        if filled and row.indent == indent and (after[0].islower() or before[-1] not in ".;:"):
            return True
        if after[0].islower() and before[-1] not in ".;:,":
            return True  # a bullet's sentence goes on without an indent
        return goes_on and (filled or not before.endswith(":"))
    if row.indent != indent:
        return filled and goes_on and row.indent > indent
    return filled or (goes_on and before[-1] != ":")

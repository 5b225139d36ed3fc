"""Eligibility text → sections → criteria, with every character in a segment.

    split(text)   the criteria, segments and warnings of one eligibility text

The layout gives blocks; a block is read as a heading, a note or an item; items form a tree by indent and numbering; an item is
then cut into inline lists or, where the section is prose, sentences. Polarity comes from the headings, else from the
sentence's own words, else it is `unspecified`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from typing import Literal, NamedTuple, cast

from critnlp import layout, lexicon, schema
from critnlp.cleaning import clean

Kind = schema.Kind
Span = tuple[int, int]


class Split(NamedTuple):
    """What a text was split into. `criteria` hold no entities yet and the rule `unsupported: unparsed`."""

    criteria: tuple[schema.Criterion, ...]
    segments: tuple[schema.Segment, ...]
    warnings: tuple[schema.Warning, ...]


# --- what a line can be -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that sets polarity, cohort or topic for what follows. None leaves a property as it is."""

    rank: Literal["section", "polarity", "cohort", "topic"]
    kind: Kind | None = None
    cohorts: tuple[str, ...] | None = None
    pdq: bool = False
    neutral: bool = False  # "Eligibility criteria": both polarities may follow


@dataclass(slots=True)
class Node:
    """An item of the tree while it grows; `heading` marks a bulleted heading, which is dissolved at the end."""

    start: int
    end: int
    indent: float
    style: str
    ordinal: int
    section: Section
    parent: Node | None
    heading: Heading | None = None
    lead: bool = False
    unmarked: bool = False
    gap: bool = False
    note: bool = False
    children: list[Node] = field(default_factory=list)
    tails: list[Span] = field(default_factory=list)
    id: str = ""
    kind: Kind = "unspecified"
    cohorts: tuple[str, ...] = ()


@dataclass(slots=True)
class Section:
    """What the headings above a line say."""

    kind: Kind | None = None
    cohorts: tuple[str, ...] = ()
    pdq: bool = False
    neutral: bool = False
    nodes: int = 0
    heading: Span | None = None


_EMPHASIS = re.compile(r"\*{2,}|_{2,}|(?<!\w)[*_](?=\w)|(?<=[\w:.])[*_](?!\w)|\\(?=[!-/:-@\[-`{-~])|</?(?:b|u|i|strong|em)>")
_FOLD = re.compile(r"\s+")
_PUNCTUATION = " \t.:：;,-–—•*#=_\"'“”‘’"
_BRACKETS = re.compile(r"[()\[\]{}]")


def _plain(text: str) -> str:
    """The words of a line without emphasis, folded, in lower case."""
    return _FOLD.sub(" ", _EMPHASIS.sub("", text)).strip().lower()


@cache
def _filler() -> frozenset[str]:
    return frozenset(w for row in lexicon.table("heading_words") if row["role"] == "filler" for w in row["words"].split())


@cache
def _modifiers() -> str:
    words = [w for row in lexicon.table("heading_words") if row["role"] == "modifier" for w in row["words"].split()]
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


@cache
def _sections() -> tuple[tuple[re.Pattern[str], str, Kind | None], ...]:
    """(pattern of the whole line, role, kind), most specific first as in the table."""
    made = []
    for row in lexicon.table("headings"):
        if row["role"] == "topic":
            continue
        behind = (
            r"(?P<behind>(?:[\s:]*(?:for|of|in|at|during|prior to|before|after|specific|related|applicable|assessed|only|all"
            r"|include|includes|including|are|is|to be|will be|as follows?|listed|must|step|phase|part|cohort|group|arm|stage"
            r"|visit|run-in|screening|randomization|recipients?|donors?|controls?|patients?|healthy|[-–—/(,\[]).{0,100})?)"
        )
        pattern = rf"(?P<before>(?:[\w/&+'’.,()-]+ ){{0,7}}?)(?:{row['phrase']}){behind}\s*[:：.;,\-–—]*"
        made.append((re.compile(pattern), row["role"], cast("Kind | None", row["kind"] or None)))
    return tuple(made)


@cache
def _topics() -> re.Pattern[str]:
    phrases = "|".join(row["phrase"] for row in lexicon.table("headings") if row["role"] == "topic")
    return re.compile(rf"(?:{phrases})(?: (?:and|or|/|&) (?:{phrases}))?(?: criteria| requirements| parameters)?")


@cache
def _cohort_patterns() -> dict[str, re.Pattern[str]]:
    rows = lexicon.table("cohorts")
    roles = {role: "|".join(r["pattern"] for r in rows if r["role"] == role) for role in {r["role"] for r in rows}}
    number = r"(?:\d{1,2}[a-z]?(?:\.\d)?|[ivx]{1,4}[ab]?(?![\w])|[a-h]\d?(?![\w']))"
    numbers = rf"#?{number}(?:(?:\s?(?:,|/|&|-|–|\band\b|\bor\b|\bto\b|\+)\s?)+(?:(?:{roles['group']}) )?{number})*"
    group = rf"(?:{roles['group']})\s*{numbers}"
    return {
        "group": re.compile(group, re.IGNORECASE),
        "population": re.compile(roles["population"], re.IGNORECASE),
        "everyone": re.compile(roles["everyone"], re.IGNORECASE),
        "patients": re.compile(roles["patients"], re.IGNORECASE),
        "prefix": re.compile(
            rf"(?:(?:for|in) )?(?:(?:patients|participants|subjects|those) (?:in|on|enrolled in|entering) )?"
            rf"(?P<name>{group})(?: \([^)]{{1,40}}\))?(?: (?:patients|participants|subjects))?(?: only)?\s*(?:[:–]|,|-(?=\s)|only\b)",
            re.IGNORECASE,
        ),
        "suffix": re.compile(
            rf"[(\[](?:for |in |applies to |applicable to |only )?(?P<name>(?:{roles['group']})\s*{numbers})"
            rf"(?P<only> (?:patients |participants |subjects )?only)?[)\]]",
            re.IGNORECASE,
        ),
        "number": re.compile(rf"#?{number}(?=$|[\s,/&+–)-])", re.IGNORECASE),
    }


@cache
def _note_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return lexicon.load("notes", lambda row: (re.compile(row["pattern"], re.IGNORECASE), row["role"]))


@cache
def _polarity_patterns() -> tuple[tuple[re.Pattern[str], Kind], ...]:
    return lexicon.load("polarity", lambda row: (re.compile(row["pattern"], re.IGNORECASE), cast(Kind, row["kind"])))


@cache
def _inline_headings() -> re.Pattern[str]:
    """Headings that stand inside a row, or at its start with words behind them."""
    name = r"(?:In|Ex|IN|EX|Non-In)(?:clusion|CLUSION)"
    criteria = r"(?:[Cc]riteri(?:a|on)|CRITERIA)"
    modifier = r"(?:(?:Key|Main|Major|General|Additional|Specific|KEY|MAIN|GENERAL|MAJOR|Principal|Primary|Patient|Subject) )?"
    return re.compile(
        rf"(?<![\w\"“'(])(?<!\b[Tt]he )(?<!\b[Ss]ee )(?<!\b[Oo]ther )(?<!\bany )(?<!\bin )(?<!\bper )(?<!\ball )(?<!/ )(?<!\band )"
        rf"[*_]*{modifier}{name} {criteria}(?: \([^()]{{1,40}}\))?[*_]*\s?[:：][*_]*"
        rf"|(?m:^\s*)[*_]*(?:[Ii]nclusion|[Ee]xclusion) (?:criteria )?(?:for|of|-) [^.:\n]{{1,60}}:(?=\s)"
        rf"|(?<![\w/])(?:DISEASE CHARACTERISTICS|PATIENT CHARACTERISTICS|PRIOR[ /]CONCURRENT THERAPY|DONOR CHARACTERISTICS)\s?:"
        rf"|(?m:^)[*_]*(?:Inclusion|Exclusion|Inclusions|Exclusions|INCLUSION|EXCLUSION)\s?:[*_]*"
    )


# --- headings ---------------------------------------------------------------------------------------------------------

_CUE = re.compile(r"inclu|exclu|eligib|criteri|must|require|allow|permit|qualif|particip|enrol|characteristics|therapy|:\W*$")
_EXCLUDES = re.compile(
    r"\bexclu[ds]|\bineligible|\bnot\b.{0,20}\b(?:eligible|allowed|permitted|qualify|included|participate|have|enrol|enter|meet|be)"
    r"|\b(?:may|must|can|will|should|do|does|shall)(?:not| not)\b|\bcannot\b|disqualif|\bprohibited\b|\bnone of\b"
)
_INCLUDES = re.compile(r"\binclu(?:de|ded|sion)\b|\beligib|\bmust\b|\brequire|\bmeet|\bfulfil|\bsatisf|\benrol|\baccepted\b|\bqualif|\bparticipa|\bto enter\b")
_LOGIC_ANY = re.compile(r"\b(?:any|either|one or more|1 or more|at least (?:one|two|three|\d)|one of|[1-9] of)\b")
_LOGIC_ALL = re.compile(r"\b(?:all|both|each)\b")
_TOKEN = re.compile(r"[^\s,;/]+")
# What makes a line ending in ":" a requirement (a lead-in) and not a mere topic.
_REQUIRES = re.compile(
    r"\b(?:must|has|have|having|had|adequate|normal|acceptable|sufficient|following|followed|defined|within|history|evidence|any"
    r"|one|either|all of|both|least|able|willing|confirmed|diagnosed|positive|negative|no|not|without|known|presence|receiv\w+"
    r"|treated|use of|using|who|whose|with|if|criteria|meet\w*|includ\w+|such as|unless|except\w*|other than|are|is|be|been|should|will|may|can"
    r"|male|males|female|females|men|women|uncontrolled|severe|active|significant|prior to|during|requir\w+|abnormal|impaired"
    r"|days?|weeks?|months?|years?)\b|[≥≤<>=\d]|n't\b"
)


def _cohort_names(text: str) -> tuple[str, ...]:
    """The cohorts that a phrase names: "Cohorts A and B" is two, "Healthy controls" one."""
    name = re.sub(r"\s+only$", "", _FOLD.sub(" ", text).strip(_PUNCTUATION), flags=re.IGNORECASE)
    group = _cohort_patterns()["group"].fullmatch(name)
    if not group:
        return (name,)
    first = re.match(r"(.*?[A-Za-z])s?\s*(?=#?(?:\d|[ivxIVXa-hA-H]+\b))", name)
    numbers = [m[0].lstrip("#") for m in _cohort_patterns()["number"].finditer(name, first.end() if first else 0)]
    if not first or len(numbers) < 2 or re.search(r"\d\s?(?:-|–|to)\s?\d", name):
        return (name,)
    return tuple(f"{first[1]} {number}" for number in numbers)


def _as_cohort(text: str, *, others: bool) -> tuple[str, ...] | None:
    """The cohorts that a whole line names, () for "all cohorts", None where it names none. `others`: other populations exist."""
    phrase = _FOLD.sub(" ", _EMPHASIS.sub("", text)).strip(_PUNCTUATION + "()[]")
    phrase = re.sub(r"^(?:for|in|the|criteria for|specific to|applies to|applicable to) (?:the )?", "", phrase, flags=re.IGNORECASE)
    patterns = _cohort_patterns()
    named = re.sub(r"\s*(?:\([^)]*\)|\b(?:only|participants|patients|subjects|population))$", "", phrase, flags=re.IGNORECASE)
    if not named or len(named) > 70:
        return None
    if patterns["everyone"].fullmatch(named) or patterns["everyone"].fullmatch(phrase):
        return ()
    label = re.match(rf"({patterns['group'].pattern})(?:\s*(?:[:–—(-]|\bonly\b).{{0,60}})?$", named, re.IGNORECASE)
    if label:
        return _cohort_names(label[1])
    if patterns["population"].fullmatch(phrase) or patterns["population"].fullmatch(named):
        return (phrase,)
    if others and patterns["patients"].fullmatch(phrase):
        return (phrase,)
    return None


def _section_heading(plain: str, raw: str, others: bool) -> Heading | None:
    """ "Key inclusion criteria for Part B:" and its many relatives."""
    for pattern, role, kind in _sections():
        m = pattern.fullmatch(plain)
        if not m:
            continue
        if role == "pdq":
            return Heading("section", kind, (), pdq=True) if not m["before"] and len(plain) < 60 else None
        before, behind = m["before"].strip(" ,-–:("), m["behind"].strip()
        bare = re.sub(rf"\b(?:{_modifiers()})\b|[/&,]|\band\b", " ", before).strip()
        colon = plain.rstrip().endswith((":", "："))
        if re.search(r"\b(?:is|are|was|were|not|meet\w*|who|if|no|per|see|other than|the following)\b", bare):
            return None
        if plain.startswith("criteria") and kind is None and (behind.strip(" :.") or before):
            return None
        if behind and not colon and (len(plain.split()) > 12 or re.match(r"(?:are|is|include|including|must|will|of the)\b", behind)):
            return None
        if not behind and not colon and len(before.split()) > 3 and not raw.istitle() and not raw.isupper():
            return None
        if re.search(r"\.\s+\w", plain):
            return None
        cohorts: tuple[str, ...] | None = ()
        scope = re.sub(r"^[\s:]*(?:for|of|in|at|specific to|related to|applicable to|[-–—/(,\[]+)\s*", "", behind)
        for phrase in (scope, bare):
            original = _slice_like(raw, phrase)
            if phrase and (found := _as_cohort(original, others=True)):
                cohorts = found
                break
            if phrase and phrase is scope and len(phrase.split()) <= 8 and re.match(r"[\s:]*(?:for|-|–|—|\()", behind):
                if not _all_filler(phrase) and not re.match(r"(?:screening|enrol|randomi|study|entry|assessed|abbrev|main|key|must|prior|before)", phrase):
                    cohorts = (_FOLD.sub(" ", original).strip(_PUNCTUATION + "()[]"),)
                    break
        return Heading("section", kind, cohorts, neutral=kind is None)
    return None


def _slice_like(raw: str, phrase: str) -> str:
    """`phrase` as `raw` writes it."""
    words = phrase.strip(_PUNCTUATION + "()[]").split()
    m = re.search(r"\W+".join(map(re.escape, words)), raw, re.IGNORECASE) if words else None
    return m[0] if m else phrase


def _all_filler(plain: str) -> bool:
    words = [w.strip("().:;,\"'’“”[]*_-–—") for w in _TOKEN.findall(plain)]
    return all(w in _filler() for w in words if w)


def _polarity_heading(plain: str, section: Kind | None) -> Heading | None:
    """ "You may be eligible if you:", "Patients with any of the following are excluded:": filler words and a polarity."""
    if len(plain) > 220 or not _all_filler(plain):
        return None
    words = plain.split()
    colon = plain.endswith((":", "："))
    excludes, includes = _EXCLUDES.search(plain), _INCLUDES.search(plain)
    if not excludes and not includes and (section is None or not colon):
        return Heading("topic") if colon and not _LOGIC_ANY.search(plain) and not _LOGIC_ALL.search(plain) else None
    if not colon and len(words) < 4 and plain.strip(_PUNCTUATION) not in ("excluded", "allowed", "required"):
        return None
    kind: Kind | None = "exclusion" if excludes else "inclusion" if includes else section
    if kind == "inclusion" and _LOGIC_ANY.search(plain) and not re.search(r"\bonly if\b|all of", plain):
        return None  # an alternative: a lead-in
    if kind == "exclusion" and re.search(r"\b(?:all|both) (?:of )?(?:the )?(?:following|these)\b", plain) and section == "exclusion":
        return None
    if not excludes and not includes:
        return Heading("topic") if not (_LOGIC_ANY.search(plain) or _LOGIC_ALL.search(plain)) or kind == "exclusion" else None
    if plain.startswith(("allowed", "permitted", "recommended")):
        kind = section or kind
    return Heading("polarity", kind)


def _read_heading(raw: str, *, marked: bool, section: Section, others: bool) -> Heading | None:
    """The heading that a line is, or None."""
    if len(raw) > 240:
        return None
    plain = _plain(raw)
    bare = plain.strip(_PUNCTUATION)
    if not bare:
        return None
    colon = plain.endswith((":", "："))
    if _CUE.search(plain):
        if len(plain) <= 160 and (found := _section_heading(plain, raw, others)) and (not marked or found.kind or colon):
            return found
        if found := _polarity_heading(plain, section.kind):
            return found
    if len(bare) > 80:
        return None
    if (colon or not marked) and (cohorts := _as_cohort(raw, others=others)) is not None:
        label = bool(_cohort_patterns()["group"].match(re.sub(r"^(?:for|in)\s+", "", bare)))
        if colon or label or cohorts == () and len(bare.split()) <= 3:
            return Heading("cohort", cohorts=cohorts)
    emphasised = raw.lstrip().startswith(("**", "__")) or (raw.isupper() and len(raw) > 4)
    if not marked and (colon or emphasised) and bare.count(" ") < 6:
        if _topics().fullmatch(bare) or not _REQUIRES.search(bare):
            return Heading("topic")
    return None


# --- the tree ---------------------------------------------------------------------------------------------------------

_LEADS = re.compile(r"(?::|：|:-|\bfollowing|\bdefined (?:as|by)|\bone of|\bany of|\ball of|\bincluding|\bsuch as)\W*$", re.IGNORECASE)
_WORDS = re.compile(r"[^\W_]")


def _is_noise(text: str, start: int, end: int) -> bool:
    return not _WORDS.search(text, start, end)


def _note_role(text: str) -> str | None:
    for pattern, role in _note_patterns():
        if pattern.search(text):
            return role
    return None


@dataclass(slots=True)
class _Tree:
    """The items of a text in order, and what is no item."""

    nodes: list[Node] = field(default_factory=list)
    pieces: list[tuple[schema.SegmentType, int, int]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


_RELAXES = re.compile(r"\b(?:patients?|subjects?|participants?|women|men|individuals|those|eligible|allowed|permitted|excluded|exclusion|exception|acceptable|need not)\b", re.IGNORECASE)


def _grow(text: str) -> _Tree:
    tree = _Tree()
    section = Section()
    tree.sections.append(section)
    outer: tuple[str, ...] = ()  # cohorts set above a section heading
    stack: list[Node] = []
    base_kind: Kind | None = None
    base_cohorts: tuple[str, ...] = ()
    found = layout.blocks(text, _inline_headings())
    others = _has_populations(text)
    cohort_pending = False
    for i, block in enumerate(found):
        raw = text[block.start : block.end]
        marked = bool(block.markers)
        for marker in block.markers:
            tree.pieces.append(("marker", marker.start, marker.end))
        if _is_noise(text, block.start, block.end):
            if block.end > block.start:
                tree.pieces.append(("marker", block.start, block.end))
            continue
        heading = _read_heading(raw, marked=marked, section=section, others=others)
        if heading and heading.rank in ("topic", "cohort") and not marked and i + 1 < len(found):
            follower = found[i + 1]
            if heading.rank == "topic" and follower.indent < block.indent:
                heading = None if not raw.rstrip().endswith(":") else heading
        if heading and marked and heading.rank != "section" and _deeper(found, i):
            node = _attach(stack, block, section, heading)
            tree.pieces.append(("heading", block.start, block.end))
            cohort_pending = False
            del node
            continue
        if heading:
            tree.pieces.append(("heading", block.start, block.end))
            stack.clear()
            span = (block.start, block.end)
            if heading.rank == "section":
                base_kind = heading.kind
                if cohort_pending:
                    outer = section.cohorts
                base_cohorts = heading.cohorts or outer
                section = Section(heading.kind, base_cohorts, heading.pdq, heading.neutral, heading=span)
            elif heading.rank == "polarity":
                kind = heading.kind
                if base_kind is None and not section.pdq:
                    base_kind = kind
                section = Section(kind, section.cohorts, section.pdq, heading=span)
            elif heading.rank == "cohort":
                section = Section(section.kind, heading.cohorts or (), section.pdq, section.neutral)
                if heading.cohorts == ():
                    outer = ()
            else:
                section = Section(base_kind if not section.pdq else section.kind, section.cohorts, section.pdq, section.neutral)
            cohort_pending = heading.rank == "cohort"
            tree.sections.append(section)
            continue
        cohort_pending = False
        role = _note_role(raw) if len(raw) < 600 else None
        if role == "incomplete":
            tree.incomplete.append(_FOLD.sub(" ", raw).strip())
        if role and _is_note(role, raw, marked):
            tree.pieces.append(("note", block.start, block.end))
            continue
        node = _attach(stack, block, section, None)
        node.note = role == "note"
        section.nodes += 1
        tree.nodes.append(node)
    return tree


def _is_note(role: str, raw: str, marked: bool) -> bool:
    """Whether a line with a note's words requires nothing; a bulleted note, or one about patients, is a criterion that modifies."""
    if role == "note":
        return not marked and not _RELAXES.search(raw)
    if role == "incomplete":
        return len(raw) < 350 and not re.search(r"\.\s+[A-Z]\w+.*\b(?:must|exclu|have)\b", raw)
    return True


def _has_populations(text: str) -> bool:
    return bool(re.search(r"(?i)\b(?:healthy|normal) (?:controls?|volunteers?)|\bcontrols?\b\W*:|\bdonors?\b|\bcaregivers?\b|\bcontrol group\b|\bparents?\b\W*:", text))


def _deeper(found: Sequence[layout.Block], i: int) -> bool:
    return i + 1 < len(found) and bool(found[i + 1].markers) and found[i + 1].indent > found[i].indent


def _attach(stack: list[Node], block: layout.Block, section: Section, heading: Heading | None) -> Node:
    """Hangs a block into the tree: pops the open items that it cannot stand below, and goes below the last that is left."""
    marked = bool(block.markers)
    indent = float(block.indent)
    if marked:
        while stack and not _holds(stack[-1], block, indent):
            stack.pop()
    else:
        # A line without a bullet ends every list, unless it stands below a line that announced it.
        while stack:
            top = stack[-1]
            if indent > top.indent and not top.unmarked and (top.lead or indent >= top.indent + 1):
                break
            if top.lead and not top.unmarked and not block.gap and indent >= top.indent and top.children and top.children[-1].unmarked:
                break
            if top.lead and not top.unmarked and not top.children:
                break
            if top.lead and not top.unmarked and top.children and top.children[-1].unmarked and top.children[0].gap:
                break
            if top.lead and top.unmarked and not block.gap and (top.gap or top.children or indent > top.indent):
                break
            stack.pop()
    parent = stack[-1] if stack else None
    node = Node(block.start, block.end, indent, block.style, block.ordinal, section, parent, heading)
    node.unmarked, node.gap = not marked, block.gap
    if parent:
        parent.children.append(node)
    stack.append(node)
    return node


def _holds(top: Node, block: layout.Block, indent: float) -> bool:
    """Whether a bulleted block stands below `top`."""
    if indent < top.indent - 0.5:
        return bool(top.unmarked and top.lead)
    if top.unmarked:
        return top.lead
    if indent > top.indent + 1:
        return not (top.style == block.style and block.ordinal and block.ordinal == top.ordinal + 1)
    # Same column: another style of marker opens a list of its own, if the item announces one or the numbering starts anew.
    if block.style == top.style or _ancestor_of_style(top, block, indent):
        return False
    if block.ordinal == 1 and top.ordinal:
        return True
    if block.ordinal == 0 and (top.ordinal or top.lead):
        return True
    return block.ordinal == 1 and top.lead


def _ancestor_of_style(node: Node, block: layout.Block, indent: float) -> bool:
    above = node.parent
    while above:
        if above.style == block.style and abs(above.indent - indent) <= 1:
            return not (block.ordinal == 1)
        above = above.parent
    return False


# --- inside an item ---------------------------------------------------------------------------------------------------

_INLINE = re.compile(
    r"(?<![\w.\-])(?P<open>[(\[])?(?:(?P<num>\d{1,2})|(?P<roman>[ivx]{1,4}(?=[)\]]))|(?P<alpha>[a-zA-Z]))[)\]](?=\s|[^\W\d]|[≥≤<>])"
    r"|(?<=[:;,.] )(?P<dot>\d{1,2})\.(?=\s+[A-Z])"
)
_TAIL = re.compile(
    r"[,;]\s+(?=(?:within|prior to|before|in the (?:last|past|previous)|during|at (?:screening|baseline|study entry|the time)"
    r"|as (?:assessed|determined|judged)|unless|obtained|in the opinion)\b)"
)
_ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|vs|dr|drs|no|nos|approx|ca|cf|etc|al|st|mr|ms|mrs|prof|fig|sp|spp|resp|incl|min|max|inc|dept|u\.s|a\.m|p\.m|eq|ref|viz|wt|pt|pts|yr|yrs|mo|wk|hr|hrs)|\b[a-z])\.$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]+[\"”’')\]]*(?=\s+[\"“'(\[*]*[A-Z≥≤<>0-9])|[;.]\s*(?=\n\s*\n)")


def _sentences(text: str, start: int, end: int) -> list[Span]:
    """The sentences of a stretch of prose, without the blanks between them."""
    spans: list[Span] = []
    at = start
    for m in _SENTENCE_END.finditer(text, start, end):
        word = text[max(at, m.start() - 12) : m.start() + 1]
        if _ABBREVIATED.search(word) and not re.search(r"\betc\.$", word):
            continue
        follower = text[m.end() : end].lstrip()[:1]
        if text.count("(", at, m.start()) > text.count(")", at, m.end()) or (follower.isdigit() and text[m.start() - 1].isdigit()):
            continue
        spans.append((at, m.end()))
        at = m.end() + len(text[m.end() : end]) - len(text[m.end() : end].lstrip())
    if at < end:
        spans.append((at, end))
    return spans


@dataclass(frozen=True, slots=True)
class _Listed:
    marker: Span
    body: Span


def _inline_list(text: str, start: int, end: int) -> tuple[Span | None, list[_Listed], list[Span]]:
    """(the words before the list, its items, the words of the parent behind it); no items where there is no list."""
    hits = [m for m in _INLINE.finditer(text, start, end) if m["open"] or m["dot"] or not _closes(text, start, m)]
    for first in hits:
        style = _inline_style(first, 1)
        if style is None:
            continue
        chain, ordinal = [first], 2
        for m in hits:
            if m.start() > chain[-1].end() and _inline_style(m, ordinal) == style:
                chain.append(m)
                ordinal += 1
        if len(chain) < 2:
            continue
        cuts = [*(m.start() for m in chain[1:]), end]
        items = [_Listed(m.span(), _trim(text, m.end(), cut)) for m, cut in zip(chain, cuts, strict=True)]
        if any(b - a < 4 or not re.search(r"[^\W\d_]{2}", text[a:b]) for a, b in (item.body for item in items)):
            continue
        if any(re.fullmatch(r"\W*(?:and|or|to|and/or)\W*", text[a:b]) for a, b in (item.body for item in items)):
            continue
        last, tails = _cut_tail(text, items)
        before = _trim(text, start, first.start())
        return (before if before[0] < before[1] else None), [*items[:-1], last], tails
    return None, [], []


def _inline_style(m: re.Match[str], ordinal: int) -> str | None:
    """The list style that `m` continues with this ordinal, if it can."""
    bracket = m["open"] or ""
    if m["dot"]:
        return "1." if int(m["dot"]) == ordinal else None
    if m["num"]:
        return f"{bracket}1)" if int(m["num"]) == ordinal else None
    letters = m["roman"] or m["alpha"]
    if m["roman"] and ordinal <= 20 and letters == _ROMAN_NUMERALS[ordinal]:
        return f"{bracket}i)"
    if len(letters) == 1 and ord(letters.lower()) - 96 == ordinal:
        return f"{bracket}{'A' if letters.isupper() else 'a'})"
    return None


_ROMAN_NUMERALS = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv", "xvi", "xvii", "xviii", "xix", "xx"]


def _closes(text: str, start: int, m: re.Match[str]) -> bool:
    """Whether the bracket of "… or 1)" closes one that is open."""
    return text.count("(", start, m.start()) > text.count(")", start, m.start())


def _trim(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip())) if piece.strip() else start


def _cut_tail(text: str, items: Sequence[_Listed]) -> tuple[_Listed, list[Span]]:
    """The last item without the parent's words behind it, and those words."""
    last = items[-1]
    a, b = last.body
    cut = b
    depth = 0
    for i in range(a, b):
        depth += text[i] in "([" 
        depth -= text[i] in ")]"
        if depth < 0:  # the bracket round the whole list
            cut = i
            break
    sentences = _sentences(text, a, cut)
    if len(sentences) > 1 and not any(len(_sentences(text, *item.body)) > 1 for item in items[:-1]):
        cut = min(cut, sentences[1][0])
    tail = _TAIL.search(text, a, cut)
    if tail and not any(_TAIL.search(text, *item.body) for item in items[:-1]):
        cut = tail.end()
    body, rest = _trim(text, a, cut), _trim(text, cut, b)
    return _Listed(last.marker, body), ([rest] if rest[0] < rest[1] and _WORDS.search(text, *rest) else [])


_PDQ_TOPIC = re.compile(
    r"(?:(?<=\s)|(?<=^))(?P<topic>Age|Sex|Performance status|Life expectancy|Menopausal status|Hormone receptor status|Hematopoietic"
    r"|Hepatic|Renal|Cardiovascular|Pulmonary|Neurologic|Immunologic|Gastrointestinal|Other|Biologic therapy|Chemotherapy"
    r"|Endocrine therapy|Radiotherapy|Surgery|Nutrition|Bone marrow):(?=\s)"
)
_PDQ_START = re.compile(
    r"(?<=[a-z0-9)%\"])\s+(?=(?:No|Not|At least|Must|Fertile|Prior|Recovered|See|Concurrent|Negative|Measurable|Evaluable|Platelet count"
    r"|Bilirubin|Creatinine|AST|ALT|SGOT|SGPT|WBC|ANC|Absolute|Hemoglobin|Histologically|More than|Recurrent|Patients|Able|Eligible"
    r"|Ineligible|Adequate|Prothrombin|Ejection|Left ventricular|History of|HIV|Any|Cytologically|Hormone receptor|Calcium|Albumin"
    r"|Alkaline phosphatase|Granulocyte count|DLCO|FEV|Normal|Willing|Brain|CNS|Active|Effective|Pregnant|Serum|Hematocrit|Only|Tumor"
    r"|Disease|Stage|Bidimensionally|Diagnosis|The following|Ineligibility|Chemotherapy|Radiotherapy|Surgery|Failed|Relapsed|Refractory)\b(?!:))"
)
_PDQ_KEPT = {"Age", "Sex", "Performance status", "Life expectancy", "Menopausal status", "Hormone receptor status"}


def _pdq_statements(text: str, start: int, end: int) -> Iterator[tuple[schema.SegmentType, int, int]]:
    """Old PDQ prose has no full stops: topics ("Hepatic:") and the words that open a statement part it."""
    cuts = {start, end}
    headings: set[int] = set()
    for m in _PDQ_TOPIC.finditer(text, start, end):
        cuts.add(m.start())
        if m["topic"] not in _PDQ_KEPT:
            cuts.add(m.end())
            headings.add(m.start())
    for m in _PDQ_START.finditer(text, start, end):
        before = text[max(start, m.start() - 40) : m.start()]
        if text.count("(", start, m.start()) > text.count(")", start, m.start()):
            continue
        if not re.search(r"(?:\b(?:or|and|of|with|the|than|to|for|in|by|no|a|as|if|at|from)|[:,/-])$", before):
            cuts.add(m.end())
    cuts |= {a for a, _ in _sentences(text, start, end)}
    ordered = sorted(cuts)
    for a, b in zip(ordered, ordered[1:], strict=False):
        span = _trim(text, a, b)
        if span[0] == span[1]:
            continue
        words = text[span[0] : span[1]]
        if a in headings:
            yield "heading", *span
        elif re.fullmatch(r"(?:[\w ]+: )?(?:Not specified|See .{0,40}|Not applicable)\W*", words, re.IGNORECASE):
            yield "note", *span
        else:
            yield "criterion", *span


# --- from tree to criteria --------------------------------------------------------------------------------------------


def _children_of(nodes: Sequence[Node]) -> None:
    """Dissolves bulleted headings: their items hang below the nearest real item, and take polarity and cohorts from them."""
    for node in nodes:
        while node.parent and node.parent.heading:
            node.parent = node.parent.parent


def _scope(node: Node) -> tuple[Kind | None, tuple[str, ...]]:
    kind, cohorts = node.section.kind, node.section.cohorts
    above = node.parent
    chain: list[Node] = []
    while above:
        chain.append(above)
        above = above.parent
    for item in reversed(chain):
        if item.heading:
            kind = item.heading.kind or kind
            cohorts = item.heading.cohorts if item.heading.cohorts is not None else cohorts
    return kind, cohorts


def _own_kind(text: str) -> Kind | None:
    for pattern, kind in _polarity_patterns():
        if pattern.search(text):
            return kind
    return None


def _own_cohorts(text: str) -> tuple[str, ...]:
    """The cohorts that an item names before or behind its requirement: "Cohort A only: …", "… (Part 2 only)"."""
    head = _FOLD.sub(" ", text[:120])
    if m := _cohort_patterns()["prefix"].match(head):
        return _cohort_names(m["name"])
    for m in _cohort_patterns()["suffix"].finditer(text):
        edge = m.start() == 0 or not _WORDS.search(text, m.end())
        if m["only"] or (edge and not re.match(r"(?i)(?:groups?|stages?|steps?|phases?|class)\b", m["name"])):
            return _cohort_names(m["name"])
    return ()


def _refine(text: str, tree: _Tree) -> list[Node]:
    """Cuts items into inline lists and prose into sentences; the nodes in text order."""
    prose = _prose_sections(text, tree.nodes)
    refined: list[Node] = []
    for node in tree.nodes:
        pieces = [node]
        if node.section.pdq and node.unmarked and not node.children:
            pieces = _cut_pdq(text, node, tree)
        elif id(node.section) in prose and node.unmarked and not node.children and node.parent is None:
            pieces = [_copy(node, a, b) for a, b in _sentences(text, node.start, node.end)] or [node]
            if len(pieces) > 1:
                pieces = list(_attach_fragments(text, pieces))
        for piece in pieces:
            refined.extend(_cut_inline(text, piece, tree))
    return refined


def _attach_fragments(text: str, pieces: list[Node]) -> Iterator[Node]:
    """A "sentence" of one or two short words is no sentence of its own; it stays with the one before it."""
    kept: list[Node] = []
    for piece in pieces:
        if kept and len(re.findall(r"\w+", text[piece.start : piece.end])) < 2:
            kept[-1].end = piece.end
        else:
            kept.append(piece)
    yield from kept


def _copy(node: Node, start: int, end: int, parent: Node | None = None) -> Node:
    made = Node(start, end, node.indent, "", 0, node.section, parent or node.parent, unmarked=node.unmarked, gap=node.gap)
    made.note = node.note
    return made


def _cut_pdq(text: str, node: Node, tree: _Tree) -> list[Node]:
    made: list[Node] = []
    for type_, start, end in _pdq_statements(text, node.start, node.end):
        if type_ == "criterion":
            made.append(_copy(node, start, end))
        else:
            tree.pieces.append((type_, start, end))
    return made


def _cut_inline(text: str, node: Node, tree: _Tree) -> list[Node]:
    before, items, tails = _inline_list(text, node.start, node.end)
    if not items or (node.children and tails):
        return [node]
    for item in items:
        tree.pieces.append(("marker", *item.marker))
    if before is None:
        parts = [_copy(node, *item.body) for item in items]
        for child in node.children:
            child.parent = parts[-1]
        parts[-1].children = node.children
        for tail in tails:
            parts[-1].tails.append(tail)
    else:
        node.end = before[1]
        node.tails = list(tails)
        parts = [node, *(_copy(node, *item.body, parent=node) for item in items)]
        node.children = [*parts[1:], *node.children]
    nested = [piece for part in parts[1 if before else 0 :] for piece in _cut_inline(text, part, tree)]
    return [node, *nested] if before else nested


def _prose_sections(text: str, nodes: Sequence[Node]) -> set[int]:
    """The sections (by identity) whose unbulleted lines are prose: not a list of one-sentence lines."""
    by_section: dict[int, list[Node]] = {}
    for node in nodes:
        if node.unmarked and node.parent is None and not node.children:
            by_section.setdefault(id(node.section), []).append(node)
    prose = set()
    for key, members in by_section.items():
        counts = [len(_sentences(text, n.start, n.end)) for n in members]
        if len(counts) < 3 or sum(c == 1 for c in counts) < 0.7 * len(counts):
            prose.add(key)
    return prose


def _number(nodes: Sequence[Node]) -> None:
    """Ids in text order; the sub-items of I7 are I7.1, I7.2, …"""
    counters: dict[str, int] = {}
    for node in nodes:
        prefix = f"{node.parent.id}." if node.parent else {"inclusion": "I", "exclusion": "E", "unspecified": "U"}[node.kind]
        counters[prefix] = counters.get(prefix, 0) + 1
        node.id = f"{prefix}{counters[prefix]}"


_MODIFIES = re.compile(
    r"^\W*(?:note\b|n\.\s?b\.|exceptions?\b|however\b)|\b(?:this|the above|above|previous) criteri(?:on|a)\b|\bneed not meet\b|\bexempt(?:ed)? from\b"
    r"|\b(?:is|are) an exception\b",
    re.IGNORECASE,
)


def _settle(text: str, tree: _Tree, nodes: list[Node]) -> None:
    """Polarity, cohorts and ids of the nodes."""
    exclusion_follows = any(s.kind == "exclusion" and s.heading for s in tree.sections)
    explicit_inclusion = any(s.kind == "inclusion" and s.heading for s in tree.sections)
    first_exclusion = min((s.heading[0] for s in tree.sections if s.kind == "exclusion" and s.heading), default=len(text))
    for node in nodes:
        kind, cohorts = _scope(node)
        own = text[node.start : node.end]
        if node.parent and not node.parent.heading and node.parent.kind != "unspecified" and not _heading_between(node):
            kind = node.parent.kind
        if kind is None:
            kind = _own_kind(own)
        if kind is None and exclusion_follows and not explicit_inclusion and node.start < first_exclusion:
            kind = "inclusion"  # a list that the author set against the "Exclusion" below it
        node.kind = kind or "unspecified"
        node.cohorts = _own_cohorts(own) or cohorts
    _children_of(nodes)
    for node in nodes:
        if node.parent:
            node.kind = node.parent.kind if node.parent.kind != "unspecified" else node.kind
            node.cohorts = node.cohorts or node.parent.cohorts
    _number(nodes)


def _heading_between(node: Node) -> bool:
    return bool(node.parent and node.parent.heading)


def split(text: str) -> Split:
    """The criteria of an eligibility text in text order, segments that tile it, and warnings. Any string is accepted."""
    tree = _grow(text)
    nodes = _refine(text, tree)
    _settle(text, tree, nodes)
    parents = {id(node.parent) for node in nodes if node.parent}
    criteria: list[schema.Criterion] = []
    for i, node in enumerate(nodes):
        criteria.append(_cut(text, node, modifies=_modified(text, nodes, i)))
        type_: schema.SegmentType = "lead_in" if id(node) in parents else "criterion"
        for start, end in [(node.start, node.end), *node.tails]:
            tree.pieces.append((type_, start, end))
    owners = {span: node.id for node in nodes for span in [(node.start, node.end), *node.tails]}
    return Split(tuple(criteria), tuple(_tile(text, tree.pieces, owners)), tuple(_warnings(text, tree, criteria)))


def _modified(text: str, nodes: Sequence[Node], i: int) -> str | None:
    node = nodes[i]
    if not (node.note or _MODIFIES.search(text, node.start, min(node.end, node.start + 200)) and i):
        return None
    if node.parent:
        return node.parent.id
    before = [n for n in nodes[:i] if n.parent is None and n.section.kind == node.section.kind]
    return before[-1].id if before else None


def _cut(text: str, node: Node, modifies: str | None) -> schema.Criterion:
    """The one place where a Criterion is made; its text is the slice itself."""
    fragments = ((node.start, node.end), *node.tails)
    own = text[node.start : node.end]
    readable = clean(text, fragments).text
    return schema.Criterion(
        id=node.id,
        kind=node.kind,
        parent_id=node.parent.id if node.parent else None,
        cohorts=node.cohorts,
        modifies=modifies,
        start=node.start,
        end=node.end,
        fragments=fragments,
        text=own,
        clean_text=readable,
        rule=schema.Unsupported(text=readable, reason="unparsed"),
        describe=readable,
    )


def _tile(text: str, pieces: list[tuple[schema.SegmentType, int, int]], owners: dict[Span, str]) -> Iterator[schema.Segment]:
    """The pieces in order with everything between them: white space is `blank`, a stray `<br>`, `~` or sign is `marker`."""
    at = 0
    for type_, start, end in sorted((p for p in pieces if p[1] < p[2]), key=lambda piece: piece[1]):
        if start > at:
            yield _between(text, at, start)
        yield schema.Segment(type=type_, start=start, end=end, criterion=owners.get((start, end)))
        at = end
    if at < len(text):
        yield _between(text, at, len(text))


def _between(text: str, start: int, end: int) -> schema.Segment:
    return schema.Segment(type="marker" if text[start:end].strip() else "blank", start=start, end=end)


def _warnings(text: str, tree: _Tree, criteria: Sequence[schema.Criterion]) -> Iterator[schema.Warning]:
    for line in tree.incomplete:
        yield schema.Warning(code="registry_incomplete", message=f"the registry does not hold all criteria: {line!r}")
    named = [s for s in tree.sections if s.heading and s.kind]
    for section, following in zip_longest(named, named[1:]):
        span = section.heading
        assert span is not None
        stop = following.heading[0] if following and following.heading else len(text)
        holds = any(span[1] <= c.start < stop for c in criteria)
        if not holds and not (following and following.kind == section.kind):
            yield schema.Warning(code="empty_section", message=f"no criterion below {_FOLD.sub(' ', text[slice(*span)])!r} at {span[0]}")
    first: dict[tuple[str, str, tuple[str, ...], str | None], str] = {}
    for criterion in criteria:
        key = (criterion.kind, criterion.clean_text.lower().strip(" .;,"), criterion.cohorts, criterion.parent_id)
        if key in first:
            yield schema.Warning(code="duplicate", criterion=criterion.id, message=f"says the same as {first[key]}")
        first.setdefault(key, criterion.id)

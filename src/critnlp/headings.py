"""What a line of an eligibility section is when it is no criterion: a heading or a note.

A heading carries nothing but polarity, topic or cohort. Its words stand in the tables `headings`, `heading_words`, `cohorts`
and `notes`; this module is the loop over them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from critnlp import lexicon
from critnlp.schema import Kind

NoteRole = Literal["incomplete", "remark", "nothing", "note"]
# What stands right below a line: bullets of the list that it parts, bullets, a section heading, or none of these.
Below = Literal["bullets", "list", "section", ""]


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that sets polarity, cohorts or topic for what follows; None leaves a property as it is.

    `section` headings open a section ("Key inclusion criteria"), `polarity` headings only turn its polarity ("Excluded:").
    """

    rank: Literal["section", "polarity", "cohort", "topic"]
    kind: Kind | None = None
    cohorts: tuple[str, ...] | None = None
    pdq: bool = False


# --- tables as patterns -----------------------------------------------------------------------------------------------

# How a heading goes on behind "inclusion criteria".
_BEHIND = (
    r"(?P<behind>(?:[\s:]*(?:for|from|into|of|in|at|during|prior to|before|after|specific|related|applicable|assessed|only|all"
    r"|include|includes|including|are|is|to be|will be|as follows?|listed|must|step|phase|part|cohort|group|arm|stage"
    r"|[a-h][.)] for|visit|run-in|screening|randomi[sz]ation|recipients?|donors?|controls?|patients?|healthy|[-–—/(,\[]).{0,100})?)"
)


@cache
def _words(role: str) -> frozenset[str]:
    return frozenset(w for row in lexicon.table("heading_words") if row["role"] == role for w in row["words"].split())


@dataclass(frozen=True, slots=True)
class _SectionPattern:
    whole_line: re.Pattern[str]
    kind: Kind | None
    pdq: bool
    bare: bool  # "Criteria:", which is a heading only where it stands alone


@cache
def _sections() -> tuple[_SectionPattern, ...]:
    def make(row: lexicon.Row) -> _SectionPattern | None:
        if row["role"] == "topic":
            return None
        pattern = rf"(?P<before>(?:[\w/&+'’.,:()-]+ ){{0,7}}?)(?:{row['phrase']}){_BEHIND}\s*[:：.;,\-–—]*"
        kind = cast("Kind | None", row["kind"] or None)
        return _SectionPattern(re.compile(pattern), kind, row["role"] == "pdq", row["phrase"] == "criteria")

    return tuple(pattern for pattern in lexicon.load("headings", make) if pattern)


@cache
def _topics() -> re.Pattern[str]:
    phrases = "|".join(row["phrase"] for row in lexicon.table("headings") if row["role"] == "topic")
    return re.compile(rf"(?:{phrases})(?: (?:and|or|/|&) (?:{phrases}))?(?: criteria| requirements| parameters)?")


@dataclass(frozen=True, slots=True)
class _CohortPatterns:
    group: re.Pattern[str]
    population: re.Pattern[str]
    everyone: re.Pattern[str]
    patients: re.Pattern[str]
    prefix: re.Pattern[str]
    suffix: re.Pattern[str]
    label: re.Pattern[str]


_NUMBER = r"(?:\d{1,2}[a-z]?(?:\.\d)?|[ivx]{1,4}[ab]?(?!\w)|[a-h]\d?(?![\w']))"


@cache
def _cohorts() -> _CohortPatterns:
    rows = lexicon.table("cohorts")

    def any_of(role: str) -> str:
        return "|".join(row["pattern"] for row in rows if row["role"] == role)

    def compiled(pattern: str) -> re.Pattern[str]:
        return re.compile(pattern, re.IGNORECASE)

    group = (
        rf"(?:{any_of('group')})\s*#?{_NUMBER}"
        rf"(?:(?:\s?(?:,|/|&|-|–|\band\b|\bor\b|\bto\b|\+)\s?)+(?:(?:{any_of('group')}) )?{_NUMBER}"
        rf"| (?:{any_of('group')}) #?{_NUMBER})*"
    )
    stage = r"(?:dose[- ](?:escalation|expansion|finding)|(?:cohort )?expansion)(?: (?:cohorts?|phase|part|stage))?(?=\W*[:(])"
    return _CohortPatterns(
        group=compiled(group),
        population=compiled(any_of("population")),
        everyone=compiled(any_of("everyone")),
        patients=compiled(any_of("patients")),
        prefix=compiled(
            r"(?P<for>(?:for|in) (?:all )?)?"
            r"(?P<who>(?:patients|participants|subjects|those) (?:in|on|enrolled in|included in|entering)"
            rf" (?:the )?)?(?P<name>(?>{group})|{stage})(?: \([^)]{{1,40}}\))?(?: (?:patients|participants|subjects))?(?: only)?\s*"
            r"(?:[:–]|,|-(?=\s)|only\b|(?(who)(?=must|should|will|may)|(?!))|(?(for)(?<=patients )|(?!)))"
        ),
        suffix=compiled(
            rf"[(\[](?:for |in |applies to |applicable to |only )?(?:the )?(?:(?P<name>{group})"
            r"(?P<only> (?:patients |participants |subjects )?only)?"
            r"|(?P<other>[\w/+ -]{1,40} (?:arms?|cohorts?|groups?)) only)[)\]]"
        ),
        label=compiled(rf"(?P<name>{group})(?:\s*(?:[:–—(-]|\bonly\b).{{0,60}})?"),
    )


@cache
def _notes() -> dict[NoteRole, tuple[re.Pattern[str], ...]]:
    rows = lexicon.load("notes", lambda row: (cast(NoteRole, row["role"]), re.compile(row["pattern"], re.IGNORECASE)))
    return {role: tuple(pattern for r, pattern in rows if r == role) for role in ("incomplete", "nothing", "note")}


# --- words ------------------------------------------------------------------------------------------------------------

PUNCTUATION = " \t.:：;,-–—•*#=_\"'“”‘’"
_EMPHASIS = re.compile(
    r"\*{2,}|_{2,}|(?<!\w)[*_](?=\w)|(?<=[\w:.])[*_](?!\w)|\\(?=[!-/:-@\[-`{-~])|</?(?:b|u|i|strong|em)>|<br\s*/?>",
    re.IGNORECASE,
)
_COLON = (":", "：")
_BRACKETED = "().:：;,\"'’“”[]*_-–—"


def unmarked(raw: str) -> str:
    """The line without emphasis and escapes, folded."""
    if "*" in raw or "_" in raw or "\\" in raw or "<" in raw:
        raw = _EMPHASIS.sub(" " if "<br" in raw.lower() else "", raw)
    return " ".join(raw.split())


def _all_filler(plain: str) -> bool:
    filler = _words("filler")
    for token in plain.split():
        if token not in filler and not all(
            not word or word in filler for word in (part.strip(_BRACKETED) for part in re.split("[,;/]", token))
        ):
            return False
    return True


def _has(text: str, cues: tuple[str, ...]) -> bool:
    """Whether one of the cues is part of the text: a cheap question before a costly pattern."""
    for cue in cues:  # noqa: SIM110 - any() takes three times as long, on every line of every trial
        if cue in text:
            return True
    return False


# --- cohorts ----------------------------------------------------------------------------------------------------------

_COHORT_FORE = re.compile(
    r"^(?:(?:additional |further |specific )?(?:criteri(?:a|on)|requirements?) (?:for|specific to) |for |in "
    r"|specific to |applies to |applicable to |eligible )?(?:the )?",
    re.IGNORECASE,
)
_COHORT_AFT = re.compile(
    r"\s*(?:\([^)]*\)"
    r"|\b(?:only|(?:healthy )?participants|patients|subjects|population|study arms)(?: with [\w ]{1,30})?(?: only)?)$",
    re.IGNORECASE,
)
_POPULATIONS = re.compile(
    r"\b(?:healthy|normal) (?:controls?|volunteers?)|\bcontrols?\b\W*:|\bdonors?\b|\bcaregivers?\b|\bcontrol group\b"
    r"|\bparents?\b\W*:",
    re.IGNORECASE,
)


_POPULATION_CUES = (
    "controls",
    "control:",
    "control group",
    "healthy c",
    "healthy v",
    "normal v",
    "donor",
    "caregiver",
    "parent:",
    "parents:",
)


def names_populations(text: str) -> bool:
    """Whether the trial enrols people beside its patients (controls, donors, caregivers), so that "Patients:" is a cohort."""
    return _has(text.lower(), _POPULATION_CUES) and bool(_POPULATIONS.search(text))


_JOINED = re.compile(r"\s*(?:,|/|&|\+|\band\b|\bor\b)\s*(?:and |or )?", re.IGNORECASE)
_NUMBERED = re.compile(rf"(?P<noun>(?:[\w-]+ )*?[a-z-]+)\s+#?(?P<number>{_NUMBER})", re.IGNORECASE)


def cohort_names(phrase: str) -> tuple[str, ...]:
    """The cohorts that a phrase names: "Cohorts A and B" is two, "Parts 1-3", "Phase 3 Cohort 1" and "Controls" one each."""
    name = re.sub(r"\s+only$", "", unmarked(phrase).strip(PUNCTUATION), flags=re.IGNORECASE)
    if re.search(r"\d\s?(?:-|–|\bto\b)\s?\d", name):
        return (name,)
    names: list[str] = []
    noun = ""
    for part in _JOINED.split(name):
        if numbered := _NUMBERED.fullmatch(part):
            noun = re.sub(r"(?<=[Ss]trat)a$", "um", re.sub(r"(?<=[a-z])s$", "", numbered["noun"]))
            names.append(f"{noun} {numbered['number']}")
        elif noun and re.fullmatch(rf"#?{_NUMBER}", part, re.IGNORECASE):
            names.append(f"{noun} {part.lstrip('#')}")
        else:
            return (name,)
    return tuple(names)


def as_cohorts(raw: str, *, others: bool) -> tuple[str, ...] | None:
    """The cohorts that a whole line names, () for "All cohorts", None where it names none.

    `others`: the trial enrols other populations too (see `names_populations`).
    """
    line = unmarked(raw)
    phrase = _COHORT_FORE.sub("", line.strip(PUNCTUATION + ("" if "(" in line else ")") + "[]"))
    if not phrase or len(phrase) > 90:
        return None
    patterns = _cohorts()
    if aside := re.search(
        r"\(((?:\w+ )?(?:control|intervention|comparator|study|treatment) (?:group|arm|cohort))\)$",
        phrase,
        re.IGNORECASE,
    ):
        return (aside[1],)
    named = _COHORT_AFT.sub("", phrase)
    if patterns.everyone.fullmatch(named) or patterns.everyone.fullmatch(phrase):
        return ()
    for candidate in (phrase, named, _COHORT_AFT.sub("", named)):
        label = patterns.label.fullmatch(re.sub(r"^both ", "", candidate, flags=re.IGNORECASE))
        if label and not re.search(r"\bfollowing\b|\b(?:one|any|all) of\b", candidate, re.IGNORECASE):
            return cohort_names(label["name"])
    phrase = re.sub(r"\s*\([^)]*\)", "", phrase)
    if len(phrase) <= 70 and (patterns.population.fullmatch(phrase) or patterns.population.fullmatch(named)):
        return (phrase,)
    if others and patterns.patients.fullmatch(phrase):
        return (phrase,)
    return None


# With these a criterion begins that names its cohort first; asking costs less than matching.
_COHORT_STARTS = (
    *(
        "for ",
        "in ",
        "patient",
        "participant",
        "subject",
        "those ",
        "cohort",
        "arm",
        "group",
        "part",
        "phase",
        "strat",
        "sub",
    ),
    *(
        "module",
        "step",
        "aim",
        "schedule",
        "segment",
        "dose",
        "expansion",
        "treatment",
        "study",
        "extension",
        "disease",
    ),
)


_POPULATION_PREFIX = re.compile(
    r"(?:for |eligible )*(?P<name>(?:healthy |family )?(?:controls|volunteers|donors?|recipients?|caregivers?|parents?))",
    re.IGNORECASE,
)


def own_cohorts(text: str) -> tuple[str, ...]:
    """The cohorts that a criterion names before or behind its requirement: "Cohort A only: …", "… (Part 2 only)"."""
    patterns = _cohorts()
    if text[:12].lower().startswith(_COHORT_STARTS) and (m := patterns.prefix.match(unmarked(text[:160]))):
        return cohort_names(m["name"])
    prefix = text[:48].partition(":")
    if prefix[1] and (named := _POPULATION_PREFIX.fullmatch(prefix[0].strip())):
        return as_cohorts(named["name"], others=False) or ()
    if text[:1] not in ("(", "[") and text.rstrip(" .;,:\n")[-1:] not in (")", "]"):
        return ()  # a cohort in brackets stands at an edge
    folded = " ".join(text.split())
    for m in patterns.suffix.finditer(folded):
        at_edge = m.start() == 0 or not re.search(r"[^\W_]", folded[m.end() :])
        # "(Group 1)" behind a disease is a state of the patient: pulmonary hypertension, group 1
        if m["other"] and at_edge:
            return (" ".join(m["other"].split()),)
        if m["name"] and at_edge and (m["only"] or not re.match(r"(?:groups?|stages?|steps?|phases?)\b", m["name"], re.IGNORECASE)):
            return cohort_names(m["name"])
    return ()


# --- headings ---------------------------------------------------------------------------------------------------------

_SECTION_CUES = ("clusion", "eligib", "criteri", "characteristics", "concurrent", "contraindic")
_LEADING_CUES = ("clusion", "eligib", "excluded", "required", "entry criteria")
_EXCLUDES = re.compile(
    r"\bexclu[ds]|\bineligible|\bnot\b.{0,20}\b(?:eligible|allowed|permitted|qualify|included|participate|have|enrol|enter|meet|be)"
    r"|\b(?:may|must|can|will|should|do|does|shall)(?:not| not)\b|\bcannot\b|disqualif|\bprohibited\b|\bnone of\b"
)
_INCLUDES = re.compile(
    r"\binclu(?:de|ded|sion)\b|\beligib|\bmust\b|\brequire|\bmeet|\bfulfil|\bsatisf|\benrol|\baccepted\b|\bqualif|\bparticipate"
    r"|\bto enter\b"
)
_ANY = re.compile(r"\b(?:any|either|one or more|1 or more|at least (?:one|two|three|\d)|one of|[1-9] of)\b")
_ALL = re.compile(r"\b(?:all|both|each)\b")
# What makes a line that ends in ":" a requirement (a lead-in) and not a mere topic.
_REQUIRES = re.compile(
    r"\b(?:must|has|have|having|had|adequate|normal|acceptable|sufficient|following|followed|defined|within|history|evidence|any"
    r"|one|either|all of|both|least|able|willing|confirmed|diagnosed|positive|negative|no|not|without|known|presence|receiv\w+"
    r"|treated|use of|using|who|whose|with|if|criteria|meet\w*|includ\w+|such as|unless|except\w*|other than|are|is|be|been|should"
    r"|will|may|can|male|males|female|females|men|women|uncontrolled|severe|active|significant|prior to|during|requir\w+|abnormal"
    r"|impaired|days?|weeks?|months?|years?)\b|[≥≤<>=\d]|n't\b"
)
# In a heading "… for X", these X say when or how criteria are checked, and name no cohort.
_NO_COHORT = re.compile(r"(?:screening|enrol|randomi|study|trial|entry|assessed|abbrev|main|key|must|prior|before|visit|baseline)")


_LETTERED = re.compile(r"^[A-H][.)] (?=[A-Z])")  # "B. For healthy participants"
# "Part E" with a bullet and nothing else. "Group 2" and "Stage 1" may be states of the disease.
_BARE_LABEL = re.compile(
    rf"(?:[a-z-]+ )?(?:cohorts?|arms?|parts?|phases?|sub-?stud(?:y|ies)|modules?) {_NUMBER}"
    rf"(?:(?:, and |, | and | & |/){_NUMBER})*(?: only)?",
    re.IGNORECASE,
)


_PERMITS = re.compile(r"\b(?:allowed|permitted|acceptable|recommended|exceptions?)\b")
_BULLETED_SECTION = re.compile(r"(?:\w+ )?\w+clusions?(?: criteri(?:a|on))?")


# "Exclusion Criteria Previous therapies": the section and its first topic in one line
_WITH_TOPIC = re.compile(
    r"(?:[A-Z]\w+ )?(?P<section>Inclusion|Exclusion|INCLUSION|EXCLUSION) (?:Criteria|CRITERIA)(?: [\w/&,()-]+){1,8}[:.]?"
)


def read_heading(raw: str, *, marked: bool, kind: Kind | None, others: bool, below: Below = "") -> Heading | None:
    """The heading that a line is, or None.

    `marked`: it has a bullet; `kind`: the polarity of its section so far; `others`: see `names_populations`;
    `below`: what follows at once. Over bullets a bare topic is a heading and no criterion, over a section heading a cohort is.
    """
    if len(raw) > 240 or (marked and below != "section" and not raw.endswith(_COLON) and not _may_be_bulleted_heading(raw)):
        return None
    line = unmarked(raw)
    if "_" in line:
        line = line.replace("_", " ")  # "Inclusion_Criteria"
    line = _LETTERED.sub("", line).lstrip("-–— ")
    plain = line.lower()
    bare = plain.strip(PUNCTUATION)
    if not bare:
        return None
    colon = plain.endswith(_COLON)
    if colon and _PERMITS.search(plain) and _all_filler(plain) and not _EXCLUDES.search(plain):
        return None  # "Allowed:" announces what is permitted, and neither includes nor excludes
    section = _section(plain, line, others) if len(plain) <= 160 and _has(plain, _SECTION_CUES) else None
    # "* Contraindication for statins" is a criterion, "* Exclusion criteria" and "* Exclusion" are headings
    bulleted = section is not None and (section.pdq or colon or bool(_BULLETED_SECTION.fullmatch(bare)))
    if section and section.kind and (not marked or bulleted):
        return section
    if colon and (cohorts := as_cohorts(line, others=others)):
        return Heading("cohort", cohorts=cohorts)
    if section and not marked and bare.count(" ") < 2:
        return section
    if (polarity := _polarity(plain, kind)) and not (section and polarity.rank == "topic"):
        return polarity
    if section and (not marked or colon):
        return section
    # A line that ends like a sentence or a list item is a requirement, however short: "cancer,", "Normal volunteers."
    if len(bare) > 90 or (not colon and line.endswith((",", ";", "."))):
        return None
    found = _cohort_heading(line, bare, marked=marked, colon=colon, others=others, below=below)
    return found or (None if marked else _topic_heading(raw, line, bare, colon=colon, below=below))


def _cohort_heading(line: str, bare: str, *, marked: bool, colon: bool, others: bool, below: Below) -> Heading | None:
    """A line that names cohorts and nothing else. Without a colon its form or what stands below it must say so."""
    if below == "section" and (cohorts := as_cohorts(line, others=True)):
        return Heading("cohort", cohorts=cohorts)
    if marked and not colon:
        labels = _BARE_LABEL.fullmatch(bare) or (line.startswith("For ") and len(bare) < 50)
        return Heading("cohort", cohorts=cohorts) if labels and (cohorts := as_cohorts(line, others=others)) else None
    cohorts_or_none = as_cohorts(line, others=others) if colon or len(bare) <= 60 else None
    if cohorts_or_none is None:
        return None
    name = _COHORT_FORE.sub("", bare)
    named = _cohorts().group.match(name)
    stands_alone = named is not None and (named.end() >= len(name) - 12 or below in ("bullets", "list"))
    everyone = cohorts_or_none == () and bare.count(" ") < 3
    return Heading("cohort", cohorts=cohorts_or_none) if colon or stands_alone or everyone or line.startswith("For ") else None


def _topic_heading(raw: str, line: str, bare: str, *, colon: bool, below: Below) -> Heading | None:
    """A line without a bullet that names a subject only, perhaps behind the name of its section."""
    topic = _topics().fullmatch(bare) or not _REQUIRES.search(bare)
    if bare in _words("modifier") or (topic and below == "bullets" and line[0].isupper() and bare.count(" ") < 4):
        return Heading("topic")
    with_topic = _WITH_TOPIC.fullmatch(line)
    if with_topic and not re.search(r"\b(?:is|are|were|was|will|must|may|include)\b", bare):
        return Heading("section", "exclusion" if with_topic["section"].lower() == "exclusion" else "inclusion", ())
    if colon and (own := re.match(r"(?:in)?eligible\b", bare)) and bare.count(" ") < 4:
        return Heading("polarity", "exclusion" if own[0].startswith("in") else "inclusion")
    emphasised = raw.lstrip().startswith(("**", "__")) or (line.isupper() and len(line) > 4)
    return Heading("topic") if topic and (colon or emphasised) and bare.count(" ") < 6 else None


def _may_be_bulleted_heading(raw: str) -> bool:
    """Whether a bulleted line without a colon can be a heading at all: nearly none is, and the first word tells."""
    first = raw.split(None, 1)[0].lower().strip(PUNCTUATION + "\\()[]")
    return not first or first in _words("filler") or first in _words("modifier") or first.startswith(_BULLETED_STARTS)


_BULLETED_STARTS = (
    *(
        "in",
        "ex",
        "non",
        "elig",
        "crit",
        "disease",
        "prior",
        "contra",
        "cohort",
        "arm",
        "part",
        "phase",
        "sub",
        "module",
        "for",
        "enrol",
    ),
    *("admission", "reason", "donor"),
)


def is_topic(raw: str) -> bool:
    """Whether a bulleted line over bullets names a mere topic, as "1. Diagnosis" and "2. Other Medical Conditions" do."""
    line = unmarked(raw).strip(PUNCTUATION)
    title = line.istitle() and 0 < line.count(" ") < 4 and not raw.rstrip().endswith(_COLON) and not _REQUIRES.search(line.lower())
    return title or bool(_topics().fullmatch(line.lower()))


def _section(plain: str, line: str, others: bool) -> Heading | None:
    """ "Key inclusion criteria for Part B:" and its many relatives."""
    colon = plain.endswith(_COLON)
    for pattern in _sections():
        m = pattern.whole_line.fullmatch(plain)
        if not m:
            continue
        before, behind = m["before"].strip(" ,-–:("), m["behind"].strip()
        if pattern.pdq:
            return Heading("section", pattern.kind, (), pdq=True) if not before and len(plain) < 60 else None
        rest = [w for w in re.split(r"[\s/&,]+|\band\b", before) if w and w not in _words("modifier")]
        bare = " ".join(rest)
        if pattern.bare and (rest or behind.strip(" :.")):
            return None
        if re.search(r"\b(?:is|are|was|were|not|meet\w*|who|if|no|per|see|other than|the following|must|have|has)\b", bare):
            return None
        if behind and not colon and "criteri" not in plain and "requirement" not in plain:
            return None  # "Ineligibility for …", "Contraindications to …": the exclusion itself
        if (
            behind
            and not colon
            and (len(plain.split()) > 14 or re.match(r"(?:are|is|include|including|must|will|of the|in the|were)\b", behind))
        ):
            return None
        if not behind and not colon and len(rest) > 3 and not line.istitle() and not line.isupper():
            return None
        if re.search(r"\b(?:must|may|can|should|not|who|patients? (?:are|is|will))\b", behind) and not re.match(
            r"[\s:]*\(", behind
        ):
            return None
        if re.search(r"[;]\s+\w|[a-z]{2}\.\s+\w", plain):
            return None
        return Heading(
            "section",
            pattern.kind,
            _section_cohorts(line, bare if bare.count(" ") == before.count(" ") else before, behind, others),
        )
    return None


def _section_cohorts(line: str, before: str, behind: str, others: bool) -> tuple[str, ...]:
    """The cohorts of "Donor inclusion criteria" or "Inclusion criteria for Part B"; () for everyone."""
    scope = re.sub(
        r"^[\s:]*(?:[a-h][.)] )?(?:for|from|into|of|in|at|specific to|related to|applicable to|[-–—/(,\[]+)\s*(?:the )?",
        "",
        behind,
    )
    for phrase in (scope, before):
        if phrase and (found := as_cohorts(_as_written(line, phrase), others=others)) is not None:
            return found
    named = re.match(r"[\s:]*(?:[a-h][.)] )?(?:for|-|–|—|\()", behind) and len(scope.split()) <= 10
    if scope and named and not _all_filler(scope) and not _NO_COHORT.match(scope):
        written = _as_written(line, scope).strip(PUNCTUATION)
        return (written if written.count("(") == written.count(")") else written.strip("()"),)
    return ()


def _as_written(line: str, phrase: str) -> str:
    """`phrase`, which is part of the line in lower case, as the line has it."""
    at = line.lower().find(phrase)
    return line[at : at + len(phrase)] if at >= 0 else phrase


def _polarity(plain: str, section: Kind | None) -> Heading | None:
    """ "You may be eligible if you:", "Patients with any of the following are excluded:": filler words and a polarity."""
    if len(plain) > 220 or not _all_filler(plain):
        return None
    colon = plain.endswith(_COLON)
    if not colon and not re.search(
        r"\b(?:following|below|conditions?|if|any|when|all)\b|^(?:excluded|allowed|required)\W*$", plain
    ):
        return None
    excludes, includes = _EXCLUDES.search(plain), _INCLUDES.search(plain)
    alternative, joint = _ANY.search(plain), _ALL.search(plain)
    if not excludes and not includes:
        if re.fullmatch(r"(?:for |in |all |the )*(?:women|men|children|adults|child)\W*", plain):
            return None  # a state of the patient: a lead-in
        if not colon or (alternative and section != "exclusion") or (joint and section == "exclusion"):
            return None  # logic without polarity: a lead-in
        return Heading("topic") if not alternative and not joint else None
    kind: Kind = "exclusion" if excludes else "inclusion"
    if kind == "inclusion" and alternative and not re.search(r"\bonly if\b|\ball\b", plain):
        return None  # an alternative: a lead-in
    return Heading("polarity", kind)


# Headings inside a row: "… consent. Exclusion Criteria: pregnant women". Behind "see", "the" or "other" they are references.
_INLINE_CORE = re.compile(
    r"(?:[Ii]n|[Ee]x|IN|EX)(?:clusion|CLUSION)s?\s+(?:[Cc]riteri(?:a|on)|CRITERIA)(?: \([^()\n]{1,40}\))?[*_]*"
    r"\s?(?:[:：][*_]*|\.(?=\s+(?:1[.)]|[*•-])\s))"
    r"|(?:Inclusion|Exclusion|INCLUSION|EXCLUSION) (?:Criteria|CRITERIA)(?: (?:Part|Cohort|Arm|Group|Phase|Step) \w{1,3})?"
    r"(?=[ \t]*(?:[\r\n]|$)|\s+1[.)]\s)"
    r"|(?:DISEASE|PATIENT|DONOR) CHARACTERISTICS\s?:|PRIOR[ /]CONCURRENT THERAPY\s?:"
    r"|--\s?(?:Disease|Patient|Donor) Characteristics\s?--|--\s?Prior[ /]Concurrent Therapy\s?--"
)
_INLINE_CUES = (("clusion", 2), ("CLUSION", 2), *((w, 0) for w in ("DISEASE C", "PATIENT C", "DONOR C", "PRIOR", "--")))
_INLINE_BEFORE = re.compile(
    r"(?:(?:^|(?<=[\s.;,:)*_~>]))(?:[*_]*(?:Key|Main|Major|General|Additional|Specific|KEY|MAIN|GENERAL|MAJOR|Principal|Primary"
    r"|Patient|Subject|Donor|Control) |Non-)?[*_]*)\Z"
)
_LABEL = re.compile(r"\s*(?:[-*•·]|\d{1,2}[.)])?\s*(?:[A-Z][\w/+-]*|\d)(?: (?:[A-Z][\w/+-]*|\d+|and|&|for)){0,4} ?")
_REFERENCE = re.compile(
    r"(?:\b(?:the|see|other|any|in|per|all|clusion and|clusion or|of|to|following|above|these|meet|meets|for|specific)"
    r"|[/\"“'(])\s*$",
    re.IGNORECASE,
)


def _places(text: str, cue: str, back: int) -> Iterator[int]:
    """Where the cue stands, less `back` characters; searching for a literal is many times faster than for a pattern."""
    at = text.find(cue)
    while at >= 0:
        yield max(0, at - back)
        at = text.find(cue, at + len(cue))


def inline_headings(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the section headings that may stand inside a row, in text order."""
    last = 0
    for at in sorted(at for cue, back in _INLINE_CUES for at in _places(text, cue, back)):
        m = _INLINE_CORE.match(text, at)
        if not m:
            continue
        before = _INLINE_BEFORE.search(text, max(0, m.start() - 24), m.start())
        if not before:
            continue
        line = text[max(0, before.start() - 60) : before.start()].rpartition("\n")[2]
        if line and _LABEL.fullmatch(line):
            continue  # "* CROSSOVER INCLUSION CRITERIA: …" is read as a whole
        lower = text[before.start() : m.end()].lstrip("*_")[0].islower()
        if (lower or _REFERENCE.search(line)) and line.strip():
            continue
        if before.start() >= last:
            last = m.end()
            yield before.start(), last


_LEADING = re.compile(
    r"[*_]*(?:[\w/&+'’-]+ ){0,5}?(?:inclusions?|exclusions?|eligibility|excluded|required|entry)(?: criteri(?:a|on))?"
    r"(?: (?:for|of|in|specific to|-) [^.:;\n]{1,60})?(?: \([^()\n]{1,40}\))?[*_]*\s?[:：][*_]*(?=\s*\S)",
    re.IGNORECASE,
)


def leading_heading(raw: str, *, kind: Kind | None, others: bool) -> tuple[Heading, int] | None:
    """The section heading at the start of a line that goes on behind it, and where it ends."""
    m = _LEADING.match(raw) if _has(raw[:140], _COLON) and _has(raw[:140].lower(), _LEADING_CUES) else None
    if not m or m.end() >= len(raw):
        return None
    heading = read_heading(m[0], marked=False, kind=kind, others=others)
    if not heading or heading.rank not in ("section", "polarity"):
        return None
    return (heading, m.end()) if heading.kind or "criteri" in m[0].lower() else None


# --- notes ------------------------------------------------------------------------------------------------------------

_INCOMPLETE_CUES = (
    "apply",
    "applied",
    "protocol",
    "information",
    "details",
    " list",
    "may exist",
    "website",
    "criteria are",
)
_INCOMPLETE_STARTS = (
    "please",
    "contact",
    "call",
    "e-mail",
    "email",
    "visit",
    "for more",
    "for further",
    "for additional",
    "more ",
    "further",
)
_NOTE_STARTS = re.compile(
    r"\W*(?:please|no|n\.|nb|remark|comment|important|abbrev|defin|nil|n/?a|there|unspec|see|as |tbd|null|to be)",
    re.IGNORECASE,
)


_OPENING = 40


def note_role(raw: str) -> NoteRole | None:
    """What a line says that requires nothing of a patient, or None."""
    patterns = _notes()
    starts = _NOTE_STARTS.match(raw) or "specified" in raw
    if starts:
        raw = " ".join(raw.split())
    if starts and len(raw) <= 80 and any(p.match(raw) for p in patterns["nothing"]):
        return "nothing"
    lower = raw.lower()
    cued = len(raw) <= 600 and (_has(lower, _INCOMPLETE_CUES) or lower.startswith(_INCOMPLETE_STARTS))
    found = [m for p in patterns["incomplete"] if (m := p.search(raw))] if cued else []
    if found:
        # Behind a requirement the remark makes no note of it: "Gout; other protocol-defined criteria may apply".
        return "incomplete" if min(m.start() for m in found) <= _OPENING else "remark"
    return "note" if starts and any(p.match(raw) for p in patterns["note"]) else None

"""Which value belongs to which name: "AST and ALT ≤ 2.5 × ULN", "18 years or older", "stage III lung cancer", "HBsAg positive".

`link` reads the clean text of one criterion with its mentions, and gives for each value the things that it bounds, the time
that goes with it, and the characters all of this takes. Whether what is left of the criterion says more is asked in `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from critnlp import analytes, quantities, schema
from critnlp.lexicon import cue
from critnlp.quantities import TIME_UNITS, Threshold
from critnlp.staging import Staging
from critnlp.tagging import WORDS_IN, Mention, Span, find_stages, find_times, glues, words
from critnlp.windows import Time

SUBJECTS = frozenset({"LAB", "SCALE", "BIOMARKER", "CONDITION", "DRUG", "PROCEDURE", "DEVICE", "OBSERVATION", "REPRODUCTIVE"})
DATED = frozenset({"CONDITION", "DRUG", "PROCEDURE", "DEVICE", "REPRODUCTIVE", "OBSERVATION"})
MEASURED = frozenset({"LAB", "SCALE", "BIOMARKER"})


@dataclass(frozen=True, slots=True)
class Result:
    """A qualitative result: "positive", "within normal limits"."""

    start: int
    end: int
    value: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a value bounds: a mention, or words that no table knows (`mention` is None)."""

    kind: str  # the mention's label, "AGE", or "PHRASE"
    start: int
    end: int
    text: str
    mention: Mention | None = None


Value = Threshold | Staging | Result | Time


@dataclass(frozen=True, slots=True)
class Link:
    """A value, what it bounds, and how these are joined ("and", "or" or "" for one)."""

    value: Value
    subjects: tuple[Subject, ...]
    joined: str = ""
    times: tuple[Time, ...] = ()
    covered: tuple[Span, ...] = ()
    inherited: bool = False  # the subjects are those of the value before
    behind: bool = False  # the subject stands behind the value: a count, where no unit says otherwise
    mention: Mention | None = None
    change: str = ""  # "an increase in creatinine of": the value bounds the change
    outside: bool = False  # "outside the range of": the value is what the thing must not be

    @property
    def start(self) -> int:
        """Where the link begins: its first subject, or the value itself where that is inherited."""
        return min(span[0] for span in self.covered)

    @property
    def end(self) -> int:
        """Where the link ends."""
        return max(span[1] for span in self.covered)


_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")

# --- how names are joined ---------------------------------------------------------------------------------------------


def _coordinated(text: str, mentions: Sequence[Mention], last: Mention, floor: int) -> tuple[list[Mention], str]:
    """The names that share a value with `last`, in text order, and the joining word."""
    group, signs = [last], set()
    others = [m for m in mentions if m.label == last.label and floor <= m.start and m.end <= last.start]
    for mention in reversed(others):
        if mention.end > group[0].start:
            continue
        between = text[mention.end : group[0].start]
        found = cue("coordination").fullmatch(between)
        if found and _STATED.search(text, 0, mention.start):
            break  # "normal bilirubin and ALT ≤ 2 × ULN"
        if not found:
            if between.strip() in ("(", "[") and text[group[-1].end :][:2].strip()[:1] in (")", "]"):
                continue  # "AST (SGOT)": another name of the same thing
            inner = text[: mention.start].rstrip()
            if (
                inner.endswith(("(", "["))
                and text[mention.end : mention.end + 1] in (")", "]")
                and cue("coordination").fullmatch(text[mention.end + 1 : group[0].start])
            ):
                continue
            break
        signs.add(found["sign"].replace(",", "").strip())
        group.insert(0, mention)
    joined = (
        "or"
        if signs & {"or", "and/or"}
        else "and"
        if signs & {"and", "&", "as well as", "plus", "+"}
        else "/"
        if "/" in signs
        else ","
        if len(group) > 1
        else ""
    )
    return group, joined


def _without_aliases(text: str, group: list[Mention]) -> list[Mention]:
    """The names without those in brackets that repeat the one before, and without a group's name before its members."""
    kept: list[Mention] = []
    for mention in group:
        bracketed = text[: mention.start].rstrip().endswith(("(", "["))
        if bracketed and kept:
            own, before = analytes.plain_name(_text(text, mention)), analytes.plain_name(_text(text, kept[-1]))
            if own == before or analytes.analyte(_text(text, kept[-1])) is not None:
                continue
        kept.append(mention)
    return kept


def _text(text: str, mention: Mention) -> str:
    return " ".join(text[start:end] for start, end in mention.fragments)


def _subjects(text: str, mention: Mention) -> list[Subject]:
    """What a mention names: one thing, or two that a stroke joins ("AST/ALT")."""
    written = _text(text, mention)
    parts = [part.strip() for part in written.split("/")]
    known = analytes.analyte if mention.label == "LAB" else analytes.scale
    if mention.label in ("LAB", "SCALE") and len(parts) == 2 and known(written) is None and all(map(known, parts)):
        middle = mention.start + written.index("/")
        return [
            Subject(mention.label, mention.start, middle, parts[0], mention),
            Subject(mention.label, middle + 1, mention.end, parts[1], mention),
        ]
    return [Subject(mention.label, mention.start, mention.end, written, mention)]


# --- values -----------------------------------------------------------------------------------------------------------

_RESULTS = {
    "positive": "positive", "negative": "negative", "detectable": "detectable", "undetectable": "undetectable",
    "reactive": "positive", "non-reactive": "negative", "nonreactive": "negative", "seropositive": "positive",
    "seronegative": "negative", "normal": "normal", "abnormal": "abnormal", "wnl": "normal", "+": "positive",
    "within normal limits": "normal", "positivity": "positive", "negativity": "negative", "mutated": "mutated",
    "mutant": "mutated", "wild type": "wild type", "wild-type": "wild type", "amplified": "amplified",
    "overexpressed": "overexpressed", "not detected": "undetectable", "detected": "detectable",
}  # fmt: skip


def results(text: str, mentions: Sequence[Mention]) -> Iterator[Result]:
    """The qualitative results of a text: the RESULT mentions, and normal limits in words."""
    taken: list[Span] = []
    for found in cue("normal").finditer(text):
        value = "undetectable" if "detect" in found[0].lower() or "quanti" in found[0].lower() else "normal"
        if found[0].strip() in ("(+)", "+", "(-)"):
            value = "negative" if "-" in found[0] else "positive"
        taken.append(found.span())
        if _OUTSIDE_OF.search(text, 0, found.start()):
            continue  # "platelet count outside the normal range"
        yield Result(*found.span(), value)
    for mention in mentions:
        if mention.label == "RESULT" and not any(start < mention.end and mention.start < end for start, end in taken):
            written = text[mention.start : mention.end].lower()
            if written in _RESULTS:
                yield Result(mention.start, mention.end, _RESULTS[written])


def thresholds(text: str, mentions: Sequence[Mention]) -> list[tuple[Threshold, Mention | None]]:
    """The comparisons that a THRESHOLD mention marks, in text order."""
    marked = {(m.start, m.end): m for m in mentions if m.label == "THRESHOLD"}
    # "cycle length of 26-39 days": how long something takes is a comparison too, where no window is read in it
    lasting = [t for t in find_times(text) if t.kind == "duration"]
    timed = [(m, t) for m in mentions if m.label == "TEMPORAL" for t in lasting if (m.start, m.end) == (t.start, t.end)]
    found: list[tuple[Threshold, Mention | None]] = []
    for value in quantities.find(text):
        if (value.start, value.end) in marked:
            found.append((value, marked[value.start, value.end]))
        elif value.form in ("bound", "range") and value.unit in TIME_UNITS:
            found += [
                (value, m)
                for m, _ in timed
                if m.start <= value.start and value.end <= m.end and _TAKES.search(text, 0, value.start)
            ]
    return found


# --- linking ----------------------------------------------------------------------------------------------------------


class _Linker:
    def __init__(self, text: str, mentions: Sequence[Mention]) -> None:
        self._text = text
        self._mentions = mentions
        self._names = [m for m in mentions if m.label in SUBJECTS]
        self._times = [
            _chosen(text, t)
            for t in [
                t
                for t in find_times(text)
                if t.kind != "frequency" and any(m.label == "TEMPORAL" and m.start < t.end and t.start < m.end for m in mentions)
            ]
        ]
        self._links: list[Link] = []

    def links(self) -> list[Link]:
        """All links in text order."""
        values: list[tuple[Value, Mention | None]] = [*self._shared(thresholds(self._text, self._mentions))]
        staged = [m for m in self._mentions if m.label == "STAGING"]
        for stage in find_stages(self._text):
            values += [(stage, m) for m in staged if m.start <= stage.start and stage.end <= m.end]
        marked = {(m.start, m.end): m for m in self._mentions if m.label == "RESULT"}
        values += [(r, marked.get((r.start, r.end))) for r in results(self._text, self._mentions)]
        values += [(t, None) for t in self._times if not t.problem and (t.windows or t.kind == "duration")]
        values.sort(key=lambda pair: pair[0].start)
        floor = 0
        for number, (value, mention) in enumerate(values):
            ceiling = values[number + 1][0].start if number + 1 < len(values) else len(self._text)
            if isinstance(value, Threshold):
                link = self._of_threshold(value, floor, ceiling)
            elif isinstance(value, Staging):
                link = self._of_staging(value, floor, ceiling)
            elif isinstance(value, Time):
                link = self._of_time(value, floor, ceiling)
                if link is None:
                    continue
            else:
                link = self._of_result(value, floor, ceiling)
            if link:
                timed = link if isinstance(value, Time) else self._timed(link, ceiling)
                self._links.append(replace(timed, mention=mention or link.mention))
            floor = max(floor, value.end, link.end if link and not isinstance(value, Result) else 0)
        return self._respective(self._trailing(self._links))

    def _respective(self, links: list[Link]) -> list[Link]:
        """The links, several values dealt out to as many names: "SBP or DBP > 180 or > 95 mm Hg, respectively"."""
        kept: list[Link] = []
        for number, one in enumerate(links):
            if not _RESPECTIVELY.match(self._text, one.end) or not isinstance(one.value, Threshold):
                kept.append(one)
                continue
            while kept and one.inherited and kept[-1].subjects == one.subjects and kept[-1].inherited:
                kept.pop()
            first = kept.pop() if kept and one.inherited and kept[-1].subjects == one.subjects else one
            group = links[links.index(first) : number + 1]
            if len(group) == len(first.subjects):
                for place, (link, subject) in enumerate(zip(group, first.subjects, strict=True)):
                    kept.append(replace(link, subjects=(subject,), joined="", inherited=False if place else link.inherited))
            elif len(first.subjects) < 2:
                kept += group  # how many things there are is not said here
        return [one for one in kept if len(one.subjects) < 2 or not _RESPECTIVELY_ON.match(self._text, one.end)]

    def _trailing(self, links: list[Link]) -> list[Link]:
        """The links, a time behind the last bound of a list given to the others: "< 100 or > 125 mg/dL at screening"."""
        last = links[-1] if links else None
        if last is None or not last.times or not _AT_END.match(self._text, last.times[-1].end):
            return links
        if last.times[-1].start < last.value.end or not isinstance(last.value, Threshold):
            return links
        shared = list(links)
        for number in range(len(links) - 2, -1, -1):
            one, after = shared[number], shared[number + 1]
            # only as far as nothing but joining words stands between: "A ≥ 10 or B ≥ 28 at screening"
            if not isinstance(one.value, Threshold) or one.times or not _ONLY_BETWEEN.fullmatch(self._text, one.end, after.start):
                break
            shared[number] = replace(one, times=(last.times[-1],))
        return shared

    def _shared(self, values: list[tuple[Threshold, Mention | None]]) -> list[tuple[Threshold, Mention | None]]:
        """The thresholds, each without a unit given that of the next where only "or" stands between: "< 50 or > 100 bpm"."""
        shared = list(values)
        for number in range(len(shared) - 2, -1, -1):
            (value, mention), (after, _) = shared[number], shared[number + 1]
            bare = value.unit is None and value.relative_to is None and value.form in ("bound", "range")
            if bare and _ONLY_JOINS.fullmatch(self._text, value.end, after.start) and after.form in ("bound", "range"):
                value = replace(value, unit=after.unit, relative_to=after.relative_to, relation=after.relation, age=after.age)
                shared[number] = (value, mention)
        return shared

    # -- one value --

    def _of_threshold(self, value: Threshold, floor: int, ceiling: int) -> Link | None:
        text = self._text
        count = value.unit is None and value.relative_to is None and not value.age and value.form in ("bound", "range")
        if value.form == "range" and cue("scale_span").match(text, value.end):
            return None  # "on the 0-10 numeric rating scale"
        if value.reversed:
            if aged := cue("age_next").match(text, value.end):
                subject = Subject("AGE", aged.start("age"), aged.end("age"), aged["age"], self._demographic(aged.start("age")))
                return Link(value, (subject,), covered=((value.start, aged.end("age")),), behind=True)
            return self._behind(value, ceiling) or self._phrase_behind(value, ceiling)
        if chained := self._chained(value):
            return chained
        age = self._age(value, floor)
        if age:
            return age
        if counted := self._of_counted(value):
            return counted
        before = self._before(value, floor)
        if before and not (count and before.subjects[0].kind not in MEASURED and self._behind(value, ceiling)):
            return before
        if inherited := self._inherited(value):
            return inherited
        if value.form in ("bare", "list"):
            return None
        if scored := self._scored(value, floor):
            return scored
        if behind := self._behind(value, ceiling):
            return behind
        if count:
            return self._phrase_behind(value, ceiling) or self._phrase(value, floor)
        lasts = value.unit not in TIME_UNITS or _TAKES.search(text, floor, value.start) is not None
        return (self._phrase(value, floor) if lasts else None) or self._phrase_behind(value, ceiling)

    def _scored(self, value: Threshold, floor: int) -> Link | None:
        """ "A score of 24 or above on the Folstein Mini-Mental State Exam"."""
        before = cue("score").search(self._text, floor, value.start)
        on = cue("on").match(self._text, value.end) if before else None
        if before is None or on is None:
            return None
        mention = next((m for m in self._names if m.label == "SCALE" and on.start("name") <= m.start < on.end("name")), None)
        end = max(on.end("name"), mention.end if mention else 0)
        text = self._text[mention.start : mention.end] if mention else on["name"]
        subject = Subject("SCALE" if mention else "PHRASE", on.start("name"), end, text, mention)
        return Link(value, (subject,), covered=((before.start(), end),))

    def _of_counted(self, value: Threshold) -> Link | None:
        """The size of what the value before counts: "at least one lesion ≥ 10 mm"."""
        last = self._links[-1] if self._links else None
        if last is None or not last.behind or not value.unit or not isinstance(last.value, Threshold):
            return None
        if last.subjects[0].kind != "PHRASE" or last.value.unit == value.unit:
            return None
        if not _MEASURING.fullmatch(self._text, last.end, value.start):
            return None
        return Link(value, last.subjects, last.joined, covered=((value.start, value.end),))

    def _chained(self, value: Threshold) -> Link | None:
        """The second bound of "18 ≤ age ≤ 75", made one range with the first, which this replaces."""
        last = self._links[-1] if self._links else None
        if (
            last is None
            or not isinstance(last.value, Threshold)
            or not last.value.reversed
            or not glues(self._text[last.end : value.start])
        ):
            return None
        merged = quantities.merged(last.value, value)
        if merged is None:
            return None
        self._links.pop()
        return replace(
            last, value=replace(merged, form="range", start=last.value.start), covered=((last.start, value.end),), behind=False
        )

    def _linked(self, value: Value, group: Sequence[Mention], joined: str, *, behind: bool = False) -> Link:
        start = min(value.start, group[0].start)
        end = max(value.end, group[-1].end)
        subjects = tuple(subject for mention in group for subject in _subjects(self._text, mention))
        first = subjects[0]
        shared = _SHARED.search(self._text, 0, first.start) if first.kind == "LAB" else None
        if shared and analytes.analyte(both := f"{shared['word']} {first.text.split()[-1]}") and not behind:
            other = Subject("LAB", shared.start("word"), shared.end("word"), both, first.mention)
            subjects, start = (other, *subjects), shared.start("word")
            joined = "or" if shared["sign"].lower() in ("or", "and/or") else "and"
        if len(subjects) > len(group) and not shared:
            joined = joined if joined in ("or", "and") else "/"
        # "Performance status (ECOG)", "liver enzymes (AST, ALT)": the name before the brackets goes with what is in them
        for mention in self._names:
            if (
                mention.label == group[0].label
                and mention.end <= start <= mention.end + 3
                and self._text[mention.end : start].strip() in ("(", "[")
            ):
                start = mention.start
        return Link(value, subjects, joined, covered=((start, end),), behind=behind)

    def _before(self, value: Threshold | Result, floor: int) -> Link | None:
        """The names right before a value."""
        near = [m for m in self._names if floor <= m.start and m.end <= value.start]
        for mention in reversed(near):
            role = "glue" if mention.label in MEASURED or mention.label == "OBSERVATION" else "tight"
            gap = self._masked(mention.end, value.start)
            gap = "" if gap.strip() == "." else gap  # "Platelet count. > 100,000/mm3"
            if _CORRECTED_FOR.search(self._text, 0, mention.start):
                continue  # "DLCO (corrected for hemoglobin) < 45 %"
            if self._shortens(mention, near):
                continue  # "systolic blood pressure [BP] of > 140 mm Hg" is not any blood pressure
            if self._bracketed(mention, value) and (mention.label not in MEASURED or self._within_more(mention)):
                continue  # "LVEF (by echocardiogram) ≥ 50 %"
            if mention.label == "PROCEDURE" and cue("by").search(self._text[: mention.start]):
                continue  # "EF measured by echocardiogram or MUGA scan of ≥ 45 %"
            changing = _CHANGING.search(gap)
            if changing:
                gap = gap[: changing.start()] + " " + gap[changing.end() :]
            away = cue("outside").search(gap)
            outside = away is not None
            if away:
                gap = gap[: away.start()] + " " + gap[away.end() :]
            if not glues(gap, role):
                if self._bracketed(mention, value):
                    continue
                return None
            uncounted = isinstance(value, Threshold) and value.unit is None and value.relative_to is None
            if mention.label not in MEASURED and uncounted and gap.strip(" :") not in ("", "score", "score of", "of"):
                return None
            bare = isinstance(value, Threshold) and value.form in ("bare", "list")
            if bare and mention.label == "SCALE" and _COMPARED_BEFORE.search(self._text, 0, mention.start):
                return None  # "higher than HCT-CI 5 points"
            if mention.label not in MEASURED and uncounted and not _ENDS_COUNT.match(self._text, value.end):
                return None  # "transfusion of 2 or more units" counts units
            if mention.label != "SCALE" and uncounted and _WORDY.search(self._text, value.start, value.end):
                return None  # "PSMA … at least one lesion"
            if (
                mention.label in ("DRUG", "PROCEDURE", "CONDITION", "DEVICE", "REPRODUCTIVE")
                and "(" not in gap
                and gap.count(" ") > 4
            ):
                return None
            if bare and mention.label == "SCALE" and _OR_MORE_SCORES.match(self._text, value.end):
                return None  # "BI-RADS 1 (negative) or 2 (benign)"
            group, joined = _coordinated(self._text, near, mention, floor)
            if mention.label in ("DRUG", "CONDITION", "PROCEDURE", "OBSERVATION"):
                group, joined = [mention], ""  # a dose or a size is that of the last name only
            group = _without_aliases(self._text, group)
            linked = self._linked(value, group, joined if len(group) > 1 else "")
            return self._with_extreme(replace(linked, outside=outside, change=_direction(changing[0]) if changing else ""))
        return None

    def _with_extreme(self, linked: Link) -> Link:
        """ "Minimum hemoglobin of 8 g/dL": the comparator stands before the name. "BP ≥ 160 systolic": the name is behind."""
        value = linked.value
        found = cue("extreme").search(self._text, max(0, linked.start - 24), linked.start)
        if found and isinstance(value, Threshold) and value.form == "bare" and value.low:
            low = value.low if found[0].lower().startswith("min") else None
            value = replace(value, form="bound", low=low, high=None if low else value.low)
            linked = replace(linked, value=value, covered=((found.start(), linked.end),))
        signed = _SIGN_BEFORE.search(self._text, max(0, linked.start - 4), linked.start)
        if signed and isinstance(value, Threshold) and value.form == "bare" and value.low and linked.subjects[0].kind == "SCALE":
            bound = replace(value.low, inclusive="=" in signed[0] or signed[0][0] in "≥≤")  # "> ASA II"
            upward = signed[0][0] in ">≥"
            value = replace(value, form="bound", low=bound if upward else None, high=None if upward else bound)
            linked = replace(linked, value=value, covered=((signed.start(), linked.end),))
        grown = _CHANGE_OF.search(self._text, max(0, linked.start - 30), linked.start)
        if grown and not re.search(
            r"\bto\b", self._text[linked.subjects[-1].end : value.start]
        ):  # "elevation to above ULN" is a level
            linked = replace(linked, change=_direction(grown[0]), covered=((grown.start(), linked.end),))
        pressure = linked.subjects[0]
        part = _PRESSURE.match(self._text, linked.end)
        if part and len(linked.subjects) == 1 and pressure.kind == "LAB" and cue("blood_pressure").fullmatch(pressure.text):
            named = replace(pressure, text=f"{part['part'].lower()} blood pressure")
            linked = replace(linked, subjects=(named,), covered=((linked.start, part.end()),))
        return linked

    def _within_more(self, mention: Mention) -> bool:
        """Whether the bracket around a mention holds more than its name."""
        opened = max(self._text.rfind("(", 0, mention.start), self._text.rfind("[", 0, mention.start))
        closed = min((at for at in (self._text.find(sign, mention.end) for sign in ")]") if at >= 0), default=mention.end)
        inside = self._text[opened + 1 : mention.start] + self._text[mention.end : closed]
        return len(WORDS_IN.findall(inside)) > 2

    def _bracketed(self, mention: Mention, value: Threshold | Result) -> bool:
        """Whether a mention lies within brackets that close before the value, so that the name before them counts."""
        behind = self._text[mention.end : value.start]
        return ")" in behind and self._text[: mention.start].count("(") > self._text[: mention.start].count(")")

    def _shortens(self, mention: Mention, names: Sequence[Mention]) -> bool:
        """Whether a name in brackets of its own is the end of the initials of the name before it."""
        around = self._text[mention.start - 1 : mention.start] + self._text[mention.end : mention.end + 1]
        if around not in ("[]", "()"):
            return False
        before = next((m for m in reversed(names) if m.end <= mention.start - 1), None)
        if before is None or before.label != mention.label or self._text[before.end : mention.start - 1].strip():
            return False
        initials = "".join(word[0] for word in WORDS_IN.findall(self._text[before.start : before.end])).lower()
        own = self._text[mention.start : mention.end].lower()
        return initials != own and initials.endswith(own)

    def _masked(self, start: int, end: int) -> str:
        """The text between two places without time phrases, and without the acts and methods of "by echocardiography"."""
        gap = list(self._text[start:end])
        for time in self._times:
            for at in range(max(time.start, start), min(time.end, end)):
                gap[at - start] = " "
        for visit in cue("visit").finditer(self._text, start, end):
            gap[visit.start() - start : visit.end() - start] = " " * len(visit[0])
        for mention in self._mentions:
            inside = mention.label == "PROCEDURE" and start <= mention.start and mention.end <= end
            if inside and cue("by").search(self._text[start : mention.start]):
                gap[mention.start - start : mention.end - start] = " " * (mention.end - mention.start)
        return "".join(gap)

    def _age(self, value: Threshold, floor: int) -> Link | None:
        """An age: the word before, "years of age" within, or people before a number of years."""
        before = self._text[floor : value.start]
        named = (m for m in self._mentions if m.label in ("PROCEDURE", "LAB", "DEVICE") and m.end < value.start)
        said = re.search(r"\bage|\bold\b", self._text[value.start : value.end], re.IGNORECASE)
        if not said and any(self._text[m.end : value.start].isspace() for m in named):
            return None  # "a chest CT no older than 6 weeks"
        if cue("people_else").search(before):
            return None  # "living with a child < 12 months of age"
        found = None if _CONCEPTION.match(self._text, value.end) else cue("age_before").search(before)
        if found and cue("age_at").search(before[: found.start("age")]):
            return None  # "diagnosed at age < 21"
        if found and cue("other_age").search(before[: found.start("age")]):
            start = floor + cue("other_age").search(before[: found.start("age")]).start()  # type: ignore[union-attr]
            end = floor + found.end("age")
            subject = Subject("PHRASE", start, end, self._text[start:end], self._demographic(start))
            return Link(value, (subject,), covered=((start, value.end),))
        if found and value.unit in (*TIME_UNITS, None) and value.relative_to is None:
            start = floor + found.start("age")
            subject = Subject("AGE", start, floor + found.end("age"), found["age"], self._demographic(start))
            return self._with_extreme(Link(value, (subject,), covered=((start, value.end),)))
        if (value.unit not in TIME_UNITS and not value.age and value.unit is not None) or value.relative_to is not None:
            return None
        behind = cue("age_behind").match(self._text, value.end)
        if _CONCEPTION.match(self._text, value.end):
            return None
        if cue("age_at").search(before):
            return None  # "diagnosed with cancer between 18-39 years old"
        if gestation := cue("gestation").match(self._text, value.end):
            subject = Subject("PHRASE", gestation.start("name"), gestation.end(), "gestational age")
            return Link(value, (subject,), covered=((value.start, gestation.end()),))
        if value.age or behind:
            end = behind.end() if behind else value.end
            return Link(value, (Subject("AGE", value.start, end, "age"),), covered=((value.start, end),))
        last = self._links[-1] if self._links else None
        if last and last.subjects and last.subjects[0].kind == "AGE" and self._only_people(self._text[last.end : value.start]):
            return Link(value, (last.subjects[0],), covered=((value.start, value.end),), inherited=True)
        only = self._only_people(before)
        people = value.unit == "a" and value.form in ("bound", "range") and (only or cue("person").search(before))
        if value.unit is None and value.form == "bound":  # "patients < 18"
            people = only and cue("person").search(before) and _ALONE.match(self._text, value.end)
        if people and not cue("not_age").match(self._text, value.end):
            return Link(value, (Subject("AGE", value.start, value.end, "age"),), covered=((value.start, value.end),))
        return None

    def _demographic(self, at: int) -> Mention | None:
        return next((m for m in self._mentions if m.label == "DEMOGRAPHIC" and m.start <= at < m.end), None)

    def _only_people(self, text: str) -> bool:
        found = WORDS_IN.findall(re.split(r"[.;:]", text)[-1])
        return all(word.lower() in words("people") for word in found)

    def _inherited(self, value: Threshold) -> Link | None:
        """The subjects of the value before, where this is its other bound: "> 470 ms (women) or > 450 ms (men)"."""
        last = self._links[-1] if self._links else None
        if last is None or not isinstance(last.value, Threshold) or (last.subjects[0].kind == "PHRASE" and last.behind):
            return None
        gap = self._text[last.value.end : value.start]
        named = any(m.label in MEASURED and last.value.end <= m.start and m.end <= value.start for m in self._names)
        if named or len(gap) > 140 or re.search(r"[.!?]\s|;(?!\s*(?:or|if|in|for|≤|<|>|≥|\(|$))", gap):
            return None
        if not _compatible(last.value, value) or (last.behind and not value.unit):
            return None
        if value.form == "bare" and not (
            gap.strip() in ("(", "[", "or", "/", "(or", "=", "i.e.", "(i.e.", "(=", "((", "≈")
            or cue("conditional").search(gap + self._text[value.end : value.end + 40])
        ):
            return None
        if value.form != "bare" and not (cue("alternative").search(gap) and self._says_nothing_else(last.value.end, value.start)):
            return None
        return Link(value, last.subjects, last.joined, covered=((value.start, value.end),), inherited=True, change=last.change)

    def _says_nothing_else(self, start: int, end: int) -> bool:
        """Whether the words between two bounds name no other thing: joining words, people, and a condition at most."""
        gap = self._text[start:end]
        if cue("conditional").search(gap):
            return True
        for mention in self._mentions:
            if (
                mention.label in ("CONDITION", "DEMOGRAPHIC", "QUALIFIER", "TEMPORAL")
                and start <= mention.start
                and mention.end <= end
            ):
                gap = gap.replace(self._text[mention.start : mention.end], " ")
        allowed = words("glue") | words("people") | words("neutral") | words("negation")
        return all(len(word) == 1 or word.lower().rstrip(".") in allowed for word in WORDS_IN.findall(gap))

    def _behind(self, value: Threshold | Result, ceiling: int) -> Link | None:
        """The name right behind a value: "≥ 2 mg/dL serum creatinine", "positive for HBsAg"."""
        for mention in self._names:
            if mention.start < value.end or mention.start >= ceiling:
                continue
            gap = self._text[value.end : mention.start]
            if "," in gap:
                return None
            if _value_follows(self._text, mention.end):
                return None
            if mention.label in ("PROCEDURE", "DEVICE", "DRUG") and _MEANS.search(gap):
                return None
            if isinstance(value, Threshold) and value.unit == "%" and re.search(r"\bof\b", gap):
                return None  # "> 30 % of the infarct volume" is no infarct volume
            if not all(word.lower() in words("lead") for word in WORDS_IN.findall(gap)) or re.search(r"[^\w\s:,-]", gap):
                return None
            group, signs = [mention], set()
            for other in self._names:
                if other.start >= group[-1].end and other.label == mention.label and other.end <= ceiling:
                    found = cue("coordination").fullmatch(self._text[group[-1].end : other.start])
                    if not found or _value_follows(self._text, other.end):
                        break
                    signs.add(found["sign"].replace(",", "").strip())
                    group.append(other)
            joined = "or" if signs & {"or", "and/or"} else "and" if signs & {"and", "&"} else "," if len(group) > 1 else ""
            linked = self._linked(value, group, joined, behind=True)
            changed = _CHANGE_BY.search(self._text, 0, value.start) if mention.label in MEASURED else None
            if changed:  # "reduction from baseline of at least 25 % in serum urate"
                linked = replace(linked, change=_direction(changed[0]), covered=((changed.start(), linked.end),))
            kind = _COUNT_NOUN.match(self._text, linked.end) if mention.label not in MEASURED else None
            alone = mention.label in MEASURED or kind or not isinstance(value, Threshold) or value.unit is not None
            if not alone and not _ENDS_COUNT.match(self._text, linked.end):
                return None  # "≤ 14 headache days" counts no headaches
            if kind and isinstance(value, Threshold) and value.unit is None:  # "> 3 prior chemotherapy regimens"
                last = linked.subjects[-1]
                named = replace(last, text=f"{last.text} {kind['noun']}", end=kind.end())
                linked = replace(linked, subjects=(*linked.subjects[:-1], named), covered=((linked.start, kind.end()),))
            often = cue("often").match(self._text, linked.end)
            if isinstance(value, Threshold) and value.unit is None and not often and self._text[linked.end : linked.end + 1] == "/":
                return None  # "50,000 leukemic blasts/mm3"
            if isinstance(value, Threshold) and value.unit is None and often:  # "≥ 3 seizures per month"
                rate = replace(value, unit=_RATES[(often["time"] or often["short"]).lower()])
                return replace(linked, value=rate, covered=((linked.start, often.end()),))
            return linked
        return None

    def _phrase(self, value: Threshold, floor: int) -> Link | None:
        """Words before a comparison that no table knows: "PDA diameter > 1.5 mm"."""
        before = self._text[floor : value.start]
        opening = re.search(r"\s?[(\[]\s?(?:(?:of|is|i\.e\.,?|defined as|score)\s)?$", before)
        if opening:  # "large defect (> 38 mm)"
            before = before[: opening.start()]
        masked = _BRACKETED.sub(lambda found: "\x00" * len(found[0]), before)
        clause = cue("clause").split(masked)[-1]
        start = floor + len(before) - len(clause)
        kept = clause.rstrip(" :,=(-–\x00")
        while kept and (last := re.search(r"(?:^|\s)([^\s]+)$", kept)) and last[1].lower().strip("():,") in words("glue") - _NAMING:
            kept = kept[: last.start()].rstrip(" :,=(-–\x00")
        lead = cue("leading").match(kept)
        start += lead.end() if lead else 0
        kept = kept[lead.end() if lead else 0 :]
        end = start + len(kept)
        kept = " ".join(kept.replace("\x00", " ").split())
        found = WORDS_IN.findall(kept)
        if value.form == "range" and value.unit is None and self._text[value.start].isdigit():
            return None  # "BAY 43-9006"
        generic = not any(word.lower() not in words("neutral") | {"score", "scores", "mean", "average"} for word in found)
        if found and generic and (named := _NAMED_SCORE.search(before)):  # "Bowel Prep Scale, total score ≤ 2"
            start, end = floor + named.start("name"), floor + named.end("name")
            kept = named["name"]
            found = WORDS_IN.findall(kept)
        if not found or len(found) > 8 or all(word.lower() in words("neutral") for word in found) or "(" in kept or ")" in kept:
            return None
        if not _names_a_measure(kept) or _TORN_NAME.search(self._text, 0, start):
            return None
        if any(word.lower() in words("negation") - {"free"} for word in found) or cue("verbal").search(kept):
            return None
        inner = [m for m in self._mentions if start <= m.start and m.end <= end and m.label in SUBJECTS]
        if any(m.label in MEASURED for m in inner):
            return None  # a known name too far from its value
        subject = Subject("PHRASE", start, end, kept, next((m for m in inner if m.end == end), None))
        return Link(value, (subject,), covered=((start, value.end),))

    def _phrase_behind(self, value: Threshold, ceiling: int) -> Link | None:
        """Words behind a comparison: "at least two prior lines of therapy"."""
        behind = self._text[value.end : ceiling]
        share = value.unit == "%" and behind.lstrip().lower().startswith("of ")
        found = None if value.unit in TIME_UNITS or share else cue("phrase_behind").match(behind)
        if not found:
            return None
        phrase = found["phrase"].rstrip(" ,-")
        if changed := self._changed(value, phrase, value.end + found.start("phrase") + len(phrase)):
            return changed
        if stop := re.search(r"\s(?:\w+ing|despite|although|unless)\b", phrase):
            phrase = phrase[: stop.start()]
        if _LISTS_ON.match(self._text, value.end + found.start("phrase") + len(phrase)):
            return None  # "at least 3 cutaneous or subcutaneous lesions"
        if self._text[value.end + found.start("phrase") + len(phrase) :][:1] in ("-", "–"):
            return None  # "at least one MR-detectable lesion"
        content = [word for word in WORDS_IN.findall(phrase) if word.lower() not in words("neutral")]
        if value.unit and WORDS_IN.findall(phrase)[-1:] and WORDS_IN.findall(phrase)[-1].lower() in words("people"):
            return None  # "60-120/min in older children"
        if not content or cue("of_listed").match(phrase):
            return None
        start = value.end + found.start("phrase")
        end = start + len(phrase)
        inner = next((m for m in self._names if start <= m.start and m.end <= end), None)
        subject = Subject("PHRASE", start, end, phrase, inner)
        if value.unit is None and self._text[end : end + 1] == "/" and not cue("often").match(self._text, end):
            return None  # "50,000 leukemic blasts/mm3"
        if value.unit is None and (often := cue("often").match(self._text, end)):
            value, end = replace(value, unit=_RATES[(often["time"] or often["short"]).lower()]), often.end()
        return Link(value, (subject,), covered=((value.start, end),), behind=True)

    def _changed(self, value: Threshold, phrase: str, end: int) -> Link | None:
        """ "≥ 50 % reduction in PSA": the change of what stands behind."""
        if not _CHANGING.search(phrase):
            return None
        for mention in self._names:
            if mention.label in MEASURED and mention.start >= end and _IN_THE.fullmatch(self._text, end, mention.start):
                return replace(self._linked(value, [mention], ""), change=_direction(phrase))
        return None

    def _of_result(self, value: Result, floor: int, ceiling: int) -> Link | None:
        before = self._before(value, floor)
        behind = self._behind(value, ceiling)
        if before and behind and behind.subjects[0].kind in ("LAB", "BIOMARKER"):
            # "ALT … with detectable HCV RNA": the name right behind is nearer
            near = self._text[value.end : behind.subjects[0].start].isspace()
            if near and not _IS.fullmatch(self._text, before.subjects[-1].end, value.start):
                return behind
        if before and before.subjects[0].kind in ("LAB", "BIOMARKER"):
            return before
        if behind and behind.subjects[0].kind in ("LAB", "BIOMARKER"):
            return behind
        return None

    def _of_staging(self, value: Staging, floor: int, ceiling: int) -> Link | None:
        """A stage with the disease it is of, where that stands beside it."""
        inner = re.search(r"\(([^()]*)\)", self._text[value.start : value.end])
        if inner and len(WORDS_IN.findall(inner[1])) > 2:
            return None  # "stage B (not amenable to …) or stage C"
        if _MORE_STAGES.match(self._text, value.end):
            return None  # "stage II bulky, III, or IV": the others were not read
        near = (max(0, value.start - 60), min(len(self._text), value.end + 60))
        if value.system == "CTCAE" and _OTHER_GRADES.search(self._text, *near) and "CTC" not in self._text[slice(*near)]:
            return None  # toxicity grades of another group's table
        if cue("or_worse").match(self._text, value.end):
            return None  # "class II, stage B or better"
        if value.system == "grade" and _STAIN.search(self._text, max(0, value.start - 60), min(len(self._text), value.end + 60)):
            return None
        for mention in self._names:
            if mention.label != "CONDITION":
                continue
            if value.end <= mention.start <= ceiling and cue("of").fullmatch(self._text[value.end : mention.start]):
                return self._linked(value, [mention], "", behind=True)
            if (
                floor <= mention.start
                and mention.end <= value.start
                and cue("of_before").fullmatch(self._text[mention.end : value.start])
            ):
                return self._linked(value, [mention], "")
        return Link(value, (), covered=((value.start, value.end),))

    def _of_time(self, value: Time, floor: int, ceiling: int) -> Link | None:
        """What a time phrase dates: "stroke within 6 months before screening", "≥ 4 weeks since chemotherapy"."""
        if any(time is value for one in self._links for time in one.times):
            return None
        mark = next((m for m in self._mentions if m.label == "TEMPORAL" and m.start <= value.start and value.end <= m.end), None)
        if value.event:
            said = self._text[value.event[0] : value.event[1]]
            inside = [m for m in self._names if self._datable(m) and m.start < value.event[1] and value.event[0] < m.end]
            for m in inside:
                said = said.replace(self._text[m.start : m.end], " ")
            if not inside or not glues(said, "event"):
                return None  # "since last live immunization" is not since any immunization
            return replace(self._linked(value, inside, "", behind=True), times=(value,), mention=mark)
        if since := cue("since").match(self._text, value.end):
            return self._since(value, since.end(), ceiling, mark)
        if value.kind == "duration" and _TAKES.search(self._text, floor, value.start):
            return None
        if not value.windows:
            return self._lasting(value, floor, mark)
        if any(value.end <= t.start <= value.end + 3 and t.form != "bare" for t in quantities.find(self._text)):
            return None  # "hypothermia at admission < 30 °C"
        near = [m for m in self._names if self._datable(m) and floor <= m.start and m.end <= value.start]
        for mention in reversed(near[-1:]):
            if value.kind == "duration" and not cue("dating").fullmatch(self._text, mention.end, value.start):
                return self._lasting(value, floor, mark)
            if not cue("dating").fullmatch(self._text, mention.end, value.start) or _NUMBERED.search(self._text, 0, mention.start):
                return None
            if "(" in self._text[mention.end : value.start] and any(w.relation == "after" for w in value.windows):
                return None
            if self._is_reason(mention):
                return self._dated_for(value, near[:-1], mention, mark)
            group, joined = _coordinated(self._text, near, mention, floor)
            if "(" in self._text[mention.end : value.start] or mention.label == "OBSERVATION":
                group, joined = [mention], ""
            if _AND_THEN.match(self._text, value.end):
                return None  # "for > 1 week in the past 3 months"
            if _HYPHENED.search(self._text, 0, mention.start):
                return None  # "progestin containing medication"
            if joined == ",":
                return None
            if self._is_reason(group[0]) or self._anchored_later(value):
                return None
            return replace(self._linked(value, group, joined if len(group) > 1 else ""), times=(value,), mention=mark)
        return None

    def _datable(self, mention: Mention) -> bool:
        """Whether a mention is something that a time can date."""
        return mention.label in DATED and not cue("undated").search(self._text[mention.start : mention.end])

    def _lasting(self, value: Time, floor: int, mark: Mention | None) -> Link | None:
        """ "Duration of diabetes ≥ 5 years", "pain of at least 12 weeks' duration": it has lasted so long."""
        bound = next((t for t in quantities.find(self._text) if value.start <= t.start and t.end <= value.end), None)
        name = next((m for m in reversed(self._names) if self._datable(m) and floor <= m.start and m.end <= value.start), None)
        if bound is None or name is None or bound.form not in ("bound", "range") or bound.problem or bound.unit not in TIME_UNITS:
            return None
        said = _DURATION_OF.search(self._text, 0, name.start)
        behind = "duration" in self._text[value.start : value.end].lower()
        if not (said or behind) or not glues(self._text[name.end : value.start], "tight"):
            return None
        window = schema.Window(
            relation="for",
            low=bound.low.value if bound.low else None,
            low_inclusive=bound.low.inclusive if bound.low else None,
            high=bound.high.value if bound.high else None,
            high_inclusive=bound.high.inclusive if bound.high else None,
            unit=bound.unit,
        )
        lasting = replace(value, windows=(window,))
        linked = self._linked(lasting, [name], "")
        start = said.start() if said else linked.start
        return replace(linked, times=(lasting,), mention=mark, covered=((start, linked.end),))

    def _is_reason(self, mention: Mention) -> bool:
        """Whether a mention stands behind "for", "with" and the like, so that a time behind it dates something else."""
        near = max(0, mention.start - 40)
        other = cue("of_other").search(self._text, near, mention.start)
        return other is not None and not cue("of_own").search(self._text, near, mention.start)

    def _dated_for(self, value: Time, names: Sequence[Mention], reason: Mention, mark: Mention | None) -> Link | None:
        """ "Radiotherapy for bone metastasis within 2 weeks": the time dates the radiotherapy."""
        act = names[-1] if names else None
        if act is None or not cue("for").fullmatch(self._text, act.end, reason.start):
            return None
        if cue("of_other").search(self._text, max(0, act.start - 40), act.start) and not cue("of_own").search(
            self._text, max(0, act.start - 40), act.start
        ):
            return None
        subject = Subject(act.label, act.start, act.end, _text(self._text, act), act)
        return Link(value, (subject,), "", times=(value,), covered=((act.start, act.end), (value.start, value.end)), mention=mark)

    def _anchored_later(self, value: Time) -> bool:
        """Whether a later window of the sentence names the anchor that this one lacks: "within 2 weeks or … before surgery"."""
        if cue("names_anchor").search(self._text, value.start, value.end):
            return False
        stop = re.compile(r"[.;]\s|$").search(self._text, value.end)
        end = stop.start() if stop else len(self._text)
        later = (t for t in self._times if value.end <= t.start < end)
        return any(w.anchor not in (None, "enrollment") for t in later for w in t.windows)

    def _since(self, value: Time, at: int, ceiling: int, mark: Mention | None) -> Link | None:
        """ "At least 4 weeks since prior chemotherapy": no chemotherapy within less than 4 weeks."""
        bound = next(
            (t for t in quantities.find(self._text) if value.start <= t.start and t.end <= value.end and t.form == "bound"), None
        )
        name = next((m for m in self._names if self._datable(m) and m.start == at), None)
        end = bound and (bound.low or bound.high)
        if bound is None or name is None or not end or bound.problem:
            return None
        inclusive = end.inclusive if bound.high else not end.inclusive
        window = schema.Window(relation="within", high=end.value, high_inclusive=inclusive, unit=bound.unit, anchor="enrollment")
        dated = replace(value, windows=(window,), negated=bound.low is not None, past=True)
        others = [m for m in self._names if m.start >= at and m.end <= ceiling]
        group = [name]
        for other in others:
            if (
                other.start >= group[-1].end
                and self._datable(other)
                and cue("coordination").fullmatch(self._text[group[-1].end : other.start])
            ):
                group.append(other)
        return replace(self._linked(dated, group, "or" if len(group) > 1 else "", behind=True), times=(dated,), mention=mark)

    def _timed(self, link: Link, ceiling: int) -> Link:
        """The link with the times within it and right behind it."""
        sound = [t for t in self._times if not t.problem and not t.negated]
        times = [t for t in sound if link.start <= t.start and t.end <= link.end]
        end = link.end
        for time in sound:
            if end <= time.start <= ceiling and cue("taken_at").fullmatch(self._text, end, time.start):
                times.append(time)
                end = time.end
        covered = (*link.covered, *((t.start, t.end) for t in times if t.end > link.end))
        return replace(link, times=tuple(times), covered=covered)


# a name whose beginning lies before a word at which names are cut: "QT interval corrected for heart rate"
_TORN_NAME = re.compile(r"\b(?:corrected|adjusted|fluorescen\w+|normali[sz]ed) (?:in|for|by|to)\s*$", re.IGNORECASE)
_COMPARED_BEFORE = re.compile(r"\b(?:than|above|below|over|under|least|most|exceeding)\s(?:an?\s|the\s)?$", re.IGNORECASE)
_OR_MORE_SCORES = re.compile(r"\s?\([^()]*\)\s?,?\s?(?:or|and)\s\d")
_CORRECTED_FOR = re.compile(r"\b(?:corrected|adjusted) for (?:the )?$", re.IGNORECASE)
_OUTSIDE_OF = re.compile(
    r"\b(?:outside|out of|beyond|above|below|exceed\w*|not within|not in|not)(?: of)?(?: the| their| its)?\s?$", re.IGNORECASE
)
_OTHER_GRADES = re.compile(r"\b(?:ACTG|DAIDS|CALGB|SWOG|WHO)\b|(?:AIDS Clinical|Division of AIDS|World Health)")
_SIGN_BEFORE = re.compile(r"[<>≤≥]\s?=?\s?$")
_ONLY_JOINS = re.compile(r"\s*,?\s*(?:or|and|to|and/or|/|but)?\s*", re.IGNORECASE)
# words that a name may end in, though they may also stand between a name and its value
_NAMING = frozenset({"index", "ratio", "count", "counts", "score", "scores", "scale", "volume", "rate", "test", "rating", "range"})
_CHANGE_NOUN = (
    r"(?:increase|decrease|reduction|change|decline|drop|rise|improvement|elevation|fall|loss|variation|variability|difference|"
    r"fluctuation)"
)
_CHANGE_BY = re.compile(rf"\b{_CHANGE_NOUN}\s(?:from baseline\s)?(?:of|by)\s$", re.IGNORECASE)
_CHANGING = re.compile(rf"\b{_CHANGE_NOUN}\b", re.IGNORECASE)
_CHANGE_OF = re.compile(rf"\b(?:an?\s|any\s)?(?:absolute\s|relative\s)?{_CHANGE_NOUN}\s(?:in|of)\s(?:the\s)?$", re.IGNORECASE)
_COUNT_NOUN = re.compile(
    r"\s(?P<noun>regimens?|lines?|courses?|cycles?|therap(?:y|ies)|treatments?|agents?|episodes?|doses?|sessions?|infusions?|"
    r"events?|attacks?|procedures?)\b(?! \()",
    re.IGNORECASE,
)
_IN_THE = re.compile(
    r"\s(?:in|of)\s(?:the\s|their\s)?(?:(?:sum|number|level|levels|concentration|serum)\s(?:of\s)?)*", re.IGNORECASE
)
_MEASURING = re.compile(r"[\s(]*(?:measuring|of|that (?:is|are)|which (?:is|are)|with|sized?|each)?\s*", re.IGNORECASE)
_LISTS_ON = re.compile(
    r"\s*(?:or|and|/)\s+(?!more\b|less\b|who\b|with\b|ha[sv]e?\b|had\b|at\b|no\b|not\b|are\b|is\b|must\b|an?\b|the\b)[a-z]"
)
_IS = re.compile(r"[\s:=,-]*(?:(?:is|are|was|were|be|test|tests|result|results|status|must|should)\s)*", re.IGNORECASE)
_TAKES = re.compile(
    r"\b(?:length|cycles?|time|interval|latency|stay|distance|exercise|activity|commute|travel|sleep)\b"
    r"[\s:,(=]*(?:(?:of|is|are|was|the|a|an|must|be|should|with|clinic|to|from)[\s:(]+)*$",
    re.IGNORECASE,
)
_NAMED_SCORE = re.compile(r"(?P<name>[A-Z][\w-]*(?:\s[\w-]+){0,5}),\s(?:(?:total|mean|average|overall)\s)?scores?[\s:=]*(?:of\s)?$")
_MORE_STAGES = re.compile(r"\s[a-z]{3,12},?\s?(?:(?:or|and)\s)?(?:I{1,3}|IV|V)[A-D]?\d?\b|,?\s(?:or|and)\s(?:I{1,3}|IV)[A-D]?\b")
_ENDS_COUNT = re.compile(
    r"\s?(?:$|[,;.:()/\[\]]|(?:or|and|in|at|of|for|to|with|within|during|per|a|an|every|each|prior|before|after|on|who|that|which|are|is|has|have|had|must|"
    r"since|from|by|as|over|under|while|if|unless|will|should|may|can|was|were|not|but|than|given|received|documented|required|present|measurable|despite|due)\b)",
    re.IGNORECASE,
)
_AND_THEN = re.compile(r"\s(?:in|within|during|over)\s(?:the\s)?(?:past|last|previous|preceding)\b", re.IGNORECASE)
_HYPHENED = re.compile(r"\b(?:containing|based|approved|like|inhibiting|modifying|lowering|related|induced)\s$", re.IGNORECASE)
_CONCEPTION = re.compile(
    r"\s?(?:of\s)?(?:post-?\s?(?:conception|conceptional|menstrual)|corrected)(?:al)?(?:\sage)?\b", re.IGNORECASE
)
_ONLY_BETWEEN = re.compile(r"[\s,;()]*(?:(?:and|or|and/or|&)[\s,]*)?", re.IGNORECASE)
_SHARED = re.compile(
    r"\b(?P<word>total|direct|indirect|conjugated|unconjugated|systolic|diastolic|serum|urine)\s(?P<sign>or|and|and/or)\s$",
    re.IGNORECASE,
)
_AT_END = re.compile(r"[\s.;,)\]]*(?:(?:and|or)\b[\s.;,/]*)*$", re.IGNORECASE)
_STATED = re.compile(r"\b(?:normal|abnormal|positive|negative|detectable|undetectable)\s$", re.IGNORECASE)
_MEANS = re.compile(r"\b(?:by|using|per|as|at|from|with|on)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\d\+?\s(?:or more\s|prior\s|previous\s)?$")
_RESPECTIVELY = re.compile(r"\s?[)\]]?,?\s?respectively\b", re.IGNORECASE)
_RESPECTIVELY_ON = re.compile(r"[^;.]{0,40}\brespectively\b", re.IGNORECASE)
_RATES = {  # by the words of cue "often"
    "d": "/d",
    "day": "/d",
    "night": "/d",
    "wk": "/wk",
    "week": "/wk",
    "mo": "/mo",
    "month": "/mo",
    "yr": "/a",
    "year": "/a",
    "h": "/h",
    "hr": "/h",
    "hour": "/h",
}
_STAIN = re.compile(r"HER-?2|\bIHC\b|immunohistochem|stain", re.IGNORECASE)
_DURATION_OF = re.compile(r"\bduration of\s(?:the\s|his\s|her\s|their\s)?$", re.IGNORECASE)
_WORDY = re.compile(r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten)\b", re.IGNORECASE)
_PRESSURE = re.compile(r"\s?\(?(?P<part>systolic|diastolic)\b\)?", re.IGNORECASE)
_ALONE = re.compile(r"\s*(?:$|[,;.)]|who\b|with\b|and\b(?! (?:than|\w+ [<>≤≥])))", re.IGNORECASE)


def _names_a_measure(phrase: str) -> bool:
    """Whether words that no table knows can be the name of something that has a number."""
    last = phrase.split()[-1].strip(".,:;()")
    if analytes.analyte(phrase) or last.lower() in words("measure"):
        return True
    if sum(character.isupper() for character in last) > 1:
        return True  # an abbreviation
    return cue("noun_ending").search(last) is not None


def _direction(said: str) -> str:
    """Which way a change goes: "increase", "decrease" or, where that is open, "change"."""
    if re.search(r"increas|rise|elevat|gain", said, re.IGNORECASE):
        return "increase"
    return "decrease" if re.search(r"decreas|reduc|declin|drop|fall|loss", said, re.IGNORECASE) else "change"


def _chosen(text: str, time: Time) -> Time:
    """The time with what stands behind it: "within 8 weeks or 5 half-lives (if known), whichever is longer"."""
    found = cue("whichever").match(text, time.end) if len(time.windows) > 1 and not any(w.choose for w in time.windows) else None
    if not found:
        return time
    longer = found["way"].lower() in ("longer", "longest", "greater", "later", "more")
    choose: Literal["longer", "shorter"] = "longer" if longer else "shorter"
    return replace(time, windows=tuple(w.model_copy(update={"choose": choose}) for w in time.windows))


def _value_follows(text: str, at: int) -> bool:
    """Whether a comparison stands right behind a name, so that it has a value of its own."""
    return any(at <= t.start <= at + 12 and glues(text[at : t.start]) for t in quantities.find(text) if t.form != "bare")


def _compatible(first: Threshold, second: Threshold) -> bool:
    """Whether two values can bound the same thing."""
    if second.relative_to or first.relative_to:
        return second.unit not in TIME_UNITS
    if second.unit == "%" and first.unit and re.match(r"/|10\*", first.unit):
        return False  # "white cells > 10,000/mm3 or > 15 % band forms"
    if first.unit is None or second.unit is None:
        return first.unit == second.unit or second.unit is None or (first.unit is None and first.form != "list")
    return (first.unit in TIME_UNITS) == (second.unit in TIME_UNITS) and not (
        second.unit in TIME_UNITS and first.unit != second.unit
    )


def link(text: str, mentions: Sequence[Mention]) -> list[Link]:
    """The values of a clean text with what they bound, in text order. A value that bounds nothing is left out."""
    if not any(m.label in ("THRESHOLD", "STAGING", "RESULT", "TEMPORAL") for m in mentions) and not cue("normal").search(text):
        return []
    return _Linker(text, mentions).links()


def relations_of(links: Sequence[Link], identity: dict[Mention, str], times: Sequence[Mention]) -> list[schema.Relation]:
    """The links as the contract's relations between entities."""
    kinds: dict[type, schema.RelationType] = {
        Threshold: "has_value",
        Staging: "has_stage",
        Result: "has_result",
        Time: "has_temporal",
    }
    found: list[schema.Relation] = []
    for one in links:
        heads = [s.mention for s in one.subjects if s.mention in identity]
        for head in heads:
            if one.mention in identity and head is not None and one.mention is not None:
                found.append(schema.Relation(type=kinds[type(one.value)], head=identity[head], tail=identity[one.mention]))
            for time in one.times:
                tail = next((m for m in times if m.start == time.start and m.end == time.end), None)
                if head is not None and tail in identity and tail is not None:
                    found.append(schema.Relation(type="has_temporal", head=identity[head], tail=identity[tail]))
    return list(dict.fromkeys(found))

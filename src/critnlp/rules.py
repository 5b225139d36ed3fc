"""What a criterion says, as a rule: the facts that its values make, and how its own words join them.

    read(tagged, children)   the rule of one criterion, how far it can be computed, and what a person should look at
    read_trial(tagged)       the criteria of a trial with their rules, relations and categories

A criterion is read as a row of parts: facts, words that say more, and the joining words between them. Where the row leaves
open how its parts belong together, the criterion is `unsupported` as a whole; the facts that were read stay within it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Literal

from critnlp import analytes, schema, units
from critnlp.categories import categorize
from critnlp.facts import ABOUT, Lost, analyte_of, fact_of, measured_fact, range_of, result_fact, staging_fact
from critnlp.lexicon import cue
from critnlp.quantities import TIME_UNITS, Bound, Threshold
from critnlp.quantities import find as find_thresholds
from critnlp.relations import Link, Result, Subject, Value, link, relations_of
from critnlp.staging import Staging
from critnlp.tagging import Mention, Span, Tagged, find_times, words
from critnlp.windows import Time
from critnlp.wording import describe

Rule = schema.Rule


@dataclass(frozen=True, slots=True)
class Reading:
    """The rule of a criterion with its verdict on itself."""

    rule: Rule
    computable: schema.Computable
    describe: str
    links: tuple[Link, ...] = ()
    warnings: tuple[schema.Warning, ...] = ()


# --- from links to nodes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of the criterion that has been read, and the characters that it took."""

    rule: Rule
    covered: tuple[Span, ...]
    facts: tuple[schema.Fact, ...] = ()  # as they were read, wherever the rule may stand
    subjects: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        """Where the node begins."""
        return min(start for start, _ in self.covered)

    @property
    def end(self) -> int:
        """Where the node ends."""
        return max(end for _, end in self.covered)


def _join(op: Literal["all_of", "any_of"], rules: Sequence[Rule]) -> Rule:
    """The rules under one operator, flat; a single rule stays as it is."""
    flat: list[Rule] = []
    seen: set[object] = set()
    for rule in rules:
        inner = rule.rules if isinstance(rule, schema.AllOf | schema.AnyOf) and rule.op == op else (rule,)
        for one in inner:
            key = (
                (one.about, one.name, one.range, one.values, one.windows, one.status, one.of)
                if isinstance(one, schema.Fact)
                else one
            )
            if key not in seen:
                seen.add(key)
                flat.append(one)
    if len(flat) == 1:
        return flat[0]
    return schema.AllOf(rules=tuple(flat)) if op == "all_of" else schema.AnyOf(rules=tuple(flat))


@dataclass(frozen=True, slots=True)
class _Lead:
    """What a lead-in gives to its items: windows, whether it speaks of the past ("History of:"), or turns them round."""

    windows: tuple[schema.Window, ...] = ()
    past: bool = False
    turns: bool = False  # "outside these ranges:", "except for:"


class _Reader:
    """Reads one criterion: its clean text, its mentions and links."""

    def __init__(self, tagged: Tagged, lead: _Lead) -> None:
        self._tagged = tagged
        self._lead = lead
        self._text = tagged.clean.text
        self._kind = tagged.criterion.kind
        self._mentions = tagged.mentions
        self._ids = {mention: entity.id for mention, entity in zip(tagged.mentions, tagged.criterion.entities, strict=True)}
        self.links = link(self._text, self._mentions)
        self.warnings: list[schema.Warning] = []
        self.facts: list[schema.Fact] = []
        self._excepted = 0  # where the exceptions of the fact just read end
        self._open = False  # whether something was read whose reach is open, so that no rule can hold the criterion

    # -- the facts of a link --

    def _placed(self, fact: schema.Fact, one: Link, subject: Subject | None) -> schema.Fact:
        """The fact with its place in the trial's text, its entities and its windows."""
        start = min(one.value.start, subject.start if subject and not one.inherited else one.value.start)
        end = max(one.value.end, subject.end if subject and not one.inherited else one.value.end)
        source = self._tagged.clean.source_span(start, end)
        marked = [subject.mention if subject else None, one.mention]
        marked += [
            m for m in self._mentions if m.label == "TEMPORAL" and any((m.start, m.end) == (t.start, t.end) for t in one.times)
        ]
        entities = dict.fromkeys(self._ids[m] for m in marked if m is not None and m in self._ids)
        found = [window for time in one.times for window in time.windows]
        if not found and fact.about in ("lab", "vital", "measurement", "scale"):
            found = [window for window in self._lead.windows if window.relation in ("within", "during")]
        past = any(time.past for time in one.times) and fact.about in ("condition", "drug", "procedure", "device")
        past = past or _HISTORY_OF.search(self._text, max(0, one.start - 24), one.start) is not None
        if fact.about in ("condition", "staging", "drug", "procedure", "device"):
            past = (
                past
                or self._lead.past
                or _OPENS_HISTORY.match(self._text) is not None
                or _PRIOR.search(self._text, max(0, one.start - 32), one.end) is not None
            )
        placed = fact.model_copy(
            update={
                "start": source[0],
                "end": source[1],
                "entities": tuple(entities),
                "windows": tuple(found),
                "status": "history" if past else fact.status,
            }
        )
        self.facts.append(placed)
        return placed

    def _rule_of(self, one: Link, value: Value | None = None) -> Rule:
        """The rule of a link: one fact, or one for each of its subjects, joined as the words say."""
        value = value or one.value
        if isinstance(value, Time):
            return self._dated(one, value)
        if any(time.problem or time.negated for time in one.times):
            raise Lost("a time that cannot be read")
        if isinstance(value, Staging):
            subject = one.subjects[0] if one.subjects else None
            return self._placed(staging_fact(value, subject), one, subject)
        if isinstance(value, Result):
            return _join(self._op(one), [self._placed(result_fact(value, s), one, s) for s in one.subjects])
        if value.form == "pair" or (len(one.subjects) == 2 and value.second):
            return self._pair(one, value)
        made = [self._placed(fact_of(s, value, behind=one.behind), one, s) for s in one.subjects]
        if made[0].about == "drug" and _EQUIVALENT.search(self._text, 0, value.start):
            raise Lost("a dose of any of a class, told as that of one")
        if one.subjects[0].kind in ("LAB", "SCALE", "BIOMARKER") and (method := self._method(one)):
            made = [f.model_copy(update={"method": method}) for f in made]
            self.facts[-len(made) :] = made
        dosed = any(f.range and f.range.measures == "dose" and "/" not in (f.range.unit or "") for f in made)
        if dosed and _DAILY.search(self._text, max(0, one.start - 12), one.value.start):
            raise Lost("a dose whose time stands before it")
        if any(f.range and f.range.measures == "dose" for f in made) and cue("per").match(self._text, one.end):
            raise Lost("a dose whose time stands apart")
        spans = [t for t in one.times if not cue("names_anchor").search(self._text, t.start, t.end)]
        if one.change and (spans or cue("often").match(self._text, one.end)):
            raise Lost("the time in which a change happens")
        if one.change:
            if not all(f.range for f in made):
                raise Lost("a change in steps of a scale")
            made = [f.model_copy(update={"codes": ()}) for f in made]
            changed = [f.range.model_copy(update={"measures": "change"}) for f in made if f.range]
            way = {"qualifiers": (one.change,)} if one.change != "change" else {}
            assumed = [bool(f.repairs and "predicted" in f.repairs[-1]) for f in made]
            changed = [
                c.model_copy(update={"relative_to": None, "relation": None}) if a else c
                for c, a in zip(changed, assumed, strict=True)
            ]
            made = [
                f.model_copy(update={"range": c, "canonical": None, "repairs": f.repairs[:-1] if a else f.repairs, **way})
                for f, c, a in zip(made, changed, assumed, strict=True)
            ]
            self.facts[-len(made) :] = made
        joined = _join(self._op(one), made)
        return schema.Not(rule=joined) if one.outside else joined

    def _method(self, one: Link) -> str | None:
        """How a value is measured, where that stands within its link or right behind it: "by echocardiogram"."""
        own = {s.mention for s in one.subjects}
        inside = [
            m for m in self._mentions if m.label == "PROCEDURE" and m not in own and one.start <= m.start and m.end <= one.end
        ]
        if inside:
            return " or ".join(self._text[m.start : m.end] for m in inside)
        found = cue("formula").match(self._text, one.end)
        if found and _FOR_SOME.match(self._text, found.end()):
            raise Lost("a formula for some of the patients")
        return found["name"] if found else None

    def _dated(self, one: Link, time: Time) -> Rule:
        """What a time phrase dates, as facts with that window."""
        lead = self._text[max(0, one.start - 60) : one.value.start]
        lead = re.split(r"[,;.:]\s", lead)[-1]
        if cue("planned").search(self._text, one.subjects[0].end, one.subjects[-1].end):
            raise Lost("planned and present things in one list")
        if cue("taken_off").search(lead):
            raise Lost("a time of being without something")
        lasting = any(window.relation == "for" for window in time.windows)
        if lasting and self._text[time.start : time.end].lower().startswith("from "):
            raise Lost("a time that begins so long before")
        if lasting and _STOPS.search(re.split(r"\.\s", self._text[: one.start])[-1]):
            raise Lost("a time of being without something")
        if any(w.relation == "within" and w.low and w.high for w in time.windows) and _WITHIN.match(self._text, time.start):
            raise Lost("a window that differs from thing to thing")
        if _MORE_OR_LESS.match(self._text, time.end):
            raise Lost("a time that is more or less so long")
        if _THIS.search(self._text, time.start, time.end):
            raise Lost("a time that points back")
        if self._kind == "inclusion" and _ANY_BEFORE.search(lead) and any(w.relation == "before" for w in time.windows):
            raise Lost("what must be over, if it was at all")
        planned = (
            cue("planned").search(lead) is not None
            or cue("planned").search(self._text[one.subjects[-1].end : time.start]) is not None
        )
        before = time.past or any(window.relation == "before" for window in time.windows)
        status: schema.Status = "planned" if planned else "history" if before or _HISTORY.search(lead) else "current"
        if status == "history" and cue("later").search(lead):
            raise Lost("something that has not happened")
        exceptions, end = self._exceptions(one.end)
        made: list[Rule] = []
        for subject in one.subjects:
            name = analytes.plain_name(subject.text)
            fact = schema.Fact(about=ABOUT[subject.kind], name=name, status=status, repairs=time.repairs, exceptions=exceptions)
            made.append(self._placed(fact, one, subject).model_copy(update={"status": status}))
        self._excepted = end
        if exceptions and re.search(r"[^\W_]", re.split(r"[.;]\s", self._text[end:])[0]):
            self._open = True  # more kinds that do not count, or more of the one that was read
        if time.negated:  # beside unsupported text it would say the opposite
            del self.facts[-len(made) :]
        rule = _join("any_of" if time.negated or self._kind == "exclusion" else self._op(one), made)
        return schema.Not(rule=rule) if time.negated else rule

    def _exceptions(self, at: int) -> tuple[tuple[Rule, ...], int]:
        """The kinds that do not count, named behind "except": "malignancy … except basal cell carcinoma"."""
        opened = cue("except").match(self._text, at)
        if not opened:
            return (), at
        inside: list[schema.Fact] = []
        end = opened.end()
        for mention in self._mentions:
            if (
                mention.label == "CONDITION"
                and mention.start >= end
                and cue("and_others").fullmatch(self._text, end, mention.start)
            ):
                treated = " ".join(_TREATED.findall(self._text[end - len(opened[0]) if not inside else end : mention.start]))
                fact = self._condition_fact(mention)
                inside.append(fact.model_copy(update={"qualifiers": (treated.lower(),)}) if treated else fact)
                end = mention.end
        return tuple(inside), end if inside else at

    def _op(self, one: Link) -> Literal["all_of", "any_of"]:
        """How the subjects of one value are joined; in an exclusion each alone excludes, unless it says "both"."""
        both = _BOTH.search(self._text, 0, one.start + 6)
        if one.joined == "or" or (self._kind == "exclusion" and not both):
            return "any_of"
        return "all_of"

    def _pair(self, one: Link, value: Threshold) -> Rule:
        """ "≤ 140/90" bounds both pressures, "≥ 160/100" either."""
        if value.second is None or value.problem:
            raise Lost(value.problem or "two numbers in one")
        names = [analytes.plain_name(subject.text) for subject in one.subjects]
        subject = one.subjects[0]
        pressure = analyte_of(subject)
        if len(names) > 2 or not (
            names == ["systolic blood pressure", "diastolic blood pressure"] or (pressure and "blood pressure" in pressure.name)
        ):
            raise Lost("two numbers of something that is no blood pressure")
        facts: list[Rule] = []
        for name, part in (("systolic blood pressure", value), ("diastolic blood pressure", value.second)):
            analyte = analytes.analyte(name)
            if analyte is None:
                raise Lost(f"{name} is not in the table")
            facts.append(self._placed(measured_fact(analyte, replace(part, second=None, form="bound")), one, subject))
        return _join("any_of" if value.low else "all_of", facts)

    def _nodes(self) -> Iterator[_Node]:
        """The parts that have been read, in text order; bounds of one thing are one part."""
        at = 0
        while at < len(self.links):
            upto = at + 1
            while upto < len(self.links) and (self.links[upto].inherited or self._goes_on(self.links[upto - 1], self.links[upto])):
                upto += 1
            group = self.links[at:upto]
            node = self._node(group)
            if node:
                yield node
            at = upto

    def _goes_on(self, last: Link, one: Link) -> bool:
        """Whether a link bounds what the last one bounds, named again: "Men aged 45 or older, women aged 55 or older"."""
        if not isinstance(last.value, Threshold) or not isinstance(one.value, Threshold):
            return False
        if [analytes.plain_name(s.text).lower() for s in last.subjects] != [
            analytes.plain_name(s.text).lower() for s in one.subjects
        ]:
            return (
                last.subjects[0].kind == one.subjects[0].kind == "AGE"
                and _SEX_WORD.search(self._text, last.end, one.value.start) is not None
            )
        gap = self._text[last.end : one.start]
        return cue("condition").match(gap) is not None or _SEX_WORD.search(gap) is not None

    def _node(self, group: Sequence[Link]) -> _Node | None:
        before = len(self.facts)
        try:
            rule, covered = self._bounds(group)
        except Lost as lost:
            del self.facts[before:]
            if lost.code:
                self._warn(lost.code, str(lost))
                spans = tuple(span for one in group for span in one.covered)
                return _Node(self._unsupported(min(s for s, _ in spans), max(e for _, e in spans)), spans)
            return None
        names = tuple(subject.text for one in group for subject in one.subjects)
        return _Node(rule, covered, tuple(self.facts[before:]), names)

    def _warn(self, code: schema.WarningCode, message: str) -> None:
        self.warnings.append(schema.Warning(code=code, criterion=self._tagged.criterion.id, message=message))

    def _unsupported(self, start: int, end: int) -> schema.Unsupported:
        return schema.Unsupported(text=self._text[start:end].strip(), reason="unparsed")

    # -- several bounds of one thing --

    def _bounds(self, group: Sequence[Link]) -> tuple[Rule, tuple[Span, ...]]:
        """The rule of the bounds of one thing, with conditions ("if liver metastases", "(women)") and other units."""
        covered = [span for one in group for span in one.covered]
        conditions, spans = ([None], []) if isinstance(group[0].value, Time) else self._conditions(group)
        covered += spans
        values = self._in_other_units(group)
        rules = [self._rule_of(one, value) for one, value in zip(group, values, strict=True)]
        gaps = [self._text[first.value.end : second.value.start] for first, second in pairwise(group)]
        if isinstance(group[0].value, Time):
            if self._excepted > group[0].end:
                covered.append((group[0].end, self._excepted))
            return rules[0], tuple(covered)
        if len(group) == 1 and conditions[0] and conditions[0].negated:
            self._open = True  # a bound for those without something, and none for the others
            return rules[0], tuple(span for one in group for span in one.covered)
        if len(group) == 1:
            return self._conditioned(conditions[0], rules[0], group[0]), tuple(covered)
        for first, second in pairwise(group):
            self._needs_clean(first.value.end, second.value.start, spans)
        covered += [(first.value.end, second.value.start) for first, second in pairwise(group)]
        if len(group) == 2 and (either := self._either(conditions, rules)):
            return either, tuple(covered)
        if any(conditions):
            if len(group) > 2 or any(condition is None or condition.negated for condition in conditions):
                raise Lost("conditions that cannot be told apart")
            whole = [_if(c.rule, r) for c, r in zip(conditions, rules, strict=True) if c]
            return _join("all_of" if self._kind != "exclusion" else "any_of", whole), tuple(covered)
        op: Literal["all_of", "any_of"] | None = None
        for number, gap in enumerate(gaps):
            own = self._gap_op(gap, group[number], group[number + 1], values[number], values[number + 1])
            if op is not None and own != op:
                raise Lost('bounds joined by both "and" and "or"')
            op = own
        if op == "any_of" and self._kind == "inclusion" and self._always(values):
            raise Lost("two bounds of which one is always met")
        return _join(op or "all_of", rules), tuple(covered)

    @staticmethod
    def _always(values: Sequence[Value]) -> bool:
        """Whether every value meets one of two bounds: "> 0.9 or < 3"."""
        bounds = [v for v in values if isinstance(v, Threshold) and v.form == "bound" and v.unit == values[0].unit]  # type: ignore[union-attr]
        lows, highs = [v.low for v in bounds if v.low], [v.high for v in bounds if v.high]
        return len(values) == 2 == len(bounds) and bool(lows and highs) and Decimal(lows[0].value) < Decimal(highs[0].value)

    def _either(self, conditions: Sequence[_Condition | None], rules: Sequence[Rule]) -> schema.If | None:
        """Two bounds of which a condition chooses one: "≤ 2.5 × ULN (≤ 5 × ULN if liver metastases)"."""
        one, other = conditions
        if one is None and other is not None:
            chosen, rest = (rules[0], rules[1]) if other.negated else (rules[1], rules[0])
            return _if(other.rule, chosen, rest)
        if one is None:
            return None
        if other is None:
            return _if(one.rule, rules[1], rules[0]) if one.cue == "unless" else None
        if not _opposed(one.rule, other.rule) and one.negated == other.negated:
            return None
        if one.negated and not other.negated:
            return _if(other.rule, rules[1], rules[0])
        return _if(one.rule, rules[0], rules[1])

    def _needs_clean(self, start: int, end: int, read: Sequence[Span]) -> None:
        """Raises `Lost` where words between two bounds are neither joining words, nor a condition, nor a name, nor a time."""
        gap = list(self._text[start:end])
        known = [(m.start, m.end) for m in self._mentions if m.label in ("LAB", "SCALE", "DEMOGRAPHIC", "TEMPORAL", "EXCEPTION")]
        for low, high in (*read, *known):
            for at in range(max(low, start), min(high, end)):
                gap[at - start] = " "
        allowed = words("neutral") | words("glue") | words("people") | _BETWEEN
        left = [w for w in re.findall(r"[^\W\d_]+", "".join(gap).lower()) if w not in allowed]
        if left:
            raise Lost("words between two bounds that were not read")

    def _gap_op(self, gap: str, first: Link, second: Link, one: object, other: object) -> Literal["all_of", "any_of"]:
        if re.search(r"\bor\b", gap, re.IGNORECASE) or "/" in gap:
            return "any_of"
        if gap.strip() in ("(", "[", "((", "(i.e.", "i.e.", "=", "(="):
            return "any_of"  # the same bound in another unit
        if re.search(r"\b(?:and|but)\b", gap, re.IGNORECASE):
            return "all_of"
        if gap.strip() in (",", ";", "", "to", "-", "–"):
            facing = isinstance(one, Threshold) and isinstance(other, Threshold) and bool(one.low) != bool(other.low)
            return "any_of" if self._kind == "exclusion" else "all_of" if facing or self._kind == "inclusion" else "any_of"
        raise Lost("two bounds of one thing that nothing joins")

    def _in_other_units(self, group: Sequence[Link]) -> list[Value]:
        """The values of a group; one without a comparator takes that of the value before, where it is the same or conditional."""
        values: list[Value] = []
        for one in group:
            value = one.value
            if isinstance(value, Threshold) and value.form == "bare" and values and isinstance(values[-1], Threshold):
                values.append(self._carried(values[-1], value, one))
            else:
                values.append(value)
            if len(values) > 1 and isinstance(value, Threshold) and value.form in ("bound", "range"):
                gap = self._text[group[len(values) - 2].value.end : value.start].strip()
                last = values[-2]
                bracketed = gap in ("(", "[")
                if (
                    isinstance(last, Threshold)
                    and bracketed
                    and not self._condition_behind(one)
                    and not _same_size(last, value, one.subjects[0])
                ):
                    raise Lost("a second bound in brackets that is not the first in another unit")
        return values

    def _carried(self, before: Threshold, value: Threshold, one: Link) -> Threshold:
        """A bare number with the comparator of the bound before it."""
        if value.low is None or bool(before.low) == bool(before.high):
            raise Lost("a number without a comparator")
        low = Bound(value.low.value, before.low.inclusive) if before.low else None
        high = Bound(value.low.value, before.high.inclusive) if before.high else None
        repair = "the comparator is that of the bound before"
        carried = replace(value, low=low, high=high, form="bound", repairs=(*value.repairs, repair), problem=before.problem)
        if not _same_size(before, carried, one.subjects[0]) and not self._condition_behind(one):
            raise Lost("a number in brackets that is not the bound before it in another unit")
        return carried

    # -- conditions --

    def _condition_behind(self, one: Link) -> _Condition | None:
        return self._condition(one.value.end)

    def _conditions(self, group: Sequence[Link]) -> tuple[list[_Condition | None], list[Span]]:
        """The condition of each value, written before or behind it, and the characters these take."""
        behind = [self._condition(max(one.value.end, one.end)) for one in group]
        if len(group) > 1 and behind[-1] is None:
            for number, (condition, after) in enumerate(zip(behind[:-1], group[1:], strict=True)):
                # "≤ 2.5 × ULN; if liver metastases are present, ≤ 5 × ULN": it is said of what follows
                if condition and not condition.negated and cue("then").fullmatch(self._text, condition.span[1], after.start):
                    behind[number], behind[number + 1] = None, replace(condition, cue="if", before=True)
        if len(group) == 2 and behind[0] is None and behind[1] and behind[1].before:
            opening = self._condition_before(group[0], None)
            if opening and _opposed(opening.rule, behind[1].rule):
                behind[0] = opening
        if not any(behind):
            if len(group) == 1 and not cue("opening").match(self._text):
                return behind, []
            before = [
                self._condition_before(one, group[number - 1].value.end if number else None) for number, one in enumerate(group)
            ]
            if any(before):
                return before, [c.span for c in before if c]
        return behind, [c.span for c in behind if c]

    def _condition(self, at: int) -> _Condition | None:
        """The condition that begins at `at`: "if liver metastases", "in women", "(men)", "unless Gilbert's syndrome"."""
        found = _SEXES.match(self._text, at)
        if found:
            sex = "female" if found["sex"].lower() in words("female") else "male"
            return _Condition(self._sex(sex, found.span("sex")), found.span())
        opening = cue("condition").match(self._text, at)
        if not opening:
            return None
        end = cue("condition_end").search(self._text, opening.end())
        stop = end.start() if end else len(self._text)
        rule = self._named_condition(opening.end(), stop)
        word = opening["cue"].lower()
        if isinstance(rule, schema.Unsupported):
            if not cue("strong_cue").match(word):
                return None
            # what no table names goes on to the end of its bracket or sentence
            bracketed = "(" in self._text[at : opening.end()] or "[" in self._text[at : opening.end()]
            last = re.compile(r"[)\]]" if bracketed else r"\.\s|;|\.$|$").search(self._text, stop)
            stop = last.start() if last else len(self._text)
            if any(at < one.value.start < stop for one in self.links):
                raise Lost("a condition with values of its own")
            rule = self._named_condition(opening.end(), stop)
        if rule is None:
            return None
        kind = (
            "unless" if word.startswith(("unless", "except", "with the exception")) else "without" if _DENIED.search(word) else "if"
        )
        tail = _TAIL.match(self._text, stop)
        return _Condition(rule, (at, tail.end() if tail else stop), kind, negated=kind == "without")

    def _condition_before(self, one: Link, floor: int | None) -> _Condition | None:
        """ "males ≥ 13 g/dL", "Men aged 45 or older", "If liver metastases are present, ALT ≤ 5 × ULN"."""
        first = one.value.start if floor is not None else one.start
        stretch = self._text[floor or 0 : one.value.start]
        found = list(_SEX_WORD.finditer(stretch))
        if len(found) == 1:
            sex = "female" if found[0]["sex"].lower() in words("female") else "male"
            offset = floor or 0
            span = (offset + found[0].start(), offset + found[0].end())
            return _Condition(self._sex(sex, span), span, before=True)
        if floor is None:
            opening = cue("opening").match(self._text, 0, first) if len(self.links) == 1 else None
            stop = self._text.find(",", opening.end(), first) if opening else -1
            if opening and stop > 0 and (rule := self._named_condition(opening.end(), stop)) is not None:
                return _Condition(rule, (0, stop + 1), before=True)
        return None

    def _sex(self, sex: str, span: Span) -> schema.Fact:
        source = self._tagged.clean.source_span(*span)
        marked = [self._ids[m] for m in self._mentions if m.label == "DEMOGRAPHIC" and m.start < span[1] and span[0] < m.end]
        return schema.Fact(about="sex", name="sex", values=(sex,), start=source[0], end=source[1], entities=tuple(marked))

    def _named_condition(self, start: int, end: int) -> Rule | None:
        """The condition that the words of a stretch name: a disease, several joined by "or", else words as they stand."""
        stretch = self._text[start:end]
        if not stretch.strip() or len(stretch) > 160:
            return None
        inside = [m for m in self._mentions if m.label == "CONDITION" and start <= m.start and m.end <= end]
        rest = stretch
        for mention in inside:
            for first, last in mention.fragments:
                rest = rest[: first - start] + " " * (last - first) + rest[last - start :]
        said = [w.lower() for w in re.findall(r"[^\W\d_]+", rest)]
        if len(inside) > 1 and any(_CAUSED.search(self._text, one.end, two.start) for one, two in pairwise(inside)):
            return schema.Unsupported(text=stretch.strip(" ,;:)"), reason="unparsed")
        if inside and all(word in _CONDITION_WORDS for word in said) and not re.search(r"\d|[<>≤≥]", rest):
            op: Literal["all_of", "any_of"] = "all_of" if "and" in said and "or" not in said else "any_of"
            return _join(op, [self._condition_fact(mention) for mention in inside])
        if re.search(r"[<>≤≥=]|\d", stretch):
            return None
        return schema.Unsupported(text=stretch.strip(" ,;:)"), reason="unparsed")

    def _condition_fact(self, mention: Mention) -> schema.Fact:
        text = " ".join(self._text[start:end] for start, end in mention.fragments)
        source = self._tagged.clean.source_span(mention.start, mention.end)
        return schema.Fact(
            about="condition", name=analytes.plain_name(text), start=source[0], end=source[1], entities=(self._ids[mention],)
        )

    def _conditioned(self, condition: _Condition | None, rule: Rule, one: Link) -> Rule:
        """One bound with one condition: "A unless B" is met by either, an exclusion by A without B."""
        if condition is None:
            return rule
        if condition.cue == "unless":
            bracketed = self._text[condition.span[0] :].lstrip(" ,;")[:1] in ("(", "[")
            if not bracketed and any(isinstance(o.value, Threshold) and o.end <= one.start for o in self.links):
                self._open = True  # "A ≥ 1 and B ≥ 2 unless C": whether it reaches A is open
            if self._kind == "exclusion":
                return _join("all_of", [rule, schema.Not(rule=condition.rule)])
            return _join("any_of", [rule, condition.rule])
        if condition.negated:
            raise Lost("a bound for those without something, and none for the others")
        if self._kind == "exclusion":
            return _join("all_of", [condition.rule, rule])
        return _if(condition.rule, rule)

    # -- the row of parts --

    def read(self, children: Sequence[Tagged]) -> tuple[Rule, schema.Computable]:
        """The rule of the whole criterion."""
        nodes = sorted([*self._nodes(), *self._times_of_life()], key=lambda node: node.start)
        nodes += self._people(nodes)
        nodes.sort(key=lambda node: node.start)
        own = self._own_words(nodes, bool(children))
        if not children:
            return own if own is not None else self._whole()
        return self._with_children(children, own)

    def whole(self) -> tuple[Rule, schema.Computable]:
        """The criterion with what is read in it, held by no rule."""
        for _ in self._nodes():
            pass
        return self._whole()

    def _whole(self) -> tuple[Rule, schema.Computable]:
        """The criterion as one text that no rule holds, with what was read in it."""
        return self._unread(self._text), "unparsed"

    def _unread(self, text: str) -> schema.Unsupported:
        """Text that no rule holds, with the bounds, stages, ages and results in it.

        A time beside a disease, drug or act is left out: where the sentence is not understood, what it dates is wrong on
        every seventh (audit 5), and its entities and their relation say as much.
        """
        kept = tuple(fact for fact in self.facts if fact.range is not None or fact.about not in _DATED)
        return schema.Unsupported(text=text, reason="unparsed", facts=kept)

    def _own_words(self, nodes: Sequence[_Node], leads: bool) -> tuple[Rule, schema.Computable] | None:
        """The rule of the criterion's own words; None where nothing was read or its place is open."""
        if not nodes:
            return None
        row = self._row(nodes)
        if any(_FOR_THOSE.search(self._text, one.end, two.start) for one, two in pairwise(nodes) if one.end < two.start):
            return None  # "creatinine clearance ≥ 60 for subjects with creatinine above normal"
        if self._open or self._twice(nodes) or self._overlap(nodes):
            return None
        try:
            rule = self._evaluate(row)
        except Lost:
            return None
        if self._kind == "inclusion" and (excluded := _EXCLUDED.search(self._text)):
            if any(True for _ in _unsupported_in(rule)) or self._text[excluded.end() :].strip(" .;"):
                return None
            rule = schema.Not(rule=rule)
            self._warn("polarity_repaired", "the text excludes what stands under the inclusion criteria")
        unread = any(True for _ in _unsupported_in(rule))
        if not any(True for _ in facts_in(rule)):
            return rule, "unparsed"
        return rule, "partial" if unread else "full"

    def _twice(self, nodes: Sequence[_Node]) -> bool:
        """Whether two parts bound the same thing: a condition that was not read tells them apart."""
        seen: dict[tuple[str, str], _Node] = {}
        for node in nodes:
            for key in {(f.about, f.name) for f in facts_in(node.rule) if f.range is not None or f.about == "staging"}:
                if key in seen and not cue("only_joined").fullmatch(self._text, seen[key].end, node.start):
                    return True
                seen[key] = node
        return False

    @staticmethod
    def _overlap(nodes: Sequence[_Node]) -> bool:
        """Whether words of one part were taken for another as well: a disease that is a condition and a fact of its own."""
        taken = sorted((span, number) for number, node in enumerate(nodes) for span in node.covered)
        return any(two[0] < one[1] and first != second for (one, first), (two, second) in pairwise(taken))

    def _with_children(
        self, children: Sequence[Tagged], own: tuple[Rule, schema.Computable] | None
    ) -> tuple[Rule, schema.Computable]:
        """A lead-in: its items under the operator that its words say, and what it says beside that."""
        text = self._text
        refs = [schema.CriterionRef(id=child.criterion.id) for child in children]
        if _EXCEPT_THESE.search(text):  # the items do not count: no rule holds exceptions that are criteria
            return self._whole()
        ends = {word for child in children[:-1] if (word := _joining_end(child))}
        several = _AT_LEAST.search(text)
        number = several and _SMALL.get(several["n"].lower(), several["n"])
        items: Rule
        if number and number.isdigit() and 1 < int(number) <= len(refs):
            items = schema.AtLeast(n=int(number), rules=tuple(refs))
        elif number == "1" or cue("any").search(text):
            items = schema.AnyOf(rules=tuple(refs))
        elif _ALL.search(text):
            items = schema.AllOf(rules=tuple(refs))
        elif len(ends) == 1:  # the items' own last words join them: "… or"
            items = schema.AnyOf(rules=tuple(refs)) if ends == {"or"} else schema.AllOf(rules=tuple(refs))
        else:
            items = schema.AnyOf(rules=tuple(refs)) if self._kind == "exclusion" else schema.AllOf(rules=tuple(refs))
        untimed = text
        for time in find_times(text):  # a window goes into the facts of the items
            if time.kind == "window" and time.windows and own is None:
                untimed = untimed[: time.start] + " " * (time.end - time.start) + untimed[time.end :]
        rest = [w for w in re.findall(r"[^\W\d_]+", untimed.lower()) if w not in words("neutral") and w not in _LEAD_WORDS]
        if not rest:
            return items, "full"
        if own is None or own[1] == "unparsed":
            said = self._unread(text)
            return schema.AllOf(rules=(said, items)), "partial"
        return _join("all_of", [own[0], items]), own[1]

    def _people(self, nodes: Sequence[_Node]) -> list[_Node]:
        """Sex and age in words, where one sex or "adults" stands alone: "Female patients", "Adults"."""
        free = [
            m for m in self._mentions if m.label == "DEMOGRAPHIC" and not any(s <= m.start < e for n in nodes for s, e in n.covered)
        ]
        free = [m for m in free if self._text[m.end : m.end + 1] != "-"]
        said = {m: set(re.findall(r"[^\W\d_]+", self._text[m.start : m.end].lower())) for m in free}
        found: list[_Node] = []
        sexes = {m: "female" if w & words("female") else "male" for m, w in said.items() if w & (words("female") | words("male"))}
        pair = sorted(sexes, key=lambda m: m.start)
        both = len(pair) == 2 and len(set(sexes.values())) == 2 and not nodes
        both = both and cue("only_joined").fullmatch(self._text, pair[0].end, pair[1].start) is not None
        if (both or len(set(sexes.values())) == 1) and not cue("sex_word_else").search(self._text):
            mention, sex = next(iter(sexes.items()))
            fact = self._sex(sex, (mention.start, max(m.end for m in sexes)) if both else (mention.start, mention.end))
            if both:
                fact = fact.model_copy(update={"values": ("female", "male")})
            self.facts.append(fact)
            covered = (
                ((min(m.start for m in sexes), max(m.end for m in sexes)),) if both else tuple((m.start, m.end) for m in sexes)
            )
            found.append(_Node(fact, covered, (fact,)))
        aged = any(fact.about == "age" for node in nodes for fact in node.facts)
        groups = {m: "adult" if w & words("adult") else "child" for m, w in said.items() if w & (words("adult") | words("child"))}
        if groups and not aged and len(set(groups.values())) == 1:
            mention, group = next(iter(groups.items()))
            source = self._tagged.clean.source_span(mention.start, mention.end)
            fact = schema.Fact(
                about="age", name="age", values=(group,), start=source[0], end=source[1], entities=(self._ids[mention],)
            )
            self.facts.append(fact)
            found.append(_Node(fact, tuple((m.start, m.end) for m in groups), (fact,)))
        return found

    def _times_of_life(self) -> list[_Node]:
        """Life expectancies: "Life expectancy of at least 12 weeks"."""
        found: list[_Node] = []
        for one in cue("life").finditer(self._text):
            for value in thresholds_in(self._text, one.end(), bare="minimum" in one[0].lower()):
                gap = self._text[one.end() : value.start]
                if len(gap) > 60 or not re.fullmatch(
                    r"[\s:,=(-]*(?:(?:is|are|was|of|a|an|must|should|be|will|to|with|at|as|the|has|have|being|that|estimated|expected|which|than|period|predicted|judged|for|in|by|investigator|physician|opinion|treating|assessed|according|and)[\s:,]+)*(?:\()?",
                    gap,
                    re.IGNORECASE,
                ):
                    break
                if value.form not in ("bound", "range") or value.unit not in TIME_UNITS or value.problem:
                    break
                span = (one.start(), value.end)
                fact = self._life(one.span(), value)
                found.append(_Node(fact, (span,), (fact,)))
                break
        return found

    def _life(self, name: Span, value: Threshold) -> schema.Fact:
        source = self._tagged.clean.source_span(name[0], value.end)
        marked = [
            self._ids[m]
            for m in self._mentions
            if m.label in ("OBSERVATION", "TEMPORAL", "THRESHOLD") and name[0] <= m.start and m.end <= value.end + 1
        ]
        fact = schema.Fact(
            about="observation", name="life expectancy", range=range_of(value, "duration"), start=source[0], end=source[1],
            entities=tuple(marked), repairs=value.repairs,
        )  # fmt: skip
        self.facts.append(fact)
        return fact

    def _row(self, nodes: Sequence[_Node]) -> list[_Part]:
        """The criterion as parts in text order: what was read, words that say more, joining words and brackets."""
        taken = sorted((span, number) for number, node in enumerate(nodes) for span in node.covered)
        row: list[_Part] = []
        placed: set[int] = set()
        at = owed = 0  # brackets that open within what was read, and close behind it
        for (start, end), number in taken:
            if start > at:
                gap, owed = _without_closing(self._gap_parts(at, start), owed)
                row += gap
            if number not in placed and start == nodes[number].start:
                placed.add(number)
                row.append(_Part("node", nodes[number].rule, start, end))
            inside = self._text[max(at, start) : end]
            owed += sum(inside.count(sign) for sign in "([") - sum(inside.count(sign) for sign in ")]")
            at = max(at, end)
        gap, _ = _without_closing(self._gap_parts(at, len(self._text)), owed)
        return [*row, *gap]

    def _gap_parts(self, start: int, end: int) -> Iterator[_Part]:
        """The parts of a stretch between nodes."""
        text, neutral, negation = self._text, words("neutral"), words("negation")
        inside = [m for m in self._saying if m.start < end and start < m.end]
        said: tuple[int, int] | None = None
        run: tuple[int, int] | None = None  # the words since the last sign, those that say nothing included
        denied: int | None = None  # where the negation of the words that follow begins
        at = start
        while at < end:
            found = cue("piece").match(text, at, end)
            if not found:
                at += 1
                continue
            piece, at = found[0].lower(), found.end()
            if self._kind == "inclusion" and (gone := _EXCLUDED.match(text, found.start())):
                at = gone.end()
                continue
            named = next((m for m in inside if m.start <= found.start() < m.end), None)
            if named:  # a name says more as a whole, whatever its words: "heart failure"
                at = max(at, min(named.end, end))
                run = (run[0] if run else found.start(), at)
                said = (said[0] if said else run[0] if denied is None else denied, at)
                denied = None
                continue
            kind: Kind | None = _JOINS.get(piece)
            if kind == "stop" and not (text[at : at + 1].isspace() and text[at:].strip()[:1].isupper()):
                kind = None
                piece = ""
            if kind is None and piece and (piece.isdigit() or not piece[0].isalpha()) and not piece[0].isdigit():
                continue
            if piece in ("i.e", "ie", "namely", "defined"):
                kind = "same"
                at += text[at : at + 1] == "."
            if piece in ("e.g", "eg", "vs", "approx", "incl"):
                at += text[at : at + 1] == "."
            if kind is None and piece in negation:
                kind = "not"
                denied = found.start()
            if kind is None:
                run = (run[0] if run else found.start(), found.end())
                if piece and (piece.rstrip(".") not in neutral or piece in self._limiting):
                    said = (denied if denied is not None and not said else said[0] if said else run[0], found.end())
                    denied = None
                elif said:
                    said = (said[0], found.end())
                continue
            if said:
                yield _Part("said", self._unsupported(*said), *said)
            said = run = None
            yield _Part(kind, None, found.start(), found.end())
        if said:
            yield _Part("said", self._unsupported(*said), *said)

    @cached_property
    def _limiting(self) -> frozenset[str]:
        """Words for people that limit a criterion: one sex where the other is not named, an age group without an age."""
        said = set(re.findall(r"[^\W\d_]+", self._text.lower()))
        sexes = [said & words("male"), said & words("female")]
        limits = set() if all(sexes) or any(f.about == "sex" for f in self.facts) else sexes[0] | sexes[1]
        if not any(f.about == "age" for f in self.facts):
            limits |= said & (_AGE_GROUPS | words("adult") | words("child"))
        if self._kind != "inclusion":
            limits |= said & {"eligible", "included", "enrolled", "include", "inclusion"}
        if "function" not in said and "functions" not in said:
            limits |= said & _ORGANS
        return frozenset(limits)

    @cached_property
    def _saying(self) -> list[Mention]:
        return [m for m in self._mentions if m.label in _SAYING]

    def _evaluate(self, row: Sequence[_Part]) -> Rule:
        """The rule of a row. Raises `Lost` where its joining words leave the structure open."""
        return _Structure(self._kind, self._text, self._saying).rule(row)


def _without_closing(parts: Iterable[_Part], owed: int) -> tuple[list[_Part], int]:
    """The parts without as many closing brackets as belong to what was read before, and how many are owed still."""
    kept: list[_Part] = []
    for part in parts:
        if part.kind == "close" and owed > 0:
            owed -= 1
        else:
            kept.append(part)
    return kept, max(owed, 0)


@dataclass(frozen=True, slots=True)
class _Condition:
    """When a bound counts; `cue` is "unless" where it is then lifted, `negated` where it is for those without."""

    rule: Rule
    span: Span
    cue: str = "if"
    negated: bool = False
    before: bool = False


def _if(condition: Rule, then: Rule, otherwise: Rule | None = None) -> schema.If:
    return schema.If.model_validate({"if": condition, "then": then, "else": otherwise})


def _opposed(first: Rule, second: Rule) -> bool:
    """Whether two conditions are the two sexes."""
    sexes = [rule.values for rule in (first, second) if isinstance(rule, schema.Fact) and rule.about == "sex"]
    return sorted(filter(None, sexes)) == [("female",), ("male",)]


def _same_size(first: Threshold, second: Threshold, subject: Subject) -> bool:
    """Whether two bounds are the same in different units, within the rounding of the registry."""
    analyte = analyte_of(subject)
    one, other = first.low or first.high, second.low or second.high
    if not one or not other or not first.unit or not second.unit:
        return False
    molar, special = (analyte.molar_mass, analyte.special) if analyte else (None, "")
    converted = units.convert(one.value, first.unit, second.unit, molar_mass=molar, special=special)
    if converted is None and subject.kind == "AGE":
        converted = units.convert(one.value, first.unit, second.unit)
    if converted is None:
        # Molar units of a substance whose mass is not certain: the author says that they are the same.
        return first.unit != second.unit and not units.same_dimension(first.unit, second.unit) and second.unit not in TIME_UNITS
    return abs(Decimal(converted) - Decimal(other.value)) <= Decimal("0.08") * abs(Decimal(other.value))


_DATED = frozenset({"condition", "drug", "procedure", "device", "reproductive", "observation"})
_JOINING_END = re.compile(r"[\s,;(](?P<word>or|and)\W*$", re.IGNORECASE)
_FOR_SOME = re.compile(r"(?:\s(?:formula|equation|method))?\sfor\s(?!(?:all|calculat|determin|estimat)\w*)", re.IGNORECASE)
_SOMEWHERE = re.compile(r"(?i:in|for) (?:the )?[A-Z][a-z]+|of (?:childbearing|reproductive)")
_MORE_OR_LESS = re.compile(r"\s?[(\[]?\s?(?:±|\+/-|plus or minus)")
_FOR_THOSE = re.compile(
    r"\b(?:for|in|among) (?:the )?(?:patients|subjects|participants|those|individuals|children|adults|adolescents|infants)"
    r"(?: (?:with|who|under|over|aged?|older|younger|below|above|of)\b| ?$)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.;](?:\s|$)")
_DEFINES = re.compile(r"\b(?:will|would) be (?:defined|diagnosed|considered|classified|regarded) (?:as|by|to)\b", re.IGNORECASE)
_MAY_ENTER = re.compile(
    r"\b(?:patients|subjects|participants|those|individuals)\b[^.;]*\b(?:are|remain|will be|may be)(?: also)? eligible\b",
    re.IGNORECASE,
)
_EXCEPT_THESE = re.compile(
    r"^\W*(?:allowed|permitted|recommended)\b"
    r"|\b(?:except(?:ions?)?(?: for)?|with the exception of|other than|excluding|unless|allowed|permitted)\b"
    r"(?:\s(?:for|are|include|is|the|following|these|any|of|one|as|follows|below|to|this)\b)*\s?[:.,]?\s*$",
    re.IGNORECASE,
)
_OUTSIDE_THESE = re.compile(
    r"\b(?:outside|out of|beyond)\b[^.;]{0,40}\b(?:ranges?|limits?|values?|following|these)\b", re.IGNORECASE
)
_DENIED = re.compile(r"\b(?:without|absence|no)\b")
_NEGATED = re.compile(r"\b(?:no|not|without)\b[^()（）]*$", re.IGNORECASE)
_TREATED = re.compile(r"\b(?:adequately|curatively|successfully|completely|treated|resected)\b", re.IGNORECASE)
_STOPS = re.compile(r"\b(?:stop\w*|discontinu\w*|wash-?\s?out|withh[eo]ld|abstain|refrain)\b", re.IGNORECASE)
_WITHIN = re.compile(r"within\b(?! between)", re.IGNORECASE)
_THIS = re.compile(r"\b(?:this|that|these|same)\b", re.IGNORECASE)
_ANY_BEFORE = re.compile(r"\bany\b", re.IGNORECASE)
_EQUIVALENT = re.compile(r"\bequivalent (?:to|of)\s*$", re.IGNORECASE)
_OBLIGED = re.compile(
    r"(?:\s(?:patients|subjects|participants))?\s(?:must|should|ha(?:s|ve) to|needs? to|agrees?|are required|is required|will)\b",
    re.IGNORECASE,
)
_HISTORY_OF = re.compile(r"\b(?:history of|prior|previous)\s(?:a\s|an\s)?$", re.IGNORECASE)
_HISTORY = re.compile(r"\b(?:history of|prior(?! to\b)|previous|previously|past)\b", re.IGNORECASE)
_OPENS_HISTORY = re.compile(
    r"\W*(?:(?:known|any|a|an|documented|past|personal|significant|medical|prior)\s)*"
    r"histor(?:y|ies)\s(?:(?:or|and)\s(?:current\s)?(?:presence|evidence|symptoms)\s)?(?:of|\()",
    re.IGNORECASE,
)
_DAILY = re.compile(r"\b(?:daily|weekly|monthly|per day|a day|every)\b", re.IGNORECASE)
_PRIOR = re.compile(r"\b(?:prior|previous|previously)\b(?! to\b)", re.IGNORECASE)
_BOTH = re.compile(r"\bboth\b", re.IGNORECASE)
_ORGANS = frozenset({"renal", "hepatic", "cardiac", "liver", "kidney", "bone", "marrow", "organ"})
_AGE_GROUPS = frozenset({"infant", "infants", "adolescent", "adolescents", "neonates", "pediatric", "paediatric", "elderly"})
_CAUSED = re.compile(r"\b(?:to|by|from|with|of)\b", re.IGNORECASE)  # "cytopenias secondary to lymphoma" are no two conditions
_NARROWS = re.compile(r"\b(?:with|if|in|for|when)\b", re.IGNORECASE)
_COUNTED = re.compile(
    r"\b(?:any (?P<n>one|two|three|four|\d)?\s?of|(?:at least |≥ ?|>= ?|a minimum of )(?P<m>one|two|three|four|five|\d)"
    r"(?: or more)? of|(?P<k>one|two|three|\d) or more of|(?P<j>one|two|three|four|five|\d) of)"
    r" (?:the |these )?(?:following|below|criteria|three|four|two|five)?[^.;]*$",
    re.IGNORECASE,
)
_EXCLUDED = re.compile(
    r"\b(?:(?:will|should|must|shall|are|is|were|to|can)\s)+(?:be\s)?"
    r"(?:excluded|ineligible|exclusionary|an exclusion(?: criterion)?|not (?:be )?(?:eligible|accepted|enrolled|included))\b"
    r"(?: from (?:the|this) (?:study|trial))?",
    re.IGNORECASE,
)
_BETWEEN = frozenset({"or", "and", "but", "to", "if", "then", "unless", "i", "e", "ie", "respectively", "not", "c", "f"})
_SEX = r"(?P<sex>males?|females?|men|women|man|woman|boys?|girls?)"
_SEXES = re.compile(
    rf"\s?[,(\[]?\s?(?:(?:in|for|if|among|by)\s)?(?:adult\s|the\s)?{_SEX}\b(?!\s?(?:or|and|/|&|,)\s?(?:fe)?(?:males?|m[ae]n|wom[ae]n)\b)(?:\s(?:patients|subjects|participants|gender|sex))?\s?[)\]]?",
    re.IGNORECASE,
)
_SEX_WORD = re.compile(rf"\b(?:(?:in|for|if)\s)?(?:adult\s)?{_SEX}\b(?:\s(?:patients|subjects|participants))?", re.IGNORECASE)
_TAIL = re.compile(r"\s?[)\]]")
_CONDITION_WORDS = frozenset(
    [
        "or",
        "and",
        "present",
        "is",
        "are",
        "has",
        "have",
        "known",
        "with",
        "the",
        "a",
        "an",
        "of",
        "documented",
        "patients",
        "subjects",
        "participants",
        "patient",
        "subject",
        "participant",
        "who",
        "there",
        "was",
        "were",
        "any",
        "history",
        "presence",
        "disease",
        "involvement",
        "confirmed",
        "to",
        "due",
        "attributed",
        "attributable",
        "secondary",
        "considered",
        "be",
        "for",
        "in",
        "those",
        "presumed",
        "related",
        "exist",
        "exists",
        "active",
        "underlying",
        "suspected",
        "case",
        "cases",
        "diagnosed",
        "diagnosis",
    ]
)


# --- how the parts of a row belong together ---------------------------------------------------------------------------


Kind = Literal["node", "said", "and", "or", "comma", "semi", "stop", "open", "close", "not", "same"]


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a criterion's row: a node or words that say more, each with its rule, or a sign of how these join."""

    kind: Kind
    rule: Rule | None
    start: int
    end: int
    bracketed: bool = False  # it stands in brackets, and says how what is before them is meant


_SAYING = frozenset(
    {"CONDITION", "LAB", "SCALE", "BIOMARKER", "DRUG", "PROCEDURE", "DEVICE", "REPRODUCTIVE", "STAGING", "THRESHOLD"}
)
_JOINS: dict[str, Kind] = {
    "and": "and", "&": "and", "plus": "and", "but": "and", "or": "or", "and/or": "or", ",": "comma", ";": "semi", ".": "stop",
    "(": "open", "[": "open", ")": "close", "]": "close",
}  # fmt: skip
_AT_LEAST = re.compile(
    r"\b(?:at least|≥|>=|minimum of|any)\s?(?P<n>\d|one|two|three|four|five)\b(?:\s\(\d\))?"
    r"(?=.*(?:following|below|criteria|of these))",
    re.IGNORECASE | re.DOTALL,
)
_SMALL = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
_ALL = re.compile(r"\b(?:all of|all|each of|both|every)\b", re.IGNORECASE)
_LEAD_WORDS = frozenset(
    [
        "one",
        "more",
        "two",
        "three",
        "four",
        "five",
        "six",
        "patients",
        "must",
        "meet",
        "criteria",
        "below",
        "satisfy",
        "fulfil",
        "fulfill",
        "fulfilled",
        "fulfilling",
        "apply",
        "applies",
        "listed",
        "above",
        "conditions",
        "condition",
        "these",
        "those",
        "them",
        "such",
        "exclusion",
        "inclusion",
        "considered",
        "regarded",
        "as",
        "follows",
        "follow",
    ]
)


class _Structure:
    """Reads a row of parts: brackets first, then sentences, then the joining words."""

    def __init__(self, kind: schema.Kind, text: str, mentions: Sequence[Mention]) -> None:
        self._kind = kind
        self._text = text
        self._mentions = mentions

    def rule(self, row: Sequence[_Part]) -> Rule:
        """The rule of a row. Raises `Lost` where it is open."""
        sentences: list[list[_Part]] = [[]]
        for part in self._without_brackets(row):
            if part.kind == "stop":
                sentences.append([])
            else:
                sentences[-1].append(part)
        kept = [sentence for sentence in sentences if any(p.rule for p in sentence)]
        rules = [self._sentence_rule(sentence) for sentence in kept]
        if not rules:
            raise Lost("nothing was read")
        speaking = [rule for rule in rules if not isinstance(rule, schema.Note)]
        if len(speaking) > 1 and self._kind == "exclusion":
            raise Lost("how the sentences of an exclusion belong together is open")
        return _join("all_of", rules)

    def _sentence_rule(self, parts: Sequence[_Part]) -> Rule:
        """The rule of a sentence; one that only permits or explains is a note."""
        start, end = min(p.start for p in parts), max(p.end for p in parts)
        text = self._text[start:end]
        said = [p for p in parts if p.kind == "said"]
        if all(p.kind != "node" for p in parts):
            if cue("permits").search(text):
                return schema.Note(text=text, reason="permitted")
            return schema.Unsupported(text=text, reason="unparsed")
        if any(cue("turns").search(self._text, p.start, p.end) for p in said if not isinstance(p.rule, schema.Note)):
            raise Lost("words that turn what stands beside them")
        if self._kind != "exclusion" and said and said[0].start < min(p.start for p in parts if p.kind == "node"):
            if any(_FOR_THOSE.search(self._text, p.start, p.end) for p in said):
                raise Lost("a sentence about some of the patients")
            if cue("subset").match(self._text, start, end) or cue("group").match(self._text, start, end):
                raise Lost("a sentence about some of the patients")
        elif self._kind != "exclusion" and said and cue("subset").match(self._text, start, end):
            raise Lost("a sentence about some of the patients")
        stop = _SENTENCE_END.search(self._text, end)
        whole = (start, stop.start() if stop else len(self._text))
        if self._kind == "inclusion" and (_MAY_ENTER.search(self._text, *whole) or _DEFINES.search(self._text, *whole)):
            raise Lost("patients who may take part as well, or what a word means")
        if self._kind == "inclusion" and any(p.start > parts[0].start and _SOMEWHERE.match(self._text, p.start) for p in said):
            raise Lost("a bound for some of the patients")  # "at most 18 years in France"
        first = next(p for p in parts if p.kind == "node")
        sexed = isinstance(first.rule, schema.Fact) and first.rule.about == "sex" and first is parts[0]
        further = any(p.rule for p in parts[1:])
        if self._kind == "inclusion" and sexed and further and first.rule and _OBLIGED.match(self._text, first.end):
            return _if(first.rule, self._sentence(parts[1:]))  # "Male participants must not donate sperm"
        if any(p.kind == "or" for p in parts) and any(self._compares(p) for p in said):
            raise Lost("an alternative that was not read")
        return self._sentence(parts)

    def _compares(self, part: _Part) -> bool:
        """Whether words that were not read hold a comparison."""
        return any(part.start <= t.start and t.end <= part.end and t.form != "bare" for t in find_thresholds(self._text))

    def _without_brackets(self, row: Sequence[_Part]) -> list[_Part]:
        """The row with each bracket made one part, which restricts or repeats what stands before it."""
        flat: list[_Part] = []
        stack: list[list[_Part]] = []
        for part in row:
            if part.kind == "open":
                stack.append([])
            elif part.kind == "close" and stack:
                inner = stack.pop()
                target = stack[-1] if stack else flat
                if any(p.rule for p in inner):
                    if not any(p.kind == "node" for p in inner):
                        start, end = inner[0].start, inner[-1].end
                        text = self._text[start:end]
                        if cue("permits").search(text):
                            target.append(_Part("said", schema.Note(text=text, reason="permitted"), start, end))
                        else:
                            target.append(_Part("said", schema.Unsupported(text=text, reason="unparsed"), start, end))
                    else:
                        if any(cue("turns").search(self._text, p.start, p.end) for p in inner if p.kind == "said"):
                            raise Lost("words in brackets that turn what stands beside them")
                        rule = self._sentence([p for p in inner if p.kind != "stop"])
                        if inner[0].kind == "or" and target and target[-1].rule:
                            target.append(_Part("or", None, inner[0].start, inner[0].start))  # "stage II (or T2 N0 M0)"
                        if target and target[-1].rule and _is_dated(rule) and _is_dated(target[-1].rule):
                            raise Lost("a second time in brackets")
                        if target and target[-1].rule and _is_performance(rule) and _is_performance(target[-1].rule):
                            target.append(_Part("or", None, inner[0].start, inner[0].start))  # "ECOG ≤ 2 (Karnofsky ≥ 60 %)"
                        target.append(_Part("node", rule, inner[0].start, inner[-1].end, bracketed=True))
            else:
                (stack[-1] if stack else flat).append(part)
        for left in stack:
            if sum(p.kind == "node" for p in left) > 1 and any(p.rule for p in flat):
                raise Lost("a bracket that does not close")
            flat += left
        return flat

    def _sentence(self, parts: Sequence[_Part]) -> Rule:
        clusters, joins = self._clusters(parts)
        if not clusters:
            raise Lost("nothing was read")
        rules = [_join("all_of", [p.rule for p in cluster if p.rule is not None]) for cluster in clusters]
        pure_ = all(p.kind == "node" for cluster in clusters for p in cluster)
        if counted := _COUNTED.search(self._text, 0, parts[0].start if parts else 0):
            return self._of_list(counted, rules, pure_)
        if len(rules) == 1:
            return rules[0]
        pure = all(all(p.kind == "node" for p in cluster) for cluster in clusters)
        return self._joined(rules, joins, clusters, pure)

    @staticmethod
    def _of_list(counted: re.Match[str], rules: list[Rule], pure: bool) -> Rule:
        """ "Any of the following: A, B, C" and "at least two of: …", with the list in the line itself."""
        if not pure:
            raise Lost("a list that was not wholly read")
        said = counted["n"] or counted["m"] or counted["k"] or counted["j"] or "one"
        number = _SMALL.get(said.lower(), said)
        if not number.isdigit() or not 1 <= int(number) <= len(rules):
            raise Lost("how many of a list are wanted")
        if number == "1":
            return _join("any_of", rules)
        return schema.AtLeast(n=int(number), rules=tuple(rules))

    def _clusters(self, parts: Sequence[_Part]) -> tuple[list[list[_Part]], list[set[str]]]:
        """Runs of parts that nothing parts, and the joining words between the runs."""
        clusters: list[list[_Part]] = []
        joins: list[set[str]] = []
        signs: set[str] = set()
        negated = reaching = False  # a negation right before; one before in the same run
        for part in parts:
            if part.kind == "not":
                negated = reaching = True
                continue
            if part.kind == "same":
                signs = set()
                continue
            if part.rule is None:
                if negated:
                    raise Lost("a negation behind what it denies")
                signs.add(part.kind)
                reaching = negated = False
                continue
            if negated and part.kind == "node":
                # "no stroke …, bleeding or surgery": whether it goes on behind a comma or an "or" is open
                if any(p.rule is not None for p in parts if p.start > part.start):
                    raise Lost("what a negation reaches is open")
                part = replace(part, rule=schema.Not(rule=_without_since(part.rule)))
            elif reaching and part.kind == "node":
                raise Lost("what a negation reaches is open")
            negated = False
            if not clusters:
                clusters.append([part])
            elif signs:
                clusters.append([part])
                joins.append(signs)
            else:
                clusters[-1].append(part)
            signs = set()
        if negated:
            raise Lost("a negation behind what it denies")
        return self._merged(clusters, joins)

    def _merged(self, clusters: list[list[_Part]], joins: list[set[str]]) -> tuple[list[list[_Part]], list[set[str]]]:
        """The clusters, words that "or" or "and" joins to words made one: "histologically or cytologically confirmed"."""
        kept: list[list[_Part]] = []
        between: list[set[str]] = []
        for number, cluster in enumerate(clusters):
            last = kept[-1][-1] if kept else None
            wordy = all(p.kind == "said" for p in cluster)
            notes = any(isinstance(p.rule, schema.Note) for p in (*cluster, *([last] if last else [])))
            if last and wordy and last.kind == "said" and not notes:
                start, end = last.start, cluster[-1].end
                kept[-1][-1] = _Part("said", schema.Unsupported(text=self._text[start:end], reason="unparsed"), start, end)
                continue
            if kept:
                between.append(joins[number - 1])
            kept.append(list(cluster))
        for number, cluster in enumerate(kept):
            mixed = cluster[0].kind == "said" and any(p.kind == "node" and not p.bracketed for p in cluster)
            alone = [p for p in cluster if p.kind == "node" and not p.bracketed]
            if self._kind == "exclusion" and sum(_is_measured(p.rule) for p in alone) > 1:
                raise Lost("bounds of several things that nothing joins")
            if self._kind == "exclusion" and mixed and any(isinstance(p.rule, schema.AnyOf) and _is_dated(p.rule) for p in alone):
                raise Lost("whether a word before a list narrows all of it is open")
            if any(p.kind == "said" and re.search(r"\b(?:or|and)$", self._text[p.start : p.end].rstrip()) for p in cluster[:-1]):
                raise Lost("a name of which a part was not read")
            if self._kind == "exclusion" and mixed:
                at = cluster.index(alone[0])
                if any(p.kind == "said" and re.search(r"\b(?:or|and)\b", self._text[p.start : p.end]) for p in cluster[at:]):
                    raise Lost("whether the words behind a value are an alternative is open")
            for one, after in pairwise(cluster):
                if isinstance(one.rule, schema.AnyOf) and _NARROWS.search(self._text, one.end, after.start):
                    raise Lost("whether words behind alternatives narrow all of them is open")
            inner = re.search(r"\b(?:or|and)\b", self._text[cluster[0].start : cluster[0].end])
            behind = cluster[0].kind == "node" and any(
                p.kind == "said" and re.search(r"\b(?:or|and)\b", self._text[p.start : p.end]) for p in cluster[1:]
            )
            if behind and self._kind != "inclusion":
                raise Lost("whether the words behind a value are an alternative is open")
            if mixed and self._kind != "inclusion" and (number or inner):
                raise Lost("whether a value narrows the words before it is open")
            if mixed and number and "or" in between[number - 1]:
                raise Lost("whether a value narrows the words before it is open")
        return kept, between

    def _joined(self, rules: list[Rule], joins: list[set[str]], clusters: list[list[_Part]], pure: bool) -> Rule:
        either = ["or" in signs for signs in joins]
        both = ["and" in signs and "or" not in signs for signs in joins]
        exclusion = self._kind != "inclusion"
        if not any(either):
            if not exclusion:
                return _join("all_of", rules)
            if _BOTH.search(self._text) and pure:
                return _join("all_of", rules)
            if not pure and not all(map(self._own_item, clusters)):
                raise Lost("whether the words beside a value are a reason of their own is open")
            if any(both) and len(rules) == 2 and not pure:
                raise Lost('whether "and" names a second reason or narrows the first is open')
            if any(both) and any(isinstance(rule, schema.AnyOf) for rule in rules):
                # "A and (B or C)": who writes brackets around an alternative means a combination
                if len(rules) == 2 and any(
                    len(c) == 1 and c[0].bracketed and isinstance(c[0].rule, schema.AnyOf) for c in clusters
                ):
                    return _join("all_of", rules)
                raise Lost('"and" beside "or"')
            return _join("any_of", rules)
        if not pure and not all(map(self._own_item, clusters)):
            raise Lost('what "or" joins is open')
        if not any(both):
            if either[-1] and all(e or signs <= {"comma", "semi"} for e, signs in zip(either, joins, strict=True)):
                if "semi" in set().union(*joins) and not all(either) and not exclusion:
                    raise Lost('semicolons and "or"')
                return _join("any_of", rules)
            if pure and not exclusion and all(signs <= {"semi", "or", "comma"} for signs in joins):
                return self._by_commas(rules, either)
            raise Lost('how commas and "or" belong together is open')
        if pure and not exclusion:
            return self._by_commas(rules, either)
        raise Lost('"and" beside "or"')

    def _own_item(self, cluster: Sequence[_Part]) -> bool:
        """Whether a run of parts can be a member of a list by itself: facts alone, or words that name something."""
        kinds = {p.kind for p in cluster}
        if kinds == {"node"}:
            return True
        words_only = [p for p in cluster if p.kind == "said"]
        if not words_only or any(p.kind == "node" and not p.bracketed for p in cluster) or cluster[0].kind != "said":
            return False
        start, end = words_only[0].start, words_only[-1].end
        if cue("attached").match(self._text, start, end):
            return False
        # the word beside "or" belongs to a name: "… require medical or surgical intervention" has none there
        named = [m for m in self._mentions if start <= m.start and m.end <= end]
        return bool(named) and max(m.end for m in named) >= end - 14

    @staticmethod
    def _by_commas(rules: list[Rule], either: list[bool]) -> Rule:
        """ "A, B or C, and D" of an inclusion where only facts stand: "or" binds what it stands between."""
        groups: list[list[Rule]] = [[rules[0]]]
        for rule, alternative in zip(rules[1:], either, strict=True):
            if alternative:
                groups[-1].append(rule)
            else:
                groups.append([rule])
        return _join("all_of", [_join("any_of", group) for group in groups])


def _without_since(rule: Rule) -> Rule:
    """The rule of what was absent "for at least 7 days", turned into what happened within them: "no transfusion for …"."""
    if isinstance(rule, schema.AnyOf | schema.AllOf):
        return rule.model_copy(update={"rules": tuple(_without_since(one) for one in rule.rules)})
    if not isinstance(rule, schema.Fact) or not any(w.relation == "for" for w in rule.windows):
        return rule
    (window, *others) = rule.windows
    if others or window.low is None or window.high is not None:
        raise Lost("how long something was absent")
    within = schema.Window(
        relation="within", high=window.low, high_inclusive=not window.low_inclusive, unit=window.unit,
        anchor=window.anchor or "enrollment",
    )  # fmt: skip
    return rule.model_copy(update={"windows": (within,), "status": "history"})


def _is_dated(rule: Rule) -> bool:
    return any(fact.windows and fact.range is None for fact in facts_in(rule))


def _is_performance(rule: Rule) -> bool:
    first = next(facts_in(rule), None)
    return first is not None and first.about == "scale" and "performance" in first.name


def _is_measured(rule: Rule | None) -> bool:
    return isinstance(rule, schema.Fact) and rule.range is not None and rule.about in ("lab", "vital", "measurement")


def facts_in(rule: Rule) -> Iterator[schema.Fact]:
    """The facts of a rule tree that count in its verdict, in text order."""
    match rule:
        case schema.Fact():
            yield rule
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            for part in rule.rules:
                yield from facts_in(part)
        case schema.Not():
            yield from facts_in(rule.rule)
        case schema.If():
            for branch in (rule.condition, rule.then, rule.otherwise):
                if branch is not None:
                    yield from facts_in(branch)


def _unsupported_in(rule: Rule) -> Iterator[schema.Unsupported]:
    match rule:
        case schema.Unsupported():
            yield rule
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            for part in rule.rules:
                yield from _unsupported_in(part)
        case schema.Not():
            yield from _unsupported_in(rule.rule)
        case schema.If():
            for branch in (rule.condition, rule.then, rule.otherwise):
                if branch is not None:
                    yield from _unsupported_in(branch)


def thresholds_in(text: str, start: int, *, bare: bool = False) -> Iterator[Threshold]:
    """The comparisons behind a place of the text; where `bare` ("a minimum life expectancy of 12 weeks") lone numbers too."""
    for value in find_thresholds(text):
        if value.start >= start and (bare or value.form != "bare"):
            yield replace(value, form="bound") if value.form == "bare" else value


def read(tagged: Tagged, children: Sequence[Tagged] = (), lead: _Lead | None = None, *, alternative: bool = False) -> Reading:
    """The rule of a criterion; `children` are its items in order, `lead` is what the line above it gives.

    `alternative`: "or" joins it to the criterion beside it, so that it decides nothing alone.
    """
    reader = _Reader(tagged, lead or _Lead())
    rule, computable = reader.whole() if alternative else reader.read(children)
    text = describe(rule) if computable == "full" and not children else tagged.criterion.clean_text
    return Reading(rule, computable, text, tuple(reader.links), tuple(reader.warnings))


def _joining_end(tagged: Tagged) -> str | None:
    """The joining word in which a criterion ends, which ties it to the next: "FEV1 at least 2.0 liters OR"."""
    found = _JOINING_END.search(tagged.clean.text)
    return found["word"].lower() if found else None


def _alternatives(tagged: Sequence[Tagged]) -> set[str]:
    """The ids of inclusion criteria without a parent that "or" ties to the one before or behind."""
    tops = [one for one in tagged if one.criterion.parent_id is None]
    pairs = ((one, two) for one, two in pairwise(tops) if one.criterion.kind == two.criterion.kind == "inclusion")
    return {side.criterion.id for one, two in pairs if _joining_end(one) == "or" for side in (one, two)}


def _lead_windows(tagged: Tagged, links: Sequence[Link]) -> tuple[schema.Window, ...]:
    """The one window of a lead-in that goes into the facts of its items: "Within 14 days before the first dose:"."""
    used = [time for one in links for time in one.times]
    free = [t for t in find_times(tagged.clean.text) if t.kind == "window" and t not in used]
    if len(free) != 1 or free[0].problem or free[0].negated or len(free[0].windows) != 1:
        return ()
    before = tagged.clean.text[: free[0].start]
    if before.count("(") + before.count("（") > before.count(")") + before.count("）") and _NEGATED.search(before):
        return ()  # "(no transfusion within 14 days)"
    return free[0].windows


def read_trial(tagged: Sequence[Tagged]) -> tuple[tuple[schema.Criterion, ...], tuple[schema.Warning, ...]]:
    """The criteria with category, relations, rule and description, and what a person should look at."""
    children: dict[str, list[Tagged]] = {}
    for one in tagged:
        if one.criterion.parent_id:
            children.setdefault(one.criterion.parent_id, []).append(one)
    alternatives = _alternatives(tagged)
    criteria: list[schema.Criterion] = []
    warnings: list[schema.Warning] = []
    leads: dict[str, _Lead] = {}
    for one in tagged:
        criterion = one.criterion
        above = leads.get(criterion.parent_id or "", _Lead())
        alternative = (criterion.id in alternatives or above.turns) and criterion.id not in children
        reading = read(one, children.get(criterion.id, ()), above, alternative=alternative)
        if criterion.id in children:
            said = one.clean.text
            turns = above.turns or _EXCEPT_THESE.search(said) is not None or _OUTSIDE_THESE.search(said) is not None
            past = above.past or (_OPENS_HISTORY.match(said) is not None and not turns)
            leads[criterion.id] = _Lead(_lead_windows(one, reading.links) or above.windows, past, turns)
        warnings += reading.warnings
        identity = {mention: entity.id for mention, entity in zip(one.mentions, criterion.entities, strict=True)}
        update = {
            "category": categorize(criterion.clean_text, criterion.entities),
            "relations": (*criterion.relations, *relations_of(reading.links, identity, one.mentions)),
            "rule": reading.rule,
            "describe": reading.describe,
            "computable": reading.computable,
        }
        criteria.append(criterion.model_copy(update=update))
    return tuple(criteria), tuple(warnings)

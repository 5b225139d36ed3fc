"""The compact text form in which people annotate, compiled to gold and written back from it.

    #: annotator=ab:person annotator=cd:model guideline=1.0                who annotated, at the head of a file
    ## NCT01234567 annotators=a:model,b:person guideline=1.0              who annotated this trial before
    ## NCT01234567 preannotated=true        a trial; key=value options become fields of its record
    | Inclusion Criteria:                   its text, line by line, where it is not taken from a file of trials
    C I1 kind=inclusion category=lab computable=full [parent=I1] [cohorts=Cohort A|Part 2] [modifies=I3]
    T Absolute neutrophil count … 109/L     the criterion's own words: white space may differ, "…" skips words; "T+" adds a fragment
    T [512,551] Absolute …                  the same with its place, as this module writes it
    E LAB | Absolute neutrophil count       an entity; the first of a criterion is number 1
    E CONDITION | liver + dysfunction ; status=history ; negated        fragments; "#2" behind one is its second occurrence
    E LAB | [520,523] ALT                   the same with its place
    L has_value 1 2                         a relation, head first; "I3:2" is entity 2 of criterion I3
    R "lab: absolute neutrophil count >= 1.5 [10*9/L] @ 1 2"            the rule as JSON; strings are its leaves

A leaf is `about: name [comparison [& comparison]] [[unit]] [in {a, b}] [; key=value …] [@ entities]`, or `unsupported: reason`,
`note: reason` with its words in quotes or with `@ entities`. Nodes are {"all": […]}, {"any": […]}, {"at_least": [n, […]]},
{"not": …}, {"if": [if, then, else]} and {"criterion": id}. A unit is UCUM, or xULN, xLLN, xbaseline (a ratio), +ULN (a
difference), %predicted, percentile, z_score.

    compile(lines, texts)   gold records, and an error for each line that cannot be read; the rest goes on
    write(records)          the lines of gold records, with their text where they have it
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from critnlp import __version__, schema, sources
from critnlp.cleaning import clean_text
from critnlp.errors import AnnotationError

_LABELS = frozenset(get_args(schema.Label))
_RELATIONS = frozenset(get_args(schema.RelationType))
_ABOUT = frozenset(get_args(schema.About))
_ATTRIBUTED = frozenset({"CONDITION", "DRUG", "PROCEDURE", "DEVICE", "BIOMARKER", "REPRODUCTIVE", "OBSERVATION"})
_RULES: TypeAdapter[schema.Rule] = TypeAdapter(schema.Rule)
_REFERENCES = ("ULN", "LLN", "baseline", "predicted", "percentile", "z_score")
_TEXT_KEYS = ("status", "experiencer", "certainty", "system", "of", "outcome", "gene", "variant", "method")


class _Fault(Exception):
    """A line that cannot be read; the message says what was found and what to do."""


@dataclass
class _Draft:
    """A criterion while its lines are read."""

    id: str
    options: dict[str, str]
    line: int
    fragments: list[tuple[int, int]] = field(default_factory=list)
    entities: list[schema.Entity] = field(default_factory=list)
    relations: list[tuple[int, str, str, str]] = field(default_factory=list)
    rule: tuple[int, Any] | None = None


# --- compiling --------------------------------------------------------------------------------------------------------


def compile(
    lines: Iterable[str],
    texts: Mapping[str, schema.Trial],
    *,
    name: str = "-",
    annotation: schema.Annotation | None = None,
) -> Iterator[schema.ParsedTrial | AnnotationError]:
    """The gold records of annotated lines, hydrated, in their order; `texts` are the trials by id.

    A line that cannot be read is yielded as an error that names `name:line`; the item it stands for is missing then.
    """
    blocks: list[list[tuple[int, str]]] = []
    told = False  # one message for all lines before the first trial
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n").removeprefix("\ufeff")
        if line.startswith("#: ") and not blocks:
            try:
                annotation = annotation or _made_by(line[3:])
            except _Fault as fault:
                yield AnnotationError(f"{name}:{number}: {fault}")
        elif line.startswith("## "):
            blocks.append([(number, line)])
        elif blocks:
            blocks[-1].append((number, line))
        elif line.strip() and not line.startswith("//") and not told:
            told = True
            yield AnnotationError(f"{name}:{number}: {line[:40]!r} stands before the first trial; begin with '## NCT01234567'")
    for block in blocks:
        yield from _Trial(block, texts, name, annotation).compiled()


def _made_by(said: str) -> schema.Annotation:
    """ "annotator=ab:person guideline=1.0" as the contract's annotation."""
    pairs = [word.partition("=")[::2] for word in said.split()]
    people = [value.rpartition(":")[::2] for key, value in pairs if key == "annotator"]
    if any(kind not in ("person", "model") or not identity for identity, kind in people) or not people:
        raise _Fault(f"{said[:60]!r} names no annotator; write '#: annotator=ID:person guideline=1.0' (or ID:model)")
    return schema.Annotation.model_validate(
        {
            "annotators": [{"id": identity, "type": kind} for identity, kind in people],
            "guideline_version": dict(pairs).get("guideline", ""),
        }
    )


class _Trial:
    """Compiles the lines of one trial."""

    def __init__(
        self, block: Sequence[tuple[int, str]], texts: Mapping[str, schema.Trial], name: str, annotation: schema.Annotation | None
    ) -> None:
        self._block = block
        self._texts = texts
        self._name = name
        self._annotation = annotation
        self._errors: list[AnnotationError] = []
        self._text = ""
        self._drafts: list[_Draft] = []

    def compiled(self) -> Iterator[schema.ParsedTrial | AnnotationError]:
        number, head = self._block[0]
        identity, *words = head[3:].split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        own = [line[2:] for _, line in self._block if line.startswith("| ") or line == "|"]
        trial = sources.trial_of("\n".join(own), nct_id=identity) if own else self._texts.get(identity)
        if trial is None:
            yield AnnotationError(f"{self._name}:{number}: {identity}: no text of this trial; give it with --texts")
            return
        self._text = trial.eligibility
        for line_number, line in self._block[1:]:
            if not line.strip() or line.startswith(("//", "| ")) or line == "|":
                continue
            try:
                self._read(line_number, line)
            except _Fault as fault:
                self._fail(line_number, str(fault))
        criteria = [made for draft in self._drafts if (made := self._criterion(draft))]
        yield from self._errors
        extra = {key: value for key, value in options.items() if key not in ("preannotated", "annotators", "guideline")}
        annotation = self._annotation or schema.Annotation(annotators=(), guideline_version="")
        if "annotators" in options:  # who annotated before; whoever compiles comes to them
            said = " ".join(f"annotator={one}" for one in options["annotators"].split(","))
            try:
                before = _made_by(f"{said} guideline={options.get('guideline', '')}")
            except _Fault as fault:
                yield AnnotationError(f"{self._name}:{number}: {identity}: {fault}")
            else:
                people = tuple(dict.fromkeys((*before.annotators, *annotation.annotators)))
                version = annotation.guideline_version or before.guideline_version
                annotation = schema.Annotation(annotators=people, guideline_version=version)
        if "preannotated" in options:
            annotation = annotation.model_copy(update={"preannotated": options["preannotated"] == "true"})
        yield schema.ParsedTrial(
            critnlp_version=__version__,
            pipeline=schema.Pipeline(name="gold", version=schema.SCHEMA_VERSION),
            trial=schema.Trial.model_validate({**trial.model_dump(), **extra}),
            criteria=tuple(criteria),
            annotation=annotation,
        )

    def _fail(self, number: int, problem: str) -> None:
        self._errors.append(AnnotationError(f"{self._name}:{number}: {problem}"))

    def _read(self, number: int, line: str) -> None:
        tag, _, rest = line.partition(" ")
        rest = rest.strip()
        if tag == "C":
            self._drafts.append(self._opened(number, rest))
            return
        if tag not in ("T", "T+", "E", "L", "R"):
            raise _Fault(f"{line[:40]!r} is not understood; a line begins with ##, |, C, T, T+, E, L, R or //")
        if not self._drafts:
            raise _Fault(f"a {tag} line before the first C line; begin the criterion with 'C I1 kind=…'")
        draft = self._drafts[-1]
        if tag in ("T", "T+"):
            self._place(draft, rest, further=tag == "T+")
        elif tag == "E":
            # a place is kept for an entity that cannot be read, so that the numbers of the others stay
            draft.entities.append(_NO_ENTITY)
            draft.entities[-1] = self._entity(draft, rest)
        elif tag == "L":
            words = rest.split()
            if len(words) != 3 or words[0] not in _RELATIONS:
                raise _Fault(f"{rest!r} is no relation; write 'L has_value 1 2' with one of {', '.join(sorted(_RELATIONS))}")
            draft.relations.append((number, words[0], words[1], words[2]))
        elif draft.rule is not None:
            raise _Fault(f"{draft.id}: a second R line; is the C line of a criterion missing?")
        else:
            try:
                draft.rule = (number, json.loads(rest))
            except json.JSONDecodeError as error:
                raise _Fault(
                    f"{draft.id}: the rule is no JSON ({error.msg} at character {error.pos}); a leaf is a string in quotes"
                ) from None

    def _opened(self, number: int, rest: str) -> _Draft:
        identity, _, options = rest.partition(" ")
        found = dict(re.findall(r"(\w+)=((?:(?!\s\w+=).)+)", options))
        if any(draft.id == identity for draft in self._drafts):
            self._fail(number, f"criterion {identity} stands twice; number the criteria I1, I2, … E1, …")
        allowed = {
            "kind": get_args(schema.Kind),
            "category": get_args(schema.Category),
            "computable": get_args(schema.Computable),
        }
        for key, values in allowed.items():
            if found.get(key) not in values:
                self._fail(number, f"{identity}: {key}={found.get(key, '')} is none of {', '.join(values)}")
                found[key] = {"kind": "unspecified", "category": "other", "computable": "unparsed"}[key]
        return _Draft(identity, found, number)

    def _place(self, draft: _Draft, quote: str, *, further: bool) -> None:
        placed = re.match(r"\[(\d+),(\d+)\]\s*", quote)
        if placed:
            start, end = int(placed[1]), int(placed[2])
            written = " ".join(self._text[start:end].split())
            if written != " ".join(quote[placed.end() :].split()):
                raise _Fault(f"{draft.id}: at {start}-{end} the text says {written[:60]!r}; mend the offsets or leave them out")
            if draft.fragments and not further:
                raise _Fault(
                    f"{draft.id}: a second T line; is the C line of a criterion missing? A further fragment begins with T+"
                )
            draft.fragments.append((start, end))
            return
        if draft.fragments and not further:
            raise _Fault(f"{draft.id}: a second T line; is the C line of a criterion missing? A further fragment begins with T+")
        floor = draft.fragments[-1][1] if further and draft.fragments else 0
        if not further and len(self._drafts) > 1:
            floor = max((end for one in self._drafts[:-1] for _, end in one.fragments[:1]), default=0)
        found = _pattern(quote, bounded=True).search(self._text, floor) or _pattern(quote, bounded=False).search(self._text, floor)
        if not found:
            anywhere = _pattern(quote, bounded=False).search(self._text)
            hint = f"it stands at {anywhere.start()}, before the criterion above" if anywhere else "copy it from the text"
            raise _Fault(f"{draft.id}: the quote {quote[:60]!r} is not in the text behind character {floor}; {hint}")
        draft.fragments.append(found.span())

    def _entity(self, draft: _Draft, rest: str) -> schema.Entity:
        label, bar, spec = rest.partition("|")
        label = label.strip()
        if not bar or label not in _LABELS:
            raise _Fault(f"{rest[:40]!r}: {label!r} is no label; write 'E LAB | quote' with one of {', '.join(sorted(_LABELS))}")
        if not draft.fragments:
            raise _Fault(f"{draft.id}: an entity of a criterion whose T line cannot be read")
        try:
            fragments, options = _located(spec.strip(), draft.fragments, self._text)
        except _Fault as fault:
            raise _Fault(f"{draft.id}: {fault}") from None
        attributes: dict[str, Any] = {}
        for option in options:
            key, _, value = option.strip().partition("=")
            attributes[key] = value or True
        entity = {
            "id": f"{draft.id}.e{len(draft.entities)}",
            "label": label,
            "start": fragments[0][0],
            "end": max(end for _, end in fragments),
            "fragments": fragments,
            "text": " ".join(self._text[start:end] for start, end in fragments),
            "layer": "gold",
            "attributes": attributes if label in _ATTRIBUTED else None,
        }
        if attributes and label not in _ATTRIBUTED:
            raise _Fault(f"{draft.id}: {label} has no attributes; leave out {', '.join(attributes)}")
        unknown = set(attributes) - set(schema.Attributes.model_fields)
        if unknown:
            named = ", ".join(sorted(unknown))
            raise _Fault(f"{draft.id}: {named} is no attribute; there are negated, status, experiencer, certainty")
        try:
            return schema.Entity.model_validate(entity)
        except ValidationError as error:
            raise _Fault(f"{draft.id}: {_first(error)}") from None

    # -- what was read, as the contract's models --

    def _criterion(self, draft: _Draft) -> schema.Criterion | None:
        if not draft.fragments:
            self._fail(draft.line, f"{draft.id}: no T line that could be read; the criterion is left out")
            return None
        rule: schema.Rule = schema.Unsupported(reason="unparsed")
        if draft.rule is None:
            self._fail(draft.line, f'{draft.id}: no R line that could be read; give the rule, or R "unsupported: unparsed"')
        else:
            number, written = draft.rule
            try:
                rule = _RULES.validate_python(self._rule(written, draft))
            except _Fault as fault:
                self._fail(number, f"{draft.id}: {fault}")
            except ValidationError as error:
                self._fail(number, f"{draft.id}: {_first(error)}")
        relations: list[schema.Relation] = []
        for number, kind, head, tail in draft.relations:
            try:
                relations.append(
                    schema.Relation.model_validate(
                        {"type": kind, "head": self._entity_of(head, draft).id, "tail": self._entity_of(tail, draft).id}
                    )
                )
            except _Fault as fault:
                self._fail(number, f"{draft.id}: {fault}")
        start, end = min(s for s, _ in draft.fragments), max(e for _, e in draft.fragments)
        options = draft.options
        return schema.Criterion.model_validate(
            {
                "id": draft.id,
                "kind": options["kind"],
                "parent_id": options.get("parent"),
                "cohorts": [one.strip() for one in options["cohorts"].split("|")] if "cohorts" in options else [],
                "modifies": options.get("modifies"),
                "start": start,
                "end": end,
                "fragments": draft.fragments,
                "text": self._text[start:end],
                "clean_text": clean_text(self._text, draft.fragments),
                "category": options["category"],
                "entities": [entity for entity in draft.entities if entity is not _NO_ENTITY],
                "relations": relations,
                "rule": rule,
                "computable": options["computable"],
            }
        )

    def _entity_of(self, said: str, draft: _Draft) -> schema.Entity:
        """The entity that a number names: "2", or "I3:2" of another criterion."""
        of, _, number = said.rpartition(":")
        target = next((one for one in self._drafts if one.id == (of or draft.id)), None)
        if target is None or not number.isdigit() or not 1 <= int(number) <= len(target.entities):
            raise _Fault(f"there is no entity {said}; entities are numbered by their E lines, from 1")
        entity = target.entities[int(number) - 1]
        if entity is _NO_ENTITY:
            raise _Fault(f"entity {said} could not be read")
        return entity

    def _rule(self, written: Any, draft: _Draft) -> dict[str, Any]:
        if isinstance(written, str):
            return self._leaf(written, draft)
        if not isinstance(written, dict) or len(written) != 1:
            raise _Fault(
                f"{json.dumps(written, ensure_ascii=False)[:60]} is no rule; a node is an object with one key, a leaf a string"
            )
        ((key, value),) = written.items()
        match key:
            case "all" | "any" if isinstance(value, list):
                return {"op": f"{key}_of", "rules": [self._rule(one, draft) for one in value]}
            case "at_least" if isinstance(value, list) and len(value) == 2 and isinstance(value[1], list):
                return {"op": "at_least", "n": value[0], "rules": [self._rule(one, draft) for one in value[1]]}
            case "not":
                return {"op": "not", "rule": self._rule(value, draft)}
            case "if" if isinstance(value, list) and len(value) in (2, 3):
                otherwise = self._rule(value[2], draft) if len(value) == 3 and value[2] is not None else None
                return {"op": "if", "if": self._rule(value[0], draft), "then": self._rule(value[1], draft), "else": otherwise}
            case "criterion":
                if not any(one.id == value for one in self._drafts):
                    raise _Fault(f"there is no criterion {value}")
                return {"op": "criterion", "id": value}
        raise _Fault(
            f'{key!r} is no node; there are "all", "any", "at_least": [n, […]], "not", "if": [if, then, else], "criterion"'
        )

    def _leaf(self, written: str, draft: _Draft) -> dict[str, Any]:
        main, marked, excepted = written.partition("; except=")
        about, colon, body = main.partition(":")
        about, body = about.strip(), body.strip()
        if about in ("unsupported", "note") and colon:
            if quoted := re.fullmatch(r'(\w+) "(.*)"', body, re.DOTALL):
                return {"op": about, "reason": quoted[1], "text": quoted[2]}
            reason, _, places = _parted(body)
            text = ""
            if places:
                ends = [self._entity_of(place, draft) for place in places]
                text = " ".join(self._text[min(e.start for e in ends) : max(e.end for e in ends)].split())
            return {"op": about, "reason": reason, "text": text}
        if not colon or about not in _ABOUT:
            raise _Fault(f"{written!r}: {about!r} is nothing a fact can be about; write 'lab: platelet count >= 100 [10*9/L]'")
        body, options, places = _parted(body)
        fact: dict[str, Any] = {"op": "fact", "about": about, "windows": []}
        values = re.search(r"\bin\s*\{(.*)\}\s*$", body)
        if values:
            fact["values"] = [value.strip() for value in values[1].split(",")]
            body = body[: values.start()].strip()
        unit = re.search(r"\s\[(\S*)\]$", body)
        if unit:
            body = body[: unit.start()].rstrip()
        compared = re.search(r"\s(?P<ops>(?:>=|<=|>|<|=)\s*-?[\d.]+(?:\s*&\s*(?:>=|<=|>|<)\s*-?[\d.]+)?)$", body)
        if compared:
            fact["range"] = {**_bounds(compared["ops"]), **_unit(unit[1] if unit else None)}
            body = body[: compared.start()]
        elif unit:
            raise _Fault(f"{written!r}: a unit without a comparison; write 'name >= 1.5 [unit]'")
        fact["name"] = " ".join(body.split())
        if not fact["name"]:
            raise _Fault(f"{written!r}: the fact has no name")
        for option in options:
            self._option(fact, option)
        if marked:
            fact["except"] = [self._leaf(one, draft) for one in excepted.split("|")]
        if places:
            entities = [self._entity_of(place, draft) for place in places]
            fact["entities"] = [entity.id for entity in entities]
            fact["start"] = min(entity.start for entity in entities)
            fact["end"] = max(entity.end for entity in entities)
        return fact

    @staticmethod
    def _option(fact: dict[str, Any], option: str) -> None:
        key, _, value = option.partition("=")
        key, value = key.strip(), value.strip()
        if key in _TEXT_KEYS:
            fact[key] = value
        elif key == "window":
            fact["windows"].append(_window(value))
        elif key == "choose":
            for window in fact["windows"]:
                window["choose"] = value
        elif key == "qualifiers":
            fact["qualifiers"] = [one.strip() for one in value.split("|")]
        elif key == "repair":
            fact.setdefault("repairs", []).append(value)
        elif key == "measures" and "range" in fact:
            fact["range"]["measures"] = value
        elif key == "measures":
            raise _Fault("measures= belongs to a comparison, and this fact has none")
        else:
            known = ", ".join((*_TEXT_KEYS, "measures", "qualifiers", "window", "choose", "repair", "except"))
            raise _Fault(f"{key!r} is no option of a fact; there are {known}")


_NO_ENTITY = schema.Entity(id="-", label="OBSERVATION", start=0, end=0, fragments=(), layer="gold")


def _parted(body: str) -> tuple[str, list[str], list[str]]:
    """A leaf's body, its options and the entities it stands at: "age >= 18 [a] ; status=any @ 1 2"."""
    placed = re.search(r"\s@\s*([\w.:]+(?:[\s,]+[\w.:]+)*)\s*$", body)
    places = re.split(r"[\s,]+", placed[1]) if placed else []
    if placed:
        body = body[: placed.start()]
    body, *options = re.split(r"\s*;\s*", body)
    return body.strip(), [option for option in options if option], places


def _bounds(ops: str) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for sign, number in re.findall(r"(>=|<=|>|<|=)\s*(-?[\d.]+)", ops):
        if sign[0] in ">=":
            bounds["low"], bounds["low_inclusive"] = number, sign != ">"
        if sign[0] in "<=":
            bounds["high"], bounds["high_inclusive"] = number, sign != "<"
    return bounds


def _unit(written: str | None) -> dict[str, Any]:
    for reference in _REFERENCES if written else ():
        if written in (f"x{reference}", f"+{reference}", f"%{reference}", reference):
            relation = "difference" if written[0] == "+" else "ratio"
            return {"unit": "%" if written[0] == "%" else None, "relative_to": reference, "relation": relation}
    return {"unit": written}


_WINDOW = re.compile(
    r"^(?P<relation>within|before|after|during|for)"
    r"(?:\s+(?P<ops>(?:>=|<=|>|<)?\s*[\d.]+(?:\s*&\s*(?:>=|<=|>|<)\s*[\d.]+)?)\s*(?P<unit>\S+))?"
    r"(?:\s+(?:(?:before|after|of|since|from)\s+)?(?P<anchor>[^\d<>=].*))?$"
)


def _window(written: str) -> dict[str, Any]:
    """ "within 4 wk before enrollment", "for >= 3 mo", "during study" as a window of the contract."""
    found = _WINDOW.match(written)
    if not found:
        raise _Fault(
            f"the window {written!r} is not understood; write 'within <= 4 wk of enrollment', 'for >= 3 mo', 'during study'"
        )
    window: dict[str, Any] = {"relation": found["relation"], "unit": found["unit"], "anchor": found["anchor"]}
    if found["ops"]:
        ops = found["ops"]
        if ops[0] not in "<>":  # without a sign: no further back than, at least so long
            ops = (">= " if found["relation"] in ("before", "for") else "<= ") + ops
        window |= _bounds(ops)
    return window


def _located(spec: str, within: Sequence[schema.Span], text: str) -> tuple[list[schema.Span], list[str]]:
    """The fragments that "liver + dysfunction ; negated" names in the extents of a criterion, and its options."""
    if placed := re.match(r"((?:\[\d+,\d+\])+)\s", spec):
        fragments = [(int(start), int(end)) for start, end in re.findall(r"\[(\d+),(\d+)\]", placed[1])]
        quote = _folded(fragments, text)
        if not spec[placed.end() :].startswith(quote):
            raise _Fault(f"at {placed[1]} the text says {quote[:60]!r}; mend the offsets or leave them out")
        return fragments, [option for option in re.split(r"\s;\s", spec[placed.end() + len(quote) :]) if option]
    quote, *options = re.split(r"\s;\s", spec)
    fragments = []
    for part in re.split(r"\s\+\s", quote.strip()):
        fragments.append(_found(part, within, text, fragments[-1][1] if fragments else None))
    return fragments, options


def _found(part: str, within: Sequence[schema.Span], text: str, behind: int | None) -> schema.Span:
    """Where a quote stands in a criterion: its n-th occurrence, or the first behind the fragment before."""
    count = 1
    if numbered := re.search(r"\s?#(\d+)$", part):
        count, part = int(numbered[1]), part[: numbered.start()].strip()
    for bounded in (True, False):
        hits = [found.span() for start, end in within for found in _pattern(part, bounded=bounded).finditer(text, start, end)]
        if behind is not None and not numbered:
            hits = [hit for hit in hits if hit[0] >= behind]
        if len(hits) >= count:
            return hits[count - 1]
    times = "does not occur" if count == 1 else f"does not occur {count} times"
    raise _Fault(f"{part!r} {times} in the criterion; copy the words as they are written")


def _folded(fragments: Sequence[schema.Span], text: str) -> str:
    return " + ".join(" ".join(text[start:end].split()) for start, end in fragments)


def _pattern(quote: str, *, bounded: bool) -> re.Pattern[str]:
    """Finds a quote whatever its white space; "…" skips words. `bounded`: not inside a word."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in quote.split("…")]
    pattern = r"[\s\S]*?".join(part for part in parts if part)
    if bounded:
        pattern = (r"(?<!\w)" if quote[:1].isalnum() else "") + pattern + (r"(?!\w)" if quote[-1:].isalnum() else "")
    return re.compile(pattern or r"(?!)")


def _first(error: ValidationError) -> str:
    """The first fault of a record, in one line."""
    one = error.errors()[0]
    place = ".".join(str(part) for part in one["loc"] if not isinstance(part, int) or len(one["loc"]) > 1)
    return f"{place}: {one['msg']}; found {str(one['input'])[:60]!r}"


# --- writing ----------------------------------------------------------------------------------------------------------


def write(records: Iterable[schema.ParsedTrial], *, with_text: bool = False) -> Iterator[str]:
    """The lines of hydrated gold records, each with its line end; `with_text` puts the trial's text before its criteria."""
    for record in records:
        extra = " ".join(f"{key}={value}" for key, value in (record.trial.model_extra or {}).items() if isinstance(value, str))
        marked = "preannotated=true" if record.annotation and record.annotation.preannotated else ""
        people = ",".join(f"{one.id}:{one.type}" for one in record.annotation.annotators) if record.annotation else ""
        made = f"annotators={people} guideline={record.annotation.guideline_version}" if people and record.annotation else ""
        yield " ".join(filter(None, ("##", record.trial.nct_id or record.trial.sha256[:12], extra, made, marked))) + "\n"
        if with_text:
            yield from (f"| {line}".rstrip() + "\n" if not line else f"| {line}\n" for line in record.trial.eligibility.split("\n"))
        for criterion in record.criteria:
            yield "\n"
            yield from _written(criterion, record.trial.eligibility)
        yield "\n"


def _written(criterion: schema.Criterion, text: str) -> Iterator[str]:
    options = {
        "kind": criterion.kind,
        "category": criterion.category,
        "computable": criterion.computable,
        "parent": criterion.parent_id,
        "cohorts": "|".join(criterion.cohorts) or None,
        "modifies": criterion.modifies,
    }
    yield f"C {criterion.id} " + " ".join(f"{key}={value}" for key, value in options.items() if value) + "\n"
    for number, (start, end) in enumerate(criterion.fragments):
        yield f"{'T+' if number else 'T'} [{start},{end}] {' '.join(text[start:end].split())}\n"
    for entity in criterion.entities:
        yield f"E {entity.label} | {_quoted(entity, criterion, text)}{_attributes(entity)}\n"
    numbers = {entity.id: str(number) for number, entity in enumerate(criterion.entities, 1)}
    for relation in criterion.relations:
        yield f"L {relation.type} {_number(relation.head, numbers)} {_number(relation.tail, numbers)}\n"
    yield f"R {json.dumps(_node(criterion.rule, numbers), ensure_ascii=False)}\n"


def _number(identity: str, numbers: Mapping[str, str]) -> str:
    """The number of an entity within its criterion, or "I3:2" of another."""
    if identity in numbers:
        return numbers[identity]
    criterion, _, number = identity.rpartition(".e")
    return f"{criterion}:{number}"


def _quoted(entity: schema.Entity, criterion: schema.Criterion, text: str) -> str:
    """The entity's words; with the number of their occurrence, or with their places, where the words alone say another."""
    quote = _folded(entity.fragments, text)
    for written in (quote, *(f"{quote} #{number}" for number in range(2, 10))):
        try:
            if _located(written, criterion.fragments, text) == ([*entity.fragments], []):
                return written
        except _Fault:
            break
    return "".join(f"[{start},{end}]" for start, end in entity.fragments) + f" {quote}"


def _attributes(entity: schema.Entity) -> str:
    if entity.attributes is None:
        return ""
    told = entity.attributes.model_dump(exclude_defaults=True)
    return "".join(f" ; {key}" if value is True else f" ; {key}={value}" for key, value in told.items())


def _node(rule: schema.Rule, numbers: Mapping[str, str]) -> Any:
    match rule:
        case schema.AllOf() | schema.AnyOf():
            return {rule.op.removesuffix("_of"): [_node(one, numbers) for one in rule.rules]}
        case schema.AtLeast():
            return {"at_least": [rule.n, [_node(one, numbers) for one in rule.rules]]}
        case schema.Not():
            return {"not": _node(rule.rule, numbers)}
        case schema.If():
            otherwise = _node(rule.otherwise, numbers) if rule.otherwise is not None else None
            return {"if": [_node(rule.condition, numbers), _node(rule.then, numbers), otherwise]}
        case schema.CriterionRef():
            return {"criterion": rule.id}
        case schema.Unsupported() | schema.Note():
            return f'{rule.op}: {rule.reason} "{rule.text}"' if rule.text else f"{rule.op}: {rule.reason}"
    return _fact(rule, numbers)


def _fact(fact: schema.Fact, numbers: Mapping[str, str]) -> str:
    parts = [f"{fact.about}: {fact.name}"]
    if fact.range is not None:
        parts[0] += _range(fact.range) + (f" [{written}]" if (written := _unit_name(fact.range)) else "")
    if fact.values is not None:
        parts[0] += f" in {{{', '.join(fact.values)}}}"
    defaults = {"status": "current", "experiencer": "patient", "certainty": "affirmed"}
    for key in _TEXT_KEYS:
        value = getattr(fact, key)
        if value is not None and value != defaults.get(key):
            parts.append(f"{key}={value}")
    if fact.range is not None and fact.range.measures != "value":
        parts.append(f"measures={fact.range.measures}")
    if fact.qualifiers:
        parts.append(f"qualifiers={'|'.join(fact.qualifiers)}")
    parts += [f"window={_window_name(window)}" for window in fact.windows]
    parts += [f"choose={choose}" for choose in dict.fromkeys(window.choose for window in fact.windows) if choose]
    parts += [f"repair={repair}" for repair in fact.repairs]
    written = " ; ".join(parts)
    if fact.entities:
        written += " @ " + " ".join(_number(one, numbers) for one in fact.entities)
    if fact.exceptions:
        written += " ; except=" + "|".join(str(_node(one, numbers)) for one in fact.exceptions)
    return written


def _range(bounds: schema.Range | schema.Window) -> str:
    if bounds.low is not None and bounds.low == bounds.high and bounds.low_inclusive and bounds.high_inclusive:
        return f" = {bounds.low}"
    signs = []
    if bounds.low is not None:
        signs.append(f"{'>' if bounds.low_inclusive is False else '>='} {bounds.low}")
    if bounds.high is not None:
        signs.append(f"{'<' if bounds.high_inclusive is False else '<='} {bounds.high}")
    return " " + " & ".join(signs) if signs else ""


def _unit_name(bounds: schema.Range) -> str:
    if bounds.relative_to is None:
        return bounds.unit or ""
    if bounds.relation == "difference":
        return f"+{bounds.relative_to}"
    if bounds.unit == "%":
        return f"%{bounds.relative_to}"
    return f"x{bounds.relative_to}" if bounds.relative_to in ("ULN", "LLN", "baseline", "predicted") else bounds.relative_to


def _window_name(window: schema.Window) -> str:
    anchor = window.anchor if isinstance(window.anchor, str) else None
    bounds = _range(window)
    if not bounds:
        return f"{window.relation} {anchor}" if anchor else window.relation
    return f"{window.relation}{bounds} {window.unit}" + (f" of {anchor}" if anchor else "")

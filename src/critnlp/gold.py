"""Gold files: reading, writing, splits, and the checks that find an annotator's slips.

A gold file is JSON Lines, one `schema.ParsedTrial` with its `annotation` a line (contract, section 6), or a `.txt` in the compact
notation of `shorthand` that holds its own texts. Stand-off gold has no text; the checks of words need it hydrated.

    read(path)              the records of a file, an error for each line that is none
    read_splits(path)       which trial is for training, which for tests
    check(records, splits)  what is wrong or doubtful, each with its place and what to do
    statistics(records)     how much there is of what
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from critnlp import schema, shorthand, units
from critnlp.errors import AnnotationError

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an annotator should look at: an `error` cannot stay, a `warning` may be meant."""

    severity: Literal["error", "warning"]
    place: str  # trial, criterion and entity
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.severity} {self.code}: {self.message}"


# --- files ------------------------------------------------------------------------------------------------------------


def read(path: str | Path) -> Iterator[schema.ParsedTrial | AnnotationError]:
    """The gold records of a file in its order. A line that is no record is yielded as an error that names `file:line`."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        yield AnnotationError(f"{path}: cannot be read ({reason}); give a gold file, JSON Lines or compact .txt")
        return
    lines = text.split("\n")  # not splitlines: an eligibility text may hold other line ends, escaped or not
    if path.suffix == ".txt":
        yield from shorthand.compile(lines, {}, name=str(path))
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _record(f"{path}:{number}", line)


def _record(place: str, line: str) -> schema.ParsedTrial | AnnotationError:
    try:
        loaded: Any = json.loads(line)
    except json.JSONDecodeError as error:
        return AnnotationError(
            f"{place}: no JSON ({error.msg.removesuffix(' at')} at character {error.pos}); one gold record stands on each line"
        )
    try:
        return schema.ParsedTrial.model_validate(loaded)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"]) or "the record"
        more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        found = str(first["input"])[:60]
        return AnnotationError(f"{place}: {at}: {first['msg']}, found {found!r}{more}; see critnlp schema for what belongs there")


def to_line(record: schema.ParsedTrial) -> str:
    """A gold record as its line of a file, line end included. What is as by default is left out."""
    data = record.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    data = {"schema_version": record.schema_version, **data}
    for criterion in data.get("criteria", ()):
        _with_operators(criterion["rule"], next(c.rule for c in record.criteria if c.id == criterion["id"]))
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def _with_operators(data: dict[str, Any], rule: schema.Rule) -> None:
    """Puts back each node's `op`, which is a default of its own class and yet tells the nodes apart."""
    data["op"] = rule.op
    match rule:
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            for one, inner in zip(data["rules"], rule.rules, strict=True):
                _with_operators(one, inner)
        case schema.Not():
            _with_operators(data["rule"], rule.rule)
        case schema.If():
            for key, branch in (("if", rule.condition), ("then", rule.then), ("else", rule.otherwise)):
                if branch is not None:
                    _with_operators(data[key], branch)
        case schema.Fact():
            for one, inner in zip(data.get("except", ()), rule.exceptions, strict=True):
                _with_operators(one, inner)
        case schema.Unsupported():
            for one, fact in zip(data.get("facts", ()), rule.facts, strict=True):
                _with_operators(one, fact)


def read_splits(path: str | Path) -> dict[str, Split]:
    """The split of each trial, from a CSV file with the columns `nct_id` and `split`. Raises AnnotationError."""
    path = Path(path)
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}); it holds the columns nct_id,split") from None
    splits: dict[str, Split] = {}
    for number, row in enumerate(rows, 2):
        identity, split = row.get("nct_id"), row.get("split")
        if not identity or split not in get_args(Split):
            raise AnnotationError(f"{path}:{number}: {identity or 'no nct_id'} with split {split!r}; there are train, dev and test")
        if splits.get(identity, split) != split:
            raise AnnotationError(f"{path}:{number}: {identity} is in {splits[identity]} and in {split}; leave one")
        splits[identity] = split  # type: ignore[assignment]  # checked above
    return splits


# --- checks -----------------------------------------------------------------------------------------------------------


def check(records: Sequence[schema.ParsedTrial], splits: Mapping[str, Split] | None = None) -> list[Problem]:
    """What is wrong or doubtful in gold records, by trial and place. Words are looked at only where the text is there."""
    found = [problem for record in records for problem in _of_trial(record)]
    for trial, count in Counter(map(name_of, records)).items():
        if count > 1:
            found.append(Problem("error", trial, "twice", f"the trial stands {count} times in this gold; leave one"))
    found += _across(records)
    if splits is not None:
        found += _leaks(records, splits)
    return found


def name_of(record: schema.ParsedTrial) -> str:
    """What a record is called in messages."""
    return record.trial.nct_id or record.trial.sha256[:12]


def _of_trial(record: schema.ParsedTrial) -> Iterator[Problem]:
    trial, text = name_of(record), record.trial.eligibility
    if text and hashlib.sha256(text.encode()).hexdigest() != record.trial.sha256:
        yield Problem("error", trial, "hash", "sha256 is not that of the text; hydrate again, or mend the hash")
    if record.annotation is None or not record.annotation.annotators:
        yield Problem("error", trial, "annotator", "nobody is named who annotated it; add annotation.annotators")
    ids = Counter(criterion.id for criterion in record.criteria)
    for identity, count in ids.items():
        if count > 1:
            yield Problem("error", f"{trial} {identity}", "id", f"{count} criteria have this id; number them apart")
    entities = {entity.id: entity for criterion in record.criteria for entity in criterion.entities}
    for criterion in record.criteria:
        yield from _of_criterion(f"{trial} {criterion.id}", criterion, text, set(ids), entities)
    spans = sorted((start, end, criterion.id) for criterion in record.criteria for start, end in criterion.fragments)
    for (_, end, one), (start, _, other) in pairwise(spans):
        if start < end:
            yield Problem(
                "error", f"{trial} {one}", "overlap", f"it overlaps {other} at {start}-{end}; each word is in one criterion"
            )


def _of_criterion(
    place: str, criterion: schema.Criterion, text: str, ids: set[str], entities: Mapping[str, schema.Entity]
) -> Iterator[Problem]:
    yield from _extent(place, criterion.start, criterion.end, criterion.fragments, criterion.text, text, joined=False)
    for other in filter(None, (criterion.parent_id, criterion.modifies)):
        if other not in ids:
            yield Problem("error", place, "reference", f"there is no criterion {other}")
    seen: set[tuple[Any, ...]] = set()
    for entity in criterion.entities:
        here = f"{place} {entity.id}"
        yield from _extent(here, entity.start, entity.end, entity.fragments, entity.text, text, joined=True)
        if not all(any(s <= start and end <= e for s, e in criterion.fragments) for start, end in entity.fragments):
            yield Problem("error", here, "outside", f"{entity.text!r} lies outside its criterion; move it or widen the criterion")
        key = (entity.label, entity.fragments)
        if key in seen:
            yield Problem("error", here, "twice", f"{entity.label} {entity.text!r} stands twice in the same place; leave one")
        seen.add(key)
        for start, end in entity.fragments:
            if (drift := _drift(text[start:end])) and text:
                yield Problem("warning", here, "boundary", f"{text[start:end]!r} {drift}")
    for relation in criterion.relations:
        for side in (relation.head, relation.tail):
            if side not in entities:
                yield Problem("error", place, "reference", f"{relation.type} points at {side}, which is no entity")
        yield from _fitting(place, relation, entities)
    yield from _of_rule(place, criterion, ids, entities)


def _extent(
    place: str, start: int, end: int, fragments: Sequence[schema.Span], quote: str, text: str, *, joined: bool
) -> Iterator[Problem]:
    """The offsets of a criterion or entity: within the text, in order, with the words that are quoted."""
    if not fragments or (min(s for s, _ in fragments), max(e for _, e in fragments)) != (start, end):
        yield Problem(
            "error", place, "offset", f"its fragments do not reach from {start} to {end}; start and end are their outer extent"
        )
        return
    if any(s >= e for s, e in fragments) or any(one[1] > two[0] for one, two in pairwise(fragments)):
        yield Problem("error", place, "offset", f"fragments {[*map(list, fragments)]} are empty or out of order")
    if not text:
        return
    if end > len(text):
        yield Problem("error", place, "offset", f"it ends at {end}, and the text has {len(text)} characters")
        return
    there = " ".join(text[s:e] for s, e in fragments) if joined else text[start:end]
    if quote and quote != there:
        yield Problem(
            "error", place, "quote", f"at {start}-{end} the text says {there[:60]!r}, the record {quote[:60]!r}; mend the offsets"
        )


_DRIFT = [
    (re.compile(r"^\s|\s$"), "begins or ends with white space"),
    (re.compile(r"[,;:]$|^[,;:]"), "begins or ends with a comma, semicolon or colon"),
    (re.compile(r"\s(?:or|and)$|^(?:or|and)\s", re.IGNORECASE), 'holds the joining word beside it ("or", "and")'),
    (re.compile(r"^(?:the|an?)\s", re.IGNORECASE), "begins with an article"),
    (re.compile(r"(?<![A-Z.])(?<!\b[a-z])\.$(?<!\betc\.)"), "ends with a full stop"),
]


def _drift(quote: str) -> str:
    return next((what for pattern, what in _DRIFT if pattern.search(quote)), "")


_TAILS: dict[str, frozenset[str]] = {
    "has_value": frozenset({"THRESHOLD", "TEMPORAL"}),
    "has_result": frozenset({"RESULT"}),
    "has_temporal": frozenset({"TEMPORAL"}),
    "has_stage": frozenset({"STAGING"}),
    "has_qualifier": frozenset({"QUALIFIER"}),
    "has_negation": frozenset({"NEGATION"}),
    "has_exception": frozenset({"EXCEPTION"}),
}


def _fitting(place: str, relation: schema.Relation, entities: Mapping[str, schema.Entity]) -> Iterator[Problem]:
    tail, wanted = entities.get(relation.tail), _TAILS.get(relation.type)
    if tail is not None and wanted is not None and tail.label not in wanted:
        named = " or ".join(sorted(wanted))
        yield Problem("error", place, "relation", f"the tail of {relation.type} is {tail.label} {tail.text!r}; it must be {named}")


def _of_rule(place: str, criterion: schema.Criterion, ids: set[str], entities: Mapping[str, schema.Entity]) -> Iterator[Problem]:
    nodes = list(nodes_of(criterion.rule))
    unread = [node for node in nodes if isinstance(node, schema.Unsupported)]
    facts = [node for node in nodes if isinstance(node, schema.Fact)]
    said = criterion.computable
    if said == "full" and unread:
        yield Problem(
            "error", place, "computable", "it is full, but its rule holds an unsupported part; partial, or complete the rule"
        )
    if said == "none" and facts:
        yield Problem("warning", place, "computable", "it is none, but its rule holds facts; partial?")
    if said == "partial" and not unread and not any(fact.qualifiers for fact in facts):  # "severe" is for a person to judge
        yield Problem("warning", place, "computable", "it is partial, but no part of its rule is unsupported")
    for node in nodes:
        if isinstance(node, schema.CriterionRef) and node.id not in ids:
            yield Problem("error", place, "reference", f"its rule names {node.id}, which is no criterion")
    for fact in facts:
        yield from _of_fact(place, fact, entities)


def _of_fact(place: str, fact: schema.Fact, entities: Mapping[str, schema.Entity]) -> Iterator[Problem]:
    here = f"{place} {fact.about}: {fact.name}"
    for identity in fact.entities:
        if identity not in entities:
            yield Problem("error", here, "reference", f"it stands at {identity}, which is no entity")
    if fact.name != fact.name.lower():
        yield Problem("warning", here, "name", "names are in lower case, abbreviations spelt out")
    if fact.range is not None:
        bounds = fact.range
        if bounds.low is None and bounds.high is None:
            yield Problem("error", here, "range", "a range without a bound")
        elif bounds.low is not None and bounds.high is not None and float(bounds.low) > float(bounds.high):
            yield Problem(
                "error", here, "range", f"{bounds.low} is above {bounds.high}; a value outside both is an any_of of two facts"
            )
        if bounds.unit and not _is_unit(bounds.unit):
            yield Problem("error", here, "unit", f"{bounds.unit!r} is no UCUM unit that is known here")
    for window in fact.windows:
        if window.unit and window.unit != "{half-life}" and not units.same_dimension(window.unit, "s"):
            yield Problem("error", here, "window", f"{window.unit!r} is no UCUM unit of time; a, mo, wk, d, h, min, {{half-life}}")
        if (window.low or window.high) and not window.unit:
            yield Problem("error", here, "window", "a window with a number and no unit")
    if not fact.entities and fact.start is None:
        yield Problem("warning", here, "place", "it does not say where it stands; give its entities")


def _is_unit(code: str) -> bool:
    return code == "1" or units.same_dimension(code, code)


def _across(records: Sequence[schema.ParsedTrial]) -> Iterator[Problem]:
    """The same words with different labels, where one label is rare: either may be right, both seldom are."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    places: dict[tuple[str, str], str] = {}
    for record in records:
        for criterion in record.criteria:
            for entity in criterion.entities:
                if len(words := entity.text.lower()) > 2:
                    labels[words][entity.label] += 1
                    places.setdefault((words, entity.label), f"{name_of(record)} {entity.id}")
    for words, counts in labels.items():
        (usual, often), *others = counts.most_common()
        for label, count in others:
            if often >= 3 and count * 4 <= often:
                message = f"{words!r} is {label} here and {usual} in {often} other places"
                yield Problem("warning", places[words, label], "label", message)


def _leaks(records: Sequence[schema.ParsedTrial], splits: Mapping[str, Split]) -> Iterator[Problem]:
    """Trials without a split, and criteria of which the same words stand in two of them."""
    where: dict[str, tuple[Split, str]] = {}
    for record in records:
        trial = name_of(record)
        split = splits.get(trial)
        if split is None:
            yield Problem("error", trial, "split", "it is in no split; add it to the file of splits")
            continue
        for criterion in record.criteria:
            words = " ".join(criterion.clean_text.lower().split())
            if len(words) < 80:  # "pregnancy or breast-feeding" is in every other trial
                continue
            other = where.setdefault(words, (split, f"{trial} {criterion.id}"))
            if other[0] != split:
                message = f"the same words stand in {other[1]} of {other[0]}, and this is {split}"
                yield Problem("warning", f"{trial} {criterion.id}", "leak", message)


def nodes_of(rule: schema.Rule) -> Iterator[schema.Rule]:
    """Every node of a rule tree, those of exceptions and of unsupported text included."""
    yield rule
    match rule:
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            inner: Iterable[schema.Rule | None] = rule.rules
        case schema.Not():
            inner = (rule.rule,)
        case schema.If():
            inner = (rule.condition, rule.then, rule.otherwise)
        case schema.Fact():
            inner = rule.exceptions
        case schema.Unsupported():
            inner = rule.facts
        case _:
            inner = ()
    for one in inner:
        if one is not None:
            yield from nodes_of(one)


# --- statistics -------------------------------------------------------------------------------------------------------


def statistics(records: Sequence[schema.ParsedTrial]) -> dict[str, Counter[str]]:
    """How often each value of each field occurs: trials, kinds, categories, labels, relations, abouts, operators."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        found["set"]["trials"] += 1
        found["set"]["preannotated trials"] += bool(record.annotation and record.annotation.preannotated)
        if phenomenon := (record.trial.model_extra or {}).get("phenomenon"):
            found["phenomenon"][str(phenomenon)] += 1
        for criterion in record.criteria:
            found["set"]["criteria"] += 1
            found["set"]["criteria with a parent"] += criterion.parent_id is not None
            found["set"]["criteria of a cohort"] += bool(criterion.cohorts)
            found["kind"][criterion.kind] += 1
            found["category"][criterion.category] += 1
            found["computable"][criterion.computable] += 1
            for entity in criterion.entities:
                found["set"]["entities"] += 1
                found["set"]["discontinuous entities"] += len(entity.fragments) > 1
                found["label"][entity.label] += 1
                if entity.attributes:
                    told = entity.attributes.model_dump(exclude_defaults=True)
                    found["attribute"].update(f"{key} {value}".lower() for key, value in told.items())
            found["relation"].update(relation.type for relation in criterion.relations)
            found["set"]["relations"] += len(criterion.relations)
            for node in nodes_of(criterion.rule):
                found["node"][node.op] += 1
                if isinstance(node, schema.Fact):
                    found["set"]["facts"] += 1
                    found["about"][node.about] += 1
                    if node.system:
                        found["staging system"][node.system] += 1
    return dict(found)

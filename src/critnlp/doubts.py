"""What a person should look at once all criteria of a trial are read: bounds that nobody can meet, and the registry's own fields.

contradictions(criteria)          the same analyte bounded so that no patient meets both criteria
registry_conflicts(trial, criteria)   ages and sex of the text against those that the registry holds
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from critnlp import schema, units


@dataclass(frozen=True, slots=True)
class _Interval:
    """The values that a criterion allows; None is no bound. An end that is `open` does not belong to it."""

    low: Decimal | None
    low_open: bool
    high: Decimal | None
    high_open: bool

    def meets(self, other: _Interval) -> bool:
        """Whether some value lies in both."""
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open), key=_low_key)
        high, high_open = min((self.high, self.high_open), (other.high, other.high_open), key=_high_key)
        if low is None or high is None or low < high:
            return True
        return low == high and not low_open and not high_open


def _low_key(end: tuple[Decimal | None, bool]) -> tuple[Decimal, bool]:
    return (Decimal("-Infinity") if end[0] is None else end[0], end[1])


def _high_key(end: tuple[Decimal | None, bool]) -> tuple[Decimal, bool]:
    return (Decimal("Infinity") if end[0] is None else end[0], not end[1])


def _required(rule: schema.Rule) -> Iterator[schema.Fact]:
    """The facts that each alone must hold for the rule to be met."""
    if isinstance(rule, schema.Fact):
        yield rule
    elif isinstance(rule, schema.AllOf):
        for part in rule.rules:
            yield from _required(part)


def _excluding(rule: schema.Rule) -> Iterator[schema.Fact]:
    """The facts that each alone are enough for the rule to be met."""
    if isinstance(rule, schema.Fact):
        yield rule
    elif isinstance(rule, schema.AnyOf):
        for part in rule.rules:
            yield from _excluding(part)


_Key = tuple[str, str, str, str, bool, tuple[str, ...]]


def _bounds(fact: schema.Fact) -> tuple[_Key, _Interval] | None:
    """What a fact bounds, in which unit, and the interval; None where its bounds cannot be compared."""
    written = fact.range
    if written is None or fact.windows or written.measures != "value":
        return None
    unit = fact.canonical.unit if fact.canonical else written.unit or ""
    low, high = (fact.canonical.low, fact.canonical.high) if fact.canonical else (written.low, written.high)
    key = (fact.about, fact.name, unit, written.relative_to or "", written.relation == "difference", fact.qualifiers)
    return key, _Interval(
        Decimal(low) if low is not None else None,
        not written.low_inclusive,
        Decimal(high) if high is not None else None,
        not written.high_inclusive,
    )


def _allowed(criterion: schema.Criterion) -> Iterator[tuple[_Key, _Interval]]:
    """What a criterion without a parent and a cohort lets through, one interval for each thing that it bounds by itself."""
    facts = _required(criterion.rule) if criterion.kind == "inclusion" else _excluding(criterion.rule)
    for fact in facts:
        found = _bounds(fact)
        if found is None:
            continue
        key, interval = found
        if criterion.kind == "inclusion":
            yield found
        elif interval.high is None:  # what lies above is excluded
            yield key, _Interval(None, True, interval.low, not interval.low_open)
        elif interval.low is None:
            yield key, _Interval(interval.high, not interval.high_open, None, True)


def contradictions(criteria: Sequence[schema.Criterion]) -> list[schema.Warning]:
    """A warning for each pair of criteria that no patient can meet together: "≥ 1.5" required and "> 1.0" excluded."""
    parents = {c.id: c for c in criteria}
    seen: dict[_Key, list[tuple[schema.Criterion, _Interval]]] = {}
    warnings: list[schema.Warning] = []
    for criterion in criteria:
        if criterion.kind not in ("inclusion", "exclusion") or criterion.cohorts or not _counts(criterion, parents):
            continue
        for key, interval in _allowed(criterion):
            for other, before in seen.setdefault(key, []):
                if other.id != criterion.id and not before.meets(interval):
                    message = f"{key[1]}: no value meets both {other.id} and {criterion.id}"
                    warnings.append(schema.Warning(code="contradiction", criterion=criterion.id, message=message))
            seen[key].append((criterion, interval))
    return list(dict.fromkeys(warnings))


def _counts(criterion: schema.Criterion, criteria: dict[str, schema.Criterion]) -> bool:
    """Whether a criterion counts by itself: every lead-in above it only lists its items."""
    parent_id = criterion.parent_id
    while parent_id:
        parent = criteria[parent_id]
        wanted = schema.AllOf if criterion.kind == "inclusion" else schema.AnyOf
        rules = parent.rule.rules if isinstance(parent.rule, wanted) else (parent.rule,)
        if not any(isinstance(rule, schema.CriterionRef) and rule.id == criterion.id for rule in rules):
            return False
        criterion, parent_id = parent, parent.parent_id
    return True


def registry_conflicts(trial: schema.Trial, criteria: Iterable[schema.Criterion]) -> list[schema.Warning]:
    """A warning for each criterion whose age or sex is not the registry's own."""
    criteria = list(criteria)
    parents = {c.id: c for c in criteria}
    warnings: list[schema.Warning] = []
    for criterion in criteria:
        if criterion.cohorts or not _counts(criterion, parents):
            continue
        if criterion.kind == "inclusion":
            facts = list(_required(criterion.rule))
        elif criterion.kind == "exclusion":
            facts = list(_excluding(criterion.rule))
        else:
            continue
        for fact in facts:
            message = (
                _age_conflict(trial, fact, criterion.kind) if fact.about == "age" else _sex_conflict(trial, fact, criterion.kind)
            )
            if message:
                warnings.append(schema.Warning(code="registry_conflict", criterion=criterion.id, message=message))
    return list(dict.fromkeys(warnings))


def _age_conflict(trial: schema.Trial, fact: schema.Fact, kind: schema.Kind) -> str | None:
    """How an age of the text departs from the registry's, "at least" and "above" taken as one."""
    written = fact.range
    if written is None or written.unit is None or fact.windows:
        return None
    low, high = (written.low, written.high) if kind == "inclusion" else (written.high, written.low)
    if kind == "exclusion" and written.low is not None and written.high is not None:
        return None
    for name, bound, field in (("minimum", low, trial.minimum_age), ("maximum", high, trial.maximum_age)):
        if bound is None or field is None:
            continue
        same = units.convert(field.value, field.unit, written.unit)
        # "older than 17" is "at least 18" to the registry, which holds whole years
        if same is not None and abs(Decimal(same) - Decimal(bound)) > _ROUNDING.get(written.unit, Decimal("1")):
            return f"the text's {name} age is {bound} {written.unit}, the registry's {field.value} {field.unit}"
    return None


_ROUNDING = {"a": Decimal("1"), "mo": Decimal("1"), "wk": Decimal("1"), "d": Decimal("2"), "h": Decimal("2")}


def _sex_conflict(trial: schema.Trial, fact: schema.Fact, kind: schema.Kind) -> str | None:
    if fact.about != "sex" or not fact.values or trial.sex is None or len(fact.values) != 1:
        return None
    sex = fact.values[0]
    if kind == "exclusion":
        sex = {"female": "male", "male": "female"}[sex]
    if trial.sex != sex:
        return f"the text is for {sex} patients, the registry's sex is {trial.sex}"
    return None

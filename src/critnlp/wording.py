"""A rule in English, as a person would check it: "absolute neutrophil count at least 1.5 × 10^9/L"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from critnlp import schema

Rule = schema.Rule

_TIME_WORDS = {"a": "year", "mo": "month", "wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second"}
_REFERENCES = {
    "ULN": "the upper limit of normal",
    "LLN": "the lower limit of normal",
    "baseline": "baseline",
    "predicted": "predicted",
}


_MOMENTS = frozenset(
    {"consent", "screening", "enrollment", "baseline", "randomization", "admission", "delivery", "surgery", "discharge"}
    | {"diagnosis", "birth", "onset", "first_dose", "last_dose"}
)
# UCUM as people write it
_PLAIN_UNITS = {
    "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "[in_i]": "in", "[ft_i]": "ft", "mm[Hg]": "mm Hg", "cm[H2O]": "cm H2O",
    "/d": "per day", "/wk": "per week", "/mo": "per month", "/a": "per year", "/h": "per hour", "/min": "per minute",
    "meq/L": "mEq/L",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²", "kg/m2": "kg/m²", "[MET]": "METs", "deg": "°",
}  # fmt: skip


def describe(rule: Rule) -> str:
    """A rule in English, as a person would check it: "absolute neutrophil count at least 1.5 × 10^9/L"."""
    match rule:
        case schema.Fact():
            return _describe_fact(rule)
        case schema.AllOf():
            return _listed(rule.rules, "and")
        case schema.AnyOf():
            return _listed(rule.rules, "or")
        case schema.AtLeast():
            return f"at least {rule.n} of: {_listed(rule.rules, 'and')}"
        case schema.Not():
            return f"not ({describe(rule.rule)})"
        case schema.If():
            text = f"if {describe(rule.condition)}: {describe(rule.then)}"
            return f"{text}; otherwise: {describe(rule.otherwise)}" if rule.otherwise is not None else text
        case schema.CriterionRef():
            return rule.id
        case schema.Unsupported() | schema.Note():
            return f"“{rule.text}”"


def _listed(rules: Sequence[Rule], word: str) -> str:
    parts = [f"({describe(r)})" if isinstance(r, schema.AllOf | schema.AnyOf | schema.If) else describe(r) for r in rules]
    return f" {word} ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _describe_fact(fact: schema.Fact) -> str:
    text = fact.name
    if fact.about == "staging" and fact.system:
        text = fact.system
    if fact.of:
        text = f"{fact.of}, {text}"
    if fact.qualifiers:
        text = f"{', '.join(fact.qualifiers)} {text}"
    if fact.range:
        text = f"{text} {describe_range(fact.range)}"
    if fact.values:
        text = f"{text}: {' or '.join(fact.values)}" if fact.about != "sex" else " or ".join(fact.values)
    if fact.status != "current":
        text = {"history": "history of ", "planned": "planned ", "any": "current or past "}[fact.status] + text
    return " ".join([text, *(describe_window(window) for window in fact.windows)])


def describe_range(written: schema.Range) -> str:
    """The bounds of a range in English: "at least 7 and below 10 %"."""
    unit = _unit_words(written.unit)
    low = f"{'at least' if written.low_inclusive else 'above'} {written.low}" if written.low is not None else ""
    high = f"{'at most' if written.high_inclusive else 'below'} {written.high}" if written.high is not None else ""
    text = " and ".join(filter(None, (low, high)))
    match written.relative_to, written.relation:
        case None, _:
            return f"{text} {unit}".strip()
        case "percentile", _:
            return f"{text} (percentile)"
        case "z_score", _:
            return f"{text} standard deviations"
        case reference, "difference":
            return f"{text} {unit} over {_REFERENCES[str(reference)]}"
        case reference, _:
            of = " of" if unit else " ×"
            return f"{text}{f' {unit}' if unit else ''}{of} {_REFERENCES[str(reference)]}"


def _unit_words(unit: str | None) -> str:
    if unit is None or unit == "1":
        return ""
    if unit in _TIME_WORDS:
        return f"{_TIME_WORDS[unit]}s"
    if unit in _PLAIN_UNITS:
        return _PLAIN_UNITS[unit]
    text = re.sub(r"10\*(\d+)", r"× 10^\1", unit)
    return re.sub(r"[\[\]{}]", "", text).replace("mmHg", "mm Hg")


def describe_window(window: schema.Window) -> str:
    """A time window in English: "within 6 months before randomization"."""
    one = window.high == "1" or (window.high is None and window.low == "1")
    unit = _TIME_WORDS.get(window.unit or "", re.sub(r"[{}]", "", window.unit or ""))
    unit = unit if one or not unit else "half-lives" if unit == "half-life" else f"{unit}s"
    anchor = describe(window.anchor) if isinstance(window.anchor, schema.Fact) else (window.anchor or "").replace("_", " ")
    match window.relation:
        case "within":
            low = f"between {window.low} and" if window.low is not None else "within"
            text = f"{low} {window.high} {unit} before {anchor}" if window.high is not None else f"up to {anchor}"
        case "before":
            text = f"more than {window.low} {unit} before {anchor}" if window.low is not None else f"before {anchor}"
            if window.low is not None and window.low_inclusive is not False:
                text = f"at least {window.low} {unit} before {anchor}"
        case "for":
            ends: list[str] = []
            if window.low is not None:
                ends.append(f"{'more than' if window.low_inclusive is False else 'at least'} {window.low}")
            if window.high is not None:
                ends.append(f"{'less than' if window.high_inclusive is False else 'at most'} {window.high}")
            text = f"for {' and '.join(ends)} {unit}"
        case "during":
            moment = f"at {anchor}" if window.anchor in _MOMENTS else f"during {anchor}"
            text = moment if window.high is None else f"during {window.high} {unit} around {anchor}"
        case "after":
            span = f"{window.high} {unit} " if window.high is not None else ""
            text = f"{span}after {anchor}"
    return f"({text.strip()}{f', whichever is {window.choose}' if window.choose else ''})"

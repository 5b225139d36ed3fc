"""A short notation of rule trees, so that a phrase and what it means fit one row of a table.

    platelet count >=100 10*9/L            one bound; the unit is UCUM without count annotations ("{cells}/uL" is "/uL")
    hemoglobin >7 <=10 g/dL                two bounds; "=7" where both are the same
    serum creatinine <=1.5 xULN            a ratio; "+ULN" a difference; xLLN, xbaseline, %predicted, percentile, z_score
    ecog performance status={0,1}          values, sorted
    AJCC={IIIB,IIIC,IV} of lung cancer     staging: the system stands for the name
    prior therapy >=2 #                    what is measured: "#" a count, else ~duration, ~dose, ~change
    chemotherapy [history] @within <=6 mo  status, experiencer, certainty; windows with their anchor
    malignancy [history] except(basal cell carcinoma)
    all_of(a; b)  any_of(a; b)  at_least(2; a; b)  not(a)  if(a; b; c)  unsupported(unparsed)  note(permitted)

`compact` writes it, `same` compares two of them by what they mean. Codes, offsets, confidence and repairs are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from critnlp import schema

_MEASURES = {"value": "", "count": " #", "dose": " ~dose", "duration": " ~duration", "change": " ~change"}
# An annotation says what is counted, never how much; only body surface and half-lives make another unit of it.
_ANNOTATION = re.compile(r"\{(?!1\.73|half-life)[^}]*\}")


def compact(rule: schema.Rule) -> str:
    """The notation of a rule tree, every node of it."""
    match rule:
        case schema.Fact():
            return _fact(rule)
        case schema.AllOf() | schema.AnyOf():
            return f"{rule.op}({'; '.join(map(compact, rule.rules))})"
        case schema.AtLeast():
            return f"at_least({'; '.join([str(rule.n), *map(compact, rule.rules)])})"
        case schema.Not():
            return f"not({compact(rule.rule)})"
        case schema.If():
            branches = [rule.condition, rule.then, *([rule.otherwise] if rule.otherwise is not None else [])]
            return f"if({'; '.join(map(compact, branches))})"
        case schema.CriterionRef():
            return f"criterion({rule.id})"
        case schema.Unsupported() | schema.Note():
            return f"{rule.op}({rule.reason})"
    raise TypeError(f"{type(rule).__name__} is no rule")


def unit(code: str | None) -> str:
    """A UCUM unit without its annotations; "" where it is dimensionless or none was written."""
    bare = _ANNOTATION.sub("", code or "")
    return "" if bare in ("", "1") else bare


def bounds(bound: schema.Range | schema.Window) -> str:
    """Both sides of a range or window: ">7 <=10", "=7"."""
    if bound.low is not None and bound.low == bound.high and bound.low_inclusive and bound.high_inclusive:
        return f"={bound.low}"
    low = f"{'>=' if bound.low_inclusive is not False else '>'}{bound.low}" if bound.low is not None else ""
    high = f"{'<=' if bound.high_inclusive is not False else '<'}{bound.high}" if bound.high is not None else ""
    return f"{low} {high}".strip()


def range_text(bound: schema.Range) -> str:
    """A range with its unit, its reference and what it measures."""
    reference, written = "", unit(bound.unit)
    if bound.relative_to in ("percentile", "z_score"):
        reference, written = bound.relative_to, ""
    elif bound.relative_to == "predicted" and written == "%":
        reference, written = "%predicted", ""
    elif bound.relative_to is not None:
        reference = {"difference": "+"}.get(bound.relation or "", "x") + bound.relative_to
    return " ".join(filter(None, (bounds(bound), written, reference))) + _MEASURES[bound.measures]


def facts(rule: schema.Rule) -> Iterator[schema.Fact]:
    """The facts of a rule tree in text order, conditions of `if` included, exceptions and anchors not."""
    match rule:
        case schema.Fact():
            yield rule
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            for part in rule.rules:
                yield from facts(part)
        case schema.Not():
            yield from facts(rule.rule)
        case schema.If():
            for branch in (rule.condition, rule.then, rule.otherwise):
                if branch is not None:
                    yield from facts(branch)


def remarks(rule: schema.Rule) -> Iterator[schema.Fact]:
    """The facts that were read within what is unsupported: evidence, but no part of the rule."""
    match rule:
        case schema.Unsupported():
            yield from rule.facts
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            for part in rule.rules:
                yield from remarks(part)
        case schema.Not():
            yield from remarks(rule.rule)
        case schema.If():
            for branch in (rule.condition, rule.then, rule.otherwise):
                if branch is not None:
                    yield from remarks(branch)


def _fact(fact: schema.Fact) -> str:
    parts = [fact.system if fact.about == "staging" and fact.system else fact.name.lower()]
    if fact.values is not None:
        parts[0] += "={" + ",".join(sorted(fact.values)) + "}"
    if fact.range is not None:
        parts.append(range_text(fact.range))
    if fact.of:
        parts.append(f"of {fact.of.lower()}")
    marks = (fact.status, "current"), (fact.experiencer, "patient"), (fact.certainty, "affirmed")
    parts += [f"[{mark}]" for mark, usual in marks if mark != usual]
    parts += [f"/{qualifier.lower()}/" for qualifier in fact.qualifiers]
    parts += [windows_text(fact)] if fact.windows else []
    parts += [f"except({'; '.join(map(compact, fact.exceptions))})"] if fact.exceptions else []
    parts += [f"->{fact.outcome}"] if fact.outcome else []
    return " ".join(parts)


def windows_text(fact: schema.Fact) -> str:
    """The windows of a fact, each behind an "@"."""
    return " ".join(f"@{_window(window)}" for window in fact.windows)


def _window(window: schema.Window) -> str:
    # No anchor and "entry into the study" are the same moment to a matcher.
    anchor = window.anchor if window.anchor != "enrollment" else None
    end = f"({compact(anchor)})" if isinstance(anchor, schema.Fact) else anchor
    return " ".join(filter(None, (window.relation, bounds(window), unit(window.unit), end, window.choose)))


# --- comparison -------------------------------------------------------------------------------------------------------

Tree = str | tuple["Tree", ...]
_OPERATORS = ("all_of", "any_of", "at_least", "not", "if")


def tree(notation: str) -> Tree:
    """A notation as nested tuples; leaves are strings with single blanks and sorted values."""
    notation = " ".join(notation.split())
    operator, opened, rest = notation.partition("(")
    if not opened or operator not in _OPERATORS:
        return re.sub(r"\{([^}]*,[^}]*)\}", lambda m: "{" + ",".join(sorted(map(str.strip, m[1].split(",")))) + "}", notation)
    if not rest.endswith(")"):
        raise ValueError(f"{notation!r} has no closing bracket")
    return (operator, *map(tree, _split(rest[:-1])))


def leaves(node: Tree) -> Iterator[str]:
    """The leaves of a tree in text order."""
    if isinstance(node, str):
        yield node
    else:
        for part in node[2:] if node[0] == "at_least" else node[1:]:
            yield from leaves(part)


def same(one: str, other: str) -> bool:
    """Whether two notations have the same leaves and the same verdict whatever these are: form makes no difference.

    So "if female then A else B" is "female and A, or male and B", and the order of members is free.
    """
    trees = tree(one), tree(other)
    asked, found = ({_atom(leaf) for leaf in leaves(each)} - {"note"} for each in trees)
    if asked != found:
        return False
    atoms = sorted(asked)
    if len(atoms) > 12:
        return trees[0] == trees[1]
    settings = (dict(zip(atoms, truth, strict=True)) for truth in product((False, True), repeat=len(atoms)))
    return all(_verdict(trees[0], setting) == _verdict(trees[1], setting) for setting in settings)


def _atom(leaf: str) -> str:
    return "note" if leaf.startswith("note(") else "sex={female}" if leaf == "sex={male}" else leaf


def _verdict(node: Tree, setting: dict[str, bool]) -> bool | None:
    """The verdict of a tree; None is neutral and left out of its group."""
    if isinstance(node, str):
        atom = _atom(node)
        return None if atom == "note" else setting[atom] != (node == "sex={male}")
    operator, *parts = node
    if operator == "if":
        branch = parts[1] if _verdict(parts[0], setting) else parts[2] if len(parts) > 2 else "note()"
        return _verdict(branch, setting)
    needed = int(str(parts.pop(0))) if operator == "at_least" else 0
    verdicts = [verdict for part in parts if (verdict := _verdict(part, setting)) is not None]
    if not verdicts:
        return None
    match operator:
        case "not":
            return not verdicts[0]
        case "all_of":
            return all(verdicts)
        case "any_of":
            return any(verdicts)
    return sum(verdicts) >= needed


def _split(text: str) -> list[str]:
    """The parts between the semicolons that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == ";" and not depth:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]

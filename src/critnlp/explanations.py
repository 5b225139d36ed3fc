"""How one line of text was read, for a person who asks why: its mentions, its rule, what was mended and what is doubtful."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from critnlp import schema
from critnlp.wording import describe, describe_range

# What reads a mention of a label where the layer is "rules"; names come from the tables.
_GRAMMARS = {"THRESHOLD": "comparison grammar", "TEMPORAL": "time grammar", "STAGING": "staging grammar"}
_LAYERS = {"lexicon": "table of terms", "rules": "pattern", "abbreviation": "defined in the text"}
_VERBS = {
    "has_value": "bounds",
    "has_stage": "stages",
    "has_result": "is the result of",
    "has_temporal": "dates",
    "abbreviates": "defines",
}
_COMPUTABLE = {
    "full": "the rule holds all that the text says",
    "partial": "the rule holds a part; the rest is marked as unsupported",
    "none": "only a person can judge it",
    "unparsed": "no rule could be made of it",
}


def text_of(text: str, kind: schema.Kind) -> str:
    """An eligibility text with `text` as its one item."""
    return f"{kind.capitalize()} Criteria:\n\n* {' '.join(text.split())}"


def explain(parsed: schema.ParsedTrial, console: Console) -> None:
    """Print how each criterion of a parsed text was read."""
    for number, criterion in enumerate(parsed.criteria):
        if number:
            console.print()
        _print(parsed, criterion, console)
    if not parsed.criteria:
        console.print("Nothing in this text is a criterion.")


def _print(parsed: schema.ParsedTrial, criterion: schema.Criterion, console: Console) -> None:
    console.print(Text(criterion.clean_text, style="bold"))
    console.print(Text(f"{criterion.kind}, category {criterion.category}; {_COMPUTABLE[criterion.computable]}", style="dim"))
    if criterion.entities:
        console.print()
        console.print(_mentions(criterion))
    console.print()
    console.print(Text("Rule", style="bold"))
    for depth, line in _tree(criterion.rule):
        _indented(line, depth + 1, console)
    if isinstance(criterion.rule, schema.Unsupported) and criterion.rule.facts:
        console.print(Text("  read within, but its place is open:"))
        for fact in criterion.rule.facts:
            _indented(_fact(fact), 2, console)
    repairs = list(dict.fromkeys(repair for fact in _facts(criterion.rule) for repair in fact.repairs))
    if repairs:
        console.print(Text("Mended", style="bold"))
        for repair in repairs:
            _indented(repair, 1, console)
    warnings = [warning for warning in parsed.warnings if warning.criterion == criterion.id]
    if warnings:
        console.print(Text("Look at", style="bold"))
        for warning in warnings:
            _indented(f"{warning.code}: {warning.message}", 1, console)


def _indented(line: str, depth: int, console: Console) -> None:
    """Print a line at its depth, wrapped below itself."""
    lead = "  " * depth
    for wrapped in textwrap.wrap(line, max(24, console.width - 1), initial_indent=lead, subsequent_indent=f"{lead}    "):
        console.print(Text(wrapped), soft_wrap=True)


def _mentions(criterion: schema.Criterion) -> Table:
    """The mentions of a criterion: words, label, what read them, and what they belong to."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    texts = {entity.id: entity.text for entity in criterion.entities}
    for entity in criterion.entities:
        reader = (
            _GRAMMARS.get(entity.label, _LAYERS["rules"]) if entity.layer == "rules" else _LAYERS.get(entity.layer, entity.layer)
        )
        heads = [f"{_VERBS.get(r.type, r.type)} {texts.get(r.head, r.head)}" for r in criterion.relations if r.tail == entity.id]
        table.add_row(
            "",
            Text(" ".join(entity.text.split())),
            Text(entity.label, style="cyan"),
            Text(reader, style="dim"),
            Text("; ".join(heads)),
        )
    return table


def _tree(rule: schema.Rule, depth: int = 0) -> Iterator[tuple[int, str]]:
    """A rule tree as lines with their depth."""
    match rule:
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            word = {"all_of": "all of", "any_of": "any of"}.get(rule.op, f"at least {getattr(rule, 'n', '')} of")
            yield depth, word
            for part in rule.rules:
                yield from _tree(part, depth + 1)
        case schema.Not():
            yield depth, "not"
            yield from _tree(rule.rule, depth + 1)
        case schema.If():
            for word, branch in (("if", rule.condition), ("then", rule.then), ("else", rule.otherwise)):
                if branch is not None:
                    yield depth, word
                    yield from _tree(branch, depth + 1)
        case schema.Fact():
            yield depth, _fact(rule)
        case schema.Unsupported():
            yield depth, f"unsupported ({rule.reason}): {rule.text}"
        case schema.Note():
            yield depth, f"note ({rule.reason}): {rule.text}"
        case schema.CriterionRef():
            yield depth, f"criterion {rule.id}"


def _fact(fact: schema.Fact) -> str:
    """A fact in one line: what it says, its codes, the same in the canonical unit."""
    parts = [f"{fact.about}: {describe(fact)}"]
    if fact.canonical and fact.range and fact.canonical.unit != fact.range.unit:
        same = fact.range.model_copy(update=fact.canonical.model_dump())
        parts.append(f"= {describe_range(same)}")
    if fact.codes:
        parts.append("LOINC " + ", ".join(code.code for code in fact.codes))
    if fact.exceptions:
        parts.append("except " + " or ".join(describe(rule) for rule in fact.exceptions))
    return "  ·  ".join(parts)


def _facts(rule: schema.Rule) -> Iterator[schema.Fact]:
    """All facts of a rule tree, those within unsupported text included."""
    match rule:
        case schema.Fact():
            yield rule
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            for part in rule.rules:
                yield from _facts(part)
        case schema.Not():
            yield from _facts(rule.rule)
        case schema.If():
            for branch in (rule.condition, rule.then, rule.otherwise):
                if branch is not None:
                    yield from _facts(branch)
        case schema.Unsupported():
            yield from rule.facts

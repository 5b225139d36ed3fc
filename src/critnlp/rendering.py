"""A parsed trial for a person: coloured text in the terminal, or one self-contained page beside the source text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import get_args
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from critnlp.cleaning import Clean, clean
from critnlp.schema import Category, Criterion, Entity, Kind, Label, ParsedTrial, Quantity, Segment, Warning

# --- what both views share --------------------------------------------------------------------------------------------

# Label -> (hue on the page, style in the terminal). Related labels have neighbouring hues; the terminal's colours are
# those of the 256 that stand out from white and from black alike.
_LOOKS: dict[Label, tuple[int, str]] = {
    "CONDITION": (350, "color(168)"),
    "STAGING": (322, "color(132)"),
    "BIOMARKER": (285, "color(134)"),
    "LAB": (215, "color(32)"),
    "SCALE": (240, "color(63)"),
    "THRESHOLD": (190, "color(30)"),
    "RESULT": (172, "color(66)"),
    "DRUG": (145, "color(28)"),
    "PROCEDURE": (105, "color(64)"),
    "DEVICE": (80, "color(65)"),
    "TEMPORAL": (42, "color(130)"),
    "DEMOGRAPHIC": (28, "color(131)"),
    "REPRODUCTIVE": (305, "color(169)"),
    "OBSERVATION": (60, "color(100)"),
    "QUALIFIER": (225, "italic color(102)"),
    "NEGATION": (2, "bold color(196)"),
    "EXCEPTION": (18, "bold color(166)"),
}
_ICONS: dict[Kind, str] = {"inclusion": "+", "exclusion": "−", "unspecified": "?"}
_KIND_STYLES: dict[Kind, str] = {"inclusion": "color(29)", "exclusion": "color(167)", "unspecified": "color(101)"}
_UNITS = {"a": "year", "mo": "month", "wk": "week", "d": "day", "h": "hour", "min": "minute"}
_COMPUTABLE = {"full": "computable", "partial": "partly computable", "none": "needs a person's judgement"}
_JOIN = " ⋯ "  # stands between the fragments of a criterion, where the words of its items were


@dataclass(frozen=True, slots=True)
class _Row:
    """A criterion, or a heading or note at its place among them; `depth` counts the criterion's ancestors."""

    depth: int
    item: Criterion | Segment


def _sections(parsed: ParsedTrial) -> dict[Kind, list[_Row]]:
    """The rows under each kind, in text order. A heading goes with what follows it, a note with what it follows."""
    by_id = {criterion.id: criterion for criterion in parsed.criteria}

    def place(criterion: Criterion) -> tuple[Kind, int]:
        """The kind of the outermost ancestor and the number of ancestors; a chain that bites its tail ends there."""
        seen = {criterion.id}
        while criterion.parent_id in by_id and criterion.parent_id not in seen:
            seen.add(criterion.parent_id)
            criterion = by_id[criterion.parent_id]
        return criterion.kind, len(seen) - 1

    asides = [segment for segment in parsed.segments if segment.type in ("heading", "note")]
    items: list[Criterion | Segment] = sorted([*asides, *parsed.criteria], key=lambda item: item.start)
    sections: dict[Kind, list[_Row]] = {}
    waiting: list[_Row] = []
    kind: Kind = "unspecified"
    for item in items:
        depth = 0
        if isinstance(item, Criterion):
            kind, depth = place(item)
        elif item.type == "heading" or waiting or not sections:
            waiting.append(_Row(0, item))
            continue
        sections.setdefault(kind, []).extend([*waiting, _Row(depth, item)])
        waiting = []
    if waiting:
        sections.setdefault(kind, []).extend(waiting)
    return sections


def _mentions(criterion: Criterion, cleaned: Clean) -> Iterator[tuple[int, int, Entity]]:
    """Every stretch of the clean text that belongs to an entity, one per fragment of it."""
    for entity in criterion.entities:
        for start, end in entity.fragments or ((entity.start, entity.end),):
            clean_start, clean_end = cleaned.clean_span(start, end) if start < end else (0, 0)
            if clean_start < clean_end:
                yield clean_start, clean_end, entity


def _joins(criterion: Criterion, cleaned: Clean) -> list[int]:
    """Where in the clean text the second and later fragments begin."""
    return [cleaned.clean_span(start, end)[0] for start, end in criterion.fragments[1:] if start < end]


def _ages(low: Quantity | None, high: Quantity | None) -> str:
    """`18 to 75 years`, `18 years and older`, `up to 75 years`, or "" where the registry sets no bound."""

    def words(quantity: Quantity) -> str:
        unit = _UNITS.get(quantity.unit, quantity.unit)
        return f"{quantity.value} {unit}{'s' if unit in _UNITS.values() and quantity.value != '1' else ''}"

    if low and high:
        return f"{low.value if low.unit == high.unit else words(low)} to {words(high)}"
    if low:
        return f"{words(low)} and older"
    return f"up to {words(high)}" if high else ""


def _facts(parsed: ParsedTrial) -> list[str]:
    """What the registry says of the trial beside its criteria, each in a few words."""
    trial = parsed.trial
    healthy = {True: "healthy volunteers accepted", False: "no healthy volunteers", None: ""}[trial.healthy_volunteers]
    sex = {"all": "all sexes", "female": "female only", "male": "male only", None: ""}[trial.sex]
    phases = [phase.replace("PHASE", "phase ").replace("_", " ").lower() for phase in trial.phases]
    return [
        *filter(None, [sex, _ages(trial.minimum_age, trial.maximum_age), healthy, "/".join(phases)]),
        *trial.conditions,
    ]


def _tally(rows: Sequence[_Row]) -> str:
    """`12 criteria, 7 sub-items`."""
    depths = [row.depth for row in rows if isinstance(row.item, Criterion)]
    top, below = sum(depth == 0 for depth in depths), sum(depth > 0 for depth in depths)
    return f"{top} {'criterion' if top == 1 else 'criteria'}" + (f", {below} sub-item{'s' * (below != 1)}" if below else "")


def _label_counts(parsed: Iterable[ParsedTrial]) -> list[tuple[Label, int]]:
    """How many entities each label has, in the order of `_LOOKS`, labels without any left out."""
    counts = Counter(entity.label for one in parsed for criterion in one.criteria for entity in criterion.entities)
    return [(label, counts[label]) for label in _LOOKS if counts[label]]


def _name(parsed: ParsedTrial) -> str:
    return parsed.trial.nct_id or parsed.trial.source or "Trial"


# --- terminal ---------------------------------------------------------------------------------------------------------

# Control characters could move the cursor, bidirectional overrides could reorder what is read. One for one, so that
# offsets stay.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def terminal(parsed: ParsedTrial, console: Console) -> None:
    """Prints the trial as a tree of criteria with their entities coloured, wrapped to the console's width."""
    for line in _lines(parsed, console):
        console.print(line, no_wrap=True, overflow="ignore", crop=False, highlight=False)


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def _lines(parsed: ParsedTrial, console: Console) -> Iterator[Text]:
    sections = _sections(parsed)
    yield from _hang(Text(_printable(_name(parsed)), "bold"), Text(_printable(parsed.trial.title or "")), console)
    yield from _hang(Text(), Text(_printable(" · ".join(_facts(parsed))), "dim"), console)
    if counts := _label_counts([parsed]):
        legend = Text()
        for label, number in counts:
            legend.append(label, _LOOKS[label][1]).append(f":{number}  ", "dim")
        yield from _hang(Text(), legend, console)

    gutter = 2 + max((len(criterion.id) for criterion in parsed.criteria), default=0)
    for kind, rows in sections.items():
        yield Text()
        heading = Text(f"{_ICONS[kind]} {kind.capitalize()}", f"bold {_KIND_STYLES[kind]}")
        yield from _hang(heading, Text(f"({_tally(rows)})", "dim"), console)
        for row in rows:
            indent = " " * min(2 * row.depth, console.width // 4)
            if isinstance(row.item, Segment):
                words = clean(parsed.trial.eligibility, [(row.item.start, row.item.end)]).text
                if words.strip():
                    yield from _hang(Text(), Text(_printable(words.strip()), "dim italic"), console)
                continue
            mark = Text(f"{indent}{_printable(row.item.id):<{gutter}}", "dim")
            yield from _hang(mark, _body(row.item, parsed.trial.eligibility), console, gap="")

    if parsed.warnings:
        yield Text()
        yield Text(f"! Warnings ({len(parsed.warnings)})", "bold color(130)")
        for warning in parsed.warnings:
            message = Text(_printable(f"{warning.code.replace('_', ' ')}: {warning.message}"))
            yield from _hang(Text(f"{_printable(warning.criterion or ''):<{gutter}}", "dim"), message, console, gap="")


def _hang(mark: Text, body: Text, console: Console, gap: str = "  ") -> Iterator[Text]:
    """`body` wrapped beside `mark`, later lines below its first word."""
    margin = mark.cell_len + len(gap) if mark.cell_len else 0
    if console.width - margin < 12:  # too narrow for a margin: the mark gets a line of its own
        yield mark
        mark, margin = Text("  "), 2
    if body.plain.strip():
        for number, line in enumerate(body.wrap(console, max(console.width - margin, 4), tab_size=1)):
            head = Text().append_text(mark if number == 0 else Text())
            line.rstrip()
            yield head.append(" " * (margin - head.cell_len)).append_text(line)
    elif mark.cell_len:
        yield mark


def _body(criterion: Criterion, eligibility: str) -> Text:
    """The clean text with its entities coloured, the innermost last, and its tags behind it."""
    cleaned = clean(eligibility, criterion.fragments)
    body = Text(_printable(cleaned.text))
    for start, end, entity in sorted(_mentions(criterion, cleaned), key=lambda mention: mention[0] - mention[1]):
        body.stylize(_LOOKS[entity.label][1], start, end)
    pieces = body.divide(_joins(criterion, cleaned))
    for piece in pieces:
        piece.rstrip()
    body = Text.assemble((_JOIN, "dim")).join(pieces)
    tags = [criterion.category.replace("_", " ")] if criterion.category != "other" else []
    tags += [_printable(cohort) for cohort in criterion.cohorts]
    tags += [f"modifies {_printable(criterion.modifies)}"] if criterion.modifies else []
    tags += [_COMPUTABLE[criterion.computable]] if criterion.computable in _COMPUTABLE else []
    for tag in tags:
        body.append(" ").append(f"[{tag}]", "dim")
    if criterion.describe and criterion.describe != criterion.clean_text:
        body.append(f"\n→ {_printable(criterion.describe)}", "dim")
    return body


# --- page -------------------------------------------------------------------------------------------------------------

_SYSTEMS = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED CT",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://www.genenames.org": "HGNC",
}
_UNSHOWABLE = re.compile(r"[\x00\ud800-\udfff]")  # neither HTML nor UTF-8 can carry these


def html(parsed: Iterable[ParsedTrial]) -> Iterator[str]:
    """The chunks of one page about the trials, which needs nothing from the network and runs nothing out of a trial."""
    trials = list(parsed)
    yield _head(trials)
    for number, one in enumerate(trials, start=1):
        yield _article(one, f"t{number}")
    yield '</main></div><div id="tip" role="tooltip" aria-live="polite" hidden></div>'
    yield f"<script>{_SCRIPT}</script></body></html>\n"


def _escape(text: str) -> str:
    """A text or attribute value. A bare carriage return would be read as a line feed, so it becomes a reference."""
    return escape(_UNSHOWABLE.sub("\ufffd", text)).replace("\r", "&#13;")


@dataclass(frozen=True, slots=True)
class _Mark:
    """Characters `[start, end)` to enclose in a tag. `again` replaces `open` where the mark had to be split."""

    start: int
    end: int
    open: str
    again: str
    close: str


def _enclose(text: str, marks: Iterable[_Mark]) -> str:
    """`text` escaped, with each mark around its characters; marks that cross are split so that all tags nest."""
    clipped = (replace(mark, end=min(mark.end, len(text))) for mark in marks)
    ahead = deque(sorted((mark for mark in clipped if mark.start < mark.end), key=lambda mark: (mark.start, -mark.end)))
    out: list[str] = []
    inside: list[_Mark] = []
    at = 0
    for bound in sorted({len(text)}.union(*((mark.start, mark.end) for mark in ahead))):
        out.append(_escape(text[at:bound]))
        at = bound
        ended = next((depth for depth, mark in enumerate(inside) if mark.end <= bound), len(inside))
        out += [mark.close for mark in reversed(inside[ended:])]
        inside[ended:] = [mark for mark in inside[ended:] if mark.end > bound]
        out += [mark.again for mark in inside[ended:]]
        while ahead and ahead[0].start == bound:
            inside.append(ahead.popleft())
            out.append(inside[-1].open)
    return "".join(out)


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _head(trials: Sequence[ParsedTrial]) -> str:
    criteria = [criterion for one in trials for criterion in one.criteria]
    title = _name(trials[0]) if len(trials) == 1 else f"{len(trials)} trials"
    # The hashes admit this style and this script alone: even markup that slipped through could run or load nothing.
    policy = f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; base-uri 'none'"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)} · eligibility criteria</title>
<style>{_STYLE}</style></head>
<body>
<header class="bar"><strong>Eligibility criteria</strong>
<span class="quiet">{_escape(title)} · {_plural(len(criteria), "criterion", "criteria")}</span>
<span class="views" role="group" aria-label="View"
><button type="button" data-view="both" aria-pressed="true">Both</button
><button type="button" data-view="criteria" aria-pressed="false">Criteria</button
><button type="button" data-view="source" aria-pressed="false">Source text</button></span></header>
<div class="page"><aside class="rail">{_contents(trials)}{_filters(trials, criteria)}</aside><main>
"""


def _plural(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _contents(trials: Sequence[ParsedTrial]) -> str:
    if len(trials) < 2:
        return ""
    entries = []
    for number, one in enumerate(trials, start=1):
        kinds = Counter(criterion.kind for criterion in one.criteria if criterion.parent_id is None)
        counts = "".join(
            f'<span class="{kind}" title="{kinds[kind]} {kind}"><b aria-hidden="true">{icon}</b>{kinds[kind]}</span>'
            for kind, icon in _ICONS.items()
            if kinds[kind]
        )
        if one.warnings:
            counts += f'<span class="warns" title="{len(one.warnings)} warnings"><b>!</b>{len(one.warnings)}</span>'
        title = f'<span class="quiet">{_escape(one.trial.title)}</span>' if one.trial.title else ""
        entries.append(f'<li><a href="#t{number}"><b>{_escape(_name(one))}</b>{title}</a><span class="mini">{counts}</span></li>')
    return f'<nav aria-label="Trials"><details open><summary>Trials</summary><ol>{"".join(entries)}</ol></details></nav>'


def _filters(trials: Sequence[ParsedTrial], criteria: Sequence[Criterion]) -> str:
    categories = Counter(criterion.category for criterion in criteria)
    kinds = Counter(criterion.kind for criterion in criteria)
    category_options = "".join(
        f'<option value="{name}">{name.replace("_", " ")} ({categories[name]})</option>'
        for name in get_args(Category)
        if categories[name]
    )
    kind_options = "".join(
        f'<option value="{kind}">{_ICONS[kind]} {kind} ({kinds[kind]})</option>' for kind in _ICONS if kinds[kind]
    )
    chips = "".join(
        f'<button type="button" data-label="{label}" aria-pressed="false"><mark data-l="{label}">{label.lower()}</mark>'
        f"<span>{number}</span></button>"
        for label, number in _label_counts(trials)
    )
    return f"""<details class="filters" open><summary>Filter</summary><form>
<label>Words <input type="search" name="words" placeholder="e.g. creatinine" autocomplete="off"></label>
<label>Kind <select name="kind"><option value="">all</option>{kind_options}</select></label>
<label>Category <select name="category"><option value="">all</option>{category_options}</select></label>
<label class="check"><input type="checkbox" name="warned"> with a warning only</label>
<fieldset><legend>Entities</legend>
<div class="chips">{chips or '<span class="quiet">none found</span>'}</div></fieldset>
<label class="check"><input type="checkbox" name="names"> name the entities in the text</label>
<p><output aria-live="polite"></output> <button type="reset">Show all</button></p></form>
<p class="quiet keys">Click a criterion to see its place in the source text, and the other way round. Keys:
<kbd>j</kbd> <kbd>k</kbd> next and previous criterion, <kbd>←</kbd> <kbd>→</kbd> its entities, <kbd>/</kbd> search.
A ○ marks a criterion that is not yet a rule.</p>
</details>"""


def _article(parsed: ParsedTrial, anchor: str) -> str:
    """One trial: header, warnings, the criteria as a tree and the eligibility text as it stands in the registry."""
    trial = parsed.trial
    sections = _sections(parsed)
    notes = _entity_notes(parsed)
    warned: dict[str | None, list[Warning]] = {}
    for warning in parsed.warnings:
        warned.setdefault(warning.criterion, []).append(warning)
    tree = "".join(
        f'<section class="{kind}"><h3><span class="icon" aria-hidden="true">{_ICONS[kind]}</span>{kind.capitalize()}'
        f"<small>{_tally(rows)}</small></h3>"
        f'<ul class="tree">{_tree(rows, parsed, anchor, notes, warned)}</ul></section>'
        for kind, rows in sections.items()
    )
    facts = "".join(f"<li>{_escape(fact)}</li>" for fact in _facts(parsed))
    origin = [
        trial.source,
        f"version of {trial.version_date}" if trial.version_date else None,
        f"{len(trial.eligibility):,} characters",
    ]
    layers = f" ({', '.join(parsed.pipeline.layers)})" if parsed.pipeline.layers else ""
    tools = f"critnlp {parsed.critnlp_version} · {parsed.pipeline.name} {parsed.pipeline.version}{layers}"
    return f"""<article id="{anchor}"><header>{f'<p class="nct">{_escape(_name(parsed))}</p>' if trial.title else ""}
<h2>{_escape(trial.title or _name(parsed))}</h2><ul class="facts">{facts}</ul>{_warnings(parsed, anchor)}</header>
<div class="panes"><div class="criteria">{tree or '<p class="quiet">No criteria were found in the text.</p>'}</div>
<section class="source" aria-label="Source text">
<h3>Source text <small>{_escape(" · ".join(filter(None, origin)))}</small></h3>
<div class="verbatim" tabindex="0">{_verbatim(parsed, anchor)}</div></section></div>
<footer class="quiet">{_escape(tools)}</footer></article>
"""


def _warnings(parsed: ParsedTrial, anchor: str) -> str:
    if not parsed.warnings:
        return ""
    ids = {criterion.id for criterion in parsed.criteria}
    items = "".join(
        f"<li>{_link(anchor, warning.criterion, ids)}<b>{warning.code.replace('_', ' ')}</b> {_escape(warning.message)}</li>"
        for warning in parsed.warnings
    )
    title = _plural(len(parsed.warnings), "warning", "warnings")
    return f'<details class="warnings" open><summary>! {title}</summary><ul>{items}</ul></details>'


def _link(anchor: str, criterion: str | None, ids: set[str]) -> str:
    if criterion not in ids or criterion is None:
        return ""
    return f'<a class="id" href="#{quote(f"{anchor}-{criterion}")}">{_escape(criterion)}</a> '


def _tree(
    rows: Sequence[_Row],
    parsed: ParsedTrial,
    anchor: str,
    notes: dict[str, _EntityNote],
    warned: dict[str | None, list[Warning]],
) -> str:
    """The list items of a section, sub-items in a list inside their parent's."""
    ids = {criterion.id for criterion in parsed.criteria}
    out: list[str] = []
    depth = -1
    for row in rows:
        now = min(row.depth, depth + 1)
        if depth >= 0:
            out.append("<ul>" if now > depth else "</li>" + "</ul></li>" * (depth - now))
        depth = now
        if isinstance(row.item, Segment):
            words = clean(parsed.trial.eligibility, [(row.item.start, row.item.end)]).text.strip()
            out.append(f'<li class="aside">{_escape(words)}')
        else:
            out.append(_item(row.item, parsed.trial.eligibility, anchor, ids, notes, warned.get(row.item.id, [])))
    out.append("</li>" + "</ul></li>" * max(depth, 0) if rows else "")
    return "".join(out)


def _item(
    criterion: Criterion,
    eligibility: str,
    anchor: str,
    ids: set[str],
    notes: dict[str, _EntityNote],
    warnings: Sequence[Warning],
) -> str:
    """A criterion's list item, left open for its sub-items. Its rule is shown as what `describe` says of it."""
    cleaned = clean(eligibility, criterion.fragments)
    text = cleaned.text
    marks = [
        _Mark(start, len(text), '<span class="join">', '<span class="rest">', "</span>") for start in _joins(criterion, cleaned)
    ]
    mentions = list(_mentions(criterion, cleaned))
    for start, end, entity in mentions:
        height = sum(start <= low and high <= end and high - low < end - start for low, high, _ in mentions)
        negated = " data-neg" if entity.attributes and entity.attributes.negated else ""
        attributes = (
            f'data-e="{_escape(entity.id)}" data-l="{entity.label}" data-n="{min(height, 3)}"{negated}'
            f' data-r="{_escape(" ".join(notes[entity.id].kin))}" data-i="{_escape(notes[entity.id].text)}"'
        )
        marks.append(_Mark(start, end, f"<mark {attributes}>", f"<mark {attributes} data-cont>", "</mark>"))

    tags = [f'<span class="tag">{criterion.category.replace("_", " ")}</span>'] if criterion.category != "other" else []
    tags += [f'<span class="tag cohort">{_escape(cohort)}</span>' for cohort in criterion.cohorts]
    if criterion.modifies:
        tags.append(f'<span class="tag">modifies {_link(anchor, criterion.modifies, ids) or _escape(criterion.modifies)}</span>')
    if criterion.computable in _COMPUTABLE:
        tags.append(f'<span class="tag {criterion.computable}">{_COMPUTABLE[criterion.computable]}</span>')
    else:
        tags.insert(0, '<span title="not yet turned into a rule">○</span>')
    says = criterion.describe if criterion.describe != criterion.clean_text else ""
    labels = " ".join(dict.fromkeys(entity.label for entity in criterion.entities))
    alerts = "".join(
        f'<p class="warning"><b>! {warning.code.replace("_", " ")}</b> {_escape(warning.message)}</p>' for warning in warnings
    )
    source = quote(f"{anchor}-source-{criterion.id}")
    return (
        f'<li class="row" id="{_escape(f"{anchor}-{criterion.id}")}" data-c="{_escape(criterion.id)}"'
        f' data-k="{criterion.kind}" data-g="{criterion.category}" data-l="{labels}"{" data-w" if warnings else ""}>'
        f'<div class="card"><a class="id" href="#{source}" title="Show in the source text">{_escape(criterion.id)}</a>'
        f'<div><p class="text">{_enclose(text, marks)}</p>&nbsp;'
        f'<p class="tags">{"".join(tags)}</p>' + (f'<p class="says">{_escape(says)}</p>' if says else "") + f"{alerts}</div></div>"
    )


@dataclass(frozen=True, slots=True)
class _EntityNote:
    """What there is to say of an entity, one statement per line, and the entities that it is related to."""

    text: str
    kin: tuple[str, ...]


def _entity_notes(parsed: ParsedTrial) -> dict[str, _EntityNote]:
    """The note of each entity: label, attributes, codes, layer, and relations, which may lead to another criterion."""
    entities = {entity.id: entity for criterion in parsed.criteria for entity in criterion.entities}
    related: dict[str, list[tuple[str, str]]] = {key: [] for key in entities}
    for relation in (relation for criterion in parsed.criteria for relation in criterion.relations):
        if relation.head in entities and relation.tail in entities:
            name = relation.type.removeprefix("has_")
            there = "abbreviates" if name == "abbreviates" else f"{name}:"
            back = "abbreviated as" if name == "abbreviates" else f"{name} of"
            related[relation.head].append((relation.tail, f"{there} {_words(entities[relation.tail], parsed)}"))
            related[relation.tail].append((relation.head, f"{back} {_words(entities[relation.head], parsed)}"))
    notes = {}
    for key, entity in entities.items():
        lines = [entity.label.lower()]
        if said := entity.attributes:
            words = ["negated" * said.negated, "current or past" if said.status == "any" else said.status]
            words += [said.experiencer.replace("patient", ""), "possible" * (said.certainty == "possible")]
            lines.append(" · ".join(filter(None, words)))
        lines += [f"{_SYSTEMS.get(code.system, code.system)} {code.code} {code.display or ''}" for code in entity.codes]
        lines += [line for _, line in related[key]]
        lines.append(f"{entity.layer} layer · confidence {entity.confidence:.2f}")
        notes[key] = _EntityNote("\n".join(lines), tuple(other for other, _ in related[key]))
    return notes


def _words(entity: Entity, parsed: ParsedTrial) -> str:
    return clean(parsed.trial.eligibility, entity.fragments or [(entity.start, entity.end)]).text


def _verbatim(parsed: ParsedTrial, anchor: str) -> str:
    """The eligibility text character for character, with its segments and, unseen until pointed at, its entities."""
    marks = []
    for segment in parsed.segments:
        if segment.type in ("heading", "note", "marker"):
            again = f'<span class="{segment.type}">'
            marks.append(_Mark(segment.start, segment.end, again, again, "</span>"))
    pieces = [(start, end, criterion) for criterion in parsed.criteria for start, end in criterion.fragments]
    linked: set[str] = set()
    at = 0
    for start, end, criterion in sorted(pieces, key=lambda piece: piece[0]):
        again = (
            f'<a class="piece {criterion.kind}" draggable="false" data-c="{_escape(criterion.id)}"'
            f' href="#{quote(f"{anchor}-{criterion.id}")}">'
        )
        first = again.replace("<a ", f'<a id="{_escape(f"{anchor}-source-{criterion.id}")}" ', 1)
        # A link in a link would be torn apart, so extents are kept apart even where a record lets them overlap.
        marks.append(_Mark(max(start, at), end, again if criterion.id in linked else first, again, "</a>"))
        linked.add(criterion.id)
        at = max(at, end)
    for criterion in parsed.criteria:
        for entity in criterion.entities:
            again = f'<i data-e="{_escape(entity.id)}">'
            marks += [_Mark(start, end, again, again, "</i>") for start, end in entity.fragments]
    return _enclose(parsed.trial.eligibility, marks)


def _label_style(label: Label) -> str:
    """The rules of one label: its hue, and no highlight while the filter asks for other labels."""
    saturation = "; --sat: 8%" if label == "QUALIFIER" else ""
    others = f':root[data-only]:not([data-only=""], [data-only~="{label}"]) .text mark[data-l="{label}"]'
    return (
        f'mark[data-l="{label}"] {{ --hue: {_LOOKS[label][0]}{saturation} }}\n'
        f"{others} {{ background: none; border-color: transparent }}\n{others}::before {{ display: none }}\n"
    )


_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ground: #f5f6f8; --ink: #1c2330; --quiet: #5b6575; --line: #dde1e8;
  --accent: #2456c4; --glow: #fff3c4; --glow-edge: #d9a400; --inclusion: #0b7a55; --exclusion: #b3382c;
  --unspecified: #75681c; --alert: #8f4f00; --alert-ground: #fff5e5; --tint: 92%; --wash: 1; --edge: 42%; --deep: 24%; }
@media (prefers-color-scheme: dark) { :root { --paper: #191d24; --ground: #101318; --ink: #e4e8ef; --quiet: #9aa5b5;
  --line: #2e3540; --accent: #8db4ff; --glow: #4a3d10; --glow-edge: #e0b83a; --inclusion: #52c99b; --exclusion: #ff8f80;
  --unspecified: #d3c469; --alert: #ffbd66; --alert-ground: #33270f; --tint: 21%; --wash: .6;
  --edge: 62%; --deep: 86%; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 4rem; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h2, h3, p, ul, ol { margin: 0; padding: 0; }
ul, ol { list-style: none; }
a { color: var(--accent); }
small, .quiet { color: var(--quiet); font-size: .8125rem; font-weight: 400; }
button, input, select { font: inherit; font-size: .875rem; color: inherit; background: var(--paper);
  border: 1px solid var(--line); border-radius: 6px; padding: .2rem .55rem; }
button { cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.inclusion { --kind: var(--inclusion); } .exclusion { --kind: var(--exclusion); }
.unspecified { --kind: var(--unspecified); }

.bar { position: sticky; top: 0; z-index: 5; display: flex; align-items: center; gap: .4rem 1rem; flex-wrap: wrap;
  min-height: 3rem; padding: .4rem 1.25rem; background: var(--paper); border-bottom: 1px solid var(--line); }
.views { margin-left: auto; display: inline-flex; }
.views button { border-radius: 0; margin-left: -1px; }
.views button:first-child { border-radius: 6px 0 0 6px; } .views button:last-child { border-radius: 0 6px 6px 0; }
[aria-pressed=true] { background: var(--accent); border-color: var(--accent); color: var(--paper); }
.page { display: grid; grid-template-columns: 15.5rem minmax(0, 1fr); gap: 1.5rem; max-width: 104rem; margin: 0 auto;
  padding: 1.25rem; }
.rail { position: sticky; top: 4.25rem; align-self: start; max-height: calc(100vh - 5rem); overflow: auto;
  font-size: .875rem; padding: 2px; }
.rail details { margin-bottom: 1.25rem; }
.rail summary { font-weight: 600; cursor: pointer; margin-bottom: .5rem; }
.rail nav ol { max-height: 40vh; overflow: auto; }
.rail nav li { padding: .35rem 0; border-top: 1px solid var(--line); }
.rail nav a { display: block; text-decoration: none; }
.rail nav a .quiet { display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden;
  line-height: 1.35; }
.mini span { margin-right: .7rem; color: var(--kind); font-size: .8125rem; } .mini b { margin-right: .2rem; }
.mini .warns { color: var(--alert); }
.filters label { display: block; margin-bottom: .5rem; } .filters fieldset { border: 0; margin: 0 0 .5rem; padding: 0; }
.filters input[type=search], .filters select { display: block; width: 100%; }
.filters .check { display: flex; gap: .4rem; align-items: center; }
.filters p { display: flex; justify-content: space-between; align-items: center; gap: .5rem; }
.filters .keys { display: block; margin-top: 1rem; line-height: 1.5; }
kbd { font: inherit; padding: 0 .3em; border: 1px solid var(--line); border-radius: 4px; }
.chips { display: flex; flex-wrap: wrap; gap: .3rem; margin-top: .3rem; }
.chips button { padding: .05rem .4rem; font-size: .8125rem; } .chips span { margin-left: .35rem; opacity: .75; }
.chips [aria-pressed=true] mark { background: none; border-color: transparent; color: inherit; }

article { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 1.5rem;
  margin-bottom: 1.5rem; content-visibility: auto; contain-intrinsic-size: auto 1600px; }
.nct { color: var(--quiet); font-size: .875rem; font-weight: 600; letter-spacing: .03em; }
h2 { font-size: 1.375rem; line-height: 1.3; text-wrap: balance; }
.facts { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin-top: .35rem; color: var(--quiet);
  font-size: .9375rem; }
.facts li:first-letter { text-transform: uppercase; }
.warnings, .warning { background: var(--alert-ground); border-left: 3px solid var(--alert); border-radius: 4px;
  font-size: .875rem; }
.warnings { margin-top: .8rem; padding: .5rem .8rem; }
.warnings summary { color: var(--alert); font-weight: 600; cursor: pointer; }
.warnings b::after { content: ":"; }
.warning { padding: .2rem .6rem; margin-top: .3rem; } .warning b { color: var(--alert); }
.panes { display: grid; grid-template-columns: minmax(0, 7fr) minmax(0, 5fr); gap: 1.75rem; margin-top: 1.25rem; }
[data-view=criteria] .panes, [data-view=source] .panes { grid-template-columns: minmax(0, 54rem); }
[data-view=criteria] .source, [data-view=source] .criteria { display: none; }
.criteria > section { margin-bottom: 1.5rem; }
h3 { display: flex; align-items: baseline; flex-wrap: wrap; gap: .1rem .55rem; font-size: 1.0625rem; color: var(--kind);
  padding-bottom: .35rem; border-bottom: 2px solid var(--kind, var(--line)); }
.source h3 { color: inherit; }
.icon { display: inline-grid; place-items: center; width: 1.25em; height: 1.25em; border-radius: 50%;
  align-self: center; background: var(--kind); color: var(--paper); line-height: 1; }
.tree ul { margin-left: 1.35rem; border-left: 1px solid var(--line); padding-left: .35rem; }
.card { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .7rem; padding: .45rem .5rem;
  border-left: 3px solid transparent; border-radius: 4px; cursor: pointer; }
.tree > .row + .row > .card { margin-top: 1px; }
.card:hover { background: var(--ground); }
.lit > .card, :target > .card { background: var(--glow); border-left-color: var(--glow-edge); }
.id { min-width: 2.1rem; color: var(--kind, var(--accent)); font-size: .8125rem; font-weight: 600; line-height: 1.9;
  text-decoration: none; font-variant-numeric: tabular-nums; }
.id:hover { text-decoration: underline; }
.text, .tags { display: inline; line-height: 1.8; overflow-wrap: anywhere; }
.join::before { content: "⋯ "; color: var(--quiet); }
.says { color: var(--quiet); font-size: .875rem; } .says::before { content: "→ "; }
.tags { font-size: .75rem; color: var(--quiet); }
.tag { display: inline-block; line-height: 1.5; border: 1px solid var(--line); border-radius: 99px; padding: 0 .5rem;
  margin-left: .3rem; }
.cohort { border-style: dashed; color: var(--ink); }
.tag .id { min-width: 0; font-size: inherit; line-height: inherit; }
.full { color: var(--inclusion); } .partial, .none { color: var(--alert); }
.aside { color: var(--quiet); font-style: italic; font-size: .9375rem; padding: .45rem .5rem; }

mark { --hue: 0; --sat: 70%; --edge-colour: hsl(var(--hue) calc(var(--sat) * .8) var(--edge)); color: inherit;
  background: hsl(var(--hue) calc(var(--sat) * var(--wash)) var(--tint)); border-bottom: 2px solid var(--edge-colour);
  border-radius: 3px 3px 0 0; padding: .05em .12em 0; -webkit-box-decoration-break: clone;
  box-decoration-break: clone; }
mark[data-n="1"] { padding-bottom: 3px; }
mark[data-n="2"] { padding-bottom: 6px; }
mark[data-n="3"] { padding-bottom: 9px; }
mark[data-neg] { border-bottom-style: dashed; }
mark.hot { box-shadow: 0 0 0 2px var(--edge-colour); }
mark.kin { outline: 2px dashed var(--edge-colour); outline-offset: 1px; }
.names .text mark:not([data-cont])::before { content: attr(data-l); margin-right: .3em; font-size: .625rem;
  font-weight: 700; letter-spacing: .03em; text-transform: uppercase; color: hsl(var(--hue) var(--sat) var(--deep)); }

.source { align-self: start; position: sticky; top: 4.25rem; }
.verbatim { max-height: calc(100vh - 9rem); overflow: auto; margin-top: .6rem; padding-right: .5rem;
  white-space: pre-wrap; overflow-wrap: anywhere;
  font: .8125rem/1.65 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  tab-size: 4; }
.verbatim .heading { font-weight: 700; } .verbatim .note { font-style: italic; }
.verbatim .note, .verbatim .marker { color: var(--quiet); }
.piece { color: inherit; text-decoration: none; border-radius: 3px; cursor: pointer; }
.piece[id]::before { content: attr(data-c); margin-right: .45em; color: var(--kind);
  font: 600 .6875rem/1 system-ui, sans-serif; }
.piece:hover { background: var(--ground); } .piece.lit, .piece:target { background: var(--glow); }
.verbatim i { font-style: inherit; } .verbatim i.hot { background: var(--glow-edge); color: #000; border-radius: 2px; }
article > footer { margin-top: 1rem; }

#tip { position: fixed; z-index: 9; max-width: min(22rem, calc(100vw - 1rem)); padding: .5rem .7rem; border-radius: 8px;
  background: var(--ink); color: var(--paper); font-size: .8125rem; line-height: 1.45; white-space: pre-line;
  overflow-wrap: anywhere; pointer-events: none; box-shadow: 0 4px 16px #0004; }
#tip::first-line { font-weight: 700; text-transform: uppercase; letter-spacing: .04em; }
[hidden] { display: none !important; }
.miss > .card { opacity: .45; }

@media (max-width: 70rem) {
  .page { grid-template-columns: minmax(0, 1fr); gap: .5rem; }
  .rail { position: static; max-height: none; } .rail details { margin-bottom: .5rem; }
  .keys { display: none !important; }
}
@media (max-width: 48rem) {
  .page { padding: .5rem; } article { padding: 1rem .75rem; border-radius: 8px; }
  .bar { padding: .4rem .75rem; } .bar strong { display: none; } h2 { font-size: 1.2rem; }
  .panes { grid-template-columns: minmax(0, 1fr); }
  .source { position: static; } .verbatim { max-height: none; }
  .tree ul { margin-left: .5rem; } .card { gap: .4rem; padding: .45rem .25rem; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --ground: #fff; --ink: #000; --quiet: #444; --line: #bbb; --accent: #000;
    --glow: #fff; --glow-edge: transparent; --inclusion: #0b5c41; --exclusion: #8f2a20; --unspecified: #5b5014;
    --alert: #7a4300; --alert-ground: #fff; --tint: 93%; --wash: 1; --edge: 42%;
    --deep: 24%; }
  body { font-size: 10pt; } .bar, .rail, #tip { display: none; }
  .page, .panes { display: block; padding: 0; } .panes { margin-top: 8pt; }
  article { border: 0; padding: 0; content-visibility: visible; } article + article { break-before: page; }
  .card, .warning { break-inside: avoid; } h2, h3 { break-after: avoid; } .card { padding: 2pt 0; }
  .source { position: static; margin-top: 14pt; } .verbatim { max-height: none; overflow: visible; font-size: 8pt; }
  mark, .icon { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
""" + "".join(map(_label_style, _LOOKS))

_SCRIPT = """
"use strict";
{
  const root = document.documentElement, tip = document.getElementById("tip"), form = document.querySelector("form");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const rows = all(".row"), chips = all("[data-label]"), views = all("[data-view]");
  const wide = matchMedia("(min-width: 48.01rem)");
  const rowText = new Map(rows.map(row => [row, row.querySelector(".card").textContent.toLowerCase()]));
  const named = (attribute, value) => `[${attribute}="${CSS.escape(value)}"]`;

  const show = view => {
    root.dataset.view = view;
    views.forEach(button => button.setAttribute("aria-pressed", button.dataset.view === view));
  };
  views.forEach(button => button.addEventListener("click", () => show(button.dataset.view)));
  show(wide.matches ? "both" : "criteria");
  if (!wide.matches) all(".rail details").forEach(details => { details.open = false; });

  // Filters: a criterion that does not match stays, faint, where one of its sub-items does.
  const filter = () => {
    const labels = chips.filter(chip => chip.getAttribute("aria-pressed") === "true").map(chip => chip.dataset.label);
    const { words, kind, category, warned, names } = form.elements;
    const wanted = words.value.trim().toLowerCase();
    let shown = 0;
    for (const row of [...rows].reverse()) {
      const has = row.dataset.l.split(" ");
      const hit = (!labels.length || labels.some(label => has.includes(label))) && rowText.get(row).includes(wanted)
        && [row.dataset.k, ""].includes(kind.value) && [row.dataset.g, ""].includes(category.value)
        && (!warned.checked || "w" in row.dataset);
      shown += hit;
      row.classList.toggle("miss", !hit);
      row.hidden = !hit && !row.querySelector(".row:not([hidden])");
    }
    const filtered = shown < rows.length;
    all(".aside").forEach(aside => { aside.hidden = filtered; });
    all(".criteria > section").forEach(section => {
      section.hidden = filtered && !section.querySelector(".row:not([hidden])");
    });
    root.classList.toggle("names", names.checked);
    root.dataset.only = labels.join(" ");
    form.querySelector("output").textContent = (filtered ? `${shown} of ` : "") + `${rows.length} criteria`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => {
    chips.forEach(chip => chip.setAttribute("aria-pressed", false));
    setTimeout(filter);
  });
  chips.forEach(chip => chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
    filter();
  }));
  filter();

  // Evidence: a criterion and its pieces of the source text light up together.
  const light = (article, id) => {
    all(".lit").forEach(node => node.classList.remove("lit"));
    all(named("data-c", id), article).forEach(node => node.classList.add("lit"));
  };
  const scrollPane = (pane, node) => {
    if (!node) return;
    if (pane.scrollHeight > pane.clientHeight + 1) {
      const offset = node.getBoundingClientRect().top - pane.getBoundingClientRect().top;
      pane.scrollTo({ top: pane.scrollTop + offset - pane.clientHeight / 3, behavior: "smooth" });
    } else node.scrollIntoView({ block: "center" });
  };
  const select = (row, reveal) => {
    const article = row.closest("article");
    light(article, row.dataset.c);
    if (reveal && root.dataset.view === "criteria") show(wide.matches ? "both" : "source");
    const pane = article.querySelector(".verbatim");
    if (reveal || (root.dataset.view === "both" && wide.matches)) scrollPane(pane, pane.querySelector(".lit"));
  };
  document.addEventListener("click", event => {
    const piece = event.target.closest(".piece"), row = event.target.closest(".row"), link = event.target.closest("a");
    if (!getSelection().isCollapsed && (piece || row)) return event.preventDefault();
    if (piece) {
      event.preventDefault();
      const target = document.getElementById(decodeURIComponent(piece.hash.slice(1)));
      if (target.hidden) form.reset();
      if (root.dataset.view === "source") show(wide.matches ? "both" : "criteria");
      light(piece.closest("article"), piece.dataset.c);
      setTimeout(() => target.firstElementChild.scrollIntoView({ block: "center", behavior: "smooth" }), 1);
    } else if (row && (!link || link.matches(".card > .id"))) {
      event.preventDefault();
      select(row, link !== null);
    }
  });

  // What is known of an entity, at the pointer or the keyboard's place.
  let hot = null;
  const cool = () => {
    tip.hidden = true;
    all(".hot, .kin").forEach(node => node.classList.remove("hot", "kin"));
    hot = null;
  };
  const point = node => {
    if (hot === node) return;
    cool();
    const article = node.closest("article"), mark = article.querySelector("mark" + named("data-e", node.dataset.e));
    if (!mark) return;
    hot = node;
    all(named("data-e", node.dataset.e), article).forEach(twin => twin.classList.add("hot"));
    (mark.dataset.r || "").split(" ").filter(Boolean).forEach(id =>
      all("mark" + named("data-e", id), article).forEach(kin => kin.classList.add("kin")));
    tip.textContent = mark.dataset.i;
    tip.hidden = false;
    const at = node.getClientRects()[0], box = tip.getBoundingClientRect();
    const below = at.bottom + 8 + box.height < innerHeight;
    tip.style.top = `${below ? at.bottom + 8 : Math.max(4, at.top - box.height - 8)}px`;
    tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - box.width - 8))}px`;
  };
  document.addEventListener("pointerover", event => {
    const node = event.target.closest("mark[data-e], i[data-e]");
    if (node) point(node); else if (hot) cool();
  });
  document.addEventListener("scroll", cool, { capture: true, passive: true });

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const row = document.activeElement.closest?.(".row");
    if (event.key === "Escape") cool();
    else if (event.key === "/") { form.elements.words.focus(); event.preventDefault(); }
    else if (event.key === "j" || event.key === "k") {
      const visible = rows.filter(one => !one.hidden);
      const start = row ?? document.querySelector(".row.lit");
      const step = event.key === "j" ? 1 : -1, index = start ? visible.indexOf(start) + step : 0;
      const next = visible[Math.max(0, Math.min(index, visible.length - 1))];
      if (!next) return;
      next.querySelector(".id").focus();
      select(next, false);
    } else if (row && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      const marks = all("mark:not([data-cont])", row.querySelector(".text"));
      if (!marks.length) return;
      event.preventDefault();
      const step = event.key === "ArrowRight" ? 1 : -1;
      const index = marks.includes(hot) ? marks.indexOf(hot) + step : step > 0 ? 0 : marks.length - 1;
      point(marks[(index + marks.length) % marks.length]);
    }
  });
}
"""

"""Scores for a person: a table in the terminal, JSON, one self-contained page that shows every error in its text."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from critnlp import rendering, schema
from critnlp.cleaning import clean
from critnlp.evaluation import ERROR_TYPES, Change, Error, Row, Scores, aligned, name_of, row_json
from critnlp.wording import describe

_MEASURES = {"f1": "F1", "accuracy": "accuracy", "kappa": "kappa"}
# The rows that say most, for one line.
_HEADLINE = (("criteria", "exact"), ("entities", "micro"), ("relations", "micro"), ("facts", "all"), ("rules", "equal"))


# --- terminal and JSON ------------------------------------------------------------------------------------------------


def table(scores: Scores, console: Console) -> None:
    """Prints every row that has an item, family by family, and the trials that could not be compared."""
    for family, rows in _families(scores).items():
        console.print(Text(f"\n{family}", style="bold"))
        shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
        columns = _columns(rows)
        for number, column in enumerate(columns):
            shown.add_column(column, justify="right" if number else "left", no_wrap=number > 0, overflow="fold")
        for row in rows:
            shown.add_row(*_cells(row, columns), style="bold" if (row.family, row.name) in _HEADLINE else "")
        console.print(shown)
    if not scores.rows:
        console.print("There is nothing to compare: no trial is on both sides, or none has an item.")
    for line in _remarks(scores):
        console.print(Text(f"! {line}", style="color(130)"), soft_wrap=True)


def changes(found: Iterable[Change], console: Console) -> None:
    """Prints what got better and what worse, and in how many rows the difference may be chance."""
    known = [change for change in found if change.difference is not None]
    clear = [change for change in known if change.verdict != "unclear"]
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for number, column in enumerate(("", "old", "new", "difference", "95 %", "")):
        shown.add_column(column, justify="right" if 0 < number < 5 else "left", no_wrap=number > 0, overflow="fold")
    for change in sorted(clear, key=lambda change: change.difference or 0):
        low, high = change.interval or (0.0, 0.0)
        style = "green" if change.verdict == "better" else "red"
        row = (f"{change.family}: {change.name}", _number(change.old), _number(change.new), f"{change.difference:+.3f}")
        shown.add_row(*row, f"{low:+.3f} to {high:+.3f}", Text(change.verdict, style=style))
    if clear:
        console.print(shown)
    console.print(f"{len(clear)} of {len(known)} rows differ beyond chance (paired bootstrap by trial)")


def phenomena(by_tag: Mapping[str, Scores], console: Console) -> None:
    """Prints one line for each phenomenon: its criteria, and the headline scores."""
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    names = ["phenomenon", "criteria", *(f"{family}, {name}" for family, name in _HEADLINE)]
    for number, column in enumerate(names):
        shown.add_column(column, justify="right" if number else "left", no_wrap=not number, overflow="fold")
    for tag, scores in by_tag.items():
        items = scores.row("criteria", "exact").counts.support
        shown.add_row(tag, str(items), *(_number(scores.row(*key).value) for key in _HEADLINE))
    console.print(shown)


def to_json(scores: Scores) -> str:
    """The rows and what could not be compared, for reading; `Scores.to_json` also keeps the counts of each trial."""
    told = {
        "trials": len(scores.trials),
        "missing": scores.missing,
        "other_text": scores.other_text,
        "extra": scores.extra,
        "interval": {"level": 0.95, "method": "percentile bootstrap by trial", "resamples": scores.resamples, "seed": scores.seed},
        "rows": [row_json(row) for row in scores.rows],
    }
    return json.dumps(told, ensure_ascii=False, indent=2)


def _families(scores: Scores) -> dict[str, list[Row]]:
    families: dict[str, list[Row]] = {}
    for row in scores.rows:
        families.setdefault(row.family, []).append(row)
    return families


def _columns(rows: Sequence[Row]) -> list[str]:
    """The columns that the rows of a family have; F1 and accuracy share one."""
    values = dict.fromkeys(_MEASURES[row.measure] for row in rows)
    columns = ["", *(["precision", "recall"] if "F1" in values else []), "/".join(values), "95 %", "items"]
    return columns + (["annotators"] if any(row.agreement is not None for row in rows) else [])


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    interval = f"{row.interval[0]:.3f}–{row.interval[1]:.3f}" if row.interval else ""
    cells = {"": row.name, "precision": _number(row.precision), "recall": _number(row.recall), "95 %": interval}
    cells |= {"items": f"{row.counts.support:,}", "annotators": _number(row.agreement)}
    return [cells.get(column, _number(row.value)) for column in columns]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _remarks(scores: Scores) -> list[str]:
    """What a reader must know of the trials before the numbers."""
    told = [
        (scores.missing, "without a prediction, all of it counted as missed"),
        (scores.other_text, "whose prediction is of another text, all of it counted as missed"),
        (scores.extra, "predicted without gold, not counted"),
    ]
    remarks = [
        f"{len(names)} {'trial' if len(names) == 1 else 'trials'} {what}: {', '.join(names)}" for names, what in told if names
    ]
    if len(scores.trials) == 1:
        remarks.append("one trial has no interval; score several")
    return remarks


# --- page -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """A gold criterion beside the predicted one that it is compared with, either of them None, and what differs."""

    gold: schema.Criterion | None
    predicted: schema.Criterion | None
    errors: tuple[Error, ...]


def html(
    scores: Scores, errors: Iterable[Error], gold: Iterable[schema.ParsedTrial], predicted: Iterable[schema.ParsedTrial]
) -> Iterator[str]:
    """The chunks of one page: the scores, and each criterion with a difference, gold and prediction side by side.

    The page needs nothing from the network and runs nothing out of a trial. Without the texts it shows offsets only.
    """
    by_trial: defaultdict[str, list[Error]] = defaultdict(list)
    for error in errors:
        by_trial[error.trial].append(error)
    predictions = {name_of(one): one for one in predicted}
    by_text = {one.trial.sha256: one for one in predictions.values()}
    found = [error for several in by_trial.values() for error in several]
    yield _head(scores, found)
    for one in gold:
        name = name_of(one)
        if name in by_trial:
            partner = predictions.get(name) or by_text.get(one.trial.sha256)
            if partner is None or partner.trial.sha256 != one.trial.sha256:
                partner = one.model_copy(update={"criteria": ()})
            yield _article(name, one, partner, by_trial[name])
    yield f"</main></div><script>{_SCRIPT}</script></body></html>\n"


def _head(scores: Scores, found: Sequence[Error]) -> str:
    # As in `rendering`: the hashes admit this style and this script alone.
    style = rendering._STYLE + _STYLE
    policy = (
        f"default-src 'none'; style-src {rendering._hash(style)}; script-src {rendering._hash(_SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )
    rows = [row for row in scores.rows if (row.family, row.name) in _HEADLINE]
    headline = " · ".join(f"{row.family} {_number(row.value)}" for row in rows)
    size = (
        f"{rendering._plural(len(found), 'difference', 'differences')}, {rendering._plural(len(scores.trials), 'trial', 'trials')}"
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gold and prediction · {size}</title>
<style>{style}</style></head>
<body>
<header class="bar"><strong>Gold and prediction</strong><span class="quiet">{size}</span></header>
<div class="page"><aside class="rail">{_filters(found)}</aside><main>
<details class="scores"><summary>Scores <small>{rendering._escape(headline)}</small></summary>{_scores(scores)}</details>
<p id="none" class="quiet" hidden>No difference fits the filter.</p>
{"" if found else '<p class="quiet">Gold and prediction do not differ.</p>'}
"""


def _scores(scores: Scores) -> str:
    remarks = "".join(f'<p class="warning">{rendering._escape(line)}</p>' for line in _remarks(scores))
    tables = []
    for family, rows in _families(scores).items():
        columns = _columns(rows)
        head = "".join(f'<th scope="col">{column}</th>' for column in columns[1:])
        body = "".join(
            f'<tr><th scope="row">{cells[0]}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>'
            for cells in (_cells(row, columns) for row in rows)
        )
        tables.append(f'<table><thead><tr><th scope="col">{family}</th>{head}</tr></thead><tbody>{body}</tbody></table>')
    return f'{remarks}<div class="tables">{"".join(tables)}</div>'


def _filters(found: Sequence[Error]) -> str:
    types, items = Counter(error.type for error in found), Counter(str(error.item) for error in found)
    labels = Counter((str(error.item), error.label) for error in found)
    type_chips = "".join(
        f'<button type="button" data-type="{name}" aria-pressed="false">{name}<span>{types[name]}</span></button>'
        for name in ERROR_TYPES
        if types[name]
    )
    groups = []
    for item, names in (("criterion", schema.Kind), ("entity", schema.Label), ("fact", schema.About)):
        options = "".join(
            f'<option value="{item} {name}">{name.lower().replace("_", " ")} ({labels[item, name]})</option>'
            for name in get_args(names)
            if labels[item, name]
        )
        if options:
            every = f'<option value="{item} ">every {item} ({items[item]})</option>'
            groups.append(f'<optgroup label="{item}">{every}{options}</optgroup>')
    return f"""<details class="filters" open><summary>Filter</summary><form>
<label>Words <input type="search" name="words" placeholder="e.g. creatinine" autocomplete="off"></label>
<label>Label <select name="label"><option value="">all</option>{"".join(groups)}</select></label>
<fieldset><legend>Difference</legend><div class="chips">{type_chips or '<span class="quiet">none</span>'}</div></fieldset>
<p><output aria-live="polite"></output> <button type="reset">Show all</button></p></form>
<p class="quiet keys">Keys: <kbd>j</kbd> <kbd>k</kbd> next and previous difference, <kbd>/</kbd> search,
<kbd>Esc</kbd> back to all. A difference lights up its words on both sides.</p></details>"""


def _article(name: str, gold: schema.ParsedTrial, predicted: schema.ParsedTrial, found: Sequence[Error]) -> str:
    eligibility = gold.trial.eligibility or predicted.trial.eligibility
    cases = "".join(_case(case, eligibility) for case in _cases(gold, predicted, found))
    title = rendering._escape(gold.trial.title or name)
    number = f'<p class="nct">{rendering._escape(name)}</p>' if gold.trial.title else ""
    note = "" if eligibility else '<p class="quiet">Neither record holds the text: offsets only.</p>'
    return f'<article><header>{number}<h2>{title}</h2>{note}</header><div class="cases">{cases}</div></article>\n'


def _cases(gold: schema.ParsedTrial, predicted: schema.ParsedTrial, found: Sequence[Error]) -> list[_Case]:
    """The criteria that differ, in text order; what lies between two criteria goes with the gold one."""
    partners = {one.id: other.id for one, other in aligned(gold, predicted)}
    back = {other: one for one, other in partners.items()}
    by_case: defaultdict[tuple[str | None, str | None], list[Error]] = defaultdict(list)
    for error in found:
        here = error.gold or back.get(error.predicted or "")
        by_case[here, partners.get(here) if here else error.predicted].append(error)
    golds, predictions = ({one.id: one for one in parsed.criteria} for parsed in (gold, predicted))
    cases = [_Case(golds.get(here or ""), predictions.get(there or ""), tuple(errors)) for (here, there), errors in by_case.items()]
    return sorted(
        cases, key=lambda case: min(one.start for one in (case.gold, case.predicted) if one) if case.gold or case.predicted else 0
    )


def _case(case: _Case, eligibility: str) -> str:
    sides = (("Gold", case.gold, 0), ("Prediction", case.predicted, 1))
    panes = "".join(_pane(title, one, case.errors, side, eligibility) for title, one, side in sides)
    rows = "".join(_difference(number, error, eligibility) for number, error in enumerate(case.errors))
    return f'<section class="case"><div class="sides">{panes}</div><ul class="differences">{rows}</ul></section>'


def _pane(title: str, one: schema.Criterion | None, errors: Sequence[Error], side: int, eligibility: str) -> str:
    if one is None:
        return f'<div class="side"><h3>{title}</h3><p class="quiet">no criterion here</p></div>'
    cleaned = clean(eligibility, one.fragments) if eligibility else clean("")
    marks = [
        rendering._Mark(start, len(cleaned.text), '<span class="join">', '<span class="rest">', "</span>")
        for start in (rendering._joins(one, cleaned) if eligibility else ())
    ]
    mentions = list(rendering._mentions(one, cleaned)) if eligibility else []
    for start, end, entity in mentions:
        height = sum(start <= low and high <= end and high - low < end - start for low, high, _ in mentions)
        negated = " data-neg" if entity.attributes and entity.attributes.negated else ""
        open = f'<mark data-l="{entity.label}" data-n="{min(height, 3)}"{negated} title="{_told(entity)}">'
        marks.append(rendering._Mark(start, end, open, open.replace("<mark ", "<mark data-cont ", 1), "</mark>"))
    for number, error in enumerate(errors):
        spans = (error.gold_spans, error.predicted_spans)[side]
        for start, end in spans if eligibility and error.item != "criterion" else ():
            low, high = cleaned.clean_span(start, end) if start < end else (0, 0)
            if low < high:
                open = f'<i class="at" data-d="{number}">'
                marks.append(rendering._Mark(low, high, open, open, "</i>"))
    tags = "".join(f'<span class="tag">{rendering._escape(tag)}</span>' for tag in _tags(one))
    words = rendering._enclose(cleaned.text, marks) or f'<span class="quiet">{_offsets(one.fragments)}</span>'
    return (
        f'<div class="side {one.kind}"><h3>{title} <span class="id">{rendering._escape(one.id)}</span></h3>'
        f'<p class="text">{words}</p><p class="tags">{tags}</p><p class="says">{rendering._escape(_rule(one.rule))}</p></div>'
    )


def _told(entity: schema.Entity) -> str:
    """What stands in the tooltip of a mention: the label, and the attributes that are not the usual ones."""
    said = entity.attributes or schema.Attributes()
    usual = schema.Attributes()
    words = [str(value) for value, other in zip(_said(said), _said(usual), strict=True) if value != other]
    return " · ".join([entity.label.lower(), *words])


def _said(attributes: schema.Attributes) -> tuple[str, ...]:
    negated = "negated" if attributes.negated else ""
    return negated, attributes.status, attributes.experiencer, attributes.certainty


def _tags(one: schema.Criterion) -> list[str]:
    tags = [one.kind, one.category.replace("_", " "), one.computable]
    return [*tags, f"under {one.parent_id}"] if one.parent_id else tags


def _rule(rule: schema.Rule) -> str:
    if isinstance(rule, schema.Unsupported):
        return f"unsupported: {rule.reason.replace('_', ' ')}"
    return describe(rule)


def _difference(number: int, error: Error, eligibility: str) -> str:
    """One difference as a button, so that it is reached by the keyboard; its words stand on it where they are few."""
    sides = [_words(spans, eligibility) for spans in (error.gold_spans, error.predicted_spans)]
    if error.item == "criterion":
        quoted = ""
    elif error.type in ("missed", "spurious"):
        quoted = next(filter(None, sides), "")
    else:
        quoted = " → ".join(dict.fromkeys(filter(None, sides)))
    label = f'<mark data-l="{error.label}">{error.label.lower()}</mark>' if error.item == "entity" else error.label
    said = "".join(f" <span>{rendering._escape(text)}</span>" for text in (quoted, error.detail) if text)
    return (
        f'<li data-t="{error.type}" data-l="{error.item} {error.label}"><button type="button" data-d="{number}">'
        f'<b class="{error.type}">{error.type}</b> <small>{error.item}</small> {label}{said}</button></li>'
    )


def _words(spans: Sequence[schema.Span], eligibility: str) -> str:
    if not spans:
        return ""
    return f"“{clean(eligibility, spans).text}”" if eligibility else _offsets(spans)


def _offsets(spans: Sequence[schema.Span]) -> str:
    return " ".join(f"[{start}, {end})" for start, end in spans)


_STYLE = """
.scores { margin-bottom: 1.25rem; background: var(--paper); border: 1px solid var(--line); border-radius: 12px;
  padding: .7rem 1.25rem; }
.scores summary { cursor: pointer; font-weight: 600; } .scores small { margin-left: .6rem; font-variant-numeric: tabular-nums; }
.tables { columns: 28rem; margin-top: 1rem; overflow-x: auto; }
table { border-collapse: collapse; break-inside: avoid; margin-bottom: 1.25rem;
  font-size: .8125rem; font-variant-numeric: tabular-nums; }
th, td { padding: .12rem .7rem .12rem 0; text-align: right; font-weight: 400; white-space: nowrap; }
th[scope=row], th:first-child { text-align: left; } thead th { color: var(--quiet); border-bottom: 1px solid var(--line); }
thead th:first-child { color: inherit; font-weight: 600; } tbody tr:hover { background: var(--ground); }
.case { padding: 1rem 0; border-top: 1px solid var(--line); } .cases { margin-top: 1rem; }
.sides { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem; }
.side h3 { font-size: .875rem; border-bottom-width: 1px; }
.side .id { min-width: 0; line-height: inherit; } .side .text { display: block; margin-top: .4rem; }
.side .tags { display: block; } .side .tag { margin: .2rem .3rem 0 0; } .side .says { margin-top: .3rem; overflow-wrap: anywhere; }
i.at { font-style: inherit; text-decoration: underline wavy var(--alert) 1.5px; text-underline-offset: 5px; }
i.at.hot { background: var(--glow-edge); color: #000; border-radius: 2px; } i.at.hot mark { color: #000; }
.differences { display: flex; flex-wrap: wrap; gap: .35rem; margin-top: .7rem; }
.differences button { text-align: left; font-size: .8125rem; overflow-wrap: anywhere; }
.differences button[aria-current] { background: var(--glow); border-color: var(--glow-edge); }
.differences b { font-weight: 600; } .differences small { margin: 0 .15rem; } .differences span { color: var(--quiet); }
.missed { color: var(--exclusion); } .spurious { color: var(--accent); } .boundary, .label, .attribute { color: var(--alert); }
.value, .rule { color: var(--inclusion); }
@media (max-width: 48rem) { .sides { grid-template-columns: minmax(0, 1fr); } }
@media print { .scores { border: 0; padding: 0; } .case { break-inside: avoid; } }
"""

_SCRIPT = """
"use strict";
{
  const form = document.querySelector("form"), all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const chips = all("[data-type]"), cases = all(".case"), rows = all(".differences li");
  const texts = new Map(cases.map(one => [one, one.querySelector(".sides").textContent.toLowerCase()]));
  const said = new Map(rows.map(row => [row, row.textContent.toLowerCase()]));

  const filter = () => {
    const types = chips.filter(chip => chip.getAttribute("aria-pressed") === "true").map(chip => chip.dataset.type);
    const words = form.elements.words.value.trim().toLowerCase(), label = form.elements.label.value;
    let shown = 0;
    for (const one of cases) {
      const within = texts.get(one).includes(words);
      let some = false;
      for (const row of all("li", one)) {
        const fits = label.endsWith(" ") ? row.dataset.l.startsWith(label) : ["", row.dataset.l].includes(label);
        row.hidden = !(fits && (!types.length || types.includes(row.dataset.t)) && (within || said.get(row).includes(words)));
        some ||= !row.hidden;
        shown += !row.hidden;
      }
      one.hidden = !some;
    }
    all("article").forEach(article => { article.hidden = !article.querySelector(".case:not([hidden])"); });
    document.getElementById("none").hidden = shown > 0 || !rows.length;
    const output = form.querySelector("output");
    output.textContent = (shown < rows.length ? `${shown} of ` : "") + `${rows.length} differences`;
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

  // A difference and its words light up together.
  const light = button => {
    all(".hot").forEach(node => node.classList.remove("hot"));
    all("[aria-current]").forEach(node => node.removeAttribute("aria-current"));
    if (!button) return;
    button.setAttribute("aria-current", "true");
    all(`.at[data-d="${button.dataset.d}"]`, button.closest(".case")).forEach(node => node.classList.add("hot"));
  };
  const buttonOf = event => event.target.closest?.(".differences button");
  for (const kind of ["focusin", "pointerover", "click"])
    document.addEventListener(kind, event => { const button = buttonOf(event); if (button) light(button); });

  document.addEventListener("keydown", event => {
    if (event.key === "Escape") { form.reset(); light(null); document.activeElement.blur(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    if (event.key === "/") { form.elements.words.focus(); event.preventDefault(); }
    else if (event.key === "j" || event.key === "k") {
      const visible = rows.filter(row => !row.hidden).map(row => row.firstElementChild);
      const at = visible.indexOf(document.querySelector("[aria-current]"));
      const next = visible[Math.max(0, Math.min(at + (event.key === "j" ? 1 : -1), visible.length - 1))];
      if (!next) return;
      next.focus({ preventScroll: true });
      next.closest(".case").scrollIntoView({ block: "center" });
    }
  });
}
"""

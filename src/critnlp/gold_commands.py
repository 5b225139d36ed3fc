"""`critnlp gold …`: the annotators' commands. Each reads gold files, does one thing, and names every fault on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from critnlp.errors import AnnotationError, SourceError
from critnlp.streams import Faults, opened

if TYPE_CHECKING:
    from critnlp import evaluation, schema

app = typer.Typer(
    name="gold",
    help="Compile, complete, check, compare and convert hand-annotated trials.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Golds = Annotated[
    list[Path],
    typer.Argument(metavar="GOLD…", help="Gold: JSON Lines, or compact .txt that holds its texts.", show_default=False),
]
Gold = Annotated[
    Path, typer.Argument(metavar="GOLD", help="Gold: JSON Lines, or compact .txt that holds its texts.", show_default=False)
]
Texts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SOURCE", help="Trials that hold the texts: a file, folder or glob as for extract; may be given again.",
        show_default=False,
    ),
]  # fmt: skip
Output = Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Where to write; - is stdout.")]


class Target(StrEnum):
    """What `convert` writes."""

    brat = "brat"
    corpus = "corpus"
    docbin = "docbin"
    dataset = "dataset"


def read(paths: Iterable[Path], faults: Faults) -> list[schema.ParsedTrial]:
    """The records of gold files, in order; what cannot be read is named."""
    from critnlp import gold

    return [record for path in paths for record in faults.sound(gold.read(path))]


def texts_of(names: Iterable[str], faults: Faults, wanted: set[str] | None = None) -> dict[str, schema.Trial]:
    """The trials of sources by NCT id, only the wanted ones where these are given."""
    from critnlp import sources

    found: dict[str, schema.Trial] = {}
    for trial in sources.read(names):
        if isinstance(trial, SourceError):
            faults.say(str(trial))
        elif trial.nct_id and (wanted is None or trial.nct_id in wanted):
            found[trial.nct_id] = trial
    return found


def hydrated(
    records: list[schema.ParsedTrial],
    faults: Faults,
    texts: Iterable[str] = (),
    *,
    base: str | None = None,
    cache: Path | None = None,
    refresh: bool = False,
) -> list[schema.ParsedTrial]:
    """The records with their texts, from files or else from the registry. One without a text is named and left out."""
    from critnlp import hydration, registry, wording

    bare = [record for record in records if not record.trial.eligibility]
    wanted = {record.trial.nct_id for record in bare if record.trial.nct_id}
    names = list(texts)
    known = texts_of(names, faults, wanted) if names else {}
    if not names and wanted:
        typer.echo(
            f"critnlp: asking the registry for {len(wanted)} texts, one a second (--texts FILE takes them from a file)", err=True
        )
        failed = 0
        for answer in registry.fetch(sorted(wanted), base=base or registry.API, cache=cache, refresh=refresh):
            if isinstance(answer, SourceError):
                faults.say(str(answer))
                failed += 1
                if failed == 3 and not known:
                    faults.say("the first three texts cannot be had; the others are not asked for. Give their file with --texts")
                    break
            elif answer.nct_id:
                known[answer.nct_id] = answer
    whole: list[schema.ParsedTrial] = []
    for record in records:
        if record.trial.eligibility:
            whole.append(record)
            continue
        trial = known.get(record.trial.nct_id or "")
        if trial is None:
            if names:
                faults.say(
                    f"{record.trial.nct_id}: none of the sources holds its text; give another --texts, or none for the registry"
                )
            continue
        result = hydration.hydrate(record, trial.eligibility, describe=wording.describe)
        for one in result.unplaced:
            place = " ".join(filter(None, (record.trial.nct_id, one.criterion, one.entity)))
            typer.echo(f"critnlp: {place}: the text has moved and this is not placed: {one.reason}", err=True)
        told = {"title": trial.title, "conditions": trial.conditions, "source": trial.source}
        whole.append(result.parsed.model_copy(update={"trial": result.parsed.trial.model_copy(update=told)}))
    return whole


def bare(record: schema.ParsedTrial) -> schema.ParsedTrial:
    """The record without the registry's words: its text, the trial's title and conditions, and where they came from."""
    from critnlp import hydration

    stripped = hydration.strip(record)
    gone = {"title": None, "conditions": (), "source": None}
    return stripped.model_copy(update={"trial": stripped.trial.model_copy(update=gone)})


def write(lines: Iterable[str], output: str, faults: Faults) -> None:
    """Writes lines to a file or stdout; a file is left as it is where faults left nothing to write."""
    lines = list(lines)
    if not lines and faults.count:
        typer.echo(
            f"critnlp: nothing could be read, and {'nothing was' if output == '-' else output + ' was not'} written", err=True
        )
        return
    with opened(output) as out:
        out.writelines(lines)


@app.command()
def compile(
    annotation: Annotated[list[Path], typer.Argument(metavar="ANNOTATION…", help="Compact annotation.", show_default=False)],
    texts: Texts = None,
    annotator: Annotated[
        list[str] | None,
        typer.Option(metavar="ID:TYPE", help="Who annotated: an id and person or model; may be given again.", show_default=False),
    ] = None,
    guideline: Annotated[str, typer.Option(metavar="VERSION", help="The version of the guidelines.")] = "1.1",
    stand_off: Annotated[bool, typer.Option("--stand-off", help="Leave the registry's text out.")] = False,
    output: Output = "-",
) -> None:
    """Turn compact annotation into gold, and name each line that cannot be read."""
    from critnlp import gold, schema, shorthand

    faults = Faults()
    people = []
    for one in annotator or []:
        identity, _, kind = one.rpartition(":")
        if kind not in ("person", "model") or not identity:
            raise typer.BadParameter(f"{one!r} is not ID:person or ID:model", param_hint="--annotator")
        people.append(schema.Annotator.model_validate({"id": identity, "type": kind}))
    made_by = schema.Annotation(annotators=tuple(people), guideline_version=guideline)
    known = texts_of(texts or [], faults)
    lines: list[str] = []
    for path in annotation:
        try:
            written = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            faults.say(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8'}); give compact annotation")
            continue
        if written[0].startswith("{"):
            faults.say(f"{path}: this is JSON, and no compact annotation; write that with critnlp gold write")
            continue
        for record in faults.sound(shorthand.compile(written, known, name=str(path), annotation=made_by)):
            lines.append(gold.to_line(bare(record) if stand_off else record))
    write(lines, output, faults)
    typer.echo(f"{len(lines)} trials compiled, {faults.count} faults", err=True)
    faults.finish()


@app.command("write")
def write_compact(golds: Golds, texts: Texts = None, output: Output = "-") -> None:
    """Write gold in the compact form, to be edited and compiled again."""
    from critnlp import shorthand

    faults = Faults()
    records = hydrated(read(golds, faults), faults, texts or [])
    write(shorthand.write(records), output, faults)
    faults.finish()


@app.command()
def hydrate(
    golds: Golds,
    texts: Texts = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where answers of the registry are kept.", show_default=False)
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the registry again for what is kept.")] = False,
    base: Annotated[
        str | None, typer.Option(metavar="URL", help="Another registry that speaks the API.", show_default=False)
    ] = None,
    output: Output = "-",
) -> None:
    """Put the text back into stand-off gold: from files, or from ClinicalTrials.gov, one request a second."""
    from critnlp import gold

    faults = Faults()
    records = hydrated(read(golds, faults), faults, texts or [], base=base, cache=cache, refresh=refresh)
    write((gold.to_line(record) for record in records), output, faults)
    faults.finish()


@app.command()
def strip(golds: Golds, output: Output = "-") -> None:
    """Take the text out of gold: offsets, labels, rules and fingerprints stay."""
    from critnlp import gold

    faults = Faults()
    write([gold.to_line(bare(record)) for record in read(golds, faults)], output, faults)
    faults.finish()


@app.command()
def check(
    golds: Golds,
    texts: Texts = None,
    splits: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV with nct_id,split.", show_default=False)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail too.")] = False,
) -> None:
    """Find slips: offsets, quotes, hashes, labels, overlaps, drifting boundaries, rules, leaks between splits."""
    from critnlp import gold

    faults = Faults()
    records = read(golds, faults)
    if texts:
        records = hydrated(records, faults, texts)
    problems = gold.check(records, gold.read_splits(splits) if splits else None)
    for problem in problems:
        typer.echo(str(problem))
    errors = sum(problem.severity == "error" for problem in problems)
    bare = sum(not record.trial.eligibility for record in records)
    looked = f"; {bare} without text, so their words were not looked at (give --texts)" if bare else ""
    typer.echo(f"{len(records)} trials: {errors} errors, {len(problems) - errors} warnings{looked}", err=True)
    if errors or (strict and problems):
        raise typer.Exit(1)
    faults.finish()


def score(
    golds: Annotated[
        list[Path],
        typer.Option("--gold", metavar="GOLD", help="Gold as for the gold commands; may be given again.", show_default=False),
    ],
    pred: Annotated[
        Path | None,
        typer.Option(metavar="PRED", help="Predictions as extract writes them; else the pipeline runs.", show_default=False),
    ] = None,
    texts: Texts = None,
    splits: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV with nct_id,split.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(metavar="SPLIT", help="Only trials of this split.", show_default=False)] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the scores as JSON, for --compare too.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page that shows every error.", show_default=False)
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="OLD.json", help="What --json printed before: show what changed.", show_default=False)
    ] = None,
    annotators: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What gold agree --json printed: put it beside.", show_default=False)
    ] = None,
    phenomena: Annotated[bool, typer.Option("--phenomena", help="One line for each phenomenon tag as well.")] = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap.")] = 1000,
    model: Annotated[
        Path | None, typer.Option(help="A spaCy pipeline folder instead of the shipped one.", metavar="FOLDER", show_default=False)
    ] = None,
) -> None:
    """Score predictions, or the pipeline itself, against gold: criteria, entities, relations, facts, rules."""
    from rich.console import Console

    from critnlp import evaluation, gold, pipeline, scoreboard

    faults = Faults()
    records = read(golds, faults)
    if split:
        if splits is None:
            raise typer.BadParameter("it needs the file of splits: --splits FILE", param_hint="--split")
        chosen = gold.read_splits(splits)
        records = [record for record in records if chosen.get(gold.name_of(record)) == split]
        if not records:
            raise AnnotationError(f"{splits}: no trial of the gold is in {split!r}; there are train, dev and test")
    old, beside = _saved(compare) if compare else None, _saved(annotators) if annotators else None
    if beside and not beside.confusions:
        raise AnnotationError(f"{annotators}: these are no scores of two annotators; give what critnlp gold agree --json printed")
    if pred is None or html or texts:
        records = hydrated(records, faults, texts or [])
    for problem in gold.check(records):
        if problem.code in ("hash", "offset", "quote"):
            faults.say(f"the gold is damaged, and so is its score: {problem}")
    if pred is not None:
        if pred.suffix == ".csv":
            raise AnnotationError(f"{pred}: predictions are scored as JSON Lines; write them with critnlp extract --format jsonl")
        everything = read([pred], faults)
        names = {gold.name_of(record) for record in records}
        predicted = [one for one in everything if split is None or gold.name_of(one) in names]
        if not any(gold.name_of(one) in names for one in predicted) and records:
            raise AnnotationError(f"{pred}: none of its {len(everything)} trials is in the gold; predict the gold's own trials")
    else:
        nlp = pipeline.load(model)
        predicted = [pipeline.parse(record.trial, nlp) for record in records]
    scores = evaluation.score(records, predicted, seed=seed, resamples=resamples)
    if beside:
        scores = scores.with_agreement(beside)
    console = Console(highlight=False)
    if json_output:
        typer.echo(scores.to_json())
    else:
        scoreboard.table(scores, console)
        if phenomena:
            console.print()
            scoreboard.phenomena(scores.by_phenomenon(), console)
    if old:
        found = evaluation.compare(old, scores)
        scoreboard.changes(found, Console(highlight=False, stderr=json_output))
    if html:
        with opened(str(html), "--html") as file:
            file.writelines(scoreboard.html(scores, evaluation.errors(records, predicted), records, predicted))
        typer.echo(f"{html}: written", err=True)
    faults.finish()


def _saved(path: Path) -> evaluation.Scores:
    from critnlp import evaluation

    try:
        return evaluation.Scores.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise AnnotationError(f"{path}: cannot be read ({reason}); give what --json printed") from None
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from None


@app.command()
def agree(
    first: Gold,
    second: Gold,
    texts: Texts = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    disagreements: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every disagreement as CSV.", show_default=False)
    ] = None,
) -> None:
    """Measure how far two annotators agree: F1 for each label, attribute, fact and rule, and Cohen's kappa."""
    import csv

    from rich.console import Console

    from critnlp import evaluation, scoreboard

    faults = Faults()
    one, other = read([first], faults), read([second], faults)
    if texts:  # without the text a final comma is a difference of extents
        one, other = hydrated(one, faults, texts), hydrated(other, faults, texts)
    scores = evaluation.agreement(one, other, seed=seed)
    if json_output:
        typer.echo(scores.to_json())
    else:
        scoreboard.table(scores, Console(highlight=False))
    if disagreements:
        with opened(str(disagreements), "--disagreements") as file:
            rows = csv.writer(file)
            rows.writerow(["trial", "item", "type", "label", "first", "second", "detail"])
            for error in evaluation.errors(one, other):
                rows.writerow([error.trial, error.item, error.type, error.label, error.gold, error.predicted, error.detail])
    faults.finish()


@app.command()
def stats(golds: Golds, json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Count trials, criteria, labels, attributes, relations, facts and rule nodes."""
    from rich.console import Console
    from rich.table import Table

    from critnlp import gold

    faults = Faults()
    counts = gold.statistics(read(golds, faults))
    if json_output:
        typer.echo(json.dumps({key: dict(value.most_common()) for key, value in counts.items()}, indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        for key, value in counts.items():
            table = Table(key, "count", box=None, pad_edge=False, header_style="bold")
            table.columns[1].justify = "right"
            for name, count in value.items() if key == "set" else value.most_common():
                table.add_row(name, str(count))
            console.print(table)
            console.print()
    faults.finish()


@app.command()
def convert(
    golds: Golds,
    to: Annotated[Target, typer.Option(help="brat: a folder; corpus: JSON Lines; docbin: a .spacy file; dataset: a folder.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="PATH", help="The file or folder to write.", show_default=False)
    ],
    texts: Texts = None,
    splits: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For dataset: CSV with nct_id,split.", show_default=False)
    ] = None,
) -> None:
    """Write gold in another format, and list what that format cannot carry."""
    from critnlp import gold, interchange

    faults = Faults()
    records = hydrated(read(golds, faults), faults, texts or [])
    kind: interchange.Format = to.value
    for record in records:
        name = gold.name_of(record)
        for loss in interchange.losses(record, kind):
            typer.echo(f"critnlp: {name}: {to.value} does not carry {loss}", err=True)
        if unseen := interchange.unseen(record, kind):
            typer.echo(f"critnlp: {name}: only critnlp reads this back from {to.value}: {', '.join(unseen)}", err=True)
    try:
        if to is Target.brat:
            for record in records:
                interchange.write_brat(interchange.document_of(record), output)
        elif to is Target.corpus:
            interchange.write_corpus((interchange.document_of(record) for record in records), output)
        elif to is Target.docbin:
            interchange.to_docbin(records).to_disk(output)
        else:
            chosen = gold.read_splits(splits) if splits else {}
            parts: dict[str, list[schema.ParsedTrial]] = {}
            for record in records:
                parts.setdefault(chosen.get(gold.name_of(record), "train"), []).append(record)
            interchange.to_dataset(parts).save_to_disk(str(output))
    except OSError as error:
        raise typer.BadParameter(f"{output}: cannot be written ({error.strerror})", param_hint="-o") from None
    typer.echo(f"{output}: {len(records)} trials written", err=True)
    faults.finish()


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A brat folder, a corpus file, a .spacy file, a dataset folder.")],
    source: Annotated[Target, typer.Option("--from", help="The format of PATH.")],
    labels: Annotated[
        str | None, typer.Option(metavar="CORPUS", help="Map the labels of chia, frd or lct to critnlp's.", show_default=False)
    ] = None,
    output: Output = "-",
) -> None:
    """Read another format into gold; what has no counterpart is counted on stderr."""
    from collections import Counter

    from critnlp import gold, interchange

    faults = Faults()
    lost: Counter[str] = Counter()
    lines: list[str] = []

    def documents() -> Iterator[interchange.Document | AnnotationError]:
        if source is Target.brat:
            yield from interchange.read_brat_folder(path)
        else:
            yield from interchange.read_corpus(path)

    def records() -> Iterator[schema.ParsedTrial | AnnotationError]:
        if source is Target.docbin:
            from spacy.tokens import DocBin

            try:
                box = DocBin().from_disk(path)
            except ValueError:
                yield AnnotationError(f"{path}: this is no DocBin; name its format with --from")
                return
            yield from interchange.from_docbin(box)
        elif source is Target.dataset:
            import datasets

            for part in interchange.from_dataset(datasets.load_from_disk(str(path))).values():
                yield from part
        else:
            for document in documents():
                if isinstance(document, AnnotationError):
                    yield document
                    continue
                if labels:
                    mapped = interchange.map_labels(document, labels)
                    document = mapped.document
                    lost.update(f"entity {mention.label}" for mention in mapped.entities)
                    lost.update(f"relation {link.type}" for link in mapped.relations)
                try:
                    yield interchange.parsed_of(document)
                except AnnotationError as error:
                    yield error

    try:
        for record in faults.sound(records()):
            lines.append(gold.to_line(record))
    except OSError as error:
        faults.say(f"{path}: cannot be read ({error.strerror or error}); is it {source.value}?")
    write(lines, output, faults)
    for name, count in lost.most_common():
        typer.echo(f"critnlp: {count} of {name} have no counterpart and were left out", err=True)
    faults.finish()

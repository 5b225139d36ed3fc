"""The command line: options, one call, one output. Data goes to stdout or `-o`, everything else to stderr.

Exit codes: 0 done; 1 some inputs failed (each named on stderr, the rest written); 2 bad usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from critnlp import __version__, gold_commands
from critnlp.errors import OutputError
from critnlp.streams import Faults, opened

app = typer.Typer(
    name="critnlp",
    help="Turns the eligibility section of clinical trials into structured, computable JSON.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(gold_commands.app)

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE…",
        help="Text, ClinicalTrials.gov JSON (study, search page, JSON Lines) or XML, JSONL, CSV; .gz and .xz of them; "
        "a folder or a glob; - for stdin.",
        show_default=False,
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(help="A spaCy pipeline folder instead of the shipped one.", metavar="FOLDER", show_default=False),
]


class Format(StrEnum):
    """What `extract` writes."""

    jsonl = "jsonl"
    json = "json"
    csv = "csv"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"critnlp {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@app.command()
def extract(
    sources: Sources,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="Where to write (.gz and .xz are compressed); - is stdout."),
    ] = "-",
    format: Annotated[
        Format, typer.Option(help="jsonl: a trial a line; json: for reading; csv: a criterion a row.")
    ] = Format.jsonl,
    workers: Annotated[int, typer.Option(min=1, help="Processes to run in.")] = 1,
    model: Model = None,
) -> None:
    """Write each trial's criteria, entities, segments and warnings."""
    from critnlp import exports, pipeline
    from critnlp import sources as inputs

    finish = {"jsonl": exports.to_jsonl, "json": exports.to_json, "csv": exports.to_csv}[format.value]
    failures = Faults()
    with opened(output) as out, _progress() as advance:
        results = pipeline.map_trials(finish, inputs.read(sources), workers=workers, model=model)
        for chunk in exports.frame(format.value, failures.sound(results, advance)):
            out.write(chunk)
    failures.finish()


@app.command()
def show(
    sources: Sources,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page for the browser instead.", show_default=False)
    ] = None,
    model: Model = None,
) -> None:
    """Show each trial's criteria as a tree with its entities coloured."""
    from rich.console import Console

    from critnlp import pipeline, rendering

    failures = Faults()
    results = failures.sound(pipeline.extract(sources, model=model))
    if html:
        with opened(str(html), "--html") as out:
            for chunk in rendering.html(results):
                out.write(chunk)
        typer.echo(f"{html}: written", err=True)
    else:
        if sys.stdout is None:
            raise OutputError("stdout is closed; write a page with --html")
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ≥ still shows the rest
        console = Console(highlight=False)
        for number, parsed in enumerate(results):
            if number:
                console.print()
            rendering.terminal(parsed, console)
    failures.finish()


@app.command(context_settings={"ignore_unknown_options": True})  # a pasted line may begin with its bullet
def explain(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="One criterion; - for a line of stdin.", show_default=False)],
    exclusion: Annotated[bool, typer.Option("--exclusion", help="Read it as an exclusion criterion.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the criteria as extract writes them.")] = False,
    model: Model = None,
) -> None:
    """Show how one line of text is read: names, numbers, units, the rule, what was mended."""
    from rich.console import Console

    from critnlp import explanations, exports, pipeline

    if text == "-":
        text = sys.stdin.read()
    if not text.strip():
        raise typer.BadParameter("it is empty; give one criterion, for example 'Platelets >= 100 x 10^9/L'", param_hint="TEXT")
    parsed = pipeline.parse_text(explanations.text_of(text, "exclusion" if exclusion else "inclusion"), pipeline.load(model))
    if sys.stdout is None:
        raise OutputError("stdout is closed")
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ≥ still shows the rest
    if json:
        typer.echo(exports.to_json(parsed))
    else:
        explanations.explain(parsed, Console(highlight=False))


app.command("score")(gold_commands.score)


@app.command()
def schema() -> None:
    """Print the JSON Schema of what extract writes."""
    import json

    from critnlp.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@contextmanager
def _progress() -> Iterator[Callable[[], None]]:
    """A counter on stderr while a long input runs; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed} trials"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("extract", total=None, rate="")

        def advance() -> None:
            speed = progress.tasks[task].speed
            progress.update(task, advance=1, rate=f"{speed:.0f} a second" if speed else "")

        yield advance


def main() -> None:
    """The entry point: user errors are one line, a closed pipe is no error."""
    from critnlp.errors import CritnlpError

    try:
        app()
    except CritnlpError as error:
        typer.echo(f"critnlp: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more is flushed into the closed pipe
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # the disk is full while a page or the schema is printed
        typer.echo(f"critnlp: the output cannot be written ({error.strerror})", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

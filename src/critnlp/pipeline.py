"""The order of the stages: trial → criteria → entities → contract JSON, for one trial or for very many.

load()                the shipped spaCy pipeline
parse(trial, nlp)     one trial
extract(sources)      any number of trials, in processes if asked, in input order
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from importlib.resources import files
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from critnlp import __version__, schema, sources
from critnlp.criteria import split
from critnlp.errors import ModelError, SourceError

if TYPE_CHECKING:
    from spacy.language import Language

T = TypeVar("T")
# A worker gets this many trials at a time, and so many lots wait for it: enough to keep it busy, little to hold.
_LOT = 32
_WAITING = 3


def model_path(name: str = "en_critnlp") -> Path:
    """The folder of a shipped pipeline, which `spacy.load` opens."""
    installed = Path(str(files("critnlp"))) / "models" / name
    checkout = Path(__file__).parents[2] / "models" / name
    for path in (installed, checkout):
        if (path / "meta.json").is_file():
            return path
    raise ModelError(f"{name}: no such pipeline at {installed} or {checkout}; install critnlp again")


def load(path: str | Path | None = None) -> Language:
    """The spaCy pipeline at `path`, by default the shipped one."""
    import spacy

    path = Path(path) if path else model_path()
    try:
        return spacy.load(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: spaCy cannot open this pipeline ({reason}); does the folder hold a config.cfg?") from None


def parse(trial: schema.Trial, nlp: Language) -> schema.ParsedTrial:
    """The trial as contract JSON holds it: every character in a segment, criteria with entities, warnings."""
    from critnlp import abbreviations, doubts, rules, tagging

    criteria, segments, warnings = split(trial.eligibility)
    read, more = rules.read_trial(tagging.tagged(trial.eligibility, criteria, nlp))
    layers = ("rules", "lexicon", *(["abbreviation"] if abbreviations.available() else []))
    return schema.ParsedTrial(
        critnlp_version=__version__,
        pipeline=schema.Pipeline(name=f"{nlp.meta['lang']}_{nlp.meta['name']}", version=str(nlp.meta["version"]), layers=layers),
        trial=trial,
        criteria=read,
        segments=segments,
        warnings=(*warnings, *more, *doubts.contradictions(read), *doubts.registry_conflicts(trial, read)),
    )


def parse_text(eligibility: str, nlp: Language | None = None) -> schema.ParsedTrial:
    """`parse` for a bare eligibility text."""
    return parse(sources.trial_of(eligibility), nlp or load())


def extract(
    names: Iterable[str], *, workers: int = 1, model: str | Path | None = None
) -> Iterator[schema.ParsedTrial | SourceError]:
    """The parsed trials of all sources in input order; an input that cannot be read is yielded as its error."""
    yield from map_trials(_same, sources.read(names), workers=workers, model=model)


def _same(parsed: schema.ParsedTrial) -> schema.ParsedTrial:
    return parsed


def map_trials(
    finish: Callable[[schema.ParsedTrial], T],
    trials: Iterable[schema.Trial | SourceError],
    *,
    workers: int = 1,
    model: str | Path | None = None,
) -> Iterator[T | SourceError]:
    """`finish(parse(trial))` of each trial, in order whatever the number of workers, with a bounded number in memory.

    `finish` runs in the worker (so that text, not objects, crosses between processes) and must be importable.
    """
    if workers <= 1:
        nlp = load(model)
        for trial in trials:
            yield trial if isinstance(trial, SourceError) else finish(parse(trial, nlp))
        return
    source = iter(trials)
    context = get_context("spawn")  # the same on every system, and no copied locks
    with ProcessPoolExecutor(workers, context, _start_worker, (model,)) as pool:
        waiting: deque[Future[list[T | SourceError]]] = deque()
        try:
            while lot := list(islice(source, _LOT)):
                waiting.append(pool.submit(_work, finish, lot))
                if len(waiting) >= workers * _WAITING:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


_worker_nlp: Language | None = None  # set once in a worker process, which lives for one model


def _start_worker(model: str | Path | None) -> None:
    global _worker_nlp
    _worker_nlp = load(model)


def _work(finish: Callable[[schema.ParsedTrial], T], lot: Sequence[schema.Trial | SourceError]) -> list[T | SourceError]:
    assert _worker_nlp is not None, "workers are started by map_trials"
    return [item if isinstance(item, SourceError) else finish(parse(item, _worker_nlp)) for item in lot]

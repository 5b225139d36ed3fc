"""What every command does with its output and its faults: data to stdout or a file, one line on stderr for each fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import typer

from critnlp.errors import AnnotationError, OutputError, SourceError

T = TypeVar("T")


class Faults:
    """Names faults on stderr as they come, and turns them into the exit code."""

    def __init__(self) -> None:
        self.count = 0

    def sound(
        self, results: Iterable[T | AnnotationError | SourceError], advance: Callable[[], None] = lambda: None
    ) -> Iterator[T]:
        """The results that are no errors; `advance` is called behind each result."""
        for result in results:
            if isinstance(result, AnnotationError | SourceError):
                self.say(str(result))
            else:
                yield result
            advance()

    def say(self, message: str) -> None:
        """One line on stderr, which makes the exit code 1."""
        self.count += 1
        typer.echo(f"critnlp: {message}", err=True)

    def finish(self) -> None:
        """Ends the command with exit code 1 if there was a fault."""
        if self.count:
            raise typer.Exit(1)


@contextmanager
def opened(output: str, option: str = "-o") -> Iterator[IO[str]]:
    """The output as a text stream in UTF-8 with the line ends that are written to it.

    A file is written beside its place and moved there at the end, so that an output may be an input, and a run that breaks
    off leaves what was there.
    """
    if output == "-":
        if sys.stdout is None:
            raise OutputError("stdout is closed; write to a file with -o")
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"stdout: cannot be written ({error.strerror})") from None
        return
    import gzip
    import lzma

    target = Path(output)
    in_place = not target.exists() or target.is_file()  # a device or a pipe is written as it is
    draft = target.with_name(f".{target.name}.{os.getpid()}.part") if in_place else target
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(target.suffix, open)
    try:
        file = opener(draft, "wt", encoding="utf-8", newline="")
    except OSError as error:
        raise typer.BadParameter(f"{output}: cannot be written ({error.strerror})", param_hint=option) from None
    try:
        with file:
            yield file
        if in_place:
            draft.replace(target)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror})") from None
    finally:
        if in_place:
            draft.unlink(missing_ok=True)

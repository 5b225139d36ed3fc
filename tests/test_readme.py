"""What the documents show is what happens: the README's commands are run, and what documents link to exists.

A block is run line by line:

    ```console
    $ critnlp explain "Age at least 18 years"
    the output, as a terminal of 100 columns shows it
    …
    ```

A line `…` stands for any lines. Commands that set a machine up (`python3 dev.py`, `git clone`, `cd`, `pip install`) are
not run. All blocks share one folder with the repository's files, so that a command may read what one before it wrote.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = [path for path in (README, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("annotations/*.md"))) if path.exists()]

NOT_RUN = re.compile(r"python3(\.\d+)? dev\.py\b|git clone |cd |pip install ")
RUN = re.compile(r"([^|]*\|\s*)*critnlp\b")


class Command(NamedTuple):
    line: int
    text: str
    output: list[str]


def console_blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each ```console block's first line number and its lines."""
    for block in re.finditer(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, block.start(1)) + 1, block[1].splitlines()


def commands(text: str) -> Iterator[Command]:
    """The commands of all console blocks, each with the output shown below it."""
    for first, lines in console_blocks(text):
        command: Command | None = None
        continued = False
        for number, line in enumerate(lines, first):
            if continued and command:
                command = command._replace(text=f"{command.text}\n{line}")
            elif line.startswith("$ "):
                if command:
                    yield command
                command = Command(number, line[2:], [])
            elif command:
                command.output.append(line.rstrip())
            else:
                raise ValueError(f"README.md:{number}: a console block begins with a command, `$ …`")
            continued = bool(command) and not command.output and line.endswith("\\")
        if command:
            yield command


def matches(shown: list[str], found: list[str]) -> bool:
    """Whether the output is as shown; a shown line `…` stands for any lines."""
    pattern = "".join("(?:.*\n)*?" if line.strip() == "…" else re.escape(line) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(line + "\n" for line in found)) is not None


COMMANDS = list(commands(README.read_text(encoding="utf-8")))


def test_the_readme_shows_commands() -> None:
    assert [command.text for command in COMMANDS if RUN.match(command.text)], "README.md has no `$ critnlp …` to run"


def test_every_command_is_known() -> None:
    unknown = [c for c in COMMANDS if not RUN.match(c.text) and not NOT_RUN.match(c.text)]
    assert [f"README.md:{command.line}: {command.text}" for command in unknown] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository, and takes what the commands write."""
    folder = tmp_path_factory.mktemp("readme")
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment where `critnlp` is the code under test, whatever else is installed."""
    script = tmp_path_factory.mktemp("bin") / "critnlp"
    script.write_text(
        f"#!{sys.executable}\nfrom critnlp.cli import main\n\nif __name__ == '__main__':\n    main()\n", encoding="utf-8"
    )
    script.chmod(0o755)
    return os.environ | {
        "PATH": f"{script.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }


@pytest.mark.skipif(os.name == "nt", reason="the commands are written for a Unix shell")
@pytest.mark.parametrize("command", [c for c in COMMANDS if RUN.match(c.text)], ids=lambda c: f"line {c.line}: {c.text[:60]}")
def test_a_command_prints_what_the_readme_shows(command: Command, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command.text,
        shell=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    found = [line.rstrip() for line in done.stdout.splitlines()]
    if not matches(command.output, found):
        assert found == command.output, f"README.md:{command.line}: the output of `{command.text}` is another one"


# --- links and paths --------------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """The text without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names by which a document's headings can be linked to."""
    headings = re.findall(r"^#+ (.+?)\s*$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> Iterator[str]:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(<?([^)\s>]+)>?[^)]*\)", re.sub(r"`[^`\n]*`", "", prose(text))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8"))):
            yield target


def missing_files(document: Path) -> Iterator[str]:
    """Paths in back quotes that begin with a folder of this repository, or name one of its top-level documents."""
    for token in re.findall(r"`([^`\s]+)`", prose(document.read_text(encoding="utf-8"))):
        if re.search(r"[<>{}$…=:]|://", token):
            continue
        first, slash, _ = token.partition("/")
        is_path = bool(slash) and first not in ("", ".", "..") and (ROOT / first).is_dir()
        is_document = not slash and token.endswith((".md", ".toml"))
        if (is_path or is_document) and not (any(ROOT.glob(token)) or any(document.parent.glob(token))):
            yield token


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken_links(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    assert list(missing_files(document)) == []


# --- this test --------------------------------------------------------------------------------------------------------

EXAMPLE = """
```console
$ python3 dev.py demo
$ cat x.txt | critnlp extract - \\
    --format csv
a  b
…
z
```
```console
$ critnlp --version
```
"""


def test_blocks_are_read_as_commands_with_their_output() -> None:
    assert list(commands(EXAMPLE)) == [
        Command(3, "python3 dev.py demo", []),
        Command(4, "cat x.txt | critnlp extract - \\\n    --format csv", ["a  b", "…", "z"]),
        Command(11, "critnlp --version", []),
    ]
    with pytest.raises(ValueError, match=r"README\.md:2: a console block begins with a command"):
        list(commands("```console\na\n```"))


@pytest.mark.parametrize(
    ("shown", "found", "expected"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["a", "…"], ["a", "b", "c"], True),
        (["a", "…", "c"], ["a", "c"], True),
        (["a", "  …", "c"], ["a", "b"], False),
        (["…", "b.c"], ["a", "bxc"], False),
        ([], [], True),
        ([], ["a"], False),
    ],
)
def test_dots_stand_for_any_lines(shown: list[str], found: list[str], expected: bool) -> None:
    assert matches(shown, found) is expected

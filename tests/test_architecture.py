"""The layers of the package: a module imports only from the layers below its own, and heavy libraries load late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import critnlp

PACKAGE = Path(critnlp.__file__).parent

# Low to high. A sub-package (`training/`) is one module here; what it imports of itself is its own affair.
LAYERS = [
    "schema errors cleaning layout numerals",
    "lexicon",
    "sources headings units analytes",
    "shorthand hydration registry",
    "gold",
    "criteria quantities windows staging",
    "abbreviations categories",
    "tagging",
    "relations wording",
    "facts",
    "rules",
    "doubts",
    "matching exports evaluation interchange",
    "pipeline training",
    "rendering explanations",
    "scoreboard",
    "streams",
    "gold_commands",
    "cli",
    "__main__",
]
LAYER = {module: number for number, names in enumerate(LAYERS) for module in names.split()}


def module_of(path: Path) -> str:
    """The module or sub-package directly below `critnlp` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(path: Path) -> Iterator[str]:
    """The module of every import from critnlp in a file, those within functions included."""
    package = ["critnlp", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names] if source == "critnlp" else [source]
        for name in names:
            top, _, rest = name.partition(".")
            if top == "critnlp" and (module := rest.partition(".")[0]):
                yield module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    own = module_of(path)
    assert own in LAYER, f"{own} has no layer yet; give it one in LAYERS"
    # A name that is no module (`from critnlp import __version__`) is defined by the package itself, below everything.
    wrong = [
        f"{own} (layer {LAYER[own]}) imports {module} (layer {LAYER[module]})"
        for module in imports(path)
        if module != own and module in LAYER and LAYER[module] >= LAYER[own]
    ]
    assert wrong == []


HELP = """
import sys
from critnlp.cli import main
sys.argv = ["critnlp", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
"""


def loaded(code: str) -> set[str]:
    """The top-level modules that are loaded once `code` has run in a process of its own."""
    code += "\nimport sys; print('loaded', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_importing_critnlp_loads_nothing_heavy() -> None:
    assert loaded("import critnlp").isdisjoint({"spacy", "torch", "pydantic", "numpy", "onnxruntime", "transformers"})


def test_help_comes_without_loading_models() -> None:
    if not (PACKAGE / "cli.py").exists():
        pytest.skip("there is no command line yet")
    assert loaded(HELP).isdisjoint({"spacy", "torch", "onnxruntime", "transformers"})

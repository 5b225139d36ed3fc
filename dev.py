"""Sets up and checks a clone of critnlp, with nothing but Python.

python3 dev.py demo            install into .venv what is missing and show a parsed example
python3 dev.py test [ARG…]     the same with the tools of development, then pytest with these arguments
python3 dev.py check           the same, then the linter, the type checker and the checks of the documents
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "critnlp-installed.json"
EXAMPLE = Path("examples", "NCT00000001.json")
CHECKS = [
    ["ruff", "check"],
    ["ruff", "format", "--check"],
    ["mypy"],
    ["pytest", "tests/test_readme.py"],
]


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code: 0 done, 1 something failed, 2 bad usage."""
    command, *rest = arguments or [""]
    if command not in ("demo", "test", "check") or (rest and command != "test"):
        print(__doc__, file=sys.stderr)
        return 2
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        found = ".".join(map(str, sys.version_info[:2]))
        stop(f"critnlp needs Python 3.11 or 3.12, and this is {found}; run it as: python3.12 dev.py {command}")
    os.chdir(ROOT)
    install({"sci"} if command == "demo" else {"sci", "dev"}, command)
    if command == "demo":
        return run([str(BIN / "critnlp"), "show", str(EXAMPLE)])
    if command == "test":
        return run([str(PYTHON), "-m", "pytest", *rest])
    failed = [" ".join(check) for check in CHECKS if run([str(PYTHON), "-m", *check], say=True)]
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed", file=sys.stderr)
    return 1 if failed else 0


def install(extras: set[str], command: str) -> None:
    """Makes `.venv` hold critnlp with these extras as pinned; does nothing where it has not changed since."""
    pins = b"".join(Path(name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    digest = hashlib.sha256(pins).hexdigest()
    installed = read_stamp()
    if PYTHON.exists() and installed.get("digest") == digest and extras <= set(installed.get("extras", [])):
        return
    if not PYTHON.exists():
        make_venv(command)
    wanted = ",".join(sorted(extras | set(installed.get("extras", []))))
    print(f"installing critnlp[{wanted}] into {VENV.name}; this takes a few minutes once", file=sys.stderr)
    STAMP.unlink(missing_ok=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    code = run([*pip, "--constraint", "constraints.txt", "--editable", f".[{wanted}]"])
    if code:
        stop(
            f"pip ended with exit code {code}; see its message above, check the network, remove {VENV.name} if it is "
            f"broken, and run again: python3 dev.py {command}"
        )
    STAMP.write_text(json.dumps({"digest": digest, "extras": wanted.split(",")}), encoding="utf-8")


def read_stamp() -> dict[str, Any]:
    """What was installed last, or nothing."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def make_venv(command: str) -> None:
    """Creates `.venv`; Debian and Ubuntu leave out what that needs, in a package of its own."""
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        package = f"python3.{sys.version_info.minor}-venv"
        stop(f"this Python has no venv module; install it (Debian, Ubuntu: apt install {package}) and run again")
    code = run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if code:
        stop(f"python -m venv ended with exit code {code}; remove {VENV.name} and run again: python3 dev.py {command}")


def run(command: list[str], *, say: bool = False) -> int:
    """The exit code of a command that shares this terminal."""
    if say:
        print("$", *command[2:], file=sys.stderr, flush=True)
    return subprocess.run(command, check=False).returncode


def stop(message: str) -> NoReturn:
    """Ends the run with one line for a person."""
    sys.exit(f"dev.py: {message}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

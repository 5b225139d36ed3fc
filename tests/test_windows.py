"""Time phrases: a table of them, slices of the source under every layout, windows that are written and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from critnlp import lexicon, windows
from critnlp.schema import Window

CASES = [
    (row["text"], row["expect"])
    for _, row in lexicon.parse((Path(__file__).parent / "cases/windows.csv").read_text(encoding="utf-8"), "windows.csv")
]


def written(window: Window) -> str:
    """A window in the notation of the table."""
    words: list[str] = [window.relation]
    if window.unit:
        low = f"{'[' if window.low_inclusive is not False else '('}{window.low or ''}"
        high = f"{window.high or ''}{']' if window.high_inclusive is not False else ')'}"
        words += [f"{low},{high}", window.unit]
    words += [f"@{window.anchor}"] if window.anchor else []
    words += [window.choose] if window.choose else []
    return " ".join(words)


def shown(text: str) -> str:
    """The times of a text in the notation of the table."""
    times = []
    for time in windows.find(text):
        words = [" + ".join(map(written, time.windows)) or ("?" if time.problem else time.kind)]
        words += ["past"] if time.past and time.windows else []
        words += ["not"] if time.negated else []
        times.append(" ".join(words))
    return " ; ".join(times)


@pytest.mark.parametrize(("text", "expect"), CASES)
def test_a_phrase_has_its_windows(text: str, expect: str) -> None:
    assert shown(text) == expect

"""Markers and wrapped rows, before anyone asks what the words mean."""

from __future__ import annotations

import pytest

from critnlp import layout


def blocks(text: str) -> list[str]:
    """The blocks of a text, white space folded."""
    return [" ".join(text[b.start : b.end].split()) for b in layout.blocks(text, [])]


@pytest.mark.parametrize(
    ("row", "style", "ordinal", "body"),
    [
        ("* gout", "*", 0, "gout"),
        ("- gout", "-", 0, "gout"),
        ("– gout", "-", 0, "gout"),
        ("-Gout", "-", 0, "Gout"),
        ("\\- gout", "-", 0, "gout"),
        ("\\* gout", "*", 0, "gout"),
        ("o gout", "o", 0, "gout"),
        ("\uf0b7 gout", "\uf0b7", 0, "gout"),
        ("1. Gout", "1.", 1, "Gout"),
        ("1\\. Gout", "1.", 1, "Gout"),
        ("7) Gout", "1)", 7, "Gout"),
        ("(12) Gout", "(1)", 12, "Gout"),
        ("1- Gout", "1-", 1, "Gout"),
        ("1.1 Gout", "1.1", 1, "Gout"),
        ("2.3.1. Gout", "1.1.1", 1, "Gout"),
        ("a. gout", "a.", 1, "gout"),
        ("A) gout", "A)", 1, "gout"),
        ("(a) gout", "(a)", 1, "gout"),
        ("(i) gout", "(i)", 1, "gout"),
        ("iv. gout", "i.", 4, "gout"),
        ("I03. Gout", "I1", 3, "Gout"),
        ("③ Gout", "①", 3, "Gout"),
    ],
)
def test_markers(row: str, style: str, ordinal: int, body: str) -> None:
    (block,) = layout.blocks(row, [])
    assert (block.style, block.ordinal, row[block.start : block.end]) == (style, ordinal, body)


@pytest.mark.parametrize(
    "row",
    [
        "gout",
        "18 years or older",
        "2.5 mg velorastat",
        "1.5 x ULN",
        "-2.5 SD or less",
        "**Gout**",
        "E. coli in the urine",
        "of gout",
        "(or gout)",
        "2. or 3. degree burns",
        "<5 flares",
        "3-day fast",
        "5-velorastat titre",
        "I am a rider",
        "T. cruzi in the blood",
        "100% of the flares",
    ],
)
def test_rows_without_a_marker(row: str) -> None:
    (block,) = layout.blocks(row, [])
    assert (block.markers, row[block.start : block.end]) == ((), row)


def test_a_number_and_a_letter_behind_a_bullet_are_markers_too() -> None:
    text = "* 1. a) gout"
    (block,) = layout.blocks(text, [])
    assert [text[m.start : m.end] for m in block.markers] == ["*", "1.", "a)"]
    assert text[block.start : block.end] == "gout"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gout\nvertigo", ["gout", "vertigo"]),
        ("gout\n\nvertigo", ["gout", "vertigo"]),
        ("gout\r\nvertigo\rscurvy", ["gout", "vertigo", "scurvy"]),
        ("gout<br>vertigo<BR />scurvy", ["gout", "vertigo", "scurvy"]),
        ("<li>gout</li><li>vertigo</li>", ["gout", "vertigo"]),
        ("gout\u2028vertigo", ["gout", "vertigo"]),
        ("* gout of the\n  left knee", ["gout of the left knee"]),
        ("* gout of the\nleft knee", ["gout of the left knee"]),
        ("* gout, with\n* vertigo", ["gout, with", "vertigo"]),
        ("* Gout of the knee\nVertigo at rest", ["Gout of the knee", "Vertigo at rest"]),
        ("Gout (of the left\nknee)", ["Gout (of the left knee)"]),
        ("Gout or\n\nvertigo", ["Gout or", "vertigo"]),
        ("Gout~Vertigo~Scurvy", ["Gout", "Vertigo", "Scurvy"]),
        ("Gout ~5 cm", ["Gout ~5 cm"]),
        ("Gout          Vertigo          Scurvy", ["Gout", "Vertigo", "Scurvy"]),
        ("1. Gout 2. Vertigo of type 3. Scurvy", ["Gout", "Vertigo of type 3. Scurvy"]),
        ("• Gout of the knee • Vertigo at rest", ["Gout of the knee", "Vertigo at rest"]),
        ("", []),
        (" \n\t\n", []),
    ],
)
def test_rows_become_blocks(text: str, expected: list[str]) -> None:
    assert blocks(text) == expected


@pytest.mark.parametrize(("indent", "column"), [("", 0), ("   ", 3), ("\t", 4), ("  \t", 4), ("\xa0\xa0", 2)])
def test_an_indent_is_a_column(indent: str, column: int) -> None:
    (block,) = layout.blocks(f"{indent}* gout", [])
    assert (block.indent, block.body_indent) == (column, column + 2)


def test_short_lines_of_a_list_are_not_wrapped_text() -> None:
    lines = [f"Rider number {n} of the list" for n in range(12)]
    assert blocks("\n".join(lines)) == lines


def test_every_line_of_wrapped_prose_is_filled() -> None:
    word = "rider"
    text = "\n".join(" ".join([word] * 14) for _ in range(6))
    assert blocks(text) == [" ".join([word] * 14 * 6)]

"""Units: spellings with their UCUM codes, spans in running text, conversions with well-known values, laws of both."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from critnlp import lexicon, units
from critnlp.units import Unit, convert, normalize_unit, same_dimension, unit_at, with_power

CASES = [
    (row["written"], row["ucum"], tuple(filter(None, row["repairs"].split("|"))))
    for _, row in lexicon.parse((Path(__file__).parent / "cases" / "units.csv").read_text(encoding="utf-8"), "units.csv")
]
WRITTEN = [case for case in CASES if case[1]]
# Those that are no power of ten; behind "h-1" a range of hours could go on.
PLAIN = [written for written, _, _ in WRITTEN if written != "h-1" and (unit := unit_at(written, 0)) and unit.end == len(written)]
CODES = sorted({ucum for _, ucum, _ in WRITTEN})


# --- spellings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "ucum", "repairs"), CASES)
def test_a_spelling_has_its_code(written: str, ucum: str, repairs: tuple[str, ...]) -> None:
    assert normalize_unit(written) == (ucum or None)
    unit = unit_at(written, 0)
    if repairs:
        assert unit is not None
        assert unit.repairs == repairs
    elif ucum:
        assert unit is None or unit.repairs == ()


def test_there_are_enough_spellings_and_none_stands_twice() -> None:
    assert len({written for written, _, _ in CASES}) == len(CASES) >= 400


@pytest.mark.parametrize("code", [code for code in CODES if code != "a"])
def test_a_code_is_its_own_code(code: str) -> None:
    assert normalize_unit(code) == code
    assert units._terms(code) is not None


@pytest.mark.parametrize("written", PLAIN)
def test_a_unit_ends_where_the_text_goes_on(written: str) -> None:
    alone = unit_at(written, 0)
    assert alone is not None
    for behind in (" (see below)", ", or more", "; and", ")", "] then", " at screening", " unless treated", "\nNext line"):
        found = unit_at(f"at least 7 {written}{behind}", 11)
        assert found is not None, behind
        assert (found.ucum, found.end) == (alone.ucum, alone.end + 11), behind


@pytest.mark.parametrize(
    ("text", "at", "read", "ucum"),
    [
        ("BMI 19 to 31 kg/m2or less", 13, "kg/m2", "kg/m2"),
        ("7 years old", 2, "years", "a"),
        ("7 years of age", 2, "years", "a"),
        ("19-year-old men", 3, "year", "a"),
        ("5 mg per protocol", 2, "mg", "mg"),
        ("5 mg. Per local practice", 2, "mg", "mg"),
        ("5 mg twice daily", 2, "mg", "mg"),
        ("5 mg every 2 weeks", 2, "mg", "mg"),
        ("5 mg/kg every 3 weeks", 2, "mg/kg", "mg/kg"),
        ("30 mg/g creatinine", 3, "mg/g", "mg/g"),
        ("6 months/180 days", 2, "months", "mo"),
        ("4 weeks/lifetime", 2, "weeks", "wk"),
        ("9 mmol/L/162 mg/dL", 2, "mmol/L", "mmol/L"),
        ("95 mmHg/diastolic", 3, "mmHg", "mm[Hg]"),
        ("38.5 °C/101.3 °F", 5, "°C", "Cel"),
        ("400 cells/mm 3 days before", 4, "cells/mm", "/mm3"),
        ("2 lines of therapy", 2, "lines", "{lines}"),
        ("1 line of therapy", 2, "line", "{lines}"),
        ("a 20 pack-year history", 5, "pack-year", "{pack-years}"),
        ("1500/mm3*", 4, "/mm3", "/mm3"),
        ("60\u00a0mL/min", 3, "mL/min", "mL/min"),
        ("60 mL\u00a0/\u2009min", 3, "mL\u00a0/\u2009min", "mL/min"),
        ("8 g/dL.", 2, "g/dL", "g/dL"),
        ("90 mm. Hg", 3, "mm. Hg", "mm[Hg]"),
        ("1 second", 2, "second", "s"),
        ("temperature > 38.2 C,", 19, "C", "Cel"),
        ("temperature > 101 F)", 18, "F", "[degF]"),
        ("refraction of -6.50 D or", 20, "D", "[diop]"),
        ("cylinder ≤ 1.25 D", 16, "D", "[diop]"),
        ("taller than 60 in, or", 15, "in", "[in_i]"),
        ("30 mL/min per 24 hour urine", 3, "mL/min", "mL/min"),
        ("2 cells/lifetime", 2, "cells", "{cells}"),
        ("150 mL/4 ounces", 4, "mL", "mL"),
        ("50 mg/placebo", 3, "mg", "mg"),
        ("an index > 5 h-1.", 13, "h-1", "/h"),
        ("4 MET-hours per week", 2, "MET-hours per week", "[MET].h/wk"),
    ],
)
def test_a_span_in_running_text(text: str, at: int, read: str, ucum: str) -> None:
    unit = unit_at(text, at)
    assert unit is not None
    assert (text[unit.start : unit.end], unit.ucum) == (read, ucum)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("16 in the study arm", 3),
        ("exon 20 mutation", 8),
        ("Day 1 dose", 6),
        ("cycle 1 Day 1", 8),
        ("the 3 second lines", 6),
        ("hepatitis B or C", 15),
        ("group 2 D, E", 8),
        ("140/90 mmHg", 3),
        ("1/2 day", 1),
        ("3/D", 1),
        ("10 T-cell lines", 3),
        ("2 L-asparaginase doses", 2),
        ("5 DL", 2),
        ("10 MM patients", 3),
        ("2 h-index", 2),
        ("50 mg/IV", 3),
        ("mg", 2),
        ("7 mg/dL", 1),
        ("", 0),
    ],
)
def test_what_is_no_unit(text: str, at: int) -> None:
    unit = unit_at(text, at)
    assert unit is None or unit.ucum == "d"  # "Day" is one, the number before it tells


@pytest.mark.parametrize(
    ("exponent", "ucum", "code"),
    [
        (9, "/L", "10*9/L"),
        (3, "/uL", "10*3/uL"),
        (5, "{copies}/mL", "10*5{copies}/mL"),
        (6, None, "10*6"),
        (3, "10*3/uL", "10*6/uL"),
        (2, "g/L", "10*2.g/L"),
        (0, "/L", "/L"),
        (0, None, "1"),
        (12, "/L", "10*12/L"),
    ],
)
def test_a_power_of_ten_with_its_unit(exponent: int, ucum: str | None, code: str) -> None:
    unit = Unit(ucum, 0, 1) if ucum else None
    assert with_power(exponent, unit) == code
    assert units._terms(code) is not None


@given(
    st.sampled_from(PLAIN), st.sampled_from(["", " ", "\u00a0", "  ", "\u2009", "\n"]), st.sampled_from(["", " ", "\u202f", " \t"])
)
def test_blanks_around_a_slash_change_nothing(written: str, before: str, behind: str) -> None:
    assume("/" in written and not re.search(r"[yt1]/|mm/Hg|/year|/sec/cm", written))  # one sign with its slash
    assert normalize_unit(re.sub(r"\s*/\s*", f"{before}/{behind}", written)) == normalize_unit(written)


TEXTS = st.lists(
    st.sampled_from([*PLAIN, "3", "1.5", " ", "/", "per", "-", "x", "ULN", "of", "(", ")", "²", "10", "in"]), max_size=6
).map(" ".join)


@given(TEXTS | st.text(max_size=30), st.integers(0, 12))
def test_a_unit_is_a_slice_of_its_text_that_reads_the_same_alone(text: str, at: int) -> None:
    unit = unit_at(text, at)
    if unit:
        assert unit.start == at < unit.end <= len(text)
        assert unit.ucum
        assert units._terms(unit.ucum) is not None
        piece = text[unit.start : unit.end]
        if piece not in units._CONTEXT and not piece[0].isspace() and not piece[-1].isspace():
            assert normalize_unit(piece) == unit.ucum


@given(TEXTS, st.integers(0, 12))
def test_the_short_way_reads_what_the_long_way_reads(text: str, at: int) -> None:
    assert unit_at(text, at) == units._read(text, at)


@given(st.text(max_size=20))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    code = normalize_unit(text)
    assert code is None or units._terms(code) is not None


# --- conversion -------------------------------------------------------------------------------------------------------

# Well-known equivalents; the last column is rounded as textbooks print it.
CONVERSIONS = """
1 mg/dL umol/L 113.12 - 88.4          creatinine
1.5 mg/dL umol/L 113.12 - 132.6
177 umol/L mg/dL 113.12 - 2.0
126 mg/dL mmol/L 180.156 - 6.99       glucose
200 mg/dL mmol/L 180.156 - 11.1
70 mg/dL mmol/L 180.156 - 3.89
5.6 mmol/L mg/dL 180.156 - 101
1 mg/dL umol/L 584.66 - 17.1          bilirubin
51.3 umol/L mg/dL 584.66 - 3.00
200 mg/dL mmol/L 386.65 - 5.17        cholesterol
70 mg/dL mmol/L 386.65 - 1.81
150 mg/dL mmol/L 885.4 - 1.69         triglycerides
20 mg/dL mmol/L 28.0134 - 7.14        urea nitrogen
6 mg/dL umol/L 168.11 - 357           uric acid
10 mg/dL mmol/L 40.078 - 2.50         calcium
10 mg/dL meq/L 40.078 valence=2 4.99
2 mg/dL meq/L 24.305 valence=2 1.65   magnesium
0.8 mmol/L meq/L - valence=2 1.6
3.5 meq/L mmol/L - valence=1 3.5      potassium
4.5 mg/dL mmol/L 30.974 - 1.45        phosphate
100 ug/dL umol/L 55.845 - 17.9        iron
300 ng/dL nmol/L 288.42 - 10.4        testosterone
50 ng/dL nmol/L 288.42 - 1.73
20 pg/mL pmol/L 272.38 - 73.4         estradiol
20 ng/mL nmol/L 400.64 - 49.9         vitamin D
18 ug/dL nmol/L 362.46 - 497          cortisol
1 ng/dL pmol/L 776.87 - 12.9          free T4
200 pg/mL pmol/L 1355.37 - 148        vitamin B12
2 mmol/L mg/dL 90.08 - 18.0           lactate
10 g/dL mmol/L 16114 - 6.21           hemoglobin
30 mg/g mg/mmol 113.12 - 3.39         albumin per creatinine
300 mg/g mg/mmol 113.12 - 33.9
7 % mmol/mol - hba1c 53
6.5 % mmol/mol - hba1c 48
9 % mmol/mol - hba1c 75
48 mmol/mol % - hba1c 6.5
86 mmol/mol % - hba1c 10.0
100000 /mm3 10*9/L - - 100
1500 /uL 10*9/L - - 1.5
1.5 10*9/L /mm3 - - 1500
100 10*3/uL 10*9/L - - 100
1 10*5/mm3 10*9/L - - 100
5 10*6/uL 10*12/L - - 5
150 /nL 10*9/L - - 150
3.5 g/dL g/L - - 35
90 g/L g/dL - - 9
5 mg/L mg/dL - - 0.5
4 ng/mL ug/L - - 4
25 m[IU]/mL [IU]/L - - 25
1 u[IU]/mL m[IU]/L - - 1
1000 {copies}/mL {copies}/uL - - 1
10*2 {copies}/mL 10*2{copies}/mL - - -
60 mL/min L/h - - 3.6
1 mL/s mL/min - - 60
90 mL/min/{1.73_m2} mL/s/{1.73_m2} - - 1.5
2.5 L/min/m2 mL/min/m2 - - 2500
18.5 kg/m2 g/cm2 - - 1.85
110 [lb_av] kg - - 49.9
45 kg [lb_av] - - 99.2
60 [in_i] cm - - 152.4
6 [ft_i] cm - - 182.88
140 mm[Hg] kPa - - 18.7
60 kPa mm[Hg] - - 450
20 cm[H2O] mm[Hg] - - 14.7
100 mm[H2O] cm[H2O] - - 10
38 Cel [degF] - - 100.4
100.4 [degF] Cel - - 38
0 Cel K - - 273.15
-40 Cel [degF] - - -40
18 a mo - - 216
6 mo a - - 0.5
2 wk d - - 14
1 a d - - 365.25
36 h d - - 1.5
470 ms s - - 0.47
300 mg/d g/d - - 0.3
2 g/(24.h) mg/d - - 2000
1 ug/kg/min mg/kg/h - - 0.06
8 {seizures}/(28.d) {seizures}/wk - - 2
20 h/wk h/d - - 2.857
0.5 /(2.wk) /(4.wk) - - 1
10 mCi MBq - - 370
50 Gy cGy - - 5000
1 ukat/L U/L - - 60
3 [wood'U] dyn.s/cm5 - - 240
2000 [Cal]/d kcal/d - - 2000
50 % 1 - - 0.5
500 [ppm] % - - 0.05
5 mmol/L umol/mL - - 5
300 mosm/kg osm/kg - - -
290 mosm/kg mosm/kg - - 290
3 g/cm2 g/cm2 - - 3
1 mL cm3 - - 1
5 [arb'U]/mL [arb'U]/L - - 5000
"""
ROWS = [tuple(line.split()[:6]) for line in CONVERSIONS.splitlines() if line]


@pytest.mark.parametrize(("value", "unit", "to", "molar_mass", "special", "expected"), ROWS)
def test_a_well_known_equivalent(value: str, unit: str, to: str, molar_mass: str, special: str, expected: str) -> None:
    mass = None if molar_mass == "-" else Decimal(molar_mass)
    found = convert(value, unit, to, molar_mass=mass, special="" if special == "-" else special)
    if expected == "-":
        assert found is None
    else:
        assert found is not None
        assert Decimal(found).quantize(Decimal(expected)) == Decimal(expected)


def test_there_are_enough_equivalents() -> None:
    assert len(set(ROWS)) == len(ROWS) >= 60


@pytest.mark.parametrize(
    ("value", "unit", "to", "molar_mass", "special"),
    [
        ("1", "mg/dL", "umol/L", None, ""),
        ("1", "mg/dL", "umol/L", "0", ""),
        ("1", "mg/dL", "umol/L", "NaN", ""),
        ("3.5", "meq/L", "mmol/L", None, ""),
        ("7", "%", "mmol/mol", None, ""),
        ("7", "%", "mg/g", None, "hba1c"),
        ("7", "%", "mmol/L", None, "hba1c"),
        ("20", "mg/g", "mmol/mol", "113.12", ""),
        ("60", "mL/min", "mL/min/{1.73_m2}", None, ""),
        ("60", "mL/min/{1.73_m2}", "mL/min", None, ""),
        ("60", "mL/min/{1.73_m2}", "mL/min/m2", None, ""),
        ("40", "[IU]/L", "U/L", None, ""),
        ("40", "[IU]/L", "mg/L", "100", ""),
        ("40", "[IU]/L", "ukat/L", None, ""),
        ("50", "{copies}/mL", "{cells}/mL", None, ""),
        ("50", "{copies}/mL", "/mL", None, ""),
        ("50", "{copies}/mL", "[IU]/mL", None, ""),
        ("2", "{Log_copies}/mL", "{copies}/mL", None, ""),
        ("2", "{lines}", "1", None, ""),
        ("2", "{units}/wk", "U/wk", None, ""),
        ("5", "{half-life}", "d", None, ""),
        ("20", "Gy", "Sv", None, ""),
        ("20", "mSv", "cGy", None, ""),
        ("3", "MBq", "MHz", None, ""),
        ("3", "mg/kg", "1", None, ""),
        ("3", "mg/kg/d", "/d", None, ""),
        ("3", "dB", "1", None, ""),
        ("3", "/[HPF]", "/[LPF]", None, ""),
        ("3", "[diop]", "/m", None, ""),
        ("38", "Cel/min", "[degF]/min", None, ""),
        ("38", "Cel", "kPa", None, ""),
        ("3", "mosm/kg", "mmol/kg", None, "valence=1"),
        ("3", "kg", "cm", None, ""),
        ("3", "furlong", "m", None, ""),
        ("3", "furlong", "furlong", None, ""),
        ("3", "mg/dL", "", None, ""),
        ("3", "", "", None, ""),
        ("3", "mg//dL", "mg/dL", None, ""),
        ("3", "(mg", "mg", None, ""),
        ("three", "mg/dL", "g/L", None, ""),
        ("1e3", "mg/dL", "g/L", None, ""),
        ("NaN", "mg/dL", "g/L", None, ""),
        ("1,5", "mg/dL", "g/L", None, ""),
        ("", "mg/dL", "mg/dL", None, ""),
    ],
)
def test_what_is_not_certain_is_not_converted(value: str, unit: str, to: str, molar_mass: str | None, special: str) -> None:
    assert convert(value, unit, to, molar_mass=Decimal(molar_mass) if molar_mass else None, special=special) is None


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        ("5.0", "mg/dL", "mg/dL", "5.0"),
        ("5.0", "mg/dL", "g/L", "0.05"),
        ("0", "/mm3", "10*9/L", "0"),
        ("-0.0", "mg/dL", "g/L", "0"),
        ("1000000", "10*9/L", "/uL", "1000000000"),
        ("0.000001", "ng/mL", "g/L", "0.000000000001"),
        ("1", "d", "wk", "0.142857"),
        ("2", "d", "wk", "0.285714"),
        ("12345678", "mg", "mg", "12345678"),
        ("12345678", "g", "mg", "12345700000"),
    ],
)
def test_a_value_is_a_plain_decimal(value: str, unit: str, to: str, expected: str) -> None:
    assert convert(value, unit, to) == expected


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("mg/dL", "g/L", True),
        ("/mm3", "10*9/L", True),
        ("Cel", "[degF]", True),
        ("mg/dL", "mmol/L", False),
        ("%", "mmol/mol", False),
        ("mL/min", "mL/min/{1.73_m2}", False),
        ("[IU]/L", "U/L", False),
        ("{copies}/mL", "{copies}/mL", True),
        ("mo", "d", True),
        ("nonsense", "nonsense", False),
    ],
)
def test_units_of_one_dimension(a: str, b: str, same: bool) -> None:
    assert same_dimension(a, b) is same
    assert same_dimension(b, a) is same


VALUES = st.decimals(min_value="0.001", max_value="99999", places=3).map(lambda value: f"{value:f}")
MASS = st.sampled_from(["18.015", "113.12", "180.156", "584.66", "66500"]).map(Decimal)


@settings(deadline=None)  # the first conversion loads the units library
@given(VALUES, st.sampled_from(CODES), st.sampled_from(CODES), MASS, st.sampled_from(["", "valence=2", "hba1c"]))
def test_a_conversion_and_its_way_back(value: str, unit: str, to: str, mass: Decimal, special: str) -> None:
    there = convert(value, unit, to, molar_mass=mass, special=special)
    if there is None:
        assert convert(value, to, unit, molar_mass=mass, special=special) is None
        return
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", there) or unit == to
    assume(Decimal(there))
    back = convert(there, to, unit, molar_mass=mass, special=special)
    assert back is not None
    # six digits are kept of each result; a scale with its own zero may lose some of them in the difference
    assert abs(Fraction(back) - Fraction(value)) <= abs(Fraction(value)) * Fraction(2, 10**5) + (
        Fraction(1, 100) if "Cel" in (unit, to) or special else 0
    )


@pytest.mark.parametrize("code", CODES)
def test_every_code_measures_something(code: str) -> None:
    assert same_dimension(code, code)
    assert convert("7.50", code, code) == "7.50"


# --- table and library ------------------------------------------------------------------------------------------------


def test_the_table_is_sound() -> None:
    for row in lexicon.table("units"):
        assert row["role"] in {"define", "prefix", "unit", "cell", "event", "count", "power", "adverb", "mend"}, row
        if row["role"] == "unit" and not row["ucum"].startswith("/"):
            assert row["pint"] or "{" in row["ucum"], row
            assert row["kind"] in units._BELOW or row["kind"] in {
                "molar",
                "whole",
                "temperature",
                "rate",
                "field",
                "dna",
                "resistance",
            }


def test_no_spelling_has_two_meanings() -> None:
    table = units._table()
    for spellings in (table.exact, table.folded):
        for word, meanings in spellings.items():
            seen: dict[tuple[str, ...], set[str]] = {}
            for meaning in meanings:
                if meaning.entry.role != "mend":
                    seen.setdefault(meaning.rest, set()).add(f"{meaning.entry.role} {meaning.entry.ucum}")
            assert all(len(codes) == 1 for codes in seen.values()), (word, seen)


def test_the_units_library_knows_every_atom() -> None:
    for atom in units._table().pints.keys() - units._TEMPERATURES:
        size, _ = units._root(atom)
        assert size > 0, atom


def test_reading_units_does_not_load_the_units_library() -> None:
    code = "import sys, critnlp.units as u; assert u.normalize_unit('mg/dl') == 'mg/dL'; assert 'pint' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

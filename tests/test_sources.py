"""Every way a trial comes in, and every way an input can be broken."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import lzma
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from critnlp import sources
from critnlp.errors import SourceError
from critnlp.schema import ParsedTrial, Pipeline, Quantity, Trial
from critnlp.sources import age_of, conditions_of, healthy_volunteers_of, phases_of, read, sex_of, trial_of

TEXT = "Inclusion Criteria:\r\n\r\n* Age ≥ 18 years\r\n* HbA1c 7.0–10.0 %\r\n\r\nExclusion:\r\n\r\n* Pregnancy\r\n"
FLAT = {"nct_id": "NCT00000001", "eligibility": TEXT}
STUDY = {
    "protocolSection": {
        "identificationModule": {"nctId": "NCT00000002", "briefTitle": "A Made-up Trial"},
        "statusModule": {"lastUpdatePostDateStruct": {"date": "2024-05-06", "type": "ACTUAL"}},
        "conditionsModule": {"conditions": ["Diabetes Mellitus, Type 2", "Obesity"]},
        "designModule": {"phases": ["PHASE2", "PHASE3"]},
        "eligibilityModule": {
            "eligibilityCriteria": TEXT,
            "healthyVolunteers": False,
            "sex": "FEMALE",
            "minimumAge": "18 Years",
            "maximumAge": "6 Months",
        },
    },
    "derivedSection": {"miscInfoModule": {"versionHolder": "2024-07-08"}},
}
XML = """<?xml version="1.0" encoding="UTF-8"?>
<clinical_study rank="1">
  <id_info><org_study_id>X-1</org_study_id><nct_id>NCT00000003</nct_id></id_info>
  <brief_title>Another Made-up Trial</brief_title>
  <phase>Phase 1/Phase 2</phase>
  <condition>Asthma</condition>
  <condition>Rhinitis, Allergic</condition>
  <eligibility>
    <criteria>
      <textblock>
        Inclusion Criteria:

          -  FEV1 &lt; 80% &amp; stable
      </textblock>
    </criteria>
    <gender>All</gender>
    <minimum_age>12 Years</minimum_age>
    <maximum_age>N/A</maximum_age>
    <healthy_volunteers>Accepts Healthy Volunteers</healthy_volunteers>
  </eligibility>
</clinical_study>
"""
XML_TEXT = "\n        Inclusion Criteria:\n\n          -  FEV1 < 80% & stable\n      "


def write(path: Path, content: str | bytes) -> str:
    """Writes a file, packed if its name says so, and returns its path."""
    data = content.encode() if isinstance(content, str) else content
    if path.suffix in (".gz", ".xz"):
        data = gzip.compress(data) if path.suffix == ".gz" else lzma.compress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def table(*rows: list[str], delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def trials(*paths: str) -> list[Trial]:
    """What `read` gives where nothing may go wrong."""
    results = list(read(paths))
    assert [str(result) for result in results if isinstance(result, SourceError)] == []
    return [result for result in results if isinstance(result, Trial)]


def problems(*paths: str) -> list[str]:
    return [str(result) for result in read(paths) if isinstance(result, SourceError)]


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BufferedReader(io.BytesIO(data))


# --- what the registry's values mean ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ALL", "all"),
        ("All", "all"),
        ("A", "all"),
        ("Both", "all"),
        ("BOTH", "all"),
        ("Female", "female"),
        ("F", "female"),
        ("MALE", "male"),
        (" m ", "male"),
        ("", None),
        (None, None),
        (2, None),
        ("unknown", None),
        (["F"], None),
    ],
)
def test_sex(value: object, expected: str | None) -> None:
    assert sex_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("18 Years", ("18", "a")),
        ("1 Year", ("1", "a")),
        ("18", ("18", "a")),
        (18, ("18", "a")),
        ("6 Months", ("6", "mo")),
        ("2 Weeks", ("2", "wk")),
        ("10 Days", ("10", "d")),
        ("1 Hour", ("1", "h")),
        ("30 Minutes", ("30", "min")),
        ("17.5 years", ("17.5", "a")),
        ("18 Year(s)", ("18", "a")),
        ({"value": "18", "unit": "a"}, ("18", "a")),
        ({"value": "18", "unit": "parsec"}, None),
        ({"value": "18"}, None),
        ("N/A", None),
        ("No maximum", None),
        ("-1", None),
        ("18 to 65 years", None),
        ("١٨ Years", None),
        (None, None),
        (True, None),
        (float("nan"), None),
        (10**50, None),
    ],
)
def test_age(value: object, expected: tuple[str, str] | None) -> None:
    assert age_of(value) == (Quantity(value=expected[0], unit=expected[1]) if expected else None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        ("Accepts Healthy Volunteers", True),
        ("Yes", True),
        ("True", True),
        (False, False),
        ("No", False),
        ("no", False),
        ("N/A", None),
        ("", None),
        (None, None),
        (1, None),
    ],
)
def test_healthy_volunteers(value: object, expected: bool | None) -> None:
    assert healthy_volunteers_of(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Phase 1", ["PHASE1"]),
        ("phase 1/phase 2", ["PHASE1", "PHASE2"]),
        ("PHASE2/PHASE3", ["PHASE2", "PHASE3"]),
        ("PHASE1, PHASE2", ["PHASE1", "PHASE2"]),
        ("Phase 1; Phase 2", ["PHASE1", "PHASE2"]),
        ("Phase 1 | Phase 2", ["PHASE1", "PHASE2"]),
        ("Early Phase 1", ["EARLY_PHASE1"]),
        ("EARLY_PHASE1", ["EARLY_PHASE1"]),
        ("Phase 0", ["EARLY_PHASE1"]),
        ("Early Phase 2", []),
        ("II", ["PHASE2"]),
        ("I_II", ["PHASE1", "PHASE2"]),
        ("IV", ["PHASE4"]),
        (2, ["PHASE2"]),
        ("N/A", ["NA"]),
        ("Not Applicable", ["NA"]),
        (["PHASE1", "PHASE2"], ["PHASE1", "PHASE2"]),
        (["NA"], ["NA"]),
        ("Therapeutic exploratory (Phase II): no", []),
        ("NULL", []),
        ({}, []),
        (None, []),
    ],
)
def test_phases(value: object, expected: list[str]) -> None:
    assert list(phases_of(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["Asthma", " COPD ", "", None, 3], ["Asthma", "COPD"]),
        ("Asthma|Rhinitis, Allergic", ["Asthma", "Rhinitis, Allergic"]),
        ("Asthma; COPD", ["Asthma", "COPD"]),
        ("Diabetes Mellitus, Type 2", ["Diabetes Mellitus, Type 2"]),
        ("", []),
        (None, []),
        ({"a": "b"}, []),
    ],
)
def test_conditions(value: object, expected: list[str]) -> None:
    assert list(conditions_of(value)) == expected


# --- what a trial comes from ------------------------------------------------------------------------------------------


def test_text_file(tmp_path: Path) -> None:
    path = write(tmp_path / "nct00000009_v2.txt", TEXT)
    (trial,) = trials(path)
    assert trial == Trial(nct_id="NCT00000009", eligibility=TEXT, sha256=hashlib.sha256(TEXT.encode()).hexdigest(), source=path)


def test_text_file_without_an_nct_number_in_its_name(tmp_path: Path) -> None:
    (trial,) = trials(write(tmp_path / "ABCNCT000000091.txt", "Age over 18"))
    assert trial.nct_id is None


def test_api_study(tmp_path: Path) -> None:
    path = write(tmp_path / "study.json", json.dumps(STUDY, indent=2))
    (trial,) = trials(path)
    assert trial.model_dump(exclude={"sha256"}) == {
        "nct_id": "NCT00000002",
        "title": "A Made-up Trial",
        "eligibility": TEXT,
        "version_date": "2024-07-08",
        "sex": "female",
        "minimum_age": {"value": "18", "unit": "a"},
        "maximum_age": {"value": "6", "unit": "mo"},
        "healthy_volunteers": False,
        "conditions": ("Diabetes Mellitus, Type 2", "Obesity"),
        "phases": ("PHASE2", "PHASE3"),
        "source": path,
    }


def test_version_date_falls_back_to_the_last_update(tmp_path: Path) -> None:
    (trial,) = trials(write(tmp_path / "study.json", json.dumps(STUDY | {"derivedSection": None})))
    assert trial.version_date == "2024-05-06"


def test_legacy_xml(tmp_path: Path) -> None:
    path = write(tmp_path / "study.xml", XML)
    (trial,) = trials(path)
    assert trial.model_dump(exclude={"sha256"}) == {
        "nct_id": "NCT00000003",
        "title": "Another Made-up Trial",
        "eligibility": XML_TEXT,
        "version_date": None,
        "sex": "all",
        "minimum_age": {"value": "12", "unit": "a"},
        "maximum_age": None,
        "healthy_volunteers": True,
        "conditions": ("Asthma", "Rhinitis, Allergic"),
        "phases": ("PHASE1", "PHASE2"),
        "source": path,
    }


def test_xml_with_many_studies(tmp_path: Path) -> None:
    study = XML.partition("\n")[2]
    broken = study.replace("textblock", "other")
    path = write(tmp_path / "all.xml", f"<?xml version='1.0'?><results><count>3</count>{study}{broken}{study}</results>")
    first, second, third = read([path])
    assert isinstance(first, Trial)
    assert isinstance(third, Trial)
    assert (first.source, third.source) == (f"{path}[record 1]", f"{path}[record 3]")
    assert str(second) == f"{path}[record 2]: has no eligibility text; fetch the trial again, or leave it out"


def test_xml_in_the_encoding_it_declares(tmp_path: Path) -> None:
    text = XML.replace("UTF-8", "ISO-8859-1").replace("FEV1", "β".replace("β", "µ"))
    (trial,) = trials(write(tmp_path / "study.xml", text.encode("latin-1")))
    assert "µ &" not in trial.eligibility
    assert "µ < 80%" in trial.eligibility


def test_text_within_elements_of_the_textblock_is_kept(tmp_path: Path) -> None:
    (trial,) = trials(write(tmp_path / "study.xml", XML.replace("stable", "<b>very <i>stable</i></b> now")))
    assert trial.eligibility == XML_TEXT.replace("stable", "very stable now")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (json.dumps({"studies": [STUDY, FLAT], "nextPageToken": "x"}), ["[record 1]", "[record 2]"]),
        (json.dumps([FLAT, STUDY], indent=1), ["[record 1]", "[record 2]"]),
        (json.dumps(FLAT) + "\n" + json.dumps(STUDY) + "\n", [":1", ":2"]),
        ("\n".join(json.dumps(record) for record in (FLAT, STUDY)), [":1", ":2"]),
        (json.dumps(STUDY), [""]),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".data", ".txt", ".json.gz", ".json.xz"])
def test_json_is_told_by_its_content(tmp_path: Path, content: str, names: list[str], suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", content)
    assert [(trial.source, trial.eligibility) for trial in trials(path)] == [(path + name, TEXT) for name in names]


def test_one_pretty_printed_study_named_jsonl(tmp_path: Path) -> None:
    assert [trial.nct_id for trial in trials(write(tmp_path / "x.jsonl", json.dumps(STUDY, indent=2)))] == ["NCT00000002"]


def test_our_own_output(tmp_path: Path) -> None:
    (trial,) = trials(write(tmp_path / "study.json", json.dumps(STUDY)))
    parsed = ParsedTrial(critnlp_version="0", pipeline=Pipeline(name="p", version="0"), trial=trial)
    path = write(tmp_path / "out.jsonl", parsed.model_dump_json() + "\n")
    assert trials(path) == [trial.model_copy(update={"source": f"{path}:1"})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.xz", "x", "x.dat"])
def test_csv(tmp_path: Path, delimiter: str, name: str) -> None:
    header = [
        "Id",
        "Criteria",
        "Gender",
        "Min_Age",
        "maximum_age",
        "conditions",
        "Phase",
        "healthy_volunteers",
        "other",
    ]
    row = ["NCT00000004", TEXT, "F", "18", "6 Months", "Asthma|COPD", "Phase 1/Phase 2", "No", "-"]
    second = ["NCT00000005", 'a "quoted", word', *[""] * 7]
    path = write(tmp_path / name, table(header, row, second, delimiter=delimiter))
    first, last = trials(path)
    assert first.model_dump(exclude={"sha256"}) == {
        "nct_id": "NCT00000004",
        "title": None,
        "eligibility": TEXT,
        "version_date": None,
        "sex": "female",
        "minimum_age": {"value": "18", "unit": "a"},
        "maximum_age": {"value": "6", "unit": "mo"},
        "healthy_volunteers": False,
        "conditions": ("Asthma", "COPD"),
        "phases": ("PHASE1", "PHASE2"),
        "source": f"{path}:2",
    }
    assert (last.nct_id, last.eligibility) == ("NCT00000005", 'a "quoted", word')
    assert last.source == f"{path}:{2 + TEXT.count(chr(10)) + 1}"


def test_text_that_looks_like_a_table_stays_text_under_txt(tmp_path: Path) -> None:
    content = "id,eligibility\n1,Age over 18\n"
    assert [trial.eligibility for trial in trials(write(tmp_path / "x.txt", content))] == [content]
    assert [trial.eligibility for trial in trials(write(tmp_path / "x", content))] == ["Age over 18"]


@pytest.mark.parametrize("text", ["[ ] Age over 18", "{see protocol}", "< 18 years", "<br>Age", "Id, please", "a"])
def test_text_that_begins_like_something_else(tmp_path: Path, text: str) -> None:
    assert [trial.eligibility for trial in trials(write(tmp_path / "x.txt", text))] == [text]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (TEXT.encode(), [TEXT]),
        (json.dumps(FLAT).encode(), [TEXT]),
        (json.dumps(FLAT).encode() + b"\n" + json.dumps(STUDY).encode(), [TEXT, TEXT]),
        (XML.encode(), [XML_TEXT]),
        (table(["nct_id", "eligibility"], ["NCT00000001", TEXT]).encode(), [TEXT]),
        (gzip.compress(TEXT.encode()), [TEXT]),
        (lzma.compress(json.dumps([FLAT]).encode()), [TEXT]),
    ],
)
def test_standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes, expected: list[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    found = trials("-")
    assert [trial.eligibility for trial in found] == expected
    assert all(trial.source and trial.source.startswith("-") for trial in found)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.txt", TEXT, TEXT),
        ("x.json", json.dumps(STUDY, ensure_ascii=False), TEXT),
        ("x.jsonl", json.dumps(FLAT, ensure_ascii=False), TEXT),
        ("x.csv", table(["nct_id", "eligibility"], ["NCT00000001", TEXT]), TEXT),
        ("x.xml", XML.replace("80%", "80 ‰"), XML_TEXT.replace("80%", "80 ‰")),
    ],
)
def test_byte_order_marks(tmp_path: Path, name: str, content: str, expected: str, encoding: str) -> None:
    if name == "x.xml":
        content = content.replace("UTF-8", "UTF-16" if encoding == "utf-16" else "UTF-8")
    assert [trial.eligibility for trial in trials(write(tmp_path / name, content.encode(encoding)))] == [expected]


def test_folders_and_globs(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "in" / name, json.dumps(FLAT) if "json" in name else "Age over 18")
        for name in ["a/z.txt", "b.jsonl.xz", "c.TXT", "d/e/f.json.gz"]
    ]
    for name in ["notes.md", ".hidden.txt", ".git/x.txt", "a/pack.gz"]:
        write(tmp_path / "in" / name, "nothing to read")

    def files(source: Path) -> list[str]:
        return [(trial.source or "").removesuffix(":1") for trial in trials(str(source))]

    assert files(tmp_path / "in") == paths
    assert files(tmp_path / "in" / "*.TXT") == [paths[2]]
    assert files(tmp_path / "in" / "[bc].*") == paths[1:3]
    assert files(tmp_path / "in" / "d*") == [paths[3]]
    assert files(tmp_path / "in" / "**" / "*.json.gz") == [paths[3]]


def test_a_file_whose_name_is_a_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "trial[1].txt", "Age over 18")
    assert [trial.source for trial in trials(path)] == [path]


def test_a_single_name_is_not_taken_for_its_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "Age over 18")
    assert [result.source for result in read(path) if isinstance(result, Trial)] == [path]


def test_trial_of() -> None:
    trial = trial_of("Age over 18", nct_id="NCT00000001")
    assert (trial.nct_id, trial.eligibility, trial.source) == ("NCT00000001", "Age over 18", "text")
    with pytest.raises(SourceError, match="text: has no eligibility text"):
        trial_of(" \n")


# --- what is broken ---------------------------------------------------------------------------------------------------

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<clinical_study><eligibility><criteria><textblock>&b;</textblock></criteria></eligibility></clinical_study>"
)
FOREIGN = XML.replace("<clinical_study", '<!DOCTYPE clinical_study SYSTEM "x.dtd">\n<clinical_study', 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", "", ": is empty; expected the text or the records of trials"),
        ("x.txt", " \r\n ", ": is blank; expected the text or the records of trials"),
        ("x.txt", b"\xef\xbb\xbf", ": is empty; expected"),
        ("x.json.gz", "", ": is empty; expected"),
        (
            "x.txt",
            b"PK\x03\x04\x00\x00",
            ": holds binary data (NUL at byte 4); unpack it, or save it as text, JSON, XML or CSV",
        ),
        ("x.txt", b"%PDF-1.7\n%\xe2\xe3", ": is a PDF; save it as text, JSON, XML or CSV"),
        ("x.txt", b"a" * 70_000 + b"\0", ": holds binary data (NUL at byte 70000); unpack it"),
        ("x.txt", "Größe".encode("latin-1"), ": is not UTF-8 (byte 2); save it as UTF-8"),
        ("x.txt", b"\xef\xbb\xbfab\xe9 ", ": is not UTF-8 (byte 5); save it as UTF-8"),
        ("x.txt", b"\xff\xfea\x00\x00\xd8", ": is not UTF-16 (byte 4); save it as UTF-8"),
        ("x.txt", "a" * 1_000_001, ": its text is over 1,000,000 characters, and no eligibility text is; give one"),
        ("x.txt", "a" * 5_000_000, ": its text is over 1,000,000 characters, and no eligibility text is; give one"),
        ("x.html", "<!doctype html><p>Age", ": is a web page; fetch the study as JSON, clinicaltrials.gov/api/v2/"),
        ("x.json", "Age over 18", ": is not JSON (Expecting value at column 1); correct it, or fetch it again"),
        (
            "x.json",
            '{"a":\n1,,}',
            ": is not JSON (Expecting property name enclosed in double quotes at line 2, column 3)",
        ),
        ("x.json", '{"protocolSection"', ": is not JSON (Expecting ':' delimiter at column 19); correct it"),
        ("x.json", "3", ": is JSON but no trial (a number); expected an object"),
        ("x.json", "null", ": is JSON but no trial (null); expected an object"),
        ("x.json", "[3]", "[record 1]: is JSON but no trial (a number); expected an object"),
        ("x.json", "[]", ": is a list without any study; check the search behind it"),
        ("x.json", '{"studies": []}', ": is a list without any study; check the search behind it"),
        ("x.json", "{}", ": is no trial (fields: none); expected protocolSection, or nct_id and eligibility"),
        (
            "x.json",
            '{"error": "x"}',
            ": is no trial (fields: error); expected protocolSection, or nct_id and eligibility",
        ),
        ("x.json", '{"protocolSection": {}}', ": has no eligibility text; fetch the trial again, or leave it out"),
        ("x.json", '{"eligibility": "  "}', ": has no eligibility text; fetch the trial again, or leave it out"),
        (
            "x.json",
            '{"trial": {"eligibility": ""}}',
            ": has no eligibility text; fetch the trial again, or leave it out",
        ),
        ("x.json", '{"eligibility": {"a": 1}}', ": its eligibility is an object; expected a string"),
        ("x.json", '{"eligibility": "a\\ud800"}', ": its eligibility holds a lone surrogate (\\ud800 at position 1)"),
        ("x.json", '{"eligibility": "a", "title": "\\udc00"}', ": its title holds a lone surrogate (\\udc00 at"),
        ("x.json", '{"eligibility": "a", "conditions": ["\\udc00"]}', ": its conditions holds a lone surrogate"),
        ("x.json", "[" * 100_000, ": is JSON nested too deeply for a trial; check where it comes from"),
        ("x.json", '{"a":' * 100_000, ": is JSON nested too deeply for a trial; check where it comes from"),
        ("x.json", "[" + "9" * 5_000 + "]", ": is JSON that cannot be read (Exceeds the limit"),
        ("x.jsonl", "\n\n \n", ": is blank"),
        ("x.xml", "Age over 18", ": is not well-formed XML (syntax error at line 1, column 1, byte 0); fetch it again"),
        (
            "x.xml",
            "<a>\n<b></a>",
            ": is not well-formed XML (mismatched tag at line 2, column 6, byte 9); fetch it again",
        ),
        ("x.xml", XML[:-30], ": is not well-formed XML ("),
        (
            "x.xml",
            XML.replace("FEV1", "é").encode("latin-1"),
            ": is not well-formed XML (not well-formed (invalid token)",
        ),
        ("x.xml", XML.replace("UTF-8", "klingon"), ": "),
        ("x.xml", "<a><b/></a>", ": is XML without a <clinical_study> (root: <a>); fetch the study as JSON"),
        ("x.xml", XML.replace("FEV1", "&nbsp;"), ": is not well-formed XML (undefined entity at line 13, column "),
        (
            "x.xml",
            FOREIGN.replace("FEV1", "&nbsp;"),
            ": XML entity &nbsp; is not read; save the file with plain characters",
        ),
        ("x.xml", BOMB, ": XML entity &a; is not read; save the file with plain characters"),
        ("x.xml", "<clinical_study>" + "<a>" * 200_000, ": is not well-formed XML (no element found"),
        (
            "x.csv",
            "nct_id,text\n1,Age\n",
            ": has no column eligibility or criteria (columns: nct_id, text); rename the one",
        ),
        (
            "x.csv",
            "id,eligibility,eligibility\n1,a,b\n",
            ": has the column eligibility more than once; rename or remove",
        ),
        (
            "x.csv",
            '"id,eligibility\n1,a\n',
            ":1: is not a row of CSV (unexpected end of data); check the quotes and lengths",
        ),
        ("x.csv", "id,eligibility\n", ": holds no trial; expected at least one record"),
    ],
)
def test_broken_inputs(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    bad = write(tmp_path / name, content)
    good = write(tmp_path / "good.txt", "Age over 18")
    results = list(read([good, bad, good]))
    assert [type(result) for result in results] == [Trial, SourceError, Trial]
    assert str(results[1]).startswith(bad + message)
    assert str(results[1]).isprintable()


def test_missing_and_unreadable(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    good = write(tmp_path / "good.txt", "Age over 18")
    inputs = [str(tmp_path / name) for name in ("gone.txt", "empty", "*.xml", "a\nb\udcff")]
    first, second, third, fourth, last = read([*inputs, good])
    assert str(first) == f"{inputs[0]}: no such file; check the path and its permissions"
    assert str(second).startswith(f"{inputs[1]}: no input in this folder; expected files named .txt .json")
    assert str(third) == f"{inputs[2]}: no file matches; check the pattern and the folder it starts from"
    assert str(fourth) == f"{tmp_path}/a\\nb\\udcff: no such file; check the path and its permissions"
    assert isinstance(last, Trial)
    assert problems("a\0b") == ["a\\x00b: no such file; check the path"]


def test_names_that_cannot_be_written_as_text(tmp_path: Path) -> None:
    path = tmp_path / "x\udcff\n.txt"
    try:
        path.write_text("Age over 18")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    (trial,) = trials(str(path))
    assert trial.source == f"{tmp_path}/x\\udcff\\n.txt"
    assert trial.model_dump_json()


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_packed_file_that_is_cut_off_or_damaged(tmp_path: Path, suffix: str) -> None:
    lines = "".join(json.dumps(FLAT | {"nct_id": f"NCT{n:08}", "title": str(hash(str(n)))}) + "\n" for n in range(3_000))
    path = write(tmp_path / f"x.jsonl{suffix}", lines)
    data = Path(path).read_bytes()
    for broken in (data[: len(data) - 10], data[: len(data) // 2] + b"\xff" * 50 + data[len(data) // 2 + 50 :]):
        Path(path).write_bytes(broken)
        *before, last = read([path])
        assert str(last).startswith(f"{path}: the compressed data is broken (")
        assert before
    Path(path).write_bytes(data[:20])
    assert problems(path)[0].startswith(f"{path}: the compressed data is broken (")


def test_a_broken_line_of_jsonl_leaves_the_others(tmp_path: Path) -> None:
    lines = [json.dumps(FLAT).encode()] * 12
    lines[3] = b""
    lines[6] = b'{"nct_id": "NCT00000001", '
    lines[8] = b'{"eligibility": "caf\xe9"}'
    lines[10] = b'{"eligibility": "\\ud83d"}'
    path = write(tmp_path / "x.jsonl", b"\n".join(lines))
    offset = sum(len(line) + 1 for line in lines[:8]) + lines[8].index(b"\xe9")
    assert problems(path) == [
        f"{path}:7: is not JSON (Expecting property name enclosed in double quotes at column 26); correct it, or fetch it again",
        f"{path}:9: is not UTF-8 (byte {offset}); save it as UTF-8",
        f"{path}:11: its eligibility holds a lone surrogate (\\ud83d at position 0), which is half a character; "
        "fetch or save the record again",
    ]
    found = [result.source for result in read([path]) if isinstance(result, Trial)]
    assert found == [f"{path}:{line}" for line in (1, 2, 3, 5, 6, 8, 10, 12)]


def test_line_separators_within_json_do_not_end_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u2029c\x85d\x0be\r\nf"
    record = json.dumps({"eligibility": text}, ensure_ascii=False)
    assert [trial.eligibility for trial in trials(write(tmp_path / "x.jsonl", f"{record}\n{record}\r\n"))] == [
        text,
        text,
    ]


def csv_outcome(path: str) -> list[str]:
    """What became of each row: the id of its trial, or its error from the line number on."""
    return [str(result.nct_id) if isinstance(result, Trial) else str(result).removeprefix(path)[:38] for result in read([path])]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["1,a,b", "2,b"], [":2: has 3 fields where the header has 2; ", "2"]),
        (["1", "2,b"], [":2: has 1 fields where the header has 2; ", "2"]),
        (["1,a", "", ",", "2,b"], ["1", "2"]),
        (["1,a", "2,b", "1,a", "3,c"], ["1", "2", ":4: repeats line 2; remove one of the tw", "3"]),
        (["1,a", "1,b"], ["1", "1"]),
        (["1,", "2,b"], [":2: has no eligibility text; fetch the tri", "2"]),
        (['1,"a', "2,b", '3,"c"', "4,d"], [":2: is not a row of CSV (',' expected after", "2", "3", "4"]),
        (["1,a", '2,"b', "3,c"], ["1", ":3: is not a row of CSV (unexpected end of", "3"]),
        (["1,a", '2,"b"x', "3,c"], ["1", ":3: is not a row of CSV (',' expected after", "3"]),
        (["1,a", f"2,{'b' * 140_000}", "3,c"], ["1", ":3: is not a row of CSV (field larger than", "3"]),
    ],
)
def test_a_broken_row_of_csv_leaves_the_others(tmp_path: Path, rows: list[str], expected: list[str]) -> None:
    outcome = csv_outcome(write(tmp_path / "x.csv", "\n".join(["id,eligibility", *rows])))
    assert outcome == [text[:38] for text in expected]


def test_a_row_of_csv_that_is_not_utf8(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", b"id,eligibility\n1,a\n2,\xe9\n3,c\n4,\0\n5,e\n")
    assert csv_outcome(path) == [
        "1",
        ":3: is not UTF-8 (byte 21); save it as UTF-8"[:38],
        "3",
        ":5: holds binary data (NUL at byte 29); unpack"[:38],
        "5",
    ]


# --- much of it -------------------------------------------------------------------------------------------------------


def test_a_line_without_end_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_RECORD", 2**20)
    monkeypatch.setattr(sources, "MAX_DOCUMENT", 2**22)
    good = json.dumps(FLAT)
    path = write(tmp_path / "x.jsonl", f"{good}\n{{{'a' * 3_000_000}\n{good}\n{'a' * 9_000_000}\n{good}\n")
    assert [str(result)[len(path) :] if isinstance(result, SourceError) else result.source for result in read([path])] == [
        f"{path}:1",
        ":2: a line over 1 MiB is not read; write one trial per line",
        f"{path}:3",
        ":4: a line over 1 MiB is not read, nor is what follows it; write one trial per line",
    ]


def test_a_document_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_DOCUMENT", 2**20)
    monkeypatch.setattr(sources, "MAX_RECORD", 2**20)
    many = write(tmp_path / "x.json", json.dumps([FLAT] * 10_000))
    assert problems(many) == [f"{many}: a JSON document over 1 MiB is not read; split it, or write one trial per line (JSONL)"]
    one = write(tmp_path / "x.xml", XML.replace("<phase>", "<results>" + "<r/>" * 1_000_000 + "</results><phase>"))
    assert problems(one) == [f"{one}: a study over 1 MiB of XML is not read; leave out its results"]
    row = write(tmp_path / "x.csv", "id,eligibility\n" + '1,"' + '\n","' * 400_000)
    assert problems(row)[0] == (f"{row}:2: is not a row of CSV (a row over 1 MiB); check the quotes and lengths of its fields")


@pytest.mark.parametrize("name", ["x.jsonl.xz", "x.csv"])
def test_many_trials_take_no_more_memory_than_some(tmp_path: Path, name: str) -> None:
    def peak(count: int) -> int:
        rows = [[f"NCT{number:08}", f"Age over {number}\n" * 60] for number in range(count)]
        lines = (json.dumps({"nct_id": nct_id, "eligibility": text}) + "\n" for nct_id, text in rows)
        path = write(tmp_path / name, table(["id", "eligibility"], *rows) if name == "x.csv" else "".join(lines))
        tracemalloc.start()
        try:
            assert sum(isinstance(result, Trial) for result in read([path])) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(4_000) < peak(1_000) + 2**19  # 2 MB of text lie between the two


# --- laws -------------------------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip())
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@QUICK
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=5), ascii_only=st.booleans())
def test_what_is_written_as_jsonl_is_read_back(tmp_path: Path, texts: list[str], ascii_only: bool) -> None:
    lines = "".join(json.dumps({"eligibility": text}, ensure_ascii=ascii_only) + "\n" for text in texts)
    found = trials(write(tmp_path / "x.jsonl", lines))
    assert [trial.eligibility for trial in found] == texts
    assert [trial.sha256 for trial in found] == [hashlib.sha256(text.encode()).hexdigest() for text in texts]


@QUICK
@given(texts=st.lists(ANY_TEXT.filter(lambda text: "\0" not in text), min_size=1, max_size=5))
def test_what_is_written_as_csv_is_read_back(tmp_path: Path, texts: list[str]) -> None:
    rows = [[str(number), text] for number, text in enumerate(texts)]
    found = trials(write(tmp_path / "x.csv", table(["id", "eligibility"], *rows)))
    assert [trial.eligibility for trial in found] == texts


BEGINNINGS = [
    b"",
    b"{",
    b'{"eligibility": "',
    b"[{",
    b"<?xml version='1.0'?>",
    b"id,eligibility\n",
    b"\x1f\x8b\x08",
    b"\xff\xfe",
]
BEGINNINGS += [gzip.compress(b"abc")[:-2], lzma.compress(b"abc")[:30], b"<clinical_study>", b'id,eligibility\n1,"']


@QUICK
@given(
    beginning=st.sampled_from(BEGINNINGS),
    rest=st.binary(max_size=200) | st.text('{}[]"\\:,;\n\r\tau018<>/&', max_size=60).map(str.encode),
    name=st.sampled_from(["x", "x.gz", *(f"x{suffix}" for suffix in sources.SUFFIXES)]),
)
def test_no_bytes_raise_and_none_pass_in_silence(tmp_path: Path, beginning: bytes, rest: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(beginning + rest)
    results: list[Any] = list(read([str(path)]))
    assert results
    for result in results:
        if isinstance(result, SourceError):
            assert str(result).startswith(str(path))
            assert str(result).isprintable()
        else:
            assert result.model_dump_json()

"""The command line as a user meets it: data on stdout, words on stderr, exit codes, bad input, workers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from critnlp import schema

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def critnlp(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "critnlp.cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=120,
    )


def test_extract_writes_contract_json_lines() -> None:
    run = critnlp("extract", EXAMPLES)
    assert (run.returncode, run.stderr) == (0, "")
    records = [json.loads(line) for line in run.stdout.splitlines()]
    assert {r["trial"]["nct_id"] for r in records} >= {"NCT00000001", "NCT00000003"}
    for record in records:
        jsonschema.validate(record, schema.json_schema(), jsonschema.Draft202012Validator)
        text = record["trial"]["eligibility"]
        assert [s["start"] for s in record["segments"]] == [0, *(s["end"] for s in record["segments"][:-1])]
        assert record["segments"][-1]["end"] == len(text)
        for criterion in record["criteria"]:
            assert criterion["text"] == text[criterion["start"] : criterion["end"]]
            assert (criterion["rule"]["op"] == "unsupported") is (criterion["computable"] == "unparsed")
            for entity in criterion["entities"]:
                assert entity["text"] == " ".join(text[a:b] for a, b in entity["fragments"])
    assert all(any(c["entities"] for c in r["criteria"]) for r in records)


def test_csv_has_one_row_per_criterion() -> None:
    run = critnlp("extract", EXAMPLES / "NCT00000001.json", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    expected = ["nct_id", "id", "kind", "parent_id", "cohorts", "category", "clean_text", "describe", "computable"]
    assert list(rows[0]) == expected
    assert rows[0]["nct_id"] == "NCT00000001"
    assert rows[0]["id"] == "I1"
    lines = critnlp("extract", EXAMPLES / "NCT00000001.json").stdout
    assert len(rows) == len(json.loads(lines)["criteria"])


@pytest.mark.parametrize(("sources", "several"), [(["NCT00000001.json"], False), (["NCT00000001.json", "legacy.xml"], True)])
def test_pretty_json_is_one_object_or_an_array(sources: list[str], several: bool) -> None:
    run = critnlp("extract", *(EXAMPLES / s for s in sources), "--format", "json")
    found = json.loads(run.stdout)
    assert isinstance(found, list) is several
    assert run.stdout.count("\n") > 100


def test_output_is_the_same_for_any_number_of_workers_and_in_input_order(tmp_path: Path) -> None:
    source = tmp_path / "many.jsonl"
    rows = [{"nct_id": f"NCT{i:08}", "eligibility": f"Inclusion Criteria:\n\n* Age over {i} years\n* Asthma"} for i in range(1, 80)]
    rows.insert(40, {"nct_id": "NCT99999999", "eligibility": ""})
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    one, two = critnlp("extract", source), critnlp("extract", source, "--workers", "2")
    assert one.stdout == two.stdout
    assert one.stderr == two.stderr
    assert "many.jsonl:41" in one.stderr
    assert one.returncode == two.returncode == 1
    assert [json.loads(line)["trial"]["nct_id"] for line in one.stdout.splitlines()] == [f"NCT{i:08}" for i in range(1, 80)]


def test_bad_inputs_are_named_and_the_rest_is_written(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{not json", encoding="utf-8")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\x00\x00")
    (tmp_path / "good.txt").write_text("Inclusion Criteria:\n- Gout", encoding="utf-8")
    run = critnlp("extract", tmp_path / "broken.json", tmp_path / "picture.txt", tmp_path / "absent.txt", tmp_path / "good.txt")
    assert run.returncode == 1
    assert [json.loads(line)["criteria"][0]["clean_text"] for line in run.stdout.splitlines()] == ["Gout"]
    lines = run.stderr.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ["broken.json", "picture.txt", "absent.txt"], strict=True):
        assert name in line
    assert "Traceback" not in run.stderr


def test_stdin_and_output_file(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl.gz"
    run = critnlp("extract", "-", "-o", out, stdin="Exclusion Criteria:\n\n- Pregnancy\n")
    assert (run.returncode, run.stdout) == (0, "")
    with gzip.open(out, "rt", encoding="utf-8") as file:
        assert json.loads(file.read())["criteria"][0]["id"] == "E1"


def test_an_output_may_be_the_input_and_a_failed_run_empties_nothing(tmp_path: Path) -> None:
    source = tmp_path / "trial.txt"
    source.write_text("Inclusion Criteria:\n- Gout", encoding="utf-8")
    assert critnlp("extract", source, "-o", source).returncode == 0
    assert json.loads(source.read_text(encoding="utf-8"))["criteria"][0]["text"] == "Gout"
    assert [path.name for path in tmp_path.iterdir()] == ["trial.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_clear_line() -> None:
    run = critnlp("extract", EXAMPLES / "prose.txt", "-o", "/dev/full")
    assert run.returncode == 1
    assert run.stderr.startswith("critnlp: /dev/full: cannot be written")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["extract"], "SOURCE"),
        (["extract", "x", "--format", "yaml"], "yaml"),
        (["extract", "x", "--workers", "0"], "workers"),
        (["exctract", "x"], "exctract"),
        (["extract", "x", "-o", "/no/such/folder/out.jsonl"], "/no/such/folder/out.jsonl"),
    ],
)
def test_bad_usage_is_exit_code_2(arguments: list[str], word: str) -> None:
    run = critnlp(*arguments)
    assert run.returncode == 2
    assert word in run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    run = critnlp("extract", EXAMPLES / "prose.txt", "--model", tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith(f"critnlp: {tmp_path}")
    assert run.stderr.count("\n") == 1


def test_show_prints_the_tree_and_writes_a_page(tmp_path: Path) -> None:
    shown = critnlp("show", EXAMPLES / "NCT00000001.json")
    assert shown.returncode == 0
    for words in ("NCT00000001", "I1", "E1"):
        assert words in shown.stdout
    page = tmp_path / "page.html"
    run = critnlp("show", EXAMPLES / "NCT00000001.json", "--html", page)
    assert run.returncode == 0
    html = page.read_text(encoding="utf-8")
    assert html.lower().startswith("<!doctype html>")
    assert "http://" not in html.replace("http://loinc.org", "").replace("http://www.w3.org", "")


def test_schema_prints_the_published_schema() -> None:
    run = critnlp("schema")
    assert json.loads(run.stdout) == schema.json_schema()


def test_a_closed_pipe_is_no_error() -> None:
    command = f'"{sys.executable}" -m critnlp.cli extract "{EXAMPLES}" | head -c 10'
    run = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", timeout=120)
    assert run.stderr == ""


def test_version() -> None:
    assert critnlp("--version").stdout == "critnlp 0.1.0\n"

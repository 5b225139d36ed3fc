"""`critnlp gold …` as an annotator uses it: what each command writes, says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from critnlp.cli import app
from test_gold import LINES


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["gold", *map(str, arguments)])


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text(LINES, encoding="utf-8")
    done = run("compile", tmp_path / "a.txt", "--annotator", "a:person", "-o", tmp_path / "gold.jsonl")
    assert done.exit_code == 0, done.stderr
    return tmp_path / "gold.jsonl"


@pytest.fixture
def stand_off(gold: Path) -> Path:
    done = run("strip", gold, "-o", gold.with_name("bare.jsonl"))
    assert done.exit_code == 0, done.stderr
    return gold.with_name("bare.jsonl")


def texts(folder: Path, eligibility: str) -> Path:
    (folder / "texts.jsonl").write_text(json.dumps({"nct_id": "G1", "eligibility": eligibility}) + "\n", encoding="utf-8")
    return folder / "texts.jsonl"


TEXT = "Inclusion Criteria:\n\n* Age 18 years or older\n* No history of stroke or of a seizure"


def test_what_cannot_be_compiled_is_named_and_the_rest_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(LINES.replace("E THRESHOLD", "E BOUND"), encoding="utf-8")
    done = run("compile", tmp_path / "a.txt", "-o", tmp_path / "gold.jsonl")
    assert done.exit_code == 1
    assert f"{tmp_path / 'a.txt'}:9: 'BOUND | 18 years or older': 'BOUND' is no label" in done.stderr
    (record,) = [json.loads(line) for line in (tmp_path / "gold.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [criterion["id"] for criterion in record["criteria"]] == ["I1", "I2"]


def test_an_annotator_is_a_person_or_a_model(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(LINES, encoding="utf-8")
    done = run("compile", tmp_path / "a.txt", "--annotator", "a:robot")
    assert done.exit_code == 2
    assert "ID:person or ID:model" in " ".join(done.stderr.split())


def test_stand_off_gold_has_no_text_and_gets_it_back(gold: Path, stand_off: Path) -> None:
    assert "seizure" not in stand_off.read_text(encoding="utf-8").replace('"name":"seizure"', "")
    done = run("hydrate", stand_off, "--texts", texts(gold.parent, TEXT), "-o", gold.with_name("whole.jsonl"))
    assert done.exit_code == 0, done.stderr
    whole = json.loads(gold.with_name("whole.jsonl").read_text(encoding="utf-8"))
    assert whole["criteria"] == json.loads(gold.read_text(encoding="utf-8"))["criteria"]


def test_a_text_that_has_moved_is_realigned_and_what_is_lost_is_named(gold: Path, stand_off: Path) -> None:
    moved = TEXT.replace("* Age", "* Weight above 45 kg\n* Age").replace("of a seizure", "of seizures")
    done = run("hydrate", stand_off, "--texts", texts(gold.parent, moved), "-o", gold.with_name("whole.jsonl"))
    assert "critnlp: G1 I2: the text has moved and this is not placed" in done.stderr
    (age,) = json.loads(gold.with_name("whole.jsonl").read_text(encoding="utf-8"))["criteria"]
    assert moved[age["start"] : age["end"]] == age["text"] == "Age 18 years or older"


def test_a_trial_without_a_text_is_named(stand_off: Path) -> None:
    (stand_off.parent / "other.csv").write_text("nct_id,eligibility\nG2,Age above 5\n", encoding="utf-8")
    done = run("hydrate", stand_off, "--texts", stand_off.parent / "other.csv")
    assert done.exit_code == 1
    assert "G1: none of the sources holds its text" in done.stderr


def test_check_passes_good_gold_and_fails_slips(gold: Path) -> None:
    done = run("check", gold)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "1 trials: 0 errors, 0 warnings" in done.stderr
    gold.write_text(gold.read_text(encoding="utf-8").replace('"tail":"I1.e2"', '"tail":"I1.e1"'), encoding="utf-8")
    done = run("check", gold)
    assert done.exit_code == 1
    assert "G1 I1: error relation: the tail of has_value is DEMOGRAPHIC 'Age'" in done.stdout


def test_compact_form_is_written_and_compiled_again(gold: Path) -> None:
    assert run("write", gold, "-o", gold.with_name("b.txt")).exit_code == 0
    done = run("compile", gold.with_name("b.txt"), "--texts", texts(gold.parent, TEXT), "--annotator", "a:person")
    assert json.loads(done.stdout)["criteria"] == json.loads(gold.read_text(encoding="utf-8"))["criteria"]


def test_statistics_as_json(gold: Path) -> None:
    counts = json.loads(run("stats", gold, "--json").stdout)
    assert counts["set"]["criteria"] == 2
    assert counts["label"]["CONDITION"] == 2


@pytest.mark.parametrize("format", ["brat", "corpus", "docbin", "dataset"])
def test_other_formats_lose_nothing(gold: Path, format: str) -> None:
    out = gold.with_name(f"out.{format}")
    done = run("convert", gold, "--to", format, "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "does not carry" not in done.stderr
    assert run("import", out, "--from", format).stdout == gold.read_text(encoding="utf-8")


def test_labels_of_a_corpus_are_mapped_and_what_has_no_counterpart_is_counted(tmp_path: Path) -> None:
    text = "Patients with asthma and a big house"
    record: dict[str, object] = {
        "id": "1", "nct_id": None, "section": None, "text": text,
        "entities": [
            {"id": "T1", "label": "Condition", "spans": [[14, 20]], "text": "asthma", "attributes": {}},
            {"id": "T2", "label": "Subjective_judgement", "spans": [[27, 30]], "text": "big", "attributes": {}},
        ],
        "relations": [], "groups": [], "events": [], "source": {},
    }  # fmt: skip
    (tmp_path / "chia.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    done = run("import", tmp_path / "chia.jsonl", "--from", "corpus", "--labels", "chia")
    (criterion,) = json.loads(done.stdout)["criteria"]
    assert [entity["label"] for entity in criterion["entities"]] == ["CONDITION"]
    assert "1 of entity Subjective_judgement have no counterpart" in done.stderr


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    for command in (["check"], ["stats"], ["strip"]):
        done = run(*command, tmp_path / "none.jsonl")
        assert done.exit_code == 1, command
        assert "none.jsonl: cannot be read" in done.stderr
    done = run("import", tmp_path / "none.spacy", "--from", "docbin")
    assert done.exit_code == 1
    assert "cannot be read" in done.stderr


def test_who_annotated_survives_the_compact_form_and_a_corrector_comes_to_them(gold: Path) -> None:
    assert run("write", gold, "-o", gold.with_name("b.txt")).exit_code == 0
    done = run("compile", gold.with_name("b.txt"), "--texts", texts(gold.parent, TEXT), "--annotator", "me:person")
    assert json.loads(done.stdout)["annotation"]["annotators"] == [{"id": "a", "type": "person"}, {"id": "me", "type": "person"}]


def test_a_file_is_left_as_it_is_where_nothing_could_be_read(gold: Path) -> None:
    before = gold.read_text(encoding="utf-8")
    for command in (["write"], ["strip"], ["hydrate"]):
        done = run(*command, gold.with_name("none.jsonl"), "-o", gold)
        assert done.exit_code == 1
        assert "nothing could be read" in done.stderr
    done = run("compile", gold, "-o", gold)
    assert "this is JSON, and no compact annotation" in done.stderr
    assert gold.read_text(encoding="utf-8") == before


def test_a_lost_criterion_line_does_not_merge_two_criteria(tmp_path: Path) -> None:
    lost = "\n".join(line for line in LINES.splitlines() if not line.startswith("C I2"))
    (tmp_path / "a.txt").write_text(lost, encoding="utf-8")
    done = run("compile", tmp_path / "a.txt", "-o", tmp_path / "gold.jsonl")
    assert done.exit_code == 1
    assert "I1: a second T line; is the C line of a criterion missing?" in done.stderr
    assert "I1: a second R line" in done.stderr


def test_a_byte_order_mark_and_crlf_are_no_fault(tmp_path: Path, gold: Path) -> None:
    (tmp_path / "w.txt").write_bytes(b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode())
    done = run("compile", tmp_path / "w.txt", "--annotator", "a:person")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["criteria"] == json.loads(gold.read_text(encoding="utf-8"))["criteria"]


def test_a_file_that_is_no_docbin_is_named(gold: Path) -> None:
    done = run("import", gold, "--from", "docbin")
    assert done.exit_code == 1
    assert "this is no DocBin; name its format with --from" in done.stderr


def test_a_registry_that_cannot_be_reached_is_not_asked_for_every_trial(gold: Path) -> None:
    line = gold.read_text(encoding="utf-8")
    many = "".join(line.replace('"G1"', f'"NCT0000000{number}"') for number in range(1, 8))
    gold.write_text(many, encoding="utf-8")
    run("strip", gold, "-o", gold.with_name("bare.jsonl"))
    done = run("hydrate", gold.with_name("bare.jsonl"), "--base", "not-a-url", "--cache", gold.parent / "cache")
    assert done.exit_code == 1
    assert "the first three texts cannot be had; the others are not asked for" in done.stderr
    assert "NCT00000004" not in done.stderr

"""`critnlp score` and `gold agree` as a researcher uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from critnlp.cli import app
from test_gold import LINES
from test_gold_commands import run as gold_run


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    """Two trials: the second is the first again under another name."""
    (tmp_path / "a.txt").write_text(LINES + LINES.replace("## G1", "## G2"), encoding="utf-8")
    done = gold_run("compile", tmp_path / "a.txt", "--annotator", "a:person", "-o", tmp_path / "gold.jsonl")
    assert done.exit_code == 0, done.stderr
    return tmp_path / "gold.jsonl"


def worse(gold: Path) -> Path:
    """The same annotation with a wrong bound, a lost entity and a wrong label in each trial."""
    text = gold.read_text(encoding="utf-8").replace('"low":"18"', '"low":"16"').replace('"label":"DEMOGRAPHIC"', '"label":"LAB"')
    gold.with_name("pred.jsonl").write_text(text, encoding="utf-8")
    return gold.with_name("pred.jsonl")


def rows(text: str) -> dict[tuple[str, str], float]:
    return {(row["family"], row["name"]): row["value"] for row in json.loads(text)["rows"]}


def test_gold_against_itself_is_one(gold: Path) -> None:
    done = run("--gold", gold, "--pred", gold, "--json")
    assert done.exit_code == 0, done.stderr
    assert set(rows(done.stdout).values()) == {1.0}


def test_the_pipeline_is_scored_where_no_predictions_are_given(gold: Path) -> None:
    done = run("--gold", gold, "--json")
    assert done.exit_code == 0, done.stderr
    found = rows(done.stdout)
    assert found["criteria", "exact"] == 1.0
    assert found["facts", "age"] == 1.0


def test_what_changed_is_shown(gold: Path) -> None:
    old = run("--gold", gold, "--pred", worse(gold), "--json")
    gold.with_name("old.json").write_text(old.stdout, encoding="utf-8")
    done = run("--gold", gold, "--pred", gold, "--compare", gold.with_name("old.json"))
    assert done.exit_code == 0, done.stderr
    assert "facts: age" in done.stdout
    assert "better" in done.stdout
    assert "worse" not in done.stdout


def test_the_page_shows_each_error_in_its_text(gold: Path) -> None:
    done = run("--gold", gold, "--pred", worse(gold), "--html", gold.with_name("page.html"))
    assert done.exit_code == 0, done.stderr
    page = gold.with_name("page.html").read_text(encoding="utf-8")
    assert ["Age", "18", "years", "or", "older"][0] in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "value" in page
    assert "label" in page


def test_only_a_split_is_scored(gold: Path) -> None:
    splits = gold.with_name("splits.csv")
    splits.write_text("nct_id,split\nG1,dev\nG2,test\n", encoding="utf-8")
    done = run("--gold", gold, "--pred", gold, "--splits", splits, "--split", "dev", "--json")
    assert json.loads(done.stdout)["trials"] == ["G1"]
    done = run("--gold", gold, "--pred", gold, "--splits", splits, "--split", "train")
    assert done.exit_code == 1
    assert run("--gold", gold, "--split", "dev").exit_code == 2


def test_phenomena_and_the_annotators_agreement_stand_beside(gold: Path) -> None:
    agreed = gold_run("agree", gold, worse(gold), "--json", "--disagreements", gold.with_name("list.csv"))
    gold.with_name("agree.json").write_text(agreed.stdout, encoding="utf-8")
    done = run("--gold", gold, "--pred", gold, "--phenomena", "--annotators", gold.with_name("agree.json"))
    assert done.exit_code == 0, done.stderr
    assert "annotators" in done.stdout
    assert "threshold " in done.stdout
    listed = gold.with_name("list.csv").read_text(encoding="utf-8").splitlines()
    assert listed[0] == "trial,item,type,label,first,second,detail"
    assert sum(",fact,value," in line for line in listed) == 2


def test_other_json_is_no_saved_score(gold: Path) -> None:
    gold.with_name("old.json").write_text("{}", encoding="utf-8")
    done = run("--gold", gold, "--pred", gold, "--compare", gold.with_name("old.json"))
    assert done.exit_code == 1
    assert "old.json: these are no saved scores" in str(done.exception)


def test_predictions_that_cannot_be_scored_are_refused(gold: Path) -> None:
    other = gold.with_name("other.jsonl")
    other.write_text(gold.read_text(encoding="utf-8").replace('"G1"', '"X1"').replace('"G2"', '"X2"'), encoding="utf-8")
    done = run("--gold", gold, "--pred", other)
    assert done.exit_code == 1
    assert "none of its 2 trials is in the gold" in str(done.exception)
    done = run("--gold", gold, "--pred", gold.with_name("pred.csv"))
    assert "critnlp extract --format jsonl" in str(done.exception)


def test_damaged_gold_is_named_before_its_score(gold: Path) -> None:
    gold.write_text(
        gold.read_text(encoding="utf-8").replace('"end":44,"fragments":[[27,44]]', '"end":999,"fragments":[[27,999]]'),
        encoding="utf-8",
    )
    done = run("--gold", gold, "--pred", gold)
    assert done.exit_code == 1
    assert "the gold is damaged, and so is its score: G1 I1 I1.e2: error offset" in done.stderr


def test_scores_of_a_pipeline_are_no_agreement(gold: Path) -> None:
    gold.with_name("scores.json").write_text(run("--gold", gold, "--pred", gold, "--json").stdout, encoding="utf-8")
    done = run("--gold", gold, "--pred", gold, "--annotators", gold.with_name("scores.json"))
    assert done.exit_code == 1
    assert "these are no scores of two annotators" in str(done.exception)

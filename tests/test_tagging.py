"""The tagger: phrases and their mentions, slices of the source under every layout, the pipe on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from critnlp import lexicon, schema, tagging
from critnlp.errors import ModelError
from critnlp.tagging import CriterionTagger, Mention, Patterns, Terms, blank_pipeline, tag_trial

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "en_critnlp"
CASES = [
    (row["phrase"], row["expected"])
    for _, row in lexicon.parse((ROOT / "tests/cases/tagging.csv").read_text(encoding="utf-8"), "tagging.csv")
]
TERMS = """label,term,variants,match
CONDITION,heart,,
CONDITION,heart failure,cardiac failure|HF,
CONDITION,non-small cell cancer,,
LAB,prothrombin time,,
LAB,PT,,case
LAB,absolute neutrophil count,ANC,
DRUG,steroid,,
BIOMARKER,HER-2,,case
"""


def terms(text: str = TERMS) -> Terms:
    return Terms(row for _, row in lexicon.parse(text, "terms.csv"))


def shown(text: str, mentions: Iterable[Mention]) -> list[str]:
    return [f"{m.label}|{'+'.join(text[start:end] for start, end in m.fragments)}" for m in mentions]


@pytest.fixture(scope="module")
def nlp() -> spacy.language.Language:
    return blank_pipeline()


@pytest.fixture(scope="module")
def tagger() -> CriterionTagger:
    return CriterionTagger()


@pytest.mark.parametrize(("phrase", "expected"), CASES)
def test_a_phrase_holds_its_mentions(tagger: CriterionTagger, phrase: str, expected: str) -> None:
    wanted = expected.split(" ; ") if expected else []
    # A phrase with nothing to find must hold no name and no value; qualifiers and the like belong to other tables.
    labels = {pair.partition("|")[0] for pair in wanted} or {"CONDITION", "DRUG", "PROCEDURE", "THRESHOLD", "STAGING"}
    found = [pair for pair in shown(phrase, tagger.mentions(phrase)) if pair.partition("|")[0] in labels]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("heart failure", ["CONDITION|heart failure"]),
        ("Heart  failure", ["CONDITION|Heart"]),  # a clean text has no double blank; two words apart are two words
        ("HEART-FAILURES", ["CONDITION|HEART-FAILURES"]),
        ("heartfailure", []),
        ("Nonsmall-cell cancer", ["CONDITION|Nonsmall-cell cancer"]),
        ("PT and pt", ["LAB|PT"]),
        ("steroids", ["DRUG|steroids"]),
        ("HER2 or HER 2", ["BIOMARKER|HER2", "BIOMARKER|HER 2"]),
        ("her2", []),
        ("absolute neutrophil counts (ANC)", ["LAB|absolute neutrophil counts"]),
    ],
)
def test_terms_are_read_as_written(text: str, expected: list[str]) -> None:
    assert shown(text, tagging.settle(m for m in terms().find(text) if m.start == 0 or "or" in text)) == expected


def test_a_bracketed_abbreviation_belongs_to_its_name() -> None:
    tagger = CriterionTagger(terms=terms())
    text = "Absolute neutrophil count (ANC) or prothrombin time (PT)"
    assert shown(text, tagger.mentions(text)) == ["LAB|Absolute neutrophil count (ANC)", "LAB|prothrombin time (PT)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ECOG 0 or 1", ["SCALE|ECOG", "THRESHOLD|0 or 1"]),
        ("ECOG performance status of 0-2", ["SCALE|ECOG", "THRESHOLD|0-2"]),
        ("ECOG: ≤ 2", ["SCALE|ECOG", "THRESHOLD|≤ 2"]),
        ("ECOG 0, 1 or 2", ["SCALE|ECOG", "THRESHOLD|0, 1 or 2"]),
        ("sodium of 130 or so", ["LAB|sodium", "THRESHOLD|130"]),
        (
            "creatinine clearance (Cockroft) > 60 mL/min",
            ["LAB|creatinine clearance (Cockroft)", "THRESHOLD|> 60 mL/min"],
        ),
        ("ECOG in 2 centres", ["SCALE|ECOG"]),
        ("Age: 18 to 65", ["DEMOGRAPHIC|Age", "THRESHOLD|18 to 65"]),
    ],
)
def test_a_number_right_behind_a_name_is_its_value(text: str, expected: list[str]) -> None:
    rows = "label,term,variants,match\nSCALE,ECOG,,case\nLAB,sodium,creatinine clearance,\nDEMOGRAPHIC,age,,\n"
    assert shown(text, CriterionTagger(terms=terms(rows)).mentions(text)) == expected


def test_of_one_label_the_longest_stands() -> None:
    assert shown("heart failure", CriterionTagger(terms=terms()).mentions("heart failure")) == ["CONDITION|heart failure"]


def test_an_unknown_label_is_a_fault_of_the_table() -> None:
    with pytest.raises(ModelError, match="ILLNESS"):
        terms("label,term,variants,match\nILLNESS,cold,,\n")


def test_a_broken_pattern_is_named() -> None:
    row = MappingProxyType({"label": "LAB", "behind": "", "needs": "", "pattern": "(?&absent)x", "match": ""})
    with pytest.raises(ModelError, match="absent"):
        Patterns([row])


@pytest.mark.parametrize("row", lexicon.table("patterns"), ids=lambda row: f"{row['label']}:{row['pattern'][:25]}")
def test_a_pattern_row_has_a_label_of_the_contract(row: lexicon.Row) -> None:
    assert row["label"].islower() or row["label"] in get_args(schema.Label)
    assert row["behind"] in ("", *get_args(schema.Label))
    assert row["match"] in ("", "case", "word")
    assert ("(?P<m>" in row["pattern"]) == bool(row["behind"])


# --- a trial ----------------------------------------------------------------------------------------------------------


def criterion(text: str, id: str = "I1", *fragments: tuple[int, int]) -> schema.Criterion:
    """A criterion over all of `text` or over the given fragments of it."""
    own = fragments or ((0, len(text)),)
    rule = schema.Unsupported(reason="unparsed")
    start, end = own[0][0], own[-1][1]
    return schema.Criterion(id=id, kind="inclusion", start=start, end=end, fragments=own, text=text[start:end], rule=rule)


def test_entities_are_numbered_in_text_order_and_know_nothing_more(nlp: spacy.language.Language) -> None:
    text = "Stage IV lung cancer within 6 months prior to randomization"
    (tagged,) = tag_trial(text, [criterion(text)], nlp)
    assert [(e.id, e.label, e.text, e.layer) for e in tagged.entities] == [
        ("I1.e1", "STAGING", "Stage IV", "rules"),
        ("I1.e2", "CONDITION", "lung cancer", "lexicon"),
        ("I1.e3", "TEMPORAL", "within 6 months prior to randomization", "rules"),
    ]
    assert all(e.attributes is None and e.codes == () for e in tagged.entities)


def test_a_mention_across_two_fragments_has_two(nlp: spacy.language.Language) -> None:
    text = "stroke within (a) one thing 28 days"
    own = ((0, 13), (28, len(text)))
    (tagged,) = tag_trial(text, [criterion(text, "I1", *own)], nlp)
    window = next(e for e in tagged.entities if e.label == "TEMPORAL")
    assert (window.text, window.fragments) == ("within 28 days", ((7, 13), (28, 35)))


def test_a_pipeline_without_a_tagger_is_refused() -> None:
    with pytest.raises(ModelError, match="critnlp_tagger"):
        tag_trial("", [], spacy.blank("en"))


PHRASES = [phrase for phrase, _ in CASES]


def layouts(text: str, how: str) -> str:
    """The text as another registry would lay it out."""
    changed = {
        "escapes": text.replace(">", "\\>").replace("<", "\\<").replace("≥", "\\>=").replace("*", "\\*"),
        "wraps": text.replace(" ", "\n     "),
        "crlf": text.replace(" ", "\r\n"),
        "breaks": text.replace(" ", " <br> "),
        "entities": text.replace(">", "&gt;").replace("<", "&lt;"),
        "plain": text,
    }
    return changed[how]


@given(
    st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3),
    st.sampled_from(["escapes", "wraps", "crlf", "breaks", "entities", "plain"]),
    st.integers(0, 60),
)
@settings(max_examples=150, deadline=None)
def test_every_entity_is_its_slice_and_lies_in_its_criterion(phrases: list[str], how: str, cut: int) -> None:
    text = "- " + "; ".join(layouts(phrase, how) for phrase in phrases)
    middle = min(max(3, cut), len(text) - 1)
    own = ((2, middle), (middle, len(text)))
    for fragments in (((2, len(text)),), own):
        (tagged,) = tag_trial(text, [criterion(text, "I1", *fragments)], NLP)
        for entity in tagged.entities:
            assert entity.text == " ".join(text[start:end] for start, end in entity.fragments)
            assert (entity.start, entity.end) == (entity.fragments[0][0], entity.fragments[-1][1])
            assert all(any(low <= s < e <= high for low, high in fragments) for s, e in entity.fragments)
            assert all(text[s:e] == text[s:e].strip() for s, e in entity.fragments)


NLP = blank_pipeline()


@pytest.mark.parametrize("how", ["escapes", "wraps", "crlf", "breaks", "entities"])
@pytest.mark.parametrize("phrase", PHRASES)
def test_layout_changes_no_label(phrase: str, how: str) -> None:
    text = layouts(phrase, how)
    (plain,), (laid,) = (tag_trial(t, [criterion(t)], NLP) for t in (phrase, text))
    # "≥" escaped reads ">=", which is the same comparison in two characters.
    assert [e.label for e in plain.entities] == [e.label for e in laid.entities]


# --- the pipe ---------------------------------------------------------------------------------------------------------


def test_the_pipe_writes_labelled_spans_and_no_ents(nlp: spacy.language.Language) -> None:
    doc = nlp("hypersensitivity to paclitaxel")
    assert [(span.text, span.label_) for span in doc.spans["critnlp"]] == [
        ("hypersensitivity to paclitaxel", "CONDITION"),
        ("paclitaxel", "DRUG"),
    ]
    assert doc.ents == ()


def test_the_settings_survive_bytes_and_disk(tmp_path: Path) -> None:
    pipe = CriterionTagger(spans_key="mine")
    assert CriterionTagger().from_bytes(pipe.to_bytes()).spans_key == "mine"
    pipe.to_disk(tmp_path / "pipe")
    assert CriterionTagger().from_disk(tmp_path / "pipe").spans_key == "mine"
    nlp = spacy.blank("en")
    nlp.add_pipe("critnlp_tagger", config={"spans_key": "mine"})
    copy = spacy.blank("en")
    copy.add_pipe("critnlp_tagger")
    assert list(copy.from_bytes(nlp.to_bytes())("stage IV").spans) == ["mine"]


def test_tagged_docs_survive_bytes(nlp: spacy.language.Language) -> None:
    doc = nlp("stage IV lung cancer")
    again = spacy.tokens.Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert [(s.text, s.label_) for s in again.spans["critnlp"]] == [(s.text, s.label_) for s in doc.spans["critnlp"]]
    assert len(doc.spans["critnlp"]) == 2


def test_the_shipped_pipeline_is_in_step_with_the_code(tmp_path: Path) -> None:
    tagging.write_model(tmp_path / "model")
    fresh, shipped = (spacy.util.load_config(folder / "config.cfg") for folder in (tmp_path / "model", MODEL))
    assert fresh == shipped, "write it again: critnlp.tagging.write_model('models/en_critnlp')"
    for name in ("critnlp_tagger/settings.json", "tokenizer"):
        assert (MODEL / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    assert sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file()) < 1_000_000


def test_spacy_opens_the_shipped_pipeline_through_the_entry_point(tmp_path: Path) -> None:
    # An installation in miniature, so that the test holds in a clone that was never installed.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (info := tmp_path / "critnlp-0.1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: critnlp\nVersion: 0.1.0\n", encoding="utf-8")
    lines = [f"{name} = {target}" for name, target in project["entry-points"]["spacy_factories"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[spacy_factories]", *lines, ""]), encoding="utf-8")
    code = (
        f"import spacy; doc = spacy.load({str(MODEL)!r})('stage IV lung cancer');"
        "print([(s.text, s.label_) for s in doc.spans['critnlp']])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[('stage IV', 'STAGING'), ('lung cancer', 'CONDITION')]", done.stderr

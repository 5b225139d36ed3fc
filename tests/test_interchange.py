"""Documents travel through every format and back unchanged; what is broken or edited is said, never lost in silence."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import lzma
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin, Span

from critnlp import lexicon, schema
from critnlp.errors import AnnotationError, ModelError, OutputError
from critnlp.interchange import (
    CRITERION,
    Comment,
    Document,
    Format,
    Link,
    Mention,
    document_of,
    from_brat,
    from_dataset,
    from_docbin,
    losses,
    map_labels,
    parsed_of,
    read_brat,
    read_brat_folder,
    read_corpus,
    to_brat,
    to_dataset,
    to_docbin,
    unseen,
    write_brat,
    write_corpus,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import tagging as benchmark

FORMATS = get_args(Format)


# --- made documents ---------------------------------------------------------------------------------------------------

# Everything that has broken an annotation tool: line ends of all kinds, tabs, signs of brat's own, characters beyond 16 bits.
PIECES = [
    "a",
    "ULN",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "≥ 3",
    "😀",
    "e\u0301",
    "\u2028",
    "\x85",
    "\x0b",
    "\ufeff",
    ";",
    "T1",
    "#",
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join)
NAMES = st.sampled_from(
    ["Condition", "c-Cause", "two words", "Größe", "", "A:B", "T1", "critnlp", "tab\tbed", "LAB", "Name2", "Name"]
)
STRINGS = st.one_of(
    st.sampled_from(PIECES), st.sampled_from(["current", "true", "1", "", " lead", "NCT00000001_exc", "R1", "E1.1"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), STRINGS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(STRINGS, inner, max_size=2)),
    max_leaves=4,
)
MARKS = st.dictionaries(NAMES, VALUES, max_size=3)


def pieces_of(draw: st.DrawFn, text: str) -> list[list[int]]:
    """One to three fragments of the text, in order and apart."""
    most = min(3, (len(text) + 1) // 2)
    borders = st.lists(st.integers(0, len(text)), min_size=2, max_size=2 * most, unique=True).map(sorted)
    cuts = draw(borders)
    return [[cuts[i], cuts[i + 1]] for i in range(0, len(cuts) - 1, 2)]


def mention_of(text: str, identifier: str, label: str, spans: list[list[int]], **attributes: Any) -> dict[str, Any]:
    quoted = " ".join(text[start:end] for start, end in spans)
    return {"id": identifier, "label": label, "spans": spans, "text": quoted, "attributes": attributes}


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Documents with nested, overlapping and discontinuous entities, events in events, and names that no format likes."""
    text = draw(TEXTS)
    pool = st.sampled_from([*(f"{kind}{n}" for kind in "TRE" for n in range(1, 8)), "I1.e1", "a b", "", "document", "E1.1", "T01"])
    ids = draw(st.lists(pool, max_size=11, unique=True))
    count = draw(st.integers(0, len(ids)))
    mentions, rest = ids[:count], ids[count:]
    entities = [{**mention_of(text, one, draw(NAMES), pieces_of(draw, text)), "attributes": draw(MARKS)} for one in mentions]
    if not mentions:
        return Document(id=draw(STRINGS), text=text, source=draw(MARKS), section=draw(st.none() | STRINGS))
    half = draw(st.integers(0, len(rest)))
    some = st.sampled_from(mentions)
    any_ = st.sampled_from([*mentions, *rest[:half]])
    events: list[dict[str, Any]] = []
    for one in rest[:half]:
        args = draw(st.lists(st.tuples(NAMES, any_), max_size=3))
        events.append({"id": one, "type": draw(NAMES), "trigger": draw(some), "args": args, "attributes": draw(MARKS)})
    triggers = {event["id"]: event["trigger"] for event in events}
    for event in events:
        true = draw(st.booleans())
        event["args"] = [
            {"role": role, "ref": ref, "target": triggers.get(ref, ref) if true else draw(some)} for role, ref in event["args"]
        ]
    relations = [
        {"id": one, "type": draw(NAMES), "head": draw(any_), "tail": draw(any_), "kind": draw(NAMES), "attributes": draw(MARKS)}
        for one in rest[half:]
    ]
    used = set(ids)
    derived = [
        {"id": f"{event['id']}.{n}", "type": arg["role"], "head": event["trigger"], "tail": arg["target"], "kind": "argument"}
        for event in events
        for n, arg in enumerate(event["args"], start=1)
    ]
    relations += [link for link in derived if link["id"] not in used and not used.add(link["id"])]  # type: ignore[func-returns-value]
    notes: st.SearchStrategy[dict[str, Any]] = st.builds(
        dict, type=NAMES, target=st.sampled_from([*ids, "elsewhere", "T1"]), text=STRINGS
    )
    return Document.model_validate(
        {
            "id": draw(STRINGS),
            "nct_id": draw(st.none() | STRINGS),
            "section": draw(st.none() | STRINGS),
            "text": text,
            "entities": entities,
            "relations": draw(st.permutations(relations)),
            "groups": draw(st.lists(st.builds(dict, type=NAMES, members=st.lists(any_, max_size=3)), max_size=2)),
            "events": events,
            "source": draw(MARKS),
            "notes": draw(st.lists(notes, max_size=3)),
            "lines": draw(st.lists(st.sampled_from(["N1\tReference T1 a:1\tb", "N2\tx", "junk", "N3\ta\nT9"]), max_size=2)),
            "sections": draw(VALUES),
        }
    )


LABELS = get_args(schema.Label)
EXTRA = st.dictionaries(st.sampled_from(["fingerprint", "seen by"]), VALUES, max_size=1)
RULES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.sampled_from(
        [
            {"op": "unsupported", "text": "as\u2028judged", "reason": "vague"},
            {"op": "criterion", "id": "I1.1"},
            {
                "op": "fact",
                "about": "lab",
                "name": "alanine aminotransferase",
                "range": {"high": "2.5", "high_inclusive": True, "relative_to": "ULN", "relation": "ratio", "unit": "1"},
                "windows": [{"relation": "within", "high": "14", "unit": "d", "anchor": "enrollment"}],
                "entities": ["I1.e1"],
            },
        ]
    ),
    lambda inner: st.one_of(
        st.builds(dict, op=st.just("any_of"), rules=st.lists(inner, max_size=2)),
        st.builds(dict, op=st.just("not"), rule=inner),
        st.builds(lambda a, b: {"op": "if", "if": a, "then": b}, inner, inner),
    ),
    max_leaves=3,
)


@st.composite
def trials(draw: st.DrawFn) -> schema.ParsedTrial:
    """Hydrated gold over odd texts, with fields that only a newer version knows."""
    text = draw(TEXTS)
    criteria = []
    for number in range(1, draw(st.integers(0, 3)) + 1):
        own = f"{draw(st.sampled_from('IEU'))}{number}"
        entities = []
        for count in range(1, draw(st.integers(0, 3)) + 1):
            spans = pieces_of(draw, text)
            label = draw(st.sampled_from(LABELS))
            said = {"negated": draw(st.booleans()), "status": draw(st.sampled_from(["current", "history"])), **draw(EXTRA)}
            entity = mention_of(text, f"{own}.e{count}", label, spans) | {"start": spans[0][0], "end": spans[-1][1]}
            entity |= {"fragments": entity.pop("spans"), "attributes": draw(st.none() | st.just(said)), **draw(EXTRA)}
            entity |= {"layer": draw(st.sampled_from(["rules", "a layer"])), "confidence": draw(st.sampled_from([1.0, 0.25]))}
            entity["codes"] = draw(st.lists(st.just({"system": "http://loinc.org", "code": "1742-6"}), max_size=1))
            entities.append(entity)
        ends = st.sampled_from([entity["id"] for entity in entities] or [""])
        link: st.SearchStrategy[dict[str, Any]] = st.builds(
            dict, type=st.sampled_from(get_args(schema.RelationType)), head=ends, tail=ends, certain=VALUES
        )
        spans = pieces_of(draw, text)
        start, end = spans[0][0], spans[-1][1]
        criteria.append(
            {
                "id": own,
                "kind": draw(st.sampled_from(get_args(schema.Kind))),
                "parent_id": draw(st.none() | st.just("I 1")),
                "cohorts": draw(st.lists(STRINGS, max_size=2)),
                "start": start,
                "end": end,
                "fragments": draw(st.sampled_from([spans, []])),
                "text": draw(st.sampled_from([text[start:end], ""])),
                "clean_text": draw(STRINGS),
                "category": draw(st.sampled_from(get_args(schema.Category))),
                "entities": entities,
                "relations": draw(st.lists(link, max_size=2)) if entities else [],
                "rule": draw(RULES),
                "describe": draw(STRINGS),
                **draw(EXTRA),
            }
        )
    sha = hashlib.sha256(text.encode()).hexdigest()
    record: dict[str, Any] = {
        "critnlp_version": "0.1.0",
        "pipeline": {"name": "gold", "version": "1"},
        "trial": {"nct_id": draw(st.none() | st.just("NCT00000009")), "eligibility": text, "sha256": sha, **draw(EXTRA)},
        "criteria": criteria,
        "segments": [{"type": "criterion", "start": 0, "end": len(text), "criterion": criterion["id"]} for criterion in criteria],
        "warnings": draw(st.lists(st.just({"code": "duplicate", "message": "twice"}), max_size=1)),
        **draw(EXTRA),
    }
    if draw(st.booleans()):
        record["annotation"] = {"annotators": [{"id": "a", "type": "person"}], "guideline_version": "1.0"}
    return schema.ParsedTrial.model_validate(record)


# --- corpus records ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.xz"])
@given(written=st.lists(documents(), max_size=3))
def test_corpus_records_come_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, written: list[Document]) -> None:
    path = tmp_path_factory.mktemp("corpus") / f"records.{suffix}"
    assert write_corpus(written, path) == len(written)
    assert list(read_corpus(path)) == written


RECORD: dict[str, Any] = {
    "id": "d1",
    "nct_id": "NCT00000009",
    "section": None,
    "text": "No fever.\nALT ≤ 3",
    "entities": [
        mention_of("No fever.\nALT ≤ 3", "T1", "Lab", [[10, 13]]),
        mention_of("No fever.\nALT ≤ 3", "T2", "Cue", [[0, 2]]),
    ],
    "relations": [{"id": "R1", "type": "Has", "head": "T1", "tail": "T2", "kind": "relation"}],
    "groups": [],
    "events": [],
    "source": {},
}


def changed(**fields: Any) -> dict[str, Any]:
    return RECORD | fields


def entity(**fields: Any) -> dict[str, Any]:
    return changed(entities=[RECORD["entities"][0] | fields], relations=[])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "no JSON object"),
        ('{"id": NaN}', "NaN is no JSON number"),
        ('{"id": "\\ud83d"}', "half a character"),
        (entity(spans=[[9, 13]]), "quotes 'ALT' but its offsets hold '\\nALT'; was the text saved again"),
        (entity(spans=[[10, 40]]), "in a text of 17 characters"),
        (entity(spans=[[13, 10]]), "has the offsets"),
        (entity(spans=[]), "entities.0.spans"),
        (entity(spans=[["10", 13]]), "entities.0.spans.0.0"),
        (entity(spans=[[True, 13]]), "entities.0.spans.0.0"),
        (entity(attributes=[]), "entities.0.attributes"),
        (changed(text=None), "text: Input should be a valid string, found 'None'"),
        ({key: value for key, value in RECORD.items() if key != "id"}, "id: field required"),
        (changed(relations=[RECORD["relations"][0] | {"tail": "T9"}]), "relation R1 points to 'T9'"),
        (changed(groups=[{"type": "OR", "members": ["T1", "T7"]}]), "'T7'"),
        (changed(events=[{"id": "E1", "type": "Lab", "trigger": "T5", "args": []}]), "event E1 points to 'T5'"),
        (changed(entities=RECORD["entities"] * 2), "stands 2 times"),
    ],
)
def test_a_broken_record_is_named_and_the_others_are_read(tmp_path: Path, line: Any, said: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join([json.dumps(RECORD), line if isinstance(line, str) else json.dumps(line), "", json.dumps(RECORD)]))
    first, error, last = read_corpus(path)
    assert first == last == Document.model_validate(RECORD)
    assert isinstance(error, AnnotationError)
    assert str(error).startswith(f"{path}:2: ")
    assert said in str(error)
    assert "\n" not in str(error)


def test_bytes_that_are_no_text_and_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(RECORD).encode() + b"\r\n\xff\n")
    good, bad = read_corpus(path)
    assert good == Document.model_validate(RECORD)
    assert "c.jsonl:2: is not UTF-8" in str(bad)
    packed = tmp_path / "c.jsonl.xz"
    packed.write_bytes(lzma.compress(json.dumps(RECORD).encode())[:-9])
    assert "compressed data is broken" in str(list(read_corpus(packed))[-1])
    packed.write_bytes(gzip.compress(json.dumps(RECORD).encode()))  # what it is, not what it is called
    assert list(read_corpus(packed)) == [good]
    (error,) = read_corpus(tmp_path / "none.jsonl")
    assert "cannot be read" in str(error)
    with pytest.raises(OutputError, match="cannot be written"):
        write_corpus([], tmp_path / "none" / "c.jsonl")


# --- brat -------------------------------------------------------------------------------------------------------------


@given(document=documents())
def test_brat_comes_back(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    path = write_brat(document, tmp_path_factory.mktemp("brat"))
    assert path.read_bytes().decode() == document.text
    assert read_brat(path) == document


BRAT_LINE = r"[TREAN][0-9]+\t.+|\*\t.+|#[0-9]+\t.+"


@given(document=documents())
def test_brat_sees_lines_of_its_own_form(document: Document) -> None:
    import re

    text, annotations = to_brat(document)
    lines = annotations.splitlines()  # as readers do that also end lines at U+2028
    assert len(lines) == annotations.count("\n")
    for line in lines:
        assert re.fullmatch(BRAT_LINE, line)
        if line.startswith("T"):
            _, place, quoted = line.split("\t", 2)
            spans = [pair.split(" ") for pair in place.partition(" ")[2].split(";")]
            held = " ".join(text[int(start) : int(end)] for start, end in spans)
            assert held.split() == quoted.split()
            inner = [text[int(start) : int(end)] for start, end in spans]
            assert all("\n" not in one or not one.strip("\n\r\x0b\x85\u2028") for one in inner)


ANN = """T1\tCondition 0 5;12 19\tliver failure
T2\tCondition 9 19\tand failure
E1\tCondition:T1 Name:T2 Name2:T1
E2\tFollows:T2 What:E1
R1\tCaused-By Arg1:T1 Arg2:E2
R2\tSame Anaphora:T1 Antecedent:T2
*\tOR T1 T2
A1\tPast T1
A2\tCertainty E1 possible
M1\tNegation R1
N1\tReference T1 UMLS:C1\tliver
#1\tAnnotatorNotes T2\tis this one?\twith a tab
"""


def test_every_kind_of_line_is_read() -> None:
    text = "liver or and failure"
    document = from_brat(text, ANN.replace("12 19", "13 20").replace("9 19", "9 20"), name="x/NCT00000001_exc")
    assert (document.id, document.nct_id, document.section) == ("NCT00000001_exc", "NCT00000001", "exclusion")
    assert [(one.id, one.spans, one.attributes) for one in document.entities] == [
        ("T1", ((0, 5), (13, 20)), {"Past": True}),
        ("T2", ((9, 20),), {}),
    ]
    first, second = document.events
    assert [(one.role, one.ref, one.target) for one in first.args] == [("Name", "T2", "T2"), ("Name", "T1", "T1")]
    assert [(one.role, one.ref, one.target) for one in second.args] == [("What", "E1", "T1")]
    assert first.attributes == {"Certainty": "possible"}
    assert [(one.id, one.type, one.head, one.tail, one.kind) for one in document.relations] == [
        ("E1.1", "Name", "T1", "T2", "argument"),
        ("E1.2", "Name", "T1", "T1", "argument"),
        ("E2.1", "What", "T2", "T1", "argument"),
        ("R1", "Caused-By", "T1", "E2", "relation"),
        ("R2", "Same", "T1", "T2", "relation"),
    ]
    assert document.relations[3].attributes == {"Negation": True}
    assert (document.relations[4].model_extra or {})["roles"] == ["Anaphora", "Antecedent"]
    assert document.groups[0].members == ("T1", "T2")
    assert document.notes == (Comment(type="AnnotatorNotes", target="T2", text="is this one?\twith a tab"),)
    assert document.lines == ("N1\tReference T1 UMLS:C1\tliver",)
    assert from_brat(*to_brat(document), name="NCT00000001_exc") == document


@pytest.mark.parametrize(
    ("data", "offsets", "spans"),
    [
        (b"ab\r\ncd", "4 6", (4, 6)),  # brat's own way
        (b"ab\r\ncd", "3 5", (4, 6)),  # line ends were counted as one
        ("\ufeffab\ncd".encode(), "3 5", (3, 5)),
        ("\ufeffab\ncd".encode(), "4 6", (3, 5)),  # brat counts the mark
        ("\ufeffab\r\ncd".encode(), "4 6", (4, 6)),
        ("\ufeffab\r\ncd".encode(), "5 7", (4, 6)),
    ],
)
def test_line_ends_and_byte_order_marks(tmp_path: Path, data: bytes, offsets: str, spans: tuple[int, int]) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    (tmp_path / "a.ann").write_bytes(b"\xef\xbb\xbf" + f"T1\tLab {offsets}\tcd\r\n".encode())
    document = read_brat(tmp_path / "a.txt")
    assert document.entities[0].spans == (spans,)
    assert document.text == data.decode().removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ("T1\tLab 0 2\tXX\n", "a.ann:1: quotes 'XX' but its offsets hold 'ab'; was the text saved again"),
        ("T1\tLab 0 99\tab\n", "a.ann:1: its offsets [[0, 99]] are not in the text of 5 characters"),
        ("\nT1\tLab zero 2\tab\n", "a.ann:2: no line of brat's"),
        ("X1\tLab 0 2\tab\n", "a.ann:1: no line of brat's"),
        ("T1\tLab 0 2\tab\nR1\tHas Arg1:T1 Arg2:T2\n", "relation R1 points to 'T2'"),
        ("T1\tLab 0 2\tab\nT1\tLab 3 5\tcd\n", "'T1' stands 2 times"),
        ("T1\tLab 0 2\tab\n#1\tcritnlp T1\tnot json\n", "a.ann:2: a note of critnlp that cannot be read"),
        ('T1\tLab 0 2\tab\n#1\tcritnlp T1\t{"attributes": 1}\n', "a.ann:2: a note of critnlp that cannot be read"),
        ('#1\tcritnlp document\t{"groups": [1]}\n', "a.ann:1: a note of critnlp that cannot be read"),
        ('#1\tcritnlp document\t{"fields": {"nct_id": 5}}\n', "nct_id"),
    ],
)
def test_a_broken_file_is_named_and_the_others_are_read(tmp_path: Path, annotations: str, said: str) -> None:
    for stem, written in (("a", annotations), ("b", "T1\tLab 0 2\tab\n")):
        (tmp_path / f"{stem}.txt").write_text("ab\ncd")
        (tmp_path / f"{stem}.ann").write_text(written)
    (tmp_path / "c.txt").write_text("ab")
    error, good, alone = read_brat_folder(tmp_path)
    assert isinstance(error, AnnotationError)
    assert said in str(error)
    assert isinstance(good, Document)
    assert "c.ann: cannot be read" in str(alone)
    (empty,) = read_brat_folder(tmp_path / "none")
    assert "holds no .txt file" in str(empty)


@given(text=TEXTS, annotations=st.lists(st.sampled_from([*ANN.split("\n"), *PIECES, "\t", " 0 1"]), max_size=9).map("".join))
def test_no_annotation_file_breaks_the_reader(text: str, annotations: str) -> None:
    with suppress(AnnotationError):
        document = from_brat(text, annotations)
        assert from_brat(*to_brat(document)) == document


def test_what_was_edited_in_brat_wins() -> None:
    text = "liver\nfailure now"
    before = Document.model_validate(
        {
            "id": "d",
            "text": text,
            "entities": [
                mention_of(text, "I1.e1", "big one", [[0, 13]], codes=[1], status="current"),
                mention_of(text, "I1.e2", "big one", [[14, 17]]),
            ],
        }
    )
    written = to_brat(before)[1]
    assert "T1\tbig_one 0 5;6 13\tliver failure" in written
    written = written.replace("0 5;6 13\tliver failure", "6 13\tfailure").replace("T2\tbig_one", "T2\tDrug")
    written = written.replace("status T1 current", "status T1 history")
    after = from_brat(text, written, name="d")
    assert [(one.id, one.label, one.spans, one.attributes) for one in after.entities] == [
        ("I1.e1", "big one", ((6, 13),), {"codes": [1], "status": "history"}),
        ("I1.e2", "Drug", ((14, 17),), {}),
    ]


@pytest.mark.parametrize("identifier", ["..", "a/b", ".hidden", "", "ends in blank ", "x" * 300, "ü" * 90, "CON:1", "a%2Fb"])
def test_any_id_becomes_a_file_in_the_folder(tmp_path: Path, identifier: str) -> None:
    document = Document(id=identifier, text="ab")
    path = write_brat(document, tmp_path)
    assert path.parent == tmp_path
    assert not path.name.startswith(".")
    assert list(read_brat_folder(tmp_path)) == [document]


# --- gold -------------------------------------------------------------------------------------------------------------


@given(parsed=trials())
def test_gold_is_a_document_and_back(parsed: schema.ParsedTrial) -> None:
    assert parsed_of(document_of(parsed)) == parsed


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=50)  # a blank pipeline of spaCy's takes its time
@given(parsed=trials())
def test_no_format_loses_anything(format: Format, parsed: schema.ParsedTrial) -> None:
    assert losses(parsed, format) == ()


TEXT = "Inclusion:\n* ALT ≤ 3 x ULN\n* liver or kidney failure,\n  now"


def gold() -> schema.ParsedTrial:
    alt = {"id": "I1.e1", "label": "LAB", "start": 13, "end": 16, "fragments": [[13, 16]], "text": "ALT", "layer": "gold"}
    bound = {
        "id": "I1.e2",
        "label": "THRESHOLD",
        "start": 17,
        "end": 26,
        "fragments": [[17, 26]],
        "text": "≤ 3 x ULN",
        "layer": "gold",
    }
    liver = {
        "id": "I2.e1",
        "label": "CONDITION",
        "start": 29,
        "end": 52,
        "fragments": [[29, 34], [45, 52]],
        "text": "liver failure",
        "layer": "gold",
        "attributes": {"negated": True, "status": "history"},
        "codes": [{"system": "http://snomed.info/sct", "code": "59927004"}],
    }
    fact = {"op": "fact", "about": "condition", "name": "hepatic failure", "entities": ["I2.e1"]}
    criteria = [
        {
            "id": "I1",
            "kind": "inclusion",
            "start": 13,
            "end": 26,
            "fragments": [[13, 26]],
            "text": TEXT[13:26],
            "clean_text": "ALT ≤ 3 x ULN",
        },
        {
            "id": "I2",
            "kind": "inclusion",
            "start": 29,
            "end": 59,
            "fragments": [[29, 59]],
            "text": TEXT[29:59],
            "clean_text": "liver …",
        },
    ]
    more: list[dict[str, Any]] = [
        {
            "entities": [alt, bound],
            "relations": [{"type": "has_value", "head": "I1.e1", "tail": "I1.e2"}],
            "rule": {"op": "unsupported", "text": "ALT", "reason": "unparsed"},
        },
        {"entities": [liver], "rule": {"op": "not", "rule": fact}},
    ]
    segments = [
        {"type": "heading", "start": 0, "end": 13},
        {"type": "criterion", "start": 13, "end": 26, "criterion": "I1"},
        {"type": "criterion", "start": 26, "end": 59, "criterion": "I2"},
    ]
    return schema.ParsedTrial.model_validate(
        {
            "critnlp_version": "0.1.0",
            "pipeline": {"name": "gold", "version": "1"},
            "trial": {"nct_id": "NCT00000009", "eligibility": TEXT, "sha256": hashlib.sha256(TEXT.encode()).hexdigest()},
            "criteria": [a | b for a, b in zip(criteria, more, strict=True)],
            "segments": segments,
            "annotation": {"annotators": [{"id": "a", "type": "person"}], "guideline_version": "1.0"},
        }
    )


def standoff() -> schema.ParsedTrial:
    parsed = gold()
    trial = parsed.trial.model_copy(update={"eligibility": ""})
    criteria = [
        criterion.model_copy(
            update={
                "text": "",
                "clean_text": "",
                "entities": tuple(entity.model_copy(update={"text": ""}) for entity in criterion.entities),
            }
        )
        for criterion in parsed.criteria
    ]
    return parsed.model_copy(update={"trial": trial, "criteria": tuple(criteria)})


def test_an_annotator_sees_the_gold_in_brat() -> None:
    annotations = to_brat(document_of(gold()))[1]
    for line in (
        "T1\tCriterion 13 26\tALT ≤ 3 x ULN",
        "T2\tCriterion 29 53;54 59\tliver or kidney failure,   now",
        "T3\tLAB 13 16\tALT",
        "T5\tCONDITION 29 34;45 52\tliver failure",
        "R1\thas_value Arg1:T3 Arg2:T4",
    ):
        assert f"{line}\n" in annotations
    lines = annotations.split("\n")
    assert any(line.endswith("\tkind T1 inclusion") for line in lines)
    assert any(line.endswith("\tnegated T5") for line in lines)
    assert any(line.endswith("\tstatus T5 history") for line in lines)
    assert any('\tRule T2\t{"op": "not", "rule": {"op": "fact"' in line for line in lines)


def test_what_an_annotator_changes_in_brat_is_in_the_gold() -> None:
    parsed = gold()
    text, annotations = to_brat(document_of(parsed))
    annotations = annotations.replace("T1\tCriterion 13 26\tALT ≤ 3 x ULN", "T1\tCriterion 13 20\tALT ≤ 3")
    annotations = annotations.replace("T4\tTHRESHOLD 17 26\t≤ 3 x ULN", "T4\tTHRESHOLD 17 20\t≤ 3")
    annotations += "T9\tQUALIFIER 56 59\tnow\nR9\thas_qualifier Arg1:T5 Arg2:T9\nA9\tcertainty T5 possible\n"
    after = parsed_of(from_brat(text, annotations, name="NCT00000009"))
    first, second = after.criteria
    assert (first.end, first.text, first.clean_text) == (20, TEXT[13:20], "")  # what was said of the old extent is given up
    assert after.segments == ()
    assert [(one.id, one.text) for one in first.entities] == [("I1.e1", "ALT"), ("I1.e2", "≤ 3")]
    assert [(one.id, one.text) for one in second.entities] == [("I2.e1", "liver failure"), ("T9", "now")]
    assert second.relations == (schema.Relation(type="has_qualifier", head="I2.e1", tail="T9"),)
    assert second.entities[0].attributes == schema.Attributes(negated=True, status="history", certainty="possible")
    assert (second.rule, second.clean_text) == (parsed.criteria[1].rule, "liver …")


def test_an_entity_outside_every_criterion_is_said() -> None:
    text, annotations = to_brat(document_of(gold()))
    document = from_brat(text, annotations + "T9\tLAB 0 9\tInclusion\n")
    with pytest.raises(AnnotationError, match=r"NCT00000009: entity T9 \('Inclusion'\) lies in no criterion"):
        parsed_of(document)


def test_standoff_gold() -> None:
    parsed = standoff()
    assert parsed_of(document_of(parsed)) == parsed
    assert losses(parsed, "corpus") == losses(parsed, "dataset") == ()
    for format, what in (("brat", "brat"), ("docbin", "a Doc")):
        (line,) = losses(parsed, format)  # type: ignore[arg-type]
        assert line.startswith("everything: NCT00000009: is stand-off, and " + what)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (Document.model_validate(RECORD), r"labels that critnlp does not have: Lab \(1\), Cue \(1\)"),
        (Document(id="d", text="a", source={"corpus": "critnlp", "record": 1}), "source.record is no trial"),
        (Document(id="d", text="a", source={"corpus": "critnlp", "record": {"trial": {}, "segments": []}}), "critnlp_version"),
    ],
)
def test_what_is_no_trial(document: Document, said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        parsed_of(document)


def test_gold_that_contradicts_its_text() -> None:
    parsed = gold()
    first = parsed.criteria[0]
    far = first.entities[0].model_copy(update={"fragments": ((90, 93),), "text": ""})
    wrong = parsed.model_copy(update={"criteria": (first.model_copy(update={"entities": (far,), "relations": ()}),)})
    with pytest.raises(AnnotationError, match=r"entity I1.e1 has the offsets \[90, 93\]"):
        document_of(wrong)


def test_a_field_document_that_critnlp_did_not_write() -> None:
    parsed = schema.ParsedTrial.model_validate({**gold().model_dump(), "document": {"relations": [1]}})
    with pytest.raises(AnnotationError, match=r"NCT00000009: document: relations\.0: "):
        document_of(parsed)


FOREIGN: dict[str, Any] = {
    "id": "NCT00000009_exc",
    "nct_id": "NCT00000009",
    "section": "exclusion",
    "text": "No asthma\r\n\r\n  on insulin ",
    "entities": [
        mention_of("No asthma", "T1", "CONDITION", [[3, 9]], grade="2"),
        {**mention_of("", "T2", "DRUG", [[18, 25]]), "text": "insulin"},
    ],
    "relations": [{"id": "R1", "type": "AND", "head": "T1", "tail": "T2"}],
    "groups": [{"type": "OR", "members": ["T1", "T2"]}],
    "source": {"corpus": "another"},
}


def test_a_document_of_another_corpus_has_a_criterion_for_each_line() -> None:
    parsed = parsed_of(Document.model_validate(FOREIGN))
    assert [(one.id, one.kind, one.text) for one in parsed.criteria] == [
        ("E1", "exclusion", "No asthma"),
        ("E2", "exclusion", "on insulin"),
    ]
    assert [[one.id for one in criterion.entities] for criterion in parsed.criteria] == [["T1"], ["T2"]]
    assert (parsed.criteria[0].entities[0].attributes or schema.Attributes()).model_extra == {"grade": "2"}
    kept = (parsed.model_extra or {})["document"]
    assert kept["relations"][0]["type"] == "AND"
    assert kept["groups"] == FOREIGN["groups"]
    assert kept["fields"]["section"] == "exclusion"
    for format in FORMATS:
        assert losses(parsed, format) == ()


def test_lines_outside_known_sections_are_no_criteria() -> None:
    text = "Inclusion Criteria:\nfever\nExclusion Criteria:\ncough\nnotes"
    sections = [{"section": "inclusion", "start": 20, "end": 25}, {"section": "exclusion", "start": 46, "end": 51}]
    parsed = parsed_of(Document.model_validate({"id": "d", "text": text, "sections": sections}))
    assert [(one.id, one.text) for one in parsed.criteria] == [("I1", "fever"), ("E1", "cough")]


# --- spaCy ------------------------------------------------------------------------------------------------------------


def docs_of(box: DocBin) -> list[Any]:
    return list(DocBin().from_bytes(box.to_bytes()).get_docs(spacy.blank("en").vocab))


@settings(deadline=None, max_examples=25)
@given(several=st.lists(trials(), max_size=3))
def test_a_docbin_comes_back_through_its_bytes(several: list[schema.ParsedTrial]) -> None:
    assert list(from_docbin(DocBin().from_bytes(to_docbin(several).to_bytes()))) == several


def test_what_other_programs_see_in_a_docbin() -> None:
    (doc,) = docs_of(to_docbin([gold()]))
    assert doc.text == TEXT
    assert [(span.id_, span.label_, span.text) for span in doc.spans["critnlp"]] == [
        ("I1.e1", "LAB", "ALT"),
        ("I1.e2", "THRESHOLD", "≤ 3 x ULN"),
        ("I2.e1", "CONDITION", "liver or kidney failure"),
    ]
    assert [span.text for span in doc.ents] == ["ALT", "≤ 3 x ULN", "liver or kidney failure"]
    assert [criterion["id"] for criterion in json.loads(doc.user_data["critnlp"])["entities"][:2]] == ["I1", "I2"]
    assert set(unseen(gold(), "docbin")) == {
        "rules (2)",
        "codes of entities (1)",
        "segments (3)",
        "criteria (2)",
        "relations (1)",
        "attributes of entities (1)",
        "fragments of discontinuous entities (1)",
    }
    assert "fragments over a line end, which are split (1)" in unseen(gold(), "brat")


def test_the_longest_entity_is_in_the_ents() -> None:
    text = "acute liver failure"
    nested = Document.model_validate(
        {
            "id": "d",
            "text": text,
            "entities": [
                mention_of(text, "T1", "QUALIFIER", [[0, 5]]),
                mention_of(text, "T2", "CONDITION", [[0, 19]]),
                mention_of(text, "T3", "CONDITION", [[6, 13]]),  # ends within a token
            ],
        }
    )
    parsed = parsed_of(nested)
    (doc,) = docs_of(to_docbin([parsed]))
    assert [span.text for span in doc.ents] == [text]
    assert [span.id_ for span in doc.spans["critnlp"]] == ["T1", "T2"]
    assert "entities off the borders of tokens (1)" in unseen(parsed, "docbin")
    assert list(from_docbin(to_docbin([parsed]))) == [parsed]


def test_what_was_edited_in_the_spans_wins() -> None:
    (doc,) = docs_of(to_docbin([gold()]))
    lab, bound, liver = doc.spans["critnlp"]
    now = doc.char_span(56, 59)
    doc.spans["critnlp"] = [
        Span(doc, lab.start, lab.end, label="BIOMARKER", span_id="I1.e1"),
        liver,
        Span(doc, now.start, now.end, label="QUALIFIER"),
    ]
    (after,) = from_docbin(DocBin(docs=[doc], store_user_data=True))
    assert isinstance(after, schema.ParsedTrial)
    assert [(one.id, one.label) for one in after.criteria[0].entities] == [("I1.e1", "BIOMARKER")]  # `bound` was taken away
    assert after.criteria[0].relations == ()
    assert [(one.id, one.text) for one in after.criteria[1].entities] == [("I2.e1", "liver failure"), ("S1", "now")]
    assert after.criteria[1].entities[0] == gold().criteria[1].entities[0]
    assert bound.text == "≤ 3 x ULN"


def test_a_docbin_from_elsewhere() -> None:
    nlp = spacy.blank("en")
    tagged, plain, odd, broken = (nlp.make_doc(text) for text in ("No asthma", "fever", "pain", "cough"))
    tagged.set_ents([Span(tagged, 1, 2, label="CONDITION")])
    odd.set_ents([Span(odd, 0, 1, label="PERSON")])
    broken.user_data["critnlp"] = "{"
    first, second, third, fourth = from_docbin(DocBin(docs=[tagged, plain, odd, broken], store_user_data=True))
    assert isinstance(first, schema.ParsedTrial)
    assert [one.text for one in first.criteria[0].entities] == ["asthma"]
    assert isinstance(second, schema.ParsedTrial)
    assert second.criteria[0].entities == ()
    assert "document 3: labels that critnlp does not have: PERSON (1)" in str(third)
    assert "document 4: user_data['critnlp'] is no JSON of critnlp" in str(fourth)


# --- datasets ---------------------------------------------------------------------------------------------------------


def test_a_dataset_comes_back() -> None:
    pytest.importorskip("datasets")
    written = {"train": [gold(), parsed_of(Document.model_validate(FOREIGN))], "test": [standoff()], "dev": []}
    dataset = to_dataset(written)
    assert from_dataset(dataset) == written
    row = dataset["train"][0]
    assert [(one["id"], one["label"], one["spans"]) for one in row["entities"][2:4]] == [
        ("I1.e1", "LAB", [[13, 16]]),
        ("I1.e2", "THRESHOLD", [[17, 26]]),
    ]
    assert row["relations"][0]["type"] == "has_value"
    assert dataset["dev"].features == dataset["train"].features


def test_a_row_of_another_dataset_is_said() -> None:
    (error,) = from_dataset({"train": [{"text": "a"}]})["train"]
    assert "train[0]: is no row that critnlp wrote" in str(error)


def test_without_datasets_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModelError, match=r"pip install 'critnlp\[datasets\]'"):
        to_dataset({})


# --- labels -----------------------------------------------------------------------------------------------------------


def labelled(label: str, **attributes: Any) -> dict[str, Any]:
    return mention_of("pain", "T1", label, [[0, 4]], **attributes)


@pytest.mark.parametrize(
    ("corpus", "label", "attributes", "expected"),
    [
        ("chia", "Measurement", {}, "LAB"),
        ("chia", "Observation", {}, ""),
        ("chia", "a new label", {}, ""),
        ("frd", "chronic_disease", {}, "CONDITION"),
        ("frd", "treatment", {}, ""),
        ("lct", "Observation", {"Observation-Type-Value": "vital"}, "LAB"),
        ("lct", "Observation", {"Observation-Type-Value": "clinical-score"}, "SCALE"),
        ("lct", "Observation", {}, ""),
        ("lct", "Stability", {"Stability-Value": "change"}, ""),
        ("lct", "Condition-Name", {}, ""),
    ],
)
def test_labels(corpus: str, label: str, attributes: dict[str, str], expected: str) -> None:
    document = Document.model_validate({"id": "d", "text": "pain", "entities": [labelled(label, **attributes)]})
    mapped = map_labels(document, corpus)
    if expected:
        assert [one.label for one in mapped.document.entities] == [expected]
        assert mapped.entities == ()
    else:
        assert mapped.document.entities == ()
        assert mapped.entities == document.entities


def test_a_label_by_its_role_and_a_relation_turned() -> None:
    text = "no fever for 3 days, 39 C"
    document = Document.model_validate(
        {
            "id": "d",
            "text": text,
            "entities": [
                mention_of(text, "T1", "Negation", [[0, 2]]),
                mention_of(text, "T2", "Condition", [[3, 8]]),
                mention_of(text, "T3", "Eq-Comparison", [[9, 19]]),
                mention_of(text, "T4", "Eq-Comparison", [[21, 25]]),
                mention_of(text, "T5", "Eq-Value", [[21, 23]]),
            ],
            "relations": [
                {"id": "E1.1", "type": "Negates", "head": "T1", "tail": "T2", "kind": "argument"},
                {"id": "E2.1", "type": "Duration", "head": "T2", "tail": "T3", "kind": "argument"},
                {"id": "E3.1", "type": "Value", "head": "T4", "tail": "T5", "kind": "argument"},
                {"id": "R1", "type": "Or", "head": "T2", "tail": "T4"},
            ],
            "events": [
                {"id": "E2", "type": "Condition", "trigger": "T2", "args": [{"role": "Duration", "ref": "T3", "target": "T3"}]}
            ],
            "groups": [{"type": "OR", "members": ["T1", "T2"]}, {"type": "OR", "members": ["T2", "T5"]}],
            "notes": [{"type": "N", "target": "T2", "text": "kept"}, {"type": "N", "target": "T5", "text": "left"}],
        }
    )
    mapped = map_labels(document, "lct")
    assert [(one.id, one.label) for one in mapped.document.entities] == [
        ("T1", "NEGATION"),
        ("T2", "CONDITION"),
        ("T3", "TEMPORAL"),
    ]
    assert mapped.document.relations == (
        Link(id="E1.1", type="has_negation", head="T2", tail="T1"),
        Link(id="E2.1", type="has_temporal", head="T2", tail="T3"),
    )
    assert [one.id for one in mapped.entities] == ["T4", "T5"]
    assert [one.id for one in mapped.relations] == ["E3.1", "R1"]
    assert (mapped.document.groups, mapped.groups) == (document.groups[:1], document.groups[1:])
    assert mapped.events == document.events
    assert [note.text for note in mapped.notes] == ["left"]
    Document.model_validate(mapped.document.model_dump())  # nothing points to what is gone
    assert parsed_of(mapped.document).criteria[0].relations[0].type == "has_negation"


def test_a_corpus_without_a_map() -> None:
    with pytest.raises(AnnotationError, match="no label map for the corpus 'mimic'; there are chia, frd, lct"):
        map_labels(Document(id="d", text=""), "mimic")


@given(document=documents(), corpus=st.sampled_from(["chia", "frd", "lct"]))
def test_mapping_drops_nothing_in_silence(document: Document, corpus: str) -> None:
    mapped = map_labels(document, corpus)
    for name in ("entities", "relations", "groups", "events", "notes"):
        assert len(getattr(mapped.document, name)) + len(getattr(mapped, name)) == len(getattr(document, name))
    Document.model_validate(mapped.document.model_dump())


def test_the_table_agrees_with_the_tagging_benchmark() -> None:
    rows = [row for row in lexicon.table("label_maps") if (row["corpus"], row["part"]) == ("chia", "entity")]
    assert {row["label"]: row["critnlp"] for row in rows if row["critnlp"]} == benchmark.LABELS


def test_every_row_of_the_table_can_be_reached() -> None:
    seen: set[tuple[str, ...]] = set()
    for row in lexicon.table("label_maps"):
        always, key = (row["corpus"], row["part"], row["label"], ""), (row["corpus"], row["part"], row["label"], row["when"])
        assert key not in seen
        assert always not in seen, f"{row['label']}: a row behind the one that always holds"
        assert row["part"] == "entity" or row["when"] in ("", "turned")
        assert row["critnlp"] or row["lost"]
        assert row["critnlp"] in ("", *get_args(schema.Label), *get_args(schema.RelationType))
        seen.add(key)


def test_criterion_is_no_label_of_the_contract() -> None:
    assert CRITERION not in LABELS
    assert Mention(id="T1", label=CRITERION, spans=((0, 1),), text="a").attributes == {}

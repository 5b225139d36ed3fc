"""Gold without text and back: nothing is lost on the same text, nothing is put in a wrong place on another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import critnlp
from critnlp.cleaning import clean, clean_text
from critnlp.errors import AnnotationError
from critnlp.hydration import Hydrated, Unplaced, hydrate, strip
from critnlp.schema import Criterion, Fact, ParsedTrial, Rule, Trial
from critnlp.sources import trial_of
from critnlp.wording import describe

ROOT = Path(__file__).parents[1]

TEXT = """Inclusion Criteria:

* Age \\>= 18 years
* Adequate organ function within 14 days, with all of:

  * ALT or AST \\<= 2.5  x ULN
  * platelets above 100 per nL, and no sign of active bleeding for two weeks or more
* HIV

Exclusion Criteria:

* HIV
* Kidney or liver disease that in the
  judgement of the doctor forbids taking part
"""

Places = dict[str, Any]


def at(words: str, text: str = TEXT, nth: int = 0) -> list[int]:
    """The span of the nth occurrence of `words`."""
    start = [found.start() for found in re.finditer(re.escape(words), text)][nth]
    return [start, start + len(words)]


def entity(id_: str, label: str, *fragments: list[int], text: str = TEXT) -> Places:
    words = " ".join(text[start:end] for start, end in fragments)
    start, end = fragments[0][0], fragments[-1][1]
    return {"id": id_, "label": label, "start": start, "end": end, "fragments": fragments, "text": words, "layer": "gold"}


def criterion(id_: str, span: list[int], rule: Places, *entities: Places, text: str = TEXT, **fields: Any) -> Places:
    kind = {"I": "inclusion", "E": "exclusion"}[id_[0]]
    own = {"id": id_, "kind": kind, "start": span[0], "end": span[1], "fragments": [span], "rule": rule, "entities": entities}
    own |= {"text": text[slice(*span)], "clean_text": clean_text(text, [(span[0], span[1])]), "computable": "full"}
    return own | fields


def fact(about: str, name: str, span: list[int], *entities: str, **fields: Any) -> Places:
    return {"op": "fact", "about": about, "name": name, "start": span[0], "end": span[1], "entities": entities} | fields


def gold_of(text: str, criteria: list[Places], **fields: Any) -> ParsedTrial:
    record = {
        "critnlp_version": "0.1.0",
        "pipeline": {"name": "gold", "version": "1"},
        "trial": trial_of(text, nct_id="NCT00000001").model_dump(),
        "criteria": criteria,
        "segments": [{"type": "note", "start": 0, "end": len(text)}],
        "annotation": {"annotators": [{"id": "a", "type": "person"}], "guideline_version": "1"},
    }
    return ParsedTrial.model_validate(record | fields)


def example() -> ParsedTrial:
    age = entity("I1.e1", "DEMOGRAPHIC", at("Age"))
    bound = entity("I1.e2", "THRESHOLD", at("\\>= 18 years"))
    window = entity("I2.e1", "TEMPORAL", at("within 14 days"))
    alt, ast = entity("I2.1.e1", "LAB", at("ALT")), entity("I2.1.e2", "LAB", at("AST"))
    value = entity("I2.1.e3", "THRESHOLD", at("<= 2.5  x ULN"))
    liver = at("liver disease that in the\n  judgement")
    disease = at("disease")
    kidney = entity("E2.e1", "CONDITION", at("Kidney"), disease)
    liver_disease = entity("E2.e2", "CONDITION", at("liver disease"))
    anchor = fact("procedure", "screening", at("14 days"))
    return gold_of(
        TEXT,
        [
            criterion(
                "I1",
                at("Age \\>= 18 years"),
                fact(
                    "age", "age", at("Age \\>= 18 years"), "I1.e1", "I1.e2", range={"low": "18", "low_inclusive": True, "unit": "a"}
                ),
                age,
                bound,
                relations=[{"type": "has_value", "head": "I1.e1", "tail": "I1.e2"}],
            ),
            criterion(
                "I2",
                at("Adequate organ function within 14 days, with all of:"),
                {
                    "op": "all_of",
                    "rules": [
                        {"op": "criterion", "id": "I2.1"},
                        {"op": "criterion", "id": "I2.2"},
                        {"op": "note", "text": "with all of:", "reason": "lead_in"},
                        fact(
                            "observation",
                            "organ function",
                            at("organ function"),
                            windows=[{"relation": "within", "anchor": anchor}],
                        ),
                    ],
                },
                window,
            ),
            criterion(
                "I2.1",
                at("ALT or AST \\<= 2.5  x ULN"),
                {
                    "op": "any_of",
                    "rules": [
                        fact("lab", "alanine aminotransferase", at("ALT or AST \\<= 2.5  x ULN"), "I2.1.e1", "I2.1.e3"),
                        {"op": "not", "rule": {"op": "unsupported", "text": "AST <= 2.5 x ULN", "reason": "vague"}},
                        {"op": "unsupported", "text": "\\<= 2.5  x", "reason": "vague"},
                    ],
                },
                alt,
                ast,
                value,
                parent_id="I2",
                relations=[
                    {"type": "has_value", "head": "I2.1.e1", "tail": "I2.1.e3"},
                    {"type": "has_temporal", "head": "I2.1.e1", "tail": "I2.e1"},
                ],
            ),
            criterion(
                "I2.2",
                at("platelets above 100 per nL, and no sign of active bleeding for two weeks or more"),
                {"op": "unsupported", "text": "", "reason": "vague", "facts": [fact("lab", "platelets", at("platelets"))]},
                parent_id="I2",
                modifies="I1",
            ),
            criterion("I3", at("HIV"), fact("condition", "hiv", at("HIV"))),
            criterion("E1", at("HIV", nth=1), fact("condition", "hiv", at("HIV", nth=1))),
            criterion(
                "E2",
                at("Kidney or liver disease that in the\n  judgement of the doctor forbids taking part"),
                {"op": "unsupported", "text": TEXT[slice(*liver)], "reason": "investigator_judgement"},
                kidney,
                liver_disease,
            ),
        ],
        warnings=[
            {
                "code": "registry_incomplete",
                "message": "not all is here: 'Adequate organ function within 14 days, with all of:' and so on",
            },
            {"code": "duplicate", "criterion": "E1", "message": "says the same as I3"},
        ],
    )


def strings(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a JSON value with the name of its field."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from strings(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part, key)
    elif isinstance(value, str):
        yield key, value


def nodes(value: object) -> Iterator[Places]:
    if isinstance(value, dict):
        if "op" in value:
            yield value
        for part in value.values():
            yield from nodes(part)
    elif isinstance(value, list):
        for part in value:
            yield from nodes(part)


def json_of(parsed: ParsedTrial) -> Places:
    record: Places = json.loads(parsed.model_dump_json())
    return record


def again(parsed: ParsedTrial) -> ParsedTrial:
    """As it comes back from a file."""
    return ParsedTrial.model_validate_json(parsed.model_dump_json())


def ids(done: Hydrated) -> list[str]:
    return [one.id for one in done.parsed.criteria]


# --- the same text ----------------------------------------------------------------------------------------------------


def test_nothing_is_lost_on_the_same_text() -> None:
    done = hydrate(again(strip(example())), TEXT)
    assert done == Hydrated(example(), moved=False, unplaced=())


def test_no_text_remains_in_stand_off_gold() -> None:
    found = list(strings(json_of(strip(example()))))
    assert [text for key, text in found if key in ("text", "clean_text", "describe", "eligibility") and text] == []
    folded = " ".join(TEXT.split())
    sentences = [(key, text) for key, text in found if len(text.split()) > 3 and text.strip() in folded]
    assert sentences == []
    assert not any("organ function within" in text for _, text in found)


def test_stripping_twice_changes_nothing_more() -> None:
    assert strip(again(strip(example()))) == strip(example())


@pytest.mark.parametrize("path", ["NCT00000001.json", "legacy.xml", "prose.txt", "trials.jsonl"])
def test_what_the_pipeline_says_is_gold_as_well(path: str) -> None:
    nlp = critnlp.load()
    for trial in critnlp.read([str(ROOT / "examples" / path)]):
        assert isinstance(trial, Trial)
        parsed = critnlp.parse(trial, nlp)
        stripped = again(strip(parsed))
        assert hydrate(stripped, trial.eligibility, describe=describe).parsed == parsed
        folded = " ".join(clean(trial.eligibility).text.split())
        kept = [text for key, text in strings(json_of(stripped)["criteria"]) if len(text.split()) > 5 and text in folded]
        assert kept == []
        longer = f"Read this first.\n\n{trial.eligibility}\n\nAnd this last.\n"
        moved = hydrate(stripped, longer, describe=describe)
        assert moved.unplaced == ()
        for old, new in zip(parsed.criteria, moved.parsed.criteria, strict=True):
            assert new == old.model_copy(
                update={"start": new.start, "end": new.end, "fragments": new.fragments, "entities": new.entities, "rule": new.rule}
            )
            assert [e.text for e in new.entities] == [e.text for e in old.entities]
            offsets = json.loads(new.model_dump_json())["rule"]
            assert json.dumps(without_offsets(offsets)) == json.dumps(without_offsets(json.loads(old.model_dump_json())["rule"]))


def without_offsets(rule: Places) -> Places:
    for node in nodes(rule):
        node.pop("start", None)
        node.pop("end", None)
    return rule


def test_a_record_that_contradicts_its_text_is_not_stripped() -> None:
    record = json_of(example())
    record["criteria"][0]["entities"][0]["end"] += 1
    record["criteria"][0]["entities"][0]["fragments"][0][1] += 1
    with pytest.raises(
        AnnotationError, match=r"^NCT00000001: I1\.e1 quotes 'Age' but its offsets hold 'Age '; correct the offsets"
    ):
        strip(ParsedTrial.model_validate(record))
    record = json_of(example())
    record["trial"]["eligibility"] += "\n"
    with pytest.raises(AnnotationError, match="is not the one of its sha256"):
        strip(ParsedTrial.model_validate(record))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("trial", "lines"), [[0, 4]]),
        (("trial", "lines"), "x"),
        (("criteria", 0, "fingerprints"), 7),
        (("criteria", 0, "fingerprints"), ["0123456789ab"]),
        (("criteria", 0, "entities", 0, "place"), [["a", 1]]),
        (("criteria", 0, "rule", "place"), {}),
        (("warnings", 0, "quotes"), [[1]]),
    ],
)
def test_damaged_fingerprints_are_named(path: tuple[str | int, ...], value: object) -> None:
    record: Any = json_of(strip(example()))
    part = record
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(AnnotationError, match=r"^NCT00000001: (lines|I1|warnings): .*; strip the gold again"):
        hydrate(ParsedTrial.model_validate(record), TEXT)


def test_gold_without_fingerprints_takes_its_own_text_and_no_other() -> None:
    record = json_of(strip(example()))
    del record["trial"]["lines"]
    for one in record["criteria"]:
        del one["fingerprints"]
    gold = ParsedTrial.model_validate(record)
    assert hydrate(gold, TEXT).parsed.criteria == example().criteria
    done = hydrate(gold, TEXT + "\n")
    assert ids(done) == []
    assert done.unplaced[0] == Unplaced("I1", None, "has no fingerprints; strip the gold again from a hydrated copy")


# --- another text -----------------------------------------------------------------------------------------------------

ALL = ["I1", "I2", "I2.1", "I2.2", "I3", "E1", "E2"]


def slices(done: Hydrated) -> None:
    """All that is there is what it was, but for white space and escapes."""
    old = {one.id: one for one in example().criteria}
    text = done.parsed.trial.eligibility
    for one in done.parsed.criteria:
        before = old[one.id]
        assert one.text == text[one.start : one.end]
        assert one.clean_text == before.clean_text
        words = {e.id: clean(TEXT, e.fragments).text for e in before.entities}
        assert {e.id: clean(text, e.fragments).text for e in one.entities} == words
        assert all(e.text == " ".join(text[a:b] for a, b in e.fragments) for e in one.entities)
        for fact_before, fact_now in zip(facts(before.rule), facts(one.rule), strict=True):
            assert folded(text, fact_now) in (folded(TEXT, fact_before), None)
    assert done.parsed.trial.sha256 == hashlib.sha256(text.encode()).hexdigest()


def facts(rule: Rule) -> list[Fact]:
    record = json.loads(Criterion(id="x", kind="inclusion", start=0, end=0, fragments=(), rule=rule).model_dump_json())
    return [Fact.model_validate(node) for node in nodes(record["rule"]) if node["op"] == "fact"]


def folded(text: str, one: Fact) -> str | None:
    return None if one.start is None or one.end is None else clean(text, [(one.start, one.end)]).text


@pytest.mark.parametrize(
    ("what", "old", "new", "lost"),
    [
        ("text before and behind", TEXT, f"Hello\n{TEXT}\nand so on", []),
        ("other line ends", "\n", "\r\n", []),
        ("other bullets", "* ", "- ", []),
        ("bullets gone", "* ", "", []),
        ("bullets become numbers", "* ", "12. ", []),
        ("escapes gone", "\\", "", []),
        ("wider gaps", " ", "  ", []),
        ("another wrapping", "that in the\n  judgement of", "that\n  in the judgement\n  of", []),
        ("unwrapped", "that in the\n  judgement of", "that in the judgement of", []),
        ("a heading edited", "Inclusion Criteria:", "Main criteria", []),
        ("a heading gone", "Exclusion Criteria:\n", "", []),
        ("an item before the others", "* Age", "* Able to walk\n* Age", []),
        ("an item gone", "* Age \\>= 18 years\n", "", ["I1"]),
        ("a number edited", "18", "21", ["I1"]),
        ("a short item gone that stands elsewhere", "of:\n", "of:\n* HIV positive with no HIV drug\n", []),
        ("a word edited", "liver", "hepatic", ["E2"]),
        ("two items gone", "HIV\n", "\n", ["I3", "E1"]),
        ("two items change places", "* ALT or AST \\<= 2.5  x ULN\n  * platelets", "* platelets", ["I2.1"]),
        ("one paragraph", "\n", " ", ["I1", "I2.1", "I3", "E1"]),
        ("all gone", TEXT, "", ALL),
    ],
)
def test_what_an_edit_leaves(what: str, old: str, new: str, lost: list[str]) -> None:
    text = TEXT.replace(old, new)
    assert text != TEXT, what
    done = hydrate(again(strip(example())), text)
    assert done.moved
    assert [one.criterion for one in done.unplaced] == lost
    assert ids(done) == [id_ for id_ in ALL if id_ not in lost]
    assert done.parsed.segments == ()
    slices(done)


def test_an_item_may_change_its_place_but_not_its_section() -> None:
    item = "* HIV\n"
    lost = TEXT.replace(item, "", 1)  # the one that is left is the exclusion
    done = hydrate(strip(example()), lost)
    assert [one.criterion for one in done.unplaced] == ["I3"]
    moved = TEXT.replace(item, "", 1).replace("* Age", f"{item}* Age", 1)
    done = hydrate(strip(example()), moved)
    assert done.unplaced == ()
    assert [one.start for one in done.parsed.criteria if one.id in ("I3", "E1")] == [at("HIV", moved)[0], at("HIV", moved, 1)[0]]
    slices(done)


def test_hydrated_gold_can_be_moved_as_well() -> None:
    text = TEXT.replace("*", "-")
    assert hydrate(example(), text) == hydrate(strip(example()), text)
    assert hydrate(example(), TEXT) == Hydrated(example(), moved=False, unplaced=())


def test_what_refers_to_a_lost_item_lets_go_of_it() -> None:
    done = hydrate(strip(example()), TEXT.replace("2.5", "3").replace("18", "21"))
    assert [one.criterion for one in done.unplaced] == ["I1", "I2.1"]
    assert {one.reason for one in done.unplaced} == {"its words are not in the text any more"}
    by_id = {one.id: one for one in done.parsed.criteria}
    rules = json_of(done.parsed)["criteria"][0]["rule"]["rules"]
    assert [node["op"] for node in rules] == ["unsupported", "criterion", "note", "fact"]
    assert by_id["I2"].computable == "partial"
    assert by_id["I2.2"].modifies is None
    assert [one.code for one in done.parsed.warnings] == ["registry_incomplete", "duplicate"]


def test_what_refers_to_a_lost_lead_in_lets_go_of_it() -> None:
    done = hydrate(strip(example()), TEXT.replace("14 days", "21 days"))
    assert [one.criterion for one in done.unplaced] == ["I2"]
    by_id = {one.id: one for one in done.parsed.criteria}
    assert by_id["I2.1"].parent_id is None
    assert [(one.type, one.tail) for one in by_id["I2.1"].relations] == [("has_value", "I2.1.e3")]


def test_an_entity_outside_of_its_criterion_cannot_be_moved() -> None:
    record = json_of(example())
    record["criteria"][0]["entities"].append(entity("I1.e3", "CONDITION", at("HIV")))
    record["criteria"][0]["rule"]["entities"].append("I1.e3")
    record["criteria"][0]["relations"].append({"type": "has_stage", "head": "I1.e3", "tail": "I1.e1"})
    parsed = ParsedTrial.model_validate(record)
    assert hydrate(strip(parsed), TEXT).parsed == parsed
    done = hydrate(strip(parsed), TEXT + "\n")
    assert done.unplaced == (Unplaced("I1", "I1.e3", "lies outside the words of its criterion, or cuts an escape in two"),)
    one = done.parsed.criteria[0]
    assert [e.id for e in one.entities] == ["I1.e1", "I1.e2"]
    assert [r.type for r in one.relations] == ["has_value"]
    assert isinstance(one.rule, Fact)
    assert (one.rule.start, one.rule.end, one.rule.entities) == (None, None, ("I1.e1", "I1.e2"))
    assert one.rule.range is not None
    assert one.rule.range.low == "18"


def test_criteria_that_share_an_id_do_not_share_a_place() -> None:
    record = json_of(example())
    for one in record["criteria"]:
        one["id"] = "I1"
    done = hydrate(strip(ParsedTrial.model_validate(record)), TEXT + "\n")
    assert [one.text for one in done.parsed.criteria] == [one.text for one in example().criteria]


def test_a_lead_in_with_words_behind_its_items() -> None:
    text = "Inclusion:\n* Any of\n  * fever\n  * cough\n  in the week before consent\n"
    lead, behind = at("Any of", text), at("in the week before consent", text)
    parts = [lead, behind]
    rule = {"op": "any_of", "rules": [{"op": "unsupported", "text": "Any of in the week", "reason": "vague"}]}
    window = entity("I1.e1", "TEMPORAL", behind, text=text)
    gold = gold_of(
        text, [criterion("I1", lead, rule, window, text=text, fragments=parts, clean_text=f"Any of {text[slice(*behind)]}")]
    )
    assert hydrate(strip(gold), text).parsed == gold
    done = hydrate(strip(gold), text.replace("  * cough\n", "").replace("the week before", "the\n    week  before"))
    (one,) = done.parsed.criteria
    assert one.clean_text == "Any of in the week before consent"
    assert one.entities[0].text == "in the\n    week  before consent"
    assert json_of(done.parsed)["criteria"][0]["rule"]["rules"][0]["text"] == "Any of in the week"


# --- laws -------------------------------------------------------------------------------------------------------------

QUICK = settings(deadline=None, max_examples=60)
WORDS = ["HIV", "no", "\\>=", "&lt;", "5", "ALT", "x ", "or", "C.", "–", "α", "(a)", "ULN", "\\-", "i.", "\u200b", "1)"]
Block = tuple[str, str]  # what stands before an item, and its words with their line ends


@st.composite
def blocks(draw: st.DrawFn, prefix: str) -> list[Block]:
    """Items of one or two lines, each with a word of its own at its beginning."""
    count = draw(st.integers(1, 5))
    made = []
    for number in range(count):
        words = [f"{prefix}{number}", *draw(st.lists(st.sampled_from(WORDS), max_size=8))]
        ends = draw(st.lists(st.sampled_from([" ", " ", "  ", "\n  "]), min_size=len(words), max_size=len(words)))
        line = "".join(word + end for word, end in zip(words, ends, strict=True)).rstrip(" \n\u200b")
        made.append((draw(st.sampled_from(["* ", "- ", f"{number}. ", "  * ", ""])), line))
    return made


def spelled(kinds: tuple[list[Block], list[Block]]) -> tuple[str, dict[str, tuple[int, int]]]:
    """A text of two sections, and where the words of each item lie, by their first word."""
    text = ""
    spans = {}
    for heading, section in zip(("Inclusion:", "Exclusion:"), kinds, strict=True):
        text += f"{heading}\n\n"
        for marker, words in section:
            start = len(text) + len(marker)
            spans[words.split()[0]] = (start, start + len(words))
            text += f"{marker}{words}\n"
    return text, spans


@st.composite
def golds(draw: st.DrawFn) -> tuple[tuple[list[Block], list[Block]], ParsedTrial]:
    kinds = (draw(blocks("i")), draw(blocks("e")))
    text, spans = spelled(kinds)
    criteria = []
    for first, (start, end) in spans.items():
        own = {"i": "I", "e": "E"}[first[0]] + first[1:]
        found = list(re.finditer(r"\S+", text[start:end]))
        edges = [start + word.start() for word in found], [start + word.end() for word in found]
        cuts = [draw(st.tuples(st.sampled_from(edges[0]), st.sampled_from(edges[1]))) for _ in range(draw(st.integers(0, 3)))]
        pieces = [[a, b] for a, b in cuts if a < b]
        entities = [entity(f"{own}.e{n}", "CONDITION", piece, text=text) for n, piece in enumerate(pieces)]
        if pieces and draw(st.sampled_from([False, True])):
            entities.append(entity(f"{own}.e9", "LAB", [start, start + 1], [max(edges[0]), end], text=text))
        words = clean_text(text, [(start, end)])
        low = draw(st.integers(0, len(words) - 1))
        said = draw(st.sampled_from([words[low:], words[: low + 1], text[start:end], ""]))
        rules = [fact("condition", "x", piece, f"{own}.e{n}") for n, piece in enumerate(pieces)]
        rule = {"op": "all_of", "rules": [*rules, {"op": "unsupported", "text": said, "reason": "vague"}]}
        criteria.append(criterion(own, [start, end], rule, *entities, text=text))
    return kinds, gold_of(text, criteria)


def check(gold: ParsedTrial, done: Hydrated, *, exactly: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """What is placed has its old words, those of the criteria in `exactly` to the character."""
    old_text, text = gold.trial.eligibility, done.parsed.trial.eligibility
    old = {one.id: one for one in gold.criteria}
    assert exactly <= set(ids(done))
    assert {one.id for one in gold.criteria} == set(ids(done)) | {one.criterion for one in done.unplaced if one.entity is None}
    for one in done.parsed.criteria:
        before = old[one.id]
        assert one.text == text[one.start : one.end]
        assert one.clean_text == before.clean_text
        pairs = [(before.fragments, one.fragments)]
        for a, b in zip(before.entities, one.entities, strict=True):
            assert a.id == b.id
            pairs.append((a.fragments, b.fragments))
        for fact_before, fact_now in zip(facts(before.rule), facts(one.rule), strict=True):
            if fact_before.start is not None and fact_before.end is not None:
                assert fact_now.start is not None
                assert fact_now.end is not None
                pairs.append((((fact_before.start, fact_before.end),), ((fact_now.start, fact_now.end),)))
        for fragments, now in pairs:
            assert clean(text, now).text == clean(old_text, fragments).text
            if one.id in exactly:
                assert [text[a:b] for a, b in now] == [old_text[a:b] for a, b in fragments]


@QUICK
@given(case=golds())
def test_hydrating_undoes_stripping(case: tuple[object, ParsedTrial]) -> None:
    _, gold = case
    assert hydrate(again(strip(gold)), gold.trial.eligibility) == Hydrated(gold, moved=False, unplaced=())


@QUICK
@given(case=golds(), data=st.data())
def test_untouched_lines_keep_all_they_hold(case: tuple[tuple[list[Block], list[Block]], ParsedTrial], data: st.DataObject) -> None:
    kinds, gold = case
    edited: tuple[list[Block], list[Block]] = ([], [])
    kept = set()
    for section, new in zip(kinds, edited, strict=True):
        for number, block in enumerate(section):
            edit = data.draw(st.sampled_from(["keep", "keep", "insert", "remove", "replace"]))
            if edit in ("insert", "replace"):
                new.append(("* ", f"new{number}{len(new)} line"))
            if edit in ("keep", "insert"):
                new.append(block)
                first = block[1].split()[0]
                kept.add({"i": "I", "e": "E"}[first[0]] + first[1:])
    text, _ = spelled(edited)
    done = hydrate(again(strip(gold)), text)
    check(gold, done, exactly=kept)
    assert set(ids(done)) == kept


@QUICK
@given(case=golds(), data=st.data())
def test_layout_may_change(case: tuple[tuple[list[Block], list[Block]], ParsedTrial], data: st.DataObject) -> None:
    kinds, gold = case
    gap = st.sampled_from([" ", "   ", "\n", "\r\n    "])
    marker = st.sampled_from(["* ", "  - ", "• ", "3) "])
    new = tuple(
        [(data.draw(marker), re.sub(r"(?<=\S)\s+(?=\S)", lambda _: data.draw(gap), words)) for _, words in section]
        for section in kinds
    )
    text, _ = spelled((new[0], new[1]))
    done = hydrate(again(strip(gold)), text)
    check(gold, done, exactly=set() if text != gold.trial.eligibility else set(ids(done)))
    assert done.unplaced == ()


@QUICK
@given(case=golds(), data=st.data())
def test_whatever_is_edited_nothing_is_put_in_a_wrong_place(case: tuple[object, ParsedTrial], data: st.DataObject) -> None:
    _, gold = case
    text = gold.trial.eligibility
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.sampled_from(["", "\n", " ", "\\", "HIV no", text[start:end] * 2])) + text[end:]
    check(gold, hydrate(strip(gold), text))


@QUICK
@given(case=golds(), text=st.text() | st.text("\ud800\udfff*-.\\&lt; \r\n", max_size=60))
def test_no_text_raises(case: tuple[object, ParsedTrial], text: str) -> None:
    done = hydrate(strip(case[1]), text)
    check(case[1], done)
    assert len(done.parsed.trial.eligibility) == len(text)
    assert done.parsed.model_dump_json()

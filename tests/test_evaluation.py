"""Scores: laws over random documents, tables of facts and rules that match or do not, and numbers worked out by hand."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from critnlp import evaluation
from critnlp.errors import AnnotationError
from critnlp.evaluation import Counts, Scores, agreement, compare, errors, same_fact, same_rule, score
from critnlp.schema import (
    AllOf,
    AnyOf,
    AtLeast,
    Attributes,
    Canonical,
    Code,
    Criterion,
    CriterionRef,
    Entity,
    Fact,
    If,
    Not,
    Note,
    ParsedTrial,
    Pipeline,
    Range,
    Relation,
    Rule,
    Span,
    Trial,
    Unsupported,
    Window,
)

TEXT = "Severe renal or hepatic failure. No prior gout, ANC at least 1.5 and platelets above 100 within 28 days.  "
OPEN = Unsupported(reason="unparsed")


def entity(label: str, *fragments: Span, id: str = "", **attributes: Any) -> Entity:
    return Entity.model_validate(
        {
            "id": id or f"{label}{fragments}",
            "label": label,
            "start": min(start for start, _ in fragments),
            "end": max(end for _, end in fragments),
            "fragments": fragments,
            "layer": "rules",
            "attributes": Attributes(**attributes) if attributes else None,
        }
    )


def criterion(id: str, *fragments: Span, **fields: Any) -> Criterion:
    base = {"id": id, "kind": "inclusion", "start": fragments[0][0], "end": fragments[0][1], "fragments": fragments, "rule": OPEN}
    return Criterion.model_validate(base | fields)


def trial(name: str | None, *criteria: Criterion, text: str = TEXT, **fields: Any) -> ParsedTrial:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return ParsedTrial(
        critnlp_version="0.1.0",
        pipeline=Pipeline(name="gold", version="1"),
        trial=Trial.model_validate({"nct_id": name, "eligibility": text, "sha256": sha256} | fields),
        criteria=criteria,
    )


def counts(scores: Scores, family: str, name: str) -> tuple[int, int, int]:
    found = scores.row(family, name).counts
    return found.tp, found.fp, found.fn


def one(*entities: Entity, **fields: Any) -> ParsedTrial:
    """A trial of one criterion that holds these entities."""
    return trial("NCT1", criterion("I1", (0, 100), entities=entities, **fields))


def lab(low: str | None = "1.5", unit: str | None = "10*9/L", name: str = "absolute neutrophil count", **fields: Any) -> Fact:
    """A fact with one lower bound; fields of the range go to the range."""
    of_range = {key: fields.pop(key) for key in list(fields) if key in Range.model_fields}
    given = Range.model_validate({"low": low, "low_inclusive": None if low is None else True, "unit": unit} | of_range)
    return Fact.model_validate({"about": "lab", "name": name, "range": given} | fields)


# --- random documents -------------------------------------------------------------------------------------------------

LABELS = ["CONDITION", "LAB", "DRUG"]
SPANS = st.tuples(st.integers(0, 80), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
ATTRIBUTES = st.builds(
    Attributes,
    negated=st.booleans(),
    status=st.sampled_from(["current", "history"]),
    certainty=st.sampled_from(["affirmed", "possible"]),
)
NAMES = ["absolute neutrophil count", "ANC", "hemoglobin", "gout"]
FACTS = st.builds(
    lab,
    low=st.sampled_from(["1.5", "1500", "2", None]),
    unit=st.sampled_from(["10*9/L", "/uL", None]),
    name=st.sampled_from(NAMES),
    low_inclusive=st.booleans(),
    about=st.sampled_from(["lab", "condition"]),
    status=st.sampled_from(["current", "history"]),
    start=st.sampled_from([0, 5]),
    end=st.just(9),
)
LEAVES: st.SearchStrategy[Rule] = st.one_of(
    FACTS,
    FACTS.map(lambda fact: fact.model_copy(update={"exceptions": (lab(name="platelet count"),)})),
    st.builds(Unsupported, reason=st.just("vague"), facts=st.lists(FACTS, max_size=2).map(tuple)),
    st.builds(Note, reason=st.just("permitted")),
    st.just(CriterionRef(id="I0")),
)
RULES: st.SearchStrategy[Rule] = st.recursive(
    LEAVES,
    lambda rules: st.one_of(
        st.lists(rules, max_size=3).map(lambda parts: AllOf(rules=tuple(parts))),
        st.lists(rules, max_size=3).map(lambda parts: AnyOf(rules=tuple(parts))),
        st.lists(rules, max_size=3).map(lambda parts: AtLeast(n=1, rules=tuple(parts))),
        rules.map(lambda rule: Not(rule=rule)),
        st.tuples(rules, rules).map(lambda pair: If(condition=pair[0], then=pair[1])),
    ),
    max_leaves=6,
)


@st.composite
def documents(draw: st.DrawFn, name: str = "NCT1") -> ParsedTrial:
    """A trial with up to four criteria, which may overlap as no good record's do."""
    criteria = []
    for number in range(draw(st.integers(0, 4))):
        mentions = draw(
            st.lists(st.tuples(st.sampled_from(LABELS), st.lists(SPANS, min_size=1, max_size=2), ATTRIBUTES), max_size=4)
        )
        entities = [
            entity(label, *fragments, id=f"I{number}.e{n}").model_copy(update={"attributes": attributes})
            for n, (label, fragments, attributes) in enumerate(mentions)
        ]
        ids = [found.id for found in entities]
        relations = (
            draw(
                st.lists(
                    st.builds(Relation, type=st.just("has_value"), head=st.sampled_from(ids), tail=st.sampled_from(ids)), max_size=3
                )
            )
            if ids
            else []
        )
        criteria.append(
            criterion(
                f"I{number}",
                *draw(st.lists(SPANS, min_size=1, max_size=2)),
                kind=draw(st.sampled_from(["inclusion", "exclusion"])),
                parent_id=draw(st.sampled_from([None, "I0"])),
                category=draw(st.sampled_from(["lab", "disease"])),
                entities=entities,
                relations=relations,
                rule=draw(RULES),
            )
        )
    return trial(name, *criteria)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ParsedTrial, ParsedTrial]:
    """A gold trial and one that has some of its criteria, entities and rules, in part changed, beside others."""
    gold, other = draw(documents()), draw(documents())
    found = [one.model_copy(update={"id": f"X{one.id}", "parent_id": one.parent_id and "XI0"}) for one in other.criteria]
    for one in gold.criteria:
        changes = draw(st.sampled_from(["drop", "as it is", "kind", "extent", "entities", "rule"]))
        if changes == "drop":
            continue
        choices: dict[str, dict[str, Any]] = {
            "kind": {"kind": "exclusion"},
            "extent": {"fragments": ((one.start, one.end + 1),)},
            "entities": {"entities": (*one.entities[1:], *(other.criteria[0].entities if other.criteria else ()))},
            "rule": {"rule": AllOf(rules=(one.rule, draw(FACTS)))},
        }
        found.append(one.model_copy(update=choices.get(changes, {})))
    return gold, trial("NCT1", *found)


PAIRS = pairs()


@settings(deadline=None)
@given(documents())
def test_gold_agrees_with_itself(gold: ParsedTrial) -> None:
    scores = score([gold], [gold])
    assert [row for row in scores.rows if row.value != 1 or row.counts.fp or row.counts.fn] == []
    assert scores.row("criteria", "exact").counts == Counts(tp=len(gold.criteria))
    assert list(errors([gold], [gold])) == []


@settings(deadline=None)
@given(PAIRS)
def test_swapping_gold_and_prediction_swaps_precision_and_recall(pair: tuple[ParsedTrial, ParsedTrial]) -> None:
    there, back = score([pair[0]], [pair[1]]), score([pair[1]], [pair[0]])
    assert [(row.family, row.name, row.value) for row in there.rows] == [(row.family, row.name, row.value) for row in back.rows]
    for row, other in zip(there.rows, back.rows, strict=True):
        assert (row.counts.tp, row.counts.fp, row.counts.fn) == (other.counts.tp, other.counts.fn, other.counts.fp)
        if row.name != "macro":
            assert (row.precision, row.recall) == (other.recall, other.precision)


@settings(deadline=None)
@given(PAIRS)
def test_every_item_is_counted_once(pair: tuple[ParsedTrial, ParsedTrial]) -> None:
    """Against a second count of what there is, and with every difference named."""
    gold, predicted = pair
    scores = score([gold], [predicted])
    found = Counter(f"{error.item} {error.type}" for error in errors([gold], [predicted]))

    def sums(family: str, name: str, of_gold: int, of_predicted: int) -> None:
        row = scores.row(family, name).counts
        assert (row.tp + row.fn, row.tp + row.fp) == (of_gold, of_predicted)

    def items(parsed: ParsedTrial) -> list[tuple[str, frozenset[Span]]]:
        return [(one.label, frozenset(one.fragments)) for owner in parsed.criteria for one in owner.entities]

    def facts(parsed: ParsedTrial) -> int:
        return sum(len(list(evaluation.facts_of(owner.rule))) for owner in parsed.criteria)

    sums("criteria", "exact", len(gold.criteria), len(predicted.criteria))
    sums("entities", "micro", len(items(gold)), len(items(predicted)))
    sums("entities, relaxed", "micro", len(items(gold)), len(items(predicted)))
    sums("facts", "all", facts(gold), facts(predicted))
    strict = scores.row("entities", "micro").counts
    assert strict.tp == (Counter(items(gold)) & Counter(items(predicted))).total()
    assert strict.tp <= scores.row("entities, relaxed", "micro").counts.tp
    assert scores.row("criteria", "exact").counts.tp <= scores.row("criteria", "relaxed").counts.tp
    for item, types, row in (
        ("criterion", ("boundary",), scores.row("criteria", "exact")),
        ("entity", ("boundary", "label"), scores.row("entities", "micro")),
        ("fact", ("value", "label"), scores.row("facts", "all")),
    ):
        both = sum(found[f"{item} {type}"] for type in types)
        assert found[f"{item} missed"] + both == row.counts.fn
        assert found[f"{item} spurious"] + both == row.counts.fp


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["NCT1", "NCT2", "NCT3", "NCT4"]), min_size=2, unique=True), st.randoms(), st.data())
def test_the_order_of_trials_never_matters(names: list[str], chance: random.Random, data: st.DataObject) -> None:
    gold, predicted = ([data.draw(documents(name)) for name in names] for _ in range(2))
    scores, found = score(gold, predicted, resamples=50), list(errors(gold, predicted))
    chance.shuffle(gold)
    chance.shuffle(predicted)
    again = score(gold, predicted, resamples=50)
    assert (again.rows, again.trials) == (scores.rows, scores.trials)
    assert list(errors(gold, predicted)) == found
    assert Scores.from_json(scores.to_json()) == scores
    assert Scores.from_json(scores.to_json()).rows == scores.rows


@settings(deadline=None)
@given(PAIRS)
def test_two_annotators_of_stand_off_gold_agree_as_those_of_hydrated_gold(pair: tuple[ParsedTrial, ParsedTrial]) -> None:
    """No random extent of these documents ends in white space that only the text could tell."""
    text = "x" * 100
    hydrated = [one.model_copy(update={"trial": one.trial.model_copy(update={"eligibility": text})}) for one in pair]
    bare = [one.model_copy(update={"trial": one.trial.model_copy(update={"eligibility": ""})}) for one in pair]
    assert agreement([bare[0]], [bare[1]]).rows == agreement([hydrated[0]], [hydrated[1]]).rows


# --- against another implementation -----------------------------------------------------------------------------------


def flat(chance: random.Random) -> list[tuple[str, int, int]]:
    """Mentions that do not overlap each other."""
    cuts = sorted(chance.sample(range(100), 2 * chance.randint(0, 6)))
    return [(chance.choice(LABELS), start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


def nervaluated(gold: Sequence[list[tuple[str, int, int]]], predicted: Sequence[list[tuple[str, int, int]]], what: str) -> Any:
    """What nervaluate counts; its ends are inclusive."""
    nervaluate = pytest.importorskip("nervaluate")

    def loaded(documents: Sequence[list[tuple[str, int, int]]]) -> list[list[dict[str, Any]]]:
        return [[{"label": label, "start": start, "end": end - 1} for label, start, end in found] for found in documents]

    evaluator = nervaluate.Evaluator(loaded(gold), loaded(predicted), tags=LABELS, loader="dict")
    return evaluator.evaluate()["overall"][what]


def scored(gold: Sequence[list[tuple[str, int, int]]], predicted: Sequence[list[tuple[str, int, int]]], family: str) -> Counts:
    sides = [
        [
            trial(f"NCT{n}", criterion("I1", (0, 100), entities=[entity(label, (start, end)) for label, start, end in found]))
            for n, found in enumerate(side)
        ]
        for side in (gold, predicted)
    ]
    return score(*sides).row(family, "micro").counts


@pytest.mark.parametrize("seed", range(20))
def test_strict_counts_are_those_of_nervaluate_on_flat_documents(seed: int) -> None:
    chance = random.Random(seed)
    gold = [flat(chance) for _ in range(8)]
    predicted = [
        [mention for mention in found if chance.random() < 0.7] if chance.random() < 0.7 else flat(chance) for found in gold
    ]
    theirs, ours = nervaluated(gold, predicted, "strict"), scored(gold, predicted, "entities")
    assert (ours.tp, ours.tp + ours.fp, ours.tp + ours.fn) == (theirs.correct, theirs.actual, theirs.possible)
    assert ours.tp > 0


@pytest.mark.parametrize("seed", range(20))
def test_relaxed_counts_are_those_of_nervaluate_where_a_mention_meets_one_other(seed: int) -> None:
    """Its "ent_type": any overlap, the same label. Where one mention meets several, nervaluate takes the first, we the best."""
    chance = random.Random(seed)
    gold, predicted = [], []
    for _ in range(8):
        sides: tuple[list[tuple[str, int, int]], ...] = ([], [])
        for slot in range(0, 90, 10):
            for side in sides:
                start, end = sorted(chance.sample(range(slot, slot + 10), 2))
                if chance.random() < 0.8:
                    side.append((chance.choice(LABELS), start, end))
        gold.append(sides[0])
        predicted.append(sides[1])
    theirs, ours = nervaluated(gold, predicted, "ent_type"), scored(gold, predicted, "entities, relaxed")
    assert (ours.tp, ours.tp + ours.fp, ours.tp + ours.fn) == (theirs.correct, theirs.actual, theirs.possible)
    assert ours.tp > 0


# --- criteria ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "relaxed"),
    [
        ([(0, 32)], [(0, 32)], True, True),
        ([(0, 104)], [(0, 106)], True, True),  # white space at the end
        ([(32, 104)], [(33, 104)], True, True),  # and at the beginning
        ([(0, 20)], [(0, 10)], False, True),
        ([(0, 20)], [(0, 9)], False, False),
        ([(0, 10), (20, 30)], [(0, 10)], False, True),
        ([(0, 10), (20, 30)], [(20, 30), (0, 10)], True, True),
        ([(0, 20)], [(0, 10), (10, 20)], True, True),  # the same characters
        ([(0, 20)], [(40, 60)], False, False),
    ],
)
def test_criteria_match_by_extent(gold: list[Span], predicted: list[Span], exact: bool, relaxed: bool) -> None:
    scores = score([trial("NCT1", criterion("I1", *gold))], [trial("NCT1", criterion("E7", *predicted))])
    assert counts(scores, "criteria", "exact") == (int(exact), int(not exact), int(not exact))
    assert counts(scores, "criteria", "relaxed") == (int(relaxed), int(not relaxed), int(not relaxed))


def test_a_criterion_matches_once_and_the_best_overlap_wins() -> None:
    gold = [trial("NCT1", criterion("I1", (0, 20)), criterion("I2", (20, 40)))]
    predicted = trial("NCT1", criterion("I1", (0, 6)), criterion("I2", (6, 40)))
    assert [(a.id, b.id) for a, b in evaluation.aligned(gold[0], predicted)] == [("I1", "I1"), ("I2", "I2")]
    assert counts(score(gold, [predicted]), "criteria", "relaxed") == (1, 1, 1)


def test_kind_is_judged_on_exact_matches_alone() -> None:
    gold = trial("NCT1", criterion("I1", (0, 20)), criterion("I2", (20, 40)), criterion("I3", (40, 60)))
    changed = [criterion("E1", (0, 20), kind="exclusion"), criterion("I1", (20, 40)), criterion("E2", (40, 59), kind="exclusion")]
    scores = score([gold], [trial("NCT1", *changed)])
    assert scores.row("criteria", "kind").value == 0.5
    assert scores.row("criteria", "kind").counts.support == 2


@pytest.mark.parametrize(
    ("parent", "right"),
    [("I2", True), ("I9", False), (None, False)],  # the same parent under another id, an unknown one, none
)
def test_parents_are_compared_through_the_match(parent: str | None, right: bool) -> None:
    gold = trial("NCT1", criterion("I1", (0, 20)), criterion("I1.1", (20, 40), parent_id="I1"))
    predicted = trial("NCT1", criterion("I2", (0, 18)), criterion("I3", (20, 40), parent_id=parent))
    scores = score([gold], [predicted])
    assert scores.row("criteria", "parent").value == float(right)
    assert scores.row("criteria", "parent, not default").value == float(right)


# --- entities ---------------------------------------------------------------------------------------------------------

RENAL, HEPATIC = entity("CONDITION", (7, 12), (24, 31)), entity("CONDITION", (16, 31))
GOUT = entity("CONDITION", (42, 46), negated=True, status="history")


@pytest.mark.parametrize(
    ("gold", "predicted", "strict", "relaxed"),
    [
        ([GOUT], [GOUT], (1, 0, 0), (1, 0, 0)),
        ([GOUT], [entity("DRUG", (42, 46))], (0, 1, 1), (0, 1, 1)),
        ([GOUT], [entity("CONDITION", (36, 46))], (0, 1, 1), (1, 0, 0)),
        ([GOUT], [entity("CONDITION", (36, 42))], (0, 1, 1), (0, 1, 1)),  # they only touch
        ([RENAL], [entity("CONDITION", (7, 31))], (0, 1, 1), (1, 0, 0)),
        ([RENAL], [entity("CONDITION", (24, 31), (7, 12))], (1, 0, 0), (1, 0, 0)),
        ([RENAL], [entity("CONDITION", (13, 15))], (0, 1, 1), (0, 1, 1)),  # in the gap of the other
        ([GOUT], [entity("CONDITION", (42, 44)), entity("CONDITION", (44, 46))], (0, 2, 1), (1, 1, 0)),
        ([GOUT, GOUT], [GOUT], (1, 0, 1), (1, 0, 1)),
        ([], [GOUT], (0, 1, 0), (0, 1, 0)),
    ],
)
def test_entities_match_by_offsets(
    gold: list[Entity], predicted: list[Entity], strict: tuple[int, int, int], relaxed: tuple[int, int, int]
) -> None:
    scores = score([one(*gold)], [one(*predicted)])
    assert counts(scores, "entities", "micro") == strict
    assert counts(scores, "entities, relaxed", "micro") == relaxed


def test_an_entity_counts_in_whichever_criterion_it_stands() -> None:
    gold = trial("NCT1", criterion("I1", (0, 32), entities=(HEPATIC,)), criterion("I2", (33, 100)))
    predicted = trial("NCT1", criterion("I1", (0, 32)), criterion("I2", (33, 100), entities=(HEPATIC,)))
    assert counts(score([gold], [predicted]), "entities", "micro") == (1, 0, 0)


def test_groups_have_rows_of_their_own() -> None:
    """RENAL and HEPATIC share "failure"; of the two the prediction has HEPATIC, and gout without its status."""
    scores = score([one(RENAL, HEPATIC, GOUT)], [one(HEPATIC, entity("CONDITION", (42, 46)), entity("LAB", (48, 51)))])
    assert counts(scores, "entities", "nested") == (1, 0, 1)
    assert counts(scores, "entities", "discontinuous") == (0, 0, 1)
    assert counts(scores, "entities", "disease history") == (0, 0, 1)
    assert counts(scores, "entities", "CONDITION") == (2, 0, 1)
    assert scores.row("entities", "micro").value == pytest.approx(2 / 3)
    assert scores.row("entities", "macro").value == pytest.approx((0.8 + 0) / 2)
    assert counts(score([one(GOUT)], [one(GOUT)]), "entities", "disease history") == (1, 0, 0)


def test_attributes_are_judged_where_there_are_any() -> None:
    gold = one(GOUT, HEPATIC, entity("LAB", (48, 51)))
    predicted = one(entity("CONDITION", (42, 46), negated=True), HEPATIC, entity("LAB", (48, 51)))
    scores = score([gold], [predicted])
    assert scores.row("attributes", "status").value == 0.5
    assert scores.row("attributes", "status, not default").value == 0
    assert scores.row("attributes", "negated").value == 1
    assert scores.row("attributes", "negated, not default").counts.support == 1
    assert scores.row("attributes", "certainty, not default").value is None


def test_a_relation_needs_both_its_ends() -> None:
    anc, low = entity("LAB", (48, 51), id="a"), entity("THRESHOLD", (52, 64), id="b")
    link = Relation(type="has_value", head="a", tail="b")
    gold = one(anc, low, relations=(link,))
    renamed = one(
        anc.model_copy(update={"id": "x"}),
        low.model_copy(update={"id": "y"}),
        relations=(Relation(type="has_value", head="x", tail="y"),),
    )
    assert counts(score([gold], [renamed]), "relations", "has_value") == (1, 0, 0)
    shorter = one(anc, entity("THRESHOLD", (61, 64), id="b"), relations=(link,))
    assert counts(score([gold], [shorter]), "relations", "micro") == (0, 1, 1)


# --- facts ------------------------------------------------------------------------------------------------------------

LOINC = Code(system="http://loinc.org", code="26499-4")
STAGE = Fact(about="staging", name="stage", system="AJCC", values=("III", "IV"))


@pytest.mark.parametrize(
    ("gold", "predicted", "same"),
    [
        (lab(), lab(), True),
        (lab(), lab(name="ANC"), True),
        (lab(), lab(name="neutrophils", codes=(LOINC,)), True),
        (lab(codes=(LOINC,)), lab(name="granulocytes of a kind", codes=(LOINC,)), True),
        (lab(), lab(name="hemoglobin"), False),
        (lab(), lab(low="1500", unit="/uL"), True),
        (lab(), lab(low="1500", unit="{cells}/uL"), True),
        (lab(), lab(low="1.51"), False),  # one unit: no rounding to forgive
        (lab(), lab(low="1.50"), True),
        (lab(), lab(low="1500", unit="10*9/L"), False),
        (lab(), lab(unit=None), False),
        (lab(), lab(low_inclusive=False), False),
        (lab(), lab(low_inclusive=None), True),
        (lab(), lab(low=None, high="1.5", high_inclusive=True), False),
        (lab(), lab(high="9"), False),
        (lab(), lab(about="measurement"), False),
        (lab(), lab(measures="change"), False),
        (lab(), lab(None, None), False),
        (lab(None, None), Fact(about="lab", name="ANC"), True),
        (lab("2", None, relative_to="ULN", relation="ratio"), lab("2", "1", relative_to="ULN"), True),
        (lab("2", None, relative_to="ULN", relation="ratio"), lab("2", None, relative_to="LLN", relation="ratio"), False),
        (lab("2", "g/dL", relative_to="ULN", relation="ratio"), lab("2", "g/dL", relative_to="ULN", relation="difference"), False),
        (lab("1.5", "mg/dL", "creatinine"), lab("133", "umol/L", "creatinine"), True),  # 132.6
        (lab("1.5", "mg/dL", "creatinine"), lab("136", "umol/L", "creatinine"), False),
        (lab("7", "%", "HbA1c"), lab("53", "mmol/mol", "HbA1c"), True),
        (
            lab("7", "[iU]/L", "x", canonical=Canonical(low="0.42", unit="ukat/L")),
            lab("0.421", "ukat/L", "x", canonical=Canonical(low="0.421", unit="ukat/L")),
            True,
        ),
        (lab("1", "a", "age", about="age"), lab("12", "mo", "age", about="age"), True),
        (lab("38", "Cel", "body temperature", about="vital"), lab("100.4", "[degF]", "temperature", about="vital"), True),
        (lab("40", "%", "neutrophils"), lab("40", "%", "neutrophil percentage"), True),
        (Fact(about="condition", name="brain metastases"), Fact(about="condition", name="Brain metastases"), True),
        (Fact(about="condition", name="malignancies"), Fact(about="condition", name="malignancy"), True),
        (Fact(about="condition", name="TB"), Fact(about="condition", name="total bilirubin"), False),
        (Fact(about="lab", name="TB"), Fact(about="lab", name="hepatitis"), False),
        (Fact(about="condition", name="gout"), Fact(about="condition", name="gout", status="history"), True),
        (STAGE, STAGE.model_copy(update={"values": ("IV", "iii"), "name": "ajcc stage"}), True),
        (STAGE, STAGE.model_copy(update={"values": ("IV",)}), False),
        (STAGE, STAGE.model_copy(update={"system": "Ann Arbor"}), False),
        (Fact(about="lab", name="HBsAg", values=("positive",)), Fact(about="lab", name="HBsAg"), False),
        (Fact(about="scale", name="ECOG", values=("0", "1")), Fact(about="scale", name="ECOG PS", values=("1", "0")), True),
    ],
)
def test_facts_match_by_what_they_ask(gold: Fact, predicted: Fact, same: bool) -> None:
    assert same_fact(gold, predicted) is same
    assert same_fact(predicted, gold) is same
    scores = score([one(rule=gold)], [one(rule=predicted)])
    assert counts(scores, "facts", "all") == (int(same), int(not same), int(not same))


@pytest.mark.parametrize(
    ("predicted", "wrong"),
    [
        (lab(), set()),
        (lab(low="2"), {"value"}),
        (lab(low=None, high="1.5", high_inclusive=True), {"side"}),
        (lab(low_inclusive=False), {"inclusiveness"}),
        (lab(unit="10*12/L"), {"unit"}),
        (lab(low="1500", unit="/uL"), set()),
        (lab(unit=None, relative_to="ULN"), {"unit", "reference"}),
        (lab(values=("positive",)), {"values"}),
        (lab(status="history"), {"status"}),
        (lab(windows=(Window(relation="within", high="28", unit="d"),)), {"windows"}),
        (lab(None, None), {"value", "side", "unit"}),
    ],
)
def test_the_parts_of_a_fact_are_judged_one_by_one(predicted: Fact, wrong: set[str]) -> None:
    scores = score([one(rule=lab())], [one(rule=predicted)])
    rows = [row for row in scores.rows if row.family == "facts" and row.measure == "accuracy"]
    assert {row.name.removesuffix(" right") for row in rows if row.value == 0} == wrong
    assert scores.row("facts", "about right").value == 1
    assert scores.row("facts", "name and about").value == 1


def test_facts_are_compared_between_the_criteria_that_overlap_best() -> None:
    gold = trial("NCT1", criterion("I1", (0, 32), rule=lab()), criterion("I2", (33, 100), rule=OPEN))
    moved = trial("NCT1", criterion("I1", (0, 32), rule=OPEN), criterion("I2", (33, 100), rule=lab()))
    assert counts(score([gold], [moved]), "facts", "all") == (0, 1, 1)
    cut = trial("NCT1", criterion("I5", (2, 10), rule=lab()))
    assert counts(score([gold], [cut]), "facts", "all") == (1, 0, 0)


def test_facts_of_sub_items_count_once() -> None:
    lead_in = criterion("I1", (0, 32), rule=AllOf(rules=(CriterionRef(id="I1.1"),)))
    gold = trial("NCT1", lead_in, criterion("I1.1", (33, 100), parent_id="I1", rule=lab()))
    assert score([gold], [gold]).row("facts", "all").counts.support == 1


def test_every_leaf_is_a_fact_and_those_outside_a_rule_stand_apart() -> None:
    inner = lab(name="hemoglobin")
    rule = AllOf(
        rules=(
            If(condition=lab(name="lipase"), then=lab(name="amylase"), otherwise=Not(rule=lab(name="albumin"))),
            Fact(about="condition", name="cancer", exceptions=(AnyOf(rules=(inner,)),)),
            Unsupported(reason="unparsed", facts=(lab(name="ferritin"),)),
            Fact(about="drug", name="aspirin", windows=(Window(relation="after", anchor=lab(name="lactate")),)),
        )
    )
    names = ["lipase", "amylase", "albumin", "cancer", "hemoglobin", "aspirin"]
    assert [fact.name for fact in evaluation.facts_of(rule)] == names
    assert [fact.name for fact in evaluation.facts_of(rule, outside=True)] == [*names[:5], "ferritin", "aspirin"]
    scores = score([one(rule=lab())], [one(rule=Unsupported(reason="unparsed", facts=(lab(),)))])
    assert counts(scores, "facts", "all") == (0, 0, 1)
    assert counts(scores, "facts", "all, outside a rule too") == (1, 0, 0)


# --- rules ------------------------------------------------------------------------------------------------------------

A, B, C = lab(name="lipase"), lab(name="amylase"), lab(name="albumin")
WITHIN = Window(relation="within", high="4", high_inclusive=True, unit="wk", anchor="enrollment")


@pytest.mark.parametrize(
    ("gold", "predicted", "same"),
    [
        (AllOf(rules=(A, B)), AllOf(rules=(B, A)), True),
        (AllOf(rules=(A, B)), AnyOf(rules=(A, B)), False),
        (AllOf(rules=(A, AllOf(rules=(B, C)))), AllOf(rules=(C, B, A)), True),
        (AllOf(rules=(A, AnyOf(rules=(B, C)))), AllOf(rules=(A, B, C)), False),
        (AllOf(rules=(A,)), A, True),
        (AllOf(rules=(A, Note(reason="permitted"))), A, True),
        (AllOf(rules=(Note(reason="permitted"),)), Note(reason="informational"), True),
        (AllOf(rules=(AnyOf(rules=(AllOf(rules=(A, B)),)),)), AllOf(rules=(A, B)), True),
        (AllOf(rules=(A, A)), A, False),
        (Not(rule=Not(rule=A)), A, True),
        (Not(rule=A), A, False),
        (Not(rule=AllOf(rules=(Not(rule=A),))), A, True),
        (AtLeast(n=1, rules=(A,)), A, True),
        (AtLeast(n=2, rules=(A, B)), AtLeast(n=2, rules=(B, A)), True),
        (AtLeast(n=2, rules=(A, B, C)), AtLeast(n=1, rules=(A, B, C)), False),
        (If(condition=A, then=B), If(condition=A, then=B, otherwise=Note(reason="permitted")), True),
        (If(condition=A, then=B), If(condition=B, then=A), False),
        (If(condition=A, then=B), If(condition=A, then=B, otherwise=C), False),
        (OPEN, Unsupported(reason="vague", text="?"), True),
        (OPEN, A, False),
        (CriterionRef(id="I1"), CriterionRef(id="I1"), True),
        (CriterionRef(id="I1"), CriterionRef(id="I2"), False),
        (A, lab(name="lipase", status="history"), False),
        (A, lab(name="lipase", windows=(WITHIN,)), False),
        (lab(windows=(WITHIN,)), lab(windows=(WITHIN.model_copy(update={"high": "28", "unit": "d", "anchor": None}),)), True),
        (lab(windows=(WITHIN,)), lab(windows=(WITHIN.model_copy(update={"high": "30", "unit": "d"}),)), False),
        (lab(windows=(WITHIN,)), lab(windows=(WITHIN.model_copy(update={"anchor": "surgery"}),)), False),
        (lab(windows=(WITHIN,)), lab(windows=(WITHIN.model_copy(update={"anchor": A}),)), False),
        (A.model_copy(update={"exceptions": (B,)}), A, False),
        (A.model_copy(update={"exceptions": (B, C)}), A.model_copy(update={"exceptions": (C, B)}), True),
    ],
)
def test_rules_are_equal_in_normal_form(gold: Rule, predicted: Rule, same: bool) -> None:
    assert same_rule(gold, predicted) is same
    assert same_rule(predicted, gold) is same


def test_a_reference_leads_through_the_match() -> None:
    gold = trial("NCT1", criterion("I1", (0, 32), rule=CriterionRef(id="I1.1")), criterion("I1.1", (33, 100), rule=A))
    predicted = trial("NCT1", criterion("I4", (0, 32), rule=CriterionRef(id="I5")), criterion("I5", (33, 100), rule=A))
    assert score([gold], [predicted]).row("rules", "equal").value == 1


def test_a_reference_to_what_was_missed_is_no_match() -> None:
    lead_in = criterion("I1", (0, 32), rule=CriterionRef(id="I1.1"))
    gold, predicted = trial("NCT1", lead_in, criterion("I1.1", (33, 100))), trial("NCT1", lead_in)
    assert score([gold], [predicted]).row("rules", "equal").value == 0
    assert [error.detail for error in errors([gold], [predicted])] == ["a criterion that it names is another one", ""]


def test_what_is_unsupported_on_both_sides_does_not_flatter() -> None:
    gold = trial("NCT1", criterion("I1", (0, 32)), criterion("I2", (33, 100), rule=A, computable="full", category="lab"))
    predicted = trial("NCT1", criterion("I1", (0, 32)), criterion("I2", (33, 100), rule=B, computable="partial", category="lab"))
    scores = score([gold], [predicted])
    assert {row.name: row.value for row in scores.rows if row.family == "rules"} == {
        "equal": 0.5,
        "equal, one side computable": 0,
        "computable": 0.5,
        "category": 1,
    }


# --- trials, intervals, comparison ------------------------------------------------------------------------------------


def test_trials_are_paired_and_named() -> None:
    gold = [
        one(GOUT).model_copy(update={"trial": one().trial.model_copy(update={"nct_id": name})}) for name in ("A", "B", "C", None)
    ]
    predicted = [
        gold[0],
        one(GOUT).model_copy(update={"trial": trial("B", text="another text").trial}),
        trial("D", text="no gold"),
        gold[3],
    ]
    scores = score(gold, predicted)
    assert (scores.missing, scores.other_text, scores.extra) == (("C",), ("B",), ("D",))
    assert counts(scores, "entities", "micro") == (2, 0, 2)
    assert [(error.trial, error.type) for error in errors(gold, predicted) if error.item == "entity"] == [
        ("B", "missed"),
        ("C", "missed"),
    ]
    both = agreement(gold, predicted)
    assert counts(both, "entities", "micro") == (2, 0, 0)
    assert both.missing == ("C",)


def test_a_bare_text_is_paired_with_the_trial_that_it_belongs_to() -> None:
    named, bare = one(GOUT), one(GOUT).model_copy(update={"trial": one().trial.model_copy(update={"nct_id": None})})
    assert score([named], [bare]).row("entities", "micro").value == 1
    assert score([bare], [named]).row("entities", "micro").value == 1
    other = one(GOUT).model_copy(update={"trial": one().trial.model_copy(update={"nct_id": "NCT2"})})
    assert score([named], [other]).missing == ("NCT1",)  # two trials may have one text


def test_a_trial_stands_once() -> None:
    with pytest.raises(AnnotationError, match="NCT1: it stands twice in the predictions"):
        score([one()], [one(), one(GOUT)])


def mixed(right: Sequence[int], wrong: Sequence[int]) -> tuple[list[ParsedTrial], list[ParsedTrial]]:
    """Trials with so many mentions found and so many missed."""
    gold, predicted = [], []
    for number, (found, missed) in enumerate(zip(right, wrong, strict=True)):
        mentions = [entity("DRUG", (n, n + 1)) for n in range(found + missed)]
        gold.append(trial(f"NCT{number}", criterion("I1", (0, 100), entities=mentions)))
        predicted.append(trial(f"NCT{number}", criterion("I1", (0, 100), entities=mentions[:found])))
    return gold, predicted


def test_the_interval_is_that_of_trials_drawn_with_replacement() -> None:
    right, wrong = [5, 3, 9, 1, 6, 7, 2], [0, 4, 2, 3, 1, 5, 2]
    scores = score(*mixed(right, wrong), seed=7, resamples=300)
    drawn = np.random.default_rng(7).multinomial(7, np.full(7, 1 / 7), size=300)
    values = []
    for times in drawn:
        tp, fn = (sum(int(n) * found for n, found in zip(times, side, strict=True)) for side in (right, wrong))
        values.append(2 * tp / (2 * tp + fn))
    row = scores.row("entities", "DRUG")
    assert row.interval == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert row.interval is not None
    assert row.value is not None
    assert row.interval[0] < row.value < row.interval[1]
    assert score(*mixed(right, wrong), seed=8, resamples=300).row("entities", "DRUG").interval != row.interval


def test_one_trial_has_no_interval() -> None:
    assert score([one(GOUT)], [one(GOUT)]).row("entities", "micro").interval is None
    assert score([], []).rows == ()


def test_what_got_better_is_told_from_what_may_be_chance() -> None:
    gold, predicted = mixed([4, 5, 3, 4, 5, 4], [4, 3, 5, 4, 3, 4])
    old, new = score(gold, predicted), score(gold, gold)
    found = {(change.family, change.name): change for change in compare(old, new)}
    better = found["entities", "DRUG"]
    assert better.verdict == "better"
    assert better.old is not None
    assert better.difference == pytest.approx(1 - better.old)
    assert {change.verdict for change in compare(new, old)} == {"worse", "unclear"}
    assert found["criteria", "exact"].verdict == "unclear"
    assert found["criteria", "exact"].interval == (0, 0)


def test_a_difference_is_smaller_than_its_parts_where_both_fail_alike() -> None:
    """The bootstrap is paired: what the trials have in common does not blur the difference."""
    gold, predicted = mixed([9, 1, 5, 7, 2], [0, 8, 4, 2, 7])
    scores = score(gold, predicted)
    change = next(one for one in compare(scores, scores) if one.name == "DRUG")
    assert change.interval == (0, 0)
    assert scores.row("entities", "DRUG").interval != (0, 0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([one(), trial("NCT2")], "NCT2: it is in one of the two scores only"),
        (
            [trial("NCT1", criterion("I1", (0, 9)), criterion("I2", (9, 20)))],
            "NCT1: 1 gold criteria in the one score, 2 in the other",
        ),
    ],
)
def test_scores_of_two_gold_sets_are_not_compared(other: list[ParsedTrial], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        compare(score([one()], [one()]), score(other, other))


def test_tags_group_the_trials() -> None:
    gold, predicted = mixed([2, 3, 4], [2, 0, 0])
    tags: list[Any] = ["units", ["units", "staging"], None]
    for n, tag in enumerate(tags):
        gold[n] = gold[n].model_copy(update={"trial": Trial.model_validate(gold[n].trial.model_dump() | {"phenomenon": tag})})
    groups = score(gold, predicted).by_phenomenon()
    assert {tag: (found.trials, counts(found, "entities", "micro")) for tag, found in groups.items()} == {
        "staging": (("NCT1",), (3, 0, 0)),
        "units": (("NCT0", "NCT1"), (5, 0, 2)),
    }


def test_kappa_is_the_textbook_one() -> None:
    """20 and 15 alike, 5 and 10 not: observed 0.7, expected 0.5."""
    first, second = [], []
    for n, (a, b) in enumerate([("i", "i")] * 20 + [("i", "e")] * 5 + [("e", "i")] * 10 + [("e", "e")] * 15):
        kinds = {"i": "inclusion", "e": "exclusion"}
        first.append(criterion(f"I{n}", (n, n + 1), kind=kinds[a]))
        second.append(criterion(f"I{n}", (n, n + 1), kind=kinds[b]))
    text = "x" * 60
    scores = agreement([trial("NCT1", *first, text=text)], [trial("NCT1", *second, text=text)])
    assert scores.row("kappa", "kind").value == pytest.approx(0.4)
    assert scores.row("kappa", "category").value is None  # only one value was ever used
    assert scores.row("criteria", "kind").value == pytest.approx(0.7)
    assert Scores.from_json(scores.to_json()) == scores


def test_the_annotators_stand_beside_the_numbers() -> None:
    gold, predicted = mixed([2, 3], [2, 0])
    scores = score(gold, gold).with_agreement(agreement(gold, predicted))
    assert scores.row("entities", "DRUG").value == 1
    assert scores.row("entities", "DRUG").agreement == pytest.approx(10 / 12)
    assert scores.row("entities", "LAB").agreement is None
    assert Scores.from_json(scores.to_json()).rows == scores.rows


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"trials": 3}', score([one(GOUT)], []).to_json().replace("DRUG", "CAT")[:-2]]
)
def test_what_is_no_score_is_refused(text: str) -> None:
    with pytest.raises(AnnotationError, match=r"these are no saved scores .*to_json"):
        Scores.from_json(text)


def test_an_unknown_row_is_refused() -> None:
    text = score([one(GOUT)], [one(GOUT)]).to_json()
    with pytest.raises(AnnotationError, match="no score has a row"):
        Scores.from_json(text.replace('["entities", "CONDITION"', '["entities", "DISEASE"'))
    with pytest.raises(KeyError, match="DISEASE"):
        score([], []).row("entities", "DISEASE")


# --- differences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gold", "predicted", "found"),
    [
        (one(GOUT), one(), [("entity", "missed", "CONDITION", "")]),
        (one(), one(GOUT), [("entity", "spurious", "CONDITION", "")]),
        (one(GOUT), one(entity("CONDITION", (36, 46))), [("entity", "boundary", "CONDITION", "")]),
        (one(GOUT), one(entity("DRUG", (42, 46))), [("entity", "label", "CONDITION", "CONDITION → DRUG")]),
        (
            one(GOUT),
            one(entity("CONDITION", (42, 46), status="history")),
            [("entity", "attribute", "CONDITION", "negated: true → false")],
        ),
        (one(rule=A), one(), [("fact", "missed", "lab", "lipase")]),
        (
            one(rule=A),
            one(rule=Unsupported(reason="vague", facts=(A,))),
            [("fact", "missed", "lab", "lipase, read outside the rule")],
        ),
        (one(), one(rule=A), [("fact", "spurious", "lab", "lipase")]),
        (one(rule=A), one(rule=lab("2", name="lipase")), [("fact", "value", "lab", "lipase: ≥ 1.5 10*9/L → ≥ 2 10*9/L")]),
        (one(rule=A), one(rule=lab(name="lipase", about="vital")), [("fact", "label", "lab", "lipase: about lab → vital")]),
        (
            one(rule=lab(start=1, end=9)),
            one(rule=lab(name="lipase", start=1, end=9)),
            [("fact", "label", "lab", "absolute neutrophil count → lipase")],
        ),
        (one(rule=A), one(rule=lab(name="lipase", status="any")), [("fact", "attribute", "lab", "lipase: status: current → any")]),
        (one(rule=A), one(rule=lab(name="lipase", windows=(WITHIN,))), [("fact", "attribute", "lab", "lipase: windows")]),
        (
            one(rule=AllOf(rules=(A, B))),
            one(rule=AnyOf(rules=(A, B))),
            [("criterion", "rule", "inclusion", "the facts agree, the rule that joins them does not")],
        ),
        (one(), one(kind="exclusion"), [("criterion", "label", "inclusion", "kind: inclusion → exclusion")]),
        (one(), one(category="lab"), [("criterion", "attribute", "inclusion", "category: other → lab")]),
        (
            trial("NCT1", criterion("I1", (0, 9))),
            trial("NCT1", criterion("I1", (0, 8))),
            [("criterion", "boundary", "inclusion", "")],
        ),
        (trial("NCT1", criterion("I1", (0, 9))), trial("NCT1"), [("criterion", "missed", "inclusion", "")]),
        (trial("NCT1"), trial("NCT1", criterion("I1", (0, 9))), [("criterion", "spurious", "inclusion", "")]),
    ],
)
def test_every_difference_has_its_type(gold: ParsedTrial, predicted: ParsedTrial, found: list[tuple[str, ...]]) -> None:
    assert [(error.item, error.type, error.label, error.detail) for error in errors([gold], [predicted])] == found


def test_a_difference_says_where_it_is() -> None:
    gold = trial("NCT1", criterion("I1", (0, 32), entities=(RENAL,)), criterion("I2", (33, 100), entities=(GOUT,)))
    predicted = trial("NCT1", criterion("E1", (0, 32)), criterion("E2", (34, 100), entities=(entity("CONDITION", (36, 46)),)))
    missed, boundary = (error for error in errors([gold], [predicted]) if error.item == "entity")
    if missed.type == "boundary":
        missed, boundary = boundary, missed
    assert (missed.gold, missed.predicted, missed.gold_spans, missed.predicted_spans) == ("I1", "E1", ((7, 12), (24, 31)), ())
    assert (boundary.gold, boundary.predicted) == ("I2", "E2")
    assert (boundary.gold_spans, boundary.predicted_spans) == (((42, 46),), ((36, 46),))

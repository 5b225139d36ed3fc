"""The compact notation of annotation: what it compiles to, what it says of faults, and that writing it loses nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critnlp import schema, shorthand, sources
from critnlp.errors import AnnotationError
from notation import compact

TEXT = """Inclusion Criteria:

* Age \\>= 18 years at screening
* ANC ≥ 1.5 × 109/L
  and platelets ≥ 100 × 109/L
* One of the following:
  * Liver or kidney dysfunction
  * Stage III or IV disease, within 2 years

Exclusion Criteria:

* Pregnancy. Pregnancy test required.
"""
TRIALS = {"T1": sources.trial_of(TEXT, nct_id="T1")}
HEAD = "## T1\n"
AGE = "C I1 kind=inclusion category=demographic computable=full\nT Age … screening\n"


def compiled(lines: str) -> tuple[list[schema.ParsedTrial], list[str]]:
    made = list(shorthand.compile(lines.splitlines(), TRIALS, name="a.txt"))
    return [one for one in made if isinstance(one, schema.ParsedTrial)], [str(e) for e in made if isinstance(e, AnnotationError)]


def rule_of(leaf: str) -> schema.Rule:
    records, errors = compiled(f"{HEAD}{AGE}E DEMOGRAPHIC | Age\nR {leaf}\n")
    assert errors == []
    return records[0].criteria[0].rule


LEAVES = [
    ('"age: age >= 18 [a]"', "age >=18 a"),
    ('"lab: hemoglobin > 7 & <= 10 [g/dL]"', "hemoglobin >7 <=10 g/dL"),
    ('"lab: hba1c = 7 [%]"', "hba1c =7 %"),
    ('"lab: alanine aminotransferase <= 2.5 [xULN]"', "alanine aminotransferase <=2.5 xULN"),
    ('"lab: creatinine <= 0.5 [+ULN]"', "creatinine <=0.5 +ULN"),
    ('"measurement: forced expiratory volume >= 50 [%predicted]"', "forced expiratory volume >=50 %predicted"),
    ('"vital: systolic blood pressure < 140 [mm[Hg]]"', "systolic blood pressure <140 mm[Hg]"),
    ('"staging: ajcc in {IIIB, IV} ; system=AJCC ; of=lung cancer"', "AJCC={IIIB,IV} of lung cancer"),
    ('"drug: chemotherapy >= 2 ; measures=count ; status=history"', "chemotherapy >=2 # [history]"),
    ('"procedure: surgery ; status=history ; window=within 4 wk of enrollment"', "surgery [history] @within <=4 wk"),
    ('"drug: insulin ; window=for >= 3 mo"', "insulin @for >=3 mo"),
    ('"drug: insulin ; window=for 3 mo"', "insulin @for >=3 mo"),
    ('"drug: vaccine ; window=after <= 90 d of last_dose"', "vaccine @after <=90 d last_dose"),
    ('"drug: aspirin ; window=during study"', "aspirin @during study"),
    ('"condition: blood in stool"', "blood in stool"),
    ('"condition: malignancy ; except=condition: basal cell carcinoma|condition: melanoma in situ"',
     "malignancy except(basal cell carcinoma; melanoma in situ)"),
    ('{"any": ["condition: asthma", {"not": "condition: copd"}]}', "any_of(asthma; not(copd))"),
    ('{"if": ["sex: sex in {female}", "lab: pregnancy test in {negative}", null]}', "if(sex={female}; pregnancy test={negative})"),
    ('{"at_least": [2, ["condition: a", "condition: b", "condition: c"]]}', "at_least(2; a; b; c)"),
    ('"unsupported: vague"', "unsupported(vague)"),
    ('"note: permitted"', "note(permitted)"),
    ('"unsupported: vague @ 1"', "unsupported(vague)"),
    ('{"criterion": "I1"}', "criterion(I1)"),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "rule"), LEAVES, ids=[leaf for leaf, _ in LEAVES])
def test_a_rule_is_compiled(leaf: str, rule: str) -> None:
    assert compact(rule_of(leaf)) == rule


def test_a_fact_stands_where_its_entities_stand() -> None:
    (record,), errors = compiled(
        f'{HEAD}{AGE}E DEMOGRAPHIC | Age\nE THRESHOLD | \\>= 18 years\nL has_value 1 2\nR "age: age >= 18 [a] @ 1 2"'
    )
    criterion = record.criteria[0]
    assert errors == []
    assert isinstance(criterion.rule, schema.Fact)
    assert criterion.rule.entities == ("I1.e1", "I1.e2")
    assert TEXT[criterion.rule.start : criterion.rule.end] == "Age \\>= 18 years"
    assert criterion.relations == (schema.Relation(type="has_value", head="I1.e1", tail="I1.e2"),)


QUOTES = [
    ("Liver + dysfunction", ["Liver", "dysfunction"]),
    ("kidney dysfunction", ["kidney dysfunction"]),
    ("Liver … dysfunction", ["Liver or kidney dysfunction"]),
]


@pytest.mark.parametrize(("quote", "fragments"), QUOTES)
def test_a_quote_is_found(quote: str, fragments: list[str]) -> None:
    opening = f"{HEAD}C I1 kind=inclusion category=disease computable=full\nT Liver … dysfunction\n"
    lines = f'{opening}E CONDITION | {quote}\nR "condition: x"'
    (record,), errors = compiled(lines)
    assert errors == []
    assert [TEXT[start:end] for start, end in record.criteria[0].entities[0].fragments] == fragments


def test_a_quote_is_whole_words_whose_white_space_may_differ_and_has_a_number() -> None:
    lines = (
        f"{HEAD}C I1 kind=inclusion category=lab computable=full\nT ANC ≥ 1.5 × 109/L and platelets ≥ 100 × 109/L\n"
        'E LAB | platelets\nE THRESHOLD | ≥ 1.5 × 109/L\nR "unsupported: unparsed"\n'
        "C E1 kind=exclusion category=reproductive computable=full\nT Pregnancy. Pregnancy test required.\n"
        'E REPRODUCTIVE | Pregnancy\nE LAB | Pregnancy #2\nR "unsupported: unparsed"'
    )
    (record,), errors = compiled(lines)
    assert errors == []
    first, second = record.criteria
    assert TEXT[first.start : first.end].splitlines()[1] == "  and platelets ≥ 100 × 109/L"
    assert [entity.start for entity in second.entities] == [TEXT.index("Pregnancy"), TEXT.index("Pregnancy test")]


FAULTS = [
    ("X what", "a.txt:2: 'X what' is not understood; a line begins with ##, |, C, T, T+, E, L, R or //"),
    ("T Age", "a.txt:2: a T line before the first C line; begin the criterion with 'C I1 kind=…'"),
    (AGE + "E LABS | Age", "a.txt:4: 'LABS | Age': 'LABS' is no label; write 'E LAB | quote' with one of BIOMARKER"),
    (AGE + "E DEMOGRAPHIC | age limit", "a.txt:4: I1: 'age limit' does not occur in the criterion; copy the words as they are"),
    (AGE + "E LAB | Age ; negated", "a.txt:4: I1: LAB has no attributes; leave out negated"),
    (AGE + "E DRUG | Age ; state=past", "a.txt:4: I1: state is no attribute; there are negated, status, experiencer, certainty"),
    (AGE + "E DRUG | Age ; status=old", "a.txt:4: I1: attributes.status: Input should be"),
    (AGE + "L has_worth 1 2", "a.txt:4: 'has_worth 1 2' is no relation; write 'L has_value 1 2' with one of"),
    (AGE + 'L has_value 1 2\nR "unsupported: vague"', "a.txt:4: I1: there is no entity 1; entities are numbered by their E lines"),
    (AGE + "R {", "a.txt:4: I1: the rule is no JSON"),
    (AGE + 'R "laboratory: x >= 1"', "a.txt:4: I1: 'laboratory: x >= 1': 'laboratory' is nothing a fact can be about"),
    (AGE + 'R "lab: x [mg]"', "a.txt:4: I1: 'lab: x [mg]': a unit without a comparison; write 'name >= 1.5 [unit]'"),
    (AGE + 'R "lab: ; status=history"', "a.txt:4: I1: 'lab: ; status=history': the fact has no name"),
    (AGE + 'R "lab: x >= 1 ; colour=red"', "a.txt:4: I1: 'colour' is no option of a fact; there are status"),
    (AGE + 'R "drug: x ; window=next week"', "a.txt:4: I1: the window 'next week' is not understood"),
    (AGE + 'R "unsupported: strange"', "a.txt:4: I1: unsupported.reason: Input should be"),
    (AGE + 'R {"xor": []}', "a.txt:4: I1: 'xor' is no node"),
    (AGE + 'R {"criterion": "I9"}', "a.txt:4: I1: there is no criterion I9"),
    (AGE, "a.txt:2: I1: no R line that could be read; give the rule"),
    ('C I1 kind=maybe category=lab computable=full\nT Age\nR "unsupported: vague"', "a.txt:2: I1: kind=maybe is none of inclusion"),
    ('C I1 kind=inclusion category=lab computable=full\nT Nothing\nR "unsupported: vague"',
     "a.txt:3: I1: the quote 'Nothing' is not in the text behind character 0; copy it from the text"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "message"), FAULTS, ids=[message[:60] for _, message in FAULTS])
def test_a_fault_names_its_line_and_what_to_do(lines: str, message: str) -> None:
    records, errors = compiled(HEAD + lines)
    assert any(error.startswith(message) for error in errors), errors
    assert len(records) == 1  # the trial is there with what could be read


def test_a_fault_loses_nothing_else() -> None:
    good = "C E1 kind=exclusion category=reproductive computable=full\nT Pregnancy\nE REPRODUCTIVE | Pregnancy\n"
    good += 'R "reproductive: pregnancy @ 1"'
    records, errors = compiled(f'{HEAD}{AGE}E LAB | nowhere\nE DEMOGRAPHIC | Age\nR "age: age >= 18 [a] @ 2"\n{good}')
    assert len(errors) == 1
    first, second = records[0].criteria
    assert [entity.id for entity in first.entities] == ["I1.e2"]  # numbers are by lines, those that cannot be read included
    assert compact(second.rule) == "pregnancy"


def test_the_head_of_a_file_says_who_annotated() -> None:
    good = f'{HEAD}{AGE}R "unsupported: vague"'
    (record,), errors = compiled("#: annotator=ab:person annotator=m:model guideline=1.0\n" + good)
    assert errors == []
    assert record.annotation is not None
    assert [(one.id, one.type) for one in record.annotation.annotators] == [("ab", "person"), ("m", "model")]
    assert record.annotation.guideline_version == "1.0"
    _, errors = compiled("#: annotator=ab\n" + good)
    assert errors == ["a.txt:1: 'annotator=ab' names no annotator; write '#: annotator=ID:person guideline=1.0' (or ID:model)"]


def test_an_unknown_trial_is_named() -> None:
    records, errors = compiled("## T9\n" + AGE)
    assert records == []
    assert errors == ["a.txt:1: T9: no text of this trial; give it with --texts"]


# --- laws -------------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["age", "stage", "ALT", "≥ 2.5", "× ULN", "no", "liver", "or", "kidney", "stage III", "+", "e#2", "a ; b", "IV"]
)
NAMES = st.from_regex(r"[a-z]{3,8}( [a-z]{2,8})?", fullmatch=True)
NUMBERS = st.decimals(min_value=0, max_value=999, places=1).map(str)
RANGES = st.one_of(
    st.builds(
        lambda low, inclusive, unit: schema.Range(low=low, low_inclusive=inclusive, unit=unit),
        NUMBERS, st.booleans(), st.sampled_from([None, "mg/dL", "10*9/L", "mm[Hg]", "%"]),
    ),
    st.builds(
        lambda high, to, relation: schema.Range(high=high, high_inclusive=True, relative_to=to, relation=relation),
        NUMBERS, st.sampled_from(["ULN", "LLN", "baseline"]), st.sampled_from(["ratio", "difference"]),
    ),
)  # fmt: skip
WINDOWS = st.builds(
    lambda relation, high, anchor: schema.Window(relation=relation, high=high, high_inclusive=True, unit="wk", anchor=anchor),
    st.sampled_from(["within", "after"]), NUMBERS, st.sampled_from([None, "enrollment", "first_dose"]),
)  # fmt: skip
FACTS = st.builds(
    lambda name, range_, values, status, windows: schema.Fact(
        about="lab", name=name, range=range_, values=values, status=status, windows=tuple(windows)
    ),
    NAMES, st.none() | RANGES, st.none() | st.just(("positive", "III")), st.sampled_from(["current", "history"]),
    st.lists(WINDOWS, max_size=2),
)  # fmt: skip
RULES: st.SearchStrategy[schema.Rule] = st.recursive(
    FACTS | st.sampled_from([schema.Unsupported(reason="vague"), schema.Note(reason="permitted", text='if "so"; b=c @ 1')]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda rules: schema.AllOf(rules=tuple(rules))),
        st.lists(inner, min_size=2, max_size=3).map(lambda rules: schema.AnyOf(rules=tuple(rules))),
        inner.map(lambda rule: schema.Not(rule=rule)),
        st.tuples(inner, inner).map(lambda two: schema.If.model_validate({"if": two[0], "then": two[1], "else": None})),
    ),
    max_leaves=5,
)  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> schema.ParsedTrial:
    """A gold record of one criterion with entities at word borders, discontinuous ones among them, and any rule."""
    words = draw(st.lists(WORDS, min_size=3, max_size=12))
    text = "* " + " ".join(words)
    borders = [2]
    for word in words:
        borders.append(borders[-1] + len(word) + 1)
    pieces = [(start, end - 1) for start, end in pairwise(borders)]
    entities = []
    for number in range(draw(st.integers(0, 4))):
        picked = sorted(draw(st.sets(st.sampled_from(pieces), min_size=1, max_size=2)))
        entities.append(
            schema.Entity(
                id=f"I1.e{number + 1}", label="CONDITION", start=picked[0][0], end=picked[-1][1], fragments=tuple(picked),
                text=" ".join(text[start:end] for start, end in picked), layer="gold",
                attributes=schema.Attributes(negated=draw(st.booleans())),
            )
        )  # fmt: skip
    criterion = schema.Criterion(
        id="I1", kind="inclusion", start=2, end=len(text), fragments=((2, len(text)),), text=text[2:], clean_text=text[2:],
        category="lab", entities=tuple(entities), rule=draw(RULES), computable="full",
    )  # fmt: skip
    return schema.ParsedTrial(
        critnlp_version="0.1.0", pipeline=schema.Pipeline(name="gold", version="1"), trial=sources.trial_of(text, nct_id="T1"),
        criteria=(criterion,), annotation=schema.Annotation(annotators=(), guideline_version=""),
    )  # fmt: skip


@given(records())
def test_writing_and_compiling_give_back_the_record(record: schema.ParsedTrial) -> None:
    lines = list(shorthand.write([record], with_text=True))
    assert [*shorthand.compile(lines, {}, name="a.txt")] == [record]

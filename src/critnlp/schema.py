"""The output contract, version 1, as frozen types: trial, criterion, entity, relation, rule, warning.

Offsets are half-open `[start, end)` in Unicode code points of `Trial.eligibility`. Numbers of the text are decimals kept as
strings, units are UCUM codes. Unknown extra fields are kept on reading, so that a newer writer loses nothing here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

SCHEMA_VERSION = "1"

Kind = Literal["inclusion", "exclusion", "unspecified"]
Category = Literal[
    "demographic",
    "disease",
    "disease_history",
    "staging",
    "biomarker",
    "lab",
    "vital",
    "performance_status",
    "prior_therapy",
    "concomitant_therapy",
    "procedure",
    "reproductive",
    "infection",
    "allergy",
    "lifestyle",
    "consent",
    "compliance",
    "life_expectancy",
    "other",
]
Computable = Literal["full", "partial", "none", "unparsed"]
SegmentType = Literal["heading", "criterion", "lead_in", "note", "marker", "blank"]
Sex = Literal["all", "female", "male"]
Label = Literal[
    "CONDITION",
    "LAB",
    "SCALE",
    "THRESHOLD",
    "RESULT",
    "STAGING",
    "BIOMARKER",
    "DRUG",
    "PROCEDURE",
    "DEVICE",
    "TEMPORAL",
    "DEMOGRAPHIC",
    "REPRODUCTIVE",
    "OBSERVATION",
    "QUALIFIER",
    "NEGATION",
    "EXCEPTION",
]
RelationType = Literal[
    "has_value",
    "has_result",
    "has_temporal",
    "has_stage",
    "has_qualifier",
    "has_negation",
    "has_exception",
    "abbreviates",
]
Status = Literal["current", "history", "planned", "any"]
Experiencer = Literal["patient", "family", "other"]
Certainty = Literal["affirmed", "possible"]
About = Literal[
    "lab",
    "vital",
    "measurement",
    "scale",
    "staging",
    "condition",
    "drug",
    "procedure",
    "device",
    "biomarker",
    "age",
    "sex",
    "reproductive",
    "observation",
]
RelativeTo = Literal["ULN", "LLN", "baseline", "predicted", "percentile", "z_score"]
Measures = Literal["value", "count", "dose", "duration", "change"]
Outcome = Literal["progressed", "refractory", "relapsed", "intolerant", "responded", "completed"]
UnsupportedReason = Literal["investigator_judgement", "vague", "consent", "compliance", "protocol_reference", "unparsed"]
NoteReason = Literal["permitted", "lead_in", "informational"]
WarningCode = Literal[
    "impossible_value",
    "comparator_lost",
    "contradiction",
    "registry_conflict",
    "registry_incomplete",
    "polarity_repaired",
    "empty_section",
    "duplicate",
]

Decimal = Annotated[str, StringConstraints(pattern=r"^-?\d+(\.\d+)?$")]
Offset = Annotated[int, Field(ge=0)]
Confidence = Annotated[float, Field(ge=0, le=1)]
Span = tuple[Offset, Offset]


class Model(BaseModel):
    """A frozen value of the contract; unknown fields survive a round trip."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True)


class Code(Model):
    """One code of a terminology. `system` is its canonical URI, e.g. `http://loinc.org`."""

    system: str
    code: str
    display: str | None = None


class Quantity(Model):
    """A number with its UCUM unit."""

    value: Decimal
    unit: str


# --- trial ------------------------------------------------------------------------------------------------------------


class Trial(Model):
    """A trial as its source gave it. `eligibility` is the text code point for code point, or "" in stand-off gold."""

    nct_id: str | None = None
    title: str | None = None
    eligibility: str = ""
    sha256: str
    version_date: str | None = None
    sex: Sex | None = None
    minimum_age: Quantity | None = None
    maximum_age: Quantity | None = None
    healthy_volunteers: bool | None = None
    conditions: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    source: str | None = None


class Segment(Model):
    """One stretch of the eligibility text; a trial's segments tile it. `criterion` is the id it belongs to, if any."""

    type: SegmentType
    start: Offset
    end: Offset
    criterion: str | None = None


class Warning(Model):
    """Something in the text that a person should look at."""

    code: WarningCode
    criterion: str | None = None
    message: str


# --- entities and relations -------------------------------------------------------------------------------------------


class Attributes(Model):
    """How a CONDITION, DRUG, PROCEDURE, DEVICE, BIOMARKER, REPRODUCTIVE or OBSERVATION is meant."""

    negated: bool = False
    status: Status = "current"
    experiencer: Experiencer = "patient"
    certainty: Certainty = "affirmed"


class Entity(Model):
    """A mention. `fragments` are the parts of a discontinuous one; `start`/`end` their outer extent."""

    id: str
    label: Label
    start: Offset
    end: Offset
    fragments: tuple[Span, ...]
    text: str = ""
    confidence: Confidence = 1.0
    layer: str
    attributes: Attributes | None = None
    codes: tuple[Code, ...] = ()


class Relation(Model):
    """A directed link between two entities; `head` is the thing described."""

    type: RelationType
    head: str
    tail: str


# --- rule -------------------------------------------------------------------------------------------------------------


class Range(Model):
    """Bounds as written after repair; `unit` null means that none was written."""

    low: Decimal | None = None
    low_inclusive: bool | None = None
    high: Decimal | None = None
    high_inclusive: bool | None = None
    unit: str | None = None
    relative_to: RelativeTo | None = None
    relation: Literal["ratio", "difference"] | None = None
    measures: Measures = "value"


class Canonical(Model):
    """The same bounds in the analyte's canonical UCUM unit."""

    low: Decimal | None = None
    high: Decimal | None = None
    unit: str


class Window(Model):
    """A time window; `anchor` is a named event (`enrollment`, `first_dose`, …) or a fact."""

    relation: Literal["within", "before", "for", "during", "after"]
    low: Decimal | None = None
    low_inclusive: bool | None = None
    high: Decimal | None = None
    high_inclusive: bool | None = None
    unit: str | None = None
    anchor: str | Fact | None = None
    choose: Literal["longer", "shorter"] | None = None


class AllOf(Model):
    """Every rule is met."""

    op: Literal["all_of"] = "all_of"
    rules: tuple[Rule, ...]


class AnyOf(Model):
    """At least one rule is met."""

    op: Literal["any_of"] = "any_of"
    rules: tuple[Rule, ...]


class AtLeast(Model):
    """At least `n` rules are met."""

    op: Literal["at_least"] = "at_least"
    n: Annotated[int, Field(ge=1)]
    rules: tuple[Rule, ...]


class Not(Model):
    """The rule is not met."""

    op: Literal["not"] = "not"
    rule: Rule


class If(Model):
    """`then` where the condition is met, else `else`; a missing `else` is neutral."""

    op: Literal["if"] = "if"
    condition: Rule = Field(alias="if")
    then: Rule
    otherwise: Rule | None = Field(default=None, alias="else")


class CriterionRef(Model):
    """The verdict of another criterion, as a lead-in refers to its items."""

    op: Literal["criterion"] = "criterion"
    id: str


class Unsupported(Model):
    """Text that no rule holds; its verdict is unknown. `facts` were read in it, but their place in a rule is open."""

    op: Literal["unsupported"] = "unsupported"
    text: str = ""
    reason: UnsupportedReason
    facts: tuple[Fact, ...] = Field(default=(), exclude_if=lambda value: not value)


class Note(Model):
    """Text without a verdict of its own; it is left out of its group."""

    op: Literal["note"] = "note"
    text: str = ""
    reason: NoteReason


class Fact(Model):
    """One question that a patient record can answer, with the characters it came from."""

    op: Literal["fact"] = "fact"
    about: About
    name: str
    codes: tuple[Code, ...] = ()
    range: Range | None = None
    canonical: Canonical | None = None
    values: tuple[str, ...] | None = None
    system: str | None = None
    status: Status = "current"
    experiencer: Experiencer = "patient"
    certainty: Certainty = "affirmed"
    qualifiers: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    exceptions: tuple[Rule, ...] = Field(default=(), alias="except")
    outcome: Outcome | None = None
    of: str | None = None
    gene: str | None = None
    variant: str | None = None
    method: str | None = None
    start: Offset | None = None
    end: Offset | None = None
    entities: tuple[str, ...] = ()
    confidence: Confidence = 1.0
    repairs: tuple[str, ...] = ()


Rule = Annotated[AllOf | AnyOf | AtLeast | Not | If | CriterionRef | Unsupported | Note | Fact, Field(discriminator="op")]


# --- criterion and document -------------------------------------------------------------------------------------------


class Criterion(Model):
    """One requirement as the author listed it. `text` is `eligibility[start:end]`; `fragments` are its own words."""

    id: str
    kind: Kind
    parent_id: str | None = None
    cohorts: tuple[str, ...] = ()
    modifies: str | None = None
    start: Offset
    end: Offset
    fragments: tuple[Span, ...]
    text: str = ""
    clean_text: str = ""
    category: Category = "other"
    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    rule: Rule
    describe: str = ""
    computable: Computable = "unparsed"


class Pipeline(Model):
    """Which pipeline wrote the record, and which of its layers were at work."""

    name: str
    version: str
    layers: tuple[str, ...] = ()


class Annotator(Model):
    """Who annotated: a person or a model."""

    id: str
    type: Literal["person", "model"]


class Annotation(Model):
    """How a gold record came to be."""

    annotators: tuple[Annotator, ...]
    guideline_version: str
    preannotated: bool = False


class ParsedTrial(Model):
    """What `critnlp extract` writes for a trial; gold has the same shape plus `annotation`."""

    schema_version: Literal["1"] = "1"
    critnlp_version: str
    pipeline: Pipeline
    trial: Trial
    criteria: tuple[Criterion, ...] = ()
    segments: tuple[Segment, ...] = ()
    warnings: tuple[Warning, ...] = ()
    annotation: Annotation | None = Field(default=None, exclude_if=lambda value: value is None)


def json_schema() -> dict[str, Any]:
    """The contract as a JSON Schema (draft 2020-12) of `ParsedTrial`."""
    schema = TypeAdapter(ParsedTrial).json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"critnlp parsed trial, contract version {SCHEMA_VERSION}",
        **{key: value for key, value in schema.items() if key != "title"},
    }

"""What one value says of one thing, as a fact of the contract: "platelets" and "≥ 100 × 10^9/L" become one fact.

`fact_of` and its kin raise `Lost` where a value cannot be read with certainty; nothing here knows of other facts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from functools import cache

from critnlp import analytes, lexicon, schema, units
from critnlp.lexicon import cue
from critnlp.quantities import TIME_UNITS, Threshold
from critnlp.relations import Result, Subject
from critnlp.staging import Staging


class Lost(Exception):
    """A value that cannot be read with certainty; the message says why, the code which warning it is."""

    def __init__(self, message: str, code: schema.WarningCode | None = None) -> None:
        super().__init__(message)
        self.code = code


# --- facts ------------------------------------------------------------------------------------------------------------


@cache
def _findings() -> dict[str, str]:
    return {word: row["analyte"] for row in lexicon.table("findings") for word in row["finding"].split("|")}


def analyte_of(subject: Subject) -> analytes.Analyte | None:
    """The row of the analyte table that a subject names, or that a finding stands for ("fever")."""
    if subject.kind == "CONDITION":
        name = _findings().get(subject.text.lower())
        return analytes.analyte(name) if name else None
    if subject.kind in ("LAB", "PHRASE", "OBSERVATION"):
        return analytes.analyte(subject.text)
    return None


def range_of(value: Threshold, measures: schema.Measures = "value") -> schema.Range:
    """The bounds of a comparison. Raises `Lost` where they are not certain."""
    written = value.range
    if written is None:
        raise Lost(value.problem or "the comparison cannot be read")
    return written.model_copy(update={"measures": measures})


ABOUT: dict[str, schema.About] = {
    "LAB": "lab", "SCALE": "scale", "BIOMARKER": "biomarker", "CONDITION": "condition", "DRUG": "drug", "PROCEDURE": "procedure",
    "DEVICE": "device", "OBSERVATION": "observation", "REPRODUCTIVE": "reproductive", "AGE": "age",
}  # fmt: skip
_SURVIVAL = re.compile(r"\b(?:life|surviv\w+)\b", re.IGNORECASE)
_MASS = re.compile(r"^(?:[mun]?g|[mun]?mol|\[IU\]|U|m?L|Gy|cGy|kg|meq)\b")


def fact_of(subject: Subject, value: Threshold, *, behind: bool) -> schema.Fact:
    """The fact that one value makes of one subject. Raises `Lost` where the value is no bound of it."""
    if value.problem:
        raise Lost(value.problem)
    if value.way:
        value = _turned(subject, value)
    if subject.kind == "AGE":
        return _age_fact(value)
    if value.age and not re.search(r"age$|onset|diagnos|gestation|menarche|menopause", subject.text, re.IGNORECASE):
        raise Lost("an age, beside something that has none")
    if subject.kind == "SCALE":
        return _scale_fact(subject, value)
    name = analytes.plain_name(subject.text)
    if value.form in ("bare", "list") or value.equals:
        known = analyte_of(subject)
        timed = value.unit in TIME_UNITS and not (known and units.same_dimension(known.unit, value.unit or ""))
        raise Lost(f"{name}: the number has no comparator", None if timed else "comparator_lost")
    if value.plus and value.unit is None:
        raise Lost('"+" behind a number may be a grade of staining')
    analyte = analyte_of(subject)
    if analyte:
        return measured_fact(analyte, value, subject.text)
    about = ABOUT.get(subject.kind, "measurement")
    if subject.kind in ("CONDITION", "REPRODUCTIVE", "OBSERVATION") and not _sizes(subject, value, behind=behind):
        raise Lost("a value that does not fit what it stands beside")
    label = subject.mention.label if subject.mention else subject.kind
    if label == "DRUG" and value.unit and not _DOSES.match(value.unit) and value.unit not in TIME_UNITS:
        raise Lost("a number that is no dose")
    if behind and subject.kind == "PHRASE" and cue("not_counted").search(name):
        raise Lost("a count of what no patient has")
    if subject.kind == "PHRASE" and cue("not_named").search(name):
        raise Lost("words that name nothing measured")
    if subject.kind == "LAB" and cue("no_quantity").fullmatch(name) and value.relative_to is None:
        raise Lost("an act whose result is named elsewhere")
    if subject.kind in ("PHRASE", "OBSERVATION") and value.unit in TIME_UNITS and _SURVIVAL.search(name):
        raise Lost("a life expectancy, which is read as such")
    if subject.kind == "PHRASE" and (len(name) < 2 or cue("change").fullmatch(name)):
        raise Lost("a name that is none")
    if subject.kind == "DRUG" and re.search(r"/[mdu]?L$", value.unit or ""):
        level = analytes.analyte(subject.text)
        if level is None:
            raise Lost("a level of a drug that the table does not know")
        return measured_fact(level, value, subject.text)
    if subject.kind == "PROCEDURE" and value.unit and not _RADIATION.match(value.unit):
        raise Lost("a number of an act that is neither a count nor a dose")
    if subject.kind == "PHRASE" and subject.mention:
        about = ABOUT.get(subject.mention.label, "observation")
    elif subject.kind == "PHRASE" and behind:
        about = "observation"
    if subject.kind == "PHRASE" and behind and not _countable(name, value):
        raise Lost("a number of something that cannot be counted")
    measures: schema.Measures = "value"
    if value.relative_to == "baseline" or (value.unit == "%" and cue("change").search(subject.text)):
        measures = "change" if value.relative_to is None else "value"
    elif value.unit in TIME_UNITS:
        measures = "value" if name.endswith(" age") else "duration"
    elif value.unit and (about in ("drug", "procedure", "device") or (_DOSE.search(subject.text) and _MASS.match(value.unit))):
        measures = "dose"
    elif value.unit in (None, "1") or ((value.unit or "").startswith(("{", "/")) and value.unit not in _NO_COUNTS):
        counted = behind or about in ("drug", "procedure") or (value.unit or "").startswith("/")
        measures = "count" if counted and value.relative_to is None else "value"
    status: schema.Status = "current"
    return schema.Fact(
        about=about, name=name, range=range_of(value, measures), repairs=value.repairs, status=status,
        confidence=0.7 if subject.kind == "PHRASE" else 1.0,
    )  # fmt: skip


_RADIATION = re.compile(r"c?Gy|[MGk]?Bq|mCi|m?Sv")
_NO_COUNTS = frozenset({"{pack-years}", "{letters}", "{points}", "/mm3", "/uL", "/mL", "/L", "/min", "/[HPF]", "/s"})
_DOSE = re.compile(r"\b(?:doses?|dosage|intake)\b", re.IGNORECASE)


_DOSES = re.compile(r"(?:k|[mun])?g\b|\[IU\]|k?\[IU\]|U\b|m?L\b|[mun]?mol\b|meq\b|\{|/|%|c?Gy\b|1$")
_SIZES = frozenset(
    {
        "%",
        "Gy",
        "cGy",
        "deg",
        "mm",
        "cm",
        "m",
        "mm2",
        "cm2",
        "mm3",
        "cm3",
        "mL",
        "kg",
        "[lb_av]",
        "{points}",
        "cc",
        "[in_i]",
        *TIME_UNITS,
    }
)
_SCORED = re.compile(
    r"pain|itch|pruritus|fatigue|nausea|dyspn|severity|anxiety|depress|symptom|distress|headache|tremor|spasticity", re.IGNORECASE
)


_RATE = re.compile(r"[^/]/(?:d|wk|mo|a)$")


def _sizes(subject: Subject, value: Threshold, *, behind: bool) -> bool:
    """Whether a number can be the size, score, share or count of a finding: no dose, no concentration, no bare class."""
    if value.unit is None and value.relative_to is None:
        return behind or subject.kind != "CONDITION" or _SCORED.search(subject.text) is not None
    if subject.kind == "OBSERVATION" and _RATE.search(value.unit or ""):
        return True  # "physical activity (> 4 hours per week)"
    if value.relative_to in ("ULN", "LLN"):
        return False  # "in case of Gilbert's syndrome, < 2 × ULN": the bound of a test named elsewhere
    return value.unit in _SIZES or (value.unit or "").startswith(("{", "/")) or value.relative_to is not None


def _countable(name: str, value: Threshold) -> bool:
    """Whether a name can be counted so often: "prior lines of therapy", but neither "degree of kinship" nor "satisfying"."""
    if value.unit and not value.unit.startswith(("{", "/")):
        return True
    head = re.split(r"\s(?:of|in|with|for|to|per)\s", name)[0]
    last = head.split()[-1] if head.split() else ""
    ends = [bound.value for bound in (value.low, value.high) if bound]
    one = ends == ["1"] or (len(ends) == 1 and ends[0] in ("0", "1", "2") and value.high is not None)
    if "/" in name or name.startswith("out of"):
        return False
    return one or last.endswith(("s", "ae")) or cue("irregular").search(head) is not None


_LOW_IS_GOOD = frozenset(
    {"ecog performance status", "who performance status", "zubrod performance status", "modified rankin scale"}
)
_HIGH_IS_GOOD = frozenset(
    {
        "karnofsky performance status",
        "lansky performance status",
        "glasgow coma scale",
        "mini-mental state examination",
        "montreal cognitive assessment",
    }
)


def _turned(subject: Subject, value: Threshold) -> Threshold:
    """A bound that says "or better": which way it goes is known of a few instruments. Raises `Lost` for all others."""
    scale = analytes.scale(subject.text) if subject.kind == "SCALE" else None
    name = scale.name if scale else ""
    if name not in _LOW_IS_GOOD | _HIGH_IS_GOOD or value.low is None:
        raise Lost('which way is "better" is not known here')
    upward = (name in _HIGH_IS_GOOD) == (value.way == "better")
    return replace(value, low=value.low if upward else None, high=None if upward else value.low, way="")


def _age_fact(value: Threshold) -> schema.Fact:
    if value.form in ("bare", "list") or value.equals:
        raise Lost("age: the number has no comparator", "comparator_lost")
    if value.unit not in (*TIME_UNITS, None):
        raise Lost("an age in a unit that is no time")
    repairs = value.repairs if value.unit else (*value.repairs, "no unit written; years assumed")
    unit = value.unit or "a"
    written = range_of(value).model_copy(update={"unit": unit})
    fact = schema.Fact(about="age", name="age", range=written, repairs=repairs, canonical=_canonical(written, "a"))
    for bound in (written.low, written.high):
        years = units.convert(bound, unit, "a") if bound else None
        if years and not 0 <= Decimal(years) <= 125:
            raise Lost(f"an age of {bound} {unit}", "impossible_value")
    return fact


def _canonical(written: schema.Range, unit: str, analyte: analytes.Analyte | None = None) -> schema.Canonical | None:
    """The bounds in the canonical unit; None where one of them cannot be converted with certainty."""
    if written.relative_to is not None:
        return None
    source = written.unit if written.unit is not None else "1" if unit == "1" else None
    if source is None:
        return None
    ends: list[str | None] = []
    for bound in (written.low, written.high):
        if bound is None:
            ends.append(None)
            continue
        molar, special = (analyte.molar_mass, analyte.special) if analyte else (None, "")
        converted = units.convert(bound, source, unit, molar_mass=molar, special=special)
        if converted is None:
            return None
        ends.append(converted)
    return schema.Canonical(low=ends[0], high=ends[1], unit=unit)


_OF_PREDICTED = re.compile(r"(?:%|percent(?:age)?)\s?(?:of\s)?pred", re.IGNORECASE)
_Z_SCORE = re.compile(r"\bz[\s-]?score|standard deviation score|\bSDS\b", re.IGNORECASE)


def measured_fact(analyte: analytes.Analyte, value: Threshold, said: str = "") -> schema.Fact:
    """A fact about a row of the analyte table, with its codes and the canonical bounds; `said` is how it is called."""
    written, repairs = range_of(value), value.repairs
    analyte = analytes.of_unit(analyte, written.unit) if written.unit else analyte
    if analyte.special == "predicted" and written.unit == "%" and written.relative_to is None:
        written = written.model_copy(update={"relative_to": "predicted", "relation": "ratio"})
        repairs = (*repairs, "% read as a percentage of the predicted value")
    if written.relative_to is None and _OF_PREDICTED.search(said) and written.unit in (None, "%"):
        written = written.model_copy(update={"relative_to": "predicted", "relation": "ratio", "unit": "%"})
    elif written.relative_to is None and _Z_SCORE.search(said) and written.unit is None:
        written = written.model_copy(update={"relative_to": "z_score", "relation": "ratio"})
    if written.relative_to == "z_score" and "t-score" in analyte.name:  # "T-score ≤ -2.5 SD": its own unit
        written = written.model_copy(update={"relative_to": None, "relation": None})
    if re.search(r"\bdays\b|\bnumber\b|\bepisodes\b|\bfrequency\b", analyte.name):
        written = written.model_copy(update={"measures": "count"})
    if (written.unit or "").startswith("{") and written.unit not in ("{copies}/mL", "{copies}/L", "{letters}", "{points}"):
        written = written.model_copy(update={"measures": "count"})
    if written.unit in TIME_UNITS and not units.same_dimension(written.unit, analyte.unit):
        raise Lost(f"{analyte.name} in a unit of time")
    if written.unit is None and written.relative_to is None and analyte.assumed and analyte.assumed != "1":
        assumed = written.model_copy(update={"unit": analyte.assumed})
        canonical = _canonical(assumed, analyte.unit, analyte)
        if canonical and _sane(analyte, canonical):
            written, repairs = assumed, (*repairs, f"no unit written; {analyte.assumed} assumed")
    if written.unit is None and analyte.unit == "%" and written.relative_to == "predicted":
        written = written.model_copy(update={"unit": "%"})
    canonical = _canonical(written, analyte.unit, analyte)
    grown = analyte.name in ("weight loss", "weight change", "weight gain") and units.same_dimension(written.unit or "1", "kg")
    if canonical is None and written.relative_to is None and not grown and not _fits(written.unit, analyte.unit):
        code: schema.WarningCode | None = None if "[HPF]" in (written.unit or "") else "impossible_value"
        raise Lost(f"{analyte.name} in {written.unit}, which does not fit", code)
    if canonical and not _sane(analyte, canonical):
        bounds = "/".join(filter(None, (written.low, written.high)))
        raise Lost(
            f"{analyte.name} {bounds} {written.unit or ''} is outside what is possible; is the unit right?", "impossible_value"
        )
    qualifiers = tuple(word for word in dict.fromkeys(cue("modifiers").findall(said.lower())) if word not in analyte.name)
    return schema.Fact(
        about=analyte.about, name=analyte.name, codes=analyte.codes, range=written, canonical=canonical, repairs=repairs,
        qualifiers=qualifiers,
    )  # fmt: skip


_AMOUNTS = re.compile(r"^(?:(?:[kmunpf]?(?:g|mol)|m?eq|[mukn]?\[IU\]|k?\[IU\]|[mukn]?U|[A-Za-z\[{][^/]*)/(?:[a-zμ]?L|kg|g|\[))")


def _fits(unit: str | None, canonical: str) -> bool:
    """Whether a unit that does not convert can be one of the analyte's all the same: mass beside moles, or units of activity."""
    if unit in (None, "1", "%") or units.same_dimension(unit or "", canonical):
        return True
    counts = [code.startswith(("10*", "/", "{copies}")) for code in (unit or "", canonical)]
    if any(counts):
        if ("[HPF]" in (unit or "")) != ("[HPF]" in canonical):
            return False  # cells in a field of the microscope are no cells in blood
        return all(code.startswith(("10*", "/", "{copies}", "[IU]")) for code in (unit or "", canonical))
    if (unit or "").startswith("mL/min") and canonical.startswith("mL/min"):
        return True
    return _AMOUNTS.match(unit or "") is not None and _AMOUNTS.match(canonical) is not None


def _sane(analyte: analytes.Analyte, canonical: schema.Canonical) -> bool:
    for bound in (canonical.low, canonical.high):
        if bound is None or Decimal(bound) == 0:
            continue
        if analyte.low is not None and Decimal(bound) < analyte.low:
            return False
        if analyte.high is not None and Decimal(bound) > analyte.high:
            return False
    return True


_ROMAN = ("0", "I", "II", "III", "IV", "V", "VI")


def _scale_fact(subject: Subject, value: Threshold) -> schema.Fact:
    scale = analytes.scale(subject.text)
    name = scale.name if scale else analytes.plain_name(subject.text)
    codes = scale.codes if scale else ()
    if value.relative_to not in (None, "baseline") or value.unit in TIME_UNITS:
        raise Lost(f"{name} in {value.unit or value.relative_to}")
    if name == "performance status" and value.unit == "%":
        raise Lost("a performance status in percent, of which instrument is open")
    ends = [*(end.value for end in (value.low, value.high) if end), *value.values]
    for end in ends:
        if scale and scale.high is not None and not (scale.low or 0) <= abs(Decimal(end)) <= scale.high:
            raise Lost(f"{name} {end} is outside its range {scale.low} to {scale.high}", "impossible_value")
    pair = next((m for m in (re.match(r"(\d),(\d) read as", repair) for repair in value.repairs) if m), None)
    if pair and value.form == "bare" and scale and (scale.step is None or scale.step >= 1):
        return schema.Fact(about="scale", name=name, codes=codes, values=(pair[1], pair[2]))  # "ECOG 0,1"
    if value.form == "bare" and value.low and value.low.value.endswith(".0"):
        raise Lost("a number that may be a version")
    values = value.values or _steps(scale, value)
    if values:
        coded = (
            tuple(_ROMAN[int(v)] for v in values)
            if scale and scale.kind == "roman" and all(v.isdigit() for v in values)
            else values
        )
        return schema.Fact(about="scale", name=name, codes=codes, values=coded, repairs=value.repairs)
    return schema.Fact(about="scale", name=name, codes=codes, range=range_of(value), repairs=value.repairs)


def _steps(scale: analytes.Scale | None, value: Threshold) -> tuple[str, ...]:
    """The values of a short scale that a range such as "0-2" names, or of a lone number; () where a range says it better."""
    low, high = value.low, value.high
    if value.form == "bare" and low:
        return (low.value,)
    small = scale is not None and scale.high is not None and scale.high <= 6 and (scale.step is None or scale.step >= 1)
    if value.form != "range" or not small or not low or not high or not (low.inclusive and high.inclusive):
        return ()
    if not (low.value.isdigit() and high.value.isdigit()):
        return ()
    return tuple(str(number) for number in range(int(low.value), int(high.value) + 1))


def staging_fact(value: Staging, subject: Subject | None) -> schema.Fact:
    """The fact of a stage, of its disease where that stands beside it. Raises `Lost` where it cannot be read."""
    if value.problem or not value.values:
        raise Lost(value.problem or "a stage that cannot be read")
    fact = schema.Fact(
        about="staging",
        name=value.system.lower(),
        system=value.system,
        values=value.values,
        qualifiers=value.qualifiers,
        of=analytes.plain_name(subject.text) if subject else None,
        repairs=value.repairs,
    )
    return fact.model_copy(update={"edition": value.edition}) if value.edition else fact


def result_fact(value: Result, subject: Subject) -> schema.Fact:
    """The fact of a qualitative result."""
    analyte = analytes.analyte(subject.text) if subject.kind == "LAB" else None
    name = analyte.name if analyte else analytes.plain_name(subject.text)
    about = analyte.about if analyte else ABOUT[subject.kind]
    return schema.Fact(about=about, name=name, codes=analyte.codes if analyte else (), values=(value.value,))

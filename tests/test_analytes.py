"""What a mention names, and the laws of the two tables behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from critnlp import analytes, schema, units
from critnlp.analytes import Analyte, Scale, analyte, analytes_in, of_unit, plain_name, rows_for_tagger, scale
from critnlp.lexicon import Row, table

NAMED = [
    # lead words, tails, plurals, spellings
    ("ALT", "alanine aminotransferase"),
    ("Serum ALT (SGPT) levels", "alanine aminotransferase"),
    ("alanine transaminase", "alanine aminotransferase"),
    ("ALT/SGPT", "alanine aminotransferase"),
    ("SGOT [AST]", "aspartate aminotransferase"),
    ("aspartate amino-transferase", "aspartate aminotransferase"),
    ("AST = SGOT", "aspartate aminotransferase"),
    ("Hgb", "hemoglobin"),
    ("haemoglobin concentration", "hemoglobin"),
    ("HAEMOGLOBIN", "hemoglobin"),
    ("hemoglobin (Hb)", "hemoglobin"),
    ("Platelets", "platelet count"),
    ("platelet counts", "platelet count"),
    ("PLT count", "platelet count"),
    ("absolute neutrophil count (ANC)", "absolute neutrophil count"),
    ("neutrophils", "absolute neutrophil count"),
    ("granulocyte count", "absolute neutrophil count"),
    ("the patient's ANC", "absolute neutrophil count"),
    ("absolute neutrophil count (segs and bands)", "absolute neutrophil count"),
    ("leucocytes", "white blood cell count"),
    ("white blood cells (WBC) count", "white blood cell count"),
    ("WBCs", "white blood cell count"),
    ("blood eosinophils", "absolute eosinophil count"),
    ("CD4+ T-cell count", "cd4 count"),
    ("CD4 cell counts", "cd4 count"),
    ("packed cell volume", "hematocrit"),
    ("INR", "international normalized ratio"),
    ("international normalised ratio (INR)", "international normalized ratio"),
    ("PT/INR", "international normalized ratio"),
    ("aPTT", "activated partial thromboplastin time"),
    ("γ-GT", "gamma-glutamyl transferase"),
    ("gamma glutamyl transferase [GGT]", "gamma-glutamyl transferase"),
    ("alk phos", "alkaline phosphatase"),
    ("LDH level", "lactate dehydrogenase"),
    ("BUN", "blood urea nitrogen"),
    ("serum urate", "uric acid"),
    ("serum potassium level", "potassium"),
    ("K+", "potassium"),
    ("phosphorus", "phosphate"),
    ("25-OH vitamin D", "25-hydroxyvitamin d"),
    ("25(OH)D", "25-hydroxyvitamin d"),
    ("CRP", "c-reactive protein"),
    ("hs-CRP", "high-sensitivity c-reactive protein"),
    ("sedimentation rate", "erythrocyte sedimentation rate"),
    ("NT-proBNP", "n-terminal pro-b-type natriuretic peptide"),
    ("PSA value", "prostate-specific antigen"),
    ("CA 19-9", "carbohydrate antigen 19-9"),
    ("CA-125", "cancer antigen 125"),
    ("HBsAg", "hepatitis b surface antigen"),
    ("hepatitis B virus surface antigen (HBsAg)", "hepatitis b surface antigen"),
    ("anti-HBc", "hepatitis b core antibody"),
    ("HIV-1 RNA level", "hiv-1 rna"),
    ("HCV antibody", "hepatitis c antibody"),
    ("serum levels of testosterone", "testosterone"),
    ("β-hCG", "human chorionic gonadotropin"),
    ("AMH", "anti-müllerian hormone"),
    ("thyroid stimulating hormone", "thyroid-stimulating hormone"),
    ("fasting triglycerides", "triglycerides"),
    ("HbA1c", "hemoglobin a1c"),
    ("glycosylated haemoglobin", "hemoglobin a1c"),
    ("blood sugar", "glucose"),
    # physiological, cardiac, pulmonary, imaging and body measurements
    ("SpO₂", "oxygen saturation"),
    ("oxygen saturations", "oxygen saturation"),
    ("seated blood pressure", "blood pressure"),
    ("BMI", "body mass index"),
    ("body mass index (BMI)", "body mass index"),
    ("Weight", "body weight"),
    ("resting heart rate", "heart rate"),
    ("respiratory frequency", "respiratory rate"),
    ("LVEF", "left ventricular ejection fraction"),
    ("LVEF by echocardiography", "left ventricular ejection fraction"),
    ("cardiac ejection fraction", "left ventricular ejection fraction"),
    ("FEV1", "forced expiratory volume in 1 second"),
    ("forced expiratory volume in one second", "forced expiratory volume in 1 second"),
    ("FEV1/FVC", "fev1/fvc ratio"),
    ("ratio of FEV1 to FVC", "fev1/fvc ratio"),
    ("DLCO", "diffusing capacity for carbon monoxide"),
    ("diffusing capacity of the lung for carbon monoxide (DLCO)", "diffusing capacity for carbon monoxide"),
    ("PaO2/FiO2 ratio", "pao2/fio2 ratio"),
    ("six minute walk distance", "six-minute walk distance"),
    ("6-MWD", "six-minute walk distance"),
    ("IOP", "intraocular pressure"),
    ("best corrected visual acuity (BCVA)", "best-corrected visual acuity"),
    ("tumour diameter", "tumor size"),
    ("apnoea/hypopnoea index", "apnea-hypopnea index"),
    ("BMD T-score", "bone mineral density t-score"),
    ("Schirmer’s test", "schirmer test"),
    ("left-ventricular end-diastolic diameter", "left ventricular end-diastolic diameter"),
    # words about how it was measured
    ("creatinine clearance (Cockcroft-Gault)", "creatinine clearance"),
    ("creatinine clearance by the Cockcroft-Gault formula", "creatinine clearance"),
    ("calculated creatinine clearance", "creatinine clearance"),
    ("eGFR using the CKD-EPI equation", "estimated glomerular filtration rate"),
    ("QTc by Fridericia's formula", "corrected qt interval by fridericia"),
    ("QT interval corrected for heart rate using Fridericia’s formula (QTcF)", "corrected qt interval by fridericia"),
    ("QTc (Bazett)", "corrected qt interval by bazett"),
    ("creatinine, serum", "creatinine"),
    ("creatinine in serum", "creatinine"),
    ("Bilirubin, total", "total bilirubin"),
    ("bilirubin (total)", "total bilirubin"),
    ("total bilirubin (TBIL", "total bilirubin"),
    # of a wider and a narrower name, the narrower
    ("blood pressure (SBP)", "systolic blood pressure"),
    ("QT interval (QTc)", "corrected qt interval"),
    ("glomerular filtration rate (eGFR)", "estimated glomerular filtration rate"),
    ("spot urine protein to creatinine ratio", "urine protein-to-creatinine ratio"),
    ("protein:creatinine ratio", "urine protein-to-creatinine ratio"),
]

# Names that stand close to each other and must not be taken for one another.
APART = [
    ("urine creatinine", "urine creatinine"),
    ("creatinine (urine)", "urine creatinine"),
    ("creatinine clearance", "creatinine clearance"),
    ("creatinine", "creatinine"),
    ("creatine kinase", "creatine kinase"),
    ("direct bilirubin", "direct bilirubin"),
    ("bilirubin (direct)", "direct bilirubin"),
    ("conjugated bilirubin", "direct bilirubin"),
    ("unconjugated bilirubin", "indirect bilirubin"),
    ("bilirubin", "total bilirubin"),
    ("LDL cholesterol", "low-density lipoprotein cholesterol"),
    ("HDL", "high-density lipoprotein cholesterol"),
    ("non-HDL cholesterol", "non-high-density lipoprotein cholesterol"),
    ("cholesterol", "total cholesterol"),
    ("ionised calcium", "ionized calcium"),
    ("calcium (ionized)", "ionized calcium"),
    ("albumin-corrected calcium", "corrected calcium"),
    ("calcium (corrected for albumin)", "corrected calcium"),
    ("serum calcium", "calcium"),
    ("urine calcium", "urine calcium"),
    ("free T4", "free thyroxine"),
    ("T4", "total thyroxine"),
    ("free T3", "free triiodothyronine"),
    ("free testosterone", "free testosterone"),
    ("total testosterone", "testosterone"),
    ("testosterone (free)", "free testosterone"),
    ("serum albumin", "albumin"),
    ("prealbumin", "prealbumin"),
    ("urine albumin", "urine albumin"),
    ("urine albumin-to-creatinine ratio", "urine albumin-to-creatinine ratio"),
    ("urine protein", "urine protein"),
    ("24-hour urine protein", "urine protein excretion"),
    ("total protein", "total protein"),
    ("fasting plasma glucose", "fasting glucose"),
    ("random plasma glucose", "glucose"),
    ("2-hour postprandial glucose", "postprandial glucose"),
    ("2-hour plasma glucose", "two-hour glucose of an oral glucose tolerance test"),
    ("c-peptide", "c-peptide"),
    ("stimulated C-peptide", "stimulated c-peptide"),
    ("hemoglobin", "hemoglobin"),
    ("hemoglobin (HbA1c)", "hemoglobin a1c"),
    ("fetal hemoglobin", "fetal hemoglobin"),
    ("mean corpuscular hemoglobin", "mean corpuscular hemoglobin"),
    ("neutrophil percentage", "neutrophil percentage"),
    ("bone marrow blasts", "bone marrow blasts"),
    ("peripheral blasts", "peripheral blood blasts"),
    ("GFR", "glomerular filtration rate"),
    ("eGFR", "estimated glomerular filtration rate"),
    ("systolic BP", "systolic blood pressure"),
    ("diastolic BP", "diastolic blood pressure"),
    ("mean blood pressure", "mean arterial pressure"),
    ("24-hour ambulatory systolic blood pressure", "24-hour ambulatory systolic blood pressure"),
    ("QT", "qt interval"),
    ("QTc", "corrected qt interval"),
    ("QTcF", "corrected qt interval by fridericia"),
    ("hs-TnT", "high-sensitivity troponin t"),
    ("troponin I", "troponin i"),
    ("BNP", "b-type natriuretic peptide"),
    ("HBsAb", "hepatitis b surface antibody"),
    ("HBeAg", "hepatitis b e antigen"),
    ("HBV DNA", "hepatitis b virus dna"),
    ("specific IgE", "specific immunoglobulin e"),
    ("total IgE", "immunoglobulin e"),
    ("serum M-protein", "monoclonal protein"),
    ("urine M-protein", "urine monoclonal protein"),
    ("involved FLC", "involved free light chain"),
    ("post-bronchodilator FEV1", "post-bronchodilator forced expiratory volume in 1 second"),
    ("FVC", "forced vital capacity"),
    ("body surface area", "body surface area"),
    ("birth weight", "birth weight"),
    ("uncorrected visual acuity", "uncorrected visual acuity"),
]

UNKNOWN = [
    "",
    "(",
    "AST/ALT",
    "organ function",
    "urine myoglobin",
    "change in creatinine clearance",
    "renal function",
    "hemoglobin electrophoresis",
    "total",
    "serum",
    "percent reduction of LDL",
    "creatinine (reduction in clearance)",
    "anion",
    "levels",
]

SCALES = [
    ("ECOG", "ecog performance status"),
    ("Eastern Cooperative Oncology Group (ECOG) performance status", "ecog performance status"),
    ("ECOG PS score", "ecog performance status"),
    ("Zubrod", "ecog performance status"),
    ("WHO performance status", "ecog performance status"),
    ("Karnofsky performance score (KPS)", "karnofsky performance status"),
    ("Lansky", "lansky performance status"),
    ("MMSE", "mini-mental state examination"),
    ("mini mental status exam", "mini-mental state examination"),
    ("MoCA score", "montreal cognitive assessment"),
    ("NIH Stroke Scale", "national institutes of health stroke scale"),
    ("mRS", "modified rankin scale"),
    ("pre-stroke mRS", "pre-stroke modified rankin scale"),
    ("HAM-D", "hamilton depression rating scale"),
    ("HAM-A", "hamilton anxiety rating scale"),
    ("MADRS total score", "montgomery-åsberg depression rating scale"),
    ("PHQ-9", "patient health questionnaire-9"),
    ("GAD-7", "generalized anxiety disorder 7-item scale"),
    ("PANSS", "positive and negative syndrome scale"),
    ("EDSS", "expanded disability status scale"),
    ("ASA physical status", "asa physical status"),
    ("American Society of Anaesthesiologists (ASA) class", "asa physical status"),
    ("Glasgow Coma Score", "glasgow coma scale"),
    ("Child-Pugh score", "child-pugh score"),
    ("MELD", "model for end-stage liver disease score"),
    ("MELD-Na", "meld-na score"),
    ("DAS28-CRP", "disease activity score 28"),
    ("CDAI", "crohn's disease activity index"),
    ("PASI", "psoriasis area and severity index"),
    ("EASI", "eczema area and severity index"),
    ("APACHE II", "acute physiology and chronic health evaluation ii"),
    ("qSOFA", "quick sequential organ failure assessment"),
    ("SOFA", "sequential organ failure assessment"),
    ("CHA2DS2-VASc", "cha2ds2-vasc score"),
    ("CHADS2", "chads2 score"),
    ("mMRC dyspnoea scale", "modified medical research council dyspnea scale"),
    ("Modified Rankin Scale (mRS)", "modified rankin scale"),
]


@pytest.mark.parametrize(("mention", "name"), NAMED + APART)
def test_an_analyte_by_its_mention(mention: str, name: str) -> None:
    found = analyte(mention)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("mention", UNKNOWN)
def test_what_no_row_names_is_unknown(mention: str) -> None:
    assert analyte(mention) is None


@pytest.mark.parametrize(("mention", "name"), SCALES)
def test_a_scale_by_its_mention(mention: str, name: str) -> None:
    found = scale(mention)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(("mention", "name"), NAMED)
def test_blanks_and_level_change_nothing(mention: str, name: str) -> None:
    for changed in (f"  {mention} ", mention.replace(" ", "  "), mention.replace("-", "‑")):
        found = analyte(changed)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    ("mention", "names"),
    [
        ("AST/ALT", ["aspartate aminotransferase", "alanine aminotransferase"]),
        ("ALT and AST", ["alanine aminotransferase", "aspartate aminotransferase"]),
        ("AST (SGOT)/ALT (SGPT)", ["aspartate aminotransferase", "alanine aminotransferase"]),
        ("systolic and diastolic blood pressure", ["systolic blood pressure", "diastolic blood pressure"]),
        ("systolic/diastolic blood pressure", ["systolic blood pressure", "diastolic blood pressure"]),
        ("hemoglobin, platelets and ANC", ["hemoglobin", "platelet count", "absolute neutrophil count"]),
        ("FEV1/FVC", ["fev1/fvc ratio"]),
        ("PT and aPTT", ["prothrombin time", "activated partial thromboplastin time"]),
        ("AST and something else", []),
        ("organ function", []),
    ],
)
def test_all_that_a_mention_names(mention: str, names: list[str]) -> None:
    assert [row.name for row in analytes_in(mention)] == names


@pytest.mark.parametrize(
    ("mention", "unit", "name"),
    [
        ("neutrophils", "%", "neutrophil percentage"),
        ("neutrophils", "10*9/L", "absolute neutrophil count"),
        ("neutrophils", None, "absolute neutrophil count"),
        ("BSA", "%", "affected body surface area"),
        ("BSA", "m2", "body surface area"),
        ("urine protein", "g/d", "urine protein excretion"),
        ("PT", "%", "prothrombin activity"),
        ("creatinine", "mL/min", "creatinine clearance"),
    ],
)
def test_the_unit_tells_related_analytes_apart(mention: str, unit: str | None, name: str) -> None:
    found = analyte(mention)
    assert found is not None
    assert of_unit(found, unit).name == name


@pytest.mark.parametrize(
    ("mention", "label", "name"),
    [
        ("Hgb", None, "hemoglobin"),
        ("KPS", None, "karnofsky performance status"),
        ("TB", "LAB", "total bilirubin"),
        ("TB", "CONDITION", "tb"),
        ("TB", None, "tb"),
        ("the Crohn’s disease", "CONDITION", "crohn's disease"),
        ("vitamin D", "DRUG", "vitamin d"),
        ("vitamin D", "LAB", "25-hydroxyvitamin d"),
        ("chronic obstructive pulmonary disease (COPD)", None, "chronic obstructive pulmonary disease"),
        ("A Seizure,", None, "seizure"),
        ("(COPD)", None, "(copd)"),
        ("", None, ""),
    ],
)
def test_plain_names(mention: str, label: str | None, name: str) -> None:
    assert plain_name(mention, label) == name


# --- laws of the tables -----------------------------------------------------------------------------------------------

ANALYTES = analytes._analyte_rows()
ALL_SCALES = analytes._scale_rows()
ROWS: list[Analyte | Scale] = [*ANALYTES, *ALL_SCALES]


def of(name: str) -> Analyte:
    return next(row for row in ANALYTES if row.name == name)


def test_the_tables_are_large() -> None:
    assert len(ANALYTES) >= 280
    assert len(ALL_SCALES) >= 80


@pytest.mark.parametrize("name", ["analytes", "scales"])
def test_names_are_unique_and_in_lower_case(name: str) -> None:
    names = [row["name"] for row in table(name)]
    assert len(names) == len(set(names))
    assert all(found == found.lower() == " ".join(found.split()) for found in names)


@pytest.mark.parametrize("name", ["analytes", "scales"])
def test_no_empty_or_repeated_synonym(name: str) -> None:
    for row in table(name):
        synonyms = row["synonyms"].split("|") if row["synonyms"] else []
        assert all(form.removeprefix("~").strip() == form.removeprefix("~") != "" for form in synonyms), row["name"]
        assert len(synonyms) == len(set(synonyms)), row["name"]


@pytest.mark.parametrize("name", ["analytes", "scales"])
def test_every_form_names_its_own_row(name: str) -> None:
    read = analyte if name == "analytes" else scale
    for row in table(name):
        for form in (row["name"], *filter(None, row["synonyms"].split("|"))):
            found = read(form.removeprefix("~"))
            assert found is not None, form
            assert found.name == row["name"], form


def test_ranges_are_ordered_and_canonical_units_are_written() -> None:
    for row in ANALYTES:
        assert row.unit, row.name
        assert row.assumed is None or row.assumed == row.unit, row.name
        assert row.low is None or row.high is None or row.low < row.high, row.name
        assert row.molar_mass is None or row.molar_mass > 1, row.name
        assert row.special in ("", "hba1c", "predicted", "iu") or row.special.startswith("valence="), row.name
        assert row.about in ("lab", "vital", "measurement"), row.name
    for one in ALL_SCALES:
        assert one.low is None or one.high is None or one.low < one.high, one.name
        assert one.step is None or one.step > 0, one.name
        assert one.kind in ("", "roman"), one.name


def test_every_unit_can_be_converted() -> None:
    assert [row.name for row in ANALYTES if units.convert("1.5", row.unit, row.unit) != "1.5"] == []


def test_mass_and_molar_concentration_convert() -> None:
    creatinine, glucose = of("creatinine"), of("glucose")
    assert units.convert("88.4017", "umol/L", creatinine.unit, molar_mass=creatinine.molar_mass) == "1"
    assert units.convert("7.0", "mmol/L", glucose.unit, molar_mass=glucose.molar_mass) == "126.109"


@pytest.mark.parametrize(
    ("name", "possible", "impossible"),
    [
        ("hemoglobin", "9", "90"),  # g/dL for g/L
        ("creatinine", "1.5", "150"),  # mg/dL for µmol/L
        ("albumin", "3.5", "35"),
        ("platelet count", "100", "100000"),
        ("absolute neutrophil count", "1.5", "1500"),
        ("total bilirubin", "1.2", "1200"),
        ("potassium", "5.5", "55"),
        ("left ventricular ejection fraction", "50", "0.5"),
    ],
)
def test_the_sane_range_catches_a_wrong_unit(name: str, possible: str, impossible: str) -> None:
    row = of(name)
    assert row.low is not None
    assert row.high is not None
    assert row.low <= Decimal(possible) <= row.high
    assert not row.low <= Decimal(impossible) <= row.high


@pytest.mark.parametrize(
    ("name", "mass"),
    [("creatinine", "113.12"), ("total bilirubin", "584.66"), ("glucose", "180.156"), ("total cholesterol", "386.65")],
)
def test_molar_masses(name: str, mass: str) -> None:
    assert of(name).molar_mass == Decimal(mass)


def check_digit(digits: str) -> int:
    """The last digit of a LOINC code: modulus 10, every second digit from the right doubled."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 * (doubled > 9)
    return -total % 10


def test_loinc_check_digits() -> None:
    for row in ROWS:
        for code in row.codes:
            digits, _, check = code.code.partition("-")
            assert code.system == "http://loinc.org"
            assert digits.isdigit(), (row.name, code.code)
            assert check == str(check_digit(digits)), (row.name, code.code)


def test_no_code_stands_in_two_rows() -> None:
    rows: dict[str, set[str]] = defaultdict(set)
    for row in ROWS:
        assert len(row.codes) == len(set(row.codes)), row.name
        for code in row.codes:
            rows[code.code].add(row.name)
    assert {code: names for code, names in rows.items() if len(names) > 1} == {}


def test_the_contracts_code_of_neutrophils() -> None:
    assert schema.Code(system="http://loinc.org", code="26499-4") in of("absolute neutrophil count").codes


# --- the forms that the tagger looks for ------------------------------------------------------------------------------


def forms(rows: Iterator[Row]) -> Iterator[tuple[str, str, str]]:
    """Label, surface form and match of each form of a term table."""
    for row in rows:
        for form in (row["term"], *filter(None, row["variants"].split("|"))):
            yield row["label"], form, row["match"]


def test_rows_for_the_tagger_are_sound() -> None:
    for label, form, match in forms(rows_for_tagger()):
        assert label in ("LAB", "SCALE")
        assert label in get_args(schema.Label)
        assert match == ("" if form == form.lower() else "case"), form
        assert not form.startswith("~")


def test_no_form_stands_under_another_label() -> None:
    folder = Path(str(files("critnlp").joinpath("resources")))
    labels: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name in sorted(path.stem for path in folder.glob("terms_*.csv")):
        for label, form, match in forms(iter(table(name))):
            labels[form, match].add(label)
    torn = [(label, form) for label, form, match in forms(rows_for_tagger()) if labels.get((form, match), {label}) != {label}]
    assert torn == []


def test_no_form_is_an_analyte_and_a_scale() -> None:
    labels: dict[str, set[str]] = defaultdict(set)
    for label, form, _ in forms(rows_for_tagger()):
        labels[form].add(label)
    assert [form for form, found in labels.items() if len(found) > 1] == []

"""How far predictions agree with gold, and two annotators with each other: scores, their intervals, every difference.

    score(gold, predicted)     Scores: counts by trial, rows with precision, recall, F1 and a 95 % interval
    compare(old, new)          what got better and worse between two predictions for the same gold
    agreement(first, second)   the same for two annotators, with Cohen's kappa
    errors(gold, predicted)    every difference, typed

The families of rows, and what each decides where the contract leaves a choice:

*criteria*. Extents are the criterion's fragments without white space and punctuation at their ends (known only where one of the two
records holds the text). Criteria are paired one to one, greedily by the share of common characters (IoU, intersection over
union); a pair with IoU 1 is exact, with IoU ≥ 0.5 relaxed. `kind` and `parent` are judged on exact pairs; parents are the
same where they are paired, however small their overlap.

*entities* (strict: the same label and the same set of fragments) and *entities, relaxed* (the same label, a character in
common; one to one, greedily by IoU). All mentions of a trial are pooled, whatever criterion holds them. `nested` are mentions
that share characters with another one of their own side, `discontinuous` those of several fragments; a match counts there
where either side is such a one. `disease history` holds only CONDITIONs with `status: history`: a match needs it on both
sides. `macro` is the mean over the labels that either side uses.

*attributes*, on strict matches of labels that have attributes; absent ones are read as the defaults.

*relations*: the type, and strict matches at head and tail.

*facts*, between criteria that are paired with any overlap; facts elsewhere are missed or spurious. Facts of a rule are all
its leaves and those within `except`; anchors of windows and `Unsupported.facts` are not. Bounds in one unit must be equal;
those that were converted may differ by 1 %. A bound without `…_inclusive` is inclusive, a unit's annotation ("{cells}") says
nothing, and no unit is the same as "1". A staging fact is named by its system. Each component row holds the pairs of one
name and `about` where either side says something of the component, `about` all pairs of one name.

*rules*, on the same pairs of criteria. Rules are equal after flattening and sorting, without notes and double negation, with
facts that match and have the same status, windows and exceptions; what is unsupported is alike whatever its reason.

An accuracy row keeps each wrong item as one false positive and one false negative, so that its F1 is the accuracy.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from critnlp import analytes, schema, units
from critnlp.errors import AnnotationError

A = TypeVar("A")
B = TypeVar("B")
Key = tuple[str, str]  # family and name of a row
Pairs = list[tuple[A, B]]
Floats = NDArray[np.float64]
Measure = Literal["f1", "accuracy", "kappa"]

_EDGES = " \t\r\n\f\v\u00a0,;:."  # whether a list's separator belongs to its item says nothing
RELAXED = 0.5  # the least IoU of a relaxed match of criteria
TOLERANCE = Decimal("0.01")  # relative, between bounds that had to be converted
ATTRIBUTED = frozenset({"CONDITION", "DRUG", "PROCEDURE", "DEVICE", "BIOMARKER", "REPRODUCTIVE", "OBSERVATION"})

_LABELS: tuple[str, ...] = get_args(schema.Label)
_ATTRIBUTES = ("negated", "status", "experiencer", "certainty")
_SET = "not default"
_COMPONENTS = ("value", "side", "inclusiveness", "unit", "reference", "values", "status", "windows")
_GROUPS = ("nested", "discontinuous", "disease history")
_MENTION_ROWS = ("micro", "macro", *_LABELS, *_GROUPS)
# Family -> names in the order of the table, with the measure of each.
_ROWS: dict[str, dict[str, Measure]] = {
    "criteria": {"exact": "f1", "relaxed": "f1", "kind": "accuracy", "parent": "accuracy", f"parent, {_SET}": "accuracy"},
    "entities": dict.fromkeys(_MENTION_ROWS, "f1"),
    "entities, relaxed": dict.fromkeys(_MENTION_ROWS, "f1"),
    "attributes": dict.fromkeys([name + end for name in _ATTRIBUTES for end in ("", f", {_SET}")], "accuracy"),
    "relations": dict.fromkeys(("micro", *get_args(schema.RelationType)), "f1"),
    "facts": {
        **dict.fromkeys(("all", "all, outside a rule too", *get_args(schema.About), "name and about"), "f1"),
        **dict.fromkeys((f"{name} right" for name in ("about", *_COMPONENTS)), "accuracy"),
    },
    "rules": dict.fromkeys(("equal", "equal, one side computable", "computable", "category"), "accuracy"),
    "kappa": dict.fromkeys(("kind", "category", "status", "negated"), "kappa"),
}
_ORDER = {(family, name): number for number, (family, name) in enumerate((f, n) for f, names in _ROWS.items() for n in names)}


# --- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """Items found (`tp`), found without being there (`fp`), there without being found (`fn`). Sums are `+`."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def support(self) -> int:
        """The number of gold items."""
        return self.tp + self.fn

    @property
    def precision(self) -> float | None:
        """None where nothing was predicted."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        """None where there is nothing to find."""
        return self.tp / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        """None where neither side has an item."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp + self.fp + self.fn else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `value` is what `measure` says; `interval` its 95 % interval, None below two trials.

    Precision and recall belong to F1 alone. `agreement` is the value that two annotators reached on the same row.
    """

    family: str
    name: str
    measure: Measure
    counts: Counts
    value: float | None
    interval: tuple[float, float] | None
    precision: float | None = None
    recall: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Scores:
    """Counts of every row by trial (trials without any are left out), and what follows from them.

    `confusions` hold, by name and trial, how often the first annotator's value met the second's; only `agreement` fills them.
    `missing` are gold trials without a prediction and `other_text` those whose prediction is of another text: all their items
    count as missed. `extra` are predictions without gold, which count nowhere. `phenomena` are the tags of each gold trial.
    """

    trials: tuple[str, ...]
    counts: Mapping[Key, Mapping[str, Counts]]
    confusions: Mapping[str, Mapping[str, Mapping[tuple[str, str], int]]] = field(default_factory=dict)
    phenomena: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    other_text: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    annotators: Mapping[Key, float] = field(default_factory=dict)
    seed: int = 0
    resamples: int = 1000

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every row that has an item on either side, in the order of the families."""
        return tuple(self._row(key, *self._sampled[key]) for key in sorted(self._sampled, key=_place))

    def row(self, family: str, name: str) -> Row:
        """One row; its value is None where neither side has an item. Raises KeyError for a row that no score has."""
        if (family, name) not in _ORDER:
            raise KeyError(f"{family}: {name}")
        found = next((row for row in self.rows if (row.family, row.name) == (family, name)), None)
        return found or Row(family, name, _ROWS[family][name], Counts(), None, None, agreement=self.annotators.get((family, name)))

    def with_agreement(self, annotators: Scores) -> Scores:
        """The same scores with the values of `annotators` beside them."""
        reached = {(row.family, row.name): row.value for row in annotators.rows}
        return replace(self, annotators={key: value for key, value in reached.items() if value is not None})

    def by_phenomenon(self) -> dict[str, Scores]:
        """The scores of the trials of each tag, in order of the tags. A trial without tags is in none of them."""
        tags = sorted({tag for found in self.phenomena.values() for tag in found})
        return {tag: self._of({trial for trial, found in self.phenomena.items() if tag in found}) for tag in tags}

    def to_json(self) -> str:
        """All of it as JSON: the counts by trial, and the rows for reading."""
        place = {trial: str(number) for number, trial in enumerate(self.trials)}
        return json.dumps(
            {
                "trials": self.trials,
                "missing": self.missing,
                "other_text": self.other_text,
                "extra": self.extra,
                "seed": self.seed,
                "resamples": self.resamples,
                "phenomena": self.phenomena,
                "rows": [row_json(row) for row in self.rows],
                "annotators": [[*key, value] for key, value in self.annotators.items()],
                "counts": [
                    [*key, {place[trial]: [one.tp, one.fp, one.fn] for trial, one in sorted(self.counts[key].items())}]
                    for key in sorted(self.counts, key=_place)
                ],
                "confusions": [
                    [name, {place[trial]: [[*pair, n] for pair, n in sorted(met.items())] for trial, met in sorted(found.items())}]
                    for name, found in sorted(self.confusions.items())
                ],
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Scores:
        """The scores that `to_json` wrote. Raises AnnotationError for anything else."""
        try:
            read = json.loads(text)
            trials = tuple(map(str, read["trials"]))
            counts = {
                (str(family), str(name)): {trials[int(place)]: Counts(*map(int, one)) for place, one in by_trial.items()}
                for family, name, by_trial in read["counts"]
            }
            confusions = {
                str(name): {trials[int(place)]: {(str(a), str(b)): int(n) for a, b, n in met} for place, met in by_trial.items()}
                for name, by_trial in read["confusions"]
            }
            unknown = [key for key in (*counts, *(("kappa", name) for name in confusions)) if key not in _ORDER]
            if unknown:
                raise ValueError(f"no score has a row {unknown[0]}")
            return cls(
                trials=trials,
                counts=counts,
                confusions=confusions,
                phenomena={str(trial): tuple(tags) for trial, tags in read["phenomena"].items()},
                missing=tuple(read["missing"]),
                other_text=tuple(read["other_text"]),
                extra=tuple(read["extra"]),
                annotators={(family, name): float(value) for family, name, value in read["annotators"]},
                seed=int(read["seed"]),
                resamples=int(read["resamples"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            reason = str(error) or type(error).__name__
            raise AnnotationError(
                f"these are no saved scores ({reason}); write them with critnlp score --json, or Scores.to_json"
            ) from None

    def _of(self, trials: set[str]) -> Scores:
        return replace(
            self,
            trials=tuple(trial for trial in self.trials if trial in trials),
            counts={key: kept for key, found in self.counts.items() if (kept := _only(found, trials))},
            confusions={name: met for name, seen in self.confusions.items() if (met := _only(seen, trials))},
            phenomena=_only(self.phenomena, trials),
            missing=tuple(trial for trial in self.missing if trial in trials),
            other_text=tuple(trial for trial in self.other_text if trial in trials),
        )

    def _row(self, key: Key, value: float | None, sampled: Floats) -> Row:
        family, name = key
        measure = _ROWS[family][name]
        precision: float | None = None
        recall: float | None = None
        if measure == "kappa":
            seen = sum(sum(met.values()) for met in self.confusions[name].values())
            alike = sum(n for met in self.confusions[name].values() for (a, b), n in met.items() if a == b)
            counts = Counts(alike, seen - alike, seen - alike)
        elif name == "macro":
            each = [self._total((family, label)) for label in _LABELS if (family, label) in self.counts]
            counts = sum(each, Counts())
            precision = sum(one.precision or 0 for one in each) / len(each)
            recall = sum(one.recall or 0 for one in each) / len(each)
        else:
            counts = self._total(key)
            if measure == "f1":
                precision, recall = counts.precision, counts.recall
        return Row(family, name, measure, counts, value, _interval(sampled), precision, recall, self.annotators.get(key))

    def _total(self, key: Key) -> Counts:
        return sum(self.counts[key].values(), Counts())

    @cached_property
    def _sampled(self) -> dict[Key, tuple[float | None, Floats]]:
        """Each row's value, and its values in the bootstrap samples of the trials (NaN where a sample has no item)."""
        place = {trial: number for number, trial in enumerate(self.trials)}
        drawn = _weights(len(self.trials), self.seed, self.resamples)
        found: dict[Key, tuple[float | None, Floats]] = {}

        def put(key: Key, values: Floats) -> None:
            """`values` begin with the one of the trials as they are."""
            found[key] = (None if np.isnan(values[0]) else float(values[0]), values[1:])

        for key, by_trial in self.counts.items():
            table = np.zeros((len(place), 3))
            for trial, one in by_trial.items():
                table[place[trial]] = one.tp, one.fp, one.fn
            tp, fp, fn = (drawn @ table).T
            put(key, _divided(2 * tp, 2 * tp + fp + fn))
        for family in ("entities", "entities, relaxed"):
            labels = [(family, label) for label in _LABELS if (family, label) in found]
            if labels:
                each = np.array([[found[key][0], *found[key][1]] for key in labels], dtype=float)
                put((family, "macro"), _divided(np.nansum(each, axis=0), (~np.isnan(each)).sum(axis=0)))
        for name, met_by_trial in self.confusions.items():
            pairs = sorted({pair for met in met_by_trial.values() for pair in met})
            table = np.zeros((len(place), len(pairs)))
            for trial, met in met_by_trial.items():
                table[place[trial]] = [met.get(pair, 0) for pair in pairs]
            put(("kappa", name), _kappa(drawn @ table, pairs))
        return found


@dataclass(frozen=True, slots=True)
class Change:
    """The difference of one row between two predictions; None where one of the two has no value or only one trial."""

    family: str
    name: str
    measure: Measure
    old: float | None
    new: float | None
    difference: float | None
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> Literal["better", "worse", "unclear"]:
        """`unclear` unless the interval of the difference lies on one side of zero."""
        low, high = self.interval or (0.0, 0.0)
        return "better" if low > 0 else "worse" if high < 0 else "unclear"


ErrorType = Literal["missed", "spurious", "boundary", "label", "attribute", "value", "rule"]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)


@dataclass(frozen=True, slots=True)
class Error:
    """One difference. `gold` and `predicted` are the ids of the criteria that it lies in, each None where there is none.

    missed, spurious    only gold, only the prediction has it
    boundary            overlap and the same label, another extent
    label               the same extent, another label (criteria: kind; facts: another name or `about`)
    attribute           all else is the same, but not the attributes that `detail` names
    value               a fact of the same name and `about` with other bounds or values
    rule                the facts agree, the tree that joins them does not

    `label` is the gold item's where there is one: an entity's label, a fact's `about`, a criterion's kind. Spans are half-open,
    in code points of the trial's text, and empty on the side that lacks the item.
    """

    trial: str
    item: Literal["criterion", "entity", "fact"]
    type: ErrorType
    label: str
    gold: str | None
    predicted: str | None
    gold_spans: tuple[schema.Span, ...] = ()
    predicted_spans: tuple[schema.Span, ...] = ()
    detail: str = ""


def row_json(row: Row) -> dict[str, Any]:
    """A row as JSON holds it; what the measure does not have is left out."""
    one: dict[str, Any] = {"family": row.family, "name": row.name, "measure": row.measure, "value": row.value}
    if row.measure == "f1":
        one |= {"precision": row.precision, "recall": row.recall}
        one |= {"tp": row.counts.tp, "fp": row.counts.fp, "fn": row.counts.fn}
    one |= {"support": row.counts.support, "interval": row.interval}
    return one | ({"agreement": row.agreement} if row.agreement is not None else {})


def _only(found: Mapping[str, A], trials: set[str]) -> dict[str, A]:
    return {trial: value for trial, value in found.items() if trial in trials}


# --- scores -----------------------------------------------------------------------------------------------------------


def score(
    gold: Iterable[schema.ParsedTrial], predicted: Iterable[schema.ParsedTrial], *, seed: int = 0, resamples: int = 1000
) -> Scores:
    """The scores of predictions. The order of the trials never matters.

    Trials are paired by `nct_id`, by the text's hash where one of the two has none. Raises AnnotationError where a side holds
    a trial twice.
    """
    return _scored(gold, predicted, seed, resamples, agreeing=False)


def agreement(
    first: Iterable[schema.ParsedTrial], second: Iterable[schema.ParsedTrial], *, seed: int = 0, resamples: int = 1000
) -> Scores:
    """How far two annotators agree on the trials that both annotated: the same rows, and Cohen's kappa.

    F1 does not ask which of the two is right. Kappa is that of `kind` (criteria of the same extent), `category` (paired
    criteria), `status` and `negated` (entities of the same extent and label); it is None where both only ever used one value.
    Trials of one annotator alone (`missing`, `extra`) or of two texts (`other_text`) count nowhere.
    """
    return _scored(first, second, seed, resamples, agreeing=True)


def compare(old: Scores, new: Scores) -> tuple[Change, ...]:
    """The difference of each row with its 95 % interval, by the paired bootstrap: both are drawn for the same trials.

    Raises AnnotationError where the two were not scored on the same gold.
    """
    other = sorted(set(old.trials) ^ set(new.trials))
    if other:
        raise AnnotationError(f"{other[0]}: it is in one of the two scores only; score both predictions on the same gold")
    for trial in old.trials:
        was, now = (scores.counts.get(("criteria", "exact"), {}).get(trial, Counts()) for scores in (old, new))
        if was.support != now.support:
            raise AnnotationError(
                f"{trial}: {was.support} gold criteria in the one score, {now.support} in the other; score both on the same gold"
            )
    if (old.seed, old.resamples) != (new.seed, new.resamples):
        new = replace(new, seed=old.seed, resamples=old.resamples)
    changes = []
    for key in sorted(old._sampled.keys() | new._sampled.keys(), key=_place):
        (was_value, was_drawn), (now_value, now_drawn) = (one._sampled.get(key, (None, None)) for one in (old, new))
        known = was_value is not None and now_value is not None
        changes.append(
            Change(
                *key,
                measure=_ROWS[key[0]][key[1]],
                old=was_value,
                new=now_value,
                difference=now_value - was_value if was_value is not None and now_value is not None else None,
                interval=_interval(now_drawn - was_drawn) if known and was_drawn is not None and now_drawn is not None else None,
            )
        )
    return tuple(changes)


@dataclass(frozen=True, slots=True)
class _Match:
    """The trials of two sides; `paired` by name in order of the names, with None where there is no prediction to count."""

    paired: tuple[tuple[str, schema.ParsedTrial, schema.ParsedTrial | None], ...]
    missing: tuple[str, ...]
    other_text: tuple[str, ...]
    extra: tuple[str, ...]


def name_of(parsed: schema.ParsedTrial) -> str:
    """What a trial is called in scores and errors: its number, else the hash of its text."""
    return parsed.trial.nct_id or f"sha256:{parsed.trial.sha256}"


def _matched(gold: Iterable[schema.ParsedTrial], predicted: Iterable[schema.ParsedTrial]) -> _Match:
    golds, predictions = _named(gold, "gold"), _named(predicted, "predictions")
    partners = {name: predictions.pop(name) for name in golds if name in predictions}
    by_text = {one.trial.sha256: name for name, one in sorted(predictions.items(), reverse=True)}
    for name in sorted(golds.keys() - partners.keys()):  # a bare text belongs to the trial that has it
        trial = golds[name].trial
        same = by_text.get(trial.sha256)
        if same in predictions and None in (trial.nct_id, predictions[same].trial.nct_id):
            partners[name] = predictions.pop(same)
    missing = tuple(sorted(golds.keys() - partners.keys()))
    other_text = tuple(sorted(name for name, one in partners.items() if one.trial.sha256 != golds[name].trial.sha256))
    paired = [(name, one, None if name in other_text else partners.get(name)) for name, one in sorted(golds.items())]
    return _Match(tuple(paired), missing, other_text, tuple(sorted(predictions)))


def _named(trials: Iterable[schema.ParsedTrial], side: str) -> dict[str, schema.ParsedTrial]:
    named: dict[str, schema.ParsedTrial] = {}
    for one in trials:
        if named.setdefault(name_of(one), one) is not one:
            raise AnnotationError(f"{name_of(one)}: it stands twice in the {side}; keep one record of each trial")
    return named


def _scored(
    gold: Iterable[schema.ParsedTrial], predicted: Iterable[schema.ParsedTrial], seed: int, resamples: int, agreeing: bool
) -> Scores:
    match = _matched(gold, predicted)
    counts: dict[Key, dict[str, Counts]] = {}
    confusions: dict[str, dict[str, Counter[tuple[str, str]]]] = {}
    phenomena: dict[str, tuple[str, ...]] = {}
    trials = []
    for name, one, partner in match.paired:
        if agreeing and partner is None:
            continue
        trials.append(name)
        tags = (one.trial.model_extra or {}).get("phenomenon")
        if tags:
            phenomena[name] = (tags,) if isinstance(tags, str) else tuple(map(str, tags))
        tally = _tally(one, partner or one.model_copy(update={"criteria": ()}))
        for key, found in tally.counts().items():
            counts.setdefault(key, {})[name] = found
        if agreeing:
            for what, met in tally.met.items():
                confusions.setdefault(what, {})[name] = met
    return Scores(
        trials=tuple(trials),
        counts=counts,
        confusions=confusions,
        phenomena=phenomena,
        missing=match.missing,
        other_text=match.other_text,
        extra=match.extra,
        seed=seed,
        resamples=resamples,
    )


class _Tally:
    """The counts of one trial while they are taken, and for kappa the values that met."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, str]] = Counter()
        self.met: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)

    def found(self, family: str, name: str, tp: int, fp: int, fn: int) -> None:
        self._seen.update({(family, name, "tp"): tp, (family, name, "fp"): fp, (family, name, "fn"): fn})

    def judged(self, family: str, name: str, right: bool) -> None:
        """One item of an accuracy row."""
        self.found(family, name, int(right), int(not right), int(not right))

    def counts(self) -> dict[Key, Counts]:
        keys = {(family, name) for (family, name, _), number in self._seen.items() if number}
        return {(f, n): Counts(*(self._seen[f, n, part] for part in ("tp", "fp", "fn"))) for f, n in keys}


def _tally(gold: schema.ParsedTrial, predicted: schema.ParsedTrial) -> _Tally:
    tally = _Tally()
    alignment = _alignment(gold, predicted)
    _tally_criteria(tally, alignment)
    mentions = _mentions(gold), _mentions(predicted)
    _tally_entities(tally, *mentions)
    _tally_attributes(tally, *mentions)
    _tally_relations(tally, gold, predicted)
    _tally_rules(tally, alignment)
    return tally


def _place(key: Key) -> int:
    return _ORDER[key]


# --- intervals --------------------------------------------------------------------------------------------------------


def _weights(trials: int, seed: int, resamples: int) -> Floats:
    """How often each trial counts: once in the first row, as drawn with replacement in the others."""
    once = np.ones((1, trials))
    if trials < 2:
        return once
    drawn = np.random.default_rng(seed).multinomial(trials, np.full(trials, 1 / trials), size=resamples)
    return np.concatenate([once, drawn])


def _divided(above: Floats, below: Floats) -> Floats:
    """The quotient, NaN where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def _kappa(met: Floats, pairs: Sequence[tuple[str, str]]) -> Floats:
    """Cohen's kappa of each row of `met`, the numbers of times that each pair of values met; NaN where it is not defined."""
    total = met.sum(axis=1)
    alike = met[:, [a == b for a, b in pairs]].sum(axis=1)
    chance = np.zeros_like(total)
    for value in {value for pair in pairs for value in pair}:
        chance += met[:, [a == value for a, _ in pairs]].sum(axis=1) * met[:, [b == value for _, b in pairs]].sum(axis=1)
    return _divided(alike * total - chance, total * total - chance)


def _interval(sampled: Floats) -> tuple[float, float] | None:
    """The percentiles 2.5 and 97.5 of the samples that have a value."""
    known = sampled[~np.isnan(sampled)]
    if not known.size:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


# --- pairing ----------------------------------------------------------------------------------------------------------


def _paired(gold: Sequence[A], predicted: Sequence[B], likeness: Callable[[A, B], float]) -> list[tuple[int, int, float]]:
    """Positions paired one to one, the most alike first; what has a likeness of 0 is never paired.

    Ties go by position in a way that does not tell gold from prediction, so that swapping the two swaps each pair.
    """
    candidates = [
        (-alike, min(i, j), max(i, j), i, j)
        for i, one in enumerate(gold)
        for j, other in enumerate(predicted)
        if (alike := likeness(one, other)) > 0
    ]
    pairs = []
    free_gold, free_predicted = set(range(len(gold))), set(range(len(predicted)))
    for alike, _, _, i, j in sorted(candidates):
        if i in free_gold and j in free_predicted:
            pairs.append((i, j, -alike))
            free_gold.remove(i)
            free_predicted.remove(j)
    return pairs


def _union(spans: Iterable[schema.Span]) -> tuple[schema.Span, ...]:
    """The same characters as disjoint spans in order; touching ones become one, empty ones vanish."""
    merged: list[schema.Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return tuple(merged)


def _iou(one: tuple[schema.Span, ...], other: tuple[schema.Span, ...]) -> float:
    """Common characters by all characters of two results of `_union`."""
    if one == other:
        return 1.0
    common = sum(max(0, min(b, d) - max(a, c)) for a, b in one for c, d in other)
    return common / (sum(b - a for a, b in (*one, *other)) - common) if common else 0.0


def _trimmed(spans: Iterable[schema.Span], text: str) -> tuple[schema.Span, ...]:
    """The spans without the white space and the punctuation at their ends, where the text is known."""
    trimmed = []
    for start, end in spans:
        words = text[start:end]
        if words:
            start, end = start + len(words) - len(words.lstrip(_EDGES)), end - len(words) + len(words.rstrip(_EDGES))
        trimmed.append((start, end))
    return _union(trimmed)


@dataclass(frozen=True, slots=True)
class _Alignment:
    """Criteria of two sides, in pairs with their IoU in gold order; `refs` are the paired ids, gold to prediction."""

    pairs: tuple[tuple[schema.Criterion, schema.Criterion, float], ...]
    missed: tuple[schema.Criterion, ...]
    spurious: tuple[schema.Criterion, ...]
    refs: Mapping[str, str]


def aligned(gold: schema.ParsedTrial, predicted: schema.ParsedTrial) -> list[tuple[schema.Criterion, schema.Criterion]]:
    """The criteria of one trial that are compared with each other, in gold order: best overlap, one to one."""
    return [(one, other) for one, other, _ in _alignment(gold, predicted).pairs]


def _alignment(gold: schema.ParsedTrial, predicted: schema.ParsedTrial) -> _Alignment:
    text = gold.trial.eligibility or predicted.trial.eligibility

    def extents(parsed: schema.ParsedTrial) -> list[tuple[schema.Span, ...]]:
        return [_trimmed(one.fragments or ((one.start, one.end),), text) for one in parsed.criteria]

    found = sorted(_paired(extents(gold), extents(predicted), _iou))
    of_gold, of_predicted = {i for i, _, _ in found}, {j for _, j, _ in found}
    pairs = tuple((gold.criteria[i], predicted.criteria[j], iou) for i, j, iou in found)
    return _Alignment(
        pairs=pairs,
        missed=tuple(one for i, one in enumerate(gold.criteria) if i not in of_gold),
        spurious=tuple(one for j, one in enumerate(predicted.criteria) if j not in of_predicted),
        refs={one.id: other.id for one, other, _ in pairs},
    )


# --- criteria ---------------------------------------------------------------------------------------------------------


def _tally_criteria(tally: _Tally, alignment: _Alignment) -> None:
    golds = len(alignment.pairs) + len(alignment.missed)
    predictions = len(alignment.pairs) + len(alignment.spurious)
    for name, least in (("exact", 1.0), ("relaxed", RELAXED)):
        tp = sum(iou >= least for _, _, iou in alignment.pairs)
        tally.found("criteria", name, tp, predictions - tp, golds - tp)
    for one, other, iou in alignment.pairs:
        tally.met["category"][one.category, other.category] += 1
        if iou < 1:
            continue
        tally.met["kind"][one.kind, other.kind] += 1
        tally.judged("criteria", "kind", one.kind == other.kind)
        same = _same_parent(one, other, alignment.refs)
        tally.judged("criteria", "parent", same)
        if one.parent_id is not None or other.parent_id is not None:
            tally.judged("criteria", f"parent, {_SET}", same)


def _same_parent(one: schema.Criterion, other: schema.Criterion, refs: Mapping[str, str]) -> bool:
    if one.parent_id is None or other.parent_id is None:
        return one.parent_id is other.parent_id
    return refs.get(one.parent_id) == other.parent_id


# --- entities ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mention:
    """An entity with the id of its criterion, its fragments as a set, and its characters."""

    entity: schema.Entity
    criterion: str
    fragments: frozenset[schema.Span]
    characters: tuple[schema.Span, ...]

    @property
    def key(self) -> tuple[str, frozenset[schema.Span]]:
        """What a strict match compares."""
        return self.entity.label, self.fragments

    @property
    def attributes(self) -> schema.Attributes:
        return self.entity.attributes or _DEFAULTS

    @property
    def history(self) -> bool:
        return self.entity.label == "CONDITION" and self.attributes.status == "history"


_DEFAULTS = schema.Attributes()


def _mentions(parsed: schema.ParsedTrial) -> list[_Mention]:
    """All entities of a trial in text order."""
    found = []
    for criterion in parsed.criteria:
        for entity in criterion.entities:
            fragments = frozenset(entity.fragments) or frozenset({(entity.start, entity.end)})
            found.append(_Mention(entity, criterion.id, fragments, _union(fragments)))
    return sorted(found, key=lambda one: (sorted(one.fragments), one.entity.label, one.entity.id))


def _strict(gold: Sequence[_Mention], predicted: Sequence[_Mention]) -> list[tuple[int, int]]:
    """Positions of mentions with the same label and fragments; the n-th of several alike goes with the n-th."""
    waiting: defaultdict[object, list[int]] = defaultdict(list)
    for j, one in enumerate(predicted):
        waiting[one.key].append(j)
    return [(i, waiting[one.key].pop(0)) for i, one in enumerate(gold) if waiting[one.key]]


def _relaxed(gold: Sequence[_Mention], predicted: Sequence[_Mention]) -> list[tuple[int, int]]:
    """Positions of mentions with the same label and a character in common, greedily by IoU, label by label."""
    pairs = []
    for label in {one.entity.label for one in gold}:
        golds = [i for i, one in enumerate(gold) if one.entity.label == label]
        predictions = [j for j, one in enumerate(predicted) if one.entity.label == label]
        found = _paired(golds, predictions, lambda i, j: _iou(gold[i].characters, predicted[j].characters))
        pairs += [(golds[a], predictions[b]) for a, b, _ in found]
    return pairs


def _nested(mentions: Sequence[_Mention]) -> set[int]:
    """Positions of mentions that share a character with another one."""
    found: set[int] = set()
    for i, one in enumerate(mentions):
        for j in range(i + 1, len(mentions)):
            other = mentions[j]
            if min(other.fragments)[0] >= max(end for _, end in one.fragments):
                break
            if _iou(one.characters, other.characters) > 0:
                found |= {i, j}
    return found


def _tally_entities(tally: _Tally, gold: Sequence[_Mention], predicted: Sequence[_Mention]) -> None:
    members = []
    for mentions in (gold, predicted):
        several = {i for i, one in enumerate(mentions) if len(one.fragments) > 1}
        members.append({"nested": _nested(mentions), "discontinuous": several})
    for family, match in (("entities", _strict), ("entities, relaxed", _relaxed)):
        pairs = match(gold, predicted)
        tally.found(family, "micro", len(pairs), len(predicted) - len(pairs), len(gold) - len(pairs))
        of_label = Counter(gold[i].entity.label for i, _ in pairs)
        golds, predictions = (Counter(one.entity.label for one in mentions) for mentions in (gold, predicted))
        for label in golds | predictions:
            tp = of_label[label]
            tally.found(family, label, tp, predictions[label] - tp, golds[label] - tp)
        for group in ("nested", "discontinuous"):
            of_gold, of_predicted = members[0][group], members[1][group]
            tally.found(
                family,
                group,
                sum(i in of_gold or j in of_predicted for i, j in pairs),
                len(of_predicted - {j for _, j in pairs}),
                len(of_gold - {i for i, _ in pairs}),
            )
        past = [one for one in gold if one.history], [one for one in predicted if one.history]
        tp = len(match(*past))
        tally.found(family, "disease history", tp, len(past[1]) - tp, len(past[0]) - tp)


def _tally_attributes(tally: _Tally, gold: Sequence[_Mention], predicted: Sequence[_Mention]) -> None:
    for i, j in _strict(gold, predicted):
        if gold[i].entity.label not in ATTRIBUTED:
            continue
        for name in _ATTRIBUTES:
            one, other = (getattr(mention.attributes, name) for mention in (gold[i], predicted[j]))
            tally.judged("attributes", name, one == other)
            if not one == other == getattr(_DEFAULTS, name):
                tally.judged("attributes", f"{name}, {_SET}", one == other)
            if name in ("status", "negated"):
                tally.met[name][str(one), str(other)] += 1


def _tally_relations(tally: _Tally, gold: schema.ParsedTrial, predicted: schema.ParsedTrial) -> None:
    def links(parsed: schema.ParsedTrial) -> Counter[tuple[str, object, object]]:
        keys: dict[str, object] = {one.entity.id: one.key for one in _mentions(parsed)}
        links = [relation for criterion in parsed.criteria for relation in criterion.relations]
        return Counter((link.type, keys.get(link.head, link.head), keys.get(link.tail, link.tail)) for link in links)

    golds, predictions = links(gold), links(predicted)
    for wanted in ("micro", *get_args(schema.RelationType)):
        tp, fp, fn = (
            sum(number for (kind, _, _), number in found.items() if wanted in ("micro", kind))
            for found in (golds & predictions, predictions - golds, golds - predictions)
        )
        tally.found("relations", wanted, tp, fp, fn)


# --- facts ------------------------------------------------------------------------------------------------------------


def facts_of(rule: schema.Rule, *, outside: bool = False) -> Iterator[schema.Fact]:
    """The facts of a rule tree with those within their exceptions; with `outside` also those in unsupported text."""
    match rule:
        case schema.Fact():
            yield rule
            for exception in rule.exceptions:
                yield from facts_of(exception, outside=outside)
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            for part in rule.rules:
                yield from facts_of(part, outside=outside)
        case schema.Not():
            yield from facts_of(rule.rule, outside=outside)
        case schema.If():
            for branch in (rule.condition, rule.then, rule.otherwise):
                if branch is not None:
                    yield from facts_of(branch, outside=outside)
        case schema.Unsupported():
            for fact in rule.facts if outside else ():
                yield from facts_of(fact, outside=outside)


def same_fact(one: schema.Fact, other: schema.Fact) -> bool:
    """Whether two facts match: `about`, name, values, and bounds with unit, inclusiveness, reference and what they measure."""
    return one.about == other.about and _same_name(one, other) and _same_statement(one, other)


def _same_statement(one: schema.Fact, other: schema.Fact) -> bool:
    return _values(one) == _values(other) and _same_range(one, other)


_MEASURED = frozenset({"lab", "vital", "measurement", "scale"})


def _same_name(one: schema.Fact, other: schema.Fact) -> bool:
    if {(code.system, code.code) for code in one.codes} & {(code.system, code.code) for code in other.codes}:
        return True
    if one.about == other.about == "staging" and one.system and other.system:
        return one.system.casefold() == other.system.casefold()
    names = [(_plain(fact), _with_unit(fact)) for fact in (one, other)]
    return any(a == b for a, b in zip(*names, strict=True))


def _plain(fact: schema.Fact) -> str:
    return _name(fact.name, fact.about in _MEASURED)


def _with_unit(fact: schema.Fact) -> str:
    """The name of what is meant with the fact's unit: neutrophils in "%" are a percentage."""
    row = _row(fact)
    return analytes.of_unit(row, fact.range.unit).name if row and fact.range else _plain(fact)


def _row(fact: schema.Fact) -> analytes.Analyte | None:
    return analytes.analyte(fact.name) if fact.about in _MEASURED else None


@lru_cache(maxsize=65536)
def _name(name: str, measured: bool) -> str:
    """The table's name of a measurement or scale, else the plain name with each word in the singular."""
    row = (analytes.analyte(name) or analytes.scale(name)) if measured else None
    return row.name if row else " ".join(map(_singular, analytes.plain_name(name, "CONDITION").casefold().split()))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _values(fact: schema.Fact) -> tuple[frozenset[str], str]:
    """The values as a set, beside the system that gives them their meaning."""
    values = frozenset(value.strip().casefold() for value in fact.values or ())
    return values, (fact.system or "").casefold() if values else ""


_Bounds = tuple[str | None, str | None]
_ANNOTATION = re.compile(r"\{(?!1\.73|half-life)[^}]*\}")


def _bare(unit: str | None) -> str:
    """A unit without annotations, which say what is counted and never how much; "" where it is dimensionless or not written."""
    bare = _ANNOTATION.sub("", unit or "")
    return "" if bare == "1" else bare


def _unit(one: schema.Range | schema.Window) -> str:
    scored = isinstance(one, schema.Range) and one.relative_to in ("percentile", "z_score")
    return "" if scored else _bare(one.unit)


def _ranged(fact: schema.Fact) -> schema.Range | None:
    """The range, None where it bounds nothing."""
    found = fact.range
    return found if found and (found.low or found.high) else None


def _reference(one: schema.Range) -> tuple[str | None, str | None]:
    return one.relative_to, (one.relation or "ratio") if one.relative_to else None


def _inclusive(one: schema.Range | schema.Window) -> tuple[bool | None, bool | None]:
    """Of the lower and the upper bound; None where there is no bound."""
    return (
        None if one.low is None else one.low_inclusive is not False,
        None if one.high is None else one.high_inclusive is not False,
    )


def _same_range(one: schema.Fact, other: schema.Fact) -> bool:
    a, b = _ranged(one), _ranged(other)
    if a is None or b is None:
        return a is b
    if a.measures != b.measures or _reference(a) != _reference(b) or _inclusive(a) != _inclusive(b):
        return False
    return any(_same_bounds(x, y, tolerance) for x, y, tolerance in _comparable(one, other))


def _comparable(one: schema.Fact, other: schema.Fact) -> Iterator[tuple[_Bounds, _Bounds, Decimal]]:
    """The bounds of two facts' ranges in one unit, in each way to bring them there, and how far they may differ."""
    a, b = one.range, other.range
    assert a is not None
    assert b is not None
    if _unit(a) != _unit(b) and one.canonical and other.canonical and one.canonical.unit == other.canonical.unit:
        yield (one.canonical.low, one.canonical.high), (other.canonical.low, other.canonical.high), TOLERANCE
    yield from _in_one_unit(a, b, _row(one) or _row(other))


def _in_one_unit(
    a: schema.Range | schema.Window, b: schema.Range | schema.Window, row: analytes.Analyte | None = None
) -> Iterator[tuple[_Bounds, _Bounds, Decimal]]:
    if _unit(a) == _unit(b):
        yield (a.low, a.high), (b.low, b.high), Decimal(0)
    elif _unit(a) and _unit(b):
        if there := _converted((a.low, a.high), _unit(a), _unit(b), row):
            yield there, (b.low, b.high), TOLERANCE
        if back := _converted((b.low, b.high), _unit(b), _unit(a), row):
            yield (a.low, a.high), back, TOLERANCE


def _converted(bounds: _Bounds, unit: str, to: str, row: analytes.Analyte | None) -> _Bounds | None:
    """The bounds in another unit; None where one of them does not convert with certainty."""
    mass, special = (row.molar_mass, row.special) if row else (None, "")
    low, high = (None if one is None else units.convert(one, unit, to, molar_mass=mass, special=special) for one in bounds)
    lost = any(before is not None and after is None for before, after in zip(bounds, (low, high), strict=True))
    return None if lost else (low, high)


def _same_bounds(a: _Bounds, b: _Bounds, tolerance: Decimal) -> bool:
    return all(_same_number(x, y, tolerance) for x, y in zip(a, b, strict=True))


def _same_number(a: str | None, b: str | None, tolerance: Decimal) -> bool:
    if a is None or b is None:
        return a is b
    x, y = Decimal(a), Decimal(b)
    return abs(x - y) <= tolerance * max(abs(x), abs(y))


def _same_window(a: schema.Window, b: schema.Window) -> bool:
    if (a.relation, a.choose, _inclusive(a)) != (b.relation, b.choose, _inclusive(b)):
        return False
    x, y = (window.anchor if window.anchor != "enrollment" else None for window in (a, b))  # the same moment as no anchor
    if not (same_fact(x, y) if isinstance(x, schema.Fact) and isinstance(y, schema.Fact) else x == y):
        return False
    return any(_same_bounds(p, q, tolerance) for p, q, tolerance in _in_one_unit(a, b))


def _same_windows(one: schema.Fact, other: schema.Fact) -> bool:
    return _same_set(one.windows, other.windows, _same_window)


def _same_set(ones: Sequence[A], others: Sequence[A], same: Callable[[A, A], bool]) -> bool:
    """Whether each has an equal of its own on the other side."""
    left = list(others)
    for one in ones:
        place = next((place for place, other in enumerate(left) if same(one, other)), None)
        if place is None:
            return False
        del left[place]
    return not left


def _components(one: schema.Fact, other: schema.Fact) -> dict[str, bool]:
    """Whether each component of two facts of one name is the same; those of which neither says anything are left out."""
    right: dict[str, bool] = {}
    a, b = _ranged(one), _ranged(other)
    if a or b:
        sides = [(x is not None and x.low is not None, x is not None and x.high is not None) for x in (a, b)]
        right["side"] = sides[0] == sides[1]
        right["value"] = right["unit"] = False
    if a and b:
        alike = [_same_numbers(x, y, tolerance) for x, y, tolerance in _comparable(one, other)]
        right["value"] = any(alike) or _same_numbers((a.low, a.high), (b.low, b.high), Decimal(0))
        right["unit"] = any(alike) or _unit(a) == _unit(b)
        shared = [(x, y) for x, y in zip(_inclusive(a), _inclusive(b), strict=True) if x is not None and y is not None]
        if shared:
            right["inclusiveness"] = all(x == y for x, y in shared)
    if (a and a.relative_to) or (b and b.relative_to):
        right["reference"] = bool(a and b and _reference(a) == _reference(b))
    if one.values or other.values:
        right["values"] = _values(one) == _values(other)
    if not one.status == other.status == "current":
        right["status"] = one.status == other.status
    if one.windows or other.windows:
        right["windows"] = _same_windows(one, other)
    return right


def _same_numbers(a: _Bounds, b: _Bounds, tolerance: Decimal) -> bool:
    """Whether the bounds are the same numbers, whatever side they stand on."""
    x, y = (sorted((one for one in bounds if one is not None), key=Decimal) for bounds in (a, b))
    return len(x) == len(y) and all(_same_number(p, q, tolerance) for p, q in zip(x, y, strict=True))


def _paired_facts(gold: Sequence[schema.Fact], predicted: Sequence[schema.Fact]) -> list[tuple[int, int, bool]]:
    """Positions of facts of one name, one to one, and whether they match; matches first, then those most alike."""

    def likeness(one: schema.Fact, other: schema.Fact) -> float:
        if not _same_name(one, other):
            return 0
        alike = 1 + sum(_components(one, other).values()) - sum(not right for right in _components(one, other).values()) / 10
        return alike + 100 * (one.about == other.about) + 1000 * same_fact(one, other)

    return [(i, j, alike > 1000) for i, j, alike in _paired(gold, predicted, likeness)]


# --- rules ------------------------------------------------------------------------------------------------------------


def _tally_rules(tally: _Tally, alignment: _Alignment) -> None:
    for one, other, _ in alignment.pairs:
        golds, predictions = list(facts_of(one.rule)), list(facts_of(other.rule))
        _tally_facts(tally, golds, predictions)
        _tally_all(tally, list(facts_of(one.rule, outside=True)), list(facts_of(other.rule, outside=True)))
        equal = same_rule(one.rule, other.rule, alignment.refs)
        tally.judged("rules", "equal", equal)
        if not one.rule.op == other.rule.op == "unsupported":
            tally.judged("rules", "equal, one side computable", equal)
        tally.judged("rules", "computable", one.computable == other.computable)
        tally.judged("rules", "category", one.category == other.category)
    for alone, gold in ((alignment.missed, True), (alignment.spurious, False)):
        for criterion in alone:
            inside, everywhere = list(facts_of(criterion.rule)), list(facts_of(criterion.rule, outside=True))
            _tally_facts(tally, *((inside, []) if gold else ([], inside)))
            _tally_all(tally, *((everywhere, []) if gold else ([], everywhere)))


def _tally_all(tally: _Tally, gold: Sequence[schema.Fact], predicted: Sequence[schema.Fact]) -> None:
    tp = sum(match for _, _, match in _paired_facts(gold, predicted))
    tally.found("facts", "all, outside a rule too", tp, len(predicted) - tp, len(gold) - tp)


def _tally_facts(tally: _Tally, gold: Sequence[schema.Fact], predicted: Sequence[schema.Fact]) -> None:
    pairs = _paired_facts(gold, predicted)
    matches = Counter(gold[i].about for i, _, match in pairs if match)
    golds, predictions = (Counter(fact.about for fact in facts) for facts in (gold, predicted))
    for about in golds | predictions:
        tally.found("facts", about, matches[about], predictions[about] - matches[about], golds[about] - matches[about])
    named = [(gold[i], predicted[j]) for i, j, _ in pairs if gold[i].about == predicted[j].about]
    for name, tp in (("all", matches.total()), ("name and about", len(named))):
        tally.found("facts", name, tp, len(predicted) - tp, len(gold) - tp)
    for i, j, _ in pairs:
        tally.judged("facts", "about right", gold[i].about == predicted[j].about)
    for one, other in named:
        for component, right in _components(one, other).items():
            tally.judged("facts", f"{component} right", right)


@dataclass(frozen=True, slots=True)
class _Node:
    """A rule in its normal form; what a `fact`, `criterion` or `at_least` says beside its parts stands in `says`."""

    op: str
    parts: tuple[_Node | None, ...] = ()
    says: object = None


def same_rule(one: schema.Rule, other: schema.Rule, refs: Mapping[str, str] | None = None) -> bool:
    """Whether two rules are equal in normal form. `refs` leads from ids of criteria in `one` to those in `other`."""
    return _same_node(_normal(one), _normal(other), refs)


def _normal(rule: schema.Rule) -> _Node | None:
    """The rule without notes, needless groups and double negation; None where nothing is left of it."""
    match rule:
        case schema.AllOf() | schema.AnyOf() | schema.AtLeast():
            parts: list[_Node | None] = []
            for part in filter(None, map(_normal, rule.rules)):
                parts += part.parts if part.op == rule.op != "at_least" else [part]
            least = rule.n if rule.op == "at_least" else None
            if len(parts) == 1 and least in (None, 1):
                return parts[0]
            return _Node(rule.op, tuple(parts), least) if parts else None
        case schema.Not():
            inner = _normal(rule.rule)
            return inner and (inner.parts[0] if inner.op == "not" else _Node("not", (inner,)))
        case schema.If():
            otherwise = _normal(rule.otherwise) if rule.otherwise is not None else None
            return _Node("if", (_normal(rule.condition), _normal(rule.then), otherwise))
        case schema.Fact():
            return _Node("fact", tuple(map(_normal, rule.exceptions)), rule)
        case schema.CriterionRef():
            return _Node("criterion", (), rule.id)
        case schema.Unsupported():
            return _Node("unsupported")
        case schema.Note():
            return None


def _same_node(one: _Node | None, other: _Node | None, refs: Mapping[str, str] | None) -> bool:
    if one is None or other is None or one.op != other.op:
        return one is other
    if isinstance(one.says, schema.Fact) and isinstance(other.says, schema.Fact):
        a, b = one.says, other.says
        if not (same_fact(a, b) and a.status == b.status and _same_windows(a, b)):
            return False
    elif one.op == "criterion":
        return (refs.get(str(one.says)) if refs is not None else one.says) == other.says
    elif one.says != other.says:
        return False
    if one.op in ("if", "not"):
        return len(one.parts) == len(other.parts) and all(
            _same_node(a, b, refs) for a, b in zip(one.parts, other.parts, strict=True)
        )
    return _same_set(one.parts, other.parts, lambda a, b: _same_node(a, b, refs))


# --- differences ------------------------------------------------------------------------------------------------------


def errors(gold: Iterable[schema.ParsedTrial], predicted: Iterable[schema.ParsedTrial]) -> Iterator[Error]:
    """Every difference of criteria, entities and facts, trial by trial; relations are in the scores alone.

    A trial without a prediction is missed as a whole. Raises AnnotationError where a side holds a trial twice.
    """
    for name, one, partner in _matched(gold, predicted).paired:
        partner = partner or one.model_copy(update={"criteria": ()})
        alignment = _alignment(one, partner)
        yield from _criterion_errors(name, alignment)
        yield from _entity_errors(name, _mentions(one), _mentions(partner), alignment.refs)


def _criterion_errors(trial: str, alignment: _Alignment) -> Iterator[Error]:
    for one, other, iou in alignment.pairs:
        spans = _spans(one), _spans(other)
        place = (one.id, other.id, *spans)
        if iou < 1:
            yield Error(trial, "criterion", "boundary", one.kind, *place)
        if one.kind != other.kind:
            yield Error(trial, "criterion", "label", one.kind, *place, f"kind: {one.kind} → {other.kind}")
        changed = [what for what in ("category", "computable") if getattr(one, what) != getattr(other, what)]
        changed += [] if _same_parent(one, other, alignment.refs) else ["parent_id"]
        for what in changed:
            detail = f"{what.removesuffix('_id')}: {getattr(one, what) or 'none'} → {getattr(other, what) or 'none'}"
            yield Error(trial, "criterion", "attribute", one.kind, *place, detail)
        differences = list(_fact_errors(trial, one, other))
        yield from differences
        if not differences and not same_rule(one.rule, other.rule, alignment.refs):
            named = same_rule(one.rule, other.rule)
            detail = "a criterion that it names is another one" if named else "the facts agree, the rule that joins them does not"
            yield Error(trial, "criterion", "rule", one.kind, *place, detail)
    for one in alignment.missed:
        yield Error(trial, "criterion", "missed", one.kind, one.id, None, _spans(one))
        for fact in facts_of(one.rule):
            yield Error(trial, "fact", "missed", fact.about, one.id, None, _spans(fact), (), fact.name)
    for other in alignment.spurious:
        yield Error(trial, "criterion", "spurious", other.kind, None, other.id, (), _spans(other))
        for fact in facts_of(other.rule):
            yield Error(trial, "fact", "spurious", fact.about, None, other.id, (), _spans(fact), fact.name)


def _fact_errors(trial: str, one: schema.Criterion, other: schema.Criterion) -> Iterator[Error]:
    golds, predictions = list(facts_of(one.rule)), list(facts_of(other.rule))
    pairs = _paired_facts(golds, predictions)
    left = [i for i in range(len(golds)) if i not in {i for i, _, _ in pairs}]
    spare = [j for j in range(len(predictions)) if j not in {j for _, j, _ in pairs}]
    for i, j, match in pairs:
        a, b = golds[i], predictions[j]
        place = (a.about, one.id, other.id, _spans(a), _spans(b))
        if not match and a.about != b.about:
            yield Error(trial, "fact", "label", *place, f"{a.name}: about {a.about} → {b.about}")
        elif not match:
            yield Error(trial, "fact", "value", *place, f"{a.name}: {_statement(a)} → {_statement(b)}")
        changed = [
            f"{what}: {getattr(a, what) or 'none'} → {getattr(b, what) or 'none'}"
            for what in ("status", "experiencer", "certainty", "outcome")
            if getattr(a, what) != getattr(b, what)
        ]
        changed += [] if _same_windows(a, b) else ["windows"]
        changed += [] if _same_set(a.exceptions, b.exceptions, same_rule) else ["except"]
        for what in changed:
            yield Error(trial, "fact", "attribute", *place, f"{a.name}: {what}")
    # What stands at the same place is the same question under another name.
    for i, j, _ in _paired([_spans(golds[i]) for i in left], [_spans(predictions[j]) for j in spare], _same_place):
        a, b = golds[left[i]], predictions[spare[j]]
        yield Error(trial, "fact", "label", a.about, one.id, other.id, _spans(a), _spans(b), f"{a.name} → {b.name}")
        left[i] = spare[j] = -1
    loose = [fact for fact in facts_of(other.rule, outside=True) if fact not in predictions]
    for i in left:
        if i >= 0:
            outside = any(same_fact(golds[i], fact) for fact in loose)
            detail = f"{golds[i].name}{', read outside the rule' if outside else ''}"
            yield Error(trial, "fact", "missed", golds[i].about, one.id, other.id, _spans(golds[i]), (), detail)
    for j in spare:
        if j >= 0:
            fact = predictions[j]
            yield Error(trial, "fact", "spurious", fact.about, one.id, other.id, (), _spans(fact), fact.name)


def _same_place(one: tuple[schema.Span, ...], other: tuple[schema.Span, ...]) -> float:
    return float(bool(one) and one == other)


def _statement(fact: schema.Fact) -> str:
    """The bounds or values of a fact in short: "≥ 1.5 × ULN", "{positive}"."""
    said = []
    if bounds := _ranged(fact):
        low, high = _inclusive(bounds)
        said += [f"{'≥' if low else '>'} {bounds.low}"] if bounds.low is not None else []
        said += [f"{'≤' if high else '<'} {bounds.high}"] if bounds.high is not None else []
        said += [bounds.unit] if bounds.unit else []
        said += [f"{'+' if bounds.relation == 'difference' else '×'} {bounds.relative_to}"] if bounds.relative_to else []
        said += [bounds.measures] if bounds.measures != "value" else []
    if fact.values:
        said += [f"{fact.system or ''} {{{', '.join(sorted(fact.values))}}}".strip()]
    return " ".join(said) or "no bounds"


def _spans(one: schema.Criterion | schema.Fact) -> tuple[schema.Span, ...]:
    if isinstance(one, schema.Criterion):
        return one.fragments or ((one.start, one.end),)
    return ((one.start, one.end),) if one.start is not None and one.end is not None else ()


def _entity_errors(trial: str, gold: Sequence[_Mention], predicted: Sequence[_Mention], refs: Mapping[str, str]) -> Iterator[Error]:
    back = {there: here for here, there in refs.items()}

    def both(kind: ErrorType, one: _Mention, other: _Mention, detail: str = "") -> Error:
        spans = tuple(sorted(one.fragments)), tuple(sorted(other.fragments))
        return Error(trial, "entity", kind, one.entity.label, one.criterion, other.criterion, *spans, detail)

    strict = _strict(gold, predicted)
    for i, j in strict:
        if gold[i].entity.label in ATTRIBUTED:
            for name in _ATTRIBUTES:
                was, now = (getattr(mention.attributes, name) for mention in (gold[i], predicted[j]))
                if was != now:
                    yield both("attribute", gold[i], predicted[j], f"{name}: {str(was).lower()} → {str(now).lower()}")
    golds = [one for i, one in enumerate(gold) if i not in {i for i, _ in strict}]
    predictions = [one for j, one in enumerate(predicted) if j not in {j for _, j in strict}]
    found = sorted(_relaxed(golds, predictions))
    for i, j in found:
        yield both("boundary", golds[i], predictions[j])
    golds = [one for i, one in enumerate(golds) if i not in {i for i, _ in found}]
    predictions = [one for j, one in enumerate(predictions) if j not in {j for _, j in found}]
    renamed = _paired(golds, predictions, lambda one, other: float(one.fragments == other.fragments))
    for i, j, _ in renamed:
        yield both("label", golds[i], predictions[j], f"{golds[i].entity.label} → {predictions[j].entity.label}")
    for one in (one for i, one in enumerate(golds) if i not in {i for i, _, _ in renamed}):
        there = refs.get(one.criterion)
        yield Error(trial, "entity", "missed", one.entity.label, one.criterion, there, tuple(sorted(one.fragments)))
    for one in (one for j, one in enumerate(predictions) if j not in {j for _, j, _ in renamed}):
        here = back.get(one.criterion)
        yield Error(trial, "entity", "spurious", one.entity.label, here, one.criterion, (), tuple(sorted(one.fragments)))

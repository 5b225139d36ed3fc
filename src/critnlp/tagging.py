"""Which mentions a criterion holds: names from the term tables, comparisons, times and stages from the pattern table.

    blank_pipeline()                        a spaCy pipeline with `critnlp_tagger` and nothing else
    tag_trial(eligibility, criteria, nlp)   the criteria with their entities, abbreviations resolved over the trial

One criterion is one `Doc`. A tagger works in two steps, as spaCy's own do: `predict` gives `Mention`s with exact
characters and fragments; `annotate` writes them as labelled spans into `doc.spans`, widened to tokens where a token is
larger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Protocol, cast, get_args, runtime_checkable

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from critnlp import abbreviations, analytes, lexicon, quantities, schema, staging, windows
from critnlp.cleaning import Clean, clean
from critnlp.errors import ModelError
from critnlp.lexicon import cue

FACTORY = "critnlp_tagger"
Span = tuple[int, int]

# What an abbreviation can name, what takes its bracketed abbreviation along, and what may lie within a time phrase.
NAMES = frozenset({"CONDITION", "LAB", "SCALE", "BIOMARKER", "DRUG", "PROCEDURE", "DEVICE", "REPRODUCTIVE", "OBSERVATION"})
# Of two labels for the same words, the one that stands first here.
_PRECEDENCE = (
    *("STAGING", "THRESHOLD", "TEMPORAL", "SCALE", "BIOMARKER", "LAB", "CONDITION", "DRUG", "PROCEDURE", "DEVICE"),
    *("REPRODUCTIVE", "DEMOGRAPHIC", "OBSERVATION", "RESULT", "EXCEPTION", "NEGATION", "QUALIFIER"),
)
_RANK = {label: rank for rank, label in enumerate(_PRECEDENCE)}


@dataclass(frozen=True, slots=True)
class Mention:
    """A labelled stretch of a criterion's clean text; `fragments` are the parts of a discontinuous one."""

    label: schema.Label
    start: int
    end: int
    fragments: tuple[Span, ...]
    layer: str
    confidence: float = 1.0

    @classmethod
    def of(cls, label: schema.Label, fragments: Sequence[Span], layer: str) -> Mention:
        """The mention of these fragments, which are in text order."""
        return cls(label, fragments[0][0], fragments[-1][1], tuple(fragments), layer)

    def covers(self, other: Mention) -> bool:
        """Whether every character of `other` lies in the extent of this one."""
        return self.start <= other.start and other.end <= self.end


@runtime_checkable
class Tagger(Protocol):
    """What `tag_trial` asks of a pipe. spaCy's own pipes have a `predict` too, but no `annotate`."""

    def predict(self, docs: Sequence[Doc]) -> list[tuple[Mention, ...]]: ...

    def annotate(self, docs: Sequence[Doc], predicted: Sequence[Sequence[Mention]]) -> None: ...


# --- names: the term tables -------------------------------------------------------------------------------------------

# A dash between two words reads as a blank, so that it is no word; every other mark is one.
_WORD = re.compile(r"[^\W_]+|[^\w\s‐‑–—-]")
_GAP = frozenset({"", " ", "-", "‐", "‑", "–"})
_APOSTROPHE = str.maketrans("’‘ʼ", "'''")


@dataclass(slots=True)
class _Node:
    """A state of the trie of words: what may follow, and the labels of the terms that end here."""

    next: dict[str, _Node] = field(default_factory=dict)
    labels: tuple[schema.Label, ...] = ()


class Terms:
    """All terms in two tries of words, one that ignores case and one that does not."""

    def __init__(self, rows: Iterable[lexicon.Row]) -> None:
        self._any, self._exact = _Node(), _Node()
        for row in rows:
            exact, label = row["match"] == "case", label_of(row)
            for form in (row["term"], *row["variants"].split("|")):
                for variant in _exact_forms(form) if exact else _forms(form.lower()):
                    self._add(self._exact if exact else self._any, variant, label)

    @staticmethod
    def _add(node: _Node, form: str, label: schema.Label) -> None:
        for word in _WORD.findall(form.translate(_APOSTROPHE)):
            node = node.next.setdefault(word, _Node())
        if label not in node.labels:
            node.labels += (label,)

    def find(self, text: str) -> Iterator[Mention]:
        """The longest term of each label at each word of `text`."""
        spans = [found.span() for found in _WORD.finditer(text)]
        written = _WORD.findall(text.translate(_APOSTROPHE))
        lower = [word.lower() for word in written]
        any_case, exact = self._any.next, self._exact.next
        last = len(spans) - 1
        for first, (start, _) in enumerate(spans):
            ends: dict[schema.Label, int] = {}
            for node, words in ((any_case.get(lower[first]), lower), (exact.get(written[first]), written)):
                at = first
                while node:
                    for label in node.labels:
                        ends[label] = max(ends.get(label, 0), spans[at][1])
                    if at == last or text[spans[at][1] : spans[at + 1][0]] not in _GAP:
                        break
                    at += 1
                    node = node.next.get(words[at])
            for label, end in ends.items():
                yield Mention.of(label, ((start, end),), "lexicon")


def label_of(row: lexicon.Row) -> schema.Label:
    """The label of a row; a label that the contract does not know is a fault of the table."""
    if row["label"] not in get_args(schema.Label):
        raise ModelError(f"resources: {row['label']!r} is no label; write one of {', '.join(get_args(schema.Label))}")
    return cast(schema.Label, row["label"])


def _forms(term: str) -> set[str]:
    """How a term in lower case may be written: singular and plural, joined where it has a hyphen."""
    forms = {term, term.replace("-", "")} - {""}
    for form in tuple(forms):
        if not form[-1].isalpha() or len(form) < 3:
            continue
        if form.endswith("is"):
            forms.add(form[:-2] + "es")
        elif form.endswith(("s", "x", "ch", "sh")):
            forms.add(form + "es")
        elif form.endswith("y") and form[-2] not in "aeiou":
            forms.add(form[:-1] + "ies")
        if not form.endswith("s"):
            forms.add(form + "s")
        elif form.endswith("ies"):
            forms.add(form[:-3] + "y")
        elif len(form) > 4 and not form.endswith(("ss", "is", "us")):
            forms.add(form[:-1])
    return forms


def _exact_forms(term: str) -> set[str]:
    """How an abbreviation may be written: as it is, in the plural ("ACEs"), without its hyphen ("HER2")."""
    forms = {term, term.replace("-", "")} - {""}
    return forms | {form + "s" for form in forms if form[-1].isupper()}


@cache
def _all_terms() -> Terms:
    folder = files("critnlp").joinpath("resources")
    names = sorted(file.name.removesuffix(".csv") for file in folder.iterdir() if file.name.startswith("terms_"))
    return Terms(chain((row for name in names for row in lexicon.table(name)), analytes.rows_for_tagger()))


# --- composed names: the pattern table ----------------------------------------------------

_PART = re.compile(r"\(\?&(\w+)\)")
# A match begins at a word and not inside "10.5".
_BEGIN = r"(?<!\w)(?<!\d[.,])"


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A row of the pattern table; `needs` is a set of groups of plain words, as bits."""

    label: schema.Label
    regex: re.Pattern[str]
    needs: int = 0


class Patterns:
    """The pattern table, compiled: by text, by word, and the parts that code asks for."""

    def __init__(self, rows: Iterable[lexicon.Row]) -> None:
        self.parts: dict[str, re.Pattern[str]] = {}
        self._free: list[_Pattern] = []
        self._words: list[_Pattern] = []
        groups: dict[str, int] = {}  # many rows need the same words, so that each group is looked for once
        sources: dict[str, str] = {}
        for row in rows:
            try:
                source = _PART.sub(lambda part: f"(?:{sources[part[1]]})", row["pattern"])
                if row["label"].islower():
                    sources[row["label"]] = source
                    continue
                whole = row["match"] == "word"
                flags = 0 if row["match"] == "case" else re.IGNORECASE
                begin = "" if whole else _BEGIN
                regex = re.compile(f"{begin}(?:{source})", flags)
            except (re.error, KeyError) as error:
                raise ModelError(f"patterns.csv: {row['pattern'][:60]!r} cannot be compiled: {error}") from None
            needs = 0
            for group in filter(None, row["needs"].split(" && ")):
                needs |= 1 << groups.setdefault(group, len(groups))
            pattern = _Pattern(label_of(row), regex, needs)
            (self._words if row["match"] == "word" else self._free).append(pattern)
        self._groups = [tuple(group.split("|")) for group in groups]
        self.parts = {name: re.compile(sources[name], re.IGNORECASE) for name in _USED_PARTS}
        # Words come back by the thousand, so that each is read once.
        self._label_of_word = lru_cache(maxsize=100_000)(self._read_word)

    def _read_word(self, word: str) -> schema.Label | None:
        return next((pattern.label for pattern in self._words if pattern.regex.fullmatch(word)), None)

    def find(self, text: str) -> Iterator[Mention]:
        """Every match of every pattern that stands on its own."""
        lower = text.lower() + " digit" if _DIGIT.search(text) else text.lower()
        missing = 0
        for number, group in enumerate(self._groups):
            for word in group:
                if word in lower:
                    break
            else:
                missing |= 1 << number
        for pattern in self._free:
            if not pattern.needs & missing:
                for found in pattern.regex.finditer(text):
                    if mention := _trimmed(pattern.label, text, *found.span()):
                        yield mention
        for long in _LONG_WORD.finditer(text):
            if label := self._label_of_word(long[0].lower()):
                yield Mention.of(label, (long.span(),), "rules")


_USED_PARTS = ("allergy", "method", "site")
_DIGIT = re.compile(r"\d")
_LONG_WORD = re.compile(r"(?<![\w-])[^\W\d_]{6,}(?!\w)")


def _trimmed(label: schema.Label, text: str, start: int, end: int) -> Mention | None:
    matched = text[start:end]
    start += len(matched) - len(matched.lstrip())
    end -= len(matched) - len(matched.rstrip(" ,;"))
    return Mention.of(label, ((start, end),), "rules") if start < end else None


@cache
def _all_patterns() -> Patterns:
    return Patterns(lexicon.table("patterns"))


# --- comparisons, times, stages: the grammars -------------------------------------------------------------------------


@cache
def words(role: str) -> frozenset[str]:
    """The words of a role in `reading_words.csv`."""
    return frozenset(word for row in lexicon.table("reading_words") if row["role"] == role for word in row["words"].split("|"))


WORDS_IN = re.compile(r"[^\W\d_]+(?:['’./:-][^\W\d_]+)*\.?")
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_GLUE_SIGNS = re.compile(r"[^\w\s:?=,–—()\[\]\"'’“”*-]")


def glues(gap: str, role: str = "glue") -> bool:
    """Whether the words between a name and its value say nothing of their own."""
    if not gap.strip():
        return True
    if len(gap) > 120:
        return False
    outer = _BRACKETED.sub(" ", gap)
    if "(" in outer and not outer.rstrip().endswith("(") and outer.count("(") > outer.count(")") + 1:
        return False
    if _GLUE_SIGNS.search(outer) or any(character.isdigit() for character in outer):
        return False
    allowed = words(role)
    return all(word.lower().rstrip(".") in allowed or word.lower() in allowed for word in WORDS_IN.findall(outer))


_MEASURED = frozenset({"LAB", "SCALE", "BIOMARKER"})


_IN = re.compile(r"\bin\b(?!\sthe\srange)", re.IGNORECASE)
# a criterion is read three times: for its mentions, its links and its rule
find_times = lru_cache(maxsize=4096)(windows.find)
find_stages = lru_cache(maxsize=4096)(staging.find)


def values(text: str, names: Sequence[Mention]) -> Iterator[Mention]:
    """The THRESHOLD, TEMPORAL and STAGING mentions of a text; a bare number is one only right behind what it measures."""
    stages = find_stages(text)
    for number, stage in enumerate(stages):
        end = stage.end
        for after in stages[number + 1 :]:  # "T3N1M0" is one mention of three stages
            end = after.end if after.start == end else end
        if not number or stages[number - 1].end != stage.start:
            yield Mention.of("STAGING", ((stage.start, end),), "rules")
    times = find_times(text)
    aged: list[quantities.Threshold] = []  # what is no time though a time phrase lies in it
    for value in quantities.find(text):
        if cue("of_following").match(text, value.end) and value.unit is None:
            continue
        in_time = [time for time in times if time.start < value.end and value.start < time.end]
        if in_time or value.unit in quantities.TIME_UNITS or value.unit is None:
            before = text[max(0, value.start - 120) : value.start]
            if value.age or cue("age_before").search(before):
                aged.append(value)
                yield Mention.of("THRESHOLD", ((value.start, value.end),), "rules")
                continue
        if any(value.start > time.start or time.end > value.end or "/" not in (value.unit or "") for time in in_time):
            continue
        aged += [value] if in_time else []  # "≥ 5 drinks per day" is no time
        unmarked = value.form in ("bare", "list") and not value.relative_to and value.unit in (None, *quantities.TIME_UNITS)
        if unmarked and not any(
            m.label in _MEASURED
            and m.end <= value.start
            and glues(text[m.end : value.start])
            and not _IN.search(text, m.end, value.start)
            for m in names
        ):
            continue
        yield Mention.of("THRESHOLD", ((value.start, value.end),), "rules")
    for time in times:
        if not any(value.start < time.end and time.start < value.end for value in aged):
            yield Mention.of("TEMPORAL", ((time.start, time.end),), "rules")


# --- which mentions stand ---------------------------------------------------------------------------------------------


_STRETCH = 64  # characters


def settle(candidates: Iterable[Mention]) -> list[Mention]:
    """The mentions that stand, in text order: the longest wins, and names may lie within a time phrase."""
    standing: list[Mention] = []
    # Which mentions stand in each stretch of the text, so that a very long sentence is not quadratic.
    near: dict[int, list[Mention]] = {}
    for mention in sorted(candidates, key=lambda m: (m.start - m.end, m.start, _RANK[m.label])):
        stretches = range(mention.start // _STRETCH, (mention.end - 1) // _STRETCH + 1)
        if all(
            mention.end <= other.start
            or other.end <= mention.start
            or (other.label in ("TEMPORAL", "STAGING") and mention.label in NAMES and other.covers(mention))
            for stretch in stretches
            for other in near.get(stretch, ())
        ):
            standing.append(mention)
            for stretch in stretches:
                near.setdefault(stretch, []).append(mention)
    return sorted(standing, key=_place)


def in_order(mentions: Iterable[Mention]) -> list[Mention]:
    """The mentions in text order, the outer before the nested."""
    return sorted(set(mentions), key=_place)


def _place(mention: Mention) -> tuple[int, int, int, tuple[Span, ...]]:
    return mention.start, -mention.end, _RANK[mention.label], mention.fragments


_BRACKET = re.compile(r"\s?\(([^\s()]{2,11})\)")
_AND = re.compile(r"\s?(?:,|/|;)?\s?(?:(?:and/or|and|or|to|any|other|its|the|a|an)\s)*")
_FILLER = re.compile(r"[\s:]*(?:[\w-]+\s){0,4}")


def with_brackets(text: str, mentions: Sequence[Mention], method: re.Pattern[str]) -> list[Mention]:
    """The mentions, each with its abbreviation or method in brackets right behind it."""
    grown: list[Mention] = []
    for mention in mentions:
        if grown and grown[-1].end >= mention.end:
            continue
        bracket = _BRACKET.match(text, mention.end) if mention.label in NAMES else None
        if bracket:
            name = text[mention.start : mention.end]
            short = abbreviations.looks_short(bracket[1]) and abbreviations.spells(bracket[1], name)
            if short or (mention.label == "LAB" and method.fullmatch(bracket[1])):
                mention = replace(mention, end=bracket.end(), fragments=((mention.start, bracket.end()),))
        grown.append(mention)
    return grown


def allergies(text: str, drugs: Sequence[Mention], allergy: re.Pattern[str]) -> Iterator[Mention]:
    """A CONDITION over each "hypersensitivity to X", and X; for the further members of a list it is discontinuous."""
    for found in allergy.finditer(text):
        at, gap = found.end(), _FILLER
        for drug in drugs:
            if drug.start < at:
                continue
            if not gap.fullmatch(text, at, drug.start):
                break
            first = gap is _FILLER
            fragments = ((found.start(), drug.end),) if first else (found.span(), (drug.start, drug.end))
            yield Mention.of("CONDITION", fragments, "rules")
            yield drug
            at, gap = drug.end, _AND


def shared_heads(text: str, mentions: Sequence[Mention], site: re.Pattern[str]) -> Iterator[Mention]:
    """The first members of "liver or kidney dysfunction": a CONDITION of the fragments "liver" and "dysfunction"."""
    for mention in mentions:
        own = site.match(text, mention.start, mention.end) if mention.label == "CONDITION" else None
        if own is None or not text[own.end() : mention.end].startswith(" "):
            continue
        head = (own.end() + 1, mention.end)
        # Walk to the left, site by site, as long as nothing but commas and conjunctions stands between.
        at = mention.start
        while before := _JOINED.search(text, max(0, at - 40), at):
            first = [found for found in site.finditer(text, max(0, at - 60), at) if found.end() == before.start()]
            if not first or text[first[0].start() - 1 : first[0].start()].isalnum():
                break
            yield Mention.of("CONDITION", (first[0].span(), head), "rules")
            at = first[0].start()


_JOINED = re.compile(r"(?:,? (?:and/or|or|and) |\s?/\s?|, )$")


# --- the spaCy component ----------------------------------------------------------------------------------------------


class CriterionTagger:
    """The pipe `critnlp_tagger`: terms and patterns, without any trained weights."""

    def __init__(
        self,
        name: str = FACTORY,
        spans_key: str = "critnlp",
        terms: Terms | None = None,
        patterns: Patterns | None = None,
    ) -> None:
        self.name = name
        self.spans_key = spans_key
        self._terms = terms or _all_terms()
        self._patterns = patterns or _all_patterns()

    def __call__(self, doc: Doc) -> Doc:
        """Tag one criterion."""
        self.annotate([doc], self.predict([doc]))
        return doc

    def predict(self, docs: Sequence[Doc]) -> list[tuple[Mention, ...]]:
        """The mentions of each `Doc`, in text order; nothing is written."""
        return [self.mentions(doc.text) for doc in docs]

    def annotate(self, docs: Sequence[Doc], predicted: Sequence[Sequence[Mention]]) -> None:
        """Write the fragments of the mentions into `doc.spans`, widened to whole tokens."""
        for doc, mentions in zip(docs, predicted, strict=True):
            spans = [
                doc.char_span(start, end, label=mention.label, alignment_mode="expand")
                for mention in mentions
                for start, end in mention.fragments
            ]
            doc.spans[self.spans_key] = [span for span in spans if span is not None]

    def mentions(self, text: str) -> tuple[Mention, ...]:
        """The mentions in the clean text of one criterion, in text order."""
        patterns = self._patterns
        rules = list(patterns.find(text))
        candidates = [*self._terms.find(text), *(rule for rule in rules if rule.label in NAMES)]
        names = settle(candidates)
        names = with_brackets(text, names, patterns.parts["method"])
        others = [rule for rule in rules if rule.label not in NAMES]
        standing = settle([*names, *others, *values(text, names)])
        drugs = settle(candidate for candidate in candidates if candidate.label == "DRUG")
        allergic = list(allergies(text, drugs, patterns.parts["allergy"])) if drugs else []
        # "Hypersensitivity", and "allergy to penicillin" as a name, say less than the allergies read drug by drug.
        cues = [(m.fragments[0][0], m.end) for m in allergic if m.label == "CONDITION"]
        standing = [m for m in standing if not any(m.start < end and start < m.end for start, end in cues)]
        return tuple(in_order([*standing, *allergic, *shared_heads(text, standing, patterns.parts["site"])]))

    # The tables are the package's own, so that a pipeline on disk holds its settings and nothing else.

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The settings as bytes."""
        return json.dumps({"spans_key": self.spans_key}).encode()

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> CriterionTagger:
        """Take the settings that `to_bytes` wrote."""
        self.spans_key = json.loads(data)["spans_key"]
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the settings into the folder `path`."""
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / "settings.json").write_bytes(self.to_bytes())

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> CriterionTagger:
        """Take the settings that `to_disk` wrote."""
        return self.from_bytes((Path(path) / "settings.json").read_bytes())


@Language.factory(FACTORY, default_config={"spans_key": "critnlp"}, assigns=["doc.spans"])
def make_tagger(nlp: Language, name: str, spans_key: str) -> CriterionTagger:
    """The pipe for `nlp.add_pipe("critnlp_tagger")`."""
    return CriterionTagger(name, spans_key)


def blank_pipeline() -> Language:
    """A blank English pipeline with `critnlp_tagger` and nothing else."""
    nlp = spacy.blank("en", meta={"name": "critnlp", "version": "0.1.0"})
    nlp.add_pipe(FACTORY)
    return nlp


def write_model(path: str | Path) -> None:
    """Write the pipeline that critnlp ships, as spaCy writes it."""
    blank_pipeline().to_disk(path)


# --- a whole trial ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tagged:
    """A criterion with its clean text and, in the order of its entities, the mentions they came from."""

    criterion: schema.Criterion
    clean: Clean
    mentions: tuple[Mention, ...]


_Place = tuple[str, Mention]  # a mention and the id of its criterion


def tag_trial(eligibility: str, criteria: Sequence[schema.Criterion], nlp: Language) -> tuple[schema.Criterion, ...]:
    """The criteria of `tagged`."""
    return tuple(one.criterion for one in tagged(eligibility, criteria, nlp))


def tagged(eligibility: str, criteria: Sequence[schema.Criterion], nlp: Language) -> tuple[Tagged, ...]:
    """The criteria with entities from every tagger in `nlp`, and with abbreviations resolved over the trial.

    Entities say nothing yet about negation or status: `attributes` is None until the relations are read.
    """
    pipes: Sequence[tuple[str, object]] = nlp.pipeline
    taggers = [pipe for _, pipe in pipes if isinstance(pipe, Tagger)]
    if not taggers:
        raise ModelError(f"pipeline {nlp.meta['name']!r} has no tagger; add one with nlp.add_pipe({FACTORY!r})")
    cleans = {criterion.id: clean(eligibility, criterion.fragments) for criterion in criteria}
    docs = [nlp.make_doc(cleaned.text) for cleaned in cleans.values()]
    found: dict[str, list[Mention]] = {criterion: [] for criterion in cleans}
    for tagger in taggers:
        for mentions, predicted in zip(found.values(), tagger.predict(docs), strict=True):
            mentions += predicted
    texts = {criterion: cleaned.text for criterion, cleaned in cleans.items()}
    links = spread(texts, found, abbreviations.find(texts, nlp.make_doc))

    entities: dict[_Place, schema.Entity] = {}
    for criterion in criteria:
        for number, mention in enumerate(in_order(found[criterion.id]), start=1):
            pieces = source_pieces(eligibility, criterion.fragments, cleans[criterion.id], mention)
            entities[criterion.id, mention] = schema.Entity(
                id=f"{criterion.id}.e{number}",
                label=mention.label,
                start=pieces[0][0],
                end=pieces[-1][1],
                fragments=pieces,
                text=" ".join(eligibility[start:end] for start, end in pieces),
                confidence=mention.confidence,
                layer=mention.layer,
            )
    of_criterion: dict[str, list[schema.Entity]] = {criterion: [] for criterion in cleans}
    for (criterion_id, _), entity in entities.items():
        of_criterion[criterion_id].append(entity)
    relations: dict[str, list[schema.Relation]] = {criterion: [] for criterion in cleans}
    for short, long in links.items():
        relation = schema.Relation(type="abbreviates", head=entities[short].id, tail=entities[long].id)
        relations[short[0]].append(relation)
    return tuple(
        Tagged(
            criterion.model_copy(
                update={"entities": tuple(of_criterion[criterion.id]), "relations": tuple(relations[criterion.id])}
            ),
            cleans[criterion.id],
            tuple(mention for place, mention in entities if place == criterion.id),
        )
        for criterion in criteria
    )


def source_pieces(text: str, own: Sequence[Span], cleaned: Clean, mention: Mention) -> tuple[Span, ...]:
    """The source spans of a mention, cut at the fragments of its criterion and free of white space at their ends."""
    pieces: list[Span] = []
    for fragment in mention.fragments:
        start, end = cleaned.source_span(*fragment)
        for low, high in own:
            piece = text[max(start, low) : min(end, high)]
            if piece.strip():
                at = max(start, low) + len(piece) - len(piece.lstrip())
                pieces.append((at, at + len(piece.strip())))
    return tuple(pieces)


def spread(
    texts: Mapping[str, str], found: Mapping[str, list[Mention]], definitions: Sequence[abbreviations.Definition]
) -> dict[_Place, _Place]:
    """Give each use of a defined short form the label of what it stands for; returns use → definition.

    `found` is changed: the defining mention takes in the whole definition, and where the tables read the short form
    otherwise than the trial defines it, the trial is right.
    """
    meaning: dict[str, _Place] = {}
    defined_at: set[tuple[str, Span]] = set()
    for definition in definitions:
        mentions = found[definition.criterion]
        host = _defined(mentions, definition)
        if host is None:
            continue
        whole = _grown(texts[definition.criterion], host, definition)
        mentions[:] = [m for m in mentions if not whole.covers(m) or (host.covers(m) and m.label != host.label)]
        mentions.append(whole)
        defined_at.add((definition.criterion, definition.short_span))
        meaning.setdefault(abbreviations.singular(definition.short), (definition.criterion, whole))
    # A later definition may have taken in an earlier one whole.
    meaning = {short: place for short, place in meaning.items() if place[1] in found[place[0]]}
    if not meaning:
        return {}
    forms = "|".join(sorted(map(re.escape, meaning), key=len, reverse=True))
    short_form = re.compile(rf"(?<!\w)({forms})s?(?!\w)")
    links: dict[_Place, _Place] = {}
    for criterion, text in texts.items():
        for use in short_form.finditer(text):
            if (criterion, use.span()) not in defined_at:
                place = meaning[use[1]]
                mention = _used(found[criterion], use.span(), place[1].label)
                if mention and (criterion, mention) != place:
                    links[criterion, mention] = place
    return links


def _defined(mentions: Sequence[Mention], definition: abbreviations.Definition) -> Mention | None:
    """The name that ends where the long form ends, or with its bracket; of several the one that begins nearest."""
    start, end = definition.long_span
    ends = range(end, max(end, definition.short_span[1] + 1) + 1)
    hosts = [m for m in mentions if m.label in NAMES and m.start < end and m.end in ends and len(m.fragments) == 1]
    return min(hosts, key=lambda m: abs(m.start - start), default=None)


_FEW_WORDS = re.compile(r"(?:(?!with\b|of\b|and\b|or\b|for\b)[\w-]+\s){0,2}")


def _grown(text: str, host: Mention, definition: abbreviations.Definition) -> Mention:
    """The defining mention over long form, bracket and short form."""
    start = min(host.start, definition.long_span[0], definition.short_span[0])
    if not _FEW_WORDS.fullmatch(text, start, host.start) and definition.short_span > definition.long_span:
        start = host.start
    last = max(definition.long_span[1], definition.short_span[1])
    end = max(host.end, last + text[last:].startswith(")"))
    return replace(host, start=start, end=end, fragments=((start, end),))


def _used(mentions: list[Mention], use: Span, label: schema.Label) -> Mention | None:
    """The mention of a short form with its defined label, added where it is missing.

    None where it is part of a longer name of that label.
    """
    exact = [m for m in mentions if m.fragments == (use,)]
    for mention in exact:
        if mention.label == label:
            return mention
    own = Mention.of(label, (use,), "abbreviation")
    if any(m.label == label and m.covers(own) for m in mentions):
        return None
    mentions[:] = [m for m in mentions if m not in exact]
    mentions.append(own)
    return own

"""Gold without the registry's text, and the text put back, also where the registry has edited it since.

    strip(parsed)         stand-off gold: no text, but fingerprints of it
    hydrate(gold, text)   the record with its text; what an edit has touched is left out, and named

A fingerprint is the length of a folded text (white space folded, escapes undone: `cleaning.clean`) and 12 hex digits of its
SHA-256: "9-0f3c…". Stand-off gold carries them, and where things lie, in extra fields, which `hydrate` takes out again:

    trial.lines             [start, end, fingerprint] of each line that is not blank, its bullet or number not fingerprinted
    criterion.fingerprints  one for its extent and one for each fragment; the same span only once
    criterion.described     what `describe` was: the clean "text", or the "rule" in words
    entity.place            [start, end] of each fragment in the folded text of the criterion's own words
    fact.place, node.place  the same for the offsets of a fact, and for the text of an `unsupported` or a `note`
    node.as_written         the node's text is the source's own, not the folded one
    warning.quotes          [at, start, end]: "…" at `at` stands for that part of the eligibility text, white space folded

One fingerprint is enough for all that a criterion holds: where its text is the same, its folded text is, and what lay
in it lies at the same place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError

from critnlp import schema
from critnlp.cleaning import Clean, clean, clean_text
from critnlp.errors import AnnotationError
from critnlp.schema import ParsedTrial

Span = tuple[int, int]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A criterion, or the entity of one, whose words are not found in the text any more."""

    criterion: str
    entity: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Hydrated:
    """`parsed` holds the text; `moved` is that the text is not the one that was annotated."""

    parsed: ParsedTrial
    moved: bool
    unplaced: tuple[Unplaced, ...]


def strip(parsed: ParsedTrial) -> ParsedTrial:
    """Stand-off gold: `parsed` without its text, and with what `hydrate` needs; stand-off gold comes back as it is.

    The words of an `unsupported` or a `note` that do not stand in their criterion are lost. A text that is not what its
    offsets hold raises an `AnnotationError`.
    """
    text = parsed.trial.eligibility
    if not text:
        return parsed
    _check(parsed)
    record = parsed.model_dump(by_alias=True)
    record["trial"] |= {"eligibility": "", "lines": [[*line.span, line.fingerprint] for line in _lines(text)]}
    for criterion in record["criteria"]:
        words = clean(text, criterion["fragments"])
        spans = _spans(criterion)
        if criterion["describe"]:
            criterion["described"] = "text" if criterion["describe"] == clean_text(text, criterion["fragments"]) else "rule"
        criterion |= {"text": "", "clean_text": "", "describe": ""}
        criterion["fingerprints"] = [_fingerprint(clean(text, [span]).text) for span in spans]
        for entity in criterion["entities"]:
            entity["text"] = ""
            _put(entity, "place", _places(text, words, criterion, entity["fragments"]))
        for node in _nodes(criterion["rule"]):
            if node["op"] == "fact" and node["start"] is not None and node["end"] is not None:
                _put(node, "place", _places(text, words, criterion, [(node["start"], node["end"])]))
            elif node["op"] in ("unsupported", "note"):
                node |= _quoted(node["text"], text, words, criterion) | {"text": ""}
    folded = " ".join(text.split())
    for warning in record["warnings"]:
        warning |= _without_quotes(warning["message"], folded)
    return ParsedTrial.model_validate(record)


def hydrate(gold: ParsedTrial, text: str, *, describe: Callable[[schema.Rule], str] | None = None) -> Hydrated:
    """The gold record on `text`, exactly where that is the text that was annotated, else as far as the words still stand.

    A criterion whose words have changed is left out with all it holds, an entity that cannot be placed with its
    relations; both are in `unplaced`. Facts then keep their values and lose their offsets, a `criterion` node of a lost item
    becomes `unsupported`, the items of a lost lead-in stand by themselves, segments go, and so does what warnings quoted.
    `describe` puts a rule into words (`wording.describe`) for the criteria that had such a description; without it theirs is
    "". Half characters (lone surrogates) are read as U+FFFD. Damaged gold raises an `AnnotationError`; no text does.
    """
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    if gold.trial.eligibility and gold.trial.eligibility == text:
        return Hydrated(gold, False, ())
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    moved = sha256 != gold.trial.sha256
    if gold.trial.eligibility:
        gold = strip(gold)
    record = gold.model_dump(by_alias=True)
    extras = _take_extras(gold, record)
    unplaced: list[Unplaced] = []
    if moved:
        unplaced = _realign(record, extras, text)
    record["trial"] |= {"eligibility": text, "sha256": sha256}
    for criterion in record["criteria"]:
        _fill(criterion, extras, text)
    folded = " ".join(text.split())
    for warning in record["warnings"]:
        for at, start, end in [] if moved else reversed(extras.quotes.get(id(warning), [])):
            warning["message"] = warning["message"][:at] + folded[start:end] + warning["message"][at + 1 :]
    parsed = ParsedTrial.model_validate(record)
    described = [
        one.model_copy(update={"describe": describe(one.rule)}) if describe and extras.described.get(one.id) == "rule" else one
        for one in parsed.criteria
    ]
    parsed = parsed.model_copy(update={"criteria": tuple(described)})
    return Hydrated(parsed, moved, tuple(unplaced))


# --- fingerprints and places ------------------------------------------------------------------------------------------


def _fingerprint(folded: str) -> str:
    return f"{len(folded)}-{_digest(folded)}"


def _digest(folded: str) -> str:
    return hashlib.sha256(folded.encode(errors="surrogatepass")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line without white space at its ends. Its bullet or number is not in its fingerprint: list styles come and go."""

    span: Span
    words: int  # where it begins behind bullet and number
    fingerprint: str


_LINE = re.compile(r"[^\r\n]+")
_MARKER = re.compile(r"(?:(?:\\?[-–—*+•·●○▪◦‣∙■□]|o|[(\[]?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{2,5})\\?[.)\]])[^\S\r\n]+(?=\S))*")


def _lines(text: str) -> list[_Line]:
    """The lines of a text that hold something."""
    found = []
    for line in _LINE.finditer(text):
        start, end = _trimmed(text, *line.span())
        if start < end:
            marker = _MARKER.match(text, start, end)
            words = marker.end() if marker else start
            found.append(_Line((start, end), words, _fingerprint(clean(text, [(words, end)]).text)))
    return found


def _trimmed(text: str, start: int, end: int) -> Span:
    words = text[start:end]
    return start + len(words) - len(words.lstrip()), end - len(words) + len(words.rstrip())


def _spans(criterion: Json) -> list[Span]:
    """The extent and the fragments of a criterion, each once, in this order."""
    return list(dict.fromkeys([(criterion["start"], criterion["end"]), *map(tuple, criterion["fragments"])]))


def _places(text: str, words: Clean, criterion: Json, spans: Iterable[Sequence[int]]) -> list[list[int]] | None:
    """Where source spans lie in the folded words of their criterion; None if one lies elsewhere, or ends within "&gt;"."""
    places = []
    for start, end in spans:
        if start >= end or not any(a <= start and end <= b for a, b in criterion["fragments"]):
            return None
        low, high = words.clean_span(start, end)
        if clean(text, [(start, end)]).text != words.text[low:high]:
            return None
        places.append([low, high])
    return places


def _put(target: Json, key: str, value: object) -> None:
    if value is not None:
        target[key] = value


def _quoted(words: str, text: str, own: Clean, criterion: Json) -> Json:
    """Where the words of a node stand in their criterion, as readers see it or as the source has it."""
    if not words:
        return {}
    at = own.text.find(words)
    if at >= 0:
        return {"place": [[at, at + len(words)]]}
    for start, end in criterion["fragments"]:
        found = text.find(words, start, end)
        places = _places(text, own, criterion, [(found, found + len(words))]) if found >= 0 else None
        if places and own.source_span(*places[0]) == (found, found + len(words)):
            return {"place": places, "as_written": True}
    return {}


_QUOTE = 16  # characters; shorter stretches of a message agree with the text by chance, and give nothing away


def _without_quotes(message: str, folded: str) -> Json:
    """A warning's message with what it quotes of the text replaced by "…", and what that was."""
    quotes: list[list[int]] = []

    def cut(start: int, end: int) -> str:
        found = SequenceMatcher(None, message[start:end], folded, autojunk=False).find_longest_match()
        if found.size < _QUOTE:
            return message[start:end]
        before = cut(start, start + found.a)
        quotes.append([0, found.b, found.b + found.size])
        return f"{before}\0{cut(start + found.a + found.size, end)}"

    if "\0" in message:
        return {}
    parts = cut(0, len(message)).split("\0")
    at = 0
    for part, quote in zip(parts, quotes, strict=False):
        at += len(part)
        quote[0] = at
        at += 1
    return {"message": "…".join(parts)} | ({"quotes": quotes} if quotes else {})


def _nodes(value: object) -> Iterator[Json]:
    """Every node of a rule, those within windows, exceptions and unsupported text included."""
    if isinstance(value, dict):
        if "op" in value:
            yield value
        for part in value.values():
            yield from _nodes(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _nodes(part)


def _check(parsed: ParsedTrial) -> None:
    """Refuses a record whose texts are not what its offsets hold: without the text nobody would notice any more."""
    trial = parsed.trial
    name = trial.nct_id or trial.source or "trial"
    if hashlib.sha256(trial.eligibility.encode()).hexdigest() != trial.sha256:
        raise AnnotationError(f"{name}: its eligibility text is not the one of its sha256; annotate the text it was read from")
    for criterion in parsed.criteria:
        held = [(criterion.id, criterion.text, trial.eligibility[criterion.start : criterion.end])]
        for entity in criterion.entities:
            held.append((entity.id, entity.text, " ".join(trial.eligibility[start:end] for start, end in entity.fragments)))
        for place, quoted, found in held:
            if quoted and quoted != found:
                what = f"{place} quotes {quoted[:60]!r} but its offsets hold {found[:60]!r}"
                raise AnnotationError(f"{name}: {what}; correct the offsets or the text")


# --- reading stand-off gold -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Extras:
    """The extra fields of stand-off gold; those of parts of the record by the part's `id()`."""

    lines: list[_Line] = field(default_factory=list)
    described: dict[str, object] = field(default_factory=dict)  # by the criterion's id
    fingerprints: dict[int, list[str]] = field(default_factory=dict)
    places: dict[int, list[Span]] = field(default_factory=dict)
    as_written: set[int] = field(default_factory=set)
    quotes: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)


_Print = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,7}-[0-9a-f]{12}$")]
_LINES: TypeAdapter[list[tuple[int, int, str]]] = TypeAdapter(list[tuple[int, int, _Print]])
_FINGERPRINTS: TypeAdapter[list[str]] = TypeAdapter(list[_Print])
_PLACES: TypeAdapter[list[tuple[int, int]]] = TypeAdapter(list[tuple[int, int]])
_QUOTES: TypeAdapter[list[tuple[int, int, int]]] = TypeAdapter(list[tuple[int, int, int]])


def _take_extras(gold: ParsedTrial, record: Json) -> _Extras:
    """Takes what `strip` added out of the record."""
    extras = _Extras()
    where = "lines"
    try:
        extras.lines = [
            _Line((start, end), start, print_) for start, end, print_ in _LINES.validate_python(record["trial"].pop("lines", []))
        ]
        for criterion in record["criteria"]:
            where = criterion["id"]
            extras.fingerprints[id(criterion)] = _FINGERPRINTS.validate_python(criterion.pop("fingerprints", []))
            extras.described[where] = criterion.pop("described", None)
            for part in (*criterion["entities"], *_nodes(criterion["rule"])):
                if "place" in part:
                    extras.places[id(part)] = _PLACES.validate_python(part.pop("place"))
                if part.pop("as_written", False):
                    extras.as_written.add(id(part))
        where = "warnings"
        for warning in record["warnings"]:
            extras.quotes[id(warning)] = _QUOTES.validate_python(warning.pop("quotes", []))
    except ValidationError as error:
        name = gold.trial.nct_id or gold.trial.source or "trial"
        raise AnnotationError(f"{name}: {where}: no fingerprints ({error.errors()[0]['msg']}); strip the gold again") from None
    return extras


def _fill(criterion: Json, extras: _Extras, text: str) -> None:
    """Puts the text into a criterion whose offsets are those of `text`."""
    words = clean(text, criterion["fragments"])
    criterion["text"] = text[criterion["start"] : criterion["end"]]
    criterion["clean_text"] = clean_text(text, criterion["fragments"])
    if extras.described.get(criterion["id"]) == "text":
        criterion["describe"] = criterion["clean_text"]
    for entity in criterion["entities"]:
        entity["text"] = " ".join(text[start:end] for start, end in entity["fragments"])
    for node in _nodes(criterion["rule"]):
        if node["op"] in ("unsupported", "note") and not node["text"]:
            for place in extras.places.get(id(node), []):
                if 0 <= place[0] < place[1] <= len(words.text):
                    span = words.source_span(*place)
                    node["text"] = text[slice(*span)] if id(node) in extras.as_written else words.text[slice(*place)]


# --- another text -----------------------------------------------------------------------------------------------------


class _Shift:
    """Where offsets of the old text lie in the new one, by the lines that both hold."""

    def __init__(self, old: Sequence[_Line], new: Sequence[_Line]) -> None:
        matcher = SequenceMatcher(None, [line.fingerprint for line in old], [line.fingerprint for line in new], autojunk=False)
        self._lines = [
            (old[a + n].span, new[b + n].span) for a, b, size in matcher.get_matching_blocks() for n in range(size)
        ]  # in text order

    def span(self, start: int, end: int) -> Span | None:
        """The new place of a span that begins and ends in lines that are still there."""
        # Counted from the ends of the lines, which have the same words behind bullets of any width.
        first = next((new[1] + start - old[1] for old, new in self._lines if old[0] <= start < old[1]), None)
        last = next((new[1] + end - old[1] for old, new in self._lines if old[0] < end <= old[1]), None)
        return (first, last) if first is not None and last is not None and 0 <= first < last else None

    def about(self, position: int) -> int:
        """Roughly where an old position lies: as far from the nearest line that is still there."""
        nearest = min(((abs(old[0] - position), new[0] - old[0]) for old, new in self._lines), default=(0, 0))
        return position + nearest[1]


def _realign(record: Json, extras: _Extras, text: str) -> list[Unplaced]:
    """Moves all offsets of the record to `text`, takes out what has no place in it, and says what that was."""
    record["segments"] = ()
    shift = _Shift(extras.lines, _lines(text))
    unplaced: list[Unplaced] = []
    placed = _place_criteria(record["criteria"], extras, text, shift)
    gone: set[str] = set()  # entities
    lost_ids = set()
    for criterion, moved in zip(record["criteria"], placed, strict=True):
        if isinstance(moved, str):
            lost_ids.add(criterion["id"])
            unplaced.append(Unplaced(criterion["id"], None, moved))
            gone.update(entity["id"] for entity in criterion["entities"])
        else:
            lost = list(_move(criterion, moved, extras, text))
            unplaced += lost
            gone.update(one.entity for one in lost if one.entity)
    _let_go(record, lost_ids, gone)
    return unplaced


def _place_criteria(criteria: Sequence[Json], extras: _Extras, text: str, shift: _Shift) -> list[list[Span] | str]:
    """The new spans of each criterion's extent and fragments, or why it has none."""
    placed: list[dict[int, Span]] = []
    for criterion in criteria:
        found: dict[int, Span] = {}
        for number, (span, wanted) in enumerate(zip(_spans(criterion), extras.fingerprints[id(criterion)], strict=False)):
            new = shift.span(*span)
            if new and _fingerprint(clean(text, [new]).text) == wanted:
                found[number] = new
        placed.append(found)

    outcome: list[list[Span] | str] = []
    search = _Search(text)
    for index, criterion in enumerate(criteria):
        found = placed[index]
        spans = _spans(criterion)
        prints = extras.fingerprints[id(criterion)]
        taken = [span for other in placed if other is not found for span in other.values()]
        # An item may change its place in the list, but not slip from the inclusion into the exclusion criteria.
        others = [(n, span) for n, one in enumerate(criteria) if one["kind"] != criterion["kind"] for span in placed[n].values()]
        low = max((end for n, (_, end) in others if n < index), default=0)
        high = min((start for n, (start, _) in others if n > index), default=len(text))
        for number, (span, wanted) in enumerate(zip(spans, prints, strict=False)):
            if number not in found and (new := search.nearest(wanted, shift.about(span[0]), (low, high), taken)):
                found[number] = new
        if len(prints) != len(spans):
            outcome.append("has no fingerprints; strip the gold again from a hydrated copy")
        elif len(found) < len(spans):
            outcome.append("its words are not in the text any more")
            found.clear()
        else:
            outcome.append([found[number] for number in range(len(spans))])
    return outcome


class _Search:
    """Finds a text by its fingerprint."""

    _SHORT = 30  # characters; so short a text stands in other sentences too, and must fill its line

    def __init__(self, text: str) -> None:
        self._clean = clean(text)
        folded = self._clean.text
        self._edges = [at for at in range(len(folded) + 1) if not (folded[at - 1 : at].isalnum() and folded[at : at + 1].isalnum())]
        self._edge = set(self._edges)
        lines = _lines(text)
        self._starts = {start for line in lines for start in (line.span[0], line.words)}
        self._ends = {line.span[1] for line in lines}

    def nearest(self, fingerprint: str, expected: int, zone: Span, taken: Sequence[Span]) -> Span | None:
        """The source span in `zone`, but not in `taken`, that has this fingerprint and begins nearest to `expected`."""
        length, _, digest = fingerprint.partition("-")
        if int(length) == 0:
            return None
        best: Span | None = None
        for start in self._edges:
            end = start + int(length)
            if end not in self._edge or _digest(self._clean.text[start:end]) != digest:
                continue
            span = self._clean.source_span(start, end)
            if span[0] < zone[0] or span[1] > zone[1] or any(span[0] < b and a < span[1] for a, b in taken):
                continue
            if int(length) < self._SHORT and not (span[0] in self._starts and span[1] in self._ends):
                continue
            if best is None or abs(span[0] - expected) < abs(best[0] - expected):
                best = span
        return best


def _move(criterion: Json, new: Sequence[Span], extras: _Extras, text: str) -> Iterator[Unplaced]:
    """Moves a criterion to its new spans, and yields the entities that cannot follow, which are taken out."""
    spans = dict(zip(_spans(criterion), new, strict=True))
    old = [tuple(span) for span in criterion["fragments"]]
    criterion["start"], criterion["end"] = new[0]
    criterion["fragments"] = [spans[span] for span in old]
    words = clean(text, criterion["fragments"])

    def moved(part: Json, pieces: Sequence[Sequence[int]]) -> list[Span] | None:
        places = extras.places.get(id(part), [])
        if len(places) != len(pieces) or not all(0 <= start < end <= len(words.text) for start, end in places):
            return None
        return [same((start, end), place) or words.source_span(*place) for (start, end), place in zip(pieces, places, strict=True)]

    def same(piece: Span, place: Span) -> Span | None:
        """The piece where its fragment is the same to the character: it may begin within an escape, as it did."""
        for before, after in spans.items():
            start, end = piece[0] - before[0] + after[0], piece[1] - before[0] + after[0]
            if before[0] <= piece[0] and piece[1] <= before[1] and end <= after[1]:
                fits = words.clean_span(start, end) == place and clean(text, [(start, end)]).text == words.text[slice(*place)]
                return (start, end) if fits else None
        return None

    entities = []
    for entity in criterion["entities"]:
        fragments = moved(entity, entity["fragments"])
        if fragments is None:
            yield Unplaced(criterion["id"], entity["id"], "lies outside the words of its criterion, or cuts an escape in two")
        else:
            entity |= {"fragments": fragments, "start": min(s for s, _ in fragments), "end": max(e for _, e in fragments)}
            entities.append(entity)
    criterion["entities"] = entities
    for node in _nodes(criterion["rule"]):
        if node["op"] == "fact" and node["start"] is not None and node["end"] is not None:
            place = moved(node, [(node["start"], node["end"])])
            node["start"], node["end"] = place[0] if place else (None, None)


def _let_go(record: Json, criteria: set[str], entities: set[str]) -> None:
    """Takes out the lost criteria and all that refers to them or to lost entities."""
    parents = {criterion["id"]: criterion["parent_id"] for criterion in record["criteria"]}
    record["criteria"] = [criterion for criterion in record["criteria"] if criterion["id"] not in criteria]
    record["warnings"] = [warning for warning in record["warnings"] if warning["criterion"] not in criteria]
    for criterion in record["criteria"]:
        seen: set[str] = set()
        while criterion["parent_id"] in criteria and criterion["parent_id"] not in seen:
            seen.add(criterion["parent_id"])
            criterion["parent_id"] = parents[criterion["parent_id"]]
        if criterion["parent_id"] in criteria:  # a circle
            criterion["parent_id"] = None
        if criterion["modifies"] in criteria:
            criterion["modifies"] = None
        criterion["relations"] = [r for r in criterion["relations"] if not {r["head"], r["tail"]} & entities]
        for node in list(_nodes(criterion["rule"])):
            if node["op"] == "criterion" and node["id"] in criteria:
                node.clear()
                node |= schema.Unsupported(reason="unparsed").model_dump()
                criterion["computable"] = "partial" if criterion["computable"] == "full" else criterion["computable"]
            elif node["op"] == "fact" and set(node["entities"]) & entities:
                node |= {"start": None, "end": None, "entities": [e for e in node["entities"] if e not in entities]}

"""Annotated documents in and out of other tools: corpus records, brat stand-off, spaCy's DocBin, Hugging Face datasets.

    gold (schema.ParsedTrial)  <->  Document  <->  JSON Lines of a corpus, brat, DocBin, DatasetDict

A `Document` is the hub: a text, entities with any label, relations, groups, events, notes. `document_of` and `parsed_of`
lead from gold to it and back. Every way there and back gives the same value. What a format has no place for travels in it
as JSON that only critnlp reads: `unseen` lists that, `losses` what not even critnlp gets back.

Who edits a document elsewhere wins: a span that was moved, added or taken away in brat or in `doc.spans` counts, and what
was said about the old extent (its clean text, its fragments, the segments of the trial) is given up.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import lzma
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast, get_args
from urllib.parse import quote

from pydantic import ConfigDict, Field, JsonValue, StrictInt, ValidationError, model_validator

from critnlp import lexicon, schema
from critnlp.errors import AnnotationError, CritnlpError, ModelError, OutputError

if TYPE_CHECKING:
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as SpacySpan

Format = Literal["corpus", "brat", "docbin", "dataset"]
Span = tuple[StrictInt, StrictInt]
Record = dict[str, Any]

CRITERION = "Criterion"  # the label of a criterion's extent in a Document
KEY = "critnlp"  # of doc.spans, of doc.user_data, and the type of brat's notes that only critnlp reads


class Part(schema.Model):
    """A part of a Document. Fields that are not known here are kept."""

    model_config = ConfigDict(allow_inf_nan=False)


class Mention(Part):
    """An annotated stretch: its fragments `[start, end)` in code points, and their text joined by one blank."""

    id: str
    label: str
    spans: tuple[Span, ...] = Field(min_length=1)
    text: str
    attributes: dict[str, JsonValue] = Field(default={})


class Link(Part):
    """A directed relation. `kind` is `relation`, or `argument` where it repeats an argument of an event."""

    id: str
    type: str
    head: str
    tail: str
    kind: str = "relation"
    attributes: dict[str, JsonValue] = Field(default={}, exclude_if=lambda value: not value)


class Group(Part):
    """Mentions that stand together, in no direction: the members of an OR."""

    type: str
    members: tuple[str, ...]


class Argument(Part):
    """What fills a role of an event. `ref` is a mention or an event, `target` that mention or the event's trigger."""

    role: str
    ref: str
    target: str


class Event(Part):
    """A mention (its trigger) with arguments."""

    id: str
    type: str
    trigger: str
    args: tuple[Argument, ...] = ()
    attributes: dict[str, JsonValue] = Field(default={}, exclude_if=lambda value: not value)


class Comment(Part):
    """A note about a part of the document, as brat's `#` lines hold it."""

    type: str
    target: str
    text: str


class Document(Part):
    """A text with annotations over it; ids are unique, references resolve, every `text` is what its offsets hold.

    Stand-off documents have "" as their text and as every mention's.
    """

    id: str
    nct_id: str | None = None
    section: str | None = None
    text: str
    entities: tuple[Mention, ...] = ()
    relations: tuple[Link, ...] = ()
    groups: tuple[Group, ...] = ()
    events: tuple[Event, ...] = ()
    source: dict[str, JsonValue] = Field(default={})
    notes: tuple[Comment, ...] = Field(default=(), exclude_if=lambda value: not value)
    lines: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)  # brat's normalizations (N), verbatim

    @model_validator(mode="after")
    def _sound(self) -> Document:
        counts = Counter(part.id for parts in (self.entities, self.relations, self.events) for part in parts)
        for identifier, count in counts.items():
            if count > 1:
                raise ValueError(f"the id {identifier!r} stands {count} times; give each entity, relation and event its own")
        for mention in self.entities:
            if self.text or mention.text:
                _check_quote(self.text, mention)
        mentions = {mention.id for mention in self.entities}
        known = mentions | {event.id for event in self.events}
        used = [(f"relation {link.id}", end, known) for link in self.relations for end in (link.head, link.tail)]
        used += [(f"a group {group.type}", member, known) for group in self.groups for member in group.members]
        used += [(f"event {event.id}", event.trigger, mentions) for event in self.events]
        used += [(f"event {event.id}", one.ref, known) for event in self.events for one in event.args]
        used += [(f"event {event.id}", one.target, mentions) for event in self.events for one in event.args]
        for place, reference, there in used:
            if reference not in there:
                raise ValueError(f"{place} points to {reference!r}, which is not there; add it or take the reference away")
        return self


def _check_quote(text: str, mention: Mention) -> None:
    for start, end in mention.spans:
        if not 0 <= start < end <= len(text):
            raise ValueError(
                f"entity {mention.id} has the offsets [{start}, {end}] in a text of {len(text)} characters; was the text cut?"
            )
    found = _joined(text, mention.spans)
    if found != mention.text:
        raise ValueError(
            f"entity {mention.id} quotes {_short(mention.text)} but its offsets hold {_short(found)}; "
            "was the text saved again with other line ends?"
        )


def _joined(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text of the fragments; that of a stand-off document is "" throughout."""
    return " ".join(text[start:end] for start, end in spans) if text else ""


def _short(text: str, width: int = 60) -> str:
    return ascii(text if len(text) <= width else text[: width - 1] + "…") if not text.isprintable() else repr(text[:width])


def _fault(place: str, error: ValidationError) -> AnnotationError:
    """The first fault that the types found, with its place in the record."""
    first = error.errors()[0]
    if first["type"] == "value_error":
        return AnnotationError(f"{place}: {first['ctx']['error']}")
    where = ".".join(map(str, first["loc"])) or "the record"
    found = _short(str(first["input"]))
    said = first["msg"].lower() if first["type"] == "missing" else f"{first['msg']}, found {found}"
    return AnnotationError(f"{place}: {where}: {said}; correct the record or leave it out")


def _document(place: str, record: Mapping[str, Any]) -> Document:
    try:
        return Document.model_validate(record)
    except ValidationError as error:
        raise _fault(place, error) from None
    except RecursionError:
        raise AnnotationError(f"{place}: is nested too deep; correct the record or leave it out") from None


def _json(value: object) -> str:
    """JSON on one line, for readers that also end lines at U+2028 and its like."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _BREAK.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _dump(part: schema.Model, *without: str) -> Record:
    return part.model_dump(mode="json", exclude=set(without))


def _other_fields(full: Record, plain: Record) -> Record:
    """The fields of `full` that `plain` lacks or has otherwise."""
    return {key: value for key, value in full.items() if key not in plain or plain[key] != value}


# --- corpus records ---------------------------------------------------------------------------------------------------

_BROKEN = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


def read_corpus(path: str | Path) -> Iterator[Document | AnnotationError]:
    """The records of a JSON Lines file, plain, .gz or .xz (by their first bytes), a faulty one as an error in its place."""
    try:
        with ExitStack() as stack:
            raw: IO[bytes] = stack.enter_context(Path(path).open("rb"))
            head = raw.read(6)
            raw.seek(0)
            if head.startswith(b"\x1f\x8b"):
                raw = cast(IO[bytes], stack.enter_context(gzip.open(raw)))
            elif head == b"\xfd7zXZ\x00":
                raw = stack.enter_context(lzma.open(raw))
            for number, line in enumerate(raw, start=1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if line.strip():
                    try:
                        yield _record(line, f"{path}:{number}")
                    except AnnotationError as error:
                        yield error
    except _BROKEN as error:
        yield AnnotationError(f"{path}: the compressed data is broken ({error}); fetch or pack the file again")
    except OSError as error:
        yield AnnotationError(f"{path}: cannot be read ({error.strerror or error}); check the path and its permissions")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _loads(data: str | bytes) -> Any:
    """JSON with finite numbers and proper Unicode; anything else is a ValueError."""
    value = json.loads(data, parse_constant=_no_number)
    json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate, written as \ud800, is half a character
    return value


def _record(line: bytes, place: str) -> Document:
    try:
        record = _loads(line)
    except UnicodeEncodeError:
        raise AnnotationError(f"{place}: holds a lone surrogate, half a character; save the record again as UTF-8") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{place}: is not UTF-8 (byte {error.start} of the line); save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{place}: is not JSON ({error}); write one record per line") from None
    if not isinstance(record, dict):
        raise AnnotationError(f"{place}: is no JSON object ({_short(str(record))}); write one record per line")
    return _document(place, record)


def write_corpus(documents: Iterable[Document], path: str | Path) -> int:
    """Write JSON Lines, packed where the path ends in .gz or .xz; returns how many records. Raises OutputError."""
    count = 0
    try:
        with ExitStack() as stack:
            stream: IO[bytes] = stack.enter_context(Path(path).open("wb"))
            if Path(path).suffix.lower() == ".gz":
                stream = cast(IO[bytes], stack.enter_context(gzip.open(stream, "wb")))
            elif Path(path).suffix.lower() == ".xz":
                stream = stack.enter_context(lzma.open(stream, "wb"))
            for document in documents:
                stream.write(json.dumps(_dump(document), ensure_ascii=False, allow_nan=False).encode() + b"\n")
                count += 1
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); check the folder and its space") from None
    return count


# --- brat stand-off ---------------------------------------------------------------------------------------------------
#
# The .txt is the document's text, code point for code point. Offsets count code points of it; CR LF is two of them, as it
# is for brat itself. Limits of brat, and what becomes of them:
#   * no line break inside an annotated text: such a fragment is split there (as brat does), the whole one is in a note
#   * ids T1 R1 E1, labels without blanks, attributes that are flags or one word: else the closest form is written, and the
#     true one is in a note
# Such a note is `#n<TAB>critnlp T1<TAB>{JSON}`; what belongs to no annotation has the target `document`.

_BREAK = re.compile("[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
_WORDS = re.compile("[^\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]+")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_STEM_NCT = re.compile(r"NCT\d{8}")
_STEM_SECTION = re.compile(r"[_-](inc|exc)(?:lusion)?$")
_DOCUMENT = "document"
_MAX_STEM = 150  # characters of a file name, which may have 255 bytes with its suffix


def _name(label: str) -> str:
    """The label as brat can have it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", label) or "_"


def _stem(identifier: str) -> str:
    """The file name of a document, without suffix: its id where that is one on every system."""
    stem = quote(identifier, safe=" -_()+,@=")
    stem = "%2E" + stem[1:] if stem.startswith(".") else stem
    stem = stem if stem == stem.strip() else stem.replace(" ", "%20")
    if len(stem) > _MAX_STEM:
        stem = re.sub("%[0-9A-F]?$", "", stem[:100]) + "-" + hashlib.sha256(identifier.encode()).hexdigest()[:16]
    return stem or "%"


def _pieces(text: str, spans: Iterable[Sequence[int]]) -> list[list[int]]:
    """The fragments split where a line ends; one that is nothing but line ends stays."""
    found: list[list[int]] = []
    for start, end in spans:
        inside = [[start + word.start(), start + word.end()] for word in _WORDS.finditer(text[start:end])]
        found += inside or [[start, end]]
    return found


def _numbered(kind: str, identifiers: Iterable[str]) -> dict[str, str]:
    """brat's id for each id: its own where it has that form, else the next free one."""
    identifiers = list(identifiers)
    form = re.compile(kind + r"[1-9][0-9]{0,8}")
    taken = {identifier for identifier in identifiers if form.fullmatch(identifier)}
    free = (name for number in range(1, 2 * len(identifiers) + 2) if (name := f"{kind}{number}") not in taken)
    return {identifier: identifier if identifier in taken else next(free) for identifier in identifiers}


def _arguments(events: Iterable[Event]) -> list[Link]:
    """The arguments of the events once more, as relations between mentions."""
    return [
        Link(id=f"{event.id}.{number}", type=one.role, head=event.trigger, tail=one.target, kind="argument")
        for event in events
        for number, one in enumerate(event.args, start=1)
    ]


def _write_roles(roles: Iterable[str]) -> list[str]:
    """Roles as brat has them, the second of a kind with its number: Name, Name2, Name3."""
    seen: Counter[str] = Counter()
    written = []
    for role in map(_name, roles):
        seen[role] += 1
        written.append(role if seen[role] == 1 else f"{role}{seen[role]}")
    return written


def _read_roles(written: Iterable[str]) -> list[str]:
    """Roles without the numbers that `_write_roles` gave them."""
    seen: Counter[str] = Counter()
    roles = []
    for role in written:
        found = re.fullmatch(r"(.*[^0-9])([1-9][0-9]*)", role)
        base = found[1] if found and seen[found[1]] + 1 == int(found[2]) > 1 else role
        seen[base] += 1
        roles.append(base)
    return roles


def to_brat(document: Document) -> tuple[str, str]:
    """The .txt and the .ann of a document. Raises AnnotationError for a stand-off one: brat needs the text."""
    _need_text(document, "brat")
    text = document.text
    derived = {link.id: link for link in _arguments(document.events)}
    links = [link for link in document.relations if derived.get(link.id) != link]
    targets = _numbered("T", (mention.id for mention in document.entities))
    relations = _numbered("R", (link.id for link in links))
    events = _numbered("E", (event.id for event in document.events))
    ids = targets | relations | events
    lines: list[str] = []
    marks: list[tuple[str, str, JsonValue]] = []  # brat id, name, value
    rests: list[tuple[str, Record]] = []

    def put(target: str, part: Mention | Link | Event, plain: Record) -> None:
        """Everything of a part that its line does not say: attributes, and what goes into a note."""
        rest = _other_fields(_dump(part, "text", "attributes"), plain)
        odd = {}
        for name, value in part.attributes.items():
            if _NAME.fullmatch(name) and (value is True or (isinstance(value, str) and re.fullmatch(r"\S+", value))):
                marks.append((target, name, value))
            else:
                odd[name] = value
        if odd:
            rest["attributes"] = odd
        if rest:
            rests.append((target, rest))

    for mention in document.entities:
        target, label, spans = targets[mention.id], _name(mention.label), _pieces(text, mention.spans)
        place = ";".join(f"{start} {end}" for start, end in spans)
        lines.append(f"{target}\t{label} {place}\t{_BREAK.sub(' ', _joined(text, cast(list[tuple[int, int]], spans)))}")
        put(target, mention, {"id": target, "label": label, "spans": spans})
    for link in links:
        target, name = relations[link.id], _name(link.type)
        lines.append(f"{target}\t{name} Arg1:{ids[link.head]} Arg2:{ids[link.tail]}")
        put(target, link, {"id": target, "type": name, "head": link.head, "tail": link.tail, "kind": "relation"})
    triggers = {event.id: event.trigger for event in document.events}
    for event in document.events:
        target, name = events[event.id], _name(event.type)
        written = _write_roles(one.role for one in event.args)
        args = "".join(f" {role}:{ids[one.ref]}" for role, one in zip(written, event.args, strict=True))
        lines.append(f"{target}\t{name}:{targets[event.trigger]}{args}")
        read = [
            {"role": role, "ref": one.ref, "target": triggers.get(one.ref, one.ref)}
            for role, one in zip(_read_roles(written), event.args, strict=True)
        ]
        put(target, event, {"id": target, "type": name, "trigger": event.trigger, "args": read})

    odd_groups: list[JsonValue] = []
    for number, group in enumerate(document.groups):
        if _other_fields(_dump(group), {"type": _name(group.type), "members": list(group.members)}):
            odd_groups.append([number, _dump(group)])
        else:
            lines.append(" ".join([f"*\t{group.type}", *(ids[member] for member in group.members)]))
    lines += [
        f"A{number}\t{name} {target}" + ("" if value is True else f" {value}")
        for number, (target, name, value) in enumerate(marks, start=1)
    ]
    odd_notes: list[JsonValue] = []
    notes: list[str] = []
    for number, note in enumerate(document.notes):
        plain = {"type": _name(note.type), "target": note.target, "text": _BREAK.sub(" ", note.text).strip()}
        if note.type == KEY or note.target not in ids or _other_fields(_dump(note), plain):
            odd_notes.append([number, _dump(note)])
        else:
            notes.append(f"{note.type} {ids[note.target]}\t{note.text}")
    notes += [f"{KEY} {target}\t{_json(rest)}" for target, rest in rests]

    rest: Record = {}
    fields = _dump(document, "text", "entities", "relations", "groups", "events", "notes", "lines")
    if _other_fields(fields, _from_stem(_stem(document.id))):
        rest["fields"] = fields
    if list(document.relations) != _in_order(derived.values(), links, None):
        rest["relations"] = [link.id for link in document.relations]
    kept = [line for line in document.lines if re.fullmatch(r"N[0-9]+\t\S.*", line) and not _BREAK.search(line)]
    for key, odd in (("groups", odd_groups), ("notes", odd_notes)):
        if odd:
            rest[key] = odd
    if len(kept) < len(document.lines):
        rest["lines"] = list(document.lines)
    if text.startswith("\ufeff"):
        rest["mark"] = True  # the first character is part of the text
    lines += kept if "lines" not in rest else []
    notes += [f"{KEY} {_DOCUMENT}\t{_json(rest)}"] if rest else []
    lines += [f"#{number}\t{note}" for number, note in enumerate(notes, start=1)]
    return text, "".join(f"{line}\n" for line in lines)


def _from_stem(stem: str) -> Record:
    """What the name of a file says: Chia's are `NCT00000001_inc` and `NCT00000001_exc`."""
    trial, section = _STEM_NCT.search(stem), _STEM_SECTION.search(stem)
    return {
        "id": stem,
        "nct_id": trial[0] if trial else None,
        "section": {"inc": "inclusion", "exc": "exclusion"}[section[1]] if section else None,
        "source": {},
    }


def _in_order(derived: Iterable[Link], links: Iterable[Link], order: Sequence[str] | None) -> list[Link]:
    """Arguments of events, then relations; or as `order` lists their ids, with what is new behind it."""
    links = list(links)
    own = {link.id for link in links}
    together = [link for link in derived if link.id not in own] + links
    if order is None:
        return together
    by_id = {link.id: link for link in together}
    return [by_id[one] for one in order if one in by_id] + [link for link in links if link.id not in set(order)]


def _need_text(document: Document, what: str) -> None:
    if not document.text and document.entities:
        raise AnnotationError(f"{document.id}: is stand-off, and {what} needs the text; put the text back first")


def write_brat(document: Document, folder: str | Path) -> Path:
    """Write `<id>.txt` and `<id>.ann` into a folder, which is made; returns the path of the .txt. Raises OutputError."""
    text, annotations = to_brat(document)
    path = Path(folder) / f"{_stem(document.id)}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.with_suffix(".ann").write_bytes(annotations.encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); check the folder and its space") from None
    return path


def read_brat(txt_path: str | Path) -> Document:
    """The document of a .txt and the .ann beside it. Raises AnnotationError with the file and line of the first fault."""
    path = Path(txt_path)
    parts = []
    for one in (path, path.with_suffix(".ann")):
        try:
            parts.append(one.read_bytes().decode())
        except UnicodeDecodeError as error:
            raise AnnotationError(f"{one}: is not UTF-8 (byte {error.start}); save it as UTF-8") from None
        except OSError as error:
            raise AnnotationError(f"{one}: cannot be read ({error.strerror}); brat has a .txt and an .ann of one name") from None
    return from_brat(*parts, name=str(path.with_suffix("")))


def read_brat_folder(folder: str | Path) -> Iterator[Document | AnnotationError]:
    """The documents of all .txt files in a folder and below, by name; a faulty one as an error in its place."""
    paths = sorted(Path(folder).rglob("*.txt"))
    if not paths:
        yield AnnotationError(f"{folder}: holds no .txt file; name the folder of a brat collection")
    for path in paths:
        try:
            yield read_brat(path)
        except AnnotationError as error:
            yield error


@dataclass(frozen=True)
class _Line:
    """A line of an .ann: where it stands, its id, the words behind it, and its text."""

    place: str
    id: str
    words: list[str]
    tail: str


_LINES = {
    "T": r"\S+ [0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*",
    "R": r"\S+ [^\s:]+:\S+ [^\s:]+:\S+",
    "E": r"[^\s:]+:\S+(?: [^\s:]+:\S+)*",
    "*": r"\S+(?: \S+)*",
    "A": r"\S+ \S+(?: \S.*)?",
    "M": r"\S+ \S+(?: \S.*)?",
    "#": r"\S+ \S+",
}


def _ann_lines(annotations: str, name: str) -> dict[str, list[_Line]]:
    """The lines of an .ann by their kind; kinds and fields as brat's manual gives them."""
    found: dict[str, list[_Line]] = {kind: [] for kind in (*_LINES, "N")}
    for number, written in enumerate(annotations.removeprefix("\ufeff").split("\n"), start=1):
        line, place = written.removesuffix("\r"), f"{name}.ann:{number}"
        if not line.strip():
            continue
        identifier, _, rest = line.partition("\t")
        data, _, tail = rest.partition("\t")
        data = data.strip(" ")
        kind = identifier[:1]
        if kind == "N" and data:
            found["N"].append(_Line(place, line, [], ""))
        elif kind in _LINES and re.fullmatch(_LINES[kind], data):
            found[kind].append(_Line(place, identifier, data.split(" "), tail))
        else:
            raise AnnotationError(f"{place}: no line of brat's ({_short(line)}); correct it or take it out")
    return found


def _offset_readings(text: str) -> Iterator[tuple[str, list[int] | range]]:
    """The text of a .txt with what an offset of the .ann may mean in it, the likeliest first.

    The byte order mark is no part of the text, but brat itself counts it. Line ends are as in the file; but some tools
    count CR LF as one character.
    """
    own = text.removeprefix("\ufeff")
    whole = range(len(own) + 1)
    # Position by position where a character begins once each CR LF is one.
    folded = [found.start() for found in re.finditer(r"\r\n|[\s\S]", own)] + [len(own)] if "\r\n" in own else None
    readings: list[list[int] | range] = [whole, *([folded] if folded else [])]
    for reading in readings:
        yield own, reading
    if own != text:
        for reading in readings:
            yield own, [0, *reading]


def _place(text: str, targets: Sequence[_Line], marked: bool) -> tuple[str, dict[str, list[list[int]]]]:
    """The document's text, and each T line's fragments in it."""
    wanted = [(line, [[int(x) for x in pair.split(" ")] for pair in " ".join(line.words[1:]).split(";")]) for line in targets]
    faults: list[tuple[int, str, str]] = []
    for own, reading in [(text, range(len(text) + 1))] if marked else _offset_readings(text):
        placed: dict[str, list[list[int]]] = {}
        wrong: list[tuple[str, str]] = []
        for line, spans in wanted:
            if not all(start < end < len(reading) for start, end in spans):
                wrong.append((line.place, f"its offsets {spans} are not in the text of {len(own)} characters"))
                continue
            placed[line.id] = moved = [[reading[start], reading[end]] for start, end in spans]
            found = " ".join(own[start:end] for start, end in moved)
            if found.split() != line.tail.split():
                wrong.append((line.place, f"quotes {_short(line.tail)} but its offsets hold {_short(found)}"))
        if not wrong:
            return own, placed
        faults.append((len(wrong), *wrong[0]))
    _, place, problem = min(faults, key=lambda fault: fault[0])
    raise AnnotationError(f"{place}: {problem}; was the text saved again with other line ends?")


def from_brat(text: str, annotations: str, *, name: str = "document") -> Document:
    """The document of a .txt and an .ann. `name` is the path without suffix: it opens errors, and its last part is the id.

    A byte order mark is left out. Offsets that count it, or that count CR LF as one, are understood where the quoted texts
    fit only so. Raises AnnotationError.
    """
    lines = _ann_lines(annotations, name)
    notes: list[Record] = [
        {"type": line.words[0], "target": line.words[1], "text": line.tail} for line in lines["#"] if line.words[0] != KEY
    ]
    rests = {line.words[1]: _rest(line) for line in lines["#"] if line.words[0] == KEY}
    own, spans = _place(text, lines["T"], bool(rests.get(_DOCUMENT, {}).get("mark")))
    attributes: dict[str, Record] = defaultdict(dict)
    for line in lines["A"] + lines["M"]:
        key, target, *values = line.words
        value: Any = " ".join(values) if values else True
        if key in attributes[target]:
            before = attributes[target][key]
            value = [*(before if isinstance(before, list) else [before]), value]
        attributes[target][key] = value

    def part(line: _Line, plain: Record, *names: str) -> Record:
        """A part as its line, its attributes and its note say; a note about what was edited since is passed over."""
        rest = dict(rests.get(line.id, {}))
        for key in names:
            if key in rest and _name(rest[key]) != plain[key]:
                del rest[key]
        marks = rest.pop("attributes", {}) | attributes.get(line.id, {})
        return plain | rest | ({"attributes": marks} if marks else {})

    entities: list[Record] = []
    ids: dict[str, str] = {}
    for line in lines["T"]:
        mention = part(line, {"id": line.id, "label": line.words[0], "spans": spans[line.id]}, "label")
        if mention["spans"] != spans[line.id] and _whole(own, mention["spans"]) != spans[line.id]:
            mention["spans"] = spans[line.id]
        mention["text"] = " ".join(own[start:end] for start, end in mention["spans"])
        entities.append(mention)
        ids[line.id] = mention["id"]
    events: list[Record] = []
    read = {line.id: part(line, {"id": line.id, "type": line.words[0].partition(":")[0]}, "type") for line in lines["E"]}
    ids |= {identifier: event["id"] for identifier, event in read.items()}
    triggers = {line.id: line.words[0].partition(":")[2] for line in lines["E"]}
    for line in lines["E"]:
        pairs = [word.partition(":")[::2] for word in line.words[1:]]
        args = [
            {"role": role, "ref": ids.get(ref, ref), "target": ids.get(target := triggers.get(ref, ref), target)}
            for role, (_, ref) in zip(_read_roles(role for role, _ in pairs), pairs, strict=True)
        ]
        trigger = triggers[line.id]
        event = read[line.id]
        true = event.get("args", [])
        written = ([one["ref"] for one in args], [role for role, _ in pairs])
        if ([one["ref"] for one in true], _write_roles(one["role"] for one in true)) == written:
            args = true
        events.append(event | {"trigger": ids.get(trigger, trigger), "args": args})
    links: list[Record] = []
    for line in lines["R"]:
        (first, head), (second, tail) = (word.partition(":")[::2] for word in line.words[1:])
        plain: Record = {"id": line.id, "type": line.words[0], "head": ids.get(head, head), "tail": ids.get(tail, tail)}
        plain |= {"roles": [first, second]} if (first, second) != ("Arg1", "Arg2") else {}
        links.append(part(line, plain, "type"))
    relation_ids = {line.id: link["id"] for line, link in zip(lines["R"], links, strict=True)}
    groups: list[Record] = [
        {"type": line.words[0], "members": [ids.get(one, one) for one in line.words[1:]]} for line in lines["*"]
    ]
    for note in notes:
        note["target"] = (ids | relation_ids).get(note["target"], note["target"])

    rest = rests.get(_DOCUMENT, {})
    for number, group in rest.get("groups", []):
        groups.insert(number, group)
    for number, note in rest.get("notes", []):
        notes.insert(number, note)
    record = _from_stem(Path(name).name) | rest.get("fields", {})
    record |= {"text": own, "entities": entities, "relations": links, "groups": groups, "events": events, "notes": notes}
    record["lines"] = rest.get("lines", [line.id for line in lines["N"]])
    document = _document(f"{name}.ann", record)
    relations = _in_order(_arguments(document.events), document.relations, rest.get("relations"))
    return _document(f"{name}.ann", dict(document) | {"relations": relations})


class _Rest(schema.Model):
    """What a note of critnlp holds, as far as its shape matters before the document is put together."""

    id: str = ""
    label: str = ""
    type: str = ""
    attributes: dict[str, JsonValue] = Field(default={})
    args: tuple[Argument, ...] = ()
    fields: dict[str, JsonValue] = Field(default={})
    relations: tuple[str, ...] = ()
    groups: tuple[tuple[int, dict[str, JsonValue]], ...] = ()
    notes: tuple[tuple[int, dict[str, JsonValue]], ...] = ()
    lines: tuple[str, ...] = ()
    mark: bool = False


def _rest(line: _Line) -> Record:
    """The JSON of a note of critnlp."""
    try:
        rest: Record = _loads(line.tail)
        kind = {"T": "id label attributes", "R": "id type attributes", "E": "id type attributes args"}
        keys = kind.get(line.words[1][:1], "fields relations groups notes lines mark").split()
        _Rest.model_validate({key: rest[key] for key in keys if key in rest})
    except (ValueError, TypeError, RecursionError):
        raise AnnotationError(f"{line.place}: a note of critnlp that cannot be read; restore it or take it out") from None
    return rest


def _whole(text: str, spans: Any) -> list[list[int]] | None:
    """The fragments that a note gives, split as brat would; None where they are not in this text."""
    try:
        return _pieces(text, spans) if all(0 <= start < end <= len(text) for start, end in spans) else None
    except (TypeError, ValueError):
        return None


# --- gold and documents -----------------------------------------------------------------------------------------------

_ATTRIBUTED = {"CONDITION", "DRUG", "PROCEDURE", "DEVICE", "BIOMARKER", "REPRODUCTIVE", "OBSERVATION"}
_SAID = _dump(schema.Attributes())
_OWN = ("confidence", "layer", "codes")
_PLACES = ("start", "end", "fragments", "text")
_LAYER = "gold"


class _Unplaced(Part):
    """What `parsed_of` found no place for in a trial; it travels in the trial's extra field `document`."""

    relations: tuple[Link, ...] = ()
    groups: tuple[Group, ...] = ()
    events: tuple[Event, ...] = ()
    notes: tuple[Comment, ...] = ()
    lines: tuple[str, ...] = ()
    fields: dict[str, JsonValue] = Field(default={})


def document_of(parsed: schema.ParsedTrial) -> Document:
    """A trial as a document, with nothing left out. Raises AnnotationError where it contradicts itself.

    A criterion is an entity `Criterion` of its own words, with kind, category, computable and parent_id as attributes, its
    rule in a note `Rule`, and the rest in a note `Criterion`. What belongs to the trial is in `source`.
    """
    text = parsed.trial.eligibility
    trial = _dump(parsed, "criteria")
    try:
        more = _dump(_Unplaced.model_validate(trial.pop("document", {})))
    except ValidationError as error:
        raise _fault(f"{parsed.trial.nct_id or parsed.trial.sha256}: document", error) from None
    del trial["trial"]["eligibility"]
    criteria: list[Record] = []
    entities: list[Record] = []
    relations: list[Record] = []
    notes: list[Record] = []
    taken = {link["id"] for link in more["relations"]}
    taken |= {criterion.id for criterion in parsed.criteria}
    taken |= {entity.id for criterion in parsed.criteria for entity in criterion.entities}
    free = (name for number in range(1, 2**62) if (name := f"R{number}") not in taken)
    for criterion in parsed.criteria:
        full = _dump(criterion)
        own, links, rule = full.pop("entities"), full.pop("relations"), full.pop("rule")
        mention = _mention(text, full, CRITERION, {key: full[key] for key in _CRITERION if full[key] is not None})
        rest = {"at": mention["spans"], **_other_fields(full, _plain_criterion(mention, text))}
        criteria.append(mention)
        here = [{"id": next(free), **_link(link)} for link in links]
        relations += here
        entities += [_entity_mention(text, entity) for entity in own]
        rest |= {"entities": [entity["id"] for entity in own]} if own else {}
        rest |= {"relations": [link["id"] for link in here]} if here else {}
        notes.append({"type": "Rule", "target": criterion.id, "text": _json(rule)})
        notes.append({"type": CRITERION, "target": criterion.id, "text": _json(rest)})
    record = {
        "id": parsed.trial.nct_id or parsed.trial.sha256[:16],
        "nct_id": parsed.trial.nct_id,
        "text": text,
        "entities": criteria + entities,
        "relations": [*relations, *more["relations"]],
        "groups": more["groups"],
        "events": more["events"],
        "source": {"corpus": KEY, "record": trial, **({"document": more["fields"]} if more["fields"] else {})},
        "notes": [*notes, *more["notes"]],
        "lines": more["lines"],
    }
    return _document(str(record["id"]), record)


def _mention(text: str, full: Record, label: str, attributes: Record) -> Record:
    spans = full["fragments"] or [[full["start"], full["end"]]]
    return {"id": full["id"], "label": label, "spans": spans, "text": _joined(text, spans), "attributes": attributes}


def _link(full: Record) -> Record:
    more = {key: value for key, value in full.items() if key not in ("type", "head", "tail")}
    return {"type": full["type"], "head": full["head"], "tail": full["tail"], **({"attributes": more} if more else {})}


def _extent(mention: Record) -> Record:
    """The outer extent and the fragments of a mention."""
    spans = mention["spans"]
    return {
        "id": mention["id"],
        "start": min(start for start, _ in spans),
        "end": max(end for _, end in spans),
        "fragments": [list(span) for span in spans],
    }


_CRITERION = {"kind": "unspecified", "category": "other", "computable": "unparsed", "parent_id": None, "modifies": None}


def _plain_criterion(mention: Record, text: str) -> Record:
    """A criterion as its mention alone tells."""
    extent = _extent(mention)
    said = {key: mention["attributes"].get(key, value) for key, value in _CRITERION.items()}
    return {**extent, **said, "text": text[extent["start"] : extent["end"]]}


def _plain_entity(mention: Record) -> Record:
    """An entity as its mention alone tells. Attributes of other corpora are kept among those of the entity."""
    marks = {key: value for key, value in mention["attributes"].items() if key not in (*_OWN, "more")}
    attributes = _SAID | marks if marks or mention["label"] in _ATTRIBUTED else None
    return {
        **_extent(mention),
        "label": mention["label"],
        "text": mention["text"],
        "confidence": mention["attributes"].get("confidence", 1.0),
        "layer": mention["attributes"].get("layer", _LAYER),
        "codes": mention["attributes"].get("codes", []),
        "attributes": attributes,
    }


def _entity_mention(text: str, full: Record) -> Record:
    marks = {key: value for key, value in _other_fields(full["attributes"] or {}, _SAID).items() if key not in (*_OWN, "more")}
    defaults = {"confidence": 1.0, "layer": _LAYER, "codes": []}
    mention = _mention(text, full, full["label"], marks | _other_fields({key: full[key] for key in _OWN}, defaults))
    more = _other_fields(full, _plain_entity(mention))
    if more:
        place = {"at": mention["spans"]} if not more.keys().isdisjoint(_PLACES) else {}
        mention["attributes"]["more"] = {**more, **place}
    return mention


def parsed_of(document: Document) -> schema.ParsedTrial:
    """The trial that a document holds; the inverse of `document_of`. Raises AnnotationError.

    A document of another corpus has no criteria: each line of it becomes one, its kind taken from the section, its rule
    `unsupported`. Its labels must be those of the contract (`map_labels`). What has no place in a trial (groups, events,
    other relations) is kept as it is, in the trial's extra field `document`.
    """
    place = document.id
    criteria = [_dump(mention) for mention in document.entities if mention.label == CRITERION]
    mentions = {mention.id: _dump(mention) for mention in document.entities if mention.label != CRITERION}
    unknown = Counter(mention["label"] for mention in mentions.values() if mention["label"] not in get_args(schema.Label))
    if unknown:
        labels = ", ".join(f"{label} ({count})" for label, count in unknown.most_common())
        raise AnnotationError(f"{place}: labels that critnlp does not have: {labels}; map them first (map_labels)")
    ids = {mention["id"] for mention in criteria}
    notes: dict[tuple[str, str], Record] = {}
    other_notes: list[Record] = []
    for note in document.notes:
        if note.type in ("Rule", CRITERION) and note.target in ids and (note.type, note.target) not in notes:
            notes[note.type, note.target] = _note(place, note)
        else:
            other_notes.append(_dump(note))
    foreign = "record" not in document.source
    if foreign and not criteria:
        criteria = _lines_as_criteria(document)

    rows: dict[str, Record] = {}
    listed: dict[str, str] = {}  # an entity or a relation -> the criterion that lists it
    edited = False
    for mention in criteria:
        rest = notes.get((CRITERION, mention["id"]), {})
        if rest.pop("at", None) != mention["spans"]:
            edited = True
            rest = {key: value for key, value in rest.items() if key not in (*_PLACES, "clean_text", "describe")}
        members = {member: mention["id"] for key in ("entities", "relations") for member in _strings(rest.pop(key, []))}
        listed |= {member: criterion for member, criterion in members.items() if member not in listed}
        rule = notes.get(("Rule", mention["id"]), {"op": "unsupported", "text": "", "reason": "unparsed"})
        rows[mention["id"]] = _plain_criterion(mention, document.text) | rest | {"rule": rule, "entities": [], "relations": []}
    order = {member: number for number, member in enumerate(listed)}
    for mention in sorted(mentions.values(), key=lambda one: order.get(one["id"], len(order))):
        if mention["id"] not in listed:
            listed[mention["id"]] = _around(place, mention, criteria)
        rows[listed[mention["id"]]]["entities"].append(_entity(mention))
    other_links: list[Record] = []
    for link in sorted(document.relations, key=lambda one: order.get(one.id, len(order))):
        ends = {link.head, link.tail} <= mentions.keys()
        if ends and (link.id in listed or link.type in get_args(schema.RelationType)):
            relation = {**link.attributes, "type": link.type, "head": link.head, "tail": link.tail}
            rows[listed.get(link.id, listed[link.head])]["relations"].append(relation)
        else:
            other_links.append(_dump(link))

    record: Record = _foreign_record(document) if foreign else _dump(document)["source"]["record"]
    left = {
        "relations": other_links,
        "groups": [_dump(group) for group in document.groups],
        "events": [_dump(event) for event in document.events],
        "notes": other_notes,
        "lines": list(document.lines),
        "fields": _fields(document) if foreign else document.source.get("document"),
    }
    left = {key: value for key, value in left.items() if value}
    try:
        record["trial"]["eligibility"] = document.text
        if edited or any(segment["criterion"] not in {*rows, None} for segment in record["segments"]):
            record["segments"] = []
        record |= {"criteria": list(rows.values()), **({"document": left} if left else {})}
        return schema.ParsedTrial.model_validate(record)
    except ValidationError as error:
        raise _fault(place, error) from None
    except (KeyError, TypeError):
        raise AnnotationError(f"{place}: source.record is no trial of critnlp; restore it or take it out") from None


def _note(place: str, note: Comment) -> Record:
    try:
        value = _loads(note.text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise AnnotationError(f"{place}: the note {note.type} on {note.target} is no JSON object; restore it or take it out")
    return value


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _around(place: str, mention: Record, criteria: Iterable[Record]) -> str:
    """The criterion that a mention begins in: the one with a fragment around it, else with an extent, the shortest."""
    start = mention["spans"][0][0]
    found = [
        (not any(a <= start < b for a, b in extent["fragments"]), extent["end"] - extent["start"], extent["id"])
        for extent in map(_extent, criteria)
        if extent["start"] <= start < extent["end"]
    ]
    if not found:
        raise AnnotationError(
            f"{place}: entity {mention['id']} ({_short(mention['text'])}) lies in no criterion; widen one or take the entity out"
        )
    return str(min(found)[2])


def _entity(mention: Record) -> Record:
    more = dict(mention["attributes"].get("more") or {})
    at = more.pop("at", None)
    if at != mention["spans"]:
        more = {key: value for key, value in more.items() if key not in _PLACES}
    return _plain_entity(mention) | more


def _fields(document: Document) -> Record:
    """What is said of a document as a whole, its text and parts left out."""
    return _dump(document, "text", "entities", "relations", "groups", "events", "notes", "lines")


def _foreign_record(document: Document) -> Record:
    from critnlp import __version__

    trial = schema.Trial(nct_id=document.nct_id, sha256=hashlib.sha256(document.text.encode()).hexdigest())
    pipeline = schema.Pipeline(name="gold", version="1")
    return _dump(schema.ParsedTrial(critnlp_version=__version__, pipeline=pipeline, trial=trial))


def _lines_as_criteria(document: Document) -> list[Record]:
    """A criterion for each line that says something; with known sections, only for those in one or with entities."""
    sections: Any = [one for one in _dump(document).get("sections") or [] if isinstance(one, dict)]
    starts = [mention.spans[0][0] for mention in document.entities]
    counts: Counter[str] = Counter()
    found = []
    for line in re.finditer(r"[^\r\n]*\S[^\r\n]*", document.text):
        start, end = line.start() + len(line[0]) - len(line[0].lstrip()), line.start() + len(line[0].rstrip())
        inside = [one.get("section") for one in sections if one.get("start", 0) <= start < one.get("end", 0)]
        if sections and not inside and not any(start <= one < end for one in starts):
            continue
        kind = inside[0] if inside else document.section
        kind = kind if kind in ("inclusion", "exclusion") else "unspecified"
        letter = {"inclusion": "I", "exclusion": "E"}.get(kind, "U")
        counts[letter] += 1
        found.append(_mention(document.text, _line(f"{letter}{counts[letter]}", start, end), CRITERION, {"kind": kind}))
    return found


def _line(identifier: str, start: int, end: int) -> Record:
    return {"id": identifier, "start": start, "end": end, "fragments": [[start, end]]}


# --- spaCy's DocBin ---------------------------------------------------------------------------------------------------


def to_docbin(parsed: Iterable[schema.ParsedTrial]) -> DocBin:
    """The trials as spaCy Docs, one for each, of the whole eligibility text; raises AnnotationError for a stand-off one.

    `doc.spans["critnlp"]` holds the entities, nested and overlapping ones too; `span.id_` is the entity's id, a
    discontinuous one has its outer extent. `doc.ents` are the longest of them that do not overlap. An entity that does not
    begin and end with tokens is in neither. Everything else is in `doc.user_data["critnlp"]`, a JSON string.
    """
    import spacy
    from spacy.tokens import DocBin
    from spacy.util import filter_spans

    tokenizer = spacy.blank("en").tokenizer
    box = DocBin(store_user_data=True)
    for one in parsed:
        document = document_of(one)
        _need_text(document, "a Doc")
        doc = tokenizer(document.text)
        spans = [span for mention in document.entities if mention.label != CRITERION and (span := _span(doc, mention))]
        doc.spans[KEY] = spans
        doc.set_ents(filter_spans(spans))
        doc.user_data[KEY] = json.dumps(_dump(document, "text"), ensure_ascii=False)
        box.add(doc)
    return box


def _span(doc: Doc, mention: Mention) -> SpacySpan | None:
    """The outer extent of a mention, where tokens begin and end with it."""
    start, end = min(start for start, _ in mention.spans), max(end for _, end in mention.spans)
    return doc.char_span(start, end, label=mention.label, span_id=mention.id)


def from_docbin(box: DocBin) -> Iterator[schema.ParsedTrial | AnnotationError]:
    """The trials of a DocBin, also of one from elsewhere (`doc.spans["critnlp"]`, else `doc.ents`), or what is wrong."""
    import spacy

    for number, doc in enumerate(box.get_docs(spacy.blank("en").vocab), start=1):
        try:
            yield parsed_of(_document_of_doc(doc, f"document {number}"))
        except AnnotationError as error:
            yield error


def _document_of_doc(doc: Doc, place: str) -> Document:
    """The document of a Doc; its spans overrule what the user data says of them."""
    text = doc.text
    written = doc.user_data.get(KEY)
    if written is None:
        entities = [_read_span(span, f"S{number}") for number, span in enumerate(doc.spans.get(KEY, doc.ents), start=1)]
        return _document(place, {"id": place, "text": text, "entities": entities})
    try:
        document = _document(place, {**_loads(written), "text": text})
    except (TypeError, ValueError):
        raise AnnotationError(f"{place}: user_data[{KEY!r}] is no JSON of critnlp; make the DocBin again") from None
    if KEY not in doc.spans:
        return document
    spans = {span.id_: span for span in reversed(list(doc.spans[KEY])) if span.id_}
    mentions: list[Record] = []
    for mention in document.entities:
        before = None if mention.label == CRITERION else _span(doc, mention)
        span = spans.pop(mention.id, None) if before else None
        if before is None or (span and (span.start, span.end, span.label) == (before.start, before.end, before.label)):
            mentions.append(_dump(mention))
        elif span:
            moved = _read_span(span, mention.id)
            same = (span.start, span.end) == (before.start, before.end)
            mentions.append(_dump(mention) | ({"label": moved["label"]} if same else moved))
    used = {mention.id for mention in document.entities}
    free = (name for number in range(1, 2**62) if (name := f"S{number}") not in used)
    kept = {mention["id"] for mention in mentions}
    mentions += [_read_span(span, next(free)) for span in doc.spans[KEY] if span.id_ not in used or (span.id_ not in kept)]
    return _document(place, dict(_without(document, used - kept)) | {"entities": mentions})


def _read_span(span: SpacySpan, identifier: str) -> Record:
    place = [span.start_char, span.end_char]
    return {"id": identifier, "label": span.label_, "spans": [place], "text": span.text}


def _without(document: Document, gone: set[str]) -> Document:
    """The document without these mentions, and without what refers to them."""
    mentions = [mention for mention in document.entities if mention.id not in gone]
    gone = gone | {event.id for event in document.events if event.trigger in gone}
    while more := {
        event.id for event in document.events if event.id not in gone and any({one.ref, one.target} & gone for one in event.args)
    }:
        gone = gone | more
    gone = gone | {link.id for link in document.relations if {link.head, link.tail} & gone}
    return document.model_copy(
        update={
            "entities": tuple(mentions),
            "relations": tuple(link for link in document.relations if link.id not in gone),
            "groups": tuple(group for group in document.groups if not gone.intersection(group.members)),
            "events": tuple(event for event in document.events if event.id not in gone),
            "notes": tuple(note for note in document.notes if note.target not in gone),
        }
    )


# --- Hugging Face datasets --------------------------------------------------------------------------------------------

_EXTRA = "pip install 'critnlp[datasets]'"


def to_dataset(parsed: Mapping[str, Iterable[schema.ParsedTrial]]) -> Any:
    """A `datasets.DatasetDict` with a split for each key, a row for each trial; needs the extra `datasets` (ModelError).

    Columns: `id`, `nct_id`, `text`; `entities` with `id, label, spans, text, attributes`; `relations` with
    `id, type, head, tail, attributes`; attributes, and `rest` with everything else, are JSON strings.
    """
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise ModelError(f"the package datasets is not installed, which this format needs; {_EXTRA}") from None
    string = datasets.Value("string")
    span = datasets.List(datasets.Value("int64"))
    mention = {"id": string, "label": string, "spans": datasets.List(span), "text": string, "attributes": string}
    link = {"id": string, "type": string, "head": string, "tail": string, "attributes": string}
    columns = {"id": string, "nct_id": string, "text": string}
    features = datasets.Features(columns | {"entities": datasets.List(mention), "relations": datasets.List(link), "rest": string})
    made = {}
    for split, trials in parsed.items():
        rows = [_row(document_of(one)) for one in trials]
        made[split] = datasets.Dataset.from_dict({key: [row[key] for row in rows] for key in features}, features=features)
    return datasets.DatasetDict(made)


def from_dataset(dataset: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, list[schema.ParsedTrial | AnnotationError]]:
    """The trials of each split of what `to_dataset` made, a faulty row as an error in its place."""
    found: dict[str, list[schema.ParsedTrial | AnnotationError]] = {}
    for split, rows in dataset.items():
        found[split] = []
        for number, row in enumerate(rows):
            try:
                found[split].append(parsed_of(_document_of_row(row, f"{split}[{number}]")))
            except AnnotationError as error:
                found[split].append(error)
    return found


def _row(document: Document) -> Record:
    full = _dump(document)
    columns = ("id", "nct_id", "text")
    for part in (*full["entities"], *full["relations"]):
        part["attributes"] = json.dumps(part.get("attributes", {}), ensure_ascii=False)
        part.pop("kind", None)
    rest = {key: value for key, value in full.items() if key not in (*columns, "entities", "relations")}
    # Relations of another corpus may be of another kind.
    rest |= {"kinds": kinds} if (kinds := {link.id: link.kind for link in document.relations if link.kind != "relation"}) else {}
    parts = {"entities": full["entities"], "relations": full["relations"]}
    return {key: full[key] for key in columns} | parts | {"rest": json.dumps(rest, ensure_ascii=False)}


def _document_of_row(row: Mapping[str, Any], place: str) -> Document:
    try:
        rest = _loads(row["rest"])
        kinds = rest.pop("kinds", {})
        parts = {
            key: [{**part, "attributes": _loads(part["attributes"])} for part in row[key]] for key in ("entities", "relations")
        }
        for link in parts["relations"]:
            link["kind"] = kinds.get(link["id"], "relation")
        record = {**rest, **parts, **{key: row[key] for key in ("id", "nct_id", "text")}}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AnnotationError(f"{place}: is no row that critnlp wrote; make the dataset again") from None
    return _document(place, record)


# --- what is lost -----------------------------------------------------------------------------------------------------


def losses(parsed: schema.ParsedTrial, format: Format) -> tuple[str, ...]:
    """What critnlp itself would not get back from this format, found by writing and reading in memory; () is nothing.

    Every line names the fields and how often: `criteria.rule (2)`. A trial that cannot be written at all says why.
    """
    try:
        back = _there_and_back(parsed, format)
    except CritnlpError as error:
        return (f"everything: {error}",)
    counts: Counter[str] = Counter()
    _differences(_dump(parsed), _dump(back), "", counts)
    return tuple(f"{path} ({count})" for path, count in sorted(counts.items()))


def _there_and_back(parsed: schema.ParsedTrial, format: Format) -> schema.ParsedTrial:
    document = document_of(parsed)
    if format == "corpus":
        return parsed_of(_record(json.dumps(_dump(document), allow_nan=False).encode(), document.id))
    if format == "brat":
        return parsed_of(from_brat(*to_brat(document), name=_stem(document.id)))
    if format == "dataset":
        return parsed_of(_document_of_row(_row(document), document.id))
    back = next(from_docbin(to_docbin([parsed])))
    if isinstance(back, AnnotationError):
        raise back
    return back


def _differences(before: object, after: object, path: str, counts: Counter[str]) -> None:
    """Count the fields that differ, by their path without positions."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            _differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key), counts)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            _differences(one, other, path, counts)
    elif before != after:
        counts[path] += 1


def unseen(parsed: schema.ParsedTrial, format: Format) -> tuple[str, ...]:
    """What other programs do not see in this format, though critnlp reads it back: "rules (12)", "windows (3)" …"""
    document = document_of(parsed)
    entities = [entity for criterion in parsed.criteria for entity in criterion.entities]
    pieces = [mention for mention in document.entities if len(_pieces(document.text, mention.spans)) > len(mention.spans)]
    counts: dict[str, int] = {
        "rules": len(parsed.criteria),
        "codes of entities": sum(bool(entity.codes) for entity in entities),
        "confidences of entities": sum(entity.confidence < 1 for entity in entities),
        "segments": len(parsed.segments),
        "warnings": len(parsed.warnings),
    }
    if format == "brat":
        counts["fragments over a line end, which are split"] = len(pieces)
    if format == "docbin":
        spans = {span.id_ for doc in _docs(parsed) for span in doc.spans[KEY]}
        counts |= {
            "criteria": len(parsed.criteria),
            "relations": sum(len(criterion.relations) for criterion in parsed.criteria),
            "attributes of entities": sum(entity.attributes is not None for entity in entities),
            "fragments of discontinuous entities": sum(len(entity.fragments) > 1 for entity in entities),
            "entities off the borders of tokens": sum(entity.id not in spans for entity in entities),
        }
    return tuple(f"{what} ({count})" for what, count in counts.items() if count)


def _docs(parsed: schema.ParsedTrial) -> list[Doc]:
    import spacy

    return list(to_docbin([parsed]).get_docs(spacy.blank("en").vocab))


# --- labels of other corpora ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mapped:
    """A document in the contract's labels, and every part of the original that it does not hold."""

    document: Document
    entities: tuple[Mention, ...]
    relations: tuple[Link, ...]
    groups: tuple[Group, ...]
    events: tuple[Event, ...]
    notes: tuple[Comment, ...]


@dataclass(frozen=True)
class _LabelRow:
    """A row of `label_maps.csv`. `when` is a condition: "", `role=…`, `has=…`, `<attribute>=<value>`, or `turned`."""

    label: str
    when: str
    critnlp: str


@cache
def _label_maps() -> dict[tuple[str, str], dict[str, list[_LabelRow]]]:
    """The rows by corpus and part (`entity`, `relation`), then by label."""
    known = {"entity": {*get_args(schema.Label), ""}, "relation": {*get_args(schema.RelationType), ""}}

    def read(row: lexicon.Row) -> tuple[tuple[str, str], _LabelRow]:
        if row["critnlp"] not in known.get(row["part"], set()):
            raise ValueError(f"{row['critnlp']!r} is no {row['part']} label of critnlp")
        if not row["critnlp"] and not row["lost"]:
            raise ValueError(f"{row['label']!r} has no counterpart, and `lost` does not say why")
        return (row["corpus"], row["part"]), _LabelRow(row["label"], row["when"], row["critnlp"])

    maps: dict[tuple[str, str], dict[str, list[_LabelRow]]] = defaultdict(lambda: defaultdict(list))
    for key, row in lexicon.load("label_maps", read):
        maps[key][row.label].append(row)
    return {key: dict(rows) for key, rows in maps.items()}


def map_labels(document: Document, corpus: str) -> Mapped:
    """The document of a corpus (`chia`, `frd`, `lct`) in the contract's labels, with a list of what has no counterpart.

    A relation goes with either of its ends, a group and a note with any member; events have no counterpart. Raises
    AnnotationError for a corpus that `label_maps.csv` does not have.
    """
    maps = _label_maps()
    if (corpus, "entity") not in maps:
        there = ", ".join(sorted({name for name, part in maps if part == "entity"}))
        raise AnnotationError(f"{document.id}: no label map for the corpus {corpus!r}; there are {there} (label_maps.csv)")
    roles: dict[str, set[str]] = defaultdict(set)
    for link in document.relations:
        roles[link.tail].add(f"role={link.type}")
        roles[link.head].add(f"has={link.type}")
    labels: dict[str, str] = {}
    for mention in document.entities:
        there_is = {"", *(f"{key}={value}" for key, value in mention.attributes.items()), *roles[mention.id]}
        rows = maps[corpus, "entity"].get(mention.label, [])
        labels[mention.id] = next((row.critnlp for row in rows if row.when in there_is), "")
    kept = tuple(mention.model_copy(update={"label": labels[mention.id]}) for mention in document.entities if labels[mention.id])
    ids = {mention.id for mention in kept}
    links: list[Link] = []
    left: list[Link] = []
    for link in document.relations:
        row = next(iter(maps.get((corpus, "relation"), {}).get(link.type, [])), None)
        if row is None or not row.critnlp or not {link.head, link.tail} <= ids:
            left.append(link)
            continue
        ends = {"head": link.tail, "tail": link.head} if row.when == "turned" else {}
        links.append(link.model_copy(update={"type": row.critnlp, "kind": "relation", **ends}))
    targets = ids | {link.id for link in links}
    groups = tuple(group for group in document.groups if ids.issuperset(group.members))
    notes = tuple(note for note in document.notes if note.target in targets)
    update = {"entities": kept, "relations": tuple(links), "groups": groups, "events": (), "notes": notes}
    return Mapped(
        document.model_copy(update=update),
        tuple(mention for mention in document.entities if mention.id not in ids),
        tuple(left),
        tuple(group for group in document.groups if group not in groups),
        document.events,
        tuple(note for note in document.notes if note not in notes),
    )

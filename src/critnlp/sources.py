"""Trials from files, folders and standard input; one that cannot be read becomes a `SourceError` among the others.

What an input is, is decided by what it holds. Its suffix (`.txt .json .jsonl .ndjson .xml .csv .tsv`, each also with
`.gz` or `.xz` behind it) only settles what the content leaves open:

1. gzip and xz by their first bytes. UTF-16 only with a byte order mark, else UTF-8 (or what an XML file declares).
2. `{"` or `[{` begins JSON, `<?xml` or `<clinical_study` begins XML, under any suffix.
3. JSON is read line by line under `.jsonl`, and where its first line is a whole object and another line follows.
4. A header line with the columns `nct_id` (or `id`) and `eligibility` (or `criteria`), parted by comma, semicolon or
   tab, begins CSV, except under `.txt`, where a line with commas is a sentence. All else is the text of one trial.

`Trial.eligibility` is code point for code point what the field, or the whole text file, held, line ends included. Only
the byte order mark that opens a file is left out, since it belongs to the encoding. XML parsers turn CR LF into LF.
A record's name opens its error and is kept as `Trial.source`: `path`, `path:line` or `path[record n]`.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol, cast
from xml.parsers import expat

from critnlp.errors import SourceError
from critnlp.schema import Quantity, Sex, Trial

MAX_TEXT = 1_000_000  # characters of one eligibility text; the registry itself allows 20,000
MAX_RECORD = 32 * 2**20  # bytes of a JSON or CSV line, or of one study in XML; a CSV field ends at csv's own 131,072
MAX_DOCUMENT = 128 * 2**20  # bytes of a JSON document that is loaded whole (a search page), or of a UTF-16 file
SUFFIXES = (".txt", ".json", ".jsonl", ".ndjson", ".xml", ".csv", ".tsv")  # what is picked up in a folder

_HEAD = 2**16  # bytes that are looked at to tell what an input is
_CHUNK = 2**20
_PACKED = (".gz", ".xz")

Fields = Mapping[str, Any]
Result = Trial | SourceError


def read(sources: Iterable[str]) -> Iterator[Result]:
    """The trials of all `sources` (files, folders, globs, `-`) in order; what cannot be read is yielded as an error."""
    for source in [sources] if isinstance(sources, str) else sources:
        for path in _files(source):
            if isinstance(path, SourceError):
                yield path
            else:
                yield from _read_file(path)


def trial_of(eligibility: str, *, nct_id: str | None = None, source: str = "text") -> Trial:
    """The trial with this eligibility text; one that is blank, too long or no proper Unicode raises a `SourceError`."""
    return _trial(source, {"nct_id": nct_id, "eligibility": eligibility})


# --- files ------------------------------------------------------------------------------------------------------------


def _name(path: str) -> str:
    """The path as it can be printed and written as UTF-8; file names may hold line breaks and stray bytes."""
    return path if path.isprintable() else ascii(path)[1:-1]


def _suffix(path: str) -> str:
    """The suffix that speaks of the content: `.json` of `trials.json.xz`."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _files(source: str) -> Iterator[str | SourceError]:
    """The files that a source stands for. Hidden files, and in folders unknown suffixes, are passed over."""
    if source == "-" or os.path.isfile(source):  # noqa: PTH113 (a path with a NUL is no file either, while Path raises)
        yield source
    elif os.path.isdir(source):  # noqa: PTH112
        yield from _folder(source)
    elif glob.has_magic(source) and not os.path.lexists(source):
        matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
        if not matches:
            yield SourceError(f"{_name(source)}: no file matches; check the pattern and the folder it starts from")
        for match in matches:
            if not Path(match).is_dir():
                yield match
            elif "**" not in source:  # which matches what is in the folder as well
                yield from _folder(match)
    elif "\0" in source:
        yield SourceError(f"{_name(source)}: no such file; check the path")
    else:
        yield source  # missing, or a device or pipe: opening it tells


def _folder(folder: str) -> Iterator[str | SourceError]:
    unreadable: list[OSError] = []
    files: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            str(path)
            for path in (Path(parent, name) for name in names if not name.startswith("."))
            if _suffix(path.name) in SUFFIXES and path.is_file()
        ]
    for error in unreadable:
        yield SourceError(f"{_name(error.filename)}: cannot be listed ({error.strerror}); check its permissions")
    if not files and not unreadable:
        yield SourceError(f"{_name(folder)}: no input in this folder; expected files named {' '.join(SUFFIXES)}")
    yield from sorted(files)


def _read_file(path: str) -> Iterator[Result]:
    name = _name(path)
    count = 0
    try:
        with ExitStack() as stack:
            raw = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))  # noqa: PTH123
            for result in _read_stream(raw, path, name):
                yield result
                count += 1
        if not count:
            yield SourceError(f"{name}: holds no trial; expected at least one record")
    except SourceError as error:
        yield error
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        yield SourceError(f"{name}: the compressed data is broken ({_short(str(error))}); fetch or pack the file again")
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        yield SourceError(f"{name}: {problem}; check the path and its permissions")


class _Readable(Protocol):
    def read1(self, size: int = ..., /) -> bytes: ...


class _Joined(io.RawIOBase):
    """`head` and then `rest`: what was read ahead is put back, also where the input cannot seek."""

    def __init__(self, head: bytes, rest: _Readable) -> None:
        self._parts = [io.BytesIO(head), rest]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while self._parts:
            data = self._parts[0].read1(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            self._parts.pop(0)
        return 0


def _joined(head: bytes, rest: _Readable) -> io.BufferedReader:
    return io.BufferedReader(_Joined(head, rest), _CHUNK)


def _read_stream(raw: IO[bytes], path: str, name: str) -> Iterator[Result]:
    """The trials of an open input; a fault of the input as a whole raises."""
    head = raw.read(_HEAD)
    stream = _joined(head, cast(_Readable, raw))
    packed: gzip.GzipFile | lzma.LZMAFile | None = None
    if head.startswith(b"\x1f\x8b"):
        packed = gzip.GzipFile(fileobj=stream)
    elif head.startswith(b"\xfd7zXZ\x00"):
        packed = lzma.LZMAFile(stream)  # noqa: SIM115 (it holds no file of its own)
    if packed is not None:
        head = packed.read(_HEAD)
        stream = _joined(head, packed)

    encoding: str | None = None  # what overrules an XML declaration
    mark = 0
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-8"
        data = _decode(_read_whole(stream, name, "a UTF-16 file", MAX_DOCUMENT), name, encoding="utf-16").encode()
        head, stream = data[:_HEAD], _joined(data, io.BytesIO())
    elif head.startswith(codecs.BOM_UTF8):
        mark = len(stream.read(len(codecs.BOM_UTF8)))
        head = head[mark:]
    if not head.strip():
        raise SourceError(f"{name}: is {'blank' if head else 'empty'}; expected the text or the records of trials")
    if head.startswith(b"%PDF-"):
        raise SourceError(f"{name}: is a PDF; save it as text, JSON, XML or CSV")

    start = head.decode(errors="replace")
    match _format(start, _suffix(path)):
        case "json":
            yield from _read_json(stream, name, mark, hinted=_suffix(path) in (".jsonl", ".ndjson"))
        case "xml":
            yield from _read_xml(stream, name, encoding)
        case "csv":
            yield from _read_csv(_Lines(stream, name, mark), name, _delimiter(start)[0])
        case "html":
            raise SourceError(f"{name}: is a web page; fetch the study as JSON, clinicaltrials.gov/api/v2/studies/NCT…")
        case _:
            yield _read_text(stream, name, mark, path)


def _format(start: str, suffix: str) -> str:
    """What an input that begins like this is: `json`, `xml`, `html`, `csv` or `text`."""
    start = start.lstrip()
    if re.match(r'\{\s*("|\}\s*$)|\[\s*(\{|\]\s*$)', start):
        return "json"
    if re.match(r"(<!--.*?-->\s*)?<(!doctype\s+)?html\b", start, re.IGNORECASE | re.DOTALL):
        return "html"
    if re.match(r"<(\?xml\b|!DOCTYPE\b|!--|clinical_stud)", start):
        return "xml"
    by_suffix = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "csv", ".xml": "xml"}
    if suffix in by_suffix:
        return by_suffix[suffix]
    return "csv" if suffix != ".txt" and _delimiter(start)[1] else "text"


# --- text and lines ---------------------------------------------------------------------------------------------------


def _decode(data: bytes, name: str, offset: int = 0, encoding: str = "utf-8") -> str:
    """`data` as text; an error names the byte counted from the beginning of the file, `offset` being that of `data`."""
    if encoding == "utf-8" and b"\0" in data:
        where = f"NUL at byte {offset + data.index(0)}"
        raise SourceError(f"{name}: holds binary data ({where}); unpack it, or save it as text, JSON, XML or CSV")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        what = encoding.upper()
        raise SourceError(f"{name}: is not {what} (byte {offset + error.start}); save it as UTF-8") from None


def _read_whole(stream: IO[bytes], name: str, what: str, limit: int) -> bytes:
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise SourceError(f"{name}: {what} over {limit // 2**20} MiB is not read; split it, or write one trial per line (JSONL)")
    return data


def _read_text(stream: IO[bytes], name: str, mark: int, path: str) -> Trial:
    data = stream.read(4 * MAX_TEXT + 1)  # no code point takes more than four bytes
    if len(data) > 4 * MAX_TEXT:
        raise _too_long(name)
    nct_id = re.search(r"(?<![A-Z0-9])NCT[0-9]{8}(?![0-9])", Path(path).name, re.IGNORECASE)
    return _trial(name, {"nct_id": nct_id[0].upper() if nct_id else None, "eligibility": _decode(data, name, mark)})


class _Lines:
    """Lines with their ends, cut at LF only. One that cannot be read raises, and the next call goes on behind it."""

    def __init__(self, stream: IO[bytes], name: str, offset: int) -> None:
        self.number = 0
        self._stream = stream
        self._name = name
        self._offset = offset

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_RECORD + 1)
        if not line:
            raise StopIteration
        self.number += 1
        start = self._offset
        self._offset += len(line)
        name = f"{self._name}:{self.number}"
        if len(line) > MAX_RECORD:
            rest = "" if line.endswith(b"\n") else self._skip()
            limit = f"{MAX_RECORD // 2**20} MiB"
            raise SourceError(f"{name}: a line over {limit} is not read{rest}; write one trial per line")
        return _decode(line, name, start)

    def _skip(self) -> str:
        """Goes to the end of the line, but not for ever: a small packed file can hold a line without end."""
        for _ in range(MAX_DOCUMENT // MAX_RECORD):
            line = self._stream.readline(MAX_RECORD)
            self._offset += len(line)
            if not line or line.endswith(b"\n"):
                return ""
        self._stream = io.BytesIO()
        return ", nor is what follows it"


# --- JSON -------------------------------------------------------------------------------------------------------------


def _read_json(stream: io.BufferedReader, name: str, mark: int, *, hinted: bool) -> Iterator[Result]:
    """Line by line, or as one document; `hinted` is that its suffix says lines, which a lone brace can deny."""
    line = stream.readline((MAX_RECORD if hinted else MAX_DOCUMENT) + 1)
    more = bool(stream.peek(1))
    first = line.strip()
    stream = _joined(line, stream)
    whole = first.startswith(b"{") and first.endswith(b"}")
    by_line = (hinted and first not in (b"{", b"[")) or (whole and more)
    if not by_line:
        yield from _records(_decode(_read_whole(stream, name, "a JSON document", MAX_DOCUMENT), name, mark), name)
        return
    lines = _Lines(stream, name, mark)
    while True:
        try:
            text = next(lines, None)
            if text is None:
                return
            if text.strip():
                yield from _records(text.rstrip(), f"{name}:{lines.number}")
        except SourceError as error:
            yield error


def _records(text: str, name: str) -> Iterator[Result]:
    """The trials of one JSON value: a study, our own output, a flat record, a search page or an array of these."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise SourceError(f"{name}: is not JSON ({error.msg} at {place}); correct it, or fetch it again") from None
    except RecursionError:
        raise SourceError(f"{name}: is JSON nested too deeply for a trial; check where it comes from") from None
    except ValueError as error:  # an integer of thousands of digits
        raise SourceError(f"{name}: is JSON that cannot be read ({_short(str(error))}); correct it") from None
    many = value.get("studies") if isinstance(value, dict) else value
    if not isinstance(many, list):
        yield _attempt(name, value)
    elif not many:
        raise SourceError(f"{name}: is a list without any study; check the search behind it")
    else:
        for number, record in enumerate(many, 1):
            yield _attempt(f"{name}[record {number}]", record)


def _attempt(name: str, record: Any) -> Result:
    try:
        return _trial(name, _fields(name, record))
    except SourceError as error:
        return error


def _fields(name: str, record: Any) -> Fields:
    """The flat fields of a record of any JSON shape that holds a trial."""
    if not isinstance(record, dict):
        raise SourceError(f"{name}: is JSON but no trial ({_json_type(record)}); expected an object")
    if isinstance(record.get("protocolSection"), dict):
        return _study_fields(record)
    if isinstance(record.get("trial"), dict):
        return cast(Fields, record["trial"])
    if not any(key in record for key in _NAMES["eligibility"]):
        found = _list(record) or "none"
        raise SourceError(f"{name}: is no trial (fields: {found}); expected protocolSection, or nct_id and eligibility")
    return record


def _study_fields(study: Fields) -> Fields:
    """The flat fields of a ClinicalTrials.gov API v2 study."""

    def at(*keys: str) -> Any:
        value: Any = study
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    return {
        "nct_id": at("protocolSection", "identificationModule", "nctId"),
        "title": at("protocolSection", "identificationModule", "briefTitle"),
        "eligibility": at("protocolSection", "eligibilityModule", "eligibilityCriteria"),
        "sex": at("protocolSection", "eligibilityModule", "sex"),
        "minimum_age": at("protocolSection", "eligibilityModule", "minimumAge"),
        "maximum_age": at("protocolSection", "eligibilityModule", "maximumAge"),
        "healthy_volunteers": at("protocolSection", "eligibilityModule", "healthyVolunteers"),
        "conditions": at("protocolSection", "conditionsModule", "conditions"),
        "phases": at("protocolSection", "designModule", "phases"),
        "version_date": at("derivedSection", "miscInfoModule", "versionHolder")
        or at("protocolSection", "statusModule", "lastUpdatePostDateStruct", "date"),
    }


# --- XML --------------------------------------------------------------------------------------------------------------

_XML_FIELDS = {
    "id_info/nct_id": "nct_id",
    "brief_title": "title",
    "eligibility/criteria/textblock": "eligibility",
    "eligibility/gender": "sex",
    "eligibility/minimum_age": "minimum_age",
    "eligibility/maximum_age": "maximum_age",
    "eligibility/healthy_volunteers": "healthy_volunteers",
    "condition": "conditions",
    "phase": "phases",
}


class _Studies:
    """The `<clinical_study>` elements that an XML parser has come to, as flat fields; nothing else of them is kept."""

    def __init__(self) -> None:
        self.done: list[Fields] = []
        self.root = ""
        self.open = False  # within a study
        self._path: list[str] = []  # the open elements below the study
        self._field = ""  # the field whose text is being read, `_depth` elements below the study
        self._depth = 0
        self._texts: dict[str, list[io.StringIO]] = {}

    def start(self, tag: str, _: dict[str, str]) -> None:
        if self.open:
            self._path.append(tag)
            if len(self._path) <= 3 and (field := _XML_FIELDS.get("/".join(self._path))):
                self._field, self._depth = field, len(self._path)
                self._texts.setdefault(field, []).append(io.StringIO())
        elif tag == "clinical_study":
            self.open, self._texts = True, {}
        self.root = self.root or tag

    def text(self, data: str) -> None:
        if self._field:
            self._texts[self._field][-1].write(data)

    def end(self, _: str) -> None:
        if self._path:
            if len(self._path) == self._depth:
                self._field, self._depth = "", 0
            self._path.pop()
        elif self.open:
            self.open = False
            texts = {field: [text.getvalue() for text in texts] for field, texts in self._texts.items()}
            self.done.append({field: many if field == "conditions" else many[0] for field, many in texts.items()})


def _parse(parser: expat.XMLParserType, chunk: bytes, name: str) -> SourceError | None:
    """Feeds a chunk to the parser (an empty one ends the file) and returns what is wrong with it."""
    try:
        parser.Parse(chunk, not chunk)
    except expat.ExpatError as error:
        what = f"{expat.ErrorString(error.code)} at line {error.lineno}, column {error.offset + 1}"
        where = f"{what}, byte {parser.ErrorByteIndex}"
        return SourceError(f"{name}: is not well-formed XML ({where}); fetch it again, or save it as UTF-8")
    except (LookupError, ValueError):
        return SourceError(f"{name}: declares an XML encoding that cannot be read; save it as UTF-8")
    except SourceError as error:
        return error
    return None


def _read_xml(stream: IO[bytes], name: str, encoding: str | None) -> Iterator[Result]:
    def refuse(entity: str, *_: object) -> None:
        # An entity of the file's own can stand for gigabytes, and an unknown one would leave a gap in the text.
        raise SourceError(f"{name}: XML entity &{_short(entity)}; is not read; save the file with plain characters")

    studies = _Studies()
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.StartElementHandler = studies.start
    parser.EndElementHandler = studies.end
    parser.CharacterDataHandler = studies.text
    parser.EntityDeclHandler = refuse
    parser.SkippedEntityHandler = refuse

    number = 0
    pending = 0  # bytes since a study was last complete
    chunk = b"-"
    while chunk:
        chunk = stream.read(_CHUNK)
        problem = _parse(parser, chunk, name)
        pending = 0 if studies.done else pending + len(chunk)
        for fields in studies.done:
            number += 1
            place = name if studies.root == "clinical_study" else f"{name}[record {number}]"
            try:
                yield _trial(place, fields)
            except SourceError as error:
                yield error
        studies.done.clear()
        if problem:
            raise problem
        if pending > MAX_RECORD:
            raise SourceError(f"{name}: a study over {MAX_RECORD // 2**20} MiB of XML is not read; leave out its results")
    if not number:
        root = _short(studies.root)
        raise SourceError(f"{name}: is XML without a <clinical_study> (root: <{root}>); fetch the study as JSON")


# --- CSV --------------------------------------------------------------------------------------------------------------


class _RowLines:
    """Lines for a CSV reader, which can be given back: a quote never closed would swallow the rows behind it."""

    def __init__(self, lines: _Lines) -> None:
        self.number = 0  # of the line read last
        self._lines = lines
        self._taken: list[str] = []
        self._again: list[str] = []  # last line first
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.pop()
            self.number += 1
        else:
            try:
                line = next(self._lines)
            finally:
                self.number = self._lines.number
        self._taken.append(line)
        self._size += len(line)
        if self._size > MAX_RECORD:
            raise csv.Error(f"a row over {MAX_RECORD // 2**20} MiB")
        return line

    def new_row(self) -> None:
        self._taken.clear()
        self._size = 0

    def give_back(self) -> None:
        """What was taken for this row will be read again, but for its first line."""
        self._again += reversed(self._taken[1:])
        self.number -= len(self._taken[1:])
        self.new_row()


def _columns(row: Iterable[str]) -> list[str]:
    return [column.strip().casefold().replace(" ", "_") for column in row]


def _delimiter(start: str) -> tuple[str, bool]:
    """What parts the columns of the header line, and whether it is surely the header of a table of trials."""
    line = start.lstrip().partition("\n")[0]
    for delimiter in ",;\t":
        columns = _columns(cell.strip('"') for cell in line.split(delimiter))
        if _has(columns, "eligibility") and len(columns) > 1:
            return delimiter, _has(columns, "nct_id")
    return ",", False


def _has(columns: Iterable[str], field: str) -> bool:
    return any(column in _NAMES[field] for column in columns)


def _header(name: str, row: list[str]) -> list[str]:
    columns = _columns(row)
    known = {column for names in _NAMES.values() for column in names}
    if not _has(columns, "eligibility"):
        found = _list(row)
        raise SourceError(f"{name}: has no column eligibility or criteria (columns: {found}); rename the one with the text")
    if twice := [column for column in known if columns.count(column) > 1]:
        raise SourceError(f"{name}: has the column {min(twice)} more than once; rename or remove one of them")
    return columns


def _read_csv(source: _Lines, name: str, delimiter: str) -> Iterator[Result]:
    lines = _RowLines(source)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    columns: list[str] = []
    first_seen: dict[int, int] = {}  # hash of a row -> its line
    while True:
        lines.new_row()
        line = lines.number + 1
        place = f"{name}:{line}"
        try:
            row = next(rows, None)
            if row is None:
                return
            if not any(row):
                continue
            if not columns:
                columns = _header(name, row)
                continue
            if len(row) != len(columns):
                counts = f"{len(row)} fields where the header has {len(columns)}"
                raise SourceError(f"{place}: has {counts}; put quotes around a field that holds {delimiter!r}")
            repeated = first_seen.setdefault(hash(tuple(row)), line)
            if repeated != line:
                raise SourceError(f"{place}: repeats line {repeated}; remove one of the two")
            yield _trial(place, dict(zip(columns, row, strict=True)))
        except csv.Error as error:
            problem = SourceError(f"{place}: is not a row of CSV ({error}); check the quotes and lengths of its fields")
            if not columns:
                raise problem from None
            lines.give_back()
            yield problem
        except SourceError as error:
            if not columns:  # without its header no row means anything
                raise
            yield error


# --- trials -----------------------------------------------------------------------------------------------------------

# The names a field may have in a flat record, best first.
_NAMES = {
    "nct_id": ("nct_id", "id"),
    "title": ("title", "brief_title"),
    "eligibility": ("eligibility", "criteria"),
    "version_date": ("version_date",),
    "sex": ("sex", "gender"),
    "minimum_age": ("minimum_age", "min_age"),
    "maximum_age": ("maximum_age", "max_age"),
    "healthy_volunteers": ("healthy_volunteers",),
    "conditions": ("conditions", "condition"),
    "phases": ("phases", "phase"),
}


def _trial(name: str, record: Fields) -> Trial:
    """The one place where a source's record becomes a `Trial`."""

    def field(key: str) -> Any:
        return next((value for name in _NAMES[key] if (value := record.get(name)) not in (None, "")), None)

    eligibility = field("eligibility")
    if eligibility is not None and not isinstance(eligibility, str):
        raise SourceError(f"{name}: its eligibility is {_json_type(eligibility)}; expected a string")
    if eligibility is None or not eligibility.strip():
        raise SourceError(f"{name}: has no eligibility text; fetch the trial again, or leave it out")
    if len(eligibility) > MAX_TEXT:
        raise _too_long(name)
    conditions = conditions_of(field("conditions"))
    texts = {key: _text(field(key)) for key in ("nct_id", "title", "version_date")}
    for key, text in [("eligibility", eligibility), *texts.items(), *(("conditions", text) for text in conditions)]:
        _check_unicode(name, key, text)
    return Trial(
        nct_id=texts["nct_id"],
        title=texts["title"],
        eligibility=eligibility,
        sha256=hashlib.sha256(eligibility.encode()).hexdigest(),
        version_date=texts["version_date"],
        sex=sex_of(field("sex")),
        minimum_age=age_of(field("minimum_age")),
        maximum_age=age_of(field("maximum_age")),
        healthy_volunteers=healthy_volunteers_of(field("healthy_volunteers")),
        conditions=conditions,
        phases=phases_of(field("phases")),
        source=name,
    )


def sex_of(value: object) -> Sex | None:
    """Who may take part by sex; None where the registry's value does not say."""
    sexes: dict[str, Sex] = {
        "all": "all",
        "both": "all",
        "a": "all",
        "female": "female",
        "f": "female",
        "male": "male",
        "m": "male",
    }
    return sexes.get(_key(value))


_AGE = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*(?:(year|month|week|day|hour|minute)s?)?(?:\(s\))?")
_AGE_UNITS = {"year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min"}


def age_of(value: object) -> Quantity | None:
    """An age limit with its UCUM unit, years where none is given; None for "N/A" and for what is no age."""
    if isinstance(value, dict):  # our own output
        words = {unit: word for word, unit in _AGE_UNITS.items()}
        value = f"{_key(value.get('value'))} {words.get(_key(value.get('unit')), '?')}"
    found = _AGE.fullmatch(_key(value))
    return Quantity(value=found[1], unit=_AGE_UNITS[found[2] or "year"]) if found else None


def healthy_volunteers_of(value: object) -> bool | None:
    """Whether healthy volunteers are accepted; None where the registry's value does not say."""
    answers = {"true": True, "yes": True, "accepts healthy volunteers": True, "false": False, "no": False}
    return answers.get(_key(value))


_PHASE = re.compile(r"(early[ _]*(?=(?:phase[ _]*)?1))?(?:phase[ _]*)?([0-4]|i{1,3}|iv)")
_PHASES = {"0": "EARLY_PHASE1", "1": "PHASE1", "2": "PHASE2", "3": "PHASE3", "4": "PHASE4"}
_PHASES |= {"i": "PHASE1", "ii": "PHASE2", "iii": "PHASE3", "iv": "PHASE4"}


def phases_of(value: object) -> tuple[str, ...]:
    """The phases in the words of the registry's API v2, "Phase 1/Phase 2" being two; what is no phase is left out."""
    phases = []
    for text in value if isinstance(value, list | tuple) else [value]:
        key = _key(text)
        if key in ("na", "n/a", "not applicable"):
            phases.append("NA")
        for part in re.split(r"[/|;,]|(?<=i)_(?=i)", key):
            if found := _PHASE.fullmatch(part.strip()):
                phases.append(f"EARLY_{_PHASES[found[2]]}" if found[1] else _PHASES[found[2]])
    return tuple(phases)


def conditions_of(value: object) -> tuple[str, ...]:
    """The conditions of a list, or of a string that parts them by `|` or `;` (a comma belongs to the name)."""
    if isinstance(value, str):
        value = value.split("|" if "|" in value else ";")
    parts = value if isinstance(value, list | tuple) else []
    return tuple(part.strip() for part in parts if isinstance(part, str) and part.strip())


def _key(value: object) -> str:
    """A registry value for look-up: lower case, white space folded; numbers and truth values as they are written."""
    return " ".join(str(value).lower().split()) if isinstance(value, str | int | float) else ""


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


# --- messages ---------------------------------------------------------------------------------------------------------


def _too_long(name: str) -> SourceError:
    return SourceError(f"{name}: its text is over {MAX_TEXT:,} characters, and no eligibility text is; give one trial's text")


def _check_unicode(name: str, key: str, text: str | None) -> None:
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        found = ascii(error.object[error.start])[1:-1]
        what = f"a lone surrogate ({found} at position {error.start}), which is half a character"
        raise SourceError(f"{name}: its {key} holds {what}; fetch or save the record again") from None


def _short(text: str, width: int = 40) -> str:
    """`text` for a message: on one line, printable, not long."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= width else text[: width - 1] + "…"


def _list(names: Iterable[object], most: int = 8) -> str:
    shown = [_short(str(name)) for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def _json_type(value: object) -> str:
    words: dict[type, str] = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}
    return words.get(type(value), "null" if value is None else "a number")

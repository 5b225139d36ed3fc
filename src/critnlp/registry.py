"""Trials from ClinicalTrials.gov by their numbers, one request a second, kept on disk for the next time.

    for result in fetch(["NCT00000001", "NCT00000002"]):
        ...  # a Trial, or a SourceError that names the number

The cache is a folder with the registry's answer for each trial, `NCT00000001.json`, as `sources.read` reads it too. An answer
stays there until `refresh=True`: the registry's texts change, and whoever works with offsets wants the text not to.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import platformdirs
import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from critnlp import __version__, sources
from critnlp.errors import SourceError
from critnlp.schema import Trial

API = "https://clinicaltrials.gov/api/v2"
PAUSE = 1.0  # seconds from one request to the next
TIMEOUT = 30.0  # seconds until the registry connects, and between two pieces of its answer
RETRIES = 4
MAX_WAIT = 120.0  # seconds; a registry that says "come back in an hour" is down for this call
MAX_STUDY = 64 * 2**20  # bytes of one answer; the largest studies with results have some MiB

_RETRIED = (429, 500, 502, 503, 504)
_NCT_ID = re.compile(r"NCT[0-9]{8}")

Result = Trial | SourceError
Sleep = Callable[[float], object]


def fetch(
    nct_ids: Iterable[str],
    *,
    base: str = API,
    cache: str | Path | None = None,
    refresh: bool = False,
    pause: float = PAUSE,
    timeout: float = TIMEOUT,
    retries: int = RETRIES,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Iterator[Result]:
    """The trials with these numbers in order; one that cannot be had is yielded as an error, and the rest go on.

    `cache` is a folder, `cache_folder()` if None; `refresh` asks the registry even for what lies there. `pause` and
    `timeout` are seconds. Failed connections, HTTP 429 and 5xx are tried again `retries` times, with doubled waits or
    after the time that the registry gives. `clock` and `sleep` count in seconds. `Trial.source` is the study's address.
    """
    folder = cache_folder() if cache is None else Path(cache)
    fresh: set[str] = set()  # asked for in this call, which `refresh` does once
    waits = [min(pause * 2**attempt, MAX_WAIT) for attempt in range(retries)]
    next_at = clock()
    with requests.Session() as session:
        session.headers["User-Agent"] = f"critnlp/{__version__}"
        session.headers["Accept"] = "application/json"
        adapter = HTTPAdapter(max_retries=_retry(retries, pause, sleep))
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        for given in [nct_ids] if isinstance(nct_ids, str) else nct_ids:
            nct_id = given.strip().upper()
            if not _NCT_ID.fullmatch(nct_id):
                yield SourceError(f"{given[:40]!r}: is no number of the registry; expected NCT and eight digits")
                continue
            study = _Study(nct_id, f"{base.rstrip('/')}/studies/{nct_id}")
            path = folder / f"{nct_id}.json"
            if not refresh or nct_id in fresh:
                kept = _read(path, study)
                if isinstance(kept, Trial):
                    yield kept
                    continue
            try:
                _prepare(folder, nct_id)
                sleep(max(0.0, next_at - clock()))
                next_at = clock() + pause
                yield _keep(_download(session, study, timeout, waits, sleep), path, study)
                fresh.add(nct_id)
            except SourceError as error:
                yield error


def cache_folder() -> Path:
    """The folder of this user's cache where studies are kept; it need not exist yet."""
    return platformdirs.user_cache_path("critnlp", appauthor=False) / "studies"


class _Study(NamedTuple):
    nct_id: str
    url: str


# --- the registry -----------------------------------------------------------------------------------------------------


def _retry(retries: int, pause: float, sleep: Sleep) -> Retry:
    class Patient(Retry):
        """urllib3's own first retry comes at once, and its waits can be neither bounded nor counted."""

        def get_backoff_time(self) -> float:
            return max(pause, super().get_backoff_time())

        def sleep(self, response: BaseHTTPResponse | None = None) -> None:
            wait: float | None = None
            if response is not None:
                with suppress(InvalidHeader):
                    wait = self.get_retry_after(response)
            sleep(min(max(self.get_backoff_time(), wait or 0.0), MAX_WAIT))

    return Patient(total=retries, backoff_factor=pause, status_forcelist=_RETRIED, allowed_methods=["GET"], raise_on_status=False)


def _download(session: requests.Session, study: _Study, timeout: float, waits: Sequence[float], sleep: Sleep) -> bytes:
    """The registry's answer; whatever hinders it raises a `SourceError`."""
    try:
        for wait in waits:
            try:
                return _answer(session, study, timeout)
            except requests.exceptions.ChunkedEncodingError:  # it broke off, which urllib3 does not try again
                sleep(wait)
        return _answer(session, study, timeout)
    except requests.RequestException as error:
        what = f"the registry cannot be reached ({_why(error, timeout)})"
        raise SourceError(f"{study.nct_id}: {what}; check the network and {study.url}, or try again later") from None


def _answer(session: requests.Session, study: _Study, timeout: float) -> bytes:
    with session.get(study.url, timeout=timeout, stream=True) as response:
        if response.status_code == 404:
            raise SourceError(f"{study.nct_id}: is not in the registry ({study.url}); check the number")
        if response.status_code != 200:
            what = f"HTTP {response.status_code} {response.reason or ''}".strip()
            raise SourceError(f"{study.nct_id}: the registry answers {what} ({study.url}); try again later")
        data = bytearray()
        for chunk in response.iter_content(2**16):
            data += chunk
            if len(data) > MAX_STUDY:
                raise SourceError(f"{study.nct_id}: its study has over {MAX_STUDY // 2**20} MiB; check the address {study.url}")
        return bytes(data)


def _why(error: requests.RequestException, timeout: float) -> str:
    """What went wrong, in a few words; requests nests it in one exception after the other."""
    name = type(error).__name__
    text = str(error)
    if "timed out" in text:
        return f"no answer within {timeout:g} s"
    for sign, words in [
        ("refused", "connection refused"),
        ("NameResolution", "its name is not known"),
        ("CERTIFICATE", "its certificate is not trusted"),
        ("IncompleteRead", "the answer broke off"),
        ("aborted", "connection closed"),
        ("reset", "connection reset"),
    ]:
        if sign in text:
            return words
    return name


# --- the cache --------------------------------------------------------------------------------------------------------


def _prepare(folder: Path, nct_id: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, nct_id, error) from None


def _not_writable(folder: Path, nct_id: str, error: OSError) -> SourceError:
    return SourceError(f"{nct_id}: the cache {_shown(folder)} cannot be written ({error.strerror}); choose another folder")


def _keep(data: bytes, path: Path, study: _Study) -> Result:
    """The trial of an answer, which goes into the cache, and only whole, if it holds one."""
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".json", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
        result = _read(temporary, study)
        if isinstance(result, Trial):
            os.replace(temporary, path)  # noqa: PTH105 (Path.replace says the same in other words)
        return result
    except OSError as error:
        return _not_writable(path.parent, study.nct_id, error)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _read(path: Path, study: _Study) -> Result:
    """The trial in a file of the cache; the file's name, which means nothing to the caller, is left out of the error."""
    result = next(sources.read([str(path)]))
    if isinstance(result, SourceError):
        return SourceError(f"{study.nct_id}{str(result).removeprefix(_shown(path))}")
    if result.nct_id != study.nct_id:
        return SourceError(
            f"{study.nct_id}: the registry answers with {result.nct_id or 'no number'}; ask for the trial by that one"
        )
    return result.model_copy(update={"source": study.url})


def _shown(path: Path) -> str:
    """A path as `sources` writes it into its errors."""
    return str(path) if str(path).isprintable() else ascii(str(path))[1:-1]

"""The registry's client against a server of this machine that behaves as the registry does, or badly on purpose."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from critnlp import __version__, registry
from critnlp.errors import SourceError
from critnlp.registry import cache_folder, fetch
from critnlp.schema import Trial

TEXT = "Inclusion Criteria:\n\n* Age \\>= 18 years\n* Able to walk 10 m\n"


def study(nct_id: str, text: str | None = TEXT) -> bytes:
    eligibility = {"sex": "ALL", "minimumAge": "18 Years"} | ({"eligibilityCriteria": text} if text is not None else {})
    identity = {"nctId": nct_id, "briefTitle": "Walking"}
    return json.dumps({"protocolSection": {"identificationModule": identity, "eligibilityModule": eligibility}}).encode()


class Registry:
    """What the server is to answer, request by request: a handler's method, or None for the study itself."""

    def __init__(self) -> None:
        self.base = ""
        self.asked: list[str] = []
        self.agents: list[str] = []
        self.script: dict[str, list[Callable[[BaseHTTPRequestHandler], None]]] = {}
        self.texts: dict[str, str] = {}
        self.closing = threading.Event()

    def plan(self, nct_id: str, *answers: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.script[nct_id] = list(answers)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        nct_id = handler.path.rpartition("/")[2]
        self.asked.append(nct_id)
        self.agents.append(handler.headers["User-Agent"])
        if not handler.path.startswith("/api/v2/studies/NCT"):
            send(handler, 400, b"no such path")
        elif planned := self.script.get(nct_id):
            planned.pop(0)(handler)
        else:
            send(handler, 200, study(nct_id, self.texts.get(nct_id, TEXT)))


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: send(handler, code, b"{}", **headers)


def body(data: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: send(handler, 200, data)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def break_off(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, study("NCT00000001")[:40], Content_Length="4000")
    handler.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.base = f"http://127.0.0.1:{http.server_address[1]}/api/v2"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield state
        state.closing.set()
        http.shutdown()
        thread.join()


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if seconds:
            self.slept.append(seconds)


def ask(server: Registry, cache: Path, *nct_ids: str, clock: Clock | None = None, **options: Any) -> list[Trial | SourceError]:
    clock = clock or Clock()
    given: dict[str, Any] = {
        "base": server.base,
        "cache": cache,
        "clock": lambda: clock.now,
        "sleep": clock.sleep,
        "timeout": 20.0,
    } | options
    return list(fetch(nct_ids, **given))


def outcomes(results: list[Trial | SourceError], server: Registry) -> list[str]:
    """The number of each trial, or its error without the server's address."""
    return [str(r.nct_id) if isinstance(r, Trial) else str(r).replace(server.base, "BASE") for r in results]


# --- what comes back --------------------------------------------------------------------------------------------------


def test_a_trial_with_its_address_and_its_text_as_it_is(server: Registry, tmp_path: Path) -> None:
    (trial,) = ask(server, tmp_path, " nct00000001\n")
    assert isinstance(trial, Trial)
    assert (trial.nct_id, trial.eligibility, trial.title) == ("NCT00000001", TEXT, "Walking")
    assert trial.source == f"{server.base}/studies/NCT00000001"
    assert server.agents == [f"critnlp/{__version__}"]


def test_trials_come_in_order_with_the_bad_ones_among_them(server: Registry, tmp_path: Path) -> None:
    server.plan("NCT00000004", status(404))
    server.plan("NCT00000006", body(study("NCT00000006", None)))
    server.plan("NCT00000007", body(study("NCT00000070")))
    numbers = [f"NCT0000000{n}" for n in range(3, 8)]
    assert outcomes(ask(server, tmp_path, numbers[0], "NCT5", "", *numbers[1:], "../NCT00000009"), server) == [
        "NCT00000003",
        "'NCT5': is no number of the registry; expected NCT and eight digits",
        "'': is no number of the registry; expected NCT and eight digits",
        "NCT00000004: is not in the registry (BASE/studies/NCT00000004); check the number",
        "NCT00000005",
        "NCT00000006: has no eligibility text; fetch the trial again, or leave it out",
        "NCT00000007: the registry answers with NCT00000070; ask for the trial by that one",
        "'../NCT00000009': is no number of the registry; expected NCT and eight digits",
    ]
    assert server.asked == numbers
    assert sorted(path.name for path in tmp_path.iterdir()) == ["NCT00000003.json", "NCT00000005.json"]


def test_results_come_one_by_one(server: Registry, tmp_path: Path) -> None:
    results = fetch(["NCT00000001", "NCT00000002"], base=server.base, cache=tmp_path)
    next(results)
    assert server.asked == ["NCT00000001"]


def test_one_number_alone_is_no_list_of_letters(server: Registry, tmp_path: Path) -> None:
    assert len(list(fetch("NCT00000001", base=server.base + "/", cache=tmp_path))) == 1
    assert server.asked == ["NCT00000001"]


# --- a registry that fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "waits"),
    [
        ([status(500), status(500)], [1, 2]),
        ([status(503), status(502), status(504)], [1, 2, 4]),
        ([status(429, Retry_After="7")], [7]),
        ([status(503, Retry_After="7")], [7]),
        ([status(429, Retry_After="soon")], [1]),
        ([status(429, Retry_After="86400")], [registry.MAX_WAIT]),
        ([status(429, Retry_After="0")], [1]),
        ([hang_up], [1]),
        ([hang_up, status(500), hang_up], [1, 2, 4]),
        ([break_off], [1]),
        ([break_off, status(500)], [1, 1]),
    ],
)
def test_what_passes_is_tried_again(
    server: Registry, tmp_path: Path, answers: list[Callable[[BaseHTTPRequestHandler], None]], waits: list[float]
) -> None:
    server.plan("NCT00000001", *answers)
    clock = Clock()
    assert outcomes(ask(server, tmp_path, "NCT00000001", clock=clock), server) == ["NCT00000001"]
    assert len(server.asked) == len(answers) + 1
    assert clock.slept == waits


@pytest.mark.parametrize(
    ("answer", "times", "problem"),
    [
        (status(500), 3, "the registry answers HTTP 500 Internal Server Error (URL); try again later"),
        (status(429, Retry_After="5"), 3, "the registry answers HTTP 429 Too Many Requests (URL); try again later"),
        (status(403), 1, "the registry answers HTTP 403 Forbidden (URL); try again later"),
        (hang_up, 3, "the registry cannot be reached (connection closed); check the network and URL, or try again later"),
        (break_off, 3, "the registry cannot be reached (the answer broke off); check the network and URL, or try again later"),
        (body(study("NCT00000001")[:80]), 1, "is not JSON ("),
        (body(b""), 1, "is empty; expected the text or the records of trials"),
        (body(b"\xff\xfe{"), 1, "is not UTF-16 (byte "),
        (body(b"[]"), 1, "is a list without any study; check the search behind it"),
        (body(b"7"), 1, "is JSON but no trial (a number); expected an object"),
        (body(b"<html><body>Maintenance</body></html>"), 1, "is a web page; fetch the study as JSON"),
    ],
)
def test_what_stays_broken_is_an_error_and_the_rest_goes_on(
    server: Registry, tmp_path: Path, answer: Callable[[BaseHTTPRequestHandler], None], times: int, problem: str
) -> None:
    server.plan("NCT00000001", *[answer] * 9)
    first, second = outcomes(ask(server, tmp_path, "NCT00000001", "NCT00000002", retries=2), server)
    assert first.replace("BASE/studies/NCT00000001", "URL").startswith(f"NCT00000001: {problem}")
    assert first.isprintable()
    assert second == "NCT00000002"
    assert server.asked == ["NCT00000001"] * times + ["NCT00000002"]
    assert [path.name for path in tmp_path.iterdir()] == ["NCT00000002.json"]


def test_an_answer_that_takes_too_long(server: Registry, tmp_path: Path) -> None:
    def say_nothing(_: BaseHTTPRequestHandler) -> None:
        server.closing.wait(20)

    server.plan("NCT00000001", say_nothing, say_nothing)
    first, second = outcomes(ask(server, tmp_path, "NCT00000001", "NCT00000002", retries=1, timeout=0.25), server)
    assert first.startswith("NCT00000001: the registry cannot be reached (no answer within 0.25 s); check the network and BASE")
    assert second == "NCT00000002"


def test_an_answer_without_end(server: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_STUDY", 2**20)
    server.plan("NCT00000001", body(b" " * (2**20 + 1)))
    (error,) = outcomes(ask(server, tmp_path, "NCT00000001"), server)
    assert error == "NCT00000001: its study has over 1 MiB; check the address BASE/studies/NCT00000001"


@pytest.mark.parametrize("base", ["http://127.0.0.1:{port}", "htp://127.0.0.1", "http://", "nonsense", ""])
def test_no_registry_at_all(tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        base = base.format(port=taken.getsockname()[1])
        results = list(fetch(["NCT00000001", "NCT00000002"], base=base, cache=tmp_path, sleep=lambda _: None))
    assert [str(result)[:45] for result in results] == [f"NCT0000000{n}: the registry cannot be reached (" for n in (1, 2)]


# --- a polite pace ----------------------------------------------------------------------------------------------------


def test_requests_are_a_second_apart_and_what_the_caller_took_counts(server: Registry, tmp_path: Path) -> None:
    clock = Clock()
    numbers = [f"NCT0000000{n}" for n in range(1, 5)]
    given: dict[str, Any] = {"clock": lambda: clock.now, "sleep": clock.sleep}
    results = fetch(numbers, base=server.base, cache=tmp_path, **given)
    for took in (0.0, 0.25, 5.0, 0.0):
        next(results)
        clock.now += took
    assert clock.slept == [1, 0.75]


def test_what_lies_in_the_cache_comes_without_waiting(server: Registry, tmp_path: Path) -> None:
    ask(server, tmp_path, "NCT00000001", "NCT00000002")
    clock = Clock()
    found = ask(server, tmp_path, "NCT00000001", "NCT00000002", clock=clock)
    assert outcomes(found, server) == ["NCT00000001", "NCT00000002"]
    assert clock.slept == []
    assert len(server.asked) == 2


# --- the cache --------------------------------------------------------------------------------------------------------


def test_the_cache_keeps_what_the_registry_said_byte_for_byte_until_it_is_refreshed(server: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet" / "there"
    (first,) = ask(server, folder, "NCT00000001")
    assert (folder / "NCT00000001.json").read_bytes() == study("NCT00000001")
    server.texts["NCT00000001"] = "Age over 21"
    assert ask(server, folder, "NCT00000001") == [first]
    (new, again) = ask(server, folder, "NCT00000001", "NCT00000001", refresh=True)
    assert isinstance(new, Trial)
    assert new.eligibility == "Age over 21"
    assert again == new
    assert ask(server, folder, "NCT00000001") == [new]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", study("NCT00000001")[:50], study("NCT00000002"), study("NCT00000001", None), b"\xff"]
)
def test_a_broken_file_of_the_cache_is_fetched_again(server: Registry, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "NCT00000001.json").write_bytes(content)
    assert outcomes(ask(server, tmp_path, "NCT00000001"), server) == ["NCT00000001"]
    assert server.asked == ["NCT00000001"]
    assert (tmp_path / "NCT00000001.json").read_bytes() == study("NCT00000001")


def test_a_bad_answer_leaves_the_good_one_that_is_kept(server: Registry, tmp_path: Path) -> None:
    (good,) = ask(server, tmp_path, "NCT00000001")
    server.plan("NCT00000001", body(b"{"))
    (bad,) = ask(server, tmp_path, "NCT00000001", refresh=True)
    assert isinstance(bad, SourceError)
    assert ask(server, tmp_path, "NCT00000001") == [good]


def test_a_cache_that_cannot_be_written(server: Registry, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    (error,) = outcomes(ask(server, file / "cache", "NCT00000001"), server)
    assert error == f"NCT00000001: the cache {file / 'cache'} cannot be written (Not a directory); choose another folder"
    assert server.asked == []


def test_the_cache_is_the_users_own_unless_told(server: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / name)
    list(fetch(["NCT00000001"], base=server.base))
    assert cache_folder() == tmp_path / "critnlp" / "studies"
    assert [path.name for path in cache_folder().iterdir()] == ["NCT00000001.json"]

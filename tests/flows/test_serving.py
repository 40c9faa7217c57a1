"""The server that codes while somebody types, as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlstats import model_store
from mlstats.coding import LinearText
from mlstats.coding.arm import method_frame
from mlstats.method import predict_top
from mlstats.pilot_files import load_pilot
from tests.flows.canary import find, publishable
from tests.production_example import Office, appoint, office, terms_of

pytestmark = pytest.mark.xdist_group("serving")

REPOSITORY = Path(__file__).parents[2]
THRESHOLD = 0.6
PLANTED = "Zebulon Quackenbush"
JSON = {"Content-Type": "application/json"}


@dataclass
class Server:
    """A running server and the project behind it."""

    office: Office
    newer: str  # digest of a version that nobody has decided on yet
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    inputs: set[Path]

    def ask(
        self,
        verb: str,
        address: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return status and content of an answer."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            return told(client, verb, address, body, headers)
        finally:
            client.close()


def told(
    client: http.client.HTTPConnection,
    verb: str,
    address: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    client.request(verb, address, raw, JSON | (headers or {}))
    answer = client.getresponse()
    return answer.status, json.loads(answer.read())


def command(project: Path, *words: str, output: Any) -> subprocess.Popen[bytes]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLSTATS_", "PREFECT_", "MLFLOW_"))
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), f"{REPOSITORY}/src"])
    return subprocess.Popen(
        [sys.executable, "-m", "mlstats", "serve", "diaries", *words],
        cwd=project,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def running(made: Office, newer: str, log: Path) -> Iterator[Server]:
    project = made.settings.project
    inputs = {path for path in project.rglob("*") if path.is_file()}
    with log.open("wb") as output:
        process = command(project, output=output)
    try:
        end = time.monotonic() + 180
        while b"Ctrl-C" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        address = next(w for w in log.read_text().split() if w.startswith("http://"))
        port = int(address.rpartition(":")[2])
        yield Server(made, newer, process, port, log, inputs)
    finally:
        process.terminate()
        process.wait(timeout=60)


def stored_newer(made: Office) -> str:
    """Store a model that has learnt from other periods."""
    pilot = load_pilot("diaries", project=made.settings.project)
    files = [made.settings.project / f"data/products_2026-0{m}.csv" for m in (1, 2)]
    more = pd.concat([pd.read_csv(path, dtype=str) for path in files])
    X = method_frame(more.reset_index(drop=True), pilot.data.roles)
    method = LinearText(random_state=1).fit(X, more["coicop_clerk"])
    terms = terms_of(made.index, THRESHOLD)
    return model_store.store(
        method, list(X.columns), made.settings.confidential, terms=terms
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLSTATS_DATA", raising=False)
        made = office(folder / "project", threshold=THRESHOLD)
    newer = stored_newer(made)
    appoint(made.settings, made.linear, "production")
    with running(made, newer, folder / "server.log") as one:
        yield one


def records(server: Server, n: int) -> list[dict[str, Any]]:
    """Return texts of a period that no version has learnt from."""
    path = server.office.settings.project / "data/products_2026-03.csv"
    frame = pd.read_csv(path, dtype=str)[["description", "shop_type"]]
    frame = frame.drop_duplicates().head(n)
    return [
        {"text": text, "auxiliary": {"shop_type": shop}}
        for text, shop in frame.itertuples(index=False)
    ]


def own(server: Server, digest: str, asked: list[dict[str, Any]], k: int) -> Any:
    """Return what a model itself answers."""
    stored = model_store.load(digest, server.office.settings.confidential)
    rows = [{"text": one["text"], **one["auxiliary"]} for one in asked]
    return predict_top(stored.method, pd.DataFrame(rows)[stored.columns], k)


# -- answers -----------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 10])
def test_a_batch_is_answered_as_by_the_model_itself(server: Server, k: int) -> None:
    asked = records(server, 200)
    status, found = server.ask("POST", "/v1/code/batch", {"records": asked, "k": k})
    codes, scores = own(server, server.office.linear, asked, k)
    assert status == 200
    assert found["candidates"] == codes.tolist()
    assert found["scores"] == pytest.approx(scores, rel=1e-12)
    assert found["model"]["role"] == "champion"
    assert found["model"]["version"] == 1
    given = {code for row in codes for code in row if code is not None}
    assert set(found["titles"]) >= given


def test_a_text_reaches_a_clerk_below_the_threshold_of_the_version(
    server: Server,
) -> None:
    asked = records(server, 60)
    codes, scores = own(server, server.office.linear, asked, 5)
    sure = scores[:, 0] >= THRESHOLD
    assert 5 < sure.sum() < 55  # both happen
    for one, code, score, taken in zip(asked, codes, scores, sure, strict=True):
        status, found = server.ask("POST", "/v1/code", one)
        assert status == 200
        assert found["abstained"] == (not taken)
        assert found["route"] == ("automatic" if taken else "queue")
        assert found["code"] == (code[0] if taken else None)
        assert found["depth"] == ("full" if taken else None)
        assert [c["code"] for c in found["candidates"]] == code.tolist()
        assert [c["score"] for c in found["candidates"]] == pytest.approx(score)


def as_columns(asked: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {
        "text": [one["text"] for one in asked],
        "shop_type": [one["auxiliary"].get("shop_type") for one in asked],
    }


def test_columns_are_answered_as_the_same_records(server: Server) -> None:
    asked = records(server, 100)
    asked[3]["auxiliary"] = {}
    asked[7]["auxiliary"] = {"shop_type": 4}
    one = server.ask("POST", "/v1/code/batch", {"records": asked})
    two = server.ask("POST", "/v1/code/batch", {"columns": as_columns(asked)})
    assert one[0] == 200
    assert one == two
    texts = {"text": [one["text"] for one in asked]}
    status, found = server.ask("POST", "/v1/code/batch", {"columns": texts, "k": 2})
    bare = [{"text": text} for text in texts["text"]]
    again = server.ask("POST", "/v1/code/batch", {"records": bare, "k": 2})
    assert (status, found) == again


def test_a_large_batch_keeps_its_order(server: Server) -> None:
    few = records(server, 150)
    asked = (few * 20)[:2_500]
    status, found = server.ask("POST", "/v1/code/batch", {"records": asked, "k": 1})
    codes, _ = own(server, server.office.linear, few, 1)
    assert status == 200
    assert found["candidates"] == (codes.tolist() * 20)[:2_500]


def test_a_code_is_told_with_what_lies_above_and_below(server: Server) -> None:
    status, found = server.ask("GET", "/v1/classification/01.1.1")
    assert status == 200
    assert found["title"] == "Grain and grain products"
    assert [one["code"] for one in found["ancestors"]] == ["01", "01.1"]
    children = [one["code"] for one in found["children"]]
    assert "01.1.1.3" in children
    assert all(code.startswith("01.1.1.") for code in children)


def test_health_readiness_and_the_description(server: Server) -> None:
    assert server.ask("GET", "/health") == (200, {"alive": True})
    status, found = server.ask("GET", "/ready")
    assert (status, found["ready"]) == (200, True)
    assert found["model"]["label"].startswith("linear v1@")
    status, found = server.ask("GET", "/openapi.json")
    body = found["paths"]["/v1/code"]["post"]["requestBody"]["content"]
    schema = body["application/json"]["schema"]
    assert schema["additionalProperties"] is False
    assert "shop_type" in schema["properties"]["auxiliary"]["properties"]
    assert server.ask("GET", "/docs")[0] == 404  # its page comes from a network


# -- what is refused ---------------------------------------------------------------

CODE, BATCH = "/v1/code", "/v1/code/batch"
TEXT = {"text": PLANTED}
COLUMN = {"text": "a", "auxiliary": {PLANTED: 1}}
LISTS = {"text": "a", "auxiliary": {"shop_type": [PLANTED]}}
LONG = b'{"text": "' + b"Quackenbush" * 400_000
MIXED = {"records": [TEXT, {"text": 1}, TEXT]}
UNEVEN = {"columns": {"text": [PLANTED, "a"], "shop_type": [PLANTED]}}
BOTH = {"records": [TEXT], "columns": {"text": [PLANTED]}}
UNKNOWN = {"columns": {"text": [PLANTED], PLANTED: [1]}}
NO_TEXT = {"columns": {"shop_type": [PLANTED]}}
REBOUND = {"Host": "evil.example:8000"}
BAD: list[tuple[str, str, str, object, dict[str, str], int]] = [
    ("no JSON", "POST", CODE, f"{{'text': '{PLANTED}'}}".encode(), {}, 422),
    ("an end too early", "POST", CODE, f'{{"text": "{PLANTED}'.encode(), {}, 422),
    ("no text at all", "POST", CODE, b"", {}, 422),
    ("no UTF-8", "POST", CODE, b'{"text": "Quackenbush \xff"}', {}, 422),
    ("half a surrogate", "POST", CODE, b'{"text": "Quackenbush \\ud800"}', {}, 422),
    ("nested too deep", "POST", CODE, b"[" * 5_000, {}, 422),
    ("a list", "POST", CODE, [TEXT], {}, 422),
    ("a text that is a list", "POST", CODE, {"text": [PLANTED]}, {}, 422),
    ("a number as text", "POST", CODE, {"text": 98765432109}, {}, 422),
    ("an unknown field", "POST", CODE, {"text": "milk", PLANTED: 1}, {}, 422),
    ("an unknown column", "POST", CODE, COLUMN, {}, 422),
    ("a column of lists", "POST", CODE, LISTS, {}, 422),
    ("a text too long", "POST", CODE, {"text": PLANTED * 500}, {}, 422),
    ("k as a word", "POST", CODE, {**TEXT, "k": PLANTED}, {}, 422),
    ("k too large", "POST", CODE, {**TEXT, "k": 11}, {}, 422),
    ("k of nothing", "POST", CODE, {**TEXT, "k": 0}, {}, 422),
    ("no record", "POST", BATCH, {"records": []}, {}, 422),
    ("too many records", "POST", BATCH, {"records": [TEXT] * 5_001}, {}, 422),
    ("one bad record of three", "POST", BATCH, MIXED, {}, 422),
    ("columns of two lengths", "POST", BATCH, UNEVEN, {}, 422),
    ("columns and records", "POST", BATCH, BOTH, {}, 422),
    ("neither of them", "POST", BATCH, {"k": 3}, {}, 422),
    ("a column nobody knows", "POST", BATCH, UNKNOWN, {}, 422),
    ("columns without a text", "POST", BATCH, NO_TEXT, {}, 422),
    ("an empty column", "POST", BATCH, {"columns": {"text": []}}, {}, 422),
    ("too long a column", "POST", BATCH, {"columns": {"text": ["a"] * 5_001}}, {}, 422),
    ("a single text as batch", "POST", BATCH, TEXT, {}, 422),
    ("a body too long", "POST", CODE, LONG, {}, 413),
    ("another type", "POST", CODE, TEXT, {"Content-Type": "text/plain"}, 415),
    ("text in the query", "GET", f"{CODE}?text=Quackenbush", None, {}, 405),
    ("an unknown code", "GET", "/v1/classification/Quackenbush", None, {}, 404),
    ("an unknown address", "GET", "/Quackenbush", None, {}, 404),
    ("another host", "GET", "/health", None, {"Host": "quackenbush.example"}, 400),
    ("another host, right port", "POST", CODE, TEXT, REBOUND, 400),
    ("another site", "POST", CODE, TEXT, {"Sec-Fetch-Site": "cross-site"}, 403),
    ("another origin", "POST", CODE, TEXT, {"Origin": "http://zebulon.example"}, 403),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "address", "body", "headers", "status"),
    [pytest.param(*case, id=name) for name, *case in BAD],
)
def test_what_cannot_be_answered_gets_a_reason_without_the_content(
    server: Server,
    verb: str,
    address: str,
    body: object,
    headers: dict[str, str],
    status: int,
) -> None:
    found, content = server.ask(verb, address, body, headers)
    assert found == status, content
    assert len(content["error"]) > 10
    said = json.dumps(content).lower()
    assert not any(w in said for w in ("quackenbush", "zebulon", "98765432109"))
    if status == 422:
        assert all(one["reason"] for one in content["details"])


def test_a_reason_tells_the_place(server: Server) -> None:
    body = {"records": [{"text": "a"}, {"text": "b"}, {"text": 3}]}
    _, found = server.ask("POST", BATCH, body)
    assert found["details"] == [
        {"where": "records.2.text", "reason": "Input should be a valid string"}
    ]


def test_a_column_of_another_length_is_named(server: Server) -> None:
    _, found = server.ask("POST", BATCH, UNEVEN)
    said = "its number of values is not that of text, 2"
    assert found["details"] == [{"where": "columns.shop_type", "reason": said}]


def test_a_body_without_a_length_is_not_read_beyond_the_limit(server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    client.putrequest("POST", CODE)
    client.putheader("Content-Type", "application/json")
    client.putheader("Transfer-Encoding", "chunked")
    client.endheaders()
    part = b"x" * 2**20
    try:
        for _ in range(5):
            client.send(b"%x\r\n%s\r\n" % (len(part), part))
        client.send(b"0\r\n\r\n")
    except OSError:
        pass  # the server has hung up already, its answer lies there
    assert client.getresponse().status == 413
    client.close()


def test_no_page_of_another_origin_may_read_or_ask(server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    client.request("OPTIONS", CODE, headers={
        "Origin": "http://evil.example", "Access-Control-Request-Method": "POST",
    })  # fmt: skip
    answer = client.getresponse()
    named = [name.lower() for name, _ in answer.getheaders()]
    assert answer.status == 403
    assert not any(name.startswith("access-control") for name in named)
    client.close()


def test_nothing_that_was_sent_is_in_a_log_or_a_file(server: Server) -> None:
    for _ in range(3):
        assert server.ask("POST", CODE, TEXT)[0] == 200
    assert server.ask("POST", BATCH, {"records": [TEXT]})[0] == 200
    server.ask("GET", "/v1/classification/Quackenbush?name=Zebulon")
    log = server.log.read_text()
    assert "POST /v1/code 200" in log
    assert "GET /v1/classification/{code} 404" in log
    project = server.office.settings.project
    files = [*publishable(project, server.inputs), server.log]
    assert find(["quackenbush", "zebulon"], files) == []


# -- a new champion ----------------------------------------------------------------


def test_a_new_champion_is_taken_up_under_load_without_a_lost_request(
    server: Server,
) -> None:
    asked = records(server, 40)
    heard: list[list[tuple[int, int, int, Any]]] = [[] for _ in range(8)]
    ending = threading.Event()

    def work(place: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        turn = place
        while not ending.is_set():
            turn = (turn + 1) % len(asked)
            status, found = told(client, "POST", CODE, asked[turn])
            version = found["model"]["version"] if status == 200 else 0
            heard[place].append((status, version, turn, found))
        client.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(heard))]
    for one in threads:
        one.start()
    try:
        wait(lambda: all(len(one) > 5 for one in heard))
        appoint(server.office.settings, server.newer, "production", version=2)
        wait(lambda: all(sum(row[1] == 2 for row in one) > 5 for one in heard))
    finally:
        ending.set()
        for one in threads:
            one.join(timeout=60)
    rows = [row for one in heard for row in one]
    assert {row[0] for row in rows} == {200}
    digests = {1: server.office.linear, 2: server.newer}
    best = {v: own(server, d, asked, 5)[1][:, 0] for v, d in digests.items()}
    assert (best[1] != best[2]).any()
    for _, version, turn, found in rows:
        assert found["candidates"][0]["score"] == pytest.approx(best[version][turn])
    for one in heard:  # nobody is answered by the old one after the new one
        assert [row[1] for row in one] == sorted(row[1] for row in one)


def wait(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.05)


# -- start and end -----------------------------------------------------------------


def test_a_request_that_has_begun_is_answered_before_the_end(
    server: Server, tmp_path: Path
) -> None:
    with (
        running(server.office, server.newer, tmp_path / "server.log") as one,
        socket.create_connection(("127.0.0.1", one.port), timeout=60) as client,
    ):
        body = json.dumps({"text": "milk"}).encode()
        client.sendall(
            b"POST /v1/code HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert b"100 Continue" in client.recv(1_000)  # it has begun
        one.process.send_signal(signal.SIGTERM)
        wait(lambda: refused(one.port))
        client.sendall(body)
        assert client.recv(100_000).startswith(b"HTTP/1.1 200")
        assert one.process.wait(timeout=60) == 0
        assert one.log.read_text().endswith("stopped\n")
        assert "Traceback" not in one.log.read_text()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False


def test_a_port_that_is_taken_is_told(server: Server) -> None:
    project = server.office.settings.project
    process = command(project, f"--port={server.port}", output=subprocess.PIPE)
    said = process.communicate(timeout=180)[0].decode()
    assert process.returncode == 2
    assert f"The port {server.port} is taken" in said
    assert "--port" in said

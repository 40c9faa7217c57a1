"""The page for clerical review in a real browser, its server a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlstats.evaluate import keyed, project_key
from mlstats.review_rows import open_period
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import load_settings
from tests.flows.canary import find, publishable
from tests.flows.conftest import PATIENCE
from tests.ports import free_port
from tests.review_example import NAME, PERIOD, Desk, desk

pytestmark = pytest.mark.xdist_group("review page")
REPOSITORY = Path(__file__).parents[2]
WORDS = ["açúcar", "ржаной", "القمح", "全麥麵包", "रोटी", "unit-0", "=sum(a1"]


@dataclass
class Server:
    """A running server and its log."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.address.rpartition("/#")[0].rpartition(":")[2])

    @property
    def secret(self) -> str:
        return self.address.rpartition("#")[2]

    def ask(
        self, place: str, body: object = None, verb: str = "POST", **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, content and headers of an answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", "X-Review-Secret": self.secret}
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            client.request(verb, place, raw, sent | named)
            answer = client.getresponse()
            told = {k.lower(): v for k, v in answer.getheaders()}
            content = answer.read()
            kind = told.get("content-type", "")
            found = json.loads(content) if "json" in kind else content.decode()
            return answer.status, found, told
        finally:
            client.close()


@contextmanager
def serving(at: Desk, log: Path, *words: str) -> Iterator[Server]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLSTATS_", "PREFECT_", "MLFLOW_"))
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), f"{REPOSITORY}/src"])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlstats", "review", "serve", NAME, PERIOD, *words],
            cwd=at.settings.project,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + 180
        while b"Ctrl-C" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        address = next(w for w in log.read_text().split() if w.startswith("http://"))
        yield Server(process, address, log)
    finally:
        process.terminate()
        process.wait(timeout=60)


class Visit:
    """A page with all that it asked for, was told and complained about."""

    def __init__(self, browser: Any, address: str, width: int = 1200) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.answers: list[str] = []
        self.page = browser.new_context(
            viewport={"width": width, "height": 900}
        ).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.open(address)

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.page.locator("#unit, #end").locator("visible=true").wait_for()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def text(self) -> str:
        return str(self.page.locator("#fields dd.text").text_content())

    @property
    def said(self) -> str:
        return self.page.locator("#said").inner_text()

    def far(self) -> tuple[int, int]:
        """Return how many are coded and left, as the page tells."""
        words = self.page.locator("#far").inner_text().split()
        return int(words[0]), int(words[2])

    def suggested(self) -> list[str]:
        return list(self.page.locator("#candidates .code").all_inner_texts())

    def await_done(self, n: int) -> None:
        self.page.wait_for_function(
            "n => document.getElementById('far').textContent.startsWith(n + ' coded')",
            arg=str(n),
        )

    def code(self, code: str) -> None:
        """Type a code as fast as it goes."""
        self.press("/")
        self.page.keyboard.type(code)
        self.press("Enter")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(tmp_path_factory.mktemp("desk"), 240)


@pytest.fixture
def at_desk(made: Desk, tmp_path: Path) -> Desk:
    project = tmp_path / "a project"
    shutil.copytree(made.settings.project, project)
    return replace(made, settings=load_settings(project=project))


@pytest.fixture(scope="module")
def server(
    made: Desk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Desk]]:
    folder = tmp_path_factory.mktemp("asked")
    shutil.copytree(made.settings.project, folder / "project")
    at = replace(made, settings=load_settings(project=folder / "project"))
    with serving(at, folder / "log", "--coder", "kim") as one:
        yield one, at


def reviews(at: Desk) -> pd.DataFrame:
    return ReviewStore(at.settings.database).read(NAME, PERIOD)


def texts(at: Desk) -> dict[str, str]:
    """Return the text of each unit, by its hash."""
    frame = pd.read_parquet(at.settings.project / f"data/texts_{PERIOD}.parquet")
    hashes = keyed(frame["id"], project_key(at.settings))
    return dict(zip(hashes, frame["text"], strict=True))


def given(at: Desk) -> list[tuple[str, str]]:
    """Return text and code of each unit that was coded."""
    found, told = reviews(at).drop_duplicates("unit"), texts(at)
    pairs = zip(found["unit"], found["code"], strict=True)
    return sorted((told[unit], code) for unit, code in pairs)


# -- one coder ---------------------------------------------------------------------


def test_fifty_records_are_coded_by_the_keyboard_alone(
    at_desk: Desk, browser: Any, tmp_path: Path
) -> None:
    project = at_desk.settings.project
    inputs = {path for path in project.rglob("*") if path.is_file()}
    with serving(at_desk, tmp_path / "log", "--coder", "kim") as server:
        visit = Visit(browser, server.address)
        page = visit.page
        assert page.url.endswith(f":{server.port}/")  # the secret is not left there
        assert page.locator("#synthetic").is_visible()
        n_waiting = visit.far()[1]
        wanted: list[tuple[str, str]] = []
        blind = 0
        for n in range(1, 51):
            offered, text = visit.suggested(), visit.text
            if offered:
                assert len(offered) == 5
                code = offered[n % 5]
                visit.press(str(n % 5 + 1))
            else:
                blind += 1
                visit.press("1")  # means nothing where nothing is suggested
                code = at_desk.codes[n]
                visit.code(code)
            visit.await_done(n)
            assert code in visit.said
            # The code is in the database when the page says that it is saved.
            assert reviews(at_desk)["unit"].nunique() == n
            wanted.append((text, code))
        assert 5 < blind < 45
        assert given(at_desk) == sorted(wanted)
        assert visit.far() == (50, n_waiting - 50)
        assert set(reviews(at_desk)["coder"]) == {"kim"}
        assert set(reviews(at_desk)["kind"]) == {"queue", "blind", "audit"}
        page.screenshot(path=tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 10_000
        own = f"http://127.0.0.1:{server.port}/"
        assert {url for url in visit.requests if not url.startswith(own)} == set()
        assert not any(server.secret in url for url in visit.requests)
        assert visit.complaints == []
    assert server.process.returncode == 0
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert log.count("POST /code 200") == 50
    files = [*publishable(project, inputs), tmp_path / "log"]
    assert any(path.suffix in {".db", ".sqlite"} for path in files)
    assert find(WORDS, files) == []
    assert "stopped" in log


def test_units_are_skipped_gone_back_to_changed_and_searched_for(
    at_desk: Desk, browser: Any, tmp_path: Path
) -> None:
    with serving(at_desk, tmp_path / "log", "--coder", "kim") as server:
        visit = Visit(browser, server.address)
        page = visit.page
        assert page.locator("#back").is_disabled()
        first = visit.text
        visit.press("s")
        page.locator("#far", has_text="1 of them skipped").wait_for()
        assert reviews(at_desk).empty
        second = visit.text
        visit.code(at_desk.codes[0])
        visit.await_done(1)
        visit.press("u")
        page.locator("#given", has_text=at_desk.codes[0]).wait_for()
        assert visit.text == second
        visit.code(at_desk.codes[1])
        page.locator("#said", has_text=at_desk.codes[1]).wait_for()
        assert given(at_desk) == [(second, at_desk.codes[1])]
        visit.press("u")
        page.locator("#given", has_text=at_desk.codes[1]).wait_for()
        visit.press("u")
        page.locator("#given").wait_for(state="hidden")
        assert visit.text == first
        visit.code(at_desk.codes[2])
        visit.await_done(2)
        assert "skipped" not in page.locator("#far").inner_text()
        wanted = [(first, at_desk.codes[2]), (second, at_desk.codes[1])]
        assert given(at_desk) == sorted(wanted)
        _search(at_desk, visit)


def _search(at_desk: Desk, visit: Visit) -> None:
    """See that the search takes arrows, words and misspellings."""
    page = visit.page
    visit.press("/")
    page.keyboard.type("01.1.4")
    # The list of "01.1" stands until the answer for all that was typed has come.
    page.locator("#found[aria-busy=false] #found-2").wait_for()
    codes = page.locator("#found .code").all_inner_texts()
    assert all(code.startswith("01.1.4") for code in codes)
    visit.press("ArrowDown", "ArrowDown", "ArrowUp")
    chosen = page.locator("#found [aria-selected=true] .code").inner_text()
    assert chosen == codes[1]
    active = page.locator("#words").get_attribute("aria-activedescendant")
    assert active == "found-1"
    text = visit.text
    visit.press("Enter")
    visit.await_done(3)
    assert (text, codes[1]) in given(at_desk)
    visit.press("/")
    page.keyboard.type("chese")
    page.locator("#found .code", has_text="01.1.4.5").wait_for()
    visit.press("Escape")
    assert page.locator("#found li").count() == 0
    assert page.evaluate("document.activeElement.id") == "unit"


def test_codes_found_for_other_words_are_shown_as_being_looked_for(
    server: tuple[Server, Desk], browser: Any
) -> None:
    visit = Visit(browser, server[0].address)
    page = visit.page
    visit.press("/")
    page.keyboard.type("01.1")
    page.locator("#found[aria-busy=false] #found-2").wait_for()
    held: list[Any] = []
    page.route("**/search", lambda route: held.append(route))
    page.keyboard.type(".")
    busy = page.locator("#found[aria-busy=true]")
    busy.locator("#found-2").wait_for()  # the list of "01.1" is still there
    unit, before = visit.text, reviews(server[1])
    visit.press("Enter")  # nothing has been found for "01.1." so far
    assert visit.text == unit
    assert len(reviews(server[1])) == len(before)
    end = time.monotonic() + 60
    while not held and time.monotonic() < end:
        page.wait_for_timeout(10)
    (route,) = held
    route.abort()
    page.unroute("**/search")
    page.locator("#said.bad", has_text="does not answer").wait_for()
    assert busy.count() == 0
    assert page.locator("#found li").count() == 0
    page.keyboard.type("4.5")
    page.locator("#found[aria-busy=false] .code", has_text="01.1.4.5").wait_for()
    visit.press("Escape")


def test_nothing_is_wider_than_the_window_at_any_zoom(
    server: tuple[Server, Desk], browser: Any
) -> None:
    visit = Visit(browser, server[0].address)
    page = visit.page
    before = server[0].ask("/now")[1]["skipped"]
    shown: set[bool] = set()
    for n in range(before + 1, before + 41):
        if len(shown) == 2:
            break
        for width in (1200, 600, 320):  # 1200 pixels at 200 and 375 %
            page.set_viewport_size({"width": width, "height": 900})
            wide = "document.documentElement.scrollWidth > window.innerWidth"
            assert not page.evaluate(wide)
        shown.add(bool(visit.suggested()))
        visit.press("s")
        page.locator("#far", has_text=f"{n} of them skipped").wait_for()
    assert shown == {True, False}
    for name in ("Search the classification", "Skip", "Back to the last one"):
        assert page.get_by_text(name).first.is_visible()
    assert page.get_by_role("combobox", name="Search the classification").count() == 1
    style = "getComputedStyle(document.activeElement).outlineStyle"
    for _ in range(3):
        visit.press("Tab")
        assert page.evaluate(style) == "solid"  # one sees where the focus is
    assert visit.complaints == []


# -- two coders --------------------------------------------------------------------


def test_two_coders_at_once_never_have_the_same_unit(
    at_desk: Desk, browser: Any, tmp_path: Path
) -> None:
    with (
        serving(at_desk, tmp_path / "kim", "--coder", "kim") as one,
        serving(at_desk, tmp_path / "lee", "--coder", "lee") as two,
    ):
        visits = [Visit(browser, one.address), Visit(browser, two.address)]
        wanted = []
        for n in range(1, 9):
            for k, visit in enumerate(visits):
                code = at_desk.codes[2 * n + k]
                wanted.append((visit.text, code))
                visit.code(code)
                visit.await_done(n)
        found = reviews(at_desk)
        assert found["unit"].nunique() == 16
        assert found.drop_duplicates("unit")["coder"].value_counts().to_dict() == {
            "kim": 8,
            "lee": 8,
        }
        assert given(at_desk) == sorted(wanted)


def test_the_second_code_of_a_unit_is_refused_and_the_first_stands(
    at_desk: Desk, browser: Any, tmp_path: Path
) -> None:
    with serving(at_desk, tmp_path / "log", "--coder", "kim") as server:
        one, two = Visit(browser, server.address), Visit(browser, server.address)
        text = one.text
        assert two.text == text
        one.code(at_desk.codes[0])
        one.await_done(1)
        two.code(at_desk.codes[1])
        two.page.locator("#said.bad", has_text="that code stands").wait_for()
        assert given(at_desk) == [(text, at_desk.codes[0])]
        assert two.text == one.text  # it has gone on to the next one
        # Somebody else's code comes first, by a workbook or from another machine.
        status, told, _ = server.ask("/now")
        assert status == 200
        folder = at_desk.settings.confidential / "reviews" / NAME / PERIOD
        (path,) = folder.glob("*.parquet")
        taken = pd.read_parquet(path).set_index("row").loc[told["row"]]
        unit, kinds = taken["hash"], taken["kinds"]
        ReviewStore(at_desk.settings.database).add(
            NAME,
            PERIOD,
            [Reviewed(unit, "01.1.4.5", "lee", kind) for kind in kinds.split("+")],
        )
        row = told["row"]
        body = {"row": row, "code": at_desk.codes[2], "replaces": ""}
        status, told, _ = server.ask("/code", body)
        assert status == 409
        assert told["error"] == "Another coder has coded the unit; that code stands"
        stands = reviews(at_desk).set_index("unit").loc[[unit]]
        assert set(zip(stands["coder"], stands["code"], strict=True)) == {
            ("lee", "01.1.4.5")
        }
        assert server.ask("/now")[1]["row"] != row


@pytest.mark.soak
def test_double_coded_units_come_to_a_second_coder(
    at_desk: Desk, browser: Any, tmp_path: Path
) -> None:
    now = open_period(NAME, PERIOD, at_desk.settings)
    doubled = now.audit[now.audit["double_coded"].astype(bool)]
    with serving(at_desk, tmp_path / "log", "--coder", "lee", "--second") as server:
        visit = Visit(browser, server.address)
        assert visit.far() == (0, len(doubled))
        for n in range(1, 6):
            assert visit.suggested() == []
            visit.code(at_desk.codes[n])
            visit.await_done(n)
        for n in range(1, len(doubled) - 4):
            visit.press("s")
            visit.page.locator("#far", has_text=f"{n} of them skipped").wait_for()
        visit.page.get_by_text("Nothing is left for you here").wait_for()
        visit.press("Tab", "Enter")  # shows the skipped ones again
        visit.page.locator("#unit").wait_for()
    found = reviews(at_desk)
    assert set(found["kind"]) == {"second"}
    assert len(found) == 5
    assert set(found["unit"]) < set(doubled["hash"])


# -- the end of a server -----------------------------------------------------------


def test_a_killed_server_has_lost_no_saved_code_and_goes_on(
    at_desk: Desk, browser: Any, tmp_path: Path
) -> None:
    port = f"--port={free_port()}"
    with serving(at_desk, tmp_path / "one", "--coder", "kim", port) as server:
        visit = Visit(browser, server.address)
        n_waiting, wanted = visit.far()[1], []
        for n in range(1, 9):
            wanted.append((visit.text, at_desk.codes[n]))
            visit.code(at_desk.codes[n])
            visit.await_done(n)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(timeout=60)
        visit.press("s")
        visit.page.locator("#said.bad", has_text="does not answer").wait_for()
    assert given(at_desk) == sorted(wanted)
    with serving(at_desk, tmp_path / "two", "--coder", "kim", port) as server:
        # The same tab, whose address differs in the secret alone.
        visit.page.evaluate("address => { location.href = address }", server.address)
        visit.page.locator("#said.bad").wait_for(state="detached")
        assert visit.far() == (8, n_waiting - 8)
        for n in range(9, 13):
            wanted.append((visit.text, at_desk.codes[n]))
            visit.code(at_desk.codes[n])
            visit.await_done(n)
    assert given(at_desk) == sorted(wanted)


# -- who may not ask ---------------------------------------------------------------


FOREIGN = "http://evil.example"
REFUSED: dict[str, tuple[dict[str, str], int]] = {
    "no secret": ({"X_Review_Secret": ""}, 401),
    "another secret": ({"X_Review_Secret": "a" * 32}, 401),
    "another origin": ({"Origin": FOREIGN}, 403),
    "another port of the machine": ({"Origin": "http://127.0.0.1:1"}, 403),
    "no origin": ({"Origin": "null"}, 403),
    "another site": ({"Sec_Fetch_Site": "cross-site"}, 403),
    "the same site": ({"Sec_Fetch_Site": "same-site"}, 403),
    "another name of the machine": ({"Host": "evil.example"}, 400),
    "a form": ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    "a text": ({"Content_Type": "text/plain"}, 415),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("place", ["/now", "/code", "/skip", "/back", "/search"])
def test_who_has_no_business_here_is_refused(
    server: tuple[Server, Desk], name: str, place: str
) -> None:
    one, at = server
    headers, status = REFUSED[name]
    row = one.ask("/now")[1]["row"]
    bodies: dict[str, dict[str, str]] = {
        "/code": {"row": row, "code": at.codes[0], "replaces": ""},
        "/skip": {"row": row},
        "/search": {"words": "bread"},
    }
    found, told, sent = one.ask(place, bodies.get(place), **headers)
    assert found == status
    assert set(told) == {"error"}
    assert not any(name.startswith("access-control") for name in sent)
    assert reviews(at).empty
    assert one.ask("/now")[1]["row"] == row


def test_bodies_that_are_not_understood_are_not_repeated(
    server: tuple[Server, Desk],
) -> None:
    one, at = server
    row = one.ask("/now")[1]["row"]
    for body in (
        b"{Quackenbush",
        b'{"words": "Quackenbush", "Quackenbush": 1}',
        b'{"words": 98765432109}',
        b'{"words": "' + b"Quackenbush" * 100 + b'"}',
        json.dumps({"row": "Quackenbush", "code": "a", "replaces": ""}).encode(),
        json.dumps({"row": row, "code": "Quackenbush", "replaces": ""}).encode(),
        b"x" * 20_000,
    ):
        for place in ("/code", "/search", "/now", "/skip"):
            status, told, _ = one.ask(place, body)
            assert status in (409, 413, 422), (place, body[:40])
            assert "quackenbush" not in json.dumps(told).lower()
            assert "98765432109" not in json.dumps(told)
    body = {"row": row, "code": at.codes[0] + "9", "replaces": ""}
    _, told, _ = one.ask("/code", body)
    assert told["error"] == "There is no such code in the period"
    assert told["details"][0]["reason"].startswith(at.codes[0][:4])
    assert find(["quackenbush", "98765432109"], [one.log]) == []


def test_page_and_script_hold_nothing_and_come_from_here(
    server: tuple[Server, Desk],
) -> None:
    one, _ = server
    for place in ("/", "/review.js", "/review.css"):
        status, content, sent = one.ask(place, verb="GET", X_Review_Secret="")
        assert status == 200
        assert "default-src 'self'" in sent["content-security-policy"]
        assert "frame-ancestors 'none'" in sent["content-security-policy"]
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["cache-control"] == "no-store"
        assert "http://" not in content
        assert "https://" not in content
        assert one.secret not in content
    for place in ("/docs", "/openapi.json", "/redoc", "/templates/review.html"):
        assert one.ask(place, verb="GET")[0] == 404
    assert one.ask("/code", verb="GET")[0] == 405


def test_a_unit_is_told_without_what_it_is_for(server: tuple[Server, Desk]) -> None:
    one, at = server
    now = open_period(NAME, PERIOD, at.settings)
    seen, hidden = {True: 0, False: 0}, set(now.queue["hash"]) | set(now.audit["hash"])
    names = set()
    for _ in range(60):
        _, told, _ = one.ask("/now")
        row = told["row"]
        names.add(frozenset(told))
        offered = bool(told["candidates"])
        seen[offered] += 1
        if not offered:
            assert told["candidates"] == []
            assert told["reason"] == ""
        said = json.dumps(told)
        assert "unit-0" not in said
        assert not any(word in said for word in ("audit", "blind", "double", "queue"))
        assert not hidden & set(said.replace('"', " ").split())
        assert one.ask("/skip", {"row": row})[0] == 200
    assert len(names) == 1  # the same fields, blind or not
    assert min(seen.values()) > 10


def test_a_page_of_another_origin_can_neither_write_nor_read(
    server: tuple[Server, Desk], browser: Any
) -> None:
    """Even with the secret, from a page that the coder has open beside it."""
    one, at = server
    row = one.ask("/now")[1]["row"]

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>other</title>")

        def log_message(self, *_: object) -> None: ...

    other = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        page = browser.new_context().new_page()
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        script = """async ([address, secret, body]) => {
            const told = [], json = {"Content-Type": "application/json"};
            for (const [mode, headers] of [
                ["cors", {...json, "X-Review-Secret": secret}],
                ["no-cors", {"Content-Type": "text/plain"}],
            ]) {
                try {
                    const answer = await fetch(address + "code",
                        {method: "POST", mode, headers, body: JSON.stringify(body)});
                    told.push(answer.type);
                } catch (error) { told.push("refused"); }
            }
            return told;
        }"""
        body = {"row": row, "code": at.codes[0], "replaces": ""}
        address = one.address.partition("#")[0]
        told = page.evaluate(script, [address, one.secret, body])
        assert told == ["refused", "refused"]
        # What stands in a frame's place where it is refused is loaded too.
        script = """address => new Promise((loaded) => {
            const frame = document.createElement("iframe");
            frame.onload = loaded;
            frame.src = address;
            document.body.append(frame);
        })"""
        page.evaluate(script, one.address)
        assert len(page.frames) == 2
        assert all(len(f.locator("#unit").all()) == 0 for f in page.frames[1:])
    finally:
        other.shutdown()
        other.server_close()
        thread.join()
    assert reviews(at).empty
    assert one.ask("/now")[1]["row"] == row

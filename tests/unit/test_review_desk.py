"""Who has which unit, what a coder is shown next, and which code stands."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlstats import cli, review_claims, review_desk, review_export, review_files
from mlstats.errors import RefusedError, ServiceError, UsageError
from mlstats.identity import operating_system_user
from mlstats.pilot_files import load_pilot
from mlstats.purge import purge
from mlstats.retention import due
from mlstats.review_claims import EXPIRES, PAGE
from mlstats.review_desk import AT_ONCE, ReviewDesk
from mlstats.review_export import export
from mlstats.review_files import ReviewFiles, kept_rows
from mlstats.review_import import import_file
from mlstats.review_rows import data_of, open_period, waiting
from mlstats.review_search import CodeSearch
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import load_settings
from tests.review_example import NAME, PERIOD, Desk, desk, release


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(tmp_path_factory.mktemp("desk"), 90, audit=40)


@pytest.fixture
def at_desk(made: Desk, tmp_path: Path) -> Desk:
    project = tmp_path / "a project"
    shutil.copytree(made.settings.project, project)
    return replace(made, settings=load_settings(project=project))


def page(at: Desk, coder: str = "kim", **options: Any) -> ReviewDesk:
    return ReviewDesk(open_period(NAME, PERIOD, at.settings), coder, **options)


def reviews(at: Desk) -> pd.DataFrame:
    return ReviewStore(at.settings.database).read(NAME, PERIOD)


def held(at: Desk) -> pd.DataFrame:
    return ReviewFiles(at.settings.database).held(NAME, PERIOD)


def units_of(at: Desk, file: str) -> set[str]:
    return set(kept_rows(at.settings, NAME, PERIOD, file)["hash"])


def taken(at: Desk, coder: str) -> set[str]:
    """Return the units that a coder's page has."""
    own = held(at).query("coder == @coder and act == @PAGE")
    return set().union(*(units_of(at, file) for file in own["export"]))


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Let time go by for the claims."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + by

    monkeypatch.setattr(review_claims, "datetime", Later)


# -- who has what ------------------------------------------------------------------


def test_a_unit_is_on_one_page_or_in_one_file_at_a_time(at_desk: Desk) -> None:
    kim, lee = page(at_desk), page(at_desk, "lee")
    assert len(taken(at_desk, "kim")) == len(taken(at_desk, "lee")) == AT_ONCE
    assert not taken(at_desk, "kim") & taken(at_desk, "lee")
    n_all = len(waiting(open_period(NAME, PERIOD, at_desk.settings)))
    assert kim.state()["left"] == n_all
    assert lee.state()["elsewhere"] == AT_ONCE
    mei = export(NAME, PERIOD, at_desk.settings, coder="mei")
    assert mei.file.rows == n_all - 2 * AT_ONCE
    assert mei.elsewhere == 2 * AT_ONCE
    units = units_of(at_desk, mei.file.export)
    assert not units & (taken(at_desk, "kim") | taken(at_desk, "lee"))
    leo = page(at_desk, "leo").state()
    assert (leo["row"], leo["left"], leo["elsewhere"]) == (None, 0, n_all)


def test_a_page_leaves_the_workbook_of_its_own_coder_alone(at_desk: Desk) -> None:
    done = export(NAME, PERIOD, at_desk.settings, coder="kim", rows=30)
    page(at_desk)
    assert not taken(at_desk, "kim") & units_of(at_desk, done.file.export)
    assert done.file.export in set(held(at_desk)["export"])
    import_file(NAME, PERIOD, done.path, at_desk.settings)
    with pytest.raises(UsageError, match="has no file") as refused:
        page(at_desk, "lee", instead_of="kin")
    assert refused.value.nearest == "kim"
    page(at_desk, "lee", instead_of="kim")
    assert set(held(at_desk)["coder"]) == {"lee"}


def test_a_workbook_takes_the_units_from_the_page_of_its_coder(at_desk: Desk) -> None:
    kim = page(at_desk)
    shown = kim.state()
    before = taken(at_desk, "kim")
    done = export(NAME, PERIOD, at_desk.settings, coder="kim")
    assert before <= units_of(at_desk, done.file.export)
    with pytest.raises(RefusedError, match="given to somebody else"):
        kim.code(shown["row"], at_desk.codes[0])
    assert reviews(at_desk).empty
    after = kim.state()
    assert (after["row"], after["elsewhere"]) == (None, done.file.rows)


def test_what_a_page_has_is_free_after_half_an_hour_without_a_sign_of_life(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kim = page(at_desk)
    row, units = kim.state()["row"], taken(at_desk, "kim")
    later(monkeypatch, EXPIRES - timedelta(minutes=1))
    lee = page(at_desk, "lee")
    assert not taken(at_desk, "lee") & units
    lee.close()
    later(monkeypatch, EXPIRES + timedelta(minutes=1))
    page(at_desk, "lee")
    assert taken(at_desk, "lee") == units
    assert taken(at_desk, "kim") == set()
    later(monkeypatch, timedelta())
    with pytest.raises(RefusedError, match="given to somebody else"):
        kim.code(row, at_desk.codes[0])
    assert kim.state()["row"] is not None  # others, which nobody has
    assert not taken(at_desk, "kim") & units


def test_a_coder_who_works_keeps_the_units(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kim = page(at_desk)
    monkeypatch.setattr("mlstats.review_desk._ALIVE", -1.0)
    kim.code(kim.state()["row"], at_desk.codes[0])
    acts = ReviewFiles(at_desk.settings.database).read(NAME, PERIOD)["act"].tolist()
    assert acts == [PAGE, PAGE]  # the second is the sign of life


def test_the_end_gives_back_what_was_not_coded(at_desk: Desk) -> None:
    kim = page(at_desk)
    kim.code(kim.state()["row"], at_desk.codes[0])
    kim.close()
    assert held(at_desk).empty
    folder = at_desk.settings.confidential / "reviews" / NAME / PERIOD
    assert list(folder.glob("*.parquet")) == []
    again = page(at_desk)
    assert again.state()["done"] == 1


def test_a_killed_page_goes_on_with_its_units(at_desk: Desk) -> None:
    first = page(at_desk)
    row = first.state()["row"]
    units = taken(at_desk, "kim")
    again = page(at_desk)  # the first one has never been closed
    assert taken(at_desk, "kim") == units
    assert again.state()["fields"] == first.state()["fields"]
    # The first one, if it lives after all, writes nothing over the other's head.
    with pytest.raises(RefusedError, match="given to somebody else"):
        first.code(row, at_desk.codes[0])
    assert reviews(at_desk).empty


def test_two_who_code_at_the_same_time_code_each_unit_once(at_desk: Desk) -> None:
    wait = waiting(open_period(NAME, PERIOD, at_desk.settings))

    def work(one: ReviewDesk) -> int:
        n = 0
        while (row := one.state()["row"]) is not None:
            one.code(row, at_desk.codes[0])
            n += 1
        return n

    with ThreadPoolExecutor(2) as threads:
        desks = [page(at_desk, "kim"), page(at_desk, "lee")]
        done = [*threads.map(work, desks)]
    assert min(done) >= AT_ONCE
    assert sum(done) == len(wait)
    with sqlite3.connect(at_desk.settings.home_folder / "state.db") as base:
        rows = base.execute("SELECT unit, kind, coder FROM reviews").fetchall()
    assert len({(unit, kind) for unit, kind, _ in rows}) == len(rows)
    assert {unit for unit, *_ in rows} == set(wait["hash"])
    assert set(done) == {
        len({unit for unit, _, coder in rows if coder == name})
        for name in ("kim", "lee")
    }


def test_the_status_tells_who_is_on_a_page(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(at_desk)
    monkeypatch.chdir(at_desk.settings.project)
    result = CliRunner().invoke(cli.app, ["review", "status", NAME])
    assert f"kim has {AT_ONCE} units" in result.output
    assert "on a page since 20" in result.output


def test_the_verb_takes_the_system_s_user_where_no_coder_is_named(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "mlstats.review_page.serve_page", lambda *given, **named: asked.append(named)
    )
    monkeypatch.chdir(at_desk.settings.project)
    for words in ([], ["--coder", "kim", "--second", "--port", "8123"]):
        result = CliRunner().invoke(cli.app, ["review", "serve", NAME, PERIOD, *words])
        assert result.exit_code == 0, result.output
    coders = [one["coder"] for one in asked]
    assert coders == [operating_system_user().name, "kim"]
    assert (asked[1]["second"], asked[1]["port"]) == (True, 8123)


# -- what is shown and kept --------------------------------------------------------


def test_all_that_waits_is_coded_in_an_order_that_tells_nothing(at_desk: Desk) -> None:
    now = open_period(NAME, PERIOD, at_desk.settings)
    wait = waiting(now).set_index("hash")
    kim = page(at_desk)
    order = []
    while (told := kim.state())["row"] is not None:
        before = set(reviews(at_desk)["unit"])
        code = told["candidates"][0]["code"] if told["candidates"] else "01.1.4.5"
        kim.code(told["row"], code)
        (unit,) = set(reviews(at_desk)["unit"]) - before
        assert bool(told["candidates"]) == (not wait.at[unit, "blind"])
        order.append(unit)
    assert (told["done"], told["left"], told["skipped"]) == (len(wait), 0, 0)
    assert sorted(order) == sorted(wait.index)
    expected = {
        (unit, kind)
        for unit, kinds in wait["kinds"].items()
        for kind in kinds.split("+")
    }
    found = reviews(at_desk)
    assert set(zip(found["unit"], found["kind"], strict=True)) == expected
    of_audit = np.flatnonzero(wait.loc[order, "kinds"].str.startswith("audit"))
    n = len(order)
    assert of_audit.min() < n / 4 < 3 * n / 4 < of_audit.max()
    assert held(at_desk).empty


def test_what_is_skipped_comes_again_when_asked_for(at_desk: Desk) -> None:
    now = open_period(NAME, PERIOD, at_desk.settings)
    doubled = now.audit.loc[now.audit["double_coded"].astype(bool), "hash"]
    lee = page(at_desk, "lee", second=True)
    for _ in range(len(doubled)):
        told = lee.skip(lee.state()["row"])
    assert told["row"] is None
    assert (told["skipped"], told["left"]) == (len(doubled), len(doubled))
    told = lee.again()
    assert told["row"] is not None
    assert told["skipped"] == 0
    lee.code(told["row"], "01.1.4.5")
    assert set(reviews(at_desk)["kind"]) == {"second"}
    assert set(reviews(at_desk)["unit"]) < set(doubled)


def test_nobody_codes_a_unit_for_both_coders(at_desk: Desk) -> None:
    second = page(at_desk, second=True)
    units = taken(at_desk, "kim")
    first = page(at_desk)
    assert len(units) == AT_ONCE
    assert not units & (taken(at_desk, "kim") - units)
    row = second.state()["row"]
    (file,) = held(at_desk).query("second == 1")["export"]
    kept = kept_rows(at_desk.settings, NAME, PERIOD, file).set_index("row")
    unit = kept.at[row, "hash"]
    mine = [Reviewed(unit, "01.1.4.5", "kim", "audit")]
    ReviewStore(at_desk.settings.database).add(NAME, PERIOD, mine)
    with pytest.raises(RefusedError, match="for the other coder"):
        second.code(row, at_desk.codes[0])
    assert reviews(at_desk)["kind"].tolist() == ["audit"]
    first.close()
    second.close()
    assert held(at_desk).empty


def test_a_code_is_held_to_what_the_coder_saw(at_desk: Desk) -> None:
    kim = page(at_desk)
    row = kim.state()["row"]
    one, two, three = at_desk.codes[:3]
    kim.code(row, one)
    for replaces in ("", two):
        with pytest.raises(RefusedError, match="that code stands"):
            kim.code(row, three, replaces)
    kim.code(row, two, one)
    kim.code(row, two, two)  # the same once more adds nothing
    assert set(reviews(at_desk)["code"]) == {two}
    told = kim.back()
    assert (told["row"], told["given"]) == (row, two)
    n = len(set(reviews(at_desk)["unit"]))
    assert (n, told["done"]) == (1, 1)
    with pytest.raises(RefusedError, match="another unit"):
        kim.code("f" * 16, one)


def test_only_codes_of_the_period_are_taken(at_desk: Desk) -> None:
    kim = page(at_desk)
    row = kim.state()["row"]
    with pytest.raises(UsageError, match="no such code") as refused:
        kim.code(row, "01.1.4.55")
    assert "01.1.4.55" not in str(refused.value)
    assert str(refused.value.nearest).startswith("01.1.4.5")
    assert kim.state()["row"] == row
    assert reviews(at_desk).empty
    with pytest.raises(UsageError, match="has a name"):
        page(at_desk, "kim/lee")


def test_other_data_are_not_coded(at_desk: Desk) -> None:
    kim = page(at_desk)
    row = kim.state()["row"]
    path = at_desk.settings.project / f"data/texts_{PERIOD}.parquet"
    frame = pd.read_parquet(path)
    frame.assign(text=frame["text"].where(frame.index > 0, "another")).to_parquet(path)
    release(
        at_desk.settings, pd.read_parquet(path), at_desk.codes,
        np.random.default_rng(1), 60,
    )  # fmt: skip
    with pytest.raises(RefusedError, match="have changed; start again"):
        kim.code(row, at_desk.codes[0])
    assert reviews(at_desk).empty


def purged(at: Desk) -> None:
    path = at.settings.project / "configs/pilots/texts.yaml"
    told = path.read_text(encoding="utf-8")
    kept = told.replace("production: {", "production: {retention: {reviews: 6}, ")
    path.write_text(kept, encoding="utf-8")
    pilot = load_pilot(NAME, project=at.settings.project)
    found = due(pilot, at.settings, today=date(2028, 1, 1), force=True)
    assert [one.kind for one in found] == ["reviews"]
    purge(found, at.settings)


def test_a_page_that_is_open_brings_nothing_back_after_a_purge(at_desk: Desk) -> None:
    kim, lee = page(at_desk), page(at_desk, "lee")
    kim.code(kim.state()["row"], at_desk.codes[0])
    path = coded_file(at_desk)
    purged(at_desk)
    row = kim.state()["row"]
    for _ in range(2):
        with pytest.raises(RefusedError, match="was purged on"):
            kim.code(row, at_desk.codes[0])
    with pytest.raises(RefusedError, match="was purged on"):
        import_file(NAME, PERIOD, path, at_desk.settings)
    kim.close()
    lee.close()
    assert reviews(at_desk).empty
    folder = at_desk.settings.confidential / "reviews" / NAME
    assert not [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    pilot = load_pilot(NAME, project=at_desk.settings.project)
    assert due(pilot, at_desk.settings, today=date(2028, 1, 1), force=True) == []


def test_what_a_purge_overtakes_is_not_kept(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page has looked whether the period was purged when the purge begins."""
    kim = page(at_desk)
    row, real = kim.state()["row"], review_desk.working_alone

    def late(*given: Any) -> Any:
        monkeypatch.setattr(review_desk, "working_alone", real)
        purged(at_desk)
        return real(*given)

    monkeypatch.setattr(review_desk, "working_alone", late)
    with pytest.raises(RefusedError, match="was purged on"):
        kim.code(row, at_desk.codes[0])
    assert reviews(at_desk).empty


def test_what_others_coded_while_an_export_waited_is_not_in_it(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = review_export.working_alone
    wait = waiting(open_period(NAME, PERIOD, at_desk.settings))
    mine, rest = wait[wait["kinds"] == "queue"], wait[wait["kinds"] != "queue"]

    def late(*given: Any) -> Any:
        told = [Reviewed(unit, at_desk.codes[0], "lee") for unit in mine["hash"]]
        ReviewStore(at_desk.settings.database).add(NAME, PERIOD, told)
        return real(*given)

    monkeypatch.setattr(review_export, "working_alone", late)
    made = export(NAME, PERIOD, at_desk.settings, coder="kim")
    assert units_of(at_desk, made.file.export) == set(rest["hash"])


@pytest.mark.parametrize("what", ["export", "import", "page", "purge"])
def test_who_waits_too_long_for_another_is_told(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    settings, kim, path = at_desk.settings, page(at_desk), coded_file(at_desk)
    monkeypatch.setattr(review_files, "_WAIT", 0.01)
    doing = {
        "export": lambda: export(NAME, PERIOD, settings, coder="lee"),
        "import": lambda: import_file(NAME, PERIOD, path, settings),
        "page": lambda: kim.code(kim.state()["row"], at_desk.codes[0]),
        "purge": lambda: purged(at_desk),
    }
    with (
        review_files.working_alone(settings, NAME, PERIOD),
        pytest.raises(ServiceError, match="has not ended"),
    ):
        doing[what]()


def coded_file(at: Desk) -> Path:
    return export(NAME, PERIOD, at.settings, coder="mei", rows=5).path.rename(
        at.settings.project / "mei.xlsx"
    )


# -- search ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def search(made: Desk) -> CodeSearch:
    now = open_period(NAME, PERIOD, made.settings)
    return CodeSearch(now, data_of(now).more)


def test_codes_come_before_words_and_words_before_parts(search: CodeSearch) -> None:
    codes = [one.code for one in search.find("01.1.4")]
    assert codes[0] == "01.1.4"
    assert all(code.startswith("01.1.4") for code in codes)
    found = [one.title for one in search.find("BREAD cakes")]
    assert found == ["Bread, cakes and biscuits"]
    titles = [one.title.casefold() for one in search.find("rice")]
    begins = [f" {title}".find(" rice") >= 0 for title in titles]
    assert begins == sorted(begins, reverse=True)
    assert begins[0]


def test_a_title_that_fits_alike_gives_the_code_that_says_more(
    search: CodeSearch,
) -> None:
    found = [one.code for one in search.find("milk")]
    assert len(found[0].split(".")) == 4
    assert [code for code in found if len(code.split(".")) < 4]  # offered too


@pytest.mark.parametrize("words", ["chese", "CHEESE", "chèese", "  cheese "])
def test_misspellings_case_and_accents_find_the_code(
    search: CodeSearch, words: str
) -> None:
    assert "01.1.4.5" in [one.code for one in search.find(words)]


@pytest.mark.parametrize("words", ["", "   ", "qq", "\x00", "zzzzzzzzzzzzqqqq"])
def test_nothing_is_found_where_nothing_is_alike(
    search: CodeSearch, words: str
) -> None:
    assert search.find(words) == []


def test_no_more_than_asked_for_is_found(search: CodeSearch) -> None:
    assert len(search.find("0", limit=5)) == 5


def test_uncodable_is_found_too(made: Desk, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(made.settings.project, project)
    path = project / "configs/pilots/texts.yaml"
    told = path.read_text(encoding="utf-8")
    path.write_text(
        told.replace("methods:", '  uncodable: {codes: ["99"]}\nmethods:', 1)
    )
    now = open_period(NAME, PERIOD, load_settings(project=project))
    found = CodeSearch(now, data_of(now).more)
    assert [(one.code, one.title) for one in found.find("99")] == [
        ("99", "cannot be coded")
    ]
    found.check("99")

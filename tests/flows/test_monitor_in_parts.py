"""A pilot whose periods come in parts is monitored as one that is read into memory."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlstats import monitor_files, production_reading
from mlstats.monitor_files import keep_files, keep_workspace
from mlstats.monitoring import History, history_of
from mlstats.production import produce
from mlstats.proposals import proposals
from mlstats.releases import Release, ReleaseStore
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings, load_settings
from tests.flows.canary import find
from tests.flows.test_browser import Visit
from tests.parts_example import frames, in_parts
from tests.production_example import office

MARCH, APRIL = PERIODS = ("2026-03", "2026-04")
CANARY_ID, CANARY_WORD = "QUACKENBUSH-17", "zzyzxcanary"
SAMPLE = 60

pytestmark = pytest.mark.xdist_group("parts")


@dataclass(frozen=True)
class Monitored:
    """A project, its history and what was left behind."""

    settings: Settings
    history: History
    replaced: tuple[str, ...]

    @property
    def pages(self) -> dict[str, Path]:
        """By period."""
        folder = self.settings.monitor / "diaries/drift"
        return {path.stem: path for path in folder.glob("*.html")}

    @property
    def snapshots(self) -> dict[str, dict[str, Any]]:
        """By period."""
        paths = self.settings.evidently.glob("*/snapshots/*.json")
        told = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        return {one["name"]: one for one in told}


def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
    return function(*given)


@pytest.fixture(scope="module")
def monitored(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[int | None, Monitored]:
    """Produce two periods in memory, and in five parts, and look at them.

    The snapshots draw fewer rows than a period has.
    """
    made = office(tmp_path_factory.mktemp("office"))
    plant(made.settings.project)
    found: dict[int | None, Monitored] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(production_reading, "isolated", here)
        patch.setattr(monitor_files, "SAMPLE", SAMPLE)
        for parts in (None, 5):
            settings = in_parts(made, tmp_path_factory.mktemp("project"), parts)
            for period in PERIODS:
                produce("diaries", period, settings)
            code_audit(settings)
            history = history_of("diaries", settings)
            keep_files(history, proposals(history), settings)
            replaced = keep_workspace(history, settings)
            found[parts] = Monitored(settings, history, replaced)
    return found


def plant(project: Path) -> None:
    for period in PERIODS:
        path = project / f"data/products_{period}.csv"
        lines = pd.read_csv(path, dtype=str, keep_default_na=False)
        lines.loc[3, "line_id"] = CANARY_ID
        lines.loc[3, "description"] += f" {CANARY_WORD}"
        lines.to_csv(path, index=False)


def release_of(settings: Settings, period: str) -> Release:
    found = ReleaseStore(settings.releases).current("diaries", period)
    assert found is not None
    return found


def code_audit(settings: Settings) -> None:
    folder = release_of(settings, MARCH).folder
    audit = pd.read_parquet(folder / "confidential/audit.parquet")
    lines = frames(settings.project)[MARCH].set_index("line_id")
    told = lines["coicop_gold"].where(lines["coicop_gold"] != "", lines["coicop_clerk"])
    pairs = zip(audit["hash"], told.loc[audit["unit"]], strict=True)
    done = [Reviewed(unit, code, "kim", "audit") for unit, code in pairs]
    ReviewStore(settings.database).add("diaries", MARCH, done)


@pytest.mark.parametrize("parts", [5])
def test_the_history_is_that_of_the_periods_in_memory(
    monitored: dict[int | None, Monitored], parts: int
) -> None:
    whole, many = monitored[None], monitored[parts]
    units = release_of(many.settings, MARCH).folder / "confidential/units"
    assert len(list(units.iterdir())) == parts
    rows = many.history.rows
    pd.testing.assert_frame_equal(
        whole.history.rows, rows, check_exact=False, rtol=1e-9, atol=1e-15
    )
    told = rows[(rows["period"] == MARCH) & (rows["status"] == "measured")]
    for indicator, arms in (
        ("accuracy", {"champion", "baseline", "released"}),
        ("in the review queue", {"released"}),
        ("by the baseline as fallback", {"released"}),
    ):
        mine = told[told["indicator"] == indicator]
        assert set(mine["arm"]) == arms
        assert (mine["upper"] > mine["lower"]).all()


@pytest.mark.parametrize("parts", [None, 5])
def test_every_period_has_a_page_of_its_distributions(
    monitored: dict[int | None, Monitored], parts: int | None
) -> None:
    one = monitored[parts]
    assert one.replaced == PERIODS
    assert set(one.pages) == set(one.snapshots) == set(PERIODS)
    for period, page in one.pages.items():
        rows = len(frames(one.settings.project)[period])
        note = (
            f"current: a random sample of {SAMPLE} of {rows:,} rows; "
            "the verdicts are of all"
        )
        html = page.read_text(encoding="utf-8")
        assert note in html
        assert f"Diaries (synthetic), {period}. " in html
        assert "SYNTHETIC DATA" in html
        assert one.snapshots[period]["metadata"]["notes"] == note
        verdicts = pd.read_parquet(
            release_of(one.settings, period).folder / "drift.parquet"
        )
        largest = verdicts.loc[verdicts["reference"] == "training", "n"].max()
        assert largest == rows > SAMPLE


@pytest.mark.parametrize("parts", [5])
def test_what_is_drawn_does_not_depend_on_the_parts(
    monitored: dict[int | None, Monitored], parts: int
) -> None:
    for period in PERIODS:
        one, two = (drawn(monitored[n].snapshots[period]) for n in (None, parts))
        assert one == two
        assert {"shop_type", "description_known"} <= set(one)
        for sides in one.values():
            assert sum(sides["current_distribution"]["y"]) == SAMPLE


def drawn(snapshot: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the bars of both sides by column."""
    (table,) = (one for one in snapshot["widgets"] if one["type"] == "big_table")
    sides = ("current_distribution", "reference_distribution")
    return {
        row["column_name"]: {side: row[side] for side in sides}
        for row in table["params"]["data"]
    }


def test_no_word_of_a_record_is_in_what_is_left_behind(
    monitored: dict[int | None, Monitored],
) -> None:
    one = monitored[5]
    lines = frames(one.settings.project)[MARCH]
    words = [*lines["line_id"], *lines["household_id"], *lines["description"]]
    # A single word may be the name of a colour in Evidently's script.
    words = [w for w in dict.fromkeys(words) if re.search("[ 0-9]", w) and len(w) > 6]
    assert len(words) > 300
    words += [CANARY_ID, CANARY_WORD]
    places = (one.settings.monitor, one.settings.evidently)
    files = [p for place in places for p in place.rglob("*") if p.is_file()]
    assert len([p for p in files if p.suffix == ".html"]) == 1 + len(PERIODS)
    assert find(words, files) == []
    kept = release_of(one.settings, MARCH).folder / "confidential/watched"
    assert find([CANARY_ID], [*kept.iterdir()])


def test_what_is_there_is_not_drawn_again(
    monitored: dict[int | None, Monitored], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = monitored[5]
    before = {path: path.read_bytes() for path in one.pages.values()}

    def again(*given: Any, **more: Any) -> None:
        raise AssertionError("a sample was drawn")

    monkeypatch.setattr(monitor_files, "watched_sample", again)
    history = history_of("diaries", one.settings)
    assert keep_workspace(history, one.settings) == ()
    assert {path: path.read_bytes() for path in one.pages.values()} == before


def test_without_training_data_both_sides_are_samples(
    monitored: dict[int | None, Monitored],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(monitored[5].settings.project, tmp_path, dirs_exist_ok=True)
    settings = load_settings(project=tmp_path)
    monkeypatch.setattr(monitor_files, "SAMPLE", SAMPLE)
    monkeypatch.setattr(monitor_files, "table_of", lambda *given: None)
    shutil.rmtree(settings.evidently)
    history = history_of("diaries", settings)
    assert keep_workspace(history, settings) == PERIODS
    found = Monitored(settings, history, PERIODS)
    assert set(found.pages) == {APRIL}  # nothing is before the first
    now, before = (len(frames(tmp_path)[period]) for period in (APRIL, MARCH))
    html = found.pages[APRIL].read_text(encoding="utf-8")
    for name, rows in (("current", now), ("reference", before)):
        assert f"{name}: a random sample of {SAMPLE} of {rows:,} rows;" in html
    assert "last_accepted" in html


def test_a_page_opens_from_a_file_and_asks_for_nothing(
    monitored: dict[int | None, Monitored], browser: Any
) -> None:
    visit = Visit(browser, monitored[5].pages[APRIL])
    page = visit.page
    page.get_by_text("Drift is").first.wait_for()
    page.get_by_text(f"a random sample of {SAMPLE} of").wait_for()
    page.locator("tbody tr button").first.click()
    page.locator(".js-plotly-plot svg.main-svg").first.wait_for()
    assert visit.asked_elsewhere() == []
    assert visit.complaints == []

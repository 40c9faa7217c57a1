"""Which periods in the shadow count, and which do not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mlstats import io, model_store
from mlstats.config import ShadowPlan
from mlstats.decisions import Act, Decision, chained
from mlstats.method import Incumbent
from mlstats.releases import ReleaseKey, ReleaseStore
from mlstats.settings import Settings, load_settings
from mlstats.shadowing import ShadowRecord, shadow_record

MONTHS = [f"2026-{month:02d}" for month in range(1, 13)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(project=tmp_path)


def stored(settings: Settings, seen_to: str | None) -> str:
    """Keep a model whose terms name the last period that its evaluation saw."""
    terms = {} if seen_to is None else {"seen_to": seen_to}
    return model_store.store(Incumbent("x"), ["x"], settings.confidential, terms=terms)


def log(
    time: str = "2026-06-15T10:00:00.500000+00:00", version: int = 3
) -> list[Decision]:
    act = Act(version, "m", "e", "valid", "shadow", "promote", "ada", "it", "why")
    return chained([act], "diary", [], time)


def answer(
    settings: Settings, periods: Iterable[str], model: str, at: str, **facts: Any
) -> None:
    """Leave what the shadow answered for periods, published at a time."""
    told = {"shadow_version": 3, "shadow_model": model, "answered": True, **facts}
    store = ReleaseStore(settings.shadows)
    for period in periods:
        key = ReleaseKey("diary", period, "i", json.dumps(told), "c", "b")
        made = store.publish(
            key, lambda folder: io.write_text(folder / "a.csv", "x\n"), facts=told
        )
        pointer = made.folder.parent / "current.json"
        held = json.loads(pointer.read_text())
        io.write_json(pointer, {**held, "published": at})


AFTER, BEFORE = "2026-06-15T10:00:00+00:00", "2026-06-15T09:59:59+00:00"


def counted(
    settings: Settings, model: str, rows: list[Decision], **plan: Any
) -> ShadowRecord:
    return shadow_record(settings, "diary", 3, model, rows, ShadowPlan(**plan))


def test_a_cycle_of_the_seasons_and_two_live_periods(settings: Settings) -> None:
    model = stored(settings, "2026-08")
    found = counted(settings, model, log())
    assert (found.wanted_live, found.wanted_back_cast) == (2, 12)
    assert found.lacks() == [
        "0 of 2 live shadow periods",
        "0 of 12 periods back-cast",
    ]
    answer(settings, ["2025-09", "2025-10", "2025-11", "2025-12"], model, AFTER)
    answer(settings, MONTHS[:9], model, AFTER)
    found = counted(settings, model, log())
    assert found.live == ("2026-09",)
    assert len(found.back_cast) == 12
    assert found.lacks() == ["1 of 2 live shadow periods"]
    answer(settings, ["2026-10"], model, AFTER)
    assert counted(settings, model, log()).lacks() == []


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [("2026-08", 12), ("2026-Q2", 4), ("2026-S1", 2), ("2025", 1), ("", 0), (None, 0)],
)
def test_the_cycle_is_that_of_the_frequency(
    settings: Settings, seen: str | None, wanted: int
) -> None:
    model = stored(settings, seen)
    assert counted(settings, model, log()).wanted_back_cast == wanted
    assert counted(settings, model, log(), back_cast=5).wanted_back_cast == 5


def test_a_period_is_live_from_the_second_of_the_decision_on(
    settings: Settings,
) -> None:
    model = stored(settings, "2026-08")
    answer(settings, ["2026-09"], model, BEFORE)
    answer(settings, ["2026-10"], model, AFTER)
    found = counted(settings, model, log())
    assert (found.live, found.back_cast) == (("2026-10",), ("2026-09",))


def test_without_the_step_to_the_shadow_nothing_is_live(settings: Settings) -> None:
    model = stored(settings, "2026-08")
    answer(settings, ["2026-10"], model, AFTER)
    for rows in ([], log(version=4)):
        found = counted(settings, model, rows)
        assert (found.live, found.back_cast) == ((), ("2026-10",))


def test_a_version_that_was_suspended_keeps_what_it_has_shown(
    settings: Settings,
) -> None:
    model = stored(settings, "2026-08")
    answer(settings, ["2026-10"], model, AFTER)
    rows = log()
    stop = Act(3, "m", "e", "shadow", "suspended", "suspend", "ada", "it", "why")
    rows += chained([stop], "diary", rows, "2026-12-01T00:00:00+00:00")
    back = Act(3, "m", "e", "suspended", "shadow", "promote", "ada", "it", "why")
    rows += chained([back], "diary", rows, "2026-12-02T00:00:00+00:00")
    assert counted(settings, model, rows).live == ("2026-10",)


def test_periods_of_another_frequency_are_compared_by_their_days(
    settings: Settings,
) -> None:
    model = stored(settings, "2026-Q3")
    answer(settings, ["2026-09", "2026-10", "2026"], model, AFTER)
    found = counted(settings, model, log())
    assert (found.live, found.back_cast) == (("2026-10",), ("2026", "2026-09"))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"shadow_model": "0" * 64}, "another model answered"),
        ({"answered": False}, "did not answer for every unit"),
        ({"answered": "yes"}, "did not answer for every unit"),
        ({"shadow_version": 2, "shadow_model": "0" * 64}, ""),
    ],
)
def test_what_does_not_count(
    settings: Settings, facts: dict[str, Any], said: str
) -> None:
    model = stored(settings, "2026-08")
    answer(settings, ["2026-09"], model, AFTER, **facts)
    found = counted(settings, model, log())
    assert (found.live, found.back_cast) == ((), ())
    lacks = "; ".join(found.lacks())
    assert said in lacks
    assert ("it does not count: 2026-09" in lacks) == bool(said)


def test_a_version_with_the_same_model_takes_over_what_it_has_shown(
    settings: Settings,
) -> None:
    model = stored(settings, "2026-08")
    answer(settings, ["2026-07"], model, BEFORE, shadow_version=2)
    answer(settings, ["2026-09"], model, BEFORE, shadow_version=2)
    answer(settings, ["2026-10"], model, AFTER)
    found = counted(settings, model, log())
    assert found.live == ("2026-10",)
    assert found.back_cast == ("2026-07", "2026-09")


def test_changed_and_damaged_answers_do_not_count(settings: Settings) -> None:
    model = stored(settings, "2026-08")
    answer(settings, ["2026-09", "2026-10", "2026-11", "trial"], model, AFTER)
    place = settings.shadows / "diary"
    (place / "2026-09" / "r0001" / "a.csv").write_text("y\n")
    (place / "2026-10" / "r0001" / "manifest.json").write_text("{")
    answer(settings, ["2026-12"], model, AFTER)
    (place / "2026-12" / "current.json").write_text('{"number": 1}')
    found = counted(settings, model, log())
    assert found.live == ("2026-11",)
    assert [why.partition(":")[0] for why in found.left_out] == [
        "2026-09", "2026-10", "2026-12", "trial",
    ]  # fmt: skip
    assert counted(settings, model, log(), live=1, back_cast=0).lacks() == []


def test_only_the_current_answer_of_a_period_counts(settings: Settings) -> None:
    model = stored(settings, "2026-08")
    answer(settings, ["2026-09"], model, AFTER)
    answer(settings, ["2026-09"], model, AFTER, answered=False)
    assert counted(settings, model, log()).live == ()


def test_a_model_whose_periods_nobody_knows(settings: Settings) -> None:
    """Every period counts as live; what is beyond the live ones is the back-cast."""
    model = stored(settings, "")
    answer(settings, MONTHS[:5], model, AFTER)
    found = counted(settings, model, log())
    assert found.lacks() == []
    found = counted(settings, model, log(), live=2, back_cast=4)
    assert (found.back_cast, found.live) == (tuple(MONTHS[:3]), tuple(MONTHS[3:5]))
    assert found.lacks() == ["3 of 4 periods back-cast"]
    answer(settings, MONTHS[5:6], model, BEFORE)
    assert counted(settings, model, log(), live=2, back_cast=4).lacks() == []


def test_a_model_that_is_not_there_has_shown_nothing(settings: Settings) -> None:
    answer(settings, ["2026-09"], "1" * 64, AFTER, shadow_model="2" * 64)
    found = counted(settings, "1" * 64, log())
    assert found.lacks()[0] == "0 of 2 live shadow periods"

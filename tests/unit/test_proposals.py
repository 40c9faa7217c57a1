"""What a history gives cause to do: by limits, by verdicts, and not by points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.config import Pilot
from mlstats.errors import ConfigError
from mlstats.monitoring import HISTORY, History, Look
from mlstats.pilot_files import load_pilot
from mlstats.produced import Reason
from mlstats.proposals import Proposal, proposals, proposed_table
from mlstats.quality.accuracy import RatioEstimate, proportion_interval
from mlstats.releases import Release, ReleaseKey
from tests.unit.test_schedule import PILOT

YEAR = [f"2026-{month:02d}" for month in range(1, 13)]


def pilot(target: float = 0.9, **monitor: Any) -> Pilot:
    production = {"review": {"target_accuracy": target}, "monitor": monitor}
    return Pilot.model_validate({**PILOT, "production": production})


def look(
    period: str,
    champion: str = "linear v1@abc",
    *,
    alarm: bool = False,
    lost: Reason | None = None,
    fallback: Sequence[Mapping[str, Any]] = (),
    units: int = 10_000,
) -> Look:
    key = ReleaseKey("demo", period, "i", "c", "d" * 64, "b" * 64)
    methods = {"champion": champion} if champion else {}
    facts = {
        "methods": methods | {"baseline": "index@b"},
        "alarm": alarm,
        "fallback": list(fallback),
        "counts": {"units": units},
    }
    return Look(Release(Path("x"), 1, key, False, {}, facts), "", lost)


def audit(period: str, right: int, n: int) -> list[dict[str, Any]]:
    """Return the rows of an audit that found so many right."""
    value = right / n
    se = float(np.sqrt(value * (1 - value) / (n - 1)))
    found = {"value": value, "se": se, "df": float(n - 1), "n": n}
    shared = {"period": period, "status": "measured", "arm": "released"}
    return [shared | found | {"part": "performance", "indicator": "accuracy"}]


def gap(period: str, value: float, se: float, n: int = 400) -> dict[str, Any]:
    told = {"indicator": "accuracy_difference", "arm": "champion", "status": "measured"}
    figure = {"value": value, "se": se, "df": float(n - 1), "n": n}
    return {"period": period, "reference": "baseline"} | told | figure


def alarms(
    period: str, count: int, reference: str = "training"
) -> list[dict[str, Any]]:
    shared = {"period": period, "reference": reference, "status": "measured"}
    verdict = {"indicator": "drift", "domain": "shop_type", "verdict": "drift"}
    told = shared | {"indicator": "drift_alarms", "value": float(count)}
    return [told, shared | verdict] if count else [told]


def history(
    of: Pilot, looks: Sequence[Look], rows: Sequence[Mapping[str, Any]]
) -> History:
    table = pd.DataFrame(list(rows), columns=list(HISTORY))
    texts = [name for name, kind in HISTORY.items() if kind == "str"]
    table[texts] = table[texts].astype(object).fillna("")
    filled = table.fillna({"n": 0, "revision": 1, "final": False})
    return History(of, filled.astype(dict(HISTORY)), tuple(looks))


def last(found: Sequence[Proposal], period: str) -> dict[str, Proposal]:
    return {one.action: one for one in found if one.period == period}


# -- a loss that stands ----------------------------------------------------------------

SAID = "the audit of 2026-01 measured an accuracy of 66.5%"


def test_a_loss_is_proposed_again_while_the_baseline_stands_in() -> None:
    stands = {"cause": "performance", "said": SAID, "classes": []}
    looks = [
        look("2026-01", lost=Reason("performance", SAID)),
        look("2026-02", fallback=[stands]),
        look("2026-03"),
    ]
    rows = [row for p in YEAR[:3] for row in audit(p, 98, 100)]
    found = proposals(history(pilot(), looks, rows))
    now = last(found, "2026-02")
    assert set(now) == {"retrain", "suspend"}
    for one in now.values():
        assert (one.state, one.since) == ("proposed", "2026-01")
        assert one.cause.startswith(SAID)
        assert np.isnan(one.value)  # that period's audit is not of the champion
    assert now["retrain"].run == "mlstats retrain diary --to 2026-02"
    assert last(found, "2026-03") == {}


def test_classes_that_fell_back_ask_for_another_version_alone() -> None:
    stands = {"cause": "performance", "said": SAID, "classes": ["02"]}
    crash = {"cause": "crash", "said": "it crashed", "classes": []}
    looks = [look("2026-01", fallback=[stands]), look("2026-02", fallback=[crash])]
    found = proposals(history(pilot(), looks, []))
    assert [(one.period, one.action) for one in found] == [("2026-01", "retrain")]


def test_what_the_baseline_released_is_not_held_against_the_champion() -> None:
    crash = {"cause": "crash", "said": "it crashed", "classes": []}
    rows = [*audit("2026-01", 96, 100), *audit("2026-02", 40, 100)]
    rows += audit("2026-03", 95, 100)
    mine = [look("2026-01"), look("2026-02", fallback=[crash]), look("2026-03")]
    assert proposals(history(pilot(), mine, rows)) == []
    own = [look(period) for period in YEAR[:3]]
    assert {one.action for one in proposals(history(pilot(), own, rows))} == {
        "retrain",
        "lower_automation",
    }


# -- inputs --------------------------------------------------------------------------


def test_one_alarm_asks_for_more_audit_which_produce_has_done() -> None:
    looks = [look("2026-01"), look("2026-02", alarm=True)]
    rows = [*alarms("2026-01", 0), *alarms("2026-02", 1)]
    found = last(proposals(history(pilot(), looks, rows)), "2026-02")
    assert set(found) == {"more_audit"}
    assert found["more_audit"].state == "done by produce"
    assert "shop_type" in found["more_audit"].cause
    assert found["more_audit"].value == 1


def test_an_alarm_that_production_did_not_act_on_is_proposed() -> None:
    found = proposals(history(pilot(), [look("2026-02")], alarms("2026-02", 2)))
    assert [one.state for one in found] == ["proposed"]


def test_drift_from_the_training_data_that_stays_asks_for_another_version() -> None:
    looks = [look(p, alarm=True) for p in YEAR[:4]]
    rows = [
        row for p, n in zip(YEAR, (0, 1, 1, 1), strict=False) for row in alarms(p, n)
    ]
    found = proposals(history(pilot(drifting=2, unaudited=12), looks, rows))
    assert set(last(found, "2026-02")) == {"more_audit"}
    now = last(found, "2026-03")
    assert set(now) == {"more_audit", "retrain", "lower_automation"}
    assert now["retrain"].since == "2026-02"
    assert now["retrain"].run == "mlstats retrain diary --to 2026-03"
    assert last(found, "2026-04")["more_audit"].since == "2026-02"


def test_drift_from_what_an_earlier_version_was_trained_on_is_not_counted() -> None:
    looks = [look(p, "linear v1@abc", alarm=True) for p in YEAR[:2]]
    looks += [look(p, "linear v2@def", alarm=True) for p in YEAR[2:4]]
    rows = [row for p in YEAR[:4] for row in alarms(p, 1)]
    found = proposals(history(pilot(drifting=2, unaudited=12), looks, rows))
    assert "retrain" in last(found, "2026-02")
    assert set(last(found, "2026-03")) == {"more_audit"}
    now = last(found, "2026-04")["retrain"]
    assert now.since == "2026-03"
    assert now.cause.startswith("2 periods")


def test_drift_from_the_last_period_alone_is_no_cause_to_retrain() -> None:
    looks = [look(p, alarm=True) for p in YEAR[:3]]
    rows = [row for p in YEAR[:3] for row in alarms(p, 1, "last_accepted")]
    found = proposals(history(pilot(), looks, rows))
    assert {one.action for one in found} == {"more_audit"}


# -- audits --------------------------------------------------------------------------


def test_periods_without_an_audit_are_told() -> None:
    looks = [look(p) for p in YEAR[:4]]
    found = proposals(history(pilot(unaudited=3), looks, audit("2026-01", 95, 100)))
    assert [(one.period, one.action, one.since) for one in found] == [
        ("2026-04", "more_audit", "2026-02")
    ]


def test_without_a_champion_nothing_is_asked_of_audits() -> None:
    looks = [look(p, "") for p in YEAR[:5]]
    assert proposals(history(pilot(), looks, [])) == []


def test_a_measured_loss_asks_for_another_version_and_the_baseline_stands_in() -> None:
    whole = Reason("performance", "the whole interval below 90%")
    found = last(
        proposals(history(pilot(), [look("2026-02", lost=whole)], [])), "2026-02"
    )
    assert set(found) == {"retrain", "suspend", "lower_automation"}
    assert found["lower_automation"].state == "done by produce"
    assert found["suspend"].state == found["retrain"].state == "proposed"
    some = Reason("performance", "2 classes below 90%", ("01", "02"))
    found = last(
        proposals(history(pilot(), [look("2026-02", lost=some)], [])), "2026-02"
    )
    assert set(found) == {"retrain", "lower_automation"}


def test_a_small_loss_is_found_by_some_periods_together() -> None:
    looks = [look(p) for p in YEAR[:6]]
    rows = [row for p in YEAR[:6] for row in audit(p, 340, 400)]  # 85 % of 90 %
    found = proposals(history(pilot(), looks, rows))
    now = last(found, "2026-06")
    assert set(now) == {"lower_automation", "retrain"}
    told = now["lower_automation"]
    # Equal periods: the mean, and a standard error of so many times the sample.
    se = float(np.sqrt(0.85 * 0.15 / 399 / 6))
    ends = proportion_interval(
        RatioEstimate(0.85, se, 6 * 399.0, 2400), 2400, 1 - 0.05 / 12
    )
    assert told.value == pytest.approx(0.85)
    assert (told.lower, told.upper) == pytest.approx(ends)
    assert told.upper < 0.9
    assert "85.0%" in told.cause


def test_periods_weigh_as_their_units() -> None:
    """A purge leaves the figures of a period and the counts of its release."""
    looks = [look("2026-01", units=30_000), look("2026-02", units=10_000)]
    rows = [*audit("2026-01", 320, 400), *audit("2026-02", 380, 400)]
    rows[0] |= {"df": np.nan}  # a scorecard does not hold it
    told = last(proposals(history(pilot(), looks, rows)), "2026-02")["retrain"]
    assert told.value == pytest.approx(0.75 * 0.8 + 0.25 * 0.95)
    looks = [look("2026-01", units=10_000), look("2026-02", units=30_000)]
    assert proposals(history(pilot(), looks, rows)) == []


def test_an_estimate_below_the_target_alone_is_no_cause() -> None:
    looks = [look(p) for p in YEAR[:3]]
    rows = [row for p in YEAR[:3] for row in audit(p, 53, 60)]  # 88.3 %, wide
    assert proposals(history(pilot(), looks, rows)) == []


def test_audits_of_another_version_are_not_put_together() -> None:
    looks = [look(p, "linear v1@abc") for p in YEAR[:5]]
    rows = [row for p in YEAR[:6] for row in audit(p, 340, 400)]
    looks.append(look(YEAR[5], "linear v2@def"))
    assert last(proposals(history(pilot(), looks, rows)), YEAR[5]) == {}


def test_a_champion_at_its_target_is_seldom_proposed_against() -> None:
    """The chance of any proposal from audits in a year without a loss is small."""
    rng, years, plan = np.random.default_rng(20260101), 60, pilot()
    blamed = 0
    for _ in range(years):
        rows: list[dict[str, Any]] = []
        for period in YEAR:
            rows += audit(period, int(rng.binomial(400, 0.9)), 400)
            rows.append(gap(period, float(rng.normal(0, 0.02)), 0.02))
        found = proposals(history(plan, [look(p) for p in YEAR], rows))
        blamed += bool(found)
    assert blamed / years <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / years)


def test_a_champion_shown_to_be_worse_than_the_baseline_is_to_be_suspended() -> None:
    found = proposals(history(pilot(), [look("2026-02")], [gap("2026-02", -0.1, 0.02)]))
    now = last(found, "2026-02")
    assert set(now) == {"suspend", "retrain"}
    assert now["suspend"].upper < 0
    assert now["suspend"].lower < -0.1 < now["suspend"].upper
    not_shown = [gap("2026-02", -0.05, 0.02)]  # 95 % would do, a look of twelve not
    assert proposals(history(pilot(), [look("2026-02")], not_shown)) == []


def test_the_table_tells_the_last_period_first() -> None:
    looks = [look(p, alarm=True) for p in YEAR[:2]]
    rows = [row for p in YEAR[:2] for row in alarms(p, 1, "last_accepted")]
    table = proposed_table(proposals(history(pilot(), looks, rows)))
    assert table["period"].tolist() == ["2026-02", "2026-01"]
    assert table["since"].tolist() == ["2026-01", "2026-01"]
    assert proposed_table([]).empty


# -- settings ------------------------------------------------------------------------


def test_a_misspelt_key_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    import yaml

    (tmp_path / "configs/pilots").mkdir(parents=True)
    told = {**PILOT, "production": {"monitor": {"windw": 3}}}
    path = tmp_path / "configs/pilots/products.yaml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_pilot("products", project=tmp_path)
    assert "windw" in str(refused.value)
    assert refused.value.nearest == "window"

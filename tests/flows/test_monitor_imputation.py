"""The history of an edit and imputation pilot: inputs and outputs, no performance."""

from __future__ import annotations

import json

import pytest

from mlstats import production
from mlstats.monitor_files import keep_files, keep_workspace
from mlstats.monitoring import history_of
from mlstats.proposals import proposals
from mlstats.settings import Settings
from tests.flows.test_produce_imputation import office, settings
from tests.recipe_example import decide

__all__ = ["office", "settings"]  # fixtures

QUARTERS = ("2026-Q2", "2026-Q3")


@pytest.mark.usefixtures("office")
def test_imputation_shows_inputs_and_outputs(settings: Settings) -> None:
    decide(settings, "survey")
    made = [production.produce("survey", one, settings) for one in QUARTERS]
    history = history_of("survey", settings)
    rows = history.rows
    assert list(dict.fromkeys(rows["period"])) == list(QUARTERS)
    mine = rows[rows["part"] == "performance"]
    assert set(mine["status"]) == {"not_measured"}
    assert set(mine["note"]) == {"the accuracy of a period is measured for codes"}
    for one in made:
        assert one.release is not None
        now = rows[rows["period"] == one.period]
        counted = now[now["note"] == "a count of the period, not an estimate"]
        told = dict(zip(counted["indicator"], counted["value"], strict=True))
        for name, count in one.counts.items():
            assert told[f"{name}, count"] == count
        whole = one.totals[one.totals["domain"].astype(str) == ""]
        mine = now[now["indicator"].isin(["share", "total"])]
        assert mine["value"].tolist() == pytest.approx(whole["estimate"].tolist())
        assert mine["domain"].is_unique
    later = rows[rows["period"] == QUARTERS[1]]
    assert (later["indicator"] == "change").any()
    drift = later[later["indicator"] == "drift"]
    assert len(drift)
    assert (drift["verdict"] != "").all()
    found = proposals(history)
    assert {one.action for one in found} <= {"more_audit"}
    kept = keep_files(history, found, settings)
    page = (kept.folder / "monitor.html").read_text(encoding="utf-8")
    assert "No audit has been coded: not measured." in page
    assert keep_workspace(history, settings) == QUARTERS
    paths = settings.evidently.glob("*/snapshots/*.json")
    told = {json.loads(path.read_text())["timestamp"] for path in paths}
    assert told == {"2026-06-30T00:00:00", "2026-09-30T00:00:00"}

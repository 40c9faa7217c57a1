"""The sheets that a pilot names: costs, times and waivers in a run."""

from pathlib import Path

import pandas as pd
import pytest

from mlstats.config import Pilot
from mlstats.errors import ConfigError
from mlstats.pilot_files import load_pilot
from mlstats.quality.estimate import Estimate
from mlstats.quality.scorecard import as_scorecard
from mlstats.quality.waiver import waived_verdict
from mlstats.runs import Run, judge, plan_of
from mlstats.settings import load_settings
from mlstats.sheets import cost_tables, read_sheets, sheet_rows

TIMINGS = pd.DataFrame(
    {"method": ["linear"], "step": ["predict"], "units": [500], "wall_seconds": [0.5]}
)


@pytest.fixture
def pilot() -> Pilot:
    return load_pilot("coicop-demo")


def scored(pilot: Pilot) -> pd.DataFrame:
    def row(indicator: str, value: float) -> dict[str, object]:
        return {"dimension": "accuracy", "indicator": indicator, "level": "full",
                "method": "linear", "value": value, "se": 0.01, "df": 99.0,
                "lower": value - 0.02, "upper": value + 0.02, "n": 500,
                "interval": "t"}  # fmt: skip

    rows = [row("accuracy", 0.9), row("automation_guaranteed", 0.8)]
    return as_scorecard(rows, plan_of(pilot, ["full"]))


def test_what_was_measured_takes_the_place_of_what_was_planned(pilot: Pilot) -> None:
    sheets = read_sheets(pilot, Path())
    rows = sheet_rows(
        pilot, sheets, scored(pilot), TIMINGS, period="2026-08",
        newest_label="2026-06", mse_reduction={"linear": Estimate(2.0)},
    )  # fmt: skip
    at = {(r["indicator"], r["method"]): r for r in rows}
    saved = at[("clerical_minutes_saved", "linear")]
    assert "automatic share 80.0% measured" in saved["note"]
    assert at[("cost_per_correct", "linear")]["status"] == "measured"
    assert at[("cost_per_correct", "clerk")]["status"] == "not_measured"
    assert at[("label_age_days", "linear")]["value"] == 62
    machine = at[("processing_seconds_per_1000", "linear")]
    # 1 second, and the clerks' .65 minutes for a fifth of 1,000 units
    assert machine["value"] == pytest.approx(1 + 0.2 * 0.65 * 60_000)
    tables = cost_tables(pilot, sheets, scored(pilot))
    assert set(tables) == {"costs", "cost_sensitivity"}


def test_a_sheet_that_is_not_there_or_names_no_method_is_refused(tmp_path) -> None:
    lost = load_pilot("coicop-demo", overrides=["sheets.costs=costs/lost.yaml"])
    with pytest.raises(ConfigError, match="no sheet 'costs/lost.yaml'"):
        read_sheets(lost, tmp_path)
    folder = tmp_path / "configs" / "timeliness"
    folder.mkdir(parents=True)
    text = "version: 1\noutput_lag_days: {lineer: 3}\n"
    (folder / "mine.yaml").write_text(text)
    named = "sheets.timeliness=timeliness/mine.yaml"
    mine = load_pilot("coicop-demo", overrides=[named])
    with pytest.raises(ConfigError, match="lineer") as raised:
        read_sheets(mine, tmp_path)
    assert raised.value.nearest == "linear"


def test_data_without_periods_have_no_lag() -> None:
    pilot = load_pilot("coicop-demo")
    rows = sheet_rows(
        pilot, read_sheets(pilot, Path()), scored(pilot), TIMINGS, period="",
        newest_label="", mse_reduction={},
    )  # fmt: skip
    lags = [r for r in rows if r["indicator"] in {"output_lag_days", "label_age_days"}]
    assert {r["status"] for r in lags} == {"not_measured"}


WAIVERS = """version: 1
waivers:
  - gate: accuracy@full to shadow
    text: The gold sample of May is late; the parallel run may begin without it.
    expires: {expires}
    first: {{person: A. Author, role: methodologist, day: 2020-01-02}}
    second: {{person: B. Bureau, role: subject owner, day: 2020-01-03}}
"""


@pytest.mark.parametrize(
    ("expires", "verdict"), [("2999-12-31", "waived"), ("2020-02-01", "not_measured")]
)
def test_a_waiver_counts_in_a_run_until_it_expires(
    tmp_path, monkeypatch, expires: str, verdict: str
) -> None:
    folder = tmp_path / "configs" / "waivers"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(WAIVERS.format(expires=expires))
    monkeypatch.chdir(tmp_path)
    pilot = load_pilot("coicop-demo", overrides=["sheets.waivers=waivers/mine.yaml"])
    run = Run("id", pilot, load_settings(), {})
    gates = judge(run, scored(pilot))
    assert waived_verdict(gates, "shadow") == verdict
    said = gates["waiver"].iloc[0]
    assert ("A. Author" in said) == (verdict == "waived")
    assert ("B. Bureau" in said) == (verdict == "waived")

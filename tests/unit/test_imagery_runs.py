"""From the arms to the scorecard, gates and report of an imagery pilot, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.imagery_methods import load, ready, run_method
from mlstats.imagery_runs import arms_apart, build_report, evaluate_methods
from mlstats.quality.evaluation import ESTIMATES, Evaluation
from mlstats.quality.report import RunReport, render_html
from mlstats.runs import Run, judge
from mlstats.scene_drift import AHEAD, compare_dates
from mlstats.settings import load_settings
from tests.scene_example import (
    CLASSES,
    NODATA,
    Landscape,
    image,
    make_landscape,
    scene_pilot,
    write,
)

TWO = [
    {"file": f"{name}.tif", "bands": ["red", "nir"], "scale": 0.0001}
    for name in ("one", "two")
]
LATER = {"images": TWO[:1], "target": TWO[1:], "features": {}}


@pytest.fixture
def land(tmp_path: Path) -> Landscape:
    return make_landscape()


def done(pilot: Any, folder: Path) -> tuple[Evaluation, pd.DataFrame, RunReport, Any]:
    """Run all steps of the flow but the writing; return what they made, and arms."""
    settings = load_settings()
    settings.prepare()
    run = Run("r1", pilot, settings, {})
    data, result = load(pilot, settings)
    assert result.ok
    ready(pilot, data)
    apart = compare_dates(pilot, data)
    arms = [run_method(pilot, name, data, folder) for name in pilot.methods]
    evaluation, scorecard = evaluate_methods(run, data, arms, apart, folder)
    gates = judge(run, scorecard)
    shown = build_report(run, data, evaluation, scorecard, gates, arms, apart)
    return evaluation, scorecard, shown, (run, data, arms)


def test_a_later_date_is_told_with_its_alarms_and_changes(
    land: Landscape, tmp_path: Path
):
    later = image(2, land.classes, 1)
    later[0] = later[0] * 1.4
    write("one.tif", image(1, land.classes, 1), ("red", "nir"))
    write("two.tif", later, ("red", "nir"))
    pilot = scene_pilot(
        methods=("likelihood", "forest"),
        scene=LATER,
        gates=[{"measure": "drift_alarms", "at_most": 0}],
    )
    evaluation, scorecard, shown, _ = done(pilot, tmp_path)
    table = evaluation.tables["date_drift"]
    assert set(table["measure"]) == {
        "clear", "mean", "distribution", "outside", "class share",
    }  # fmt: skip
    assert set(table.loc[table["measure"] == "class share", "of"]) == set(
        CLASSES.values()
    )
    ahead = table[table["measure"] != "class share"]
    alarms = scorecard[scorecard["indicator"] == "drift_alarms"].set_index("method")
    assert set(alarms.index) == {"likelihood", "forest"}
    assert alarms.loc["forest", "value"] == (ahead["state"] == "drift").sum() >= 2
    assert alarms.loc["forest", "note"].startswith(AHEAD)
    assert list(shown.gates["result"]) == ["fail"]
    assert shown.verdict.startswith("The gate to shadow is failed")
    assert "mean red" in shown.drift_sentence
    page = render_html(shown)
    assert "Drift between dates" in page
    assert "Clear pixels" in page


def test_without_a_later_date_there_are_no_alarms_and_no_table(
    land: Landscape, tmp_path: Path
):
    evaluation, scorecard, shown, (_, data, arms) = done(scene_pilot(), tmp_path)
    assert "date_drift" not in evaluation.tables
    assert not (scorecard["indicator"] == "drift_alarms").any()
    assert set(evaluation.tables) >= {
        "areas", "validation", "class_areas", "applicability", "clear",
    }  # fmt: skip
    assert list(evaluation.estimates.columns) == list(ESTIMATES)
    judged = evaluation.units
    assert len(judged) == 3 * len(data.frame)
    assert set(judged["fold"]) == {"test"}
    keyed = judged["unit"].unique()
    assert len(keyed) == len(data.frame)
    assert not set(keyed) & set(data.frame["id"])
    old = judged[judged["method"] == "old"].sort_values("position")
    unknown = data.frame["previous_map"].isna().to_numpy()
    assert (old["status"] == np.where(unknown, "uncoded", "coded")).all()
    cells = scorecard[scorecard["indicator"] == "accuracy"].set_index("method")
    first = 100 * cells.loc["forest", "value"]
    assert f"accuracy of forest on class is {first:.1f}" in shown.verdict
    assert "against likelihood" in shown.verdict
    assert unknown.sum() > 0
    assert [arm.name for arm in arms] == list(shown.methods["method"])
    assert render_html(shown).count("Published areas") >= 1


def test_the_arms_apart_are_compared_on_the_units_that_both_answer(
    land: Landscape, tmp_path: Path
):
    pilot = scene_pilot(baseline="old")
    _, _, shown, (run, data, arms) = done(pilot, tmp_path)
    found = arms_apart(run, data, arms).table()
    sides = {}
    for arm in arms:
        told = arm.units[arm.units["scheme"] == "blocked"].set_index("row")
        sides[arm.name] = told["prediction"].reindex(range(len(data.frame)))
    both = sides["old"].notna() & sides["forest"].notna()
    assert 0 < both.sum() < len(both)
    assert set(found["n"]) == {both.sum()}
    row = found[found["test"] == "code"].iloc[0]
    code = row["note"].partition(";")[0].removeprefix("code ")
    before, now = ((sides[name][both] == code).mean() for name in ("old", "forest"))
    assert row["effect"] == pytest.approx(now - before)
    areas = shown.tables["Published areas"]
    alone = areas[areas["method"] == "survey alone"]
    assert sorted(alone["variable"]) == sorted(CLASSES.values())


def test_a_scene_all_of_cloud_has_its_whole_territory_unclassified(
    land: Landscape, tmp_path: Path
):
    write("one.tif", image(1, land.classes, 1), ("red", "nir"))
    write("two.tif", np.full((2, 120, 120), NODATA, "uint16"), ("red", "nir"))
    pilot = scene_pilot(methods=("likelihood", "forest"), scene=LATER)
    evaluation, scorecard, shown, _ = done(pilot, tmp_path)
    share = scorecard[scorecard["indicator"] == "unclassified_share"]
    assert list(share["value"]) == [1.0, 1.0]
    clear = evaluation.tables["clear"].set_index("images")
    assert clear.loc["classified", "status"] == "all cloud"
    areas = evaluation.tables["areas"].set_index(["method", "variable"])
    told, alone = areas.loc[("forest", "maize")], areas.loc[("survey alone", "maize")]
    assert told["estimate"] == alone["estimate"]  # no map: the survey stands
    assert areas.loc[("forest, pixel count", "maize"), "estimate"] == 0
    render_html(shown)

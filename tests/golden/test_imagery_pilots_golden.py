"""The shipped pilots of imagery on their data, against figures that others printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.config import Pilot
from mlstats.imagery_methods import load, ready, run_method
from mlstats.imagery_scoring import number_rows, repetition_rows
from mlstats.imagery_task import ImageryData
from mlstats.imagery_units import judged_units
from mlstats.pilot_files import load_pilot
from mlstats.scene_drift import compare_dates
from mlstats.segment_methods import simulated
from mlstats.settings import load_settings

KEY = b"a key of the test"


def pilot_and_data(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str
) -> tuple[Pilot, ImageryData]:
    monkeypatch.setenv("MLSTATS_DATA", str(folder))
    settings = load_settings()
    pilot = load_pilot(name, project=settings.project, overrides=list(overrides))
    data, result = load(pilot, settings)
    result.raise_if_failed(name)
    ready(pilot, data)
    return pilot, data


def test_iowa_as_the_paper_and_sae_have_it(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
):
    pilot, data = pilot_and_data("iowa-crops", real_data, monkeypatch)
    assert len(data.frame) == 36  # Hardin's row 33 is left out
    segments = float(data.task.areas["size"].sum())
    direct, regression, small = (
        run_method(pilot, name, data).estimates
        for name in ("direct", "regression", "small-areas")
    )
    se = {
        (row["variable"], name): row["standard_error"] / segments
        for name, table in (("direct", direct), ("regression", regression))
        for _, row in table[table["domain"] == ""].iterrows()
    }
    # The design page: without the correction for a finite frame, and residuals of the
    # regression not yet divided by one less their leverage. Hectares per segment.
    se = {key: value / (1 - 36 / segments) ** 0.5 for key, value in se.items()}
    assert se["corn_ha", "direct"] == pytest.approx(5.42, abs=0.01)
    assert se["corn_ha", "regression"] == pytest.approx(2.83, abs=0.03)
    assert se["soy_ha", "direct"] == pytest.approx(6.24, abs=0.01)
    assert se["soy_ha", "regression"] == pytest.approx(3.43, abs=0.03)
    # The model's own means agree with R's sae; the pilot's are benchmarked.
    method = run_method(pilot, "small-areas", data).method
    table = data.frame[["corn_ha", "corn_pixels", "soy_pixels"]].astype(float)
    table["area"] = data.frame["county"].astype(str)
    fit = method.fit(table, data.task.areas, "corn_ha", ["corn_pixels", "soy_pixels"])
    path = real_data / "imagery/iowa_segments/expected_sae.json"
    expected = json.loads(path.read_text())["case"]["eblup"]
    found = fit.areas.set_index("area")["estimate"]
    for county, value in expected.items():
        assert found[county] == pytest.approx(value, abs=1e-4)
    of_corn = small[(small["variable"] == "corn_ha") & (small["domain"] != "")]
    whole = regression.set_index("variable").loc["corn_ha", "estimate"]
    assert of_corn["estimate"].sum() == pytest.approx(whole)


def test_surveys_of_rondonia_drawn_anew_are_unbiased_and_their_intervals_hold(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
):
    pilot, data = pilot_and_data(
        "rondonia-clearing", real_data, monkeypatch, "data.segments.simulate=300"
    )
    runs = [run_method(pilot, name, data) for name in pilot.methods]
    table = simulated(pilot, data, {run.name: run.method for run in runs})
    rows = pd.DataFrame(repetition_rows(pilot, table)).set_index(
        ["indicator", "method"]
    )
    bias = rows.loc[("repeated_bias", "regression")]
    # A regression is biased by less than its error over the number of segments.
    assert abs(bias["value"]) < rows.loc[("repeated_rmse", "regression"), "value"] / 5
    assert rows.loc[("repeated_coverage", "regression"), "upper"] > 0.935
    ratio = (
        rows.loc[("repeated_rmse", "direct"), "value"]
        / rows.loc[("repeated_rmse", "regression"), "value"]
    ) ** 2
    assert 14 < ratio < 28  # the design page measured 20 to 21
    count = rows.loc[("repeated_bias", "pixel-count"), "value"]
    assert count == pytest.approx(0.049, abs=0.001)
    areas = run_method(pilot, "regression", data).estimates.iloc[0]
    assert areas["lower"] < areas["estimate"] < areas["upper"]


def test_sumatra_by_area_by_buildings_and_learnt(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("geopandas")
    pilot, data = pilot_and_data("sumatra-population", real_data, monkeypatch)
    names = ("areal", "buildings", "learnt-linear")
    runs = [run_method(pilot, name, data) for name in names]
    units = judged_units(pilot, data, runs, run_id="r", key=KEY)
    told = pd.DataFrame(number_rows(pilot, units))
    rows = told.query("indicator == 'nmae' and domain == ''").set_index("method")
    assert rows.loc["areal", "value"] == pytest.approx(0.570, abs=0.0005)
    assert rows.loc["buildings", "value"] == pytest.approx(0.447, abs=0.0005)
    assert rows.loc["learnt-linear", "value"] == pytest.approx(0.431, abs=0.001)
    assert rows.loc["learnt-linear", "difference_upper"] < 0
    truth = data.frame.groupby("regency")["population"].sum()
    for run in runs:
        placed = run.units.groupby(data.frame["regency"])["prediction"].sum()
        np.testing.assert_allclose(placed, truth[placed.index], rtol=1e-6)


def test_two_seasons_of_chiapas_are_told_apart_before_anything_is_predicted(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("geopandas")
    pilot, data = pilot_and_data("chiapas-landcover", real_data, monkeypatch)
    apart = compare_dates(pilot, data)
    shown = apart.table.set_index(["measure", "of"])["state"]
    for band in ("blue", "green", "red", "nir", "swir1", "swir2"):
        assert shown["mean", band] == "drift"
    clear = apart.clear.set_index("images")["share"]
    assert clear["learnt from"] == 1.0
    assert clear["classified"] == pytest.approx(0.731, abs=0.001)

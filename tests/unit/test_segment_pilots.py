"""Pilots of surveyed segments: what they estimate against sums and formulas by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

from mlstats.config import Pilot
from mlstats.errors import ConfigError, ContractError
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.segment_arms import SegmentEstimator, left_out
from mlstats.imagery_methods import load, ready, run_method
from mlstats.imagery_scoring import (
    area_rows,
    number_rows,
    repetition_rows,
    worth_table,
)
from mlstats.imagery_units import judged_units
from mlstats.quality.report_tables import KEPT_BACK
from mlstats.segment_methods import simulated
from mlstats.settings import load_settings

KEY = b"a key of the test"
CLASS = "mlstats.imagery.SegmentEstimator"
METHODS = {
    "direct": {"kind": "traditional", "use": CLASS, "params": {"estimator": "direct"}},
    "regression": {
        "kind": "ml",
        "use": CLASS,
        "params": {"estimator": "combined_regression", "resamples": 199},
    },
    "count": {"kind": "ml", "use": "mlstats.imagery.PixelCount"},
    "small": {"kind": "ml", "use": "mlstats.imagery.SmallAreas"},
}
COUNTIES = pd.DataFrame(
    {
        "county": ["a", "b", "c", "d"],
        "size": [300, 200, 400, 100],
        "mean_pixels": [200.0, 260.0, 180.0, 300.0],
    }
)


def segments(n: int = 44) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    county = np.repeat(["a", "b", "c", "d"], n // 4)
    pixels = rng.uniform(100, 400, len(county)).round()
    return pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(len(county))],
            "county": county,
            "corn": 20 + 0.4 * pixels + rng.normal(0, 12, len(county)),
            "pixels": pixels,
        }
    )


def pilot_of(methods: tuple[str, ...] = ("direct", "regression"), **more: Any) -> Pilot:
    frame = {
        "frame": "counties.csv",
        "by": "county",
        "segments": "size",
        "means": {"pixels": "mean_pixels"},
        "classified": {"corn": ["pixels"]},
        "hectares_per_unit": 0.45,
    }
    return Pilot.model_validate(
        {
            "pilot": "corn",
            "theme": "imagery",
            "owner": {"author": "me"},
            "data": {
                "source": "segments.csv",
                "roles": {
                    "unit_id": "id",
                    "variables": ["corn"],
                    "domain": ["county"],
                    **more.pop("roles", {}),
                },
                "segments": frame | more.pop("segments", {}),
            },
            "methods": {name: METHODS[name] for name in methods},
            "baseline": "direct",
            "candidate": "regression",
            **more,
        }
    )


@pytest.fixture
def office(tmp_path: Path) -> Path:
    segments().to_csv("segments.csv", index=False)
    COUNTIES.to_csv("counties.csv", index=False)
    return tmp_path


def test_direct_and_regression_are_the_formulas_of_cochran(office: Path):
    pilot = pilot_of()
    data, result = load(pilot, load_settings())
    assert result.ok
    table = segments()
    y, x, n, whole = table["corn"], table["pixels"] * 0.45, len(table), 1000
    mean_x = (COUNTIES["size"] * COUNTIES["mean_pixels"]).sum() / whole * 0.45
    slope = np.cov(x, y)[0, 1] / x.var()
    direct = run_method(pilot, "direct", data).estimates.iloc[0]
    assert direct["estimate"] == pytest.approx(whole * y.mean())
    error = whole * np.sqrt((1 - n / whole) * y.var() / n)
    assert direct["standard_error"] == pytest.approx(error)
    found = run_method(pilot, "regression", data).estimates.iloc[0]
    assert found["estimate"] == pytest.approx(
        whole * (y.mean() + slope * (mean_x - x.mean()))
    )
    assert found["relative_efficiency"] > 3
    assert found["publishable"]


def test_a_segment_is_predicted_by_what_was_fitted_without_it():
    rng = np.random.default_rng(8)
    x = rng.uniform(0, 10, 12)
    y = 3 + 2 * x + rng.normal(0, 1, 12)
    sample = AreaSample.of(y, x, segments=100.0, x_mean=5.0)
    told = left_out(sample, "combined_regression")
    others = np.arange(12) != 4
    slope, start = np.polyfit(x[others], y[others], 1)
    assert told[4] == pytest.approx(start + slope * x[4])
    assert left_out(sample, "direct")[4] == pytest.approx(y[others].mean())
    assert left_out(sample, "ratio")[4] == pytest.approx(
        x[4] * y[others].sum() / x[others].sum()
    )
    assert np.isnan(
        left_out(
            AreaSample.of(
                y[:3], x[:3], segments={"a": 9, "b": 9}, x_mean={"a": 5.0, "b": 5.0},
                stratum=np.array(["a", "a", "b"]),
            ),
            "direct",
        )[2]
    )  # fmt: skip


def test_both_arms_are_judged_on_the_same_segments(office: Path):
    pilot = pilot_of(("direct", "regression", "count"))
    data, _ = load(pilot, load_settings())
    runs = [run_method(pilot, name, data) for name in pilot.methods]
    units = judged_units(pilot, data, runs, run_id="r", key=KEY)
    assert units.groupby("method")["unit"].apply(list).map(tuple).nunique() == 1
    assert not units["unit"].isin(segments()["id"]).any()
    rows = pd.DataFrame(number_rows(pilot, units)).query(
        "indicator == 'nrmse' and domain == ''"
    )
    shown = rows.set_index("method")
    y = segments()["corn"].to_numpy()
    error = np.sqrt(((left_out(data.task.samples["corn"], "direct") - y) ** 2).mean())
    assert shown.loc["direct", "value"] == pytest.approx(error / y.std(), rel=1e-6)
    assert shown.loc["regression", "difference_upper"] < 0
    areas = pd.DataFrame(area_rows(pilot, data, runs)).set_index(
        ["indicator", "method"]
    )
    worth = worth_table(area_rows(pilot, data, runs)).set_index("method")
    gain = areas.loc[("relative_efficiency", "regression")]
    assert list(worth.index) == ["regression"]
    assert worth.loc["regression", "equivalent"] == pytest.approx(44 * gain["value"])
    told = worth.loc["regression", ["worth", "worth_lower", "worth_upper"]]
    expected = [44 * (gain[part] - 1) for part in ("value", "lower", "upper")]
    assert told.tolist() == pytest.approx(expected)
    counted = runs[2].estimates.iloc[0]
    assert not counted["publishable"]
    judge = runs[1].estimates.iloc[0]
    bias = areas.loc[("count_bias", "count")]
    assert bias["value"] == pytest.approx(counted["estimate"] / judge["estimate"] - 1)
    low, high = counted["estimate"] / judge[["upper", "lower"]].astype(float) - 1
    assert (bias["lower"], bias["upper"]) == pytest.approx((low, high))
    assert areas.loc[("relative_efficiency", "direct"), "status"] == "not_applicable"


def test_small_areas_sum_to_the_benchmark_and_few_segments_are_kept_back(office: Path):
    pilot = pilot_of(("direct", "regression", "small"))
    settings = load_settings()
    data, _ = load(pilot, settings)
    told = run_method(pilot, "small", data).estimates
    areas = told[told["domain"] != ""]
    assert list(areas["domain"]) == [f"county: {c}" for c in "abcd"]
    whole = told.loc[told["domain"] == "", "estimate"].iloc[0]
    assert areas["estimate"].sum() == pytest.approx(whole)
    direct = run_method(pilot, "direct", data).estimates
    a = segments().query("county == 'a'")["corn"]
    of_a = direct[direct["domain"] == "county: a"].iloc[0]
    assert of_a["estimate"] == pytest.approx(300 * a.mean())
    error = 300 * np.sqrt((1 - 11 / 300) * a.var() / 11)
    assert of_a["standard_error"] == pytest.approx(error)

    segments(32).to_csv("segments.csv", index=False)  # eight in each county
    data, _ = load(pilot, settings)
    hidden = run_method(pilot, "direct", data).estimates
    hidden = hidden[hidden["domain"] != ""]
    assert hidden["estimate"].isna().all()
    assert set(hidden["note"]) == {KEPT_BACK}
    public = pilot_of(("direct", "regression"), segments={"public": True})
    shown = run_method(public, "direct", load(public, settings)[0]).estimates
    assert shown["estimate"].notna().all()


def test_strata_are_those_of_the_role(office: Path):
    pilot = pilot_of(roles={"stratum": "county", "domain": []})
    data, _ = load(pilot, load_settings())
    assert data.task.samples["corn"].names == ("a", "b", "c", "d")
    told = run_method(pilot, "direct", data).estimates.iloc[0]
    means = segments().groupby("county")["corn"].mean()
    sizes = COUNTIES.set_index("county")["size"]
    assert told["estimate"] == pytest.approx((means * sizes).sum())


def test_a_stratum_with_one_segment_has_a_stated_status(office: Path):
    table = segments()
    pd.concat(
        [table[table["county"] != "d"], table[table["county"] == "d"][:1]]
    ).to_csv("segments.csv", index=False)
    pilot = pilot_of(roles={"stratum": "county", "domain": []})
    data, _ = load(pilot, load_settings())
    direct = run_method(pilot, "direct", data).estimates.iloc[0]
    assert np.isfinite(direct["estimate"])
    regression = run_method(pilot, "regression", data).estimates.iloc[0]
    assert np.isnan(regression["estimate"])
    assert "fewer than 2 segments" in regression["note"]
    assert not regression["publishable"]


def test_a_map_that_does_not_vary_is_refused_with_its_reason(office: Path):
    segments().assign(pixels=200).to_csv("segments.csv", index=False)
    pilot = pilot_of()
    data, _ = load(pilot, load_settings())
    told = run_method(pilot, "regression", data).estimates.iloc[0]
    assert "x does not vary" in told["note"]
    assert not told["publishable"]


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"means": {"pixel": "mean_pixels"}}, "data.segments.means"),
        ({"means": {"pixels": "mean_pixel"}}, "data.segments.frame"),
        ({"classified": {"corn": ["pixls"]}}, "data.segments.classified"),
        ({"classified": {"maize": ["pixels"]}}, "data.segments.classified"),
    ],
)
def test_what_the_frame_does_not_have_is_told(office: Path, changed: Any, where: str):
    with pytest.raises(ConfigError) as caught:
        load(pilot_of(segments=changed), load_settings())
    assert caught.value.where == where


def test_a_measure_that_no_scorecard_has_stops_before_anything_runs(office: Path):
    pilot = pilot_of(gates=[{"measure": "nrsme", "at_most": 1}])
    data, _ = load(pilot, load_settings())
    with pytest.raises(ConfigError) as caught:
        ready(pilot, data)
    assert caught.value.nearest == "nrmse"


# -- segments drawn from rasters -----------------------------------------------------


def write_raster(path: str, values: np.ndarray, crs: str = "EPSG:6933") -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1],
        count=1, dtype="uint8", crs=crs, nodata=255,
        transform=rasterio.Affine(10, 0, 0, 0, -10, 4e6),
    ) as file:  # fmt: skip
        file.write(values, 1)


def landscape(side: int = 203) -> tuple[np.ndarray, np.ndarray]:
    """Return reference and map: patches of ten pixels, an eighth of them confused."""
    rng = np.random.default_rng(11)
    patches = (rng.random((side // 10 + 1, side // 10 + 1)) < 0.3).astype("uint8") + 1
    truth = np.kron(patches, np.ones((10, 10), "uint8"))[:side, :side]
    wrong = rng.random(truth.shape) < 0.125
    return truth, np.where(wrong, 3 - truth, truth).astype("uint8")


RASTERS = {
    "frame": None, "by": None, "means": {}, "classified": {},
    "hectares_per_unit": None, "size": 10, "draw": 30, "simulate": 100,
    "map": {"file": "map.tif", "classes": {"crop": [2]}},
    "reference": {"file": "truth.tif", "classes": {"crop": [2], "other": [1]}},
}  # fmt: skip


def raster_pilot(**changed: Any) -> Pilot:
    roles = {"unit_id": "segment", "variables": ["crop"], "domain": []}
    return pilot_of(
        ("direct", "regression", "count"), roles=roles, segments=RASTERS | changed
    )


@pytest.fixture
def scene(tmp_path: Path) -> np.ndarray:
    truth, shown = landscape()
    truth[3, 5] = 32  # a cloud: its segment is not part of the frame
    write_raster("truth.tif", truth)
    write_raster("map.tif", shown)
    return truth


def test_every_whole_segment_with_a_known_reference_is_in_the_frame(scene: np.ndarray):
    data, result = load(raster_pilot(), load_settings())
    assert result.ok
    every = data.task.every
    assert len(every) == 20 * 20 - 1
    assert "0-0" not in set(every["segment"])
    cell = scene[50:60, 70:80]
    row = every[every["segment"] == "5-7"].iloc[0]
    assert row["crop"] == pytest.approx((cell == 2).sum() * 0.01)
    assert any("1 of 400 segments" in caution for caution in data.cautions)
    assert any("is in no whole segment" in caution for caution in data.cautions)
    assert len(data.frame) == 30


def test_surveys_drawn_anew_show_bias_error_and_coverage(scene: np.ndarray):
    pilot = raster_pilot()
    data, _ = load(pilot, load_settings())
    runs = [run_method(pilot, name, data) for name in pilot.methods]
    repeated = simulated(pilot, data, {run.name: run.method for run in runs})
    assert len(repeated) == 100 * 3
    rows = pd.DataFrame(repetition_rows(pilot, repeated)).set_index(
        ["indicator", "method"]
    )
    error = repeated.query("method == 'regression'")["error"]
    found = rows.loc[("repeated_rmse", "regression")]
    assert found["value"] == pytest.approx(np.sqrt((error**2).mean()))
    assert found["difference_upper"] < 0
    assert rows.loc[("repeated_coverage", "regression"), "value"] >= 0.9
    assert rows.loc[("repeated_coverage", "count"), "status"] == "not_applicable"
    assert rows.loc[("repeated_bias", "count"), "lower"] > 0  # commission dominates
    bias = rows.loc[("repeated_bias", "direct")]
    assert bias["lower"] <= 0 <= bias["upper"]


def test_map_and_reference_on_different_grids_are_refused(scene: np.ndarray):
    write_raster("map.tif", landscape(190)[1])
    with pytest.raises(ContractError, match="different grids"):
        load(raster_pilot(), load_settings())


def test_hectares_from_degrees_are_refused(scene: np.ndarray):
    truth, shown = landscape()
    for path, values in (("truth.tif", truth), ("map.tif", shown)):
        with rasterio.open(
            path, "w", driver="GTiff", height=203, width=203, count=1, dtype="uint8",
            crs="EPSG:4326", transform=rasterio.Affine(0.001, 0, 10, 0, -0.001, 50),
        ) as file:  # fmt: skip
            file.write(values, 1)
    with pytest.raises(ContractError) as caught:
        load(raster_pilot(), load_settings())
    assert "equal-area" in str(caught.value)


def test_an_estimator_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        SegmentEstimator("regresion")  # type: ignore[arg-type]
    assert caught.value.nearest is not None

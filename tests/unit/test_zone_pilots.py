"""Pilots of zones: sums, shares and errors against arithmetic on the made squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from scipy import stats

from mlstats.config import Pilot
from mlstats.errors import ConfigError, ContractError
from mlstats.imagery.disaggregation import FALLBACK, PLACED
from mlstats.imagery_methods import load, ready, run_method
from mlstats.imagery_scoring import number_rows
from mlstats.imagery_task import ArmRun, ImageryData
from mlstats.imagery_units import judged_units
from mlstats.settings import load_settings

geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")

KEY = b"a key of the test"
CRS, PIXEL, ROWS = "EPSG:6933", 100.0, 40
WIDTHS = (6, 14)  # pixels of the small zones of a zone, from west to east
BARE = "z05"  # the zone that has no building
METHODS: dict[str, dict[str, Any]] = {
    "areal": {"kind": "traditional", "use": "mlstats.imagery.ArealWeighting"},
    "buildings": {
        "kind": "ml",
        "use": "mlstats.imagery.Dasymetric",
        "params": {"weight": "buildings"},
    },
    "learnt": {
        "kind": "ml",
        "use": "mlstats.imagery.LearnedDensity",
        "params": {"features": ["buildings", "built"]},
    },
}


def counts() -> np.ndarray:
    """Return buildings by pixel: in patches, dense in the east, none in one zone."""
    rng = np.random.default_rng(3)
    patches = np.kron(rng.gamma(0.5, 2, (4, 30)), np.ones((10, 4)))
    found = rng.poisson(np.linspace(0.2, 3, 120) * patches).astype("uint16")
    found[0:20, 80:100] = 0
    return found


def squares() -> pd.DataFrame:
    """Return 48 small zones in 12 zones of 2 x 2, by rows and columns of pixels."""
    rows, buildings, rng = [], counts(), np.random.default_rng(4)
    for number in range(12):
        top, left = number // 6 * 20, number % 6 * 20
        for place in range(4):
            row, column = top + place // 2 * 10, left + place % 2 * WIDTHS[0]
            width = WIDTHS[place % 2]
            inside = buildings[row : row + 10, column : column + width]
            rows.append(
                {
                    "id": f"d{number:02d}{place}",
                    "region": f"z{number + 1:02d}",
                    "province": "abc"[number % 3],
                    "row": row,
                    "column": column,
                    "width": width,
                    "buildings": int(inside.sum()),
                    "built": int((inside > 0).sum()),
                    "km2": width * 10 * 0.01,
                    "people": int(4 * inside.sum() + rng.integers(20, 120)),
                }
            )
    return pd.DataFrame(rows)


def box(row: pd.Series) -> Any:
    west, north = row["column"] * PIXEL, 4e6 - row["row"] * PIXEL
    return shapely.box(west, north - 10 * PIXEL, west + row["width"] * PIXEL, north)


def write_zones(shapes: list[Any] | None = None, table: Any = None) -> None:
    table = squares() if table is None else table
    kept = table[["id", "region", "province", "people"]]
    made = [box(row) for _, row in table.iterrows()] if shapes is None else shapes
    frame = geopandas.GeoDataFrame(kept, geometry=made, crs=CRS)
    frame.to_file("zones.geojson", driver="GeoJSON")


@pytest.fixture(autouse=True)
def office(tmp_path: Path) -> Path:
    with rasterio.open(
        "buildings.tif", "w", driver="GTiff", height=ROWS, width=120, count=1,
        dtype="uint16", crs=CRS, transform=rasterio.Affine(PIXEL, 0, 0, 0, -PIXEL, 4e6),
    ) as file:  # fmt: skip
        file.write(counts(), 1)
    write_zones()
    return tmp_path


def pilot_of(**more: Any) -> Pilot:
    zones = {
        "within": "region",
        "rasters": {
            "buildings": {"file": "buildings.tif"},
            "built": {"file": "buildings.tif", "above": 0},
        },
    }
    roles = {"unit_id": "id", "variables": ["people"], "domain": ["province"]}
    return Pilot.model_validate(
        {
            "pilot": "people",
            "theme": "imagery",
            "owner": {"author": "me"},
            "data": {
                "source": "zones.geojson",
                "roles": roles | more.pop("roles", {}),
                "zones": zones | more.pop("zones", {}),
            },
            "methods": METHODS | more.pop("methods", {}),
            "baseline": "areal",
            "candidate": "buildings",
            **more,
        }
    )


def read(pilot: Pilot) -> ImageryData:
    data, result = load(pilot, load_settings())
    assert result.ok
    return data


def answers(run: ArmRun) -> np.ndarray:
    assert run.units["row"].tolist() == list(range(len(run.units)))
    return run.units["prediction"].to_numpy(float)


def spread(table: pd.DataFrame, weight: pd.Series) -> np.ndarray:
    by = table["region"]
    total = table.groupby(by)["people"].transform("sum")
    return (total * weight / weight.groupby(by).transform("sum")).to_numpy(float)


def test_a_small_zone_has_its_area_and_the_sums_of_the_rasters_in_it():
    data, table = read(pilot_of()), squares()
    assert list(data.frame["id"]) == list(table["id"])
    np.testing.assert_allclose(data.frame["km2"], table["km2"], rtol=1e-9)
    np.testing.assert_allclose(data.frame["buildings"], table["buildings"])
    np.testing.assert_allclose(data.frame["built"], table["built"])
    assert "small zones: 48 in 12 zones" in data.notes
    assert not any("repaired" in note for note in data.notes)


def test_each_arm_spreads_in_proportion_to_its_own_weights():
    pilot, table = pilot_of(), squares()
    data = read(pilot)
    ready(pilot, data)
    areal = answers(run_method(pilot, "areal", data))
    np.testing.assert_allclose(areal, spread(table, table["km2"]), rtol=1e-9)
    weight = table["buildings"].where(table["region"] != BARE, table["km2"])
    found = answers(run_method(pilot, "buildings", data))
    np.testing.assert_allclose(found, spread(table, weight.astype(float)), rtol=1e-9)


def test_a_density_is_learnt_from_the_zones_of_the_other_provinces():
    pilot, table = pilot_of(), squares()
    sums = table.groupby("region")[["buildings", "built", "km2", "people"]].sum()
    province = table.groupby("region")["province"].first()

    def columns(part: pd.DataFrame) -> np.ndarray:
        first = part["buildings"] + 1
        density, quotient = first / part["km2"], first / (part["built"] + 1)
        return np.column_stack([np.ones(len(part)), np.log(density), np.log(quotient)])

    weight = pd.Series(np.nan, table.index)
    for name in "abc":
        known, own = sums[province != name], table["province"] == name
        target = np.log(known["people"] / known["km2"])
        slope = np.linalg.lstsq(columns(known), target, rcond=None)[0]
        weight[own] = np.exp(columns(table[own]) @ slope) * table.loc[own, "km2"]
    run = run_method(pilot, "learnt", read(pilot))
    np.testing.assert_allclose(answers(run), spread(table, weight), rtol=1e-7)


def test_totals_are_kept_and_a_zone_without_weight_is_told():
    pilot, table = pilot_of(), squares()
    data = read(pilot)
    for name in pilot.methods:
        run = run_method(pilot, name, data)
        placed = pd.Series(answers(run)).groupby(table["region"]).sum()
        total = table.groupby("region")["people"].sum()
        np.testing.assert_allclose(placed, total, rtol=1e-6)
        assert run.rerun_changed == 0
        told = run.tables["zones"].set_index("status")["zones"].to_dict()
        expected = {FALLBACK: 1, PLACED: 11} if name == "buildings" else {PLACED: 12}
        assert told == expected
        assert set(run.tables["zones"]["method"]) == {name}
        assert run.estimates.empty


def test_the_error_and_its_difference_are_those_of_a_jackknife_over_zones():
    pilot, table = pilot_of(), squares()
    data = read(pilot)
    runs = [run_method(pilot, name, data) for name in pilot.methods]
    units = judged_units(pilot, data, runs, run_id="r", key=KEY)
    assert not units["unit"].isin(table["id"]).any()
    assert units["cluster"].nunique() == 12
    rows = pd.DataFrame(number_rows(pilot, units))
    shown = rows[rows["indicator"] == "nmae"].set_index("method")

    def nmae(error: np.ndarray, kept: np.ndarray) -> float:
        people = table["people"].to_numpy(float)
        return float(np.abs(error - people)[kept].sum() / people[kept].sum())

    everything = np.ones(len(table), bool)
    areal, buildings = (answers(run) for run in runs[:2])
    for name, found in (("areal", areal), ("buildings", buildings)):
        assert shown.loc[name, "value"] == pytest.approx(nmae(found, everything))
    gap = nmae(buildings, everything) - nmae(areal, everything)
    without = [
        nmae(buildings, kept) - nmae(areal, kept)
        for kept in (table["region"] != name for name in table["region"].unique())
    ]
    error = np.sqrt(11 / 12 * sum((part - gap) ** 2 for part in without))
    row = shown.loc["buildings"]
    assert (row["versus"], row["n_clusters"]) == ("areal", 12)
    assert row["difference"] == pytest.approx(gap)
    assert row["difference_se"] == pytest.approx(error)
    half = stats.t.ppf(0.975, 11) * error
    assert row["difference_lower"] == pytest.approx(gap - half)
    assert row["difference_upper"] == pytest.approx(gap + half)
    assert gap + half < 0  # people live where buildings stand


def test_two_variables_are_spread_apart_and_both_are_run_again():
    table = squares()
    kept = table[["id", "region", "province", "people"]].assign(homes=table["built"])
    shapes = [box(row) for _, row in table.iterrows()]
    frame = geopandas.GeoDataFrame(kept, geometry=shapes, crs=CRS)
    frame.to_file("zones.geojson", driver="GeoJSON")
    pilot = pilot_of(
        roles={"variables": ["people", "homes"]},
        methods={"unsteady": {"kind": "ml", "use": f"{__name__}.Unsteady"}},
    )
    data = read(pilot)
    told = run_method(pilot, "areal", data).units
    homes = told[told["variable"] == "homes"]
    total = table.groupby("region")["built"].transform("sum")
    area = table.groupby("region")["km2"].transform("sum")
    expected = (total * table["km2"] / area).to_numpy(float)
    np.testing.assert_allclose(homes["prediction"].to_numpy(float), expected)
    # The first variable's second answer differs in every small zone, the other's not.
    assert run_method(pilot, "unsteady", data).rerun_changed == pytest.approx(0.5)


class Unsteady:
    """Spreads the first variable otherwise the second time."""

    def __init__(self) -> None:
        self.calls = 0

    def spread(self, cells: pd.DataFrame, totals: pd.Series, groups: Any) -> Any:
        from mlstats.imagery import dasymetric

        self.calls += 1
        weight = cells["km2"] ** (2 if self.calls == 2 else 1)
        area = cells["km2"].to_numpy()
        return dasymetric(cells["zone"], totals, weight=weight, area=area)


def test_an_invalid_polygon_is_repaired_and_noted():
    table = squares()
    shapes = [box(row) for _, row in table.iterrows()]
    corners = list(shapes[0].exterior.coords)
    out = (corners[0][0] + 300.0, corners[0][1] - 500.0)  # a spike: there and back
    shapes[0] = shapely.Polygon([corners[0], out, *corners])
    assert not shapes[0].is_valid
    write_zones(shapes)
    data = read(pilot_of())
    assert "1 of 48 polygons were repaired" in data.notes
    np.testing.assert_allclose(data.frame["km2"], table["km2"], rtol=1e-9)
    np.testing.assert_allclose(data.frame["buildings"], table["buildings"])


def test_a_small_zone_beyond_the_raster_counts_nothing_and_is_noted():
    table = squares()
    shapes = [box(row) for _, row in table.iterrows()]
    shapes[-1] = shapely.transform(shapes[-1], lambda points: points + [50_000, 0])
    write_zones(shapes)
    data = read(pilot_of())
    assert any("no value in 1 small zones" in told for told in data.cautions)
    assert data.frame["buildings"].iloc[-1] == 0
    assert data.frame["km2"].iloc[-1] == pytest.approx(table["km2"].iloc[-1])


def test_a_raster_that_the_pilot_does_not_have_is_named_with_the_nearest():
    wrong = METHODS["buildings"] | {"params": {"weight": "bulidings"}}
    pilot = pilot_of(methods={"buildings": wrong})
    with pytest.raises(ConfigError) as caught:
        run_method(pilot, "buildings", read(pilot))
    assert caught.value.where == "methods.buildings.params"
    assert caught.value.nearest == "buildings"


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"zones": {"within": "regoin"}}, "data.zones"),
        ({"roles": {"variables": ["poeple"]}}, "data.zones"),
        ({"roles": {"unit_id": "ids"}}, "zones.geojson"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_the_nearest(
    changed: dict[str, Any], where: str
):
    with pytest.raises(ConfigError) as caught:
        load(pilot_of(**changed), load_settings())
    assert str(caught.value.where).endswith(where)
    assert caught.value.nearest in {"region", "people", "id"}


def test_zones_are_spread_all_together():
    for option in ({"sample": 10}, {"period": "2020"}):
        with pytest.raises(ConfigError, match="all together"):
            load(pilot_of(), load_settings(), **option)


def test_a_class_that_does_not_spread_is_refused_before_anything_runs():
    pilot = pilot_of(
        methods={"count": {"kind": "ml", "use": "mlstats.imagery.PixelCount"}}
    )
    with pytest.raises(ConfigError) as caught:
        ready(pilot, read(pilot))
    assert caught.value.where == "methods.count"


def test_a_total_that_no_small_zone_took_stops_the_run():
    pilot = pilot_of(
        methods={"loses": {"kind": "ml", "use": f"{__name__}.Loses"}},
    )
    with pytest.raises(ContractError, match="of 1 zones are in no small zone"):
        run_method(pilot, "loses", read(pilot))


class Loses:
    """Spreads over all small zones but those of the first zone."""

    def spread(self, cells: pd.DataFrame, totals: pd.Series, groups: Any) -> Any:
        from mlstats.imagery import areal_weighting

        gone = cells["zone"] == totals.index[0]
        zone = cells["zone"].where(~gone, "elsewhere")
        return areal_weighting(zone, totals, area=cells["km2"].to_numpy())

"""Regencies of Sumatra spread over districts, against the census of districts."""

import exactextract
import geopandas
import pandas as pd
import pytest
import rasterstats

from mlstats.imagery import (
    areal_weighting,
    dasymetric,
    disaggregation_errors,
    zonal_statistics,
)


@pytest.fixture
def districts(real_data):
    """Districts with area in an equal-area projection and a sum of buildings."""
    folder = real_data / "imagery" / "indonesia_population"
    if not folder.exists():
        pytest.skip("the districts of Sumatra are not on this machine")
    frame = geopandas.read_file(folder / "districts_census.gpkg")
    frame["geometry"] = frame.geometry.make_valid(
        method="structure", keep_collapsed=False
    )
    sums = exactextract.exact_extract(
        str(folder / "building_count_100m.tif"), frame, ["sum"], output="pandas"
    )
    frame["km2"] = frame.to_crs("EPSG:6933").geometry.area / 1e6
    frame["buildings"] = sums["sum"].to_numpy()
    return pd.DataFrame(frame.drop(columns="geometry"))


def test_areal_weighting_and_buildings(districts):
    totals = districts.groupby("regency")["population"].sum()
    arms = {"areal": districts["km2"], "dasymetric": districts["buildings"]}
    for name, weight in arms.items():
        found = dasymetric(
            districts["regency"], totals, weight=weight, area=districts["km2"]
        )
        assert (found.zones["placed"] / found.zones["total"] - 1).abs().max() < 1e-6
        assert found.unplaced == 0
        districts[name] = found.values
    area = areal_weighting(districts["regency"], totals, area=districts["km2"])
    assert (area.values == districts["areal"]).all()
    table = disaggregation_errors(
        districts, list(arms), truth="population", zone="regency"
    )
    level = table[table["against"] == ""].set_index(["measure", "method"])["estimate"]
    expected = {
        ("total absolute error", "areal"): 0.570,
        ("total absolute error", "dasymetric"): 0.447,
        ("root mean square error", "areal"): 1.016,
        ("root mean square error", "dasymetric"): 0.803,
    }
    for key, value in expected.items():
        assert level[key] == pytest.approx(value, abs=5e-4)
    gap = table[(table["against"] == "areal")].set_index("measure")
    assert gap.loc["total absolute error", "high"] < 0
    # The root mean square error's difference is not clear of 0 on these regencies.
    assert gap.loc["root mean square error", "high"] > 0


@pytest.mark.filterwarnings(
    "ignore:Use `@` matmul:PendingDeprecationWarning",  # of rasterstats
    "ignore:Setting nodata:rasterstats.io.NodataWarning",
)
def test_buildings_by_district_equal_rasterstats_and_exactextract(districts, real_data):
    folder = real_data / "imagery" / "indonesia_population"
    raster, zones = folder / "building_count_100m.tif", folder / "districts_census.gpkg"
    names = ["count", "sum", "mean", "max"]
    centre = zonal_statistics(
        raster, zones, id="district_id", statistics=names, method="centre"
    )
    shapes = geopandas.read_file(zones).geometry.make_valid(
        method="structure", keep_collapsed=False
    )
    oracle = pd.DataFrame(rasterstats.zonal_stats(shapes, str(raster), stats=names))
    # Borders were simplified apart: cells of a sliver count in both districts.
    for name in names:
        assert centre[name].tolist() == oracle[name].tolist()
    assert len(centre.attrs["repaired"]) == 2
    parts = zonal_statistics(
        raster, zones, id="district_id", statistics=["sum"], method="fractional"
    )
    assert parts["sum"].tolist() == pytest.approx(districts["buildings"].tolist())
    assert parts["sum"].sum() == pytest.approx(centre["sum"].sum(), rel=2e-4)

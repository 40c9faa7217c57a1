"""Tables of docs/small-areas.md: Iowa's counties and Sumatra's districts.

    python benchmarks/small_areas.py [--data FOLDER]

Iowa: direct, synthetic and nested-error estimates of corn by county, Hardin's row 33
out and in. Sumatra: regencies spread over districts by area, by buildings and by
densities learnt from regencies of other provinces, against the census of districts;
and as a smooth surface. Needs the extra ``imagery``; the data lie in the folder of
MLSTATS_DATA.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression

from mlstats.imagery import (
    areal_weighting,
    battese_harter_fuller,
    benchmarked,
    bootstrap_mse,
    dasymetric,
    disaggregation_errors,
    learned_weights,
    pycnophylactic,
)

EQUAL_AREA = "EPSG:6933"
COUNTS = ["population", "km2", "buildings", "built"]
FEATURES = ["log_density", "log_per_built"]
LEARNERS: dict[str, Any] = {
    "linear": LinearRegression(),
    "forest": RandomForestRegressor(300, min_samples_leaf=2, random_state=0),
    "boosting": GradientBoostingRegressor(
        n_estimators=100, max_depth=2, learning_rate=0.05, random_state=0
    ),
}


def iowa(folder: Path) -> None:
    """Print components and estimates by county."""
    names = {
        "n_segments_population": "size",
        "mean_corn_pixels": "corn_pixels",
        "mean_soy_pixels": "soy_pixels",
    }
    counties = pd.read_csv(folder / "counties.csv").rename(columns=names)
    segments = pd.read_csv(folder / "segments.csv")
    parts = {"out": segments[~segments["outlier"]], "in": segments}
    for crop in ("corn_ha", "soy_ha"):
        for row, part in parts.items():
            for method in ("reml", "ml"):
                fit = battese_harter_fuller(
                    part,
                    counties,
                    response=crop,
                    covariates=["corn_pixels", "soy_pixels"],
                    area="county",
                    method=method,
                )
                both = f"{fit.sigma2_v:.2f} {fit.sigma2_e:.2f}"
                print(crop, "row 33", row, method, both)
                if (crop, row, method) == ("corn_ha", "out", "reml"):
                    _counties(fit, part)


def _counties(fit: Any, part: pd.DataFrame) -> None:
    table = fit.areas[["area", "n", "direct", "synthetic", "gamma", "estimate"]].copy()
    table["se"] = np.sqrt(fit.areas["mse"])
    table["se_bootstrap"] = np.sqrt(bootstrap_mse(fit, replicates=1000))
    within = part.groupby("county")["corn_ha"].var()
    spread = within[fit.areas["area"]].to_numpy()
    table["se_direct"] = np.sqrt(spread / fit.areas["n"])
    final = benchmarked(fit, fit.areas["population"].to_numpy(float), variable="corn")
    table["benchmarked"] = final["estimate"].to_numpy()
    table["se_benchmarked"] = final["standard_error"].to_numpy()
    print(table.round(2).to_string())


def districts(folder: Path) -> pd.DataFrame:
    """Return Sumatra's districts with area (km2), buildings and built cells."""
    import geopandas
    import rasterio
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    frame = geopandas.read_file(folder / "districts_census.gpkg")
    frame["geometry"] = frame.geometry.make_valid(
        method="structure", keep_collapsed=False
    )
    with rasterio.open(folder / "building_count_100m.tif") as raster:
        count, bounds, crs = raster.read(1), raster.bounds, raster.crs.to_wkt()
    zones = frame[["geometry", "district_id"]]
    for name, values in (("buildings", count), ("built", (count > 0).astype("uint8"))):
        source = NumPyRasterSource(values, *bounds, srs_wkt=crs, name=name)
        sums = exact_extract(
            source, zones, ["sum"], include_cols=["district_id"], output="pandas"
        )
        sums = sums.rename(columns={"sum": name})
        frame = frame.merge(sums, on="district_id", validate="one_to_one")
    frame["km2"] = frame.to_crs(EQUAL_AREA).geometry.area / 1e6
    return pd.DataFrame(frame.drop(columns="geometry"))


def _features(table: pd.DataFrame) -> pd.DataFrame:
    # One building more: three districts without any have a logarithm, too.
    buildings = table["buildings"] + 1
    return table.assign(
        log_density=np.log(buildings / table["km2"]),
        log_per_built=np.log(buildings / (table["built"] + 1)),
    )


def sumatra(folder: Path) -> None:
    """Print the errors of every arm and its difference to areal weighting."""
    cells = _features(districts(folder))
    zones = cells.groupby("regency")[COUNTS].sum()
    totals = zones["population"]
    zones = _features(zones.join(cells.groupby("regency")["province"].first()))
    weights = {"areal": cells["km2"], "buildings": cells["buildings"]}
    for name, learner in LEARNERS.items():
        weights[name] = learned_weights(
            learner,
            zones,
            cells,
            total="population",
            area="km2",
            features=FEATURES,
            groups=(zones["province"], cells["province"]),
        )
    for name, weight in weights.items():
        found = dasymetric(cells["regency"], totals, weight=weight, area=cells["km2"])
        gap = (found.zones["placed"] / found.zones["total"] - 1).abs().max()
        print(name, found.zones["status"].value_counts().to_dict(), f"gap {gap:.1e}")
        cells[f"by {name}"] = found.values
    arms = [f"by {name}" for name in weights]
    area = areal_weighting(cells["regency"], totals, area=cells["km2"]).values
    assert np.array_equal(area, cells["by areal"])
    for base in (arms, [arms[1], *arms[2:]]):
        table = disaggregation_errors(cells, base, truth="population", zone="regency")
        print(table.round(4).to_string())


def surface(folder: Path, *, factor: int = 8) -> None:
    """Print the errors of the pycnophylactic surface on cells of 24 arc seconds."""
    import geopandas
    import rasterio
    from rasterio.features import rasterize

    frame = geopandas.read_file(folder / "districts_census.gpkg")
    shapes = frame.geometry.make_valid(method="structure", keep_collapsed=False)
    with rasterio.open(folder / "building_count_100m.tif") as raster:
        at, shape = raster.transform, (raster.height, raster.width)
    shape = (shape[0] // factor + 1, shape[1] // factor + 1)
    label = rasterize(
        zip(shapes, range(1, len(frame) + 1), strict=True),
        out_shape=shape,
        transform=at * at.scale(factor, factor),
        dtype="int32",
    )
    codes, _ = pd.factorize(frame["regency"])
    zone = np.concatenate([[-1], codes])[label]
    totals = frame.groupby(codes)["population"].sum()
    latitude = at.f + at.e * factor * (np.arange(shape[0]) + 0.5)
    area = np.repeat(np.cos(np.radians(latitude))[:, None], shape[1], axis=1)
    units = pd.DataFrame(frame[["regency", "population"]])
    for name, found in (
        ("areal", areal_weighting(zone, totals, area=area)),
        ("pycnophylactic", pycnophylactic(zone, totals, area=area)),
    ):
        values = np.nan_to_num(found.values).ravel()
        units[name] = np.bincount(label.ravel(), values, len(frame) + 1)[1:]
        print(name, "not placed:", found.unplaced)
    arms = ["areal", "pycnophylactic"]
    table = disaggregation_errors(units, arms, truth="population", zone="regency")
    print(table.round(4).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("MLSTATS_DATA", "."))
    data = Path(parser.parse_args().data) / "imagery"
    iowa(data / "iowa_segments")
    sumatra(data / "indonesia_population")
    surface(data / "indonesia_population")

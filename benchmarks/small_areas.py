"""Tables of docs/small-areas.md: Iowa's counties and Sumatra's districts.

``MLSTATS_DATA=... python benchmarks/small_areas.py`` needs the folder ``imagery`` of
the real data and the extra ``imagery`` (geopandas, exactextract).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from mlstats.imagery.benchmarking import benchmarked, bootstrap_mse
from mlstats.imagery.densities import learned_weights
from mlstats.imagery.disaggregation import areal_weighting, dasymetric
from mlstats.imagery.disaggregation_errors import disaggregation_errors
from mlstats.imagery.unit_level import battese_harter_fuller

EQUAL_AREA = "EPSG:6933"
FEATURES = ["log_buildings", "built_share"]


def iowa(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the segments, and the counties with the covariates' means."""
    names = {
        "n_segments_population": "size",
        "mean_corn_pixels": "corn_pixels",
        "mean_soy_pixels": "soy_pixels",
    }
    counties = pd.read_csv(folder / "counties.csv").rename(columns=names)
    return pd.read_csv(folder / "segments.csv"), counties


def districts(folder: Path) -> pd.DataFrame:
    """Return Sumatra's districts with area (km2), buildings and built cells."""
    import geopandas
    from exactextract import exact_extract

    frame = geopandas.read_file(folder / "districts_census.gpkg")
    frame["geometry"] = frame.geometry.make_valid(
        method="structure", keep_collapsed=False
    )
    table = exact_extract(
        str(folder / "building_count_100m.tif"),
        frame[["geometry", "district_id"]],
        ["sum", "count"],
        include_cols=["district_id"],
        output="pandas",
    )
    frame = frame.merge(table, on="district_id", validate="one_to_one")
    frame["km2"] = frame.to_crs(EQUAL_AREA).geometry.area / 1e6
    return pd.DataFrame(frame.drop(columns="geometry"))


if __name__ == "__main__":
    data = Path(os.environ["MLSTATS_DATA"]) / "imagery"
    frame = districts(data / "indonesia_population")
    print(frame.describe())

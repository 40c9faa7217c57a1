"""Tables of docs/classification-of-images.md: three validations, outside, drift.

    python benchmarks/validation.py [--data FOLDER]

Mato Grosso: MODIS samples of 15 seasons, and the area of applicability on the image of
Sinop. Amazon and Chiapas: labelled polygons. Chiapas: drift from 1999 to 2002. The data
lie in the folder of MLSTATS_DATA; polygons need the extra ``imagery``.
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
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from mlstats.imagery import (
    Applicability,
    MaximumLikelihood,
    block_cores,
    block_range,
    date_drift,
    outside_share,
    permutation_weights,
    seasons,
    spatial_blocks,
    unlearnt_classes,
    validate_classifiers,
    validation_sentence,
    validation_table,
)

METHODS: dict[str, Any] = {
    "maximum likelihood": MaximumLikelihood(),
    "forest": RandomForestClassifier(100, random_state=0),
    "boosting": HistGradientBoostingClassifier(random_state=0),
}
BANDS = ["blue", "green", "red", "nir", "swir1", "swir2"]
MODIS_HECTARES = 231.656358**2 / 1e4
MOST_PIXELS = 100  # of a polygon
SIZE, GAP = 1500, 1000  # metres, blocks of Chiapas and the space between their cores


def report(title: str, predictions: pd.DataFrame) -> None:
    """Print the table of a validation, and what it allows to say."""
    table = validation_table(predictions)
    print(f"\n## {title}\n")
    print("| method | measure | random | blocked | season |\n|---|---|---|---|---|")
    keys = ["method", "measure", "against"]
    absent = table[table["status"] != "measured"].groupby("scheme")["note"].first()
    for key, part in table.groupby(keys, sort=False):
        cells = part.set_index("scheme")
        told = [_cell(cells, s, absent) for s in ("random", "blocked", "season")]
        name = key[0] + (f" less {key[2]}" if key[2] else "")
        print(f"| {name} | {key[1].replace('_', ' ')} | {' | '.join(told)} |")
    counted = table.groupby("scheme", sort=False)["clusters"].first()
    print("\nClusters:", ", ".join(f"{s} {n}" for s, n in counted.items()))
    for row in unlearnt_classes(predictions).itertuples(index=False):
        print(f"Not in training: {row[2]} in fold {row[1]} ({row[0]}), {row[3]} units")
    for scheme in ("random", "blocked", "season"):
        print(validation_sentence(table, scheme=scheme))


def _cell(cells: pd.DataFrame, scheme: str, absent: pd.Series) -> str:
    if scheme in absent.index:
        return f"not measured: {absent[scheme]}"
    if scheme not in cells.index:
        return "all learnt"
    row = cells.loc[scheme]
    return f"{row['value']:.3f} ({row['lower']:.3f} to {row['upper']:.3f})"


def residuals(predictions: pd.DataFrame, x: Any, y: Any, method: str) -> None:
    """Print how far the errors of random folds are related."""
    part = predictions[predictions["scheme"] == "random"]
    part = part[part["method"] == method].sort_values("unit")
    wrong = (part["truth"] != part["prediction"]).to_numpy(float)
    found = block_range(x, y, wrong)
    print(
        f"Range of the errors of {method}: {found.range:.3g} ({found.status}, "
        f"p {found.p:.3f}), nugget {found.nugget:.3f}, sill {found.sill:.3f}"
    )


def mato_grosso(folder: Path) -> None:
    """Validate on MODIS samples, and map what lies outside on the image."""
    import rasterio

    samples = pd.read_csv(folder / "samples_ndvi_2000_2014.csv")
    X = samples.filter(like="ndvi").to_numpy()
    y = samples["label"].to_numpy(object)
    place = samples["longitude"], samples["latitude"]
    season = seasons(samples["start_date"], first_month=9)
    for size in (1.0, 2.0):
        block = spatial_blocks(*place, size)
        found = validate_classifiers(METHODS, X, y, blocks=block, seasons=season)
        report(f"Mato Grosso, MODIS, blocks of {size:g} degree", found)
        residuals(found, *place, "forest")
    with rasterio.open(folder / "ndvi_mod13q1_sinop_2013_2014.tif") as source:
        image = source.read().reshape(source.count, -1).T / 10_000
    forest = METHODS["forest"].fit(X, y.astype(str))
    mapped = forest.predict(image)
    for scheme in ("random", "blocked"):
        part = found[(found["scheme"] == scheme) & (found["method"] == "forest")]
        fold = part.sort_values("unit")["fold"].to_numpy(object)
        weights = permutation_weights(METHODS["forest"], X, y, fold)
        area = Applicability.learn(X, fold, weights)
        print(f"\nSinop, folds {scheme}: threshold {area.threshold:.3f}\n")
        table = outside_share(mapped, area.inside(image), MODIS_HECTARES)
        print(table.round(3).to_string(index=False))


def polygon_pixels(image: Path, polygons: Path, bands: list[int]) -> pd.DataFrame:
    """Return the pixels of labelled polygons whose centre lies inside, at most so many.

    Columns polygon, class, x, y and a number for each band.
    """
    import geopandas
    import rasterio
    from rasterio.features import rasterize

    with rasterio.open(image) as source:
        values = source.read(bands).reshape(len(bands), -1).T.astype(float)
        shape, transform, crs = source.shape, source.transform, source.crs
    frame = geopandas.read_file(polygons).to_crs(crs)
    shapes = [(geometry, i + 1) for i, geometry in enumerate(frame.geometry)]
    drawn = rasterize(shapes, out_shape=shape, transform=transform).ravel()
    rows, columns = np.divmod(np.arange(drawn.size), shape[1])
    x, y = transform * (columns + 0.5, rows + 0.5)
    table = pd.DataFrame(values, columns=[str(b) for b in bands])
    table = table.assign(polygon=drawn, x=x, y=y)[drawn > 0]
    table["class"] = frame["class"].to_numpy(object)[table["polygon"] - 1]
    kept = table.sample(frac=1, random_state=0).groupby("polygon").head(MOST_PIXELS)
    return kept.sort_index()


def polygons(title: str, table: pd.DataFrame, size: float, season: Any = None) -> Any:
    """Validate on pixels of polygons, which are never on both sides of a block."""
    X = table[[c for c in table if str(c).isdigit()]].to_numpy()
    block = spatial_blocks(table["x"], table["y"], size)
    found = validate_classifiers(
        METHODS, X, table["class"], blocks=block, clusters=table["polygon"],
        seasons=season,
    )  # fmt: skip
    report(title, found)
    counts = table.groupby("class")["polygon"].agg(["size", "nunique"])
    print("Pixels and polygons:", counts.to_dict("index"))
    return found, X


def chiapas(folder: Path) -> None:
    """Validate on the polygons of 1999, and compare 2002 with it."""
    import rasterio

    dates = [folder / f"landsat7_{day}.tif" for day in ("1999-11-18", "2002-04-16")]
    table = polygon_pixels(
        dates[0], folder / "training_polygons_1999.gpkg", list(range(1, 7))
    )
    found, X = polygons(
        "Chiapas, Landsat 7, blocks of 1.5 km", table, 1500, np.full(len(table), "1999")
    )
    part = found[(found["scheme"] == "blocked") & (found["method"] == "forest")]
    part = part.sort_values("unit")
    confusion = pd.crosstab(part["prediction"], part["truth"])
    fold = part["fold"].to_numpy(object)
    y = table["class"].to_numpy(object).astype(str)
    weights = permutation_weights(METHODS["forest"], X, y, fold)
    area = Applicability.learn(X, fold, weights)
    told = ", ".join(f"{n} {w:.3f}" for n, w in zip(BANDS, weights, strict=True))
    print(f"Dissimilarity: threshold {area.threshold:.3f}, weights {told}")
    forest = METHODS["forest"].fit(X, y)
    sides, maps, inside = [], [], []
    for path in dates:
        with rasterio.open(path) as source:
            values = source.read().reshape(8, -1).T.astype(float)
            shape, transform = source.shape, source.transform
        lost = (values[:, 7] >= 2) | (values[:, :6] == -9999).any(axis=1)
        bands = np.where(lost[:, None], np.nan, values[:, :6])
        mapped = np.full(len(bands), None, dtype=object)
        mapped[~lost] = forest.predict(bands[~lost])
        sides.append(bands)
        maps.append(mapped)
        inside.append(area.inside(bands))
    rows, columns = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    x, y = transform * (columns + 0.5, rows + 0.5)
    _drift(sides, maps, inside, x, y, confusion)


def _drift(
    sides: Any, maps: Any, inside: Any, x: Any, y: Any, confusion: pd.DataFrame
) -> None:
    both = np.isfinite(sides[0]).all(axis=1) & np.isfinite(sides[1]).all(axis=1)
    ranges = [
        block_range(x[both], y[both], (sides[1] - sides[0])[both, i]).range
        for i in range(6)
    ]
    told = ", ".join(f"{n} {r:.0f} m" for n, r in zip(BANDS, ranges, strict=True))
    print(f"\n## Chiapas, 1999-11-18 to 2002-04-16\n\nRange of the change: {told}")
    core = block_cores(x, y, SIZE, GAP)
    print(f"Blocks of {SIZE} m, cores {GAP} m apart, {core.mean():.1%} of pixels\n")
    table = date_drift(
        *(side[core] for side in sides), spatial_blocks(x, y, SIZE)[core], names=BANDS,
        classes=tuple(m[core] for m in maps), inside=tuple(m[core] for m in inside),
        confusion=confusion,
    )  # fmt: skip
    shown = table.drop(columns=["se", "p", "floor", "note"])
    print(shown.round(4).to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("MLSTATS_DATA"))
    folder = Path(parser.parse_args().data or ".") / "imagery"
    mato_grosso(folder / "modis_mato_grosso")
    amazon = folder / "sentinel2_amazon"
    table = polygon_pixels(
        amazon / "sentinel2_12bands.tif", amazon / "labelled_polygons.gpkg",
        list(range(1, 13)),
    )  # fmt: skip
    polygons("Amazon, Sentinel-2, blocks of .004 degree", table, 0.004)
    chiapas(folder / "landsat7_chiapas")


if __name__ == "__main__":
    main()

"""A run of a scene by the command line, with planted names and values in its units."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml

from mlstats.errors import UsageError
from mlstats.imagery.stored_classifier import StoredClassifier
from mlstats.recipe import Recipe
from mlstats.settings import load_settings
from mlstats.tracking import connected
from tests.flows.canary import find, publishable
from tests.flows.conftest import EXTREME, UNIT, Finished, finish
from tests.flows.promoting import aliases, copied, to_shadow
from tests.scene_example import (
    CLASSES,
    HECTARES,
    SIDE,
    SURVEY,
    Landscape,
    make_landscape,
    scene_pilot,
)

pytest.importorskip("numba")

FIELD, SEGMENT = "FIELDCANARY88", "SEGCANARY55"
PLANTED = [UNIT, FIELD, SEGMENT, "98765432109", "9.876543e"]
METHODS = ["old", "likelihood", "forest"]
LEARNT = ["likelihood", "forest"]
LAND: dict[str, Landscape] = {}


def plant(land: Landscape) -> None:
    """Plant a unit, a field, a segment and a coordinate that nobody may see."""
    points = land.points.assign(easting=land.points["east"])
    clear = points.index[points["field"].isin(points["field"].unique()[30:])]
    points.loc[clear[:6], "id"] = [f"{UNIT}{place}" for place in range(6)]
    points.loc[points["field"] == points.loc[clear[-1], "field"], "field"] = FIELD
    points.loc[clear[::9], "easting"] = EXTREME
    points.to_csv("points.csv", index=False)
    first = land.surveyed["segment"].iloc[0]
    for name, table in (("frame", land.frame), ("segments", land.surveyed)):
        planted = table["segment"].replace(first, SEGMENT)
        table.assign(segment=planted).to_csv(f"{name}.csv", index=False)


@pytest.fixture(scope="session")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    project = tmp_path_factory.mktemp("land office") / "a project"
    (project / "configs" / "pilots").mkdir(parents=True)
    with chdir(project):
        LAND["made"] = make_landscape()
        plant(LAND["made"])
    pilot = scene_pilot(
        roles={"confidential": ["id", "field", "easting"]},
        data={"synthetic": True},
        scene={"block": 400.0, "gap": 80.0, "survey": SURVEY},
        gates=[
            {"measure": "accuracy", "versus": "likelihood", "margin": 0.5},
            {"measure": "relative_efficiency@maize", "at_least": 0.1},
            {"measure": "outside_applicability", "at_most": 1},
        ],
    )
    text = yaml.safe_dump(pilot.model_dump(mode="json", exclude_unset=True))
    (project / "configs/pilots/crops.yaml").write_text(text)
    return finish(project, "crops")


pytestmark = pytest.mark.xdist_group("mapped")


def table(mapped: Finished, name: str) -> pd.DataFrame:
    return pd.read_parquet(mapped.folder / f"{name}.parquet")


def test_no_planted_word_is_in_anything_publishable(mapped: Finished) -> None:
    files = publishable(mapped.project, mapped.inputs)
    suffixes = {path.suffix for path in files}
    assert {".html", ".xlsx", ".parquet", ".json", ".yaml", ".db", ".tif"} <= suffixes
    assert find(PLANTED, files) == []
    assert mapped.attempts == ""


def test_the_planted_words_are_where_they_belong(mapped: Finished) -> None:
    """Else the test above would pass on a run that never saw them."""
    inputs = [mapped.project / name for name in ("points.csv", "segments.csv")]
    seen = {word for word, _ in find([UNIT, FIELD, SEGMENT, "98765432109"], inputs)}
    assert len(seen) == 4
    confidential = mapped.project / ".mlstats" / "confidential"
    units = pd.read_parquet(next(confidential.rglob("units.parquet")))
    assert units["unit"].str.fullmatch("[0-9a-f]{32}").all()
    assert units["cluster"].str.fullmatch("[0-9a-f]{32}").all()
    assert set(units["method"]) == set(METHODS)


def test_maps_tell_classes_and_no_place_of_the_machine(mapped: Finished) -> None:
    maps = sorted(mapped.folder.glob("*.tif"))
    assert [path.stem for path in maps] == [
        "applicability", *sorted(f"map-{name}" for name in METHODS),
    ]  # fmt: skip
    for path in maps:
        with rasterio.open(path) as shown:
            assert shown.shape == (SIDE, SIDE)
            said = json.dumps([shown.tags(), *map(shown.tags, shown.indexes)])
        assert not any(word.lower() in said.lower() for word in PLANTED)
        assert str(mapped.project) not in said
        assert mapped.project.parent.name not in said


def test_every_output_is_there(mapped: Finished) -> None:
    names = {path.name for path in mapped.folder.iterdir()}
    assert {
        "scorecard.html", "scorecard.xlsx", "scorecard.parquet", "evidently.html",
        "estimates.parquet", "timings.parquet", "pilot.yaml", "tracking.json",
        "gates.parquet", "evidence.json", "areas.parquet", "validation.parquet",
        "applicability.parquet", "class_areas.parquet", "clear.parquet",
        "drift.parquet", "map-forest.svg", "map-likelihood.svg",
    } <= names  # fmt: skip


def test_the_evidence_is_of_this_run(mapped: Finished) -> None:
    evidence = json.loads((mapped.folder / "evidence.json").read_text())
    assert evidence["subject"]["pilot"] == "crops"
    assert evidence["subject"]["candidate"] == "forest"
    assert len(evidence["rules"]) == 3
    gates = table(mapped, "gates")
    assert list(gates["result"]) == ["pass", "pass", "pass"]
    assert mapped.returncode == 0


def test_every_pixel_is_counted_once_and_clouds_stay(mapped: Finished) -> None:
    land = LAND["made"]
    areas = table(mapped, "class_areas")
    for name, part in areas.groupby("method"):
        with rasterio.open(mapped.folder / f"map-{name}.tif") as shown:
            counted = np.bincount(shown.read(1).ravel(), minlength=4)
        assert part["pixels"].tolist() == counted.tolist()
        assert counted.sum() == SIDE**2
        gone = 100 if name == "old" else (land.clear_dates < 2).sum()
        assert counted[0] == gone


def test_published_areas_have_errors_and_counts_are_no_figures(
    mapped: Finished,
) -> None:
    land, areas = LAND["made"], table(mapped, "areas")
    told = areas.set_index(["method", "variable"])
    for code, name in CLASSES.items():
        row = told.loc[("forest", name)]
        truth = (land.classes == code).sum() * HECTARES
        assert row["publishable"]
        assert abs(row["estimate"] - truth) < 4 * row["standard_error"]
        count = told.loc[("forest, pixel count", name)]
        assert not count["publishable"]
        assert np.isnan(count["lower"])
    alone = told.loc[("survey alone", "maize")]
    assert alone["standard_error"] > told.loc[("forest", "maize"), "standard_error"]


def test_the_scorecard_has_all_schemes_for_every_arm(mapped: Finished) -> None:
    card = table(mapped, "scorecard")
    whole = card[card["level"] == "class"]
    for indicator in ("accuracy", "accuracy_random", "accuracy_season"):
        assert set(whole.loc[whole["indicator"] == indicator, "method"]) == set(METHODS)
    accuracy = whole[whole["indicator"] == "accuracy"].set_index("method")
    assert (accuracy["n_clusters"] > 20).all()
    units = next((mapped.project / ".mlstats/confidential").rglob("units.parquet"))
    judged = pd.read_parquet(units)
    for name, part in judged.groupby("method"):
        hit = (part["prediction"] == part["truth"]).mean()
        assert accuracy.loc[name, "value"] == pytest.approx(hit)
    assert (card.loc[card["indicator"] == "rerun_changed", "value"] == 0).all()


def test_every_method_has_a_version_which_is_its_recipe(mapped: Finished) -> None:
    tracked = json.loads((mapped.folder / "tracking.json").read_text())
    assert set(tracked) == {"run", *METHODS}
    store = mapped.project / ".mlstats" / "confidential"
    recipes = {path.parent for path in store.rglob("recipe.json")}
    made = {folder.name: Recipe.load(folder) for folder in recipes}
    assert {one.use.rpartition(".")[2] for one in made.values()} == {
        "PreviousMap", "MaximumLikelihood", "RandomForestClassifier",
    }  # fmt: skip
    assert all("scene" in one.decides for one in made.values())


def test_what_was_learnt_is_kept_and_answers_again(mapped: Finished) -> None:
    store = mapped.project / ".mlstats" / "confidential"
    folders = {path.parent for path in store.rglob("classifier.skops")}
    kinds = set()
    for folder in folders:
        one = StoredClassifier.load(folder)
        kinds.add(type(one.estimator).__name__)
        X = pd.DataFrame(np.full((3, len(one.features)), 0.2), columns=one.features)
        assert set(one.predict(X)) <= set(CLASSES.values())
    assert kinds == {"MaximumLikelihood", "RandomForestClassifier"}
    # The record of each method in MLflow names what it has learnt, and its recipe.
    with connected(load_settings(project=mapped.project)) as (_, client):
        (experiment,) = client.search_experiments(filter_string="name = 'crops'")
        runs = client.search_runs([experiment.experiment_id])
    fitted = {run.data.params.get("fitted") for run in runs} - {None}
    assert fitted == {folder.name for folder in folders}
    assert sum("recipe" in run.data.params for run in runs) == len(METHODS)


def test_its_candidate_can_be_put_in_the_shadow(
    mapped: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copied(mapped, "crops", tmp_path)
    assert aliases(settings, "crops") == {
        "baseline": "likelihood",
        "challenger": "forest",
    }
    version = to_shadow(settings, "crops")
    assert aliases(settings, "crops")["shadow"] == "forest"
    # Whoever asks MLflow for the version gets it, and is told what it is.
    monkeypatch.setenv("MLSTATS_PROJECT", str(tmp_path))
    with connected(settings) as (served, _):  # without the warnings of its imports
        loaded = served.pyfunc.load_model(f"models:/crops/{version}")
    assert loaded.metadata.signature.outputs is None
    names = [column.name for column in loaded.metadata.signature.inputs]
    with pytest.raises(UsageError, match="fitted to a period's data"):
        loaded.predict(pd.DataFrame([[0.5] * len(names)], columns=names))


def test_the_page_tells_areas_schemes_and_territory(mapped: Finished) -> None:
    page = (mapped.folder / "scorecard.html").read_text(encoding="utf-8")
    for words in ("Published areas", "Unlike the training", "seasons left out"):
        assert words in page
    assert "survey alone" in page
    assert "maize" in mapped.output

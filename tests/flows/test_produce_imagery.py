"""Periods of imagery pilots, from units and images to a release."""

from __future__ import annotations

import gc
import shutil
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml
from scipy import stats

from mlstats import production, production_reading
from mlstats.config import Pilot
from mlstats.errors import ConfigError, ContractError
from mlstats.evaluate import keyed, project_key
from mlstats.imagery_methods import load, run_method
from mlstats.imagery_production import of_column
from mlstats.imagery_release import PUBLISH, WITHHOLD, figure_id
from mlstats.period_source import at_period, of_period
from mlstats.pilot_files import load_pilot
from mlstats.produced import Produced
from mlstats.settings import Settings, load_settings
from tests.flows.canary import find
from tests.recipe_example import decide, direct, keep, registered, review
from tests.scene_example import CLASSES, HECTARES, IMAGES, make_landscape, scene_pilot
from tests.unit.test_segment_pilots import COUNTIES, METHODS, pilot_of, segments

pytest.importorskip("numba")

SCENE = {
    "block": 200.0,
    "survey": {
        "file": "segments.csv",
        "frame": "frame.csv",
        "size": 12,
        "stratum": "zone",
        "surveyed": {name: f"{name}_ha" for name in CLASSES.values()},
    },
}


def written(pilot: Pilot, project: Path) -> Settings:
    folder = project / "configs/pilots"
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(pilot.model_dump(mode="json", exclude_unset=True))
    (folder / f"{pilot.pilot}.yaml").write_text(text)
    return load_settings(project=project)


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a landscape whose files bear the year, and its pilot."""
    project = tmp_path_factory.mktemp("land") / "office"
    project.mkdir()
    with chdir(project):
        make_landscape()
    images = [
        one | {"file": one["file"].replace("2025", "{period}")}
        | {"date": one["date"].replace("2025", "{period}")}
        for one in IMAGES
    ]  # fmt: skip
    scene = SCENE | {"images": images}
    data = {"periods": "2025", "frequency": "A"}
    written(scene_pilot(scene=scene, data=data), project)
    return project


@pytest.fixture(scope="module")
def mapped(land: Path, tmp_path_factory: pytest.TempPathFactory) -> Produced:
    """Produce a year by the version in production, its arms in own processes."""
    project = tmp_path_factory.mktemp("mapped") / "office"
    shutil.copytree(land, project)
    settings = load_settings(project=project)
    with chdir(project):
        decide(settings, "crops")
        return production.produce("crops", "2025", settings)


@pytest.fixture
def office(land: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Work in a copy of the landscape's project, all arms in this process."""
    shutil.copytree(land, tmp_path / "office")
    monkeypatch.chdir(tmp_path / "office")
    monkeypatch.setattr(production_reading, "isolated", direct)
    return load_settings(project=tmp_path / "office")


@pytest.fixture
def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write surveyed segments of one quarter, with all arms in this process."""
    segments().to_csv("segments_2026-Q2.csv", index=False)
    COUNTIES.to_csv("counties.csv", index=False)
    monkeypatch.setattr(production_reading, "isolated", direct)
    return tmp_path


def area_pilot(candidate: str = "regression", **more: Any) -> Pilot:
    methods = {**METHODS[candidate], "kind": "ml"}
    pilot = pilot_of(
        ("direct", candidate),
        candidate=candidate,
        production={"source": "segments_{period}.csv"},
        **more,
    )
    assert pilot.methods[candidate].use == methods["use"]
    return pilot


def table(made: Produced, name: str) -> pd.DataFrame:
    assert made.release is not None
    return pd.read_parquet(made.release.folder / f"{name}.parquet")


def told(made: Produced, variable: str, domain: str = "") -> pd.Series:
    totals = made.totals.set_index(["variable", "domain"])
    assert not totals.index.has_duplicates
    return totals.loc[(variable, domain)]


# -- a scene -------------------------------------------------------------------------


def test_areas_are_those_of_the_survey_with_the_released_map(
    mapped: Produced, land: Path
) -> None:
    assert mapped.reasons == ()
    with chdir(land):
        pilot = at_period(load_pilot("crops", project=land), "2025")
        data, _ = load(pilot, load_settings(project=land))
        folder = land / "again"
        folder.mkdir()
        found = run_method(pilot, "forest", data, folder).estimates
    mine = found[found["method"] == "forest"].set_index("variable")
    for name in CLASSES.values():
        row = told(mapped, f"area of {name}")
        assert row["estimate"] == mine.loc[name, "estimate"]
        assert row["se"] == mine.loc[name, "standard_error"]
        assert row["lower"] == mine.loc[name, "lower"]
        assert row["n"] == 32
        assert row["difference"] == pytest.approx(row["estimate"] - row["baseline"])
        assert np.isnan(row["difference_lower"])
        assert "no interval of the gap" in row["note"]


def test_the_map_is_a_file_of_the_release(mapped: Produced) -> None:
    release = mapped.release
    assert release is not None
    assert "map.tif" in release.files
    with rasterio.open(release.folder / "map.tif") as shown:
        counted = np.bincount(shown.read(1).ravel(), minlength=4)
    areas = table(mapped, "class_areas")
    own = areas[areas["method"] == "forest"]
    assert own["pixels"].tolist() == counted.tolist()
    hectares = counted * HECTARES
    assert own["counted_hectares"].tolist() == pytest.approx(hectares.tolist())


def test_every_figure_tells_where_it_is_from(mapped: Produced) -> None:
    figures = table(mapped, "figures")
    assert len(figures) == len(mapped.totals) == 3
    assert figures["model_version"].str.startswith("forest v2@").all()
    assert set(figures["route"]) == {"automatic"}
    assert set(figures["flag"]) == {""}
    estimates = table(mapped, "estimates")
    assert set(estimates["role"]) == {"champion", "baseline"}
    assert "survey alone" in set(estimates["method"])
    counted = estimates["method"].str.contains("pixel count")
    assert estimates.loc[counted, "estimate"].isna().all()
    units = table(mapped, "confidential/units")
    assert set(units["model_version"]) == {"reported"}
    assert set(units["value"]) == set(CLASSES.values())
    assert mapped.counts["units"] == len(units)
    assert mapped.release is not None
    assert mapped.release.final


def test_no_unit_is_in_what_is_published(mapped: Produced) -> None:
    assert mapped.release is not None
    folder = mapped.release.folder
    files = [p for p in folder.rglob("*") if p.is_file()]
    secret = [p for p in files if "confidential" in p.relative_to(folder).parts]
    units = table(mapped, "confidential/units")["unit"].tolist()
    planted = [units[0], units[-1]]
    assert find(planted, secret)  # else the next line would prove nothing
    assert find(planted, sorted(set(files) - set(secret))) == []


def test_the_baseline_maps_before_any_decision(
    office: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "temporary"  # other tests have theirs where all have
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    base = keep(office, load_pilot("crops", project=office.project), "likelihood")
    known = registered(base)
    monkeypatch.setattr(
        "mlstats.production_arms.read_registry", lambda settings, pilot: known
    )
    dry = production.produce("crops", "2025", office, dry_run=True)
    assert dry.release is None
    assert not office.releases.exists()
    made = production.produce("crops", "2025", office)
    pd.testing.assert_frame_equal(dry.totals, made.totals)
    again = production.produce("crops", "2025", office)
    assert again.release is not None
    assert made.release is not None
    assert again.release.folder == made.release.folder
    assert set(table(made, "figures")["model_version"]) == {f"likelihood@{base[:12]}"}
    assert made.totals["difference"].isna().all()
    assert made.totals["note"].str.contains("one method alone").all()
    gc.collect()
    assert list(own.glob("mlstats-maps-*")) == []


def test_a_missing_recipe_is_a_fallback_that_is_told(office: Settings) -> None:
    model = decide(office, "crops")
    production.produce("crops", "2025", office)
    shutil.rmtree(office.confidential / "models" / model)
    made = production.produce("crops", "2025", office)
    assert [one.cause for one in made.reasons] == ["model"]
    figures = table(made, "figures")
    assert set(figures["flag"]) == {"fallback: model"}
    assert set(figures["method"]) == {"likelihood"}
    assert made.counts["fallback"] == 3
    assert made.release is not None
    assert made.release.number == 2


def test_files_of_a_year_are_those_of_the_year_asked_for(land: Path) -> None:
    pilot = load_pilot("crops", project=land)
    scene = of_period(pilot, "2031").data.scene
    assert scene is not None
    assert [one.file for one in scene.images] == [
        "scene_2031-05-10.tif", "scene_2031-07-05.tif",
    ]  # fmt: skip
    assert [one.date for one in scene.images] == ["2031-05-10", "2031-07-05"]
    with chdir(land):  # a run takes the last of its periods
        data, result = load(pilot, load_settings(project=land))
    assert result.ok
    assert set(data.frame["season"]) == {"2025"}
    loose = pilot.data.model_copy(update={"periods": None})
    with pytest.raises(ConfigError, match="says {period}"):
        load(pilot.model_copy(update={"data": loose}), load_settings(project=land))


# -- segments ------------------------------------------------------------------------


def test_areas_of_segments_are_the_formulas_of_the_direct_expansion(
    survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = written(area_pilot(), survey)
    base = keep(settings, load_pilot("corn", project=survey), "direct")
    known = registered(base)
    monkeypatch.setattr(
        "mlstats.production_arms.read_registry", lambda settings, pilot: known
    )
    made = production.produce("corn", "2026-Q2", settings)
    y, n, size = segments()["corn"], 44, 1000
    se = size * np.sqrt((1 - n / size) / n) * y.std(ddof=1)
    row = told(made, "area of corn")
    assert row["estimate"] == pytest.approx(size * y.mean())
    assert row["se"] == pytest.approx(se)
    half = stats.t.ppf(0.975, n - 1) * se
    assert row["upper"] == pytest.approx(size * y.mean() + half)
    inside = y[segments()["county"] == "b"]
    row = told(made, "area of corn", "county=b")
    assert row["estimate"] == pytest.approx(200 * inside.mean())
    assert row["n"] == 11
    units = table(made, "confidential/units")
    assert len(units) == 44
    assert set(units["model_version"]) == {f"direct@{base[:12]}"}
    # Every segment is predicted from the others alone.
    left = (y.sum() - y) / (n - 1)
    assert units["value"].astype(float).tolist() == pytest.approx(left.tolist())


def test_areas_that_are_kept_back_wait_for_nobody(
    survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments(32).to_csv("segments_2026-Q2.csv", index=False)  # eight in a county
    settings = written(area_pilot(), survey)
    known = registered(keep(settings, load_pilot("corn", project=survey), "direct"))
    monkeypatch.setattr(
        "mlstats.production_arms.read_registry", lambda settings, pilot: known
    )
    made = production.produce("corn", "2026-Q2", settings)
    row = told(made, "area of corn", "county=b")
    assert np.isnan(row["estimate"])
    figures = table(made, "figures")
    assert figures["route"].tolist() == ["automatic", *["not told"] * 4]
    assert made.counts["open"] == 0


def test_a_count_waits_for_a_methodologist_and_is_published_or_withheld(
    survey: Path,
) -> None:
    settings = written(area_pilot("count"), survey)
    decide(settings, "corn")
    made = production.produce("corn", "2026-Q2", settings)
    queue = table(made, "confidential/queue")
    assert queue["variable"].tolist() == ["area of corn"]
    expected = (COUNTIES["size"] * COUNTIES["mean_pixels"]).sum() * 0.45
    assert queue["estimate"].iloc[0] == pytest.approx(expected)
    row = told(made, "area of corn")
    assert np.isnan([row["estimate"], row["baseline"], row["difference"]]).all()
    assert "waits for a methodologist" in row["note"]
    assert row["open_share"] == 1
    assert table(made, "figures")["route"].tolist() == ["queue"]
    assert made.release is not None
    assert not made.release.final
    (unit,) = keyed(pd.Series([figure_id("area of corn", "")]), project_key(settings))
    assert queue["unit"].tolist() == [unit]
    review(settings, "corn", "2026-Q2", (unit, "", PUBLISH))
    done = production.produce("corn", "2026-Q2", settings)
    assert told(done, "area of corn")["estimate"] == pytest.approx(expected)
    assert table(done, "figures")["flag"].tolist() == ["reviewed: publish"]
    assert done.release is not None
    assert done.release.final
    review(settings, "corn", "2026-Q2", (unit, "", WITHHOLD))
    held = production.produce("corn", "2026-Q2", settings)
    row = told(held, "area of corn")
    assert np.isnan(row["estimate"])
    assert "withheld by a methodologist" in row["note"]
    assert held.counts["closed"] == 1
    review(settings, "corn", "2026-Q2", (unit, "", "perhaps"))
    with pytest.raises(ContractError, match="do not say what becomes"):
        production.produce("corn", "2026-Q2", settings)


# -- zones ---------------------------------------------------------------------------


def test_spread_totals_are_released_by_domain_without_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("geopandas")
    pytest.importorskip("shapely")
    from tests.unit import test_zone_pilots as zones

    monkeypatch.setattr(production_reading, "isolated", direct)
    with rasterio.open(
        "buildings.tif", "w", driver="GTiff", height=40, width=120, count=1,
        dtype="uint16", crs=zones.CRS,
        transform=rasterio.Affine(zones.PIXEL, 0, 0, 0, -zones.PIXEL, 4e6),
    ) as file:  # fmt: skip
        file.write(zones.counts(), 1)
    zones.write_zones()
    shutil.move("zones.geojson", "zones_2026.geojson")
    plan = {"source": "zones_{period}.geojson"}
    settings = written(zones.pilot_of(production=plan), tmp_path)
    decide(settings, "people")
    made = production.produce("people", "2026", settings)
    census = zones.squares()
    by_buildings = pd.Series(zones.spread(census, census["buildings"] + 1e-300))
    by_land = pd.Series(zones.spread(census, census["km2"]))
    bare = census["region"] == zones.BARE  # no building: the land decides
    expected = by_buildings.where(~bare, by_land)
    units = table(made, "confidential/units")
    assert units["unit"].tolist() == census["id"].tolist()
    assert units["value"].astype(float).tolist() == pytest.approx(expected.tolist())
    for province in "abc":
        inside = census["province"] == province
        row = told(made, "total of people", f"province={province}")
        assert row["estimate"] == pytest.approx(expected[inside].sum())
        assert row["baseline"] == pytest.approx(by_land[inside].sum())
        assert row["n"] == inside.sum()
        assert np.isnan([row["se"], row["lower"]]).all()
        assert "no standard error" in row["note"]


def test_a_recipe_with_other_roles_is_not_used(survey: Path) -> None:
    settings = written(area_pilot(), survey)
    decide(settings, "corn")
    frame = segments().assign(region="east")
    frame.to_csv("segments_2026-Q2.csv", index=False)
    written(area_pilot(roles={"domain": ["county", "region"]}), survey)
    made = production.produce("corn", "2026-Q2", settings)
    assert [one.cause for one in made.reasons] == ["model"]
    assert "approved with other roles" in made.reasons[0].said
    assert made.totals["note"].str.contains("was approved with other roles").all()


def test_a_column_estimates_no_areas(survey: Path) -> None:
    with pytest.raises(ConfigError, match="estimates no areas"):
        of_column(area_pilot(), "direct", None)  # type: ignore[arg-type]

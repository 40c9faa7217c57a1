"""Periods that come in partitions: the same releases, wherever the parts are coded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlstats import batch_coding, coding_parts_release, parts_reading
from mlstats.batch_coding import code_table
from mlstats.coding_parts import CodePart
from mlstats.drill import drill
from mlstats.errors import (
    ContractError,
    RefusedError,
    ServiceError,
    SourceError,
)
from mlstats.monitoring import history_of
from mlstats.partitions import PartitionedTable
from mlstats.pilot_files import find_config, load_pilot
from mlstats.produced import ArmFailed, Produced, Reason
from mlstats.production import prepare, produce
from mlstats.production_plan import staging
from mlstats.release_tables import table_or_parts
from mlstats.releases import Release
from mlstats.retention import due
from mlstats.review_rows import data_of, open_period
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings
from mlstats.writing import sole_writer
from tests.dask_cluster import dask_cluster
from tests.flows.canary import find
from tests.parts_example import frames, in_parts
from tests.production_example import Office, appoint, office

MARCH, APRIL = "2026-03", "2026-04"
PUBLISHED = ("totals.parquet", "process.parquet", "drift.parquet")
KEPT = ("audit", "queue", "units", "watched")

pytestmark = pytest.mark.xdist_group("parts")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Make the project once."""
    return office(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def whole(made: Office, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return the release of the period read into memory."""
    settings = in_parts(made, tmp_path_factory.mktemp("whole"), None)
    return release_of(produce("diaries", MARCH, settings))


@pytest.fixture(scope="module")
def parts(made: Office, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a project whose periods come in four parts."""
    return in_parts(made, tmp_path_factory.mktemp("parts"), 4)


@pytest.fixture(scope="module")
def produced(parts: Settings) -> Release:
    """Return the release of the period in parts."""
    return release_of(produce("diaries", MARCH, parts))


def release_of(made: Produced) -> Release:
    assert made.release is not None
    assert made.reasons == ()
    return made.release


def table(release: Release, name: str) -> pd.DataFrame:
    found = table_or_parts(release.folder / name)
    assert found is not None
    kinds = {c: object for c in found if found[c].dtype.name == "category"}
    return found.astype(kinds)


def digests(release: Release) -> dict[str, str]:
    return {
        path.relative_to(release.folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(release.folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_is_that_of_the_whole(
    whole: Release, produced: Release, name: str
) -> None:
    pd.testing.assert_frame_equal(
        table(whole, name), table(produced, name), check_exact=False, rtol=1e-9
    )


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_that_of_the_whole(
    whole: Release, produced: Release, name: str
) -> None:
    one, many = (table(r, f"confidential/{name}.parquet") for r in (whole, produced))
    pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert produced.facts["counts"] == whole.facts["counts"]


def test_the_manifest_lists_every_part(produced: Release) -> None:
    for name in ("units", "watched"):
        listed = [f for f in produced.files if f.startswith(f"confidential/{name}/")]
        assert listed == [f"confidential/{name}/part-{k:05d}.parquet" for k in range(4)]
        assert all(len(produced.files[f]) == 64 for f in listed)


def test_nothing_stays_beside_a_release(parts: Settings, produced: Release) -> None:
    assert produced.folder.is_dir()
    assert not list((parts.confidential / "parts").rglob("*.parquet"))


def test_the_same_data_give_the_same_release(
    parts: Settings, produced: Release
) -> None:
    again = produce("diaries", MARCH, parts)
    assert again.release is not None
    assert again.release.number == produced.number
    assert not list((parts.confidential / "parts").rglob("*.parquet"))


@pytest.mark.parametrize("workers", [2])
def test_workers_of_this_machine_give_the_same_bytes(
    made: Office, produced: Release, tmp_path: Path, workers: int
) -> None:
    settings = in_parts(made, tmp_path, 4)
    settings = settings.model_copy(update={"workers": workers})
    assert digests(release_of(produce("diaries", MARCH, settings))) == digests(produced)


def test_a_cluster_gives_the_same_bytes(
    made: Office, produced: Release, tmp_path: Path
) -> None:
    settings = in_parts(made, tmp_path, 4)
    with dask_cluster(workers=2) as cluster:
        settings = settings.model_copy(update={"scale": cluster.address})
        found = release_of(produce("diaries", MARCH, settings))
    assert digests(found) == digests(produced)


def disturbed(
    patch: pytest.MonkeyPatch, step: Any, at: int, act: Callable[[], None]
) -> list[int]:
    """Let something happen before a step's first run is given the result `at`.

    Returns how many parts each run of the step asks for.
    """
    asked: list[int] = []
    real = step.map_blocks

    def counted(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
        blocks = list(blocks)
        asked.append(len(blocks))
        for number, one in enumerate(real(function, blocks, **more)):
            if len(asked) == 1 and number == at:
                act()
            yield one

    patch.setattr(step, "map_blocks", counted)
    return asked


def ended(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_run_goes_on_from_its_finished_parts(
    made: Office, produced: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_parts(made, tmp_path, 4)
    asked = disturbed(monkeypatch, coding_parts_release, 2, ended)
    with pytest.raises(KeyboardInterrupt):
        produce("diaries", MARCH, settings)
    assert not (settings.releases / "diaries" / MARCH / "current.json").exists()
    left = settings.confidential / f"parts/diaries/{MARCH}"
    (damaged,) = left.glob("*/units/part-00000.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    found = release_of(produce("diaries", MARCH, settings))
    assert asked == [4, 3]
    assert digests(found) == digests(produced)


@pytest.mark.parametrize("changed", ["data", "classification"])
def test_parts_of_other_data_are_not_taken(
    made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    settings = in_parts(made, tmp_path, 2)
    asked = disturbed(monkeypatch, coding_parts_release, 1, ended)
    with pytest.raises(KeyboardInterrupt):
        produce("diaries", MARCH, settings)
    if changed == "data":
        written_anew(settings)
    else:
        own_classification(settings)
    release_of(produce("diaries", MARCH, settings))
    assert asked == [2, 2]


def own_classification(settings: Settings) -> None:
    """Give the project a classification with another title of a class."""
    place = find_config("classifications/coicop2018_demo.csv", settings.project)
    assert place is not None
    text = place.read_text(encoding="utf-8")
    own = settings.project / "classifications/coicop2018_demo.csv"
    own.parent.mkdir(exist_ok=True)
    own.write_text(text.replace(",Food,", ",Foods,"), encoding="utf-8")


def test_a_household_in_two_parts_is_refused(made: Office, tmp_path: Path) -> None:
    settings = in_parts(made, tmp_path, 3)
    folder = settings.project / f"data/lines_{MARCH}"
    one, two = (pd.read_parquet(folder / f"part-0000{k}.parquet") for k in (0, 1))
    both = pd.concat([one, two], ignore_index=True)
    for k, part in enumerate((both.iloc[: len(one) - 1], both.iloc[len(one) - 1 :])):
        part.to_parquet(folder / f"part-0000{k}.parquet", index=False)
    with pytest.raises(ContractError, match="more than one part") as told:
        produce("diaries", MARCH, settings)
    assert "mlstats convert" in str(told.value)


def test_ids_that_stand_twice_make_the_baseline_produce(
    made: Office, tmp_path: Path
) -> None:
    found = []
    for n in (None, 3):
        settings = in_parts(made, tmp_path / str(n), n)
        place = settings.project / f"data/lines_{MARCH}"
        names = sorted(place.glob("*.parquet")) or [place.with_suffix(".parquet")]
        parts = [pd.read_parquet(name) for name in names]
        first, last = parts[0].copy(), parts[-1].copy()
        last.loc[last.index[-70:], "line_id"] = first["line_id"].head(70).to_numpy()
        last.loc[last.index[-80:-70], "line_id"] = ""
        last.to_parquet(names[-1], index=False)
        one = produce("diaries", MARCH, settings)
        assert [reason.cause for reason in one.reasons] == ["contract"]
        assert "repeats the id of an earlier row (70)" in one.reasons[0].said
        assert one.release is not None
        found.append(one.release)
    whole, in_three = found
    for name in ("units", "audit"):
        both = [table(r, f"confidential/{name}.parquet") for r in found]
        one, many = (t.drop(columns="champion_code", errors="ignore") for t in both)
        pd.testing.assert_frame_equal(one, many)
        assert set(one["method"]) == {"index"}
    audit = table(in_three, "confidential/audit.parquet")
    assert not audit["unit"].duplicated().any()
    assert in_three.facts["counts"] == whole.facts["counts"]


def test_a_column_that_all_need_is_told_by_name(made: Office, tmp_path: Path) -> None:
    settings = in_parts(made, tmp_path, 2)
    for path in (settings.project / f"data/lines_{MARCH}").iterdir():
        pd.read_parquet(path).rename(columns={"description": "descripton"}).to_parquet(
            path, index=False
        )
    with pytest.raises(ContractError, match="nearest: descripton"):
        produce("diaries", MARCH, settings)


def test_a_table_of_all_periods_has_parts_of_others(
    made: Office, tmp_path: Path
) -> None:
    found = []
    for n in (None, 1):
        settings = in_parts(made, tmp_path / str(n), None)
        folder = settings.project / "data/all"
        folder.mkdir()
        lines = frames(settings.project)
        if n is None:
            every = pd.concat(lines.values(), ignore_index=True)
            every.to_parquet(settings.project / "data/all.parquet", index=False)
        else:
            for k, frame in enumerate(lines.values()):
                frame.to_parquet(folder / f"part-{k}.parquet", index=False)
        path = settings.project / "configs/pilots/diaries.yaml"
        text = path.read_text(encoding="utf-8")
        source = "data/all.parquet" if n is None else "data/all"
        more = f"production:\n  source: {source}"
        text = text.replace("    cluster: household_id\n", "")  # each its own
        path.write_text(text.replace("production:", more), encoding="utf-8")
        made_of = [produce("diaries", p, settings).release for p in (MARCH, APRIL)]
        found.append(made_of)
    for one, many in zip(*found, strict=True):
        assert one is not None
        assert many is not None
        assert many.facts["counts"] == one.facts["counts"]
        assert many.facts["fallback"] == []
        pd.testing.assert_frame_equal(
            table(one, "confidential/units.parquet"),
            table(many, "confidential/units.parquet"),
        )
        verdicts = ["reference", "column", "verdict"]
        pd.testing.assert_frame_equal(
            *(table(r, "drift.parquet").reindex(columns=verdicts) for r in (one, many))
        )


def test_the_queue_that_is_not_listed_is_told_once(
    made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_parts(made, tmp_path, 2)
    appoint(settings, made.linear, "shadow", version=2)
    monkeypatch.setattr(coding_parts_release, "QUEUE_ROWS", 5)
    found = produce("diaries", MARCH, settings)
    assert found.shadow is not None
    assert found.release is not None
    more = found.counts["open"] - 5
    told = f"the queue lists the 5 least sure units; {more} more wait"
    assert found.release.facts["cautions"] == [told]
    assert found.notes == (told,)


def test_a_back_cast_has_parts_of_its_own(parts: Settings) -> None:
    plan = prepare("diaries", MARCH, parts)
    places = {
        staging(replace(plan, dry_run=dry, back_cast=back))
        for dry, back in ((False, False), (True, False), (False, True))
    }
    assert len(places) == 3


def test_parts_of_a_run_that_never_ended_are_purged(
    made: Office, tmp_path: Path
) -> None:
    settings = in_parts(made, tmp_path, 2)
    root = settings.confidential / "parts/diaries"
    names = (MARCH, f"{MARCH}-dry-17", f"{MARCH}-back-cast", "2026-04")
    left = [root / name / "watched/part-00000.parquet" for name in names]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    pilot = load_pilot("diaries", project=settings.project)
    told = pilot.production.retention.model_copy(update={"units": 1})
    production = pilot.production.model_copy(update={"retention": told})
    pilot = pilot.model_copy(update={"production": production})
    found = due(pilot, settings, today=date(2026, 5, 15))
    assert {f for one in found for f in one.files} == {*left[:3]}


def test_every_cause_of_the_fallback_is_rehearsed(
    parts: Settings, produced: Release
) -> None:
    found = {one.cause: one for one in drill("diaries", parts, period=MARCH)}
    assert {cause: one.said for cause, one in found.items() if not one.passed} == {}
    assert [*found] == ["contract", "model", "crash", "time", "performance"]


def test_a_champion_that_fails_on_one_part_gives_the_whole_to_the_baseline(
    made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_parts(made, tmp_path, 3)
    real: Callable[..., Iterator[Any]] = coding_parts_release.map_blocks

    def failing(function: CodePart, blocks: Any, **more: Any) -> Iterator[Any]:
        for number, one in enumerate(real(function, blocks, **more)):
            if number == 1 and "champion" in function.models.models:
                raise ArmFailed.of("champion", Reason("crash", "it failed"))
            yield one

    monkeypatch.setattr(coding_parts_release, "map_blocks", failing)
    found = produce("diaries", MARCH, settings)
    assert [one.cause for one in found.reasons] == ["crash"]
    assert found.release is not None
    assert set(table(found.release, "confidential/units.parquet")["method"]) == {
        "index"
    }
    assert found.release.facts["counts"]["units"] == found.counts["units"]


def test_a_dry_run_leaves_nothing(made: Office, tmp_path: Path) -> None:
    settings = in_parts(made, tmp_path, 2)
    found = produce("diaries", MARCH, settings, dry_run=True)
    assert found.release is None
    assert len(found.totals)
    assert not list((settings.confidential / "parts").rglob("*.parquet"))


def test_clerks_see_the_texts_of_their_units_alone(
    parts: Settings, produced: Release
) -> None:
    now = open_period("diaries", MARCH, parts)
    rows = data_of(now).frame
    assert set(rows["line_id"]) == {*now.queue["unit"], *now.audit["unit"]}
    assert rows["description"].notna().all()


def test_a_clerks_code_makes_the_next_revision(made: Office, tmp_path: Path) -> None:
    both = [in_parts(made, tmp_path / str(n), n) for n in (None, 3)]
    found = []
    for settings in both:
        first = release_of(produce("diaries", MARCH, settings))
        now = open_period("diaries", MARCH, settings)
        told = [
            Reviewed(row["hash"], "01.1.1.1", "anna")
            for row in now.queue.head(25).to_dict("records")
        ]
        told += [
            Reviewed(row["hash"], row["value"], "anna", "audit")
            for row in now.audit.head(30).to_dict("records")
            if isinstance(row["value"], str)
        ]
        ReviewStore(settings.database).add("diaries", MARCH, told)
        second = release_of(produce("diaries", MARCH, settings))
        assert second.number == first.number + 1
        assert second.facts["counts"]["closed"] == 25
        found.append(second)
    names = ("totals.parquet", "process.parquet", "scorecard.parquet")
    for name in (*names, "confidential/units.parquet"):
        pd.testing.assert_frame_equal(
            *(table(one, name) for one in found), check_exact=False, rtol=1e-9
        )


def test_monitoring_reads_the_parts(parts: Settings, produced: Release) -> None:
    told = history_of("diaries", parts)
    assert set(told.rows.loc[told.rows["period"] == MARCH, "part"]) > {"inputs"}


def test_no_word_of_a_record_leaves(parts: Settings, produced: Release) -> None:
    ids = frames(parts.project)[MARCH]["line_id"].head(20).tolist()
    published = [path for path in produced.folder.iterdir() if path.is_file()]
    assert find(ids, published) == []
    assert find(ids, [*(produced.folder / "confidential/units").iterdir()])


# -- batch coding --------------------------------------------------------------------


def written_anew(settings: Settings) -> None:
    """Write the first part of March again: as many rows, one of them another."""
    path = settings.project / f"data/lines_{MARCH}/part-00000.parquet"
    lines = pd.read_parquet(path)
    lines.loc[0, "description"] += " more"
    lines.to_parquet(path, index=False)


@pytest.mark.parametrize("step", [parts_reading, coding_parts_release])
def test_a_file_that_is_written_meanwhile_is_told(
    made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Any
) -> None:
    settings = in_parts(made, tmp_path, 3)
    asked = disturbed(monkeypatch, step, 2, lambda: written_anew(settings))
    with pytest.raises(SourceError, match="changed while it was read") as told:
        produce("diaries", MARCH, settings)
    assert "part-00000.parquet" in str(told.value.where)
    assert not (settings.releases / "diaries" / MARCH / "current.json").exists()
    release_of(produce("diaries", MARCH, settings))
    assert asked == [3, 3]


def test_a_table_that_is_written_meanwhile_is_not_coded(
    made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_parts(made, tmp_path, 3)
    real = batch_coding.write_finished

    def followed(folder: Path, number: int, *given: Any, **more: Any) -> None:
        real(folder, number, *given, **more)
        if number == 1:
            written_anew(settings)

    monkeypatch.setattr(batch_coding, "write_finished", followed)
    with pytest.raises(SourceError, match="changed while it was read"):
        code_table("diaries", f"data/lines_{MARCH}", tmp_path / "coded", settings)
    assert not [*tmp_path.glob("*coded*")]


def test_a_table_is_coded_by_both_arms(
    parts: Settings, produced: Release, tmp_path: Path
) -> None:
    made = code_table("diaries", f"data/lines_{MARCH}", tmp_path / "coded", parts)
    units = table(produced, "confidential/units.parquet")
    coded = pd.concat(
        [part.read() for part in PartitionedTable.open(made.folder).partitions],
        ignore_index=True,
    )
    assert coded["unit"].tolist() == units["unit"].tolist()
    for name in ("champion_code", "baseline_code"):
        assert coded[name].tolist() == units[name].tolist()
    automatic = units["route"].isin(["automatic", "audit"])
    assert ((coded["route"] == "automatic") == automatic).all()
    assert made.automatic == automatic.sum()


def test_a_table_is_coded_once(parts: Settings, tmp_path: Path) -> None:
    source, target = f"data/lines_{MARCH}", tmp_path / "coded"
    assert code_table("diaries", source, target, parts).computed == 4
    assert code_table("diaries", source, target, parts).computed == 0
    with pytest.raises(RefusedError, match="something else"):
        code_table("diaries", "data/lines_2026-04", target, parts)
    inside = parts.project / source / "coded"
    with pytest.raises(RefusedError, match="lies in the source"):
        code_table("diaries", source, inside, parts)
    assert not inside.exists()


def test_two_runs_do_not_code_into_one_folder(parts: Settings, tmp_path: Path) -> None:
    target = tmp_path / "coded"
    with (
        sole_writer(target),
        pytest.raises(ServiceError, match="Another run writes"),
    ):
        code_table("diaries", f"data/lines_{MARCH}", target, parts)
    assert not target.exists()
    assert not list(tmp_path.glob(".coded.*.*"))


def test_a_table_is_coded_from_whole_parts_alone(
    made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_parts(made, tmp_path, 3)
    source, target = f"data/lines_{MARCH}", tmp_path / "coded"

    with monkeypatch.context() as broken:
        broken.setattr(batch_coding, "_moved", ended)
        with pytest.raises(KeyboardInterrupt):
            code_table("diaries", source, target, settings)
    (beside,) = tmp_path.glob(".coded.*")
    if os.name == "posix":
        assert beside.stat().st_mode & 0o077 == 0
    damaged = beside / "part-00001.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + b"?")
    again = code_table("diaries", source, target, settings)
    assert again.computed == 1
    assert (target / damaged.name).read_bytes() == whole
    own_classification(settings)
    with pytest.raises(RefusedError, match="something else"):
        code_table("diaries", source, target, settings)


def test_a_table_without_its_texts_is_refused(made: Office, tmp_path: Path) -> None:
    settings = in_parts(made, tmp_path, 2)
    frame = frames(settings.project)[MARCH].drop(columns="description")
    frame.to_parquet(tmp_path / "lines.parquet", index=False)
    with pytest.raises(SourceError, match="no column 'description'"):
        code_table("diaries", "lines.parquet", tmp_path / "coded", settings)

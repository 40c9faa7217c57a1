"""Periods that come in partitions: the same releases, wherever the parts are coded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlstats import coding_parts_release
from mlstats.batch_coding import code_table
from mlstats.coding_parts import CodePart
from mlstats.drill import drill
from mlstats.errors import ContractError, RefusedError
from mlstats.monitoring import history_of
from mlstats.partitions import PartitionedTable
from mlstats.produced import ArmFailed, Produced, Reason
from mlstats.production import produce
from mlstats.release_tables import table_or_parts
from mlstats.releases import Release
from mlstats.review_rows import data_of, open_period
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings
from tests.dask_cluster import dask_cluster
from tests.flows.canary import find
from tests.parts_example import frames, in_parts
from tests.production_example import Office, office

MARCH = "2026-03"
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
    # The linear method adds in single precision, in blocks of the rows it is given.
    pd.testing.assert_frame_equal(one, many, check_exact=False, rtol=1e-6)
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


def test_a_run_goes_on_from_its_finished_parts(
    made: Office, produced: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_parts(made, tmp_path, 4)
    asked: list[int] = []
    real = coding_parts_release.map_blocks

    def counted(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
        blocks = list(blocks)
        asked.append(len(blocks))
        for number, one in enumerate(real(function, blocks, **more)):
            if len(asked) == 1 and number == 2:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(coding_parts_release, "map_blocks", counted)
    with pytest.raises(KeyboardInterrupt):
        produce("diaries", MARCH, settings)
    assert not (settings.releases / "diaries" / MARCH / "current.json").exists()
    found = release_of(produce("diaries", MARCH, settings))
    assert asked == [4, 2]
    assert digests(found) == digests(produced)


def test_parts_of_other_data_are_not_taken(
    made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_parts(made, tmp_path, 2)
    real = coding_parts_release.map_blocks
    asked: list[int] = []

    def counted(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
        blocks = list(blocks)
        asked.append(len(blocks))
        if len(asked) == 1:
            yield next(iter(real(function, blocks, **more)))
            raise KeyboardInterrupt
        yield from real(function, blocks, **more)

    monkeypatch.setattr(coding_parts_release, "map_blocks", counted)
    with pytest.raises(KeyboardInterrupt):
        produce("diaries", MARCH, settings)
    path = settings.project / f"data/lines_{MARCH}/part-00000.parquet"
    changed = pd.read_parquet(path)
    changed.loc[0, "description"] = "another text"
    changed.to_parquet(path, index=False)
    release_of(produce("diaries", MARCH, settings))
    assert asked == [2, 2]


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


def test_an_id_that_stands_twice_makes_the_baseline_produce(
    made: Office, tmp_path: Path
) -> None:
    settings = in_parts(made, tmp_path, 3)
    folder = settings.project / f"data/lines_{MARCH}"
    first = pd.read_parquet(folder / "part-00000.parquet")
    last = pd.read_parquet(folder / "part-00002.parquet")
    last.loc[0, "line_id"] = first.loc[1, "line_id"]
    last.to_parquet(folder / "part-00002.parquet", index=False)
    found = produce("diaries", MARCH, settings)
    assert [one.cause for one in found.reasons] == ["contract"]
    assert "repeats the id" in found.reasons[0].said
    assert found.release is not None
    assert set(table(found.release, "confidential/units.parquet")["method"]) == {
        "index"
    }


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
                raise ArmFailed("champion", Reason("crash", "it failed"))
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
        ReviewStore(settings.database).add("diaries", MARCH, told)
        second = release_of(produce("diaries", MARCH, settings))
        assert second.number == first.number + 1
        assert second.facts["counts"]["closed"] == 25
        found.append(second)
    for name in ("totals.parquet", "process.parquet", "confidential/units.parquet"):
        pd.testing.assert_frame_equal(
            *(table(one, name) for one in found), check_exact=False, rtol=1e-6
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

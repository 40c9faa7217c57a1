"""Periods of edit and imputation that come in parts: the release of one in memory."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from mlstats import imputation_parts, imputation_parts_release, production_reading
from mlstats.drill import drill
from mlstats.errors import ContractError, MlstatsError, SourceError
from mlstats.evaluate import keyed, project_key
from mlstats.imputation_production import why_in_memory
from mlstats.monitoring import history_of
from mlstats.partitions import Partition
from mlstats.pilot_files import load_pilot
from mlstats.produced import Produced
from mlstats.production import produce
from mlstats.release_tables import table_or_parts
from mlstats.releases import Release, ReleaseStore
from mlstats.scale import map_blocks
from mlstats.settings import Settings, load_settings
from tests.dask_cluster import dask_cluster
from tests.flows.canary import find
from tests.flows.conftest import UNIT
from tests.flows.test_editimpute_run import EDITS, survey
from tests.recipe_example import decide, direct, review

PILOT = """
pilot: survey
theme: editimpute
owner: {author: tests}
data:
  source: survey.csv
  frequency: Q
  edits: {file: edits.yaml}
  selection:
    thousand: [{principal: turnover, targets: [costs, profit], auxiliary: register}]
  donors: {rows: 150, by: [area], class_rows: 20}
  roles:
    unit_id: unit
    cluster: firm
    stratum: area
    weight: weight
    fraction: drawn
    variables: [turnover, costs, profit, staff, kind]
    auxiliary: [register]
    domain: [area]
    confidential: [unit, firm]
methods:
  donor:
    kind: ml
    use: mlstats.editimpute.NearestDonor
    params: {match: [register], min_donors: 5, min_percent: 0, post_edits: false}
  regression:
    kind: traditional
    use: mlstats.editimpute.EstimatorImputer
    params:
      steps:
        - {variable: turnover, estimator: ratio, auxiliary: [register]}
        - {variable: costs, estimator: ratio, auxiliary: [register]}
        - {variable: profit, estimator: mean, negative: true}
        - {variable: staff, estimator: mean}
baseline: regression
candidate: donor
evaluate: {damage: {masks: 2, missing: {share: 0.2}}}
gates: [{measure: edits_failing, at_most: 0}]
production:
  source: survey_{period}SUFFIX
  review: {audit_sample: 60}
"""
PERIOD = "2026-Q2"
KEPT = ("units", "cells", "audit", "watched")

pytestmark = pytest.mark.xdist_group("parts")


def records() -> pd.DataFrame:
    """Return 600 records of 300 firms: gaps, failures, wrong units of measure."""
    frame = survey().iloc[:600].copy()
    frame.loc[200, "firm"] = "00100"
    frame["area"] = frame.groupby("firm")["area"].transform("first")
    frame["drawn"] = frame["area"].map({"north": 0.1, "south": 0.25})
    frame.loc[[3, 410], ["turnover", "costs"]] = 2000.0
    frame.loc[frame.index % 9 == 2, ["turnover", "profit"]] = np.nan
    money = ["turnover", "costs", "profit"]
    frame.loc[[17, 333, 590], money] *= 1000
    frame.loc[frame.index % 11 == 5, "kind"] = None
    return frame


def project_of(folder: Path, parts: int | None, frame: pd.DataFrame) -> Settings:
    """Write a project whose period comes in so many parts, None: in one file."""
    (folder / "configs/pilots").mkdir(parents=True)
    suffix = ".parquet" if parts is None else ""
    text = PILOT.replace("SUFFIX", suffix)
    (folder / "configs/pilots/survey.yaml").write_text(text)
    (folder / "edits.yaml").write_text(EDITS)
    place = folder / f"survey_{PERIOD}{suffix}"
    if parts is None:
        frame.to_parquet(place, index=False)
    else:
        place.mkdir()
        number = pd.factorize(frame["firm"])[0] * parts // frame["firm"].nunique()
        for part, own in frame.groupby(number):
            own.to_parquet(place / f"part-{part:05d}.parquet", index=False)
    settings = load_settings(project=folder)
    settings.prepare()
    return settings


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return one secret for all projects, so that their tables can be compared."""
    folder = tmp_path_factory.mktemp("key")
    return project_key(project_of(folder / "office", None, records()))


def here(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
    """Work on blocks without a process of their own, which takes seconds to start."""
    return map_blocks(function, blocks, **{**more, "apart": False})


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let arms answer in processes of their own, as they do in production."""
    monkeypatch.setattr(imputation_parts_release, "map_blocks", map_blocks)


@pytest.fixture(scope="module")
def module_patch(key: bytes) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlstats.production.project_key", lambda settings: key)
        patch.setattr(production_reading, "isolated", direct)
        patch.setattr(imputation_parts_release, "map_blocks", here)
        yield patch


def made_of(folder: Path, parts: int | None, **more: Any) -> Produced:
    settings = project_of(folder, parts, records())
    decide(settings, "survey")
    if more:
        settings = settings.model_copy(update=more)
    return produce("survey", PERIOD, settings)


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, module_patch: pytest.MonkeyPatch
) -> Produced:
    """Produce the period read into memory."""
    return made_of(tmp_path_factory.mktemp("whole") / "an office", None)


@pytest.fixture(scope="module")
def produced(
    tmp_path_factory: pytest.TempPathFactory, module_patch: pytest.MonkeyPatch
) -> Produced:
    """Produce the period in four parts."""
    return made_of(tmp_path_factory.mktemp("parts") / "an office", 4)


def release_of(made: Produced) -> Release:
    assert made.release is not None
    return made.release


def table(made: Produced, name: str) -> pd.DataFrame:
    found = table_or_parts(release_of(made).folder / f"{name}.parquet")
    assert found is not None
    kinds = {c: object for c in found if found[c].dtype.name in ("category", "str")}
    found = found.astype(kinds)
    return found.where(found.notna(), None)


def digests(made: Produced) -> dict[str, str]:
    folder = release_of(made).folder
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_published_is_that_of_the_whole(
    whole: Produced, produced: Produced
) -> None:
    assert whole.reasons == produced.reasons == ()
    one, many = table(whole, "totals"), table(produced, "totals")
    pd.testing.assert_frame_equal(one, many, check_exact=False, rtol=1e-9)
    assert one["se"].astype(float).gt(0).all()
    assert one["difference"].notna().any()


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_that_of_the_whole(
    whole: Produced, produced: Produced, name: str
) -> None:
    one, many = (table(made, f"confidential/{name}") for made in (whole, produced))
    pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert whole.counts == produced.counts


def test_values_come_from_donors_of_every_part(produced: Produced) -> None:
    units = table(produced, "confidential/units")
    cells = table(produced, "confidential/cells")
    folder = release_of(produced).folder / "confidential"
    assert len([*(folder / "cells").glob("part-*.parquet")]) == 4
    part = {
        unit: number
        for number, path in enumerate(sorted((folder / "units").glob("*.parquet")))
        for unit in pd.read_parquet(path)["unit"]
    }
    given = cells[cells["step"].str.startswith("nearest donor")]
    apart = given["unit"].map(part) != given["donor"].map(part)
    assert 0.3 < apart.mean() < 1
    assert given["donor"].isin(units["unit"]).all()
    assert {"unit of measure", "edit", "missing"} <= set(cells["selection"])
    assert (units["route"] == "audit").sum() == 60
    audited = cells["unit"].isin(units.loc[units["route"] == "audit", "unit"])
    assert (cells["route"] == "audit").equals(audited)


def test_the_queue_is_that_of_the_whole(whole: Produced, produced: Produced) -> None:
    one, many = (table(made, "confidential/queue") for made in (whole, produced))
    assert len(one) > 10
    effects = [queue.pop("effect").astype(float) for queue in (one, many)]
    pd.testing.assert_frame_equal(one, many, check_exact=True)
    np.testing.assert_allclose(*effects, rtol=1e-12)


def test_a_queue_that_is_too_long_is_cut_and_says_so(
    produced: Produced,
    module_patch: pytest.MonkeyPatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = table(produced, "confidential/queue")
    monkeypatch.setattr(imputation_parts_release, "QUEUE_ROWS", 5)
    made = made_of(tmp_path / "an office", 4)
    pd.testing.assert_frame_equal(table(made, "confidential/queue"), every.head(5))
    (note,) = [one for one in made.notes if "most urgent values" in one]
    assert f"{len(every) - 5} more wait" in note
    assert made.counts == produced.counts


def test_the_manifest_lists_every_part(produced: Produced) -> None:
    files = release_of(produced).files
    for name in ("units", "cells", "watched"):
        listed = [f for f in files if f.startswith(f"confidential/{name}/")]
        assert listed == [f"confidential/{name}/part-{k:05d}.parquet" for k in range(4)]
        assert all(len(files[f]) == 64 for f in listed)


@pytest.mark.soak
def test_workers_give_the_same_bytes(
    produced: Produced, module_patch: pytest.MonkeyPatch, apart: None, tmp_path: Path
) -> None:
    made = made_of(tmp_path / "an office", 4, workers=2)
    assert digests(made) == digests(produced)


@pytest.mark.soak
def test_a_cluster_gives_the_same_bytes(
    produced: Produced, module_patch: pytest.MonkeyPatch, apart: None, tmp_path: Path
) -> None:
    with dask_cluster(workers=2) as cluster:
        made = made_of(tmp_path / "an office", 4, scale=cluster.address)
    assert digests(made) == digests(produced)


def test_parts_of_other_sizes_give_the_same_records(
    produced: Produced,
    module_patch: pytest.MonkeyPatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imputation_parts, "BLOCK_ROWS", 37)
    made = made_of(tmp_path / "an office", 7)
    for name in KEPT:
        pd.testing.assert_frame_equal(
            table(made, f"confidential/{name}"),
            table(produced, f"confidential/{name}"),
            check_exact=True,
        )
    pd.testing.assert_frame_equal(
        table(made, "totals"), table(produced, "totals"), check_exact=False, rtol=1e-9
    )


def test_a_part_in_which_nothing_was_treated_has_the_types_of_the_others(
    whole: Produced, module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = records()
    treated = set(table(whole, "confidential/cells")["unit"])
    firms = frame.loc[frame["unit"].isin(treated), "firm"]
    own = [frame[frame["firm"].isin(firms) == some] for some in (True, False)]
    assert len(own[1]) > 20
    settings = project_of(tmp_path / "an office", 2, frame)
    place = settings.project / f"survey_{PERIOD}"
    for part, rows in enumerate(own):
        rows.to_parquet(place / f"part-{part:05d}.parquet", index=False)
    decide(settings, "survey")
    made = produce("survey", PERIOD, settings)
    files = sorted((release_of(made).folder / "confidential/cells").iterdir())
    assert [pq.read_metadata(file).num_rows > 0 for file in files] == [True, False]
    assert pq.read_schema(files[0]).equals(pq.read_schema(files[1]))
    found, known = (table(m, "confidential/cells") for m in (made, whole))
    order = ["unit", "variable"]
    pd.testing.assert_frame_equal(
        *(one[[*order, "value"]].sort_values(order, ignore_index=True)
          for one in (found, known)),
        check_exact=True,
    )  # fmt: skip


def test_a_part_is_read_for_contract_donors_arms_and_release(
    module_patch: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, read = Partition.read, []

    def counted(part: Partition, *given: Any, **more: Any) -> pd.DataFrame:
        read.append(part.start)
        return real(part, *given, **more)

    monkeypatch.setattr(Partition, "read", counted)
    release_of(made_of(tmp_path / "an office", 3))
    first, *others = Counter(read).values()
    assert others == [5, 5]
    assert first == 6  # it tells the columns that are watched


def test_of_a_part_no_more_is_kept_for_the_audit_than_may_be_drawn(
    module_patch: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, given = imputation_parts_release.audit_of, []

    def told(pilot: Any, pool: pd.DataFrame, own: np.ndarray, *more: Any) -> Any:
        given.append((len(pool), len(own)))
        return real(pilot, pool, own, *more)

    monkeypatch.setattr(imputation_parts_release, "audit_of", told)
    made = [
        produce("survey", PERIOD, settings)
        for settings in both(tmp_path, records(), "_sample: 60", "_sample: 4")
    ]
    one, many = (table(m, "confidential/audit") for m in made)
    pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert len(many) == 6  # two at least of each stratum
    assert given == [(12, 12)]  # four of each


def test_a_run_goes_on_from_its_finished_parts(
    produced: Produced,
    module_patch: pytest.MonkeyPatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = project_of(tmp_path / "an office", 4, records())
    decide(settings, "survey")
    real, map_real = (
        imputation_parts_release.write_finished,
        imputation_parts_release.map_blocks,
    )
    written: list[Path] = []

    def ended(folder: Path, number: int, contents: Any) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(folder / "values" / f"part-{number:05d}.parquet")
        real(folder, number, contents)

    with monkeypatch.context() as broken:
        broken.setattr(imputation_parts_release, "write_finished", ended)
        with pytest.raises(KeyboardInterrupt):
            produce("survey", PERIOD, settings)
    assert not [*settings.releases.rglob("manifest.json")]
    whole = written[1].read_bytes()
    written[1].write_bytes(whole[:-1] + b"?")
    treated: list[int] = []

    def counted(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
        blocks = [*blocks]
        if isinstance(function, imputation_parts.TreatPart):
            treated.append(len(blocks))
        return map_real(function, blocks, **more)

    monkeypatch.setattr(imputation_parts_release, "map_blocks", counted)
    again = produce("survey", PERIOD, settings)
    assert treated == [2, 4]  # the damaged one and the last; then the other arm
    assert digests(again) == digests(produced)
    assert not [*(settings.confidential / "parts").rglob("*.parquet")]
    other = produce("survey", PERIOD, settings)
    assert release_of(other).number == release_of(again).number
    assert treated == [2, 4]


# -- setbacks ------------------------------------------------------------------------


def both(
    folder: Path, frame: pd.DataFrame, before: str = "", after: str = ""
) -> list[Settings]:
    """Return a project with the period in one file, and one with three parts."""
    found = []
    for name, parts in (("one file", None), ("three parts", 3)):
        settings = project_of(folder / name, parts, frame)
        path = settings.project / "configs/pilots/survey.yaml"
        text = path.read_text()
        path.write_text(text.replace(before, after) if before else text)
        decide(settings, "survey")
        found.append(settings)
    return found


def test_reviews_replace_values_in_parts(
    key: bytes, module_patch: pytest.MonkeyPatch, whole: Produced, tmp_path: Path
) -> None:
    queue = table(whole, "confidential/queue").iloc[[0, 3, 5]]
    hashes = keyed(queue["unit"], key)
    values = ["sole" if v == "kind" else "-5" for v in queue["variable"]]
    told = [*zip(hashes, queue["variable"], values, strict=True)]
    made = []
    for settings in both(tmp_path, records()):
        review(settings, "survey", PERIOD, *told)
        made.append(produce("survey", PERIOD, settings))
    for name in ("units", "cells", "audit"):
        one, many = (table(m, f"confidential/{name}") for m in made)
        pd.testing.assert_frame_equal(one, many, check_exact=True)
    units = table(made[1], "confidential/units")
    assert units["flag"].str.startswith("reviewed").sum() == queue["unit"].nunique()
    pd.testing.assert_frame_equal(
        table(made[0], "totals"), table(made[1], "totals"), rtol=1e-9
    )


def test_a_truth_with_gaps_is_no_number_in_any_part(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = records()
    truth = pd.Series(frame.index % 3 == 0, frame.index, dtype=object)
    truth[[5, 9, 30, 44]] = None  # all in the first part
    change = "staff, kind]", "staff, kind, exports]"
    made = [
        produce("survey", PERIOD, settings)
        for settings in both(tmp_path, frame.assign(exports=truth), *change)
    ]
    for name in ("units", "cells", "queue"):
        one, many = (table(m, f"confidential/{name}") for m in made)
        pd.testing.assert_frame_equal(one, many, check_exact=name != "queue")
    told = table(made[1], "totals")
    told = told[told["variable"] == "share of exports"]
    assert set(told["class"]) == {"False", "True"}
    assert told.loc[told["domain"] == "", "n"].sum() == len(frame)


def test_monitoring_tells_the_same_of_parts(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = []
    for settings in both(tmp_path, records()):
        produce("survey", PERIOD, settings)
        told.append(history_of("survey", settings).rows)
    assert len(told[0]) > 10
    pd.testing.assert_frame_equal(*told, check_exact=False, rtol=1e-9)


def test_an_id_that_stands_twice_gives_the_period_to_the_baseline(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = records().assign(quarter=PERIOD)
    frame.loc[[44, 580], "unit"] = frame.loc[10, "unit"]
    # Where a record stands is told among those of the period.
    others = records().iloc[:50].assign(quarter="2026-Q1")
    others[["unit", "firm"]] = "before " + others[["unit", "firm"]]
    every = pd.concat([others, frame], ignore_index=True)
    roles = "cluster: firm", "cluster: firm\n    period: quarter"
    made = [produce("survey", PERIOD, one) for one in both(tmp_path, every, *roles)]
    for one in made:
        assert [reason.cause for reason in one.reasons] == ["contract"]
    for name in ("units", "cells"):
        one, many = (table(m, f"confidential/{name}") for m in made)
        pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert set(table(made[1], "confidential/cells")["method"]) == {"regression"}


def test_nobody_stands_in_where_there_is_text_for_a_number(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = records()
    frame.loc[[44, 580], "unit"] = frame.loc[10, "unit"]  # a broken contract besides
    frame["staff"] = frame["staff"].astype(object)
    frame.loc[5, "staff"] = "zzyzxcanary"
    frame["staff"] = frame["staff"].map(lambda x: None if pd.isna(x) else str(x))
    for settings in both(tmp_path, frame):
        with pytest.raises(ContractError) as told:
            produce("survey", PERIOD, settings)
        assert "zzyzxcanary" not in str(told.value)
        assert not [*settings.releases.rglob("manifest.json")]


def test_a_champion_that_fails_on_a_part_gives_it_all_to_the_baseline(
    module_patch: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = imputation_parts_release.map_blocks

    def failing(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
        arm = getattr(function, "arm", None)  # of the treatment alone
        if arm is not None and arm.arm.method == "donor":
            function = _Fails()
        return real(function, blocks, **more)

    monkeypatch.setattr(imputation_parts_release, "map_blocks", failing)
    made = made_of(tmp_path / "an office", 3)
    assert [reason.cause for reason in made.reasons] == ["crash"]
    assert "4711" not in made.reasons[0].said
    units = table(made, "confidential/units")
    assert set(units["flag"]) == {"fallback: crash"}
    assert made.totals["difference"].isna().all()


class _Fails:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or ValueError("4711 is no value")

    def __call__(self, part: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("fails", ["baseline", "shadow"])
def test_the_shadow_has_answered_whatever_the_baseline_does(
    module_patch: pytest.MonkeyPatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    settings = project_of(tmp_path / "an office", 2, records())
    decide(settings, "survey", "shadow")
    real = imputation_parts_release.map_blocks

    def failing(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
        arm = getattr(function, "arm", None)
        if arm is not None and arm.arm.role == fails:
            function = _Fails()
        return real(function, blocks, **more)

    monkeypatch.setattr(imputation_parts_release, "map_blocks", failing)
    if fails == "baseline":
        with pytest.raises(MlstatsError, match="cannot be produced"):
            produce("survey", PERIOD, settings)
    else:
        assert set(table(produce("survey", PERIOD, settings), "totals")["n"])
    shadow = ReleaseStore(settings.shadows).current("survey", PERIOD)
    assert shadow is not None
    assert shadow.facts["answered"] == (fails != "shadow")
    assert (shadow.facts["said"] == "") == (fails != "shadow")


def test_no_champion_is_blamed_for_a_file_that_cannot_be_read(
    module_patch: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = project_of(tmp_path / "an office", 3, records())
    decide(settings, "survey")
    real = imputation_parts_release.map_blocks

    def lost(function: Any, blocks: Any, **more: Any) -> Iterator[Any]:
        arm = getattr(function, "arm", None)
        if arm is not None and arm.arm.role == "champion":
            function = _Fails(SourceError("The file is not there"))
        return real(function, blocks, **more)

    monkeypatch.setattr(imputation_parts_release, "map_blocks", lost)
    with pytest.raises(SourceError, match="The file is not there"):
        produce("survey", PERIOD, settings)
    assert not [*settings.releases.rglob("manifest.json")]


def test_parts_by_a_method_that_was_changed_since_are_not_kept(
    module_patch: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = project_of(tmp_path / "an office", 3, records())
    decide(settings, "survey")
    real = imputation_parts_release.write_finished
    written: list[int] = []

    def ended(folder: Path, number: int, contents: Any) -> None:
        written.append(number)
        real(folder, number, contents)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(imputation_parts_release, "write_finished", ended)
    with pytest.raises(KeyboardInterrupt):
        produce("survey", PERIOD, settings)
    monkeypatch.setattr(imputation_parts_release, "resolve", lambda use: _Fails)
    release_of(produce("survey", PERIOD, settings))
    assert written == [0, 1, *range(3), *range(3)]


def test_a_champion_that_takes_too_long_gives_it_all_to_the_baseline(
    module_patch: pytest.MonkeyPatch, apart: None, tmp_path: Path
) -> None:
    settings = project_of(tmp_path / "an office", 3, records())
    path = settings.project / "configs/pilots/survey.yaml"
    path.write_text(path.read_text() + "  time_budget: 0.3\n")
    decide(settings, "survey")
    made = produce("survey", PERIOD, settings)
    assert [reason.cause for reason in made.reasons] == ["time"]
    assert set(table(made, "confidential/cells")["method"]) == {"regression"}


def test_a_recipe_of_other_edits_is_not_used_in_parts(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = project_of(tmp_path / "an office", 3, records())
    decide(settings, "survey")
    path = settings.project / "edits.yaml"
    path.write_text(EDITS.replace("0.7 * turnover", "0.69 * turnover"))
    made = produce("survey", PERIOD, settings)
    assert [reason.cause for reason in made.reasons] == ["model"]
    assert made.totals["note"].str.contains("was approved with other edits").all()


@pytest.mark.soak
def test_a_drill_of_a_period_in_parts_falls_back_for_every_cause(
    module_patch: pytest.MonkeyPatch, apart: None, tmp_path: Path
) -> None:
    settings = project_of(tmp_path / "an office", 3, records())
    decide(settings, "survey")
    found = [*drill("survey", settings, period=PERIOD)]
    assert {one.cause for one in found if one.passed} == {
        "contract",
        "model",
        "crash",
        "time",
    }
    assert all(one.passed for one in found)


def test_a_file_that_is_written_meanwhile_gives_no_release(
    produced: Produced,
    module_patch: pytest.MonkeyPatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = project_of(tmp_path / "an office", 4, records())
    decide(settings, "survey")
    first = settings.project / f"survey_{PERIOD}/part-00000.parquet"
    was, stamp = first.read_bytes(), first.stat()
    real = imputation_parts_release.write_finished
    folders: list[Path] = []

    def written(folder: Path, number: int, contents: Any) -> None:
        """Change the first part after the champion, and end in the baseline."""
        if folders and folder != folders[0]:
            raise KeyboardInterrupt  # it does not come to look at all of them
        real(folder, number, contents)
        folders.append(folder)
        if number == 3:
            part = pd.read_parquet(first)
            part["costs"] += 1
            part.to_parquet(first, index=False)

    with monkeypatch.context() as broken:
        broken.setattr(imputation_parts_release, "write_finished", written)
        with pytest.raises(SourceError, match="changed while it was read"):
            produce("survey", PERIOD, settings)
    assert len(folders) == 4
    assert not [*settings.releases.rglob("manifest.json")]
    first.write_bytes(was)
    os.utime(first, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digests(produce("survey", PERIOD, settings)) == digests(produced)


def test_a_cluster_in_two_parts_is_refused(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = records()
    settings = project_of(tmp_path / "an office", 3, frame)
    first = settings.project / f"survey_{PERIOD}/part-00000.parquet"
    part = pd.read_parquet(first)
    part.loc[0, "firm"] = frame["firm"].iloc[-1]
    part.to_parquet(first, index=False)
    decide(settings, "survey")
    with pytest.raises(ContractError, match="more than one part"):
        produce("survey", PERIOD, settings)


def test_a_number_that_is_none_is_told_by_its_row(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = records()
    frame.loc[332, "staff"] = np.inf
    one, many = both(tmp_path, frame)
    with pytest.raises(ContractError, match=r"first in rows 333\)"):
        produce("survey", PERIOD, one)
    with pytest.raises(ContractError, match="holds text or infinity") as told:
        produce("survey", PERIOD, many)
    said = str(told.value)
    row, before = (
        int(re.search(text, said)[1])  # type: ignore[index]
        for text in (r"first in rows (\d+)\)", r"after the first (\d+)")
    )
    assert 100 < before < 333
    assert row + before == 333


@pytest.mark.parametrize("name", ["profit", "register", "staff"])
def test_a_column_that_is_not_there_is_told_by_name(
    module_patch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    frame = records().rename(columns={name: f"{name}s"})
    settings = project_of(tmp_path / "an office", 3, frame)
    decide(settings, "survey")
    with pytest.raises(ContractError, match=f"'{name}'|{name}: is not") as told:
        produce("survey", PERIOD, settings)
    assert f"{name}s" in str(told.value)


def test_a_variable_without_a_value_in_any_part_is_refused(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = records().assign(staff=np.nan)
    settings = project_of(tmp_path / "an office", 3, frame)
    decide(settings, "survey")
    with pytest.raises(ContractError, match="'staff' has no value"):
        produce("survey", PERIOD, settings)


# -- what is read into memory ----------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ("donors: {rows: 150, by: [area], class_rows: 20}", "without data.donors"),
        ("{history: {source: before.csv}}", "data.history"),
        ("{only: staff >= 0}", "data.only"),
        ("{selection: {outliers: [{variable: turnover, impute: 9}]}}", "an outlier"),
        ("{evaluate: {selective: {variable: turnover}}}", "evaluate.selective"),
    ],
)
def test_what_looks_at_all_records_is_read_into_memory(
    tmp_path: Path, changed: str, why: str
) -> None:
    settings = project_of(tmp_path / "an office", 3, records())
    path = settings.project / "configs/pilots/survey.yaml"
    told = yaml.safe_load(path.read_text())
    if changed.startswith("donors"):
        del told["data"]["donors"]
    else:
        change = yaml.safe_load(changed)
        told["evaluate"] |= change.pop("evaluate", {})
        told["data"] |= change
    path.write_text(yaml.safe_dump(told))
    pilot = load_pilot("survey", project=settings.project)
    assert why_in_memory(pilot).startswith(why)


def test_parts_are_read_into_memory_with_a_caution(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = project_of(tmp_path / "an office", 3, records())
    path = settings.project / "configs/pilots/survey.yaml"
    path.write_text(path.read_text().replace("  donors: {rows: 150", "  # donors: {"))
    decide(settings, "survey")
    made = produce("survey", PERIOD, settings)
    told = "the parts were read into memory: without data.donors"
    assert any(note.startswith(told) for note in made.notes)
    folder = release_of(made).folder / "confidential"
    assert (folder / "cells.parquet").is_file()


def test_a_method_that_needs_all_records_is_no_method_of_donors(
    module_patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for settings in both(tmp_path, records(), "min_percent: 0", "min_percent: 5"):
        made = produce("survey", PERIOD, settings)
        assert [reason.cause for reason in made.reasons] == ["crash"]
        assert "min_percent=5" in made.reasons[0].said


def test_no_planted_word_is_in_what_is_published(produced: Produced) -> None:
    folder = release_of(produced).folder
    files = [p for p in folder.rglob("*") if p.is_file()]
    secret = [p for p in files if "confidential" in p.relative_to(folder).parts]
    assert find([UNIT], secret)  # else the next line would prove nothing
    shown = sorted(set(files) - set(secret))
    assert {".html", ".xlsx", ".parquet"} <= {path.suffix for path in shown}
    assert find([UNIT, "FIRMCANARY88"], shown) == []

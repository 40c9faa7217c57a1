"""A coded table is scored from its parts as it would be from memory."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlstats.batch_coding import code_table
from mlstats.cli import app
from mlstats.coded_report import check_truth, report_folder, score_table
from mlstats.coded_scorecard import Scored, score_codes
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.dataset import finder
from mlstats.errors import ContractError, RefusedError, SourceError
from mlstats.evaluate import levels_of
from mlstats.partitions import PartitionedTable
from mlstats.pilot_files import load_pilot
from mlstats.quality.comparison import (
    class_table,
    compared,
    hybrid_accuracy,
    worse_classes,
)
from mlstats.quality.dimensions import dimension_rows
from mlstats.quality.estimate_level import ShareArms, share_indicators, share_table
from mlstats.quality.evaluation import ESTIMATES, TIMINGS, UNITS, Evaluation
from mlstats.quality.judged import Judged
from mlstats.quality.report import RunReport
from mlstats.quality.scorecard import Plan, as_scorecard, score
from mlstats.runs import plan_of
from mlstats.settings import Settings
from mlstats.split import cluster_ids
from tests.dask_cluster import dask_cluster
from tests.flows.canary import find
from tests.parts_example import frames, in_parts
from tests.production_example import Office, office

MARCH, TRUTH = "2026-03", "coicop_gold"
SOURCE = f"data/lines_{MARCH}"
KEYS = ["indicator", "level", "method", "domain", "versus"]
NUMBERS = ["value", "se", "df", "lower", "upper", "n", "n_clusters"]
UNKNOWN = ("accuracy_unseen", "accuracy_new_units", "change_new_units")

pytestmark = pytest.mark.xdist_group("parts")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Make the project once."""
    return office(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def parts(made: Office, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a project whose periods come in four parts, one without a truth."""
    settings = in_parts(made, tmp_path_factory.mktemp("parts"), 4)
    path = settings.project / SOURCE / "part-00002.parquet"
    pd.read_parquet(path).assign(**{TRUTH: ""}).to_parquet(path, index=False)
    return settings


@pytest.fixture(scope="module")
def coded(parts: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the coded table."""
    folder = tmp_path_factory.mktemp("target") / "coded"
    code_table("diaries", SOURCE, folder, parts)
    return folder


@pytest.fixture(scope="module")
def shown(parts: Settings, coded: Path) -> RunReport:
    """Return the report from parts."""
    return score_table("diaries", SOURCE, coded, TRUTH, parts)


@pytest.fixture(scope="module")
def card(shown: RunReport) -> pd.DataFrame:
    """Return the scorecard from parts."""
    return shown.scorecard


def whole_table(source: Path) -> pd.DataFrame:
    rows = [part.read() for part in PartitionedTable.open(source).partitions]
    return pd.concat(rows, ignore_index=True)


def units_in_memory(
    settings: Settings, coded: Path
) -> tuple[pd.DataFrame, Classification, Plan]:
    """Return the units as a run would hold them, and what it would score."""
    pilot = load_pilot("diaries", project=settings.project)
    spec = pilot.data.classification
    assert spec is not None
    classification = arm.read_classification(spec, finder(settings))
    lines, codes = whole_table(settings.project / SOURCE), whole_table(coded)
    kept = lines[TRUTH].fillna("").ne("").to_numpy()
    lines, codes = lines[kept], codes[kept]
    classification = classification.extended(
        [*codes["champion_code"], *codes["baseline_code"]]
    )
    led, arms = codes["route"] == "automatic", []
    for name, role in (("linear", "champion"), ("index", "baseline")):
        of_led = role == "champion"
        arms.append(
            pd.DataFrame(
                {
                    **dict.fromkeys(UNITS, ""),
                    "method": name,
                    "fold": "test",
                    "replicate": 0,
                    "unit": lines["line_id"],
                    "position": np.flatnonzero(kept),
                    "stratum": lines["stratum"],
                    "cluster": cluster_ids(lines, "household_id"),
                    "prediction": codes[f"{role}_code"].to_numpy(dtype=object),
                    "confidence": codes["confidence"] if of_led else np.nan,
                    "candidates": None,
                    "scores": None,
                    "truth": lines[TRUTH].to_numpy(dtype=object),
                    "weight": lines["budget_weight"].astype(float),
                    "fraction": 0.0,
                    "route": np.where(led & of_led, "automatic", "queue"),
                    "depth": np.where(led & of_led, codes["depth"].astype(str), ""),
                    "routed": np.where(led & of_led, codes["code"].astype(str), None),
                    "seen": False,
                    "domain_shop_type": lines["shop_type"],
                }
            )
        )
    units = pd.concat(arms, ignore_index=True)
    units["candidates"] = np.empty((len(units), 0)).tolist()
    units["scores"] = np.empty((len(units), 0)).tolist()
    plan = replace(
        plan_of(pilot, levels_of(pilot, classification)),
        kinds={"linear": "ml", "index": "traditional"},
        bootstrap=2,
    )
    return units, classification, plan


def in_memory(settings: Settings, coded: Path) -> pd.DataFrame:
    """Score the same with what a run scores with."""
    units, classification, plan = units_in_memory(settings, coded)
    nothing = [pd.DataFrame(columns=list(names)) for names in (ESTIMATES, TIMINGS)]
    beyond = dimension_rows(
        units,
        classification.ancestor,
        plan.level,
        {"linear": None, "index": None},
        baseline="index",
        provenance={},
        seed=plan.seed,
    )
    arm_of = {
        name: Judged.of(units, name, classification.ancestor, plan.level)
        for name in ("linear", "index")
    }
    both = arm_of["linear"], arm_of["index"]
    worse = worse_classes(class_table(*both))
    beside = [one.row(method="") for one in [*compared(*both, margin=0.0), worse]]
    for row in [hybrid_accuracy(*both, "index"), *beside]:
        beyond.append(row | {"method": "linear", "level": plan.level})
    shares = shares_of(units, classification, plan)
    beyond += share_indicators(shares)
    first = score(Evaluation(units, *nothing), classification.ancestor, plan)
    return pd.concat([first, as_scorecard(beyond, plan)], ignore_index=True)


def shares_of(
    units: pd.DataFrame, classification: Classification, plan: Plan
) -> ShareArms:
    return ShareArms.of(
        units,
        classification.ancestor,
        plan.levels[0],
        plan.kinds,
        baseline="index",
        single=plan.single,
    )


def test_rows_are_those_that_a_run_would_give(
    parts: Settings, coded: Path, card: pd.DataFrame
) -> None:
    whole = in_memory(parts, coded).set_index(KEYS)
    found = card[card["status"] == "measured"].set_index(KEYS)
    assert found.index.isin(whole.index).all()
    assert found.index.is_unique
    whole = whole.loc[found.index]
    f1 = found.index.get_level_values("indicator") == "macro_f1"
    pd.testing.assert_frame_equal(
        found.loc[~f1, NUMBERS], whole.loc[~f1, NUMBERS], rtol=1e-9, atol=1e-11
    )
    gaps = ["difference", "difference_se"]
    pd.testing.assert_frame_equal(
        found.loc[~f1, gaps], whole.loc[~f1, gaps], rtol=1e-9, atol=1e-11
    )
    pd.testing.assert_series_equal(
        found.loc[f1, "value"], whole.loc[f1, "value"], rtol=1e-9
    )
    told = {"kappa", "brier", "ece_debiased", "error_gap", "not_referred", "accuracy"}
    told |= {"accuracy_difference", "accuracy_hybrid"}
    told |= {"bias_ratio", "hybrid_bias_ratio"}
    assert told <= set(found.index.get_level_values("indicator"))


def test_shares_and_classes_are_those_that_a_run_would_give(
    parts: Settings, coded: Path, shown: RunReport
) -> None:
    units, classification, plan = units_in_memory(parts, coded)
    arms = ["level", "domain", "variable", "arm"]
    whole = share_table(shares_of(units, classification, plan), min_cell=10)
    pd.testing.assert_frame_equal(
        shown.aggregates.set_index(arms).sort_index(),
        whole.set_index(arms).sort_index(),
        rtol=1e-9,
        atol=1e-11,
        check_dtype=False,
    )
    assert {"truth", "linear", "index", "linear, rest index"} == set(whole["arm"])
    assert len(set(whole["domain"])) > 2
    judged = {
        name: Judged.of(units, name, classification.ancestor, plan.level)
        for name in ("linear", "index")
    }
    classes = shown.tables["Classes"].set_index(["method", "code", "measure"])
    for name, other in (("linear", judged["index"]), ("index", None)):
        own = class_table(judged[name], other).set_index(["code", "measure"])
        pd.testing.assert_frame_equal(
            classes.loc[name].drop(columns="level"),
            own,
            rtol=1e-9,
            atol=1e-11,
            check_dtype=False,
        )


def test_the_page_shows_what_would_be_published(
    parts: Settings, coded: Path, shown: RunReport
) -> None:
    folder = report_folder(coded)
    page = (folder / "scorecard.html").read_text(encoding="utf-8")
    assert "linear, rest index" in page
    sheets = pd.read_excel(folder / "scorecard.xlsx", sheet_name=None)
    assert {"Aggregates", "Classes"} <= set(sheets)
    kept = pd.read_parquet(folder / "aggregates.parquet")
    assert len(kept) == len(shown.aggregates)


def test_what_a_coded_table_does_not_tell_is_not_measured(card: pd.DataFrame) -> None:
    rows = card["indicator"].isin(UNKNOWN)
    silent = card["method"].eq("index") & card["indicator"].isin(
        ["brier", "ece_debiased", "automation_guaranteed", "not_referred"]
    )
    assert rows.sum() >= 6
    assert silent.sum() >= 4
    assert (card.loc[rows | silent, "status"] == "not_measured").all()
    assert (
        card.loc[rows | silent, ["value", "lower", "difference"]].isna().all(axis=None)
    )
    assert (card.loc[rows | silent, "note"] != "").all()


def test_more_workers_change_nothing(
    parts: Settings, coded: Path, card: pd.DataFrame
) -> None:
    settings = parts.model_copy(update={"workers": 2})
    again = score_table("diaries", SOURCE, coded, TRUTH, settings).scorecard
    pd.testing.assert_frame_equal(again, card, check_exact=True)


@pytest.mark.soak
def test_a_cluster_changes_nothing(
    parts: Settings, coded: Path, card: pd.DataFrame
) -> None:
    with dask_cluster(workers=2) as cluster:
        settings = parts.model_copy(update={"scale": cluster.address})
        again = score_table("diaries", SOURCE, coded, TRUTH, settings).scorecard
    pd.testing.assert_frame_equal(again, card, check_exact=True)


def test_reports_and_record_hold_no_record(parts: Settings, coded: Path) -> None:
    shown = score_table("diaries", SOURCE, coded, TRUTH, parts)
    folder = report_folder(coded)
    names = {"scorecard.html", "scorecard.xlsx", "scorecard.parquet"}
    assert names <= {path.name for path in folder.iterdir()}
    frame = frames(parts.project)[MARCH]
    planted = [*frame["line_id"].head(30), *frame["household_id"].head(30)]
    assert find(planted, [*folder.iterdir()]) == []
    assert "rows without a true code" in shown.notes[0]
    assert "95 % interval" in shown.verdict
    mlflow.set_tracking_uri(parts.mlflow_uri)
    runs = mlflow.search_runs(experiment_names=["diaries"], output_format="list")
    tags = [run.data.tags for run in runs if run.info.run_name == shown.run_id]
    # Each scoring is a run of its own, even where two begin within a second.
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}-diaries-coded", shown.run_id)
    assert [one["coded_table"] for one in tags] == ["true"]
    assert tags[0]["champion"].startswith("linear")
    metrics = [run.data.metrics for run in runs if "method" in run.data.tags]
    assert any("kappa_full" in one for one in metrics)


def test_the_verb_scores_what_it_coded(
    parts: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(parts.project)
    target = str(tmp_path / "coded")
    asked = ["code", "diaries", SOURCE, target, "--truth"]
    with pytest.raises(SourceError, match="no column 'coicop_golden'"):
        CliRunner().invoke(app, [*asked, "coicop_golden"], catch_exceptions=False)
    assert not Path(target).exists()  # told before anything is coded
    done = CliRunner().invoke(app, [*asked, TRUTH], catch_exceptions=False)
    assert done.exit_code == 0
    assert "of the units rightly" in done.output
    assert (tmp_path / "coded-scorecard/scorecard.html").is_file()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torn", "lie in two parts"),
        pytest.param("other", "not in the classification", marks=pytest.mark.soak),
        pytest.param("unknown", "No row has a true code", marks=pytest.mark.soak),
        pytest.param("faulty", "weights are negative", marks=pytest.mark.soak),
    ],
)
def test_what_cannot_be_scored_is_refused(
    made: Office, tmp_path: Path, name: str, said: str
) -> None:
    settings = in_parts(made, tmp_path, 2)
    frame = frames(settings.project)[MARCH]
    frame = {
        "torn": frame.iloc[np.random.default_rng(1).permutation(len(frame))],
        "other": frame.assign(**{TRUTH: frame["description"]}),
        "unknown": frame.assign(**{TRUTH: ""}),
        "faulty": frame.assign(budget_weight=-1.0),
    }[name]
    folder = settings.project / "data" / name
    folder.mkdir()
    parts = np.array_split(np.arange(len(frame)), 2 if name == "torn" else 1)
    for k, half in enumerate(parts):
        frame.iloc[half].to_parquet(folder / f"part-{k}.parquet", index=False)
    target = tmp_path / "coded"
    code_table("diaries", f"data/{name}", target, settings)
    with pytest.raises(ContractError, match=said):
        score_table("diaries", f"data/{name}", target, TRUTH, settings)
    assert not report_folder(target).exists()


def test_a_figure_of_one_cluster_says_that_it_has_no_interval(
    made: Office, tmp_path: Path
) -> None:
    settings = in_parts(made, tmp_path, 2)
    frame = frames(settings.project)[MARCH]
    known = frame[frame[TRUTH] != ""]
    own = known[known["household_id"] == known["household_id"].iloc[0]]
    own.to_parquet(settings.project / "data/one.parquet", index=False)
    target = tmp_path / "coded"
    code_table("diaries", "data/one.parquet", target, settings)
    shown = score_table("diaries", "data/one.parquet", target, TRUTH, settings)
    assert "of the units rightly (no interval can be told)." in shown.verdict


def test_codes_of_another_source_are_refused(parts: Settings, coded: Path) -> None:
    with pytest.raises(RefusedError, match="another source"):
        score_table("diaries", "data/lines_2026-04", coded, TRUTH, parts)


def test_coded_parts_that_were_changed_are_refused(
    parts: Settings, coded: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(coded, changed)
    path = changed / "part-00001.parquet"
    frame = pd.read_parquet(path)
    frame.assign(champion_code=frame["baseline_code"]).to_parquet(path, index=False)
    with pytest.raises(SourceError, match="not the one that the folder") as told:
        score_table("diaries", SOURCE, changed, TRUTH, parts)
    assert "code it again" in str(told.value)
    path.unlink()
    with pytest.raises(SourceError, match="in the manifest and not there"):
        score_table("diaries", SOURCE, changed, TRUTH, parts)
    assert not report_folder(changed).exists()


def test_a_source_that_changes_while_it_is_scored_gives_no_scorecard(
    parts: Settings, coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "coded"
    shutil.copytree(coded, target)
    path = parts.project / SOURCE / "part-00003.parquet"
    kept = path.read_bytes()

    def scores(*asked: Any) -> Scored:
        found = score_codes(*asked)
        frame = pd.read_parquet(path)
        frame.assign(**{TRUTH: frame[TRUTH].to_numpy()[::-1]}).to_parquet(path)
        return found

    monkeypatch.setattr("mlstats.coded_report.score_codes", scores)
    try:
        with pytest.raises(SourceError, match="was changed while"):
            score_table("diaries", SOURCE, target, TRUTH, parts)
    finally:
        path.write_bytes(kept)
    assert not report_folder(target).exists()


def test_a_truth_that_is_not_there_is_told_first(parts: Settings) -> None:
    with pytest.raises(SourceError, match="no column"):
        check_truth("diaries", SOURCE, "nowhere", parts)

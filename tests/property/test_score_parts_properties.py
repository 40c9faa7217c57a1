"""The scorecard of parts is that of the whole table, in what it promises to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.errors import MlstatsError
from mlstats.quality.class_groups import (
    GROUPS,
    ClassGroups,
    group_numbers,
    jackknifed_f1,
)
from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.evaluation import Evaluation
from mlstats.quality.routing import Routing, Step, route, thresholds
from mlstats.quality.score_parts import scorecard_of_sums
from mlstats.quality.score_sums import ScoreSums
from mlstats.quality.scorecard import Plan, score
from tests.evaluation_example import ancestor, evaluation_of, units_of

PLAN = Plan(
    kinds={"trad": "traditional", "ml": "ml"},
    baseline="trad",
    level="full",
    levels=("1", "full"),
    versus=[("trad", "ml")],
    routing=Routing((Step("full", 0.9), Step("1", 0.8))),
    bootstrap=20,
)
DRAWN = ["difference_lower", "difference_upper", "interval"]


def example(seed: int, n: int, *, known: bool, silent: bool, lone: bool) -> Evaluation:
    units = units_of(n, seed=seed)
    rng = np.random.default_rng(seed)
    units["fraction"] = np.where(units["stratum"] == "odd", 0.3, 0.0)
    units.loc[(rng.uniform(size=n) < 0.05)[units["position"]], "weight"] = 0.0
    if known:
        units["seen"] = True
    if lone:
        units.loc[units["cluster"] == "1", "stratum"] = "alone"
    if silent:
        units.loc[units["method"] == "trad", "confidence"] = np.nan
    whole = evaluation_of(units)
    shown = thresholds(units, ancestor, PLAN.routing, ["trad", "ml"])
    routes = route(units, shown, ancestor, PLAN.routing)
    return replace(
        whole,
        units=units.drop(columns=[*routes]).join(routes),
        tables={"thresholds": shown},
    )


def in_parts(units: pd.DataFrame, parts: int, seed: int) -> list[pd.DataFrame]:
    cluster = pd.factorize(units["stratum"] + units["cluster"])[0]
    part = np.random.default_rng(seed).integers(0, parts, cluster.max() + 1)
    return [rows for _, rows in units.groupby(part[cluster])]


def sums_of(parts: list[pd.DataFrame], plan: Plan = PLAN) -> ScoreSums:
    return ScoreSums.of_parts(ScoreSums.of(part, ancestor, plan) for part in parts)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    n=st.integers(6, 200),
    parts=st.integers(1, 6),
    known=st.booleans(),
    silent=st.booleans(),
    lone=st.booleans(),
    single=st.sampled_from(["adjust", "refuse"]),
)
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
def test_parts_give_the_scorecard_of_the_whole(
    seed: int, n: int, parts: int, known: bool, silent: bool, lone: bool, single: str
) -> None:
    evaluation = example(seed, n, known=known, silent=silent, lone=lone)
    plan = replace(PLAN, single=single)
    whole = score(evaluation, ancestor, plan)
    found = scorecard_of_sums(
        sums_of(in_parts(evaluation.units, parts, seed), plan),
        plan,
        thresholds=evaluation.tables["thresholds"],
        timings=evaluation.timings,
    )
    key = ["indicator", "level", "method", "versus"]
    pd.testing.assert_frame_equal(found[key], whole[key])
    f1 = (whole["indicator"] == "macro_f1").to_numpy()
    oracle = (whole["indicator"] == "automation_oracle").to_numpy()
    exact = ~f1 & ~oracle
    pd.testing.assert_frame_equal(
        found[exact].drop(columns=DRAWN),
        whole[exact].drop(columns=DRAWN),
        rtol=1e-9,
        atol=1e-12,
    )
    alone = exact & (whole["versus"] == "").to_numpy()
    assert (
        found.loc[alone, "interval"].tolist() == whole.loc[alone, "interval"].tolist()
    )
    told = ["value", "difference", "n", "n_clusters"]
    pd.testing.assert_frame_equal(
        found.loc[f1, told], whole.loc[f1, told], rtol=1e-9, atol=1e-12
    )
    measured = found[oracle & (whole["status"] == "measured").to_numpy()]
    assert set(measured["status"]) <= {"not_measured"}
    assert measured["value"].isna().all()


def test_the_same_parts_give_the_same_bytes() -> None:
    evaluation = example(1, 300, known=False, silent=False, lone=False)
    parts = in_parts(evaluation.units, 5, 1)
    one, two = (scorecard_of_sums(sums_of(parts), PLAN) for _ in range(2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_errors_of_macro_f1_and_of_differences_are_those_of_the_bootstrap() -> None:
    evaluation = example(3, 6000, known=False, silent=False, lone=False)
    whole = score(evaluation, ancestor, replace(PLAN, bootstrap=600))
    found = scorecard_of_sums(sums_of(in_parts(evaluation.units, 8, 3)), PLAN)
    f1 = whole["indicator"] == "macro_f1"
    for column in ("se", "difference_se"):
        ratio = (found.loc[f1, column] / whole.loc[f1, column]).dropna()
        assert len(ratio) >= 4
        assert ratio.between(0.75, 1.33).all()
    gap = (whole["indicator"] == "accuracy") & (whole["versus"] != "")
    for column in ("difference_lower", "difference_upper"):
        apart = (found.loc[gap, column] - whole.loc[gap, column]).abs()
        assert (apart < 0.35 * whole.loc[gap, "difference_se"]).all()


def test_intervals_of_macro_f1_hold_the_truth() -> None:
    """Of samples of 250 clusters of one population; groups know no strata."""
    units = units_of(90_000, seed=0)
    units = units[(units["fold"] == "test") & (units["method"] == "ml")]
    number, names = pd.factorize(units["cluster"])
    truth = units["truth"].to_numpy()
    given = units["prediction"].to_numpy()
    weight = units["weight"].to_numpy()
    rng = np.random.default_rng(8)

    def sums(group: np.ndarray, rows: np.ndarray) -> ClassGroups:
        return ClassGroups.of(
            group, group[number[rows]], weight[rows], truth[rows], given[rows]
        )

    everything = np.arange(len(units))
    each = rng.integers(0, GROUPS, len(names))
    wanted = jackknifed_f1(sums(each, everything), n_clusters=1)[0].value
    hits, times = 0, 400
    for _ in range(times):
        drawn = rng.uniform(size=len(names)) < 250 / len(names)
        group = rng.integers(0, GROUPS, len(names))
        found = jackknifed_f1(
            sums(group, np.flatnonzero(drawn[number])), n_clusters=int(drawn.sum())
        )[0]
        lower, upper = found.interval()
        hits += lower <= wanted <= upper
    assert 0.92 <= hits / times <= 0.98


def test_groups_are_of_about_equal_size_whatever_the_places() -> None:
    for step in (1, 5, 100, 4096):
        clusters = Clusters(np.arange(50_000), np.zeros(50_000, int), np.array(["a"]))
        sizes = np.bincount(group_numbers(clusters, np.arange(50_000) * step))
        assert len(sizes) == GROUPS
        assert sizes.min() > 400
        assert sizes.max() < 600


def test_sums_under_other_plans_are_not_merged() -> None:
    units = example(1, 60, known=False, silent=False, lone=False).units
    one = ScoreSums.of(units, ancestor, PLAN)
    with pytest.raises(MlstatsError, match="different plans"):
        one.merge(ScoreSums.of(units, ancestor, replace(PLAN, levels=["1"])))

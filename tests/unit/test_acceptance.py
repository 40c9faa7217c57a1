"""Acceptance sampling: plans against a plain search, outgoing quality by simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import MlstatsError
from mlstats.quality.acceptance import Plan, judge_batches, oc_curve, sampling_plan


def accepted(n: int, c: int, p: float) -> float:
    return sum(math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(c + 1))


def drawn(n: int, c: int, wrong: int, lot: int) -> float:
    ways = sum(
        math.comb(wrong, x) * math.comb(lot - wrong, n - x) for x in range(c + 1)
    )
    return ways / math.comb(lot, n)


@pytest.mark.parametrize(("aql", "ltpd"), [(0.01, 0.1), (0.02, 0.08), (0.05, 0.2)])
def test_the_plan_is_the_smallest_of_all(aql: float, ltpd: float) -> None:
    wanted = next(
        Plan(n, c)
        for n in range(1, 400)
        for c in range(n)
        if accepted(n, c, ltpd) <= 0.1 and accepted(n, c, aql) >= 0.95
    )
    assert sampling_plan(aql, ltpd) == wanted


@pytest.mark.parametrize("lot", [50, 120, 203])
def test_the_plan_of_a_small_batch_is_exact(lot: int) -> None:
    good, bad = math.floor(0.02 * lot), math.ceil(0.15 * lot)
    wanted = next(
        Plan(n, c)
        for n in range(1, lot + 1)
        for c in range(n)
        if drawn(n, c, bad, lot) <= 0.1 and drawn(n, c, good, lot) >= 0.95
    )
    assert sampling_plan(0.02, 0.15, lot=lot) == wanted
    assert wanted.n < sampling_plan(0.02, 0.15).n


def test_rates_that_no_sample_can_tell_apart_have_no_plan() -> None:
    with pytest.raises(MlstatsError, match="No plan"):
        sampling_plan(0.10, 0.1001)
    with pytest.raises(MlstatsError, match="no plan for these rates"):
        sampling_plan(0.1, 0.05)
    with pytest.raises(MlstatsError, match="cannot give a sample"):
        Plan(50, 1).outgoing(0.1, lot=40)


def test_outgoing_quality_is_what_rectification_leaves() -> None:
    plan, lot, rate = Plan(30, 1), 200, 0.05
    rng = np.random.default_rng(4)
    wrong = rng.random((20_000, lot)) < rate
    inspected = wrong[:, : plan.n].sum(axis=1)
    # What is found is mended; a batch that fails is coded again without error.
    left = np.where(inspected <= plan.c, wrong[:, plan.n :].sum(axis=1), 0) / lot
    se = left.std() / np.sqrt(len(left))
    assert abs(left.mean() - plan.outgoing(rate, lot=lot)) < 4 * se
    looked = np.where(inspected <= plan.c, plan.n, lot)
    assert looked.mean() == pytest.approx(plan.inspected(rate, lot), rel=0.02)


def test_the_limit_is_the_top_of_the_curve() -> None:
    plan = Plan(50, 2)
    limit, at = plan.outgoing_limit(lot=1000)
    curve = oc_curve(plan, np.linspace(0, 1, 5001), lot=1000)
    assert limit == pytest.approx(curve["outgoing"].max(), abs=1e-6)
    assert at == pytest.approx(curve.loc[curve["outgoing"].idxmax(), "rate"], abs=1e-3)
    assert (oc_curve(plan)["acceptance"].diff().dropna() <= 0).all()


def test_a_batch_that_was_not_inspected_to_the_end_is_not_accepted() -> None:
    batches = pd.DataFrame(
        {
            "batch": ["a", "b", "c", "d"],
            "inspected": [50, 50, 20, 20],
            "wrong": [2, 3, 0, 3],
        }
    )
    result = judge_batches(batches, Plan(50, 2))["result"].tolist()
    assert result == ["accept", "reject", "not_measured", "reject"]

"""Shares and measures of the classes of parts are those of the whole table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.errors import MlstatsError
from mlstats.quality.arm_means import Arms
from mlstats.quality.class_measures import ClassMeasures
from mlstats.quality.comparison import class_table, worse_classes
from mlstats.quality.estimate_level import ShareArms, share_indicators, share_table
from mlstats.quality.evaluation import fractions_of
from mlstats.quality.judged import Judged
from mlstats.quality.ratio_estimates import Sampled
from mlstats.quality.scorecard import Plan
from mlstats.quality.share_sums import ShareSums
from tests.evaluation_example import ancestor
from tests.evaluation_parts import PLAN, example, in_parts

KEYS = ["level", "variable", "domain", "arm", "kind"]
NOTED = ["status", "note"]


def of_whole(units: pd.DataFrame, plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    test = units[units["fold"] == "test"]
    shares = ShareArms.of(
        test, ancestor, plan.level, plan.kinds, baseline="trad", single=plan.single
    )
    ratios = [*share_indicators(shares)]
    ratios = [row for row in ratios if "bias_ratio" in row["indicator"]]
    return share_table(shares, min_cell=3), pd.DataFrame(ratios)


def of_parts(
    parts: list[pd.DataFrame], plan: Plan
) -> tuple[pd.DataFrame, pd.DataFrame]:
    sums = ShareSums.of_parts(
        ShareSums.of(p, ancestor, plan, plan.level) for p in parts
    )
    sampled = Sampled(sums.fractions, plan.single)
    return sums.table(sampled, min_cell=3), pd.DataFrame([*sums.indicators(sampled)])


def with_weight(table: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Leave out classes of a domain in which no unit has weight under any arm."""
    n = pd.to_numeric(table["n"]).where(table["status"] == "measured", 1)
    return table[n.groupby([table["domain"], table["variable"]]).transform("max") > 0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    n=st.integers(30, 300),
    parts=st.integers(1, 6),
    alone=st.booleans(),
    lone=st.booleans(),
    regions=st.integers(1, 7),
    single=st.sampled_from(["adjust", "refuse"]),
    level=st.sampled_from(["1", "full"]),
)
def test_parts_give_the_shares_of_the_whole(
    seed: int,
    n: int,
    parts: int,
    alone: bool,
    lone: bool,
    regions: int,
    single: str,
    level: str,
) -> None:
    units = example(seed, n, alone=alone, lone=lone, regions=regions)
    plan = replace(PLAN, single=single, level=level)
    found, ratios = of_parts(in_parts(units, parts, seed), plan)
    whole, wanted = of_whole(units, plan)
    found = found.set_index(KEYS).sort_index()
    whole = with_weight(whole, units).set_index(KEYS).sort_index()
    # A domain without weight has no share: the whole table says so class by class.
    whole = whole[~whole["note"].str.contains("add up to zero")]
    pd.testing.assert_frame_equal(
        found.drop(columns=NOTED).astype(float),
        whole.drop(columns=NOTED).astype(float),
        rtol=1e-9,
        atol=1e-11,
    )
    pd.testing.assert_frame_equal(found[NOTED], whole[NOTED], check_dtype=False)
    pd.testing.assert_frame_equal(ratios, wanted, rtol=1e-9, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    n=st.integers(30, 300),
    parts=st.integers(1, 6),
    lone=st.booleans(),
    single=st.sampled_from(["adjust", "refuse"]),
    level=st.sampled_from(["1", "full"]),
)
def test_parts_give_the_measures_of_the_classes_of_the_whole(
    seed: int, n: int, parts: int, lone: bool, single: str, level: str
) -> None:
    units = example(seed, n, lone=lone)
    plan = replace(PLAN, single=single, level=level)
    test = units[units["fold"] == "test"]
    judged = {
        name: Judged.of(test, name, ancestor, level, single=plan.single)
        for name in plan.kinds
    }
    sampled = Sampled(fractions_of(test), plan.single)
    for name in plan.kinds:
        other = None if name == "trad" else judged["trad"]
        whole = class_table(judged[name], other, min_cell=3)
        sums = ClassMeasures.of_parts(
            ClassMeasures.of(Arms.of(part, ancestor, plan), name, "trad")
            for part in in_parts(units, parts, seed)
        )
        found = sums.table(sampled, min_cell=3)
        numbers = whole.select_dtypes("number").columns
        pd.testing.assert_frame_equal(
            found[numbers].astype(float),
            whole[numbers].astype(float),
            rtol=1e-9,
            atol=1e-11,
        )
        words = ["code", "measure", "status", "note", "interval"]
        pd.testing.assert_frame_equal(found[words], whole[words], check_dtype=False)
        if other is not None:
            assert (
                worse_classes(found).row(method=name)["note"]
                == (worse_classes(whole).row(method=name)["note"])
            )


def test_sums_of_other_levels_are_not_merged() -> None:
    units = example(1, 60)
    one, two = (ShareSums.of(units, ancestor, PLAN, level) for level in ("1", "full"))
    with pytest.raises(MlstatsError, match="cannot be merged"):
        one.merge(two)


def test_a_method_that_decides_nothing_has_no_hybrid() -> None:
    units = example(1, 120).assign(route="queue", depth="", routed=None)
    found, _ = of_parts(in_parts(units, 3, 1), PLAN)
    assert set(found["kind"]) == {"truth", "traditional", "ml"}


def test_the_hybrid_takes_the_method_where_it_is_sure() -> None:
    units = example(1, 200)
    found, _ = of_parts(in_parts(units, 3, 1), PLAN)
    test = units[units["fold"] == "test"].set_index("position")
    own, base = (test[test["method"] == name] for name in ("ml", "trad"))
    sure = own["routed"].notna() & (own["depth"] == "full")
    code = own["routed"].where(sure, base["prediction"])
    share = own["weight"][code == "a.1"].sum() / own["weight"].sum()
    row = found[(found["kind"] == "hybrid") & (found["variable"] == "a.1")]
    row = row[row["domain"] == ""]
    assert 0 < sure.mean() < 1
    assert row["value"].to_numpy() == pytest.approx(share)
    assert np.isfinite(row[["se", "lower", "difference_se"]].to_numpy(float)).all()

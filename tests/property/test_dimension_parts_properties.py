"""The rows beyond accuracy of parts are those of the whole table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.errors import MlstatsError
from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.comparison import compared, hybrid_accuracy
from mlstats.quality.dimension_influences import DimensionInfluences
from mlstats.quality.dimension_parts import (
    comparison_rows_of_sums,
    dimension_rows_of_sums,
)
from mlstats.quality.dimension_sums import DimensionSums
from mlstats.quality.dimensions import REFITS, dimension_rows
from mlstats.quality.influence_sums import InfluenceSums
from mlstats.quality.judged import Judged
from mlstats.quality.scorecard import Plan, as_scorecard
from tests.evaluation_example import ancestor
from tests.evaluation_parts import PLAN, example, in_parts

MARGIN = 0.05
FACTS = ("method_class", "environment_completeness", *(name for _, name in REFITS))
KEYS = ["dimension", "indicator", "level", "method", "kind", "domain", "versus"]


def of_whole(units: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    rows = dimension_rows(
        units[units["fold"] == "test"],
        ancestor,
        plan.level,
        dict.fromkeys(plan.kinds),
        baseline=plan.baseline,
        provenance={},
        seed=plan.seed,
        single=plan.single,
    )
    rows = [row for row in rows if row["indicator"] not in FACTS]
    test = units[units["fold"] == "test"]
    one, base = (
        Judged.of(test, name, ancestor, plan.level, single=plan.single)
        for name in ("ml", "trad")
    )
    more = [one.row(method="ml") for one in compared(one, base, margin=MARGIN)]
    rows += [
        row | {"method": "ml", "level": plan.level}
        for row in [hybrid_accuracy(one, base, "trad"), *more]
    ]
    return as_scorecard(rows, plan)


def of_parts(parts: list[pd.DataFrame], plan: Plan) -> pd.DataFrame:
    first = DimensionSums.of_parts(DimensionSums.of(p, ancestor, plan) for p in parts)
    second = DimensionInfluences.of_parts(
        DimensionInfluences.of(part, ancestor, plan, first) for part in parts
    )
    rows = dimension_rows_of_sums(first, second, plan)
    rows += comparison_rows_of_sums(first, second, plan, margin=MARGIN)
    return as_scorecard(rows, plan)


def agree(found: pd.DataFrame, whole: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found[KEYS], whole[KEYS])
    # The note of the calibration error tells a band that is drawn.
    drawn = (whole["indicator"] == "ece_debiased") & (whole["status"] == "measured")
    pd.testing.assert_frame_equal(
        found.drop(columns="note"), whole.drop(columns="note"), rtol=1e-9, atol=1e-11
    )
    assert found.loc[~drawn, "note"].tolist() == whole.loc[~drawn, "note"].tolist()
    ends = [card.loc[drawn, "note"].str.split("raw").str[1] for card in (found, whole)]
    assert ends[0].tolist() == ends[1].tolist()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    n=st.integers(6, 300),
    parts=st.integers(1, 6),
    alone=st.booleans(),
    silent=st.booleans(),
    lone=st.booleans(),
    known=st.booleans(),
    regions=st.integers(1, 7),
    single=st.sampled_from(["adjust", "refuse"]),
    level=st.sampled_from(["1", "full"]),
)
def test_parts_give_the_rows_of_the_whole(
    seed: int,
    n: int,
    parts: int,
    alone: bool,
    silent: bool,
    lone: bool,
    known: bool,
    regions: int,
    single: str,
    level: str,
) -> None:
    units = example(
        seed, n, alone=alone, silent=silent, lone=lone, regions=regions, known=known
    )
    plan = replace(PLAN, single=single, level=level)
    agree(of_parts(in_parts(units, parts, seed), plan), of_whole(units, plan))


def test_a_part_may_hold_no_unit_that_counts() -> None:
    units = example(2, 200)
    parts = in_parts(units, 4, 2)
    parts[1] = parts[1].assign(truth=None)
    parts[2] = parts[2].assign(weight=0.0)
    agree(of_parts(parts, PLAN), of_whole(pd.concat(parts), PLAN))


def test_what_no_weight_or_a_faulty_one_does_is_told_alike() -> None:
    for weight in (0.0, -1.0, np.nan):
        units = example(2, 90)
        units.loc[units["position"] >= (80 if weight else 0), "weight"] = weight
        cards = of_parts(in_parts(units, 3, 2), PLAN), of_whole(units, PLAN)
        for card in cards:  # of the calibration error the whole counts coded units only
            card["note"] = card["note"].str.replace(
                r"^\d+ weights", "weights", regex=True
            )
        agree(*cards)


def test_confidences_that_are_none_are_told_alike() -> None:
    units = example(2, 90)
    units.loc[units["position"] == 60, "confidence"] = 1.2
    found = of_parts(in_parts(units, 3, 2), PLAN)
    agree(found, of_whole(units, PLAN))
    brier = found[found["indicator"] == "brier"]
    assert (brier["status"] == "not_measured").all()


def test_the_same_parts_give_the_same_bytes() -> None:
    parts = in_parts(example(1, 300), 5, 1)
    one, two = (of_parts(parts, PLAN) for _ in range(2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.parametrize("alone", [True, False])
def test_the_band_of_the_calibration_error_is_that_of_drawn_labels(
    alone: bool,
) -> None:
    units = example(4, 6000, alone=alone)
    plan = replace(PLAN, seed=11)
    bands = []
    for card in (of_parts(in_parts(units, 4, 1), plan), of_whole(units, plan)):
        note = card.loc[card["indicator"] == "ece_debiased", "note"]
        told = note.str.extract(r"mean ([0-9.]+), 95 % at most ([0-9.]+)")
        bands.append(told.astype(float).to_numpy())
        assert len(note) == 2
    assert np.allclose(bands[0], bands[1], rtol=0.1, atol=1.1e-3)


def test_influences_of_other_statistics_are_not_merged() -> None:
    clusters = Clusters(np.arange(3), np.zeros(3, int), np.array(["a"]))
    one, two = (
        InfluenceSums.of(clusters, [(name, np.ones(3), np.ones(3, dtype=bool))])
        for name in ("kappa", "gap")
    )
    assert one.merge(one).units.tolist() == [6]
    with pytest.raises(MlstatsError, match="different statistics"):
        one.merge(two)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(0, id="every bin in one cluster: the signal is a rounding"),
        pytest.param(5, id="all agree: kappa varies by a rounding"),
    ],
)
def test_the_rounding_of_a_small_sample_is_told_alike(seed: int) -> None:
    units = example(seed, 30, regions=1)
    agree(of_parts(in_parts(units, 3, seed), PLAN), of_whole(units, PLAN))

"""Sums of a coding period: what cannot be merged, and what is told of groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.coding.classification import Classification
from mlstats.coding_sums import CodeSums
from mlstats.errors import MlstatsError
from mlstats.process_sums import ProcessSums
from mlstats.release_totals import told_sizes

CLASSIFICATION = Classification.from_frame(
    pd.DataFrame({"code": ["01", "02"]}), title=None, parent=None
)


def units_of(n: int = 40) -> pd.DataFrame:
    code = [("01", "02")[i % 2] for i in range(n)]
    return pd.DataFrame(
        {
            "value": code,
            "champion_code": code,
            "baseline_code": code,
            "weight": 1.0,
            "cluster": [str(i) for i in range(n)],
            "stratum": "a",
            "fraction": 0.0,
            "open": False,
            "domain_region": [("north", "south")[i % 3 == 0] for i in range(n)],
        }
    )


def test_the_process_is_told_of_the_units_before_clerks() -> None:
    units = units_of()
    before = units.assign(route="automatic", confidence=0.5)
    sums = CodeSums.of(units, CLASSIFICATION, "1", process=before)
    assert sums.process()["estimate"].tolist() == [1.0, 1.0, 0.5]
    with pytest.raises(MlstatsError, match="no route and confidence"):
        CodeSums.of(units, CLASSIFICATION, "1").process()


def test_sums_of_other_levels_domains_or_columns_are_not_merged() -> None:
    units = units_of()
    one = CodeSums.of(units, CLASSIFICATION, "1")
    others = [
        CodeSums.of(units, CLASSIFICATION, "full"),
        CodeSums.of(units, CLASSIFICATION, "1", domains=["region"]),
        CodeSums.of(units.assign(route="queue", confidence=0.5), CLASSIFICATION, "1"),
    ]
    for other in others:
        with pytest.raises(MlstatsError, match="cannot be merged"):
            one.merge(other)


def test_an_empty_part_changes_nothing() -> None:
    units = units_of()
    one = CodeSums.of(units, CLASSIFICATION, "1", domains=["region"])
    none = CodeSums.of(units[:0], CLASSIFICATION, "1", domains=["region"])
    for merged in (one.merge(none), none.merge(one)):
        pd.testing.assert_frame_equal(merged.totals(), one.totals(), check_exact=True)


def test_groups_of_one_size_are_told_whatever_their_order() -> None:
    sizes = pd.Series({"a": 12, "b": 12, "c": 3})
    assert told_sizes(sizes) == ["b"]
    assert told_sizes(sizes[::-1]) == ["b"]


def test_a_stratum_of_one_cluster_that_was_taken_whole_is_not_refused() -> None:
    units = units_of()
    units.loc[0, "stratum"] = "alone"
    refused = CodeSums.of(units, CLASSIFICATION, "1").totals(single="refuse")
    assert refused["se"].isna().all()
    units.loc[0, "fraction"] = 1.0
    told = CodeSums.of(units, CLASSIFICATION, "1").totals(single="refuse")
    assert (told["se"] > 0).all()


def test_intervals_of_the_process_hold_where_few_clusters_have_both_codes() -> None:
    """Of four clusters in 92 of 100 samples; with the df of all clusters in 84."""
    rng, hits, times = np.random.default_rng(0), 0, 150
    cluster = np.repeat(np.arange(80), 10)
    answered = cluster < 4
    for _ in range(times):
        same = rng.uniform(size=800) < rng.beta(2.0, 2.0, 80)[cluster]
        units = pd.DataFrame(
            {
                "champion_code": np.where(same, "a", "b"),
                "baseline_code": np.where(answered, "a", None),
                "weight": 1.0,
                "cluster": cluster.astype(str),
                "stratum": "s",
                "route": "automatic",
                "confidence": np.nan,
            }
        )
        figures = ProcessSums.of(units).figures().set_index("variable")
        found = figures.loc["same code by both methods"]
        assert found["df"] == 3
        hits += found["lower"] <= 0.5 <= found["upper"]
    assert hits / times >= 0.89


def test_a_census_has_no_interval_but_the_figure_itself() -> None:
    units = units_of()
    units.loc[:9, "baseline_code"] = "02"
    units["fraction"] = 1.0
    told = CodeSums.of(units, CLASSIFICATION, "1", domains=["region"]).totals()
    assert (told["se"] == 0).all()
    for ends, figure in (("", "estimate"), ("difference_", "difference")):
        assert told[f"{ends}lower"].tolist() == told[figure].tolist()
        assert told[f"{ends}upper"].tolist() == told[figure].tolist()
    assert (told["note"] == "every cluster was drawn").all()
    units.loc[0, "fraction"] = 0.0
    units.loc[0, "stratum"] = "drawn"
    told = CodeSums.of(units, CLASSIFICATION, "1").totals()
    assert (told["lower"] < told["estimate"]).all()

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import ContractError
from mlstats.quality.plausibility import plausibility_rows
from mlstats.quality.scorecard import Plan, as_scorecard


def counts(failing: list[int], outside: list[int]) -> pd.DataFrame:
    cells = {"replicate": range(len(failing)), "records": 200}
    found = {"failing_records": failing, "outside_bounds": outside}
    return pd.DataFrame(cells | found).assign(method="ml")


def test_that_nothing_fails_is_a_fact_and_passes_a_gate():
    from mlstats.config import GateRule
    from mlstats.quality.gate import judge

    rows = plausibility_rows(counts([0, 0, 0], [0, 0, 0]), kinds={"ml": "ml"})
    for row in rows:
        assert (row["value"], row["lower"], row["upper"]) == (0.0, 0.0, 0.0)
        assert row["kind"] == "ml"
    plan = Plan(kinds={"ml": "ml"}, baseline="ml", level="", levels=[])
    rules = [
        GateRule(measure="edits_failing", at_most=0.0),
        GateRule(measure="outside_bounds", at_most=0.0),
    ]
    found = judge(as_scorecard(rows, plan), rules, method="ml", level="")
    assert list(found["result"]) == ["pass", "pass"]


def test_failing_records_have_an_interval_over_the_masks():
    share, outside = plausibility_rows(counts([2, 4, 6], [0, 1, 2]))
    assert share["value"] == pytest.approx(0.02)
    assert share["se"] == pytest.approx(np.std([0.01, 0.02, 0.03], ddof=1) / 3**0.5)
    assert share["lower"] == 0.0 < share["upper"]
    assert share["note"].startswith("12 of 600 records, 3 masks")
    assert outside["value"] == 3
    assert outside["interval"] == "none: not a sample"


def test_one_mask_has_no_interval():
    share, _ = plausibility_rows(counts([3], [0]))
    assert share["value"] == pytest.approx(0.015)
    assert np.isnan(share["lower"])


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(ContractError, match="More records fail"):
        plausibility_rows(counts([201], [0]))
    with pytest.raises(ContractError, match="lack records"):
        plausibility_rows(counts([1], [0]).drop(columns="records"))

"""Units of measure put right and outliers flagged before the edits are asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.config_editimpute import Outliers, Selection, Thousand
from mlstats.editimpute import EditSet, HotDeck, process
from mlstats.editimpute.cell_provenance import apply_cells
from mlstats.editimpute.flagging import (
    corrected_units,
    flagged_outliers,
    selected,
    with_corrections,
)
from mlstats.errors import ConfigError

EDITS = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0", "c <= 500 * staff"])


def records() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a": [10.0, 20_000, 30, np.nan, 25],
            "b": [5.0, 4_000, 6, 7_000, 5],
            "c": [15.0, 24_000, 36, 47_000, 30],
            "staff": [1.0, 1, 1, 1, 1],
            "before": [11.0, 19, 31, 42, 24],
            "total_before": [16.0, 23, 38, 50, 29],
        }
    )


A = Thousand(principal="a", targets=("b", "c"), predictive="before")
C = Thousand(principal="c", targets=("a", "b"), predictive="total_before")


def test_a_second_rule_tells_where_the_first_principal_is_missing():
    frame = records()
    first, cells = corrected_units(frame, [A])
    assert first.loc[1, ["a", "b", "c"]].tolist() == [20.0, 4.0, 24.0]
    assert first.loc[3, "c"] == 47_000
    assert set(cells["unit"]) == {1}
    both, cells = corrected_units(frame, [A, C])
    assert both.loc[3, ["b", "c"]].tolist() == [7.0, 47.0]
    # The missing value of a has no row: nothing was done to it.
    assert cells.groupby("unit").size().to_dict() == {1: 3, 3: 2}
    assert both.loc[[0, 2, 4]].equals(frame.loc[[0, 2, 4]])
    pd.testing.assert_frame_equal(apply_cells(frame, cells), both, check_dtype=False)


def test_without_the_correction_the_right_value_is_taken_for_the_wrong_one():
    """Why systematic errors come first: all amounts of the record agree."""
    frame = records().drop(index=3)
    columns = ["a", "b", "c", "staff"]
    alone = process(frame[columns], EDITS, HotDeck(), seed=1)
    assert alone.cells["variable"].tolist() == ["staff"]
    right, cells = corrected_units(frame, [A])
    found = with_corrections(process(right[columns], EDITS, HotDeck(), seed=1), cells)
    assert set(found.cells["variable"]) == {"a", "b", "c"}
    assert found.values["staff"].tolist() == [1.0, 1, 1, 1]


def test_a_value_that_is_selected_again_keeps_one_row_with_both_reasons():
    frame = records().drop(index=3)
    frame.loc[1, "b"] = 9_000.0  # wrong besides: the balance fails in any unit
    right, cells = corrected_units(frame, [A])
    columns = ["a", "b", "c", "staff"]
    found = with_corrections(process(right[columns], EDITS, HotDeck(), seed=3), cells)
    row = found.cells[found.cells["selection"].str.contains("edit")]
    assert len(row) == 1
    assert row["selection"].item() == "unit of measure, edit"
    assert row["before"].item() == frame.loc[1, row["variable"].item()]
    assert not found.cells.duplicated(["unit", "variable"]).any()
    pd.testing.assert_frame_equal(
        apply_cells(frame[columns], found.cells), found.values, check_dtype=False
    )


def test_outliers_are_flagged_beside_what_is_missing():
    rng = np.random.default_rng(0)
    n = 60
    x = rng.lognormal(4, 0.1, n)
    frame = pd.DataFrame({"x": x * rng.lognormal(0, 0.05, n), "register": x})
    frame.loc[7, "x"] *= 20
    frame.loc[8, "x"] *= 30
    mask = pd.DataFrame({"x": np.arange(n) == 8})
    rule = Outliers(variable="x", auxiliary="register", impute=8)
    why = flagged_outliers(frame, mask, [rule])
    assert why.loc[7, "x"] == "outlier"
    assert why.loc[8, "x"] == "missing"  # not judged a second time
    assert (why["x"] != "").sum() == 2
    alone = flagged_outliers(frame, mask, [Outliers(variable="x", impute=8)])
    assert alone.loc[7, "x"] == "outlier"
    values, cells, same = selected(frame, mask, Selection(outliers=(rule,)))
    assert values is frame
    assert cells.empty
    assert same.equals(why)


def test_an_unknown_column_is_told_with_its_place_and_the_nearest():
    frame, mask = records(), records()[["a"]].isna()
    with pytest.raises(ConfigError, match="'befor'") as caught:
        corrected_units(frame, [Thousand(principal="a", predictive="befor")])
    assert caught.value.nearest == "before"
    with pytest.raises(ConfigError, match="'aa'"):
        flagged_outliers(frame, mask, [Outliers(variable="aa", impute=5)])

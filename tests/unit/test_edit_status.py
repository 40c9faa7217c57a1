from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.edit_check import conflict, implied_edits, verify
from mlstats.editimpute.edits import Edit, EditSet, Variable
from mlstats.editimpute.status import review
from mlstats.errors import ConfigError

NAN = np.nan


def test_records_pass_miss_and_fail_with_statistics_and_a_table() -> None:
    edits = EditSet.from_texts(
        {"sum": "a + b == c", "sign": "a >= 0", "kind": 'a > 5 -> k in {"x", "y"}'}
    )
    frame = pd.DataFrame(
        {
            "a": [1.0, 1, NAN, -1, 9, 9],
            "b": [2.0, 2, 2, 3, 1, 1],
            "c": [3.0, 4, 5, 2, 10, 10],
            "k": ["z", None, "x", "x", "z", "y"],
        },
        index=[10, 11, 12, 13, 13, 15],
    )
    found = review(frame, edits)
    # The third record would keep the edit on k whatever a is.
    wanted = ["pass", "fail", "miss", "fail", "fail", "pass"]
    assert found.status.tolist() == wanted
    assert found.by_edit[2].tolist() == [1, 1, 0]
    statistics = found.statistics().set_index("edit")
    assert statistics.loc["sum", ["pass", "miss", "fail"]].tolist() == [4, 1, 1]
    assert statistics.loc["sum", "fail_rate"] == 0.2
    table = found.failures()
    assert table[["row", "record", "edit"]].to_numpy().tolist() == [
        [1, 11, "sum"],
        [3, 13, "sign"],
        [4, 13, "kind"],
    ]
    assert found.record_statistics()["records"].tolist() == [2, 1, 3]


def test_soft_edits_are_counted_but_fail_no_record() -> None:
    hard = EditSet.from_texts({"h": "a >= 0"}).edits[0]
    soft = Edit("s", "a <= 5", EditSet.from_texts(["a <= 5"]).edits[0].clauses, "soft")
    found = review(pd.DataFrame({"a": [9.0, 1]}), EditSet((hard, soft)))
    assert found.status.tolist() == ["pass", "pass"]
    assert found.failures()["severity"].tolist() == ["soft"]


def test_a_missing_value_that_is_an_answer_makes_edits_not_applicable() -> None:
    edits = EditSet.from_texts(
        ["a + b == c", "if b is missing then a >= 1"],
        {"b": Variable(missing_allowed=True)},
    )
    frame = pd.DataFrame({"a": [1.0, 0], "b": [NAN, NAN], "c": [9.0, 9]})
    found = review(frame, edits)
    assert found.status.tolist() == ["pass", "fail"]
    assert found.by_edit.tolist() == [[0, 0], [0, 2]]


def test_what_is_no_finite_number_fails_and_is_told() -> None:
    edits = EditSet.from_texts(["a >= 0", "n is integer"])
    frame = pd.DataFrame({"a": ["12", "x", np.inf, None], "n": [1.0, 2, 2.5, 3]})
    found = review(frame, edits)
    assert found.status.tolist() == ["pass", "fail", "fail", "miss"]
    assert found.failures()["edit"].tolist() == ["a:number", "E2", "a:number"]


def test_decimal_sums_keep_balance_edits_and_one_unit_of_billions_breaks_them() -> None:
    edits = EditSet.from_texts(["a + b == c"])
    frame = pd.DataFrame(
        {"a": [0.1, 2e9, 2e9], "b": [0.2, 1e9, 1e9], "c": [0.3, 3e9, 3e9 + 1]}
    )
    assert review(frame, edits).status.tolist() == ["pass", "pass", "fail"]


def test_less_than_is_the_stated_step_and_one_for_whole_numbers() -> None:
    edits = EditSet.from_texts(["a < 1", "n < 3"], {"n": Variable(integer=True)})
    frame = pd.DataFrame({"a": [1.0, 1 - 1e-7, 0.999], "n": [1, 1, 2]})
    assert review(frame, edits).status.tolist() == ["fail", "fail", "pass"]
    with pytest.raises(ConfigError, match="The tolerance of edits"):
        review(frame, edits, tolerance=1e-3)


def test_only_the_edits_of_the_period_are_used() -> None:
    edit = EditSet.from_texts(["a >= 0"]).edits[0]
    old = Edit("old", edit.text, edit.clauses, valid_to="2024-12")
    frame = pd.DataFrame({"a": [-1.0]})
    assert review(frame, EditSet((old,)), period="2024-06").status.tolist() == ["fail"]
    assert review(frame, EditSet((old,)), period="2025-01").status.tolist() == ["pass"]


def test_an_empty_table_is_reviewed() -> None:
    found = review(pd.DataFrame({"a": [], "b": []}), EditSet.from_texts(["a <= b"]))
    assert len(found.status) == 0
    assert found.statistics()["fail_rate"].isna().all()


def test_a_conflict_is_minimal_and_named() -> None:
    texts = {
        "E1": "a >= 10",
        "E2": "b >= 0",
        "E3": "a + b <= c",
        "E4": 's == "x" -> c <= 5',
        "E5": 's in {"x"}',
        "E6": "c >= -3",
    }
    assert conflict(EditSet.from_texts(texts)) == ["E1", "E2", "E3", "E4", "E5"]
    for left_out in ["E1", "E2", "E3", "E4", "E5"]:
        rest = {name: text for name, text in texts.items() if name != left_out}
        assert conflict(EditSet.from_texts(rest)) == []


def test_whole_numbers_can_conflict_where_others_do_not() -> None:
    texts = ["2 * n == 5 * m + 1", "m >= 2", "m <= 2.5"]
    assert conflict(EditSet.from_texts(texts)) == []
    whole = Variable(integer=True)
    found = conflict(EditSet.from_texts(texts, {"n": whole, "m": whole}))
    assert set(found) >= {"E1", "E2", "E3"}


def test_a_closed_set_of_values_can_conflict() -> None:
    texts = {"E1": 's != "x"', "E2": 's != "y"'}
    assert conflict(EditSet.from_texts(texts)) == []
    closed = EditSet.from_texts(texts, {"s": Variable(values=("x", "y"))})
    assert conflict(closed) == ["E1", "E2", "s:values"]


def test_verification_of_a_small_set() -> None:
    edits = EditSet.from_texts(
        {
            "sum": "a + b == 10",
            "a": "a >= 0",
            "b": "b >= 0",
            "loose": "a + b <= 11",
            "double": "2 * a + 2 * b == 20",
            "cap": "d <= 4",
            "floor": "d >= 4",
            "if": "if a > 20 then d > 3",
            "free": "e <= f",
        }
    )
    found = verify(edits)
    assert found.is_consistent
    assert found.redundant == ("loose", "double", "if")
    assert found.hidden_equalities == ("cap", "floor")
    bounds = found.bounds.set_index("variable")
    assert bounds.loc["a", ["least", "most"]].tolist() == [0, 10]
    assert bounds.loc["d", "determined"]
    assert not bounds.loc["a", "determined"]
    assert bounds.loc["e", ["least", "most"]].tolist() == [-np.inf, np.inf]
    assert found.blocks == (("a", "b", "d"), ("e", "f"))


def test_bounds_see_alternatives_and_closed_categories() -> None:
    edits = EditSet.from_texts(
        ['if s == "x" then a <= 5', 'if s == "y" then a <= 7', "a >= 1"],
        {"s": Variable(values=("x", "y"))},
    )
    bounds = verify(edits).bounds
    assert bounds[["least", "most"]].to_numpy().tolist() == [[1, 7]]


def test_contradicting_edits_are_verified_as_such() -> None:
    found = verify(EditSet.from_texts(["a <= 1", "a >= 2"]))
    assert not found.is_consistent
    assert found.conflicting == ("E1", "E2")
    assert found.bounds.empty


def test_implied_edits_are_those_of_fellegi_and_holt() -> None:
    found = implied_edits(EditSet.from_texts(["a <= b", "b <= 2 * c", "c <= 5"]))
    assert set(found["text"]) == {"a - 2 * c <= 0", "b <= 10"} or set(
        found["text"]
    ) == {"0.5 * a - c <= 0", "b <= 10"}


def test_categories_are_compared_as_texts_whatever_holds_them() -> None:
    edits = EditSet.from_texts(['s in {"1", "2"}'])
    wanted = ["pass", "fail", "miss"]
    for values in (
        [1.0, 3.0, NAN],
        ["1", "x", None],
        pd.array([2, 4, None], dtype="Int64"),
        pd.Categorical(["2", "3", None]),
        pd.array(["1", "9", None], dtype="string"),
        [1, np.inf, None],
    ):
        found = review(pd.DataFrame({"s": values}), edits)
        assert found.status.tolist() == wanted


def test_a_set_without_edits_passes_all() -> None:
    found = review(pd.DataFrame({"a": [1.0]}), EditSet(()))
    assert found.status.tolist() == ["pass"]
    assert verify(EditSet(())).is_consistent

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.block_search import Limits
from mlstats.editimpute.edits import EditSet, Variable
from mlstats.editimpute.localisation import Localisation, localise
from mlstats.errors import ConfigError

NAN = np.nan


def changed(found: Localisation) -> list[str]:
    return [
        "+".join(found.changes.columns[row]) for row in found.changes.to_numpy(bool)
    ]


# De Waal, Pannekoek and Scholtus (2011), section 3.4: turnover, profit, costs, staff.
BUSINESS = EditSet.from_texts(
    [
        "T == C + P",
        "0.5 * T <= C",
        "C <= 1.1 * T",
        "T <= 550 * N",
        "T >= 0",
        "C >= 0",
        "N >= 0",
    ]
)


def test_the_worked_example_changes_the_turnover_or_rather_the_profit() -> None:
    # T = 100, P = 40000, C = 60000, N = 5: T fails the balance and both ratio edits.
    # T alone must be C + P = 100000 > 550 * 5, so that no change of T alone will do;
    # nor will C alone (0.5 * 100 <= C <= 110, but C = 100 - 40000 < 0).
    frame = pd.DataFrame({"T": [100.0], "P": [40000.0], "C": [60000.0], "N": [5.0]})
    found = localise(frame, BUSINESS)
    assert found.weight.tolist() == [2]
    assert changed(found)[0] in ("T+N", "C+P")
    # C + P means C between 50 and 110 and P the rest; T + N means T = 100000, but
    # then 0.5 * T <= 60000 holds and N >= 182: both are right, weights decide.
    weights = {"T": 2.0, "C": 1.0, "P": 1.0, "N": 2.0}
    assert changed(localise(frame, BUSINESS, weights=weights)) == ["C+P"]
    weights = {"T": 1.0, "C": 2.0, "P": 2.0, "N": 1.0}
    assert changed(localise(frame, BUSINESS, weights=weights)) == ["T+N"]


def test_rows_and_labels_stay_as_they_are_with_a_status_for_each() -> None:
    edits = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0"])
    frame = pd.DataFrame(
        {
            "a": ["1", "x", None, np.inf, None, 5],
            "b": [2.0, 2, 2, 2, None, 1],
            "c": [3.0, 3, 3, 3, None, 6],
        },
        index=["q", "q", "p", "z", "y", "x"],
    )
    found = localise(frame, edits)
    assert found.changes.index.equals(frame.index)
    wanted = ["pass", "solved", "solved", "solved", "solved", "pass"]
    assert found.status.tolist() == wanted
    assert changed(found) == ["", "a", "a", "a", "a+b+c", ""]
    assert found.weight.tolist() == [0, 1, 1, 1, 3, 0]
    assert found.statistics()["records"].tolist() == [4, 1, 1]
    fields = found.fields()
    assert fields[["row", "record", "variable"]].to_numpy().tolist()[:2] == [
        [1, "q", "a"],
        [2, "p", "a"],
    ]


def test_a_limit_and_fixed_variables_leave_records_with_a_status() -> None:
    edits = EditSet.from_texts(["a == b", "c == d", "e <= 1", "e >= 0"])
    frame = pd.DataFrame(
        {"a": [1.0, 1, 1], "b": [2.0, 1, 1], "c": 1.0, "d": [2.0, 1, 1]}
    ).assign(e=[0.5, 7, NAN])
    found = localise(frame, edits, limit=1, weights={"e": np.inf})
    assert found.status.tolist() == ["limit_exceeded", "no_solution", "solved"]
    assert changed(found) == ["", "", "e"]
    assert found.weight.isna().tolist() == [True, True, False]
    assert localise(frame, edits, limit=2).status.tolist() == ["solved"] * 3


def test_missing_values_count_as_changes_and_can_mend_an_edit() -> None:
    edits = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0", "c <= 10"])
    frame = pd.DataFrame({"a": [NAN, NAN], "b": [3.0, 30], "c": [5.0, 20]})
    assert changed(localise(frame, edits)) == ["a", "a+b+c"]


def test_a_missing_answer_is_not_imputed_and_its_edits_do_not_apply() -> None:
    edits = EditSet.from_texts(
        ["a + b == c", "a <= 5", 'k == "x" -> a >= 1'],
        {"b": Variable(missing_allowed=True)},
    )
    frame = pd.DataFrame({"a": [9.0, 0], "b": [NAN, NAN], "c": [1.0, 1], "k": "x"})
    found = localise(frame, edits, weights={"k": 3.0})
    assert changed(found) == ["a", "a"]


def test_if_then_edits_with_categories_and_numbers() -> None:
    edits = EditSet.from_texts(
        [
            'age < 15 -> marital == "single"',
            'age < 15 -> relation != "parent"',
            "age >= 0",
            "age <= 120",
        ]
    )
    frame = pd.DataFrame(
        {
            "age": [10.0, 10, 40, 130, 12],
            "marital": ["married", "married", "married", "married", "single"],
            "relation": ["parent", "child", "parent", "child", "child"],
        }
    )
    found = localise(frame, edits, weights={"age": 1.5})
    assert changed(found) == ["age", "marital", "", "age", ""]
    # One category more reliable than the age: then the age goes.
    sure = localise(frame, edits, weights={"marital": 2.0})
    assert changed(sure)[1] == "age"


def test_a_value_that_no_list_has_is_changed() -> None:
    edits = EditSet.from_texts(
        ['s == "a" -> x > 1', "x <= 9"], {"s": Variable(values=("a", "b"))}
    )
    frame = pd.DataFrame({"s": ["c", "a", None], "x": [0.0, 0, 0]})
    assert changed(localise(frame, edits, weights={"x": 2.0})) == ["s", "s", "s"]


def test_whole_numbers_need_more_than_the_reals() -> None:
    # With the other values kept, 2 n must be 7: no whole number, but 3.5.
    texts = ["2 * n + a == b", "n >= 0", "n <= 100", "a >= 0"]
    frame = pd.DataFrame({"n": [50.0, 2.5], "a": [1.0, 1], "b": [8.0, 6]})
    assert changed(localise(frame, EditSet.from_texts(texts), seed=3))
    whole = EditSet.from_texts(texts, {"n": Variable(integer=True)})
    weights = {"n": 1.0, "a": 5.0, "b": 5.0}
    reals = localise(frame, EditSet.from_texts(texts), weights=weights)
    found = localise(frame, whole, weights=weights)
    assert changed(reals) == ["n", ""]
    assert changed(found) == ["a", "n+a"] or found.weight.tolist()[0] == 5
    assert found.by_program.any()


def test_strict_inequalities_leave_the_stated_step() -> None:
    edits = EditSet.from_texts(["a < b", "b < c"])
    frame = pd.DataFrame({"a": [1.0, 1], "b": [5.0, 5], "c": [1.0, 1.5]})
    weights = {"a": 3.0, "c": 3.0}
    found = localise(frame, edits, weights=weights)
    # Between 1 and 1 there is no b, between 1 and 1.5 there is.
    assert changed(found)[1] == "b"
    assert changed(found)[0] != "b"


def test_ties_are_drawn_by_the_seed_and_by_nothing_else() -> None:
    edits = EditSet.from_texts(["a + b == c"])
    frame = pd.DataFrame({"a": 1.0, "b": 1.0, "c": np.full(300, 5.0)})
    found = localise(frame, edits, seed=1)
    assert found.weight.eq(1).all()
    counts = found.statistics()["records"]
    assert (counts > 0).all()
    assert localise(frame, edits, seed=1).changes.equals(found.changes)
    head = localise(frame.iloc[:50], edits, seed=1)
    assert head.changes.equals(found.changes.iloc[:50])
    assert not localise(frame, edits, seed=2).changes.equals(found.changes)


def test_values_near_ten_millions_are_exact_where_a_fixed_constant_is_not() -> None:
    edits = EditSet.from_texts(["a + b + c == t", "a >= 0", "b >= 0", "c >= 0"])
    frame = pd.DataFrame(
        {"a": [2.4e7, 3e12], "b": [1.0, 2], "c": [2.0, 3], "t": [2.4e7, 3e12]}
    )
    for limits in (Limits(), Limits(most_rounds=0)):
        found = localise(frame, edits, limits=limits)
        assert found.weight.tolist() == [1, 1]


def test_records_the_search_gives_up_are_answered_by_the_program() -> None:
    rng = np.random.default_rng(2)
    texts = [f"x{i} <= {rng.integers(1, 4)} * x{j}" for i in range(8) for j in (8, 9)]
    texts += [f"x{i} >= {i + 1}" for i in range(10)]
    frame = pd.DataFrame(
        rng.integers(-9, 30, (40, 10)).astype(float),
        columns=[f"x{i}" for i in range(10)],
    )
    edits = EditSet.from_texts(texts)
    found = localise(frame, edits)
    for limits in (Limits(most_rows=3), Limits(most_nodes=0)):
        other = localise(frame, edits, limits=limits)
        assert other.by_program.any()
        assert other.weight.tolist() == found.weight.tolist()


def test_time_for_the_program_can_run_out() -> None:
    edits = EditSet.from_texts(["a == b"])
    frame = pd.DataFrame({"a": [1.0], "b": [2.0]})
    found = localise(
        frame, edits, limits=Limits(most_rounds=0), seconds_per_record=1e-9
    )
    assert found.status.tolist() == ["time_exceeded"]


def test_contradicting_edits_are_refused_by_name() -> None:
    edits = EditSet.from_texts(["a >= 5", "b >= 0", "a <= 4"])
    with pytest.raises(ConfigError, match="contradict each other") as caught:
        localise(pd.DataFrame({"a": [1.0], "b": [1.0]}), edits)
    assert caught.value.where == "edits 'E1', 'E3'"


@pytest.mark.parametrize("weight", [0.0, -1.0, NAN])
def test_weights_are_above_zero_and_of_known_variables(weight: float) -> None:
    edits = EditSet.from_texts(["alpha >= 5"])
    frame = pd.DataFrame({"alpha": [1.0]})
    with pytest.raises(ConfigError, match="The weight of 'alpha'"):
        localise(frame, edits, weights={"alpha": weight})
    with pytest.raises(ConfigError, match="in no edit") as caught:
        localise(frame, edits, weights={"alpa": 1})
    assert caught.value.nearest == "alpha"


def test_an_empty_table_and_unbounded_variables_are_answered() -> None:
    edits = EditSet.from_texts(["a <= b", "n is integer"])
    frame = pd.DataFrame({"a": [3.0], "b": [1.0], "n": [1.5]})
    assert localise(frame, edits).weight.tolist() == [2]
    assert len(localise(frame.iloc[:0], edits).status) == 0


def test_the_package_gives_functions_by_their_names() -> None:
    from mlstats import editimpute

    for name in editimpute.__all__:
        assert callable(getattr(editimpute, name))
    with pytest.raises(AttributeError):
        _ = editimpute.nothing


def test_what_was_learnt_is_forgotten_when_it_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edits = EditSet.from_texts(["a + b == c", "a <= 2 * b", "b <= c", "a >= 0"])
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.integers(-5, 20, (60, 3)).astype(float), columns=[*"abc"])
    found = localise(frame, edits, block_rows=10)
    monkeypatch.setattr("mlstats.editimpute.block_search._MOST_CUTS", 1)
    again = localise(frame, edits, block_rows=10)
    assert again.changes.equals(found.changes)


def test_without_a_hard_edit_nothing_is_to_be_changed() -> None:
    found = localise(pd.DataFrame({"a": [1.0, NAN]}), EditSet(()))
    assert found.status.tolist() == ["pass", "pass"]
    assert found.changes.shape == (2, 0)

"""One file through review, selection and treatment: what is told, and bad input."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute import (
    ChainedImputer,
    Deterministic,
    EditConsistent,
    EditSet,
    EstimatorImputer,
    EstimatorStep,
    HotDeck,
    NearestDonor,
    Variable,
    apply_cells,
    impact,
    process,
    review,
)
from mlstats.editimpute.post_edits import PostEdits
from mlstats.errors import ConfigError, ContractError

MONEY = ["wages", "other", "costs", "turnover"]
EDITS = EditSet.from_texts(
    {
        "balance": "wages + other == costs",
        "cap": "costs <= turnover",
        "paid": "if staff > 0 then wages > 0",
        "small": 'if sector == "A" then turnover <= 500',
        "sole": 'legal == "sole" -> staff <= 3',
        "doubt": "turnover <= 100",
    },
    {
        **{name: Variable(least=0) for name in MONEY},
        "wages": Variable(least=0, integer=True),
        "other": Variable(least=0, integer=True),
        "costs": Variable(least=0, integer=True),
        "staff": Variable(least=0, integer=True),
        "sector": Variable(values=("A", "B", "C")),
    },
)
EDITS = EDITS.of(
    [
        e if e.id != "doubt" else e.__class__("doubt", e.text, e.clauses, "soft")
        for e in EDITS.edits
    ]
)
IMPUTERS = {
    "hot-deck": HotDeck(["sector"]),
    "donor": NearestDonor(["staff"], min_donors=1, min_percent=0),
    "models": ChainedImputer(trees=10),
    "estimators": EstimatorImputer(
        [EstimatorStep(v, "mean") for v in [*MONEY, "staff"]]
    ),
}


def survey(n=400, seed=3):
    """Records that pass, and the same with holes and errors."""
    rng = np.random.default_rng(seed)
    staff = rng.poisson(2, n)
    wages = np.where(staff > 0, rng.integers(1, 50, n) * staff, 0)
    costs = wages + rng.integers(0, 80, n)
    turnover = costs + np.round(rng.exponential(200, n), 1)
    small = turnover <= 500
    frame = pd.DataFrame(
        {
            "staff": staff.astype(float),
            "wages": wages.astype(float),
            "other": (costs - wages).astype(float),
            "costs": costs.astype(float),
            "turnover": turnover,
            "sector": np.where(
                small, rng.choice(list("AAB"), n), rng.choice(list("BC"), n)
            ).astype(object),
            "legal": np.where(staff <= 3, rng.choice(["sole", "corp"], n), "corp"),
            "note": "kept",
        },
        index=[f"unit {3 * i}" for i in range(n)],
    ).astype({"legal": object, "note": object})
    assert (review(frame, EDITS).by_record == 0).all()
    mask = rng.random(frame.shape) < 0.1
    mask[:, 7] = False
    holes = frame.mask(mask)
    holes.loc[rng.random(n) < 0.1, "costs"] *= 10
    return frame, holes


@pytest.mark.parametrize("name", IMPUTERS)
def test_every_hard_edit_holds_and_the_provenance_joins_back(name):
    _, holes = survey()
    found = process(holes, EDITS, IMPUTERS[name], seed=1)
    left = found.cells[found.cells["status"] == "not_imputed"]
    if name != "estimators":
        assert found.edits.empty
        assert left.empty
        assert (review(found.values, EDITS).by_record == 0).all()
    else:
        # Means impute no category.
        assert set(left["variable"]) == {"sector", "legal"}
    pd.testing.assert_frame_equal(apply_cells(holes, found.cells), found.values)
    back = apply_cells(found.values, found.cells, "before")
    pd.testing.assert_frame_equal(back, holes)
    assert not found.cells.duplicated(["unit", "variable"]).any()
    assert set(found.cells["selection"]) == {"missing", "edit"}
    assert found.counts["cells"].sum() == len(found.cells)
    assert found.review.record_statistics()["records"].sum() == len(holes)
    again = process(holes, EDITS, IMPUTERS[name], seed=1)
    pd.testing.assert_frame_equal(again.cells, found.cells)


def test_donors_pass_edits_of_every_kind_and_so_do_their_recipients():
    frame, _ = survey()
    rng = np.random.default_rng(1)
    holes = frame.copy()
    cells = rng.random(len(frame)) < 0.3
    holes.loc[cells, "sector"] = None
    wrong = holes.index[~cells][:40]
    holes.loc[wrong, "staff"] = -1.0
    mask = holes[["sector"]].isna()
    how = {"min_donors": 1, "min_percent": 0, "tries": 40}
    found = NearestDonor(["costs"], edits=EDITS, **how).treat(holes, mask, 1)
    assert (found.cells["status"] == "imputed").all()
    treated = found.values.loc[cells]
    assert (review(treated, EDITS).by_record == 0).all()
    assert not set(found.cells["donor"]) & set(wrong)
    loose = NearestDonor(["costs"], **how).treat(holes, mask, 1)
    assert (review(loose.values.loc[cells], EDITS).by_record == 2).any()


def test_post_edits_agree_with_the_review_of_the_candidate():
    frame, holes = survey(60)
    mask = holes.isna().to_numpy()
    test = PostEdits(EDITS, holes, mask)
    rng = np.random.default_rng(2)
    recipients, donors = rng.integers(0, 60, (2, 300))
    told = test.passes(recipients, donors)
    for k in range(300):
        one = holes.iloc[[recipients[k]]].astype(object)
        given = holes.iloc[donors[k]]
        for j in np.flatnonzero(mask[recipients[k]]):
            one.iat[0, j] = given.iloc[j]
        fails = review(one, EDITS).by_record[0] == 2
        assert told[k] == (not fails)


def test_deterministic_imputation_takes_whole_numbers_from_a_set():
    edits = EditSet.from_texts(
        ["2 * a == b", "a >= 0", "if a > 3 then b > 9"],
        {"a": Variable(integer=True)},
    )
    frame = pd.DataFrame({"a": [np.nan, np.nan], "b": [8.0, 7.0]})
    found = Deterministic(edits).treat(frame, frame.isna())
    assert found.values["a"].iloc[0] == 4.0
    assert found.cells["reason"].tolist() == ["", "no value is feasible"]


def test_the_selection_is_told_by_the_mask():
    frame, _ = survey(50)
    mask = pd.DataFrame("", index=frame.index, columns=["turnover", "wages"])
    mask.iloc[0, 0], mask.iloc[1, 1] = "outlier", "unit of measure"
    found = process(frame, EDITS, HotDeck(), mask=mask, seed=1)
    told = dict(zip(found.cells["unit"], found.cells["selection"], strict=True))
    assert told["unit 0"] == "outlier"
    # The balance leaves one value: what was there, now known to be right.
    second = found.cells[found.cells["unit"] == "unit 3"].iloc[0]
    assert second["method"] == "deterministic"
    assert second["after"] == second["before"]
    given = process(frame, EDITS, HotDeck(), mask=mask == "outlier", seed=1)
    assert set(given.cells["selection"]) == {"given"}


def test_structural_cells_and_allowed_missing_ones_are_left():
    frame, holes = survey(80)
    variables = dict(EDITS.variables) | {"legal": Variable(missing_allowed=True)}
    edits = EditSet(
        EDITS.of([e for e in EDITS.edits if ":" not in e.id]).edits, variables
    )
    structural = pd.DataFrame({"turnover": holes["turnover"].isna()}, index=holes.index)
    found = process(holes, edits, HotDeck(), structural=structural, seed=1)
    assert not found.cells["variable"].isin(["legal", "turnover"]).any()
    same = holes["turnover"].isna()
    assert found.values["turnover"][same].isna().all()
    with pytest.raises(ConfigError, match="structurally missing"):
        process(holes, edits, HotDeck(), structural=structural, mask=structural, seed=1)


def test_a_cell_that_may_be_missing_is_treated_where_it_is_asked_for():
    frame = pd.DataFrame({"x": [1.0, 2.0, None, None]})
    edits = EditSet.from_texts(["x >= 0"], {"x": Variable(missing_allowed=True)})
    assert process(frame, edits, HotDeck()).cells.empty
    mask = pd.DataFrame({"x": [False, False, True, False]})
    found = process(frame, edits, HotDeck(), mask=mask)
    assert found.cells["unit"].tolist() == [2]
    assert found.values["x"].isna().tolist() == [False, False, False, True]


def test_impact_by_domain():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.0], "d": list("xxyy")})
    found = process(frame, None, HotDeck(["d"]))
    weights = pd.Series([1.0, 2.0, 1.0, 1.0])
    table = impact(found, weights, "d")
    row = table.iloc[0]
    assert row[["variable", "domain", "cells", "missing"]].tolist() == ["a", "x", 1, 1]
    assert row[["before", "after", "change"]].tolist() == [1.0, 3.0, 2.0]
    assert table.iloc[1][["cells", "change"]].tolist() == [0, 0.0]
    assert impact(found)["after"].tolist() == [9.0]
    with pytest.raises(ContractError, match="other rows"):
        impact(found, weights.iloc[:2])


# ------------------------------------------------------------------ bad input


def test_contradictory_edits_are_named_with_a_minimal_subset():
    edits = EditSet.from_texts({"x": "a >= b", "y": "b >= a + 1", "z": "a >= 0"})
    frame = pd.DataFrame({"a": [1.0], "b": [np.nan]})
    with pytest.raises(ConfigError, match="contradict") as caught:
        process(frame, edits, HotDeck())
    assert caught.value.where == "edits 'x', 'y'"


def test_an_unknown_variable_is_named_with_the_nearest():
    _, holes = survey(20)
    with pytest.raises(ConfigError) as caught:
        process(holes.rename(columns={"turnover": "turnovr"}), EDITS, HotDeck())
    assert caught.value.nearest == "turnovr"


def test_unbounded_variables_need_no_bound():
    edits = EditSet.from_texts(["a + b == c"])
    frame = pd.DataFrame(
        {"a": [1.0, np.nan, 5, 2], "b": [-3.0, 4, np.nan, 2], "c": [-2.0, 9, np.nan, 4]}
    )
    found = process(frame, edits, HotDeck())
    assert found.edits.empty
    assert (found.cells["status"] == "imputed").all()


def test_text_and_infinite_values_in_numbers_are_selected_and_replaced():
    _, holes = survey(100)
    holes["turnover"] = holes["turnover"].astype(object)
    holes.loc["unit 0", "turnover"] = "n/a"
    holes.loc["unit 3", "costs"] = np.inf
    found = process(holes, EDITS, HotDeck(), seed=2)
    cells = found.cells.set_index(["unit", "variable"])
    assert cells.loc[("unit 0", "turnover"), "selection"] == "edit"
    assert cells.loc[("unit 0", "turnover"), "before"] == "n/a"
    assert cells.loc[("unit 3", "costs"), "selection"] == "edit"
    assert found.edits.empty
    assert np.isfinite(found.values["turnover"].astype(float)).all()


def test_without_donors_the_cells_say_so_and_the_edits_are_listed():
    _, holes = survey(40)
    holes["sector"] = "B"
    imputer = NearestDonor(["staff"], by=["legal"], min_donors=10_000)
    found = process(holes, EDITS, imputer, seed=1)
    left = found.cells[found.cells["status"] == "not_imputed"]
    assert left["reason"].str.contains("donors").all()
    pd.testing.assert_frame_equal(apply_cells(holes, found.cells), found.values)
    fails = (review(found.values, EDITS).by_edit == 2).sum()
    assert found.edits["records"].sum() == fails - (
        # Soft edits are counted by the review only.
        (review(found.values, EDITS).by_edit[:, 5] == 2).sum()
    )
    assert (found.edits["reason"] != "").all()


@pytest.mark.parametrize("name", IMPUTERS)
def test_a_variable_that_nobody_has_is_told(name):
    _, holes = survey(60)
    holes["turnover"] = np.nan
    found = process(holes, EDITS, IMPUTERS[name], seed=1)
    left = found.cells[found.cells["variable"] == "turnover"]
    assert len(left) == len(holes)
    assert (left["status"] == "not_imputed").all()
    assert (left["reason"] != "").all()
    assert found.values["turnover"].isna().all()


def test_limits_and_fixed_variables_are_reasons():
    frame = pd.DataFrame({"a": [9.0, 1], "b": [9.0, 1], "c": [1.0, 2]})
    edits = EditSet.from_texts(
        ["a + b == c", "a <= 5", "b <= 5", "c >= 0", "a >= 0", "b >= 0"]
    )
    found = process(frame, edits, HotDeck(), limit=1)
    assert found.cells.empty
    assert found.edits["records"].tolist() == [1, 1, 1]
    assert set(found.edits["reason"]) == {
        "more than the limit would have to be changed"
    }
    fixed = process(frame, edits, HotDeck(), weights=dict.fromkeys("abc", np.inf))
    assert "cannot mend" in fixed.edits["reason"].iloc[0]


def test_a_double_index_and_a_foreign_mask_are_refused():
    frame = pd.DataFrame({"a": [1.0, 2]}, index=[1, 1])
    with pytest.raises(ContractError, match="tell the units apart"):
        process(frame, None, HotDeck())
    single = frame.reset_index(drop=True)
    with pytest.raises(ContractError, match="other rows"):
        process(single, None, HotDeck(), mask=frame.isna())
    with pytest.raises(ConfigError, match="no column 'b'"):
        process(single, None, HotDeck(), mask=pd.DataFrame({"b": [True, False]}))


def test_an_empty_file_and_a_file_without_anything_to_do():
    frame, _ = survey(30)
    for part in (frame.iloc[:0], frame):
        found = process(part, EDITS, HotDeck())
        assert found.cells.empty
        assert found.edits.empty
        pd.testing.assert_frame_equal(found.values, part)


def test_whole_number_columns_keep_their_type_and_large_numbers():
    frame = pd.DataFrame({"id": [2**60 + 1, 2**60 + 3], "a": [1, 7], "b": [1, 2]})
    edits = EditSet.from_texts(["a == b"], {"a": Variable(integer=True)})
    found = process(frame, edits, HotDeck(), seed=1)
    assert found.values["id"].tolist() == frame["id"].tolist()
    assert (found.values["a"] == found.values["b"]).all()
    assert found.values.dtypes.equals(frame.dtypes)


def test_an_imputer_that_is_consistent_already_is_used_as_it_is():
    _, holes = survey(100)
    once = EditConsistent(HotDeck(), EDITS, weights="unit")
    found = process(holes, EDITS, once, seed=1)
    assert found.edits.empty


def test_a_record_that_nothing_can_complete_is_searched_for_more():
    edits = EditSet.from_texts(["a + b == c"], {n: Variable(least=0) for n in "abc"})
    frame = pd.DataFrame(
        {"a": [9.0, 1, 2, 3], "b": [np.nan, 1, 2, np.nan], "c": [4.0, 2, 4, 9]}
    )
    # No edit is known to fail: b is missing, and a <= c only follows.
    assert review(frame, edits).status.tolist() == ["miss", "pass", "pass", "miss"]
    found = process(frame, edits, HotDeck(), seed=1)
    assert found.edits.empty
    assert (review(found.values, edits).by_record == 0).all()
    first = found.cells[found.cells["unit"] == 0]
    assert sorted(first["selection"]) == ["edit", "missing"]
    assert found.cells["unit"].tolist() == [0, 0, 3]
    pd.testing.assert_frame_equal(apply_cells(frame, found.cells), found.values)
    limited = process(frame, edits, HotDeck(), seed=1, limit=1)
    assert limited.edits["records"].sum() >= 1


@pytest.mark.parametrize("dtype", ["str", "string", "category", object])
def test_categories_of_any_type_are_treated(dtype):
    frame, holes = survey(120)
    names = ["sector", "legal"]
    typed = holes.astype(dict.fromkeys(names, dtype))
    found = process(typed, EDITS, HotDeck(), seed=1)
    plain = process(holes, EDITS, HotDeck(), seed=1)
    assert found.edits.empty
    for name in names:
        assert found.values[name].tolist() == plain.values[name].tolist()
        assert found.values[name].dtype == typed[name].dtype


def test_only_the_edits_of_the_period_are_kept():
    late = EDITS.edits[0].__class__(
        "late",
        "a <= 5",
        EditSet.from_texts(["a <= 5"]).edits[0].clauses,
        valid_from="2025",
    )
    frame = pd.DataFrame({"a": [1.0, 9.0, 4.0]})
    before = process(frame, EditSet((late,)), HotDeck(), period="2024")
    assert before.cells.empty
    after = process(frame, EditSet((late,)), HotDeck(), period="2025")
    assert after.cells["unit"].tolist() == [1]
    assert (after.values["a"] <= 5).all()

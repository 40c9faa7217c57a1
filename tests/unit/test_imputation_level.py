from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.config import GateRule
from mlstats.errors import ConfigError, ContractError
from mlstats.quality.gate import judge
from mlstats.quality.imputation_level import imputation_rows
from mlstats.quality.indicator_names import named
from mlstats.quality.report_tables import AGGREGATE_COLUMNS, KEPT_BACK
from mlstats.quality.scorecard import COLUMNS, Plan, as_scorecard

KINDS = {"donor": "traditional", "ml": "ml"}
SCALES = {"pay": "numeric", "school": "ordinal"}
ORDERS = {"school": ("low", "middle", "high")}
METHODS = ("donor", "ml")


def file_of(n: int = 1200, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 60, n)
    x = rng.normal(size=n) + 0.5 * rng.normal(size=60)[cluster]
    places = np.digitize(x + 0.3 * rng.normal(size=n), [-0.5, 0.7])
    return pd.DataFrame(
        {
            "unit": [f"u{i}" for i in range(n)],
            "cluster": cluster.astype(str),
            "stratum": np.where(cluster < 20, "a", "b"),
            "weight": rng.gamma(4, 0.25, n),
            "x": x,
            "pay": 20 + 3 * x + rng.normal(size=n),
            "school": np.array(ORDERS["school"], dtype=object)[places],
            "domain_sex": np.where(rng.random(n) < 0.005, "rare", "common"),
        }
    )


def units_of(masks: int = 3, seed: int = 5, bias: float = 2.0) -> pd.DataFrame:
    """Return cells under two arms: ML is closer, the donor's pay is too high."""
    file, rng = file_of(seed=seed), np.random.default_rng(seed)
    keep = ["unit", "cluster", "stratum", "weight", "domain_sex"]
    parts = []
    for mask in range(masks):
        for name in SCALES:
            held = file[rng.random(len(file)) < 0.2]
            for method in METHODS:
                noise = 1.0 if method == "ml" else 2.5
                part = held[keep].assign(
                    method=method, replicate=mask, variable=name, truth=held[name]
                )
                if name == "pay":
                    shift = bias * (method == "donor")
                    drawn = held["pay"] + shift + noise * rng.normal(size=len(held))
                    part["prediction"] = drawn.astype(object)
                else:
                    kept = rng.random(len(held)) < (0.8 if method == "ml" else 0.6)
                    other = rng.permutation(held[name])
                    part["prediction"] = np.where(kept, held[name], other)
                parts.append(part.astype({"truth": object}))
    return pd.concat(parts, ignore_index=True)


def totals_of(file: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for domain in ("", "sex: common", "sex: rare"):
        part = file[file["domain_sex"].eq(domain[5:]) | (domain == "")]
        paid = (part["weight"] * part["pay"]).sum()
        rows.append(("pay", domain, "", paid, len(part)))
        for code in ORDERS["school"]:
            own = part[part["school"] == code]
            rows.append(("school", domain, code, own["weight"].sum(), len(own)))
    return pd.DataFrame(rows, columns=["variable", "domain", "category", "total", "n"])


def rows_of(units: pd.DataFrame, **options: Any) -> pd.DataFrame:
    options = {"variables": SCALES, "orders": ORDERS, "kinds": KINDS} | options
    rows, _ = imputation_rows(units, baseline="donor", **options)
    return pd.DataFrame(rows)


def one(rows: pd.DataFrame, **cells: str) -> pd.Series:
    cells = {"domain": "", "method": "ml"} | cells
    found = rows[np.logical_and.reduce([rows[k] == v for k, v in cells.items()])]
    assert len(found) == 1, cells
    return found.iloc[0]


@pytest.fixture(scope="module")
def units() -> pd.DataFrame:
    return units_of()


@pytest.fixture(scope="module")
def rows(units: pd.DataFrame) -> pd.DataFrame:
    return rows_of(units, totals=totals_of(file_of()))


# -- rows ----------------------------------------


def test_rows_fit_the_scorecard_and_every_indicator_has_a_name(rows):
    assert set(rows.columns) <= set(COLUMNS)
    for indicator, dimension in rows[["indicator", "dimension"]].to_numpy():
        assert named(indicator) is not None, indicator
        assert named(indicator)[2] == dimension
    assert set(rows["level"]) == set(SCALES)
    assert dict(rows[["method", "kind"]].to_numpy()) == KINDS


def test_values_are_means_over_the_masks_and_differences_are_paired(units, rows):
    own = units[units["variable"] == "pay"]
    found = {}
    for method, part in own.groupby("method"):
        of_masks = []
        for _, cells in part.groupby("replicate"):
            truth, got = (cells[c].astype(float) for c in ("truth", "prediction"))
            w = cells["weight"]
            spread = np.average((truth - np.average(truth, weights=w)) ** 2, weights=w)
            square = np.average((got - truth) ** 2, weights=w)
            of_masks.append(np.sqrt(square / spread))
        found[method] = np.mean(of_masks)
    at = one(rows, indicator="nrmse", level="pay")
    assert at["value"] == pytest.approx(found["ml"])
    assert at["difference"] == pytest.approx(found["ml"] - found["donor"])
    assert at["difference_lower"] < at["difference"] < at["difference_upper"] < 0
    assert at["versus"] == "donor"
    assert "over the masks alone" in at["note"]
    base = one(rows, indicator="nrmse", level="pay", method="donor")
    assert np.isnan(base["difference"])
    assert at["n"] == own[own["method"] == "ml"].groupby("replicate").size().min()
    assert at["n_clusters"] == 60


def test_the_size_of_a_bias_is_compared_whatever_its_sign():
    rows = rows_of(units_of(bias=-2.0))
    base = one(rows, indicator="abs_mean_bias", level="pay", method="donor")
    signed = one(rows, indicator="mean_bias", level="pay", method="donor")
    assert signed["value"] < -0.08
    assert base["value"] == pytest.approx(-signed["value"])
    own = one(rows, indicator="abs_mean_bias", level="pay")
    assert own["value"] >= 0
    assert own["difference"] == pytest.approx(own["value"] - base["value"])
    assert own["difference_upper"] < 0 < own["difference_se"]


def test_a_gate_reads_the_rows(rows):
    plan = Plan(kinds=KINDS, baseline="donor", level="pay", levels=["pay"])
    card = as_scorecard(rows.to_dict("records"), plan)
    rules = [
        GateRule(measure="nrmse@pay", versus="donor"),
        GateRule(measure="abs_mean_bias@pay", versus="donor", margin=0.01),
        GateRule(measure="accuracy@school", versus="donor"),
        GateRule(measure="accuracy@school", at_least=0.97),
        GateRule(measure="imputed_share@pay", at_least=0.995),
        GateRule(measure="nrmse@pay", versus="donor", domain="sex"),
    ]
    found = judge(card, rules, method="ml", level="pay")
    assert list(found["result"]) == [
        "pass", "pass", "pass", "fail", "pass", "not_measured"
    ]  # fmt: skip


def test_small_domains_are_kept_back(rows):
    small = rows[rows["domain"] == "sex: rare"]
    assert len(small) > 0
    assert set(small["status"]) == {"not_measured"}
    assert small["note"].str.contains("kept back").all()
    assert small[["value", "lower", "upper"]].isna().all(axis=None)
    large = rows[(rows["domain"] == "sex: common") & (rows["level"] == "pay")]
    assert set(large["indicator"]) == {"nrmse", "mean_bias", "total_bias"}
    assert (large["status"] == "measured").all()


def test_order_of_the_rows_does_not_matter(units, rows):
    mixed = units.sample(frac=1, random_state=3)
    again = rows_of(mixed, totals=totals_of(file_of()))
    keys = ["indicator", "level", "method", "domain"]
    columns = ["value", "se", "lower", "difference_se"]
    one_way, other = (t.set_index(keys)[columns].sort_index() for t in (rows, again))
    pd.testing.assert_frame_equal(one_way, other)


def test_a_project_that_hashes_under_another_key_has_the_same_errors(units):
    placed = units.assign(position=units["unit"].str[1:].astype(int))
    first = rows_of(placed, totals=totals_of(file_of()))
    hashed = {name: placed[name].map(other_label) for name in ("unit", "cluster")}
    again = rows_of(placed.assign(**hashed), totals=totals_of(file_of()))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert (first["se"] > 0).any()


def other_label(label: str) -> str:
    return hashlib.sha256(f"another key {label}".encode()).hexdigest()


def test_no_masks_but_one_and_few_clusters(units):
    single = rows_of(units[units["replicate"] == 0])
    at = one(single, indicator="nrmse", level="pay")
    assert at["lower"] < at["value"] < at["upper"]
    assert "one mask" in at["note"]
    few = rows_of(units.assign(cluster="c"))
    at = one(few, indicator="nrmse", level="pay")
    assert "this file only" in at["note"]
    whole = one(rows_of(units), indicator="nrmse", level="pay")["value"]
    assert at["value"] == pytest.approx(whole)
    assert at["df"] == 2
    none = rows_of(units[units["replicate"] == 0].assign(cluster="c"))
    at = one(none, indicator="nrmse", level="pay")
    assert np.isnan([at["se"], at["lower"]]).all()
    assert "no interval" in at["note"]


# -- what is not imputed ----------------------------------------


def left_empty(units: pd.DataFrame, share: float, missing: Any = None) -> pd.DataFrame:
    """Let ML leave the cells empty in which it errs most."""
    units = units.copy()
    own = units[(units["method"] == "ml") & (units["variable"] == "pay")]
    error = (own["prediction"].astype(float) - own["truth"].astype(float)).abs()
    worst = error.sort_values().index[-int(share * len(own)) :]
    units.loc[worst, "prediction"] = missing
    return units


@pytest.mark.parametrize("missing", [None, np.nan, np.inf])
def test_cells_left_empty_count_for_no_arm_and_are_told(units, rows, missing):
    partly = rows_of(left_empty(units, 0.2, missing), totals=totals_of(file_of()))
    share = one(partly, indicator="imputed_share", level="pay")
    assert share["value"] == pytest.approx(0.8, abs=0.02)
    base = one(partly, indicator="nrmse", level="pay", method="donor")
    whole = one(rows, indicator="nrmse", level="pay", method="donor")
    assert base["value"] != whole["value"]
    for method in METHODS:
        at = one(partly, indicator="nrmse", level="pay", method=method)
        assert "left out for all methods" in at["note"]
    total = one(partly, indicator="total_bias", level="pay")
    assert total["status"] == "not_measured"
    assert "count them as right" in total["note"]
    assert one(
        partly, indicator="total_bias", level="pay", method="donor"
    )["status"] == "measured"  # fmt: skip


def test_a_few_empty_cells_leave_the_total(units):
    partly = rows_of(left_empty(units, 0.004), totals=totals_of(file_of()))
    total = one(partly, indicator="total_bias", level="pay")
    assert total["status"] == "measured"
    assert "without a value" in total["note"]


def test_a_method_that_imputes_nothing_is_not_measured(units):
    at = (units["method"] == "ml") & (units["variable"] == "pay")
    rows = rows_of(units.assign(prediction=units["prediction"].mask(at, None)))
    found = one(rows, indicator="nrmse", level="pay")
    assert found["status"] == "not_measured"
    assert one(rows, indicator="imputed_share", level="pay")["value"] == 0
    assert one(rows, indicator="accuracy", level="school")["status"] == "measured"


# -- totals ----------------------------------------


def test_totals_are_those_of_the_file_with_the_imputed_cells_in_it(units):
    file = file_of().set_index("unit")
    rows, table = imputation_rows(
        units, baseline="donor", kinds=KINDS, variables=SCALES, orders=ORDERS,
        totals=totals_of(file_of()),
    )  # fmt: skip
    assert list(table.columns) == list(AGGREGATE_COLUMNS)
    for level, name in (("pay", "total"), ("school", "middle")):
        shown = table[(table["level"] == level) & (table["variable"] == name)]
        shown = shown[shown["domain"] == ""].set_index("arm")
        expected: dict[str, list[float]] = {m: [] for m in METHODS}
        own = units[units["variable"] == level]
        for (method, _), cells in own.groupby(["method", "replicate"]):
            filled = file[level].astype(object).copy()
            filled[cells["unit"]] = cells["prediction"].to_numpy()
            y = filled.astype(float) if level == "pay" else (filled == name)
            total = (file["weight"] * y).sum()
            scale = 1.0 if level == "pay" else file["weight"].sum()
            expected[method].append(total / scale)
        for method in METHODS:
            at = shown.loc[method]
            assert at["value"] == pytest.approx(np.mean(expected[method]))
            gap = np.mean(expected[method]) - shown.loc["truth", "value"]
            assert at["difference"] == pytest.approx(gap)
            assert at["difference_lower"] < gap < at["difference_upper"]
        both = shown.loc["ml", "value"] - shown.loc["donor", "value"]
        assert shown.loc["ml", "gap"] == pytest.approx(both)
    paid = table[(table["level"] == "pay") & (table["domain"] == "")]
    paid = paid.set_index("arm")
    relative = one(pd.DataFrame(rows), indicator="total_bias", level="pay")["value"]
    ratio = paid.loc["ml", "difference"] / paid.loc["truth", "value"]
    assert relative == pytest.approx(ratio)


def test_small_cells_of_the_table_are_kept_back(units):
    _, table = imputation_rows(
        units, baseline="donor", kinds=KINDS, variables=SCALES, orders=ORDERS,
        totals=totals_of(file_of()),
    )  # fmt: skip
    small = table[table["domain"] == "sex: rare"]
    assert len(small) == 3 + 3 * 3
    assert small["value"].isna().all()
    assert small["n"].isna().all()
    assert set(small["note"]) == {KEPT_BACK}


def test_without_totals_the_table_is_empty(units):
    _, table = imputation_rows(
        units, baseline="donor", kinds=KINDS, variables=SCALES, orders=ORDERS
    )
    assert list(table.columns) == list(AGGREGATE_COLUMNS)
    assert table.empty


# -- input that does not fit ----------------------------------------


def broken(units: pd.DataFrame, **cells: Any) -> pd.DataFrame:
    """Change the first row of ML."""
    units = units.copy()
    row = units.index[units["method"] == "ml"][0]
    for column, value in cells.items():
        units.loc[row, column] = value
    return units


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"unit": "u0-of-another-file"}, "do not hold the same cells"),
        ({"truth": 3.0}, "truth of 'pay' differs"),
        ({"weight": 9.0}, "weight of 'pay' differs"),
        ({"prediction": "twenty"}, "is not a number"),
    ],
)
def test_cells_that_differ_are_refused(units, cells, said):
    with pytest.raises(ContractError, match=said):
        rows_of(broken(units, **cells))


def test_a_cell_twice_or_without_truth_is_refused(units):
    with pytest.raises(ContractError, match="stands twice"):
        rows_of(pd.concat([units, units.iloc[:1]]))
    with pytest.raises(ContractError, match="have no truth"):
        rows_of(units.assign(truth=units["truth"].where(units["unit"] != "u7")))
    beyond = units.replace({"prediction": {"high": "doctor"}})
    with pytest.raises(ContractError, match="not in the order"):
        rows_of(beyond)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kinds": {"ml": "ml"}}, "'donor' is not a method"),
        ({"variables": {"pay": "numeric"}}, "'school' has no scale"),
        ({"orders": {}}, "no order"),
        ({"variables": {"pay": "number", "school": "ordinal"}}, "'number' of 'pay'"),
    ],
)
def test_what_is_asked_for_must_be_known(units, options, said):
    with pytest.raises(ConfigError, match=said):
        rows_of(units, **options)


def test_totals_must_name_domains_and_categories_of_the_cells(units):
    totals = totals_of(file_of())
    with pytest.raises(ContractError, match="domain 'gender'"):
        rows_of(units, totals=totals.replace({"sex: common": "gender: common"}))
    with pytest.raises(ContractError, match="have no total"):
        rows_of(units, totals=totals[totals["category"] != "high"])
    with pytest.raises(ContractError, match="lack n"):
        rows_of(units, totals=totals.drop(columns="n"))


def test_a_method_that_does_not_impute_a_variable_takes_no_cells_from_the_others():
    rng = np.random.default_rng(0)
    n = 200
    truth = rng.normal(10, 2, n)
    kept = pd.DataFrame(
        {
            "replicate": 1,
            "unit": np.arange(n).astype(str),
            "cluster": np.arange(n).astype(str),
            "stratum": "",
            "variable": "x",
            "truth": truth,
            "weight": 1.0,
        }
    )
    answers = {
        "base": truth + 1,
        "other": truth - 1,
        "absent": np.where(np.arange(n) < 40, truth, np.nan),
    }
    units = pd.concat([kept.assign(method=m, prediction=p) for m, p in answers.items()])
    kinds = dict.fromkeys(answers, "traditional")
    rows, _ = imputation_rows(
        units, baseline="base", kinds=kinds, variables={"x": "numeric"}
    )
    found = {(r["indicator"], r["method"]): r for r in rows if r["domain"] == ""}
    assert found["nrmse", "base"]["n"] == n
    assert found["nrmse", "other"]["n"] == n
    assert found["nrmse", "absent"]["status"] == "not_measured"
    assert found["imputed_share", "absent"]["value"] == 0.2
    assert ("ks", "absent") not in found


def test_a_true_total_of_zero_has_no_relative_bias():
    kept = pd.DataFrame(
        {
            "replicate": 1,
            "unit": np.arange(40).astype(str),
            "cluster": np.arange(40).astype(str),
            "stratum": "",
            "variable": "x",
            "truth": 0.0,
            "weight": 1.0,
        }
    )
    units = pd.concat(
        [kept.assign(method=m, prediction=p) for m, p in (("a", 0.0), ("b", 1.0))]
    )
    totals = pd.DataFrame(
        {"variable": ["x"], "domain": "", "category": "", "total": [0.0], "n": [40]}
    )
    rows, _ = imputation_rows(
        units,
        baseline="a",
        kinds={"a": "traditional", "b": "ml"},
        variables={"x": "numeric"},
        totals=totals,
    )
    of_total = [r for r in rows if r["indicator"] == "total_bias"]
    assert {r["status"] for r in of_total} == {"not_measured"}
    assert {r["note"] for r in of_total} == {"the true total is zero"}

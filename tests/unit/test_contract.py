from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.config import Data
from mlstats.contract import ContractResult, check, safe_view
from mlstats.errors import ConfigError, ContractError

EXTREME = 9.87654321e13
CODES = ["0111", "0112", "0121"]
Change = Callable[[pd.DataFrame], pd.DataFrame | None]


def contract(*, tolerate: dict[str, float] | None = None, **roles: Any) -> Data:
    named: dict[str, Any] = {
        "unit_id": "line",
        "text": ["description", "brand"],
        "target": "code",
        "weight": "weight",
        "stratum": "region",
        "cluster": "household",
        "period": "month",
        "auxiliary": ["price", "shop"],
        "domain": ["region"],
        "confidential": ["line", "interviewer"],
    }
    return Data.model_validate(
        {
            "source": "diary.csv",
            "frequency": "M",
            "roles": named | roles,
            "tolerate": tolerate or {},
        }
    )


def diary(n: int = 60) -> pd.DataFrame:
    """Return data that keep the contract in every rule."""
    row = np.arange(n)
    return pd.DataFrame(
        {
            "line": [f"unit-{i:04d}" for i in row],
            "description": [f"milk{i % 7} whole" for i in row],
            "brand": ["alpine" if i % 2 else "" for i in row],
            "code": [CODES[i % 3] for i in row],
            "gold": [CODES[i % 3] if i % 2 else None for i in row],
            "weight": 1.0 + row % 5,
            "region": [f"0{1 + i // 4 % 2}" for i in row],
            "household": [f"h{i // 4}" for i in row],
            "month": ["2026-07" if i < n // 2 else "2026-08" for i in row],
            "price": row * 1.5,
            "shop": [("market", "kiosk", "web")[i % 3] for i in row],
            "interviewer": [f"clerk{i % 2}" for i in row],
        }
    )


def setting(column: str, rows: Any, value: Any) -> Change:
    """Return the change that sets one value in these rows (None: all of them)."""

    def change(frame: pd.DataFrame) -> None:
        if rows is None:
            frame[column] = value
        else:
            frame[column] = frame[column].astype(object)
            frame.loc[rows, column] = value

    return change


def broken(change: Change, data: Data | None = None, truth: str = "gold") -> Any:
    frame = diary()
    changed = change(frame)
    frame = frame if changed is None else changed
    return check(frame, data or contract(), truth=truth, known_codes=CODES)


def rows_of(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table.itertuples(index=False, name=None))


def test_data_that_keep_the_contract_pass_without_a_warning() -> None:
    result = check(diary(), contract(), truth="gold", known_codes=CODES)
    assert result.ok
    assert rows_of(result.failures) == []
    assert rows_of(result.warnings) == []
    result.raise_if_failed("diary.csv")


@pytest.mark.parametrize(
    ("change", "column", "rule", "count", "first_rows"),
    [
        (lambda f: f.drop(columns="price"), "price", "is not in the data", 1, ""),
        (lambda f: f.drop(columns="gold"), "gold", "is not in the data", 1, ""),
        (
            lambda f: f.rename(columns={"weight": "weigth"}),
            "weight",
            "is not in the data (nearest: weigth)",
            1,
            "",
        ),
        (
            lambda f: pd.concat([f, f[["shop"]]], axis=1),
            "shop",
            "is there more than once",
            2,
            "",
        ),
        (
            lambda f: pd.concat([f, f[["line"]]], axis=1),
            "line",
            "is there more than once",
            2,
            "",
        ),
        (lambda f: f.iloc[:0], "", "there are no rows", 0, ""),
        (setting("line", [3], None), "line", "is missing", 1, "4"),
        (setting("line", [3, 9], "  "), "line", "is missing", 2, "4, 10"),
        (
            setting("line", range(10, 20), "unit-0000"),
            "line",
            "repeats the id of an earlier row",
            10,
            "11, 12, 13, 14, 15",
        ),
        (
            setting("line", None, np.arange(60)),
            "line",
            "is not read as strings",
            60,
            "1, 2, 3, 4, 5",
        ),
        (setting("line", [7], 7), "line", "is not read as strings", 1, "8"),
        (
            setting("description", [0], 111),
            "description",
            "is not read as strings",
            1,
            "1",
        ),
        (
            lambda f: f.assign(description=" ", brand="alpine"),
            "description",
            "is empty in every row",
            60,
            "1, 2, 3, 4, 5",
        ),
        (
            setting("brand", None, np.nan),
            "brand",
            "is empty in every row",
            60,
            "1, 2, 3, 4, 5",
        ),
        (
            setting("description", [2, 3, 4], None),
            "description, brand",
            "there is no text",
            2,
            "3, 5",
        ),
        (
            setting("code", None, 111),
            "code",
            "is not read as strings",
            60,
            "1, 2, 3, 4, 5",
        ),
        (setting("code", [5], None), "code", "is missing", 1, "6"),
        (setting("code", [5], ""), "code", "is missing", 1, "6"),
        (setting("code", None, None), "code", "has no value", 60, "1, 2, 3, 4, 5"),
        (setting("gold", None, None), "gold", "has no value", 60, "1, 2, 3, 4, 5"),
        (
            setting("code", [1, 2], "111"),
            "code",
            "is not a code of the classification",
            2,
            "2, 3",
        ),
        (
            setting("gold", [1], "0999"),
            "gold",
            "is not a code of the classification",
            1,
            "2",
        ),
        (
            setting("weight", None, "1,5"),
            "weight",
            "is not read as numbers",
            60,
            "1, 2, 3, 4, 5",
        ),
        (
            setting("weight", None, True),
            "weight",
            "is not read as numbers",
            60,
            "1, 2, 3, 4, 5",
        ),
        (
            lambda f: f.assign(weight=f["weight"].where(f.index != 8)),
            "weight",
            "is missing or infinite",
            1,
            "9",
        ),
        (
            lambda f: f.assign(weight=f["weight"].where(f.index != 8, np.inf)),
            "weight",
            "is missing or infinite",
            1,
            "9",
        ),
        (
            lambda f: f.assign(weight=f["weight"].where(f.index != 8, -0.5)),
            "weight",
            "is negative",
            1,
            "9",
        ),
        (
            setting("weight", None, 0.0),
            "weight",
            "is zero in every row",
            60,
            "1, 2, 3, 4, 5",
        ),
        (
            setting("month", [3], "2026-13"),
            "month",
            "is not a reference period of frequency M",
            1,
            "4",
        ),
        (
            setting("month", [3, 4], "2026-Q3"),
            "month",
            "is not a reference period of frequency M",
            2,
            "4, 5",
        ),
        (
            setting("month", [3], None),
            "month",
            "is not a reference period of frequency M",
            1,
            "4",
        ),
    ],
)
def test_a_broken_rule_is_the_one_failure(
    change, column, rule, count, first_rows
) -> None:
    result = broken(change)
    assert rows_of(result.failures) == [(column, rule, count, first_rows)]
    assert not result.ok


@pytest.mark.parametrize(
    ("change", "column", "rule", "count", "first_rows"),
    [
        (setting("code", [4], "0112"), None, None, 0, ""),
        (
            setting("household", [0, 50], None),
            "household",
            "is missing: each such row is a cluster of its own",
            2,
            "1, 51",
        ),
        (
            setting("region", [20, 21, 22, 23], "03"),
            "region",
            "is a stratum of one cluster, which has no variance of its own",
            1,
            "21",
        ),
    ],
)
def test_what_is_allowed_and_rare_is_a_warning(
    change, column, rule, count, first_rows
) -> None:
    result = broken(change)
    assert result.ok
    expected = [] if column is None else [(column, rule, count, first_rows)]
    assert rows_of(result.warnings) == expected


def test_a_class_of_one_row_is_a_warning() -> None:
    frame = diary()
    frame.loc[[7, 9], "code"] = ["0131", "0132"]
    frame.loc[[7, 9], "gold"] = None
    known = [*CODES, "0131", "0132"]
    result = check(frame, contract(), truth="gold", known_codes=known)
    assert result.ok
    assert rows_of(result.warnings) == [("code", "is a class of one row", 2, "8, 10")]


def test_rows_without_a_cluster_are_clusters_of_their_own_in_their_stratum() -> None:
    frame = diary()
    frame.loc[[20, 21], "region"] = "03"
    frame.loc[[20, 21], "household"] = None
    warnings = check(frame, contract(), truth="gold").warnings
    assert list(warnings["column"]) == ["household"]


def test_a_row_without_a_cluster_is_not_mistaken_for_another_cluster() -> None:
    frame = diary()
    alone = 5  # the number of the cluster with which it is in the stratum
    frame.loc[[alone, *range(20, 24)], "region"] = "03"
    frame.loc[alone, "household"] = None
    warnings = check(frame, contract(), truth="gold").warnings
    assert list(warnings["column"]) == ["household"]


def test_rows_without_a_stratum_are_one_stratum() -> None:
    frame = diary()
    frame.loc[20:23, "region"] = None
    warnings = check(frame, contract(), truth="gold").warnings
    assert [(w[0], w[2], w[3]) for w in rows_of(warnings)] == [("region", 1, "21")]


def test_without_clusters_a_stratum_of_one_unit_is_warned_of() -> None:
    frame = diary()
    frame.loc[20, "region"] = "03"
    warnings = check(frame, contract(cluster=None), truth="gold").warnings
    assert [(w[0], w[2], w[3]) for w in rows_of(warnings)] == [("region", 1, "21")]


@pytest.mark.parametrize(
    ("tolerance", "change", "column"),
    [
        ("empty_text", setting("description", [2, 4, 6], None), "description, brand"),
        ("missing_target", setting("code", [2, 4, 6], None), "code"),
        ("unknown_code", setting("code", [2, 4, 6], "0999"), "code"),
    ],
)
def test_a_tolerated_share_is_a_warning_and_a_greater_one_a_failure(
    tolerance, change, column
) -> None:
    at_the_bound = broken(change, contract(tolerate={tolerance: 3 / 60}))
    assert at_the_bound.ok
    assert [(w[0], w[2], w[3]) for w in rows_of(at_the_bound.warnings)] == [
        (column, 3, "3, 5, 7")
    ]
    below = broken(change, contract(tolerate={tolerance: 2.9 / 60}))
    assert [(f[0], f[2], f[3]) for f in rows_of(below.failures)] == [
        (column, 3, "3, 5, 7")
    ]


def test_a_text_column_that_is_always_empty_fails_whatever_is_tolerated() -> None:
    data = contract(tolerate={"empty_text": 1.0})
    result = broken(setting("brand", None, ""), data)
    assert list(result.failures["rule"]) == ["is empty in every row"]


def test_codes_are_not_held_against_a_classification_that_is_not_given() -> None:
    frame = diary().assign(code="anything")
    assert check(frame, contract(), truth="gold").ok


def test_a_code_that_lost_its_leading_zero_is_not_a_code() -> None:
    result = broken(setting("code", [0, 3], "111"))
    assert rows_of(result.failures)[0][1] == "is not a code of the classification"


def test_roles_that_are_not_named_are_not_checked() -> None:
    data = Data.model_validate(
        {"source": "x.csv", "roles": {"unit_id": "line", "text": ["description"]}}
    )
    frame = diary()[["line", "description"]]
    result = check(frame, data, truth=None, known_codes=CODES)
    assert result.ok
    assert result.warnings.empty


@pytest.mark.parametrize("dtype", ["str", "category", object])
def test_strings_are_strings_in_whatever_column(dtype) -> None:
    frame = diary().astype({"line": dtype, "code": dtype, "description": dtype})
    assert check(frame, contract(), truth="gold", known_codes=CODES).ok


@pytest.mark.parametrize("dtype", ["Int64", "float32", "int8", "Float64"])
def test_numbers_are_numbers_in_whatever_column(dtype) -> None:
    frame = diary().astype({"weight": dtype})
    assert check(frame, contract(), truth="gold", known_codes=CODES).ok


def test_a_year_that_was_read_as_a_number_is_a_period_all_the_same() -> None:
    data = contract().model_copy(update={"frequency": "A"})
    assert check(diary().assign(month=2026), data, truth="gold").ok


def test_row_numbers_count_rows_and_not_the_index() -> None:
    frame = diary().set_index(pd.Index(range(500, 560)))
    frame.loc[503, "code"] = None
    result = check(frame, contract(), truth="gold", known_codes=CODES)
    assert result.failures.loc[0, "first_rows"] == "4"


def test_every_failure_is_in_one_table() -> None:
    frame = diary().drop(columns="shop").assign(weight=-1.0)
    frame.loc[3, "line"] = None
    frame.loc[5, "code"] = "secret"
    result = check(frame, contract(), truth="gold", known_codes=CODES)
    assert list(result.failures["column"]) == ["shop", "line", "code", "weight"]
    with pytest.raises(ContractError) as raised:
        result.raise_if_failed("diary.csv")
    error = raised.value
    assert error.failures is result.failures
    assert error.where == "diary.csv"
    assert error.exit_code == 3
    assert error.hint
    assert error.title == (
        "The data break the contract (4 failed): shop: is not in the data (1); "
        "line: is missing (1, first in rows 4); "
        "code: is not a code of the classification (1, first in rows 6); and 1 more"
    )
    assert "secret" not in str(error)


def test_a_failure_without_a_column_is_told_as_it_is() -> None:
    result = check(diary().iloc[:0], contract(), truth="gold")
    with pytest.raises(ContractError) as raised:
        result.raise_if_failed()
    assert raised.value.title.endswith("(1 failed): there are no rows")


def test_a_result_cannot_be_changed() -> None:
    result = check(diary(), contract(), truth="gold")
    assert isinstance(result, ContractResult)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.failures = result.warnings


# The safe view


def test_the_safe_view_shows_features_bins_and_categories_only() -> None:
    view, _ = safe_view(diary(), contract(), truth="gold")
    assert list(view.columns) == [
        "code",
        "gold",
        "region",
        "weight",
        "price",
        "shop",
        "description_length",
        "description_words",
        "description_known",
        "brand_length",
        "brand_words",
        "brand_known",
    ]
    assert view.attrs["safe_view"] is True
    assert all(isinstance(dtype, pd.CategoricalDtype) for dtype in view.dtypes)
    assert list(view["code"]) == list(diary()["code"])
    assert list(view["gold"].value_counts()[["missing", "0112"]]) == [30, 10]


@pytest.mark.parametrize("hidden", ["line", "household", "month", "interviewer"])
def test_what_is_hidden_by_one_role_is_not_shown_by_another(hidden) -> None:
    data = contract(auxiliary=["price", hidden], domain=[hidden])
    view, _ = safe_view(diary(), data, truth=hidden)
    assert hidden not in view
    assert "price" in view


def test_a_text_that_is_a_domain_too_is_shown_by_its_features_only() -> None:
    data = contract(domain=["brand"], confidential=["line"])
    view, _ = safe_view(diary(), data)
    assert "brand" not in view
    assert "brand_length" in view


def test_the_frame_is_left_as_it_was() -> None:
    frame = diary()
    safe_view(frame, contract())
    pd.testing.assert_frame_equal(frame, diary())
    assert frame.attrs == {}


def test_an_extreme_value_an_id_and_a_name_are_nowhere_in_the_view() -> None:
    frame = diary().set_index("line", drop=False)
    frame.loc["unit-0007", ["price", "weight"]] = EXTREME
    frame["shop"] = frame["shop"].astype(object)
    frame.loc["unit-0008", "shop"] = EXTREME
    frame.loc["unit-0009", "shop"] = "Mrs Planted"
    frame.loc["unit-0009", "description"] = "Mrs Planted"
    frame["planted"] = "unit-0007"
    view, reference = safe_view(frame, contract())
    told = view.to_csv() + repr([list(view[c].cat.categories) for c in view])
    told += repr(view.index) + repr(reference) + repr(view.attrs)
    for secret in ("9.87", "98765", "Mrs", "unit-", "milk", "clerk", "h1", "planted"):
        assert secret not in told
    assert view.loc[7, ["price", "weight"]].tolist() == ["q10", "q10"]
    assert view.loc[[8, 9], "shop"].tolist() == ["other", "other"]


def test_numbers_are_binned_between_the_deciles_of_the_reference() -> None:
    data = contract()
    frame = diary(100).assign(price=np.arange(100.0))
    view, reference = safe_view(frame, data)
    assert view["price"].value_counts().drop("missing").eq(10).all()
    assert view["price"].cat.codes.is_monotonic_increasing
    later = diary(4).assign(price=[-1e300, 12.5, 1e300, np.nan])
    view, same = safe_view(later, data, reference=reference)
    assert same is reference
    assert view["price"].tolist() == ["q01", "q02", "q10", "missing"]


def test_a_value_with_much_of_the_mass_takes_the_middle_of_its_bins() -> None:
    frame = diary(100).assign(price=np.r_[np.zeros(60), np.arange(1.0, 41.0)])
    view, reference = safe_view(frame, contract())
    assert set(view["price"][:60]) == {"q04"}
    assert set(view["price"][60:]) == {"q07", "q08", "q09", "q10"}
    later = diary(2).assign(price=[-0.5, 0.0])
    view, _ = safe_view(later, contract(), reference=reference)
    assert view["price"].tolist() == ["q01", "q04"]


def test_a_constant_column_shows_a_change_in_either_direction() -> None:
    _, reference = safe_view(diary().assign(price=7.0), contract())
    later = diary(3).assign(price=[6.0, 7.0, 8.0])
    view, _ = safe_view(later, contract(), reference=reference)
    assert view["price"].tolist() == ["q01", "q05", "q10"]


@pytest.mark.parametrize("empty", [None, np.nan, pd.NaT])
def test_a_column_that_is_always_missing_is_missing(empty) -> None:
    data = contract()
    view, reference = safe_view(diary().assign(price=empty, shop=empty), data)
    assert set(view["price"]) == set(view["shop"]) == {"missing"}
    view, _ = safe_view(diary(), data, reference=reference)
    assert set(view["price"]) == set(view["shop"]) == {"other"}


def test_a_column_that_is_not_there_is_missing() -> None:
    data = contract()
    full, reference = safe_view(diary(), data)
    absent = diary().drop(columns=["code", "price", "description"])
    view, _ = safe_view(absent, data, reference=reference)
    assert list(view.columns) == list(full.columns)
    for column in ("code", "price", "description_length", "description_known"):
        assert set(view[column]) == {"missing"}


def test_infinite_values_take_the_outer_bins() -> None:
    frame = diary(60)
    frame["price"] = np.r_[-np.inf, np.inf, np.arange(58.0)]
    view, _ = safe_view(frame, contract())
    assert view["price"][:2].tolist() == ["q01", "q10"]


def test_rare_categories_are_pooled_by_the_units_of_the_reference() -> None:
    data = contract()
    frame = diary(59)
    frame["shop"] = ["market"] * 40 + ["kiosk"] * 10 + ["web"] * 9
    view, reference = safe_view(frame, data)
    assert list(view["shop"].cat.categories) == ["kiosk", "market", "other", "missing"]
    assert view["shop"].value_counts()["other"] == 9
    view, _ = safe_view(frame, data, min_cell=9)
    assert "web" in set(view["shop"])
    later = diary(3).assign(shop=["kiosk", "new", None])
    view, _ = safe_view(later, data, reference=reference)
    assert view["shop"].tolist() == ["kiosk", "other", "missing"]


def test_the_view_of_few_units_shows_no_category() -> None:
    view, _ = safe_view(diary(9), contract())
    assert set(view["code"]) == {"other"}


def test_a_number_in_a_domain_is_a_name() -> None:
    frame = diary().assign(region=np.arange(60) % 2 + 1.0)
    view, reference = safe_view(frame, contract())
    assert set(view["region"]) == {"1", "2"}
    later = diary(2).assign(region=["1", "2"])
    view, _ = safe_view(later, contract(), reference=reference)
    assert view["region"].tolist() == ["1", "2"]


@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2026-01-01", periods=60),
        pd.timedelta_range("1s", periods=60),
        np.arange(60) % 2 == 0,
        pd.array([True, None] * 30, dtype="boolean"),
        pd.Categorical(["x"] * 60),
        [{"nested": 1}.__repr__()] * 60,
    ],
)
def test_columns_of_every_type_become_categories(values) -> None:
    view, _ = safe_view(diary().assign(shop=values), contract())
    assert "q01" not in set(view["shop"].cat.categories)
    kept = set(view["shop"]) - {"other", "missing"}
    assert all((view["shop"] == name).sum() >= 10 for name in kept)


def test_numbers_that_a_database_gave_as_objects_are_binned() -> None:
    frame = diary().assign(price=pd.Series([*range(59), None], dtype=object))
    view, _ = safe_view(frame, contract())
    assert view["price"].iloc[[0, 58, 59]].tolist() == ["q01", "q10", "missing"]


def test_the_features_of_a_text() -> None:
    data = contract(text=["description"])
    frame = diary(100)
    frame["description"] = [" ".join(["word"] * (1 + i // 10)) for i in range(100)]
    view, reference = safe_view(frame, data)
    words = view["description_words"]
    assert words.value_counts().drop("missing").eq(10).all()
    assert words.cat.codes.is_monotonic_increasing
    later = diary(4).assign(
        description=["word new word new", "WORD, new; new-new", "!?", None]
    )
    view, _ = safe_view(later, data, reference=reference)
    assert view["description_words"].tolist() == ["q04", "q04", "q01", "missing"]
    assert view["description_length"].tolist()[3] == "missing"
    assert view["description_known"].tolist() == [
        "25-50%",
        "0-25%",
        "missing",
        "missing",
    ]


def test_a_word_of_the_reference_is_known_there_only_by_another_row() -> None:
    data = contract(text=["description"])
    frame = diary(4)
    frame["description"] = ["milk", "milk alone", "bread bread", "rye"]
    view, reference = safe_view(frame, data)
    known = ["75-100%", "25-50%", "0-25%", "0-25%"]
    assert view["description_known"].tolist() == known
    view, _ = safe_view(frame, data, reference=reference)
    assert set(view["description_known"]) == {"75-100%"}


def test_the_share_of_known_words_does_not_drift_where_nothing_does() -> None:
    # Good and Turing: as many words are new in the next text as are unique in these.
    rng = np.random.default_rng(1)
    shares = []
    reference = None
    for _ in range(2):
        words = (rng.pareto(0.4, size=4000) * 5).astype(int).astype(str)
        frame = diary(4000).assign(description=words)
        view, reference = safe_view(frame, contract(), reference=reference)
        shares.append((view["description_known"] == "75-100%").mean())
    assert 0.3 < shares[0] < 0.9
    assert shares[1] == pytest.approx(shares[0], abs=0.03)


def test_words_that_are_known_anyway_are_those_of_the_caller() -> None:
    data = contract(text=["description"])
    frame = diary(2).assign(description=["Whole MILK", "whole bread"])
    view, reference = safe_view(frame, data, known_words=["milk", "Whole"])
    assert view["description_known"].tolist() == ["75-100%", "25-50%"]
    view, _ = safe_view(frame[::-1], data, reference=reference)
    assert view["description_known"].tolist() == ["25-50%", "75-100%"]


def test_a_column_with_the_name_of_a_feature_is_refused() -> None:
    data = contract(auxiliary=["brand_length"])
    with pytest.raises(ConfigError, match="'brand_length'"):
        safe_view(diary().assign(brand_length=1), data)


def test_a_frame_without_rows_has_a_safe_view() -> None:
    data = contract()
    full, reference = safe_view(diary(), data)
    view, _ = safe_view(diary().iloc[:0], data, reference=reference)
    assert view.shape == (0, full.shape[1])
    view, _ = safe_view(diary().iloc[:0], data)
    assert len(view) == 0


def test_a_cluster_in_two_strata_fails_unless_the_periods_differ() -> None:
    frame = diary()
    frame.loc[0, "region"] = "02"
    failures = check(frame, contract(), truth="gold", known_codes=CODES).failures
    assert list(failures["rule"]) == ["is a cluster in several strata"]
    assert failures["count"].iloc[0] == 4
    moved = diary().assign(household="one")
    moved["region"] = np.where(moved["month"] == "2026-07", "01", "02")
    assert check(moved, contract(), truth="gold", known_codes=CODES).ok


def test_a_sampling_fraction_is_one_share_in_each_stratum() -> None:
    data = contract(fraction="drawn")
    whole = diary().assign(drawn=lambda f: np.where(f["region"] == "01", 0.1, 0.4))
    assert check(whole, data, truth="gold", known_codes=CODES).ok
    two = whole.assign(drawn=whole["drawn"].where(whole.index != 3, 0.2))
    outside = whole.assign(drawn=1.5)
    for frame, rule in (
        (two, "differs within a stratum"),
        (outside, "is not a share between zero and one"),
    ):
        failures = check(frame, data, truth="gold", known_codes=CODES).failures
        assert rule in set(failures["rule"])

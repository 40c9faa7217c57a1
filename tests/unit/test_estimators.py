"""Estimators in order, against their formulas."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.estimators import EstimatorImputer, EstimatorStep
from mlstats.errors import ConfigError, ContractError
from mlstats.method import work_of


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "y": [10.0, 20.0, 30.0, np.nan, np.nan],
            "x": [1.0, 2.0, 3.0, 4.0, np.nan],
            "h": [5.0, 10.0, 15.0, 8.0, 6.0],
            "xh": [1.0, 1.0, 2.0, 2.0, 0.0],
            "c": ["a", "a", "a", "a", "a"],
        },
        index=list("vwxyz"),
    )


def _mask(frame):
    return frame[["y"]].isna()


@pytest.mark.parametrize(
    ("estimator", "auxiliary", "expected"),
    [
        ("mean", (), 20.0),
        ("ratio", ("x",), 40.0),  # 20 * 4 / 2
        ("regression", ("x",), 40.0),
        ("trend", ("h",), 16.0),  # 8 * 20 / 10
        ("auxiliary_trend", ("h", "x", "xh"), 16.0),  # 8 * 4 / 2
        ("previous", ("h",), 8.0),
    ],
)
def test_each_estimator_follows_its_formula(frame, estimator, auxiliary, expected):
    imputer = EstimatorImputer([EstimatorStep("y", estimator, auxiliary)])
    found = imputer.impute(frame, _mask(frame), 1)
    assert found.loc["y", "y"] == pytest.approx(expected)
    assert found.loc[["v", "w", "x"], "y"].tolist() == [10.0, 20.0, 30.0]


def test_the_first_estimator_with_a_value_wins_and_is_named(frame):
    imputer = EstimatorImputer(
        [EstimatorStep("y", "ratio", ["x"]), EstimatorStep("y", "previous", ["h"])]
    )
    cells = imputer.treat(frame, _mask(frame), 1).cells
    assert cells["method"].tolist() == ["ratio", "previous"]
    assert cells["after"].tolist() == [pytest.approx(40.0), 6.0]


def test_division_by_zero_and_negative_results_leave_the_cell(frame):
    step = EstimatorStep("y", "auxiliary_trend", ["h", "x", "xh"])
    frame.loc["y", "xh"] = 0.0
    cells = EstimatorImputer([step]).treat(frame, _mask(frame), 1).cells
    assert cells["status"].tolist() == ["not_imputed", "not_imputed"]
    assert cells["reason"].str.len().min() > 0


def test_residuals_are_drawn_from_the_records_of_the_fit(frame):
    frame["y"] = [11.0, 19.0, 30.0, np.nan, np.nan]
    step = EstimatorStep("y", "ratio", ["x"], residual=True)
    drawn = {
        EstimatorImputer([step]).impute(frame, _mask(frame), s).loc["y", "y"]
        for s in range(40)
    }
    assert sorted(drawn) == pytest.approx([39.0, 40.0, 41.0])


def test_earlier_imputed_values_serve_later_steps_but_not_their_means(frame):
    frame["z"] = [1.0, 2.0, 3.0, np.nan, 5.0]
    mask = frame[["y", "z"]].isna()
    steps = [EstimatorStep("y", "ratio", ["x"]), EstimatorStep("z", "ratio", ["y"])]
    found = EstimatorImputer(steps).impute(frame, mask, 1)
    assert found.loc["y", "z"] == pytest.approx(40.0 * 2.0 / 20.0)


def test_weighted_mean(frame):
    frame["w"] = [2.0, 1.0, 1.0, 1.0, 1.0]
    step = EstimatorStep("y", "mean", weight="w")
    found = EstimatorImputer([step]).impute(frame, _mask(frame), 1)
    assert found.loc["y", "y"] == pytest.approx(70 / 4)


def test_bad_input_is_a_clear_error(frame):
    with pytest.raises(ConfigError, match="no estimator"):
        EstimatorStep("y", "median")
    with pytest.raises(ConfigError, match="auxiliary"):
        EstimatorStep("y", "ratio")
    imputer = EstimatorImputer([EstimatorStep("y", "mean")])
    mask = _mask(frame)
    with pytest.raises(ContractError, match="text"):
        imputer.impute(frame.assign(y=list("abcde")), mask, 1)
    with pytest.raises(ContractError, match="infinite"):
        imputer.impute(frame.assign(y=[np.inf, 1, 2, 3, 4]), mask, 1)
    assert work_of(imputer) == "impute"

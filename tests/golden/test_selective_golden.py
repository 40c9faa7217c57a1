"""Selective editing on published test data and on the measured setting.

The parameters that SeleMix's test data were generated with are those of its reference
manual (data sets ex1.data and ex2.data): B = (-0.26, 1.26), sigma = 1.21, w = 0.05,
lambda = 10; and B = (1.03, 0.96), sigma = (1.22, 1.42; 1.42, 2.89), w = 0.05,
lambda = 10.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.selective import SHARES, ranked
from mlstats.editimpute.contamination import Contamination, fit_contamination
from mlstats.editimpute.selective import impact_table


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    path = real_data / "editimpute"
    if not (path / "ses_earnings_dev.parquet").exists():
        pytest.skip("the data for editing and imputation are not on this machine")
    return path


def _near(found: Contamination, share: float, inflation: float, values: int) -> None:
    """Check share and inflation against their standard errors with 500 records."""
    wrong = 500 * share
    assert found.share == pytest.approx(share, abs=3 * (share / 500) ** 0.5)
    # A variance of `values * wrong` residuals: the logarithm has sqrt(2 / that); that
    # it is not known which ones they are makes it about half as large again.
    spread = 1.5 * (2 / (values * wrong)) ** 0.5
    assert np.log(found.inflation / inflation) == pytest.approx(0, abs=2 * spread)


def test_first_test_data_of_selemix(folder: Path) -> None:
    data = pd.read_csv(folder / "selemix_ex1.csv.gz")
    found = fit_contamination(data[["Y1"]], np.log(data[["X1"]]))
    x = np.hstack([np.ones((500, 1)), np.log(data[["X1"]])])
    error = np.sqrt(np.diag(1.21 * np.linalg.inv(x.T @ x)))
    gap = found.coefficients["Y1"].to_numpy() - [-0.26, 1.26]
    assert (np.abs(gap) < 3 * error).all()
    assert found.covariance.iloc[0, 0] == pytest.approx(1.21, rel=3 * (2 / 475) ** 0.5)
    _near(found, 0.05, 10, 1)
    assert found.bic < found.bic_without


def test_second_test_data_of_selemix(folder: Path) -> None:
    data = pd.read_csv(folder / "selemix_ex2.csv.gz")
    found = fit_contamination(data)
    S = np.array([[1.22, 1.42], [1.42, 2.89]])
    gap = found.coefficients.loc["intercept"].to_numpy() - [1.03, 0.96]
    assert (np.abs(gap) < 3 * np.sqrt(np.diag(S) / 475)).all()
    spread = np.sqrt((S**2 + np.outer(np.diag(S), np.diag(S))) / 475)
    assert (np.abs(found.covariance.to_numpy() - S) < 3 * spread).all()
    _near(found, 0.05, 10, 2)
    assert found.bic < found.bic_without


@pytest.mark.slow
def test_probability_times_score_removes_the_impact_asked_for(folder: Path) -> None:
    frame = pd.read_parquet(folder / "ses_earnings_dev.parquet")
    tables = []
    for seed in range(100, 102):
        scores, truth, records = ranked(frame, seed)
        assert 5500 < len(records) < 6900
        given = (truth, records["earningsMonth"], records["weights"], scores, SHARES)
        tables.append(impact_table(*given))
    table = pd.concat(tables)
    mean = table.groupby(["ranking", "share"])["impact_removed"].mean().unstack()
    assert (mean.loc["p(error) x score"] > [0.71, 0.82, 0.92, 0.96]).all()
    traditional = ["w |y - class median|", "w |y - ratio to hours|"]
    assert (mean.loc["p(error) x score"] > mean.loc[traditional].max()).all()
    # What is most likely wrong is not what matters most.
    by = table.groupby("ranking")["average_precision"].mean()
    assert by["p(error)"] > by["p(error) x score"]
    assert mean.loc["p(error)", 0.01] < mean.loc["w |y - class median|", 0.01]

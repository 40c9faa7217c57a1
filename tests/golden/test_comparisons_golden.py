"""Published numbers, and those of R, for tests, intervals and combined figures.

The files of `comparisons/` were made with `comparisons/make.R` by R 4.2.2: p.adjust,
t.test, autocovariances of acf(), and MIcombine of mitools 2.4.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.accuracy import labels_needed
from mlstats.quality.agreement import kappa
from mlstats.quality.bias import coverage_under_bias
from mlstats.quality.calibration import expected_calibration_error
from mlstats.quality.conformal import coverage_spread
from mlstats.quality.design import Design
from mlstats.quality.imputation_variance import combine_imputations
from mlstats.quality.misclassification_errors import two_class_errors
from mlstats.quality.multiple import benjamini_hochberg, holm
from mlstats.quality.paired import (
    Pairs,
    equivalence,
    mcnemar,
    non_inferiority,
    paired_difference,
    score_interval,
    score_statistic,
)
from mlstats.quality.sample_size import detection_power, labels_for_non_inferiority
from mlstats.quality.series import diebold_mariano

HERE = Path(__file__).parent / "comparisons"


def test_mcnemar_of_airway_hyper_responsiveness() -> None:
    """As in Fagerland, Lydersen and Laake (2013): 1 and 7 of 21 pairs differ."""
    found = mcnemar(1, 7)
    assert found.exact == pytest.approx(0.0703, abs=5e-5)
    assert found.mid_p == pytest.approx(0.0391, abs=5e-5)
    assert found.chi_square_p == pytest.approx(0.0339, abs=5e-5)


def test_tango_interval_of_airway_hyper_responsiveness() -> None:
    """Fagerland, Lydersen and Laake (2014): -0.286 with -0.517 to -0.026."""
    lower, upper = score_interval(Pairs(1, 7, 21))
    assert (lower, upper) == (
        pytest.approx(-0.517, abs=5e-4),
        pytest.approx(-0.026, abs=5e-4),
    )


def test_kappa_of_husbands_and_wives() -> None:
    """Agresti's ratings of 91 couples, as in the R package vcd: .1293 (.0686).

    The published standard error divides by n, the design's by n - 1.
    """
    table = np.array([[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]])
    rows, columns = np.indices(table.shape)
    first = np.repeat(rows.ravel(), table.ravel()).astype(str).astype(object)
    second = np.repeat(columns.ravel(), table.ravel()).astype(str).astype(object)
    found = kappa(Design.of(np.ones(91)), first, second)
    assert found.value == pytest.approx(0.1293, abs=5e-5)
    assert found.se * np.sqrt(90 / 91) == pytest.approx(0.0686, abs=5e-5)


def test_cochrans_coverage_under_bias() -> None:
    """Cochran (1977), table 1.1."""
    found = [round(coverage_under_bias(r), 4) for r in (0.1, 0.2, 0.4)]
    assert found == [0.9489, 0.9454, 0.9315]
    assert round(coverage_under_bias(1.0), 3) == 0.830


def test_variance_of_the_subtracted_bias() -> None:
    """Kloos et al. (2020), eq. (11): 2.2447e-4, printed as 2.244e-4.

    The balanced case of their tables: a share of .5, chances of .6 and .7, an audit of
    1,000 units.
    """
    errors = two_class_errors(0.5, 0.6, 0.7, 1000).set_index("estimator")
    assert errors["variance"]["subtracted_bias"] == pytest.approx(2.2447e-4, abs=5e-9)
    assert errors["variance"]["audited"] == pytest.approx(2.5e-4)
    assert errors["bias"]["classify_and_count"] == pytest.approx(0.05)
    assert errors["mse"]["calibration"] < errors["mse"]["misclassification"]


def test_benjamini_hochberg_1995() -> None:
    """Their example of 15 p-values: four are found at .05, and three by Holm."""
    table = pd.read_csv(HERE / "multiple.csv")
    p_values = table["p"].to_numpy()
    assert benjamini_hochberg(p_values) == pytest.approx(table["bh"].to_numpy())
    assert holm(p_values) == pytest.approx(table["holm"].to_numpy())
    assert (benjamini_hochberg(p_values) <= 0.05).sum() == 4
    assert (holm(p_values) <= 0.05).sum() == 3


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("complete_df", [np.inf, 30.0])
def test_rubins_rules_and_barnard_rubin(name: str, complete_df: float) -> None:
    """The degrees of freedom with complete_df are the paper's, worked out in make.R.

    MIcombine leaves the factor 1 + 1 / m out of the observed share of information.
    """
    sets = {
        "a": ([10.2, 9.7, 10.9, 10.1, 9.5], [0.5, 0.55, 0.48, 0.52, 0.61]),
        "b": ([0.31, 0.36, 0.29], [0.0004, 0.0005, 0.00045]),
    }
    values, variances = (np.array(part) for part in sets[name])
    found = combine_imputations(values, variances, complete_df=complete_df).estimate
    table = pd.read_csv(HERE / "imputation.csv").set_index(["set", "complete_df"])
    wanted = table.loc[(name, complete_df)]
    assert found.value == pytest.approx(wanted["value"], rel=1e-12)
    assert found.se == pytest.approx(wanted["se"], rel=1e-12)
    assert found.df == pytest.approx(wanted["df"], rel=1e-10)


@pytest.mark.parametrize("kernel", ["rectangular", "bartlett"])
@pytest.mark.parametrize("horizon", [1, 2, 3, 4])
def test_diebold_mariano(horizon: int, kernel: str) -> None:
    losses = pd.read_csv(HERE / "losses.csv")
    first, second = losses["first"].to_numpy(), losses["second"].to_numpy()
    found = diebold_mariano(first, second, horizon=horizon, kernel=kernel)
    table = pd.read_csv(HERE / "diebold_mariano.csv").set_index(["horizon", "kernel"])
    wanted = table.loc[(horizon, kernel)]
    assert found.statistic == pytest.approx(wanted["statistic"], rel=1e-9)
    assert found.p_value == pytest.approx(wanted["p"], rel=1e-9)


def test_two_one_sided_tests() -> None:
    d = pd.read_csv(HERE / "differences.csv")["d"].to_numpy()
    wanted = pd.read_csv(HERE / "equivalence.csv").iloc[0]
    found = paired_difference(Design.of(np.ones(len(d))), d, np.zeros(len(d)))
    p_low = non_inferiority(found, 0.01).p_value
    p_both = equivalence(found, 0.01).p_value
    assert p_low == pytest.approx(wanted["low"], rel=1e-9)
    assert p_both == pytest.approx(wanted["high"], rel=1e-9)


def test_score_statistic_at_zero_is_mcnemars() -> None:
    found = score_statistic(Pairs(12, 5, 80), 0.0)
    assert found**2 == pytest.approx(mcnemar(12, 5).chi_square)


def test_labels_of_the_design_note() -> None:
    """24,700 labels for half a point and 6,200 for one, at 10 % discordance."""
    assert labels_for_non_inferiority(0.005, 0.1).n == 24_731
    assert labels_for_non_inferiority(0.01, 0.1).n == labels_needed(0.01, 0.1) == 6183


def test_drop_of_the_design_note() -> None:
    """200 labels see a drop of 8.7 points, 1,000 one of 3.9, with some 90 %.

    The note takes the variance at an accuracy of .77 for both; at the dropped accuracy
    it is larger and the power 1 to 2 points less.
    """
    assert detection_power(200, 0.77, 0.087) == pytest.approx(0.9, abs=0.025)
    assert detection_power(1000, 0.77, 0.039) == pytest.approx(0.9, abs=0.015)


@pytest.mark.parametrize(
    ("n", "slack"),
    [(22, 0.1), (102, 0.05), (2491, 0.01), (9812, 0.005), (244_390, 0.001)],
)
def test_calibration_sizes_of_angelopoulos_and_bates(n: int, slack: float) -> None:
    """Their table 1: n units keep the coverage at .9 - slack or above in 95 %."""
    low, _ = coverage_spread(n, 0.1, confidence=0.9)
    assert 0.9 - slack <= low < 0.9 - slack + 0.002


@pytest.mark.slow
def test_calibration_error_of_a_perfectly_calibrated_model() -> None:
    """A mean of .026 and a 95th percentile of .036 at 2,000 units and 15 bins."""
    rng = np.random.default_rng(20260101)
    design = Design.of(np.ones(2000))
    values = np.empty(1000)
    for i in range(len(values)):
        confidence = rng.beta(2, 1, 2000)
        correct = rng.random(2000) < confidence
        values[i] = expected_calibration_error(
            design, confidence, correct, simulations=2, seed=0
        ).value
    assert values.mean() == pytest.approx(0.026, abs=0.0005)
    assert np.quantile(values, 0.95) == pytest.approx(0.036, abs=0.001)

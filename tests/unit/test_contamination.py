from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from mlstats.editimpute.contamination import fit_contamination
from mlstats.errors import ConfigError, ContractError, MethodError

B, SIGMA = np.array([0.5, 1.2]), 0.4


def simulated(
    rng: np.random.Generator, n: int, share: float = 0.06, inflation: float = 12.0
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    """Return reported values, the covariate, which are wrong and the true values."""
    x = rng.normal(2, 1, n)
    log_true = B[0] + B[1] * x + rng.normal(0, SIGMA, n)
    wrong = rng.random(n) < share
    error = np.where(wrong, rng.normal(0, SIGMA * (inflation - 1) ** 0.5, n), 0)
    reported = np.exp(log_true + error)
    return (
        pd.DataFrame({"y": reported}),
        pd.DataFrame({"x": x}),
        wrong,
        np.exp(log_true),
    )


def test_known_parameters_are_found_again_without_bias() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(40):
        y, x, _, _ = simulated(rng, 1500)
        m = fit_contamination(y, x)
        parts = [*m.coefficients["y"], m.covariance.iloc[0, 0], m.share, m.inflation]
        found.append(parts)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / 40**0.5
    truth = np.array([*B, SIGMA**2, 0.06, 12])
    # The estimate of the inflation is skewed: a bias of 1/n is allowed for.
    allowed = 3.5 * error + np.array([0, 0, 0.001, 0.002, 0.6])
    assert (np.abs(mean - truth) < allowed).all(), (mean, error)


def test_probabilities_are_calibrated_and_anticipated_values_are_expectations() -> None:
    rng = np.random.default_rng(2)
    y, x, wrong, true = simulated(rng, 40_000)
    m = fit_contamination(y, x)
    for low, high in ((0, 0.05), (0.05, 0.3), (0.3, 0.8), (0.8, 1)):
        inside = m.probability.between(low, high).to_numpy()
        expected = m.probability[inside].mean()
        spread = (expected * (1 - expected) / inside.sum()) ** 0.5
        assert abs(wrong[inside].mean() - expected) < 4 * spread + 0.01
    flagged = m.probability.to_numpy() > 0.2
    ratio = true[flagged].sum() / m.anticipated["y"][flagged].sum()
    assert ratio == pytest.approx(1, abs=0.05)
    assert y["y"][flagged].sum() > 1.5 * true[flagged].sum()


def test_the_likelihood_is_the_largest_that_another_algorithm_finds() -> None:
    y, x, _, _ = simulated(np.random.default_rng(3), 400)
    m = fit_contamination(y, x, tolerance=1e-12, most_rounds=5000)
    z = np.log(y["y"].to_numpy())

    def negative(parts: np.ndarray) -> float:
        centre = parts[0] + parts[1] * x["x"].to_numpy()
        sd, share = np.exp(parts[2]), 1 / (1 + np.exp(-parts[3]))
        wide = sd * np.sqrt(1 + np.exp(parts[4]))
        clean = np.log1p(-share) + stats.norm.logpdf(z, centre, sd)
        contaminated = np.log(share) + stats.norm.logpdf(z, centre, wide)
        return -float(np.logaddexp(clean, contaminated).sum())

    start = [0.4, 1.0, -0.8, -3.0, 2.0]
    best = optimize.minimize(negative, start, method="BFGS", tol=1e-9)
    # BIC counts 5 parameters.
    assert m.bic == pytest.approx(2 * best.fun + 5 * np.log(400), abs=1e-4)
    sd, wide = np.exp(best.x[2]), 1 + np.exp(best.x[4])
    assert m.coefficients["y"].tolist() == pytest.approx(best.x[:2].tolist(), abs=1e-3)
    assert m.covariance.iloc[0, 0] == pytest.approx(sd**2, rel=1e-3)
    assert m.inflation == pytest.approx(wide, rel=5e-3)


def test_without_contamination_the_plain_model_fits_better() -> None:
    rng = np.random.default_rng(4)
    x = pd.DataFrame({"x": rng.normal(0, 1, 800)})
    y = pd.DataFrame({"y": 3 + x["x"] + rng.normal(0, 1, 800)})
    m = fit_contamination(y, x, scale="level", most_rounds=5000)
    assert m.bic_without < m.bic
    y, x, _, _ = simulated(rng, 800)
    m = fit_contamination(y, x)
    assert m.bic < m.bic_without


def test_two_variables_and_no_covariate() -> None:
    rng = np.random.default_rng(5)
    S = np.array([[1.0, 0.6], [0.6, 2.0]])
    z = rng.multivariate_normal([1, 2], S, 4000)
    wrong = rng.random(4000) < 0.05
    z[wrong] += rng.multivariate_normal([0, 0], 19 * S, int(wrong.sum()))
    m = fit_contamination(pd.DataFrame(z, columns=["a", "b"]), scale="level")
    assert m.coefficients.loc["intercept"].tolist() == pytest.approx([1, 2], abs=0.1)
    np.testing.assert_allclose(m.covariance, S, atol=0.2)
    assert m.share == pytest.approx(0.05, abs=0.012)
    assert m.inflation == pytest.approx(20, rel=0.2)


def test_what_cannot_be_scored_is_told_as_missing() -> None:
    y, x, _, _ = simulated(np.random.default_rng(6), 200)
    y.loc[3, "y"], y.loc[5, "y"], y.loc[7, "y"] = np.nan, 0, -1
    m = fit_contamination(y, x)
    out = m.probability.isna().to_numpy()
    assert np.flatnonzero(out).tolist() == [3, 5, 7]
    assert m.anticipated["y"].isna().tolist() == out.tolist()


def test_bad_input() -> None:
    y, x, _, _ = simulated(np.random.default_rng(7), 100)
    with pytest.raises(ConfigError, match="scale is"):
        fit_contamination(y, x, scale="cube")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="out of range"):
        fit_contamination(y, x, inflation=1)
    with pytest.raises(ContractError, match="3 records can be fitted"):
        fit_contamination(y[:3], x[:3])
    with pytest.raises(ContractError, match="not all finite"):
        fit_contamination(y, x.assign(x=np.nan))
    with pytest.raises(ContractError, match="rows of covariates"):
        fit_contamination(y, x[:5])
    with pytest.raises(MethodError, match="does not settle"):
        fit_contamination(y, x, most_rounds=1)
    with pytest.raises(MethodError, match="fits perfectly"):
        fit_contamination(y.assign(again=y["y"]), x)

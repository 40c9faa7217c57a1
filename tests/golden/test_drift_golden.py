"""Drift statistics against R and against published numbers.

`drift/expected.csv` was made by `drift/expected.R` (R 4.2.2, survey 4.1.1) from
`drift/units.csv` (two clustered, weighted samples) and `drift/audit.csv`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.quality.audit_sample import AuditSample
from mlstats.quality.concept import (
    _directions,
    _recalibrated,
    _score_variance,
    concept_drift,
)
from mlstats.quality.drift import PairedSummary, Reference, Summary, drift
from mlstats.quality.drift_evidence import Sizes
from mlstats.quality.drift_samples import Sample
from mlstats.quality.drift_tests import (
    homogeneity,
    kolmogorov_smirnov,
    newcombe_interval,
)

HERE = Path(__file__).parent / "drift"
UNITS = pd.read_csv(HERE / "units.csv", dtype={"code": str})
AUDIT = pd.read_csv(HERE / "audit.csv")
EXPECTED = pd.read_csv(HERE / "expected.csv", index_col="quantity")["value"]


def period(name: str) -> pd.DataFrame:
    return UNITS[UNITS["period"] == name]


def summary(name: str, reference: Reference, **design: str) -> Summary:
    return Summary.of(period(name), reference, **design)


def row(table: pd.DataFrame, column: str, test: str) -> pd.Series:
    found = table[(table["column"] == column) & (table["test"] == test)]
    assert len(found) == 1
    return found.iloc[0]


def test_covariance_of_clustered_shares_is_that_of_svymean() -> None:
    reference = Reference.learn(UNITS[["code"]])
    made = summary("old", reference, weight="weight", cluster="cluster")
    counts = made.columns["code"]
    sample = Sample.of(counts, made, np.array([0, 1, 2, 3, -1]))
    found = sample.covariance(sample.share)
    for i in range(4):
        for j in range(4):
            wanted = EXPECTED[f"covariance old {i + 1} {j + 1}"]
            assert found[i, j] == pytest.approx(wanted, rel=1e-9)
    assert sample.variances(sample.share) == pytest.approx(found.diagonal(), rel=1e-12)


def test_rao_scott_p_is_satterthwaites() -> None:
    reference = Reference.learn(UNITS[["code"]])
    sides = []
    for name in ("old", "new"):
        made = summary(name, reference, weight="weight", cluster="cluster")
        counts = made.columns["code"]
        sides.append(Sample.of(counts, made, np.array([0, 1, 2, 3, -1])))
    old, new = sides
    pooled = (old.share + new.share) / 2
    both = old.covariance(old.share) + new.covariance(new.share)
    traces = (
        float((both.diagonal() / pooled).sum()),
        float((both**2 / np.outer(pooled, pooled)).sum()),
    )
    sizes = Sizes(old.n, new.n, old.n_eff, new.n_eff)
    found = homogeneity((old.share, new.share, pooled), traces, sizes, np.inf, 0.05)
    q = float(((new.share - old.share) ** 2 / pooled).sum())
    assert q == pytest.approx(EXPECTED["Q"], rel=1e-9)
    assert found.p == pytest.approx(EXPECTED["Q p satterthwaite"], rel=1e-9)


def test_plain_tests_are_those_of_r() -> None:
    reference = Reference.learn(UNITS[["code", "x"]])
    table = drift(
        summary("new", reference), {"old": summary("old", reference)}
    ).verdicts
    codes, numbers = row(table, "code", "distribution"), row(table, "x", "distribution")
    assert codes["statistic"] == pytest.approx(EXPECTED["chi statistic"], rel=1e-9)
    assert codes["p"] == pytest.approx(EXPECTED["chi p"], rel=1e-9)
    assert numbers["statistic"] == pytest.approx(EXPECTED["ks statistic"], rel=1e-9)
    # R stops its series at terms of 1e-6.
    assert numbers["p"] == pytest.approx(EXPECTED["ks p"], abs=5e-5)
    scipys = stats.kstwobign.sf(
        numbers["statistic"] / np.sqrt(1 / numbers["n"] + 1 / numbers["n_reference"])
    )
    assert numbers["p"] == pytest.approx(scipys, rel=1e-9)


def test_concept_score_is_raos_test_of_changed_coefficients() -> None:
    samples = {
        name: AuditSample(
            rows["y"].to_numpy() == 1,
            rows["p"].to_numpy(),
            rows[["x1", "x2"]].to_numpy(),
        )
        for name, rows in AUDIT.groupby("period")
    }
    new, old = samples["new"], samples["old"]
    # R's Rao test takes the model's own variance, I J^-1 I'; ours is the sandwich, to
    # which that one is close where the model holds.
    z, z_old = _directions(new, old)
    fitted = _recalibrated((new, z), (old, z_old))
    assert fitted is not None
    p, p_old = fitted
    of_model, _ = _score_variance((new, z, p), (old, z_old, p_old))
    score = z.T @ (new.weights * (new.outcome - p))
    statistic = float(score @ np.linalg.solve(of_model, score))
    assert statistic == pytest.approx(EXPECTED["rao statistic"], rel=1e-6)
    tail = stats.chi2.sf(statistic, z.shape[1])
    assert tail == pytest.approx(EXPECTED["rao p"], rel=1e-6)
    assert concept_drift(new, old).statistic == pytest.approx(statistic, rel=0.05)


def test_stuart_maxwell_on_the_vision_of_7477_women() -> None:
    # Stuart (1955, Biometrika 42), unaided distance vision of the right and left eye:
    # chi-square 11.96 on 3 degrees of freedom.
    grades = np.array(
        [
            [1520, 266, 124, 66],
            [234, 1512, 432, 78],
            [117, 362, 1772, 205],
            [36, 82, 179, 492],
        ]
    )
    right, left = (np.repeat(i.ravel(), grades.ravel()) for i in np.indices((4, 4)))
    names = np.arange(len(right)).astype(str)
    before = pd.DataFrame({"woman": names, "grade": right.astype(str)})
    now = pd.DataFrame({"woman": names, "grade": left.astype(str)})
    reference = Reference.learn(before[["grade"]])
    pairs = PairedSummary.of(before, now, reference, unit="woman")
    table = drift(Summary.of(now, reference), {"right": pairs}).verdicts
    found = row(table, "grade", "distribution")
    assert found["statistic"] == pytest.approx(11.957, abs=5e-4)
    assert found["p"] == pytest.approx(0.0075, abs=5e-5)


def test_newcombes_interval_of_a_difference() -> None:
    # Newcombe (1998, Statistics in Medicine 17, table II), method 10: 56/70 - 48/80.
    lower, upper = newcombe_interval(
        np.array([48 / 80, 0.0]),
        np.array([56 / 70, 10 / 10]),
        np.array([80.0, 20.0]),
        np.array([70.0, 10.0]),
        z=float(stats.norm.isf(0.025)),
    )
    assert lower == pytest.approx([0.0524, 0.6791], abs=5e-5)
    assert upper == pytest.approx([0.3339, 1.0], abs=5e-5)


def test_critical_point_of_smirnov() -> None:
    # The 5 % point of the limiting distribution is 1.358 (Smirnov 1948, table).
    n = 20_000
    below = np.arange(1, n) / n
    shifted = np.clip(below + 1.358 * np.sqrt(2 / n), 0, 1)
    found = kolmogorov_smirnov(below, shifted, Sizes(n, n, n, n), np.inf, 0.02)
    assert found.p == pytest.approx(0.05, abs=2e-4)

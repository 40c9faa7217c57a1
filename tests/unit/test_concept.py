"""Concept drift on labelled audits: size, power, what it prints, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, special, stats

from mlstats.quality.audit_sample import AuditSample
from mlstats.quality.concept import concept_drift, expected_accuracy
from tests.drift_generators import SLOPES, SWAPPED, audited, audited_wrong_model


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def upper(hits: int, runs: int) -> float:
    """Return the upper 95 % bound of a rate."""
    return float(stats.beta.ppf(0.95, hits + 1, runs - hits))


def lower(hits: int, runs: int) -> float:
    return float(stats.beta.ppf(0.05, hits, runs - hits + 1))


def drifts(
    generator: Callable[..., AuditSample],
    runs: int,
    labels: int,
    change: np.ndarray | float = 0.0,
    approval: int = 2_000,
) -> int:
    hits = 0
    for run in range(runs):
        draw = rng(labels, approval, run)
        now, then = generator(labels, draw, change), generator(approval, draw)
        hits += concept_drift(now, then).state == "drift"
    return hits


def test_the_named_change_costs_26_points_of_a_thousand() -> None:
    before = audited(400_000, rng(1)).correct
    after = audited(400_000, rng(1), SWAPPED).correct
    assert before is not None
    assert after is not None
    assert before.mean() - after.mean() == pytest.approx(0.026, abs=0.0015)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "labels", "approval", "runs", "bound"),
    [
        (audited, 1_000, 2_000, 1_000, 0.07),
        (audited, 300, 2_000, 3_000, 0.07),
        (audited_wrong_model, 1_000, 2_000, 500, 0.07),
    ],
)
def test_false_alarms(
    generator: Callable[..., AuditSample],
    labels: int,
    approval: int,
    runs: int,
    bound: float,
) -> None:
    hits = drifts(generator, runs, labels, approval=approval)
    assert upper(hits, runs) <= bound
    assert lower(hits, runs) >= 0.02  # it would be no test else


@pytest.mark.slow
@pytest.mark.parametrize("generator", [audited, audited_wrong_model])
def test_a_thousand_labels_find_a_fall_of_26_points_of_a_thousand(
    generator: Callable[..., AuditSample],
) -> None:
    assert lower(drifts(generator, 200, 1_000, SWAPPED), 200) >= 0.9


@pytest.mark.slow
def test_three_hundred_labels_find_it_seven_times_in_ten() -> None:
    assert lower(drifts(audited, 300, 300, SWAPPED), 300) >= 0.7


def test_a_known_bias_of_the_model_is_no_drift() -> None:
    # The wrong model's residuals are far from zero, at approval as now.
    now, then = (audited_wrong_model(20_000, rng(seed)) for seed in (3, 4))
    residual = np.average(
        now.outcome - now.probability, weights=now.weight * (now.probability < 0.2)
    )
    assert abs(residual) > 0.03
    assert concept_drift(now, then).p > 0.05


def test_the_score_is_that_of_an_independent_implementation() -> None:
    now, then = audited_wrong_model(700, rng(5)), audited_wrong_model(900, rng(6))
    found = concept_drift(now, then)

    def columns(sample: AuditSample) -> np.ndarray:
        p = np.clip(sample.probability, 1e-6, 1 - 1e-6)
        return np.column_stack(
            [np.ones(len(p)), np.log(p / (1 - p)), sample.directions]
        )

    # The logit repeats a combination of the first four directions.
    z, z_then = (np.delete(columns(s), 5, axis=1) for s in (now, then))
    w, w_then = (s.weight / s.weight.mean() for s in (now, then))
    both, y = np.vstack([z, z_then]), np.concatenate([now.outcome, then.outcome])
    weights = np.concatenate([w, w_then])

    def deviance(b: np.ndarray) -> float:
        eta = both @ b
        return float((weights * (np.logaddexp(0, eta) - y * eta)).sum())

    def gradient(b: np.ndarray) -> np.ndarray:
        return both.T @ (weights * (special.expit(both @ b) - y))

    b = optimize.minimize(
        deviance, np.zeros(both.shape[1]), jac=gradient, method="BFGS", tol=1e-10
    ).x
    p, p_then = special.expit(z @ b), special.expit(z_then @ b)
    here = np.einsum("i,ij,ik->jk", w * p * (1 - p), z, z)
    there = np.einsum("i,ij,ik->jk", w_then * p_then * (1 - p_then), z_then, z_then)
    share = here @ np.linalg.inv(here + there)
    variance = np.zeros_like(here)
    for sample, zz, ww, pp, project in [
        (now, z, w, p, np.eye(len(here)) - share),
        (then, z_then, w_then, p_then, -share),
    ]:
        groups = np.unique(sample.cluster)
        for group in groups:
            own = sample.cluster == group
            s = project @ (zz[own].T @ (ww[own] * (sample.outcome[own] - pp[own])))
            variance += np.outer(s, s) * len(groups) / (len(groups) - 1)
    u = z.T @ (w * (now.outcome - p))
    statistic = float(u @ np.linalg.solve(variance, u))
    k = len(u)
    d = len(np.unique(now.cluster)) + len(np.unique(then.cluster)) - 2
    tail = stats.f.sf(statistic * (d - k + 1) / (d * k), k, d - k + 1)
    assert found.df == k
    assert found.statistic == pytest.approx(statistic, rel=1e-4)
    assert found.p == pytest.approx(tail, rel=1e-3)


def test_what_the_accuracy_alone_could_have_seen() -> None:
    found = concept_drift(audited(1_000, rng(7)), audited(2_000, rng(8)))
    p = (1_000 * found.accuracy + 2_000 * found.accuracy_approval) / 3_000
    error = np.sqrt(p * (1 - p) * (1 / 1_000 + 1 / 2_000))
    assert found.minimum_detectable_drop == pytest.approx(2.926 * error, rel=1e-3)
    assert found.accuracy_p == pytest.approx(
        stats.norm.sf(found.drop / error), rel=1e-3
    )
    assert found.drop_lower < found.drop < found.drop_upper
    assert "shows no drift" in found.sentence()
    assert "4.8 points" in found.sentence()


@pytest.mark.slow
def test_the_minimum_detectable_uniform_fall_is_found_nine_times_in_ten() -> None:
    quiet = concept_drift(audited(1_000, rng(7)), audited(2_000, rng(8)))
    p = special.expit(rng(9).normal(size=(100_000, 4)) @ SLOPES)
    per_logit = float((p * (1 - p)).mean())
    by = quiet.minimum_detectable_uniform / per_logit
    hits = 0
    for run in range(200):
        now, then = audited(1_000, rng(10, run)), audited(2_000, rng(11, run))
        fallen = special.expit(special.logit(now.probability) - by)
        y = rng(12, run).random(1_000) < fallen
        hits += concept_drift(replace(now, outcome=y), then).state == "drift"
    assert hits / 200 == pytest.approx(0.9, abs=0.06)


def plain(n: int, wrong: int, seed: int = 1) -> AuditSample:
    draw = rng(seed)
    outcome = np.ones(n, dtype=bool)
    outcome[draw.choice(n, wrong, replace=False)] = False
    return AuditSample(outcome, draw.uniform(0.5, 1, n), draw.normal(size=(n, 2)))


@pytest.mark.parametrize(
    ("audit", "approval", "note"),
    [
        (plain(10, 2), plain(500, 50), "10 labels, fewer than 20"),
        (plain(0, 0), plain(500, 50), "0 labels"),
        (plain(200, 20), plain(500, 3), "3 labels of the rarer outcome"),
        (plain(200, 20), plain(500, 500), "0 labels of the rarer outcome"),
        (
            replace(plain(200, 20), cluster=np.zeros(200)),
            plain(500, 50),
            "one cluster",
        ),
        (
            replace(plain(200, 20), weight=np.zeros(200)),
            plain(500, 50),
            "not positive",
        ),
        (
            replace(plain(200, 20), probability=np.full(200, np.nan)),
            plain(500, 50),
            "200 probabilities or directions are missing",
        ),
        (
            replace(plain(200, 20), directions=np.ones((200, 3))),
            plain(500, 50),
            "different directions",
        ),
        (
            replace(plain(200, 20), cluster=np.arange(200) // 40),
            plain(500, 50),
            "too small for 4 directions",
        ),
    ],
)
def test_audits_that_cannot_carry_the_test(
    audit: AuditSample, approval: AuditSample, note: str
) -> None:
    found = concept_drift(audit, approval)
    assert found.state == "not measured"
    assert note in found.note
    assert found.sentence().startswith("Concept drift was not measured: ")


def test_outcomes_that_separate_are_told() -> None:
    draw = rng(2)
    x = draw.normal(size=(400, 1))
    sample = AuditSample(x[:, 0] > 0, np.full(400, 0.5), x)
    found = concept_drift(sample, sample)
    assert found.state == "not measured"
    assert "separate" in found.note


def test_an_audit_without_an_error_is_judged() -> None:
    perfect = concept_drift(plain(300, 0), plain(600, 60))
    assert perfect.state == "drift"  # it became better
    assert perfect.accuracy == 1.0
    assert perfect.drop_upper < 0
    assert perfect.accuracy_p > 0.99


def test_directions_that_repeat_count_once() -> None:
    now, then = plain(300, 40, 3), plain(500, 60, 4)
    once = concept_drift(now, then)

    def repeated(sample: AuditSample) -> AuditSample:
        x = sample.directions
        more = np.column_stack([x, 1e6 * x[:, 0] - 3 * x[:, 1], np.full(len(x), 7.0)])
        return replace(sample, directions=more)

    twice = concept_drift(repeated(now), repeated(then))
    assert twice.statistic == pytest.approx(once.statistic)
    assert twice.df == once.df
    assert twice.note == "repeated directions count once"


def test_scale_and_origin_of_directions_do_not_matter() -> None:
    now, then = plain(300, 40, 5), plain(500, 60, 6)
    scaled = [
        replace(s, directions=s.directions * [1e-8, 1e7] + [3, -1e7])
        for s in (now, then)
    ]
    assert concept_drift(*scaled).p == pytest.approx(concept_drift(now, then).p)


def test_without_labels_nothing_is_measured() -> None:
    found = expected_accuracy(
        np.array([0.9, 0.8, np.nan, 1.2]), np.array([1.0, 3.0, 5.0, 5.0])
    )
    assert found.value == pytest.approx((0.9 + 2.4) / 4)
    assert (found.n, found.unknown) == (2, 2)
    assert found.state == "not measured"
    assert "it cannot show one" in found.assumption
    assert np.isnan(expected_accuracy(np.array([np.nan])).value)


def test_the_label_free_value_misses_what_labels_see() -> None:
    now, then = audited(1_000, rng(13), SWAPPED), audited(2_000, rng(14))
    sure = np.maximum(now.probability, 1 - now.probability)
    assert expected_accuracy(sure).value == pytest.approx(0.762, abs=0.02)
    assert concept_drift(now, then).state == "drift"


@pytest.mark.slow
def test_units_called_certain_do_not_carry_the_verdict() -> None:
    """A raw similarity says 1 of exact matches, and one in thirty of them is wrong.

    No logistic regression on it is right: under the model's own variance it was .25.
    """

    def sample(n: int, draw: np.random.Generator) -> AuditSample:
        similarity = np.where(draw.random(n) < 0.05, 1.0, draw.uniform(0.2, 0.95, n))
        chance = np.where(similarity == 1, 0.97, special.expit(4 * similarity - 0.5))
        return AuditSample(draw.random(n) < chance, similarity, np.empty((n, 0)))

    hits, runs = 0, 1_000
    for run in range(runs):
        draw = rng(31, run)
        found = concept_drift(sample(1_000, draw), sample(500, draw))
        hits += found.state == "drift"
    assert upper(hits, runs) <= 0.07

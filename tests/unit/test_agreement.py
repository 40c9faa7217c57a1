"""Kappa and raw agreement: values, errors and where they do not exist."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mlstats.quality.agreement import kappa, raw_agreement
from mlstats.quality.design import Design


def codings(n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    codes = np.array(["a", "b", "c"], dtype=object)
    first = rng.choice(codes, n, p=[0.6, 0.3, 0.1])
    second = np.where(rng.random(n) < 0.8, first, rng.choice(codes, n))
    return first, second, rng.gamma(3, 1, n)


def test_value_is_scikit_learns() -> None:
    first, second, weight = codings()
    wanted = cohen_kappa_score(
        first.astype(str), second.astype(str), sample_weight=weight
    )
    assert kappa(Design.of(weight), first, second).value == pytest.approx(wanted)


def test_units_with_one_code_only_do_not_count() -> None:
    first, second, weight = codings()
    lost = second.copy()
    lost[:50] = None
    design = Design.of(weight)
    found = kappa(design, first, lost)
    wanted = cohen_kappa_score(
        first[50:].astype(str), second[50:].astype(str), sample_weight=weight[50:]
    )
    assert found.value == pytest.approx(wanted)
    assert found.n == raw_agreement(design, first, lost).n == 250


def test_error_is_the_jackknifes() -> None:
    first, second, weight = codings(120)
    found = kappa(Design.of(weight), first, second)
    replicates = [
        kappa(Design.of(np.where(np.arange(120) == i, 0, weight)), first, second).value
        for i in range(120)
    ]
    jackknife = np.sqrt(119 / 120 * ((replicates - np.mean(replicates)) ** 2).sum())
    assert found.se == pytest.approx(jackknife, rel=0.03)


def test_a_single_class_has_no_kappa() -> None:
    same = np.array(["a"] * 10, dtype=object)
    found = kappa(Design.of(np.ones(10)), same, same)
    assert (found.status, found.note) == (
        "not_applicable",
        "both codings know a single class",
    )
    raw = raw_agreement(Design.of(np.ones(10)), same, same)
    assert raw.value == 1
    assert raw.lower == pytest.approx(0.025 ** (1 / 10))  # Clopper-Pearson, 10 of 10


def test_nothing_double_coded_is_not_measured() -> None:
    none = np.array([None] * 5, dtype=object)
    assert kappa(Design.of(np.ones(5)), none, none).status == "not_measured"

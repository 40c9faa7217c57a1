from __future__ import annotations

import math

import numpy as np
import pytest

from mlstats.errors import ContractError
from mlstats.quality.design import Design
from mlstats.quality.reproducibility import (
    churn,
    compare_reruns,
    environment_completeness,
    family_difference,
    outputs_digest,
    seed_spread,
)
from tests.evaluation_example import units_of

UNITS = units_of(60, seed=1)


def test_digest_does_not_know_the_order_of_rows() -> None:
    shuffled = UNITS.sample(frac=1, random_state=3)
    assert outputs_digest(UNITS) == outputs_digest(shuffled)


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_digest_does_not_know_how_codes_are_stored(dtype: str) -> None:
    other = UNITS.assign(prediction=UNITS["prediction"].astype(dtype))
    assert outputs_digest(UNITS) == outputs_digest(other)


def test_digest_knows_every_code_and_the_last_bit() -> None:
    first = outputs_digest(UNITS)
    code = UNITS.copy()
    code.loc[3, "prediction"] = "z.9"
    assert outputs_digest(code) != first
    bit = UNITS.copy()
    bit.loc[3, "confidence"] = np.nextafter(bit.loc[3, "confidence"], 2)
    assert outputs_digest(bit) != first
    assert outputs_digest(bit, tolerance=1e-6) == outputs_digest(UNITS, tolerance=1e-6)


def test_code_with_a_leading_zero_is_another_code() -> None:
    one = UNITS.assign(prediction="0111")
    assert outputs_digest(one) != outputs_digest(UNITS.assign(prediction="111"))


def test_rows_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ContractError, match="39 rows"):
        outputs_digest(UNITS.assign(unit="same").query("fold == 'test'").head(40))


def test_identical_rerun() -> None:
    found = compare_reruns(UNITS, UNITS.sample(frac=1, random_state=3))
    assert (found.identical, found.changed, found.largest) == (True, 0.0, 0.0)
    for indicator in found.indicators():
        assert indicator.estimate.has_error
        assert indicator.estimate.upper == 0
        assert indicator.estimate.note == "identical to the last bit"


def test_rerun_counts_changed_codes_and_the_largest_difference() -> None:
    again = UNITS.copy()
    again.loc[[0, 1, 2], "prediction"] = "z.9"
    again.loc[5, "confidence"] += 0.125
    found = compare_reruns(UNITS, again)
    assert not found.identical
    assert found.changed == pytest.approx(3 / 120)
    assert found.largest == pytest.approx(0.125)
    shared, largest = found.indicators()
    assert shared.estimate.value == shared.estimate.lower == found.changed
    assert largest.estimate.note == "not identical"


def test_rows_of_one_run_only_have_changed() -> None:
    found = compare_reruns(UNITS, UNITS.iloc[:-6])
    assert found.changed == pytest.approx(6 / 120)
    assert found.largest == 0


def test_number_that_went_missing_is_an_infinite_difference() -> None:
    again = UNITS.copy()
    again.loc[4, "confidence"] = np.nan
    assert compare_reruns(UNITS, again).largest == math.inf
    again["confidence"] = np.nan
    assert compare_reruns(again, again.copy()).largest == 0


def test_empty_reruns_are_not_a_match() -> None:
    found = compare_reruns(UNITS.head(0), UNITS.head(0))
    assert {i.estimate.status for i in found.indicators()} == {"not_measured"}


@pytest.mark.parametrize(
    ("values", "se", "status"),
    [
        (np.ones(9), 0.1, "not_measured"),
        (np.array([np.nan] * 12), 0.1, "not_measured"),
        (np.arange(12.0), 0.0, "not_applicable"),
        (np.arange(12.0), math.nan, "not_applicable"),
    ],
)
def test_spread_that_is_not_defined_says_why(
    values: np.ndarray, se: float, status: str
) -> None:
    found = seed_spread(values, se, of="accuracy")
    assert found.indicator == "seed_spread_accuracy"
    assert found.estimate.status == status
    assert found.estimate.note


def test_method_without_chance_has_no_spread() -> None:
    found = seed_spread(np.full(10, 0.7), 0.01, of="accuracy").estimate
    assert found.value == found.upper == 0


def test_environment_counts_what_a_rerun_needs() -> None:
    full = {
        "lock digest": "a",
        "data digest": "b",
        "code commit": "c",
        "config digest": "d",
    }
    assert environment_completeness(full).estimate.value == 1
    for commit in ("", "c (changed)", "not under version control"):
        found = environment_completeness(full | {"code commit": commit}).estimate
        assert found.value == found.upper == 0.75
        assert found.note == "not recorded: code commit"
    assert environment_completeness({}).estimate.value == 0


def test_churn_is_the_weighted_share_of_changed_codes() -> None:
    old = np.array(["01", "02", None, "03", None], dtype=object)
    new = np.array(["01", "04", None, None, "05"], dtype=object)
    weight = np.array([4.0, 1, 2, 2, 1])
    found = churn(old, new, Design.of(weight)).estimate
    assert found.value == pytest.approx(0.4)
    assert found.lower < 0.4 < found.upper
    same = churn(old, old.copy(), Design.of(weight)).estimate
    assert same.value == 0
    assert same.upper > 0  # five units prove little


def test_family_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(size=400) < 0.7
    second = first.copy()
    second[:20] = ~second[:20]
    found = family_difference(first, second, Design.of(np.ones(400)), of="accuracy")
    gap = first.mean() - second.mean()
    assert found.estimate.value == pytest.approx(gap)
    alone = first.std(ddof=1) / 20
    assert found.estimate.note == f"{gap / alone:+.2f} sampling errors of the first"
    # Twenty discordant pairs of 400: far sharper than two samples apart.
    assert found.estimate.se < alone / 2


def test_no_weight_is_said() -> None:
    nothing = Design.of(np.zeros(2))
    codes = np.array(["a", "b"], dtype=object)
    assert churn(codes, codes, nothing).estimate.status == "not_measured"
    found = family_difference(np.ones(2), np.zeros(2), nothing, of="x")
    assert found.estimate.status == "not_measured"

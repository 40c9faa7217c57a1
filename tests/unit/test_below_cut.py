from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.below_cut import draw_below_cut, remaining_error
from mlstats.editimpute.cut import select_units
from mlstats.errors import ConfigError, ContractError


def population(
    rng: np.random.Generator, n: int = 3000
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return expected errors, sizes without the probability, and true errors."""
    true, weight = rng.lognormal(7, 1, n), rng.uniform(1, 20, n)
    expected = true * np.exp(rng.normal(0, 0.3, n))
    wrong = rng.random(n) < 0.05
    reported = np.where(wrong, true * rng.choice([10, 0.1, 1 / 12, 2.0], n), true)
    gap = weight * (reported - expected) / (weight @ true)
    suspicion = np.abs(np.log(reported / expected))
    chance = 1 / (1 + np.exp(5 - 3.5 * suspicion))
    truth = weight * (reported - true) / (weight @ true)
    return pd.DataFrame({"y": gap * chance}), np.abs(gap), truth


def table(scores: list[float], selected: int) -> pd.DataFrame:
    return select_units(pd.DataFrame({"y": scores}), most=selected).table


def test_the_sample_has_the_inclusion_probabilities_that_it_tells() -> None:
    scores = table([9, 1, 2, 3, 4, 50, 6, 7], 2)
    size = np.array([9, 1, 2, 3, 4, 50, 6, 7.0])
    drawn = np.zeros(8)
    told = np.full(8, np.nan)
    for seed in range(2000):
        audit = draw_below_cut(scores, size, 4, strata=2, seed=seed)
        drawn[audit.index] += 1
        told[audit.index] = audit["inclusion"]
        assert len(audit) == 4
    assert drawn[[0, 5]].tolist() == [0, 0]
    below = [1, 2, 3, 4, 6, 7]
    np.testing.assert_allclose(drawn[below] / 2000, told[below], atol=0.04)
    assert told[7] > told[1]


def test_all_are_drawn_where_there_are_no_more() -> None:
    audit = draw_below_cut(table([1, 2, 3], 1), [1, 2, 3], 10, seed=1)
    assert audit["unit"].tolist() == [0, 1]
    assert audit["inclusion"].tolist() == [1, 1]
    found = remaining_error(audit, pd.DataFrame({"y": [0.5, -0.25]}))
    by = found.set_index("figure")
    assert by["value"].to_dict() == {"absolute": 0.75, "signed": 0.25, "wrong": 1}
    assert by.loc["signed", ["lower", "upper"]].tolist() == [0.25, 0.25]


def test_the_sample_has_the_labels_of_its_records() -> None:
    errors = pd.DataFrame({"y": np.arange(30.0)}, [f"u{i}" for i in range(30)])
    cut = select_units(errors, most=5).table
    audit = draw_below_cut(cut, errors["y"], 10, strata=2, seed=3)
    assert audit.index.tolist() == audit["unit"].tolist()
    assert set(audit.index) <= set(cut.index[~cut["selected"]])


def test_sizes_of_zero_are_drawn_too() -> None:
    audit = draw_below_cut(table([0] * 20, 0), [0] * 20, 6, seed=1)
    assert len(audit) == 6
    sizes = [0.0] * 10 + [5.0] * 10
    audit = draw_below_cut(table(sizes, 0), sizes, 8, strata=2, seed=1)
    assert (audit["inclusion"] > 0).all()
    assert (1 / audit["inclusion"]).sum() == pytest.approx(20)


def test_a_sample_without_an_error_gives_no_interval_but_a_limit() -> None:
    audit = draw_below_cut(table([1.0] * 100, 0), [1.0] * 100, 50, seed=1)
    found = remaining_error(audit, pd.DataFrame({"y": np.zeros(50)}))
    by = found.set_index("figure")
    assert by.loc[["absolute", "signed"], "lower"].isna().all()
    assert "no error was found" in by.loc["absolute", "note"]
    assert 0 < by.loc["wrong", "upper"] < 0.1


def test_what_was_not_reviewed_is_not_right() -> None:
    audit = draw_below_cut(table([1.0] * 100, 0), [1.0] * 100, 50, strata=1, seed=1)
    errors = np.where(np.arange(50) % 10 == 0, 0.1, 0.0)
    every = remaining_error(audit, pd.DataFrame({"y": errors}))
    errors[25:] = np.nan
    half = remaining_error(audit, pd.DataFrame({"y": errors}))
    # 5 of 50, 3 of 25: each stands for more where fewer were reviewed.
    assert every["value"].tolist() == pytest.approx([1.0, 1.0, 0.1])
    assert half["value"].tolist() == pytest.approx([1.2, 1.2, 0.12])
    none = remaining_error(audit, pd.DataFrame({"y": np.full(50, np.nan)}))
    assert (none["status"] == "not_measured").all()


def test_one_error_found_widens_the_interval() -> None:
    audit = draw_below_cut(table([1.0] * 100, 0), [1.0] * 100, 50, strata=1, seed=1)
    errors = np.zeros(50)
    errors[0] = 1
    one = remaining_error(audit, pd.DataFrame({"y": errors})).set_index("figure")
    assert one.loc["absolute", "df"] == 1
    assert one.loc["absolute", "lower"] > 0
    assert one.loc["absolute", "upper"] > 100


def test_intervals_cover_what_remains_in_a_thousand_runs() -> None:
    rng = np.random.default_rng(20)
    covered = {"absolute": 0, "signed": 0, "wrong": 0}
    ratio = []
    for seed in range(1000):
        if seed % 20 == 0:
            expected, size, error = population(rng)
            cut = select_units(expected, most=150).table
            rest = error[~cut["selected"]]
            truth = {
                "absolute": np.abs(rest).sum(),
                "signed": rest.sum(),
                "wrong": (rest != 0).mean(),
            }
        audit = draw_below_cut(cut, size, 300, seed=seed)
        found = remaining_error(audit, pd.DataFrame({"y": error[audit.index]}))
        for row in found.itertuples():
            covered[row.figure] += row.lower <= truth[row.figure] <= row.upper
        ratio.append(found["value"][0] / truth["absolute"])
    assert min(covered.values()) >= 935, covered
    assert np.mean(ratio) == pytest.approx(1, abs=4 * np.std(ratio) / 1000**0.5)


@pytest.mark.parametrize(
    ("size", "n", "options", "error", "message"),
    [
        ([1, 2], 2, {}, ContractError, "3 records, 2 sizes"),
        ([1, np.nan, 3], 2, {}, ContractError, "missing"),
        ([1, -2, 3], 2, {}, ContractError, "negative"),
        ([1, 2, 3], 1, {}, ConfigError, "two records"),
        ([1, 2, 3], 2, {"strata": 0}, ConfigError, "two records"),
    ],
)
def test_bad_requests(
    size: list, n: int, options: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        draw_below_cut(table([1, 2, 3], 0), size, n, seed=1, **options)


def test_bad_audits() -> None:
    with pytest.raises(ContractError, match="No record is below"):
        draw_below_cut(table([1, 2, 3], 3), [1, 2, 3], 2, seed=1)
    audit = draw_below_cut(table([1, 2, 3], 0), [1, 2, 3], 3, seed=1)
    with pytest.raises(ContractError, match="3 audited"):
        remaining_error(audit, pd.DataFrame({"y": [1.0]}))
    with pytest.raises(ContractError, match="infinite"):
        remaining_error(audit, pd.DataFrame({"y": [1.0, np.inf, 0]}))


def test_the_stopping_rule_keeps_what_remains_below_its_limit() -> None:
    """In expectation, where anticipated values and probabilities are right."""
    rng = np.random.default_rng(4)
    limit, left, reviewed = 0.01, [], []
    for _ in range(200):
        n = 1000
        true, weight = rng.lognormal(5, 1, n), rng.uniform(1, 9, n)
        chance = rng.beta(0.3, 4, n)
        wrong = rng.random(n) < chance
        # A wrong value is off by a factor that is known from what was reported.
        reported = np.where(wrong, 5 * true, true)
        anticipated = reported / 5
        errors = pd.DataFrame(
            {"y": weight * (reported - anticipated) * chance / (weight @ true)}
        )
        found = select_units(errors, limit=limit).table
        rest = ~found["selected"].to_numpy()
        kept = weight * np.abs(reported - true) / (weight @ true)
        # The probability of error does not depend on what was reported, so that the
        # expected error of the rest is that of its records.
        left.append(kept[rest].sum())
        reviewed.append(found["selected"].mean())
    assert np.mean(left) < limit + 2 * np.std(left) / 200**0.5
    assert np.mean(left) > 0.9 * limit
    assert 0.1 < np.mean(reviewed) < 0.95

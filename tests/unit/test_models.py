"""Chained models: matching, drawn categories, two parts, structural gaps."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.learners import Learner, calibration, drawn, sharpened
from mlstats.editimpute.matching import matched_donors
from mlstats.editimpute.models import ChainedImputer
from mlstats.errors import ConfigError, ContractError
from mlstats.method import ImputeMethod, work_of


def _survey(n=1500, seed=1):
    rng = np.random.default_rng(seed)
    age = rng.integers(16, 80, n)
    work = rng.random(n) < np.where(age < 65, 0.8, 0.1)
    frame = pd.DataFrame(
        {
            "age": age,
            "region": rng.choice(["north", "south", "west"], n, p=[0.6, 0.3, 0.1]),
            "hours": np.where(work, np.round(rng.normal(36, 6, n)), 0.0),
        }
    )
    frame["pay"] = np.where(work, frame["hours"] * rng.lognormal(3, 0.3, n), 0.0)
    level = (frame["pay"] > 700).astype(int) + (rng.random(n) < 0.2)
    frame["level"] = pd.Series(["low", "middle", "high"])[level].to_numpy()
    return frame


def _holes(frame, names, share=0.3, seed=2):
    rng = np.random.default_rng(seed)
    mask = pd.DataFrame(
        rng.random((len(frame), len(names))) < share, columns=names, index=frame.index
    )
    return frame.mask(mask.reindex(columns=frame.columns, fill_value=False)), mask


FAST = {"trees": 25, "leaves": 15}


def test_matching_draws_evenly_from_the_nearest():
    donors = np.array([5.0, 1.0, 2.0, 3.0, 9.0])
    found = matched_donors(
        donors, np.full(6000, 2.1), np.random.default_rng(1), neighbours=3
    )
    counts = np.bincount(found, minlength=5)
    assert counts[[0, 4]].tolist() == [0, 0]
    assert np.abs(counts[[1, 2, 3]] / 6000 - 1 / 3).max() < 0.025


def test_matching_among_equal_predictions_uses_all_donors():
    found = matched_donors(np.zeros(500), np.zeros(5000), np.random.default_rng(1))
    assert np.bincount(found, minlength=500).max() < 60


def test_imputed_numbers_are_reported_ones_and_no_row_moves():
    frame = _survey()
    holes, mask = _holes(frame, ["hours", "pay"])
    found = ChainedImputer(**FAST).treat(holes, mask, 3)
    pd.testing.assert_index_equal(found.values.index, frame.index)
    assert list(found.values.columns) == list(frame.columns)
    for name in ("hours", "pay"):
        asked = mask[name].to_numpy()
        assert found.values[name].notna().all()
        assert set(found.values[name][asked]) <= set(frame[name][~asked])
        kept = found.values[name][~asked]
        pd.testing.assert_series_equal(kept, frame[name][~asked])
    cells = found.cells[found.cells["variable"] == "pay"]
    given = holes.loc[cells["donor"].to_numpy(dtype=int), "pay"].to_numpy()
    np.testing.assert_array_equal(cells["after"].to_numpy(float), given)


def test_the_seed_decides():
    holes, mask = _holes(_survey(600), ["pay", "level"])
    method = ChainedImputer(**FAST)
    one, same, other = (method.impute(holes, mask, s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one["pay"].equals(other["pay"])
    assert isinstance(method, ImputeMethod)
    assert (work_of(method), method.kind) == ("impute", "ml")


def test_categories_are_drawn_so_that_the_margins_hold():
    frame = _survey(4000)
    holes, mask = _holes(frame, ["level", "region"])
    found = ChainedImputer(**FAST).impute(holes, mask, 3)
    for name in ("level", "region"):
        asked = mask[name]
        true = frame[name][asked].value_counts(normalize=True)
        got = found[name][asked].value_counts(normalize=True)
        # The likeliest category alone would make every region north.
        assert (true - got).abs().sum() / 2 < 0.05


def test_the_zeros_are_imputed_as_a_part_of_their_own():
    frame = _survey(4000)
    holes, mask = _holes(frame, ["pay"])
    found = ChainedImputer(**FAST).impute(holes, mask, 3)
    asked = mask["pay"]
    zeros = (found["pay"][asked] == 0).mean() - (frame["pay"][asked] == 0).mean()
    assert abs(zeros) < 0.03
    wrong = (found["pay"][asked] == 0) != (frame["hours"][asked] == 0)
    assert wrong.mean() < 0.02


def test_structurally_missing_cells_stay_missing():
    frame = _survey()
    frame.loc[frame["age"] > 65, "pay"] = np.nan
    holes, mask = _holes(frame, ["pay", "hours"])
    mask["pay"] &= frame["age"] <= 65
    found = ChainedImputer(**FAST).impute(holes, mask, 3)
    old = frame["age"] > 65
    assert found.loc[old, "pay"].isna().all()
    assert found.loc[~old, "pay"].notna().all()
    everywhere = pd.DataFrame({"pay": np.ones(len(frame), bool)}, index=frame.index)
    structural = pd.DataFrame({"pay": old})
    with pytest.raises(ConfigError, match="structurally missing"):
        ChainedImputer(**FAST).treat(holes, everywhere, 3, structural=structural)


def test_forests_do_the_same_work():
    frame = _survey(500)
    holes, mask = _holes(frame, ["pay", "level"])
    found = ChainedImputer(family="forest", trees=20).impute(holes, mask, 3)
    assert found[["pay", "level"]].notna().all().all()


def test_integers_stay_integers_and_a_constant_is_itself():
    frame = _survey(300).assign(same=7)
    holes = frame.copy()
    mask = pd.DataFrame({"age": np.arange(300) % 3 == 0, "same": np.arange(300) < 9})
    found = ChainedImputer(**FAST).impute(holes, mask, 3)
    assert found["age"].dtype == frame["age"].dtype
    assert (found["same"] == 7).all()


def test_nothing_observed_is_a_status_and_bad_input_an_error():
    frame = _survey(200).assign(pay=np.nan)
    mask = pd.DataFrame({"pay": np.ones(200, bool)})
    cells = ChainedImputer(**FAST).treat(frame, mask, 3).cells
    assert set(cells["status"]) == {"not_imputed"}
    assert set(cells["reason"]) == {"no record has the variable"}
    frame.loc[3, "hours"] = np.inf
    with pytest.raises(ContractError, match="infinite"):
        ChainedImputer(**FAST).impute(frame, mask, 3)
    with pytest.raises(ConfigError, match="no family"):
        ChainedImputer(family="other").impute(_survey(50), mask.iloc[:50] & False, 1)
    names = _survey(400).assign(name=[f"n{i}" for i in range(400)])
    many = pd.DataFrame({"name": np.arange(400) < 5})
    with pytest.raises(ConfigError, match="categories"):
        ChainedImputer(**FAST).impute(names, many, 1)


def test_the_calibration_undoes_overconfidence_and_wrong_frequencies():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 2, 6], 20_000)
    code = (rng.random(20_000)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    logits = np.log(p)
    heat, shift = calibration(3 * logits + [0.0, 1.5, -0.6], code)
    assert heat == pytest.approx(3.0, rel=0.05)
    # Shifts count up to one that all classes share.
    assert shift - shift[0] == pytest.approx([0.0, -0.5, 0.2], abs=0.08)
    shares = np.exp((3 * logits + [0.0, 1.5, -0.6]) / heat + shift)
    shares /= shares.sum(axis=1, keepdims=True)
    counts = np.bincount(code) / len(code)
    np.testing.assert_allclose(shares.mean(axis=0), counts, atol=1e-3)


def test_rare_classes_are_predicted_as_often_as_they_occur():
    """With a temperature alone a model that overfits makes rare classes frequent."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(9000, 4))
    y = (rng.random(9000) < 0.05 + 0.1 * (x[:, 0] > 1)).astype(float)
    fold = rng.integers(0, 3, 3000)
    _, shares = Learner(trees=60).probabilities(
        x[:3000], y[:3000], np.zeros(4, bool), 1, x[3000:], fold
    )
    error = 3.5 * np.sqrt(y.var() / 3000)
    assert shares[:, 1].mean() == pytest.approx(y[:3000].mean(), abs=error)


@pytest.mark.parametrize("balanced", [True, False])
def test_draws_follow_their_own_probabilities(balanced):
    rng = np.random.default_rng(1)
    shares = rng.dirichlet([0.5, 1, 2, 0.2], 40)
    shares[0] = [0.2, 0.0, 0.8, 0.0]
    rounds = 4000
    count = np.zeros(shares.shape)
    for _ in range(rounds):
        count += np.eye(4)[drawn(shares, rng, balanced=balanced)]
    error = np.sqrt(shares * (1 - shares) / rounds)
    # 160 figures: beyond 4.5 errors with probability 0.001.
    assert (np.abs(count / rounds - shares) <= 4.5 * error + 1e-12).all()


def test_balanced_draws_keep_the_frequencies_of_the_probabilities():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet([0.5, 1, 2, 0.2], 2000)
    apart = {True: [], False: []}
    for balanced in apart:
        for _ in range(40):
            got = np.bincount(drawn(shares, rng, balanced=balanced), minlength=4)
            apart[balanced].append(np.abs(got - shares.sum(axis=0)).sum() / 4000)
    assert np.mean(apart[True]) < np.mean(apart[False]) / 3


def test_balanced_matching_gives_each_near_donor_its_chance_and_a_steady_mean():
    rng = np.random.default_rng(2)
    donors, recipients = rng.normal(size=300), rng.normal(size=60)
    values = donors + rng.normal(size=300)
    rounds, means = 2000, {True: [], False: []}
    count = np.zeros((60, 300))
    for balanced in means:
        for _ in range(rounds):
            found = matched_donors(
                donors, recipients, rng, neighbours=5, values=values, balanced=balanced
            )
            means[balanced].append(values[found].mean())
            if balanced:
                count[np.arange(60), found] += 1
    near = count > 0
    assert (near.sum(axis=1) == 5).all()
    assert np.abs(count[near] / rounds - 0.2).max() < 4.5 * np.sqrt(0.16 / rounds)
    assert np.std(means[True]) < np.std(means[False]) / 2
    error = 4 * np.std(means[False]) / np.sqrt(rounds)
    assert np.mean(means[True]) == pytest.approx(np.mean(means[False]), abs=error)


def test_chances_of_near_donors_move_the_expected_mean_to_the_aim():
    rng = np.random.default_rng(4)
    donors, recipients = rng.normal(size=400), rng.normal(size=200)
    values = 2 * donors + rng.normal(size=400)
    aim = 2 * recipients.mean() + 0.3
    found = [
        values[matched_donors(donors, recipients, rng, values=values, aim=aim)].mean()
        for _ in range(200)
    ]
    error = 4 * np.std(found) / np.sqrt(200)
    assert np.mean(found) == pytest.approx(aim, abs=error)
    near = matched_donors(donors, recipients, rng, values=values, aim=aim)
    assert np.abs(donors[near] - recipients).max() < 1.5


def test_sharpened_probabilities_keep_the_frequencies():
    shares = np.random.default_rng(1).dirichlet([0.5, 1, 2, 0.2], 500)
    found = sharpened(shares, 1.5)
    np.testing.assert_allclose(found.mean(axis=0), shares.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found**2).sum() > (shares**2).sum()
    assert sharpened(shares, 1.0) is shares


def test_the_mean_of_imputed_values_is_that_of_the_missing_ones():
    """Skewed, and missing the more often the larger: donors are dense below."""
    apart = []
    for seed in range(16):
        rng = np.random.default_rng(300 + seed)
        x = rng.normal(size=3000)
        frame = pd.DataFrame({"x": x, "y": np.exp(x + 0.5 * rng.normal(size=3000))})
        asked = rng.random(3000) < 1 / (1 + np.exp(1 - x))
        mask = pd.DataFrame({"y": asked})
        found = ChainedImputer().impute(frame.assign(y=frame.y.mask(asked)), mask, seed)
        apart.append(found["y"][asked].mean() / np.exp(x + 0.125)[asked].mean() - 1)
    # Matching without the aim is 4 % too low here, with an error of 1 %.
    assert abs(np.mean(apart)) < 0.025

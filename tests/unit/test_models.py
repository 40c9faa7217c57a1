"""Chained models: matching, drawn categories, two parts, structural gaps."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.learners import drawn, temperature
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


def test_the_temperature_undoes_overconfidence():
    rng = np.random.default_rng(1)
    p = rng.beta(2, 2, 20_000)
    code = (rng.random(20_000) < p).astype(int)
    logits = np.log(np.column_stack([1 - p, p]))
    assert temperature(3 * logits, code) == pytest.approx(3.0, rel=0.05)
    assert temperature(logits, code) == pytest.approx(1.0, rel=0.05)


def test_draws_follow_their_probabilities():
    shares = np.tile([0.2, 0.0, 0.8], (20_000, 1))
    found = drawn(shares, np.random.default_rng(1))
    counts = np.bincount(found, minlength=3) / 20_000
    np.testing.assert_allclose(counts, [0.2, 0.0, 0.8], atol=0.01)

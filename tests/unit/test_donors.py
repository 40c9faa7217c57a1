"""Nearest donors and hot-decks."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.donors import NearestDonor, donor_limit, rank_transform
from mlstats.editimpute.hotdeck import HotDeck
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.matching_fields import binding_fields
from mlstats.errors import ConfigError, ContractError
from mlstats.method import ImputeMethod


def _edits(rows, rhs, equality, names):
    return LinearEdits(np.array(rows, float), np.array(rhs, float), equality, names)


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    n = 400
    frame = pd.DataFrame(
        {
            "x": np.round(rng.normal(size=n), 1),
            "z": rng.integers(0, 4, n).astype(float),
            "c": rng.choice(["p", "q"], n),
        },
        index=[f"u{i}" for i in range(n)],
    )
    frame["y"] = frame["x"] * 10 + 50 + rng.normal(size=n)
    mask = pd.DataFrame({"y": rng.random(n) < 0.25}, index=frame.index)
    return frame.mask(mask.reindex(columns=frame.columns, fill_value=False)), mask


def test_the_donor_is_at_the_least_distance_of_its_class(data):
    frame, mask = data
    cells = NearestDonor(["x", "z"], by=["c"]).treat(frame, mask, 1).cells
    assert (cells["status"] == "imputed").all()
    for _, part in frame.groupby("c"):
        shares = pd.DataFrame(
            rank_transform(part[["x", "z"]].to_numpy()), index=part.index
        )
        donors = part.index[part["y"].notna()]
        for cell in cells[cells["unit"].isin(part.index)].itertuples():
            distance = (shares.loc[donors] - shares.loc[cell.unit]).abs().max(axis=1)
            assert distance[cell.donor] == pytest.approx(distance.min(), abs=1e-12)
            assert cell.after == frame.loc[cell.donor, "y"]


def test_no_row_is_lost_or_moved_and_the_seed_decides(data):
    frame, mask = data
    method = NearestDonor(["z"])
    first, again = (method.impute(frame, mask, 5) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["y"].equals(method.impute(frame, mask, 6)["y"])
    pd.testing.assert_index_equal(first.index, frame.index)
    pd.testing.assert_frame_equal(first[["x", "z", "c"]], frame[["x", "z", "c"]])
    assert isinstance(method, ImputeMethod)


def test_ties_are_drawn_evenly():
    n = 40
    frame = pd.DataFrame({"x": 1.0, "y": np.arange(2.0 * n)})
    mask = pd.DataFrame({"y": np.arange(2 * n) >= n})
    frame.loc[mask["y"], "y"] = np.nan
    drawn = np.concatenate(
        [NearestDonor(["x"]).impute(frame, mask, s)["y"][n:] for s in range(60)]
    )
    counts = np.bincount(drawn.astype(int), minlength=n)
    # 2,400 draws from 40: chi-square with 39 degrees of freedom, 0.1 % point 72.1
    assert ((counts - 60) ** 2 / 60).sum() < 72.1


def test_post_edits_pass_over_the_nearest_donor():
    n = 60
    frame = pd.DataFrame({"x": np.arange(n, dtype=float), "y": np.arange(n) + 0.5})
    frame["cap"] = 100.0
    frame.loc[30, ["y", "cap"]] = [np.nan, 27.0]
    mask = frame[["y"]].isna()
    edits = _edits([[1, -1]], [0], [False], ["y", "cap"])
    found = NearestDonor(["x"], edits=edits).impute(frame, mask, 1)
    assert found.loc[30, "y"] == 26.5
    few = NearestDonor(["x"], edits=edits, tries=2).treat(frame, mask, 1)
    assert few.cells["reason"].tolist() == ["no donor passes within the tries"]
    assert np.isnan(few.values.loc[30, "y"])


def test_the_donor_limit_holds_and_everyone_is_served():
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame({"x": rng.normal(size=n), "y": rng.normal(size=n)})
    mask = pd.DataFrame({"y": np.arange(n) >= 100})
    frame.loc[100:, "x"] = 0.0
    frame.loc[mask["y"], "y"] = np.nan
    cells = NearestDonor(["x"], limit_uses=2).treat(frame, mask, 1).cells
    assert (cells["status"] == "imputed").all()
    assert cells["donor"].value_counts().max() <= 2
    assert donor_limit(100, 40, ratio=1.0, uses=1) == 3
    assert donor_limit(100, 40) is None


def test_a_class_without_enough_donors_says_so(data):
    frame, mask = data
    frame["c"] = np.where(np.arange(len(frame)) < 5, "rare", "often")
    mask["y"] |= frame["c"] == "rare"
    cells = NearestDonor(["x"], by=["c"]).treat(frame, mask, 1).cells
    rare = cells[cells["unit"].isin(frame.index[:5])]
    assert set(rare["status"]) == {"not_imputed"}
    assert set(rare["reason"]) == {"the class has no donors"}


def test_mass_imputation_takes_the_whole_record_from_one_donor(data):
    frame, _ = data
    frame["y"] = np.arange(400.0)
    frame["v"] = frame["y"] * 2
    mask = pd.DataFrame({"y": np.arange(400) % 4 == 0}, index=frame.index)
    mask["v"] = mask["y"]
    found = NearestDonor(random=True).impute(frame, mask, 2)
    np.testing.assert_array_equal(found["v"], found["y"] * 2)


def test_matching_fields_are_those_of_the_edits_that_bind():
    # y <= 2 x binds when x = 1 (y <= 2 < 10); y <= x + 20 is implied by y <= 10.
    edits = _edits(
        [[1, -2, 0], [1, 0, -1], [1, 0, 0]],
        [0, 20, 10],
        [False, False, False],
        ["y", "x", "w"],
    )
    values = np.array([[np.nan, 1.0, 5.0], [np.nan, 9.0, -15.0], [np.nan, 9.0, 5.0]])
    free = np.isnan(values)
    found = binding_fields(edits, values, free)
    assert found.tolist() == [
        [False, True, False],
        [False, False, True],
        [False, False, False],
    ]


def test_bad_input_is_a_clear_error(data):
    frame, mask = data
    with pytest.raises(ConfigError, match="matching fields"):
        NearestDonor().impute(frame, mask, 1)
    with pytest.raises(ContractError, match="text"):
        NearestDonor(["c"]).impute(frame, mask, 1)
    with pytest.raises(ContractError, match="infinite"):
        NearestDonor(["x"]).impute(frame.assign(x=np.inf), mask, 1)
    with pytest.raises(ContractError, match="other rows"):
        NearestDonor(["x"]).impute(frame, mask.iloc[::-1], 1)
    with pytest.raises(ConfigError, match="structurally missing"):
        NearestDonor(["x"]).treat(frame, mask, 1, structural=mask)
    everything = pd.DataFrame(True, index=frame.index, columns=["y"])
    cells = NearestDonor(["x"]).treat(frame, everything, 1).cells
    assert len(cells) == 400
    assert set(cells["reason"]) == {"the class has no donors"}


def test_hot_decks_stay_in_their_class_and_collapse_where_it_is_empty(data):
    frame, mask = data
    cells = HotDeck(["c"]).treat(frame, mask, 1).cells
    own = frame.loc[cells["unit"], "c"].to_numpy()
    assert (frame.loc[cells["donor"], "c"].to_numpy() == own).all()
    frame["c"] = np.where(mask["y"], "asked", "given")
    assert HotDeck(["c"]).treat(frame, mask, 1).cells["status"].eq("imputed").all()
    strict = HotDeck(["c"], collapse=False).treat(frame, mask, 1).cells
    assert set(strict["reason"]) == {"no class has enough donors"}


def test_the_sequential_hot_deck_takes_the_last_donor_above():
    frame = pd.DataFrame({"y": ["a", None, None, "b", None]})
    mask = frame[["y"]].isna()
    found = HotDeck(order="sequential").impute(frame, mask, 1)
    assert found["y"].tolist() == ["a", "a", "a", "b", "b"]
    with pytest.raises(ConfigError, match="no order"):
        HotDeck(order="other").impute(frame, mask, 1)


def test_a_record_without_a_donor_takes_one_of_a_wider_class():
    frame = pd.DataFrame(
        {
            "area": ["a", "a", "b", "b"],
            "size": [1.0, 2.0, 9.0, 2.5],
            "x": [10.0, 20.0, np.nan, np.nan],
        }
    )
    mask = pd.DataFrame({"x": [False, False, True, True]})
    alone = NearestDonor(["size"], by=["area"], min_donors=1, min_percent=0)
    assert alone.impute(frame, mask, 0)["x"].isna().sum() == 2
    wider = NearestDonor(
        ["size"], by=["area"], min_donors=1, min_percent=0, collapse=True
    )
    found = wider.treat(frame, mask, 0)
    assert found.values["x"].tolist() == [10.0, 20.0, 20.0, 20.0]
    assert set(found.cells["status"]) == {"imputed"}


def test_categories_are_matched_by_their_place_in_an_order():
    frame = pd.DataFrame(
        {
            "level": ["low", "middle", "high", "low"],
            "x": [1.0, 2.0, np.nan, np.nan],
        }
    )
    mask = pd.DataFrame({"x": [False, False, True, True]})
    order = {"level": ["low", "middle", "high"]}
    donor = NearestDonor(["level"], min_donors=1, min_percent=0, orders=order)
    assert donor.impute(frame, mask, 0)["x"].tolist() == [1.0, 2.0, 2.0, 1.0]
    frame.loc[0, "level"] = "lowest"
    with pytest.raises(ContractError, match="1 values of 'level' are not in its order"):
        donor.impute(frame, mask, 0)

"""After any imputer every edit holds, or the reason is told."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.consistent import EditConsistent
from mlstats.editimpute.deterministic import Deterministic
from mlstats.editimpute.donors import NearestDonor
from mlstats.editimpute.estimators import EstimatorImputer, EstimatorStep
from mlstats.editimpute.hotdeck import HotDeck
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.models import ChainedImputer

NAMES = ["staff", "other", "costs", "turnover"]
EDITS = LinearEdits(
    np.array([[1.0, 1.0, -1.0, 0.0], [0.0, 0.0, 1.0, -1.0], [0.0, 0.0, 0.0, 1.0]]),
    np.array([0.0, 0.0, 1e6]),
    np.array([True, False, False]),
    NAMES,
).with_positivity()


@pytest.fixture
def data():
    rng = np.random.default_rng(7)
    n = 600
    frame = pd.DataFrame({"size": rng.integers(1, 5, n)})
    frame["staff"] = np.round(rng.lognormal(frame["size"], 0.5))
    frame["other"] = np.round(rng.lognormal(frame["size"], 0.8))
    frame["costs"] = frame["staff"] + frame["other"]
    frame["turnover"] = frame["costs"] + np.round(rng.lognormal(2, 1, n))
    mask = pd.DataFrame(rng.random((n, 4)) < 0.2, columns=NAMES)
    return frame.mask(mask.reindex(columns=frame.columns, fill_value=False)), mask


@pytest.mark.parametrize(
    "imputer",
    [
        ChainedImputer(trees=20),
        NearestDonor(["size"], min_percent=0),
        HotDeck(["size"]),
        EstimatorImputer([EstimatorStep(v, "mean") for v in NAMES]),
    ],
    ids=["models", "donor", "hot-deck", "estimators"],
)
def test_every_edit_holds_after_any_imputer(data, imputer):
    frame, mask = data
    found = EditConsistent(imputer, EDITS, decimals=dict.fromkeys(NAMES, 0)).treat(
        frame, mask, 1
    )
    assert found.edits.empty
    assert EDITS.passing(EDITS.matrix(found.values)).all()
    np.testing.assert_array_equal(found.values[NAMES], found.values[NAMES].round())
    kept = ~mask.to_numpy()
    np.testing.assert_array_equal(
        found.values[NAMES].to_numpy()[kept], frame[NAMES].to_numpy()[kept]
    )
    after = found.values.to_numpy(float)[
        frame.index.get_indexer(found.cells["unit"]),
        frame.columns.get_indexer(found.cells["variable"]),
    ]
    np.testing.assert_array_equal(found.cells["after"].to_numpy(float), after)
    assert found.cells["method"].str.endswith(", adjusted").any()


def test_a_record_that_cannot_pass_is_reported_and_kept_within_its_bounds(data):
    frame, mask = data
    frame.loc[0, NAMES] = [5.0, np.nan, 3.0, 9.0]
    mask.loc[0] = [False, True, False, False]
    found = EditConsistent(HotDeck(["size"]), EDITS).treat(frame, mask, 1)
    assert found.edits[["edit", "records"]].to_numpy().tolist() == [["edit 1", 1]]
    reasons = found.edits["reason"].tolist()
    assert reasons == ["no values of the free cells satisfy the edits"]
    assert found.values.loc[0, "other"] >= 0


def test_deterministic_imputation_finds_what_the_edits_fix():
    frame = pd.DataFrame(
        {
            "staff": [1.0, np.nan, 4.0, np.nan, 5.0],
            "other": [2.0, 3.0, np.nan, np.nan, np.nan],
            "costs": [np.nan, 7.0, np.nan, 0.0, 3.0],
            "turnover": [9.0, 9.0, 4.0, 9.0, 9.0],
        }
    )
    mask = frame.isna()
    found = Deterministic(EDITS).treat(frame, mask)
    # A balance; a balance; costs <= turnover = staff; a sum of zero; a contradiction.
    expected = [[1, 2, 3, 9], [4, 3, 7, 9], [4, 0, 4, 4], [0, 0, 0, 9]]
    np.testing.assert_allclose(found.values.iloc[:4], expected, atol=1e-9)
    assert np.isnan(found.values.loc[4, "other"])
    last = found.cells[found.cells["unit"] == 4]
    assert last["reason"].tolist() == ["no value is feasible"]
    loose = frame.assign(costs=np.nan).iloc[[1]]
    cells = Deterministic(EDITS).treat(loose, loose.isna()).cells
    assert set(cells["reason"]) == {"more than one value is feasible"}

"""Real survey files from review to provenance: every hard edit holds or is listed."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute import (
    ChainedImputer,
    EditSet,
    HotDeck,
    NearestDonor,
    Variable,
    apply_cells,
    localise,
    process,
    review,
)

TEXTS = [
    "turnover + `other.rev` == `total.rev`",
    "`total.rev` - `total.costs` == profit",
    "`staff.costs` <= `total.costs`",
    "profit <= 0.6 * `total.rev`",
    "if staff > 0 then `staff.costs` > 0",
]
POSITIVE = ["turnover", "other.rev", "total.rev", "total.costs", "staff.costs"]
RETAILERS = EditSet.from_texts(
    TEXTS,
    {name: Variable(least=0) for name in POSITIVE}
    | {"staff": Variable(least=0, integer=True)},
)


@pytest.fixture
def folder(real_data):
    path = real_data / "editimpute"
    if not path.is_dir():
        pytest.skip("the data for editing and imputation are not on this machine")
    return path


@pytest.mark.parametrize(
    "imputer",
    [ChainedImputer(trees=20), HotDeck(["size"])],
    ids=["models", "hot-deck"],
)
def test_retailers_keep_conditions_and_whole_numbers(folder, imputer):
    frame = pd.read_csv(folder / "sbs2000_retailers.csv.gz")
    mask = frame[list(RETAILERS.numeric)].isna()
    found = process(frame, RETAILERS, imputer, mask=mask, seed=1)
    assert found.edits.empty
    assert (review(found.values, RETAILERS).by_record == 0).all()
    assert (found.cells["status"] == "imputed").all()
    pd.testing.assert_frame_equal(apply_cells(frame, found.cells), found.values)
    # No more is changed than the least that must be wrong.
    chosen = localise(frame, RETAILERS)
    least = chosen.weight.sum()
    assert len(found.cells) == least


def test_poultry_reports_pass_after_the_donor(folder):
    table = pd.read_csv(folder / "poultry_edits.csv").iloc[:21]
    edits = EditSet.from_texts(
        {
            str(row["editid"]): (
                f"{row['leftside']} {row['operator']} {row['rightside']}"
            )
            for row in table.to_dict("records")
        }
    )
    frame = pd.read_csv(folder / "poultry_current.csv.gz").set_index("IDENT")
    match = NearestDonor(["HEN_TOT", "EGG_LAID"], min_donors=1, min_percent=0)
    found = process(frame, edits, match, seed=1)
    selected = found.cells["selection"].value_counts()
    assert selected["edit"] > 20
    assert found.edits.empty
    assert (review(found.values, edits).by_record == 0).all()
    untouched = frame.index.difference(found.cells["unit"])
    # A column of whole numbers becomes decimal where an adjusted value needs it.
    pd.testing.assert_frame_equal(
        found.values.loc[untouched], frame.loc[untouched], check_dtype=False
    )
    assert np.isfinite(found.cells["after"].astype(float)).all()

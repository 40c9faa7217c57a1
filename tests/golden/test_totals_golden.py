"""The ONS's worked cases of totals and components, cell by cell."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.totals import correct_totals
from tests.conftest import SHARED

CASES = Path(os.environ.get("MLSTATS_DATA") or SHARED) / "editimpute/ons_sml_cases"
FOLDER = CASES / "editing__uat_testing__tcc_test_data_original"


def _cases():
    found = sorted(FOLDER.glob("*_output.csv"))
    skip = pytest.mark.skip(reason="the ONS cases are not on this machine")
    return [pytest.param(p, id=p.stem) for p in found] or [
        pytest.param(None, marks=skip)
    ]


@pytest.mark.parametrize("path", _cases())
def test_totals_and_components_cell_by_cell(path):
    given = pd.read_csv(path.with_name(path.name.replace("_output", "")))
    expected = pd.read_csv(path)
    names = [f"comp_{i}" for i in range(1, 5)]
    assert given.iloc[:, 0].tolist() == expected["reference"].tolist()
    found = correct_totals(
        given["total"].to_numpy(),
        given[names].to_numpy(float),
        amend_total=given["amend_total"].to_numpy(bool),
        predictive=given["predictive"].to_numpy(float),
        auxiliary=given["auxiliary"].to_numpy(float),
        absolute=given["abs_threshold"].to_numpy(float),
        percentage=given["perc_threshold"].to_numpy(float),
    )
    assert found.marker.tolist() == expected["tcc_marker"].tolist()
    finals = [f"final_component_{i}" for i in range(1, 5)]
    pairs = [
        (found.total, expected["final_total"]),
        (found.components, expected[finals]),
        (found.difference, expected["abs_diff"]),
        (found.low, expected["perc_low"]),
        (found.high, expected["perc_high"]),
    ]
    for got, want in pairs:
        np.testing.assert_allclose(got, want.to_numpy(float), rtol=1e-8)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.block_search import Limits
from mlstats.editimpute.edit_files import read_edits
from mlstats.editimpute.edits import EditSet, Variable
from mlstats.editimpute.localisation import localise
from mlstats.editimpute.status import review
from mlstats.editimpute.unit_of_measure import thousand_pounds

_MARKS = {"corrected": "C", "kept": "N", "not_measured": "S"}


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    path = real_data / "editimpute"
    if not path.is_dir():
        pytest.skip("the data for editing and imputation are not on this machine")
    return path


@pytest.mark.parametrize("case", [4, 5, 6, 7])
def test_thousand_pounds_cases_of_the_ons(folder: Path, case: int) -> None:
    cases = folder / "ons_sml_cases" / "editing__uat_testing__tpc_test_data_original"
    given = pd.read_csv(cases / f"TPC_test_data_case_{case}.csv")
    wanted = pd.read_csv(cases / f"TPC_test_data_case_{case}_output.csv")
    found = thousand_pounds(
        given,
        principal="principal_val",
        targets=["q42", "q43"],
        predictive="predictive_val",
        auxiliary="aux_val",
        lower="threshold_lower",
        upper="threshold_upper",
    )
    assert found.status.map(_MARKS).tolist() == wanted["tpc_marker"].tolist()
    columns = ["principal_final_value", "q42_final_value", "q43_final_value"]
    got, expected = found.values.to_numpy(), wanted[columns].to_numpy(dtype=float)
    assert np.allclose(got, expected, rtol=0, atol=1e-12)
    ratio = wanted["tpc_ratio"].to_numpy(dtype=float)
    assert np.allclose(found.ratio, ratio, rtol=0, atol=1e-6, equal_nan=True)


def poultry(folder: Path) -> tuple[EditSet, pd.DataFrame]:
    given = read_edits_of_poultry(folder)
    return given, pd.read_csv(folder / "poultry_current.csv.gz")


def read_edits_of_poultry(folder: Path) -> EditSet:
    table = pd.read_csv(folder / "poultry_edits.csv").iloc[:21]
    texts = {
        str(row["editid"]): f"{row['leftside']} {row['operator']} {row['rightside']}"
        for row in table.to_dict("records")
    }
    return EditSet.from_texts(texts)


def test_an_unreadable_edit_of_the_poultry_survey_is_told(folder: Path) -> None:
    with pytest.raises(Exception, match="a number runs into a name") as caught:
        read_edits(folder / "poultry_edits.csv")
    assert "poultry_edits.csv:52" in str(getattr(caught.value, "where", ""))


def test_poultry_records_get_the_least_weight_of_the_program(folder: Path) -> None:
    edits, frame = poultry(folder)
    weights = {"HEN_TOT": 2.0, "EGG_VALU": 0.5}
    found = localise(frame, edits, weights=weights)
    program = localise(frame, edits, weights=weights, limits=Limits(most_rounds=0))
    assert found.weight.tolist() == program.weight.tolist()
    assert (found.status == "solved").sum() > 20
    assert not found.by_program.any()
    _mends(frame, edits, found.changes)


def test_retailers_get_the_least_weight_with_whole_numbers(folder: Path) -> None:
    frame = pd.read_csv(folder / "sbs2000_retailers.csv.gz")
    texts = [
        "turnover + `other.rev` == `total.rev`",
        "`total.rev` - `total.costs` == profit",
        "`staff.costs` <= `total.costs`",
        "profit <= 0.6 * `total.rev`",
        "if staff > 0 then `staff.costs` > 0",
    ]
    names = ["turnover", "other.rev", "total.rev", "total.costs", "staff.costs"]
    variables = {name: Variable(least=0) for name in names}
    variables["staff"] = Variable(least=0, integer=True)
    edits = EditSet.from_texts(texts, variables)
    found = localise(frame, edits)
    program = localise(frame, edits, limits=Limits(most_rounds=0))
    assert found.weight.tolist() == program.weight.tolist()
    assert (found.status == "solved").sum() > 20


def _mends(frame: pd.DataFrame, edits: EditSet, changes: pd.DataFrame) -> None:
    """Check that nothing else is failed by what stays."""
    kept = frame[list(changes.columns)].astype(float).mask(changes)
    assert (review(kept, edits).status != "fail").all()

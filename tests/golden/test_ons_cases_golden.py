"""Every file of the ONS's worked cases is run: these, and those of the other tests.

Totals and components, and links, are in files of their own. Files without an expected
output are listed in ``WITHOUT_OUTPUT`` with what is checked of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.selective import expected_errors, global_score
from mlstats.editimpute.unit_of_measure import ThousandPounds, thousand_pounds
from mlstats.editimpute.winsorisation import winsorise
from mlstats.errors import ContractError

WINSORISATION = "fixture_data__outliering__winsorisation__"
# Folder -> the test that runs each pair of files in it.
WITH_OUTPUT = {
    "editing__uat_testing__tcc_test_data_original": "test_totals_golden.py",
    "editing__uat_testing__tpc_test_data_original": "test_editimpute_golden.py",
    "fixture_data__imputation__mean_of_ratios__methodology_scenarios": (
        "test_link_imputation_golden.py"
    ),
    "fixture_data__imputation__ratio_of_means__methodology_scenarios": (
        "test_link_imputation_golden.py"
    ),
    f"{WINSORISATION}dev_scenarios": "here",
    f"{WINSORISATION}methodology_scenarios": "here",
    "selective-editing": "here",
}
WITHOUT_OUTPUT = {
    "editing__thousand_pounds__example_data/example_test_data.csv": (
        "the ratio to 50 corrects A; 400 and no comparison correct nothing"
    ),
    "editing__thousand_pounds__example_data__csvs/TPC_test_data_case_4.csv": (
        "as the case of this number: ratios at the limits are not corrected"
    ),
    f"{WINSORISATION}unit/different_l_values_stratum_different_periods.csv": (
        "one L in each stratum and period: winsorised"
    ),
    f"{WINSORISATION}unit/different_l_values_stratum_same_period.csv": (
        "more than one L in a stratum and period: refused"
    ),
    f"{WINSORISATION}unit/negative_calibration_factor.csv": "refused",
}


@pytest.fixture(scope="module")
def cases(real_data: Path) -> Path:
    folder = real_data / "editimpute" / "ons_sml_cases"
    if not folder.is_dir():
        pytest.skip("the ONS cases are not on this machine")
    return folder


def test_no_file_of_the_cases_is_left_out(cases: Path) -> None:
    found = {p.relative_to(cases).as_posix() for p in cases.rglob("*.csv")}
    rest = {name for name in found if name.split("/")[0] not in WITH_OUTPUT}
    assert rest == set(WITHOUT_OUTPUT)
    for folder in WITH_OUTPUT:
        files = {p.name for p in (cases / folder).glob("*.csv")}
        outputs = {name for name in files if "output" in name}
        pairs = {name.replace("_output", "_input") for name in outputs}
        pairs |= {name.replace("_output.csv", ".csv") for name in outputs}
        assert outputs
        assert files - outputs <= pairs, folder
        assert len(files) == 2 * len(outputs), folder


@pytest.mark.parametrize("question", [1, 2, 3])
def test_selective_editing_scores(cases: Path, question: int) -> None:
    folder = cases / "selective-editing"
    given = pd.read_csv(folder / "selective_editing_input_data_example_1.csv")
    wanted = pd.read_csv(folder / "selective_editing_output_data_example_1.csv")
    name = f"question_{question}"
    main, other = given[f"{name}_pv"], given[f"{name}_apv"]
    errors = expected_errors(
        given[[f"{name}_ar"]].set_axis(["y"], axis=1),
        main.fillna(other).to_frame("y"),
        weight=given["design_weight"],
        standard=given[[f"{name}_sf"]].set_axis(["y"], axis=1).astype(float),
        factor=100,
    )
    score = global_score(errors, "max")
    if question > 1:
        # The output has the first question alone: the others by the formula.
        far = (given[f"{name}_ar"] - main.fillna(other)).abs() * 20 * 100
        np.testing.assert_allclose(score, far / given[f"{name}_sf"], rtol=1e-12)
        return
    assert given["reference"].tolist() == wanted["reference"].tolist()
    assert main.notna().tolist() == wanted["question_1_pm"].tolist()
    for column in ("question_1_s", "final_score"):
        np.testing.assert_allclose(score, wanted[column], rtol=0, atol=1e-12)
    # The ONS marks what passes: a score below the threshold.
    passes = score < given["threshold"]
    assert passes.tolist() == wanted["selective_editing_marker"].tolist()


def _winsorised(cases: Path, kind: str, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    given = pd.read_csv(cases / f"{WINSORISATION}{kind}" / name)
    ratio = "calibration" in given
    found = winsorise(
        given,
        value="question",
        weight="design",
        l_value="L",
        by=["date", "group"],
        calibration="calibration" if ratio else None,
        auxiliary="other" if ratio else None,
    )
    return given, found


@pytest.mark.parametrize(
    ("kind", "name", "winsorised"),
    [
        ("methodology_scenarios", "expansion", 3),
        ("methodology_scenarios", "expansion_w_marker_test", 1),
        ("methodology_scenarios", "no_expansion", 0),
        ("dev_scenarios", "zero_return", 0),
    ],
)
def test_winsorisation(cases: Path, kind: str, name: str, winsorised: int) -> None:
    given, found = _winsorised(cases, kind, f"{name}_input.csv")
    wanted = pd.read_csv(cases / f"{WINSORISATION}{kind}" / f"{name}_output.csv")
    keys = ["date", "identifier", "group"]
    both = given[keys].join(found).merge(wanted, on=keys, suffixes=("", "_ons"))
    assert len(both) == len(given) == len(wanted)
    assert both["marker"].tolist() == both["winsorisation_marker"].tolist()
    # The expected weights have nine decimals.
    np.testing.assert_allclose(
        both["outlier_weight"], both["outlier_weight_ons"], rtol=0, atol=6e-10
    )
    assert (both["outlier_weight"] < 1).sum() == winsorised


def test_one_l_in_each_stratum_and_period_is_winsorised(cases: Path) -> None:
    name = "different_l_values_stratum_different_periods.csv"
    given, found = _winsorised(cases, "unit", name)
    expected = np.select([given["design"] == 1], ["NW_FE"], default="W")
    assert found["marker"].tolist() == expected.tolist()
    row = (given["identifier"] == 5) & (given["date"] == 200004)
    # mu = 10 (2 x 25 + 3 x 16 + 2 x 23) / (10 (2 + 3 + 2)) without weights of one;
    # k = mu + .4 / (2 - 1); y = 23 becomes 23 / 2 + k / 2
    k = 1440 / 70 + 0.4
    assert found.loc[row, "threshold"].tolist() == pytest.approx([k])
    assert found.loc[row, "value"].tolist() == pytest.approx([11.5 + k / 2])
    assert (found["outlier_weight"] <= 1).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("different_l_values_stratum_same_period.csv", "more than one value of L"),
        ("negative_calibration_factor.csv", "1 calibration factors are < 0"),
    ],
)
def test_what_cannot_be_winsorised_is_refused(
    cases: Path, name: str, message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        _winsorised(cases, "unit", name)


def _corrected(given: pd.DataFrame) -> ThousandPounds:
    return thousand_pounds(
        given,
        principal="principal_val",
        targets=["q42", "q43"],
        predictive="predictive_val",
        auxiliary="aux_val",
        lower="threshold_lower",
        upper="threshold_upper",
    )


def test_thousand_pounds_of_the_example_data(cases: Path) -> None:
    path = cases / "editing__thousand_pounds__example_data" / "example_test_data.csv"
    given = pd.read_csv(path)
    found = _corrected(given)
    kinds = dict(zip(given["RU"], found.status, strict=True))
    assert kinds["A"] == "corrected"
    assert found.ratio[0] == 260
    assert found.values.iloc[0].dropna().tolist() == [13, 0.032]
    assert kinds["B"] == kinds["E"] == "kept"
    assert kinds["C"] == kinds["D"] == "not_measured"
    kept = given["RU"] != "A"
    names = ["principal_val", "q42", "q43"]
    pd.testing.assert_frame_equal(
        found.values[kept], given.loc[kept, names].astype(float)
    )


def test_thousand_pounds_of_the_case_as_a_table(cases: Path) -> None:
    name = "TPC_test_data_case_4.csv"
    folder = cases / "editing__thousand_pounds__example_data__csvs"
    given = pd.read_csv(folder / name)
    same = cases / "editing__uat_testing__tpc_test_data_original" / name
    pd.testing.assert_frame_equal(given, pd.read_csv(same))
    found = _corrected(given)
    assert found.ratio.tolist() == [1350, 1350]
    assert found.status.tolist() == ["kept", "kept"]

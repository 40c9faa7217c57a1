"""The records of an edit and imputation pilot: read, selected, joined, checked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlstats import imputing, records
from mlstats.config import Pilot
from mlstats.config_editimpute import Recode
from mlstats.errors import ConfigError, ContractError, MlstatsError
from mlstats.imputing import true_values
from mlstats.pilot_files import load_pilot
from mlstats.recoding import recoded
from mlstats.settings import Settings

PILOT = """
pilot: small
theme: editimpute
owner: {author: tests}
data:
  source: data.csv
  edits: {file: edits.yaml}
  roles: {unit_id: id, variables: [x, kind], auxiliary: [age]}
methods:
  deck: {kind: traditional, use: mlstats.editimpute.HotDeck}
  chain: {kind: ml, use: mlstats.editimpute.ChainedImputer}
baseline: deck
candidate: chain
evaluate: {damage: {masks: 2, missing: {share: 0.2}}}
"""
EDITS = """
variables:
  x: {least: 0, missing: allowed}
  kind: {values: [a, b]}
edits:
  - {id: old, text: 'age < 15 -> kind == "a"'}
"""
ROWS = "id,x,kind,age\n01,1,a,10\n02,,b,20\n03,3,b,30\n04,4,,12\n05,5,b,14\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "configs" / "pilots").mkdir(parents=True)
    (tmp_path / "configs/pilots/small.yaml").write_text(PILOT)
    (tmp_path / "edits.yaml").write_text(EDITS)
    (tmp_path / "data.csv").write_text(ROWS)
    (tmp_path / "before.csv").write_text("id,x\n01,7\n03,8\n09,9\n")
    return tmp_path


def read(project: Path, *overrides: str) -> tuple[Pilot, records.Records]:
    pilot = load_pilot("small", project=project, overrides=overrides)
    found, result = records.load(pilot, Settings(project=project))
    result.raise_if_failed()
    return pilot, found


def test_codes_stay_strings_and_missing_ones_missing(project):
    _, found = read(project)
    assert found.frame["id"].tolist() == ["01", "02", "03", "04", "05"]
    assert found.frame["kind"].tolist()[:3] == ["a", "b", "b"]
    assert found.frame["kind"][3] is None


def test_records_are_selected_by_a_condition_and_that_is_said(project):
    _, found = read(project, "data.only=age >= 12")
    assert found.frame["id"].tolist() == ["02", "03", "04", "05"]
    assert found.cautions == ["1 records do not keep age >= 12 and take no part"]


def test_the_period_before_is_joined_by_the_unit(project):
    history = "data.history={source: before.csv}"
    _, found = read(project, history)
    assert found.frame["x_before"].tolist()[0] == 7
    assert found.frame["x_before"].isna().tolist() == [False, True, False, True, True]
    assert found.cautions == ["2 of 5 records have an earlier period"]
    (project / "before.csv").write_text("id,x\n01,7\n01,8\n")
    with pytest.raises(ContractError, match="tell its units apart"):
        read(project, history)


def test_cases_leave_out_what_may_be_missing_and_damage_only_what_is_true(project):
    pilot, found = read(project)
    first, one, two = imputing.cases(pilot, found)
    assert first.truth is None
    assert first.mask["kind"].tolist() == [False, False, False, True, False]
    assert not first.mask["x"].any()
    assert first.structural["x"].tolist() == [False, True, False, False, False]
    for case in (one, two):
        assert not case.mask.loc[1, "x"]
        assert case.mask.loc[3, "kind"]
        assert case.truth.equals(true_values(pilot, found))
    again = list(imputing.cases(pilot, found))
    assert again[1].frame.equals(one.frame)
    assert again[1].seed == one.seed != two.seed


def test_only_passing_records_are_true_where_the_pilot_says_so(project):
    pilot, found = read(project, "evaluate.damage.of=passing")
    truth = true_values(pilot, found)
    # The fifth record fails, the fourth misses; of the second x may be missing.
    assert truth["kind"].notna().tolist() == [True, True, True, False, False]
    for case in imputing.cases(pilot, found, first=1):
        assert case.frame.loc[4].equals(found.frame.loc[4, case.frame.columns])


def test_what_clerks_left_is_the_truth_and_tells_what_was_wrong(project):
    (project / "data.csv").write_text(
        "id,x,kind,age,x_edited\n01,1,a,10,1\n02,,b,20,6\n03,3,b,30,30\n04,4,a,12,\n"
    )
    past = [
        "evaluate={past_edits: {x: x_edited}}",
        "data.roles.variables=[x]",
    ]
    pilot, found = read(project, *past)
    (case,) = imputing.cases(pilot, found)
    assert case.truth["x"].tolist()[:3] == [1, 6, 30]
    assert case.wrong["x"].tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.roles.variables=[]", "needs data.roles.variables"),
        ("evaluate={}", "needs one of evaluate.damage"),
        ("evaluate.level=y", "'y' is not among data.roles.variables"),
        ("evaluate.damage.missing={mechanism: MAR}", "names the column"),
        ("evaluate.damage={masks: 3}", "damage needs missing or errors"),
        ("data.edits.file=edit.yaml", "There is no file 'edit.yaml'"),
        ("data.roles.auxiliary=[agee]", "agee"),
        ("methods.deck.use=mlstats.coding.ExactIndex", "does not impute"),
        ("gates=[{measure: nrms@x, at_most: 1}]", "nrms"),
        ("gates=[{measure: nrmse@y, at_most: 1}]", "'y' is not among"),
        ("gates=[{measure: total_bias@x, versus: deck}]", "neither sign is better"),
        ("evaluate.damage.missing={mechanism: MAR, by: agee}", "agee"),
        ("data.roles.auxiliary=[id]", "is an id and an input"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(project, override, said):
    with pytest.raises(MlstatsError) as caught:  # noqa: PT012 - one of two steps
        pilot, found = read(project, override)
        imputing.ready(pilot, found)
    assert said in str(caught.value)


def test_text_in_a_number_of_the_edits_is_told_with_its_rows(project):
    (project / "data.csv").write_text(ROWS.replace("03,3", "03,three"))
    with pytest.raises(ContractError, match="first in rows 3") as caught:
        read(project)
    assert "three" not in str(caught.value)


def test_codes_are_put_into_groups_each_of_them():
    frame = pd.DataFrame({"degree": ["none", "hnd", None, "phd"]})
    groups = {"low": ("none",), "high": ("hnd", "phd")}
    made = recoded(frame, {"level": Recode(of="degree", groups=groups)})
    assert made["level"].tolist()[:2] == ["low", "high"]
    assert made["level"].isna().tolist() == [False, False, True, False]
    some = {"low": ("none",), "high": ("hnd",)}
    with pytest.raises(ConfigError, match="1 codes of 'degree'") as caught:
        recoded(frame, {"level": Recode(of="degree", groups=some)})
    assert "phd" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        recoded(frame, {"level": Recode(of="degre", groups=groups)})
    assert caught.value.nearest == "degree"

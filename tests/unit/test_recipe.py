"""A recipe is all that decides a method's values but the data, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlstats import model_store, recipe
from mlstats.errors import ServiceError, SourceError, UsageError
from mlstats.pilot_files import load_pilot
from mlstats.recipe import Recipe, recipe_of
from mlstats.settings import load_settings

PILOT = """
pilot: survey
theme: editimpute
owner: {author: tests}
data:
  source: survey.csv
  history: {source: before.csv}
  edits: {file: edits.yaml, weights: {staff: 2}}
  roles: {unit_id: unit, variables: [turnover, staff], auxiliary: [register]}
methods:
  donor:
    kind: traditional
    use: mlstats.editimpute.NearestDonor
    params: {match: [register], min_donors: 5}
  chained: {kind: ml, use: mlstats.editimpute.ChainedImputer}
baseline: donor
candidate: chained
evaluate: {past_edits: {turnover: turnover_edited}, bootstrap: 100}
gates: [{measure: edits_failing, at_most: 0}]
"""
EDITS = "edits: [{id: E1, text: turnover >= staff}]\n"


@pytest.fixture
def office(tmp_path: Path) -> Path:
    (tmp_path / "configs/pilots").mkdir(parents=True)
    (tmp_path / "configs/pilots/survey.yaml").write_text(PILOT)
    (tmp_path / "edits.yaml").write_text(EDITS)
    return tmp_path


def donor(office: Path, *overrides: str, name: str = "donor") -> Recipe:
    pilot = load_pilot("survey", project=office, overrides=overrides)
    return recipe_of(pilot, name, load_settings(project=office))


def test_it_says_class_parameters_and_what_decides(office: Path) -> None:
    made = donor(office)
    assert made.use == "mlstats.editimpute.NearestDonor"
    assert made.params == {"match": ["register"], "min_donors": 5}
    assert made.decides["seed"] == 20260101
    assert made.decides["edits"]["weights"] == {"staff": 2.0}
    assert len(made.decides["edits"]["file"]) == 64
    assert made == donor(office)
    assert made.digest == donor(office).digest != donor(office, name="chained").digest


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("methods.donor.params.min_donors=6", "params"),
        ("evaluate.seed=1", "seed"),
        ("data.edits.limit=4", "edits"),
        ("data.roles.auxiliary=[]", "roles"),
        ("data.only=staff > 1", "only"),
        ("data.history.suffix=_earlier", "history"),
    ],
)
def test_what_decides_makes_another_version(
    office: Path, override: str, changed: str
) -> None:
    one, other = donor(office), donor(office, override)
    assert one.digest != other.digest
    assert one.changes(other) == other.changes(one) == [changed]


def test_other_edits_and_another_mlstats_make_another_version(
    office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = donor(office)
    (office / "edits.yaml").write_text(EDITS.replace(">=", ">"))
    assert one.changes(donor(office)) == ["edits"]
    (office / "edits.yaml").write_text(EDITS)
    monkeypatch.setattr(recipe.mlstats, "__version__", "99")
    assert one.changes(donor(office)) == ["mlstats"]


@pytest.mark.parametrize(
    "override",
    [
        "data.source=later.csv",
        "data.history.source=later.csv",
        "data.synthetic=true",
        "evaluate.bootstrap=200",
        "title=Another title",
        "methods.chained.params.cycles=3",
    ],
)
def test_the_data_and_how_they_are_judged_decide_nothing(
    office: Path, override: str
) -> None:
    assert donor(office, override).digest == donor(office).digest


def test_edits_that_are_not_there_are_told(office: Path) -> None:
    (office / "edits.yaml").unlink()
    with pytest.raises(SourceError, match=r"edits\.yaml"):
        donor(office)


def test_it_is_kept_by_content_and_comes_back(office: Path, tmp_path: Path) -> None:
    made = donor(office)
    kept = model_store.store(made, ["register"], tmp_path)
    assert kept == model_store.store(donor(office), ["register"], tmp_path)
    found = model_store.load(kept, tmp_path)
    assert found.method == made
    assert found.columns == ["register"]
    path = tmp_path / "models" / kept / "recipe.json"
    path.write_bytes(path.read_bytes().replace(b"min_donors", b"min_d0nors"))
    with pytest.raises(ServiceError, match="were changed"):
        model_store.load(kept, tmp_path)


@pytest.mark.parametrize("rows", [0, 2])
def test_it_answers_for_no_rows_and_says_what_does(
    office: Path, tmp_path: Path, rows: int
) -> None:
    kept = model_store.store(donor(office), ["register"], tmp_path)
    with pytest.raises(UsageError, match="fitted to a period's data") as caught:
        model_store.load(kept, tmp_path).predict(pd.DataFrame({"other": [1.0] * rows}))
    assert "mlstats produce" in str(caught.value)

"""A truth made by an arm, or after seeing one, is told before and refused after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlstats.config import Pilot
from mlstats.errors import ConfigError
from mlstats.pilot_files import load_pilot
from mlstats.truth_origin import truth_cautions, truth_flaws
from tests.scene_example import scene_pilot

PILOT = """
pilot: diary
theme: coding
owner: {author: tests}
data:
  source: diary.csv
  roles: {unit_id: id, text: [text], target: clerk}
  classification: {file: codes.csv, parent: parent}
  recode:
    short: {of: clerk, groups: {"1": [a, b], "2": [c, d]}}
methods:
  exact:  {kind: traditional, use: mlstats.coding.ExactIndex}
  column: {kind: traditional, use: mlstats.Incumbent, params: {column: clerk}}
  linear: {kind: ml, use: mlstats.coding.LinearText}
baseline: exact
candidate: linear
evaluate: {truth: gold}
"""
UNSAID = "nobody says which methods' suggestions had been seen"


def pilot(folder: Path, *overrides: str) -> Pilot:
    (folder / "configs/pilots").mkdir(parents=True, exist_ok=True)
    (folder / "configs/pilots/diary.yaml").write_text(PILOT)
    return load_pilot("diary", project=folder, overrides=overrides)


def row(method: str, value: float | None, **changes: Any) -> dict[str, Any]:
    told = {"indicator": "accuracy", "method": method, "domain": "", "n": 250}
    return {**told, "level": "full", "value": value, **changes}


def flaws(held: Pilot, *rows: dict[str, Any]) -> list[str]:
    return truth_flaws(held.model_dump(mode="json"), rows)


def test_a_truth_of_its_own_has_no_flaw(tmp_path: Path) -> None:
    held = pilot(tmp_path)
    assert flaws(held, row("linear", 0.97), row("exact", 0.9)) == []
    assert [said.startswith(UNSAID) for said in truth_cautions(held)] == [True]
    assert truth_cautions(pilot(tmp_path, "evaluate.truth_seen=[]")) == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["evaluate.truth=clerk"],
        ["evaluate.truth=null"],  # then it is the target, which is the same column
        ["evaluate.truth=short"],
        ["methods.column.params.column=short", "evaluate.truth=clerk"],
        ["methods.column.params.column=gold"],
        ["evaluate.truth=clerk", "methods.column.use=mlstats.method.Incumbent"],
        ["evaluate.truth=clerk", "baseline=column", "evaluate.truth_seen=[]"],
    ],
)
def test_a_truth_that_is_the_column_of_a_method(
    tmp_path: Path, overrides: list[str]
) -> None:
    held = pilot(tmp_path, *overrides)
    (said,) = flaws(held)
    assert said.endswith("is the column of the method column")
    assert f"{said}: promote refuses it" in truth_cautions(held)


def test_coders_who_had_seen_an_arm(tmp_path: Path) -> None:
    held = pilot(tmp_path, "evaluate.truth_seen=[linear, column]")
    (said,) = flaws(held)
    assert said.startswith("who made the truth had seen what linear suggests")
    assert truth_cautions(held) == [
        f"{said}: promote refuses it",
        "who made the truth had seen what column suggests",
    ]
    assert "exact" in flaws(pilot(tmp_path, "evaluate.truth_seen=[exact]"))[0]


def test_what_the_coders_had_seen_is_a_method(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"truth_seen 'liner'.*nearest: linear"):
        pilot(tmp_path, "evaluate.truth_seen=[liner]")


@pytest.mark.parametrize("arm", ["linear", "exact", "column"])
def test_an_arm_that_agrees_everywhere(tmp_path: Path, arm: str) -> None:
    held = pilot(tmp_path)
    (said,) = flaws(held, row(arm, 1.0), row(arm, 1.0, level="1"))
    assert said.startswith(f"{arm} agrees with the truth on all of 250 units")
    # Somebody says, and two people sign it, that nobody had seen a suggestion.
    assert flaws(pilot(tmp_path, "evaluate.truth_seen=[]"), row(arm, 1.0)) == []


def test_what_is_no_agreement_by_construction(tmp_path: Path) -> None:
    held = pilot(tmp_path)
    assert flaws(held, row("linear", 1.0, n=99)) == []
    assert flaws(held, row("linear", 1.0, n=100)) != []
    assert flaws(held, row("linear", 1.0, domain="shop: web")) == []
    assert flaws(held, row("linear", 1.0, level="1"), row("linear", 0.99)) == []
    assert flaws(held, row("linear", None, n=0)) == []
    assert flaws(held, row("linear", 1.0, indicator="coverage")) == []


def test_numbers_agree_where_no_variable_has_an_error(tmp_path: Path) -> None:
    held = pilot(tmp_path)
    exact = {"indicator": "nrmse", "level": "turnover"}
    assert flaws(held, row("linear", 0.0, **exact)) != []
    other = row("linear", 0.01, indicator="nrmse", level="costs")
    assert flaws(held, row("linear", 0.0, **exact), other) == []


def test_nothing_is_asked_where_nobody_could_see_a_suggestion() -> None:
    """Labels of a scene are made by people; an area survey is not asked."""
    scene = scene_pilot()
    assert truth_cautions(scene)[0].startswith(UNSAID)
    shipped = Path(__file__).parents[2]
    damaged = load_pilot("eusilc-income", project=shipped)
    assert damaged.evaluate.damage is not None
    assert truth_cautions(damaged) == []
    assert truth_cautions(load_pilot("iowa-crops", project=shipped)) == []

"""What a coded table is scored against: codes, weights and clusters that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mlstats.coded_scorecard import ScoreCodes, Scored, score_codes
from mlstats.coding.classification import Classification
from mlstats.config import Pilot
from mlstats.errors import ContractError
from mlstats.evaluate import levels_of
from mlstats.partitions import PartitionedTable
from mlstats.period_parts import PartReader
from mlstats.runs import plan_of
from mlstats.scale import Scale
from tests.production_example import PILOT

CODES = ("01", "01.1", "01.2", "02", "02.1")


def pilot_of(**evaluate: Any) -> Pilot:
    told = yaml.safe_load(PILOT)
    told["evaluate"] |= evaluate
    told["data"]["roles"]["fraction"] = "fraction"
    return Pilot.model_validate(told)


def source_of(n: int = 240) -> pd.DataFrame:
    """Return lines of 24 households, and what both arms coded."""
    rng = np.random.default_rng(3)
    truth = rng.choice(["01.1", "01.2", "02.1"], n)
    household = np.arange(n) // 10
    wrong = rng.choice(["01.1", "02.1"], n)
    return pd.DataFrame(
        {
            "line_id": np.char.add("line-", np.arange(n).astype(str)),
            "household_id": np.char.add("h", household.astype(str)),
            "stratum": np.where(household % 2, "odd", "even"),
            "shop_type": rng.choice(["market", "online"], n),
            "period": "2026-03",
            "budget_weight": rng.uniform(1, 3, n),
            "fraction": 0.0,
            "truth": truth,
            "champion_code": np.where(rng.uniform(size=n) < 0.8, truth, wrong),
            "baseline_code": np.where(rng.uniform(size=n) < 0.6, truth, wrong),
        }
    )


def scored(
    folder: Path,
    parts: list[pd.DataFrame],
    *,
    separator: str | None = None,
    **evaluate: Any,
) -> Scored:
    """Score lines as if they had been coded, each frame a part."""
    pilot = pilot_of(truth="truth", **evaluate)
    lines, coded = folder / "lines", folder / "coded"
    for place in (lines, coded):
        place.mkdir(parents=True)
    for number, part in enumerate(parts):
        name = f"part-{number:05d}.parquet"
        roles = [c for c in part if not c.endswith("_code")]
        part[roles].to_parquet(lines / name, index=False)
        part.assign(
            code=part["champion_code"],
            depth="full",
            route=np.where(part.index % 3 == 0, "automatic", "queue"),
            confidence=0.8,
        ).to_parquet(coded / name, index=False)
    frame = pd.DataFrame({"code": CODES, "title": ""})
    parents = [c.rpartition(".")[0] for c in CODES]
    held = Classification.from_frame(frame.assign(parent=parents), separator=separator)
    kinds = {"linear": "ml", "index": "traditional"}
    plan = replace(plan_of(pilot, levels_of(pilot, held)), kinds=kinds, versus=())
    table = PartitionedTable.open(lines)
    reader = PartReader(pilot, "", tuple(table.columns))
    arms = {"champion": "linear", "baseline": "index"}
    work = ScoreCodes(reader, arms, plan, held)
    return score_codes(work, table, coded, Scale())


def halves(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [frame.iloc[:120], frame.iloc[120:]]


def value(found: Scored, indicator: str, level: str, method: str = "linear") -> float:
    card = found.scorecard
    rows = card[
        (card["indicator"] == indicator)
        & (card["level"] == level)
        & (card["method"] == method)
        & (card["domain"] == "")
    ]
    return float(rows["value"].iloc[0])


def test_a_table_is_scored(tmp_path: Path) -> None:
    lines = source_of()
    found = scored(tmp_path, halves(lines))
    right = lines["champion_code"] == lines["truth"]
    weight = lines["budget_weight"]
    share = (weight * right).sum() / weight.sum()
    assert value(found, "accuracy", "full") == pytest.approx(share)


def test_a_truth_of_other_codes_is_refused_and_not_shown(tmp_path: Path) -> None:
    lines = source_of()
    lines["truth"] = lines["line_id"]  # such as a wrong column
    with pytest.raises(ContractError, match="not in the classification") as told:
        scored(tmp_path, halves(lines))
    assert "240 of 240" in str(told.value)
    assert "'truth'" in str(told.value)
    assert "line-" not in str(told.value)


def test_few_codes_beyond_the_classification_are_too_many(tmp_path: Path) -> None:
    lines = source_of()
    lines.loc[7, "truth"] = "77"
    with pytest.raises(ContractError, match="1 of 240 true codes"):
        scored(tmp_path, halves(lines))


def test_codes_below_the_classification_are_known_in_every_part(
    tmp_path: Path,
) -> None:
    lines = source_of()
    # One arm knows the code in the first part, none in the second.
    lines.loc[[3, 130], "truth"] = "02.1.9"
    lines.loc[3, "champion_code"] = "02.1.9"
    lines.loc[130, ["champion_code", "baseline_code"]] = "02.1"
    whole = scored(tmp_path / "whole", [lines], separator=".")
    parts = scored(tmp_path / "parts", halves(lines), separator=".")
    for level in ("1", "2", "full"):
        assert value(parts, "accuracy", level) == value(
            whole, "accuracy", level
        ) or value(parts, "accuracy", level) == pytest.approx(
            value(whole, "accuracy", level)
        )
    assert parts.counts["level"] == 240


def test_lines_without_weight_tell_nothing(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No row with a true code has weight"):
        scored(tmp_path, halves(source_of().assign(budget_weight=0.0)))


@pytest.mark.parametrize(
    ("column", "wrong", "said"),
    [
        ("budget_weight", -1.0, "1 weight is negative or no number"),
        ("budget_weight", np.nan, "1 weight is negative or no number"),
        ("budget_weight", np.inf, "1 weight is negative or no number"),
        ("fraction", 1.2, "1 drawn fraction is not from 0 to 1"),
        ("fraction", np.nan, "1 drawn fraction is not from 0 to 1"),
    ],
)
def test_a_number_that_is_none_is_told_with_its_column(
    tmp_path: Path, column: str, wrong: float, said: str
) -> None:
    lines = source_of()
    lines.loc[200, column] = wrong
    with pytest.raises(ContractError, match=said) as told:
        scored(tmp_path, halves(lines))
    assert f"'{column}'" in str(told.value)


def test_words_for_fractions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="240 drawn fractions are not from 0 to 1"):
        scored(tmp_path, halves(source_of().assign(fraction="secret")))


def test_a_cluster_torn_among_shorter_codes_is_found(tmp_path: Path) -> None:
    lines = source_of()
    # The household's lines of the second part are known to the first level only.
    lines.loc[120:125, "household_id"] = "h11"
    lines.loc[120:125, "stratum"] = "odd"
    lines.loc[120:125, "truth"] = "02"
    with pytest.raises(ContractError, match="lie in two parts"):
        scored(tmp_path, halves(lines), level="2")


def test_shares_know_the_fractions_of_units_with_shorter_codes(tmp_path: Path) -> None:
    lines = source_of()
    drawn = lines["stratum"] == "odd"
    lines.loc[drawn, "fraction"] = 0.75
    lines.loc[drawn, "truth"] = np.where(lines["truth"] == "02.1", "02", "01")[drawn]
    found = scored(tmp_path / "a", halves(lines), level="2")
    told = found.aggregates.set_index(["domain", "variable", "arm"])
    bare = scored(tmp_path / "b", halves(lines.assign(fraction=0.0)), level="2")
    without = bare.aggregates.set_index(["domain", "variable", "arm"])
    at = ("", "01", "truth")
    assert told.loc[at, "value"] == without.loc[at, "value"]
    assert told.loc[at, "se"] < 0.9 * without.loc[at, "se"]


def test_why_the_oracle_is_not_told_stays(tmp_path: Path) -> None:
    card = scored(tmp_path, halves(source_of())).scorecard
    row = card[
        (card["indicator"] == "automation_oracle") & (card["method"] == "linear")
    ]
    assert row["status"].tolist() == ["not_measured"]
    assert "order of all units" in row["note"].iloc[0]

"""Folds: nothing is lost, no cluster straddles, the seed decides."""

import pandas as pd
import pytest

from mlstats.config import Evaluate, Roles
from mlstats.errors import ConfigError, ContractError
from mlstats.split import assign, cluster_ids

ROLES = Roles(unit_id="id", text=("t",), target="y", cluster="home", period="month")
FRAME = pd.DataFrame(
    {
        "id": [str(i) for i in range(200)],
        "home": [f"h{i // 4}" if i % 4 else None for i in range(200)],
        "month": [f"2026-0{1 + i // 50}" for i in range(200)],
        "part": ["train"] * 100 + ["valid"] * 20 + ["test"] * 80,
        "tile": [f"t{i // 20}" for i in range(200)],
    }
)


def evaluate(**split: object) -> Evaluate:
    return Evaluate.model_validate({"split": split, "seed": 5})


@pytest.mark.parametrize("by", ["random", "group"])
def test_whole_clusters_are_drawn(by: str) -> None:
    folds, notes = assign(FRAME, ROLES, evaluate(by=by, test=0.3, valid=0.2))
    assert set(folds) == {"train", "valid", "test"}
    clusters = cluster_ids(FRAME, "home")
    assert folds.groupby(clusters).nunique().max() == 1
    assert 0.3 <= (folds == "test").mean() < 0.35
    assert notes == []


def test_the_seed_decides() -> None:
    one, _ = assign(FRAME, ROLES, evaluate(by="random", test=0.3))
    two, _ = assign(FRAME, ROLES, evaluate(by="random", test=0.3))
    other = Evaluate.model_validate({"split": {"test": 0.3}, "seed": 6})
    assert one.equals(two)
    assert not one.equals(assign(FRAME, ROLES, other)[0])


def test_rows_without_a_cluster_are_their_own() -> None:
    ids = cluster_ids(FRAME, "home")
    assert ids[FRAME["home"].isna()].is_unique
    assert cluster_ids(FRAME, None).is_unique


def test_period_trains_on_the_past_and_sets_straddling_clusters_aside() -> None:
    frame = FRAME.copy()
    frame.loc[[1, 199], "home"] = "panel"
    folds, notes = assign(
        frame, ROLES, evaluate(by="period", test="2026-03", valid=0.1)
    )
    assert set(frame.loc[folds == "test", "month"]) == {"2026-03"}
    assert set(frame.loc[folds == "left_out", "month"]) >= {"2026-04"}
    later = evaluate(by="period", test="2026-04", valid=0.1)
    folds, notes = assign(frame, ROLES, later)
    assert folds[1] == "left_out"
    assert len(notes) == 1
    assert "are left out" in notes[0]


def test_one_period_can_be_asked_for() -> None:
    wanted = evaluate(by="period", test="2026-02/2026-04")
    folds, _ = assign(FRAME, ROLES, wanted, test_period="2026-04")
    assert set(FRAME.loc[folds == "test", "month"]) == {"2026-04"}


def test_given_column_is_kept_and_straddling_is_told() -> None:
    frame = FRAME.assign(home=["same"] * 200)
    wanted = evaluate(by="column", column="part", test="given")
    folds, notes = assign(frame, ROLES, wanted)
    assert folds.tolist() == frame["part"].tolist()
    assert "straddle" in notes[0]


def test_space_keeps_tiles_whole() -> None:
    roles = Roles(unit_id="id")
    wanted = evaluate(by="space", column="tile", test=0.3, valid=0)
    folds, _ = assign(FRAME, roles, wanted)
    assert folds.groupby(FRAME["tile"]).nunique().max() == 1


@pytest.mark.parametrize(
    ("split", "error", "said"),
    [
        ({"by": "column", "column": "prat", "test": "x"}, ConfigError, "'prat'"),
        ({"by": "column", "column": "month", "test": "x"}, ContractError, "4 other"),
        ({"by": "period", "test": "2030-01"}, ContractError, "test part has no units"),
        ({"by": "period", "test": "2026-01"}, ContractError, "train part has no"),
    ],
)
def test_errors(split: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        assign(FRAME, ROLES, evaluate(**split))
    if error is ConfigError:
        assert "nearest: part" in str(caught.value)


def test_a_row_with_blanks_for_its_cluster_is_its_own() -> None:
    frame = pd.DataFrame({"home": ["a", "", " ", None, "a"]})
    found = cluster_ids(frame, "home", first=10)
    assert found.tolist() == ["cluster a", "row 11", "row 12", "row 13", "cluster a"]

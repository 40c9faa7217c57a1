from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.coding.classification import Classification
from mlstats.coding.crosswalk import Crosswalk
from mlstats.errors import ConfigError, MethodError, SourceError
from mlstats.io import write_xlsx

FRAME = pd.DataFrame(
    {
        "source": ["1", "1", "2", "3", None, "4"],
        "target": ["A", "B", "B", "C", "D", None],
        "weight": [0.25, 0.75, 1, 1, 1, 1],
    }
)


@pytest.fixture
def crosswalk() -> Crosswalk:
    return Crosswalk.from_frame(FRAME)


def classification(*codes: str) -> Classification:
    return Classification.from_frame(
        pd.DataFrame({"code": codes}), title=None, parent=None, separator="."
    )


def test_codes_that_begin_or_end_have_no_pair(crosswalk: Crosswalk) -> None:
    assert crosswalk.weighted
    assert crosswalk.table.to_numpy().tolist() == [
        ["1", "B", 0.75],
        ["1", "A", 0.25],
        ["2", "B", 1.0],
        ["3", "C", 1.0],
    ]


def test_most_and_unique(crosswalk: Crosswalk) -> None:
    codes = ["1", None, "3", "2", "1"]
    assert crosswalk.recode(codes, how="most").tolist() == ["B", None, "C", "B", "B"]
    unique = crosswalk.recode(codes, how="unique")
    assert unique.tolist() == [None, None, "C", "B", None]


def test_drawn_codes_keep_to_the_weights(crosswalk: Crosswalk) -> None:
    rng = np.random.default_rng(20201120)
    codes = np.array(["1", "2", "3"] * 20_000, dtype=object)
    drawn = crosswalk.recode(codes, rng=rng)
    assert set(drawn[codes == "2"]) == {"B"}
    assert set(drawn[codes == "3"]) == {"C"}
    share = (drawn[codes == "1"] == "A").mean()
    assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 20_000)
    again = crosswalk.recode(codes, rng=np.random.default_rng(20201120))
    assert (again == drawn).all()


def test_drawing_holds_at_the_ends_of_the_interval(crosswalk: Crosswalk) -> None:
    class Ends:
        def random(self, n: int) -> np.ndarray:
            return np.resize([0.0, np.nextafter(1, 0)], n)

    codes = ["1", "1", "2", "2", "3", "3", None]
    drawn = crosswalk.recode(codes, rng=Ends())  # type: ignore[arg-type]
    assert drawn.tolist() == ["B", "A", "B", "B", "C", "C", None]


def test_fractions_sum_to_one_per_row(crosswalk: Crosswalk) -> None:
    found = crosswalk.fractions(["3", "1", None, "1"])
    assert found["row"].tolist() == [0, 1, 1, 3, 3]
    assert found["code"].tolist() == ["C", "B", "A", "B", "A"]
    assert found.groupby("row")["weight"].sum().tolist() == [1, 1, 1]


def test_labels_of_an_evaluation_are_refused(crosswalk: Crosswalk) -> None:
    with pytest.raises(ConfigError, match="never recoded"):
        crosswalk.recode(["1"], how="most", for_evaluation=True)


def test_codes_that_the_crosswalk_lacks(crosswalk: Crosswalk) -> None:
    with pytest.raises(MethodError, match="codes of 2 rows") as caught:
        crosswalk.recode(["1", "9", None, "8"], how="most")
    assert "row 2" in str(caught.value.where)
    kept = crosswalk.recode(["1", "9", None], how="most", unknown="none")
    assert kept.tolist() == ["B", None, None]
    assert crosswalk.recode([], how="most").tolist() == []


@pytest.mark.parametrize("options", [{"how": "mots"}, {"unknown": "no"}, {}])
def test_options_are_checked(crosswalk: Crosswalk, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        crosswalk.recode(["1"], **options)


def test_without_weights_they_are_equal_and_said_to_be_assumed() -> None:
    assumed = Crosswalk.from_frame(FRAME.drop(columns="weight"))
    assert not assumed.weighted
    assert assumed.table["weight"].tolist() == [0.5, 0.5, 1, 1]


def test_a_pair_in_two_rows_counts_once() -> None:
    frame = pd.DataFrame({"source": ["1", "1", "1"], "target": ["A", "A", "B"]})
    assert Crosswalk.from_frame(frame).table["weight"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({"weight": [0.2, 0.75, 1, 1, 1, 1]}, "do not sum to 1"),
        ({"weight": [-0.25, 1.25, 1, 1, 1, 1]}, "no positive number"),
        ({"weight": ["x", 0.75, 1, 1, 1, 1]}, "no positive number"),
        ({"target": ["A", "A", "B", "C", "D", None]}, "two weights"),
        ({"source": [1, 1, 2, 3, 4, 5]}, "not text"),
    ],
)
def test_crosswalks_that_cannot_be_used(changed: dict[str, Any], title: str) -> None:
    with pytest.raises(SourceError, match=title) as caught:
        Crosswalk.from_frame(FRAME.assign(**changed))
    assert caught.value.where


def test_a_missing_column_is_told() -> None:
    with pytest.raises(ConfigError, match="'weigth'") as caught:
        Crosswalk.from_frame(FRAME, weight="weigth")
    assert caught.value.nearest == "weight"


def test_problems_with_the_classifications(crosswalk: Crosswalk) -> None:
    old = classification("1", "2", "5.1")
    new = classification("A", "B", "C")
    found = crosswalk.problems(old, new)
    assert found.to_numpy().tolist() == [
        ["source", "3", "not in the classification"],
        ["source", "5.1", "not in the crosswalk"],  # and not the group above it
    ]
    assert crosswalk.problems().empty


def test_two_revisions_in_a_row(crosswalk: Crosswalk) -> None:
    following = Crosswalk.from_frame(
        pd.DataFrame(
            {
                "source": ["A", "B", "B", "C"],
                "target": ["x", "x", "y", "z"],
                "weight": [1, 0.5, 0.5, 1],
            }
        )
    )
    both = crosswalk.then(following)
    assert both.weighted
    assert both.table.to_numpy().tolist() == [
        ["1", "x", 0.625],
        ["1", "y", 0.375],
        ["2", "x", 0.5],
        ["2", "y", 0.5],
        ["3", "z", 1.0],
    ]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_reading_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"crosswalk.{suffix}"
    frame = FRAME.rename(columns={"source": "old", "target": "new"})
    frame["old"] = "0" + frame["old"]
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        write_xlsx(path, {"crosswalk": frame})
    crosswalk = Crosswalk.read(path, source="old", target="new", weight="weight")
    assert crosswalk.recode(["01"], how="most").tolist() == ["B"]
    frame.assign(weight=0.3).to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(SourceError, match="sum to 1") as caught:
        Crosswalk.read(tmp_path / "wrong.csv", source="old", target="new")
    assert "wrong.csv: rows 1, 2" in str(caught.value.where)

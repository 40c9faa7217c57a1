from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlstats.coding.classification import FULL, Classification
from mlstats.coding.validity import Versions
from mlstats.errors import ConfigError, SourceError

FRAME = pd.DataFrame(
    [
        ("01", None, None, None),
        ("01.1", "01", "2010", "2017-12-31"),
        ("01.1", "01", "2020-Q2", None),
        ("01.2", "01", None, "2019"),
    ],
    columns=["code", "parent", "from", "to"],
)


@pytest.fixture
def dated() -> Classification:
    return Classification.from_frame(
        FRAME, title=None, separator=".", valid_from="from", valid_to="to"
    )


@pytest.mark.parametrize(
    ("at", "exists"),
    [
        (None, [True, True, True, False, False]),
        ("2009", [True, False, True, False, False]),
        ("2010", [True, True, True, False, False]),
        ("2018-01", [True, False, True, False, False]),
        ("2020-S1", [True, False, False, False, False]),
        ("2020-04", [True, True, False, False, False]),
    ],
)
def test_codes_exist_in_their_time(
    dated: Classification, at: str | None, exists: list[bool]
) -> None:
    assert dated.exists(["01", "01.1", "01.2", "9", None], at).tolist() == exists


def test_without_days_a_listed_code_exists(dated: Classification) -> None:
    undated = Classification.from_frame(FRAME, title=None)
    assert undated.exists(["01.1", "x"], "1900").tolist() == [True, False]
    longer = dated.extended(["01.2.1"])
    assert longer.exists(["01.2.1", "01.2"], "2026").tolist() == [True, False]


def test_days_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "classification.csv"
    FRAME.to_csv(path, index=False)
    read = Classification.read(path, title=None, valid_from="from", valid_to="to")
    assert read.exists(["01.1"], "2018").tolist() == [False]


@pytest.mark.parametrize(
    ("column", "value"), [("from", "2010-13"), ("from", "2010-02-30"), ("to", "2009")]
)
def test_wrong_days_name_the_row(column: str, value: str) -> None:
    frame = FRAME.copy()
    frame.loc[1, column] = value
    with pytest.raises(SourceError) as caught:
        Classification.from_frame(frame, title=None, valid_from="from", valid_to="to")
    assert caught.value.where == "row 2"


def test_truncation_keeps_shorter_codes(dated: Classification) -> None:
    codes = ["01.1", "01", None, "zz"]
    assert dated.truncate(codes, "1").tolist() == ["01", "01", None, "zz"]
    assert dated.truncate(codes, "2").tolist() == codes
    assert dated.truncate(codes, FULL).tolist() == codes
    with pytest.raises(ConfigError, match="no level"):
        dated.truncate(codes, "3")


def versions(dated: Classification) -> Versions:
    new = Classification.from_frame(
        pd.DataFrame({"code": ["A"]}), title=None, parent=None
    )
    return Versions.of([("new", new, "2025", None), ("old", dated, None, "2024")])


def test_the_version_of_a_name_or_of_a_period(dated: Classification) -> None:
    both = versions(dated)
    assert both.at("old") is dated
    assert both.at("2024-12") is dated
    assert both.at("2025-01").codes.tolist() == ["A"]
    assert both.exists(["A", "01.2"], "old").tolist() == [False, True]
    assert both.exists(["A", "01.2"], "2024").tolist() == [False, False]
    assert both.exists(["A", "01.2"], "2026-Q1").tolist() == [True, False]


def test_versions_that_do_not_fit(dated: Classification) -> None:
    with pytest.raises(ConfigError, match="no version 'odl'") as caught:
        versions(dated).at("odl")
    assert caught.value.nearest == "old"
    with pytest.raises(ConfigError, match="overlap"):
        Versions.of([("a", dated, None, "2024"), ("b", dated, "2024-12", None)])
    with pytest.raises(ConfigError, match="different names"):
        Versions.of([("a", dated, None, "2023"), ("a", dated, "2024", None)])
    with pytest.raises(ConfigError, match="No version is in force in 2024"):
        Versions.of([("a", dated, None, "2023"), ("b", dated, "2025", None)]).at("2024")

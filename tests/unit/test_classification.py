from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.coding.classification import Classification
from mlstats.errors import ConfigError, SourceError

COICOP = pd.DataFrame(
    {
        "code": ["01", "01.1", "01.1.1", "01.1.2", "02", "02.1"],
        "title": ["Food", "Food", "Cereals", "Meat", "Alcohol", None],
        "parent": [None, "01", "01.1", "01.1", None, "02"],
    }
)
HISCO = pd.DataFrame(
    {
        "code": ["58340", "-1", "58320", "58340", "58"],
        "title": ["Other ranks", "No title", "Officer", "Other ranks", None],
        "l1": ["5", "-1", "5", "5", "5"],
        "l2": ["58", "-1", "58", "58", "58"],
        "l3": ["583", "-1", "583", "583", None],
        "l4": ["58340", "-1", "58320", "58340", None],
    }
)
LEVELS = ["l1", "l2", "l3", "l4"]


@pytest.fixture
def coicop() -> Classification:
    return Classification.from_frame(COICOP, separator=".")


def test_levels_are_depths_of_the_parent_links(coicop: Classification) -> None:
    assert coicop.levels == ("1", "2", "3")
    assert coicop.codes.tolist() == COICOP["code"].tolist()
    assert coicop.titles.tolist() == [*COICOP["title"][:5], ""]
    assert [coicop.depth(code) for code in ("01", "02.1", "01.1.2", "07")] == [
        1,
        2,
        3,
        0,
    ]
    assert len(coicop) == 6


def test_parents_may_stand_after_their_children_and_rows_repeat() -> None:
    frame = pd.concat([COICOP.iloc[::-1], COICOP])
    again = Classification.from_frame(frame)
    assert (
        again.ancestors.tolist() == Classification.from_frame(COICOP).ancestors.tolist()
    )


def test_ancestor_is_none_where_the_code_is_shorter_unknown_or_missing(
    coicop: Classification,
) -> None:
    codes = ["01.1.1", "01.1", "02", "99", None, "01.1.1", float("nan")]
    at = {level: coicop.ancestor(codes, level).tolist() for level in coicop.levels}
    assert at == {
        "1": ["01", "01", "02", None, None, "01", None],
        "2": ["01.1", "01.1", None, None, None, "01.1", None],
        "3": ["01.1.1", None, None, None, None, "01.1.1", None],
    }
    full = coicop.ancestor(codes, "full").tolist()
    assert full == ["01.1.1", "01.1", "02", "99", None, "01.1.1", None]


@pytest.mark.parametrize(
    "codes",
    [
        np.array(["02.1", None], dtype=object),
        pd.Series(["02.1", None], index=[5, 5]),
        pd.Series(pd.Categorical(["02.1", None])),
    ],
)
def test_ancestor_takes_any_array(coicop: Classification, codes: object) -> None:
    assert coicop.ancestor(codes, "1").tolist() == ["02", None]


def test_ancestor_of_nothing(coicop: Classification) -> None:
    assert coicop.ancestor([], "1").shape == (0,)


def test_unknown_level_names_the_nearest() -> None:
    named = Classification.from_frame(
        COICOP, level_names=["division", "group", "class"]
    )
    assert named.ancestor(["01.1.1"], "group").tolist() == ["01.1"]
    with pytest.raises(ConfigError, match="no level 'gruop'") as caught:
        named.ancestor(["01"], "gruop")
    assert caught.value.nearest == "group"


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "b"], ["a", "b", "full"]])
def test_level_names_must_fit(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="names of the levels"):
        Classification.from_frame(COICOP, level_names=names)


def test_valid_and_contains(coicop: Classification) -> None:
    assert (
        coicop.valid(["01.1", "01.9", None, ""]).tolist() == [True, False] + [False] * 2
    )
    assert "01.1" in coicop
    assert None not in coicop
    assert coicop.nearest("01.1.1.") == "01.1.1"
    assert coicop.nearest("zzz") is None


def test_level_columns_of_data_with_repeated_rows() -> None:
    hisco = Classification.from_frame(HISCO, level_columns=LEVELS)
    assert hisco.codes.tolist() == ["-1", "5", "58", "583", "58320", "58340"]
    assert hisco.ancestor(["58340", "58", "-1"], "2").tolist() == ["58", "58", "-1"]
    assert hisco.ancestor(["58340", "58", "-1"], "3").tolist() == ["583", None, "-1"]
    assert hisco.depth("58") == 2
    assert hisco.titles.tolist() == ["No title", "", "", "", "Officer", "Other ranks"]


def test_a_code_may_be_longer_than_the_level_columns() -> None:
    frame = pd.DataFrame({"code": ["A.1.x"], "l1": ["A"], "l2": ["A.1"]})
    deep = Classification.from_frame(frame, title=None, level_columns=["l1", "l2"])
    assert deep.ancestor(["A.1.x"], "2").tolist() == ["A.1"]
    assert deep.depth("A.1.x") == 2


def test_digits() -> None:
    frame = pd.DataFrame({"code": ["58340", "6110", "01110"]})
    codes = Classification.from_frame(frame, title=None, digits=[1, 2, 3, 5])
    assert codes.ancestor(["58340", "6110"], "4").tolist() == ["58340", None]
    assert codes.ancestor(["01110", "6110", "58"], "2").tolist() == ["01", "61", "58"]
    assert codes.depth("6110") == 3


@pytest.mark.parametrize("digits", [[2, 2], [3, 1], [0, 1]])
def test_digits_must_increase(digits: list[int]) -> None:
    with pytest.raises(ConfigError, match="do not increase"):
        Classification.from_frame(COICOP, digits=digits)


def test_segments_without_parent_links() -> None:
    codes = Classification.from_frame(COICOP.iloc[[2, 5]], parent=None, separator=".")
    assert codes.codes.tolist() == ["01", "01.1", "01.1.1", "02", "02.1"]
    assert codes.ancestor(["01.1.1"], "2").tolist() == ["01.1"]


def test_no_structure_is_one_level() -> None:
    flat = Classification.from_frame(COICOP, parent=None)
    assert flat.levels == ("1",)
    assert flat.ancestor(["01.1.1"], "1").tolist() == ["01.1.1"]


def test_extended_attaches_codes_below_their_ancestors(coicop: Classification) -> None:
    more = coicop.extended(["01.1.1.4.0", "01.1.3", "77.1", None, "02", "01.1.3"])
    assert more.levels == ("1", "2", "3", "4", "5")
    assert more.ancestor(["01.1.1.4.0"], "4").tolist() == ["01.1.1.4"]
    assert more.ancestor(["01.1.3"], "2").tolist() == ["01.1"]
    assert "77.1" not in more
    assert more.titles[more.codes.tolist().index("01.1.1")] == "Cereals"
    assert len(more) == len(coicop) + 3
    assert len(coicop) == 6


def test_extended_needs_a_separator() -> None:
    plain = Classification.from_frame(COICOP)
    assert plain.extended(["01.1.9"]) is plain


@pytest.mark.parametrize(
    ("changes", "title", "rows"),
    [
        ({"parent": {1: "07"}}, "A parent is not among the codes (1 rows)", "rows 2"),
        ({"parent": {0: "01.1.1"}}, "The parent links run in a circle", "rows 1"),
        ({"parent": {4: "02"}}, "The parent links run in a circle", "rows 5"),
        ({"code": {3: "01.1"}, "parent": {3: "02"}}, "different parents", "rows 4"),
        ({"code": {2: None, 3: ""}}, "A code is missing (2 rows)", "rows 3, 4"),
        ({"code": {2: 11}}, "not text", "column 'code'"),
    ],
)
def test_broken_structures(
    changes: dict[str, dict[int, object]], title: str, rows: str
) -> None:
    frame = COICOP.astype(object)
    for column, cells in changes.items():
        for row, value in cells.items():
            frame.loc[row, column] = value
    with pytest.raises(SourceError) as caught:
        Classification.from_frame(frame)
    assert title in caught.value.title
    assert rows in str(caught.value.where)


def test_numbers_are_no_codes() -> None:
    with pytest.raises(SourceError, match="not text"):
        Classification.from_frame(
            pd.DataFrame({"code": [111]}), title=None, parent=None
        )


def test_group_with_different_ancestors() -> None:
    frame = HISCO.replace({"l1": {"5": "6"}}).where(HISCO["code"] == "58320", HISCO)
    with pytest.raises(SourceError, match="different ancestors") as caught:
        Classification.from_frame(frame, level_columns=LEVELS)
    assert "rows 3" in str(caught.value.where)


def test_missing_column_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no column 'parnet'") as caught:
        Classification.from_frame(COICOP, parent="parnet")
    assert caught.value.nearest == "parent"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_read_keeps_leading_zeros(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"Code": ["01", "011", "012"], "Up": [None, "01", "01"]})
    path = tmp_path / f"structure{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    read = Classification.read(path, code="Code", title=None, parent="Up")
    assert read.codes.tolist() == ["01", "011", "012"]
    assert read.ancestor(["012"], "1").tolist() == ["01"]


def test_read_names_the_file_of_a_broken_structure(tmp_path: Path) -> None:
    path = tmp_path / "structure.csv"
    path.write_text("code,title,parent\n01,Food,02\n", encoding="utf-8")
    with pytest.raises(SourceError, match="not among the codes") as caught:
        Classification.read(path)
    assert "structure.csv" in str(caught.value.where)


def test_read_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not there"):
        Classification.read(tmp_path / "absent.csv")


def test_real_structures(real_data: Path) -> None:
    folder = real_data / "coding" / "hbs_coicop_fr"
    data = pd.read_parquet(folder / "data.parquet")
    listed = Classification.read(folder / "structure.csv.gz", separator=".")
    coicop = listed.extended(data["code"])
    assert not listed.valid(data["code"]).all()
    assert coicop.valid(data["code"]).all()
    for level in "12345":
        wanted = data[f"code_l{level}"].astype(object)
        found = coicop.ancestor(data["code"], level)
        assert found.tolist() == wanted.where(wanted.notna(), None).tolist()

"""Layouts of published structure files, made up here and, where there are any, real."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlstats.coding.entries import read_index
from mlstats.coding.structure_files import read_crosswalk, read_structure
from mlstats.errors import SourceError

LAYOUTS = {
    "nace": (
        "Order,Level,Code,Parent,Description\n1,1,A,,Farming\n2,2,01,A,Crops\n",
        {"01": ["A", "01"]},
    ),
    "oiics": (
        "CASE_CODE_TYPE,CASE_CODE,CASE_CODE_TITLE\nx,1,Head\nx,10,Head nec\n",
        {"10": ["1", "10"]},
    ),
    "isco08": ("code,preferredLabel\n0,Armed\n01,Officers\n", {"01": ["0", "01"]}),
    "naics": (
        "code,title,naics2d,naics3d,naics4d,naics5d,naics6d\n"
        "31-33,Making,31-33,,,,\n311,Food,31-33,311,,,\n"
        "311111,Dog food,31-33,311,3111,31111,311111\n",
        {"311": ["31-33", "311"]},
    ),
    "sic": (
        "code,title,Level,division,sic2d,sic3d,sic4d\n"
        "A,Farms,1,A,,,\n01,Crops,2,A,01,010,0100\n0111,Wheat,4,A,01,011,0111\n",
        {"0111": ["A", "01", "011", "0111"], "01": ["A", "01"], "A": ["A"]},
    ),
    "soc": (
        "code,title,parent\n11-0000,Managers,\n11-1000,Top,11-0000\n",
        {"11-1000": ["11-0000", "11-1000"]},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_recognised_by_their_columns(name: str, tmp_path: Path) -> None:
    text, wanted = LAYOUTS[name]
    path = tmp_path / f"{name}.csv"
    path.write_text(text, encoding="utf-8")
    held = read_structure(path)
    for code, ancestors in wanted.items():
        row = held.codes.tolist().index(code)
        found = [group for group in held.ancestors[row] if group is not None]
        assert found == ancestors
        assert held.titles[row] != ""


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("kode,title\n1,x\n", encoding="utf-8")
    with pytest.raises(SourceError, match="not known"):
        read_structure(path)
    with pytest.raises(SourceError, match="not known"):
        read_crosswalk(path)


def test_a_circle_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "circle.csv"
    path.write_text("code,title,parent\na,x,b\nb,y,a\n", encoding="utf-8")
    with pytest.raises(SourceError, match="circle") as caught:
        read_structure(path)
    assert "circle.csv" in str(caught.value.where)


def test_crosswalk_of_two_titled_columns(tmp_path: Path) -> None:
    path = tmp_path / "crosswalk.csv"
    path.write_text(
        "sic1987,sic1987_title,naics2022,naics2022_title\n0111,Wheat,111140,Wheat\n",
        encoding="utf-8",
    )
    assert read_crosswalk(path).recode(["0111"], how="most").tolist() == ["111140"]


@pytest.fixture
def real(real_data: Path) -> Path:
    folder = real_data / "coding" / "structures"
    if not folder.is_dir():
        pytest.skip("the folder of real structure files is not here")
    return folder


SIZES = {
    "isco08_groups_en.csv.gz": 619,
    "isco1988_all.csv.gz": 544,
    "nace_rev2.csv.gz": 996,
    "naics2017_all.csv.gz": 2196,
    "naics2022_all.csv.gz": 2130,
    "noc2011_all.csv.gz": 690,
    "oiics_event.csv.gz": 537,
    "oiics_nature.csv.gz": 615,
    "oiics_part.csv.gz": 218,
    "oiics_source.csv.gz": 1665,
    "sic1987_all.csv.gz": 1513,
    "soc2010_all.csv.gz": 1425,
    "soc2018_all.csv.gz": 1447,
}


@pytest.mark.parametrize("name", SIZES)
def test_real_structures(real: Path, name: str) -> None:
    held = read_structure(real / name)
    # Groups that a file implies and does not list are codes too.
    assert SIZES[name] <= len(held) <= SIZES[name] + 3
    assert len(held.levels) >= 4
    assert held.exists(held.ancestors[:, 0]).all()


@pytest.mark.parametrize(
    ("name", "old", "unknown", "missing"),
    [
        # The file has lost the zero of 0110; it does not have the residual codes.
        ("isco1988_isco2008", "isco1988", ["110"], ["0110", "3139"]),
        ("naics2017_naics2022", "naics2017", [], []),
        ("sic1987_naics2022", "sic1987", [], ["9999"]),
        ("soc2010_isco2008", "soc2010", [], ["99-9999"]),
        ("soc2010_soc2018", "soc2010", [], ["99-9999"]),
    ],
)
def test_real_crosswalks(
    real: Path, name: str, old: str, unknown: list[str], missing: list[str]
) -> None:
    crosswalk = read_crosswalk(real / f"{name}.csv.gz")
    assert not crosswalk.weighted
    recoded = crosswalk.recode(crosswalk.table["source"], how="most")
    assert all(code is not None for code in recoded)
    found = crosswalk.problems(source=read_structure(real / f"{old}_all.csv.gz"))
    of_problem = found.groupby("problem")["code"].agg(list)
    assert of_problem.get("not in the classification", []) == unknown
    assert of_problem.get("not in the crosswalk", []) == missing


@pytest.mark.parametrize(
    ("name", "rows"),
    [("esco_isco08_index.csv.gz", 127_818), ("kldb_occupations_de_250.csv", 250)],
)
def test_real_indexes(real: Path, name: str, rows: int) -> None:
    index = read_index(real / name)
    assert len(index) == rows
    assert index["code"].map(lambda code: isinstance(code, str)).all()

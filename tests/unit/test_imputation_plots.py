from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.quality.imputation_level import imputation_rows
from mlstats.quality.imputation_plots import (
    distribution_plot,
    distribution_table,
    imputation_plot,
)
from tests.unit.test_imputation_level import KINDS, ORDERS, SCALES, units_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def units() -> pd.DataFrame:
    return units_of()


@pytest.fixture(scope="module")
def drawn(units: pd.DataFrame) -> ET.Element:
    rows, _ = imputation_rows(
        units, baseline="donor", kinds=KINDS, variables=SCALES, orders=ORDERS
    )
    return ET.fromstring(imputation_plot(rows, remark="synthetic <data>"))


def words(root: ET.Element, role: str) -> list[str]:
    return [e.text or "" for e in root.iter() if e.get("class") == role]


def test_a_panel_for_each_measure_with_both_arms_and_the_null(drawn):
    panels = drawn.findall(f"{SVG}svg")
    assert len(panels) == 5
    axes = [words(panel, "plot-tick")[-1] for panel in panels]
    assert axes[0].startswith("RMSE")
    assert axes[1].startswith("cells with their true category")
    assert words(panels[0], "plot-group") == ["pay"]
    assert words(panels[1], "plot-group") == ["school"]
    assert words(panels[0], "plot-label") == ["donor", "ml"]
    assert words(panels[2], "plot-label") == ["donor", "ml", "a perfect draw"]
    assert len(words(panels[4], "plot-zero")) == 1
    assert words(drawn, "plot-remark") == ["synthetic <data>"]


def test_panels_stand_below_each_other(drawn):
    panels = drawn.findall(f"{SVG}svg")
    ends = [float(p.get("y")) + float(p.get("height")) for p in panels]
    assert [float(p.get("y")) for p in panels] == [0.0, *ends[:-1]]
    assert float(drawn.get("viewBox").split()[3]) == ends[-1]
    ids = [e.get("id") for e in drawn.iter() if e.get("id")]
    assert len(set(ids)) == len(ids)


def test_without_rows_there_is_no_picture():
    assert imputation_plot([]) == ""
    empty = distribution_table(units_of(), variables={"school": "categorical"})
    assert empty.empty
    assert distribution_plot(empty, kinds=KINDS) == ""


def test_distances_from_the_diagonal_reach_the_kolmogorov_smirnov_distance(units):
    even = units.assign(weight=1.0)
    table = distribution_table(even, variables=SCALES)
    assert set(table["variable"]) == {"pay"}
    for method, line in table.groupby("method"):
        cells = even[(even["method"] == method) & (even["variable"] == "pay")]
        both = [cells[c].astype(float) for c in ("truth", "prediction")]
        gap = (line["truth_share"] - line["imputed_share"]).abs().max()
        ks = stats.ks_2samp(*both).statistic
        # Between two points the gap may be larger, where it is small altogether.
        assert (0.9 if method == "donor" else 0.0) * ks <= gap <= ks + 1e-12
        assert line.iloc[0]["truth_share"] == 0 == line.iloc[0]["imputed_share"]
        assert line.iloc[-1]["truth_share"] == 1 == line.iloc[-1]["imputed_share"]


def test_no_part_holds_fewer_than_ten_cells_of_a_mask(units):
    masks = units["replicate"].nunique()
    even = units.assign(weight=1.0)
    for part in (even, even[even["unit"].str.endswith(("1", "2"))]):
        cells = (part["method"].eq("ml") & part["variable"].eq("pay")).sum()
        for _, line in distribution_table(part, variables=SCALES).groupby("method"):
            for side in ("truth_share", "imputed_share"):
                counts = np.diff(line[side]) * cells
                assert counts.min() >= 10 * masks - 1e-6


def test_lines_of_the_arms_differ_and_end_in_the_corners(units):
    table = distribution_table(units, variables=SCALES)
    root = ET.fromstring(distribution_plot(table, kinds=KINDS, remark="made up"))
    lines = list(root.iter(f"{SVG}polyline"))
    assert [line.find(f"{SVG}title").text for line in lines] == ["donor", "ml"]
    assert len({line.get("stroke") for line in lines}) == 2
    assert len({line.get("stroke-dasharray") for line in lines}) == 2
    for line in lines:
        points = [tuple(map(float, p.split(","))) for p in line.get("points").split()]
        assert points[0] == (50.0, 216.0)
        assert points[-1] == (240.0, 26.0)
    assert words(root, "plot-remark") == ["made up"]

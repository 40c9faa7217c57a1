from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from mlstats.quality.plots import PlotRow, forest_plot, interval_plot

NAN = math.nan
WORDS = {"key": "p", "title": "t", "description": "d", "axis": "a"}

numbers = st.one_of(st.just(NAN), st.floats(-1e6, 1e6))
rows_of_any_kind = st.builds(
    PlotRow,
    st.text("ab<&"),
    numbers,
    numbers,
    numbers,
    st.text("x&"),
    st.sampled_from(["ml", "traditional", ""]),
    st.sampled_from(["", "g"]),
)


def ticks(svg: str) -> list[str]:
    found = re.findall(r'class="plot-tick"[^>]*>([^<]*)<', svg)
    return [tick for tick in found if tick != "a"]


@given(st.lists(rows_of_any_kind, max_size=6))
def test_any_numbers_give_a_picture_with_an_axis_of_different_ticks(rows):
    for svg in (interval_plot(rows, **WORDS), forest_plot(rows, **WORDS)):
        assert 2 <= len(ticks(svg)) <= 12
        assert len(set(ticks(svg))) == len(ticks(svg))
        assert "nan" not in svg.lower()


@given(st.floats(-100, 100), st.floats(0, 1e-9))
def test_almost_equal_values_still_have_an_axis(value, gap):
    svg = interval_plot([PlotRow("a", value, value - gap, value + gap, "")], **WORDS)
    assert 2 <= len(ticks(svg)) <= 12
    assert len(set(ticks(svg))) == len(ticks(svg))

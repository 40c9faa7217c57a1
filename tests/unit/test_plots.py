from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from mlstats.quality.plots import PlotRow, forest_plot, interval_plot

NAN = math.nan
SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<b onload="x">\'&amp; \x07' + "w" * 80
WORDS = {"key": "p", "title": "t", "description": "d", "axis": "a"}


def interval(rows: list[PlotRow], **options: object) -> ET.Element:
    return ET.fromstring(interval_plot(rows, **WORDS | options))


def forest(rows: list[PlotRow], **options: object) -> ET.Element:
    return ET.fromstring(forest_plot(rows, **WORDS | options))


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [e for e in root.iter() if e.get("class") == name]


def ticks(root: ET.Element) -> dict[float, float]:
    """Return where the numbered ticks stand."""
    return {
        float(e.text.replace("\u2212", "-")): float(e.get("x"))
        for e in of_class(root, "plot-tick")
        if re.fullmatch(r"\u2212?[\d.e+]+", e.text or "")
    }


def place(value: float, root: ET.Element) -> float:
    """Return where a value belongs, by the ticks."""
    at = ticks(root)
    (a, xa), *_, (b, xb) = sorted(at.items())
    return xa + (value - a) / (b - a) * (xb - xa)


def test_dot_and_interval_stand_where_the_ticks_say():
    root = interval([PlotRow("m", 67.5, 65.7, 69.3, "67.5", "ml")])
    dot = next(root.iter(f"{SVG}circle"))
    assert float(dot.get("cx")) == pytest.approx(place(67.5, root), abs=0.2)
    path = of_class(root, "plot-interval")[0].get("d")
    low, high = re.match(r"M([\d.]+) [\d.]+H([\d.]+)", path).groups()
    assert float(low) == pytest.approx(place(65.7, root), abs=0.2)
    assert float(high) == pytest.approx(place(69.3, root), abs=0.2)


def test_kinds_differ_by_shape_and_hollow_marks_are_white():
    rows = [
        PlotRow("a", 1, 0, 2, "1", "ml"),
        PlotRow("b", 1, 0, 2, "1", "traditional"),
        PlotRow("c", 1, 0, 2, "1", "ml", hollow=True),
    ]
    marks = of_class(interval(rows), "plot-marker")
    assert [m.tag.removeprefix(SVG) for m in marks] == ["circle", "rect", "circle"]
    assert [m.get("fill") == "#ffffff" for m in marks] == [False, False, True]


def test_a_group_is_headed_once():
    rows = [PlotRow(str(i), i, i, i, "", group=f"g{i // 2}") for i in range(4)]
    heads = [e.text for e in of_class(interval(rows), "plot-group")]
    assert heads == ["g0", "g1"]


def test_a_missing_value_has_words_and_no_dot():
    root = interval([PlotRow("a", NAN, NAN, NAN, "\u2013 not measured")])
    assert of_class(root, "plot-marker") == []
    assert of_class(root, "plot-interval") == []
    assert "\u2013 not measured" in [e.text for e in of_class(root, "plot-value")]


def test_limits_hold_the_axis():
    root = interval([PlotRow("a", 99.8, 99.5, 100, "")], limits=(0, 100))
    assert max(ticks(root)) <= 100


def test_forest_has_a_zero_line_and_named_margins_even_far_from_the_dots():
    rows = [PlotRow("a", 5.0, 4.0, 6.0, "+5.0", "ml")]
    root = forest(rows, margins=[(-2.0, "margin \u22122.0"), (NAN, "none")])
    zero = of_class(root, "plot-zero")
    assert [float(e.get("x1")) for e in zero] == [pytest.approx(place(0, root), abs=1)]
    margin = of_class(root, "plot-margin")
    assert [float(e.get("x1")) for e in margin] == [
        pytest.approx(place(-2, root), abs=1)
    ]
    assert [e.text for e in of_class(root, "plot-margin-name")] == ["margin \u22122.0"]


def test_a_traditional_method_far_away_is_an_arrow_at_the_frame():
    rows = [
        PlotRow("near", 1.0, 0.5, 1.5, "", "ml"),
        PlotRow("far", -50.0, -51.0, -49.0, "\u221250.0", "traditional"),
    ]
    root = forest(rows)
    assert min(ticks(root)) > -10
    marks = of_class(root, "plot-marker")
    assert [m.tag.removeprefix(SVG) for m in marks] == ["circle", "path"]
    # Nothing is capped where the interval goes on.
    assert of_class(root, "plot-interval")[1].get("d").count("M") == 1


def test_an_empty_plot_is_still_a_plot():
    for root in (interval([]), forest([])):
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").text == "t"


def test_words_are_escaped_and_long_labels_shortened():
    svg = interval_plot(
        [PlotRow(NASTY, 1, 0, 2, NASTY, NASTY, NASTY)],
        key="p",
        title=NASTY,
        description=NASTY,
        axis=NASTY,
        remark=NASTY,
    )
    assert "<b " not in svg
    labels = re.findall(r'class="plot-label"[^>]*>([^<]*)<', svg)
    assert labels[0].endswith("\u2026")


def test_no_name_is_drawn_outside_the_picture():
    rows = [PlotRow("a", 5.0, 4.0, 6.0, "+5.0", "ml")]
    root = forest(rows, margins=[(-2.0, "left"), (6.0, "right")])
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x")) <= width
        assert 0 <= float(element.get("y")) <= height

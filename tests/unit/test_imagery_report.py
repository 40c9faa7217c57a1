"""Section, page and terminal of an imagery pilot show the figures of its scorecard."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from rich.console import Console

from mlstats.imagery_task import ESTIMATE_COLUMNS
from mlstats.quality.figures import METHOD_COLUMNS, SCORECARD_COLUMNS
from mlstats.quality.imagery_page import ImageryPage
from mlstats.quality.imagery_section import (
    AREAS,
    TITLES,
    VALIDATION,
    area_plot,
    area_rows,
    counted,
    headline,
    imagery_section,
    published,
    scheme_rows,
    validation_plot,
)
from mlstats.quality.report import RunReport, render_html, tables
from mlstats.quality.result_page import write_result_page
from mlstats.quality.terminal import print_scorecard
from tests.report_example import NAN, NASTY, example_gates, example_report, row
from tests.unit.test_report import Page

SVG = "{http://www.w3.org/2000/svg}"
KINDS = {"likelihood": "traditional", "forest": "ml"}
# Method -> accuracy, random accuracy, macro-F1, efficiency and bias of the count.
FIGURES = {
    "likelihood": (0.713, 0.850, 0.65, 2.0, 0.081),
    "forest": (0.738, 0.906, 0.70, 4.1, -0.034),
}


def scorecard() -> pd.DataFrame:
    rows = []
    for name, (accuracy, chance, f1, gain, bias) in FIGURES.items():
        common = {"dimension": "accuracy", "method": name, "kind": KINDS[name]}
        common |= {"versus": ""}
        whole = common | {"level": "class", "n": 1218, "n_clusters": 61}
        less = {"versus": "likelihood"} if name == "forest" else {"versus": ""}
        gap = {
            "difference": accuracy - FIGURES["likelihood"][0],
            "difference_lower": -0.012,
            "difference_upper": 0.062,
        }
        rows += [
            row(
                **whole | less | (gap if name == "forest" else {}),
                indicator="accuracy",
                value=accuracy,
                lower=accuracy - 0.05,
                upper=accuracy + 0.04,
            ),
            row(
                **whole | less,
                indicator="accuracy_random",
                value=chance,
                lower=chance - 0.02,
                upper=chance + 0.02,
            ),
            row(
                **whole | less,
                indicator="accuracy_season",
                value=NAN,
                status="not_measured",
                note="the units are of one season",
            ),
            row(**whole | less, indicator="macro_f1", value=f1),
            row(
                **common,
                indicator="relative_efficiency",
                level="maize",
                value=gain,
                lower=gain / 2,
                upper=gain * 2,
                n=80,
            ),
            row(
                **common,
                indicator="count_bias",
                level="maize",
                value=bias,
                lower=bias - 0.03,
                upper=bias + 0.03,
                n=80,
            ),
            row(**common, indicator="unclassified_share", value=0.0625, n=360_000),
        ]
    return pd.DataFrame(rows, columns=[*SCORECARD_COLUMNS, "versus"])


def areas() -> pd.DataFrame:
    """Return published areas: survey, both arms and their counts, one by domain."""
    blank = {"domain": "", "standard_error": NAN, "lower": NAN, "upper": NAN,
             "relative_efficiency": NAN, "n": 80, "note": "", "df": NAN,
             "variance_method": ""}  # fmt: skip
    known = {"standard_error": 105.0, "publishable": True}
    return pd.DataFrame(
        [
            blank | known | {"method": "survey alone", "variable": "maize",
                             "estimate": 3000.4, "lower": 2790.0, "upper": 3210.0},
            blank | known | {"method": "forest", "variable": "maize",
                             "estimate": 3100.0, "lower": 3000.0, "upper": 3200.0},
            blank | {"method": "forest, pixel count", "variable": "maize",
                     "estimate": 2994.6, "publishable": False},
            blank | known | {"method": "forest", "variable": "barley",
                             "estimate": 410.0, "lower": 350.0, "upper": 470.0},
            blank | known | {"method": "forest", "variable": "maize",
                             "domain": "zone: north", "estimate": 1500.0,
                             "lower": 1400.0, "upper": 1600.0},
            blank | {"method": "likelihood", "variable": "barley", "estimate": NAN,
                     "publishable": False, "note": "x does not vary"},
        ],
        columns=list(ESTIMATE_COLUMNS),
    )  # fmt: skip


def counts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": ["forest"] * 2,
            "class": ["unclassified", "maize"],
            "pixels": [22_500, 74_865],
            "share": [0.0625, 0.2080],
        }
    )


def report_of(**changes: object) -> RunReport:
    methods = [
        (name, KINDS[name], "mlstats.imagery.X", "", "scored") for name in FIGURES
    ]
    found = {
        "theme": "imagery",
        "level": "class",
        "baseline": "likelihood",
        "candidate": "forest",
        "scorecard": scorecard(),
        "gates": example_gates().iloc[:0],
        "methods": pd.DataFrame(methods, columns=list(METHOD_COLUMNS)),
        "tables": {
            AREAS: areas(),
            VALIDATION: counts(),
            TITLES["class_areas"]: counts(),
        },
        "target_accuracy": None,
    }
    return example_report(**found | changes)


# -- the section ---------------------------------------------------------------------


def test_another_theme_has_no_such_section():
    assert imagery_section(example_report()) == {}


def test_each_level_has_its_figures_and_the_difference_of_its_headline():
    shown = imagery_section(report_of())
    assert [v.name for v in shown["variables"]] == ["class", "maize"]
    whole, maize = shown["variables"]
    assert whole.cells == "1,218 units in 61 clusters"
    names = [name for name, _ in whole.headings]
    assert names[:2] == ["accuracy", "accuracy, random folds"]
    assert [aspect for _, aspect in whole.headings][:3] == [
        "blocks left out", "optimistic", "seasons left out",
    ]  # fmt: skip
    rows = {line[0]: line for line in whole.rows}
    assert rows["likelihood"][2] == "baseline"
    assert rows["likelihood"][3].text == "baseline"
    forest = rows["forest"]
    assert forest[1:3] == ("ml", "candidate")
    assert (forest[3].text, forest[3].interval) == ("+2.5", "\u22121.2 to +6.2")
    assert forest[4][0].text == "73.8\u202f%"
    assert forest[4][0].interval == "68.8 to 77.8"
    assert forest[4][1].text == "90.6\u202f%"
    assert "the units are of one season" in forest[4][2].missing
    gain, bias = next(line for line in maize.rows if line[0] == "forest")[4]
    assert (gain.text, gain.interval) == ("4.100", "2.050 to 8.200")
    assert bias.text == "\u22123.4\u202f%"


@pytest.mark.parametrize(
    ("scored", "expected"),
    [
        ({"accuracy", "nrmse"}, "accuracy"),
        ({"nrmse", "repeated_rmse"}, "repeated_rmse"),
        ({"nrmse", "nmae"}, "nmae"),
        ({"count_bias"}, "relative_efficiency"),
    ],
)
def test_the_measure_that_is_compared_is_the_first_of_its_kind(
    scored: set[str], expected: str
):
    assert headline(scored) == expected


def test_areas_are_drawn_by_variable_and_counts_are_hollow():
    rows = area_rows(areas(), KINDS)
    assert [(r.group, r.label) for r in rows] == [
        ("maize", "survey alone"), ("maize", "forest"),
        ("maize", "forest, pixel count"), ("barley", "forest"),
    ]  # fmt: skip
    assert [r.hollow for r in rows] == [False, False, True, False]
    assert [r.kind for r in rows] == ["traditional", "ml", "traditional", "ml"]
    assert rows[1].text == "3,100 (3,000 to 3,200)"
    assert rows[2].text == "2,995, no interval"
    drawn = ElementTree.fromstring(area_plot(report_of()))
    texts = [e.text for e in drawn.iter() if e.text]
    assert "3,100 (3,000 to 3,200)" in texts
    hollow = [e for e in drawn.iter() if e.get("fill") == "#ffffff"]
    assert len([e for e in hollow if e.get("stroke") not in (None, "#ffffff")]) == 1
    assert area_plot(report_of(tables={})) == ""


def test_a_published_figure_is_the_whole_territory_with_its_interval():
    table = areas()
    assert published(table, "maize", "forest") == "3,100 (3,000 to 3,200)"
    assert published(table, "maize", "likelihood") == "\u2013"
    assert published(table, "barley", "likelihood") == "\u2013"
    assert published(None, "maize", "forest") == "\u2013"
    count = published(table, "maize", "forest, pixel count")
    assert count == "2,995, no interval"


def test_accuracies_stand_by_what_was_left_out():
    report = report_of()
    keys = ("accuracy", "accuracy_random", "accuracy_season", "macro_f1")
    cells = {
        (m, i): report.cell(i, m, level="class") for m in report.method_names
        for i in keys
    }  # fmt: skip
    rows = scheme_rows(cells, report.kinds)
    assert [(r.group, r.label) for r in rows] == [
        ("likelihood", "blocks left out"), ("likelihood", "random folds"),
        ("forest", "blocks left out"), ("forest", "random folds"),
    ]  # fmt: skip
    assert (rows[2].value, rows[2].lower) == pytest.approx((73.8, 68.8))
    assert rows[2].kind == "ml"
    drawn = ElementTree.fromstring(validation_plot(report))
    assert drawn.tag == f"{SVG}svg"
    assert validation_plot(report_of(level="maize")) == ""


def test_the_page_shows_tables_with_the_whole_territory_named():
    report = report_of()
    page = Page(render_html(report))
    assert page.open == []
    (north,) = [r for r in page.cells if "zone: north" in r]
    assert "1,500" in north
    alone = page.rows_of("survey alone")
    assert [r[:1] for r in alone] == [["survey alone"]]
    assert "all" in [" ".join(c.split()) for c in alone[0]]
    assert "Pixel counts, no figures" in page.text
    # The table of the validation goes to the workbook; the plot has its figures.
    shown = [title for title, *_ in imagery_section(report)["tables"]]
    assert shown == [AREAS, TITLES["class_areas"]]
    assert any(VALIDATION in name for name in tables(report))


def test_markup_in_a_name_is_only_text():
    nasty = NASTY.replace("\x1b", "")  # XML has no place for it
    table = areas().replace({"method": {"forest": nasty}, "variable": {"maize": nasty}})
    report = report_of(tables={AREAS: table})
    assert "<script>alert" not in render_html(report)
    drawn = ElementTree.fromstring(area_plot(report))
    assert not [e for e in drawn.iter() if "script" in e.tag]
    assert any(e.text and e.text.startswith("<script>") for e in drawn.iter())


# -- the terminal --------------------------------------------------------------------


def printed(report: RunReport, width: int = 110) -> str:
    to = Console(file=io.StringIO(), width=width)
    print_scorecard(report, to, path=Path("/a folder/report.html"))
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def test_the_terminal_has_a_row_for_each_variable_and_method():
    lines = printed(report_of()).splitlines()
    forest = [line for line in lines if " forest " in f" {line} "]
    first = next(line for line in lines if "73.8" in line)
    assert "forest" in first
    assert "+2.5 [-1.2, +6.2]" in first
    maize = next(line for line in forest if "3,100" in line)
    assert "3,100 (3,000 to 3,200)" in maize
    assert "4.100 [2.050, 8.200]" in maize
    assert any("410 (350 to 470)" in line for line in forest)
    # Names of variables stand once, in the order of the scorecard and the areas.
    firsts = [line.split()[0] for line in lines if line[:1].strip()]
    assert [w for w in firsts if w in {"class", "maize", "barley"}] == [
        "class", "maize", "barley",
    ]  # fmt: skip


def test_the_terminal_needs_no_areas():
    assert "73.8" in printed(report_of(tables={}))


# -- the page of the documentation ---------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pilot = {
        "pilot": "crops",
        "title": "Crops of a landscape",
        "theme": "imagery",
        "baseline": "likelihood",
        "candidate": "forest",
        "methods": {
            name: {"kind": kind, "use": "mlstats.imagery.X", "params": {}}
            for name, kind in KINDS.items()
        },
        "evaluate": {"level": "full"},
        "data": {
            "source": "points.csv",
            "synthetic": True,
            "roles": {"variables": []},
            "scene": {"images": []},
        },
    }
    (tmp_path / "pilot.yaml").write_text(yaml.safe_dump(pilot))
    scorecard().to_parquet(tmp_path / "scorecard.parquet")
    example_gates().to_parquet(tmp_path / "gates.parquet")
    areas().to_parquet(tmp_path / "areas.parquet")
    counts().to_parquet(tmp_path / "class_areas.parquet")
    drift = {"measure": ["mean"], "of": ["red"], "before": [0.1], "after": [0.2],
             "effect": [0.75], "effect_lower": [0.5], "effect_upper": [1.0],
             "p_adjusted": [0.001], "state": ["drift"], "note": [""]}  # fmt: skip
    pd.DataFrame(drift).to_parquet(tmp_path / "date_drift.parquet")
    return tmp_path


def read(folder: Path) -> ImageryPage:
    pilot = yaml.safe_load((folder / "pilot.yaml").read_text())
    return ImageryPage(pilot, pd.read_parquet(folder / "scorecard.parquet"), folder)


def test_the_page_has_both_arms_areas_and_what_no_variable_has(folder: Path):
    text = read(folder).markdown(pd.read_parquet(folder / "gates.parquet"))
    lines = text.splitlines()
    assert lines[0] == "# Crops of a landscape"
    assert "SYNTHETIC" in lines[2]
    assert "1,218 units in 61 clusters." in text
    forest = next(line for line in lines if line.startswith("| **forest** |"))
    assert "+2.5 (\u22121.2 to +6.2)" in forest
    assert "73.8\u202f% (68.8 to 77.8)" in forest
    base = next(line for line in lines if line.startswith("| likelihood |"))
    assert "| baseline |" in base
    whole = next(line for line in lines if line.startswith("| territory left"))
    assert whole.count("6.2\u202f%") == 2
    count = next(line for line in lines if line.startswith("| forest, pixel count |"))
    assert "| no |" in count
    assert "| zone: north |" in text
    head = next(line for line in lines if line.startswith("| measure | of |"))
    assert "effect" in head
    assert any("| mean | red |" in line and "| drift |" in line for line in lines)


def test_levels_stand_with_the_classes_first(folder: Path):
    page = read(folder)
    assert page.task == "scene"
    assert page.levels == ["class", "maize"]


def test_the_picture_is_of_areas_else_of_accuracies_else_of_errors(folder: Path):
    def words() -> list[str]:
        root = ElementTree.fromstring(read(folder).picture())
        return [e.text for e in root.iter() if e.text]

    assert "2,995, no interval" in words()
    (folder / "areas.parquet").unlink()
    assert "random folds" in words()
    pilot = yaml.safe_load((folder / "pilot.yaml").read_text())
    pilot["data"] |= {"scene": None, "zones": {"within": "region"}}
    (folder / "pilot.yaml").write_text(yaml.safe_dump(pilot))
    errors = scorecard().query("indicator == 'accuracy'")
    errors = errors.assign(indicator="nmae", level="people")
    errors.to_parquet(folder / "scorecard.parquet")
    shown = words()
    assert "people" in shown
    assert "73.8 % (68.8 to 77.8)" in shown


def test_maps_of_a_scene_are_copied_beside_the_page(folder: Path):
    (folder / "map-forest.svg").write_text("<svg/>")
    paths = write_result_page(folder, folder / "docs")
    assert [p.name for p in paths] == ["crops.md", "crops.svg", "crops-map-forest.svg"]
    assert "](crops-map-forest.svg)" in paths[0].read_text()
    assert paths[2].read_text() == "<svg/>"


def test_what_was_counted_is_called_by_its_name():
    assert counted("repeated_rmse") == "surveys drawn anew"
    assert counted("nrmse") == "units"

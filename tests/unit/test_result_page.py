"""The page of a run's results: Markdown with both arms, and one picture."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from mlstats.quality.result_page import write_result_page
from tests.report_example import example_report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shown = example_report()
    methods = {
        row["method"]: {"kind": row["kind"], "use": row["use"], "params": {"C": 0.5}}
        for row in shown.methods.to_dict("records")
    }
    pilot = {
        "pilot": "example",
        "title": "A | title",
        "baseline": shown.baseline,
        "candidate": shown.candidate,
        "methods": methods,
        "data": {"source": "x.csv", "synthetic": True},
        "evaluate": {"level": shown.level, "split": {"by": "random"}},
    }
    (tmp_path / "pilot.yaml").write_text(yaml.safe_dump(pilot))
    shown.scorecard.assign(versus="").to_parquet(tmp_path / "scorecard.parquet")
    shown.gates.to_parquet(tmp_path / "gates.parquet")
    return tmp_path


def test_each_method_has_its_figure_interval_and_difference(folder: Path) -> None:
    page, picture = write_result_page(folder, folder / "docs")
    text = page.read_text()
    shown = example_report()
    assert text.startswith("# A | title")
    assert "SYNTHETIC" in text
    for method in shown.methods["method"]:
        line = next(
            part
            for part in text.splitlines()
            if part.startswith((f"| {method} |", f"| **{method}** |"))
        )
        cell = shown.cell("accuracy", method)
        assert cell is not None
        assert f"{100 * cell.value:.1f}" in line
        assert f"{100 * cell.lower:.1f} to {100 * cell.upper:.1f}" in line
    assert f"]({picture.name})" in text
    assert {cells.count("|") for cells in text.splitlines() if "---" in cells} >= {
        4,
        10,
    }


def test_the_picture_stands_alone(folder: Path) -> None:
    _, picture = write_result_page(folder, folder / "docs")
    root = ElementTree.fromstring(picture.read_text())
    assert root.tag.endswith("svg")
    assert "var(" not in picture.read_text()
    assert "http" not in picture.read_text().replace("http://www.w3.org/2000/svg", "")

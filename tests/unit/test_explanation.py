"""The section of the report on importances."""

import numpy as np
import pandas as pd

from mlstats.quality.explanation import (
    IMPORTANCE_COLUMNS,
    importance_rows,
    no_importances,
)
from mlstats.quality.report import render_html, tables
from tests.report_example import NASTY, example_report
from tests.unit.test_report import Page

TABLE = pd.DataFrame(
    [
        ("linear", "text", 0.6123, 0.01, 0.59, 0.63),
        ("linear", "shop", -0.0012, np.nan, np.nan, np.nan),
        ("exact", "text", np.nan, np.nan, np.nan, np.nan),
    ],
    columns=list(IMPORTANCE_COLUMNS),
).assign(note=["", "", "the sample is empty"])


def test_an_importance_is_written_in_points_with_its_interval_or_its_reason() -> None:
    written = {row[:2]: row[2] for row in importance_rows(TABLE)}
    assert written["linear", "text"].text == "+61.2"
    assert written["linear", "text"].interval == "+59.0 to +63.0"
    assert written["linear", "shop"].interval == ""
    assert written["exact", "text"].missing == "not measured: the sample is empty"


def test_page_and_workbook_have_the_section_after_a_full_run_only() -> None:
    plain, full = example_report(), example_report(importances=TABLE)
    assert 'id="explanation"' not in render_html(plain)
    assert "Importances" not in tables(plain)
    page = render_html(full)
    assert page.count("<caption") == page.count("<table")
    assert "+61.2" in Page(page).text
    assert tables(full)["Importances"]["importance"].iloc[0] == 0.6123
    assert len(no_importances()) == 0


def test_hostile_names_of_columns_stay_text() -> None:
    page = Page(render_html(example_report(importances=TABLE.assign(column=NASTY))))
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.tags}

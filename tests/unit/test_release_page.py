"""The page of a release: figures of several kinds, each in its table."""

from __future__ import annotations

import html
import re

import numpy as np
import pandas as pd

from mlstats.quality.release_page import ReleasePage, render_release
from mlstats.release_totals import TOTALS

FACTS = {
    "title": "Survey", "period": "2026", "final": False, "fallback": [],
    "methods": {"champion": "boosting v3@abc"}, "counts": {"units": 30, "figures": 2},
    "cautions": [], "drift": "not compared", "synthetic": False, "alarm": False,
}  # fmt: skip


def totals() -> pd.DataFrame:
    rows = [
        ("total of turnover", "", "", 135_942_965.4, 2_175.9),
        ("mean of turnover", "", "", 1.23456, -0.5),
        ("total of turnover", "industry=trade", "", 999.96, 12_345.0),
        ("total of turnover", "industry=services", "", 77.0, 0.0),
        ("share of kind", "", "sole", 0.25, 0.01),
    ]
    names = ["variable", "domain", "class", "estimate", "difference"]
    table = pd.DataFrame(rows, columns=names).assign(
        n=30, note="", open_share=0.0, lower=-1234.5, upper=np.nan
    )
    return table.reindex(columns=list(TOTALS)).astype(dict(TOTALS))


def told(page: str) -> str:
    text = re.sub(r"<style.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def test_numbers_stand_in_one_table_and_once_more_by_each_domain() -> None:
    page = render_release(ReleasePage(FACTS, {"totals": totals()}))
    headings = re.findall(r'<h2 id="group-\d+">(.*?)</h2>', page)
    assert headings == [
        "Figures, all units", "total of turnover, by industry",
        "share of kind, all units",
    ]  # fmt: skip
    said = told(page)
    assert "total of turnover 30 135,942,965" in said
    assert "mean of turnover 30 1.235" in said
    assert "trade 30 1,000" in said
    assert "+12,345" in said
    assert "sole 30 25.00 %" in said
    assert "e+" not in said


def test_counts_are_told_in_words() -> None:
    said = told(render_release(ReleasePage(FACTS, {"totals": totals()})))
    assert "units 30 figures 2" in said
    assert "2026 is provisional: boosting v3@abc" in said

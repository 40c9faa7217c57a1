"""The table of `mlstats monitor` on the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats import monitor_verbs
from mlstats.monitor_files import Monitored


def history(lower: float, upper: float) -> pd.DataFrame:
    row = {"period": "2026-03", "indicator": "accuracy", "arm": "champion"}
    ends = {"value": 0.9, "lower": lower, "upper": upper}
    return pd.DataFrame([row | ends | {"status": "measured"}])


@pytest.mark.parametrize(
    ("ends", "told"),
    [((0.85, 0.94), "85.0 to 94.0"), ((np.nan, np.nan), "no interval")],
)
def test_a_figure_stands_above_its_interval_or_says_that_it_has_none(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ends: tuple[float, float],
    told: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    rows = history(*ends)
    monitor_verbs._show(Monitored("diaries", Path("kept"), rows), rows)
    shown = capsys.readouterr().out
    assert "90.0" in shown
    assert told in shown
    assert "nan" not in shown

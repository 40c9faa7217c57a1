"""What a terminal of eighty columns shows of decisions and of a produced period."""

from __future__ import annotations

import pandas as pd
import pytest
from rich.console import Console

from mlstats.produced import Produced
from mlstats.production_verbs import _show
from mlstats.promoting import show_decisions
from mlstats.settings import Settings, load_settings
from tests.production_example import appoint


@pytest.fixture
def settings() -> Settings:
    found = load_settings()
    found.prepare()
    return found


def test_who_decided_what_is_never_cut_off(settings: Settings) -> None:
    appoint(settings, "d" * 64, "production", pilot="msha-bodypart-en-by-mine")
    console = Console(record=True, width=80)
    assert not show_decisions(settings, "", console)
    said = console.export_text()
    assert "…" not in said
    for word in ("methodologist", "subject_owner", "ada,", "mei,", "sign:", "promote:"):
        assert word in said


def test_each_figure_and_change_has_its_interval(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    share = {
        "variable": "share of classes, level 1", "domain": "", "class": "01",
        "estimate": 0.7, "lower": 0.65, "upper": 0.74,
        "difference": 0.18, "difference_lower": 0.13, "difference_upper": 0.23,
        "last_period_change": float("nan"), "last_period_lower": float("nan"),
        "last_period_upper": float("nan"),
    }  # fmt: skip
    total = {**share, "class": "", "variable": "wages", "estimate": 1234.0}
    total |= {"lower": 1200.0, "upper": 1268.0}
    counts = {"units": 90, "audit": 4, "audit_sample": 30}
    made = Produced(
        "diary", "2026-03", None, (), None, pd.DataFrame([share, total]), counts, ()
    )
    _show(made, dry_run=True)
    said = " ".join(capsys.readouterr().out.split())
    assert "01 70.00 [65.00, 74.00] % +18.00 [+13.00, +23.00]" in said
    assert "wages 1,234 [1,200, 1,268]" in said
    assert "changes of shares in points" in said
    assert "automatic in the audit 4, audit drawn 30" in said

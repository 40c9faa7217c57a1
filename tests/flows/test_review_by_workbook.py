"""Two coders with known error rates review a period, to its final release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlstats import cli, production_reading
from mlstats.evaluate import keyed, project_key
from mlstats.production import produce
from mlstats.review_export import export
from mlstats.review_import import import_file
from mlstats.review_rows import open_period
from mlstats.review_status import labels, status_of
from mlstats.settings import Settings
from tests.production_example import appoint, office
from tests.review_example import fill, fix_key, of_units

MARCH = "2026-03"
ERRORS = {"kim": 0.03, "lee": 0.10}  # of codes that a coder gets wrong


@pytest.fixture
def champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, office_database: str
) -> Settings:
    """Return a project whose audit has 200 units, 80 of them coded twice."""

    def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
        return function(*given)

    monkeypatch.setattr(production_reading, "isolated", here)
    made = office(tmp_path)
    fix_key(made.settings)
    path = tmp_path / "configs/pilots/diaries.yaml"
    told = path.read_text(encoding="utf-8")
    plan = "audit_sample: 200, double_code: 0.4"
    path.write_text(told.replace("audit_sample: 60", plan), encoding="utf-8")
    appoint(made.settings, made.linear, "production")
    return made.settings


def truth_of(settings: Settings) -> pd.Series:
    """Return the code by the unit's hash that this test takes as true of it."""
    path = settings.project / f"data/products_{MARCH}.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    gold = frame["coicop_gold"].mask(frame["coicop_gold"] == "", frame["coicop_clerk"])
    return of_units(settings, frame["line_id"], gold)


def test_two_coders_make_a_release_final_and_measure_it(champion: Settings) -> None:
    first = produce("diaries", MARCH, champion)
    assert first.release is not None
    assert not first.release.final
    truth = truth_of(champion)
    kim = export("diaries", MARCH, champion, coder="kim")
    lee = export("diaries", MARCH, champion, coder="lee", second=True)
    sheet = pd.read_excel(kim.path, sheet_name="review", dtype=str)
    beside = sheet[sheet["candidate_1"].notna()]
    assert len(beside) == kim.suggested > 100
    reasons = beside["reason"].dropna()
    assert len(reasons) > len(beside) / 2
    assert reasons.str.startswith("index: ").all()
    for done in (kim, lee):
        fill(done, champion, truth, ERRORS[done.file.coder], seed=20260301)
        import_file("diaries", MARCH, done.path, champion, coder=done.file.coder)

    found = status_of(open_period("diaries", MARCH, champion))
    assert (found.queue_open, found.final) == (0, False)
    assert found.audit_done == found.audit_drawn == 200
    assert found.pairs == 80
    expected = (1 - ERRORS["kim"]) * (1 - ERRORS["lee"])
    assert found.agreement.lower < expected < found.agreement.upper
    # What the audit says of all units is held to what is true of all units.
    units = pd.read_parquet(first.release.folder / "confidential/units.parquet")
    own = units[units["route"].isin(["automatic", "audit"])]
    right = own["value"].astype(object).to_numpy()
    known = (
        right == truth[keyed(own["unit"], project_key(champion))].to_numpy()
    ).mean()
    assert found.accuracy.lower < known < found.accuracy.upper

    last = produce("diaries", MARCH, champion).release
    assert last is not None
    assert last.final
    assert last.number == 2
    after = pd.read_parquet(last.folder / "confidential/units.parquet")
    queue = after[after["route"] == "queue"]
    assert set(queue["method"]) == {"clerk"}
    given = queue["value"].astype(object).to_numpy()
    told = truth[keyed(queue["unit"], project_key(champion))].to_numpy()
    wrong = (given != told).mean()
    assert abs(wrong - ERRORS["kim"]) < 4 * np.sqrt(0.03 * 0.97 / len(queue))
    again = status_of(open_period("diaries", MARCH, champion))
    assert again.final
    assert (again.queue_open, again.queue_closed) == (0, len(queue))
    assert again.accuracy == found.accuracy

    table = labels("diaries", champion)
    audited = table[table["evaluates"] & (table["kind"] == "audit")]
    assert len(audited) == 200
    assert audited["blind"].all()
    assert not table.loc[table["kind"] == "queue", "evaluates"].any()
    assert set(table["unit"]) <= set(units["unit"])
    automatic = units.loc[units["route"] == "automatic", "unit"]
    assert not set(automatic) & set(table["unit"])


def test_the_verbs_tell_what_was_done_and_what_is_wrong(
    champion: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTATS_PROJECT", str(champion.project))
    produce("diaries", MARCH, champion)

    def run(*given: str) -> str:
        result = CliRunner().invoke(cli.app, ["review", *given])
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    told = run("export", "diaries", MARCH, "--coder", "kim", "--rows", "30")
    number = told.rsplit("_", 1)[1].removesuffix(".xlsx")
    assert "Wrote (confidential):" in told
    assert "kim has 30 units, file " + number in run("status", "diaries")
    folder = champion.confidential / "reviews/diaries" / MARCH
    (path,) = folder.glob("*.xlsx")
    truth = truth_of(champion)
    book = openpyxl.load_workbook(path)
    sheet = book["review"]
    at = {cell.value: cell.column for cell in sheet[1]}
    for row in range(2, 12):
        sheet.cell(row, at["code"]).value = truth.iloc[row]
    book.save(path)
    said = run("import", "diaries", MARCH, str(path))
    assert "10 units coded by kim, 20 left" in said
    assert "next: mlstats produce diaries" in said
    assert "was imported already" in run("import", "diaries", MARCH, str(path))
    assert "came back" in run("status", "diaries", "--period", MARCH)
    assert "labels.parquet" in run("labels", "diaries")
    sheet.cell(5, at["code"]).value = "01.1.1.33"
    book.save(path)
    monkeypatch.setattr("sys.argv", ["mlstats", "review", "import", "diaries", MARCH,
                                     str(path)])  # fmt: skip
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 3

"""A coder's workbook: what stands in it, what comes back, and what is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from mlstats import review_rows
from mlstats.errors import ConfigError, ContractError, MlstatsError, UsageError
from mlstats.evaluate import keyed, project_key
from mlstats.pilot_files import load_pilot
from mlstats.releases import Release, ReleaseKey, ReleaseStore
from mlstats.review import draw_audit
from mlstats.review_export import export, read_texts
from mlstats.review_files import ReviewFiles, kept_rows
from mlstats.review_import import PROBLEMS, import_file
from mlstats.review_rows import data_of, open_period, shown, waiting
from mlstats.review_status import labels, status_of
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings, load_settings
from mlstats.writing import write_parquet, write_xlsx

NAME, PERIOD = "texts", "2026-03"
PILOT = """
pilot: texts
theme: coding
owner: {author: tests}
data:
  source: data/texts_{period}.parquet
  periods: 2026-03/2026-04
  frequency: M
  synthetic: true
  roles:
    unit_id: id
    text: [text]
    target: truth
    auxiliary: [shop]
    period: period
  classification: {file: classifications/coicop2018_demo.csv, parent: parent}
methods:
  index: {kind: traditional, use: mlstats.coding.WeightedIndex}
  linear: {kind: ml, use: mlstats.coding.LinearText}
baseline: index
candidate: linear
evaluate: {split: {by: period, test: 2026-04}, seed: 7}
production: {review: {audit_sample: 60, double_code: 0.5, blind_share: 0.2}}
"""
SCRIPTS = (
    "pão de açúcar", "хлеб ржаной", "خبز القمح", "全麥麵包", "गेहूँ की रोटी",
)  # fmt: skip
AWKWARD = (
    "0111", "=SUM(A1:A9)", "+1", "-2", "@cmd", "'=kept", "'plain", " two  blanks ",
    "first\nsecond\n", "\ttab", "_x000D_ text", "#N/A", "TRUE", "1e5", "2026-01-31",
    "</t>&amp;<t>", "=1+1\n=2", "001.50", "\u200fmark", "\U0001f35e emoji",
)  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """A project with a release and what is true of it."""

    settings: Settings
    truth: pd.Series  # of each unit's hash
    codes: list[str]


def desk(project: Path, n: int, *, audit: int = 60) -> Desk:
    """Make a project whose period waits for coders; no method is needed."""
    (project / "configs/pilots").mkdir(parents=True)
    path = project / "configs/pilots/texts.yaml"
    path.write_text(PILOT, encoding="utf-8")
    rng = np.random.default_rng(20260301)
    settings = load_settings(project=project)
    settings.prepare()
    key = project_key(settings)
    lone = [chr(c) for c in rng.integers(0x4E00, 0x9FFF, n)]
    texts = [
        AWKWARD[i % len(AWKWARD)]
        if i % 3 == 0
        else f"{SCRIPTS[i % 5]} {lone[i]} {i:05d}"
        for i in range(n)
    ]
    classification = review_rows.coding_production.arm.read_classification(
        load_pilot(NAME, project=project).data.classification,
        review_rows.coding_production.finder(settings),
    )
    codes = [str(c) for c in classification.codes if classification.depth(c) == 4]
    truth = rng.choice(codes, n)
    frame = pd.DataFrame(
        {
            "id": [f"unit-{i:05d}" for i in range(n)],
            "text": pd.Series(texts, dtype="str"),
            "shop": rng.choice(["01", "002", "3"], n),
            "truth": truth,
            "period": PERIOD,
        }
    )
    (project / "data").mkdir()
    frame.to_parquet(project / f"data/texts_{PERIOD}.parquet")
    release(settings, frame, codes, rng, audit)
    return Desk(settings, pd.Series(truth, index=keyed(frame["id"], key)), codes)


def release(
    settings: Settings,
    frame: pd.DataFrame,
    codes: list[str],
    rng: np.random.Generator,
    audit: int,
) -> Release:
    """Publish a release: 80 % of the codes are right, two thirds wait in the queue."""
    n = len(frame)
    key = project_key(settings)
    right = rng.uniform(size=n) < 0.8
    value = np.where(right, frame["truth"], rng.choice(codes, n))
    units = pd.DataFrame(
        {
            "unit": frame["id"],
            "value": value,
            "prediction": value,
            "depth": "full",
            "route": np.where(rng.uniform(size=n) < 2 / 3, "queue", "automatic"),
            "weight": 1.0,
            "confidence": rng.uniform(size=n),
            "method": "linear",
            "model_version": "linear v1@0123",
        }
    )
    drawn = draw_audit(
        units, size=audit, ancestor=lambda c, level: c, level="1", least=2,
        double_code=0.5, seed=3,
    )  # fmt: skip
    drawn = drawn.assign(hash=keyed(drawn["unit"], key))
    waits = units[units["route"] == "queue"]
    queue = pd.DataFrame({"unit": waits["unit"], "confidence": waits["confidence"]})
    for k in range(5):
        given = waits["value"] if k == 0 else rng.choice(codes, len(waits))
        queue[f"code_{k + 1}"] = given
        queue[f"score_{k + 1}"] = 0.5 / (k + 1)
    queue["baseline_code"] = waits["value"].to_numpy()
    digest = review_rows.coding_production.load(
        load_pilot(NAME, project=settings.project), settings, PERIOD
    )[0].digest

    def write(folder: Path) -> None:
        (folder / "confidential").mkdir()
        write_parquet(folder / "confidential/queue.parquet", queue)
        write_parquet(folder / "confidential/audit.parquet", drawn)

    told = ReleaseKey(NAME, PERIOD, digest, "c" * 64, "", "")
    facts = {"counts": {"open": len(queue), "closed": 0}}
    return ReleaseStore(settings.releases).publish(told, write, facts=facts)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Make the project once."""
    return desk(tmp_path_factory.mktemp("desk"), 240)


@pytest.fixture
def at_desk(made: Desk, tmp_path: Path) -> Desk:
    """Return a copy of the project."""
    project = tmp_path / "a project"
    shutil.copytree(made.settings.project, project)
    return replace(made, settings=load_settings(project=project))


def rewrite(path: Path, change: Callable[[Any], None]) -> Path:
    """Save a workbook with a change, as a spreadsheet program would."""
    book = openpyxl.load_workbook(path)
    change(book)
    book.save(path)
    return path


def places(sheet: Any) -> dict[str, int]:
    return {cell.value: cell.column for cell in sheet[1]}


def fill(path: Path, code_of: Callable[[str], str | None], rows: pd.DataFrame) -> Path:
    """Write a code into each row, by the unit's hash."""
    hashes = dict(zip(rows["row"], rows["hash"], strict=True))

    def change(book: Any) -> None:
        sheet = book["review"]
        at = places(sheet)
        for number in range(2, sheet.max_row + 1):
            row = sheet.cell(number, at["row"]).value
            sheet.cell(number, at["code"]).value = code_of(hashes[row])

    return rewrite(path, change)


def coded(at: Desk, coder: str = "kim", **options: Any) -> Any:
    """Export a file and fill it with the truth."""
    done = export(NAME, PERIOD, at.settings, coder=coder, **options)
    kept = kept_rows(at.settings, NAME, PERIOD, done.file.export)
    fill(done.path, at.truth.get, kept)
    return done


def reviews(at: Desk) -> pd.DataFrame:
    return ReviewStore(at.settings.database).read(NAME, PERIOD)


# -- what a coder sees -------------------------------------------------------------


def test_truth_is_not_anchored_and_the_audit_is_not_told(at_desk: Desk) -> None:
    done = export(NAME, PERIOD, at_desk.settings, coder="kim")
    book = openpyxl.load_workbook(done.path)
    sheet = pd.DataFrame(book["review"].values)
    sheet = sheet.iloc[1:].set_axis([*sheet.iloc[0]], axis=1).set_index("row")
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export).set_index("row")
    now = open_period(NAME, PERIOD, at_desk.settings)
    assert set(kept["hash"]) == set(now.queue["hash"]) | set(now.audit["hash"])
    kinds = set(kept["kinds"])
    assert kinds == {"queue", "blind", "audit", "audit+blind"}
    blind = kept["kinds"] != "queue"
    shown_of_blind = sheet.loc[kept.index[blind]].drop(columns=["text", "shop"])
    assert shown_of_blind.isna().to_numpy().all()
    beside = sheet.loc[kept.index[~blind]]
    assert (
        beside[["candidate_1", "candidate_5", "suggestions"]].notna().to_numpy().all()
    )
    # A fifth of the queue besides the audit, and neither unit nor kind in the file.
    drawn = kept[kept["kinds"].isin(["queue", "blind"])]["kinds"] == "blind"
    assert abs(drawn.mean() - 0.2) < 4 * np.sqrt(0.16 / len(drawn))
    said = " ".join(str(v) for s in book for row in s.values for v in row)
    assert "unit-0" not in said
    assert "audit" not in said
    assert not set(kept["hash"]) & set(said.split())
    assert (now.queue["unit"].tolist() == sorted(now.queue["unit"])) or True


def test_only_code_and_comment_are_open_and_candidates_are_offered(
    at_desk: Desk,
) -> None:
    done = export(NAME, PERIOD, at_desk.settings, coder="kim")
    book = openpyxl.load_workbook(done.path)
    sheet = book["review"]
    at = places(sheet)
    assert sheet.protection.sheet
    assert sheet.protection.password is None
    for name, place in at.items():
        locked = {sheet.cell(r, place).protection.locked for r in range(2, 12)}
        assert locked == {name not in ("code", "comment")}
        if name in ("code", "comment"):
            assert sheet.cell(2, place).number_format == "@"
    (rule,) = sheet.data_validations.dataValidation
    letter = openpyxl.utils.get_column_letter
    first, last = letter(at["candidate_1"]), letter(at["candidate_5"])
    assert rule.formula1 == f"${first}2:${last}2"
    code = letter(at["code"])
    assert str(rule.sqref) == f"{code}2:{code}{done.file.rows + 1}"
    search = book["search"]
    assert search.auto_filter.ref == f"A1:C{search.max_row}"
    found = {row[0]: row[1:] for row in search.iter_rows(min_row=2, values_only=True)}
    assert found["01.1.4.5"] == ("Cheese", "4")
    assert (done.path.stat().st_mode & 0o077) == 0
    assert at_desk.settings.confidential in done.path.parents

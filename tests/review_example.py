"""A small coding pilot whose units wait for coders, and coders who fill in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd

from mlstats import review_rows
from mlstats.evaluate import keyed, project_key
from mlstats.pilot_files import load_pilot
from mlstats.releases import Release, ReleaseKey, ReleaseStore
from mlstats.review import draw_audit
from mlstats.review_export import Exported
from mlstats.review_files import kept_rows
from mlstats.settings import Settings, load_settings
from mlstats.writing import write_parquet

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


# -- coders with known error rates -----------------------------------------------


def fix_key(settings: Settings) -> None:
    """Give a project the same secret in every run, and so the same audit."""
    settings.prepare()
    (settings.confidential / "unit.key").write_bytes(bytes(range(32)))


def of_units(settings: Settings, ids: pd.Series, codes: Sequence[str]) -> pd.Series:
    """Return the true code by the unit's hash."""
    return pd.Series(list(codes), index=keyed(ids, project_key(settings)))


def fill(
    done: Exported, settings: Settings, truth: pd.Series, error: float, seed: int
) -> int:
    """Fill in a coder's file: the truth, but for the coder's errors; return how many.

    Parameters
    ----------
    truth : pandas.Series
        From :func:`of_units`.
    error : float
        Probability that the coder gives another code.
    """
    rng = np.random.default_rng([seed, len(done.file.coder), done.file.second])
    kept = kept_rows(settings, done.file.pilot, done.file.period, done.file.export)
    unit = dict(zip(kept["row"], kept["hash"], strict=True))
    others = sorted(set(truth))
    given = {}
    for one in sorted(unit.values()):  # the order of the rows differs from run to run
        wrong = rng.uniform() < error
        other = str(rng.choice([code for code in others if code != truth[one]]))
        given[one] = other if wrong else truth[one]
    book = openpyxl.load_workbook(done.path)
    sheet = book["review"]
    at = {cell.value: cell.column for cell in sheet[1]}
    for number in range(2, sheet.max_row + 1):
        row = unit[sheet.cell(number, at["row"]).value]
        sheet.cell(number, at["code"]).value = given[row]
    book.save(done.path)
    return sum(code != truth[one] for one, code in given.items())

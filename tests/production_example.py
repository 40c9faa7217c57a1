"""A small project whose pilot can produce: stored methods and a log of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats import model_store
from mlstats.coding import LinearText, WeightedIndex
from mlstats.coding.arm import method_frame
from mlstats.decision_log import DecisionLog
from mlstats.decisions import Act
from mlstats.demo import make_products
from mlstats.evaluate import project_key
from mlstats.pilot_files import load_pilot
from mlstats.settings import Settings, load_settings
from mlstats.watching import trained_tables

PERIODS = ("2026-01", "2026-02", "2026-03", "2026-04")
EVIDENCE = "e" * 64
STEPS = ("idea", "valid", "shadow", "production")
PILOT = """
pilot: diaries
title: Diaries (synthetic)
theme: coding
owner: {author: data-science}
data:
  source: data/products_{period}.csv
  periods: 2026-01/2026-04
  frequency: M
  synthetic: true
  roles:
    unit_id: line_id
    text: [description]
    target: coicop_clerk
    weight: budget_weight
    stratum: stratum
    cluster: household_id
    period: period
    auxiliary: [shop_type]
    domain: [shop_type]
    confidential: [line_id, household_id, description]
  classification: {file: classifications/coicop2018_demo.csv, parent: parent}
methods:
  index: {kind: traditional, use: mlstats.coding.WeightedIndex}
  linear: {kind: ml, use: mlstats.coding.LinearText}
baseline: index
candidate: linear
evaluate: {truth: coicop_gold, split: {by: period, test: 2026-02}, seed: 7}
production:
  schedule: "0 6 3 * *"
  review: {target_accuracy: 0.9, audit_sample: 60}
"""


@dataclass(frozen=True)
class Office:
    """A project and what is stored in it."""

    settings: Settings
    index: str
    linear: str


def office(project: Path, *, threshold: float = 0.6) -> Office:
    """Make a project: methods trained on the first period, no decision yet."""
    make_products(project / "data", periods=PERIODS, households_per_period=40)
    (project / "configs/pilots").mkdir(parents=True)
    (project / "configs/pilots/diaries.yaml").write_text(PILOT, encoding="utf-8")
    settings = load_settings(project=project)
    settings.prepare()
    project_key(settings)
    pilot = load_pilot("diaries", project=project)
    first = pd.read_csv(project / "data/products_2026-01.csv", dtype=str)
    first["budget_weight"] = first["budget_weight"].astype(float)
    X = method_frame(first, pilot.data.roles)
    index = WeightedIndex().fit(X, first["coicop_clerk"])
    linear = LinearText(random_state=1).fit(X, first["coicop_clerk"])
    columns = list(X.columns)
    base = model_store.store(
        index, columns, settings.confidential, terms={"method": "index"}
    )
    terms = terms_of(base, threshold)
    tables = trained_tables(pilot, first)
    own = model_store.store(
        linear, columns, settings.confidential, terms=terms, tables=tables
    )
    return Office(settings, base, own)


def terms_of(baseline: str, threshold: float | None) -> dict[str, Any]:
    """Return what a candidate's pack says."""
    return {
        "method": "linear",
        "baseline": baseline,
        "thresholds": [{"level": "full", "group": "", "threshold": threshold}],
        "seen_to": "2026-01",
    }


def appoint(
    settings: Settings,
    digest: str,
    stage: str,
    *,
    version: int = 1,
    pilot: str = "diaries",
    since: str = "idea",
) -> None:
    """Bring a version to a stage by signed steps, and let a champion make way."""
    log = DecisionLog(settings.database)
    first, last = STEPS.index(since), STEPS.index(stage)
    for now, then in zip(STEPS[first:last], STEPS[first + 1 : last + 1], strict=True):
        log.append(pilot, lambda rows, s=(now, then): _step(rows, version, digest, *s))


def _step(
    rows: Sequence[Any], version: int, digest: str, now: str, then: str
) -> list[Act]:
    acts = []
    if then in ("shadow", "production"):
        for who, role in (("ada", "methodologist"), ("mei", "subject_owner")):
            acts.append(
                Act(version, digest, EVIDENCE, now, then, "sign", who, role, "seen")
            )
    champion = {row.version: row for row in rows if row.stage_to == "production"}
    running = [
        row
        for row in champion.values()
        if not any(
            r.version == row.version and r.number > row.number and r.kind != "sign"
            for r in rows
        )
    ]
    if then == "production" and running:
        old = running[-1]
        acts.append(
            Act(
                old.version, old.model, EVIDENCE, "production", "suspended",
                "promote", "ada", "methodologist", "makes way",
            )
        )  # fmt: skip
    acts.append(
        Act(
            version,
            digest,
            EVIDENCE,
            now,
            then,
            "promote",
            "ada",
            "methodologist",
            "so",
        )
    )
    return acts

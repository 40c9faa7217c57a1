"""A run report in which every section has something to show."""

from __future__ import annotations

import math
from datetime import date

import pandas as pd

from mlstats.quality.report import RunReport
from mlstats.quality.report_tables import AGGREGATE_COLUMNS, PREVIOUS_COLUMNS
from mlstats.quality.waiver import Signature, Waiver, apply_waivers
from tests.report_example import (
    METHODS,
    example_gates,
    example_report,
    example_scorecard,
    row,
)

NAN = math.nan
SHARES = {"01": 0.31, "02": 0.06, "03": 0.09, "04": 0.14, "05": 0.11, "11": 0.29}
# Arm -> kind and by how much it moves the classes.
ARMS = {
    "truth": ("truth", (0, 0, 0, 0, 0, 0)),
    "index": ("traditional", (-0.021, 0.004, 0.006, 0.012, -0.009, 0.008)),
    "linear": ("ml", (0.008, -0.002, 0.003, -0.012, 0.001, 0.002)),
    "hybrid": ("hybrid", (0.003, -0.001, 0.001, -0.004, 0.0, 0.001)),
    "corrected": ("corrected", (0.001, 0.0, -0.001, 0.002, -0.001, -0.001)),
}
TEXT = "The queue cannot be staffed before June; the share was 2 points short."


def example_aggregates() -> pd.DataFrame:
    """Return shares of six classes under five arms, overall and in three domains."""
    rows = []
    for domain, n in (("", 2634), ("shop: market", 640), ("shop: web", 6)):
        for place, (code, share) in enumerate(SHARES.items()):
            for arm, (kind, moves) in ARMS.items():
                moved = moves[place] * (1.6 if domain else 1.0)
                own = NAN if kind == "truth" else moved
                se = math.sqrt(share * (1 - share) / n)
                width = 0.35 * se
                gap = (
                    NAN
                    if arm in {"truth", "index"}
                    else moved - ARMS["index"][1][place]
                )
                rows.append(
                    {
                        "level": "1", "variable": code, "domain": domain, "arm": arm,
                        "kind": kind, "value": share + moved, "se": se,
                        "lower": share + moved - 1.96 * se,
                        "upper": share + moved + 1.96 * se,
                        "difference": own, "difference_se": width,
                        "difference_lower": own - 1.96 * width,
                        "difference_upper": own + 1.96 * width,
                        "gap": gap, "gap_lower": gap - 0.01, "gap_upper": gap + 0.01,
                        "n": n, "status": "measured", "note": "",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows, columns=list(AGGREGATE_COLUMNS))


def example_previous() -> pd.DataFrame:
    """Return what changed for two methods since an earlier run."""
    note = (
        "taken as two independent samples; 31 % of the clusters are in both: where "
        "they move together the interval is wider than it needs to be"
    )
    found = [
        ("accuracy", "full", "linear", 0.675, 0.689, -0.014, -0.036, 0.008, note),
        ("accuracy", "full", "index", 0.622, 0.619, 0.003, -0.021, 0.027, note),
        ("macro_f1", "full", "linear", 0.472, 0.481, -0.009, -0.031, 0.013, note),
        ("coverage", "full", "linear", 1.0, 1.0, 0.0, NAN, NAN,
         "no interval: in one of the samples nothing varied"),
    ]  # fmt: skip
    return pd.DataFrame(found, columns=list(PREVIOUS_COLUMNS))


def waived_gates() -> pd.DataFrame:
    """Return the gates of the example, one of them waived under two signatures."""
    gates = example_gates()
    gates["gate"] = ["shadow accuracy", "automation", "unseen", "reproducibility"]
    waiver = Waiver(
        gate="automation",
        text=TEXT,
        expires=date(2026, 6, 30),
        first=Signature(person="A. Archer", role="methodology", day=date(2026, 4, 2)),
        second=Signature(person="B. Baker", role="prices", day=date(2026, 4, 3)),
    )
    return apply_waivers(gates, [waiver], date(2026, 4, 3))


def data_and_other_rows() -> list[dict[str, object]]:
    """Return rows of the dimensions that the plain example leaves empty."""
    rows = []
    for method, kind in METHODS.items():
        of = {"method": method, "kind": kind, "gsbpm": "5.2"}
        for dimension, indicator, value, note in (
            ("explainability", "method_class", 4.0, "additive"),
            ("reproducibility", "environment_completeness", 1.0, ""),
            ("robustness", "accuracy_new_units", 0.61, ""),
            ("data", "double_coding_agreement", 0.91, ""),
            ("data", "double_coding_kappa", 0.89, ""),
            ("data", "truth_sample", NAN, "probability sample, weights: weight"),
            ("data", "texts_in_training", 0.309, ""),
            ("data", "contract_kept", 0.958, "23 of 24"),
            ("data", "classification_version", 1.0, "COICOP 2018"),
        ):
            bounds = {"lower": value - 0.02, "upper": min(value + 0.02, 1.0)}
            exact = indicator in {"method_class", "contract_kept"}
            rows.append(
                row(**of, dimension=dimension, indicator=indicator, value=value,
                    note=note, n=400, **({} if exact else bounds))
            )  # fmt: skip
        rows.append(
            row(**of, dimension="cost", indicator="cost_per_correct",
                status="not_measured", note="the pilot names no cost sheet")
        )  # fmt: skip
    return rows


def full_report(**changes: object) -> RunReport:
    """Return the report."""
    scorecard = pd.concat(
        [example_scorecard(), pd.DataFrame(data_and_other_rows())], ignore_index=True
    )
    small = scorecard[scorecard["domain"] == "market"].assign(domain="kiosk", n=6)
    methods = example_report().methods.assign(
        role=["compared", "compared", "baseline", "candidate", "compared"],
        training_rows=[NAN, 9176, 9176, 9176, 9176],
        inputs=["coicop_clerk", *["text, shop_type"] * 4],
        version=["", "", "2", "3", "4"],
        digest=["", *["sha256:9c1e0f2a77ab12cd"] * 4],
        calibration=["gives no confidence", *["on 2,634 units of the valid part"] * 4],
    )
    return example_report(
        **{
            "scorecard": pd.concat([scorecard, small], ignore_index=True),
            "gates": waived_gates(),
            "methods": methods,
            "aggregates": example_aggregates(),
            "previous": example_previous(),
            "previous_run": "run 77ab12cd of period 2025-10 to 2025-12",
        }
        | changes
    )

"""Time and memory of the report of a run of 100,000 units on one core.

    python benchmarks/report.py [--units N] [--classes N] [--bootstrap N]

A made-up Evaluation of three methods, 200 classes and two domain variables is scored,
judged and written in every form: scorecard, HTML, workbook, Parquet and the Evidently
page. Beside each step stand its CPU seconds and the most memory that the process has
held beyond what it held with nothing but the units table, as a multiple of that table.
The promise is 30 seconds of CPU and three times the table.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["DO_NOT_TRACK"] = "true"

import argparse
import gc
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from mlstats.quality.comparison import candidate_coverage, class_table, compared
from mlstats.quality.dimensions import dimension_rows
from mlstats.quality.drift import drift
from mlstats.quality.drift_reference import Reference
from mlstats.quality.drift_summaries import Summary
from mlstats.quality.estimate_level import (
    ShareArms,
    share_indicators,
    share_table,
)
from mlstats.quality.evaluation import ESTIMATES, Evaluation
from mlstats.quality.evidently import write_drift_report
from mlstats.quality.figures import GATE_COLUMNS
from mlstats.quality.gate import judge
from mlstats.quality.judged import Judged
from mlstats.quality.report import RunReport, write_html, write_parquet, write_xlsx
from mlstats.quality.scorecard import Plan, as_scorecard, score

METHODS = {"index": 0.62, "linear": 0.72, "fasttext": 0.70}
LEVELS = ("1", "2", "full")
SECONDS, TIMES = 30.0, 3.0


def ancestor(codes: np.ndarray, level: str) -> np.ndarray:
    """Return codes cut to a level, each distinct code once."""
    cut = {"1": 1, "2": 2}.get(level)
    number, distinct = pd.factorize(codes)
    parents = np.array([*(code[:cut] for code in distinct), None], dtype=object)
    return parents[number]


def units_of(n: int, classes: int) -> pd.DataFrame:
    """Return the units of the three methods, a third of them in the valid part."""
    rng = np.random.default_rng(20260101)
    codes = np.array([f"{i:03d}" for i in range(classes)], dtype=object)
    frequency = rng.dirichlet(np.full(classes, 0.5))
    truth = rng.choice(codes, n, p=frequency)
    ease = rng.uniform(size=n)
    cluster = np.array([f"{i:032x}" for i in range(n // 8 + 1)], dtype=object)
    fixed = {
        "run_id": "r",
        "period": "2026-01",
        "fold": np.where(np.arange(n) < n // 3, "valid", "test"),
        "replicate": 0,
        "unit": [f"{i:032x}" for i in range(n)],
        "position": np.arange(n),
        "stratum": np.array([f"s{i}" for i in range(20)], dtype=object)[
            np.arange(n) // 8 % 20
        ],
        "cluster": cluster[np.arange(n) // 8],
        "variable": "code",
        "truth": truth,
        "truth_source": "gold",
        "weight": rng.uniform(0.5, 2, n),
        "fraction": 0.0,
        "status": "coded",
        "seen": rng.uniform(size=n) < 0.4,
        "domain_region": rng.choice([f"region {i}" for i in range(12)], n),
        "domain_shop": rng.choice(["market", "web", "kiosk"], n),
    }
    parts = []
    for name, accuracy in METHODS.items():
        wrong = rng.choice(codes, n)
        prediction = np.where(ease < accuracy, truth, wrong)
        confidence = np.clip(1.2 - ease + rng.normal(0, 0.1, n), 0.01, 0.99)
        parts.append(
            pd.DataFrame(
                fixed
                | {
                    "method": name,
                    "prediction": prediction,
                    "confidence": confidence if name != "index" else np.nan,
                    "candidates": [[code] for code in prediction],
                    "scores": [[0.9] for _ in prediction],
                    "depth": "",
                    "routed": None,
                    "route": np.where(confidence > 0.9, "automatic", "queue"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def timings_of(n: int) -> pd.DataFrame:
    """Return a fit and a prediction of each method."""
    rows = [
        {"run_id": "r", "method": name, "step": step, "units": n}
        | {"wall_seconds": 3.0, "cpu_seconds": 3.0, "peak_mb": 100.0}
        for name in METHODS
        for step in ("fit", "predict")
    ]
    return pd.DataFrame(rows)


class Gauge:
    """CPU seconds and the peak of memory beyond a start, step by step."""

    def __init__(self, table_bytes: int) -> None:
        self.table_bytes = table_bytes
        self.rows: list[tuple[str, float, float]] = []
        gc.collect()
        self.start = _resident()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure what is done inside, under a name."""
        peak = [_resident()]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                peak[0] = max(peak[0], _resident())

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        began = time.process_time()
        try:
            yield
        finally:
            seconds = time.process_time() - began
            done.set()
            watcher.join()
            above = max(peak[0], _resident()) - self.start
            self.rows.append((name, seconds, above / self.table_bytes))


def _resident() -> int:
    """Return the bytes that the process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def report_of(
    scorecard: pd.DataFrame, gates: pd.DataFrame, aggregates: pd.DataFrame
) -> RunReport:
    """Return the report of the made-up run."""
    methods = pd.DataFrame(
        [
            (m, "traditional" if m == "index" else "ml", "made.up", "", "")
            for m in METHODS
        ],
        columns=["method", "kind", "use", "params", "outcome"],
    )
    return RunReport(
        pilot="benchmark", title="Benchmark", theme="coding", period="2026-01",
        run_id="r", created="2026-01-01T00:00:00+00:00", synthetic=True,
        verdict="Nothing is said.", baseline="index", candidate="linear", level="full",
        scorecard=scorecard, gates=gates, methods=methods, provenance={"seed": "0"},
        target_accuracy=0.95, aggregates=aggregates,
    )  # fmt: skip


def safe_view(n: int, seed: int) -> pd.DataFrame:
    """Return a frame of the kind that a contract's safe view is."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {f"column {i}": rng.choice([*"abcdefgh"], n) for i in range(8)}
    )
    frame.attrs["safe_view"] = True
    return frame


def verdicts(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Return our verdicts on two safe views."""
    known = Reference.learn(before)
    training, current = (Summary.of(frame, known) for frame in (before, now))
    return drift(current, {"training": training}).verdicts


def run(units: pd.DataFrame, bootstrap: int, gauge: Gauge) -> None:
    """Score, judge and write; each step is measured."""
    plan = Plan(
        kinds={m: "traditional" if m == "index" else "ml" for m in METHODS},
        baseline="index", level="full", levels=LEVELS, bootstrap=bootstrap,
    )  # fmt: skip
    n = len(units) // len(METHODS)
    with gauge("scorecard"):
        evaluation = Evaluation(
            units, pd.DataFrame(columns=list(ESTIMATES)), timings_of(n)
        )
        card = score(evaluation, ancestor, plan)
    with gauge("dimensions and domains"):
        beyond = dimension_rows(
            units[units["fold"] == "test"], ancestor, "full",
            {m: object() for m in METHODS}, baseline="index", provenance={}, seed=0,
        )  # fmt: skip
        card = pd.concat([card, as_scorecard(beyond, plan)], ignore_index=True)
    with gauge("published shares"):
        test = units[units["fold"] == "test"]
        shares = ShareArms.of(test, ancestor, "1", plan.kinds, baseline="index")
        aggregates = share_table(shares)
        rows = [*share_indicators(shares)]
    with gauge("tests, classes, candidates"):
        judged = {m: Judged.of(test, m, ancestor, "full") for m in METHODS}
        for name, one in judged.items():
            class_table(one, judged["index"] if name != "index" else None)
            candidate_coverage(units, name, ancestor, "full", alpha=0.05)
            if name != "index":
                found = compared(one, judged["index"], margin=0.01)
                rows += [f.row(method=name, level="full") for f in found]
        card = pd.concat([card, as_scorecard(rows, plan)], ignore_index=True)
    gates = judge(card, [], method="linear", level="full")[list(GATE_COLUMNS)]
    shown = report_of(card, gates, aggregates)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with gauge("HTML"):
            write_html(shown, folder / "a.html")
        with gauge("workbook"):
            write_xlsx(shown, folder / "a.xlsx")
        with gauge("Parquet"):
            write_parquet(shown, folder / "a.parquet")
        with gauge("Evidently"):
            view, before = safe_view(n, 1), safe_view(n, 2)
            path, ours = folder / "evidently.html", verdicts(view, before)
            write_drift_report(
                view, before, path, verdicts=ours,
                columns=dict.fromkeys(view.columns, "category"), synthetic=True,
            )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--bootstrap", type=int, default=1000)
    asked = parser.parse_args()
    units = units_of(asked.units, asked.classes)
    size = int(units.memory_usage(deep=True).sum())
    gauge = Gauge(size)
    run(units, asked.bootstrap, gauge)
    title = (
        f"{asked.units:,} units x {len(METHODS)} methods, {asked.classes} classes, "
        f"table {size / 2**20:,.0f} MB"
    )
    table = Table("step", "CPU, s", "peak, times the table", title=title)
    for name, seconds, times in gauge.rows:
        table.add_row(name, f"{seconds:.1f}", f"{times:.2f}")
    total, peak = sum(row[1] for row in gauge.rows), max(row[2] for row in gauge.rows)
    table.add_section()
    table.add_row("together", f"{total:.1f}", f"{peak:.2f}")
    table.add_row("promised at most", f"{SECONDS:.1f}", f"{TIMES:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()

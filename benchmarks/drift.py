"""Seconds and memory of the drift verdicts, beside Evidently's default.

    python benchmarks/drift.py [--rows 1000000 --evidently-rows 100000]

Twenty columns (12 numbers, 4 of codes with 8, 20, 200 and 500 of them, an income, a
number of words, a score, a class) in a reference and a current period. Ours learns the
bins, counts both periods and judges them; the same is done in ten parts, which must
give the same verdicts, and with weights and clusters. Evidently's default is its
``DataDriftPreset`` on the same frames: on the first `--evidently-rows`, and on all rows
where at that rate two minutes are enough; the table says what ran. Each runs in a
process of its own.

CPU seconds are those of one core, peak memory is what the process grew by beyond the
frames, in multiples of one frame. Rows that changed: x0 and x1 by .02 standard
deviations, so that a verdict has something to say.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

import argparse
import ctypes
import gc
import multiprocessing
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from mlstats.quality.drift import DriftResult, Reference, Summary, drift

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.drift_generators import Change, independent

TWO_MINUTES = 120.0
PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Measured:
    """What one run took and said."""

    rows: int
    cpu: float
    peak: float  # in multiples of one frame
    said: str


def frames(rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    before = independent(rows, rng)
    now = independent(rows, rng, Change(shift=0.02))
    # As a file is read: codes are strings.
    words = ["region", "branch", "occupation", "product", "class"]
    return before.astype(dict.fromkeys(words, "str")), now.astype(
        dict.fromkeys(words, "str")
    )


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Peak:
    """The largest growth of the process while it is open."""

    def __enter__(self) -> Peak:
        """Hand freed memory back, then look every few milliseconds."""
        gc.collect()
        pa.default_memory_pool().release_unused()
        if sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self.start = self.most = resident()
        self.open = True
        self.watch = threading.Thread(target=self._look)
        self.watch.start()
        return self

    def _look(self) -> None:
        while self.open:
            self.most = max(self.most, resident())
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        """End."""
        self.open = False
        self.watch.join()


def measured(rows: int, frame: pd.DataFrame, work: Callable[[], str]) -> Measured:
    with Peak() as peak:
        start = time.process_time()
        said = work()
        cpu = time.process_time() - start
    size = int(frame.memory_usage(deep=True).sum())
    return Measured(rows, cpu, (peak.most - peak.start) / size, said)


def said(result: DriftResult) -> str:
    states = result.by_column().value_counts()
    return ", ".join(f"{n} {state}" for state, n in states.items())


def ours(
    rows: int, seed: int, parts: int, design: dict[str, str]
) -> tuple[Measured, pd.DataFrame]:
    before, now = frames(rows, seed)
    watched = list(before.columns)
    before, now = (
        frame.assign(weight=1.0, household=np.arange(rows) // 10)
        for frame in (before, now)
    )
    kept: list[DriftResult] = []

    def work() -> str:
        reference = Reference.learn(before[watched])
        cuts = np.linspace(0, rows, parts + 1).astype(int)
        sides = [
            Summary.of_parts(
                Summary.of(frame.iloc[a:b], reference, **design)
                for a, b in zip(cuts[:-1], cuts[1:], strict=True)
            )
            for frame in (before, now)
        ]
        kept.append(drift(sides[1], {"last_accepted": sides[0]}))
        return said(kept[0])

    return measured(rows, before, work), kept[0].verdicts


def evidentlys(rows: int, seed: int) -> tuple[Measured, pd.DataFrame]:
    warnings.simplefilter("ignore")
    from evidently import Report
    from evidently.presets import DataDriftPreset

    before, now = frames(rows, seed)

    def work() -> str:
        snapshot = Report([DataDriftPreset()]).run(now, before)
        count = snapshot.dict()["metrics"][0]["value"]["count"]
        return f"{int(count)} drift, {20 - int(count)} none"

    return measured(rows, before, work), pd.DataFrame()


def alone(function: Callable[..., Any], *arguments: object) -> Any:
    """Run in a new process, so that one run's memory is not another's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--evidently-rows", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    whole, verdicts = alone(ours, chosen.rows, chosen.seed, 1, {})
    parted, again = alone(ours, chosen.rows, chosen.seed, 10, {})
    survey = {"weight": "weight", "cluster": "household"}
    weighted, _ = alone(ours, chosen.rows, chosen.seed, 1, survey)
    few = min(chosen.rows, chosen.evidently_rows)
    small, _ = alone(evidentlys, few, chosen.seed)
    rows = [
        ("mlstats", whole),
        ("mlstats, in ten parts", parted),
        ("mlstats, weights and clusters", weighted),
        ("Evidently's default", small),
    ]
    expected = small.cpu * chosen.rows / few
    if few < chosen.rows and expected <= TWO_MINUTES:
        rows.append(
            ("Evidently's default", alone(evidentlys, chosen.rows, chosen.seed)[0])
        )
    table = Table(
        title=f"Drift of 20 columns, {chosen.rows:,} rows against {chosen.rows:,}, "
        "one core"
    )
    table.add_column("what")
    for name in ("rows", "CPU seconds", "peak, in tables"):
        table.add_column(name, justify="right")
    table.add_column("columns")
    for what, found in rows:
        table.add_row(
            what, f"{found.rows:,}", f"{found.cpu:.1f}", f"{found.peak:.1f}", found.said
        )
    console = Console()
    console.print(table)
    if few < chosen.rows and expected > TWO_MINUTES:
        console.print(
            f"Evidently ran on {few:,} rows only: at that rate all of them would "
            f"take {expected:.0f} seconds."
        )
    pd.testing.assert_frame_equal(verdicts, again)
    console.print("The verdicts in ten parts are those of the whole.")


if __name__ == "__main__":
    main()

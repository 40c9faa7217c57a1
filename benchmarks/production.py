"""One period of a million records: from its file to its release, step by step.

    python benchmarks/production.py [RECORDS]

Two arms answer, a linear champion and a weighted index; nearly every text occurs once.
The steps are those of ``mlstats produce``, called as plain functions; the share of the
platform is all but reading the file, the answers and the writing of the release. The
last line is the whole command with Prefect's server. Takes about three minutes.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["DO_NOT_TRACK"] = "true"

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd

from mlstats import coding_production, production, release_files
from tests.production_example import appoint, office

PERIOD = "2026-03"
NOT_OURS = (
    "read the file",
    "champion answers",
    "baseline answers",
    "write the release",
)


def enlarge(project: Path, records: int) -> None:
    """Make a file of that many records from the period's own lines."""
    path = project / f"data/products_{PERIOD}.csv"
    base = pd.read_csv(path, dtype=str, keep_default_na=False)
    rng = np.random.default_rng(1)
    frame = base.iloc[rng.integers(0, len(base), records)].reset_index(drop=True)
    row = np.arange(records)
    frame["line_id"] = [f"L{i:09d}" for i in row]
    frame["household_id"] = [f"H{i // 10:08d}" for i in row]
    frame["stratum"] = np.array(["north", "east", "south", "west"])[(row // 10) % 4]
    extra = pd.Series(rng.integers(0, 10 * records, records)).astype(str)
    frame["description"] = frame["description"] + " " + extra
    frame.to_csv(path, index=False)


def timed(times: dict[str, float], name: str, function: Callable[..., Any]) -> Any:
    def call(*given: Any, **more: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*given, **more)
        finally:
            told = name.format(*map(str, given)) if "{" in name else name
            times[told] = times.get(told, 0.0) + time.perf_counter() - began

    return call


def main(records: int) -> None:
    """Print the seconds of each step, the platform's share, and the memory."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        made = office(project)
        appoint(made.settings, made.linear, "production")
        enlarge(project, records)
        times: dict[str, float] = {}
        production.answer = timed(times, "{2} answers", production.answer)
        coding_production.read_source = timed(
            times, "read the file", coding_production.read_source
        )
        release_files.io = _Written(times)
        began = time.perf_counter()
        done = production.produce("diaries", PERIOD, made.settings)
        whole = time.perf_counter() - began
        ours = whole - sum(times.get(name, 0.0) for name in NOT_OURS)
        print(f"\n{records:,} records, {done.counts['queue']:,} for clerks\n")
        print("| step | seconds |\n|---|---:|")
        for name in NOT_OURS:
            print(f"| {name} | {times.get(name, 0.0):.1f} |")
        print(f"| the platform's own share | {ours:.1f} |\n| all | {whole:.1f} |")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"\npeak memory {peak:,.0f} MB, of a method's process {child:,.0f} MB")
        shutil.rmtree(made.settings.releases)
        _whole_command(project)


class _Written:
    """The writing functions of a release, timed."""

    def __init__(self, times: dict[str, float]) -> None:
        from mlstats import io

        for name in ("write_parquet", "write_xlsx", "write_text"):
            setattr(self, name, timed(times, "write the release", getattr(io, name)))


def _whole_command(project: Path) -> None:
    """Time the command in a process of its own."""
    words = ["-q", "produce", "diaries", "--period", PERIOD]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mlstats", *words],
        env={**os.environ, "MLSTATS_PROJECT": str(project)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    took = time.perf_counter() - began
    print(f"mlstats produce, with Prefect's server: {took:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

"""A million records with 12 fields from review to provenance, on two workers.

    python benchmarks/scale/editimpute.py [--quick] [--records 1000000] [--output DIR]

Synthetic businesses are generated: ten numbers under two balances and seven ratio
edits, one category that an edit ties to a number, and the industry, by which donors
are classed. A fifth have wrong values, 2 % of the values are missing. The file goes
through review, error localisation, nearest donor by class and adjustment.

Measured: seconds, records per second and the memory of all processes together (the
highest sum of their resident sets, sampled); the same with one worker, in turns, with
the median and range of the ratio; and `process` called on as many records in one
piece, read and written by pandas, beside `process_file` with one worker (the seam), in
seconds and in processor seconds, which say more on a busy machine. Both draw 20,000
donors from the records that pass, write the records and the provenance as texts in the
same compression; only `process_file` finds the same donors in any order of the
records, proves that labels are unlike, counts, and keeps finished blocks. Of the
records that pass and lack nothing `process` makes a table too, `process_file` does not.
The command fails if the files of one and two workers differ in a byte. Aims for a
million: at most 5 minutes and 4 GB on two workers, the seam at most 5 %.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import hashlib
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from mlstats.editimpute.donors import NearestDonor
from mlstats.editimpute.edits import EditSet, Variable
from mlstats.editimpute.processing import process
from mlstats.editimpute.status import PASS, review
from mlstats.editimpute.streaming import ProcessedFile, process_file

NUMBERS = [f"x{j}" for j in range(10)]
INDUSTRIES = [f"{letter}{digit}" for letter in "ABCD" for digit in range(5)]
EDITS = EditSet.from_texts(
    [
        "x1 + x2 + x3 + x4 == x0",
        "x5 + x6 + x7 == x8",
        "x8 <= 1.5 * x0 + 100",
        "x1 <= 0.9 * x0 + 50",
        "x2 <= 0.9 * x0 + 50",
        "x9 <= 0.5 * x0 + 20",
        "x0 <= 900 * x9 + 1000",
        "x5 <= 0.95 * x8 + 20",
        "x3 <= 3 * x4 + 500",
        'if size == "small" then x9 <= 50',
    ],
    {
        **{name: Variable(least=0) for name in NUMBERS},
        "size": Variable(values=["small", "large"]),
    },
)
IMPUTER = NearestDonor(
    ["x0", "x8"], by=["industry"], min_donors=5, min_percent=0, collapse=True
)
HOW = {"unit": "id", "by": ["industry"], "seed": 1}
GIGABYTE = 1e9


def generated(records: int, first: int, seed: int) -> pd.DataFrame:
    """Return records, of which a fifth have wrong values and some have holes."""
    rng = np.random.default_rng([seed, first])
    X = np.zeros((records, 10))
    X[:, 0] = np.rint(rng.lognormal(8, 1.2, records)) + 50
    X[:, 8] = np.rint(X[:, 0] * rng.uniform(0.5, 1.2, records))
    for total, below in ((0, [1, 2, 3, 4]), (8, [5, 6, 7])):
        share = rng.gamma(rng.uniform(3, 8, len(below)), size=(records, len(below)))
        parts = np.floor(X[:, [total]] * share / share.sum(axis=1, keepdims=True))
        parts[:, 0] += X[:, total] - parts.sum(axis=1)
        X[:, below] = parts
    X[:, 9] = np.rint(X[:, 0] * rng.uniform(0.005, 0.3, records))
    frame = pd.DataFrame(X, columns=NUMBERS)
    frame["size"] = np.where(frame["x9"] <= 50, "small", "large").astype(object)
    wrong = np.flatnonzero(rng.random(records) < 0.2)
    for _ in range(2):
        column = rng.integers(0, 10, len(wrong))
        factor = rng.choice([1000.0, 0.1, -1.0, 3.0], len(wrong))
        X[wrong, column] = np.rint(X[wrong, column] * factor)
        wrong = wrong[rng.random(len(wrong)) < 0.4]
    frame[NUMBERS] = X
    flipped = rng.random(records) < 0.01
    frame.loc[flipped, "size"] = "small"
    frame = frame.mask(rng.random(frame.shape) < 0.02)
    frame["industry"] = rng.choice(INDUSTRIES, records).astype(object)
    labels = [f"U{i:09d}" for i in range(first, first + records)]
    frame.insert(0, "id", pd.Series(labels, dtype=object))
    return frame


def written(path: Path, records: int, seed: int) -> None:
    """Write a file of generated records, a part at a time."""
    writer = None
    for first in range(0, records, 100_000):
        frame = generated(min(100_000, records - first), first, seed)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


@dataclass
class Run:
    """One run: seconds, the highest sum of resident sets, and its result."""

    seconds: float
    memory: float
    found: ProcessedFile


class Memory:
    """The highest sum of the resident sets of this process and its children."""

    def __init__(self) -> None:
        self.most = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._ended.wait(0.1):
            total = 0
            for one in [me, *me.children(recursive=True)]:
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
            self.most = max(self.most, total / GIGABYTE)


def run(source: Path, target: Path, workers: int) -> Run:
    """Treat the file once."""
    with Memory() as memory:
        start = time.perf_counter()
        found = process_file(source, target, EDITS, IMPUTER, workers=workers, **HOW)
        seconds = time.perf_counter() - start
    return Run(seconds, memory.most, found)


def digest(found: ProcessedFile) -> str:
    """Return a digest of both files."""
    told = hashlib.sha256()
    for path in (found.values, found.cells):
        told.update(path.read_bytes())
    return told.hexdigest()


@dataclass
class Times:
    """Seconds and processor seconds of calls of this process."""

    seconds: list[float]
    processor: list[float]

    def add(self, work: Callable[[], object]) -> None:
        """Time a call."""
        start, used = time.perf_counter(), time.process_time()
        work()
        self.seconds.append(time.perf_counter() - start)
        self.processor.append(time.process_time() - used)


def seam(folder: Path, records: int, runs: int) -> tuple[Times, Times]:
    """Return the times of `process_file` and of `process`, in turns, of one file."""
    source = folder / "part.parquet"
    written(source, records, seed=2)
    by_file, direct = Times([], []), Times([], [])
    for _ in range(runs):
        by_file.add(
            lambda: process_file(source, folder / "part", EDITS, IMPUTER, **HOW)
        )
        direct.add(lambda: in_one_piece(source, folder))
    return by_file, direct


def in_one_piece(source: Path, folder: Path) -> None:
    """Read the file, draw as many donors, call `process` once, write both tables."""
    frame = pd.read_parquet(source).astype({"size": object, "industry": object})
    frame.index = pd.Index(frame["id"].to_numpy(dtype=object))
    passes = frame[(review(frame, EDITS).by_record == PASS) & frame.notna().all(axis=1)]
    donors = passes.sample(min(20_000, len(passes)), random_state=1)
    found = process(frame, EDITS, IMPUTER, donors=donors, seed=1)
    found.values.to_parquet(folder / "values.parquet", index=False)
    found.cells.astype(str).to_parquet(folder / "cells.parquet", index=False)


def ratio_of(one: list[float], other: list[float]) -> str:
    """Return the median and range of ratios of runs side by side."""
    ratios = np.array(one) / np.array(other)
    told = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}"
    return f"{told}, {len(ratios)} run{'s' if len(ratios) > 1 else ''})"


def picture(path: Path, times: dict[str, list[float]], records: int) -> None:
    """Draw the records per second of all runs."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for at, (name, seconds) in enumerate(times.items()):
        rates = records / np.array(seconds)
        axes.bar(at, np.median(rates), color="0.8", width=0.6)
        axes.plot(np.full(len(rates), at), rates, "o", color="tab:blue")
        axes.text(at, np.median(rates) / 2, name, ha="center")
    axes.set_xticks([])
    axes.set_ylabel("records per second")
    axes.set_title(f"{records:,} records with 12 fields, a point per run")
    figure.savefig(path, dpi=120)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--records", type=int)
    arguments.add_argument("--runs", type=int, help="of one worker beside two")
    arguments.add_argument("--output", type=Path)
    chosen = arguments.parse_args()
    records = chosen.records or (20_000 if chosen.quick else 1_000_000)
    runs = chosen.runs or (1 if chosen.quick else 7)
    output = chosen.output or Path(tempfile.mkdtemp(prefix="editimpute-"))
    output.mkdir(parents=True, exist_ok=True)
    measured(Console(), records, runs, output)


def measured(console: Console, records: int, runs: int, output: Path) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "records.parquet"
        written(source, records, seed=1)
        first = run(source, folder / "two", workers=2)
        digests = {digest(first.found)}
        times: dict[str, list[float]] = {"one worker": [], "two workers": []}
        for number in range(runs):
            one = run(source, folder / f"one{number}", workers=1)
            two = first if not number else run(source, folder / "again", workers=2)
            digests |= {digest(one.found), digest(two.found)}
            times["one worker"].append(one.seconds)
            times["two workers"].append(two.seconds)
        by_file, direct = seam(folder, records, runs)
    found, over = first.found, "process_file over process"
    table = Table("measure", "value", title="From review to provenance, two workers")
    done = found.counts.groupby("status")["cells"].sum()
    for name, value in (
        ("records, fields", f"{found.records:,}, 12"),
        ("failing or missing before", f"{_not_passing(found):,}"),
        ("cells imputed, not imputed", _pair(done)),
        ("edits failing after, records", f"{int(found.edits['records'].sum()):,}"),
        ("seconds (aim for a million: 300)", f"{first.seconds:.0f}"),
        ("records per second", f"{found.records / first.seconds:,.0f}"),
        ("memory of all processes, GB (aim: 4)", f"{first.memory:.2f}"),
        ("one worker over two, seconds", ratio_of(*times.values())),
        ("process in one piece, records/s", _rates(records, direct.seconds)),
        ("process_file, one worker, records/s", _rates(records, by_file.seconds)),
        (f"{over}, seconds", ratio_of(by_file.seconds, direct.seconds)),
        (f"{over}, processor", ratio_of(by_file.processor, direct.processor)),
        ("bytes of one and two workers", "the same" if len(digests) == 1 else "DIFFER"),
    ):
        table.add_row(name, value)
    console.print(table)
    picture(output / "editimpute.png", times, records)
    console.print(f"Plot: {output / 'editimpute.png'}", soft_wrap=True)
    if len(digests) > 1:
        raise SystemExit("One and two workers wrote other bytes")


def _not_passing(found: ProcessedFile) -> int:
    status = found.review.set_index("status")["records"]
    return int(status.sum() - status.get("pass", 0))


def _pair(done: pd.Series) -> str:
    return f"{done.get('imputed', 0):,}, {done.get('not_imputed', 0):,}"


def _rates(records: int, seconds: list[float]) -> str:
    return f"{records / np.median(seconds):,.0f}"


if __name__ == "__main__":
    main()

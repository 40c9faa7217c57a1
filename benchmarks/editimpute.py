"""Failing records per second of the exact error localisation, on one core.

    python benchmarks/editimpute.py [--failing 2000 --million]

Records with hierarchical totals and ratio edits are generated, a fifth of them with
one to three wrong values (a factor of 1000 or 10, a sign, another size). Compared are
the shared search and a plain mixed-integer program per record (HiGHS), on fewer
records. The command fails if the least numbers of values to change differ. With
``--million``, a million records of 12 fields show how the time grows. Seconds are those
of the processor, so that other work on the machine counts less.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import time

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from mlstats.editimpute.block_search import Limits
from mlstats.editimpute.edits import EditSet, Variable
from mlstats.editimpute.localisation import localise
from mlstats.editimpute.status import review

# fields, balance edits, ratio edits
SIZES = [(6, 1, 5), (12, 2, 7), (17, 3, 9), (26, 5, 10), (37, 7, 11)]
TARGET = {6: 10_000, 12: 10_000, 17: 5_000, 26: 2_000, 37: 200}


def generated(
    fields: int, balances: int, ratios: int, records: int, seed: int
) -> tuple[EditSet, pd.DataFrame]:
    """Return edits and records, of which about a fifth have wrong values."""
    rng = np.random.default_rng(seed)
    children = [len(part) for part in np.array_split(np.arange(1, fields), balances)]
    names = [f"x{j:02d}" for j in range(fields)]
    X = np.zeros((records, fields))
    texts, first = [], 1
    trees = []
    for parent, count in enumerate(children):
        trees.append((parent, list(range(first, first + count))))
        parts = " + ".join(names[first : first + count])
        texts.append(f"{parts} == {names[parent]}")
        first += count
    X[:, 0] = np.rint(rng.lognormal(9, 1.2, records)) + 50
    for parent, below in trees:
        share = rng.gamma(rng.uniform(3, 8, len(below)), size=(records, len(below)))
        share /= share.sum(axis=1, keepdims=True)
        parts = np.floor(X[:, [parent]] * share)
        parts[:, 0] += X[:, parent] - parts.sum(axis=1)
        X[:, below] = parts
    for i in range(ratios):
        a, b = rng.choice(fields, 2, replace=False)
        ratio = X[:, a] / np.maximum(X[:, b], 1)
        most = np.quantile(ratio, 0.999) * 1.1
        texts.append(f"{names[a]} <= {most:.2f} * {names[b]} + {10 + i}")
    edits = EditSet.from_texts(texts, {name: Variable(least=0) for name in names})
    clean = review(pd.DataFrame(X, columns=names), edits).by_record == 0
    X = X[clean]
    for i in np.flatnonzero(rng.random(len(X)) < 0.2):
        for j in rng.choice(fields, rng.integers(1, 4), replace=False):
            X[i, j] = wrong(X[i, j], rng)
    return edits, pd.DataFrame(X, columns=names)


def wrong(value: float, rng: np.random.Generator) -> float:
    """Return a wrong value instead of a right one."""
    kind = rng.integers(4)
    if kind == 0:
        return value * 1000
    if kind == 1:
        return np.rint(value / 10)
    if kind == 2:
        return -value - 1
    return float(np.rint(value * rng.uniform(0.3, 3)) + 1)


def failing(
    fields: int, balances: int, ratios: int, count: int, seed: int
) -> tuple[EditSet, pd.DataFrame]:
    """Return edits and so many failing records."""
    edits, frame = generated(fields, balances, ratios, count * 7, seed)
    fails = frame[review(frame, edits).by_record == 2]
    return edits, fails.iloc[:count].reset_index(drop=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--failing", type=int, default=2_000)
    arguments.add_argument("--peer", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--million", action="store_true")
    chosen = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    table = Table(title=f"{chosen.failing:,} failing records, one core, processor time")
    for name in ("fields", "edits", "seconds", "failing/s", "target", "program/s"):
        table.add_column(name, justify="right")
    table.add_column("changed values: mean, most")
    console = Console()
    for size in SIZES:
        edits, frame = failing(*size, chosen.failing, chosen.seed)
        localise(frame.iloc[:5], edits)  # imports
        start = time.process_time()
        found = localise(frame, edits)
        seconds = time.process_time() - start
        few = frame.iloc[: chosen.peer]
        start = time.process_time()
        peer = localise(few, edits, limits=Limits(most_rounds=0))
        peer_seconds = time.process_time() - start
        if not np.array_equal(peer.weight, found.weight.iloc[: chosen.peer]):
            raise SystemExit(f"The weights differ with {size[0]} fields")
        weight = found.weight
        table.add_row(
            str(size[0]),
            str(size[1] + size[2]),
            f"{seconds:.2f}",
            f"{len(frame) / seconds:,.0f}",
            f"{TARGET[size[0]]:,}",
            f"{len(few) / peer_seconds:,.0f}",
            f"{weight.mean():.2f}, {weight.max():.0f}"
            f" ({int(found.by_program.sum())} by the program)",
        )
    console.print(table)
    if chosen.million:
        growth(console, chosen.seed)


def growth(console: Console, seed: int) -> None:
    """Print the time of more and more records."""
    edits, frame = generated(*SIZES[1], 1_000_000, seed)
    table = Table(title="12 fields, a fifth of the records with errors")
    for name in ("records", "to mend", "seconds", "microseconds per record"):
        table.add_column(name, justify="right")
    for count in (1_000, 10_000, 100_000, len(frame)):
        part = frame.iloc[:count]
        start = time.process_time()
        found = localise(part, edits)
        seconds = time.process_time() - start
        mended = int((found.status != "pass").sum())
        per_record = f"{1e6 * seconds / len(part):.1f}"
        table.add_row(f"{len(part):,}", f"{mended:,}", f"{seconds:.2f}", per_record)
    console.print(table)


if __name__ == "__main__":
    main()

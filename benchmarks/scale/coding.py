"""Coding tables of any size: seconds, memory, workers, and what the seam costs.

    python benchmarks/scale/coding.py [--quick] [--output FOLDER]

Synthetic descriptions (words of the demonstration with numbers behind them, nearly all
of them different) lie in Parquet parts of a temporary folder and are coded from file to
file by :func:`mlstats.batch_coding.code_parts`. Shown are

- rows, seconds and memory (the largest sum of all processes, sampled) of the linear
  champion alone and with the baseline beside it, from 100 thousand rows to 10 million,
  with the exponent of the growth;
- two workers against one on the largest table, the median of seven alternating runs;
- what it saves that a worker remembers its answers, on a million rows of 100 thousand
  texts that return in every part, the median of seven alternating runs;
- the seam: `map_blocks` of one worker against the peer, the method's ``predict_top``
  called directly on the same million rows in memory, the median of seven alternating
  runs.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table

from mlstats import model_store
from mlstats.batch_coding import CodeRows, code_parts
from mlstats.coding import LinearText, WeightedIndex
from mlstats.coding.arm import method_frame, read_classification
from mlstats.coding_models import CodingModels
from mlstats.coding_production import Codes, Question
from mlstats.coding_release import Limits
from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.demo import make_products
from mlstats.method import predict_top
from mlstats.partitions import PartitionedTable
from mlstats.period_parts import PartReader
from mlstats.pilot_files import load_pilot
from mlstats.scale import Scale, map_blocks
from mlstats.settings import Settings, load_settings

PART = 250_000
CANDIDATES = 5
RUNS = 7
PILOT = """
pilot: lines
theme: coding
owner: {author: benchmark}
data:
  source: data/products_2026-01.csv
  synthetic: true
  roles: {unit_id: line_id, text: [description], target: coicop_clerk}
  classification: {file: classifications/coicop2018_demo.csv, parent: parent}
methods:
  index: {kind: traditional, use: mlstats.coding.WeightedIndex}
  linear: {kind: ml, use: mlstats.coding.LinearText}
baseline: index
candidate: linear
evaluate: {truth: coicop_clerk, split: {by: random}, seed: 7}
"""


class Memory:
    """The largest sum of what this process and all below it hold, in GB."""

    def __init__(self) -> None:
        self.most = 0.0
        self._ended = threading.Event()

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(0.1):
            held = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    held += process.memory_info().rss
                except psutil.Error:
                    continue
            self.most = max(self.most, held / 1e9)


def project(folder: Path) -> tuple[Settings, Pilot, pd.DataFrame]:
    """Make a project with demonstration data; return its training rows too."""
    make_products(
        folder / "data", periods=("2026-01", "2026-02"), households_per_period=400
    )
    (folder / "configs/pilots").mkdir(parents=True)
    (folder / "configs/pilots/lines.yaml").write_text(PILOT, encoding="utf-8")
    settings = load_settings(project=folder)
    settings.prepare()
    files = sorted((folder / "data").glob("products_*.csv"))
    rows = pd.concat([pd.read_csv(file, dtype=str) for file in files])
    return settings, load_pilot("lines", project=folder), rows.reset_index(drop=True)


def work_of(
    settings: Settings, pilot: Pilot, rows: pd.DataFrame, roles: tuple[str, ...]
) -> CodeRows:
    """Fit, store and pack the methods of the roles."""
    X = method_frame(rows, pilot.data.roles)
    made = {"champion": LinearText(random_state=1), "baseline": WeightedIndex()}
    models = {}
    for role in roles:
        method = made[role].fit(X, rows["coicop_clerk"])
        digest = model_store.store(method, list(X.columns), settings.confidential)
        models[role] = model_store.packed(digest, settings.confidential, ())
    table = pd.DataFrame(
        [("full", "", 0.6, "linear")], columns=["level", "group", "threshold", "method"]
    )
    limits = {role: Limits("linear", table) for role in roles}
    spec = pilot.data.classification
    assert spec is not None
    return CodeRows(
        PartReader(pilot, "", ("line_id", "description")),
        CodingModels(pilot, models, limits, None, 3600.0),
        read_classification(spec, finder(settings)),
        "line_id",
    )


def descriptions(
    folder: Path, texts: pd.Series, rows: int, seed: int, behind: int = 10_000_000
) -> None:
    """Write rows of synthetic descriptions as parts; `behind` numbers tell them apart.

    Few numbers make texts that return in every part, as products do in scanner data.
    """
    folder.mkdir()
    rng = np.random.default_rng(seed)
    words = texts.to_numpy(dtype=object)
    for number, start in enumerate(range(0, rows, PART)):
        n = min(PART, rows - start)
        told = rng.integers(0, behind, n)
        # A number stands behind the same words wherever it returns.
        drawn = words[told % len(words)]
        frame = pd.DataFrame(
            {
                "line_id": np.arange(start, start + n).astype(str).astype(object),
                "description": drawn + " " + told.astype(str).astype(object),
            }
        )
        frame.to_parquet(folder / f"part-{number:05d}.parquet", index=False)


def coded(work: CodeRows, source: Path, workers: int) -> tuple[float, float]:
    """Code a table from file to file; return seconds and GB."""
    table = PartitionedTable.open(source)
    target = source.with_name("coded")
    shutil.rmtree(target, ignore_errors=True)
    with Memory() as memory:
        began = time.perf_counter()
        code_parts(work, table, target, {"n": workers}, Scale(workers=workers))
        took = time.perf_counter() - began
    shutil.rmtree(target)
    return took, memory.most


def growth(
    work: CodeRows, both: CodeRows, folder: Path, texts: pd.Series, sizes: list[int]
) -> list[tuple[int, str, float, float]]:
    """Time tables of several sizes on two workers."""
    found = []
    for size in sizes:
        source = folder / f"rows_{size}"
        descriptions(source, texts, size, seed=size)
        found.append((size, "champion", *coded(work, source, 2)))
        if size == sizes[-1]:
            found.append((size, "champion and baseline", *coded(both, source, 2)))
            shutil.rmtree(source)
    return found


def alternating(runs: int, *calls: Callable[[], float]) -> list[list[float]]:
    """Return the seconds of each call, one after the other, so many times."""
    found: list[list[float]] = [[] for _ in calls]
    for run in range(runs):
        order = range(len(calls)) if run % 2 == 0 else reversed(range(len(calls)))
        for k in order:
            found[k].append(calls[k]())
    return found


def seam(work: CodeRows, rows: pd.DataFrame, runs: int) -> tuple[float, float]:
    """Return seconds of the method called directly, and of the same through the map."""
    packed = work.models.models["champion"]
    assert isinstance(packed, model_store.PackedModel)
    method = packed.unpacked().method
    predict_top(method, rows.iloc[:1000], CANDIDATES)  # calibrated once

    def direct() -> float:
        began = time.perf_counter()
        predict_top(method, rows, CANDIDATES)
        return time.perf_counter() - began

    def mapped() -> float:
        began = time.perf_counter()
        blocks = (rows.iloc[k : k + PART] for k in range(0, len(rows), PART))
        for _ in map_blocks(_Predict(method), blocks, workers=Scale()):
            pass
        return time.perf_counter() - began

    one, two = alternating(runs, direct, mapped)
    return statistics.median(one), statistics.median(two)


class _Predict:
    def __init__(self, method: object) -> None:
        self.method = method

    def __call__(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return predict_top(self.method, rows, CANDIDATES)


def draw(found: list[tuple[int, str, float, float]], path: Path) -> None:
    """Draw seconds over rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for who in dict.fromkeys(who for _, who, *_ in found):
        points = [(n, seconds) for n, name, seconds, _ in found if name == who]
        axes.loglog(*zip(*points, strict=True), "o-", label=who)
    axes.set(xlabel="rows", ylabel="seconds, two workers", title="Coding by parts")
    axes.legend()
    figure.savefig(path)


def main() -> None:
    """Print the tables and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes")
    parser.add_argument("--output", type=Path, help="folder of the plot")
    asked = parser.parse_args()
    sizes = [10_000, 50_000] if asked.quick else [100_000, 1_000_000, 10_000_000]
    runs, million = (3, 50_000) if asked.quick else (RUNS, 1_000_000)
    output = asked.output or Path(tempfile.mkdtemp(prefix="mlstats-scale-"))
    output.mkdir(parents=True, exist_ok=True)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="mlstats-coding-") as name:
        folder = Path(name)
        settings, pilot, training = project(folder)
        work = work_of(settings, pilot, training, ("champion",))
        # CodeRows wants a baseline beside whoever leads.
        alone = replace(work, models=_as_baseline(work.models))
        both = work_of(settings, pilot, training, ("champion", "baseline"))
        texts = training["description"].dropna()
        found = growth(alone, both, folder, texts, sizes)
        _print_growth(console, found)
        source = folder / "workers"
        descriptions(source, texts, sizes[-1], seed=1)
        one, two = alternating(
            runs, lambda: coded(alone, source, 1)[0], lambda: coded(alone, source, 2)[0]
        )
        told = alone.models
        forgetful = replace(
            alone,
            models=Forgetful(
                told.pilot, told.models, told.limits, told.uncodable, told.budget
            ),
        )
        returning = folder / "returning"
        descriptions(returning, texts, million, seed=2, behind=100_000)
        again, kept = alternating(
            runs,
            lambda: coded(forgetful, returning, 1)[0],
            lambda: coded(alone, returning, 1)[0],
        )
        some = pd.read_parquet(source, columns=["description"]).head(million)
        rows = method_frame(some, pilot.data.roles)
        direct, mapped = seam(work, rows, runs)
    a, b = statistics.median(one), statistics.median(two)
    told = f"{sizes[-1]:,} rows, one worker {a:.1f} s, two {b:.1f} s"
    console.print(f"{told}: {a / b:.2f}")
    a, b = statistics.median(again), statistics.median(kept)
    told = f"{million:,} rows of 100,000 texts, asked in every part {a:.1f} s, once"
    console.print(f"{told} {b:.1f} s: {b / a - 1:+.1%}")
    console.print(
        f"{million:,} rows in memory, predict_top directly {direct:.2f} s, through "
        f"map_blocks {mapped:.2f} s: {mapped / direct - 1:+.1%}"
    )
    draw(found, output / "coding.png")
    console.print(f"plot: {output / 'coding.png'}")


class Forgetful(CodingModels):
    """Remembers nothing of a part before."""

    def answers(
        self, frame: pd.DataFrame
    ) -> tuple[Question, dict[str, Codes], dict[str, float]]:
        """Ask for all texts of a part."""
        self._memories.clear()
        return super().answers(frame)


def _as_baseline(told: CodingModels) -> CodingModels:
    models = {"baseline": told.models["champion"]}
    limits = {"baseline": told.limits["champion"]}
    return replace(told, models=models, limits=limits)


def _print_growth(console: Console, found: list[tuple[int, str, float, float]]) -> None:
    table = Table("rows", "who", "seconds", "rows/s", "GB in all", box=None)
    for n, who, seconds, gb in found:
        table.add_row(
            f"{n:,}", who, f"{seconds:.1f}", f"{n / seconds:,.0f}", f"{gb:.2f}"
        )
    console.print(table)
    points = [(n, seconds) for n, who, seconds, _ in found if who == "champion"]
    logs = np.log(np.array(points))
    exponent = np.polyfit(logs[:, 0], logs[:, 1], 1)[0]
    console.print(f"exponent of the growth: {exponent:.3f}")


if __name__ == "__main__":
    main()

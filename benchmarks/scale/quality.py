"""Scorecard and drift of a file in parts: time, memory and error of the quantiles.

    python benchmarks/scale/quality.py [--rows 20000000 --workers 2 | --quick]

Rows of twenty columns (ten numbers, three codes, weight, cluster, stratum, place, truth
and the codes of two methods) are written as Parquet parts of 250,000 rows into a
temporary folder; the first half is the reference, the second the period. Each part is
read once for the bins (reference only), once for counts and sums and once for the
influences of the units on kappa and on differences of groups; the scorecard is that of
all rows, with calibration, two domains, the published shares by them and the measures
of the classes. Memory is the sum of the largest resident
sizes of this process and of all workers.

Beside it stands the computation on whole tables, of the first million rows, in a
process of its own: its figures must be those of the same rows in parts. Ranks of
quantiles are then held to the exact ones of every column of numbers of the reference.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from mlstats.coding.classification import Classification
from mlstats.quality.arm_means import Arms
from mlstats.quality.class_measures import ClassMeasures
from mlstats.quality.comparison import class_table, hybrid_accuracy
from mlstats.quality.comparison import compared as compared_methods
from mlstats.quality.dimension_influences import DimensionInfluences
from mlstats.quality.dimension_parts import (
    comparison_rows_of_sums,
    dimension_rows_of_sums,
)
from mlstats.quality.dimension_sums import DimensionSums
from mlstats.quality.dimensions import REFITS, dimension_rows
from mlstats.quality.drift import DriftResult, Reference, Summary, drift
from mlstats.quality.drift_learning import Learning
from mlstats.quality.estimate_level import ShareArms, share_indicators, share_table
from mlstats.quality.evaluation import ESTIMATES, TIMINGS, UNITS, Evaluation
from mlstats.quality.judged import Judged
from mlstats.quality.ratio_estimates import Sampled
from mlstats.quality.routing import Routing, Step
from mlstats.quality.score_parts import scorecard_of_sums
from mlstats.quality.score_sums import ScoreSums
from mlstats.quality.scorecard import Plan, as_scorecard, score
from mlstats.quality.share_sums import ShareSums
from mlstats.quality.whole_clusters import WholeClusters
from mlstats.scale import isolated, map_blocks

PART = 250_000
PEER = 1_000_000
NUMBERS = [f"x{k}" for k in range(9)] + ["confidence"]
CODES = ["shop", "region", "product"]
WATCHED = [*NUMBERS, *CODES, "ml"]
METHODS = {"trad": "traditional", "ml": "ml"}
ITEMS = np.array([f"{a:02d}.{b}" for a in range(1, 26) for b in range(1, 9)])
ITEMS_OF = Classification.from_frame(
    pd.DataFrame({"code": ITEMS}), title=None, parent=None, separator="."
)
PLAN = Plan(
    kinds=METHODS,
    baseline="trad",
    level="2",
    levels=("1", "2"),
    routing=Routing((Step("full", 0.95),)),
    bootstrap=20,
)


@dataclass(frozen=True)
class Part:
    """A file and its place among the rows."""

    path: str
    first: int
    rows: int
    moved: bool  # of the second period, in which x0 is larger and a shop more frequent


@dataclass(frozen=True)
class Sums:
    """What comes back of a part."""

    drift: Summary
    score: ScoreSums
    dimensions: DimensionSums
    shares: ShareSums
    classes: ClassMeasures
    clusters: WholeClusters
    pid: int
    peak: float


def peak_mb() -> float:
    """Return the largest resident size of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # what rusage tells may be that of the parent before exec
        lines = status.read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(part: Part) -> None:
    """Write made-up rows."""
    rng = np.random.default_rng(part.first)
    n, place = part.rows, np.arange(part.first, part.first + part.rows)
    frame = pd.DataFrame({name: rng.normal(size=n) for name in NUMBERS[:4]})
    frame["x0"] += 0.02 * part.moved
    frame["x4"] = rng.lognormal(7, 1.5, n)
    frame["x5"] = np.where(rng.uniform(size=n) < 0.4, 0.0, rng.lognormal(3, 1, n))
    frame["x6"] = rng.poisson(2.3, n).astype(float)
    frame["x7"] = place + rng.uniform(size=n)  # rising through the file
    frame["x8"] = rng.standard_cauchy(n)
    frame["shop"] = np.char.add("s", (rng.integers(0, 8, n)).astype(str))
    if part.moved:
        frame.loc[rng.uniform(size=n) < 0.02, "shop"] = "s0"
    frame["region"] = np.char.add("r", rng.integers(0, 20, n).astype(str))
    frame["product"] = np.char.add("p", rng.integers(0, 500, n).astype(str))
    cluster = place // 5
    frame["cluster"], frame["stratum"] = cluster, cluster % 40
    frame["weight"] = rng.gamma(2.0, 1.0, n)
    frame["position"] = place
    odds = 1 / np.arange(1, len(ITEMS) + 1)
    truth = rng.choice(len(ITEMS), n, p=odds / odds.sum())
    ease = rng.uniform(size=n)
    frame["truth"] = ITEMS[truth]
    for name, level in (("trad", 0.82), ("ml", 0.87)):
        wrong = rng.integers(0, len(ITEMS), n)
        frame[name] = ITEMS[np.where(ease < level, truth, wrong)]
    frame["confidence"] = np.clip(1.15 - ease + rng.normal(0, 0.05, n), 0, 1)
    frame.to_parquet(part.path, index=False)


def units_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per unit and method, as an Evaluation holds them."""
    sure = frame["confidence"].to_numpy()
    shared = {
        "run_id": "r",
        "period": "2026",
        "fold": "test",
        "replicate": 0,
        "unit": frame["position"],
        "position": frame["position"],
        "stratum": frame["stratum"].astype("str"),
        "cluster": frame["cluster"],
        "variable": "code",
        "truth": frame["truth"],
        "truth_source": "gold",
        "weight": frame["weight"],
        "fraction": 0.0,
        "status": "coded",
        "seen": frame["position"] % 3 == 0,
        "candidates": None,
        "scores": None,
        "domain_region": frame["region"],
        "domain_shop": frame["shop"],
    }
    arms = []
    for name in METHODS:
        told = name == "ml"
        automatic = (sure > 0.5) if told else np.zeros(len(sure), dtype=bool)
        arms.append(
            pd.DataFrame(
                shared
                | {
                    "method": name,
                    "prediction": frame[name],
                    "confidence": sure if told else np.nan,
                    "route": np.where(automatic, "automatic", "queue"),
                    "depth": np.where(automatic, "full", ""),
                    "routed": np.where(automatic, frame[name], None),
                }
            )
        )
    units = pd.concat(arms, ignore_index=True)
    units["candidates"] = np.empty((len(units), 0)).tolist()
    return units[[*UNITS, "domain_region", "domain_shop"]]


def read(part: Part, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a part without the memory map that counts as resident."""
    return pq.read_table(part.path, columns=columns, memory_map=False).to_pandas()


def learn(part: Part) -> tuple[Learning, int, float]:
    """Take the quantiles of a part."""
    learnt = Learning.of(read(part, WATCHED))
    return learnt, os.getpid(), peak_mb()


def add_up(part: Part, reference: Reference) -> Sums:
    """Take the counts and sums of a part."""
    frame = read(part)
    counted = Summary.of(frame, reference, weight="weight", cluster="cluster")
    units = units_of(frame)
    score_sums = ScoreSums.of(units, ITEMS_OF.ancestor, PLAN)
    beyond = DimensionSums.of(units, ITEMS_OF.ancestor, PLAN)
    published = ShareSums.of(units, ITEMS_OF.ancestor, PLAN, PLAN.levels[0])
    arms = Arms.of(units, ITEMS_OF.ancestor, PLAN)
    return Sums(
        counted,
        score_sums,
        beyond,
        published,
        ClassMeasures.of(arms, "ml", PLAN.baseline),
        WholeClusters.of(frame["cluster"]),
        os.getpid(),
        peak_mb(),
    )


def add_influences(
    part: Part, first: DimensionSums
) -> tuple[DimensionInfluences, int, float]:
    """Take the influences of the units of a part."""
    units = units_of(read(part))
    found = DimensionInfluences.of(units, ITEMS_OF.ancestor, PLAN, first)
    return found, os.getpid(), peak_mb()


@dataclass
class Told:
    """What a run found and took."""

    card: pd.DataFrame
    shares: pd.DataFrame
    classes: pd.DataFrame
    verdicts: DriftResult
    learnt: Learning | None
    seconds: dict[str, float]
    peak: float
    caution: str = ""


def by_parts(parts: list[Part], workers: int) -> Told:
    """Learn, count and judge, one part in each worker at a time."""
    begun, peaks = time.perf_counter(), {}
    learnt: Learning | None = None
    for one, pid, peak in map_blocks(
        learn, [part for part in parts if not part.moved], workers=workers
    ):
        learnt = one if learnt is None else learnt.merge(one)
        peaks[pid] = max(peak, peaks.get(pid, 0))
    assert learnt is not None
    of_learning = sum(peaks.values()) if workers > 1 else 0.0
    seconds = {"bins": time.perf_counter() - begun}
    reference, begun, peaks = learnt.reference(), time.perf_counter(), {}
    counts: dict[bool, Summary] = {}
    total: Sums | None = None
    blocks = map_blocks(partial(add_up, reference=reference), parts, workers=workers)
    for part, one in zip(parts, blocks, strict=True):
        known = counts.get(part.moved)
        counts[part.moved] = one.drift if known is None else known.merge(one.drift)
        peaks[one.pid] = max(one.peak, peaks.get(one.pid, 0))
        if total is not None:
            one = Sums(
                one.drift,
                total.score.merge(one.score),
                total.dimensions.merge(one.dimensions),
                total.shares.merge(one.shares),
                total.classes.merge(one.classes),
                total.clusters.merge(one.clusters),
                one.pid,
                one.peak,
            )
        total = one
    assert total is not None
    seconds["counts and sums"] = time.perf_counter() - begun
    begun, second = time.perf_counter(), None
    of_sums = sum(peaks.values()) if workers > 1 else 0.0
    peaks = {}
    again = partial(add_influences, first=total.dimensions)
    for found, pid, peak in map_blocks(again, parts, workers=workers):
        second = found if second is None else second.merge(found)
        peaks[pid] = max(peak, peaks.get(pid, 0))
    assert second is not None
    seconds["influences"] = time.perf_counter() - begun
    begun = time.perf_counter()
    beyond = dimension_rows_of_sums(total.dimensions, second, PLAN)
    beyond += comparison_rows_of_sums(total.dimensions, second, PLAN, margin=0.0)
    sampled = Sampled(total.dimensions.fractions, PLAN.single)
    beyond += total.shares.indicators(sampled)
    card = [scorecard_of_sums(total.score, PLAN), as_scorecard(beyond, PLAN)]
    verdicts = drift(counts[True], {"training": counts[False]})
    seconds["verdicts"] = time.perf_counter() - begun
    last = sum(peaks.values()) if workers > 1 else 0.0
    of_workers = max(of_learning, of_sums, last)
    return Told(
        pd.concat(card, ignore_index=True),
        total.shares.table(sampled),
        total.classes.table(sampled),
        verdicts,
        learnt,
        seconds,
        peak_mb() + of_workers,
        total.clusters.require(),
    )


def whole(parts: list[Part], edges: dict[str, Any]) -> Told:
    """Do the same with whole tables, counted into the same bins."""
    begun = time.perf_counter()
    frame = pd.concat([read(part) for part in parts], ignore_index=True)
    moved = np.repeat([part.moved for part in parts], [part.rows for part in parts])
    counts = [
        Summary.of(rows, Reference(**edges), weight="weight", cluster="cluster")
        for rows in (frame[~moved], frame[moved])
    ]
    verdicts = drift(counts[1], {"training": counts[0]})
    nothing = [pd.DataFrame(columns=list(names)) for names in (ESTIMATES, TIMINGS)]
    units = units_of(frame)
    beyond = dimension_rows(
        units,
        ITEMS_OF.ancestor,
        PLAN.level,
        dict.fromkeys(METHODS),
        baseline=PLAN.baseline,
        provenance={},
        seed=PLAN.seed,
    )
    facts = {"method_class", "environment_completeness", *(name for _, name in REFITS)}
    beyond = [row for row in beyond if row["indicator"] not in facts]
    ml, trad = (
        Judged.of(units, name, ITEMS_OF.ancestor, PLAN.level) for name in ("ml", "trad")
    )
    beside = [one.row(method="ml") for one in compared_methods(ml, trad, margin=0.0)]
    beyond += [
        row | {"method": "ml", "level": PLAN.level}
        for row in [hybrid_accuracy(ml, trad, "trad"), *beside]
    ]
    published = ShareArms.of(
        units, ITEMS_OF.ancestor, PLAN.levels[0], METHODS, baseline=PLAN.baseline
    )
    ratios = [*share_indicators(published)]
    beyond += [row for row in ratios if "bias_ratio" in row["indicator"]]
    shares, classes = share_table(published), class_table(ml, trad)
    first = score(Evaluation(units, *nothing), ITEMS_OF.ancestor, PLAN)
    card = pd.concat([first, as_scorecard(beyond, PLAN)], ignore_index=True)
    seconds = {"all": time.perf_counter() - begun}
    return Told(card, shares, classes, verdicts, None, seconds, peak_mb())


def compared(one: Told, two: Told) -> dict[str, float]:
    """Return the largest relative difference of figures that must be the same."""
    kept = ~one.card["indicator"].isin(["macro_f1", "automation_oracle"])
    columns = ["value", "se", "df", "lower", "upper", "difference", "difference_se"]
    tables = [told.card.loc[kept, columns].to_numpy(dtype=float) for told in (one, two)]
    f1 = [told.card.loc[~kept, "value"].dropna() for told in (one, two)]
    shared = f1[0].index.intersection(f1[1].index)
    tests = ["statistic", "p", "p_adjusted", "effect", "effect_lower", "effect_upper"]
    judged = [told.verdicts.verdicts[tests].to_numpy(float) for told in (one, two)]
    states = [told.verdicts.verdicts["state"].tolist() for told in (one, two)]
    assert states[0] == states[1]
    figures = ["value", "se", "lower", "upper", "difference", "difference_lower"]
    more = {
        name: apart(
            *(getattr(told, name)[figures].to_numpy(dtype=float) for told in (one, two))
        )
        for name in ("shares", "classes")
    }
    return more | {
        "scorecard": apart(*tables),
        "macro-F1": apart(f1[0][shared].to_numpy(), f1[1][shared].to_numpy()),
        "drift": apart(*judged),
    }


def apart(one: np.ndarray, two: np.ndarray) -> float:
    assert (np.isnan(one) == np.isnan(two)).all()
    gap = np.abs(one - two) / np.maximum(np.maximum(np.abs(one), np.abs(two)), 1e-12)
    return float(np.nanmax(gap))


def rank_errors(parts: list[Part], learnt: Learning) -> pd.DataFrame:
    """Hold the quantiles to the exact ranks of each column."""
    shares = np.linspace(0, 1, 2001)
    rows = []
    for name in NUMBERS:
        columns = [read(part, [name])[name].to_numpy() for part in parts]
        ordered = np.sort(np.concatenate(columns))
        sketch, n = learnt.columns[name], len(ordered)
        assert sketch is not None
        told = sketch.quantile(shares)
        wanted = np.clip(np.ceil(shares * n), 1, n)
        first = np.searchsorted(ordered, told, side="left") + 1
        last = np.searchsorted(ordered, told, side="right")
        worst = np.maximum(np.maximum(first - wanted, wanted - last), 0).max() / n
        rows.append((name, float(worst), sketch.rank_error))
    return pd.DataFrame(rows, columns=["column", "measured", "bound"])


def plot(errors: pd.DataFrame, peaks: dict[str, float], path: Path) -> None:
    """Draw the rank errors beside their bounds, and the memory."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5))
    left.bar(errors["column"], errors["measured"], label="measured")
    left.plot(errors["column"], errors["bound"], "k_", label="bound")
    left.set_ylabel("rank error, share of the rows")
    left.tick_params(axis="x", rotation=60)
    left.legend()
    right.barh(list(peaks), list(peaks.values()))
    right.axvline(2048, color="grey", linestyle=":")
    right.set_xlabel("peak of all processes, MB (dotted: 2 GB)")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="1,000,000 rows")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    rows = PEER if asked.quick else max(asked.rows, PEER)
    output = asked.output or Path(tempfile.mkdtemp(prefix="quality_"))
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        told = run(rows, asked.workers, Path(folder), output)
    return 0 if told else 1


def run(rows: int, workers: int, folder: Path, output: Path) -> bool:
    """Measure and print; return whether what is promised was kept."""
    half = rows // 2 // PART * PART
    parts = [
        Part(str(folder / f"part-{k:04d}.parquet"), a, PART, a >= half)
        for k, a in enumerate(range(0, 2 * half, PART))
    ]
    for _ in map_blocks(write, parts, workers=workers):
        pass
    size = sum(Path(part.path).stat().st_size for part in parts) / 1e9
    found = by_parts(parts, workers)
    # The peer: as many rows of each period as make a million.
    count = PEER // PART // 2
    few = [*parts[:count], *[part for part in parts if part.moved][:count]]
    same = by_parts(few, workers)
    assert same.learnt is not None
    bins = same.learnt.reference()
    edges = {
        "edges": bins.edges,
        "marks": bins.marks,
        "codes": bins.codes,
        "max_codes": bins.max_codes,
    }
    peer = isolated(whole, few, edges, seconds=3600.0)
    gaps = compared(same, peer)
    errors = rank_errors([part for part in parts if not part.moved], found.learnt)
    console = Console()
    console.print(
        f"{2 * half:,} rows x 20 columns in {len(parts)} parts, {size:.1f} GB"
    )
    table = Table("", "rows", "seconds", "peak MB, all processes")
    for name, n, told in (
        ("parts", 2 * half, found),
        ("parts", PEER, same),
        ("whole tables", PEER, peer),
    ):
        spent = ", ".join(f"{key} {value:.1f}" for key, value in told.seconds.items())
        table.add_row(name, f"{n:,}", spent, f"{told.peak:,.0f}")
    console.print(table)
    for name, gap in gaps.items():
        console.print(
            f"largest relative difference of parts and whole, {name}: {gap:.1e}"
        )
    console.print(errors.to_string(index=False))
    console.print(found.verdicts.sentence())
    console.print(found.caution or "every cluster lies whole in one part")
    peaks = {
        f"parts, {2 * half:,} rows": found.peak,
        f"parts, {PEER:,} rows": same.peak,
        f"whole tables, {PEER:,} rows": peer.peak,
    }
    plot(errors, peaks, output / "quality.png")
    console.print(f"plot: {output / 'quality.png'}")
    kept = {
        "within 2 GB": found.peak <= 2048,
        "equal figures": max(gaps.values()) <= 1e-9,
        "rank error within its bound": bool((errors.measured <= errors.bound).all()),
    }
    for name, held in kept.items():
        console.print(f"{name}: {'yes' if held else 'NO'}")
    return all(kept.values())


if __name__ == "__main__":
    sys.exit(main())

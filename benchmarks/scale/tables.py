"""A large CSV converted by stream, and sampled from its partitions.

Each row is a process of its own: seconds, and its largest resident memory. The peers
are pandas with the whole file, and pandas in chunks, which keeps the memory small and
guesses the types of each chunk anew: the last of its files differs from the others.

python benchmarks/scale/tables.py [--quick] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FULL, QUICK = (5_000_000, 10_000_000, 20_000_000), (100_000, 200_000, 400_000)
_BLOCK = 100_000
TASKS = {
    "convert": """
from mlstats.conversion import convert
convert(file, folder / "parts")
""",
    "convert --by": """
from mlstats.conversion import convert
convert(file, folder / "by", by="household")
""",
    "sample of 10,000": """
from mlstats import sampling, split
from mlstats.partitions import PartitionedTable
parts = sampling.parts_of([PartitionedTable.open(folder / "parts")], ())
labels = lambda part: split.cluster_ids(
    part.read(["household"]), "household", first=part.start
)
for part, places in zip(parts, sampling.drawn(parts, labels, seed=1, size=10_000)):
    part.read(None).iloc[places]
""",
    "pandas, in chunks": """
import pandas as pd
how = dict(sep=";", decimal=",", low_memory=False)
for i, part in enumerate(pd.read_csv(file, chunksize=200_000, **how)):
    part.to_parquet(folder / f"chunk{i}.parquet")
""",
    "pandas, whole": """
import pandas as pd
how = dict(sep=";", decimal=",", low_memory=False)
pd.read_csv(file, **how).to_parquet(folder / "whole.parquet")
""",
}


def write(file: Path, rows: int) -> None:
    """Write lines of scanner data; the last code has a letter, the others have none."""
    rng = np.random.default_rng(1)
    words = np.array(["rye bread", "green tea", "wool socks", "milk 1 l", "apples kg"])
    with file.open("w", encoding="utf-8") as sink:
        sink.write("line;household;description;price;quantity;code\n")
        for start in range(0, rows, _BLOCK):
            lines = np.arange(start, start + _BLOCK)
            said = words[rng.integers(0, 5, _BLOCK)]
            price = rng.integers(1, 99_999, _BLOCK)
            code = rng.integers(100, 999, _BLOCK)
            columns = (lines.tolist(), said.tolist(), price.tolist(), code.tolist())
            for line, text, cents, one in zip(*columns, strict=True):
                last = "A" if line == rows - 1 else ""
                sink.write(
                    f"{line:09d};{line // 37};{text} number {cents};"
                    f"{cents // 100},{cents % 100:02d};{line % 9};{one}{last}\n"
                )


def measured(code: str, file: Path, folder: Path) -> tuple[float, float]:
    """Return seconds and megabytes of a fresh process."""
    told = (
        "import resource, sys\nfrom pathlib import Path\n"
        "file, folder = Path(sys.argv[1]), Path(sys.argv[2])\n"
        f"{code}\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", told, str(file), str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun, int(done.stdout) / 1024


def plot(rows: list[tuple[str, float, float, float]], target: Path) -> None:
    """Draw memory over the size of the file, a line for each way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name in TASKS:
        points = [(size, memory) for task, size, _, memory in rows if task == name]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set_xlabel("CSV, MB")
    axes.set_ylabel("largest resident memory, MB")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(target, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    output = given.output or Path(tempfile.mkdtemp(prefix="mlstats-tables-"))
    output.mkdir(parents=True, exist_ok=True)
    found = []
    print(f"{'task':<20}{'CSV MB':>9}{'seconds':>10}{'MB':>8}", flush=True)
    for size in QUICK if given.quick else FULL:
        folder = Path(tempfile.mkdtemp(prefix="mlstats-rows-"))
        try:
            file = folder / "lines.csv"
            write(file, size)
            large = file.stat().st_size / 1e6
            for name, code in TASKS.items():
                seconds, memory = measured(code, file, folder)
                found.append((name, large, seconds, memory))
                print(
                    f"{name:<20}{large:>9.0f}{seconds:>10.1f}{memory:>8.0f}", flush=True
                )
        finally:
            shutil.rmtree(folder)
    plot(found, output / "tables.png")
    print(f"plot: {output / 'tables.png'}")


if __name__ == "__main__":
    main()

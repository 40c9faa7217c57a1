"""CPU time of ``mlstats --help`` beside that of the libraries it does not import.

python benchmarks/startup.py [--repeats 7]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

COMMANDS = {
    "mlstats --help": ["-m", "mlstats", "--help"],
    "mlstats pilots": ["-m", "mlstats", "pilots"],
    "python, nothing": ["-c", "pass"],
    "import typer": ["-c", "import typer"],
    "import pandas": ["-c", "import pandas"],
    "import sklearn.svm": ["-c", "import sklearn.svm"],
    "import mlflow": ["-c", "import mlflow"],
    "import prefect": ["-c", "import prefect"],
}


def cpu_seconds(words: list[str]) -> float:
    """Return user and system seconds of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    print(f"{'command':<22}{'median CPU s':>14}{'least':>8}")
    for name, words in COMMANDS.items():
        cpu_seconds(words)  # fills the caches of the file system
        times = [cpu_seconds(words) for _ in range(repeats)]
        print(f"{name:<22}{statistics.median(times):>14.2f}{min(times):>8.2f}")


if __name__ == "__main__":
    main()

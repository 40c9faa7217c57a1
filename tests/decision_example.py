"""Acts for tests of the log of decisions, and writers in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mlstats.decision_log import DecisionLog
from mlstats.decisions import Act, Decision

REPOSITORY = Path(__file__).parents[1]


def next_idea(rows: Sequence[Decision]) -> list[Act]:
    """Put the next version forward; the act depends on the rows that are there."""
    step = ("idea", "valid", "promote")
    told = ("ada", "methodologist", "as agreed")
    return [Act(len(rows) + 1, "a" * 64, "b" * 64, *step, *told)]


def unhurried(rows: Sequence[Decision]) -> list[Act]:
    """Decide so that other writers come meanwhile."""
    time.sleep(0.02)
    return next_idea(rows)


def slowly(rows: Sequence[Decision]) -> list[Act]:
    """Decide while the lock is held for long."""
    print("deciding", flush=True)
    time.sleep(60)
    return next_idea(rows)


def start(url: str, *words: str) -> subprocess.Popen[str]:
    """Start a writer: ``append COUNT`` or ``slowly``."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.decision_example", *words],
        cwd=REPOSITORY,
        env={**os.environ, "LOG_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def write_together(url: str, *, writers: int, each: int) -> None:
    """Let several processes add decisions at once."""
    started = [start(url, "append", str(each)) for _ in range(writers)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=120)
        assert process.returncode == 0


def kill_in_the_middle(url: str) -> None:
    """Kill a writer between its lock and its commit."""
    process = start(url, "slowly")
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "deciding"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


if __name__ == "__main__":
    log = DecisionLog(os.environ["LOG_URL"])
    if sys.argv[1] == "slowly":
        log.append("diary", slowly)
    else:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(int(sys.argv[2])):
            log.append("diary", unhurried)

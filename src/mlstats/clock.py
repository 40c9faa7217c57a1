"""What each step of a method takes: rows of the timings table."""

from __future__ import annotations

import os
import time
from typing import Any

__all__ = ["Clock"]


class Clock:
    """Rows of the timings table: wall and CPU seconds and the peak of memory.

    Parameters
    ----------
    method : str
        Whose time it is.
    """

    def __init__(self, method: str) -> None:
        self.method = method
        self.rows: list[dict[str, Any]] = []

    def __call__(self, step: str, units: int) -> Clock:
        """Name the step that is timed next, and how many units it works on."""
        self._step, self._units = step, units
        return self

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.rows.append(
                {
                    "method": self.method,
                    "step": self._step,
                    "units": self._units,
                    "wall_seconds": time.perf_counter() - self._wall,
                    "cpu_seconds": _cpu_seconds() - self._cpu,
                    "peak_mb": _peak_mb(),
                }
            )


def _cpu_seconds() -> float:
    """Return CPU seconds of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _peak_mb() -> float:
    """Return the largest memory that the process has taken so far."""
    try:
        import resource
    except ImportError:  # Windows has no such counter
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

"""A small Evaluation that several tests share."""

import numpy as np
import pandas as pd

from mlstats.quality.evaluation import ESTIMATES, Evaluation
from mlstats.quality.routing import Routing, Step, route, thresholds
from mlstats.quality.summaries import Confusion

LEVELS = ("1", "full")
CODES = np.array(["a.1", "a.2", "b.1", "b.2", "c"], dtype=object)


def ancestor(codes: np.ndarray, level: str) -> np.ndarray:
    """Return the first letter, or the code itself; None stays None."""
    cut = 1 if level == "1" else None
    return np.array([c[:cut] if c is not None else None for c in codes], dtype=object)


def units_of(
    n: int, *, seed: int = 0, uncoded: float = 0.1, better: float = 0.15
) -> pd.DataFrame:
    """Return units of two arms; the second is right more often by `better`."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(CODES, n, p=[0.3, 0.3, 0.2, 0.1, 0.1])
    cluster = rng.integers(0, max(n // 5, 2), n).astype(str)
    ease = rng.uniform(size=n)
    weight = rng.uniform(0.5, 2, n).round(3)
    seen = rng.uniform(size=n) < 0.4
    arms = []
    for name, level in (("trad", 0.65), ("ml", 0.65 + better)):
        right = ease < level
        wrong = rng.choice(CODES, n)
        prediction = np.where(right, truth, wrong)
        prediction[rng.uniform(size=n) < uncoded] = None
        arms.append(
            pd.DataFrame(
                {
                    "run_id": "r",
                    "period": "2026-01",
                    "method": name,
                    "fold": np.where(np.arange(n) < n // 3, "valid", "test"),
                    "replicate": 0,
                    "unit": np.arange(n).astype(str),
                    "position": np.arange(n),
                    "stratum": np.where(cluster.astype(int) % 2, "odd", "even"),
                    "cluster": cluster,
                    "variable": "code",
                    "prediction": prediction,
                    "confidence": np.clip(1.2 - ease, 0, 1),
                    "candidates": [[] for _ in range(n)],
                    "scores": [[] for _ in range(n)],
                    "truth": truth,
                    "truth_source": "gold",
                    "weight": weight,
                    "fraction": 0.0,
                    "status": "coded",
                    "route": "",
                    "depth": "",
                    "routed": None,
                    "seen": seen,
                }
            )
        )
    return pd.concat(arms, ignore_index=True)


def confusion_of(units: pd.DataFrame) -> Confusion:
    """Return the summary of all units at both levels."""
    return Confusion.from_units(units, ancestor, LEVELS)


def evaluation_of(units: pd.DataFrame, target: float = 0.95) -> Evaluation:
    """Return a routed Evaluation with one row of timings a method and step."""
    timings = [
        {
            "run_id": "r",
            "method": method,
            "step": step,
            "units": 200,
            "wall_seconds": 0.5,
            "cpu_seconds": 0.4,
            "peak_mb": 100.0,
        }
        for method in ("trad", "ml")
        for step in ("fit", "predict")
    ]
    routing = Routing((Step("full", target),))
    shown = thresholds(units, ancestor, routing, ["trad", "ml"])
    routes = route(units, shown, ancestor, routing)
    return Evaluation(
        units.drop(columns=[*routes]).join(routes),
        pd.DataFrame(columns=list(ESTIMATES)),
        pd.DataFrame(timings),
        {"thresholds": shown},
    )

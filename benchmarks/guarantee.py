"""Try the guaranteed threshold on real sets, beside that of the point estimate.

200 seeded re-splits of the valid and test parts of each pilot.

The candidate is fitted once on the training part and calibrated on the valid part; the
held-out units are then parted anew, by cluster, into a part that sets the threshold and
one that judges it. A miss is significant where the accuracy of the automatic part lies
below its target by more than chance (one-sided 5 %, at the effective number of units).

    MLSTATS_DATA=... OMP_NUM_THREADS=1 python benchmarks/guarantee.py [pilot ...]
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from scipy import stats

from mlstats import dataset, evaluate
from mlstats.errors import MlstatsError
from mlstats.pilot_files import load_pilot
from mlstats.quality.automation import guaranteed_threshold, oracle_rate
from mlstats.settings import load_settings
from mlstats.split import cluster_ids

PILOTS = (
    "coicop-demo",
    "hbs-coicop-fr",
    "products-coicop-multi",
    "occupation-hisco-en",
    "charity-icnptso-en",
    "economy-watchers-ja",
    "msha-bodypart-en-by-mine",
)
SPLITS = 200
RISK = 0.05


def held_out(name: str) -> tuple[pd.DataFrame, float]:
    """Return confidence, right, cluster and fold of the held-out units, the target."""
    settings = load_settings()
    pilot = load_pilot(name, project=settings.project)
    data, checked = dataset.load(pilot, settings)
    checked.raise_if_failed(name)
    data = dataset.part(data, pilot)
    done = evaluate.run_method(pilot, pilot.candidate, data, settings)
    judged = data.folds.isin(["valid", "test"])
    truth = data.frame.loc[judged, pilot.truth].to_numpy(dtype=object)
    roles = pilot.data.roles
    table = pd.DataFrame(
        {
            "confidence": done.scores[:, 0],
            "right": done.codes[:, 0] == truth,
            "cluster": cluster_ids(data.frame, roles.cluster)[judged].to_numpy(),
            "fold": data.folds[judged].to_numpy(),
        }
    )
    return table, pilot.evaluate.target_accuracy


def point_threshold(confidence: np.ndarray, right: np.ndarray, target: float) -> float:
    """Return the loosest threshold whose accuracy on these units reaches the target."""
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    reached = np.flatnonzero(accuracy >= target)
    return float(confidence[order[reached[-1]]]) if len(reached) else np.inf


def significant(right: np.ndarray, cluster: np.ndarray, target: float) -> bool:
    """Whether the accuracy lies below the target by more than chance."""
    n = len(right)
    if n == 0 or right.mean() >= target:
        return False
    p = right.mean()
    _, row = np.unique(cluster, return_inverse=True)
    sums = np.bincount(row, right - p)
    g = len(sums)
    variance = g / max(g - 1, 1) * float((sums**2).sum()) / n**2
    effective = min(n, p * (1 - p) / variance) if variance > 0 else n
    return bool(stats.binom.cdf(round(p * effective), round(effective), target) < RISK)


def compare(name: str) -> dict[str, object]:
    """Return the row of a pilot."""
    units, target = held_out(name)
    units = units[np.isfinite(units["confidence"])]
    confidence = units["confidence"].to_numpy()
    right = units["right"].to_numpy(dtype=bool)
    names, cluster = np.unique(units["cluster"].astype(str), return_inverse=True)
    share = float((units["fold"] == "valid").mean())
    counts = {"ours": [0, 0, 0.0], "point": [0, 0, 0.0]}
    oracle = 0.0
    rng = np.random.default_rng(20261120)
    for _ in range(SPLITS):
        valid = (rng.random(len(names)) < share)[cluster]
        test = ~valid
        found = {
            "ours": guaranteed_threshold(
                confidence[valid], right[valid], cluster[valid], target=target
            ).value,
            "point": point_threshold(confidence[valid], right[valid], target),
        }
        oracle += oracle_rate(confidence[test], right[test], target) / SPLITS
        for way, limit in found.items():
            automatic = test & (confidence >= limit)
            below = automatic.any() and right[automatic].mean() < target
            counts[way][0] += int(below)
            counts[way][1] += int(
                significant(right[automatic], cluster[automatic], target)
            )
            counts[way][2] += automatic.sum() / test.sum() / SPLITS
    return {
        "pilot": name,
        "threshold units": int(round(share * len(units))),
        "oracle rate": oracle,
        "guaranteed rate": counts["ours"][2],
        "point rate": counts["point"][2],
        "below target, ours": counts["ours"][0] / SPLITS,
        "below target, point": counts["point"][0] / SPLITS,
        "significant, ours": counts["ours"][1] / SPLITS,
        "significant, point": counts["point"][1] / SPLITS,
    }


def main() -> None:
    """Print the table."""
    rows = []
    for name in sys.argv[1:] or PILOTS:
        try:
            rows.append(compare(name))
        except MlstatsError as error:
            print(f"{name}: {error.title}")
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()

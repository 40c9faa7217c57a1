"""A period of a million records with 12 fields, from its parts to a release.

    python benchmarks/scale/editimpute_production.py [--quick] [--records N]

The records of ``benchmarks/scale/editimpute.py``, in Parquet parts of 100,000. Champion
(nearest donor by industry) and baseline (means) treat all of them, and a release is
published. Beside it the same pilot without ``data.donors``: the parts are read into
memory, and each arm sees all records at once.

Printed: seconds, and the highest sum of the resident sets of all processes, sampled.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.scale.editimpute import EDITS, INDUSTRIES, NUMBERS, Memory, generated
from mlstats import production
from mlstats.produced import Produced
from mlstats.settings import Settings, load_settings
from tests.recipe_example import decide

PERIOD, PART = "2026-Q1", 100_000
STEPS = [
    *({"variable": name, "estimator": "mean"} for name in NUMBERS),
]


def pilot(*, whole: bool) -> dict[str, object]:
    """Return the pilot, with or without donors drawn for the period."""
    data: dict[str, object] = {
        "source": "records",
        "frequency": "Q",
        "edits": {"file": "edits.yaml"},
        "roles": {
            "unit_id": "id",
            "stratum": "industry",
            "variables": [*NUMBERS, "size"],
            "domain": ["industry"],
            "confidential": ["id"],
        },
    }
    if not whole:
        data["donors"] = {"by": ["industry"]}
    nearest = {"match": ["x0", "x8"], "by": ["industry"], "min_donors": 5}
    nearest |= {"min_percent": 0, "collapse": True}
    use = "mlstats.editimpute."
    return {
        "pilot": "businesses",
        "theme": "editimpute",
        "owner": {"author": "benchmark"},
        "data": data,
        "methods": {
            "mean": {
                "kind": "traditional",
                "use": f"{use}EstimatorImputer",
                "params": {"steps": STEPS},
            },
            "donor": {"kind": "ml", "use": f"{use}NearestDonor", "params": nearest},
        },
        "baseline": "mean",
        "candidate": "donor",
        "evaluate": {"damage": {"missing": {"share": 0.1}}},
        "production": {"source": "records_{period}"},
    }


def project(folder: Path, records: int, *, whole: bool) -> Settings:
    """Write the pilot, its edits and the records of a period."""
    (folder / "configs/pilots").mkdir(parents=True)
    path = folder / "configs/pilots/businesses.yaml"
    path.write_text(yaml.safe_dump(pilot(whole=whole)), encoding="utf-8")
    variables: dict[str, object] = {name: {"least": 0} for name in NUMBERS}
    variables["size"] = {"values": ["small", "large"]}
    edits = [{"id": edit.id, "text": edit.text} for edit in EDITS.edits]
    told = yaml.safe_dump({"variables": variables, "edits": edits})
    (folder / "edits.yaml").write_text(told, encoding="utf-8")
    parts = folder / f"records_{PERIOD}"
    parts.mkdir()
    for first in range(0, records, PART):
        frame = generated(min(PART, records - first), first, seed=1)
        frame["industry"] = frame["industry"].fillna(INDUSTRIES[0])
        frame.to_parquet(parts / f"part-{first // PART:05d}.parquet", index=False)
    settings = load_settings(project=folder)
    settings.prepare()
    decide(settings, "businesses")
    return settings


@dataclass(frozen=True)
class Release:
    """One production: seconds, the highest sum of resident sets in GB, its result."""

    seconds: float
    memory: float
    made: Produced


def released(records: int, workers: int, *, whole: bool) -> Release:
    """Produce a period once, in a project of its own."""
    with tempfile.TemporaryDirectory() as name:
        settings = project(Path(name), records, whole=whole)
        settings = settings.model_copy(update={"workers": workers})
        with Memory() as memory:
            start = time.perf_counter()
            made = production.produce("businesses", PERIOD, settings)
            seconds = time.perf_counter() - start
    return Release(seconds, memory.most, made)


def told(one: Release) -> list[str]:
    """Return what is printed of a production."""
    counts = one.made.counts
    return [
        f"{one.seconds:.0f}",
        f"{one.memory:.2f}",
        f"{counts['cells']:,}",
        f"{counts['queue']:,}",
        ", ".join(reason.said for reason in one.made.reasons) or "none",
    ]


def picture(path: Path, found: dict[str, Release]) -> None:
    """Draw seconds and memory of both ways."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
    for axes, label in zip(panels, ("seconds", "memory"), strict=True):
        values = [getattr(one, label) for one in found.values()]
        axes.bar(list(found), values, color=["tab:blue", "0.7"])
        axes.set_title("seconds" if label == "seconds" else "GB, all processes")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the table and write the plot."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="seconds, not minutes")
    arguments.add_argument("--records", type=int)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--output", type=Path, help="folder of the plot")
    chosen = arguments.parse_args()
    records = chosen.records or (20_000 if chosen.quick else 1_000_000)
    output = chosen.output or Path(tempfile.mkdtemp(prefix="editimpute-production-"))
    output.mkdir(parents=True, exist_ok=True)
    found = {
        "by parts": released(records, chosen.workers, whole=False),
        "in memory": released(records, chosen.workers, whole=True),
    }
    title = f"A period of {records:,} records with 12 fields, two arms"
    table = Table("measure", *found, title=title)
    named = ("seconds", "GB, all processes", "cells", "queue", "causes of a fallback")
    for row in zip(named, *map(told, found.values()), strict=True):
        table.add_row(*row)
    console = Console()
    console.print(table)
    picture(output / "editimpute_production.png", found)
    console.print(f"Plot: {output / 'editimpute_production.png'}", soft_wrap=True)


if __name__ == "__main__":
    main()

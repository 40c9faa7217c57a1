"""A period of a million records with 12 fields, from its parts to a release.

    python benchmarks/scale/editimpute_production.py [--records N] [--whole]

The records of ``benchmarks/scale/editimpute.py``, in Parquet parts of 100,000. Champion
(nearest donor by industry) and baseline (mean and ratio by industry) treat all of them,
and a release is published. With ``--whole`` the same pilot has no ``data.donors``: the
parts are read into memory, and each arm sees all records at once.

Printed: seconds, and the highest sum of the resident sets of all processes, sampled.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.scale.editimpute import EDITS, INDUSTRIES, NUMBERS, Memory, generated
from mlstats import production
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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--records", type=int, default=1_000_000)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--whole", action="store_true")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        settings = project(Path(name), chosen.records, whole=chosen.whole)
        settings = settings.model_copy(update={"workers": chosen.workers})
        with Memory() as memory:
            start = time.perf_counter()
            made = production.produce("businesses", PERIOD, settings)
            seconds = time.perf_counter() - start
    table = Table("measure", "value", title="A period of edit and imputation")
    counts = ", ".join(f"{k} {v:,}" for k, v in made.counts.items())
    for key, value in (
        ("records, fields", f"{chosen.records:,}, 12"),
        ("workers", f"{chosen.workers}"),
        ("seconds", f"{seconds:.0f}"),
        ("memory of all processes, GB", f"{memory.most:.2f}"),
        ("causes of a fallback", ", ".join(r.said for r in made.reasons) or "none"),
        ("counts", counts),
        ("notes", "; ".join(made.notes) or "none"),
    ):
        table.add_row(key, value)
    Console().print(table)


if __name__ == "__main__":
    main()

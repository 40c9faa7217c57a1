"""A flow ``produce`` whose production is a stand-in, for tests of what surrounds it.

``outcomes.json`` in the project says what becomes of a period; without an entry it is
released. What it raises holds a record, as the message of a library may.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from prefect import flow

from mlstats.errors import ServiceError
from mlstats.produced import Produced, Reason
from mlstats.releases import ReleaseKey, ReleaseStore
from mlstats.settings import Settings
from pipelines import scheduled

RECORD = "Zebulon Quackenbush"


def production(
    name: str,
    period: str,
    settings: Settings,
    *,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Produced:
    """Do with a period what the project's file says."""
    said = json.loads((settings.project / "outcomes.json").read_text())
    outcome = said.get(period, "done")
    tries = settings.home_folder / f"{period}.tries"
    tries.write_text(f"{tries.read_text()}x" if tries.exists() else "x")
    if outcome == "crash":
        raise ValueError(f"cannot code {RECORD!r}")
    if "later" in outcome and len(tries.read_text()) == 1:
        raise ServiceError("The store cannot be reached")
    time.sleep(30 if outcome == "slow" else 1)  # so that two at once would be seen
    reasons = (Reason("model", "it cannot be loaded"),) if "fallback" in outcome else ()
    release = None
    if not dry_run:
        facts = {
            "fallback": [{"cause": r.cause, "said": r.said} for r in reasons],
            "queue": {"open": 0, "closed": 0},
        }
        key = ReleaseKey(name, period, "input", "config", "v1", "baseline")
        release = ReleaseStore(settings.releases).publish(
            key, _write, final=True, facts=facts
        )
    return Produced(name, period, release, reasons)


def _write(folder: Path) -> None:
    (folder / "values.csv").write_text("unit,value\n1,2\n")


@flow(name="produce", persist_result=False)
def produce(
    pilot: str,
    period: str | None = None,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Any:
    """Stand in for :func:`pipelines.produce.produce`."""
    scheduled.RETRY_AFTER = 1
    return scheduled.run_period(
        pilot, period, production, dry_run=dry_run, back_cast=back_cast
    )

"""The flow that makes a new version of what coders coded since."""

from __future__ import annotations

from prefect import flow

from mlstats import retraining, runs
from mlstats.settings import load_settings
from pipelines.coding import judged
from pipelines.step import step

prepare = step(retraining.prepare, "prepare")
read = step(retraining.read, "read, check the contract, split")
with_labels = step(retraining.with_labels, "add the codes of coders")


@flow(name="retrain", persist_result=False, log_prints=False)
def retrain(pilot: str, to: str) -> runs.Outcome:
    """Train a coding pilot anew, and score it beside champion and baseline.

    Parameters
    ----------
    pilot : str
        Name or path.
    to : str
        The period up to which coders' codes are taken.
    """
    run = prepare(pilot, to, load_settings())
    return judged(run, with_labels(run, read(run)))

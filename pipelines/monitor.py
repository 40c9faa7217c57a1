"""The flow that looks at a pilot over its periods: history, proposals, workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.states import Completed

from mlstats import monitor_files, monitoring, proposals
from mlstats.monitor_files import Monitored
from mlstats.settings import load_settings
from pipelines.step import step

read = step(monitoring.history_of, "read releases and reviews")
judge = step(proposals.proposals, "look for what to propose")
keep = step(monitor_files.keep_files, "write history and page")
keep_workspace = step(monitor_files.keep_workspace, "write the Evidently workspace")


@flow(name="monitor", persist_result=False, log_prints=False)
def monitor(pilot: str) -> Any:
    """Look at all released periods of a pilot.

    The flow ends in the state ``Done``, or in ``Proposed`` where the last period gave
    cause for something that people have to decide on.

    Parameters
    ----------
    pilot : str
        Name or path.
    """
    settings = load_settings()
    settings.prepare()
    history = read(pilot, settings)
    made = keep(history, judge(history), settings)
    return ended(replace(made, replaced=keep_workspace(history, settings)))


def ended(made: Monitored) -> Any:
    """Return the state in which the flow run ends; automations match its name."""
    said = "; ".join(f"{one.action}: {one.state}" for one in made.proposed)
    name = "Proposed" if made.asks else "Done"
    return Completed(name=name, message=said or None, data=made)

"""How the command line starts a flow: quietly, and with its errors as they are."""

from __future__ import annotations

from collections.abc import Sequence

from mlstats.runs import Outcome
from pipelines.coding import coding

__all__ = ["run_flow"]


def run_flow(
    pilot: str,
    *,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
) -> Outcome:
    """Run the flow of a pilot in this process, on Prefect's server of the settings.

    Without PREFECT_API_URL that is a temporary server which ends with the process.
    """
    return coding(pilot, overrides=list(overrides), sample=sample, period=period)

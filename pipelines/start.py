"""How the command line starts a flow: quietly, and with its errors as they are."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mlstats.errors import MlstatsError, ServiceError
from mlstats.runs import Outcome
from pipelines.coding import coding

__all__ = ["run_flow"]


def run_flow(
    pilot: str,
    *,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
    full: bool = False,
) -> Outcome:
    """Run the flow of a pilot in this process, on Prefect's server of the settings.

    Without PREFECT_API_URL that is a temporary server which ends with the process.

    Raises
    ------
    ServiceError
        Where Prefect's server does not answer or does not start.
    MlstatsError
        Whatever a step raised.
    """
    try:
        return coding(
            pilot, overrides=list(overrides), sample=sample, period=period, full=full
        )
    except MlstatsError:
        raise
    except Exception as error:
        # Steps are guarded, so what is left comes from Prefect itself.
        raise ServiceError(
            f"Prefect did not run the flow: {type(error).__name__}",
            where=os.environ.get("PREFECT_API_URL", "the temporary server").split("@")[
                -1
            ],
            hint="mlstats doctor, or unset PREFECT_API_URL for a temporary server",
        ) from None

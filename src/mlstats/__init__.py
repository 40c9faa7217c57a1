"""mlstats: machine-learning pilots for statistical production, beside the tradition.

Importing the package switches off the telemetry of every dependency, before any of
them is imported, and imports nothing heavy.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["External", "Incumbent", "__version__"]

# DO_NOT_TRACK is read by MLflow, Prefect and Evidently alike; MLflow accepts only
# the word "true". The others are the switches of single packages, set as well
# because an office has to be able to rely on them.
os.environ.update(
    {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
)
# Prefect's temporary server needs up to half a minute on a busy laptop; its default
# limit of 20 s gave up on the first cold start.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")

if TYPE_CHECKING:
    from mlstats.external import External
    from mlstats.method import Incumbent


def __getattr__(name: str) -> Any:
    if name == "Incumbent":
        from mlstats.method import Incumbent

        return Incumbent
    if name == "External":
        from mlstats.external import External

        return External
    raise AttributeError(f"module 'mlstats' has no attribute {name!r}")

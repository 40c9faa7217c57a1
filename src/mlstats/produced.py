"""One reference period of a pilot, from its data to a release.

The champion and the baseline both answer for the same units. Where the champion cannot
be relied on, the baseline produces the period, and the release says why.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlstats.releases import Release

__all__ = ["Produced", "Reason"]


@dataclass(frozen=True)
class Reason:
    """Why the baseline produced a period, or some classes of it.

    Parameters
    ----------
    cause : str
        contract, model, crash, time, performance.
    said : str
        A sentence without the content of a record.
    """

    cause: str
    said: str


@dataclass(frozen=True)
class Produced:
    """What the production of a period hands back.

    Parameters
    ----------
    pilot, period : str
        What was produced.
    release : Release or None
        None in a dry run and in a back-cast, which publish nothing.
    reasons : tuple of Reason
        Why the fallback was taken; none where the period is as decided.
    shadow : Release or None
        What the version in the shadow answered, kept beside the releases.
    """

    pilot: str
    period: str
    release: Release | None
    reasons: tuple[Reason, ...] = ()
    shadow: Release | None = None

    @property
    def fallback(self) -> bool:
        """Whether the baseline stood in for the champion."""
        return bool(self.reasons)

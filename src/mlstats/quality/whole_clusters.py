"""Whether the parts of a file hold whole clusters, in bounded memory.

Sums of parts take a cluster that lies in two of them for two clusters; its likeness to
itself is then not counted and variances come out too small. Of all clusters those with
the smallest hashes are kept, a random sample without regard to size or place (bottom-k
sketch: Cohen and Kaplan 2007, PODC). A cluster that is in the sample of the whole was
in that of each part which holds it, so nothing of it is missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from math import ceil

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.quality.accuracy import discordance_bound

__all__ = ["WholeClusters"]


@dataclass(frozen=True, eq=False)
class WholeClusters:
    """A sample of the clusters of a part, or of several.

    It stays in memory: a hash of an id is not safe from being guessed.

    Parameters
    ----------
    hashes : numpy.ndarray of uint64
        The smallest, rising.
    torn : numpy.ndarray of bool
        Which of them lie in more than one part.
    size : int
        How many are kept at most; up to so many clusters the answer is complete.
    """

    hashes: np.ndarray
    torn: np.ndarray
    size: int

    @classmethod
    def of(
        cls,
        cluster: pd.Series,
        stratum: pd.Series | None = None,
        *,
        size: int = 65_536,
    ) -> WholeClusters:
        """Take the clusters of a part.

        Parameters
        ----------
        cluster : pandas.Series
            Names; a row without one is its own cluster and in no other part.
        stratum : pandas.Series, optional
            Where a cluster's name in two strata is two clusters.
        size : int
            Clusters kept.
        """
        known = cluster.notna()
        hashes = pd.util.hash_pandas_object(cluster[known].astype("str"), index=False)
        if stratum is not None:
            more = pd.util.hash_pandas_object(stratum[known].astype("str"), index=False)
            # Of the two together, or two strata that share a cluster's name collide.
            hashes = pd.util.hash_pandas_object(
                pd.DataFrame({"c": hashes.to_numpy(), "s": more.to_numpy()}),
                index=False,
            )
        held = np.unique(hashes.to_numpy(dtype=np.uint64))[:size]
        return cls(held, np.zeros(len(held), dtype=bool), size)

    def merge(self, other: WholeClusters) -> WholeClusters:
        """Return the sample of both, with what lies in both marked."""
        together = np.concatenate([self.hashes, other.hashes])
        held, where, times = np.unique(
            together, return_inverse=True, return_counts=True
        )
        torn = times > 1
        torn[where[np.concatenate([self.torn, other.torn])]] = True
        size = min(self.size, other.size)
        return WholeClusters(held[:size], torn[:size], size)

    @classmethod
    def of_parts(cls, parts: Iterable[WholeClusters]) -> WholeClusters:
        """Return the sample of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)

    @property
    def complete(self) -> bool:
        """Whether all clusters were looked at."""
        return len(self.hashes) < self.size

    @property
    def share_bound(self) -> float:
        """Which share of the clusters may be torn though none was seen, at 95 %."""
        return 0.0 if self.complete else discordance_bound(len(self.hashes), 0.05)

    def require(self) -> str:
        """Return a caution where clusters were sampled, empty where all are whole.

        Raises
        ------
        ContractError
            Where a cluster lies in two parts.
        """
        torn, looked = int(self.torn.sum()), len(self.hashes)
        if torn:
            raise ContractError(
                f"{torn:,} of {looked:,} clusters that were looked at lie in two parts",
                where="the parts of the file",
                expected="each cluster whole in one part: variances are too small else",
                hint="sort the file by cluster, or part it by a hash of the cluster",
            )
        if self.complete:
            return ""
        return (
            f"{looked:,} clusters drawn at random lie whole in one part; with 95 % "
            f"confidence at most {ceil(self.share_bound * 1e5):,} in 100,000 do not"
        )

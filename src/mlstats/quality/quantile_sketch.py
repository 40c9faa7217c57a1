"""Quantiles of numbers that no process holds at once, with a bound of the rank error.

Sorted buffers of at most `size` numbers, those of level h standing for ``2**h`` numbers
each; a buffer that grows beyond it is halved by keeping every other number (Munro and
Paterson 1980, Theoretical Computer Science 12, 315-323; Manku, Rajagopalan and Lindsay
1998, SIGMOD, section 3; merged as in Agarwal et al. 2013, ACM TODS 38(4), section 3).
Nothing is random: the same parts give the same numbers.

Halving numbers of weight w moves a rank by w or not at all, up where the first of each
two is kept and down where the second is. Both sums are kept and the smaller one is
added to, so the bound is not only an asymptotic one: it is that of these very numbers,
in whatever order they came. With n numbers it is at most ``(1 + log2(n / size)) /
(2 size)`` of them and one halving more, as a part of any size is halved once a level.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from mlstats.errors import MlstatsError

__all__ = ["QuantileSketch", "ranks_of"]


def ranks_of(shares: np.ndarray, n: int) -> np.ndarray:
    """Return ``ceil(share * n)``, from 1 to n; the rounding of a product adds no rank.

    Examples
    --------
    >>> ranks_of(np.array([0.07, 0.55, 0.551]), 100).tolist()
    [7, 55, 56]
    """
    product = shares * n
    exact = np.ceil(product - 4 * np.finfo(float).eps * product)
    return np.asarray(np.clip(exact.astype(np.int64), 1, n))


@dataclass(frozen=True, eq=False)
class QuantileSketch:
    """Sorted buffers of a set of finite numbers.

    Parameters
    ----------
    size : int
        Numbers in a buffer; up to so many are held exactly.
    n : int
        Numbers seen.
    levels : tuple of numpy.ndarray
        The buffers, each sorted; a number of level h stands for ``2**h``.
    least, most : float
        The smallest and largest number, exact; NaN where there is none.
    up, down : int
        By how much a rank may be too high and too low.

    Examples
    --------
    >>> whole = QuantileSketch.of(np.arange(100_000.0), size=1000)
    >>> bool(abs(whole.quantile(np.array([0.5]))[0] - 50_000) <= 100_000 * 0.001)
    True
    >>> whole.rank_error < 0.001
    True
    """

    size: int
    n: int
    levels: tuple[np.ndarray, ...]
    least: float
    most: float
    up: int = 0
    down: int = 0

    @classmethod
    def of(cls, numbers: np.ndarray, *, size: int = 8192) -> QuantileSketch:
        """Take the finite numbers of a part.

        Parameters
        ----------
        numbers : numpy.ndarray, shape (n,)
            What is not finite is left out.
        size : int
            At least 2; memory is ``8 * size`` bytes a level.
        """
        if size < 2:
            raise MlstatsError(
                f"A buffer of {size} numbers cannot be halved",
                where="quality.quantile_sketch",
                expected="2 or more",
            )
        held = np.sort(numbers[np.isfinite(numbers)]).astype(float)
        least, most = (held[0], held[-1]) if len(held) else (np.nan, np.nan)
        return cls(size, len(held), (held,), float(least), float(most))._halved()

    @property
    def rank_error(self) -> float:
        """By what share of the numbers a rank may be wrong at most."""
        return max(self.up, self.down) / self.n if self.n else 0.0

    def merge(self, other: QuantileSketch) -> QuantileSketch:
        """Return the sketch of both sets of numbers.

        Raises
        ------
        MlstatsError
            Where the buffers are of two sizes.
        """
        if self.size != other.size:
            raise MlstatsError(
                "Sketches with buffers of two sizes cannot be merged",
                where="quality.quantile_sketch",
            )
        deep = max(len(self.levels), len(other.levels))
        none = np.empty(0)
        pairs = zip(
            self.levels + (none,) * (deep - len(self.levels)),
            other.levels + (none,) * (deep - len(other.levels)),
            strict=True,
        )
        return QuantileSketch(
            self.size,
            self.n + other.n,
            tuple(np.sort(np.concatenate(pair), kind="stable") for pair in pairs),
            float(np.fmin(self.least, other.least)),
            float(np.fmax(self.most, other.most)),
            self.up + other.up,
            self.down + other.down,
        )._halved()

    @classmethod
    def of_parts(cls, parts: Iterable[QuantileSketch]) -> QuantileSketch:
        """Return the sketch of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)

    def quantile(self, shares: np.ndarray) -> np.ndarray:
        """Return for each share the number of rank ``ceil(share * n)``, as it is known.

        The numbers of rank 1 and n are exact, the rank of others is wrong by at most
        :attr:`rank_error` of n.

        Parameters
        ----------
        shares : numpy.ndarray, shape (k,)
            From 0 to 1.

        Returns
        -------
        numpy.ndarray, shape (k,)
            NaN where no number was seen.
        """
        shares = np.asarray(shares, dtype=float)
        if not self.n:
            return np.full(len(shares), np.nan)
        numbers = np.concatenate(self.levels)
        weight = np.concatenate(
            [np.full(len(held), 2**h) for h, held in enumerate(self.levels)]
        )
        order = np.argsort(numbers, kind="stable")
        reached = np.cumsum(weight[order])
        rank = ranks_of(shares, self.n)
        found = numbers[order][np.searchsorted(reached, rank, side="left")]
        found[rank == 1], found[rank == self.n] = self.least, self.most
        return np.asarray(found)

    def _halved(self) -> QuantileSketch:
        """Return the sketch with every buffer within its size."""
        levels, up, down = list(self.levels), self.up, self.down
        for h, held in enumerate(levels):  # grows while it is walked
            if len(held) <= self.size:
                continue
            # One number stays where the count is odd, so that weights add up to n.
            even = len(held) - len(held) % 2
            first = up <= down
            kept = held[0 if first else 1 : even : 2]
            up, down = (up + 2**h, down) if first else (up, down + 2**h)
            levels[h] = held[even:]
            if h + 1 == len(levels):
                levels.append(np.empty(0))
            levels[h + 1] = np.sort(
                np.concatenate([levels[h + 1], kept]), kind="stable"
            )
        return QuantileSketch(
            self.size, self.n, tuple(levels), self.least, self.most, up, down
        )

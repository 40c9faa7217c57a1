"""What a drift test leaves behind: p, effect with its interval, floor, power."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from scipy import special, stats

__all__ = [
    "LEAST_UNITS",
    "NORMAL_95",
    "NORMAL_OF_POWER",
    "POWER",
    "Evidence",
    "Floors",
    "Measure",
    "Sizes",
    "Test",
    "certain",
    "fewest",
    "nominal_level",
    "refer_to_t",
]

Test = Literal["distribution", "code", "tails", "missing"]
Measure = Literal["distance", "composition", "share", ""]

LEAST_UNITS: Final = 20  # effective ones, in each period
POWER: Final = 0.9
NORMAL_OF_POWER: Final = float(special.ndtri(POWER))
NORMAL_95: Final = float(special.ndtri(0.975))


@dataclass(frozen=True)
class Floors:
    """The smallest changes that matter; the defaults are a choice, not a law.

    Parameters
    ----------
    distance : float
        Of numbers: the Kolmogorov-Smirnov distance. For a normal variable .02 is a
        shift of .05 standard deviations.
    relative : float
        Of the composition by codes: the share-weighted root mean square of the
        relative changes of the shares.
    share : float
        Of the share of one code, of a tail or of what is missing.
    rare : float
        Of the share of a rare code or tail, relative to its share in the reference;
        it applies where it is less than `share`.
    least : float
        No change of a share below this one matters, however rare the code.
    """

    distance: float = 0.02
    relative: float = 0.05
    share: float = 0.01
    rare: float = 0.5
    least: float = 0.0005

    def of_shares(self, reference: np.ndarray) -> np.ndarray:
        """Return the floor of each share."""
        return np.minimum(self.share, np.maximum(self.rare * reference, self.least))


@dataclass(frozen=True)
class Sizes:
    """Units with a value in both periods, and how many independent ones they equal."""

    n_reference: int
    n: int
    n_eff_reference: float
    n_eff: float

    @property
    def spread(self) -> float:
        """The variance of a difference of means, in units of the variance."""
        return 1 / self.n_eff_reference + 1 / self.n_eff


def _unknown() -> np.ndarray:
    return np.array([np.nan])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one test found in one column.

    Parameters
    ----------
    test : Test
        What was tested.
    method : str
        How.
    measure : Measure
        What the effect is: a distance of distributions, the relative change of a
        composition, or a difference of shares; empty where there is none.
    statistic, p : float
        NaN where the test could not be made; `note` has the reason then.
    labels : tuple of str
        The parts that were tested, such as codes; one empty word for a whole column.
    p_each, effect, lower, upper, floor : numpy.ndarray, shape (parts,)
        p of each part after adjustment for their number, effect with its 95 %
        interval, floor.
    fewest : numpy.ndarray of int, shape (parts,)
        The smaller count of units that is not zero, see :func:`fewest`.
    sizes : Sizes, optional
        None where the test could not be made.
    detectable : callable, optional
        Level of the test, number of a part -> its effect that is found with
        probability :data:`POWER`.
    in_family : bool
        False where nothing could have differed, so that no error could be made.
    broken : bool
        Whether the periods cannot be compared by intention, as after a revision of
        the classification.
    note : str
        What a reader has to know.
    """

    test: Test
    method: str = ""
    measure: Measure = ""
    statistic: float = np.nan
    p: float = np.nan
    labels: tuple[str, ...] = ("",)
    p_each: np.ndarray = field(default_factory=_unknown)
    effect: np.ndarray = field(default_factory=_unknown)
    lower: np.ndarray = field(default_factory=_unknown)
    upper: np.ndarray = field(default_factory=_unknown)
    floor: np.ndarray = field(default_factory=_unknown)
    fewest: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    sizes: Sizes | None = None
    detectable: Callable[[float, int], float] | None = None
    in_family: bool = True
    broken: bool = False
    note: str = ""

    @property
    def measured(self) -> bool:
        """Whether the test could be made."""
        return bool(np.isfinite(self.p))

    @property
    def reach(self) -> np.ndarray:
        """The largest absolute change of each part that its interval allows."""
        return np.asarray(np.maximum(np.abs(self.lower), np.abs(self.upper)))


def certain(test: Test, note: str, sizes: Sizes) -> Evidence:
    """Return the evidence of a comparison in which nothing could have differed."""
    nothing = np.zeros(1)
    return Evidence(
        test,
        statistic=0.0,
        p=1.0,
        p_each=np.ones(1),
        effect=nothing,
        sizes=sizes,
        in_family=False,
        note=note,
    )


def fewest(units: np.ndarray) -> np.ndarray:
    """Return the smaller of two counts that is not zero: what naming would disclose.

    Parameters
    ----------
    units : numpy.ndarray of int, shape (2, parts)
        In the reference and now.
    """
    least = np.min(units, axis=0, where=units > 0, initial=np.iinfo(np.int64).max)
    return np.asarray(np.where(units.any(axis=0), least, 0))


def refer_to_t(p: np.ndarray | float, df: float) -> np.ndarray:
    """Read the normal deviate behind a two-sided p as one of Student's t.

    With few clusters the variance is itself uncertain; `df` are the clusters of both
    periods less two, infinity where rows are independent.
    """
    if np.isinf(df):
        return np.asarray(p)
    z = stats.norm.isf(np.asarray(p) / 2)
    return np.asarray(2 * stats.t.sf(z, df))


def nominal_level(level: float, df: float) -> float:
    """Return the normal level that :func:`refer_to_t` turns into `level`."""
    if np.isinf(df):
        return level
    return float(2 * stats.norm.sf(stats.t.isf(level / 2, df)))

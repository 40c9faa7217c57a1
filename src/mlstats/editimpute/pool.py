"""Donors of a large file, and imputers fitted on them once for all its records.

What an imputer does to a record then depends on the record, its label, the donors and
the seed, and on no other record of the file: any parting of it gives the same values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.treatment import Treatment
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ConfigError, nearest

__all__ = [
    "FilledUp",
    "FittedImputer",
    "Pool",
    "PoolClasses",
    "able_donors",
    "cannot_fit",
]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class FittedImputer(Protocol):
    """An imputer that was fitted on donors."""

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        draws: UnitDraws,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the treated recipients; a donor is named by its label in the pool."""
        ...


@dataclass(frozen=True)
class FilledUp:
    """Donors of which the first are a random sample, the others fill up classes.

    Small classes have more than their share of the donors then: what is taken from
    donors of several classes is taken from the sample.

    Parameters
    ----------
    rows : int
        How many the sample has.
    by : tuple of str
        Columns that make the classes.
    """

    rows: int
    by: tuple[str, ...]

    def sample(self, donors: pd.DataFrame) -> pd.DataFrame:
        """Return the donors that are a random sample."""
        return donors.iloc[: self.rows] if self.rows else donors


@dataclass(frozen=True, eq=False)
class Pool:
    """Donors, and the imputer fitted on them.

    Attributes
    ----------
    donors : DataFrame
        Records that pass, with their labels as index.
    imputer : FittedImputer or None
        None for one that cannot be fitted on donors alone: it treats the records of
        each call together with the donors.
    """

    donors: pd.DataFrame
    imputer: FittedImputer | None

    @classmethod
    def of(
        cls,
        donors: pd.DataFrame,
        imputer: Any,
        *,
        seed: int,
        asked: Sequence[str],
        filled: FilledUp | None = None,
    ) -> Pool:
        """Fit an imputer on donors.

        Parameters
        ----------
        donors : DataFrame
            Records that pass.
        imputer : object
            With ``fitted(donors, seed=..., asked=..., filled=...)``, or with ``treat``
            alone.
        seed : int
            Of the fit.
        asked : sequence of str
            Columns of which a cell may be asked for.
        filled : FilledUp, optional
            Where the donors are more than a random sample.

        Raises
        ------
        ConfigError
            Where an option of the imputer needs all recipients at once.
        """
        fit = getattr(imputer, "fitted", None)
        if fit is None:
            return cls(donors, None)
        made = fit(donors, seed=seed, asked=list(asked), filled=filled)
        return cls(donors, made)


def cannot_fit(what: str, why: str) -> ConfigError:
    """Return the refusal of an option that needs all recipients at once."""
    return ConfigError(
        f"{what} cannot be used with given donors, record by record",
        expected=f"none of it: {why}",
        hint="treat the records in one piece by process, without donors",
    )


class PoolClasses:
    """The classes of the donors, found again in other records.

    Parameters
    ----------
    pool : DataFrame
        The donors.
    by : sequence of str
        Columns that make the classes; a missing value is a value.
    filled : FilledUp, optional
        Where the donors are more than a random sample: classes that are not within
        those which were filled up have donors of the sample, if there are any.

    Attributes
    ----------
    members : list of ndarray of int
        Places of the donors of each class.
    """

    def __init__(
        self, pool: pd.DataFrame, by: Sequence[str], filled: FilledUp | None = None
    ) -> None:
        for name in by:
            if name not in pool:
                raise ConfigError(
                    f"There is no column {name!r} to make classes by",
                    nearest=nearest(name, map(str, pool.columns)),
                )
        self.by = list(by)
        self._values = [pd.Index(pool[name].dropna().unique()) for name in self.by]
        codes = self._codes(pool)
        self._known, number = np.unique(codes, return_inverse=True)
        order = np.argsort(number, kind="stable")
        ends = np.cumsum(np.bincount(number, minlength=len(self._known)))
        self.members: list[Ints] = list(np.split(order, ends[:-1]))
        if filled is not None and not {*filled.by} <= {*self.by}:
            sampled = [who[who < filled.rows] for who in self.members]
            self.members = [
                some if len(some) else who
                for some, who in zip(sampled, self.members, strict=True)
            ]

    def of(self, frame: pd.DataFrame) -> Ints:
        """Return the number of each record's class, -1 for one without donors."""
        codes = self._codes(frame)
        if not len(self._known):
            return np.full(len(frame), -1)
        place = np.minimum(np.searchsorted(self._known, codes), len(self._known) - 1)
        return np.asarray(np.where(self._known[place] == codes, place, -1))

    def _codes(self, frame: pd.DataFrame) -> Ints:
        codes = np.zeros(len(frame), dtype=np.int64)
        strange = np.zeros(len(frame), dtype=bool)
        for name, values in zip(self.by, self._values, strict=True):
            column = frame[name]
            place = values.get_indexer(pd.Index(column.to_numpy(dtype=object)))
            absent = column.isna().to_numpy()
            place = np.where(absent, len(values), place)
            strange |= place < 0
            codes = codes * (len(values) + 1) + place
        codes[strange] = -1
        return codes


def able_donors(gaps: Bools, wanted: Bools) -> Iterator[tuple[Ints, Bools]]:
    """Yield recipients and which donors have all that these are asked for.

    Parameters
    ----------
    gaps : ndarray of bool, shape (donors, columns)
        What donors lack, such as answers that are allowed to be missing.
    wanted : ndarray of bool, shape (recipients, columns)
        Cells that are asked for.
    """
    gappy = np.flatnonzero(gaps.any(axis=0))
    kinds, number = np.unique(wanted[:, gappy], axis=0, return_inverse=True)
    for i, kind in enumerate(kinds):
        rows = np.flatnonzero(number.reshape(-1) == i)
        yield rows, np.asarray(~gaps[:, gappy[kind]].any(axis=1))

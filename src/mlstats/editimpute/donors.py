"""Nearest-neighbour donors on rank-transformed matching fields.

The definitions are those of the donor imputation of Banff (Statistics Canada, Banff
functional description, donor imputation): a matching field is transformed to
``mid-rank / (N + 1)`` over the valid values of donors and recipients of the class, the
distance is the largest absolute difference over the matching fields (Sande 1979), and
the nearest donor with which the recipient passes the post-edits gives all the missing
fields at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mlstats.editimpute.donor_search import DonorPool, assign
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.matching_fields import binding_fields
from mlstats.editimpute.post_edits import (
    PostEdits,
    linear_edits_of,
    passing_records,
)
from mlstats.editimpute.treatment import Imputer, Treatment, checked_mask, treatment
from mlstats.errors import ConfigError, ContractError, nearest

if TYPE_CHECKING:
    from mlstats.editimpute.donors_on_pool import NearestOnPool
    from mlstats.editimpute.pool import FilledUp

__all__ = ["NearestDonor", "donor_limit", "rank_transform"]


def rank_transform(values: np.ndarray) -> np.ndarray:
    """Return ``mid-rank / (N + 1)`` of each column over its valid values.

    Parameters
    ----------
    values : numpy.ndarray of float, shape (n, fields)
        NaN where a value is not valid; it stays NaN.

    Examples
    --------
    >>> rank_transform(np.array([[10.0], [20.0], [20.0], [np.nan]])).ravel()
    array([0.25 , 0.625, 0.625,   nan])
    """
    ranks = pd.DataFrame(values).rank(method="average")
    shares: np.ndarray = (ranks / (ranks.count() + 1)).to_numpy()
    return shares


def donor_limit(
    recipients: int,
    donors: int,
    *,
    ratio: float | None = None,
    uses: int | None = None,
) -> int | None:
    """Return how often a donor may be used: the rounded larger of two limits.

    Parameters
    ----------
    recipients, donors : int
        Number in the class.
    ratio : float, optional
        Multiple of ``recipients / donors``.
    uses : int, optional
        Number of uses.
    """
    limits = [float(uses)] if uses is not None else []
    if ratio is not None and donors:
        limits.append(ratio * recipients / donors)
    # Half rounds up, as in the guide; at least one use, or no one could be imputed.
    return max(int(np.floor(max(limits) + 0.5)), 1) if limits else None


@dataclass(frozen=True, eq=False)
class _Class:
    """Rows of a class, and where each donor came from (written in place)."""

    rows: np.ndarray
    mask: np.ndarray
    waiting: np.ndarray
    donors: np.ndarray
    reasons: np.ndarray


class NearestDonor(Imputer):
    """Impute the missing fields of a record from the nearest complete record.

    Parameters
    ----------
    match : sequence of str
        Matching fields that are always used (where the recipient has them): numbers,
        and categories that `orders` puts into an order.
    by : sequence of str
        Columns that make the classes, the most important first.
    edits : EditSet or LinearEdits, optional
        What donors pass; of a set all hard edits. The fields of linear edits that
        still bind are matching fields too where `match_on_edits` is true.
    post_edits : EditSet, LinearEdits or False, optional
        What the recipient passes after imputation; `edits` if left out, nothing if
        false: for values that are adjusted afterwards, since a donor's amounts hardly
        ever add up to a total that the recipient has given.
    match_on_edits : bool
        Find the matching fields of each recipient by linear programmes; exact, some
        milliseconds for each.
    tries : int
        Nearest donors that are tried against the post-edits.
    limit_ratio, limit_uses : float and int, optional
        See :func:`donor_limit`.
    min_donors : int
        Donors that a class must have.
    min_percent : float
        Percentage of a class that must be donors.
    random : bool
        Draw a donor of the class instead of the nearest (mass imputation).
    collapse : bool
        For a record without a donor in its class, leave out the last column of `by`,
        and so on.
    orders : mapping, optional
        Matching field of categories -> its categories, lowest first.

    Notes
    -----
    A record of a class without enough donors, or that no donor fits, is kept as it is,
    and its cells have status ``not_imputed`` with the reason.
    """

    kind = "traditional"

    def __init__(
        self,
        match: Sequence[str] = (),
        *,
        by: Sequence[str] = (),
        edits: LinearEdits | EditSet | None = None,
        post_edits: LinearEdits | EditSet | Literal[False] | None = None,
        match_on_edits: bool = False,
        tries: int = 20,
        limit_ratio: float | None = None,
        limit_uses: int | None = None,
        min_donors: int = 30,
        min_percent: float = 30.0,
        random: bool = False,
        collapse: bool = False,
        orders: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.match = list(match)
        self.by = list(by)
        self.edits = edits
        given = edits if post_edits is None else post_edits
        self.post_edits = None if given is False else given
        self.match_on_edits = match_on_edits
        self.tries = tries
        self.limit_ratio = limit_ratio
        self.limit_uses = limit_uses
        self.min_donors = min_donors
        self.min_percent = min_percent
        self.random = random
        self.collapse = collapse
        self.orders = {name: list(codes) for name, codes in (orders or {}).items()}

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values with the donor of each cell.

        Parameters
        ----------
        frame : pandas.DataFrame
            Records. A cell that is missing and not in the mask is never imputed.
        mask : pandas.DataFrame of bool
            Cells to impute.
        seed : int
            For ties and the order in which donors are used up.
        structural : pandas.DataFrame of bool, optional
            Cells where nothing can be; asking for one is an error.
        """
        if not (self.match or self.match_on_edits or self.random):
            raise ConfigError(
                "A nearest donor needs matching fields",
                expected="match, or match_on_edits with edits, or random",
            )
        full = checked_mask(frame, mask, numeric=self._numeric(), structural=structural)
        cells = full.to_numpy()
        donors = np.full(len(frame), -1)
        reasons = np.full(len(frame), "", dtype=object)
        rng = np.random.default_rng(seed)
        last = 0 if self.collapse else len(self.by)
        for used in range(len(self.by), last - 1, -1):
            waiting = cells.any(axis=1) & (donors < 0)
            if waiting.any():
                for rows in class_rows(frame, self.by[:used]):
                    group = _Class(rows, cells, waiting, donors, reasons)
                    self._class(frame, group, rng)
        values = copied(frame, cells, donors)
        spread = np.broadcast_to(reasons[:, None], cells.shape)
        done = cells & (donors >= 0)[:, None]
        return treatment(
            frame,
            values,
            full,
            method="random donor" if self.random else "nearest donor",
            done=done,
            donors=donors,
            reasons=spread,
        )

    def fitted(
        self,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
        filled: FilledUp | None = None,
    ) -> NearestOnPool:
        """Return the imputer with the pool as its donors.

        Ranks are taken over the donors of the class in the pool; the rank of a value
        between two of theirs lies between their ranks.

        Raises
        ------
        ConfigError
            With a limit on the use of donors or a percentage of donors: both count
            the recipients of the class.
        """
        from mlstats.editimpute.donors_on_pool import NearestOnPool

        return NearestOnPool(self, pool, filled)

    def _numeric(self) -> list[str]:
        named = [
            name
            for edits in (self.edits, self.post_edits)
            if edits is not None
            for name in (
                edits.numeric if isinstance(edits, EditSet) else edits.variables
            )
        ]
        match = [name for name in self.match if name not in self.orders]
        return list(dict.fromkeys([*match, *named]))

    def _numbers(self, part: pd.DataFrame, fields: list[str]) -> np.ndarray:
        """Return the matching fields as numbers, categories by their place."""
        numbers = np.empty((len(part), len(fields)))
        for j, name in enumerate(fields):
            if name not in self.orders:
                numbers[:, j] = part[name].to_numpy(dtype=float, na_value=np.nan)
                continue
            place = pd.Index(self.orders[name]).get_indexer(pd.Index(part[name]))
            strange = int(((place < 0) & part[name].notna().to_numpy()).sum())
            if strange:
                raise ContractError(
                    f"{strange} values of {name!r} are not in its order",
                    expected=", ".join(self.orders[name]),
                )
            numbers[:, j] = np.where(place < 0, np.nan, place)
        return numbers

    def _class(
        self, frame: pd.DataFrame, group: _Class, rng: np.random.Generator
    ) -> None:
        rows = group.rows
        asked = group.mask[rows].any(axis=1)
        waiting = group.waiting[rows]
        if not waiting.any():
            return
        part = frame.iloc[rows]
        able = ~asked & self._can_give(part, group.mask[rows])
        donors, recipients = np.flatnonzero(able), np.flatnonzero(waiting)
        short = self._too_few(len(donors), len(rows))
        if short:
            group.reasons[rows[recipients]] = short
            return
        fields = self._fields()
        data = self._numbers(part, fields)
        masked = group.mask[np.ix_(rows, frame.columns.get_indexer(pd.Index(fields)))]
        valid = np.where(masked, np.nan, data)
        valid[~(able | asked)] = np.nan
        after = self.post_edits
        pool = DonorPool(
            rank_transform(valid),
            donors,
            recipients,
            self._used(part, group.mask[rows], recipients, fields),
            None if after is None else PostEdits(after, part, group.mask[rows]),
        )
        limit = donor_limit(
            len(recipients), len(donors), ratio=self.limit_ratio, uses=self.limit_uses
        )
        found = assign(pool, rng, tries=self.tries, limit=limit, random=self.random)
        at = found >= 0
        group.donors[rows[recipients[at]]] = rows[found[at]]
        group.reasons[rows[recipients[~at]]] = "no donor passes within the tries"

    def _can_give(self, part: pd.DataFrame, mask: np.ndarray) -> np.ndarray:
        """Return which records pass the edits and have every field asked for."""
        wanted = [c for j, c in enumerate(part.columns) if mask[:, j].any()]
        needed = list(dict.fromkeys([*wanted, *self.match]))
        able: np.ndarray = part[needed].notna().all(axis=1).to_numpy(copy=True)
        if self.edits is not None:
            able &= passing_records(part, self.edits)
        return able

    def _too_few(self, donors: int, records: int) -> str:
        if donors == 0:
            return "the class has no donors"
        if donors < self.min_donors:
            return f"the class has {donors} donors of {self.min_donors} needed"
        if 100 * donors < self.min_percent * records:
            return f"donors are below {self.min_percent:g} % of the class"
        return ""

    def _fields(self) -> list[str]:
        linear = linear_edits_of(self.edits)
        on_edits = () if linear is None or not self.match_on_edits else linear.variables
        return list(dict.fromkeys([*self.match, *on_edits]))

    def _used(
        self,
        part: pd.DataFrame,
        mask: np.ndarray,
        recipients: np.ndarray,
        fields: list[str],
    ) -> np.ndarray:
        """Return the matching fields of each recipient, shape (recipients, fields)."""
        places = part.columns.get_indexer(pd.Index(fields))
        data = self._numbers(part, fields)[recipients]
        valid = ~mask[np.ix_(recipients, places)] & np.isfinite(data)
        always = np.isin(fields, self.match)
        used: np.ndarray = valid & always
        edits = linear_edits_of(self.edits)
        if self.match_on_edits and edits is not None:
            to_impute = part.columns.get_indexer(pd.Index(edits.variables))
            binding = binding_fields(
                edits,
                edits.matrix(part)[recipients],
                mask[np.ix_(recipients, to_impute)],
            )
            for j, name in enumerate(edits.variables):
                used[:, fields.index(name)] |= (
                    binding[:, j] & valid[:, fields.index(name)]
                )
        return used


def class_rows(frame: pd.DataFrame, by: Sequence[str]) -> list[np.ndarray]:
    """Return the rows of each class; a missing value of a class column is a value."""
    if not by:
        return [np.arange(len(frame))]
    for name in by:
        if name not in frame:
            raise ConfigError(
                f"There is no column {name!r} to make classes by",
                nearest=nearest(name, map(str, frame.columns)),
            )
    numbers = frame.groupby(list(by), dropna=False, sort=False, observed=True).ngroup()
    order = np.argsort(numbers.to_numpy(), kind="stable")
    starts = np.flatnonzero(np.diff(numbers.to_numpy()[order])) + 1
    return list(np.split(order, starts))


def copied(
    frame: pd.DataFrame,
    cells: np.ndarray,
    donors: np.ndarray,
    pool: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return `frame` with the masked cells taken from the rows of donors.

    The donors are rows of the pool, of `frame` itself if it is left out.
    """
    values, given = frame.copy(), frame if pool is None else pool
    for j, name in enumerate(frame.columns):
        rows = np.flatnonzero(cells[:, j] & (donors >= 0))
        if not len(rows):
            continue
        column = frame[name].copy()
        column.iloc[rows] = given[name].array[donors[rows]]
        values[name] = column
    return values

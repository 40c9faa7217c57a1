"""The nearest donor of a given pool, the same for a record whatever is beside it.

Ranks are those of the donors of the class alone: a value between two of theirs has a
rank between theirs. Equal distances are decided by numbers that the record and the
donor draw together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.donor_search import (
    first_passing,
    nearest_places,
    search_tree,
)
from mlstats.editimpute.pool import FilledUp, PoolClasses, able_donors, cannot_fit
from mlstats.editimpute.post_edits import PostEdits, passing_records
from mlstats.editimpute.treatment import Treatment, checked_mask, treatment
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ConfigError

if TYPE_CHECKING:
    from mlstats.editimpute.donors import NearestDonor

__all__ = ["NearestOnPool"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


# Of more equal donors than a search looks at, each record looks at others: those that
# have drawn a number near its own. It is far below what counts as a distance.
_APART = 1e-13


class NearestOnPool:
    """A nearest donor with given donors.

    Parameters
    ----------
    how : NearestDonor
        Matching fields, classes and edits.
    pool : DataFrame
        The donors.
    filled : FilledUp, optional
        Where the donors are more than a random sample.

    Raises
    ------
    ConfigError
        Where an option counts the recipients of a class.
    """

    def __init__(
        self, how: NearestDonor, pool: pd.DataFrame, filled: FilledUp | None = None
    ) -> None:
        if how.limit_ratio is not None or how.limit_uses is not None:
            raise cannot_fit(
                "A limit on the use of donors", "it counts all recipients of the class"
            )
        if how.min_percent > 0:
            raise cannot_fit(
                f"min_percent={how.min_percent:g}",
                "it counts all recipients of the class; set it to 0",
            )
        if not (how.match or how.match_on_edits or how.random):
            raise ConfigError(
                "A nearest donor needs matching fields",
                expected="match, or match_on_edits with edits, or random",
            )
        self.how, self.pool = how, pool
        self.fields = how._fields()
        self.data = how._numbers(pool, self.fields)
        self.gaps = pool.isna().to_numpy()
        self.mixed = UnitDraws.of(pool.index, 0).numbers("among equals")
        able = pool[how.match].notna().all(axis=1).to_numpy(copy=True)
        if how.edits is not None:
            able &= passing_records(pool, how.edits)
        self.able = np.asarray(able, dtype=bool)
        last = -1 if how.collapse else len(how.by) - 1
        self.classes = [
            PoolClasses(pool, how.by[:used], filled)
            for used in range(len(how.by), last, -1)
        ]
        self._trees: dict[tuple[Any, ...], tuple[Ints, Any]] = {}
        self._ranks: dict[tuple[int, int], _ClassRanks] = {}

    def __getstate__(self) -> dict[str, Any]:
        # What is made again where it is needed is not sent to workers.
        return {**self.__dict__, "_trees": {}, "_ranks": {}}

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        draws: UnitDraws,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values with the label of the donor of each cell."""
        from mlstats.editimpute.donors import copied

        how = self.how
        full = checked_mask(frame, mask, numeric=how._numeric(), structural=structural)
        asked = _Asked(self, frame, full.to_numpy(), draws)
        for depth, classes in enumerate(self.classes):
            waiting = np.flatnonzero(asked.cells.any(axis=1) & (asked.donors < 0))
            if not len(waiting):
                break
            number = classes.of(frame[classes.by].iloc[waiting])
            asked.reasons[waiting[number < 0]] = "the class has no donors"
            for one in np.unique(number[number >= 0]):
                asked.find(depth, int(one), waiting[number == one])
        cells, donors = asked.cells, asked.donors
        return treatment(
            frame,
            copied(frame, cells, donors, self.pool),
            full,
            method="random donor" if how.random else "nearest donor",
            done=cells & (donors >= 0)[:, None],
            donors=donors,
            reasons=np.broadcast_to(asked.reasons[:, None], cells.shape),
            labels=self.pool.index,
        )

    def givers(self, depth: int, one: int) -> Ints:
        """Return the donors of a class."""
        members = self.classes[depth].members[one]
        return np.asarray(members[self.able[members]])

    def ranks(self, depth: int, one: int) -> _ClassRanks:
        """Return the ranks of a class."""
        if (depth, one) not in self._ranks:
            self._ranks[depth, one] = _ClassRanks(self.data[self.givers(depth, one)])
        return self._ranks[depth, one]

    def tree(
        self, depth: int, one: int, fields: Bools, able: Bools
    ) -> tuple[Ints, Any] | None:
        """Return the donors that can be compared in some fields, and their tree."""
        key = (depth, one, fields.tobytes(), able.tobytes())
        if key not in self._trees:
            given = self.givers(depth, one)
            points = self.ranks(depth, one).of(self.data[given])[:, fields]
            usable = able[given] & np.isfinite(points).all(axis=1)
            given, points = given[usable], points[usable]
            points = np.column_stack([points, _APART * self.mixed[given]])
            self._trees[key] = given, search_tree(points) if len(given) else None
        given, tree = self._trees[key]
        return None if tree is None else (given, tree)


class _ClassRanks:
    """Mid-ranks over ``N + 1`` among the donors of a class, of any value."""

    def __init__(self, values: Floats) -> None:
        self.ordered = [np.sort(column[np.isfinite(column)]) for column in values.T]

    def of(self, values: Floats) -> Floats:
        ranks = np.full(values.shape, np.nan)
        for j, ordered in enumerate(self.ordered):
            known = np.isfinite(values[:, j])
            below = np.searchsorted(ordered, values[known, j], "left")
            upto = np.searchsorted(ordered, values[known, j], "right")
            ranks[known, j] = (below + upto + 1) / 2 / (len(ordered) + 1)
        return ranks


class _Asked:
    """The recipients of a call, and what was found for them (written in place)."""

    def __init__(
        self, on: NearestOnPool, frame: pd.DataFrame, cells: Bools, draws: UnitDraws
    ) -> None:
        self.on, self.frame, self.cells, self.draws = on, frame, cells, draws
        self.donors = np.full(len(frame), -1)
        self.reasons = np.full(len(frame), "", dtype=object)
        self.data = on.how._numbers(frame, on.fields)
        places = frame.columns.get_indexer(pd.Index(on.fields))
        self.data[cells[:, places]] = np.nan
        after = on.how.post_edits
        self.post = None if after is None else PostEdits(after, frame, cells, on.pool)
        self.kinds: list[tuple[Bools, Bools]] = []
        self.keys = np.full(len(frame), -1)
        self._tell_kinds()

    def _tell_kinds(self) -> None:
        """Tell which donors and fields each recipient has, once for all classes."""
        rows = np.flatnonzero(self.cells.any(axis=1))
        used = self.on.how._used(self.frame, self.cells, rows, self.on.fields)
        for at, able in able_donors(self.on.gaps, self.cells[rows]):
            kinds, number = np.unique(used[at], axis=0, return_inverse=True)
            self.keys[rows[at]] = len(self.kinds) + number.reshape(-1)
            self.kinds += [(able, fields) for fields in kinds]

    def find(self, depth: int, one: int, rows: Ints) -> None:
        """Find the donors of recipients of a class."""
        how, given = self.on.how, self.on.givers(depth, one)
        if len(given) < max(how.min_donors, 1):
            self.reasons[rows] = (
                f"the class has {len(given)} donors of {how.min_donors} needed"
                if len(given)
                else "the class has no donors"
            )
            return
        keys = self.keys[rows]
        for key in np.unique(keys):
            who = rows[keys == key]
            able, fields = self.kinds[key]
            near = self._near(depth, one, who, fields, able)
            self.donors[who] = first_passing(self._passes, who, near)
        self.reasons[rows] = "no donor passes within the tries"

    def _near(self, depth: int, one: int, who: Ints, fields: Bools, able: Bools) -> Any:
        on, draws = self.on, self.draws.take(who)
        tries = on.how.tries
        if on.how.random or not fields.any():
            given = on.givers(depth, one)
            given = given[able[given]]
            if not len(given):
                return np.full((len(who), tries), -1)
            which = np.broadcast_to(np.arange(tries), (len(who), tries))
            drawn = draws.beside("random donor", which) * len(given)
            return given[drawn.astype(np.int64)]
        found = on.tree(depth, one, fields, able)
        if found is None:
            return np.full((len(who), tries), -1)
        given, tree = found
        points = on.ranks(depth, one).of(self.data[who])[:, fields]
        near = nearest_places(
            tree,
            np.column_stack([points, _APART * draws.numbers("among equals")]),
            tries,
            first=1 if self.post is None else tries,
            mixed=lambda rows, places: draws.take(rows).beside(
                "nearest donor", given[places]
            ),
        )
        return np.where(near < 0, -1, given[near])

    def _passes(self, recipients: Ints, donors: Ints) -> Bools:
        if self.post is None:
            return np.ones(len(recipients), dtype=bool)
        return self.post.passes(recipients, donors)

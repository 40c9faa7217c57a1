"""Hot-deck in classes: a random donor, or the last one seen in the file's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.editimpute.donors import class_rows, copied
from mlstats.editimpute.pool import FilledUp, PoolClasses, able_donors, cannot_fit
from mlstats.editimpute.treatment import Imputer, Treatment, checked_mask, treatment
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ConfigError

__all__ = ["HotDeck"]


class HotDeck(Imputer):
    """Impute all cells asked for in a record from one donor of its class.

    Parameters
    ----------
    by : sequence of str
        Columns that make the classes, the most important first.
    order : {"random", "sequential"}
        Draw the donor, or take the last one above the record in the file (the first
        one below where there is none above).
    collapse : bool
        Where a class has no donor, leave out its last column, and so on.
    min_donors : int
        Donors that a class must have to be used.

    Notes
    -----
    A donor misses none of the columns that are imputed in any record. A record
    without a class of enough donors keeps its cells, with the reason.
    """

    kind = "traditional"

    def __init__(
        self,
        by: Sequence[str] = (),
        *,
        order: str = "random",
        collapse: bool = True,
        min_donors: int = 1,
    ) -> None:
        self.by = list(by)
        self.order = order
        self.collapse = collapse
        self.min_donors = min_donors

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values with the donor of each cell."""
        if self.order not in ("random", "sequential"):
            raise ConfigError(
                f"There is no order {self.order!r}", expected="random or sequential"
            )
        numeric = [
            c
            for c in mask.columns
            if c in frame.columns and pd.api.types.is_numeric_dtype(frame[c])
        ]
        full = checked_mask(frame, mask, numeric=numeric, structural=structural)
        cells = full.to_numpy()
        asked = np.asarray(cells.any(axis=1))
        wanted = [c for c in frame.columns if full[c].any()]
        able = ~asked & frame[wanted].notna().all(axis=1).to_numpy()
        donors = np.full(len(frame), -1)
        rng = np.random.default_rng(seed)
        depth = range(len(self.by), -1 if self.collapse else len(self.by) - 1, -1)
        for used in depth:
            for rows in class_rows(frame, self.by[:used]):
                waiting = rows[asked[rows] & (donors[rows] < 0)]
                given = rows[able[rows]]
                if len(waiting) and len(given) >= max(self.min_donors, 1):
                    donors[waiting] = self._chosen(waiting, given, rng)
        reasons = np.full(cells.shape, "no class has enough donors", dtype=object)
        return treatment(
            frame,
            copied(frame, cells, donors),
            full,
            method=f"{self.order} hot-deck",
            done=cells & (donors >= 0)[:, None],
            donors=donors,
            reasons=reasons,
        )

    def fitted(
        self,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
        filled: FilledUp | None = None,
    ) -> _HotDeckOnPool:
        """Return the hot-deck with the pool as its donors.

        Raises
        ------
        ConfigError
            For the sequential hot-deck: the donors have no place in the file's order.
        """
        if self.order != "random":
            raise cannot_fit(
                f"A hot-deck in {self.order} order",
                "donors drawn from a file have no place in its order",
            )
        last = -1 if self.collapse else len(self.by) - 1
        depths = range(len(self.by), last, -1)
        classes = [PoolClasses(pool, self.by[:used], filled) for used in depths]
        return _HotDeckOnPool(self, pool, classes)

    def _chosen(
        self, waiting: np.ndarray, given: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        if self.order == "random":
            return rng.choice(given, size=len(waiting))
        place = np.searchsorted(given, waiting) - 1
        return np.asarray(given[np.maximum(place, 0)])


@dataclass(frozen=True, eq=False)
class _HotDeckOnPool:
    """The random hot-deck with given donors; a unit draws by its label."""

    deck: HotDeck
    pool: pd.DataFrame
    classes: list[PoolClasses]

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        draws: UnitDraws,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        full = checked_mask(frame, mask, structural=structural)
        cells = full.to_numpy()
        donors = np.full(len(frame), -1)
        gaps = self.pool.isna().to_numpy()
        for classes in self.classes:
            waiting = np.flatnonzero(cells.any(axis=1) & (donors < 0))
            number = classes.of(frame.iloc[waiting])
            for at, able in able_donors(gaps, cells[waiting]):
                for one in np.unique(number[at[number[at] >= 0]]):
                    given = classes.members[one]
                    given = given[able[given]]
                    if len(given) < max(self.deck.min_donors, 1):
                        continue
                    rows = waiting[at[number[at] == one]]
                    place = draws.take(rows).places("hot-deck", len(given))
                    donors[rows] = given[place]
        return treatment(
            frame,
            copied(frame, cells, donors, self.pool),
            full,
            method=f"{self.deck.order} hot-deck",
            done=cells & (donors >= 0)[:, None],
            donors=donors,
            reasons=np.full(cells.shape, "no class has enough donors", dtype=object),
            labels=self.pool.index,
        )

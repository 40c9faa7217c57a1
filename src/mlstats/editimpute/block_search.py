"""The search for least sets of variables to change, within one block of edits.

Every record has *cuts*: sets of variables one of which must change. At first they are
the variables of its failed edits. A cheapest hitting set of the cuts is a lower bound;
eliminating its variables from the edits tells whether the others can stay. If they can,
it is a solution of least weight. If not, an implied edit is broken whose variables are
none of the set: one cut more, and not only for this record but for all that break it.
Records with the same cuts are one group, an elimination is done once for all records,
and the restrictions found serve every later record.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.alternatives import Alternatives, TooManyCases
from mlstats.editimpute.blocks import Block
from mlstats.editimpute.elimination import Eliminator, RowStore, TooManyRows
from mlstats.editimpute.hitting import (
    TooManyNodes,
    bits,
    least_hitting_set,
    minimal_sets,
)

__all__ = ["BlockRecords", "BlockSearch", "Found", "Limits"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_POOL = 3_000  # implied edits that later chunks are tested on at once


_MOST_ROWS = 200_000  # bounds the memory: beyond these all is forgotten between chunks
_MOST_CUTS = 4_000
_MOST_SOLVED = 200_000


@dataclass(frozen=True)
class Limits:
    """Where the shared search gives a record up to the mixed-integer program."""

    most_rows: int = 600
    most_cases: int = 128
    most_rounds: int = 60
    most_nodes: int = 20_000


@dataclass(frozen=True)
class BlockRecords:
    """The records that have something to change in a block.

    Attributes
    ----------
    numbers, codes, missing : ndarray
        As in :class:`~mlstats.editimpute.compiled.Records`, of the block's variables.
    answered : ndarray of bool
        Missing values that stay missing, as answers.
    false : ndarray of bool, shape (n, clauses of the block)
        The clauses that do not hold.
    broken_integer : ndarray of bool, shape (n, variables of the block)
        Values that are no whole number but have to be.
    order : ndarray of int, shape (n,)
        Which of the drawn orders of the variables decides ties.
    """

    numbers: Floats
    codes: Ints
    missing: Bools
    answered: Bools
    false: Bools
    broken_integer: Bools
    order: Ints

    def __len__(self) -> int:
        return len(self.order)


@dataclass
class Found:
    """The answers: masks of variables to change, -1 none exists, -2 not settled."""

    masks: list[int]
    unsettled: list[int]


class BlockSearch:
    """The shared search; keeps what it learns from one call to the next.

    Parameters
    ----------
    block : Block
        The edits.
    costs : list of list of int
        Cost of every variable in each of the drawn orders.
    fixed : int
        Bits of the variables that are never changed.
    limits : Limits
        Where the search gives up.
    tolerance : float
        Of every comparison.
    """

    def __init__(
        self,
        block: Block,
        costs: list[list[int]],
        fixed: int,
        limits: Limits,
        tolerance: float,
    ) -> None:
        self.block = block
        self.costs = costs
        self.fixed = fixed
        self.limits = limits
        self.store = RowStore(block.n_numeric, tolerance)
        self.eliminator = Eliminator(self.store, block.rows, limits.most_rows)
        self.alternatives = Alternatives(
            block, self.store, self.eliminator, limits.most_cases
        )
        self._pool: list[int] = []
        self._pooled: set[int] = set()
        self._cuts: list[int] = []
        self._cut_at: dict[int, int] = {}
        self._families: dict[tuple[bytes, int], tuple[int, ...]] = {}
        self._solved: dict[tuple[tuple[int, ...], int], int | None] = {}
        self._prepare()

    @property
    def is_full(self) -> bool:
        """Tell whether so much was learnt that a new search should take over."""
        return len(self.store.rows) > _MOST_ROWS or len(self._cuts) > _MOST_CUTS

    def _prepare(self) -> None:
        """Learn the edits implied by eliminating one variable."""
        for j in range(self.block.n_numeric):
            try:
                left = self.eliminator.left(1 << j)
            except TooManyRows:
                continue
            self._remember(int(number) for number in left)

    def _remember(self, numbers: object) -> list[int]:
        new = []
        for number in numbers:  # type: ignore[attr-defined]
            if number not in self._pooled and self.store.rows[number].mask:
                self._pooled.add(number)
                self._pool.append(number)
                new.append(number)
        return new

    def _cut(self, mask: int) -> int:
        at = self._cut_at.get(mask)
        if at is None:
            at = self._cut_at[mask] = len(self._cuts)
            self._cuts.append(mask)
        return at

    def search(self, records: BlockRecords) -> Found:
        """Return the set to change of every record."""
        return _Chunk(self, records).run()

    def solve(self, cuts: bytes, order: int, missing: int) -> int | None:
        """Return the cheapest set that hits cuts and holds the missing values.

        `cuts` are their numbers, as the bytes of 32-bit integers.
        """
        if len(self._families) + len(self._solved) > _MOST_SOLVED:
            self._families.clear()
            self._solved.clear()
        family = self._families.get((cuts, missing))
        if family is None:
            masks = (self._cuts[at] for at in np.frombuffer(cuts, dtype=np.int32))
            open_ones = [mask & ~self.fixed for mask in masks if not mask & missing]
            family = self._families[cuts, missing] = tuple(minimal_sets(open_ones))
        if (family, order) not in self._solved:
            # Many patterns of failed edits come down to the same few cuts.
            self._solved[family, order] = least_hitting_set(
                family, self.costs[order], self.limits.most_nodes, are_minimal=True
            )
        found = self._solved[family, order]
        return None if found is None else found | missing


class _Chunk:
    """The records of one call, while they wait for their answer."""

    def __init__(self, search: BlockSearch, records: BlockRecords) -> None:
        self.search = search
        self.records = records
        self.magnitude = np.abs(records.numbers)
        self.found = Found([-1] * len(records), [])
        self.waiting = np.arange(len(records))
        self.broken = np.zeros((len(records), 64), dtype=bool)
        self.flagged = records.missing & ~records.answered
        self.missing = _as_masks(self.flagged)
        self.any_missing = bool(self.flagged.any())

    def run(self) -> Found:
        self._first_cuts()
        for _ in range(self.search.limits.most_rounds):
            if not len(self.waiting):
                return self.found
            self._round()
        self.found.unsettled.extend(int(i) for i in self.waiting)
        return self.found

    def _first_cuts(self) -> None:
        search, block = self.search, self.search.block
        everyone = self.waiting
        for at, mask in enumerate(block.supports):
            rows = np.flatnonzero(self.records.false[:, at])
            if len(rows):
                self._set(search._cut(mask), mask, rows)
        for place in np.flatnonzero(self.records.broken_integer.any(axis=0)):
            rows = np.flatnonzero(self.records.broken_integer[:, place])
            self._set(search._cut(1 << int(place)), 1 << int(place), rows)
        self._test_implied(search._pool[:_POOL], everyone)

    def _set(self, at: int, mask: int, rows: Ints) -> None:
        if at >= self.broken.shape[1]:
            wider = np.zeros((len(self.broken), 2 * at), dtype=bool)
            wider[:, : self.broken.shape[1]] = self.broken
            self.broken = wider
        if self.any_missing:
            # An edit with a missing value is hit already, whatever it says.
            rows = rows[~self.flagged[rows][:, bits(mask)].any(axis=1)]
        self.broken[rows, at] = True

    def _test_implied(self, numbers: list[int], rows: Ints) -> None:
        if not numbers or not len(rows):
            return
        store = self.search.store
        for start in range(0, len(numbers), 512):
            part = np.array(numbers[start : start + 512], dtype=np.int64)
            violated = store.violated(
                part, self.records.numbers[rows], self.magnitude[rows]
            )
            for i in np.flatnonzero(violated.any(axis=0)):
                mask = store.rows[part[i]].mask
                self._set(self.search._cut(mask), mask, rows[violated[:, i]])

    def _round(self) -> None:
        candidates = self._candidates()
        learnt: list[int] = []
        still: list[npt.NDArray[np.int64]] = []
        for mask, rows in candidates.items():
            try:
                rest, new = self._tested(mask, np.concatenate(rows))
            except (TooManyRows, TooManyCases):
                self.found.unsettled.extend(int(i) for r in rows for i in r)
                continue
            learnt += new
            still.append(rest)
        self.waiting = np.concatenate(still) if still else self.waiting[:0]
        self._test_implied(self.search._remember(learnt), self.waiting)

    def _candidates(self) -> dict[int, list[Ints]]:
        """Return the cheapest set of each group of records with the same cuts."""
        search = self.search
        broken = self.broken[self.waiting, : len(search._cuts)]
        used = np.flatnonzero(broken.any(axis=0)).astype(np.int32)
        packed = np.packbits(broken[:, used], axis=1)
        flagged = np.packbits(self.flagged[self.waiting], axis=1)
        order = self.records.order[self.waiting].astype(np.uint8)[:, None]
        key = np.ascontiguousarray(np.hstack([packed, flagged, order]))
        groups: dict[bytes, list[int]] = defaultdict(list)
        width = key.shape[1]
        raw = key.tobytes()
        for i in range(len(key)):
            groups[raw[i * width : (i + 1) * width]].append(i)
        candidates: dict[int, list[Ints]] = defaultdict(list)
        for members in groups.values():
            first = members[0]
            rows = self.waiting[members]
            cuts = used[broken[first, used]].tobytes()
            try:
                mask = search.solve(cuts, int(order[first, 0]), self.missing[rows[0]])
            except TooManyNodes:
                self.found.unsettled.extend(int(i) for i in rows)
                continue
            if mask is not None:
                candidates[mask].append(rows)
        return candidates

    def _tested(self, mask: int, rows: Ints) -> tuple[Ints, list[int]]:
        """Return the records for which a set does not do, and what that teaches."""
        search = self.search
        numeric = mask & ((1 << search.block.n_numeric) - 1)
        left = search.eliminator.left(numeric)
        learnt: list[int] = []
        failed = np.zeros(len(rows), dtype=bool)
        if len(left):
            violated = search.store.violated(
                left, self.records.numbers[rows], self.magnitude[rows]
            )
            failed = np.asarray(violated.any(axis=1))
            if failed.any():
                sizes = np.where(
                    violated[failed], search.store.sizes(left), np.iinfo(np.int64).max
                )
                learnt = [int(n) for n in np.unique(left[sizes.argmin(axis=1)])]
        rest = [rows[failed]]
        good = rows[~failed]
        if search.alternatives.touches(mask) and len(good):
            passed = np.zeros(len(self.found.masks), dtype=bool)
            for cut, stuck in search.alternatives.stuck(mask, good, self.records):
                passed[stuck] = True
                if cut & ~search.fixed:
                    self._set(search._cut(cut), cut, stuck)
                    rest.append(stuck)
            good = good[~passed[good]]
        for i in good:
            self.found.masks[i] = mask
        return np.concatenate(rest), learnt


def _as_masks(flags: Bools) -> list[int]:
    packed = np.packbits(flags, axis=1, bitorder="little")
    width = packed.shape[1]
    raw = np.ascontiguousarray(packed).tobytes()
    return [
        int.from_bytes(raw[i * width : (i + 1) * width], "little")
        for i in range(len(flags))
    ]

"""The searches of all blocks, put together to the answers of records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.block_search import BlockRecords, BlockSearch, Found, Limits
from mlstats.editimpute.blocks import Block, independent_blocks
from mlstats.editimpute.compiled import CompiledEdits, Records
from mlstats.editimpute.hitting import bits
from mlstats.editimpute.localise_milp import (
    BlockRecord,
    OutOfTime,
    can_stay,
    localise_record,
)
from mlstats.editimpute.whole_numbers import fits_whole_numbers
from mlstats.errors import MethodError

__all__ = ["Answers", "Settings", "WholeSearch"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PASS, SOLVED, LIMIT, NONE, TIME = range(5)
_NO_SET, _NO_TIME = -1, -2


@dataclass(frozen=True)
class Settings:
    """What a localisation was asked for.

    Attributes
    ----------
    weights : ndarray of float, shape (variables,)
        Infinite for a variable that is never changed.
    ranks : ndarray of int, shape (orders, variables)
        The numbers that decide ties.
    limit : float or None
        Largest weight.
    seconds : float
        For a record that needs the mixed-integer program.
    limits : Limits
        Of the shared search.
    """

    weights: Floats
    ranks: Ints
    limit: float | None
    seconds: float
    limits: Limits


@dataclass
class Answers:
    """The answers of all records, filled block by block."""

    changes: Bools
    status: Ints
    weight: Floats
    by_program: Bools

    @classmethod
    def empty(cls, n: int, variables: int) -> Answers:
        """Return answers that change nothing."""
        return cls(
            np.zeros((n, variables), dtype=bool),
            np.zeros(n, dtype=np.int64),
            np.zeros(n),
            np.zeros(n, dtype=bool),
        )


class WholeSearch:
    """The searches of the blocks; they keep what they learn.

    Parameters
    ----------
    compiled : CompiledEdits
        The edits.
    settings : Settings
        What is asked for.
    """

    def __init__(self, compiled: CompiledEdits, settings: Settings) -> None:
        self.compiled = compiled
        self.settings = settings
        self._searches: dict[frozenset[int], list[BlockSearch]] = {}

    def mend(
        self,
        records: Records,
        false: Bools,
        broken: Bools,
        order: Ints,
        answers: Answers,
        rows: Ints,
    ) -> None:
        """Find what is to be changed in records, and write it into the answers."""
        answered = np.zeros_like(records.missing)
        for place in self.compiled.missing_allowed:
            answered[:, place] = records.missing[:, place] & ~records.invalid[:, place]
        patterns, group = np.unique(answered, axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            members = np.flatnonzero(group.reshape(-1) == i)
            left_out = frozenset(int(j) for j in np.flatnonzero(pattern))
            part = _Part(
                records.take(members),
                answered[members],
                false[members],
                broken[members],
                order[members],
            )
            self._mend_part(part, left_out, answers, rows[members])

    def _mend_part(
        self, part: _Part, left_out: frozenset[int], answers: Answers, rows: Ints
    ) -> None:
        wanted = part.records.missing & ~part.answered
        changes = wanted.copy()
        worst = np.full(len(rows), SOLVED)
        for search in self._of(left_out):
            at = part.rows_of(search.block)
            if not len(at):
                continue
            masks, by_program = self._block(search, part.of_block(search.block, at))
            answers.by_program[rows[at[by_program]]] = True
            for i, mask in zip(at, masks, strict=True):
                if mask < 0:
                    worst[i] = max(worst[i], NONE if mask == _NO_SET else TIME)
                else:
                    changes[i, [search.block.places[j] for j in bits(mask)]] = True
        finite = np.isfinite(self.settings.weights)
        counted = np.where(finite, self.settings.weights, 1.0)
        weight = np.where(changes, counted, 0.0).sum(axis=1)
        if self.settings.limit is not None:
            over = (worst == SOLVED) & (weight > self.settings.limit + 1e-9)
            worst[over] = LIMIT
        unsolved = worst != SOLVED
        changes[unsolved] = wanted[unsolved]
        weight[unsolved] = np.nan
        worst[~unsolved & ~changes.any(axis=1)] = PASS
        answers.changes[rows] = changes
        answers.status[rows] = worst
        answers.weight[rows] = weight

    def _of(self, left_out: frozenset[int]) -> list[BlockSearch]:
        if left_out not in self._searches:
            blocks = independent_blocks(self.compiled, left_out)
            self._searches[left_out] = [self._search(b, left_out) for b in blocks]
        self._searches[left_out] = [
            self._search(one.block, left_out) if one.is_full else one
            for one in self._searches[left_out]
        ]
        return self._searches[left_out]

    def _search(self, block: Block, left_out: frozenset[int]) -> BlockSearch:
        weights = self.settings.weights[list(block.places)]
        fixed = sum(
            1 << i
            for i, place in enumerate(block.places)
            if place in left_out or not np.isfinite(weights[i])
        )
        whole = np.rint(np.where(np.isfinite(weights), weights, 1.0) * 1e6)
        # The lowest bits name the set: sets that draws leave equal are told apart the
        # same way whatever was learnt from other records.
        n = len(block.places)
        costs = [
            [
                (((int(w) << 26) + int(r)) << n) + (1 << j)
                for j, (w, r) in enumerate(zip(whole, ranks, strict=True))
            ]
            for ranks in self.settings.ranks[:, list(block.places)]
        ]
        return BlockSearch(
            block, costs, fixed, self.settings.limits, self.compiled.tolerance
        )

    def _block(
        self, search: BlockSearch, records: BlockRecords
    ) -> tuple[list[int], list[int]]:
        """Return the sets of a block's records, and which a program answered."""
        found = search.search(records)
        unsettled = dict.fromkeys(found.unsettled)
        for mask, rows in _with_whole_numbers(search.block, found).items():
            doubtful = rows
            if not search.alternatives.touches(mask):
                fits = fits_whole_numbers(
                    search.eliminator, mask, records.numbers[rows], search.block.integer
                )
                doubtful = rows[~fits]
            for i in doubtful:
                if not self._stays(search.block, _record(records, i), mask):
                    unsettled[int(i)] = None
        weights = self.settings.weights[list(search.block.places)]
        ranks = self.settings.ranks[:, list(search.block.places)]
        for i in unsettled:
            costs = weights + 1e-9 * ranks[records.order[i]] / 2**16
            found.masks[i] = self._program(search.block, _record(records, i), costs)
        return found.masks, list(unsettled)

    def _stays(self, block: Block, record: BlockRecord, mask: int) -> bool:
        try:
            return can_stay(block, record, mask, self.compiled.tolerance)
        except MethodError:
            return False

    def _program(self, block: Block, record: BlockRecord, costs: Floats) -> int:
        try:
            mask = localise_record(block, record, costs, seconds=self.settings.seconds)
        except (OutOfTime, MethodError):
            return _NO_TIME
        return _NO_SET if mask is None else mask


@dataclass(frozen=True)
class _Part:
    """Records for which the same edits are applicable."""

    records: Records
    answered: Bools
    false: Bools
    broken: Bools
    order: Ints

    def rows_of(self, block: Block) -> Ints:
        """Return the records with something to mend in a block."""
        places = list(block.places)
        wanted = self.records.missing[:, places] & ~self.answered[:, places]
        some = wanted.any(axis=1) | self.broken[:, places].any(axis=1)
        return np.flatnonzero(some | self.false[:, block.clause_numbers].any(axis=1))

    def of_block(self, block: Block, rows: Ints) -> BlockRecords:
        """Return the block's view of some records."""
        places = np.array(block.places, dtype=np.int64)
        numeric = places[: block.n_numeric]
        categorical = places[block.n_numeric :] - self.records.numbers.shape[1]
        return BlockRecords(
            numbers=self.records.numbers[np.ix_(rows, numeric)],
            codes=self.records.codes[np.ix_(rows, categorical)],
            missing=self.records.missing[np.ix_(rows, places)],
            answered=self.answered[np.ix_(rows, places)],
            false=self.false[np.ix_(rows, np.array(block.clause_numbers, dtype=int))],
            broken_integer=self.broken[np.ix_(rows, places)],
            order=self.order[rows],
        )


def _with_whole_numbers(block: Block, found: Found) -> dict[int, Ints]:
    """Return the records of each set in which there is a whole number."""
    whole = sum(1 << j for j in block.integer)
    unsettled = set(found.unsettled)
    rows: dict[int, list[int]] = {}
    for i, mask in enumerate(found.masks):
        if mask > 0 and mask & whole and i not in unsettled:
            rows.setdefault(mask, []).append(i)
    return {mask: np.array(some, dtype=np.int64) for mask, some in rows.items()}


def _record(records: BlockRecords, i: int) -> BlockRecord:
    wanted = records.missing[i] & ~records.answered[i]
    return BlockRecord(
        records.numbers[i],
        records.codes[i],
        sum(1 << int(j) for j in np.flatnonzero(wanted)),
        sum(1 << int(j) for j in np.flatnonzero(records.answered[i])),
    )

"""Edits with alternatives, once the variables to change are chosen.

For a chosen set of variables each such edit that has one of them is either kept by the
values that stay, or must be kept by one of its alternatives that hold a chosen
variable. Every way to choose these is a case: a system of linear restrictions, and the
codes that are left for the chosen categories. A record needs one case that works.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.blocks import Block
from mlstats.editimpute.compiled import Choice, Row, State, support
from mlstats.editimpute.elimination import Eliminator, Restriction, RowStore
from mlstats.editimpute.evaluation import choice_table, rows_hold

if TYPE_CHECKING:
    from mlstats.editimpute.block_search import BlockRecords

__all__ = ["Alternatives", "TooManyCases"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class TooManyCases(Exception):  # noqa: N818
    """The alternatives of a set of variables are too many to go through."""


@dataclass(frozen=True)
class _Open:
    """A clause of which a chosen set holds a variable."""

    inside: tuple[Row | Choice, ...]
    outside: tuple[Row | Choice | State, ...]
    outside_mask: int


class Alternatives:
    """The clauses of a block that are not plain linear edits.

    Parameters
    ----------
    block : Block
        The edits.
    store, eliminator
        Of the linear restrictions.
    most_cases : int
        More cases than this are not gone through.
    """

    def __init__(
        self, block: Block, store: RowStore, eliminator: Eliminator, most_cases: int
    ) -> None:
        self.block = block
        self.store = store
        self.eliminator = eliminator
        self.most_cases = most_cases
        self.numbers = block.conditional
        self.mask = 0
        for i in self.numbers:
            self.mask |= block.supports[i]
        self._rows: dict[Row, Restriction | None] = {}
        self._open: dict[int, list[_Open]] = {}
        self._cases: dict[
            tuple[int, tuple[int, ...]], list[tuple[Restriction, ...]]
        ] = {}

    def touches(self, mask: int) -> bool:
        """Tell whether a set of variables has to do with these clauses."""
        return bool(mask & self.mask)

    def stuck(
        self, mask: int, rows: Ints, records: BlockRecords
    ) -> Iterator[tuple[int, Ints]]:
        """Yield cuts, and the records that no case of a set can help.

        A cut is the bits of variables one of which must change too.
        """
        clauses = self._clauses(mask)
        kept = np.column_stack(
            [self._kept(clause, rows, records) for clause in clauses]
        )
        patterns, group = np.unique(kept, axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            members = rows[group.reshape(-1) == i]
            needed = tuple(int(k) for k in np.flatnonzero(~pattern))
            yield from self._stuck(mask, clauses, needed, members, records)

    def _clauses(self, mask: int) -> list[_Open]:
        if mask not in self._open:
            made = []
            for i in self.numbers:
                if self.block.supports[i] & mask:
                    inside, outside = [], []
                    for atom in self.block.clauses[i]:
                        if not isinstance(atom, State) and support((atom,)) & mask:
                            inside.append(atom)
                        else:
                            outside.append(atom)
                    fixed = tuple(a for a in outside if not isinstance(a, State))
                    made.append(_Open(tuple(inside), tuple(outside), support(fixed)))
            self._open[mask] = made
        return self._open[mask]

    def _kept(self, clause: _Open, rows: Ints, records: BlockRecords) -> Bools:
        """Tell which records keep a clause by values that stay."""
        true = np.zeros(len(rows), dtype=bool)
        linear = [atom for atom in clause.outside if isinstance(atom, Row)]
        if linear:
            holds = rows_hold(linear, records.numbers[rows], self.store.tolerance)
            for i, row in enumerate(linear):
                places = [place for place, _ in row.terms]
                lacking = records.answered[rows][:, places].any(axis=1)
                true |= holds[:, i] & ~lacking
        for atom in clause.outside:
            if isinstance(atom, Choice):
                table = choice_table(atom, self.block.n_codes[atom.place])
                true |= table[records.codes[rows, atom.place - self.block.n_numeric]]
            elif isinstance(atom, State):
                true |= records.answered[rows, atom.place] != atom.negated
        return true

    def _stuck(
        self,
        mask: int,
        clauses: list[_Open],
        needed: tuple[int, ...],
        rows: Ints,
        records: BlockRecords,
    ) -> Iterator[tuple[int, Ints]]:
        cases = self._cases_of(mask, clauses, needed)
        numeric = mask & ((1 << self.block.n_numeric) - 1)
        cut = 0
        for k in needed:
            cut |= clauses[k].outside_mask
        cuts = [cut] * len(rows)
        failing = np.arange(len(rows))
        for extra in cases:
            left = self.eliminator.left(numeric, extra)
            if not len(left) or not len(failing):
                return
            numbers = records.numbers[rows[failing]]
            violated = self.store.violated(left, numbers, np.abs(numbers))
            stays = violated.any(axis=1)
            failing, violated = failing[stays], violated[stays]
            sizes = np.where(violated, self.store.sizes(left), np.iinfo(np.int64).max)
            for i, k in zip(failing, sizes.argmin(axis=1), strict=True):
                cuts[i] |= self.store.rows[left[k]].mask
        found: dict[int, list[int]] = {}
        for i in failing:
            found.setdefault(cuts[i], []).append(int(rows[i]))
        for bits, members in found.items():
            yield bits, np.array(members, dtype=np.int64)

    def _cases_of(
        self, mask: int, clauses: list[_Open], needed: tuple[int, ...]
    ) -> list[tuple[Restriction, ...]]:
        """Return the restrictions of every case that the categories allow."""
        key = (mask, needed)
        if key not in self._cases:
            found: dict[frozenset[int], tuple[Restriction, ...]] = {}
            states: list[tuple[dict[int, int], tuple[Restriction, ...]]] = [({}, ())]
            for k in sorted(needed, key=lambda k: len(clauses[k].inside)):
                states = [
                    after
                    for state in states
                    for atom in clauses[k].inside
                    if (after := self._after(atom, *state)) is not None
                ]
                if len(states) > 8 * self.most_cases:
                    raise TooManyCases
            for _, extra in states:
                found.setdefault(frozenset(row.number for row in extra), extra)
            if len(found) > self.most_cases:
                raise TooManyCases
            self._cases[key] = list(found.values())
        return self._cases[key]

    def _after(
        self,
        atom: Row | Choice,
        codes: dict[int, int],
        extra: tuple[Restriction, ...],
    ) -> tuple[dict[int, int], tuple[Restriction, ...]] | None:
        if isinstance(atom, Choice):
            domain = codes.get(atom.place, self.block.domains[atom.place])
            left = domain & atom.codes
            return ({**codes, atom.place: left}, extra) if left else None
        if atom not in self._rows:
            made = self.eliminator.restrictions([atom])
            self._rows[atom] = made[0] if made else None
        row = self._rows[atom]
        if row is None or row in extra:
            return codes, extra
        return codes, (*extra, row)

"""Independent blocks of edits: variables that no edit connects are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlstats.editimpute.compiled import (
    CompiledAtom,
    CompiledEdits,
    Row,
    State,
    support,
)

__all__ = ["Block", "independent_blocks", "whole_block"]

Atoms = tuple[CompiledAtom, ...]


@dataclass(frozen=True)
class Block:
    """A part of the edits, over places of its own.

    Attributes
    ----------
    places : tuple of int
        Places in the whole set, numeric variables first.
    n_numeric : int
        How many of them are numeric.
    clause_numbers : tuple of int
        Of its clauses in the whole set.
    clauses : tuple of clauses
        Over the places of the block.
    supports : tuple of int
        The variables of each clause that a change can turn, as bits.
    integer : frozenset of int
        Places of the block that are whole numbers.
    domains : dict
        Place of a category in the block -> bits of its codes.
    n_codes : dict
        Place of a category in the block -> number of its codes.
    """

    places: tuple[int, ...]
    n_numeric: int
    clause_numbers: tuple[int, ...]
    clauses: tuple[Atoms, ...]
    supports: tuple[int, ...]
    integer: frozenset[int]
    domains: dict[int, int]
    n_codes: dict[int, int]

    @property
    def rows(self) -> list[Row]:
        """Return the linear edits without alternatives."""
        return [c[0] for c in self.clauses if len(c) == 1 and isinstance(c[0], Row)]

    @property
    def conditional(self) -> list[int]:
        """Return the places in `clauses` of all others."""
        return [
            i
            for i, c in enumerate(self.clauses)
            if len(c) > 1 or not isinstance(c[0], Row)
        ]


def independent_blocks(
    compiled: CompiledEdits, left_out: frozenset[int] = frozenset()
) -> list[Block]:
    """Return the blocks of edits that share no variable.

    Parameters
    ----------
    compiled : CompiledEdits
        All edits.
    left_out : frozenset of int
        Places of variables whose edits are not applicable.
    """
    out = sum(1 << place for place in left_out)
    kept = [
        i
        for i, clause in enumerate(compiled.clauses)
        if not compiled.supports[i] & out
        or any(isinstance(atom, State) for atom in clause)
    ]
    groups: list[tuple[int, list[int]]] = []
    for i in kept:
        bits, members = compiled.supports[i], [i]
        apart = []
        for mask, numbers in groups:
            if mask & bits:
                bits, members = bits | mask, numbers + members
            else:
                apart.append((mask, numbers))
        groups = [*apart, (bits, members)]
    alone = compiled.integer
    made = [_block(compiled, mask, sorted(numbers)) for mask, numbers in groups]
    used = sum(mask for mask, _ in groups)
    made += [_block(compiled, 1 << j, []) for j in sorted(alone) if not used >> j & 1]
    return sorted(made, key=lambda block: block.places)


def whole_block(compiled: CompiledEdits) -> Block:
    """Return all edits as one block, with the places of the set."""
    return _block(
        compiled, (1 << len(compiled.names)) - 1, range(len(compiled.clauses))
    )


def _block(compiled: CompiledEdits, mask: int, numbers: Sequence[int]) -> Block:
    places = [j for j in range(len(compiled.names)) if mask >> j & 1]
    local = {place: i for i, place in enumerate(places)}
    clauses = tuple(
        tuple(_moved(atom, local) for atom in compiled.clauses[i]) for i in numbers
    )
    changeable = (
        tuple(atom for atom in clause if not isinstance(atom, State))
        for clause in clauses
    )
    return Block(
        places=tuple(places),
        n_numeric=sum(j < compiled.n_numeric for j in places),
        clause_numbers=tuple(numbers),
        clauses=clauses,
        supports=tuple(support(clause) for clause in changeable),
        integer=frozenset(local[j] for j in places if j in compiled.integer),
        domains={local[j]: compiled.domains[j] for j in places if j in compiled.codes},
        n_codes={
            local[j]: len(compiled.codes[j]) + 1 for j in places if j in compiled.codes
        },
    )


def _moved(atom: CompiledAtom, local: dict[int, int]) -> CompiledAtom:
    if isinstance(atom, Row):
        terms = tuple((local[place], value) for place, value in atom.terms)
        return replace(atom, terms=terms)
    return replace(atom, place=local[atom.place])

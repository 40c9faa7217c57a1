"""Verification of a set of edits, before any record is seen.

Consistency with a minimal conflicting subset, redundant and implied edits, bounds,
variables with one value only and inequalities that always hold as equalities.
"""

from __future__ import annotations

from collections.abc import Iterable

from mlstats.editimpute.blocks import independent_blocks
from mlstats.editimpute.compiled import CompiledEdits, compile_edits
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.feasibility import Problem
from mlstats.errors import ConfigError

__all__ = ["conflict", "refuse_conflict"]


def _problem(compiled: CompiledEdits, clauses: Iterable[int]) -> Problem:
    return Problem(
        compiled.n_numeric,
        [compiled.clauses[i] for i in clauses],
        compiled.domains,
        compiled.integer,
    )


def _is_possible(compiled: CompiledEdits, clauses: Iterable[int]) -> bool:
    return _problem(compiled, clauses).point() is not None


def refuse_conflict(edits: EditSet, compiled: CompiledEdits) -> None:
    """Stop where no record can keep all edits.

    Raises
    ------
    ConfigError
        Naming a minimal conflicting subset.
    """
    for block in independent_blocks(compiled):
        if not _is_possible(compiled, block.clause_numbers):
            names = _minimal(edits, compiled, list(block.clause_numbers))
            raise ConfigError(
                "The edits contradict each other, no record can keep them",
                where="edits " + ", ".join(repr(name) for name in names),
                expected="edits that some record keeps; without one of these the "
                "others can be kept",
            )


def conflict(edits: EditSet) -> list[str]:
    """Return the ids of a minimal set of hard edits that contradict each other.

    Without any one of them the others can be kept; empty where all can.

    Examples
    --------
    >>> conflict(EditSet.from_texts(["a >= b", "b >= a + 1", "a >= 0"]))
    ['E1', 'E2']
    """
    hard = edits.hard()
    compiled = compile_edits(hard)
    for block in independent_blocks(compiled):
        if not _is_possible(compiled, block.clause_numbers):
            return _minimal(hard, compiled, list(block.clause_numbers))
    return []


def _minimal(edits: EditSet, compiled: CompiledEdits, clauses: list[int]) -> list[str]:
    """Leave out one edit after the other, as long as the conflict stays."""
    kept = list(dict.fromkeys(compiled.owner[i] for i in clauses))
    for owner in reversed(kept.copy()):
        rest = [i for i in clauses if compiled.owner[i] != owner]
        if not _is_possible(compiled, rest):
            clauses = rest
            kept.remove(owner)
    return [edits.edits[owner].id for owner in kept]

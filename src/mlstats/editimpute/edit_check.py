"""Verification of a set of edits, before any record is seen.

Consistency with a minimal conflicting subset, redundant and implied edits, bounds,
variables with one value only and inequalities that always hold as equalities. Soft
edits are left aside. What is told is told of all numbers, not of whole ones only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.blocks import Block, independent_blocks
from mlstats.editimpute.compiled import (
    Choice,
    CompiledAtom,
    CompiledEdits,
    Row,
    State,
    compile_edits,
)
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.elimination import Eliminator, RowStore, TooManyRows
from mlstats.editimpute.feasibility import Problem
from mlstats.errors import ConfigError, MethodError

__all__ = ["Verification", "conflict", "implied_edits", "refuse_conflict", "verify"]

Clause = tuple[CompiledAtom, ...]
_CLOSE = 1e-7  # relative: what HiGHS tells apart


@dataclass(frozen=True)
class Verification:
    """What is true of a set of edits.

    Attributes
    ----------
    conflicting : tuple of str
        A minimal set of edits that contradict each other; empty where all can be
        kept. What follows is then empty.
    redundant : tuple of str
        Edits that can be left out, all together, without a record passing more.
    hidden_equalities : tuple of str
        Inequalities that can hold as equalities only.
    bounds : DataFrame
        Columns variable, least, most (infinite where there is no bound), determined
        (only one value is possible), status (``measured`` or ``not_measured``) and
        reason.
    blocks : tuple of tuple of str
        The variables of each independent block.
    """

    conflicting: tuple[str, ...]
    redundant: tuple[str, ...]
    hidden_equalities: tuple[str, ...]
    bounds: pd.DataFrame
    blocks: tuple[tuple[str, ...], ...]

    @property
    def is_consistent(self) -> bool:
        """Tell whether some record keeps all edits."""
        return not self.conflicting


def verify(edits: EditSet, *, period: str | None = None) -> Verification:
    """Verify the hard edits of a set.

    Parameters
    ----------
    edits : EditSet
        The edits.
    period : str, optional
        Only the edits that hold in this reference period.

    Examples
    --------
    >>> edits = EditSet.from_texts(
    ...     ["a + b == 10", "a >= 0", "b >= 0", "a <= 20", "b <= 3"]
    ... )
    >>> found = verify(edits)
    >>> found.redundant
    ('E2', 'E4')
    >>> found.bounds[["variable", "least", "most"]].to_numpy().tolist()
    [['a', 7.0, 10.0], ['b', 0.0, 3.0]]
    """
    hard = edits.at(period).hard()
    compiled = compile_edits(hard)
    found = conflict(hard)
    blocks = independent_blocks(compiled)
    checks = [] if found else [_Check(hard, compiled, block) for block in blocks]
    bounds = [row for check in checks for row in check.bounds()]
    columns = ["variable", "least", "most", "determined", "status", "reason"]
    names = [[compiled.names[j] for j in block.places] for block in blocks]
    return Verification(
        conflicting=tuple(found),
        redundant=tuple(name for check in checks for name in check.redundant()),
        hidden_equalities=tuple(name for check in checks for name in check.hidden()),
        bounds=pd.DataFrame(bounds, columns=columns),
        blocks=tuple(tuple(block) for block in names),
    )


def refuse_conflict(edits: EditSet, compiled: CompiledEdits) -> None:
    """Stop where no record can keep all edits.

    Raises
    ------
    ConfigError
        Naming a minimal conflicting subset.
    """
    names = _conflict(edits, compiled)
    if names:
        raise ConfigError(
            "The edits contradict each other, no record can keep them",
            where="edits " + ", ".join(repr(name) for name in names),
            expected="edits that some record keeps; without any one of these the "
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
    return _conflict(hard, compile_edits(hard))


def _conflict(edits: EditSet, compiled: CompiledEdits) -> list[str]:
    for block in independent_blocks(compiled):
        if not _is_possible(compiled, block.clause_numbers):
            return _minimal(edits, compiled, list(block.clause_numbers))
    return []


def _is_possible(compiled: CompiledEdits, clauses: Iterable[int]) -> bool:
    problem = Problem(
        compiled.n_numeric,
        [compiled.clauses[i] for i in clauses],
        compiled.domains,
        compiled.integer,
    )
    return problem.point() is not None


def _minimal(edits: EditSet, compiled: CompiledEdits, clauses: list[int]) -> list[str]:
    """Leave out one edit after the other, as long as the conflict stays."""
    kept = list(dict.fromkeys(compiled.owner[i] for i in clauses))
    for owner in reversed(kept.copy()):
        rest = [i for i in clauses if compiled.owner[i] != owner]
        if not _is_possible(compiled, rest):
            clauses = rest
            kept.remove(owner)
    return [edits.edits[owner].id for owner in kept]


class _Check:
    """The questions asked of one block."""

    def __init__(self, edits: EditSet, compiled: CompiledEdits, block: Block) -> None:
        self.block = block
        self.owner = [compiled.owner[i] for i in block.clause_numbers]
        self.ids = [edit.id for edit in edits.edits]
        self.names = [compiled.names[j] for j in block.places]

    def bounds(self) -> list[tuple[str, float, float, bool, str, str]]:
        """Return the bounds of the numeric variables."""
        found = []
        for j in range(self.block.n_numeric):
            try:
                least = self._least(self.block.clauses, ((j, 1.0),))
                most = 0.0 - self._least(self.block.clauses, ((j, -1.0),))
            except MethodError as error:
                row = (self.names[j], np.nan, np.nan, False)
                found.append((*row, "not_measured", error.title))
                continue
            fixed = np.isfinite(least) and most - least <= _CLOSE * (1 + abs(least))
            row = (self.names[j], least, most, bool(fixed))
            found.append((*row, "measured", ""))
        return found

    def redundant(self) -> list[str]:
        """Return the edits that follow from the others, later ones first."""
        found: list[str] = []
        kept = dict.fromkeys(self.owner)
        for owner in reversed(list(kept)):
            others = [
                clause
                for clause, one in zip(self.block.clauses, self.owner, strict=True)
                if one in kept and one != owner
            ]
            own = (
                clause
                for clause, one in zip(self.block.clauses, self.owner, strict=True)
                if one == owner
            )
            if all(self._safely(self._follows, clause, others) for clause in own):
                del kept[owner]
                found.append(self.ids[owner])
        return sorted(found, key=self.ids.index)

    def hidden(self) -> list[str]:
        """Return the inequalities that hold as equalities only."""
        found = []
        for clause, owner in zip(self.block.clauses, self.owner, strict=True):
            atom = clause[0]
            if len(clause) > 1 or not isinstance(atom, Row) or atom.is_equality:
                continue
            if self._safely(self._is_tight, atom):
                found.append(self.ids[owner])
        return found

    def _safely(self, question: Callable[..., bool], *parts: object) -> bool:
        try:
            return question(*parts)
        except MethodError:
            return False  # not shown: too many alternatives

    def _is_tight(self, row: Row) -> bool:
        least = self._least(self.block.clauses, row.terms)
        return least >= row.bound - _CLOSE * (1 + abs(row.bound))

    def _follows(self, clause: Clause, others: list[Clause]) -> bool:
        """Tell whether a clause follows; what is not shown is taken as no."""
        if any(isinstance(atom, State) for atom in clause):
            return False
        rows = [atom for atom in clause if isinstance(atom, Row)]
        choices = [atom for atom in clause if isinstance(atom, Choice)]
        refused: list[Clause] = [(self._refused(choice),) for choice in choices]
        if not rows:
            return self._problem([*others, *refused]).point() is None
        # The other alternatives fail, at their border: a little more than they may,
        # so that what follows here does follow.
        for i, row in enumerate(rows):
            rest = [
                (_turned(other),)
                for k, other in enumerate(rows)
                if k != i and not other.is_equality
            ]
            if self._is_kept(row, [*others, *refused, *rest]):
                return True
        return False

    def _is_kept(self, row: Row, clauses: list[Clause]) -> bool:
        sides = [_turned(row)]
        if row.is_equality:
            sides.append(replace(row, is_equality=False))
        close = _CLOSE * (1 + abs(row.bound))
        for side in sides:
            enough = side.bound - close
            if self._least(clauses, side.terms, enough) < enough:
                return False
        return True

    def _refused(self, choice: Choice) -> Choice:
        domain = self.block.domains[choice.place]
        return Choice(choice.place, domain & ~choice.codes)

    def _problem(self, clauses: Iterable[Clause]) -> Problem:
        return Problem(self.block.n_numeric, list(clauses), self.block.domains)

    def _least(
        self,
        clauses: Iterable[Clause],
        terms: tuple[tuple[int, float], ...],
        enough: float = -np.inf,
    ) -> float:
        costs: npt.NDArray[np.float64] = np.zeros(self.block.n_numeric)
        for j, value in terms:
            costs[j] = value
        least = self._problem(clauses).extreme(costs, enough)
        return np.inf if least is None else least


def _turned(row: Row) -> Row:
    """Return ``a x >= b`` for ``a x <= b``, as a row."""
    terms = tuple((j, -value) for j, value in row.terms)
    return Row(terms, 0.0 - row.bound, False)


def implied_edits(edits: EditSet, *, most: int = 1_000) -> pd.DataFrame:
    """Return the linear edits that follow when one variable is eliminated.

    Parameters
    ----------
    edits : EditSet
        The edits; those with alternatives are left aside.
    most : int, default=1000
        No more are derived from one variable.

    Returns
    -------
    DataFrame
        Columns eliminated, text and status (``measured``, or ``not_measured`` where
        there would be more than `most`), an edit once.

    Examples
    --------
    >>> implied_edits(EditSet.from_texts(["a + b == c", "b >= 0"]))["text"].tolist()
    ['a - c <= 0']
    """
    hard = edits.hard()
    compiled = compile_edits(hard)
    rows = []
    for block in independent_blocks(compiled):
        store = RowStore(block.n_numeric, compiled.tolerance)
        eliminator = Eliminator(store, block.rows, most)
        names = [compiled.names[j] for j in block.places]
        seen: set[int] = set()
        for j in range(block.n_numeric):
            try:
                left = eliminator.left(1 << j)
            except TooManyRows:
                rows.append((names[j], "", "not_measured"))
                continue
            for number in left:
                if int(number) not in seen:
                    seen.add(int(number))
                    text = _text(store, int(number), names)
                    rows.append((names[j], text, "measured"))
    return pd.DataFrame(rows, columns=["eliminated", "text", "status"])


def _text(store: RowStore, number: int, names: list[str]) -> str:
    row = store.rows[number]
    terms, bound = row.terms, row.bound
    operator = "==" if row.is_equality else "<="
    if all(value < 0 for value in terms.values()):
        terms, bound = {j: -value for j, value in terms.items()}, 0.0 - bound
        operator = {"<=": ">="}.get(operator, operator)
    text = ""
    for j in sorted(terms):
        value = terms[j]
        sign = "-" if value < 0 else "+"
        factor = "" if abs(value) == 1 else f"{abs(value):.12g} * "
        text += f" {sign} {factor}{names[j]}"
    text = text.removeprefix(" + ")
    text = "-" + text.removeprefix(" - ") if text.startswith(" - ") else text
    return f"{text} {operator} {bound:.12g}"

"""Linear edits as arrays: what every treatment must leave holding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from mlstats.editimpute.compiled import RELATIVE, CompiledEdits, Row, compile_edits
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.evaluation import dense_rows
from mlstats.errors import ConfigError, nearest

__all__ = ["LinearEdits", "linear_part", "linear_rows"]

# Relative to the sum of the absolute terms of the edit; 1e-9 of a million is 0.001.
TOLERANCE = 1e-9
# Records at once: small enough to stay in a processor's cache.
BLOCK = 4_096


@dataclass(frozen=True, eq=False)
class LinearEdits:
    """Edits ``A x <= b``, with ``A x = b`` where `equality` is true.

    Parameters
    ----------
    A : numpy.ndarray of float, shape (edits, variables)
        Coefficients.
    b : numpy.ndarray of float, shape (edits,)
        Right-hand sides.
    equality : numpy.ndarray of bool, shape (edits,)
        Which edits are balances.
    variables : sequence of str
        Name of each column of `A`.
    names : sequence of str, optional
        Name of each edit; ``edit 1`` and so on if left out.
    relative, absolute : float
        An edit fails by more than the larger of `absolute` and `relative` times the
        sum of the absolute values of its terms.

    Raises
    ------
    ConfigError
        Where the shapes do not fit or a coefficient is not finite.
    """

    A: np.ndarray
    b: np.ndarray
    equality: np.ndarray
    variables: Sequence[str]
    names: Sequence[str] = ()
    relative: float = TOLERANCE
    absolute: float = TOLERANCE

    def __post_init__(self) -> None:
        A = np.atleast_2d(np.asarray(self.A, dtype=float))
        b = np.asarray(self.b, dtype=float).ravel()
        equality = np.asarray(self.equality, dtype=bool).ravel()
        names = tuple(self.names) or tuple(f"edit {i + 1}" for i in range(len(b)))
        A = A.reshape(len(b), len(self.variables)) if A.size == 0 else A
        if A.shape != (len(b), len(self.variables)) or len(equality) != len(b):
            raise ConfigError(
                "The arrays of the edits do not fit each other",
                expected="A of shape (edits, variables), b and equality of (edits,)",
            )
        if len(names) != len(b) or len(set(self.variables)) != len(self.variables):
            raise ConfigError("Edits need one name each, and variables distinct names")
        if not (np.isfinite(A).all() and np.isfinite(b).all()):
            raise ConfigError("An edit has a coefficient that is not a finite number")
        for name, value in (("A", A), ("b", b), ("equality", equality)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        object.__setattr__(self, "variables", tuple(self.variables))
        object.__setattr__(self, "names", names)

    def __len__(self) -> int:
        return len(self.b)

    def with_positivity(self) -> LinearEdits:
        """Return the edits and ``x >= 0`` for every variable."""
        p = len(self.variables)
        return LinearEdits(
            np.vstack([self.A, -np.eye(p)]),
            np.concatenate([self.b, np.zeros(p)]),
            np.concatenate([self.equality, np.zeros(p, dtype=bool)]),
            self.variables,
            (*self.names, *(f"{v} >= 0" for v in self.variables)),
            self.relative,
            self.absolute,
        )

    def with_rows(self, rows: Sequence[Row], names: Sequence[str]) -> LinearEdits:
        """Return the edits and others, given by the places of their variables."""
        A, b, equality = dense_rows(list(rows), len(self.variables))
        return LinearEdits(
            np.vstack([self.A, A]),
            np.concatenate([self.b, b]),
            np.concatenate([self.equality, equality]),
            self.variables,
            (*self.names, *names),
            self.relative,
            self.absolute,
        )

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the edits' variables of `frame`, shape (n, variables).

        Raises
        ------
        ConfigError
            Where a variable is not a column of `frame`.
        """
        for name in self.variables:
            if name not in frame.columns:
                raise ConfigError(
                    f"The edits name {name!r}, which is not in the data",
                    nearest=nearest(name, map(str, frame.columns)),
                )
        columns = frame[list(self.variables)]
        return np.array(columns.to_numpy(dtype=float, na_value=np.nan))

    def failing(
        self, values: np.ndarray, *, tolerance: float | None = None
    ) -> np.ndarray:
        """Return which edits each record fails, shape (n, edits).

        An edit with a missing variable is not failed: it cannot be told. A
        `tolerance` stands for both of the edits' own.
        """
        values = np.asarray(values, dtype=float)
        failed = np.empty((len(values), len(self)), dtype=bool)
        size, limit = np.abs(self.A).T, np.abs(self.b)
        relative = self.relative if tolerance is None else tolerance
        absolute = self.absolute if tolerance is None else tolerance
        for start in range(0, len(values), BLOCK):
            part = values[start : start + BLOCK]
            x = (
                part
                if np.isfinite(part).all()
                else np.where(np.isfinite(part), part, 0.0)
            )
            over = x @ self.A.T - self.b
            np.abs(over, out=over, where=self.equality)
            scale = np.abs(x) @ size + limit
            np.maximum(relative * scale, absolute, out=scale)
            failed[start : start + BLOCK] = over > scale
            if x is not part:
                failed[start : start + BLOCK] &= self._known(part)
        return failed

    def passing(self, values: np.ndarray) -> np.ndarray:
        """Return which records fail no edit and miss no variable of one, shape (n,)."""
        values = np.asarray(values, dtype=float)
        known = self._known(values).all(axis=1)
        return np.asarray(known & ~self.failing(values).any(axis=1))

    def bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return lower and upper bounds of the variables, and the other edits' places.

        Returns
        -------
        lower, upper : numpy.ndarray, shape (variables,)
            From the inequalities on one variable; infinite where there is none.
        general : numpy.ndarray of int
            Places of the edits that are no bounds.
        """
        return self._limits

    @cached_property
    def _limits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Asked for each pattern of free cells, of which a file has thousands.
        lower = np.full(len(self.variables), -np.inf)
        upper = np.full(len(self.variables), np.inf)
        single = ((self.A != 0).sum(axis=1) == 1) & ~self.equality
        for edit in np.flatnonzero(single):
            j = int(np.flatnonzero(self.A[edit])[0])
            limit = self.b[edit] / self.A[edit, j]
            if self.A[edit, j] > 0:
                upper[j] = min(upper[j], limit)
            else:
                lower[j] = max(lower[j], limit)
        # Adding zero turns the -0.0 of 0 / -1 into 0.0.
        found = lower + 0.0, upper + 0.0, np.flatnonzero(~single)
        for array in found:
            array.flags.writeable = False
        return found

    def _known(self, values: np.ndarray) -> np.ndarray:
        missing = ~np.isfinite(values)
        used = (self.A != 0).astype(float)
        known: np.ndarray = missing.astype(float) @ used.T == 0
        return known


def linear_part(
    edits: EditSet,
    variables: Sequence[str] | None = None,
    *,
    tolerance: float = 1e-9,
    strict: float = 1e-6,
) -> LinearEdits:
    """Return the hard edits that are linear and hold without a condition.

    Parameters
    ----------
    edits : EditSet
        Edits of every kind; declared bounds are among them.
    variables : sequence of str, optional
        Columns of the result in their order, the numeric variables of the edits if
        left out. An edit on any other variable is left out.
    tolerance, strict : float
        As in :func:`mlstats.editimpute.compiled.compile_edits`. What holds here holds
        for :func:`~mlstats.editimpute.status.review` with the same tolerance.

    Raises
    ------
    ConfigError
        Where the edits know a variable as a category.

    Examples
    --------
    >>> edits = EditSet.from_texts(["a + b == c", "a >= 0", "if a > 0 then b > 0"])
    >>> linear_part(edits).names
    ('E1', 'E2')
    """
    hard = edits.hard()
    compiled = compile_edits(hard, tolerance=tolerance, strict=strict)
    made = linear_rows(compiled, [edit.id for edit in hard.edits])
    if variables is None:
        return made
    for name in variables:
        if name in edits.categorical:
            raise ConfigError(f"{name!r} is a category, not a number")
    known = {name: j for j, name in enumerate(made.variables)}
    blank = np.zeros((len(made), 1))
    A = np.hstack([made.A, blank])[:, [known.get(v, -1) for v in variables]]
    apart = [j for name, j in known.items() if name not in set(variables)]
    kept = ~(made.A[:, apart] != 0).any(axis=1)
    names = tuple(np.array(made.names, dtype=object)[kept])
    b, same = made.b[kept], made.equality[kept]
    return LinearEdits(A[kept], b, same, variables, names, made.relative, made.absolute)


def linear_rows(compiled: CompiledEdits, ids: Sequence[str]) -> LinearEdits:
    """Return the clauses with one alternative, a linear one, over all numbers.

    Parameters
    ----------
    compiled : CompiledEdits
        Compiled edits.
    ids : sequence of str
        Names of the edits that own the clauses.
    """
    rows, names = [], []
    for clause, owner in zip(compiled.clauses, compiled.owner, strict=True):
        if len(clause) == 1 and isinstance(clause[0], Row):
            rows.append(clause[0])
            names.append(ids[owner])
    A, b, equality = dense_rows(rows, compiled.n_numeric)
    return LinearEdits(
        A,
        b,
        equality,
        compiled.names[: compiled.n_numeric],
        names,
        RELATIVE,
        compiled.tolerance,
    )

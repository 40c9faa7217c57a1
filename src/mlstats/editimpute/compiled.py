"""Edits as matrices and bit masks, and records as arrays that fit them.

Conventions, the same for the status and the localisation:

- ``a x <= b`` fails where ``a x - b > tolerance + RELATIVE (|a| |x| + |b|)``, an
  equality where the absolute difference is above it;
- ``a x < b`` is read as ``a x <= b - strict``; as ``a x <= ceil(b) - 1`` where all
  variables and coefficients are whole numbers;
- the values of a category that no edit names are one value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.edits import EditSet, Integral, Linear, Member, Missing
from mlstats.errors import ConfigError, nearest

__all__ = [
    "RELATIVE",
    "CompiledEdits",
    "Records",
    "category_codes",
    "compile_edits",
    "encode",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RELATIVE = 1e-14  # of the sum of magnitudes: what adding up in doubles can lose


@dataclass(frozen=True)
class Row:
    """A linear restriction over numeric variables, by their places."""

    terms: tuple[tuple[int, float], ...]
    bound: float
    is_equality: bool


@dataclass(frozen=True)
class Choice:
    """The codes that a categorical variable may have, as bits."""

    place: int
    codes: int


@dataclass(frozen=True)
class State:
    """A value is missing, or not."""

    place: int
    negated: bool


CompiledAtom = Row | Choice | State


@dataclass
class CompiledEdits:
    """The clauses of a set of edits over places.

    Attributes
    ----------
    names : tuple of str
        Numeric variables first, then categorical ones; places count through them.
    n_numeric : int
        Number of numeric variables.
    clauses : list of tuple of atoms
        All must hold, by one of their atoms.
    owner : list of int
        The edit (its number in the set) to which each clause belongs.
    integer : frozenset of int
        Places of variables that are whole numbers.
    codes : dict
        Place of a categorical variable -> value -> code; code 0 is any value that is
        not named.
    domains : dict
        Place of a categorical variable -> bits of the codes that are possible.
    """

    names: tuple[str, ...]
    n_numeric: int
    clauses: list[tuple[CompiledAtom, ...]]
    owner: list[int]
    integer: frozenset[int]
    codes: dict[int, dict[str, int]]
    domains: dict[int, int]
    missing_allowed: frozenset[int]
    tolerance: float
    strict: float
    supports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.supports = [support(clause) for clause in self.clauses]


@dataclass(frozen=True)
class Records:
    """Records as arrays.

    Attributes
    ----------
    numbers : ndarray of float, shape (n, numeric variables)
        Zero where missing.
    codes : ndarray of int, shape (n, categorical variables)
        Zero where missing.
    missing : ndarray of bool, shape (n, variables)
        Missing or invalid.
    invalid : ndarray of bool, shape (n, variables)
        Given, but no finite number in a numeric variable.
    """

    numbers: Floats
    codes: Ints
    missing: Bools
    invalid: Bools

    def __len__(self) -> int:
        return len(self.missing)

    def take(self, rows: npt.NDArray[np.intp] | Bools) -> Records:
        """Return some of the records."""
        return Records(
            self.numbers[rows], self.codes[rows], self.missing[rows], self.invalid[rows]
        )


def support(clause: tuple[CompiledAtom, ...]) -> int:
    """Return the bits of the variables of a clause."""
    bits = 0
    for atom in clause:
        if isinstance(atom, Row):
            for place, _ in atom.terms:
                bits |= 1 << place
        else:
            bits |= 1 << atom.place
    return bits


def compile_edits(
    edits: EditSet, *, tolerance: float = 1e-9, strict: float = 1e-6
) -> CompiledEdits:
    """Translate edits into rows, choices and masks.

    Parameters
    ----------
    edits : EditSet
        The edits, hard and soft alike.
    tolerance : float, default=1e-9
        Of every comparison, in the unit of the data.
    strict : float, default=1e-6
        By how much less is less, in the unit of the data.
    """
    if not (0 <= tolerance < strict):
        raise ConfigError(
            "The tolerance of edits is not below the step of strict inequalities",
            expected="0 <= tolerance < strict",
        )
    names = (*edits.numeric, *edits.categorical)
    place = {name: i for i, name in enumerate(names)}
    made = CompiledEdits(
        names=names,
        n_numeric=len(edits.numeric),
        clauses=[],
        owner=[],
        integer=frozenset(place[name] for name in edits.integer),
        codes=_code_table(edits, place),
        domains={},
        missing_allowed=frozenset(
            place[name] for name in edits.missing_allowed if name in place
        ),
        tolerance=tolerance,
        strict=strict,
    )
    for at, codes in made.codes.items():
        # Open at first: a declared list of values is an edit like any other.
        made.domains[at] = (1 << (len(codes) + 1)) - 1
    for number, edit in enumerate(edits.edits):
        for clause in edit.clauses:
            if not isinstance(clause[0], Integral):
                atoms = tuple(_atom(atom, place, made) for atom in clause)
                made.clauses.append(atoms)
                made.owner.append(number)
    made.supports = [support(clause) for clause in made.clauses]
    return made


def _code_table(edits: EditSet, place: Mapping[str, int]) -> dict[int, dict[str, int]]:
    values: dict[int, set[str]] = {place[name]: set() for name in edits.categorical}
    for edit in edits.edits:
        for clause in edit.clauses:
            for atom in clause:
                if isinstance(atom, Member):
                    values[place[atom.variable]] |= atom.values
    return {
        at: {value: i + 1 for i, value in enumerate(sorted(found))}
        for at, found in values.items()
    }


def _atom(
    atom: Linear | Member | Missing | Integral,
    place: Mapping[str, int],
    made: CompiledEdits,
) -> CompiledAtom:
    if isinstance(atom, Linear):
        terms = tuple((place[name], value) for name, value in atom.terms)
        return Row(terms, _bound(atom, terms, made), atom.operator == "==")
    at = place[atom.variable]
    if isinstance(atom, Member):
        bits = sum(1 << made.codes[at][value] for value in atom.values)
        full = (1 << (len(made.codes[at]) + 1)) - 1
        return Choice(at, full & ~bits if atom.negated else bits)
    if isinstance(atom, Missing):
        return State(at, atom.negated)
    raise AssertionError("'is integer' is no restriction of a matrix")


def _bound(
    atom: Linear, terms: tuple[tuple[int, float], ...], made: CompiledEdits
) -> float:
    if atom.operator != "<":
        return atom.bound
    whole = all(at in made.integer and value == int(value) for at, value in terms)
    if whole:
        return float(math.ceil(atom.bound) - 1)
    return atom.bound - made.strict


def encode(frame: pd.DataFrame, edits: EditSet, compiled: CompiledEdits) -> Records:
    """Return the records of a table as arrays.

    Raises
    ------
    ConfigError
        Where an edit names a variable that is not a column.
    """
    for name in compiled.names:
        if name not in frame.columns:
            owner = next(e.id for e in edits.edits if name in e.variables)
            raise ConfigError(
                f"The edit {owner!r} names the variable {name!r}, "
                "which is not in the data",
                nearest=nearest(name, map(str, frame.columns)),
            )
    shape = (len(frame), len(compiled.names))
    numbers = np.zeros((len(frame), compiled.n_numeric))
    codes = np.zeros((len(frame), shape[1] - compiled.n_numeric), dtype=np.int64)
    missing, invalid = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for at, name in enumerate(compiled.names):
        column = frame[name]
        if at < compiled.n_numeric:
            values, invalid[:, at] = _numbers(column)
            missing[:, at] = np.isnan(values)
            numbers[:, at] = np.where(missing[:, at], 0.0, values)
        else:
            missing[:, at] = column.isna().to_numpy()
            codes[:, at - compiled.n_numeric] = category_codes(
                column, compiled.codes[at]
            )
    return Records(numbers, codes, missing, invalid)


def category_codes(column: pd.Series, known: Mapping[str, int]) -> Ints:
    """Return the codes of categories, 0 where a value is not named or missing.

    Parameters
    ----------
    column : Series
        Categories, as texts or whole numbers.
    known : mapping
        Value -> code.
    """
    numbers, distinct = pd.factorize(column)
    # A column of whole codes with a gap is read as 1.0, 2.0 ...
    texts = [
        str(int(value)) if isinstance(value, float) and value.is_integer() else value
        for value in distinct.tolist()
    ]
    table = np.array([*(known.get(str(text), 0) for text in texts), 0], dtype=np.int64)
    return np.asarray(table[numbers])


def _numbers(column: pd.Series) -> tuple[Floats, Bools]:
    given = column.notna().to_numpy()
    values = pd.to_numeric(column, errors="coerce")
    numbers = np.array(values.to_numpy(dtype=float, na_value=np.nan))
    bad = given & ~np.isfinite(numbers)
    numbers[bad] = np.nan
    return numbers, bad

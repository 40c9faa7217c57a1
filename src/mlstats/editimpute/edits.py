"""Edits as frozen types: what a record must fulfil to be believed.

An edit is kept in conjunctive normal form: it holds if every one of its clauses
holds, and a clause holds if one of its atoms does. An atom is linear in numeric
variables, a membership of a categorical variable, or tells that a value is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from mlstats.errors import ConfigError, nearest
from mlstats.period import ReferencePeriod

__all__ = [
    "Atom",
    "Clause",
    "Edit",
    "EditSet",
    "Integral",
    "Linear",
    "Member",
    "Missing",
    "Variable",
]

Operator = Literal["<=", "<", "=="]
Severity = Literal["hard", "soft"]


@dataclass(frozen=True)
class Linear:
    """``sum of coefficient * variable`` is at most, less than or equal to `bound`."""

    terms: tuple[tuple[str, float], ...]
    operator: Operator
    bound: float

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the names of its variables."""
        return tuple(name for name, _ in self.terms)


@dataclass(frozen=True)
class Member:
    """A categorical variable has one of some values, or (`negated`) none of them."""

    variable: str
    values: frozenset[str]
    negated: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the name of its variable."""
        return (self.variable,)


@dataclass(frozen=True)
class Missing:
    """A value is missing, or (`negated`) is not missing."""

    variable: str
    negated: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the name of its variable."""
        return (self.variable,)


@dataclass(frozen=True)
class Integral:
    """A numeric variable is a whole number."""

    variable: str

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the name of its variable."""
        return (self.variable,)


Atom = Linear | Member | Missing | Integral
Clause = tuple[Atom, ...]


@dataclass(frozen=True)
class Edit:
    """One edit.

    Parameters
    ----------
    id : str
        Unique in its set.
    text : str
        As it was written.
    clauses : tuple of tuple of atoms
        All clauses must hold, by one of their atoms each.
    severity : {"hard", "soft"}
        A hard edit is never kept by a right record; a soft one is doubted only.
    valid_from, valid_to : str, optional
        First and last reference period.
    """

    id: str
    text: str
    clauses: tuple[Clause, ...]
    severity: Severity = "hard"
    valid_from: str | None = None
    valid_to: str | None = None

    def __post_init__(self) -> None:
        if self.severity not in ("hard", "soft"):
            raise ConfigError(
                f"The severity of the edit {self.id!r} is {self.severity!r}",
                expected="hard or soft",
                nearest=nearest(str(self.severity), ("hard", "soft")),
            )
        first, last = self._days()
        if first > last:
            raise ConfigError(f"The edit {self.id!r} ends before it begins")

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the names of its variables, in the order of their appearance."""
        atoms = (atom for clause in self.clauses for atom in clause)
        return tuple(dict.fromkeys(name for atom in atoms for name in atom.variables))

    def is_valid(self, period: str | None) -> bool:
        """Tell whether the edit holds on the first day of a reference period.

        Without a period every edit holds.
        """
        if period is None:
            return True
        first, last = self._days()
        return first <= ReferencePeriod.parse(period).first_day() <= last

    def _days(self) -> tuple[date, date]:
        first = self.valid_from and ReferencePeriod.parse(self.valid_from)
        last = self.valid_to and ReferencePeriod.parse(self.valid_to)
        return (
            first.first_day() if first else date.min,
            last.last_day() if last else date.max,
        )


@dataclass(frozen=True)
class Variable:
    """What is declared of a variable beside its edits.

    Parameters
    ----------
    integer : bool
        Whether only whole numbers are right.
    least, most : float, optional
        Bounds of a numeric variable.
    values : tuple of str, optional
        All values that a categorical variable can have; without them any value can
        occur that no edit excludes.
    missing_allowed : bool
        Whether a missing value is an answer. Edits on it are then not applicable to
        the record, and nothing is to be imputed.
    """

    integer: bool = False
    least: float | None = None
    most: float | None = None
    values: tuple[str, ...] | None = None
    missing_allowed: bool = False

    def edits(self, name: str) -> Iterable[Edit]:
        """Return the edits that the declaration stands for."""
        if self.least is not None:
            atom = Linear(((name, -1.0),), "<=", -self.least)
            text = f"{name} >= {self.least:g}"
            yield Edit(f"{name}:least", text, ((atom,),))
        if self.most is not None:
            atom = Linear(((name, 1.0),), "<=", self.most)
            yield Edit(f"{name}:most", f"{name} <= {self.most:g}", ((atom,),))
        if self.integer:
            yield Edit(f"{name}:integer", f"{name} is integer", ((Integral(name),),))
        if self.values is not None:
            member = Member(name, frozenset(self.values))
            listed = ", ".join(f'"{value}"' for value in self.values)
            yield Edit(f"{name}:values", f"{name} in {{{listed}}}", ((member,),))


@dataclass(frozen=True)
class EditSet:
    """Edits that hold together, and what is declared of their variables.

    Parameters
    ----------
    edits : sequence of Edit
        With different ids.
    variables : mapping, optional
        Name -> :class:`Variable`; the bounds and values declared become edits, named
        ``NAME:least``, ``NAME:most``, ``NAME:integer`` and ``NAME:values``.

    Raises
    ------
    ConfigError
        Where an id is given twice, or a variable is both a number and a category.
    """

    edits: tuple[Edit, ...]
    variables: Mapping[str, Variable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {edit.id for edit in self.edits}
        declared = (e for name, v in self.variables.items() for e in v.edits(name))
        added = [edit for edit in declared if edit.id not in known]
        object.__setattr__(self, "edits", (*self.edits, *added))
        seen: set[str] = set()
        for edit in self.edits:
            if edit.id in seen:
                raise ConfigError(f"The edit {edit.id!r} is given twice")
            seen.add(edit.id)
        self._check_kinds()

    def _check_kinds(self) -> None:
        used: dict[str, tuple[bool, str]] = {}
        for edit in self.edits:
            for atom in (atom for clause in edit.clauses for atom in clause):
                if isinstance(atom, Missing):
                    continue
                is_number = isinstance(atom, Linear | Integral)
                for name in atom.variables:
                    before = used.setdefault(name, (is_number, edit.id))
                    if before[0] != is_number:
                        raise ConfigError(
                            f"{name!r} is a number in one edit, a category in another",
                            where=f"edits {before[1]!r} and {edit.id!r}",
                        )

    def _of_kind(self, *kinds: type) -> tuple[str, ...]:
        names = dict.fromkeys(
            name
            for edit in self.edits
            for clause in edit.clauses
            for atom in clause
            if isinstance(atom, kinds)
            for name in atom.variables
        )
        return tuple(names)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Return the names of the numeric variables."""
        return self._of_kind(Linear, Integral)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Return the names of the categorical variables."""
        alone = set(self._of_kind(Missing)) - set(self.numeric)
        return tuple(dict.fromkeys((*self._of_kind(Member), *sorted(alone))))

    @property
    def integer(self) -> frozenset[str]:
        """Return the names of the variables whose values are whole numbers."""
        hard = (edit for edit in self.edits if edit.severity == "hard")
        return frozenset(
            clause[0].variable
            for edit in hard
            for clause in edit.clauses
            if isinstance(clause[0], Integral)
        )

    @property
    def missing_allowed(self) -> frozenset[str]:
        """Return the names of the variables for which missing is an answer."""
        return frozenset(n for n, v in self.variables.items() if v.missing_allowed)

    def at(self, period: str | None) -> EditSet:
        """Return the edits that hold in a reference period."""
        return self.of([edit for edit in self.edits if edit.is_valid(period)])

    def hard(self) -> EditSet:
        """Return the hard edits."""
        return self.of([edit for edit in self.edits if edit.severity == "hard"])

    def of(self, edits: Sequence[Edit]) -> EditSet:
        """Return these edits with the same declarations, and no edit added."""
        made = replace(self, edits=tuple(edits), variables={})
        object.__setattr__(made, "variables", self.variables)
        return made

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str] | Mapping[str, str],
        variables: Mapping[str, Variable] | None = None,
    ) -> EditSet:
        """Read edits from their texts; without ids they are named ``E1``, ``E2`` ...

        Examples
        --------
        >>> edits = EditSet.from_texts(["a + b == c", "if a > 0 then b > 0"])
        >>> [edit.id for edit in edits.edits], edits.numeric
        (['E1', 'E2'], ('a', 'b', 'c'))
        """
        from mlstats.editimpute.edit_language import parse_edit

        if not isinstance(texts, Mapping):
            texts = {f"E{i + 1}": text for i, text in enumerate(texts)}
        made = [
            Edit(name, text, parse_edit(text, where=f"edit {name!r}"))
            for name, text in texts.items()
        ]
        return cls(tuple(made), dict(variables or {}))

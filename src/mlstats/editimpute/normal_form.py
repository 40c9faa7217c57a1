"""Formulas, and the clauses that say the same: conjunctive normal form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlstats.editimpute.edits import Atom, Clause, Integral, Linear, Member, Missing
from mlstats.errors import ConfigError

__all__ = ["Tree", "clauses_of", "implication", "linear_tree", "member_tree"]

_MOST_CLAUSES = 256
_ALONE = "an edit of its own, as in: staff is integer"


@dataclass(frozen=True)
class Tree:
    """A formula: an atom, or ``and``, ``or`` and ``not`` of formulas."""

    kind: str
    parts: tuple[Tree, ...] = ()
    atom: Atom | None = None


def implication(premise: Tree, conclusion: Tree) -> Tree:
    """Return ``premise -> conclusion``."""
    return Tree("or", (Tree("not", (premise,)), conclusion))


def member_tree(name: str, values: Sequence[str | float]) -> Tree:
    """Return that a variable has one of some values, texts or numbers."""
    texts = frozenset(value for value in values if isinstance(value, str))
    if texts:
        return Tree("atom", atom=Member(name, texts))
    numbers = [value for value in values if not isinstance(value, str)]
    parts = tuple(linear_tree({name: 1.0}, "==", value) for value in numbers)
    return parts[0] if len(parts) == 1 else Tree("or", parts)


def linear_tree(terms: dict[str, float], operator: str, bound: float) -> Tree:
    """Return the comparison of a linear expression with a number."""
    if operator == "!=":
        return Tree("not", (linear_tree(terms, "==", bound),))
    if operator in (">", ">="):
        terms = {name: -value for name, value in terms.items()}
        operator, bound = operator.replace(">", "<"), -bound
    kept = {"<": "<", "<=": "<="}.get(operator, "==")
    made = Linear(tuple(terms.items()), kept, bound + 0.0)  # type: ignore[arg-type]
    return Tree("atom", atom=made)


def clauses_of(tree: Tree, negated: bool = False) -> tuple[Clause, ...]:
    """Return the conjunctive normal form of a formula."""
    if tree.atom is not None:
        return _negation(tree.atom) if negated else ((tree.atom,),)
    if tree.kind == "not":
        return clauses_of(tree.parts[0], not negated)
    parts = [clauses_of(part, negated) for part in tree.parts]
    if (tree.kind == "and") != negated:
        return _checked([clause for part in parts for clause in part])
    made: list[Clause] = [()]
    for part in parts:
        made = [(*one, *other) for one in made for other in part]
        _checked(made)
    return tuple(tuple(dict.fromkeys(clause)) for clause in made)


def _checked(made: list[Clause]) -> tuple[Clause, ...]:
    if len(made) > _MOST_CLAUSES:
        raise ConfigError(
            f"An edit stands for more than {_MOST_CLAUSES} clauses",
            hint="write it as several edits",
        )
    for clause in made:
        if len(clause) > 1 and any(isinstance(atom, Integral) for atom in clause):
            raise ConfigError("'is integer' stands in a condition", expected=_ALONE)
    return tuple(made)


def _negation(atom: Atom) -> tuple[Clause, ...]:
    if isinstance(atom, Member):
        return ((Member(atom.variable, atom.values, not atom.negated),),)
    if isinstance(atom, Missing):
        return ((Missing(atom.variable, not atom.negated),),)
    if isinstance(atom, Integral):
        raise ConfigError("'is integer' stands in a condition", expected=_ALONE)
    return _negated_linear(atom)


def _negated_linear(atom: Linear) -> tuple[Clause, ...]:
    """Return the clauses that hold where a linear atom does not."""
    turned = tuple((name, -value) for name, value in atom.terms)
    if atom.operator == "==":
        less = Linear(atom.terms, "<", atom.bound)
        return ((less, Linear(turned, "<", 0.0 - atom.bound)),)
    operator: str = "<" if atom.operator == "<=" else "<="
    return ((Linear(turned, operator, 0.0 - atom.bound),),)  # type: ignore[arg-type]

r"""The language in which edits are written and read.

::

    edit        := 'if' condition 'then' condition | condition [ '->' condition ]
    condition   := conjunction { 'or' conjunction }
    conjunction := negation { 'and' negation }
    negation    := 'not' negation | '(' condition ')' | test
    test        := sum OPERATOR sum { OPERATOR sum }
                 | NAME [ 'not' ] 'in' '{' value { ',' value } '}'
                 | NAME 'is' [ 'not' ] 'missing'
                 | NAME 'is' 'integer'
    sum         := [ '-' ] term { ( '+' | '-' ) term }
    term        := factor { ( '*' | '/' ) factor }
    factor      := NUMBER | TEXT | NAME | '(' sum ')' | '-' factor
    OPERATOR    := == = != <> <= >= < >

Names are letters, digits, ``_`` and ``.``, or anything between back-quotes. Sums are
linear: a ratio ``a / b <= 2`` is written ``a <= 2 * b``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from mlstats.editimpute.edits import Clause, Integral, Member, Missing
from mlstats.editimpute.normal_form import (
    Tree,
    clauses_of,
    implication,
    linear_tree,
    member_tree,
)
from mlstats.errors import ConfigError, nearest

__all__ = ["parse_edit"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<text>"[^"]*"|'[^']*')
    |(?P<quoted>`[^`]+`)
    |(?P<name>[^\W\d][\w.]*)
    |(?P<sign>->|==|!=|<>|<=|>=|[-+*/(){},<>=])""",
    re.VERBOSE,
)
_WORDS = ("if", "then", "and", "or", "not", "in", "is", "missing", "integer")
_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_SAME = {"=": "==", "<>": "!="}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


@dataclass(frozen=True)
class _Sum:
    """A linear expression, or a text."""

    terms: dict[str, float]
    constant: float = 0.0
    text: str | None = None
    column: int = 1

    def scaled(self, by: float) -> _Sum:
        terms = {name: by * value for name, value in self.terms.items()}
        return _Sum(terms, by * self.constant, column=self.column)

    def plus(self, other: _Sum) -> _Sum:
        terms = dict(self.terms)
        for name, value in other.terms.items():
            terms[name] = terms.get(name, 0.0) + value
        return _Sum(terms, self.constant + other.constant, column=self.column)


def parse_edit(text: str, where: str | None = None) -> tuple[Clause, ...]:
    """Read one edit as clauses, all of which must hold by one of their atoms.

    Parameters
    ----------
    text : str
        In the language of this module.
    where : str, optional
        File and line, for the error.

    Raises
    ------
    ConfigError
        With the column at which the text cannot be read.

    Examples
    --------
    >>> parse_edit('age < 15 -> status == "single"')
    ((Linear(terms=(('age', -1.0),), operator='<=', bound=-15.0),
      Member(variable='status', values=frozenset({'single'}), negated=False)),)
    """
    parser = _Parser(text, where)
    try:
        return clauses_of(parser.edit())
    except ConfigError as error:
        if error.where is None:
            error.where = where
        raise


class _Parser:
    """Recursive descent, a method for each line of the grammar."""

    def __init__(self, text: str, where: str | None) -> None:
        self.text = text
        self.where = where
        self.tokens = self._split()
        self.at = 0

    def fail(
        self, title: str, column: int, expected: str | None = None, word: str = ""
    ) -> NoReturn:
        raise ConfigError(
            f"Column {column} of the edit: {title}",
            where=self.where,
            expected=expected,
            nearest=nearest(word.lower(), _WORDS) if word else None,
            hint=f"{self.text}\n{' ' * (column + 8)}^",
        )

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                sign = self.text[at]
                title = f"{sign!r} cannot stand here"
                if sign.isdigit():
                    title = "a number runs into a name"
                self.fail(title, at + 1, "for a product 2 * name")
            kind = str(found.lastgroup)
            word = found.group()
            if kind == "name" and word.lower() in _WORDS:
                kind, word = "word", word.lower()
            if kind != "space":
                tokens.append(_Token(kind, _SAME.get(word, word), at + 1))
            at = found.end()
        return [*tokens, _Token("end", "the end", len(self.text) + 1)]

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> _Token | None:
        """Take the next token if it is one of these words or signs."""
        token = self.next
        if token.kind in ("word", "sign") and token.text in texts:
            self.at += 1
            return token
        return None

    def need(self, text: str) -> None:
        if self.take(text) is None:
            self.unexpected(f"{text!r}")

    def unexpected(self, expected: str) -> NoReturn:
        token = self.next
        shown = token.text if token.kind == "end" else repr(token.text)
        word = token.text if token.kind == "name" else ""
        self.fail(f"{shown} cannot stand here", token.column, expected, word)

    def edit(self) -> Tree:
        if self.take("if"):
            premise = self.condition()
            self.need("then")
            tree = implication(premise, self.condition())
        else:
            tree = self.condition()
            if self.take("->"):
                tree = implication(tree, self.condition())
        if self.next.kind != "end":
            self.unexpected("an operator, 'and', 'or', '->' or the end")
        return tree

    def condition(self) -> Tree:
        parts = [self.conjunction()]
        while self.take("or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Tree("or", tuple(parts))

    def conjunction(self) -> Tree:
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else Tree("and", tuple(parts))

    def negation(self) -> Tree:
        if self.take("not"):
            return Tree("not", (self.negation(),))
        if self.next.text == "(" and self._holds_condition():
            self.need("(")
            inner = self.condition()
            self.need(")")
            return inner
        return self.test()

    def _holds_condition(self) -> bool:
        """Tell whether the bracket here holds a condition, not a sum."""
        depth = 0
        for token in self.tokens[self.at :]:
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0 or token.kind == "end":
                return False
            is_word = token.kind == "word"
            if is_word or (token.kind == "sign" and token.text in _COMPARISONS):
                return True
        return False

    def test(self) -> Tree:
        if self.next.kind in ("name", "quoted"):
            after = self.tokens[self.at + 1]
            if after.kind == "word" and after.text in ("in", "not", "is"):
                return self.property_of(self.name())
        sums, operators = [self.sum()], []
        while found := self.take(*_COMPARISONS):
            operators.append(found)
            sums.append(self.sum())
        if not operators:
            self.unexpected("a comparison (==, !=, <=, >=, <, >), 'in' or 'is'")
        parts = [
            self.comparison(left, operator, right)
            for left, operator, right in zip(
                sums[:-1], operators, sums[1:], strict=True
            )
        ]
        return parts[0] if len(parts) == 1 else Tree("and", tuple(parts))

    def name(self) -> str:
        token = self.next
        self.at += 1
        return token.text.strip("`") if token.kind == "quoted" else token.text

    def property_of(self, name: str) -> Tree:
        if self.take("is"):
            negated = self.take("not") is not None
            if self.take("missing"):
                return Tree("atom", atom=Missing(name, negated))
            if not negated and self.take("integer"):
                return Tree("atom", atom=Integral(name))
            self.unexpected("'missing', 'not missing' or 'integer'")
        negated = self.take("not") is not None
        self.need("in")
        tree = member_tree(name, self.values())
        return Tree("not", (tree,)) if negated else tree

    def values(self) -> list[str | float]:
        self.need("{")
        found: list[str | float] = []
        while True:
            sign = -1.0 if self.take("-") else 1.0
            token = self.next
            if token.kind not in ("text", "number"):
                self.unexpected('a number or a text in quotes, as in {"a", "b"}')
            self.at += 1
            is_text = token.kind == "text"
            found.append(token.text[1:-1] if is_text else sign * float(token.text))
            if self.take("}"):
                break
            if not self.take(","):
                self.unexpected("',' or '}'")
        if len({isinstance(value, str) for value in found}) > 1:
            self.fail("a set holds numbers and texts", self.tokens[self.at - 1].column)
        return found

    def comparison(self, left: _Sum, operator: _Token, right: _Sum) -> Tree:
        if left.text is not None and right.text is None:
            left, right = right, left
        if right.text is not None:
            return self.equality(left, operator, right.text)
        difference = left.plus(right.scaled(-1.0))
        terms = {name: value for name, value in difference.terms.items() if value}
        if not terms:
            self.fail("no variable is left in the comparison", operator.column)
        if not all(map(math.isfinite, [*terms.values(), difference.constant])):
            self.fail("a number is too large", left.column)
        return linear_tree(terms, operator.text, -difference.constant)

    def equality(self, left: _Sum, operator: _Token, text: str) -> Tree:
        is_name = left.text is None and list(left.terms.values()) == [1.0]
        if not is_name or left.constant:
            self.fail("a text is compared with what is no variable", left.column)
        if operator.text not in ("==", "!="):
            self.fail("a text has no order", operator.column, "== or !=")
        (name,) = left.terms
        negated = operator.text == "!="
        return Tree("atom", atom=Member(name, frozenset([text]), negated))

    def sum(self) -> _Sum:
        total = self.term()
        while sign := self.take("+", "-"):
            added = self.term()
            self._numbers(total, added)
            total = total.plus(added.scaled(1.0 if sign.text == "+" else -1.0))
        return total

    def term(self) -> _Sum:
        product = self.factor()
        while sign := self.take("*", "/"):
            other = self.factor()
            self._numbers(product, other)
            product = self._product(product, sign, other)
        return product

    def _product(self, left: _Sum, sign: _Token, right: _Sum) -> _Sum:
        if sign.text == "/":
            if right.terms or not right.constant:
                what = "a variable" if right.terms else "zero"
                self.fail(
                    f"the edit divides by {what}",
                    right.column,
                    "a linear edit: write a / b <= 2 as a <= 2 * b",
                )
            return left.scaled(1 / right.constant)
        if left.terms and right.terms:
            self.fail(
                "two variables are multiplied", right.column, "a linear expression"
            )
        if right.terms:
            return right.scaled(left.constant)
        return left.scaled(right.constant)

    def factor(self) -> _Sum:
        token = self.next
        if self.take("-"):
            inner = self.factor()
            self._numbers(inner)
            return inner.scaled(-1.0)
        if self.take("("):
            inner = self.sum()
            self.need(")")
            return inner
        if token.kind in ("name", "quoted"):
            return _Sum({self.name(): 1.0}, column=token.column)
        if token.kind not in ("number", "text"):
            self.unexpected("a variable, a number, a text in quotes or '('")
        self.at += 1
        if token.kind == "number":
            return _Sum({}, float(token.text), column=token.column)
        return _Sum({}, text=token.text[1:-1], column=token.column)

    def _numbers(self, *sums: _Sum) -> None:
        for part in sums:
            if part.text is not None:
                self.fail("a text is used as a number", part.column)

"""Ordered rules: the first that finds a text gives it its code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mlstats.coding.dictionary import Floats, Ints, Objects, Strings
from mlstats.coding.language import make_parser
from mlstats.coding.rule_files import read_rules
from mlstats.coding.text import normalise
from mlstats.errors import ConfigError, MethodError, SourceError
from mlstats.io import write_json
from mlstats.writing import write_text

__all__ = ["Rules"]

_RULES = "rules.json"
_HITS = "rule_hits.csv"


class Rules(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """The code of the first rule that finds the text under its conditions.

    A rule tells no confidence; how often it was right among coded rows is in
    :attr:`hits_`. Outcomes: ``rule``, ``none``.

    Parameters
    ----------
    rules : path or sequence of mappings
        Ordered rules, see :mod:`mlstats.coding.rule_files`.
    period : str, optional
        Reference period; rules that are not valid on its first day are passed over.
        By default all rules count.
    most_characters : int, default=500
        Of the normalised text that patterns look at.
    parser : path or mapping, optional
        Steps that make texts comparable, as in
        :class:`mlstats.coding.language.Language`.

    Attributes
    ----------
    hits_ : DataFrame
        :meth:`hits` of the training rows.

    Examples
    --------
    >>> rule = {"id": "R1", "pattern": "milk", "code": "0114", "author": "prices"}
    >>> X = pd.DataFrame({"text": ["Whole MILK", "bread"]})
    >>> method = Rules([rule]).fit(X, ["0114", "0111"])
    >>> method.predict(X).tolist()
    ['0114', None]
    >>> method.hits_[["id", "hits", "right"]].to_numpy().tolist()
    [['R1', 1, 1]]
    """

    kind_of_work: ClassVar[str] = "predict"
    confidential: ClassVar[bool] = False

    def __init__(
        self,
        rules: str | Path | Sequence[Mapping[str, Any]],
        period: str | None = None,
        most_characters: int = 500,
        parser: str | Path | Mapping[str, Any] | None = None,
    ) -> None:
        self.rules = rules
        self.period = period
        self.most_characters = most_characters
        self.parser = parser

    def fit(
        self, X: pd.DataFrame, y: Any = None, groups: pd.Series | None = None
    ) -> Self:
        """Read the rules and count what they do to the training rows.

        Raises
        ------
        ConfigError
            With file:line, where a rule cannot be used as written, and where the data
            lack a column that a rule asks for.
        """
        if not self.most_characters >= 1:
            raise ConfigError(
                f"most_characters is {self.most_characters}", expected="1 or more"
            )
        self._learn(read_rules(self.rules))
        self.hits_ = self.hits(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> Objects:
        """Return the code of each row, None where no rule finds it."""
        return self._codes[self._found(X)]

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[Objects, Floats]:
        """Return the one code of each row; a rule tells no confidence (NaN)."""
        codes = np.full((len(X), k), None, dtype=object)
        codes[:, 0] = self.predict(X)
        return codes, np.full((len(X), k), np.nan)

    def outcome(self, X: pd.DataFrame) -> Strings:
        """Return ``rule`` or ``none`` for each row."""
        return np.where(self._found(X) >= 0, "rule", "none")

    def explain(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return why each row got its code.

        Returns
        -------
        DataFrame
            With the index of `X`: code, score, outcome, entry (id of the rule, None
            for none) and reason, a sentence.
        """
        found = self._found(X)
        ids = [rule.id for rule in self.rules_]
        reasons = [self._told(number) for number in range(len(ids))]
        return pd.DataFrame(
            {
                "code": pd.Series(self._codes[found], dtype=object, index=X.index),
                "score": np.nan,
                "outcome": np.where(found >= 0, "rule", "none"),
                "entry": pd.Series(
                    np.array([*ids, None], dtype=object)[found],
                    dtype=object,
                    index=X.index,
                ),
                "reason": np.array([*reasons, "no rule applies"], dtype=object)[found],
            },
            index=X.index,
        )

    def hits(self, X: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        """Count how many rows each rule coded, and how many of them rightly.

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Column ``text`` and the columns of the conditions; every row counts.
        y : Series of str, shape (n,), optional
            True codes.

        Returns
        -------
        DataFrame
            A row per rule, in order: id, code, author, valid_from, valid_to, hits,
            right (missing without `y`). No content of a record.
        """
        found = self._found(X)
        n = len(self.rules_)
        hit = found >= 0
        names = ["id", "code", "author", "valid_from", "valid_to"]
        told = [[getattr(rule, name) for name in names] for rule in self.rules_]
        table = pd.DataFrame(told, columns=names, dtype=object)
        table["hits"] = np.bincount(found[hit], minlength=n)
        right = pd.array([pd.NA] * n, dtype="Int64")
        if y is not None:
            same = self._codes[found[hit]] == np.asarray(y, dtype=object)[hit]
            counted = np.bincount(found[hit][same.astype(bool)], minlength=n)
            right = pd.array(counted, dtype="Int64")
        return table.assign(right=right)

    def save(self, folder: Path) -> None:
        """Write the rules (JSON) and their hits in training (CSV) to a folder."""
        check_is_fitted(self, "rules_")
        about = {
            "rules": [
                rule.model_dump(by_alias=True, exclude_unset=True)
                for rule in self.rules_
            ],
            "period": self.period,
            "most_characters": self.most_characters,
            "parser": self.parser_ and self.parser_.model_dump(exclude_unset=True),
        }
        write_json(Path(folder) / _RULES, about)
        write_text(Path(folder) / _HITS, self.hits_.to_csv(index=False))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        SourceError
            If the folder does not hold saved rules.
        """
        try:
            about = json.loads((Path(folder) / _RULES).read_text(encoding="utf-8"))
            hits = pd.read_csv(Path(folder) / _HITS, dtype={"id": str, "code": str})
        except (OSError, ValueError) as error:
            raise SourceError(
                "The saved rules cannot be read",
                where=str(folder),
                expected=f"the files {_RULES} and {_HITS}",
            ) from error
        method = cls(**about)
        method._learn(read_rules(method.rules))
        method.hits_ = hits
        return method

    def _learn(self, rules: list[Any]) -> None:
        self.parser_ = make_parser(self.parser)
        self.rules_ = rules
        self.classes_ = np.array(sorted({rule.code for rule in rules}), dtype=object)

    @property
    def _codes(self) -> Objects:
        """The codes of the rules, and None for the rule number -1."""
        return np.array([*(rule.code for rule in self.rules_), None], dtype=object)

    def _found(self, X: pd.DataFrame) -> Ints:
        """Return the number of the first rule that finds each row, -1 for none."""
        check_is_fitted(self, "rules_")
        if "text" not in X:
            raise MethodError("The data have no column 'text'")
        parser = self.parser_
        texts = normalise(X["text"]) if parser is None else parser.apply(X["text"])
        number, distinct = pd.factorize(texts.str[: self.most_characters])
        found = np.full(len(X), -1, dtype=np.int64)
        for place, rule in enumerate(self.rules_):
            if rule.is_valid(self.period):
                rows = np.flatnonzero((found < 0) & rule.applies(X))
                found[rows[_finds(rule.pattern, number[rows], distinct)]] = place
        return found

    def _told(self, number: int) -> str:
        rule = self.rules_[number]
        parts = [f"pattern {rule.pattern!r}"] if rule.pattern else []
        parts += [f"a condition on {column}" for column in rule.where]
        return f"{rule.code}: rule {rule.id} by {rule.author}, {' and '.join(parts)}"


def _finds(pattern: str | None, number: Ints, distinct: pd.Index) -> Any:
    """Tell which rows have a text that the pattern finds, asked once per text."""
    if pattern is None:
        return np.ones(len(number), dtype=bool)
    search = re.compile(pattern).search
    hit = np.zeros(len(distinct), dtype=bool)
    for text in np.unique(number):
        hit[text] = search(distinct[text]) is not None
    return hit[number]

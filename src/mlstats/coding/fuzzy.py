"""The fuzzy match: the code of the dictionary entry that is written most alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.coding.dictionary import Floats, Ints
from mlstats.coding.nearest_entries import NearestEntries
from mlstats.errors import ConfigError, MethodError, nearest

__all__ = ["SCORERS", "FuzzyIndex"]

SCORERS = (
    "damerau_levenshtein",
    "jaro_winkler",
    "ratio",
    "token_set_ratio",
    "token_sort_ratio",
)
"""Similarities that :class:`FuzzyIndex` knows, as rapidfuzz defines them."""

_SCALE = 10_000_000  # similarities are compared as whole multiples of its reciprocal
_ENTRY_BITS = 25
_BLOCK_PAIRS = 1 << 21  # pairs of text and entry at a time: bounds the memory


class FuzzyIndex(NearestEntries):
    """The code of the dictionary entry whose spelling is most like the text's.

    For errors of spelling and endings, against a small index: the work is the number
    of distinct texts times that of distinct entries. Only the first `most_characters`
    of a text are compared. The confidence is the similarity. Of equally similar
    entries those come first whose code has the larger share of the rows of the entry,
    more rows in the dictionary, the lower code.

    Outcomes: ``unique`` (one code is similar enough), ``multiple`` (several are),
    ``failed`` (none is).

    Parameters
    ----------
    index : path, optional
        Coding index, as in :class:`mlstats.coding.ExactIndex`.
    training : bool, default=True
        Whether the coded training rows enter the dictionary.
    scorer : str, default="ratio"
        One of :data:`SCORERS`.
    min_score : float, default=80
        Least similarity, from 0 to 100; below it a code is no candidate.
    most_characters : int, default=200
        Of a text and of an entry.
    parser, index_weight, priority, entry_units
        As in :class:`mlstats.coding.dictionary.DictionaryMatch`.

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["whole milk", "rye bread"]})
    >>> match = FuzzyIndex().fit(X, ["0114", "0111"])
    >>> match.predict(pd.DataFrame({"text": ["hwole milk", "beer"]})).tolist()
    ['0114', None]
    """

    def __init__(
        self,
        index: str | Path | None = None,
        training: bool = True,
        scorer: str = "ratio",
        min_score: float = 80.0,
        most_characters: int = 200,
        parser: str | Path | Mapping[str, Any] | None = None,
        index_weight: float = 1.0,
        priority: str = "counts",
        entry_units: int = 1,
    ) -> None:
        self.index = index
        self.training = training
        self.scorer = scorer
        self.min_score = min_score
        self.most_characters = most_characters
        self.parser = parser
        self.index_weight = index_weight
        self.priority = priority
        self.entry_units = entry_units

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.scorer not in SCORERS:
            raise ConfigError(
                f"scorer is {self.scorer!r}",
                expected=", ".join(SCORERS),
                nearest=nearest(str(self.scorer), SCORERS),
            )
        if not 0 <= self.min_score <= 100 or not self.most_characters >= 1:
            raise ConfigError(
                "The parameters of the fuzzy match do not fit",
                expected="min_score from 0 to 100, most_characters of 1 or more",
            )

    def _prepare(self, entries: pd.DataFrame) -> None:
        super()._prepare(entries)
        by_code = np.argsort(self._code_of, kind="stable")
        cut = entries["phrase"].str[: self.most_characters]
        number, self._compared = pd.factorize(cut)
        self._entry = by_code
        self._phrase_of = number[by_code]
        self._first_of_code = np.flatnonzero(
            np.diff(self._code_of[by_code], prepend=-1)
        )

    def _nearest(self, normalised: pd.Series, k: int) -> tuple[Ints, Floats]:
        entries = np.full((len(normalised), k), -1, dtype=np.int64)
        scores = np.zeros((len(normalised), k))
        texts = normalised.str[: self.most_characters].tolist()
        step = max(1, _BLOCK_PAIRS // len(self._entry))
        for start in range(0, len(texts), step):
            rows = slice(start, start + step)
            best = self._best_of_each_code(texts[rows])
            best = -np.sort(-best, axis=1)[:, :k]
            units = -(-best >> _ENTRY_BITS)  # rounded up: the entry was subtracted
            there = units > 0
            width = best.shape[1]
            entry = (units << _ENTRY_BITS) - best
            entries[rows, :width] = np.where(there, entry, -1)
            scores[rows, :width] = np.where(there, units / _SCALE, 0.0)
        return entries, scores

    def _best_of_each_code(self, texts: list[str]) -> Ints:
        """Return the best similarity and entry of each code, as one number."""
        scorer, full = _scorers()[self.scorer]
        found = _compare(
            texts,
            self._compared.tolist(),
            scorer=scorer,
            score_cutoff=self.min_score / 100 * full,
        )
        found[[not text for text in texts]] = 0  # an empty text is like no entry
        units = np.rint(found / full * _SCALE).astype(np.int64)[:, self._phrase_of]
        keys = (units << _ENTRY_BITS) - self._entry
        best: Ints = np.maximum.reduceat(keys, self._first_of_code, axis=1)
        return best

    def _measure(self, strength: float) -> str:
        return f"{self.scorer} {100 * strength:.1f} of 100"


def _compare(
    texts: list[str], entries: list[str], *, scorer: Any, score_cutoff: float
) -> Floats:
    from rapidfuzz.process import cdist

    found: Floats = cdist(
        texts, entries, scorer=scorer, score_cutoff=score_cutoff, dtype=np.float64
    )
    return found


def _scorers() -> dict[str, tuple[Callable[..., float], float]]:
    """Return the function of each scorer and its value for equal texts."""
    try:
        from rapidfuzz import distance, fuzz
    except ImportError:
        raise MethodError(
            "The package rapidfuzz is not installed", hint="pip install rapidfuzz"
        ) from None
    return {
        "damerau_levenshtein": (
            distance.DamerauLevenshtein.normalized_similarity,
            1.0,
        ),
        "jaro_winkler": (distance.JaroWinkler.normalized_similarity, 1.0),
        "ratio": (fuzz.ratio, 100.0),
        "token_set_ratio": (fuzz.token_set_ratio, 100.0),
        "token_sort_ratio": (fuzz.token_sort_ratio, 100.0),
    }

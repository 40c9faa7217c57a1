"""What each word of a text adds to the score of its code, exactly and tested.

The contribution of a token is the score of the decided code minus its score when the
token is removed: exact for any method that gives scores, because the method itself is
asked again. Whether such contributions are faithful is then tested by removing the
tokens they name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator, noted, p_in_words, p_value

__all__ = ["Score", "deletion_test", "score_of", "token_contributions"]

Score = Callable[[pd.DataFrame, np.ndarray], np.ndarray]

BLOCK: Final = 50_000  # texts scored in one call: bounds the memory


def score_of(method: Any) -> Score:
    """Return the function that scores a stated code of each row.

    Parameters
    ----------
    method : PredictMethod
        Fitted, with ``classes_`` and with ``predict_proba`` or ``predict_top``.

    Returns
    -------
    callable
        ``score(X, codes)``: the method's score of each row's code, 0 for a code that
        the method does not know or does not give.

    Raises
    ------
    ConfigError
        Where the method gives no scores.
    """
    classes = getattr(method, "classes_", None)
    if classes is None or not (
        hasattr(method, "predict_proba") or hasattr(method, "predict_top")
    ):
        raise ConfigError(
            f"{type(method).__name__} gives no score to a stated code",
            expected="classes_, and predict_proba or predict_top",
        )
    names = pd.Index(np.asarray(classes, dtype=object))

    def by_probability(X: pd.DataFrame, codes: np.ndarray) -> np.ndarray:
        scores = np.asarray(method.predict_proba(X), dtype=float)
        column = names.get_indexer(pd.Index(codes))
        found = scores[np.arange(len(X)), np.maximum(column, 0)]
        return np.asarray(np.where(column >= 0, found, 0.0))

    def by_candidates(X: pd.DataFrame, codes: np.ndarray) -> np.ndarray:
        candidates, scores = method.predict_top(X, len(names))
        hit = np.asarray(candidates, dtype=object) == codes[:, None]
        found = np.where(hit, np.nan_to_num(scores), 0.0)
        return np.asarray(found.max(axis=1, initial=0.0))

    return by_probability if hasattr(method, "predict_proba") else by_candidates


def token_contributions(
    score: Score,
    X: pd.DataFrame,
    codes: np.ndarray,
    *,
    column: str = "text",
    block: int = BLOCK,
) -> pd.DataFrame:
    """Return what each token of each text adds to the score of the row's code.

    All removals of a block of texts are scored in one call.

    Parameters
    ----------
    score : callable
        ``score(X, codes)`` as :func:`score_of` returns it.
    X : pandas.DataFrame
        Rows as the method reads them.
    codes : numpy.ndarray of object, shape (n,)
        The code to explain of each row; rows without one (None) are passed over.
    column : str
        The column of texts; tokens are what white space parts.
    block : int
        Texts, with tokens removed and whole, scored in one call.

    Returns
    -------
    pandas.DataFrame
        A row per token: row (position in X), position (in the text), token, score (of
        the whole text), contribution. It holds words of records: confidential.
    """
    tokens = _tokens(X[column])
    sizes = np.array([len(words) for words in tokens], dtype=int)
    known = np.array([code is not None for code in codes], dtype=bool)
    rows = np.flatnonzero((sizes > 0) & known)
    parts = [
        _block(score, X, codes, column, tokens, part)
        for part in _blocks(rows, sizes, block)
    ]
    names = ["row", "position", "token", "score", "contribution"]
    if not parts:
        empty = pd.DataFrame(columns=names)
        return empty.astype(
            {"row": int, "position": int, "score": float, "contribution": float}
        )
    return pd.concat(parts, ignore_index=True)[names]


def _blocks(rows: np.ndarray, sizes: np.ndarray, block: int) -> list[np.ndarray]:
    """Part the rows so that a part has about `block` texts to score."""
    if len(rows) == 0:
        return []
    ends = np.cumsum(sizes[rows] + 1)
    return np.split(rows, np.flatnonzero(np.diff(ends // block)) + 1)


def _block(
    score: Score,
    X: pd.DataFrame,
    codes: np.ndarray,
    column: str,
    tokens: list[list[str]],
    rows: np.ndarray,
) -> pd.DataFrame:
    texts: list[str] = []
    owner: list[int] = []
    position: list[int] = []
    for row in rows.tolist():
        words = tokens[row]
        for removed in range(-1, len(words)):  # -1: the whole text
            texts.append(_without(words, (removed,)))
            owner.append(row)
            position.append(removed)
    found = _scored(score, X, codes, column, np.array(owner), texts)
    table = pd.DataFrame({"row": owner, "position": position, "found": found})
    whole = table[table["position"] == -1].set_index("row")["found"]
    table = table[table["position"] >= 0].reset_index(drop=True)
    table["token"] = [word for row in rows.tolist() for word in tokens[row]]
    table["score"] = whole.reindex(table["row"]).to_numpy()
    return table.assign(contribution=table["score"] - table["found"])


def _scored(
    score: Score,
    X: pd.DataFrame,
    codes: np.ndarray,
    column: str,
    rows: np.ndarray,
    texts: list[str],
) -> np.ndarray:
    found = np.empty(len(texts))
    for start in range(0, len(texts), BLOCK):
        part = slice(start, start + BLOCK)
        changed = X.iloc[rows[part]].reset_index(drop=True)
        changed[column] = pd.Series(texts[part], dtype=str)
        found[part] = score(changed, codes[rows[part]])
    return found


def deletion_test(
    score: Score,
    X: pd.DataFrame,
    codes: np.ndarray,
    contributions: pd.DataFrame,
    design: Design,
    *,
    k: int = 2,
    draws: int = 10,
    seed: int = 0,
    column: str = "text",
) -> Indicator:
    """Test whether the named tokens matter more than tokens drawn at random.

    For each text with more than `k` tokens: the drop of the score when the `k` tokens
    of largest contribution are removed, minus the mean drop over draws of `k` of its
    tokens at random ("comprehensiveness" against a random rationale; DeYoung et al.
    2020, ACL, eq. 1). Contributions that were made by removing one token pass with
    ``k=1`` by construction: test them with two or more.

    Parameters
    ----------
    score, X, codes, column
        As in :func:`token_contributions`.
    contributions : pandas.DataFrame
        Columns row, position, contribution, from whatever explains the method.
    design : Design
        Of the rows of X.
    k, draws, seed : int
        Tokens removed, draws at random for each text, and their seed.

    Returns
    -------
    Indicator
        ``deletion_fidelity``: the weighted mean of the difference; the note holds the
        paired p and how many texts were too short.
    """
    tokens = _tokens(X[column])
    explained = contributions["row"].unique()
    rows = np.array([row for row in explained if len(tokens[row]) > k], dtype=int)
    short = len(explained) - len(rows)
    told = f"{k} tokens removed; {short} texts have no more than {k}"
    if len(rows) == 0:
        return _fidelity(absent("not_applicable", told))
    named = _largest(contributions, k)
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    whole_text: set[int] = set()
    for row in rows.tolist():
        words = tokens[row]
        drawn = [set(rng.permutation(len(words))[:k].tolist()) for _ in range(draws)]
        texts += [_without(words, gone) for gone in (whole_text, named[row], *drawn)]
    owner = np.repeat(rows, draws + 2)
    found = _scored(score, X, codes, column, owner, texts).reshape(len(rows), -1)
    whole, top, random = found[:, 0], found[:, 1], found[:, 2:].mean(axis=1)
    estimate = _mean_of(rows, random - top, design)
    drop = _mean_of(rows, whole - top, design)
    tested = f"paired {p_in_words(p_value(estimate))}"
    return _fidelity(noted(estimate, f"score drop {drop.value:.4f}, {tested}; {told}"))


def _largest(contributions: pd.DataFrame, k: int) -> dict[int, set[int]]:
    """Return row -> positions of its `k` tokens of largest contribution."""
    order = contributions.sort_values(
        ["contribution", "position"], ascending=[False, True]
    )
    first = order.groupby("row").head(k)
    named: dict[int, set[int]] = {}
    for row, position in zip(first["row"], first["position"], strict=True):
        named.setdefault(int(row), set()).add(int(position))
    return named


def _fidelity(estimate: Estimate) -> Indicator:
    return Indicator("explainability", "deletion_fidelity", estimate)


def _mean_of(rows: np.ndarray, values: np.ndarray, design: Design) -> Estimate:
    """Return the mean over some rows; the others stay in the design with zeros."""
    n = len(design.weight)
    inside, spread = np.zeros(n, dtype=bool), np.zeros(n)
    inside[rows], spread[rows] = True, values
    return design.mean(spread, inside)


def _tokens(texts: pd.Series) -> list[list[str]]:
    return [str(text).split() if pd.notna(text) else [] for text in texts]


def _without(words: Sequence[str], gone: Collection[int]) -> str:
    return " ".join(word for at, word in enumerate(words) if at not in gone)

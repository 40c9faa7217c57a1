"""The linear method with a code and a probability at every level."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.svm import LinearSVC

from mlstats.coding.calibration import Floats
from mlstats.coding.classification import Classification
from mlstats.coding.coder import Objects, Scorer, coded_rows
from mlstats.coding.hierarchy import Hierarchy, LevelCalibration
from mlstats.coding.linear import (
    LinearText,
    both_codes,
    fit_quietly,
    text_features,
)
from mlstats.coding.saved_model import unreadable
from mlstats.errors import ConfigError, nearest
from mlstats.writing import write_json

__all__ = ["HierarchicalText"]

_APPROACHES = ("sums", "siblings")


class HierarchicalText(LinearText):
    """The linear method, coding to every level at once.

    Two ways to a code's probability. ``sums``: every code against the rest, as in
    :class:`LinearText`, and the sums over the codes of a group. ``siblings``: level by
    level (Koller and Sahami 1997), a classifier below each group that tells its
    children apart; the probability of a code is the product along its path. Either
    way the levels are consistent with each other.

    Parameters
    ----------
    approach : {"sums", "siblings"}, default="sums"
        How the probability of a code is made.
    classification : Classification, optional
        Ancestors of the codes; a pilot hands its own over.
    separator, digits
        Where there is no classification: what stands between the segments of a code,
        or the number of leading characters that make each level.
    sharpness : float, default=4.0
        Factor of the scores among siblings before their softmax.
    C, word_ngrams, min_characters, max_characters, character_weight
        As in :class:`LinearText`, as the following.
    covariate_weight, sublinear, covariates, bands, min_units, index, index_weight
        As in :class:`LinearText`; `index` serves ``sums`` alone.
    random_state : int, default=0
        As in :class:`LinearText`.

    Attributes
    ----------
    hierarchy_ : Hierarchy
        Levels, and the ancestors of each code.

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["whole milk", "milk", "rye bread", "wine", "wine"]})
    >>> y = pd.Series(["01.14", "01.14", "01.11", "02.12", "02.12"])
    >>> coder = HierarchicalText(separator=".", min_units=1).fit(X, y)
    >>> codes, chances = coder.predict_levels(pd.DataFrame({"text": ["milk"]}))
    >>> codes.tolist(), bool((np.diff(chances) <= 0).all())
    ([['01', '01.14', '01.14']], True)
    """

    def __init__(
        self,
        *,
        approach: str = "sums",
        classification: Classification | None = None,
        separator: str | None = None,
        digits: Sequence[int] | None = None,
        sharpness: float = 4.0,
        C: float = 0.3,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        character_weight: float = 2.0,
        covariate_weight: float = 1.0,
        sublinear: bool = False,
        covariates: str = "tokens",
        bands: int = 10,
        min_units: int = 2,
        index: str | Path | None = None,
        index_weight: float = 0.1,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            C=C,
            word_ngrams=word_ngrams,
            min_characters=min_characters,
            max_characters=max_characters,
            character_weight=character_weight,
            covariate_weight=covariate_weight,
            sublinear=sublinear,
            covariates=covariates,
            bands=bands,
            min_units=min_units,
            index=index,
            index_weight=index_weight,
            random_state=random_state,
        )
        self.approach = approach
        self.classification = classification
        self.separator = separator
        self.digits = digits
        self.sharpness = sharpness

    def calibrate(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the probabilities of the codes, then those of each level."""
        super().calibrate(X, y)
        rows, truth, _ = coded_rows(X, y)
        codes, told = self._levels_of(rows)
        above = Hierarchy.of(
            truth, self.classification, self.separator, self.digits
        ).ancestors
        wide = codes.shape[1] - 1
        right = np.full(codes.shape, None, dtype=object)
        right[:, -1] = codes[:, -1] == truth
        shared = min(wide, above.shape[1] - 1)
        judged = (above[:, :shared] != None) & (codes[:, :shared] != None)  # noqa: E711
        right[:, :shared][judged] = (codes[:, :shared] == above[:, :shared])[judged]
        self._level_calibration = LevelCalibration.fit(told, right)
        return self

    def predict_levels(self, X: pd.DataFrame) -> tuple[Objects, Floats]:
        """Return the best code of each level, each inside the one before.

        Parameters
        ----------
        X : DataFrame, shape (n, 1 + covariates)
            The columns of :meth:`fit`.

        Returns
        -------
        codes : ndarray of object, shape (n, levels)
            In the order of ``hierarchy_.levels``, the full code last; None where the
            text has no word, or no code lies that deep. The full code lies inside
            the groups before it, so it may differ from :meth:`predict`'s.
        probabilities : ndarray of float, shape (n, levels)
            That the code of the level is right, never rising to the right; 0 where
            there is none.
        """
        codes, told = self._levels_of(X)
        return codes, self._level_calibration.apply(told)

    def save(self, folder: Path) -> None:
        """Write what :class:`LinearText` writes, and the hierarchy (json)."""
        super().save(folder)
        about: dict[str, Any] = {
            "levels": self.hierarchy_.levels,
            "ancestors": self.hierarchy_.ancestors.tolist(),
            "level_calibration": self._level_calibration.weights,
            "parents": self._parents.tolist(),
            "paths": self._paths.toarray().astype(int).tolist(),
        }
        write_json(Path(folder) / "hierarchy.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same."""
        coder = super().load(folder)
        path = Path(folder) / "hierarchy.json"
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise unreadable(path) from error
        ancestors = np.array(about["ancestors"], dtype=object)
        coder.hierarchy_ = Hierarchy(about["levels"], ancestors)
        coder._level_calibration = LevelCalibration(about["level_calibration"])
        coder._parents = np.array(about["parents"], dtype=np.int64)
        coder._paths = sparse.csr_array(np.array(about["paths"], dtype=np.float32))
        return coder

    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        if self.approach not in _APPROACHES:
            raise ConfigError(
                f"approach is {self.approach!r}",
                expected=" or ".join(_APPROACHES),
                nearest=nearest(str(self.approach), _APPROACHES),
            )
        self._level_calibration = LevelCalibration()
        self._parents = np.empty(0, dtype=np.int64)
        self._paths = sparse.csr_array((0, 0), dtype=np.float32)
        if self.approach == "sums":
            super()._learn(rows, codes, groups)
        else:
            self.classes_ = np.array(sorted(set(codes)), dtype=object)
        self.hierarchy_ = Hierarchy.of(
            self.classes_, self.classification, self.separator, self.digits
        )
        if self.approach == "siblings":
            self._learn_siblings(rows, codes, groups)

    def _learn_siblings(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        """Fit a classifier below each group with two children or more."""
        self.features_ = text_features(self, rows, groups)
        matrix = self.features_.transform(rows)
        leaf = pd.Index(self.classes_).get_indexer(pd.Index(codes))
        nodes = _nodes(self.hierarchy_)
        coef, intercept, parents, path = [], [], [], []
        for number, (below, child) in enumerate(nodes):
            used = np.flatnonzero(np.isin(leaf, below))
            target = child[leaf[used]]
            machine = LinearSVC(C=self.C, dual=True, random_state=self.random_state)
            fit_quietly(machine, matrix[used], target, None)
            coef.append(both_codes(machine.coef_))
            intercept.append(both_codes(machine.intercept_[:, None])[:, 0])
            for value in machine.classes_:
                parents.append(number)
                path.append((child == value).astype(np.float32))
        self.coef_ = np.ascontiguousarray(np.vstack(coef).T, dtype=np.float32)
        self.intercept_ = np.concatenate(intercept).astype(np.float32)
        self._parents = np.array(parents, dtype=np.int64)
        self._paths = sparse.csr_array(np.array(path).T)

    def _scorer(self, rows: pd.DataFrame) -> Scorer:
        score = super()._scorer(rows)
        if self.approach == "sums":
            return score
        first = np.flatnonzero(np.r_[True, np.diff(self._parents) > 0])

        def along_paths(part: slice) -> Any:
            logs = score(part) * np.float32(self.sharpness)
            logs -= np.maximum.reduceat(logs, first, axis=1)[:, self._parents]
            total = np.add.reduceat(np.exp(logs), first, axis=1)
            logs -= np.log(total)[:, self._parents]
            return logs @ self._paths.T

        return along_paths

    def _levels_of(self, X: pd.DataFrame) -> tuple[Objects, Floats]:
        calibration = self._probabilities_ready()
        codes = np.full((len(X), len(self.hierarchy_.levels)), None, dtype=object)
        told = np.zeros(codes.shape)
        for row, scores in self._scored(X):
            chances = calibration.probabilities(scores)
            codes[row], told[row] = self.hierarchy_.descend(chances)
        return codes, told


def _nodes(hierarchy: Hierarchy) -> list[tuple[Any, Any]]:
    """Return, for each group with two children, its codes and the child of each.

    A code that is a group of other codes is a child of its own group too, because a
    coder may stop there.
    """
    codes = len(hierarchy.ancestors)
    found = []
    above = np.zeros(codes, dtype=np.int64)  # at first the root, -1: stopped before
    for _, number in hierarchy.groups:
        child = np.where(number >= 0, number, -2 - np.arange(codes))
        for parent in np.unique(above[above >= 0]):
            below = np.flatnonzero(above == parent)
            if len(set(child[below])) > 1:
                found.append((below, np.where(above == parent, child, -1)))
        above = np.where(above >= 0, number, -1)
    return found

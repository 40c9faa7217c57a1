"""Groups above the codes of a model, and their probabilities.

The probability of a group is the sum of those of its codes, so that a group is never
less probable than one of its codes and the groups of a level never sum to more than 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.special import expit, logit

from mlstats.coding.calibration import Floats, Ints, platt_logistic
from mlstats.coding.classification import FULL, Classification
from mlstats.coding.coder import Objects
from mlstats.errors import ConfigError

__all__ = ["Hierarchy", "LevelCalibration"]

_EDGE = 1e-6  # a probability nearer to 0 or 1 is taken as this before its log odds


@dataclass(frozen=True)
class Hierarchy:
    """The ancestors of a model's codes.

    Attributes
    ----------
    levels : list of str
        Names of the levels, broadest first; the last is the full code.
    ancestors : ndarray of object, shape (codes, levels)
        None where a code is shorter than the level.
    """

    levels: list[str]
    ancestors: Objects

    @classmethod
    def of(
        cls,
        classes: Objects,
        classification: Classification | None,
        separator: str | None = None,
        digits: Sequence[int] | None = None,
    ) -> Hierarchy:
        """Look the ancestors up, or cut them from the codes.

        Parameters
        ----------
        classes : ndarray of object, shape (codes,)
        classification : Classification or None
            The codes that it lacks have no ancestors but themselves.
        separator, digits
            As in :meth:`Classification.from_frame`, where there is none.

        Raises
        ------
        ConfigError
            If nothing says what the levels are.
        """
        if classification is None:
            if separator is None and digits is None:
                raise ConfigError(
                    "The method does not know the levels of the codes",
                    expected="a classification, or separator or digits",
                )
            classification = Classification.from_frame(
                pd.DataFrame({"code": classes}),
                title=None,
                parent=None,
                separator=separator,
                digits=digits,
            )
        classification = classification.extended(classes)
        levels = list(classification.levels)
        columns = [classification.ancestor(classes, level) for level in levels]
        return cls([*levels, FULL], np.column_stack([*columns, classes]))

    @cached_property
    def groups(self) -> list[tuple[Objects, Ints]]:
        """The groups of each level, and the number of each code's group or -1."""
        found = []
        for column in self.ancestors.T:
            number, names = pd.factorize(column, sort=True)
            found.append((np.asarray(names, dtype=object), np.asarray(number)))
        return found

    def sums(self, chances: Floats, level: int) -> Floats:
        """Return the probability of each group of a level.

        Parameters
        ----------
        chances : ndarray, shape (n, codes)
        level : int
            Place in ``levels``.

        Returns
        -------
        ndarray, shape (n, groups)
        """
        names, number = self.groups[level]
        there = np.flatnonzero(number >= 0)
        place = (there, number[there])
        shape = (len(number), len(names))
        member = sparse.csr_array((np.ones(len(there)), place), shape=shape)
        summed: Floats = chances @ member
        return summed

    def descend(self, chances: Floats) -> tuple[Objects, Floats]:
        """Return the most probable group at each level, each inside the last one.

        Parameters
        ----------
        chances : ndarray, shape (n, codes)

        Returns
        -------
        codes : ndarray of object, shape (n, levels)
            None from where on no code lies deeper, or a code that stops there is
            more probable; the full code is always there.
        probabilities : ndarray, shape (n, levels)
            Falling from left to right; 0 where there is no code.
        """
        codes = np.full((len(chances), len(self.levels)), None, dtype=object)
        told = np.zeros(codes.shape)
        left = chances.copy()  # of the codes inside the groups chosen so far
        rows = np.arange(len(chances))
        for level, (names, number) in enumerate(self.groups):
            sums = self.sums(left, level)
            best = sums.argmax(axis=1)
            most = sums[rows, best]
            stops = left[:, number < 0].max(axis=1, initial=0)
            there = (most > 0) & (most >= stops)
            codes[there, level] = names[best[there]]
            told[there, level] = most[there]
            inside = np.where(there[:, None], number == best[:, None], number < 0)
            if level < len(self.levels) - 1:
                left *= inside
        return codes, np.asarray(told, dtype=np.float64)


@dataclass(frozen=True)
class LevelCalibration:
    """P(the code of a level is right) from the sum of its codes' probabilities.

    Platt's logistic of the log odds, level by level, then never more than at the
    level above: what is right in full is right at every level.

    Attributes
    ----------
    weights : list of list of float
        Intercept and slope of each level.
    """

    weights: list[list[float]] = field(default_factory=list)

    @classmethod
    def fit(cls, told: Floats, right: npt.NDArray[np.object_]) -> LevelCalibration:
        """Fit each level on the rows that can be judged there.

        Parameters
        ----------
        told : ndarray, shape (n, levels)
            Sums of probabilities.
        right : ndarray of bool or None, shape (n, levels)
            None where the true code is shorter than the level, or nothing was coded.
        """
        weights = []
        for column, truth in zip(told.T, right.T, strict=True):
            judged = np.array([value is not None for value in truth], dtype=bool)
            if judged.sum() < 2:
                weights.append([0.0, 1.0])
                continue
            odds = _log_odds(column[judged])
            evidence = np.column_stack([np.ones(len(odds)), odds, np.zeros(len(odds))])
            fitted = platt_logistic(evidence, truth[judged].astype(bool))
            weights.append([float(fitted[0]), float(fitted[1])])
        return cls(weights)

    def apply(self, told: Floats) -> Floats:
        """Return the calibrated probabilities, 0 where nothing was coded."""
        if not self.weights:
            return told
        intercept, slope = np.array(self.weights).T
        chance = expit(intercept + slope * _log_odds(told))
        chance[told == 0] = 0
        above = np.minimum.accumulate(np.where(told == 0, 1, chance), axis=1)
        falling: Floats = np.where(told == 0, 0, above)
        return falling


def _log_odds(chance: Floats) -> Floats:
    odds: Floats = logit(np.clip(chance, _EDGE, 1 - _EDGE))
    return odds

"""The sample before fieldwork: its size, its allocation and the errors to expect."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Literal

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError

__all__ = ["allocate", "expected_error", "map_sample", "sample_size"]

Allocation = Literal["proportional", "neyman", "equal"]


def sample_size(
    share: np.ndarray,
    spread: np.ndarray,
    se: float,
    *,
    units: float = np.inf,
    allocation: Allocation = "neyman",
) -> int:
    """Return the units that give a mean or a share a standard error.

    Neyman: ``(sum W S)**2 / (se**2 + sum W S**2 / N)``; proportional: ``sum W S**2``
    in the numerator (Cochran 1977, section 5.9). With N infinite the first is equation
    13 of Olofsson et al. 2014.

    Parameters
    ----------
    share, spread : numpy.ndarray, shape (H,)
        Share ``W`` of each stratum, and standard deviation ``S`` within it.
    se : float
        Wanted, of the mean over all strata.
    units : float
        Units of the population.
    allocation : {"neyman", "proportional"}
        How the units will be dealt out.

    Raises
    ------
    ConfigError
        Where shares do not add up to 1 or a number is not valid.

    Examples
    --------
    >>> shares = np.array([0.02, 0.015, 0.32, 0.645])
    >>> accuracy = np.array([0.7, 0.6, 0.9, 0.95])
    >>> sample_size(shares, np.sqrt(accuracy * (1 - accuracy)), 0.01)
    641
    """
    w, s = _strata(share, spread)
    if not se > 0 or not units > 0:
        raise ConfigError("A standard error or a population size is not positive")
    if allocation == "neyman":
        needed = _neyman_size(w, s, se, units)
    elif allocation == "proportional":
        within = float(w @ s**2)
        needed = within / (se**2 + within / units)
    else:
        raise ConfigError(
            f"There is no sample size for the allocation {allocation!r}",
            expected="neyman or proportional",
        )
    return int(min(max(ceil(needed - 1e-9), 1), units))


def _neyman_size(w: np.ndarray, s: np.ndarray, se: float, units: float) -> float:
    """Return the size; a stratum that would need more than it has is drawn whole.

    Cochran 1977, section 5.8.
    """
    whole = np.zeros(len(w), dtype=bool)
    while True:
        left = ~whole
        pull = float(w[left] @ s[left])
        needed = pull**2 / (se**2 + float(w[left] @ s[left] ** 2) / units)
        share = np.where(left, w * s / pull, 0.0) if pull > 0 else np.zeros(len(w))
        with np.errstate(invalid="ignore"):
            over = left & (needed * share > w * units)
        if not over.any():
            return float(needed + (w[whole] * units).sum()) if whole.any() else needed
        whole |= over


def allocate(
    share: np.ndarray,
    n: int,
    *,
    spread: np.ndarray | None = None,
    allocation: Allocation = "proportional",
    least: int | np.ndarray = 2,
    units: np.ndarray | None = None,
) -> np.ndarray:
    """Deal a number of units out to strata, whole and adding up.

    Parameters
    ----------
    share : numpy.ndarray, shape (H,)
        Share of each stratum in the area.
    n : int
        Units in all.
    spread : numpy.ndarray, shape (H,), optional
        Standard deviations, for "neyman".
    allocation : {"proportional", "neyman", "equal"}
        What the units are proportional to: ``W``, ``W S`` (Neyman 1934) or nothing.
    least : int or numpy.ndarray, shape (H,)
        At least so many in a stratum, or all of its units.
    units : numpy.ndarray, shape (H,), optional
        Units of each stratum in the population.

    Returns
    -------
    numpy.ndarray of int, shape (H,)

    Raises
    ------
    ConfigError
        Where the least numbers exceed `n`, or `n` the population.
    """
    ones = np.ones(len(share))
    w, s = _strata(share, ones if spread is None else spread)
    if allocation == "neyman" and spread is None:
        raise ConfigError("Neyman's allocation needs the spread of each stratum")
    size = {"proportional": w, "neyman": w * s, "equal": ones}.get(allocation)
    if size is None:
        raise ConfigError(
            f"There is no allocation {allocation!r}",
            expected="proportional, neyman or equal",
        )
    most = np.full(len(w), np.inf) if units is None else np.asarray(units, float)
    floor = np.minimum(np.broadcast_to(np.asarray(least, float), w.shape), most)
    if floor.sum() > n or most.sum() < n:
        raise ConfigError(
            f"{n} units cannot be dealt out",
            expected=f"at least {floor.sum():.0f}"
            + (f", at most {most.sum():.0f}" if np.isfinite(most.sum()) else ""),
        )
    return _rounded(_bounded(size, float(n), floor, most), n, most)


def expected_error(
    share: np.ndarray,
    spread: np.ndarray,
    drawn: np.ndarray,
    *,
    units: np.ndarray | None = None,
) -> float:
    """Return the standard error to expect of a stratified mean or share.

    ``sqrt(sum W**2 (1 - n/N) S**2 / n)`` (Cochran 1977, section 5.3).

    Parameters
    ----------
    share, spread, drawn : numpy.ndarray, shape (H,)
        Share, standard deviation and sampled units of each stratum.
    units : numpy.ndarray, shape (H,), optional
        Units of the population, for the finite-population correction.
    """
    w, s = _strata(share, spread)
    n = np.asarray(drawn, dtype=float)
    if n.shape != w.shape or (n < 1).any():
        raise ConfigError("Every stratum needs a sampled unit")
    kept = np.ones(len(w)) if units is None else 1 - n / np.asarray(units, float)
    return float(np.sqrt((w**2 * np.maximum(kept, 0) * s**2 / n).sum()))


def map_sample(
    areas: Mapping[str, float],
    users: Mapping[str, float],
    *,
    se_overall: float = 0.01,
    n: int | None = None,
    least: int = 50,
) -> tuple[pd.DataFrame, float]:
    """Design the reference sample for a map, stratified by its classes.

    The size gives overall accuracy its standard error (Olofsson et al. 2014, equation
    13, with ``S = sqrt(U (1 - U))``); each class has at least `least` units, the rest
    is proportional to its area (section 5.1.2 there).

    Parameters
    ----------
    areas : mapping
        Map class -> area; the unclassified area is a class as well.
    users : mapping
        Map class -> user's accuracy to expect; for the unclassified, the share of it
        that is of the class wanted, or .5 where nothing is known.
    se_overall : float
        Wanted standard error of overall accuracy.
    n : int, optional
        Size where it is given rather than worked out.
    least : int
        Units of a rare class.

    Returns
    -------
    plan : pandas.DataFrame
        Columns stratum, area, share, users, n, se_users (to expect).
    se : float
        Standard error of overall accuracy to expect of the plan.

    Raises
    ------
    ConfigError
        Where a class lacks an accuracy or a number is not valid.
    """
    names = [name for name, area in areas.items() if area > 0]
    missing = [name for name in names if name not in users]
    if missing:
        raise ConfigError(
            f"{len(missing)} classes have no expected user's accuracy",
            where=f"class {missing[0]!r}",
        )
    area = np.array([float(areas[name]) for name in names])
    accuracy = np.array([float(users[name]) for name in names])
    if not ((accuracy >= 0) & (accuracy <= 1)).all():
        raise ConfigError("A user's accuracy lies outside 0 to 1")
    share, spread = area / area.sum(), np.sqrt(accuracy * (1 - accuracy))
    size = sample_size(share, spread, se_overall) if n is None else n
    size = max(size, least * len(names)) if n is None else size
    drawn = allocate(share, size, least=least)
    plan = pd.DataFrame(
        {
            "stratum": names,
            "area": area,
            "share": share,
            "users": accuracy,
            "n": drawn,
            "se_users": spread / np.sqrt(np.maximum(drawn - 1, 1)),
        }
    )
    return plan, expected_error(share, spread, drawn)


def _strata(share: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    w, s = np.asarray(share, dtype=float), np.asarray(spread, dtype=float)
    valid = w.shape == s.shape and len(w) > 0 and np.isfinite([w, s]).all()
    if not valid or (w < 0).any() or (s < 0).any() or abs(w.sum() - 1) > 1e-6:
        raise ConfigError(
            "Shares and spreads of the strata cannot be used",
            expected="one of each for a stratum, not negative, shares that add to 1",
        )
    return w, s


def _bounded(
    size: np.ndarray, n: float, floor: np.ndarray, most: np.ndarray
) -> np.ndarray:
    """Return numbers proportional to `size` within bounds, that add up to `n`."""
    low, high = 0.0, 1.0
    weight = np.where(size > 0, size, 0.0)

    def dealt(scale: float) -> np.ndarray:
        return np.asarray(np.clip(weight * scale, floor, most))

    while dealt(high).sum() < n and high < 1e300:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if dealt(middle).sum() < n else (low, middle)
    return dealt(high)


def _rounded(number: np.ndarray, n: int, most: np.ndarray) -> np.ndarray:
    """Round by largest remainders, so that the sum is `n`."""
    whole = np.floor(number + 1e-9)
    order = np.argsort(-(number - whole), kind="stable")
    left = int(n - whole.sum())
    while left > 0:
        for h in order:
            if left > 0 and whole[h] < most[h]:
                whole[h] += 1
                left -= 1
    return whole.astype(int)

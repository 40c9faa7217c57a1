"""Prorating: make components add up to their total.

The definitions are those of Banff's prorating (Statistics Canada, Banff functional
description, prorating). A record whose total is missing is refused and left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlstats.errors import ConfigError, ContractError

__all__ = ["Prorated", "prorate"]


@dataclass(frozen=True, eq=False)
class Prorated:
    """Prorated components and what happened to each record.

    Parameters
    ----------
    values : numpy.ndarray of float, shape (n, components)
        Components; those of a refused record as they were.
    status : numpy.ndarray of str, shape (n,)
        ``unchanged`` (they add up), ``prorated`` or ``refused``.
    reason : numpy.ndarray of str, shape (n,)
        Why a record is refused.
    """

    values: np.ndarray
    status: np.ndarray
    reason: np.ndarray


def prorate(
    components: np.ndarray,
    totals: np.ndarray,
    *,
    weights: np.ndarray | float = 1.0,
    method: str = "basic",
    decimals: int | None = None,
    lower: float = -np.inf,
    upper: float = np.inf,
    open_cells: np.ndarray | None = None,
) -> Prorated:
    """Prorate the components of each record to its total.

    ``basic``: ``k = (Y - sum x) / sum (x / w)``, ``x' = x (1 + k / w)``. ``scaling``:
    ``k = (Y - sum x) / sum (|x| / w)``, ``x' = x + k |x| / w``, refused where it would
    change a sign. A zero never changes.

    Parameters
    ----------
    components : numpy.ndarray, shape (n, components)
        Values; a missing one is no part of the sum and stays missing.
    totals : numpy.ndarray, shape (n,)
        Totals; a record without one is refused.
    weights : float or numpy.ndarray, shape (components,) or (n, components)
        A component with a larger weight changes less.
    method : {"basic", "scaling"}
        The second for components that may be negative.
    decimals : int, optional
        Round to so many decimals, the total being kept: to one more first, then each
        by the rounding error carried from the left (Sigman and Wagner 1997).
    lower, upper : float
        Limits of ``x' / x``; beyond them the record is refused.
    open_cells : numpy.ndarray of bool, shape (n, components), optional
        Components that may change; all if left out.

    Raises
    ------
    ConfigError
        For an unknown method or weights that are not above zero.
    ContractError
        For infinite values.
    """
    x = np.array(components, dtype=float)
    total = np.asarray(totals, dtype=float)
    if method not in ("basic", "scaling"):
        raise ConfigError(
            f"There is no prorating {method!r}", expected="basic or scaling"
        )
    if np.isinf(x).any() or np.isinf(total).any():
        raise ContractError("Components or totals are infinite")
    w = np.broadcast_to(np.asarray(weights, dtype=float), x.shape)
    if not (w > 0).all():
        raise ConfigError("The weights of prorating must be above zero")
    may = np.isfinite(x) if open_cells is None else np.isfinite(x) & open_cells
    size = np.abs(x) if method == "scaling" else x
    share = np.where(may, np.nan_to_num(size) / w, 0.0)
    gap = total - np.nansum(x, axis=1)
    changed, k = _shared(x, share, gap, total, decimals, may)
    reason = _reasons(x, total, share, gap, changed, (lower, upper), method)
    exact = np.abs(gap) <= 1e-9 * np.maximum(1.0, np.abs(np.nan_to_num(total)))
    if decimals is not None:
        exact &= np.isclose(changed, x, rtol=0, atol=1e-12, equal_nan=True).all(axis=1)
    refused = (reason != "") & ~exact
    status = np.where(exact, "unchanged", np.where(refused, "refused", "prorated"))
    values = np.where((status == "prorated")[:, None], changed, x)
    return Prorated(values, status, np.where(refused, reason, ""))


def _shared(
    x: np.ndarray,
    share: np.ndarray,
    gap: np.ndarray,
    total: np.ndarray,
    decimals: int | None,
    may: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    below = share.sum(axis=1)
    k = np.zeros(len(x))
    np.divide(gap, below, out=k, where=(below != 0) & np.isfinite(gap))
    changed = x + k[:, None] * share
    if decimals is not None:
        changed = _carried(changed, may & (share != 0), decimals)
    return changed, k


def _carried(x: np.ndarray, may: np.ndarray, decimals: int) -> np.ndarray:
    """Round from left to right, each with the rounding error of those before it."""
    fine = np.round(x, decimals + 1)
    carry = np.zeros(len(x))
    result = x.copy()
    for j in range(x.shape[1]):
        whole = np.round(fine[:, j] + carry, decimals)
        result[:, j] = np.where(may[:, j], whole, x[:, j])
        error = np.where(may[:, j], fine[:, j] - whole, 0.0)
        carry = np.round(carry + error, decimals + 2)
    return result


def _reasons(
    x: np.ndarray,
    total: np.ndarray,
    share: np.ndarray,
    gap: np.ndarray,
    changed: np.ndarray,
    limits: tuple[float, float],
    method: str,
) -> np.ndarray:
    """Return why each record cannot be prorated, empty where it can."""
    ratio = np.ones_like(x)
    np.divide(changed, x, out=ratio, where=np.isfinite(x) & (x != 0))
    outside = ((ratio < limits[0]) | (ratio > limits[1])).any(axis=1)
    turned = (np.sign(ratio) < 0).any(axis=1) & (method == "scaling")
    left = np.abs(np.nansum(changed, axis=1) - total)
    missed = left > 1e-6 * np.maximum(1.0, np.abs(total))
    checks = [
        (np.isnan(total), "the total is missing"),
        (np.isnan(x).all(axis=1), "all components are missing"),
        (~(share != 0).any(axis=1), "no component that may change differs from zero"),
        (share.sum(axis=1) == 0, "the components that may change cancel out"),
        (turned, "a component would change its sign"),
        (outside, "a component would change beyond its limits"),
        (missed, "the rounded components do not reach the total"),
    ]
    return np.select([c for c, _ in checks], [r for _, r in checks], default="")

"""Acceptance sampling of clerical batches: plans, their OC curve, outgoing quality.

A batch of clerk-coded units is inspected in part: with at most ``c`` wrong codes among
``n`` it is accepted, else it is coded again as a whole. The figures are those of
Dodge and Romig (1959, Sampling Inspection Tables, 2nd ed.); notation as in Montgomery
(2009, Introduction to Statistical Quality Control, 6th ed., chapter 15). All
probabilities are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import pandas as pd
from scipy import optimize, stats

from mlstats.errors import MlstatsError

__all__ = ["Plan", "judge_batches", "oc_curve", "sampling_plan"]

_MOST = 10_000  # units inspected beyond which no clerk's batch goes
_TINY = 1e-9  # a share of a batch is a whole number of units up to this


@dataclass(frozen=True)
class Plan:
    """A single sampling plan: inspect `n` units, accept with at most `c` wrong ones.

    Parameters
    ----------
    n, c : int
        Units inspected and acceptance number.

    Examples
    --------
    >>> round(Plan(89, 2).acceptance(0.01), 4)
    0.9397
    """

    n: int
    c: int

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 <= self.c < self.n:
            raise MlstatsError(
                "This sampling plan does not exist", expected="0 <= c < n, n >= 1"
            )

    def acceptance(self, p: float, *, lot: int | None = None) -> float:
        """Return the chance that a batch with the error rate `p` is accepted.

        Parameters
        ----------
        p : float
            Share of wrong codes.
        lot : int, optional
            Units of the batch: the chance is hypergeometric then, with the whole
            number of wrong codes nearest to ``p lot``; else binomial.
        """
        if lot is None:
            return float(stats.binom.cdf(self.c, self.n, p))
        self._fits(lot)
        return float(stats.hypergeom.cdf(self.c, lot, round(p * lot), self.n))

    def outgoing(self, p: float, *, lot: int | None = None) -> float:
        """Return the average outgoing error rate (AOQ) after rectification.

        ``P_a p (N - n) / N`` (Montgomery, eq. 15.4): wrong codes found are mended and
        a batch that is not accepted is coded again without error. `p` is the rate of
        the clerks, from batch to batch.

        Parameters
        ----------
        lot : int, optional
            Units of a batch; without it the inspected part is neglected.
        """
        return self.acceptance(p) * p * self._left(lot)

    def outgoing_limit(self, *, lot: int | None = None) -> tuple[float, float]:
        """Return the worst average outgoing error rate (AOQL) and the rate it is at."""
        grid = np.linspace(0, 1, 2001)
        at = int(np.argmax(stats.binom.cdf(self.c, self.n, grid) * grid))
        low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
        found = optimize.minimize_scalar(
            lambda p: -self.outgoing(float(p), lot=lot),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return (-float(found.fun), float(found.x))

    def inspected(self, p: float, lot: int) -> float:
        """Return the average number of units inspected in a batch (ATI).

        ``n + (1 - P_a) (N - n)`` (Montgomery, eq. 15.6).
        """
        self._fits(lot)
        return self.n + (1 - self.acceptance(p)) * (lot - self.n)

    def _left(self, lot: int | None) -> float:
        if lot is None:
            return 1.0
        self._fits(lot)
        return (lot - self.n) / lot

    def _fits(self, lot: int) -> None:
        if lot < self.n:
            raise MlstatsError(
                f"A batch of {lot} units cannot give a sample of {self.n}",
                expected="a plan made for the size of the batch",
            )


def sampling_plan(
    aql: float,
    ltpd: float,
    *,
    producer_risk: float = 0.05,
    consumer_risk: float = 0.10,
    lot: int | None = None,
) -> Plan:
    """Return the smallest plan that keeps both risks.

    For ``c = 0, 1, ...`` the smallest `n` that accepts a batch at `ltpd` with at most
    `consumer_risk` is taken; the first that rejects one at `aql` with at most
    `producer_risk` is the plan.

    Parameters
    ----------
    aql, ltpd : float
        Error rate that is to be accepted, and the one that is not.
    producer_risk, consumer_risk : float
        Chance of rejecting a batch at `aql`, and of accepting one at `ltpd`.
    lot : int, optional
        Units of a batch: exact for a batch of its own, with the whole numbers of
        wrong codes that are at most `aql` and at least `ltpd`.

    Raises
    ------
    MlstatsError
        Where the rates are not in order, or no plan of such a batch keeps both risks.

    Examples
    --------
    >>> sampling_plan(0.01, 0.05)
    Plan(n=132, c=3)
    """
    if not 0 <= aql < ltpd <= 1:
        raise MlstatsError(
            "There is no plan for these rates", expected="0 <= aql < ltpd <= 1"
        )
    good, bad = aql, ltpd
    if lot is not None:
        good = floor(aql * lot + _TINY) / lot
        bad = ceil(ltpd * lot - _TINY) / lot
    most = lot or _MOST
    c, low = 0, 1
    while low <= most:
        n = _smallest(c, max(low, c + 1), most, bad, consumer_risk, lot)
        if n is None:
            break
        plan = Plan(n, c)
        if plan.acceptance(good, lot=lot) >= 1 - producer_risk:
            return plan
        c, low = c + 1, n
    raise MlstatsError(
        "No plan keeps both risks",
        expected=f"a plan of at most {most:,} units",
        hint="inspect the whole batch, or let the two rates lie further apart",
    )


def _smallest(
    c: int, low: int, high: int, bad: float, risk: float, lot: int | None
) -> int | None:
    """Return the smallest n that accepts `bad` with at most `risk`: it falls in n."""
    if low > high or Plan(high, c).acceptance(bad, lot=lot) > risk:
        return None
    while low < high:
        middle = (low + high) // 2
        if Plan(middle, c).acceptance(bad, lot=lot) <= risk:
            high = middle
        else:
            low = middle + 1
    return low


def oc_curve(
    plan: Plan, rates: np.ndarray | None = None, *, lot: int | None = None
) -> pd.DataFrame:
    """Return the operating characteristic of a plan.

    Parameters
    ----------
    rates : numpy.ndarray, optional
        Error rates; 0 to five times the acceptance limit ``(c + 1) / n`` otherwise.
    lot : int, optional
        Units of a batch.

    Returns
    -------
    pandas.DataFrame
        Columns rate, acceptance, outgoing (AOQ).
    """
    if rates is None:
        rates = np.linspace(0, min(1.0, 5 * (plan.c + 1) / plan.n), 101)
    return pd.DataFrame(
        {
            "rate": rates,
            "acceptance": [plan.acceptance(float(p), lot=lot) for p in rates],
            "outgoing": [plan.outgoing(float(p), lot=lot) for p in rates],
        }
    )


def judge_batches(batches: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Tell which batches are accepted.

    Parameters
    ----------
    batches : pandas.DataFrame
        Columns batch, inspected and wrong; other columns are kept.

    Returns
    -------
    pandas.DataFrame
        With the column result: accept, reject, or not_measured where fewer than
        ``n`` units were inspected and not more than ``c`` of them are wrong: what
        was not inspected is not right.
    """
    wrong = batches["wrong"].to_numpy()
    enough = batches["inspected"].to_numpy() >= plan.n
    result = np.where(
        wrong > plan.c, "reject", np.where(enough, "accept", "not_measured")
    )
    return batches.assign(result=result)

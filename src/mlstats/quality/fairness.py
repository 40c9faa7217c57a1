"""Whether errors and clerks fall on some groups more than on others.

An extension of QF4SA. Groups are publication domains; those with too few units are
pooled, so that no figure of a small group is told and none can be worked out by
subtraction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator, contrast, p_in_words, p_value
from mlstats.quality.multiple import benjamini_hochberg

__all__ = [
    "POOLED",
    "DomainFigures",
    "domain_gaps",
    "domain_indicators",
    "fairness_indicators",
    "pool_of",
    "pooled",
    "worst_to_best",
]

POOLED: Final = "(small domains)"
_DIMENSION: Final = "fairness"


def pooled(domain: np.ndarray, *, min_cell: int) -> np.ndarray:
    """Return the domains with those of fewer units than `min_cell` made one.

    Where the pool itself would be too small the next smallest domain joins it, and
    again, until the pool is large enough or holds everything.

    Parameters
    ----------
    domain : numpy.ndarray of object, shape (n,)
        Domain of each unit; None or empty is a domain of its own.

    Examples
    --------
    >>> pooled(np.array(["a"] * 5 + ["b"] * 4 + ["c"], dtype=object), min_cell=3)[-2:]
    array(['(small domains)', '(small domains)'], dtype=object)
    """
    names = ["" if name is None else str(name) for name in domain]
    pool = pool_of(Counter(names), min_cell=min_cell)
    made = [POOLED if name in pool else name for name in names]
    return np.array(made, dtype=object)


def pool_of(units: Mapping[str, int], *, min_cell: int) -> set[str]:
    """Return the domains that are made one, as :func:`pooled` says.

    Parameters
    ----------
    units : mapping of str to int
        Domain -> its units.
    """
    pool: set[str] = set()
    size = 0
    for name, count in sorted(units.items(), key=lambda item: (item[1], item[0])):
        if count >= min_cell and (size == 0 or size >= min_cell):
            break
        pool.add(name)
        size += count
    return pool


@dataclass(frozen=True)
class DomainFigures:
    """What is known of the errors and the routes of one domain.

    Parameters
    ----------
    error : Estimate
        Share of wrong codes.
    gap : Estimate
        The same less that of all other units.
    right : callable
        Share of right codes, with an interval of the confidence that it is given.
    not_referred : Estimate
        Share that no clerk looks at.
    """

    error: Estimate
    gap: Estimate
    right: Callable[[float], Estimate]
    not_referred: Estimate


def domain_gaps(
    right: np.ndarray, domain: np.ndarray, design: Design, *, min_cell: int = 10
) -> pd.DataFrame:
    """Compare the error rate of each domain with that of all other units.

    Parameters
    ----------
    right : numpy.ndarray of bool, shape (n,)
        Whether the code is right.
    domain : numpy.ndarray of object, shape (n,)
        Domain of each unit.
    design : Design
        Of the units.
    min_cell : int
        Domains with fewer units are pooled.

    Returns
    -------
    pandas.DataFrame
        A row per domain: domain, n, error, lower, upper (Korn-Graubard), gap,
        gap_se, gap_df, gap_lower, gap_upper (domain minus the rest), p, p_adjusted
        (Benjamini and Hochberg over the domains), status and note.
    """
    return _gaps(_figures(right, domain, design, min_cell), min_cell)


def _gaps(figures: Mapping[str, DomainFigures], min_cell: int) -> pd.DataFrame:
    rows = [_gap(name, figures[name]) for name in sorted(figures)]
    columns = [
        "domain", "n", "error", "lower", "upper", "gap", "gap_se", "gap_df",
        "gap_lower", "gap_upper", "p", "status", "note",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    table = _hidden(table, min_cell)
    adjusted = benjamini_hochberg(table["p"].to_numpy(dtype=float))
    table.insert(columns.index("p") + 1, "p_adjusted", adjusted)
    return table


def _figures(
    right: np.ndarray,
    domain: np.ndarray,
    design: Design,
    min_cell: int,
    route: np.ndarray | None = None,
) -> dict[str, DomainFigures]:
    groups = pooled(domain, min_cell=min_cell)
    names = sorted({str(name) for name in groups})
    automatic = np.zeros(len(right), bool) if route is None else route == "automatic"
    wrong = ~right
    found = {}
    for name in names:
        inside = groups == name
        gap = absent("not_applicable", "there is no other domain")
        if len(names) > 1:
            gap = contrast(wrong.astype(float), inside, ~inside, design)
        found[name] = DomainFigures(
            proportion(design, wrong, inside),
            gap,
            _accurate(right, inside, design),
            proportion(design, automatic, inside),
        )
    return found


def _accurate(
    right: np.ndarray, inside: np.ndarray, design: Design
) -> Callable[[float], Estimate]:
    return lambda confidence: proportion(design, right, inside, confidence=confidence)


def _gap(name: str, figures: DomainFigures) -> dict[str, Any]:
    error, gap = figures.error, figures.gap
    return {
        "domain": name,
        "n": error.n,
        "error": error.value,
        "lower": error.lower,
        "upper": error.upper,
        "gap": gap.value,
        "gap_se": gap.se,
        "gap_df": gap.df,
        "gap_lower": gap.lower,
        "gap_upper": gap.upper,
        "p": p_value(gap),
        "status": error.status if error.status != "measured" else gap.status,
        "note": error.note or gap.note,
    }


def _hidden(table: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    """Tell nothing of a pool that is too small because everything is."""
    small = table["n"] < min_cell
    words = {"domain", "n", "status", "note"}
    numbers = [str(column) for column in table.columns if column not in words]
    table[numbers] = table[numbers].astype(float)
    table.loc[small, numbers] = np.nan
    table.loc[small, "n"] = 0
    table.loc[small, "status"] = "not_measured"
    table.loc[small, "note"] = f"fewer than {min_cell} units"
    return table


def worst_to_best(
    right: np.ndarray,
    domain: np.ndarray,
    design: Design,
    *,
    min_cell: int = 10,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the accuracy of the worst domain over that of the best one.

    Which domain is worst is read off the same sample, so the interval is made of
    simultaneous Korn-Graubard intervals (Bonferroni over the domains): the smallest
    accuracy lies between the smallest lower and the smallest upper limit, the largest
    likewise, and the ratio between the quotients. It is wide, and true.

    Parameters
    ----------
    right, domain, design, min_cell
        As in :func:`domain_gaps`.
    """
    groups = pooled(domain, min_cell=min_cell)
    names = sorted({str(name) for name in groups})
    found = {name: _accurate(right, groups == name, design) for name in names}
    return _worst_to_best(found, confidence)


def _worst_to_best(
    right: Mapping[str, Callable[[float], Estimate]], confidence: float = 0.95
) -> Estimate:
    names = sorted(right)
    if len(names) < 2:
        return absent("not_applicable", "there are no two domains to compare")
    each = 1 - (1 - confidence) / len(names)
    found = [right[name](each) for name in names]
    if not all(f.status == "measured" and np.isfinite(f.lower) for f in found):
        return absent("not_measured", "a domain has no interval")
    values, lowers, uppers = (
        np.array([getattr(f, part) for f in found])
        for part in ("value", "lower", "upper")
    )
    if not values.max() > 0:
        return absent("not_applicable", "no domain has a right code")
    worst, best = names[int(values.argmin())], names[int(values.argmax())]
    least = lowers.max()
    return Estimate(
        float(values.min() / values.max()),
        lower=float(lowers.min() / uppers.max()),
        upper=float(min(uppers.min() / least, 1.0)) if least > 0 else 1.0,
        n=sum(f.n for f in found),
        note=f"worst {worst}, best {best}, of {len(names)} domains",
        interval="simultaneous Korn-Graubard (Bonferroni)",
    )


def fairness_indicators(
    right: np.ndarray,
    route: np.ndarray,
    domain: np.ndarray,
    design: Design,
    *,
    name: str,
    min_cell: int = 10,
) -> list[Indicator]:
    """Return the figures of one domain variable for the scorecard.

    Parameters
    ----------
    route : numpy.ndarray of str, shape (n,)
        automatic, queue or audit.
    name : str
        Of the domain variable; the rows' domains read ``NAME: VALUE``.

    Returns
    -------
    list of Indicator
        ``error_gap`` and ``not_referred`` of each domain, and ``worst_to_best``. The
        note of a gap holds its p, adjusted over the domains.
    """
    figures = _figures(right, domain, design, min_cell, route)
    return domain_indicators(figures, name=name, min_cell=min_cell)


def domain_indicators(
    figures: Mapping[str, DomainFigures], *, name: str, min_cell: int = 10
) -> list[Indicator]:
    """Return the indicators of :func:`fairness_indicators`.

    Parameters
    ----------
    figures : mapping of str to DomainFigures
        Of each domain, the small ones pooled.
    name, min_cell
        As there.
    """
    found = []
    for row in _gaps(figures, min_cell).to_dict("records"):
        label = f"{name}: {row['domain']}"
        found.append(Indicator(_DIMENSION, "error_gap", _estimate(row), label))
        if row["n"] >= min_cell:
            told = figures[row["domain"]].not_referred
            found.append(Indicator(_DIMENSION, "not_referred", told, label))
    ratio = _worst_to_best({key: one.right for key, one in figures.items()})
    return [*found, Indicator(_DIMENSION, "worst_to_best", ratio)]


def _estimate(row: dict[Any, Any]) -> Estimate:
    if row["status"] != "measured":
        return absent(row["status"], row["note"])
    tested = f"{p_in_words(row['p_adjusted'])} (adjusted over the domains)"
    return Estimate(
        row["gap"], row["gap_se"], row["gap_df"], row["gap_lower"], row["gap_upper"],
        row["n"], note="; ".join(part for part in (tested, row["note"]) if part),
        interval="t",
    )  # fmt: skip

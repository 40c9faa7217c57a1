"""How well injected errors are found: what slips through, and what is flagged in vain.

Detection by number (alpha, beta and delta of Chambers 2001, section 2.3) treats all
errors alike; what matters for a total is the impact of those that stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.quality.imputed_cells import aligned
from mlstats.quality.indicator import Indicator
from mlstats.quality.replication import Replicates, estimated, numbered_by_place, paired

__all__ = ["FLAG_COLUMNS", "detection_rows"]

FLAG_COLUMNS: Final = (
    "method", "replicate", "unit", "cluster", "variable", "error", "flagged", "weight",
    "impact",
)  # fmt: skip
_SHARE: Final = (0.0, 1.0)
_MEASURES = (
    "errors_accepted", "correct_flagged", "misclassified", "remaining_impact",
    "remaining_error",
)  # fmt: skip


def detection_rows(
    flags: pd.DataFrame,
    *,
    kinds: Mapping[str, str] | None = None,
    baseline: str | None = None,
    totals: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return how well each method finds errors, by variable and over all.

    Parameters
    ----------
    flags : pandas.DataFrame
        A row per method, mask of errors (replicate), unit and variable, the same cells
        with the same errors under every method: columns :data:`FLAG_COLUMNS` and
        perhaps stratum and position. ``impact`` is by how much the value is off (its
        sign does not count, 0 where it is right).
    kinds : mapping, optional
        Method -> traditional or ml.
    baseline : str, optional
        The method that paired differences refer to.
    totals : mapping, optional
        Variable -> weighted total of the absolute true values of the whole file, for
        ``remaining_error``.
    seed : int
        Of the groups of clusters.

    Returns
    -------
    list of dict
        Rows of the scorecard; ``level`` is the variable, "" all of them.
        errors_accepted (alpha): share of the errors that are not flagged;
        correct_flagged (beta): share of the right values that are; misclassified
        (delta): share of all cells judged wrongly; remaining_impact: weighted impact
        of the errors not flagged over that of all errors; remaining_error (RAE): the
        same over the total of the variable. The last two hold if what is flagged is
        put right, and are not added up over variables, whose units differ.

    Raises
    ------
    ContractError
        Where a column is missing, or the methods do not hold the same cells and errors.
    """
    missing = [column for column in FLAG_COLUMNS if column not in flags]
    if missing:
        raise ContractError(f"The flags lack {', '.join(missing)}", where="flags")
    parts = aligned(flags, "flags")
    rows: list[dict[str, Any]] = []
    names = [str(name) for name in flags["variable"].unique()]
    for level in ["", *names] if len(names) > 1 else names:
        held = {
            method: part[part["variable"] == level] if level else part
            for method, part in parts.items()
        }
        total = (totals or {}).get(level)
        found = {m: _Flags.of(part, seed).measures(total) for m, part in held.items()}
        rows += _rows(held, found, baseline, level)
    return [row | {"kind": (kinds or {}).get(row["method"], "")} for row in rows]


@dataclass(frozen=True)
class _Flags:
    """Errors and flags of one variable or all, under one method."""

    error: np.ndarray
    flagged: np.ndarray
    impact: np.ndarray
    cells: Replicates
    weight: np.ndarray

    @classmethod
    def of(cls, part: pd.DataFrame, seed: int) -> _Flags:
        cells = Replicates.of(
            np.ones(len(part)),
            part["replicate"].to_numpy(),
            numbered_by_place(part["cluster"], part),
            part["stratum"].to_numpy(dtype=object) if "stratum" in part else None,
            seed=seed,
        )
        return cls(
            part["error"].to_numpy(dtype=bool),
            part["flagged"].to_numpy(dtype=bool),
            np.abs(part["impact"].to_numpy(dtype=float)),
            cells,
            part["weight"].to_numpy(dtype=float),
        )

    def measures(self, total: float | None) -> dict[str, np.ndarray]:
        """Return the measures, shape (masks, 1 + groups) each."""
        one = np.ones(len(self.error))
        accepted, vain = self.error & ~self.flagged, ~self.error & self.flagged
        count = self.cells.sums
        weighted = replace(self.cells, weight=self.weight)
        stays = self.impact * accepted
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                "errors_accepted": count(accepted) / count(self.error),
                "correct_flagged": count(vain) / count(~self.error),
                "misclassified": count(accepted | vain) / count(one),
                "remaining_impact": weighted.sums(stays)
                / weighted.sums(self.impact * self.error),
            }
        if total is not None:
            found["remaining_error"] = weighted.totals(stays) / total
        return found


def _rows(
    held: Mapping[str, pd.DataFrame],
    found: Mapping[str, Mapping[str, np.ndarray]],
    baseline: str | None,
    level: str,
) -> Iterator[dict[str, Any]]:
    first = next(iter(held.values()))
    n = int(len(first) / max(first["replicate"].nunique(), 1))
    clusters = first["cluster"].nunique()
    for method, part in held.items():
        if not np.array_equal(part["error"].to_numpy(), first["error"].to_numpy()):
            raise ContractError(
                f"The errors of the method {method!r} are not those of the others",
                where="flags",
            )
        for name in _MEASURES:
            theta = found[method].get(name)
            if theta is None or (not level and name == "remaining_impact"):
                continue
            own = estimated(theta, n=n, limits=_SHARE)
            row = Indicator("accuracy", name, own).row(method=method, level=level)
            if baseline is not None and method != baseline:
                gap = estimated(theta - found[baseline][name], n=n)
                row |= paired(gap, own, baseline)
            yield row | {"n_clusters": clusters}

"""What an edit and imputation pilot releases of a period: records, cells, totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mlstats.composed_records import compose_records, producing_arm
from mlstats.config import Pilot
from mlstats.evaluate import keyed
from mlstats.imputation_production import Question, Treated
from mlstats.imputation_routes import draw_sized, size_strata
from mlstats.imputation_totals import totals_of
from mlstats.produced import Arm, Composed, PeriodData, Situation
from mlstats.review import hash_of

__all__ = [
    "audit_of",
    "audit_size",
    "audit_table",
    "compose",
    "counts_of",
    "note_text",
    "with_audit",
]

_DESIGN = ("unit", "period", "weight", "stratum", "cluster", "fraction")
_SAMPLE = (
    *("audit_stratum", "inclusion", "audit_weight", "blind"),
    *("double_coded", "double_inclusion"),
)


def compose(
    pilot: Pilot,
    data: PeriodData,
    asked: Question,
    answers: Mapping[str, Treated],
    now: Situation,
) -> Composed:
    """Bring the answers for a period to what is released of it.

    Parameters
    ----------
    answers : mapping of str to Treated
        By role; the one of the arm that produces is there.

    Returns
    -------
    Composed
        ``units`` has a row per record: unit, design, domains, the released values as
        ``value_VARIABLE``, cells (asked for or changed), method and model_version
        (``reported`` where nothing was), route, open and flag. The confidential table
        ``cells`` has a row per cell that was asked for or changed, with what each arm
        gave; ``queue`` the values that wait, ``audit`` the records drawn.

    Raises
    ------
    MethodError
        Where the arm that produces has not answered.
    ContractError
        Where a review is no value of its variable.
    """
    _, arm = producing_arm([*answers], now)
    made = compose_records(pilot, asked.records, answers, now)
    pool = made.units.iloc[made.rows]
    drawn = audit_of(pilot, pool, np.arange(len(pool)), made.adds, now)
    units, cells = (with_audit(t, drawn["row"]) for t in (made.units, made.cells))
    changed = answers["baseline"].changed if "baseline" in answers else ()
    return Composed(
        units.drop(columns="row"),
        totals_of(made.sums, single=pilot.data.single_cluster, note=note_text(changed)),
        counts_of(units, cells) | {"audit_sample": len(drawn)},
        confidential={
            "cells": cells.drop(columns="row"),
            "queue": made.queue.drop(columns="row"),
            "audit": audit_table(drawn, arm, now),
        },
    )


def note_text(changed: Sequence[str]) -> str:
    """Return what is said of every figure, given what the baseline has otherwise."""
    if not changed:
        return ""
    return f"the baseline was approved with other {', '.join(changed)}"


# -- audit ---------------------------------------------------------------------------


def audit_of(
    pilot: Pilot,
    pool: pd.DataFrame,
    own: np.ndarray,
    adds: np.ndarray,
    now: Situation,
) -> pd.DataFrame:
    """Draw the audit; an alarm doubles it.

    Parameters
    ----------
    pool, own, adds
        As in :func:`mlstats.imputation_routes.draw_sized`.
    """
    size, seed = audit_size(pilot, now)
    strata = size_strata(adds)
    return draw_sized(pilot, pool, own, strata, adds, size=size, seed=seed)


def audit_size(pilot: Pilot, now: Situation) -> tuple[int, int]:
    """Return how many records are drawn, and by which seed."""
    size = pilot.production.review.audit_sample * (2 if now.alarm else 1)
    return size, pilot.evaluate.seed + hash_of(now.period)


def audit_table(drawn: pd.DataFrame, arm: Arm, now: Situation) -> pd.DataFrame:
    """Return the audit as it is kept."""
    domains = [str(name) for name in drawn if str(name).startswith("domain_")]
    kept = drawn[[*_DESIGN, *domains, *(name for name in _SAMPLE if name in drawn)]]
    versions = {"method": arm.method, "model_version": arm.label}
    hashes = keyed(drawn["unit"], now.key)
    return kept.assign(route="audit", hash=hashes, **versions)


def with_audit(table: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    """Return a table with the route of the records that the audit drew."""
    return table.assign(route=table["route"].mask(table["row"].isin(rows), "audit"))


def counts_of(units: pd.DataFrame, cells: pd.DataFrame) -> dict[str, int]:
    """Return the records by route, and how many of the queue are closed."""
    by_route = units["route"].value_counts()
    waits = units["route"] == "queue"
    return {
        "units": len(units),
        **{r: int(by_route.get(r, 0)) for r in ("automatic", "queue", "audit")},
        "open": int(units["open"].sum()),
        "closed": int((waits & ~units["open"]).sum()),
        "fallback": int(units["flag"].str.startswith("fallback").sum()),
        "cells": len(cells),
    }

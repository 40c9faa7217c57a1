"""The history of a pilot over its periods: inputs, outputs, performance, coders.

Everything is read from the current releases and the reviews: what a release has worked
out is taken from it. A period without an audit is not measured, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.monitor_performance import as_published, performance, unmeasured
from mlstats.performance import AUDIT
from mlstats.pilot_files import load_pilot
from mlstats.produced import Reason
from mlstats.quality.drift import ALARMS
from mlstats.quality.drift_section import gravest
from mlstats.quality.figures import as_text
from mlstats.release_drift import released_periods
from mlstats.release_tables import kept_table
from mlstats.releases import Release, ReleaseStore
from mlstats.review_store import ReviewStore
from mlstats.settings import Settings
from mlstats.unit_sums import UNITS, UnitSums

__all__ = ["HISTORY", "Look", "History", "history_of"]

# Column -> type of the history; a row per period, indicator, arm, domain, reference.
HISTORY: Final[Mapping[str, str]] = {
    "period": "str",
    "revision": "int64",
    "final": "bool",
    "part": "str",  # inputs, outputs, performance, coders
    "indicator": "str",
    "arm": "str",  # champion, baseline, released; empty: of the data, of the coders
    "domain": "str",  # column of the data, class or figure
    "reference": "str",  # what it is less of, or held to
    "value": "float64",
    "se": "float64",
    "df": "float64",
    "lower": "float64",
    "upper": "float64",
    "n": "int64",
    "status": "str",
    "verdict": "str",  # of a drift test
    "note": "str",
}
_COUNTED: Final = "a count of the period, not an estimate"


@dataclass(frozen=True, eq=False)
class Look:
    """What the rules look at besides the history of a period.

    Parameters
    ----------
    release : Release
        The current one.
    reviewed : str
        Digest of the reviews; those of the release may be older.
    lost : Reason or None
        What :func:`mlstats.performance.lost` says of the period's own audit.
    """

    release: Release
    reviewed: str
    lost: Reason | None = None

    @property
    def period(self) -> str:
        """The reference period."""
        return self.release.key.period

    @property
    def champion(self) -> str:
        """The version that was in production, empty where there was none."""
        return str(self.release.facts.get("methods", {}).get("champion", ""))


@dataclass(frozen=True, eq=False)
class History:
    """The history of a pilot.

    Parameters
    ----------
    pilot : Pilot
        Whose.
    rows : pandas.DataFrame
        Columns :data:`HISTORY`, the periods in their order.
    looks : tuple of Look
        One of each period.
    """

    pilot: Pilot
    rows: pd.DataFrame
    looks: tuple[Look, ...]


def history_of(name: str, settings: Settings) -> History:
    """Return the history of a pilot over all its released periods.

    Raises
    ------
    SourceError
        Where a release is damaged.
    """
    pilot = load_pilot(name, project=settings.project)
    store = ReleaseStore(settings.releases)
    tables, looks = [], []
    for period in released_periods(store, pilot.pilot):
        release = store.current(pilot.pilot, str(period))
        if release is None:
            continue
        look, rows = _period(name, pilot, settings, release)
        looks.append(look)
        tables.append(_table(release, rows))
    told = pd.concat(tables, ignore_index=True) if tables else _table(None, [])
    return History(pilot, told, tuple(looks))


def _table(release: Release | None, rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(HISTORY))
    if release is not None:
        table["period"], table["revision"] = release.key.period, release.number
        table["final"] = release.final
    texts = [name for name, kind in HISTORY.items() if kind == "str"]
    table[texts] = table[texts].astype(object).fillna("")
    return table.fillna({"n": 0}).astype(dict(HISTORY))


def _period(
    name: str, pilot: Pilot, settings: Settings, release: Release
) -> tuple[Look, list[dict[str, Any]]]:
    period = release.key.period
    rows = [*_inputs(release), *_totals(release)]
    reviewed = ReviewStore(settings.database).read(pilot.pilot, period)
    digest = ReviewStore.digest(reviewed)
    if pilot.theme != "coding":
        rows += _counts(release)
        rows += unmeasured("the accuracy of a period is measured for codes")
        return Look(release, digest), rows
    rows += _process(release)
    if release.without_records:
        return Look(release, digest), [*rows, *as_published(release)]
    audit = kept_table(release.folder / AUDIT)
    drawn = [] if audit is None or audit.empty else audit["unit"].tolist()
    path = release.folder / UNITS
    sums = UnitSums.of_table(path, drawn, workers=settings.workers)
    rows += sums.rows()
    found, lost = performance(name, pilot, settings, release, sums.audited)
    return Look(release, digest, lost), [*rows, *found]


# -- inputs ------------------------------------------------------------------------


def _inputs(release: Release) -> Iterator[dict[str, Any]]:
    """Yield the drift verdicts that the release holds, and how many are alarms."""
    verdicts = kept_table(release.folder / "drift.parquet")
    counted = {"part": "inputs", "indicator": "drift_alarms"}
    if verdicts is None or verdicts.empty:
        why = "no earlier release, and no data that a version was trained on"
        yield counted | {"status": "not_measured", "note": why}
        return
    told = gravest(verdicts)
    for reference, part in told.groupby("reference", sort=True):
        columns = part[part["column"] != ""]
        if columns.empty:
            note = as_text(part["note"].iloc[0])
            absent = {"reference": reference, "status": "not_measured", "note": note}
            yield counted | absent
            continue
        yield counted | {
            "reference": reference,
            "value": float(columns["state"].isin(ALARMS).sum()),
            "n": len(columns),
            "status": "measured",
            "note": _COUNTED,
        }
    for row in told[told["column"] != ""].to_dict("records"):
        known = np.isfinite(float(row["effect"]))
        yield {
            "part": "inputs",
            "indicator": "drift",
            "domain": row["column"],
            "reference": row["reference"],
            "value": row["effect"],
            "lower": row["effect_lower"],
            "upper": row["effect_upper"],
            "n": row["n"],
            "status": "measured" if known else "not_measured",
            "verdict": row["state"],
            "note": row["measure"] if known else row["note"],
        }


# -- outputs -----------------------------------------------------------------------


def _totals(release: Release) -> Iterator[dict[str, Any]]:
    """Yield the published figures of all units, and how they changed."""
    totals = kept_table(release.folder / "totals.parquet")
    if totals is None:
        return
    whole = totals[totals["domain"].map(as_text) == ""]
    classed = whole.loc[whole["class"].map(as_text) != "", "variable"].nunique()
    for row in whole.to_dict("records"):
        variable, name = as_text(row["variable"]), as_text(row["class"])
        share = bool(name)
        of_variable = f"{variable}: {name}" if classed > 1 else name
        about = {
            "part": "outputs",
            "arm": "released",
            "domain": of_variable if share else variable,
            "n": row["n"],
        }
        yield about | _figure(row, "share" if share else "total", "estimate", "")
        if np.isfinite(float(row.get("last_period_change", np.nan))):
            yield about | {
                "indicator": "change",
                "reference": "last_period",
                "value": row["last_period_change"],
                "lower": row["last_period_lower"],
                "upper": row["last_period_upper"],
                "status": "measured",
            }


def _process(release: Release) -> Iterator[dict[str, Any]]:
    table = kept_table(release.folder / "process.parquet")
    for row in [] if table is None else table.to_dict("records"):
        about = {"part": "outputs", "arm": "released", "n": row["n"]}
        yield about | _figure(row, as_text(row["variable"]), "estimate", "")


def _figure(
    row: Mapping[Any, Any], indicator: str, column: str, reference: str
) -> dict[str, Any]:
    known = np.isfinite(float(row[column]))
    return {
        "indicator": indicator,
        "reference": reference,
        "value": row[column],
        "se": row["se"],
        "df": row["df"],
        "lower": row["lower"],
        "upper": row["upper"],
        "status": "measured" if known else "not_measured",
        "note": as_text(row["note"]),
    }


def _counts(release: Release) -> Iterator[dict[str, Any]]:
    for name, count in release.facts.get("counts", {}).items():
        yield {
            "part": "outputs",
            "indicator": f"{name}, count",
            "arm": "released",
            "value": float(count),
            "n": int(count),
            "status": "measured",
            "note": _COUNTED,
        }

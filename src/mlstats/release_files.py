"""The files of a release: confidential units, published totals, the page of both."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from mlstats import io
from mlstats.produced import Composed, Parts
from mlstats.quality.drift import DriftResult
from mlstats.quality.release_page import ReleasePage, render_release
from mlstats.release_drift import KEPT, back_from
from mlstats.release_tables import kept_table
from mlstats.release_totals import method_difference
from mlstats.releases import Release, ReleaseStore

__all__ = ["write_release"]


class _Taken(Protocol):
    @property
    def watched(self) -> pd.DataFrame | Parts: ...

    @property
    def drift(self) -> DriftResult | None: ...

    @property
    def failures(self) -> pd.DataFrame: ...


def write_release(
    folder: Path,
    composed: Composed,
    taken: _Taken,
    facts: Mapping[str, Any],
    earlier: Mapping[str, Release],
    store: ReleaseStore,
) -> None:
    """Fill the folder of a release.

    ``confidential/`` holds a row per unit with its provenance, queue, audit and what
    later periods are held to; all else may be published.

    Parameters
    ----------
    folder : pathlib.Path
        New and empty.
    composed : Composed
        What is released.
    taken : Taken
        Of :mod:`mlstats.production`.
    facts : mapping
        Of the manifest.
    earlier : mapping of str to Release
        For the break that a switch of methods makes.
    store : ReleaseStore
        Where older releases lie.
    """
    kept = folder / "confidential"
    kept.mkdir(mode=0o700)
    _write(kept / "units.parquet", composed.units)
    for name, records in composed.confidential.items():
        _write(kept / f"{name}.parquet", records)
    _write(folder / KEPT, taken.watched)
    linked = _linked(composed, facts, earlier, store)
    tables = {"totals": composed.totals, "method_difference": linked}
    tables |= dict(composed.tables)
    if taken.drift is not None:
        tables["drift"] = taken.drift.table()
    if len(taken.failures):
        tables["contract"] = taken.failures
    told = {name: table for name, table in tables.items() if len(table)}
    for name, table in told.items():
        io.write_parquet(folder / f"{name}.parquet", table)
    for name, path in composed.files.items():
        shutil.copyfile(path, folder / name)
    io.write_xlsx(folder / "release.xlsx", told, _notes(facts))
    page = ReleasePage(dict(facts), told)
    io.write_text(folder / "release.html", render_release(page))


def _write(path: Path, table: pd.DataFrame | Parts) -> None:
    """Write a table into a file, or its parts into a folder of that name."""
    if isinstance(table, pd.DataFrame):
        io.write_parquet(path, table)
    else:
        table.write(path.with_suffix(""))


def _linked(
    composed: Composed,
    facts: Mapping[str, Any],
    earlier: Mapping[str, Release],
    store: ReleaseStore,
) -> pd.DataFrame:
    """Return the method difference of the last period in which both answered.

    Where the baseline produces some classes only, it is no link: champion less baseline
    is of all of them.
    """
    if all(one["classes"] for one in facts["fallback"]):
        return pd.DataFrame()
    if facts["joint"]:
        return method_difference(composed.totals, facts, composed.totals)
    last = earlier.get("last_period")
    for release in [] if last is None else back_from(store, last):
        if release.facts.get("joint"):
            table = kept_table(release.folder / "totals.parquet")
            if table is not None:
                return method_difference(composed.totals, release.facts, table)
    return pd.DataFrame()


def _notes(facts: Mapping[str, Any]) -> list[str]:
    notes = [f"{facts['title']}, {facts['period']}"]
    notes.append("final" if facts["final"] else "provisional: units wait for clerks")
    notes += [f"fallback ({one['cause']}): {one['said']}" for one in facts["fallback"]]
    notes += list(facts["cautions"])
    if facts["synthetic"]:
        notes.append("synthetic data: no figure says anything about a real statistic")
    return notes

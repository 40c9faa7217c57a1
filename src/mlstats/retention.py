"""Which confidential tables are older than a pilot keeps them, and which must stay.

Records are kept no longer than they are needed. What a period to come is compared with,
or what the champion is judged by, is needed; so is a period that waits for clerks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.table import Table

from mlstats.config import Pilot
from mlstats.decision_log import DecisionLog
from mlstats.decisions import PURGE, Decision
from mlstats.errors import ConfigError
from mlstats.period import ReferencePeriod
from mlstats.pilot_files import list_pilots
from mlstats.release_drift import back_from, is_watched
from mlstats.releases import ReleaseStore
from mlstats.review_files import LABELS_FILE
from mlstats.review_store import ReviewStore
from mlstats.settings import Settings

__all__ = ["Due", "due", "due_table", "pilots_with_tables", "told_of"]

_STAGED: Final = re.compile(r"-(dry-\d+|back-cast)$")
_OF_PERIODS: Final = ("units", "watched", "reviews")


@dataclass(frozen=True)
class Due:
    """Tables of one kind of a period, or of a run, whose time is over.

    Parameters
    ----------
    pilot, period : str
        Whose tables; of a run the last period in them.
    kind : str
        Of :class:`mlstats.config_data.Retention`.
    run : str
        Which run; empty for a period.
    files : tuple of pathlib.Path
        What would be removed.
    rows : int
        Rows of the database that would be.
    needed : str
        Why it stays all the same; empty where it is to go.
    decided : Decision or None
        The row that tells of a purge which broke off.
    """

    pilot: str
    period: str
    kind: str
    run: str = ""
    files: tuple[Path, ...] = ()
    rows: int = 0
    needed: str = ""
    decided: Decision | None = None

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(path.stat().st_size for path in self.files)


def due(
    pilot: Pilot, settings: Settings, *, today: date | None = None, force: bool = False
) -> list[Due]:
    """Return what is older than the pilot keeps it, the oldest period first.

    Parameters
    ----------
    today : datetime.date, optional
        The day on which it is asked, in UTC.
    force : bool
        Whether what is still needed is to go too.

    Raises
    ------
    ServiceError
        Where the database does not answer.
    SourceError
        Where a release is damaged.
    """
    now = today or datetime.now(UTC).date()
    looked = _Looked(pilot, settings, force)
    found = [
        one
        for period in looked.periods
        for kind in _OF_PERIODS
        for one in looked.of_period(period, kind, now)
    ]
    return [*found, *looked.of_runs(now)]


def pilots_with_tables(settings: Settings) -> list[str]:
    """Return the pilots that were released, and those of the project that were run."""
    runs = {run.partition("-")[2] for run in _folders(settings.confidential / "runs")}
    known = runs & set(list_pilots(settings.project))
    return sorted({*ReleaseStore(settings.releases).pilots(), *known})


class _Looked:
    """A pilot's releases, reviews and runs."""

    def __init__(self, pilot: Pilot, settings: Settings, force: bool) -> None:
        self.pilot, self.settings, self.force = pilot, settings, force
        self.log_told = False
        self.store = ReleaseStore(settings.releases)
        self.reviews = ReviewStore(settings.database)
        self.rows = DecisionLog(settings.database).read(pilot.pilot)
        self.reviewed = settings.confidential / "reviews" / pilot.pilot
        self.staged = settings.confidential / "parts" / pilot.pilot
        names = {*self.store.periods(pilot.pilot), *_folders(self.reviewed)}
        # Of a run that did not come to its end there may be no release.
        names |= {_STAGED.sub("", name) for name in _folders(self.staged)}
        self.periods = sorted(filter(None, map(_period, names)))
        self.current = {
            period: release
            for period in self.periods
            if (release := self.store.current(pilot.pilot, str(period))) is not None
        }

    def of_period(self, period: ReferencePeriod, kind: str, now: date) -> Iterator[Due]:
        decided = self._decided(str(period), kind)
        if decided is None and not self._over(period, kind, now):
            return
        files = tuple(self._files(str(period), kind))
        count = kind == "reviews"
        rows = self.reviews.count(self.pilot.pilot, str(period)) if count else 0
        if files or rows:
            free = self.force or decided is not None
            needed = "" if free else self._needed(period, kind)
            name = self.pilot.pilot
            yield Due(name, str(period), kind, "", files, rows, needed, decided)

    def of_runs(self, now: date) -> Iterator[Due]:
        runs, name = self.settings.confidential / "runs", self.pilot.pilot
        for run in _folders(runs):
            if run.partition("-")[2] != name:
                continue
            last = _last(runs / run)
            files = tuple(_below(runs / run))
            if files and self._over(last, "runs", now):
                yield Due(name, str(last), "runs", run, files)

    def _over(self, period: ReferencePeriod, kind: str, now: date) -> bool:
        months = getattr(self.pilot.production.retention, kind)
        if months is None:
            return False
        first = period.next().first_day()
        month = first.month - 1 + months
        return now >= date(first.year + month // 12, month % 12 + 1, 1)

    def _files(self, period: str, kind: str) -> Iterator[Path]:
        if kind == "reviews":
            below = _below(self.reviewed / period)
            yield from (path for path in below if path.name != ".lock")
            labels = self.reviewed / LABELS_FILE
            if labels.is_file() and period in _periods_of(labels):
                yield labels
            return
        found = [
            path
            for release in self.store.revisions(self.pilot.pilot, period)
            for path in _below(release.folder / "confidential")
            if is_watched(path.relative_to(release.folder).as_posix())
            == (kind == "watched")
        ]
        if found and kind == "units" and not self.log_told:
            # What libraries said, whichever the period: it goes first, and once.
            self.log_told = True
            folder = self.settings.confidential / "productions" / self.pilot.pilot
            yield from _below(folder)
        if kind == "units":  # staged parts of a run that did not come to its end
            for name in _folders(self.staged):
                if _STAGED.sub("", name) == period:
                    yield from _below(self.staged / name)
        yield from found

    def _decided(self, period: str, kind: str) -> Decision | None:
        """Return the purge that has begun, unless the period was produced since."""
        told = [row for row in self.rows if row.kind == PURGE]
        for row in reversed(told):
            said = told_of(row)
            if said["period"] != period or said["run"] or kind not in said["kinds"]:
                continue
            release = self.current.get(ReferencePeriod.parse(period))
            made = release.published if release is not None else None
            since = made is not None and made > datetime.fromisoformat(row.time)
            return None if since else row
        return None

    def _needed(self, period: ReferencePeriod, kind: str) -> str:
        release = self.current.get(period)
        if release is not None and not release.final:
            return "it is provisional"
        if kind == "watched":
            return self._reference(period)
        if str(period) in self._judged():
            return "the champion is judged by its audit"
        return ""

    def _reference(self, period: ReferencePeriod) -> str:
        asked = self.pilot.production.drift.references
        if "last_accepted" in asked and period == max(self.current, default=None):
            return "the next period is compared with it"
        year = period.shift(period.per_year)
        if "same_period_last_year" in asked and year not in self.current:
            return f"{year} will be compared with it"
        return ""

    def _judged(self) -> set[str]:
        """Return the periods whose audits count, as production looks at them."""
        if not self.current:
            return set()
        found = set()
        for release in back_from(self.store, self.current[max(self.current)]):
            found.add(release.key.period)
            if not release.facts.get("fallback"):
                break
        return found


def due_table(found: Sequence[Due]) -> Table:
    """Return what is due as a table, with what stays and why."""
    table = Table(box=None)
    for name in ("pilot", "period", "kind", "files", "size", "rows", "stays, since"):
        table.add_column(name, no_wrap=name != "stays, since")
    for one in found:
        size = f"{one.size / 1e6:,.2f} MB"
        counts = (f"{len(one.files):,}", size, f"{one.rows:,}")
        table.add_row(one.pilot, one.period, one.kind, *counts, one.needed)
    going = [one for one in found if not one.needed]
    total = f"{sum(one.size for one in going) / 1e6:,.2f} MB"
    files, rows = (sum(len(one.files) for one in going), sum(o.rows for o in going))
    table.add_row("to go", "", "", f"{files:,}", total, f"{rows:,}", "")
    return table


def told_of(row: Decision) -> dict[str, Any]:
    """Return what a row of the kind purge tells: period, run, kinds and counts."""
    return dict(json.loads(row.waiver))


def _period(name: str) -> ReferencePeriod | None:
    with suppress(ConfigError):  # a copy by hand is none
        return ReferencePeriod.parse(name)
    return None


def _folders(place: Path) -> list[str]:
    if not place.is_dir():
        return []
    return sorted(path.name for path in place.iterdir() if path.is_dir())


def _below(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


def _periods_of(path: Path) -> set[str]:
    try:
        column = pd.read_parquet(path, columns=["period"])["period"]
    except (OSError, ValueError, KeyError):
        return set()
    return {str(name) for name in column.unique()}


def _last(run: Path) -> ReferencePeriod:
    """Return the last period in a run's tables; where there is none, its month."""
    found = map(_period, _periods_of(run / "units.parquet"))
    known = sorted(filter(None, found), key=lambda period: period.last_day())
    month = f"{run.name[:4]}-{run.name[4:6]}"
    return known[-1] if known else ReferencePeriod.parse(month)

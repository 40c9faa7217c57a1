"""A coder who codes one unit after the other: what is shown next, what is kept.

A code is in the database before the next unit is shown. It is held to what the coder
saw: where somebody has coded the unit meanwhile, that code stands.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pandas as pd

from mlstats.errors import RefusedError
from mlstats.releases import Release, ReleaseStore
from mlstats.review_claims import check_coder, given_out, record, take
from mlstats.review_files import ReviewFile, ReviewFiles, checksum, working_alone
from mlstats.review_rows import CANDIDATES, Reviewing, data_of, shown, waiting
from mlstats.review_search import CodeSearch
from mlstats.review_store import Reviewed, ReviewStore, reviews_of, slot

__all__ = ["AT_ONCE", "ReviewDesk"]

AT_ONCE: Final = 20  # units that a page takes; what it has not coded others wait for
_ALIVE: Final = 300.0  # seconds between two signs of life
_BESIDE: Final = ("suggestions", "reason")


@dataclass(frozen=True)
class _Unit:
    """A unit that was given to this coder."""

    row: str
    hash: str
    kinds: str
    file: ReviewFile


class ReviewDesk:
    """One coder's work on a period; its methods may be called from several threads.

    Parameters
    ----------
    now : Reviewing
        The period.
    coder : str
        Login name of who codes.
    second : bool
        As the second coder of double-coded units.
    instead_of : str
        Coder whose files and page are withdrawn at the start.

    Raises
    ------
    UsageError
        Where the coder cannot have the name, or nobody else has.
    RefusedError
        Where the period's data have changed since its release.
    """

    def __init__(
        self, now: Reviewing, coder: str, *, second: bool = False, instead_of: str = ""
    ) -> None:
        check_coder(coder)
        data = data_of(now)
        self.search = CodeSearch(now, data.more)
        rows = waiting(now, second=second)
        table = shown(now, rows, data)
        names = map(str, table)
        self._fields = [
            c for c in names if c not in _BESIDE and not c.startswith("candidate_")
        ]
        self._shown = dict(zip(rows["hash"], table.to_dict("records"), strict=True))
        self._offered = dict(zip(rows["hash"], rows.to_dict("records"), strict=True))
        self._now, self._coder, self._second = now, coder, second
        self._lock = Lock()
        self._file: ReviewFile | None = None
        self._units: dict[str, _Unit] = {}
        self._batch: list[str] = []  # rows still to be shown, the next one first
        self._trail: list[str] = []  # rows that were left, the last one last
        self._at: str | None = None
        self._given: dict[str, str] = {}  # codes by hash
        self._skipped: set[str] = set()
        self._lost: set[str] = set()  # to somebody else
        self._done = self._left = self._elsewhere = 0
        self._signed = 0.0
        self._take(instead_of)

    # -- what the page asks ------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the unit that is shown and how far the work has come.

        Returns
        -------
        dict
            row (None where nothing is left), fields (name and text), candidates (code,
            title, score), reason, given (the coder's own code, or ""), done, left,
            skipped, elsewhere (units that wait in files and on pages of others).
        """
        with self._lock:
            if self._at is None:
                self._go_on()
            return self._state()

    def code(self, row: str, code: str, replaces: str = "") -> dict[str, Any]:
        """Keep a code and go on.

        Parameters
        ----------
        row : str
            Of the unit.
        code : str
            One that may be given.
        replaces : str
            The coder's own code that was shown, empty where none was.

        Raises
        ------
        UsageError
            Where the code may not be given.
        RefusedError
            Where the unit has another code by now, is not this coder's any more, the
            data have changed or the period was purged.
        ServiceError
            Where the database does not answer; nothing was kept then.
        """
        with self._lock:
            unit = self._unit(row)
            self.search.check(code)
            self._check_release()
            try:
                self._keep(unit, code, replaces)
            except RefusedError:
                if row == self._at and not replaces:
                    self._lost.add(unit.hash)
                    self._go_on()
                raise
            if unit.hash not in self._given:
                self._done, self._left = self._done + 1, self._left - 1
            self._given[unit.hash] = code
            self._skipped.discard(unit.hash)
            return self._leave(row)

    def skip(self, row: str) -> dict[str, Any]:
        """Leave a unit for later and go on."""
        with self._lock:
            unit = self._unit(row)
            if unit.hash not in self._given:
                self._skipped.add(unit.hash)
            return self._leave(row)

    def back(self) -> dict[str, Any]:
        """Go back to the unit that was left last."""
        with self._lock:
            while self._trail:
                unit = self._units[self._trail.pop()]
                # What was skipped in earlier units may be with somebody else by now.
                if unit.hash in self._given or unit.file == self._file:
                    if self._at is not None:
                        self._batch.insert(0, self._at)
                    self._at = unit.row
                    break
            return self._state()

    def again(self) -> dict[str, Any]:
        """Let the skipped units come again."""
        with self._lock:
            self._skipped.clear()
            self._go_on()
            return self._state()

    def close(self) -> None:
        """Give back what was not coded."""
        with self._lock, self._alone():
            current = self._release()
            if current is not None and current.without_records:
                return  # what was given out went with the rest
            gone, _ = self._given_out("")
            own = self._file.export if self._file else ""
            record(self._now, [one for one in gone if one.export == own])

    # -- one unit ----------------------------------------------------------------------

    def _unit(self, row: str) -> _Unit:
        if row not in self._units:
            raise RefusedError("The page was given another unit; it is loaded again")
        return self._units[row]

    def _leave(self, row: str) -> dict[str, Any]:
        if row == self._at:
            self._trail.append(row)
            self._go_on()
        return self._state()

    def _go_on(self) -> None:
        ended = self._skipped | self._lost | set(self._given)
        self._batch = [r for r in self._batch if self._units[r].hash not in ended]
        self._at = None
        if self._batch:
            self._at = self._batch.pop(0)
        else:
            self._take("")

    def _state(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "row": self._at,
            "done": self._done,
            "left": max(self._left, 0),
            "skipped": len(self._skipped),
            "elsewhere": self._elsewhere,
            "back": bool(self._trail),
        }
        if self._at is None:
            return told
        name = self._units[self._at].hash
        texts, row = self._shown[name], self._offered[name]
        fields = [{"name": c, "text": texts[c]} for c in self._fields]
        return told | {
            "fields": fields,
            "candidates": list(self._candidates(row)),
            "reason": texts["reason"],
            "given": self._given.get(name, ""),
        }

    def _candidates(self, row: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        for k in range(CANDIDATES):
            code, score = row[f"code_{k + 1}"], row[f"score_{k + 1}"]
            if isinstance(code, str):
                title = self.search.titles.get(code, "")
                sure = None if pd.isna(score) else float(score)
                yield {"code": code, "title": title, "score": sure}

    # -- keeping -----------------------------------------------------------------------

    def _keep(self, unit: _Unit, code: str, replaces: str) -> None:
        now = self._now
        with self._alone():
            self._check_release()
            if not replaces:
                self._check_held(unit)
            ReviewStore(now.settings.database).add_beside(
                now.pilot.pilot,
                now.period,
                unit.hash,
                lambda there: self._decided(unit, code, replaces, there),
            )

    def _decided(
        self, unit: _Unit, code: str, replaces: str, there: Sequence[Reviewed]
    ) -> list[Reviewed]:
        stands = {slot(one.kind): one for one in there if not one.variable}
        other = stands.get("audit" if self._second else "second")
        if other is not None and other.coder == self._coder:
            raise RefusedError("You have coded the unit for the other coder already")
        new = []
        for one in reviews_of(unit.hash, unit.kinds, code, self._coder):
            old = stands.get(slot(one.kind))
            if old is not None and old.coder != self._coder:
                raise RefusedError("Another coder has coded the unit; that code stands")
            if old is not None and old.code != replaces:
                raise RefusedError("The unit has a code already, and that code stands")
            if old is None or old.code != code:
                new.append(one)
        return new

    def _check_held(self, unit: _Unit) -> None:
        now, store = self._now, ReviewFiles(self._now.settings.database)
        held = store.held(now.pilot.pilot, now.period)
        if unit.file.export not in set(held["export"]):
            if unit.file == self._file:
                self._batch = []
            raise RefusedError("The unit was given to somebody else; others follow")
        if time.monotonic() - self._signed > _ALIVE:
            store.add([unit.file])
            self._signed = time.monotonic()

    def _check_release(self) -> None:
        current, digest = self._release(), self._now.release.key.input_digest
        if current is None or current.key.input_digest != digest:
            raise RefusedError("The data of the period have changed; start again")
        current.refuse_purged()

    def _release(self) -> Release | None:
        now = self._now
        store = ReleaseStore(now.settings.releases)
        return store.current(now.pilot.pilot, now.period)

    # -- taking ------------------------------------------------------------------------

    def _alone(self) -> AbstractContextManager[Path]:
        """Keep exports, imports, purges and other pages of the period waiting."""
        now = self._now
        return working_alone(now.settings, now.pilot.pilot, now.period)

    def _given_out(self, instead_of: str) -> tuple[list[ReviewFile], set[str]]:
        return given_out(
            self._now,
            self._coder,
            second=self._second,
            instead_of=instead_of,
            page=True,
        )

    def _take(self, instead_of: str) -> None:
        """Take units that nobody has, in an order that tells nothing of them."""
        with self._alone():
            self._check_release()
            store = ReviewStore(self._now.settings.database)
            found = store.read(self._now.pilot.pilot, self._now.period)
            self._now = now = replace(self._now, reviewed=found)
            gone, others = self._given_out(instead_of)
            free = waiting(now, second=self._second)
            free = free[free["hash"].isin(list(self._shown))]
            mine = free[~free["hash"].isin(others)]
            self._elsewhere = len(free) - len(mine)
            self._count(mine)
            mine = mine[~mine["hash"].isin(self._skipped)]
            key = [checksum(now.key, "page", name) for name in mine["hash"]]
            order = pd.Series(key, index=mine.index, dtype=object).sort_values().index
            mine = mine.loc[order].head(AT_ONCE)
            if mine.empty:
                record(now, gone)
                self._file = None
                return
            self._file, rows = take(now, self._coder, mine, gone, second=self._second)
        self._signed = time.monotonic()
        for one in rows.to_dict("records"):
            row = str(one["row"])
            self._units[row] = _Unit(row, one["hash"], one["kinds"], self._file)
            self._batch.append(row)
        self._at = self._batch.pop(0)

    def _count(self, mine: pd.DataFrame) -> None:
        told = self._now.reviewed
        own = (told["coder"] == self._coder) & (
            (told["kind"] == "second") == self._second
        )
        self._done, self._left = told.loc[own, "unit"].nunique(), len(mine)

"""Who has a unit: it is in one coder's file, or on one coder's page, at a time.

A page takes a few units at once. What it has not worked off within half an hour of its
last sign of life is free again; a file is free when it is withdrawn.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pandas as pd

from mlstats.errors import UsageError, nearest
from mlstats.identity import operating_system_user
from mlstats.review_files import (
    ReviewFile,
    ReviewFiles,
    checksum,
    folder_of,
    keep_rows,
    kept_rows,
)
from mlstats.review_rows import Reviewing

__all__ = [
    "EXPIRES",
    "PAGE",
    "check_coder",
    "given_out",
    "new_file",
    "record",
    "take",
]

PAGE: Final = "page"  # what was done to units that a page has taken
EXPIRES: Final = timedelta(minutes=30)
_NAME: Final = re.compile(r"^[^\x00-\x1f/\\]{1,255}$")


def check_coder(coder: str) -> None:
    """Refuse what cannot be a coder's name.

    Raises
    ------
    UsageError
        Where it is empty, too long, or holds a control sign or a slash.
    """
    if not _NAME.match(coder):
        raise UsageError("A coder has a name", where="--coder", expected="a login name")


def given_out(
    now: Reviewing,
    coder: str,
    *,
    second: bool = False,
    instead_of: str = "",
    page: bool = False,
) -> tuple[list[ReviewFile], set[str]]:
    """Tell what has to be withdrawn for a coder, and which units others have.

    Parameters
    ----------
    coder : str
        Who wants units.
    second : bool
        As the second coder of double-coded units.
    instead_of : str
        Coder whose files and page are withdrawn.
    page : bool
        For a page, which leaves the coder's own workbook alone.

    Returns
    -------
    gone : list of ReviewFile
        Withdrawals to record: what the coder has already, and pages without a sign of
        life.
    others : set of str
        Hashes of the units that the coder cannot have.

    Raises
    ------
    UsageError
        Where `instead_of` has nothing.
    """
    settings, by = now.settings, operating_system_user().name
    held = ReviewFiles(settings.database).held(now.pilot.pilot, now.period)
    if instead_of and instead_of not in set(held["coder"]):
        raise UsageError(
            f"The coder {instead_of} has no file of {now.period}",
            where="--instead-of",
            nearest=nearest(instead_of, held["coder"].astype(str)),
        )
    gone, others = [], set()
    for row in held.to_dict("records"):
        time = str(row.pop("time"))
        file = ReviewFile(**{str(k): v for k, v in row.items()})
        same = bool(file.second) == second
        own = file.coder == coder and (file.act == PAGE or not page)
        own = same and (own or file.coder == instead_of)
        if own or _has_expired(file, time):
            gone.append(replace(file, act="withdraw", added=0, by=by))
        # The coders of a double-coded unit are two, in whichever order.
        elif same or file.coder == coder:
            kept = kept_rows(settings, file.pilot, file.period, file.export)
            others |= set(kept["hash"])
    told = now.reviewed[now.reviewed["coder"] == coder]
    others |= set(told.loc[told["kind"] == ("audit" if second else "second"), "unit"])
    return gone, others


def _has_expired(file: ReviewFile, time: str) -> bool:
    if file.act != PAGE:
        return False
    return datetime.now(UTC) - datetime.fromisoformat(time) > EXPIRES


def new_file(
    now: Reviewing, coder: str, *, second: bool, rows: int, act: str = "export"
) -> ReviewFile:
    """Return a file with a new number; nothing is recorded yet."""
    return ReviewFile(
        secrets.token_hex(6), now.pilot.pilot, now.period, now.release.number,
        now.release.key.input_digest, coder, int(second), rows, act, 0,
        operating_system_user().name,
    )  # fmt: skip


def take(
    now: Reviewing,
    coder: str,
    found: pd.DataFrame,
    gone: Sequence[ReviewFile],
    *,
    second: bool,
) -> tuple[ReviewFile, pd.DataFrame]:
    """Give units to a coder's page; the caller has the lock of the period.

    Parameters
    ----------
    found : pandas.DataFrame
        From :func:`mlstats.review_rows.waiting`: nobody has them.
    gone : sequence of ReviewFile
        Withdrawals to record with it.

    Returns
    -------
    file : ReviewFile
        As recorded.
    rows : pandas.DataFrame
        `found` with `row`, a number that tells nothing of the unit.
    """
    one = new_file(now, coder, second=second, rows=len(found), act=PAGE)
    rows = found.assign(
        row=[checksum(now.key, "row", one.export, name) for name in found["hash"]]
    )
    keep_rows(now.settings, one, rows[["row", "unit", "hash", "kinds", "blind"]])
    record(now, [*gone, one])
    return one, rows


def record(now: Reviewing, files: Sequence[ReviewFile]) -> None:
    """Record what was done, all of it or nothing; forget the rows of pages that end."""
    store = ReviewFiles(now.settings.database)
    history = store.read(now.pilot.pilot, now.period)
    store.add(files)
    pages = set(history.loc[history["act"] == PAGE, "export"])
    folder = folder_of(now.settings, now.pilot.pilot, now.period)
    for one in files:
        if one.act == "withdraw" and one.export in pages:
            with suppress(OSError):  # it is not read any more, wherever it stays
                (folder / f"{one.export}.parquet").unlink(missing_ok=True)

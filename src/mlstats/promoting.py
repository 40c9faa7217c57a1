"""What the verbs ``promote`` and ``decisions`` do and show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from mlstats import io, workbook
from mlstats.config import ShadowPlan
from mlstats.decision_log import DecisionLog
from mlstats.decisions import STAGES, Decision, faults, standing
from mlstats.errors import MlstatsError, UsageError, nearest
from mlstats.identity import Identity, operating_system_user
from mlstats.pilot_files import load_pilot
from mlstats.promotion import Desk
from mlstats.settings import Settings, load_settings
from mlstats.shadowing import shadow_record

__all__ = ["Asked", "carry_out", "show_decisions"]

_STOPS = ("suspended", "retired")


@dataclass(frozen=True)
class Asked:
    """The options of ``mlstats promote``."""

    to: str = ""
    version: int | None = None
    sign: str = ""
    waive: tuple[str, ...] = ()
    reason: str = ""
    rollback: bool = False
    repair: bool = False
    dry_run: bool = False


def carry_out(
    pilot: str,
    asked: Asked,
    tell: Callable[[str], None],
    *,
    who: Callable[[], Identity] = operating_system_user,
) -> bool:
    """Do what was asked and tell what came of it.

    Parameters
    ----------
    pilot : str
        Name or path.
    asked : Asked
        The options.
    tell : callable
        Gets a line at a time.
    who : callable
        Returns who decides.

    Returns
    -------
    bool
        Whether nothing was missing, where the run was dry; True otherwise.

    Raises
    ------
    UsageError
        Where the options do not go together.
    RefusedError, ServiceError
        As :class:`mlstats.promotion.Desk` raises them.
    """
    _check(asked)
    desk = Desk(pilot, load_settings(), who=who)
    if asked.repair:
        for line in desk.repair() or ["MLflow says what the log says"]:
            tell(line)
        return True
    if asked.dry_run:
        version, lacks = desk.lacks(asked.to, asked.version)
        return _tell_missing(desk.name, version, asked.to, lacks, tell)
    for row in _decided(desk, asked):
        tell(_in_words(row))
    if asked.sign:
        version, lacks = desk.lacks(asked.to, asked.version)
        _tell_missing(desk.name, version, asked.to, lacks, tell)
    return True


def _decided(desk: Desk, asked: Asked) -> list[Decision]:
    if asked.rollback:
        return desk.roll_back(reason=asked.reason, version=asked.version)
    if asked.to in _STOPS:
        return desk.stop(asked.to, reason=asked.reason, version=asked.version)
    if asked.sign:
        return desk.sign(
            asked.to,
            role=asked.sign,
            reason=asked.reason,
            waive=asked.waive,
            version=asked.version,
        )
    return desk.promote(asked.to, reason=asked.reason, version=asked.version)


def _check(asked: Asked) -> None:
    """Refuse options that do not go together."""
    ways = [bool(asked.to), asked.rollback, asked.repair]
    if sum(ways) != 1:
        raise UsageError(
            "It is not clear what is asked",
            expected="one of --to STAGE, --rollback and --repair",
        )
    if asked.to and asked.to not in STAGES[1:]:
        raise UsageError(
            f"There is no stage {asked.to!r} to go to",
            where="--to",
            expected=", ".join(STAGES[1:]),
            nearest=nearest(asked.to, STAGES[1:]),
        )
    stops = asked.to in _STOPS or not asked.to
    if stops and (asked.sign or asked.dry_run):
        raise UsageError(
            "Only steps to valid, shadow and production are signed or tried",
            where="--sign" if asked.sign else "--dry-run",
        )
    if asked.waive and not asked.sign:
        raise UsageError("A waiver is signed with --sign ROLE", where="--waive")


def _tell_missing(
    pilot: str, version: int, to: str, lacks: Sequence[str], tell: Callable[[str], None]
) -> bool:
    if lacks:
        tell(f"missing for version {version} of {pilot} to {to}:")
        for line in lacks:
            tell(f"- {line}")
        return False
    tell(f"nothing is missing for version {version} of {pilot} to {to}:")
    tell(f'mlstats promote {pilot} --to {to} --version {version} --reason "..."')
    return True


def _in_words(row: Decision) -> str:
    done = {"sign": "signed for", "waive": "waiver signed for"}.get(row.kind, "is now")
    return (
        f"decision {row.number}: version {row.version} {done} {row.stage_to} "
        f"({row.who}, {row.role})"
    )


# -- the table ---------------------------------------------------------------------


def show_decisions(
    settings: Settings, pilot: str, console: Console, *, xlsx: Path | None = None
) -> bool:
    """Show the log, and where the versions stand.

    Parameters
    ----------
    pilot : str
        Name or path; empty: of all pilots.
    console : rich.console.Console
        Where to.
    xlsx : pathlib.Path, optional
        A workbook with all columns.

    Returns
    -------
    bool
        Whether the log is not as it was written.

    Raises
    ------
    ServiceError
        Where the log cannot be read.
    UsageError
        Where there is no such pilot, and there never was a decision on it.
    """
    rows = DecisionLog(settings.database).read(Path(pilot).stem if pilot else None)
    if pilot and not rows:
        load_pilot(pilot, project=settings.project)  # a misspelt name is told
    logs = {name: list(held) for name, held in groupby(rows, lambda row: row.pilot)}
    said = [
        f"{name}: {line}"
        for name, held in logs.items()
        for line in _standing(settings, name, held)
    ]
    wrong = [f"{name}: {line}" for name, held in logs.items() for line in faults(held)]
    if xlsx is not None:
        sheets = {"Decisions": _frame(rows)}
        notes = [*wrong, *said, *(f"{n}: last {h[-1].hash}" for n, h in logs.items())]

        def write(path: Path) -> None:
            workbook.write_sheets(path, sheets, notes)

        io.write_atomic(xlsx, write)
    console.print(_table(rows))
    for line in said or ["no decision was made yet"]:
        console.print(line, markup=False)
    for line in wrong:
        console.print(f"not as it was written: {line}", style="bold red", markup=False)
    return bool(wrong)


def _standing(settings: Settings, pilot: str, rows: Sequence[Decision]) -> list[str]:
    now = standing(rows)
    said = [f"version {v} is {now.stage(v)}" for v in sorted(now.moved)]
    for version in now.at("shadow"):
        model, plan = now.moved[version].model, _shadow_plan(settings, pilot)
        shown = shadow_record(settings, pilot, version, model, rows, plan)
        said += [
            f"version {version} in the shadow: {len(shown.live)} live, "
            f"{len(shown.back_cast)} back-cast",
            *(f"it does not count: {why}" for why in shown.left_out),
        ]
    return said


def _shadow_plan(settings: Settings, pilot: str) -> ShadowPlan:
    """Return what the pilot's file asks for now; a log may outlive the file."""
    try:
        return load_pilot(pilot, project=settings.project).production.shadow
    except MlstatsError:
        return ShadowPlan()


def _table(rows: Sequence[Decision]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    # Eighty columns hold a row in a few lines: who did what must never be cut off.
    widths = {
        "#": 1, "time": 10, "pilot": 8, "version": 7, "step": 10, "who": 13,
        "reason": 8, "evidence, hash": 9,
    }  # fmt: skip
    for name, least in widths.items():
        whole = name in ("#", "version")
        table.add_column(name, no_wrap=whole, overflow="fold", min_width=least)
    for row in rows:
        cells = (
            str(row.number), row.time[:16].replace("T", " "), row.pilot,
            str(row.version), f"{row.kind}: {row.stage_from} > {row.stage_to}",
            f"{row.who}, {row.role}", row.reason, f"{row.evidence[:8]} {row.hash[:8]}",
        )  # fmt: skip
        table.add_row(*map(_plain, cells))
    return table


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _frame(rows: Sequence[Decision]) -> pd.DataFrame:
    names = [
        "pilot", "number", "time", "version", "kind", "stage_from", "stage_to", "who",
        "role", "reason", "waiver", "model", "evidence", "previous", "hash",
    ]  # fmt: skip
    return pd.DataFrame(
        [[getattr(row, n) for n in names] for row in rows], columns=names
    )

"""What monitoring leaves behind: history, proposals, page and Evidently workspace.

All of it is made from releases and reviews, so that making it again gives the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mlstats import io
from mlstats.contract import safe_features
from mlstats.evaluate import project_key
from mlstats.model_store import table_of
from mlstats.monitoring import History, Look
from mlstats.period import ReferencePeriod
from mlstats.production_switches import produced_by
from mlstats.proposals import PROPOSED, Proposal, proposed_table
from mlstats.quality.evidently import SAMPLE
from mlstats.quality.evidently_history import (
    Compared,
    Panel,
    Snapshot,
    write_workspace,
)
from mlstats.quality.monitor_page import MonitorPage, render_monitor
from mlstats.release_drift import KEPT
from mlstats.release_tables import kept_table
from mlstats.settings import Settings
from mlstats.watched import CLUSTER, UNIT, WEIGHT
from mlstats.watched_sample import WatchedSample, sample_key, watched_sample
from mlstats.watching import TRAINED

__all__ = ["Monitored", "keep_workspace", "keep_files"]

_DESIGN: Final = (UNIT, WEIGHT, CLUSTER)
PAGES: Final = "drift"  # folder of the pages of each period, beside the history
_LIMITS: Final = ("lower", "upper")
# Figures that are drawn with their limits: indicator, arm, title of the panel.
_DRAWN: Final = (
    ("accuracy", "champion", "Accuracy of the champion, by the audit"),
    ("accuracy", "baseline", "Accuracy of the baseline, by the audit"),
    ("accuracy_difference", "champion", "Champion less baseline, by the audit"),
    ("accuracy", "released", "Accuracy of what no clerk saw, by the audit"),
    ("coded automatically", "released", "Share coded automatically"),
    ("in the review queue", "released", "Share in the review queue"),
    ("by the baseline as fallback", "released", "Share from the fallback"),
    ("double_coding_agreement", "", "Agreement of two coders"),
)


@dataclass(frozen=True, eq=False)
class Monitored:
    """What monitoring a pilot came to.

    Parameters
    ----------
    pilot : str
        Which.
    folder : pathlib.Path
        With history.parquet, proposals.parquet, monitor.xlsx and monitor.html.
    history : pandas.DataFrame
        The columns of :data:`mlstats.monitoring.HISTORY`.
    proposed : tuple of Proposal
        Of the last period.
    replaced : tuple of str
        Periods whose snapshot in the Evidently workspace was made or replaced.
    """

    pilot: str
    folder: Path
    history: pd.DataFrame
    proposed: tuple[Proposal, ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether anything is proposed that nobody has done."""
        return any(one.state == PROPOSED for one in self.proposed)


def keep_files(
    history: History, found: list[Proposal], settings: Settings
) -> Monitored:
    """Write history, proposals, workbook and page into the pilot's folder."""
    pilot = history.pilot
    folder = settings.monitor / pilot.pilot
    folder.mkdir(parents=True, exist_ok=True)
    proposed = proposed_table(found)
    io.write_parquet(folder / "history.parquet", history.rows)
    io.write_parquet(folder / "proposals.parquet", proposed)
    notes = [f"{pilot.title or pilot.pilot}: monitoring over periods"]
    if pilot.data.synthetic:
        notes.append("synthetic data: no figure says anything about a real statistic")
    sheets = {"proposals": proposed, "history": history.rows}
    io.write_xlsx(folder / "monitor.xlsx", sheets, notes)
    page = MonitorPage(
        pilot.title or pilot.pilot,
        history.rows,
        proposed,
        [_told(look) for look in history.looks],
        pilot.production.review.target_accuracy,
        pilot.data.synthetic,
    )
    io.write_text(folder / "monitor.html", render_monitor(page))
    last = history.looks[-1].period if history.looks else ""
    now = tuple(one for one in found if one.period == last)
    return Monitored(pilot.pilot, folder, history.rows, now)


def _told(look: Look) -> dict[str, str]:
    facts = look.release.facts
    causes = [(one["cause"], one["classes"]) for one in facts.get("fallback", [])]
    state = "final" if look.release.final else "provisional"
    told = "".join(f", fallback ({cause})" for cause, _ in causes)
    return {
        "period": look.period,
        "revision": str(look.release.number),
        "state": state + told,
        "by": produced_by(facts.get("methods", {}), causes),
    }


# -- Evidently -----------------------------------------------------------------------


def keep_workspace(history: History, settings: Settings) -> tuple[str, ...]:
    """Bring the pilot's project in the Evidently workspace up to its history.

    The distributions that a snapshot draws are those of at most
    :data:`mlstats.quality.evidently.SAMPLE` rows of a period, see
    :mod:`mlstats.watched_sample`; the verdicts it repeats are those of the release.

    Returns
    -------
    tuple of str
        The periods whose snapshot was made or replaced.
    """
    pilot, looks = history.pilot, history.looks
    before: list[Look | None] = [None, *looks][: len(looks)]
    snapshots = [
        _snapshot(history, look, last, settings)
        for look, last in zip(looks, before, strict=True)
    ]
    made = write_workspace(
        settings.evidently,
        settings.monitor / pilot.pilot / PAGES,
        pilot.pilot,
        snapshots,
        list(_panels()),
        said=f"{pilot.title or pilot.pilot}, by the safe view and the audits",
        seed=pilot.evaluate.seed,
        synthetic=pilot.data.synthetic,
    )
    return tuple(made)


def _panels() -> Iterator[Panel]:
    references = ("training", "last_accepted", "same_period_last_year")
    yield Panel(
        "Columns that drifted, by our verdicts",
        tuple(("drift alarms", n, n.replace("_", " ")) for n in references),
        bars=True,
    )
    for indicator, arm, title in _DRAWN:
        name = _named(indicator, arm)
        ends = tuple((name, limit, f"{limit} limit") for limit in _LIMITS)
        yield Panel(title, ((name, "", "estimate"), *ends))


def _named(indicator: str, arm: str) -> str:
    return f"{indicator.replace('_', ' ')}, {arm}" if arm else indicator


def _snapshot(
    history: History, look: Look, last: Look | None, settings: Settings
) -> Snapshot:
    release = look.release
    rows = history.rows[history.rows["period"] == look.period]
    before = last.release.key.digest if last else ""
    text = f"{release.path} {release.key.digest} {look.reviewed} after {before}"
    return Snapshot(
        look.period,
        ReferencePeriod.parse(look.period).last_day(),
        hashlib.sha256(text.encode()).hexdigest(),
        _figures(rows),
        partial(_compared, history, look, last, settings),
    )


def _figures(rows: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return what the panels show of a period, limits among it."""
    told: dict[tuple[str, str], float] = {}
    measured = rows[rows["status"] == "measured"]
    for row in measured[measured["indicator"] == "drift_alarms"].to_dict("records"):
        told["drift alarms", str(row["reference"])] = float(row["value"])
    for indicator, arm, _ in _DRAWN:
        mine = measured[(measured["indicator"] == indicator) & (measured["arm"] == arm)]
        for row in mine.head(1).to_dict("records"):
            told |= dict(_limits(_named(indicator, arm), row))
    return told


def _limits(
    name: str, row: Mapping[Any, Any]
) -> Iterator[tuple[tuple[str, str], float]]:
    yield (name, ""), float(row["value"])
    for limit in _LIMITS:
        if pd.notna(row[limit]):
            yield (name, limit), float(row[limit])


def _compared(
    history: History, look: Look, last: Look | None, settings: Settings
) -> Compared | None:
    """Return the safe views of a period and of its reference: training, else before."""
    verdicts = kept_table(look.release.folder / "drift.parquet")
    if verdicts is None:
        return None
    current = _sample(history, look, settings)
    if current is None:
        return None
    pilot = history.pilot
    said = f"{pilot.title or pilot.pilot}, {look.period}. "
    said += str(look.release.facts.get("drift", ""))
    named = {str(name) for name in verdicts["reference"]}
    digest = look.release.key.champion.rpartition(" ")[2]
    trained = table_of(digest, settings.confidential, TRAINED) if digest else None
    if trained is not None and "training" in named:
        whole = WatchedSample(trained, len(trained))
        return _views(history, current, whole, verdicts, "training", said)
    if last is None or "last_accepted" not in named:
        return None
    kept = _sample(history, last, settings)
    if kept is None:
        return None
    return _views(history, current, kept, verdicts, "last_accepted", said)


def _sample(history: History, look: Look, settings: Settings) -> WatchedSample | None:
    key = sample_key(project_key(settings), history.pilot.evaluate.seed)
    return watched_sample(
        look.release.folder / KEPT, size=SAMPLE, key=key, workers=settings.workers
    )


def _views(
    history: History,
    current: WatchedSample,
    reference: WatchedSample,
    verdicts: pd.DataFrame,
    against: str,
    said: str,
) -> Compared | None:
    judged = set(verdicts.loc[verdicts["reference"] == against, "column"])
    judged -= {*_DESIGN}
    shown = [c for c in reference.frame if c in current.frame and c in judged]
    if not shown or reference.frame.empty:
        return None
    data = history.pilot.data
    before, made = safe_features(reference.frame[shown], data)
    now, _ = safe_features(current.frame[shown], data, reference=made)
    rows = {"current": current.rows, "reference": reference.rows}
    return Compared(now, before, verdicts, against, rows, said)

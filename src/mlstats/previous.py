"""What has changed since the last period: two runs of a pilot side by side.

The runs are taken as two independent samples. Where they share clusters that is wrong
in a known direction, and the note of each row says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.errors import ConfigError
from mlstats.period import ReferencePeriod
from mlstats.quality.figures import as_text
from mlstats.quality.report_tables import PREVIOUS_COLUMNS, empty

__all__ = [
    "Previous",
    "changes",
    "compare",
    "find",
    "shared_clusters",
    "welch_interval",
]

_NO_SAMPLE: Final = "none: not a sample"
_KEYS: Final = ["indicator", "level", "method"]
_INDEPENDENT: Final = "taken as two independent samples"


@dataclass(frozen=True)
class Previous:
    """An earlier finished run of the same pilot.

    Parameters
    ----------
    run_id, period : str
        Which run, and the period of its test part.
    folder : pathlib.Path
        Where its ``scorecard.parquet`` lies.
    same_period : bool
        Whether it is of this run's period and not of an earlier one.
    """

    run_id: str
    period: str
    folder: Path
    same_period: bool

    @property
    def in_words(self) -> str:
        """Which run it is, as a report tells it."""
        kind = "an earlier run of the same period" if self.same_period else "the run"
        return f"{kind} {self.run_id}" + (f" of {self.period}" if self.period else "")


def changes(
    scorecard: pd.DataFrame,
    units: pd.DataFrame,
    *,
    runs: Path,
    confidential: Path,
    period: str,
    run_id: str,
    clustered: bool,
) -> tuple[pd.DataFrame, str]:
    """Return the differences from the last period, and which run was the last.

    Parameters
    ----------
    scorecard, units : pandas.DataFrame
        Of this run.
    runs, confidential : pathlib.Path
        Folders of the pilot's finished runs and of what is kept of all runs in the
        confidential store.
    period, run_id : str
        Of this run.
    clustered : bool
        Whether the clusters of two runs can be told to be the same.

    Returns
    -------
    (pandas.DataFrame, str)
        Without rows and empty where there is no earlier run.
    """
    found = find(runs, period=period, run_id=run_id)
    if found is None:
        return empty(PREVIOUS_COLUMNS), ""
    earlier = confidential / found.run_id / "units.parquet"
    shared = shared_clusters(units, earlier) if clustered else None
    return compare(scorecard, found, shared=shared), found.in_words


def find(runs: Path, *, period: str, run_id: str) -> Previous | None:
    """Return the last run of a pilot whose period ends before this one's does.

    Parameters
    ----------
    runs : pathlib.Path
        Folder of the pilot's finished runs; those begun and not finished are hidden.
    period : str
        Of this run, one period or ``FIRST to LAST``.
    run_id : str
        Of this run; run ids order runs by time.

    Returns
    -------
    Previous or None
        Where no period is earlier, the last earlier run of the same period.
    """
    earlier = [
        folder
        for folder in sorted(runs.glob("*/"))
        if not folder.name.startswith(".")
        and folder.name < run_id
        and (folder / "scorecard.parquet").is_file()
    ]
    end, found = _end(period), []
    for folder in earlier:
        said = _period_of(folder)
        last = _end(said)
        if last is not None and end is not None and last.frequency == end.frequency:
            if last < end:
                found.append((False, last.ordinal, folder.name, said, folder))
            elif said == period:
                found.append((True, last.ordinal, folder.name, said, folder))
        elif said == period:
            found.append((True, 0, folder.name, said, folder))
    if not found:
        return None
    same, _, name, said, folder = min(found, key=lambda f: (f[0], -f[1], _later(f[2])))
    return Previous(name, said, folder, same)


def _later(name: str) -> list[int]:
    """Order names from the last to the first."""
    return [-ord(letter) for letter in name]


def _period_of(folder: Path) -> str:
    column = pd.read_parquet(folder / "scorecard.parquet", columns=["period"])["period"]
    return as_text(column.iloc[0]) if len(column) else ""


def _end(period: str) -> ReferencePeriod | None:
    last = period.replace("/", " to ").split(" to ")[-1]
    try:
        return ReferencePeriod.parse(last)
    except ConfigError:
        return None


def compare(
    scorecard: pd.DataFrame, previous: Previous, *, shared: float | None = None
) -> pd.DataFrame:
    """Return now, before and the difference of every figure that both runs have.

    The interval is ``d -+ t sqrt(se_1^2 + se_2^2)`` with the degrees of freedom of
    Welch (1947, Biometrika 34, eq. 28) and Satterthwaite (1946, Biometrics 2, eq. 17).

    Parameters
    ----------
    scorecard : pandas.DataFrame
        Of this run, as :func:`mlstats.quality.scorecard.score` returns it.
    previous : Previous
        The run it is compared with.
    shared : float, optional
        Share of this run's clusters that were in the earlier sample too; None where
        it is not known.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`mlstats.quality.report_tables.PREVIOUS_COLUMNS`; figures of
        domains are left out.
    """
    before = pd.read_parquet(previous.folder / "scorecard.parquet")
    pairs = _whole(scorecard).merge(
        _whole(before), on=_KEYS, how="inner", suffixes=("", "_before")
    )
    assumed = _assumed(previous, shared)
    rows = [_row({str(k): v for k, v in r.items()}, assumed)
            for r in pairs.to_dict("records")]  # fmt: skip
    if not rows:
        return empty(PREVIOUS_COLUMNS)
    return pd.DataFrame(rows, columns=list(PREVIOUS_COLUMNS))


def _whole(scorecard: pd.DataFrame) -> pd.DataFrame:
    rows = scorecard[
        (scorecard["domain"].map(as_text) == "")
        & (scorecard["status"] == "measured")
        & np.isfinite(scorecard["value"].astype(float))
    ]
    rows = rows[[*_KEYS, "value", "se", "df", "interval"]].assign(
        **{key: rows[key].map(as_text) for key in _KEYS}
    )
    # A row per further method that a gate compares with repeats the same value.
    return rows.drop_duplicates(_KEYS)


def _row(pair: dict[str, Any], assumed: str) -> dict[str, Any]:
    gap = float(pair["value"]) - float(pair["value_before"])
    row: dict[str, Any] = {key: pair[key] for key in _KEYS}
    row |= {"now": pair["value"], "before": pair["value_before"], "difference": gap}
    if {pair["interval"], pair["interval_before"]} == {_NO_SAMPLE}:
        return row | {"lower": gap, "upper": gap, "note": "facts, not estimates"}
    errors = np.array([pair["se"], pair["se_before"]], dtype=float)
    df = np.array([pair["df"], pair["df_before"]], dtype=float)
    if not (np.isfinite(errors).all() and (df >= 1).all()):
        why = "no interval: one of the two has no standard error"
        return row | {"lower": math.nan, "upper": math.nan, "note": why}
    if (errors == 0).any():
        why = "no interval: in one of the samples nothing varied"
        return row | {"lower": math.nan, "upper": math.nan, "note": why}
    lower, upper = welch_interval(gap, errors, df)
    return row | {"lower": lower, "upper": upper, "note": assumed}


def welch_interval(
    gap: float, errors: np.ndarray, df: np.ndarray, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the interval of a difference of two independent estimates.

    Parameters
    ----------
    gap : float
        The difference.
    errors, df : numpy.ndarray, shape (2,)
        Standard errors, not zero, and their degrees of freedom.

    Examples
    --------
    >>> ends = welch_interval(0.0, np.array([3.0, 4.0]), np.array([np.inf, np.inf]))
    >>> round(ends[0], 4), round(ends[1], 4)
    (-9.7998, 9.7998)
    """
    variance = errors**2
    together = float(variance.sum())
    of_parts = float((variance**2 / df).sum())
    joint = together**2 / of_parts if of_parts else math.inf
    half = float(stats.t.ppf((1 + confidence) / 2, joint)) * math.sqrt(together)
    return gap - half, gap + half


def _assumed(previous: Previous, shared: float | None) -> str:
    if previous.same_period:
        return (
            f"{_INDEPENDENT}, which they are not: the period is the same, so the units "
            "largely are, and the interval is wider than it needs to be"
        )
    if shared is None:
        return f"{_INDEPENDENT}; whether they share clusters is not known"
    if shared == 0:
        return f"{_INDEPENDENT}: they share no cluster"
    return (
        f"{_INDEPENDENT}; {shared:.0%} of the clusters were in the earlier sample too. "
        "Where a cluster is coded rightly in both or in neither, as is usual, the "
        "interval is wider than it needs to be; were it the other way, too narrow"
    )


def shared_clusters(units: pd.DataFrame, earlier: Path) -> float | None:
    """Return the share of clusters that were in the test part of the earlier run.

    Parameters
    ----------
    units : pandas.DataFrame
        Of this run's Evaluation; clusters are hashed under the project's key.
    earlier : pathlib.Path
        ``units.parquet`` of the earlier run in the confidential store.

    Returns
    -------
    float or None
        None where the earlier units are not kept any more.
    """
    if not earlier.is_file():
        return None
    before = pd.read_parquet(earlier, columns=["cluster", "fold"])
    now = units.loc[units["fold"] == "test", "cluster"].drop_duplicates()
    if now.empty:
        return None
    then = before.loc[before["fold"] == "test", "cluster"].unique()
    return float(now.isin(then).mean())

"""Whether audits have measured that the champion is not accurate enough any more.

A verdict needs a limit and not a point: the champion makes way where the whole interval
of what it coded by itself lies below the accuracy that was promised. The interval is
wide enough for the looks of a year.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from mlstats.coding.uncodable import has_uncodable_code
from mlstats.config import Pilot
from mlstats.method import as_codes
from mlstats.period import ReferencePeriod
from mlstats.produced import Arm, Reason
from mlstats.quality.audit_estimates import audit_error_rates
from mlstats.quality.summaries import Ancestor
from mlstats.release_tables import kept_table
from mlstats.releases import Release
from mlstats.review_store import ReviewStore

__all__ = ["YEARLY", "audited", "judging", "lost", "to_depth", "together"]

AUDIT = "confidential/audit.parquet"
_UNCODABLE: Final = "uncodable"
YEARLY: Final = 0.05  # chance of blaming a champion at its target, two-sided


def audited(release: Release, reviews: ReviewStore) -> pd.DataFrame | None:
    """Return the audit of a release with what clerks found; None where none was made.

    Returns
    -------
    pandas.DataFrame
        As drawn, with `truth`: blank where nobody has coded the unit.
    """
    found = reviews.read(release.key.pilot, release.key.period)
    found = found[found["kind"] == "audit"]
    audit = None if found.empty else kept_table(release.folder / AUDIT)
    if audit is None:
        return None
    told = dict(zip(found["unit"], found["code"], strict=True))
    truth = pd.Series([told.get(name) for name in audit["hash"]], dtype=object)
    return audit.assign(truth=truth)


def together(reasons: Sequence[Reason]) -> list[Reason]:
    """Return what several audits say as one reason: the whole period, else classes.

    Examples
    --------
    >>> parts = [Reason("performance", "one", ("02",)), Reason("performance", "two")]
    >>> together(parts)
    [Reason(cause='performance', said='two', classes=())]
    """
    whole = [one for one in reasons if not one.classes]
    if whole or len(reasons) < 2:
        return whole[:1] or list(reasons)
    classes = tuple(sorted({name for one in reasons for name in one.classes}))
    return [Reason("performance", "; ".join(one.said for one in reasons), classes)]


def lost(
    pilot: Pilot,
    champion: Arm,
    period: str,
    audit: pd.DataFrame,
    ancestor: Ancestor,
    levels: Sequence[str],
) -> Reason | None:
    """Return why the baseline has to take over, None where no loss was measured.

    Parameters
    ----------
    period : str
        Of the audit.
    audit : pandas.DataFrame
        From :func:`audited`.
    ancestor, levels
        Of the classification; the first level is the one that is published.

    Returns
    -------
    Reason or None
        For the whole period where the accuracy of all that the champion coded by
        itself is below the target; else for the published classes of which that holds.
        A champion at its target is blamed with a probability of at most 5 % in a year:
        half of it for the whole and half for the classes, in equal parts for each
        look of the year and each class (Bonferroni).
    """
    level = YEARLY / ReferencePeriod.parse(period).per_year
    version = champion.label
    own = audit["model_version"].astype("str") == version
    own &= audit["route"].isin(["automatic", "audit"])
    target = pilot.production.review.target_accuracy
    mine = audit[own]
    if mine.empty:
        return None
    ancestor = judging(pilot, ancestor)
    codes = mine.assign(
        prediction=mine["value"].astype(object), truth=to_depth(mine, ancestor)
    )
    judged = audit_error_rates(
        codes, ancestor=ancestor, level=pilot.evaluate.level, confidence=1 - level
    )
    rates = judged[judged["figure"] == "rate"]
    whole = rates[rates["code"] == ""]
    if len(whole) and float(whole["lower"].iloc[0]) > 1 - target:
        found = 1 - float(whole["value"].iloc[0])
        return Reason(
            "performance",
            f"the audit of {period} measured an accuracy of {found:.1%}, the whole "
            f"interval below {target:.0%}",
        )
    return _lost_classes(codes, ancestor, levels, target, period, level)


def judging(pilot: Pilot, ancestor: Ancestor) -> Ancestor:
    """Return an ancestor that also knows what coders call not codable, at any level.

    Those codes stand below no group; without this a unit that was coded though it
    cannot be would count as one that nobody has looked at.
    """
    codes = pilot.data.uncodable.codes

    def at(given: np.ndarray, level: str) -> np.ndarray:
        found = np.array(ancestor(given, level), dtype=object)
        found[pd.isna(found) & has_uncodable_code(given, codes)] = _UNCODABLE
        return found

    return at


def to_depth(mine: pd.DataFrame, ancestor: Ancestor) -> np.ndarray:
    """Return the truth as deep as each code was released: no more was promised.

    Parameters
    ----------
    mine : pandas.DataFrame
        Rows of :func:`audited`.
    """
    truth = as_codes(mine["truth"])
    depth = mine["depth"].astype("str").to_numpy()
    for level in set(depth) - {"full", ""}:
        truth[depth == level] = ancestor(truth[depth == level], level)
    return truth


def _lost_classes(
    codes: pd.DataFrame,
    ancestor: Ancestor,
    levels: Sequence[str],
    target: float,
    period: str,
    at: float,
) -> Reason | None:
    classes = len(set(ancestor(as_codes(codes["value"]), levels[0])) - {None})
    judged = audit_error_rates(
        codes,
        ancestor=ancestor,
        level=levels[0],
        confidence=1 - at / max(classes, 1),
    )
    rates = judged[(judged["figure"] == "rate") & (judged["code"] != "")]
    below = rates[rates["lower"].astype(float) > 1 - target]
    if below.empty:
        return None
    named = tuple(sorted(below["code"].astype(str)))
    return Reason(
        "performance",
        f"the audit of {period} measured {len(named)} classes below {target:.0%}",
        named,
    )

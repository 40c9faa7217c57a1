"""What is coded automatically, to which depth, and what reaches a clerk.

A unit is coded to the deepest level at which its confidence reaches a threshold that
was shown on the valid part to keep the level's target accuracy: the full code, else
three digits, else a clerk. The thresholds may differ by group of the predicted code; a
group too small for its promise goes to clerks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.automation import guaranteed_threshold
from mlstats.quality.summaries import Ancestor

__all__ = ["THRESHOLDS", "Candidates", "Routing", "Step", "route", "thresholds"]

_MIN_CELL = 10  # fewer units are not counted in a table
THRESHOLDS = (
    "method", "level", "group", "target", "confidence", "threshold", "bound", "n",
    "n_shown", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A depth of coding and the accuracy that has to be shown for it.

    Parameters
    ----------
    level : str
        Of the classification.
    target : float
        Accuracy of what is coded to that level.
    """

    level: str
    target: float


@dataclass(frozen=True)
class Routing:
    """How automatic coding is decided.

    Parameters
    ----------
    steps : tuple of Step
        From deep to shallow.
    group : str
        Level whose classes have thresholds of their own; "": one for all.
    joint : bool
        Whether the promises of all steps and groups hold together with the
        probability, each with its share of the rest (Bonferroni), or each by itself.
    level : float
        Probability with which a promise holds.
    """

    steps: tuple[Step, ...]
    group: str = ""
    joint: bool = False
    level: float = 0.95


@dataclass(frozen=True)
class Candidates:
    """The candidate codes of each unit as they look at one level.

    Parameters
    ----------
    code : numpy.ndarray of object, shape (n,)
        The class of the level that the candidates speak for most; None where none
        reaches it.
    confidence : numpy.ndarray of float, shape (n,)
        Sum of the scores of the candidates in that class: for probabilities the
        probability that the class is right, or a little less where more candidates
        than were kept belong to it. NaN where the method tells none.
    """

    code: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, units: pd.DataFrame, ancestor: Ancestor, level: str) -> Candidates:
        """Add up the candidates of units of an Evaluation at a level."""
        n = len(units)
        prediction = ancestor(as_codes(units["prediction"]), level)
        best = units["confidence"].to_numpy(dtype=float)
        if level == "full":
            return cls(prediction, np.where(_told(prediction), best, np.nan))
        lengths = units["candidates"].str.len().to_numpy()
        if lengths.max(initial=0) <= 1:
            return cls(prediction, np.where(_told(prediction), best, np.nan))
        row = np.repeat(np.arange(n), lengths)
        flat = as_codes(pd.Series(np.concatenate([*units["candidates"]]), dtype=object))
        score = np.concatenate([*units["scores"]]).astype(float)
        classes = ancestor(flat, level)
        kept = _told(classes) & np.isfinite(score)
        number, names = pd.factorize(classes[kept])
        each = pd.DataFrame({"row": row[kept], "class": number, "score": score[kept]})
        sums = each.groupby(["row", "class"], sort=False).sum().reset_index()
        top = sums.loc[sums.groupby("row", sort=False)["score"].idxmax()]
        code = np.full(n, None, dtype=object)
        confidence = np.full(n, np.nan)
        code[top["row"]] = np.asarray(names, dtype=object)[top["class"]]
        confidence[top["row"]] = top["score"]
        return cls(code, confidence)


def thresholds(
    units: pd.DataFrame, ancestor: Ancestor, routing: Routing, methods: Sequence[str]
) -> pd.DataFrame:
    """Find the threshold of every step and group on the valid part.

    A step is judged on the units that the steps before it leave.

    Parameters
    ----------
    units : pandas.DataFrame
        Of an Evaluation; its valid part is used.
    ancestor : callable
        ``ancestor(codes, level)`` of the classification.
    routing : Routing
        Steps and groups.
    methods : sequence of str
        Names.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`THRESHOLDS`; an infinite threshold: nothing is automatic.
    """
    rows: list[dict[str, Any]] = []
    valid = units[units["fold"] == "valid"]
    for method in methods:
        left = valid[valid["method"] == method]
        for step in routing.steps:
            found, taken = _step(left, ancestor, routing, step)
            rows += [row | {"method": method} for row in found]
            left = left[~taken]
    return pd.DataFrame(rows, columns=list(THRESHOLDS))


def _step(
    part: pd.DataFrame, ancestor: Ancestor, routing: Routing, step: Step
) -> tuple[list[dict[str, Any]], np.ndarray]:
    seen = Candidates.of(part, ancestor, step.level)
    truth = ancestor(as_codes(part["truth"]), step.level)
    judged = _told(truth)
    group = _groups(seen.code, ancestor, routing)
    names = sorted({str(name) for name in group if name is not None})
    share = 1 - routing.level
    if routing.joint:
        share /= len(routing.steps) * max(len(names), 1)
    rows, taken = [], np.zeros(len(part), dtype=bool)
    for name in names:
        member = group == name
        inside = member & judged
        found = guaranteed_threshold(
            seen.confidence[inside],
            (seen.code == truth)[inside],
            part["cluster"].to_numpy()[inside],
            part["weight"].to_numpy(dtype=float)[inside],
            target=step.target,
            level=1 - share,
        )
        taken |= member & (seen.confidence >= found.value)
        shown = np.isfinite(found.value)
        rows.append(
            {
                "level": step.level,
                "group": name,
                "target": step.target,
                "confidence": 1 - share,
                "threshold": found.value,
                "bound": found.bound,
                # A handful of units could be known by their number.
                "n": int(inside.sum()) if inside.sum() >= _MIN_CELL else 0,
                "n_shown": found.n,
                "note": "" if shown else "no threshold was shown: to clerks",
            }
        )
    return rows, taken


def route(
    units: pd.DataFrame, shown: pd.DataFrame, ancestor: Ancestor, routing: Routing
) -> pd.DataFrame:
    """Return route, depth and code of each unit as it would be published.

    Parameters
    ----------
    units : pandas.DataFrame
        Of an Evaluation, all folds.
    shown : pandas.DataFrame
        From :func:`thresholds`.

    Returns
    -------
    pandas.DataFrame
        Columns route (automatic or queue), depth (the level, "" in the queue) and
        routed (the code at that depth, None in the queue), rows as in `units`.
    """
    n = len(units)
    depth = np.full(n, "", dtype=object)
    routed = np.full(n, None, dtype=object)
    method = units["method"].to_numpy(dtype=object)
    for step in routing.steps:
        at = Candidates.of(units, ancestor, step.level)
        group = _groups(at.code, ancestor, routing)
        limits = shown[shown["level"] == step.level]
        bar = _bars(method, group, limits)
        # A confidence that is not told compares as False.
        taken = (depth == "") & (at.confidence >= bar) & _told(at.code)
        depth[taken] = step.level
        routed[taken] = at.code[taken]
    automatic = np.where(depth != "", "automatic", "queue")
    codes = pd.Series(routed, units.index, dtype=object)
    columns = {"route": automatic, "depth": depth, "routed": codes}
    return pd.DataFrame(columns, index=units.index)


def _bars(method: np.ndarray, group: np.ndarray, limits: pd.DataFrame) -> np.ndarray:
    """Return the threshold of each unit, infinite where there is none."""
    row, methods = pd.factorize(method)
    column, groups = pd.factorize(group, use_na_sentinel=False)
    limit = {
        (one.method, one.group): one.threshold for one in limits.itertuples(index=False)
    }
    table = [[limit.get((m, g), np.inf) for g in groups] for m in methods]
    bars: np.ndarray = np.array(table, dtype=float).reshape(-1, max(len(groups), 1))
    return bars[row, column]


def _groups(code: np.ndarray, ancestor: Ancestor, routing: Routing) -> np.ndarray:
    """Return the group of each code, "" for all where there are none."""
    if not routing.group:
        return np.full(len(code), "", dtype=object)
    return np.asarray(ancestor(code, routing.group), dtype=object)


def _told(codes: np.ndarray) -> np.ndarray:
    told: np.ndarray = codes != np.array(None)
    return told

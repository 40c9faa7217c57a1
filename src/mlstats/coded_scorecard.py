"""The scorecard of a coded table against a column of its source that holds the truth.

Parts are read twice, one of them in memory of a worker at a time; what goes back are
sums. The coded parts travel with the blocks: workers of a cluster need not reach them.
"""

from __future__ import annotations

import io as buffers
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.coded_counts import count_rows, require_scorable
from mlstats.coding.classification import Classification
from mlstats.errors import ContractError
from mlstats.method import as_codes
from mlstats.partitions import Partition, PartitionedTable
from mlstats.period_parts import PartReader, staged
from mlstats.quality.arm_means import Arms
from mlstats.quality.class_measures import ClassMeasures
from mlstats.quality.comparison import worse_classes
from mlstats.quality.dimension_influences import DimensionInfluences
from mlstats.quality.dimension_parts import (
    comparison_rows_of_sums,
    dimension_rows_of_sums,
)
from mlstats.quality.dimension_sums import MIN_CELL, DimensionSums
from mlstats.quality.ratio_estimates import Sampled
from mlstats.quality.score_parts import scorecard_of_sums
from mlstats.quality.score_sums import ScoreSums
from mlstats.quality.scorecard import Plan, as_scorecard
from mlstats.quality.share_sums import ShareSums
from mlstats.quality.whole_clusters import WholeClusters
from mlstats.scale import Scale, map_blocks, progress
from mlstats.split import cluster_ids

__all__ = ["CodedScores", "ScoreCodes", "Scored", "score_codes"]

_READ: Final = (
    *("code", "depth", "route", "confidence", "champion_code", "baseline_code"),
)
_OF_TRAINING: Final = ("accuracy_unseen", "accuracy_new_units", "change_new_units")
_TEXTS_UNKNOWN: Final = "a coded table does not tell which texts training knew"
_OF_ROUTES: Final = (
    *("automation_guaranteed", "automation_error", "automation_oracle"),
    *("automation_any_depth", "not_referred"),
)
_OF_CONFIDENCE: Final = ("brier", "overconfidence", "ece_debiased")
_NUMBERS: Final = (
    *("value", "se", "df", "lower", "upper", "difference", "difference_se"),
    *("difference_lower", "difference_upper"),
)
_Block = tuple[Partition, bytes]


@dataclass(frozen=True, eq=False)
class CodedScores:
    """What the parts add up to at the first reading.

    Parameters
    ----------
    scores : ScoreSums
        Of accuracy and automation.
    dimensions : DimensionSums
        Of the rows beyond.
    shares : ShareSums
        Of the published shares.
    classes : mapping of str to ClassMeasures
        By method.
    clusters : WholeClusters
        Whether parts hold whole ones.
    counts : Counter
        As of :func:`mlstats.coded_counts.count_rows`.
    periods : frozenset of str
        Reference periods of the rows.
    """

    scores: ScoreSums
    dimensions: DimensionSums
    shares: ShareSums
    classes: Mapping[str, ClassMeasures]
    clusters: WholeClusters
    counts: Counter[str]
    periods: frozenset[str]

    def merge(self, other: CodedScores) -> CodedScores:
        """Return the sums of both parts."""
        return CodedScores(
            self.scores.merge(other.scores),
            self.dimensions.merge(other.dimensions),
            self.shares.merge(other.shares),
            {
                name: one.merge(other.classes[name])
                for name, one in self.classes.items()
            },
            self.clusters.merge(other.clusters),
            self.counts + other.counts,
            self.periods | other.periods,
        )


@dataclass(frozen=True)
class Scored:
    """The scorecard of a coded table.

    Parameters
    ----------
    scorecard : pandas.DataFrame
        Columns of :data:`mlstats.quality.scorecard.COLUMNS`.
    aggregates : pandas.DataFrame
        The shares of the classes under every arm, columns of
        :data:`mlstats.quality.estimate_level.AGGREGATES`.
    classes : pandas.DataFrame
        As of :func:`mlstats.quality.comparison.class_table`, with method and level.
    counts, periods
        As of :class:`CodedScores`.
    caution : str
        What is not known of the clusters; may be empty.
    """

    scorecard: pd.DataFrame
    aggregates: pd.DataFrame
    classes: pd.DataFrame
    counts: Counter[str]
    periods: frozenset[str]
    caution: str


@dataclass(frozen=True, eq=False)
class ScoreCodes:
    """The work on a part; sent to workers once.

    Parameters
    ----------
    reader : PartReader
        Reads the columns of the design and the truth, ``pilot.truth``.
    arms : mapping of str to str
        Role, champion or baseline, -> name of the method.
    plan : Plan
        What is scored.
    classification : Classification
        Of the codes.
    first : DimensionSums, optional
        Of all parts: this is the second reading then.
    """

    reader: PartReader
    arms: Mapping[str, str]
    plan: Plan
    classification: Classification
    first: DimensionSums | None = None

    def __call__(self, block: _Block) -> CodedScores | DimensionInfluences:
        """Add up a part, given as its place in the source and its coded rows."""
        part, content = block
        frame = self.reader.rows(part)
        coded = pd.read_parquet(buffers.BytesIO(content), columns=list(_READ))
        if len(coded) != len(frame):
            raise ContractError(
                "A coded part has other rows than its part of the source",
                where=part.path,
                expected="the source that was coded",
            )
        units = self.units(part, frame, coded)
        # By the codes of the part alone: each has its ancestors whatever else is there.
        codes = pd.unique(pd.concat([units["truth"], units["prediction"]]))
        known = self.classification.extended(codes)
        if self.first is not None:
            return DimensionInfluences.of(units, known.ancestor, self.plan, self.first)
        return self._sums(frame, units, known)

    def _sums(
        self, frame: pd.DataFrame, units: pd.DataFrame, known: Classification
    ) -> CodedScores:
        one = units[units["method"] == self.plan.baseline].reset_index(drop=True)
        counts = count_rows(one, known, self.plan.level)
        # Of any level: at a broader one than the pilot's more units are judged.
        judged = one["truth"].notna().to_numpy()
        period = self.reader.pilot.data.roles.period
        there = frame[period].dropna().unique().tolist() if period in frame else []
        plan, ancestor = self.plan, known.ancestor
        arms = Arms.of(units, ancestor, plan)
        return CodedScores(
            ScoreSums.of(units, ancestor, plan),
            DimensionSums.of(units, ancestor, plan),
            ShareSums.of(units, ancestor, plan, plan.levels[0]),
            {name: ClassMeasures.of(arms, name, plan.baseline) for name in plan.kinds},
            WholeClusters.of(self._named(frame)[judged], one["stratum"][judged]),
            counts,
            frozenset(map(str, there)),
        )

    def _named(self, frame: pd.DataFrame) -> pd.Series:
        """Return the clusters' names, none for a row that is its own."""
        column = self.reader.pilot.data.roles.cluster
        if column is None:
            return pd.Series(np.full(len(frame), None), dtype=object)
        labels = cluster_ids(frame, column).reset_index(drop=True)
        return labels.where(labels.str.startswith("cluster "))

    def units(
        self, part: Partition, frame: pd.DataFrame, coded: pd.DataFrame
    ) -> pd.DataFrame:
        """Return a row per unit and method with what sums are made of."""
        pilot, n = self.reader.pilot, len(frame)
        roles = pilot.data.roles
        clusters = cluster_ids(frame, roles.cluster, first=part.start)
        automatic = (coded["route"] == "automatic").to_numpy()
        shared = {
            "fold": "test",
            "position": np.arange(part.start, part.start + n),
            "stratum": _text(frame, roles.stratum),
            "cluster": clusters.to_numpy(dtype=object),
            "truth": _truth(frame[pilot.truth]),
            "weight": _number(frame, roles.weight, 1.0),
            "fraction": _number(frame, roles.fraction, 0.0),
            "seen": False,
            **{f"domain_{name}": _text(frame, name) for name in roles.domain},
        }
        tables = []
        for role, method in self.arms.items():
            leads = role == next(iter(self.arms))
            alone = automatic & (role == "champion")
            own = {
                "method": method,
                "prediction": as_codes(coded[f"{role}_code"]),
                "confidence": coded["confidence"].to_numpy() if leads else np.nan,
                "route": np.where(alone, "automatic", "queue"),
                "depth": np.where(alone, as_codes(coded["depth"]), ""),
                "routed": np.where(alone, as_codes(coded["code"]), np.array(None)),
            }
            tables.append(pd.DataFrame(shared | own))
        return pd.concat(tables, ignore_index=True)


def score_codes(
    work: ScoreCodes, table: PartitionedTable, coded: Path, scale: Scale
) -> Scored:
    """Score a coded table in two readings.

    Parameters
    ----------
    work : ScoreCodes
        What is done to a part; the first of its arms is the one whose confidence and
        route the table has.
    table : PartitionedTable
        The source.
    coded : pathlib.Path
        Folder of the coded parts, in the order of those of the source.
    scale : Scale
        Where parts are read.

    Raises
    ------
    ContractError
        Where true codes are not in the classification, no row has one and weight, a
        weight is none, or a cluster lies in two parts.
    """
    plan = work.plan
    sums: CodedScores = reduce(
        CodedScores.merge, _read(work, table, coded, scale, "Scoring the parts")
    )
    counts = sums.counts
    require_scorable(counts, work.reader.pilot, plan.level, table.source)
    caution = sums.clusters.require()
    again = replace(work, first=sums.dimensions)
    influences: DimensionInfluences = reduce(
        DimensionInfluences.merge,
        _read(again, table, coded, scale, "Scoring the parts again"),
    )
    rows = dimension_rows_of_sums(sums.dimensions, influences, plan)
    gates = work.reader.pilot.gates
    margin = max((rule.margin for rule in gates if rule.versus), default=0.0)
    rows += comparison_rows_of_sums(sums.dimensions, influences, plan, margin=margin)
    classes = _classes(
        sums.classes, Sampled(sums.dimensions.fractions, plan.single), plan
    )
    # At a broader level there may be units in strata that the pilot's level lacks.
    sampled = Sampled(sums.shares.fractions, plan.single)
    rows += [*sums.shares.indicators(sampled), *_worse(classes, plan)]
    card = pd.concat(
        [scorecard_of_sums(sums.scores, plan), as_scorecard(rows, plan)],
        ignore_index=True,
    )
    return Scored(
        _honest(card, work.arms),
        sums.shares.table(sampled, min_cell=MIN_CELL),
        classes,
        counts,
        sums.periods,
        caution,
    )


def _classes(
    sums: Mapping[str, ClassMeasures], sampled: Sampled, plan: Plan
) -> pd.DataFrame:
    tables = [
        one.table(sampled, min_cell=MIN_CELL).assign(method=name, level=plan.level)
        for name, one in sums.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _worse(classes: pd.DataFrame, plan: Plan) -> Iterator[dict[str, Any]]:
    for name in plan.kinds:
        if name != plan.baseline:
            found = worse_classes(classes[classes["method"] == name])
            yield found.row(method=name, level=plan.level)


def _read(
    work: ScoreCodes, table: PartitionedTable, coded: Path, scale: Scale, title: str
) -> Iterator[Any]:
    blocks = (
        (part, staged(coded, number).read_bytes())
        for number, part in enumerate(table.partitions)
    )
    done = map_blocks(work, blocks, workers=scale)
    return progress(done, len(table.partitions), title)


def _honest(card: pd.DataFrame, arms: Mapping[str, str]) -> pd.DataFrame:
    """Take back what a coded table does not tell."""
    card = card.copy()
    leader, *others = arms.values()
    routed = card["indicator"].isin(_OF_ROUTES)
    unknown = [(card["indicator"].isin(_OF_TRAINING), _TEXTS_UNKNOWN)]
    if "champion" not in arms:
        unknown.append((routed, "no version is in production, so nothing was routed"))
    told = f"a coded table tells confidence and route of {leader} only"
    of_leader = routed | card["indicator"].isin(_OF_CONFIDENCE)
    unknown.append((of_leader & card["method"].isin(others), told))
    # By the scorecard's own words the threshold was not shown: it was, elsewhere.
    shown = routed & card["note"].str.startswith("target")
    shown &= card["status"] != "not_measured"  # which says why
    card.loc[shown, "note"] = "by the thresholds of the version that coded"
    for rows, note in unknown:
        card.loc[rows, list(_NUMBERS)] = np.nan
        card.loc[rows, ["status", "interval", "note"]] = ["not_measured", "", note]
    return card


def _text(frame: pd.DataFrame, column: str | None) -> np.ndarray | str:
    if column is None:
        return ""
    return np.asarray(frame[column].astype(object).fillna("").astype(str), dtype=object)


def _number(frame: pd.DataFrame, column: str | None, without: float) -> np.ndarray:
    if column is None:
        return np.full(len(frame), without)
    found = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
    return np.where(np.isfinite(found), found, np.nan)


def _truth(column: pd.Series) -> np.ndarray:
    """Return true codes, blanks for none."""
    text = column.astype("str").str.strip()
    return as_codes(text.where(column.notna() & text.ne("")).astype(object))

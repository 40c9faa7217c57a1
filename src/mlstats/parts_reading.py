"""A period's partitions read once: contract, ids, drift, and what later periods need.

A worker reads a part and gives back counts; what must be known of all rows at once,
which ids stand twice and whether a cluster lies in two parts, is found by hashes on
the disk.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pandas as pd

from mlstats.contract import ContractResult
from mlstats.contract.parts import PartFindings, merged
from mlstats.contract.rules import findings, result_of, without_value
from mlstats.errors import ContractError, MlstatsError, SourceError
from mlstats.partitions import Partition
from mlstats.period_parts import (
    PartedData,
    PartReader,
    as_parquet,
    part_digest,
    write_staged,
)
from mlstats.period_source import has_own_files, without_target
from mlstats.quality.drift import Reference, Summary
from mlstats.release_drift import References, counted_into
from mlstats.scale import map_blocks, progress
from mlstats.seen_twice import SeenTwice, hashed
from mlstats.watching import watch

__all__ = ["ReadParts", "StagedWatched", "read_parts", "watched_columns"]


@dataclass(frozen=True, eq=False)
class ReadParts:
    """What the parts of a period say together.

    Parameters
    ----------
    checked : ContractResult
        As of all rows.
    counted : Summary or None
        Of the watched columns; None where there is nothing to compare them with.
    digest : str
        sha256 of the files, or of the rows where some are of other periods.
    rows : int
        Of the period.
    cautions : list of str
        What a reader must not miss.
    again, first
        See :class:`mlstats.period_parts.PartedData`.
    """

    checked: ContractResult
    counted: Summary | None
    digest: str
    rows: int
    cautions: list[str]
    again: np.ndarray
    first: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class StagedWatched:
    """The watched columns of a period, which lie in staged parts."""

    data: PartedData

    def write(self, target: Path) -> None:
        """Copy the parts."""
        target.mkdir(mode=0o700)
        for part in sorted(self.data.watched.glob("part-*.parquet")):
            shutil.copyfile(part, target / part.name)


@dataclass(frozen=True, eq=False)
class _Read:
    findings: PartFindings
    watched: bytes
    counted: Summary | None
    ids: np.ndarray
    numbers: np.ndarray
    clusters: np.ndarray
    digest: bytes
    left_out: int


@dataclass(frozen=True, eq=False)
class _ReadPart:
    """The work on one part; sent to workers once."""

    reader: PartReader
    vocabulary: pd.DataFrame | None
    reference: Reference | None

    def __call__(self, part: Partition) -> _Read:
        frame = self.reader(part)
        pilot = self.reader.pilot
        roles = pilot.data.roles
        numbers = frame.index.to_numpy() + 1
        own = frame.reset_index(drop=True)
        data = without_target(pilot).data
        held = PartFindings.of(own, data, numbers)
        watched = watch(pilot, own, self.vocabulary, part.start)
        ids, clusters = np.zeros((0, 2), np.uint64), np.zeros((0, 2), np.uint64)
        if roles.unit_id in own:
            # The contract has a rule of its own for an id without a value.
            blank = without_value(own[roles.unit_id])
            ids = hashed(own[roles.unit_id].fillna("\0"))
            numbers = 2 * numbers + blank
        if roles.cluster in own:
            named = own.loc[~without_value(own[roles.cluster]), roles.cluster]
            clusters = np.unique(hashed(named), axis=0)
        return _Read(
            held,
            as_parquet(watched),
            self._counted(watched),
            ids,
            numbers,
            clusters,
            part_digest(own),
            part.rows - len(own),
        )

    def _counted(self, watched: pd.DataFrame) -> Summary | None:
        if self.reference is None or watched.empty:
            return None
        return counted_into(self.reference, watched)


def watched_columns(data: PartedData, vocabulary: pd.DataFrame | None) -> list[str]:
    """Return the watched columns that the first part has.

    Raises
    ------
    ContractError
        Where a column is missing that nobody can answer without.
    """
    pilot, first = data.reader.pilot, data.table.partitions[0]
    frame = data.reader(first).head(1000).reset_index(drop=True)
    try:
        return [str(name) for name in watch(pilot, frame, vocabulary).columns]
    except MlstatsError:
        raise
    except Exception:
        _refuse_missing(data, frame)
        raise


def _refuse_missing(data: PartedData, frame: pd.DataFrame) -> None:
    pilot = data.reader.pilot
    names = dict.fromkeys([*frame.columns, *data.table.columns])
    held = findings(
        pd.DataFrame(columns=[*names]), without_target(pilot).data, truth=None
    )
    missing = [one for one in held if one.failure and one.column]
    result_of(missing).raise_if_failed(pilot.pilot)


def read_parts(
    data: PartedData, vocabulary: pd.DataFrame | None, known: References | None
) -> ReadParts:
    """Read every part, and stage its watched columns.

    Parameters
    ----------
    data : PartedData
        The period's.
    vocabulary : pandas.DataFrame or None
        Words that the version knew.
    known : References or None
        What the watched columns are counted into.

    Raises
    ------
    SourceError
        Where no row is of the period, and where a file was written meanwhile.
    ContractError
        Where a cluster lies in two parts: no variance could be told.
    """
    shutil.rmtree(data.watched, ignore_errors=True)
    work = _ReadPart(data.reader, vocabulary, known.reference if known else None)
    parts = data.table.partitions
    done = map_blocks(work, parts, workers=data.scale)
    told: list[PartFindings] = []
    counted: Summary | None = None
    rows, left_out = hashlib.sha256(), 0
    with SeenTwice(data.staging) as ids, SeenTwice(data.staging) as clusters:
        for number, found in enumerate(progress(done, len(parts), "Reading the parts")):
            if found.findings.rows:
                write_staged(data.watched, number, found.watched)
            told.append(found.findings)
            if found.counted is not None:
                counted = counted.merge(found.counted) if counted else found.counted
            rows.update(found.digest)
            left_out += found.left_out
            ids.add(found.ids, found.numbers)
            clusters.add(found.clusters, np.full(len(found.clusters), number))
        _refuse_straddling(len(clusters.again()), data)
        roles = without_target(data.reader.pilot).data
        again = ids.again()
        checked = merged(told, roles, again[again % 2 == 0] // 2)
    digest = rows.hexdigest() if left_out else data.table.digest(data.scale)
    data.table.check_unchanged()
    ends = [0, *accumulate(one.rows for one in told)]
    starts = [part.start for part in parts] if left_out else []
    cautions = _cautions(data, ends[-1], left_out)
    first = dict(zip(starts, ends, strict=False))
    return ReadParts(checked, counted, digest, ends[-1], cautions, again // 2, first)


def _refuse_straddling(count: int, data: PartedData) -> None:
    if count:
        name = str(data.reader.pilot.data.roles.cluster)
        raise ContractError(
            "Clusters lie in more than one part: the variance of what is published "
            f"could not be told ({count:,} more parts than clusters)",
            where=f"column {name} of {data.table.source}",
            expected="each cluster whole in one part",
            hint=f"mlstats convert SOURCE TARGET --by {name}",
        )


def _cautions(data: PartedData, rows: int, left_out: int) -> list[str]:
    pilot, period = data.reader.pilot, data.reader.period
    if rows == 0:
        raise SourceError(
            f"The data hold no row of the period {period}",
            where=f"column {pilot.data.roles.period}",
            hint="look whether the data of the period have come",
        )
    if left_out and has_own_files(pilot):
        return [f"{left_out} rows of the file are not of {period} and were left out"]
    return []

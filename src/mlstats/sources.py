"""The files of a pilot: found, read or sampled, and put together as one table."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats import io, sampling, split
from mlstats.config import Pilot
from mlstats.errors import ConfigError, SourceError, nearest
from mlstats.object_store import is_remote
from mlstats.partitions import PartitionedTable, is_partitioned
from mlstats.period import PeriodRange, ReferencePeriod
from mlstats.pilot_files import find_config
from mlstats.recoding import recoded
from mlstats.settings import Settings

__all__ = [
    "ROW_NUMBER",
    "Source",
    "finder",
    "in_periods",
    "read_source",
    "source_finder",
    "text_columns_of",
]

_log = logging.getLogger(__name__)
_LARGE = 1 << 30  # bytes of a file from which on it is said that it is read whole
ROW_NUMBER = "row_number"  # the unit id of a file that has none


@dataclass(frozen=True)
class Source:
    """What was read; the fields are those of :class:`mlstats.dataset.Dataset`."""

    frame: pd.DataFrame
    digest: str
    notes: list[str]
    cautions: list[str]


def source_finder(settings: Settings) -> Callable[[str], str]:
    """Return the function that finds the data named in a pilot.

    It returns an address that begins with ``s3://`` as it is, and the path of any
    other as :func:`finder` finds it.
    """
    find = finder(settings)
    return lambda source: source if is_remote(source) else str(find(source))


def finder(settings: Settings) -> Callable[[str], Path]:
    """Return the function that finds a file, or a folder of data, named in a pilot.

    It looks in the data folder, in the project and in the configs, in this order.
    """

    def find(relative: str) -> Path:
        places = [settings.data_path(relative), settings.project / relative]
        for place in places:
            if place.exists():
                return place
        config = find_config(relative, settings.project)
        if config is not None:
            return config
        siblings = [p.name for p in places[0].parent.glob("*")]
        raise SourceError(
            f"There is no file {relative!r}",
            where=" or ".join(str(p) for p in dict.fromkeys(places)),
            nearest=nearest(Path(relative).name, siblings),
            hint="set MLSTATS_DATA to the folder that holds the data",
        )

    return find


def read_source(
    pilot: Pilot,
    settings: Settings,
    *,
    sample: int | None = None,
    period: str | None = None,
    text_columns: Sequence[str] = (),
) -> Source:
    """Read the files of a pilot, of all their periods, into one table.

    Where a sample is drawn from partitions, one of them is in memory at a time.

    Parameters
    ----------
    pilot, settings, sample, period
        As in :func:`mlstats.dataset.load`.
    text_columns : sequence of str
        Columns that are read as strings, beside those that the roles make codes.
    """
    find = source_finder(settings)
    named = _sources(pilot, period)
    text = text_columns_of(pilot) | set(text_columns)
    tables = [_opened(pilot, find(path), text) for _, path in named]
    periods = [name for name, _ in named]
    parts = sampling.parts_of(tables, text)
    cautions: list[str] = []
    if sample is not None and sample < sum(part.rows for part in parts):
        frame = _drawn(pilot, periods, parts, sample)
        cautions.append(f"a sample of {len(frame)} rows was drawn (--sample)")
    else:
        read = [(periods[part.table], part.read(None)) for part in parts]
        frame = recoded(_together(pilot, read), pilot.data.recode)
    found = [t.notes for t in tables if isinstance(t, io.Table)]
    notes = list(dict.fromkeys(note for some in found for note in some))
    digests = [t.digest if isinstance(t, io.Table) else t.digest() for t in tables]
    for table in tables:
        if isinstance(table, PartitionedTable):
            table.check_unchanged()
    return Source(frame, _digest(digests), notes, cautions)


def _sources(pilot: Pilot, period: str | None) -> list[tuple[str, str]]:
    source, periods = pilot.data.source, pilot.data.periods
    if "{period}" not in source:
        return [("", source)]
    span = PeriodRange.parse(str(periods))
    if period is not None:
        last = ReferencePeriod.parse(period)
        if last < span.first or span.last < last:
            raise ConfigError(
                f"The period {period} has no data",
                where="data.periods",
                expected=str(span),
            )
        span = PeriodRange(span.first, last)
    return [(str(p), source.replace("{period}", str(p))) for p in span]


def text_columns_of(pilot: Pilot) -> set[str]:
    """Return the columns that are text whatever they look like."""
    text = {*pilot.data.roles.codes(), *(r.of for r in pilot.data.recode.values())}
    text |= {pilot.truth} if pilot.theme == "coding" else set()
    text |= {second} if (second := pilot.evaluate.second_coder) else set()
    text |= {
        str(spec.params["column"])
        for spec in pilot.methods.values()
        if spec.use == "mlstats.Incumbent" and "column" in spec.params
    }
    return text


def _opened(
    pilot: Pilot, address: str, text: Collection[str]
) -> io.Table | PartitionedTable:
    """Open a table of partitions, read any other."""
    if is_partitioned(address):
        return PartitionedTable.open(address)
    size, read = Path(address).stat().st_size, pilot.data.read
    if size > _LARGE and not address.lower().endswith(".parquet"):
        _log.warning(
            "%s has %.1f GB and is read whole: `mlstats convert` parts it",
            Path(address).name,
            size / 1e9,
        )
    return io.read_table(
        address,
        text_columns=text,
        sheet=read.sheet,
        encoding=read.encoding,
        separator=read.separator,
        decimal=read.decimal,
    )


def _together(
    pilot: Pilot,
    tables: Sequence[tuple[str, pd.DataFrame]],
    numbers: Sequence[npt.NDArray[np.intp]] | None = None,
) -> pd.DataFrame:
    """Return rows of each period's table as one; `numbers` are theirs in the whole."""
    column = pilot.data.roles.period
    frames = [
        frame.assign(**{column: period})
        if period and column and column not in frame
        else frame
        for period, frame in tables
    ]
    together = pd.concat(frames, ignore_index=True)
    if column in together and pilot.data.frequency is not None:
        together[column] = in_periods(together[column], pilot.data.frequency)
    if pilot.data.roles.unit_id == ROW_NUMBER and ROW_NUMBER not in together:
        rows = np.arange(len(together)) if numbers is None else np.concatenate(numbers)
        together[ROW_NUMBER] = [str(row + 1) for row in rows]
    return together


_MONTHS = {"M": 1, "Q": 3, "S": 6}


def in_periods(values: pd.Series, frequency: str) -> pd.Series:
    """Return the reference period of each day; what is no day stays as it is."""
    text = values.astype("str")
    parts = text.str.extract(r"^(\d{4})-(\d{2})-\d{2}$")
    day = parts[0].notna()
    if not day.any():
        return values
    if frequency == "A":
        named = parts[0]
    elif frequency == "M":
        named = parts[0] + "-" + parts[1]
    else:
        of_year = (parts[1].astype("Int64") - 1) // _MONTHS[frequency] + 1
        named = parts[0] + f"-{frequency}" + of_year.astype("str")
    return text.where(~day, named).where(values.notna(), None)


def _drawn(
    pilot: Pilot, periods: Sequence[str], parts: Sequence[sampling.Part], size: int
) -> pd.DataFrame:
    """Draw whole clusters until they hold `size` rows; the order of rows stays."""
    cluster, recodes = pilot.data.roles.cluster, pilot.data.recode
    own = {cluster: recodes[cluster]} if cluster in recodes else {}
    wanted = {cluster, *(recode.of for recode in own.values())}

    def labels(part: sampling.Part) -> pd.Series:
        frame = part.read([name for name in part.columns if name in wanted])
        numbers = [part.start + np.arange(part.rows)]
        frame = _together(pilot, [(periods[part.table], frame)], numbers)
        frame = recoded(frame, own)
        column = cluster if cluster in frame else None
        return split.cluster_ids(frame, column, first=part.start)

    named = {ROW_NUMBER, pilot.data.roles.period, *recodes}.union(
        *(part.columns for part in parts)
    )
    seed = pilot.evaluate.seed
    places = sampling.drawn(
        parts, labels if cluster and cluster in named else None, seed=seed, size=size
    )
    tables, numbers = [], []
    typed: set[int] = set()
    for part, place in zip(parts, places, strict=True):
        # Of a table of which nothing was drawn the types of its columns still count.
        if len(place) or part.table not in typed:
            typed.add(part.table)
            tables.append((periods[part.table], part.read(None).iloc[place]))
            numbers.append(part.start + place)
    return recoded(_together(pilot, tables, numbers), recodes)


def _digest(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()

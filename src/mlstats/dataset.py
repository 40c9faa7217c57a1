"""The data of a run: read, checked against the contract, parted into folds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mlstats import contract, io, split
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.config import Pilot
from mlstats.errors import ConfigError, ContractError, SourceError, nearest
from mlstats.period import PeriodRange, ReferencePeriod
from mlstats.pilot_files import find_config
from mlstats.recoding import recoded
from mlstats.settings import Settings

__all__ = [
    "Dataset",
    "ROW_NUMBER",
    "Source",
    "code_columns",
    "finder",
    "in_periods",
    "load",
    "part",
    "read_double_codes",
    "read_source",
]

ROW_NUMBER = "row_number"  # the unit id of a file that has none


@dataclass(frozen=True)
class Dataset:
    """The data of one run.

    Parameters
    ----------
    frame : pandas.DataFrame
        All columns read, a row per unit.
    digest : str
        sha256 over the digests of the files.
    notes : list of str
        What the reader inferred, and the sizes of the parts.
    cautions : list of str
        What a reader of the figures must not miss.
    classification : Classification
        With the codes of the data, where the pilot allows it to grow.
    folds : pandas.Series
        Fold of each row; all ``train`` before :func:`part`.
    rules : (int, int)
        How many rules of the contract no row breaks, and how many there are.
    """

    frame: pd.DataFrame
    digest: str
    notes: list[str]
    classification: Classification
    folds: pd.Series
    cautions: list[str] = field(default_factory=list)
    rules: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Source:
    """What was read; the fields are those of :class:`Dataset`."""

    frame: pd.DataFrame
    digest: str
    notes: list[str]
    cautions: list[str]


def finder(settings: Settings) -> Callable[[str], Path]:
    """Return the function that finds a file named in a pilot.

    It looks in the data folder, in the project and in the configs, in this order.
    """

    def find(relative: str) -> Path:
        places = [settings.data_path(relative), settings.project / relative]
        for place in places:
            if place.is_file():
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


def read_double_codes(pilot: Pilot, settings: Settings) -> pd.DataFrame | None:
    """Read the file of ``evaluate.double_coded``; None where the pilot names none.

    Raises
    ------
    ConfigError
        Where a column is not in the file.
    """
    spec = pilot.evaluate.double_coded
    if spec is None:
        return None
    named = [c for c in (spec.first, spec.second, spec.cluster) if c]
    path = str(finder(settings)(spec.file))
    frame = io.read_table(path, text_columns=named).frame
    for column in named:
        if column not in frame:
            raise ConfigError(
                f"The column {column!r} is not in the file of double codes",
                where="evaluate.double_coded",
                nearest=nearest(column, map(str, frame.columns)),
            )
    return frame


def load(
    pilot: Pilot,
    settings: Settings,
    *,
    sample: int | None = None,
    period: str | None = None,
) -> tuple[Dataset, contract.ContractResult]:
    """Read a pilot's data and check its contract.

    Parameters
    ----------
    pilot : Pilot
        Source, roles and classification.
    settings : Settings
        Where data lie.
    sample : int, optional
        Keep about that many rows, drawn at random by whole clusters.
    period : str, optional
        Test on this period: later periods are not read.

    Returns
    -------
    dataset : Dataset
        Not yet parted.
    result : ContractResult
        All failures of the contract, to be raised or shown by the caller.
    """
    if period is not None and pilot.evaluate.split.by != "period":
        raise ConfigError(
            "A period was asked for and the split is not by period",
            where="evaluate.split.by",
            hint="leave --period out, or split by period",
        )
    find = finder(settings)
    source = read_source(pilot, settings, sample=sample, period=period)
    frame, cautions = source.frame, source.cautions
    spec = pilot.data.classification
    if spec is None:
        raise ConfigError("A coding pilot needs data.classification")
    classification = arm.read_classification(spec, find)
    if spec.separator:
        classification = _extended(classification, frame, pilot, cautions)
    result = contract.check(
        frame, pilot.data, truth=pilot.truth, known_codes=set(classification.codes)
    )
    folds = pd.Series("train", index=frame.index)
    rules = (result.kept, result.held)
    dataset = Dataset(
        frame, source.digest, source.notes, classification, folds, cautions, rules
    )
    return dataset, result


def read_source(
    pilot: Pilot,
    settings: Settings,
    *,
    sample: int | None = None,
    period: str | None = None,
    text_columns: Sequence[str] = (),
) -> Source:
    """Read the files of a pilot, of all their periods, into one table.

    Parameters
    ----------
    pilot, settings, sample, period
        As in :func:`load`.
    text_columns : sequence of str
        Columns that are read as strings, beside those that the roles make codes.
    """
    find = finder(settings)
    tables = [
        (name, _read(pilot, str(find(path)), text_columns))
        for name, path in _sources(pilot, period)
    ]
    frame = recoded(_together(pilot, tables), pilot.data.recode)
    notes = list(dict.fromkeys(note for _, table in tables for note in table.notes))
    cautions: list[str] = []
    if sample is not None and sample < len(frame):
        frame = _sampled(frame, pilot, sample)
        cautions.append(f"a sample of {len(frame)} rows was drawn (--sample)")
    digest = _digest([table.digest for _, table in tables])
    return Source(frame, digest, notes, cautions)


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


def _read(pilot: Pilot, path: str, text_columns: Sequence[str]) -> io.Table:
    read = pilot.data.read
    return io.read_table(
        path,
        text_columns={*code_columns(pilot), *text_columns},
        sheet=read.sheet,
        encoding=read.encoding,
        separator=read.separator,
        decimal=read.decimal,
    )


def code_columns(pilot: Pilot) -> set[str]:
    """Return the columns that are read as strings, whatever they look like."""
    text = {*pilot.data.roles.codes(), *(r.of for r in pilot.data.recode.values())}
    text |= {pilot.truth} if pilot.theme == "coding" else set()
    text |= {second} if (second := pilot.evaluate.second_coder) else set()
    return text | {
        str(spec.params["column"])
        for spec in pilot.methods.values()
        if spec.use == "mlstats.Incumbent" and "column" in spec.params
    }


def _together(pilot: Pilot, tables: Sequence[tuple[str, io.Table]]) -> pd.DataFrame:
    column = pilot.data.roles.period
    frames = []
    for period, table in tables:
        frame = table.frame
        if period and column and column not in frame:
            frame = frame.assign(**{column: period})
        if period and len(frame) == 0:
            raise SourceError(
                f"The period {period} has no rows",
                where=table.source,
                hint="mend the file, or leave the period out of data.periods",
            )
        frames.append(frame)
    together = pd.concat(frames, ignore_index=True)
    if column in together and pilot.data.frequency is not None:
        together[column] = in_periods(together[column], pilot.data.frequency)
    if pilot.data.roles.unit_id == ROW_NUMBER and ROW_NUMBER not in together:
        together[ROW_NUMBER] = [str(row) for row in range(1, len(together) + 1)]
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


def _sampled(frame: pd.DataFrame, pilot: Pilot, size: int) -> pd.DataFrame:
    """Draw whole clusters until they hold `size` rows; the order of rows stays."""
    column = pilot.data.roles.cluster
    clusters = split.cluster_ids(frame, column if column in frame else None)
    rng = np.random.default_rng(pilot.evaluate.seed)
    names = clusters.unique()
    drawn = names[rng.permutation(len(names))]
    sizes = clusters.value_counts().loc[drawn].cumsum()
    kept = sizes.index[: int(np.searchsorted(sizes.to_numpy(), size)) + 1]
    return frame[clusters.isin(kept)].reset_index(drop=True)


def _extended(
    classification: Classification,
    frame: pd.DataFrame,
    pilot: Pilot,
    cautions: list[str],
) -> Classification:
    columns = [c for c in (pilot.truth, pilot.data.roles.target) if c in frame]
    codes = pd.unique(pd.concat([frame[c] for c in columns]).dropna())
    grown = classification.extended(codes)
    added = len(grown.codes) - len(classification.codes)
    if added:
        cautions.append(
            f"{added} codes of the data are not in the classification's file and were "
            "placed below their ancestors"
        )
    return grown


def _digest(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def part(dataset: Dataset, pilot: Pilot, *, period: str | None = None) -> Dataset:
    """Give each unit its fold; units without a truth are not evaluated.

    Returns
    -------
    Dataset
        With folds ``train``, ``valid``, ``test`` and ``left_out``.
    """
    roles = pilot.data.roles
    folds, told = split.assign(dataset.frame, roles, pilot.evaluate, test_period=period)
    blind = dataset.frame[pilot.truth].isna()
    if pilot.truth != roles.target and roles.target is not None:
        # Gold is rare: drawn clusters that have some calibrate, and those that have
        # none go back to training. No cluster does both.
        clusters = split.cluster_ids(dataset.frame, roles.cluster)
        gold = clusters.isin(clusters[~blind].unique())
        folds = folds.mask((folds == "valid") & ~gold, "train")
    unlabelled = dataset.frame[roles.target or pilot.truth].isna()
    folds = folds.mask((folds == "train") & unlabelled, "left_out")
    folds = folds.mask(folds.isin(["valid", "test"]) & blind, "left_out")
    counts = folds.value_counts()
    sizes = ", ".join(
        f"{fold} {counts.get(fold, 0)}" for fold in ("train", "valid", "test")
    )
    cautions = [*dataset.cautions, *told]
    if counts.get("left_out", 0):
        cautions.append(
            f"{counts['left_out']} units take no part: no label, or left out"
        )
    labels = dataset.frame.loc[folds == "train", roles.target or pilot.truth].nunique()
    if labels < 2:
        raise ContractError(
            f"The training part has {labels} codes",
            where=f"column {roles.target or pilot.truth}",
            expected="at least two",
        )
    if not counts.get("test", 0):
        raise SourceError(
            "No unit of the test part has a truth",
            where=f"column {pilot.truth}",
            hint="mend evaluate.split or evaluate.truth",
        )
    notes = [*dataset.notes, f"units: {sizes}"]
    return replace(dataset, folds=folds, notes=notes, cautions=cautions)

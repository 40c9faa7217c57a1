"""The data of a run: read, checked against the contract, parted into folds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd

from mlstats import contract, io, split
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.config import Pilot
from mlstats.errors import ConfigError, ContractError, SourceError, nearest
from mlstats.settings import Settings
from mlstats.sources import ROW_NUMBER, Source, finder, read_source, source_finder

__all__ = [
    "Dataset",
    "ROW_NUMBER",
    "Source",
    "finder",
    "load",
    "part",
    "read_double_codes",
    "read_source",
    "source_finder",
]


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

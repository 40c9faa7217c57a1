"""What ``mlstats check`` tells: contract, reader's guesses, labels needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlstats import dataset, evaluate, imagery_methods, imputing, records
from mlstats.config import Pilot
from mlstats.editimpute.edit_check import verify
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.status import review
from mlstats.errors import ConfigError
from mlstats.pilot_files import load_pilot
from mlstats.quality.accuracy import labels_needed
from mlstats.settings import Settings
from mlstats.truth_origin import truth_cautions

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["check_pilot", "edit_findings", "failure_table", "labels_of_gates"]

DISCORDANCE = 0.10  # assumed before anything was measured


def check_pilot(
    name: str,
    settings: Settings,
    console: Console,
    *,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
) -> None:
    """Check a pilot without running a method.

    Raises
    ------
    ContractError
        Where the data do not keep the contract; the failures are attached.
    """
    pilot = load_pilot(name, project=settings.project, overrides=overrides)
    check_one = _CHECKS[pilot.theme]
    told, warnings = check_one(pilot, name, settings, sample, period)
    console.print(f"{pilot.pilot}: the contract is kept", style="bold")
    for sentence in [*told, *truth_cautions(pilot)]:
        console.print(f"  {sentence}", markup=False)
    if len(warnings):
        console.print("warnings", style="bold")
        console.print(failure_table(warnings))


def _check_texts(
    pilot: Pilot,
    name: str,
    settings: Settings,
    sample: int | None,
    period: str | None,
) -> tuple[list[str], pd.DataFrame]:
    data, result = dataset.load(pilot, settings, sample=sample, period=period)
    result.raise_if_failed(name)
    data = dataset.part(data, pilot, period=period)
    levels = evaluate.ready(pilot, data, settings)
    labels = int((data.folds == "test").sum())
    told = [f"levels: {', '.join(levels)}", *data.notes, *data.cautions]
    return [*told, *labels_of_gates(pilot, labels)], result.warnings


def _check_records(
    pilot: Pilot,
    name: str,
    settings: Settings,
    sample: int | None,
    period: str | None,
) -> tuple[list[str], pd.DataFrame]:
    data, result = records.load(pilot, settings, sample=sample, period=period)
    result.raise_if_failed(name)
    variables = imputing.ready(pilot, data)
    told = [f"variables: {', '.join(variables)}", *data.notes, *data.cautions]
    if data.edits is not None:
        told.append(f"edits: {len(data.edits.edits)}")
        told += edit_findings(data.edits, data.frame)
    return told, result.warnings


def _check_territory(
    pilot: Pilot,
    name: str,
    settings: Settings,
    sample: int | None,
    period: str | None,
) -> tuple[list[str], pd.DataFrame]:
    data, result = imagery_methods.load(pilot, settings, sample=sample, period=period)
    result.raise_if_failed(name)
    variables = imagery_methods.ready(pilot, data)
    told = [f"{pilot.task}: {', '.join(variables)}", *data.notes, *data.cautions]
    return told, result.warnings


_CHECKS = {
    "coding": _check_texts,
    "editimpute": _check_records,
    "imagery": _check_territory,
}


def edit_findings(edits: EditSet, frame: pd.DataFrame) -> list[str]:
    """Tell what is true of the edits, and how many records pass, miss and fail them.

    Raises
    ------
    ConfigError
        Where the edits contradict each other: a minimal conflicting set is named.
    """
    found = verify(edits)
    if found.conflicting:
        raise ConfigError(
            "The edits contradict each other, no record can keep them",
            where="edits " + ", ".join(map(repr, found.conflicting)),
        )
    told = []
    if found.redundant:
        told.append(f"redundant edits: {', '.join(found.redundant)}")
    if found.hidden_equalities:
        told.append(f"always equalities: {', '.join(found.hidden_equalities)}")
    bounds = found.bounds
    free = bounds["least"].eq(-np.inf) | bounds["most"].eq(np.inf)
    if free.any():
        names = ", ".join(bounds.loc[free, "variable"])
        told.append(f"without a bound on one side: {names}")
    counts = review(frame, edits).record_statistics().set_index("status")["records"]
    return [*told, *(f"records that {s}: {n:,}" for s, n in counts.items())]


def labels_of_gates(pilot: Pilot, labels: int) -> list[str]:
    """Tell for each non-inferiority gate how many labels it needs.

    Parameters
    ----------
    pilot : Pilot
        With its gates.
    labels : int
        Units of the test part with a truth.
    """
    sentences = []
    for rule in pilot.gates:
        if rule.versus is None:
            continue
        if rule.margin == 0:
            sentences.append(
                f"gate {rule.measure}: without a margin it passes only where the "
                "candidate is better; no number of labels decides between equals"
            )
            continue
        needed = labels_needed(rule.margin, DISCORDANCE, confidence=rule.confidence)
        enough = "" if labels >= needed else ": it may stay inconclusive"
        sentences.append(
            f"gate {rule.measure}: {needed:,} labels decide between equally accurate "
            f"methods (80 % power, {DISCORDANCE:.0%} discordance assumed); "
            f"the test part has {labels:,}{enough}"
        )
    return sentences


def failure_table(failures: object) -> Table:
    """Return failed rules as a table for the terminal."""
    from rich.table import Table

    table = Table(box=None)
    if isinstance(failures, pd.DataFrame):
        called = {"count": "rows", "first_rows": "first rows"}
        for name in failures.columns:
            table.add_column(called.get(str(name), str(name)))
        for row in failures.itertuples(index=False):
            table.add_row(*(str(value) for value in row))
    return table

"""What ``mlstats check`` tells: contract, reader's guesses, labels needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from mlstats import dataset, evaluate
from mlstats.config import Pilot
from mlstats.pilot_files import load_pilot
from mlstats.quality.accuracy import labels_needed
from mlstats.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["check_pilot", "failure_table", "labels_of_gates"]

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
    data, result = dataset.load(pilot, settings, sample=sample, period=period)
    result.raise_if_failed(name)
    data = dataset.part(data, pilot, period=period)
    levels = evaluate.ready(pilot, data, settings)
    console.print(f"{pilot.pilot}: the contract is kept", style="bold")
    console.print(f"  levels: {', '.join(levels)}", markup=False)
    for note in [*data.notes, *data.cautions]:
        console.print(f"  {note}", markup=False)
    if len(result.warnings):
        console.print("warnings", style="bold")
        console.print(failure_table(result.warnings))
    labels = int((data.folds == "test").sum())
    for sentence in labels_of_gates(pilot, labels):
        console.print(f"  {sentence}", markup=False)


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

    table = Table("column", "rule", "rows", "first rows", box=None)
    if isinstance(failures, pd.DataFrame):
        for row in failures.itertuples(index=False):
            table.add_row(*(str(value) for value in row))
    return table

"""A run's results by variable as Markdown: what the pages of several themes share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mlstats.quality.figures import Cell, write, write_difference
from mlstats.quality.result_page import markdown_table
from mlstats.quality.variable_section import said

__all__ = ["VariablePage"]

_LONGEST: Final = 30


class VariablePage:
    """Figures of a finished run, by variable.

    Parameters
    ----------
    pilot : mapping
        As resolved in the run's ``pilot.yaml``.
    scorecard : pandas.DataFrame
        Of the run.
    folder : pathlib.Path
        Of the run, with its tables.
    """

    def __init__(
        self, pilot: dict[str, Any], scorecard: pd.DataFrame, folder: Path
    ) -> None:
        self.pilot = pilot
        self.folder = folder
        self.baseline = str(pilot["baseline"])
        self.methods = list(pilot["methods"])
        self.variables = list(pilot["data"]["roles"]["variables"])
        self.rows = scorecard[
            (scorecard["domain"] == "") & scorecard["versus"].isin(["", self.baseline])
        ]

    def cell(self, indicator: str, method: str, variable: str = "") -> Cell | None:
        """Return one figure, None where the scorecard has no such row."""
        found = self.rows[
            (self.rows["indicator"] == indicator)
            & (self.rows["method"] == method)
            & (self.rows["level"] == variable)
        ]
        if len(found) == 0:
            return None
        return Cell.from_row({str(k): v for k, v in found.iloc[0].items()})

    def figure(self, indicator: str, method: str, variable: str = "") -> str:
        """Return a figure with its interval as text."""
        found = write(self.cell(indicator, method, variable), level=variable)
        if found.missing:
            return "–"
        return found.text + (f" ({found.interval})" if found.interval else "")

    def difference(self, headline: str, method: str, variable: str) -> str:
        """Return a measure's difference to the baseline with its interval as text."""
        cell = self.cell(headline, method, variable)
        found = write_difference(cell, baseline=self.baseline)
        return found.text + (f" ({found.interval})" if found.interval else "")

    def table(
        self,
        key: str,
        title: str,
        columns: Sequence[str] = (),
        longest: int = _LONGEST,
    ) -> str:
        """Return a table of the run under its title; empty where there is none.

        Parameters
        ----------
        key : str
            File of the run, without its ending.
        title : str
            Heading.
        columns : sequence of str, optional
            Those to show; all that there are where left out.
        longest : int
            Rows to show.
        """
        path = self.folder / f"{key}.parquet"
        table = pd.read_parquet(path) if path.is_file() else pd.DataFrame()
        if table.empty:
            return ""
        table = table[[c for c in columns or table.columns if c in table]]
        shown = table.head(longest)
        lines = [[said(v) for v in row] for row in shown.itertuples(index=False)]
        more = len(table) - len(shown)
        told = f"\n\n{more} further rows stand in the workbook." if more else ""
        return f"## {title}\n\n{markdown_table(list(table.columns), lines)}{told}"

    def methods_text(self) -> str:
        """Return the source of the data and how each method is made."""
        lines = [
            [method, f"`{spec['use']}`", f"`{spec.get('params') or ''}`"]
            for method, spec in self.pilot["methods"].items()
        ]
        head = ["method", "made by", "parameters"]
        source = f"Data: `{self.pilot['data']['source']}`."
        return source + "\n\n" + markdown_table(head, lines)

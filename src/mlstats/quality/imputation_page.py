"""The results of an edit and imputation pilot as a page of the documentation."""

from __future__ import annotations

from typing import Final

import pandas as pd

from mlstats.quality.figures import indicator_name
from mlstats.quality.indicator_names import HEADLINES
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.result_page import markdown_table, with_style
from mlstats.quality.variable_page import VariablePage

__all__ = ["ImputationPage"]

_NUMERIC: Final = ("ks", "mean_bias", "total_bias", "rank_correlation", "spread_ratio")
_CATEGORICAL: Final = ("total_variation", "marginal_homogeneity")
_OVERALL: Final = (
    "edits_failing", "outside_bounds", "rerun_changed", "treat_seconds_per_1000",
)  # fmt: skip
_DETECTION: Final = (
    "errors_accepted", "correct_flagged", "misclassified", "remaining_impact",
)  # fmt: skip
_TABLES: Final = {
    "damage": "What was done to the data, on average over the cases",
    "edits": "Edits: the data as they are, and records that fail after treatment",
    "selection": "Cells selected in the data as they are",
    "treatment": "What was done to them",
    "imputation_variance": "Published figures and what imputation adds to their error",
    "delta": "If the missing values differed by a factor",
    "selective": "Selective editing: share of the error removed by share reviewed",
}


class ImputationPage(VariablePage):
    """Markdown and a picture of a finished run."""

    def headline(self, variable: str) -> str:
        """Return the measure that a variable is judged by first."""
        scored = set(self.rows.loc[self.rows["level"] == variable, "indicator"])
        return next((m for m in HEADLINES if m in scored), "nrmse")

    def markdown(self, gates: pd.DataFrame) -> str:
        """Return the page."""
        name = self.pilot["pilot"]
        said = gates[["to", "rule", "result", "reason"]].astype(str).to_numpy().tolist()
        parts = [
            f"# {self.pilot['title'] or name}",
            "SYNTHETIC DATA: no figure here says anything about a real statistic, and "
            "a method is rewarded for finding the generator again."
            if self.pilot["data"]["synthetic"]
            else "",
            f"`mlstats run {name}`, then `mlstats report {name} --page docs/results`. "
            f"{self._truth()} All methods treat the same records and are judged on the "
            "same cells, with 95 % intervals; differences are paired, to "
            f"`{self.baseline}`.",
            f"![Single values of each variable by method]({name}.svg)",
            *(self._variable(variable) for variable in self.variables),
            self._detection(),
            "## All variables\n\n" + self._overall(),
            "## Gates\n\n" + markdown_table(["to", "rule", "result", "reason"], said)
            if said
            else "",
            *(self.table(key, title) for key, title in _TABLES.items()),
            "## Data and methods\n\n" + self.methods_text(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _truth(self) -> str:
        how = self.pilot["evaluate"]["damage"]
        if how is None:
            return "The truth is what clerks made of the reported values."
        told = f"The data are taken as true and damaged {how['masks']} times:"
        if (missing := how["missing"]) is not None:
            by = f" given `{missing['by']}`" if missing["by"] else ""
            told += f" {missing['share']:.0%} of the values missing"
            told += f" ({missing['mechanism']}{by})"
        if (errors := how["errors"]) is not None:
            told += f" and {errors['share']:.0%} wrong ({', '.join(errors['kinds'])})"
        return f"{told}."

    def _variable(self, variable: str) -> str:
        headline = self.headline(variable)
        more = _NUMERIC if headline == "nrmse" else _CATEGORICAL
        n = self.cell(headline, self.baseline, variable)
        lines = [
            [
                f"**{method}**" if method == self.pilot["candidate"] else method,
                self.pilot["methods"][method]["kind"],
                self.figure(headline, method, variable),
                self.difference(headline, method, variable),
                *(self.figure(measure, method, variable) for measure in more),
            ]
            for method in self.methods
        ]
        head = ["method", "kind", indicator_name(headline), "difference"]
        head += [indicator_name(measure) for measure in more]
        null = "ks_null" if headline == "nrmse" else "total_variation_null"
        chance = self.figure(null, self.baseline, variable)
        told = f"{n.n:,} cells in each case" if n and n.measured else "not measured"
        if chance != "–":
            told += f"; {indicator_name(more[0])} of a perfect draw: {chance}"
        return f"## {variable}\n\n{told}.\n\n" + markdown_table(head, lines)

    def _overall(self) -> str:
        lines = [
            [indicator_name(i), *(self.figure(i, method) for method in self.methods)]
            for i in _OVERALL
        ]
        return markdown_table(["", *self.methods], lines)

    def _detection(self) -> str:
        lines = [
            [
                variable or "all",
                indicator_name(i),
                *(self.figure(i, m, variable) for m in self.methods),
            ]
            for variable in ["", *self.variables]
            for i in _DETECTION
            if self.cell(i, self.baseline, variable) is not None
        ]
        if not lines:
            return ""
        return "## Errors found\n\n" + markdown_table(
            ["variable", "figure", *self.methods], lines
        )

    def picture(self) -> str:
        """Return the single values of each variable as an SVG that stands alone."""
        rows = []
        measures = {self.headline(variable) for variable in self.variables}
        scale = 100 if measures == {"accuracy"} else 1
        for variable in self.variables:
            for method in self.methods:
                cell = self.cell(self.headline(variable), method, variable)
                if cell is None or not cell.measured:
                    continue
                text = self.figure(cell.indicator, method, variable)
                parts = (scale * cell.value, scale * cell.lower, scale * cell.upper)
                kind = self.pilot["methods"][method]["kind"]
                text = text.replace("\u202f", " ")
                rows.append(PlotRow(method, *parts, text, kind, variable))
        names = " or ".join(sorted(indicator_name(m) for m in measures))
        drawn = interval_plot(
            rows,
            key="single-values",
            title="Single values of each variable by method",
            description="A dot per method with its 95 % interval.",
            axis=f"{names}, %" if scale == 100 else names,
            remark="synthetic data" if self.pilot["data"]["synthetic"] else "",
        )
        return with_style(drawn)

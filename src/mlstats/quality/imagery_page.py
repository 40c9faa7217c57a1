"""The results of an imagery pilot as a page of the documentation."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from mlstats.quality.figures import indicator_name, number
from mlstats.quality.imagery_section import (
    MEASURES,
    area_rows,
    counted,
    headline,
    scheme_rows,
)
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.result_page import markdown_table, with_style
from mlstats.quality.variable_page import VariablePage

__all__ = ["ImageryPage"]

_TABLES: Final = {
    "zones": ("Totals of zones", ()),
    "worth": ("What the map is worth, in surveyed segments", ()),
    "map_accuracy": ("Accuracy of the map by reference pixels", ()),
    "class_areas": ("Pixel counts: a comparison, no figures", ()),
    "applicability": ("Share of each class unlike the training", ()),
    "clear": ("Clear pixels", ()),
    "date_drift": (
        "Drift between the dates",
        (
            "measure", "of", "before", "after", "effect", "effect_lower",
            "effect_upper", "p_adjusted", "state", "note",
        ),
    ),
}  # fmt: skip
_AREAS: Final = (
    "method", "variable", "domain", "estimate", "standard_error", "lower", "upper",
    "relative_efficiency", "n", "publishable", "note",
)  # fmt: skip
_TASKS: Final = {
    "segments": "Every arm has the same surveyed segments; a segment is predicted from "
    "the others.",
    "scene": "Every arm has the same labelled pixels, left out at random, by blocks of "
    "land and by seasons.",
    "zones": "Every arm spreads the same totals of large zones over small ones, whose "
    "census it does not see.",
}


class ImageryPage(VariablePage):
    """Markdown and a picture of a finished run."""

    @property
    def task(self) -> str:
        """Of the pilot: segments, scene or zones."""
        return next(task for task in _TASKS if self.pilot["data"].get(task))

    @property
    def levels(self) -> list[str]:
        """Variables or classes that were scored, the classes' common level first."""
        scored = self.rows[self.rows["indicator"].isin(list(MEASURES))]
        found = [str(level) for level in dict.fromkeys(scored["level"]) if level]
        return sorted(found, key=lambda level: level != "class")

    def markdown(self, gates: pd.DataFrame) -> str:
        """Return the page."""
        name = self.pilot["pilot"]
        said = gates[["to", "rule", "result", "reason"]].astype(str).to_numpy().tolist()
        found = self.folder.glob("map-*.svg") if self.task == "scene" else []
        maps = sorted(path.name for path in found)
        parts = [
            f"# {self.pilot['title'] or name}",
            "SYNTHETIC DATA: no figure here says anything about a real statistic, and "
            "a method is rewarded for finding the generator again."
            if self.pilot["data"]["synthetic"]
            else "",
            f"`mlstats run {name}`, then `mlstats report {name} --page docs/results`. "
            f"{_TASKS[self.task]} Intervals are of 95 %; differences are paired, to "
            f"`{self.baseline}`.",
            f"![The arms side by side]({name}.svg)",
            *(f"![{shown[:-4]}]({name}-{shown})" for shown in maps),
            *(self._level(level) for level in self.levels),
            self._whole(),
            self.table("areas", "Published areas", _AREAS, 60),
            "## Gates\n\n" + markdown_table(["to", "rule", "result", "reason"], said)
            if said
            else "",
            *(self.table(key, *shown) for key, shown in _TABLES.items()),
            "## Data and methods\n\n" + self.methods_text(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _level(self, level: str) -> str:
        scored = set(self.rows.loc[self.rows["level"] == level, "indicator"])
        first = headline(scored)
        kept = [m for m in MEASURES if m in scored]
        lines = [
            [
                f"**{method}**" if method == self.pilot["candidate"] else method,
                self.pilot["methods"][method]["kind"],
                self.difference(first, method, level),
                *(self.figure(measure, method, level) for measure in kept),
            ]
            for method in self.methods
        ]
        head = ["method", "kind", f"difference, {indicator_name(first)}"]
        head += [f"{indicator_name(m)} [{MEASURES[m]}]" for m in kept]
        n = self.cell(first, self.baseline, level)
        told = f"{n.n:,} {counted(first)}" if n and n.measured and n.n else ""
        told += f" in {n.n_clusters:,} clusters" if n and n.n_clusters else ""
        return f"## {level}\n\n" + (f"{told}.\n\n" if told else "") + markdown_table(
            head, lines
        )  # fmt: skip

    def _whole(self) -> str:
        """Return the figures that belong to no variable."""
        names = ("unclassified_share", "outside_applicability", "rerun_changed")
        lines = [
            [indicator_name(i), *(self.figure(i, method) for method in self.methods)]
            for i in names
            if any(self.cell(i, method) is not None for method in self.methods)
        ]
        if not lines:
            return ""
        return "## The whole\n\n" + markdown_table(["", *self.methods], lines)

    def picture(self) -> str:
        """Return published areas, accuracies or errors as an SVG that stands alone."""
        path = self.folder / "areas.parquet"
        areas = pd.read_parquet(path) if path.is_file() else pd.DataFrame()
        kinds = {m: str(spec["kind"]) for m, spec in self.pilot["methods"].items()}
        scale = 1
        if len(areas):
            rows, axis = area_rows(areas, kinds), "total"
        elif self.task == "scene":
            cells = {
                (m, i): self.cell(i, m, "class") for m in self.methods for i in MEASURES
            }
            rows, axis, scale = scheme_rows(cells, kinds), "accuracy, %", 100
        else:
            rows, axis = self._errors(kinds)
        limits = (0.0, 100.0) if scale == 100 else (-float("inf"), float("inf"))
        drawn = interval_plot(
            rows,
            key="arms",
            title="The arms side by side",
            description="A dot per method with its 95 % interval.",
            axis=axis,
            limits=limits,
            remark="synthetic data" if self.pilot["data"]["synthetic"] else "",
        )
        return with_style(drawn)

    def _errors(self, kinds: dict[str, Any]) -> tuple[list[PlotRow], str]:
        rows = []
        for level in self.levels:
            scored = set(self.rows.loc[self.rows["level"] == level, "indicator"])
            first = headline(scored)
            for method in self.methods:
                cell = self.cell(first, method, level)
                if cell is None or not cell.measured:
                    continue
                text = self.figure(first, method, level).replace("\u202f", " ")
                value, low, high = (
                    100 * number(v) for v in (cell.value, cell.lower, cell.upper)
                )
                kind = kinds[method]
                rows.append(PlotRow(method, value, low, high, text, kind, level))
        return rows, "error, %"

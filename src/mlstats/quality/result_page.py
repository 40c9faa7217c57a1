"""A run's results as a page of the documentation: Markdown and one picture."""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats import io
from mlstats.quality.figures import Cell, level_name, write, write_difference
from mlstats.quality.plots import PlotRow, interval_plot

__all__ = ["markdown_table", "with_style", "write_result_page"]

_COLUMNS = (
    ("accuracy", "accuracy"),
    ("macro_f1", "macro-F1"),
    ("accuracy_unseen", "unseen texts"),
    ("automation_guaranteed", "automatic, guaranteed"),
    ("automation_oracle", "automatic, oracle"),
    ("ece_debiased", "calibration error"),
)
_BELOW = (
    ("accuracy_hybrid", "right if the baseline codes what is not automatic"),
    ("share_mse", "MSE of the published shares, points squared"),
    ("bias_ratio", "largest bias of a share, in sampling errors"),
    ("candidates_hold_truth", "truth among five candidates"),
    ("conformal_coverage", "coverage of the clerk's list"),
    ("false_reject_rate", "codable, told to be uncodable"),
    ("double_coding_agreement", "agreement of two coders"),
    ("double_coding_kappa", "kappa of two coders"),
    ("index_difference", "published index less the true one"),
    ("drift_alarms", "drift alarms"),
)


def write_result_page(folder: Path, target: Path) -> list[Path]:
    """Write the page of a finished run.

    Parameters
    ----------
    folder : pathlib.Path
        Of the run, with scorecard.parquet, gates.parquet and pilot.yaml.
    target : pathlib.Path
        Folder of the documentation; ``PILOT.md`` and ``PILOT.svg`` come to lie there.

    Returns
    -------
    list of pathlib.Path
        What was written.
    """
    import yaml

    pilot = yaml.safe_load((folder / "pilot.yaml").read_text(encoding="utf-8"))
    scorecard = pd.read_parquet(folder / "scorecard.parquet")
    page: Any = _Page(pilot, scorecard)
    if pilot.get("theme") == "editimpute":
        from mlstats.quality.imputation_page import ImputationPage

        page = ImputationPage(pilot, scorecard, folder)
    if pilot.get("theme") == "imagery":
        from mlstats.quality.imagery_page import ImageryPage

        page = ImageryPage(pilot, scorecard, folder)
    gates = pd.read_parquet(folder / "gates.parquet")
    name = pilot["pilot"]
    target.mkdir(parents=True, exist_ok=True)
    paths = [target / f"{name}.md", target / f"{name}.svg"]
    io.write_text(paths[0], page.markdown(gates))
    io.write_text(paths[1], page.picture())
    # Outlines of zones are data of others; a scene's map is our own picture.
    maps = folder.glob("map-*.svg") if pilot["data"].get("scene") else []
    for shown in sorted(maps):
        paths.append(target / f"{name}-{shown.name}")
        io.write_text(paths[-1], shown.read_text(encoding="utf-8"))
    return paths


class _Page:
    def __init__(self, pilot: dict[str, Any], scorecard: pd.DataFrame) -> None:
        self.pilot = pilot
        self.level = str(pilot["evaluate"]["level"])
        self.baseline = str(pilot["baseline"])
        whole = scorecard[scorecard["domain"] == ""]
        self.rows = whole[whole["versus"].isin(["", self.baseline])]
        scored = self.rows[self.rows["indicator"] == "accuracy"]
        self.levels = list(dict.fromkeys(scored["level"]))
        self.methods = list(pilot["methods"])

    def cell(
        self, indicator: str, method: str, level: str | None = None
    ) -> Cell | None:
        found = self.rows[
            (self.rows["indicator"] == indicator) & (self.rows["method"] == method)
        ]
        for wanted in [level] if level else [self.level, "", *found["level"]]:
            at = found[found["level"] == wanted]
            if len(at):
                return Cell.from_row({str(k): v for k, v in at.iloc[0].items()})
        return None

    def figure(self, indicator: str, method: str) -> str:
        found = write(self.cell(indicator, method), level=self.level)
        if found.missing:
            return "–"
        return found.text + (f" ({found.interval})" if found.interval else "")

    def difference(self, method: str) -> str:
        found = write_difference(self.cell("accuracy", method), baseline=self.baseline)
        return found.text + (f" ({found.interval})" if found.interval else "")

    def markdown(self, gates: pd.DataFrame) -> str:
        title = self.pilot["title"] or self.pilot["pilot"]
        name = self.pilot["pilot"]
        n = self.cell("accuracy", self.baseline)
        head = ["method", "kind", *(told for _, told in _COLUMNS[:1]), "difference"]
        head += [told for _, told in _COLUMNS[1:]]
        lines = [
            [
                f"**{method}**" if method == self.pilot["candidate"] else method,
                self.pilot["methods"][method]["kind"],
                self.figure("accuracy", method),
                self.difference(method),
                *(self.figure(indicator, method) for indicator, _ in _COLUMNS[1:]),
            ]
            for method in self.methods
        ]
        arms = [self.baseline, self.pilot["candidate"]]
        below = [
            [told, *(self.figure(indicator, arm) for arm in arms)]
            for indicator, told in _BELOW
            if any(self.cell(indicator, arm) is not None for arm in arms)
        ]
        said = gates[["to", "rule", "result", "reason"]].astype(str).to_numpy().tolist()
        units = f"{n.n:,} test units" if n else "the test units"
        parts = [
            f"# {title}",
            "SYNTHETIC DATA: no figure here says anything about a real statistic."
            if self.pilot["data"]["synthetic"]
            else "",
            f"`mlstats run {name}`, then `mlstats report {name} --page docs/results`. "
            f"Figures at the {level_name(self.level)} on {units}, all methods on the "
            f"same ones, with 95 % intervals; differences are paired, to "
            f"`{self.baseline}`, in points.",
            f"![Accuracy of each method by level]({name}.svg)",
            markdown_table(head, lines),
            markdown_table(["", *arms], below),
            "## By level\n\n" + self._levels(),
            "## Gates\n\n" + markdown_table(["to", "rule", "result", "reason"], said)
            if said
            else "",
            "## Data and methods\n\n" + self._methods(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _levels(self) -> str:
        lines = [
            [method, *(self._at(method, level) for level in self.levels)]
            for method in self.methods
        ]
        return markdown_table(["method", *map(level_name, self.levels)], lines)

    def _at(self, method: str, level: str) -> str:
        found = write(self.cell("accuracy", method, level), level=level)
        return "–" if found.missing else f"{found.text} ({found.interval})"

    def _methods(self) -> str:
        lines = [
            [method, f"`{spec['use']}`", _params(spec.get("params") or {})]
            for method, spec in self.pilot["methods"].items()
        ]
        split = self.pilot["evaluate"]["split"]
        told = f"Data: `{self.pilot['data']['source']}`, split by {split['by']}."
        return (
            told + "\n\n" + markdown_table(["method", "made by", "parameters"], lines)
        )

    def picture(self) -> str:
        """Return the accuracies as an SVG file that stands alone."""
        rows = []
        for level in self.levels:
            for method in self.methods:
                cell = self.cell("accuracy", method, level)
                if cell is None:
                    continue
                value, low, high = 100 * cell.value, 100 * cell.lower, 100 * cell.upper
                text = self._at(method, level).replace("\u202f", " ")
                kind = self.pilot["methods"][method]["kind"]
                at = level_name(level)
                rows.append(PlotRow(method, value, low, high, text, kind, at))
        drawn = interval_plot(
            rows,
            key="accuracy",
            title="Accuracy of each method by level",
            description="A dot per method with its 95 % interval.",
            axis="accuracy, %",
            limits=(0, 100),
            remark="synthetic data" if self.pilot["data"]["synthetic"] else "",
        )
        return with_style(drawn)


def with_style(drawn: str) -> str:
    """Return a plot of the report as a file of its own, with its style."""
    opened = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    if "xmlns=" in drawn.split(">", 1)[0]:
        opened = drawn
    return opened.replace(">", f"><style>{_style()}</style>", 1) + "\n"


def _style() -> str:
    """Return what the report's sheet says of plots, with its colours filled in."""
    sheet = resources.files("mlstats.quality") / "templates" / "report.css"
    text = sheet.read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+):\s*([^;]+);", text))
    rules = [line for line in text.splitlines() if line.startswith((".plot", "svg."))]
    filled = re.sub(
        r"var\(--([\w-]+)\)", lambda name: colours[name[1]], " ".join(rules)
    )
    return f"text {{ font-family: sans-serif }} {filled}"


def markdown_table(head: list[str], lines: list[list[str]]) -> str:
    """Return a table as Markdown; a bar in a cell is escaped."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        for row in rows
    )


def _params(params: dict[str, Any]) -> str:
    told = ", ".join(
        f"{key}={value:g}" if isinstance(value, float) and math.isfinite(value)
        else f"{key}={value}"
        for key, value in params.items()
    )  # fmt: skip
    return f"`{told}`" if told else ""

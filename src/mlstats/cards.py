"""The model card of a pilot: what its last run showed, in words for a colleague.

A card holds nothing that changes when nothing changed: no times, no versions. Under
version control it shows by its difference what a run brought.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlstats.config import Pilot
from mlstats.quality.report import RunReport

__all__ = ["render_card"]

_FIGURES = (
    ("accuracy", "accuracy"),
    ("accuracy_unseen", "on unseen texts"),
    ("macro_f1", "macro-F1"),
    ("automation_guaranteed", "automatic, guaranteed"),
    ("automation_oracle", "automatic, oracle"),
)


def render_card(pilot: Pilot, shown: RunReport) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    pilot : Pilot
        As it was run.
    shown : RunReport
        Of its last run.
    """
    parts = [
        f"# {shown.title}",
        "**SYNTHETIC DATA.** No figure here says anything about a real statistic."
        if shown.synthetic
        else "",
        shown.verdict,
        "## What it is for\n\n" + _purpose(pilot),
        "## Methods\n\n" + _table(shown.methods[["method", "kind", "use", "outcome"]]),
        f"## Figures, level {pilot.evaluate.level}\n\n" + _figures(pilot, shown),
        "## Gates\n\n" + _gates(shown.gates),
        "## Data\n\n" + _facts(pilot, shown),
        "## Limits\n\n" + _limits(pilot),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _purpose(pilot: Pilot) -> str:
    roles = ", ".join(f"{k}: {v}" for k, v in pilot.owner.roles.items())
    return (
        f"GSBPM {pilot.gsbpm}. Texts are coded by `{pilot.candidate}` where it is "
        f"sure enough; `{pilot.baseline}` is the baseline that every figure is "
        "compared with and that produces where the model may not. "
        f"Author: {pilot.owner.author}" + (f"; {roles}." if roles else ".")
    )


def _figures(pilot: Pilot, shown: RunReport) -> str:
    rows = []
    for method in shown.methods["method"]:
        row = {"method": method}
        for indicator, title in _FIGURES:
            cell = shown.cell(indicator, method, level=pilot.evaluate.level)
            row[title] = (
                "–"
                if cell is None
                else _with_interval(cell.value, cell.lower, cell.upper)
            )
            if indicator == "accuracy" and cell is not None:
                row["difference, points"] = _with_interval(
                    cell.difference, cell.difference_lower, cell.difference_upper, True
                )
        rows.append(row)
    return _table(pd.DataFrame(rows).fillna("–"))


def _with_interval(
    value: float, lower: float, upper: float, points: bool = False
) -> str:
    if value != value:
        return "–"
    sign = "+" if points else ""
    scale, digits = (100, 1) if points else (1, 3)
    said = f"{value * scale:{sign}.{digits}f}"
    if lower == lower:
        said += (
            f" ({lower * scale:{sign}.{digits}f} to {upper * scale:{sign}.{digits}f})"
        )
    return said


def _gates(gates: pd.DataFrame) -> str:
    if len(gates) == 0:
        return "None: nothing was tested, so nothing has passed."
    return _table(gates[["to", "rule", "result", "reason"]])


def _facts(pilot: Pilot, shown: RunReport) -> str:
    facts = [f"- {name}: {value}" for name, value in shown.data_facts]
    facts.append(f"- sha256 of the data: `{shown.provenance['data digest']}`")
    facts.append(f"- seed: {pilot.evaluate.seed}")
    return "\n".join(facts + [f"- {note}" for note in shown.notes])


def _limits(pilot: Pilot) -> str:
    truth = (
        f"The truth is the column `{pilot.truth}`."
        if pilot.evaluate.truth
        else f"The truth is the column `{pilot.truth}`, the code that production gave: "
        "the figures tell how well a method repeats it, its errors included."
    )
    return (
        f"{truth} The intervals cover sampling of clusters, not a change of the texts "
        "over time. Explainability, reproducibility and cost were not measured by this "
        "run; what was not measured has not passed."
    )


def _table(frame: pd.DataFrame) -> str:
    head: Sequence[str] = [str(column) for column in frame.columns]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += [
        "| " + " | ".join(str(v).replace("|", "\\|") for v in row) + " |"
        for row in frame.itertuples(index=False)
    ]
    return "\n".join(lines)

"""The card of a method: what it is, what it learnt from, and what it cannot do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from mlstats.quality.figures import KINDS, as_text, number, write
from mlstats.quality.report import RunReport

__all__ = ["MethodCard", "method_cards"]

_ABSENT: Final = "not recorded"
_LATER: Final = "given after this report was written: tracking.json beside it"


@dataclass(frozen=True)
class MethodCard:
    """One method as the report describes it; `facts` are (name, value, is code)."""

    name: str
    kind: str
    kind_name: str
    role: str
    facts: tuple[tuple[str, str, bool], ...]
    limits: tuple[str, ...]


def method_cards(report: RunReport) -> list[MethodCard]:
    """Return a card for each method that the report lists."""
    return [
        _card(report, {str(name): value for name, value in row.items()})
        for row in report.methods.drop_duplicates("method").to_dict("records")
    ]


def _card(report: RunReport, row: dict[str, Any]) -> MethodCard:
    name, kind = as_text(row["method"]), as_text(row["kind"])
    roles = {report.baseline: "baseline", report.candidate: "candidate"}
    learns = number(row.get("training_rows"))
    version, digest = as_text(row.get("version")), as_text(row.get("digest"))
    facts = (
        ("class", as_text(row["use"]) or _ABSENT, True),
        ("parameters", as_text(row["params"]) or "none: its defaults", True),
        ("inputs", as_text(row.get("inputs")) or _ABSENT, True),
        (
            "training rows",
            f"{learns:,.0f}" if math.isfinite(learns) else _ABSENT,
            False,
        ),
        ("calibration", as_text(row.get("calibration")) or _ABSENT, False),
        ("outcome", as_text(row["outcome"]) or _ABSENT, False),
        ("registered version", version or (_LATER if digest else "none"), False),
        ("digest of the model", digest or "no stored model", True),
    )
    return MethodCard(
        name,
        kind,
        KINDS.get(kind, kind),
        as_text(row.get("role")) or roles.get(name, "compared"),
        facts,
        (*_limits(report, name), *_own(row)),
    )


def _own(row: dict[str, Any]) -> list[str]:
    told = as_text(row.get("limits"))
    return [told] if told else []


def _limits(report: RunReport, name: str) -> list[str]:
    """Return what the figures say the method cannot do."""
    found = []
    coverage = report.cell("coverage", name)
    if coverage is not None and coverage.measured and coverage.value < 0.9995:
        found.append(f"Gives a code to {write(coverage).text} of the units only.")
    unseen = report.cell("accuracy_unseen", name)
    if unseen is not None and unseen.measured:
        figure = write(unseen, level=report.level)
        between = f" ({figure.interval})" if figure.interval else ""
        found.append(f"Right on {figure.text}{between} of the texts it had not met.")
    automatic = report.cell("automation_guaranteed", name)
    if automatic is not None and automatic.status == "not_applicable":
        found.append(
            "Tells no confidence: it cannot part sure codes from doubtful ones."
        )
    elif automatic is not None and automatic.measured and automatic.value == 0:
        found.append(
            "No part of its codes could be shown to reach the target accuracy."
        )
    if not any(
        cell.method == name and cell.dimension == "robustness" and cell.measured
        for cell in report.cells.values()
    ):
        found.append("Not tried on bad or changed input.")
    return found

"""What gates and dimensions say: the results of a report, never greener than proven."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mlstats.quality.figures import (
    DIMENSIONS,
    RESULTS,
    Figure,
    as_text,
    dimension_of,
    indicator_name,
    write,
    write_gate,
)
from mlstats.quality.report import RunReport

__all__ = ["Gate", "Light", "gates", "lights", "transitions"]

# What the gates of a transition say together: one failure is enough to fail.
_WORST_FIRST: Final = ("fail", "inconclusive", "not_measured", "waived", "pass")
# A light is read at a glance: what is not named here stands in the tables below it.
_AT_A_GLANCE: Final = {
    "accuracy": (
        "accuracy", "accuracy_unseen", "automation_guaranteed", "accuracy_hybrid",
        "ece_debiased", "candidates_hold_truth", "share_mse", "bias_ratio", "nrmse",
        "ks", "total_variation", "total_bias", "edits_failing", "errors_accepted",
    ),
    "cost": (
        "cost_per_correct", "cost_total", "clerical_minutes_saved",
        "break_even_periods", "energy_kwh",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """One rule, its figure and its result; `waiver` says under which one it goes by.

    ``result`` is one of the words that a sign is drawn for, ``word`` how it is read.
    """

    to: str
    method: str
    measure: str
    rule: str
    figure: Figure
    threshold: str
    result: str
    word: str
    reason: str
    waiver: str = ""


@dataclass(frozen=True)
class Light:
    """One dimension of quality and what was found for the candidate."""

    name: str
    question: str
    state: str
    word: str
    figures: tuple[tuple[str, Figure], ...]
    gates: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]


def gates(report: RunReport) -> list[Gate]:
    """Return the rules in the order of their table."""
    found = []
    for row in report.gates.to_dict("records"):
        words = {str(name): value for name, value in row.items()}
        figure, threshold = write_gate(words)
        result = as_text(words["result"])
        found.append(
            Gate(
                to=as_text(words["to"]),
                method=as_text(words["method"]),
                measure=as_text(words["measure"]),
                rule=as_text(words["rule"]) or as_text(words["gate"]),
                figure=figure,
                threshold=threshold,
                result=_sign(result),
                word=RESULTS.get(result, result or "not measured"),
                reason=as_text(words["reason"]),
                waiver=as_text(words.get("waiver")),
            )
        )
    return found


def _sign(result: str) -> str:
    """Return the word that a result is drawn and counted as."""
    if result not in RESULTS:
        return "not_measured"
    return "waived" if result.startswith("waived") else result


def transitions(report: RunReport) -> list[tuple[str, str, str, str]]:
    """Return (to, result, word, counts) for each transition that has gates."""
    found = gates(report)
    summary = []
    for to in dict.fromkeys(gate.to for gate in found):
        counts = Counter(gate.result for gate in found if gate.to == to)
        result = _worst(counts)
        spelt = ", ".join(
            f"{counts[name]} {RESULTS[name]}" for name in _WORST_FIRST if counts[name]
        )
        summary.append((to, result, RESULTS[result], spelt))
    return summary


def lights(report: RunReport) -> dict[str, Light]:
    """Return a light for each dimension of QF4SA and its extensions.

    The light takes the worst result of the gates that bear on the dimension. Without
    a gate it says that it was measured, in part or not; it is never green then.
    """
    all_gates = gates(report)
    measures: dict[str, dict[str, None]] = {name: {} for name in DIMENSIONS}
    for cell in report.cells.values():
        if cell.dimension in measures and not cell.domain:
            measures[cell.dimension].setdefault(cell.indicator)
    return {
        name: _light(
            report,
            name,
            list(indicators),
            tuple(g for g in all_gates if _bears_on(g, name, indicators)),
        )
        for name, indicators in measures.items()
    }


def _light(
    report: RunReport, name: str, indicators: Sequence[str], rules: tuple[Gate, ...]
) -> Light:
    glance = _AT_A_GLANCE.get(name)
    seen = [i for i in indicators if glance is None or i in glance]
    cells = {i: report.cell(i, report.focus) for i in seen}
    shown = [c for c in cells.values() if c is not None]
    results = Counter(gate.result for gate in rules)
    if rules:
        state = _worst(results)
        if state == "not_measured" and results["pass"]:
            state = "partial"
    elif any(cell.measured for cell in shown):
        missing = any(c.status == "not_measured" for c in shown)
        state = "partial" if missing else "measured"
    elif shown and all(cell.status == "not_applicable" for cell in shown):
        state = "not_applicable"
    else:
        state = "not_measured"
    title, question = DIMENSIONS[name]
    return Light(
        title,
        question,
        state,
        RESULTS[state],
        figures=tuple(
            (indicator_name(cell.indicator), write(cell, level=report.level))
            for cell in shown
            if cell.measured
        ),
        gates=tuple(
            (to, ", ".join(gate.word for gate in rules if gate.to == to))
            for to in dict.fromkeys(gate.to for gate in rules)
        ),
        absent=tuple(
            indicator_name(i)
            for i, cell in cells.items()
            if cell is None or not (cell.measured or cell.status == "not_applicable")
        ),
    )


def _bears_on(gate: Gate, dimension: str, indicators: Iterable[str]) -> bool:
    indicator = gate.measure.partition("@")[0]
    return indicator in indicators or dimension_of(gate.measure) == dimension


def _worst(counts: Counter[str]) -> str:
    return next((name for name in _WORST_FIRST if counts[name]), "not_measured")

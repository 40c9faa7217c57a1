"""The model card of a pilot: what its last run showed, in words for a colleague.

A card holds nothing that changes when nothing changed: no times, no versions. Under
version control it shows by its difference what a run brought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from mlstats.config import Pilot
from mlstats.quality.evaluation import Evaluation
from mlstats.quality.indicator_names import HEADLINES
from mlstats.quality.method_card import method_cards
from mlstats.quality.report import RunReport

__all__ = ["MethodDone", "method_table", "render_card", "render_version_card"]

_FIGURES = (
    ("accuracy", "accuracy"),
    ("accuracy_unseen", "on unseen texts"),
    ("macro_f1", "macro-F1"),
    ("automation_guaranteed", "automatic, guaranteed"),
    ("automation_oracle", "automatic, oracle"),
)
# A number has some of them, a category the others.
_IMPUTED = (
    ("nrmse", "nRMSE"),
    ("ks", "largest gap of distributions"),
    ("total_bias", "bias of the total"),
    ("accuracy", "accuracy"),
    ("total_variation", "total variation"),
    ("imputation_variance", "share of variance"),
)


# What a segment, a labelled pixel or a zone has.
_PICTURED = (
    ("accuracy", "accuracy, blocks left out"),
    ("accuracy_random", "accuracy, random folds"),
    ("macro_f1", "macro-F1"),
    ("nrmse", "nRMSE of single units"),
    ("nmae", "total absolute error"),
    ("relative_efficiency", "efficiency against direct"),
    ("repeated_coverage", "coverage, repeated surveys"),
)
_FIGURES_OF = {"coding": _FIGURES, "editimpute": _IMPUTED, "imagery": _PICTURED}
_WORK = {
    "coding": "Texts are coded by `{candidate}` where it is sure enough",
    "editimpute": "Records are reviewed and treated by `{candidate}`",
    "imagery": "Areas and zones are estimated with `{candidate}`",
}


_TERRITORY = {
    "segments": "The truth is the survey of the segments. The intervals cover the draw "
    "of segments, not errors of the enumerators, nor another year or frame.",
    "scene": "The truth is the label of each unit. Accuracy holds for places like "
    "those that were left out; outside the area of applicability nothing was "
    "measured. Areas hold for the date and the frame of the survey.",
    "zones": "The truth is the census of the small zones, its errors included. The "
    "intervals cover other zones of the same country, not another census.",
}


class MethodDone(Protocol):
    """What every theme tells of a method that has run."""

    @property
    def name(self) -> str:
        """Of the method in the pilot."""

    @property
    def method(self) -> Any:
        """The method as it is after the run."""

    @property
    def timings(self) -> list[dict[str, Any]]:
        """Rows of the timings table without run_id."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """Column that it reads -> ``string`` or ``double``."""


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
        f"## Figures, level {pilot.level}\n\n"
        + _figures(pilot, shown, list(shown.methods["method"])),
        "## Gates\n\n" + _gates(shown.gates),
        "## Data\n\n" + _facts(pilot, shown),
        "## Limits\n\n" + _limits(pilot),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _purpose(pilot: Pilot) -> str:
    roles = ", ".join(
        f"{role}: {' or '.join(pilot.owner.holders(role))}"
        for role in pilot.owner.roles
    )
    work = _WORK[pilot.theme].format(candidate=pilot.candidate)
    return (
        f"GSBPM {pilot.gsbpm}. {work}; `{pilot.baseline}` is the baseline that every "
        "figure is compared with and that produces where the model may not. "
        f"Author: {pilot.owner.author}" + (f"; {roles}." if roles else ".")
    )


def _figures(pilot: Pilot, shown: RunReport, methods: Sequence[str]) -> str:
    rows = []
    for method in methods:
        row = {"method": method}
        for indicator, title in _FIGURES_OF[pilot.theme]:
            cell = shown.cell(indicator, method, level=pilot.level)
            row[title] = (
                "–"
                if cell is None
                else _with_interval(cell.value, cell.lower, cell.upper)
            )
            if indicator in HEADLINES and cell is not None:
                in_points = indicator == "accuracy"
                row["difference, points" if in_points else "difference"] = (
                    _with_interval(
                        cell.difference,
                        cell.difference_lower,
                        cell.difference_upper,
                        in_points,
                    )
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
    waived = ["waiver"] if "waiver" in gates and gates["waiver"].any() else []
    return _table(gates[["to", "rule", "result", "reason", *waived]])


def _facts(pilot: Pilot, shown: RunReport) -> str:
    facts = [f"- {name}: {value}" for name, value in shown.data_facts]
    facts.append(f"- sha256 of the data: `{shown.provenance['data digest']}`")
    facts.append(f"- seed: {pilot.evaluate.seed}")
    return "\n".join(facts + [f"- {note}" for note in shown.notes])


def _limits(pilot: Pilot) -> str:
    if pilot.theme == "imagery":
        return _TERRITORY[pilot.task]
    if pilot.theme == "editimpute":
        truth = (
            "The truth is what clerks made of the reported values, their errors "
            "included."
            if pilot.evaluate.past_edits
            else "The truth is the data as they are; what is really missing may differ "
            "from what the mechanism hid."
        )
        return (
            f"{truth} The intervals cover other cases of the same mechanism and other "
            "clusters, not another year. What was not measured has not passed."
        )
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


# -- the table of methods and the cards of versions --------------------------------


def method_table(
    pilot: Pilot, evaluation: Evaluation, runs: Sequence[MethodDone] = ()
) -> pd.DataFrame:
    """Return a row per method: what the pilot says of it and what its run showed.

    Parameters
    ----------
    pilot : Pilot
        As it was run.
    evaluation : Evaluation
        Its timings tell how many rows a method was fitted and calibrated on.
    runs : sequence of MethodDone
        Tell which columns a method read.

    Returns
    -------
    pandas.DataFrame
        Columns `METHOD_COLUMNS` of :mod:`mlstats.quality.figures`, then role,
        training_rows, inputs and calibration.
    """
    inputs = {done.name: ", ".join(done.inputs) for done in runs}
    steps = evaluation.timings.set_index(["method", "step"])["units"].to_dict()
    rows = []
    for name, spec in pilot.methods.items():
        roles = {pilot.baseline: "baseline", pilot.candidate: "candidate"}
        role = roles.get(name, "compared")
        calibrated = steps.get((name, "calibrate"))
        said = f"on {calibrated:,} units of the valid part" if calibrated else "none"
        params = ", ".join(f"{k}={v}" for k, v in spec.params.items())
        rows.append(
            {"method": name, "kind": spec.kind, "use": spec.use, "params": params}
            | {"outcome": role, "role": role, "calibration": said}
            | {"training_rows": steps.get((name, "fit")), "inputs": inputs.get(name)}
        )
    return pd.DataFrame(rows)


def render_version_card(
    pilot: Pilot, shown: RunReport, method: str, version: str, *, digest: str
) -> str:
    """Return the card of one registered version as Markdown; it holds no record.

    Parameters
    ----------
    pilot : Pilot
        As it was run.
    shown : RunReport
        Of the run that registered the version.
    method, version : str
        Which version of which method.
    digest : str
        Of the stored model.
    """
    card = next(card for card in method_cards(shown) if card.name == method)
    facts = {name: value for name, value, _ in card.facts}
    said = ("class", "parameters", "inputs", "training rows", "calibration")
    arms = list(dict.fromkeys([method, pilot.baseline]))
    gates = shown.gates[shown.gates["method"] == method]
    period = shown.period or "not given"
    parts = [
        f"# {shown.title}: {method}, version {version}",
        "**SYNTHETIC DATA.** No figure here says anything about a real statistic."
        if shown.synthetic
        else "",
        f"A {card.kind_name} method, {card.role} of the pilot `{pilot.pilot}`; "
        f"registered by run `{shown.run_id}`, whose test part is of period {period}.",
        "## What\n\n" + "\n".join(f"- {name}: `{facts[name]}`" for name in said),
        "## Data\n\n" + _facts(pilot, shown),
        f"## Figures, level {pilot.level}, beside the baseline's\n\n"
        + _figures(pilot, shown, arms),
        "## Gates\n\n"
        + (_gates(gates) if len(gates) else "No gate judges this method."),
        "## Limits\n\n"
        + "\n".join(f"- {limit}" for limit in card.limits)
        + f"\n\n{_limits(pilot)}",
        "## Hashes\n\n"
        + "\n".join(
            f"- {name}: `{value}`"
            for name, value in {"model": digest, **shown.provenance}.items()
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"

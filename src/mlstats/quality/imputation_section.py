"""What the page of an edit and imputation pilot shows beside gates and lights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from markupsafe import Markup

from mlstats.quality.figures import (
    DASH,
    Figure,
    indicator_name,
    write,
)
from mlstats.quality.imputation_plots import distribution_plot, imputation_plot
from mlstats.quality.report import RunReport
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS
from mlstats.quality.variable_section import (
    Variable,
    Words,
    headline_of,
    plain_tables,
    variable_of,
    variables_of,
)

__all__ = ["DISTRIBUTIONS", "imputation_section"]

_NUMERIC: Final = (
    "nrmse", "rank_correlation", "ks", "mean_bias", "spread_ratio", "total_bias",
    "imputed_share",
)  # fmt: skip
_CATEGORICAL: Final = (
    "accuracy", "total_variation", "marginal_homogeneity", "ordinal_distance",
    "imputed_share",
)  # fmt: skip
_LEVELS: Final = {
    "nrmse": "prediction",
    "accuracy": "prediction",
    "rank_correlation": "ranking",
    "ordinal_distance": "ranking",
    "ks": "distribution",
    "total_variation": "distribution",
    "marginal_homogeneity": "distribution",
    "spread_ratio": "distribution",
    "mean_bias": "estimation",
    "total_bias": "estimation",
    "imputed_share": "plausibility",
}
_NULLS: Final = {"ks": "ks_null", "total_variation": "total_variation_null"}
DISTRIBUTIONS: Final = "Distributions"


_WORDS: Final = Words(
    intro="Values whose truth is known were missing or wrong; every method treated the "
    "same records, and is judged on the same cells. The levels are those of Chambers "
    "(2001): does the single value, the order, the distribution, the estimate come "
    "back, and do the edits hold?",
    tables_title="Review, selection and treatment",
    tables_intro="What happened to the data as they are. Each changed value has a line "
    "of provenance in the confidential store.",
    domains_caption="Bias of the mean of the imputed values (for a category, "
    "accuracy), with 95\u00a0% intervals.",
    drift_title="Difference between the arms",
    drift_intro="The records as the candidate leaves them against the same records as "
    "the baseline does, in pairs: the break that a change of the method would be.",
    reading=(
        (
            "Intervals of imputed values",
            "cover other cases of the same mechanism and, where the pilot names "
            "clusters, other clusters; not another year.",
        ),
        (
            "A perfect draw",
            "is what values drawn from the true distribution would show by chance: no "
            "method can be expected below it.",
        ),
        (
            "Bias of the total",
            "is what the published figure would be off by if the arm had imputed the "
            "file.",
        ),
    ),
)


def imputation_section(report: RunReport) -> dict[str, Any]:
    """Return what the section shows; empty for a pilot of another theme.

    Returns
    -------
    dict
        The words, variables, plots (title, svg), domains, tables.
    """
    if report.theme != "editimpute":
        return {}
    names = variables_of(report)
    plausible = (
        (name, write(report.cell("edits_failing", name)))
        for name in report.method_names
    )
    failing = "; ".join(f"{name} {f.missing or f.text}" for name, f in plausible)
    closing = (
        "A method that imputes means wins at the single value and loses the "
        "distribution: never rank on one level alone. Records that fail an edit after "
        f"treatment: {failing}."
    )
    return asdict(_WORDS) | {
        "closing": closing,
        "variables": [_variable(report, name) for name in names],
        "plots": _plots(report),
        "domains": _domains(report, names),
        "tables": plain_tables(report.tables, [DISTRIBUTIONS]),
    }


def _plots(report: RunReport) -> list[tuple[str, Markup]]:
    remark = "synthetic data" if report.synthetic else ""
    cells = [asdict(cell) for cell in report.cells.values()]
    found = [("Error, distance and bias", imputation_plot(cells, remark=remark))]
    table = report.tables.get(DISTRIBUTIONS)
    if table is not None:
        drawn = distribution_plot(table, kinds=report.kinds, remark=remark)
        found.append(("Distribution of imputed against true values", drawn))
    return [(title, Markup(svg)) for title, svg in found if svg]


def _variable(report: RunReport, name: str) -> Variable:
    headline = headline_of(report, name)
    return variable_of(
        report,
        name,
        _NUMERIC if headline == "nrmse" else _CATEGORICAL,
        headline=headline,
        aspects=_LEVELS,
        units="cells",
        null=_null(report, name),
    )


def _null(report: RunReport, name: str) -> str:
    """Say how far a perfect draw would lie from the truth by chance alone."""
    scored = {c.indicator for c in report.cells.values() if c.level == name}
    for measure, null in _NULLS.items():
        if null in scored:
            cell = report.cell(null, report.focus, level=name)
            if cell is not None and cell.measured:
                return (
                    f"{indicator_name(measure)} of a perfect draw: {write(cell).text}"
                )
    return ""


def _domains(report: RunReport, names: Sequence[str]) -> list[Any]:
    """Return (variable, domain, cells, baseline, candidate, difference) per domain."""
    rows = []
    for name in names:
        measure = "mean_bias" if headline_of(report, name) == "nrmse" else "accuracy"
        domains = dict.fromkeys(
            c.domain
            for c in report.cells.values()
            if c.indicator == measure and c.level == name and c.domain
        )
        for domain in domains:
            focus, base = (
                report.cell(measure, method, level=name, domain=domain)
                for method in (report.focus, report.baseline)
            )
            n = focus.n if focus else 0
            if focus is None or not focus.measured or n < LEAST_UNITS:
                why = focus.why_missing if focus else KEPT_BACK
                none = Figure(DASH, missing=why)
                rows.append((name, domain, DASH, none, none))
                continue
            rows.append(
                (
                    name,
                    domain,
                    f"{n:,}",
                    write(base, level=name),
                    write(focus, level=name),
                )
            )
    return rows

"""One run of an edit and imputation pilot: its scorecard, its report, its cells.

The functions are steps of the flow in :mod:`pipelines.editimpute`; each can be called
on its own, from a notebook as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlstats import io
from mlstats.arms import answers_as_text, paired_drift
from mlstats.cards import method_table
from mlstats.evaluate import project_key
from mlstats.imputation_scoring import accuracy_rows, process_rows, process_tables
from mlstats.imputation_selective import selective_table
from mlstats.imputation_uncertainty import uncertainty
from mlstats.imputed_units import (
    NUMERIC,
    judged_kinds,
    judged_units,
    variable_kinds,
)
from mlstats.imputing import ImputationRun
from mlstats.provenance import provenance
from mlstats.quality.drift import DriftResult
from mlstats.quality.drift_reference import Kind
from mlstats.quality.evaluation import ESTIMATES, TIMINGS, Evaluation
from mlstats.quality.figures import Cell, write, write_difference
from mlstats.quality.imputation_plots import distribution_table
from mlstats.quality.imputation_section import DISTRIBUTIONS
from mlstats.quality.indicator_names import named
from mlstats.quality.report import RunReport
from mlstats.quality.scorecard import Plan, as_scorecard
from mlstats.quality.waiver import waived_verdict
from mlstats.recipe import recipe_of
from mlstats.records import Records
from mlstats.runs import GATE_SAID, Compared, Run, shared_parts
from mlstats.sheets import cost_tables, sheet_rows
from mlstats.split import cluster_ids

__all__ = ["build_report", "compared", "evaluate_methods", "write_cells"]

AGAINST = "treated_by_the_baseline"


def evaluate_methods(
    run: Run, records: Records, runs: Sequence[ImputationRun]
) -> tuple[Evaluation, pd.DataFrame]:
    """Bring all methods into one Evaluation and score it.

    Returns
    -------
    evaluation : Evaluation
        A unit per judged cell; publishable tables with what happened to the data.
    scorecard : pandas.DataFrame
        A row per indicator, variable and method.
    """
    pilot, key = run.pilot, project_key(run.settings)
    units = judged_units(pilot, records, runs, run_id=run.run_id, key=key)
    timings = pd.DataFrame([row for one in runs for row in one.timings])
    timings = timings.assign(run_id=run.run_id)[list(TIMINGS)]
    rows, aggregates = accuracy_rows(pilot, records, runs, units, key)
    rows += process_rows(
        pilot, records, runs, provenance(pilot, records.digest, run.settings)
    )
    plan = Plan(
        kinds={name: spec.kind for name, spec in pilot.methods.items()},
        baseline=pilot.baseline,
        level=pilot.level,
        levels=list(pilot.data.roles.variables),
        seed=pilot.evaluate.seed,
        gsbpm=pilot.gsbpm,
    )
    more, estimates, tables = uncertainty(pilot, records, runs, full=run.full)
    first = as_scorecard([*rows, *more], plan)
    rest = sheet_rows(
        pilot,
        run.sheets,
        first,
        timings,
        mse_reduction={},
        period=str(units["period"].max()) if len(units) else "",
        newest_label="",
    )
    scorecard = pd.concat([first, as_scorecard(rest, plan)], ignore_index=True)
    estimates = estimates.assign(
        run_id=run.run_id, period=str(units["period"].max()) if len(units) else ""
    )
    kinds = judged_kinds(pilot, records, units)
    tables = {
        "aggregates": aggregates,
        "distributions": distribution_table(units, variables=kinds),
        "selective": selective_table(pilot, records),
        **process_tables(pilot, records, runs),
        **tables,
        **cost_tables(pilot, run.sheets, first),
    }
    evaluation = Evaluation(
        answers_as_text(units), estimates[list(ESTIMATES)], timings, tables
    )
    return evaluation, scorecard


def compared(run: Run, records: Records, runs: Sequence[ImputationRun]) -> Compared:
    """Return the records as the baseline and as the candidate leave them."""
    after = {one.name: one.shown.values for one in runs}
    reference, current = (
        records.frame.assign(**{str(c): after[name][c] for c in after[name].columns})
        for name in (run.pilot.baseline, run.pilot.candidate)
    )
    return Compared(reference, current, AGAINST, records.frame)


def arms_apart(
    run: Run, records: Records, runs: Sequence[ImputationRun]
) -> DriftResult:
    """Test whether the two arms leave the records with the same distributions."""
    roles = run.pilot.data.roles
    kinds: dict[str, Kind] = {
        name: "number" if kind == NUMERIC else "code"
        for name, kind in variable_kinds(run.pilot, records).items()
    }
    weight = records.frame[roles.weight].to_numpy(dtype=float) if roles.weight else None
    return paired_drift(
        compared(run, records, runs),
        kinds,
        cluster=cluster_ids(records.frame, roles.cluster).to_numpy(dtype=object),
        weight=weight,
    )


def build_report(
    run: Run,
    records: Records,
    evaluation: Evaluation,
    scorecard: pd.DataFrame,
    gates: pd.DataFrame,
    runs: Sequence[ImputationRun],
) -> RunReport:
    """Bring together what every form of the report shows."""
    pilot, units = run.pilot, evaluation.units
    apart = arms_apart(run, records, runs)
    tables = evaluation.tables
    return RunReport(
        **shared_parts(run, units, scorecard, gates, units["period"]),
        verdict=_verdict(run, scorecard, gates),
        methods=method_table(pilot, evaluation, runs),
        provenance=provenance(pilot, records.digest, run.settings),
        data_facts=_facts(run, records, runs),
        notes=records.cautions,
        drift=apart.table(),
        drift_sentence=apart.sentence(),
        aggregates=tables["aggregates"],
        tables={_TITLES[n]: t for n, t in tables.items() if n in _TITLES and len(t)},
    )


_TITLES = {
    "distributions": DISTRIBUTIONS,
    "edits": "Edits",
    "selection": "Selection",
    "treatment": "Treatment",
    "damage": "Damage",
    "impact": "Impact",
    "imputation_variance": "Imputation variance",
    "delta": "If the missing differ",
    "selective": "Selective editing",
}


def _facts(
    run: Run, records: Records, runs: Sequence[ImputationRun]
) -> list[tuple[str, str]]:
    pilot, how = run.pilot, run.pilot.evaluate.damage
    facts = [("records", f"{len(records.frame):,}")]
    facts += [("reading", note) for note in records.notes[:-1]]
    if how is None:
        named_columns = ", ".join(pilot.evaluate.past_edits.values())
        facts.append(("truth", f"past clerical edits: {named_columns}"))
        return facts
    facts.append(("truth", f"the data as they are, damaged {how.masks} times"))
    if how.missing is not None:
        by = f" given {how.missing.by}" if how.missing.by else ""
        facts.append(
            (
                "made missing",
                f"{how.missing.mechanism}{by}, {how.missing.share:.0%} of the values",
            )
        )
    if how.errors is not None:
        kinds = ", ".join(how.errors.kinds)
        facts.append(("made wrong", f"{how.errors.share:.0%} of the values: {kinds}"))
    facts.append(("cells treated in the data", f"{len(runs[0].data.cells):,}"))
    return facts


def _verdict(run: Run, scorecard: pd.DataFrame, gates: pd.DataFrame) -> str:
    """Say the gates' result and the first of the candidate's figures they judge."""
    pilot = run.pilot
    said = GATE_SAID[waived_verdict(gates, "shadow")]
    rule = next((r for r in pilot.gates if r.versus == pilot.baseline), None)
    if rule is None:
        return f"{said}."
    rows = scorecard[
        (scorecard["indicator"] == rule.indicator)
        & (scorecard["method"] == pilot.candidate)
        & (scorecard["level"] == (rule.level or pilot.level))
        & (scorecard["domain"] == "")
        & (scorecard["versus"] == rule.versus)
    ]
    if len(rows) == 0:
        return f"{said}."
    cell = Cell.from_row({str(k): v for k, v in rows.iloc[0].items()})
    value, gap = write(cell, level=cell.level), write_difference(cell, baseline="")
    if value.missing or gap.missing:
        return f"{said}."
    told = named(rule.indicator)
    name = told[0] if told else rule.indicator
    interval = f" (95 % interval {gap.interval})" if gap.interval else ""
    return (
        f"{said}: {name} of {cell.level} is {value.text} for {pilot.candidate}, "
        f"{gap.text} against {pilot.baseline}{interval}."
    )


def write_cells(run: Run, records: Records, runs: Sequence[ImputationRun]) -> None:
    """Write each method's provenance of the data into the confidential folder.

    ``cells_METHOD.parquet`` has a row per cell of the data that was asked for or
    changed, with the unit's own id; it joins back to the file. ``model_version`` is the
    method's name and the digest of its recipe, as :mod:`mlstats.recipe` makes it: what
    is fitted in the run is not kept, and the same recipe gives the same values of the
    same data again.
    """
    ids = records.frame[run.pilot.data.roles.unit_id]
    for one in runs:
        cells = one.data.cells.copy()
        for column in ("unit", "donor"):
            known = cells[column].notna()
            cells[column] = cells[column].astype(object)
            cells.loc[known, column] = ids.loc[cells.loc[known, column]].to_numpy()
        for column in ("before", "after"):
            # One column holds values of many variables: text, as in a flat file.
            cells[column] = [None if pd.isna(v) else str(v) for v in cells[column]]
        cells["donor"] = [None if pd.isna(v) else str(v) for v in cells["donor"]]
        version = recipe_of(run.pilot, one.name, run.settings).digest
        cells["model_version"] = f"{one.name}@{version[:12]}"
        io.write_parquet(run.confidential / f"cells_{one.name}.parquet", cells)

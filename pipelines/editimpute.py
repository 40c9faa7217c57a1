"""The flow of an edit and imputation pilot: review, selection, treatment, both arms."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from mlstats import imputation_runs, imputing, publishing, records, runs
from mlstats.settings import load_settings
from pipelines.step import step

prepare = step(runs.prepare, "prepare")
read = step(records.load, "read and check the contract")
ready = step(imputing.ready, "see that all can run")
run_method = step(imputing.run_method, "review, select and treat with {name}")
score = step(imputation_runs.evaluate_methods, "score")
judge = step(runs.judge, "judge")
report = step(imputation_runs.build_report, "report")
keep = step(imputation_runs.write_cells, "provenance of cells")
publish = step(publishing.publish, "publish")
conclude = step(publishing.conclude, "conclude")


@flow(name="editimpute", persist_result=False)
def editimpute(
    pilot: str,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
    full: bool = False,
) -> runs.Outcome:
    """Run an edit and imputation pilot from its file to its record.

    Parameters
    ----------
    pilot : str
        Name or path.
    overrides : sequence of str
        ``key=value``.
    sample : int, optional
        Rows to draw.
    period : str, optional
        Take the records of this period.
    full : bool
        Tell the variance that imputation adds, and what other seeds give.
    """
    settings = load_settings()
    run = prepare(
        pilot,
        settings,
        overrides=list(overrides),
        sample=sample,
        period=period,
        full=full,
    )
    data, checked = read(run.pilot, settings, sample=sample, period=period)
    checked.raise_if_failed(pilot)
    ready(run.pilot, data)
    with runs.working_folder(run) as folder:
        done = [run_method(run.pilot, name, data) for name in run.pilot.methods]
        evaluation, scorecard = score(run, data, done)
        gates = judge(run, scorecard)
        shown = report(run, data, evaluation, scorecard, gates, done)
        keep(run, data, done)
        compared = imputation_runs.compared(run, data, done)
        outcome = publish(run, folder, compared, evaluation, shown, done)
    return conclude(run, outcome)

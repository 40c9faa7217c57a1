"""The flow of a coding pilot: both arms on the same units, to a gate."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from mlstats import dataset, evaluate, publishing, refits, runs
from mlstats.clerk_list import write_clerk_list
from mlstats.settings import load_settings
from pipelines.step import step

prepare = step(runs.prepare, "prepare")
read = step(dataset.load, "read and check the contract")
part = step(dataset.part, "split")
ready = step(evaluate.ready, "see that all can run")
run_method = step(evaluate.run_method, "method {name}")
score = step(runs.evaluate_methods, "score")
refit = step(refits.refit_methods, "refits")
judge = step(runs.judge, "judge")
report = step(runs.build_report, "report")
list_queue = step(write_clerk_list, "queue for clerks")
publish = step(publishing.publish, "publish")
conclude = step(publishing.conclude, "conclude")


@flow(name="coding", persist_result=False)
def coding(
    pilot: str,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
    full: bool = False,
) -> runs.Outcome:
    """Run a coding pilot from its file to its registered models.

    Parameters
    ----------
    pilot : str
        Name or path.
    overrides : sequence of str
        ``key=value``.
    sample : int, optional
        Rows to draw.
    period : str, optional
        Test on this period.
    full : bool
        Fit again, with other seeds too, and perturb the input.
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
    return judged(run, part(data, run.pilot, period=period))


def judged(run: runs.Run, data: dataset.Dataset) -> runs.Outcome:
    """Take the steps from data that are parted to registered models."""
    settings = run.settings
    ready(run.pilot, data, settings)
    with runs.working_folder(run) as folder:
        done = [
            run_method(run.pilot, name, data, settings) for name in run.pilot.methods
        ]
        evaluation, scorecard, drifted = score(run, data, done)
        importances = None
        if run.full:
            scorecard, importances = refit(run, data, evaluation, scorecard, done)
        gates = judge(run, scorecard)
        shown = report(
            run, data, evaluation, scorecard, gates, drifted, done, importances
        )
        list_queue(run, data, evaluation, done)
        compared = runs.compared(data)
        outcome = publish(run, folder, compared, evaluation, shown, done)
    finished: runs.Outcome = conclude(run, outcome)
    return finished

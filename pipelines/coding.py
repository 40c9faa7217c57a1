"""The flow of a coding pilot: both arms on the same units, to a gate."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from mlstats import dataset, evaluate, runs
from mlstats.guard import guarded
from mlstats.settings import load_settings

# No step's input or result is kept by Prefect: they hold records.
step = {"cache_policy": NO_CACHE, "persist_result": False, "log_prints": False}

prepare = task(guarded(runs.prepare), name="prepare", **step)
read = task(guarded(dataset.load), name="read and check the contract", **step)
part = task(guarded(dataset.part), name="split", **step)
run_method = task(guarded(evaluate.run_method), task_run_name="method {name}", **step)
score = task(guarded(runs.evaluate_methods), name="score", **step)
judge = task(guarded(runs.judge), name="judge", **step)
publish = task(guarded(runs.publish), name="publish", **step)


@flow(name="coding", persist_result=False)
def coding(
    pilot: str,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
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
    """
    settings = load_settings()
    run = prepare(pilot, settings, overrides=list(overrides))
    data, checked = read(run.pilot, settings, sample=sample, period=period)
    checked.raise_if_failed(pilot)
    data = part(data, run.pilot, period=period)
    with runs.working_folder(run) as folder:
        done = [
            run_method(run.pilot, name, data, settings) for name in run.pilot.methods
        ]
        evaluation, scorecard = score(run, data, done)
        gates = judge(run, scorecard)
        report = runs.build_report(run, data, evaluation, scorecard, gates)
        return publish(run, folder, data, evaluation, report, done)

"""The flow of an imagery pilot: survey and images, both arms, areas with errors."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from mlstats import (
    imagery_methods,
    imagery_runs,
    publishing,
    runs,
    scene_drift,
    territory_maps,
)
from mlstats.settings import load_settings
from pipelines.step import step

prepare = step(runs.prepare, "prepare")
read = step(imagery_methods.load, "read and check the contract")
ready = step(imagery_methods.ready, "see that all can run")
compare_dates = step(scene_drift.compare_dates, "compare the dates")
run_method = step(imagery_methods.run_method, "estimate with {name}")
score = step(imagery_runs.evaluate_methods, "score")
draw = step(territory_maps.draw_maps, "draw the maps")
judge = step(runs.judge, "judge")
report = step(imagery_runs.build_report, "report")
publish = step(publishing.publish, "publish")
conclude = step(publishing.conclude, "conclude")


@flow(name="imagery", persist_result=False)
def imagery(
    pilot: str,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
    full: bool = False,
) -> runs.Outcome:
    """Run an imagery pilot from its file to its record.

    Parameters
    ----------
    pilot : str
        Name or path.
    overrides : sequence of str
        ``key=value``.
    sample : int, optional
        Units to draw.
    period : str, optional
        Take the units of this period.
    full : bool
        Tell also what other seeds give.
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
    apart = compare_dates(run.pilot, data)
    with runs.working_folder(run) as folder:
        methods = run.pilot.methods
        done = [run_method(run.pilot, name, data, folder) for name in methods]
        evaluation, scorecard = score(run, data, done, apart, folder)
        gates = judge(run, scorecard)
        maps = draw(run.pilot, data, done, folder)
        shown = report(run, data, evaluation, scorecard, gates, done, apart, maps)
        compared = imagery_runs.compared(run, data, done)
        outcome = publish(run, folder, compared, evaluation, shown, done)
    return conclude(run, outcome)

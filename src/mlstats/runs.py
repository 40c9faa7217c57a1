"""One run of a pilot: its scorecard, its gates, its reports and its record.

The functions are the steps of the flows in :mod:`pipelines`; each can be called on
its own, from a notebook as well.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats import evaluate, io, previous, tracking
from mlstats.cards import method_table
from mlstats.config import Pilot
from mlstats.dataset import Dataset, read_double_codes
from mlstats.drifting import drift_of, drift_rows
from mlstats.evaluate import MethodRun
from mlstats.guard import confidential_log
from mlstats.pilot_files import load_pilot
from mlstats.provenance import provenance
from mlstats.quality import gate
from mlstats.quality.data_light import data_rows
from mlstats.quality.dimensions import dimension_rows
from mlstats.quality.drift import DriftResult
from mlstats.quality.evaluation import Evaluation
from mlstats.quality.explanation import no_importances
from mlstats.quality.index_page import write_index
from mlstats.quality.report import RunReport
from mlstats.quality.report_tables import INDEX_COLUMNS, empty
from mlstats.quality.routing import Routing, Step, route, thresholds
from mlstats.quality.scorecard import Plan, as_scorecard, score
from mlstats.quality.waiver import apply_waivers, waived_verdict
from mlstats.scoring import further
from mlstats.settings import Settings
from mlstats.sheets import PilotSheets, read_sheets, today

__all__ = [
    "GATE_SAID",
    "Compared",
    "Outcome",
    "Run",
    "build_report",
    "compared",
    "evaluate_methods",
    "judge",
    "latest",
    "prepare",
    "shared_parts",
    "working_folder",
]

_log = logging.getLogger(__name__)

STORED = "mlstats.retraining.Champion"
# What the gates to shadow say together, at the head of the report's sentence.
GATE_SAID = {
    "pass": "The gate to shadow is passed",
    "fail": "The gate to shadow is failed",
    "inconclusive": "The gate to shadow is inconclusive",
    "not_measured": "The gate to shadow was not measured",
    "waived": "The gate to shadow is passed over by a waiver",
}


@dataclass(frozen=True)
class Run:
    """A run that has begun.

    Parameters
    ----------
    run_id : str
        UTC time and pilot; orders runs by name.
    pilot : Pilot
        With its overrides.
    settings : Settings
        Of the project.
    trial : mapping
        How it departs from the pilot's file: sample, period, overrides. A trial moves
        no alias and writes no card.
    full : bool
        Whether the methods are fitted again for what one fit cannot tell. That is no
        trial: the methods and the gates are those of the file.
    noted : mapping
        Tags of the run's record, such as what a retraining was made for.
    """

    run_id: str
    pilot: Pilot
    settings: Settings
    trial: Mapping[str, str]
    full: bool = False
    noted: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the publishable outputs come to lie."""
        return self.settings.runs / self.pilot.pilot / self.run_id

    @cached_property
    def sheets(self) -> PilotSheets:
        """The pilot's sheets, read once."""
        return read_sheets(self.pilot, self.settings.project)

    @property
    def confidential(self) -> Path:
        """Where the units table and the confidential log lie."""
        return self.settings.confidential / "runs" / self.run_id


@dataclass(frozen=True)
class Outcome:
    """What a finished run hands back.

    Parameters
    ----------
    report : RunReport
        Scorecard, gates and all that the reports show.
    folder : pathlib.Path
        With scorecard.html, scorecard.xlsx, scorecard.parquet, evidently.html.
    versions : mapping
        Method -> registered version; ``""`` -> id of the MLflow run.
    result : str
        Of the gates to shadow: pass, waived, fail, inconclusive or not_measured.
    gated : bool
        Whether the pilot has gates to shadow.
    """

    report: RunReport
    folder: Path
    versions: Mapping[str, str]
    result: str
    gated: bool


@dataclass(frozen=True, eq=False)
class Compared:
    """The data whose distributions a run compares; they hold records.

    Parameters
    ----------
    reference, current : pandas.DataFrame
        With the columns of the contract.
    against : str
        How the drift verdicts call the reference.
    learnt_from : pandas.DataFrame, optional
        The data that later periods are held to, where they are not the reference.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    against: str = "training"
    learnt_from: pd.DataFrame | None = None

    @property
    def trained(self) -> pd.DataFrame:
        """The data that the methods learnt from."""
        return self.reference if self.learnt_from is None else self.learnt_from


def compared(dataset: Dataset) -> Compared:
    """Return the training part and the test part."""
    train, test = (dataset.frame[dataset.folds == fold] for fold in ("train", "test"))
    return Compared(train, test)


def prepare(
    name: str,
    settings: Settings,
    *,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
    full: bool = False,
) -> Run:
    """Read the pilot, make the project's folders and begin a run.

    Raises
    ------
    ConfigError, UsageError, ServiceError
        Before anything was written besides empty folders.
    """
    pilot = load_pilot(name, project=settings.project, overrides=overrides)
    settings.prepare()
    run_id = tracking.new_run_id(pilot.pilot)
    asked = {"sample": sample, "period": period, "overrides": " ".join(overrides)}
    trial = {name: str(value) for name, value in asked.items() if value}
    run = Run(run_id, pilot, settings, trial, full)
    _ = run.sheets  # what is wrong with one is told now, not after an hour of fitting
    confidential_log(run.confidential)
    tracking.reachable(settings)
    return run


@contextmanager
def working_folder(run: Run) -> Iterator[Path]:
    """Yield a hidden folder that becomes the run's folder when all went well.

    A failed run leaves neither outputs nor tables of records; its confidential
    log stays.
    """
    beside = run.folder.parent / f".{run.run_id}"
    beside.mkdir(parents=True)
    try:
        yield beside
        beside.rename(run.folder)
        io.write_text(run.folder.parent / "latest.txt", run.run_id + "\n")
        write_index(run.settings.runs)
    except BaseException:
        for folder in (beside, run.folder):
            shutil.rmtree(folder, ignore_errors=True)
        for suffix in ("*.parquet", "*.xlsx"):
            for path in run.confidential.glob(suffix):
                path.unlink(missing_ok=True)
        raise


def latest(settings: Settings, pilot: str) -> Path | None:
    """Return the folder of the pilot's last finished run."""
    pointer = settings.runs / pilot / "latest.txt"
    if not pointer.is_file():
        return None
    folder = settings.runs / pilot / pointer.read_text(encoding="utf-8").strip()
    return folder if folder.is_dir() else None


# -- scoring -----------------------------------------------------------------------


def plan_of(pilot: Pilot, levels: Sequence[str]) -> Plan:
    """Return what is scored of a pilot."""
    versus = {
        (pilot.candidate, rule.versus)
        for rule in pilot.gates
        if rule.versus and rule.versus != pilot.baseline
    }
    # A retraining is held to the version in production too.
    versus |= {
        (pilot.candidate, n) for n, s in pilot.methods.items() if s.use == STORED
    }
    return Plan(
        kinds={name: spec.kind for name, spec in pilot.methods.items()},
        baseline=pilot.baseline,
        level=pilot.level,
        levels=levels,
        versus=sorted(versus),
        routing=routing_of(pilot),
        bootstrap=pilot.evaluate.bootstrap,
        seed=pilot.evaluate.seed,
        gsbpm=pilot.gsbpm,
        single=pilot.data.single_cluster,
    )


def routing_of(pilot: Pilot) -> Routing:
    """Return how automatic coding is decided: as the pilot says, else to its level."""
    asked = pilot.evaluate.automatic
    if asked is None:
        return Routing((Step(pilot.level, pilot.evaluate.target_accuracy),))
    steps = tuple(Step(step.level, step.target) for step in asked.steps)
    return Routing(steps, asked.group, asked.joint)


def evaluate_methods(
    run: Run, dataset: Dataset, runs: Sequence[MethodRun]
) -> tuple[Evaluation, pd.DataFrame, DriftResult]:
    """Bring all methods into one Evaluation and score it.

    Returns
    -------
    evaluation : Evaluation
        Units with the route that the guaranteed threshold gives them.
    scorecard : pandas.DataFrame
        A row per indicator, level and method.
    drifted : DriftResult
        The verdicts on the test part.
    """
    pilot, ancestor = run.pilot, dataset.classification.ancestor
    levels = evaluate.levels_of(pilot, dataset.classification)
    evaluation = evaluate.assemble(
        pilot,
        dataset,
        runs,
        run_id=run.run_id,
        key=evaluate.project_key(run.settings),
        ancestor=ancestor,
        level=levels[0],
    )
    plan = plan_of(pilot, levels)
    shown = thresholds(evaluation.units, ancestor, plan.routing, [*plan.kinds])
    routes = route(evaluation.units, shown, ancestor, plan.routing)
    # What a method gave no code, because no text like it can be coded, has no clerk
    # waiting for it either.
    units = evaluation.units
    lost = (units["status"] == "uncodable") & units["prediction"].isna()
    routes["route"] = routes["route"].mask(lost, "uncodable")
    routed = units.drop(columns=[*routes]).join(routes)
    evaluation = replace(evaluation, units=routed, tables={"thresholds": shown})
    test = evaluation.units[evaluation.units["fold"] == "test"]
    beyond = dimension_rows(
        test,
        ancestor,
        pilot.level,
        {done.name: done.method for done in runs},
        baseline=pilot.baseline,
        provenance=provenance(pilot, dataset.digest, run.settings),
        seed=pilot.evaluate.seed,
        single=pilot.data.single_cluster,
        full=run.full,
    )
    beyond += data_rows(
        dataset.frame,
        dataset.folds,
        pilot,
        seen=test.loc[test["method"] == pilot.baseline, "seen"].to_numpy(dtype=bool),
        rules=dataset.rules,
        methods=[*plan.kinds],
        double_codes=read_double_codes(pilot, run.settings),
        ancestor=ancestor,
        levels=levels,
    )
    drifted = drift_of(pilot, dataset, evaluation)
    beyond += drift_rows(pilot, dataset, evaluation, drifted)
    first = score(evaluation, ancestor, plan)
    more, tables = further(
        pilot, dataset, evaluation, first, run.sheets, publication_level=levels[0]
    )
    scorecard = [first, as_scorecard([*beyond, *more], plan)]
    evaluation = replace(evaluation, tables={**evaluation.tables, **tables})
    return evaluation, pd.concat(scorecard, ignore_index=True), drifted


def judge(run: Run, scorecard: pd.DataFrame) -> pd.DataFrame:
    """Apply the pilot's gates to its candidate, and the waivers that count today."""
    gates = gate.judge(
        scorecard,
        run.pilot.gates,
        method=run.pilot.candidate,
        level=run.pilot.level,
    )
    return apply_waivers(gates, run.sheets.waivers, today())


def shared_parts(
    run: Run,
    units: pd.DataFrame,
    scorecard: pd.DataFrame,
    gates: pd.DataFrame,
    periods: pd.Series,
) -> dict[str, Any]:
    """Return what the reports of all themes say alike, as fields of a RunReport.

    Parameters
    ----------
    units : pandas.DataFrame
        Of the Evaluation; what has changed since an earlier run is told of them.
    periods : pandas.Series of str
        Reference periods that the figures are about.
    """
    pilot, known = run.pilot, sorted(set(periods) - {""})
    period = " to ".join(dict.fromkeys([*known[:1], *known[-1:]]))
    changed, compared_with = previous.changes(
        scorecard,
        units,
        runs=run.folder.parent,
        confidential=run.confidential.parent,
        period=period,
        run_id=run.run_id,
        # Without clusters a row's number stands for it, which other data have too.
        clustered=pilot.data.roles.cluster is not None,
    )
    return {
        "pilot": pilot.pilot,
        "title": pilot.title or pilot.pilot,
        "theme": pilot.theme,
        "period": period,
        "run_id": run.run_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "synthetic": pilot.data.synthetic,
        "baseline": pilot.baseline,
        "candidate": pilot.candidate,
        "level": pilot.level,
        "scorecard": scorecard,
        "gates": gates,
        "previous": changed,
        "previous_run": compared_with,
    }


def build_report(
    run: Run,
    dataset: Dataset,
    evaluation: Evaluation,
    scorecard: pd.DataFrame,
    gates: pd.DataFrame,
    drifted: DriftResult,
    runs: Sequence[MethodRun] = (),
    importances: pd.DataFrame | None = None,
) -> RunReport:
    """Bring together what every form of the report shows.

    Parameters
    ----------
    runs : sequence of MethodRun
        What ran, for the cards of the methods.
    importances : pandas.DataFrame, optional
        Of a full run.
    """
    pilot = run.pilot
    test = evaluation.units[evaluation.units["fold"] == "test"]
    units = test[test["method"] == pilot.baseline]
    return RunReport(
        **shared_parts(run, evaluation.units, scorecard, gates, units["period"]),
        verdict=_verdict(run.pilot, scorecard, gates),
        methods=method_table(pilot, evaluation, runs),
        provenance=provenance(pilot, dataset.digest, run.settings),
        data_facts=_facts(pilot, dataset, units),
        notes=dataset.cautions,
        target_accuracy=pilot.evaluate.target_accuracy,
        importances=no_importances() if importances is None else importances,
        drift=drifted.table(),
        drift_sentence=f"{drifted.sentence()} {drifted.power()}".strip(),
        aggregates=evaluation.tables["aggregates"],
        index=evaluation.tables.get("index", empty(INDEX_COLUMNS)),
    )


def _facts(
    pilot: Pilot, dataset: Dataset, units: pd.DataFrame
) -> list[tuple[str, str]]:
    """Return what was read and how it was split; `units` are one method's."""
    folds = dataset.folds.value_counts()
    return [
        ("rows read", f"{len(dataset.frame):,}"),
        *((f"units in {f}", f"{folds.get(f, 0):,}") for f in ("train", "valid")),
        ("units in test", f"{len(units):,}"),
        ("clusters in test", f"{units['cluster'].nunique():,}"),
        ("test units with a text known from training", f"{units['seen'].mean():.1%}"),
        ("truth", f"column {pilot.truth}"),
        *(("reading", note) for note in dataset.notes[:-1]),
    ]


def _verdict(pilot: Pilot, scorecard: pd.DataFrame, gates: pd.DataFrame) -> str:
    row = scorecard[
        (scorecard["indicator"] == "accuracy")
        & (scorecard["method"] == pilot.candidate)
        & (scorecard["level"] == pilot.level)
        & (scorecard["versus"] == pilot.baseline)
    ]
    said = GATE_SAID[waived_verdict(gates, "shadow")]
    if len(row) == 0:
        return f"{said}."
    found = row.iloc[0]
    interval = (
        f" (95 % interval {found['difference_lower'] * 100:+.1f} to "
        f"{found['difference_upper'] * 100:+.1f})"
        if np.isfinite(found["difference_lower"])
        else ""
    )
    return (
        f"{said}: {pilot.candidate} codes {found['value']:.1%} of the units rightly, "
        f"{found['difference'] * 100:+.1f} points against {pilot.baseline}{interval}."
    )

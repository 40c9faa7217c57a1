"""The report on a coded table whose source has a column of true codes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlstats import tracking
from mlstats.coded_scorecard import ScoreCodes, Scored, score_codes
from mlstats.coding import arm
from mlstats.config import Pilot
from mlstats.dataset import finder, source_finder
from mlstats.errors import ConfigError, RefusedError, SourceError
from mlstats.evaluate import levels_of
from mlstats.partitions import MANIFEST, PartitionedTable
from mlstats.period_parts import PartReader
from mlstats.pilot_files import load_pilot
from mlstats.production_arms import arms_of
from mlstats.quality import report
from mlstats.quality.figures import GATE_COLUMNS
from mlstats.quality.report import RunReport
from mlstats.runs import plan_of
from mlstats.scale import Scale
from mlstats.settings import Settings
from mlstats.sources import ROW_NUMBER
from mlstats.table import check_has_columns

__all__ = ["check_truth", "report_folder", "score_table"]

_METRICS: Final = ("accuracy", "macro_f1", "coverage", "kappa", "automation_guaranteed")


def report_folder(target: str | Path) -> Path:
    """Return where the scorecard of a coded table lies: beside it."""
    folder = Path(target)
    return folder.with_name(f"{folder.name}-scorecard")


def score_table(
    name: str, source: str, target: str | Path, truth: str, settings: Settings
) -> RunReport:
    """Score a table that was coded against a column of its source.

    Parameters
    ----------
    name : str
        Name or path of a pilot of the coding theme.
    source, target
        As of :func:`mlstats.batch_coding.code_table`, which has made the target.
    truth : str
        Column of the source with the true codes; rows without one are left out.
    settings : Settings
        Where parts are read, and where MLflow is.

    Returns
    -------
    RunReport
        As it was written into :func:`report_folder`, and recorded in MLflow.

    Raises
    ------
    SourceError
        Where the source lacks a column or was written since it was opened, and where
        the coded parts are not those that were written.
    RefusedError
        Where the target was coded from another source.
    ContractError
        Where true codes are not in the classification, no row has one and weight, a
        weight is none, or a cluster lies in two parts.
    """
    work, table = _work(name, source, truth, settings)
    pilot = work.reader.pilot
    scale, manifest = Scale.of(settings), Path(target) / MANIFEST
    told = json.loads(manifest.read_text(encoding="utf-8"))["facts"]
    if told["source"] != table.digest(scale):
        raise RefusedError(
            "The table was coded from another source",
            where=str(target),
            expected=f"codes of {source}, as it is now",
            hint="code it again, into another folder",
        )
    _check_coded(Path(target))
    facts = {str(name): str(value) for name, value in told.items()}
    found = score_codes(work, table, Path(target), scale)
    table.check_unchanged()
    shown = _report(pilot, work, found, facts)
    folder = report_folder(target)
    report.write_html(shown, folder / "scorecard.html")
    report.write_xlsx(shown, folder / "scorecard.xlsx")
    report.write_parquet(shown, folder / "scorecard.parquet")
    _track(shown, folder, settings)
    return shown


def check_truth(name: str, source: str, truth: str, settings: Settings) -> None:
    """See that a table can be scored, before it is coded.

    Parameters
    ----------
    name, source, truth, settings
        As of :func:`score_table`.

    Raises
    ------
    ConfigError
        Where the pilot is not of the coding theme.
    SourceError
        Where the source lacks a column.
    """
    _work(name, source, truth, settings)


def _check_coded(target: Path) -> None:
    """Check that the coded parts are those that the manifest lists."""
    try:
        PartitionedTable.open(target).digest()
    except SourceError as error:
        error.hint = "code it again, into another folder"
        raise


def _work(
    name: str, source: str, truth: str, settings: Settings
) -> tuple[ScoreCodes, PartitionedTable]:
    pilot = load_pilot(name, project=settings.project)
    if pilot.theme != "coding":
        raise ConfigError(
            f"Only codes are scored, {pilot.pilot} is {pilot.theme}", where="theme"
        )
    judged = pilot.evaluate.model_copy(update={"truth": truth})
    pilot = pilot.model_copy(update={"evaluate": judged})
    table = PartitionedTable.open(source_finder(settings)(source))
    spec, roles = pilot.data.classification, pilot.data.roles
    assert spec is not None
    classification = arm.read_classification(spec, finder(settings))
    known = arms_of(pilot, settings)
    named = {"champion": known.champion, "baseline": known.baseline}
    arms = {role: one.method for role, one in named.items() if one is not None}
    plan = replace(
        plan_of(pilot, levels_of(pilot, classification)),
        kinds={method: pilot.methods[method].kind for method in arms.values()},
        baseline=arms["baseline"],
        versus=(),
    )
    single = (roles.weight, roles.stratum, roles.cluster, roles.fraction)
    wanted = {pilot.truth, *roles.domain, *(name for name in single if name)}
    recode = pilot.data.recode
    needed = {recode[name].of if name in recode else name for name in wanted}
    check_has_columns([*table.columns], sorted(needed - {ROW_NUMBER}), table.source)
    # Every recoded column is made when a part is read.
    read = wanted | {one.of for one in recode.values()} | {roles.period or pilot.truth}
    columns = tuple(name for name in table.columns if name in read)
    return ScoreCodes(PartReader(pilot, "", columns), arms, plan, classification), table


def _report(
    pilot: Pilot, work: ScoreCodes, found: Scored, facts: dict[str, str]
) -> RunReport:
    counts, plan, periods = found.counts, work.plan, sorted(found.periods)
    leader = next(iter(work.arms.values()))
    return RunReport(
        pilot=pilot.pilot,
        title=f"{pilot.title or pilot.pilot}: a coded table",
        theme=pilot.theme,
        period=" to ".join(dict.fromkeys([*periods[:1], *periods[-1:]])),
        run_id=tracking.new_run_id(f"{pilot.pilot}-coded"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        synthetic=pilot.data.synthetic,
        verdict=_verdict(found.scorecard, plan.baseline, leader, plan.level),
        baseline=plan.baseline,
        candidate=leader if "champion" in work.arms else "",
        level=plan.level,
        scorecard=found.scorecard,
        aggregates=found.aggregates,
        tables={"Classes": found.classes},
        gates=pd.DataFrame(columns=list(GATE_COLUMNS)),
        methods=pd.DataFrame(
            {
                "method": list(plan.kinds),
                "kind": list(plan.kinds.values()),
                "use": [pilot.methods[name].use for name in plan.kinds],
                "params": [facts.get(role, "") for role in work.arms],
                "outcome": list(work.arms),
            }
        ),
        provenance=facts,
        data_facts=[
            ("rows coded", f"{counts['rows']:,}"),
            ("rows with a true code", f"{counts['truth']:,}"),
            ("truth", f"column {pilot.truth}"),
        ],
        notes=_notes(found),
        target_accuracy=pilot.evaluate.target_accuracy,
    )


def _notes(found: Scored) -> list[str]:
    counts = found.counts
    unknown = counts["rows"] - counts["truth"]
    short = counts["truth"] - counts["level"]
    told = {
        f"{unknown:,} rows without a true code are left out": unknown,
        f"{short:,} true codes do not reach the level and are left out there": short,
        found.caution: found.caution,
    }
    return [note for note, there in told.items() if there]


def _verdict(card: pd.DataFrame, baseline: str, leader: str, level: str) -> str:
    rows = card[
        (card["indicator"] == "accuracy")
        & (card["method"] == leader)
        & (card["level"] == level)
        & (card["domain"] == "")
    ]
    row = rows.iloc[0]
    said = f"{leader} codes {row['value']:.1%} of the units rightly"
    ends = "no interval can be told"
    if np.isfinite(row["lower"]):
        ends = f"95 % interval {row['lower']:.1%} to {row['upper']:.1%}"
    said += f" ({ends})"
    if not np.isfinite(row["difference_lower"]):
        return f"{said}."
    return (
        f"{said}, {row['difference'] * 100:+.1f} points against {baseline} "
        f"(95 % interval {row['difference_lower'] * 100:+.1f} to "
        f"{row['difference_upper'] * 100:+.1f})."
    )


def _track(shown: RunReport, folder: Path, settings: Settings) -> None:
    """Record the scorecard as a run that registers nothing."""
    card = shown.scorecard
    records = []
    for method, kind in shown.methods[["method", "kind"]].to_numpy():
        own = card[
            (card["method"] == method)
            & (card["domain"] == "")
            & card["indicator"].isin(_METRICS)
        ]
        metrics = {
            f"{row['indicator']}_{row['level']}": float(row["value"])
            for _, row in own.iterrows()
        }
        records.append(tracking.MethodRecord(method, kind, {}, metrics, None, ()))
    tags = {key.replace(" ", "_"): told for key, told in shown.provenance.items()}
    tracking.track(
        settings,
        tracking.RunRecord(
            pilot=shown.pilot,
            run_id=shown.run_id,
            params={"truth": dict(shown.data_facts)["truth"]},
            tags={
                **tags,
                "coded_table": "true",
                "period": shown.period,
                "synthetic": str(shown.synthetic).lower(),
            },
            artifacts=folder,
            methods=records,
        ),
    )

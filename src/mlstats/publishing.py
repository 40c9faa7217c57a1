"""What a run leaves behind: reports, evidence, a record in MLflow, a model card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mlstats import contract, io, model_store, tracking
from mlstats.cards import MethodDone, render_card, render_version_card
from mlstats.quality import evidently, report
from mlstats.quality.evaluation import Evaluation
from mlstats.quality.evidence import bundle, canonical
from mlstats.quality.evidence import digest as evidence_digest
from mlstats.quality.report import RunReport
from mlstats.quality.reproducibility import outputs_digest
from mlstats.quality.sims import export, write_sims
from mlstats.quality.waiver import waived_verdict
from mlstats.recipe import Recipe, recipe_of
from mlstats.runs import Compared, Outcome, Run
from mlstats.watching import trained_tables

__all__ = ["conclude", "publish"]

_log = logging.getLogger(__name__)

NAMES = (
    "accuracy", "macro_f1", "coverage", "accuracy_unseen", "automation_guaranteed",
    "nrmse", "ks", "total_variation", "total_bias", "edits_failing",
)  # fmt: skip


def publish(
    run: Run,
    folder: Path,
    compared: Compared,
    evaluation: Evaluation,
    shown: RunReport,
    runs: Sequence[MethodDone],
) -> Outcome:
    """Write the reports into `folder`, then log and register with MLflow.

    Parameters
    ----------
    folder : pathlib.Path
        From :func:`mlstats.runs.working_folder`.
    compared : Compared
        What the page of distributions shows.
    """
    records = _records(run, compared, evaluation, shown, runs)
    shown = _with_digests(shown, records)
    digest = evaluation.write(run.confidential, folder)
    report.write_html(shown, folder / "scorecard.html")
    report.write_xlsx(shown, folder / "scorecard.xlsx")
    report.write_parquet(shown, folder / "scorecard.parquet")
    resolved = run.pilot.model_dump(mode="json")
    io.write_text(
        folder / "pilot.yaml", yaml.safe_dump(resolved, sort_keys=False, width=88)
    )
    _write_drift(run, compared, shown, folder)
    io.write_parquet(folder / "gates.parquet", shown.gates)
    outputs = outputs_digest(evaluation.units)
    evidence_hash = _write_evidence(run, shown, outputs, folder)
    sims = export(
        shown.scorecard,
        shown.gates,
        evaluation.estimates,
        period=shown.period,
        provenance=evidence_hash,
    )
    write_sims(sims, folder)
    result = waived_verdict(shown.gates, "shadow")
    versions = tracking.track(
        run.settings,
        tracking.RunRecord(
            pilot=run.pilot.pilot,
            run_id=run.run_id,
            params=_flat(resolved),
            tags={
                **{k.replace(" ", "_"): v for k, v in shown.provenance.items()},
                "units_digest": digest,
                "evidence_hash": evidence_hash,
                "period": shown.period,
                "verdict": result,
                "gsbpm": run.pilot.gsbpm,
                "full": str(run.full).lower(),
                "synthetic": str(run.pilot.data.synthetic).lower(),
                **run.noted,
                **{f"trial_{name}": value for name, value in run.trial.items()},
            },
            artifacts=folder,
            methods=records,
        ),
    )
    io.write_json(
        folder / "tracking.json", {k or "run": v for k, v in versions.items()}
    )
    gated = bool((shown.gates["to"] == "shadow").any())
    return Outcome(shown, run.folder, versions, result, gated)


def conclude(run: Run, outcome: Outcome) -> Outcome:
    """Write the cards and move the aliases, once the run's folder is in its place.

    The pilot has one card, each registered version its own, which MLflow keeps as its
    description. The baseline's alias follows each run, the challenger's one that
    passed its gates to shadow. A trial changes none of them.
    """
    if run.trial:
        _log.info("a trial (%s): no alias was moved", ", ".join(run.trial))
        return outcome
    card = render_card(run.pilot, outcome.report)
    io.write_text(run.settings.models / f"{run.pilot.pilot}.md", card)
    cards = _version_cards(run, outcome)
    for (method, version), text in cards.items():
        name = f"{method}-v{version}.md"
        io.write_text(run.settings.models / run.pilot.pilot / name, text)
    described = {version: text for (_, version), text in cards.items()}
    tracking.describe(run.settings, run.pilot.pilot, described)
    aliases = {"baseline": run.pilot.baseline}
    if outcome.result in {"pass", "waived"}:
        aliases["challenger"] = run.pilot.candidate
    tracking.point(run.settings, run.pilot.pilot, aliases, outcome.versions)
    return outcome


def _with_digests(
    shown: RunReport, records: Sequence[tracking.MethodRecord]
) -> RunReport:
    digests = {record.name: record.digest for record in records if record.digest}
    methods = shown.methods.assign(digest=shown.methods["method"].map(digests))
    return replace(shown, methods=methods)


def _version_cards(run: Run, outcome: Outcome) -> dict[tuple[str, str], str]:
    """Return (method, version) -> card, for what this run registered."""
    shown = outcome.report
    digests = shown.methods.set_index("method")["digest"]
    return {
        (method, version): render_version_card(
            run.pilot, shown, method, version, digest=str(digests[method])
        )
        for method, version in outcome.versions.items()
        if method in run.pilot.methods
    }


def _write_evidence(run: Run, shown: RunReport, outputs: str, folder: Path) -> str:
    """Freeze what a signature will refer to and return its sha256.

    It is made of what was computed: the same run again gives the same evidence.
    """
    pilot = run.pilot
    frozen = bundle(
        shown.scorecard,
        shown.gates,
        subject={
            "pilot": pilot.pilot,
            "period": shown.period,
            "candidate": pilot.candidate,
            "baseline": pilot.baseline,
        },
        rules=[rule.model_dump(mode="json") for rule in pilot.gates],
        digests={
            **{k: v for k, v in shown.provenance.items() if k != "python"},
            "outputs": outputs,
        },
    )
    data = canonical(frozen)
    io.write_atomic(folder / "evidence.json", lambda path: _write_bytes(path, data))
    return evidence_digest(frozen)


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _write_drift(run: Run, compared: Compared, shown: RunReport, folder: Path) -> None:
    """Write the verdicts, and the page of the distributions they are about."""
    io.write_parquet(folder / "drift.parquet", shown.drift)
    data = run.pilot.data
    reference, made = contract.safe_view(compared.reference, data)
    current, _ = contract.safe_view(compared.current, data, reference=made)
    judged = set(shown.drift["column"])
    evidently.write_drift_report(
        current,
        reference,
        folder / "evidently.html",
        columns={name: "category" for name in current.columns if name in judged},
        verdicts=shown.drift,
        against=compared.against,
        said=shown.drift_sentence,
        seed=run.pilot.evaluate.seed,
        synthetic=data.synthetic,
    )


def _records(
    run: Run,
    compared: Compared,
    evaluation: Evaluation,
    shown: RunReport,
    runs: Sequence[MethodDone],
) -> list[tracking.MethodRecord]:
    """Store what has run: the baseline first, so that the candidate can name it."""
    pilot = run.pilot
    ordered = sorted(runs, key=lambda done: done.name != pilot.baseline)
    made: dict[str, tracking.MethodRecord] = {}
    for done in ordered:
        terms: dict[str, Any] = {"method": done.name}
        tables: dict[str, pd.DataFrame] = {}
        if done.name == pilot.candidate:
            base = made.get(pilot.baseline)
            terms |= {
                "baseline": (base.digest or "") if base else "",
                "thresholds": _thresholds(evaluation, done.name),
                "seen_to": shown.period.split(" to ")[-1],
            }
            tables = trained_tables(pilot, compared.trained)
        made[done.name] = _record(run, shown, done, terms, tables)
    return [made[done.name] for done in runs]


def _thresholds(evaluation: Evaluation, method: str) -> list[dict[str, Any]]:
    """Return the thresholds of a method; none: where nothing is automatic."""
    shown = evaluation.tables.get("thresholds")
    if shown is None:
        return []
    rows = shown[shown["method"] == method]
    limits = rows["threshold"].to_numpy(dtype=float)
    return [
        {
            "level": str(level),
            "group": str(group),
            "threshold": float(limit) if np.isfinite(limit) else None,
        }
        for (level, group), limit in zip(
            rows[["level", "group"]].to_numpy(), limits, strict=True
        )
    ]


def _record(
    run: Run,
    shown: RunReport,
    done: MethodDone,
    terms: dict[str, Any],
    tables: dict[str, pd.DataFrame],
) -> tracking.MethodRecord:
    spec = run.pilot.methods[done.name]
    card = shown.scorecard
    card = card[(card["method"] == done.name) & card["indicator"].isin(NAMES)]
    metrics = {
        f"{row['indicator']}_{row['level']}": float(row["value"])
        for _, row in card.iterrows()
    }
    seconds = {f"{t['step']}_seconds": float(t["wall_seconds"]) for t in done.timings}
    kept = _kept(run, done)
    digest = None
    if kept is not None:
        digest = model_store.store(
            kept,
            list(done.inputs),
            run.settings.confidential,
            terms=terms,
            tables=tables,
        )
    return tracking.MethodRecord(
        name=done.name,
        kind=spec.kind,
        params={"use": spec.use, **spec.params, **_made_of(run, done)},
        metrics=metrics | seconds,
        digest=digest,
        inputs=list(done.inputs.items()),
        answers=not isinstance(kept, Recipe),
    )


def _kept(run: Run, done: MethodDone) -> Any:
    """Return what a version of a method holds, None where it has none.

    A coding method is kept as it was fitted. Methods of the other themes are fitted
    anew to each period: their version is the recipe.
    """
    if run.pilot.methods[done.name].use == "mlstats.Incumbent":
        return None
    if run.pilot.theme == "coding":
        return done.method if hasattr(done.method, "save") else None
    return recipe_of(run.pilot, done.name, run.settings)


def _made_of(run: Run, done: MethodDone) -> dict[str, str]:
    """Return the digests of a recipe, and of what it has learnt where that is kept."""
    if run.pilot.theme == "coding":
        return {}
    told = {"recipe": recipe_of(run.pilot, done.name, run.settings).digest}
    if hasattr(done.method, "save"):
        told["fitted"] = model_store.store(
            done.method, list(done.inputs), run.settings.confidential
        )
    return told


def _flat(tree: Any, at: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        parts = [_flat(v, f"{at}.{k}" if at else str(k)) for k, v in tree.items()]
        return {k: v for part in parts for k, v in part.items()}
    return {at: tree}

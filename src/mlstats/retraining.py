"""A new version made of the training data and the codes that coders gave since.

It is a run of the pilot like any other: the version that is in production and the
baseline are scored on the same units, and the gates decide what may come of it. What
produces is changed by signed decisions alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats import dataset, model_store, runs
from mlstats.config import MethodSpec, Pilot
from mlstats.dataset import Dataset
from mlstats.errors import ConfigError, RefusedError, UsageError
from mlstats.method import predict_top
from mlstats.period import PeriodRange, ReferencePeriod
from mlstats.produced import Arm
from mlstats.production_arms import arms_of
from mlstats.proposals import PROPOSED
from mlstats.quality.audit_estimates import audit_design
from mlstats.release_drift import released_periods
from mlstats.release_tables import kept_table
from mlstats.releases import ReleaseStore
from mlstats.review_rows import data_of, open_period
from mlstats.review_status import coded_audit, labels_of
from mlstats.runs import STORED, Run
from mlstats.settings import Settings, load_settings

__all__ = ["CHAMPION", "Champion", "prepare", "read", "with_labels"]

CHAMPION: Final = "champion"  # how the version in production is called in the run


class Champion:
    """The version in production as it is stored: it learns nothing here.

    Parameters
    ----------
    digest : str
        Of the stored model.
    """

    kind_of_work = "predict"

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Champion:
        """Learn nothing; load the version."""
        self._stored = model_store.load(self.digest, load_settings().confidential)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the version's codes."""
        return np.asarray(self.predict_top(X, 1)[0][:, 0])

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Return the version's candidates, best first, and their scores."""
        return predict_top(self._stored.method, X[self._stored.columns], k)


def prepare(name: str, to: str, settings: Settings) -> Run:
    """Begin a run that also scores the version in production.

    Parameters
    ----------
    name : str
        Name or path of a coding pilot.
    to : str
        The period up to which coders' codes are taken. Where the split is by period
        it is the one that is tested on, and only codes of earlier periods train.

    Raises
    ------
    ConfigError
        Where the pilot is of another theme, or has a method of the name `champion`.
    UsageError
        Where no version is in production.
    """
    run = runs.prepare(name, settings)
    pilot = run.pilot
    if pilot.theme != "coding":
        raise ConfigError(
            f"Only codes are learnt from coders, {pilot.pilot} is {pilot.theme}",
            where="theme",
            hint=f"mlstats run {pilot.pilot} fits the methods to newer data",
        )
    champion = arms_of(pilot, settings).champion
    if champion is None:
        raise UsageError(
            f"No version of {pilot.pilot} is in production",
            expected="a champion to hold the new version to",
            hint=f"mlstats run {pilot.pilot}, then mlstats promote {pilot.pilot}",
        )
    until = str(ReferencePeriod.parse(to))
    return replace(
        run,
        pilot=_retrained(pilot, champion, until),
        noted=_noted(pilot, until, settings),
    )


def _retrained(pilot: Pilot, champion: Arm, until: str) -> Pilot:
    """Return the pilot with the version in production as one more method.

    Tested on an audit, a method that is a column has coded none of the units.
    """
    if CHAMPION in pilot.methods:
        raise ConfigError(
            f"A method of {pilot.pilot} is called {CHAMPION!r}",
            where="methods",
            hint="call it otherwise: a retraining calls the version in production so",
        )
    spec = MethodSpec(
        kind="ml",
        use=STORED,
        params={"digest": champion.digest},
    )
    by_period = pilot.evaluate.split.by == "period"
    audit = by_period and _beyond(pilot, until)
    methods = {
        name: one
        for name, one in pilot.methods.items()
        if not (audit and one.use == "mlstats.Incumbent")
    }
    return pilot.model_copy(update={"methods": {**methods, CHAMPION: spec}})


def _noted(pilot: Pilot, to: str, settings: Settings) -> dict[str, str]:
    """Return the tags of the run: what it was made for, and since when."""
    told = {"retrained_to": to}
    kept = kept_table(settings.monitor / pilot.pilot / "proposals.parquet")
    if kept is None:
        return told
    mine = kept[(kept["action"] == "retrain") & (kept["state"] == PROPOSED)]
    if mine.empty:
        return told
    row = mine.iloc[0]  # the last period stands first
    release = ReleaseStore(settings.releases).current(pilot.pilot, str(row["since"]))
    told |= {
        "retraining_cause": str(row["cause"]),
        "retraining_since": str(row["since"]),
    }
    if release is not None and release.published is not None:
        # What T5 counts from: the day on which the cause could be seen.
        told["retraining_triggered"] = release.published.date().isoformat()
    return told


def read(run: Run) -> Dataset:
    """Read the pilot's data and part them, as for any run.

    Where the split is by period and `data.periods` does not hold the one to test on,
    its audit is the test: units drawn at random, coded by coders who saw no
    suggestion, each with its weight over the chance of being drawn.

    Raises
    ------
    ContractError
        Where the data break the contract.
    RefusedError
        Where nobody has coded the audit of the period.
    """
    pilot, period = run.pilot, _tested(run)
    later = period is not None and _beyond(pilot, period)
    data, checked = dataset.load(pilot, run.settings, period=None if later else period)
    checked.raise_if_failed(pilot.pilot)
    if period is not None and later:
        data = _with_audit(run, data, period)
    parted = dataset.part(data, pilot, period=period)
    return replace(parted, cautions=[*parted.cautions, *_seen(run, period)])


def _beyond(pilot: Pilot, period: str) -> bool:
    """Return whether a period is later than those that the pilot's files hold."""
    if "{period}" not in pilot.data.source:
        return False  # the files tell their periods themselves
    last = PeriodRange.parse(str(pilot.data.periods)).last
    return last < ReferencePeriod.parse(period)


def _with_audit(run: Run, data: Dataset, period: str) -> Dataset:
    """Add the coded audit of a period, of which nothing else is known."""
    pilot, roles = run.pilot, run.pilot.data.roles
    now = open_period(pilot.pilot, period, run.settings)
    drawn = coded_audit(now)
    coded = drawn["truth"].notna().to_numpy(dtype=bool)
    audit = drawn[coded]
    if audit.empty:
        raise RefusedError(
            f"Nobody has coded the audit of {period}: there is nothing to test on",
            where=now.release.path,
            hint=f"mlstats review export {pilot.pilot} {period} --coder NAME, or add "
            "the period to data.periods, with its truth",
        )
    # Who was coded stands for the others of the stratum that are not coded yet.
    design = audit_design(drawn, coded)
    told = audit[["unit"]].assign(code=audit["truth"])
    rows = _rows(pilot, data_of(now).frame, told, period, pilot.truth)
    if roles.target and roles.target != pilot.truth:
        rows[roles.target] = None  # nobody has coded it in the usual way
    cautions = [f"tested on the audit of {period}: {len(rows)} units"]
    if design.fault:
        cautions.append(f"the audit of {period}: {design.fault}")
    if roles.weight:
        rows[roles.weight] = rows[roles.weight].to_numpy(dtype=float) * design.weight
    elif np.ptp(design.weight) > 0:
        cautions.append("no role weight: its units count alike, however drawn")
    return _added(data, rows, "test", pilot, cautions)


def _seen(run: Run, period: str | None) -> list[str]:
    """Tell where the version in production may know what it is tested on."""
    if period is None:
        return ["the version in production may have been trained on units of the test"]
    digest = run.pilot.methods[CHAMPION].params["digest"]
    until = model_store.terms_of(digest, run.settings.confidential).get("seen_to")
    if not until or ReferencePeriod.parse(until) < ReferencePeriod.parse(period):
        return []
    return [f"the evaluation of the version in production has seen {until}"]


def _tested(run: Run) -> str | None:
    """Return the period to test on, where the split is by period."""
    by_period = run.pilot.evaluate.split.by == "period"
    return run.noted["retrained_to"] if by_period else None


def with_labels(run: Run, data: Dataset) -> Dataset:
    """Add what coders coded to the training part.

    A code that no coder gave is never among it. Left out are clusters of the valid and
    the test part, codes of periods that are tested on or later, and, where the split
    is not by period, all blind audits, which evaluate.

    Returns
    -------
    Dataset
        With the units in fold ``train``; a unit that was there already stands once,
        with the coder's code.
    """
    pilot, roles = run.pilot, run.pilot.data.roles
    added = _coded(run)
    judged = data.folds.isin(["valid", "test"])
    names = [c for c in (roles.cluster, roles.unit_id) if c and c in data.frame]
    for name in names:
        held = data.frame.loc[judged, name].dropna().astype("str")
        added = added[~added[name].astype("str").isin(set(held))]
    if added.empty:
        why = "no code of a coder may train: none was given, or all evaluate"
        return replace(data, cautions=[*data.cautions, why])
    same = _keys(data.frame, pilot).isin(set(_keys(added, pilot)))
    folds = data.folds.mask((data.folds == "train") & same, "left_out")
    data = replace(data, folds=folds)
    taught = [f"codes of coders in train: {len(added)}"]
    done = _added(data, added, "train", pilot, [])
    return replace(done, notes=[*done.notes, *taught])


def _added(
    data: Dataset, rows: pd.DataFrame, fold: str, pilot: Pilot, cautions: list[str]
) -> Dataset:
    """Return the data with more rows, the codes of coders; the digest tells of them."""
    frame = pd.concat([data.frame, rows], ignore_index=True)[[*data.frame.columns]]
    known, roles = data.classification, pilot.data.roles
    column = pilot.truth if fold == "test" else roles.target or pilot.truth
    if pilot.data.classification is not None and pilot.data.classification.separator:
        known = known.extended(rows[column].astype(str).unique())
    told = rows[[roles.unit_id, column]].astype(str).sort_values([roles.unit_id])
    text = f"{data.digest}\n{told.to_csv(index=False)}"
    more = pd.Series(fold, index=range(len(rows)))
    return replace(
        data,
        frame=frame,
        folds=pd.concat([data.folds, more], ignore_index=True),
        classification=known,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        cautions=[*data.cautions, *cautions],
    )


def _keys(frame: pd.DataFrame, pilot: Pilot) -> pd.Series:
    """Return what names a unit: its id, within its period where it has one."""
    roles = pilot.data.roles
    named = frame[roles.unit_id].astype("str")
    if roles.period and roles.period in frame:
        return frame[roles.period].astype("str") + " " + named
    return named


def _coded(run: Run) -> pd.DataFrame:
    """Return the units that coders coded, with the columns of the data."""
    pilot, settings = run.pilot, run.settings
    to, by_period = ReferencePeriod.parse(run.noted["retrained_to"]), _tested(run)
    store, parts = ReleaseStore(settings.releases), []
    for period in released_periods(store, pilot.pilot):
        if to < period or (by_period and period == to):
            continue
        release = store.current(pilot.pilot, str(period))
        if release is None or release.without_records:
            continue
        now = open_period(pilot.pilot, str(period), settings)
        told = labels_of(now)
        told = told[told["kind"] != "second"]
        if not by_period:
            told = told[~told["evaluates"].astype(bool)]
        told = told.drop_duplicates("unit", keep="last")
        if len(told):
            learnt = pilot.data.roles.target or pilot.truth
            rows = _rows(pilot, data_of(now).frame, told, str(period), learnt)
            parts.append(rows)
    columns: Mapping[str, Any] = {c: [] for c in pilot.data.roles.columns()}
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns)


def _rows(
    pilot: Pilot, frame: pd.DataFrame, told: pd.DataFrame, period: str, column: str
) -> pd.DataFrame:
    """Return the data of coded units, with the coder's code in a column."""
    roles = pilot.data.roles
    named = frame.drop_duplicates(roles.unit_id).set_index(roles.unit_id, drop=False)
    rows = named.loc[told["unit"]].reset_index(drop=True)
    more: dict[str, Any] = {column: told["code"].to_numpy(dtype=object)}
    if roles.period and roles.period not in rows:
        more[roles.period] = period
    return rows.assign(**more)

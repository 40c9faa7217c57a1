"""How far a period's review has come, and what its audit says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlstats import io
from mlstats.audit_scorecard import released_accuracy
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.evaluate import keyed, levels_of
from mlstats.method import as_codes
from mlstats.pilot_files import load_pilot
from mlstats.quality.design import Design
from mlstats.quality.double_coding import coder_agreement
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS
from mlstats.releases import ReleaseStore
from mlstats.review_files import LABELS_FILE, ReviewFiles
from mlstats.review_rows import Reviewing, data_of, open_period
from mlstats.review_store import CLOSING
from mlstats.settings import Settings

__all__ = [
    "LABELS",
    "PeriodStatus",
    "classification_of",
    "coded_audit",
    "labels",
    "labels_of",
    "status",
    "status_of",
    "write_labels",
]

LABELS: Final = (
    "unit",
    "code",
    "coder",
    "time",
    "kind",
    "blind",
    "evaluates",
    "period",
)


@dataclass(frozen=True, eq=False)
class PeriodStatus:
    """Where the review of a period stands.

    Parameters
    ----------
    period : str
        The reference period.
    final : bool
        Whether the current release is final; one that is not yet made of the last
        reviews is not.
    queue_open, queue_closed : int
        Units of the queue without and with a clerk's code.
    audit_done, audit_drawn : int
        Units of the audit that were coded, and all of them.
    pairs, pairs_drawn : int
        Double-coded units that both coders have coded, and all of them.
    agreement, kappa : Estimate
        Of the two coders, at the level of the pilot's evaluation; not measured with
        fewer than ten pairs.
    accuracy : Estimate
        Share of right codes among all that were released without a clerk, at the same
        level, by the audit.
    files : pandas.DataFrame
        From :meth:`mlstats.review_files.ReviewFiles.held`.
    """

    period: str
    final: bool
    queue_open: int
    queue_closed: int
    audit_done: int
    audit_drawn: int
    pairs: int
    pairs_drawn: int
    agreement: Estimate
    kappa: Estimate
    accuracy: Estimate
    files: pd.DataFrame


def status(
    name: str, settings: Settings, *, period: str = ""
) -> Iterator[PeriodStatus]:
    """Yield the status of each released period of a pilot, or of one.

    Periods that were purged are left out, unless one is named.
    """
    pilot = load_pilot(name, project=settings.project)
    for one in _periods(pilot, settings, period):
        yield status_of(open_period(name, one, settings))


def _periods(pilot: Pilot, settings: Settings, period: str) -> list[str]:
    if period:
        return [period]
    store = ReleaseStore(settings.releases)
    found = {one: store.current(pilot.pilot, one) for one in store.periods(pilot.pilot)}
    return [one for one, now in found.items() if now is None or not now.without_records]


def status_of(now: Reviewing) -> PeriodStatus:
    """Return the status of a period.

    Agreement is weighted by one over the chance that a unit was double-coded, the
    accuracy as in :func:`mlstats.quality.audit_estimates.audit_error_rates`; units that
    were not coded yet count as not drawn.
    """
    pilot, audit = now.pilot, now.audit
    coded = coded_audit(now)
    classification = classification_of(now, coded)
    done = now.queue["hash"].isin(now.done(*CLOSING))
    pairs = coded[coded["truth"].notna() & coded["second"].notna()]
    agreement, kappa = _agreement(pilot, pairs, classification)
    return PeriodStatus(
        now.period,
        now.release.final,
        int((~done).sum()),
        int(now.release.facts["counts"].get("closed", 0)) + int(done.sum()),
        int(coded["truth"].notna().sum()),
        len(audit),
        len(pairs),
        int(audit["double_coded"].astype(bool).sum()),
        agreement,
        kappa,
        released_accuracy(pilot, coded, classification.ancestor),
        ReviewFiles(now.settings.database).held(pilot.pilot, now.period),
    )


def _codes(now: Reviewing, kind: str) -> pd.Series:
    told = now.reviewed[now.reviewed["kind"] == kind]
    by_hash = dict(zip(told["unit"], told["code"], strict=True))
    found = [by_hash.get(name) for name in now.audit["hash"]]
    return pd.Series(found, index=now.audit.index, dtype=object)


def _agreement(
    pilot: Pilot, pairs: pd.DataFrame, classification: Classification
) -> tuple[Estimate, Estimate]:
    if pairs.empty:
        gone = absent("not_measured", "no unit was coded by two coders")
        return gone, gone
    design = Design.of(1 / pairs["double_inclusion"].to_numpy(dtype=float))
    found = {
        one.indicator: one.estimate
        for _, one in coder_agreement(
            design,
            as_codes(pairs["truth"]),
            as_codes(pairs["second"]),
            "two coders",
            ancestor=classification.ancestor,
            levels=[pilot.evaluate.level],
        )
    }
    agreement, kappa = (found[f"double_coding_{one}"] for one in ("agreement", "kappa"))
    return _kept_back(agreement), _kept_back(kappa)


def _kept_back(found: Estimate) -> Estimate:
    """Tell nothing of fewer than ten units."""
    few = found.status == "measured" and found.n < LEAST_UNITS
    return absent("not_measured", KEPT_BACK, found.n) if few else found


def coded_audit(now: Reviewing) -> pd.DataFrame:
    """Return the audit with `truth` and `second`: what the two coders gave."""
    return now.audit.assign(truth=_codes(now, "audit"), second=_codes(now, "second"))


def classification_of(now: Reviewing, coded: pd.DataFrame) -> Classification:
    """Return the classification of a period with the codes of :func:`coded_audit`."""
    spec = now.pilot.data.classification
    assert spec is not None
    found = arm.read_classification(spec, finder(now.settings))
    given = pd.concat([coded[c].astype(object) for c in ("value", "truth", "second")])
    if spec.separator:
        found = found.extended([code for code in given if isinstance(code, str)])
    levels_of(now.pilot, found)  # a level that does not exist is told as such
    return found


# -- labels ------------------------------------------------------------------------


def labels(name: str, settings: Settings, *, period: str = "") -> pd.DataFrame:
    """Return what coders gave as data to train with, with who gave it and when.

    A code that no coder gave is never among them, whoever released it.

    Parameters
    ----------
    period : str
        All released periods where none is named.

    Returns
    -------
    pandas.DataFrame
        Columns unit, the pilot's text and auxiliary columns, code, coder, time, kind,
        blind (coded without a suggestion), evaluates and period. Only what `evaluates`
        may measure a method: the audit, a probability sample that was coded blind. All
        else may train. A unit that two coders coded has a row of each; one that was in
        queue and audit stands once, as audit.

    Raises
    ------
    RefusedError
        Where the data of a period have changed since its release.
    """
    pilot = load_pilot(name, project=settings.project)
    periods = _periods(pilot, settings, period)
    tables = [labels_of(open_period(name, one, settings)) for one in periods]
    return pd.concat(tables, ignore_index=True) if tables else _empty(pilot)


def write_labels(
    name: str, settings: Settings, *, period: str = "", out: Path | None = None
) -> tuple[Path, pd.DataFrame]:
    """Write :func:`labels` into the confidential store, or where `out` says."""
    table = labels(name, settings, period=period)
    pilot = load_pilot(name, project=settings.project).pilot
    folder = settings.confidential / "reviews" / pilot
    if out is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = out or folder / LABELS_FILE
    io.write_parquet(path, table)
    path.chmod(0o600)
    return path, table


def _shown(pilot: Pilot) -> list[str]:
    roles = pilot.data.roles
    names = [c for c in (*roles.text, *roles.auxiliary) if c not in LABELS]
    return list(dict.fromkeys(names))


def _empty(pilot: Pilot) -> pd.DataFrame:
    columns = [LABELS[0], *_shown(pilot), *LABELS[1:]]
    return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})


def labels_of(now: Reviewing) -> pd.DataFrame:
    """Return the rows of :func:`labels` of one period."""
    told = now.reviewed[now.reviewed["variable"] == ""].reset_index(drop=True)
    if told.empty:
        return _empty(now.pilot)
    frame, roles = data_of(now).frame, now.pilot.data.roles
    hashes = keyed(frame[roles.unit_id], now.key)
    place = pd.Series(np.arange(len(frame)), index=hashes)
    place = place[~place.index.duplicated()]
    told = told[told["unit"].isin(place.index)]
    audited = told.loc[told["kind"] == "audit", "unit"]
    told = told[~(told["kind"].isin(CLOSING) & told["unit"].isin(audited))]
    rows = frame.iloc[place[told["unit"]].to_numpy(dtype=int)].reset_index(drop=True)
    kinds = told["kind"].to_numpy(dtype=object)
    return pd.DataFrame(
        {
            "unit": rows[roles.unit_id],
            **{name: rows[name] for name in _shown(now.pilot)},
            "code": told["code"].to_numpy(dtype=object),
            "coder": told["coder"].to_numpy(dtype=object),
            "time": told["time"].to_numpy(dtype=object),
            "kind": kinds,
            "blind": kinds != "queue",
            "evaluates": np.isin(kinds.astype(str), ["audit", "second"]),
            "period": now.period,
        }
    )

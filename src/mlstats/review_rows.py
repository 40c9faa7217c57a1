"""Which units of a period wait for a coder, and what the coder is shown of each.

Units of the audit, of double coding and a random part of the queue are shown without a
suggestion, and nothing tells the three apart: whoever sees a suggestion tends to follow
it, and whoever knows an audit takes more care.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlstats import coding_production, model_store
from mlstats.coding.arm import method_frame, read_classification
from mlstats.coding.classification import Classification
from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.errors import ConfigError, MlstatsError, RefusedError, UsageError
from mlstats.evaluate import keyed, project_key
from mlstats.guard import method_guard
from mlstats.period_parts import PartedData, parted, rows_of
from mlstats.period_source import check_period
from mlstats.pilot_files import load_pilot
from mlstats.produced import PeriodData
from mlstats.release_tables import part_files
from mlstats.releases import Release, ReleaseStore
from mlstats.review_files import checksum
from mlstats.review_store import CLOSING, ReviewStore
from mlstats.scale import isolated
from mlstats.settings import Settings
from mlstats.workbook import text_of

__all__ = [
    "CANDIDATES",
    "Reviewing",
    "data_of",
    "may_give",
    "open_period",
    "shown",
    "waiting",
]

_log = logging.getLogger(__name__)

CANDIDATES: Final = coding_production.CANDIDATES
_SECONDS: Final = 600.0  # for the reasons of the baseline
_BLIND_RANGE: Final = 2**64
_AUDIT: Final = (
    *("unit", "hash", "value", "depth", "route", "audit_stratum", "inclusion"),
    *("double_coded", "double_inclusion"),
)


@dataclass(frozen=True, eq=False)
class Reviewing:
    """A period of a coding pilot that coders work on.

    Parameters
    ----------
    pilot : Pilot
        Of the theme coding.
    settings : Settings
        Of the project.
    release : Release
        The current one of the period.
    queue, audit : pandas.DataFrame
        Of the release, with `hash`, each unit once.
    reviewed : pandas.DataFrame
        From :meth:`mlstats.review_store.ReviewStore.read`.
    key : bytes
        Secret of the project.
    """

    pilot: Pilot
    settings: Settings
    release: Release
    queue: pd.DataFrame
    audit: pd.DataFrame
    reviewed: pd.DataFrame
    key: bytes

    @property
    def period(self) -> str:
        """The reference period."""
        return self.release.key.period

    def done(self, *kinds: str) -> set[str]:
        """Return the hashes of the units that were reviewed as one of the kinds."""
        return set(self.reviewed.loc[self.reviewed["kind"].isin(kinds), "unit"])


def open_period(name: str, period: str, settings: Settings) -> Reviewing:
    """Read what coders have to know of a period.

    Raises
    ------
    ConfigError
        Where the pilot is not of the theme coding.
    UsageError
        Where the period has no release.
    RefusedError
        Where it was purged.
    """
    pilot = load_pilot(name, project=settings.project)
    if pilot.theme != "coding":
        raise ConfigError(
            f"Only codes are reviewed in a workbook, {pilot.pilot} is {pilot.theme}",
            where="theme",
        )
    asked = str(check_period(pilot, period))
    release = ReleaseStore(settings.releases).current(pilot.pilot, asked)
    if release is None:
        raise UsageError(
            f"The period {asked} of {pilot.pilot} has no release",
            where=str(settings.releases),
            hint=f"mlstats produce {pilot.pilot} --period {asked}",
        )
    release.refuse_purged()
    kept, key = release.folder / "confidential", project_key(settings)
    queue = pd.read_parquet(kept / "queue.parquet").drop_duplicates("unit")
    audit = pd.read_parquet(kept / "audit.parquet")
    if audit.empty:  # no unit can be coded, or none has a code
        audit = pd.DataFrame(columns=list(_AUDIT), dtype=object)
    return Reviewing(
        pilot,
        settings,
        release,
        queue.assign(hash=keyed(queue["unit"], key)).reset_index(drop=True),
        audit,
        ReviewStore(settings.database).read(pilot.pilot, asked),
        key,
    )


def data_of(now: Reviewing) -> PeriodData:
    """Return the period's data, which are those of the release.

    Raises
    ------
    RefusedError
        Where they have changed since.
    """
    staging = now.settings.confidential / "parts" / ".not-used"
    parts = parted(now.pilot, now.settings, now.period, staging)
    if parts is None:
        data, _ = coding_production.load(now.pilot, now.settings, now.period)
    else:
        data = _in_parts(now, parts)
    if data.digest != now.release.key.input_digest:
        raise RefusedError(
            f"The data of {now.period} are not those of its release any more",
            where=now.release.path,
            hint=f"mlstats produce {now.pilot.pilot} --period {now.period}",
        )
    return data


def _in_parts(now: Reviewing, parts: PartedData) -> PeriodData:
    """Return the rows that clerks see, or have seen, of a period in parts."""
    spec = now.pilot.data.classification
    assert spec is not None
    seen = {*now.queue["unit"], *now.audit["unit"]}
    for path in part_files(now.release.folder / "confidential/units.parquet"):
        units = pd.read_parquet(path, columns=["unit", "flag"])
        seen |= set(units.loc[units["flag"] == "reviewed", "unit"])
    frame, digest = rows_of(parts, seen)
    classification = read_classification(spec, finder(now.settings))
    return PeriodData(frame, digest, [], classification)


def waiting(
    now: Reviewing, *, second: bool = False, without: Collection[str] = ()
) -> pd.DataFrame:
    """Return the units that nobody has coded yet.

    Parameters
    ----------
    second : bool
        The double-coded units, for their second coder.
    without : collection of str
        Hashes of units that are left out.

    Returns
    -------
    pandas.DataFrame
        Columns unit, hash, kinds (joined by ``+``: a unit of the queue may be in the
        audit too, and is coded once for both), blind, code_1 to code_5, score_1 to
        score_5 and baseline_code, the last eleven missing where blind.
    """
    audit = now.audit
    if second:
        wanted = audit["double_coded"].astype(bool) & ~audit["hash"].isin(
            now.done("second")
        )
        found = audit.loc[wanted, ["unit", "hash"]].assign(kinds="second", blind=True)
    else:
        found = _first(now)
    found = found[~found["hash"].isin(list(without))].reset_index(drop=True)
    names = [f"{what}_{k + 1}" for what in ("code", "score") for k in range(CANDIDATES)]
    told = now.queue.set_index("hash")
    told = told.reindex(columns=[*names, "baseline_code"]).astype(object)
    told = told.reindex(found["hash"]).reset_index(drop=True)
    blind = found["blind"].to_numpy(dtype=bool)
    told.loc[blind] = None
    return found.join(told)


def _first(now: Reviewing) -> pd.DataFrame:
    queue = now.queue[~now.queue["hash"].isin(now.done(*CLOSING))]
    audit = now.audit[~now.audit["hash"].isin(now.done("audit"))]
    both = queue["hash"].isin(audit["hash"]).to_numpy(dtype=bool)
    # By the unit alone: who has seen a suggestion never gets the unit as blind.
    blind = both | np.array(
        [_is_blind(now, name) for name in queue["hash"]], dtype=bool
    )
    kinds = np.where(both, "audit+blind", np.where(blind, "blind", "queue"))
    of_queue = queue[["unit", "hash"]].assign(kinds=kinds, blind=blind)
    alone = audit[~audit["hash"].isin(queue["hash"])]
    of_audit = alone[["unit", "hash"]].assign(kinds="audit", blind=True)
    return pd.concat([of_queue, of_audit], ignore_index=True)


def _is_blind(now: Reviewing, name: str) -> bool:
    share = now.pilot.production.review.blind_share
    told = checksum(now.key, "blind", now.pilot.pilot, now.period, name)
    return int(told, 16) < share * _BLIND_RANGE


def may_give(
    now: Reviewing, classification: Classification, codes: Sequence[str]
) -> dict[str, bool]:
    """Tell which codes a coder may give: those that exist, those that were offered."""
    offered = {
        str(code)
        for k in range(CANDIDATES)
        for code in now.queue[f"code_{k + 1}"].dropna()
    }
    offered |= set(map(str, now.pilot.data.uncodable.codes))
    there = classification.exists(codes, now.period)
    return {c: bool(ok) or c in offered for c, ok in zip(codes, there, strict=True)}


def shown(now: Reviewing, rows: pd.DataFrame, data: PeriodData) -> pd.DataFrame:
    """Return what a coder sees of units: all texts, as a codelist would hold them.

    Parameters
    ----------
    rows : pandas.DataFrame
        From :func:`waiting`.
    data : PeriodData
        From :func:`data_of`, with the classification.

    Returns
    -------
    pandas.DataFrame
        A row per row of `rows`: the pilot's text and auxiliary columns,
        candidate_1 to candidate_5, suggestions (their titles and scores) and reason.
    """
    roles = now.pilot.data.roles
    place = pd.Series(np.arange(len(data.frame)), index=data.frame[roles.unit_id])
    place = place[~place.index.duplicated()].reindex(rows["unit"])
    if place.isna().any():
        raise MlstatsError("A unit of the release is not in the data of its period")
    frame = data.frame.iloc[place.to_numpy(dtype=int)].reset_index(drop=True)
    columns = list(dict.fromkeys([*roles.text, *roles.auxiliary]))
    unit = (
        {"unit": _texts(rows["unit"])} if now.pilot.production.review.show_unit else {}
    )
    table = pd.DataFrame(unit | {_told(c): _texts(frame[c]) for c in columns})
    for k in range(CANDIDATES):
        table[f"candidate_{k + 1}"] = _texts(rows[f"code_{k + 1}"])
    table["suggestions"] = _suggestions(rows, data.more)
    table["reason"] = _reasons(now, rows, frame)
    return table


def _told(column: str) -> str:
    own = ["row", "unit", "suggestions", "reason", "code", "comment"]
    own += [f"candidate_{k + 1}" for k in range(CANDIDATES)]
    return f"{column} (data)" if column in own else column


def _texts(values: pd.Series) -> list[str]:
    missing = values.isna().to_numpy()
    cells = values.astype(object).tolist()
    return ["" if gone else text_of(v) for v, gone in zip(cells, missing, strict=True)]


def _suggestions(rows: pd.DataFrame, classification: Classification) -> list[str]:
    titles = dict(zip(classification.codes, classification.titles, strict=True))
    told = [""] * len(rows)
    for place, row in enumerate(rows.to_dict("records")):
        lines = []
        for k in range(CANDIDATES):
            code, score = row[f"code_{k + 1}"], row[f"score_{k + 1}"]
            if isinstance(code, str):
                sure = "" if pd.isna(score) else f" ({float(score):.2f})"
                lines.append(f"{code} {titles.get(code, '')}".rstrip() + sure)
        told[place] = "\n".join(lines)
    return told


# -- reasons -----------------------------------------------------------------------


def _reasons(now: Reviewing, rows: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """Return why the traditional method gives its code, where there are suggestions."""
    told = [""] * len(rows)
    given = rows["baseline_code"].notna() & ~rows["blind"].astype(bool)
    places = np.flatnonzero(given.to_numpy(dtype=bool))
    digest = now.release.key.baseline
    if not len(places) or not digest:
        return told
    asked = method_frame(frame.iloc[places], now.pilot.data.roles)
    try:
        found = isolated(
            explained, digest, asked, now.settings.confidential, seconds=_SECONDS
        )
    except MlstatsError as error:
        _log.warning("no reasons are told: %s", error.title)
        return told
    codes = rows["baseline_code"].to_numpy(dtype=object)
    for place, reason in zip(places, found, strict=True):
        told[place] = f"{now.pilot.baseline}: {reason or codes[place]}"
    return told


def explained(digest: str, asked: pd.DataFrame, confidential: Path) -> list[str]:
    """Return a stored method's reasons, empty texts where it tells none."""
    stored = model_store.load(digest, confidential)
    if not hasattr(stored.method, "explain"):
        return [""] * len(asked)
    with method_guard(digest[:12]):
        reasons = stored.method.explain(asked[stored.columns])["reason"]
    return _texts(reasons)

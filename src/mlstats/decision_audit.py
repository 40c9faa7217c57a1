"""Whether the log of decisions is as it was written, and what it was written about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from mlstats.decision_log import DecisionLog
from mlstats.decisions import Decision, Standing, faults, signatures, standing
from mlstats.registry import Registry, deviations, heads, read_registry
from mlstats.run_evidence import evidence_digest
from mlstats.settings import Settings
from mlstats.sheets import today

__all__ = ["Notice", "audit"]

_LIVE = ("valid", "shadow", "production", "suspended")


@dataclass(frozen=True)
class Notice:
    """What was seen of a pilot's decisions.

    Parameters
    ----------
    pilot : str
        Whose decisions.
    state : {"good", "doubtful", "broken"}
        Doubtful: MLflow's copy is not that of the log, or a waiver has expired.
        Broken: the log or the evidence is not what it was.
    said : str
        In words.
    """

    pilot: str
    state: str
    said: str


def audit(settings: Settings) -> Iterator[Notice]:
    """Yield what is wrong with each pilot's decisions, or that nothing is.

    The chain is recomputed; its last hash is compared with MLflow's copy, evidence
    files with what was signed, aliases and tags with the stages.

    Raises
    ------
    ServiceError
        Where log or registry do not answer; what was seen before is yielded.
    """
    log = DecisionLog(settings.database)
    logs = {
        name: list(held) for name, held in groupby(log.read(), lambda row: row.pilot)
    }
    broken = set()
    for pilot, held in logs.items():
        for said in faults(held):
            broken.add(pilot)
            yield Notice(pilot, "broken", said)
    for pilot in sorted({*logs, *heads(settings)}):
        if pilot in broken:
            continue
        # The log after the registry, which copies it: nobody is suspected for a
        # decision that was made meanwhile.
        registry, held = read_registry(settings, pilot), log.read(pilot)
        found = list(_audit(settings, pilot, held, registry))
        if not found and held:
            found = [Notice(pilot, "good", _in_words(held))]
        yield from found


def _audit(
    settings: Settings, pilot: str, rows: Sequence[Decision], registry: Registry
) -> Iterator[Notice]:
    if registry.head and registry.head not in {row.hash for row in rows}:
        yield Notice(
            pilot,
            "broken",
            f"MLflow knows the decision {registry.head[:12]}, the log does not: rows "
            "are missing at its end; restore the database from a copy",
        )
        return
    now = standing(rows)
    for version in [v for v, stage in now.stages.items() if stage in _LIVE]:
        said = _changed(settings, pilot, now.moved[version], registry)
        if said:
            yield Notice(pilot, "broken", said)
    for said in deviations(rows, registry):
        hint = f"mlstats promote {pilot} --repair"
        yield Notice(pilot, "doubtful", f"MLflow has {said}: {hint}")
    for said in _expired(rows, now):
        yield Notice(pilot, "doubtful", said)


def _changed(
    settings: Settings, pilot: str, row: Decision, registry: Registry
) -> str | None:
    """Tell where the evidence of a version is not what the log holds."""
    version = registry.versions.get(row.version)
    if version is None:
        return None  # told as a deviation
    run = version.tags.get("run", "?")
    found = evidence_digest(settings.runs / pilot / run)
    if found == row.evidence:
        return None
    about = f"evidence of version {row.version} ({run})"
    if not found:
        return f"the {about} is not there"
    return (
        f"the {about} was changed after decision {row.number}: it is {found[:12]}, "
        f"decided on was {row.evidence[:12]}"
    )


def _expired(rows: Sequence[Decision], now: Standing) -> Iterator[str]:
    """Yield the waivers under which the champion went by and that have expired."""
    if now.champion is None:
        return
    entry = next(
        row
        for row in reversed(rows)
        if (row.version, row.kind, row.stage_to)
        == (now.champion, "promote", "production")
    )
    signed = signatures(
        rows[: entry.number - 1], entry.version, entry.evidence, "production", "waive"
    )
    for waiver in sorted({row.waiver for row in signed}):
        told = json.loads(waiver)
        if date.fromisoformat(told["expires"]) < today():
            yield (
                f"version {entry.version} is in production under a waiver of "
                f"{told['gate']} that expired on {told['expires']}"
            )


def _in_words(rows: Sequence[Decision]) -> str:
    now = standing(rows)
    champion = "none" if now.champion is None else f"version {now.champion}"
    return f"{len(rows)} decisions, unchanged; in production: {champion}"

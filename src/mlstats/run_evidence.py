"""What a run has left of a version: its evidence, and the pilot as it ran."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlstats.errors import MlstatsError
from mlstats.provenance import resolved_digest
from mlstats.quality.evidence import parse
from mlstats.registry import RegisteredVersion

__all__ = [
    "evidence_digest",
    "evidence_flaws",
    "gate_results",
    "pilot_as_it_ran",
    "read_evidence",
    "roles_asked",
]


def evidence_digest(folder: Path) -> str:
    """Return the sha256 of ``evidence.json`` of a run, empty where it is not there."""
    return read_evidence(folder)[0]


def read_evidence(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the digest of a run's evidence and the evidence, as far as it is one."""
    try:
        data = (folder / "evidence.json").read_bytes()
    except OSError:
        return "", {}
    try:
        frozen = parse(data)
    except MlstatsError:
        frozen = {}
    known = isinstance(frozen, dict)
    return hashlib.sha256(data).hexdigest(), frozen if known else {}


def evidence_flaws(
    digest: str,
    frozen: Mapping[str, Any],
    held: RegisteredVersion,
    ran: Mapping[str, str],
    pilot: str,
) -> list[str]:
    """Return why the evidence of a run is not that of a version."""
    left = ran.get("evidence_hash", "")
    if not digest:
        return ["the evidence of its run is not there"]
    if not frozen or digest != left:
        return [f"evidence.json is {digest[:12]}, the run left {left[:12] or 'none'}"]
    subject = frozen.get("subject", {})
    found = []
    if subject.get("pilot") != pilot:
        found.append("the evidence is of another pilot")
    if subject.get("candidate") != held.tags.get("method"):
        found.append(
            f"its gates judged {subject.get('candidate')}, and this version is "
            f"{held.tags.get('method')}"
        )
    return found


def pilot_as_it_ran(
    folder: Path, frozen: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the pilot as it ran, and what is wrong with its file.

    A file that is not that of the evidence still names an author: one more than there
    was does no harm.
    """
    try:
        ran = yaml.safe_load((folder / "pilot.yaml").read_text(encoding="utf-8"))
        found = resolved_digest(ran)
        ran["owner"]["author"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return {}, ["the pilot as it ran is not there"]
    if found != frozen.get("digests", {}).get("config digest"):
        author = {"owner": ran["owner"]}
        return author, ["the pilot as it ran is not that of the evidence"]
    return ran, []


def gate_results(frozen: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return the gates with their results; a waiver of then does not count now."""
    return tuple(
        (
            str(row["gate"]),
            str(row["to"]),
            str(row["result"]).removeprefix("waived (").removesuffix(")"),
        )
        for row in frozen.get("gates", [])
    )


def roles_asked(frozen: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return stage -> the roles that its gates ask to sign."""
    asked: dict[str, set[str]] = {}
    for rule in frozen.get("rules", []):
        asked.setdefault(rule["to"], set()).update(rule.get("signed_by", []))
    return {to: frozenset(roles) for to, roles in asked.items()}

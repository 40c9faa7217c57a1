"""The rules of promotion: what a step needs, and who may take it.

Pure functions of the log and of what was found out about a version. The author never
approves; two people bring a version into production; a signature is on a digest, and
counts for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mlstats.decisions import (
    APPROVED,
    MOVES,
    PEOPLE,
    Act,
    Decision,
    signatures,
    standing,
)
from mlstats.errors import RefusedError, UsageError, nearest
from mlstats.identity import Identity
from mlstats.parties import Parties
from mlstats.shadowing import ShadowRecord

__all__ = [
    "Case",
    "missing",
    "promotion",
    "retirement",
    "rollback",
    "signing",
    "suspension",
]

_LEADING: Final = frozenset({"methodologist", "subject_owner"})
_WAIVER_PEOPLE: Final = 2
_REASON_LIMIT: Final = 2000


@dataclass(frozen=True)
class Case:
    """One version of a pilot, and what was found out about it today.

    Parameters
    ----------
    version : int
        As registered.
    model, evidence : str
        sha256 of the stored model and of ``evidence.json`` as it is now.
    gates : tuple of (str, str, str)
        Gate, the stage it guards, its result before any waiver.
    waivers : mapping of str to str
        Gate -> waiver as canonical JSON, of those that count today.
    asked : mapping of str to frozenset of str
        Stage -> roles that its gates ask to sign.
    parties : Parties
        Who made it and who decides.
    flaws : tuple of str
        Why the version cannot be relied on at all: another evidence than the run
        left, no model in the store, a trial.
    shadow : ShadowRecord, optional
        The periods that it ran in the shadow; without it no step to production.
    """

    version: int
    model: str
    evidence: str
    gates: tuple[tuple[str, str, str], ...]
    waivers: Mapping[str, str]
    asked: Mapping[str, frozenset[str]]
    parties: Parties
    flaws: tuple[str, ...] = field(default_factory=tuple)
    shadow: ShadowRecord | None = None


# -- what a step needs -------------------------------------------------------------


def missing(case: Case, rows: Sequence[Decision], to: str) -> list[str]:
    """Return what a version lacks for the step to a stage, nothing where it may go.

    Parameters
    ----------
    case : Case
        The version.
    rows : sequence of Decision
        The log of its pilot.
    to : str
        The stage.
    """
    stage = standing(rows).stage(case.version)
    if (stage, to) not in MOVES["promote"] or stage == "production":
        return [f"there is no step from {stage} to {to}"]
    lacks = list(case.flaws)
    if (stage, to) in APPROVED:
        lacks += _gates(case, rows, to)
        lacks += _shadowed(case) if to == "production" else []
        lacks += _signed(case, rows, to)
    return lacks


def _gates(case: Case, rows: Sequence[Decision], to: str) -> list[str]:
    """Return the gates to a stage that are neither passed nor waived."""
    guarding = [(gate, result) for gate, at, result in case.gates if at == to]
    if not guarding:
        return [f"the pilot has no gate to {to}"]
    lacks = []
    for gate, result in guarding:
        if result == "pass":
            continue
        waiver = case.waivers.get(gate)
        if waiver is None:
            lacks.append(f"gate {gate}: {result}, and no waiver counts today")
            continue
        signed = signatures(rows, case.version, case.evidence, to, "waive")
        people = {row.who.casefold() for row in signed if row.waiver == waiver}
        if len(people) < _WAIVER_PEOPLE:
            lacks.append(
                f"gate {gate}: {result}, and {len(people)} of {_WAIVER_PEOPLE} people "
                "have signed its waiver (--sign ROLE --waive GATE)"
            )
    return lacks


def _shadowed(case: Case) -> list[str]:
    """Return the periods that a version has yet to run in the shadow."""
    if case.shadow is None:
        return ["nobody counted its periods in the shadow"]
    return case.shadow.lacks()


def _signed(case: Case, rows: Sequence[Decision], to: str) -> list[str]:
    """Return the signatures that are missing for a step."""
    signed = [
        row
        for row in signatures(rows, case.version, case.evidence, to)
        if not Identity(row.who).is_among(case.parties.authors)
    ]
    people = {row.who.casefold() for row in signed}
    roles = {row.role for row in signed}
    lacks = []
    if len(people) < PEOPLE[to]:
        lacks.append(f"{len(people)} of {PEOPLE[to]} people have signed")
    if not roles & _LEADING:
        lacks.append("a signature as methodologist or subject_owner")
    asked = case.asked.get(to, frozenset()) - roles
    lacks += [f"a signature as {role}, asked for by a gate" for role in sorted(asked)]
    other = {
        row.evidence
        for row in rows
        if (row.kind, row.version, row.stage_to) == ("sign", case.version, to)
    } - {case.evidence}
    if lacks and other:
        lacks.append("signatures on other evidence are void")
    return lacks


# -- who may take it ---------------------------------------------------------------


def signing(
    case: Case,
    rows: Sequence[Decision],
    by: Identity,
    to: str,
    *,
    role: str,
    reason: str,
    waive: Sequence[str] = (),
) -> list[Act]:
    """Return a signature on the evidence of a version, and on waivers of gates.

    Raises
    ------
    RefusedError
        Where the user may not sign, the version has a flaw, or it is signed already.
    UsageError
        Where a gate has no waiver, the step needs no signature, or no reason is given.
    """
    stage = standing(rows).stage(case.version)
    if (stage, to) not in APPROVED:
        raise UsageError(
            f"Nobody signs the step from {stage} to {to}",
            where=f"version {case.version}",
            expected=" or ".join(b for a, b in sorted(APPROVED) if a == stage),
        )
    role = case.parties.approver(by, role)
    if case.flaws:
        raise _refused(case, to, case.flaws)
    made = [("sign", ""), *(("waive", _waiver(case, gate, to)) for gate in waive)]
    there = {
        (row.kind, row.who.casefold(), row.role, row.waiver)
        for kind, _ in made
        for row in signatures(rows, case.version, case.evidence, to, kind)
    }
    new = [
        _act(case, (stage, to), kind, by, role, reason, waiver)
        for kind, waiver in made
        if (kind, by.name.casefold(), role, waiver) not in there
    ]
    if not new:
        raise RefusedError(
            f"{by.name} has signed this already as {role}",
            where=f"version {case.version} to {to}",
        )
    return new


def promotion(
    case: Case, rows: Sequence[Decision], by: Identity, to: str, *, reason: str
) -> list[Act]:
    """Return the step to a stage; a champion that is there makes way.

    Putting an idea forward as valid approves nothing: its author may do it.

    Raises
    ------
    RefusedError
        With all that is missing.
    """
    now = standing(rows)
    step = (now.stage(case.version), to)
    lacks = missing(case, rows, to)
    if lacks:
        raise _refused(case, to, lacks)
    may = case.parties.approver if step in APPROVED else case.parties.member
    role = may(by)
    acts = [_act(case, step, "promote", by, role, reason)]
    if to == "production":
        told = f"version {case.version} takes over"
        acts = [*_leaves(rows, "promote", by, role, told), *acts]
    return acts


def suspension(
    rows: Sequence[Decision],
    version: int,
    by: Identity,
    parties: Parties,
    *,
    reason: str,
) -> list[Act]:
    """Return the suspension of a version; anybody responsible, its author too, may.

    Raises
    ------
    RefusedError
        Where the user has no part in the pilot, or nothing of it runs.
    """
    return [_stopped(rows, version, "suspend", by, parties.member(by), reason)]


def retirement(
    rows: Sequence[Decision],
    version: int,
    by: Identity,
    parties: Parties,
    *,
    reason: str,
) -> list[Act]:
    """Return the retirement of a version, which is for ever; a role is needed.

    Raises
    ------
    RefusedError
        Where the user holds no role, or it is retired already.
    """
    return [_stopped(rows, version, "retire", by, parties.holder(by), reason)]


def rollback(
    case: Case, rows: Sequence[Decision], by: Identity, *, reason: str
) -> list[Act]:
    """Return the way back to a version that had made way for another one.

    It was approved by two people on this very evidence; one who is not its author
    brings it back. Its gates have to be passed, or waived, still.

    Raises
    ------
    RefusedError
        Where it was suspended for another reason, its evidence is not what was
        approved, or a waiver has expired.
    """
    now = standing(rows)
    if case.version not in now.gave_way:
        raise RefusedError(
            f"Version {case.version} did not make way for another one",
            expected=_versions(sorted(now.gave_way)),
            hint="other versions return by --to production, with new signatures",
        )
    role = case.parties.approver(by)
    approved = next(
        row
        for row in reversed(rows)
        if row.version == case.version and row.stage_to == "production"
        and row.kind == "promote"
    )  # fmt: skip
    lacks = list(case.flaws)
    if approved.evidence != case.evidence:
        lacks.append("the evidence is not what was approved")
    # As signed when it went into production, under waivers that count today.
    lacks += _gates(case, rows[: approved.number - 1], "production")
    if lacks:
        raise _refused(case, "production", lacks)
    told = f"back to version {case.version}: {_told(reason)}"
    step = ("suspended", "production")
    return [
        *_leaves(rows, "rollback", by, role, told),
        _act(case, step, "rollback", by, role, reason),
    ]


# -- rows --------------------------------------------------------------------------


def _stopped(
    rows: Sequence[Decision], version: int, kind: str, by: Identity, role: str, why: str
) -> Act:
    now = standing(rows)
    to = "suspended" if kind == "suspend" else "retired"
    step = (now.stage(version), to)
    if step not in MOVES[kind] or version not in now.moved:
        raise RefusedError(
            f"Version {version} is at the stage {step[0]}: there is nothing to {kind}",
            expected=_versions([v for v in now.moved if now.stage(v) != "retired"]),
        )
    last = now.moved[version]
    return Act(
        version, last.model, last.evidence, *step, kind, by.name, role, _told(why)
    )


def _leaves(
    rows: Sequence[Decision], kind: str, by: Identity, role: str, told: str
) -> list[Act]:
    """Return the row by which the champion makes way, none where there is none."""
    now = standing(rows)
    if now.champion is None:
        return []
    last = now.moved[now.champion]
    step = ("production", "suspended")
    return [
        Act(now.champion, last.model, last.evidence, *step, kind, by.name, role, told)
    ]


def _act(
    case: Case,
    step: tuple[str, str],
    kind: str,
    by: Identity,
    role: str,
    reason: str,
    waiver: str = "",
) -> Act:
    why = _told(reason)
    return Act(
        case.version, case.model, case.evidence, *step, kind, by.name, role, why, waiver
    )


def _waiver(case: Case, gate: str, to: str) -> str:
    guarding = {name for name, at, _ in case.gates if at == to}
    if gate not in case.waivers or gate not in guarding:
        names = sorted(guarding & set(case.waivers))
        raise UsageError(
            f"No waiver that counts today names the gate {gate!r} to {to}",
            where="sheets.waivers",
            expected=", ".join(names) or "a waiver in the pilot's sheet",
            nearest=nearest(gate, names),
        )
    return case.waivers[gate]


def _told(reason: str) -> str:
    words = " ".join(reason.split())
    if not words or not words.isprintable() or len(words) > _REASON_LIMIT:
        raise UsageError(
            "The decision has no reason that can be kept",
            where="--reason",
            expected=f"a sentence, at most {_REASON_LIMIT:,} characters",
        )
    return words


def _versions(versions: Sequence[int]) -> str:
    return ", ".join(f"version {v}" for v in versions) or "no version is there"


def _refused(case: Case, to: str, lacks: Sequence[str]) -> RefusedError:
    return RefusedError(
        f"Version {case.version} cannot go to {to}: " + "; ".join(lacks),
        hint="--dry-run lists what is missing",
    )

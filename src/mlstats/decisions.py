"""Decisions on the versions of a pilot, chained by their hashes, and what they say.

A version is an idea until somebody puts it forward as valid; it runs in the shadow of
the traditional method, produces, is suspended or retired. Every step is a row that is
never changed: each holds the hash of the row before it, so that a row that was
changed, taken out or put in breaks the chain behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Final

from mlstats.quality.evidence import canonical

__all__ = [
    "APPROVED",
    "MOVES",
    "PEOPLE",
    "PURGE",
    "ROLES",
    "STAGES",
    "START",
    "Act",
    "Decision",
    "Standing",
    "chained",
    "faults",
    "signatures",
    "standing",
]

STAGES: Final = ("idea", "valid", "shadow", "production", "suspended", "retired")
ROLES: Final = ("methodologist", "subject_owner", "it")
START: Final = "0" * 64  # what the first row of a pilot has for the one before it

# Steps that need signatures, and from where they may be made.
APPROVED: Final = frozenset(
    {
        ("valid", "shadow"),
        ("shadow", "production"),
        ("suspended", "shadow"),
        ("suspended", "production"),
    }
)
# Kind -> the changes of stage that it may make. A promotion and a rollback suspend the
# version that makes way; signatures and waivers change no stage.
MOVES: Final[Mapping[str, frozenset[tuple[str, str]]]] = {
    "promote": APPROVED | {("idea", "valid"), ("production", "suspended")},
    "suspend": frozenset({("shadow", "suspended"), ("production", "suspended")}),
    "retire": frozenset((stage, "retired") for stage in STAGES[1:-1]),
    "rollback": frozenset({("production", "suspended"), ("suspended", "production")}),
}
# Stage -> how many people have to sign the step to it, besides what gates ask for.
PEOPLE: Final[Mapping[str, int]] = {"shadow": 1, "production": 2}
_NONE: Final = (0, "", "")  # version and stages of a purge
_SAYING: Final = ("sign", "waive")
PURGE: Final = "purge"  # tells what was removed; of no version and no stage


@dataclass(frozen=True)
class Act:
    """What somebody decides; see :class:`Decision`."""

    version: int
    model: str
    evidence: str
    stage_from: str
    stage_to: str
    kind: str
    who: str
    role: str
    reason: str
    waiver: str = ""


@dataclass(frozen=True)
class Decision(Act):
    """One row of the log.

    Parameters
    ----------
    version : int
        The registered version that is decided on.
    model, evidence : str
        sha256 of the model's files and of the run's ``evidence.json``.
    stage_from, stage_to : str
        One of :data:`STAGES`; of a signature, the step that it is for.
    kind : str
        sign, waive, promote, suspend, retire, rollback or purge.
    who, role : str
        Login name, and the role in which it was done.
    reason : str
        In words; never a record.
    waiver : str
        Of the kind waive: the waiver as canonical JSON; of the kind purge: what was
        removed, likewise.
    pilot : str
        Whose log it is.
    number : int
        From 1, without a gap.
    time : str
        UTC, ISO 8601.
    previous, hash : str
        sha256 of the row before, and of this row without its hash.
    """

    pilot: str = ""
    number: int = 0
    time: str = ""
    previous: str = START
    hash: str = ""

    def computed(self) -> str:
        """Return the sha256 of the canonical JSON of all fields but the hash."""
        held = {key: value for key, value in asdict(self).items() if key != "hash"}
        return hashlib.sha256(canonical(held)).hexdigest()


@dataclass(frozen=True)
class Standing:
    """Where the versions of a pilot stand after its decisions.

    Parameters
    ----------
    stages : mapping of int to str
        Version -> stage; a version without a row is an idea.
    moved : mapping of int to Decision
        Version -> the row that brought it to its stage.
    gave_way : frozenset of int
        Suspended versions that left production only because another took over.
    """

    stages: Mapping[int, str] = field(default_factory=dict)
    moved: Mapping[int, Decision] = field(default_factory=dict)
    gave_way: frozenset[int] = frozenset()

    def stage(self, version: int) -> str:
        """Return the stage of a version."""
        return self.stages.get(version, "idea")

    def at(self, stage: str) -> list[int]:
        """Return the versions at a stage, the newest last."""
        return sorted(v for v, held in self.stages.items() if held == stage)

    @property
    def champion(self) -> int | None:
        """The version in production, None where the baseline produces alone."""
        return next(iter(self.at("production")), None)

    def since(self, version: int) -> int:
        """Return the number of the row that brought a version to its stage, or 0."""
        return self.moved[version].number if version in self.moved else 0


def chained(
    acts: Sequence[Act], pilot: str, rows: Sequence[Decision], time: str
) -> list[Decision]:
    """Return acts as the rows that follow `rows`.

    Parameters
    ----------
    acts : sequence of Act
        In their order.
    rows : sequence of Decision
        The whole log of the pilot.
    time : str
        UTC, ISO 8601.
    """
    previous = rows[-1].hash if rows else START
    made = []
    for number, act in enumerate(acts, start=len(rows) + 1):
        told = {f.name: getattr(act, f.name) for f in fields(Act)}
        row = Decision(**told, pilot=pilot, number=number, time=time, previous=previous)
        row = Decision(**{**asdict(row), "hash": row.computed()})
        made.append(row)
        previous = row.hash
    return made


def faults(rows: Sequence[Decision]) -> list[str]:
    """Return what is wrong with the log of a pilot, in the order of its rows.

    A row that was changed does not give its hash; a row that was taken out or put in
    leaves a gap in numbers or hashes; rows that were made by hand take a step that
    nobody may take. Rows missing at the end leave no trace here: MLflow's copy of the
    last hash tells them.
    """
    found, previous = [], START
    for number, row in enumerate(rows, start=1):
        if row.number != number:
            found.append(f"row {number} is missing, row {row.number} stands there")
            break
        if row.computed() != row.hash:
            found.append(f"row {number} was changed: its content has another hash")
        if row.previous != previous:
            found.append(f"row {number} does not follow the row before it")
        previous = row.hash
    return found or _steps(rows)


def signatures(
    rows: Sequence[Decision], version: int, evidence: str, to: str, kind: str = "sign"
) -> list[Decision]:
    """Return the signatures that count for a version's step to a stage.

    Those on other evidence are void, and those from before the version came to its
    present stage are used up.

    Parameters
    ----------
    rows : sequence of Decision
        The log of the pilot up to the step.
    version, evidence, to
        What was signed, and for which stage.
    kind : {"sign", "waive"}
        Waivers are signed alike.
    """
    since = standing(rows).since(version)
    return [
        row
        for row in rows
        if (row.kind, row.version, row.evidence, row.stage_to)
        == (kind, version, evidence, to)
        and row.number > since
    ]


def _steps(rows: Sequence[Decision]) -> list[str]:
    """Return the rows that take a step which is not allowed."""
    found, before = [], Standing()
    for place, row in enumerate(rows):
        follows = rows[place + 1] if place + 1 < len(rows) else None
        said = _step(row, before, follows) or _unsigned(row, rows[:place])
        if said is not None:
            found.append(f"row {row.number}: {said}")
        before = _after(before, row)
    return found


def _step(row: Decision, before: Standing, follows: Decision | None) -> str | None:
    step = (row.stage_from, row.stage_to)
    if row.kind == PURGE:
        return "a purge changes no stage" if (row.version, *step) != _NONE else None
    if before.stage(row.version) != row.stage_from:
        return f"version {row.version} was not at the stage {row.stage_from}"
    if row.kind in _SAYING:
        return None if step in APPROVED else f"nobody signs {step[0]} to {step[1]}"
    if step not in MOVES.get(row.kind, ()):
        return f"no {row.kind} goes from {step[0]} to {step[1]}"
    if row.stage_to == "production" and before.champion is not None:
        return f"version {before.champion} was in production already"
    if row.kind == "rollback" and step[1] == "production":
        known = row.version in before.gave_way
        return None if known else f"version {row.version} had not made way"
    if _makes_way(row) and not (
        follows is not None
        and (follows.kind, follows.stage_to) == (row.kind, "production")
    ):
        return f"version {row.version} made way, and none took its place"
    return None


def _unsigned(row: Decision, rows: Sequence[Decision]) -> str | None:
    """Tell of a promotion that fewer people have signed than any may be signed by."""
    if row.kind != "promote" or (row.stage_from, row.stage_to) not in APPROVED:
        return None
    signed = signatures(rows, row.version, row.evidence, row.stage_to)
    needed = PEOPLE[row.stage_to]
    if len({s.who.casefold() for s in signed}) >= needed:
        return None
    return f"the step to {row.stage_to} has not the signatures of {needed}"


def _makes_way(row: Decision) -> bool:
    """Tell whether a version leaves production for another one."""
    leaves = (row.stage_from, row.stage_to) == ("production", "suspended")
    return leaves and row.kind in ("promote", "rollback")


def standing(rows: Sequence[Decision]) -> Standing:
    """Return where the versions stand; the rows are taken as they are."""
    found = Standing()
    for row in rows:
        found = _after(found, row)
    return found


def _after(before: Standing, row: Decision) -> Standing:
    if row.kind in _SAYING or row.kind == PURGE:
        return before
    gave_way = before.gave_way - {row.version}
    if _makes_way(row) and row.kind == "promote":
        gave_way |= {row.version}
    return Standing(
        {**before.stages, row.version: row.stage_to},
        {**before.moved, row.version: row},
        gave_way,
    )

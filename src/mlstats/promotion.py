"""Promotion of a pilot's versions: facts are gathered, rules asked, decisions kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mlstats.approval import (
    Case,
    missing,
    promotion,
    retirement,
    rollback,
    signing,
    suspension,
)
from mlstats.config import ShadowPlan
from mlstats.decision_log import DecisionLog
from mlstats.decisions import ROLES, Act, Decision, faults, standing
from mlstats.errors import RefusedError, ServiceError, UsageError
from mlstats.identity import Identity, operating_system_user
from mlstats.model_store import verify
from mlstats.parties import Parties
from mlstats.pilot_files import load_pilot
from mlstats.quality.evidence import canonical
from mlstats.quality.waiver import counting
from mlstats.registry import (
    RegisteredVersion,
    Registry,
    mirror,
    read_registry,
    run_tags,
)
from mlstats.run_evidence import (
    evidence_flaws,
    gate_results,
    pilot_as_it_ran,
    read_evidence,
    roles_asked,
)
from mlstats.settings import Settings
from mlstats.shadowing import ShadowRecord, shadow_record
from mlstats.sheets import read_sheets, today
from mlstats.truth_origin import truth_flaws

__all__ = ["Desk"]

# The stage from which a version without a number comes to a stage.
_FROM: Final = {"valid": "idea", "shadow": "valid", "production": "shadow"}


class Desk:
    """Where decisions on one pilot are made.

    Parameters
    ----------
    name : str
        Name or path of the pilot.
    settings : Settings
        Of the project.
    who : callable
        Returns who decides. There is no other way to say who one is.

    Raises
    ------
    ConfigError, UsageError
        Where there is no such pilot.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        who: Callable[[], Identity] = operating_system_user,
    ) -> None:
        self.settings = settings
        self.pilot = load_pilot(name, project=settings.project)
        self.name = self.pilot.pilot
        self.log = DecisionLog(settings.database)
        self.who = who

    def lacks(self, to: str, version: int | None = None) -> tuple[int, list[str]]:
        """Return the version and what it lacks for the step to a stage."""
        registry, rows = read_registry(self.settings, self.name), self._rows()
        chosen = self._chosen(to, version, rows, registry)
        return chosen, missing(self._case(chosen, registry, to), rows, to)

    def sign(
        self,
        to: str,
        *,
        role: str,
        reason: str,
        waive: Sequence[str] = (),
        version: int | None = None,
    ) -> list[Decision]:
        """Sign the evidence of a version for the step to a stage.

        Parameters
        ----------
        role : str
            In which the user signs.
        waive : sequence of str
            Gates whose waivers the user signs too.

        Raises
        ------
        RefusedError
            Where the user may not sign, or the version has a flaw.
        ServiceError
            Where log or registry do not answer.
        """
        registry = read_registry(self.settings, self.name)
        chosen = self._chosen(to, version, self._rows(), registry)
        case, by = self._case(chosen, registry), self.who()
        return self._record(
            lambda rows: signing(
                case, rows, by, to, role=role, reason=reason, waive=waive
            )
        )

    def promote(
        self, to: str, *, reason: str, version: int | None = None
    ) -> list[Decision]:
        """Bring a version to the stage valid, shadow or production.

        Raises
        ------
        RefusedError
            With all that is missing.
        ServiceError
            Where log or registry do not answer.
        """
        registry = read_registry(self.settings, self.name)
        chosen = self._chosen(to, version, self._rows(), registry)
        case, by = self._case(chosen, registry, to), self.who()
        return self._record(lambda rows: promotion(case, rows, by, to, reason=reason))

    def stop(
        self, to: str, *, reason: str, version: int | None = None
    ) -> list[Decision]:
        """Suspend or retire a version; the registry need not answer for it.

        Raises
        ------
        RefusedError
            Where the user may not, or there is nothing to stop.
        ServiceError
            Where the log cannot be written.
        """
        by, parties = self.who(), self._parties()
        now = standing(self._rows())
        running = [*now.at("shadow"), *now.at("production")]
        if version is None and len(running) != 1:
            raise UsageError(
                f"It is not clear which version of {self.name} is meant",
                expected=" or ".join(f"--version {v}" for v in running) or None,
                hint="mlstats decisions lists the versions",
            )
        chosen = running[0] if version is None else version
        act = suspension if to == "suspended" else retirement
        return self._record(lambda rows: act(rows, chosen, by, parties, reason=reason))

    def roll_back(self, *, reason: str, version: int | None = None) -> list[Decision]:
        """Bring back the version that made way for the champion.

        Raises
        ------
        RefusedError
            Where there is none, or it may not come back.
        ServiceError
            Where log or registry do not answer.
        """
        now = standing(self._rows())
        before = sorted(now.gave_way, key=now.since)
        if version is None and not before:
            raise RefusedError(
                f"No version of {self.name} has made way for another one",
                hint="mlstats promote --to suspended lets the baseline produce alone",
            )
        chosen = before[-1] if version is None else version
        case = self._case(chosen, read_registry(self.settings, self.name))
        by = self.who()
        return self._record(lambda rows: rollback(case, rows, by, reason=reason))

    def repair(self) -> list[str]:
        """Copy the log into MLflow again; return what was put right.

        Raises
        ------
        ServiceError
            Where MLflow does not answer, and where the log is not as it was written.
        """
        wrong = faults(self._rows())
        if wrong:
            raise ServiceError(
                f"A log that was changed is not copied: {wrong[0]}",
                where=self.log.place,
                hint="mlstats doctor tells all; restore the database from a copy",
            )
        return mirror(self.settings, self.name, self._rows)

    # -- the log -------------------------------------------------------------------

    def _rows(self) -> list[Decision]:
        return self.log.read(self.name)

    def _record(
        self, decide: Callable[[Sequence[Decision]], Sequence[Act]]
    ) -> list[Decision]:
        self.settings.prepare()
        made = self.log.append(self.name, decide)
        try:
            mirror(self.settings, self.name, self._rows)
        except ServiceError as error:
            raise ServiceError(
                f"The decision is recorded; its copy is not: {error.title}",
                where=error.where,
                hint=f"mlstats promote {self.name} --repair, once MLflow answers",
            ) from None
        return made

    def _chosen(
        self,
        to: str,
        version: int | None,
        rows: Sequence[Decision],
        registry: Registry,
    ) -> int:
        """Return the version that is meant: the newest that can take the step."""
        if version is None:
            now, stage = standing(rows), _FROM.get(to, "")
            method = self.pilot.candidate
            able = [
                number
                for number, held in registry.versions.items()
                if now.stage(number) == stage
                and (stage != "idea" or held.tags.get("method") == method)
            ]
            if able:
                return max(able)
            raise UsageError(
                f"No version of {self.name} is at the stage {stage}",
                where=f"the step to {to}",
                hint=f"mlstats decisions {self.name} tells where the versions stand",
            )
        if version in registry.versions:
            return version
        raise RefusedError(
            f"Version {version} of {self.name} is not registered",
            expected=", ".join(str(v) for v in sorted(registry.versions)) or None,
            hint=f"mlstats run {self.name} registers one",
        )

    # -- facts ---------------------------------------------------------------------

    def _parties(self, *authors: str) -> Parties:
        owner = self.pilot.owner
        named = [owner.author, *authors]
        return Parties(
            tuple(dict.fromkeys(name for name in named if name)),
            {role: owner.holders(role) for role in ROLES},
        )

    def _case(self, version: int, registry: Registry, to: str = "") -> Case:
        """Find out about a version; what cannot be relied on becomes a flaw.

        Its periods in the shadow are counted for a step to production only.
        """
        held = registry.versions.get(version)
        if held is None:
            raise RefusedError(f"Version {version} of {self.name} is not registered")
        ran = run_tags(self.settings, held.run)
        folder = self.settings.runs / self.name / held.tags.get("run", "?")
        digest, frozen = read_evidence(folder)
        pilot, flaws = pilot_as_it_ran(folder, frozen)
        flaws += evidence_flaws(digest, frozen, held, ran, self.name)
        flaws += truth_flaws(pilot, frozen.get("indicators", []))
        flaws += self._version_flaws(held, ran)
        waivers = counting(
            read_sheets(self.pilot, self.settings.project).waivers, today()
        )
        return Case(
            version=version,
            model=held.tags.get("model_digest", ""),
            evidence=digest,
            gates=gate_results(frozen),
            waivers={
                gate: canonical(waiver.model_dump(mode="json")).decode()
                for gate, waiver in waivers.items()
            },
            asked=roles_asked(frozen),
            parties=self._parties(
                str(pilot.get("owner", {}).get("author", "")),
                held.tags.get("registered_by", ""),
            ),
            flaws=tuple(flaws),
            shadow=self._shadow(held, pilot) if to == "production" else None,
        )

    def _shadow(
        self, held: RegisteredVersion, pilot: Mapping[str, Any]
    ) -> ShadowRecord:
        """Count its periods in the shadow, by the plan of the pilot as it ran."""
        plan = pilot.get("production", {}).get("shadow", {})
        return shadow_record(
            self.settings,
            self.name,
            held.version,
            held.tags.get("model_digest", ""),
            self._rows(),
            ShadowPlan.model_validate(plan),
        )

    def _version_flaws(
        self, held: RegisteredVersion, ran: Mapping[str, str]
    ) -> list[str]:
        found = []
        if not held.tags.get("registered_by"):
            found.append("nobody knows who registered it: run the pilot again")
        trial = [key for key in ran if key.startswith("trial_")]
        if trial:
            found.append(f"a trial made it ({', '.join(sorted(trial))})")
        try:
            verify(held.tags.get("model_digest", ""), self.settings.confidential)
        except ServiceError as error:
            found.append(error.title)
        return found

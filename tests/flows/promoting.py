"""Versions of a finished run on their way to the shadow, in a copy of its project."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from mlstats.identity import Identity
from mlstats.promotion import Desk
from mlstats.registry import read_registry
from mlstats.settings import Settings, load_settings
from tests.flows.conftest import Finished

ADA, MEI = Identity("ada"), Identity("mei")
WHY = "as the board decided in June"
WAIVERS = """
version: 1
waivers:
  - gate: {gate}
    text: The next survey will tell.
    expires: 2999-12-31
    first: {{person: A. Lovelace, role: methodologist, day: 2026-11-02}}
    second: {{person: M. Mei, role: subject owner, day: 2026-11-03}}
"""


def copied(done: Finished, pilot: str, to: Path, *, waived: str = "") -> Settings:
    """Copy the project of a run; ada and mei hold roles there, a gate may be waived."""
    shutil.copytree(done.project, to, dirs_exist_ok=True)
    path = to / f"configs/pilots/{pilot}.yaml"
    told = yaml.safe_load(path.read_text())
    told["owner"]["roles"] = {"methodologist": "ada", "subject_owner": "mei"}
    if waived:
        told["sheets"] = {"waivers": "waivers.yaml"}
        (to / "configs/waivers.yaml").write_text(WAIVERS.format(gate=waived))
    path.write_text(yaml.safe_dump(told))
    return load_settings(project=to)


def desk(settings: Settings, pilot: str, who: Identity = ADA) -> Desk:
    """Return the desk of somebody."""
    return Desk(pilot, settings, who=lambda: who)


def to_shadow(settings: Settings, pilot: str, *waive: str) -> int:
    """Bring the newest version of the candidate into the shadow; return it."""
    desk(settings, pilot).promote("valid", reason=WHY)
    for who, role in ((ADA, "methodologist"), (MEI, "subject_owner")):
        desk(settings, pilot, who).sign("shadow", role=role, reason=WHY, waive=waive)
    (row,) = desk(settings, pilot).promote("shadow", reason=WHY)
    assert row.stage_to == "shadow"
    return row.version


def aliases(settings: Settings, pilot: str) -> dict[str, str]:
    """Return alias -> method of the version that bears it."""
    held = read_registry(settings, pilot)
    return {
        alias: held.versions[version].tags["method"]
        for alias, version in held.aliases.items()
    }

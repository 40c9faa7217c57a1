"""No way to production but through the shadow, in a real log and a real registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlstats import io
from mlstats.errors import RefusedError
from mlstats.pilot_files import load_pilot
from mlstats.releases import ReleaseKey, ReleaseStore
from mlstats.settings import Settings, load_settings
from tests.flows.test_promotion import ADA, MEI, PILOT, TOM, WHY, call, desk, ran

NONE = "shadow: {live: 0, back_cast: 0}"
ASKED = "shadow: {live: 2, back_cast: 1}"


@pytest.fixture
def office(tmp_path: Path) -> Settings:
    """Make a project whose pilot ran and asks for three periods in the shadow."""
    (tmp_path / "configs/pilots").mkdir(parents=True)
    pilot = PILOT.replace(NONE, ASKED).replace("sheets: {waivers: waivers.yaml}", "")
    (tmp_path / "configs/pilots/diary.yaml").write_text(pilot)
    settings = load_settings(project=tmp_path)
    settings.prepare()
    ran(load_pilot("diary", project=tmp_path), settings, "r1", "pass")
    return settings


def answered(office: Settings, period: str, *, model: str = "") -> Path:
    """Leave what a model, the version's own, answered in the shadow for a period."""
    (kept,) = (office.confidential / "models").iterdir()
    facts = {
        "shadow_version": 1,
        "shadow_model": model or kept.name,
        "answered": True,
    }
    key = ReleaseKey("diary", period, "i", json.dumps(facts), "c", "b")
    store = ReleaseStore(office.shadows)
    made = store.publish(
        key, lambda folder: io.write_text(folder / "a.csv", "x\n"), facts=facts
    )
    return made.folder


def test_a_version_produces_after_its_periods_in_the_shadow(office: Settings) -> None:
    pointer = answered(office, "2026-01").parent / "current.json"
    long_ago = {"number": 1, "final": False, "published": "2020-01-01T00:00:00+00:00"}
    io.write_json(pointer, long_ago)  # before it came to the shadow
    desk(office, MEI).promote("valid", reason=WHY)
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    desk(office, MEI).promote("shadow", reason=WHY)
    for who, role in ((ADA, "methodologist"), (TOM, "it")):
        desk(office, who).sign("production", role=role, reason=WHY)
    assert desk(office, MEI).lacks("production") == (1, ["0 of 2 live shadow periods"])
    said = call("promote", "diary", "--to", "production", "--dry-run", code=1)
    assert "- 0 of 2 live shadow periods" in said
    # A plan that is made smaller later is not the plan that was signed.
    path = office.project / "configs/pilots/diary.yaml"
    path.write_text(path.read_text().replace(ASKED, NONE))
    answered(office, "2026-02")
    answered(office, "2026-03", model="0" * 64)
    with pytest.raises(RefusedError, match="1 of 2 live shadow periods"):
        desk(office, MEI).promote("production", reason=WHY)
    path.write_text(path.read_text().replace(NONE, ASKED))
    said = call("decisions", "diary")
    assert "diary: version 1 is shadow" in said
    assert "version 1 in the shadow: 1 live, 1 back-cast" in said
    last = answered(office, "2026-04")
    assert desk(office, MEI).lacks("production") == (1, [])
    (last / "a.csv").write_text("y\n")
    assert "it does not count: 2026-04: its files are" in call("decisions", "diary")
    _, lacks = desk(office, MEI).lacks("production")
    assert lacks[0] == "1 of 2 live shadow periods"
    assert lacks[-1].endswith("2026-04: its files are not what was written")
    (last / "a.csv").write_bytes(b"x\n")
    (row,) = desk(office, MEI).promote("production", reason=WHY)
    assert row.stage_to == "production"
    # It comes back from a suspension by what it has shown, and by new signatures.
    desk(office, TOM).stop("suspended", reason=WHY)
    _, lacks = desk(office, MEI).lacks("production", version=1)
    assert lacks[0] == "0 of 2 people have signed"

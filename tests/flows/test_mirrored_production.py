"""The flow of a period with a mirror: a copy that fails unmakes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlstats.release_mirror import fetch, verify_mirror
from mlstats.releases import ReleaseStore
from tests.production_example import appoint, office

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("kills")]

REPOSITORY = Path(__file__).parents[2]
PERIOD = "2026-02"
FLOW = """
import json
from mlstats.settings import load_settings
load_settings()
from pipelines.start import run_produce
made = run_produce("diaries", "2026-02")
print(json.dumps([made.release.number, made.unmirrored, list(made.notes)]))
"""


def run(project: Path, mirror: str) -> tuple[int, str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", FLOW],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "MLSTATS_PROJECT": str(project),
            "MLSTATS_PUBLISH": mirror,
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
        },
        stdout=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    number, unmirrored, notes = json.loads(done.stdout.splitlines()[-1])
    return number, unmirrored, notes


def test_a_period_is_released_and_copied_when_the_mirror_is_back(
    tmp_path: Path,
) -> None:
    project, mirror = tmp_path / "project", tmp_path / "mirror"
    made = office(project)
    appoint(made.settings, made.linear, "production")
    mirror.write_text("in the way")
    number, unmirrored, notes = run(project, str(mirror))
    assert number == 1
    assert unmirrored
    assert any("not copied to MLSTATS_PUBLISH" in note for note in notes)
    release = ReleaseStore(made.settings.releases).current("diaries", PERIOD)
    assert release is not None
    mirror.unlink()
    number, unmirrored, notes = run(project, str(mirror))
    assert (number, unmirrored) == (1, "")
    assert verify_mirror(str(mirror), "diaries", PERIOD) == []
    back = fetch(str(mirror), "diaries", PERIOD, tmp_path / "fetched")
    assert back.files == release.files

"""Where the tests find real data, and what they must not touch."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"

# Figures must not depend on the number of threads; set before numpy is imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data sets, or skip."""
    folder = Path(os.environ.get("MLSTATS_DATA") or SHARED)
    if not (folder / "coding").is_dir():
        pytest.skip("the real data sets are not on this machine")
    return folder


@pytest.fixture(autouse=True)
def _own_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in a folder of its own, with the settings' defaults."""
    for variable in list(os.environ):
        if variable.startswith("MLSTATS_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)

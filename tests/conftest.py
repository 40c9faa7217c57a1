"""Where the tests find real data, and what they must not touch."""

import atexit
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import s3_server
from tests.postgresql_cluster import PROGRAMS, Cluster, cluster, new_database

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"

# Figures must not depend on the number of threads; set before numpy is imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Prefect reads its home once, at its import: one for all tests, not one test's own.
# A worker of a pool that imports this has that of its tests.
if multiprocessing.parent_process() is None:
    _prefect_home = tempfile.mkdtemp(prefix="mlstats-prefect-")
    atexit.register(shutil.rmtree, _prefect_home, ignore_errors=True)
    os.environ["PREFECT_HOME"] = _prefect_home

# The same examples in every run, and no time limits: the machine may be busy.
settings.register_profile(
    "mlstats",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mlstats")


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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """Start a cluster that ends with the tests, or skip."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed")
    with cluster() as made:
        yield made


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("pg"))]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{(tmp_path / 'state.db').as_posix()}"
    else:
        with new_database(request.getfixturevalue("postgresql").url) as url:
            yield url


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Yield what makes an empty database on PostgreSQL, or skips."""
    with ExitStack() as made:
        yield lambda: made.enter_context(
            new_database(request.getfixturevalue("postgresql").url)
        )


@pytest.fixture
def office_database(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the settings name a database of each kind."""
    monkeypatch.setenv("MLSTATS_DATABASE_URL", database)
    return database


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Start a server of the S3 protocol that ends with the tests."""
    with s3_server.server() as endpoint:
        yield endpoint


@pytest.fixture
def store(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> s3_server.Store:
    """Make an empty bucket, to which the environment leads."""
    made = s3_server.new_bucket(s3_endpoint)
    for variable, value in made.environment().items():
        monkeypatch.setenv(variable, value)
    return made

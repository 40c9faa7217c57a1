"""The only module that imports mlflow: what a run leaves in the tracking server."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import mlstats
from mlstats import io
from mlstats.errors import ServiceError
from mlstats.identity import operating_system_user
from mlstats.model_store import POINTER
from mlstats.settings import Settings

__all__ = [
    "MethodRecord",
    "RunRecord",
    "connected",
    "describe",
    "new_run_id",
    "point",
    "reachable",
    "track",
]

_log = logging.getLogger(__name__)
_PARAM_LIMIT = 6000  # characters of one parameter that MLflow's store takes
_DESCRIPTION_LIMIT = 5000  # the column that the store keeps a description in


def new_run_id(pilot: str) -> str:
    """Return a name for what begins now: time in UTC to the millisecond, pilot."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"[:-3] + f"-{pilot}"


@dataclass(frozen=True)
class MethodRecord:
    """One method of a run, as MLflow is told of it.

    Parameters
    ----------
    name, kind : str
        The method.
    params : mapping
        Its parameters.
    metrics : mapping
        Name -> number; numbers that are not finite are left out.
    digest : str, optional
        Of the stored model; None where there is none to register.
    inputs : sequence of (str, str)
        Columns of the signature and their MLflow types.
    answers : bool
        Whether the version answers for rows with a code and its confidence; a recipe,
        which is fitted to a period's data first, does not.
    """

    name: str
    kind: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    digest: str | None
    inputs: Sequence[tuple[str, str]]
    answers: bool = True


@dataclass(frozen=True)
class RunRecord:
    """One run of a pilot, as MLflow is told of it.

    Parameters
    ----------
    pilot, run_id : str
        Experiment and name of the parent run.
    params, tags : mapping
        Resolved config, seeds, digests; never content of records.
    artifacts : pathlib.Path
        Folder of publishable files.
    methods : sequence of MethodRecord
        A child run each.
    """

    pilot: str
    run_id: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    artifacts: Path
    methods: Sequence[MethodRecord]


def reachable(settings: Settings) -> None:
    """Ask the tracking store a question.

    Raises
    ------
    ServiceError
        Where it does not answer.
    """
    # The first to ask a new SQLite store makes its tables; two at once would clash.
    from filelock import FileLock

    lock = FileLock(settings.home_folder / "mlflow.lock", timeout=300)
    with lock, connected(settings) as (_, client):
        client.search_experiments(max_results=1)


def track(settings: Settings, record: RunRecord) -> dict[str, str]:
    """Log a run: a parent, a child per method, a registered version per model.

    Parameters
    ----------
    settings : Settings
        Where MLflow is.
    record : RunRecord
        What is logged.

    Returns
    -------
    dict
        Method -> registered version; ``""`` -> id of the parent run.

    Raises
    ------
    ServiceError
        Where the store does not answer; the parent run is then marked as failed
        if that is still possible.
    """
    with connected(settings) as (mlflow, client):
        _choose_experiment(mlflow, client, settings, record.pilot)
        versions: dict[str, str] = {}
        with mlflow.start_run(run_name=record.run_id) as parent:
            versions[""] = parent.info.run_id
            mlflow.log_params(_shortened(record.params))
            mlflow.set_tags(dict(record.tags))
            mlflow.log_artifacts(str(record.artifacts))
            for method in record.methods:
                version = _log_method(mlflow, record, method)
                if version:
                    versions[method.name] = version
        return versions


def point(
    settings: Settings,
    pilot: str,
    aliases: Mapping[str, str],
    versions: Mapping[str, str],
) -> None:
    """Let aliases point to the versions of a run.

    Parameters
    ----------
    pilot : str
        Name of the registered model.
    aliases : mapping
        Alias -> method.
    versions : mapping
        Method -> version, as :func:`track` returned it.

    Raises
    ------
    ServiceError
        Where the store does not answer.
    """
    with connected(settings) as (_, client):
        for alias, method in aliases.items():
            if method in versions:
                client.set_registered_model_alias(pilot, alias, versions[method])


def describe(settings: Settings, pilot: str, cards: Mapping[str, str]) -> None:
    """Keep the card of each version as its description.

    Parameters
    ----------
    pilot : str
        Name of the registered model.
    cards : mapping
        Version -> card as Markdown, without any record.

    Raises
    ------
    ServiceError
        Where the store does not answer.
    """
    with connected(settings) as (_, client):
        for version, text in cards.items():
            told = text[:_DESCRIPTION_LIMIT]
            client.update_model_version(pilot, version, description=told)


def _choose_experiment(mlflow: Any, client: Any, settings: Settings, name: str) -> None:
    if client.get_experiment_by_name(name) is None:
        # A server decides itself where artefacts lie; the embedded store is told.
        local = settings.mlflow_uri.startswith("sqlite")
        folder = settings.models / "artifacts" / name
        location = folder.as_uri() if local else None
        client.create_experiment(name, artifact_location=location)
    mlflow.set_experiment(name)


def _log_method(mlflow: Any, record: RunRecord, method: MethodRecord) -> str | None:
    with mlflow.start_run(run_name=method.name, nested=True):
        mlflow.log_params(_shortened(method.params))
        mlflow.set_tags({**record.tags, "method": method.name, "kind": method.kind})
        for name, value in method.metrics.items():
            if value == value and abs(value) != float("inf"):
                mlflow.log_metric(name, value)
        if method.digest is None:
            return None
        uri = _log_model(mlflow, method)
    tags = {
        "method": method.name,
        "kind": method.kind,
        "run": record.run_id,
        "model_digest": method.digest,
        "registered_by": operating_system_user().name,
    }
    with redirect_stderr(StringIO()):  # it prints what it did, past all loggers
        registered = mlflow.register_model(uri, record.pilot, tags=tags)
    _log.info("registered %s as version %s", method.name, registered.version)
    return str(registered.version)


def _log_model(mlflow: Any, method: MethodRecord) -> str:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    outputs = Schema(
        [
            ColSpec("string", "code", required=False),
            ColSpec("double", "confidence", required=False),
        ]
    )
    signature = ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in method.inputs]),
        outputs=outputs if method.answers else None,
    )
    with tempfile.TemporaryDirectory(prefix="mlstats-") as folder:
        io.write_json(Path(folder) / POINTER, {"digest": method.digest})
        logged = mlflow.pyfunc.log_model(
            name="model",
            loader_module="mlstats.model_store",
            data_path=str(Path(folder) / POINTER),
            signature=signature,
            pip_requirements=[f"mlstats=={mlstats.__version__}"],
        )
    return str(logged.model_uri)


def _shortened(params: Mapping[str, Any]) -> dict[str, str]:
    return {str(k)[:250]: str(v)[:_PARAM_LIMIT] for k, v in params.items()}


@contextmanager
def connected(settings: Settings) -> Iterator[tuple[Any, Any]]:
    """Yield mlflow and a client that talk to the settings' store and no other.

    Raises
    ------
    ServiceError
        In the place of what MLflow raises inside.
    """
    # A server that is down is told within seconds, not after minutes of retries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow and what it imports
        import mlflow
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(settings.mlflow_uri)
        mlflow.set_registry_uri(settings.mlflow_uri)
        try:
            client = mlflow.MlflowClient()
            yield mlflow, client
        except (MlflowException, SQLAlchemyError, OSError) as error:
            while mlflow.active_run() is not None:
                mlflow.end_run("FAILED")
            raise _in_words(error, _without_password(settings.mlflow_uri)) from None


def _in_words(error: Exception, where: str) -> ServiceError:
    """Return what MLflow's error says, without its own words: they may quote."""
    status = _status(error)
    if status == 401:
        return ServiceError(
            "MLflow asks for a user and a password, or does not know these",
            where=where,
            expected="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the "
            "environment",
            hint="set them where the command is started, in no file of the project",
        )
    if status == 403:
        return ServiceError(
            "MLflow forbids this to the user of MLFLOW_TRACKING_USERNAME",
            where=where,
            expected="the permission EDIT on the pilot's experiment and model",
            hint="ask the administrator of the MLflow server for it",
        )
    return ServiceError(
        f"MLflow does not answer as it should: {type(error).__name__}",
        where=where,
        hint="mlstats doctor looks at it; then run again",
    )


def _status(error: Exception) -> int | None:
    """Return the status of the server's answer, None where there was no answer."""
    ask = getattr(error, "get_http_status_code", None)  # of MLflow
    if ask is not None:
        return int(ask())
    answer = getattr(error, "response", None)  # of requests, for artefacts
    return getattr(answer, "status_code", None)


def _without_password(uri: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(uri).render_as_string(hide_password=True)
    except ArgumentError:
        return uri.partition("://")[0] + "://..."

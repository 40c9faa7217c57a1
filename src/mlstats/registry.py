"""What MLflow's registry says of a pilot's versions, held to the log of decisions.

The log is the record. Aliases and tags copy it, for those who ask MLflow; where the two
part, the copy is put right. One thing the copy knows better: it keeps the hash of the
last decision, without which rows taken from the end of the log would leave no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mlstats.decisions import PURGE, Decision, standing
from mlstats.errors import ServiceError
from mlstats.settings import Settings
from mlstats.tracking import connected

__all__ = [
    "ALIASES",
    "Registry",
    "RegisteredVersion",
    "deviations",
    "heads",
    "mirror",
    "read_registry",
    "run_tags",
]

ALIASES = {"challenger": "valid", "shadow": "shadow", "champion": "production"}
_HEAD = "decision_head"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as MLflow has it.

    Parameters
    ----------
    version : int
        Its number.
    tags : mapping
        method, run, model_digest, registered_by; stage and decision once decided on.
    run : str
        Id of the MLflow run that made it.
    """

    version: int
    tags: Mapping[str, str]
    run: str


@dataclass(frozen=True)
class Registry:
    """The registered model of a pilot.

    Parameters
    ----------
    versions : mapping of int to RegisteredVersion
        All of them.
    aliases : mapping of str to int
        Alias -> version.
    head : str
        Hash of the last decision that was copied, empty before the first.
    """

    versions: Mapping[int, RegisteredVersion] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    head: str = ""


def read_registry(settings: Settings, pilot: str) -> Registry:
    """Return what MLflow has registered for a pilot; empty where it has nothing.

    Raises
    ------
    ServiceError
        Where MLflow does not answer.
    """
    with connected(settings) as (_, client):
        named = f"name='{pilot}'"
        if not client.search_registered_models(filter_string=named):
            return Registry()
        model = client.get_registered_model(pilot)
        versions, token = {}, None
        while True:
            page = client.search_model_versions(named, page_token=token)
            for held in page:
                number = int(held.version)
                versions[number] = RegisteredVersion(
                    number, dict(held.tags), held.run_id or ""
                )
            token = page.token
            if not token:
                break
        aliases = {name: int(version) for name, version in model.aliases.items()}
        return Registry(versions, aliases, model.tags.get(_HEAD, ""))


def run_tags(settings: Settings, run: str) -> dict[str, str]:
    """Return the tags of an MLflow run, none where `run` is empty.

    Raises
    ------
    ServiceError
        Where MLflow does not answer or has no such run.
    """
    if not run:
        return {}
    with connected(settings) as (_, client):
        return dict(client.get_run(run).data.tags)


def heads(settings: Settings) -> dict[str, str]:
    """Return registered model -> hash of the last decision that was copied, or "".

    Raises
    ------
    ServiceError
        Where MLflow does not answer.
    """
    found: dict[str, str] = {}
    token = None
    with connected(settings) as (_, client):
        while True:
            page = client.search_registered_models(page_token=token)
            found |= {m.name: m.tags.get(_HEAD, "") for m in page}
            token = page.token
            if not token:
                return found


def deviations(rows: Sequence[Decision], registry: Registry) -> list[str]:
    """Return where MLflow does not say what the log says.

    Parameters
    ----------
    rows : sequence of Decision
        The log of the pilot.
    registry : Registry
        Of the pilot.
    """
    found = []
    for alias, version in _aliases(rows, registry).items():
        has = registry.aliases.get(alias)
        if has != version:
            found.append(f"alias {alias}: {_named(has)}, the log: {_named(version)}")
    for version, tags in _tags(rows).items():
        held = registry.versions.get(version)
        if held is None:
            found.append(f"version {version} is not registered any more")
        elif any(held.tags.get(key) != value for key, value in tags.items()):
            found.append(f"tags of version {version}: the log says {tags['stage']}")
    # MLflow is not told of a purge: its copy may end before those at the end.
    while rows and rows[-1].kind == PURGE and registry.head != rows[-1].hash:
        rows = rows[:-1]
    if rows and registry.head != rows[-1].hash:
        found.append(f"the copy ends before decision {rows[-1].number}")
    return found


def mirror(
    settings: Settings, pilot: str, read: Callable[[], Sequence[Decision]]
) -> list[str]:
    """Copy the log into MLflow's aliases and tags; return what was put right.

    Parameters
    ----------
    pilot : str
        Name of the registered model.
    read : callable
        Returns the log of the pilot.

    Raises
    ------
    ServiceError
        Where MLflow does not answer, and where it knows a decision that the log does
        not hold: rows are missing then, and the copy is the only trace of them.
    """
    # The log after the registry: what another writer has copied is then in it.
    registry, rows = read_registry(settings, pilot), read()
    if registry.head and registry.head not in {row.hash for row in rows}:
        raise ServiceError(
            f"MLflow knows a decision on {pilot} that the log does not hold",
            where=f"decision {registry.head[:12]}",
            expected="a log that only grows",
            hint="restore the database of decisions from a copy",
        )
    wrong = deviations(rows, registry)
    if not wrong:
        return []
    with connected(settings) as (_, client):
        for alias, version in _aliases(rows, registry).items():
            if version is None:
                client.delete_registered_model_alias(pilot, alias)
            elif version in registry.versions:
                client.set_registered_model_alias(pilot, alias, str(version))
        for version, tags in _tags(rows).items():
            for key, value in tags.items() if version in registry.versions else ():
                client.set_model_version_tag(pilot, str(version), key, value)
        # Last: a copy that broke off is seen to end too early.
        if rows:
            client.set_registered_model_tag(pilot, _HEAD, rows[-1].hash)
    return wrong


def _aliases(rows: Sequence[Decision], registry: Registry) -> dict[str, int | None]:
    """Return alias -> version that should bear it.

    The alias challenger is given by a run whose gates are passed: on a version that
    nobody has decided on it stays.
    """
    now = standing(rows)
    wanted = {
        alias: next(iter(reversed(now.at(stage))), None)
        for alias, stage in ALIASES.items()
    }
    has = registry.aliases.get("challenger")
    if has is not None and now.stage(has) == "idea":
        wanted["challenger"] = has
    return wanted


def _tags(rows: Sequence[Decision]) -> dict[int, dict[str, str]]:
    now = standing(rows)
    return {
        version: {"stage": now.stage(version), "decision": row.hash}
        for version, row in now.moved.items()
    }


def _named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"

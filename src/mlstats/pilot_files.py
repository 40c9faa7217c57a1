"""Finding and reading pilots; every error names file:line and the nearest name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mlstats.config import Pilot
from mlstats.errors import ConfigError, UsageError, nearest
from mlstats.settings import config_folders

__all__ = ["find_config", "list_pilots", "load_pilot"]


def list_pilots(project: Path) -> dict[str, Path]:
    """Return name -> path of the pilots that can be run; the project's win."""
    found: dict[str, Path] = {}
    for folder in config_folders(project):
        for path in sorted((folder / "pilots").glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def find_config(relative: str, project: Path) -> Path | None:
    """Return the config file `relative`, from the project or as shipped."""
    for folder in config_folders(project):
        if (folder / relative).is_file():
            return folder / relative
    return None


def load_pilot(
    name: str | Path, *, project: Path = Path(), overrides: Sequence[str] = ()
) -> Pilot:
    """Read a pilot by its name or path.

    Parameters
    ----------
    name : str or pathlib.Path
        A name listed by :func:`list_pilots`, or the path of a YAML file.
    project : pathlib.Path
        The project's folder.
    overrides : sequence of str
        ``dotted.key=value`` with YAML values, applied before the checks.

    Raises
    ------
    ConfigError
        With file:line, the expectation and the nearest valid name.
    UsageError
        Where there is no such pilot.
    """
    path = _pilot_path(name, project)
    tree, lines = _read_yaml(path)
    for override in overrides:
        _apply(tree, override)
    tree["gates"] = _expand_gates(tree.get("gates") or [], path, project)
    _refuse_credentials(tree, path, lines)
    return _validate(tree, path, lines)


def _pilot_path(name: str | Path, project: Path) -> Path:
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        raise UsageError(f"There is no pilot file {path}", where=str(path))
    pilots = list_pilots(project)
    if str(name) in pilots:
        return pilots[str(name)]
    raise UsageError(
        f"There is no pilot {str(name)!r}",
        expected=", ".join(pilots) or "a file in configs/pilots",
        nearest=nearest(str(name), pilots),
        hint="mlstats pilots lists them, mlstats new makes one",
    )


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(
            f"The file is not YAML: {error.problem}", where=where
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The file cannot be read: {type(error).__name__}", where=str(path)
        ) from None
    if not isinstance(tree, dict) or node is None:
        raise ConfigError("The file holds no settings", where=f"{path}:1")
    return tree, _lines(node)


def _lines(node: yaml.Node, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    lines = {at: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines |= _lines(value, (*at, str(key.value)))
            lines[(*at, str(key.value))] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines |= _lines(value, (*at, str(index)))
    return lines


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise UsageError(
            f"The override {override!r} is not key=value",
            expected="--set evaluate.bootstrap=200",
        )
    *parents, last = key.strip().split(".")
    branch: Any = tree
    for parent in parents:
        branch = branch.setdefault(parent, {}) if isinstance(branch, dict) else None
    if not isinstance(branch, dict):
        raise UsageError(f"The override {key!r} goes below a value")
    branch[last] = yaml.safe_load(value)


def _expand_gates(gates: Any, path: Path, project: Path) -> list[Any]:
    """Replace the name of a gate file by the rules in it."""
    rules: list[Any] = []
    for gate in gates if isinstance(gates, list) else [gates]:
        if not isinstance(gate, str):
            rules.append(gate)
            continue
        found = find_config(gate, project)
        if found is None:
            folders = [f / "gates" for f in config_folders(project)]
            names = [f"gates/{p.name}" for f in folders for p in f.glob("*.yaml")]
            raise ConfigError(
                f"There is no gate file {gate!r}",
                where=str(path),
                expected=", ".join(sorted(set(names))) or "a file under configs/gates",
                nearest=nearest(gate, names),
            )
        tree, _ = _read_yaml(found)
        rules.extend(tree.get("gates", []))
    return rules


def _refuse_credentials(
    tree: Any, path: Path, lines: Mapping[tuple[str, ...], int], at: Any = ()
) -> None:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    elif isinstance(tree, str) and re.search(r"://[^/\s:@]+:[^/\s@]+@", tree):
        raise ConfigError(
            "A file holds a password",
            where=_where(path, lines, at),
            hint="move the address to an environment variable",
        )
    for key, value in items:
        _refuse_credentials(value, path, lines, (*at, str(key)))


def _where(path: Path, lines: Mapping[tuple[str, ...], int], at: Sequence[str]) -> str:
    """Return file:line of the longest part of the key that the file holds."""
    for length in range(len(at), 0, -1):
        if tuple(at[:length]) in lines:
            return f"{path}:{lines[tuple(at[:length])]} ({'.'.join(at)})"
    return f"{path}:1" + (f" ({'.'.join(at)})" if at else "")


def _validate(
    tree: dict[str, Any], path: Path, lines: Mapping[tuple[str, ...], int]
) -> Pilot:
    try:
        return Pilot.model_validate(tree)
    except ValidationError as error:
        # A misspelt key usually makes a second error, the missing right one:
        # the misspelling is the one to tell.
        errors = sorted(
            error.errors(include_url=False, include_input=False),
            key=lambda e: e["type"] != "extra_forbidden",
        )
        first = errors[0]
        at = [str(part) for part in first["loc"]]
        valid = _valid_keys(Pilot, at)
        unknown = first["type"] == "extra_forbidden"
        title = (
            f"Unknown key {at[-1]!r}"
            if unknown
            else str(first["msg"]).removeprefix("Value error, ")
        )
        raise ConfigError(
            title,
            where=_where(path, lines, at),
            expected=", ".join(valid) if unknown else None,
            nearest=nearest(at[-1], valid) if unknown else None,
            hint=f"{len(errors) - 1} more to mend after it" if errors[1:] else None,
        ) from None


def _valid_keys(model: type[BaseModel], at: Sequence[str]) -> list[str]:
    """Return the keys that are valid beside the last part of `at`."""
    for part in at[:-1]:
        field = model.model_fields.get(part)
        if field is None:
            continue
        model = _nested(field.annotation) or model
    return list(model.model_fields)


def _nested(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _nested(argument)
        if found is not None:
            return found
    return None

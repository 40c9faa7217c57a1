"""Finding and reading pilots; every error names file:line and the nearest name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mlstats.config import Pilot
from mlstats.errors import ConfigError, UsageError, nearest
from mlstats.settings import config_folders, refuse_password

__all__ = ["find_config", "list_pilots", "load_pilot"]

# Where each key of the tree was written: "file:line", or the option that set it.
_Places = dict[tuple[str, ...], str]


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
        Where there is no such pilot, or an override cannot be applied.
    """
    path = _pilot_path(name, project)
    tree, places = _read_yaml(path)
    for override in overrides:
        _apply(tree, places, override)
    _expand_gates(tree, places, path, project)
    _name_the_baseline(tree)
    for at, text in _texts(tree):
        refuse_password(text, _where(path, places, at))
    return _validate(tree, path, places)


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


def _read_yaml(path: Path) -> tuple[dict[str, Any], _Places]:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The file cannot be read: {type(error).__name__}", where=str(path)
        ) from None
    except (
        yaml.YAMLError,
        ValueError,
    ) as error:  # ValueError: a date such as 2026-13-01
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or type(error).__name__
        raise ConfigError(
            f"The file is not YAML: {problem}",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
        ) from None
    if not isinstance(tree, dict) or node is None:
        raise ConfigError("The file holds no settings", where=f"{path}:1")
    return tree, _places(node, path)


def _places(node: yaml.Node, path: Path, at: tuple[str, ...] = ()) -> _Places:
    places = {at: f"{path}:{node.start_mark.line + 1}"}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*at, str(key.value))
            line = f"{path}:{key.start_mark.line + 1}"
            if below in places:
                # YAML would let the last one win without a word.
                raise ConfigError(
                    f"The key {below[-1]!r} is given twice",
                    where=f"{line} ({'.'.join(below)})",
                    expected=f"one of them, the first is at {places[below]}",
                )
            places |= _places(value, path, below)
            places[below] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            places |= _places(value, path, (*at, str(index)))
    return places


def _apply(tree: dict[str, Any], places: _Places, override: str) -> None:
    key, equals, value = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UsageError(
            f"The override {key!r} is not key=value",
            expected="--set evaluate.bootstrap=200",
        )
    *parents, last = key.split(".")
    branch: Any = tree
    for parent in parents:
        branch = branch.setdefault(parent, {}) if isinstance(branch, dict) else None
    if not isinstance(branch, dict):
        raise UsageError(f"The override {key!r} goes below a value")
    try:
        branch[last] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise UsageError(
            f"The value of the override {key!r} is not YAML",
            hint="quote it, as in --set 'title=\"Diary: 2026\"'",
        ) from None
    at = (*parents, last)
    for old in [old for old in places if old[: len(at)] == at]:
        del places[old]
    places[at] = f"--set {key}"


def _name_the_baseline(tree: dict[str, Any]) -> None:
    """Let shared gate files say ``versus: baseline`` for the pilot's own baseline."""
    methods, gates = tree.get("methods"), tree.get("gates")
    if isinstance(methods, dict) and "baseline" in methods:
        return
    for rule in gates if isinstance(gates, list) else ():
        if isinstance(rule, dict) and rule.get("versus") == "baseline":
            rule["versus"] = tree.get("baseline")


def _expand_gates(
    tree: dict[str, Any], places: _Places, path: Path, project: Path
) -> None:
    """Put the rules of a gate file where its name stands, and their places too."""
    named = tree.get("gates") or []
    gates = named if isinstance(named, list) else [named]
    rules: list[tuple[Any, _Places]] = []
    for index, gate in enumerate(gates):
        at = ("gates", str(index))
        if isinstance(gate, str):
            rules += _gate_file(gate, _where(path, places, at), project)
        else:
            rules.append((gate, _below(places, at)))
    for key in [key for key in places if key[0:1] == ("gates",) and len(key) > 1]:
        del places[key]
    for index, (_, below) in enumerate(rules):
        for rest, place in below.items():
            places[("gates", str(index), *rest)] = place
    tree["gates"] = [rule for rule, _ in rules]


def _below(places: _Places, at: tuple[str, ...]) -> _Places:
    depth = len(at)
    return {key[depth:]: place for key, place in places.items() if key[:depth] == at}


def _gate_file(name: str, where: str, project: Path) -> list[tuple[Any, _Places]]:
    """Return the rules of a gate file, each with the places of its keys."""
    path = find_config(name, project)
    if path is None:
        folders = [folder / "gates" for folder in config_folders(project)]
        names = {f"gates/{p.name}" for f in folders for p in f.glob("*.yaml")}
        raise ConfigError(
            f"There is no gate file {name!r}",
            where=where,
            expected=", ".join(sorted(names)) or "a file under configs/gates",
            nearest=nearest(name, sorted(names)),
        )
    tree, places = _read_yaml(path)
    valid = ("version", "gates")
    for key in tree:
        if key not in valid:
            raise ConfigError(
                f"Unknown key {key!r}",
                where=_where(path, places, (str(key),)),
                expected=", ".join(valid),
                nearest=nearest(str(key), valid),
            )
    if not isinstance(tree.get("gates"), list) or not tree["gates"]:
        # A gate file without rules would let every method through.
        raise ConfigError(
            "The gate file holds no rules",
            where=_where(path, places, ("gates",)),
            expected="gates: a list of rules",
        )
    source = f"{name} version {tree.get('version', 'unknown')}"
    return [
        (
            {"source": source, **rule} if isinstance(rule, dict) else rule,
            _below(places, ("gates", str(index))),
        )
        for index, rule in enumerate(tree["gates"])
    ]


def _texts(
    tree: Any, at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text of the tree and its key."""
    if isinstance(tree, str):
        yield at, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _texts(value, (*at, str(key)))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _texts(value, (*at, str(index)))


def _where(path: Path, places: Mapping[tuple[str, ...], str], at: Sequence[str]) -> str:
    """Return file:line of the longest part of the key that was written."""
    for length in range(len(at), 0, -1):
        if tuple(at[:length]) in places:
            return f"{places[tuple(at[:length])]} ({'.'.join(at)})"
    return f"{path}:1" + (f" ({'.'.join(at)})" if at else "")


def _validate(
    tree: dict[str, Any], path: Path, places: Mapping[tuple[str, ...], str]
) -> Pilot:
    try:
        return Pilot.model_validate(tree)
    except ConfigError as error:  # a period that is none tells no place itself
        error.where = error.where or str(path)
        raise
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
        raise ConfigError(
            _title(first["type"], str(first["msg"]), at),
            where=_where(path, places, at),
            expected=", ".join(valid) if unknown else None,
            nearest=nearest(at[-1], valid) if unknown else None,
            hint=f"{len(errors) - 1} more to mend after it" if errors[1:] else None,
        ) from None


def _title(kind: str, message: str, at: Sequence[str]) -> str:
    if kind == "extra_forbidden":
        return f"Unknown key {at[-1]!r}"
    if kind == "missing":
        return f"The key {at[-1]!r} is missing"
    return message.removeprefix("Value error, ")


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

"""Reading a sheet that people fill in as YAML: costs, waivers, timeliness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mlstats.errors import ConfigError

__all__ = ["Sheet", "read_sheet_file"]

Model = TypeVar("Model", bound=BaseModel)


class Sheet(BaseModel):
    """A part of such a file: no unknown key, no silent change of a type."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        str_strip_whitespace=True,
        allow_inf_nan=False,
    )


def read_sheet_file(path: Path, model: type[Model]) -> Model:
    """Read a YAML file as a strict model.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    model : type
        A pydantic model.

    Raises
    ------
    ConfigError
        With file:line and key, where the file cannot be read, is not YAML or does not
        fit the model. What was written is not repeated.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The file cannot be read: {type(error).__name__}", where=str(path)
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            f"The file is not YAML: {getattr(error, 'problem', type(error).__name__)}",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
        ) from None
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        first = found[0]
        key = ".".join(str(part) for part in first["loc"])
        line = _line(node, [str(part) for part in first["loc"]])
        raise ConfigError(
            str(first["msg"]).removeprefix("Value error, "),
            where=f"{path}:{line}" + (f" ({key})" if key else ""),
            hint=f"{len(found) - 1} more to mend after it" if found[1:] else None,
        ) from None


def _line(node: yaml.Node | None, key: Sequence[Any]) -> int:
    """Return the line of the longest part of a key that was written."""
    line = 1
    for part in key:
        below = dict(_children(node)).get(part)
        if below is None:
            break
        line, node = below
    return line


def _children(node: yaml.Node | None) -> list[tuple[str, tuple[int, yaml.Node]]]:
    if isinstance(node, yaml.MappingNode):
        return [
            (str(key.value), (key.start_mark.line + 1, held))
            for key, held in node.value
        ]
    if isinstance(node, yaml.SequenceNode):
        return [
            (str(i), (held.start_mark.line + 1, held))
            for i, held in enumerate(node.value)
        ]
    return []

"""How an edit and imputation pilot makes its methods."""

from __future__ import annotations

import inspect
from typing import Any

from mlstats.config import MethodSpec
from mlstats.editimpute.edits import EditSet
from mlstats.errors import ConfigError
from mlstats.method import build, resolve

__all__ = ["build_imputer"]


def build_imputer(name: str, spec: MethodSpec, edits: EditSet | None) -> Any:
    """Make a method of the pilot.

    Parameters
    ----------
    name : str
        In the pilot, for errors.
    spec : MethodSpec
        Class and parameters. A class with a parameter ``edits`` gets those of the
        pilot, so that its donors keep them; ``edits: false`` leaves them out.
    edits : EditSet or None
        Of the pilot.

    Raises
    ------
    ConfigError
        Where the class does not impute.
    """
    where = f"methods.{name}"
    params = dict(spec.params)
    takes_edits = "edits" in inspect.signature(resolve(spec.use, where)).parameters
    if params.get("edits") is False:
        params.pop("edits")
    elif takes_edits and edits is not None:
        params["edits"] = edits
    method = build(spec.use, params, where=where)
    if not callable(getattr(method, "treat", None)):
        raise ConfigError(
            f"{spec.use} does not impute",
            where=where,
            expected="a class with treat(frame, mask, seed, structural)",
        )
    return method

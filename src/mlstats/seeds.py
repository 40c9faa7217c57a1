"""How a seed reaches a method, and how another one is given to it."""

from __future__ import annotations

import inspect

from mlstats.config import MethodSpec, Pilot
from mlstats.method import resolve

__all__ = ["has_seed", "reseeded"]

_SEED = "random_state"


def has_seed(spec: MethodSpec) -> bool:
    """Whether the method's class takes a seed, as scikit-learn calls it."""
    return _SEED in inspect.signature(resolve(spec.use)).parameters


def reseeded(pilot: Pilot, name: str, seed: int) -> Pilot:
    """Return the pilot with another seed for one method, wherever it stood.

    Raises
    ------
    ConfigError
        Where the class of the method does not exist.
    """
    spec = pilot.methods[name]
    if not has_seed(spec):
        return pilot
    params = {**spec.params, _SEED: seed % 2**31}
    methods = pilot.methods | {name: spec.model_copy(update={"params": params})}
    return pilot.model_copy(update={"methods": methods})

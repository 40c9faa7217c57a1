"""The recipe of a version that answers for a period, as it was approved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlstats import model_store
from mlstats.config import MethodSpec
from mlstats.errors import MlstatsError, ServiceError
from mlstats.produced import Arm
from mlstats.recipe import Recipe

__all__ = ["approved", "as_spec"]


def approved(
    one: Arm, confidential: Path, decides: Mapping[str, Any]
) -> tuple[Recipe, tuple[str, ...]]:
    """Load the recipe of a version, and see that it still decides its values.

    Parameters
    ----------
    one : Arm
        The version.
    confidential : pathlib.Path
        The confidential folder of the project.
    decides : mapping
        What decides besides the method by the pilot's file as it is now, see
        :func:`mlstats.recipe.recipe_of`.

    Returns
    -------
    recipe : Recipe
        Class and parameters of the method.
    changed : tuple of str
        What the pilot says otherwise now. Only a baseline may have any: it stands in
        for all others, so that it goes by the pilot as it is.

    Raises
    ------
    ServiceError
        Where the recipe is missing, was changed or is none, or was approved with
        other edits, roles or selection. Another version of mlstats is no other recipe:
        an upgrade must not switch the methods of an office.
    """
    try:
        stored = model_store.load(one.digest, confidential)
    except MlstatsError as error:
        raise ServiceError(error.title, where=error.where) from None
    except Exception as error:
        raise ServiceError(
            f"The recipe {one.digest[:12]} cannot be loaded: {type(error).__name__}"
        ) from None
    recipe = stored.method
    if not isinstance(recipe, Recipe):
        raise ServiceError(
            f"The version {one.digest[:12]} holds no recipe",
            expected="a method that is fitted anew to each period's data",
            hint="run the pilot and promote the new version",
        )
    now = Recipe(recipe.use, recipe.params, decides)
    changed = tuple(name for name in recipe.changes(now) if name != "mlstats")
    if changed and one.role != "baseline":
        raise ServiceError(
            f"The recipe of {one.label} was approved with other {', '.join(changed)}",
            expected="the pilot as it was approved",
            hint="run the pilot and promote the new version",
        )
    return recipe, changed


def as_spec(recipe: Recipe) -> MethodSpec:
    """Return the recipe as a method of a pilot."""
    return MethodSpec(kind="ml", use=recipe.use, params=dict(recipe.params))

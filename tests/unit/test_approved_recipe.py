"""Whether the recipe of a version may answer for a period."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlstats import model_store
from mlstats.approved_recipe import approved, as_spec
from mlstats.errors import ServiceError
from mlstats.method import Incumbent
from mlstats.produced import Arm
from mlstats.recipe import Recipe

DECIDES = {"edits": {"file": "a" * 64}, "seed": 1}


def kept(store: Path, recipe: Recipe | Incumbent) -> str:
    return model_store.store(recipe, [], store)


def test_class_and_parameters_are_those_of_the_recipe(tmp_path: Path) -> None:
    made = Recipe("mlstats.editimpute.HotDeck", {"by": ["size"]}, DECIDES)
    one = Arm("champion", "deck", kept(tmp_path, made), 3)
    recipe, changed = approved(one, tmp_path, DECIDES)
    assert recipe == made
    assert changed == ()
    spec = as_spec(recipe)
    assert (spec.use, spec.params) == ("mlstats.editimpute.HotDeck", {"by": ["size"]})


def test_only_a_baseline_may_differ_from_the_pilot(tmp_path: Path) -> None:
    made = Recipe("mlstats.editimpute.HotDeck", {}, DECIDES)
    digest = kept(tmp_path, made)
    now = {"edits": {"file": "b" * 64}, "seed": 1, "roles": {}}
    for role in ("champion", "shadow"):
        with pytest.raises(ServiceError, match="approved with other edits, roles"):
            approved(Arm(role, "deck", digest), tmp_path, now)
    recipe, changed = approved(Arm("baseline", "deck", digest), tmp_path, now)
    assert recipe == made
    assert changed == ("edits", "roles")


def test_an_upgrade_of_mlstats_switches_no_method(tmp_path: Path) -> None:
    told = DECIDES | {"mlstats": "0.1.0"}
    digest = kept(tmp_path, Recipe("mlstats.editimpute.HotDeck", {}, told))
    _, changed = approved(
        Arm("champion", "deck", digest), tmp_path, told | {"mlstats": "0.2.0"}
    )
    assert changed == ()


def test_what_is_missing_changed_or_no_recipe_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="does not hold"):
        approved(Arm("champion", "deck", "0" * 64), tmp_path, DECIDES)
    column = kept(tmp_path, Incumbent("x"))
    with pytest.raises(ServiceError, match="holds no recipe"):
        approved(Arm("champion", "deck", column), tmp_path, DECIDES)
    digest = kept(tmp_path, Recipe("mlstats.editimpute.HotDeck", {}, DECIDES))
    path = tmp_path / "models" / digest / "recipe.json"
    path.write_bytes(path.read_bytes().replace(b"HotDeck", b"Another"))
    with pytest.raises(ServiceError, match="were changed"):
        approved(Arm("champion", "deck", digest), tmp_path, DECIDES)

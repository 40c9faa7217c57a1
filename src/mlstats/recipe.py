"""The version of a method that is fitted anew to each period's data.

Edit and imputation, and the methods of imagery, learn from the very data that they
treat. What stays from one period to the next, and what is approved, is the recipe:
class, parameters, seed and all that decides the values besides the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import mlstats
from mlstats import io
from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.quality.evidence import canonical, digest, parse
from mlstats.settings import Settings

__all__ = ["Recipe", "recipe_of"]

_FILE: Final = "recipe.json"
# Where the data lie and how they are judged: another period has other ones.
_NOT_DECIDING: Final = {
    "source", "periods", "frequency", "read", "tolerate", "single_cluster", "synthetic",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A method as it was approved; what it learns, it learns from a period's data.

    Parameters
    ----------
    use : str
        Dotted path of the class.
    params : mapping
        Its parameters.
    decides : mapping
        What decides its values besides the data: texts, numbers and digests.
    """

    use: str
    params: Mapping[str, Any] = field(default_factory=dict)
    decides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 of all three as canonical JSON."""
        return digest(asdict(self))

    def changes(self, other: Recipe) -> list[str]:
        """Return the names of what another recipe has otherwise, sorted."""
        mine, its = self._parts(), other._parts()
        named = mine.keys() | its.keys()
        return sorted(n for n in named if _held(mine, n) != _held(its, n))

    def save(self, folder: Path) -> None:
        """Write the recipe as canonical JSON."""
        data = canonical(asdict(self))
        io.write_atomic(folder / _FILE, lambda path: _write(path, data))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        return cls(**parse((folder / _FILE).read_bytes()))

    def _parts(self) -> dict[str, Any]:
        return {"use": self.use, "params": self.params, **self.decides}


def recipe_of(pilot: Pilot, name: str, settings: Settings) -> Recipe:
    """Return the recipe of a method as the pilot's file tells it now.

    Parameters
    ----------
    pilot : Pilot
        Of edit and imputation, or of imagery.
    name : str
        Of the method.
    settings : Settings
        Where the edits lie.

    Returns
    -------
    Recipe
        It decides by seed, by the version of mlstats, by roles, selection, recodings
        and the task of the pilot, by its edits' localisation and the sha256 of their
        file. Files of data, images and earlier periods among them, are no part of it.

    Raises
    ------
    SourceError
        Where the file of the edits is not there.
    """
    spec, data = pilot.methods[name], pilot.data
    told = data.model_dump(mode="json", exclude=_NOT_DECIDING, exclude_none=True)
    if data.edits is not None:
        told["edits"]["file"] = io.sha256_file(finder(settings)(data.edits.file))
    if data.history is not None:
        del told["history"]["source"]
    decides = {
        **told,
        "seed": pilot.evaluate.seed,
        "mlstats": mlstats.__version__,
    }
    return Recipe(spec.use, spec.model_dump(mode="json")["params"], decides)


def _held(parts: Mapping[str, Any], name: str) -> bytes | None:
    return canonical(parts[name]) if name in parts else None


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)

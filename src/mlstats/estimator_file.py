"""Estimators of scikit-learn in files that hold no code: written and read by skops."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

from mlstats.errors import ConfigError, SourceError
from mlstats.writing import write_atomic

__all__ = ["read_estimator", "write_estimator"]

_TRUSTED: Final = ("sklearn.", "numpy.", "scipy.", "mlstats.imagery.")


def write_estimator(path: Path, estimator: Any) -> None:
    """Write an estimator.

    Raises
    ------
    ConfigError
        Where it holds a type that is not trusted.
    """
    import skops.io

    def write(beside: Path) -> None:
        skops.io.dump(estimator, beside)
        _trusted_types(beside)

    write_atomic(path, write)


def read_estimator(path: Path) -> Any:
    """Read what :func:`write_estimator` wrote.

    Raises
    ------
    ConfigError
        Where the file holds a type that is not trusted.
    SourceError
        Where it is missing or damaged.
    """
    import skops.io

    try:
        return skops.io.load(path, trusted=_trusted_types(path))
    except (OSError, BadZipFile) as error:
        raise SourceError(
            "The saved model cannot be read", where=str(path), expected="a saved model"
        ) from error


def _trusted_types(path: Path) -> list[str]:
    """Return the types in a file that have to be trusted by name."""
    import skops.io

    types: list[str] = skops.io.get_untrusted_types(file=path)
    strange = [name for name in types if not name.startswith(_TRUSTED)]
    if strange:
        raise ConfigError(
            f"The classifier holds the type {strange[0]}, which is not trusted",
            where=str(path.parent),
            expected="types of scikit-learn, numpy, scipy and mlstats.imagery",
            hint="use a classifier of scikit-learn",
        )
    return types

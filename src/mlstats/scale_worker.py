"""What a worker of a Dask cluster does with a block; it needs no Dask itself.

A task of ours never fails: what it raises comes back as its result, because Dask logs
the arguments of a task that fails, and those are records.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any, Final

from mlstats.block_calls import guarded, not_sent, packed, use_one_thread
from mlstats.errors import MlstatsError, ServiceError

__all__ = [
    "Loaded",
    "Sealed",
    "differences",
    "load",
    "other_versions",
    "run",
    "versions",
]

_PACKAGES: Final = (
    "mlstats",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "distributed",
)


class Sealed:
    """Content whose representation tells nothing: Dask logs those of arguments."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __sizeof__(self) -> int:
        return 64 + len(self.content)


class Loaded:
    """The function on a worker, or why it is not there."""

    __slots__ = ("error", "function")

    def __init__(self, function: Any, error: MlstatsError | None) -> None:
        self.function = function
        self.error = error


def load(sealed: Sealed, wanted: dict[str, str]) -> Loaded:
    """Unpack the function on a worker."""
    try:
        _fit(wanted)
        return Loaded(pickle.loads(sealed.content), None)
    except MlstatsError as error:
        return Loaded(None, error.with_traceback(None))
    except Exception as error:
        return Loaded(None, not_sent(error))


def run(loaded: Loaded, block: Sealed, wanted: dict[str, str]) -> Sealed:
    """Return the pickled pair of the function's result and its error."""
    try:
        _fit(wanted)
        if loaded.error is not None:
            raise loaded.error
        return Sealed(packed((guarded(loaded.function, _opened(block)), None)))
    except MlstatsError as error:
        return Sealed(packed((None, error)))


def _opened(sealed: Sealed) -> Any:
    try:
        return pickle.loads(sealed.content)
    except Exception as error:
        raise not_sent(error) from None


def _fit(wanted: dict[str, str]) -> None:
    """Make this worker fit for blocks of a client with these versions."""
    _prepare()
    wrong = differences(wanted, versions())
    if wrong:
        raise other_versions(wrong)


@cache
def _prepare() -> None:
    use_one_thread()


@cache
def versions() -> dict[str, str]:
    """Return the versions on which results depend, of this process."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Tell in which versions a process is not as wanted."""
    return [
        f"{name} {found.get(name, 'missing')} instead of {version}"
        for name, version in wanted.items()
        if found.get(name) != version
    ]


def other_versions(wrong: list[str]) -> ServiceError:
    """Return the error of a worker whose results could differ."""
    return ServiceError(
        f"A Dask worker has another environment: {', '.join(wrong)}",
        expected=", ".join(f"{name} {has}" for name, has in versions().items()),
        hint="give scheduler and workers the environment of this process",
    )

"""No record leaves in an error message: what a library says stays confidential.

Messages of pandas, scikit-learn and others quote the value they stumbled over. Where
such an error would cross into a server's store, a log or a terminal, it is replaced
by one that tells its type and place; the original goes to the confidential log.
"""

from __future__ import annotations

import errno
import functools
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from mlstats.errors import MethodError, MlstatsError, ServiceError

__all__ = ["confidential_log", "guarded", "method_guard", "place", "store_refused"]

P = ParamSpec("P")
R = TypeVar("R")

_confidential = logging.getLogger("mlstats.confidential")
_confidential.addHandler(logging.NullHandler())  # until a run gives it a file
_confidential.propagate = False
_STORE = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM}


def confidential_log(folder: Path) -> logging.Handler:
    """Send what must not be published to ``log.txt`` in a confidential folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for old in list(_confidential.handlers):
        _confidential.removeHandler(old)
        old.close()
    _confidential.addHandler(handler)
    _confidential.setLevel(logging.INFO)
    _confidential.propagate = False
    return handler


def place(error: BaseException) -> str | None:
    """Return file:line of the innermost frame, without the folder."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None


def store_refused(error: BaseException) -> ServiceError | None:
    """Return the error of a full disk or of a folder without rights; else None."""
    if not isinstance(error, OSError) or error.errno not in _STORE:
        return None
    return ServiceError(
        "The store cannot be written",
        where=str(error.filename or ""),
        hint="free the disk or mend its permissions, then run again",
    )


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Replace every foreign exception of a function by one without content."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except MlstatsError:
            raise
        except OSError as error:
            _confidential.exception("%s", function.__name__)
            refused = store_refused(error)
            if refused is not None:
                raise refused from None
            raise _internal(error, function.__name__) from None
        except Exception as error:
            _confidential.exception("%s", function.__name__)
            raise _internal(error, function.__name__) from None

    return call


@contextmanager
def method_guard(name: str) -> Iterator[None]:
    """Replace every foreign exception of a method by one without content.

    Parameters
    ----------
    name : str
        Of the method in the pilot.

    Raises
    ------
    MethodError
        Where the method fails; its message does not repeat what the method said,
        because that may hold records. The confidential log has it.
    """
    try:
        yield
    except MlstatsError as error:
        error.where = error.where or f"methods.{name}"
        if error.__context__ is not None:
            _confidential.error("method %s", name, exc_info=error.__context__)
        raise
    except Exception as error:
        _confidential.exception("method %s", name)
        raise MethodError(
            f"The method {name!r} failed: {type(error).__name__}",
            where=place(error),
            hint="the confidential log holds the details",
        ) from None


def _internal(error: Exception, step: str) -> MlstatsError:
    return MlstatsError(
        f"The step {step!r} failed: {type(error).__name__}",
        where=place(error),
        hint="the confidential log holds the details; this is a fault of mlstats",
    )

"""The one way in which functions become machine code; importing it imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["compiled"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function, **options: Any) -> _Function:
    """Return a function that is compiled when it is first called.

    The machine code is kept beside the module, or in the folder of NUMBA_CACHE_DIR, so
    that only the first run on a machine waits for it; where neither can be written it
    is made anew by every process.

    Parameters
    ----------
    function : callable
        At the top of a module, of what numba knows. The code is kept as long as its
        own file does not change: constants of other modules do not belong in it.
    **options
        Of ``numba.njit``.
    """
    try:
        made = numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # numba finds no folder for the code
        made = numba.njit(nogil=True, **options)(function)
    return cast(_Function, made)

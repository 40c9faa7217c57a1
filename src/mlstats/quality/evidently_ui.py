"""Evidently's own pages over a workspace, on this machine only."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from mlstats.errors import ServiceError
from mlstats.quality.evidently import quiet

__all__ = ["serve"]

_LOOPBACK = "127.0.0.1"


def serve(folder: Path, tell: Callable[[str], None], *, port: int = 0) -> None:
    """Serve a workspace until somebody stops it; nothing is sent anywhere.

    Parameters
    ----------
    folder : pathlib.Path
        The workspace.
    tell : callable
        Gets the address.
    port : int
        On the loopback interface; 0 takes a free one.

    Raises
    ------
    ServiceError
        Where the port is taken.
    """
    port = _free(port)
    with quiet():
        import uvicorn
        from evidently.ui.service.app import create_app, get_config
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        app = create_app(get_config(_LOOPBACK, port, str(folder)))
    tell(f"Evidently: http://{_LOOPBACK}:{port} (stop it with Ctrl-C)")
    # A page that somebody has open may let its own name point to this machine.
    door = TrustedHostMiddleware(app, allowed_hosts=[_LOOPBACK, "localhost"])
    uvicorn.run(door, host=_LOOPBACK, port=port)


def _free(port: int) -> int:
    """Return the port, or a free one for 0."""
    with socket.socket() as one:
        if os.name == "posix":  # the server that has just ended holds it no more
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((_LOOPBACK, port))
        except OSError:
            raise ServiceError(
                f"The port {port} is taken",
                where=_LOOPBACK,
                hint="name another --port, or leave it out for a free one",
            ) from None
        return int(one.getsockname()[1])

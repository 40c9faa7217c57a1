"""A server of this machine alone: its socket, its settings and its end."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from mlstats.errors import ServiceError, UsageError

__all__ = ["address", "listening", "run"]

LOOPBACK: Final = "127.0.0.1"
_CONNECTIONS: Final = 256
_END: Final = 30.0  # seconds in which requests that have begun are answered


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens on the loopback.

    Parameters
    ----------
    port : int
        0: a free one.

    Raises
    ------
    UsageError
        Where the port is taken.
    ServiceError
        Where this user may not have it.
    """
    listener = socket.socket()
    try:
        if os.name != "nt":  # there it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen()
        except PermissionError:
            raise ServiceError(
                f"The port {port} may not be used",
                where="--port",
                hint="name one above 1023, or leave it out for a free one",
            ) from None
        except OSError:
            raise UsageError(
                f"The port {port} is taken",
                where="--port",
                hint="leave it out for a free one",
            ) from None
        yield listener
    finally:
        listener.close()


def address(listener: socket.socket) -> str:
    """Return the address of a socket as a browser takes it."""
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def run(app: ASGIApp, listener: socket.socket, tell: Callable[[], None]) -> None:
    """Answer until SIGTERM or Ctrl-C; what was begun by then is answered.

    Parameters
    ----------
    app : ASGI application
        What answers.
    listener : socket.socket
        Of :func:`listening`.
    tell : callable
        Is called as soon as a signal ends the server in order.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,  # it would tell paths and queries as they were sent
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=int(_END),
    )
    server = uvicorn.Server(config)
    with _ending(server):
        tell()
        server.run(sockets=[listener])


@contextmanager
def _ending(server: uvicorn.Server) -> Iterator[None]:
    """Let a signal end the server and not, a second time, the command.

    So does one that comes before the server itself takes signals.
    """

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    names = (signal.SIGINT, signal.SIGTERM)
    before = {name: signal.signal(name, end) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)

"""Ports for servers of tests."""

from __future__ import annotations

import itertools
import os
import socket

__all__ = ["free_port"]

# Below those that systems give away by themselves, to whoever connects or asks for any:
# such a port may be taken between its choice and the start of the server, or while a
# server that comes back on it is away. Each process begins at a place of its own.
_FIRST, _COUNT = 15_001, 16_000
_NUMBERS = itertools.count(97 * os.getpid())


def free_port() -> int:
    """Return a port of the loopback that nobody listens on and no other test is told.

    Returns
    -------
    int
        From 15,001 to 31,000.
    """
    for number in itertools.islice(_NUMBERS, _COUNT):
        port = _FIRST + number % _COUNT
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")

"""The end of a server of this machine; the servers' own tests end real ones."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from mlstats.serving_loopback import listening, run


@pytest.mark.parametrize("moment", ["told", "begun"])
@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_server_takes_signals_ends_it_too(
    name: signal.Signals, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told that Ctrl-C stops it need not press it twice."""
    begin, late = uvicorn.Server.run, threading.Event()

    def come(now: str) -> None:
        if now == moment:
            signal.raise_signal(name)

    def begun(server: uvicorn.Server, sockets: Any = None) -> None:
        def give_up() -> None:
            late.set()
            server.should_exit = True

        come("begun")
        waiting = threading.Timer(60, give_up)
        waiting.start()
        begin(server, sockets)
        waiting.cancel()
        waiting.join()

    monkeypatch.setattr(uvicorn.Server, "run", begun)
    before = signal.getsignal(name)
    with listening(0) as listener:
        run(Starlette(), listener, lambda: come("told"))
    assert not late.is_set()
    assert signal.getsignal(name) == before

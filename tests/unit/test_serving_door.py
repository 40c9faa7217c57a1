"""Tests of what every request passes; the servers' own tests knock from outside."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from mlstats.serving_door import Door, reply
from mlstats.serving_requests import Refusal

SCOPE: Scope = {
    "type": "http", "method": "GET", "path": "/v1/classification/Quackenbush",
    "headers": [(b"host", b"localhost")], "query_string": b"",
}  # fmt: skip
ADDRESSES = ["/ready", "/v1/classification/{code}"]


def knock(app: Any, caplog: pytest.LogCaptureFixture) -> list[tuple[str, list[str]]]:
    """Return every message that was sent, with what the log held before it."""
    sent: list[tuple[str, list[str]]] = []

    async def send(message: Message) -> None:
        sent.append((message["type"], list(caplog.messages)))

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    with caplog.at_level(logging.INFO, logger="mlstats.serving_door"):
        asyncio.run(Door(app, ADDRESSES)(dict(SCOPE), receive, send))
    return sent


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await reply({"said": "yes"})(scope, receive, send)


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    raise Refusal(404, "No such code")


async def in_two(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})


async def gone(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()


@pytest.mark.parametrize(
    ("app", "status", "n_sent"),
    [(answers, 200, 2), (refuses, 404, 2), (in_two, 200, 3), (gone, 0, 0)],
)
def test_a_request_is_logged_once_before_the_last_of_its_answer(
    app: Any, status: int, n_sent: int, caplog: pytest.LogCaptureFixture
) -> None:
    sent = knock(app, caplog)
    assert len(sent) == n_sent
    assert [log for _, log in sent[:-1]] == [[]] * max(n_sent - 1, 0)
    (line,) = caplog.messages
    assert line.startswith(f"GET /v1/classification/{{code}} {status} ")
    assert [log for _, log in sent[-1:]] == [[line]] * bool(n_sent)

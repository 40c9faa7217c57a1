"""What every request passes: who may ask, what is logged, what an error says.

A web page that somebody has open can send requests to this machine too. So only the
loopback's own names are taken as Host (a page may have its own name point here), no
other page's Origin, and JSON only, which a page may not send elsewhere unasked. The log
tells address, status and time, never a path or a query as they were sent; it tells a
request before the last of its answer is sent, so who has an answer finds it there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlstats.errors import MlstatsError, RefusedError, UsageError
from mlstats.guard import place
from mlstats.serving_requests import BODY, Refusal

__all__ = ["ANSWERED", "Door", "answer_of", "body_of", "refuse", "reply"]

_log = logging.getLogger(__name__)
_confidential = logging.getLogger("mlstats.confidential")

_READ_ON: Final = 8 * BODY
_NAMES: Final = frozenset({"127.0.0.1", "localhost"})
_SITES: Final = frozenset({"same-origin", "none"})  # none: typed, or from a bookmark
_VERBS: Final = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})


def reply(content: Any, status: int = 200) -> Response:
    """Return an answer as JSON."""
    raw = to_json(content, inf_nan_mode="null")  # a score that is not told
    return Response(raw, status, media_type="application/json")


async def body_of(request: Request, limit: int = BODY) -> bytes:
    """Return the body of a request, no more of it than is allowed.

    Parameters
    ----------
    limit : int
        Bytes.

    Raises
    ------
    Refusal
        413 or 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "The body has to be JSON, with application/json as its type")
    told = request.headers.get("content-length", "")
    size = int(told) if told.isdigit() else 0
    parts, read = [], 0
    # A client that still writes would not hear the reason, so a little is read on.
    if size <= _READ_ON:
        async for part in request.stream():
            read += len(part)
            if read > _READ_ON:
                break
            if max(read, size) <= limit:
                parts.append(part)
    if max(read, size) > limit:
        raise Refusal(413, f"The body has more than {limit:,} bytes")
    return b"".join(parts)


class Door:
    """The outermost part of the application.

    Parameters
    ----------
    app : ASGI application
        What is behind it.
    addresses : sequence of str
        Its addresses; ``{`` begins a part that is free.
    headers : mapping of str to str
        Sent with every answer, a refusal too.
    """

    def __init__(
        self,
        app: ASGIApp,
        addresses: Sequence[str],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._app = app
        told = (headers or {}).items()
        self._headers = [(k.lower().encode(), v.encode()) for k, v in told]
        self._exact = frozenset(a for a in addresses if "{" not in a)
        self._begun = {a.partition("{")[0]: a for a in addresses if "{" in a}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it; nothing it raises goes further."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, seen, logged = time.perf_counter(), [0], [False]

        def tell() -> None:
            if logged[0]:
                return
            logged[0] = True
            verb = scope["method"] if scope["method"] in _VERBS else "(other)"
            took = 1000 * (time.perf_counter() - began)
            _log.info("%s %s %d %.0f ms", verb, self._named(scope), seen[0], took)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen[0] = message["status"]
                message["headers"] = [*message.get("headers", []), *self._headers]
            elif not message.get("more_body", False):
                tell()
            await send(message)

        try:
            _admit(scope)
            await self._app(scope, receive, noted)
        except Exception as error:
            if not seen[0]:
                await answer_of(error)(scope, receive, noted)
        finally:
            tell()  # the client went away, or nothing could be answered

    def _named(self, scope: Scope) -> str:
        path = scope["path"]
        if path in self._exact:
            return str(path)
        found = [name for begun, name in self._begun.items() if path.startswith(begun)]
        return found[0] if found else "(no address of ours)"


def _admit(scope: Scope) -> None:
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value.decode("latin-1"))
    hosts = headers.get(b"host", [])
    if len(hosts) != 1 or hosts[0].partition(":")[0].lower() not in _NAMES:
        raise Refusal(400, "The header Host has to name this machine's loopback")
    own = f"http://{hosts[0].lower()}"
    sites = headers.get(b"sec-fetch-site", [])
    foreign = any(site.lower() not in _SITES for site in sites)
    if foreign or any(one.lower() != own for one in headers.get(b"origin", [])):
        raise Refusal(403, "Pages of other origins are not answered")


def answer_of(error: Exception) -> Response:
    """Return the answer that tells an error, without anything that was sent."""
    if isinstance(error, Refusal):
        return refuse(error.status, error.said, error.details)
    if isinstance(error, (RefusedError, UsageError)):
        near = [{"where": "nearest", "reason": error.nearest}] if error.nearest else []
        return refuse(
            409 if isinstance(error, RefusedError) else 422, error.title, near
        )
    if isinstance(error, MlstatsError):
        _log.error("%s", error.title)
        return refuse(500, error.title)
    _confidential.error("a request", exc_info=error)
    _log.error("an internal fault: %s at %s", type(error).__name__, place(error))
    return refuse(500, f"An internal fault: {type(error).__name__}")


def refuse(
    status: int, said: str, details: Sequence[Mapping[str, str]] = ()
) -> Response:
    """Return an answer that gives a reason, after which the connection is closed."""
    content = {"error": said} | ({"details": details} if details else {})
    answer = reply(content, status)
    if status == 413:  # the rest of the body is not read
        answer.headers["connection"] = "close"
    return answer


async def _refused(_: Request, error: Exception) -> Response:
    return answer_of(error)


async def _plain(_: Request, error: Exception) -> Response:
    """Tell an error of the framework, which may repeat what was sent, in our words."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    said = {404: "There is no such address", 405: "The address has no such method"}
    return refuse(status, said.get(status, "The request cannot be answered"))


# What the framework does with each kind of error; its own words repeat what was sent.
ANSWERED: Final[Mapping[Any, Any]] = {
    HTTPException: _plain,
    Refusal: _refused,
    MlstatsError: _refused,
    Exception: _refused,
}

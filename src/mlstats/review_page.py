"""A page to code on, in a browser on this machine.

Page and script hold no record; what they show is asked for with the secret of the
address, which other users of the machine and other pages do not have.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any, Final, NotRequired

from fastapi import FastAPI
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from mlstats.guard import confidential_log
from mlstats.review_desk import ReviewDesk
from mlstats.review_rows import Reviewing, open_period
from mlstats.serving_door import ANSWERED, Door, body_of, reply
from mlstats.serving_loopback import address, listening, run
from mlstats.serving_requests import Refusal, reasons
from mlstats.settings import Settings

__all__ = ["application", "serve_page"]

_BODY: Final = 16 * 2**10  # bytes
_SECRET: Final = "x-review-secret"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_PARTS: Final = {
    "/": ("review.html", "text/html"),
    "/review.css": ("review.css", "text/css"),
    "/review.js": ("review.js", "text/javascript"),
}
_Word = Annotated[str, Field(max_length=200)]


@with_config(ConfigDict(extra="forbid", strict=True))
class _Asked(TypedDict):
    row: NotRequired[_Word]
    code: NotRequired[_Word]
    replaces: NotRequired[_Word]
    words: NotRequired[_Word]


_ASKED: Final = TypeAdapter(_Asked)


def serve_page(
    name: str,
    period: str,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    coder: str,
    second: bool = False,
    instead_of: str = "",
    port: int = 0,
) -> None:
    """Let a coder code a period on a page until SIGTERM or Ctrl-C.

    Parameters
    ----------
    name, period : str
        Of a coding pilot, and of a period that has a release.
    tell : callable
        Gets a line at a time; one is the address with its secret.
    coder : str
        Login name of who codes.
    second : bool
        The double-coded units that others code, for a second coder.
    instead_of : str
        Coder whose files and page are withdrawn, so that their units wait again.
    port : int
        0: a free one.

    Raises
    ------
    UsageError
        Where the port is taken, or a coder is named who has nothing.
    RefusedError
        Where the period's data have changed since its release.
    """
    with listening(port) as listener:
        now = open_period(name, period, settings)
        confidential_log(settings.confidential / "reviews" / now.pilot.pilot)
        desk = ReviewDesk(now, coder, second=second, instead_of=instead_of)
        secret = secrets.token_urlsafe(24)
        app = application(desk, now, coder, secret)
        told = desk.state()
        tell(f"{now.pilot.pilot} {now.period}, {coder}: {told['left']} units wait")
        if told["elsewhere"]:
            tell(f"{told['elsewhere']} units are in files and on pages of others")
        tell(f"{address(listener)}/#{secret}")
        try:
            run(app, listener, lambda: tell("Ctrl-C stops it; what was coded is kept"))
        finally:
            desk.close()
        tell("stopped")


def application(desk: ReviewDesk, now: Reviewing, coder: str, secret: str) -> Door:
    """Return the application behind the page of a coder.

    Parameters
    ----------
    desk : ReviewDesk
        The coder's work.
    now : Reviewing
        The period.
    coder : str
        As the page shows it.
    secret : str
        Has to come with every request for units.
    """
    app = FastAPI(
        docs_url=None,  # its pages come from another server
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers=dict(ANSWERED),
    )
    about = {
        "pilot": now.pilot.title or now.pilot.pilot,
        "period": now.period,
        "coder": coder,
        "synthetic": now.pilot.data.synthetic,
    }
    _parts(app)
    _work(app, desk, about, secret)
    names = [str(getattr(route, "path_format", "")) for route in app.routes]
    return Door(app, names, _HEADERS)


def _parts(app: FastAPI) -> None:
    folder = files("mlstats") / "templates"
    for place, (name, kind) in _PARTS.items():
        content = (folder / name).read_bytes()
        app.get(place)(_part(content, kind))

    @app.get("/favicon.ico")
    async def icon() -> Response:
        return Response(status_code=204)


def _part(content: bytes, kind: str) -> Callable[[], Response]:
    def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _work(app: FastAPI, desk: ReviewDesk, about: dict[str, Any], secret: str) -> None:
    """Add what the page asks for, with the fields that each body has to hold."""

    def now() -> dict[str, Any]:
        return about | desk.state()

    def search(words: str) -> list[dict[str, str]]:
        return [asdict(one) for one in desk.search.find(words)]

    asked: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
        "/now": (now, ()),
        "/code": (desk.code, ("row", "code", "replaces")),
        "/skip": (desk.skip, ("row",)),
        "/back": (desk.back, ()),
        "/again": (desk.again, ()),
        "/search": (search, ("words",)),
    }
    for place, (function, needed) in asked.items():
        app.post(place)(_answering(function, needed, secret))


def _answering(
    function: Callable[..., Any], needed: tuple[str, ...], secret: str
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        given = request.headers.get(_SECRET, "")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            raise Refusal(401, "The address has another secret: open the printed one")
        told = _read(await body_of(request, _BODY), needed)
        return reply(await run_in_threadpool(function, *told))

    return answer


def _read(body: bytes, needed: tuple[str, ...]) -> list[str]:
    try:
        given: dict[str, Any] = {**_ASKED.validate_json(body)}
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        told = reasons(faults, {"row", "code", "replaces", "words"})
        raise Refusal(422, "The body is not as it has to be", told) from None
    if set(given) != set(needed):
        wanted = ", ".join(needed) or "nothing"
        raise Refusal(422, f"The body has to hold {wanted}")
    return [given[name] for name in needed]

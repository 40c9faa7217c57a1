"""Coding while somebody types: the version in production behind HTTP on the loopback.

The addresses: ``POST /v1/code``, ``POST /v1/code/batch``, ``GET
/v1/classification/{code}``, ``GET /health``, ``GET /ready`` and ``GET /openapi.json``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import mlstats
from mlstats.guard import confidential_log
from mlstats.pilot_files import load_pilot
from mlstats.serving_door import ANSWERED, Door, body_of, reply
from mlstats.serving_loopback import address, listening, run
from mlstats.serving_model import Answers, Served, Watch
from mlstats.serving_queue import Desk
from mlstats.serving_requests import Refusal, Requests
from mlstats.settings import Settings

__all__ = ["application", "serve"]

LOOK: Final = 2.0  # seconds between two looks at the log of decisions
STALE: Final = 60.0  # seconds without a look after which the server is not ready
_SWITCH: Final = 0.0005  # seconds for which the answering thread may hold up the others


def serve(
    name: str,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    port: int = 0,
    version: int | None = None,
) -> None:
    """Answer until SIGTERM or Ctrl-C; what was begun by then is answered.

    Parameters
    ----------
    name : str
        Name or path of a coding pilot.
    settings : Settings
        Of the project.
    tell : callable
        Gets a line at a time: address, version.
    port : int
        0: a free one.
    version : int, optional
        Answer by this one instead of the one in production.

    Raises
    ------
    UsageError
        Where the port is taken, the pilot codes no texts, or nobody knows the version.
    ServiceError, ConfigError
        Where the log does not answer, or no version can be loaded.
    """
    pilot = load_pilot(name, project=settings.project)
    with listening(port) as listener:
        settings.prepare()
        confidential_log(settings.confidential / "serving" / pilot.pilot)
        watch = Watch(pilot, settings, version)
        app = application(watch)
        tell(f"{pilot.pilot}: {watch.current.arm.label}")
        if watch.current.note:
            tell(f"note: {watch.current.note}")
        tell(address(listener))
        gc.collect()
        sys.setswitchinterval(_SWITCH)
        gc.freeze()  # the model is no garbage: it need not be looked through again
        run(app, listener, lambda: tell("Ctrl-C stops it"))
        tell("stopped")


def application(watch: Watch) -> Door:
    """Return the application that answers by the version of `watch`."""
    desk = Desk()

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (desk.work(), _watching(watch))]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    app = FastAPI(
        title="mlstats",
        version=mlstats.__version__,
        docs_url=None,  # its pages come from another server
        redoc_url=None,
        redirect_slashes=False,
        lifespan=living,
        exception_handlers=dict(ANSWERED),
    )
    _questions(app, watch, desk)
    _facts(app, watch)
    return Door(app, [str(getattr(r, "path_format", "")) for r in app.routes])


def _questions(app: FastAPI, watch: Watch, desk: Desk) -> None:
    now = requests_of(watch.current)

    @app.post("/v1/code", openapi_extra=_body(now.one))
    async def code(request: Request) -> Response:
        """Return the best codes of a text."""
        served, body = await _begun(watch), await body_of(request)
        found = await desk.ask(served, requests_of(served).single(body))
        return reply(_single(served, found))

    @app.post("/v1/code/batch", openapi_extra=_body(now.batch))
    async def batch(request: Request) -> Response:
        """Return the best codes of many texts, as columns."""
        served, body = await _begun(watch), await body_of(request)
        found = await desk.ask(served, requests_of(served).several(body))
        titles = served.titles(found.given())
        columns = found.columns()
        return reply({**columns, "titles": titles, "model": served.told})


def _facts(app: FastAPI, watch: Watch) -> None:
    @app.get("/v1/classification/{code:path}")
    async def entry(code: str) -> Response:
        """Return title, ancestors and children of a code."""
        found = watch.current.entry(code)
        if found is None:
            raise Refusal(404, "The classification has no such code")
        return reply(found)

    @app.get("/health")
    async def health() -> Response:
        """Tell that the server is alive."""
        return reply({"alive": True})

    @app.get("/ready")
    async def ready() -> Response:
        """Tell which version answers, and when the log of decisions was last read."""
        fresh = time.time() - watch.looked < STALE
        read = datetime.fromtimestamp(watch.looked, UTC).isoformat(timespec="seconds")
        told = {"ready": fresh, "model": watch.current.told, "log_read": read}
        if not fresh:
            told["error"] = "The log of decisions does not answer"
        return reply(told, 200 if fresh else 503)


async def _watching(watch: Watch) -> None:
    while True:
        await asyncio.sleep(LOOK)
        await asyncio.to_thread(watch.look)


async def _begun(watch: Watch) -> Served:
    """Return the version for a request; after a sleep of the machine look first."""
    if time.time() - watch.looked > STALE:
        await asyncio.to_thread(watch.look)
    return watch.current


@lru_cache(maxsize=4)
def requests_of(served: Served) -> Requests:
    """Return the bodies that a version understands."""
    return Requests(served.auxiliary, served.numeric)


def _single(served: Served, found: Answers) -> dict[str, Any]:
    told = {name: values[0] for name, values in found.columns().items()}
    codes, scores = told.pop("candidates"), told.pop("scores")
    titles = served.titles(found.given())
    told["candidates"] = [
        {"code": code, "title": titles[code], "score": score}
        for code, score in zip(codes, scores, strict=True)
        if code is not None
    ]
    return {**told, "model": served.told}


def _body(kind: Any) -> dict[str, Any]:
    schema = kind.json_schema(ref_template="{model}")
    parts = schema.pop("$defs", {})

    def whole(given: Any) -> Any:
        if isinstance(given, list):
            return [whole(one) for one in given]
        if not isinstance(given, dict):
            return given
        given = parts[given["$ref"]] if "$ref" in given else given
        return {name: whole(one) for name, one in given.items()}

    content = {"application/json": {"schema": whole(schema)}}
    return {"requestBody": {"required": True, "content": content}}

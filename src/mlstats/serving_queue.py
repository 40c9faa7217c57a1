"""Requests that wait together are answered together, by one thread.

A method needs some milliseconds whatever it is asked, so twenty clients are served in
the time of one; and no method has to be safe for several threads.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from mlstats.serving_model import Answers, Served
from mlstats.serving_requests import Asked

__all__ = ["Desk"]

_TOGETHER: Final = 1_000  # texts of single requests in one call


@dataclass(frozen=True, eq=False)
class _Job:
    """The texts of one request, for the version that it began with."""

    served: Served
    asked: Asked
    answer: asyncio.Future[Answers] = field(default_factory=asyncio.Future)


class Desk:
    """Where requests wait for their answers."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[_Job] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "answers")

    async def ask(self, served: Served, asked: Asked) -> Answers:
        """Return the answers of a version.

        Raises
        ------
        MethodError
            Where the method fails on these texts.
        """
        job = _Job(served, asked)
        self._waiting.put_nowait(job)
        return await job.answer

    async def work(self) -> None:
        """Answer until it is cancelled."""
        while True:
            jobs = [await self._waiting.get()]
            rows = len(jobs[0].asked.texts)
            while rows < _TOGETHER and not self._waiting.empty():
                jobs.append(self._waiting.get_nowait())
                rows += len(jobs[-1].asked.texts)
            groups: dict[tuple[int, int], list[_Job]] = {}
            for job in jobs:
                groups.setdefault((id(job.served), job.asked.k), []).append(job)
            for group in groups.values():
                await self._answer(group)

    async def _answer(self, jobs: list[_Job]) -> None:
        try:
            found = await self._call(jobs)
        except Exception as error:
            if len(jobs) > 1:  # one of them must not fail the others
                for job in jobs:
                    await self._answer([job])
            elif not jobs[0].answer.done():
                jobs[0].answer.set_exception(error)
            return
        first = 0
        for job in jobs:
            end = first + len(job.asked.texts)
            if not job.answer.done():
                job.answer.set_result(found.part(first, end))
            first = end

    async def _call(self, jobs: list[_Job]) -> Answers:
        loop, served, asked = asyncio.get_running_loop(), jobs[0].served, jobs[0].asked
        if len(jobs) > 1:
            asked = Asked(
                [text for job in jobs for text in job.asked.texts],
                {
                    name: [value for job in jobs for value in job.asked.beside[name]]
                    for name in asked.beside
                },
                asked.k,
            )
        return await loop.run_in_executor(self._thread, served.answer, asked)

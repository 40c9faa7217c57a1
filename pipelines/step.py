"""A step of a flow: a plain function as a Prefect task that keeps no record."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from mlstats.guard import guarded

__all__ = ["step"]

P = ParamSpec("P")
R = TypeVar("R")


def step(function: Callable[P, R], name: str) -> Callable[P, R]:
    """Return the function as a task.

    Prefect keeps neither its inputs nor its result nor what it prints, because they
    hold records, and an error of a library reaches Prefect without its message.

    Parameters
    ----------
    function : callable
        A function of the package.
    name : str
        Name of the task; ``{argument}`` is replaced in the name of each run.
    """
    return task(  # type: ignore[no-any-return, call-overload, unused-ignore]
        guarded(function),
        name=name.partition(" {")[0],
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        log_prints=False,
    )

"""Processes that run beside this one, each stopped with all that it started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

__all__ = ["Running", "born", "listens", "running", "stop"]

_STOP: Final = 20.0  # seconds in which a process has to end by itself


@dataclass(frozen=True)
class Running:
    """A process that was started here.

    Parameters
    ----------
    name : str
        What messages call it.
    process : subprocess.Popen
        The process.
    log : pathlib.Path
        What it prints.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def running(
    name: str,
    module: Sequence[str],
    log: Path,
    *,
    cwd: Path,
    environment: Mapping[str, str],
) -> Iterator[Running]:
    """Run a module as a process that the terminal's Ctrl-C does not reach.

    Parameters
    ----------
    name : str
        What messages call it.
    module : sequence of str
        Its name and arguments, as after ``python -m``.
    log : pathlib.Path
        The file to which it prints, after what is there.
    cwd : pathlib.Path
        Its folder.
    environment : mapping
        All of its environment.

    Yields
    ------
    Running
        It is stopped at the end, with all that it started.
    """
    # A group of its own: it is stopped here, in order, and only once.
    own: dict[str, Any] = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined, unused-ignore]
        if os.name == "nt"
        else {"start_new_session": True}
    )
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **own,
        )
    try:
        yield Running(name, process, log)
    finally:
        stop(process.pid)
        process.wait()


def stop(number: int) -> None:
    """Stop a process and what it started: asked first, ended where it does not.

    The process is asked alone, so that it can end its own in order; then they are.
    """
    family = _family(number)
    for asked in (family[:1], family[1:]):
        for each in asked:
            with _gone():
                each.terminate()
        psutil.wait_procs(asked, timeout=_STOP)
    for each in family:
        with _gone():
            each.kill()
    psutil.wait_procs(family, timeout=_STOP)


def _family(number: int) -> list[psutil.Process]:
    """Return a process and what it started, also where it has ended before them."""
    found: dict[int, psutil.Process] = {}
    with _gone():
        first = psutil.Process(number)
        found = {each.pid: each for each in [first, *first.children(recursive=True)]}
    if os.name == "posix":  # each was started as the leader of a session
        for each in psutil.process_iter():
            with _gone(), suppress(OSError):
                if os.getsid(each.pid) == number:
                    found[each.pid] = each
    return list(found.values())


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


def listens(number: int, port: int) -> bool:
    """Tell whether a process, or one that it started, listens on a port."""
    for each in _family(number):
        with _gone():
            try:
                found = each.net_connections("inet")
            except psutil.AccessDenied:  # some systems do not tell
                return True
            if any(
                one.status == psutil.CONN_LISTEN and one.laddr.port == port
                for one in found
            ):
                return True
    return False


def born(number: int) -> float | None:
    """Return when a process was started, None where there is none of that number.

    A number is given again to another process; the two together are one process's own.
    """
    try:
        return float(psutil.Process(number).create_time())
    except psutil.NoSuchProcess:
        return None

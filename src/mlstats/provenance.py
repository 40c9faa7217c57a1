"""What a run was made of: digests, commit, versions."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import mlstats
from mlstats import io
from mlstats.config import Pilot
from mlstats.settings import Settings

__all__ = [
    "code_commit",
    "config_digest",
    "deciding_digest",
    "lock_digest",
    "provenance",
    "resolved_digest",
]


def provenance(pilot: Pilot, data_digest: str, settings: Settings) -> dict[str, str]:
    """Return what a reader needs to make the same run again.

    Returns
    -------
    dict
        data digest, config digest, code commit, lock digest, seed, mlstats, python.
    """
    return {
        "data digest": data_digest,
        "config digest": config_digest(pilot),
        "code commit": code_commit(settings.project),
        "lock digest": lock_digest(),
        "seed": str(pilot.evaluate.seed),
        "mlstats": mlstats.__version__,
        "python": platform.python_version(),
    }


_DECIDES_NONE: Final = {"retention", "monitor"}


def config_digest(pilot: Pilot) -> str:
    """Return the sha256 of the resolved pilot as canonical JSON."""
    return resolved_digest(pilot.model_dump(mode="json"))


def deciding_digest(pilot: Pilot, files: Iterable[Path]) -> str:
    """Return the sha256 of the pilot and of the files that decide its values."""
    total = hashlib.sha256(config_digest(pilot).encode())
    for path in files:
        total.update(io.sha256_file(path).encode())
    return total.hexdigest()


def resolved_digest(resolved: Mapping[str, Any]) -> str:
    """Return the same of a resolved pilot that a run has left.

    It is not read as a pilot first: a later mlstats knows keys that it lacks. How long
    tables are kept and what monitoring proposes decide no value, and are left out.
    """
    told = dict(resolved)
    if isinstance(told.get("production"), Mapping):
        production = told["production"].items()
        told["production"] = {k: v for k, v in production if k not in _DECIDES_NONE}
    text = json.dumps(
        told,
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def code_commit(project: Path) -> str:
    """Return the commit of the project's repository, marked where it was changed."""
    try:
        head = _git(project, "rev-parse", "HEAD")
        changed = _git(project, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "not under version control"
    return f"{head} (changed)" if changed else head


def lock_digest() -> str:
    """Return the sha256 of the sorted names and versions of all that is installed."""
    installed = {
        f"{name.lower()}=={found.version}"
        for found in metadata.distributions()
        if (name := found.metadata["Name"])
    }
    return hashlib.sha256("\n".join(sorted(installed)).encode()).hexdigest()


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip()

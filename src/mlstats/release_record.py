"""What a release says of itself: its manifest, and what was purged of it since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mlstats import io
from mlstats.errors import RefusedError, SourceError

__all__ = [
    "MANIFEST",
    "PURGED",
    "Purge",
    "Release",
    "ReleaseKey",
    "damaged",
    "read_release",
    "record_purge",
]

MANIFEST: Final = "manifest.json"
PURGED: Final = "purged.json"
_CONFIDENTIAL: Final = "confidential/"


@dataclass(frozen=True)
class Purge:
    """What was removed of a release, and by which decision.

    Parameters
    ----------
    time : str
        UTC, ISO 8601.
    decision : str
        Hash of the row in the log of decisions that tells of it.
    kinds : tuple of str
        Of :class:`mlstats.config_data.Retention`.
    files : mapping of str to str
        File below the folder -> sha256, as the manifest has it.
    """

    time: str
    decision: str
    kinds: tuple[str, ...]
    files: Mapping[str, str]


@dataclass(frozen=True)
class ReleaseKey:
    """What decides every value of a release: the same key gives the same release.

    Parameters
    ----------
    pilot, period : str
        What is released.
    input_digest, config_digest : str
        Of the data of the period, and of the pilot's file.
    champion, baseline : str
        Versions of the methods.
    review_digest : str
        Of what clerks made of the queue; empty before they did.
    """

    pilot: str
    period: str
    input_digest: str
    config_digest: str
    champion: str
    baseline: str
    review_digest: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of the key's parts."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Release:
    """A release that is whole.

    Parameters
    ----------
    folder : pathlib.Path
        Where it lies.
    number : int
        Revision of its period, from 1.
    key : ReleaseKey
        What decided it.
    final : bool
        Whether its review queue was closed; else it is provisional.
    files : mapping of str to str
        File below the folder -> sha256.
    facts : mapping
        What the run says of it, such as the reason of a fallback.
    published : datetime.datetime, optional
        When it became the current one of its period; of that one only.
    acts : tuple of Purge
        What was purged of it.
    """

    folder: Path
    number: int
    key: ReleaseKey
    final: bool
    files: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    published: datetime | None = field(default=None, compare=False)
    acts: tuple[Purge, ...] = field(default=(), compare=False)

    @property
    def purged(self) -> Mapping[str, str]:
        """File -> day on which it was purged."""
        return {name: one.time[:10] for one in self.acts for name in one.files}

    @property
    def purged_on(self) -> str:
        """The day of the last purge, empty where there was none."""
        return self.acts[-1].time[:10] if self.acts else ""

    @property
    def without_records(self) -> bool:
        """Whether its units or what clerks made of them were purged."""
        return any({"units", "reviews"} & set(act.kinds) for act in self.acts)

    def refuse_purged(self) -> None:
        """Refuse to work on a release whose records are gone.

        Raises
        ------
        RefusedError
            Where its units or reviews were purged.
        """
        if self.without_records:
            raise RefusedError(
                f"{self.key.period} of {self.key.pilot} was purged on {self.purged_on}",
                where=self.path,
                expected="a period whose units and reviews are kept",
                hint="what was published of it stays as it is; mlstats decisions tells "
                "who purged it",
            )

    @property
    def path(self) -> str:
        """The release within its store: pilot, period and number."""
        return "/".join(self.folder.parts[-3:])


def read_release(folder: Path) -> Release:
    """Return the release that lies in a folder.

    Raises
    ------
    SourceError
        Where its manifest, or what tells of its purge, cannot be read.
    """
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(told["files"])
        return Release(
            folder,
            int(told["number"]),
            ReleaseKey(**told["key"]),
            bool(told["final"]),
            files,
            dict(told["facts"]),
            acts=_acts(folder / PURGED, files),
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise damaged(folder / MANIFEST) from None


def _acts(path: Path, files: Mapping[str, str]) -> tuple[Purge, ...]:
    if not path.is_file():
        return ()
    acts = []
    for told in json.loads(path.read_text(encoding="utf-8")):
        gone = dict(told["files"])
        for name, digest in gone.items():
            # Nothing that was published can be purged.
            if files.get(name) != digest or not name.startswith(_CONFIDENTIAL):
                raise ValueError(name)
        kinds = tuple(map(str, told["kinds"]))
        acts.append(Purge(str(told["time"]), str(told["decision"]), kinds, gone))
    return tuple(acts)


def record_purge(release: Release, act: Purge) -> None:
    """Keep beside a release what is purged of it; an act that is there stays as it is.

    Raises
    ------
    ServiceError
        Where the store refuses.
    """
    others = [one for one in release.acts if one.decision != act.decision]
    kept = [asdict(one) for one in (*others, act)]
    io.write_json(release.folder / PURGED, kept)


def damaged(path: Path) -> SourceError:
    """Return the error of a release that cannot be read."""
    return SourceError(
        "A release is damaged",
        where=str(path),
        hint="restore it from the backup; mlstats writes a release whole or not at all",
    )

"""Workbooks without a time of day: equal tables give equal bytes."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Final

__all__ = ["without_times"]

_CORE: Final = "docProps/core.xml"
_TIME: Final = re.compile(rb"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can hold


def without_times(path: Path) -> None:
    """Take the times out of a workbook that was just written, in place."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            if name == _CORE:
                content = _TIME.sub(b"1980-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)

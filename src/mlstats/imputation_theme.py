"""What edit and imputation does in production, of a period in memory and in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.editimpute.edit_files import read_edits
from mlstats.errors import ServiceError
from mlstats.imputation_parts import BLOCK_ROWS, ReadyArm
from mlstats.imputation_parts_release import compose_parts
from mlstats.imputation_production import (
    answer,
    load,
    of_column,
    question,
    why_in_memory,
)
from mlstats.imputation_release import compose
from mlstats.partitions import PartitionedTable
from mlstats.period_parts import PartedData, parted
from mlstats.produced import Arm, InParts, PeriodData, Theme
from mlstats.recipe import recipe_of
from mlstats.records import edits_of
from mlstats.settings import Settings

__all__ = ["THEME"]


def _open(
    pilot: Pilot, settings: Settings, period: str, staging: Path
) -> PartedData | None:
    """Open the parts of a period; None where they are read into memory."""
    data = None if why_in_memory(pilot) else parted(pilot, settings, period, staging)
    if data is None:
        return None
    table, edits = data.table, edits_of(pilot, settings, period)
    if pilot.data.roles.cluster is None:
        # Records stand for themselves: smaller blocks take less memory.
        table = PartitionedTable.open(table.source, block_rows=BLOCK_ROWS)
    codes = () if edits is None else tuple(edits.categorical)
    named = {*data.reader.columns, *codes, *(edits.numeric if edits else ())}
    columns = tuple(name for name in table.columns if name in named)
    reader = replace(data.reader, columns=columns, codes=codes)
    return replace(data, table=table, reader=reader)


def _load(
    pilot: Pilot, settings: Settings, digest: str, cautions: Sequence[str]
) -> PeriodData:
    spec = pilot.data.edits
    edits = read_edits(finder(settings)(spec.file)) if spec else None
    decides = recipe_of(pilot, pilot.baseline, settings).decides
    return PeriodData(pd.DataFrame(), digest, list(cautions), (edits, decides))


def _ready(one: Arm, confidential: Path) -> ReadyArm:
    if not one.digest:
        raise ServiceError(f"The method {one.method!r} treats no records")
    return ReadyArm(one, confidential)


def _files(pilot: Pilot) -> list[str]:
    return [pilot.data.edits.file] if pilot.data.edits else []


THEME = Theme(
    load=load,
    question=question,
    answer=answer,
    of_column=of_column,
    compose=compose,
    files=_files,
    in_parts=InParts(_open, _load, _ready, compose_parts),
)

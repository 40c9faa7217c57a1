"""What the coding theme does in production, for a period in memory and one in parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mlstats.coding import arm
from mlstats.coding_parts_release import compose_parts
from mlstats.coding_production import (
    answer,
    files,
    load,
    of_column,
    question,
    uncodable_texts,
)
from mlstats.coding_release import compose, lost_of
from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.errors import MlstatsError, ServiceError
from mlstats.model_store import PackedModel, packed
from mlstats.period_parts import parted
from mlstats.produced import Arm, InParts, PeriodData, Theme
from mlstats.provenance import deciding_digest
from mlstats.settings import Settings
from mlstats.watching import TRAINED, VOCABULARY

__all__ = ["THEME"]


def _load(
    pilot: Pilot, settings: Settings, digest: str, cautions: Sequence[str]
) -> PeriodData:
    spec = pilot.data.classification
    assert spec is not None
    classification = arm.read_classification(spec, finder(settings))
    find = finder(settings)
    decides = deciding_digest(pilot, map(find, files(pilot)))
    more = classification, uncodable_texts(pilot, settings), decides
    return PeriodData(pd.DataFrame(), digest, list(cautions), more)


def _ready(one: Arm, confidential: Path) -> PackedModel | str:
    if not one.digest:
        return one.method
    try:
        return packed(one.digest, confidential, (TRAINED, VOCABULARY))
    except MlstatsError as error:
        raise ServiceError(error.title, where=error.where) from None


THEME = Theme(
    load=load,
    question=question,
    answer=answer,
    of_column=of_column,
    compose=compose,
    lost=lost_of,
    files=files,
    in_parts=InParts(parted, _load, _ready, compose_parts),
)

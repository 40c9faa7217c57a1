"""Whether treated records are plausible: edits that fail, bounds that are broken.

The fifth level of Chambers (2001, section 5). What was counted in the treated records
is a fact about them; that no record fails in any of the masks has no sampling error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.quality.estimate import Estimate
from mlstats.quality.indicator import Indicator, exact
from mlstats.quality.replication import estimated

__all__ = ["COUNT_COLUMNS", "plausibility_rows"]

COUNT_COLUMNS: Final = (
    "method", "replicate", "records", "failing_records", "outside_bounds",
)  # fmt: skip


def plausibility_rows(
    counts: pd.DataFrame, *, kinds: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return the share of records that fail an edit, and the values out of bounds.

    Parameters
    ----------
    counts : pandas.DataFrame
        A row per method and mask, after treatment: columns :data:`COUNT_COLUMNS`,
        the records, those that fail a hard edit, and the values outside their bounds.
    kinds : mapping, optional
        Method -> traditional or ml.

    Returns
    -------
    list of dict
        Rows of the scorecard: edits_failing, the mean share over the masks, with an
        interval for other masks unless no record fails in any; outside_bounds, the
        number of values over all masks, as it was counted.

    Raises
    ------
    ContractError
        Where a column is missing, or more records fail than there are.
    """
    missing = [column for column in COUNT_COLUMNS if column not in counts]
    if missing:
        raise ContractError(f"The counts lack {', '.join(missing)}", where="counts")
    if (counts["failing_records"] > counts["records"]).any():
        raise ContractError("More records fail than there are", where="counts")
    return [
        found.row(method=str(method), kind=(kinds or {}).get(str(method), ""))
        for method, part in counts.groupby("method", sort=False)
        for found in _of(part)
    ]


def _of(part: pd.DataFrame) -> Iterator[Indicator]:
    records = part["records"].to_numpy(dtype=float)
    failing = part["failing_records"].to_numpy(dtype=float)
    n, masks = int(records.min(initial=np.inf)), len(part)
    told = f"{int(failing.sum()):,} of {int(records.sum()):,} records, {masks} masks"
    yield Indicator("accuracy", "edits_failing", _share(records, failing, n, told))
    outside = int(part["outside_bounds"].sum())
    over = f"over {masks} masks"
    yield Indicator("accuracy", "outside_bounds", exact(outside, n=n, note=over))


def _share(records: np.ndarray, failing: np.ndarray, n: int, note: str) -> Estimate:
    if not failing.any() and records.all():
        return exact(0.0, n=n, note=note)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = failing / records
    return estimated(share[:, None], n=n, note=note, limits=(0.0, 1.0))

"""How far two coders agree, beside the figures of the methods.

Agreement is a figure of the coders on the units that both have coded, with the interval
that so many units allow. It bounds no method: one that has learnt from many coders may
agree with either of them more often than they with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.agreement import kappa, raw_agreement
from mlstats.quality.design import Design
from mlstats.quality.estimate import absent
from mlstats.quality.indicator import Indicator, noted
from mlstats.quality.krippendorff import krippendorff_alpha
from mlstats.quality.summaries import Ancestor

__all__ = ["agreement_absent", "coder_agreement", "codes_of"]

_NAMES = (
    "double_coding_agreement",
    "double_coding_kappa",
    "double_coding_alpha",
)


def coder_agreement(
    design: Design,
    first: np.ndarray,
    second: np.ndarray,
    told: str,
    *,
    ancestor: Ancestor | None = None,
    levels: Sequence[str] = (),
) -> Iterator[tuple[str, Indicator]]:
    """Yield (level, figure): raw agreement, kappa and Krippendorff's alpha.

    Parameters
    ----------
    design : Design
        Of the units.
    first, second : numpy.ndarray of object, shape (n,)
        Codes; a unit counts where both have one that reaches the level.
    told : str
        Whose codes these are.
    ancestor, levels
        Classification and the levels to compare at; the codes as they are otherwise.
    """
    for level in levels if ancestor is not None else ("",):
        one, two = first, second
        if ancestor is not None:
            one, two = ancestor(first, level), ancestor(second, level)
        both = np.array(
            [a is not None and b is not None for a, b in zip(one, two, strict=True)],
            dtype=bool,
        )
        if not both.any():
            yield from ((level, i) for i in agreement_absent("no unit was coded twice"))
            continue
        note = f"{int(both.sum()):,} units, {told}"
        pair = np.column_stack([one, two])
        pair[~both] = None
        found = (
            raw_agreement(design, pair[:, 0], pair[:, 1]),
            kappa(design, pair[:, 0], pair[:, 1]),
            krippendorff_alpha(design, pair),
        )
        for name, estimate in zip(_NAMES, found, strict=True):
            yield level, Indicator("data", name, noted(estimate, note))


def agreement_absent(why: str) -> Iterator[Indicator]:
    """Yield the figures as not measured, with the reason."""
    for name in _NAMES:
        yield Indicator("data", name, absent("not_measured", why))


def codes_of(column: pd.Series) -> np.ndarray:
    """Return codes as objects, None where they are missing or blank."""
    blank = column.isna() | column.astype("str").str.strip().eq("")
    return as_codes(column.astype(object).mask(blank, None))

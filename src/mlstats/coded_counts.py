"""The rows of a coded table that can be scored, counted in parts, and what refuses it.

The rules are those of the contract that ``mlstats run`` holds the same columns to.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.config import Pilot
from mlstats.errors import ContractError
from mlstats.method import as_codes

__all__ = ["count_rows", "require_scorable"]


def count_rows(
    units: pd.DataFrame, classification: Classification, level: str
) -> Counter[str]:
    """Count the rows of a part.

    Parameters
    ----------
    units : pandas.DataFrame
        A row per unit: columns truth, weight and fraction.
    classification : Classification
        With the codes of the part that it may be grown by.
    level : str
        That of the pilot.

    Returns
    -------
    collections.Counter
        ``rows``, ``truth`` (with a true code), ``unknown`` (with one that the
        classification lacks), ``level`` (whose true code reaches the level),
        ``weighted`` (those of them with weight), ``weights`` and ``fractions`` (that
        are none).
    """
    truth, weight = as_codes(units["truth"]), units["weight"].to_numpy(dtype=float)
    share = units["fraction"].to_numpy(dtype=float)
    given = ~pd.isna(truth)
    judged = ~pd.isna(classification.ancestor(truth, level))
    found = {
        "rows": np.ones(len(units), dtype=bool),
        "truth": given,
        "unknown": given & ~classification.valid(truth),
        "level": judged,
        "weighted": judged & (weight > 0),
        "weights": ~(np.isfinite(weight) & (weight >= 0)),
        "fractions": ~((share >= 0) & (share <= 1)),
    }
    return Counter({name: int(held.sum()) for name, held in found.items()})


def require_scorable(
    counts: Counter[str], pilot: Pilot, level: str, source: str
) -> None:
    """Refuse a table that cannot be scored.

    Parameters
    ----------
    counts : collections.Counter
        Of all parts.
    pilot : Pilot
        Its truth is the column of the true codes.
    level : str
        That of the pilot.
    source : str
        The table, for errors.

    Raises
    ------
    ContractError
        Where more true codes than the pilot tolerates are not in the classification,
        none reaches the level or has weight, or weights or drawn fractions are none.
    """
    truth, unknown, spec = counts["truth"], counts["unknown"], pilot.data.classification
    column = f"{source}, column {pilot.truth!r}"
    if unknown > pilot.data.tolerate.unknown_code * truth:
        raise ContractError(
            f"{unknown:,} of {truth:,} true codes are not in the classification",
            where=column,
            expected=f"codes of {spec.file if spec else 'the classification'}",
            hint="name the column that holds them, as text: 0111 is not 111; a few may "
            "be let through by data.tolerate.unknown_code",
        )
    if not counts["level"]:
        raise ContractError(
            "No row has a true code that reaches the level",
            where=column,
            expected=f"codes of the level {level!r}",
        )
    _require_numbers(counts, pilot, source)
    if not counts["weighted"]:
        raise ContractError(
            "No row with a true code has weight",
            where=f"{source}, column {pilot.data.roles.weight!r}",
            expected="weights above 0",
        )


def _require_numbers(counts: Counter[str], pilot: Pilot, source: str) -> None:
    roles = pilot.data.roles
    for name, column, fault, expected in (
        ("weight", roles.weight, "negative or no number", "a number from 0"),
        ("drawn fraction", roles.fraction, "not from 0 to 1", "a share from 0 to 1"),
    ):
        n = counts[f"{name.split()[-1]}s"]
        if n:
            raise ContractError(
                f"{n:,} {name}{'s are' if n > 1 else ' is'} {fault}",
                where=f"{source}, column {column!r}",
                expected=f"{expected} in every row",
                hint="mend the column, or leave those rows out of the table",
            )

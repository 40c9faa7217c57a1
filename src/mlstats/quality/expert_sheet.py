"""Explanations before experts: how many are stored, and how many are plausible.

The sheet that experts rate holds words of records. It is confidential and belongs into
the confidential store; only the shares leave it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import absent
from mlstats.quality.indicator import Indicator, clopper_pearson

__all__ = ["SHEET", "explanation_coverage", "rating", "sample_sheet"]

SHEET: Final = ("unit", "code", "text", "explanation", "plausible", "rater", "remark")
_ANSWERS: Final = {"yes": True, "no": False}


def explanation_coverage(
    route: np.ndarray, explained: np.ndarray, design: Design
) -> Indicator:
    """Estimate the share of automatic decisions that have a stored explanation.

    Parameters
    ----------
    route : numpy.ndarray of str, shape (n,)
        automatic, queue or audit, as the Evaluation's units have it.
    explained : numpy.ndarray of bool, shape (n,)
        Whether an explanation of the unit is stored.
    design : Design
        Of the same units.
    """
    automatic = route == "automatic"
    name = "explanation_coverage"
    if not automatic.any():
        found = absent("not_applicable", "nothing is decided automatically", len(route))
    else:
        found = proportion(design, explained, automatic)
    return Indicator("explainability", name, found)


def sample_sheet(
    contributions: pd.DataFrame,
    units: pd.DataFrame,
    *,
    n: int = 100,
    seed: int = 0,
    tokens: int = 5,
) -> pd.DataFrame:
    """Draw explanations for experts to rate: a simple random sample, seeded.

    Confidential: texts and explanations hold words of records.

    Parameters
    ----------
    contributions : pandas.DataFrame
        Columns row, position, token, contribution.
    units : pandas.DataFrame
        Row by position as in `contributions`; columns unit (keyed hash), code, text,
        and the units that are to be rated only, the automatic ones.
    n : int
        Explanations drawn; all of them where there are fewer.
    seed : int
        Of the draw.
    tokens : int
        Words shown of each explanation, largest contribution first.

    Returns
    -------
    pandas.DataFrame
        The columns of :data:`SHEET`; ``plausible`` (yes or no), ``rater`` and
        ``remark`` are empty.
    """
    rows = np.sort(contributions["row"].unique())
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(rows, size=min(n, len(rows)), replace=False))
    part = contributions[contributions["row"].isin(drawn)]
    order = part.sort_values(
        ["row", "contribution", "position"], ascending=[True, False, True]
    )
    shown = order.groupby("row").head(tokens)
    said = shown["token"] + " (" + shown["contribution"].map("{:+.3f}".format) + ")"
    text = said.groupby(shown["row"]).agg(", ".join).reindex(drawn)
    sheet = units.iloc[drawn][["unit", "code", "text"]].reset_index(drop=True)
    sheet["explanation"] = text.to_numpy()
    return sheet.assign(plausible="", rater="", remark="")[list(SHEET)]


def rating(sheet: pd.DataFrame) -> Indicator:
    """Estimate the share of explanations that experts rate plausible.

    Parameters
    ----------
    sheet : pandas.DataFrame
        As :func:`sample_sheet` made it, ``plausible`` filled with yes or no; rows left
        empty are counted in the note and not in the share.

    Returns
    -------
    Indicator
        ``expert_agreement`` with its Clopper-Pearson interval.

    Raises
    ------
    ContractError
        For an answer that is neither yes nor no, and a unit that is rated twice.
    """
    answers = sheet["plausible"].fillna("").astype(str).str.strip().str.lower()
    given = (answers != "").to_numpy()
    wrong = np.flatnonzero(given & ~answers.isin(list(_ANSWERS)).to_numpy())
    if len(wrong):
        raise ContractError(
            f"{len(wrong)} answers are neither yes nor no",
            where=f"column plausible, first at row {wrong[0] + 1}",
            expected="yes, no, or empty where the row was not rated",
        )
    twice = int(sheet.loc[given, "unit"].duplicated().sum())
    if twice:
        raise ContractError(
            f"{twice} units are rated more than once",
            where="column unit",
            expected="one rating per unit; double ratings belong to a sheet of their "
            "own, compared by kappa",
        )
    rated = answers[given].map(_ANSWERS)
    empty = int((~given).sum())
    note = f"{empty} of {len(sheet)} explanations not rated" if empty else ""
    found = clopper_pearson(int(rated.sum()), len(rated), note=note)
    return Indicator("explainability", "expert_agreement", found)

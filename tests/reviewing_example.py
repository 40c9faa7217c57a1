"""Coders with known error rates who fill in their workbooks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openpyxl
import pandas as pd

from mlstats.evaluate import keyed, project_key
from mlstats.review_export import Exported
from mlstats.review_files import kept_rows
from mlstats.settings import Settings

__all__ = ["fill", "of_units"]


def of_units(settings: Settings, ids: pd.Series, codes: Sequence[str]) -> pd.Series:
    """Return the true code by the unit's hash."""
    return pd.Series(list(codes), index=keyed(ids, project_key(settings)))


def fill(
    done: Exported, settings: Settings, truth: pd.Series, error: float, seed: int
) -> int:
    """Fill in a coder's file: the truth, but for the coder's errors; return how many.

    Parameters
    ----------
    truth : pandas.Series
        From :func:`of_units`.
    error : float
        Probability that the coder gives another code.
    """
    rng = np.random.default_rng([seed, len(done.file.coder), done.file.second])
    kept = kept_rows(settings, done.file.pilot, done.file.period, done.file.export)
    unit = dict(zip(kept["row"], kept["hash"], strict=True))
    others = sorted(set(truth))
    book = openpyxl.load_workbook(done.path)
    sheet = book["review"]
    at = {cell.value: cell.column for cell in sheet[1]}
    errors = 0
    for number in range(2, sheet.max_row + 1):
        right = truth[unit[sheet.cell(number, at["row"]).value]]
        wrong = rng.uniform() < error
        other = rng.choice([one for one in others if one != right])
        sheet.cell(number, at["code"]).value = str(other) if wrong else right
        errors += int(wrong)
    book.save(done.path)
    return errors

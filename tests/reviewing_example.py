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

__all__ = ["fill", "fix_key", "of_units"]


def fix_key(settings: Settings) -> None:
    """Give a project the same secret in every run, and so the same audit."""
    settings.prepare()
    (settings.confidential / "unit.key").write_bytes(bytes(range(32)))


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
    given = {}
    for one in sorted(unit.values()):  # the order of the rows differs from run to run
        wrong = rng.uniform() < error
        other = str(rng.choice([code for code in others if code != truth[one]]))
        given[one] = other if wrong else truth[one]
    book = openpyxl.load_workbook(done.path)
    sheet = book["review"]
    at = {cell.value: cell.column for cell in sheet[1]}
    for number in range(2, sheet.max_row + 1):
        row = unit[sheet.cell(number, at["row"]).value]
        sheet.cell(number, at["code"]).value = given[row]
    book.save(done.path)
    return sum(code != truth[one] for one, code in given.items())

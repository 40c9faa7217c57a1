"""Columns made of the codes of others, in groups, as the pilot states them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mlstats.config_editimpute import Recode
from mlstats.errors import ConfigError, nearest

__all__ = ["recoded"]


def recoded(frame: pd.DataFrame, recodes: Mapping[str, Recode]) -> pd.DataFrame:
    """Return the data with the columns that group the codes of others.

    Parameters
    ----------
    frame : pandas.DataFrame
        Data.
    recodes : mapping
        New column -> what it is made of. A missing code stays missing.

    Raises
    ------
    ConfigError
        Where the column is not there, or some of its codes are in no group.
    """
    for name, recode in recodes.items():
        where = f"data.recode.{name}"
        if recode.of not in frame:
            close = nearest(recode.of, map(str, frame.columns))
            told = f"There is no column {recode.of!r} to recode"
            raise ConfigError(told, where=where, nearest=close)
        groups = {c: group for group, codes in recode.groups.items() for c in codes}
        column = frame[recode.of].map(groups).astype(object)
        lost = column.isna() & frame[recode.of].notna()
        if lost.any():
            codes = frame.loc[lost, recode.of].nunique()
            raise ConfigError(
                f"{codes} codes of {recode.of!r} are in no group "
                f"({int(lost.sum())} rows)",
                where=where,
                hint="name every code of the column, in one group each",
            )
        frame = frame.assign(**{name: column.where(column.notna(), None)})
    return frame

"""How much of each date can be seen."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.imagery.images import Stack
from mlstats.imagery.windows import Window

__all__ = ["clear_share"]


def clear_share(stack: Stack, *, block: int = 1024) -> pd.DataFrame:
    """Count the valid pixels of each date, block by block.

    Parameters
    ----------
    stack : Stack
        Images with their cloud masks.
    block : int
        Pixels along the side of a block.

    Returns
    -------
    pandas.DataFrame
        One row per date: date, pixels (of the grid), clear, share and status, which is
        ``all cloud``, ``partly clear`` or ``clear``; nodata counts as cloud.
    """
    clear = np.zeros(len(stack.dates), np.int64)
    for window in Window.cover(stack.grid.shape, (block, block)):
        clear += stack.read(window).valid.sum((1, 2))
    pixels = stack.grid.width * stack.grid.height
    status = np.select(
        [clear == 0, clear < pixels], ["all cloud", "partly clear"], "clear"
    )
    return pd.DataFrame(
        {
            "date": list(stack.dates),
            "pixels": pixels,
            "clear": clear,
            "share": clear / pixels,
            "status": status.astype(object),
        }
    )

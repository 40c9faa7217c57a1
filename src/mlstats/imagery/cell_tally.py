"""Sums over the cells of zones, added strip by strip without loss of precision."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.imagery.variance_components import Floats

__all__ = ["STATISTICS", "Tally", "check_codes"]

STATISTICS = ("count", "sum", "mean", "min", "max", "std", "majority")
MOST_CODES = 1000


@dataclass(eq=False)
class Tally:
    """What is known of the cells of each zone; bands are the rows of an array.

    Attributes
    ----------
    cells : ndarray of shape (zones,)
        Cells of the raster in the zone, valid or not; fractions where cells are cut.
    count, total, squares, low, high : ndarray of shape (bands, zones)
        Valid cells, the sum of their values, of their squared distances from the
        mean, and the extremes.
    codes : pandas.DataFrame
        band, zone (places), code and cells, one row each; empty unless asked for.
    """

    cells: Floats
    count: Floats
    total: Floats
    squares: Floats
    low: Floats
    high: Floats
    codes: pd.DataFrame

    @classmethod
    def empty(cls, bands: int, zones: int) -> Tally:
        """Return the tally of no cell."""
        shape = (bands, zones)
        names = ("band", "zone", "code")
        codes = pd.DataFrame({name: np.empty(0, np.int64) for name in names})
        return cls(
            cells=np.zeros(zones),
            count=np.zeros(shape),
            total=np.zeros(shape),
            squares=np.zeros(shape),
            low=np.full(shape, np.inf),
            high=np.full(shape, -np.inf),
            codes=codes.assign(cells=0.0),
        )

    def add(self, places: np.ndarray, part: Tally) -> None:
        """Add the tally of zones that stand at `places` here, each at most once.

        Notes
        -----
        Squared distances by the update of Chan, Golub and LeVeque (1983), The American
        Statistician 37(3), 242-247, equation 2.1b.
        """
        old, new = self.count[:, places], part.count
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = part.total / new - self.total[:, places] / old
            both = np.where(
                (old > 0) & (new > 0), gap**2 * old * new / (old + new), 0.0
            )
        self.squares[:, places] += part.squares + both
        self.cells[places] += part.cells
        self.count[:, places] += new
        self.total[:, places] += part.total
        self.low[:, places] = np.minimum(self.low[:, places], part.low)
        self.high[:, places] = np.maximum(self.high[:, places], part.high)
        if len(part.codes):
            moved = part.codes.assign(zone=places[part.codes["zone"]])
            self.codes = _joined(self.codes, moved)

    def statistic(self, name: str, band: int) -> Floats:
        """Return one of `STATISTICS` by zone; NaN, or a count of 0, without a cell."""
        count: Floats = self.count[band]
        if name == "count":
            return count
        if name == "majority":
            return self._majority(band)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = {
                "sum": self.total[band],
                "mean": self.total[band] / count,
                "min": self.low[band],
                "max": self.high[band],
                "std": np.sqrt(self.squares[band] / count),
            }[name]
        return np.where(count > 0, values, np.nan)

    def scaled(self, scales: Floats, offsets: Floats) -> Tally:
        """Return the tally of ``value * scale + offset`` by band; codes stay."""
        one, plus = scales[:, None], offsets[:, None]
        ends = self.low * one + plus, self.high * one + plus
        return replace(
            self,
            total=self.total * one + plus * self.count,
            squares=self.squares * one**2,
            low=np.minimum(*ends),
            high=np.maximum(*ends),
        )

    def _majority(self, band: int) -> Floats:
        rows = self.codes[self.codes["band"] == band]
        # Of codes with as many cells the lowest, as rasterstats has it.
        rows = rows.sort_values(["cells", "code"], ascending=[False, True])
        first = rows.drop_duplicates("zone")
        values = np.full(len(self.cells), np.nan)
        values[first["zone"]] = first["code"]
        return values


def check_codes(number: int) -> None:
    """Refuse a raster that holds no classes.

    Raises
    ------
    ContractError
        For more than 1,000 different values.
    """
    if number > MOST_CODES:
        raise ContractError(
            "the raster holds no classes: it has too many different values",
            expected=f"at most {MOST_CODES}",
            hint='values="continuous" and statistics without the majority',
        )


def _joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    both = pd.concat([old, new], ignore_index=True)
    sums = both.groupby(["band", "zone", "code"], as_index=False)[["cells"]].sum()
    check_codes(sums["code"].nunique())
    return sums

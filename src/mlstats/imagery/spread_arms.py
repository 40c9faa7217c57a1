"""Disaggregation as methods of a pilot: totals of zones spread over small zones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, nearest
from mlstats.imagery.densities import learned_weights
from mlstats.imagery.disaggregation import Disaggregated, areal_weighting, dasymetric
from mlstats.method import build

__all__ = ["ArealWeighting", "Dasymetric", "LearnedDensity"]


class ArealWeighting:
    """Spread each zone's total evenly over its area."""

    def spread(
        self, cells: pd.DataFrame, totals: pd.Series, groups: npt.ArrayLike | None
    ) -> Disaggregated:
        """Spread totals over cells.

        Parameters
        ----------
        cells : pandas.DataFrame
            A row per small zone: zone, km2 and the sums of the rasters.
        totals : pandas.Series
            Total by zone.
        groups : array_like or None
            Block of each cell; of no use here.
        """
        return areal_weighting(cells["zone"], totals, area=cells["km2"].to_numpy())


class Dasymetric:
    """Spread each zone's total in proportion to a raster's sum in each small zone.

    Parameters
    ----------
    weight : str
        Name of the raster in the pilot.
    """

    def __init__(self, weight: str) -> None:
        self.weight = weight

    def spread(
        self, cells: pd.DataFrame, totals: pd.Series, groups: npt.ArrayLike | None
    ) -> Disaggregated:
        """Spread totals over cells; parameters as of :class:`ArealWeighting`."""
        return dasymetric(
            cells["zone"],
            totals,
            weight=column(cells, self.weight).to_numpy(float),
            area=cells["km2"].to_numpy(),
        )


class LearnedDensity:
    """Weights from a density that a regressor learnt on the zones of other blocks.

    The features are logarithms: of the density of each raster's sum (plus one) by
    area, and of the quotient of each two rasters' sums. The regressor never sees a
    zone of the block that it predicts.

    Parameters
    ----------
    use : str
        Dotted path of a scikit-learn regressor.
    params : mapping
        Of the regressor.
    features : sequence of str
        Rasters of the pilot; the first gives the density, the others quotients.
    """

    def __init__(
        self,
        use: str = "sklearn.linear_model.LinearRegression",
        params: Mapping[str, Any] | None = None,
        features: tuple[str, ...] | list[str] = (),
    ) -> None:
        self.use = use
        self.params = params
        self.features = features

    def spread(
        self, cells: pd.DataFrame, totals: pd.Series, groups: npt.ArrayLike | None
    ) -> Disaggregated:
        """Spread totals over cells; parameters as of :class:`ArealWeighting`.

        Raises
        ------
        ConfigError
            Where no raster is named, or one that the pilot does not have.
        """
        if not self.features:
            raise ConfigError(
                "LearnedDensity needs the name of a raster at least",
                where="params.features",
            )
        named = list(self.features)
        sums = [*named, "km2"]
        table = pd.DataFrame({name: column(cells, name) for name in sums})
        zones = table.groupby(cells["zone"].to_numpy())[sums].sum()
        zones["total"] = totals.reindex(zones.index)
        block = np.zeros(len(cells)) if groups is None else np.asarray(groups)
        of_zone = pd.Series(block).groupby(cells["zone"].to_numpy()).first()
        weight = learned_weights(
            build(self.use, dict(self.params or {}), where="params.use"),
            logarithms(zones, named),
            logarithms(table, named),
            total="total",
            area="km2",
            features=[f"log_{name}" for name in named],
            groups=None if groups is None else (of_zone[zones.index], block),
        )
        area = cells["km2"].to_numpy()
        return dasymetric(cells["zone"], totals, weight=weight, area=area)


def logarithms(table: pd.DataFrame, named: list[str]) -> pd.DataFrame:
    """Return the table with the logarithms that a density is learnt from.

    One unit more of each: cells without any have a logarithm, too.
    """
    first = table[named[0]] + 1
    made = {f"log_{named[0]}": np.log(first / table["km2"])}
    for name in named[1:]:
        made[f"log_{name}"] = np.log(first / (table[name] + 1))
    return table.assign(**made)


def column(cells: pd.DataFrame, name: str) -> pd.Series:
    """Return the sums of a raster.

    Raises
    ------
    ConfigError
        Where the pilot has no such raster.
    """
    if name not in cells:
        known = [c for c in map(str, cells.columns) if c not in {"zone", "unit"}]
        raise ConfigError(
            f"The pilot has no raster {name!r}",
            where="data.zones.rasters",
            expected=", ".join(known),
            nearest=nearest(name, known),
        )
    found: pd.Series = cells[name]
    return found

"""Spectral indices by the formulas of the Awesome Spectral Indices catalogue.

The catalogue comes with the package spyndex; its letters (N, R, S1, ...) are matched
with the names of an image's bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["SpectralIndex"]

# Names in use beside the letters and common names that the catalogue itself gives.
_MORE_NAMES = {"swir1": "S1", "swir2": "S2", "thermal": "T"}
# In kelvin or decibel, not reflectance.
_NO_REFLECTANCE = {"T", "T1", "T2", "VV", "VH", "HH", "HV"}
_UNSCALED = 10.0


class SpectralIndex:
    """One index of the catalogue, applied to bands by their names.

    Parameters
    ----------
    name : str
        As in the catalogue, for instance ``NDVI``.
    bands : iterable of str
        Names of the bands at hand: the catalogue's letters, its common names (``nir``,
        ``swir16``), ``swir1``, ``swir2`` and ``thermal``.
    letters : mapping, optional
        Band -> letter for bands named otherwise, such as ``{"B8A": "N2"}``.
    constants : mapping, optional
        Constants other than the catalogue's, such as ``{"L": 0.5}``.

    Attributes
    ----------
    name : str
        As given.
    needs : dict of str to str
        Letter -> band.

    Raises
    ------
    ConfigError
        An unknown index, a constant without a value, or spyndex is not installed.
    ContractError
        A band that the index needs is missing.
    """

    def __init__(
        self,
        name: str,
        bands: Iterable[str],
        *,
        letters: Mapping[str, str] | None = None,
        constants: Mapping[str, float] | None = None,
    ) -> None:
        catalogue = _catalogue()
        if name not in catalogue.indices:
            raise ConfigError(
                f"unknown index {name!r}",
                expected="a name of the catalogue Awesome Spectral Indices",
                nearest=nearest(name, catalogue.indices),
            )
        self.name = name
        wanted = catalogue.indices[name].bands
        named = {**_letters(), **(letters or {})}
        at_hand = {named[band]: band for band in bands if band in named}
        values = {key: one.default for key, one in catalogue.constants.items()}
        values |= constants or {}
        self._constants = {key: values[key] for key in wanted if key in values}
        self.needs: dict[str, str] = {}
        for letter in wanted:
            if letter in at_hand:
                self.needs[letter] = at_hand[letter]
            elif self._constants.get(letter) is None:
                self._refuse(letter, bands, letter in values)

    def _refuse(self, letter: str, bands: Iterable[str], constant: bool) -> None:
        if constant:
            raise ConfigError(
                f"the index {self.name} needs a value of the constant {letter}",
                where="constants",
                hint=f'give constants={{"{letter}": ...}}',
            )
        common = {value: key for key, value in _letters().items()}.get(letter, letter)
        raise ContractError(
            f"the index {self.name} needs the band {common!r} ({letter})",
            expected=f"it among {', '.join(bands)}",
            nearest=nearest(common, bands),
            hint="name the band so, or give its letter in letters",
        )

    def of(
        self, bands: Mapping[str, npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float32]:
        """Return the index; NaN where it has no finite value.

        Parameters
        ----------
        bands : mapping
            Band -> values; reflectance from 0 to 1 where the formula is not a ratio.

        Raises
        ------
        ContractError
            Values that look like stored integers in a formula that depends on scale.
        """
        values = {letter: bands[band] for letter, band in self.needs.items()}
        self._check_scale(values)
        found = _computed(self.name, {**self._constants, **values})
        result = np.asarray(found, np.float32)
        return np.where(np.isfinite(result), result, np.float32(np.nan))

    def _check_scale(self, values: Mapping[str, npt.NDArray[np.float32]]) -> None:
        constants = tuple(sorted(self._constants.items()))
        if not _depends_on_scale(self.name, tuple(values), constants):
            return
        for letter, band in values.items():
            if letter in _NO_REFLECTANCE:
                continue
            clear = band[np.isfinite(band)]
            if clear.size and np.abs(clear).mean() > _UNSCALED:
                raise ContractError(
                    f"the index {self.name} needs reflectance from 0 to 1",
                    where=f"band {self.needs[letter]}",
                    hint="give the image its scale, for instance scale=1e-4",
                )


def _catalogue() -> Any:
    try:
        import spyndex
    except ImportError:
        raise ConfigError(
            "spectral indices need the package spyndex, which is not installed",
            hint="pip install 'mlstats[imagery]'",
        ) from None
    return spyndex


@lru_cache(maxsize=1)
def _letters() -> Mapping[str, str]:
    """Band name -> letter of the catalogue."""
    bands = _catalogue().bands
    named = {bands[letter].common_name: letter for letter in bands}
    return {letter: letter for letter in bands} | _MORE_NAMES | named


def _computed(name: str, values: Mapping[str, Any]) -> Any:
    with np.errstate(all="ignore"):
        return _catalogue().computeIndex(name, dict(values))


@lru_cache(maxsize=256)
def _depends_on_scale(
    name: str, letters: Sequence[str], constants: Sequence[tuple[str, float]]
) -> bool:
    """Whether twice the bands give another index, tried on a few fixed values."""
    steps = np.linspace(0.11, 0.43, 7)
    values = {letter: np.roll(steps, i) for i, letter in enumerate(letters)}
    once = _computed(name, {**dict(constants), **values})
    twice = {letter: 2 * one for letter, one in values.items()}
    other = _computed(name, {**dict(constants), **twice})
    return not np.allclose(once, other, equal_nan=True)

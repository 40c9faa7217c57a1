"""Features of pixels: bands, indices, their course through the dates, and texture."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.spectral_indices import SpectralIndex
from mlstats.imagery.temporal import STATISTICS, interpolated
from mlstats.imagery.texture import Texture
from mlstats.imagery.windows import Block

__all__ = ["FeatureSet"]

Planes = npt.NDArray[np.float32]
# Days by date; one entry None where there is no date.
Days = tuple[str | None, ...]


class _Named(Protocol):
    """A stack or a block."""

    @property
    def names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class FeatureSet:
    """What a pixel is described by.

    Attributes
    ----------
    bands : "all" or sequence of str
        Bands to use, without dates.
    indices : sequence of str
        Names of the catalogue Awesome Spectral Indices, computed at every date that
        has their bands.
    dates : bool
        Whether bands and indices of each date are features (``NDVI@2013-09-14``).
    temporal : sequence of str
        Statistics of the valid dates of each band and index (``NDVI_mean``): mean,
        median, min, max, range, std (divisor n) and slope (least squares, per year;
        needs two valid dates).
    interpolate : bool
        Whether a gap at a date is filled by the line between the valid dates around
        it, held at the ends. Otherwise a pixel with a gap is not ok, where `dates`.
    min_valid : int
        Valid dates that each band and index of a pixel must have; one with fewer is
        not ok.
    texture : sequence of Texture or mapping
        Texture of features above (``red@2013-09-14_std5``); mappings hold the fields
        of :class:`Texture`.
    letters, constants : mapping
        As in :class:`~mlstats.imagery.spectral_indices.SpectralIndex`.

    Notes
    -----
    A pixel that is not ok is NaN in every feature. It is to be carried on as
    unclassified; nothing here leaves it out.
    """

    bands: Literal["all"] | Sequence[str] = "all"
    indices: Sequence[str] = ()
    dates: bool = True
    temporal: Sequence[str] = ()
    interpolate: bool = True
    min_valid: int = 1
    texture: Sequence[Texture | Mapping[str, Any]] = ()
    letters: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.temporal:
            if name not in STATISTICS:
                raise ConfigError(
                    f"unknown temporal statistic {name!r}",
                    expected=", ".join(STATISTICS),
                    nearest=nearest(name, STATISTICS),
                )
        if self.min_valid < 1:
            raise ConfigError(
                f"{self.min_valid} valid dates are not enough for a feature",
                where="min_valid",
                expected="1 or more",
            )
        object.__setattr__(self, "texture", tuple(map(_texture, self.texture)))

    @property
    def halo(self) -> int:
        """Pixels around a window that its features depend on."""
        return max((one.window // 2 for one in self._textures), default=0)

    @property
    def _textures(self) -> tuple[Texture, ...]:
        return tuple(one for one in self.texture if isinstance(one, Texture))

    def names(self, source: _Named) -> tuple[str, ...]:
        """Return the names of the features of a stack or block, in their order.

        Raises
        ------
        ConfigError
            An unknown index, more valid dates asked for than there are, no feature.
        ContractError
            A band that is not there.
        """
        plain = [
            name
            for series, days in self._course(source.names).items()
            for name in self._names_of(series, days)
        ]
        if not plain:
            raise ConfigError("no feature is asked for", where="bands")
        return (*plain, *self._texture_names(plain))

    def compute(self, block: Block) -> tuple[Planes, npt.NDArray[np.bool_]]:
        """Return the features of a block and where they are ok.

        Parameters
        ----------
        block : Block
            As read by a stack; with a rim of :attr:`halo` pixels where texture is to
            be the same as without blocks.

        Returns
        -------
        features : ndarray of float32, shape (features, rows, columns)
            In the order of :meth:`names`; NaN where not ok.
        ok : ndarray of bool, shape (rows, columns)
            Enough valid dates, and every feature has a value.

        Raises
        ------
        ConfigError, ContractError
            As in :meth:`names`, and for a block that was read as stored.
        """
        if block.values.dtype != np.float32:
            raise ContractError(
                "features need values that are scaled",
                expected="a block that is not read as stored",
            )
        names = self.names(block)
        planes: list[Planes] = []
        ok = np.ones(block.values.shape[1:], bool)
        for series, days in self._course(block.names).items():
            values = self._values(series, days, block)
            least = 1 if days[0] is None else self.min_valid
            ok &= np.isfinite(values).sum(0) >= least
            planes += self._planes(values, days)
        plain = dict(zip(names, planes, strict=False))
        for one in self._textures:
            for source in _matching(one.band, plain):
                planes += one.of(plain[source])
        features = np.stack(planes)
        ok &= np.isfinite(features).all(0)
        features[:, ~ok] = np.nan
        return features, ok

    def _course(self, names: Sequence[str]) -> dict[str, Days]:
        """Bands and indices, each with its dates."""
        at_hand: dict[str, Days] = {}
        for name in names:
            band, _, day = name.partition("@")
            at_hand[band] = (*at_hand.get(band, ()), day or None)
        chosen = list(at_hand) if self.bands == "all" else self.bands
        for band in chosen:
            if band not in at_hand:
                raise ContractError(
                    f"there is no band {band!r}",
                    expected=f"one of {', '.join(at_hand)}",
                    nearest=nearest(band, at_hand),
                )
        course = {band: at_hand[band] for band in chosen}
        for index in self.indices:
            needs = self._index(index, at_hand).needs.values()
            common = set.intersection(*(set(at_hand[band]) for band in needs))
            first = at_hand[next(iter(needs))]
            course[index] = tuple(day for day in first if day in common)
        self._check_dates(course)
        return course

    def _check_dates(self, course: Mapping[str, Days]) -> None:
        for name, days in course.items():
            if not days:
                raise ContractError(
                    f"no date has all bands of the index {name}",
                    expected="the bands at the same dates",
                )
            if None in days and len(days) > 1:
                raise ContractError(
                    f"{name} is there both with and without a date",
                    expected="one or the other",
                    hint="name the band of the image without a date otherwise",
                )
            if days[0] is not None and len(days) < self.min_valid:
                raise ConfigError(
                    f"{self.min_valid} valid dates cannot be had of {len(days)}",
                    where=f"min_valid, for {name}",
                    expected=f"at most {len(days)}",
                )

    def _index(self, name: str, bands: Iterable[str]) -> SpectralIndex:
        return SpectralIndex(
            name, bands, letters=self.letters, constants=self.constants
        )

    def _names_of(self, series: str, days: Days) -> Iterator[str]:
        if days[0] is None:
            yield series
            return
        if self.dates:
            yield from (f"{series}@{day}" for day in days)
        yield from (f"{series}_{statistic}" for statistic in self.temporal)

    def _texture_names(self, plain: Sequence[str]) -> Iterator[str]:
        for one in self._textures:
            for source in _matching(one.band, plain):
                yield from (f"{source}_{what}{one.window}" for what in one.statistics)

    def _values(self, series: str, days: Days, block: Block) -> Planes:
        place = {name: number for number, name in enumerate(block.names)}

        def stored(band: str) -> Planes:
            return block.values[[place[_at(band, day)] for day in days]]

        if series not in self.indices:
            return stored(series)
        bands = dict.fromkeys(name.partition("@")[0] for name in block.names)
        index = self._index(series, bands)
        return index.of({band: stored(band) for band in index.needs.values()})

    def _planes(self, values: Planes, days: Days) -> Iterator[Planes]:
        if days[0] is None:
            yield from values
            return
        number = np.array(
            [datetime.date.fromisoformat(str(day)).toordinal() for day in days], float
        )
        if self.dates:
            yield from interpolated(values, number) if self.interpolate else values
        for statistic in self.temporal:
            yield STATISTICS[statistic](values, number).astype(np.float32)


def _at(band: str, day: str | None) -> str:
    return band if day is None else f"{band}@{day}"


def _matching(band: str, features: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Return the features a texture is of: the one named so, or all dates of it."""
    found = [name for name in features if band in (name, name.partition("@")[0])]
    if not found:
        raise ContractError(
            f"no feature {band!r} to take the texture of",
            expected=f"one of {', '.join(features)}",
            nearest=nearest(band, features),
        )
    return found


def _texture(given: Texture | Mapping[str, Any]) -> Texture:
    if isinstance(given, Texture):
        return given
    known = ("band", "window", "statistics", "limits", "levels")
    for name in given:
        if name not in known:
            raise ConfigError(
                f"a texture has no {name!r}",
                where="texture",
                expected=", ".join(known),
                nearest=nearest(name, known),
            )
    if "band" not in given:
        raise ConfigError("a texture needs the band it is of", where="texture")
    return Texture(**given)

"""Stacks from local STAC items: which file holds which band of which date."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlstats.errors import ConfigError, ContractError, SourceError, nearest
from mlstats.imagery.grid import Grid
from mlstats.imagery.images import CloudMask, Image, Stack

__all__ = ["stack_from_items"]


@dataclass(frozen=True)
class _Place:
    """Where a band of an item lies and how its values are stored."""

    href: str
    number: int
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None


def stack_from_items(
    path: str | Path | Sequence[str | Path],
    bands: Sequence[str] | Mapping[str, str],
    *,
    cloud: CloudMask | None = None,
    grid: Grid | None = None,
) -> Stack:
    """Return the stack that STAC items describe, without a network.

    Parameters
    ----------
    path : str, pathlib.Path or sequence of them
        A file with an item or a collection of items (a GeoJSON FeatureCollection), a
        folder of such files, or several of these.
    bands : sequence or mapping
        Name -> asset or band of the items; a sequence names them by what the items
        call them. A band is found by the key of its asset, or by the name or common
        name in the ``bands`` or ``eo:bands`` of one.
    cloud : CloudMask, optional
        Its band is found as the others, for instance ``CloudMask("SCL", (4, 5, 6))``.
    grid : Grid, optional
        As in :class:`Stack`.

    Returns
    -------
    Stack
        With the date of each item's ``datetime``, else ``start_datetime``; scale,
        offset and nodata are those of ``raster:bands`` or ``bands``, where given.

    Raises
    ------
    ConfigError
        pystac is not installed.
    ContractError
        A band that an item does not have, or files that are not on this machine.
    SourceError
        A file that is no item or collection of items, and as :class:`Stack`.

    References
    ----------
    SpatioTemporal Asset Catalog specification 1.0 and 1.1, items and assets.
    """
    named = bands if isinstance(bands, Mapping) else {name: name for name in bands}
    items = [pair for file in _files(path) for pair in _items(file)]
    images = [
        image for file, item in items for image in _images(file, item, named, cloud)
    ]
    return Stack(images, grid)


def _files(path: str | Path | Sequence[str | Path]) -> list[Path]:
    given = [path] if isinstance(path, str | Path) else list(path)
    found: list[Path] = []
    for one in map(Path, given):
        found += sorted(one.glob("*.json")) if one.is_dir() else [one]
        found += sorted(one.glob("*.geojson")) if one.is_dir() else []
    if not found:
        raise SourceError(
            "There are no STAC items",
            where=", ".join(map(str, given)),
            expected="files that end in .json or .geojson",
        )
    return found


def _items(file: Path) -> Iterator[tuple[Path, Any]]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise _no_items(file) from None
    if not isinstance(content, dict):
        raise _no_items(file)
    features = content.get("features", [content])
    pystac = _pystac()
    for feature in features:
        try:
            item = pystac.Item.from_dict(feature)
        except (
            pystac.STACError,
            pystac.STACTypeError,
            KeyError,
            TypeError,
            AttributeError,
            ValueError,
        ):
            raise _no_items(file) from None
        yield file, item


def _no_items(file: Path) -> SourceError:
    return SourceError(
        "The file cannot be read as STAC items",
        where=str(file),
        expected="an item, or a FeatureCollection of items, in JSON",
    )


def _images(
    file: Path, item: Any, bands: Mapping[str, str], cloud: CloudMask | None
) -> Iterator[Image]:
    places = _places(item)
    mask = None
    if cloud is not None:
        place = _place_of(str(cloud.band), places, item, file)
        path = _local(place.href, file)
        mask = replace(cloud, band=place.number, path=path)
    together: dict[_Place, dict[str, int]] = {}
    for name, band in bands.items():
        place = _place_of(band, places, item, file)
        together.setdefault(replace(place, number=0), {})[name] = place.number
    for place, numbers in together.items():
        yield Image(
            _local(place.href, file),
            numbers,
            _date(item),
            mask,
            place.scale,
            place.offset,
            place.nodata,
        )


def _places(item: Any) -> dict[str, _Place]:
    """Return the place of each band by the names it goes by."""
    found: dict[str, _Place] = {}
    for key, asset in item.assets.items():
        extra = asset.extra_fields
        told = extra.get("bands") or extra.get("eo:bands") or [{}]
        stored = extra.get("raster:bands") or [{}] * len(told)
        for number, (band, values) in enumerate(zip(told, stored, strict=False), 1):
            # What the asset says of itself holds for its bands too, since STAC 1.1.
            tells = {**extra, **values, **band}
            place = _Place(
                asset.href,
                number,
                float(tells.get("raster:scale", tells.get("scale", 1.0))),
                float(tells.get("raster:offset", tells.get("offset", 0.0))),
                _nodata(tells.get("nodata")),
            )
            names = [band.get(one) for one in ("name", "common_name", "eo:common_name")]
            for name in [*filter(None, names), *([key] if len(told) == 1 else [])]:
                found.setdefault(name, place)
    return found


def _nodata(value: Any) -> float | None:
    return None if value is None else float(value)


def _place_of(band: str, places: Mapping[str, _Place], item: Any, file: Path) -> _Place:
    if band not in places:
        raise ContractError(
            f"an item has no band {band!r}",
            where=f"{file}, item {item.id}, {_date(item)}",
            expected=f"one of {', '.join(places)}",
            nearest=nearest(band, places),
        )
    return places[band]


def _local(href: str, file: Path) -> Path:
    parts = urlsplit(href)
    # A single letter is a drive of Windows.
    if len(parts.scheme) > 1 and parts.scheme != "file" or href.startswith("/vsi"):
        raise ContractError(
            "an item's file is not on this machine, and nothing is downloaded",
            where=str(file),
            expected="paths of local files",
            hint="download the files, and write their paths into the items",
        )
    path = unquote(parts.path) if parts.scheme == "file" else href
    return Path(file.parent, path)


def _date(item: Any) -> str:
    when = item.datetime or item.common_metadata.start_datetime
    return str(when.date().isoformat())


def _pystac() -> Any:
    try:
        import pystac
    except ImportError:
        raise ConfigError(
            "STAC items need the package pystac, which is not installed",
            hint="pip install 'mlstats[imagery]'",
        ) from None
    return pystac

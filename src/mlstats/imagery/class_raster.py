"""Images to a raster of classes, with probabilities and uncertainty as bands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlstats.errors import ConfigError
from mlstats.imagery.features import FeatureSet
from mlstats.imagery.images import Stack
from mlstats.imagery.pixel_classifier import PIXEL_TYPES, PixelClassifier
from mlstats.imagery.raster_map import map_raster
from mlstats.imagery.windows import Block, Pixels, Window
from mlstats.scale import Scale

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["classify_raster"]

Uncertainty = Literal["margin", "entropy", "least"]

# A share is stored in steps of half a percent, and 255 where the pixel has no class.
_STEPS = 200
_NO_SHARE = 255
_UNCERTAINTY = {
    "margin": "margin_uncertainty",
    "entropy": "normalised_entropy",
    "least": "least_confidence",
}


@dataclass(frozen=True)
class _Classify:
    """The classes, probabilities and uncertainty of a block, as bytes."""

    classifier: PixelClassifier
    features: FeatureSet | None
    probabilities: bool
    uncertainty: str | None

    def __call__(self, block: Block) -> Pixels:
        if self.features is None:
            values, ok = block.values, np.asarray(block.valid.all(0))
        else:
            values, ok = self.features.compute(block)
        codes = self.classifier.predict(values, ok)
        if not self.probabilities and self.uncertainty is None:
            return codes
        shares = self.classifier.probabilities(values, ok)
        bands = [*shares] if self.probabilities else []
        if self.uncertainty is not None:
            # Here, for the sake of workers that do not need it.
            from mlstats.imagery import uncertainty

            measure = getattr(uncertainty, _UNCERTAINTY[self.uncertainty])
            bands.append(measure(shares, axis=0))
        return np.stack([codes, *map(_as_bytes, bands)])


def _as_bytes(share: Pixels) -> Pixels:
    steps = np.rint(np.nan_to_num(share, nan=_NO_SHARE / _STEPS) * _STEPS)
    return np.asarray(steps, np.uint8)


def classify_raster(
    stack: Stack,
    features: FeatureSet | None,
    classifier: PixelClassifier,
    out: str | Path,
    *,
    probabilities: bool = False,
    uncertainty: Uncertainty | None = None,
    workers: int | Scale = 1,
    block: int = 512,
) -> pd.DataFrame:
    """Write the raster of the classes of every pixel, and count them.

    Parameters
    ----------
    stack : Stack
        The images.
    features : FeatureSet or None
        What the classifier was fitted on; None for the bands themselves.
    classifier : PixelClassifier
        The fitted classifier.
    out : str or pathlib.Path
        GeoTIFF of uint8 to write. Band 1 holds the codes of the classes.
    probabilities : bool, default=False
        One more band for the probability of each class.
    uncertainty : {"margin", "entropy", "least"}, optional
        One more band, see :mod:`mlstats.imagery.uncertainty`.
    workers : int or Scale, default=1
        As in :func:`map_raster`.
    block : int, default=512
        As in :func:`map_raster`.

    Returns
    -------
    pandas.DataFrame
        One row per class, the last one for unclassified pixels: code, class, pixels.

    Raises
    ------
    ConfigError
        Where the classifier was fitted on another number or order of features, or the
        measure of uncertainty is none.
    MlstatsError
        As in :func:`map_raster`.

    Notes
    -----
    The raster has no nodata value: an unclassified pixel has a code of its own and
    counts. Probabilities and uncertainty are stored in steps of .005, and as 255 where
    a pixel has no class; the tags ``classes``, ``unclassified``, ``share_scale`` and
    ``share_missing`` tell so.
    """
    import pandas as pd  # here, for the sake of workers that do not need it

    _check(stack, features, classifier, uncertainty)
    names = [str(name) for name in classifier.classes_.tolist()]
    bands = ["class"]
    bands += [f"probability {name}" for name in names] if probabilities else []
    bands += [f"uncertainty {uncertainty}"] if uncertainty else []
    classes = {code: str(name) for code, name in classifier.codes().items()}
    classes[classifier.unclassified] = "unclassified"
    done = map_raster(
        _Classify(classifier, features, probabilities, uncertainty),
        stack,
        out,
        bands=bands,
        dtype="uint8",
        block=block,
        halo=0 if features is None else features.halo,
        workers=workers,
        as_stored=features is None and _can_stay_stored(stack),
        classes=classes,
        tags={
            "unclassified": str(classifier.unclassified),
            "share_scale": str(1 / _STEPS),
            "share_missing": str(_NO_SHARE),
            "classifier": classifier.how,
        },
    )
    codes = classifier.codes()
    return pd.DataFrame(
        {
            "code": [*codes, classifier.unclassified],
            "class": [*codes.values(), "unclassified"],
            "pixels": done.counts[[*codes, classifier.unclassified]],
        }
    )


def _check(
    stack: Stack,
    features: FeatureSet | None,
    classifier: PixelClassifier,
    uncertainty: str | None,
) -> None:
    if uncertainty is not None and uncertainty not in _UNCERTAINTY:
        raise ConfigError(
            f"There is no uncertainty {uncertainty!r}",
            where="uncertainty",
            expected=", ".join(_UNCERTAINTY),
        )
    names = list(stack.names if features is None else features.names(stack))
    n_fitted = getattr(classifier.estimator, "n_features_in_", len(names))
    if n_fitted != len(names):
        raise ConfigError(
            f"The classifier was fitted on {n_fitted} features, there are {len(names)}",
            where="features",
            expected=json.dumps(names),
        )
    fitted = getattr(classifier.estimator, "feature_names_in_", None)
    if fitted is not None and list(fitted) != names:
        first = next(i for i, name in enumerate(names) if name != fitted[i])
        raise ConfigError(
            f"Feature {first + 1} is {names[first]!r}",
            where="features",
            expected=f"{fitted[first]!r}, as the classifier was fitted",
            hint="fit on the features of the same stack, or rename its bands",
        )


def _can_stay_stored(stack: Stack) -> bool:
    """Tell whether the classifier can take the files' own integers."""
    if any(image.scale != 1 or image.offset != 0 for image in stack.images):
        return False
    try:
        pixel = stack.read(Window(0, 0, 1, 1), as_stored=True)
    except ConfigError:  # resampled from another grid
        return False
    return pixel.values.dtype.name in PIXEL_TYPES

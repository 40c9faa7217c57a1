"""An area-frame sample: surveyed and classified hectares of segments, by stratum.

The frame cuts the territory into segments. In the sampled ones the survey measured
what the statistic is of (`y`), in all of them the map gives what was classified (`x`),
so that the mean of `x` over every segment of a stratum is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.quality.design import Design

__all__ = ["AreaSample"]

_ALL = "all"


@dataclass(frozen=True)
class AreaSample:
    """Segments drawn at random without replacement within strata.

    Made by :meth:`of`.

    Parameters
    ----------
    y : numpy.ndarray of float, shape (n,)
        Surveyed area, or any other quantity, of each sampled segment.
    x : numpy.ndarray of float, shape (n, p)
        Classified areas of the same segments; p is 0 without a map.
    stratum : numpy.ndarray of int, shape (n,)
        Place of each segment's stratum in `names`.
    names : tuple of str
        The strata, those without a sampled segment included.
    segments : numpy.ndarray of float, shape (H,)
        Segments of each stratum in the frame.
    x_mean : numpy.ndarray of float, shape (H, p)
        Mean of `x` over all segments of each stratum, sampled or not.
    finite : bool
        Whether variances carry the finite-population correction.
    """

    y: np.ndarray
    x: np.ndarray
    stratum: np.ndarray
    names: tuple[str, ...]
    segments: np.ndarray
    x_mean: np.ndarray
    finite: bool = True

    @classmethod
    def of(
        cls,
        y: np.ndarray,
        x: np.ndarray | None = None,
        *,
        segments: float | Mapping[str, float],
        x_mean: float | Sequence[float] | Mapping[str, float | Sequence[float]] = (),
        stratum: np.ndarray | None = None,
        finite: bool = True,
    ) -> AreaSample:
        """Check a sample against its frame.

        Parameters
        ----------
        y : numpy.ndarray, shape (n,)
            Surveyed quantity of each sampled segment, in hectares for an area.
        x : numpy.ndarray, shape (n,) or (n, p), optional
            Classified quantities of the same segments, in any unit.
        segments : float or mapping
            Segments in the frame, by stratum where there are strata.
        x_mean : float, sequence of float or mapping, optional
            Mean of `x` over all segments of the frame, by stratum where there are
            strata, in the unit of `x`.
        stratum : numpy.ndarray, shape (n,), optional
            Name of the stratum of each sampled segment.
        finite : bool
            Whether variances carry the finite-population correction.

        Raises
        ------
        ContractError
            Where lengths differ, a value is not finite, a stratum of the sample is
            not in the frame or holds fewer segments than were drawn from it.
        """
        y = np.asarray(y, dtype=float)
        auxiliary = _columns(x, len(y))
        frame = _by_name(segments)
        labels = np.full(len(y), _ALL) if stratum is None else np.asarray(stratum)
        codes = pd.Index(list(frame), dtype=object).get_indexer(
            pd.Index([str(name) for name in labels], dtype=object)
        )
        _known_strata(codes, len(labels), len(y))
        sizes = np.array([float(size) for size in frame.values()])
        means = _means(x_mean, tuple(frame), auxiliary.shape[1])
        found = cls(y, auxiliary, codes, tuple(frame), sizes, means, finite)
        found._check()
        return found

    def _check(self) -> None:
        bad = int((~np.isfinite(self.y)).sum() + (~np.isfinite(self.x)).any(1).sum())
        if bad:
            raise ContractError(
                f"{bad} values of sampled segments are missing or not finite",
                hint="leave a segment that was not surveyed out of the sample and "
                "weight the others, or impute it",
            )
        if not np.isfinite(self.x_mean).all():
            raise ContractError("A mean of x over the frame is missing or not finite")
        short = [
            name
            for name, drawn, held in zip(
                self.names, self.drawn, self.segments, strict=True
            )
            if not held > 0 or drawn > held
        ]
        if short:
            raise ContractError(
                f"{len(short)} strata of the frame hold fewer segments than were drawn",
                where=f"stratum {short[0]!r}",
                expected="a positive number of segments, no less than the sample's",
            )

    @property
    def n(self) -> int:
        """Sampled segments."""
        return len(self.y)

    @property
    def drawn(self) -> np.ndarray:
        """Sampled segments of each stratum, shape (H,)."""
        return np.bincount(self.stratum, minlength=len(self.names))

    @property
    def total_segments(self) -> float:
        """Segments of the frame."""
        return float(self.segments.sum())

    @property
    def share(self) -> np.ndarray:
        """Share of each stratum in the segments of the frame, shape (H,)."""
        return np.asarray(self.segments / self.segments.sum())

    @property
    def fraction(self) -> np.ndarray:
        """Share of each stratum that was drawn, 0 where not `finite`, shape (H,)."""
        drawn = self.drawn / self.segments
        return np.asarray(drawn if self.finite else np.zeros_like(drawn))

    @property
    def weight(self) -> np.ndarray:
        """Segments of the frame that each sampled one stands for, shape (n,)."""
        return np.asarray((self.segments / np.maximum(self.drawn, 1))[self.stratum])

    def design(self) -> Design:
        """Return the sample as the quality framework's designs have it."""
        return Design.of(
            self.weight,
            stratum=np.array(self.names, dtype=object)[self.stratum],
            fraction=dict(zip(self.names, self.fraction, strict=True)),
        )

    def unsampled(self) -> str:
        """Return why nothing can be estimated; empty where all is well.

        A stratum without a sampled segment is never left out: its area is part of
        the figure.
        """
        empty = self.drawn == 0
        if not empty.any():
            return ""
        share = float(self.share[empty].sum())
        names = ", ".join(np.array(self.names, dtype=object)[empty][:3])
        return f"no sampled segment in {names} ({share:.1%} of the frame)"


def _columns(x: np.ndarray | None, n: int) -> np.ndarray:
    if x is None:
        return np.empty((n, 0))
    columns = np.asarray(x, dtype=float)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or len(columns) != n:
        raise ContractError(
            f"x has shape {np.shape(x)} for {n} segments",
            expected=f"({n},) or ({n}, p)",
        )
    return columns


def _by_name(segments: float | Mapping[str, float]) -> dict[str, float]:
    if isinstance(segments, Mapping):
        return {str(name): float(size) for name, size in segments.items()}
    return {_ALL: float(segments)}


def _known_strata(codes: np.ndarray, labels: int, n: int) -> None:
    if labels != n:
        raise ContractError(f"{labels} strata were given for {n} segments")
    strange = int((codes < 0).sum())
    if strange:
        raise ContractError(
            f"{strange} sampled segments lie in strata that the frame does not have",
            where="segments",
            expected="the number of segments of every stratum",
        )


def _means(
    x_mean: float | Sequence[float] | Mapping[str, float | Sequence[float]],
    names: tuple[str, ...],
    p: int,
) -> np.ndarray:
    given = x_mean if isinstance(x_mean, Mapping) else dict.fromkeys(names, x_mean)
    by_name = {str(name): np.ravel(np.asarray(m, float)) for name, m in given.items()}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise ContractError(
            f"The mean of x is not given for {len(missing)} strata",
            where=f"stratum {missing[0]!r}",
        )
    if any(len(by_name[name]) != p for name in names):
        raise ContractError(
            "The means of x over the frame do not match the columns of x",
            expected=f"{p} for each stratum",
        )
    return np.array([by_name[name] for name in names]).reshape(len(names), p)

"""How unsure a classifier is of a pixel, from its class probabilities.

Three measures from 0, sure, to 1 (:func:`least_confidence` to one less than that by the
number of classes). They tell what the classifier believes: where it has seen nothing
alike it may be sure and wrong, which
:class:`~mlstats.imagery.applicability.Applicability` is for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from mlstats.errors import ContractError
from mlstats.imagery.variance_components import Floats

__all__ = ["least_confidence", "margin_uncertainty", "normalised_entropy"]

_ROUNDED = 0.01  # what stored probabilities may lack of one


def least_confidence(probabilities: npt.ArrayLike, *, axis: int = -1) -> Floats:
    """Return one minus the largest probability.

    Parameters
    ----------
    probabilities : array_like
        With the classes along `axis`, adding up to one.
    axis : int
        0 for bands of a raster.

    Returns
    -------
    ndarray
        Without the axis; from 0 to ``1 - 1 / classes``. NaN where one is missing.

    Raises
    ------
    ContractError
        Fewer than two classes, numbers that are no probabilities.

    References
    ----------
    Culotta and McCallum 2005, AAAI-05, 746-751; Settles 2009, Active Learning
    Literature Survey, section 3.1.

    Examples
    --------
    >>> least_confidence([0.5, 0.25, 0.25])
    array(0.5)
    """
    return np.asarray(1 - _checked(probabilities, axis).max(axis=-1))


def margin_uncertainty(probabilities: npt.ArrayLike, *, axis: int = -1) -> Floats:
    """Return one minus the gap between the two largest probabilities.

    Parameters
    ----------
    probabilities, axis
        As in :func:`least_confidence`.

    Returns
    -------
    ndarray
        0 to 1.

    References
    ----------
    Scheffer, Decomain and Wrobel 2001, Advances in Intelligent Data Analysis, 309-318,
    whose margin is the gap itself.

    Examples
    --------
    >>> margin_uncertainty([0.5, 0.25, 0.25])
    array(0.75)
    """
    two = np.partition(_checked(probabilities, axis), -2, axis=-1)
    return np.asarray(1 - (two[..., -1] - two[..., -2]))


def normalised_entropy(probabilities: npt.ArrayLike, *, axis: int = -1) -> Floats:
    """Return the entropy over its largest value, the logarithm of the classes.

    Parameters
    ----------
    probabilities, axis
        As in :func:`least_confidence`.

    Returns
    -------
    ndarray
        0 to 1.

    References
    ----------
    Shannon 1948, Bell System Technical Journal 27, 379-423, section 6.

    Examples
    --------
    >>> normalised_entropy([0.5, 0.5, 0.0, 0.0])
    array(0.5)
    """
    found = _checked(probabilities, axis)
    return np.asarray(entr(found).sum(axis=-1) / np.log(found.shape[-1]))


def _checked(probabilities: npt.ArrayLike, axis: int) -> Floats:
    found = np.moveaxis(np.asarray(probabilities, dtype=float), axis, -1)
    if found.ndim == 0 or found.shape[-1] < 2:
        raise ContractError("one class has no uncertainty", expected="two or more")
    total = found.sum(axis=-1)
    wrong = (found < 0).any(axis=-1) | (np.abs(total - 1) > _ROUNDED)
    if wrong.any():
        raise ContractError(
            f"the probabilities of {int(wrong.sum())} pixels are below 0 or do not "
            "add up to one",
            hint="scale stored integers back, and name the axis of the classes",
        )
    return found

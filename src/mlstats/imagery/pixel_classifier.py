"""Classes of many pixels from a fitted classifier, as fast as one core allows."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from mlstats.errors import ConfigError, ContractError, MethodError
from mlstats.imagery.fitted_trees import FittedTrees, fitted_trees
from mlstats.imagery.quadratic import Quadratic, quadratic

__all__ = ["PIXEL_TYPES", "PixelClassifier"]

_LOG = logging.getLogger(__name__)
PIXEL_TYPES = ("uint8", "uint16", "int16", "float32")
_BLOCK = 1 << 14
_CHUNK = 1 << 16
_UNCLASSIFIED = (0, 255)


class _Way(Protocol):
    """A way from values (features, n) of complete pixels to their classes."""

    how: str
    size: int

    def classes(self, values: np.ndarray) -> np.ndarray: ...

    def probabilities(self, values: np.ndarray) -> np.ndarray: ...


class _Packed:
    """An estimator that another process unpacks only where it is asked.

    It would import scikit-learn, which takes a worker longer than all else it loads.
    """

    def __init__(self, fitted: Any) -> None:
        self._fitted, self._content = fitted, b""

    def __call__(self) -> Any:
        if self._fitted is None:
            self._fitted = pickle.loads(self._content)
        return self._fitted

    def __getstate__(self) -> dict[str, Any]:
        content = self._content or pickle.dumps(self._fitted)
        return {"_fitted": None, "_content": content}


class PixelClassifier:
    """A fitted scikit-learn classifier for the pixels of images.

    Forests and boosting go through tables of bit masks (:mod:`.tree_tables`), Gaussian
    classes through one fused loop (:mod:`.quadratic`), both compiled by numba; what is
    of another form, and everything where numba is absent, goes to scikit-learn in
    chunks. The labels are those of ``estimator.predict`` on the same values.

    Parameters
    ----------
    estimator : object
        Fitted classifier of scikit-learn with at most 255 classes.
    unclassified : {255, 0}, default=255
        Code of a pixel with a value that is not finite, or that is said not to be ok.
        With 255 the classes are 0, 1, ..., with 0 they are 1, 2, ...
    lead : float, default=1.0
        A pixel leaves the trees when its winner leads by more than this share of what
        the trees that are left can change. 1 keeps all labels; less is approximate
        and faster; ``docs/classes-of-pixels.md`` tells how many labels it changes.

    Attributes
    ----------
    classes_ : ndarray
        The classes, by ascending code.
    how : str
        The way that is used, with the number of trees and nodes.

    Raises
    ------
    ConfigError
        Where a parameter is out of its range or there are too many classes.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> tree = DecisionTreeClassifier().fit([[100], [900]], ["water", "crop"])
    >>> pixels = PixelClassifier(tree)
    >>> pixels.classes_
    array(['crop', 'water'], dtype='<U5')
    >>> pixels.predict(np.array([[80, 950, np.nan]], np.float32))
    array([  1,   0, 255], dtype=uint8)
    """

    def __init__(
        self, estimator: Any, *, unclassified: int = 255, lead: float = 1.0
    ) -> None:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(estimator)
        if isinstance(estimator.classes_, list):
            raise ConfigError(
                f"The classifier has several outcomes, {len(estimator.classes_)}",
                where=type(estimator).__name__,
                expected="one",
            )
        self._packed = _Packed(estimator)
        self._n_features = getattr(estimator, "n_features_in_", None)
        self._has_probabilities = hasattr(estimator, "predict_proba")
        self.classes_ = np.asarray(estimator.classes_)
        self.unclassified = unclassified
        self.lead = lead
        self._check()
        self._way = _way(self._packed, lead)
        self.how = self._way.how

    @property
    def estimator(self) -> Any:
        """The classifier itself."""
        return self._packed()

    def codes(self) -> dict[int, Any]:
        """Return the class of every code but that of unclassified pixels."""
        return dict(enumerate(self.classes_.tolist(), start=self._first))

    def predict(self, values: np.ndarray, ok: np.ndarray | None = None) -> np.ndarray:
        """Return the code of the class of every pixel.

        Parameters
        ----------
        values : ndarray of uint8, uint16, int16 or float32
            Shape (features, n) or (features, rows, cols).
        ok : ndarray of bool, shape of a feature, optional
            Pixels to classify.

        Returns
        -------
        ndarray of uint8, shape of a feature

        Raises
        ------
        ContractError
            Where the values have another type, or another number of features.
        """
        flat, shape = self._flat(values)
        codes = np.full(flat.shape[1], self.unclassified, np.uint8)
        for place, block in self._blocks(flat, ok):
            codes[place] = self._way.classes(block) + np.uint8(self._first)
        return codes.reshape(shape)

    def probabilities(
        self, values: np.ndarray, ok: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the probability of every class; NaN for an unclassified pixel.

        Parameters
        ----------
        values, ok
            As in :meth:`predict`.

        Returns
        -------
        ndarray of float32, shape (classes, n) or (classes, rows, cols)

        Raises
        ------
        ContractError
            As in :meth:`predict`.
        MethodError
            Where the estimator has no probabilities.
        """
        if not self._has_probabilities:
            raise MethodError(
                "The classifier has no probabilities",
                where=type(self.estimator).__name__,
                expected="a classifier with predict_proba",
                hint="wrap it in scikit-learn's CalibratedClassifierCV",
            )
        flat, shape = self._flat(values)
        n_classes = len(self.classes_)
        found = np.full((n_classes, flat.shape[1]), np.nan, np.float32)
        for place, block in self._blocks(flat, ok):
            found[:, place] = self._way.probabilities(block)
        return found.reshape(n_classes, *shape)

    @property
    def _first(self) -> int:
        return 1 if self.unclassified == 0 else 0

    def _check(self) -> None:
        if self.unclassified not in _UNCLASSIFIED:
            raise ConfigError(
                f"The code {self.unclassified} cannot stand for unclassified pixels",
                where="unclassified",
                expected="0 or 255",
            )
        if not 0 < self.lead <= 1:
            raise ConfigError(
                f"A lead of {self.lead} is not a share",
                where="lead",
                expected="more than 0, at most 1",
                nearest="1",
            )
        if len(self.classes_) > 255:
            raise ConfigError(
                f"{len(self.classes_)} classes do not fit into one byte",
                where=type(self.estimator).__name__,
                expected="at most 255",
            )

    def _flat(self, values: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        if values.dtype.name not in PIXEL_TYPES:
            raise ContractError(
                f"Pixels cannot have values of type {values.dtype.name}",
                where="values",
                expected=", ".join(PIXEL_TYPES),
                hint="convert them with .astype('float32'), as images are read",
            )
        n_features = self._n_features or len(values)
        if values.ndim not in (2, 3) or len(values) != n_features:
            raise ContractError(
                f"The values have the shape {values.shape}",
                where="values",
                expected=f"({n_features}, n) or ({n_features}, rows, cols)",
            )
        return values.reshape(n_features, -1), values.shape[1:]

    def _blocks(
        self, values: np.ndarray, ok: np.ndarray | None
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield places and contiguous values of the pixels that can be classified."""
        good = np.ones(values.shape[1], bool) if ok is None else np.ravel(ok)
        if good.shape != values.shape[1:]:
            raise ContractError(
                f"{good.size} pixels are ok or not, of {values.shape[1]}",
                where="ok",
                expected="one for every pixel",
            )
        for start in range(0, values.shape[1], self._way.size):
            place = slice(start, start + self._way.size)
            block = values[:, place]
            usable = good[place]
            if values.dtype.kind == "f":
                usable = usable & np.isfinite(block).all(axis=0)
            if usable.all():
                yield place, np.array(block, order="C")
            elif usable.any():
                yield (
                    start + np.flatnonzero(usable),
                    np.ascontiguousarray(block[:, usable]),
                )


def _way(packed: _Packed, lead: float) -> _Way:
    trees = fitted_trees(packed())
    gaussian = None if trees else quadratic(packed())
    if trees is None and gaussian is None:
        return _Chunks(packed, "no compiled form of it is known")
    try:
        return _Trees(trees, lead) if trees else _Gaussian(packed, gaussian)
    except ImportError:
        _LOG.warning(
            "numba is absent, pixels go to scikit-learn: pip install 'mlstats[imagery]'"
        )
        return _Chunks(packed, "numba is absent")


class _Chunks:
    """scikit-learn itself, some pixels at a time."""

    size = _CHUNK

    def __init__(self, packed: _Packed, why: str) -> None:
        self.packed = packed
        self.how = f"scikit-learn in chunks of {_CHUNK} pixels: {why}"

    def classes(self, values: np.ndarray) -> np.ndarray:
        labels = self.packed().predict(self._table(values))
        classes = np.asarray(self.packed().classes_)
        places: np.ndarray = np.searchsorted(classes, labels).astype(np.uint8)
        return places

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.packed().predict_proba(self._table(values)).T
        return found

    def _table(self, values: np.ndarray) -> Any:
        table = np.ascontiguousarray(values.T, np.float32)
        names = getattr(self.packed(), "feature_names_in_", None)
        if names is None:
            return table
        import pandas as pd  # here, for the sake of workers that do not need it

        return pd.DataFrame(table, columns=names)


class _Trees:
    """Trees as tables, compiled."""

    size = _BLOCK

    def __init__(self, trees: FittedTrees, lead: float) -> None:
        self.trees = trees
        self.enough = trees.enough(lead)
        self._compile()
        exact = "labels equal" if lead == 1 else f"approximate, lead {lead}"
        self.how = (
            f"compiled masks of {trees.n_trees} trees, {trees.n_nodes} nodes, {exact}"
        )

    def _compile(self) -> None:
        from mlstats.imagery import pixel_ranks, tree_kernels

        self._kernels, self._new_ranks = tree_kernels, pixel_ranks.PixelRanks
        self._ranks: dict[str, Callable[[np.ndarray], np.ndarray]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("trees", "enough", "how")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compile()

    def scores(self, values: np.ndarray, enough: np.ndarray) -> np.ndarray:
        name = values.dtype.name
        if name not in self._ranks:
            self._ranks[name] = self._new_ranks(self.trees.tables, values.dtype)
        tables, start = self.trees.tables, self.trees.start
        scores = np.zeros((values.shape[1], -(-len(start) // 4) * 4))
        scores[:, : len(start)] = start
        self._kernels.score_block(
            self._ranks[name](values),
            scores,
            len(start),
            enough,
            self.trees.columns,
            tables.rows,
            tables.masks,
            tables.bases,
            tables.below,
            tables.nodes,
            tables.leaves,
            tables.values,
        )
        return scores

    def classes(self, values: np.ndarray) -> np.ndarray:
        found = np.empty(values.shape[1], np.uint8)
        self._kernels.classify_block(
            self.scores(values, self.enough),
            len(self.trees.start),
            self.trees.divisor,
            self.trees.ties_to_last,
            found,
        )
        return found

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        never = np.full_like(self.enough, np.inf)
        scores = self.scores(values, never)[:, : len(self.trees.start)].T
        if self.trees.columns.max() < 0:
            return scores / self.trees.divisor
        return _softmax(scores)


class _Gaussian:
    """Discriminants of Gaussian classes, compiled; near ties go to the estimator."""

    size = _BLOCK

    def __init__(self, packed: _Packed, gaussian: Quadratic | None) -> None:
        assert gaussian is not None
        self.parts = (gaussian.means, gaussian.factors, gaussian.constants)
        self._compile()
        self._exact = _Chunks(packed, "near ties")
        self.how = f"compiled discriminants of {len(gaussian.means)} Gaussian classes"

    def _compile(self) -> None:
        from mlstats.imagery import quadratic_kernel

        self._kernel = quadratic_kernel

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("parts", "_exact", "how")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compile()

    def classes(self, values: np.ndarray) -> np.ndarray:
        found = np.empty(values.shape[1], np.uint8)
        close = np.empty(values.shape[1], bool)
        as_float = values.astype(np.float64)
        self._kernel.best_discriminants(as_float, *self.parts, found, close)
        if close.any():
            found[close] = self._exact.classes(values[:, close])
        return found

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        found = np.empty((len(self.parts[0]), values.shape[1]))
        self._kernel.discriminants(values.astype(np.float64), *self.parts, found)
        return _softmax(found)


def _softmax(scores: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.exp(scores - scores.max(axis=0))
    found /= found.sum(axis=0)
    return found

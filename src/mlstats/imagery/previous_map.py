"""The map of an earlier year as a classifier: what an office has without a model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.errors import MethodError

__all__ = ["PREVIOUS", "PreviousMap"]

PREVIOUS = "previous_map"  # the feature that holds the earlier map's class


class PreviousMap:
    """Answer with the class of the earlier map at each unit.

    It learns nothing; ``fit`` only notes the classes, so that it can be validated like
    a classifier. A pixel that the earlier map does not know stays unclassified.
    """

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> PreviousMap:
        """Note the classes.

        Raises
        ------
        MethodError
            Where X has no column of the earlier map.
        """
        if PREVIOUS not in X:
            raise MethodError(
                "There is no earlier map among the features",
                hint="name data.scene.previous in the pilot",
            )
        self.classes_ = np.unique(np.asarray(y, dtype=object))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the earlier class of each row, None where it is not known."""
        values = X[PREVIOUS].to_numpy(dtype=object, copy=True)
        values[pd.isna(values)] = None
        return np.asarray(values)

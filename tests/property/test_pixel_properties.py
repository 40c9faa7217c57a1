"""Properties of the compiled trees over small random forests and any values."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)

from mlstats.imagery.pixel_classifier import PixelClassifier

ELEMENTS = {
    "uint8": st.integers(0, 255),
    "uint16": st.integers(0, 9) | st.integers(0, 65535),
    "int16": st.integers(-4, 4) | st.integers(-32768, 32767),
    "float32": st.integers(-3, 3).map(float) | st.floats(width=32),
}


@st.composite
def pixels(draw):
    """Return values to fit on, their labels and values to classify."""
    dtype = draw(st.sampled_from(sorted(ELEMENTS)))
    features = draw(st.integers(1, 7))
    n = draw(st.integers(8, 40))
    values = draw(arrays.arrays(dtype, (n, features), elements=ELEMENTS[dtype]))
    label = draw(arrays.arrays(int, n, elements=st.integers(0, 4)))
    label[:2] = 0, 1
    return values, label


@st.composite
def classifiers(draw):
    depth = draw(st.integers(1, 4) | st.none())
    seed = draw(st.integers(0, 99))
    trees = draw(st.integers(1, 35))
    forest = draw(st.sampled_from([RandomForestClassifier, ExtraTreesClassifier]))
    few = min(trees, 5)
    return draw(
        st.sampled_from(
            [
                forest(trees, max_depth=depth, random_state=seed),
                GradientBoostingClassifier(n_estimators=few, random_state=seed),
                HistGradientBoostingClassifier(
                    max_iter=few, min_samples_leaf=1, random_state=seed
                ),
            ]
        )
    )


@settings(max_examples=150, deadline=None)
@given(pixels(), classifiers())
def test_labels_are_those_of_scikit_learn(case, classifier):
    values, label = case
    usable = np.isfinite(values).all(axis=1)
    label[~usable] = 0
    classifier.fit(np.where(usable[:, None], values, 0).astype(float), label)
    found = PixelClassifier(classifier).predict(np.ascontiguousarray(values.T))
    np.testing.assert_array_equal(found == 255, ~usable)
    if usable.any():
        expected = classifier.predict(values[usable].astype(np.float32))
        np.testing.assert_array_equal(classifier.classes_[found[usable]], expected)

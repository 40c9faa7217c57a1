"""Mato Grosso: classifier and dissimilarity against R, folds against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.model_selection import LeaveOneOut, StratifiedKFold, cross_val_predict

from mlstats.imagery import (
    Applicability,
    MaximumLikelihood,
    seasons,
    spatial_blocks,
    unlearnt_classes,
    validate_classifiers,
    validation_table,
)


@pytest.fixture(scope="module")
def samples(request):
    real_data = request.getfixturevalue("real_data")
    path = real_data / "imagery" / "modis_mato_grosso" / "samples_ndvi_2000_2014.csv"
    if not path.exists():
        pytest.skip("the MODIS samples are not on this machine")
    return pd.read_csv(path)


def arrays(samples):
    return samples.filter(like="ndvi").to_numpy(), samples["label"].to_numpy(object)


def test_equal_to_qda_of_mass(samples):
    """R 4.2, MASS: qda(X, label, prior = rep(1/4, 4), "mle"), and with CV = TRUE."""
    X, y = arrays(samples)
    found = MaximumLikelihood(ridge=0).fit(X, y)
    assert (found.predict(X) == y).sum() == 283 + 127 + 260 + 144
    posterior = found.predict_proba(X)[[0, 1, 99, 499, 952]]
    expected = [
        [4.149545948e-03, 1.065066703e-73, 9.958503757e-01, 7.838352763e-08],
        [3.300527067e-01, 1.046634362e-68, 6.699472696e-01, 2.377872218e-08],
        [2.023251061e-02, 2.992717819e-50, 9.797674876e-01, 1.787253923e-09],
        [9.897016942e-01, 3.654793156e-76, 1.029830579e-02, 1.520880924e-13],
        [1.094478088e-08, 9.999999891e-01, 1.016278394e-26, 5.762919522e-80],
    ]
    np.testing.assert_allclose(posterior, expected, rtol=1e-7)
    left_out = cross_val_predict(found, X, y.astype(str), cv=LeaveOneOut())
    assert (left_out == y).mean() == pytest.approx(0.8279119, abs=1e-7)


def test_random_blocked_and_season(samples):
    X, y = arrays(samples)
    found = validate_classifiers(
        {"ml": MaximumLikelihood(ridge=0)},
        X,
        y,
        blocks=spatial_blocks(samples["longitude"], samples["latitude"], 1.0),
        seasons=seasons(samples["start_date"], first_month=9),
    )
    table = validation_table(found)
    table = table[table["measure"] == "accuracy"].set_index("scheme")
    split = StratifiedKFold(5, shuffle=True, random_state=0)
    other = QuadraticDiscriminantAnalysis(priors=np.full(4, 0.25), tol=1e-12)
    expected = (cross_val_predict(other, X, y.astype(str), cv=split) == y).mean()
    assert table.loc["random", "value"] == pytest.approx(expected, abs=1e-12)
    assert table.loc["random", "value"] > table.loc["blocked", "value"] + 0.1
    # All forest lies in one block and all double crop in one year.
    lost = unlearnt_classes(found).drop(columns="fold").to_dict("records")
    assert lost == [
        {"scheme": "blocked", "class": "Forest", "units": 131},
        {"scheme": "season", "class": "Soy_Corn", "units": 145},
    ]
    assert table["clusters"].to_dict() == {"random": 42, "blocked": 42, "season": 15}


def test_area_of_applicability_by_r(samples):
    """R 4.2: scale, dist, quantile and IQR after the definition of CAST's trainDI."""
    X, _ = arrays(samples)
    fold = np.floor(samples["longitude"].to_numpy())
    weights = np.array([1, 2, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12]) / 10
    training = np.arange(len(X)) % 3 == 0
    found = Applicability.learn(X[training], fold[training], weights)
    assert found.mean_distance == pytest.approx(3.23466166182)
    assert found.threshold == pytest.approx(0.586625308775)
    expected = [0.283341982705, 0.147125254371, 0.724380594029]
    np.testing.assert_allclose(found.training[[0, 99, 317]], expected)
    new = found.dissimilarity(X[~training])
    expected = [0.248127666471, 0.382336747252, 0.242086579689]
    np.testing.assert_allclose(new[[0, 199, 634]], expected)
    assert new.mean() == pytest.approx(0.236941091244)
    assert found.inside(X[~training]).sum() == 628


def test_intervals_by_the_survey_package_of_r(samples):
    """R 4.2, survey: svyciprop(method = "beta") and svymean of the difference.

    Seasons left out, whose folds no random number makes; clusters are the seasons.
    """
    X, y = arrays(samples)
    found = validate_classifiers(
        {"ml": MaximumLikelihood(ridge=0), "linear": LinearDiscriminantAnalysis()},
        X,
        y,
        blocks=np.arange(len(X)),
        seasons=seasons(samples["start_date"], first_month=9),
    )
    table = validation_table(found)
    table = table[(table["scheme"] == "season") & (table["measure"] == "accuracy")]
    table = table.set_index(["method", "against"])[["value", "se", "lower", "upper"]]
    expected = {
        ("ml", ""): [0.554039874, 0.0715177505, 0.389695473, 0.710172907],
        ("linear", "ml"): [-0.0073452256, 0.0636101214, -0.143775367, 0.129084916],
    }
    for key, values in expected.items():
        np.testing.assert_allclose(table.loc[key], values, rtol=2e-8)

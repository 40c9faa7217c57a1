"""Small areas against published figures and implementations in R."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.imagery.area_level import fay_herriot
from mlstats.imagery.unit_level import battese_harter_fuller

FOLDER = Path(__file__).parent / "small_area"
# Battese, Harter and Fuller (1988), quoted without the paper at hand: hectares of corn
# per segment and standard errors, by county in the order of the data; variances by
# fitting of constants, so that REML is close and not equal.
PUBLISHED = [
    (122.2, 9.6), (126.3, 9.5), (106.2, 9.3), (108.0, 8.1), (145.0, 6.5), (112.6, 6.6),
    (112.4, 6.6), (122.1, 6.7), (115.8, 5.8), (124.3, 5.3), (106.3, 5.2), (143.6, 5.7),
]  # fmt: skip


@pytest.fixture
def milk():
    table = pd.read_csv(FOLDER / "milk.csv")
    table["variance"] = table["standard_error"] ** 2
    for area in (2, 3, 4):
        table[f"area_{area}"] = (table["major_area"] == area).astype(float)
    return table


def _fit(milk, method):
    names = ["area_2", "area_3", "area_4"]
    return fay_herriot(milk, covariates=names, method=method)


@pytest.mark.parametrize("method", ["reml", "ml", "moment"])
def test_milk_agrees_with_sae(milk, method):
    fit = _fit(milk, method)
    np.testing.assert_allclose(fit.areas["estimate"], milk[method], atol=1.5e-6)
    mse = fit.areas["mse"].copy()
    if method == "reml":  # sae has 2 / sum (s2 + psi)^-2 where we have 2 / tr(P^2)
        total = milk["variance"] + fit.sigma2_u
        spread = 2 / (total**-2).sum()
        mse += 2 * (milk["variance"] ** 2 / total**3 * spread - fit.areas["g3"])
    np.testing.assert_allclose(mse, milk[f"{method}_mse"], atol=1e-7)


def test_milk_agrees_with_nlme(milk):
    fit, expected = _fit(milk, "ml"), pd.read_csv(FOLDER / "milk_nlme.csv").iloc[0]
    assert fit.sigma2_u == pytest.approx(expected["sigma2_u"], rel=1e-6)
    np.testing.assert_allclose(
        fit.beta, [expected[f"beta_{i}"] for i in range(4)], rtol=1e-7
    )


@pytest.fixture
def iowa(real_data):
    folder = real_data / "imagery" / "iowa_segments"
    if not folder.exists():
        pytest.skip("the Iowa segments are not on this machine")
    names = {
        "n_segments_population": "size",
        "mean_corn_pixels": "corn_pixels",
        "mean_soy_pixels": "soy_pixels",
    }
    counties = pd.read_csv(folder / "counties.csv").rename(columns=names)
    return folder, pd.read_csv(folder / "segments.csv"), counties


def _iowa(segments, counties, crop="corn_ha", method="reml"):
    return battese_harter_fuller(
        segments,
        counties,
        response=crop,
        covariates=["corn_pixels", "soy_pixels"],
        area="county",
        method=method,
    )


def test_iowa_corn_agrees_with_sae(iowa):
    folder, segments, counties = iowa
    expected = json.loads((folder / "expected_sae.json").read_text())["case"]
    fit = _iowa(segments[~segments["outlier"]], counties)
    assert fit.sigma2_v == pytest.approx(140.02, abs=0.005)
    assert fit.sigma2_e == pytest.approx(147.27, abs=0.005)
    np.testing.assert_allclose(fit.beta, expected["beta"], rtol=1e-6)
    found = fit.areas.set_index("area")["estimate"]
    np.testing.assert_allclose(
        found[list(expected["eblup"])], list(expected["eblup"].values()), atol=1e-4
    )


def test_iowa_corn_is_close_to_the_published_table(iowa):
    _, segments, counties = iowa
    areas = _iowa(segments[~segments["outlier"]], counties).areas
    estimates, errors = np.array(PUBLISHED).T
    np.testing.assert_allclose(areas["estimate"], estimates, atol=0.75)
    np.testing.assert_allclose(np.sqrt(areas["mse"]), errors, rtol=0.05)


def test_iowa_agrees_with_lme4_with_row_33_in_and_out(iowa):
    _, segments, counties = iowa
    for case in pd.read_csv(FOLDER / "iowa_lme4.csv").itertuples():
        part = segments[~segments["outlier"]] if case.row_33_out else segments
        fit = _iowa(part, counties, case.response, case.method)
        assert fit.sigma2_v == pytest.approx(case.sigma2_v, rel=1e-6)
        assert fit.sigma2_e == pytest.approx(case.sigma2_e, rel=1e-6)
        expected = [case.beta_0, case.beta_1, case.beta_2]
        np.testing.assert_allclose(fit.beta, expected, rtol=1e-5)

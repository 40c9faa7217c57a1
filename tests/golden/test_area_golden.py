"""Published estimates of areas and map accuracy, and the survey package of R."""

import json

import numpy as np
import pandas as pd
import pytest

from mlstats.imagery import (
    AreaSample,
    accuracy_of_counts,
    greg,
    map_accuracy,
    map_sample,
    sample_size,
    segment_estimate,
)

# Cochran 1977, table 6.1: inhabitants (1,000) of 49 large cities, 1920 and 1930.
CITIES_1920 = [
    138, 93, 61, 179, 48, 37, 29, 23, 30, 2, 38, 46, 71, 25, 298, 74, 50, 76, 381, 387,
    78, 60, 507, 50, 77, 64, 40, 136, 243, 256, 94, 36, 45, 67, 120, 172, 66, 46, 121,
    44, 64, 56, 40, 116, 87, 43, 43, 161, 36,
]  # fmt: skip
CITIES_1930 = [
    143, 104, 69, 260, 75, 63, 50, 48, 111, 50, 52, 53, 79, 57, 317, 93, 58, 80, 464,
    459, 106, 57, 634, 64, 89, 77, 60, 139, 291, 288, 85, 46, 53, 67, 115, 183, 86, 65,
    113, 58, 63, 142, 64, 130, 105, 61, 50, 232, 54,
]  # fmt: skip


def test_cochrans_cities():
    sample = AreaSample.of(CITIES_1930, CITIES_1920, segments=196, x_mean=22_919 / 196)
    assert round(segment_estimate(sample, "direct").value) == 25_048
    assert (sum(CITIES_1920), sum(CITIES_1930)) == (5054, 6262)
    assert round(segment_estimate(sample, "ratio").value) == 28_397


def test_the_map_of_olofsson_and_others_2014():
    counts = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
    # 30 m pixels of the map, in hectares.
    areas = np.array([200_000, 150_000, 3_200_000, 6_450_000]) * 0.09
    table = accuracy_of_counts(counts, areas).table
    half = 1.96 * table["se"]

    def of(measure, digits):
        rows = table["measure"] == measure
        pairs = zip(table["value"][rows], half[rows], strict=True)
        return [(round(value, digits), round(error, digits)) for value, error in pairs]

    assert of("overall", 2) == [(0.95, 0.02)]
    assert of("users", 2) == [(0.88, 0.07), (0.73, 0.10), (0.93, 0.04), (0.96, 0.02)]
    producers = [value for value, _ in of("producers", 2)]
    assert producers == [0.75, 0.85, 0.93, 0.96]
    assert of("area", 0) == [
        (21_158, 6_158), (11_686, 3_756), (285_770, 15_510), (581_386, 16_282),
    ]  # fmt: skip


def test_the_sample_of_olofsson_and_others_2014():
    areas = {"deforestation": 0.02, "gain": 0.015, "forest": 0.32, "other": 0.645}
    users = {"deforestation": 0.7, "gain": 0.6, "forest": 0.9, "other": 0.95}
    share, accuracy = np.array(list(areas.values())), np.array(list(users.values()))
    assert sample_size(share, np.sqrt(accuracy * (1 - accuracy)), 0.01) == 641
    plan, se = map_sample(areas, users)
    assert plan["n"].tolist()[:2] == [50, 50]
    assert plan["n"].sum() == 641
    assert se == pytest.approx(0.0103, abs=0.0003)


def test_the_example_of_stehman_2014():
    stratum = np.repeat(list("ABCD"), 10)
    mapped = np.array(list("AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"))
    reference = np.array(list("AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"))
    sizes = {"A": 40_000, "B": 30_000, "C": 20_000, "D": 10_000}
    found = map_accuracy(reference, mapped, sizes, stratum=stratum, units=sizes)
    published = {
        ("area_share", "A"): (0.35, 0.082),
        ("area_share", "C"): (0.20, 0.064),
        ("overall", ""): (0.63, 0.085),
        ("users", "B"): (0.574, 0.125),
    }
    for (measure, name), expected in published.items():
        row = found.of(measure, name)
        assert (round(row["value"], 3), round(row["se"], 3)) == expected
    assert round(found.of("producers", "B")["value"], 3) == 0.794
    assert found.matrix.loc["B", "C"] == pytest.approx(0.08)


def test_example_1_of_olofsson_and_others_2013(real_data):
    path = real_data / "imagery" / "olofsson2013_example1.json"
    if not path.exists():
        pytest.skip("the example is not on this machine")
    case = json.loads(path.read_text(encoding="utf-8"))
    found = accuracy_of_counts(np.array(case["counts"]), case["map_pixels"])
    expected = case["expected"]
    names = {"users": "users", "producers": "producers", "area_share": "area_prop"}
    for measure, name in names.items():
        rows = found.table[found.table["measure"] == measure]
        assert rows["value"].tolist() == pytest.approx(expected[name], rel=1e-9)
        assert rows["se"].tolist() == pytest.approx(expected[f"se_{name}"], rel=1e-9)
    overall, area = found.of("overall"), found.of("area", "1")
    assert overall["value"] == pytest.approx(expected["overall"], rel=1e-12)
    assert overall["se"] == pytest.approx(expected["se_overall"], rel=1e-9)
    published = case["published"]
    assert round(area["value"]) == published["area_pixels_class1"]
    assert round(area["se"]) == published["se_area_pixels_class1"]


@pytest.fixture
def iowa(real_data):
    folder = real_data / "imagery" / "iowa_segments"
    if not folder.is_dir():
        pytest.skip("the segments of Iowa are not on this machine")
    segments = pd.read_csv(folder / "segments.csv")
    return segments[~segments["outlier"]], pd.read_csv(folder / "counties.csv")


def _of_frame(counties, column):
    return float(
        np.average(counties[column], weights=counties["n_segments_population"])
    )


@pytest.mark.parametrize(
    ("crop", "direct", "regression", "efficiency"),
    [("corn", 5.42, 2.83, 3.7), ("soy", 6.24, 3.43, 3.3)],
)
def test_iowa(iowa, crop, direct, regression, efficiency):
    segments, counties = iowa
    sample = AreaSample.of(
        segments[f"{crop}_ha"], segments[f"{crop}_pixels"],
        segments=counties["n_segments_population"].sum(),
        x_mean=_of_frame(counties, f"mean_{crop}_pixels"), finite=False,
    )  # fmt: skip
    bare, joined = (
        segment_estimate(sample, method, interval="cochran", per_segment=True)
        for method in ("direct", "separate_regression")
    )
    assert round(bare.se, 2) == direct
    assert round(joined.se, 2) == regression
    assert round((bare.se / joined.se) ** 2, 1) == efficiency


# R 4.2, survey 4.1-1: svytotal, svytotal(calibrate(..., linear)) and predict(svyratio)
# with fpc; 36 segments of Iowa, corn, strata of the counties before and from "Hardin".
def test_iowa_against_the_survey_package_of_r(iowa):
    segments, counties = iowa
    size, names = counties["n_segments_population"], np.array(["a", "b"])
    stratum = names[(segments["county"] >= "Hardin").to_numpy().astype(int)]
    home = names[(counties["county"] >= "Hardin").to_numpy().astype(int)]
    held = {name: float(size[home == name].sum()) for name in names}
    means = {
        name: _of_frame(counties[home == name], "mean_corn_pixels") for name in names
    }
    sample = AreaSample.of(
        segments["corn_ha"], segments["corn_pixels"], stratum=stratum, segments=held,
        x_mean=means,
    )  # fmt: skip
    bare, quotient = (
        segment_estimate(sample, method, interval="leverage")
        for method in ("direct", "ratio")
    )
    assert (bare.value, bare.se) == pytest.approx((828844.9205385, 36736.1076214))
    assert quotient.value == pytest.approx(825166.4932904)
    assert quotient.se == pytest.approx(18712.0701331, rel=0.01)
    total = sum(held[name] * means[name] for name in names)
    found = greg(
        segments["corn_ha"], segments["corn_pixels"], weight=sample.weight,
        size=sum(held.values()), totals=[total], stratum=stratum,
        fraction=dict(zip(sample.names, sample.fraction, strict=True)),
    )  # fmt: skip
    assert found.estimate.value == pytest.approx(825300.4607198)
    residual = sample.y - found.slope @ np.array([np.ones(36), sample.x[:, 0]])
    scores = sample.weight * found.g * residual
    plain = np.sqrt(sample.design().covariance(scores[:, None])[0, 0])
    assert plain == pytest.approx(18624.3589985)
    # One less the leverage makes it a little longer.
    assert plain < found.estimate.se < 1.05 * plain


def test_greg_with_two_crops_against_the_survey_package_of_r(iowa):
    segments, counties = iowa
    size = float(counties["n_segments_population"].sum())
    x = segments[["corn_pixels", "soy_pixels"]].to_numpy(float)
    totals = [
        size * _of_frame(counties, name)
        for name in ("mean_corn_pixels", "mean_soy_pixels")
    ]
    found = greg(
        segments["corn_ha"], x, weight=np.full(36, size / 36), size=size, totals=totals
    )
    assert found.estimate.value == pytest.approx(822513.2171405)
    assert (found.g.min(), found.g.max()) == pytest.approx(
        (0.9546940801, 1.03994282797)
    )

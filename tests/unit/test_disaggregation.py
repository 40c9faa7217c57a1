"""Disaggregation keeps every total or says where it could not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.linear_model import LinearRegression

from mlstats.errors import ContractError
from mlstats.imagery.census_check import disaggregation_errors
from mlstats.imagery.densities import learned_weights
from mlstats.imagery.disaggregation import (
    areal_weighting,
    dasymetric,
    pycnophylactic,
)

TOTALS = pd.Series({1: 100.0, 2: 60.0, 3: 7.0})
ZONE = np.array([[1, 1, 2, 2], [1, 1, 2, 9], [3, 3, 3, 3]])


def test_by_hand():
    found = dasymetric([1, 1, 2, 2], TOTALS[:2], weight=[3, 1, 0, 0], area=[1, 1, 1, 3])
    np.testing.assert_allclose(found.values, [75, 25, 15, 45])
    assert found.zones["status"].tolist() == [
        "weights",
        "areal weighting: no weight in the zone",
    ]
    areal = areal_weighting([1, 1, 2, 2], TOTALS[:2], area=[1, 3, 1, 3])
    np.testing.assert_allclose(areal.values, [25, 75, 15, 45])


def test_zones_without_cells_and_cells_without_totals_are_told():
    found = dasymetric([1, 1, 8], TOTALS, weight=[1.0, np.nan, 1.0], area=1.0)
    zones = found.zones.set_index("zone")
    assert np.isnan(found.values[2])
    assert zones["status"].to_dict() == {
        1: "weights",
        2: "not placed: no cell in the zone",
        3: "not placed: no cell in the zone",
        8: "no total: left missing",
    }
    assert found.unplaced == 67
    assert zones.loc[1, "missing_weights"] == 1


@given(
    arrays.arrays(int, (4, 5), elements=st.integers(0, 4)),
    arrays.arrays(float, (4, 5), elements=st.floats(0, 1e6)),
    arrays.arrays(float, 6, elements=st.just(0.0) | st.floats(1e-3, 1e9)),
)
def test_totals_are_kept_or_flagged(zone, weight, amounts):
    totals = pd.Series(amounts)
    for found in (
        dasymetric(zone, totals, weight=weight, area=2.0),
        pycnophylactic(zone, totals, area=2.0, most_rounds=20),
    ):
        kept = ~found.zones["status"].str.startswith("not placed")
        for row in found.zones[kept].itertuples():
            sum_ = found.values[zone == row.zone].sum()
            assert sum_ == pytest.approx(row.total, rel=1e-6)
        assert found.zones[~kept]["cells"].eq(0).all()
        assert found.values.sum() + found.unplaced == pytest.approx(
            amounts.sum(), rel=1e-6
        )
        assert (found.values >= 0).all()


def test_pycnophylactic_keeps_totals_outside_cells_and_is_smooth():
    found = pycnophylactic(ZONE, TOTALS)
    assert np.isnan(found.values[1, 3])
    np.testing.assert_allclose(found.zones["placed"][:3], TOTALS, rtol=1e-6)
    assert found.zones["status"][:3].eq("weights").all()
    zone = np.repeat([[0] * 10 + [1] * 10], 8, axis=0)
    totals = pd.Series({0: 80.0, 1: 240.0})
    areal = areal_weighting(zone, totals, area=1.0).values
    smooth = pycnophylactic(zone, totals, tolerance=1e-10, most_rounds=20_000).values
    assert np.abs(np.diff(smooth[0])).max() < 0.3 * np.abs(np.diff(areal[0])).max()
    # The limit: zone by zone a constant ratio of each cell to its neighbours' mean.
    mean = np.empty_like(smooth)
    for i, j in np.ndindex(smooth.shape):
        around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        mean[i, j] = np.mean([smooth[p] for p in around if p[0] in range(8)
                              and p[1] in range(20)])  # fmt: skip
    for name in (0, 1):
        ratio = (smooth / mean)[zone == name]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_pycnophylactic_recovers_a_smooth_density_better_than_areal_weighting():
    x, y = np.meshgrid(np.linspace(0, 1, 48), np.linspace(0, 1, 48))
    truth = np.exp(-8 * ((x - 0.4) ** 2 + (y - 0.6) ** 2))
    zone = (np.arange(48) // 12)[:, None] * 4 + np.arange(48) // 12
    totals = pd.Series(np.bincount(zone.ravel(), truth.ravel()))
    errors = [
        np.abs(found.values - truth).sum()
        for found in (
            areal_weighting(zone, totals, area=1.0),
            pycnophylactic(zone, totals),
        )
    ]
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": [1, -1]}, "1 weights are negative"),
        ({"weight": [1, np.inf]}, "1 weights are negative or infinite"),
        ({"area": 0.0}, "area is not positive"),
        ({"totals": pd.Series([1.0, 2.0], index=[1, 1])}, "two totals"),
        ({"totals": pd.Series({1: np.nan})}, "1 totals"),
        ({"totals": pd.Series({1: -5.0})}, "1 totals"),
    ],
)
def test_bad_input_is_refused(options, words):
    given_ = {"totals": TOTALS, "weight": [1, 1], "area": 1.0, **options}
    with pytest.raises(ContractError, match=words):
        dasymetric([1, 2], given_.pop("totals"), **given_)


def test_a_surface_needs_a_grid():
    with pytest.raises(ContractError, match="needs a grid"):
        pycnophylactic([1, 2], TOTALS)


def _world(rng, zones=40, cells=10):
    """Density 50 * light^0.7 per unit of area, noise of 10 %."""
    count = zones * cells
    light = rng.lognormal(0, 1, count)
    area = rng.uniform(1, 3, count)
    people = 50 * light**0.7 * area * rng.lognormal(0, 0.1, count)
    cell = pd.DataFrame({"zone": np.repeat(range(zones), cells), "area": area})
    cell["people"], cell["light"] = people, light * area
    zone = cell.groupby("zone", as_index=False).sum()
    for table in (cell, zone):
        table["log_light"] = np.log(table["light"] / table["area"])
    return zone, cell


def test_learnt_weights_find_the_density():
    zone, cell = _world(np.random.default_rng(0))
    totals = zone.set_index("zone")["people"]
    weights = {
        "areal": cell["area"],
        "light": cell["light"],
        "learnt": learned_weights(
            LinearRegression(),
            zone,
            cell,
            total="people",
            area="area",
            features=["log_light"],
            groups=(zone["zone"] % 4, cell["zone"] % 4),
        ),
    }
    for name, weight in weights.items():
        found = dasymetric(cell["zone"], totals, weight=weight, area=cell["area"])
        cell[name] = found.values
    table = disaggregation_errors(cell, list(weights), truth="people", zone="zone")
    part = table[(table["measure"] == "total absolute error")]
    level = part[part["against"] == ""].set_index("method")["estimate"]
    assert level["learnt"] < 0.7 * level["light"] < level["areal"]
    assert part[part["method"].eq("learnt") & part["against"].ne("")]["high"].item() < 0


def test_a_block_learns_from_the_others_only():
    zone, cell = _world(np.random.default_rng(1), zones=6)
    blocks = (zone["zone"] % 2, cell["zone"] % 2)
    options = {"total": "people", "area": "area", "features": ["log_light"]}
    plain = learned_weights(LinearRegression(), zone, cell, groups=blocks, **options)
    zone.loc[zone["zone"] % 2 == 0, "people"] *= np.array([1, 5, 9])
    moved = learned_weights(LinearRegression(), zone, cell, groups=blocks, **options)
    even = (cell["zone"] % 2 == 0).to_numpy()
    np.testing.assert_array_equal(plain[even], moved[even])
    assert np.abs(moved[~even] / plain[~even] - 1).min() > 0.01


def test_learning_needs_zones_elsewhere_and_features():
    zone, cell = _world(np.random.default_rng(1), zones=3)
    options = {"total": "people", "area": "area"}
    with pytest.raises(ContractError, match="fewer than two zones"):
        learned_weights(
            LinearRegression(),
            zone,
            cell,
            features=["log_light"],
            groups=(np.zeros(3), np.zeros(30)),
            **options,
        )
    with pytest.raises(ContractError, match="1 features"):
        learned_weights(LinearRegression(), zone, cell, features=["roads"], **options)


def test_errors_by_hand_and_the_jackknife_written_out():
    rng = np.random.default_rng(2)
    units = pd.DataFrame({"zone": np.repeat(list("abcde"), 4)})
    units["truth"] = rng.uniform(5, 20, 20)
    units["a"] = units["truth"] + rng.normal(0, 3, 20)
    units["b"] = units["truth"] + rng.normal(0, 1, 20)
    found = disaggregation_errors(units, ["a", "b"], truth="truth", zone="zone")

    def square(part, arm):
        return np.sqrt(((part[arm] - part["truth"]) ** 2).mean()) / part["truth"].mean()

    gap = [
        square(part, "b") - square(part, "a")
        for z in "abcde"
        for part in [units[units["zone"] != z]]
    ]
    row = found[(found["against"] == "a") & found["measure"].str.startswith("root")]
    assert row["estimate"].item() == pytest.approx(
        square(units, "b") - square(units, "a")
    )
    assert row["standard_error"].item() == pytest.approx(
        np.sqrt(4 / 5 * np.sum((gap - np.mean(gap)) ** 2))
    )
    absolute = (units["a"] - units["truth"]).abs().sum() / units["truth"].sum()
    assert found["estimate"].iloc[0] == pytest.approx(absolute)


def test_jackknife_intervals_cover():
    rng, hits = np.random.default_rng(3), []
    # E|e| of N(0, s) is s sqrt(2 / pi); both arms share the zone's scale of error.
    scale = np.exp(0.5 * 0.4**2) * np.sqrt(2 / np.pi)
    for _ in range(400):
        s = np.repeat(rng.lognormal(0, 0.4, 40), 10)
        truth = np.full(400, 10.0)
        units = pd.DataFrame({"zone": np.repeat(range(40), 10), "truth": truth})
        units["a"] = truth + 2 * s * rng.normal(0, 1, 400)
        units["b"] = truth + s * rng.normal(0, 1, 400)
        found = disaggregation_errors(units, ["a", "b"], truth="truth", zone="zone")
        gap = found[found["against"] == "a"].iloc[0]
        hits.append(gap["low"] <= -scale / 10 <= gap["high"])
    assert np.mean(hits) >= 0.93


def test_errors_need_zones_and_figures():
    units = pd.DataFrame({"zone": [1, 2], "truth": [1.0, 2.0], "a": [1.0, 2.0]})
    with pytest.raises(ContractError, match="no interval"):
        disaggregation_errors(units, ["a"], truth="truth", zone="zone")
    with pytest.raises(ContractError, match="missing"):
        disaggregation_errors(units.assign(a=np.nan), ["a"], truth="truth", zone="zone")

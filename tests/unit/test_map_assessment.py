"""Accuracy and corrected areas: closed forms, the unclassified, errors."""

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import ConfigError, ContractError
from mlstats.imagery import (
    accuracy_of_counts,
    allocate,
    calibrated_areas,
    expected_error,
    map_accuracy,
    map_sample,
    sample_size,
)

COUNTS = np.array([[40, 6, 4], [3, 80, 7], [0, 5, 35]])
AREAS = np.array([120.0, 700.0, 180.0])


def _closed_forms(counts, areas):
    """Olofsson et al. 2014, equations 1 to 11, cell by cell."""
    w, n = areas / areas.sum(), counts.sum(axis=1)
    size = areas
    p = w[:, None] * counts / n[:, None]
    users = np.diag(counts) / n
    v_users = users * (1 - users) / (n - 1)
    overall, v_overall = np.trace(p), (w**2 * v_users).sum()
    share = p.sum(axis=0)
    q = counts / n[:, None]
    v_share = (w[:, None] ** 2 * q * (1 - q) / (n - 1)[:, None]).sum(axis=0)
    producers = np.diag(p) / share
    v_producers = []
    for j in range(len(n)):
        nj = (size * q[:, j]).sum()
        first = (size[j] * (1 - producers[j])) ** 2 * v_users[j]
        others = [i for i in range(len(n)) if i != j]
        rest = sum(size[i] ** 2 * q[i, j] * (1 - q[i, j]) / (n[i] - 1) for i in others)
        v_producers.append((first + producers[j] ** 2 * rest) / nj**2)
    return {
        "overall": ([overall], [v_overall]),
        "users": (users, v_users),
        "producers": (producers, np.array(v_producers)),
        "area_share": (share, v_share),
        "area": (share * areas.sum(), v_share * areas.sum() ** 2),
    }


def _stehman(reference, mapped, stratum, sizes, y, x):
    """Stehman 2014, equations 27 and 28, stratum by stratum, without correction."""
    top = bottom = 0.0
    for h, size in sizes.items():
        inside = stratum == h
        top += size * y[inside].mean()
        bottom += size * x[inside].mean()
    ratio, v = top / bottom, 0.0
    for h, size in sizes.items():
        inside = stratum == h
        s = np.cov(y[inside], x[inside])
        spread = s[0, 0] + ratio**2 * s[1, 1] - 2 * ratio * s[0, 1]
        v += size**2 * spread / inside.sum()
    return ratio, np.sqrt(v) / bottom


def test_counts_give_the_closed_forms():
    found = accuracy_of_counts(COUNTS, AREAS, classes=["a", "b", "c"])
    for measure, (values, variances) in _closed_forms(COUNTS, AREAS).items():
        rows = found.table[found.table["measure"] == measure]
        assert rows["value"].to_numpy() == pytest.approx(np.array(values))
        assert rows["se"].to_numpy() ** 2 == pytest.approx(np.array(variances))
    cells = AREAS[:, None] / 1000 * COUNTS / COUNTS.sum(axis=1)[:, None]
    assert found.matrix.to_numpy() == pytest.approx(cells)
    assert found.of("overall")["df"] == COUNTS.sum() - 3
    with pytest.raises(ContractError, match="no 'users' of class 'z'"):
        found.of("users", "z")


def test_strata_that_are_not_the_classes_give_stehmans_ratio():
    rng = np.random.default_rng(4)
    stratum = np.repeat(["hill", "plain", "shore"], [30, 50, 20])
    mapped = rng.choice(["a", "b", "c"], 100)
    reference = np.where(rng.random(100) < 0.7, mapped, rng.choice(["a", "b"], 100))
    sizes = {"hill": 500.0, "plain": 9000.0, "shore": 700.0}
    found = map_accuracy(reference, mapped, sizes, stratum=stratum)
    right = (reference == mapped).astype(float)
    for measure, side in (("users", mapped), ("producers", reference)):
        for name in "abc":
            x = (side == name).astype(float)
            value, se = _stehman(reference, mapped, stratum, sizes, right * x, x)
            row = found.of(measure, name)
            assert row["value"] == pytest.approx(value)
            assert row["se"] == pytest.approx(se)


def test_units_of_the_population_shorten_the_error():
    mapped = np.repeat(["a", "b"], 20)
    reference = mapped.copy()
    reference[[3, 25, 31]] = ["b", "a", "a"]
    areas = {"a": 40.0, "b": 60.0}
    plain = map_accuracy(reference, mapped, areas)
    half = map_accuracy(reference, mapped, areas, units={"a": 40, "b": 40})
    assert half.of("area", "a")["se"] == pytest.approx(
        plain.of("area", "a")["se"] * np.sqrt(0.5)
    )


def test_the_unclassified_stays_a_stratum():
    mapped = np.repeat(["a", "b", "none"], [20, 20, 10])
    reference = mapped.copy()
    reference[40:] = ["a"] * 4 + ["b"] * 6
    reference[5] = "b"
    areas = {"a": 50.0, "b": 30.0, "none": 20.0}
    found = map_accuracy(reference, mapped, areas, unclassified={"none"})
    assert found.of("area", "a")["value"] == pytest.approx(50 * 0.95 + 20 * 0.4)
    assert found.of("users", "none")["status"] == "not_applicable"
    # What is unclassified is not correct.
    assert found.of("overall")["value"] == pytest.approx(0.5 * 0.95 + 0.3)
    areas_found = found.table.query("measure == 'area'")["value"]
    assert areas_found.sum() == pytest.approx(100)


def test_an_unclassified_stratum_without_units_is_told():
    mapped = np.repeat(["a", "b"], 20)
    reference = np.roll(mapped, 1)
    areas = {"a": 50.0, "b": 30.0, "none": 20.0}
    found = map_accuracy(reference, mapped, areas, unclassified={"none"})
    for measure, name in (("overall", ""), ("area", "a"), ("producers", "b")):
        row = found.of(measure, name)
        assert row["status"] == "not_measured"
        assert "none (20.0% of the area)" in row["note"]
    # Within a class of the map nothing is missing.
    assert found.of("users", "a")["value"] == pytest.approx(0.95)
    assert found.matrix.isna().all().all()


def test_a_class_without_an_error_has_no_interval():
    found = accuracy_of_counts(np.array([[9, 0], [2, 7]]), [10, 90])
    row = found.of("users", "1")
    assert (row["value"], row["se"]) == (1.0, 0.0)
    assert np.isnan(row["lower"])
    assert "nothing varies" in row["note"]
    low = found.of("producers", "1")
    assert 0 <= low["lower"] < low["upper"] <= 1


def test_calibration_inverse_and_direct():
    found = calibrated_areas(
        np.repeat(list("abcabcabc"), COUNTS.ravel()),
        np.repeat(list("abc"), COUNTS.sum(axis=1)),
        dict(zip("abc", AREAS, strict=True)),
    ).set_index(["method", "class"])
    forms = _closed_forms(COUNTS, AREAS)["area"]
    for method in ("inverse", "direct"):
        rows = found.loc[method]
        assert rows["value"].to_numpy() == pytest.approx(forms[0])
        assert rows["se"].to_numpy() ** 2 == pytest.approx(forms[1])
    counted = found.loc["pixel_count"]
    assert counted["value"].to_numpy() == pytest.approx(AREAS)
    assert counted["bias"].to_numpy() == pytest.approx(AREAS - forms[0])
    assert counted["lower"].isna().all()
    squared = counted["bias"] ** 2 - counted["bias_se"] ** 2
    assert counted["mse"].to_numpy() == pytest.approx(squared.to_numpy())
    inverse = found.loc["inverse"]
    assert inverse["mse"].to_numpy() == pytest.approx(inverse["se"].to_numpy() ** 2)


def test_direct_calibration_carries_a_confusion_to_another_year():
    # 1000 units drawn whatever the map said, then a map of another year.
    reference = np.repeat(["a", "b"], [400, 600])
    mapped = np.concatenate(
        [np.repeat(["a", "b"], [360, 40])] + [["a"] * 60, ["b"] * 540]
    )
    later = {"a": 0.9 * 700 + 0.1 * 300, "b": 0.1 * 700 + 0.9 * 300}
    found = calibrated_areas(
        reference, mapped, later, stratum=np.full(1000, "all"),
        stratum_areas={"all": 1000.0}, current=False,
    ).set_index(["method", "class"])  # fmt: skip
    assert found.loc[("direct", "a"), "value"] == pytest.approx(700)
    assert found.loc[("inverse", "a"), "status"] == "not_measured"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"areas": {"a": 5.0}}, "2 units lie in strata without area"),
        ({"areas": {"a": 5.0, "b": -1.0}}, "negative"),
        ({"areas": {"a": 0.0, "b": 0.0}}, "all are zero"),
        ({"reference": ["a", None, "b", "b"]}, "1 units have no reference class"),
        ({"mapped": ["a", "b"]}, "differ in length"),
    ],
)
def test_units_that_do_not_fit_are_refused(change, message):
    given = {"reference": list("abab"), "mapped": list("aabb"),
             "areas": {"a": 5.0, "b": 5.0}} | change  # fmt: skip
    with pytest.raises(ContractError, match=message):
        map_accuracy(*(given[k] for k in ("reference", "mapped", "areas")))


def test_matrices_that_are_none_are_refused():
    with pytest.raises(ContractError, match="no count"):
        accuracy_of_counts(COUNTS / COUNTS.sum(), AREAS)
    with pytest.raises(ContractError, match="shape"):
        accuracy_of_counts(COUNTS[:2], AREAS)
    with pytest.raises(ContractError, match="2 areas were given for 3"):
        accuracy_of_counts(COUNTS, AREAS[:2])
    named = pd.DataFrame(COUNTS, index=list("abc"), columns=list("abc"))
    found = accuracy_of_counts(named, dict(zip("abc", AREAS, strict=True)))
    assert found.of("users", "a")["value"] == 0.8


# -- before fieldwork --------------------------------------------------------------


def test_sample_sizes_meet_their_error():
    share, spread = np.array([0.2, 0.8]), np.array([30.0, 10.0])
    n = sample_size(share, spread, 1.0)
    assert n == int(np.ceil((0.2 * 30 + 0.8 * 10) ** 2))
    drawn = allocate(share, n, spread=spread, allocation="neyman")
    assert expected_error(share, spread, drawn) == pytest.approx(1.0, abs=0.01)
    even = sample_size(share, spread, 1.0, allocation="proportional")
    assert even == int(np.ceil(0.2 * 900 + 0.8 * 100))
    assert sample_size(share, spread, 1.0, units=300) < n
    assert sample_size(share, spread, 1e-9, units=300) == 300


@pytest.mark.parametrize("se", [0.3, 0.6, 1.0, 2.0])
def test_a_finite_population_gets_the_size_that_its_error_needs(se):
    # In the first stratum Neyman would draw more than there is.
    share, spread, units = np.array([0.1, 0.9]), np.array([90.0, 10.0]), 400
    n = sample_size(share, spread, se, units=units)
    held = share * units
    errors = [
        expected_error(
            share, spread,
            allocate(share, size, spread=spread, allocation="neyman", units=held),
            units=held,
        )
        for size in (n - 2, n + 1)
    ]  # fmt: skip
    assert errors[1] <= se < errors[0]


def test_neyman_is_the_best_of_all_allocations():
    share, spread = np.array([0.5, 0.3, 0.2]), np.array([2.0, 9.0, 4.0])
    best = expected_error(
        share, spread, allocate(share, 30, spread=spread, allocation="neyman")
    )
    errors = [
        expected_error(share, spread, np.array([i, j, 30 - i - j]))
        for i in range(2, 27)
        for j in range(2, 29 - i)
    ]
    assert best == pytest.approx(min(errors), rel=1e-3)


def test_rare_classes_get_their_fifty():
    areas = {"forest": 900.0, "cleared": 20.0, "unclassified": 80.0}
    users = {"forest": 0.95, "cleared": 0.7, "unclassified": 0.5}
    plan, se = map_sample(areas, users, se_overall=0.015)
    drawn = plan.set_index("stratum")["n"]
    assert drawn["cleared"] == 50
    assert drawn["unclassified"] == 50
    spread = np.sqrt([0.95 * 0.05, 0.7 * 0.3, 0.25])
    assert drawn.sum() == sample_size(np.array([0.9, 0.02, 0.08]), spread, 0.015)
    assert se == pytest.approx(
        np.sqrt(((np.array([0.9, 0.02, 0.08]) * spread) ** 2 / drawn).sum())
    )
    small, _ = map_sample(areas, users, se_overall=0.2)
    assert small["n"].tolist() == [50, 50, 50]


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample_size(np.array([0.5, 0.4]), np.ones(2), 1.0),
        lambda: sample_size(np.array([0.5, 0.5]), np.ones(2), 0.0),
        lambda: sample_size(np.array([1.0]), np.ones(1), 1.0, allocation="equal"),
        lambda: allocate(np.array([0.5, 0.5]), 3, least=2),
        lambda: allocate(np.array([0.5, 0.5]), 30, units=np.array([5, 9])),
        lambda: allocate(np.array([0.5, 0.5]), 9, allocation="neyman"),
        lambda: allocate(np.array([0.5, 0.5]), 9, allocation="square"),
        lambda: expected_error(np.array([0.5, 0.5]), np.ones(2), np.array([0, 9])),
        lambda: map_sample({"a": 1.0}, {}),
        lambda: map_sample({"a": 1.0}, {"a": 1.2}),
    ],
)
def test_designs_that_cannot_be_are_refused(call):
    with pytest.raises(ConfigError):
        call()

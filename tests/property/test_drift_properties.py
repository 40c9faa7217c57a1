"""What must hold for drift verdicts whatever the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.quality.drift import STATES, Floors, Reference, Summary, drift
from mlstats.quality.drift_evidence import Sizes
from mlstats.quality.drift_tests import (
    binomial_tails,
    homogeneity,
    newcombe_interval,
    sparse_groups,
)

SEEDS = st.integers(0, 2**32 - 1)
DESIGNS = st.sampled_from(
    [
        {},
        {"weight": "w"},
        {"cluster": "c"},
        {"weight": "w", "cluster": "c"},
        {"weight": "w", "deff_total": 2.0},
    ]
)


def table(seed: int, n: int, codes: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 4)
    x = [
        rng.normal(size=n),
        np.round(rng.normal(size=n)),
        np.exp(5 * rng.normal(size=n)),
        np.zeros(n),
    ][kinds]
    x[rng.random(n) < 0.1] = rng.choice([np.nan, np.inf, 0.0])
    code = pd.Series(rng.zipf(1.5, n) % codes).astype(str)
    return pd.DataFrame(
        {
            "x": x,
            "code": code.mask(rng.random(n) < 0.05),
            "w": rng.integers(0, 4, n).astype(float) + (np.arange(n) == 0),
            "c": np.sort(rng.integers(0, max(n // 4, 1), n)).astype(str),
        }
    )


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 300), cuts=st.lists(st.integers(0, 300)), d=DESIGNS)
def test_parts_give_the_verdicts_of_the_whole(
    seed: int, n: int, cuts: list[int], d: dict[str, str]
) -> None:
    before, now = table(seed, 300, 20), table(seed + 1, n, 20)
    reference = Reference.learn(before[["x", "code"]])
    whole = Summary.of(now, reference, **d)
    # A part holds whole clusters, in whatever order.
    group = now["c"].astype(int).to_numpy()
    part = np.searchsorted(np.sort(cuts), group)
    parts = [Summary.of(now[part == i], reference, **d) for i in np.unique(part)]
    merged = Summary.of_parts(parts)
    assert (merged.rows, merged.clusters) == (whole.rows, whole.clusters)
    last = {"last": Summary.of(before, reference, **d)}
    one, two = drift(whole, last).verdicts, drift(merged, last).verdicts
    if not (merged.fault or whole.fault):
        pd.testing.assert_frame_equal(one, two, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(0, 200), m=st.integers(0, 200), d=DESIGNS)
def test_every_row_has_a_state_and_its_numbers(
    seed: int, n: int, m: int, d: dict[str, str]
) -> None:
    before, now = table(seed, n, 9), table(seed + 1, m, 9)
    reference = Reference.learn(before[["x", "code"]])
    result = drift(
        Summary.of(now, reference, **d), {"last": Summary.of(before, reference, **d)}
    )
    rows = result.verdicts
    assert set(rows["column"]) == {"x", "code"}
    assert rows["state"].isin(STATES).all()
    silent = rows[rows["state"] == "not measured"]
    assert (silent["note"] != "").all()
    assert silent["p"].isna().all()
    told = rows[rows["state"] != "not measured"]
    for name in ("statistic", "p", "p_adjusted", "effect", "n_eff", "n_eff_reference"):
        assert np.isfinite(told[name]).all()
    assert told["p"].between(0, 1).all()
    # A method with an effect has its interval, floor and what it could have seen.
    tested = told[told["method"] != ""]
    assert (tested["effect_lower"] <= tested["effect_upper"]).all()
    assert (tested["minimum_detectable"] > 0).all()
    assert (tested["floor"] > 0).all()
    alarms = result.alarms
    assert (alarms["p_adjusted"] <= result.level).all()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_rows_and_the_names_of_codes_do_not_matter(seed: int) -> None:
    before, now = table(seed, 200, 15), table(seed + 1, 250, 15)

    def verdicts(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
        reference = Reference.learn(old[["x", "code"]])
        last = {"last": Summary.of(old, reference)}
        return drift(Summary.of(new, reference), last).verdicts

    plain = verdicts(before, now)
    shuffled = verdicts(
        before.sample(frac=1, random_state=1), now.sample(frac=1, random_state=2)
    )
    pd.testing.assert_frame_equal(plain, shuffled)
    renamed = verdicts(*(f.assign(code="x" + f["code"]) for f in (before, now)))
    numbers = plain.select_dtypes("number").columns
    pd.testing.assert_frame_equal(plain[numbers], renamed[numbers])


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, power=st.sampled_from([1e-3, 1.0, 1e6]))
def test_the_unit_of_a_number_does_not_matter(seed: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    before, now = rng.normal(size=300), rng.normal(0.2, 1.5, size=400)

    def row(old: np.ndarray, new: np.ndarray) -> pd.Series:
        frames = [pd.DataFrame({"x": values}) for values in (old, new)]
        reference = Reference.learn(frames[0])
        last = {"last": Summary.of(frames[0], reference)}
        return drift(Summary.of(frames[1], reference), last).verdicts.iloc[0]

    plain, other = row(before, now), row(power * before, power * now)
    assert other["statistic"] == plain["statistic"]
    assert other["p"] == plain["p"]
    skew = row(np.exp(before), np.exp(now))
    assert skew["statistic"] == plain["statistic"]


@settings(max_examples=50, deadline=None)
@given(
    a=st.integers(0, 50),
    b=st.integers(0, 80),
)
def test_changing_the_roles_of_two_periods_changes_no_p(a: int, b: int) -> None:
    share = (np.array([a / 50]), np.array([b / 80]))
    n = (np.array([50.0]), np.array([80.0]))
    one = binomial_tails(*share, *n)
    two = binomial_tails(*share[::-1], *n[::-1])
    assert np.allclose(one, two)
    lower, upper = newcombe_interval(*share, *n)
    back_lower, back_upper = newcombe_interval(*share[::-1], *n[::-1])
    assert np.allclose(lower, -back_upper)
    assert np.allclose(upper, -back_lower)
    assert lower <= share[1] - share[0] <= upper


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.floats(0.5, 30))
def test_groups_are_full_or_there_is_one(counts: list[int], least: float) -> None:
    units = np.array(counts)
    groups = sparse_groups(units, units / 2, least)
    filled = np.bincount(groups, units / 2)
    assert len(filled) == 1 or filled.min() >= least * (1 - 1e-8)
    # A rarer code never lies in a later group.
    order = np.argsort(units, kind="stable")
    assert (np.diff(groups[order]) >= 0).all()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_equal_shares_have_no_effect_and_larger_floors_no_more_alarms(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(6))
    same = homogeneity(
        (share, share, share),
        (5 * 0.01, 5 * 0.01**2),
        Sizes(200, 200, 200, 200),
        np.inf,
        0.05,
    )
    assert same.p == 1
    assert same.effect[0] == 0
    before, now = table(seed, 300, 6), table(seed + 7, 300, 6)
    reference = Reference.learn(before[["x", "code"]])
    last = {"last": Summary.of(before, reference)}
    strict = Floors(0.0, 0.0, 0.0, 0.0, 1e-9)
    loose = Floors(0.9, 9.0, 0.9, 9.0, 0.9)
    current = Summary.of(now, reference)
    assert len(drift(current, last, floors=loose).alarms) <= len(
        drift(current, last, floors=strict).alarms
    )

"""The audit sampler, routes and arbitration."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstats.errors import MlstatsError
from mlstats.quality.audit_strata import Cell, allocated, audit_cells
from mlstats.review import (
    BANDS,
    arbitration_list,
    audit_strata,
    draw_audit,
    draw_counted,
    routed,
    smallest_ranks,
)


def by_prefix(codes: np.ndarray, level: str) -> np.ndarray:
    """Cut codes to their first digit at level 1."""
    cut = [c if c is None or level == "full" else c[: int(level)] for c in codes]
    return np.array(cut, dtype=object)


def units_of(n: int = 1000, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    codes = np.array(["11", "12", "21", "22", "31", "41"], dtype=object)
    prediction = rng.choice(codes, n, p=[0.3, 0.2, 0.2, 0.2, 0.095, 0.005])
    prediction[:5] = None
    confidence = rng.beta(4, 1, n)
    confidence[:5] = np.nan
    return pd.DataFrame(
        {
            "unit": [f"u{i:05d}" for i in range(n)],
            "prediction": prediction,
            "confidence": confidence,
            "route": np.where(confidence >= 0.8, "automatic", "queue"),
            "weight": rng.uniform(1, 4, n),
            "amount": rng.gamma(1, 100, n),
        }
    )


def draw(units: pd.DataFrame, size: int = 100, seed: int = 7, **more) -> pd.DataFrame:
    return draw_audit(
        units, size=size, ancestor=by_prefix, level="1", seed=seed, **more
    )


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([4, 40, 100, 1000]))
def test_a_draw_from_the_parts_is_that_from_the_whole(
    seed: int, parts: int, size: int
) -> None:
    units = units_of(600, seed=seed).assign(value=lambda u: u["prediction"])
    size = min(size, len(units))
    whole = draw(units, size=size, seed=seed, double_code=0.2)
    counts: Counter[Cell] = Counter()
    kept, kept_cells = [], []
    for rows in np.array_split(np.arange(len(units)), parts):
        part = units.iloc[rows]
        cells = audit_cells(part, by_prefix, "1", BANDS, "prediction")
        counts.update(cells)
        some = smallest_ranks(part["unit"], cells, size=size, seed=seed)
        kept.append(part.iloc[some])
        kept_cells += [cells[k] for k in some]
    drawn = draw_counted(
        pd.concat(kept, ignore_index=True),
        kept_cells,
        counts,
        size=size,
        double_code=0.2,
        seed=seed,
    )
    pd.testing.assert_frame_equal(whole, drawn)


ALLOCATIONS = ["proportional", "neyman", "weight"]


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_every_unit_had_a_chance_and_the_weights_add_up(allocation: str) -> None:
    units = units_of()
    audit = draw(units, allocation=allocation, amount="amount")
    strata = audit_strata(
        units, size=100, ancestor=by_prefix, level="1", allocation=allocation,
        amount="amount",
    )  # fmt: skip
    assert len(audit) == strata["sample"].sum() == 100
    assert strata["units"].sum() == len(units)
    assert (strata["inclusion"] > 0).all()
    assert (strata["sample"] >= 2).all()
    assert audit["audit_weight"].sum() == pytest.approx(len(units))
    assert set(audit["route"]) == {"automatic", "queue"}  # clerks' codes too
    assert audit["blind"].all()
    counted = audit.groupby("audit_stratum").size()
    pd.testing.assert_series_equal(
        counted, strata["sample"], check_names=False, check_dtype=False
    )


def test_the_draw_depends_on_seed_and_unit_not_on_the_order() -> None:
    units = units_of()
    first = draw(units)
    again = draw(units.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(first, again)
    assert set(draw(units, seed=8)["unit"]) != set(first["unit"])
    assert not first["unit"].is_monotonic_increasing


def test_every_unit_of_a_stratum_is_drawn_as_often() -> None:
    units = units_of(200)
    drawn = pd.concat([draw(units, 60, seed) for seed in range(200)])
    expected = drawn.groupby("unit")["inclusion"].first()
    counts = drawn["unit"].value_counts().reindex(units["unit"], fill_value=0)
    assert (counts > 0).all()
    gap = (counts.reindex(expected.index) / 200 - expected) / np.sqrt(
        expected * (1 - expected) / 200
    )
    assert 0.8 < gap[np.isfinite(gap)].std() < 1.2


def test_small_cells_are_merged_and_the_name_says_so() -> None:
    units = units_of()
    strata = audit_strata(units, size=100, ancestor=by_prefix, level="1")
    assert (strata["units"] >= 20).all()
    merged = [name for name in strata.index if "4" in name.partition(":")[0]]
    assert merged
    assert all(" + " in name for name in merged)
    few = audit_strata(units, size=4, ancestor=by_prefix, level="1")
    assert len(few) <= 2
    assert few["sample"].sum() == 4


def test_uncoded_units_and_whole_populations_are_drawn_too() -> None:
    units = units_of(80)
    whole = draw(units, 500)
    assert len(whole) == 80
    assert (whole["inclusion"] == 1).all()
    assert whole["prediction"].isna().sum() == 5


def test_neyman_looks_where_errors_are() -> None:
    units = units_of(4000).assign(weight=1.0, route="automatic")
    even, most = (
        audit_strata(
            units, size=400, ancestor=by_prefix, level="1", allocation=allocation
        )["inclusion"]
        for allocation in ("proportional", "neyman")
    )
    single = [name for name in even.index if " + " not in name]
    unsure = [name for name in single if name.endswith("below 0.50")]
    sure = [name for name in single if name.endswith("0.95 and above")]
    assert most[unsure].min() > even[unsure].max() > most[sure].max()
    name = sure[0]
    told = audit_strata(
        units, size=400, ancestor=by_prefix, level="1", allocation="neyman",
        expected_error={name: 0.5},
    )  # fmt: skip
    assert told["inclusion"][name] > 2 * most[name]


def test_by_weight_follows_weight_times_amount() -> None:
    units = units_of(2000)
    units["amount"] = np.where(units["prediction"].str[0] == "3", 5000.0, 10.0)
    strata = audit_strata(
        units, size=200, ancestor=by_prefix, level="1", allocation="weight",
        amount="amount",
    )  # fmt: skip
    heavy = strata[strata.index.str.startswith("3")]
    assert heavy["sample"].sum() > 100
    assert (strata["sample"] >= 2).all()


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=20),
    st.integers(1, 3),
    st.integers(1, 800),
    st.integers(0, 1000),
)
def test_allocations_keep_their_bounds(counts, least, size, seed) -> None:
    counts = np.array(counts)
    measure = np.random.default_rng(seed).gamma(0.3, 1, len(counts))
    drawn = allocated(counts, measure, size, least)
    assert (drawn <= counts).all()
    assert (drawn >= np.minimum(least, counts)).all()
    wanted = max(size, np.minimum(least, counts).sum())
    assert drawn.sum() == min(wanted, counts.sum())


def test_a_part_is_coded_twice_with_a_known_chance() -> None:
    audit = draw(units_of(), double_code=0.15)
    doubled = audit[audit["double_coded"]]
    assert len(doubled) == 15
    assert doubled["double_inclusion"].to_numpy() == pytest.approx(
        doubled["inclusion"].to_numpy() * 0.15
    )
    assert audit.loc[~audit["double_coded"], "double_inclusion"].isna().all()


def test_drawn_units_have_the_route_audit() -> None:
    units = units_of()
    audit = draw(units)
    told = routed(units, audit)
    assert (told["route"] == "audit").sum() == 100
    assert set(told.loc[told["route"] == "audit", "unit"]) == set(audit["unit"])


def test_a_unit_that_stands_twice_is_refused() -> None:
    units = units_of(50)
    with pytest.raises(MlstatsError, match="50 units stand more than once"):
        draw(pd.concat([units, units]))
    with pytest.raises(MlstatsError, match="cannot hold"):
        draw(units, 1)


# -- arbitration -------------------------------------------------------------------


def test_arbitration_lists_what_differs_or_is_missing() -> None:
    first = pd.Series(["11", "11", "21", None, " ", "31"], index=list("abcdef"))
    second = pd.Series(["11", "12", "11", "41", None, "31"], index=list("abcdef"))
    found = arbitration_list(first, second, ancestor=by_prefix, levels=["1"])
    assert found["unit"].tolist() == ["c", "d", "b"]
    assert found["kind"].tolist() == ["differ", "one_missing", "differ"]
    assert found["apart_at"].tolist() == ["1", "1", "code"]
    assert found["first"].tolist() == ["21", None, "11"]


def test_arbitration_takes_units_that_one_coder_has_not_seen() -> None:
    first = pd.Series(["11", "12"], index=["a", "b"])
    second = pd.Series(["11"], index=["a"])
    assert arbitration_list(first, second)["unit"].tolist() == ["b"]
    assert arbitration_list(first, first).empty
    with pytest.raises(MlstatsError, match="more than once"):
        arbitration_list(first, pd.concat([second, second]))

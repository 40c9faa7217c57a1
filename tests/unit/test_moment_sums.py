"""Sums of figures that add up over parts, held to the design of the whole sample."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import MlstatsError
from mlstats.imputation_sums import ImputedSums, Sides
from mlstats.imputation_totals import totals_of
from mlstats.quality.accuracy import RatioEstimate, proportion_interval
from mlstats.quality.design import Design

DOMAINS = ["area", "size"]


def sample(n: int = 400, seed: int = 5) -> tuple[Sides, pd.DataFrame]:
    """Return records of clusters of two, their values by both arms, and the design."""
    rng = np.random.default_rng(seed)
    cluster = np.arange(n) // 2
    stratum = np.array(["a", "b", "c"])[cluster * 3 // (n // 2)].astype(object)
    stratum[-2:] = "alone"  # a stratum of one cluster
    kind = rng.choice(["sole", "firm"], n).astype(object)
    kind[cluster > n // 3] = rng.choice(["firm", "state"], (cluster > n // 3).sum())
    x = rng.gamma(2, 50, n)
    released = pd.DataFrame({"x": x, "same": 7.0, "kind": kind})
    own, base = released.copy(), released.copy()
    base.loc[::5, "x"] *= 1.1
    base.loc[::7, "kind"] = "sole"
    never = released.isna()
    never.loc[::9, "x"] = True
    released.loc[::9, "x"] = own.loc[::9, "x"] = base.loc[::9, "x"] = np.nan
    units = pd.DataFrame(
        {
            "weight": rng.uniform(0, 4, n).round(3),
            "stratum": stratum,
            "cluster": cluster.astype(str),
            "fraction": pd.Series(stratum).map({"a": 0.2, "b": 0.5}).fillna(0.0),
            "open": rng.random(n) < 0.1,
            "domain_area": rng.choice(["north", "south"], n),
            "domain_size": np.where(cluster < n // 4, "small", "large"),
        }
    )
    units.loc[units.index % 23 == 0, "weight"] = 0.0
    return Sides(released, own, base, never), units


def rows_of(sides: Sides, rows: slice) -> Sides:
    frames = (sides.released, sides.champion, sides.baseline, sides.structural)
    return Sides(*(None if f is None else f.iloc[rows] for f in frames))


def of_parts(sides: Sides, units: pd.DataFrame, ends: list[int]) -> ImputedSums:
    cuts = [slice(*pair) for pair in zip([0, *ends], [*ends, len(units)], strict=True)]
    parts = [
        ImputedSums.of(rows_of(sides, cut), units.iloc[cut], domains=DOMAINS)
        for cut in cuts
    ]
    return reduce(ImputedSums.merge, parts)


@pytest.mark.parametrize("ends", [[2], [100, 260], [40, 80, 90, 300, 398]])
@pytest.mark.parametrize("single", ["adjust", "refuse"])
def test_sums_of_parts_are_those_of_the_whole(ends: list[int], single: str) -> None:
    sides, units = sample()
    sums = ImputedSums.of(sides, units, domains=DOMAINS)
    whole = totals_of(sums, single=single, note="so")
    parts = totals_of(of_parts(sides, units, ends), single=single, note="so")
    pd.testing.assert_frame_equal(whole, parts, check_exact=False, rtol=1e-9, atol=1e-9)
    assert (whole["se"] > 0).any() == (single == "adjust")
    assert whole["note"].str.contains("so").all()


@pytest.mark.parametrize("fractions", [True, False])
def test_figures_are_those_of_the_design(fractions: bool) -> None:
    sides, units = sample()
    if not fractions:
        units["fraction"] = 0.0
    shares = units.groupby("stratum")["fraction"].first().to_dict()
    design = Design.of(
        units["weight"].to_numpy(),
        stratum=units["stratum"].to_numpy(),
        cluster=units["cluster"].to_numpy(),
        fraction={k: v for k, v in shares.items() if v > 0},
    )
    found = totals_of(of_parts(sides, units, [100, 260]))
    table = found.set_index(["variable", "domain", "class"])
    base, own = sides.baseline, sides.champion
    assert base is not None
    assert own is not None
    for domain, inside in (
        ("", np.ones(len(units), bool)),
        ("area=north", (units["domain_area"] == "north").to_numpy()),
        ("size=small", (units["domain_size"] == "small").to_numpy()),
    ):
        there = inside & ~sides.structural["x"].to_numpy()
        x, gap = own["x"].fillna(0), (own["x"] - base["x"]).fillna(0)
        for kind, y, of in (("total", x, "estimate"), ("total", gap, "difference")):
            y = np.where(there, y, 0.0)
            row, held = table.loc[(f"{kind} of x", domain, "")], design.total(y, there)
            assert row[of] == pytest.approx(held.value, rel=1e-9)
            name = "upper" if of == "estimate" else "difference_upper"
            assert row[name] == pytest.approx(held.upper, rel=1e-9)
        held = design.ratio(np.where(there, x, 0.0), there.astype(float))
        row = table.loc[("mean of x", domain, "")]
        assert row["se"] == pytest.approx(held.se, rel=1e-9)
        assert row["df"] == held.df
        is_it = np.where(inside, own["kind"] == "firm", 0.0)
        held = design.ratio(is_it, inside.astype(float))
        weighted = inside & (design.weight > 0)
        clusters = len(np.unique(design.cluster[weighted]))
        share = RatioEstimate(held.value, held.se, held.df, clusters)
        row = table.loc[("share of kind", domain, "firm")]
        ends = proportion_interval(share, int(weighted.sum()))
        assert (row["lower"], row["upper"]) == pytest.approx(ends, rel=1e-9)
        assert row["n"] == is_it.sum()
    assert found["note"].str.contains("1 stratum has a single cluster").any()


def test_what_does_not_vary_has_no_error_in_parts_either() -> None:
    sides, units = sample()
    found = totals_of(of_parts(sides, units, [100, 260])).set_index("variable")
    same = found.loc["mean of same"]
    assert same["estimate"].to_numpy() == pytest.approx(7)
    assert (same["se"] == 0).all()


def test_records_without_weight_make_no_share_surer() -> None:
    sides, units = sample()
    for frame in (sides.released, sides.champion, sides.baseline):
        assert frame is not None
        frame["kind"] = "firm"
    light = units["cluster"].astype(int) % 10 > 0
    units["weight"] = np.where(light, 0.0, 1.0)
    rows = [
        totals_of(of_parts(*one, [])).set_index("variable").loc["share of kind"]
        for one in (
            (sides, units),
            (_kept(sides, ~light), units[~light].reset_index(drop=True)),
        )
    ]
    all_of, alone = (one[one["domain"] == ""].iloc[0] for one in rows)
    assert alone["lower"] < 0.95
    assert all_of["lower"] == pytest.approx(alone["lower"])


def _kept(sides: Sides, rows: pd.Series) -> Sides:
    frames = (sides.released, sides.champion, sides.baseline, sides.structural)
    return Sides(
        *(None if f is None else f[rows].reset_index(drop=True) for f in frames)
    )


def test_a_category_of_one_part_is_a_share_of_all() -> None:
    sides, units = sample()
    ends = [200]
    assert "state" not in set(sides.released["kind"].iloc[:200])
    assert "sole" not in set(sides.released["kind"].iloc[300:])
    found = totals_of(of_parts(sides, units, ends)).set_index(
        ["variable", "domain", "class"]
    )
    row = found.loc[("share of kind", "", "state")]
    hit = sides.released["kind"] == "state"
    share = units["weight"][hit].sum() / units["weight"].sum()
    assert row["estimate"] == pytest.approx(share)


def test_a_weight_that_is_none_leaves_no_figure() -> None:
    sides, units = sample()
    units.loc[3, "weight"] = np.nan
    found = totals_of(of_parts(sides, units, [100]))
    assert found["estimate"].isna().all()
    assert found["note"].str.contains("1 weights are negative or not finite").all()


def test_a_census_has_no_sampling_error_in_parts() -> None:
    sides, units = sample()
    found = totals_of(of_parts(sides, units.assign(fraction=1.0), [100, 260]))
    told = found[found["variable"] == "total of same"]
    assert (told["se"] == 0).all()
    assert (told["lower"] == told["estimate"]).all()


def test_sums_of_other_arms_are_not_added() -> None:
    sides, units = sample()
    alone = Sides(sides.released, None, sides.baseline, sides.structural)
    one, two = (ImputedSums.of(s, units, domains=DOMAINS) for s in (sides, alone))
    with pytest.raises(MlstatsError, match="cannot be merged"):
        one.merge(two)

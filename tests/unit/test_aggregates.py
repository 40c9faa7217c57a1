"""Published figures by arm: values, paired errors, small cells."""

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.accuracy import proportion
from mlstats.quality.aggregates import (
    Arm,
    aggregate_differences,
    aggregates,
    compared_aggregates,
)
from mlstats.quality.design import Design


def example(n: int = 150) -> tuple[Design, dict[str, Arm]]:
    rng = np.random.default_rng(4)
    codes = np.array(["01", "02", "03"], dtype=object)
    truth = rng.choice(codes, n, p=[0.5, 0.3, 0.2])
    ml = np.where(rng.random(n) < 0.85, truth, rng.choice(codes, n))
    trad = np.where(rng.random(n) < 0.75, truth, rng.choice(codes, n))
    amount = rng.lognormal(2, 1, n)
    design = Design.of(rng.gamma(4, 1, n), cluster=np.arange(n) // 3)
    arms = {
        "truth": Arm(truth, amount),
        "trad": Arm(trad, amount),
        "ml": Arm(ml, amount),
    }
    return design, arms


@pytest.mark.parametrize("statistic", ["total", "mean", "share"])
def test_paired_error_is_the_jackknifes(statistic: str) -> None:
    """The domains of a mean differ between the arms, which no survey package does."""
    design, arms = example()
    table = aggregate_differences(design, arms, "truth", statistic=statistic)

    def figure(arm: Arm, weight: np.ndarray) -> float:
        inside, amount = arm.domain == "01", arm.values()
        total = float(weight[inside] @ amount[inside])
        if statistic == "total":
            return total
        whole = weight[inside].sum() if statistic == "mean" else weight @ amount
        return total / float(whole)

    g = design.n_clusters
    replicates = []
    for deleted in range(g):
        weight = design.weight * np.where(design.cluster == deleted, 0, g / (g - 1))
        replicates.append(figure(arms["ml"], weight) - figure(arms["truth"], weight))
    wanted = np.sqrt((g - 1) * np.var(replicates))
    found = table[(table["domain"] == "01") & (table["arm"] == "ml")].iloc[0]
    gap = figure(arms["ml"], design.weight) - figure(arms["truth"], design.weight)
    assert found["value"] == pytest.approx(gap)
    assert found["se"] == pytest.approx(wanted, rel=0.05)
    base = figure(arms["truth"], design.weight)
    assert found["relative"] == pytest.approx(gap / base)


def test_shares_of_an_arm_add_up_to_one_less_what_is_uncoded() -> None:
    design, arms = example()
    lost = arms["ml"].domain.copy()
    lost[:15] = None
    table = aggregates(design, {"ml": Arm(lost)})
    coded = np.array([code is not None for code in lost])
    share = design.weight[coded].sum() / design.weight.sum()
    assert table["value"].sum() == pytest.approx(share)


def test_an_arm_against_itself_differs_by_nothing() -> None:
    design, arms = example()
    both = {"ml": arms["ml"], "same": arms["ml"]}
    table = aggregate_differences(design, both, "ml")
    assert (table["value"] == 0).all()
    assert table["lower"].isna().all()
    assert table["note"].str.contains("nothing varies").all()


def test_small_cells_are_not_told_even_as_differences() -> None:
    design = Design.of(np.ones(30))
    truth = np.array(["01"] * 28 + ["02"] * 2, dtype=object)
    ml = np.array(["01"] * 30, dtype=object)
    arms = {"truth": Arm(truth), "ml": Arm(ml)}
    figures = aggregates(design, arms, min_cell=5).set_index(["domain", "arm"])
    assert figures.loc[("02", "truth"), "status"] == "not_measured"
    assert figures.loc[("02", "ml"), "value"] == 0
    gaps = aggregate_differences(design, arms, "truth", min_cell=5)
    gaps = gaps.set_index("domain")
    assert gaps.loc["02", "status"] == "not_measured"
    assert np.isnan(gaps.loc["02", "relative"])
    assert gaps.loc["01", "status"] == "measured"


def test_missing_amounts_are_counted_by_arm() -> None:
    design, arms = example()
    amount = arms["ml"].values().copy()
    amount[arms["ml"].domain == "02"] = np.nan
    broken = {"truth": arms["truth"], "ml": Arm(arms["ml"].domain, amount)}
    table = aggregates(design, broken, statistic="mean").set_index(["domain", "arm"])
    assert "missing" in table.loc[("02", "ml"), "note"]
    assert table.loc[("01", "ml"), "status"] == "measured"
    shares = aggregates(design, broken).set_index(["domain", "arm"])
    assert shares.loc[("01", "ml"), "status"] == "not_measured"


def test_a_mean_of_no_unit_is_not_measured() -> None:
    design = Design.of(np.ones(4))
    arms = {
        "truth": Arm(np.array(["01", "01", "02", "02"], dtype=object)),
        "ml": Arm(np.array(["01"] * 4, dtype=object)),
    }
    table = aggregates(design, arms, statistic="mean").set_index(["domain", "arm"])
    assert table.loc[("02", "ml"), "note"] == "no unit under this arm"


def test_a_census_has_no_error() -> None:
    domain = np.array(["01", "02"] * 5, dtype=object)
    design = Design.of(np.ones(10), stratum=np.array(["s"] * 10), fraction={"s": 1.0})
    table = aggregates(design, {"truth": Arm(domain)})
    assert (table["se"] == 0).all()
    assert (table["interval"] == "census").all()


def test_unusable_weights_are_said_in_every_row() -> None:
    _, arms = example(6)
    table = aggregate_differences(Design.of(np.zeros(6)), arms, "truth")
    assert (table["note"] == "no unit has weight").all()


def test_one_pass_gives_what_the_separate_functions_give() -> None:
    rng = np.random.default_rng(9)
    n = 300
    design = Design.of(rng.uniform(1, 3, n), cluster=np.arange(n) // 3)
    arms = {
        name: Arm(rng.choice(["a", "b", "c"], n).astype(object))
        for name in ("truth", "index", "model")
    }
    table = compared_aggregates(design, arms, {"gap": "index"}, min_cell=5)
    plain = aggregates(design, arms, min_cell=5)
    pd.testing.assert_frame_equal(table[list(plain)], plain)
    apart = aggregate_differences(design, arms, "index", min_cell=5)
    both = table.merge(apart, on=["domain", "arm"], suffixes=("", "_own"))
    assert len(both) == 6
    pairs = {"gap": "value_own", "gap_se": "se_own", "gap_lower": "lower_own"}
    for mine, own in pairs.items():
        assert both[mine].to_numpy() == pytest.approx(both[own].to_numpy())
    assert table.loc[table["arm"] == "index", "gap"].isna().all()


def test_a_share_of_units_has_the_interval_of_a_proportion() -> None:
    design, arms = example()
    units = Arm(arms["ml"].domain)
    table = aggregates(design, {"ml": units}).set_index("domain")
    everyone = np.ones(len(design.weight), dtype=bool)
    for code in ("01", "02", "03"):
        wanted = proportion(design, units.domain == code, everyone)
        ends = table.loc[code, ["value", "se", "df", "lower", "upper"]].to_numpy(float)
        told = [wanted.value, wanted.se, wanted.df, wanted.lower, wanted.upper]
        assert ends == pytest.approx(told)
        assert table.loc[code, "interval"] == "Korn-Graubard"
    amounts = aggregates(design, {"ml": arms["ml"]})
    assert set(amounts["interval"]) == {"t"}
    alone = aggregates(design, {"ml": Arm(np.full(150, "01", dtype=object))}).iloc[0]
    assert alone["upper"] == 1
    assert 0.9 < alone["lower"] < 0.95  # of 50 clusters


def test_the_interval_of_a_large_share_covers_and_ends_at_one() -> None:
    """400 seeded samples of 60 clusters; that of t covers .87."""
    rng = np.random.default_rng(11)
    covered = []
    for _ in range(400):
        design = Design.of(rng.uniform(1, 2, 60))
        domain = np.where(rng.random(60) < 0.96, "01", "02").astype(object)
        row = aggregates(design, {"truth": Arm(domain)}).iloc[0]
        assert 0 <= row["lower"] <= row["upper"] <= 1
        covered.append(row["lower"] <= 0.96 <= row["upper"])
    assert np.mean(covered) >= 0.93

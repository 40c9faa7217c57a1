"""Drift between dates: found where it is, alarms held where it is not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter

from mlstats.errors import ContractError
from mlstats.imagery import block_cores, date_drift, spatial_blocks, stability_index
from mlstats.imagery.transitions import as_classes, class_changes

SIDE, BLOCK, GAP = 84, 12, 6
ROW, COLUMN = np.divmod(np.arange(SIDE * SIDE), SIDE)


def smooth(rng, sigma):
    """Draw a field of variance one, related over about 3.5 sigma."""
    noise = gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma, mode="wrap")
    return (noise * 2 * np.sqrt(np.pi) * sigma).ravel()


def scene(rng, shift=0.0):
    """Draw two dates of one land: three bands, clouds, a map and a mask."""
    land = [smooth(rng, 6) for _ in range(3)]
    dates = []
    for moved in (0.0, shift):
        bands = np.stack([x + 0.6 * smooth(rng, 1.5) for x in land], axis=1)
        bands[:, 0] += moved
        cloud = smooth(rng, 5)
        classes = np.where(
            bands[:, 1] > 0.5, "crop", np.where(bands[:, 2] > 0, "forest", "water")
        )
        inside = bands[:, 2] < 1.2
        bands[cloud > 1] = np.nan
        dates.append((bands, np.where(cloud > 1, None, classes), inside))
    block = spatial_blocks(COLUMN, ROW, BLOCK)
    return dates[0], dates[1], block


def compared(before, after, block, kept):
    kept = np.flatnonzero(kept)
    return date_drift(
        before[0][kept],
        after[0][kept],
        block[kept],
        classes=(before[1][kept], after[1][kept]),
        inside=(before[2][kept], after[2][kept]),
    )


def test_false_alarms_are_held_over_cores_and_not_over_pixels():
    rng = np.random.default_rng(0)
    core = block_cores(COLUMN + 0.5, ROW + 0.5, BLOCK, GAP)
    draws, alarms, naive = 120, 0, 0
    for k in range(draws):
        before, after, block = scene(rng)
        table = compared(before, after, block, core)
        assert set(table["measure"]) == {
            "clear", "mean", "distribution", "outside", "class share",
        }  # fmt: skip
        alarms += (table["p_adjusted"] <= 0.05).any()
        if k < 20:
            each = compared(before, after, np.arange(SIDE**2), core)
            naive += (each["p_adjusted"] <= 0.05).any()
    # Exceeded with probability .01 at a rate of 5 %.
    assert alarms <= stats.binom.ppf(0.99, draws, 0.05)
    assert naive >= 10


def test_a_planted_shift_is_found_in_its_band():
    rng = np.random.default_rng(1)
    before, after, block = scene(rng, shift=1.0)
    core = block_cores(COLUMN + 0.5, ROW + 0.5, BLOCK, GAP)
    table = compared(before, after, block, core)
    found = table[table["state"] == "drift"]
    assert set(found["of"]) == {"1"}
    assert set(found["measure"]) == {"mean", "distribution"}
    row = table[(table["measure"] == "mean") & (table["of"] == "1")].iloc[0]
    spread = (row["after"] - row["before"]) / row["effect"]
    assert row["effect_lower"] < 1 / spread < row["effect_upper"]


def test_figures_by_hand():
    rng = np.random.default_rng(2)
    n, blocks = 600, 30
    block = np.repeat(np.arange(blocks), n // blocks)
    one = rng.normal(size=(n, 2)) + rng.normal(size=(blocks, 1))[block]
    other = one + rng.normal(size=(n, 2)) + 0.3
    one[:50], other[590:] = np.nan, np.nan
    crop = [rng.random(n) < 0.4, rng.random(n) < 0.5]
    maps = [np.where(c, "crop", "other") for c in crop]
    table = date_drift(
        pd.DataFrame(one, columns=["red", "nir"]),
        pd.DataFrame(other, columns=["red", "nir"]),
        block,
        classes=(maps[0], maps[1]),
        inside=(crop[0], crop[1]),
    ).set_index(["measure", "of"])
    kept = slice(50, 590)
    spread = one[kept, 0].std()

    def clustered(gap):
        sums = pd.Series(gap - gap.mean()).groupby(block[kept]).sum()
        # Blocks without a clear pixel stay in the variance, as zeros.
        se = np.sqrt(blocks / (blocks - 1) * (sums**2).sum()) / len(gap)
        return gap.mean(), se, len(sums)

    share = (crop[1].astype(float) - crop[0])[kept]
    for key, gap in (
        (("mean", "red"), (other - one)[kept, 0] / spread),
        (("class share", "crop"), share),
        (("outside", ""), -share),
    ):
        row = table.loc[key]
        value, se, g = clustered(gap)
        assert row["effect"] == pytest.approx(value)
        assert row["se"] == pytest.approx(se)
        assert row["p"] == pytest.approx(2 * stats.t.sf(abs(value / se), g - 1))
        assert row["effect_upper"] - value == pytest.approx(
            stats.t.ppf(0.975, g - 1) * se
        )
        assert (row["pixels"], row["blocks"]) == (540, g)
    row = table.loc[("distribution", "nir")]
    a, b = one[kept, 1], other[kept, 1]
    assert row["wasserstein"] == pytest.approx(stats.wasserstein_distance(a, b))
    edges = np.r_[-np.inf, np.percentile(a, np.arange(10, 91, 10)), np.inf]
    p, q = ((np.histogram(v, edges)[0] + 0.5) / (540 + 5) for v in (a, b))
    expected = ((q - p) * np.log(q / p)).sum()
    assert row["psi"] == pytest.approx(expected)
    assert stability_index(a, b) == pytest.approx(expected)
    clear = table.loc[("clear", "")]
    assert clear["before"] == pytest.approx(550 / 600)
    assert "90.0%" in clear["note"]


def test_nothing_changed_nothing_clear_few_blocks():
    rng = np.random.default_rng(3)
    one = rng.normal(size=(300, 1))
    block = np.repeat(np.arange(30), 10)
    same = date_drift(one, one, block, classes=(np.full(300, "a"),) * 2)
    assert (same.loc[1:, "state"] == "no drift").all()
    assert (same.loc[1:, "effect"] == 0).all()
    empty = np.full_like(one, np.nan)
    none = date_drift(one, empty, block, inside=(np.ones(300),) * 2)
    assert (none["state"] == "not measured").all()
    assert none["p"].isna().all()
    few = date_drift(one, one + 1, block // 6).set_index("measure")
    assert few.loc["distribution", "state"] == "not measured"
    assert "fewer than 11 blocks" in few.loc["distribution", "note"]
    alone = date_drift(one, one + rng.normal(size=one.shape), np.zeros(300))
    assert (alone["state"] == "not measured").all()
    still = date_drift(np.ones((300, 1)), one, block).set_index("measure")
    assert "does not vary" in still.loc["mean", "note"]


def test_a_change_below_its_floor_is_no_alarm():
    rng = np.random.default_rng(4)
    one = rng.normal(size=(4000, 1))
    block = np.repeat(np.arange(40), 100)
    after = one + 0.01 + 0.01 * rng.normal(size=one.shape)
    row = date_drift(one, after, block).set_index("measure").loc["mean"]
    assert row["p"] < 1e-6
    assert row["state"] == "significant, below floor"


def test_what_does_not_fit():
    one, block = np.zeros((30, 2)), np.arange(30)
    frame = pd.DataFrame(one, columns=["red", "nir"])
    counts = pd.DataFrame([[8, 2]], index=["a"], columns=["a", "b"])
    for arguments, more in (
        ((one, one[:-1], block), {}),
        ((one, one, block[:-1]), {}),
        ((one, one, np.where(block > 3, block, np.nan)), {}),
        ((frame, frame[["nir", "red"]], block), {}),
        ((one, one, block), {"names": ["red"]}),
        ((one, one, block), {"inside": (block[1:], block[1:])}),
        ((one, one, block), {"classes": (block, block[1:])}),
        (
            (one, one, block),
            {"classes": (np.full(30, "b"),) * 2, "confusion": counts},
        ),
        (
            (one, one, block),
            {"classes": (np.full(30, "a"),) * 2, "confusion": counts / 10},
        ),
    ):
        with pytest.raises(ContractError):
            date_drift(*arguments, **more)


TRUE = {"a": [0.9, 0.1], "b": [0.2, 0.8]}  # P(reference a, b | mapped)


def drawn_confusion(rng, n=60):
    rows = {name: rng.multinomial(n, p) for name, p in TRUE.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["a", "b"])


@pytest.mark.parametrize("each", [False, True])
def test_the_error_of_a_corrected_change(each):
    """Over drawn maps and drawn confusions, against the spread of the estimates."""
    rng = np.random.default_rng(5)
    blocks, size, draws = 40, 10, 400
    block = np.repeat(np.arange(blocks), size)
    clear = np.ones(blocks * size, dtype=bool)
    found, errors = [], []
    for _ in range(draws):
        level = rng.normal(size=(blocks, 1))
        side = [
            np.where(level + rng.normal(size=(blocks, size)) > cut, "a", "b").ravel()
            for cut in (0.6, -0.6)
        ]
        tables = drawn_confusion(rng)
        given = (tables, drawn_confusion(rng)) if each else tables
        mapped = as_classes((side[0], side[1]), len(block))
        name, _, change = next(class_changes(mapped, clear, block, given))
        assert name == "a"
        found.append(change.value)
        errors.append(change.se)
    share = stats.norm.sf(np.array([0.6, -0.6]) / np.sqrt(2))
    truth = np.diff([s * 0.9 + (1 - s) * 0.2 for s in share])[0]
    assert np.mean(found) == pytest.approx(truth, abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.1)


def test_map_errors_by_hand():
    block = np.repeat(np.arange(12), 5)
    side = (np.tile(list("aabab"), 12), np.tile(list("aaaab"), 12))
    counts = pd.DataFrame([[18, 2], [3, 7]], index=["a", "b"], columns=["a", "c"])
    mapped = as_classes(side, 60)
    clear = np.ones(60, dtype=bool)
    found = {
        name: (shares, change)
        for name, shares, change in class_changes(mapped, clear, block, counts)
    }
    assert set(found) == {"a", "c"}
    shares, change = found["a"]
    assert shares == pytest.approx((0.6 * 0.9 + 0.4 * 0.3, 0.8 * 0.9 + 0.2 * 0.3))
    # Blocks are all alike: what is left is the error of the map.
    variance = 0.2**2 * (0.9 * 0.1 / 19 + 0.3 * 0.7 / 9)
    assert change.se == pytest.approx(np.sqrt(variance))
    assert "corrected for map errors" in change.note
    assert change.lower < change.value < change.upper

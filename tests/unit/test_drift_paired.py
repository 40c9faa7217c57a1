"""Drift on the units common to two periods of a panel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.errors import MlstatsError
from mlstats.quality.drift import DriftResult, PairedSummary, Reference, Summary, drift
from mlstats.quality.drift_paired import stuart_maxwell

N = 2_000


def panel(seed: int, shift: float = 0.0, lost: float = 0.0) -> list[pd.DataFrame]:
    """Return two periods of units whose answers hardly change."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=N)
    code = rng.integers(0, 30, N)
    stays = rng.random(N) < 0.9
    frames = []
    for period in range(2):
        x = 0.95 * own + np.sqrt(1 - 0.95**2) * rng.normal(size=N) + period * shift
        codes = np.where(stays | (period == 0), code, rng.integers(0, 30, N))
        frame = pd.DataFrame(
            {
                "unit": [f"u{i}" for i in range(N)],
                "household": [f"h{i // 4}" for i in range(N)],
                "w": 1.0 + (np.arange(N) % 3),
                "x": x,
                "code": np.char.mod("%02d", codes),
            }
        )
        gone = rng.random(N) < 0.02 + period * lost
        frames.append(frame.assign(x=frame["x"].mask(gone)))
    frames[1] = frames[1].sample(frac=1, random_state=seed)  # the order is no key
    return frames


def judged(frames: list[pd.DataFrame], **design: str) -> DriftResult:
    before, now = frames
    reference = Reference.learn(before[["x", "code"]])
    pairs = PairedSummary.of(before, now, reference, unit="unit", **design)
    return drift(Summary.of(now, reference), {"last_accepted": pairs})


def state(result: DriftResult, column: str, test: str) -> str:
    rows = result.verdicts.query("column == @column and test == @test")
    return str(rows["state"].iloc[0])


@pytest.mark.parametrize(
    "design", [{}, {"cluster": "household"}, {"weight": "w", "cluster": "household"}]
)
def test_a_small_shift_of_common_units(design: dict[str, str]) -> None:
    shifted = panel(1, shift=0.06)
    result = judged(shifted, **design)
    assert state(result, "x", "distribution") == "drift"
    assert state(result, "code", "distribution") == "no drift"
    row = result.verdicts.query("column == 'x' and test == 'distribution'").iloc[0]
    assert row["effect_lower"] < 0.0239 < row["effect_upper"]  # .06 sd
    assert set(judged(panel(2), **design).by_column()) == {"no drift"}
    # Taken as independent samples the same periods show nothing.
    before, now = shifted
    reference = Reference.learn(before[["x", "code"]])
    alone = Summary.of(before, reference)
    assert drift(Summary.of(now, reference), {"last": alone}).alarms.empty


@pytest.mark.slow
def test_false_alarms_on_common_units() -> None:
    design = {"weight": "w", "cluster": "household"}
    hits, runs = 0, 200
    for seed in range(runs):
        rows = judged(panel(100 + seed), **design).verdicts
        hits += bool((rows["p_adjusted"] <= 0.05).any())
    assert stats.beta.ppf(0.95, hits + 1, runs - hits) <= 0.07


def test_values_that_common_units_lost() -> None:
    result = judged(panel(3, lost=0.03))
    assert state(result, "x", "missing") == "drift"
    assert state(result, "x", "distribution") == "no drift"
    before, now = panel(3, lost=0.03)
    both = before.merge(now, on="unit")
    lost = (both["x_y"].isna() & both["x_x"].notna()).sum()
    gained = (both["x_x"].isna() & both["x_y"].notna()).sum()
    exact = stats.binomtest(int(lost), int(lost + gained)).pvalue
    row = result.verdicts.query("column == 'x' and test == 'missing'").iloc[0]
    assert row["p"] == pytest.approx(exact, rel=1e-9)
    assert row["effect"] == pytest.approx((lost - gained) / N)


def test_a_code_that_units_leave_for_another() -> None:
    before, now = panel(4)
    moved = np.random.default_rng(5).random(N) < 0.03
    now = now.assign(code=now["code"].mask(moved, "07"))
    result = judged([before, now])
    row = result.verdicts.query("column == 'code' and test == 'code'").iloc[0]
    assert row["state"] == "drift"
    assert "code 07" in row["note"]


def test_the_statistic_of_stuart_and_maxwell_is_mcnemars_for_two_codes() -> None:
    b, c = 30, 14
    moments = np.array([[b + c, -b - c], [-b - c, b + c]], dtype=float)
    x, rank = stuart_maxwell(np.array([b - c, c - b]), moments, np.array([0, 1]))
    assert rank == 1
    assert x == pytest.approx((b - c) ** 2 / (b + c))


def test_parts_of_a_panel_add_up() -> None:
    before, now = panel(6, shift=0.05)
    reference = Reference.learn(before[["x", "code"]])
    design = {"unit": "unit", "weight": "w", "cluster": "household"}
    whole = PairedSummary.of(before, now, reference, **design)
    first = before["household"].isin([f"h{i}" for i in range(170)])
    mine = now["unit"].isin(before["unit"][first])
    parts = [
        PairedSummary.of(before[a], now[b], reference, **design)
        for a, b in [(first, mine), (~first, ~mine)]
    ]
    current = Summary.of(now, reference)
    merged = drift(current, {"last": parts[0].merge(parts[1])}).verdicts
    pd.testing.assert_frame_equal(merged, drift(current, {"last": whole}).verdicts)


def test_units_of_one_period_only_are_left_out() -> None:
    before, now = panel(7)
    gone = pd.concat([before.tail(1_500), before.head(100).assign(unit="x")])
    gone["unit"] = [f"n{i}" if u == "x" else u for i, u in enumerate(gone["unit"])]
    result = judged([gone, now])
    assert (result.verdicts.query("test == 'distribution'")["n"] <= 1_500).all()
    assert result.alarms.empty


@pytest.mark.parametrize(
    ("spoil", "note"),
    [
        (lambda f: f.assign(unit="u1"), "1,999 repeated"),
        (lambda f: f.assign(unit=f["unit"].mask(f.index < 3)), "3 units without"),
        (lambda f: f.assign(unit="n" + f["unit"]), "0 units in common"),
        (lambda f: f.assign(w=-1.0), "weights are missing, infinite or negative"),
        (lambda f: f.assign(w=0.0), "0 units in common"),
        (lambda f: f.assign(household="h"), "one cluster"),
        (lambda f: f.drop(columns=["x", "code"]), "lacks the column"),
    ],
)
def test_bad_panels_are_told(spoil, note: str) -> None:  # type: ignore[no-untyped-def]
    before, now = panel(8)
    reference = Reference.learn(before[["x", "code"]])
    pairs = PairedSummary.of(
        before, spoil(now), reference, unit="unit", weight="w", cluster="household"
    )
    verdicts = drift(Summary.of(now, reference), {"last": pairs}).verdicts
    assert (verdicts["state"] == "not measured").all()
    assert verdicts["note"].str.contains(note, regex=False).all()


def test_units_that_never_change_and_columns_without_values() -> None:
    before, _ = panel(9)
    same = judged([before, before])
    assert set(same.verdicts["state"]) == {"no drift"}
    empty = judged([before, before.assign(x=np.nan)])
    assert state(empty, "x", "distribution") == "not measured"
    assert state(empty, "x", "missing") == "drift"
    never = before.assign(x=np.nan, code=None)
    assert set(judged([never, before]).verdicts["state"]) >= {"not measured"}


def test_a_unit_column_that_is_not_there() -> None:
    before, now = panel(10)
    reference = Reference.learn(before[["x"]])
    with pytest.raises(MlstatsError, match="no column 'id'"):
        PairedSummary.of(before, now, reference, unit="id")
    one = PairedSummary.of(before, now, reference, unit="unit")
    other = PairedSummary.of(before, now, reference, unit="unit", cluster="household")
    with pytest.raises(MlstatsError, match="counted differently"):
        one.merge(other)

"""States of the drift verdicts, and what bad input is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import MlstatsError
from mlstats.quality.drift import (
    STATES,
    DriftResult,
    Floors,
    Reference,
    Summary,
    drift,
)
from tests.drift_generators import Change, independent

N = 4_000


def table(seed: int, n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.normal(size=n),
            "code": rng.choice(["01", "02", "03", "04"], n, p=[0.5, 0.3, 0.15, 0.05]),
        }
    )


def judged(before: pd.DataFrame, now: pd.DataFrame, **settings: object) -> DriftResult:
    reference = Reference.learn(before)
    return drift(
        Summary.of(now, reference),
        {"last_accepted": Summary.of(before, reference)},
        **settings,  # type: ignore[arg-type]
    )


def only(result: DriftResult, column: str, test: str) -> pd.Series:
    rows = result.verdicts
    rows = rows[(rows["column"] == column) & (rows["test"] == test)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_no_drift_tells_what_it_could_have_seen() -> None:
    result = judged(table(1), table(2))
    assert set(result.verdicts["state"]) == {"no drift"}
    assert result.alarms.empty
    row = only(result, "amount", "distribution")
    # (kolmogi(.05 / 5) + 1.28 / 2) * sqrt(2 / 4000)
    assert row["minimum_detectable"] == pytest.approx(0.0507, abs=0.001)
    assert "found with probability 0.9: a distance of 0.05" in row["note"]
    assert "a shift of 0.13 standard deviations" in row["note"]
    share = only(result, "code", "code")
    assert "points" in share["note"]


def test_the_minimum_detectable_shift_is_found_and_a_half_of_it_is_not() -> None:
    # The promise is kept with room: a distance is the largest of many.
    calm = judged(table(1), table(2))
    shift = only(calm, "amount", "distribution")["minimum_detectable"]
    level = 0.05 / calm.tests
    found = {1.0: 0, 0.5: 0}
    for seed in range(100):
        for part in found:
            now = table(1000 + seed)
            now["amount"] += part * shift * np.sqrt(2 * np.pi)
            row = only(judged(table(2000 + seed), now), "amount", "distribution")
            found[part] += int(row["p"] <= level)
    assert found[1.0] >= 90
    assert found[0.5] <= 60


def test_drift_of_numbers_and_of_one_code() -> None:
    now = table(2)
    now["amount"] += 0.2
    moved = np.random.default_rng(3).random(N) < 0.05
    now["code"] = now["code"].mask(moved, "04")
    result = judged(table(1), now)
    assert only(result, "amount", "distribution")["state"] == "drift"
    row = only(result, "code", "code")
    assert row["state"] == "drift"
    assert "code 04" in row["note"]
    assert row["effect"] == pytest.approx(0.0475, abs=0.015)
    assert row["effect_lower"] < 0.0475 < row["effect_upper"]
    assert dict(result.by_column()) == {"amount": "drift", "code": "drift"}


def test_significant_below_floor_is_a_state_of_its_own() -> None:
    rng = np.random.default_rng(4)
    before = pd.DataFrame({"amount": rng.normal(size=400_000)})
    now = pd.DataFrame({"amount": rng.normal(size=400_000) + 0.02})
    row = only(judged(before, now), "amount", "distribution")
    assert row["state"] == "significant, below floor"
    assert row["p"] < 1e-6
    assert row["effect_upper"] < row["floor"]


def test_significant_is_drift_while_the_interval_holds_the_floor() -> None:
    now = table(2)
    now["amount"] += 0.2
    floors = Floors(distance=0.1)  # of an effect of about .08, known to +-.03
    row = only(judged(table(1), now, floors=floors), "amount", "distribution")
    assert row["effect"] < row["floor"] < row["effect_upper"]
    assert row["state"] == "drift"
    assert "the floor lies within the interval" in row["note"]


def test_a_rare_code_has_a_floor_of_its_own() -> None:
    rng = np.random.default_rng(5)
    shares = np.array([0.6, 0.398, 0.002])
    tripled = np.array([0.6, 0.394, 0.006])
    codes = ["common", "frequent", "rare"]
    before = pd.DataFrame({"code": rng.choice(codes, 50_000, p=shares)})
    now = pd.DataFrame({"code": rng.choice(codes, 50_000, p=tripled)})
    row = only(judged(before, now), "code", "code")
    assert row["state"] == "drift"
    assert "code rare" in row["note"]
    assert row["floor"] == pytest.approx(0.001, rel=0.3)


def test_missing_values_are_tested_and_leave_the_codes_alone() -> None:
    now = table(2)
    gone = np.random.default_rng(3).random(N) < 0.05
    now["code"] = now["code"].mask(gone)
    now.loc[gone, "amount"] = np.inf
    result = judged(table(1), now)
    assert only(result, "code", "missing")["state"] == "drift"
    assert only(result, "code", "distribution")["state"] == "no drift"
    row = only(result, "amount", "missing")
    assert row["state"] == "drift"
    assert f"{gone.sum():,} values are infinite" in row["note"]
    assert only(result, "amount", "distribution")["state"] == "no drift"


def test_unit_error_in_a_few_records_shows_in_the_tail() -> None:
    before, now = table(1, 20_000), table(2, 20_000)
    now.loc[now.index < 400, "amount"] *= 1000  # 2 % in thousands
    result = judged(before, now)
    assert only(result, "amount", "tails")["state"] == "drift"
    assert only(result, "amount", "distribution")["state"] == "no drift"


@pytest.mark.parametrize("change", [Change(), Change(shift=0.1, missing=0.05)])
@pytest.mark.parametrize("outlier", [1e6, -1e300, np.inf, np.nan])
@pytest.mark.parametrize("where", ["before", "now"])
def test_one_outlier_changes_no_verdict(
    change: Change, outlier: float, where: str
) -> None:
    rng = np.random.default_rng(6)
    before, now = independent(10_000, rng), independent(10_000, rng, change)
    plain = judged(before, now)
    frame = before if where == "before" else now
    frame.loc[7, ["x0", "x1", "x2", "income", "score"]] = outlier
    spoilt = judged(before, now)
    assert spoilt.by_column().equals(plain.by_column())
    whole = plain.verdicts["test"] == "distribution"
    assert spoilt.verdicts["state"][whole].equals(plain.verdicts["state"][whole])
    moved = (spoilt.verdicts["effect"] - plain.verdicts["effect"]).abs()
    # One of the units with a value; other bins and percentiles move by a few.
    assert moved.max() <= (10 if where == "before" else 1) / 9_000
    assert len(plain.alarms) == 0 or change != Change()


def test_a_revision_of_the_classification_is_a_break() -> None:
    before, now = table(1), table(2)
    now["code"] = "9" + now["code"]
    reference = Reference.learn(before)
    old = Summary.of(before, reference, versions={"code": "2.0"})
    new = Summary.of(now, reference, versions={"code": "2.1"})
    result = drift(new, {"training": old})
    row = only(result, "code", "distribution")
    assert row["state"] == "break"
    assert "code list 2.0 in the reference, 2.1 now" in row["note"]
    assert result.by_column()["code"] == "break"
    # It is no member of the family, and the other column is judged as ever.
    assert only(result, "amount", "distribution")["state"] == "no drift"
    assert result.tests == 2
    unknown = drift(Summary.of(now, reference), {"training": old})
    assert only(unknown, "code", "distribution")["state"] == "not measured"


def test_every_reference_is_in_the_family() -> None:
    before = table(1)
    reference = Reference.learn(before)
    references = {
        name: Summary.of(table(seed), reference)
        for seed, name in enumerate(["last_accepted", "same_period_last_year"], 10)
    }
    references["training"] = Summary.of(before, reference)
    result = drift(Summary.of(table(2), reference), references)
    assert set(result.verdicts["reference"]) == set(references)
    measured = result.verdicts[result.verdicts["p"] < 1]
    expected = np.sort(measured["p"]) * result.tests / np.arange(1, len(measured) + 1)
    smallest = np.minimum.accumulate(expected[::-1])[::-1][0]
    assert result.verdicts["p_adjusted"].min() == pytest.approx(min(smallest, 1.0))


def test_a_slow_creep_shows_against_the_frozen_reference() -> None:
    frames = []
    for month in range(7):
        frame = table(20 + month)
        frame["amount"] += 0.03 * month
        frames.append(frame)
    reference = Reference.learn(frames[0])
    summaries = [Summary.of(frame, reference) for frame in frames]
    result = drift(
        summaries[-1], {"last_accepted": summaries[-2], "training": summaries[0]}
    )
    rows = result.verdicts.query("column == 'amount' and test == 'distribution'")
    states = dict(zip(rows["reference"], rows["state"], strict=True))
    assert states == {"last_accepted": "no drift", "training": "drift"}


def test_the_sentence_tells_the_false_alarms_of_a_year() -> None:
    result = judged(table(1), table(2), periods_per_year=12)
    assert result.false_alarms_per_year == pytest.approx(1 - 0.95**12)
    assert result.sentence() == (
        "Columns: 2 no drift. Without drift at most 5% of periods give a false alarm; "
        "asked every month, that is up to 46% of years."
    )


def test_a_code_of_few_units_is_not_named() -> None:
    before, now = table(1), table(2)
    before.loc[:29, "code"] = "secret"
    now.loc[:2, "code"] = "secret"
    note = only(judged(before, now), "code", "code")["note"]
    assert "secret" not in note
    assert "too few units to be named" in note
    assert (
        "code secret" in only(judged(before, now, min_cell=3), "code", "code")["note"]
    )


def constant(value: object) -> pd.DataFrame:
    return table(1).assign(amount=value, code=str(value))


@pytest.mark.parametrize(
    ("before", "now", "column", "test", "state", "note"),
    [
        (constant(3.0), constant(3.0), "amount", "distribution", "no drift", ""),
        (constant(3.0), constant(2.0), "amount", "distribution", "drift", ""),
        (
            constant(3.0),
            constant(3.0),
            "code",
            "distribution",
            "no drift",
            "one code in both periods",
        ),
        (constant(3.0), constant(2.0), "code", "code", "drift", "code 2.0"),
        (
            table(1),
            table(2).assign(code=None),
            "code",
            "distribution",
            "not measured",
            "no value in the current data",
        ),
        (
            table(1).assign(amount=np.nan),
            table(2),
            "amount",
            "distribution",
            "not measured",
            "no value in the reference",
        ),
        (
            table(1).assign(amount=np.inf),
            table(2).assign(amount=-np.inf),
            "amount",
            "missing",
            "no drift",
            "every value is missing in both",
        ),
        (table(1), table(2).assign(code=None), "code", "missing", "drift", ""),
        (
            table(1),
            table(2).head(0),
            "code",
            "distribution",
            "not measured",
            "the current data has no rows",
        ),
        (
            table(1),
            table(2).head(12),
            "code",
            "distribution",
            "not measured",
            "fewer than 20 effective units",
        ),
        (
            table(1),
            table(2).drop(columns="code"),
            "code",
            "distribution",
            "not measured",
            "the current data lacks the column",
        ),
        (
            table(1).assign(code=[f"{i}" for i in range(N)]),
            table(2).assign(code=[f"n{i}" for i in range(N)]),
            "code",
            "code",
            None,
            "",
        ),
    ],
)
def test_bad_input_has_a_stated_state(
    before: pd.DataFrame,
    now: pd.DataFrame,
    column: str,
    test: str,
    state: str | None,
    note: str,
) -> None:
    result = judged(before, now)
    assert set(result.verdicts["state"]) <= set(STATES)
    told = result.verdicts[result.verdicts["state"] != "not measured"]
    assert told[["statistic", "p", "p_adjusted", "effect"]].notna().all(axis=None)
    untold = result.verdicts[result.verdicts["state"] == "not measured"]
    assert (untold["note"] != "").all()
    if state is None:  # codes that occur once each cannot be tested one by one
        assert test not in set(result.verdicts.query("column == @column")["test"])
        return
    row = only(result, column, test)
    assert row["state"] == state
    assert note in row["note"]


def test_too_many_codes_are_no_codes() -> None:
    frame = table(1).assign(code=[f"{i}" for i in range(N)])
    reference = Reference.learn(frame, max_codes=1000)
    summary = Summary.of(frame, reference)
    row = only(drift(summary, {"last": summary}), "code", "distribution")
    assert row["state"] == "not measured"
    assert "more than 1,000 distinct codes" in row["note"]


@pytest.mark.parametrize(
    ("weights", "note"),
    [
        (0.0, "all weights are zero"),
        (np.nan, "4,000 weights are missing, infinite or negative"),
        (-1.0, "4,000 weights are missing, infinite or negative"),
    ],
)
def test_bad_weights_are_told(weights: float, note: str) -> None:
    frame = table(1).assign(weight=1.0)
    reference = Reference.learn(frame[["amount", "code"]])
    before = Summary.of(frame, reference, weight="weight")
    now = Summary.of(frame.assign(weight=weights), reference, weight="weight")
    verdicts = drift(now, {"last": before}).verdicts
    assert (verdicts["state"] == "not measured").all()
    assert verdicts["note"].str.contains(note, regex=False).all()


def test_one_cluster_has_no_variance() -> None:
    frame = table(1).assign(cluster="a")
    reference = Reference.learn(frame[["amount", "code"]])
    one = Summary.of(frame, reference, cluster="cluster")
    verdicts = drift(one, {"last": one}).verdicts
    assert (verdicts["state"] == "not measured").all()
    assert verdicts["note"].str.contains("one cluster").all()


def test_clusters_that_are_all_alike_have_no_variance() -> None:
    # One man and one woman in every household, by design.
    frame = pd.DataFrame({"sex": ["1", "2"] * 200, "household": np.arange(400) // 2})
    reference = Reference.learn(frame[["sex"]])
    made = Summary.of(frame, reference, cluster="household")
    row = only(drift(made, {"last": made}), "sex", "distribution")
    assert row["state"] == "not measured"
    assert "no variance" in row["note"]


def test_nothing_to_watch_and_nothing_to_compare_with() -> None:
    frame = table(1)
    reference = Reference.learn(frame[[]])
    empty = drift(Summary.of(frame, reference), {"last": Summary.of(frame, reference)})
    assert empty.verdicts.empty
    assert empty.sentence().startswith("Columns: none watched.")
    assert drift(Summary.of(frame, Reference.learn(frame)), {}).verdicts.empty


def test_other_bins_are_refused() -> None:
    one, two = Reference.learn(table(1)), Reference.learn(table(2))
    with pytest.raises(MlstatsError, match="other bins"):
        drift(Summary.of(table(2), two), {"last": Summary.of(table(1), one)})

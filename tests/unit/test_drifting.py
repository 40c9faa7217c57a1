"""Drift in a run: what is found, what is not there, and what is never told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.coding.classification import Classification
from mlstats.config import GateRule, Pilot
from mlstats.dataset import Dataset
from mlstats.drifting import HELD_OUT, drift_of, drift_rows
from mlstats.quality.evaluation import Evaluation
from mlstats.quality.gate import judge
from mlstats.quality.scorecard import Plan, as_scorecard
from mlstats.watched import known_share, watched
from tests.evaluation_example import evaluation_of

CODES = ["01.1", "01.2", "02.1"]
CANARY = "quackenbush"
PERIODS = ["2025-04", "2026-02", "2026-03", "2026-04"]


def diaries(n: int = 2400, *, seed: int = 0, change: bool = False) -> pd.DataFrame:
    """Return lines of four periods; with `change` the shops of the last one differ."""
    rng = np.random.default_rng(seed)
    period = np.repeat(PERIODS, n // 4)
    last = period == PERIODS[-1]
    shop = rng.choice(["market", "web"], n, p=[0.7, 0.3])
    if change:
        shop[last] = rng.choice(["market", "web"], last.sum(), p=[0.4, 0.6])
    code = rng.choice(CODES, n)
    words = ["rye", "milk", "tea", "socks", "green", "wool"]
    return pd.DataFrame(
        {
            "line": [f"{i:05d}" for i in range(n)],
            "home": [f"h{i // 4}" for i in range(n)],
            "what": [" ".join(rng.choice(words, 3)) for _ in range(n)],
            "code": code,
            "shop": shop,
            "amount": rng.gamma(2, 5, n),
            "person": rng.choice([f"{CANARY} a", f"{CANARY} b"], n),
            "weight": rng.uniform(0.5, 2, n),
            "period": period,
        }
    )


def pilot_of(
    references: tuple[str, ...] = ("last_accepted",), **roles: object
) -> Pilot:
    return Pilot.model_validate(
        {
            "pilot": "diary",
            "theme": "coding",
            "owner": {"author": "tests"},
            "data": {
                "source": "x.csv",
                "roles": {
                    "unit_id": "line",
                    "text": ["what"],
                    "target": "code",
                    "weight": "weight",
                    "cluster": "home",
                    "period": "period",
                    "auxiliary": ["amount", "person"],
                    "domain": ["shop"],
                    "confidential": ["line", "home", "what", "person"],
                    **roles,
                },
                "classification": {"file": "c.csv", "parent": "parent"},
            },
            "methods": {
                "trad": {"kind": "traditional", "use": "a.B"},
                "ml": {"kind": "ml", "use": "a.C"},
            },
            "baseline": "trad",
            "candidate": "ml",
            "evaluate": {"split": {"by": "period", "test": PERIODS[-1]}},
            "production": {"drift": {"references": list(references)}},
        }
    )


def dataset_of(frame: pd.DataFrame) -> Dataset:
    last = frame["period"] == PERIODS[-1]
    home = frame["home"].str[1:].astype(int)
    folds = pd.Series("train", index=frame.index).mask(home % 3 == 0, "valid")
    folds = folds.mask(last, "test")
    table = pd.DataFrame({"code": ["01", "02", *CODES], "title": ""})
    table["parent"] = ["", "", "01", "01", "02"]
    return Dataset(frame, "d", [], Classification.from_frame(table), folds)


def evaluated(data: Dataset, *, worse: float = 0.0, seed: int = 5) -> Evaluation:
    """Return both arms' units; in the test part `ml` is wrong more often."""
    rng = np.random.default_rng(seed)
    judged = np.flatnonzero(data.folds.isin(["valid", "test"]))
    n, arms = len(judged), []
    truth = data.frame["code"].to_numpy(dtype=object)[judged]
    fold = data.folds.to_numpy()[judged]
    for name, level in (("trad", 0.7), ("ml", 0.85)):
        confidence = np.clip(level + rng.uniform(-0.15, 0.15, n), 0.01, 0.99)
        fall = np.where((fold == "test") & (name == "ml"), worse, 0)
        right = rng.uniform(size=n) < confidence - fall
        wrong = np.array([CODES[(CODES.index(c) + 1) % 3] for c in truth], dtype=object)
        arms.append(
            pd.DataFrame(
                {
                    "run_id": "r",
                    "period": data.frame["period"].to_numpy()[judged],
                    "method": name,
                    "fold": fold,
                    "replicate": 0,
                    "unit": judged.astype(str),
                    "position": judged,
                    "stratum": "",
                    "cluster": data.frame["home"].to_numpy()[judged],
                    "variable": "code",
                    "prediction": np.where(right, truth, wrong),
                    "confidence": confidence if name == "ml" else np.nan,
                    "candidates": [[] for _ in range(n)],
                    "scores": [[] for _ in range(n)],
                    "depth": "",
                    "routed": None,
                    "truth": truth,
                    "truth_source": "code",
                    "weight": data.frame["weight"].to_numpy()[judged],
                    "fraction": 0.0,
                    "status": "coded",
                    "route": "",
                    "seen": False,
                }
            )
        )
    return evaluation_of(pd.concat(arms, ignore_index=True))


ALL = ("last_accepted", "same_period_last_year", "training")


def test_a_changed_column_is_found_against_every_reference_and_no_other_is():
    data = dataset_of(diaries(change=True))
    found = drift_of(pilot_of(ALL), data, evaluated(data))
    assert found.absent == {}
    alarms = set(zip(found.alarms["column"], found.alarms["reference"], strict=True))
    assert alarms == {("shop", name) for name in ALL}
    assert found.alarming_pairs == 3
    states = found.by_column()
    assert set(states.index) == {
        "amount", "what_length", "what_words", "what_known", "code", "shop",
        "code by ml", "code by trad",
    }  # fmt: skip
    assert found.periods_per_year == 12


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_alarm_where_nothing_changed(seed):
    data = dataset_of(diaries(seed=seed))
    found = drift_of(pilot_of(ALL), data, evaluated(data, seed=seed))
    # One run in twenty may: these seeds are such that none does.
    assert found.alarms.empty


def test_weights_and_clusters_count():
    data = dataset_of(diaries(change=True))
    shop = drift_of(pilot_of(ALL), data, evaluated(data)).verdicts
    shop = shop[(shop["column"] == "shop") & (shop["test"] == "distribution")]
    assert (shop["n_eff"] < 0.99 * shop["n"]).all()


def test_a_reference_that_is_not_there_is_said():
    frame = diaries()
    data = dataset_of(frame[frame["period"] != "2025-04"].reset_index(drop=True))
    found = drift_of(pilot_of(ALL), data, evaluated(data))
    assert set(found.absent) == {"same_period_last_year"}
    assert "2025-04" in found.absent["same_period_last_year"]
    assert "2025-04" in found.sentence()
    row = found.table().iloc[-1]
    assert row["state"] == "not measured"
    assert row["reference"] == "same_period_last_year"
    assert "2025-04" in row["note"]


def test_units_that_take_no_part_are_in_no_reference():
    data = dataset_of(diaries())
    before = data.frame["period"] == PERIODS[-2]
    folds = data.folds.mask(before & (data.frame.index % 2 == 0), "left_out")
    data = Dataset(data.frame, "d", [], data.classification, folds)
    found = drift_of(pilot_of(), data, evaluated(data)).verdicts
    row = found[(found["column"] == "amount") & (found["reference"] == "last_accepted")]
    assert (row["n_reference"].iloc[0], row["n"].iloc[0]) == (300, 600)


def test_without_periods_training_is_compared_and_the_rest_is_said():
    data = dataset_of(diaries(change=True))
    found = drift_of(pilot_of(ALL, period=None), data, evaluated(data))
    assert set(found.absent) == {"last_accepted", "same_period_last_year"}
    assert "no reference period" in found.sentence()
    assert set(found.alarms["column"]) == {"shop"}
    assert found.periods_per_year == 1


def test_without_a_valid_part_codes_are_said_not_to_be_compared():
    data = dataset_of(diaries())
    folds = data.folds.replace("valid", "train")
    data = Dataset(data.frame, "d", [], data.classification, folds)
    evaluation = evaluated(data)
    found = drift_of(pilot_of(), data, evaluation)
    assert "held out" in found.absent[HELD_OUT]
    assert not found.verdicts["column"].str.startswith("code by").any()
    rows = drift_rows(pilot_of(), data, evaluation, found)
    concept = next(
        r for r in rows if r["indicator"] == "concept_drift" and r["method"] == "ml"
    )
    assert concept["status"] == "not_measured"
    assert "held out" in concept["note"]


def test_drifted_codes_of_the_candidate_are_found():
    data = dataset_of(diaries())
    evaluation = evaluated(data)
    units = evaluation.units
    changed = (units["fold"] == "test") & (units["method"] == "ml")
    odd = changed & (units["position"] % 2 == 0)
    units = units.assign(prediction=units["prediction"].mask(odd, "02.1"))
    moved = Evaluation(units, evaluation.estimates, evaluation.timings)
    found = drift_of(pilot_of(), data, moved)
    assert set(found.alarms["column"]) == {"code by ml"}


def test_a_panel_is_compared_in_pairs():
    frame = diaries(change=True)
    number = np.arange(len(frame)) % (len(frame) // 4)
    frame["line"] = [f"u{i:05d}" for i in number]
    data = dataset_of(frame)
    # The period before keeps all its units: none is left out.
    found = drift_of(pilot_of(ALL), data, evaluated(data)).verdicts
    method = found[(found["column"] == "shop") & (found["test"] == "distribution")]
    method = method.set_index("reference")["method"]
    assert method["last_accepted"] != method["training"]
    paired = found[found["reference"] == "last_accepted"]
    assert (paired["n"] == paired["n_reference"]).all()


def test_nothing_of_a_confidential_column_is_told():
    frame = diaries(change=True)
    last = frame["period"] == PERIODS[-1]
    frame.loc[last, "person"] = f"{CANARY} z"
    frame.loc[last, "what"] += f" {CANARY}"
    data = dataset_of(frame)
    evaluation = evaluated(data)
    found = drift_of(pilot_of(ALL), data, evaluation)
    rows = drift_rows(pilot_of(ALL), data, evaluation, found)
    told = found.table().to_csv() + found.sentence() + found.power() + str(rows)
    assert CANARY not in told
    assert "person" not in told
    assert not any(line in told for line in frame["line"].iloc[::97])
    assert "what_known" in set(found.alarms["column"])  # the words drifted all the same


def test_a_rare_category_is_not_named():
    frame = diaries()
    rare = frame.index[frame["period"] == PERIODS[-1]][:9]
    frame.loc[rare, "shop"] = "zanzibar"
    data = dataset_of(frame)
    found = drift_of(pilot_of(ALL), data, evaluated(data))
    assert "zanzibar" not in found.table().to_csv()


def test_training_texts_do_not_know_the_words_of_their_own_household():
    texts = pd.Series(["rye bread", "rye bread", "rye milk", "bread tea", "", None])
    homes = pd.Series(["a", "a", "b", "c", "c", "c"])
    train = pd.Series([True, True, True, False, False, False])
    share = known_share(texts, homes, train)
    # bread is used by household a alone, so it is new to a and known to c.
    assert share[:4].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert np.isnan(share[4:]).all()


def test_watched_columns_are_those_of_the_safe_view_that_may_be_shown():
    data = dataset_of(diaries())
    seen = watched(pilot_of(), data, evaluated(data))
    assert not {"person", "what", "line", "home", "weight", "period"} & {*seen.inputs}
    assert seen.kinds["amount"] == "number"
    assert seen.kinds["shop"] == "code"
    assert seen.outputs == ("code by ml", "code by trad")


def rows_of(worse: float) -> dict[tuple[str, str], dict]:
    data = dataset_of(diaries())
    evaluation = evaluated(data, worse=worse)
    found = drift_of(pilot_of(), data, evaluation)
    rows = drift_rows(pilot_of(), data, evaluation, found)
    return {(row["indicator"], row["method"]): row for row in rows}


def test_alarms_are_a_row_of_both_arms_with_what_would_have_been_found():
    rows = rows_of(0.0)
    one, other = rows["drift_alarms", "ml"], rows["drift_alarms", "trad"]
    assert {**one, "method": ""} == {**other, "method": ""}
    assert (one["value"], one["lower"], one["upper"]) == (0, 0, 0)
    assert "with probability 0.9" in one["note"]


def test_a_method_that_errs_more_than_at_approval_is_a_drift_of_the_concept():
    changed, same = rows_of(0.2), rows_of(0.0)
    row = changed["concept_drift", "ml"]
    assert row["value"] == pytest.approx(0.2, abs=0.08)
    assert row["lower"] > 0.05
    assert "The concept drifted" in row["note"]
    row = same["concept_drift", "ml"]
    assert row["lower"] < 0 < row["upper"]
    assert "shows no drift" in row["note"]
    assert "With probability 0.9" in row["note"]
    silent = same["concept_drift", "trad"]
    assert silent["status"] == "not_applicable"


@pytest.mark.parametrize(
    ("measure", "at_most", "worse", "result"),
    [
        ("drift_alarms", 0, 0.0, "pass"),
        ("concept_drift", 0.1, 0.0, "pass"),
        ("concept_drift", 0.1, 0.3, "fail"),
    ],
)
def test_a_gate_can_ask_for_both(measure, at_most, worse, result):
    plan = Plan({"trad": "traditional", "ml": "ml"}, "trad", "full", ["full"])
    card = as_scorecard(list(rows_of(worse).values()), plan)
    rule = GateRule(measure=measure, at_most=at_most)
    gates = judge(card, [rule], method="ml", level="full")
    assert gates["result"].tolist() == [result]

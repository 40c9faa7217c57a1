"""A method beside the baseline: what is tested, and what is refused to be."""

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.comparison import (
    candidate_coverage,
    class_table,
    compared,
    hybrid_accuracy,
    worse_classes,
)
from mlstats.quality.judged import Judged
from mlstats.quality.paired import Pairs, mcnemar, non_inferiority, score_interval
from tests.unit.test_estimate_level import ancestor, units


def arms(truth: np.ndarray, **codes: np.ndarray) -> list[Judged]:
    part = units(truth, codes)
    return [Judged.of(part, name, ancestor, "1") for name in codes]


def flipped(truth: np.ndarray, *rows: int) -> np.ndarray:
    code = truth.copy()
    code[list(rows)] = np.where(truth[list(rows)] == "a", "b", "a")
    return code


TRUTH = np.array(["a"] * 50 + ["b"] * 50, dtype=object)


def test_a_simple_random_sample_gives_the_published_forms() -> None:
    index = flipped(TRUTH, *range(8))
    model = flipped(TRUTH, 0, 1, 60)
    one, other = arms(TRUTH, model=model, index=index)
    found = {i.indicator: i.estimate for i in compared(one, other, margin=0.05)}
    # The model alone is right on 2..7, the index alone on 60.
    known = mcnemar(6, 1)
    assert found["mcnemar_p"].value == pytest.approx(known.mid_p)
    gap = found["accuracy_difference"]
    assert gap.value == pytest.approx(0.05)
    # At the effective size, here that of the sample less the loss of its df.
    lower, upper = score_interval(Pairs(6, 1, 100))
    assert gap.lower == pytest.approx(lower, abs=0.002)
    assert gap.upper == pytest.approx(upper, abs=0.002)
    p = non_inferiority(Pairs(6, 1, 100), 0.05).p_value
    assert found["non_inferiority_p"].value == pytest.approx(p, rel=0.1)
    assert found["non_inferiority_p"].note.startswith("pass")
    assert found["equivalence_p"].note.startswith("inconclusive")


def test_mcnemar_is_refused_under_clusters_and_tests_without_a_margin() -> None:
    part = units(TRUTH, {"model": TRUTH, "index": flipped(TRUTH, 3)},
                 cluster=np.arange(100) // 4)  # fmt: skip
    one, other = (Judged.of(part, name, ancestor, "1") for name in ("model", "index"))
    found = {i.indicator: i.estimate for i in compared(one, other, margin=0.0)}
    assert found["mcnemar_p"].status == "not_applicable"
    assert found["non_inferiority_p"].status == "not_measured"
    assert "margin" in found["non_inferiority_p"].note


def test_arms_never_right_apart_prove_nothing_by_it() -> None:
    one, other = arms(TRUTH, model=TRUTH, index=TRUTH.copy())
    found = {i.indicator: i.estimate for i in compared(one, other, margin=0.01)}
    assert found["accuracy_difference"].upper > 0.02
    assert found["non_inferiority_p"].note.startswith("inconclusive")


def test_a_class_that_is_worse_is_named_and_a_small_one_not_tested() -> None:
    truth = np.array(["a"] * 200 + ["b"] * 200 + ["c"] * 5, dtype=object)
    model = truth.copy()
    model[:80] = "b"
    one, other = arms(truth, model=model, index=truth.copy())
    table = class_table(one, other)
    count = worse_classes(table).estimate
    assert count.value == 1
    assert "of 1 classes tested" in count.note  # b has no variation, c no size
    assert count.note.endswith("worst: a")
    recall = table[(table["code"] == "a") & (table["measure"] == "recall")].iloc[0]
    assert recall["difference"] == pytest.approx(-0.4)
    small = table[table["code"] == "c"]
    assert set(small["status"]) == {"not_measured"}


def test_the_hybrid_is_right_where_the_arm_that_decides_is() -> None:
    model = flipped(TRUTH, 1, 3, 4)  # odd units are automatic
    index = flipped(TRUTH, 2, 5, 7)  # even ones are the index's
    one, other = arms(TRUTH, model=model, index=index)
    row = hybrid_accuracy(one, other, "index")
    assert row["value"] == pytest.approx(0.97)
    assert row["difference"] == pytest.approx(0.0)
    assert row["versus"] == "index"


def listed(n: int, rank: np.ndarray, fold: str) -> pd.DataFrame:
    """Units whose truth stands at a rank among five candidates, 5: not there."""
    names = np.array(list("bcdef"), dtype=object)
    rows = []
    for place in rank:
        row = names.copy()
        if place < 5:
            row[place] = "a"
        rows.append(list(row))
    truth = np.full(n, "a", dtype=object)
    first = np.array([row[0] for row in rows], dtype=object)
    return units(truth, {"model": first}, fold=fold).assign(candidates=rows)


def test_the_list_is_as_long_as_the_valid_part_says_and_judged_on_the_test() -> None:
    rng = np.random.default_rng(2)
    odds = [0.6, 0.2, 0.12, 0.05, 0.02, 0.01]
    parts = [
        listed(2000, rng.choice(6, 2000, p=odds), fold) for fold in ("valid", "test")
    ]
    found, table = candidate_coverage(
        pd.concat(parts, ignore_index=True), "model", ancestor, "1", alpha=0.1
    )
    told = {i.indicator: i.estimate for i in found}
    assert told["conformal_size"].value == 3
    assert told["conformal_coverage"].value == pytest.approx(0.92, abs=0.02)
    assert "list of 3; pass" in told["conformal_coverage"].note
    assert told["candidates_hold_truth"].value == pytest.approx(0.99, abs=0.01)
    assert set(table["of"]) == {"class", "shop"}


def test_candidates_that_cannot_keep_the_promise_say_so() -> None:
    rank = np.repeat([0, 5], [800, 200])
    parts = [listed(1000, rank, fold) for fold in ("valid", "test")]
    found, _ = candidate_coverage(
        pd.concat(parts, ignore_index=True), "model", ancestor, "1", alpha=0.1
    )
    told = {i.indicator: i.estimate for i in found}
    assert told["conformal_coverage"].status == "not_measured"
    assert "do not reach 90%" in told["conformal_coverage"].note


def test_what_is_decided_to_a_shallower_depth_has_no_full_code_of_its_own() -> None:
    truth = np.array(["a1"] * 60 + ["b1"] * 40, dtype=object)
    index, model = truth.copy(), truth.copy()
    index[:10], model[10:20] = "a2", "a2"

    def whole(codes: np.ndarray, level: str) -> np.ndarray:
        return codes if level == "full" else ancestor(codes, level)

    part = units(truth, {"model": model, "index": index})
    own = part["method"] == "model"
    part.loc[own, "route"] = "automatic"
    part.loc[own, "depth"] = "1"
    part["routed"] = part["routed"].astype(object)
    part.loc[own, "routed"] = [code[:1] for code in model]
    full = [Judged.of(part, name, whole, "full") for name in ("model", "index")]
    # Nothing is decided to the full code: all of it is the index's.
    assert hybrid_accuracy(*full, "index")["value"] == pytest.approx(0.9)
    at = [Judged.of(part, name, whole, "1") for name in ("model", "index")]
    assert at[0].decided.tolist() == [code[:1] for code in truth]
    assert hybrid_accuracy(*at, "index")["value"] == pytest.approx(1.0)

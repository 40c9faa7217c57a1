"""What is counted of a table, and what its design makes of the variance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import MlstatsError
from mlstats.quality.drift import Reference, Summary, drift
from mlstats.quality.drift_reference import code_positions
from mlstats.quality.drift_samples import Sample, design_traces, needs_variance

FRAME = pd.DataFrame(
    {
        "x": [0.0, 0.0, 1.0, 2.0, np.nan, np.inf],
        "code": ["02", "01", " 02", None, "", "01"],
        "w": [1.0, 2.0, 0.0, 1.0, 3.0, 1.0],
        "cluster": ["a", "a", "b", "b", None, None],
    }
)


def test_codes_are_trimmed_words_and_blank_is_missing() -> None:
    found = code_positions(FRAME["code"], 10)
    assert found is not None
    position, labels = found
    assert labels.tolist() == ["01", "02"]
    assert position.tolist() == [1, 0, 1, -1, -1, 0]
    assert code_positions(FRAME["code"], 1) is None


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_codes_of_any_dtype_count_the_same(dtype: str) -> None:
    reference = Reference.learn(FRAME[["code"]])
    counts = Summary.of(FRAME.astype({"code": dtype}), reference).columns["code"]
    assert counts.labels.tolist() == ["01", "02"]
    assert counts.count.tolist() == [2, 2, 2]


def test_whole_numbers_may_be_codes() -> None:
    frame = pd.DataFrame({"shop": [1, 2, 2, 1], "open": [True, False, True, True]})
    reference = Reference.learn(frame, kinds={"shop": "code"})
    assert reference.codes == ("shop", "open")
    summary = Summary.of(frame, reference)
    assert summary.columns["shop"].labels.tolist() == ["1", "2"]
    assert summary.columns["open"].labels.tolist() == ["False", "True"]


def test_numbers_are_counted_up_to_each_edge() -> None:
    reference = Reference.learn(FRAME[["x"]], bins=4)
    edges = reference.edges["x"]
    # 0 is the least value and fills more than one bin: it gets a bin of its own.
    assert edges.tolist() == [-5e-324, 0.0, 1.0, 2.0]
    counts = Summary.of(FRAME, reference).columns["x"]
    assert counts.count.tolist() == [0, 2, 1, 1, 0, 2]
    assert counts.infinite == 1
    below = FRAME.assign(x=-1.0)
    assert Summary.of(below, reference).columns["x"].count.tolist() == [6, *5 * [0]]


def test_words_in_a_column_of_numbers_are_missing() -> None:
    reference = Reference.learn(FRAME[["x"]])
    spoilt = FRAME.assign(x=["0", "1", "confidential", "2", None, "1"])
    counts = Summary.of(spoilt, reference).columns["x"]
    assert counts.count[-1] == 2


def test_rows_of_weight_zero_are_no_units() -> None:
    reference = Reference.learn(FRAME[["x", "code"]])
    summary = Summary.of(FRAME, reference, weight="w", cluster="cluster")
    assert summary.rows == 5
    assert summary.clusters == 4  # a, b and two rows on their own
    assert summary.columns["code"].count.tolist() == [2, 1, 2]
    assert summary.columns["code"].weight.tolist() == [3.0, 1.0, 4.0]


def test_moments_are_the_products_of_the_totals_of_clusters() -> None:
    reference = Reference.learn(FRAME[["code"]])
    summary = Summary.of(FRAME, reference, weight="w", cluster="cluster")
    totals = np.array([[2.0, 1, 0], [0, 0, 1], [0, 0, 3], [1, 0, 0]])
    moments = summary.columns["code"].moments
    assert moments is not None
    assert moments.toarray().tolist() == (totals.T @ totals).tolist()
    plain = Summary.of(FRAME, reference)
    assert plain.columns["code"].moments is None


def sample(summary: Summary, cells: int) -> Sample:
    counts = summary.columns["code"]
    return Sample.of(counts, summary, np.append(np.arange(cells), -1))


def generated(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"cluster": rng.integers(0, 60, n).astype(str)})
    own = rng.integers(0, 3, 60)[frame["cluster"].astype(int)]
    other = rng.integers(0, 3, n)
    frame["code"] = np.where(rng.random(n) < 0.5, own, other).astype(str)
    frame["w"] = rng.lognormal(0, 0.5, n)
    return frame


def test_variance_of_shares_is_the_linearised_one() -> None:
    frame = generated()
    reference = Reference.learn(frame[["code"]])
    summary = Summary.of(frame, reference, weight="w", cluster="cluster")
    found = sample(summary, 3)
    total = frame["w"].sum()
    for i, code in enumerate(["0", "1", "2"]):
        inside = frame["w"] * (frame["code"] == code)
        share = inside.sum() / total
        z = (inside - share * frame["w"]).groupby(frame["cluster"]).sum() / total
        g = len(z)
        assert found.share[i] == pytest.approx(share)
        assert found.variances(found.share)[i] == pytest.approx(
            g / (g - 1) * (z**2).sum()
        )
    plain = (found.share * (1 - found.share)).sum()
    assert found.n_eff == pytest.approx(plain / found.variances(found.share).sum())


def test_weights_alone_are_clusters_of_one_row() -> None:
    frame = generated()
    reference = Reference.learn(frame[["code"]])
    alone = sample(Summary.of(frame, reference, weight="w"), 3)
    rows = frame.assign(cluster=np.arange(len(frame)).astype(str))
    each = sample(Summary.of(rows, reference, weight="w", cluster="cluster"), 3)
    assert alone.covariance(alone.share) == pytest.approx(each.covariance(each.share))


def test_stated_design_effects_never_count_the_weights_twice() -> None:
    frame = generated()
    reference = Reference.learn(frame[["code"]])
    total = Summary.of(frame, reference, weight="w", deff_total=3.0)
    assert sample(total, 3).n_eff == pytest.approx(600 / 3)
    kish = frame["w"].sum() ** 2 / (frame["w"] ** 2).sum()
    own = Summary.of(frame, reference, weight="w", cluster="cluster", deff_cluster=2.0)
    assert sample(own, 3).n_eff == pytest.approx(kish / 2)
    assert not needs_variance(own)
    plain = Summary.of(frame, reference, deff_cluster=2.0)
    assert sample(plain, 3).n_eff == pytest.approx(300)


def test_traces_of_independent_rows_are_those_of_pearson() -> None:
    frame = generated()
    reference = Reference.learn(frame[["code"]])
    one = sample(Summary.of(frame, reference), 3)
    two = sample(Summary.of(frame.head(200), reference), 3)
    spread = 1 / 600 + 1 / 200
    assert design_traces(one, two, one.share) == pytest.approx(
        (2 * spread, 2 * spread**2)
    )
    # The same from the matrices themselves, weights of one.
    ones = frame.assign(w=1.0)
    one = sample(Summary.of(ones, reference, weight="w"), 3)
    two = sample(Summary.of(ones.head(200), reference, weight="w"), 3)
    found = design_traces(one, two, one.share)
    assert found == pytest.approx((2 * spread, 2 * spread**2), rel=0.05)


def test_a_change_of_the_design_is_no_drift() -> None:
    # The second period takes large firms five times as often; weights undo it.
    rng = np.random.default_rng(2)

    def period(rate: float) -> pd.DataFrame:
        large = rng.random(40_000) < 0.2
        drawn = rng.random(40_000) < np.where(large, rate, 0.1)
        x = rng.normal(size=40_000) + large
        code = np.where(rng.random(40_000) < 0.3 + 0.4 * large, "a", "b")
        weight = 1 / np.where(large, rate, 0.1)
        frame = pd.DataFrame({"x": x, "code": code, "w": weight})
        return frame[drawn].reset_index(drop=True)

    before, now = period(0.1), period(0.5)
    reference = Reference.learn(before[["x", "code"]])
    plain = drift(Summary.of(now, reference), {"last": Summary.of(before, reference)})
    assert set(plain.by_column()) == {"drift"}
    weighted = drift(
        Summary.of(now, reference, weight="w"),
        {"last": Summary.of(before, reference, weight="w")},
    )
    assert set(weighted.by_column()) == {"no drift"}
    tested = weighted.verdicts[weighted.verdicts["test"] != "missing"]
    assert (tested["n_eff"] < tested["n"]).all()


def test_summaries_of_another_kind_are_not_merged() -> None:
    reference = Reference.learn(FRAME[["x"]])
    one = Summary.of(FRAME, reference)
    for other, message in [
        (Summary.of(FRAME, reference, weight="w"), "weighted"),
        (Summary.of(FRAME, reference, versions={"x": "1"}), "versions"),
        (Summary.of(FRAME, Reference.learn(FRAME[["x"]].head(3))), "references"),
    ]:
        with pytest.raises(MlstatsError, match=message):
            one.merge(other)


def test_parts_with_too_many_codes_together() -> None:
    frame = pd.DataFrame({"code": [f"{i}" for i in range(12)]})
    reference = Reference.learn(frame, max_codes=8)
    parts = [Summary.of(frame[a : a + 6], reference) for a in (0, 6)]
    assert not any(part.columns["code"].fault for part in parts)
    assert "more than 8" in Summary.of_parts(parts).columns["code"].fault
    assert "more than 8" in Summary.of(frame, reference).columns["code"].fault


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ({"weight": "weigth"}, "no column 'weigth'"),
        ({"cluster": "psu"}, "no column 'psu'"),
        ({"deff_total": 2.0, "deff_cluster": 2.0}, "Both deff_total and"),
        ({"deff_total": 0.0}, "not a positive number"),
    ],
)
def test_designs_that_cannot_be(design: dict[str, object], message: str) -> None:
    reference = Reference.learn(FRAME[["x"]])
    with pytest.raises(MlstatsError, match=message):
        Summary.of(FRAME, reference, **design)  # type: ignore[arg-type]


def test_kinds_of_columns_that_are_not_there() -> None:
    with pytest.raises(MlstatsError, match="no column 'cod'"):
        Reference.learn(FRAME, kinds={"cod": "code"})

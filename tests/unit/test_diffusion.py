"""The diffusion index: values, paired errors, and what a correction promises."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.diffusion import IndexArms, index_indicators, index_table
from mlstats.quality.index_section import index_section
from mlstats.quality.report import render_html, tables
from tests.full_report_example import full_report

SCORES = {"1": 0.0, "2": 25.0, "3": 50.0, "4": 75.0, "5": 100.0}
CODES = np.array([*SCORES], dtype=object)
# A method that prefers the middle, as one does that is not sure.
MATRIX = np.array(
    [
        [0.50, 0.20, 0.30, 0.00, 0.00],
        [0.05, 0.55, 0.35, 0.05, 0.00],
        [0.00, 0.05, 0.90, 0.05, 0.00],
        [0.00, 0.02, 0.28, 0.65, 0.05],
        [0.00, 0.00, 0.20, 0.30, 0.50],
    ]
)
MIXES = {
    "2026-01": np.array([0.02, 0.08, 0.40, 0.30, 0.20]),
    "2026-02": np.array([0.20, 0.35, 0.30, 0.10, 0.05]),
}


def full(codes: np.ndarray, level: str) -> np.ndarray:
    return codes


def drawn(rng: np.random.Generator, n: int, fold: str) -> pd.DataFrame:
    """Return units of both months under an exact index and a model."""
    parts = []
    for month, mix in MIXES.items():
        truth = rng.choice(5, n, p=mix)
        said = (rng.random((n, 1)) > MATRIX.cumsum(axis=1)[truth]).sum(axis=1)
        weight = rng.uniform(0.5, 2, n)
        for method, code in (("index", np.full(n, 2)), ("linear", said)):
            parts.append(
                pd.DataFrame(
                    {
                        "method": method, "fold": fold, "period": month,
                        "stratum": "", "cluster": [f"{month} {i}" for i in range(n)],
                        "weight": weight, "fraction": 0.0, "truth": CODES[truth],
                        "prediction": CODES[code], "route": "queue",
                        "depth": "", "routed": np.full(n, None),
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def table_of(test: pd.DataFrame, valid: pd.DataFrame, **more) -> pd.DataFrame:
    arms = IndexArms.of(
        test, valid, full, "full", {"index": "traditional", "linear": "ml"}, SCORES,
        baseline="index", candidate="linear",
    )  # fmt: skip
    return index_table(arms, "diffusion", **more).set_index(["period", "arm"])


def example(n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(6)
    return drawn(rng, n, "test"), drawn(rng, n, "valid")


def test_the_index_is_the_weighted_mean_of_the_scores() -> None:
    test, valid = example()
    found = table_of(test, valid)
    part = test[(test["method"] == "linear") & (test["period"] == "2026-02")]
    for arm, column in (("truth", "truth"), ("linear", "prediction")):
        wanted = np.average(part[column].map(SCORES), weights=part["weight"])
        assert found.loc[("2026-02", arm), "value"] == pytest.approx(wanted)
    row = found.loc[("2026-02", "linear")]
    apart = part["prediction"].map(SCORES) - part["truth"].map(SCORES)
    assert row["difference"] == pytest.approx(np.average(apart, weights=part["weight"]))
    # The paired error is that of the weighted mean of the unit differences.
    share = (part["weight"] / part["weight"].sum()).to_numpy()
    residual = share * (apart - row["difference"]).to_numpy()
    wanted = np.sqrt(400 / 399 * (residual**2).sum())
    assert row["difference_se"] == pytest.approx(wanted, rel=0.002)
    assert row["difference_lower"] < row["difference"] < row["difference_upper"]


def test_the_corrected_arm_solves_the_weighted_matrix() -> None:
    test, valid = example()
    found = table_of(test, valid)
    audit = valid[valid["method"] == "linear"]
    matrix = audit.pivot_table(
        index="truth", columns="prediction", values="weight", aggfunc="sum"
    ).fillna(0.0)
    p = matrix.div(matrix.sum(axis=1), axis=0).to_numpy()
    part = test[(test["method"] == "linear") & (test["period"] == "2026-01")]
    share = part.groupby("prediction")["weight"].sum() / part["weight"].sum()
    wanted = np.linalg.solve(p.T, share.to_numpy()) @ [*SCORES.values()]
    row = found.loc[("2026-01", "linear, corrected (misclassification)")]
    assert row["value"] == pytest.approx(wanted)
    assert row["se"] > found.loc[("2026-01", "linear"), "se"]
    mean = matrix.div(matrix.sum(axis=0), axis=1).to_numpy().T @ [*SCORES.values()]
    row = found.loc[("2026-01", "linear, corrected (calibration)")]
    assert row["value"] == pytest.approx(share.to_numpy() @ mean)


def test_a_method_that_knows_one_code_cannot_be_inverted() -> None:
    found = table_of(*example())
    row = found.loc[("2026-01", "index, corrected (misclassification)")]
    assert row["status"] == "not_measured"
    assert "singular" in row["note"]
    row = found.loc[("2026-01", "index, corrected (calibration)")]
    assert row["status"] == "measured"


def test_units_without_a_code_do_not_count_and_are_said() -> None:
    test, valid = example()
    linear = valid["method"] == "linear"
    valid.loc[linear & (np.arange(len(valid)) % 7 == 0), "prediction"] = None
    test.loc[(test["method"] == "linear") & (test.index % 5 == 0), "prediction"] = None
    found = table_of(test, valid)
    assert found.loc[("", "linear"), "n"] == 640
    assert found.loc[("", "truth"), "n"] == 800
    row = found.loc[("", "linear, corrected (misclassification)")]
    assert row["note"] == "some audited units are not coded: the matrix is not square"
    row = found.loc[("", "linear, corrected (calibration)")]
    assert (row["status"], row["n"]) == ("measured", 800)


def test_no_audit_corrects_nothing_and_small_periods_are_kept_back() -> None:
    test, valid = example(8)
    found = table_of(test, valid[:0], min_cell=10)
    row = found.loc[("", "linear, corrected (calibration)")]
    assert row["note"] == "there is no valid part for an audit"
    assert found.loc[("2026-01", "linear"), "note"] == "fewer than 10 units"
    assert found.loc[("2026-01", "linear"), "n"] == 0
    assert found.loc[("", "linear"), "status"] == "measured"


def test_the_hybrid_takes_the_model_where_it_is_sure() -> None:
    test, valid = example()
    sure = (test["method"] == "linear") & (test.index % 2 == 0)
    test.loc[sure, ["route", "depth"]] = ["automatic", "full"]
    test["routed"] = test["prediction"].where(sure, None)
    found = table_of(test, valid).loc["2026-01"]
    assert found.loc["linear, rest index", "kind"] == "hybrid"
    low, high = sorted([found.loc["index", "value"], found.loc["linear", "value"]])
    assert low <= found.loc["linear, rest index", "value"] <= high


def test_each_method_has_its_difference_in_the_scorecard() -> None:
    table = table_of(*example()).reset_index()
    found = dict(index_indicators(table))
    assert set(found) == {"index", "linear"}
    told = found["linear"].estimate
    row = table[(table["period"] == "") & (table["arm"] == "linear")].iloc[0]
    assert told.value == row["difference"]
    assert told.lower == row["difference_lower"]
    assert "largest of 2 periods" in told.note


def test_the_report_shows_the_index_by_period() -> None:
    table = table_of(*example()).reset_index()
    report = full_report()
    names = {"index": report.baseline, "linear": report.candidate}
    for old, new in names.items():
        table["arm"] = table["arm"].str.replace(f"^{old}", new, regex=True)
    shown = index_section(full_report(index=table))
    assert [name for name, _ in shown["rows"]] == ["all periods", *MIXES]
    assert shown["headings"][:3] == ["truth", report.baseline, report.candidate]
    truth, gap = shown["rows"][1][1][0]
    assert gap is None
    first = table[(table["period"] == "2026-01") & (table["arm"] == "truth")]
    assert truth.text == f"{first['value'].iloc[0]:.1f}"
    page = render_html(full_report(index=table))
    assert "The diffusion index" in page
    assert 'id="index"' not in render_html(report)
    assert len(tables(full_report(index=table))["Index"]) == len(table)
    assert index_section(report) == {}


@pytest.mark.slow
def test_the_raw_index_is_biased_and_the_corrected_one_covers() -> None:
    rng = np.random.default_rng(8)
    samples = 250
    scores = np.array([*SCORES.values()])
    true = {month: float(mix @ scores) for month, mix in MIXES.items()}
    arms = ["truth", "linear", "linear, corrected (misclassification)",
            "linear, corrected (calibration)"]  # fmt: skip
    found = {(m, a): np.empty((samples, 3)) for m in true for a in arms}
    for i in range(samples):
        table = table_of(drawn(rng, 250, "test"), drawn(rng, 300, "valid"))
        for key, rows in found.items():
            rows[i] = table.loc[key, ["value", "lower", "upper"]].to_numpy(dtype=float)
    cover = {
        (m, a): ((rows[:, 1] <= true[m]) & (true[m] <= rows[:, 2])).mean()
        for (m, a), rows in found.items()
    }
    for month, wanted in true.items():
        for arm in ("truth", "linear, corrected (misclassification)"):
            value = found[month, arm][:, 0]
            assert abs(value.mean() - wanted) < 4 * value.std() / np.sqrt(samples)
            assert cover[month, arm] >= 0.935, (month, arm, cover[month, arm])
        assert abs(found[month, "linear"][:, 0].mean() - wanted) > 1.5
        assert cover[month, "linear"] < 0.8
        # The mix of both months together is not that of either.
        assert cover[month, arms[3]] < 0.9

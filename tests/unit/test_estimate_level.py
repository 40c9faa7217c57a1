"""The effect on the published shares: golden small case, simulated promises."""

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.bias import squared_bias_difference
from mlstats.quality.estimate_level import (
    AGGREGATES,
    ShareArms,
    corrected_rows,
    share_indicators,
    share_table,
)
from mlstats.quality.judged import Judged

KINDS = {"index": "traditional", "model": "ml"}


def ancestor(codes: np.ndarray, level: str) -> np.ndarray:
    return np.array([None if c is None else c[:1] for c in codes], dtype=object)


def units(
    truth: np.ndarray,
    codes: dict[str, np.ndarray],
    *,
    fold: str = "test",
    cluster: np.ndarray | None = None,
) -> pd.DataFrame:
    n = len(truth)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "method": name,
                    "fold": fold,
                    "stratum": "",
                    "cluster": np.arange(n) if cluster is None else cluster,
                    "weight": 1.0,
                    "fraction": 0.0,
                    "truth": truth,
                    "prediction": code,
                    "route": np.where(np.arange(n) % 2, "automatic", "queue"),
                    "depth": np.where(np.arange(n) % 2, "full", ""),
                    "routed": np.where(np.arange(n) % 2, code, np.array(None)),
                    "domain_shop": np.where(np.arange(n) < n // 2, "kiosk", "market"),
                }
            )
            for name, code in codes.items()
        ],
        ignore_index=True,
    )


def drawn(
    rng: np.random.Generator,
    n: int,
    error: float,
    shares: tuple[float, ...] = (0.6, 0.4),
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and a code that turns the first class into the second by error."""
    truth = rng.choice(["a", "b"], n, p=shares).astype(object)
    wrong = (truth == "a") & (rng.random(n) < error)
    return truth, np.where(wrong, "b", truth).astype(object)


def test_shares_differences_and_gaps_are_those_of_the_counts() -> None:
    truth = np.array(["a1"] * 60 + ["b1"] * 40, dtype=object)
    index, model = truth.copy(), truth.copy()
    index[:20], model[:5] = "b2", "b1"
    index[60:62] = None
    shares = ShareArms.of(
        units(truth, {"index": index, "model": model}),
        ancestor, "1", KINDS, baseline="index",
    )  # fmt: skip
    table = share_table(shares, min_cell=1)
    assert tuple(table.columns) == AGGREGATES
    at = table.set_index(["domain", "arm", "variable"])
    assert at.loc[("", "truth", "a"), "value"] == pytest.approx(0.60)
    assert at.loc[("", "index", "b"), "value"] == pytest.approx(0.58)
    assert at.loc[("", "index", "b"), "difference"] == pytest.approx(0.18)
    assert at.loc[("", "model", "a"), "gap"] == pytest.approx(0.15)
    # Odd units are the model's own, even ones the index's: 2 and 10 of class a lost.
    assert at.loc[("", "model, rest index", "a"), "value"] == pytest.approx(0.48)
    # 5 of 100 pairs differ by one: the error of a mean of zeros and ones.
    spread = np.std(np.repeat([1.0, 0.0], [5, 95]), ddof=1) / 10
    assert at.loc[("", "model", "b"), "difference_se"] == pytest.approx(spread)
    kiosk = at.loc[("shop: kiosk", "model", "a"), "value"]
    assert kiosk == pytest.approx(45 / 50)


def test_small_cells_are_not_told() -> None:
    truth = np.array(["a1"] * 195 + ["b1"] * 5, dtype=object)
    shares = ShareArms.of(
        units(truth, {"index": truth, "model": truth}),
        ancestor, "1", KINDS, baseline="index",
    )  # fmt: skip
    table = share_table(shares, min_cell=10)
    small = table[table["variable"] == "b"]
    assert set(small["status"]) == {"not_measured"}
    assert small["value"].isna().all()
    assert small["difference"].isna().all()


def test_a_biased_arm_has_the_larger_mse_and_says_which_class() -> None:
    rng = np.random.default_rng(5)
    truth, index = drawn(rng, 2000, 0.20)
    lost = float(np.mean(truth == "a") - np.mean(index == "a")) * 100
    model = np.where(rng.random(2000) < 0.02, "b", truth).astype(object)
    shares = ShareArms.of(
        units(truth, {"index": index, "model": model}),
        ancestor, "1", KINDS, baseline="index",
    )  # fmt: skip
    rows = pd.DataFrame([*share_indicators(shares)])
    at = rows.set_index(["indicator", "method"])
    mse = at.loc[("share_mse", "model")]
    assert mse["difference_upper"] < 0
    # The same points are lost by one class and won by the other.
    assert at.loc[("share_mse", "index"), "value"] == pytest.approx(
        2 * lost**2, rel=0.02
    )
    assert "class" in at.loc[("bias_ratio", "index"), "note"]
    assert at.loc[("bias_ratio", "index"), "lower"] > 5


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (0.02, 0.0), (0.1, 0.12)])
def test_interval_of_the_difference_of_squared_biases_covers(first, second) -> None:
    """2,000 seeded audits of 500 units, three classes: unbiased, coverage >= .935."""
    rng = np.random.default_rng(11)
    n, runs = 500, 2000
    covered, values = 0, []
    expected = _lean(first) ** 2 * 2 - _lean(second) ** 2 * 2
    for _ in range(runs):
        noise = rng.random((n, 2)) < 0.05
        sides = rng.choice([-1.0, 1.0], (n, 2))
        lean = (rng.random((n, 2)) < np.array([first, second])).astype(float)
        moved = np.clip(noise * sides + lean, -1, 1)
        scores = np.stack([moved[:, 0], -moved[:, 0], moved[:, 1], -moved[:, 1]], 1)
        bias = scores.mean(axis=0).reshape(2, 2)
        covariance = np.cov(scores.T) / n
        found = squared_bias_difference(bias, covariance, n - 1)
        values.append(found.value)
        covered += found.lower <= expected <= found.upper
    assert np.mean(values) == pytest.approx(
        expected, abs=4 * np.std(values) / np.sqrt(runs)
    )
    assert covered / runs >= 0.935


def _lean(p: float) -> float:
    """Mean of clip(noise + lean): what is +1 already cannot rise."""
    return p * (1 - 0.025)


@pytest.mark.slow
@pytest.mark.parametrize("current", [True, False])
def test_corrected_shares_cover_the_truth_of_the_test_part(current) -> None:
    """1,000 seeded audits of 400 for tests of 600: the mean difference is zero."""
    rng = np.random.default_rng(3)
    covered, apart, runs = 0, [], 1000
    for _ in range(runs):
        valid_shares = (0.6, 0.4) if current else (0.45, 0.55)
        audit_truth, audit_code = drawn(rng, 400, 0.15, valid_shares)
        truth, code = drawn(rng, 600, 0.15)
        shares = ShareArms.of(
            units(truth, {"index": code, "model": code}),
            ancestor, "1", KINDS, baseline="index",
        )  # fmt: skip
        audit = Judged.of(
            units(audit_truth, {"model": audit_code}, fold="valid"),
            "model", ancestor, "1",
        )  # fmt: skip
        row = corrected_rows(shares, audit, "model", current=current).iloc[0]
        apart.append(row["difference"])
        covered += row["difference_lower"] <= 0 <= row["difference_upper"]
    assert abs(np.mean(apart)) <= 4 * np.std(apart) / np.sqrt(runs)
    assert covered / runs >= 0.935
    # Nothing was clipped or wide beyond use: counting alone is 9 points off.
    assert np.std(apart) < 0.04


def test_uncoded_units_are_a_class_of_the_audit_and_no_published_class() -> None:
    truth = np.array(["a"] * 50 + ["b"] * 50, dtype=object)
    code = truth.copy()
    code[:10] = None
    part = units(truth, {"index": truth, "model": code})
    shares = ShareArms.of(part, ancestor, "1", KINDS, baseline="index")
    audit = Judged.of(part, "model", ancestor, "1")
    rows = corrected_rows(shares, audit, "model", current=True)
    assert list(rows["variable"]) == ["a", "b"]
    assert rows["value"].to_numpy() == pytest.approx([0.5, 0.5])

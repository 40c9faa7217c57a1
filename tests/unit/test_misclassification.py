"""Corrected shares: by the formulas of two classes, by bootstrap, by simulation."""

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import MlstatsError
from mlstats.quality.accuracy import bootstrap_weights
from mlstats.quality.design import Design
from mlstats.quality.misclassification import ESTIMATORS, Audit, corrected_shares
from mlstats.quality.misclassification_errors import two_class_errors

CODES = np.array(["0", "1"], dtype=object)


def audit_of(table: np.ndarray, classes: list[str] | None = None) -> Audit:
    """An unweighted audit with these numbers of units by truth and prediction."""
    names = np.array(classes or [str(i) for i in range(len(table))], dtype=object)
    i, j = np.indices(table.shape)
    truth = np.repeat(names[i.ravel()], table.ravel())
    prediction = np.repeat(names[j.ravel()], table.ravel())
    return Audit.of(Design.of(np.ones(len(truth))), truth, prediction, list(names))


def of_one(table: pd.DataFrame, estimator: str, name: str = "1") -> pd.Series:
    rows = table[(table["estimator"] == estimator) & (table["class"] == name)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_two_classes_by_their_formulas() -> None:
    table = corrected_shares(
        audit_of(np.array([[300, 100], [30, 170]])), np.array([0.55, 0.45])
    )
    p00, p11, a = 300 / 400, 170 / 200, 0.45
    wanted = {
        "classify_and_count": a,
        "subtracted_bias": a * (3 - p00 - p11) - (1 - p00),
        "misclassification": (a + p00 - 1) / (p00 + p11 - 1),
        "calibration": a * 170 / 270 + (1 - a) * 30 / 330,
    }
    for estimator, value in wanted.items():
        assert of_one(table, estimator)["value"] == pytest.approx(value)
        both = table[table["estimator"] == estimator]["value"]
        assert both.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("share", "p00", "p11"), [(0.5, 0.6, 0.7), (0.98, 0.94, 0.97), (0.2, 0.9, 0.8)]
)
def test_matrix_forms_carry_the_errors_of_two_classes(
    share: float, p00: float, p11: float
) -> None:
    """An audit in the very proportions, so large that 1 / n**2 is no more."""
    n = 10_000_000
    cells = [[(1 - share) * p00, (1 - share) * (1 - p00)],
             [share * (1 - p11), share * p11]]  # fmt: skip
    counts = (np.array(cells) * 10_000).round().astype(int)
    i, j = np.indices((2, 2))
    truth, prediction = CODES[i.ravel()], CODES[j.ravel()]
    # A weight per cell stands for its units; clusters of the variance are made by hand.
    repeats = counts.ravel()
    truth, prediction = np.repeat(truth, repeats), np.repeat(prediction, repeats)
    audit = Audit.of(Design.of(np.ones(10_000)), truth, prediction, ["0", "1"])
    predicted = counts.sum(axis=0) / counts.sum()
    table = corrected_shares(audit, predicted)
    errors = two_class_errors(share, p00, p11, n).set_index("estimator")
    for estimator in ("subtracted_bias", "misclassification", "calibration"):
        found, wanted = of_one(table, estimator), errors.loc[estimator]
        assert found["se"] ** 2 * 10_000 / n == pytest.approx(
            wanted["variance"], rel=2e-3
        )
    bias = of_one(table, "subtracted_bias")["bias"]
    assert bias == pytest.approx(errors.loc["subtracted_bias", "bias"], abs=1e-6)
    bias = of_one(table, "classify_and_count")["bias"]
    assert bias == pytest.approx(errors.loc["classify_and_count", "bias"], abs=1e-6)
    bias = of_one(table, "misclassification")["bias"] * 10_000 / n
    assert bias == pytest.approx(errors.loc["misclassification", "bias"], rel=1e-3)


def three_classes(seed: int = 1) -> tuple[Audit, np.ndarray]:
    rng = np.random.default_rng(seed)
    shares = np.array([0.5, 0.3, 0.2])
    p = np.array([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0.2, 0.1, 0.7]])
    names = np.array(["a", "b", "c"], dtype=object)
    true = rng.choice(3, 600, p=shares)
    predicted = np.array([rng.choice(3, p=p[i]) for i in true])
    weight = rng.gamma(5, 1, 600)
    design = Design.of(weight, cluster=np.arange(600) // 2)
    audit = Audit.of(design, names[true], names[predicted], list(names))
    return audit, shares @ p


def test_errors_and_biases_of_three_classes_by_bootstrap() -> None:
    audit, a_star = three_classes()
    table = corrected_shares(audit, a_star)
    k = len(audit.classes)
    cell = audit.true * k + audit.predicted

    def all_of(weight: np.ndarray) -> np.ndarray:
        counts = np.bincount(cell, weight, minlength=k * k).reshape(k, k)
        p = counts / counts.sum(axis=1, keepdims=True)
        c = counts / counts.sum(axis=0)
        calibrated = c @ a_star
        apart = np.eye(k) - p.T
        return np.array(
            [
                a_star - calibrated,  # bias of counting
                2 * a_star - p.T @ a_star,
                -apart @ apart @ calibrated,  # bias of subtracting
                np.linalg.solve(p.T, a_star),
                calibrated,
            ]
        )

    design = audit.design
    replicates = np.array(
        [
            all_of(design.weight * factor[design.cluster])
            for block in bootstrap_weights(design.stratum, 2000, 3)
            for factor in block
        ]
    )
    errors = replicates.std(axis=0, ddof=1)
    for i, name in enumerate(audit.classes):
        found = {e: of_one(table, e, name) for e in ESTIMATORS}
        seen = [
            found["classify_and_count"]["bias_se"],
            found["subtracted_bias"]["se"],
            found["subtracted_bias"]["bias_se"],
            found["misclassification"]["se"],
            found["calibration"]["se"],
        ]
        assert seen == pytest.approx(errors[:, i].tolist(), rel=0.08)
        value = all_of(design.weight)
        assert found["subtracted_bias"]["bias"] == pytest.approx(value[2, i])
        assert found["misclassification"]["value"] == pytest.approx(value[3, i])


def test_mean_squared_error_takes_the_variance_of_the_bias_off() -> None:
    audit, a_star = three_classes()
    row = of_one(corrected_shares(audit, a_star), "classify_and_count", "a")
    assert row["mse"] == pytest.approx(row["bias"] ** 2 - row["bias_se"] ** 2)
    assert np.isnan(row["lower"])
    assert "no interval" in row["note"]


def test_an_audit_stratified_by_prediction_needs_its_weights() -> None:
    """An unweighted matrix shows .03 too little for a true share of .20."""
    counts = np.array([[760, 40], [60, 140]])  # of 1,000 units of the population
    names = [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    truth, prediction, weight = [], [], []
    drawn = {"0": 100 / 820, "1": 100 / 180}  # the same number from each prediction
    for (t, p), count in zip(names, counts.ravel(), strict=True):
        size = round(count * drawn[p])
        truth += [t] * size
        prediction += [p] * size
        weight += [count / size] * size
    arrays = np.array(truth, dtype=object), np.array(prediction, dtype=object)
    predicted = np.array([0.82, 0.18])
    weighted = Design.of(np.array(weight), stratum=arrays[1])
    table = corrected_shares(Audit.of(weighted, *arrays, ["0", "1"]), predicted)
    for estimator in ("misclassification", "calibration"):
        assert of_one(table, estimator)["value"] == pytest.approx(0.2)
    plain = Design.of(np.ones(len(truth)), stratum=arrays[1])
    wrong = corrected_shares(Audit.of(plain, *arrays, ["0", "1"]), predicted)
    assert of_one(wrong, "misclassification")["value"] < 0.17


def test_predictions_that_tell_nothing_are_singular() -> None:
    table = corrected_shares(
        audit_of(np.array([[30, 20], [60, 40]])), np.array([0.6, 0.4])
    )
    row = of_one(table, "misclassification")
    assert row["status"] == "not_measured"
    assert "singular" in row["note"]
    assert np.isnan(row["value"])
    assert of_one(table, "calibration")["status"] == "measured"


def test_a_share_outside_0_to_1_is_told_and_not_clipped() -> None:
    table = corrected_shares(
        audit_of(np.array([[80, 20], [10, 40]])), np.array([0.95, 0.05])
    )
    row = of_one(table, "misclassification")
    assert row["value"] == pytest.approx((0.05 - 0.2) / 0.6)
    assert "outside 0 to 1, not clipped" in row["note"]


def test_classes_that_the_audit_lacks_are_counted() -> None:
    table = corrected_shares(
        audit_of(np.array([[40, 10, 0], [5, 45, 0], [0, 0, 0]])),
        np.array([0.4, 0.5, 0.1]),
    )
    assert (
        "1 class has no audited unit among the predicted ones"
        in (of_one(table, "calibration")["note"])
    )
    assert "among the true ones" in of_one(table, "misclassification")["note"]
    assert of_one(table, "subtracted_bias")["status"] == "not_measured"
    counted = of_one(table, "classify_and_count")
    assert counted["value"] == 0.5
    assert "its bias is not known" in counted["note"]


def test_a_class_that_occurs_nowhere_is_zero_for_all() -> None:
    table = corrected_shares(
        audit_of(np.array([[40, 10, 0], [5, 45, 0], [0, 0, 0]])),
        np.array([0.45, 0.55, 0.0]),
    )
    for estimator in ESTIMATORS:
        assert of_one(table, estimator, "2")["value"] == pytest.approx(0, abs=1e-12)
        assert of_one(table, estimator, "0")["status"] == "measured"


def test_an_older_audit_serves_the_misclassification_estimator_only() -> None:
    audit = audit_of(np.array([[300, 100], [30, 170]]))
    table = corrected_shares(audit, np.array([0.5, 0.5]), current=False)
    assert of_one(table, "calibration")["status"] == "not_measured"
    moved = of_one(table, "misclassification")
    assert moved["value"] == pytest.approx((0.5 - 0.25) / 0.6)
    counted = of_one(table, "classify_and_count")
    assert counted["bias"] == pytest.approx(0.5 - moved["value"])
    assert counted["bias_se"] == pytest.approx(moved["se"])


def test_sampled_predictions_add_their_variance() -> None:
    audit = audit_of(np.array([[300, 100], [30, 170]]))
    a_star = np.array([0.55, 0.45])
    covariance = (np.diag(a_star) - np.outer(a_star, a_star)) / 5000
    known = corrected_shares(audit, a_star)
    sampled = corrected_shares(audit, a_star, shares_covariance=covariance)
    slope = 1 / (0.75 + 0.85 - 1)
    added = slope**2 * 0.45 * 0.55 / 5000
    before, after = (of_one(t, "misclassification")["se"] for t in (known, sampled))
    assert after**2 - before**2 == pytest.approx(added)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([0.5, 0.6], "add up to 1.100000"),
        ([-0.1, 1.1], "negative"),
        ([1.0], "1 predicted shares for 2 classes"),
    ],
)
def test_predicted_shares_that_are_none(shares: list[float], said: str) -> None:
    audit = audit_of(np.array([[3, 1], [1, 3]]))
    table = corrected_shares(audit, np.array(shares))
    assert (table["status"] == "not_measured").all()
    assert table["note"].str.contains(said).all()


def test_a_code_outside_the_classes_is_refused_without_naming_it() -> None:
    codes = np.array(["0", "secret"], dtype=object)
    with pytest.raises(MlstatsError, match="1 audited units") as caught:
        Audit.of(Design.of(np.ones(2)), codes, np.array(["0", "0"]), ["0", "1"])
    assert "secret" not in str(caught.value)


def test_formulas_of_two_classes_at_their_borders() -> None:
    table = two_class_errors(0.3, 0.4, 0.6, 100).set_index("estimator")
    assert table.loc["misclassification", "status"] == "not_applicable"
    assert "singular" in table.loc["misclassification", "note"]
    perfect = two_class_errors(0.3, 1.0, 1.0, 100).set_index("estimator")
    assert (perfect.drop("audited")[["bias", "variance"]] == 0).all().all()
    counted = two_class_errors(0.3, 0.9, 0.8, 100, population=1000)
    spread = 0.3 * 0.16 + 0.7 * 0.09
    assert counted["variance"][1] == pytest.approx(spread / 1000)
    with pytest.raises(MlstatsError):
        two_class_errors(0.0, 0.9, 0.8, 100)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1000, 20_000])
@pytest.mark.parametrize(
    ("share", "p00", "p11"), [(0.5, 0.6, 0.7), (0.98, 0.94, 0.97), (0.2, 0.9, 0.8)]
)
def test_formulas_of_two_classes_by_monte_carlo(
    share: float, p00: float, p11: float, n: int
) -> None:
    """100,000 audits of a population without end."""
    rng = np.random.default_rng(20200101)
    cells = [(1 - share) * p00, (1 - share) * (1 - p00), share * (1 - p11), share * p11]
    n00, n01, n10, n11 = rng.multinomial(n, cells, size=100_000).T.astype(float)
    s00, s11 = n00 / (n00 + n01), n11 / (n10 + n11)
    a = cells[1] + cells[3]
    found = {
        "audited": (n10 + n11) / n,
        "subtracted_bias": a * (3 - s00 - s11) - (1 - s00),
        "misclassification": (a + s00 - 1) / (s00 + s11 - 1),
        "calibration": a * n11 / (n01 + n11) + (1 - a) * n10 / (n00 + n10),
    }
    errors = two_class_errors(share, p00, p11, n).set_index("estimator")
    for estimator, values in found.items():
        wanted = errors.loc[estimator]
        spread = values.std() / np.sqrt(len(values))
        assert values.mean() - share == pytest.approx(wanted["bias"], abs=4 * spread)
        # The inverse drops an order of 1 / n**2 that .6 and .7 feel at 1,000 units.
        near = 0.05 if estimator == "misclassification" and n == 1000 else 0.025
        assert values.var() == pytest.approx(wanted["variance"], rel=near)


@pytest.mark.slow
def test_intervals_cover_under_an_audit_stratified_by_prediction() -> None:
    """2,000 audits, 150 units of each predicted code of a population of 20,000."""
    rng = np.random.default_rng(12)
    shares = np.array([0.6, 0.3, 0.1])
    p = np.array([[0.85, 0.1, 0.05], [0.1, 0.85, 0.05], [0.1, 0.1, 0.8]])
    true = rng.choice(3, 20_000, p=shares)
    predicted = np.array([rng.choice(3, p=p[i]) for i in true])
    names = np.array(["a", "b", "c"], dtype=object)
    truth = np.bincount(true, minlength=3) / len(true)
    a_star = np.bincount(predicted, minlength=3) / len(true)
    members = [np.flatnonzero(predicted == j) for j in range(3)]
    fraction = {name: 150 / len(m) for name, m in zip(names, members, strict=True)}
    weight = np.repeat([len(m) / 150 for m in members], 150)
    held = {"misclassification": 0, "calibration": 0}
    for _ in range(2000):
        drawn = np.concatenate([rng.choice(m, 150, replace=False) for m in members])
        codes = names[predicted[drawn]]
        design = Design.of(weight, stratum=codes, fraction=fraction)
        audit = Audit.of(design, names[true[drawn]], codes, list(names))
        table = corrected_shares(audit, a_star)
        for estimator in held:
            rows = table[table["estimator"] == estimator]
            inside = (rows["lower"] <= truth) & (truth <= rows["upper"])
            held[estimator] += int(inside.sum())
    for estimator, count in held.items():
        assert 0.935 <= count / 6000 <= 0.97, (estimator, count / 6000)

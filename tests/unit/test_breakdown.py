"""Accuracy by class and domain: values, errors and what is not told."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from mlstats.quality.breakdown import (
    accuracy_by_class,
    accuracy_by_domain,
    macro_f1_linearised,
)
from mlstats.quality.design import Design


def example(n: int = 400, seed: int = 2) -> tuple[Design, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.array(["0111", "0112", "0911"], dtype=object)
    truth = rng.choice(codes, n, p=[0.5, 0.4, 0.1])
    prediction = np.where(rng.random(n) < 0.7, truth, rng.choice(codes, n))
    design = Design.of(
        rng.gamma(4, 1, n),
        stratum=np.where(np.arange(n) < n / 2, "x", "y"),
        cluster=np.arange(n) // 8,
    )
    return design, truth, prediction


def test_values_are_scikit_learns() -> None:
    design, truth, prediction = example()
    table = accuracy_by_class(design, truth, prediction)
    codes = ["0111", "0112", "0911"]
    wanted = precision_recall_fscore_support(
        truth.astype(str), prediction.astype(str), labels=codes,
        sample_weight=design.weight,
    )  # fmt: skip
    for measure, values in zip(("precision", "recall", "f1"), wanted, strict=False):
        found = table[table["measure"] == measure].set_index("code")["value"]
        assert found[codes].to_numpy() == pytest.approx(values)


def test_errors_are_those_of_single_ratios() -> None:
    design, truth, prediction = example()
    table = accuracy_by_class(design, truth, prediction).set_index(["code", "measure"])
    hit = (truth == "0911") & (prediction == "0911")
    whole = (truth == "0911").astype(float) + (prediction == "0911")
    single = design.ratio(2.0 * hit, whole)
    found = table.loc[("0911", "f1")]
    assert found["se"] == pytest.approx(single.se, rel=1e-10)
    assert (found["df"], found["n"]) == (single.df, single.n)


def test_error_of_macro_f1_is_the_jackknifes() -> None:
    """Deleting one cluster at a time is an independent way to the same variance."""
    design, truth, prediction = example()
    found = macro_f1_linearised(design, truth, prediction)

    def value(weight: np.ndarray) -> float:
        return float(
            f1_score(
                truth.astype(str), prediction.astype(str), average="macro",
                sample_weight=weight,
            )
        )  # fmt: skip

    variance = 0.0
    for h in np.unique(design.stratum):
        members = np.flatnonzero(design.stratum == h)
        size = len(members)
        factor = np.where(design.stratum == h, size / (size - 1), 1.0)
        replicates = []
        for deleted in members:
            kept = factor.copy()
            kept[deleted] = 0
            replicates.append(value(design.weight * kept[design.cluster]))
        variance += (size - 1) * np.var(replicates)
    assert found.value == pytest.approx(value(design.weight))
    assert found.se == pytest.approx(np.sqrt(variance), rel=0.05)


def test_uncoded_units_are_nobodys_prediction() -> None:
    design = Design.of(np.ones(4))
    truth = np.array(["a", "a", "b", "b"], dtype=object)
    prediction = np.array(["a", None, "b", "a"], dtype=object)
    table = accuracy_by_class(design, truth, prediction).set_index(["code", "measure"])
    assert table.loc[("a", "precision"), "n"] == 2
    assert table.loc[("a", "recall"), "value"] == 0.5


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    design = Design.of(np.ones(4))
    truth = np.array(["a", "a", "b", "b"], dtype=object)
    prediction = np.array(["a", "a", "a", "a"], dtype=object)
    table = accuracy_by_class(design, truth, prediction).set_index(["code", "measure"])
    assert table.loc[("b", "precision"), "status"] == "not_applicable"
    assert table.loc[("b", "recall"), "value"] == 0
    # Clopper-Pearson, 0 of 2.
    assert table.loc[("b", "recall"), "upper"] == pytest.approx(1 - 0.025 ** (1 / 2))


def test_small_cells_are_not_told() -> None:
    design, truth, prediction = example(60)
    table = accuracy_by_class(design, truth, prediction, min_cell=20)
    small = table[(table["code"] == "0911")]
    assert (small["status"] == "not_measured").all()
    assert small["value"].isna().all()
    assert (small["n"] == 0).all()
    assert not table[table["code"] == "0111"]["value"].isna().any()


def test_a_cell_of_the_least_size_is_told() -> None:
    design, truth, prediction = example(60)
    n = int((truth == "0911").sum())
    for min_cell, status in ((n, "measured"), (n + 1, "not_measured")):
        table = accuracy_by_class(design, truth, prediction, min_cell=min_cell)
        table = table.set_index(["code", "measure"])
        assert table.loc[("0911", "recall"), "status"] == status


def test_a_class_without_weight_is_no_class_of_the_mean() -> None:
    design, truth, prediction = example()
    gone = (truth == "0911") | (prediction == "0911")
    zeroed = Design.of(np.where(gone, 0.0, design.weight), cluster=design.cluster)
    found = macro_f1_linearised(zeroed, truth, prediction)
    wanted = f1_score(
        truth.astype(str), prediction.astype(str), average="macro",
        labels=["0111", "0112"], sample_weight=zeroed.weight,
    )  # fmt: skip
    assert found.value == pytest.approx(wanted)
    rest = Design.of(design.weight[~gone], cluster=design.cluster[~gone])
    alone = macro_f1_linearised(rest, truth[~gone], prediction[~gone])
    assert found.se == pytest.approx(alone.se, rel=0.05)


def test_the_classes_of_macro_f1_are_those_that_occur_as_truth() -> None:
    design, truth, prediction = example()
    strange = prediction.copy()
    strange[:20] = "0999"
    found = macro_f1_linearised(design, truth, strange)
    wanted = f1_score(
        truth.astype(str), strange.astype(str), average="macro",
        labels=["0111", "0112", "0911"], sample_weight=design.weight,
    )  # fmt: skip
    assert found.value == pytest.approx(wanted)
    none = np.array([None] * 400, dtype=object)
    nobody = macro_f1_linearised(design, none, prediction)
    assert (nobody.status, nobody.note) == ("not_measured", "no unit has a true code")


def test_domains_and_units_in_none() -> None:
    design, truth, prediction = example()
    domain = np.where(np.arange(400) % 3 == 0, "north", "south").astype(object)
    domain[:10] = None
    table = accuracy_by_domain(design, truth == prediction, domain)
    assert list(table["domain"]) == ["north", "south"]
    assert table["n"].sum() == 390
    assert table["interval"].unique().tolist() == ["Korn-Graubard"]


def test_unusable_weights_leave_every_row_not_measured() -> None:
    _, truth, prediction = example(8)
    design = Design.of(np.zeros(8))
    table = accuracy_by_class(design, truth, prediction)
    assert (table["status"] == "not_measured").all()
    assert macro_f1_linearised(design, truth, prediction).status == "not_measured"
    domains = accuracy_by_domain(design, truth == prediction, truth)
    assert (domains["status"] == "not_measured").all()


def test_no_units_give_an_empty_table_with_its_columns() -> None:
    none = np.array([], dtype=object)
    table = accuracy_by_class(Design.of(np.array([])), none, none)
    assert isinstance(table, pd.DataFrame)
    assert {"code", "measure", "value", "status"} <= set(table.columns)

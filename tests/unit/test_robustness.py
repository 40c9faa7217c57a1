from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import ConfigError
from mlstats.quality.design import Design
from mlstats.quality.robustness import (
    PERTURBATIONS,
    new_units,
    perturb,
    perturbed_accuracy,
    without_field,
)

X = pd.DataFrame(
    {
        "text": ["whole milk", "rye bread", "", None, "tea", "whole milk"],
        "shop": ["a", "b", "a", "b", "a", "b"],
        "price": [1.0, 2, 3, 4, 5, 6],
    }
)


def distance(one: str, two: str) -> int:
    """Return Damerau's distance: letters put in, taken out, replaced or swapped."""
    rows = np.zeros((len(one) + 1, len(two) + 1), dtype=int)
    rows[:, 0], rows[0, :] = range(len(one) + 1), range(len(two) + 1)
    for i in range(1, len(one) + 1):
        for j in range(1, len(two) + 1):
            cost = int(one[i - 1] != two[j - 1])
            rows[i, j] = min(
                rows[i - 1, j] + 1, rows[i, j - 1] + 1, rows[i - 1, j - 1] + cost
            )
            swap = i > 1 and j > 1 and one[i - 2 : i] == two[j - 2 : j][::-1]
            if swap:
                rows[i, j] = min(rows[i, j], rows[i - 2, j - 2] + 1)
    return int(rows[-1, -1])


def test_typing_error_is_one_letter() -> None:
    words = pd.DataFrame({"text": [f"skimmed milk {i}" for i in range(300)]})
    changed = perturb(words, "typing_errors", seed=1)["text"]
    apart = [distance(a, b) for a, b in zip(words["text"], changed, strict=True)]
    assert set(apart) <= {0, 1}
    assert np.mean(apart) > 0.9  # a letter may be replaced or swapped by itself
    lengths = changed.str.len() - words["text"].str.len()
    assert set(lengths) == {-1, 0, 1}


def test_perturbation_of_a_text_depends_on_nothing_but_text_and_seed() -> None:
    whole = perturb(X, "typing_errors", seed=4)["text"]
    part = perturb(X.iloc[[5]], "typing_errors", seed=4)["text"]
    assert whole.iloc[0] == whole.iloc[5] == part.iloc[0]
    other = [perturb(X, "typing_errors", seed=s)["text"].iloc[0] for s in range(8)]
    assert len(set(other)) > 3


@pytest.mark.parametrize("kind", list(PERTURBATIONS))
def test_missing_stays_missing_and_the_input_unchanged(kind: str) -> None:
    before = X.copy()
    changed = perturb(X, kind)
    pd.testing.assert_frame_equal(X, before)
    assert changed["text"].isna().tolist() == [False] * 3 + [True] + [False] * 2
    assert changed["text"].iloc[2] == ""
    assert changed["text"].dtype == X["text"].dtype
    pd.testing.assert_frame_equal(changed.drop(columns="text"), X.drop(columns="text"))


def test_capitals_and_truncation() -> None:
    assert perturb(X, "capitals")["text"].iloc[0] == "WHOLE MILK"
    assert perturb(X, "truncation")["text"].tolist()[:2] == ["whole", "rye b"]


def test_field_left_empty() -> None:
    assert (without_field(X, "shop")["shop"] == "").all()
    assert without_field(X, "price")["price"].isna().all()
    flags = X.assign(flag=pd.Series([True, False] * 3, dtype=object))
    assert without_field(flags, "flag")["flag"].isna().all()
    kinds = X.assign(shop=X["shop"].astype("category"))
    assert without_field(kinds, "shop")["shop"].isna().all()
    assert (without_field(X.astype({"shop": object}), "shop")["shop"] == "").all()


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda: perturb(X, "typing_error"), "typing_errors"),
        (lambda: perturb(X, "capitals", columns=["txt"]), "text"),
        (lambda: without_field(X, "prices"), "price"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(call: object, near: str) -> None:
    with pytest.raises(ConfigError) as error:
        call()  # type: ignore[operator]
    assert error.value.nearest == near


def predict(frame: pd.DataFrame) -> np.ndarray:
    """Know whole words only, and the shop where there is no word."""
    known = frame["text"].map({"milk": "m", "bread": "b"})
    return known.fillna(frame["shop"].map({"M": "m"})).to_numpy(dtype=object)


def test_change_is_paired_with_clean_input() -> None:
    n = 200
    frame = pd.DataFrame(
        {"text": ["milk", "bread"] * (n // 2), "shop": ["M", "B"] * (n // 2)}
    )
    truth = np.array(["m", "b"] * (n // 2), dtype=object)
    truth[:20] = "other"  # wrong whatever the input: no part of any change
    design = Design.of(np.ones(n))
    found = {
        i.indicator: i.estimate
        for i in perturbed_accuracy(
            predict, frame, truth, design, fields=["text", "shop"]
        )
    }
    assert found["accuracy_capitals"].value == pytest.approx(0.45)  # by the shop
    assert found["change_capitals"].value == pytest.approx(-0.45)
    assert found["change_capitals"].upper < -0.3
    assert found["change_without_shop"].value == 0
    assert not found["change_without_shop"].has_error  # nothing varies: no claim
    assert found["change_without_text"].value == pytest.approx(-0.45)
    assert found["accuracy_truncation"].interval == "Korn-Graubard"
    assert set(found) == {
        f"{part}_{kind}"
        for part in ("accuracy", "change")
        for kind in (*PERTURBATIONS, "without_text", "without_shop")
    }


def test_new_units_against_known_ones() -> None:
    rng = np.random.default_rng(3)
    seen = rng.uniform(size=500) < 0.5
    right = rng.uniform(size=500) < np.where(seen, 0.9, 0.5)
    accuracy, change = new_units(right, seen, Design.of(np.ones(500)))
    assert accuracy.estimate.value == pytest.approx(right[~seen].mean())
    gap = right[~seen].mean() - right[seen].mean()
    assert change.estimate.value == pytest.approx(gap)
    parts = [right[mask].var(ddof=0) / mask.sum() for mask in (seen, ~seen)]
    assert change.estimate.se == pytest.approx(np.sqrt(sum(parts)), rel=0.005)


def test_no_new_unit_is_said() -> None:
    all_seen = np.ones(5, dtype=bool)
    accuracy, change = new_units(all_seen, all_seen, Design.of(np.ones(5)))
    assert accuracy.estimate.status == "not_applicable"
    assert change.estimate.status == "not_applicable"

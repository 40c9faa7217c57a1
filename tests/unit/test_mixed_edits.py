"""Edits of every kind after imputation, against trying out all values."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute import (
    EditConsistent,
    EditSet,
    HotDeck,
    LinearEdits,
    Variable,
    linear_part,
    review,
)
from mlstats.editimpute.adjust import adjust
from mlstats.editimpute.compiled import compile_edits, encode
from mlstats.editimpute.joint_donors import near_donors
from mlstats.editimpute.treatment import checked_mask, treatment
from mlstats.errors import ConfigError

WHOLE = {name: Variable(least=0, most=5, integer=True) for name in "abc"}
KINDS = {"s": Variable(values=("x", "y", "z")), "t": Variable(values=("u", "v"))}
POOL = [
    "a + b == c",
    "a <= b",
    "a + b + c <= 9",
    "2 * a >= c",
    'if s == "x" then a >= 2',
    'if s == "y" then b < c',
    't == "u" -> s in {"x", "z"}',
    'not (t == "v" and s == "z")',
    "if a > 2 then b <= 1 or c >= 4",
    'if c > 3 then t == "v"',
    'a == 0 or s != "y"',
]


class Fixed:
    """Imputes what it was given."""

    def __init__(self, values):
        self.values = values

    def treat(self, frame, mask, seed, structural=None):
        full = checked_mask(frame, mask, structural=structural)
        return treatment(frame, frame.where(~full, self.values), full, method="fixed")


@pytest.mark.parametrize("seed", range(12))
def test_a_record_passes_after_treatment_exactly_where_some_values_do(seed):
    rng = np.random.default_rng(seed)
    edits = EditSet.from_texts(list(rng.choice(POOL, 5, replace=False)), WHOLE | KINDS)
    choices = [*[range(6)] * 3, "xyz", "uv"]
    every = pd.DataFrame(list(itertools.product(*choices)), columns=list("abcst"))
    every = every.astype(dict.fromkeys("abc", float) | dict.fromkeys("st", object))
    passes = review(every, edits).by_record == 0
    frame = every.sample(25, random_state=seed).reset_index(drop=True)
    imputed = every.sample(25, random_state=seed + 99).reset_index(drop=True)
    imputed["a"] += 0.4
    mask = pd.DataFrame(rng.random(frame.shape) < 0.4, columns=list(frame))
    found = EditConsistent(Fixed(imputed), edits).treat(frame, mask, seed)
    mended = review(found.values, edits).by_record == 0
    for i in range(len(frame)):
        kept = [name for name in frame if not mask.loc[i, name]]
        fits = (every[kept] == frame.loc[i, kept]).all(axis=1).to_numpy()
        assert mended[i] == (fits & passes).any(), (i, frame.loc[i].tolist())
        assert found.values.loc[i, kept].tolist() == frame.loc[i, kept].tolist()
    failing = int((~mended).sum())
    assert len(found.reasons) == failing
    assert (found.reasons != "").all()
    assert bool(len(found.edits)) == bool(failing)
    # Never outside its own bounds, even where the record cannot be mended.
    imputed_cells = found.values[list("abc")][mask[list("abc")]]
    assert ((imputed_cells >= 0) & (imputed_cells <= 5) | imputed_cells.isna()).all(
        axis=None
    )


def test_the_linear_part_of_a_set_is_adjusted_as_arrays_are():
    rng = np.random.default_rng(1)
    edits = EditSet.from_texts(
        ["a + b == c", "c <= 3 * a + 5"], {n: Variable(least=0) for n in "abc"}
    )
    frame = pd.DataFrame(rng.exponential(10, (200, 3)), columns=list("abc"))
    mask = pd.DataFrame(rng.random((200, 3)) < 0.7, columns=list("abc"))
    found = EditConsistent(Fixed(frame), edits).treat(frame, mask, 1)
    linear = linear_part(edits)
    expected = adjust(frame[list(linear.variables)].to_numpy(), mask.to_numpy(), linear)
    good = expected.status != "not_adjusted"
    np.testing.assert_allclose(
        found.values[list(linear.variables)].to_numpy()[good], expected.values[good]
    )
    assert set(np.flatnonzero(~good)) == set(found.reasons.index)


def test_the_nearest_alternative_is_taken_and_the_one_that_holds_is_kept():
    edits = EditSet.from_texts(["if a > 10 then b >= 100", "b >= 0"])
    frame = pd.DataFrame({"a": [12.0, 80.0, 5.0], "b": [20.0, 90.0, 3.0]})
    mask = pd.DataFrame(True, index=frame.index, columns=["a", "b"])
    found = EditConsistent(Fixed(frame), edits, weights="unit").treat(frame, mask, 1)
    np.testing.assert_allclose(
        found.values.to_numpy(), [[10.0, 20.0], [80.0, 100.0], [5.0, 3.0]], atol=1e-5
    )
    assert found.cells["method"].tolist() == [
        "fixed, adjusted",
        "fixed",
        "fixed",
        "fixed, adjusted",
        "fixed",
        "fixed",
    ]


def test_a_joint_donor_gives_all_open_cells_and_is_named():
    edits = EditSet.from_texts(
        ['if s == "x" then t == "u"', 'if s == "y" then t == "v"'],
        {"s": Variable(values=("x", "y")), "t": Variable(values=("u", "v"))},
    )
    frame = pd.DataFrame(
        {
            "s": ["x", "y", "x", "x"],
            "t": ["u", "v", "u", "v"],
            "size": [1.0, 9.0, 2.0, 3.0],
        },
        index=["p", "q", "r", "w"],
    )
    mask = pd.DataFrame(
        {"s": [False] * 3 + [True], "t": [False] * 3 + [True], "size": [False] * 4},
        index=frame.index,
    )
    found = EditConsistent(Fixed(frame), edits).treat(frame, mask, 1)
    assert found.cells["method"].tolist() == ["joint donor"] * 2
    donor = found.cells["donor"].iloc[0]
    assert found.values.loc["w", ["s", "t"]].tolist() == (
        frame.loc[donor, ["s", "t"]].tolist()
    )


def test_near_donors_are_those_of_the_least_gower_distance():
    rng = np.random.default_rng(0)
    edits = EditSet.from_texts(
        ["a >= 0", "b >= 0", 's in {"x", "y"}'],
    )
    frame = pd.DataFrame(
        {"a": rng.random(40), "b": rng.random(40), "s": rng.choice(["x", "y"], 40)}
    ).astype({"s": object})
    compiled = compile_edits(edits)
    records = encode(frame, edits, compiled)
    free = np.zeros(records.missing.shape, dtype=bool)
    free[:5, 0] = True
    donors = np.arange(5, 40)
    near = near_donors(records, free, donors, np.arange(5), tries=35, seed=1)
    given = frame.iloc[5:]
    for i in range(5):
        rank = (given["b"] < frame.loc[i, "b"]).mean()
        distance = (given["b"].rank() - 1) / 35 - rank
        distance = distance.abs() + (given["s"] != frame.loc[i, "s"])
        assert distance.loc[near[i]].is_monotonic_increasing
        assert set(near[i]) == set(donors)


def test_linear_part_chooses_columns_and_refuses_categories():
    edits = EditSet.from_texts(
        {"e": "a + b == c", "s": "a < 3", "c": "if a > 1 then b > 1", "soft": "a <= 9"},
        {"a": Variable(integer=True)},
    )
    part = linear_part(edits, ["c", "a"])
    assert part.variables == ("c", "a")
    # The balance has a third variable; a < 3 is a <= 2 for a whole number.
    assert part.names == ("s", "soft")
    np.testing.assert_array_equal(part.A, [[0, 1], [0, 1]])
    np.testing.assert_array_equal(part.b, [2, 9])
    assert linear_part(edits, ["a", "new"]).A[:, 1].tolist() == [0.0, 0.0]
    with pytest.raises(ConfigError, match="category"):
        linear_part(EditSet.from_texts(['s in {"x"}', "a > 0"]), ["a", "s"])


def test_what_holds_for_the_arrays_holds_for_the_review():
    rng = np.random.default_rng(3)
    edits = EditSet.from_texts(["a + b == c", "a <= 2 * b"])
    part = linear_part(edits)
    frame = pd.DataFrame(10.0 ** rng.uniform(0, 12, (500, 3)), columns=list("abc"))
    frame["c"] = (frame["a"] + frame["b"]) * (1 + rng.choice([0, 1e-15, 1e-13], 500))
    holds = ~part.failing(part.matrix(frame)).any(axis=1)
    passes = review(frame, edits).by_record == 0
    assert not (holds & ~passes).any()
    assert 50 < holds.sum() < 450


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_whole_numbers_are_kept_by_many_records_at_once(scale):
    rng = np.random.default_rng(4)
    names = ["t", "p", "q", "p1", "p2", "q1", "q2"]
    A = [[-1, 1, 1, 0, 0, 0, 0], [0, -1, 0, 1, 1, 0, 0], [0, 0, -1, 0, 0, 1, 1]]
    edits = LinearEdits(
        np.array(A, float), np.zeros(3), np.ones(3, bool), names
    ).with_positivity()
    x = rng.exponential(100, (2_000, 7))
    free = rng.random(x.shape) < 0.8
    x = np.where(free, x, np.rint(x / scale) * scale)
    decimals = dict.fromkeys(names, 0 if scale == 1 else 2)
    rough = adjust(x, free, edits)
    found = adjust(x, free, edits, decimals=decimals)
    good = found.status != "not_adjusted"
    assert not edits.failing(found.values[good]).any()
    moved = free & good[:, None]
    grid = found.values[moved] / scale
    np.testing.assert_allclose(grid, np.rint(grid), atol=1e-6)
    # Rounding costs a few units beside what the edits need.
    both = good & (rough.status != "not_adjusted")
    assert np.abs(found.values - rough.values)[both].max() <= 4 * scale
    # Only where whole numbers are impossible is there no answer.
    assert set(found.reason[~good]) <= set(rough.reason) | {
        "no rounded values satisfy the edits"
    }
    assert (found.status == "solver").mean() < 0.1


def test_cells_that_were_not_imputed_are_not_moved():
    class Half:
        def treat(self, frame, mask, seed, structural=None):
            full = checked_mask(frame, mask)
            done = full.to_numpy() & (np.arange(frame.shape[1]) == 0)
            return treatment(frame, frame, full, method="half", done=done)

    edits = EditSet.from_texts(["a + b == c"])
    frame = pd.DataFrame({"a": [1.0], "b": [5.0], "c": [9.0]})
    mask = pd.DataFrame({"a": [True], "b": [True], "c": [False]})
    found = EditConsistent(Half(), edits).treat(frame, mask, 1)
    assert found.values.iloc[0].tolist() == pytest.approx([4.0, 5.0, 9.0], rel=1e-9)


def test_the_consistent_hot_deck_is_repeated_by_its_seed():
    rng = np.random.default_rng(5)
    edits = EditSet.from_texts(
        ["a + b == c", 'if s == "x" then a >= 5'], {"s": Variable(values=("x", "y"))}
    )
    frame = pd.DataFrame({"a": rng.exponential(9, 90), "b": rng.exponential(9, 90)})
    frame["c"] = frame["a"] + frame["b"]
    frame["s"] = np.where(frame["a"] >= 5, "x", "y").astype(object)
    mask = pd.DataFrame(rng.random(frame.shape) < 0.3, columns=list(frame))
    holes = frame.mask(mask)
    once, again, other = (
        EditConsistent(HotDeck(), edits).treat(holes, mask, seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(once.values, again.values)
    assert not once.values.equals(other.values)
    assert once.edits.empty

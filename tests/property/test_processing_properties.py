"""Whatever the edits and the records: no row lost, edits hold, provenance is exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.editimpute.cell_provenance import apply_cells
from mlstats.editimpute.deterministic import Deterministic
from mlstats.editimpute.edit_check import conflict
from mlstats.editimpute.edits import EditSet, Variable
from mlstats.editimpute.localisation import localise
from mlstats.editimpute.processing import process
from mlstats.editimpute.status import review
from mlstats.editimpute.treatment import checked_mask, treatment

NUMBERS = ["a", "b", "c", "d"]
CATEGORIES = {"s": ["x", "y", "z"], "t": ["u", "v"]}


class Noise:
    """Fills in whatever comes to its mind."""

    def treat(self, frame, mask, seed, structural=None):
        rng = np.random.default_rng(seed)
        full = checked_mask(frame, mask, structural=structural)
        values = frame.copy()
        for name in frame.columns:
            cells = full[name].to_numpy()
            if name in CATEGORIES:
                drawn = rng.choice([*CATEGORIES[name], "other"], len(frame))
                values[name] = frame[name].where(~cells, pd.Series(drawn, frame.index))
            else:
                drawn = pd.Series(
                    np.round(rng.normal(3, 9, len(frame)), 1), frame.index
                )
                values[name] = frame[name].where(~cells, drawn)
        return treatment(frame, values, full, method="noise")


@st.composite
def linear(draw):
    names = draw(
        st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3, unique=True)
    )
    terms = [f"{draw(st.sampled_from([1, 2, -1, -3]))} * {name}" for name in names]
    operator = draw(st.sampled_from(["<=", "<=", ">=", "==", "<"]))
    return f"{' + '.join(terms)} {operator} {draw(st.integers(-6, 12))}"


@st.composite
def member(draw):
    name = draw(st.sampled_from(sorted(CATEGORIES)))
    values = draw(st.sets(st.sampled_from(CATEGORIES[name]), min_size=1, max_size=2))
    listed = ", ".join(f'"{value}"' for value in sorted(values))
    return f"{name} {draw(st.sampled_from(['in', 'not in']))} {{{listed}}}"


ATOM = st.one_of(linear(), member())
EDIT = st.one_of(
    linear(),
    member(),
    st.builds("if {} then {}".format, ATOM, ATOM),
    st.builds("{} or {}".format, ATOM, ATOM),
)
VALUE = st.one_of(st.none(), st.integers(-8, 15), st.integers(-8, 15))
RECORD = st.tuples(
    *[VALUE] * len(NUMBERS),
    *[st.sampled_from([None, *v, *v]) for v in CATEGORIES.values()],
)


def table(records):
    frame = pd.DataFrame(records, columns=[*NUMBERS, *CATEGORIES])
    frame = frame.astype(dict.fromkeys(NUMBERS, float) | dict.fromkeys("st", object))
    return frame.set_axis([f"unit {7 * i % 101}" for i in range(len(frame))])


@settings(max_examples=120, deadline=None)
@given(
    st.lists(EDIT, min_size=1, max_size=5),
    st.lists(RECORD, min_size=1, max_size=8),
    st.sets(st.sampled_from(NUMBERS), max_size=2),
    st.sets(st.sampled_from(NUMBERS + ["s"]), max_size=1),
    st.integers(0, 3),
)
def test_edits_hold_and_only_what_is_told_has_changed(
    texts, records, whole, allowed, seed
):
    variables = {n: Variable(integer=n in whole) for n in NUMBERS}
    for name in allowed:
        variables[name] = Variable(integer=name in whole, missing_allowed=True)
    for name, values in CATEGORIES.items():
        allowed_missing = name in allowed
        variables[name] = Variable(
            values=(*values, "other"), missing_allowed=allowed_missing
        )
    edits = EditSet.from_texts(texts, variables)
    frame = table(records)
    if conflict(edits):
        return
    found = process(frame, edits, Noise(), seed=seed)
    assert found.values.index.equals(frame.index)
    assert list(found.values.columns) == list(frame.columns)
    pd.testing.assert_frame_equal(apply_cells(frame, found.cells), found.values)
    told = set(zip(found.cells["unit"], found.cells["variable"], strict=True))
    differs = (frame != found.values) & ~(frame.isna() & found.values.isna())
    rows, columns = np.nonzero(differs.to_numpy())
    moved = zip(frame.index[rows], frame.columns[columns], strict=True)
    assert set(moved) <= told
    after = review(found.values, edits)
    failures = after.failures()
    hard = failures.groupby("edit").size().to_dict()
    listed = found.edits.groupby("edit")["records"].sum().to_dict()
    assert listed == hard
    assert not (found.edits["reason"] == "").any()
    # What a selection was found for can be mended, and is.
    chosen = localise(frame, edits, seed=seed)
    solved = chosen.status.isin(["pass", "solved"]).to_numpy()
    assert not solved[failures["row"].to_numpy(dtype=int)].any()


@settings(max_examples=80, deadline=None)
@given(
    st.lists(linear(), min_size=1, max_size=5),
    st.lists(RECORD, min_size=1, max_size=8),
)
def test_bounds_passed_on_find_no_other_values_than_programmes(texts, records):
    edits = EditSet.from_texts(texts)
    if conflict(edits):
        return
    frame = table(records)
    mask = frame[list(edits.numeric)].isna()
    exact = Deterministic(edits).treat(frame, mask)
    quick = Deterministic(edits, programs=False).treat(frame, mask)
    some = (quick.cells["status"] == "imputed").to_numpy()
    assert (exact.cells["status"][some] == "imputed").all()
    np.testing.assert_allclose(
        quick.cells["after"][some].astype(float),
        exact.cells["after"][some].astype(float),
        atol=1e-6,
    )

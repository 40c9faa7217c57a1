from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.editimpute.block_search import Limits
from mlstats.editimpute.blocks import Block
from mlstats.editimpute.compiled import compile_edits, encode
from mlstats.editimpute.edits import EditSet, Variable
from mlstats.editimpute.feasibility import Problem
from mlstats.editimpute.localisation import Localisation, localise
from mlstats.editimpute.localise_milp import BlockRecord, can_stay
from mlstats.editimpute.status import review

NUMBERS = ["a", "b", "c", "d"]
CATEGORIES = {"s": ["x", "y", "z"], "t": ["u", "v"]}


@st.composite
def linear(draw: st.DrawFn) -> str:
    names = draw(
        st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3, unique=True)
    )
    terms = [f"{draw(st.sampled_from([1, 2, -1, -3]))} * {name}" for name in names]
    operator = draw(st.sampled_from(["<=", "<=", ">=", "==", "<"]))
    return f"{' + '.join(terms)} {operator} {draw(st.integers(-6, 12))}"


@st.composite
def member(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(CATEGORIES)))
    values = draw(st.sets(st.sampled_from(CATEGORIES[name]), min_size=1, max_size=2))
    listed = ", ".join(f'"{value}"' for value in sorted(values))
    return f"{name} {draw(st.sampled_from(['in', 'not in']))} {{{listed}}}"


ATOM = st.one_of(linear(), member())
MIXED = st.one_of(
    linear(),
    st.builds("if {} then {}".format, ATOM, ATOM),
    st.builds("{} or {}".format, ATOM, ATOM),
    st.builds("if {} and {} then {}".format, ATOM, ATOM, ATOM),
)
VALUE = st.one_of(st.none(), st.integers(-8, 15), st.integers(-8, 15))
RECORDS = st.lists(
    st.tuples(
        *[VALUE] * len(NUMBERS),
        *[st.sampled_from([None, *v, *v]) for v in CATEGORIES.values()],
    ),
    min_size=1,
    max_size=12,
)
WEIGHTS = st.lists(st.sampled_from([1.0, 1.0, 2.0, 1.5]), min_size=6, max_size=6)


def table(records: list[tuple[object, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=[*NUMBERS, *CATEGORIES])
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    index = [f"r{i % 5}" for i in range(len(frame))]  # labels need not be unique
    return frame.set_axis(index)


def edit_set(texts: list[str], variables: dict[str, Variable]) -> EditSet | None:
    edits = EditSet.from_texts(texts, variables)
    compiled = compile_edits(edits)
    possible = Problem(
        compiled.n_numeric, compiled.clauses, compiled.domains, compiled.integer
    ).point()
    return None if possible is None else edits


def brute_force(
    frame: pd.DataFrame, edits: EditSet, weights: dict[str, float]
) -> list[float]:
    """Try all sets of variables by rising weight, each with linear programs."""
    compiled = compile_edits(edits)
    records = encode(frame, edits, compiled)
    p = len(compiled.names)
    block = Block(
        places=tuple(range(p)),
        n_numeric=compiled.n_numeric,
        clause_numbers=tuple(range(len(compiled.clauses))),
        clauses=tuple(compiled.clauses),
        supports=tuple(compiled.supports),
        integer=compiled.integer,
        domains=compiled.domains,
        n_codes={at: len(codes) + 1 for at, codes in compiled.codes.items()},
    )
    cost = [weights[name] for name in compiled.names]
    masks = sorted(range(1 << p), key=lambda m: sum(cost[j] for j in _bits(m)))
    least = []
    for i in range(len(frame)):
        missing = sum(1 << int(j) for j in np.flatnonzero(records.missing[i]))
        record = BlockRecord(records.numbers[i], records.codes[i], missing, 0)
        found = next(
            m for m in masks if m & missing == missing and can_stay(block, record, m)
        )
        least.append(sum(cost[j] for j in _bits(found)))
    return least


def _bits(mask: int) -> list[int]:
    return [j for j in range(mask.bit_length()) if mask >> j & 1]


def check(frame: pd.DataFrame, edits: EditSet, weights: list[float]) -> Localisation:
    names = [*edits.numeric, *edits.categorical]
    cost = dict(zip(names, weights, strict=False))
    found = localise(frame, edits, weights=cost)
    assert found.status.isin(["pass", "solved"]).all()
    assert found.weight.tolist() == brute_force(frame, edits, cost)
    marked = found.changes.to_numpy() @ np.array([cost[n] for n in names])
    assert np.allclose(marked, found.weight)
    assert found.changes.index.equals(frame.index)
    is_right = (review(frame, edits).status == "pass").to_numpy()
    assert (found.status.to_numpy() == "pass").tolist() == is_right.tolist()
    return found


@settings(max_examples=60)
@given(st.lists(linear(), min_size=1, max_size=6), RECORDS, WEIGHTS)
def test_linear_edits_give_the_least_weight_of_all_sets(
    texts: list[str], records: list[tuple[object, ...]], weights: list[float]
) -> None:
    edits = edit_set(texts, {})
    if edits is not None:
        found = check(table(records), edits, weights)
        assert not found.by_program.any()


@settings(max_examples=80)
@given(st.lists(MIXED, min_size=1, max_size=5), RECORDS, WEIGHTS, st.booleans())
def test_mixed_edits_give_the_least_weight_of_all_sets(
    texts: list[str],
    records: list[tuple[object, ...]],
    weights: list[float],
    closed: bool,
) -> None:
    used = {n: v for n, v in CATEGORIES.items() if any(f"{n} " in t for t in texts)}
    declared = {n: Variable(values=tuple(v)) for n, v in used.items() if closed}
    edits = edit_set(texts, declared)
    if edits is not None:
        check(table(records), edits, weights)


@settings(max_examples=40)
@given(st.lists(linear(), min_size=1, max_size=4), RECORDS, WEIGHTS)
def test_whole_numbers_give_the_least_weight_of_all_sets(
    texts: list[str], records: list[tuple[object, ...]], weights: list[float]
) -> None:
    whole = Variable(integer=True, least=-50, most=50)
    edits = edit_set(texts, {"a": whole, "b": whole})
    if edits is not None:
        check(table(records), edits, weights)


@settings(max_examples=40)
@given(st.lists(MIXED, min_size=1, max_size=5), RECORDS)
def test_program_and_shared_search_agree(
    texts: list[str], records: list[tuple[object, ...]]
) -> None:
    edits = edit_set(texts, {})
    if edits is not None:
        frame = table(records)
        shared = localise(frame, edits)
        program = localise(frame, edits, limits=Limits(most_rounds=0))
        assert shared.weight.tolist() == program.weight.tolist()
        assert (shared.status == program.status).all()


@settings(max_examples=25)
@given(st.lists(MIXED, min_size=1, max_size=4), RECORDS, st.integers(1, 7))
def test_rows_answered_together_or_apart_are_the_same(
    texts: list[str], records: list[tuple[object, ...]], size: int
) -> None:
    edits = edit_set(texts, {})
    if edits is not None:
        frame = table(records)
        whole, parts = localise(frame, edits), localise(frame, edits, block_rows=size)
        assert whole.changes.equals(parts.changes)
        pairs = itertools.pairwise([whole.status, parts.status])
        assert all(a.equals(b) for a, b in pairs)

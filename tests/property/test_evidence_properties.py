"""Canonical JSON reads back as it was, and does not know the order of keys."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.quality.evidence import canonical, digest, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=20,
)


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]
    return value


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_round_trip(value: Any) -> None:
    data = canonical(value)
    again = parse(data)
    assert again == value
    assert canonical(again) == data
    assert str(again) == str(value) or isinstance(value, dict | list)


@settings(max_examples=100, deadline=None)
@given(VALUES, st.integers(0, 99))
def test_order_of_keys_is_of_no_account(value: Any, seed: int) -> None:
    other = shuffled(value, random.Random(seed))
    assert canonical(other) == canonical(value)
    assert digest(other) == digest(value)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXTS, st.integers(), min_size=2, max_size=6))
def test_keys_stand_in_the_order_of_their_code_points(value: dict[str, int]) -> None:
    assert list(parse(canonical(value))) == sorted(value, key=lambda k: [*map(ord, k)])


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_different_values_have_different_bytes(one: Any, two: Any) -> None:
    # repr tells 1 from 1.0 and True, which == does not.
    if repr(shuffled_keys(one)) != repr(shuffled_keys(two)):
        assert canonical(one) != canonical(two)


def shuffled_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled_keys(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [shuffled_keys(item) for item in value]
    return value

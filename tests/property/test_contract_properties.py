from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlstats.config import Data
from mlstats.contract import check, safe_view

DATA = Data.model_validate(
    {
        "source": "diary.csv",
        "frequency": "M",
        "roles": {
            "unit_id": "line",
            "text": ["description"],
            "target": "code",
            "weight": "weight",
            "stratum": "region",
            "cluster": "household",
            "period": "month",
            "auxiliary": ["turnover", "shop"],
            "confidential": ["interviewer"],
        },
    }
)
FEATURES = ["description_length", "description_words", "description_known"]
BINS = {f"q{number:02d}" for number in range(1, 11)} | {"missing"}
BANDS = {"0-25%", "25-50%", "50-75%", "75-100%", "missing"}

# A frame is slow to draw and to view, the more so on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

text = st.text(max_size=12) | st.none()
name = st.sampled_from(["0111", "0112", "market", "kiosk", "", None]) | text
number = st.floats(width=64) | st.integers(-(2**60), 2**60).map(float)
cell = st.one_of(text, number, st.integers(), st.booleans())

COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "line": text,
    "description": text,
    "code": name,
    "weight": number,
    "region": name | number,
    "household": text,
    "month": st.sampled_from(["2026-07", "2026-08", "2026-Q1"]) | text,
    "turnover": number,
    "shop": name,
    "interviewer": text,
    "no role": cell,
}


@st.composite
def frames(draw: st.DrawFn, *, columns: Any = COLUMNS, max_rows: int = 10) -> Any:
    n = draw(st.integers(0, max_rows))
    repeats = draw(st.integers(1, 12))  # so that some categories are frequent
    held = {
        column: draw(st.lists(cells, min_size=n, max_size=n)) * repeats
        for column, cells in columns.items()
    }
    return pd.DataFrame(held)


def units_of(column: pd.Series) -> Counter[str]:
    """Return the units of each category, counted without pandas."""
    units: Counter[str] = Counter()
    for value in column.astype(object):
        if pd.isna(value):
            continue
        whole = isinstance(value, float) and value.is_integer()
        units[str(int(value) if whole else value).strip()] += 1
    return units


def shown(view: pd.DataFrame) -> dict[str, set[str]]:
    """Return every label that a column of a view holds or could hold."""
    return {c: {*view[c], *view[c].cat.categories} for c in view}


@patient
@given(frames(), frames())
def test_only_labels_are_in_the_safe_view(reference_frame, frame) -> None:
    reference_view, reference = safe_view(reference_frame, DATA)
    view, _ = safe_view(frame, DATA, reference=reference)
    for made, source in ((reference_view, reference_frame), (view, frame)):
        assert made.index.equals(pd.RangeIndex(len(source)))
        assert list(made) == ["code", "region", "weight", "turnover", "shop", *FEATURES]
        labels = shown(made)
        for column in ("code", "region", "shop"):
            units = units_of(reference_frame[column])
            for label in labels[column] - {"other", "missing"}:
                assert units[label] >= 10
        for column in ("weight", "turnover"):
            nothing = reference_frame[column].isna().all()
            assert labels[column] <= ({"other", "missing"} if nothing else BINS)
        for column in FEATURES[:2]:
            assert labels[column] <= BINS
        assert labels["description_known"] <= BANDS


@patient
@given(frames())
def test_no_frequent_category_is_lost(frame) -> None:
    view, _ = safe_view(frame, DATA)
    for column in ("code", "shop"):
        found = Counter(view[column])
        for label, units in units_of(frame[column]).items():
            if units >= 10 and label not in {"", "other", "missing"}:
                assert found[label] == units


@patient
@given(frames())
def test_what_is_secret_is_not_in_the_view_whatever_else_is(frame) -> None:
    rows = len(frame)
    secret = [f"SECRET{i}" for i in range(rows)]
    planted = frame.assign(
        line=secret,
        description=[f"Ms {word}" for word in secret],
        household=secret,
        interviewer="SECRET",
        turnover=[9.87654321e13] * rows,
    ).set_index("line", drop=False)
    planted["no role"] = "SECRET"
    view, reference = safe_view(planted, DATA)
    told = "".join(
        [view.to_csv(), repr(shown(view)), repr(reference), repr(view.attrs)]
    )
    assert "SECRET" not in told
    assert "9.87" not in told
    assert "987654" not in told


@patient
@given(
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=60),
    st.lists(st.floats(), max_size=20),
)
def test_bins_keep_the_order_of_numbers(reference_numbers, numbers) -> None:
    roles = {"unit_id": "line", "auxiliary": ["turnover"]}
    data = Data.model_validate({"source": "x.csv", "roles": roles})
    learnt = pd.DataFrame({"turnover": np.array(reference_numbers, dtype=float)})
    _, reference = safe_view(learnt, data)
    frame = pd.DataFrame({"turnover": np.sort(np.array(numbers, dtype=float))})
    view, _ = safe_view(frame, data, reference=reference)
    assert view["turnover"].cat.codes.is_monotonic_increasing
    missing = frame["turnover"].isna()
    assert list(view["turnover"] == "missing") == list(missing)


@patient
@given(
    st.lists(
        st.floats(-1e12, 1e12, allow_subnormal=False),
        min_size=100,
        max_size=100,
        unique=True,
    )
)
def test_a_tenth_of_distinct_numbers_lies_in_each_bin(numbers) -> None:
    roles = {"unit_id": "line", "auxiliary": ["turnover"]}
    data = Data.model_validate({"source": "x.csv", "roles": roles})
    view, _ = safe_view(pd.DataFrame({"turnover": numbers}), data)
    assert Counter(view["turnover"]) == dict.fromkeys(BINS - {"missing"}, 10)


@patient
@given(frames(), st.lists(name, max_size=4))
def test_a_check_tells_counts_and_row_numbers_that_are_there(frame, known) -> None:
    codes = {code for code in known if code}
    result = check(frame, DATA, truth="code", known_codes=codes)
    if len(frame) == 0:
        assert not result.ok
        return
    for table in (result.failures, result.warnings):
        assert list(table) == ["column", "rule", "count", "first_rows"]
        assert not table.duplicated(["column", "rule"]).any()
        assert set(table["column"]) <= set(DATA.roles.columns())
        for count, first in zip(table["count"], table["first_rows"], strict=True):
            rows = [int(row) for row in first.split(", ")]
            assert rows == sorted(set(rows))
            assert 1 <= rows[0] <= rows[-1] <= len(frame)
            assert len(rows) == min(count, 5)


@patient
@given(frames(columns={**COLUMNS, **dict.fromkeys(COLUMNS, cell)}))
def test_a_check_tells_the_same_rules_whatever_the_values_are(frame) -> None:
    """Values of any type break rules, and none of them is ever quoted."""
    result = check(frame, DATA, truth="code", known_codes={"0111"})
    for rule in [*result.failures["rule"], *result.warnings["rule"]]:
        assert re.fullmatch(r"[a-zM:, ]+", rule)


@patient
@given(frames(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_count(frame, random) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    first = check(frame, DATA, truth="code", known_codes={"0111"})
    second = check(frame.iloc[order], DATA, truth="code", known_codes={"0111"})
    columns = ["column", "rule", "count"]
    pd.testing.assert_frame_equal(first.failures[columns], second.failures[columns])
    pd.testing.assert_frame_equal(first.warnings[columns], second.warnings[columns])

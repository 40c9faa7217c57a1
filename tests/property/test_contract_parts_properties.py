"""A contract held by parts says what it says of the whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlstats.config import Data
from mlstats.contract import check
from mlstats.contract.parts import PartFindings, merged
from mlstats.contract.rules import without_value
from mlstats.seen_twice import SeenTwice, hashed

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
texts = st.sampled_from(["bread", "milk", "", " ", None])


def data_of(
    *, stratum: bool, cluster: bool, fraction: bool, tolerated: float = 0.2
) -> Data:
    roles = {
        "unit_id": "line",
        "text": ["description", "remark"],
        "weight": "weight",
        "period": "month",
    }
    roles |= {"stratum": "region"} if stratum else {}
    roles |= {"cluster": "household"} if cluster else {}
    roles |= {"fraction": "share"} if fraction else {}
    told = {
        "source": "diary.csv",
        "frequency": "M",
        "roles": roles,
        "tolerate": {"empty_text": tolerated},
    }
    return Data.model_validate(told)


@st.composite
def parted_frames(draw: st.DrawFn) -> list[pd.DataFrame]:
    """Return the parts of a frame, each of whole households."""
    parts, household = [], 0
    for _ in range(draw(st.integers(1, 4))):
        rows = []
        for _ in range(draw(st.integers(0, 3))):
            household += 1
            region = draw(st.sampled_from(["north", "south", None]))
            name = draw(st.sampled_from([f"h{household}", None]))
            rows += [
                {
                    "line": draw(st.sampled_from(["1", "2", "3", "4", "", None])),
                    "description": draw(texts),
                    "remark": draw(texts),
                    "weight": draw(st.sampled_from([0.0, 1.0, np.nan, -1.0])),
                    "month": draw(st.sampled_from(["2026-07", "2026-Q1"])),
                    "region": region,
                    "household": name,
                    "share": draw(st.sampled_from([0.1, 0.1, 0.1, 0.2, 7.0])),
                }
                for _ in range(draw(st.integers(1, 3)))
            ]
        columns = ["line", "description", "remark", "weight", "month", "region"]
        frame = pd.DataFrame(rows, columns=[*columns, "household", "share"])
        kinds = dict.fromkeys(frame.columns, object) | {"weight": float, "share": float}
        parts.append(frame.astype(kinds))
    return parts


def by_parts(parts: list[pd.DataFrame], data: Data):
    start, found = 1, []
    with tempfile.TemporaryDirectory() as folder, SeenTwice(Path(folder)) as ids:
        for part in parts:
            numbers = np.arange(start, start + len(part))
            found.append(PartFindings.of(part, data, numbers))
            there = ~without_value(part["line"])
            ids.add(hashed(part.loc[there, "line"]), numbers[there])
            start += len(part)
        return merged(found, data, ids.again().tolist())


@patient
@given(parted_frames(), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.5]))
def test_parts_say_what_the_whole_says(
    parts: list[pd.DataFrame], stratum: bool, cluster: bool, tolerated: float
) -> None:
    data = data_of(
        stratum=stratum, cluster=cluster, fraction=False, tolerated=tolerated
    )
    whole = check(pd.concat(parts, ignore_index=True), data, truth=None)
    found = by_parts(parts, data)
    for name in ("failures", "warnings"):
        one, many = getattr(whole, name), getattr(found, name)
        by = ["column", "rule"]
        pd.testing.assert_frame_equal(
            one.sort_values(by, ignore_index=True),
            many.sort_values(by, ignore_index=True),
        )
    assert (found.held, found.ok) == (whole.held, whole.ok)


@patient
@given(parted_frames(), st.booleans())
def test_fractions_are_held_over_all_parts(
    parts: list[pd.DataFrame], stratum: bool
) -> None:
    data = data_of(stratum=stratum, cluster=True, fraction=True)
    whole = check(pd.concat(parts, ignore_index=True), data, truth=None)
    found = by_parts(parts, data)
    broken = [set(zip(f["column"], f["rule"], strict=True)) for f in
              (whole.failures, found.failures)]  # fmt: skip
    assert broken[0] == broken[1]


@given(st.lists(st.sampled_from(["a", "b", "c\0d", "c", "ü", "e"])), st.integers(1, 5))
def test_what_stands_twice_is_found_in_any_blocks(values: list[str], size: int) -> None:
    column = pd.Series(values, dtype=object)
    with tempfile.TemporaryDirectory() as folder, SeenTwice(Path(folder)) as seen:
        for start in range(0, len(column), size):
            part = column.iloc[start : start + size]
            seen.add(hashed(part), np.arange(start, start + len(part)))
        found = seen.again().tolist()
        assert list(Path(folder).iterdir())
    assert found == np.flatnonzero(column.duplicated()).tolist()
    assert not Path(folder).exists()


def test_hashes_tell_a_text_from_its_beginning() -> None:
    one, two = hashed(pd.Series(["c", "c\0d"], dtype=object))
    assert (one != two).all()


def test_a_part_that_breaks_a_rule_is_told_with_its_row_of_the_whole() -> None:
    data = data_of(stratum=False, cluster=False, fraction=False)
    good = pd.DataFrame(
        {
            "line": ["1", "2"],
            "description": ["bread", "milk"],
            "remark": ["", ""],
            "weight": [1.0, 1.0],
            "month": ["2026-07", "2026-07"],
        }
    )
    bad = good.assign(line=["3", None])
    found = by_parts([good, bad], data)
    row = found.failures.set_index("column").loc["line"]
    assert (row["count"], row["first_rows"]) == (1, "4")


@pytest.mark.parametrize("rows", [0, 3])
def test_no_rows_are_told_once(rows: int) -> None:
    data = data_of(stratum=False, cluster=False, fraction=False)
    columns = ["line", "description", "remark", "weight", "month"]
    empty = pd.DataFrame(columns=columns, dtype=object)
    found = by_parts([empty] * max(rows, 1), data)
    assert found.failures["rule"].tolist() == ["there are no rows"]

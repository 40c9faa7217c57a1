"""The sample of a period: random, and the same however the period is parted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.errors import SourceError
from mlstats.watched import CLUSTER, UNIT, WEIGHT
from mlstats.watched_sample import WatchedSample, sample_key, watched_sample

KEY = sample_key(b"secret", 7)


def watched(n: int = 2000, *, first: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    sizes = rng.integers(5, 60, n).astype(float)
    sizes[: n // 4] = np.nan  # all that some parts hold
    return pd.DataFrame(
        {
            "shop_type": pd.Categorical(np.where(np.arange(n) < n // 2, "a", "b")),
            "description_length": sizes,
            "region": rng.choice(["north", "south"], n),
            UNIT: [f"line {first + k}" for k in range(n)],
            WEIGHT: rng.gamma(2.0, 1.0, n),
            CLUSTER: [f"house {k // 3}" for k in range(n)],
        }
    )


def written(frames: list[pd.DataFrame], folder: Path) -> Path:
    """Write frames as parts; return where one file would lie."""
    path = folder / "watched.parquet"
    path.with_suffix("").mkdir(parents=True)
    for k, part in enumerate(frames):
        own = part.reset_index(drop=True)
        for name in own.select_dtypes("category"):
            own[name] = own[name].cat.remove_unused_categories()
        if own["description_length"].isna().all():
            own["description_length"] = None  # a column without a value has no type
        own.to_parquet(path.with_suffix("") / f"part-{k:05d}.parquet", index=False)
    return path


def sampled(path: Path, size: int = 150, key: str = KEY) -> WatchedSample:
    found = watched_sample(path, size=size, key=key)
    assert found is not None
    return found


def same(one: pd.DataFrame, two: pd.DataFrame) -> None:
    kinds = {c: object for c in one if one[c].dtype.name == "category"}
    pd.testing.assert_frame_equal(one.astype(kinds), two.astype(kinds))


@pytest.mark.parametrize("parts", [2, 9])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("size", [1, 150, 1999, 5000])
def test_the_sample_is_that_of_one_file(
    tmp_path: Path, parts: int, shuffled: bool, size: int
) -> None:
    frame = watched()
    frame.to_parquet(tmp_path / "watched.parquet", index=False)
    rows = frame.sample(frac=1, random_state=1) if shuffled else frame
    ends = np.linspace(0, len(frame), parts + 1).astype(int)
    pieces = [rows.iloc[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    one = sampled(tmp_path / "watched.parquet", size)
    many = sampled(written(pieces, tmp_path / "many"), size)
    same(one.frame, many.frame)
    assert (one.rows, many.rows) == (2000, 2000)
    assert len(many.frame) == min(size, 2000)
    assert list(many.frame.columns) == list(frame.columns)


def test_rows_of_an_id_that_stands_often_are_told_apart(tmp_path: Path) -> None:
    frame = watched(400)
    frame[UNIT] = [f"line {k % 4}" for k in range(400)]  # a hundred rows of an id
    pieces = [part for _, part in frame.groupby(np.arange(400) % 7)]
    back = [piece.iloc[::-1] for piece in reversed(pieces)]
    one = sampled(written(pieces, tmp_path / "one"))
    two = sampled(written(back, tmp_path / "two"))
    assert len(one.frame) == 150
    assert one.frame[UNIT].nunique() == 2
    same(one.frame, two.frame)


def test_another_seed_or_secret_draws_another_sample(tmp_path: Path) -> None:
    path = written([watched()], tmp_path)
    mine = set(sampled(path).frame[UNIT])
    for key in (sample_key(b"secret", 8), sample_key(b"another", 7)):
        assert len(mine & set(sampled(path, key=key).frame[UNIT])) < 40  # of 150


def test_units_of_two_periods_are_drawn_in_both(tmp_path: Path) -> None:
    before, now = watched(), watched(first=1000)
    found = [
        set(sampled(written([part], tmp_path / name)).frame[UNIT])
        for part, name in ((before, "before"), (now, "now"))
    ]
    common = set(before[UNIT]) & set(now[UNIT])
    drawn = [one & common for one in found]
    # Each period's sample ends at its own largest hash: one holds the other.
    assert min(drawn, key=len) <= max(drawn, key=len)
    assert len(drawn[0] & drawn[1]) > 50


def test_each_row_has_the_same_chance(tmp_path: Path) -> None:
    frame = watched(300)
    path = written([frame.iloc[:200], frame.iloc[200:]], tmp_path)
    draws = 100
    count = pd.Series(0, index=frame[UNIT])
    for seed in range(draws):
        count[sampled(path, 60, sample_key(b"secret", seed)).frame[UNIT]] += 1
    chance = 60 / 300
    spread = draws * chance * (1 - chance)
    # The counts add up to a constant: 299 degrees of freedom, scaled by 300 / 299.
    distance = ((count - draws * chance) ** 2).sum() / spread * 299 / 300
    assert stats.chi2.ppf(0.001, 299) < distance < stats.chi2.ppf(0.999, 299)


@pytest.mark.soak
def test_processes_draw_the_same(tmp_path: Path) -> None:
    frame = watched()
    path = written([frame.iloc[:700], frame.iloc[700:]], tmp_path)
    two = watched_sample(path, size=150, key=KEY, workers=2)
    assert two is not None
    same(sampled(path).frame, two.frame)


def test_a_damaged_part_is_told_and_no_table_is_none(tmp_path: Path) -> None:
    path = written([watched(50), watched(50)], tmp_path)
    (path.with_suffix("") / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="A release is damaged"):
        watched_sample(path, size=10, key=KEY)
    assert watched_sample(tmp_path / "none.parquet", size=10, key=KEY) is None

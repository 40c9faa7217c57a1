"""Shares of the units of a release are those of the table in memory, however parted."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats import unit_sums
from mlstats.audit_scorecard import with_arms
from mlstats.errors import SourceError
from mlstats.quality.accuracy import proportion_interval, ratio
from mlstats.release_tables import read_file
from mlstats.unit_sums import UnitSums

KINDS = ("in the review queue", "without a code", "by the baseline as fallback")
FIGURES = ("value", "se", "df", "lower", "upper")


def units(n: int = 900, *, seed: int = 1, none: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cluster = np.sort(rng.integers(0, 150, n))
    some = rng.uniform(size=n)
    code = np.where(some < 0.1, None, rng.choice(["01.1", "02.3", "11.1"], n))
    frame = pd.DataFrame(
        {
            "unit": [f"u{k}" for k in range(n)],
            "route": rng.choice(["automatic", "queue", "audit"], n),
            "flag": np.where(some > 0.7, "fallback: time", "automatic"),
            "value": code,
            "weight": np.where(some > 0.95, 0.0, rng.gamma(2.0, 100.0, n)),
            "stratum": np.where(cluster == 7, "lone", (cluster % 3).astype(str)),
            "cluster": cluster.astype(str),
            "champion_code": code,
            "baseline_code": rng.choice(["01.1", "12.1"], n),
        }
    )
    if none:
        frame = frame.assign(route="automatic", flag="automatic", value="01.1")
    for name in ("route", "flag", "value", "champion_code", "baseline_code"):
        frame[name] = frame[name].astype("category")
    return frame


def in_files(frame: pd.DataFrame, folder: Path, parts: int) -> Path:
    """Write a table in parts of whole clusters; return where one file would lie."""
    path = folder / "units.parquet"
    path.with_suffix("").mkdir(parents=True)
    number = pd.factorize(frame["cluster"])[0] * parts // frame["cluster"].nunique()
    for k in range(parts):
        own = frame[number == k].reset_index(drop=True)
        for name in own.select_dtypes("category"):
            own[name] = own[name].cat.remove_unused_categories()
        own.to_parquet(path.with_suffix("") / f"part-{k:05d}.parquet", index=False)
    return path


def expected(frame: pd.DataFrame) -> dict[str, list[float]]:
    """Estimate the shares from the table in memory."""
    mine = (
        frame["route"] == "queue",
        frame["value"].isna(),
        frame["flag"].astype(str).str.startswith("fallback"),
    )
    keys = frame.groupby(["stratum", "cluster"], sort=True)
    whole = keys["weight"].sum()
    strata = np.array([name for name, _ in whole.index], dtype=object)
    found = {}
    for name, inside in zip(KINDS, mine, strict=True):
        held = frame["weight"] * inside.to_numpy(dtype=float)
        part = held.groupby([frame["stratum"], frame["cluster"]]).sum()
        one = ratio(part.to_numpy(), whole.to_numpy(), strata)
        weighted = int((frame["weight"] > 0).sum())
        found[name] = [one.value, one.se, one.df, *proportion_interval(one, weighted)]
    return found


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("none", [False, True])
def test_the_shares_are_those_of_the_table_in_memory(
    tmp_path: Path, parts: int, none: bool
) -> None:
    frame = units(none=none)
    rows = list(UnitSums.of_table(in_files(frame, tmp_path, parts)).rows())
    told = expected(frame)
    assert [one["indicator"] for one in rows] == list(KINDS)
    for row in rows:
        values = [row[name] for name in FIGURES]
        assert values == pytest.approx(told[row["indicator"]], rel=1e-9, abs=1e-15)
        assert row["n"] == len(frame)
        assert row["lower"] <= row["value"] < row["upper"]


def test_one_file_is_a_table_of_one_part(tmp_path: Path) -> None:
    frame = units()
    frame.to_parquet(tmp_path / "units.parquet", index=False)
    one = list(UnitSums.of_table(tmp_path / "units.parquet").rows())
    (tmp_path / "in parts").mkdir()
    many = UnitSums.of_table(in_files(frame, tmp_path / "in parts", 5)).rows()
    for row, other in zip(one, many, strict=True):
        for name in FIGURES:
            assert other[name] == pytest.approx(row[name], rel=1e-9, abs=1e-15)


def test_another_order_of_the_parts_gives_the_same(tmp_path: Path) -> None:
    frame = units()
    pieces = [UnitSums.of(part) for _, part in frame.groupby("cluster")]
    back = pieces[0]
    for piece in reversed(pieces[1:]):
        back = back.merge(piece)
    for row in back.rows():
        values = [row[name] for name in FIGURES]
        assert values == pytest.approx(
            expected(frame)[row["indicator"]], rel=1e-9, abs=1e-15
        )


@pytest.mark.parametrize("parts", [1, 4])
def test_the_codes_of_audited_units_are_those_of_both_arms(
    tmp_path: Path, parts: int
) -> None:
    frame = units()
    frame.loc[frame.index[-1], "unit"] = "u3"  # an id that stands twice: the first
    audit = pd.DataFrame({"unit": ["u880", "u3", "u410", "nobody's"]})
    path = in_files(frame, tmp_path, parts)
    found = UnitSums.of_table(path, audit["unit"].tolist()).audited
    pd.testing.assert_frame_equal(with_arms(audit, found), with_arms(audit, frame))
    assert len(found) == 4


def test_fewer_than_ten_units_tell_nothing(tmp_path: Path) -> None:
    assert list(UnitSums.of(units(9)).rows()) == []
    assert len(list(UnitSums.of(units(10)).rows())) == len(KINDS)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"weight": 0.0}, "no weight"),
        ({"cluster": "one", "stratum": "one"}, "too few clusters for an error"),
    ],
)
def test_a_share_without_an_error_is_not_measured(
    change: dict[str, Any], why: str
) -> None:
    rows = list(UnitSums.of(units().assign(**change)).rows())
    assert len(rows) == len(KINDS)
    for row in rows:
        assert (row["status"], row["note"]) == ("not_measured", why)
        assert "value" not in row


def test_units_without_weight_make_no_share_surer() -> None:
    frame = units(none=True)
    light = frame.index % 20 > 0
    frame["weight"] = np.where(light, 0.0, 1.0)
    every, alone = UnitSums.of(frame), UnitSums.of(frame[~light])
    for row, other in zip(every.rows(), alone.rows(), strict=True):
        for name in FIGURES:
            assert row[name] == pytest.approx(other[name])


def test_a_part_is_gone_before_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_files(units(), tmp_path, 6)
    alive: list[weakref.ref[Any]] = []
    most = 0

    class Counted:
        def __init__(self, frame: pd.DataFrame) -> None:
            self.frame = frame

        def to_pandas(self) -> pd.DataFrame:
            return self.frame

    def counted(file: Path, columns: Sequence[str]) -> Counted:
        nonlocal most
        most = max(most, sum(one() is not None for one in alive))
        frame = read_file(file, columns).to_pandas()
        alive.append(weakref.ref(frame))
        return Counted(frame)

    monkeypatch.setattr(unit_sums, "read_file", counted)
    UnitSums.of_table(path)
    assert len(alive) == 6
    assert most == 0


def test_a_damaged_part_and_a_lost_table_are_told(tmp_path: Path) -> None:
    path = in_files(units(), tmp_path, 3)
    (path.with_suffix("") / "part-00001.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(SourceError, match="A release is damaged"):
        UnitSums.of_table(path)
    with pytest.raises(SourceError, match="units of a release are not there"):
        UnitSums.of_table(tmp_path / "elsewhere/units.parquet")


def test_processes_give_the_same(tmp_path: Path) -> None:
    path = in_files(units(), tmp_path, 4)
    one, two = (UnitSums.of_table(path, ["u5"], workers=n) for n in (1, 2))
    assert list(one.rows()) == list(two.rows())
    pd.testing.assert_frame_equal(one.audited, two.audited)

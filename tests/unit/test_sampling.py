"""Data of a pilot from partitions: the same rows, sampled or not, as from one file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats import partitions, sampling, split
from mlstats.errors import ConfigError, SourceError
from mlstats.pilot_files import load_pilot
from mlstats.scaffold import new_pilot
from mlstats.settings import load_settings
from mlstats.sources import finder, read_source, source_finder
from mlstats.table import Table
from tests.s3_server import Store

ON_S3 = pytest.mark.xdist_group("s3")


def diary(rows: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    homes = pd.Series([f"h{i // 5}" for i in rng.permutation(rows)])
    return pd.DataFrame(
        {
            "id": [f"{i:04d}" for i in range(rows)],
            "home": homes.mask(rng.uniform(size=rows) < 0.1),
            "text": rng.choice(["rye bread", "green tea", "wool socks"], rows),
            "code": rng.choice(["01", "02"], rows),
            "amount": pd.Series(range(rows)).mask(rng.uniform(size=rows) < 0.01),
        }
    )


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    made = diary()
    made.to_parquet("data.parquet", row_group_size=64)
    new_pilot(
        load_settings(), "diary", Path("data.parquet"), text=["text"], code="code",
        unit_id="row_number", cluster="home",
    )  # fmt: skip
    return made


def in_parts(folder: Path, frame: pd.DataFrame, *cuts: int) -> str:
    folder.mkdir()
    edges = [0, *cuts, len(frame)]
    for i, (first, end) in enumerate(zip(edges, edges[1:], strict=False)):
        part = frame.iloc[first:end]
        part.to_parquet(folder / f"{i}.parquet", row_group_size=50)
    return str(folder.name)


def read(source: str, sample: int | None, *more: str) -> pd.DataFrame:
    pilot = load_pilot("diary", overrides=[f"data.source={source}", *more])
    return read_source(pilot, load_settings(), sample=sample).frame


@pytest.mark.parametrize("sample", [None, 100, 600])
@pytest.mark.parametrize("cluster", ["home", "null", "row_number", "not_there"])
def test_the_same_rows_whatever_the_partitioning(
    frame: pd.DataFrame, tmp_path: Path, sample: int | None, cluster: str
) -> None:
    cluster = f"data.roles.cluster={cluster}"
    expected = read("data.parquet", sample, cluster)
    folder = in_parts(tmp_path / "parts", frame, 90, 91, 400)
    pd.testing.assert_frame_equal(read(folder, sample, cluster), expected)
    if sample == 100:
        assert 100 <= len(expected) < 120
        # The row numbers are those of the whole table.
        places = expected["row_number"].astype(int) - 1
        assert expected["id"].tolist() == frame["id"].iloc[places].tolist()


def test_a_sample_reads_a_partition_at_a_time_and_the_cluster_first(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = in_parts(tmp_path / "parts", frame.assign(home="h"), *range(50, 600, 50))
    asked: list[list[str] | None] = []
    one = partitions.Partition.read

    def noted(self, columns=None, **given):
        asked.append(None if columns is None else list(columns))
        return one(self, columns, **given)

    monkeypatch.setattr(partitions.Partition, "read", noted)
    in_one = frame.assign(home=["x"] * 20 + ["y"] * 580)
    in_parts(tmp_path / "few", in_one, *range(50, 600, 50))
    monkeypatch.setattr(sampling, "drawn_clusters", lambda *a, **k: ["cluster x"])
    assert len(read("few", 10)) == 20
    assert asked[:24] == [["home"]] * 24
    assert asked[24:] == [None]
    assert folder == "parts"


def test_a_sample_is_drawn_as_from_the_frame_in_memory(frame: pd.DataFrame) -> None:
    # As it was drawn before there were partitions.
    clusters = split.cluster_ids(frame, "home")
    names = clusters.unique()
    drawn = names[np.random.default_rng(20260101).permutation(len(names))]
    sizes = clusters.value_counts().loc[drawn].cumsum()
    kept = sizes.index[: int(np.searchsorted(sizes.to_numpy(), 100)) + 1]
    expected = frame.loc[clusters.isin(kept), "id"].tolist()
    pilot = ["evaluate.seed=20260101"]
    assert read("data.parquet", 100, *pilot)["id"].tolist() == expected


@settings(max_examples=30)
@given(
    homes=st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=2, max_size=9),
    cuts=st.lists(st.integers(0, 9), max_size=3),
    size=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_any_cut_draws_the_same_rows(
    homes: list[str | None], cuts: list[int], size: int, seed: int
) -> None:
    frame = pd.DataFrame({"home": pd.Series(homes, dtype="str")})
    size = min(size, len(frame) - 1)

    def rows(*edges: int) -> list[int]:
        pieces = [
            frame.iloc[a:b].reset_index(drop=True)
            for a, b in zip(edges, edges[1:], strict=False)
        ]
        tables = [Table(piece, "", "csv", "") for piece in pieces]
        parts = sampling.parts_of(tables, ())
        places = sampling.drawn(
            parts,
            lambda part: split.cluster_ids(part.read(None), "home", first=part.start),
            seed=seed,
            size=size,
        )
        pairs = zip(parts, places, strict=True)
        return [int(part.start + row) for part, found in pairs for row in found]

    whole = rows(0, len(frame))
    assert len(whole) >= size
    inner = sorted(min(cut, len(frame)) for cut in cuts)
    assert rows(0, *inner, len(frame)) == whole


def test_every_period_may_be_a_folder(frame: pd.DataFrame, tmp_path: Path) -> None:
    several = [
        "data.periods=2026-01/2026-02", "data.frequency=M", "data.roles.period=month"
    ]  # fmt: skip
    for month, rows in (("2026-01", frame[:250]), ("2026-02", frame[250:])):
        in_parts(tmp_path / f"month={month}", rows, rows.index[0] + 10 - rows.index[0])
        rows.to_parquet(f"whole-{month}.parquet")
    for sample in (None, 150):
        one = read("whole-{period}.parquet", sample, *several)
        two = read("month={period}", sample, *several)
        pd.testing.assert_frame_equal(one, two)
        assert set(one["month"]) == {"2026-01", "2026-02"}


def test_a_recoded_cluster_is_drawn_whole(frame: pd.DataFrame, tmp_path: Path) -> None:
    recode = "data.recode.group={of: code, groups: {one: ['01'], two: ['02']}}"
    folder = in_parts(tmp_path / "parts", frame, 300)
    drawn = read(folder, 10, recode, "data.roles.cluster=group")
    assert drawn["group"].nunique() == 1
    assert len(drawn) == (frame["code"] == drawn["code"][0]).sum()
    pd.testing.assert_frame_equal(
        drawn, read("data.parquet", 10, recode, "data.roles.cluster=group")
    )


def test_the_digest_is_that_of_all_files(frame: pd.DataFrame, tmp_path: Path) -> None:
    folder = in_parts(tmp_path / "parts", frame, 300)
    pilot = load_pilot("diary", overrides=[f"data.source={folder}"])
    whole, few = (read_source(pilot, load_settings(), sample=n) for n in (None, 50))
    assert whole.digest == few.digest
    frame[:10].to_parquet(tmp_path / "parts" / "1.parquet")
    assert read_source(pilot, load_settings()).digest != whole.digest


@ON_S3
def test_a_pilot_reads_a_store(frame: pd.DataFrame, store: Store) -> None:
    data = Path("data.parquet").read_bytes()
    store.put("in/t/data.parquet", data)
    found = read(f"{store.address}/in/t", 100)
    pd.testing.assert_frame_equal(found, read("data.parquet", 100))


def test_folders_and_addresses_are_found(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(tmp_path / "parts", frame)
    monkeypatch.setenv("MLSTATS_DATA", str(tmp_path))
    given = load_settings()
    assert source_finder(given)("s3://bucket/table") == "s3://bucket/table"
    assert source_finder(given)("parts") == str(tmp_path / "parts")
    assert finder(given)("parts") == tmp_path / "parts"
    with pytest.raises(SourceError) as error:
        source_finder(given)("part")
    assert error.value.nearest == "parts"


def test_a_pilot_holds_no_password(frame: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match="password"):
        load_pilot("diary", overrides=["data.source=s3://me:secret@bucket/table"])


def test_a_large_text_file_is_told_to_be_converted(
    frame: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame.to_csv("data.csv", index=False)
    monkeypatch.setattr("mlstats.sources._LARGE", 1000)
    with caplog.at_level("WARNING"):
        read("data.csv", 100)
    assert "data.csv has 0.0 GB and is read whole: `mlstats convert`" in caplog.text

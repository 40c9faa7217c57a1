"""Tables in partitions: opened by their footers, read as the whole table is."""

import hashlib
import os
import pickle
import socket
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlstats import object_store
from mlstats.errors import ConfigError, ServiceError, SourceError
from mlstats.io import read_table, sha256_file
from mlstats.object_store import reaching
from mlstats.partitions import PartitionedTable, is_partitioned
from mlstats.scale import Scale
from tests.s3_server import Store

ON_S3 = pytest.mark.xdist_group("s3")


def lines(first: int, rows: int) -> pd.DataFrame:
    numbers = range(first, first + rows)
    return pd.DataFrame(
        {
            "line": [f"{n:05d}" for n in numbers],
            "household": [n // 3 for n in numbers],
            "value": [n / 4 for n in numbers],
        }
    )


def write(folder: Path, *sizes: int, group: int = 4) -> pd.DataFrame:
    """Write a file of each size; return the rows of all."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for i, size in enumerate(sizes):
        frame = lines(sum(sizes[:i]), size)
        frame.to_parquet(folder / f"part-{i}.parquet", row_group_size=group)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def whole(table: PartitionedTable) -> pd.DataFrame:
    return pd.concat([p.read() for p in table.partitions], ignore_index=True)


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    rows = write(tmp_path / "t", *[3] * 11)
    (tmp_path / "t" / "_SUCCESS").write_text("")
    (tmp_path / "t" / ".part.crc").write_text("")
    table = PartitionedTable.open(tmp_path / "t")
    names = [Path(p.path).name for p in table.partitions]
    assert names[1:3] == ["part-1.parquet", "part-2.parquet"]
    assert names[-1] == "part-10.parquet"
    assert [p.start for p in table.partitions] == list(range(0, 33, 3))
    assert table.rows == 33
    assert table.columns == ("line", "household", "value")
    pd.testing.assert_frame_equal(whole(table), rows)


def test_a_file_is_parted_between_its_row_groups(tmp_path: Path) -> None:
    write(tmp_path, 22)
    file = tmp_path / "part-0.parquet"
    table = PartitionedTable.open(file, block_rows=10)
    told = [(p.first_group, p.groups, p.rows, p.start) for p in table.partitions]
    assert told == [(0, 2, 8, 0), (2, 2, 8, 8), (4, 2, 6, 16)]
    pd.testing.assert_frame_equal(whole(table), read_table(file).frame)


def test_a_row_group_larger_than_a_block_is_read_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, 22, group=20)
    table = PartitionedTable.open(tmp_path / "part-0.parquet", block_rows=10)
    assert [p.rows for p in table.partitions] == [20, 2]


def test_columns_are_read_alone_and_in_the_order_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "t", 5)
    (partition,) = PartitionedTable.open(tmp_path / "t").partitions
    frame = partition.read(["value", "line"])
    assert list(frame.columns) == ["value", "line"]
    assert frame.index.equals(pd.RangeIndex(5))
    with pytest.raises(SourceError, match="no column 'lime'") as error:
        partition.read(["lime"])
    assert error.value.nearest == "line"


def test_codes_are_text_where_they_are_named(tmp_path: Path) -> None:
    pd.DataFrame({"code": [1.0, None, 111.0]}).to_parquet(tmp_path / "c.parquet")
    (partition,) = PartitionedTable.open(tmp_path / "c.parquet").partitions
    told = partition.read(text_columns=["code", "other"])["code"]
    expected = read_table(tmp_path / "c.parquet", text_columns=["code"]).frame["code"]
    pd.testing.assert_series_equal(told, expected)
    assert told.tolist()[::2] == ["1", "111"]


def test_a_partition_is_small_and_picklable(tmp_path: Path) -> None:
    rows = write(tmp_path / "t", 5)
    (partition,) = PartitionedTable.open(tmp_path / "t").partitions
    sent = pickle.dumps(partition)
    assert len(sent) < 4000
    pd.testing.assert_frame_equal(pickle.loads(sent).read(), rows)


def test_whole_numbers_are_floats_where_any_file_lacks_one(tmp_path: Path) -> None:
    pd.DataFrame({"n": [1, 2]}).to_parquet(tmp_path / "1.parquet")
    schema = pa.schema([("n", pa.int64())])
    pq.write_table(pa.table({"n": [3, None]}, schema=schema), tmp_path / "2.parquet")
    first, second = PartitionedTable.open(tmp_path).partitions
    assert first.read()["n"].dtype == second.read()["n"].dtype == "float64"


def test_missing_values_are_counted_where_no_footer_counts_them(
    tmp_path: Path,
) -> None:
    table = pa.table({"n": [1, 2, 3, None], "b": [True, None, True, True]})
    file = tmp_path / "t.parquet"
    pq.write_table(table, file, write_statistics=False, row_group_size=2)
    first, second = PartitionedTable.open(file, block_rows=2).partitions
    assert first.read()["n"].dtype == "float64"
    assert second.read()["b"].dtype == "object"


def test_a_column_without_values_is_of_the_kind_of_the_others(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": pa.nulls(2)}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"c": ["a", "b"]}), tmp_path / "2.parquet")
    frame = whole(PartitionedTable.open(tmp_path))
    assert frame["c"].dtype == "str"
    assert frame["c"].isna().tolist() == [True, True, False, False]


def test_files_that_disagree_are_named(tmp_path: Path) -> None:
    lines(0, 3).to_parquet(tmp_path / "1.parquet")
    lines(0, 3).astype({"household": "str"}).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(SourceError, match="'household' is text") as error:
        PartitionedTable.open(tmp_path)
    assert error.value.where == str(tmp_path / "2.parquet")
    renamed = lines(0, 3).rename(columns={"household": "houshold"})
    renamed.to_parquet(tmp_path / "2.parquet")
    with pytest.raises(SourceError, match="no column 'household'") as error:
        PartitionedTable.open(tmp_path)
    assert error.value.nearest == "houshold"
    lines(0, 3).assign(more=1).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(SourceError, match="a column 'more'"):
        PartitionedTable.open(tmp_path)


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    lines(0, 3).to_parquet(tmp_path / "1.parquet")
    lines(3, 3)[["value", "line", "household"]].to_parquet(tmp_path / "2.parquet")
    frame = whole(PartitionedTable.open(tmp_path))
    assert list(frame.columns) == ["line", "household", "value"]
    assert frame["line"].is_unique


def test_empty_files_count_for_their_columns_only(tmp_path: Path) -> None:
    write(tmp_path, 0, 3, 0)
    table = PartitionedTable.open(tmp_path)
    assert [p.rows for p in table.partitions] == [3]
    write(tmp_path, 0, 0, 0)
    with pytest.raises(SourceError, match="no rows"):
        PartitionedTable.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes.txt", "not Parquet"),
        ("period=2026-01/part.parquet", "holds 1 folders, as 'period=2026-01'"),
    ],
)
def test_what_else_lies_in_the_folder_is_refused(
    tmp_path: Path, name: str, said: str
) -> None:
    write(tmp_path, 3)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    with pytest.raises(SourceError, match=said):
        PartitionedTable.open(tmp_path)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path / "table", 3)
    with pytest.raises(SourceError, match="not there") as error:
        PartitionedTable.open(tmp_path / "tabel")
    assert error.value.nearest == "table"
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no Parquet files"):
        PartitionedTable.open(tmp_path / "empty")
    (tmp_path / "table.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(SourceError, match="is not Parquet") as error:
        PartitionedTable.open(tmp_path / "table.csv")
    assert "mlstats convert" in str(error.value)
    with pytest.raises(ConfigError, match="0 rows"):
        PartitionedTable.open(tmp_path / "table", block_rows=0)


def test_damaged_files_are_told_without_their_content(tmp_path: Path) -> None:
    write(tmp_path, 30)
    file = tmp_path / "part-0.parquet"
    table = PartitionedTable.open(tmp_path, block_rows=8)
    data = file.read_bytes()
    file.write_bytes(data[:-20])
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        PartitionedTable.open(tmp_path)
    file.write_bytes(bytes(200) + data[200:])
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        table.partitions[0].read()
    write(tmp_path, 5)
    with pytest.raises(SourceError, match="changed while it was read"):
        table.partitions[-1].read()
    file.unlink()
    with pytest.raises(SourceError, match="not there"):
        table.partitions[0].read()


def test_names_that_occur_twice_are_refused(tmp_path: Path) -> None:
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="'a' occurs 2 times"):
        PartitionedTable.open(tmp_path)


def test_a_name_may_hold_a_dot_and_none_is_called_by_its_place(
    tmp_path: Path,
) -> None:
    table = pa.table({"a": [{"b": 1}], "a.b": [2], " ": [3]})
    pq.write_table(table, tmp_path / "t.parquet")
    (partition,) = PartitionedTable.open(tmp_path).partitions
    assert partition.read(["a.b"])["a.b"].tolist() == [2]
    assert partition.read(["column_3"])["column_3"].tolist() == [3]


def test_the_digest_is_that_of_the_files_in_order(tmp_path: Path) -> None:
    write(tmp_path, 9, 5)
    files = [tmp_path / f"part-{i}.parquet" for i in range(2)]
    digests = [sha256_file(file) for file in files]
    assert PartitionedTable.open(files[0]).digest() == digests[0]
    expected = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    for rows in (4, 100):
        table = PartitionedTable.open(tmp_path, block_rows=rows)
        assert table.digest() == expected
    assert table.digest(workers=2) == table.digest(Scale(workers=2)) == expected
    assert table.partitions[1].digest() == digests[1]


def test_what_is_partitioned(tmp_path: Path) -> None:
    write(tmp_path, 5)
    assert is_partitioned(str(tmp_path))
    assert is_partitioned("s3://bucket/prefix")
    assert not is_partitioned(str(tmp_path / "part-0.parquet"))
    assert not is_partitioned(str(tmp_path / "nothing.csv"))
    many = pd.DataFrame({"a": range(1_000_001)})
    many.to_parquet(tmp_path / "many.parquet", row_group_size=1_000_000)
    assert is_partitioned(str(tmp_path / "many.parquet"))


@ON_S3
def test_a_store_reads_as_the_folder_it_holds(tmp_path: Path, store: Store) -> None:
    write(tmp_path, 9, 0, 5)
    for file in tmp_path.iterdir():
        store.put(f"in/table/{file.name}", file.read_bytes())
    store.put("in/table/_SUCCESS", b"")
    store.put("in/table/", b"")
    local = PartitionedTable.open(tmp_path, block_rows=4)
    table = PartitionedTable.open(f"{store.address}/in/table", block_rows=4)
    assert [p.rows for p in table.partitions] == [p.rows for p in local.partitions]
    pd.testing.assert_frame_equal(whole(table), whole(local))
    assert table.digest() == local.digest()
    one = PartitionedTable.open(f"{store.address}/in/table/part-0.parquet")
    assert one.rows == 9
    assert is_partitioned(one.source)
    with pytest.raises(SourceError, match="holds 1 folders"):
        PartitionedTable.open(f"{store.address}/in")


def test_a_file_that_was_written_since_is_told(tmp_path: Path) -> None:
    write(tmp_path / "t", 5, 7)
    table = PartitionedTable.open(tmp_path / "t")
    table.check_unchanged()
    path = tmp_path / "t" / "part-1.parquet"
    was = path.stat()
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns + 1_000_000))
    for some in (None, str(path)):
        with pytest.raises(SourceError, match="changed while it was read") as told:
            table.check_unchanged(some)
        assert told.value.where == str(path)
    table.check_unchanged(table.partitions[0].path)
    path.unlink()
    with pytest.raises(SourceError, match="not there"):
        table.check_unchanged()


@ON_S3
def test_an_object_that_was_written_since_is_told(store: Store) -> None:
    for name, value in (("was", 1), ("is", 2)):
        frame = pd.DataFrame({"line": ["a"], "value": [value]})
        store.put(f"{name}.parquet", frame.to_parquet(index=False))
    was, now = (store.read(f"{name}.parquet") for name in ("was", "is"))
    store.put("table/part-0.parquet", was)
    table = PartitionedTable.open(f"{store.address}/table")
    table.check_unchanged()
    store.put("table/part-0.parquet", was)  # the same content is the same object
    table.check_unchanged()
    store.put("table/part-0.parquet", now)
    with pytest.raises(SourceError, match="changed while it was read"):
        table.check_unchanged()


@ON_S3
def test_a_store_that_lacks_the_object_or_does_not_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nothing", "nothing.parquet"):
        with pytest.raises(SourceError, match="not there"):
            PartitionedTable.open(f"{store.address}/{name}")
    store.put("bad.parquet", b"PAR1 and no more")
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        PartitionedTable.open(f"{store.address}/bad.parquet")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceError, match="EndpointConnectionError") as error:
        PartitionedTable.open(f"{store.address}/bad.parquet")
    assert "testing" not in str(error.value)


def test_a_store_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs")
    monkeypatch.setattr(object_store, "_ANSWER", 0.2)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(ServiceError, match="Timeout"):
            PartitionedTable.open("s3://bucket/table")


@pytest.mark.parametrize("address", ["s3://", "s3://name:word@bucket/key"])
def test_an_address_needs_a_bucket_and_holds_no_password(address: str) -> None:
    with pytest.raises(ConfigError) as error:
        PartitionedTable.open(address)
    assert "word" not in str(error.value)


def test_without_the_extra_the_address_is_told_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ConfigError, match="need the package s3fs") as error:
        PartitionedTable.open("s3://bucket/table")
    assert error.value.hint == 'pip install "mlstats[s3]"'


def one_column(folder: Path, *columns: pa.Array) -> Path:
    folder.mkdir(exist_ok=True)
    for i, column in enumerate(columns):
        pq.write_table(pa.table({"c": column}), folder / f"{i}.parquet")
    return folder


@pytest.mark.parametrize(
    "columns",
    [
        (pa.array([-1]), pa.array([2**64 - 1], pa.uint64())),
        (
            pa.array([253402214400], pa.timestamp("s")),  # 9999-12-31
            pa.array([0], pa.timestamp("ns")),
        ),
    ],
    ids=["numbers", "days"],
)
def test_values_that_their_one_type_does_not_hold_are_told_and_not_changed(
    tmp_path: Path, columns: tuple[pa.Array, ...]
) -> None:
    table = PartitionedTable.open(one_column(tmp_path / "t", *columns))
    with pytest.raises(SourceError, match="'c' .* does not hold") as error:
        whole(table)
    assert "9999" not in str(error.value)
    assert str(2**64 - 1) not in str(error.value)


def test_partitions_are_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path / "t", 5)
    monkeypatch.chdir(tmp_path)
    tables = [PartitionedTable.open(name) for name in ("t", "t/part-0.parquet")]
    monkeypatch.chdir("/")
    for table in tables:
        pd.testing.assert_frame_equal(whole(table), rows)


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError("secret")])
def test_a_store_that_is_slow_or_hangs_up_is_out_of_reach(
    tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(ServiceError, match=type(error).__name__) as raised:  # noqa: SIM117
        with reaching("s3://bucket/key"):
            raise error
    assert "secret" not in str(raised.value)

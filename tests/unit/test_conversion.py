"""Delimited text converted by stream: the table that a whole reading gives."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats import text_blocks
from mlstats.conversion import convert
from mlstats.errors import ConfigError, RefusedError, ServiceError, SourceError
from mlstats.io import read_table
from mlstats.partitions import MANIFEST, PartitionedTable
from tests.s3_server import Store


def read_back(folder: Path, **options: object) -> pd.DataFrame:
    table = PartitionedTable.open(folder, **options)
    return pd.concat([p.read() for p in table.partitions], ignore_index=True)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the blocks be of some hundred bytes, so that types change between them."""
    monkeypatch.setattr(text_blocks, "_BLOCK", 400)
    monkeypatch.setattr(text_blocks, "_PIECE", 100)


def test_a_column_is_what_all_of_its_values_are(
    tmp_path: Path, small_blocks: None
) -> None:
    frame = pd.DataFrame(
        {
            "code": [str(n) for n in range(1, 900)] + ["0111"],
            "whole": range(900),
            "late": [str(n) for n in range(899)] + [""],
            "money": [f"{n / 4:.2f}".replace(".", ",") for n in range(900)],
            "grouped": ["1.234"] * 900,
            "text": ["a 'word', and \"more\"\nbelow"] * 900,
            "none": [""] * 900,
        }
    )
    frame.to_csv("t.csv", index=False, sep=";")
    done = convert("t.csv", tmp_path / "t", rows=250)
    whole = read_table("t.csv")
    found = read_back(tmp_path / "t")
    pd.testing.assert_frame_equal(found, whole.frame)
    assert found["code"].dtype == "str"
    assert found["whole"].dtype == "int64"
    assert found["late"].dtype == found["money"].dtype == "float64"
    assert done.notes == whole.notes
    assert (done.rows, done.parts, done.is_new) == (900, 4, True)
    sizes = [p.rows for p in PartitionedTable.open(tmp_path / "t").partitions]
    assert sizes == [250, 250, 250, 150]


CELLS = st.sampled_from(
    ["1", "-2", "07", "1.5", "1,5", "1.234", "1,234", "", '""', "ab", "é", "1e+05", " "]
)


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12),
    separator=st.sampled_from(";\t|"),
    codec=st.sampled_from(["utf-8", "cp1252", "utf-16", "utf-8-sig"]),
    repeat=st.integers(1, 4),
    parts=st.integers(1, 50),
    text=st.sets(st.sampled_from(["b"])),
    packed=st.booleans(),
)
def test_any_file_converts_to_what_a_whole_reading_gives(
    tmp_path_factory, rows, separator, codec, repeat, parts, text, packed
):
    folder = tmp_path_factory.mktemp("any")
    lines = [f"a{separator}b"]
    for first, second in rows:
        lines += [f"{first}{separator}{second}"] * repeat
    data = ("\n".join(lines) + "\n").encode(codec)
    file = folder / ("t.csv.gz" if packed else "t.csv")
    file.write_bytes(gzip.compress(data) if packed else data)
    whole = read_table(file, text_columns=text)
    done = convert(file, folder / "t", rows=parts, text_columns=text)
    pd.testing.assert_frame_equal(read_back(folder / "t"), whole.frame)
    assert done.notes == whole.notes


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.csv", b""),
        ("no_rows.csv", b"a;b\n"),
        ("twice.csv", b"a;a\n1;2\n"),
        ("ragged.csv", b"a;b\n1;2\n3\n4;5;6\n"),
        ("nul.csv", b"a\0;\0b\0\n\0" * 9),
        ("cut.csv.gz", gzip.compress(b"a;b\n1;2\n" * 99, mtime=0)[:-12]),
        ("none.csv.gz", b"not packed"),
        ("table.xlsx", b""),
        ("table.parquet", b""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_told_as_a_whole_reading_tells_it(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as told:
        convert(name, tmp_path / "t")
    assert not (tmp_path / "t").exists()
    assert not list(tmp_path.glob(".t*tmp"))
    if name.startswith("table"):
        assert "Only delimited text" in told.value.title
        return
    with pytest.raises(SourceError) as whole:
        read_table(name)
    assert (told.value.title, told.value.where) == (
        whole.value.title,
        whole.value.where,
    )


def test_a_quotation_mark_that_never_closes_is_told(
    tmp_path: Path, small_blocks: None
) -> None:
    Path("t.csv").write_text('a;b\n1;"' + "2\n" * 9000)
    with pytest.raises(SourceError, match="cannot be split into records"):
        convert("t.csv", tmp_path / "t")


def test_a_wrong_encoding_is_told_by_its_line(
    tmp_path: Path, small_blocks: None
) -> None:
    Path("t.csv").write_bytes(b"a;b\n" + b"1;2\n" * 500 + "é;2\n".encode("cp1252"))
    for read in (
        lambda: convert("t.csv", tmp_path / "t", encoding="utf-8"),
        lambda: read_table("t.csv", encoding="utf-8"),
    ):
        with pytest.raises(SourceError, match="not valid utf-8") as error:
            read()
        assert error.value.where == "t.csv:502"


def test_options_that_are_none_are_refused(tmp_path: Path) -> None:
    Path("t.csv").write_text("a;b\n1;2\n")
    for options in ({"rows": 0}, {"encoding": "utf-88"}, {"decimal": "!"}):
        with pytest.raises(ConfigError):
            convert("t.csv", tmp_path / "t", **options)
    with pytest.raises(ConfigError, match="folder of this machine"):
        convert("t.csv", "s3://bucket/t")
    with pytest.raises(SourceError, match="no column 'c'"):
        convert("t.csv", tmp_path / "t", by="c")


def households(rows: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    homes = pd.Series(rng.integers(0, rows // 8, rows).astype(str))
    return pd.DataFrame({"home": homes.mask(homes == "7"), "line": range(rows)})


def test_whole_clusters_lie_in_one_partition(
    tmp_path: Path, small_blocks: None
) -> None:
    frame = households()
    frame.to_csv("t.csv", index=False)
    done = convert("t.csv", tmp_path / "t", rows=200, by="home")
    table = PartitionedTable.open(tmp_path / "t", block_rows=20)
    assert len(table.partitions) == done.parts > 5
    parts = [p.read() for p in table.partitions]
    homes = pd.concat([part["home"].drop_duplicates().dropna() for part in parts])
    assert homes.is_unique
    assert all(part["line"].is_monotonic_increasing for part in parts)
    together = pd.concat(parts).sort_values("line", ignore_index=True)
    pd.testing.assert_frame_equal(together, read_table("t.csv").frame)
    # Rows without a cluster are their own, and do not gather in one partition.
    assert sum(part["home"].isna().any() for part in parts) > 1
    assert not list((tmp_path / "t").glob("_spilled*"))


@pytest.mark.parametrize("by", [None, "home"])
def test_the_same_source_gives_the_same_bytes(tmp_path: Path, by: str | None) -> None:
    households().to_csv("t.csv", index=False)
    for name in ("one", "two"):
        convert("t.csv", tmp_path / name, rows=300, by=by)
    one, two = (tmp_path / name for name in ("one", "two"))
    names = sorted(file.name for file in one.iterdir())
    assert names == sorted(file.name for file in two.iterdir())
    assert all((one / n).read_bytes() == (two / n).read_bytes() for n in names)


def test_the_same_source_is_converted_once(tmp_path: Path) -> None:
    households().to_csv("t.csv", index=False)
    target = tmp_path / "t"
    assert convert("t.csv", target, rows=300).is_new
    before = {file.name: file.stat().st_mtime_ns for file in target.iterdir()}
    again = convert("t.csv", target, rows=300)
    assert not again.is_new
    assert (again.rows, again.parts) == (2000, 7)
    assert before == {file.name: file.stat().st_mtime_ns for file in target.iterdir()}
    for changed in ({"rows": 400}, {"by": "home"}, {"text_columns": ["line"]}):
        with pytest.raises(RefusedError):
            convert("t.csv", target, **{"rows": 300, **changed})
    households(1000).to_csv("t.csv", index=False)
    with pytest.raises(RefusedError):
        convert("t.csv", target, rows=300)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    households(100).to_csv("t.csv", index=False)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine.txt").write_text("mine")
    with pytest.raises(RefusedError, match="not the conversion"):
        convert("t.csv", tmp_path / "t")
    assert [f.name for f in (tmp_path / "t").iterdir()] == ["mine.txt"]


def test_the_manifest_lists_every_part(tmp_path: Path) -> None:
    households().to_csv("t.csv", index=False)
    target = tmp_path / "t"
    convert("t.csv", target, rows=900)
    told = json.loads((target / MANIFEST).read_text())
    assert told["rows"] == 2000
    assert [entry["rows"] for entry in told["files"].values()] == [900, 900, 200]
    table = PartitionedTable.open(target)
    for partition in table.partitions:
        entry = told["files"][Path(partition.path).name]
        assert entry["sha256"] == partition.digest()
    assert table.digest()


def test_parts_that_are_not_those_of_the_manifest_are_missed(tmp_path: Path) -> None:
    households().to_csv("t.csv", index=False)
    target = tmp_path / "t"
    convert("t.csv", target, rows=900)
    second = target / "part-00001.parquet"
    data = second.read_bytes()
    # As many rows, and others: only the checksum tells.
    pd.read_parquet(second).assign(line=0).to_parquet(second)
    with pytest.raises(SourceError, match="not the one that the folder's manifest"):
        PartitionedTable.open(target).digest()
    pd.read_parquet(second)[:-1].to_parquet(second)
    with pytest.raises(SourceError, match="part-00001.parquet has other rows"):
        PartitionedTable.open(target)
    second.unlink()
    with pytest.raises(SourceError, match="in the manifest and not there"):
        PartitionedTable.open(target)
    second.write_bytes(data)
    (target / "part-9.parquet").write_bytes(data)
    with pytest.raises(SourceError, match="there and not in the manifest"):
        PartitionedTable.open(target)
    (target / "part-9.parquet").unlink()
    (target / MANIFEST).write_text("{")
    with pytest.raises(SourceError, match="manifest of the folder cannot be read"):
        PartitionedTable.open(target)


def test_a_conversion_that_was_killed_leaves_no_table(tmp_path: Path) -> None:
    households(40_000).to_csv("t.csv", index=False)
    target = tmp_path / "t"
    hidden = tmp_path / ".t.tmp"
    slow = (
        "import time\n"
        "from mlstats import conversion\n"
        "whole = conversion.sha256_of\n"
        "def slowly(path):\n"
        "    if path.endswith('part-00003.parquet'):\n"
        "        time.sleep(600)\n"
        "    return whole(path)\n"
        "conversion.sha256_of = slowly\n"
        "conversion.convert('t.csv', 't', rows=9000)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", slow], cwd=tmp_path)
    try:
        while not (hidden / "part-00004.parquet").exists():
            assert child.poll() is None
            time.sleep(0.05)
        with pytest.raises(ServiceError, match="Another run writes"):
            convert("t.csv", target, rows=9000)
    finally:
        child.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        child.wait()
    assert not target.exists()
    assert hidden.exists()
    assert convert("t.csv", target, rows=9000).is_new
    assert not hidden.exists()
    assert len(read_back(target)) == 40_000


def test_a_full_disk_leaves_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    households(100).to_csv("t.csv", index=False)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("mlstats.conversion.write_json", full)
    with pytest.raises(ServiceError, match="disk is full"):
        convert("t.csv", tmp_path / "t")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.xdist_group("s3")
def test_a_text_in_a_store_is_converted(tmp_path: Path, store: Store) -> None:
    frame = households(500)
    address = store.put("in/t.csv", frame.to_csv(index=False).encode())
    convert(address, tmp_path / "t", rows=300)
    assert len(read_back(tmp_path / "t")) == 500


@pytest.mark.soak
@pytest.mark.parametrize("by", [None, "home"])
def test_a_gigabyte_is_converted_in_little_memory(
    tmp_path: Path, by: str | None
) -> None:
    pytest.importorskip("resource")
    block = households(200_000)
    block["text"] = "a description of some thirty letters"
    text = block.to_csv(index=False, header=False)
    with Path("t.csv").open("w") as file:
        file.write("home,line,text\n")
        for _ in range(110):
            file.write(text)
    assert Path("t.csv").stat().st_size > 1_000_000_000
    code = (
        "import resource, sys\n"
        "from mlstats.conversion import convert\n"
        "convert('t.csv', 't', by=sys.argv[1] or None)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, by or ""],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(told.stdout) < 1_000_000  # kilobytes


@pytest.mark.parametrize("added", ["00017,x\n", "no number,x\n"])
@pytest.mark.parametrize("by", [None, "text"])
def test_a_source_that_is_changed_meanwhile_is_told_without_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: str, by: str | None
) -> None:
    source = Path("t.csv")
    source.write_text("number,text\n" + "1,a\n2,b\n" * 50)
    opened = text_blocks.TextBlocks.open

    def changing(address: str, **options: object) -> text_blocks.TextBlocks:
        found = opened(address, **options)
        with source.open("a") as file:
            file.write(added)
        return found

    monkeypatch.setattr("mlstats.conversion.TextBlocks.open", changing)
    with pytest.raises(SourceError, match="changed while it was converted") as error:
        convert("t.csv", tmp_path / "t", by=by)
    assert "no number" not in str(error.value)
    assert not (tmp_path / "t").exists()

"""Whatever the partitioning, a table reads back the same."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.io import read_table
from mlstats.partitions import PartitionedTable

_TYPES = {
    "code": (pa.string(), st.text("01ä\n", max_size=3)),
    "large": (pa.large_string(), st.text("xy", max_size=2)),
    "whole": (pa.int64(), st.integers(-(2**40), 2**40)),
    "small": (pa.uint8(), st.integers(0, 255)),
    "value": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "truth": (pa.bool_(), st.booleans()),
    "money": (pa.decimal128(20, 4), st.decimals(-(10**9), 10**9, places=4)),
    "day": (pa.date32(), st.dates()),
    "time": (pa.timestamp("us"), st.datetimes()),
    "kind": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b"])),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 12))
    columns = {}
    for name, (kind, values) in _TYPES.items():
        may_lack = draw(st.booleans())
        one = st.none() | values if may_lack else values
        taken = draw(st.lists(one, min_size=rows, max_size=rows))
        columns[name] = pa.array(taken, pa.string() if name == "kind" else kind)
    columns["kind"] = columns["kind"].dictionary_encode()
    return pa.table(columns)


@settings(max_examples=50)
@given(
    table=tables(),
    group=st.integers(1, 12),
    block=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 12), max_size=3),
    text=st.sets(st.sampled_from(sorted(_TYPES)), max_size=3),
)
def test_any_partitioning_reads_back_the_same_frame(
    table: pa.Table, group: int, block: int, cuts: list[int], text: set[str]
) -> None:
    with TemporaryDirectory() as folder:
        file, parts = Path(folder) / "one.parquet", Path(folder) / "parts"
        pq.write_table(table, file, row_group_size=group)
        whole = read_table(file, text_columns=text).frame
        parts.mkdir()
        edges = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
        for i, (first, end) in enumerate(zip(edges, edges[1:], strict=False)):
            part = table.slice(first, end - first)
            pq.write_table(part, parts / f"{i}.parquet", row_group_size=group)
        for source in (file, parts):
            opened = PartitionedTable.open(source, block_rows=block)
            read = [p.read(text_columns=text) for p in opened.partitions]
            for frame, partition in zip(read, opened.partitions, strict=True):
                assert frame.dtypes.equals(whole.dtypes)
                expected = whole.iloc[partition.start :][: partition.rows]
                expected = expected.reset_index(drop=True)
                pd.testing.assert_frame_equal(frame, expected)
            assert sum(map(len, read)) == opened.rows == len(whole)

"""Delimited text copied to Parquet, so that a block of it can be read by its place."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mlstats.delimited import HEAD, read_header
from mlstats.editimpute.block_files import COPIED_ROWS, check_named
from mlstats.errors import SourceError
from mlstats.object_store import opened
from mlstats.table import column_names

__all__ = ["copy_of_text"]


def copy_of_text(
    source: str,
    target: Path,
    separator: str | None,
    encoding: str,
    unit: str | None,
    numeric: Collection[str],
) -> None:
    """Copy delimited text to Parquet, every value as its text, in one stream.

    Raises
    ------
    SourceError
        Where the text cannot be read as a table.
    ConfigError
        Where a column that is named is not there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with opened(source) as file:
        head = file.read(HEAD).decode(encoding, "ignore").removeprefix("\ufeff")
    separator, header, _ = read_header(
        head.encode(), separator, source, complete=len(head) < HEAD
    )
    column_names(header, source, [])  # none may occur twice
    check_named(header, unit, numeric, source)
    try:
        with (
            opened(source) as file,
            _text_reader(file, separator, encoding, header) as reader,
            pq.ParquetWriter(target, reader.schema) as writer,
        ):
            for batch in reader:
                writer.write_batch(batch, COPIED_ROWS)
    except pa.ArrowException:
        # Its message quotes the record, so it is not passed on.
        raise SourceError("The file cannot be read as a table", where=source) from None


def _text_reader(source: Any, separator: str, encoding: str, names: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.csv as csv

    return csv.open_csv(
        source,
        read_options=csv.ReadOptions(
            use_threads=False, encoding=encoding, block_size=1 << 24
        ),
        parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )

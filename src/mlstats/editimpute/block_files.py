"""Blocks of a Parquet or delimited file as records, and back."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.delimited import recognise_separator
from mlstats.editimpute.processing import PROVENANCE_COLUMNS, Processed
from mlstats.errors import ConfigError, ContractError, SourceError, nearest

__all__ = ["Blocks", "text_cells"]

_HEAD = 64 * 1024


@dataclass(eq=False)
class Blocks:
    """The records of a file, so many at a time; can be gone through again.

    Parameters
    ----------
    source : Path
        The file.
    unit : str or None
        Column with the label of a record.
    rows : int
        Records in a block; the last has fewer.
    numeric : collection of str
        Columns that are decimal numbers here; in delimited text the others are text.
    separator, decimal, encoding
        Of delimited text.
    """

    source: Path
    unit: str | None
    rows: int
    numeric: Collection[str]
    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ConfigError(f"A block of {self.rows} rows is none")
        if not self.source.is_file():
            raise SourceError("There is no such file", where=str(self.source))
        self.schema: Any = None

    def __iter__(self) -> Iterator[pd.DataFrame]:
        import pyarrow as pa

        start = 0
        try:
            for table in self._tables():
                if self.schema is None:
                    self.schema = self._target(table.schema)
                frame = self._frame(table)
                if self.unit is None:
                    frame.index = pd.RangeIndex(start, start + len(frame))
                else:
                    frame.index = pd.Index(frame[self.unit].to_numpy(dtype=object))
                    if frame[self.unit].isna().any():
                        raise ContractError(f"A record has no label in {self.unit!r}")
                start += len(frame)
                yield frame
        except pa.ArrowException:
            # Its message quotes the record, so it is not passed on.
            raise SourceError(
                "The file cannot be read as a table", where=str(self.source)
            ) from None

    def table(self, values: pd.DataFrame) -> Any:
        """Return treated records as a table with the columns of the target."""
        import pyarrow as pa

        columns = []
        for name, kind in zip(self.schema.names, self.schema.types, strict=True):
            column = values[name]
            if name in self.numeric:
                column = pd.to_numeric(column, errors="coerce").astype(float)
            columns.append(pa.Array.from_pandas(column, type=kind))
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _tables(self) -> Iterator[Any]:
        """Yield tables of exactly so many rows, whatever pieces the file has."""
        import pyarrow as pa

        waiting: list[Any] = []
        have = 0
        for batch in self._batches():
            waiting.append(batch)
            have += batch.num_rows
            if have >= self.rows:
                table = pa.Table.from_batches(waiting)
                for at in range(0, have - self.rows + 1, self.rows):
                    yield table.slice(at, self.rows)
                rest = table.slice(have - have % self.rows)
                waiting, have = rest.to_batches(), rest.num_rows
        if have:
            yield pa.Table.from_batches(waiting)

    def _batches(self) -> Iterator[Any]:
        if self.source.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            with pq.ParquetFile(self.source) as file:
                self._check(file.schema_arrow.names)
                yield from file.iter_batches(batch_size=self.rows)
            return
        import pyarrow as pa
        import pyarrow.csv as csv

        with self.source.open("rb") as file:
            head = file.read(_HEAD).decode(self.encoding, "ignore")
        separator = self.separator or recognise_separator(head, complete=False) or ","
        names = head.splitlines()[0].split(separator) if head.strip() else []
        names = [name.strip().strip('"').removeprefix("\ufeff") for name in names]
        self._check(names)
        reader = csv.open_csv(
            self.source,
            read_options=csv.ReadOptions(
                use_threads=False, encoding=self.encoding, block_size=1 << 24
            ),
            parse_options=csv.ParseOptions(
                delimiter=separator, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        with reader:
            yield from reader

    def _check(self, names: list[str]) -> None:
        for name in [*self.numeric, *([self.unit] if self.unit else [])]:
            if name not in names:
                raise ConfigError(
                    f"There is no column {name!r} in the file",
                    where=str(self.source),
                    nearest=nearest(name, names),
                )

    def _target(self, schema: Any) -> Any:
        import pyarrow as pa

        kinds = []
        for name, kind in zip(schema.names, schema.types, strict=True):
            if name in self.numeric:
                kinds.append(pa.float64())
            else:
                kinds.append(pa.string() if pa.types.is_dictionary(kind) else kind)
        return pa.schema(list(zip(schema.names, kinds, strict=True)))

    def _frame(self, table: Any) -> pd.DataFrame:
        import pyarrow as pa

        columns = {}
        for name in table.schema.names:
            column = table.column(name)
            if name in self.numeric:
                columns[name] = self._numbers(column)
            elif pa.types.is_floating(column.type):
                columns[name] = pd.Series(column.to_numpy(), dtype=float)
            elif pa.types.is_integer(column.type):
                columns[name] = column.to_pandas(types_mapper=lambda _: pd.Int64Dtype())
            else:
                columns[name] = column.to_pandas().astype(object)
        return pd.DataFrame(columns)

    def _numbers(self, column: Any) -> pd.Series:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not (pa.types.is_string(column.type) or pa.types.is_null(column.type)):
            return pd.Series(column.to_numpy(), dtype=float)
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        if self.decimal != ".":
            text = pc.replace_substring(text, self.decimal, ".")
        try:
            # Every number that was written reads back as it was.
            return pd.Series(pc.cast(text, pa.float64()).to_numpy(), dtype=float)
        except pa.ArrowInvalid:
            # What is no number stays text: the review tells it, treatment replaces it.
            return pd.Series(
                [_number(value) for value in text.to_pylist()], dtype=object
            )


def _number(text: str | None) -> Any:
    try:
        return np.nan if text is None else float(text)
    except ValueError:
        return text


def text_cells(found: Processed, row: int) -> Any:
    """Return the provenance of a block as a table of texts.

    Parameters
    ----------
    found : Processed
        The block.
    row : int
        Place of its first record in the file.
    """
    import pyarrow as pa

    cells = found.cells
    place = found.values.index.get_indexer(pd.Index(cells["unit"])) + row
    texts = (
        pa.array([_text(v) for v in cells[name]], pa.string())
        for name in PROVENANCE_COLUMNS
    )
    columns = [pa.array(place.astype(np.int64)), *texts]
    return pa.Table.from_arrays(columns, names=["row", *PROVENANCE_COLUMNS])


def _text(value: Any) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else repr(float(value))
    return str(value)

"""The columns of Parquet files as those of one table, whatever file they lie in.

pandas tells the type of a column by what is in it: whole numbers become floats where
one is missing. A part of a table would then have other types than the table. What the
whole table holds is therefore settled first, from the footers, and every part is
brought to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlstats.errors import SourceError, nearest

__all__ = ["as_frame", "one_schema", "schema_of"]


def schema_of(file: pq.ParquetFile, names: Sequence[str]) -> pa.Schema:
    """Return the columns of one file as the table's rules have them.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        Open; its footer is read, and of columns whose footer does not count missing
        values the values.
    names : sequence of str
        What its columns are called in the table.

    Returns
    -------
    pyarrow.Schema
        A column of categories has the type of its values, a decimal is a float; a
        column that may hold missing values is nullable, where that tells its type.
    """
    plain = [_plain(field.type) for field in file.schema_arrow]
    positions = {file.schema.column(i).path: i for i in range(len(file.schema.names))}
    fields = [
        pa.field(name, kind, nullable=_lacks(file, field, kind, positions))
        for name, kind, field in zip(names, plain, file.schema_arrow, strict=True)
    ]
    return pa.schema(fields)


def one_schema(files: Sequence[tuple[str, pa.Schema, int]]) -> pa.Schema:
    """Return what the columns of all files are.

    Parameters
    ----------
    files : sequence of (str, pyarrow.Schema, int)
        Address, columns and rows of each file. Names must agree, in any order, and
        kinds: whole numbers and floats are one kind, and a column without a value is
        of any. Of a file without rows the names count alone: what wrote it had
        nothing to tell a type by.

    Raises
    ------
    SourceError
        Naming the first file and column that do not agree with the files before.
    """
    first, names, _ = files[0]
    for address, schema, _ in files[1:]:
        _check_names(names, schema, address, first)
    filled = [(address, schema) for address, schema, rows in files if rows]
    found = names
    for i, (address, schema) in enumerate(filled):
        fields = [schema.field(name) for name in names.names]
        if i:
            pairs = zip(found, fields, strict=True)
            fields = [_one_field(one, two, address) for one, two in pairs]
        found = pa.schema(fields)
    return found


def as_frame(
    table: pa.Table, whole: pa.Schema | None = None, *, where: str = ""
) -> pd.DataFrame:
    """Return columns as pandas columns of the types that they have in a whole table.

    Parameters
    ----------
    table : pyarrow.Table
        As read, named as in `whole`.
    whole : pyarrow.Schema, optional
        Of :func:`one_schema`; by default the table is the whole.
    where : str
        The file, for errors.

    Returns
    -------
    pandas.DataFrame
        Texts are ``str``, whole numbers ``int64`` or their own width, and float64
        where one is missing anywhere in the whole, truths likewise ``object``.

    Raises
    ------
    SourceError
        For a whole number or a point in time that the type of the whole does not hold.
    """
    kinds, columns, decimals = [], [], set()
    for i, field in enumerate(table.schema):
        column = table.column(i)
        kind = _plain(field.type) if whole is None else whole.field(field.name).type
        if pa.types.is_decimal(field.type):
            # By way of Python: Arrow's own conversion need not round correctly.
            decimals.add(i)
        elif column.type != kind:
            column = _brought(column, kind, field.name, where)
        columns.append(column)
        lacks = column.null_count if whole is None else whole.field(field.name).nullable
        kinds.append((kind, bool(lacks)))
    renamed = pa.table(columns, names=[str(i) for i in range(len(columns))])
    # Without the metadata an index that pandas stored stays a column.
    frame: pd.DataFrame = renamed.to_pandas(ignore_metadata=True)
    for i, (kind, lacks) in enumerate(kinds):
        name = str(i)
        if i in decimals or (pa.types.is_integer(kind) and lacks):
            frame[name] = frame[name].astype("float64")
        elif pa.types.is_boolean(kind) and lacks:
            frame[name] = frame[name].astype("object")
    frame.columns = pd.Index(table.schema.names, dtype="str")
    return frame


def _brought(
    column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str
) -> pa.ChunkedArray:
    """Return a column with the type that it has in the whole table."""
    # What a float rounds is as pandas has it; a number that turns into another, or a
    # day into one of another century, is not.
    exact = pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
    try:
        return pc.cast(column, kind, safe=exact)
    except pa.ArrowInvalid:
        raise SourceError(
            f"The column {name!r} is {kind} in the table, which does not hold "
            "every value of this file",
            where=where,
            expected=f"values that {kind} holds, or one type in all files",
            hint="write the files anew with one type for each column",
        ) from None


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.float64() if pa.types.is_decimal(kind) else kind


def _lacks(
    file: pq.ParquetFile,
    field: pa.Field,
    kind: pa.DataType,
    positions: dict[str, int],
) -> bool:
    """Return whether a column has missing values, where its pandas type hangs on it."""
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return True
    if not field.nullable:
        return False
    meta, at = file.metadata, positions[field.name]
    told = [
        meta.row_group(group).column(at).statistics
        for group in range(meta.num_row_groups)
    ]
    if all(s is not None and s.has_null_count for s in told):
        return any(s.null_count for s in told)
    batches = file.iter_batches(columns=[field.name], use_threads=False)
    return any(batch.column(field.name).null_count for batch in batches)


def _check_names(found: pa.Schema, schema: pa.Schema, address: str, first: str) -> None:
    missing = [name for name in found.names if name not in schema.names]
    added = [name for name in schema.names if name not in found.names]
    if missing:
        raise SourceError(
            f"The file has no column {missing[0]!r}, which {first} has",
            where=address,
            expected="the same columns in every file of the table",
            nearest=nearest(missing[0], schema.names),
        )
    if added:
        raise SourceError(
            f"The file has a column {added[0]!r}, which {first} has not",
            where=address,
            expected="the same columns in every file of the table",
            nearest=nearest(added[0], found.names),
        )


def _one_field(field: pa.Field, other: pa.Field, address: str) -> pa.Field:
    one, two = field.type, other.type
    empty = pa.types.is_null(one) or pa.types.is_null(two)
    nullable = field.nullable or other.nullable
    if empty or one == two:
        return pa.field(field.name, two if pa.types.is_null(one) else one, nullable)
    if _kind(one) == _kind(two):
        try:
            pair = [pa.schema([pa.field("c", kind)]) for kind in (one, two)]
            both = pa.unify_schemas(pair, promote_options="permissive")
            return pa.field(field.name, both.field("c").type, nullable)
        except pa.ArrowException:
            pass
    raise SourceError(
        f"The column {field.name!r} is {_kind(two)} ({two}) in this file",
        where=address,
        expected=f"{_kind(one)} ({one}), as in the files before",
        hint="write the files anew with one type for each column",
    )


def _kind(kind: pa.DataType) -> str:
    is_a = pa.types
    if is_a.is_integer(kind) or is_a.is_floating(kind):
        return "a number"
    if is_a.is_string(kind) or is_a.is_large_string(kind) or is_a.is_string_view(kind):
        return "text"
    if is_a.is_timestamp(kind):
        return "a point in time"
    return f"of the type {kind}"

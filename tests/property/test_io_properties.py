"""Any text survives every format, whatever it holds."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from pathlib import Path

import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlstats.delimited import SEPARATORS, read_delimited
from mlstats.errors import SourceError
from mlstats.io import read_table, write_parquet, write_xlsx

SCRIPTS = "Käse żółć каша λάδι חלב نعناع りんご 豆腐 한우 𝔅"
NASTY = "\"',;\t|\n =+-@0123456789.#_xX5F" + SCRIPTS
texts = st.one_of(
    st.text(alphabet=NASTY, max_size=12),
    st.text(max_size=12),
    st.sampled_from(["=cmd|'/c calc'!A0", "NA", "null", "nan", "0111", "#N/A", "''"]),
)
# What no XML file can hold, and carriage returns, which spreadsheets do not keep.
NOT_IN_A_CELL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def as_csv(columns: dict[str, list[str]], separator: str) -> bytes:
    """Write with the standard library, quoting every text."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode("utf-8")


@given(
    values=st.lists(st.tuples(texts, texts), min_size=1, max_size=8),
    separator=st.sampled_from(list(SEPARATORS)),
)
@example(values=[("a,b,c", 'd"e'), ("f,g,h\n", ";")], separator=";")
@example(values=[("", "\0")], separator=",")
@settings(deadline=None, max_examples=150)
def test_any_quoted_text_survives_delimited_text(
    values: list[tuple[str, str]], separator: str
):
    columns = {"a": [a for a, _ in values], "b": [b for _, b in values]}
    data = as_csv(columns, separator)
    frame, _ = read_delimited(data, "t.csv", text_columns=["a", "b"])
    assert frame.to_dict("list") == columns


@given(values=st.lists(texts, min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_any_text_that_a_cell_can_hold_survives_a_workbook(values: list[str]):
    values = [NOT_IN_A_CELL.sub("", value) for value in values]
    frame = pd.DataFrame({"row": range(len(values)), "text": values}, dtype="object")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a b.xlsx"
        assert write_xlsx(path, {"t": frame}) == 0
        read = read_table(path, text_columns=["text"]).frame
    back = ["" if pd.isna(text) else text for text in read["text"]]
    assert back == values


@given(values=st.lists(texts, min_size=1, max_size=8))
@settings(deadline=None, max_examples=40)
def test_any_text_survives_parquet(values: list[str]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        write_parquet(path, pd.DataFrame({"text": values}, dtype="str"))
        assert read_table(path).frame["text"].tolist() == values


codes = st.from_regex(r"0\d{1,9}", fullmatch=True)


@given(values=st.lists(codes, min_size=1, max_size=6), named=st.booleans())
@settings(deadline=None, max_examples=40)
def test_codes_with_leading_zeros_survive_every_format(values: list[str], named: bool):
    frame = pd.DataFrame({"id": values, "n": range(len(values))})
    text_columns = ["id"] if named else []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"a.{kind}" for kind in ("csv", "xlsx", "parquet")]
        frame.to_csv(paths[0], index=False)
        write_xlsx(paths[1], {"t": frame})
        write_parquet(paths[2], frame)
        for path in paths:
            read = read_table(path, text_columns=text_columns).frame
            assert read["id"].tolist() == values
            assert read["n"].tolist() == list(range(len(values)))


@given(
    numbers=st.lists(
        st.floats(min_value=-1e12, max_value=1e12, allow_subnormal=False).map(
            lambda x: round(x, 6)
        ),
        min_size=1,
        max_size=8,
    ),
    comma=st.booleans(),
)
@example(numbers=[0.5, 1.234], comma=True)
@settings(deadline=None)
def test_numbers_survive_delimited_text(numbers: list[float], comma: bool):
    separator, sign = (";", ",") if comma else (",", ".")
    # 0.5 keeps a column of 1.234 from meaning thousands.
    rows = [f"{repr(x).replace('.', sign)}{separator}x" for x in [0.5, *numbers]]
    data = "\n".join([f"n{separator}t", *rows]).encode()
    frame, _ = read_delimited(data, "t.csv")
    assert frame["n"].tolist() == [0.5, *numbers]


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_read_or_refused_in_words(data: bytes):
    where = None
    try:
        frame, notes = read_delimited(data, "t.csv")
    except SourceError as error:
        where = str(error.where)
    if where is None:
        assert notes
        assert frame.shape[1] >= 1
    else:
        assert where.startswith("t.csv")

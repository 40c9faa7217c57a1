"""Reading delimited text: what is recognised, what is refused."""

from __future__ import annotations

import codecs

import pandas as pd
import pytest

from mlstats.delimited import read_delimited, recognise_separator
from mlstats.errors import ConfigError, SourceError


def read(text: str | bytes, **options: object) -> tuple[pd.DataFrame, list[str]]:
    data = text if isinstance(text, bytes) else text.encode()
    return read_delimited(data, "t.csv", **options)


def test_codes_keep_their_zeros_even_where_nobody_named_them():
    frame, _ = read("code,amount\n0111,2.50\n111,3\n")
    assert frame["code"].tolist() == ["0111", "111"]
    assert frame["amount"].tolist() == [2.5, 3.0]


def test_a_named_column_stays_text():
    frame, _ = read("code,n\n111,1\n112,2\n", text_columns=["code"])
    assert frame["code"].tolist() == ["111", "112"]
    assert frame["n"].dtype == "int64"


def test_words_for_missing_are_texts_and_quoted_empty_is_not_missing():
    frame, _ = read('country,text\nNA,null\nNone,nan\n"",\n,""\n')
    assert frame["country"].tolist()[:3] == ["NA", "None", ""]
    assert frame["country"].isna().tolist() == [False, False, False, True]
    assert frame["text"].isna().tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    "value",
    ["1E5", "12E4", "0111", "-0004", "+49", "1234567890123456", "1 000", "True", "inf"],
)
def test_what_only_looks_like_a_number_stays_text(value: str):
    frame, _ = read(f"a,b\n{value},1\n2,1\n")
    assert frame["a"].tolist() == [value, "2"]


@pytest.mark.parametrize(
    ("value", "number"),
    [("0.5", 0.5), (".5", 0.5), ("-.5", -0.5), ("5.", 5.0), ("1e-05", 1e-5)]
    + [("1.5E+07", 1.5e7), (" 12.5", 12.5), ("-0", 0.0), ("999999999999999", 1e15 - 1)],
)
def test_numbers_are_read_as_programs_write_them(value: str, number: float):
    frame, _ = read(f"a,b\n{value},1\n,1\n")
    assert frame["a"].iloc[0] == number
    assert pd.isna(frame["a"].iloc[1])


def test_a_column_without_values_stays_text():
    frame, _ = read("a,gold\n1,\n2,\n")
    assert frame["gold"].dtype == "str"
    assert frame["gold"].isna().all()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("text,n\nBrötchen,1\n".encode(), "utf-8 (recognised)"),
        (codecs.BOM_UTF8 + "text,n\nBrötchen,1\n".encode(), "utf-8-sig"),
        ("text,n\nBrötchen,1\n".encode("utf-16"), "utf-16 (by its byte order mark)"),
        ("text,n\nBrötchen,1\n".encode("utf-32"), "utf-32 (by its byte order mark)"),
        ("text,n\nBrötchen,1\n".encode("cp1252"), "cp1252 (the bytes are not UTF-8"),
    ],
)
def test_encodings_are_recognised_and_said(data: bytes, said: str):
    frame, notes = read(data)
    assert list(frame.columns) == ["text", "n"]
    assert frame["text"].tolist() == ["Brötchen"]
    assert any(said in note for note in notes)


def test_bytes_that_cp1252_lacks_are_latin_1():
    frame, notes = read(b"text,n\nK\xe4se\x81,1\n")
    assert frame["text"].tolist() == ["Käse\x81"]
    assert "latin-1" in notes[0]


def test_a_named_encoding_is_kept_and_a_wrong_one_refused():
    frame, notes = read("text,n\nŁódź,1\n".encode("cp1250"), encoding="cp1250")
    assert frame["text"].tolist() == ["Łódź"]
    assert notes[0] == "Encoding: cp1250 (as given)."
    with pytest.raises(SourceError, match="not valid utf-8") as caught:
        read(b"text,n\nBrot,1\nK\xe4se,2\n", encoding="utf-8")
    assert caught.value.where == "t.csv:3"
    with pytest.raises(ConfigError, match="'utf-9' does not exist"):
        read("a,b\n1,2\n", encoding="utf-9")


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "text,b\nKäse,2\n"])
def test_utf_16_without_a_mark_is_refused_with_advice(text: str):
    with pytest.raises(SourceError, match="NUL bytes") as caught:
        read(text.encode("utf-16-le"))
    assert "utf-16-le" in str(caught.value.hint)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_recognised_through_texts_that_hold_the_others(separator: str):
    others = [s for s in ",;\t|" if s != separator]
    rows = [
        ["text", "code"],
        [f'"a{separator}b\nc"', "0111"],
        [f"x{others[0]}y{others[0]}z", "0112"],
        [f"u{others[1]}{others[2]}", "0113"],
    ]
    frame, _ = read("\n".join(separator.join(row) for row in rows) + "\n")
    assert frame["code"].tolist() == ["0111", "0112", "0113"]
    assert frame["text"].iloc[0] == f"a{separator}b\nc"


def test_an_inch_mark_does_not_open_a_quotation():
    head = 'text;code\nTV 32";0111\nTV, 40", new;0112\nsofa;0113\n'
    assert recognise_separator(head) == ";"
    assert read(head)[0]["text"].tolist()[0] == 'TV 32"'


def test_the_cut_record_at_the_end_of_the_head_does_not_count():
    assert recognise_separator('a;b\n1;2\n3,4,5,6;"7,7', complete=False) == ";"


def test_one_column_is_one_column_whatever_its_texts_hold():
    frame, notes = read("text\nbread, white\nmilk\n")
    assert frame["text"].tolist() == ["bread, white", "milk"]
    assert "Separator: none, the file has one column (recognised)." in notes


def test_a_given_separator_wins_and_must_be_one_character():
    assert list(read("a:b\n1:2\n", separator=":")[0].columns) == ["a", "b"]
    with pytest.raises(ConfigError, match="not one character"):
        read("a::b\n", separator="::")


def test_decimal_commas_are_recognised_and_said():
    frame, notes = read("text;amount;n\nBrot;2,50;1\nMilch;-0,9;2\n")
    assert frame["amount"].tolist() == [2.5, -0.9]
    assert "Decimal sign: comma, in amount." in notes


def test_quoted_decimal_commas_are_recognised_beside_comma_separators():
    frame, _ = read('text,amount\nBrot,"2,50"\nMilch,"10,9"\n')
    assert frame["amount"].tolist() == [2.5, 10.9]


@pytest.mark.parametrize(
    "text",
    [
        'text,a\nx,"1,234"\ny,"2,500"\n',  # a comma that separates may group
        "a;b\n1.234;0,5\n2.500;1,5\n",  # points beside clear decimal commas
        "a\tb\n1,234\t0.5\n2,500\t1.5\n",  # commas beside clear decimal points
    ],
)
def test_a_sign_that_may_group_thousands_leaves_text_and_says_so(text: str):
    frame, notes = read(text)
    assert frame["a"].dtype == "str"
    assert any("Left as text" in note and " a;" in note for note in notes)


def test_a_sign_that_may_group_thousands_counts_where_nothing_speaks_against_it():
    assert read("w;n\n1.234;1\n2.500;2\n")[0]["w"].tolist() == [1.234, 2.5]
    assert read("w;n\n1,234;1\n2,500;2\n")[0]["w"].tolist() == [1.234, 2.5]


def test_a_given_decimal_sign_decides():
    frame, _ = read('text,a\nx,"1,234"\n', decimal=",")
    assert frame["a"].tolist() == [1.234]
    frame, _ = read("a;b\n1,5;2.5\n", decimal=".")
    assert frame["a"].tolist() == ["1,5"]
    assert frame["b"].tolist() == [2.5]
    with pytest.raises(ConfigError, match="decimal sign"):
        read("a;b\n1;2\n", decimal="'")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a,b\n1,2\nprivate,3,4\n5,6\n", 3, "3 values where the header has 2"),
        ('a,b\n"x\ny",2\n\nprivate\n5\n', 5, "1 values .* has 2, as have 1 more"),
    ],
)
def test_ragged_records_name_the_line_and_never_the_content(
    text: str, line: int, said: str
):
    with pytest.raises(SourceError, match=said) as caught:
        read(text)
    assert caught.value.where == f"t.csv:{line}"
    assert "private" not in str(caught.value)


def test_a_quotation_that_never_closes_is_refused_without_its_content():
    with pytest.raises(SourceError) as caught:
        read('a,b\n1,2\n"private,3\n4,5\n')
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b" \r\n\n", codecs.BOM_UTF8])
def test_an_empty_file_is_refused(data: bytes):
    with pytest.raises(SourceError, match="The file is empty"):
        read(data)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(end: str):
    frame, _ = read(end.join(["a,b", "1,x", "2,y", ""]))
    assert frame["a"].tolist() == [1, 2]
    assert frame["b"].tolist() == ["x", "y"]


def test_a_header_that_is_too_long_is_told_as_that() -> None:
    names = ",".join(f"a_long_name_{i}" for i in range(6000))
    data = f"{names}\n{',' * 5999}\n".encode()
    with pytest.raises(SourceError, match="first record is longer than 64 KiB"):
        read_delimited(data, "wide.csv")

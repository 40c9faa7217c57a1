from __future__ import annotations

import pandas as pd
import pytest

from mlstats.coding.text import Parser, normalise, parse, seen, word_sets
from mlstats.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café-crème, 1/2 L", "cafe creme 1 2 l"),
        ("  Œufs\tFRAIS\nX12 ", "œufs frais x12"),
        ("STRASSE Straße", "strasse straße"),
        ("ﬁn ２ Ⅳ", "fin 2 iv"),
        ("İstanbul ΟΔΟΣ", "istanbul οδος"),
        ("хлеб «Бородинский»", "хлеб бородинскии"),
        ("パン・バター", "ハン ハター"),
        ("خُبْز", "خبز"),
        ("🥖 bread 👩🏽‍🍳", "bread"),
        ("a_b\x00c\x07", "a_b c"),
        ("\ud800 broken", "broken"),
        ("...", ""),
        ("", ""),
        (None, ""),
        (float("nan"), ""),
        (pd.NA, ""),
        (111, "111"),
    ],
)
def test_normalise(text: object, expected: str) -> None:
    assert normalise(pd.Series([text], dtype=object)).tolist() == [expected]


def test_normalise_keeps_index_and_name_and_repeats() -> None:
    texts = pd.Series(["B", None, "b", "B"], index=[7, 3, 9, 3], name="label")
    expected = pd.Series(["b", "", "b", "b"], [7, 3, 9, 3], name="label", dtype="str")
    pd.testing.assert_series_equal(normalise(texts), expected)


def test_normalise_takes_categories_and_nothing_at_all() -> None:
    texts = pd.Series(pd.Categorical(["A", None, "A"], categories=["A", "unused"]))
    assert normalise(texts).tolist() == ["a", "", "a"]
    assert normalise(pd.Series([], dtype="str")).tolist() == []


def test_texts_of_a_block_do_not_touch_each_other() -> None:
    # More texts than one block, with marks and line feeds at the seams.
    texts = [f"{i} a\u0301\n" if i % 2 else f"\u0301{i}\nΣ" for i in range(2000)]
    expected = [f"{i} a" if i % 2 else f"{i} σ" for i in range(2000)]
    assert normalise(pd.Series(texts)).tolist() == expected


def test_very_long_text() -> None:
    text = "é " * 50_000
    assert normalise(pd.Series([text])).tolist() == [("e " * 50_000).strip()]
    assert parse(pd.Series([text])).tolist() == ["e"]


def test_parse_drops_order_and_repetition() -> None:
    texts = pd.Series(["Milk, whole MILK", "whole milk", None, "!"], index=[4, 5, 6, 7])
    phrases = parse(texts)
    assert phrases.tolist() == ["milk whole", "milk whole", "", ""]
    assert phrases.index.tolist() == [4, 5, 6, 7]


def test_parser_replaces_before_it_drops_and_only_once() -> None:
    parser = Parser(drop=["DE"], replace={"Choc": "chocolat", "von": "de", "a": "b"})
    texts = pd.Series(["choc von a", "b de chocolat", "de"])
    assert parse(texts, parser).tolist() == ["b chocolat", "b chocolat", ""]
    assert parse(pd.Series(["a b"]), Parser(replace={"a": "b", "b": "a"})).tolist() == [
        "a b"
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"drop": ["of the"]}, "'of the'"),
        ({"drop": ["?"]}, "'?'"),
        ({"replace": {"choc bar": "x"}}, "'choc bar'"),
        ({"replace": {"choc": ""}}, "''"),
    ],
)
def test_parser_takes_single_words_only(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match="not one word") as caught:
        Parser(**options)  # type: ignore[arg-type]
    assert named in str(caught.value)


def test_word_sets_of_texts_without_words() -> None:
    incidence, words = word_sets(pd.Series(["", "x", ""]), Parser(drop=["x"]))
    assert incidence.shape == (3, 0)
    assert len(words) == 0


def test_seen_compares_normalised_texts() -> None:
    train = pd.Series(["Whole milk", None, "Rye-bread"])
    test = pd.Series(["WHOLE  MILK!", "milk", "rye bread", ""])
    assert seen(train, test).tolist() == [True, False, True, True]

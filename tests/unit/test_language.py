from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from mlstats.coding import steps
from mlstats.coding.language import Language, make_parser
from mlstats.coding.matching import ExactIndex, WeightedIndex
from mlstats.errors import ConfigError

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "language").glob("*.yaml"))


def parser(*listed: dict[str, Any]) -> Language:
    return Language.model_validate({"language": "en", "steps": list(listed)})


def parsed(text: object, *listed: dict[str, Any]) -> str:
    return str(parser(*listed).apply(pd.Series([text], dtype=object)).iloc[0])


@pytest.mark.parametrize(
    ("text", "step", "wanted"),
    [
        ("KÄSE a\u0308", {"characters": {"ä": "ae"}}, "kaese ae"),
        ("milk (fresh) [x] cup", {"clauses": ["()", "[]"]}, "milk cup"),
        ("open ( end", {"clauses": ["()"]}, "open end"),
        ("N/A, naan", {"delete": ["n/a"]}, "naan"),
        ("Pommes de  Terre", {"phrases": {"pommes de terre": "patate"}}, "patate"),
        ("pommes de terres", {"phrases": {"pommes de terre": "x"}}, "pommes de terres"),
        ("choc choc", {"synonyms": {"CHOC": "chocolate bar"}}, "chocolate bar " * 2),
        ("bus tomatoes", {"suffixes": {"es": "", "s": ""}}, "bus tomato"),
        ("Café de la gare", {"trivial": ["DE", "là"]}, "cafe gare"),
        ("7 up 45", {"numbers": "drop"}, "up"),
        ("7 up 45", {"numbers": "mark"}, "0 up 0"),
        ("milk 1,5 L 6x500g 3", {"units": ["l", "g"]}, "milk 3"),
        ("kg milk", {"units": ["kg"]}, "kg milk"),
        ("牛乳パン ok", {"grams": 2}, "牛乳 乳ハ ハン ok"),
        ("b a c", {"sort": True}, "a b c"),
        ("b a b", {"unique": True}, "b a"),
    ],
)
def test_each_step(text: str, step: dict[str, Any], wanted: str) -> None:
    assert parsed(text, step) == wanted.strip()


def test_the_order_of_steps_counts() -> None:
    plural, synonym = {"suffixes": {"s": ""}}, {"synonyms": {"roll": "bread"}}
    assert parsed("rolls", plural, synonym) == "bread"
    assert parsed("rolls", synonym, plural) == "roll"


def test_missing_and_nul_and_numbers_are_texts() -> None:
    texts = pd.Series([None, "x\0y", 3, float("nan"), ""], index=list("abcde"))
    found = parser({"sort": True}).apply(texts)
    assert found.tolist() == ["", "x y", "3", "", ""]
    assert found.index.tolist() == list("abcde")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_parsers_can_be_read_and_leave_something(path: Path) -> None:
    language = Language.read(path)
    assert language.language == path.stem
    texts = ["Whole milk 500 g", "牛乳500ml", "Käse (Stück)", "1 kg", None]
    found = language.apply(pd.Series(texts, dtype=object))
    assert all(found.iloc[:3] != "")
    assert found.iloc[3:].tolist() == ["", ""]


def test_five_languages_are_shipped() -> None:
    assert [path.stem for path in SHIPPED] == ["de", "en", "fr", "it", "ja"]


@pytest.mark.parametrize(
    ("written", "line", "title"),
    [
        ("language: fr\nsteps:\n  - trivial: [de]\n  - trivail: [la]\n", 4, "Extra"),
        ("language: fr\nsteps:\n  - trivial: [no]\n", 3, "valid string"),
        (
            "language: fr\nsteps:\n  - sort: true\n  - clauses: ['()']\n",
            1,
            "must stand before",
        ),
        ("language: fr\nsteps:\n  - trivial: [de la]\n", 3, "more than one word"),
        (
            "language: fr\nsteps:\n  - sort: true\n    unique: true\n",
            3,
            "one key, this one has 2",
        ),
        ("language: fr\nsteps:\n  - clauses: ['((']\n", 3, "not a pair"),
        ("language: fr\nsteps:\n  - characters: {oe: x}\n", 3, "not one character"),
        ("language: fr\nsteps:\n  - trivial:\n", 3, "empty"),
        ("language: fr\nsteps: [\n", 3, "not YAML"),
    ],
)
def test_errors_name_file_and_line(
    tmp_path: Path, written: str, line: int, title: str
) -> None:
    path = tmp_path / "my parser.yaml"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Language.read(path)
    assert title in str(caught.value)
    assert f"{path}:{line}" in str(caught.value.where)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        make_parser(tmp_path / "none.yaml")


def test_a_mapping_is_a_parser_too() -> None:
    assert make_parser(None) is None
    with pytest.raises(ConfigError, match="one key"):
        make_parser({"language": "en", "steps": [{}]})
    with pytest.raises(ValidationError):
        Language.model_validate({"language": "en", "steps": []})


def test_words_are_worked_out_once() -> None:
    asked: list[str] = []

    def note(word: str) -> str:
        asked.append(word)
        return word

    steps.map_words(["a b", "b a", "a"], note)
    assert asked == ["a", "b"]


# In the methods

DEFINITION = {
    "language": "en",
    "steps": [{"units": ["l"]}, {"trivial": ["of"]}, {"sort": True}],
}
TRAIN = pd.DataFrame({"text": ["Bottle of milk", "rye bread"]})


@pytest.mark.parametrize("cls", [ExactIndex, WeightedIndex])
def test_the_parser_makes_a_direct_match(cls: Any, tmp_path: Path) -> None:
    new = pd.DataFrame({"text": ["milk 1.5 L bottle"]})
    match = cls(parser=DEFINITION).fit(TRAIN, ["1", "2"])
    codes, scores = match.predict_top(new, 1)
    assert (codes.tolist(), scores.tolist()) == ([["1"]], [[1.0]])
    assert match.outcome(new).tolist() == ["unique"]


def test_a_saved_match_keeps_its_parser(tmp_path: Path) -> None:
    path = tmp_path / "parser.yaml"
    path.write_text("language: en\nsteps:\n  - trivial: [of]\n", encoding="utf-8")
    match = ExactIndex(parser=path).fit(TRAIN, ["1", "2"])
    match.save(tmp_path)
    path.unlink()
    loaded = ExactIndex.load(tmp_path)
    assert loaded.predict(pd.DataFrame({"text": ["bottle milk"]})).tolist() == ["1"]

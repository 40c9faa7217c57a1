from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from mlstats.coding import overlap
from mlstats.coding.matching import ExactIndex, WeightedIndex
from mlstats.errors import ConfigError, MethodError, SourceError

Match = type[ExactIndex] | type[WeightedIndex]
BOTH = pytest.mark.parametrize("cls", [ExactIndex, WeightedIndex])

TRAIN = pd.DataFrame(
    [
        ("Whole milk", "0114"),
        ("skimmed milk", "0114"),
        ("rye bread", "0111"),
        ("Bread", "0111"),
        ("bread!", "0111"),
        ("BREAD", "0112"),
        ("oat drink", "0122"),
        ("no code", None),
        ("...", "0111"),
        (None, "0111"),
    ],
    columns=["text", "code"],
)


def frame(*texts: str | None) -> pd.DataFrame:
    return pd.DataFrame({"text": pd.Series(texts, dtype=object)})


def fitted(cls: Match, **parameters: Any) -> Any:
    return cls(**parameters).fit(TRAIN[["text"]], TRAIN["code"])


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "coding index.csv"
    path.write_text(
        "text;code;frequency\nCafé crème;0012;3\nCafe creme;0013;1\nrye bread;0112;9\n",
        encoding="utf-8",
    )
    return path


# Exact match


def test_exact_match_of_normalised_texts() -> None:
    match = fitted(ExactIndex)
    new = frame("RYE, bread", "milk whole", "bread", "no code", "", None)
    assert match.predict(new).tolist() == ["0111"] + [None] * 5
    wanted = ["unique", "none", "multiple", "none", "none", "none"]
    assert match.outcome(new).tolist() == wanted


def test_exact_match_by_frequency() -> None:
    match = fitted(ExactIndex, on_multiple="frequency")
    codes, scores = match.predict_top(frame("bread", "rye bread"), k=3)
    assert codes.tolist() == [["0111", "0112", None], ["0111", None, None]]
    np.testing.assert_allclose(scores, [[2 / 3, 1 / 3, 0], [1, 0, 0]])


def test_equally_frequent_codes_go_by_the_whole_dictionary_then_by_code() -> None:
    texts = ["a", "a", "a", "b"]
    match = ExactIndex(on_multiple="frequency").fit(frame(*texts), list("3213"))
    codes, scores = match.predict_top(frame("a"), k=3)
    assert codes.tolist() == [["3", "1", "2"]]
    np.testing.assert_allclose(scores, 1 / 3)


def test_on_multiple_must_be_known() -> None:
    with pytest.raises(ConfigError, match="on_multiple is 'clerks'") as caught:
        fitted(ExactIndex, on_multiple="clerks")
    assert caught.value.nearest == "clerk"


# Weighted match


def test_word_order_and_repetition_do_not_count() -> None:
    match = fitted(WeightedIndex)
    codes, scores = match.predict_top(frame("milk, WHOLE milk"), k=1)
    assert codes.tolist() == [["0114"]]
    assert scores.tolist() == [[1.0]]


def test_each_code_once_best_first_and_no_filling() -> None:
    texts = ["a b", "a b c", "a d", "e f", "g h"]
    match = WeightedIndex().fit(frame(*texts), ["1", "1", "2", "1", "3"])
    codes, scores = match.predict_top(frame("a b", "x"), k=3)
    assert codes.tolist() == [["1", "2", None], [None] * 3]
    assert 1 == scores[0, 0] > scores[0, 1] > scores[0, 2] == 0
    assert scores[1].tolist() == [0.0] * 3


def test_codes_of_one_phrase_go_by_their_share() -> None:
    match = fitted(WeightedIndex)
    codes, scores = match.predict_top(frame("bread"), k=2)
    assert codes.tolist() == [["0111", "0112"]]
    assert scores.tolist() == [[1.0, 1.0]]


def test_a_word_of_every_code_still_keeps_two_phrases_apart() -> None:
    texts = ["fish", "other fish", "meat", "other meat"]
    match = WeightedIndex().fit(frame(*texts), ["2", "1", "1", "2"])
    codes, scores = match.predict_top(frame("other fish", "fish"), k=2)
    assert codes[:, 0].tolist() == ["1", "2"]
    assert (scores[:, 0] > scores[:, 1]).all()


def test_one_code_and_one_word() -> None:
    match = WeightedIndex().fit(frame("milk"), ["0114"])
    assert match.predict(frame("milk", "oat milk", "")).tolist() == ["0114"] * 2 + [
        None
    ]
    assert match.weights_.tolist() == [1.0]


def test_unknown_words_weigh_what_is_asked() -> None:
    new = frame("oat drink barista")
    score = {
        weight: fitted(WeightedIndex, unknown_weight=weight).predict_top(new, 1)[1][
            0, 0
        ]
        for weight in (0.0, 0.5, 1.0)
    }
    # Both words of "oat drink" settle its code: 2 * 2 / (2 + 2 + unknown).
    assert score == pytest.approx({0.0: 1.0, 0.5: 4 / 4.5, 1.0: 4 / 5}, abs=1e-7)


def test_outcomes_at_their_limits() -> None:
    texts, codes = ["a b", "a c", "d e"], ["1", "2", "3"]
    new = frame("d e", "d", "d x", "a b c", "d y z", "x")
    # 10, 6.666667 (2/3), 5.714286 (4/7), near tie, 5 and nothing.
    match = WeightedIndex(upper=5.714286, lower=5, gap=0.5).fit(frame(*texts), codes)
    assert match.outcome(new).tolist() == [
        "unique",
        "unique",
        "unique",
        "multiple",
        "possible",
        "failed",
    ]
    strict = clone(match).set_params(upper=5.714287, lower=5.000001)
    strict.fit(frame(*texts), codes)
    wanted = ["unique", "unique", "possible", "multiple", "failed", "failed"]
    assert strict.outcome(new).tolist() == wanted
    assert strict.predict(frame("d y z")).tolist() == [None]


def test_a_gap_of_its_own_size_is_enough() -> None:
    match = WeightedIndex(upper=0, gap=10).fit(frame("a", "b"), ["1", "2"])
    assert match.outcome(frame("a")).tolist() == ["unique"]


def test_parser_works_on_dictionary_and_texts() -> None:
    match = fitted(WeightedIndex, drop=["de"], replace={"lait": "milk"})
    codes, scores = match.predict_top(frame("de LAIT whole", "de", "lait"), k=1)
    assert codes[:, 0].tolist() == ["0114", None, "0114"]
    assert scores[0, 0] == 1.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"upper": 4, "lower": 5}, "limits of the score"),
        ({"upper": 11}, "limits of the score"),
        ({"gap": -1}, "limits of the score"),
        ({"unknown_weight": 1.5}, "unknown_weight is 1.5"),
        ({"drop": ["two words"]}, "not one word"),
    ],
)
def test_parameters_that_do_not_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fitted(WeightedIndex, **parameters)


def test_answers_do_not_depend_on_blocks_or_on_words_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(60)])
    p = 1 / np.arange(1, 61)
    texts = [" ".join(rng.choice(words, 4, p=p / p.sum())) for _ in range(1500)]
    codes = [f"{c:02d}" for c in rng.integers(0, 30, 1000)]
    new = frame(*texts[800:])
    match = WeightedIndex().fit(frame(*texts[:1000]), codes)
    assert len(match._overlap._tries) > 1
    found = match.predict_top(new)
    monkeypatch.setattr(overlap, "_LEFT_OUT", (0,))
    monkeypatch.setattr(overlap, "_BLOCK_WORK", 100)
    whole = WeightedIndex().fit(frame(*texts[:1000]), codes).predict_top(new)
    np.testing.assert_array_equal(found[0], whole[0])
    np.testing.assert_array_equal(found[1], whole[1])


def test_a_tie_with_words_left_out_is_searched_again() -> None:
    # "the" is in so many entries that it is left out at first, and "the" alone is
    # as similar to "the a" as "a" is; its code has more rows and must win.
    texts = ["a", "the", *(f"the w{i}" for i in range(100))]
    match = WeightedIndex().fit(frame(*texts), ["2"] + ["1"] * 101)
    assert len(match._overlap._tries) > 1
    codes, scores = match.predict_top(frame("the a"), k=2)
    assert codes.tolist() == [["1", "2"]]
    assert scores[0, 0] == scores[0, 1] == pytest.approx(2 / 3, abs=1e-7)
    assert match.predict(frame("the a")).tolist() == ["1"]


def test_too_many_entries_for_the_sort_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_SCORE_SHIFT", 1)
    with pytest.raises(MethodError, match="entries"):
        fitted(WeightedIndex)


# Both


@BOTH
def test_rows_keep_their_places_and_repeats(cls: Match) -> None:
    match = fitted(cls)
    new = frame("rye bread", "oat drink", None, "rye bread").set_axis([9, 9, 2, 1])
    assert match.predict(new).tolist() == ["0111", "0122", None, "0111"]
    assert match.predict(new.iloc[:0]).shape == (0,)
    codes, scores = match.predict_top(new.iloc[:0], k=3)
    assert codes.shape == scores.shape == (0, 3)


@BOTH
def test_classes_are_the_codes_of_usable_rows(cls: Match) -> None:
    assert fitted(cls).classes_.tolist() == ["0111", "0112", "0114", "0122"]


@BOTH
def test_odd_texts_are_answered(cls: Match) -> None:
    odd = ["\ud800", "🥖" * 1000, "x " * 50_000, "\x00", "हिन्दी", "", "=1+1", "\n"]
    assert fitted(cls).predict(frame(*odd)).tolist() == [None] * len(odd)
    match = cls().fit(frame(*odd), ["1"] * len(odd))
    assert match.predict(frame("x " * 50_000)).tolist() == ["1"]


@BOTH
def test_index_file_alone_and_merged_with_training(cls: Match, index: Path) -> None:
    options = {"on_multiple": "frequency"} if cls is ExactIndex else {}
    new = frame("CAFÉ CRÈME", "rye bread", "oat drink")
    alone = cls(index, training=False, **options).fit(TRAIN[["text"]])
    assert alone.predict(new).tolist() == ["0012", "0112", None]
    assert alone.classes_.tolist() == ["0012", "0013", "0112"]
    merged = cls(str(index), **options).fit(TRAIN[["text"]], TRAIN["code"])
    assert merged.predict(new).tolist() == ["0012", "0112", "0122"]


@BOTH
@pytest.mark.parametrize("suffix", ["csv.gz", "parquet", "xlsx"])
def test_index_formats(cls: Match, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"index.{suffix}"
    entries = pd.DataFrame({"code": ["0111", "0114"], "text": ["bread", "milk"]})
    write = {"csv.gz": "to_csv", "parquet": "to_parquet", "xlsx": "to_excel"}[suffix]
    getattr(entries, write)(path, index=False)
    match = cls(path, training=False).fit(frame())
    assert match.predict(frame("milk", "bread")).tolist() == ["0114", "0111"]


@BOTH
@pytest.mark.parametrize(
    ("content", "message", "where"),
    [
        ("texts,code\nmilk,0114\n", "no column 'text'", "index.csv"),
        ("text,label\nmilk,0114\n", "no column 'code'", "index.csv"),
        ("text,code,frequency\na,1,2\nb,1,x\nc,1,\n", "1 rows", "first in row 2"),
        ("text,code,frequency\na,1,0\nb,1,-1\n", "2 rows", "first in row 1"),
    ],
)
def test_broken_index(
    cls: Match, content: str, message: str, where: str, tmp_path: Path
) -> None:
    path = tmp_path / "index.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=message) as caught:
        cls(path, training=False).fit(frame())
    assert where in str(caught.value.where)


@BOTH
def test_missing_index_file(cls: Match, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not there"):
        cls(tmp_path / "absent.csv", training=False).fit(frame())


@BOTH
def test_no_dictionary_no_codes_no_text_no_entry(cls: Match) -> None:
    with pytest.raises(ConfigError, match="no dictionary"):
        cls(training=False).fit(frame("milk"), ["0114"])
    with pytest.raises(MethodError, match="no codes"):
        cls().fit(frame("milk"))
    with pytest.raises(MethodError, match="no column 'text'"):
        cls().fit(pd.DataFrame({"texts": ["milk"]}), ["0114"])
    with pytest.raises(MethodError, match="no entry|has no entry"):
        cls().fit(frame("...", "milk"), ["0114", None])
    with pytest.raises(NotFittedError):
        cls().predict(frame("milk"))


@BOTH
def test_errors_do_not_repeat_texts(cls: Match, tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text("text,code,frequency\nsecret,1,x\n", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        cls(path).fit(frame("secret"), ["1"])
    assert "secret" not in str(caught.value)


@BOTH
def test_parameters_survive_cloning(cls: Match, index: Path) -> None:
    match = cls(index, training=False)
    assert clone(match).get_params() == match.get_params()


@BOTH
def test_saved_match_answers_the_same_in_another_process(
    cls: Match, index: Path, tmp_path: Path
) -> None:
    special: dict[str, Any] = (
        {"on_multiple": "frequency"}
        if cls is ExactIndex
        else {"drop": ("de",), "replace": {"lait": "milk"}, "lower": 1.0}
    )
    match = cls(index, **special).fit(TRAIN[["text"]], TRAIN["code"])
    folder = tmp_path / "model"
    match.save(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["dictionary.parquet", "matching.json"]
    new = frame("lait de bread", "cafe creme", "bread", "rye", None)
    new.to_parquet(tmp_path / "new.parquet")
    program = (
        "import sys, numpy, pandas; from pathlib import Path\n"
        f"from mlstats.coding.matching import {cls.__name__} as Match\n"
        "match = Match.load(Path(sys.argv[1]))\n"
        "codes, scores = match.predict_top(pandas.read_parquet(sys.argv[2]))\n"
        "print(match.get_params()); print(codes.tolist()); print(scores.tolist())"
    )
    arguments = [
        sys.executable,
        "-c",
        program,
        str(folder),
        str(tmp_path / "new.parquet"),
    ]
    said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    codes, scores = match.predict_top(new)
    assert said.splitlines()[1:] == [str(codes.tolist()), str(scores.tolist())]
    loaded = cls.load(folder)
    assert loaded.index == str(index)
    pd.testing.assert_frame_equal(loaded.entries_, match.entries_)


@BOTH
def test_load_of_something_else(cls: Match, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        cls.load(tmp_path)
    other = WeightedIndex if cls is ExactIndex else ExactIndex
    fitted(other).save(tmp_path)
    with pytest.raises(SourceError, match=f"a saved {other.__name__}"):
        cls.load(tmp_path)


# Real texts: the figures measured with a prototype of the same definition


@pytest.mark.parametrize(
    ("name", "exact", "weighted"),
    [
        ("hbs_coicop_fr", 0.255, 0.622),
        ("products_coicop_multi", 0.007, 0.845),
        ("occupation_hisco_en", 0.593, 0.811),
    ],
)
def test_accuracy_on_real_texts(
    real_data: Path, name: str, exact: float, weighted: float
) -> None:
    data = pd.read_parquet(real_data / "coding" / name / "data.parquet")
    data = data[data["text"].notna()]
    train, test = data[data["split"] == "train"], data[data["split"] == "test"]
    truth = test["code"].to_numpy(dtype=object)
    for match, least in [
        (ExactIndex(on_multiple="frequency"), exact),
        (WeightedIndex(), weighted),
    ]:
        match.fit(train[["text"]], train["code"])
        assert (match.predict(test[["text"]]) == truth).mean() >= least

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import fasttext
import numpy as np
import pandas as pd
import pytest

from mlstats.coding import fasttext as own
from mlstats.coding.fasttext import FastText
from mlstats.errors import ConfigError, MethodError, SourceError

GOODS = {
    "01.1": ["bread", "rolls", "rice"],
    "01 2; x": ["beef", "sausage", "ham"],  # codes may contain anything
    "__label__3": ["milk", "yoghurt", "cheese"],
}
BRANDS = ["alba", "norda", "vitae"]


def products(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    code = rng.choice(list(GOODS), n)
    text = [f"{rng.choice(BRANDS)} {rng.choice(GOODS[c])}" for c in code]
    wrong = rng.random(n) < 0.1
    return pd.DataFrame(
        {
            "text": text,
            "shop": np.where(code == "01 2; x", "the butcher", "market"),
            "code": np.where(wrong, rng.permutation(code), code),
        }
    )


TRAIN, VALID, TEST = products(200, 1), products(100, 2), products(100, 3)
QUICK = {"dim": 10, "epoch": 8}


def frame(*texts: str | None) -> pd.DataFrame:
    return pd.DataFrame({"text": pd.Series(texts, dtype=object)})


def fitted(rows: pd.DataFrame = TRAIN, **parameters: Any) -> FastText:
    coder = FastText(**{**QUICK, **parameters})
    coder.fit(rows[["text"]], rows["code"])
    return coder.calibrate(VALID[["text"]], VALID["code"])


@pytest.fixture(scope="module")
def coder() -> FastText:
    return fitted()


def raw_model(coder: FastText, folder: Path) -> Any:
    path = folder / "raw.bin"
    path.write_bytes(coder.model_)
    return fasttext.load_model(str(path))


def test_learns_the_codes(coder: FastText) -> None:
    X = frame("Norda BEEF", "vitae rolls", "cheese!")
    assert coder.predict(X).tolist() == ["01 2; x", "01.1", "__label__3"]
    codes, scores = coder.predict_top(X, k=4)
    assert codes[:, 0].tolist() == coder.predict(X).tolist()
    assert codes[:, 3].tolist() == [None] * 3
    assert (np.diff(scores, axis=1) <= 0).all()


def test_scores_are_fasttexts_own(coder: FastText, tmp_path: Path) -> None:
    counts = coder.terms_.transform(TEST[["text"]])
    lines = [line.split(" ", 1)[1] for line in own._lines(counts, np.zeros(100, int))]
    labels, chances = raw_model(coder, tmp_path).predict(lines, k=-1)
    scores = coder._scores(TEST[["text"]])
    mine = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for row in range(100):
        of_label = dict(zip(labels[row], chances[row], strict=True))
        expected = [of_label[f"__label__{code}"] for code in range(3)]
        # fastText reads its exponentials from a table of 512 cells.
        np.testing.assert_allclose(mine[row], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("text", [None, "", "?", "\n", float("nan")])
def test_a_text_without_a_word_is_never_coded(
    coder: FastText, text: str | None
) -> None:
    X = pd.DataFrame({"text": pd.Series(["beef", text], dtype=object)})
    assert coder.predict(X).tolist() == ["01 2; x", None]
    assert coder.predict_top(X)[0][1].tolist() == [None] * 5


def test_a_line_feed_inside_a_text_and_unknown_words(coder: FastText) -> None:
    assert coder.predict(frame("norda\nbeef")).tolist() == ["01 2; x"]
    assert coder.predict(frame("qqqq"))[0] in GOODS


def test_training_twice_gives_the_same_bytes_even_on_a_dirty_heap(
    coder: FastText,
) -> None:
    dirt = [np.full(size, 1e30) for size in (2**8, 2**14, 2**20) for _ in range(20)]
    del dirt
    assert fitted().model_ == coder.model_
    assert fitted(random_state=1).model_ != coder.model_


def test_every_vector_comes_from_the_seed_not_from_memory(tmp_path: Path) -> None:
    rows = TRAIN[:60]
    coder = FastText(dim=4, epoch=1, lr=1e-9).fit(rows[["text"]], rows["code"])
    vectors = raw_model(coder, tmp_path).get_input_matrix()
    assert len(vectors) == sum(map(len, coder.terms_.names_.values())) + 1
    assert (np.abs(vectors) <= 0.6).all()
    assert len(np.unique(vectors.round(4), axis=0)) == len(vectors)


# Confidentiality


def test_a_rare_name_is_not_in_the_model(tmp_path: Path) -> None:
    planted = pd.DataFrame({"text": ["zqxwvu beef"], "code": ["01 2; x"]})
    rows = pd.concat([TRAIN[["text", "code"]], planted], ignore_index=True)
    coder = fitted(rows)
    coder.save(tmp_path)
    for path in tmp_path.iterdir():
        assert b"zqx" not in path.read_bytes()
    words = raw_model(coder, tmp_path).get_words()
    assert all(word == "</s>" or word.isdigit() for word in words)
    assert len(words) == sum(map(len, coder.terms_.names_.values())) + 1
    again = pd.concat([rows, planted], ignore_index=True)
    assert "zqxwvu" in fitted(again).terms_.names_["words"]
    one_household = pd.Series(range(len(again))).astype(str)
    one_household.iloc[-2:] = "h"
    kept = FastText(**QUICK).fit(again[["text"]], again["code"], one_household)
    assert "zqxwvu" not in kept.terms_.names_["words"]


def test_training_files_are_private_hold_no_text_and_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: dict[str, int] = {}
    content = b""
    really = subprocess.run

    def look(command: list[str], **how: Any) -> Any:
        nonlocal content
        folder = Path(command[-1]).parent
        seen["."] = stat.S_IMODE(folder.stat().st_mode)
        for path in folder.iterdir():
            seen[path.name] = stat.S_IMODE(path.stat().st_mode)
            content += path.read_bytes()
        return really(command, **how)

    with patch.object(own.subprocess, "run", look):
        fitted()
    assert set(seen) == {".", "rows.txt", "vectors.txt", "job.json"}
    if os.name == "posix":
        assert seen.pop(".") == 0o700
        assert set(seen.values()) == {0o600}
    assert b"beef" not in content
    assert b"01.1" not in content
    assert list(tmp_path.iterdir()) == []


def test_files_are_removed_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(MethodError, match="NaN"):
        fitted(lr=1e30)
    assert list(tmp_path.iterdir()) == []


# The training process


def test_the_training_process_imports_nothing_heavy() -> None:
    code = (
        "import sys, mlstats.coding.fasttext_training as t; t.clear_new_memory();"
        "print([m for m in ('pandas', 'sklearn', 'scipy', 'pyarrow')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (-4, "", "signal 4: it said nothing"),
        (1, "a\nRuntimeError: no room\n", "exit code 1: RuntimeError: no room"),
        (1, "RuntimeError: Encountered NaN.", "NaN"),
    ],
)
def test_a_failed_process_is_told(code: int, said: str, told: str) -> None:
    ended = subprocess.CompletedProcess([], code, "", said)
    with (
        patch.object(own.subprocess, "run", return_value=ended),
        pytest.raises(MethodError, match=told),
    ):
        fitted()


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fasttext", None)
    with pytest.raises(ConfigError) as told:
        fitted()
    assert "pip install fasttext-numpy2" in str(told.value)


def test_parameters_are_checked() -> None:
    for wrong in ({"loss": "hs"}, {"dim": 0}, {"epoch": 0}, {"lr": 0}, {"minn": 0}):
        with pytest.raises(ConfigError):
            fitted(**wrong)


def test_each_code_against_the_rest() -> None:
    coder = fitted(loss="ova", lr=0.5)
    assert coder.predict(frame("norda beef")).tolist() == ["01 2; x"]


def test_covariates_are_terms() -> None:
    rows = pd.DataFrame({"text": ["item"] * 40, "shop": ["a fish", "wine"] * 20})
    y = pd.Series(["0113", "0212"] * 20)
    coder = FastText(**QUICK).fit(rows, y)
    assert coder.predict(rows[:2]).tolist() == ["0113", "0212"]
    assert "shop=a fish" in coder.terms_.names_["covariates"]
    ignoring = FastText(**QUICK, covariates="ignore").fit(rows, y)
    assert len(set(ignoring.predict(rows[:2]))) == 1


# Files


def test_a_loaded_model_gives_identical_answers(
    coder: FastText, tmp_path: Path
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    coder.save(folder)
    loaded = FastText.load(folder)
    assert loaded.get_params() == coder.get_params()
    X = TEST[["text"]]
    for mine, other in zip(coder.predict_top(X), loaded.predict_top(X), strict=True):
        assert mine.tolist() == other.tolist()


def test_a_quantised_model_is_small_and_the_same_after_loading(tmp_path: Path) -> None:
    many = TRAIN["text"] + [f" lot{number // 2 * 7919:06d}" for number in range(200)]
    rows = TRAIN.assign(text=many)
    coder = fitted(rows)
    small, again = (fitted(rows, quantise=True) for _ in range(2))
    assert small.model_ == again.model_
    for name, method in (("whole", coder), ("small", small)):
        (tmp_path / name).mkdir()
        method.save(tmp_path / name)
    assert len(small.model_) < len(coder.model_) / 2
    assert fasttext.load_model(str(tmp_path / "small" / "fasttext.ftz")).is_quantized()
    loaded = FastText.load(tmp_path / "small")
    X = TEST[["text"]]
    assert (small.predict(X) == coder.predict(X)).mean() > 0.95
    for mine, other in zip(small.predict_top(X), loaded.predict_top(X), strict=True):
        assert mine.tolist() == other.tolist()


def test_a_small_vocabulary_is_not_quantised() -> None:
    with pytest.raises(MethodError, match="too few"):
        FastText(**QUICK, quantise=True).fit(TRAIN[["text"]], TRAIN["code"])


def test_a_script_without_blanks() -> None:
    X = frame(*["牛乳を買う", "牛乳", "食パン、買う", "食パン"] * 10)
    y = pd.Series(["0114", "0114", "0111", "0111"] * 10)
    coder = FastText(**QUICK, word_ngrams=0, minn=1, maxn=2).fit(X, y)
    assert len(coder.terms_.names_["words"]) == 0
    assert coder.predict(frame("安い牛乳", "食パン")).tolist() == ["0114", "0111"]


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        FastText.load(tmp_path)

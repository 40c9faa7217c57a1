"""The one extension point: building, predicting, the two adapters."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlstats
from mlstats.errors import ConfigError, MethodError
from mlstats.method import Incumbent, build, predict_top, work_of

X = pd.DataFrame({"text": ["tea", "milk", "tea", ""], "shop": ["a", "b", "a", "b"]})
Y = pd.Series(["01.2", "01.1", "01.2", "01.1"])

PROGRAM = """
import sys, pandas as pd
train, data, result = sys.argv[1:4]
read = pd.read_parquet if result.endswith("parquet") else pd.read_csv
known = pd.read_parquet(train) if train.endswith("parquet") else pd.read_csv(
    train, dtype=str)
book = dict(zip(known["text"], known["code"].astype(str)))
rows = read(data)
out = pd.DataFrame({"row": rows["row"], "code": rows["text"].map(book)})
out["confidence"] = 0.5
print("read", len(rows), file=sys.stderr)
out = out.iloc[::-1]
out.to_parquet(result) if result.endswith("parquet") else out.to_csv(
    result, index=False)
"""


class Counting:
    """Counts the rows it is asked for."""

    kind_of_work = "predict"

    def __init__(self) -> None:
        self.asked = 0

    def fit(self, X: pd.DataFrame, y: pd.Series) -> "Counting":
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        self.asked += len(X)
        return X["text"].str.upper().to_numpy(dtype=object)


def test_equal_rows_are_predicted_once_and_order_is_kept() -> None:
    method = Counting()
    codes, scores = predict_top(method, X)
    assert method.asked == 3
    assert codes[:, 0].tolist() == ["TEA", "MILK", "TEA", ""]
    assert codes.shape == scores.shape == (4, 5)
    assert np.isnan(scores).all()
    assert predict_top(method, X.iloc[:0])[0].shape == (0, 5)


def test_a_classifier_with_probabilities_gives_ranked_candidates() -> None:
    class Sure(Counting):
        classes_ = np.array(["a", "b", "c"])

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
            return np.tile([0.2, 0.5, 0.3], (len(X), 1))

    codes, scores = predict_top(Sure(), X, 2)
    assert codes.tolist() == [["b", "c"]] * 4
    assert scores.tolist() == [[0.5, 0.3]] * 4


@pytest.mark.parametrize(
    ("use", "params", "said", "close"),
    [
        ("mlstats.Incumbant", {}, "no 'Incumbant'", "Incumbent"),
        ("mlstats.Incumbent", {"colum": "x"}, "no parameter 'colum'", "column"),
        ("mlstat.Incumbent", {}, "no module 'mlstat'", None),
        ("mlstats.Incumbent", {}, "cannot be made", None),
    ],
)
def test_build_names_what_is_wrong(
    use: str, params: dict[str, Any], said: str, close: str | None
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        build(use, params, where="methods.m")
    assert caught.value.where == "methods.m"
    assert caught.value.nearest == close


def test_kinds_of_work() -> None:
    class Fills:
        def impute(self, frame: object, mask: object, seed: int) -> None: ...

    class Estimates:
        def estimate(self, sample: object, population: object) -> None: ...

    assert work_of(Counting()) == "predict"
    assert work_of(Fills()) == "impute"
    assert work_of(Estimates()) == "estimate"
    with pytest.raises(ConfigError, match="is not a method"):
        work_of(object())


def test_incumbent_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"clerk": ["0111", None, "0112"]})
    method = Incumbent("clerk").fit(frame)
    method.save(tmp_path)
    again = Incumbent.load(tmp_path)
    assert again.predict(frame).tolist() == ["0111", None, "0112"]
    assert predict_top(again, frame, 2)[0].tolist() == [
        ["0111", None], [None, None], ["0112", None],
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="'clark'"):
        Incumbent("clark").fit(frame)


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "a program.py"
    path.write_text(PROGRAM)
    return str(path)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_external_program(program: str, form: Any, tmp_path: Path) -> None:
    words = [sys.executable, program, "{train}", "{data}", "{result}"]
    method = mlstats.External(words, format=form).fit(X, Y)
    codes, scores = predict_top(method, X)
    assert codes[:, 0].tolist() == ["01.2", "01.1", "01.2", "01.1"]
    assert scores[0, 0] == 0.5
    (tmp_path / "kept").mkdir()
    method.save(tmp_path / "kept")
    again = mlstats.External.load(tmp_path / "kept")
    assert again.predict(X.head(2)).tolist() == ["01.2", "01.1"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.stderr.write('Anna Muster'); sys.exit(3)", "status 3"),
        ("pass", "left no readable result"),
        ("import time; time.sleep(600)", "did not finish within 2 s"),
        (
            "import sys, pandas as pd\n"
            "pd.DataFrame({'row': [0]}).to_parquet(sys.argv[1])",
            "lacks code",
        ),
        (
            "import sys, pandas as pd\n"
            "pd.DataFrame({'row': [0, 0, 99], 'code': 'x'}).to_parquet(sys.argv[1])",
            "1 rows that were not asked for and 1 repeated",
        ),
        (
            "import sys, pandas as pd\n"
            "pd.DataFrame({'row': [0], 'code': 'x', 'confidence': 2.0})"
            ".to_parquet(sys.argv[1])",
            "outside",
        ),
    ],
)
def test_external_failures_say_what_and_never_what_the_program_said(
    script: str, said: str
) -> None:
    words = [sys.executable, "-c", script, "{result}"]
    # A busy machine may take long to start what has an answer.
    seconds = 2 if "sleep" in script else 300
    method = mlstats.External(words, timeout=seconds).fit(X, Y)
    with pytest.raises(MethodError, match=said) as caught:
        method.predict(X)
    assert "Anna" not in str(caught.value)


def test_external_names_a_missing_program_and_a_missing_result() -> None:
    with pytest.raises(ConfigError, match="not found"):
        mlstats.External(["no-such-program", "{result}"]).fit(X, Y)
    with pytest.raises(ConfigError, match="names no"):
        mlstats.External([sys.executable]).fit(X, Y)


R_PROGRAM = """
files <- commandArgs(trailingOnly = TRUE)
train <- read.csv(files[1], colClasses = "character")
data <- read.csv(files[2], colClasses = c(row = "integer"))
code <- train$code[match(data$text, train$text)]
write.csv(data.frame(row = data$row, code = code), files[3],
          row.names = FALSE, na = "")
"""


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_external_with_a_real_rscript(tmp_path: Path) -> None:
    script = tmp_path / "code.R"
    script.write_text(R_PROGRAM)
    words = ["Rscript", str(script), "{train}", "{data}", "{result}"]
    codes = mlstats.External(words, format="csv").fit(X, Y).predict(X.head(3))
    assert codes.tolist() == ["01.2", "01.1", "01.2"]


def test_texts_that_differ_after_a_nul_are_different_rows() -> None:
    texts = pd.DataFrame({"text": pd.Series(["a\0b", "a\0c", "a\0b"], dtype=object)})
    for frame in (texts, texts.assign(shop="x")):
        codes, _ = predict_top(Counting(), frame)
        assert codes[:, 0].tolist() == ["A\0B", "A\0C", "A\0B"]

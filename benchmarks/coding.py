"""Accuracy, seconds and rows per second of the learned coding methods on one core.

    python benchmarks/coding.py [--data FOLDER] [--sets NAME ...] [--covariates]

Each real set is fitted on its train split, calibrated on valid and scored on test at
the full code; rows without a word are left out of the accuracy. Rows per second are
for the distinct texts of the whole set, from text to code, the least of three runs.
Beside the methods stand their peers, on the same normalised texts:

- scikit-learn's plain pipeline with the same settings (``FeatureUnion`` of two
  ``TfidfVectorizer``, ``LinearSVC``), a term being kept from two rows on,
- fastText called directly (words, pairs and hashed character n-grams, 200,000
  buckets), with the same dim, epochs and rate, and no rule on rare terms.

The data lie in the folder of MLSTATS_DATA, or in ../shared/data beside the
repository. With --covariates the methods, not the peers, use the columns that a pilot
would use; that of the products nearly determines the code and is left out.

With --million the texts of each set are repeated with numbers put behind them, so that
a million rows are all different; shown are the seconds to fit and to predict them and
the peak of memory. Fitted are the set's own training rows, or with --fit million all
of them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import LinearSVC

from mlstats.coding.fasttext import FastText
from mlstats.coding.fasttext_training import clear_new_memory
from mlstats.coding.linear import LinearText
from mlstats.coding.text import normalise

COVARIATES: dict[str, list[str]] = {
    "hbs_coicop_fr": ["cov_shop_type"],
    "products_coicop_multi": [],
    "occupation_hisco_en": [],
}
BINS = 15
MILLION = 1_000_000


@dataclass
class Result:
    """A line of the table; a peer has no probabilities."""

    method: str
    fit: float
    predict: float
    accuracy: float
    top: float | None = None
    ece: tuple[float, float] | None = None
    automation: float | None = None


class PlainFastText:
    """``fasttext.train_supervised`` on the texts."""

    def fit(self, texts: pd.Series, codes: pd.Series) -> PlainFastText:
        """Train on rows that have a word."""
        import fasttext

        clear_new_memory()  # without it one training in two ends in NaN
        number, self.classes = pd.factorize(codes, sort=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.txt"
            lines = [
                f"__label__{n} {text}\n" for n, text in zip(number, texts, strict=True)
            ]
            path.write_text("".join(lines), encoding="utf-8")
            own = FastText()
            self.model = fasttext.train_supervised(
                str(path),
                dim=own.dim,
                epoch=own.epoch,
                lr=own.lr,
                wordNgrams=own.word_ngrams,
                minn=own.minn,
                maxn=own.maxn,
                bucket=200_000,
                thread=1,
                verbose=0,
            )
        return self

    def predict(self, texts: pd.Series) -> np.ndarray:
        """Return the best code of each text."""
        labels, _ = self.model.predict(texts.tolist(), k=1)
        return np.array([self.classes[int(label[0][9:])] for label in labels])


def plain_pipeline() -> Pipeline:
    own = LinearText()
    shared = {"lowercase": False, "min_df": own.min_units}
    words = TfidfVectorizer(
        ngram_range=(1, own.word_ngrams), token_pattern=r"\S+", **shared
    )
    size = (own.min_characters, own.max_characters)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=size, **shared)
    union = FeatureUnion(
        [("words", words), ("characters", characters)],
        transformer_weights={"words": 1.0, "characters": own.character_weight},
    )
    return Pipeline([("features", union), ("svc", LinearSVC(C=own.C, random_state=0))])


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Return the least seconds of some repeats, other work disturbs the rest."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the mean distance of confidence and accuracy in bins of equal size."""
    bins = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    gaps = [len(b) * abs(confidence[b].mean() - right[b].mean()) for b in bins]
    return float(sum(gaps) / len(right))


def automation_rate(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the largest share, most confident first, that is 95 % right."""
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(right) + 1)
    enough = np.flatnonzero(accuracy >= 0.95)
    return float((enough[-1] + 1) / len(right)) if len(enough) else 0.0


def measure(method: Any, frame: pd.DataFrame, columns: list[str]) -> Result:
    """Fit, calibrate and score a method of ours."""
    part = {name: frame[frame["split"] == name] for name in ("train", "valid", "test")}
    train, test = part["train"], part["test"]
    groups = train["group"] if "group" in frame else None
    fit, _ = timed(lambda: method.fit(train[columns], train["code"], groups))
    truth = test["code"].to_numpy()
    before = method.predict_top(test[columns], 1)[1][:, 0]
    method.calibrate(part["valid"][columns], part["valid"]["code"])
    codes, scores = method.predict_top(test[columns], 1)
    coded = codes[:, 0] != None  # noqa: E711  # element by element
    right = (codes[:, 0] == truth)[coded]
    distinct = frame[columns].drop_duplicates("text")
    predict, _ = timed(lambda: method.predict(distinct), 3)
    top, _ = timed(lambda: method.predict_top(distinct, 5), 3)
    return Result(
        type(method).__name__,
        fit,
        len(distinct) / predict,
        float(right.mean()),
        len(distinct) / top,
        (
            calibration_error(before[coded], right),
            calibration_error(scores[coded, 0], right),
        ),
        automation_rate(scores[coded, 0], right),
    )


def measure_peer(name: str, peer: Any, frame: pd.DataFrame) -> Result:
    """Fit and score a peer; normalising the texts counts, as it does for ours."""
    clean = frame.assign(text=normalise(frame["text"]))
    clean = clean[clean["text"] != ""]
    train, test = clean[clean["split"] == "train"], clean[clean["split"] == "test"]
    fit, _ = timed(lambda: peer.fit(normalise(train["text"]), train["code"]))
    accuracy = float((peer.predict(test["text"]) == test["code"].to_numpy()).mean())
    distinct = frame.loc[clean.index, "text"].drop_duplicates()
    predict, _ = timed(lambda: peer.predict(normalise(distinct)), 3)
    return Result(name, fit, len(distinct) / predict, accuracy)


def table(name: str, results: list[Result]) -> Table:
    shown = Table(title=f"{name}, full code, one core")
    shown.add_column("method")
    for column in (
        "fit s",
        "predict rows/s",
        "predict_top(5) rows/s",
        "accuracy",
        "ECE held out",
        "ECE calibrated",
        "automatic at 95 %",
    ):
        shown.add_column(column, justify="right")
    for r in results:
        rest = ["", "", ""]
        if r.ece is not None and r.automation is not None:
            rest = [f"{r.ece[0]:.3f}", f"{r.ece[1]:.3f}", f"{r.automation:.3f}"]
        top = "" if r.top is None else f"{r.top:,.0f}"
        cells = [f"{r.fit:.1f}", f"{r.predict:,.0f}", top, f"{r.accuracy:.4f}"]
        shown.add_row(r.method, *cells, *rest)
    return shown


def million(frame: pd.DataFrame, fit: str) -> str:
    """Return what a million different rows cost the linear method."""
    train = frame[frame["split"] == "train"]
    rng = np.random.default_rng(1)
    many = frame.sample(MILLION, replace=True, random_state=1).reset_index(drop=True)
    number = rng.integers(0, 10**9, MILLION).astype(str)
    many["text"] = many["text"].astype(str) + " " + number
    learned = many if fit == "million" else train
    coder = LinearText()
    fitting, _ = timed(lambda: coder.fit(learned[["text"]], learned["code"]))
    coder.leave_uncalibrated()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    predicting, _ = timed(lambda: coder.predict(many[["text"]]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"fit {len(learned):,} rows {fitting:.0f} s, predict {MILLION:,} rows "
        f"{predicting:.1f} s, peak {peak:.2f} GiB (before predicting {before:.2f})"
    )


def data_folder(given: str | None) -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(given or os.environ.get("MLSTATS_DATA") or beside) / "coding"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--data")
    arguments.add_argument("--sets", nargs="+", default=list(COVARIATES))
    arguments.add_argument("--covariates", action="store_true")
    arguments.add_argument("--million", action="store_true")
    arguments.add_argument("--fit", choices=("small", "million"), default="small")
    chosen = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    console = Console()
    for name in chosen.sets:
        path = data_folder(chosen.data) / name / "data.parquet"
        if not path.is_file():
            console.print(f"{name}: no data at {path}, set MLSTATS_DATA or --data")
            continue
        frame = pd.read_parquet(path)
        if chosen.million:
            console.print(f"{name}: {million(frame, chosen.fit)}")
            continue
        columns = ["text", *(COVARIATES.get(name, []) if chosen.covariates else [])]
        results = [
            measure(LinearText(), frame, columns),
            measure_peer("scikit-learn pipeline", plain_pipeline(), frame),
            measure(FastText(), frame, columns),
            measure_peer("fastText directly", PlainFastText(), frame),
        ]
        console.print(table(f"{name} ({', '.join(columns)})", results))


if __name__ == "__main__":
    main()

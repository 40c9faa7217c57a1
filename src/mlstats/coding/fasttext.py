"""fastText's supervised classifier (Joulin et al. 2017, Bag of tricks), reproducibly.

Three things differ from calling ``fasttext.train_supervised`` on the texts:

- Words, word runs and character n-grams are counted here, not hashed by fastText, so
  that `min_units` holds for all of them; fastText sees their numbers only.
- Every term gets an initial vector from the seed. fastText itself fills a tenth of the
  matrix and leaves the rest as the memory was; see ``fasttext_training``.
- Scores are worked out from the trained matrices, for a block of rows at once:
  fastText's own prediction, and every code's score instead of a few labels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv
from scipy import sparse

from mlstats.coding.calibration import Calibration, Floats, Ints
from mlstats.coding.coder import CalibratedCoder, Objects, Scorer
from mlstats.coding.features import TermCounts
from mlstats.errors import ConfigError, MethodError, SourceError, nearest
from mlstats.writing import write_atomic, write_json

__all__ = ["FastText"]

_END = "</s>"  # fastText's own term at the end of every text
_LABEL = "__label__"
_OUTPUT = "fasttext_output.npy"
_FEWEST = 256  # centroids of fastText's quantisation
_SPREAD = 0.6  # bound of the initial vectors; fastText's 1/dim learns less, slower
_LOSSES = ("softmax", "ova")


class FastText(CalibratedCoder):
    """The mean of the vectors of a text's terms, then a linear layer.

    Parameters
    ----------
    dim : int, default=100
        Length of the vectors.
    epoch : int, default=25
        Passes over the training rows.
    lr : float, default=1.0
        Learning rate of the first pass; it falls to 0.
    word_ngrams : int, default=2
        Longest run of words that is a term; 0 for a script without blanks between
        words (Japanese, Chinese, Thai): characters alone.
    minn, maxn : int, default=3 and 6
        Lengths of the character n-grams, the blanks around a word included.
    loss : {"softmax", "ova"}, default="softmax"
        One choice among the codes, or each code against the rest.
    covariates : {"tokens", "ignore"}, default="tokens"
        Whether the columns beside ``text`` are used, each value as a term.
    bands : int, default=10
        Number of bands of a numeric column.
    quantise : bool, default=False
        Whether the vectors are kept by product quantisation (Joulin et al. 2016,
        FastText.zip), in fastText's own form ``.ftz``: a tenth of the size or less,
        at almost the same accuracy. At least 256 terms are needed.
    min_units : int, default=2
        A term used by fewer units, or clusters, is not in the model.
    random_state : int, default=0
        Initial vectors, order of training, held-out rows.

    Attributes
    ----------
    classes_ : ndarray of object
        The codes, sorted.
    terms_ : TermCounts
        The vocabulary.
    model_ : bytes
        The model in fastText's own format, quantised where that is asked for; its
        words are numbers of terms, its labels numbers of codes.
    """

    def __init__(
        self,
        *,
        dim: int = 100,
        epoch: int = 25,
        lr: float = 1.0,
        word_ngrams: int = 2,
        minn: int = 3,
        maxn: int = 6,
        loss: str = "softmax",
        covariates: str = "tokens",
        bands: int = 10,
        quantise: bool = False,
        min_units: int = 2,
        random_state: int = 0,
    ) -> None:
        self.dim = dim
        self.epoch = epoch
        self.lr = lr
        self.word_ngrams = word_ngrams
        self.minn = minn
        self.maxn = maxn
        self.loss = loss
        self.covariates = covariates
        self.bands = bands
        self.quantise = quantise
        self.min_units = min_units
        self.random_state = random_state

    def save(self, folder: Path) -> None:
        """Write fastText's model (bin or ftz), and the rest (json, npy)."""
        calibration = self._probabilities_ready()
        about = {
            "parameters": self.get_params(deep=False),
            "classes": self.classes_.tolist(),
            "terms": self.terms_.to_dict(),
            "calibration": vars(calibration),
        }
        path = Path(folder) / _file(self.quantise)
        write_atomic(path, lambda hidden: _write_bytes(hidden, self.model_))
        if self.quantise:  # fastText does not give it back out of such a model
            write_atomic(Path(folder) / _OUTPUT, self._write_output)
        write_json(Path(folder) / "fasttext.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        ConfigError
            If fastText is not installed.
        SourceError
            If the folder does not hold it.
        """
        try:
            written = (Path(folder) / "fasttext.json").read_text(encoding="utf-8")
            about = json.loads(written)
            coder = cls(**about["parameters"])
            model = (Path(folder) / _file(coder.quantise)).read_bytes()
            if coder.quantise:
                coder._weights = np.load(Path(folder) / _OUTPUT, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise SourceError(
                "The saved model cannot be read",
                where=str(folder),
                expected="the files fasttext.json and fasttext.bin (or .ftz)",
            ) from error
        coder.classes_ = np.array(about["classes"], dtype=object)
        coder.terms_ = TermCounts.from_dict(about["terms"])
        coder._calibration = Calibration(**about["calibration"])
        coder._training = None
        coder._use(model)
        return coder

    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        _installed()
        self._check_parameters()
        self.terms_ = TermCounts(
            word_ngrams=self.word_ngrams,
            min_characters=self.minn,
            max_characters=self.maxn,
            covariates=self.covariates,
            bands=self.bands,
            min_units=self.min_units,
        ).fit(rows, groups=groups)
        number, classes = pd.factorize(codes, sort=True)
        self.classes_ = np.asarray(classes, dtype=object)
        counts = self.terms_.transform(rows)
        if self.quantise and counts.shape[1] < _FEWEST:
            raise MethodError(
                f"{counts.shape[1]} terms are too few to quantise their vectors",
                expected=f"{_FEWEST} or more",
                hint="leave quantise out: the model is small",
            )
        with tempfile.TemporaryDirectory(prefix="mlstats-") as private:
            folder = Path(private)
            _write_private(folder / "rows.txt", _lines(counts, number))
            self._write_vectors(folder / "vectors.txt", counts.shape[1])
            self._train(folder)
            model = (folder / "model.bin").read_bytes()
            small = folder / "model.ftz"
            quantised = small.read_bytes() if self.quantise else b""
        self._use(model)
        if self.quantise:
            self._use(quantised)

    def _scorer(self, rows: pd.DataFrame) -> Scorer:
        counts = self.terms_.transform(rows)

        def score(part: slice) -> Floats:
            total = counts[part] @ self._vectors + self._end
            mean = total / (counts[part].sum(axis=1) + 1)[:, None]
            return np.asarray(mean @ self._weights, dtype=np.float64)

        return score

    def _write_vectors(self, path: Path, terms: int) -> None:
        """Write an initial vector for each term, in the text form fastText reads."""
        rng = np.random.default_rng(self.random_state)
        vectors = rng.uniform(-_SPREAD, _SPREAD, (terms + 1, self.dim)).round(4)
        names = [_END, *map(str, range(terms))]
        table = pa.table(
            [pa.array(names), *map(pa.array, vectors.T)],
            names=[str(column) for column in range(self.dim + 1)],
        )
        form = csv.WriteOptions(
            include_header=False, delimiter=" ", quoting_style="none"
        )
        with open(path, "xb", opener=_owner_only) as file:
            file.write(f"{terms + 1} {self.dim}\n".encode())
            csv.write_csv(table, file, form)

    def _train(self, folder: Path) -> None:
        settings = {
            "input": str(folder / "rows.txt"),
            "pretrainedVectors": str(folder / "vectors.txt"),
            "dim": self.dim,
            "epoch": self.epoch,
            "lr": self.lr,
            "loss": self.loss,
            "seed": self.random_state,
            "wordNgrams": 1,
            "minn": 0,
            "maxn": 0,
        }
        job = {"model": str(folder / "model.bin"), "settings": settings}
        if self.quantise:
            job["quantised"] = str(folder / "model.ftz")
        _write_private(folder / "job.json", [json.dumps(job)])
        # -P: a file fasttext.py in the working folder must not take fastText's place.
        module = ["-P", "-m", "mlstats.coding.fasttext_training"]
        done = subprocess.run(
            [sys.executable, *module, str(folder / "job.json")],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise _failure(done.returncode, done.stderr)

    def _use(self, model: bytes) -> None:
        """Take the matrices out of fastText's model, in the order of our numbers."""
        fasttext = _installed()
        with tempfile.TemporaryDirectory(prefix="mlstats-") as private:
            path = Path(private) / "model"
            _write_bytes(path, model)
            loaded = fasttext.load_model(str(path))
        words = loaded.get_words()
        place = np.array([-1 if word == _END else int(word) for word in words])
        vectors = np.zeros((len(words), loaded.get_dimension()))
        if loaded.is_quantized():
            vectors[place] = [loaded.get_word_vector(word) for word in words]
        else:
            vectors[place] = loaded.get_input_matrix()  # the end's vector comes last
            label = [int(name.removeprefix(_LABEL)) for name in loaded.get_labels()]
            self._weights = np.zeros((loaded.get_dimension(), len(label)))
            self._weights[:, label] = loaded.get_output_matrix().T
        self._vectors, self._end = vectors[:-1], vectors[-1]
        self.model_ = model

    def _write_output(self, path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, self._weights)

    def _check_parameters(self) -> None:
        if self.loss not in _LOSSES:
            raise ConfigError(
                f"loss is {self.loss!r}",
                expected=" or ".join(_LOSSES),
                nearest=nearest(str(self.loss), _LOSSES),
            )
        for name in ("dim", "epoch"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}", expected="a number from 1 on"
                )
        if not self.lr > 0:
            raise ConfigError(f"lr is {self.lr}", expected="a number above 0")


def _file(quantised: bool) -> str:
    return "fasttext.ftz" if quantised else "fasttext.bin"


def _installed() -> Any:
    try:
        import fasttext
    except ImportError:
        raise ConfigError(
            "fastText is not installed",
            hint="pip install fasttext-numpy2 (where there is no wheel for this "
            "system it is built from source, with a C++ compiler)",
        ) from None
    return fasttext


def _lines(counts: sparse.csr_array, number: Ints) -> list[str]:
    """Return the training rows: the code's label, then each term as often as used."""
    repeats = counts.data.astype(np.int64)
    terms = np.repeat(counts.indices, repeats).astype(str).tolist()
    ends = np.r_[0, np.cumsum(repeats)][counts.indptr].tolist()
    return [
        f"{_LABEL}{code} {' '.join(terms[a:b])}"
        for code, (a, b) in zip(number, pairwise(ends), strict=True)
    ]


def _failure(code: int, said: str) -> MethodError:
    if "NaN" in said:
        return MethodError(
            "fastText's training ran into NaN",
            expected="a learning rate at which the loss stays finite",
            hint="lower lr, or use loss: softmax",
        )
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    # The process sees numbers only, so its last line cannot quote a text.
    last = (said.strip().splitlines() or ["it said nothing"])[-1]
    return MethodError(f"fastText's training stopped with {how}: {last}")


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_private(path: Path, lines: list[str]) -> None:
    with open(path, "x", encoding="utf-8", newline="\n", opener=_owner_only) as file:
        file.writelines(f"{line}\n" for line in lines)


def _write_bytes(path: Path, content: bytes) -> None:
    with open(path, "xb", opener=_owner_only) as file:
        file.write(content)

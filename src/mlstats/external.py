"""A method that is another program: Rscript, SAS, an executable."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, MethodError

__all__ = ["External"]

# Output of a foreign program may hold records; this logger is given a file in the
# confidential folder and never reaches the terminal or a server.
_confidential = logging.getLogger("mlstats.confidential")
_log = logging.getLogger(__name__)


class External:
    """Run a command that reads a table of units and writes a table of codes.

    The command is started without a shell, in the current folder. Three words of it
    are replaced by the names of files in a private folder that is removed afterwards:
    ``{train}`` (the columns of X and ``code``), ``{data}`` (``row`` and the columns
    of X) and ``{result}``, which the command has to write: columns ``row``, ``code``
    and optionally ``confidence`` in [0, 1]. A row that is missing in the result, or
    has no code, is uncoded. The order of rows does not matter.

    Parameters
    ----------
    command : sequence of str
        As ``[Rscript, rules/code.R, "{train}", "{data}", "{result}"]``.
    timeout : float
        Seconds after which the program is ended.
    format : {"parquet", "csv"}
        Format of the three files; csv for an R without the arrow package.

    Raises
    ------
    ConfigError
        Where the program is not found or the command names no ``{result}``.
    MethodError
        Where it fails, exceeds its time or writes something else than promised.
    """

    kind_of_work = "predict"
    confidential = True

    def __init__(
        self,
        command: Sequence[str],
        timeout: float = 600,
        format: Literal["parquet", "csv"] = "parquet",
    ) -> None:
        self.command = command
        self.timeout = timeout
        self.format = format
        self._train: pd.DataFrame | None = None

    def fit(self, X: pd.DataFrame, y: pd.Series) -> External:
        """Keep the coded units, so that each call can be given them."""
        self._check_command()
        self._train = X.assign(code=np.asarray(y, dtype=object))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the codes that the program gave, None where it gave none."""
        codes: np.ndarray = self.predict_top(X, 1)[0][:, 0]
        return codes

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Return the program's one code and confidence of each row."""
        with tempfile.TemporaryDirectory(prefix="mlstats-") as name:
            folder = Path(name)
            files = {
                part: folder / f"{part}.{self.format}"
                for part in ("train", "data", "result")
            }
            if self._train is not None:
                self._write(self._train, files["train"])
            self._write(X.assign(row=np.arange(len(X))), files["data"])
            self._run({part: str(path) for part, path in files.items()})
            result = self._read(files["result"])
        return _aligned(result, len(X), k)

    def save(self, folder: Path) -> None:
        """Write the command and the coded units."""
        words = {"command": list(self.command), "timeout": self.timeout}
        text = json.dumps({**words, "format": self.format}, ensure_ascii=False)
        (folder / "external.json").write_text(text, encoding="utf-8")
        if self._train is not None:
            self._train.to_parquet(folder / "train.parquet")

    @classmethod
    def load(cls, folder: Path) -> External:
        """Read what :meth:`save` wrote."""
        text = (folder / "external.json").read_text(encoding="utf-8")
        method = cls(**json.loads(text))
        if (folder / "train.parquet").exists():
            method._train = pd.read_parquet(folder / "train.parquet")
        return method

    def _check_command(self) -> str:
        if not any("{result}" in word for word in self.command):
            raise ConfigError(
                "The external command names no {result}",
                expected='a word "{result}" where the program is told what to write',
            )
        program = shutil.which(self.command[0])
        if program is None:
            raise ConfigError(
                f"The program {self.command[0]!r} is not found",
                hint="install it, or write its full path into the pilot",
            )
        return program

    def _run(self, files: dict[str, str]) -> None:
        program = self._check_command()
        words = [_fill(word, files) for word in self.command[1:]]
        try:
            done = subprocess.run(
                [program, *words],
                capture_output=True,
                timeout=self.timeout,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise MethodError(
                f"{self.command[0]} did not finish within {self.timeout:g} s",
                hint="raise params.timeout or give it less to do",
            ) from None
        said = done.stderr.decode("utf-8", "replace")
        if said:
            _confidential.info("%s said on stderr:\n%s", self.command[0], said)
            count = said.count("\n")
            _log.info("%s wrote %d lines on stderr", self.command[0], count)
        if done.returncode:
            raise MethodError(
                f"{self.command[0]} ended with status {done.returncode}",
                hint="its stderr is in the confidential log",
            )

    def _write(self, frame: pd.DataFrame, path: Path) -> None:
        if self.format == "parquet":
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False, encoding="utf-8")

    def _read(self, path: Path) -> pd.DataFrame:
        try:
            if self.format == "parquet":
                result = pd.read_parquet(path)
            else:
                result = pd.read_csv(path, dtype={"code": "str"}, keep_default_na=False)
        except (OSError, ValueError):
            raise MethodError(
                f"{self.command[0]} left no readable result",
                expected=f"a {self.format} file with columns row and code",
            ) from None
        missing = {"row", "code"} - set(result.columns)
        if missing:
            raise MethodError(
                f"The result of {self.command[0]} lacks {', '.join(sorted(missing))}",
                expected="columns row, code and optionally confidence",
            )
        return result


def _fill(word: str, files: dict[str, str]) -> str:
    for part, path in files.items():
        word = word.replace(f"{{{part}}}", path)
    return word


def _aligned(result: pd.DataFrame, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rows = pd.to_numeric(result["row"], errors="coerce")
    sound = rows.between(0, n - 1) & (rows % 1 == 0)
    if not sound.all() or rows.duplicated().any():
        raise MethodError(
            f"The result holds {int((~sound).sum())} rows that were not asked for "
            f"and {int(rows.duplicated().sum())} repeated ones",
            expected="each row number of the data at most once",
        )
    codes = np.full((n, k), None, dtype=object)
    scores = np.full((n, k), np.nan)
    at = rows.to_numpy(dtype=int)
    given: Any = result["code"].astype(object)
    blank = result["code"].isna() | (given.astype(str).str.strip() == "")
    codes[at, 0] = np.where(blank, None, given.astype(str))
    if "confidence" in result:
        confidence = pd.to_numeric(result["confidence"], errors="coerce").to_numpy()
        if ((confidence < 0) | (confidence > 1)).any():
            raise MethodError("A confidence lies outside [0, 1]")
        scores[at, 0] = confidence
    return codes, scores

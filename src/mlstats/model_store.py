"""Fitted models, kept by content in the confidential store.

A model with a vocabulary or an index holds words of records. Its files stay in the
confidential store under their own digest; MLflow holds a pointer with that digest,
and :func:`_load_pyfunc` follows it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats import io
from mlstats.errors import ConfigError, ServiceError, UsageError
from mlstats.method import predict_top, resolve
from mlstats.settings import load_settings

__all__ = [
    "PackedModel",
    "StoredModel",
    "load",
    "packed",
    "store",
    "table_of",
    "terms_of",
    "verify",
]

POINTER = "pointer.json"
_MODEL = "model.json"


class StoredModel:
    """A fitted method behind the interface that MLflow's pyfunc expects.

    Parameters
    ----------
    method : PredictMethod
        Fitted.
    columns : list of str
        The columns it reads.
    terms : mapping, optional
        On which it was evaluated: see :func:`store`.
    folder : pathlib.Path, optional
        Where its files lie.
    """

    def __init__(
        self,
        method: Any,
        columns: list[str],
        terms: Mapping[str, Any] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.method = method
        self.columns = columns
        self.terms = dict(terms or {})
        self.folder = folder

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return the columns code and confidence; an uncoded row has no code.

        Parameters
        ----------
        model_input : pandas.DataFrame
            With the columns of the signature.
        params : object
            Not used; pyfunc passes it.

        Raises
        ------
        UsageError
            Where the version is a recipe, which has learnt nothing yet.
        """
        if not hasattr(self.method, "predict"):
            raise UsageError(
                "A recipe is fitted to a period's data, it answers for no rows alone",
                hint="mlstats produce PILOT --period PERIOD",
            )
        codes, scores = predict_top(self.method, model_input[self.columns], 1)
        confidence = np.where(
            [code is None for code in codes[:, 0]], np.nan, scores[:, 0]
        )
        return pd.DataFrame({"code": codes[:, 0], "confidence": confidence})


def store(
    method: Any,
    columns: list[str],
    confidential: Path,
    *,
    terms: Mapping[str, Any] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """Keep a fitted method and return the digest under which it lies.

    Parameters
    ----------
    method : PredictMethod
        Fitted; it has ``save(folder)``.
    columns : list of str
        The columns that it reads.
    confidential : pathlib.Path
        The confidential folder of the project.
    terms : mapping, optional
        On which it was evaluated, part of what a signature is on: ``method`` (its
        name), ``baseline`` (digest of the stored baseline, empty for the baseline
        itself), ``thresholds`` (rows), ``seen_to`` (last period of the evaluation).
    tables : mapping of str to pandas.DataFrame, optional
        Kept beside it as Parquet: what later periods are compared with.

    Returns
    -------
    str
        sha256 of its files; equal models are kept once.
    """
    models = confidential / "models"
    models.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".new-", dir=models))
    try:
        use = f"{type(method).__module__}.{type(method).__qualname__}"
        about = {"use": use, "columns": columns}
        io.write_json(beside / _MODEL, about | ({"terms": terms} if terms else {}))
        for name, table in (tables or {}).items():
            io.write_parquet(beside / f"{name}.parquet", table)
        method.save(beside)
        digest = _digest(beside)
        target = models / digest
        try:
            beside.rename(target)
        except OSError:
            if not target.exists():
                raise
            shutil.rmtree(beside)  # it was there, or another run was faster
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return digest


def load(digest: str, confidential: Path) -> StoredModel:
    """Load a model by its digest.

    Raises
    ------
    ServiceError
        Where the store does not hold it, or its files were changed.
    """
    return _read(verify(digest, confidential))


def _read(folder: Path) -> StoredModel:
    about = json.loads((folder / _MODEL).read_text(encoding="utf-8"))
    method = resolve(about["use"]).load(folder)
    return StoredModel(method, list(about["columns"]), about.get("terms"), folder)


@dataclass(frozen=True)
class PackedModel:
    """A model on its way to a process that cannot see the store.

    Parameters
    ----------
    digest : str
        Of the stored model.
    files : mapping of str to bytes
        Name -> content; the tables that are kept beside a model stay behind.
    """

    digest: str
    files: Mapping[str, bytes] = field(repr=False)

    def __hash__(self) -> int:
        return hash(self.digest)

    def unpacked(self) -> StoredModel:
        """Return the model, loaded once in a process."""
        return _unpacked(self)


def packed(digest: str, confidential: Path, without: Collection[str]) -> PackedModel:
    """Return the files of a model by its digest.

    Parameters
    ----------
    digest : str
        Of the stored model.
    confidential : pathlib.Path
        The confidential folder of the project.
    without : collection of str
        Names of the tables that were kept beside it, which are not sent.

    Raises
    ------
    ServiceError
        As :func:`load`.
    """
    folder = verify(digest, confidential)
    left = {f"{name}.parquet" for name in without}
    return PackedModel(
        digest,
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.relative_to(folder).as_posix() not in left
        },
    )


@lru_cache(maxsize=3)
def _unpacked(model: PackedModel) -> StoredModel:
    with tempfile.TemporaryDirectory(prefix="mlstats-model-") as folder:
        for name, content in model.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return _read(Path(folder))


def terms_of(digest: str, confidential: Path) -> dict[str, Any]:
    """Return the terms of a model without loading it.

    Raises
    ------
    ServiceError
        Where the store does not hold it, or its files were changed.
    """
    folder = verify(digest, confidential)
    about = json.loads((folder / _MODEL).read_text(encoding="utf-8"))
    return dict(about.get("terms") or {})


def table_of(digest: str, confidential: Path, name: str) -> pd.DataFrame | None:
    """Return a table that was kept beside a model, None where there is none."""
    path = confidential / "models" / digest / f"{name}.parquet"
    return pd.read_parquet(path) if path.is_file() else None


def verify(digest: str, confidential: Path) -> Path:
    """Return the folder of a model whose files give its digest.

    Raises
    ------
    ServiceError
        Where the store does not hold it, or its files were changed.
    """
    folder = confidential / "models" / digest
    if not (folder / _MODEL).is_file():
        raise ServiceError(
            f"The confidential store does not hold the model {digest[:12]}",
            where=str(folder),
            hint="set MLSTATS_PROJECT or MLSTATS_STORE to the project that made it",
        )
    if _digest(folder) != digest:
        raise ServiceError(
            f"The files of the model {digest[:12]} were changed",
            where=str(folder),
            hint="run the pilot again to make the model anew",
        )
    return folder


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        total.update(f"{name}\0{io.sha256_file(path)}\n".encode())
    return total.hexdigest()


def _load_pyfunc(path: str) -> StoredModel:
    """Follow a pointer; MLflow calls this by name in a fresh process."""
    pointer = Path(path)
    pointer = pointer / POINTER if pointer.is_dir() else pointer
    try:
        digest = json.loads(pointer.read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError):
        raise ConfigError("The model is no pointer of mlstats", where=path) from None
    return load(digest, load_settings().confidential)

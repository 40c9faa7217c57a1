"""Same units, same folds, every method -> one Evaluation table."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from mlstats import io, split
from mlstats.clock import Clock
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.coding.text import seen
from mlstats.coding.uncodable import UncodableTexts, has_uncodable_code
from mlstats.config import Pilot
from mlstats.dataset import Dataset, finder, read_double_codes
from mlstats.errors import ConfigError, nearest
from mlstats.guard import method_guard
from mlstats.method import Incumbent, predict_top
from mlstats.quality.estimates import class_shares
from mlstats.quality.evaluation import TIMINGS, Evaluation
from mlstats.quality.gate import check_measures
from mlstats.settings import Settings

__all__ = [
    "MethodRun",
    "assemble",
    "levels_of",
    "ready",
    "run_method",
]

_log = logging.getLogger(__name__)

CANDIDATES = 5


@dataclass(frozen=True)
class MethodRun:
    """What one method did.

    Parameters
    ----------
    name : str
        Of the method in the pilot.
    method : object
        Fitted and calibrated.
    codes, scores : numpy.ndarray, shape (evaluated units, candidates)
        Best first.
    timings : list of dict
        Rows of :data:`mlstats.quality.evaluation.TIMINGS` without run_id.
    inputs : dict
        Column that the method reads -> ``string`` or ``double``.
    rejected : numpy.ndarray of bool, shape (evaluated units,)
        Whose text is in the pilot's list of uncodable ones.
    """

    name: str
    method: Any
    codes: np.ndarray
    scores: np.ndarray
    timings: list[dict[str, Any]]
    inputs: dict[str, str]
    rejected: np.ndarray


def ready(pilot: Pilot, dataset: Dataset, settings: Settings) -> list[str]:
    """See that everything the pilot names exists, before anything is fitted.

    Returns
    -------
    list of str
        The levels that are scored.

    Raises
    ------
    ConfigError
        Where a level, a measure, a class or a parameter does not exist.
    """
    check_measures(pilot.gates)
    for name, spec in pilot.methods.items():
        method = arm.build_method(
            name, spec, pilot.evaluate, finder(settings), dataset.classification
        )
        inputs_of(method, dataset.frame, pilot)
    read_double_codes(pilot, settings)
    return levels_of(pilot, dataset.classification)


def run_method(
    pilot: Pilot, name: str, dataset: Dataset, settings: Settings
) -> MethodRun:
    """Fit, calibrate and apply one method; valid and test units are predicted.

    Raises
    ------
    MethodError
        Where the method fails; its message does not repeat what the method said,
        because that may hold records. The confidential log has it.
    """
    spec, roles = pilot.methods[name], pilot.data.roles
    method = arm.build_method(
        name, spec, pilot.evaluate, finder(settings), dataset.classification
    )
    X = inputs_of(method, dataset.frame, pilot)
    label = dataset.frame[roles.target or pilot.truth]
    train, valid = dataset.folds == "train", dataset.folds == "valid"
    judged = dataset.folds.isin(["valid", "test"])
    groups = split.cluster_ids(dataset.frame, roles.cluster)
    clock = Clock(name)
    with method_guard(name):
        with clock("fit", int(train.sum())):
            _fit(method, X[train], label[train], groups[train])
        if valid.any() and hasattr(method, "calibrate"):
            with clock("calibrate", int(valid.sum())):
                method.calibrate(X[valid], dataset.frame.loc[valid, pilot.truth])
        with clock("predict", int(judged.sum())):
            codes, scores = predict_top(method, X[judged], CANDIDATES)
        rejected = _rejected(pilot, dataset.frame[judged], settings)
        codes[rejected], scores[rejected] = None, np.nan
    numeric = set(X.select_dtypes("number").columns)
    inputs = {c: "double" if c in numeric else "string" for c in X.columns}
    return MethodRun(name, method, codes, scores, clock.rows, inputs, rejected)


def _rejected(pilot: Pilot, frame: pd.DataFrame, settings: Settings) -> np.ndarray:
    """Return the rows whose text is known not to be codable, for every method."""
    listed = pilot.data.uncodable.texts
    if listed is None:
        return np.zeros(len(frame), dtype=bool)
    texts = UncodableTexts.read(finder(settings)(listed))
    return texts.hits(arm.method_frame(frame, pilot.data.roles)["text"])


def inputs_of(method: Any, frame: pd.DataFrame, pilot: Pilot) -> pd.DataFrame:
    """Return the columns that a method reads."""
    if isinstance(method, Incumbent):
        missing = [c for c in method.columns if c not in frame]
        if missing:
            raise ConfigError(
                f"The column {missing[0]!r} of the incumbent is not in the data",
                where="methods",
                nearest=nearest(missing[0], map(str, frame.columns)),
            )
        return frame[method.columns]
    return arm.method_frame(frame, pilot.data.roles)


def _fit(method: Any, X: pd.DataFrame, y: pd.Series, groups: pd.Series) -> None:
    names = getattr(method.fit, "__code__", None)
    if names is not None and "groups" in names.co_varnames[: names.co_argcount]:
        method.fit(X, y, groups)
    else:
        method.fit(X, y)


# -- assembling --------------------------------------------------------------------


def levels_of(pilot: Pilot, classification: Classification) -> list[str]:
    """Return the levels that are scored: those named, else all, then the full code.

    Raises
    ------
    ConfigError
        Where a level is not one of the classification.
    """
    spec = pilot.data.classification
    named = list(spec.levels) if spec else []
    levels = named or [
        level for level in classification.levels if not _is_full(classification, level)
    ]
    automatic = pilot.evaluate.automatic
    steps = [step.level for step in automatic.steps] if automatic else []
    group = [automatic.group] if automatic and automatic.group else []
    of_gates = [rule.level for rule in pilot.gates if rule.level]
    wanted = [*levels, pilot.evaluate.level, *steps, *group, *of_gates]
    for level in wanted:
        if level not in (*classification.levels, "full"):
            raise ConfigError(
                f"The classification has no level {level!r}",
                where="data.classification.levels, evaluate.level or a gate",
                expected=", ".join([*classification.levels, "full"]),
            )
    return list(dict.fromkeys([*wanted, "full"]))


def _is_full(classification: Classification, level: str) -> bool:
    """Whether a level says the same as the full code."""
    codes = np.array(list(classification.codes), dtype=object)
    return bool((classification.ancestor(codes, level) == codes).all())


def assemble(
    pilot: Pilot,
    dataset: Dataset,
    runs: Sequence[MethodRun],
    *,
    run_id: str,
    key: bytes,
    ancestor: Callable[[np.ndarray, str], np.ndarray],
    level: str,
) -> Evaluation:
    """Bring the runs of all methods into one Evaluation.

    Parameters
    ----------
    key : bytes
        Secret of the project; unit and cluster are keyed hashes under it.
    ancestor : callable
        Of the classification.
    level : str
        Level of the estimates by class.
    """
    units = pd.concat(
        [_units(pilot, dataset, run, run_id, key) for run in runs], ignore_index=True
    )
    timings = pd.DataFrame([row for run in runs for row in run.timings])
    timings = timings.assign(run_id=run_id)[list(TIMINGS)]
    test = units[units["fold"] == "test"]
    return Evaluation(
        units,
        class_shares(test, ancestor, level, single=pilot.data.single_cluster),
        timings,
    )


def _units(
    pilot: Pilot, dataset: Dataset, run: MethodRun, run_id: str, key: bytes
) -> pd.DataFrame:
    roles = pilot.data.roles
    judged = dataset.folds.isin(["valid", "test"])
    frame = dataset.frame[judged]
    prediction = run.codes[:, 0]
    coded = np.array([code is not None for code in prediction], dtype=bool)
    clusters = split.cluster_ids(dataset.frame, roles.cluster)[judged]
    trained = arm.method_frame(dataset.frame[dataset.folds == "train"], roles)["text"]
    text = arm.method_frame(frame, roles)["text"]
    columns = {
        "run_id": run_id,
        "period": frame[roles.period] if roles.period else "",
        "method": run.name,
        "fold": dataset.folds[judged],
        "replicate": 0,
        "unit": keyed(frame[roles.unit_id], key),
        "position": np.flatnonzero(judged),
        "stratum": frame[roles.stratum].fillna("") if roles.stratum else "",
        "cluster": keyed(clusters, key),
        "variable": roles.target or pilot.truth,
        "prediction": prediction,
        "confidence": np.where(coded, run.scores[:, 0], np.nan),
        "candidates": [[c for c in row if c is not None] for row in run.codes],
        "scores": [
            [float(s) for c, s in zip(*pair, strict=True) if c is not None]
            for pair in zip(run.codes, run.scores, strict=True)
        ],
        "truth": frame[pilot.truth].astype(object),
        "truth_source": pilot.truth,
        "weight": frame[roles.weight].astype(float) if roles.weight else 1.0,
        "fraction": frame[roles.fraction].astype(float) if roles.fraction else 0.0,
        "status": _status(pilot, run),
        "route": "",
        "depth": "",
        "routed": None,
        "seen": seen(trained, text),
        **{f"domain_{name}": frame[name].fillna("") for name in roles.domain},
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def _status(pilot: Pilot, run: MethodRun) -> np.ndarray:
    prediction = run.codes[:, 0]
    coded = np.array([code is not None for code in prediction], dtype=bool)
    refused = has_uncodable_code(prediction, pilot.data.uncodable.codes)
    told = np.where(coded, "coded", "uncoded")
    return np.where(run.rejected | refused, "uncodable", told)


def keyed(values: pd.Series, key: bytes) -> list[str]:
    """Return the keyed hash (HMAC-SHA256, 128 bits kept) of each value as text."""
    return [
        hmac.digest(key, str(value).encode("utf-8", "surrogatepass"), "sha256")[
            :16
        ].hex()
        for value in values
    ]


def project_key(settings: Settings) -> bytes:
    """Return the project's secret; it is made at the first use."""
    path = settings.confidential / "unit.key"
    with FileLock(path.with_suffix(".lock"), timeout=60):
        if not path.exists():
            io.write_atomic(path, lambda beside: _write_secret(beside))
    return path.read_bytes()


def _write_secret(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))

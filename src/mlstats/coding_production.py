"""One period of a coding pilot: codes by champion and baseline, routes, shares.

Everything that a method is asked is asked once per distinct row of its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlstats import contract, model_store
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.coding.uncodable import UncodableTexts, has_uncodable_code
from mlstats.config import Pilot
from mlstats.dataset import finder, read_source
from mlstats.errors import MlstatsError, ServiceError
from mlstats.guard import method_guard
from mlstats.method import Incumbent, distinct_rows, predict_top
from mlstats.period_source import of_period, own_rows, without_target
from mlstats.produced import Arm, PeriodData
from mlstats.settings import Settings

__all__ = [
    "Codes",
    "Question",
    "answer",
    "load",
    "question",
    "question_of",
    "uncodable_texts",
]

CANDIDATES = 5


@dataclass(frozen=True, eq=False)
class Question:
    """What the methods are asked.

    Parameters
    ----------
    distinct : pandas.DataFrame
        Distinct rows of the inputs.
    inverse : numpy.ndarray of int, shape (n,)
        Place of each unit's row among them.
    rejected : numpy.ndarray of bool, shape (distinct,)
        Rows whose text cannot be coded.
    """

    distinct: pd.DataFrame
    inverse: np.ndarray
    rejected: np.ndarray


@dataclass(frozen=True, eq=False)
class Codes:
    """What an arm answered.

    Parameters
    ----------
    codes, scores : numpy.ndarray, shape (rows, candidates)
        Best first.
    distinct : bool
        Whether the rows are the distinct ones of the question, or the units.
    """

    codes: np.ndarray
    scores: np.ndarray
    distinct: bool = True


def load(
    pilot: Pilot, settings: Settings, period: str
) -> tuple[PeriodData, contract.ContractResult]:
    """Read the texts of a period and check the contract; nobody has coded them yet.

    Returns
    -------
    data : PeriodData
        With the Classification.
    result : ContractResult
        All failures of the contract.
    """
    source = read_source(of_period(pilot, period), settings)
    frame, digest = own_rows(source, pilot, period)
    spec = pilot.data.classification
    assert spec is not None
    classification = arm.read_classification(spec, finder(settings))
    result = contract.check(frame, without_target(pilot).data, truth=None)
    return PeriodData(frame, digest, list(source.cautions), classification), result


def question(pilot: Pilot, settings: Settings, data: PeriodData) -> Question:
    """Return what the methods are asked of a period."""
    return question_of(data.frame, pilot, uncodable_texts(pilot, settings))


def uncodable_texts(pilot: Pilot, settings: Settings) -> UncodableTexts | None:
    """Read the texts that cannot be coded; None where the pilot names none."""
    texts = pilot.data.uncodable.texts
    return None if texts is None else UncodableTexts.read(finder(settings)(texts))


def question_of(
    frame: pd.DataFrame, pilot: Pilot, uncodable: UncodableTexts | None
) -> Question:
    """Return what the methods are asked of rows."""
    distinct, inverse = distinct_rows(arm.method_frame(frame, pilot.data.roles))
    rejected = np.zeros(len(distinct), dtype=bool)
    if uncodable is not None:
        rejected = uncodable.hits(distinct["text"])
    return Question(distinct, inverse, rejected)


def of_column(pilot: Pilot, name: str, data: PeriodData) -> Codes:
    """Return the codes of a method that is a column of the data."""
    method = Incumbent(**pilot.methods[name].params)
    with method_guard(name):
        codes, scores = method.predict_top(data.frame, CANDIDATES)
    return Codes(codes, scores, distinct=False)


def answer(one: Arm, asked: Question, confidential: Path) -> Codes:
    """Load a version and let it code the distinct rows.

    Raises
    ------
    ServiceError
        Where the model is missing, was changed or cannot be loaded.
    MethodError
        Where it fails.
    """
    try:
        stored = model_store.load(one.digest, confidential)
    except MlstatsError as error:
        raise ServiceError(error.title, where=error.where) from None
    except Exception as error:
        raise ServiceError(
            f"The model {one.digest[:12]} cannot be loaded: {type(error).__name__}"
        ) from None
    with method_guard(one.method):
        inputs = asked.distinct[stored.columns]
        codes, scores = predict_top(stored.method, inputs, CANDIDATES)
    codes[asked.rejected], scores[asked.rejected] = None, np.nan
    return Codes(codes, scores)


def known_codes(
    classification: Classification, pilot: Pilot, answers: Sequence[Codes]
) -> Classification:
    """Return the classification with the codes that methods gave beyond its file."""
    spec = pilot.data.classification
    if spec is None or not spec.separator:
        return classification
    given = pd.unique(np.concatenate([codes.codes[:, 0] for codes in answers]))
    return classification.extended([code for code in given if code is not None])


def refused(pilot: Pilot, codes: np.ndarray) -> np.ndarray:
    """Return where a code says that nothing can be coded."""
    return np.asarray(has_uncodable_code(codes, pilot.data.uncodable.codes), dtype=bool)


def files(pilot: Pilot) -> list[str]:
    """Return the files that decide codes besides the data."""
    spec, texts = pilot.data.classification, pilot.data.uncodable.texts
    return [*([spec.file] if spec else []), *([texts] if texts else [])]

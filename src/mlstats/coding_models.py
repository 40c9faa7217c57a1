"""The models of champion and baseline on a worker, asked for the rows of a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import pandas as pd

from mlstats.answer_memory import AnswerMemory
from mlstats.block_calls import ended_after
from mlstats.coding.classification import Classification
from mlstats.coding.uncodable import UncodableTexts
from mlstats.coding_production import CANDIDATES, Codes, Question, question_of
from mlstats.coding_release import Limits, Rows, of_units
from mlstats.config import Pilot
from mlstats.errors import MlstatsError
from mlstats.guard import method_guard
from mlstats.method import Incumbent
from mlstats.model_store import PackedModel
from mlstats.produced import ArmFailed, Reason, seconds_of

__all__ = ["CodingModels"]


@dataclass(frozen=True, eq=False)
class CodingModels:
    """Who is asked for codes; sent to workers once, where they remember answers.

    Parameters
    ----------
    pilot : Pilot
        Whose data they are.
    models : mapping of str to PackedModel or str
        By role; a text is the name of a method that is a column.
    limits : mapping of str to Limits
        By role.
    uncodable : UncodableTexts or None
        Texts that cannot be coded.
    budget : float
        Seconds after which a worker whose champion has not answered for a part ends
        itself: nothing else ends a call that does not return. The baseline has as
        many as :func:`mlstats.produced.seconds_of`.
    """

    pilot: Pilot
    models: Mapping[str, PackedModel | str]
    limits: Mapping[str, Limits]
    uncodable: UncodableTexts | None
    budget: float
    _memories: dict[str, AnswerMemory] = field(
        default_factory=dict, init=False, repr=False
    )

    def answers(
        self, frame: pd.DataFrame
    ) -> tuple[Question, dict[str, Codes], dict[str, float]]:
        """Ask every model for the distinct rows of a part.

        Returns
        -------
        asked : Question
            The distinct rows.
        answers : dict of str to Codes
            By role.
        seconds : dict of str to float
            By role, how long it took.

        Raises
        ------
        ArmFailed
            Where a model does not answer.
        """
        asked = question_of(frame, self.pilot, self.uncodable)
        found: dict[str, Codes] = {}
        seconds: dict[str, float] = {}
        for role, model in self.models.items():
            began = perf_counter()
            try:
                with ended_after(seconds_of(role, self.budget)):
                    found[role] = self._answer(role, model, asked, frame)
            except MlstatsError as error:
                raise ArmFailed.of(role, Reason("crash", error.title)) from None
            seconds[role] = perf_counter() - began
        return asked, found, seconds

    def spread(
        self,
        asked: Question,
        answers: Mapping[str, Codes],
        classification: Classification,
    ) -> dict[str, Rows]:
        """Return the routed answers by role, a row per unit."""
        return {
            role: of_units(found, asked, self.pilot, classification, self.limits[role])
            for role, found in answers.items()
        }

    def _answer(
        self, role: str, model: PackedModel | str, asked: Question, frame: pd.DataFrame
    ) -> Codes:
        if isinstance(model, str):
            method = Incumbent(**self.pilot.methods[model].params)
            with method_guard(model):
                return Codes(*method.predict_top(frame, CANDIDATES), distinct=False)
        with method_guard(role):
            stored = model.unpacked()
            if role not in self._memories:
                self._memories[role] = AnswerMemory(stored.method, CANDIDATES)
            inputs = asked.distinct[stored.columns]
            codes, scores = self._memories[role].answer(inputs)
        codes[asked.rejected], scores[asked.rejected] = None, np.nan
        return Codes(codes, scores)

"""The version that answers while coders type, and the look at the log that changes it.

It is the version in production by the log of decisions, as in a reference period, and
each text goes the way that it would go there: by the thresholds of that version's own
evaluation. The log is looked at every few seconds; a new version is loaded beside the
old one and takes its place in one step.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats import model_store
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.coding.uncodable import UncodableTexts
from mlstats.coding_production import CANDIDATES, Codes, Question, known_codes, refused
from mlstats.coding_release import limits_of, of_units
from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.decision_log import DecisionLog
from mlstats.decisions import standing
from mlstats.errors import (
    ConfigError,
    MethodError,
    MlstatsError,
    ServiceError,
    UsageError,
)
from mlstats.guard import method_guard, place
from mlstats.method import predict_top
from mlstats.produced import Arm
from mlstats.production_arms import arms_of
from mlstats.registry import read_registry
from mlstats.serving_requests import Asked, Value
from mlstats.settings import Settings

__all__ = ["Answers", "Served", "Watch"]

_log = logging.getLogger(__name__)

_AGAIN: Final = 30.0  # seconds after which a model that failed to load is tried again


@dataclass(frozen=True, eq=False)
class Answers:
    """What a version answered.

    Parameters
    ----------
    codes, scores : numpy.ndarray, shape (n, k)
        Candidates, best first; None where there is none.
    route : numpy.ndarray of str, shape (n,)
        automatic, queue or uncodable.
    code, depth : numpy.ndarray of object, shape (n,)
        As they would be published without a clerk, else None.
    """

    codes: np.ndarray
    scores: np.ndarray
    route: np.ndarray
    code: np.ndarray
    depth: np.ndarray

    def part(self, first: int, end: int) -> Answers:
        """Return some rows."""
        rows = slice(first, end)
        return Answers(*(getattr(self, one.name)[rows] for one in fields(self)))

    def given(self) -> list[str]:
        """Return the codes that occur, sorted."""
        found = {*self.codes.ravel().tolist(), *self.code.tolist()}
        return sorted(code for code in found if code is not None)

    def columns(self) -> dict[str, list[Any]]:
        """Return a list per column; a score that is not told is NaN."""
        return {
            "code": self.code.tolist(),
            "depth": self.depth.tolist(),
            "route": self.route.tolist(),
            "abstained": (self.route == "queue").tolist(),
            "candidates": self.codes.tolist(),
            "scores": self.scores.tolist(),
        }


class Served:
    """A loaded version that answers for texts.

    Parameters
    ----------
    pilot : Pilot
        A coding pilot.
    one : Arm
        The version.
    settings : Settings
        Of the project.
    note : str
        Why it is not the champion, where it is not.

    Raises
    ------
    ConfigError
        Where the version is a column of the data, which answers for no new text.
    ServiceError
        Where its model is missing, was changed or cannot be loaded.
    """

    def __init__(
        self, pilot: Pilot, one: Arm, settings: Settings, note: str = ""
    ) -> None:
        if not one.digest:
            raise ConfigError(
                f"The baseline {one.method!r} is a column of the data: it answers for "
                "no new text",
                hint=f"mlstats promote {pilot.pilot}, or serve a --version of it",
            )
        self.pilot, self.arm, self.note = pilot, one, note
        self._stored = _loaded(one.digest, settings)
        self._limits = limits_of(one)
        spec = pilot.data.classification
        assert spec is not None  # a coding pilot has one
        self._classification = arm.read_classification(spec, finder(settings))
        self._uncodable: UncodableTexts | None = None
        if pilot.data.uncodable.texts is not None:
            path = finder(settings)(pilot.data.uncodable.texts)
            self._uncodable = UncodableTexts.read(path)
        self._title_classes()
        self.answer(
            Asked(["a"], {one: [None] for one in self.auxiliary}, 1)
        )  # what is made at the first use is made now

    @property
    def auxiliary(self) -> list[str]:
        """The columns beside the text that the version was given."""
        return [name for name in self._stored.columns if name != "text"]

    @property
    def numeric(self) -> frozenset[str]:
        """Those of them that have to be numbers."""
        features = getattr(self._stored.method, "features_", None)
        return frozenset(getattr(getattr(features, "covariates_", None), "limits", ()))

    @property
    def told(self) -> dict[str, Any]:
        """What each answer says of the version."""
        names = ("role", "method", "version", "label")
        about = {name: getattr(self.arm, name) for name in names}
        return about | ({"note": self.note} if self.note else {})

    def answer(self, asked: Asked) -> Answers:
        """Code texts, each as if it were asked for alone.

        Raises
        ------
        MethodError
            Where the method fails; the message holds nothing of the texts.
        """
        words = np.array(asked.texts, dtype=object)
        groups = _alike(list(asked.beside.values()), len(words))
        parts = []
        for rows in groups:
            columns = {"text": pd.Series(words[rows], dtype="str")}
            for name, values in asked.beside.items():
                columns[name] = pd.Series(_some(values, rows))
            frame = pd.DataFrame({one: columns[one] for one in self._stored.columns})
            parts.append(self._answer(frame, asked.k))
        if len(parts) == 1:
            return parts[0]
        order = np.argsort(np.concatenate([np.arange(len(words))[r] for r in groups]))
        return Answers(
            *(
                np.concatenate([getattr(part, one.name) for part in parts])[order]
                for one in fields(Answers)
            )
        )

    def titles(self, codes: Iterable[str]) -> dict[str, str]:
        """Return the title of each code, empty where there is none."""
        known = self._titles
        return {code: known.get(code, "") for code in codes}

    def entry(self, code: str) -> dict[str, Any] | None:
        """Return a code's title, ancestors and children, None where it is unknown."""
        held = self._classification
        if code not in held:
            return None
        depth = held.depth(code)
        above = [
            {"level": level, **self._named(group)}
            for level in held.levels[: depth - 1]
            if (group := held.ancestor([code], level)[0]) is not None
        ]
        below: list[str] = []
        if depth < len(held.levels):
            under = held.ancestors[:, depth - 1] == code
            below = sorted(set(held.ancestors[under, depth]) - {None})
        return {
            **self._named(code),
            "level": held.levels[depth - 1],
            "ancestors": above,
            "children": [self._named(one) for one in below],
        }

    def _answer(self, inputs: pd.DataFrame, k: int) -> Answers:
        n = len(inputs)
        rejected = np.zeros(n, dtype=bool)
        if self._uncodable is not None:
            rejected = self._uncodable.hits(inputs["text"])
        with method_guard(self.arm.method):
            codes, scores = predict_top(self._stored.method, inputs, max(k, CANDIDATES))
        codes[rejected], scores[rejected] = None, np.nan
        self._extend(codes[:, 0])
        # The route is that of production, whatever number of candidates is asked for.
        found = Codes(codes[:, :CANDIDATES], scores[:, :CANDIDATES])
        asked = Question(inputs, np.arange(n), rejected)
        rows = of_units(found, asked, self.pilot, self._classification, self._limits)
        automatic, value, depth = rows.automatic, rows.routed, rows.depth
        if self.arm.role == "baseline":  # its codes are published without a threshold
            automatic, value = ~pd.isna(rows.code), rows.code
            depth = np.full(n, "full", dtype=object)
        route = np.where(automatic, "automatic", "queue").astype(object)
        if self.pilot.data.uncodable.codes:
            best = np.where(automatic, value, rows.code)
            route[refused(self.pilot, best)] = "uncodable"
        kept = [np.full(n, None, dtype=object) for _ in range(2)]
        given = route == "automatic"
        for told, whole in zip(kept, (value, depth), strict=True):
            told[given] = whole[given]
        return Answers(codes[:, :k], scores[:, :k], route, *kept)

    def _named(self, code: str) -> dict[str, str]:
        return {"code": code, "title": self._titles.get(code, "")}

    def _extend(self, codes: np.ndarray) -> None:
        """Add codes that the classification lacks, where their place can be told."""
        new = {c for c in codes.tolist() if c is not None and c not in self._tried}
        if new:
            self._tried |= new
            held = self._classification
            told = Codes(np.array([[code] for code in new], dtype=object), np.empty(0))
            self._classification = known_codes(held, self.pilot, [told])
            self._title_classes()

    def _title_classes(self) -> None:
        held: Classification = self._classification
        self._titles = dict(zip(held.codes, held.titles, strict=True))
        self._tried: set[str] = {*held.codes, *getattr(self, "_tried", ())}


def _alike(columns: list[Sequence[Value]], n: int) -> Sequence[slice | list[int]]:
    """Return the rows whose values are of the same types.

    A column of a whole number and a fraction is one of fractions, in which 1 is
    written 1.0: a record's answer would depend on its neighbours.
    """
    if all(len(set(map(type, values))) == 1 for values in columns):
        return [slice(0, n)]
    groups: dict[tuple[type, ...], list[int]] = {}
    for i, row in enumerate(zip(*columns, strict=True)):
        groups.setdefault(tuple(map(type, row)), []).append(i)
    return list(groups.values())


def _some(values: Sequence[Value], rows: slice | list[int]) -> Sequence[Value]:
    return values[rows] if isinstance(rows, slice) else [values[i] for i in rows]


class Watch:
    """The version that answers now.

    Parameters
    ----------
    pilot : Pilot
        A coding pilot.
    settings : Settings
        Of the project.
    version : int, optional
        Answer by this one, whatever the log says.

    Raises
    ------
    UsageError
        Where the pilot codes no texts, or nobody knows the version.
    ServiceError, ConfigError
        Where the log does not answer, or no version can be loaded.
    """

    def __init__(
        self, pilot: Pilot, settings: Settings, version: int | None = None
    ) -> None:
        if pilot.theme != "coding":
            raise UsageError(
                f"{pilot.pilot} codes no texts: its theme is {pilot.theme}",
                expected="a pilot of the theme coding",
            )
        self._pilot, self._settings, self._version = pilot, settings, version
        self._decisions = DecisionLog(settings.database)
        self._lock = threading.Lock()
        self._head: str | None = None
        self._tried = 0.0
        self.looked = 0.0  # when the log was last read, seconds since 1970
        self.current: Served
        self._look()

    def look(self) -> None:
        """Read the log, and take up the version that it names where it is new.

        Where the log does not answer, the version that answered before goes on.
        """
        with self._lock:
            try:
                self._look()
            except MlstatsError as error:
                _log.warning("no new version is taken up: %s", error.title)
            except Exception as error:  # the next look must not be lost
                said = f"{type(error).__name__} at {place(error)}"
                _log.warning("no new version is taken up: %s", said)

    def _look(self) -> None:
        rows = self._decisions.read(self._pilot.pilot)
        head = rows[-1].hash if rows else ""
        failed = bool(self._head is not None and self.current.note)
        again = failed and time.monotonic() - self._tried > _AGAIN
        if self._head is None or again or (head != self._head and not self._version):
            self._tried = time.monotonic()
            self._take_up()
        self._head, self.looked = head, time.time()

    def _take_up(self) -> None:
        if self._version is not None:
            one = _version(self._pilot, self._settings, self._version)
            self._serve(one, "asked for by --version")
            return
        arms = arms_of(self._pilot, self._settings)
        note = "no version is in production"
        if arms.champion is not None:
            if arms.reason is None:
                try:
                    self._serve(arms.champion)
                    return
                except (ServiceError, MethodError) as error:
                    note = error.title
            else:
                note = arms.reason.said
        self._serve(arms.baseline, f"{note}: the baseline answers")

    def _serve(self, one: Arm, note: str = "") -> None:
        old = getattr(self, "current", None)
        if old is not None and (old.arm, old.note) == (one, note):
            return
        self.current = Served(self._pilot, one, self._settings, note)
        _log.info("%s is answered by %s", self._pilot.pilot, one.label)


def _version(pilot: Pilot, settings: Settings, version: int) -> Arm:
    """Return a version that was decided on, else one that is registered."""
    moved = standing(DecisionLog(settings.database).read(pilot.pilot)).moved
    digest = moved[version].model if version in moved else ""
    if not digest:
        known = read_registry(settings, pilot.pilot).versions
        if version not in known:
            raise UsageError(
                f"{pilot.pilot} has no version {version}",
                where="--version",
                expected=", ".join(map(str, sorted({*moved, *known}))) or "none yet",
            )
        digest = known[version].tags.get("model_digest", "")
    terms = model_store.terms_of(digest, settings.confidential)
    method = str(terms.get("method", pilot.candidate))
    return Arm("version", method, digest, version, terms)


def _loaded(digest: str, settings: Settings) -> model_store.StoredModel:
    try:
        return model_store.load(digest, settings.confidential)
    except MlstatsError as error:
        raise ServiceError(error.title, where=error.where, hint=error.hint) from None
    except Exception as error:
        raise ServiceError(
            f"The model {digest[:12]} cannot be loaded: {type(error).__name__}",
            where=place(error),
        ) from None

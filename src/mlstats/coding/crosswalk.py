"""A crosswalk: which codes of a revised classification an old code became.

It recodes training rows, so that a method can learn a new classification before
enough rows are coded to it. It never recodes the rows of an evaluation: accuracy would
then be measured against the crosswalk and not against the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.coding.structure import text_column
from mlstats.errors import ConfigError, MethodError, SourceError, nearest
from mlstats.io import read_table

__all__ = ["Crosswalk"]

_TOLERANCE = 1e-6  # of the sum of the weights of a code
_HOW = ("draw", "most", "unique")

_Objects = npt.NDArray[np.object_]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Crosswalk:
    """Old code -> new codes with weights.

    Made by :meth:`read` or :meth:`from_frame`.

    Attributes
    ----------
    table : DataFrame
        Columns source, target, weight, by source and from the largest weight down.
    weighted : bool
        Whether the source gave the weights; else the targets of a code have equal
        ones, which is an assumption and no knowledge.

    Examples
    --------
    >>> frame = pd.DataFrame({"source": ["1", "1", "2"], "target": ["A", "B", "B"]})
    >>> crosswalk = Crosswalk.from_frame(frame.assign(weight=[0.25, 0.75, 1.0]))
    >>> crosswalk.recode(["1", "2", None], how="most").tolist()
    ['B', 'B', None]
    >>> crosswalk.recode(["1", "2"], how="unique").tolist()
    [None, 'B']
    >>> crosswalk.fractions(["1", "2"]).to_numpy().tolist()
    [[0, 'B', 0.75], [0, 'A', 0.25], [1, 'B', 1.0]]
    """

    table: pd.DataFrame
    weighted: bool

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        source: str = "source",
        target: str = "target",
        weight: str | None = None,
    ) -> Crosswalk:
        """Read a crosswalk from a file of any kind that :mod:`mlstats.io` reads.

        Parameters
        ----------
        path : path
            A table, such as csv or xlsx.
        source, target, weight : str
            As in :meth:`from_frame`.

        Raises
        ------
        ConfigError, SourceError
            As :meth:`from_frame`, and if the file cannot be read.
        """
        table = read_table(path, text_columns=(source, target))
        try:
            return cls.from_frame(
                table.frame, source=source, target=target, weight=weight
            )
        except SourceError as error:
            error.where = f"{table.source}: {error.where}"
            raise

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        source: str = "source",
        target: str = "target",
        weight: str | None = None,
    ) -> Crosswalk:
        """Make a crosswalk from a table with a row per pair of codes.

        Parameters
        ----------
        frame : DataFrame
            Rows without a source or a target (a code that ended, a code that is
            new) are passed over; a pair that stands in two rows counts once.
        source, target : str
            Columns of codes, as text.
        weight : str, optional
            Column with the share of the source's units that go to the target, by
            default "weight" where there is one.

        Raises
        ------
        ConfigError
            If a column is missing.
        SourceError
            If codes are no text, a weight is no positive number, or the weights of
            a source do not sum to 1.
        """
        pairs = pd.DataFrame(
            {
                "source": text_column(frame, source),
                "target": text_column(frame, target),
            }
        )
        if weight is None and "weight" in frame:
            weight = "weight"
        if weight is not None:
            pairs["weight"] = _weights(frame, weight)
        pairs = pairs.dropna(subset=["source", "target"])
        pairs = pairs.drop_duplicates()
        twice = pairs.duplicated(["source", "target"]).to_numpy()
        if twice.any():
            raise _fault("A pair of codes has two weights", pairs.index[twice])
        if weight is None:
            count = pairs.groupby("source")["source"].transform("size")
            pairs["weight"] = 1.0 / count
        sums = pairs.groupby("source")["weight"].transform("sum")
        wrong = (np.abs(sums - 1) > _TOLERANCE).to_numpy()
        if wrong.any():
            raise _fault("The weights of a code do not sum to 1", pairs.index[wrong])
        ordered = pairs.assign(weight=pairs["weight"] / sums).sort_values(
            ["source", "weight", "target"],
            ascending=[True, False, True],
            ignore_index=True,
        )
        return cls(ordered, weight is not None)

    def problems(
        self,
        source: Classification | None = None,
        target: Classification | None = None,
    ) -> pd.DataFrame:
        """Return the codes that do not fit the two classifications.

        Parameters
        ----------
        source, target : Classification, optional
            The old and the new one; a side that is not given is not looked at.

        Returns
        -------
        DataFrame
            Columns side, code, problem: codes of the crosswalk that a classification
            does not have, and codes without codes below them that the crosswalk
            lacks.
        """
        found = []
        for side, held in (("source", source), ("target", target)):
            if held is not None:
                codes = set(self.table[side])
                unknown = sorted(code for code in codes if code not in held)
                missing = sorted(set(_leaves(held)) - codes)
                found += [(side, c, "not in the classification") for c in unknown]
                found += [(side, c, "not in the crosswalk") for c in missing]
        return pd.DataFrame(found, columns=["side", "code", "problem"])

    def recode(
        self,
        codes: Any,
        *,
        how: str = "draw",
        rng: np.random.Generator | None = None,
        unknown: str = "raise",
        for_evaluation: bool = False,
    ) -> _Objects:
        """Return new codes for training rows.

        Parameters
        ----------
        codes : array-like of str, shape (n,)
            Old codes; a missing one stays missing.
        how : {"draw", "most", "unique"}
            With several targets: one is drawn by the weights, or the one of the
            largest weight, or none.
        rng : numpy.random.Generator, optional
            Needed to draw.
        unknown : {"raise", "none"}
            What is done with codes that the crosswalk does not have.
        for_evaluation : bool
            Always refused: rows of an evaluation have to be coded anew.

        Returns
        -------
        ndarray of object, shape (n,)

        Raises
        ------
        ConfigError
            For rows of an evaluation, and for an option that does not exist.
        MethodError
            If the crosswalk lacks a code.
        """
        if for_evaluation:
            raise ConfigError(
                "Labels of an evaluation are never recoded by a crosswalk",
                hint="have a sample of these rows coded to the new classification",
            )
        _check_option("how", how, _HOW)
        number = self._number(codes, unknown)
        first, count = self._first[number], self._count[number]
        if how == "draw":
            if rng is None:
                raise ConfigError("Drawing codes needs a generator", hint="pass rng")
            drawn = number + rng.random(len(number))
            row = np.searchsorted(self._steps, drawn, side="right")
            first = np.clip(row, first, first + np.maximum(count, 1) - 1)
        known = (number >= 0) & ((count == 1) | (how != "unique"))
        recoded = np.full(len(number), None, dtype=object)
        recoded[known] = self.table["target"].to_numpy(dtype=object)[first[known]]
        return recoded

    def fractions(self, codes: Any, *, unknown: str = "raise") -> pd.DataFrame:
        """Return every new code of each training row with its weight.

        For methods that take weights: each row stands once per target.

        Returns
        -------
        DataFrame
            Columns row (position in `codes`), code, weight; no row for a missing
            code.
        """
        number = self._number(codes, unknown)
        rows = np.flatnonzero(number >= 0)
        count = self._count[number[rows]]
        skipped = self._first[number[rows]] - (np.cumsum(count) - count)
        place = np.arange(count.sum()) + np.repeat(skipped, count)
        pairs = self.table.iloc[place]
        return pd.DataFrame(
            {
                "row": np.repeat(rows, count),
                "code": pairs["target"].to_numpy(dtype=object),
                "weight": pairs["weight"].to_numpy(),
            }
        )

    def then(self, following: Crosswalk) -> Crosswalk:
        """Return the crosswalk over two revisions; weights are multiplied.

        Raises
        ------
        MethodError
            If `following` lacks a target of this one.
        """
        steps = following.fractions(self.table["target"].to_numpy(dtype=object))
        source = self.table["source"].to_numpy(dtype=object)[steps["row"]]
        weight = self.table["weight"].to_numpy()[steps["row"]] * steps["weight"]
        pairs = pd.DataFrame(
            {"source": source, "target": steps["code"], "weight": weight}
        )
        merged = pairs.groupby(["source", "target"], as_index=False).sum()
        made = Crosswalk.from_frame(merged, weight="weight")
        return Crosswalk(made.table, self.weighted and following.weighted)

    def _number(self, codes: Any, unknown: str) -> _Ints:
        """Return the number of each code among the sources, -1 for none."""
        _check_option("unknown", unknown, ("raise", "none"))
        given = pd.Series(codes, dtype=object)
        number = self._sources.get_indexer(pd.Index(given))
        lacking = (number < 0) & given.notna().to_numpy()
        if lacking.any() and unknown == "raise":
            raise MethodError(
                f"The crosswalk lacks the codes of {int(lacking.sum()):,} rows",
                where=f"first in row {int(lacking.argmax()) + 1}",
                hint="mend the crosswalk, or leave them without a code: unknown='none'",
            )
        return np.where(given.isna().to_numpy(), -1, number)

    @cached_property
    def _sources(self) -> pd.Index:
        codes: pd.Index = pd.Index(list(self.table["source"].unique()), dtype=object)
        return codes

    @cached_property
    def _first(self) -> _Ints:
        return np.flatnonzero(~self.table["source"].duplicated().to_numpy())

    @cached_property
    def _count(self) -> _Ints:
        return np.diff(np.append(self._first, len(self.table)))

    @cached_property
    def _steps(self) -> npt.NDArray[np.float64]:
        """The weights of each source as steps from its number to the next."""
        shares = self.table.groupby("source", sort=False)["weight"].cumsum().to_numpy()
        steps: npt.NDArray[np.float64] = shares + np.repeat(
            np.arange(len(self._count)), self._count
        )
        return steps


def _leaves(held: Classification) -> list[str]:
    above = {
        group
        for code, path in zip(held.codes, held.ancestors, strict=True)
        for group in path
        if group is not None and group != code
    }
    return [code for code in held.codes if code not in above]


def _weights(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    if name not in frame:
        columns = [str(column) for column in frame.columns]
        raise ConfigError(
            f"The crosswalk has no column {name!r}", nearest=nearest(name, columns)
        )
    weights = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float)
    if not (weights > 0).all():
        raise _fault("A weight is no positive number", np.flatnonzero(~(weights > 0)))
    return weights


def _check_option(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(
            f"{name} is {value!r}",
            expected=", ".join(valid),
            nearest=nearest(str(value), valid),
        )


def _fault(title: str, rows: Any) -> SourceError:
    first = ", ".join(str(int(row) + 1) for row in rows[:5])
    return SourceError(f"{title} ({len(rows)} rows)", where=f"rows {first}")

"""Selection: the least set of values that must be wrong in a failing record.

Fellegi and Holt (1976): change the fewest values (the least weight) such that the
rest, unchanged, fits values that keep every hard edit. Exact for numeric, categorical
and mixed edits, with alternatives and whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.block_search import Limits
from mlstats.editimpute.compiled import CompiledEdits, Records, compile_edits, encode
from mlstats.editimpute.edit_check import refuse_conflict
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.evaluation import clause_truth
from mlstats.editimpute.status import not_whole
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.editimpute.whole_search import Answers, Settings, WholeSearch
from mlstats.errors import ConfigError, nearest

__all__ = ["Localisation", "localise"]

Bools = npt.NDArray[np.bool_]

_ORDERS = 16  # drawn orders of the variables, of which each record has one
_STATUS = np.array(
    ["pass", "solved", "limit_exceeded", "no_solution", "time_exceeded"], dtype=object
)


@dataclass(frozen=True)
class Localisation:
    """Which values of which records are to be changed.

    Attributes
    ----------
    changes : DataFrame of bool, shape (n, variables of the edits)
        With the index of the records, in their order.
    status : Series of str
        ``pass`` nothing is to be changed; ``solved`` the least weight was found;
        ``limit_exceeded`` more weight than the limit is needed; ``no_solution`` the
        variables that may be changed cannot mend the record; ``time_exceeded``. Only
        missing and invalid values are marked for the last three.
    weight : Series of float
        Weight of the values to change; missing where it was not found.
    by_program : Series of bool
        Whether the mixed-integer program answered for the record.
    """

    changes: pd.DataFrame
    status: pd.Series
    weight: pd.Series
    by_program: pd.Series

    def statistics(self) -> pd.DataFrame:
        """Count how often each variable is to be changed.

        Returns
        -------
        DataFrame
            Columns variable, records.
        """
        counts = self.changes.sum(axis=0)
        return pd.DataFrame(
            {"variable": counts.index.astype(str), "records": counts.to_numpy()}
        )

    def fields(self) -> pd.DataFrame:
        """Return a row for every value to change: row, record and variable."""
        rows, columns = np.nonzero(self.changes.to_numpy())
        return pd.DataFrame(
            {
                "row": rows,
                "record": self.changes.index.take(rows),
                "variable": self.changes.columns.take(columns).astype(str),
            }
        )


def localise(
    frame: pd.DataFrame,
    edits: EditSet,
    *,
    weights: Mapping[str, float] | None = None,
    limit: float | None = None,
    seed: int = 0,
    period: str | None = None,
    tolerance: float = 1e-9,
    strict: float = 1e-6,
    seconds_per_record: float = 20.0,
    block_rows: int = 20_000,
    limits: Limits | None = None,
    draws: UnitDraws | None = None,
) -> Localisation:
    """Find the values of least weight that must be changed in every record.

    Parameters
    ----------
    frame : DataFrame, shape (n, columns)
        The records.
    edits : EditSet
        The edits; soft ones are left aside.
    weights : mapping, optional
        Variable -> reliability, above zero; 1 by default, infinite for a variable
        that is never changed (its missing values count 1). Weights count in
        millionths.
    limit : float, optional
        Largest weight of the values to change in one record, missing ones included.
    seed : int, default=0
        Of ties. It draws 16 orders of preference of the variables, and for each
        record, in the order of the table, which of them it has: among the sets of
        least weight that one is taken whose drawn numbers add up to the least.
    period : str, optional
        Reference period: only the edits that hold then are used.
    tolerance, strict : float
        As in :func:`mlstats.editimpute.compiled.compile_edits`.
    seconds_per_record : float, default=20
        For a record that needs the mixed-integer program.
    block_rows : int, default=20000
        Records that are worked on at once.
    limits : Limits, optional
        Where the shared search gives a record to the mixed-integer program.
    draws : UnitDraws, optional
        Of the records: each has the order that its label draws, whatever records are
        beside it, instead of one by its place in the table.

    Raises
    ------
    ConfigError
        Where the edits contradict each other (a minimal conflicting subset is named),
        a variable is not in the table, or a weight is not above zero.

    References
    ----------
    I. P. Fellegi and D. Holt, "A systematic approach to automatic edit and
    imputation", Journal of the American Statistical Association 71 (1976), 17-35.

    Examples
    --------
    >>> edits = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0", "c <= 10"])
    >>> frame = pd.DataFrame({"a": [1.0, 4], "b": [2.0, 90], "c": [3.0, 9]})
    >>> found = localise(frame, edits)
    >>> found.changes.to_numpy().tolist()
    [[False, False, False], [False, True, False]]
    >>> found.status.tolist()
    ['pass', 'solved']
    """
    chosen = edits.at(period).hard()
    compiled = compile_edits(chosen, tolerance=tolerance, strict=strict)
    refuse_conflict(chosen, compiled)
    cost = _weights(compiled, weights or {})
    rng = np.random.default_rng(seed)
    ranks = rng.integers(1, 2**16, size=(_ORDERS, len(compiled.names)))
    if draws is None:
        order = rng.integers(_ORDERS, size=len(frame))
    else:
        order = draws.places("ties of the selection", _ORDERS)
    settings = Settings(cost, ranks, limit, seconds_per_record, limits or Limits())
    search = WholeSearch(compiled, settings)
    answers = Answers.empty(len(frame), len(compiled.names))
    for start in range(0, len(frame), block_rows):
        rows = np.arange(start, min(start + block_rows, len(frame)))
        records = encode(frame.iloc[rows], chosen, compiled)
        wrong, false, broken = _to_mend(records, compiled)
        if wrong.any():
            search.mend(
                records.take(wrong),
                false[wrong],
                broken[wrong],
                order[rows[wrong]],
                answers,
                rows[wrong],
            )
    return Localisation(
        changes=pd.DataFrame(
            answers.changes, index=frame.index, columns=list(compiled.names)
        ),
        status=pd.Series(
            _STATUS[answers.status], frame.index, name="status", dtype=str
        ),
        weight=pd.Series(answers.weight, frame.index, name="weight"),
        by_program=pd.Series(answers.by_program, frame.index, name="by_program"),
    )


def _to_mend(records: Records, compiled: CompiledEdits) -> tuple[Bools, Bools, Bools]:
    """Return which records are wrong, their false clauses and broken integers."""
    true, unknown = clause_truth(records, compiled)
    false = ~true & ~unknown
    broken = np.zeros_like(records.missing)
    for place in compiled.integer:
        broken[:, place] = not_whole(records, place, compiled.tolerance)
    needed = [
        j for j in range(len(compiled.names)) if j not in compiled.missing_allowed
    ]
    lacking = records.missing[:, needed].any(axis=1) | records.invalid.any(axis=1)
    wrong = np.asarray(false.any(axis=1) | lacking | broken.any(axis=1))
    return wrong, false, broken


def _weights(
    compiled: CompiledEdits, weights: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    for name, value in weights.items():
        if name not in compiled.names:
            raise ConfigError(
                f"A weight is given for {name!r}, which is in no edit",
                nearest=nearest(name, compiled.names),
            )
        if not value >= 1e-6:
            raise ConfigError(
                f"The weight of {name!r} is {value!r}", expected="a number above zero"
            )
    return np.array([float(weights.get(name, 1.0)) for name in compiled.names])

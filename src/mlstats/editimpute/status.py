"""Review: which records pass, miss or fail, and which edits they fail.

A record fails if it fails a hard edit, misses if it fails none and a value that is not
allowed to be missing is, and passes otherwise. A value that is no finite number in a
numeric variable fails the edit ``NAME:number``; it is treated as missing elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.compiled import CompiledEdits, Records, compile_edits, encode
from mlstats.editimpute.edits import EditSet, Integral
from mlstats.editimpute.evaluation import clause_truth

__all__ = ["FAIL", "MISS", "PASS", "Review", "review"]

Codes = npt.NDArray[np.int8]

PASS, MISS, FAIL = 0, 1, 2
_NAMES = np.array(["pass", "miss", "fail"], dtype=object)


@dataclass(frozen=True)
class Review:
    """What the review of records found.

    Attributes
    ----------
    index : Index
        Of the records, in their order.
    ids, severities, texts : list of str
        Of the edits.
    by_edit : ndarray of int8, shape (n, edits)
        0 pass, 1 miss, 2 fail.
    by_record : ndarray of int8, shape (n,)
        The same, of records; soft edits do not count.
    """

    index: pd.Index
    ids: list[str]
    severities: list[str]
    texts: list[str]
    by_edit: Codes
    by_record: Codes

    @property
    def status(self) -> pd.Series:
        """Return pass, miss or fail of each record."""
        return pd.Series(_NAMES[self.by_record], self.index, name="status", dtype=str)

    def statistics(self) -> pd.DataFrame:
        """Count by edit.

        Returns
        -------
        DataFrame
            Columns edit, severity, text, pass, miss, fail, fail_rate (of the records
            to which a pass or a fail was given).
        """
        counts = {
            name: (self.by_edit == code).sum(axis=0)
            for code, name in enumerate(("pass", "miss", "fail"))
        }
        decided = counts["pass"] + counts["fail"]
        rate = np.full(len(self.ids), np.nan)
        np.divide(counts["fail"], decided, out=rate, where=decided > 0)
        told = {"edit": self.ids, "severity": self.severities, "text": self.texts}
        return pd.DataFrame({**told, **counts, "fail_rate": rate})

    def record_statistics(self) -> pd.DataFrame:
        """Count the records that pass, miss and fail."""
        counts = np.bincount(self.by_record, minlength=3)
        return pd.DataFrame({"status": _NAMES.astype(str), "records": counts})

    def failures(self) -> pd.DataFrame:
        """Return a row for every edit that a record fails.

        Returns
        -------
        DataFrame
            Columns row (place of the record, from 0), record (its label), edit,
            severity and text, in the order of the records.
        """
        rows, edits = np.nonzero(self.by_edit == FAIL)
        return pd.DataFrame(
            {
                "row": rows,
                "record": self.index.take(rows),
                "edit": np.array(self.ids, dtype=object)[edits],
                "severity": np.array(self.severities, dtype=object)[edits],
                "text": np.array(self.texts, dtype=object)[edits],
            }
        )


def review(
    frame: pd.DataFrame,
    edits: EditSet,
    *,
    period: str | None = None,
    tolerance: float = 1e-9,
    strict: float = 1e-6,
) -> Review:
    """Tell which records pass, miss and fail which edits.

    Parameters
    ----------
    frame : DataFrame, shape (n, columns)
        The records; columns that no edit names are not looked at.
    edits : EditSet
        The edits.
    period : str, optional
        Reference period of the records: only the edits that hold then are used.
    tolerance, strict : float
        As in :func:`mlstats.editimpute.compiled.compile_edits`.

    Raises
    ------
    ConfigError
        Where an edit names a variable that is not a column.

    Examples
    --------
    >>> edits = EditSet.from_texts(["a + b == c", "a >= 0"])
    >>> found = review(
    ...     pd.DataFrame({"a": [1, 1, None], "b": [2, 2, 2], "c": [3, 4, 5]}), edits
    ... )
    >>> found.status.tolist()
    ['pass', 'fail', 'miss']
    >>> found.failures()["edit"].tolist()
    ['E1']
    """
    chosen = edits.at(period)
    compiled = compile_edits(chosen, tolerance=tolerance, strict=strict)
    records = encode(frame, chosen, compiled)
    return _reviewed(frame.index, chosen, compiled, records)


def _reviewed(
    index: pd.Index, edits: EditSet, compiled: CompiledEdits, records: Records
) -> Review:
    true, unknown = clause_truth(records, compiled)
    by_edit = np.zeros((len(records), len(edits.edits)), dtype=np.int8)
    for i, owner in enumerate(compiled.owner):
        clause = np.where(true[:, i], PASS, np.where(unknown[:, i], MISS, FAIL))
        np.maximum(by_edit[:, owner], clause, out=by_edit[:, owner], casting="unsafe")
    for owner, edit in enumerate(edits.edits):
        if isinstance(edit.clauses[0][0], Integral):
            place = compiled.names.index(edit.variables[0])
            by_edit[:, owner] = _integral(records, place, compiled)
    hard = np.array([edit.severity == "hard" for edit in edits.edits], dtype=bool)
    by_record = by_edit[:, hard].max(axis=1, initial=0).astype(np.int8)
    needed = [i for i in range(len(compiled.names)) if _is_needed(i, compiled)]
    lacking = records.missing[:, needed].any(axis=1)
    by_record[(by_record == PASS) & lacking] = MISS
    by_record[(by_record == MISS) & ~lacking] = PASS
    by_record[records.invalid.any(axis=1)] = FAIL
    bad = np.flatnonzero(records.invalid.any(axis=0))
    number = np.where(records.invalid[:, bad], FAIL, PASS).astype(np.int8)
    names = [compiled.names[place] for place in bad]
    return Review(
        index=index,
        ids=[edit.id for edit in edits.edits] + [f"{name}:number" for name in names],
        severities=[*(edit.severity for edit in edits.edits), *["hard"] * len(bad)],
        texts=[edit.text for edit in edits.edits]
        + [f"{name} is a finite number" for name in names],
        by_edit=np.hstack([by_edit, number]),
        by_record=by_record,
    )


def _is_needed(place: int, compiled: CompiledEdits) -> bool:
    return place not in compiled.missing_allowed


def not_whole(records: Records, place: int, tolerance: float) -> npt.NDArray[np.bool_]:
    """Tell which values are not whole numbers."""
    values = records.numbers[:, place]
    away = np.abs(values - np.rint(values))
    broken = away > tolerance + 1e-12 * np.abs(values)
    return np.asarray(broken & ~records.missing[:, place])


def _integral(records: Records, place: int, compiled: CompiledEdits) -> Codes:
    code = np.where(not_whole(records, place, compiled.tolerance), FAIL, PASS)
    unknown = records.missing[:, place] & (place not in compiled.missing_allowed)
    return np.where(unknown, MISS, code).astype(np.int8)

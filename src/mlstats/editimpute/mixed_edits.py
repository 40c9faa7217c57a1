"""Edits of every kind kept after imputation: numbers, whole numbers and categories.

The records that fail after imputation are taken through three steps, each for those
that the one before did not mend: the imputed numbers move as little as the edits need,
with the imputed categories as they are; all open cells come from one near donor with
which the record passes, its numbers moved if need be; other categories are sought by
branching, which is exact. What is left is told with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.compiled import Choice, CompiledEdits, Records, encode
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.evaluation import choice_table
from mlstats.editimpute.feasible_values import feasible
from mlstats.editimpute.fitting import Fitted, Fitter
from mlstats.editimpute.joint_donors import near_donors

__all__ = ["Mended", "lacking", "mend"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

IMPOSSIBLE = (
    "no values of the free cells satisfy the edits",
    "the values that are not free contradict the edits",
)
UNTOUCHED = "no value of the edit was open to treatment"


@dataclass(eq=False)
class Mended:
    """Records after their open cells were brought to keep the edits.

    Attributes
    ----------
    records : Records
        The values, as arrays.
    donors : ndarray of int, shape (n,)
        Row of the donor of all open cells, -1 where there is none.
    reason : ndarray of str, shape (n,)
        Why a record does not keep the edits; empty where it does.
    """

    records: Records
    donors: Ints
    reason: npt.NDArray[np.object_]
    compiled: CompiledEdits = field(repr=False)

    def after(self, first: int) -> Mended:
        """Return all but the first records; rows of donors stay as they are."""
        rest = np.arange(first, len(self.records))
        return Mended(
            self.records.take(rest), self.donors[rest], self.reason[rest], self.compiled
        )


def mend(
    values: pd.DataFrame,
    hard: EditSet,
    fitter: Fitter,
    mask: pd.DataFrame,
    able: Bools,
    *,
    tries: int,
    seed: int,
    pool: Records | None = None,
) -> Mended:
    """Bring imputed records to keep hard edits.

    Parameters
    ----------
    values : pandas.DataFrame
        After imputation.
    hard : EditSet
        The edits.
    fitter : Fitter
        The same, ready for use.
    mask : pandas.DataFrame of bool
        Cells that may change; a cell without a value does not.
    able : ndarray of bool, shape (n,)
        Records that may be donors, if they pass.
    tries : int
        Donors that are tried for a record.
    seed : int
        Of the donors drawn.
    pool : Records, optional
        Records that pass and lack nothing: the donors, in place of those of `values`;
        the rows of donors are then rows of the pool.
    """
    compiled = fitter.compiled
    records = encode(values, hard, compiled)
    free = mask[list(compiled.names)].to_numpy(dtype=bool) & ~records.missing
    fails = np.asarray(fitter.broken(records).any(axis=1))
    if pool is not None:
        lead = np.zeros(len(pool), dtype=bool)
        records = _joined(pool, records)
        free = np.vstack([np.zeros(pool.missing.shape, dtype=bool), free])
        fails, able = np.append(lead, fails), np.append(~lead, np.zeros_like(able))
    made = _mended(records, fitter, free, fails, able, tries, seed)
    return made if pool is None else made.after(len(pool))


def _joined(pool: Records, records: Records) -> Records:
    pairs = (
        (getattr(pool, name), getattr(records, name))
        for name in ("numbers", "codes", "missing", "invalid")
    )
    return Records(*(np.concatenate(pair) for pair in pairs))


def _mended(
    records: Records,
    fitter: Fitter,
    free: Bools,
    fails: Bools,
    able: Bools,
    tries: int,
    seed: int,
) -> Mended:
    compiled = fitter.compiled
    n = len(records)
    made = Mended(records, np.full(n, -1), np.full(n, "", dtype=object), compiled)
    made.reason[fails] = UNTOUCHED
    waiting = np.flatnonzero(fails & free.any(axis=1))
    if not len(waiting):
        return made
    found = fitter.fit(records.take(waiting), free[waiting])
    waiting = _written(made, waiting, found)
    givers = np.flatnonzero(able & ~fails & ~lacking(records, compiled))
    if len(waiting) and len(givers):
        helped = _may_be_helped(made, fitter, free, waiting)
        some = waiting[helped]
        near = near_donors(records, free, givers, some, tries=tries, seed=seed)
        left = _from_donors(made, fitter, free, some, near)
        waiting = np.sort(np.concatenate([waiting[~helped], left]))
    if len(waiting):
        waiting = _sought(made, fitter, free, waiting, givers)
    _within_bounds(made, fitter, free, waiting)
    return made


def lacking(records: Records, compiled: CompiledEdits) -> Bools:
    """Tell which records lack a value that is not allowed to be missing."""
    needed = [
        j for j in range(len(compiled.names)) if j not in compiled.missing_allowed
    ]
    return np.asarray(records.missing[:, needed].any(axis=1))


def _written(made: Mended, waiting: Ints, found: Fitted) -> Ints:
    """Put in what was found; return the rows that still wait."""
    rows = waiting[found.good]
    made.records.numbers[rows] = found.records.numbers[found.good]
    made.records.codes[rows] = found.records.codes[found.good]
    made.reason[waiting] = found.reason
    return waiting[~found.good]


def _may_be_helped(made: Mended, fitter: Fitter, free: Bools, rows: Ints) -> Bools:
    """Tell which records a donor's values could bring to keep the edits.

    Where no numbers of the open cells do, only other categories or alternatives can.
    """
    compiled = fitter.compiled
    supports = [compiled.supports[i] for i in fitter.conditional]
    touched = np.zeros(len(rows), dtype=bool)
    for place in range(len(compiled.names)):
        if place >= compiled.n_numeric or any(s >> place & 1 for s in supports):
            touched |= free[rows, place]
    return np.asarray(touched | ~np.isin(made.reason[rows].astype(str), IMPOSSIBLE))


def _from_donors(
    made: Mended, fitter: Fitter, free: Bools, waiting: Ints, near: Ints
) -> Ints:
    place = np.arange(len(waiting))
    for k in range(near.shape[1]):
        rows, donors = waiting[place], near[place, k]
        candidates = _taken(made.records, free, rows, donors)
        found = fitter.fit(candidates, free[rows])
        # A donor who misses one of the cells gives none of them.
        whole = ~(free[rows] & made.records.missing[donors]).any(axis=1)
        good = found.good & whole
        found = replace(found, good=good, reason=made.reason[rows])
        made.donors[rows[good]] = donors[good]
        found.reason[good] = ""
        _written(made, rows, found)
        place = place[~good]
        if not len(place):
            break
    return waiting[place]


def _taken(records: Records, free: Bools, rows: Ints, donors: Ints) -> Records:
    own, given = records.take(rows), records.take(donors)
    n = records.numbers.shape[1]
    return replace(
        own,
        numbers=np.where(free[rows, :n], given.numbers, own.numbers),
        codes=np.where(free[rows, n:], given.codes, own.codes),
    )


def _sought(
    made: Mended, fitter: Fitter, free: Bools, waiting: Ints, givers: Ints
) -> Ints:
    """Let the record's categories and alternatives be those of a feasible point."""
    own = made.records.take(waiting)
    frequency = _frequency(made, givers)
    found = feasible(own, free[waiting], fitter.compiled, frequency)
    made.reason[waiting[~found.good]] = found.reason[~found.good]
    rows, at = waiting[found.good], np.flatnonzero(found.good)
    if len(rows):
        point = found.records.take(at)
        start = replace(point, numbers=own.numbers[at])
        fitted = fitter.fit(start, free[rows], held=point)
        left = _written(made, rows, fitted)
        # The point itself where no movement from the imputed values ends well.
        again = np.isin(rows, left)
        _written(made, left, fitter.fit(point.take(again), free[left]))
    return np.asarray(waiting[made.reason[waiting] != ""])


def _frequency(made: Mended, givers: Ints) -> dict[int, Ints]:
    n = made.compiled.n_numeric
    return {
        place: np.bincount(
            made.records.codes[givers, place - n][~made.records.missing[givers, place]],
            minlength=len(codes) + 1,
        )
        for place, codes in made.compiled.codes.items()
    }


def _within_bounds(made: Mended, fitter: Fitter, free: Bools, rows: Ints) -> None:
    """Keep the open cells of records that fail within their own bounds, in place."""
    if not len(rows):
        return
    compiled, records = made.compiled, made.records
    n = compiled.n_numeric
    lower, upper, _ = fitter.linear.bounds()
    whole = np.isin(np.arange(n), sorted(compiled.integer))
    low, high = (
        np.where(whole, np.ceil(lower), lower),
        np.where(whole, np.floor(upper), upper),
    )
    own = records.numbers[rows]
    inside = np.clip(np.where(whole, np.rint(own), own), low, high)
    records.numbers[rows] = np.where(free[rows, :n], inside, own)
    for clause in compiled.clauses:
        if len(clause) == 1 and isinstance(clause[0], Choice):
            place = clause[0].place
            table = choice_table(clause[0], len(compiled.codes[place]) + 1)
            wrong = rows[free[rows, place] & ~table[records.codes[rows, place - n]]]
            if len(wrong):
                records.codes[wrong, place - n] = np.flatnonzero(table)[-1]

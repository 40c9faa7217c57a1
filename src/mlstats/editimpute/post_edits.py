"""Whether a record passes with the cells of a donor, for linear edits and sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.compiled import compile_edits, encode
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.fitting import Fitter
from mlstats.editimpute.linear_edits import LinearEdits, linear_part
from mlstats.editimpute.status import PASS, review

__all__ = ["PostEdits", "linear_edits_of", "numbers_of", "passing_records"]

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]


def linear_edits_of(edits: LinearEdits | EditSet | None) -> LinearEdits | None:
    """Return linear edits as they are, and the linear part of a set."""
    return linear_part(edits) if isinstance(edits, EditSet) else edits


def numbers_of(edits: LinearEdits | EditSet) -> Sequence[str]:
    """Return the names of the numeric variables."""
    return edits.numeric if isinstance(edits, EditSet) else edits.variables


def passing_records(frame: pd.DataFrame, edits: LinearEdits | EditSet) -> Bools:
    """Return which records pass: no edit fails, no value of one is missing."""
    if isinstance(edits, EditSet):
        return np.asarray(review(frame, edits.hard()).by_record == PASS)
    return edits.passing(edits.matrix(frame))


class PostEdits:
    """Edits that a recipient must pass with the values of its donor.

    Parameters
    ----------
    edits : LinearEdits or EditSet
        The edits.
    records : pandas.DataFrame
        Donors and recipients.
    mask : numpy.ndarray of bool, shape (records, columns)
        Cells that a recipient takes from its donor.
    donors : pandas.DataFrame, optional
        Where the donors are; among the records if left out.
    """

    def __init__(
        self,
        edits: LinearEdits | EditSet,
        records: pd.DataFrame,
        mask: Bools,
        donors: pd.DataFrame | None = None,
    ) -> None:
        if isinstance(edits, EditSet):
            hard = edits.hard()
            compiled = compile_edits(hard)
            self.fitter = Fitter(compiled, [edit.id for edit in hard.edits])
            self.records = encode(records, hard, compiled)
            self.given = self.records
            if donors is not None:
                self.given = encode(donors, hard, compiled)
            names = list(compiled.names)
        else:
            self.values = edits.matrix(records)
            self.theirs = self.values if donors is None else edits.matrix(donors)
            names = list(edits.variables)
        self.edits = edits
        self.mask = mask[:, records.columns.get_indexer(pd.Index(names))]

    def passes(self, recipients: Places, donors: Places) -> Bools:
        """Return whether each recipient passes with the values of its donor."""
        if not len(recipients):
            return np.zeros(0, dtype=bool)
        taken = self.mask[recipients]
        if isinstance(self.edits, LinearEdits):
            values = np.where(taken, self.theirs[donors], self.values[recipients])
            return np.asarray(~self.edits.failing(values).any(axis=1))
        own, given = self.records.take(recipients), self.given.take(donors)
        n = own.numbers.shape[1]
        candidates = replace(
            own,
            numbers=np.where(taken[:, :n], given.numbers, own.numbers),
            codes=np.where(taken[:, n:], given.codes, own.codes),
            missing=np.where(taken, given.missing, own.missing),
        )
        return np.asarray(~self.fitter.broken(candidates).any(axis=1))

"""The rules of a contract: every broken one at once, in one table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlstats.config import Data, Roles
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.period import ReferencePeriod

__all__ = [
    "ContractResult",
    "Finding",
    "check",
    "findings",
    "result_of",
    "without_value",
]

ROWS_TOLD = 5
_RULES_TOLD = 3
NO_ROWS = "there are no rows"
# What of a part is not yet so of the whole, see mlstats.contract.parts.
EMPTY = "is empty in every row"
NO_TEXT = "there is no text"
REPEATED = "repeats the id of an earlier row"
ALL_ZERO = "is zero in every row"
DIFFERS = "differs within a stratum"
DIFFERS_ALONE = "differs although there is one stratum"
ONE_CLUSTER = "is a stratum of one cluster, which has no variance of its own"
_ALWAYS = 1.0  # no share of rows exceeds it: the rule only warns

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Parameters
    ----------
    column, rule : str
        Which.
    count : int
        Rows, or columns, that break it.
    rows : tuple of int
        The first of them; the first row of the data is row 1.
    size : int
        Rows that it was held against; 0: it is of the columns.
    tolerated : float
        Share of the rows that may break it.
    """

    column: str
    rule: str
    count: int
    rows: tuple[int, ...] = ()
    size: int = 0
    tolerated: float = 0.0

    @property
    def failure(self) -> bool:
        """Whether more rows break it than may."""
        if not self.size:
            return self.count > 0 or self.rule == NO_ROWS
        return self.count > 0 and self.count / self.size > self.tolerated


@dataclass(frozen=True, eq=False)
class ContractResult:
    """What :func:`check` found.

    Parameters
    ----------
    failures, warnings : pandas.DataFrame
        A row per broken rule: column, rule, count (of the rows that break it, or of
        the columns) and first_rows (the first five row numbers as text; the first
        row of the data is row 1).
    held : int
        How many rules were held against the data, broken ones among them.
    """

    failures: pd.DataFrame
    warnings: pd.DataFrame
    held: int = 0

    @property
    def kept(self) -> int:
        """How many rules no row breaks; one that only warns is not kept either."""
        return self.held - len(self.failures) - len(self.warnings)

    @property
    def ok(self) -> bool:
        """True where no rule failed; warnings do not count."""
        return self.failures.empty

    def raise_if_failed(self, where: str | None = None) -> None:
        """Stop with the table of failures, where there are any.

        Parameters
        ----------
        where : str, optional
            The file or table that was checked.

        Raises
        ------
        ContractError
            With the first failures in its title and all of them in `failures`.
        """
        if self.ok:
            return
        told = []
        for column, rule, count, rows in self.failures.head(_RULES_TOLD).to_numpy():
            place = f", first in rows {rows}" if rows else ""
            told.append(f"{column}: {rule} ({count}{place})" if column else rule)
        more = len(self.failures) - len(told)
        raise ContractError(
            f"The data break the contract ({len(self.failures)} failed): "
            + "; ".join(told)
            + (f"; and {more} more" if more else ""),
            failures=self.failures,
            where=where,
            hint="mend the data, or data.roles and data.tolerate of the pilot",
        )


def check(
    frame: pd.DataFrame,
    data: Data,
    *,
    truth: str | None,
    known_codes: Collection[str] | None = None,
) -> ContractResult:
    """Hold data against every rule of their contract.

    Parameters
    ----------
    frame : pandas.DataFrame
        The data, with the columns that ``data.roles`` names.
    data : Data
        Roles, frequency and tolerances.
    truth : str or None
        The column that methods are measured against; None where there is none.
    known_codes : collection of str, optional
        The codes of the classification; None leaves the rule out.

    Returns
    -------
    ContractResult
        Column names, rules, counts and row numbers; never a value.
    """
    return result_of(findings(frame, data, truth=truth, known_codes=known_codes))


def findings(
    frame: pd.DataFrame,
    data: Data,
    *,
    truth: str | None,
    known_codes: Collection[str] | None = None,
) -> list[Finding]:
    """Hold data against every rule, as :func:`check`; return what each found."""
    roles = data.roles
    found = list(_columns(frame, [*roles.columns(), *([truth] if truth else [])]))
    if len(frame) == 0:
        found.append(Finding("", NO_ROWS, 0))
    else:
        held = frame.loc[:, ~frame.columns.duplicated()]
        found += _unit_ids(held, roles.unit_id)
        found += _texts(held, data)
        found += _codes(held, data, truth, known_codes)
        found += _weights(held, roles.weight)
        found += _periods(held, data)
        found += _clusters(held, roles)
        found += _fractions(held, roles)
    return found


def result_of(found: Collection[Finding]) -> ContractResult:
    """Return the result of all that was found."""
    return ContractResult(
        failures=_table(f for f in found if f.failure),
        warnings=_table(f for f in found if f.count and not f.failure),
        held=len(found),
    )


def _table(found: Iterable[Finding]) -> pd.DataFrame:
    return pd.DataFrame(
        [(f.column, f.rule, f.count, ", ".join(map(str, f.rows))) for f in found],
        columns=["column", "rule", "count", "first_rows"],
    ).astype({"column": str, "rule": str, "count": int, "first_rows": str})


def _broken(
    column: str, rule: str, mask: _Mask, *, tolerated: float = 0.0
) -> Iterator[Finding]:
    """Yield the finding of a rule, whether or not a row of `mask` breaks it."""
    rows = np.flatnonzero(mask)
    first = tuple(int(row) + 1 for row in rows[:ROWS_TOLD])
    yield Finding(column, rule, rows.size, first, mask.size, tolerated)


def _columns(frame: pd.DataFrame, named: Iterable[str]) -> Iterator[Finding]:
    present = [str(column) for column in frame.columns]
    for column in dict.fromkeys(named):
        if column not in present:
            close = nearest(column, present)
            yield Finding(
                column,
                "is not in the data" + (f" (nearest: {close})" if close else ""),
                1,
            )
        elif present.count(column) > 1:
            yield Finding(column, "is there more than once", present.count(column))
        else:
            yield Finding(column, "is there once", 0)


def without_value(column: pd.Series) -> _Mask:
    """Return where there is nothing but white space."""
    empty = column.astype("str").str.strip().eq("")
    return (empty | column.isna()).to_numpy(dtype=bool)


def _not_strings(frame: pd.DataFrame, name: str) -> Iterator[Finding]:
    values = frame[name].astype(object)
    wrong = [not isinstance(value, str) for value in values]
    mask = np.asarray(wrong, dtype=bool) & values.notna().to_numpy(dtype=bool)
    yield from _broken(name, "is not read as strings", mask)


def _unit_ids(frame: pd.DataFrame, name: str) -> Iterator[Finding]:
    if name not in frame:
        return
    blank = without_value(frame[name])
    yield from _not_strings(frame, name)
    yield from _broken(name, "is missing", blank)
    repeated = frame[name].duplicated().to_numpy(dtype=bool)
    yield from _broken(name, REPEATED, repeated & ~blank)


def _texts(frame: pd.DataFrame, data: Data) -> Iterator[Finding]:
    blanks = {
        name: without_value(frame[name]) for name in data.roles.text if name in frame
    }
    for name, blank in blanks.items():
        yield from _not_strings(frame, name)
        if blank.all():
            yield from _broken(name, EMPTY, blank)
    if blanks and not all(blank.all() for blank in blanks.values()):
        yield from _broken(
            ", ".join(blanks),
            NO_TEXT,
            np.logical_and.reduce(list(blanks.values())),
            tolerated=data.tolerate.empty_text,
        )


def _codes(
    frame: pd.DataFrame,
    data: Data,
    truth: str | None,
    known_codes: Collection[str] | None,
) -> Iterator[Finding]:
    target = data.roles.target
    for name in dict.fromkeys(name for name in (target, truth) if name is not None):
        if name not in frame:
            continue
        blank = without_value(frame[name])
        numbers = list(_not_strings(frame, name))
        yield from numbers
        if blank.all():
            yield from _broken(name, "has no value", blank)
        elif name == target:
            allowed = data.tolerate.missing_target
            yield from _broken(name, "is missing", blank, tolerated=allowed)
        if known_codes is not None and not any(found.count for found in numbers):
            yield from _broken(
                name,
                "is not a code of the classification",
                ~(frame[name].isin(list(known_codes)).to_numpy(dtype=bool) | blank),
                tolerated=data.tolerate.unknown_code,
            )
        if name == (target or truth):
            alone = ~frame[name].duplicated(keep=False).to_numpy(dtype=bool) & ~blank
            yield from _broken(name, "is a class of one row", alone, tolerated=_ALWAYS)


def _weights(frame: pd.DataFrame, name: str | None) -> Iterator[Finding]:
    if name is None or name not in frame:
        return
    column = frame[name]
    if not is_numeric_dtype(column) or is_bool_dtype(column):
        everywhere = np.ones(len(column), dtype=bool)
        yield from _broken(name, "is not read as numbers", everywhere)
        return
    weights = column.to_numpy(dtype=float, na_value=np.nan)
    yield from _broken(name, "is missing or infinite", ~np.isfinite(weights))
    yield from _broken(name, "is negative", weights < 0)
    yield from _broken(name, ALL_ZERO, np.tile(~weights.any(), len(frame)))


def _periods(frame: pd.DataFrame, data: Data) -> Iterator[Finding]:
    name = data.roles.period
    if name is None or name not in frame:
        return
    row, distinct = pd.factorize(frame[name].astype("str"))
    wrong = np.array(
        [not _is_period(text, data.frequency) for text in distinct] + [True]
    )
    of = f" of frequency {data.frequency}" if data.frequency else ""
    yield from _broken(name, f"is not a reference period{of}", wrong[row])


def _is_period(text: str, frequency: str | None) -> bool:
    try:
        period = ReferencePeriod.parse(text)
    except ConfigError:
        return False
    return frequency is None or period.frequency == frequency


def _clusters(frame: pd.DataFrame, roles: Roles) -> Iterator[Finding]:
    own = pd.Series(np.arange(len(frame)), index=frame.index)
    clusters = own
    if roles.cluster is not None and roles.cluster in frame:
        missing = without_value(frame[roles.cluster])
        clusters = own.where(missing, -1 - pd.factorize(frame[roles.cluster])[0])
        rule = "is missing: each such row is a cluster of its own"
        yield from _broken(roles.cluster, rule, missing, tolerated=_ALWAYS)
    if roles.stratum is not None and roles.stratum in frame:
        strata = frame[roles.stratum]
        number = clusters.groupby(strata, dropna=False).transform("nunique")
        alone = (number.eq(1) & ~strata.duplicated()).to_numpy(dtype=bool)
        rule = "is a cluster in several strata"
        yield from _broken(
            roles.cluster or "", rule, _straddling(frame, clusters, roles)
        )
        rule = ONE_CLUSTER
        yield from _broken(roles.stratum, rule, alone, tolerated=_ALWAYS)


def _straddling(frame: pd.DataFrame, clusters: pd.Series, roles: Roles) -> _Mask:
    """Return the rows whose cluster lies in several strata of the same period.

    Clusters are drawn within strata: a variance that counts one cluster as two
    takes what its units share for chance.
    """
    if roles.cluster is None:
        return np.zeros(len(frame), dtype=bool)
    keys: list[pd.Series] = [clusters]
    if roles.period is not None and roles.period in frame:
        keys.append(frame[roles.period])
    numbered = pd.Series(
        pd.factorize(frame[roles.stratum], use_na_sentinel=False)[0], frame.index
    )
    apart = numbered.groupby(keys, dropna=False).transform("nunique")
    return apart.gt(1).to_numpy(dtype=bool)


def _fractions(frame: pd.DataFrame, roles: Roles) -> Iterator[Finding]:
    name = roles.fraction
    if name is None or name not in frame:
        return
    column = frame[name]
    if not is_numeric_dtype(column) or is_bool_dtype(column):
        everywhere = np.ones(len(column), dtype=bool)
        yield from _broken(name, "is not read as numbers", everywhere)
        return
    share = column.to_numpy(dtype=float, na_value=np.nan)
    yield from _broken(
        name, "is not a share between zero and one", ~((share >= 0) & (share <= 1))
    )
    if roles.stratum is not None and roles.stratum in frame:
        of = column.groupby(frame[roles.stratum], dropna=False)
        yield from _broken(name, DIFFERS, of.transform("nunique").gt(1).to_numpy())
    elif column.nunique() > 1:
        yield from _broken(
            name,
            DIFFERS_ALONE,
            column.ne(column.iloc[0]).to_numpy(),
        )

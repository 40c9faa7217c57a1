"""The units of an imputation pilot's Evaluation: a row per cell that is judged.

Judged are, in every case, the cells whose truth is known and that were missing, wrong,
or changed by some method: the same cells for every method. A method that left a cell
alone answers with the reported value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats import split
from mlstats.config import Pilot
from mlstats.evaluate import keyed
from mlstats.imputing import Case, ImputationRun, TreatedCase, cases, true_values
from mlstats.quality.evaluation import UNITS
from mlstats.quality.imputed_cells import Scale
from mlstats.records import Records, weights_of

__all__ = [
    "flags_of",
    "judged_kinds",
    "judged_units",
    "totals_of",
    "variable_kinds",
]

NUMERIC: Final = "numeric"
CATEGORICAL: Final = "categorical"


def variable_kinds(pilot: Pilot, records: Records) -> dict[str, Scale]:
    """Return numeric or categorical for each variable."""
    frame = records.frame
    return {
        name: NUMERIC if pd.api.types.is_numeric_dtype(frame[name]) else CATEGORICAL
        for name in pilot.data.roles.variables
    }


def judged_kinds(
    pilot: Pilot, records: Records, units: pd.DataFrame
) -> dict[str, Scale]:
    """Return the kind of each variable that has a judged cell.

    Nothing can be told of the others: nothing was missing, wrong or changed in them.
    """
    seen = set(units["variable"])
    kinds = variable_kinds(pilot, records)
    return {name: kind for name, kind in kinds.items() if name in seen}


def judged_units(
    pilot: Pilot,
    records: Records,
    runs: Sequence[ImputationRun],
    *,
    run_id: str,
    key: bytes,
) -> pd.DataFrame:
    """Return the table ``units`` of the Evaluation, all of it in the fold ``test``.

    Parameters
    ----------
    key : bytes
        Secret of the project; unit and cluster are keyed hashes under it.
    """
    about = _about(pilot, records, key)
    parts = []
    for place, case in enumerate(cases(pilot, records)):
        if case.truth is None:
            continue
        treated = {run.name: run.treated[place] for run in runs}
        parts += [
            _of_method(case, name, told, _judged(case, treated), about)
            for name, told in treated.items()
        ]
    empty = pd.DataFrame(columns=[*UNITS])
    units = pd.concat(parts, ignore_index=True) if parts else empty
    return units.assign(run_id=run_id)


def _about(pilot: Pilot, records: Records, key: bytes) -> pd.DataFrame:
    """Return what the table tells of each record, whatever the case."""
    roles, frame = pilot.data.roles, records.frame
    clusters = split.cluster_ids(frame, roles.cluster)
    return pd.DataFrame(
        {
            "period": frame[roles.period].astype(str) if roles.period else "",
            "unit": keyed(frame[roles.unit_id], key),
            "position": np.arange(len(frame)),
            "stratum": frame[roles.stratum].fillna("") if roles.stratum else "",
            "cluster": keyed(clusters, key),
            "weight": weights_of(pilot, records),
            "fraction": frame[roles.fraction].astype(float) if roles.fraction else 0.0,
            **{f"domain_{name}": frame[name].fillna("") for name in roles.domain},
        }
    )


def _places(told: TreatedCase, case: Case) -> np.ndarray:
    """Return row and variable of each treated cell as one number."""
    column = case.mask.columns.get_indexer(pd.Index(told.cells["variable"]))
    rows = told.cells["row"].to_numpy(dtype=np.int64)
    return np.asarray(rows * case.mask.shape[1] + column)


def _judged(case: Case, treated: dict[str, TreatedCase]) -> np.ndarray:
    assert case.truth is not None
    asked = (case.mask | case.wrong).to_numpy(copy=True).ravel()
    for told in treated.values():
        asked[_places(told, case)] = True
    known = case.truth[list(case.mask.columns)].notna().to_numpy().ravel()
    return np.flatnonzero(asked & known)


def _of_method(
    case: Case, name: str, told: TreatedCase, judged: np.ndarray, about: pd.DataFrame
) -> pd.DataFrame:
    assert case.truth is not None
    columns = list(case.mask.columns)
    rows, places = np.divmod(judged, len(columns))
    prediction = _picked(case.frame[columns], rows, places)
    after = pd.Series(told.cells["after"].to_numpy(dtype=object), _places(told, case))
    hit = np.isin(judged, after.index.to_numpy())
    prediction[hit] = after[judged[hit]].to_numpy(dtype=object)
    missing = case.mask.to_numpy()[rows, places]
    wrong = case.wrong.to_numpy()[rows, places]
    empty = pd.isna(prediction)
    status = np.select(
        [empty, missing, wrong & hit, wrong, hit],
        ["not_imputed", "imputed", "corrected", "kept", "changed"],
        default="left",
    )
    prediction[empty] = None
    nothing: pd.Series[Any] = pd.Series([[]] * len(rows), about.index[rows])
    return about.iloc[rows].assign(
        method=name,
        fold="test",
        replicate=case.number,
        variable=np.array(columns, dtype=object)[places],
        prediction=prediction,
        confidence=np.nan,
        candidates=nothing,
        scores=nothing,
        truth=_picked(case.truth[columns], rows, places),
        truth_source="past edits" if case.number == 0 else "the data as they are",
        status=status,
        route="automatic",
        depth="",
        routed=None,
        seen=False,
    )


def _picked(frame: pd.DataFrame, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    picked = np.empty(len(rows), dtype=object)
    for place in np.unique(places):
        at = places == place
        picked[at] = frame.iloc[:, place].to_numpy(dtype=object)[rows[at]]
    return picked


def flags_of(
    pilot: Pilot, records: Records, runs: Sequence[ImputationRun], key: bytes
) -> pd.DataFrame:
    """Return which values were wrong and which a method selected.

    Returns
    -------
    pandas.DataFrame
        A row per method, case and reported value with a known truth: method,
        replicate, unit, position, cluster, stratum, variable, error, flagged, weight
        and impact (by how much a reported number is off, missing for a category); no
        row where the pilot knows of no error.
    """
    about = _about(pilot, records, key)
    about = about[["unit", "position", "cluster", "stratum", "weight"]]
    kinds = variable_kinds(pilot, records)
    parts = []
    for place, case in enumerate(cases(pilot, records)):
        if case.truth is None or not case.wrong.to_numpy().any():
            continue
        for run in runs:
            told = run.treated[place].cells
            for name, kind in kinds.items():
                parts.append(
                    _flags(case, told[told["variable"] == name], name, kind, about)
                    .assign(method=run.name, replicate=case.number, variable=name)
                )  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _flags(
    case: Case, cells: pd.DataFrame, name: str, kind: str, about: pd.DataFrame
) -> pd.DataFrame:
    assert case.truth is not None
    flagged = np.zeros(len(case.frame), dtype=bool)
    flagged[cells["row"].to_numpy(dtype=int)] = True
    truth, value = case.truth[name], case.frame[name]
    reported = (truth.notna() & value.notna()).to_numpy()
    off = np.full(len(case.frame), np.nan)
    if kind == NUMERIC:
        # What stays is told as if all that is flagged were put right: the value that a
        # method gave instead has no part in it.
        true = truth.to_numpy(dtype=float, na_value=np.nan)
        off = np.abs(value.to_numpy(dtype=float, na_value=np.nan) - true)
    error = case.wrong[name].to_numpy()
    return about.assign(error=error, flagged=flagged, impact=off)[reported]


def totals_of(pilot: Pilot, records: Records) -> pd.DataFrame:
    """Return the true weighted totals that the methods' figures are compared with.

    Returns
    -------
    pandas.DataFrame
        Columns variable, domain (empty, or ``NAME: value``), category (empty for a
        number), total (weights of the category, for a category) and n (its records).
    """
    roles, frame = pilot.data.roles, records.frame
    weight = weights_of(pilot, records)
    rows: list[dict[str, Any]] = []
    true = true_values(pilot, records)
    for name, kind in variable_kinds(pilot, records).items():
        truth = true[name]
        table = pd.DataFrame({"truth": truth, "w": weight}).assign(
            **{f"domain_{d}": frame[d].fillna("") for d in roles.domain}
        )[truth.notna()]
        whole = [("", table)]
        whole += [
            (f"{domain}: {value}", part)
            for domain in roles.domain
            for value, part in table.groupby(f"domain_{domain}", sort=True)
        ]
        for domain, part in whole:
            rows += [
                {"variable": name, "domain": domain, "category": category}
                | {"total": total, "n": n}
                for category, total, n in _totals(part, kind)
            ]
    return pd.DataFrame(rows)


def _totals(part: pd.DataFrame, kind: str) -> list[tuple[str, float, int]]:
    if kind == NUMERIC:
        total = float((part["w"] * part["truth"].astype(float)).sum())
        return [("", total, len(part))]
    # A category of few records is kept back, however large the domain is.
    sums = part.groupby("truth", sort=True)["w"].agg(["sum", "size"])
    return [
        (str(code), float(row["sum"]), int(row["size"]))
        for code, row in sums.iterrows()
    ]

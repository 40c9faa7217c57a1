"""Every method on the same damaged records: what each made of them.

The data themselves are case 0. Where they are taken as true they are damaged several
times over, and each damaged copy is a further case; where clerks have edited them, the
clerks' values are the truth of case 0.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.clock import Clock
from mlstats.config import Pilot
from mlstats.config_editimpute import Damage
from mlstats.editimpute.arm import build_imputer
from mlstats.editimpute.damage import damage
from mlstats.editimpute.processing import Processed
from mlstats.editimpute.status import FAIL, PASS, review
from mlstats.errors import ConfigError, nearest
from mlstats.guard import method_guard
from mlstats.quality.gate import check_measures
from mlstats.record_treatment import (
    processed,
    structural_cells,
    treated_by_record,
)
from mlstats.records import Records

__all__ = [
    "Case",
    "ImputationRun",
    "TreatedCase",
    "case_seed",
    "cases",
    "columns_of",
    "ready",
    "run_method",
    "treat",
    "true_values",
]

_log = logging.getLogger(__name__)

# What is best at a value between, and a measure of the same that is best at its least.
_SIGNED = {
    "mean_bias": "abs_mean_bias",
    "total_bias": "abs_mean_bias",
    "second_moment_bias": "abs_mean_bias",
    "spread_ratio": "ks",
    "slope": "nrmse",
}


@dataclass(frozen=True, eq=False)
class Case:
    """Records as a method sees them, and what is true of them.

    Parameters
    ----------
    number : int
        0 for the data as they are.
    frame : pandas.DataFrame
        Reported values, a row per record.
    truth : pandas.DataFrame or None
        True values of the variables, missing where nobody knows or nothing can be.
    mask, structural : pandas.DataFrame of bool, shape (n, variables)
        Cells that are to be imputed whatever the edits say, and cells where nothing
        can be.
    wrong : pandas.DataFrame of bool, shape (n, variables)
        Cells with an error: the reported value is not the true one.
    seed : int
        Of selection and treatment.
    """

    number: int
    frame: pd.DataFrame
    truth: pd.DataFrame | None
    mask: pd.DataFrame
    structural: pd.DataFrame
    wrong: pd.DataFrame
    seed: int


@dataclass(frozen=True, eq=False)
class TreatedCase:
    """What a method made of a case.

    Parameters
    ----------
    number : int
        Of the case.
    cells : pandas.DataFrame
        A row per cell that was asked for or changed: ``row`` (place in the data),
        ``variable``, ``after``, ``selection``, ``status``.
    records, failing, outside : int
        Records; those that fail an edit after treatment; imputed values outside the
        bounds of their variable.
    """

    number: int
    cells: pd.DataFrame
    records: int
    failing: int
    outside: int


@dataclass(frozen=True, eq=False)
class ImputationRun:
    """What one method did with every case.

    Parameters
    ----------
    name : str
        Of the method in the pilot.
    method : object
        As it was made; it is fitted anew to each case.
    data, shown : Processed
        Of case 0, and of the first case in which a cell was treated, with the values
        of all records.
    treated : list of TreatedCase
        A case each, in their order.
    rerun_changed : float
        Share of the cells that a second treatment with the same seed gave another
        value; of the first damaged case, else of case 0.
    timings : list of dict
        Rows of :data:`mlstats.quality.evaluation.TIMINGS` without run_id.
    inputs : dict
        Column that the method reads -> ``string`` or ``double``.
    """

    name: str
    method: Any
    data: Processed
    shown: Processed
    treated: list[TreatedCase]
    rerun_changed: float
    timings: list[dict[str, Any]]
    inputs: dict[str, str]


def columns_of(pilot: Pilot, records: Records) -> list[str]:
    """Return the columns that a method reads.

    Variables, those of the edits, auxiliaries, domains and the stratum.
    """
    roles, edits = pilot.data.roles, records.edits
    named = [*roles.variables]
    named += [] if edits is None else [*edits.numeric, *edits.categorical]
    named += [*roles.auxiliary, *roles.domain]
    named += [roles.stratum] if roles.stratum else []
    return list(dict.fromkeys(named))


def ready(pilot: Pilot, records: Records) -> list[str]:
    """See that everything the pilot names exists, before anything is treated.

    Returns
    -------
    list of str
        The variables.

    Raises
    ------
    ConfigError
        Where a measure, a class, a parameter or a column does not exist.
    """
    check_measures(pilot.gates)
    for rule in pilot.gates:
        if rule.versus is not None and rule.indicator in _SIGNED:
            raise ConfigError(
                f"A gate compares {rule.indicator!r}, of which neither sign is better",
                where="gates",
                nearest=_SIGNED[rule.indicator],
            )
    for name, spec in pilot.methods.items():
        build_imputer(name, spec, records.edits)
    roles = pilot.data.roles
    hidden = {roles.unit_id, roles.cluster} & set(columns_of(pilot, records))
    if hidden:
        raise ConfigError(
            f"The column {min(map(str, hidden))!r} is an id and an input of methods",
            where="data.roles.auxiliary",
            hint="an id tells a method nothing that holds for another unit",
        )
    donors = pilot.data.donors
    _are_inputs(pilot, records, donors.by if donors else (), "data.donors.by")
    _selective_fits(pilot, records)
    next(cases(pilot, records, first=1), None)  # a damage that does not fit is told now
    return list(roles.variables)


def _selective_fits(pilot: Pilot, records: Records) -> None:
    spec = pilot.evaluate.selective
    if spec is None:
        return
    where = "evaluate.selective"
    named = [*spec.by, *([spec.auxiliary] if spec.auxiliary else [])]
    _are_inputs(pilot, records, named, where)
    for name in filter(None, [spec.variable, spec.auxiliary]):
        if not pd.api.types.is_numeric_dtype(records.frame[name]):
            raise ConfigError(f"{name!r} holds no numbers to score", where=where)


def _are_inputs(
    pilot: Pilot, records: Records, names: Iterable[str], where: str
) -> None:
    held = columns_of(pilot, records)
    for name in names:
        if name not in held:
            raise ConfigError(
                f"The column {name!r} is no input of methods",
                where=where,
                nearest=nearest(name, held),
                hint="name it in data.roles.auxiliary",
            )


# -- cases -------------------------------------------------------------------------


def case_seed(pilot: Pilot) -> int:
    """Return the seed of selection and treatment of the data as they are."""
    first = np.random.SeedSequence(pilot.evaluate.seed).spawn(1)[0]
    return int(first.generate_state(1)[0])


def cases(pilot: Pilot, records: Records, *, first: int = 0) -> Iterator[Case]:
    """Yield the cases of a pilot, the same ones at every call.

    Parameters
    ----------
    first : int
        Number of the first case that is wanted.
    """
    how, variables = pilot.evaluate.damage, list(pilot.data.roles.variables)
    frame = records.frame[columns_of(pilot, records)]
    lacking = frame[variables].isna()
    structural = structural_cells(frame, variables, records.edits)
    asked = lacking & ~structural
    seeds = np.random.SeedSequence(pilot.evaluate.seed).spawn(
        1 + (how.masks if how else 0)
    )
    true = true_values(pilot, records)
    if first == 0:
        wrong = _wrong(pilot, records, true, lacking)
        truth = true if pilot.evaluate.past_edits else None
        seed = case_seed(pilot)
        yield Case(0, frame, truth, asked, structural, wrong, seed)
    if how is None:
        return
    for number in range(max(first, 1), how.masks + 1):
        one, other = (int(state) for state in seeds[number].generate_state(2))
        yield _damaged_case(
            Case(number, frame, true, asked, structural, lacking & False, other),
            how,
            seed=one,
        )


def _damaged_case(case: Case, how: Damage, *, seed: int) -> Case:
    """Return the case with its true values damaged; other values stay as they are."""
    assert case.truth is not None
    variables = list(case.mask.columns)
    known = case.truth.notna()
    seen = case.frame.copy()
    for name in variables:  # what is not known to be true is not damaged either
        seen[name] = seen[name].where(known[name])
    made = damage(seen, variables, how, seed=seed)
    frame = made.frame.copy()
    for name in variables:
        frame[name] = frame[name].where(known[name], case.frame[name])
    mask = case.mask | made.missing
    return replace(case, frame=frame, mask=mask, wrong=made.wrong)


def true_values(pilot: Pilot, records: Records) -> pd.DataFrame:
    """Return the values of the variables that are taken as true, others missing.

    They are what clerks left, or the data as they are: all of them, or those of the
    records that pass every hard edit and miss nothing.
    """
    variables = list(pilot.data.roles.variables)
    past, how = pilot.evaluate.past_edits, pilot.evaluate.damage
    truth = records.frame[variables].copy()
    for name, column in past.items():
        truth[name] = records.frame[column]
    if how is not None and how.of == "passing" and records.edits is not None:
        passing = review(records.frame, records.edits).by_record == PASS
        for name in variables:
            truth[name] = truth[name].where(passing)
    return truth


def _wrong(
    pilot: Pilot, records: Records, truth: pd.DataFrame, lacking: pd.DataFrame
) -> pd.DataFrame:
    """Return where clerks changed what was reported."""
    wrong = lacking & False
    for name in pilot.evaluate.past_edits:
        both = truth[name].notna() & ~lacking[name]
        wrong[name] = both & (truth[name] != records.frame[name])
    return wrong


# -- treating ----------------------------------------------------------------------


def run_method(pilot: Pilot, name: str, records: Records) -> ImputationRun:
    """Review, select and treat every case with one method.

    Raises
    ------
    MethodError
        Where the method fails; its message does not repeat what the method said,
        because that may hold records. The confidential log has it.
    """
    method = build_imputer(name, pilot.methods[name], records.edits)
    clock, treated = Clock(name), []
    whole: list[Processed] = []
    changed = np.nan
    with method_guard(name):
        for case in cases(pilot, records):
            with clock("treat", len(case.frame)):
                found = treat(pilot, records, method, case)
            treated.append(_noted(case, found, records))
            whole += [found] if case.number < 2 else []
            if case.number == (1 if pilot.evaluate.damage else 0):
                again = treat(pilot, records, method, case)
                changed = _changed(found, again, list(case.mask.columns))
    frame = records.frame[columns_of(pilot, records)]
    numeric = set(frame.select_dtypes("number").columns)
    inputs = {str(c): "double" if c in numeric else "string" for c in frame.columns}
    shown = next((one for one in whole if len(one.cells)), whole[0])
    return ImputationRun(
        name, method, whole[0], shown, treated, changed, clock.rows, inputs
    )


def treat(pilot: Pilot, records: Records, method: Any, case: Case) -> Processed:
    """Review, select and treat one case.

    Variables of the edits that are not variables of the pilot are taken as right: no
    method would treat them. With `data.donors` each record is treated by itself.
    """
    given = case.frame, case.mask, case.structural
    if pilot.data.donors is None:
        return processed(pilot, records.edits, method, *given, seed=case.seed)
    ids = records.frame[pilot.data.roles.unit_id]
    return treated_by_record(
        pilot, records.edits, method, *given, ids=ids, seed=case.seed
    )


def _noted(case: Case, found: Processed, records: Records) -> TreatedCase:
    cells = found.cells
    rows = case.frame.index.get_indexer(pd.Index(cells["unit"]))
    kept = cells[["variable", "after", "selection", "status"]].assign(row=rows)
    failing, outside = _failing(found, records, rows)
    return TreatedCase(
        case.number,
        kept[kept["variable"].isin(case.mask.columns)].reset_index(drop=True),
        len(case.frame),
        failing,
        outside,
    )


def _failing(found: Processed, records: Records, rows: np.ndarray) -> tuple[int, int]:
    """Count the records that fail after treatment, and imputed values out of bounds.

    Bounds are the edits on one variable; they are failed by the value alone.
    """
    if records.edits is None:
        return 0, 0
    after = review(found.values, records.edits)
    single = {
        e.id: e.variables[0] for e in records.edits.edits if len(e.variables) == 1
    }
    treated = set(zip(rows.tolist(), found.cells["variable"], strict=True))
    outside = 0
    for edit, name in enumerate(after.ids):
        if name in single and after.severities[edit] == "hard":
            hit = np.flatnonzero(after.by_edit[:, edit] == FAIL)
            outside += sum((int(row), single[name]) in treated for row in hit)
    return int((after.by_record == FAIL).sum()), outside


def _changed(one: Processed, two: Processed, variables: list[str]) -> float:
    """Return the share of treated cells that differ between two treatments."""
    first, second = one.values[variables], two.values[variables]
    same = (first == second) | (first.isna() & second.isna())
    cells = max(len(one.cells), 1)
    return float((~same).to_numpy().sum() / cells)

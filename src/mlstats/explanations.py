"""Which words decided each unit: stored, tested, and laid before experts.

Everything here but the indicators holds words of records: it stays in the run's
confidential folder.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlstats import io
from mlstats.dataset import finder
from mlstats.errors import ContractError
from mlstats.held_out import HeldOut
from mlstats.method import distinct_rows
from mlstats.quality.contributions import deletion_test, score_of, token_contributions
from mlstats.quality.estimate import Status, absent
from mlstats.quality.expert_sheet import (
    SHEET,
    explanation_coverage,
    rating,
    sample_sheet,
)
from mlstats.quality.indicator import Indicator, noted
from mlstats.runs import Run

__all__ = ["contributions_of", "expert_rating", "explain", "write_explanations"]

_log = logging.getLogger(__name__)

TESTED: Final = 2_000  # units of the deletion test
TOKENS: Final = 5  # words kept of an explanation
_CELLS: Final = 4_000_000  # texts times codes scored at once
_CODE: Final = "code that was decided"
_DIMENSION: Final = "explainability"


def explain(arm: HeldOut, *, seed: int) -> tuple[list[Indicator], pd.DataFrame]:
    """Explain each automatic decision by its words, and test the explanations.

    Parameters
    ----------
    arm : HeldOut
        A method with probabilities; any other has no explanation by words.
    seed : int
        Of the units and the words that the deletion test draws.

    Returns
    -------
    indicators : list of Indicator
        ``explanation_coverage`` and ``deletion_fidelity``.
    contributions : pandas.DataFrame
        As :func:`contributions_of` returns it: confidential.
    """
    if not hasattr(arm.method, "predict_proba"):
        reason = absent(
            "not_applicable", "the method scores no stated code: a rule explains itself"
        )
        names = ("explanation_coverage", "deletion_fidelity")
        return [Indicator(_DIMENSION, name, reason) for name in names], _none()
    coded = arm.units["prediction"].notna().to_numpy()
    route = arm.units["route"].to_numpy(dtype=object)
    tested = arm.drawn(np.flatnonzero(coded), TESTED, seed)
    wanted = np.union1d(tested, np.flatnonzero(coded & (route == "automatic")))
    found = contributions_of(arm, wanted)
    explained = np.isin(np.arange(len(coded)), found["row"])
    fidelity = deletion_test(
        score_of(arm.method),
        arm.X,
        arm.codes,
        found[found["row"].isin(tested)],
        arm.design,
        seed=seed,
    )
    told = noted(fidelity.estimate, f"{len(tested):,} of {coded.sum():,} coded units")
    return [
        explanation_coverage(route, explained, arm.design),
        Indicator(_DIMENSION, fidelity.indicator, told),
    ], found


def contributions_of(arm: HeldOut, places: np.ndarray) -> pd.DataFrame:
    """Return what each word of some units adds to the score of the decided code.

    Worked out once per distinct row and code.

    Returns
    -------
    pandas.DataFrame
        Columns row (place of the unit), position, token, score, contribution.
    """
    if len(places) == 0:
        return _none()
    decided = arm.X.iloc[places].assign(**{_CODE: arm.codes[places]})
    distinct, inverse = distinct_rows(decided)
    found = token_contributions(
        score_of(arm.method),
        distinct[list(arm.X.columns)],
        distinct[_CODE].to_numpy(dtype=object),
        block=max(1, _CELLS // len(arm.method.classes_)),
    )
    owners = pd.DataFrame({"row": inverse, "place": places})
    of_units = found.merge(owners, on="row").drop(columns="row")
    return (
        of_units.rename(columns={"place": "row"})
        .sort_values(["row", "position"], ignore_index=True)
        .reindex(columns=list(_none().columns))
    )


def _none() -> pd.DataFrame:
    return pd.DataFrame(columns=["row", "position", "token", "score", "contribution"])


def write_explanations(
    folder: Path, contributions: dict[str, pd.DataFrame], arms: dict[str, HeldOut]
) -> Path:
    """Write the first words of each automatic decision to ``explanations.parquet``.

    Parameters
    ----------
    folder : pathlib.Path
        The run's confidential folder.
    contributions, arms : dict
        By name of method.
    """
    parts = [pd.DataFrame(columns=["method", "unit", "code", "rank", "token"])]
    for name, found in contributions.items():
        units = arms[name].units
        automatic = np.flatnonzero(units["route"] == "automatic")
        part = found[found["row"].isin(automatic)].sort_values(
            ["row", "contribution", "position"], ascending=[True, False, True]
        )
        part = part.assign(rank=part.groupby("row").cumcount() + 1)
        part = part[part["rank"] <= TOKENS]
        of = units.loc[part["row"].to_numpy(dtype=int), ["method", "unit"]]
        part = part.assign(
            method=of["method"].to_numpy(),
            unit=of["unit"].to_numpy(),
            code=arms[name].codes[part["row"].to_numpy(dtype=int)],
        )
        if len(part):
            kept = ["method", "unit", "code", "rank", "token", "contribution"]
            parts.append(part[kept])
    path = folder / "explanations.parquet"
    table = parts[0] if len(parts) == 1 else pd.concat(parts[1:], ignore_index=True)
    io.write_parquet(path, table)
    return path


# -- experts -----------------------------------------------------------------------


def expert_rating(run: Run, arm: HeldOut, contributions: pd.DataFrame) -> Indicator:
    """Write a sheet for experts, and tell what they said on the one they returned.

    The sheet is drawn from the automatic decisions, or from the explained ones where
    nothing is automatic. A returned row counts if the unit has the same code still.

    Raises
    ------
    SourceError, ContractError
        Where the returned sheet is missing or is not such a sheet.
    """
    automatic = np.flatnonzero(arm.units["route"] == "automatic")
    shown = contributions[contributions["row"].isin(automatic)]
    shown = shown if len(shown) else contributions
    if len(shown) == 0:
        return _agreement("not_applicable", "there is no explanation to rate")
    units = pd.DataFrame(
        {"unit": arm.units["unit"], "code": arm.codes, "text": arm.X["text"]}
    )
    sheet = sample_sheet(shown, units, seed=run.pilot.evaluate.seed)
    path = run.confidential / "expert_sheet.xlsx"
    io.write_xlsx(path, {"Explanations": sheet})
    _log.info("explanations for experts to rate: %s", path)
    named = run.pilot.evaluate.expert_sheet
    if named is None:
        return _agreement(
            "not_measured",
            "experts have to rate expert_sheet.xlsx of the run's confidential folder; "
            "evaluate.expert_sheet then names it",
        )
    returned = _returned(finder(run.settings)(named))
    still = set(zip(units["unit"], units["code"], strict=True))
    same = [
        pair in still for pair in zip(returned["unit"], returned["code"], strict=True)
    ]
    current = returned[np.array(same, dtype=bool)]
    found = rating(current)
    gone = len(returned) - len(current)
    if gone:
        note = f"{gone} rows are of units that are decided otherwise now"
        return Indicator(_DIMENSION, found.indicator, noted(found.estimate, note))
    return found


def _returned(path: Path) -> pd.DataFrame:
    sheet = io.read_table(path, text_columns=SHEET).frame
    missing = [name for name in ("unit", "code", "plausible") if name not in sheet]
    if missing:
        raise ContractError(
            f"The sheet of the experts lacks {', '.join(missing)}",
            where=str(path),
            expected=", ".join(SHEET),
        )
    return sheet


def _agreement(status: Status, note: str) -> Indicator:
    return Indicator(_DIMENSION, "expert_agreement", absent(status, note))

"""What a clerk is shown of each unit in the queue: candidates, scores and reasons.

It holds texts and ids of records: it stays in the run's confidential folder.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlstats import io
from mlstats.coding import arm
from mlstats.dataset import Dataset
from mlstats.evaluate import CANDIDATES, MethodRun
from mlstats.explanations import contributions_of
from mlstats.held_out import HeldOut, held_out
from mlstats.quality.comparison import list_length
from mlstats.quality.evaluation import Evaluation
from mlstats.runs import Run

__all__ = ["clerk_list", "write_clerk_list"]

_log = logging.getLogger(__name__)

WORDS = 3  # words of the candidate's first code that are told
EXPLAINED = 5_000  # units whose words are worked out
_AT_A_TIME = 250
_SHEET_ROWS = 100_000  # a workbook longer than that helps nobody


def clerk_list(
    run: Run, dataset: Dataset, evaluation: Evaluation, runs: Sequence[MethodRun]
) -> pd.DataFrame:
    """Return the candidate's queue of the test part, least sure first.

    Parameters
    ----------
    run : Run
        Of a coding pilot.
    dataset, evaluation, runs
        Of the same run.

    Returns
    -------
    pandas.DataFrame
        Columns unit_id, text, code_1 to code_5 and score_1 to score_5, listed (how
        many of them hold the truth as often as the target says, by the valid part; 5
        where five do not), words (that speak for code_1), baseline_code and
        baseline_reason.
    """
    arms = {one.name: one for one in held_out(run, dataset, evaluation, runs)}
    own, base = arms[run.pilot.candidate], arms[run.pilot.baseline]
    waiting = np.flatnonzero(own.units["route"].to_numpy(dtype=object) == "queue")
    confidence = own.units["confidence"].to_numpy(dtype=float)[waiting]
    waiting = waiting[np.argsort(np.nan_to_num(confidence, nan=-1), kind="stable")]
    units = own.units.iloc[waiting]
    frame = dataset.frame.iloc[units["position"].to_numpy(dtype=int)]
    roles = run.pilot.data.roles
    table = pd.DataFrame(
        {
            "unit_id": frame[roles.unit_id].to_numpy(),
            "text": arm.method_frame(frame, roles)["text"].to_numpy(),
        }
    )
    for name in ("candidates", "scores"):
        column = name.removesuffix("s").replace("candidate", "code")
        wide = pd.DataFrame(units[name].tolist(), index=table.index, dtype=object)
        wide = wide.reindex(columns=range(CANDIDATES))
        wide.columns = pd.Index([f"{column}_{i + 1}" for i in range(CANDIDATES)])
        table = table.join(wide)
    kept = list_length(
        evaluation.units,
        own.name,
        own.ancestor,
        own.level,
        alpha=1 - run.pilot.evaluate.target_accuracy,
    )
    table["listed"] = min(kept, CANDIDATES)
    table["words"] = _words(own, waiting)
    return table.join(_reasons(base, waiting))


def write_clerk_list(
    run: Run, dataset: Dataset, evaluation: Evaluation, runs: Sequence[MethodRun]
) -> None:
    """Write ``queue.parquet`` and ``queue.xlsx`` into the run's confidential folder."""
    table = clerk_list(run, dataset, evaluation, runs)
    io.write_parquet(run.confidential / "queue.parquet", table.astype(_texts(table)))
    sheet = table.head(_SHEET_ROWS)
    notes = [f"{len(table):,} units of the test part wait for a clerk; confidential"]
    io.write_xlsx(run.confidential / "queue.xlsx", {"Queue": sheet}, notes=notes)
    _log.info("%d units in the clerks' queue", len(table))


def _texts(table: pd.DataFrame) -> dict[str, str]:
    numbers = {name: "float64" for name in table if str(name).startswith("score_")}
    codes = {name: "str" for name in table if str(name).startswith("code_")}
    return {str(k): v for k, v in (numbers | codes).items()}


def _words(own: HeldOut, waiting: np.ndarray) -> list[str]:
    """Return the words that speak most for each unit's first code."""
    coded = own.units["prediction"].notna().to_numpy()[waiting]
    if not hasattr(own.method, "predict_proba") or not coded.any():
        return [""] * len(waiting)
    places = np.sort(waiting[coded][:EXPLAINED])
    told: dict[int, str] = {}
    # Long texts make many variants: so many units at a time bound the memory.
    for first in range(0, len(places), _AT_A_TIME):
        found = contributions_of(own, places[first : first + _AT_A_TIME])
        found = found[found["contribution"] > 0].sort_values(
            ["row", "contribution"], ascending=[True, False]
        )
        for row, tokens in found.groupby("row")["token"]:
            told[int(str(row))] = ", ".join(tokens.iloc[:WORDS])
    return [told.get(int(place), "") for place in waiting]


def _reasons(base: HeldOut, waiting: np.ndarray) -> pd.DataFrame:
    """Return the baseline's code and why it gave it."""
    codes = pd.Series(base.codes[waiting], dtype=object)
    reason = pd.Series([""] * len(waiting), dtype=object)
    if hasattr(base.method, "explain") and len(waiting):
        told = base.method.explain(base.X.iloc[waiting])
        reason = told["reason"].reset_index(drop=True).astype(object)
    return pd.DataFrame({"baseline_code": codes, "baseline_reason": reason})

"""The drift verdicts as the report and the page of distributions show them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from mlstats.quality.drift import ALARMS, STATES
from mlstats.quality.figures import DASH, Figure, as_text, number, points

__all__ = ["DriftLine", "drift_lines", "gravest"]

# state -> (mark of the report, word)
_SHOWN: Final = {
    "break": ("not_applicable", "break"),
    "drift": ("inconclusive", "alarm"),
    "significant, below floor": ("measured", "significant, below floor"),
    "not measured": ("not_measured", "not measured"),
    # Not green: little data finds no alarm either.
    "no drift": ("measured", "no alarm"),
}


@dataclass(frozen=True)
class DriftLine:
    """One column against one reference, by its gravest test."""

    column: str
    reference: str
    state: str
    mark: str
    word: str
    test: str
    effect: Figure
    floor: str
    p: str
    detectable: str
    units: str
    note: str

    @property
    def alarm(self) -> bool:
        """Whether it asks for more audit."""
        return self.state in ALARMS


def gravest(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return for each column and reference the row of the gravest state.

    Among equals it is the one with the smallest adjusted p. Rows without a column,
    which say that a reference is not there, are kept.
    """
    ranked = verdicts.assign(
        _rank=verdicts["state"].map({state: i for i, state in enumerate(STATES)}),
        _place=range(len(verdicts)),
    ).sort_values(["_rank", "p_adjusted", "_place"], na_position="last")
    first = ranked.drop_duplicates(["column", "reference"])
    return first.sort_values("_place").drop(columns=["_rank", "_place"])


def drift_lines(verdicts: pd.DataFrame) -> list[DriftLine]:
    """Return the table of the report: a line per column and reference, alarms first."""
    if verdicts.empty:
        return []
    lines = [
        _line({str(k): v for k, v in row.items()})
        for row in gravest(verdicts).to_dict("records")
    ]
    return sorted(lines, key=lambda line: (STATES.index(line.state), line.column == ""))


def _line(row: dict[str, Any]) -> DriftLine:
    measure, state = as_text(row["measure"]), as_text(row["state"])
    mark, word = _SHOWN[state]
    effect, low, high, floor, least = (
        number(row[name])
        for name in (
            "effect", "effect_lower", "effect_upper", "floor", "minimum_detectable",
        )
    )  # fmt: skip
    interval = ""
    if math.isfinite(low) and math.isfinite(high):
        interval = f"{_bare(low, measure)} to {_bare(high, measure)}"
    shown = (
        Figure(_size(effect, measure), interval)
        if measure and math.isfinite(effect)
        else Figure(DASH, missing=as_text(row["note"]) or "nothing could differ")
    )
    p = number(row["p_adjusted"]) if math.isfinite(number(row["p"])) else math.nan
    sizes = f"{int(row['n_reference']):,} / {int(row['n']):,}"
    return DriftLine(
        column=as_text(row["column"]),
        reference=as_text(row["reference"]).replace("_", " "),
        state=state,
        mark=mark,
        word=word,
        test=as_text(row["test"]),
        effect=shown,
        floor=_size(floor, measure) if measure and math.isfinite(floor) else DASH,
        p=_p(p),
        detectable=_size(least, measure) if math.isfinite(least) else DASH,
        units=sizes if row["n"] or row["n_reference"] else DASH,
        note=as_text(row["note"]),
    )


def _p(p: float) -> str:
    if not math.isfinite(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _size(value: float, measure: str) -> str:
    """Write an effect: a distance, a share of the shares, or percentage points."""
    unit = {"composition": "\u202f%", "share": " points"}.get(measure, "")
    return _bare(value, measure) + unit


def _bare(value: float, measure: str) -> str:
    if measure == "share":
        return points(value)
    text = f"{100 * value:.1f}" if measure == "composition" else f"{value:.3f}"
    return text.replace("-", "\u2212")

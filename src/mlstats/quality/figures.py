"""The figures of a scorecard: one row of it as a cell, and how a cell is written.

A number never stands alone: it is written with its interval, or with the reason why
it has none. What is missing is written as a dash and keeps the reason too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlstats.quality.indicator_names import INDICATORS, named

__all__ = [
    "CORE_DIMENSIONS",
    "DASH",
    "DIMENSIONS",
    "EXTENSIONS",
    "GATE_COLUMNS",
    "INDICATORS",
    "KINDS",
    "METHOD_CARD_COLUMNS",
    "METHOD_COLUMNS",
    "RESULTS",
    "SCORECARD_COLUMNS",
    "Cell",
    "Figure",
    "as_text",
    "dimension_of",
    "gate_level",
    "indicator_name",
    "level_name",
    "number",
    "points",
    "write",
    "write_difference",
    "write_gate",
    "write_speed",
]

SCORECARD_COLUMNS: Final = (
    "dimension", "indicator", "level", "method", "kind", "domain", "value", "lower",
    "upper", "difference", "difference_lower", "difference_upper", "n", "n_clusters",
    "interval", "status", "note", "gsbpm",
)  # fmt: skip
GATE_COLUMNS: Final = (
    "gate", "measure", "method", "versus", "to", "rule", "value", "lower", "upper",
    "threshold", "result", "reason",
)  # fmt: skip
METHOD_COLUMNS: Final = ("method", "kind", "use", "params", "outcome")
# What a method's card shows besides, where the table of methods has the column.
METHOD_CARD_COLUMNS: Final = (
    "role", "training_rows", "inputs", "version", "digest", "calibration", "limits",
)  # fmt: skip

DASH: Final = "\u2013"
_MINUS: Final = "\u2212"
_NARROW_SPACE: Final = "\u202f"

CORE_DIMENSIONS: Final = (
    "explainability",
    "accuracy",
    "reproducibility",
    "timeliness",
    "cost",
)
EXTENSIONS: Final = ("robustness", "fairness", "data")
DIMENSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "explainability": (
        "Explainability",
        "Can a subject expert say why a unit got its code?",
    ),
    "accuracy": ("Accuracy", "How often is it right, beside today's method?"),
    "reproducibility": (
        "Reproducibility",
        "Would another person, or another seed, get the same number?",
    ),
    "timeliness": ("Timeliness", "How long do fitting and predicting take?"),
    "cost": ("Cost effectiveness", "What does a correct code cost?"),
    "robustness": ("Robustness", "What happens on bad or changed input?"),
    "fairness": ("Fairness", "Who gets worse statistics?"),
    "data": ("Data", "Are training and gold data fit for this purpose?"),
}
RESULTS: Final[Mapping[str, str]] = {
    "pass": "pass",
    "fail": "fail",
    "inconclusive": "inconclusive",
    "not_measured": "not measured",
    "not_applicable": "not applicable",
    "measured": "measured, no gate",
    "partial": "partly measured",
    "waived": "waived",
    # As apply_waivers writes them: what was found stays to be read.
    "waived (fail)": "waived (fail)",
    "waived (inconclusive)": "waived (inconclusive)",
    "waived (not_measured)": "waived (not measured)",
}
KINDS: Final[Mapping[str, str]] = {"ml": "ML", "traditional": "traditional"}


@dataclass(frozen=True)
class Cell:
    """One row of the scorecard; the fields are its columns.

    ``value`` to ``difference_upper`` are NaN where there is no number; shares are
    shares of one, not percentages.
    """

    dimension: str
    indicator: str
    level: str
    method: str
    kind: str
    domain: str
    value: float
    lower: float
    upper: float
    difference: float
    difference_lower: float
    difference_upper: float
    n: int
    n_clusters: int
    interval: str
    status: str
    note: str
    gsbpm: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Cell:
        """Make a cell of a row of the scorecard, whatever its missing values are."""
        values: dict[str, Any] = {}
        for name in SCORECARD_COLUMNS:
            if name in {"n", "n_clusters"}:
                count = number(row[name])
                values[name] = int(count) if math.isfinite(count) else 0
            elif name in SCORECARD_COLUMNS[6:12]:
                values[name] = number(row[name])
            else:
                values[name] = as_text(row[name])
        return cls(**values)

    @property
    def measured(self) -> bool:
        """Whether the cell holds a number, or a fact, that was measured."""
        told = math.isfinite(self.value) or (self.is_fact and self.note != "")
        return self.status == "measured" and told

    @property
    def is_fact(self) -> bool:
        """Whether the note says what was found, not the number."""
        return _unit(self.indicator) == "fact"

    @property
    def why_missing(self) -> str:
        """The reason for a missing value, one phrase."""
        status = (
            "no value"
            if self.status == "measured"
            else RESULTS.get(self.status, self.status)
        )
        return f"{status}: {self.note}" if self.note else status


@dataclass(frozen=True)
class Figure:
    """A number as it is written.

    Parameters
    ----------
    text : str
        The number with its unit, or a dash.
    interval : str
        ``"65.7 to 69.2"``; empty where there is none.
    missing : str
        Why there is no number; empty where there is one.
    remark : str
        What a reader must know beside it, such as a level other than the table's.
    note : str
        What the scorecard says about the number.
    """

    text: str
    interval: str = ""
    missing: str = ""
    remark: str = ""
    note: str = ""


def number(value: Any) -> float:
    """Return `value` as a float, NaN for every kind of missing value."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def as_text(value: Any) -> str:
    """Return `value` as text, empty for every kind of missing value."""
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing or str(value) in {"<NA>", "NaT"} else str(value)


def level_name(level: str) -> str:
    """Return how a level of the classification is called.

    Examples
    --------
    >>> level_name("4"), level_name("full"), level_name("division")
    ('level 4', 'full code', 'division')
    """
    if level == "full":
        return "full code"
    return f"level {level}" if level.isdecimal() else level


def indicator_name(indicator: str) -> str:
    """Return how an indicator is called; an unknown one keeps its own name."""
    known = named(indicator)
    return known[0] if known else indicator.replace("_", " ")


def dimension_of(measure: str) -> str:
    """Return the dimension of a gate's measure, empty where it is not known.

    Examples
    --------
    >>> dimension_of("accuracy@4"), dimension_of("cost"), dimension_of("tide")
    ('accuracy', 'cost', '')
    """
    indicator = measure.partition("@")[0]
    known = named(indicator)
    if known:
        return known[2]
    return indicator if indicator in DIMENSIONS else ""


def gate_level(measure: str) -> str:
    """Return the level behind the ``@`` of a gate's measure, or an empty string."""
    return measure.partition("@")[2]


def points(value: float) -> str:
    """Return a difference of shares in percentage points, with its sign.

    Examples
    --------
    >>> points(0.0531), points(0.00004)
    ('+5.3', '0.0')
    """
    text = f"{100 * value:+.1f}"
    if text in {"+0.0", "-0.0"}:
        return "0.0"
    return text.replace("-", _MINUS)


def write(cell: Cell | None, *, level: str = "") -> Figure:
    """Write the value of a cell with its interval.

    Parameters
    ----------
    cell : Cell or None
        A row of the scorecard; None where the scorecard has no such row.
    level : str
        The level that the table speaks of; a cell of another level says its own.
    """
    if cell is None:
        return Figure(DASH, missing="not measured: the scorecard has no such row")
    if not cell.measured:
        return Figure(DASH, missing=cell.why_missing)
    unit = _unit(cell.indicator)
    if unit == "fact":
        return Figure(cell.note or _bare(cell.value, unit))
    interval = ""
    exact = cell.lower == cell.value == cell.upper
    if math.isfinite(cell.lower) and math.isfinite(cell.upper) and not exact:
        interval = f"{_bare(cell.lower, unit)} to {_bare(cell.upper, unit)}"
    other = cell.level not in {"", level}
    return Figure(
        _with_unit(cell.value, unit),
        interval,
        remark=level_name(cell.level) if other else "",
        note=cell.note,
    )


def write_difference(cell: Cell | None, *, baseline: str) -> Figure:
    """Write the paired difference to the baseline with its interval."""
    if cell is not None and cell.method == baseline:
        return Figure("baseline")
    if cell is None or not cell.measured:
        return write(cell)
    if not math.isfinite(cell.difference):
        reason = cell.note or "the scorecard has no paired difference"
        return Figure(DASH, missing=f"not measured: {reason}")
    unit = _unit(cell.indicator)
    bounds = (cell.difference_lower, cell.difference_upper)
    interval = ""
    if all(map(math.isfinite, bounds)):
        interval = " to ".join(_signed(bound, unit) for bound in bounds)
    return Figure(_signed(cell.difference, unit), interval)


def write_speed(cell: Cell | None) -> Figure:
    """Write seconds per 1,000 units as units per second, three digits."""
    if cell is None or not cell.measured:
        return write(cell)
    if cell.value <= 0:
        return Figure(DASH, missing="no value: too fast for the clock")
    return Figure(f"{float(f'{1000 / cell.value:.3g}'):,.0f}")


def write_gate(row: Mapping[str, Any]) -> tuple[Figure, str]:
    """Write the value of a gate with its interval, and its threshold.

    A rule with ``versus`` compares a difference: value, interval and threshold are
    differences then (a margin of two points is the threshold -0.02).
    """
    unit = _unit(as_text(row["measure"]).partition("@")[0])
    one = _signed if as_text(row["versus"]) else _with_unit
    bound = _signed if as_text(row["versus"]) else _bare
    value, lower, upper, threshold = (
        number(row[name]) for name in ("value", "lower", "upper", "threshold")
    )
    limit = one(threshold, unit) if math.isfinite(threshold) else DASH
    if not math.isfinite(value):
        return Figure(DASH, missing=as_text(row["reason"]) or "not measured"), limit
    interval = ""
    if math.isfinite(lower) or math.isfinite(upper):
        # A one-sided rule has one bound only.
        low = bound(lower, unit) if math.isfinite(lower) else "no bound"
        high = bound(upper, unit) if math.isfinite(upper) else "no bound"
        interval = f"{low} to {high}"
    return Figure(one(value, unit), interval), limit


def _unit(indicator: str) -> str:
    known = named(indicator)
    return known[1] if known else "ratio"


def _bare(value: float, unit: str) -> str:
    if unit == "percent":
        text = f"{100 * value:.1f}"
    elif unit == "seconds":
        text = _seconds(value)
    elif unit in {"count", "days", "minutes"}:
        text = f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
    elif unit in {"amount", "energy", "carbon"}:
        text = f"{value:,.2f}"
    else:
        digits = 3 if abs(value) < 10 else 1 if abs(value) < 100 else 0
        text = f"{value:,.{digits}f}"
    return text.replace("-", _MINUS)


_SUFFIXES: Final[Mapping[str, str]] = {
    "percent": "%",
    "seconds": "s",
    "days": "days",
    "minutes": "min",
    "energy": "kWh",
    "carbon": "kg",
}


def _with_unit(value: float, unit: str) -> str:
    suffix = _SUFFIXES.get(unit)
    bare = _bare(value, unit)
    return f"{bare}{_NARROW_SPACE}{suffix}" if suffix else bare


def _signed(value: float, unit: str) -> str:
    if unit == "percent":
        return points(value)
    sign = "+" if value > 0 else _MINUS if value < 0 else ""
    return sign + _bare(abs(value), unit)


def _seconds(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}" if value == 0 or value >= 0.001 else "<0.001"

"""Where the truth of a pilot comes from: an arm cannot be measured by its own answers.

A truth that is the column of a method scores that method 100 % by construction, and one
whose coders saw a method's suggestions leans to it. Neither tells whether the method is
right, however well its gates are passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlstats.config import Pilot

__all__ = ["truth_cautions", "truth_flaws"]

# Indicator -> its value where a method answers every unit as the truth does.
_AGREES: Final = {"accuracy": 1.0, "nrmse": 0.0, "nmae": 0.0}
_BY_CHANCE: Final = 100  # fewer units may agree without any reason
_COLUMNS: Final = ("mlstats.Incumbent", "mlstats.method.Incumbent")


def truth_flaws(
    ran: Mapping[str, Any], indicators: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return why the truth of a run cannot judge its arms, nothing where it can.

    Parameters
    ----------
    ran : mapping
        The pilot as it ran, resolved.
    indicators : sequence of mapping
        Of the frozen evidence. An arm that agrees with the truth on every one of at
        least 100 units did so by construction, unless the pilot says that the coders
        have seen no suggestion (``evaluate.truth_seen: []``).
    """
    found = [_is_column(ran, name) for name in _of_column(ran)]
    arms = [ran.get("candidate"), ran.get("baseline")]
    seen = ran.get("evaluate", {}).get("truth_seen")
    found += [
        f"who made the truth had seen what {name} suggests (evaluate.truth_seen)"
        for name in arms
        if name in (seen or [])
    ]
    if seen is not None:
        return found
    for name in dict.fromkeys([*arms, *_columns_of(ran)]):
        units = _agrees_on(indicators, name)
        if units >= _BY_CHANCE:
            found.append(
                f"{name} agrees with the truth on all of {units:,} units, and nobody "
                "says that the truth was made without it (evaluate.truth_seen: [])"
            )
    return found


def truth_cautions(pilot: Pilot) -> list[str]:
    """Return what is to be said of a pilot's truth before it runs.

    Parameters
    ----------
    pilot : Pilot
        Whose truth; where it is made by nobody who could see a suggestion, as with
        records that are damaged on purpose, nothing is asked of it.
    """
    told = pilot.model_dump(mode="json")
    refused = [f"{why}: promote refuses it" for why in truth_flaws(told, [])]
    seen, arms = pilot.evaluate.truth_seen, {pilot.candidate, pilot.baseline}
    said = [
        f"who made the truth had seen what {name} suggests"
        for name in seen or ()
        if name not in arms
    ]
    coded = pilot.theme == "coding" or bool(pilot.evaluate.past_edits)
    if seen is None and (coded or pilot.data.scene is not None):
        said.append(
            "nobody says which methods' suggestions had been seen when the truth was "
            "made (evaluate.truth_seen)"
        )
    return [*refused, *said]


def _is_column(ran: Mapping[str, Any], name: str) -> str:
    return f"the truth {_truth(ran)!r} is the column of the method {name}"


def _of_column(ran: Mapping[str, Any]) -> list[str]:
    """Return the methods whose column the truth is, recoded or not."""
    truth = _origin(ran, _truth(ran))
    columns = _columns_of(ran).items()
    return [name for name, column in columns if _origin(ran, column) == truth]


def _columns_of(ran: Mapping[str, Any]) -> dict[str, str]:
    """Return method -> column, of methods that are columns of the data."""
    return {
        name: str(spec.get("params", {}).get("column"))
        for name, spec in ran.get("methods", {}).items()
        if spec.get("use") in _COLUMNS
    }


def _truth(ran: Mapping[str, Any]) -> str:
    roles = ran.get("data", {}).get("roles", {})
    return str(ran.get("evaluate", {}).get("truth") or roles.get("target") or "")


def _origin(ran: Mapping[str, Any], column: str) -> str:
    recoded = ran.get("data", {}).get("recode", {})
    return str(recoded[column]["of"]) if column in recoded else column


def _agrees_on(indicators: Sequence[Mapping[str, Any]], name: str | None) -> int:
    """Return on how many units a method agrees with the truth, 0 unless on all."""
    rows = [
        row
        for row in indicators
        if row.get("method") == name
        and row.get("indicator") in _AGREES
        and not row.get("domain")
        and row.get("value") is not None
    ]
    if any(row["value"] != _AGREES[row["indicator"]] for row in rows):
        return 0
    return max((int(row.get("n") or 0) for row in rows), default=0)

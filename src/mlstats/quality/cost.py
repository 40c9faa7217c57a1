"""Cost effectiveness: what each arm costs, what that buys, and when it pays.

The figures are those of the cost sheet, so they carry no sampling error; their range
is what they become when one input of the sheet is a fifth lower or higher. Where a
measured figure enters (accuracy, mean squared error) its interval is carried through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.cost_sheet import Arm, CostSheet
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator

__all__ = [
    "break_even_periods",
    "break_even_units",
    "clerical_minutes",
    "cost_indicators",
    "cost_per_correct",
    "cost_table",
    "incremental_ratio",
    "sensitivity",
    "total_cost",
]

CHANGE: Final = 0.2
_RANGE: Final = "range: one input 20 % lower or higher"
# Settings of the sheet that are not inputs of a cost.
_NO_INPUT: Final = frozenset({"version", "price_year", "energy"})


def cost_table(sheet: CostSheet) -> pd.DataFrame:
    """Return every line of every arm.

    Returns
    -------
    pandas.DataFrame
        Columns arm, line, kind (fixed or running), per_period (NaN for what is spent
        once) and over_life, in the sheet's currency.
    """
    rows = []
    for name, arm in sheet.arms.items():
        for line, money in arm.fixed.model_dump().items():
            rows.append((name, line, "fixed", math.nan, money))
        for line, money in _running(sheet, arm).items():
            rows.append((name, line, "running", money, money * sheet.periods))
    columns = ["arm", "line", "kind", "per_period", "over_life"]
    return pd.DataFrame(rows, columns=columns)


def total_cost(sheet: CostSheet, name: str) -> float:
    """Return the cost of an arm over the planned life, fixed and running."""
    arm = sheet.arm(name)
    return _fixed(arm) + sheet.periods * sum(_running(sheet, arm).values())


def clerical_minutes(sheet: CostSheet, name: str) -> float:
    """Return the clerks' minutes of a period.

    Units times ``(1 - automatic share) x (coding + referral)`` plus ``checked share x
    checking``.
    """
    each = _minutes_per_unit(sheet, sheet.arm(name))
    return sheet.units_per_period * sum(each.values())


def _minutes_per_unit(sheet: CostSheet, arm: Arm) -> dict[str, float]:
    clerical = arm.clerical
    referred = 1 - clerical.automatic_share
    return {
        "clerical_coding": referred * sheet.minutes_per_unit,
        "referral": referred * clerical.referral_minutes_per_unit,
        "quality_control_sample": clerical.quality_control_share
        * clerical.quality_control_minutes_per_unit,
    }


def _fixed(arm: Arm) -> float:
    return float(sum(arm.fixed.model_dump().values()))


def _running(sheet: CostSheet, arm: Arm) -> dict[str, float]:
    per_minute = sheet.hourly_rate / 60
    clerks = {
        line: minutes * sheet.units_per_period * per_minute
        for line, minutes in _minutes_per_unit(sheet, arm).items()
    }
    return {**arm.running.model_dump(), **clerks}


# -- when it pays ------------------------------------------------------------------


def break_even_periods(sheet: CostSheet, name: str, baseline: str) -> float:
    """Return after how many periods an arm has cost no more than the baseline.

    The difference of the fixed costs over the saving per period; 0 where the arm is
    cheaper from the start, infinity where it never gets cheaper for good.
    """
    one, other = sheet.arm(name), sheet.arm(baseline)
    extra = _fixed(one) - _fixed(other)
    saving = sum(_running(sheet, other).values()) - sum(_running(sheet, one).values())
    return _quotient(extra, saving)


def break_even_units(sheet: CostSheet, name: str, baseline: str) -> float:
    """Return the units per period with which an arm just pays over the planned life.

    What the arm costs more whatever the number of units, over the clerks' time that
    it saves per unit; 0 and infinity as in :func:`break_even_periods`.
    """
    one, other = sheet.arm(name), sheet.arm(baseline)
    apart = [sum(a.running.model_dump().values()) for a in (one, other)]
    extra = _fixed(one) - _fixed(other) + sheet.periods * (apart[0] - apart[1])
    minutes = [sum(_minutes_per_unit(sheet, a).values()) for a in (one, other)]
    saving = (minutes[1] - minutes[0]) * sheet.hourly_rate / 60 * sheet.periods
    return _quotient(extra, saving)


def _quotient(extra: float, saving: float) -> float:
    if extra <= 0 and saving >= 0:
        return 0.0
    return extra / saving if saving > 0 else math.inf


# -- what it buys ------------------------------------------------------------------


def cost_per_correct(sheet: CostSheet, name: str, accuracy: Estimate) -> Estimate:
    """Return the cost of one correct code over the planned life.

    Parameters
    ----------
    accuracy : Estimate
        Share of right codes in what the arm delivers, the clerks' part included;
        its interval is carried through, the dearer end from its lower limit.
    """
    if accuracy.status != "measured" or not accuracy.value > 0:
        return absent("not_measured", accuracy.note or "no accuracy was measured")
    codes = sheet.units_per_period * sheet.periods
    per_code = total_cost(sheet, name) / codes
    lower = per_code / accuracy.upper
    upper = per_code / accuracy.lower if accuracy.lower != 0 else math.inf
    return Estimate(
        per_code / accuracy.value, lower=lower, upper=upper, n=accuracy.n,
        note=f"{sheet.currency} of {sheet.price_year}, sheet version {sheet.version}",
        interval=f"of the accuracy: {accuracy.interval}",
    )  # fmt: skip


def incremental_ratio(
    sheet: CostSheet, name: str, baseline: str, mse_reduction: Estimate
) -> Estimate:
    """Return the extra cost of an arm per unit of mean squared error it removes.

    ``(cost - cost of the baseline) / (MSE of the baseline - MSE)``. There is a ratio
    only where the reduction is shown to be more than zero and the arm costs more;
    else the note tells which arm is preferred, or that the reduction is not shown.

    Parameters
    ----------
    mse_reduction : Estimate
        MSE of the baseline minus that of the arm, with its interval.
    """
    if mse_reduction.status != "measured":
        return absent("not_measured", mse_reduction.note)
    extra = total_cost(sheet, name) - total_cost(sheet, baseline)
    if not mse_reduction.lower > 0:
        known = mse_reduction.upper <= 0
        told = "the MSE does not fall" if known else "no fall of the MSE is shown"
        return absent("not_applicable", told, mse_reduction.n)
    if extra <= 0:
        told = f"{name} costs no more and has the lower MSE: it is preferred"
        return absent("not_applicable", told, mse_reduction.n)
    return Estimate(
        extra / mse_reduction.value,
        lower=extra / mse_reduction.upper,
        upper=extra / mse_reduction.lower,
        n=mse_reduction.n,
        note=f"{sheet.currency} of {sheet.price_year} per unit of MSE",
        interval=f"of the MSE: {mse_reduction.interval}",
    )


# -- sensitivity -------------------------------------------------------------------


def sensitivity(
    sheet: CostSheet,
    outcome: Callable[[CostSheet], float],
    *,
    change: float = CHANGE,
) -> pd.DataFrame:
    """Work an outcome out with one input at a time lower and higher by a share.

    Parameters
    ----------
    sheet : CostSheet
        The base.
    outcome : callable
        ``outcome(sheet)``, for example the break-even or a total.
    change : float
        The share, .2 for 20 %.

    Returns
    -------
    pandas.DataFrame
        A row per input that is not zero, widest swing first: input, base, low_input,
        high_input, low and high (the outcomes), swing, capped (a share that cannot
        be raised so far and was taken as 1).
    """
    tree = sheet.model_dump()
    rows = []
    for path, base in _inputs(tree):
        ends = [base * (1 - change), base * (1 + change)]
        capped = path[-1].endswith("_share") and ends[1] > 1
        ends[1] = min(ends[1], 1.0) if capped else ends[1]
        low, high = (
            outcome(CostSheet.model_validate(_changed(tree, path, end))) for end in ends
        )
        swing = 0.0 if low == high else abs(high - low)
        rows.append((".".join(path), base, *ends, low, high, swing, capped))
    columns = ["input", "base", "low_input", "high_input", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "swing", "capped"])
    return table.sort_values(
        ["swing", "input"], ascending=[False, True], ignore_index=True
    )


def _inputs(
    tree: dict[str, Any], at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    for key, value in tree.items():
        if key in _NO_INPUT:
            continue
        if isinstance(value, dict):
            yield from _inputs(value, (*at, key))
        elif isinstance(value, float | int) and value != 0:
            yield (*at, key), float(value)


def _changed(
    tree: dict[str, Any], path: tuple[str, ...], value: float
) -> dict[str, Any]:
    key, *rest = path
    held = value if not rest else _changed(tree[key], tuple(rest), value)
    return tree | {key: held}


# -- the scorecard's rows ----------------------------------------------------------


def cost_indicators(
    sheet: CostSheet,
    name: str,
    baseline: str,
    *,
    accuracy: Estimate | None = None,
    mse_reduction: Estimate | None = None,
) -> list[Indicator]:
    """Return the figures of an arm for the scorecard.

    Parameters
    ----------
    name, baseline : str
        Arms of the sheet; for the baseline itself nothing is compared.
    accuracy, mse_reduction : Estimate, optional
        As in :func:`cost_per_correct` and :func:`incremental_ratio`.

    Returns
    -------
    list of Indicator
        cost_total, cost_per_correct, clerical_minutes_saved, break_even_periods,
        break_even_units, cost_per_mse, energy_kwh, carbon_kg.
    """
    money = f"{sheet.currency} of {sheet.price_year} over {sheet.periods:g} periods"
    share = sheet.arm(name).clerical
    automatic = (
        f"automatic share {share.automatic_share:.1%} {share.automatic_share_is}"
    )
    found = {
        "cost_total": _ranged(sheet, lambda s: total_cost(s, name), money),
        "cost_per_correct": absent("not_measured", "no accuracy was measured")
        if accuracy is None
        else cost_per_correct(sheet, name, accuracy),
        **_energy(sheet.arm(name)),
    }
    if name != baseline:
        found |= {
            "clerical_minutes_saved": _ranged(
                sheet,
                lambda s: clerical_minutes(s, baseline) - clerical_minutes(s, name),
                f"per period, against {baseline}, {automatic}",
            ),
            "break_even_periods": _ranged(
                sheet,
                lambda s: break_even_periods(s, name, baseline),
                f"against {baseline}, planned life {sheet.periods:g}, {automatic}",
            ),
            "break_even_units": _ranged(
                sheet,
                lambda s: break_even_units(s, name, baseline),
                f"per period, against {baseline}",
            ),
            "cost_per_mse": absent("not_measured", "no MSE was compared")
            if mse_reduction is None
            else incremental_ratio(sheet, name, baseline, mse_reduction),
        }
    return [Indicator("cost", key, value) for key, value in found.items()]


def _ranged(
    sheet: CostSheet, outcome: Callable[[CostSheet], float], note: str
) -> Estimate:
    """Return an outcome with the range that one changed input gives it."""
    value = outcome(sheet)
    if not math.isfinite(value):
        return absent("not_applicable", f"never; {note}")
    table = sensitivity(sheet, outcome)
    ends = np.array([value, *table["low"], *table["high"]])
    widest = f"widest swing: {table['input'].iloc[0]}" if len(table) else ""
    found = Estimate(value, lower=float(ends.min()), upper=float(ends.max()))
    told = "; ".join(part for part in (note, widest) if part)
    return replace(found, interval=_RANGE, note=told)


def _energy(arm: Arm) -> dict[str, Estimate]:
    energy = arm.energy
    if energy is None:
        missing = absent("not_measured", "the sheet tells no energy")
        return {"energy_kwh": missing, "carbon_kg": missing}
    kwh = energy.watts * energy.hours_per_period / 1000
    note = f"per period, {energy.source}: power x time"
    return {
        "energy_kwh": Estimate(kwh, note=note),
        "carbon_kg": Estimate(
            kwh * energy.kg_co2e_per_kwh, note=f"{note} x factor of the grid"
        ),
    }

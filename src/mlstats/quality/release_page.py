"""The page of one release: what was published of a period, by whom, beside what."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from mlstats.quality.drift_section import drift_lines
from mlstats.quality.figures import as_text, indicator_name, level_name
from mlstats.quality.pages import render
from mlstats.quality.plots import PlotRow, interval_plot

__all__ = ["ReleasePage", "render_release"]

_PLOTTED: Final = 25  # figures in the plot, the largest
_ROUTES: Final = {
    "units": "units",
    "figures": "figures",
    "automatic": "automatic",
    "audit": "automatic, in the audit",
    "queue": "in the review queue",
    "open": "waiting for a clerk",
    "closed": "closed by clerks",
    "uncodable": "not codable",
    "fallback": "from the baseline as fallback",
    "cells": "values that were asked for or changed",
}


@dataclass(frozen=True)
class ReleasePage:
    """What the page shows.

    Parameters
    ----------
    facts : mapping
        Of the release's manifest.
    tables : mapping of str to pandas.DataFrame
        Publishable: totals, and where there are any drift, contract and
        method_difference.
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class _Line:
    """One published figure as text."""

    name: str
    n: str
    now: str
    interval: str
    open_share: str
    gap: str
    gap_interval: str
    changes: tuple[tuple[str, str], ...]
    note: str


def render_release(page: ReleasePage) -> str:
    """Return the page as HTML that stands alone."""
    totals = page.tables.get("totals", pd.DataFrame())
    counts = page.facts.get("counts", {})
    drift = page.tables.get("drift")
    return render(
        "release.html",
        facts=page.facts,
        sentence=_sentence(page.facts),
        counts=[(word, f"{counts[k]:,}") for k, word in _ROUTES.items() if k in counts],
        groups=_groups(totals),
        plot=_plot(totals, page.facts),
        process=[_line(row) for row in _rows(page.tables.get("process"))],
        audited=[_audited(row) for row in _rows(page.tables.get("scorecard"))],
        drift=[] if drift is None else drift_lines(drift),
        contract=_records(page.tables.get("contract")),
        linked=_linked(page.tables.get("method_difference")),
    )


def _groups(totals: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the tables of the page: classes by domain, numbers by what parts them."""
    groups: dict[tuple[str, str], list[_Line]] = {}
    for row in totals.to_dict("records"):
        line, domain = _line(row), as_text(row["domain"])
        key = (as_text(row["variable"]), domain)
        if not as_text(row["class"]) and not domain:
            key = ("Figures", "")
        elif not as_text(row["class"]):
            column, _, group = domain.partition("=")
            key = (key[0], f"by {column}")
            line = replace(line, name=group)
        groups.setdefault(key, []).append(line)
    return [_group(*key, lines) for key, lines in groups.items()]


def _group(variable: str, domain: str, lines: list[_Line]) -> dict[str, Any]:
    notes = {line.note for line in lines}
    shared = notes.pop() if len(notes) == 1 else ""
    if shared:
        lines = [replace(line, note="") for line in lines]
    return {"domain": domain, "variable": variable, "lines": lines, "note": shared}


def _sentence(facts: Mapping[str, Any]) -> str:
    methods = facts.get("methods", {})
    state = "final" if facts["final"] else "provisional"
    causes = facts["fallback"]
    whole = [one for one in causes if not one["classes"]]
    if whole:
        by = f"produced by the baseline {methods.get('baseline', '')}"
    elif causes:
        by = f"{methods.get('champion', '')}, some classes by the baseline"
    else:
        by = str(methods.get("champion") or methods.get("baseline", ""))
    return f"{facts['period']} is {state}: {by}"


def _number(value: Any, share: bool, sign: bool = False) -> str:
    number = float(value)
    if not math.isfinite(number):
        return "not told"
    if not share:
        return _plain(number, sign)
    return f"{number * 100:+.2f} points" if sign else f"{number * 100:.2f} %"


def _plain(number: float, sign: bool) -> str:
    """Write a number with four digits that count, a large one as a whole number."""
    plus = "+" if sign else ""
    if abs(number) >= 1000:
        return f"{number:{plus},.0f}"
    return f"{number:{plus},.4g}"


def _ends(row: Mapping[Any, Any], lower: str, upper: str, share: bool) -> str:
    ends = [float(row[lower]), float(row[upper])]
    if not all(map(math.isfinite, ends)):
        return "no interval"
    if lower == "lower":
        return " to ".join(_number(end, share) for end in ends)
    told = [100 * end if share else end for end in ends]
    return " to ".join(f"{end:+.2f}" if share else _plain(end, True) for end in told)


def _line(row: Mapping[Any, Any]) -> _Line:
    share = bool(as_text(row["class"]))
    changes = [
        (
            _number(row[f"{name}_change"], share, sign=True),
            _ends(row, f"{name}_lower", f"{name}_upper", share),
        )
        if name in row and math.isfinite(float(row[f"{name}_change"]))
        else ("none before", "")
        for name in ("last_period", "last_year")
    ]
    told = math.isfinite(float(row["difference"]))
    return _Line(
        as_text(row["class"]) or as_text(row["variable"]),
        f"{int(row['n']):,}",
        _number(row["estimate"], share),
        _ends(row, "lower", "upper", share),
        f"{float(row['open_share']):.1%}",
        _number(row["difference"], share, sign=True) if told else "not told",
        _ends(row, "difference_lower", "difference_upper", share) if told else "",
        tuple(changes),
        as_text(row["note"]),
    )


def _audited(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return a figure of the audit as text: its value, and less the baseline's."""
    gap = float(row["difference"])
    measured = as_text(row["status"]) == "measured"
    ends = _ends(row, "difference_lower", "difference_upper", True)
    return {
        "method": as_text(row["method"]),
        "name": indicator_name(as_text(row["indicator"])),
        "level": level_name(as_text(row["level"])),
        "value": _number(row["value"], True) if measured else "not measured",
        "ends": _ends(row, "lower", "upper", True) if measured else "",
        "gap": _number(gap, True, sign=True) if math.isfinite(gap) else "",
        "gap_ends": ends if math.isfinite(gap) else "",
        "n": f"{int(row['n']):,}",
        "note": as_text(row["note"]),
    }


def _plot(totals: pd.DataFrame, facts: Mapping[str, Any]) -> Markup | str:
    """Draw the figures of all units that have an interval, the largest ones."""
    if totals.empty:
        return ""
    known = totals[(totals["domain"].map(as_text) == "") & totals["lower"].notna()]
    known = known[known["class"].map(as_text) != ""]
    known = known.nlargest(_PLOTTED, "estimate")
    if known.empty:
        return ""
    methods = facts.get("methods", {})
    by_baseline = "champion" not in methods or any(
        not one["classes"] for one in facts["fallback"]
    )
    kind = "traditional" if by_baseline else "ml"
    rows: list[PlotRow] = []
    for row in known.to_dict("records"):
        value, lower, upper = (
            100 * float(row[c]) for c in ("estimate", "lower", "upper")
        )
        name = as_text(row["class"])
        text = f"{value:.2f} ({lower:.2f} to {upper:.2f})"
        rows.append(PlotRow("released", value, lower, upper, text, kind, name))
        before = 100 * float(row.get("last_period", math.nan))
        if math.isfinite(before):
            told = f"{before:.2f}"
            rows.append(
                PlotRow("last period", before, math.nan, math.nan, told, "", name, True)
            )
    return Markup(  # noqa: S704 - the plot escapes what it draws
        interval_plot(
            rows,
            key="totals",
            title=f"Shares of {facts['title']}, {facts['period']}",
            description="Each share as released with its 95 % interval, and before.",
            axis="share, %",
            limits=(0, 100),
            remark="synthetic data" if facts.get("synthetic") else "",
        )
    )


def _rows(table: pd.DataFrame | None) -> list[dict[Hashable, Any]]:
    return [] if table is None else table.to_dict("records")


def _records(table: pd.DataFrame | None) -> list[dict[str, str]]:
    if table is None:
        return []
    return [
        {str(k): as_text(v) for k, v in row.items()} for row in table.to_dict("records")
    ]


def _linked(table: pd.DataFrame | None) -> Sequence[Mapping[str, str]]:
    if table is None or table.empty:
        return []
    known = table[(table["domain"].map(as_text) == "") & table["difference"].notna()]
    return [
        {
            "name": as_text(row["class"]) or as_text(row["variable"]),
            "period": as_text(row["period"]),
            "gap": _number(row["difference"], bool(as_text(row["class"])), sign=True),
            "ends": _ends(
                row,
                "difference_lower",
                "difference_upper",
                bool(as_text(row["class"])),
            ),
        }
        for row in known.to_dict("records")
    ]

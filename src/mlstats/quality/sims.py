"""Quality reporting in the concepts of SIMS 2.0, from the tables of a run.

Which figure answers to which concept stands in a file, ``sims_2_0.csv``, whose source
it names itself and which an office may replace by its own. Nothing is made up: a
figure without a concept, a concept without a figure and a concept without an SDMX
identifier are left out and counted.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io as streams
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mlstats import io
from mlstats.errors import ConfigError
from mlstats.quality.evidence import canonical
from mlstats.quality.figures import Cell, as_text, level_name, number, write

__all__ = [
    "COLUMNS",
    "Concepts",
    "SimsExport",
    "as_csv",
    "as_json",
    "as_markdown",
    "export",
    "read_concepts",
    "write_sims",
]

COLUMNS: Final = (
    "concept", "sdmx_concept", "name", "gsbpm", "indicator", "method", "level",
    "domain", "value", "text", "period", "provenance",
)  # fmt: skip
_FILE_COLUMNS: Final = (
    "version", "concept", "name", "sdmx_concept", "table", "key", "statement",
    "source", "caution",
)  # fmt: skip
_TABLES: Final = ("scorecard", "gates", "estimates")
_CODE: Final = re.compile(r"S\.\d+(\.\d+){0,3}")
_SDMX: Final = re.compile(r"[A-Z][A-Z0-9_]*|")
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|])")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Concepts:
    """The file of concepts.

    Parameters
    ----------
    rows : pandas.DataFrame
        A row per concept and what feeds it: version, concept, name, sdmx_concept
        (empty where not known), table (scorecard, gates or estimates), key (name of
        an indicator, ``*`` and ``?`` stand for any), statement, source, caution.
    sha256 : str
        Of the file.
    """

    rows: pd.DataFrame
    sha256: str


@dataclass(frozen=True)
class SimsExport:
    """The export of one run.

    Parameters
    ----------
    rows : pandas.DataFrame
        The columns of :data:`COLUMNS`, by concept.
    period, provenance : str
        What the figures are about, and the digest of the evidence they come from.
    concepts : Concepts
        The file that was used.
    without_concept : mapping
        Indicator -> rows of the scorecard that no concept takes.
    without_figure : tuple of str
        Concepts of the file that nothing of the run feeds.
    without_sdmx : int
        Exported rows whose concept has no SDMX identifier in the file.
    """

    rows: pd.DataFrame
    period: str
    provenance: str
    concepts: Concepts
    without_concept: Mapping[str, int]
    without_figure: tuple[str, ...]
    without_sdmx: int


def read_concepts(path: Path | None = None) -> Concepts:
    """Read a file of concepts, by default the one that is shipped.

    Raises
    ------
    ConfigError
        With file:line, where a column lacks, a code is not of the form ``S.13.3`` or
        a table is not one of ours.
    """
    packaged = resources.files("mlstats.quality").joinpath("sims_2_0.csv")
    try:
        data = packaged.read_bytes() if path is None else path.read_bytes()
        rows = pd.read_csv(
            streams.BytesIO(data), dtype=str, keep_default_na=False, encoding="utf-8"
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The file of concepts cannot be read: {type(error).__name__}",
            where=str(path),
        ) from None
    where = str(path or "sims_2_0.csv")
    missing = [column for column in _FILE_COLUMNS if column not in rows]
    if missing:
        raise ConfigError(
            f"The file of concepts lacks {', '.join(missing)}", where=f"{where}:1"
        )
    for position, row in enumerate(rows.to_dict("records")):
        problem = _problem(row)
        if problem:
            raise ConfigError(problem, where=f"{where}:{position + 2}")
    return Concepts(rows, hashlib.sha256(data).hexdigest())


def _problem(row: Mapping[Any, Any]) -> str:
    if not _CODE.fullmatch(row["concept"]):
        return "A concept code is not of the form S.13.3.4"
    if not _SDMX.fullmatch(row["sdmx_concept"]):
        return "An SDMX concept identifier is not of the form ACCURACY_OVERALL"
    if row["table"] not in _TABLES:
        return f"A concept is fed by none of {', '.join(_TABLES)}"
    if not (row["source"] and row["statement"] and row["key"]):
        return "A concept names no source, statement or key"
    return ""


def export(
    scorecard: pd.DataFrame,
    gates: pd.DataFrame,
    estimates: pd.DataFrame,
    *,
    period: str,
    provenance: str,
    concepts: Concepts | None = None,
) -> SimsExport:
    """Bring the figures of a run under the concepts of a quality report.

    Parameters
    ----------
    scorecard, gates, estimates : pandas.DataFrame
        Of the run; figures that were not measured are told as such, with their
        reason and without a value.
    period : str
        Reference period.
    provenance : str
        The digest of the evidence, :func:`mlstats.quality.evidence.digest`.
    concepts : Concepts, optional
        By default the file that is shipped.
    """
    used = concepts or read_concepts()
    said = {
        "scorecard": list(_scorecard_rows(scorecard)),
        "gates": list(_gate_rows(gates)),
        "estimates": list(_estimate_rows(estimates)),
    }
    rows: list[dict[str, Any]] = []
    fed: set[str] = set()
    taken: set[str] = set()
    for concept in used.rows.to_dict("records"):
        for row in said[concept["table"]]:
            if not fnmatch.fnmatchcase(row["indicator"], concept["key"]):
                continue
            fed.add(concept["concept"])
            taken.add(f"{concept['table']}:{row['indicator']}")
            rows.append(
                {
                    **row,
                    **_named(concept),
                    "text": f"{concept['statement']}. {row['text']}",
                }
            )
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    table = table.assign(period=period, provenance=provenance)
    processes = [name for name in scorecard["gsbpm"].map(as_text).unique() if name]
    if len(processes) == 1:  # gates and estimates belong to the run's own sub-process
        table["gsbpm"] = table["gsbpm"].replace("", processes[0])
    indicators = [row["indicator"] for row in said["scorecard"]]
    left = [name for name in indicators if f"scorecard:{name}" not in taken]
    return SimsExport(
        rows=_in_order(table),
        period=period,
        provenance=provenance,
        concepts=used,
        without_concept={name: left.count(name) for name in dict.fromkeys(left)},
        without_figure=tuple(c for c in _codes(used) if c not in fed),
        without_sdmx=int((table["sdmx_concept"] == "").sum()),
    )


def _named(concept: Mapping[Any, Any]) -> dict[str, Any]:
    return {key: concept[key] for key in ("concept", "name", "sdmx_concept")}


def _codes(concepts: Concepts) -> list[str]:
    return list(dict.fromkeys(concepts.rows["concept"]))


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by the numbers in the code: S.13.1 before S.13.2, S.9 before S.13."""
    key = table["concept"].map(
        lambda code: tuple(int(part) for part in code.split(".")[1:])
    )
    ordered = sorted(range(len(table)), key=lambda row: key.iloc[row])
    return table.iloc[ordered].reset_index(drop=True)


# -- what each table says ----------------------------------------------------------


def _scorecard_rows(scorecard: pd.DataFrame) -> Iterator[dict[str, Any]]:
    # A further row for the difference to another method repeats the figure.
    alike = ["indicator", "method", "level", "domain"]
    for found in scorecard.drop_duplicates(alike).to_dict("records"):
        cell = Cell.from_row({str(key): value for key, value in found.items()})
        figure = write(cell, level=cell.level)
        parts = [cell.method, level_name(cell.level) if cell.level else "", cell.domain]
        where = ", ".join(part for part in parts if part)
        if cell.measured:
            interval = f" (95 % interval {figure.interval})" if figure.interval else ""
            how = f", {cell.interval}" if cell.interval and figure.interval else ""
            size = f", {cell.n:,} units" if cell.n else ""
            told = f"{where}: {figure.text}{interval}{how}{size}"
        else:
            told = f"{where}: {figure.missing}"
        yield {
            "indicator": cell.indicator,
            "method": cell.method,
            "level": cell.level,
            "domain": cell.domain,
            "gsbpm": cell.gsbpm,
            "value": cell.value if cell.measured else None,
            "text": told,
        }


def _gate_rows(gates: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for gate in gates.to_dict("records"):
        rule, result, reason = (
            as_text(gate[key]).replace("not_measured", "not measured")
            for key in ("rule", "result", "reason")
        )
        value = number(gate["value"])
        yield {
            "indicator": as_text(gate["gate"]),
            "method": as_text(gate["method"]),
            "level": "",
            "domain": "",
            "gsbpm": "",
            "value": value if value == value else None,
            "text": f"{rule}: {result}" + (f", {reason}" if reason else ""),
        }


def _estimate_rows(estimates: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in estimates.to_dict("records"):
        value, se = number(row["estimate"]), number(row["standard_error"])
        told = f"standard error {se:.4g}" if se == se else "no standard error"
        yield {
            "indicator": as_text(row["variable"]),
            "method": as_text(row["method"]),
            "level": "",
            "domain": as_text(row["domain"]),
            "gsbpm": "",
            "value": value if value == value else None,
            "text": f"{as_text(row['method'])}, {as_text(row['variable'])}, "
            f"{as_text(row['domain'])}: {value:.6g}, {told}, "
            f"{as_text(row['variance_method'])}, {int(row['n']):,} units",
        }


# -- forms -------------------------------------------------------------------------


def as_json(found: SimsExport) -> str:
    """Return the export as canonical JSON, what was left out told beside the rows."""
    rows = [
        {str(key): None if value != value else value for key, value in row.items()}
        for row in found.rows.astype(object).to_dict("records")
    ]
    told = {
        "standard": "SIMS 2.0",
        "period": found.period,
        "provenance": found.provenance,
        "concepts_sha256": found.concepts.sha256,
        "caution": _caution(found),
        "rows": rows,
        "left_out": {
            "indicators_without_concept": dict(found.without_concept),
            "concepts_without_figure": list(found.without_figure),
            "rows_without_sdmx_concept": found.without_sdmx,
        },
    }
    return canonical(told).decode("utf-8")


def as_csv(found: SimsExport) -> str:
    """Return the rows as CSV; texts that a spreadsheet would run are quoted first."""
    table = found.rows.copy()
    for column in table.columns.drop("value"):
        texts = table[column].map(as_text)
        table[column] = texts.where(~texts.str.startswith(_FORMULA), "'" + texts)
    return str(table.to_csv(index=False, lineterminator="\n"))


def as_markdown(found: SimsExport) -> str:
    """Return the export as a page to read, a heading per concept."""
    lines = [
        f"# Quality report, {_safe(found.period)}",
        "",
        f"Concepts of SIMS 2.0 ({_safe(_caution(found))}). Evidence "
        f"`{found.provenance}`.",
    ]
    for concept, part in found.rows.groupby("concept", sort=False):
        name, sdmx = part["name"].iloc[0], part["sdmx_concept"].iloc[0]
        known = f" (SDMX: {_safe(sdmx)})" if sdmx else ""
        lines += ["", f"## {concept} {_safe(name)}{known}", ""]
        lines += [f"- {_safe(text)}" for text in part["text"]]
    left = sum(found.without_concept.values())
    unfed = ", ".join(found.without_figure) or "none"
    lines += [
        "",
        "## Left out",
        "",
        f"- Figures of the run without a concept in the file: {left}",
        f"- Concepts without a figure in this run: {unfed}",
        f"- Rows whose concept has no SDMX identifier in the file: "
        f"{found.without_sdmx}",
        "",
    ]
    return "\n".join(lines)


def write_sims(found: SimsExport, folder: Path) -> None:
    """Write sims.json, sims.csv and sims.md.

    Raises
    ------
    ServiceError
        Where a file cannot be written.
    """
    io.write_text(folder / "sims.json", as_json(found) + "\n")
    io.write_text(folder / "sims.csv", as_csv(found))
    io.write_text(folder / "sims.md", as_markdown(found))


def _caution(found: SimsExport) -> str:
    rows = found.concepts.rows
    versions = ", ".join(dict.fromkeys(rows["version"]))
    cautions = "; ".join(dict.fromkeys(c for c in rows["caution"] if c))
    return f"file version {versions}" + (f", {cautions}" if cautions else "")


def _safe(text: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))

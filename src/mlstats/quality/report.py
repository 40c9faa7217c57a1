"""What a run reports, and the report as HTML, as workbook and as Parquet.

All forms are made of the same two tables, scorecard and gates: a reader of the page
and a reader of the workbook see the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.quality.explanation import IMPORTANCE_COLUMNS, no_importances
from mlstats.quality.figures import (
    GATE_COLUMNS,
    METHOD_CARD_COLUMNS,
    METHOD_COLUMNS,
    SCORECARD_COLUMNS,
    Cell,
    as_text,
)
from mlstats.quality.pages import SYNTHETIC, render
from mlstats.quality.report_tables import (
    AGGREGATE_COLUMNS,
    INDEX_COLUMNS,
    PREVIOUS_COLUMNS,
    empty,
    told,
)

__all__ = [
    "RunReport",
    "render_html",
    "tables",
    "write_html",
    "write_parquet",
    "write_xlsx",
]


@dataclass(frozen=True)
class RunReport:
    """Everything that the report of one run shows.

    Parameters
    ----------
    pilot, title, theme, period, run_id : str
        What was run.
    created : str
        When, ISO 8601.
    synthetic : bool
        Whether the data were generated; every form of the report says so then.
    verdict : str
        One sentence, the first that is read.
    baseline, candidate : str
        Names of methods; the candidate may be empty where no method is one.
    level : str
        The level of the classification that is shown first.
    scorecard : pandas.DataFrame
        One row per figure, columns `SCORECARD_COLUMNS` of
        :mod:`mlstats.quality.figures`; ``status`` is measured, not_measured or
        not_applicable, shares are shares of one, NaN where there is no number. A
        column ``versus`` may name the method of the difference; only rows that name
        the baseline or nothing are shown then. Further columns go to the workbook.
    gates : pandas.DataFrame
        One row per rule, columns `GATE_COLUMNS`; ``result`` is pass, fail,
        inconclusive or not_measured. Where ``versus`` names a method, value, bounds
        and threshold are differences. A column ``waiver`` may tell under which
        waiver a rule goes by.
    methods : pandas.DataFrame
        One row per method, columns `METHOD_COLUMNS`; gives the order of rows. The
        columns `METHOD_CARD_COLUMNS` may follow.
    provenance : mapping of str to str
        Digests, commit, seed, versions.
    data_facts : sequence of (str, str)
        What the reader inferred, how many rows, how they were split.
    notes : sequence of str
        Sentences that a reader must not miss.
    target_accuracy : float, optional
        The accuracy that the automated part has to reach, a share.
    importances : pandas.DataFrame
        One row per method and column of the data, columns `IMPORTANCE_COLUMNS` of
        :mod:`mlstats.quality.explanation`; empty after a plain run.
    drift : pandas.DataFrame
        The verdicts on the test part, see
        :class:`mlstats.quality.drift.DriftResult`; empty where none were made.
    drift_sentence : str
        The verdicts in words.
    aggregates : pandas.DataFrame
        The published figures under each arm, columns `AGGREGATE_COLUMNS` of
        :mod:`mlstats.quality.report_tables`; may have no rows.
    index : pandas.DataFrame
        The published index under each arm, columns `INDEX_COLUMNS`; may have no rows.
    previous : pandas.DataFrame
        What has changed since an earlier run, columns `PREVIOUS_COLUMNS`.
    previous_run : str
        Which run that was, or why there is none.
    tables : mapping of str to pandas.DataFrame
        Further tables by their title, shown as they are: counts, never a record.
    pictures : sequence of (str, str)
        Maps: title and SVG, made by mlstats itself.

    Raises
    ------
    MlstatsError
        If a table lacks a column.
    """

    pilot: str
    title: str
    theme: str
    period: str
    run_id: str
    created: str
    synthetic: bool
    verdict: str
    baseline: str
    candidate: str
    level: str
    scorecard: pd.DataFrame
    gates: pd.DataFrame
    methods: pd.DataFrame
    provenance: Mapping[str, str]
    data_facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    target_accuracy: float | None = None
    importances: pd.DataFrame = field(default_factory=no_importances)
    drift: pd.DataFrame = field(default_factory=pd.DataFrame)
    drift_sentence: str = ""
    aggregates: pd.DataFrame = field(default_factory=lambda: empty(AGGREGATE_COLUMNS))
    index: pd.DataFrame = field(default_factory=lambda: empty(INDEX_COLUMNS))
    previous: pd.DataFrame = field(default_factory=lambda: empty(PREVIOUS_COLUMNS))
    previous_run: str = ""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    pictures: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        for name, columns in (
            ("scorecard", SCORECARD_COLUMNS),
            ("gates", GATE_COLUMNS),
            ("methods", METHOD_COLUMNS),
            ("importances", IMPORTANCE_COLUMNS),
            ("aggregates", AGGREGATE_COLUMNS),
            ("index", INDEX_COLUMNS),
            ("previous", PREVIOUS_COLUMNS),
        ):
            absent = [c for c in columns if c not in getattr(self, name).columns]
            if absent:
                raise MlstatsError(
                    f"the {name} table of a report lacks columns",
                    where=name,
                    expected=", ".join(absent),
                )

    @cached_property
    def cells(self) -> dict[tuple[str, str, str, str], Cell]:
        """The scorecard by (indicator, level, method, domain)."""
        rows = self.scorecard
        if "versus" in rows:
            # Differences to a third method, which a gate may ask for, are not shown.
            rows = rows[rows["versus"].map(as_text).isin(["", self.baseline])]
        cells = [
            Cell.from_row({str(k): v for k, v in row.items()})
            for row in rows[list(SCORECARD_COLUMNS)].to_dict("records")
        ]
        return {(c.indicator, c.level, c.method, c.domain): c for c in cells}

    def cell(
        self,
        indicator: str,
        method: str,
        *,
        level: str | None = None,
        domain: str = "",
    ) -> Cell | None:
        """Return one figure of the scorecard, or None where it has no such row.

        Without `level` it is the figure of the report's level, else the one that
        belongs to no level, else that of the full code, else of any other.
        """
        known = (self.level, "", "full", *self.levels)
        for candidate in (level,) if level is not None else known:
            found = self.cells.get((indicator, candidate, method, domain))
            if found is not None:
                return found
        return None

    @cached_property
    def method_names(self) -> list[str]:
        """The methods in the order of their table, then those only scored."""
        listed = [as_text(name) for name in self.methods["method"]]
        scored = [cell.method for cell in self.cells.values()]
        return list(dict.fromkeys(name for name in [*listed, *scored] if name))

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each method: traditional or ml."""
        kinds = {cell.method: cell.kind for cell in self.cells.values()}
        listed = zip(self.methods["method"], self.methods["kind"], strict=True)
        return kinds | {as_text(name): as_text(kind) for name, kind in listed}

    @cached_property
    def levels(self) -> list[str]:
        """The levels at which accuracy was scored: numbers, names, the full code."""
        found = {
            c.level: None for c in self.cells.values() if c.indicator == "accuracy"
        }
        return sorted(
            (level for level in found if level),
            key=lambda level: (
                level == "full",
                not level.isdecimal(),
                int(level) if level.isdecimal() else 0,
            ),
        )

    @cached_property
    def domains(self) -> list[str]:
        """The domains in which accuracy was scored, in the order of the scorecard."""
        found = [c.domain for c in self.cells.values() if c.indicator == "accuracy"]
        return list(dict.fromkeys(domain for domain in found if domain))

    @property
    def focus(self) -> str:
        """The method the report is about: the candidate, or else the baseline."""
        return self.candidate or self.baseline


def render_html(report: RunReport) -> str:
    """Return the report as one HTML page that needs nothing but itself."""
    from mlstats.quality.sections import sections

    return render("report.html", report=report, **sections(report))


def write_html(report: RunReport, path: Path) -> None:
    """Write the report as one HTML file.

    Raises
    ------
    ServiceError
        If the file cannot be written; nothing half-written stays behind.
    """
    from mlstats import io

    io.write_text(path, render_html(report))


def tables(report: RunReport) -> dict[str, pd.DataFrame]:
    """Return the sheets of the workbook that is the report's twin.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``Summary`` (item, value), ``Scorecard``, ``Gates``, ``Methods`` (with the
        main figures as numbers), ``Aggregates``, ``Last period``, ``Index`` where
        the pilot names one, ``Drift`` where
        there are verdicts, ``Importances`` after a full run, and ``Provenance``.
    """
    more = {
        "Index": report.index,
        "Importances": report.importances,
        "Drift": report.drift,
        **report.tables,
    }
    more = {name: table for name, table in more.items() if len(table)}
    return {
        "Summary": _summary(report),
        "Scorecard": report.scorecard.reset_index(drop=True),
        "Gates": report.gates.reset_index(drop=True),
        "Methods": _methods(report),
        "Aggregates": told(report.aggregates).reset_index(drop=True),
        "Last period": report.previous.reset_index(drop=True),
        **more,
        "Provenance": pd.DataFrame(
            [(str(k), str(v)) for k, v in report.provenance.items()],
            columns=["item", "value"],
            dtype="str",
        ),
    }


def write_xlsx(report: RunReport, path: Path) -> None:
    """Write the workbook that is the report's twin; waived gates stand in red."""
    from mlstats import io

    results = report.gates["result"].map(as_text)
    waived = {i for i, result in enumerate(results) if result.startswith("waived")}
    io.write_xlsx(path, tables(report), notes=_notes(report), red={"Gates": waived})


def write_parquet(report: RunReport, path: Path) -> None:
    """Write the scorecard for machines: each row says its run and period.

    The columns run_id, pilot, period and synthetic stand before those of the
    scorecard, so that the files of many runs can be stacked. The published figures
    go beside it into ``aggregates.parquet``, in the same form.
    """
    from mlstats import io

    io.write_parquet(path, _marked(report, report.scorecard))
    shown = told(report.aggregates)
    io.write_parquet(path.with_name("aggregates.parquet"), _marked(report, shown))


def _marked(report: RunReport, frame: pd.DataFrame) -> pd.DataFrame:
    marks: dict[str, Any] = {
        "run_id": report.run_id,
        "pilot": report.pilot,
        "period": report.period,
        "synthetic": report.synthetic,
    }
    frame = frame.reset_index(drop=True)
    return frame.assign(**marks)[[*marks, *frame.columns]]


def _notes(report: RunReport) -> list[str]:
    return [SYNTHETIC, *report.notes] if report.synthetic else list(report.notes)


def _summary(report: RunReport) -> pd.DataFrame:
    results = report.gates["result"].map(as_text).value_counts()
    rows = [
        ("verdict", report.verdict),
        ("data", SYNTHETIC if report.synthetic else "real"),
        ("pilot", report.pilot),
        ("title", report.title),
        ("theme", report.theme),
        ("period", report.period),
        ("run", report.run_id),
        ("created", report.created),
        ("baseline", report.baseline),
        ("candidate", report.candidate),
        ("level shown first", report.level),
        *((f"gates: {name}", str(count)) for name, count in results.items()),
        ("compared with", report.previous_run or "no earlier run"),
        *report.data_facts,
        *([("drift", report.drift_sentence)] if report.drift_sentence else []),
        *(("note", note) for note in report.notes),
    ]
    return pd.DataFrame(rows, columns=["item", "value"], dtype="str")


def _methods(report: RunReport) -> pd.DataFrame:
    """Return the table of methods with the figures of the report's main table."""
    rows = []
    for name in report.method_names:
        row: dict[str, object] = {"method": name, "kind": report.kinds.get(name, "")}
        accuracy = report.cell("accuracy", name)
        for part in ("value", "lower", "upper"):
            row[f"accuracy {part}"] = getattr(accuracy, part, math.nan)
        for part in ("difference", "difference_lower", "difference_upper"):
            row[part.replace("_", " ")] = getattr(accuracy, part, math.nan)
        for indicator in (
            "macro_f1",
            "coverage",
            "automation_guaranteed",
            "automation_oracle",
            "predict_seconds_per_1000",
        ):
            row[indicator] = getattr(report.cell(indicator, name), "value", math.nan)
        rows.append(row)
    further = [c for c in METHOD_CARD_COLUMNS if c in report.methods]
    listed = report.methods[["method", "use", "params", "outcome", *further]]
    listed = listed.drop_duplicates("method")
    figures = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["method", "kind"])
    return figures.merge(listed, on="method", how="left")

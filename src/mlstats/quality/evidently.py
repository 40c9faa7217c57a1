"""The Evidently report of a run: how the current data differ from the reference.

With :mod:`mlstats.quality.evidently_history` the only module that imports Evidently.
Its pages embed the values they are made of,
so they are made of the contract's safe view alone. Evidently's own tests know neither
weights nor clusters nor how many columns were tested: they are not made. Wherever its
page says whether a column drifted, it repeats the verdict that it is given.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from mlstats import io
from mlstats.errors import MlstatsError, nearest
from mlstats.quality.drift import ALARMS
from mlstats.quality.drift_section import drift_lines, gravest
from mlstats.quality.pages import render

__all__ = [
    "SAMPLE",
    "Comparable",
    "comparable",
    "page_of",
    "quiet",
    "snapshot_of",
    "write_drift_report",
]

logger = logging.getLogger(__name__)

SAMPLE: Final = 20_000  # rows of each side that Evidently draws

_MISSING: Final = "(missing)"
_SOURCES: Final = ("evidently", "numpy", "pandas", "scipy", "sklearn", "plotly")
# The page may draw with its own inline script and load nothing from anywhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def write_drift_report(
    current: pd.DataFrame,
    reference: pd.DataFrame,
    path: Path,
    *,
    columns: Mapping[str, Literal["numeric", "category"]],
    verdicts: pd.DataFrame,
    against: str = "training",
    said: str = "",
    sample: int = SAMPLE,
    seed: int = 0,
    synthetic: bool = False,
) -> list[str]:
    """Write the Evidently report of two safe views as one HTML file.

    Parameters
    ----------
    current, reference : pandas.DataFrame
        Safe views of the contract (``attrs["safe_view"]`` is True); any other frame
        is refused.
    path : pathlib.Path
        The page; it opens from a file without a network.
    columns : mapping of str to {"numeric", "category"}
        What is compared and how; other columns of the frames stay out.
    verdicts : pandas.DataFrame
        Those of :class:`mlstats.quality.drift.DriftResult`; they stand at the head.
    against : str
        The reference of the verdicts that the page's frames belong to. A column
        without a verdict against it is left out.
    said : str
        The verdicts in words.
    sample : int
        At most so many rows of each frame, drawn at random.
    seed : int
        Of that sample.
    synthetic : bool
        Whether the data were generated; the page says so then.

    Returns
    -------
    list of str
        What a reader has to know: columns left out and why, sampling. The same
        sentences stand at the head of the page.

    Raises
    ------
    MlstatsError
        If a frame is not a safe view or lacks a column.
    ServiceError
        If the page cannot be written.
    """
    compared = comparable(
        current,
        reference,
        columns=columns,
        verdicts=verdicts,
        against=against,
        sample=sample,
        seed=seed,
    )
    notes, kept = compared.notes, compared.columns
    if not kept:
        notes.append("nothing is left to compare, so there is no drift report")
        absent = render(
            "drift_absent.html",
            notes=notes,
            synthetic=synthetic,
            lines=drift_lines(verdicts),
        )
        io.write_text(path, absent)
        return notes
    page = page_of(
        snapshot_of(compared),
        notes,
        verdicts=verdicts,
        against=against,
        said=said,
        synthetic=synthetic,
    )
    io.write_text(path, page)
    left = len(columns) - len(kept)
    logger.info("drift report over %d columns, %d left out", len(kept), left)
    return notes


@dataclass(frozen=True, eq=False)
class Comparable:
    """Two safe views as Evidently can compare them.

    Parameters
    ----------
    current, reference : pandas.DataFrame
        Numbers and words, with the columns that are left.
    columns : mapping
        Of these, numeric or category.
    states : mapping of str to str
        Of each, the verdict that is repeated.
    notes : list of str
        Columns left out and why, sampling.
    """

    current: pd.DataFrame
    reference: pd.DataFrame
    columns: Mapping[str, str]
    states: Mapping[str, str]
    notes: list[str]


def comparable(
    current: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    columns: Mapping[str, Literal["numeric", "category"]],
    verdicts: pd.DataFrame,
    against: str,
    sample: int = SAMPLE,
    seed: int = 0,
    rows: Mapping[str, int] | None = None,
) -> Comparable:
    """Return what of two safe views can be compared; see :func:`write_drift_report`.

    Parameters
    ----------
    rows : mapping of str to int, optional
        "current", "reference" -> of how many rows a frame is a sample already.
    """
    frames = {"current": current, "reference": reference}
    for name, frame in frames.items():
        _check(frame, name, columns)
    notes = []
    for name, frame in frames.items():
        of, shown = (rows or {}).get(name, len(frame)), min(len(frame), sample)
        if of > shown:
            notes.append(
                f"{name}: a random sample of {shown:,} of {of:,} rows; "
                "the verdicts are of all"
            )
    notes += [f"{name}: no rows" for name, frame in frames.items() if frame.empty]
    typed = {
        name: _drawn(frame, columns, sample, seed) for name, frame in frames.items()
    }
    told = _states(verdicts, against)
    left_out = _left_out(typed, columns, told)
    notes += [f"{column}: left out, {why}" for column, why in left_out.items()]
    kept = {c: kind for c, kind in columns.items() if c not in left_out}
    return Comparable(
        typed["current"][[*kept]],
        typed["reference"][[*kept]],
        kept,
        {column: told[column] for column in kept},
        notes,
    )


def _check(frame: pd.DataFrame, name: str, columns: Mapping[str, str]) -> None:
    if frame.attrs.get("safe_view") is not True:
        raise MlstatsError(
            f"the {name} frame of a drift report is not a safe view",
            where="quality.evidently",
            expected="a frame made by contract.safe_view",
            hint="Evidently writes the values it is given into its page: "
            "never give it records",
        )
    for column in columns:
        if column not in frame.columns:
            raise MlstatsError(
                f"the {name} frame of a drift report has no column {column!r}",
                where="quality.evidently",
                expected="every column of columns",
                nearest=nearest(column, map(str, frame.columns)),
            )


def _drawn(
    frame: pd.DataFrame, columns: Mapping[str, str], sample: int, seed: int
) -> pd.DataFrame:
    if len(frame) > sample:
        frame = frame.sample(sample, random_state=seed)
    return pd.DataFrame({c: _typed(frame[c], kind) for c, kind in columns.items()})


def _typed(values: pd.Series[Any], kind: str) -> pd.Series[Any]:
    """Return numbers as floats, and categories as words without missing ones.

    Evidently drops missing values silently; as a category of its own a change in
    missingness shows. An empty column stays empty.
    """
    if kind == "numeric":
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        return numbers.replace([math.inf, -math.inf], math.nan)
    present = values.notna()
    if not present.any():
        return pd.Series(None, index=values.index, dtype="object")
    # Evidently copies names of categories into its script as they are.
    words = values.astype("object").where(present, _MISSING).astype(str)
    return words.str.replace("<", "\u2039", regex=False).astype("object")


def _left_out(
    frames: Mapping[str, pd.DataFrame],
    columns: Mapping[str, str],
    told: Mapping[str, str],
) -> dict[str, str]:
    """Return why a column cannot be compared; Evidently raises on an empty one."""
    left_out = {}
    for column in columns:
        if told.get(column, "not measured") == "not measured":
            left_out[column] = "its drift was not measured"
        empty = [name for name, frame in frames.items() if frame[column].isna().all()]
        if empty:
            left_out[column] = f"no value in {' and '.join(empty)}"
    return left_out


def _states(verdicts: pd.DataFrame, against: str) -> dict[str, str]:
    """Return the state of each column against one reference."""
    if verdicts.empty:
        return {}
    found = gravest(verdicts[verdicts["reference"] == against])
    return dict(zip(found["column"], found["state"], strict=True))


def page_of(
    made: Any,
    notes: Sequence[str],
    *,
    verdicts: pd.DataFrame,
    against: str,
    said: str = "",
    synthetic: bool = False,
) -> str:
    """Return a comparison as a page, with what a reader has to know at its head.

    Parameters
    ----------
    made : evidently snapshot
        From :func:`snapshot_of`.
    notes : sequence of str
        Of the comparison.
    verdicts, against, said, synthetic
        As for :func:`write_drift_report`.
    """
    banner = render(
        "drift_head.html",
        notes=notes,
        synthetic=synthetic,
        lines=drift_lines(verdicts),
        said=said,
        against=against,
    )
    return _with_head(_page(made), banner)


def _page(made: Any) -> str:
    with quiet():
        page: str = made.get_html_str(as_iframe=False)
    return page


def snapshot_of(compared: Comparable, more: Sequence[Any] = (), **named: Any) -> Any:
    """Return Evidently's comparison, which repeats our verdicts.

    Parameters
    ----------
    compared : Comparable
        At least a column.
    more : sequence of evidently.core.metric_types.Metric
        What it holds besides.
    **named
        timestamp, name, metadata of the snapshot.
    """
    with quiet():
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

    columns = compared.columns
    safe = {column: column.replace("<", "\u2039") for column in columns}
    definition = DataDefinition(
        numerical_columns=[safe[c] for c, k in columns.items() if k == "numeric"],
        categorical_columns=[safe[c] for c, k in columns.items() if k == "category"],
    )
    preset = DataDriftPreset(
        columns=list(safe.values()),
        per_column_method={safe[c]: _repeating(compared.states[c]) for c in columns},
        per_column_threshold=dict.fromkeys(safe.values(), 0.5),
        drift_share=1 / len(columns),  # one alarm is an alarm
    )
    with quiet():
        # Evidently takes the current data first.
        return Report([*more, preset], include_tests=True).run(
            *(
                Dataset.from_pandas(
                    frame.rename(columns=safe).reset_index(drop=True),
                    data_definition=definition,
                )
                for frame in (compared.current, compared.reference)
            ),
            **named,
        )


def _repeating(state: str) -> str:
    """Return the name of a test that says what was found, whatever the data are."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    alarm = state in ALARMS
    name = (
        f"mlstats: {'alarm' if state == 'drift' else state.replace('drift', 'alarm')}"
    )
    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(
        StatTest(name, name, kinds, 0.5), lambda *_: (float(alarm), alarm)
    )
    return name


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Evidently and the packages below it warn about constant columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for source in _SOURCES:
            warnings.filterwarnings("ignore", module=rf"{source}(\.|$)")
        yield


def _with_head(page: str, banner: str) -> str:
    """Add what the reader has to know, and a policy that forbids every request."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    head, opening, rest = page.partition("<head>")
    body, tag, tail = rest.rpartition("<body>")
    if not (opening and tag):
        raise MlstatsError(
            "the Evidently page has another form than expected",
            where="quality.evidently",
            expected="evidently 0.7.23",
        )
    return f"{head}{opening}{policy}{body}{tag}{banner}{tail}"

"""A pilot's history in an Evidently workspace, a snapshot per period.

Each snapshot is named after its period, dated by the period's end and replaced where
the period is released or reviewed anew. It holds the drift of the safe view with our
verdicts, and our figures; the panels show them over periods. A page that opens from a
file shows the same drift.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mlstats import io
from mlstats.quality.evidently import (
    Comparable,
    comparable,
    page_of,
    quiet,
    snapshot_of,
)

__all__ = ["Compared", "Panel", "Snapshot", "write_workspace"]

_FORM: Final = 2  # of a snapshot; one of another form is made anew
_METRIC: Final = "MlstatsFigure"
_SPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "mlstats.evidently")


@dataclass(frozen=True, eq=False)
class Compared:
    """The safe view of a period, and of what it is held to.

    Parameters
    ----------
    current, reference : pandas.DataFrame
        From :func:`mlstats.contract.safe_features`.
    verdicts : pandas.DataFrame
        The release's.
    against : str
        The reference's name there.
    rows : mapping of str to int
        "current", "reference" -> rows that the verdicts are of; a frame may hold a
        sample of them.
    said : str
        The verdicts in words.
    """

    current: pd.DataFrame
    reference: pd.DataFrame
    verdicts: pd.DataFrame
    against: str
    rows: Mapping[str, int]
    said: str = ""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What the workspace shows of one period.

    Parameters
    ----------
    period : str
        Its name.
    end : datetime.date
        The last day of the period.
    made_of : str
        What decides it; while that and the figures stay, so does the snapshot.
    figures : mapping of (str, str) to float
        (figure, arm or limit) -> value.
    compared : callable
        Returns what is compared, None where there is nothing; asked only where the
        snapshot is made.
    """

    period: str
    end: date
    made_of: str
    figures: Mapping[tuple[str, str], float]
    compared: Callable[[], Compared | None]

    @property
    def digest(self) -> str:
        """The sha256 of what decides it."""
        told = [[*key, value] for key, value in sorted(self.figures.items())]
        text = json.dumps([_FORM, self.period, self.made_of, told])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Panel:
    """A plot over periods: its title and the lines, (figure, arm or limit, legend)."""

    title: str
    lines: tuple[tuple[str, str, str], ...]
    bars: bool = False


def write_workspace(
    folder: Path,
    pages: Path,
    pilot: str,
    snapshots: Sequence[Snapshot],
    panels: Sequence[Panel],
    *,
    said: str = "",
    seed: int = 0,
    synthetic: bool = False,
) -> list[str]:
    """Bring a pilot's project in the workspace to what its history is.

    Parameters
    ----------
    folder : pathlib.Path
        The workspace; made where it is not there.
    pages : pathlib.Path
        Folder of the pages of this pilot alone, ``PERIOD.html``; none of a period of
        which nothing is compared.
    pilot : str
        Name of the project.
    snapshots : sequence of Snapshot
        One per period; what else the project holds is removed.
    panels : sequence of Panel
        Of the dashboard.
    said : str
        Stands below the project's name.
    seed : int
        Of the sample that Evidently gets.
    synthetic : bool
        Whether the data were generated; the project's name says so then.

    Returns
    -------
    list of str
        The periods whose snapshot was made or replaced.
    """
    project = uuid.uuid5(_SPACE, pilot)
    place = folder / str(project)
    (place / "snapshots").mkdir(parents=True, exist_ok=True)
    paths = {
        place / "snapshots" / f"{uuid.uuid5(project, one.period)}.json": one
        for one in snapshots
    }
    known = {*paths, *(pages / f"{one.period}.html" for one in snapshots)}
    for path in [*(place / "snapshots").glob("*.json"), *pages.glob("*.html")]:
        if path not in known:
            path.unlink()
    made = []
    for path, one in paths.items():
        if _kept(path) != one.digest:
            snapshot, page = _written(one, seed, synthetic)
            _replace(pages / f"{one.period}.html", page)
            io.write_text(path, snapshot)  # last: what is there is whole
            made.append(one.period)
    called = f"{pilot} (synthetic data)" if synthetic else pilot
    about = {"id": str(project), "name": called, "description": said, "version": "2"}
    io.write_json(place / "metadata.json", about)
    io.write_json(place / "dashboard.json", _dashboard(project, panels))
    return made


def _kept(path: Path) -> str:
    """Return the digest of a snapshot that is there."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return str(told["metadata"]["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _replace(path: Path, page: str) -> None:
    if page:
        path.parent.mkdir(parents=True, exist_ok=True)
        io.write_text(path, page)
    else:
        path.unlink(missing_ok=True)


def _written(one: Snapshot, seed: int, synthetic: bool) -> tuple[str, str]:
    """Return a snapshot as Evidently keeps it, and its page; none without data."""
    metric = _metric()
    figures = [
        metric(figure=name, arm=arm, value=value)
        for (name, arm), value in one.figures.items()
        if math.isfinite(value)
    ]
    named: dict[str, Any] = {
        "timestamp": datetime.combine(one.end, time()),
        "name": one.period,
        "metadata": {"period": one.period, "digest": one.digest},
    }
    found = one.compared()
    told = None if found is None else _comparable(found, seed)
    if found is None or told is None or not told.columns:
        return _as_json(_alone(one.period, figures, named)), ""
    # Evidently keeps a list as well, but then its pages fail to read the workspace.
    named["metadata"]["notes"] = "; ".join(told.notes)
    page = page_of(
        snapshot_of(told),  # figures would stand above what it is about
        told.notes,
        verdicts=found.verdicts,
        against=found.against,
        said=found.said,
        synthetic=synthetic,
    )
    return _as_json(snapshot_of(told, figures, **named)), page


def _alone(period: str, figures: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Return the snapshot of a period of which nothing is compared."""
    with quiet():
        from evidently import DataDefinition, Dataset, Report

        nothing = Dataset.from_pandas(
            pd.DataFrame({"period": [period]}),
            data_definition=DataDefinition(categorical_columns=["period"]),
        )
        return Report([*figures]).run(nothing, None, **named)


def _as_json(made: Any) -> str:
    with quiet():
        from evidently.legacy.utils import NumpyEncoder

        model = made.to_snapshot_model().dict()
    for result in model["metric_results"].values():
        # A line of a panel is made of equal parameters: the value is no parameter.
        params = result["metric_value_location"]["metric"]["params"]
        if params["type"].endswith(f":{_METRIC}"):
            params.pop("value", None)
    return json.dumps(model, cls=NumpyEncoder)


def _comparable(found: Compared, seed: int) -> Comparable:
    columns = {str(name): "category" for name in found.current.columns}
    return comparable(
        found.current,
        found.reference,
        columns=columns,  # type: ignore[arg-type]
        verdicts=found.verdicts,
        against=found.against,
        seed=seed,
        rows=found.rows,
    )


@cache
def _metric() -> Any:
    """Return the metric that tells a figure of ours; Evidently is imported late."""
    with quiet():
        from evidently.core.metric_types import (
            SingleValueCalculation,
            SingleValueMetric,
        )

    class MlstatsFigure(SingleValueMetric):  # type: ignore[misc]
        figure: str
        arm: str
        value: float

        def _default_tests(self, context: Any = None) -> list[Any]:
            return []

    class _Calculation(SingleValueCalculation[MlstatsFigure]):  # type: ignore[misc]
        def calculate(self, context: Any, current: Any, reference: Any) -> Any:
            return self.result(self.metric.value)

        def display_name(self) -> str:
            return f"{self.metric.figure}, {self.metric.arm}".rstrip(", ")

    return MlstatsFigure


def _dashboard(project: uuid.UUID, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return the panels as Evidently keeps them; the same ones each time."""
    told = [
        {
            "id": str(uuid.uuid5(project, one.title)),
            "title": one.title,
            "subtitle": None,
            "size": "half",
            "values": [
                {
                    "legend": line[2],
                    "tags": [],
                    "metadata": {},
                    "metric": f"evidently:metric_v2:{_METRIC}",
                    "metric_labels": {"figure": line[0], "arm": line[1]},
                    "view_params": {},
                }
                for line in one.lines
            ],
            "plot_params": {"plot_type": "bar", "is_stacked": False}
            if one.bars
            else {"plot_type": "line"},
        }
        for one in panels
    ]
    tab = {
        "id": str(uuid.uuid5(project, "tab")),
        "title": "Periods",
        "panels": [one["id"] for one in told],
    }
    return {"tabs": [tab], "panels": told}

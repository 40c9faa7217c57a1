"""``mlstats new``: a pilot from a table of one's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from mlstats import io
from mlstats.dataset import ROW_NUMBER
from mlstats.errors import ContractError, MlstatsError, UsageError, nearest
from mlstats.pilot_files import list_pilots, load_pilot
from mlstats.settings import Settings

__all__ = ["new_pilot"]

HEADER = """\
# A pilot made by `mlstats new`. What to look at first:
# - baseline: the traditional method that the statistic is published with today;
# - data.roles: weight, stratum, cluster and domain, where the data have them;
# - gates: the margin by which the candidate may be worse.
"""


def new_pilot(
    settings: Settings,
    name: str,
    data: Path,
    *,
    text: Sequence[str],
    code: str,
    unit_id: str = ROW_NUMBER,
    cluster: str | None = None,
    separator: str | None = None,
) -> list[Path]:
    """Write a pilot and its classification; nothing is overwritten.

    Parameters
    ----------
    settings : Settings
        Of the project.
    name : str
        Small letters, digits and hyphens.
    data : pathlib.Path
        The table.
    text, code, unit_id, cluster : str
        Its columns.
    separator : str, optional
        Sign between the levels of a code; without it there is one level.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(
            f"{name!r} cannot be the name of a pilot",
            expected="small letters, digits and hyphens",
        )
    if name in list_pilots(settings.project):
        raise UsageError(f"The pilot {name!r} exists already", hint="take another name")
    frame = _table(data, text, code, unit_id, cluster)
    codes = sorted(frame[code].dropna().unique())
    if len(codes) < 2:
        raise ContractError(
            f"The column {code!r} holds {len(codes)} codes",
            where=str(data),
            expected="at least two",
        )
    configs = settings.project / "configs"
    classification = configs / "classifications" / f"{name}.csv"
    pilot = configs / "pilots" / f"{name}.yaml"
    for path in (classification, pilot):
        if path.exists():
            raise UsageError("A file of that name exists", where=str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
    tree = _pilot(name, data, text, code, unit_id, cluster, separator)
    table = _structure(codes, separator).to_csv(index=False, lineterminator="\n")
    io.write_text(classification, table)
    io.write_text(pilot, HEADER + yaml.safe_dump(tree, sort_keys=False, width=88))
    try:
        load_pilot(pilot, project=settings.project)
    except MlstatsError:
        for path in (classification, pilot):
            path.unlink()
        raise
    return [classification, pilot]


def _table(
    data: Path, text: Sequence[str], code: str, unit_id: str, cluster: str | None
) -> pd.DataFrame:
    """Read the table and see that it has the columns."""
    named = [*text, code, *([cluster] if cluster else [])]
    if unit_id != ROW_NUMBER:
        named.append(unit_id)
    frame = io.read_table(data, text_columns=named).frame
    for column in named:
        if column not in frame:
            raise UsageError(
                f"There is no column {column!r}",
                where=str(data),
                expected=", ".join(map(str, frame.columns)),
                nearest=nearest(column, map(str, frame.columns)),
            )
    return frame


def _structure(codes: Sequence[str], separator: str | None) -> pd.DataFrame:
    parents: dict[str, str] = {}
    for code in codes:
        parts = str(code).split(separator) if separator else [str(code)]
        for depth in range(1, len(parts) + 1):
            child = (separator or "").join(parts[:depth])
            parents[child] = (separator or "").join(parts[: depth - 1])
    rows = [(code, "", parent) for code, parent in sorted(parents.items())]
    return pd.DataFrame(rows, columns=["code", "title", "parent"])


def _pilot(
    name: str,
    data: Path,
    text: Sequence[str],
    code: str,
    unit_id: str,
    cluster: str | None,
    separator: str | None,
) -> dict[str, object]:
    roles: dict[str, object] = {"unit_id": unit_id, "text": list(text), "target": code}
    if cluster:
        roles["cluster"] = cluster
    roles["confidential"] = [*text]
    structure: dict[str, object] = {
        "file": f"classifications/{name}.csv",
        "parent": "parent",
    }
    if separator:
        structure["separator"] = separator
    traditional, ml = {"kind": "traditional"}, {"kind": "ml"}
    return {
        "pilot": name,
        "title": name.replace("-", " "),
        "theme": "coding",
        "owner": {"author": "data-science"},
        "data": {
            "source": data.absolute().as_posix() if data.is_absolute() else str(data),
            "roles": roles,
            "classification": structure,
            "tolerate": {"empty_text": 0.05, "missing_target": 0.05},
        },
        "methods": {
            "exact": {**traditional, "use": "mlstats.coding.ExactIndex"},
            "weighted": {**traditional, "use": "mlstats.coding.WeightedIndex"},
            "linear": {**ml, "use": "mlstats.coding.LinearText"},
        },
        "baseline": "weighted",
        "candidate": "linear",
        "evaluate": {"split": {"by": "random", "test": 0.2, "valid": 0.15}},
        "gates": ["gates/default.yaml"],
    }

"""Two loose files of codes against a third: a scorecard without a pilot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from mlstats import io
from mlstats.coding.classification import Classification
from mlstats.errors import ContractError, UsageError, nearest
from mlstats.method import as_codes
from mlstats.quality import report
from mlstats.quality.evaluation import ESTIMATES, TIMINGS, UNITS, Evaluation
from mlstats.quality.figures import GATE_COLUMNS
from mlstats.quality.report import RunReport
from mlstats.quality.scorecard import Plan, score
from mlstats.split import cluster_ids

__all__ = ["compare_files"]

ARMS = {"traditional": "traditional", "ml": "ml"}


def compare_files(
    truth: Path,
    traditional: Path,
    ml: Path,
    *,
    key: str,
    code: str | None = None,
    weight: str | None = None,
    cluster: str | None = None,
    separator: str | None = None,
    output: Path,
) -> RunReport:
    """Score two arms on the units of a table of true codes.

    Parameters
    ----------
    truth, traditional, ml : pathlib.Path
        Tables in any format that mlstats reads. A unit of the truth that an arm does
        not know, or knows without a code, is uncoded by it; a unit that only an arm
        knows is left out and counted.
    key : str
        Column that joins the three; unique in each.
    code : str, optional
        Column of the code; needed where a table has several others.
    weight, cluster : str, optional
        Columns of the table of true codes.
    separator : str, optional
        Sign between the levels of a code; without it only the full code is scored.
    output : pathlib.Path
        Folder of scorecard.html, scorecard.xlsx and scorecard.parquet.

    Returns
    -------
    RunReport
        As it was written.
    """
    sides = {weight, cluster} - {None}
    true = _read(truth, key, code, {str(s) for s in sides})
    arms = {
        "traditional": _read(traditional, key, code, set()),
        "ml": _read(ml, key, code, set()),
    }
    known = true[true["code"].notna()]
    if len(known) == 0:
        raise ContractError("No unit has a true code", where=str(truth))
    _check_weights(known, weight, truth)
    without = len(true) - len(known)
    notes = [f"{without} units without a true code are left out"] if without else []
    evaluation = Evaluation(
        pd.concat(
            [_units(name, known, arm, weight, cluster) for name, arm in arms.items()],
            ignore_index=True,
        ),
        pd.DataFrame(columns=list(ESTIMATES)),
        pd.DataFrame(columns=list(TIMINGS)),
    )
    for name, arm in arms.items():
        shared = int(known.index.isin(arm.index).sum())
        if shared == 0:
            raise ContractError(
                f"No unit with a true code is in the table of {name}",
                where=str(traditional if name == "traditional" else ml),
                expected=f"the same keys in the column {key!r}",
                hint="look at leading zeros and blanks of the keys",
            )
        if shared < len(known):
            notes.append(f"{len(known) - shared} units are not in the table of {name}")
        more = int((~arm.index.isin(true.index)).sum())
        if more:
            notes.append(f"{more} units of {name} are not in the table of true codes")
    classification = _levels(known, list(arms.values()), separator)
    plan = Plan(
        kinds=ARMS,
        baseline="traditional",
        level="full",
        levels=[*classification.levels, "full"] if separator else ["full"],
    )
    scorecard = score(evaluation, classification.ancestor, plan)
    shown = _report(scorecard, evaluation, notes, [truth, traditional, ml])
    report.write_html(shown, output / "scorecard.html")
    report.write_xlsx(shown, output / "scorecard.xlsx")
    report.write_parquet(shown, output / "scorecard.parquet")
    return shown


def _read(path: Path, key: str, code: str | None, sides: set[str]) -> pd.DataFrame:
    """Return a table indexed by the key with the column ``code`` and the sides."""
    names = {key, *([code] if code else []), *sides}
    found = io.read_table(path, text_columns=names - sides)
    frame = found.frame
    for name in sorted(names):
        if name not in frame:
            raise UsageError(
                f"There is no column {name!r}",
                where=str(path),
                expected=", ".join(map(str, frame.columns)),
                nearest=nearest(name, map(str, frame.columns)),
            )
    column = code or _only_other(frame, key, sides, path)
    if code is None:
        frame = io.read_table(path, text_columns={key, column}).frame
    missing = int(frame[key].isna().sum())
    repeated = int(frame[key].duplicated().sum())
    if missing or repeated:
        raise ContractError(
            f"The key {key!r} is missing in {missing} rows and repeated in {repeated}",
            where=str(path),
            expected="each unit once",
        )
    text = frame[column].astype("str").str.strip()
    coded = text.where(text != "")
    return frame.assign(code=coded).set_index(key)[["code", *sorted(sides)]]


def _check_weights(known: pd.DataFrame, weight: str | None, path: Path) -> None:
    if weight is None:
        return
    values = pd.to_numeric(known[weight], errors="coerce").to_numpy(dtype=float)
    faulty = int((~np.isfinite(values) | (values < 0)).sum())
    if faulty or values.sum() == 0:
        raise ContractError(
            f"The weight {weight!r} is missing, negative or no number in {faulty} rows"
            + ("" if faulty else ", and zero in all"),
            where=str(path),
            expected="numbers from 0, not all 0",
        )


def _only_other(frame: pd.DataFrame, key: str, sides: set[str], path: Path) -> str:
    others = [str(c) for c in frame.columns if c != key and c not in sides]
    if len(others) != 1:
        raise UsageError(
            f"{len(others)} columns could hold the code",
            where=str(path),
            expected="--code COLUMN, one of: " + ", ".join(others),
        )
    return others[0]


def _units(
    name: str,
    known: pd.DataFrame,
    arm: pd.DataFrame,
    weight: str | None,
    cluster: str | None,
) -> pd.DataFrame:
    prediction = as_codes(arm["code"].reindex(known.index))
    coded = np.array([code is not None for code in prediction], dtype=bool)
    columns = {
        "run_id": "compare",
        "period": "",
        "method": name,
        "fold": "test",
        "replicate": 0,
        "unit": np.arange(len(known)).astype(str),
        "position": np.arange(len(known)),
        "stratum": "",
        "cluster": cluster_ids(known, cluster).to_numpy(),
        "variable": "code",
        "prediction": prediction,
        "confidence": np.nan,
        "candidates": [[] for _ in range(len(known))],
        "scores": [[] for _ in range(len(known))],
        "truth": as_codes(known["code"]),
        "truth_source": "file",
        "weight": known[weight].astype(float).to_numpy() if weight else 1.0,
        "fraction": 0.0,
        "status": np.where(coded, "coded", "uncoded"),
        "route": "",
        "depth": "",
        "routed": None,
        "seen": False,
    }
    return pd.DataFrame(columns)[list(UNITS)]


def _levels(
    known: pd.DataFrame, arms: list[pd.DataFrame], separator: str | None
) -> Classification:
    codes = pd.concat([known["code"], *(arm["code"] for arm in arms)]).dropna()
    base = pd.DataFrame({"code": codes.unique()})
    if separator is None:
        return Classification.from_frame(
            base.assign(level=base["code"]), title=None, level_columns=["level"]
        )
    roots = base["code"].str.split(separator, regex=False).str[0].unique()
    flat = pd.DataFrame({"code": roots, "parent": None})
    made = Classification.from_frame(
        flat, title=None, parent="parent", separator=separator
    )
    return made.extended(base["code"])


def _report(
    scorecard: pd.DataFrame, evaluation: Evaluation, notes: list[str], files: list[Path]
) -> RunReport:
    row = scorecard[
        (scorecard["indicator"] == "accuracy")
        & (scorecard["method"] == "ml")
        & (scorecard["level"] == "full")
    ].iloc[0]
    digests = {f"{p.name} sha256": io.sha256_file(p) for p in files}
    units = len(evaluation.units) // len(ARMS)
    return RunReport(
        pilot="comparison",
        title="Comparison of loose files",
        theme="coding",
        period="",
        run_id="compare",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        synthetic=False,
        verdict=(
            f"The machine codes {row['value']:.1%} of {units:,} units rightly, "
            f"{row['difference'] * 100:+.1f} points against the traditional codes "
            f"(95 % interval {row['difference_lower'] * 100:+.1f} to "
            f"{row['difference_upper'] * 100:+.1f})."
        ),
        baseline="traditional",
        candidate="ml",
        level="full",
        scorecard=scorecard,
        gates=pd.DataFrame(columns=list(GATE_COLUMNS)),
        methods=pd.DataFrame(
            {
                "method": list(ARMS),
                "kind": list(ARMS.values()),
                "use": "a file",
                "params": [files[1].name, files[2].name],
                "outcome": ["baseline", "candidate"],
            }
        ),
        provenance=digests,
        data_facts=[("units with a true code", f"{units:,}")],
        notes=notes,
    )

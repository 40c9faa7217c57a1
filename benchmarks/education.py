"""Attained education imputed by seven methods, on two files with masked values.

    python benchmarks/imputation.py --education DATA [--masks 20]

DATA is the folder with ``glss_education_dev.parquet`` and ``eusilc2013_puf.parquet``.
Levels are masked completely at random (20 %) and the more often the older the person is
(30 %). The 16 degrees of the first file, for persons of 15 and more, become 5 levels:
none; basic (BECE, MSLC); secondary (SSCE, GCE); vocational (technical, professional and
vocational certificates and diplomas, and "other"); tertiary (HND, teacher training,
university). In the second the codes of pe040 are taken as they are; persons without one
(under 16, or no answer) are structural: never masked, imputed or scored.

Printed, as means over the masks with Monte Carlo errors: the share of levels that are
right; the total variation distance of imputed from true shares, the same for a redraw
of the true values as the null; that of the joint shares of level, age class and work;
the statistic W of marginal homogeneity (Stuart 1955, Maxwell 1970), in brackets the
share of masks in which it rejects at 5 %; seconds. The likeliest category wins on the
first and loses on the others; all else is drawn.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import chi2

from mlstats.editimpute.hotdeck import HotDeck
from mlstats.editimpute.models import ChainedImputer
from mlstats.editimpute.multinomial import MultinomialImputer
from mlstats.quality.drift_paired import stuart_maxwell

LEVELS = {
    "none": ["none"],
    "basic": ["bece", "mslc"],
    "secondary": ["ssce", "gce 'o' level", "gce 'a' level"],
    "vocational": ["voc/comm", "tech/prof cert", "tech/prof dip", "other"],
    "tertiary": ["hnd", "bachelor", "masters", "doctorate"],
}
LEVELS["tertiary"] += ["teacher trng a", "teacher trng b"]
GLSS_FROM = ["age", "sex", "region", "relate", "nation", "ethnic", "religion"]
GLSS_FROM += ["occupation", "income", "hsize"]
SILC_FROM = ["age", "sex", "region", "hsize", "pl031", "pb220a", "pb190", "pl111"]
SILC_FROM += ["pgrossIncome", "hgrossIncome"]
CLASSES = ["age_class", "sex", "region"]
PAIRS = [("age", "sex"), ("age", "region"), ("sex", "region")]


class ClassMode:
    """The most frequent category of the class, as a warning."""

    def impute(
        self, frame: pd.DataFrame, mask: pd.DataFrame, seed: int
    ) -> pd.DataFrame:
        """Return `frame` with the levels filled; the same for each seed."""
        del seed
        common = frame.groupby(CLASSES)["level"].transform(_mode)
        level = frame["level"].where(~mask["level"], common.fillna(_mode(frame.level)))
        return frame.assign(level=level)


def _mode(levels: pd.Series) -> Any:
    found = levels.mode()
    return found.iloc[0] if len(found) else None


def compare(folder: Path, masks: int) -> None:
    """Print the comparison."""
    table = Table(
        "data", "missing", "method", "right", "distance (null)", "joint", "W", "s"
    )
    for name, read in (("glss", glss), ("eusilc", eusilc)):
        frame, predictors = read(folder)
        for kind in ("MCAR 20 %", "MAR 30 %"):
            found = [scores(frame, predictors, kind, m) for m in range(masks)]
            for method in found[0]:
                mine = np.array([f[method] for f in found])
                table.add_row(name, kind, method, *summary(mine, frame))
    Console(width=125).print(table)


def glss(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return persons of 15 and more with their level, and the predictors."""
    frame = pd.read_parquet(folder / "glss_education_dev.parquet")
    frame = frame[frame["age"] >= 15].reset_index(drop=True)
    level = {degree: level for level, held in LEVELS.items() for degree in held}
    frame["level"] = frame["highest_degree"].map(level)
    return _with_classes(frame[[*GLSS_FROM, "level"]].copy(), "occupation"), GLSS_FROM


def eusilc(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return all persons with their code of education, and the predictors."""
    frame = pd.read_parquet(folder / "eusilc2013_puf.parquet")
    frame = frame.rename(columns={"rb090": "sex", "db040": "region", "pe040": "level"})
    for number in ("age", "hsize"):
        frame[number] = pd.to_numeric(frame[number])
    return _with_classes(frame[[*SILC_FROM, "level"]].copy(), "pl031"), SILC_FROM


def _with_classes(frame: pd.DataFrame, work: str) -> pd.DataFrame:
    frame["work"] = frame[work].fillna("none").astype(str)
    frame["age_class"] = np.minimum(frame["age"] // 10, 8).astype(str)
    return frame


def scores(
    frame: pd.DataFrame, predictors: list[str], kind: str, seed: int
) -> dict[str, list[float]]:
    """Return right, distance, null, joint, W and seconds of each method."""
    rng = np.random.default_rng([seed, len(kind)])
    there = frame["level"].notna().to_numpy()
    share = np.full(len(frame), 0.2)
    if kind.startswith("MAR"):
        rank = frame["age"].where(there).rank(pct=True).to_numpy()
        share = np.clip(0.6 * rank, 0, 0.95)
    mask = pd.DataFrame({"level": there & (rng.random(len(frame)) < share)})
    at = mask["level"].to_numpy()
    holes = frame.assign(level=frame["level"].where(~at))
    true = frame["level"].to_numpy()[at]
    redrawn = rng.permutation(len(true)) < len(true) / 2
    null = distance(true[redrawn], true[~redrawn]) / np.sqrt(2)
    few = [*predictors, "level"]
    methods = {
        "class mode": (ClassMode(), holes),
        "hot-deck": (HotDeck(CLASSES), holes),
        "multinomial, main effects": (MultinomialImputer(), holes[few]),
        "multinomial, interactions": (
            MultinomialImputer(interactions=PAIRS),
            holes[few],
        ),
        "boosting": (ChainedImputer(), holes[few]),
        "boosting, sharpness 1.3": (ChainedImputer(sharpness=1.3), holes[few]),
        "boosting, sharpness 1.5": (ChainedImputer(sharpness=1.5), holes[few]),
    }
    group = (holes["age_class"] + "/" + holes["work"]).to_numpy()[at] + "/"
    found = {}
    for name, (method, data) in methods.items():
        start = time.perf_counter()
        got = method.impute(data, mask, seed)["level"].to_numpy()
        seconds = time.perf_counter() - start
        assert pd.isna(got[~there]).all()
        right = float((got[at] == true).mean())
        W = homogeneity(got[at], true)
        joint = distance(group + got[at], group + true)
        found[name] = [right, distance(got[at], true), null, joint, W, seconds]
    return found


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the total variation distance of the shares."""
    shares = [pd.Series(x).value_counts(normalize=True) for x in (one, other)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def homogeneity(got: np.ndarray, true: np.ndarray) -> float:
    """Return Chambers' W, the statistic of Stuart and Maxwell."""
    names = np.unique(np.concatenate([got, true]).astype(str))
    table = pd.crosstab(got.astype(str), true.astype(str))
    C = table.reindex(index=names, columns=names, fill_value=0).to_numpy(float)
    into, out = C.sum(axis=1), C.sum(axis=0)
    moments = np.diag(into + out) - C - C.T
    return stuart_maxwell(into - out, moments, np.arange(len(C)))[0]


def summary(found: np.ndarray, frame: pd.DataFrame) -> list[str]:
    """Return means over the masks with their Monte Carlo errors."""
    mean = found.mean(axis=0)
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    critical = chi2.ppf(0.95, frame["level"].nunique() - 1)
    return [
        f"{mean[0]:.3f}±{error[0]:.3f}",
        f"{mean[1]:.4f}±{error[1]:.4f} ({mean[2]:.4f})",
        f"{mean[3]:.3f}±{error[3]:.3f}",
        f"{mean[4]:.1f} ({(found[:, 4] > critical).mean():.0%})",
        f"{mean[5]:.1f}",
    ]

"""Seconds of imputation and adjustment on one core, and accuracy against a donor.

    python benchmarks/imputation.py [--rows 100000]
    python benchmarks/imputation.py --accuracy DATA [--masks 20]
    python benchmarks/imputation.py --education DATA [--masks 20]

The first generates records of a business survey (a size class, hours, three variables
to impute in 20 % of the cells each) and times the nearest donor, machine learning with
matching, and the adjustment of 21 fields to 5 balances. Targets on one core: 5 seconds
for the donor, 20 seconds and 1 GB for machine learning, 200,000 records a second for
the adjustment.

The second masks the earnings and income data of DATA (the folder with
``ses_earnings_dev.parquet`` and ``eusilc2006_dev.parquet``), completely at random
(20 %) and at random given age (30 %), imputes by both, and compares: the root mean
square error over the standard deviation (nRMSE), the Kolmogorov-Smirnov distance of
imputed from true values beside that of two halves of the true ones (null), and the
bias of the mean of the imputed cells in per cent of the mean, averaged over the masks,
with the root mean square over the masks. A last row has the paired difference of the
biases: of the size of the average bias, and of the average size of a single mask's, of
matching less the donor, with their Monte Carlo errors.

The third compares imputed levels of education, see ``benchmarks/education.py``.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from education import compare
from rich.console import Console
from rich.table import Table

from mlstats.editimpute.adjust import adjust
from mlstats.editimpute.donors import NearestDonor
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.models import ChainedImputer

SES = ["earningsMonth", "hoursPaid", "holiday"]
SES_FROM = ["age", "sex", "education", "occupation", "lengthService", "NACE1", "size"]
SES_FROM += ["fullPart", "contract", "location", "shareNormalHours"]
SILC = ["py010n", "py090n", "py100n"]
SILC_FROM = ["age", "rb090", "pl030", "pb220a", "db040", "hsize", "eqIncome", "hy050n"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--accuracy", type=Path)
    parser.add_argument("--education", type=Path)
    parser.add_argument("--masks", type=int, default=20)
    parser.add_argument("--sample", type=int, default=6_000)
    options = parser.parse_args()
    if options.education:
        compare(options.education, options.masks)
    elif options.accuracy:
        accuracy(options.accuracy, options.masks, options.sample)
    else:
        speed(options.rows)


def business_survey(rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return records and the mask of the cells to impute."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 6, rows)
    hours = np.round(rng.gamma(4, 10, rows) * size, 1)
    staff = np.round(rng.lognormal(size, 0.5))
    turnover = np.round(staff * rng.lognormal(4, 0.4, rows))
    frame = pd.DataFrame(
        {
            "industry": rng.choice(list("ABCDEFGH"), rows),
            "size": size,
            "hours": hours,
            "register_staff": np.round(staff * rng.lognormal(0, 0.2, rows)),
            "register_turnover": np.round(turnover * rng.lognormal(0, 0.3, rows)),
            "staff": staff,
            "turnover": turnover,
            "wages": np.round(turnover * rng.beta(2, 5, rows)),
        }
    )
    names = ["staff", "turnover", "wages"]
    mask = pd.DataFrame(rng.random((rows, 3)) < 0.2, columns=names)
    return frame.mask(mask.reindex(columns=frame.columns, fill_value=False)), mask


def hierarchy() -> LinearEdits:
    """Return 5 balances in two levels of 21 fields, all of them positive."""
    A = np.zeros((5, 21))
    A[0, 0], A[0, 1:5] = -1, 1
    for i in range(4):
        A[1 + i, 1 + i] = -1
        A[1 + i, 5 + 4 * i : 9 + 4 * i] = 1
    names = [f"v{i}" for i in range(21)]
    return LinearEdits(A, np.zeros(5), np.ones(5, bool), names).with_positivity()


def speed(rows: int) -> None:
    frame, mask = business_survey(rows, 1)
    match = ["size", "hours", "register_staff", "register_turnover"]
    cap = LinearEdits(
        np.array([[1.0, -1.0]]), np.zeros(1), np.zeros(1, bool), ["wages", "turnover"]
    )
    table = Table("method", "seconds", "peak memory of the process, MB", "not imputed")
    for name, method in (
        ("nearest donor", NearestDonor(match, by=["industry"])),
        ("nearest donor, post-edits", NearestDonor(match, edits=cap, tries=50)),
        ("chained boosting, matching", ChainedImputer()),
    ):
        start = time.perf_counter()
        cells = method.treat(frame, mask, 1).cells
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        left = int((cells["status"] != "imputed").sum())
        table.add_row(name, f"{seconds:.1f}", f"{peak:.0f}", str(left))
    edits = hierarchy()
    rng = np.random.default_rng(2)
    for name, error in (("every total off by 10 %", 0.1), ("all fields drawn", 1.0)):
        x = consistent_records(rng, rows)
        x *= np.exp(error * rng.normal(size=x.shape))
        start = time.perf_counter()
        found = adjust(x, np.ones(x.shape, dtype=bool), edits)
        seconds = time.perf_counter() - start
        failing = int(edits.failing(found.values).any(axis=1).sum())
        label = f"adjustment, {name}: {rows / seconds:,.0f} records/s"
        table.add_row(label, f"{seconds:.2f}", "", f"{failing} failing")
    Console().print(table)


def consistent_records(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Return records that pass the edits of :func:`hierarchy`."""
    x = np.zeros((rows, 21))
    leaves = rng.lognormal(3, 1, (rows, 16)) * (rng.random((rows, 16)) > 0.2)
    x[:, 5:] = leaves
    x[:, 1:5] = leaves.reshape(rows, 4, 4).sum(axis=2)
    x[:, 0] = x[:, 1:5].sum(axis=1)
    return x


def accuracy(folder: Path, masks: int, sample: int) -> None:
    ses = pd.read_parquet(folder / "ses_earnings_dev.parquet")[[*SES, *SES_FROM]]
    silc = pd.read_parquet(folder / "eusilc2006_dev.parquet")[[*SILC, *SILC_FROM]]
    silc = silc[silc["py010n"].notna() & silc["pl030"].notna()]
    table = Table("data", "missing", "method", "nRMSE", "KS (null)", "bias, %")
    for name, frame, targets in (("ses", ses, SES), ("eusilc", silc, SILC)):
        frame = with_codes(frame)
        for kind in ("MCAR 20 %", "MAR 30 %"):
            found = [scores(frame, targets, kind, m, sample) for m in range(masks)]
            for method in ("donor", "matching"):
                mine = np.array([f[method] for f in found])
                table.add_row(name, kind, method, *summary(mine))
            table.add_row(name, kind, "matching - donor", "", *paired(found))
    Console(width=120).print(table)


def with_codes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the data with a number for each interval or category, for the donor."""
    frame = frame.dropna().reset_index(drop=True)
    for column in frame.select_dtypes(exclude="number"):
        start = frame[column].str.extract(r"^\(?(-?\d+)", expand=False)
        ordered = pd.to_numeric(start).fillna(0) if start.notna().all() else None
        codes = pd.factorize(frame[column], sort=True)[0]
        frame[f"{column}_code"] = codes if ordered is None else ordered
    return frame


def scores(
    frame: pd.DataFrame, targets: list[str], kind: str, seed: int, sample: int
) -> dict[str, np.ndarray]:
    """Return nRMSE, KS, its null and bias for each method and variable."""
    from scipy.stats import ks_2samp

    rng = np.random.default_rng([seed, len(kind)])
    frame = frame.sample(min(sample, len(frame)), random_state=seed)
    frame = frame.reset_index(drop=True)
    mask = masked(frame, targets, kind, rng)
    holes = frame.mask(mask.reindex(columns=frame.columns, fill_value=False))
    coded = [c for c in frame if c.endswith("_code")]
    numbers = [c for c in frame.select_dtypes("number") if c not in targets]
    methods = {
        "donor": (NearestDonor(numbers, min_percent=10), holes),
        "matching": (ChainedImputer(), holes.drop(columns=coded)),
    }
    found = {}
    for name, (method, data) in methods.items():
        values = method.impute(data, mask, seed)
        rows = []
        for v in targets:
            at = mask[v].to_numpy()
            true, got = frame[v].to_numpy()[at], values[v].to_numpy()[at]
            half = rng.permutation(len(true)) < len(true) / 2
            rows.append(
                (
                    np.sqrt(np.mean((got - true) ** 2)) / true.std(),
                    ks_2samp(got, true, method="asymp").statistic,
                    # Halves are half as many: their distance is sqrt(2) as large.
                    ks_2samp(true[half], true[~half], method="asymp").statistic
                    / np.sqrt(2),
                    100 * (got.mean() - true.mean()) / true.mean(),
                )
            )
        found[name] = np.array(rows)
    return found


def masked(
    frame: pd.DataFrame, targets: list[str], kind: str, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the mask: at random, or more often the older the person is."""
    if kind.startswith("MCAR"):
        share = np.full(len(frame), 0.2)
    else:
        age = frame["age_code" if "age_code" in frame else "age"]
        rank = age.rank(pct=True).to_numpy()
        share = np.clip(0.6 * rank / rank.mean() * 0.5, 0, 0.95)
    drawn = rng.random((len(frame), len(targets))) < share[:, None]
    return pd.DataFrame(drawn, columns=targets, index=frame.index)


def summary(found: np.ndarray) -> list[str]:
    """Return the averages over masks, a figure per variable."""
    mean = found.mean(axis=0)
    bias = found[:, :, 3]
    error = bias.std(axis=0, ddof=1) / np.sqrt(len(found))
    size = np.sqrt((bias**2).mean(axis=0))
    return [
        " ".join(f"{v:.2f}" for v in mean[:, 0]),
        " ".join(f"{v:.3f} ({n:.3f})" for v, n in zip(*mean[:, 1:3].T, strict=True)),
        " ".join(
            f"{v:+.1f}±{e:.1f} ({z:.1f})"
            for v, e, z in zip(mean[:, 3], error, size, strict=True)
        ),
    ]


def paired(found: list[dict[str, np.ndarray]]) -> list[str]:
    """Return how much larger the biases of matching are than the donor's."""
    matching, donor = (
        np.array([f[m][:, 3] for f in found]) for m in ("matching", "donor")
    )
    # The size of an average is its product with its sign, mask by mask.
    average = matching * np.sign(matching.mean(axis=0))
    average -= donor * np.sign(donor.mean(axis=0))
    single = np.abs(matching) - np.abs(donor)
    cells = []
    for apart in (average, single):
        error = apart.std(axis=0, ddof=1) / np.sqrt(len(found))
        pairs = zip(apart.mean(axis=0), error, strict=True)
        cells.append(" ".join(f"{v:+.1f}±{e:.1f}" for v, e in pairs))
    return [f"of the average: {cells[0]}", f"of a mask: {cells[1]}"]


if __name__ == "__main__":
    main()

"""A SYNTHETIC business survey to try edit and imputation with: known truth and errors.

Nothing here was observed. The generator knows what no office knows: the true value of
every variable, which values were reported wrongly and how, and what clerks made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.io import write_text

__all__ = ["AMOUNTS", "DemoSurvey", "generate_businesses", "make_business"]

SEED = 20260101
FIRMS = 2_400
AMOUNTS = (
    "turnover", "other_revenue", "total_revenue", "staff_costs", "other_costs",
    "total_costs", "profit",
)  # fmt: skip
# Industries: turnover per head in 1,000 EUR, share of staff costs, share of firms.
INDUSTRIES = {
    "manufacturing": (160.0, 0.30, 0.20),
    "construction": (130.0, 0.35, 0.22),
    "trade": (310.0, 0.12, 0.33),
    "services": (90.0, 0.48, 0.25),
}
# Size classes: least and most staff, firms of the population, share of the sample.
SIZES = {
    "small": (1, 9, 84_000, 0.45),
    "medium": (10, 49, 9_500, 0.30),
    "large": (50, 400, 1_400, 0.25),
}
ERROR_RATES = {
    "thousandfold": 0.015,  # all amounts of the record in EUR, not in 1,000
    "tenfold": 0.02,  # one amount with a digit too many
    "sign": 0.01,  # other revenue with a minus
    "sum": 0.03,  # a total that does not add up
}
MISSING_RATES = {"small": 0.16, "medium": 0.10, "large": 0.05}
FOLLOWED_UP = 0.85  # of the missing values that clerks asked for by telephone
FOUND = 0.95  # of the errors that clerks put right


@dataclass(frozen=True, eq=False)
class DemoSurvey:
    """The synthetic survey: the files, and what only their generator knows.

    Attributes
    ----------
    files : dict of str to pathlib.Path
        Year to its CSV file.
    truth : pandas.DataFrame
        True values of the last year, in the order of its file.
    known : dict of str to object
        The rates that the generator used.
    """

    files: dict[str, Path]
    truth: pd.DataFrame
    known: dict[str, Any]


def make_business(
    folder: str | Path, *, seed: int = SEED, firms: int = FIRMS, year: int = 2026
) -> DemoSurvey:
    """Write a synthetic structural business survey of two years.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where ``business_<year>.csv`` go: the last year as reported and as clerks left
        it, the year before as it was published.
    seed : int, default 20260101
        Of all draws.
    firms : int, default 2400
        Firms of each year.
    year : int, default 2026
        The last year.

    Raises
    ------
    ServiceError
        Where a file cannot be written.
    """
    folder = Path(folder)
    reported, truth = generate_businesses(seed=seed, firms=firms)
    before = truth[["firm_id"]].assign(**_earlier(truth, seed))
    kept = np.random.default_rng([seed, 3]).random(firms) < 0.9
    tables = {str(year): reported, str(year - 1): before[kept]}
    files = {}
    for name, table in tables.items():
        files[name] = folder / f"business_{name}.csv"
        write_text(files[name], table.to_csv(index=False, lineterminator="\n"))
    known = {"seed": seed, "errors": ERROR_RATES, "missing": MISSING_RATES}
    return DemoSurvey(
        files, truth, known | {"found": FOUND, "followed_up": FOLLOWED_UP}
    )


def generate_businesses(
    *, seed: int = SEED, firms: int = FIRMS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Generate the records of one year, as reported and as they are in truth.

    Returns
    -------
    reported : pandas.DataFrame
        firm_id, industry, size_class, legal_form, weight (firms of the population that
        the firm stands for), register_staff, register_turnover, staff and the amounts
        (1,000 EUR, whole numbers), for each of these ``NAME_edited`` as clerks left it
        (missing where nobody answered), synthetic.
    truth : pandas.DataFrame
        firm_id, staff and the amounts.
    """
    rng = np.random.default_rng([seed, 1])
    frame = _frame(rng, firms)
    truth = _true_values(rng, frame)
    reported = _reported(rng, truth, frame["size_class"].to_numpy())
    edited = _edited(rng, reported, truth)
    variables = ["staff", *AMOUNTS]
    table = frame.join(reported[variables]).join(
        edited[variables].add_suffix("_edited")
    )
    return table.assign(synthetic="synthetic"), truth.assign(firm_id=frame["firm_id"])[
        ["firm_id", *variables]
    ]


def _frame(rng: np.random.Generator, firms: int) -> pd.DataFrame:
    names, shares = zip(*((n, s[3]) for n, s in SIZES.items()), strict=True)
    size = rng.choice(names, firms, p=shares)
    kinds = list(INDUSTRIES)
    industry = rng.choice(kinds, firms, p=[INDUSTRIES[k][2] for k in kinds])
    population = pd.Series(size).map({n: s[2] for n, s in SIZES.items()})
    sampled = pd.Series(size).map(pd.Series(size).value_counts())
    sole = (size == "small") & (rng.random(firms) < 0.5)
    return pd.DataFrame(
        {
            "firm_id": [f"F{number:06d}" for number in range(1, firms + 1)],
            "industry": industry,
            "size_class": size,
            "legal_form": np.where(sole, "sole", "company"),
            "weight": (population / sampled).round(4),
        }
    )


def _true_values(rng: np.random.Generator, frame: pd.DataFrame) -> pd.DataFrame:
    n = len(frame)
    least = frame["size_class"].map({k: s[0] for k, s in SIZES.items()}).to_numpy()
    most = frame["size_class"].map({k: s[1] for k, s in SIZES.items()}).to_numpy()
    most = np.where(frame["legal_form"] == "sole", 5, most)
    staff = np.floor(least + (most - least + 1) * rng.beta(1, 2.2, n))
    per_head = frame["industry"].map({k: s[0] for k, s in INDUSTRIES.items()})
    share = frame["industry"].map({k: s[1] for k, s in INDUSTRIES.items()}).to_numpy()
    turnover = np.round(staff * per_head.to_numpy() * rng.lognormal(0, 0.45, n))
    turnover = np.maximum(turnover, 10)
    other = np.where(rng.random(n) < 0.45, 0, turnover * rng.beta(1.2, 18, n)).round()
    revenue = turnover + other
    pay = np.clip(share * revenue * rng.lognormal(0, 0.2, n), 8 * staff, 110 * staff)
    pay = np.maximum(np.round(np.minimum(pay, 0.9 * revenue)), 1)
    margin = np.clip(rng.normal(0.08, 0.09, n), -0.35, 0.5)
    rest = np.maximum(np.round(revenue * (1 - margin)) - pay, 1)
    frame["register_staff"] = np.maximum(np.round(staff * rng.lognormal(0, 0.15, n)), 1)
    frame["register_turnover"] = np.round(turnover * rng.lognormal(-0.02, 0.2, n))
    amounts = (turnover, other, revenue, pay, rest, pay + rest, revenue - pay - rest)
    return pd.DataFrame({"staff": staff, **dict(zip(AMOUNTS, amounts, strict=True))})


def _reported(
    rng: np.random.Generator, truth: pd.DataFrame, size: np.ndarray
) -> pd.DataFrame:
    n = len(truth)
    values = truth.copy()
    tenfold = rng.random(n) < ERROR_RATES["tenfold"]
    column = rng.integers(0, 5, n)
    for place, name in enumerate(AMOUNTS[:5]):
        values[name] = values[name].where(
            ~(tenfold & (column == place)), 10 * truth[name]
        )
    sign = (rng.random(n) < ERROR_RATES["sign"]) & (truth["other_revenue"] > 0)
    values["other_revenue"] = values["other_revenue"].mask(
        sign, -truth["other_revenue"]
    )
    off = rng.random(n) < ERROR_RATES["sum"]
    total = rng.choice(["total_revenue", "total_costs", "profit"], n)
    for name in ("total_revenue", "total_costs", "profit"):
        wrong = np.round(truth[name] * rng.uniform(0.7, 1.4, n)) + 1
        values[name] = values[name].mask(off & (total == name), wrong)
    thousand = rng.random(n) < ERROR_RATES["thousandfold"]
    for name in AMOUNTS:
        values[name] = values[name].mask(thousand, 1000 * values[name])
    rate = np.array([MISSING_RATES[s] for s in size])
    for name in ("staff", *AMOUNTS):
        values[name] = values[name].mask(rng.random(n) < rate)
    return values


def _edited(
    rng: np.random.Generator, reported: pd.DataFrame, truth: pd.DataFrame
) -> pd.DataFrame:
    """Return what clerks made of it; they look at a record as a whole."""
    names = ["staff", *AMOUNTS]
    found = rng.random(len(truth)) < FOUND
    asked = rng.random(len(truth)) < FOLLOWED_UP
    edited = reported.copy()
    for name in names:
        wrong = reported[name].notna() & (reported[name] != truth[name])
        edited[name] = edited[name].mask(wrong & found, truth[name])
        edited[name] = edited[name].mask(reported[name].isna() & asked, truth[name])
    return edited


def _earlier(truth: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return what the same firms had published for the year before."""
    rng = np.random.default_rng([seed, 2])
    n = len(truth)
    growth = rng.lognormal(-0.03, 0.12, n)
    return {
        "staff": np.maximum(
            np.round(truth["staff"] * rng.lognormal(-0.01, 0.08, n)), 1
        ),
        "turnover": np.round(truth["turnover"] * growth),
        "staff_costs": np.round(
            truth["staff_costs"] * growth * rng.lognormal(0, 0.08, n)
        ),
        "total_costs": np.round(
            truth["total_costs"] * growth * rng.lognormal(0, 0.08, n)
        ),
    }

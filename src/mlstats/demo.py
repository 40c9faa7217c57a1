"""SYNTHETIC household diaries to try mlstats with: known truth, known errors.

Nothing here was observed. The generator knows what no office knows: the true code
(COICOP 2018 subclass) of every line, the error rate of the clerks, and how strongly
the months drift away from the first one.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats.demo_business import make_business
from mlstats.demo_scene import make_scene
from mlstats.demo_words import Draw, Drift, describe, products
from mlstats.errors import UsageError, nearest
from mlstats.io import write_text

__all__ = [
    "PERIODS",
    "DemoData",
    "generate_lines",
    "make_demo",
    "make_products",
    "write_index",
]

PERIODS = tuple(f"2026-{month:02d}" for month in range(1, 9))
SEED = 20260101
HOUSEHOLDS = 160
CLERK_ERROR_RATE = 0.06
CODER_ERROR_RATES = (0.04, 0.05)
WITHIN_DIVISION = 0.8
GOLD_PROBABILITY = 0.35
INDEX_COVERAGE = 0.87
# Households of each region in the population, and its share of the sample.
REGIONS = {
    "north": (31_000, 0.125),
    "east": (52_000, 0.25),
    "south": (98_000, 0.375),
    "west": (44_000, 0.25),
}
_COLUMNS = [
    *("line_id", "household_id", "period", "stratum", "shop_type", "language"),
    *("description", "amount", "budget_weight", "coicop_clerk", "coicop_gold"),
    *("coder_a", "coder_b", "synthetic", "true_code"),
]


@dataclass(frozen=True, eq=False)
class DemoData:
    """Synthetic diaries: the files, and what only their generator knows.

    Attributes
    ----------
    folder : pathlib.Path
        Where the files lie.
    files : dict of str to pathlib.Path
        Period to its CSV file.
    frame : pandas.DataFrame
        All lines of the files and `true_code`, which no file holds; the columns are
        those of :func:`generate_lines`, `amount` as a number.
    known : dict of str to object
        The rates that the generator used, and the drift by period.
    """

    folder: Path
    files: dict[str, Path]
    frame: pd.DataFrame
    known: dict[str, Any]


def make_demo(theme: str, folder: Path, *, seed: int = SEED) -> str:
    """Write the data of a theme's demonstration and return the name of its pilot.

    Raises
    ------
    UsageError
        Where the theme has no demonstration.
    """
    if theme == "coding":
        make_products(folder, seed=seed)
        return "coicop-demo"
    if theme == "editimpute":
        make_business(folder, seed=seed)
        return "business-survey-demo"
    if theme == "imagery":
        make_scene(folder / "scene", seed=seed)
        return "crops-demo"
    themes = ("coding", "editimpute", "imagery")
    raise UsageError(
        f"There is no demonstration of the theme {theme!r}",
        expected=", ".join(themes),
        nearest=nearest(theme, themes),
    )


def make_products(
    folder: str | Path,
    *,
    seed: int = SEED,
    periods: Sequence[str] = PERIODS,
    households_per_period: int = HOUSEHOLDS,
    scale: float = 1.0,
) -> DemoData:
    """Write synthetic household diaries, one CSV a period and a README.

    The same arguments give the same bytes; a period does not depend on which others
    are asked for.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where ``products_<period>.csv`` and ``README.txt`` go.
    seed : int, default 20260101
        Of all draws.
    periods : sequence of str, default January to August 2026
        Months such as ``2026-01``.
    households_per_period : int, default 160
        Households that keep a diary in a period, each of 5 to 15 lines.
    scale : float, default 1.0
        Multiplies the number of households.

    Returns
    -------
    DemoData
        With the true codes, and every rate that the generator used.

    Raises
    ------
    ServiceError
        Where a file cannot be written.
    """
    folder = Path(folder)
    households = max(1, round(households_per_period * scale))
    files, frames = {}, []
    for period in periods:
        lines = generate_lines(period, seed=seed, households=households)
        files[period] = folder / f"products_{period}.csv"
        content = lines.drop(columns="true_code")
        write_text(files[period], content.to_csv(index=False, lineterminator="\n"))
        frames.append(lines.astype({"amount": "float64"}))
    write_text(folder / "README.txt", _readme(seed))
    frame = pd.concat(frames, ignore_index=True)
    return DemoData(folder, files, frame, _known(seed, periods))


def generate_lines(
    period: str, *, seed: int = SEED, households: int = HOUSEHOLDS
) -> pd.DataFrame:
    """Generate the diary lines of one month.

    Parameters
    ----------
    period : str
        A month such as ``2026-01``.
    seed : int, default 20260101
        Of all draws.
    households : int, default 160
        Households that keep a diary in the month.

    Returns
    -------
    pandas.DataFrame
        A row per line, all columns but `budget_weight` text: line_id, household_id,
        period, stratum, shop_type, language, description, amount (EUR, two
        decimals), budget_weight (households of the population that the household
        stands for), coicop_clerk, coicop_gold (what two coders agree on, settled by
        a third where they differ; missing outside the gold sample), coder_a,
        coder_b, synthetic, true_code.
    """
    draw, drift = Draw(seed, period), Drift.of(period)
    stem = period.replace("-", "")
    regions = _regions(households)
    sampled = Counter(regions)
    rows: list[dict[str, object]] = []
    for number, region in enumerate(regions, start=1):
        household = {
            "household_id": f"H{stem}{number:05d}",
            "period": period,
            "stratum": region,
            "budget_weight": round(REGIONS[region][0] / sampled[region], 4),
            "synthetic": "synthetic",
        }
        gold = draw.chance(GOLD_PROBABILITY)
        language = "de" if draw.chance(drift.german) else "en"
        for _ in range(5 + sum(draw.chance(0.45) for _ in range(10))):
            line = describe(draw, drift, language)
            codes = _codes(draw, line["true_code"], gold)
            line_id = f"00{stem}{len(rows) + 1:07d}"
            rows.append({"line_id": line_id, **household, **line, **codes})
    return pd.DataFrame(rows, columns=_COLUMNS)


def _regions(households: int) -> list[str]:
    """Return the region of each household, in the shares of the sample."""
    ends = accumulate(share for _, share in REGIONS.values())
    upper = [round(end * households) for end in ends]
    names = list(REGIONS)
    return [names[bisect(upper, number)] for number in range(households)]


def _codes(draw: Draw, true_code: str, gold: bool) -> dict[str, str]:
    """Return what the clerk wrote and, in the gold sample, both coders."""
    clerk = _coded(draw, true_code, CLERK_ERROR_RATE)
    if not gold:
        return {"coicop_clerk": clerk}
    coder_a, coder_b = (_coded(draw, true_code, rate) for rate in CODER_ERROR_RATES)
    return {
        "coicop_clerk": clerk,
        "coicop_gold": coder_a if coder_a == coder_b else true_code,
        "coder_a": coder_a,
        "coder_b": coder_b,
    }


def _coded(draw: Draw, true_code: str, error_rate: float) -> str:
    if not draw.chance(error_rate):
        return true_code
    same_division, elsewhere = _other_codes(true_code)
    return draw.of(same_division if draw.chance(WITHIN_DIVISION) else elsewhere)


@cache
def _other_codes(code: str) -> tuple[list[str], list[str]]:
    """Return the other codes of the same division, and those of all others."""
    others = sorted({product.code for product in products()} - {code})
    return (
        [other for other in others if other[:2] == code[:2]],
        [other for other in others if other[:2] != code[:2]],
    )


def write_index(path: str | Path) -> None:
    """Write the demonstration's coding index: text and code, in both languages.

    It is made of the generator's words as an office's dictionary is of the words of
    earlier years: seven in eight of the old names, none of the new products.

    Parameters
    ----------
    path : str or pathlib.Path
        The CSV file.

    Raises
    ------
    ServiceError
        Where it cannot be written.
    """
    draw = Draw("index")
    entries = {
        (product.code, name)
        for product in products()
        for names in product.names.values()
        for name in names
        if draw.chance(INDEX_COVERAGE) and product.since == 0
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["text", "code"])
    writer.writerows((name, code) for code, name in sorted(entries))
    write_text(path, text.getvalue())


def _known(seed: int, periods: Sequence[str]) -> dict[str, Any]:
    return {
        "seed": seed,
        "clerk_error_rate": CLERK_ERROR_RATE,
        "coder_error_rates": CODER_ERROR_RATES,
        "within_division": WITHIN_DIVISION,
        "gold_probability": GOLD_PROBABILITY,
        "households_by_stratum": {name: size for name, (size, _) in REGIONS.items()},
        "drift": {period: _drift_facts(Drift.of(period)) for period in periods},
    }


def _drift_facts(drift: Drift) -> dict[str, float]:
    shares = [p.share * drift.growth(p.since) for p in products()]
    new = [share for share, p in zip(shares, products(), strict=True) if p.since > 0]
    return {
        "strength": drift.strength,
        "german": drift.german,
        "abbreviation": drift.abbreviation,
        "other_shops": drift.other_shops,
        "new_brands": drift.new_brands,
        "new_products": sum(new) / sum(shares),
    }


def _readme(seed: int) -> str:
    return f"""SYNTHETIC DATA

Every line in this folder was generated by mlstats.demo with the seed {seed}. No
household, shop, brand, price or purchase in it exists, and no figure made from it
says anything about any country.

products_<period>.csv holds one month of household diaries (UTF-8, comma separated):
line_id and household_id (texts: keep their zeros), period, stratum (region),
shop_type, language, description, amount (EUR), budget_weight (households of the
population that the household stands for), coicop_clerk (wrong in {CLERK_ERROR_RATE:.0%}
of the lines), coicop_gold (double coded and adjudicated, for a random
{GOLD_PROBABILITY:.0%} of the households, empty elsewhere), coder_a, coder_b, synthetic.

Codes are COICOP 2018. From month to month new products, new brands, other shops, more
German and more abbreviations appear, so that what was learned early fits less and less.
"""

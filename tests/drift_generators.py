"""Tables in which we know what drifted: one of independent columns, one of correlated.

Both generators of tables have 20 columns: 12 numbers ``x0`` to ``x11``, four columns
of codes with 8, 20, 200 and 500 of them, an income (lognormal), a number of words, a
model's score and its predicted class. Two more give the labels of an audit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from mlstats.quality.audit_sample import AuditSample

CODES = {"region": 8, "branch": 20, "occupation": 200, "product": 500}
MEASURED = tuple(f"x{i}" for i in range(12))
COEFFICIENTS = np.array([1.0, -0.8, 0.6, 0.5])


@dataclass(frozen=True)
class Change:
    """What is different from the reference.

    Parameters
    ----------
    shift : float
        Added to x0 and x1, in standard deviations.
    moved : float
        Share of all units that move into `code` of `column` from its other codes.
    missing : float
        Share of x2 and of region that goes missing, on top of 2 %.
    """

    shift: float = 0.0
    moved: float = 0.0
    column: str = "region"
    code: int = 4
    missing: float = 0.0


NONE = Change()


def shares(codes: int) -> np.ndarray:
    """Return shares of codes that fall with their rank, as in real code lists."""
    rank = 1.0 / (np.arange(codes) + 3.0)
    return rank / rank.sum()


def independent(
    n: int, rng: np.random.Generator, change: Change = NONE
) -> pd.DataFrame:
    """Return a table whose columns know nothing of each other (but score and class)."""
    x = rng.normal(size=(n, 12))
    places = {
        name: np.searchsorted(np.cumsum(shares(k))[:-1], rng.random(n))
        for name, k in CODES.items()
    }
    income = np.exp(10 + 2 * rng.normal(size=n))
    words = rng.poisson(4, n)
    return _table(x, places, income, words, rng, change)


def correlated(n: int, rng: np.random.Generator, change: Change = NONE) -> pd.DataFrame:
    """Return a table driven by three factors: codes, income and words know of them."""
    loading = np.random.default_rng(5).uniform(0.3, 0.9, size=(3, 17)) * np.sign(
        np.random.default_rng(6).normal(size=(3, 17))
    )
    own = 0.5
    scale = np.sqrt((loading**2).sum(axis=0) + own**2)
    latent = (
        rng.normal(size=(n, 3)) @ loading + own * rng.normal(size=(n, 17))
    ) / scale
    # Heavy tails for half of the numbers, a lump at zero for one of them.
    x = latent[:, :12].copy()
    x[:, 6:11] = np.sinh(x[:, 6:11])
    x[:, 11] = np.maximum(x[:, 11], 0.0)
    ranks = special.ndtr(latent[:, 12:16])
    places = {
        name: np.searchsorted(np.cumsum(shares(k))[:-1], ranks[:, i])
        for i, (name, k) in enumerate(CODES.items())
    }
    income = np.exp(10 + 2 * latent[:, 16])
    steps = stats.poisson.cdf(np.arange(40), 4)
    words = np.searchsorted(steps, special.ndtr(latent[:, 0]))
    return _table(x, places, income, words, rng, change)


def _table(
    x: np.ndarray,
    places: dict[str, np.ndarray],
    income: np.ndarray,
    words: np.ndarray,
    rng: np.random.Generator,
    change: Change,
) -> pd.DataFrame:
    n = len(x)
    score = special.expit(x[:, :4] @ COEFFICIENTS)
    x[:, :2] += change.shift
    gone = rng.random((n, 2)) < 0.02 + change.missing
    x[gone[:, 0], 2] = np.nan
    frame = pd.DataFrame(x, columns=list(MEASURED), copy=False)
    share = shares(CODES[change.column])[change.code]
    entering = rng.random(n) < change.moved / (1 - share)
    places[change.column] = np.where(entering, change.code, places[change.column])
    for name, place in places.items():
        names = [f"{i:04d}" for i in range(CODES[name])]
        place = np.where(gone[:, 1], -1, place) if name == "region" else place
        frame[name] = pd.Categorical.from_codes(place, names)
    frame["income"] = income
    frame["words"] = words
    frame["score"] = score
    frame["class"] = np.where(score > 0.5, "1", "0")
    return frame


# -- labels --------------------------------------------------------------------------

SLOPES = 1.2 * COEFFICIENTS  # accuracy .762 where the model is true
# x0 comes to mean less and x3 more: the accuracy falls by .026, the inputs stay.
SWAPPED = np.array([-0.465, 0.0, 0.0, 0.465])


def audited(
    n: int,
    rng: np.random.Generator,
    change: np.ndarray | float = 0.0,
    *,
    directions: int = 4,
) -> AuditSample:
    """Return labels of a model that knew the truth when it was approved."""
    x = rng.normal(size=(n, 12))
    p = special.expit(x[:, :4] @ SLOPES)
    y = rng.random(n) < special.expit(x[:, :4] @ (SLOPES + change))
    return AuditSample(y, p, x[:, :directions], correct=(p > 0.5) == y)


def audited_wrong_model(
    n: int, rng: np.random.Generator, change: np.ndarray | float = 0.0
) -> AuditSample:
    """Return labels of a model that was never right, on correlated inputs.

    The truth bends in x0 and has an interaction, the model knows neither and is too
    sure of itself; the directions are all twelve inputs, as of a developer who does
    not know which ones matter. Units lie in clusters of five that share a part of
    their inputs, and are drawn with unequal probabilities.
    """
    units = 4 * n
    groups = np.arange(units) // 5
    shared = rng.normal(size=(units // 5 + 1, 12))[groups]
    x = 0.6 * shared + 0.8 * rng.normal(size=(units, 12))
    x[:, 4:] = 0.7 * x[:, :1] + 0.7 * x[:, 4:]
    bend = 0.4 * (x[:, 0] ** 2 - 1) + 0.4 * x[:, 1] * x[:, 2]
    truth = special.expit(x[:, :4] @ (SLOPES + change) + bend)
    p = special.expit(1.3 * (x[:, :4] @ SLOPES))
    y = rng.random(units) < truth
    rate = np.clip(0.5 * np.minimum(p, 1 - p) + 0.05, 0.05, 1)
    rate *= n / rate.sum()
    drawn = rng.random(units) < rate
    return AuditSample(
        y[drawn],
        p[drawn],
        x[drawn],
        weight=1 / rate[drawn],
        cluster=groups[drawn],
        correct=((p > 0.5) == y)[drawn],
    )

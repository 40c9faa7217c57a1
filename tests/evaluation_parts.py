"""Units of an Evaluation in parts of whole clusters, with all that is awkward."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.quality.routing import Routing, Step, route, thresholds
from mlstats.quality.scorecard import Plan
from tests.evaluation_example import ancestor, units_of

PLAN = Plan(
    kinds={"trad": "traditional", "ml": "ml"},
    baseline="trad",
    level="full",
    levels=("1", "full"),
    routing=Routing((Step("full", 0.75),)),
    seed=5,
)


def example(
    seed: int,
    n: int,
    *,
    alone: bool = False,
    silent: bool = False,
    lone: bool = False,
    regions: int = 4,
    known: bool = False,
) -> pd.DataFrame:
    units = units_of(n, seed=seed)
    rng = np.random.default_rng(seed)
    units["fraction"] = np.where(units["stratum"] == "odd", 0.3, 0.0)
    units.loc[(rng.uniform(size=n) < 0.05)[units["position"]], "weight"] = 0.0
    # Few units of the last regions, which are pooled; one of them may be one cluster.
    odds = 0.5 ** np.arange(regions)
    region = rng.choice(regions, n, p=odds / odds.sum())[units["position"]]
    units["domain_region"] = np.char.add("r", region.astype(str)).astype(object)
    units["domain_all"] = "same"
    if alone:
        units["cluster"] = units["unit"]
    if lone:
        units.loc[units["cluster"] == "1", "stratum"] = "alone"
    if silent:
        units.loc[units["method"] == "trad", "confidence"] = np.nan
    if known:
        units["seen"] = True
    # A method without a code tells no confidence.
    units.loc[units["prediction"].isna(), "confidence"] = np.nan
    shown = thresholds(units, ancestor, PLAN.routing, ["trad", "ml"])
    routes = route(units, shown, ancestor, PLAN.routing)
    return units.drop(columns=[*routes]).join(routes)


def in_parts(units: pd.DataFrame, parts: int, seed: int) -> list[pd.DataFrame]:
    cluster = pd.factorize(units["stratum"] + "/" + units["cluster"])[0]
    part = np.random.default_rng(seed).integers(0, parts, cluster.max() + 1)
    return [rows for _, rows in units.groupby(part[cluster])]

"""Totals of any parting into whole clusters are those of the whole table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.coding.classification import Classification
from mlstats.coding_sums import CodeSums
from mlstats.coding_totals import code_totals, process_figures
from tests import whole_frame_totals

CODES = ["01.1", "01.2", "02.1", "02.2", "03", "04.1"]
CLASSIFICATION = Classification.from_frame(
    pd.DataFrame({"code": CODES}), title=None, parent=None, separator="."
)
DOMAINS = ("region", "size")


def period(
    seed: int, n: int, clusters: int, strata: int, lone: bool, silent: str | None
) -> pd.DataFrame:
    """Return units with weights of all sizes, missing codes and small groups."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, clusters, n)
    stratum = cluster % strata
    if lone:
        stratum = np.where(cluster == 0, strata, stratum)
    odds = rng.dirichlet(np.full(len(CODES), 0.4))
    weight = rng.gamma(0.5, 10 ** rng.uniform(-3, 6), n)
    weight[rng.uniform(size=n) < 0.1] = 0.0
    fraction = np.where(rng.uniform(size=strata + 1) < 0.5, 0.0, rng.uniform(0, 1))

    def coded() -> np.ndarray:
        codes = rng.choice(np.array(CODES, dtype=object), n, p=odds)
        codes[rng.uniform(size=n) < 0.15] = None
        return codes

    champion = coded()
    baseline = np.where(rng.uniform(size=n) < 0.7, champion, coded())
    units = pd.DataFrame(
        {
            "value": np.where(rng.uniform(size=n) < 0.9, champion, baseline),
            "champion_code": champion,
            "baseline_code": baseline,
            "weight": weight,
            "cluster": np.char.add("c", cluster.astype(str)),
            "stratum": np.char.add("s", stratum.astype(str)),
            "fraction": fraction[stratum],
            "open": rng.uniform(size=n) < 0.2,
            "route": rng.choice(["automatic", "queue", "audit"], n),
            "confidence": np.where(pd.isna(champion), np.nan, rng.uniform(size=n)),
            "domain_region": rng.choice(
                ["n", "s", "", "w"], n, p=[0.6, 0.3, 0.05, 0.05]
            ),
            "domain_size": rng.integers(0, 3, n),
        }
    )
    return units if silent is None else units.assign(**{silent: None})


def same(one: pd.DataFrame, two: pd.DataFrame) -> None:
    # A standard error that is nothing but rounding of the shares is told as such.
    pd.testing.assert_frame_equal(one, two, rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 400),
    clusters=st.integers(1, 120),
    strata=st.integers(1, 4),
    lone=st.booleans(),
    silent=st.sampled_from([None, None, "champion_code", "baseline_code"]),
    single=st.sampled_from(["adjust", "refuse"]),
    level=st.sampled_from(["1", "2", "full"]),
    parts=st.integers(1, 6),
)
def test_parts_give_the_totals_of_the_whole(
    seed: int,
    n: int,
    clusters: int,
    strata: int,
    lone: bool,
    silent: str | None,
    single: str,
    level: str,
    parts: int,
) -> None:
    units = period(seed, n, clusters, strata, lone, silent)
    part = np.random.default_rng(seed).integers(0, parts, clusters)
    number = units["cluster"].str[1:].astype(int)
    split = [rows for _, rows in units.groupby(part[number])]
    told = {"domains": DOMAINS}
    sums = [CodeSums.of(rows, CLASSIFICATION, level, **told) for rows in split]
    merged = CodeSums.of_parts(sums)
    whole = whole_frame_totals.code_totals(
        units, CLASSIFICATION, level, single=single, **told
    )
    process = whole_frame_totals.process_figures(units)
    same(merged.totals(single=single), whole)
    same(merged.process(), process)
    same(code_totals(units, CLASSIFICATION, level, single=single, **told), whole)
    same(process_figures(units), process)
    again = CodeSums.of_parts(sums)
    pd.testing.assert_frame_equal(again.totals(), merged.totals(), check_exact=True)

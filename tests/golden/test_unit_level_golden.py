"""Figures of classes, domains, numbers and aggregates against R's survey package.

`unit_level/expected.csv` was made by survey 4.1.1 (R 4.2.2) from `unit_level/units.csv`
with `unit_level/make.R`: 240 units in 36 clusters and 3 strata, with and without
sampling fractions; domains by subset(), ratios by svyratio, kappa by svykappa, limits
by svyciprop and confint with df = degf.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.accuracy import proportion
from mlstats.quality.aggregates import Arm, aggregate_differences, aggregates
from mlstats.quality.agreement import kappa
from mlstats.quality.breakdown import accuracy_by_class, accuracy_by_domain
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate
from mlstats.quality.numeric import (
    mean_absolute_error,
    relative_bias,
    root_mean_square_error,
)
from mlstats.quality.paired import paired_difference

HERE = Path(__file__).parent / "unit_level"
CODES = {"truth": str, "trad": str, "ml": str}
UNITS = pd.read_csv(HERE / "units.csv", dtype=CODES)
EXPECTED = pd.read_csv(HERE / "expected.csv").set_index(["design", "quantity"])
TRUTH, ML, TRAD, DOMAIN = (
    UNITS[c].to_numpy(dtype=object) for c in ("truth", "ml", "trad", "domain")
)
Y, IMPUTED = UNITS["y"].to_numpy(), UNITS["imputed"].to_numpy()


def design(kind: str) -> Design:
    fractions = UNITS.groupby("stratum")["fraction"].first().to_dict()
    return Design.of(
        UNITS["weight"].to_numpy(),
        stratum=UNITS["stratum"].to_numpy(),
        cluster=UNITS["cluster"].to_numpy(),
        fraction=fractions if kind == "fpc" else None,
    )


def agrees(found: Estimate, kind: str, quantity: str) -> None:
    wanted = EXPECTED.loc[(kind, quantity)]
    assert found.value == pytest.approx(wanted["value"], rel=1e-9, abs=1e-12)
    assert found.se == pytest.approx(wanted["se"], rel=1e-8)
    if np.isfinite(wanted["df"]):
        assert found.df == wanted["df"]
    if np.isfinite(wanted["lower"]):
        limits = (wanted["lower"], wanted["upper"])
        assert (found.lower, found.upper) == pytest.approx(limits, rel=1e-7)


def row(table: pd.DataFrame, **keys: str) -> Estimate:
    for name, value in keys.items():
        table = table[table[name] == value]
    assert len(table) == 1
    fields = Estimate.__dataclass_fields__
    return Estimate(**table[list(fields)].iloc[0].to_dict())


@pytest.mark.parametrize("kind", ["plain", "fpc"])
class TestDesigns:
    def test_precision_recall_and_f1_by_class(self, kind: str) -> None:
        table = accuracy_by_class(design(kind), TRUTH, ML)
        for code in ("0111", "0112", "0121", "0911"):
            for measure in ("precision", "recall", "f1"):
                found = row(table, code=code, measure=measure)
                agrees(found, kind, f"{measure} {code}")

    @pytest.mark.parametrize("interval", ["Korn-Graubard", "logit"])
    def test_intervals_of_a_recall(self, kind: str, interval: str) -> None:
        found = proportion(
            design(kind), ML == TRUTH, TRUTH == "0111", interval=interval
        )
        name = "beta" if interval == "Korn-Graubard" else "logit"
        agrees(found, kind, f"recall {name} 0111")

    def test_kappa(self, kind: str) -> None:
        agrees(kappa(design(kind), TRUTH, ML), kind, "kappa")

    def test_accuracy_by_domain(self, kind: str) -> None:
        table = accuracy_by_domain(design(kind), ML == TRUTH, DOMAIN)
        for name in ("d1", "d2", "d3"):
            agrees(row(table, domain=name), kind, f"accuracy {name}")

    @pytest.mark.parametrize("name", ["", "d1", "d2", "d3"])
    def test_paired_difference(self, kind: str, name: str) -> None:
        inside = name == DOMAIN if name else None
        found = paired_difference(design(kind), ML == TRUTH, TRAD == TRUTH, inside)
        agrees(found, kind, f"gap {name}".strip())

    @pytest.mark.parametrize("name", ["d1", "d2", "d3"])
    def test_errors_of_numbers(self, kind: str, name: str) -> None:
        of, inside = design(kind), name == DOMAIN
        agrees(mean_absolute_error(of, Y, IMPUTED, inside), kind, f"mae {name}")
        agrees(root_mean_square_error(of, Y, IMPUTED, inside), kind, f"rmse {name}")
        agrees(relative_bias(of, Y, IMPUTED, inside), kind, f"relative bias {name}")

    def test_totals_of_imputed_values_and_their_difference_to_truth(
        self, kind: str
    ) -> None:
        arms = {"truth": Arm(DOMAIN, Y), "ml": Arm(DOMAIN, IMPUTED)}
        figures = aggregates(design(kind), arms, statistic="total")
        gaps = aggregate_differences(design(kind), arms, "truth", statistic="total")
        for name in ("d1", "d2", "d3"):
            agrees(row(figures, domain=name, arm="ml"), kind, f"total {name}")
            agrees(row(gaps, domain=name), kind, f"total difference {name}")

    def test_shares_of_an_amount_by_code_and_their_difference_to_truth(
        self, kind: str
    ) -> None:
        arms = {"truth": Arm(TRUTH, Y), "ml": Arm(ML, Y)}
        figures = aggregates(design(kind), arms, statistic="share")
        gaps = aggregate_differences(design(kind), arms, "truth", statistic="share")
        for code in ("0111", "0112", "0121", "0911"):
            agrees(row(figures, domain=code, arm="ml"), kind, f"share {code}")
            agrees(row(gaps, domain=code), kind, f"share difference {code}")

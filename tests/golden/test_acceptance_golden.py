"""Published sampling plans and coincidences: acceptance sampling, Krippendorff's alpha.

Acceptance: Montgomery, Introduction to Statistical Quality Control (6th ed.), chapter
15 (the plan n = 89, c = 2, table 15.2 and section 15.2.3); the vignette of the R
package AccSamplingDesign (2025) and Kiermeier 2008, Journal of Statistical Software
26(6), for plans by two points; the Dodge-Romig AOQL plan of Montgomery, section 15.5.
Alpha: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, sections A to C.
"""

from __future__ import annotations

import numpy as np
import pytest

from mlstats.quality.acceptance import Plan, sampling_plan
from mlstats.quality.design import Design
from mlstats.quality.krippendorff import krippendorff_alpha

MONTGOMERY = {
    0.005: 0.9897, 0.01: 0.9397, 0.02: 0.7366, 0.03: 0.4985, 0.04: 0.3042,
    0.05: 0.1721, 0.06: 0.0919, 0.07: 0.0468, 0.08: 0.0230, 0.09: 0.0109,
}  # fmt: skip


@pytest.mark.parametrize(("p", "accepted"), MONTGOMERY.items())
def test_operating_characteristic_of_89_and_2(p: float, accepted: float) -> None:
    assert Plan(89, 2).acceptance(p) == pytest.approx(accepted, abs=5e-5)


def test_outgoing_quality_of_89_and_2() -> None:
    plan = Plan(89, 2)
    assert plan.outgoing(0.01, lot=10_000) == pytest.approx(0.0093, abs=5e-5)
    assert plan.inspected(0.01, 10_000) == pytest.approx(687, abs=0.5)
    # Read off a curve in the book: "approximately 0.0155".
    limit, _ = plan.outgoing_limit()
    assert limit == pytest.approx(0.0155, abs=2e-4)


@pytest.mark.parametrize(
    ("aql", "ltpd", "risks", "plan"),
    [
        (0.01, 0.05, (0.05, 0.10), Plan(132, 3)),
        (0.01, 0.05, (0.02, 0.15), Plan(144, 4)),
        (0.05, 0.15, (0.05, 0.075), Plan(80, 7)),
    ],
)
def test_plans_by_two_points(
    aql: float, ltpd: float, risks: tuple[float, float], plan: Plan
) -> None:
    producer, consumer = risks
    found = sampling_plan(aql, ltpd, producer_risk=producer, consumer_risk=consumer)
    assert found == plan


def test_risks_of_the_published_plan() -> None:
    plan = Plan(132, 3)
    assert 1 - plan.acceptance(0.01) == pytest.approx(0.04425251, abs=5e-9)
    assert plan.acceptance(0.05) == pytest.approx(0.0992283, abs=5e-8)
    assert plan.acceptance(0.03) == pytest.approx(0.4384354, abs=5e-8)


def test_dodge_and_romigs_plan_lets_out_three_per_cent_at_most() -> None:
    limit, _ = Plan(65, 3).outgoing_limit(lot=10_000)
    assert limit == pytest.approx(0.03, abs=5e-4)


TWO_VALUES = ["0100000010", "1110010000"]
TWO_CODERS = ["aabbdcccedda", "babbbccceddd"]
FOUR_CODERS = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]


def reliability(rows: list[str]) -> np.ndarray:
    """Return units by coders; a dot is a unit that the coder did not code."""
    codes = np.array([list(row) for row in rows], dtype=object).T
    return np.where(codes == ".", np.array(None, dtype=object), codes)


@pytest.mark.parametrize(
    ("rows", "alpha", "n"),
    [(TWO_VALUES, 0.095, 10), (TWO_CODERS, 0.692, 12), (FOUR_CODERS, 0.743, 11)],
)
def test_krippendorffs_own_examples(rows: list[str], alpha: float, n: int) -> None:
    codes = reliability(rows)
    found = krippendorff_alpha(Design.of(np.ones(len(codes))), codes)
    assert found.value == pytest.approx(alpha, abs=5e-4)
    assert found.n == n

"""The promises of the drift verdicts, simulated.

A false alarm is any row of the family (all columns, references and tests) that is
significant, whether its effect reaches its floor or not: a stricter count than that
of the alarms. Its rate has to lie below .07 with its upper 95 % Monte Carlo bound.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from mlstats.quality.drift import DriftResult, Reference, Summary, drift
from mlstats.quality.drift_summaries import ColumnCounts
from tests.drift_generators import (
    CODES,
    NONE,
    Change,
    correlated,
    independent,
    shares,
)

Generator = Callable[..., pd.DataFrame]
REFERENCES = ("last_accepted", "same_period_last_year", "training")


def upper(hits: int, runs: int) -> float:
    """Return the upper 95 % bound of a rate (Clopper and Pearson)."""
    return float(stats.beta.ppf(0.95, hits + 1, runs - hits))


def lower(hits: int, runs: int) -> float:
    return float(stats.beta.ppf(0.05, hits, runs - hits + 1)) if hits else 0.0


def judged(
    generator: Generator, n: int, run: int, change: Change = NONE, training: int = 1
) -> DriftResult:
    """Judge a period against three references, the last one of training * n rows."""
    rng = np.random.default_rng([n, training, run])
    frames = [generator(size, rng) for size in (n, n, training * n)]
    reference = Reference.learn(frames[-1])
    current = Summary.of(generator(n, rng, change), reference)
    summaries = [Summary.of(frame, reference) for frame in frames]
    return drift(current, dict(zip(REFERENCES, summaries, strict=True)))


def any_significant(result: DriftResult) -> bool:
    return bool((result.verdicts["p_adjusted"] <= result.level).any())


def false_alarms(generator: Generator, n: int, runs: int, training: int = 1) -> int:
    return sum(
        any_significant(judged(generator, n, run, training=training))
        for run in range(runs)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "n", "runs", "training"),
    [
        # Unequal sizes: the order of rare codes must not tell their split.
        (correlated, 1_000, 200, 10),
        (independent, 10_000, 400, 1),
    ],
)
def test_any_column_false_alarm(
    generator: Generator, n: int, runs: int, training: int
) -> None:
    assert upper(false_alarms(generator, n, runs, training), runs) <= 0.07


@pytest.mark.soak
@pytest.mark.parametrize("generator", [independent, correlated])
@pytest.mark.parametrize(
    ("n", "runs", "training"),
    [(1_000, 2_000, 1), (1_000, 1_000, 10), (10_000, 1_000, 1), (100_000, 200, 1)],
)
def test_any_column_false_alarm_at_length(
    generator: Generator, n: int, runs: int, training: int
) -> None:
    assert upper(false_alarms(generator, n, runs, training), runs) <= 0.07


def drawn(reference: Reference, n: int, rng: np.random.Generator) -> Summary:
    """Draw the counts of n rows that nothing drifted in, without drawing the rows."""
    columns = {}
    for name, edges in reference.edges.items():
        inside = np.full(len(edges) - 1, 0.98 / (len(edges) - 1))
        count = rng.multinomial(n, np.concatenate([[0.0], inside, [0.0, 0.02]]))
        columns[name] = ColumnCounts(np.empty(0, "str"), count, count.astype(float))
    for name in reference.codes:
        count = np.append(rng.multinomial(n, shares(CODES[name])), 0)
        labels = np.array([f"{i:04d}" for i in range(CODES[name])])
        columns[name] = ColumnCounts(labels, count, count.astype(float))
    return Summary(reference, columns, rows=n, clusters=n)


@pytest.mark.slow
def test_any_column_false_alarm_at_a_hundred_thousand() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=20_000) for i in range(16)})
    frame = frame.assign(**dict.fromkeys(CODES, "0000"))
    reference = Reference.learn(frame, bins=400)
    hits, runs = 0, 500
    for _ in range(runs):
        last = {name: drawn(reference, 100_000, rng) for name in REFERENCES}
        hits += any_significant(drift(drawn(reference, 100_000, rng), last))
    assert upper(hits, runs) <= 0.07


def found(result: DriftResult, columns: list[str]) -> bool:
    states = result.by_column()
    return all(states[column] == "drift" for column in columns)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "column", "code"),
    [(independent, "region", 4), (correlated, "product", 0)],
)
def test_a_tenth_of_a_deviation_and_two_and_a_half_points(
    generator: Generator, column: str, code: int
) -> None:
    change = Change(shift=0.1, moved=0.025, column=column, code=code)
    runs = 60
    hits = sum(
        found(judged(generator, 10_000, run, change), ["x0", "x1", column])
        for run in range(runs)
    )
    assert hits / runs >= 0.95


@pytest.mark.soak
@pytest.mark.parametrize("generator", [independent, correlated])
@pytest.mark.parametrize(
    ("column", "code"), [("region", 4), ("occupation", 5), ("product", 0)]
)
def test_a_tenth_of_a_deviation_and_two_and_a_half_points_at_length(
    generator: Generator, column: str, code: int
) -> None:
    change = Change(shift=0.1, moved=0.025, column=column, code=code)
    hits = sum(
        found(judged(generator, 10_000, run, change), ["x0", "x1", column])
        for run in range(400)
    )
    assert lower(hits, 400) >= 0.95


@pytest.mark.slow
def test_five_points_more_missing() -> None:
    change = Change(missing=0.05)
    runs, hits = 60, 0
    for run in range(runs):
        alarms = judged(independent, 1_000, run, change).alarms
        missing = alarms[alarms["test"] == "missing"]
        hits += set(missing["column"]) >= {"x2", "region"}
    assert lower(hits, runs) >= 0.9


@pytest.mark.slow
def test_a_rare_code_tripled() -> None:
    rng = np.random.default_rng(2)
    names = np.array([f"{i:03d}" for i in range(200)])
    common = shares(199)
    hits = 0
    for _ in range(40):
        frames = []
        for rare in (0.002, 0.006):
            place = rng.choice(200, 50_000, p=np.append(common * (1 - rare), rare))
            frames.append(pd.DataFrame({"code": pd.Categorical(names[place])}))
        reference = Reference.learn(frames[0])
        last = {"last_accepted": Summary.of(frames[0], reference)}
        alarms = drift(Summary.of(frames[1], reference), last).alarms
        hits += "code 199" in "".join(alarms["note"])
    assert hits == 40


@pytest.mark.slow
def test_a_fiftieth_of_a_deviation_in_a_million() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        before = pd.DataFrame({"x": rng.normal(size=1_000_000)})
        now = pd.DataFrame({"x": rng.normal(0.02, size=1_000_000)})
        reference = Reference.learn(before)
        last = {"last_accepted": Summary.of(before, reference)}
        result = drift(Summary.of(now, reference), last)
        assert dict(result.by_column()) == {"x": "significant, below floor"}


def survey(rng: np.random.Generator, clusters: int, shift: float = 0.0) -> pd.DataFrame:
    """Return clusters of five units that share answers, and weights that matter."""
    n = 5 * clusters
    member = np.arange(n) // 5
    shared = rng.normal(size=(clusters, 4))[member]
    own = np.sqrt(0.3) * shared + np.sqrt(0.7) * rng.normal(size=(n, 4))
    place = np.searchsorted(np.cumsum(shares(50))[:-1], special.ndtr(own[:, 2]))
    place = np.where(rng.random(n) < 0.3, place[5 * member], place)
    region = rng.integers(0, 12, clusters)[member]
    frame = pd.DataFrame(
        {
            "x": own[:, 0] + shift,
            "income": np.exp(own[:, 1]),
            "branch": np.char.mod("%02d", place),
            "region": np.char.mod("%02d", region),
            "w": np.exp(0.3 * shared[:, 3] + 0.3 * shared[:, 0]),
            "cluster": member,
        }
    )
    return frame.assign(x=frame["x"].mask(rng.random(n) < 0.05 * np.exp(shared[:, 3])))


def judged_survey(
    run: int, clusters: int, design: dict[str, str], shift: float = 0.0
) -> DriftResult:
    rng = np.random.default_rng([clusters, run])
    before, now = survey(rng, clusters), survey(rng, clusters, shift)
    reference = Reference.learn(before[["x", "income", "branch", "region"]])
    last = {"last_accepted": Summary.of(before, reference, **design)}
    return drift(Summary.of(now, reference, **design), last)


@pytest.mark.slow
def test_clusters_and_weights_are_no_drift() -> None:
    design = {"weight": "w", "cluster": "cluster"}
    runs = 120
    hits = sum(any_significant(judged_survey(r, 400, design)) for r in range(runs))
    assert upper(hits, runs) <= 0.07
    blind = sum(any_significant(judged_survey(r, 400, {})) for r in range(20))
    assert blind >= 15
    found_shift = sum(
        judged_survey(r, 400, design, 0.35).by_column()["x"] == "drift"
        for r in range(50)
    )
    assert found_shift >= 45


@pytest.mark.soak
def test_halves_of_the_clusters_of_a_real_survey(real_data: Path) -> None:
    frame = pd.read_parquet(real_data / "editimpute" / "glss_education_dev.parquet")
    watched = [c for c in frame if c not in ("hhid", "clust", "weight")]
    clusters = frame["clust"].unique()
    design = {"weight": "weight", "cluster": "clust"}
    hits, blind, runs = 0, 0, 200
    for run in range(runs):
        chosen = np.random.default_rng(run).permutation(clusters)[: len(clusters) // 2]
        half = frame["clust"].isin(chosen)
        reference = Reference.learn(frame.loc[half, watched])
        results = [
            drift(
                Summary.of(frame[~half], reference, **how),
                {"last_accepted": Summary.of(frame[half], reference, **how)},
            )
            for how in (design, {})
        ]
        hits += any_significant(results[0])
        blind += any_significant(results[1])
    assert upper(hits, runs) <= 0.07
    assert blind >= 0.9 * runs

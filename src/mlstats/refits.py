"""What one fit cannot tell: reruns, other seeds, explanations, worse input.

``mlstats run --full`` fits every method again: once as it was, to see whether the same
comes out, and with ten other seeds where the method has one. All of it is measured on
the test units of the run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats import explanations
from mlstats.config import Pilot
from mlstats.dataset import Dataset
from mlstats.errors import MlstatsError
from mlstats.evaluate import MethodRun, levels_of, run_method
from mlstats.held_out import HeldOut, held_out
from mlstats.method import Incumbent
from mlstats.quality.dimensions import REFITS
from mlstats.quality.estimate import Status, absent
from mlstats.quality.evaluation import Evaluation, design_of
from mlstats.quality.explain import permutation_importance, rank_stability
from mlstats.quality.indicator import Indicator, noted
from mlstats.quality.reproducibility import (
    Rerun,
    compare_reruns,
    family_difference,
    seed_spread,
)
from mlstats.quality.robustness import perturbed_accuracy
from mlstats.quality.scorecard import as_scorecard
from mlstats.quality.summaries import UNCODED
from mlstats.runs import Run, plan_of
from mlstats.seeds import has_seed, reseeded

__all__ = ["refit_methods"]

_log = logging.getLogger(__name__)

SEEDS: Final = 10  # fits beside the run's own
RANKED: Final = 4  # of them whose importances are compared with the run's own
SHUFFLED: Final = 5_000  # units whose columns are shuffled
REPEATS: Final = 10
_RERUN_NOTES: Final = {True: "a rerun changed nothing", False: "a rerun changed some"}


@dataclass(frozen=True)
class _Bench:
    """What every refit of a run needs, and how many are done."""

    run: Run
    dataset: Dataset
    evaluation: Evaluation
    total: int
    level: str  # of the published shares
    done: list[str]

    @property
    def seed(self) -> int:
        return self.run.pilot.evaluate.seed

    def fit(self, pilot: Pilot, name: str) -> MethodRun | MlstatsError:
        """Fit once more; a fit that fails is a finding and does not end the run."""
        self.done.append(name)
        _log.info("refit %d of %d: %s", len(self.done), self.total, name)
        try:
            return run_method(pilot, name, self.dataset, self.run.settings)
        except MlstatsError as error:
            return error

    def tested(self, again: MethodRun) -> np.ndarray:
        """Return the first codes of a refit's test units."""
        judged = self.dataset.folds[self.dataset.folds.isin(["valid", "test"])]
        codes: np.ndarray = again.codes[(judged == "test").to_numpy(), 0]
        return codes


def refit_methods(
    run: Run,
    dataset: Dataset,
    evaluation: Evaluation,
    scorecard: pd.DataFrame,
    runs: Sequence[MethodRun],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add to a scorecard what only refits, explanations and worse input tell.

    Words of records go to the run's confidential folder: explanations.parquet and
    expert_sheet.xlsx.

    Parameters
    ----------
    evaluation, scorecard
        As :func:`mlstats.runs.evaluate_methods` returned them.
    runs : sequence of MethodRun
        The fitted methods.

    Returns
    -------
    scorecard : pandas.DataFrame
        With rows for every indicator in :data:`mlstats.quality.dimensions.REFITS`.
    importances : pandas.DataFrame
        What :class:`mlstats.quality.report.RunReport` shows.
    """
    pilot = run.pilot
    arms = {arm.name: arm for arm in held_out(run, dataset, evaluation, runs)}
    fitted = [n for n, arm in arms.items() if not isinstance(arm.method, Incumbent)]
    total = sum(1 + SEEDS * has_seed(pilot.methods[name]) for name in fitted)
    levels = levels_of(pilot, dataset.classification)
    bench = _Bench(run, dataset, evaluation, total, levels[0], [])
    rows: list[dict[str, Any]] = []
    importances, words = [], {}
    for name, arm in arms.items():
        if name not in fitted:
            found = _for_all("not_applicable", "a column of codes is not fitted")
        else:
            found, table, words[name] = _method(bench, arm)
            importances.append(table)
        rows += [_row(indicator, arm) for indicator in found]
    rows += [_row(i, arms[pilot.candidate]) for i in _families(bench, arms)]
    explanations.write_explanations(run.confidential, words, arms)
    added = as_scorecard(rows, plan_of(pilot, levels))
    together = pd.concat([scorecard, added], ignore_index=True)
    return together, pd.concat(importances, ignore_index=True)


def _for_all(status: Status, note: str) -> list[Indicator]:
    return [Indicator(*place, absent(status, note)) for place in REFITS]


def _row(indicator: Indicator, arm: HeldOut) -> dict[str, Any]:
    leveled = indicator.dimension == "robustness" or indicator.indicator.endswith(
        "_accuracy"
    )
    return indicator.row(method=arm.name, level=arm.level if leveled else "")


def _method(
    bench: _Bench, arm: HeldOut
) -> tuple[list[Indicator], pd.DataFrame, pd.DataFrame]:
    """Return the indicators, the importances and the contributions of words."""
    rerun, found = _rerun(bench, arm)
    importance = _importance(bench, arm, arm.method)
    ranks = {"run": importance.set_index("column")["importance"]}
    if has_seed(bench.run.pilot.methods[arm.name]):
        found += _seeds(bench, arm, ranks)
        found += _stability(ranks)
    else:
        found += _without_seed(rerun)
    explained, words = explanations.explain(arm, seed=bench.seed)
    found += [*explained, _experts(bench, arm, words), *_worse_input(bench, arm)]
    return found, importance, words


# -- the same again ----------------------------------------------------------------


def _rerun(bench: _Bench, arm: HeldOut) -> tuple[Rerun | None, list[Indicator]]:
    again = bench.fit(bench.run.pilot, arm.name)
    if isinstance(again, MlstatsError):
        failed = absent("not_measured", f"the rerun failed: {again.title}")
        return None, [Indicator("reproducibility", "rerun_changed", failed)]
    units = bench.evaluation.units
    first = units[units["method"] == arm.name]
    coded = np.array([code is not None for code in again.codes[:, 0]], dtype=bool)
    second = first.assign(
        prediction=again.codes[:, 0],
        confidence=np.where(coded, again.scores[:, 0], np.nan),
    )
    rerun = compare_reruns(first, second)
    return rerun, rerun.indicators()


def _without_seed(rerun: Rerun | None) -> list[Indicator]:
    told = "and the rerun failed" if rerun is None else _RERUN_NOTES[rerun.identical]
    reason = absent("not_applicable", f"the method has no seed; {told}")
    return [
        Indicator("reproducibility", "seed_spread_accuracy", reason),
        Indicator("reproducibility", "seed_spread_share", reason),
        Indicator("explainability", "rank_stability", reason),
    ]


# -- other seeds -------------------------------------------------------------------


def _seeds(bench: _Bench, arm: HeldOut, ranks: dict[str, pd.Series]) -> list[Indicator]:
    """Return the spreads over seeds; importances of the first fits go to `ranks`."""
    fits = [arm.codes]
    for i in range(1, SEEDS + 1):
        pilot = reseeded(bench.run.pilot, arm.name, bench.seed + i)
        again = bench.fit(pilot, arm.name)
        if isinstance(again, MlstatsError):
            reason = f"the fit with seed {bench.seed + i} failed: {again.title}"
            return [
                Indicator("reproducibility", name, absent("not_measured", reason))
                for name in ("seed_spread_accuracy", "seed_spread_share")
            ]
        fits.append(bench.tested(again))
        if i <= RANKED and arm.X.shape[1] > 1:
            table = _importance(bench, arm, again.method)
            ranks[f"seed {i}"] = table.set_index("column")["importance"]
    return [_accuracy_spread(arm, fits), _share_spread(bench, arm, fits)]


def _accuracy_spread(arm: HeldOut, fits: Sequence[np.ndarray]) -> Indicator:
    weight, truth = arm.judged.design.weight, arm.judged.truth
    if not weight.sum() > 0:
        reason = absent("not_applicable", "no unit has a truth at this level")
        return Indicator("reproducibility", "seed_spread_accuracy", reason)
    values = [
        np.average(arm.ancestor(codes[arm.places], arm.level) == truth, weights=weight)
        for codes in fits
    ]
    error = arm.judged.design.mean(arm.judged.right.astype(float)).se
    return seed_spread(np.array(values), error, of="accuracy")


def _share_spread(bench: _Bench, arm: HeldOut, fits: Sequence[np.ndarray]) -> Indicator:
    """Return the spread of the published share that the seed moves most."""
    errors = _published(bench, arm.name)
    weight = arm.units["weight"].to_numpy(dtype=float)
    at_level = [arm.ancestor(codes, bench.level) for codes in fits]
    found = {
        name: seed_spread(
            np.array([weight @ (codes == name) for codes in at_level]) / weight.sum(),
            error,
            of="share",
        )
        for name, error in errors.items()
    }
    measured = {n: i for n, i in found.items() if i.estimate.status == "measured"}
    if not measured:
        reason = absent("not_applicable", "no share has a sampling error")
        return Indicator("reproducibility", "seed_spread_share", reason)
    name = max(measured, key=lambda n: (measured[n].estimate.value, n))
    note = f"class {name} of level {bench.level}, largest of {len(measured)} shares"
    return replace(measured[name], estimate=noted(measured[name].estimate, note))


def _published(bench: _Bench, method: str) -> dict[str, float]:
    """Return class -> standard error of the method's published shares."""
    shares = bench.evaluation.estimates
    own = shares[(shares["method"] == method) & (shares["domain"] != UNCODED)]
    return dict(zip(own["domain"], own["standard_error"], strict=True))


# -- what columns matter -----------------------------------------------------------


def _importance(bench: _Bench, arm: HeldOut, method: Any) -> pd.DataFrame:
    rows = arm.drawn(np.arange(len(arm.places)), SHUFFLED, bench.seed)
    table = permutation_importance(
        lambda X: arm.predict(X, method),
        arm.X.iloc[arm.places[rows]].reset_index(drop=True),
        arm.judged.truth[rows],
        design_of(arm.judged.part.iloc[rows]),
        repeats=REPEATS,
        seed=bench.seed,
    )
    table.insert(0, "method", arm.name)
    return table


def _stability(ranks: dict[str, pd.Series]) -> list[Indicator]:
    return rank_stability(pd.DataFrame(ranks))


# -- explanations, worse input, another family -------------------------------------


def _experts(bench: _Bench, arm: HeldOut, words: pd.DataFrame) -> Indicator:
    if arm.name != bench.run.pilot.candidate:
        reason = absent("not_applicable", "experts are asked of the candidate only")
        return Indicator("explainability", "expert_agreement", reason)
    return explanations.expert_rating(bench.run, arm, words)


def _worse_input(bench: _Bench, arm: HeldOut) -> list[Indicator]:
    X = arm.X.iloc[arm.places].reset_index(drop=True)
    found = perturbed_accuracy(
        arm.predict,
        X,
        arm.judged.truth,
        arm.judged.design,
        fields=[str(name) for name in X.columns if name != "text"],
        seed=bench.seed,
    )
    return [_of_field(indicator) for indicator in found]


def _of_field(indicator: Indicator) -> Indicator:
    """Give the figures of every field one name, the field as their domain."""
    what, left_out, field = indicator.indicator.partition("_without_")
    if not left_out:
        return indicator
    name = f"{what}_without_field"
    return replace(indicator, indicator=name, domain=f"without: {field}")


def _families(bench: _Bench, arms: dict[str, HeldOut]) -> list[Indicator]:
    """Compare the candidate with the first other machine-learning method."""
    pilot = bench.run.pilot
    others = [n for n, s in pilot.methods.items() if s.kind == "ml"]
    other = next((name for name in others if name != pilot.candidate), None)
    if other is None:
        reason = absent("not_applicable", "the pilot has one ML method only")
        return [
            Indicator("reproducibility", f"family_difference_{of}", reason)
            for of in ("accuracy", "share")
        ]
    one, two = arms[pilot.candidate], arms[other]
    accuracy = family_difference(
        one.judged.right, two.judged.right, one.judged.design, of="accuracy"
    )
    codes = [arm.ancestor(arm.codes, bench.level) for arm in (one, two)]
    names = {*_published(bench, one.name), *_published(bench, two.name)}
    shares = {
        name: family_difference(
            codes[0] == name, codes[1] == name, one.design, of="share"
        )
        for name in sorted(names)
    }
    found = [_noted(accuracy, f"less {other}")]
    if shares:
        name = max(shares, key=lambda n: abs(shares[n].estimate.value))
        note = f"less {other}, class {name} of level {bench.level}, "
        found.append(_noted(shares[name], f"{note}largest of {len(shares)} shares"))
    return found


def _noted(indicator: Indicator, note: str) -> Indicator:
    return replace(indicator, estimate=noted(indicator.estimate, note))

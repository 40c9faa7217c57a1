"""Categories drawn from a log-linear model."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.multinomial import MultinomialImputer
from mlstats.errors import ConfigError
from mlstats.method import ImputeMethod, work_of


def _people(n, seed=1):
    """A level that depends on age and sex together, not on either alone."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.choice(["young", "old"], n),
            "sex": rng.choice(["f", "m"], n),
            "income": rng.lognormal(size=n),
        }
    )
    same = (frame["age"] == "young") == (frame["sex"] == "f")
    high = rng.random(n) < np.where(same, 0.9, 0.2)
    frame["level"] = np.where(high, "high", rng.choice(["low", "none"], n))
    mask = pd.DataFrame({"level": rng.random(n) < 0.3})
    return (
        frame,
        mask,
        frame.mask(mask.reindex(columns=frame.columns, fill_value=False)),
    )


def _shares(frame, at):
    by = [frame["age"][at], frame["sex"][at]]
    return pd.crosstab(by, frame["level"][at], normalize="index").to_numpy()


def test_with_all_terms_the_model_is_the_table_itself():
    """The saturated log-linear model has the observed shares of each cell."""
    frame, mask, holes = _people(6000)
    method = MultinomialImputer(
        ["age", "sex"], interactions=[("age", "sex")], penalty=1e-6
    )
    found = [method.impute(holes, mask, s) for s in range(30)]
    drawn = np.mean([_shares(f, mask["level"]) for f in found], axis=0)
    # Systematic sampling leaves no more than a record of each class and cell open.
    cell = frame[mask["level"]].groupby(["age", "sex"]).size().min()
    observed = _shares(frame, ~mask["level"])
    assert np.abs(drawn - observed).max() < 2 / cell


def test_a_pair_without_its_term_is_not_seen():
    _, mask, holes = _people(6000)
    shares = _shares(
        MultinomialImputer(["age", "sex"]).impute(holes, mask, 1), mask["level"]
    )
    assert np.ptp(shares[:, 0]) < 0.15


def test_provenance_seed_and_the_interface():
    _, mask, holes = _people(400)
    method = MultinomialImputer()
    one, same, other = (method.treat(holes, mask, s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one.values, same.values)
    assert not one.values.equals(other.values)
    assert set(one.cells["status"]) == {"imputed"}
    assert one.cells["donor"].isna().all()
    assert isinstance(method, ImputeMethod)
    assert (work_of(method), method.kind) == ("impute", "traditional")
    pd.testing.assert_series_equal(
        one.values["level"][~mask["level"]], holes["level"][~mask["level"]]
    )


def test_missing_predictors_constants_and_nothing_observed():
    frame, mask, holes = _people(200)
    holes.loc[::5, "income"] = np.nan
    holes["same"] = "yes"
    holes["never"] = None
    wide = mask.assign(same=mask["level"], never=True)
    cells = MultinomialImputer(["age", "income"]).treat(holes, wide, 1).cells
    never = cells["variable"] == "never"
    assert set(cells.loc[never, "reason"]) == {"no record has the variable"}
    assert set(cells.loc[~never, "status"]) == {"imputed"}
    assert set(cells.loc[cells["variable"] == "same", "after"]) == {"yes"}


def test_several_imputations_are_fitted_anew_and_drawn_independently():
    _, mask, holes = _people(3000)
    counts = {}
    for bootstrap in (False, True):
        method = MultinomialImputer(["age"], bootstrap=bootstrap)
        found = [method.impute(holes, mask, s)["level"] for s in range(20)]
        counts[bootstrap] = np.std([(f == "high").sum() for f in found])
    assert counts[False] < 2
    assert counts[True] > 8


def test_bad_requests_are_told():
    frame, mask, holes = _people(50)
    with pytest.raises(ConfigError, match="'income' is a number"):
        MultinomialImputer().impute(
            holes, pd.DataFrame({"income": np.ones(50, bool)}), 1
        )
    with pytest.raises(ConfigError, match="no predictor 'agee'"):
        MultinomialImputer(["agee"]).impute(holes, mask, 1)
    with pytest.raises(ConfigError, match="no predictor 'level'"):
        MultinomialImputer(["age"], interactions=[("age", "level")]).impute(
            holes, mask, 1
        )

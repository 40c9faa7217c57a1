"""True values made missing or wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.config_editimpute import Damage
from mlstats.editimpute.damage import damage
from mlstats.errors import ConfigError

N = 20_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.lognormal(5, 1, N)
    return pd.DataFrame(
        {
            "age": rng.integers(15, 80, N),
            "x": np.where(rng.random(N) < 0.1, np.nan, x),
            "staff": rng.integers(0, 50, N),
            "status": rng.choice(["single", "married", "widowed"], N),
        }
    )


def how(**settings: object) -> Damage:
    return Damage.model_validate(settings)


def test_mcar_masks_the_share_it_says_whatever_the_value(frame):
    made = damage(frame, ["x"], how(missing={"share": 0.3}), seed=1)
    there = frame["x"].notna()
    hit = made.missing["x"][there]
    # Four standard errors of a proportion of 18,000.
    assert abs(hit.mean() - 0.3) < 4 * np.sqrt(0.21 / there.sum())
    high = frame["x"][there] > frame["x"].median()
    assert abs(hit[high].mean() - hit[~high].mean()) < 4 * np.sqrt(0.84 / there.sum())


def test_mar_depends_on_the_other_column_and_nmar_on_the_value(frame):
    mar = {"mechanism": "MAR", "share": 0.3, "by": "age"}
    made = damage(frame, ["staff"], how(missing=mar), seed=1)
    rank = frame["age"].rank(pct=True)
    for low, high in ((0.0, 0.5), (0.5, 1.0)):
        inside = (rank > low) & (rank <= high)
        expected = 2 * 0.3 * rank[inside].mean()
        assert made.missing["staff"][inside].mean() == pytest.approx(expected, abs=0.02)
    nmar = {"mechanism": "NMAR", "share": 0.3}
    made = damage(frame, ["staff"], how(missing=nmar), seed=1)
    lost, kept = (
        frame["staff"][made.missing["staff"] == is_lost] for is_lost in (1, 0)
    )
    assert lost.mean() > kept.mean() + 5


def test_a_value_that_is_missing_is_neither_masked_nor_damaged(frame):
    made = damage(
        frame, ["x"], how(missing={"share": 0.4}, errors={"share": 0.5}), seed=3
    )
    absent = frame["x"].isna()
    assert not made.missing["x"][absent].any()
    assert not made.wrong["x"][absent].any()
    assert not (made.missing["x"] & made.wrong["x"]).any()
    touched = made.missing["x"] | made.wrong["x"]
    same = ~touched & ~absent
    assert made.frame["x"][same].equals(frame["x"][same])
    assert made.frame["x"][made.missing["x"]].isna().all()
    assert made.frame[["age", "staff", "status"]].equals(
        frame[["age", "staff", "status"]]
    )


def test_errors_are_of_the_kinds_that_were_asked_for(frame):
    kinds = {"share": 0.2, "kinds": ["thousandfold", "tenth"]}
    made = damage(frame, ["x"], how(errors=kinds), seed=5)
    hit = made.wrong["x"]
    ratio = made.frame["x"][hit] / frame["x"][hit]
    assert set(ratio.round(6)) == {1000.0, 0.1}
    assert abs((ratio > 1).mean() - 0.5) < 0.05
    codes = {"share": 0.2, "kinds": ["other_code"]}
    made = damage(frame, ["status"], how(errors=codes), seed=5)
    hit = made.wrong["status"]
    assert abs(hit.mean() - 0.2) < 0.02
    assert (made.frame["status"][hit] != frame["status"][hit]).all()
    assert set(made.frame["status"]) == set(frame["status"])


def test_whole_numbers_stay_whole_and_an_unchanged_zero_is_no_error(frame):
    kinds = {"share": 0.3, "kinds": ["tenth", "factor"]}
    made = damage(frame, ["staff"], how(errors=kinds), seed=5)
    assert (made.frame["staff"] == made.frame["staff"].round()).all()
    zero = frame["staff"] == 0
    assert not made.wrong["staff"][zero].any()


def test_the_seed_decides(frame):
    asked = how(missing={"share": 0.2}, errors={"share": 0.1})
    one, same, other = (damage(frame, ["x", "staff"], asked, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one.frame, same.frame)
    assert not one.missing.equals(other.missing)


def test_what_does_not_fit_is_told(frame):
    mar = how(missing={"mechanism": "MAR", "by": "agee"})
    with pytest.raises(ConfigError, match="agee") as caught:
        damage(frame, ["x"], mar, seed=1)
    assert caught.value.nearest == "age"
    tenfold = how(errors={"kinds": ["tenfold"]})
    with pytest.raises(ConfigError, match="No kind of error fits 'status'"):
        damage(frame, ["status"], tenfold, seed=1)

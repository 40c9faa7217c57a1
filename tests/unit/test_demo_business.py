"""The synthetic business survey: its truth keeps the edits, its errors are as told."""

from __future__ import annotations

import pandas as pd
import pytest

from mlstats.demo import make_demo
from mlstats.demo_business import (
    AMOUNTS,
    ERROR_RATES,
    generate_businesses,
    make_business,
)
from mlstats.editimpute import read_edits, review
from mlstats.errors import UsageError
from mlstats.pilot_files import find_config


@pytest.fixture(scope="module")
def survey() -> tuple[pd.DataFrame, pd.DataFrame]:
    return generate_businesses(firms=6_000)


def test_the_truth_keeps_every_edit_of_the_pilot(survey, tmp_path):
    reported, truth = survey
    edits = read_edits(find_config("rules/business_demo_edits.yaml", tmp_path))
    whole = truth.assign(legal_form=reported["legal_form"])
    found = review(whole, edits)
    assert (found.status == "pass").all()
    assert (review(reported, edits).status != "pass").mean() > 0.4


def test_errors_and_missing_values_are_as_frequent_as_stated(survey):
    reported, truth = survey
    thousand = (reported["turnover"] >= 500 * truth["turnover"]).mean()
    answered = reported["turnover"].notna().mean()
    assert thousand / answered == pytest.approx(ERROR_RATES["thousandfold"], abs=0.006)
    small = reported["size_class"] == "small"
    assert reported.loc[small, "profit"].isna().mean() == pytest.approx(0.16, abs=0.025)


def test_clerks_mend_most_errors_and_leave_some(survey):
    reported, truth = survey
    edited = reported["turnover_edited"]
    known = edited.notna()
    wrong = reported["turnover"].notna() & (reported["turnover"] != truth["turnover"])
    mended = (edited == truth["turnover"])[wrong].mean()
    assert 0.88 < mended < 1
    assert (edited[known & ~wrong] == truth["turnover"][known & ~wrong]).all()
    assert 0 < (~known).mean() < 0.05


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    one, two = (make_business(tmp_path / name, firms=300) for name in ("a", "b"))
    for year, path in one.files.items():
        assert path.read_bytes() == two.files[year].read_bytes()
    other = make_business(tmp_path / "c", firms=300, seed=5)
    assert other.files["2026"].read_bytes() != one.files["2026"].read_bytes()
    before = pd.read_csv(one.files["2025"])
    assert 240 < len(before) < 300
    assert set(before["firm_id"]) < set(one.truth["firm_id"])
    assert len(AMOUNTS) == 7


def test_a_theme_without_a_demonstration_is_told(tmp_path):
    assert make_demo("editimpute", tmp_path) == "business-survey-demo"
    with pytest.raises(UsageError) as caught:
        make_demo("editimpte", tmp_path)
    assert caught.value.nearest == "editimpute"

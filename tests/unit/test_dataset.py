"""The data of a run: gold, labels and clusters keep apart what must be apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.dataset import load, part
from mlstats.pilot_files import load_pilot
from mlstats.scaffold import new_pilot
from mlstats.settings import load_settings
from mlstats.sources import in_periods


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    n = 600
    frame = pd.DataFrame(
        {
            "id": [f"{i:04d}" for i in range(n)],
            "home": [f"h{i // 5}" for i in range(n)],
            "text": rng.choice(["rye bread", "green tea", "wool socks"], n),
            "code": rng.choice(["a", "b"], n),
        }
    )
    frame["gold"] = frame["code"].where(rng.uniform(size=n) < 0.3)
    frame.to_csv("data.csv", index=False)
    new_pilot(
        load_settings(), "diary", Path("data.csv"), text=["text"], code="code",
        unit_id="id", cluster="home",
    )  # fmt: skip
    return tmp_path


def test_no_household_trains_and_calibrates(diary: Path) -> None:
    split = "evaluate.split={by: random, test: 0.2, valid: 0.5}"
    pilot = load_pilot("diary", overrides=["evaluate.truth=gold", split])
    data, result = load(pilot, load_settings())
    assert result.ok
    data = part(data, pilot)
    homes = data.frame["home"].groupby(data.folds).unique()
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not set(homes[one]) & set(homes[other])
    judged = data.folds.isin(["valid", "test"])
    assert data.frame.loc[judged, "gold"].notna().all()
    assert any("take no part" in caution for caution in data.cautions)


def test_a_sample_draws_whole_households_and_says_so(diary: Path) -> None:
    pilot = load_pilot("diary")
    data, _ = load(pilot, load_settings(), sample=100)
    assert 100 <= len(data.frame) < 110
    assert (data.frame.groupby("home").size() == 5).all()
    assert any("sample" in caution for caution in data.cautions)


def test_the_digest_follows_the_data(diary: Path) -> None:
    pilot = load_pilot("diary")
    one, _ = load(pilot, load_settings())
    two, _ = load(pilot, load_settings())
    assert one.digest == two.digest
    text = (diary / "data.csv").read_text()
    (diary / "data.csv").write_text(text.replace("h0,", "h00,", 1))
    assert load(pilot, load_settings())[0].digest != one.digest


@pytest.mark.parametrize(
    ("frequency", "wanted"),
    [
        ("M", ["2012-03", "2012-11", None, "soon"]),
        ("Q", ["2012-Q1", "2012-Q4", None, "soon"]),
        ("S", ["2012-S1", "2012-S2", None, "soon"]),
        ("A", ["2012", "2012", None, "soon"]),
    ],
)
def test_days_are_read_as_their_reference_period(frequency, wanted) -> None:
    days = pd.Series(["2012-03-05", "2012-11-30", None, "soon"])
    found = in_periods(days, frequency)
    assert [None if pd.isna(v) else v for v in found] == wanted
    months = pd.Series(["2012-03"])
    assert in_periods(months, frequency).tolist() == ["2012-03"]

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlstats.errors import ConfigError
from mlstats.quality.cost import (
    break_even_periods,
    break_even_units,
    clerical_minutes,
    cost_indicators,
    cost_per_correct,
    cost_table,
    incremental_ratio,
    sensitivity,
    total_cost,
)
from mlstats.quality.cost_sheet import CostSheet, read_cost_sheet
from mlstats.quality.estimate import Estimate, absent
from mlstats.settings import config_folders

DEMO = config_folders(Path())[-1] / "costs" / "demo.yaml"
ACCURACY = Estimate(0.8, 0.01, 100, 0.78, 0.82, n=500, interval="Korn-Graubard")


def sheet(**changes: Any) -> CostSheet:
    """Return a sheet whose sums can be done in the head."""
    tree: dict[str, Any] = {
        "version": 1,
        "currency": "EUR",
        "price_year": 2026,
        "source": "worked out by hand",
        "hourly_rate": 30.0,
        "minutes_per_unit": 2.0,
        "units_per_period": 1000.0,
        "periods": 10.0,
        "arms": {
            "clerks": {
                "running": {"storage": 100.0},
                "clerical": {"automatic_share": 0.0},
            },
            "model": {
                "fixed": {"development": 2000.0, "labelling": 1000.0},
                "running": {"compute": 150.0, "monitoring": 50.0},
                "clerical": {
                    "automatic_share": 0.6,
                    "referral_minutes_per_unit": 0.5,
                    "quality_control_share": 0.1,
                    "quality_control_minutes_per_unit": 2.0,
                },
            },
        },
    }
    return CostSheet.model_validate(tree | changes)


def arms(**changes: dict[str, Any]) -> dict[str, Any]:
    tree = sheet().model_dump()["arms"]
    for name, parts in changes.items():
        for part, values in parts.items():
            tree[name][part] = tree[name][part] | values
    return {"arms": tree}


def test_lines_sum_to_the_total() -> None:
    # clerks: 1,000 x 2 min x 0.50 = 1,000 and storage 100 a period, 11,000 in ten.
    # model: 400 x 2 min = 400, referral 400 x .5 = 100, control 100 x 2 = 100, and
    # 200 of money: 800 a period, 8,000 in ten, 3,000 once.
    table = cost_table(sheet())
    sums = table.groupby("arm")["over_life"].sum()
    assert sums["clerks"] == total_cost(sheet(), "clerks") == pytest.approx(11_000)
    assert sums["model"] == total_cost(sheet(), "model") == pytest.approx(11_000)
    lines = table[table["arm"] == "model"].set_index("line")["per_period"]
    assert lines["clerical_coding"] == pytest.approx(400)
    assert lines["referral"] == pytest.approx(100)
    assert lines["quality_control_sample"] == pytest.approx(100)
    assert math.isnan(lines["development"])


def test_clerical_minutes() -> None:
    assert clerical_minutes(sheet(), "clerks") == pytest.approx(2000)
    assert clerical_minutes(sheet(), "model") == pytest.approx(1200)


def test_break_even_in_periods_and_units() -> None:
    # 3,000 more at first, 300 less a period: 10 periods, at 1,000 units.
    assert break_even_periods(sheet(), "model", "clerks") == pytest.approx(10)
    assert break_even_units(sheet(), "model", "clerks") == pytest.approx(1000)
    # With the units that just pay over the life, the break-even is the life itself.
    less = sheet(units_per_period=break_even_units(sheet(), "model", "clerks"))
    assert break_even_periods(less, "model", "clerks") == pytest.approx(10)


def test_break_even_at_once_and_never() -> None:
    gift = {"model": {"fixed": {"development": 0.0, "labelling": 0.0}}}
    assert break_even_periods(sheet(**arms(**gift)), "model", "clerks") == 0
    dear = {"model": {"running": {"licences": 500.0}}}
    assert break_even_periods(sheet(**arms(**dear)), "model", "clerks") == math.inf
    no_help = {"model": {"clerical": {"automatic_share": 0.0}}}
    assert break_even_units(sheet(**arms(**no_help)), "model", "clerks") == math.inf
    assert break_even_periods(sheet(), "clerks", "clerks") == 0


def test_cost_per_correct_code_carries_the_interval_of_the_accuracy() -> None:
    found = cost_per_correct(sheet(), "model", ACCURACY)
    assert found.value == pytest.approx(11_000 / 10_000 / 0.8)
    assert found.lower == pytest.approx(1.1 / 0.82)
    assert found.upper == pytest.approx(1.1 / 0.78)
    bound = Estimate(0.1, 0.1, 5, 0.0, 0.3)
    assert cost_per_correct(sheet(), "model", bound).upper == math.inf


@pytest.mark.parametrize("accuracy", [absent("not_measured", "none"), Estimate(0.0)])
def test_cost_per_correct_code_needs_an_accuracy(accuracy: Estimate) -> None:
    assert cost_per_correct(sheet(), "model", accuracy).status == "not_measured"


def test_incremental_ratio_in_its_four_cases() -> None:
    dearer = sheet(**arms(model={"running": {"licences": 10.0}}))
    shown = Estimate(4.0, 1.0, 30, 2.0, 5.0)
    found = incremental_ratio(dearer, "model", "clerks", shown)
    assert found.value == pytest.approx(100 / 4)
    assert (found.lower, found.upper) == pytest.approx((100 / 5, 100 / 2))
    cheaper = incremental_ratio(sheet(hourly_rate=60.0), "model", "clerks", shown)
    assert cheaper.status == "not_applicable"
    assert "preferred" in cheaper.note
    open_ = Estimate(4.0, 3.0, 30, -2.0, 10.0)
    assert "no fall" in incremental_ratio(dearer, "model", "clerks", open_).note
    worse = Estimate(-4.0, 1.0, 30, -6.0, -2.0)
    assert "does not fall" in incremental_ratio(dearer, "model", "clerks", worse).note


def test_tornado_orders_by_swing_and_says_what_was_capped() -> None:
    base = sheet(**arms(model={"clerical": {"automatic_share": 0.9}}))
    table = sensitivity(base, lambda s: total_cost(s, "model"))
    assert table["swing"].is_monotonic_decreasing
    rows = table.set_index("input")
    # Total: 3,000 once, 200 x 10 of money, 10 x (100 + 25 + 100) of clerks.
    compute = rows.loc["arms.model.running.compute"]
    assert compute["swing"] == pytest.approx(0.4 * 150 * 10)
    assert compute["high"] - compute["low"] == pytest.approx(600)
    capped = rows.loc["arms.model.clerical.automatic_share"]
    assert capped["capped"]
    assert capped["high_input"] == 1
    assert not rows["capped"].drop("arms.model.clerical.automatic_share").any()
    assert "price_year" not in rows.index
    assert rows.loc["arms.clerks.running.storage", "swing"] == 0


def test_indicators_say_what_was_not_measured() -> None:
    found = {i.indicator: i for i in cost_indicators(sheet(), "model", "clerks")}
    assert {i.dimension for i in found.values()} == {"cost"}
    assert found["cost_per_correct"].estimate.status == "not_measured"
    assert found["cost_per_mse"].estimate.status == "not_measured"
    assert found["energy_kwh"].estimate.note == "the sheet tells no energy"
    total = found["cost_total"].estimate
    assert total.lower < total.value < total.upper
    assert "planned" in found["clerical_minutes_saved"].estimate.note
    assert found["clerical_minutes_saved"].estimate.value == pytest.approx(800)
    even = found["break_even_periods"].estimate
    # An automatic share of .48 or .72 moves the 300 saved a period by 150 either way.
    assert (even.lower, even.upper) == pytest.approx((3000 / 450, 3000 / 150))
    base = {i.indicator for i in cost_indicators(sheet(), "clerks", "clerks")}
    assert "break_even_periods" not in base


def test_never_is_not_a_number() -> None:
    dear = sheet(**arms(model={"running": {"licences": 500.0}}))
    found = {i.indicator: i.estimate for i in cost_indicators(dear, "model", "clerks")}
    assert found["break_even_periods"].status == "not_applicable"
    assert found["break_even_periods"].note.startswith("never")


def test_energy_says_how_it_was_found() -> None:
    tree = sheet().model_dump()
    tree["arms"]["model"]["energy"] = {
        "source": "estimated",
        "watts": 90.0,
        "hours_per_period": 2.0,
        "kg_co2e_per_kwh": 0.25,
    }
    found = {
        i.indicator: i.estimate
        for i in cost_indicators(CostSheet.model_validate(tree), "model", "clerks")
    }
    assert found["energy_kwh"].value == pytest.approx(0.18)
    assert found["carbon_kg"].value == pytest.approx(0.045)
    assert "estimated: power x time" in found["carbon_kg"].note


def test_measured_share_replaces_the_planned_one() -> None:
    changed = sheet().with_automatic_share("model", 0.5)
    assert changed.arm("model").clerical.automatic_share_is == "measured"
    assert clerical_minutes(changed, "model") == pytest.approx(1450)
    assert sheet().arm("model").clerical.automatic_share == 0.6
    with pytest.raises(ConfigError) as error:
        sheet().with_automatic_share("modl", 0.5)
    assert error.value.nearest == "model"


def test_demonstration_sheet_is_complete_and_says_that_it_is_invented() -> None:
    demo = read_cost_sheet(DEMO)
    assert "invented" in demo.source
    found = cost_indicators(demo, "linear", "index", accuracy=ACCURACY)
    assert all(i.estimate.status == "measured" for i in found[:-1])
    assert np.isfinite(break_even_periods(demo, "linear", "index"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hourly_rate: 38", "hourly_rate: -1", "greater than 0"),
        ("automatic_share: 0.55", "automatic_share: 1.55", "less than or equal to 1"),
        ("automatic_share: 0.55", "automatic_share: .nan", "finite"),
        ("units_per_period: 60000", "units: 60000", "Field required"),
        ("source: estimated, watts: 60", "source: guessed, watts: 60", "measured"),
        ("hourly_rate: 38", 'hourly_rate: "38"', "valid number"),
    ],
)
def test_mistake_in_a_sheet_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = DEMO.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "costs.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as error:
        read_cost_sheet(path)
    line = text[: text.index(old)].count("\n") + 1
    wanted = 1 if said == "Field required" else line
    assert f"costs.yaml:{wanted}" in str(error.value.where)

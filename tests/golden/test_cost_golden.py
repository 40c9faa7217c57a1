"""A cost sheet and the table it gives, both to be read and signed by a person.

`cost/expected.csv` was worked out by hand from `cost/sheet.yaml`; lines of zero are
left out of it.
"""

from pathlib import Path

import pandas as pd
import pytest

from mlstats.quality.cost import cost_indicators, cost_table, sensitivity, total_cost
from mlstats.quality.cost_sheet import read_cost_sheet

HERE = Path(__file__).parent / "cost"
SHEET = read_cost_sheet(HERE / "sheet.yaml")


def test_table_of_costs() -> None:
    found = cost_table(SHEET)
    found = found[found["over_life"] > 0].reset_index(drop=True)
    expected = pd.read_csv(HERE / "expected.csv")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


@pytest.mark.parametrize(
    ("indicator", "value"),
    [
        ("cost_total", 11_000.0),
        ("clerical_minutes_saved", 800.0),
        ("break_even_periods", 10.0),  # 3,000 more at first, 300 less each period
        ("break_even_units", 1000.0),
        ("energy_kwh", 1.0),  # 200 W for 5 hours
        ("carbon_kg", 0.3),
    ],
)
def test_figures(indicator: str, value: float) -> None:
    found = {i.indicator: i.estimate for i in cost_indicators(SHEET, "model", "clerks")}
    assert found[indicator].value == pytest.approx(value)


def test_tornado_of_the_total() -> None:
    table = sensitivity(SHEET, lambda sheet: total_cost(sheet, "model"))
    swings = table.set_index("input")["swing"]
    # 3,000 once and 10 x (200 + 600): 40 % of what each input multiplies.
    wanted = {
        "periods": 0.4 * 8000,
        "units_per_period": 0.4 * 6000,
        "hourly_rate": 0.4 * 6000,
        "arms.model.clerical.automatic_share": 0.4 * 0.6 * 1000 * 2.5 * 0.5 * 10,
        "minutes_per_unit": 0.4 * 4000,
        "arms.model.fixed.development": 0.4 * 2000,
        "arms.model.clerical.referral_minutes_per_unit": 0.4 * 1000,
    }
    for name, swing in wanted.items():
        assert swings[name] == pytest.approx(swing)
    assert table["input"].iloc[0] == "periods"

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from mlstats.errors import ConfigError
from mlstats.quality.cost_sheet import CostSheet
from mlstats.quality.estimate import Estimate
from mlstats.quality.timeliness import (
    Development,
    development_time,
    label_age,
    output_lag,
    processing_time,
    punctuality,
    read_timeliness_sheet,
    retraining_lead,
)
from mlstats.settings import config_folders

DEMO = config_folders(Path())[-1] / "timeliness" / "demo.yaml"
TIMINGS = pd.DataFrame(
    {
        "method": ["ml", "ml", "ml", "index"],
        "step": ["fit", "predict", "predict", "predict"],
        "units": [900, 300, 200, 500],
        "wall_seconds": [60.0, 1.5, 1.0, 0.5],
    }
)


def of(*indicators: object) -> list[Estimate]:
    return [indicator.estimate for indicator in indicators]  # type: ignore[attr-defined]


def test_development_in_work_and_in_calendar_days() -> None:
    work, days = of(
        *development_time(
            Development(
                person_days={"labelling": 30.0, "it": 12.5},
                started=date(2026, 1, 12),
                approved=date(2026, 6, 30),
            )
        )
    )
    assert work.value == work.upper == 42.5
    assert work.note == "labelling 30, it 12.5"
    assert days.value == 169


@pytest.mark.parametrize(
    "told", [None, Development(), Development(started=date(2026, 1, 12))]
)
def test_development_that_is_not_told_is_not_measured(told: Development | None) -> None:
    assert {e.status for e in of(*development_time(told))} == {"not_measured"}


def test_processing_with_and_without_the_clerks() -> None:
    (machine,) = of(processing_time(TIMINGS, "ml"))
    assert machine.value == pytest.approx(5.0)  # 2.5 s for 500 units
    assert "clerks' time is not known" in machine.note
    clerical = {"automatic_share": 0.75, "referral_minutes_per_unit": 0.5}
    sheet = CostSheet.model_validate(
        {
            "version": 1,
            "currency": "EUR",
            "price_year": 2026,
            "source": "worked out by hand",
            "hourly_rate": 30.0,
            "minutes_per_unit": 1.0,
            "units_per_period": 1000.0,
            "periods": 10.0,
            "arms": {"ml": {"clerical": clerical}},
        }
    )
    (whole,) = of(processing_time(TIMINGS, "ml", sheet))
    assert whole.value == pytest.approx(5.0 + 0.25 * 1.5 * 60 * 1000)
    (none,) = of(processing_time(TIMINGS, "unknown"))
    assert none.status == "not_measured"


def test_output_lag_counts_from_the_end_of_the_period() -> None:
    (found,) = of(output_lag("2026-Q1", date(2026, 5, 15)))
    assert found.value == 45
    (plan,) = of(output_lag("2026-Q1", None, planned_days=40))
    assert plan.status == "not_measured"
    assert plan.note == "nothing is released yet, planned 40 days"
    (early,) = of(output_lag("2026-Q1", date(2026, 3, 1)))
    assert early.status == "not_measured"
    assert "backwards" in early.note


def test_punctuality_is_negative_where_early() -> None:
    late, early, open_ = of(
        punctuality(date(2026, 5, 10), date(2026, 5, 15)),
        punctuality(date(2026, 5, 10), date(2026, 5, 8)),
        punctuality(None, date(2026, 5, 8)),
    )
    assert late.value == 5
    assert early.value == -2
    assert open_.note == "no planned day"


def test_retraining_and_age_of_labels() -> None:
    lead, never, age, newer, undated = of(
        retraining_lead(date(2026, 2, 1), date(2026, 3, 1)),
        retraining_lead(date(2026, 2, 1), None),
        label_age("2026-08", date(2026, 6, 30)),
        label_age("2026-08", date(2026, 9, 30)),
        label_age("2026-08", None),
    )
    assert lead.value == 28
    assert never.status == "not_measured"
    assert age.value == 62
    assert newer.value == 0
    assert "newer" in newer.note
    assert undated.status == "not_measured"


def test_demonstration_sheet_and_its_mistakes(tmp_path: Path) -> None:
    demo = read_timeliness_sheet(DEMO)
    assert sum(demo.development["linear"].person_days.values()) == 80
    bad = tmp_path / "times.yaml"
    bad.write_text(DEMO.read_text(encoding="utf-8").replace("2026-06-30", "June"))
    with pytest.raises(ConfigError) as error:
        read_timeliness_sheet(bad)
    assert "times.yaml:8 (development.linear.approved)" in str(error.value.where)

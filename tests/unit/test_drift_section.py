"""The drift section of the report, its sheet and its summary."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.drift import Reference, Summary, drift
from mlstats.quality.drift_section import drift_lines, gravest
from mlstats.quality.report import render_html, tables, write_xlsx
from tests.report_example import example_report

EVIL = "<script>planted</script>"


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(8)

    def period(shift: float, share: float) -> pd.DataFrame:
        n = 4000
        return pd.DataFrame(
            {
                "length": rng.normal(shift, 1, n),
                EVIL: rng.choice(["a", "b"], n, p=[share, 1 - share]),
                "few": [1.0] * 5 + [np.nan] * (n - 5),
            }
        )

    before, now = period(0, 0.5), period(0, 0.8)
    reference = Reference.learn(before)
    old, new = Summary.of(before, reference), Summary.of(now, reference)
    found = drift(new, {"training": old})
    object.__setattr__(found, "absent", {"last_accepted": "the data hold no 2025-12"})
    return found


def test_a_line_is_the_gravest_test_of_a_column_and_alarms_stand_first(result):
    table = result.table()
    lines = {line.column: line for line in drift_lines(table)}
    assert len(lines) == len(gravest(table)) == 4
    assert drift_lines(table)[0].column == EVIL
    assert lines[EVIL].word == "alarm"
    assert lines["length"].word == "no alarm"
    assert lines["length"].mark != "pass"  # no alarm proves no absence of drift
    assert lines["few"].word == "not measured"
    assert lines[""].reference == "last accepted"
    assert lines[""].note == "the data hold no 2025-12"
    assert {c: line.state for c, line in lines.items() if c} == dict(result.by_column())


def test_the_page_shows_sentence_table_and_what_is_not_there(result):
    shown = example_report(drift=result.table(), drift_sentence=result.sentence())
    html = render_html(shown)
    section = html[html.index('id="drift"') : html.index('<h2 id="methods">')]
    assert "1 drift" in section
    assert "the data hold no 2025-12" in section
    assert section.count('<tr role="row"') == 1 + 4
    assert EVIL not in html
    assert "&lt;script&gt;planted" in section
    assert html.index('id="domains"') < html.index('id="drift"')
    for value in ("Floor", "Adjusted p", "Least detectable"):
        assert value in section


def test_without_verdicts_there_is_no_section_and_no_sheet():
    assert 'id="drift"' not in render_html(example_report())
    assert "Drift" not in tables(example_report())


def test_the_workbook_has_every_test_and_the_summary_the_sentence(result, tmp_path):
    report = example_report(drift=result.table(), drift_sentence=result.sentence())
    sheets = tables(report)
    assert list(sheets)[-2:] == ["Drift", "Provenance"]
    assert len(sheets["Drift"]) == len(result.verdicts) + 1
    summary = sheets["Summary"].set_index("item")["value"]
    assert summary["drift"] == result.sentence()
    write_xlsx(report, tmp_path / "a.xlsx")


def test_effects_are_written_in_their_own_units():
    row = {
        "column": "c", "reference": "training", "test": "code", "method": "m",
        "measure": "share", "statistic": 1.0, "p": 0.0001, "p_adjusted": 0.0004,
        "effect": -0.0312, "effect_lower": -0.05, "effect_upper": -0.01, "floor": 0.01,
        "state": "drift", "n_reference": 1000, "n": 900, "n_eff_reference": 1000.0,
        "n_eff": 900.0, "minimum_detectable": 0.02, "note": "code x",
    }  # fmt: skip
    changes = pd.DataFrame(
        [
            row,
            row | {"column": "d", "measure": "composition", "effect": 0.351},
            row | {"column": "e", "measure": "distance", "effect": 0.035},
        ]
    )
    lines = drift_lines(changes)
    assert [line.effect.text for line in lines] == [
        "\u22123.1 points", "35.1\u202f%", "0.035",
    ]  # fmt: skip
    assert lines[0].effect.interval == "\u22125.0 to \u22121.0"
    assert lines[0].p == "<0.001"
    assert lines[0].units == "1,000 / 900"

"""Sections beside accuracy: published figures, last period, cards, waivers."""

from __future__ import annotations

import io
import math
import re

import openpyxl
import pandas as pd
import pytest
from rich.console import Console

from mlstats.quality.aggregate_section import aggregate_section
from mlstats.quality.method_card import method_cards
from mlstats.quality.report import render_html, tables, write_parquet, write_xlsx
from mlstats.quality.report_tables import AGGREGATE_COLUMNS, KEPT_BACK, told
from mlstats.quality.terminal import print_scorecard
from mlstats.quality.verdicts import gates, lights, transitions
from tests.full_report_example import TEXT, example_aggregates, full_report
from tests.report_example import NASTY, example_report
from tests.unit.test_report import Page

SECTIONS = [
    "dimensions", "methods-compared", "gates", "levels", "differences", "unseen",
    "domains", "published", "previous", "figures", "methods", "data", "reading",
]  # fmt: skip


def test_every_section_stands_in_the_order_of_a_reviewer():
    page = Page(render_html(full_report()))
    assert page.open == []
    heads = [a["id"] for tag, a in page.tags if tag == "h2" and "id" in a]
    assert heads == SECTIONS
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    names = [tag for tag, _ in page.tags]
    assert names.count("table") == names.count("caption")


# -- the published figure ----------------------------------------------------------


def test_the_class_that_the_candidate_moves_most_stands_first():
    shown = aggregate_section(full_report())
    assert [name for name, _ in shown["rows"]] == ["04", "01", "03", "02", "11", "05"]
    assert shown["headings"] == [
        "truth", "index (baseline)", "linear (candidate)", "hybrid", "corrected",
    ]  # fmt: skip
    truth, base, focus = dict(shown["rows"])["04"][:3]
    assert (truth[0].text, truth[1]) == ("14.0\u202f%", None)
    assert base[1].text == "+1.2"
    assert focus[1].text == "\u22121.2"
    assert focus[1].interval == "\u22121.7 to \u22120.7"


def test_the_figures_of_the_plot_are_those_of_the_table():
    html = render_html(full_report())
    assert html.count('class="plot-zero"') == 3
    assert "index (baseline): +1.2 (+0.7 to +1.7)" in html


def test_a_domain_of_few_units_is_told_nowhere(tmp_path):
    report = full_report()
    rows = Page(render_html(report)).rows_of("shop: web")
    assert rows == [["shop: web", "\u2013", f"\u2013 not measured: {KEPT_BACK}"]]
    (market,) = Page(render_html(report)).rows_of("shop: market")
    assert market[2] == "04"
    write_parquet(report, tmp_path / "scorecard.parquet")
    stored = pd.read_parquet(tmp_path / "aggregates.parquet")
    for frame in (tables(report)["Aggregates"], stored):
        web = frame[frame["domain"] == "shop: web"]
        assert len(web) == 30
        assert (
            web[["value", "se", "lower", "difference", "gap", "n"]]
            .isna()
            .all(axis=None)
        )
        assert set(web["note"]) == {KEPT_BACK}
        assert frame[frame["domain"] != "shop: web"]["value"].notna().all()
    assert list(stored.columns[:4]) == ["run_id", "pilot", "period", "synthetic"]


def test_ten_units_are_told():
    nine, ten = (example_aggregates().assign(n=n) for n in (9, 10))
    assert told(nine)["value"].isna().all()
    assert told(ten)["value"].notna().all()


def test_domains_of_the_scorecard_with_few_units_are_dashes():
    (kiosk,) = Page(render_html(full_report())).rows_of("kiosk")
    assert kiosk == ["kiosk", "\u2013", f"\u2013 {KEPT_BACK}"]


def test_of_the_hybrids_of_every_model_the_candidates_is_shown():
    one = example_aggregates()
    hybrids = one[one["arm"] == "hybrid"]
    others = [hybrids.assign(arm=f"{m}, rest index") for m in ("fasttext", "linear")]
    report = full_report(
        aggregates=pd.concat([one[one["arm"] != "hybrid"], *others], ignore_index=True)
    )
    headings = aggregate_section(report)["headings"]
    assert headings[3] == "linear, rest index (hybrid)"
    assert len(headings) == 5


def test_many_classes_are_cut_short_and_the_workbook_has_them_all():
    one = example_aggregates()
    many = pd.concat([one.assign(variable=one["variable"] + f".{i}") for i in range(9)])
    report = full_report(aggregates=many)
    shown = aggregate_section(report)
    assert len(shown["rows"]) + shown["more"] == 54
    assert shown["more"] == 29
    assert "29 further classes" in Page(render_html(report)).text
    assert len(tables(report)["Aggregates"]) == len(many)


def test_classes_without_a_difference_are_listed_and_not_drawn():
    one = example_aggregates()
    kept_back = sorted(set(one["variable"]))[:2]
    few = one["variable"].isin(kept_back)
    shown = aggregate_section(
        full_report(aggregates=one.assign(n=one["n"].mask(few, 3)))
    )
    assert (shown["drawn"], len(shown["rows"])) == (4, 6)
    assert not any(f"class {name}<" in shown["plot"] for name in kept_back)
    page = Page(render_html(full_report(aggregates=one.assign(n=3))))
    assert "classes that linear moves most" not in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "ml"},
        {"status": "not_applicable", "note": "no truth at this level"},
        {"value": None, "difference": None, "lower": None, "upper": None},
        {"level": "17", "arm": "nobody"},
        {"variable": NASTY, "domain": NASTY, "arm": NASTY, "note": NASTY},
    ],
)
def test_any_table_of_figures_becomes_a_page(changes, tmp_path):
    report = full_report(aggregates=example_aggregates().assign(**changes))
    html = render_html(report)
    assert Page(html).open == []
    assert not re.search(r">\s*nan", html, re.IGNORECASE)
    write_xlsx(report, tmp_path / "a.xlsx")
    write_parquet(report, tmp_path / "a.parquet")


def test_without_figures_there_is_no_section_and_an_empty_table(tmp_path):
    report = example_report()
    assert 'id="published"' not in render_html(report)
    assert "no earlier run of this pilot was found" in Page(render_html(report)).text
    write_parquet(report, tmp_path / "a.parquet")
    stored = pd.read_parquet(tmp_path / "aggregates.parquet")
    assert list(stored.columns[4:]) == list(AGGREGATE_COLUMNS)
    assert stored.empty


def test_totals_of_imputed_variables_stand_beside_shares_each_in_its_unit():
    rows = [
        ("pay", "total", "truth", "truth", 2_000_000.0, math.nan),
        ("pay", "total", "index", "traditional", 2_100_000.0, 100_000.0),
        ("pay", "total", "linear", "ml", 1_990_000.0, -10_000.0),
        ("school", "high", "truth", "truth", 0.2, math.nan),
        ("school", "high", "index", "traditional", 0.23, 0.03),
        ("school", "high", "linear", "ml", 0.21, 0.01),
    ]
    names = ["level", "variable", "arm", "kind", "value", "difference"]
    table = pd.DataFrame(rows, columns=names).assign(
        domain="", n=500, status="measured", note=""
    )
    margin = table["difference"].abs() / 2
    table["difference_lower"] = table["difference"] - margin
    table["difference_upper"] = table["difference"] + margin
    table = table.reindex(columns=list(AGGREGATE_COLUMNS))
    report = full_report(aggregates=table)
    shown = aggregate_section(report)
    assert shown["totals"]
    found = dict(shown["rows"])
    assert set(found) == {"pay", "school: high"}
    assert [value.text for value, _ in found["pay"]] == [
        "2,000,000", "2,100,000", "1,990,000"
    ]  # fmt: skip
    gaps = [gap for _, gap in found["pay"][1:]]
    assert [gap.text for gap in gaps] == ["+5.0", "\u22120.5"]
    assert gaps[0].interval == "+2.5 to +7.5"
    assert found["school: high"][2][0].text == "21.0\u202f%"
    assert found["school: high"][2][1].text == "+1.0"
    assert "% of a total, points of a share" in shown["plot"]
    assert not aggregate_section(full_report())["totals"]


# -- the last period ---------------------------------------------------------------


def test_the_last_period_is_named_with_now_then_and_the_difference():
    page = Page(render_html(full_report()))
    assert "Compared with run 77ab12cd of period 2025-10 to 2025-12" in page.text
    found = [row for row in page.rows_of("linear") if row[1] == "accuracy"]
    assert found == [["linear", "accuracy", "67.5 %", "68.9 %",
                      "\u22121.4 \u22123.6 to +0.8"]]  # fmt: skip
    assert "taken as two independent samples" in page.text


# -- the cards ---------------------------------------------------------------------


def test_a_card_says_what_a_method_is_and_what_it_cannot_do():
    cards = {card.name: card for card in method_cards(full_report())}
    facts = {name: value for name, value, _ in cards["linear"].facts}
    assert cards["linear"].role == "candidate"
    assert facts["training rows"] == "9,176"
    assert facts["inputs"] == "text, shop_type"
    assert facts["registered version"] == "3"
    assert facts["calibration"] == "on 2,634 units of the valid part"
    assert any("60.9" in limit for limit in cards["linear"].limits)
    assert any("29.8" in limit for limit in cards["exact"].limits)
    assert any("no confidence" in limit for limit in cards["incumbent"].limits)
    assert any("No part" in limit for limit in cards["fasttext"].limits)
    assert "version" in tables(full_report())["Methods"]


def test_a_card_without_further_columns_says_that_they_were_not_recorded():
    card = next(c for c in method_cards(example_report()) if c.name == "linear")
    facts = {name: value for name, value, _ in card.facts}
    assert facts["training rows"] == facts["inputs"] == "not recorded"
    assert card.role == "candidate"


# -- waivers -----------------------------------------------------------------------


def test_a_waived_gate_is_neither_passed_nor_hidden():
    report = full_report()
    waived = next(gate for gate in gates(report) if gate.result == "waived")
    assert waived.word == "waived (fail)"
    for part in (
        TEXT,
        "Until 2026-06-30",
        "A. Archer (methodology",
        "B. Baker (prices",
    ):
        assert part in waived.waiver
    assert [t[1] for t in transitions(report)] == ["pass", "inconclusive"]
    only = report.gates.iloc[[1]]
    alone = full_report(gates=only)
    assert transitions(alone) == [("production", "waived", "waived", "1 waived")]
    assert lights(alone)["accuracy"].state == "waived"


def test_a_waived_gate_is_red_in_the_workbook_and_no_other_is(tmp_path):
    write_xlsx(full_report(), tmp_path / "a.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["Gates"]
    rows = [[cell for cell in row if cell.value is not None] for row in sheet.rows]
    red = [
        [
            cell.font.color is not None and cell.font.color.rgb == "009A1C1C"
            for cell in r
        ]
        for r in rows
    ]
    assert [any(row) for row in red] == [False, False, True, False, False]
    assert TEXT in rows[2][-1].value


def test_a_waiver_stands_in_red_with_text_expiry_and_signatures():
    html = render_html(full_report())
    assert 'class="state state-waived"' in html
    red = html.partition('<span class="waiver">')[2].partition("</span>")[0]
    assert TEXT in red
    assert "Until 2026-06-30, signed by A. Archer" in red
    assert ".state-waived, .waiver { color: var(--fail); }" in html
    stream = io.StringIO()
    console = Console(
        file=stream, width=80, force_terminal=True, color_system="standard"
    )
    print_scorecard(full_report(), console)
    assert "\x1b[1;31mwaived (fail)" in stream.getvalue()
    assert "\x1b[1;31mWaiver: The queue" in stream.getvalue()
    sheet = tables(full_report())["Gates"]
    assert TEXT in sheet.loc[sheet["result"] == "waived (fail)", "waiver"].iloc[0]

"""The reports in a real browser: they open from a file and ask the network nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlstats.quality.evidently import write_drift_report
from mlstats.quality.report import write_html
from tests.flows.conftest import PATIENCE
from tests.flows.test_evidently_report import COLUMNS, safe_view, verdicts
from tests.report_example import example_report, nasty_report


class Visit:
    """A page with everything it asked for and complained about."""

    def __init__(self, browser, path: Path, width: int = 1200) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(path.as_uri())

    def _hear(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def asked_elsewhere(self) -> list[str]:
        inside = ("file:", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(inside)]

    def wider_than_the_window(self) -> bool:
        return self.page.evaluate(
            "document.documentElement.scrollWidth > window.innerWidth"
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports with a space")
    write_html(example_report(), folder / "report.html")
    write_html(nasty_report(), folder / "nasty.html")
    write_drift_report(
        safe_view(400, shift=0.5),
        safe_view(400, seed=1),
        folder / "evidently.html",
        columns=COLUMNS,
        verdicts=verdicts(safe_view(400, shift=0.5), safe_view(400, seed=1)),
        synthetic=True,
    )
    return folder


@pytest.mark.parametrize("width", [1200, 480])
def test_verdict_and_table_are_seen_without_a_network(browser, folder, width):
    visit = Visit(browser, folder / "report.html", width)
    page, report = visit.page, example_report()
    assert page.locator("#verdict").inner_text() == report.verdict
    assert page.locator("#verdict").is_visible()
    assert page.locator(".synthetic").is_visible()
    assert page.locator("#scorecard tbody tr").count() == len(report.method_names)
    assert page.locator("#scorecard tr.candidate td").first.is_visible()
    for plot in page.locator("svg.plot").all():
        assert plot.bounding_box()["height"] > 100
    assert not visit.wider_than_the_window()
    assert visit.asked_elsewhere() == []
    assert visit.complaints == []


def test_a_screen_reader_finds_tables_headings_and_named_pictures(browser, folder):
    page = Visit(browser, folder / "report.html").page
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("img", name="Difference in accuracy to index").count() == 1
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader"))
    assert row.filter(has_text="+4.0 to +6.6").count() >= 1
    gate = page.get_by_role("row").filter(has_text="coded without a clerk")
    assert gate.get_by_role("rowheader").inner_text().strip() == "fail"


@pytest.mark.parametrize("width", [1200, 480])
def test_hostile_strings_run_nothing_and_break_no_width(browser, folder, width):
    visit = Visit(browser, folder / "nasty.html", width)
    assert visit.page.locator("script").count() == 0
    assert not visit.wider_than_the_window()
    assert visit.asked_elsewhere() == []
    assert visit.complaints == []


def test_report_prints_on_portrait_pages_with_nothing_cut_off(browser, folder):
    # 184 mm: A4 less the margins of the style sheet.
    visit = Visit(browser, folder / "report.html", 695)
    visit.page.emulate_media(media="print")
    assert not visit.wider_than_the_window()
    assert visit.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_evidently_page_draws_and_asks_nothing(browser, folder):
    visit = Visit(browser, folder / "evidently.html")
    page = visit.page
    page.get_by_text("Drift is detected for").wait_for()
    page.get_by_text("SYNTHETIC DATA").wait_for()
    page.get_by_text("empty: left out").wait_for()
    # A row opens with its plot, and the tests have a tab of their own.
    page.locator("tbody tr button").first.click()
    page.locator(".js-plotly-plot svg.main-svg").first.wait_for()
    page.get_by_role("tab", name="Tests").click()
    page.get_by_text("Value Drift for column known_share").first.wait_for()
    assert page.evaluate("window.planted") is None
    assert visit.asked_elsewhere() == []
    assert visit.complaints == []

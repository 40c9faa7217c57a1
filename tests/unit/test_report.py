from __future__ import annotations

import io
import math
import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from mlstats.config import GateRule
from mlstats.errors import MlstatsError, ServiceError
from mlstats.quality.all_figures import all_figures
from mlstats.quality.figures import (
    Cell,
    Figure,
    as_text,
    indicator_name,
    write,
    write_difference,
    write_gate,
    write_speed,
)
from mlstats.quality.gate import judge
from mlstats.quality.report import (
    RunReport,
    render_html,
    tables,
    write_html,
    write_parquet,
    write_xlsx,
)
from mlstats.quality.scorecard import Plan, score
from mlstats.quality.terminal import print_scorecard
from mlstats.quality.verdicts import lights, transitions
from tests.evaluation_example import LEVELS, ancestor, evaluation_of, units_of
from tests.report_example import (
    NAN,
    NASTY,
    example_gates,
    example_report,
    example_scorecard,
    gate,
    nasty_report,
    row,
)

VOID = {"col", "meta", "link", "br", "circle", "path", "rect", "line"}


class Page(HTMLParser):
    """Elements, their attributes and the text inside chosen ones."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if self.cells and {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def rows_of(self, head: str) -> list[list[str]]:
        cells = [[" ".join(c.split()) for c in r] for r in self.cells]
        return [r for r in cells if r and r[0].startswith(head)]


def cell(**values: object) -> Cell:
    return Cell.from_row(row(indicator="accuracy", method="linear", **values))


def console(width: int = 80, **options: object) -> Console:
    return Console(file=io.StringIO(), width=width, **options)


def printed(report: RunReport, width: int = 80, **options: object) -> str:
    to = console(width, **options)
    print_scorecard(report, to, path=Path("/a folder/report.html"))
    return to.file.getvalue()


# -- figures -----------------------------------------------------------------------


def test_a_share_is_written_in_percent_with_its_interval():
    figure = write(cell(value=0.6749, lower=0.657, upper=0.6931))
    assert figure == Figure("67.5\u202f%", "65.7 to 69.3")


def test_a_cell_of_another_level_says_so():
    assert write(cell(value=0.5, level="full"), level="4").remark == "full code"
    assert write(cell(value=0.5, level="4"), level="4").remark == ""
    assert write(cell(value=0.5, level=""), level="4").remark == ""


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"status": "not_measured", "note": "too few units"}, "too few units"),
        ({"status": "not_applicable"}, "not applicable"),
        ({"status": "measured", "value": NAN}, "no value"),
        ({"status": "not_measured", "value": 0.9}, "not measured"),
        ({"status": "of another version", "value": 0.9}, "of another version"),
    ],
)
def test_what_was_not_measured_is_a_dash_with_its_reason(values, why):
    figure = write(cell(**values))
    assert figure.text == "\u2013"
    assert why in figure.missing


def test_half_an_interval_is_no_interval():
    assert write(cell(value=0.5, lower=0.4)).interval == ""


def test_difference_has_a_sign_and_the_baseline_has_none():
    figure = write_difference(
        cell(value=0.6, difference=-0.0123, difference_lower=-0.02,
             difference_upper=0.0001),
        baseline="index",
    )  # fmt: skip
    assert figure == Figure("\u22121.2", "\u22122.0 to 0.0")
    assert write_difference(cell(value=0.6), baseline="linear").text == "baseline"
    assert write_difference(cell(value=0.6), baseline="index").missing


def test_speed_is_units_per_second_and_zero_seconds_are_no_speed():
    assert write_speed(cell(value=0.0761)).text == "13,100"
    assert write_speed(cell(value=0.0)).missing
    assert write_speed(None).missing


def test_a_gate_against_a_method_is_written_in_points_with_one_bound():
    figure, limit = write_gate(
        gate(measure="accuracy@full", versus="index", value=0.053, lower=0.04,
             threshold=-0.02)
    )  # fmt: skip
    assert (figure.text, figure.interval, limit) == (
        "+5.3",
        "+4.0 to no bound",
        "\u22122.0",
    )
    figure, limit = write_gate(gate(measure="accuracy", value=0.5, threshold=0.6))
    assert (figure.text, limit) == ("50.0\u202f%", "60.0\u202f%")


@pytest.mark.parametrize("value", [None, NAN, pd.NA, pd.NaT])
def test_every_missing_text_is_empty(value):
    assert as_text(value) == ""


# -- lights and transitions --------------------------------------------------------


def test_a_light_takes_the_worst_gate_and_is_never_green_without_one():
    found = lights(example_report())
    states = {name: light.state for name, light in found.items()}
    assert states == {
        "explainability": "not_measured",
        "accuracy": "fail",
        "reproducibility": "not_measured",
        "timeliness": "measured",
        "cost": "not_measured",
        "robustness": "not_measured",
        "fairness": "not_measured",
        "data": "not_measured",
    }


def test_without_gates_no_light_is_green_and_no_transition_passes():
    report = example_report(gates=example_gates().iloc[:0])
    assert "pass" not in {light.state for light in lights(report).values()}
    assert transitions(report) == []
    assert 'class="is-pass"' not in render_html(report)


def test_a_passed_and_an_unmeasured_gate_leave_a_dimension_partly_measured():
    gates = example_gates().iloc[[0, 1]].assign(result=["pass", "not_measured"])
    found = lights(example_report(gates=gates))["accuracy"]
    assert found.state == "partial"
    gates["result"] = "pass"
    assert lights(example_report(gates=gates))["accuracy"].state == "pass"


def test_an_unknown_result_is_never_a_pass():
    gates = example_gates().assign(result="passed")
    report = example_report(gates=gates)
    assert [t[1] for t in transitions(report)] == ["not_measured"] * 2
    assert lights(report)["accuracy"].state == "not_measured"


def test_transitions_tell_each_count():
    assert [(t[0], t[1], t[3]) for t in transitions(example_report())] == [
        ("shadow", "pass", "1 pass"),
        ("production", "fail", "1 fail, 1 inconclusive, 1 not measured"),
    ]


# -- the report --------------------------------------------------------------------


def test_levels_are_in_order_with_the_full_code_last():
    card = example_scorecard()
    card["level"] = card["level"].replace({"4": "10", "3": "group"})
    assert example_report(scorecard=card).levels == ["1", "2", "10", "group", "full"]


def test_a_difference_to_a_third_method_is_not_taken_for_the_baselines():
    card = example_scorecard().assign(versus="index")
    third = card[card["method"] == "linear"].assign(versus="exact", difference=0.42)
    report = example_report(scorecard=pd.concat([card, third], ignore_index=True))
    found = report.cell("accuracy", "linear")
    assert found is not None
    assert found.difference == pytest.approx(0.053)
    assert len(tables(report)["Scorecard"]) == len(card) + len(third)


def test_a_scorecard_and_gates_as_they_are_made_become_a_report(tmp_path):
    plan = Plan(
        kinds={"trad": "traditional", "ml": "ml"},
        baseline="trad",
        level="full",
        levels=LEVELS,
        bootstrap=50,
    )
    card = score(evaluation_of(units_of(300, seed=2)), ancestor, plan)
    rules = [GateRule(measure="accuracy", versus="trad", margin=0.02)]
    report = example_report(
        scorecard=card,
        gates=judge(card, rules, method="ml", level="full"),
        baseline="trad",
        candidate="ml",
    )
    found = card[(card["method"] == "ml") & (card["indicator"] == "accuracy")]
    value = found.set_index("level").loc["full", "value"]
    page = Page(render_html(report))
    assert page.rows_of("mlcandidate")[0][1].startswith(f"{100 * value:.1f} %")
    assert "margin \u22122.0 (shadow, full code)" in page.text
    assert list(tables(report)["Scorecard"].columns) == list(card.columns)
    write_xlsx(report, tmp_path / "a.xlsx")
    write_parquet(report, tmp_path / "a.parquet")


def test_a_table_without_its_columns_is_refused():
    with pytest.raises(MlstatsError, match="scorecard") as caught:
        example_report(scorecard=example_scorecard().drop(columns="lower"))
    assert caught.value.expected == "lower"


def test_page_is_well_formed_and_asks_nothing_of_the_network():
    html = render_html(example_report())
    page = Page(html)
    assert page.open == []
    assert not {"script", "iframe", "img", "object"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name in ("href", "src"):
            target = attributes.get(name, "#")
            assert target.startswith("#") or target == "data:,", (tag, target)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html


def test_every_table_has_a_caption_and_every_heading_a_scope_and_every_id_is_one():
    tags = Page(render_html(example_report())).tags
    names = [tag for tag, _ in tags]
    assert names.count("table") == names.count("caption")
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        for name in attributes.get("aria-labelledby", "").split():
            assert name in ids


def test_verdict_stands_before_any_number_and_the_main_row_has_all_figures():
    report = example_report()
    page = Page(render_html(report))
    assert page.text.index(report.verdict) < page.text.index("65.7 to 69.3")
    main = page.rows_of("linear")[0]
    assert main == [
        "linearcandidateML",
        "67.5 % 65.7 to 69.3",
        "+5.3 +4.0 to +6.6",
        "0.472 0.452 to 0.492",
        "100.0 % 98.0 to 100.0",
        "37.7 % 35.9 to 39.5",
        "42.7 % no interval",
        "3.6 % 1.8 to 5.4",
        "9,350",
        "2.79 s",
    ]


def test_a_missing_figure_tells_why_in_a_title_and_in_print():
    page = Page(render_html(example_report()))
    titles = {
        attributes["title"]
        for tag, attributes in page.tags
        if attributes.get("class") == "missing"
    }
    assert "not applicable: gives no confidence" in titles
    assert (
        "incumbent (guaranteed rate, oracle rate, error of the automated part): "
        "not applicable: gives no confidence"
    ) in page.text


def test_unmeasured_dimensions_are_named_as_incomplete():
    text = Page(render_html(example_report())).text
    assert "Explainability, Reproducibility, Cost effectiveness were not measured" in (
        text
    )


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_data_are_labelled_everywhere_or_nowhere(synthetic, tmp_path):
    report = example_report(synthetic=synthetic)
    html = render_html(report)
    captions = html.count("<caption")
    assert (html.count('class="tag"') >= captions) is synthetic
    assert (html.count('class="plot-remark"') == 3) is synthetic
    assert ("SYNTHETIC DATA" in html) is synthetic
    assert ("SYNTHETIC DATA" in printed(report)) is synthetic
    assert ("SYNTHETIC" in tables(report)["Summary"]["value"][1]) is synthetic


def test_margins_of_the_gates_stand_in_the_forest_plot():
    html = render_html(example_report())
    assert "margin \u22122.0 (shadow, full code)" in html
    assert html.count('class="plot-margin"') == 1


def test_hostile_strings_stay_text(tmp_path):
    html = render_html(nasty_report())
    page = Page(html)
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert " ".join(NASTY.split()) in page.text
    assert not re.search(r">\s*nan", html, re.IGNORECASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"gates": example_gates().iloc[:0]},
        {"scorecard": example_scorecard().iloc[:0]},
        {"methods": example_report().methods.iloc[:0]},
        {
            "scorecard": example_scorecard().iloc[:0],
            "gates": example_gates().iloc[:0],
            "methods": example_report().methods.iloc[:0],
            "provenance": {},
            "data_facts": [],
            "notes": [],
            "candidate": "",
            "target_accuracy": None,
        },
        {"scorecard": example_scorecard().assign(value=NAN)},
        {"scorecard": example_scorecard().query("method == 'index'")},
        {"baseline": "nobody", "candidate": "no one", "level": "17"},
        {"gates": example_gates().assign(value=None, rule=None, reason=pd.NA)},
    ],
)
def test_every_form_survives_what_is_missing(changes, tmp_path):
    report = example_report(**changes)
    assert Page(render_html(report)).open == []
    assert report.verdict in " ".join(printed(report).split())
    write_xlsx(report, tmp_path / "a.xlsx")
    assert list(tables(report)) == [
        "Summary",
        "Scorecard",
        "Gates",
        "Methods",
        "Aggregates",
        "Last period",
        "Provenance",
    ]


def test_workbook_and_page_show_the_same_figures():
    frame = tables(example_report())["Methods"].set_index("method")
    found = frame.loc["linear"]
    assert found["accuracy value"] == pytest.approx(0.675)
    assert found["difference"] == pytest.approx(0.053)
    assert found["outcome"] == "scored; registered as version 3, alias challenger"
    assert math.isnan(frame.loc["incumbent", "predict_seconds_per_1000"])


def test_hostile_workbook_holds_no_formula(tmp_path):
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        report = nasty_report(verdict="=1+1", notes=["@SUM(A1)"])
        write_xlsx(report, tmp_path / "a.xlsx")
        book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames[:7] == list(tables(report))
    kinds = {c.data_type for sheet in book for r in sheet.iter_rows() for c in r}
    assert "f" not in kinds


def test_parquet_of_many_runs_can_be_stacked(tmp_path):
    report = example_report()
    write_parquet(report, tmp_path / "a.parquet")
    back = pd.read_parquet(tmp_path / "a.parquet")
    assert list(back.columns[:4]) == ["run_id", "pilot", "period", "synthetic"]
    assert back["synthetic"].all()
    pd.testing.assert_frame_equal(back.iloc[:, 4:], report.scorecard, check_dtype=False)


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ServiceError):
        write_html(example_report(), tmp_path / "file" / "report.html")
    write_html(example_report(), tmp_path / "a b" / "report.html")
    assert [p.name for p in (tmp_path / "a b").iterdir()] == ["report.html"]


# -- the terminal ------------------------------------------------------------------


def test_the_terminal_shows_a_row_per_method_in_80_columns():
    text = printed(example_report())
    assert max(len(line) for line in text.splitlines()) <= 80
    table = text.partition("Candidate:")[0].splitlines()
    rows = {line.split()[0]: line.split() for line in table}
    assert rows["linear"][1:] == [
        "ML", "67.5", "[65.7,", "69.3]", "+5.3", "[+4.0,", "+6.6]", "37.7", "9,350",
    ]  # fmt: skip
    assert rows["index"][1:] == [
        "trad.", "62.2", "[60.3,", "64.1]", "baseline", "23.1", "76,900",
    ]  # fmt: skip
    assert re.search(r"^pass +to shadow: accuracy of linear", text, re.MULTILINE)
    assert re.search(r"^not measured +to production", text, re.MULTILINE)
    assert text.rstrip().endswith("Open: /a folder/report.html")


def test_the_path_is_never_broken():
    path = Path("/" + "long folder/" * 20 + "report.html")
    to = console()
    print_scorecard(example_report(), to, path=path)
    assert f"Open: {path}\n" in to.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_hostile_names_neither_break_nor_steer_the_terminal(width):
    text = printed(nasty_report(title="[red]markup[/red] [nonsense"), width)
    assert "\x1b" not in text
    assert "[red]markup[/red] [nonsense" in text.replace("\n", " ").replace("  ", " ")


def test_results_are_coloured_only_where_there_is_colour():
    coloured = printed(example_report(), force_terminal=True, color_system="standard")
    assert "\x1b[1;32mpass" in coloured
    assert "\x1b[1;31mfail" in coloured
    assert "\x1b" not in printed(example_report())


def test_a_terminal_without_unicode_gets_question_marks_and_no_error():
    raw = io.BytesIO()
    to = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=80)
    report = replace(
        example_report(), title="Ménages \u2013 été", verdict="gut: \u2713"
    )
    print_scorecard(report, to)
    to.file.flush()
    assert b"M?nages - ?t?" in raw.getvalue()


def test_every_figure_stands_on_the_page_with_both_arms() -> None:
    report = example_report()
    lines = all_figures(report)
    shown = {line[1] for line in lines}
    scored = {
        indicator_name(cell.indicator)
        for cell in report.cells.values()
        if not cell.domain and cell.method in {report.baseline, report.focus}
    }
    assert shown == scored
    accuracy = next(line for line in lines if line[1] == "accuracy")
    assert accuracy[2].interval
    assert accuracy[3].interval
    assert accuracy[4].interval
    assert 'id="figures"' in render_html(report)

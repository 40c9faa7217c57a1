from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mlstats.config import Pilot
from mlstats.quality.gate import judge
from mlstats.quality.index_page import (
    read_run,
    render_index,
    runs_of,
    write_index,
)
from mlstats.quality.scorecard import Plan, score
from tests.evaluation_example import LEVELS, ancestor, evaluation_of, units_of
from tests.report_example import NASTY

VOID = {"meta", "link", "br", "circle", "path", "rect", "line", "col"}


class Page(HTMLParser):
    """Open elements, attributes and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str, name: str) -> list[str]:
        return [a[name] or "" for t, a in self.tags if t == tag and name in a]


def pilot(**changes: object) -> dict[str, object]:
    tree = {
        "pilot": "products",
        "title": "Diary products",
        "theme": "coding",
        "owner": {"author": "ds"},
        "data": {
            "source": "data.csv",
            "roles": {"unit_id": "id", "text": ["t"], "target": "code"},
            "classification": {"file": "c.csv", "parent": "parent"},
        },
        "methods": {
            "trad": {"kind": "traditional", "use": "a.B"},
            "ml": {"kind": "ml", "use": "a.C"},
        },
        "baseline": "trad",
        "candidate": "ml",
        "evaluate": {"level": "full"},
        "gates": [
            {"measure": "accuracy", "versus": "trad", "margin": 0.02},
            {"measure": "accuracy", "at_least": 0.99, "to": "production"},
            {
                "measure": "accuracy",
                "versus": "trad",
                "margin": 0.9,
                "to": "production",
            },
        ],
    }
    return tree | changes


def run(root: Path, stamp: str, *, period: str = "2026-01", seed: int = 0) -> Path:
    """Write what a run's folder holds, as the flow of a pilot does."""
    folder = root / "products" / f"{stamp}-products"
    folder.mkdir(parents=True)
    spec = Pilot.model_validate(pilot())
    resolved = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    (folder / "pilot.yaml").write_text(resolved, encoding="utf-8")
    plan = Plan({"trad": "traditional", "ml": "ml"}, "trad", "full", LEVELS)
    scorecard = score(evaluation_of(units_of(600, seed=seed)), ancestor, plan)
    marks = {
        "run_id": folder.name,
        "pilot": "products",
        "period": period,
        "synthetic": True,
    }
    scorecard.assign(**marks).to_parquet(folder / "scorecard.parquet")
    (folder / "scorecard.html").write_text("<html></html>", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run(folder, "20260401T061209.123", period="2026-01")
    run(folder, "20260501T071500.000", period="2026-02", seed=5)
    (folder / "products" / ".20260601T000000.000-products").mkdir()
    (folder / "products" / "latest.txt").write_text("x", encoding="utf-8")
    return folder


def test_runs_are_listed_newest_first_without_unfinished_ones(root: Path) -> None:
    lines = runs_of(root)
    assert [line.period for line in lines] == ["2026-02", "2026-01"]
    assert lines[1].created == "2026-04-01 06:12:09 UTC"
    assert all(not line.problem for line in lines)
    assert lines[0].link == "products/20260501T071500.000-products/scorecard.html"


def test_figures_are_those_of_the_scorecard(root: Path) -> None:
    line = runs_of(root)[1]
    frame = pd.read_parquet(
        root / "products" / "20260401T061209.123-products" / "scorecard.parquet"
    )
    rows = frame[(frame["indicator"] == "accuracy") & (frame["level"] == "full")]
    ml = rows[rows["method"] == "ml"].iloc[0]
    assert line.candidate_accuracy.text.startswith(f"{100 * ml['value']:.1f}")
    wanted = f"{100 * ml['lower']:.1f} to {100 * ml['upper']:.1f}"
    assert line.candidate_accuracy.interval == wanted
    assert line.difference.text == f"{100 * ml['difference']:+.1f}"
    assert line.difference.interval


def test_verdicts_are_those_of_the_rules(root: Path) -> None:
    line = runs_of(root)[1]
    assert [to for to, _, _ in line.verdicts] == ["shadow", "production"]
    assert {to: result for to, result, _ in line.verdicts} == {
        "shadow": "pass",
        "production": "fail",
    }


def test_kept_gates_with_a_waiver_win(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(root, copy)
    folder = copy / "products" / "20260401T061209.123-products"
    spec = Pilot.model_validate(pilot())
    gates = judge(
        pd.read_parquet(folder / "scorecard.parquet"),
        spec.gates,
        method="ml",
        level="full",
    )
    gates["result"] = gates["result"].replace("fail", "waived (fail)")
    gates.to_parquet(folder / "gates.parquet")
    line = read_run(folder)
    assert ("production", "waived", "passed with a waiver") in line.verdicts
    assert "passed with a waiver" in Page(render_index([line])).text


def test_page_stands_alone_and_is_whole(root: Path) -> None:
    page = Page(render_index(runs_of(root)))
    assert page.open == []
    assert page.all("script", "src") == page.all("img", "src") == []
    assert page.all("link", "href") == ["data:,"]
    links = [href for href in page.all("a", "href") if not href.startswith("#")]
    assert len(links) == 2
    assert all((root / href).is_file() for href in links)
    ids = [i for _, a in page.tags if (i := a.get("id"))]
    assert len(ids) == len(set(ids))
    assert "2 runs of 1 pilot, 2 reference periods." in page.text
    assert "SYNTHETIC DATA" in page.text
    assert sum(tag == "svg" and "role" in a for tag, a in page.tags) == 1


def test_single_run_has_no_plot(root: Path) -> None:
    page = Page(render_index(runs_of(root)[:1]))
    assert not any(tag == "svg" and "role" in a for tag, a in page.tags)


def test_damaged_run_is_named_and_stops_nothing(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(root, copy)
    folder = copy / "products" / "20260501T071500.000-products"
    (folder / "scorecard.parquet").write_bytes(b"not parquet")
    (copy / "empty" / "20260701T000000.000-empty").mkdir(parents=True)
    (copy / "products" / "20260401T061209.123-products" / "scorecard.html").unlink()
    lines = runs_of(copy)
    assert [bool(line.problem) for line in lines] == [True, True, False]
    assert lines[2].link == ""
    page = Page(render_index(lines))
    assert "20260501T071500.000-products: it cannot be read" in page.text
    assert "no report" in page.text


def test_no_runs_yet(tmp_path: Path) -> None:
    path = write_index(tmp_path / "runs")
    page = Page(path.read_text(encoding="utf-8"))
    assert "There are no finished runs yet." in page.text
    assert page.open == []


def test_hostile_titles_and_folders_are_escaped(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(root, copy)
    odd = copy / 'p "q" <b> & #1'
    (copy / "products").rename(odd)
    for folder in odd.glob("2026*"):
        tree = yaml.safe_load((folder / "pilot.yaml").read_text(encoding="utf-8"))
        text = yaml.safe_dump(tree | {"title": NASTY})
        (folder / "pilot.yaml").write_text(text, encoding="utf-8")
    html = render_index(runs_of(copy))
    page = Page(html)
    assert not any(tag in {"script", "b"} for tag, _ in page.tags)
    assert "#1/" not in "".join(page.all("a", "href"))
    assert page.open == []

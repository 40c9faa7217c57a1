from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import MlstatsError, ServiceError
from mlstats.quality import evidently
from mlstats.quality.drift import Reference, Summary, drift
from mlstats.quality.drift_section import gravest
from mlstats.quality.evidently import write_drift_report

EVIL = "</script><script>window.planted = 1</script>"
COLUMNS = {
    "length": "numeric",
    "known_share": "numeric",
    "constant": "numeric",
    "empty": "numeric",
    f"shop {EVIL}": "category",
    "turnover": "category",
    "one_word": "category",
}


def safe_view(n: int, *, shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "length": rng.integers(3, 60, n),
            "known_share": rng.normal(shift, 1.0, n),
            "constant": np.ones(n),
            "empty": np.full(n, np.nan),
            f"shop {EVIL}": rng.choice([f"market {EVIL}", "kiosk"], n),
            "turnover": rng.choice(["q1", "q2", "q3", None], n),
            "one_word": np.full(n, "same", dtype=object),
            "line_id": [f"PLANTED-{i}" for i in range(n)],
        }
    )
    frame.attrs["safe_view"] = True
    return frame


def verdicts(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Judge the columns, as a run does on the data behind the views."""
    kinds = {c: "number" if k == "numeric" else "code" for c, k in COLUMNS.items()}
    reference = Reference.learn(before[[*COLUMNS]], kinds=kinds)
    current, training = (Summary.of(f, reference) for f in (now, before))
    return drift(current, {"training": training}).verdicts


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("drift page") / "evidently.html"
    notes = write_drift_report(
        safe_view(1500, shift=0.5),
        safe_view(1200, seed=1),
        path,
        columns=COLUMNS,
        verdicts=verdicts(safe_view(1500, shift=0.5), safe_view(1200, seed=1)),
        said="One column drifted.",
        sample=1300,
        seed=7,
        synthetic=True,
    )
    return path.read_text(encoding="utf-8"), notes


def test_columns_without_values_and_the_sample_are_named_on_the_page(page):
    html, notes = page
    assert notes == [
        "current: a random sample of 1,300 of 1,500 rows; the verdicts are of all",
        "empty: left out, no value in current and reference",
    ]
    for note in notes:
        assert note in html


OURS = verdicts(safe_view(900), safe_view(900, seed=3))


def statuses(html: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return column -> what its line says, and what its test says."""
    text = r'((?:[^"\\]|\\.)*)'
    lines = re.findall(rf'"column_name": "{text}", .*?"data_drift": "{text}"', html)
    tests = re.findall(
        rf'"title": "Value Drift for column {text}", "description": "{text}", '
        rf'"state": "{text}"',
        html,
    )
    return dict(lines), {column: state for column, _, state in tests}


def ours(n: int, shift: float, changed: dict[str, str]) -> pd.DataFrame:
    """Return our verdicts, with some states set to what the data do not show."""
    table = verdicts(safe_view(n, shift=shift), safe_view(n, seed=1))
    for column, state in changed.items():
        table.loc[table["column"] == column, "state"] = state
    return table


@pytest.mark.parametrize(
    ("n", "shift", "changed"),
    [
        (800, 0.5, {}),  # Evidently would make tests at this size
        (1500, 0.5, {}),  # and distances at this one, .1 of a deviation an alarm
        (1500, 3.0, {"known_share": "no drift"}),  # whatever the data are
        (1500, 0.0, {"length": "drift", "one_word": "break"}),
        (1500, 3.0, {"known_share": "significant, below floor"}),
    ],
)
def test_no_column_has_another_status_than_our_verdict(n, shift, changed, tmp_path):
    table = ours(n, shift, changed)
    path = tmp_path / "p.html"
    now, before = safe_view(n, shift=shift), safe_view(n, seed=1)
    write_drift_report(now, before, path, columns=COLUMNS, verdicts=table)
    found = gravest(table)
    state = dict(zip(found["column"], found["state"], strict=True))
    html = path.read_text(encoding="utf-8")
    shown = statuses(html)
    shown, tests = statuses(html)
    assert len(shown) == len(tests) == 6
    for column in set(COLUMNS) - {"empty"}:
        alarm = state[column] in ("drift", "break")
        safe = json.dumps(column.replace("<", "\u2039"))[1:-1]
        assert shown[safe] == ("Detected" if alarm else "Not Detected"), column
        assert tests[safe] == ("fail" if alarm else "success"), column
    alarms = sum(word == "Detected" for word in shown.values())
    assert f"of columns ({alarms} out of 6)" in html
    dataset = re.search(r"Dataset Drift is (NOT )?detected", html)
    assert (dataset.group(1) is None) == (alarms > 0)
    for own in ("Wasserstein", "Jensen-Shannon", "K-S p_value", "chi-square", "Z-test"):
        assert f'"stattest_name": "{own}' not in html


def test_our_verdicts_stand_before_anything_that_evidently_says(page):
    html, _ = page
    for words in ("One column drifted.", 'id="mlstats-verdicts"', ">alarm<"):
        assert html.index(words) < html.index("drawDashboard(metric")


def test_a_column_without_a_verdict_is_left_out(tmp_path):
    path = tmp_path / "p.html"
    notes = write_drift_report(
        safe_view(100),
        safe_view(100, seed=3),
        path,
        columns={"length": "numeric", "known_share": "numeric"},
        verdicts=OURS[OURS["column"] != "length"],
    )
    assert notes == ["length: left out, its drift was not measured"]
    assert '"column_name": "length"' not in path.read_text(encoding="utf-8")


def test_page_finds_the_shift_and_keeps_constant_columns(page):
    html, _ = page
    assert "Drift is detected for 16.667% of columns (1 out of 6)." in html
    assert "one_word" in html


def test_missing_values_are_a_category_of_their_own(page):
    assert "(missing)" in page[0]


def test_only_named_columns_reach_the_page(page):
    assert "PLANTED" not in page[0]
    assert "line_id" not in page[0]


def test_markup_in_data_cannot_become_script(page):
    assert EVIL not in page[0]
    assert "window.planted" in page[0]


def test_page_is_labelled_synthetic_and_forbids_every_request(page):
    html, _ = page
    assert html.index("SYNTHETIC DATA") < html.index("drawDashboard(metric")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    assert policy.startswith("default-src &#x27;none&#x27;;")
    assert "http" not in policy
    assert html.index("Content-Security-Policy") < html.index("<script")


def test_the_seed_decides_which_rows_are_drawn(tmp_path):
    drawn = []
    for name, seed in (("a", 11), ("b", 11), ("c", 12)):
        path = tmp_path / f"{name}.html"
        write_drift_report(
            safe_view(900),
            safe_view(900, seed=3),
            path,
            columns={"known_share": "numeric"},
            verdicts=OURS,
            sample=300,
            seed=seed,
        )
        html = path.read_text(encoding="utf-8")
        drawn.append(re.findall(r'"current_distribution": ({.*?})', html))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(drawn[0]) == 1


@pytest.mark.parametrize("mark", [None, False, "yes", 1])
def test_a_frame_that_is_not_a_safe_view_is_refused(mark, tmp_path):
    frame = safe_view(20)
    frame.attrs["safe_view"] = mark
    path = tmp_path / "page.html"
    for current, reference in ((frame, safe_view(20)), (safe_view(20), frame)):
        with pytest.raises(MlstatsError, match="not a safe view"):
            write_drift_report(current, reference, path, columns=COLUMNS, verdicts=OURS)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_column_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(MlstatsError) as caught:
        write_drift_report(
            safe_view(20),
            safe_view(20),
            tmp_path / "p",
            columns={"lenght": "numeric"},
            verdicts=OURS,
        )
    assert caught.value.nearest == "length"


@pytest.mark.parametrize(("n_current", "n_reference"), [(0, 50), (50, 0), (0, 0)])
def test_no_rows_give_a_page_that_says_so(n_current, n_reference, tmp_path):
    path = tmp_path / "page.html"
    notes = write_drift_report(
        safe_view(n_current),
        safe_view(n_reference),
        path,
        columns=COLUMNS,
        verdicts=OURS,
    )
    html = path.read_text(encoding="utf-8")
    assert "No drift report" in html
    assert "SYNTHETIC" not in html
    assert any("no rows" in note for note in notes)
    assert EVIL not in html


def test_a_single_row_and_infinite_numbers_are_no_error(tmp_path):
    frame = safe_view(30)
    frame["known_share"] = frame["known_share"].where(frame.index > 3, np.inf)
    write_drift_report(
        safe_view(1), frame, tmp_path / "p.html", columns=COLUMNS, verdicts=OURS
    )
    assert (tmp_path / "p.html").stat().st_size > 1_000_000


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(evidently, "_page", lambda *_: "<head></head><body></body>")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ServiceError):
        write_drift_report(
            safe_view(20),
            safe_view(20),
            tmp_path / "file" / "p.html",
            columns=COLUMNS,
            verdicts=OURS,
        )


def test_another_form_of_page_is_an_error_and_not_an_unmarked_page(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(evidently, "_page", lambda *_: "<main></main>")
    with pytest.raises(MlstatsError, match="another form"):
        write_drift_report(
            safe_view(20),
            safe_view(20),
            tmp_path / "p.html",
            columns=COLUMNS,
            verdicts=OURS,
        )
    assert list(tmp_path.iterdir()) == []


def test_importing_the_module_does_not_import_evidently():
    code = (
        "import sys, mlstats.quality.evidently, mlstats.quality.terminal as t;"
        "sys.exit(any(m.split('.')[0] in {'evidently', 'plotly', 'jinja2'}"
        " for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""What one run of a pilot leaves behind, checked by content."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.flows.canary import find, publishable
from tests.flows.conftest import PLANTED, UNIT, Finished
from tests.flows.test_evidently_report import statuses

METHODS = ["exact", "weighted", "program", "linear", "bayes", "fasttext"]
REGISTERED = 6

pytestmark = pytest.mark.xdist_group("finished")


def test_no_planted_word_is_in_anything_publishable(finished: Finished) -> None:
    files = publishable(finished.project, finished.inputs)
    suffixes = {path.suffix for path in files}
    assert {".html", ".xlsx", ".parquet", ".json", ".yaml", ".db", ".log"} <= suffixes
    assert find(PLANTED, files) == []


def test_the_planted_words_are_where_they_belong(finished: Finished) -> None:
    """Else the test above would pass on a run that never saw them."""
    confidential = finished.project / ".mlstats" / "confidential"
    # The clerks' queue has the ids of its units: a clerk has to find them.
    files = [p for p in confidential.rglob("*") if p.is_file() and p.stem != "queue"]
    held = {word for word, _ in find(["Quackenbush", "98765432109", UNIT], files)}
    # The external program's words and numbers are kept; unit ids are hashed even here.
    assert held == {"quackenbush", "98765432109"}
    units = pd.read_parquet(next(confidential.rglob("units.parquet")))
    assert units["unit"].str.fullmatch("[0-9a-f]{32}").all()


def test_words_of_one_household_enter_no_fitted_model(finished: Finished) -> None:
    confidential = finished.project / ".mlstats" / "confidential" / "models"
    for folder in confidential.iterdir():
        use = json.loads((folder / "model.json").read_text())["use"]
        if any(name in use for name in ("LinearText", "SklearnText", "FastText")):
            files = [p for p in folder.rglob("*") if p.is_file()]
            assert find(["quackenbush", "zebulon"], files) == [], use


def test_nothing_was_asked_of_the_network(finished: Finished) -> None:
    assert finished.attempts == ""


def test_the_confidential_store_is_closed_to_others(finished: Finished) -> None:
    store = finished.project / ".mlstats" / "confidential"
    if os.name == "posix":
        assert store.stat().st_mode & 0o077 == 0


def test_every_output_is_there_and_nothing_half_written(finished: Finished) -> None:
    names = {path.name for path in finished.folder.iterdir()}
    assert names == {
        "scorecard.html", "scorecard.xlsx", "scorecard.parquet", "evidently.html",
        "estimates.parquet", "timings.parquet", "pilot.yaml", "tracking.json",
        "gates.parquet", "evidence.json", "sims.json", "sims.csv", "sims.md",
        "aggregates.parquet", "classes.parquet", "coverage.parquet",
        "thresholds.parquet",
        "drift.parquet",
    }  # fmt: skip
    hidden = [p for p in finished.folder.parent.iterdir() if p.name.startswith(".")]
    assert hidden == []


def test_the_scorecard_has_every_method_at_every_level(finished: Finished) -> None:
    card = pd.read_parquet(finished.folder / "scorecard.parquet")
    accuracy = card[card["indicator"] == "accuracy"]
    assert set(zip(accuracy["method"], accuracy["level"], strict=True)) == {
        (method, level) for method in METHODS for level in ("1", "2", "full")
    }
    whole = accuracy[accuracy["domain"] == ""]
    assert (whole["lower"] <= whole["value"]).all()
    linear = whole[(whole["method"] == "linear") & (whole["level"] == "full")]
    assert linear["value"].iloc[0] > 0.95  # the texts are easy
    assert linear["versus"].iloc[0] == "exact"
    fit = card[card["indicator"] == "fit_seconds_per_1000"]
    assert set(fit["method"]) == set(METHODS)
    assert (fit["value"] >= 0).all()


def test_the_figures_follow_from_the_units(finished: Finished) -> None:
    card = pd.read_parquet(finished.folder / "scorecard.parquet")
    confidential = finished.project / ".mlstats" / "confidential"
    units = pd.read_parquet(next(confidential.rglob("units.parquet")))
    test = units[units["fold"] == "test"]
    assert test.groupby("method").size().nunique() == 1
    for method, part in test.groupby("method"):
        right = part["prediction"].fillna("") == part["truth"]
        wanted = np.average(right, weights=part["weight"])
        row = card[
            (card["indicator"] == "accuracy")
            & (card["method"] == method)
            & (card["level"] == "full")
            & (card["domain"] == "")
        ].iloc[0]
        assert row["value"] == pytest.approx(wanted, abs=1e-12)
        assert row["n"] == len(part)


def test_each_registered_version_has_its_card(finished: Finished) -> None:
    versions = json.loads((finished.folder / "tracking.json").read_text())
    versions.pop("run")
    models = next(p.parent for p in finished.project.rglob("models/canary.md"))
    names = {f"{method}-v{version}.md" for method, version in versions.items()}
    assert {path.name for path in (models / "canary").iterdir()} == names
    card = (models / "canary" / f"linear-v{versions['linear']}.md").read_text()
    assert "| linear |" in card
    assert "| exact |" in card  # the baseline's figures beside
    assert re.search("- model: `[0-9a-f]{64}`", card)


def test_every_domain_is_told_with_its_difference(finished: Finished) -> None:
    card = pd.read_parquet(finished.folder / "scorecard.parquet")
    domains = card[(card["indicator"] == "accuracy") & (card["domain"] != "")]
    assert set(domains["domain"]) == {"shop: kiosk", "shop: market", "shop: web"}
    linear = domains[domains["method"] == "linear"]
    exact = domains[domains["method"] == "exact"]
    gap = linear["value"].to_numpy() - exact["value"].to_numpy()
    assert linear["difference"].to_numpy() == pytest.approx(gap)
    assert (linear["versus"] == "exact").all()


def test_what_was_not_measured_has_a_row_that_says_so(finished: Finished) -> None:
    card = pd.read_parquet(finished.folder / "scorecard.parquet")
    later = card[card["indicator"].isin(["rerun_changed", "cost_per_correct"])]
    assert set(later["status"]) == {"not_measured"}
    assert later["value"].isna().all()


def test_the_evidence_is_frozen_without_a_clock(finished: Finished) -> None:
    from mlstats.quality.evidence import digest, parse

    frozen = parse((finished.folder / "evidence.json").read_bytes())
    assert "seconds" not in json.dumps(frozen)
    tag = _mlflow(
        finished,
        "runs = mlflow.MlflowClient().search_runs([mlflow.MlflowClient()"
        ".get_experiment_by_name('canary').experiment_id])\n"
        "print(json.dumps(sorted({r.data.tags['evidence_hash'] for r in runs})))",
    )
    assert tag == [digest(frozen)]


def test_the_index_lists_the_run(finished: Finished) -> None:
    page = (finished.folder.parents[1] / "index.html").read_text(encoding="utf-8")
    assert f"{finished.folder.name}/scorecard.html" in page


def test_estimates_tell_the_shares_under_truth_and_every_method(
    finished: Finished,
) -> None:
    shares = pd.read_parquet(finished.folder / "estimates.parquet")
    assert set(shares["method"]) == {"truth", *METHODS}
    truth = shares[shares["method"] == "truth"]
    assert truth["estimate"].sum() == pytest.approx(1.0)
    assert (shares["standard_error"] > 0).all()


def test_drift_is_the_same_in_every_output(finished: Finished) -> None:
    verdicts = pd.read_parquet(finished.folder / "drift.parquet")
    watched = set(verdicts["column"]) - {""}
    assert {"shop", "amount", "what_known", "code", "code by linear"} <= watched
    assert not {"what", "line", "home"} & watched
    alarms = verdicts[verdicts["state"].isin(["drift", "break"])]
    card = pd.read_parquet(finished.folder / "scorecard.parquet")
    rows = card[card["indicator"] == "drift_alarms"]
    assert set(rows["method"]) == {"exact", "linear"}
    pairs = alarms[["column", "reference"]].drop_duplicates()
    assert (rows["value"] == len(pairs)).all()
    # The contract names no period, and the pilot asks for the last accepted one.
    absent = verdicts[verdicts["reference"] == "last_accepted"]
    assert absent["state"].tolist() == ["not measured"]
    said = rows["note"].iloc[0].partition(" What would")[0]
    pages = [
        (finished.folder / name).read_text(encoding="utf-8")
        for name in ("scorecard.html", "evidently.html")
    ]
    assert all(said in page for page in pages)
    assert all(absent["note"].iloc[0] in page for page in pages)
    shown, tests = statuses(pages[1])
    assert {"shop", "amount", "what_known", "code"} <= set(shown) == set(tests)
    drifted = set(alarms.loc[alarms["reference"] == "training", "column"])
    for column, word in shown.items():
        assert (word == "Detected") == (column in drifted)
        assert (tests[column] == "fail") == (column in drifted)
    sheet = pd.read_excel(finished.folder / "scorecard.xlsx", sheet_name="Drift")
    assert len(sheet.dropna(subset="state")) >= len(verdicts)


def test_the_workbook_and_the_page_show_the_same_verdict(finished: Finished) -> None:
    page = (finished.folder / "scorecard.html").read_text(encoding="utf-8")
    summary = pd.read_excel(finished.folder / "scorecard.xlsx", sheet_name=None)
    assert "Scorecard" in summary
    said = re.search(r"The gate to shadow is (\w+)", page)
    assert said is not None
    assert said.group(0) in summary["Summary"].to_csv()
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=.?https?:", page)


def test_the_resolved_pilot_can_be_run_again(finished: Finished) -> None:
    tree = yaml.safe_load((finished.folder / "pilot.yaml").read_text())
    assert tree["methods"]["linear"]["use"] == "mlstats.coding.LinearText"
    assert tree["gates"][0]["versus"] == "exact"


def test_terminal_shows_a_row_a_method_the_gates_and_the_path(
    finished: Finished,
) -> None:
    for word in [*METHODS, "pass", "scorecard.html"]:
        assert word in finished.output
    assert "Traceback" not in finished.output


def _mlflow(finished: Finished, code: str) -> object:
    """Run a few lines in a fresh process in the project; they print JSON."""
    script = f"import json, mlstats, mlflow\n{code}"
    uri = f"sqlite:///{finished.project}/models/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=finished.project,
        env={**finished.environment, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_mlflow_holds_a_parent_and_a_child_per_method(finished: Finished) -> None:
    found = _mlflow(
        finished,
        "client = mlflow.MlflowClient()\n"
        "e = client.get_experiment_by_name('canary').experiment_id\n"
        "runs = client.search_runs([e])\n"
        "parent = [r for r in runs if 'mlflow.parentRunId' not in r.data.tags]\n"
        "children = [r for r in runs if 'mlflow.parentRunId' in r.data.tags]\n"
        "print(json.dumps({'parents': len(parent), 'params': parent[0].data.params,"
        " 'tags': parent[0].data.tags, 'status': sorted({r.info.status for r in runs}),"
        " 'children': {r.info.run_name: r.data.metrics for r in children},"
        " 'files': [a.path for a in client.list_artifacts(parent[0].info.run_id)]}))",
    )
    assert isinstance(found, dict)
    assert found["parents"] == 1
    assert found["status"] == ["FINISHED"]
    assert sorted(found["children"]) == sorted(METHODS)
    assert found["children"]["linear"]["accuracy_full"] > 0.95
    assert found["params"]["evaluate.seed"] == "20260101"
    for tag in ("data_digest", "code_commit", "lock_digest", "units_digest", "verdict"):
        assert found["tags"][tag]
    assert {"scorecard.html", "scorecard.xlsx", "scorecard.parquet"} <= set(
        found["files"]
    )


def test_models_load_in_a_fresh_process_and_predict_the_same(
    finished: Finished,
) -> None:
    found = _mlflow(
        finished,
        "import pandas as pd\n"
        "client = mlflow.MlflowClient()\n"
        "rows = pd.read_csv('diaries.csv', dtype=str)\n"
        "X = pd.DataFrame({'text': rows['what'], 'shop': rows['shop'],"
        " 'amount': rows['amount'].astype(float)})\n"
        "out = {}\n"
        "for v in client.search_model_versions(\"name = 'canary'\"):\n"
        "    m = mlflow.pyfunc.load_model(f'models:/canary/{v.version}')\n"
        "    got = m.predict(X).astype(object)\n"
        "    out[v.tags['method']] = [got['code'].where(got['code'].notna(), None)"
        ".tolist(), m.metadata.signature is not None]\n"
        "print(json.dumps(out))",
    )
    assert isinstance(found, dict)
    assert sorted(found) == sorted(METHODS)
    confidential = finished.project / ".mlstats" / "confidential"
    units = pd.read_parquet(next(confidential.rglob("units.parquet")))
    for method, (codes, signed) in found.items():
        assert signed
        part = units[units["method"] == method]
        rows = _rows_of(finished, part)
        again = [codes[row] for row in rows]
        stored = part["prediction"].astype(object).where(part["prediction"].notna())
        assert again == [None if c != c else c for c in stored], method


def _rows_of(finished: Finished, part: pd.DataFrame) -> list[int]:
    from mlstats.evaluate import keyed

    key = (finished.project / ".mlstats/confidential/unit.key").read_bytes()
    lines = pd.read_csv(finished.project / "diaries.csv", dtype=str)["line"]
    place = {digest: row for row, digest in enumerate(keyed(lines, key))}
    return [place[unit] for unit in part["unit"]]


def test_the_challenger_is_the_candidate_that_passed(finished: Finished) -> None:
    found = _mlflow(
        finished,
        "client = mlflow.MlflowClient()\n"
        "print(json.dumps({a: client.get_model_version_by_alias('canary', a)"
        ".tags['method'] for a in ('challenger', 'baseline')}))",
    )
    assert found == {"challenger": "linear", "baseline": "exact"}


def test_the_clerks_queue_is_confidential_and_has_reasons(finished: Finished) -> None:
    confidential = finished.project / ".mlstats" / "confidential"
    queue = pd.read_parquet(next(confidential.rglob("queue.parquet")))
    units = pd.read_parquet(next(confidential.rglob("units.parquet")))
    pilot = yaml.safe_load((finished.folder / "pilot.yaml").read_text())
    own = units[(units["method"] == pilot["candidate"]) & (units["fold"] == "test")]
    assert len(queue) == int((own["route"] == "queue").sum())
    assert {"unit_id", "text", "code_5", "score_1", "listed", "words"} <= set(queue)
    assert queue["baseline_reason"].ne("").any()
    assert (confidential / "runs" / finished.folder.name / "queue.xlsx").is_file()
    assert not list(finished.folder.rglob("queue*"))

"""A pilot over its periods: history, proposals, page, workbook, Evidently workspace."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats import production_reading
from mlstats.contract import safe_features
from mlstats.monitor_files import Monitored, keep_files, keep_workspace
from mlstats.monitoring import history_of
from mlstats.pilot_files import load_pilot
from mlstats.production import produce
from mlstats.proposals import proposals
from mlstats.purge import purge
from mlstats.releases import Release, ReleaseStore
from mlstats.retention import due
from mlstats.review_rows import open_period
from mlstats.review_status import status_of
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings, load_settings
from tests.flows.canary import find
from tests.production_example import Office, appoint, office

pytestmark = pytest.mark.xdist_group("monitor")

AUDITED, LAST = ("2026-02", "2026-03"), "2026-04"
RELEASED = (*AUDITED, LAST)


def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
    return function(*given)


@pytest.fixture(scope="module")
def produced(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Produce three periods by a champion, and audit the first two."""
    made = office(tmp_path_factory.mktemp("office"))
    path = made.settings.project / "configs/pilots/diaries.yaml"
    plan = path.read_text(encoding="utf-8")
    twice = plan.replace("audit_sample: 60}", "audit_sample: 60, double_code: 0.3}")
    path.write_text(twice, encoding="utf-8")
    appoint(made.settings, made.linear, "production")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(production_reading, "isolated", here)
        for period in RELEASED:
            produce("diaries", period, made.settings)
            if period in AUDITED:
                code_audit(made.settings, period)
    return made


@pytest.fixture
def at_work(
    produced: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Return a copy of the project; methods answer in this process."""
    monkeypatch.setattr(production_reading, "isolated", here)
    shutil.copytree(produced.settings.project, tmp_path, dirs_exist_ok=True)
    return replace(produced, settings=load_settings(project=tmp_path)).settings


def truth(settings: Settings, period: str) -> pd.Series:
    """Return what a clerk finds: the gold code, else that of the coding office."""
    path = settings.project / f"data/products_{period}.csv"
    frame = pd.read_csv(path, dtype=str).set_index("line_id")
    return frame["coicop_gold"].fillna(frame["coicop_clerk"])


def code_audit(settings: Settings, period: str) -> None:
    audit = pd.read_parquet(current(settings, period).folder / AUDIT)
    told = truth(settings, period).loc[audit["unit"]]
    done = [
        Reviewed(h, c, "kim", "audit") for h, c in zip(audit["hash"], told, strict=True)
    ]
    twice = audit["double_coded"].to_numpy(dtype=bool)
    pairs = zip(audit["hash"][twice], told[twice], strict=True)
    done += [Reviewed(h, c, "lee", "second") for h, c in pairs]
    ReviewStore(settings.database).add("diaries", period, done)


AUDIT = "confidential/audit.parquet"


def current(settings: Settings, period: str) -> Release:
    found = ReleaseStore(settings.releases).current("diaries", period)
    assert found is not None
    return found


def look(settings: Settings) -> Monitored:
    history = history_of("diaries", settings)
    made = keep_files(history, proposals(history), settings)
    return replace(made, replaced=keep_workspace(history, settings))


def row(rows: pd.DataFrame, period: str, indicator: str, arm: str = "") -> pd.Series:
    found = rows[
        (rows["period"] == period)
        & (rows["indicator"] == indicator)
        & (rows["arm"] == arm)
    ]
    assert len(found) == 1
    return found.iloc[0]


def snapshots(settings: Settings) -> dict[str, dict[str, Any]]:
    paths = settings.evidently.glob("*/snapshots/*.json")
    told = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert len({one["name"] for one in told}) == len(told)
    return {one["name"]: one for one in told}


# -- the history ---------------------------------------------------------------------


def test_a_purged_period_keeps_the_figures_that_were_published(
    at_work: Settings,
) -> None:
    first, second = AUDITED
    revised = produce("diaries", first, at_work).release  # with the audit's scorecard
    assert revised is not None
    kept = history_of("diaries", at_work).rows
    path = at_work.project / "configs/pilots/diaries.yaml"
    told = path.read_text(encoding="utf-8") + "  retention: {units: 1, reviews: 1}\n"
    path.write_text(told, encoding="utf-8")
    pilot = load_pilot("diaries", project=at_work.project)
    found = due(pilot, at_work, today=date(2027, 6, 1), force=True)
    purge([one for one in found if one.period in AUDITED], at_work)
    assert current(at_work, first).without_records
    rows = look(at_work).history
    figures = ["value", "lower", "upper", "se", "n", "status"]
    for indicator, arm in (
        ("accuracy", "champion"), ("accuracy", "baseline"),
        ("accuracy", "released"), ("accuracy_difference", "champion"),
    ):  # fmt: skip
        before, after = (row(t, first, indicator, arm) for t in (kept, rows))
        assert before["status"] == "measured"
        pd.testing.assert_series_equal(
            after[figures], before[figures], check_names=False
        )
        assert after["df"] == before["df"] or indicator != "accuracy"
        assert "records were purged on" in after["note"]
    gone = row(rows, second, "accuracy", "champion")  # no scorecard was made of it
    assert gone["status"] == "not_measured"
    assert "records were purged on" in gone["note"]
    outputs = kept[(kept["period"] == first) & (kept["part"] == "inputs")]
    again = rows[(rows["period"] == first) & (rows["part"] == "inputs")]
    assert len(again) == len(outputs) > 0


def test_the_performance_is_that_of_the_audit(at_work: Settings) -> None:
    rows = history_of("diaries", at_work).rows
    for period in AUDITED:
        kept = current(at_work, period).folder / "confidential"
        units = pd.read_parquet(kept / "units.parquet").set_index("unit")
        audit = pd.read_parquet(kept / "audit.parquet").set_index("unit")
        told = truth(at_work, period).loc[audit.index]
        weight = 1 / audit["inclusion"]
        share = {}
        for arm in ("champion", "baseline"):
            code = units.loc[audit.index, f"{arm}_code"].astype(object)
            right = (code == told).astype(float)
            share[arm] = right
            found = row(rows, period, "accuracy", arm)
            mean = (weight * right).sum() / weight.sum()
            assert found["value"] == pytest.approx(mean, rel=1e-12)
            # A stratified sample without replacement (Cochran 1977, eq. 5.7).
            size, variance = len(units), 0.0
            for _, part in right.groupby(audit["audit_stratum"]):
                of = 1 / audit.loc[part.index, "inclusion"].iloc[0]
                n = len(part)
                variance += (n * of / size) ** 2 * (1 - 1 / of) * part.var() / n
            assert found["se"] == pytest.approx(np.sqrt(variance), rel=1e-6)
            assert found["lower"] < found["value"] < found["upper"]
        gap = row(rows, period, "accuracy_difference", "champion")
        both = weight * (share["champion"] - share["baseline"])
        assert gap["value"] == pytest.approx(both.sum() / weight.sum(), abs=1e-12)
        assert gap["reference"] == "baseline"
        assert gap["lower"] < gap["value"] < gap["upper"]


def test_the_outputs_are_those_of_release_and_units(at_work: Settings) -> None:
    rows = history_of("diaries", at_work).rows
    for period in RELEASED:
        folder = current(at_work, period).folder
        units = pd.read_parquet(folder / "confidential/units.parquet")
        weight = units["weight"].to_numpy(dtype=float)
        waits = (units["route"] == "queue").to_numpy()
        found = row(rows, period, "in the review queue", "released")
        assert found["value"] == pytest.approx((weight * waits).sum() / weight.sum())
        assert found["lower"] < found["value"] < found["upper"]
        process = pd.read_parquet(folder / "process.parquet").set_index("variable")
        found = row(rows, period, "coded automatically", "released")
        told = process.loc["coded automatically"]
        assert found["value"] == told["estimate"]
        assert (found["lower"], found["upper"]) == (told["lower"], told["upper"])
        assert (
            row(rows, period, "by the baseline as fallback", "released")["value"] == 0
        )
        totals = pd.read_parquet(folder / "totals.parquet")
        totals = totals[totals["domain"] == ""].set_index("class")
        mine = rows[(rows["period"] == period) & (rows["indicator"] == "share")]
        assert dict(zip(mine["domain"], mine["value"], strict=True)) == dict(
            totals["estimate"]
        )
        drift = pd.read_parquet(folder / "drift.parquet")
        mine = rows[(rows["period"] == period) & (rows["indicator"] == "drift")]
        kept = set(zip(drift["column"], drift["reference"], strict=True))
        assert set(zip(mine["domain"], mine["reference"], strict=True)) == {
            pair for pair in kept if pair[0]
        }
    changed = rows[(rows["indicator"] == "change") & (rows["period"] == LAST)]
    now, then = (
        rows[(rows["indicator"] == "share") & (rows["period"] == p)].set_index("domain")
        for p in (LAST, AUDITED[-1])
    )
    for one in changed.to_dict("records"):
        gap = now.loc[one["domain"], "value"] - then.loc[one["domain"], "value"]
        assert one["value"] == pytest.approx(gap)
    assert len(changed)


def test_a_period_without_an_audit_is_not_measured(at_work: Settings) -> None:
    rows = history_of("diaries", at_work).rows
    mine = rows[(rows["period"] == LAST) & rows["part"].isin(["performance", "coders"])]
    assert set(mine["status"]) == {"not_measured"}
    assert mine["value"].isna().all()
    assert (mine["note"] != "").all()


def test_the_agreement_of_coders_is_that_of_the_pairs(at_work: Settings) -> None:
    audit = pd.read_parquet(current(at_work, AUDITED[1]).folder / AUDIT)
    audit = audit[audit["double_coded"]]
    store, apart = ReviewStore(at_work.database), audit.head(5)
    other = [Reviewed(h, "12.1.1.1", "lee", "second") for h in apart["hash"]]
    store.add("diaries", AUDITED[1], other)
    rows = history_of("diaries", at_work).rows
    weight = 1 / audit["double_inclusion"]
    same = ~audit["hash"].isin(apart["hash"])
    found = row(rows, AUDITED[1], "double_coding_agreement")
    assert found["value"] == pytest.approx((weight * same).sum() / weight.sum())
    assert found["lower"] < found["value"] < found["upper"]
    assert found["n"] == len(audit) >= 10
    kappa = row(rows, AUDITED[1], "double_coding_kappa")
    assert kappa["lower"] < kappa["value"] < kappa["upper"]


def test_fewer_than_ten_pairs_are_not_told(at_work: Settings) -> None:
    period = LAST
    audit = pd.read_parquet(current(at_work, period).folder / AUDIT)
    few = audit[audit["double_coded"]].head(9)
    given = ["01.1.1.1", "12.1.1.1"] * 5
    store = ReviewStore(at_work.database)
    for kind, coder in (("audit", "kim"), ("second", "lee")):
        store.add(
            "diaries",
            period,
            [
                Reviewed(h, code, coder, kind)
                for h, code in zip(few["hash"], given, strict=False)
            ],
        )
    told = status_of(open_period("diaries", period, at_work))
    assert told.pairs == 9
    assert {told.agreement.status, told.kappa.status} == {"not_measured"}
    rows = history_of("diaries", at_work).rows
    for name in ("double_coding_agreement", "double_coding_kappa"):
        found = row(rows, period, name)
        assert (found["status"], found["n"]) == ("not_measured", 9)
        assert np.isnan(found["value"])
        assert "fewer than 10" in found["note"]
    assert row(rows, period, "accuracy", "champion")["status"] == "not_measured"


def test_a_pilot_without_a_release_has_an_empty_history(
    at_work: Settings, tmp_path: Path
) -> None:
    shutil.rmtree(at_work.releases)
    made = look(at_work)
    assert made.history.empty
    assert "No period has a release" in (made.folder / "monitor.html").read_text()
    assert not made.asks


def test_the_release_made_of_the_audit_holds_its_scorecard(at_work: Settings) -> None:
    first = current(at_work, AUDITED[0])
    assert not (first.folder / "scorecard.parquet").exists()
    release = produce("diaries", AUDITED[0], at_work).release
    assert release is not None
    assert release.number == first.number + 1
    card = pd.read_parquet(release.folder / "scorecard.parquet")
    told = card[card["indicator"] == "accuracy"].set_index("method")
    rows = history_of("diaries", at_work).rows
    for method, arm in (("linear", "champion"), ("index", "baseline")):
        found = row(rows, AUDITED[0], "accuracy", arm)
        for name in ("value", "lower", "upper"):
            assert told.loc[method, name] == pytest.approx(found[name])
    gap = row(rows, AUDITED[0], "accuracy_difference", "champion")
    assert told.loc["linear", "versus"] == "index"
    assert told.loc["linear", "difference"] == pytest.approx(gap["value"])
    assert told.loc["linear", "difference_lower"] == pytest.approx(gap["lower"])
    assert (told["kind"] == pd.Series({"linear": "ml", "index": "traditional"})).all()
    wrong = card[card["indicator"] == "automation_error"].iloc[0]
    released = row(rows, AUDITED[0], "accuracy", "released")
    assert wrong["value"] == pytest.approx(1 - released["value"])
    assert wrong["lower"] == pytest.approx(1 - released["upper"])
    page = (release.folder / "release.html").read_text(encoding="utf-8")
    assert "What the audit measured" in page


# -- what is left behind -------------------------------------------------------------


def test_files_and_workspace_hold_all_periods_and_no_record(at_work: Settings) -> None:
    made = look(at_work)
    assert made.replaced == RELEASED
    kept = pd.read_parquet(made.folder / "history.parquet")
    pd.testing.assert_frame_equal(kept, made.history)
    told = snapshots(at_work)
    assert set(told) == set(RELEASED)
    assert told[LAST]["timestamp"] == "2026-04-30T00:00:00"
    values = {
        (params["figure"], params["arm"]): result["value"]
        for result in told[AUDITED[0]]["metric_results"].values()
        if "figure" in (params := _params(result))
    }
    champion = row(kept, AUDITED[0], "accuracy", "champion")
    assert values["accuracy, champion", ""] == pytest.approx(champion["value"])
    assert values["accuracy, champion", "upper"] == pytest.approx(champion["upper"])
    drifted = [
        _params(result)
        for result in told[AUDITED[0]]["metric_results"].values()
        if _params(result)["type"].endswith(":ValueDrift")
    ]
    assert {one["method"] for one in drifted} == {"mlstats: no alarm"}
    data = pd.read_csv(at_work.project / "data/products_2026-03.csv", dtype=str)
    words = [*data["line_id"], *data["household_id"].unique(), *data["description"]]
    places = (made.folder, at_work.evidently)
    files = [p for place in places for p in place.rglob("*") if p.is_file()]
    assert len(files) == 4 + 2 + 2 * len(RELEASED)  # a snapshot and a page of each
    # A single word may be the name of a colour in Evidently's script.
    long = [w for w in set(words) if len(w) > 6 and re.search("[ 0-9]", w)]
    assert len(long) > 100
    assert find(long, files) == []


def _params(result: dict[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = result["metric_value_location"]["metric"]["params"]
    return params


def test_again_changes_nothing_and_a_revision_replaces(at_work: Settings) -> None:
    first = look(at_work)
    paths = [*first.folder.glob("*.parquet"), first.folder / "monitor.html"]
    paths += at_work.evidently.glob("*/*/*.json")
    before = {path: path.read_bytes() for path in paths}
    assert look(at_work).replaced == ()
    assert {path: path.read_bytes() for path in paths} == before
    code_audit(at_work, LAST)
    made = look(at_work)  # reviews are enough: the release is the same
    assert made.replaced == (LAST,)
    assert row(made.history, LAST, "accuracy", "champion")["status"] == "measured"
    path = at_work.project / f"data/products_{LAST}.csv"
    pd.read_csv(path, dtype=str).iloc[:-30].to_csv(path, index=False)
    produce("diaries", LAST, at_work)
    made = look(at_work)
    assert made.replaced == (LAST,)
    assert set(snapshots(at_work)) == set(RELEASED)
    mine = made.history[made.history["period"] == LAST]
    assert set(mine["revision"]) == {2}
    shutil.rmtree(at_work.releases / "diaries" / LAST)
    look(at_work)
    assert set(snapshots(at_work)) == set(AUDITED)
    pages = (at_work.monitor / "diaries/drift").iterdir()
    assert {path.name for path in pages} == {f"{one}.html" for one in AUDITED}


def test_a_safe_view_of_features_has_bins_and_no_rare_words() -> None:
    data = load_pilot("coicop-demo", project=Path()).data
    table = pd.DataFrame(
        {
            "shop_type": ["market"] * 20 + ["Quackenbush"],
            "description_length": np.arange(21) * 1001.5,
        }
    )
    view, made = safe_features(table, data)
    assert view.attrs["safe_view"] is True
    assert set(view["shop_type"]) == {"market", "other"}
    assert set(view["description_length"]) <= {f"q{k:02d}" for k in range(1, 11)}
    other, _ = safe_features(table.assign(shop_type="kiosk"), data, reference=made)
    assert set(other["shop_type"]) == {"other"}


# -- what is proposed ----------------------------------------------------------------


def test_drift_raises_the_audit_and_is_told_as_done(at_work: Settings) -> None:
    path = at_work.project / f"data/products_{LAST}.csv"
    told = pd.read_csv(path, dtype=str)
    told["shop_type"] = "kiosk"
    told.to_csv(path, index=False)
    produce("diaries", LAST, at_work)
    made = look(at_work)
    found = {one.action: one for one in made.proposed}
    assert found["more_audit"].state == "done by produce"
    assert "shop_type" in found["more_audit"].cause
    assert not made.asks  # one period with drift: nothing is left to decide
    audit = pd.read_parquet(current(at_work, LAST).folder / AUDIT)
    assert len(audit) == 120  # twice the 60 of the pilot
    page = (made.folder / "monitor.html").read_text(encoding="utf-8")
    assert "After 2026-04: more audit (done by produce)" in page
    states = {
        _params(one)["method"]
        for one in snapshots(at_work)[LAST]["metric_results"].values()
        if _params(one)["type"].endswith(":ValueDrift")
    }
    assert "mlstats: alarm" in states


def test_a_measured_loss_is_proposed_and_the_baseline_stands_in(
    at_work: Settings,
) -> None:
    audit = pd.read_parquet(current(at_work, LAST).folder / AUDIT)
    wrong = [Reviewed(h, "12.1.1.1", "kim", "audit") for h in audit["hash"]]
    ReviewStore(at_work.database).add("diaries", LAST, wrong)
    made = look(at_work)
    found = {one.action: one for one in made.proposed if one.period == LAST}
    assert {"retrain", "suspend"} <= set(found)
    assert found["retrain"].run == f"mlstats retrain diaries --to {LAST}"
    assert found["retrain"].value == 0
    assert found["retrain"].lower == 0 < found["retrain"].upper < 0.9
    assert made.asks
    kept = pd.read_parquet(made.folder / "proposals.parquet")
    assert set(kept.loc[kept["period"] == LAST, "action"]) == set(found)


# -- the flow and the pages ----------------------------------------------------------


def test_the_flow_ends_in_what_it_found(
    at_work: Settings, prefect_server: None
) -> None:
    from pipelines.monitor import monitor

    state = monitor("diaries", return_state=True)
    assert state.name == "Done"
    audit = pd.read_parquet(current(at_work, LAST).folder / AUDIT)
    wrong = [Reviewed(h, "12.1.1.1", "kim", "audit") for h in audit["hash"]]
    ReviewStore(at_work.database).add("diaries", LAST, wrong)
    state = monitor("diaries", return_state=True)
    assert state.name == "Proposed"
    assert "suspend: proposed" in state.message
    made = state.result()
    assert made.replaced == (LAST,)
    assert (at_work.monitor / "diaries/monitor.html").is_file()


def test_the_command_shows_the_periods_that_were_asked_for(
    at_work: Settings, prefect_server: None, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlstats.monitor_verbs import monitor

    monitor("diaries", first=AUDITED[1], last=AUDITED[1])
    told = capsys.readouterr().out
    assert AUDITED[1] in told
    assert AUDITED[0] not in told
    assert LAST not in told
    assert f"drift/{AUDITED[1]}.html" in told
    kept = pd.read_parquet(at_work.monitor / "diaries/history.parquet")
    assert set(kept["period"]) == set(RELEASED)  # the files hold all of them
    value = row(kept, AUDITED[1], "accuracy", "champion")["value"]
    assert f"{100 * value:.1f}" in told


@pytest.mark.soak
def test_the_workspace_is_served_on_the_loopback(at_work: Settings) -> None:
    look(at_work)
    words = "import sys, pathlib; from mlstats.quality.evidently_ui import serve; "
    words += "serve(pathlib.Path(sys.argv[1]), lambda t: print(t, flush=True))"
    server = subprocess.Popen(
        [sys.executable, "-c", words, str(at_work.evidently)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[1]
        assert address.startswith("http://127.0.0.1:")
        found = json.loads(_read(f"{address}/api/projects"))
        assert [one["name"] for one in found] == ["diaries (synthetic data)"]
        place = f"{address}/api/v2/snapshots/{found[0]['id']}/data_series_batch"
        figure = {"figure": "accuracy, champion", "arm": "upper"}
        line = {"metric": "evidently:metric_v2:MlstatsFigure", "metric_labels": figure}
        body = {"series_filter": [line | {"tags": [], "metadata": {}}]}
        told = json.loads(_read(place, json.dumps(body).encode()))
        assert len(told["sources"]) == len(AUDITED)
        assert len(told["series"][0]["values"]) == len(AUDITED)
        other = {"Host": "other.example"}  # a name that points to this machine
        asked = urllib.request.Request(f"{address}/api/projects", headers=other)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(asked, timeout=30)
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def _read(address: str, body: bytes | None = None) -> bytes:
    import time

    for _ in range(120):
        try:
            asked = urllib.request.Request(address, body)
            asked.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not answer")

"""Six months of the demonstration in production, reviewed and watched, in order.

Two coders with known error rates review every month. The inputs of the third drift.
From the fifth on a group of products has other codes, which only the audit can tell:
the baseline takes over, and what the coders gave trains a challenger.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import openpyxl
import pandas as pd
import pytest
import yaml

from mlstats import production_reading
from mlstats.decision_log import DecisionLog
from mlstats.demo import generate_lines, make_products
from mlstats.io import write_text
from mlstats.model_store import terms_of
from mlstats.pilot_files import load_pilot
from mlstats.production import produce
from mlstats.production_arms import arms_of
from mlstats.registry import read_registry, run_tags
from mlstats.releases import Release
from mlstats.review_export import export
from mlstats.review_import import import_file
from mlstats.review_rows import open_period
from mlstats.review_status import PeriodStatus, status_of
from mlstats.settings import Settings, load_settings
from tests.flows.real_servers import REPOSITORY, surroundings
from tests.production_example import appoint
from tests.review_example import fill, fix_key, of_units

pytestmark = [pytest.mark.xdist_group("six"), pytest.mark.slow]

PILOT = "coicop-demo"
LEARNT = [f"2024-{month:02d}" for month in range(1, 13)]
MONTHS = [f"2025-{month:02d}" for month in range(1, 7)]
DRIFTED, CHANGED = MONTHS[2], MONTHS[4]
ERRORS = {"kim": 0.02, "lee": 0.06}  # of codes that a coder gets wrong
HOUSEHOLDS = 100
CODED = ["coicop_clerk", "coicop_gold", "coder_a", "coder_b"]


@dataclass(frozen=True)
class Month:
    """What became of a month."""

    first: Release
    last: Release
    status: PeriodStatus
    known: float  # share of right codes among all that were released without a clerk


@dataclass
class Half:
    """What the stages hand on."""

    settings: Settings
    truth: pd.Series  # the true code by line
    version: int = 0
    months: dict[str, Month] = field(default_factory=dict)

    def units(self, release: Release) -> pd.DataFrame:
        return pd.read_parquet(release.folder / "confidential/units.parquet")

    def right(self, units: pd.DataFrame) -> pd.Series:
        truth = self.truth.reindex(units["unit"]).to_numpy()
        return pd.Series(units["value"].astype(object).to_numpy() == truth)


def lines(period: str) -> pd.DataFrame:
    """Return a month's lines: the inputs of one drift, in others the codes change."""
    if period == DRIFTED:  # what people write a year and a half later
        frame = generate_lines("2026-12", households=HOUSEHOLDS)
        for column in ("line_id", "household_id"):
            stem = period.replace("-", "")
            frame[column] = frame[column].str.replace("202612", stem, n=1)
        return frame.assign(period=period)
    frame = generate_lines(period, households=HOUSEHOLDS)
    if period >= CHANGED:
        common = frame["true_code"].value_counts().index[:10].tolist()
        now = dict(zip(common, common[5:] + common[:5], strict=True))
        frame["true_code"] = frame["true_code"].replace(now)
    return frame


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Half]:
    project = tmp_path_factory.mktemp("half") / "an office"
    make_products(
        project / ".mlstats/demo", periods=LEARNT, households_per_period=HOUSEHOLDS
    )
    truth = []
    for period in MONTHS:
        frame = lines(period)
        truth.append(frame.set_index("line_id")["true_code"])
        frame[CODED] = ""  # nobody but the reviewers codes a month in production
        content = frame.drop(columns="true_code").to_csv(index=False)
        write_text(project / f".mlstats/demo/products_{period}.csv", content)
    shipped = REPOSITORY / f"configs/pilots/{PILOT}.yaml"
    tree = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    tree["data"]["periods"] = f"{LEARNT[0]}/{LEARNT[-1]}"
    tree["methods"] = {name: tree["methods"][name] for name in METHODS}
    tree["evaluate"]["split"]["test"] = f"{LEARNT[-2]}/{LEARNT[-1]}"
    tree["evaluate"]["bootstrap"] = 100
    tree["production"]["review"] = {
        "target_accuracy": 0.85, "audit_sample": 150, "double_code": 0.4,
    }  # fmt: skip
    path = project / f"configs/pilots/{PILOT}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLSTATS_DATA", raising=False)
        patch.setattr(production_reading, "isolated", here)
        settings = load_settings(project=project)
        fix_key(settings)
        yield Half(settings, pd.concat(truth))


METHODS = ("clerk", "index", "linear")


def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
    """Let the arms answer in this process."""
    return function(*given)


def command(half: Half, *words: str) -> str:
    """Run a command of mlstats as in a terminal."""
    project = half.settings.project
    done = subprocess.run(
        [sys.executable, "-m", "mlstats", *words],
        cwd=project, env=surroundings(project), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def reviewed(half: Half, period: str) -> Month:
    """Produce a month, let two coders review it, and produce it again."""
    settings = half.settings
    first = produce(PILOT, period, settings).release
    assert first is not None
    truth = of_units(settings, pd.Series(half.truth.index), half.truth.tolist())
    for coder, second in (("kim", False), ("lee", True)):
        done = export(PILOT, period, settings, coder=coder, second=second)
        fill(done, settings, truth, ERRORS[coder], seed=int(period.replace("-", "")))
        import_file(PILOT, period, done.path, settings, coder=coder)
    told = status_of(open_period(PILOT, period, settings))
    units = half.units(first)
    own = units[units["route"].isin(["automatic", "audit"])]
    last = produce(PILOT, period, settings).release
    assert last is not None
    print(
        period,
        told.accuracy.value,
        told.accuracy.lower,
        told.accuracy.upper,
        half.right(own).mean(),
        told.agreement.lower,
        told.agreement.upper,
    )
    half.months[period] = Month(first, last, told, half.right(own).mean())
    return half.months[period]


def test_a_run_makes_the_champion(half: Half) -> None:
    command(half, "run", PILOT)
    registry = read_registry(half.settings, PILOT)
    half.version = max(registry.versions)
    held = registry.versions[half.version].tags
    assert held["method"] == "linear"
    appoint(
        half.settings, held["model_digest"], "production", version=half.version,
        pilot=PILOT,
    )  # fmt: skip
    terms = terms_of(held["model_digest"], half.settings.confidential)
    assert terms["seen_to"] == LEARNT[-1]


@pytest.mark.parametrize("period", MONTHS[:4])
def test_a_month_is_reviewed_and_made_final(half: Half, period: str) -> None:
    month = reviewed(half, period)
    first, last, told = month.first, month.last, month.status
    assert (first.number, first.final) == (1, False)
    assert (last.number, last.final) == (2, True)
    assert last.facts["fallback"] == []
    assert (told.queue_open, told.audit_done) == (0, told.audit_drawn)
    assert told.accuracy.lower < month.known < told.accuracy.upper
    expected = (1 - ERRORS["kim"]) * (1 - ERRORS["lee"])
    assert told.agreement.lower < expected < told.agreement.upper
    before, after = half.units(first), half.units(last)
    assert after["unit"].tolist() == before["unit"].tolist()
    queue = after["route"] == "queue"
    assert queue.sum() == first.facts["counts"]["queue"] > 20
    assert set(after.loc[queue, "method"]) == {"clerk"}
    wrong = 1 - half.right(after)[queue.to_numpy()].mean()
    spread = (ERRORS["kim"] * (1 - ERRORS["kim"]) / queue.sum()) ** 0.5
    assert abs(wrong - ERRORS["kim"]) < 4 * spread
    # The codes that nobody reviewed are those that the champion gave.
    kept = ~queue & (after["route"] != "audit")
    assert set(after.loc[kept, "model_version"]) == {last.facts["methods"]["champion"]}
    assert after.loc[kept, "value"].tolist() == before.loc[kept, "value"].tolist()


def test_a_drift_of_the_inputs_raises_the_audit(half: Half) -> None:
    calm = [half.months[one].first.facts for one in MONTHS[:2]]
    drifted = half.months[DRIFTED].first.facts
    assert [one["counts"]["audit_sample"] for one in calm] == [150, 150]
    assert [one["alarm"] for one in calm] == [False, False]
    assert drifted["alarm"]
    assert drifted["counts"]["audit_sample"] == 300
    assert drifted["counts"]["automatic"] < min(c["counts"]["automatic"] for c in calm)
    found = pd.read_parquet(half.months[DRIFTED].first.folder / "drift.parquet")
    drifts = found[(found["state"] == "drift") & (found["reference"] == "training")]
    assert set(drifts["column"]) == {"description_known", "shop_type", "language"}


def test_only_the_audit_tells_that_the_codes_have_changed(half: Half) -> None:
    month = reviewed(half, CHANGED)
    told = month.status.accuracy
    assert not month.first.facts["alarm"]  # the inputs are as they were
    assert month.known < 0.7
    assert told.lower < month.known < told.upper < 0.85
    assert month.last.facts["fallback"] == []  # it is judged from the next period on


def test_after_the_measured_loss_the_baseline_produces(half: Half) -> None:
    month = reviewed(half, MONTHS[5])
    for release in (month.first, month.last):
        (reason,) = release.facts["fallback"]
        assert (reason["cause"], reason["classes"]) == ("performance", [])
        assert f"the audit of {CHANGED} measured an accuracy of" in reason["said"]
        assert "the whole interval below 85%" in reason["said"]
        given = half.units(release)
        given = given[given["method"] != "clerk"]
        assert set(given["model_version"]) == {release.facts["methods"]["baseline"]}
    page = (month.last.folder / "release.html").read_text(encoding="utf-8")
    assert reason["said"] in page
    assert month.last.final


def test_the_history_shows_all_six(half: Half) -> None:
    said = command(half, "monitor", PILOT)
    folder = half.settings.monitor / PILOT
    page = (folder / "monitor.html").read_text(encoding="utf-8")
    rows = pd.read_parquet(folder / "history.parquet")
    assert sorted(set(rows["period"])) == MONTHS
    right = rows[rows["indicator"] == "accuracy"].set_index(["period", "arm"])
    book = openpyxl.load_workbook(folder / "monitor.xlsx")
    shown = {str(cell.value) for row in book["history"].rows for cell in row}
    for period, month in half.months.items():
        assert period in said
        assert period in page
        assert period in shown
        released = right.loc[(period, "released")]
        told = month.status.accuracy
        assert released["value"] == pytest.approx(told.value, rel=1e-12)
        assert released["lower"] == pytest.approx(told.lower, rel=1e-12)
        both = right.loc[period].loc[["champion", "baseline"]]
        assert (both["n"] == month.status.audit_drawn).all()
        assert both["lower"].notna().all()
    snapshots = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in half.settings.evidently.glob("*/snapshots/*.json")
    ]
    names = sorted(one["name"] for one in snapshots)
    assert len(names) == 6
    assert all(any(month in name for name in names) for month in MONTHS)
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.html")]
    texts += [json.dumps(one) for one in snapshots]
    for line in half.truth.index[:50]:
        assert not any(line in text for text in texts)


def test_the_rules_propose_what_to_do(half: Half) -> None:
    table = pd.read_parquet(half.settings.monitor / PILOT / "proposals.parquet")
    found = {
        (row["period"], row["action"], row["state"]) for row in table.to_dict("records")
    }
    assert {
        (DRIFTED, "more_audit", "done by produce"),
        (CHANGED, "retrain", "proposed"),
        (CHANGED, "suspend", "proposed"),
        (CHANGED, "lower_automation", "done by produce"),
        (MONTHS[5], "retrain", "proposed"),
        (MONTHS[5], "suspend", "proposed"),
    } <= found
    assert not {period for period, *_ in found} & set(MONTHS[:2])
    loss = table[(table["action"] == "retrain") & (table["period"] == CHANGED)].iloc[0]
    assert loss["upper"] < 0.85
    assert loss["run"] == f"mlstats retrain {PILOT} --to {CHANGED}"


def test_what_the_coders_gave_trains_a_challenger(half: Half) -> None:
    """It is tested on the audit of June, beside champion and baseline."""
    log = DecisionLog(half.settings.database).read(PILOT)
    before = set((half.settings.runs / PILOT).glob("2*"))
    command(half, "retrain", PILOT, "--to", MONTHS[5])
    (run,) = set((half.settings.runs / PILOT).glob("2*")) - before
    card = pd.read_parquet(run / "scorecard.parquet")
    right = card[(card["indicator"] == "accuracy") & (card["level"] == "full")]
    right = right[right["domain"] == ""]
    assert set(right["method"]) == {"index", "linear", "champion"}
    assert right["n"].nunique() == 1
    drawn = half.months[MONTHS[5]].status.audit_drawn
    assert 40 < right["n"].iloc[0] <= drawn  # the others calibrate the thresholds
    pairs = {
        (row["method"], row["versus"])
        for row in right[right["difference_lower"].notna()].to_dict("records")
    }
    assert {("linear", "index"), ("linear", "champion")} <= pairs
    registry = read_registry(half.settings, PILOT)
    newest = max(registry.versions)
    assert newest > half.version
    assert registry.aliases["challenger"] == newest
    tags = run_tags(half.settings, registry.versions[newest].run)
    assert tags["retrained_to"] == MONTHS[5]
    assert tags["retraining_since"] == CHANGED
    # Nothing is swapped: only a signed decision can.
    assert DecisionLog(half.settings.database).read(PILOT) == log
    champion = arms_of(load_pilot(PILOT, project=half.settings.project), half.settings)
    assert champion.champion is not None
    assert champion.champion.version == half.version

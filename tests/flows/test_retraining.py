"""A new version from the codes of coders, beside champion and baseline."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from mlstats import retraining
from mlstats.decision_log import DecisionLog
from mlstats.errors import ConfigError, RefusedError, UsageError
from mlstats.evaluate import keyed, project_key
from mlstats.pilot_files import load_pilot
from mlstats.production_arms import arms_of
from mlstats.registry import read_registry, run_tags
from mlstats.retraining import prepare, read, with_labels
from mlstats.review_status import labels
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings
from mlstats.split import cluster_ids
from tests.flows.test_monitor import (
    AUDIT,
    AUDITED,
    LAST,
    at_work,
    code_audit,
    current,
    look,
    produced,
)

pytestmark = pytest.mark.xdist_group("monitor")
__all__ = ["at_work", "produced"]  # fixtures


def wrong_audit(settings: Settings, period: str) -> None:
    """Let a clerk find every code of an audit wrong."""
    audit = pd.read_parquet(current(settings, period).folder / AUDIT)
    found = [Reviewed(h, "12.1.1.1", "kim", "audit") for h in audit["hash"]]
    ReviewStore(settings.database).add("diaries", period, found)


def test_coders_teach_and_what_is_tested_does_not(at_work: Settings) -> None:
    code_audit(at_work, LAST)
    run = prepare("diaries", LAST, at_work)
    before = read(run)
    after = with_labels(run, before)
    frame, folds = after.frame, after.folds
    assert set(frame.loc[folds == "test", "period"]) == {LAST}
    told = labels("diaries", at_work)
    told = told[(told["kind"] == "audit") & (told["period"] != LAST)]
    code = told.set_index("unit")["code"]
    added = frame.iloc[len(before.frame) :]
    assert 60 < len(added) <= len(told) == 120
    assert (folds[added.index] == "train").all()
    assert set(added["period"]) == set(AUDITED)
    assert added["coicop_clerk"].tolist() == code[added["line_id"]].tolist()
    judged = before.folds.isin(["valid", "test"])
    homes = set(before.frame.loc[judged, "household_id"])
    assert not homes & set(added["household_id"])
    left = told[~told["unit"].isin(added["line_id"])]["unit"]
    named = before.frame.set_index("line_id").loc[left, "household_id"]
    assert set(named) <= homes  # all others teach
    twice = frame[frame["line_id"].isin(added["line_id"]) & (folds == "train")]
    assert twice["line_id"].is_unique
    homes = cluster_ids(frame, "household_id")
    assert not set(homes[folds == "train"]) & set(homes[folds.isin(["valid", "test"])])
    assert (folds[: len(before.folds)] == "test").sum() == (
        before.folds == "test"
    ).sum()
    assert after.digest != before.digest
    assert with_labels(run, before).digest == after.digest


def test_beyond_the_data_the_audit_is_the_test(at_work: Settings) -> None:
    path = at_work.project / "configs/pilots/diaries.yaml"
    text = path.read_text(encoding="utf-8")
    shorter = text.replace("periods: 2026-01/2026-04", "periods: 2026-01/2026-02")
    assert shorter != text
    path.write_text(shorter, encoding="utf-8")
    with pytest.raises(RefusedError, match=f"Nobody has coded the audit of {LAST}"):
        read(prepare("diaries", LAST, at_work))
    code_audit(at_work, LAST)
    run = prepare("diaries", LAST, at_work)
    data = read(run)
    audit = pd.read_parquet(current(at_work, LAST).folder / AUDIT).set_index("unit")
    judged = data.frame[data.frame["period"] == LAST].set_index("line_id")
    assert set(judged.index) == set(audit.index)
    told = ReviewStore(at_work.database).read("diaries", LAST)
    code = told[told["kind"] == "audit"].set_index("unit")["code"]
    hashes = keyed(pd.Series(judged.index), project_key(at_work))
    assert judged["coicop_gold"].tolist() == code[hashes].tolist()
    assert judged["coicop_clerk"].isna().all()
    source = pd.read_csv(at_work.project / f"data/products_{LAST}.csv", dtype=str)
    weight = source.set_index("line_id")["budget_weight"].astype(float)[judged.index]
    expected = weight / audit["inclusion"][judged.index]
    assert judged["budget_weight"].tolist() == pytest.approx(expected.tolist())
    folds = data.folds[data.frame["period"] == LAST]
    assert set(folds) <= {"valid", "test"}
    assert (data.folds == "test").sum() == (folds == "test").sum() > 20
    assert any(f"tested on the audit of {LAST}" in one for one in data.cautions)
    after = with_labels(run, data)
    added = after.frame.iloc[len(data.frame) :]
    assert set(added["period"]) == set(AUDITED)


def test_who_is_coded_stands_for_those_who_are_not_yet(at_work: Settings) -> None:
    path = at_work.project / "configs/pilots/diaries.yaml"
    text = path.read_text(encoding="utf-8")
    shorter = text.replace("periods: 2026-01/2026-04", "periods: 2026-01/2026-02")
    path.write_text(shorter, encoding="utf-8")
    audit = pd.read_parquet(current(at_work, LAST).folder / AUDIT).set_index("unit")
    strata = audit["audit_stratum"].value_counts()
    most = audit.index[audit["audit_stratum"] == strata.index[0]]
    coded = audit.drop(most[: len(most) // 2])
    told = [Reviewed(h, "12.1.1.1", "kim", "audit") for h in coded["hash"]]
    ReviewStore(at_work.database).add("diaries", LAST, told)
    data = read(prepare("diaries", LAST, at_work))
    judged = data.frame[data.frame["period"] == LAST].set_index("line_id")
    assert set(judged.index) == set(coded.index)
    source = pd.read_csv(at_work.project / f"data/products_{LAST}.csv", dtype=str)
    weight = source.set_index("line_id")["budget_weight"].astype(float)[judged.index]
    stands = pd.Series(judged["budget_weight"] / weight).groupby(
        audit["audit_stratum"][judged.index]
    )
    whole = (1 / audit["inclusion"]).groupby(audit["audit_stratum"]).sum()
    assert stands.sum().to_dict() == pytest.approx(whole.to_dict())
    assert not [one for one in data.cautions if "no reviewed unit" in one]
    assert len(strata) > 1


@pytest.mark.soak
def test_without_codes_it_says_so(at_work: Settings) -> None:
    run = prepare("diaries", AUDITED[0], at_work)
    before = read(run)
    after = with_labels(run, before)
    assert after.frame is before.frame
    assert any("no code of a coder may train" in one for one in after.cautions)


def test_where_the_split_is_not_by_period_audits_only_evaluate(
    at_work: Settings,
) -> None:
    path = at_work.project / "configs/pilots/diaries.yaml"
    text = path.read_text(encoding="utf-8")
    split = "split: {by: period, test: 2026-02}"
    assert split in text
    path.write_text(text.replace(split, "split: {by: random, test: 0.2}"), "utf-8")
    queue = pd.read_parquet(
        current(at_work, LAST).folder / "confidential/queue.parquet"
    )
    hashes = keyed(queue["unit"], project_key(at_work))
    store = ReviewStore(at_work.database)
    store.add("diaries", LAST, [Reviewed(h, "07.2.2.1", "kim") for h in hashes])
    run = prepare("diaries", LAST, at_work)
    before = read(run)
    assert any("may have been trained on units" in one for one in before.cautions)
    after = with_labels(run, before)
    added = after.frame.iloc[len(before.frame) :]
    assert len(added) > 100
    assert set(added["period"]) == {LAST}
    assert set(added["line_id"]) <= set(queue["unit"])
    assert set(added["coicop_clerk"]) == {"07.2.2.1"}


def test_a_retraining_is_a_challenger_beside_both_and_swaps_nothing(
    at_work: Settings, prefect_server: None
) -> None:
    from pipelines.start import run_retrain

    wrong_audit(at_work, AUDITED[1])
    look(at_work)  # proposes it
    log = DecisionLog(at_work.database).read("diaries")
    champion = arms_of(load_pilot("diaries"), at_work).champion
    outcome = run_retrain("diaries", LAST)
    card = outcome.report.scorecard
    right = card[(card["indicator"] == "accuracy") & (card["level"] == "full")]
    right = right[right["domain"] == ""]
    assert set(right["method"]) == {"index", "linear", "champion"}
    assert right["n"].nunique() == 1  # the same units
    pairs = {
        (row["method"], row["versus"])
        for row in right[right["difference"].notna()].to_dict("records")
    }
    assert {("linear", "index"), ("linear", "champion")} <= pairs
    registry = read_registry(at_work, "diaries")
    made = registry.versions[int(outcome.versions["linear"])]
    assert "champion" not in outcome.versions
    assert not {"champion", "challenger"} & set(registry.aliases)  # no gate: no alias
    tags = run_tags(at_work, made.run)
    assert tags["retrained_to"] == LAST
    assert tags["retraining_since"] == AUDITED[1]
    assert len(tags["retraining_triggered"]) == 10
    assert "trial_period" not in tags
    assert DecisionLog(at_work.database).read("diaries") == log
    assert arms_of(load_pilot("diaries"), at_work).champion == champion


@pytest.mark.soak
def test_refusals_say_what_to_do(
    at_work: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = at_work.project / "configs/pilots/diaries.yaml"
    text = path.read_text(encoding="utf-8")
    name = text.replace("  linear: {", "  champion: {").replace(
        "candidate: linear", "candidate: champion"
    )
    path.write_text(name, encoding="utf-8")
    with pytest.raises(ConfigError, match="is called 'champion'"):
        prepare("diaries", LAST, at_work)
    none = SimpleNamespace(champion=None)
    monkeypatch.setattr(retraining, "arms_of", lambda *_: none)
    with pytest.raises(UsageError, match="No version of diaries is in production"):
        prepare("diaries", LAST, at_work)

"""Reference periods of a coding pilot, from their data to their releases."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats import model_store, production_reading
from mlstats.config import ShadowPlan
from mlstats.decision_log import DecisionLog
from mlstats.doctor import examine
from mlstats.drill import drill
from mlstats.errors import ConfigError, ContractError, ServiceError
from mlstats.evaluate import keyed, project_key
from mlstats.production import produce
from mlstats.production_log import ProductionLog
from mlstats.quality.accuracy import ratio
from mlstats.releases import Release, ReleaseStore
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings, load_settings
from mlstats.shadowing import shadow_record
from tests.flows.canary import find
from tests.production_example import Office, appoint, office, terms_of

MARCH = "2026-03"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Make the project once."""
    return office(tmp_path_factory.mktemp("office"))


@pytest.fixture
def at_work(made: Office, tmp_path: Path) -> Office:
    """Return a copy of the project."""
    shutil.copytree(made.settings.project, tmp_path, dirs_exist_ok=True)
    return replace(made, settings=load_settings(project=tmp_path))


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the methods answer in this process, where the process is not the point."""

    def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
        return function(*given)

    monkeypatch.setattr(production_reading, "isolated", here)


@pytest.fixture
def champion(at_work: Office, inline: None) -> Settings:
    """Return a project with a champion."""
    appoint(at_work.settings, at_work.linear, "production")
    return at_work.settings


def units(release: Release | None) -> pd.DataFrame:
    assert release is not None
    return pd.read_parquet(release.folder / "confidential/units.parquet")


def totals(release: Release | None) -> pd.DataFrame:
    assert release is not None
    return pd.read_parquet(release.folder / "totals.parquet")


def data(settings: Settings, period: str = MARCH) -> pd.DataFrame:
    path = settings.project / f"data/products_{period}.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def rewrite(settings: Settings, frame: pd.DataFrame, period: str = MARCH) -> None:
    frame.to_csv(settings.project / f"data/products_{period}.csv", index=False)


def with_threshold(at_work: Office, threshold: float | None) -> str:
    """Store the champion's method with another threshold of automatic coding."""
    confidential = at_work.settings.confidential
    stored = model_store.load(at_work.linear, confidential)
    terms = terms_of(at_work.index, threshold)
    columns = stored.columns
    return model_store.store(stored.method, columns, confidential, terms=terms)


# -- as decided --------------------------------------------------------------------


def test_a_champion_produces_and_every_value_tells_who_gave_it(
    champion: Settings, made: Office
) -> None:
    done = produce("diaries", MARCH, champion)
    found, read = units(done.release), data(champion)
    assert not done.fallback
    assert found["unit"].tolist() == read["line_id"].tolist()  # none lost, none moved
    assert set(found["method"]) == {"linear"}
    assert set(found["model_version"]) == {f"linear v1@{made.linear[:12]}"}
    automatic = found["route"].isin(["automatic", "audit"])
    assert (found.loc[automatic, "confidence"] >= 0.6).all()
    assert (found.loc[~automatic, "confidence"] < 0.6).all()
    stored = model_store.load(made.linear, champion.confidential)
    X = read.rename(columns={"description": "text"})[["text", "shop_type"]]
    assert found["value"].astype(object).tolist() == list(stored.method.predict(X))
    base = model_store.load(made.index, champion.confidential).method.predict(X)
    given = found["baseline_code"].astype(object)
    assert given.where(given.notna(), None).tolist() == list(base)


def test_the_published_shares_are_those_of_the_units(champion: Settings) -> None:
    release = produce("diaries", MARCH, champion).release
    found, told = units(release), totals(release)
    weight = found["weight"].to_numpy()
    overall = told[told["domain"] == ""].set_index("class")
    keys = found.groupby(["stratum", "cluster"], observed=True, sort=False)
    cluster = keys.ngroup().to_numpy()
    strata = found["stratum"].astype(str).groupby(cluster).first().to_numpy()
    whole = np.bincount(cluster, weight)

    def at(column: str, name: str) -> np.ndarray:
        codes = found[column].astype(object)
        return np.array([str(c)[:2] == name if pd.notna(c) else False for c in codes])

    for name in ("01", "07"):
        mine, theirs = at("value", name), at("baseline_code", name)
        expected = ratio(np.bincount(cluster, weight * mine), whole, strata)
        row = overall.loc[name]
        assert row["estimate"] == pytest.approx(expected.value, rel=1e-12)
        assert row["se"] == pytest.approx(expected.se, rel=1e-9)
        gap = ratio(np.bincount(cluster, weight * (mine * 1.0 - theirs)), whole, strata)
        assert row["difference"] == pytest.approx(gap.value, abs=1e-12)
        low, high = gap.interval()
        assert row["difference_lower"] == pytest.approx(low, rel=1e-9)
        assert row["difference_upper"] == pytest.approx(high, rel=1e-9)
    named = told[told["domain"].str.startswith("shop_type=")]
    inside = found["domain_shop_type"].astype(str) == "market"
    row = named[(named["domain"] == "shop_type=market") & (named["class"] == "01")]
    if len(row):
        share = (weight * inside * at("value", "01")).sum() / (weight * inside).sum()
        assert row["estimate"].iloc[0] == pytest.approx(share, rel=1e-12)
    assert (told["n"] >= 10).all()
    queue = found["open"].to_numpy()
    share = (weight * queue * at("value", "01")).sum() / (
        weight * at("value", "01")
    ).sum()
    assert overall.loc["01", "open_share"] == pytest.approx(share)


def test_periods_are_held_to_the_one_before(champion: Settings) -> None:
    first = produce("diaries", "2026-02", champion)
    second = produce("diaries", MARCH, champion)
    then, now = (
        totals(one.release).set_index(["domain", "class"]) for one in (first, second)
    )
    key = ("", "01")
    assert now.loc[key, "last_period"] == then.loc[key, "estimate"]
    change = now.loc[key, "estimate"] - then.loc[key, "estimate"]
    assert now.loc[key, "last_period_change"] == pytest.approx(change)
    assert (
        now.loc[key, "last_period_lower"] < change < now.loc[key, "last_period_upper"]
    )
    assert now["last_year"].isna().all()
    assert second.release is not None
    drift = pd.read_parquet(second.release.folder / "drift.parquet")
    assert set(drift["reference"]) >= {"training", "last_accepted"}


def test_another_version_of_the_classification_is_a_break(champion: Settings) -> None:
    path = champion.project / "configs/pilots/diaries.yaml"
    plain = path.read_text(encoding="utf-8")
    for period, version in (("2026-02", "2018"), (MARCH, "2028")):
        told = plain.replace("parent: parent}", f"parent: parent, version: {version}}}")
        path.write_text(told, encoding="utf-8")
        done = produce("diaries", period, champion)
    assert totals(done.release)["last_period"].isna().all()
    assert done.release is not None
    assert any(
        "2028, that of 2026-02 was 2018" in c for c in done.release.facts["cautions"]
    )


def test_how_codes_came_about_is_watched(champion: Settings) -> None:
    produce("diaries", "2026-02", champion)
    release = produce("diaries", MARCH, champion).release
    assert release is not None
    told = pd.read_parquet(release.folder / "process.parquet").set_index("variable")
    found = units(release)
    weight, sure = found["weight"], found["confidence"]
    automatic = found["route"].isin(["automatic", "audit"])
    share = (weight * automatic).sum() / weight.sum()
    assert told.loc["coded automatically", "estimate"] == pytest.approx(share)
    mean = (weight * sure).sum() / weight[sure.notna()].sum()
    assert told.loc["mean confidence", "estimate"] == pytest.approx(mean)
    both = found[["champion_code", "baseline_code"]].astype(object).dropna()
    w = weight.loc[both.index]
    same = (w * (both["champion_code"] == both["baseline_code"])).sum() / w.sum()
    assert told.loc["same code by both methods", "estimate"] == pytest.approx(same)
    assert told["last_period_change"].notna().all()
    assert (told["last_period_lower"] < told["last_period_upper"]).all()


def test_the_same_again_is_the_same_release(
    champion: Settings, tmp_path: Path, made: Office
) -> None:
    first = produce("diaries", MARCH, champion)
    again = produce("diaries", MARCH, champion)
    assert first.release is not None
    assert again.release is not None
    assert (again.release.number, again.release.files) == (1, first.release.files)
    assert "these data were released already" in again.notes
    assert again.counts == first.counts
    other = tmp_path / "other"
    shutil.copytree(made.settings.project, other)
    settings = load_settings(project=other)
    appoint(settings, made.linear, "production")
    undisturbed = produce("diaries", MARCH, settings)
    assert undisturbed.release is not None
    assert undisturbed.release.files == first.release.files  # byte for byte


def test_other_data_make_a_new_revision(champion: Settings) -> None:
    produce("diaries", MARCH, champion)
    rewrite(champion, data(champion).iloc[:-1])
    second = produce("diaries", MARCH, champion)
    assert second.release is not None
    assert second.release.number == 2
    store = ReleaseStore(champion.releases)
    assert [one.number for one in store.revisions("diaries", MARCH)] == [1, 2]


def test_before_any_champion_the_baseline_produces(
    at_work: Office, inline: None
) -> None:
    appoint(at_work.settings, at_work.linear, "shadow")
    done = produce("diaries", MARCH, at_work.settings)
    assert not done.fallback  # that is what was decided
    assert set(units(done.release)["method"]) == {"index"}
    assert done.shadow is not None
    facts = done.shadow.facts
    assert (facts["shadow_version"], facts["answered"]) == (1, True)
    assert facts["shadow_model"] == at_work.linear
    shadow = pd.read_parquet(done.shadow.folder / "totals.parquet")
    assert shadow["difference"].notna().all()
    published = [p.name for p in done.shadow.folder.rglob("*.parquet")]
    assert published == ["totals.parquet"]  # no unit is kept of the shadow


def test_without_any_run_it_says_what_is_missing(made: Office, tmp_path: Path) -> None:
    shutil.copytree(made.settings.project, tmp_path, dirs_exist_ok=True)
    with pytest.raises(ConfigError, match="not registered") as told:
        produce("diaries", MARCH, load_settings(project=tmp_path))
    assert told.value.hint == "mlstats run diaries"


def test_a_dry_run_writes_nothing(champion: Settings) -> None:
    before = {p for p in champion.home_folder.rglob("*") if p.is_file()}
    done = produce("diaries", MARCH, champion, dry_run=True)
    after = {p for p in champion.home_folder.rglob("*") if p.is_file()}
    assert done.release is None
    assert len(done.totals)
    assert done.counts["units"]
    assert {p.name for p in after - before} <= {"log.txt", "unit.key", "unit.lock"}


def test_a_back_cast_publishes_nothing(at_work: Office, inline: None) -> None:
    appoint(at_work.settings, at_work.linear, "shadow")
    done = produce("diaries", "2026-01", at_work.settings, back_cast=True)
    assert done.release is None
    assert done.shadow is not None
    assert done.shadow.facts["answered"] is True
    rows = DecisionLog(at_work.settings.database).read("diaries")
    shown = shadow_record(
        at_work.settings, "diaries", 1, at_work.linear, rows, ShadowPlan()
    )
    assert (shown.live, shown.back_cast) == ((), ("2026-01",))
    assert (shown.wanted_live, shown.wanted_back_cast) == (2, 12)
    assert ReleaseStore(at_work.settings.releases).periods("diaries") == []


def test_a_back_cast_needs_a_version_in_the_shadow(champion: Settings) -> None:
    with pytest.raises(ConfigError, match="in the shadow"):
        produce("diaries", "2026-01", champion, back_cast=True)


# -- people ------------------------------------------------------------------------


def test_a_release_is_final_once_its_queue_is_closed(champion: Settings) -> None:
    first = produce("diaries", MARCH, champion)
    assert first.release is not None
    assert not first.release.final
    queue = pd.read_parquet(first.release.folder / "confidential/queue.parquet")
    assert len(queue) == first.counts["open"] > 1
    assert queue["confidence"].fillna(-1).is_monotonic_increasing
    hashes = keyed(queue["unit"], project_key(champion))
    store = ReviewStore(champion.database)
    store.add("diaries", MARCH, [Reviewed(hashes[0], "07.2.2.1", "kim")])
    part = produce("diaries", MARCH, champion)
    assert part.release is not None
    assert not part.release.final
    assert (part.release.number, part.counts["closed"]) == (2, 1)
    store.add("diaries", MARCH, [Reviewed(one, "07.2.2.1", "kim") for one in hashes])
    whole = produce("diaries", MARCH, champion)
    assert whole.release is not None
    assert whole.release.final
    found = units(whole.release).set_index("unit").loc[queue["unit"]]
    assert set(found["value"]) == {"07.2.2.1"}
    assert set(found["method"]) == {"clerk"} == set(found["model_version"])
    assert set(found["flag"]) == {"reviewed"}
    assert (totals(whole.release)["open_share"] == 0).all()
    # A code of a clerk has no confidence; the champion's mean is that of all units.
    now, before = (
        pd.read_parquet(release.folder / "process.parquet").set_index("variable")
        for release in (whole.release, first.release)
    )
    shown = ["estimate", "lower", "upper", "n"]
    pd.testing.assert_frame_equal(now[shown], before[shown])


def test_every_unit_can_be_audited_and_its_chance_is_known(champion: Settings) -> None:
    release = produce("diaries", MARCH, champion).release
    assert release is not None
    audit = pd.read_parquet(release.folder / "confidential/audit.parquet")
    assert len(audit) == 60
    assert audit["audit_weight"].sum() == pytest.approx(len(units(release)))
    assert set(audit["route"]) == {"automatic", "queue"}
    assert audit["blind"].all()
    marked = units(release).set_index("unit")["route"]
    drawn = audit.loc[audit["route"] == "automatic", "unit"]
    assert (marked.loc[drawn] == "audit").all()


# -- fallback ----------------------------------------------------------------------


def fallen_back(settings: Settings, cause: str, period: str = MARCH) -> Release:
    """Produce a period that the baseline has to produce, and look at every trace."""
    done = produce("diaries", period, settings)
    assert [one.cause for one in done.reasons] == [cause]
    release = done.release
    assert release is not None
    found = units(release)
    assert set(found["method"]) == {"index"}
    assert set(found["flag"]) == {f"fallback: {cause}"}
    assert [one["cause"] for one in release.facts["fallback"]] == [cause]
    page = (release.folder / "release.html").read_text(encoding="utf-8")
    assert f"Fallback ({cause})" in page
    assert done.counts["fallback"] == len(found)
    return release


def test_a_missing_model_is_replaced_and_the_next_run_recovers(
    champion: Settings, made: Office
) -> None:
    produce("diaries", "2026-02", champion)  # which baseline it is, a release tells
    pack = champion.confidential / "models" / made.linear
    pack.rename(pack.with_name("away"))
    release = fallen_back(champion, "model")
    assert release.facts["methods"]["champion"] == f"linear v1@{made.linear[:12]}"
    pack.with_name("away").rename(pack)
    done = produce("diaries", MARCH, champion)
    assert not done.fallback
    assert done.release is not None
    assert done.release.number == 2
    assert set(units(done.release)["method"]) == {"linear"}


def test_a_changed_model_is_not_used(champion: Settings, made: Office) -> None:
    produce("diaries", "2026-02", champion)
    pack = champion.confidential / "models" / made.linear
    told = next(p for p in pack.iterdir() if p.name != "model.json")
    told.write_bytes(told.read_bytes() + b" ")
    fallen_back(champion, "model")


def test_a_drill_brings_every_cause_about_and_publishes_nothing(
    at_work: Office,
) -> None:
    """The methods answer in processes of their own here."""
    appoint(at_work.settings, at_work.linear, "production")
    rehearsed = list(drill("diaries", at_work.settings, period=MARCH))
    assert {one.cause: one.passed for one in rehearsed} == dict.fromkeys(
        ("contract", "model", "crash", "time", "performance"), True
    ), rehearsed
    assert ReleaseStore(at_work.settings.releases).periods("diaries") == []
    left = list((at_work.settings.confidential / "drills").iterdir())
    assert left == []
    kept = ProductionLog(at_work.settings.database).read("diaries")
    assert [(row.kind, row.outcome, row.causes) for row in kept] == [
        ("drill", "rehearsed", one.cause) for one in rehearsed
    ]


def test_a_drill_says_when_the_baseline_could_not_stand_in(
    at_work: Office,
) -> None:
    """The methods answer in processes of their own here too."""
    settings = at_work.settings
    appoint(settings, at_work.linear, "production")
    shutil.rmtree(settings.confidential / "models" / at_work.index)
    found = list(drill("diaries", settings, period=MARCH))
    assert not any(one.passed for one in found)
    assert "nothing was released" in found[1].said


def test_a_broken_contract_is_told_and_links_the_series(champion: Settings) -> None:
    produce("diaries", "2026-02", champion)
    broken = data(champion)
    broken.loc[1, "line_id"] = broken.loc[0, "line_id"]
    broken.loc[2:40, "description"] = ""
    rewrite(champion, broken)
    release = fallen_back(champion, "contract")
    rules = pd.read_parquet(release.folder / "contract.parquet")
    assert {"line_id", "description"} <= set(rules["column"])
    before = ReleaseStore(champion.releases).current("diaries", "2026-02")
    linked = pd.read_parquet(release.folder / "method_difference.parquet")
    known = totals(before).set_index(["domain", "class"])["difference"]
    row = linked[(linked["domain"] == "") & (linked["class"] == "01")].iloc[0]
    assert row["period"] == "2026-02"
    assert row["difference"] == known.loc[("", "01")]


def test_where_nobody_can_answer_the_last_release_stays(champion: Settings) -> None:
    first = produce("diaries", MARCH, champion)
    rewrite(champion, data(champion).drop(columns="description"))
    with pytest.raises(ContractError, match="description"):
        produce("diaries", MARCH, champion)
    held = ReleaseStore(champion.releases).current("diaries", MARCH)
    assert held is not None
    assert first.release is not None
    assert held.files == first.release.files


def audited_as(settings: Settings, release: Release, wrong: Callable[..., Any]) -> None:
    """Review the whole audit of a release: right, but for the rows that are `wrong`."""
    audit = pd.read_parquet(release.folder / "confidential/audit.parquet")
    at = wrong(audit)
    codes = np.where(at, "12.1.3.0", audit["value"].astype(object))
    ReviewStore(settings.database).add(
        "diaries",
        release.key.period,
        [
            Reviewed(unit, str(code), "kim", "audit")
            for unit, code in zip(audit["hash"], codes, strict=True)
        ],
    )


def test_a_measured_loss_switches_and_a_good_audit_does_not(champion: Settings) -> None:
    last = produce("diaries", "2026-02", champion).release
    assert last is not None
    audited_as(champion, last, lambda audit: np.zeros(len(audit), dtype=bool))
    assert not produce("diaries", MARCH, champion).fallback
    audited_as(champion, last, lambda audit: np.ones(len(audit), dtype=bool))
    release = fallen_back(champion, "performance")
    assert release.number == 2
    assert "audit of 2026-02" in release.facts["fallback"][0]["said"]
    linked = pd.read_parquet(release.folder / "method_difference.parquet")
    assert set(linked["period"]) == {MARCH}  # both answered in this very period


def test_a_loss_in_one_class_gives_up_that_class(at_work: Office, inline: None) -> None:
    champion = at_work.settings
    appoint(champion, with_threshold(at_work, 0.0), "production")
    path = champion.project / "configs/pilots/diaries.yaml"
    told = path.read_text(encoding="utf-8")
    plan = "target_accuracy: 0.75, audit_sample: 300"
    path.write_text(told.replace("target_accuracy: 0.9, audit_sample: 60", plan))
    last = produce("diaries", "2026-02", champion).release
    assert last is not None
    found = units(last)
    division = found["value"].astype(str).str[:2]
    automatic = found["route"] != "queue"
    # A class of some size, without which the whole still keeps what was promised.
    name = division[automatic & (division != "01")].value_counts().index[0]
    audited_as(champion, last, lambda audit: audit["value"].astype(str).str[:2] == name)
    done = produce("diaries", MARCH, champion)
    assert [(one.cause, one.classes) for one in done.reasons] == [
        ("performance", (name,))
    ]
    found = units(done.release)
    gone = found["champion_code"].astype(str).str[:2] == name
    assert set(found.loc[gone, "method"]) == {"index"}
    assert set(found.loc[gone, "flag"]) == {"fallback: performance"}
    given = found.loc[gone, ["value", "baseline_code"]].astype(object)
    assert given["value"].equals(given["baseline_code"].rename("value"))
    assert set(found.loc[~gone, "method"]) == {"linear"}
    assert set(found.loc[~gone, "flag"]) == {""}
    assert done.counts["fallback"] == gone.sum()
    assert done.release is not None
    page = (done.release.folder / "release.html").read_text(encoding="utf-8")
    assert "some classes by the baseline" in page


def test_drift_raises_the_audit_and_asks_for_two_witnesses(champion: Settings) -> None:
    frame = data(champion)
    strange = "zzyzx quor " + frame["description"].str[::-1]
    frame["description"] = strange.where(frame.index % 3 > 0, frame["description"])
    rewrite(champion, frame)
    done = produce("diaries", MARCH, champion)
    assert not done.fallback
    assert done.release is not None
    assert done.release.facts["alarm"] is True
    assert done.counts["audit_sample"] == 120
    found = units(done.release)
    automatic = found[found["route"].isin(["automatic", "audit"])]
    assert len(automatic)
    same = automatic["value"].astype(object) == automatic["baseline_code"].astype(
        object
    )
    assert same.all()


# -- one at a time, and nothing told ------------------------------------------------


def test_two_runs_of_a_period_do_not_meet(champion: Settings) -> None:
    store = ReleaseStore(champion.releases)
    with store.working("diaries", MARCH):
        with pytest.raises(ServiceError, match="Another run works on this period"):
            produce("diaries", MARCH, champion)
        produce("diaries", "2026-02", champion)  # another period is free
    assert produce("diaries", MARCH, champion).release is not None


def test_no_record_is_in_what_may_be_published(champion: Settings) -> None:
    frame = data(champion)
    frame.loc[3:5, "description"] = "parcel for Zebulon Quackenbush"
    frame.loc[7, "line_id"] = "CANARY0007"
    frame.loc[9, "household_id"] = "HHCANARY9"
    rewrite(champion, frame)
    done = produce("diaries", MARCH, champion)
    assert done.release is not None
    hidden = done.release.folder / "confidential"
    files = [
        p
        for p in champion.home_folder.rglob("*")
        if p.is_file()
        and champion.confidential not in p.parents
        and hidden not in p.parents
    ]
    assert {"release.html", "release.xlsx", "totals.parquet"} <= {p.name for p in files}
    planted = ["Quackenbush", "Zebulon", "CANARY0007", "HHCANARY9"]
    assert find(planted, files) == []
    assert find(["CANARY0007"], list(hidden.iterdir()))  # the scanner sees it there


def test_a_version_without_thresholds_automates_nothing(
    at_work: Office, inline: None
) -> None:
    settings = at_work.settings
    digest = with_threshold(at_work, None)
    appoint(settings, digest, "production")
    done = produce("diaries", MARCH, settings)
    assert done.counts["automatic"] == 0
    assert done.counts["queue"] == done.counts["units"]


# -- out of reach --------------------------------------------------------------------


def test_a_full_disk_leaves_the_last_release(
    champion: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = produce("diaries", MARCH, champion)
    rewrite(champion, data(champion).iloc[:-1])
    write = pd.DataFrame.to_parquet

    def full(frame: pd.DataFrame, path: Any, **more: Any) -> None:
        if Path(path).name.startswith((".totals", "totals")):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(frame, path, **more)

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", full)
        with pytest.raises(ServiceError) as told:
            produce("diaries", MARCH, champion)
    assert told.value.exit_code == 4
    place = champion.releases / "diaries" / MARCH
    assert sorted(p.name for p in place.iterdir() if p.is_dir()) == ["r0001"]
    held = ReleaseStore(champion.releases).current("diaries", MARCH)
    assert held is not None
    assert first.release is not None
    assert held.files == first.release.files
    assert produce("diaries", MARCH, champion).release is not None  # room again


def test_a_log_that_was_changed_produces_nothing(champion: Settings) -> None:
    with closing(sqlite3.connect(champion.home_folder / "state.db")) as database:
        database.execute("DROP TRIGGER decisions_no_update")
        database.execute("UPDATE decisions SET reason = 'other' WHERE number = 3")
        database.commit()
    with pytest.raises(ServiceError, match="log of decisions was changed"):
        produce("diaries", MARCH, champion)
    assert ReleaseStore(champion.releases).periods("diaries") == []


def test_a_database_out_of_reach_is_told(champion: Settings) -> None:
    address = f"sqlite:///{champion.home_folder.as_posix()}"  # a folder is no database
    settings = load_settings(project=champion.project, database_url=address)
    with pytest.raises(ServiceError) as told:
        produce("diaries", MARCH, settings)
    assert told.value.exit_code == 4


def test_the_doctor_holds_releases_to_their_checksums(champion: Settings) -> None:
    release = produce("diaries", MARCH, champion).release
    assert release is not None
    told = {one.what: one for one in examine(champion)}
    assert told["releases"].found == "1 whole"
    path = release.folder / "totals.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    told = {one.what: one for one in examine(champion)}
    assert told[f"release diaries {MARCH}"].state == "broken"
    assert "changed: totals.parquet" in told[f"release diaries {MARCH}"].found


def test_a_log_that_was_lost_does_not_pass_for_an_empty_one(
    champion: Settings,
) -> None:
    produce("diaries", MARCH, champion)
    (champion.home_folder / "state.db").unlink()
    with pytest.raises(ServiceError, match="holds no decision on diaries"):
        produce("diaries", "2026-04", champion)

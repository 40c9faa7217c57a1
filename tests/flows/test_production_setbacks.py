"""What a period must withstand: bad weights, damaged releases, losses that stand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats import model_store, production_reading
from mlstats.errors import ContractError, SourceError
from mlstats.evaluate import keyed, project_key
from mlstats.production import produce
from mlstats.releases import Release, ReleaseStore
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings, load_settings
from tests.production_example import Office, appoint, office, terms_of

FEBRUARY, MARCH, APRIL = "2026-02", "2026-03", "2026-04"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Make the project once."""
    return office(tmp_path_factory.mktemp("office"))


@pytest.fixture
def project(made: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return a copy of the project, whose methods answer in this process."""

    def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
        return function(*given)

    monkeypatch.setattr(production_reading, "isolated", here)
    shutil.copytree(made.settings.project, tmp_path, dirs_exist_ok=True)
    return load_settings(project=tmp_path)


@pytest.fixture
def champion(project: Settings, made: Office) -> Settings:
    """Return a project with a champion."""
    appoint(project, made.linear, "production")
    return project


@pytest.fixture
def sure(project: Settings, made: Office) -> Settings:
    """Return a project whose champion codes all by itself and is audited in full."""
    stored = model_store.load(made.linear, project.confidential)
    terms = terms_of(made.index, 0.0)
    digest = model_store.store(
        stored.method, stored.columns, project.confidential, terms=terms
    )
    appoint(project, digest, "production")
    plan = "target_accuracy: 0.75, audit_sample: 300"
    edited(project, "target_accuracy: 0.9, audit_sample: 60", plan)
    return project


def edited(settings: Settings, old: str, new: str) -> None:
    path = settings.project / "configs/pilots/diaries.yaml"
    told = path.read_text(encoding="utf-8")
    assert old in told
    path.write_text(told.replace(old, new), encoding="utf-8")


def data(settings: Settings, period: str = MARCH) -> pd.DataFrame:
    path = settings.project / f"data/products_{period}.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def rewrite(settings: Settings, frame: pd.DataFrame, period: str = MARCH) -> None:
    frame.to_csv(settings.project / f"data/products_{period}.csv", index=False)


def released(settings: Settings, period: str = MARCH) -> Release:
    release = produce("diaries", period, settings).release
    assert release is not None
    return release


def kept(release: Release, name: str) -> pd.DataFrame:
    return pd.read_parquet(release.folder / f"{name}.parquet")


def audited_as(settings: Settings, release: Release, wrong: Callable[..., Any]) -> None:
    """Review the whole audit: right, but for the rows that are `wrong`."""
    audit = kept(release, "confidential/audit")
    codes = np.where(wrong(audit), "12.1.3.0", audit["value"].astype(object))
    ReviewStore(settings.database).add(
        "diaries",
        release.key.period,
        [
            Reviewed(unit, str(code), "kim", "audit")
            for unit, code in zip(audit["hash"], codes, strict=True)
        ],
    )


def lose_a_class(settings: Settings, length: int) -> str:
    """Produce a period, and find one class of the champion wrong throughout."""
    release = released(settings, FEBRUARY)
    found = kept(release, "confidential/units")["value"].astype(str)
    name = found[found.str[:2] != "01"].str[:length].value_counts().index[0]
    audited_as(
        settings, release, lambda audit: audit["value"].astype(str).str[:length] == name
    )
    return str(name)


# -- a measured loss ---------------------------------------------------------------


def test_a_loss_stands_while_nothing_new_is_known(champion: Settings) -> None:
    """A period of the baseline says nothing of the champion."""
    first = released(champion, FEBRUARY)
    audited_as(champion, first, lambda audit: np.ones(len(audit), dtype=bool))
    second = released(champion, MARCH)
    audited_as(champion, second, lambda audit: np.zeros(len(audit), dtype=bool))
    done = produce("diaries", APRIL, champion)
    assert [one.cause for one in done.reasons] == ["performance"]
    assert "audit of 2026-02" in done.reasons[0].said
    audited_as(champion, first, lambda audit: np.zeros(len(audit), dtype=bool))
    assert not produce("diaries", APRIL, champion).fallback


def test_a_class_that_was_given_up_stays_so(sure: Settings) -> None:
    name = lose_a_class(sure, 2)
    released(sure, MARCH)
    done = produce("diaries", APRIL, sure)
    assert [(one.cause, one.classes) for one in done.reasons] == [
        ("performance", (name,))
    ]


def test_a_class_is_given_up_at_the_level_that_is_published(sure: Settings) -> None:
    edited(sure, "parent: parent}", 'parent: parent, levels: ["2"]}')
    name = lose_a_class(sure, 4)
    found = kept(released(sure), "confidential/units")
    gone = found["champion_code"].astype(str).str[:4] == name
    assert gone.any()
    assert set(found.loc[gone, "method"]) == {"index"}
    assert set(found.loc[~gone, "method"]) == {"linear"}


def test_without_the_baseline_a_lost_class_goes_to_clerks(
    sure: Settings, made: Office
) -> None:
    name = lose_a_class(sure, 2)
    shutil.rmtree(sure.confidential / "models" / made.index)
    found = kept(released(sure), "confidential/units")
    gone = found["champion_code"].astype(str).str[:2] == name
    assert gone.any()
    assert set(found.loc[gone, "route"]) == {"queue"}


# -- data --------------------------------------------------------------------------


@pytest.mark.parametrize("weight", ["", "abc", "-5", "inf"])
def test_no_figure_is_released_with_a_weight_that_is_none(
    champion: Settings, weight: str
) -> None:
    frame = data(champion)
    frame.loc[3, "budget_weight"] = weight
    rewrite(champion, frame)
    with pytest.raises(ContractError, match="budget_weight"):
        produce("diaries", MARCH, champion)
    assert ReleaseStore(champion.releases).periods("diaries") == []


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_a_period_may_be_too_small_to_tell_anything(
    champion: Settings, rows: int
) -> None:
    released(champion, FEBRUARY)
    rewrite(champion, data(champion).head(rows))
    done = produce("diaries", MARCH, champion)
    assert done.totals.empty
    assert done.counts["units"] == rows


# -- earlier releases --------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["totals.parquet", "process.parquet", "confidential/watched.parquet"],
)
def test_a_damaged_earlier_release_is_told(champion: Settings, name: str) -> None:
    release = released(champion, FEBRUARY)
    (release.folder / name).write_bytes(b"PAR1 no more")
    with pytest.raises(SourceError, match="release is damaged") as told:
        produce("diaries", MARCH, champion)
    assert told.value.exit_code == 3


def test_a_damaged_audit_does_not_pass_for_none(champion: Settings) -> None:
    release = released(champion, FEBRUARY)
    audited_as(champion, release, lambda audit: np.ones(len(audit), dtype=bool))
    (release.folder / "confidential/audit.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(SourceError, match="release is damaged"):
        produce("diaries", MARCH, champion)


def test_a_manifest_without_facts_is_damaged(champion: Settings) -> None:
    path = released(champion, FEBRUARY).folder / "manifest.json"
    told = path.read_text(encoding="utf-8")
    path.write_text(told.replace('"facts": {', '"facts": null, "x": {'), "utf-8")
    with pytest.raises(SourceError, match="release is damaged"):
        produce("diaries", MARCH, champion)


def test_a_folder_copied_by_hand_is_no_period(champion: Settings) -> None:
    place = released(champion, FEBRUARY).folder.parent
    shutil.copytree(place, place.with_name("2026-02.bak"))
    assert kept(released(champion), "totals")["last_period"].notna().any()


# -- figures -----------------------------------------------------------------------


def test_no_small_class_is_what_the_others_leave(champion: Settings) -> None:
    release = released(champion)
    told, found = kept(release, "totals"), kept(release, "confidential/units")
    for domain, rows in told.groupby("domain"):
        _, _, group = str(domain).partition("=")
        inside = found["domain_shop_type"].astype(str).eq(group) | (group == "")
        left = int(inside.sum()) - int(rows["n"].sum())
        assert left == 0 or left >= 10, domain
    overall = told[told["domain"] == ""].set_index("class")["n"]
    parts = told[told["domain"] != ""].groupby("class")["n"].sum()
    left = overall.reindex(parts.index) - parts
    assert ((left == 0) | (left >= 10)).all()


def test_methods_that_agree_everywhere_may_yet_differ(champion: Settings) -> None:
    """No difference in the sample is no interval of nothing to nothing."""
    column = "{kind: traditional, use: mlstats.Incumbent, params: {column: told}}"
    edited(champion, "{kind: traditional, use: mlstats.coding.WeightedIndex}", column)
    stored = kept(released_as_column(champion), "confidential/units")
    frame = data(champion)
    codes = stored["champion_code"].astype(object)
    rewrite(champion, frame.assign(told=codes.where(codes.notna(), "")))
    told = kept(released(champion), "totals")
    assert (told["difference"] == 0).all()
    assert told["difference_lower"].isna().all()


def released_as_column(settings: Settings) -> Release:
    rewrite(settings, data(settings).assign(told="01.1.1.1"))
    return released(settings)


# -- reviews -----------------------------------------------------------------------


def test_a_code_that_a_clerk_gave_deeper_than_the_file_counts(
    champion: Settings,
) -> None:
    edited(champion, "parent: parent}", 'parent: parent, separator: "."}')
    queue = kept(released(champion), "confidential/queue")
    hashes = keyed(queue["unit"], project_key(champion))
    codes = ["07.2.2.1.7"] * 15 + ["  "] + [" 07.2.2.1 "]
    reviewed = [Reviewed(h, c, "kim") for h, c in zip(hashes[:17], codes, strict=True)]
    ReviewStore(champion.database).add("diaries", MARCH, reviewed)
    release = released(champion)
    found = kept(release, "confidential/units").set_index("unit").loc[queue["unit"]]
    assert found["open"].head(17).tolist() == [False] * 15 + [True, False]
    assert found["value"].iloc[16] == "07.2.2.1"
    told = kept(release, "totals").query("domain == ''")
    assert not told["class"].str.contains("uncoded").any()


# -- series ------------------------------------------------------------------------


def test_a_change_across_a_switch_of_methods_says_so(champion: Settings) -> None:
    """Also when the champion comes back."""
    packs = [p for p in (champion.confidential / "models").iterdir() if p.is_dir()]
    first = released(champion, FEBRUARY)
    own = next(p for p in packs if p.name[:12] in first.facts["methods"]["champion"])
    own.rename(own.with_name("away"))
    second = released(champion, MARCH)
    own.with_name("away").rename(own)
    third = released(champion, APRIL)
    told = [one.facts["cautions"] for one in (first, second, third)]
    assert not any("difference of the methods" in c for c in told[0])
    assert any("2026-02 was produced by linear" in c for c in told[1])
    assert any("2026-03 was produced by index" in c for c in told[2])


def test_rows_of_another_period_are_left_out_and_told(champion: Settings) -> None:
    frame = data(champion)
    frame.loc[:49, "period"] = FEBRUARY
    rewrite(champion, frame)
    facts = released(champion).facts
    assert facts["counts"]["units"] == len(frame) - 50
    assert any(c.startswith("50 rows of the file are not") for c in facts["cautions"])

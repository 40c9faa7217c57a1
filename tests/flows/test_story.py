"""The demonstration's way to production, from its first run to a rollback, in order.

The stages share one project with the servers of `mlstats up`; each goes on where the
one before has ended. The office is small: forty households a month, two of the methods,
the evaluation of 2024, production from January 2025.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
import yaml

from mlstats import production, production_reading
from mlstats.decision_log import DecisionLog
from mlstats.decisions import Decision, faults, standing
from mlstats.demo import make_products
from mlstats.errors import RefusedError
from mlstats.identity import Identity
from mlstats.model_store import terms_of
from mlstats.pilot_files import load_pilot
from mlstats.production_calendar import calendar
from mlstats.promotion import Desk
from mlstats.registry import read_registry
from mlstats.releases import Release, ReleaseStore
from mlstats.settings import Settings
from tests.flows.canary import find, publishable
from tests.flows.real_servers import REPOSITORY, Office, serving

pytestmark = [pytest.mark.xdist_group("story"), pytest.mark.slow]

PILOT = "coicop-demo"
ADA, MEI, TOM = Identity("ada"), Identity("mei"), Identity("tom")
YEAR = [f"2024-{month:02d}" for month in range(1, 13)]
LATER = [f"2025-{month:02d}" for month in range(1, 10)]
NOW = datetime(2025, 10, 30, tzinfo=UTC)  # at which the calendar is judged
NAME, UNIT, HOME, WEIGHT = "Zebulon Quackenbush", "CANARY0007", "HHCANARY9", 98765432109
WORDS = [*NAME.split(), UNIT, HOME, str(WEIGHT), f"{WEIGHT:.6e}"[:9]]


@dataclass
class Story:
    """What the stages hand on."""

    office: Office
    first: int = 0  # the champion
    second: int = 0  # that takes over from it
    inputs: set[Path] = field(default_factory=set)

    @property
    def settings(self) -> Settings:
        return self.office.settings

    @property
    def store(self) -> ReleaseStore:
        return ReleaseStore(self.settings.releases)

    def desk(self, who: Identity) -> Desk:
        return Desk(PILOT, self.settings, who=lambda: who)

    def rows(self) -> list[Decision]:
        """Return the log of decisions, which nobody has changed."""
        rows = DecisionLog(self.settings.database).read(PILOT)
        assert faults(rows) == []
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        return rows

    def steps(self) -> list[tuple[int, str, str, str]]:
        """Return version, kind, stage and person of each decision."""
        return [(r.version, r.kind, r.stage_to, r.who) for r in self.rows()]

    def aliases(self) -> dict[str, int]:
        return dict(read_registry(self.settings, PILOT).aliases)

    def model(self, version: int) -> str:
        held = read_registry(self.settings, PILOT).versions[version]
        return held.tags["model_digest"]

    def label(self, version: int) -> str:
        return f"linear v{version}@{self.model(version)[:12]}"

    def states(self) -> dict[str, str]:
        """Return period -> state in the calendar."""
        pilot = load_pilot(PILOT, project=self.settings.project)
        return {
            entry.period: entry.state
            for entry in calendar(self.settings, pilot, now=NOW)
        }

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the pilot's file."""
        path = self.settings.project / f"configs/pilots/{PILOT}.yaml"
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(tree)
        path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")

    def run(self) -> Path:
        """Run the pilot by the command line; return the folder of the run."""
        before = set((self.settings.runs / PILOT).glob("2*"))
        done = self.office.command("run", PILOT)
        assert done.returncode == 0, done.stdout + done.stderr
        (new,) = set((self.settings.runs / PILOT).glob("2*")) - before
        return new

    def to_shadow(self) -> int:
        self.desk(MEI).promote("valid", reason="its evidence is complete")
        self.desk(ADA).sign("shadow", role="methodologist", reason="read")
        (row,) = self.desk(MEI).promote("shadow", reason="parallel run")
        return row.version

    def to_production(self) -> list[Decision]:
        """Let two people sign, and one of them bring the version to production."""
        self.desk(ADA).sign("production", role="methodologist", reason="read")
        with pytest.raises(RefusedError, match="1 of 2 people have signed"):
            self.desk(MEI).promote("production", reason="alone")
        self.desk(TOM).sign("production", role="it", reason="it runs")
        return self.desk(MEI).promote("production", reason="as the board decided")

    def current(self, period: str) -> Release:
        found = self.store.current(PILOT, period)
        assert found is not None
        return found

    def shadow(self, period: str) -> Release:
        found = ReleaseStore(self.settings.shadows).current(PILOT, period)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    project = tmp_path_factory.mktemp("story") / "an office"
    (project / "configs/pilots").mkdir(parents=True)
    shipped = REPOSITORY / f"configs/pilots/{PILOT}.yaml"
    tree = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    tree["owner"]["roles"] = {
        "methodologist": "ada",
        "subject_owner": "mei",
        "it": "tom",
    }
    tree["data"]["periods"] = "2024-01/2024-12"
    tree["methods"] = {name: tree["methods"][name] for name in METHODS}
    tree["evaluate"]["split"]["test"] = "2024-11/2024-12"
    tree["evaluate"]["bootstrap"] = 100
    tree["gates"].append(
        {"measure": "accuracy", "versus": "clerk", "margin": 0.1, "to": "production"}
    )
    tree["production"]["review"]["audit_sample"] = 60
    path = project / f"configs/pilots/{PILOT}.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    make_products(
        project / ".mlstats/demo", periods=YEAR + LATER, households_per_period=40
    )
    inputs = {path for path in project.rglob("*") if path.is_file()}
    with serving(project) as office:
        yield Story(office, inputs=inputs)


METHODS = ("clerk", "index", "linear")


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the arms answer in this process, where a process of their own adds nothing.

    The scheduled periods and those of the command line have theirs.
    """

    def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
        return function(*given)

    monkeypatch.setattr(production_reading, "isolated", here)


# -- what a release holds --------------------------------------------------------------


def units(release: Release) -> pd.DataFrame:
    return pd.read_parquet(release.folder / "confidential/units.parquet")


def totals(release: Release) -> pd.DataFrame:
    return pd.read_parquet(release.folder / "totals.parquet")


def checked(story: Story, period: str, *, by: str, number: int = 1) -> Release:
    """Return the current release of a period, all of whose parts tell the same."""
    release = story.current(period)
    assert release.number == number
    assert story.store.verify(release) == []
    assert release.published is not None
    manifest = json.loads((release.folder / "manifest.json").read_text())
    facts = release.facts
    assert manifest["facts"] == facts
    assert manifest["key_digest"] == release.key.digest
    assert (facts["pilot"], facts["period"]) == (PILOT, period)
    assert facts["final"] == release.final == (facts["counts"]["open"] == 0)
    _of_units(story, release, by)
    _pages(release)
    return release


def _of_units(story: Story, release: Release, by: str) -> None:
    """Hold provenance, counts and published shares to the units."""
    period, facts = release.key.period, release.facts
    found, told = units(release), totals(release)
    path = story.settings.project / f".mlstats/demo/products_{period}.csv"
    read = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert found["unit"].tolist() == read["line_id"].tolist()
    assert set(found["model_version"]) == {by}
    routes = found["route"].value_counts()
    assert facts["counts"]["units"] == len(read)
    for route in ("automatic", "audit", "queue"):
        assert facts["counts"][route] == routes.get(route, 0), route
    assert facts["counts"]["open"] == facts["queue"]["open"] == found["open"].sum()
    whole = told[told["domain"] == ""].set_index("class")
    group = found["value"].astype(object).str[:2].fillna("(uncoded)")
    weight = found["weight"]
    shares = weight.groupby(group).sum() / weight.sum()
    assert len(whole) >= 3
    for name, row in whole.iterrows():
        assert row["estimate"] == pytest.approx(shares[name], rel=1e-12), name
        assert row["lower"] <= row["estimate"] <= row["upper"]


def _pages(release: Release) -> None:
    """Look for the period, the state and the arm that produced on page and sheets."""
    facts = release.facts
    page = (release.folder / "release.html").read_text(encoding="utf-8")
    state = "final" if release.final else "provisional"
    producer = "baseline" if facts["fallback"] else "champion"
    label = facts["methods"].get(producer, facts["methods"]["baseline"])
    assert facts["period"] in page
    assert label in page
    assert facts["fallback"] or state in page
    book = openpyxl.load_workbook(release.folder / "release.xlsx")
    said = [str(cell.value) for row in book["Notes"].rows for cell in row]
    assert any(facts["period"] in line for line in said)
    assert any(line.startswith(state) for line in said)
    assert book["totals"].max_row > len(totals(release))
    for one in facts["fallback"]:
        assert one["said"] in page
        assert any(one["said"] in line for line in said)


# -- to the shadow ---------------------------------------------------------------------


def test_the_first_gate_to_production_is_inconclusive(story: Story) -> None:
    """Of the gold sample one household in two has been adjudicated by then."""
    kept = {}
    for period in YEAR[-2:]:
        path = story.settings.project / f".mlstats/demo/products_{period}.csv"
        kept[path] = path.read_bytes()
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        gold = frame.loc[frame["coicop_gold"] != "", "household_id"].unique()
        waits = frame["household_id"].isin(gold[1::2])
        frame.loc[waits, ["coicop_gold", "coder_a", "coder_b"]] = ""
        frame.to_csv(path, index=False)
    folder = story.run()
    for path, content in kept.items():
        path.write_bytes(content)  # the others come in later
    gates = pd.read_parquet(folder / "gates.parquet").set_index("to")
    assert gates["result"].to_dict() == {
        "shadow": "pass",
        "production": "inconclusive",
    }
    assert "labels would decide" in gates.loc["production", "reason"]
    page = (folder / "scorecard.html").read_text(encoding="utf-8")
    assert gates.loc["production", "reason"] in page
    version = story.to_shadow()
    assert story.aliases() == {"baseline": version - 1, "shadow": version}
    number, lacks = story.desk(MEI).lacks("production")
    assert number == version
    assert lacks == [
        "gate accuracy@full to production: inconclusive, and no waiver counts today",
        "0 of 2 live shadow periods",
        "0 of 12 periods back-cast",
        "0 of 2 people have signed",
        "a signature as methodologist or subject_owner",
    ]
    with pytest.raises(RefusedError, match="inconclusive"):
        story.desk(MEI).promote("production", reason="it looks good")
    assert story.steps() == [
        (version, "promote", "valid", "mei"),
        (version, "sign", "shadow", "ada"),
        (version, "promote", "shadow", "mei"),
    ]
    story.desk(MEI).stop("retired", reason="its evidence is too small")


def test_with_the_whole_gold_sample_the_gates_are_passed(story: Story) -> None:
    folder = story.run()
    gates = pd.read_parquet(folder / "gates.parquet")
    assert set(gates["result"]) == {"pass"}
    assert story.aliases()["challenger"] == max(
        read_registry(story.settings, PILOT).versions
    )
    story.first = story.to_shadow()
    assert story.aliases() == {"baseline": story.first - 1, "shadow": story.first}
    kept = terms_of(story.model(story.first), story.settings.confidential)
    assert (kept["method"], kept["seen_to"]) == ("linear", "2024-12")
    assert kept["baseline"] == story.model(story.first - 1)
    evidence = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    assert {gate["result"] for gate in evidence["gates"]} == {"pass"}


@pytest.mark.usefixtures("inline")
def test_a_back_cast_and_two_live_periods_are_asked_for(story: Story) -> None:
    settings, label = story.settings, story.label(story.first)
    for period in YEAR[:-1]:
        done = production.produce(PILOT, period, settings, back_cast=True)
        assert done.release is None
    live = production.produce(PILOT, LATER[0], settings)
    assert live.reasons == ()
    with pytest.raises(RefusedError) as refused:
        story.desk(MEI).promote("production", reason="soon")
    assert "1 of 2 live shadow periods; 11 of 12 periods back-cast" in str(
        refused.value
    )
    production.produce(PILOT, YEAR[-1], settings, back_cast=True)
    production.produce(PILOT, LATER[1], settings)
    assert story.store.periods(PILOT) == LATER[:2]  # a back-cast publishes nothing
    shadows = ReleaseStore(settings.shadows)
    assert shadows.periods(PILOT) == YEAR + LATER[:2]
    for period in YEAR + LATER[:2]:
        shown = story.shadow(period)
        assert shadows.verify(shown) == []
        assert shown.facts["answered"] is True
        assert shown.facts["shadow_version"] == story.first
        assert shown.facts["shadow_model"] == story.model(story.first)
        # It is told beside the baseline, on the same units.
        figures = totals(shown)
        assert figures["difference"].notna().any()
        gap = figures["estimate"] - figures["baseline"]
        pd.testing.assert_series_equal(
            figures["difference"], gap, check_names=False, atol=1e-12
        )
    for period in LATER[:2]:
        base = story.model(story.first - 1)
        release = checked(story, period, by=f"index@{base[:12]}")
        assert release.facts["fallback"] == []
        assert set(release.facts["methods"]) == {"baseline"}
        assert label not in (release.folder / "release.html").read_text()
    _, lacks = story.desk(MEI).lacks("production")
    assert lacks == [
        "0 of 2 people have signed",
        "a signature as methodologist or subject_owner",
    ]


# -- the champion ----------------------------------------------------------------------


def test_two_people_sign_and_it_is_the_champion(story: Story) -> None:
    first, before = story.first, len(story.rows())
    with pytest.raises(RefusedError):  # whoever ran it is its author
        Desk(PILOT, story.settings).sign("production", role="it", reason="mine")
    story.to_production()
    rows = story.rows()[before:]
    assert [(r.kind, r.stage_from, r.stage_to, r.who, r.role) for r in rows] == [
        ("sign", "shadow", "production", "ada", "methodologist"),
        ("sign", "shadow", "production", "tom", "it"),
        ("promote", "shadow", "production", "mei", "subject_owner"),
    ]
    held = read_registry(story.settings, PILOT).versions[first]
    assert {row.model for row in rows} == {held.tags["model_digest"]}
    assert {row.version for row in rows} == {first}
    (folder,) = [
        path
        for path in (story.settings.runs / PILOT).iterdir()
        if path.name == held.tags["run"]
    ]
    from mlstats.run_evidence import read_evidence

    assert {row.evidence for row in rows} == {read_evidence(folder)[0]}
    assert story.aliases() == {"baseline": first - 1, "champion": first}
    assert held.tags["stage"] == "production"
    assert story.states() == {
        LATER[0]: "waiting for review",
        LATER[1]: "waiting for review",
        **dict.fromkeys(LATER[2:], "late"),
        "2025-10": "planned",
    }


def planted(path: Path) -> None:
    """Plant a name in texts, an id, a household and an extreme weight."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[3:6, "description"] = f"parcel for {NAME}"
    frame.loc[7, "line_id"] = UNIT
    frame.loc[frame["household_id"] == frame.loc[9, "household_id"], "household_id"] = (
        HOME
    )
    frame.loc[11, "budget_weight"] = f"{WEIGHT}.25"
    frame.to_csv(path, index=False)


def test_three_periods_are_produced_on_schedule(story: Story) -> None:
    """Their scheduled times lie in the past; the last one holds planted records."""
    office, periods = story.office, LATER[2:5]
    planted(office.project / f".mlstats/demo/products_{periods[-1]}.csv")
    done = office.command("deploy", PILOT)
    assert done.returncode == 0, done.stderr
    assert f"produce/{PILOT} deployed: 0 6 3 * *" in done.stdout
    times = [f"2025-{month:02d}-03T06:00:00+00:00" for month in (4, 5, 6)]
    with office.client() as client:
        ended = [  # a month lies between them: each finds the one before released
            office.ended(client, office.plan(client, PILOT, time), seconds=240)
            for time in times
        ]
    assert [run.name for run in ended] == [f"{PILOT} {period}" for period in periods]
    assert {(run.state.type.value, run.state.name) for run in ended} == {
        ("COMPLETED", "Done")
    }
    rows = {row.period: row for row in office.attempts(PILOT)}
    for period, time in zip(periods, times, strict=True):
        release = checked(story, period, by=story.label(story.first))
        assert release.facts["fallback"] == []
        assert release.facts["joint"]
        row = rows[period]
        assert row.scheduled[:16] == time[:16]
        assert row.started < row.ended
        assert (row.kind, row.outcome, row.release) == ("scheduled", "done", 1)
        assert (row.final, row.causes) == (release.final, "")
        assert story.states()[period] == "waiting for review"
    then, now = (totals(story.current(period)) for period in periods[:2])
    key = ["variable", "domain", "class"]
    both = now.merge(then, on=key, suffixes=("", "_then"))
    both = both[both["last_period"].notna()]
    assert len(both) > 3
    assert (both["last_period"] == both["estimate_then"]).all()


def test_no_planted_record_is_in_a_release_a_log_or_a_server(story: Story) -> None:
    project = story.office.project
    files = publishable(project, story.inputs)
    names = {path.relative_to(project).as_posix() for path in files}
    assert {
        ".mlstats/state.db",
        ".mlstats/servers/prefect/prefect.db",
        ".mlstats/servers/prefect.log",
        ".mlstats/servers/mlflow.log",
        ".mlstats/servers/worker.log",
        f".mlstats/releases/{PILOT}/{LATER[4]}/r0001/release.xlsx",
        f".mlstats/shadows/{PILOT}/{LATER[0]}/r0001/totals.parquet",
    } <= names
    assert any(name.startswith("models/") and name.endswith(".db") for name in names)
    assert find(WORDS, files) == []
    kept = list((story.current(LATER[4]).folder / "confidential").iterdir())
    found = {word for word, _ in find(WORDS, kept)}
    assert {UNIT.lower(), HOME.lower()} <= found  # it was there to be found


# -- fallback and recovery -------------------------------------------------------------


def test_a_missing_model_lets_the_baseline_produce(
    story: Story, tmp_path: Path
) -> None:
    period, digest = LATER[5], story.model(story.first)
    base = f"index@{story.model(story.first - 1)[:12]}"
    pack = story.settings.confidential / "models" / digest
    shutil.move(pack, tmp_path / "away")
    try:
        done = story.office.command("produce", PILOT, "--period", period)
    finally:
        shutil.move(tmp_path / "away", pack)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "fallback (model): The confidential store does not hold" in done.stdout
    release = checked(story, period, by=base)
    (reason,) = release.facts["fallback"]
    assert (reason["cause"], reason["classes"]) == ("model", [])
    assert release.facts["methods"]["champion"] == story.label(story.first)
    flags = units(release)["flag"].astype(str)
    assert flags.str.startswith("fallback").all()
    # The break that the switch makes is that of the last period with both.
    last = story.current(LATER[4])
    told = pd.read_parquet(release.folder / "method_difference.parquet")
    assert set(told["period"]) == {LATER[4]}
    key = ["variable", "domain", "class"]
    both = told.merge(totals(last), on=key, suffixes=("", "_then"))
    both = both[both["difference"].notna()]
    assert len(both) > 3
    assert (both["difference"] == both["difference_then"]).all()
    page = (release.folder / "release.html").read_text(encoding="utf-8")
    assert "fallback" in page.lower()
    with story.office.client() as client:
        (run,) = [
            run for run in client.read_flow_runs() if run.name == f"{PILOT} {period}"
        ]
    assert (run.state.type.value, run.state.name) == ("COMPLETED", "Fallback")
    row = story.office.attempts(PILOT)[-1]
    assert (row.kind, row.outcome, row.causes) == ("by hand", "fallback", "model")
    assert story.states()[period] == "fallback"
    shown = story.office.command("calendar", PILOT, "--from", period, "--to", period)
    assert "fallback" in shown.stdout


def test_with_the_model_back_a_new_revision_is_as_decided(story: Story) -> None:
    period = LATER[5]
    done = story.office.command("produce", PILOT, "--period", period)
    assert done.returncode == 0, done.stdout + done.stderr
    release = checked(story, period, by=story.label(story.first), number=2)
    assert release.facts["fallback"] == []
    assert not (release.folder / "method_difference.parquet").exists()
    first, second = story.store.revisions(PILOT, period)
    assert story.store.verify(first) == []
    assert first.facts["fallback"]
    assert second.key == release.key
    assert story.states()[period] == "waiting for review"
    rows = [row for row in story.office.attempts(PILOT) if row.period == period]
    assert [row.outcome for row in rows] == ["fallback", "done"]
    assert [row.release for row in rows] == [1, 2]


# -- retraining ------------------------------------------------------------------------


@pytest.mark.usefixtures("inline")
def test_a_retrained_version_takes_over(story: Story) -> None:
    """It has learnt from a longer year, which it is back-cast over."""

    def longer(tree: dict[str, Any]) -> None:
        tree["data"]["periods"] = "2024-01/2025-04"
        tree["evaluate"]["split"]["test"] = "2025-03/2025-04"

    story.edit(longer)
    story.run()
    first = story.first
    assert story.aliases()["champion"] == first  # nothing is swapped silently
    challenger = story.aliases()["challenger"]
    second = story.second = story.to_shadow()
    assert second == challenger > first
    assert story.model(second) != story.model(first)
    kept = terms_of(story.model(second), story.settings.confidential)
    assert kept["seen_to"] == "2025-04"
    for period in [*YEAR[4:], *LATER[:4]]:
        production.produce(PILOT, period, story.settings, back_cast=True)
    for period in LATER[6:8]:
        with pytest.raises(RefusedError, match="of 2 live shadow periods"):
            story.desk(MEI).promote("production", reason="soon")
        production.produce(PILOT, period, story.settings)
        checked(story, period, by=story.label(first))
        assert story.shadow(period).facts["shadow_version"] == second
    made = story.to_production()
    assert [(r.version, r.stage_from, r.stage_to) for r in made] == [
        (first, "production", "suspended"),
        (second, "shadow", "production"),
    ]
    now = standing(story.rows())
    assert (now.champion, now.stage(first)) == (second, "suspended")
    assert story.aliases() == {"baseline": second - 1, "champion": second}
    done = production.produce(PILOT, LATER[8], story.settings)
    assert not done.fallback
    checked(story, LATER[8], by=story.label(second))


@pytest.mark.usefixtures("inline")
def test_a_rollback_brings_the_old_champion_back(story: Story) -> None:
    first, second, period = story.first, story.second, LATER[8]
    made = story.desk(MEI).roll_back(reason="complaints about September")
    assert [(r.kind, r.version, r.stage_to) for r in made] == [
        ("rollback", second, "suspended"),
        ("rollback", first, "production"),
    ]
    assert story.aliases()["champion"] == first
    before = story.current(period)
    done = production.produce(PILOT, period, story.settings)
    assert not done.fallback
    release = checked(story, period, by=story.label(first), number=2)
    assert release.key.input_digest == before.key.input_digest
    assert release.key.champion == story.model(first)
    assert story.store.verify(before) == []  # what was published stays
    assert story.states() == {
        **dict.fromkeys(LATER, "waiting for review"),
        "2025-10": "planned",
    }
    told = story.office.command("decisions", PILOT)
    assert told.returncode == 0
    assert f"version {first} is production" in told.stdout
    assert f"version {second} is suspended" in told.stdout
    doctor = story.office.command("doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert find(WORDS, publishable(story.office.project, story.inputs)) == []

"""Versions on their way: a real registry, a real log, evidence on disk."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mlstats import cli, decision_audit, io, model_store, promotion, tracking
from mlstats.config import Pilot
from mlstats.decision_audit import audit
from mlstats.decision_log import DecisionLog
from mlstats.errors import MlstatsError, RefusedError, ServiceError, UsageError
from mlstats.identity import Identity, operating_system_user
from mlstats.pilot_files import load_pilot
from mlstats.promoting import Asked, carry_out
from mlstats.promotion import Desk
from mlstats.provenance import config_digest
from mlstats.quality.evidence import bundle, canonical, digest
from mlstats.run_evidence import evidence_digest
from mlstats.settings import Settings, load_settings
from tests.flows.conftest import Finished
from tests.report_example import example_scorecard, gate

pytestmark = pytest.mark.xdist_group("finished")

# What follows asks for no periods in the shadow; test_shadow_periods.py is about them.
ADA, MEI, TOM = Identity("ada"), Identity("mei"), Identity("tom")
WHY = "as the board decided in June"
PILOT = """
pilot: diary
theme: coding
owner:
  author: data-science
  roles: {methodologist: ada, subject_owner: [mei, kim], it: tom}
data:
  source: diary.csv
  roles: {unit_id: id, text: [text], target: code}
  classification: {file: classifications/coicop2018_demo.csv, parent: parent}
methods:
  exact:  {kind: traditional, use: mlstats.coding.ExactIndex}
  linear: {kind: ml, use: mlstats.coding.LinearText}
baseline: exact
candidate: linear
sheets: {waivers: waivers.yaml}
production: {shadow: {live: 0, back_cast: 0}}
gates:
  - {measure: accuracy, versus: baseline, margin: 0.02}
  - {measure: accuracy, versus: baseline, to: production, signed_by: [it]}
"""
WAIVER = """
version: 1
waivers:
  - gate: accuracy@full to production
    text: The gold sample of May is late, that of April stands in for it.
    expires: 2026-12-31
    first: {person: A. Lovelace, role: methodologist, day: 2026-11-02}
    second: {person: M. Mei, role: subject owner, day: 2026-11-03}
"""
FIRST, LAST = date(2026, 11, 20), date(2027, 1, 1)


class Words:
    """A model of one word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def save(self, folder: Path) -> None:
        (folder / "words.txt").write_text(self.word)


def ran(pilot: Pilot, settings: Settings, name: str, result: str, **trial: str) -> None:
    """Leave what a run leaves: files, a record in MLflow, a registered version."""
    folder = settings.runs / pilot.pilot / name
    folder.mkdir(parents=True)
    resolved = pilot.model_dump(mode="json")
    io.write_text(folder / "pilot.yaml", yaml.safe_dump(resolved, sort_keys=False))
    gates = [
        gate(gate=f"accuracy@full to {to}", measure="accuracy@full", to=to, result=held)
        for to, held in (("shadow", "pass"), ("production", result))
    ]
    frozen = bundle(
        example_scorecard(),
        pd.DataFrame(gates),
        subject={"pilot": pilot.pilot, "candidate": "linear", "baseline": "exact"},
        rules=[rule.model_dump(mode="json") for rule in pilot.gates],
        digests={"config digest": config_digest(pilot), "outputs": name},
    )
    (folder / "evidence.json").write_bytes(canonical(frozen))
    kept = {
        method: model_store.store(Words(f"{method} {name}"), [], settings.confidential)
        for method in (["exact", "linear"] if trial else ["linear"])
    }
    methods = [
        tracking.MethodRecord(method, "ml", {}, {}, kept[method], [("text", "string")])
        for method in kept
    ]
    tags = {"evidence_hash": digest(frozen)} | {
        f"trial_{k}": v for k, v in trial.items()
    }
    record = tracking.RunRecord("diary", name, {}, tags, folder, methods)
    versions = tracking.track(settings, record)
    tracking.point(settings, "diary", {"challenger": "linear"}, versions)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project: 1 and 2 pass, 3 fails to production, 4 and 5 are of a trial."""
    project = tmp_path_factory.mktemp("office")
    (project / "configs/pilots").mkdir(parents=True)
    (project / "configs/pilots/diary.yaml").write_text(PILOT)
    (project / "configs/waivers.yaml").write_text(WAIVER)
    settings = load_settings(project=project)
    settings.prepare()
    pilot = load_pilot("diary", project=project)
    for name, result in (("r1", "pass"), ("r2", "pass"), ("r3", "waived (fail)")):
        ran(pilot, settings, name, result)
    ran(pilot, settings, "r4", "pass", sample="100")
    return project


@pytest.fixture
def office(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return a copy of the project, on a day on which its waiver counts."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    on(monkeypatch, FIRST)
    return load_settings(project=tmp_path)


def on(monkeypatch: pytest.MonkeyPatch, day: date) -> None:
    for module in (promotion, decision_audit):
        monkeypatch.setattr(module, "today", lambda: day)


def desk(office: Settings, who: Identity) -> Desk:
    return Desk("diary", office, who=lambda: who)


def champion(office: Settings, version: int, *waive: str) -> None:
    """Bring a version all the way, by three people."""
    desk(office, MEI).promote("valid", reason=WHY, version=version)
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    desk(office, MEI).promote("shadow", reason=WHY)
    for who, role in ((ADA, "methodologist"), (TOM, "it")):
        desk(office, who).sign("production", role=role, reason=WHY, waive=waive)
    desk(office, MEI).promote("production", reason=WHY)


def registered(office: Settings) -> tuple[dict[str, int], dict[int, str]]:
    """Return MLflow's aliases and the tag `stage` of the versions."""
    import mlflow

    client = mlflow.MlflowClient(office.mlflow_uri, office.mlflow_uri)
    found = client.search_model_versions("name='diary'")
    aliases = client.get_registered_model("diary").aliases
    stages = {int(v.version): v.tags["stage"] for v in found if "stage" in v.tags}
    return {name: int(version) for name, version in aliases.items()}, stages


def noticed(office: Settings) -> list[tuple[str, str]]:
    return [(notice.state, notice.said) for notice in audit(office)]


def broken(office: Settings) -> str:
    return "; ".join(said for state, said in noticed(office) if state == "broken")


def test_two_champions_and_a_rollback_in_log_and_registry(office: Settings) -> None:
    champion(office, 1)
    aliases, stages = registered(office)
    assert aliases == {"champion": 1, "challenger": 5}
    assert stages == {1: "production"}
    champion(office, 2)
    desk(office, MEI).roll_back(reason="errors in the second week")
    aliases, stages = registered(office)
    assert aliases == {"champion": 1, "challenger": 5}
    assert stages == {1: "production", 2: "suspended"}
    desk(office, TOM).stop("suspended", reason="the input is wrong")
    aliases, stages = registered(office)
    assert aliases == {"challenger": 5}
    ((state, said),) = noticed(office)
    assert state == "good"
    assert "in production: none" in said
    rows = Desk("diary", office).log.read("diary")
    assert {row.evidence for row in rows if row.version == 1} == {
        evidence_digest(office.runs / "diary" / "r1")
    }
    assert io.sha256_file(office.runs / "diary/r1/evidence.json") == rows[0].evidence


def test_the_challenger_follows_the_log_once_decided_on(
    office: Settings,
) -> None:
    tracking.point(office, "diary", {"challenger": "linear"}, {"linear": "2"})
    desk(office, MEI).promote("valid", reason=WHY, version=2)
    assert registered(office)[0] == {"challenger": 2}
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    desk(office, MEI).promote("shadow", reason=WHY)
    assert registered(office)[0] == {"shadow": 2}


def test_who_ran_the_pilot_cannot_approve(office: Settings) -> None:
    """The person who runs these tests has registered the versions."""
    path = office.project / "configs/pilots/diary.yaml"
    name = operating_system_user().name
    path.write_text(PILOT.replace("methodologist: ada", f"methodologist: {name}"))
    Desk("diary", office).promote("valid", reason=WHY, version=1)
    with pytest.raises(RefusedError, match=f"{name} is an author"):
        Desk("diary", office).sign("shadow", role="methodologist", reason=WHY)


def test_the_author_of_the_run_stays_an_author(office: Settings) -> None:
    """A pilot's file that names another author later changes nothing."""
    path = office.project / "configs/pilots/diary.yaml"
    path.write_text(PILOT.replace("author: data-science", "author: nobody"))
    desk(office, MEI).promote("valid", reason=WHY, version=1)
    for who in (Identity("data-science"), Identity("ada", frozenset({"data-science"}))):
        with pytest.raises(RefusedError, match="is an author"):
            desk(office, who).sign("shadow", role="methodologist", reason=WHY)


def test_changed_evidence_voids_signatures(office: Settings) -> None:
    desk(office, MEI).promote("valid", reason=WHY, version=1)
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    assert desk(office, MEI).lacks("shadow") == (1, [])
    path = office.runs / "diary/r1/evidence.json"
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"result":"pass"', b'"result":"PASS"', 1))
    _, lacks = desk(office, MEI).lacks("shadow")
    assert "the run left" in lacks[0]
    assert "signatures on other evidence are void" in lacks
    with pytest.raises(RefusedError, match="cannot go to shadow"):
        desk(office, MEI).promote("shadow", reason=WHY)
    assert "evidence of version 1 (r1) was changed" in broken(office)
    path.unlink()
    assert "evidence of version 1 (r1) is not there" in broken(office)
    path.write_bytes(kept)
    assert broken(office) == ""


def test_the_pilot_that_ran_cannot_name_another_author_later(office: Settings) -> None:
    path = office.runs / "diary/r1/pilot.yaml"
    path.write_text(path.read_text().replace("author: data-science", "author: nobody"))
    with pytest.raises(RefusedError, match="not that of the evidence"):
        desk(office, MEI).promote("valid", reason=WHY, version=1)
    path.unlink()
    with pytest.raises(RefusedError, match="the pilot as it ran is not there"):
        desk(office, MEI).promote("valid", reason=WHY, version=1)


def test_evidence_and_registry_changed_together_void_signatures_too(
    office: Settings,
) -> None:
    import mlflow

    desk(office, MEI).promote("valid", reason=WHY, version=1)
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    path = office.runs / "diary/r1/evidence.json"
    path.write_bytes(path.read_bytes().replace(b'"outputs":"r1"', b'"outputs":"rx"'))
    client = mlflow.MlflowClient(office.mlflow_uri, office.mlflow_uri)
    run = client.get_model_version("diary", "1").run_id
    client.set_tag(run, "evidence_hash", io.sha256_file(path))
    _, lacks = desk(office, MEI).lacks("shadow")
    assert lacks[0] == "0 of 1 people have signed"
    assert "was changed after decision 1" in broken(office)


def change(office: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(office.home_folder / "state.db")) as db, db:
        for verb in ("update", "delete"):
            db.execute(f"drop trigger if exists decisions_no_{verb}")
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update decisions set who = 'kim' where number = 2", "row 2 was changed"),
        ("delete from decisions where number = 1", "row 1 is missing"),
        ("delete from decisions where number = 3", "rows are missing at its end"),
        ("delete from decisions", "rows are missing at its end"),
        ("drop table decisions", "rows are missing at its end"),
    ],
)
def test_tampering_is_told_by_doctor_and_never_repaired(
    office: Settings, statement: str, said: str
) -> None:
    desk(office, MEI).promote("valid", reason=WHY, version=1)
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    desk(office, MEI).promote("shadow", reason=WHY)
    before = registered(office)
    change(office, statement)
    assert said in broken(office)
    with pytest.raises(ServiceError):
        desk(office, MEI).repair()
    assert registered(office) == before


def test_no_decision_is_added_to_a_log_that_has_lost_its_table(
    office: Settings,
) -> None:
    desk(office, MEI).promote("valid", reason=WHY, version=1)
    change(office, "drop table decisions")
    with pytest.raises(ServiceError, match="lost its table decisions"):
        DecisionLog(office.database).append("diary", lambda rows: [])


def test_a_copy_changed_by_hand_is_put_right(office: Settings) -> None:
    champion(office, 1)
    tracking.point(
        office, "diary", {"champion": "linear", "shadow": "linear"}, {"linear": "3"}
    )
    found = noticed(office)
    assert [state for state, _ in found] == ["doubtful", "doubtful"]
    assert "alias champion: version 3, the log: version 1" in found[1][1]
    assert len(desk(office, MEI).repair()) == 2
    assert registered(office)[0] == {"champion": 1, "challenger": 5}
    assert [state for state, _ in noticed(office)] == ["good"]
    assert desk(office, MEI).repair() == []


def test_a_champion_without_any_decision_is_told(office: Settings) -> None:
    tracking.point(office, "diary", {"champion": "linear"}, {"linear": "3"})
    ((state, said),) = noticed(office)
    assert state == "doubtful"
    assert "alias champion: version 3, the log: none" in said
    desk(office, MEI).repair()
    assert "champion" not in registered(office)[0]


def test_a_decision_outlives_mlflow(
    office: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion(office, 1)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv("MLSTATS_TRACKING_URI", "http://user:hush@127.0.0.1:9")
        gone = load_settings(project=office.project)
        with pytest.raises(ServiceError, match="recorded; its copy is not") as caught:
            desk(gone, TOM).stop("suspended", reason="the input is wrong")
        assert "hush" not in str(caught.value)
        with pytest.raises(ServiceError, match="MLflow"):
            desk(gone, MEI).promote("valid", reason=WHY, version=2)
    assert registered(office)[0]["champion"] == 1
    assert "doubtful" in {state for state, _ in noticed(office)}
    desk(office, TOM).repair()
    assert "champion" not in registered(office)[0]


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (5, "a trial made it"),
        (4, "its gates judged linear, and this version is exact"),
        (99, "Version 99 of diary is not registered"),
    ],
)
def test_versions_that_cannot_go_anywhere(
    office: Settings, version: int, said: str
) -> None:
    with pytest.raises(RefusedError, match=said):
        desk(office, MEI).promote("valid", reason=WHY, version=version)


def test_a_version_whose_model_is_gone_or_changed(office: Settings) -> None:
    models = office.confidential / "models"
    for folder in models.iterdir():
        (folder / "words.txt").write_text("other")
    with pytest.raises(RefusedError, match="files of the model .* were changed"):
        desk(office, MEI).promote("valid", reason=WHY, version=1)
    shutil.rmtree(models)
    with pytest.raises(RefusedError, match="does not hold the model"):
        desk(office, MEI).promote("valid", reason=WHY, version=1)


def test_a_truth_made_after_seeing_the_candidate_stays_refused(
    office: Settings,
) -> None:
    """What the run was told counts; the pilot's file says nothing of it any more."""
    seen = ["evaluate.truth_seen=[linear]"]
    pilot = load_pilot("diary", project=office.project, overrides=seen)
    ran(pilot, office, "r5", "pass")
    with pytest.raises(RefusedError, match="had seen what linear suggests"):
        desk(office, MEI).promote("valid", reason=WHY, version=6)


def test_a_waiver_lets_a_version_by_until_it_expires(
    office: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = "accuracy@full to production"
    desk(office, MEI).promote("valid", reason=WHY, version=3)
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    desk(office, MEI).promote("shadow", reason=WHY)
    for who, role in ((ADA, "methodologist"), (TOM, "it")):
        desk(office, who).sign("production", role=role, reason=WHY)
    with pytest.raises(RefusedError, match="0 of 2 people have signed its waiver"):
        desk(office, MEI).promote("production", reason=WHY)
    with pytest.raises(UsageError, match="No waiver that counts"):
        desk(office, MEI).sign(
            "production", role="subject_owner", reason=WHY, waive=["accuracy@full"]
        )
    for who, role in ((ADA, "methodologist"), (MEI, "subject_owner")):
        desk(office, who).sign("production", role=role, reason=WHY, waive=[named])
    on(monkeypatch, LAST)
    with pytest.raises(RefusedError, match=": fail, and no waiver counts today"):
        desk(office, MEI).promote("production", reason=WHY)
    on(monkeypatch, FIRST)
    desk(office, MEI).promote("production", reason=WHY)
    assert [state for state, _ in noticed(office)] == ["good"]
    on(monkeypatch, LAST)
    assert "expired on 2026-12-31" in noticed(office)[0][1]
    assert noticed(office)[0][0] == "doubtful"


def test_a_gate_asks_it_to_sign(office: Settings) -> None:
    desk(office, MEI).promote("valid", reason=WHY, version=1)
    desk(office, ADA).sign("shadow", role="methodologist", reason=WHY)
    desk(office, MEI).promote("shadow", reason=WHY)
    for who, role in ((ADA, "methodologist"), (MEI, "subject_owner")):
        desk(office, who).sign("production", role=role, reason=WHY)
    assert desk(office, MEI).lacks("production") == (
        1,
        ["a signature as it, asked for by a gate"],
    )


# -- the command line --------------------------------------------------------------


def call(*words: str, code: int = 0) -> str:
    out = CliRunner().invoke(cli.app, list(words), terminal_width=200)
    if isinstance(out.exception, MlstatsError):
        assert out.exception.exit_code == code, out.exception
        return str(out.exception)
    assert out.exit_code == code, (out.output, out.exception)
    return out.output


@pytest.mark.usefixtures("office")
def test_the_verbs_tell_what_is_missing_and_list_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    name = operating_system_user().name
    assert "no decision was made yet" in call("decisions")
    assert "no decision was made yet" in call("decisions", "diary")
    assert "nearest: diary" in call("decisions", "dairy", code=2)
    path = tmp_path / "configs/pilots/diary.yaml"
    path.write_text(PILOT.replace("author: data-science", f"author: {name}"))
    words = ["promote", "diary", "--to", "valid", "--version", "1"]
    said = call(*words, "--dry-run")
    assert "nothing is missing for version 1" in said
    said = call(*words, "--reason", "=1+1 looks good [red]")
    assert f"decision 1: version 1 is now valid ({name}, author)" in said
    lines: list[str] = []
    sign = Asked(to="shadow", sign="methodologist", reason=WHY)
    assert carry_out("diary", sign, lines.append, who=lambda: ADA)
    assert "nothing is missing for version 1 of diary to shadow:" in lines
    ready = [line for line in lines if line.startswith("mlstats promote")]
    assert ready == ['mlstats promote diary --to shadow --version 1 --reason "..."']
    said = call("promote", "diary", "--to", "production", "--version", "1",
                "--dry-run", code=1)  # fmt: skip
    assert "there is no step from valid to production" in said
    said = call("promote", "diary", "--to", "shadow", "--reason", WHY, code=1)
    assert f"{name} is an author of this version" in said
    said = call("decisions", "diary", "--xlsx", "out.xlsx")
    assert "=1+1 looks good [red]" in said
    assert "version 1 is valid" in said
    table = pd.read_excel("out.xlsx", sheet_name="Decisions")
    assert table["kind"].tolist() == ["promote", "sign"]
    assert table["reason"][0] == "'=1+1 looks good [red]"
    assert table["who"].tolist() == [name, "ada"]
    notes = pd.read_excel("out.xlsx", sheet_name="Notes")["note"]
    assert table["hash"][1] in notes.iloc[-1]
    change(load_settings(), "update decisions set who = 'kim' where number = 1")
    assert "row 1 was changed" in call("decisions", code=4)
    said = " ".join(call("doctor", code=4).split())
    assert "decisions on diary broken row 1 was changed" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "one of --to STAGE"),
        (["--to", "shadow", "--rollback"], "one of --to STAGE"),
        (["--to", "shadwo", "--reason", "x"], "nearest: shadow"),
        (["--to", "idea", "--reason", "x"], "no stage 'idea'"),
        (["--to", "retired", "--sign", "it"], "Only steps to valid"),
        (["--rollback", "--dry-run"], "Only steps to valid"),
        (["--to", "shadow", "--waive", "a"], "--sign ROLE"),
        (["--to", "shadow", "--reason", "x"], "at the stage valid"),
        (["--to", "suspended", "--reason", "x"], "which version"),
        (["--to", "valid", "--version", "1"], "no reason"),
        (["--to", "valid", "--version", "1", "--sign", "it"], "Nobody signs"),
    ],
)
@pytest.mark.usefixtures("office")
def test_usage(words: list[str], said: str) -> None:
    path = Path("configs/pilots/diary.yaml")
    path.write_text(PILOT.replace("data-science", operating_system_user().name))
    assert said in call("promote", "diary", *words, code=2)


# -- a run of the product ----------------------------------------------------------


def test_a_finished_run_can_be_put_forward_and_signed(
    finished: Finished, tmp_path: Path
) -> None:
    shutil.copytree(finished.project, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "configs/pilots/canary.yaml"
    owner = "owner: {author: tests, roles: {methodologist: ada}}"
    path.write_text(path.read_text().replace("owner: {author: tests}", owner))
    settings = load_settings(project=tmp_path)

    def canary(who: Identity) -> Desk:
        return Desk("canary", settings, who=lambda: who)

    canary(ADA).promote("valid", reason=WHY)
    canary(ADA).sign("shadow", role="methodologist", reason=WHY)
    (row,) = canary(ADA).promote("shadow", reason=WHY)
    assert row.stage_to == "shadow"
    assert (
        canary(ADA).lacks("production")[1][0] == "the pilot has no gate to production"
    )
    assert [notice.state for notice in audit(settings)] == ["good"]
    me: Any = operating_system_user()
    with pytest.raises(RefusedError, match=f"{me.name} (is an author|does not hold)"):
        canary(me).sign("production", role="methodologist", reason=WHY)

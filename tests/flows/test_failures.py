"""A run that fails leaves nothing half-written and tells one clear error."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pandas as pd
import pytest

from mlstats.errors import ContractError, MethodError, MlstatsError, ServiceError
from mlstats.scaffold import new_pilot
from mlstats.settings import load_settings
from tests.flows.canary import find

pytestmark = [
    pytest.mark.xdist_group("flows"),
    pytest.mark.usefixtures("prefect_server"),
]

SECRET = "Quackenbush"


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """Return a project with a pilot of 200 easy texts."""
    words = [("rye bread", "a"), ("green tea", "b"), ("wool socks", "c")]
    rows = [
        (f"{i:04d}", f"{words[i % 3][0]} {i % 5}", words[i % 3][1]) for i in range(200)
    ]
    frame = pd.DataFrame(rows, columns=["id", "text", "code"])
    frame.loc[7, "text"] = f"rye {SECRET}"
    frame.to_csv(tmp_path / "data.csv", index=False)
    new_pilot(
        load_settings(),
        "diary",
        Path("data.csv"),
        text=["text"],
        code="code",
        unit_id="id",
    )
    path = tmp_path / "configs/pilots/diary.yaml"
    text = path.read_text()
    text = text.replace(
        "mlstats.coding.LinearText", "sklearn.naive_bayes.MultinomialNB"
    )
    path.write_text(text.replace("evaluate:\n", "evaluate:\n  bootstrap: 50\n"))
    return tmp_path


def run(*overrides: str) -> None:
    from pipelines.start import run_flow

    run_flow("diary", overrides=overrides)


def left_over(office: Path) -> list[str]:
    """Return what lies where only finished runs may lie."""
    runs = office / ".mlstats" / "runs"
    confidential = office / ".mlstats" / "confidential"
    found = [p for p in runs.rglob("*") if p.is_file()] if runs.exists() else []
    for pattern in ("units.parquet", ".new-*"):
        found += confidential.rglob(pattern)
    return [str(p.relative_to(office)) for p in found]


def succeeds(office: Path) -> None:
    run()
    names = {Path(name).name for name in left_over(office)}
    assert {"scorecard.html", "units.parquet", "latest.txt"} <= names


def test_a_broken_contract_stops_before_anything_is_written(office: Path) -> None:
    text = (office / "data.csv").read_text()
    (office / "data.csv").write_text(text + "0001,twice,a\n")
    with pytest.raises(ContractError, match="repeats the id"):
        run()
    assert left_over(office) == []
    (office / "data.csv").write_text(text)
    succeeds(office)


def test_a_method_that_fails_is_named_and_quotes_no_record(
    office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.naive_bayes import MultinomialNB

    def fit(self: object, X: object, y: object) -> None:
        raise ValueError(f"could not convert string to float: {SECRET!r}")

    with monkeypatch.context() as patch:
        patch.setattr(MultinomialNB, "fit", fit)
        with pytest.raises(MethodError, match="failed with ValueError") as caught:
            run()
    assert caught.value.where == "methods.linear"
    assert SECRET not in str(caught.value)
    assert left_over(office) == []
    logs = list((office / ".mlstats/confidential").rglob("log.txt"))
    assert find([SECRET], logs), "the details must be kept where they may be"
    succeeds(office)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk(
    office: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The first, the third and the last of the files cannot be written."""
    replace = os.replace
    for name in ("units.parquet", "scorecard.html", "latest.txt"):

        def full(source: str, target: str, wanted: str = name) -> None:
            if Path(target).name == wanted:
                raise OSError(number, os.strerror(number), str(target))
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            with pytest.raises(ServiceError):
                run()
        assert left_over(office) == [], name
    succeeds(office)


def test_mlflow_that_does_not_answer(
    office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MLSTATS_TRACKING_URI", "http://user:pass@127.0.0.1:9")
        with pytest.raises(ServiceError, match="MLflow does not answer") as caught:
            run()
    assert "pass" not in str(caught.value.where)
    assert left_over(office) == []
    succeeds(office)


def test_mlflow_that_breaks_off_in_the_middle(
    office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    def broken(*args: object, **kwargs: object) -> None:
        raise MlflowException("gone")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "register_model", broken)
        with pytest.raises(ServiceError, match="MLflow"):
            run()
    assert left_over(office) == []
    client = mlflow.MlflowClient(load_settings().mlflow_uri)
    experiment = client.get_experiment_by_name("diary")
    states = {r.info.status for r in client.search_runs([experiment.experiment_id])}
    assert "FAILED" in states
    assert "RUNNING" not in states
    succeeds(office)


def test_prefect_that_does_not_answer(
    office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.start

    def unreachable(*args: object, **kwargs: object) -> None:
        raise ConnectionError("nobody at http://name:secret@127.0.0.1:9/api")

    monkeypatch.setitem(pipelines.start._FLOWS, "coding", unreachable)
    monkeypatch.setenv("PREFECT_API_URL", "http://name:secret@127.0.0.1:9/api")
    with pytest.raises(ServiceError, match="ConnectionError") as caught:
        run()
    assert "secret" not in str(caught.value)


def test_a_class_with_one_row_is_no_obstacle(office: Path) -> None:
    text = (office / "data.csv").read_text()
    (office / "data.csv").write_text(text + "9999,one of a kind,d\n")
    path = office / "configs/classifications/diary.csv"
    path.write_text(path.read_text() + "d,,\n")
    succeeds(office)


def test_a_rerun_gives_the_same_evidence_and_card(office: Path) -> None:
    kept = []
    for _ in range(2):
        run()
        pointer = (office / ".mlstats/runs/diary/latest.txt").read_text().strip()
        folder = office / ".mlstats/runs/diary" / pointer
        card = (office / "models" / "diary.md").read_bytes()
        kept.append(((folder / "evidence.json").read_bytes(), card))
    assert kept[0] == kept[1]


def test_a_trial_moves_no_alias_and_writes_no_card(office: Path) -> None:
    import mlflow

    run()
    client = mlflow.MlflowClient(load_settings().mlflow_uri)
    before = dict(client.get_registered_model("diary").aliases)
    card = (office / "models" / "diary.md").read_bytes()
    run("evaluate.seed=7")
    assert dict(client.get_registered_model("diary").aliases) == before
    assert (office / "models" / "diary.md").read_bytes() == card
    versions = client.search_model_versions("name = 'diary'")
    assert len(versions) > len(before)
    experiment = client.get_experiment_by_name("diary").experiment_id
    tags = [r.data.tags for r in client.search_runs([experiment])]
    assert {t.get("trial_overrides") for t in tags} == {None, "evaluate.seed=7"}


def test_errors_of_a_step_reach_the_caller_as_they_are(office: Path) -> None:
    with pytest.raises(MlstatsError) as caught:
        run("data.source=nowhere.csv")
    assert caught.value.exit_code == 3
    assert "MLSTATS_DATA" in str(caught.value)

"""Which version answers while somebody types, and how requests wait for it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats import model_store, serving_model
from mlstats.coding import LinearText
from mlstats.config import Pilot
from mlstats.decision_log import DecisionLog
from mlstats.errors import ConfigError, MethodError, UsageError
from mlstats.pilot_files import load_pilot
from mlstats.produced import Arm
from mlstats.registry import Registry
from mlstats.serving_model import Answers, Served, Watch
from mlstats.serving_queue import Desk
from mlstats.serving_requests import Asked
from tests.production_example import Office, appoint, office, terms_of


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build the project once; every test gets a copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLSTATS_DATA", raising=False)
        yield office(tmp_path_factory.mktemp("built")).settings.project


@pytest.fixture
def made(built: Path, tmp_path: Path) -> Office:
    from mlstats.settings import load_settings

    project = tmp_path / "project"
    shutil.copytree(built, project)
    settings = load_settings(project=project)
    names = {
        model_store.terms_of(path.name, settings.confidential)["method"]: path.name
        for path in (settings.confidential / "models").iterdir()
    }
    return Office(settings, names["index"], names["linear"])


def pilot_of(made: Office) -> Pilot:
    return load_pilot("diaries", project=made.settings.project)


def asked(k: int = 3) -> Asked:
    return Asked(["milk", "rye bread"], {"shop_type": ["market", None]}, k)


def test_a_version_in_the_shadow_does_not_answer(made: Office) -> None:
    appoint(made.settings, made.linear, "shadow")
    watch = Watch(pilot_of(made), made.settings)
    assert watch.current.arm.digest == made.index
    assert watch.current.told["role"] == "baseline"
    assert watch.current.told["note"] == (
        "no version is in production: the baseline answers"
    )
    appoint(made.settings, made.linear, "production", since="shadow")
    watch.look()
    assert watch.current.arm.digest == made.linear
    assert watch.current.told["role"] == "champion"
    assert "note" not in watch.current.told


def test_a_code_of_the_baseline_needs_no_threshold(made: Office) -> None:
    appoint(made.settings, made.linear, "shadow")
    watch = Watch(pilot_of(made), made.settings)
    found = watch.current.answer(
        Asked(["whole milk 1 l", "@#"], {"shop_type": [None, None]}, 5)
    )
    assert found.codes[0, 0] is not None
    assert found.codes[1, 0] is None
    assert found.route.tolist() == ["automatic", "queue"]
    assert found.code.tolist() == [found.codes[0, 0], None]
    assert found.depth.tolist() == ["full", None]


def test_a_champion_that_was_changed_makes_way_until_it_is_mended(
    made: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    appoint(made.settings, made.linear, "production")
    # The pack of another version still tells which baseline they were held to.
    confidential = made.settings.confidential
    held = model_store.load(made.linear, confidential)
    terms = terms_of(made.index, 0.7)
    other = model_store.store(held.method, held.columns, confidential, terms=terms)
    appoint(made.settings, other, "shadow", version=2)
    folder = made.settings.confidential / "models" / made.linear
    path = folder / "model.json"
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    watch = Watch(pilot_of(made), made.settings)
    assert watch.current.arm.role == "baseline"
    assert "were changed: the baseline answers" in watch.current.note
    path.write_bytes(before)
    watch.look()
    assert watch.current.arm.role == "baseline"  # a large model is not read every time
    monkeypatch.setattr(serving_model, "_AGAIN", 0.0)
    watch.look()
    assert watch.current.arm.role == "champion"


def test_a_champion_that_fails_at_its_first_text_is_not_taken_up(
    made: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("Quackenbush")

    monkeypatch.setattr(LinearText, "predict_top", fail)
    appoint(made.settings, made.linear, "production")
    watch = Watch(pilot_of(made), made.settings)
    assert watch.current.arm.role == "baseline"
    assert watch.current.note == (
        "The method 'linear' failed: ValueError: the baseline answers"
    )


def test_the_version_goes_on_while_the_log_does_not_answer(
    made: Office, caplog: pytest.LogCaptureFixture
) -> None:
    appoint(made.settings, made.linear, "production")
    watch = Watch(pilot_of(made), made.settings)
    then, first = watch.looked, watch.current
    (made.settings.home_folder / "state.db").write_bytes(b"no database" * 1_000)
    watch.look()
    assert watch.current is first
    assert watch.looked == then
    assert "no new version is taken up" in caplog.text


def test_a_version_may_be_asked_for(made: Office) -> None:
    appoint(made.settings, made.index, "production", version=1)
    appoint(made.settings, made.linear, "shadow", version=2)
    watch = Watch(pilot_of(made), made.settings, 2)
    assert (watch.current.arm.digest, watch.current.arm.version) == (made.linear, 2)
    assert watch.current.told["note"] == "asked for by --version"
    now = watch.current
    appoint(made.settings, made.linear, "production", version=2, since="shadow")
    watch.look()
    assert watch.current is now


def test_what_cannot_be_served_is_told(
    made: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_model, "read_registry", lambda *_: Registry())
    appoint(made.settings, made.linear, "production")
    pilot = pilot_of(made)
    with pytest.raises(UsageError, match="no version 9") as told:
        Watch(pilot, made.settings, 9)
    assert told.value.expected == "1"
    with pytest.raises(UsageError, match="codes no texts"):
        Watch(pilot.model_copy(update={"theme": "imagery"}), made.settings)
    with pytest.raises(ConfigError, match="a column of the data"):
        Served(pilot, Arm("baseline", "clerk", ""), made.settings)


def test_an_uncodable_code_is_no_case_for_a_clerk(made: Office) -> None:
    appoint(made.settings, made.linear, "production")
    pilot = pilot_of(made)
    first = Watch(pilot, made.settings).current.answer(asked())
    code = first.codes[0, 0]
    uncodable = pilot.data.uncodable.model_copy(update={"codes": (code,)})
    data = pilot.data.model_copy(update={"uncodable": uncodable})
    served = Watch(pilot.model_copy(update={"data": data}), made.settings).current
    found = served.answer(asked())
    assert found.route[0] == "uncodable"
    assert found.code[0] is None
    assert found.route[1] == first.route[1]


class _Repeating:
    """A method whose score is what it sees of the column beside the text."""

    def predict_top(self, X: pd.DataFrame, k: int) -> tuple[np.ndarray, np.ndarray]:
        codes = np.full((len(X), k), None, dtype=object)
        seen = X["shop_type"].astype(str).where(X["shop_type"].notna(), "none")
        codes[:, 0] = seen.to_numpy(dtype=object)
        return codes, np.zeros((len(X), k))


def test_a_record_is_answered_as_if_it_were_alone(made: Office) -> None:
    appoint(made.settings, made.linear, "production")
    served = Watch(pilot_of(made), made.settings).current
    served._stored.method = _Repeating()
    beside = [1, 1.5, "1", None, 1, "web", 2.0, None]
    texts = [f"t{i}" for i in range(8)]
    together = served.answer(Asked(texts, {"shop_type": beside}, 1))
    alone = [
        served.answer(Asked([text], {"shop_type": [one]}, 1))
        for text, one in zip(texts, beside, strict=True)
    ]
    told = [one.codes[0, 0] for one in alone]
    assert together.codes[:, 0].tolist() == told
    assert told == ["1", "1.5", "1", "none", "1", "web", "2.0", "none"]


class _Picky:
    """A version that fails on one text, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def answer(self, asked: Asked) -> Answers:
        texts = asked.texts
        self.calls.append(len(texts))
        if "poison" in texts:
            raise MethodError("The method 'picky' failed")
        told = np.array(texts, dtype=object)
        return Answers(told[:, None], np.ones((len(told), 1)), told, told, told)


def test_waiting_requests_are_answered_together_and_fail_alone() -> None:
    served: Any = _Picky()

    async def ask(desk: Desk, text: str) -> Any:
        try:
            return (await desk.ask(served, Asked([text], {}, 1))).code.tolist()
        except MethodError as error:
            return error.title

    async def day() -> list[Any]:
        desk = Desk()
        asking = [asyncio.create_task(ask(desk, t)) for t in ("a", "b", "poison", "c")]
        await asyncio.sleep(0)
        work = asyncio.create_task(desk.work())
        found = await asyncio.gather(*asking)
        found.append(await ask(desk, "later"))
        work.cancel()
        return found

    said = "The method 'picky' failed"
    assert asyncio.run(day()) == [["a"], ["b"], said, ["c"], ["later"]]
    assert served.calls == [4, 1, 1, 1, 1, 1]


def test_the_log_is_left_as_it_was(made: Office) -> None:
    appoint(made.settings, made.linear, "production")
    before = DecisionLog(made.settings.database).read("diaries")
    watch = Watch(pilot_of(made), made.settings)
    watch.look()
    assert DecisionLog(made.settings.database).read("diaries") == before

"""Tasks for Label Studio, and its JSON export as its documentation describes it."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlstats import cli
from mlstats.errors import ContractError, RefusedError, SourceError, UsageError
from mlstats.evaluate import keyed, project_key
from mlstats.review_export import Exported, export
from mlstats.review_files import ReviewFiles, kept_rows
from mlstats.review_import import PROBLEMS, import_file
from mlstats.review_store import ReviewStore
from mlstats.settings import load_settings
from tests.review_example import AWKWARD, NAME, PERIOD, Desk, desk

Tasks = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(tmp_path_factory.mktemp("desk"), 150)


@pytest.fixture
def at_desk(made: Desk, tmp_path: Path) -> Desk:
    project = tmp_path / "a project"
    shutil.copytree(made.settings.project, project)
    return replace(made, settings=load_settings(project=project))


def exported(at: Desk, **options: Any) -> Exported:
    return export(
        NAME, PERIOD, at.settings, coder="kim", form="label-studio", **options
    )


def tasks_of(done: Exported) -> Tasks:
    found: Tasks = json.loads(done.path.read_text(encoding="utf-8"))
    return found


def tree_of(done: Exported) -> ET.Element:
    return ET.fromstring(done.path.with_suffix(".xml").read_text(encoding="utf-8"))


def paths_of(done: Exported) -> dict[str, list[str]]:
    """Return the path of each choice as Label Studio makes it: of aliases."""
    found: dict[str, list[str]] = {}

    def walk(node: ET.Element, above: list[str]) -> None:
        for child in node:
            path = [*above, child.attrib.get("alias", child.attrib["value"])]
            found[path[-1]] = path
            walk(child, path)

    tree = tree_of(done).find("Taxonomy")
    assert tree is not None
    walk(tree, [])
    return found


def annotated(path: list[str], task: int, person: object = 1) -> dict[str, Any]:
    """Return an annotation as an export of Label Studio has it."""
    return {
        "id": 1000 + task,
        "completed_by": person,
        "result": [
            {
                "id": f"r{task}",
                "from_name": "code",
                "to_name": "text_1",
                "type": "taxonomy",
                "origin": "manual",
                "value": {"taxonomy": [path]},
            }
        ],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-04-02T08:00:00.000000Z",
        "updated_at": "2026-04-02T08:00:04.000000Z",
        "lead_time": 4.288,
        "result_count": 1,
        "task": task,
        "parent_prediction": None,
        "parent_annotation": None,
    }


def come_back(
    at: Desk,
    done: Exported,
    change: Callable[[Tasks], object] = lambda tasks: None,
) -> Path:
    """Write the export of a project whose every task has the true code."""
    kept = kept_rows(at.settings, NAME, PERIOD, done.file.export)
    unit = dict(zip(kept["row"], kept["hash"], strict=True))
    paths, tasks = paths_of(done), tasks_of(done)
    for number, task in enumerate(tasks, start=41):
        code = at.truth[unit[task["data"]["row"]]]
        task |= {
            "id": number,
            "annotations": [annotated([*paths[code]], number)],
            "drafts": [],
            "file_upload": "0f1e2d3c-tasks.json",
            "meta": {},
            "created_at": "2026-04-01T08:00:00.000000Z",
            "updated_at": "2026-04-02T08:00:04.000000Z",
            "inner_id": number - 40,
            "total_annotations": 1,
            "project": 7,
        }
    change(tasks)
    path = done.path.with_name("project-7-at-2026-04-02.json")
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def reviews(at: Desk) -> pd.DataFrame:
    return ReviewStore(at.settings.database).read(NAME, PERIOD)


def problems_of(at: Desk, path: Path, **options: Any) -> pd.DataFrame:
    """Return what an import refuses, after seeing that it kept nothing."""
    before = ReviewFiles(at.settings.database).read(NAME, PERIOD)
    with pytest.raises(ContractError) as refused:
        import_file(NAME, PERIOD, path, at.settings, **options)
    assert reviews(at).empty
    after = ReviewFiles(at.settings.database).read(NAME, PERIOD)
    pd.testing.assert_frame_equal(after, before)
    told = refused.value.failures
    assert isinstance(told, pd.DataFrame)
    assert tuple(told.columns) == PROBLEMS
    return told


# -- what is written ---------------------------------------------------------------


def test_every_text_is_in_its_task_exactly(at_desk: Desk) -> None:
    done = exported(at_desk)
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    data = pd.read_parquet(at_desk.settings.project / f"data/texts_{PERIOD}.parquet")
    data = data.set_index("id").loc[kept["unit"]]
    tasks = tasks_of(done)
    assert [t["data"]["text"] for t in tasks] == data["text"].tolist()
    assert [t["data"]["shop"] for t in tasks] == data["shop"].tolist()
    assert set(AWKWARD) <= {t["data"]["text"] for t in tasks}
    assert done.dropped == 0
    assert done.path.suffix == ".json"
    for path in (done.path, done.path.with_suffix(".xml")):
        assert path.stat().st_mode & 0o077 == 0
        assert at_desk.settings.confidential in path.parents


def test_blind_units_have_no_predictions_and_nothing_tells_the_kinds(
    at_desk: Desk,
) -> None:
    done = exported(at_desk)
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    kept = kept.set_index("row")
    paths, tasks = paths_of(done), tasks_of(done)
    for task in tasks:
        assert set(task) == {"data", "predictions"}
        fields = task["data"]
        blind = kept.at[fields["row"], "blind"]
        assert len(task["predictions"]) == (0 if blind else 5)
        assert bool(fields["suggestions"]) == (not blind)
        for k, one in enumerate(task["predictions"], start=1):
            (result,) = one["result"]
            (path,) = result["value"]["taxonomy"]
            assert paths[path[-1]] == path
            assert fields["suggestions"].split("\n")[k - 1].startswith(path[-1])
            assert one["score"] == pytest.approx(0.5 / k)
            assert (result["from_name"], result["type"]) == ("code", "taxonomy")
    assert 0 < done.blind < len(tasks)
    said = done.path.read_text(encoding="utf-8")
    assert not any(word in said for word in ("audit", "blind", "queue", "unit-0"))
    assert not any(name in said for name in kept["hash"])


def test_the_configuration_has_the_classification_and_names_the_fields(
    at_desk: Desk,
) -> None:
    done = exported(at_desk)
    view, fields = tree_of(done), tasks_of(done)[0]["data"]
    shown = [one.attrib["value"] for one in view.iter("Text")]
    assert shown == ["$text", "$shop", "$suggestions", "$reason"]
    assert all(value[1:] in fields for value in shown)
    names = [one.attrib["name"] for one in view.iter() if "name" in one.attrib]
    assert len(set(names)) == len(names)
    (tree,) = view.iter("Taxonomy")
    assert tree.attrib["toName"] in names
    assert set(at_desk.codes) <= set(paths_of(done))
    choice = next(c for c in view.iter("Choice") if c.attrib["alias"] == "01.1.4.5")
    assert choice.attrib["value"] == "01.1.4.5 Cheese"
    assert paths_of(done)["01.1.4.5"] == ["01", "01.1", "01.1.4", "01.1.4.5"]


def test_columns_that_cannot_be_named_are_renamed(made: Desk, tmp_path: Path) -> None:
    project = tmp_path / "renamed"
    shutil.copytree(made.settings.project, project)
    path = project / "configs/pilots/texts.yaml"
    told = path.read_text(encoding="utf-8")
    show = told.replace("{audit_sample", "{show_unit: true, audit_sample")
    path.write_text(show, encoding="utf-8")
    at = replace(made, settings=load_settings(project=project))
    done = exported(at)
    fields = tasks_of(done)[0]["data"]
    assert fields["unit"].startswith("unit-0")
    from mlstats.review_label_studio import _names

    assert _names(["row", "what bought", "a.b", "about", "text"]) == {
        "row": "row",
        "field_1": "what bought",
        "field_2": "a.b",
        "field_3": "about",
        "text": "text",
    }


def test_files_are_named_and_never_written_over(at_desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"one of tasks"):
        exported(at_desk, out=tmp_path / "kim.xlsx")
    (tmp_path / "kim.xml").write_text("mine")
    with pytest.raises(RefusedError, match="there already"):
        exported(at_desk, out=tmp_path / "kim.json")
    assert (tmp_path / "kim.xml").read_text() == "mine"


# -- what comes back ---------------------------------------------------------------


def test_codes_come_back_for_queue_audit_and_both(at_desk: Desk) -> None:
    done = exported(at_desk)
    path = come_back(at_desk, done)
    found = import_file(NAME, PERIOD, path, at_desk.settings, coder="kim")
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    assert (found.coded, found.left, found.known) == (len(kept), 0, 0)
    told = reviews(at_desk)
    assert told["code"].tolist() == [at_desk.truth[name] for name in told["unit"]]
    assert set(told["kind"]) == {"queue", "blind", "audit"}
    assert import_file(NAME, PERIOD, path, at_desk.settings).again


def test_what_was_skipped_or_not_annotated_is_left(at_desk: Desk) -> None:
    done = exported(at_desk)

    def change(tasks: Tasks) -> None:
        tasks[0]["annotations"][0]["was_cancelled"] = True
        tasks[1]["annotations"][0]["result"] = []
        tasks[2]["annotations"] = []
        del tasks[3:8]  # as Label Studio does with tasks that have no annotation

    found = import_file(
        NAME, PERIOD, come_back(at_desk, done, change), at_desk.settings
    )
    assert found.coded == done.file.rows - 8
    assert found.left == 8
    assert reviews(at_desk)["unit"].nunique() == found.coded


def test_comments_people_as_records_and_lost_aliases_are_understood(
    at_desk: Desk,
) -> None:
    done = exported(at_desk)
    titles = {
        one.attrib["alias"]: one.attrib["value"] for one in tree_of(done).iter("Choice")
    }

    def change(tasks: Tasks) -> None:
        comment = {
            "from_name": "comment",
            "to_name": "text_1",
            "type": "textarea",
            "value": {"text": ["not sure"]},
        }
        tasks[0]["annotations"][0]["result"].append(comment)
        for task in tasks:
            one = task["annotations"][0]
            one["completed_by"] = {"id": 1, "email": "kim@office.example"}
            (path,) = one["result"][0]["value"]["taxonomy"]
            path[:] = [titles[code] for code in path]

    import_file(NAME, PERIOD, come_back(at_desk, done, change), at_desk.settings)
    told = reviews(at_desk)
    assert told["code"].tolist() == [at_desk.truth[name] for name in told["unit"]]


def choose(task: dict[str, Any], *codes: str) -> None:
    value = task["annotations"][0]["result"][0]["value"]
    value["taxonomy"] = [[code] for code in codes]


def spoil(change: Callable[[Tasks], object], *told: tuple[str, str, str]) -> Any:
    return change, set(told)


LOCKED = "a locked cell was changed"
SPOILT: dict[str, Any] = {
    "text": spoil(
        lambda t: t[2]["data"].update(text="a secret person"),
        ("task 43", "text", LOCKED),
    ),
    "shop": spoil(
        lambda t: t[2]["data"].update(shop="0099"), ("task 43", "shop", LOCKED)
    ),
    "suggestions": spoil(
        lambda t: t[2]["data"].update(suggestions="secret"),
        ("task 43", "suggestions", LOCKED),
    ),
    "a number": spoil(
        lambda t: t[2]["data"].update(shop=1),
        ("task 43", "shop", "no text"),
        ("task 43", "shop", LOCKED),
    ),
    "a field gone": spoil(
        lambda t: t[2]["data"].pop("shop"),
        ("task 43", "shop", "the field is missing"),
        ("task 43", "shop", LOCKED),
    ),
    "a field more": spoil(
        lambda t: t[2]["data"].update(secret="x"),
        ("task 43", "data", "a field that was not exported"),
    ),
    "unknown code": spoil(
        lambda t: choose(t[2], "01.1.4.55"), ("task 43", "code", "unknown code")
    ),
    "two codes": spoil(
        lambda t: choose(t[2], "01.1.4.5", "01.1.4.1"),
        ("task 43", "code", "several codes"),
    ),
    "two annotations": spoil(
        lambda t: t[2]["annotations"].append(t[2]["annotations"][0]),
        ("task 43", "annotations", "annotated more than once"),
    ),
    "another tag": spoil(
        lambda t: t[2]["annotations"][0]["result"][0].update(from_name="secret"),
        ("task 43", "annotations", "a result of another kind"),
    ),
    "no path": spoil(
        lambda t: t[2]["annotations"][0]["result"][0].update(value={"taxonomy": [[]]}),
        ("task 43", "annotations", "a result of another kind"),
    ),
    "another person": spoil(
        lambda t: t[2]["annotations"][0].update(completed_by=2),
        ("task 43", "completed_by", "completed by another person than the first task"),
    ),
    "a row twice": spoil(
        lambda t: t.append({**t[2], "id": 4000}),
        ("task 4000", "row", "the row is there twice"),
    ),
    "another row": spoil(
        lambda t: t[2]["data"].update(row="0" * 16),
        ("task 43", "row", "no such row was exported"),
    ),
    "another file among them": spoil(
        lambda t: t[2]["data"].update(about={"file": "secret"}),
        ("task 43", "about", "a task of another file"),
    ),
    "another file": spoil(
        lambda t: [one["data"].update(about={"file": "secret"}) for one in t],
        ("about", "file", f"no file of {NAME} {PERIOD} has this number"),
    ),
    "another period": spoil(
        lambda t: [one["data"]["about"].update(period="2026-04") for one in t],
        ("about", "period", "not what was exported"),
    ),
    "another checksum": spoil(
        lambda t: [one["data"]["about"].update(checksum="0" * 16) for one in t],
        ("about", "checksum", "not what was exported"),
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_told_by_task_and_nothing_is_kept(
    at_desk: Desk, name: str
) -> None:
    change, expected = SPOILT[name]
    done = exported(at_desk)
    table = problems_of(at_desk, come_back(at_desk, done, change))
    told = zip(table["row"], table["column"], table["what"], strict=True)
    assert set(told) == expected
    assert "secret" not in table.to_csv()
    if name == "unknown code":
        assert table["nearest"].iloc[0].startswith("01.1.4")


def test_the_file_of_another_coder_or_withdrawn_is_refused(at_desk: Desk) -> None:
    done = exported(at_desk)
    path = come_back(at_desk, done)
    table = problems_of(at_desk, path, coder="lee")
    assert table[["row", "column"]].to_numpy().tolist() == [["about", "coder"]]
    later = export(NAME, PERIOD, at_desk.settings, coder="kim")
    assert later.withdrawn == (done.file.export,)
    table = problems_of(at_desk, path)
    assert table["what"].tolist() == ["withdrawn for a later file"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"[]",
        b"{}",
        b'"text"',
        b"[1]",
        b"\xff\xfe[",
        b"[" * 100_000,
        b'[{"id": 1, "row": "a", "code": "01", "annotator": 1}]',  # JSON-MIN
        b'[{"id": 1, "data": {}, "annotations": [1]}]',
        b'[{"id": 1, "data": {}, "annotations": [{"result": "secret"}]}]',
    ],
)
def test_what_is_no_export_of_label_studio_is_told_as_such(
    at_desk: Desk, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="no export of Label Studio") as refused:
        import_file(NAME, PERIOD, path, at_desk.settings)
    assert "not JSON-MIN" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_tasks_that_were_written_are_no_export_yet(at_desk: Desk) -> None:
    done = exported(at_desk)
    with pytest.raises(SourceError, match="with annotations"):
        import_file(NAME, PERIOD, done.path, at_desk.settings)


def test_seeded_edits_never_import_by_half(at_desk: Desk) -> None:
    done = exported(at_desk)
    for seed in range(15):
        rng = np.random.default_rng(seed)

        def change(tasks: Tasks, rng: np.random.Generator = rng) -> None:
            edits = list(SPOILT)
            for name in rng.choice(edits, 3, replace=False):
                tasks[0], tasks[2] = tasks[2], tasks[0]
                if "data" in tasks[2] and tasks[2]["annotations"]:
                    SPOILT[name][0](tasks)

        path = come_back(at_desk, done, change)
        assert len(problems_of(at_desk, path)) >= 1


def test_the_verbs_write_and_take_it(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(at_desk.settings.project)
    words = ["review", "export", NAME, PERIOD, "--coder", "kim"]
    result = CliRunner().invoke(cli.app, [*words, "--format", "label-studio"])
    assert result.exit_code == 0, result.output
    folder = at_desk.settings.confidential / "reviews" / NAME / PERIOD
    (tasks,) = folder.glob("*.json")
    (config,) = folder.glob("*.xml")
    said = result.output.replace("\n", "")
    assert tasks.name in said
    assert config.name in said
    held = ReviewFiles(at_desk.settings.database).held(NAME, PERIOD)
    done = Exported(tasks, held.iloc[0], 0, 0, 0, (), 0)
    path = come_back(at_desk, done)
    taken = CliRunner().invoke(cli.app, ["review", "import", NAME, PERIOD, str(path)])
    assert taken.exit_code == 0, taken.output
    assert "units coded by kim, 0 left" in taken.output
    frame = pd.read_parquet(at_desk.settings.project / f"data/texts_{PERIOD}.parquet")
    hashes = set(keyed(frame["id"], project_key(at_desk.settings)))
    assert set(reviews(at_desk)["unit"]) <= hashes

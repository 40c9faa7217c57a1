from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstats.config import Evaluate, Pilot
from mlstats.editimpute import read_edits, verify
from mlstats.errors import ConfigError, UsageError
from mlstats.pilot_files import find_config, list_pilots, load_pilot

REPOSITORY = Path(__file__).parents[2]
REPOSITORY_PILOT = REPOSITORY / "configs" / "pilots" / "coicop-demo.yaml"

MINIMAL: dict[str, Any] = {
    "pilot": "diary",
    "theme": "coding",
    "owner": {"author": "methods", "roles": {"methodologist": "coding"}},
    "data": {
        "source": "diary.csv",
        "frequency": "M",
        "roles": {"unit_id": "line", "text": ["description"], "target": "code"},
        "classification": {"file": "coicop.csv", "digits": [2, 4]},
        "tolerate": {"unknown_code": 0.1},
        "read": {"separator": ";"},
    },
    "methods": {
        "index": {"kind": "traditional", "use": "mlstats.coding.ExactIndex"},
        "linear": {"kind": "ml", "use": "mlstats.coding.Linear", "params": {"C": 2.0}},
    },
    "baseline": "index",
    "candidate": "linear",
    "evaluate": {"bootstrap": 200, "split": {"by": "random", "test": 0.2}},
    "gates": [{"measure": "accuracy@4", "versus": "index", "margin": 0.02}],
    "production": {
        "schedule": "0 6 3 * *",
        "drift": {"references": ["training"]},
        "review": {"audit_sample": 40},
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "configs" / "pilots").mkdir(parents=True)
    (tmp_path / "configs" / "gates").mkdir()
    return tmp_path


def write(project: Path, tree: Any, name: str = "pilots/diary.yaml") -> Path:
    path = project / "configs" / name
    text = tree if isinstance(tree, str) else yaml.safe_dump(tree, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return path


def changed(*at: str, to: Any = None, rename: str | None = None) -> dict[str, Any]:
    """Return the minimal pilot with one key set, renamed or (both None) removed."""
    tree = copy.deepcopy(MINIMAL)
    branch: Any = tree
    for key in at[:-1]:
        branch = branch[int(key) if isinstance(branch, list) else key]
    value = branch.pop(at[-1], None)
    if rename is not None:
        branch[rename] = value
    elif to is not None:
        branch[at[-1]] = to
    return tree


def line_of(path: Path, text: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return 1 + next(i for i, line in enumerate(lines) if text in line)


def refused(project: Path, tree: Any, *overrides: str) -> ConfigError:
    write(project, tree)
    with pytest.raises(ConfigError) as raised:
        load_pilot("diary", project=project, overrides=overrides)
    return raised.value


def test_a_minimal_pilot_is_read(project) -> None:
    write(project, MINIMAL)
    pilot = load_pilot("diary", project=project)
    assert pilot.truth == "code"
    assert pilot.data.roles.columns() == ["line", "description", "code"]
    assert pilot.gates[0].indicator == "accuracy"
    assert pilot.gates[0].level == "4"
    assert pilot.production.drift.on_alarm == "more_audit"


def test_a_pilot_is_read_by_its_path_too(project) -> None:
    path = write(project, MINIMAL)
    assert load_pilot(path) == load_pilot("diary", project=project)


def test_a_pilot_cannot_be_changed(project) -> None:
    write(project, MINIMAL)
    pilot = load_pilot("diary", project=project)
    with pytest.raises(ValueError, match="frozen"):
        pilot.baseline = "linear"


@pytest.mark.parametrize(
    ("at", "misspelt"),
    [
        (("theme",), "themes"),
        (("owner", "author"), "autor"),
        (("data", "frequency"), "frequenzy"),
        (("data", "roles", "unit_id"), "unitid"),
        (("data", "classification", "digits"), "digit"),
        (("data", "tolerate", "unknown_code"), "unknown_codes"),
        (("data", "read", "separator"), "seperator"),
        (("methods", "linear", "params"), "parms"),
        (("evaluate", "bootstrap"), "bootstraps"),
        (("evaluate", "split", "test"), "tests"),
        (("gates", "0", "margin"), "margn"),
        (("production", "schedule"), "shedule"),
        (("production", "drift", "references"), "reference"),
        (("production", "review", "audit_sample"), "audit_samples"),
    ],
)
def test_a_misspelt_key_is_told_with_line_and_nearest(project, at, misspelt) -> None:
    error = refused(project, changed(*at, rename=misspelt))
    path = project / "configs" / "pilots" / "diary.yaml"
    key = ".".join([*at[:-1], misspelt])
    assert error.title == f"Unknown key {misspelt!r}"
    assert error.where == f"{path}:{line_of(path, f'{misspelt}:')} ({key})"
    assert error.nearest == at[-1]
    assert at[-1] in str(error.expected).split(", ")
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("at", "found_at"),
    [
        (("baseline",), "pilot: diary"),
        (("data", "source"), "data:"),
        (("data", "roles", "unit_id"), "roles:"),
        (("methods", "linear", "use"), "linear:"),
        (("gates", "0", "measure"), "- versus"),
    ],
)
def test_a_missing_key_is_told_with_the_line_it_is_missing_from(
    project, at, found_at
) -> None:
    error = refused(project, changed(*at))
    path = project / "configs" / "pilots" / "diary.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines.index("data:") if at[:2] == ("data", "roles") else 0
    line = 1 + next(i for i in range(first, len(lines)) if found_at in lines[i])
    assert error.title == f"The key {at[-1]!r} is missing"
    assert error.where == f"{path}:{line} ({'.'.join(at)})"


@pytest.mark.parametrize(
    ("at", "to", "told"),
    [
        (("theme",), "cooking", "'coding', 'editimpute' or 'imagery'"),
        (("pilot",), "Diary 1", "match pattern"),
        (("baseline",), "indx", r"'indx' is not among methods \(nearest: index\)"),
        (("baseline",), "linear", "must be a method of kind traditional"),
        (("gates", "0", "versus"), "clerk", "'clerk' is not a method"),
        (("gates", "0", "at_least"), 0.5, "exactly one of versus"),
        (("data", "source"), "diary_{period}.csv", "needs data.periods"),
        (("data", "roles", "text"), [], "needs data.roles.text"),
        (("data", "classification", "parent"), "up", "exactly one of parent"),
        (("data", "tolerate", "unknown_code"), 1.5, "less than or equal to 1"),
        (("evaluate", "split", "test"), 1.5, "needs split.test as a share"),
        (("evaluate", "split", "by"), "column", "needs split.column"),
        (("evaluate", "bootstrap"), "many", "valid integer"),
        (("methods", "linear", "use"), "Linear", "match pattern"),
        (("methods",), {"index": MINIMAL["methods"]["index"]}, "at least 2"),
        (
            ("methods", "truth"),
            MINIMAL["methods"]["linear"],
            "cannot be called 'truth'",
        ),
        (("methods", "a, rest b"), MINIMAL["methods"]["linear"], "cannot name a file"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_line(
    project, at, to, told
) -> None:
    error = refused(project, changed(*at, to=to))
    path = project / "configs" / "pilots" / "diary.yaml"
    assert str(error.where).startswith(f"{path}:")
    with pytest.raises(ConfigError, match=told):
        raise error


@pytest.mark.parametrize("periods", ["2026-13", "2026-02/2026-01", "soon"])
def test_periods_that_are_none_are_told_with_the_file(project, periods) -> None:
    error = refused(project, changed("data", "periods", to=periods))
    path = project / "configs" / "pilots" / "diary.yaml"
    assert str(error.where).startswith(str(path))


def test_several_errors_are_counted(project) -> None:
    tree = changed("data", "roles", "unit_id", rename="unitid")
    tree["theme"] = "cooking"
    error = refused(project, tree)
    assert error.title == "Unknown key 'unitid'"
    assert error.hint == "2 more to mend after it"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("pilot: diary\ndata: [1, 2\ntheme: x\n", 3, "not YAML"),
        ("pilot: diary\n\ttheme: coding\n", 2, "not YAML"),
        ("pilot: diary\ntheme: !!python/name:os.system x\n", 2, "not YAML"),
        ("- pilot\n", 1, "no settings"),
        ("", 1, "no settings"),
    ],
)
def test_a_file_that_is_not_yaml_is_told_with_its_line(
    project, text, line, told
) -> None:
    error = refused(project, text)
    path = project / "configs" / "pilots" / "diary.yaml"
    assert error.where == f"{path}:{line}"
    assert told in error.title


@pytest.mark.parametrize("text", ["pilot: \x07\n", "pilot: 2026-13-45\n"])
def test_what_yaml_refuses_without_a_line_is_told_with_the_file(project, text) -> None:
    error = refused(project, text)
    assert error.where == str(project / "configs" / "pilots" / "diary.yaml")


def test_a_file_in_another_encoding_is_refused(project) -> None:
    path = project / "configs" / "pilots" / "diary.yaml"
    path.write_bytes("title: Ménage\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="UnicodeDecodeError") as raised:
        load_pilot("diary", project=project)
    assert raised.value.where == str(path)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("pilot: a\ntheme: coding\npilot: b\n", 3, "pilot"),
        ("methods:\n  index: {kind: ml}\n  index: {kind: ml}\n", 3, "methods.index"),
        ("gates:\n- measure: a\n  to: shadow\n  to: production\n", 4, "gates.0.to"),
    ],
)
def test_a_key_given_twice_is_refused(project, text, line, key) -> None:
    error = refused(project, text)
    path = project / "configs" / "pilots" / "diary.yaml"
    assert error.where == f"{path}:{line} ({key})"
    assert "given twice" in error.title


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("evaluate.bootstrap=99", lambda pilot: pilot.evaluate.bootstrap == 99),
        ("evaluate.level=4", None),
        ("evaluate.level='4'", lambda pilot: pilot.evaluate.level == "4"),
        ("methods.linear.params.C=1", lambda p: p.methods["linear"].params["C"] == 1),
        ("data.roles.domain=[shop]", lambda p: p.data.roles.domain == ("shop",)),
        ("title=", None),
        ("title=a=b", lambda pilot: pilot.title == "a=b"),
        ("gates=[]", lambda pilot: pilot.gates == ()),
    ],
)
def test_an_override_is_a_yaml_value(project, override, read) -> None:
    if read is None:
        error = refused(project, MINIMAL, override)
        key = override.partition("=")[0]
        assert error.where == f"--set {key} ({key})"
        return
    write(project, MINIMAL)
    assert read(load_pilot("diary", project=project, overrides=[override]))


def test_a_misspelt_override_is_told_with_the_option_not_the_file(project) -> None:
    error = refused(project, MINIMAL, "evaluate.bootstraps=99")
    assert error.where == "--set evaluate.bootstraps (evaluate.bootstraps)"
    assert error.nearest == "bootstrap"


@pytest.mark.parametrize(
    "override", ["evaluate", "=3", "pilot.name=x", "gates.0.margin=1", "title=[1"]
)
def test_an_override_that_cannot_be_applied_is_refused(project, override) -> None:
    write(project, MINIMAL)
    with pytest.raises(UsageError):
        load_pilot("diary", project=project, overrides=[override])


@pytest.mark.parametrize("given", ["diary.yml", "nowhere/diary.yaml", "dairy"])
def test_a_pilot_that_is_not_there_is_a_usage_error(project, given) -> None:
    write(project, MINIMAL)
    with pytest.raises(UsageError) as raised:
        load_pilot(given, project=project)
    if given == "dairy":
        assert raised.value.nearest == "diary"
        assert "diary" in str(raised.value.expected)


def test_the_pilots_of_the_project_win_over_the_shipped(project) -> None:
    path = write(project, MINIMAL)
    assert list_pilots(project)["diary"] == path
    assert find_config("pilots/diary.yaml", project) == path
    assert find_config("pilots/none.yaml", project) is None


def test_a_gate_file_stands_for_its_rules(project) -> None:
    write(
        project,
        "version: 1\n"
        "gates:\n- {measure: coverage, at_least: 0.5}\n"
        "- {measure: macro_f1, at_least: 0.1}\n",
        "gates/house.yaml",
    )
    own = MINIMAL["gates"][0]
    write(project, changed("gates", to=[own, "gates/house.yaml", own]))
    pilot = load_pilot("diary", project=project)
    assert [rule.measure for rule in pilot.gates] == [
        "accuracy@4",
        "coverage",
        "macro_f1",
        "accuracy@4",
    ]
    write(project, changed("gates", to="gates/house.yaml"))
    pilot = load_pilot("diary", project=project)
    assert [rule.measure for rule in pilot.gates] == ["coverage", "macro_f1"]


def test_an_error_in_a_gate_file_is_told_with_that_file(project) -> None:
    house = write(
        project,
        "gates:\n- {measure: coverage, at_least: 0.5}\n"
        "- measure: macro_f1\n  at_lest: 0.1\n",
        "gates/house.yaml",
    )
    error = refused(project, changed("gates", to=["gates/house.yaml"]))
    assert error.where == f"{house}:4 (gates.1.at_lest)"
    assert error.nearest == "at_least"


def test_an_error_after_a_gate_file_is_told_with_its_own_line(project) -> None:
    write(
        project,
        "gates:\n- {measure: coverage, at_least: 0.5}\n"
        "- {measure: macro_f1, at_least: 0.1}\n",
        "gates/house.yaml",
    )
    wrong = {"measure": "accuracy", "at_moost": 1.0}
    error = refused(project, changed("gates", to=["gates/house.yaml", wrong]))
    path = project / "configs" / "pilots" / "diary.yaml"
    assert error.where == f"{path}:{line_of(path, 'at_moost')} (gates.2.at_moost)"


def test_a_gate_file_that_is_not_there_is_told_with_the_nearest(project) -> None:
    write(project, "gates:\n- {measure: a, at_least: 0.5}\n", "gates/house.yaml")
    error = refused(project, changed("gates", to=["gates/hous.yaml"]))
    path = project / "configs" / "pilots" / "diary.yaml"
    assert error.where == f"{path}:{line_of(path, 'hous.yaml')} (gates.0)"
    assert error.nearest == "gates/house.yaml"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gate:\n- {measure: coverage, at_least: 0.5}\n", "Unknown key 'gate'"),
        ("gates:\n", "holds no rules"),
        ("gates: []\n", "holds no rules"),
        ("version: 1\n", "holds no rules"),
    ],
)
def test_a_gate_file_without_rules_is_refused(project, text, told) -> None:
    house = write(project, text, "gates/house.yaml")
    error = refused(project, changed("gates", to=["gates/house.yaml"]))
    assert told in error.title
    assert str(error.where).startswith(f"{house}:1")


@pytest.mark.parametrize(
    ("at", "key"),
    [
        (("data", "source"), "data.source"),
        (("methods", "linear", "params"), "methods.linear.params.0"),
    ],
)
@pytest.mark.parametrize("user", ["clerk", ""])
def test_a_password_in_a_pilot_is_refused_and_not_repeated(
    project, at, key, user
) -> None:
    address = f"postgresql://{user}:hunter2@db/prices"
    to = address if at[0] == "data" else [address]
    error = refused(project, changed(*at, to=to))
    path = project / "configs" / "pilots" / "diary.yaml"
    assert error.where == f"{path}:{line_of(path, 'hunter2')} ({key})"
    assert "hunter2" not in str(error)


def test_an_address_without_a_password_is_taken(project) -> None:
    write(project, changed("data", "source", to="s3://prices:80/diary@2026.csv"))
    assert load_pilot("diary", project=project).data.source.startswith("s3://")


def test_a_password_in_an_override_is_refused_and_not_repeated(project) -> None:
    error = refused(project, MINIMAL, "data.source=postgresql://u:hunter2@db/x")
    assert error.where == "--set data.source (data.source)"
    assert "hunter2" not in str(error)


def test_the_truth_is_the_column_named_for_it(project) -> None:
    write(project, changed("evaluate", "truth", to="gold"))
    assert load_pilot("diary", project=project).truth == "gold"
    tree = changed("data", "roles", "target")
    write(project, tree)
    pilot = load_pilot("diary", project=project)
    with pytest.raises(ConfigError, match="no truth"):
        _ = pilot.truth


def test_the_columns_of_the_roles_are_each_told_once() -> None:
    tree = copy.deepcopy(MINIMAL)
    tree["data"]["roles"] |= {
        "auxiliary": ["shop", "price"],
        "domain": ["shop"],
        "confidential": ["line"],
        "cluster": "household",
    }
    roles = Pilot.model_validate(tree).data.roles
    assert sorted(roles.columns()) == [
        "code",
        "description",
        "household",
        "line",
        "price",
        "shop",
    ]
    assert set(roles.codes()) == {"line", "description", "code", "household", "shop"}


@pytest.mark.parametrize("name", sorted(list_pilots(REPOSITORY)))
def test_a_shipped_pilot_is_valid(name) -> None:
    pilot = load_pilot(name, project=REPOSITORY)
    assert pilot.pilot == name
    if pilot.theme == "coding":
        assert pilot.truth
    else:
        spec = pilot.data.edits
        path = find_config(spec.file, REPOSITORY) if spec else None
        assert spec is None or verify(read_edits(path)).is_consistent


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data.periods", "2026-13", "not a reference period"),
        ("data.frequency", "Q", "not of frequency Q"),
        ("evaluate.split", "{by: group, test: 0.2}", "needs data.roles.cluster"),
        ("evaluate.split", "{by: period, test: soon}", "not a reference period"),
    ],
)
def test_values_that_do_not_fit_together_are_told_with_their_place(
    tmp_path: Path, key: str, value: str, said: str
) -> None:
    path = tmp_path / "p.yaml"
    tree = yaml.safe_load(REPOSITORY_PILOT.read_text(encoding="utf-8"))
    tree["data"]["roles"].pop("cluster")
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as caught:
        load_pilot(path, overrides=[f"{key}={value}"])
    where = str(caught.value.where)
    assert where.startswith((str(path), f"--set {key}"))


def test_unquoted_numbers_are_taken_as_words(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    tree = yaml.safe_load(REPOSITORY_PILOT.read_text(encoding="utf-8"))
    tree["gsbpm"] = 5.2
    tree["data"] |= {"periods": 2026, "frequency": "A"}
    tree["evaluate"]["split"] = {"by": "period", "test": 2026}
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    pilot = load_pilot(path)
    assert pilot.gsbpm == "5.2"
    assert pilot.data.periods == pilot.evaluate.split.test_periods == "2026"


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            "{measure: accuracy, at_least: 0.9, to: production}",
            "compare with no method",
        ),
        ("{measure: accuracy, at_least: 0.9, domain: age}", "'age' has not that role"),
    ],
)
def test_a_gate_that_opposes_nothing_or_names_no_domain_is_refused(
    project, rule, told
) -> None:
    error = refused(project, MINIMAL, f"gates=[{rule}]")
    assert told in error.title


def test_an_index_takes_unquoted_codes_and_numbers() -> None:
    index = Evaluate.model_validate({"index": {"scores": {1: 0, 2: 25.5}}}).index
    assert index is not None
    assert index.scores == {"1": 0.0, "2": 25.5}
    assert (index.name, index.by) == ("diffusion", "period")
    with pytest.raises(ValueError, match="at least 2"):
        Evaluate.model_validate({"index": {"scores": {"1": 0}}})

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlstats.editimpute.edit_files import read_edits
from mlstats.editimpute.edit_language import parse_edit
from mlstats.editimpute.edits import EditSet, Integral, Linear, Member, Missing
from mlstats.editimpute.status import review
from mlstats.errors import ConfigError
from mlstats.io import write_xlsx


def linear(terms: dict[str, float], operator: str, bound: float) -> Linear:
    return Linear(tuple(terms.items()), operator, bound)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "turnover + other.rev == total_rev",
            [[linear({"turnover": 1, "other.rev": 1, "total_rev": -1}, "==", 0)]],
        ),
        ("staff >= 0", [[linear({"staff": -1}, "<=", 0)]]),
        (
            "if staff > 0 then costs > 0",
            [[linear({"staff": 1}, "<=", 0), linear({"costs": -1}, "<", 0)]],
        ),
        (
            'age < 15 -> marital == "single"',
            [
                [
                    linear({"age": -1}, "<=", -15),
                    Member("marital", frozenset({"single"})),
                ]
            ],
        ),
        ("0 <= x < 10", [[linear({"x": -1}, "<=", 0)], [linear({"x": 1}, "<", 10)]]),
        (
            'not (s in {"a", "b"} and t is missing)',
            [[Member("s", frozenset({"a", "b"}), True), Missing("t", True)]],
        ),
        (
            "code not in {1, -2}",
            [
                [linear({"code": 1}, "<", 1), linear({"code": -1}, "<", -1)],
                [linear({"code": 1}, "<", -2), linear({"code": -1}, "<", 2)],
            ],
        ),
        (
            "2 * (a - b) / 4 <= -(1 - c)",
            [[linear({"a": 0.5, "b": -0.5, "c": -1}, "<=", -1)]],
        ),
        ("`net sales` is integer", [[Integral("net sales")]]),
        ("s <> 'x'", [[Member("s", frozenset({"x"}), True)]]),
        ("1e3 = a", [[linear({"a": -1}, "==", -1000)]]),
        (
            "a > 1 and (b > 2 or c > 3)",
            [
                [linear({"a": -1}, "<", -1)],
                [linear({"b": -1}, "<", -2), linear({"c": -1}, "<", -3)],
            ],
        ),
    ],
)
def test_an_edit_becomes_clauses(text: str, wanted: list[list[object]]) -> None:
    assert parse_edit(text) == tuple(tuple(clause) for clause in wanted)


@pytest.mark.parametrize(
    ("text", "column", "part"),
    [
        ("2QR_EXP + QR_PROF = QR_REV", 1, "a number runs into a name"),
        ("a / b < 3", 5, "divides by a variable"),
        ("a / 0 < 3", 5, "divides by zero"),
        ("a * b < 3", 5, "two variables are multiplied"),
        ("a <", 4, "the end cannot stand here"),
        ("a + b", 6, "the end cannot stand here"),
        ("if a > 0 b > 0", 10, "'b' cannot stand here"),
        ('a > "x"', 3, "a text has no order"),
        ('a + 1 == "x"', 1, "compared with what is no variable"),
        ('a + "x" > 2', 5, "a text is used as a number"),
        ("a in {1, 'x'}", 13, "numbers and texts"),
        ("a in {}", 7, "'}' cannot stand here"),
        ("a # b", 3, "'#' cannot stand here"),
        ("a <= 1 <= 2", 8, "no variable is left"),
        ("a - a == 0", 7, "no variable is left"),
        ("a <= 1e999", 1, "too large"),
        ("", 1, "the end cannot stand here"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_column(
    text: str, column: int, part: str
) -> None:
    with pytest.raises(ConfigError, match=f"Column {column} of the edit") as caught:
        parse_edit(text, where="edits.csv:3")
    assert part in caught.value.title
    assert caught.value.where == "edits.csv:3"
    assert text in str(caught.value.hint)


def test_a_misspelt_word_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_edit("a > 0 thn b > 0")
    assert caught.value.nearest == "then"


@pytest.mark.parametrize("text", ["not x is integer", "x > 1 or x is integer"])
def test_a_whole_number_is_demanded_alone(text: str) -> None:
    with pytest.raises(ConfigError, match="'is integer' stands in a condition"):
        parse_edit(text, "here")


def test_an_edit_of_too_many_clauses_is_refused() -> None:
    text = " or ".join(f"(a{i} > 0 and b{i} > 0)" for i in range(9))
    with pytest.raises(ConfigError, match="more than 256 clauses"):
        parse_edit(text)


YAML = """
version: 1
variables:
  staff: {least: 0, integer: true}
  status: {values: [single, married], missing: allowed}
edits:
  - id: E1
    text: turnover + other == total
  - id: E2
    text: 'if age < 15 then status == "single"'
    severity: soft
    valid_from: 2024-01
    valid_to: 2024-12
"""
TABLE = """id;text;severity;valid_from;valid_to
E1;turnover + other == total;;;
E2;if age < 15 then status == "single";soft;2024-01;2024-12
"""


@pytest.mark.parametrize("kind", ["yaml", "csv", "xlsx"])
def test_edits_are_read_from_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"my edits.{kind}"
    if kind == "xlsx":
        lines = [line.split(";") for line in TABLE.splitlines()]
        frame = pd.DataFrame(lines[1:], columns=lines[0]).replace("", None)
        write_xlsx(path, {"edits": frame})
    else:
        path.write_text(YAML if kind == "yaml" else TABLE, encoding="utf-8")
    edits = read_edits(path)
    first, second = edits.edits[:2]
    assert (first.id, first.severity, second.severity) == ("E1", "hard", "soft")
    assert edits.numeric[:3] == ("turnover", "other", "total")
    assert [e.id for e in edits.at("2025-01").edits][:1] == ["E1"]
    assert second.is_valid("2024-06")
    assert not second.is_valid("2025-01")
    if kind == "yaml":
        added = ["staff:least", "staff:integer", "status:values"]
        assert [e.id for e in edits.edits[2:]] == added
        assert edits.missing_allowed == {"status"}
    assert first.text == "turnover + other == total"


@pytest.mark.parametrize(
    ("change", "line", "part"),
    [
        (("other ==", "other =="), None, ""),
        (("other == total", "other === total"), 8, "Column 20"),
        (("id: E2", "id: E1"), 1, "given twice"),
        (("severity: soft", "severity: mild"), 11, ""),
        (("valid_to: 2024-12", "valid_to: 2023-12"), 9, "ends before it begins"),
        (("least: 0", "lest: 0"), 4, ""),
        (("[single, married]", "[single], least: 1"), 5, "values, or bounds"),
    ],
)
def test_errors_of_a_yaml_file_have_its_line(
    change: tuple[str, str], line: int | None, part: str, tmp_path: Path
) -> None:
    path = tmp_path / "edits.yaml"
    path.write_text(YAML.replace(*change), encoding="utf-8")
    if line is None:
        read_edits(path)
        return
    with pytest.raises(ConfigError) as caught:
        read_edits(path)
    assert part in str(caught.value)
    assert f"{path}:{line}" in str(caught.value.where)


@pytest.mark.parametrize(
    ("table", "line", "part"),
    [
        (TABLE.replace("severity", "severty"), 1, "Unknown column"),
        (TABLE.replace("E2;", "E1;"), 3, "given twice"),
        (TABLE.replace("+ other", "+ + other"), 2, "Column 12"),
        ("id;text\nE1;\n", 2, "required"),
    ],
)
def test_errors_of_a_table_have_its_line(
    table: str, line: int, part: str, tmp_path: Path
) -> None:
    path = tmp_path / "edits.csv"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_edits(path)
    assert part in str(caught.value)
    assert str(caught.value.where).startswith(f"{path}:{line}")


def test_sides_in_columns_of_their_own_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "edits.csv"
    path.write_text("editid,leftside,operator,rightside\nP1,a + b,=,c\n")
    assert read_edits(path).edits[0].text == "a + b = c"


def test_a_variable_of_two_kinds_is_refused() -> None:
    with pytest.raises(ConfigError, match="a number in one edit") as caught:
        EditSet.from_texts(["a > 1", 'a == "x"'])
    assert caught.value.where == "edits 'E1' and 'E2'"


def test_an_unknown_variable_gets_the_nearest_column() -> None:
    edits = EditSet.from_texts(["turnovr >= 0"])
    with pytest.raises(ConfigError, match="'turnovr', which is not in") as caught:
        review(pd.DataFrame({"turnover": [1.0]}), edits)
    assert caught.value.nearest == "turnover"

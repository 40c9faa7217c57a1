from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.coding import Rules
from mlstats.coding.patterns import check_pattern
from mlstats.coding.rule_files import read_rules
from mlstats.errors import ConfigError, MethodError, SourceError
from mlstats.io import write_xlsx
from mlstats.method import predict_top

YAML = r"""
version: 1
rules:
  - id: R1
    pattern: '\b(fuel|gas)\b'
    where: {shop: [station, garage], amount: {from: 20, to: 100}}
    code: "07.2.2"
    author: prices
  - id: R2
    pattern: gas
    code: "04.5.2"
    author: housing
    valid_from: 2024-01
    valid_to: 2024-06
  - id: R3
    where: {shop: bakery}
    code: "01.1.1"
    author: prices
"""
TABLE = """id;pattern;code;author;valid_from;valid_to;where shop;where amount
R1;\\b(fuel|gas)\\b;07.2.2;prices;;;station|garage;20..100
R2;gas;04.5.2;housing;2024-01;2024-06;;
R3;;01.1.1;prices;;;bakery;
"""
ROWS = pd.DataFrame(
    {
        "text": ["Gas", "gas", "GAS bill", "rolls", None, "fuel", "fuel"],
        "shop": ["station", "kiosk", None, "bakery", "bakery", "garage", "garage"],
        "amount": [50.0, 50, 50, 1, 1, np.nan, 20],
    }
)
WANTED = ["07.2.2", "04.5.2", "04.5.2", "01.1.1", "01.1.1", None, "07.2.2"]


@pytest.fixture(params=["yaml", "csv", "xlsx"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"my rules.{request.param}"
    if request.param == "xlsx":
        lines = [line.split(";") for line in TABLE.splitlines()]
        frame = pd.DataFrame(lines[1:], columns=lines[0]).replace("", None)
        write_xlsx(path, {"rules": frame})
    else:
        path.write_text(YAML if request.param == "yaml" else TABLE, encoding="utf-8")
    return path


def rule(**changed: Any) -> dict[str, Any]:
    return {"id": "R1", "pattern": "gas", "code": "1", "author": "a", **changed}


def test_the_first_rule_that_finds_a_row_wins(path: Path) -> None:
    method = Rules(path).fit(ROWS)
    assert method.predict(ROWS).tolist() == WANTED
    assert method.outcome(ROWS).tolist() == [*["rule"] * 5, "none", "rule"]
    codes, scores = predict_top(method, ROWS, 2)
    assert codes[:, 0].tolist() == WANTED
    assert np.isnan(scores).all()


@pytest.mark.parametrize(
    ("period", "applies"),
    [("2024-01", True), ("2024-06", True), ("2023-12", False), ("2024-Q3", False)],
)
def test_rules_hold_in_their_periods(path: Path, period: str, applies: bool) -> None:
    code = Rules(path, period=period).fit(ROWS).predict(ROWS)[2]
    assert code == ("04.5.2" if applies else None)


def test_hits_are_counted_by_rule_and_hold_no_text(path: Path) -> None:
    truth = ["07.2.2", "07.2.2", "04.5.2", "01.1.1", "01.1.1", "x", "x"]
    hits = Rules(path).fit(ROWS, truth).hits_
    assert hits["id"].tolist() == ["R1", "R2", "R3"]
    assert hits["hits"].tolist() == [2, 2, 2]
    assert hits["right"].tolist() == [1, 1, 2]
    assert Rules(path).fit(ROWS).hits_["right"].isna().all()


def test_reasons_name_the_rule(path: Path) -> None:
    told = Rules(path).fit(ROWS).explain(ROWS.set_axis(list("abcdefg")))
    assert told.index.tolist() == list("abcdefg")
    assert told["entry"].tolist() == ["R1", "R2", "R2", "R3", "R3", None, "R1"]
    assert told["reason"].iloc[0] == (
        "07.2.2: rule R1 by prices, pattern '\\\\b(fuel|gas)\\\\b' and "
        "a condition on shop and a condition on amount"
    )
    assert told["reason"].iloc[5] == "no rule applies"


def test_saved_rules_answer_the_same(path: Path, tmp_path: Path) -> None:
    method = Rules(path, period="2024-02").fit(ROWS, WANTED)
    method.save(tmp_path)
    path.unlink()
    loaded = Rules.load(tmp_path)
    assert loaded.predict(ROWS).tolist() == method.predict(ROWS).tolist()
    assert loaded.hits_["hits"].tolist() == method.hits_["hits"].tolist()
    assert (tmp_path / "rule_hits.csv").is_file()
    with pytest.raises(SourceError):
        Rules.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("values", "wanted", "holds"),
    [
        ([1, 2], 1, [True, False]),
        ([1.0, np.nan], ["1"], [True, False]),
        (["01", "1"], "01", [True, False]),
        (["01", None], {"from": 1}, [True, False]),
        ([True, False], True, [True, False]),
        (["x", "2.5"], {"to": 3}, [False, True]),
    ],
)
def test_conditions(values: list[Any], wanted: Any, holds: list[bool]) -> None:
    X = pd.DataFrame({"text": ["a", "b"], "c": values})
    method = Rules([{"id": "R", "where": {"c": wanted}, "code": "1", "author": "a"}])
    found = method.fit(X).predict(X)
    assert [code == "1" for code in found] == holds


@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({"pattern": None}, "neither a pattern nor a condition"),
        ({"where": {"a": {"from": 2, "to": 1}}}, "ends before it begins"),
        ({"where": {"a": {"form": 2}}}, "where.a"),
        ({"valid_from": "2024-13"}, "not a reference period"),
        ({"valid_from": "2024-03", "valid_to": "2024-02"}, "ends before it begins"),
        ({"pattern": "(a"}, "no regular expression"),
        ({"pattern": "Gas"}, "can never match"),
        ({"pattern": "thé"}, "can never match"),
        ({"autor": "x"}, "Extra"),
        ({"code": ""}, "at least 1 character"),
    ],
)
def test_rules_that_cannot_be_used(changed: dict[str, Any], title: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_rules([rule(id="R0"), rule(**changed)])
    assert title in str(caught.value)
    assert "number 2" in str(caught.value.where)


def test_a_rule_is_given_once() -> None:
    with pytest.raises(ConfigError, match="'R1' is given twice"):
        read_rules([rule(), rule()])


def test_errors_of_files_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(YAML.replace("pattern: gas", "pattern: Gas"), encoding="utf-8")
    with pytest.raises(ConfigError, match="can never match") as caught:
        read_rules(path)
    assert f"{path}:9" in str(caught.value.where)
    table = tmp_path / "rules.csv"
    table.write_text(TABLE.replace(";gas;", ";(gas;"), encoding="utf-8")
    with pytest.raises(ConfigError, match="no regular expression") as caught:
        read_rules(table)
    assert f"{table}:3" in str(caught.value.where)
    table.write_text(TABLE.replace("author", "autor"), encoding="utf-8")
    with pytest.raises(ConfigError, match="Unknown column 'autor'") as caught:
        read_rules(table)
    assert caught.value.nearest == "author"


def test_data_without_the_columns() -> None:
    with pytest.raises(ConfigError, match="'shop'") as caught:
        Rules([rule(where={"shop": "x"})]).fit(pd.DataFrame({"text": ["a"], "shp": 1}))
    assert caught.value.nearest == "shp"
    with pytest.raises(MethodError, match="'text'"):
        Rules([rule()]).fit(pd.DataFrame({"txt": ["a"]}))
    with pytest.raises(ConfigError, match="most_characters"):
        Rules([rule()], most_characters=0).fit(ROWS)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a*)*",
        "(?:a|a)+",
        "(a|aa){2,}",
        "((a+)b?)*",
        "(a?){30}a{30}",
        ".*a.*b.*c",
        "a?" * 30 + "a" * 30,
        "(?P<x>a+){5}",
        "(?=(a+))+(b+)+",
    ],
)
def test_patterns_that_could_hang_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(milk|lait|latte)s?\b",
        r"^rent( of)? .*flat",
        "[a-z]+ing",
        "(ab){3}",
        r"a{2,3}[\W\D]\S",
        r"(?:not )?(?<!un)paid",
        "牛乳",
        "[(+*]x",
        r"\(x\)+",
    ],
)
def test_ordinary_patterns_are_allowed(pattern: str) -> None:
    check_pattern(pattern)


def test_the_worst_allowed_pattern_ends() -> None:
    X = pd.DataFrame({"text": ["a b " * 25_000]})
    method = Rules([rule(pattern=".*a.*b c")]).fit(X)
    assert method.hits_["hits"].tolist() == [0]  # would take hours if it hung


def test_shipped_rules_can_be_used() -> None:
    shipped = Path(__file__).parents[2] / "configs" / "rules" / "coicop_demo_rules.yaml"
    X = pd.DataFrame(
        {"text": ["Roggenbrot 500 g", "Roggenbrot"], "language": ["de", "en"]}
    )
    assert Rules(shipped).fit(X).predict(X).tolist() == ["01.1.1.3", None]
    assert Rules(shipped, period="2025").fit(X).predict(X).tolist() == [None, None]

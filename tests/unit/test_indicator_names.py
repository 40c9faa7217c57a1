"""Every indicator that a quality module can emit has a name, a unit and a dimension."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mlstats.quality
from mlstats.quality.dimensions import REFITS, dimension_rows
from mlstats.quality.figures import DIMENSIONS, Cell, indicator_name, write
from mlstats.quality.indicator_names import FAMILIES, INDICATORS, named
from mlstats.quality.scorecard import Plan, score
from tests.evaluation_example import LEVELS, ancestor, evaluation_of, units_of
from tests.report_example import row

MODULES = sorted(Path(mlstats.quality.__file__).parent.glob("*.py"))
UNITS = {
    "percent", "ratio", "count", "days", "seconds", "minutes", "amount", "energy",
    "carbon", "fact",
}  # fmt: skip


class Names:
    """What the second argument of ``Indicator(...)`` may be, read from the source."""

    def __init__(self, module: ast.Module) -> None:
        self.module = module

    def emitted(self) -> Iterator[str]:
        for scope in ast.walk(self.module):
            if isinstance(scope, ast.FunctionDef):
                for call in ast.walk(scope):
                    if isinstance(call, ast.Call) and _called(call) == "Indicator":
                        yield from self.texts(_second(call), scope)

    def texts(self, node: ast.AST, scope: ast.AST, at: int = 0) -> Iterator[str]:
        """Yield the texts that an expression may be; `*` stands for what a run adds."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=[ast.Constant(value=start), *_]):
                yield f"{start}*"
            case ast.Name(id=name):
                yield from self.of_name(name, scope, at)
            case ast.Dict(keys=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in filter(None, parts):
                    inner = isinstance(part, ast.Tuple)
                    yield from self.texts(part.elts[at] if inner else part, scope)
            case ast.Call(func=ast.Name(id="zip"), args=parts):
                yield from self.texts(parts[at], scope)
            case ast.Call(func=ast.Attribute(attr="items", value=mapping)):
                yield from self.texts(mapping, scope)

    def of_name(self, name: str, scope: ast.AST, at: int) -> Iterator[str]:
        for target, value in [*_assigned(scope), *_assigned(self.module)]:
            if isinstance(target, ast.Name) and target.id == name:
                yield from self.texts(value, scope, at)
            elif isinstance(target, ast.Tuple):
                for place, part in enumerate(target.elts):
                    if isinstance(part, ast.Name) and part.id == name:
                        yield from self.texts(value, scope, place)


def _assigned(scope: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    nodes = ast.walk(scope) if isinstance(scope, ast.FunctionDef) else scope.body
    for node in nodes:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            tuples = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            yield from zip(
                target.elts if tuples else [target],
                node.value.elts if tuples else [node.value],
                strict=True,
            )
        elif isinstance(node, ast.AugAssign):
            yield node.target, node.value
        elif isinstance(node, (ast.For, ast.comprehension)):
            yield node.target, node.iter


def _called(call: ast.Call) -> str:
    function = call.func
    return getattr(function, "id", getattr(function, "attr", ""))


def _second(call: ast.Call) -> ast.expr:
    words = {word.arg: word.value for word in call.keywords}
    return call.args[1] if len(call.args) > 1 else words["indicator"]


def emitted(source: str) -> set[str]:
    return set(Names(ast.parse(source)).emitted())


def has_a_name(indicator: str) -> bool:
    return named(indicator.replace("*", "something")) is not None


def emitting() -> dict[str, set[str]]:
    found = {path.name: emitted(path.read_text(encoding="utf-8")) for path in MODULES}
    return {name: names for name, names in found.items() if names}


# -- the scan itself ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ('return Indicator("a", "tide", e)', {"tide"}),
        ('return Indicator("a", f"tide_{of}", e)', {"tide_*"}),
        ('name = f"tide_{of}"; return Indicator(D, name, e)', {"tide_*"}),
        ('name, m = "tide", 3; return Indicator(D, name, e)', {"tide"}),
        ('for n in ("x", "y"): yield Indicator(D, n, e)', {"x", "y"}),
        ('ns = ("x", "y"); return [Indicator(D, n, e) for n in ns]', {"x", "y"}),
        (
            'ns = ("x", "y")\n return [Indicator(D, n, e) for n, e in zip(ns, z)]',
            {"x", "y"},
        ),
        (
            'f = {"x": 1}\n f |= {"y": 2}\n return [Indicator(D, k, v) '
            "for k, v in f.items()]",
            {"x", "y"},
        ),
        ("return [Indicator(d, i, w) for d, i, w in _LATER]", {"later"}),
    ],
)
def test_the_scan_finds_every_way_to_name_an_indicator(lines, names):
    source = f'_LATER = (("dimension", "later", "why"),)\ndef f():\n {lines}\n'
    assert emitted(source) == names


def test_the_scan_reads_each_module_that_emits():
    found = emitting()
    calls = {
        path.name
        for path in MODULES
        if any(
            isinstance(node, ast.Call) and _called(node) == "Indicator"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert set(found) == calls
    assert len(calls) >= 10
    assert {"cost_total", "break_even_units"} <= found["cost.py"]
    assert {"rerun_changed", "churn", "seed_spread_*"} <= found["reproducibility.py"]
    assert {"kappa", "brier"} <= found["dimensions.py"]
    assert all(has_a_name(name) for _, name in REFITS)


# -- the names ---------------------------------------------------------------------


def test_every_indicator_of_the_quality_modules_has_a_name():
    nameless = {
        f"{module}: {name}"
        for module, names in emitting().items()
        for name in names
        if not has_a_name(name)
    }
    assert nameless == set()


def test_every_indicator_of_a_scorecard_has_a_name_of_its_own_dimension():
    evaluation = evaluation_of(units_of(300, seed=4))
    units = evaluation.units.assign(domain_region="north")
    plan = Plan(
        kinds={"trad": "traditional", "ml": "ml"},
        baseline="trad",
        level="full",
        levels=LEVELS,
        bootstrap=50,
    )
    beyond = dimension_rows(
        units, ancestor, "full", {"trad": object(), "ml": object()},
        baseline="trad", provenance={}, seed=0,
    )  # fmt: skip
    card = pd.concat([score(evaluation, ancestor, plan), pd.DataFrame(beyond)])
    pairs = card[["indicator", "dimension"]].drop_duplicates().to_numpy()
    assert len(pairs) > 20
    for indicator, dimension in pairs:
        assert named(indicator) is not None, indicator
        assert named(indicator)[2] == dimension, indicator


def test_names_differ_and_units_and_dimensions_are_known():
    names = [name for name, _, _ in INDICATORS.values()]
    assert len(set(names)) == len(names)
    for name, unit, dimension in [*INDICATORS.values(), *FAMILIES.values()]:
        assert unit in UNITS
        assert dimension in DIMENSIONS
        assert name[0].islower() or name.startswith(("Brier", "MSE", "McNemar"))
    assert all("{}" in name for name, _, _ in FAMILIES.values())


def test_what_a_run_adds_to_a_name_stands_in_it():
    assert indicator_name("accuracy_typing_error") == "accuracy, typing error"
    assert indicator_name("accuracy_without_shop") == "accuracy without shop"
    assert indicator_name("change_new_units") == "new texts less known ones"
    assert indicator_name("tide_height") == "tide height"


@pytest.mark.parametrize(
    ("indicator", "value", "text"),
    [
        ("method_class", 4.0, "4"),
        ("break_even_periods", 2.5, "2.5"),
        ("cost_total", 1234.5, "1,234.50"),
        ("output_lag_days", 45.0, "45\u202fdays"),
        ("energy_kwh", 0.5, "0.50\u202fkWh"),
        ("kappa", 0.5, "0.500"),
        ("coverage", 0.5, "50.0\u202f%"),
    ],
)
def test_a_figure_is_written_in_its_unit(indicator, value, text):
    cell = Cell.from_row(row(indicator=indicator, value=value))
    assert write(cell).text == text


def test_a_fact_is_written_as_its_note():
    fact = row(indicator="truth_sample", value=np.nan, note="census")
    assert write(Cell.from_row(fact)).text == "census"
    assert write(Cell.from_row(fact | {"note": ""})).missing
    assert write(Cell.from_row(fact | {"status": "not_measured"})).missing

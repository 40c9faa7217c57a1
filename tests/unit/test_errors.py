from __future__ import annotations

import copy
import pickle

import pandas as pd
import pytest

from mlstats import errors
from mlstats.errors import (
    ConfigError,
    ContractError,
    MethodError,
    MlstatsError,
    RefusedError,
    ServiceError,
    SourceError,
    TimeBudgetError,
    UsageError,
    nearest,
)

PARTS = {
    "where": "pilot.yaml:3 (data)",
    "expected": "source",
    "nearest": "source",
    "hint": "mend it",
}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError, 2),
        (UsageError, 2),
        (RefusedError, 1),
        (ContractError, 3),
        (SourceError, 3),
        (ServiceError, 4),
        (MethodError, 5),
        (TimeBudgetError, 5),
        (MlstatsError, 5),
    ],
)
def test_each_error_has_the_exit_code_of_the_table(
    error: type[MlstatsError], code: int
) -> None:
    assert error.exit_code == code
    assert issubclass(error, MlstatsError)


def test_every_public_error_is_in_the_table_above() -> None:
    public = {name for name in errors.__all__ if name != "nearest"}
    assert public == {
        "ConfigError",
        "ContractError",
        "MethodError",
        "MlstatsError",
        "RefusedError",
        "ServiceError",
        "SourceError",
        "TimeBudgetError",
        "UsageError",
    }


def test_the_parts_are_told_in_reading_order() -> None:
    error = ConfigError("Unknown key 'sorce'", **PARTS)
    assert [label for label, _ in error.lines()] == [
        "where",
        "expected",
        "nearest",
        "to do",
    ]
    assert str(error) == (
        "Unknown key 'sorce'\n"
        "  where: pilot.yaml:3 (data)\n"
        "  expected: source\n"
        "  nearest: source\n"
        "  to do: mend it"
    )


def test_parts_that_are_not_there_are_not_told() -> None:
    error = MethodError("A block failed", hint="look")
    assert error.lines() == [("to do", "look")]
    assert str(MlstatsError("Alone")) == "Alone"


@pytest.mark.parametrize(
    "duplicate", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))]
)
@pytest.mark.parametrize("kind", [ConfigError, ServiceError, MlstatsError])
def test_an_error_survives_pickling(kind, duplicate) -> None:
    error = kind("Unknown key", **PARTS)
    found = duplicate(error)
    assert type(found) is kind
    assert str(found) == str(error)
    assert found.args == error.args
    assert found.exit_code == error.exit_code


def test_the_table_of_failures_survives_pickling() -> None:
    failures = pd.DataFrame({"column": ["age"], "rule": ["is missing"], "count": [2]})
    error = SourceError("The data break the contract", failures=failures, where="f.csv")
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is SourceError
    assert found.where == "f.csv"
    pd.testing.assert_frame_equal(found.failures, failures)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("basline", "baseline"), ("candidat", "candidate"), ("zzz", None), ("", None)],
)
def test_nearest_tells_a_name_only_where_it_is_close(name, expected) -> None:
    assert nearest(name, iter(["baseline", "candidate"])) == expected

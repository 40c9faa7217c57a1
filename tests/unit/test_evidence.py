from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import MlstatsError
from mlstats.quality.evidence import bundle, canonical, digest, parse
from tests.report_example import example_gates, example_scorecard, row

SUBJECT = {"pilot": "p", "period": "2026-01", "candidate": "linear"}
RULES = [{"measure": "accuracy", "versus": "index", "margin": 0.02}]
DIGESTS = {"data digest": "ab" * 32}


def made(
    scorecard: pd.DataFrame | None = None,
    gates: pd.DataFrame | None = None,
    **changes: Any,
) -> dict[str, Any]:
    given = {"subject": SUBJECT, "rules": RULES, "digests": DIGESTS} | changes
    return bundle(
        example_scorecard() if scorecard is None else scorecard,
        example_gates() if gates is None else gates,
        **given,
    )


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        [-math.inf],
        {"a": {"b": np.float64("nan")}},
        {1: "a"},
        {None: "a"},
        {"a", "b"},
        b"bytes",
        object(),
        pd.Timestamp("2026-01-01"),
        "\ud800",
        {"\udfff": 1},
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(MlstatsError):
        canonical(value)


def test_refusal_names_the_place_and_not_the_value() -> None:
    with pytest.raises(MlstatsError) as error:
        canonical({"rows": [{"name": object()}]})
    assert error.value.where == "$.rows[0].name"


def test_value_that_holds_itself_is_refused() -> None:
    own: list[Any] = []
    own.append(own)
    with pytest.raises(MlstatsError, match="holds itself"):
        canonical(own)


def test_numpy_scalars_are_their_python_values() -> None:
    given = {"a": np.int64(3), "b": np.float64(0.1), "c": np.bool_(True)}
    assert canonical(given) == b'{"a":3,"b":0.1,"c":true}'


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1,"a":1}',
        b'{"a":1.00}',
        b'"\\u00e9"',
        b"[NaN]",
        b"not json",
        b"\xff",
        b'{"a":1}\n',
    ],
)
def test_other_bytes_are_not_evidence(data: bytes) -> None:
    with pytest.raises(MlstatsError):
        parse(data)


def test_bundle_holds_no_timing() -> None:
    scorecard = example_scorecard().assign(wall_seconds=3.25, created="2026-04-03")
    timed = row(
        dimension="cost", indicator="energy_kwh", method="linear", value=0.123456
    )
    scorecard = pd.concat([scorecard, pd.DataFrame([timed])], ignore_index=True)
    slow = (
        example_gates()
        .iloc[[0]]
        .assign(
            measure="predict_seconds_per_1000", value=0.10654321, reason="0.10654321 s"
        )
    )
    gates = pd.concat([example_gates(), slow], ignore_index=True)
    found = made(scorecard, gates, timed=["energy_kwh"])
    text = canonical(found).decode()
    for told in ("3.25", "2026-04-03", "0.123456", "0.10654321", "fit_seconds"):
        assert told not in text
    assert found["left_out"] == {
        "timeliness indicators": 11,
        "numbers of timeliness gates": 1,
    }
    kept = [g for g in found["gates"] if g["measure"] == "predict_seconds_per_1000"]
    assert kept[0]["result"] == "pass"
    assert "value" not in kept[0]


def test_rerun_with_other_clocks_has_the_same_digest() -> None:
    slower = example_scorecard()
    late = slower["dimension"] == "timeliness"
    slower["value"] = slower["value"].where(~late, slower["value"] * 3)
    assert digest(made()) == digest(made(slower))


def test_order_of_rows_is_of_no_account() -> None:
    scorecard = example_scorecard().sample(frac=1, random_state=1)
    gates = example_gates().sample(frac=1, random_state=1)
    assert canonical(made()) == canonical(made(scorecard, gates))


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": SUBJECT | {"candidate": "fasttext"}},
        {"rules": [RULES[0] | {"margin": 0.03}]},
        {"digests": {"data digest": "cd" * 32}},
        {"gates": example_gates().assign(result="pass")},
        {"scorecard": example_scorecard().assign(value=0.5)},
    ],
)
def test_any_change_of_the_facts_changes_the_digest(changes: dict[str, Any]) -> None:
    assert digest(made(**changes)) != digest(made())


def test_missing_and_infinite_cells_are_told() -> None:
    scorecard = pd.DataFrame([row(dimension="cost", value=math.nan, upper=math.inf)])
    told = made(scorecard.assign(extra=pd.NA))["indicators"][0]
    assert told["value"] is None
    assert told["extra"] is None
    assert told["upper"] == "inf"
    assert json.loads(canonical(told))["upper"] == "inf"

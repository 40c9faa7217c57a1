from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mlstats.errors import ConfigError
from mlstats.quality.waiver import (
    Waiver,
    apply_waivers,
    read_waivers,
    waived_verdict,
)
from tests.report_example import example_gates

FIRST = {"person": "A. Author", "role": "methodologist", "day": date(2026, 4, 1)}
SECOND = {"person": "B. Head", "role": "subject owner", "day": date(2026, 4, 3)}
TEXT = "The rerun needs a machine that comes in June; see minutes of 1 April."


def gates() -> Any:
    names = ["accuracy", "automation", "unseen", "rerun"]
    return example_gates().assign(gate=names)


def waiver(**changes: Any) -> Waiver:
    return Waiver(
        **{
            "gate": "automation",
            "text": TEXT,
            "expires": date(2026, 6, 30),
            "first": FIRST,
            "second": SECOND,
        }
        | changes
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"second": FIRST | {"role": "it"}}, "another person"),
        ({"second": SECOND | {"person": " a.  AUTHOR "}}, "another person"),
        ({"expires": date(2026, 4, 2)}, "expire before"),
        ({"text": "because"}, "at least 20"),
        ({"gate": ""}, "at least 1"),
        ({"second": None}, "Signature"),
        ({"first": {"person": "A. Author", "role": "it"}}, "day"),
        ({"forever": True}, "forever"),
    ],
)
def test_incomplete_waiver_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        waiver(**changes)


def test_result_stays_visible() -> None:
    found = apply_waivers(gates(), [waiver()], date(2026, 5, 1))
    assert found["result"].tolist() == [
        "pass", "waived (fail)", "inconclusive", "not_measured",
    ]  # fmt: skip
    told = found["waiver"].tolist()
    assert told[0] == told[2] == told[3] == ""
    for part in (TEXT, "2026-06-30", "A. Author (methodologist", "B. Head"):
        assert part in told[1]


@pytest.mark.parametrize(
    ("day", "counts"),
    [
        (date(2026, 4, 2), False),  # the second signature is still missing
        (date(2026, 4, 3), True),
        (date(2026, 6, 30), True),
        (date(2026, 7, 1), False),
    ],
)
def test_waiver_counts_from_its_last_signature_to_its_expiry(
    day: date, *, counts: bool
) -> None:
    found = apply_waivers(gates(), [waiver()], day)
    assert (found["result"] == "waived (fail)").any() == counts
    assert (found["result"] == "fail").any() != counts


def test_pass_is_not_waived() -> None:
    found = apply_waivers(gates(), [waiver(gate="accuracy")], date(2026, 5, 1))
    assert found["result"].iloc[0] == "pass"
    assert found["waiver"].iloc[0] == ""


def test_unknown_gate_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        apply_waivers(gates(), [waiver(gate="automaton")], date(2026, 5, 1))
    assert error.value.nearest == "automation"
    late = apply_waivers(gates(), [waiver(gate="automaton")], date(2027, 5, 1))
    assert (late["waiver"] == "").all()


def test_two_waivers_of_one_gate_are_refused() -> None:
    with pytest.raises(ConfigError, match="Two waivers"):
        apply_waivers(gates(), [waiver(), waiver()], date(2026, 5, 1))


def test_verdict_says_that_it_was_waived() -> None:
    all_waived = [waiver(gate=name) for name in ("automation", "unseen", "rerun")]
    found = apply_waivers(gates(), all_waived, date(2026, 5, 1))
    assert waived_verdict(found, "production") == "waived"
    assert waived_verdict(found, "shadow") == "pass"
    some = apply_waivers(gates(), all_waived[:2], date(2026, 5, 1))
    assert waived_verdict(some, "production") == "not_measured"
    assert waived_verdict(found, "nowhere") == "not_measured"


FILE = """\
version: 1
waivers:
  - gate: automation
    text: The rerun needs a machine that comes in June; see minutes of 1 April.
    expires: 2026-06-30
    first: {person: A. Author, role: methodologist, day: 2026-04-01}
    second: {person: B. Head, role: subject owner, day: 2026-04-03}
"""


def test_file_of_waivers(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(FILE, encoding="utf-8")
    assert read_waivers(path) == [waiver()]


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("    expires: 2026-06-30\n", "", 3, "Field required"),
        ("person: B. Head", "person: a. author", 3, "another person"),
        ("expires: 2026-06-30", "expires: soon", 5, "date"),
        ("role: subject owner", "rank: 1", 7, "Field required"),
        ("version: 1", "version: one", 1, "integer"),
        ("waivers:", "waivers: [", 3, "not YAML"),
    ],
)
def test_mistake_in_the_file_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as error:
        read_waivers(path)
    assert f"waivers.yaml:{line}" in str(error.value.where)


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_waivers(tmp_path / "none.yaml")

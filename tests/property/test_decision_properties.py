"""Any sequence of steps, allowed or not, keeps the log sound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlstats.approval import (
    Case,
    promotion,
    retirement,
    rollback,
    signing,
    suspension,
)
from mlstats.decisions import APPROVED, Act, Decision, chained, faults, standing
from mlstats.errors import RefusedError, UsageError
from mlstats.identity import Identity
from mlstats.parties import Parties
from mlstats.shadowing import ShadowRecord

PEOPLE = ("ada", "mei", "tom", "eve", "bob")  # eve is an author, bob is nobody
PARTIES = Parties(
    ("eve",),
    {"methodologist": ("ada", "eve"), "subject_owner": ("mei", "ada"), "it": ("tom",)},
)
WAIVER = '{"gate":"b"}'

steps = st.tuples(
    st.sampled_from(
        ["sign", "sign", "promote", "promote", "suspend", "retire", "back"]
    ),
    st.sampled_from(PEOPLE),
    st.integers(1, 3),  # version
    st.sampled_from(["valid", "shadow", "production"]),
    st.sampled_from(["methodologist", "subject_owner", "it"]),
    st.booleans(),  # the waiver is signed too
    st.sampled_from(["pass", "pass", "fail"]),  # what the gate to production says
    st.sampled_from(["a", "a", "a", "changed"]),  # evidence
)
Step = tuple[str, str, int, str, str, bool, str, str]


def acts(step: Step, rows: list[Decision]) -> list[Act]:
    kind, who, version, to, role, waive, result, evidence = step
    by = Identity(who)
    case = Case(
        version=version,
        model="m",
        evidence=f"{evidence}{version}",
        gates=(("a", "shadow", "pass"), ("b", "production", result)),
        waivers={"b": WAIVER},
        asked={"production": frozenset({"it"})},
        parties=PARTIES,
        shadow=ShadowRecord(("2026-07",), (), 1, 0),
    )
    if kind == "sign":
        waived = ["b"] if waive and to == "production" else []
        return signing(case, rows, by, to, role=role, reason="why", waive=waived)
    if kind == "promote":
        return promotion(case, rows, by, to, reason="why")
    if kind == "back":
        return rollback(case, rows, by, reason="why")
    stop = suspension if kind == "suspend" else retirement
    return stop(rows, version, by, PARTIES, reason="why")


def whole_way(version: int) -> list[Step]:
    """Return the steps that bring a version into production."""

    def step(kind: str, who: str, to: str, role: str = "it") -> Step:
        return (kind, who, version, to, role, False, "pass", "a")

    return [
        step("promote", "eve", "valid"),
        step("sign", "ada", "shadow", "methodologist"),
        step("promote", "mei", "shadow"),
        step("sign", "ada", "production", "methodologist"),
        step("sign", "tom", "production"),
        step("promote", "mei", "production"),
    ]


plans = st.lists(
    st.one_of(steps.map(lambda step: [step]), st.integers(1, 3).map(whole_way)),
    max_size=12,
)


@given(plans)
def test_any_sequence_of_steps_keeps_the_log_sound(plan: list[list[Step]]) -> None:
    rows: list[Decision] = []
    for step in [step for part in plan for step in part]:
        try:
            made = acts(step, rows)
        except (RefusedError, UsageError):
            continue
        before = standing(rows)
        rows = [*rows, *chained(made, "diary", rows, "2026-06-01T00:00:00+00:00")]
        assert faults(rows) == []
        now = standing(rows)
        assert len(now.at("production")) <= 1
        for version, stage in before.stages.items():
            assert stage != "retired" or now.stage(version) == "retired"
        approve(rows[-len(made) :], rows)


def approve(new: list[Decision], rows: list[Decision]) -> None:
    """Check who was behind the new rows, from the rows alone."""
    for row in new:
        assert row.who != "bob"
        if row.kind in ("sign", "waive", "rollback"):
            assert row.who != "eve"
        if row.kind == "sign":
            assert row.who in PARTIES.holders[row.role]
        entered = row.stage_to == "production"
        if row.kind == "promote" and (row.stage_from, row.stage_to) in APPROVED:
            assert row.who != "eve"
            signed = [
                r
                for r in rows[: row.number - 1]
                if (r.kind, r.version, r.stage_to, r.evidence)
                == ("sign", row.version, row.stage_to, row.evidence)
            ]
            assert len({r.who for r in signed}) >= (2 if entered else 1)
            assert {r.role for r in signed} & {"methodologist", "subject_owner"}
            assert not entered or "it" in {r.role for r in signed}
        if row.kind == "rollback" and entered:
            assert any(
                (r.kind, r.version, r.stage_to, r.evidence)
                == ("promote", row.version, "production", row.evidence)
                for r in rows[: row.number - 1]
            )


def test_the_plans_reach_production_and_come_back() -> None:
    """Else the test above would pass on logs where nothing happens."""
    back: Step = ("back", "mei", 1, "production", "it", False, "pass", "a")
    rows: list[Decision] = []
    for step in [*whole_way(1), *whole_way(2), back]:
        rows += chained(acts(step, rows), "diary", rows, "2026-06-01T00:00:00+00:00")
    assert standing(rows).champion == 1

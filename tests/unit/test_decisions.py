from __future__ import annotations

import os
from dataclasses import asdict, replace

import pytest

from mlstats.approval import (
    Case,
    missing,
    promotion,
    retirement,
    rollback,
    signing,
    suspension,
)
from mlstats.decisions import Act, Decision, chained, faults, standing
from mlstats.errors import RefusedError, UsageError
from mlstats.identity import Identity, operating_system_user
from mlstats.parties import Parties
from mlstats.shadowing import ShadowRecord

ADA, MEI, TOM = Identity("ada"), Identity("mei"), Identity("tom", frozenset({"itops"}))
EVE = Identity("eve", frozenset({"data-science"}))
PARTIES = Parties(
    ("data-science", "runner"),
    {"methodologist": ("ada",), "subject_owner": ("mei", "ada"), "it": ("itops",)},
)
WHY = "as agreed in the meeting of June"


def case(version: int = 1, **changes: object) -> Case:
    told = {
        "version": version,
        "model": f"{version:064x}",
        "evidence": f"{version + 100:064x}",
        "gates": (("a to shadow", "shadow", "pass"), ("b", "production", "pass")),
        "waivers": {},
        "asked": {},
        "parties": PARTIES,
        "shadow": ShadowRecord(("2026-07", "2026-08"), ("2025",), 2, 1),
    }
    return Case(**(told | changes))  # type: ignore[arg-type]


class Book:
    """A log in memory."""

    def __init__(self) -> None:
        self.rows: list[Decision] = []

    def add(self, acts: list[Act]) -> None:
        self.rows += chained(acts, "diary", self.rows, "2026-06-01T00:00:00+00:00")
        assert faults(self.rows) == []

    def sign(self, held: Case, by: Identity, to: str, role: str, *waive: str) -> None:
        acts = signing(held, self.rows, by, to, role=role, reason=WHY, waive=waive)
        self.add(acts)

    def go(self, held: Case, to: str, by: Identity = MEI) -> None:
        self.add(promotion(held, self.rows, by, to, reason=WHY))

    def champion(self, held: Case) -> None:
        """Bring a version all the way."""
        self.go(held, "valid")
        self.sign(held, ADA, "shadow", "methodologist")
        self.go(held, "shadow")
        self.sign(held, ADA, "production", "methodologist")
        self.sign(held, TOM, "production", "it")
        self.go(held, "production")


def test_the_way_to_production_and_back() -> None:
    book = Book()
    book.champion(case(1))
    assert standing(book.rows).champion == 1
    book.champion(case(2))
    now = standing(book.rows)
    assert (now.champion, now.stage(1)) == (2, "suspended")
    book.add(rollback(case(1), book.rows, MEI, reason=WHY))
    now = standing(book.rows)
    assert (now.champion, now.stage(2)) == (1, "suspended")
    # Version 2 did not make way by choice: it comes back by new signatures only.
    with pytest.raises(RefusedError, match="did not make way"):
        rollback(case(2), book.rows, MEI, reason=WHY)
    with pytest.raises(RefusedError, match="0 of 2 people"):
        promotion(case(2), book.rows, MEI, "production", reason=WHY)
    book.add(suspension(book.rows, 1, EVE, PARTIES, reason=WHY))
    assert standing(book.rows).champion is None
    with pytest.raises(RefusedError, match="did not make way"):
        rollback(case(1), book.rows, MEI, reason=WHY)
    book.add(retirement(book.rows, 1, MEI, PARTIES, reason=WHY))
    with pytest.raises(RefusedError, match="no step from retired"):
        promotion(case(1), book.rows, MEI, "valid", reason=WHY)


@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        (
            ShadowRecord(("2026-07",), (), 2, 12),
            ["1 of 2 live shadow periods", "0 of 12 periods back-cast"],
        ),
        (
            ShadowRecord((), ("2025",), 1, 1, ("2026-07: another model answered",)),
            [
                "0 of 1 live shadow periods",
                "it does not count: 2026-07: another model answered",
            ],
        ),
        (None, ["nobody counted its periods in the shadow"]),
    ],
)
def test_production_needs_periods_in_the_shadow(
    shadow: ShadowRecord | None, said: list[str]
) -> None:
    book, held = Book(), case(shadow=shadow)
    book.go(held, "valid")
    book.sign(held, ADA, "shadow", "methodologist")
    book.go(held, "shadow")  # to come into the shadow it needs none
    book.sign(held, ADA, "production", "methodologist")
    book.sign(held, TOM, "production", "it")
    assert missing(held, book.rows, "production") == said
    with pytest.raises(RefusedError, match=said[0]):
        book.go(held, "production")
    book.go(case(), "production")  # the signatures were on the evidence, and count
    # Suspended and back it needs them as before; to give it back its place does not.
    book.champion(case(2))
    book.add(rollback(case(shadow=None), book.rows, MEI, reason=WHY))
    book.add(suspension(book.rows, 1, EVE, PARTIES, reason=WHY))
    assert said[0] in missing(held, book.rows, "production")


def test_half_a_rollback_is_a_fault() -> None:
    book = Book()
    book.champion(case(1))
    book.champion(case(2))
    acts = rollback(case(1), book.rows, MEI, reason=WHY)
    half = chained(acts[:1], "diary", book.rows, "2026-06-01T00:00:00+00:00")
    assert "none took its place" in faults([*book.rows, *half])[0]


@pytest.mark.parametrize(
    ("by", "role", "said"),
    [
        (EVE, "methodologist", "eve is an author"),
        (Identity("runner"), "it", "runner is an author"),
        (Identity("RUNNER"), "it", "RUNNER is an author"),
        (Identity("ada", frozenset({"data-science"})), "methodologist", "an author"),
        (MEI, "methodologist", "mei does not hold the role methodologist"),
        (Identity("bob"), "it", "bob does not hold the role it"),
    ],
)
def test_who_may_not_sign(by: Identity, role: str, said: str) -> None:
    book = Book()
    book.go(case(), "valid")
    with pytest.raises(RefusedError, match=said):
        book.sign(case(), by, "shadow", role)
    assert len(book.rows) == 1


def test_an_author_puts_forward_and_does_not_promote() -> None:
    book = Book()
    book.go(case(), "valid", by=EVE)
    assert book.rows[0].role == "author"
    book.sign(case(), ADA, "shadow", "methodologist")
    with pytest.raises(RefusedError, match="eve is an author"):
        book.go(case(), "shadow", by=EVE)
    with pytest.raises(RefusedError, match="bob does not hold any role"):
        book.go(case(), "shadow", by=Identity("bob"))


def test_production_takes_two_people_one_of_them_leading() -> None:
    book = Book()
    book.go(case(), "valid")
    book.sign(case(), MEI, "shadow", "subject_owner")
    book.go(case(), "shadow")
    book.sign(case(), TOM, "production", "it")
    lacks = missing(case(), book.rows, "production")
    assert lacks == [
        "1 of 2 people have signed",
        "a signature as methodologist or subject_owner",
    ]
    book.sign(case(), ADA, "production", "methodologist")
    assert missing(case(), book.rows, "production") == []
    with pytest.raises(RefusedError, match="signed this already"):
        book.sign(case(), ADA, "production", "methodologist")


def test_two_roles_of_one_person_are_one_person() -> None:
    book = Book()
    book.go(case(), "valid")
    book.sign(case(), ADA, "shadow", "methodologist")
    book.go(case(), "shadow")
    book.sign(case(), ADA, "production", "methodologist")
    book.sign(case(), ADA, "production", "subject_owner")
    assert missing(case(), book.rows, "production") == ["1 of 2 people have signed"]


def test_a_gate_asks_for_a_role() -> None:
    held = case(asked={"shadow": frozenset({"it"})})
    book = Book()
    book.go(held, "valid")
    book.sign(held, ADA, "shadow", "methodologist")
    with pytest.raises(RefusedError, match="as it, asked for by a gate"):
        book.go(held, "shadow")
    book.sign(held, TOM, "shadow", "it")
    book.go(held, "shadow")


@pytest.mark.parametrize("result", ["fail", "inconclusive", "not_measured", "odd"])
def test_a_gate_that_is_not_passed_stops_the_step(result: str) -> None:
    held = case(gates=(("a", "shadow", result), ("b", "shadow", "pass")))
    book = Book()
    book.go(held, "valid")
    book.sign(held, ADA, "shadow", "methodologist")
    with pytest.raises(RefusedError, match=f"gate a: {result}, and no waiver"):
        book.go(held, "shadow")
    with pytest.raises(UsageError, match="No waiver that counts"):
        book.sign(held, MEI, "shadow", "subject_owner", "a")


def test_without_a_gate_there_is_no_step() -> None:
    held = case(gates=(("b", "production", "pass"),))
    book = Book()
    book.go(held, "valid")
    assert "the pilot has no gate to shadow" in missing(held, book.rows, "shadow")


def test_a_waiver_counts_once_two_people_have_signed_that_very_waiver() -> None:
    gates = (("a", "shadow", "fail"),)
    held = case(gates=gates, waivers={"a": '{"gate":"a","expires":"2026-07-01"}'})
    book = Book()
    book.go(held, "valid")
    book.sign(held, ADA, "shadow", "methodologist", "a")
    assert [row.kind for row in book.rows] == ["promote", "sign", "waive"]
    (lack,) = missing(held, book.rows, "shadow")
    assert "1 of 2 people have signed its waiver" in lack
    book.sign(held, MEI, "shadow", "subject_owner", "a")
    assert missing(held, book.rows, "shadow") == []
    expired = replace(held, waivers={})
    assert "no waiver counts today" in missing(expired, book.rows, "shadow")[0]
    longer = replace(held, waivers={"a": '{"gate":"a","expires":"2027-07-01"}'})
    assert "0 of 2 people" in missing(longer, book.rows, "shadow")[0]
    book.go(held, "shadow")


def test_a_changed_bundle_voids_signatures() -> None:
    book = Book()
    book.go(case(), "valid")
    book.sign(case(), ADA, "shadow", "methodologist")
    other = case(evidence="f" * 64)
    assert missing(other, book.rows, "shadow") == [
        "0 of 1 people have signed",
        "a signature as methodologist or subject_owner",
        "signatures on other evidence are void",
    ]
    with pytest.raises(RefusedError, match="void"):
        book.go(other, "shadow")


def test_a_version_with_a_flaw_is_neither_signed_nor_promoted() -> None:
    held = case(flaws=("a trial made it",))
    book = Book()
    with pytest.raises(RefusedError, match="a trial"):
        book.go(held, "valid")
    book.go(case(), "valid")
    with pytest.raises(RefusedError, match="a trial"):
        book.sign(held, ADA, "shadow", "methodologist")


def test_a_rollback_looks_at_the_evidence_and_the_waivers_again() -> None:
    waived = {"b": '{"gate":"b","expires":"2026-07-01"}'}
    gates = (("a", "shadow", "pass"), ("b", "production", "fail"))
    held = case(1, gates=gates, waivers=waived)
    book = Book()
    book.go(held, "valid")
    book.sign(held, ADA, "shadow", "methodologist")
    book.go(held, "shadow")
    book.sign(held, ADA, "production", "methodologist", "b")
    book.sign(held, TOM, "production", "it", "b")
    book.go(held, "production")
    book.champion(case(2))
    with pytest.raises(RefusedError, match="no waiver counts today"):
        rollback(replace(held, waivers={}), book.rows, MEI, reason=WHY)
    with pytest.raises(RefusedError, match="not what was approved"):
        rollback(replace(held, evidence="e" * 64), book.rows, MEI, reason=WHY)
    with pytest.raises(RefusedError, match="an author"):
        rollback(held, book.rows, EVE, reason=WHY)
    book.add(rollback(held, book.rows, TOM, reason=WHY))
    assert standing(book.rows).champion == 1


def test_signatures_are_used_up_by_the_step() -> None:
    book = Book()
    book.champion(case())
    book.add(suspension(book.rows, 1, TOM, PARTIES, reason=WHY))
    lacks = missing(case(), book.rows, "production")
    assert lacks[0] == "0 of 2 people have signed"


@pytest.mark.parametrize(
    "steps", [("shadow",), ("production",), ("valid", "production"), ("retired",)]
)
def test_no_step_is_left_out(steps: tuple[str, ...]) -> None:
    book = Book()
    for step in steps[:-1]:
        book.go(case(), step)
    with pytest.raises(RefusedError, match="there is no step"):
        book.go(case(), steps[-1])


@pytest.mark.parametrize("reason", ["", "  \n", "a\x00b", "x" * 2001])
def test_a_decision_has_a_reason(reason: str) -> None:
    with pytest.raises(UsageError, match="no reason"):
        promotion(case(), [], MEI, "valid", reason=reason)


def test_nothing_is_stopped_twice_or_before_it_began() -> None:
    book = Book()
    with pytest.raises(RefusedError, match="nothing to retire"):
        retirement(book.rows, 1, MEI, PARTIES, reason=WHY)
    book.go(case(), "valid")
    with pytest.raises(RefusedError, match="nothing to suspend"):
        suspension(book.rows, 1, MEI, PARTIES, reason=WHY)
    with pytest.raises(RefusedError, match="eve does not hold any role"):
        retirement(book.rows, 1, EVE, PARTIES, reason=WHY)


# -- the chain ---------------------------------------------------------------------


def full() -> list[Decision]:
    book = Book()
    book.champion(case(1))
    book.champion(case(2))
    return book.rows


@pytest.mark.parametrize("field", list(asdict(full()[0])))
def test_every_field_is_under_the_hash(field: str) -> None:
    rows = full()
    for place in (0, 5, len(rows) - 1):
        held = getattr(rows[place], field)
        new = held + 1 if isinstance(held, int) else f"{held}x"
        changed = [
            *rows[:place],
            replace(rows[place], **{field: new}),
            *rows[place + 1 :],
        ]
        assert faults(changed), (place, field)


def test_a_row_taken_out_put_in_or_moved_is_seen() -> None:
    rows = full()
    for place in range(len(rows) - 1):
        assert faults(rows[:place] + rows[place + 1 :])
        assert faults([*rows[: place + 1], rows[place], *rows[place + 1 :]])
        swapped = [*rows]
        swapped[place : place + 2] = rows[place + 1], rows[place]
        assert faults(swapped)


def test_a_row_with_a_new_hash_has_no_follower() -> None:
    rows = full()
    for place in range(len(rows) - 1):
        row = replace(rows[place], reason="another reason")
        row = replace(row, hash=row.computed())
        changed = [*rows[:place], row, *rows[place + 1 :]]
        assert faults(changed) == [f"row {place + 2} does not follow the row before it"]


def by_hand(rows: list[Decision], *steps: tuple[int, str, str, str]) -> list[str]:
    """Return the faults of rows that somebody added with the right hashes."""
    made = list(rows)
    for version, stage_from, stage_to, kind in steps:
        act = replace(
            rows[0], version=version, stage_from=stage_from, stage_to=stage_to,
            kind=kind,
        )  # fmt: skip
        made += chained([act], "diary", made, rows[-1].time)
    return faults(made)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([(3, "idea", "production", "promote")], "no promote goes from idea"),
        ([(2, "shadow", "production", "promote")], "was not at the stage shadow"),
        ([(1, "suspended", "production", "rollback")], "version 2 was in production"),
        ([(2, "production", "suspended", "promote")], "none took its place"),
        (
            [(2, "production", "retired", "retire"),
             (3, "idea", "valid", "promote"),
             (3, "valid", "shadow", "promote")],
            "the step to shadow has not the signatures of 1",
        ),
        (
            [(2, "production", "suspended", "suspend"),
             (2, "suspended", "production", "rollback")],
            "version 2 had not made way",
        ),
        ([(3, "idea", "valid", "sign")], "nobody signs idea to valid"),
        ([(2, "production", "shadow", "suspend")], "no suspend goes from production"),
        ([(2, "production", "shadow", "other")], "no other goes from production"),
    ],
)  # fmt: skip
def test_rows_made_by_hand_take_no_step_that_nobody_may_take(
    steps: list[tuple[int, str, str, str]], said: str
) -> None:
    assert said in by_hand(full(), *steps)[0]


def forged(rows: list[Decision], drop: int) -> list[Decision]:
    """Return a log without one row, all hashes made anew."""
    made: list[Decision] = []
    for row in rows[:drop] + rows[drop + 1 :]:
        made += chained([row], row.pilot, made, row.time)
    return made


def test_a_chain_made_anew_without_a_signature_is_seen() -> None:
    rows = full()
    for place, row in enumerate(rows):
        if row.kind == "sign":
            assert "has not the signatures" in faults(forged(rows, place))[0]


def test_identity_is_not_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = operating_system_user()
    for variable in ("USER", "LOGNAME", "USERNAME", "LNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert operating_system_user() == before
    assert before.name not in ("", "somebody-else")


@pytest.mark.skipif(os.name != "posix", reason="users have numbers on POSIX only")
def test_identity_follows_the_number_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pwd

    other = next(u for u in pwd.getpwall() if u.pw_uid != os.getuid())
    monkeypatch.setattr(os, "getuid", lambda: other.pw_uid)
    assert operating_system_user().name == other.pw_name
    monkeypatch.setattr(os, "getuid", lambda: 987_654_321)
    assert operating_system_user() == Identity("uid-987654321")

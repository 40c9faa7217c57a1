"""A rehearsal of the fallback: each cause is brought about, and the baseline produces.

Nothing is published: the releases of a drill lie in a folder of their own that is
removed after it was looked at.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mlstats import production
from mlstats.contract import ContractResult, check
from mlstats.errors import ConfigError, MlstatsError, UsageError
from mlstats.imputation_parts import ReadyArm
from mlstats.model_store import PackedModel, StoredModel
from mlstats.partitions import Partition
from mlstats.period_parts import PartReader
from mlstats.period_source import without_target
from mlstats.produced import Arm, PeriodData, Theme
from mlstats.production import Answered, Plan, Taken
from mlstats.production_log import Attempt, ProductionLog
from mlstats.release_tables import table_or_parts
from mlstats.releases import ReleaseStore
from mlstats.settings import Settings

__all__ = ["Rehearsed", "drill"]

_BUDGET: Final = 5.0  # seconds that a champion has which never answers


@dataclass(frozen=True)
class Rehearsed:
    """What came of one cause.

    Parameters
    ----------
    cause : str
        One of :data:`mlstats.produced.CAUSES`.
    passed : bool
        Whether the baseline produced the period, flagged with that cause.
    said : str
        What was seen, without the content of a record.
    seconds : float
        From the fault to the release.
    """

    cause: str
    passed: bool
    said: str
    seconds: float


def drill(
    name: str, settings: Settings, *, period: str | None = None
) -> Iterator[Rehearsed]:
    """Rehearse every cause of the fallback on one period; the log keeps what was seen.

    Parameters
    ----------
    period : str, optional
        By default the last one that was released.

    Yields
    ------
    Rehearsed
        For contract, model, crash, time and, of a coding pilot, performance.

    Raises
    ------
    UsageError
        Where no period was released and none is named.
    ConfigError
        Where no version is in production or in the shadow.
    """
    plan = _plan(name, settings, period)
    log = ProductionLog(settings.database)
    for cause, bring in _CAUSES.items():
        if cause == "performance" and plan.pilot.theme != "coding":
            continue  # a loss is measured for codes alone
        started = _now()
        found = _rehearsed(plan, cause, bring)
        log.add(
            Attempt(
                plan.pilot.pilot,
                str(plan.period),
                "drill",
                "",
                started,
                _now(),
                "rehearsed" if found.passed else "failed",
                causes=cause,
            )
        )
        yield found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _plan(name: str, settings: Settings, period: str | None) -> Plan:
    if period is None:
        known = ReleaseStore(settings.releases).periods(Path(name).stem)
        if not known:
            raise UsageError(
                f"No period of {name} was released yet",
                where="--period",
                hint=f"mlstats produce {name} --period ..., or name a period",
            )
        period = known[-1]
    plan = production.prepare(name, period, settings)
    champion = plan.arms.champion or plan.arms.shadow
    if champion is None:
        raise ConfigError(
            f"{plan.pilot.pilot} has no version in production or in the shadow",
            hint="the baseline produces alone: there is nothing to fall back from",
        )
    arms = replace(
        plan.arms, champion=replace(champion, role="champion"), shadow=None, reason=None
    )
    return replace(plan, arms=arms)


def _rehearsed(
    plan: Plan, cause: str, bring: Callable[[Plan], tuple[Plan, Taken | None]]
) -> Rehearsed:
    """Bring one cause about in a store of its own, and look at the release."""
    place = plan.settings.confidential / "drills"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="drill-", dir=place))
    begun = time.monotonic()
    try:
        own = replace(plan, releases=ReleaseStore(folder))
        said, passed = _produced(own, cause, bring)
    except MlstatsError as error:
        said, passed = f"nothing was released: {error.title}", False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Rehearsed(cause, passed, said, time.monotonic() - begun)


def _produced(
    plan: Plan, cause: str, bring: Callable[[Plan], tuple[Plan, Taken | None]]
) -> tuple[str, bool]:
    plan, taken = bring(plan)
    taken = taken or production.read(plan)
    answers = {role: production.answer(plan, taken, role) for role in _ROLES}
    answers["shadow"] = Answered(None)
    composed, reasons = production.compose(plan, taken, answers)
    made = production.publish(plan, taken, composed, reasons)
    assert made.release is not None
    release = plan.releases.current(plan.pilot.pilot, str(plan.period))
    if release is None or plan.releases.verify(release):
        return "the release is not whole", False
    causes = [one["cause"] for one in release.facts["fallback"]]
    place = release.folder / "confidential" / "units.parquet"
    units = table_or_parts(place, ["method"])
    assert units is not None
    by = set(units["method"].astype(str)) - _NOT_BY_AN_ARM
    by -= {plan.arms.baseline.method}
    if causes != [cause] or by:
        told = f"flagged {', '.join(causes) or 'with nothing'}"
        return f"{told}; values of {', '.join(sorted(by)) or 'the baseline'}", False
    return f"{len(units):,} units by {plan.arms.baseline.label}", True


_ROLES: Final = ("champion", "baseline")
_NOT_BY_AN_ARM: Final = frozenset({"clerk", "reported"})


# -- causes ------------------------------------------------------------------------


def _break_contract(plan: Plan) -> tuple[Plan, Taken | None]:
    """Repeat the id of a unit, and hold the data to the contract again."""
    load = plan.theme.load

    def broken(*given: Any) -> tuple[PeriodData, ContractResult]:
        data, _ = load(*given)
        frame, column = data.frame.copy(), plan.pilot.data.roles.unit_id
        if len(frame) < 2:
            raise ConfigError("A drill needs a period of two units or more")
        told = without_target(plan.pilot).data
        twice = frame.assign(**{column: frame[column].shift(1).bfill()})
        return replace(data, frame=twice), check(twice, told, truth=None)

    theme = replace(plan.theme, load=broken)
    if theme.in_parts is not None:
        opened = partial(_opened_twice, theme.in_parts.open)
        theme = replace(theme, in_parts=replace(theme.in_parts, open=opened))
    return replace(plan, theme=theme), None


def _opened_twice(opened: Callable[..., Any], *given: Any) -> Any:
    """Open a period in parts whose first two units of a part have the same id."""
    parts = opened(*given)
    if parts is None:
        return None
    reader = parts.reader
    given = reader.pilot, reader.period, reader.columns, reader.codes
    twice = ReaderOfTwice(*given)
    return replace(parts, reader=twice)


class ReaderOfTwice(PartReader):
    """Reads the id of the first unit for the second one too."""

    def __call__(self, part: Partition) -> pd.DataFrame:
        """Return the part with an id that stands twice."""
        frame, column = super().__call__(part), self.pilot.data.roles.unit_id
        again = frame[column].shift(1).bfill()
        return frame.assign(**{column: again})


def _lose_model(plan: Plan) -> tuple[Plan, Taken | None]:
    """Name a model that the store does not hold."""
    return _with_champion(plan, digest="0" * 64), None


def _crash(plan: Plan) -> tuple[Plan, Taken | None]:
    """Let the champion end its process."""
    theme = replace(plan.theme, answer=partial(answer_or_end, plan.theme.answer))
    return replace(plan, theme=_with_model(theme, DeadModel, DeadArm)), None


def _hang(plan: Plan) -> tuple[Plan, Taken | None]:
    """Let the champion never answer, and give it little time."""
    told = plan.pilot.production.model_copy(update={"time_budget": _BUDGET})
    pilot = plan.pilot.model_copy(update={"production": told})
    theme = replace(plan.theme, answer=partial(answer_or_wait, plan.theme.answer))
    return replace(
        plan, pilot=pilot, theme=_with_model(theme, SilentModel, SilentArm)
    ), None


def _with_model(theme: Theme, kind: type[PackedModel], arm: type[ReadyArm]) -> Theme:
    """Let a period in parts ask a champion of another kind."""
    if theme.in_parts is None:
        return theme
    ready = partial(_ready, theme.in_parts.ready, kind, arm)
    return replace(theme, in_parts=replace(theme.in_parts, ready=ready))


def _ready(
    ready: Callable[..., Any],
    kind: type[PackedModel],
    arm: type[ReadyArm],
    one: Arm,
    confidential: Path,
) -> Any:
    found = ready(one, confidential)
    if one.role == "champion" and isinstance(found, ReadyArm):
        return arm(found.arm, found.confidential)
    if one.role != "champion" or not isinstance(found, PackedModel):
        return found
    return kind(found.digest, found.files)


class DeadModel(PackedModel):
    """Ends the process that asks it, as a crash would."""

    def unpacked(self) -> StoredModel:
        """Return nothing, ever."""
        os._exit(139)


class DeadArm(ReadyArm):
    """Ends the process that asks it, as a crash would."""

    def begin(self) -> None:
        """Begin nothing, ever."""
        os._exit(139)


class SilentArm(ReadyArm):
    """Never answers."""

    def begin(self) -> None:
        """Begin nothing, ever."""
        while True:
            time.sleep(1.0)


class SilentModel(PackedModel):
    """Never answers."""

    def unpacked(self) -> StoredModel:
        """Return nothing, ever."""
        while True:
            time.sleep(1.0)


def _lose_accuracy(plan: Plan) -> tuple[Plan, Taken | None]:
    """Hold an audit in which every code of the champion is wrong to its target."""
    taken = production.read(replace(plan, earlier={}))
    answers = {role: production.answer(plan, taken, role) for role in _ROLES}
    composed, _ = production.compose(plan, taken, answers | {"shadow": Answered(None)})
    audit = composed.confidential.get("audit")
    if not isinstance(audit, pd.DataFrame) or audit.empty:
        raise ConfigError("The pilot draws no audit, so that no loss can be measured")
    champion = plan.arms.champion
    wrong = audit.assign(truth=audit["value"].astype(object).map(_other(audit)))
    found = plan.theme.lost(
        plan.pilot, plan.settings, champion, str(plan.period), wrong
    )
    reasons = () if found is None else (found,)
    return plan, replace(taken, reasons=reasons)


def _other(audit: pd.DataFrame) -> dict[Any, Any]:
    """Return another code of the audit for each of its codes."""
    codes = [code for code in audit["value"].astype(object).unique() if pd.notna(code)]
    return dict(zip(codes, [*codes[1:], *codes[:1]], strict=True))


def _with_champion(plan: Plan, **changed: Any) -> Plan:
    champion = plan.arms.champion
    assert champion is not None
    arms = replace(plan.arms, champion=replace(champion, **changed))
    return replace(plan, arms=arms)


def answer_or_end(
    answer: Callable[..., Any], one: Arm, asked: Any, confidential: Path
) -> Any:
    """Answer as the baseline; as the champion end the process, as a crash would."""
    if one.role == "champion":
        os._exit(139)
    return answer(one, asked, confidential)


def answer_or_wait(
    answer: Callable[..., Any], one: Arm, asked: Any, confidential: Path
) -> Any:
    """Answer as the baseline; as the champion never do."""
    while one.role == "champion":
        time.sleep(1.0)
    return answer(one, asked, confidential)


_CAUSES: Final[dict[str, Callable[[Plan], tuple[Plan, Taken | None]]]] = {
    "contract": _break_contract,
    "model": _lose_model,
    "crash": _crash,
    "time": _hang,
    "performance": _lose_accuracy,
}

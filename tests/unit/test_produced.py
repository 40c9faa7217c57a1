"""What is said of a produced period: time limits, and themes that leave things out."""

from __future__ import annotations

from typing import Any

import pytest

from mlstats.produced import Theme, seconds_of, too_long


def nothing(*_: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("role", "seconds"), [("champion", 2), ("shadow", 2), ("baseline", 200)]
)
def test_who_is_too_slow_is_told_with_the_time_it_had(role: str, seconds: int) -> None:
    assert seconds_of(role, 2) == seconds
    reason = too_long(role, seconds_of(role, 2))
    assert (reason.cause, reason.said) == (
        "time",
        f"{role} took longer than {seconds} seconds",
    )


def test_a_theme_without_losses_and_files_has_none() -> None:
    theme = Theme(nothing, nothing, nothing, nothing, nothing)
    assert theme.lost("pilot", "settings", "champion", "2026", "audit") is None
    assert theme.files("pilot") == []
    assert theme.in_parts is None

"""Where a change between two periods is one of the methods, and not of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlstats.produced import Reason
from mlstats.production_arms import Arms
from mlstats.releases import Release

__all__ = ["produced_by", "switches"]


def switches(
    earlier: Mapping[str, Release], reasons: Sequence[Reason], arms: Arms
) -> list[str]:
    """Tell with which earlier releases this one does not share its method.

    Parameters
    ----------
    earlier : mapping of str to Release
        The last release, and that of the same period last year.
    reasons : sequence of Reason
        Why the baseline produces this period, or classes of it.
    arms : Arms
        Who answers.
    """
    methods = {one.role: one.label for one in (arms.champion, arms.baseline) if one}
    now = produced_by(methods, [(one.cause, one.classes) for one in reasons])
    told = []
    for release in {one.key.period: one for one in earlier.values()}.values():
        facts = release.facts
        causes = [(one["cause"], one["classes"]) for one in facts.get("fallback", [])]
        then = produced_by(facts.get("methods", {}), causes)
        if then and then != now:
            told.append(
                f"{release.key.period} was produced by {then}, this period by {now}: a "
                "change since then holds the difference of the methods"
            )
    return told


def produced_by(methods: Mapping[str, Any], causes: Sequence[tuple[str, Any]]) -> str:
    """Return by whom a period was produced, in words.

    Parameters
    ----------
    methods : mapping
        Role -> version, of the release's facts.
    causes : sequence of (str, classes)
        Why the baseline stood in, and for which classes; none: for all.
    """
    if any(not classes for _, classes in causes):
        return str(methods.get("baseline", ""))
    by = str(methods.get("champion") or methods.get("baseline", ""))
    classes = sorted({str(name) for _, names in causes for name in names})
    return f"{by} (without {', '.join(classes)})" if classes else by

"""The methods of an imagery pilot, by its task: read, look ahead, run."""

from __future__ import annotations

from pathlib import Path

from mlstats import contract
from mlstats.config import Pilot
from mlstats.errors import ConfigError, nearest
from mlstats.imagery_task import ArmRun, ImageryData
from mlstats.imagery_units import cluster_column
from mlstats.period_source import at_period, last_period, says_period
from mlstats.quality.gate import check_measures
from mlstats.scene_data import load_scene
from mlstats.scene_methods import build_classifier, map_classifier, run_classifier
from mlstats.segment_frames import load_segments
from mlstats.segment_methods import build_estimator, run_estimator
from mlstats.settings import Settings
from mlstats.zone_data import build_spreader, load_zones, run_spreader

__all__ = ["estimate", "load", "ready", "run_method"]

_LOAD = {"segments": load_segments, "scene": load_scene, "zones": load_zones}
_BUILD = {
    "segments": build_estimator,
    "scene": build_classifier,
    "zones": build_spreader,
}
_RUN = {"segments": run_estimator, "zones": run_spreader}


def load(
    pilot: Pilot,
    settings: Settings,
    *,
    sample: int | None = None,
    period: str | None = None,
) -> tuple[ImageryData, contract.ContractResult]:
    """Read what the pilot's task needs and check the contract.

    Parameters
    ----------
    pilot, settings
        As in :func:`mlstats.dataset.load`.
    sample : int, optional
        Units to draw.
    period : str, optional
        Take the units of this period.

    Returns
    -------
    data : ImageryData
        Units, and what the task made of the other sources.
    result : ContractResult
        All failures of the contract, to be raised or shown by the caller.

    Notes
    -----
    ``{period}`` in a path or date of the pilot stands for `period`, and without one for
    the last of ``data.periods``.
    """
    if says_period(pilot):
        pilot, period = at_period(pilot, period or last_period(pilot)), None
    return _LOAD[pilot.task](pilot, settings, sample=sample, period=period)


def ready(pilot: Pilot, data: ImageryData) -> list[str]:
    """See that everything the pilot names exists, before anything is estimated.

    Returns
    -------
    list of str
        The variables, or the column of the classes.

    Raises
    ------
    ConfigError
        Where a measure, a class or a parameter does not exist.
    """
    check_measures(pilot.gates)
    for rule in pilot.gates:
        _known_level(pilot, rule.level)
    for name in pilot.methods:
        _BUILD[pilot.task](pilot, name)
    column = cluster_column(pilot)
    if column is not None and column not in data.frame:
        raise ConfigError(
            f"There is no column {column!r} in the data",
            where="data",
            nearest=nearest(column, map(str, data.frame.columns)),
        )
    return list(pilot.data.roles.variables) or [str(pilot.data.roles.target)]


def _known_level(pilot: Pilot, level: str | None) -> None:
    """Refuse a gate on what no row of the scorecard is about."""
    survey = pilot.data.scene.survey if pilot.data.scene else None
    known = [
        pilot.level,
        *pilot.data.roles.variables,
        *(survey.surveyed if survey else ()),
    ]
    if level is not None and level not in known:
        raise ConfigError(
            f"A gate is on {level!r}, which nothing is measured of",
            where="gates",
            expected=", ".join(dict.fromkeys(known)),
            nearest=nearest(level, known),
        )


def estimate(pilot: Pilot, name: str, data: ImageryData, folder: Path) -> ArmRun:
    """Let one method answer for a period, without judging it.

    Parameters
    ----------
    folder : pathlib.Path
        Where a scene's map goes.

    Raises
    ------
    MethodError
        Where the method fails.
    """
    if pilot.task == "scene":
        return map_classifier(pilot, name, data, folder)
    return _RUN[pilot.task](pilot, name, data)


def run_method(
    pilot: Pilot, name: str, data: ImageryData, folder: Path | None = None
) -> ArmRun:
    """Run one method on the units that all methods have.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where a scene's maps go; without it none is made.

    Raises
    ------
    MethodError
        Where the method fails; its message does not repeat what the method said.
    """
    if pilot.task == "scene":
        return run_classifier(pilot, name, data, folder)
    return _RUN[pilot.task](pilot, name, data)

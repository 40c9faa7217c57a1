"""What each arm costs, as people write it down: a versioned sheet in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from mlstats.errors import ConfigError, nearest
from mlstats.quality.sheet_file import Sheet, read_sheet_file

__all__ = [
    "Arm",
    "Clerical",
    "CostSheet",
    "Energy",
    "Fixed",
    "Running",
    "read_cost_sheet",
]


class Fixed(Sheet):
    """Money spent once, in the sheet's currency."""

    development: float = Field(0.0, ge=0)
    labelling: float = Field(0.0, ge=0)
    infrastructure: float = Field(0.0, ge=0)
    training_of_staff: float = Field(0.0, ge=0)


class Running(Sheet):
    """Money spent each period, besides the clerks' time."""

    compute: float = Field(0.0, ge=0)
    storage: float = Field(0.0, ge=0)
    licences: float = Field(0.0, ge=0)
    retraining: float = Field(0.0, ge=0)
    monitoring: float = Field(0.0, ge=0)


class Clerical(Sheet):
    """The clerks' time.

    Parameters
    ----------
    automatic_share : float
        Share of the units that no clerk sees, planned or as the scorecard measured it.
    automatic_share_is : {"planned", "measured"}
        Which of the two.
    referral_minutes_per_unit : float
        On top of coding it, for a unit that the method hands to a clerk.
    quality_control_share : float
        Share of all units that clerks check, automatic or not.
    quality_control_minutes_per_unit : float
        To check one of them.
    """

    automatic_share: float = Field(ge=0, le=1)
    automatic_share_is: Literal["planned", "measured"] = "planned"
    referral_minutes_per_unit: float = Field(0.0, ge=0)
    quality_control_share: float = Field(0.0, ge=0, le=1)
    quality_control_minutes_per_unit: float = Field(0.0, ge=0)


class Energy(Sheet):
    """Energy of one period: power x time, x the grid's factor for carbon.

    Parameters
    ----------
    source : {"measured", "estimated"}
        Whether the power was metered or taken from a data sheet.
    watts, hours_per_period : float
        Mean power and the time it is drawn.
    kg_co2e_per_kwh : float
        Of the grid.
    """

    source: Literal["measured", "estimated"]
    watts: float = Field(ge=0)
    hours_per_period: float = Field(ge=0)
    kg_co2e_per_kwh: float = Field(ge=0)


class Arm(Sheet):
    """The cost of one method."""

    fixed: Fixed = Fixed()
    running: Running = Running()
    clerical: Clerical
    energy: Energy | None = None


class CostSheet(Sheet):
    """The cost of all arms of a pilot.

    Parameters
    ----------
    version : int
        Raised with every change of a figure.
    currency : str
        Of all money, for example EUR.
    price_year : int
        The year whose prices they are.
    source : str
        Where the figures come from; a sheet of invented ones has to say so.
    hourly_rate : float
        Of a clerk, all costs included.
    minutes_per_unit : float
        A clerk's, to code one unit without a method.
    units_per_period : float
        Units to code.
    periods : float
        Planned life of the candidate.
    arms : dict
        Method -> its cost.
    """

    version: int = Field(ge=1)
    currency: str = Field(min_length=3, max_length=3)
    price_year: int
    source: str = Field(min_length=10)
    hourly_rate: float = Field(gt=0)
    minutes_per_unit: float = Field(gt=0)
    units_per_period: float = Field(gt=0)
    periods: float = Field(gt=0)
    arms: dict[str, Arm] = Field(min_length=1)

    def arm(self, name: str) -> Arm:
        """Return the cost of a method.

        Raises
        ------
        ConfigError
            Where the sheet does not have it.
        """
        if name not in self.arms:
            raise ConfigError(
                f"The cost sheet has no arm {name!r}",
                expected=", ".join(self.arms),
                nearest=nearest(name, self.arms),
            )
        return self.arms[name]

    def with_automatic_share(self, name: str, measured: float) -> CostSheet:
        """Return the sheet with the automatic share of an arm as it was measured."""
        arm = self.arm(name)
        found = {"automatic_share": measured, "automatic_share_is": "measured"}
        clerical = Clerical.model_validate(arm.clerical.model_dump() | found)
        changed = arm.model_copy(update={"clerical": clerical})
        tree = self.model_dump() | {
            "arms": {
                n: (changed if n == name else a).model_dump()
                for n, a in self.arms.items()
            }
        }
        return CostSheet.model_validate(tree)


def read_cost_sheet(path: Path) -> CostSheet:
    """Read a cost sheet.

    Raises
    ------
    ConfigError
        With file:line and key.
    """
    return read_sheet_file(path, CostSheet)

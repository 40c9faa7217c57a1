"""What a pilot of satellite imagery says beside what every pilot says.

A pilot has one of three tasks: `segments` (areas from an area-frame survey, with a map
beside it), `scene` (land cover from labelled units and images) and `zones` (totals of
large zones spread over small ones).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["Map", "Scene", "SceneImage", "Segments", "ZoneRaster", "Zones"]


def _unquoted(value: object) -> object:
    # A date is read by YAML as one, a class "1" as a number.
    return value if isinstance(value, str) or value is None else str(value)


_Text = Annotated[str, BeforeValidator(_unquoted)]
Codes = tuple[int, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Map(_Strict):
    """A raster of classes: class -> its codes; codes of none are unknown."""

    file: str
    classes: dict[_Text, Codes] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_class_for_a_code(self) -> Self:
        codes = [code for of_class in self.classes.values() for code in of_class]
        twice = sorted({code for code in codes if codes.count(code) > 1})
        if twice:
            raise ValueError(f"the code {twice[0]} stands with more than one class")
        return self


class Segments(_Strict):
    """The frame of an area survey.

    Either `frame` tells the number of segments and the means of what was classified,
    by stratum or domain, for the surveyed segments of the pilot's source; or `map` and
    `reference` cover the territory, and segments are drawn from them. Direct figures
    of areas with few segments are kept back unless the survey is `public`.
    """

    frame: str | None = None
    by: str | None = None
    segments: str = "segments"
    means: dict[str, str] = Field(default_factory=dict)
    classified: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    hectares_per_unit: float | None = Field(None, gt=0)
    map: Map | None = None
    reference: Map | None = None
    size: int = Field(20, ge=1)
    draw: int = Field(30, ge=2)
    pixels: int = Field(0, ge=0)
    public: bool = False
    simulate: int = Field(1000, ge=100, le=20_000)

    @model_validator(mode="after")
    def _one_frame(self) -> Self:
        if (self.frame is None) == (self.map is None):
            raise ValueError("segments need one of frame (a table) and map (a raster)")
        if (self.map is None) != (self.reference is None):
            raise ValueError("segments.map and segments.reference go together")
        if self.frame is not None and not self.classified:
            raise ValueError(
                "segments.classified names, for each variable, its classified columns"
            )
        return self


class CloudMask(_Strict):
    """Which pixels of an image are clear: codes of a band, or of another file."""

    band: str | int = 1
    file: str | None = None
    clear: Codes = (0,)


class SceneImage(_Strict):
    """A file of one date, or of several bands that are dates."""

    file: str
    date: _Text | None = None
    bands: dict[str, str | int] | tuple[str | int, ...] = ()
    scale: float = Field(1.0, gt=0)
    cloud: CloudMask | None = None


class Texture(_Strict):
    """Statistics of a band in a moving window."""

    band: str
    window: int = Field(5, ge=3)
    statistics: tuple[Literal["mean", "std", "range"], ...] = ("std",)


class Features(_Strict):
    """What is made of the images for the classifiers."""

    bands: tuple[str, ...] | Literal["all"] = "all"
    indices: tuple[str, ...] = ()
    dates: bool = True
    temporal: tuple[str, ...] = ()
    interpolate: bool = True
    min_valid: int = Field(1, ge=1)
    texture: tuple[Texture, ...] = ()


class TargetGrid(_Strict):
    """The grid that images of several grids are brought to."""

    crs: _Text
    resolution: float = Field(gt=0)


class Points(_Strict):
    """Columns of the source that tell where a labelled unit lies, and their CRS."""

    x: str
    y: str
    crs: _Text


class FrameSurvey(_Strict):
    """Surveyed segments of the scene, squares of pixels by their upper left one.

    `file` holds the surveyed ones with their hectares by class, `frame` all of them.
    """

    file: str
    id: str = "segment"
    row: str = "row"
    column: str = "col"
    size: int = Field(20, ge=1)
    stratum: str | None = None
    frame: str
    surveyed: dict[_Text, str] = Field(min_length=1)


class Scene(_Strict):
    """Labelled units and the images that are classified with them.

    Folds leave out squares of land of side `block`, in the unit of the images' CRS, or
    of the points' where a table brings the features in `columns`; judged are the
    units of their cores, `gap` away from those of other squares.
    """

    images: tuple[SceneImage, ...] = Field(min_length=1)
    target: tuple[SceneImage, ...] = ()
    features: Features = Features()
    grid: TargetGrid | None = None
    points: Points | None = None
    columns: tuple[str, ...] = ()
    per_polygon: int = Field(200, ge=1)
    block: float | None = Field(None, gt=0)
    gap: float = Field(0.0, ge=0)
    folds: int = Field(5, ge=2, le=20)
    probabilities: bool = False
    previous: Map | None = None
    survey: FrameSurvey | None = None
    known: str | None = None

    @model_validator(mode="after")
    def _where_units_lie(self) -> Self:
        if self.gap and (self.block is None or self.gap >= self.block):
            raise ValueError("scene.gap must be less than scene.block")
        if self.columns and self.points is None:
            raise ValueError("scene.columns need scene.points, for blocks of units")
        return self


class ZoneRaster(_Strict):
    """A raster summed in each small zone; with `above`, its cells above a value."""

    file: str
    above: float | None = None


class Zones(_Strict):
    """Small zones in large ones, whose totals are taken as all that is known."""

    within: str
    layer: str | None = None
    rasters: dict[str, ZoneRaster] = Field(default_factory=dict)
    equal_area: _Text = "EPSG:6933"

"""Satellite images joined with survey, census and administrative data.

Images: a :class:`Stack` of :class:`Image` is read window by window on one
:class:`Grid`, and :func:`map_raster` makes a raster of it. A :class:`FeatureSet`
describes pixels, those of labelled points and polygons too: :func:`pixels_at_points`.
Estimators of areas: :class:`AreaSample` holds surveyed and classified segments,
:func:`choose_estimator` tells what their number allows and :func:`estimate_area`
estimates by it; :func:`compare_estimators` puts all beside each other, with the pixel
count. :func:`cross_fitted` and :func:`greg` take any model's predictions. Reference
pixels: :func:`map_accuracy`, :func:`accuracy_of_counts` and :func:`calibrated_areas`.
Before fieldwork: :func:`map_sample`, :func:`sample_size`, :func:`allocate`.
Small areas: :func:`fay_herriot`, :func:`battese_harter_fuller`, :func:`benchmarked`.
Totals spread over smaller zones: :func:`areal_weighting`, :func:`dasymetric` and
:func:`pycnophylactic`. Rasters summarised by zone: :func:`zonal_statistics`.
Pictures: :func:`class_map_svg`, :func:`zone_map_svg`. What is named here is imported
when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AreaEstimate": "estimator_choice",
    "AreaSample": "area_sample",
    "Assisted": "model_assisted",
    "Block": "windows",
    "BreakEven": "efficiency",
    "Choice": "estimator_choice",
    "CloudMask": "images",
    "CrossFitted": "model_assisted",
    "FeatureSet": "features",
    "Grid": "grid",
    "Image": "images",
    "LabelledPixels": "training_pixels",
    "MapAccuracy": "map_assessment",
    "Mapped": "raster_map",
    "Stack": "images",
    "Texture": "texture",
    "Window": "windows",
    "accuracy_of_counts": "map_assessment",
    "allocate": "sample_design",
    "areal_weighting": "disaggregation",
    "battese_harter_fuller": "unit_level",
    "benchmarked": "benchmarking",
    "bootstrap_mse": "benchmarking",
    "calibrated_areas": "calibrating",
    "choose_estimator": "estimator_choice",
    "class_map_png": "map_picture",
    "class_map_svg": "map_picture",
    "clear_share": "observations",
    "common_grid": "grid",
    "compare_estimators": "estimator_choice",
    "cost_break_even": "efficiency",
    "cross_fitted": "model_assisted",
    "dasymetric": "disaggregation",
    "disaggregation_errors": "census_check",
    "estimate_area": "estimator_choice",
    "expected_error": "sample_design",
    "fay_herriot": "area_level",
    "greg": "model_assisted",
    "horvitz_thompson": "segment_estimates",
    "learned_weights": "densities",
    "map_accuracy": "map_assessment",
    "map_raster": "raster_map",
    "map_sample": "sample_design",
    "pixel_count": "segment_estimates",
    "pixels_at_points": "training_pixels",
    "pixels_in_polygons": "training_pixels",
    "pycnophylactic": "disaggregation",
    "relative_efficiency": "efficiency",
    "sample_size": "sample_design",
    "segment_estimate": "segment_estimates",
    "smooth_variances": "area_level",
    "stack_from_items": "stac_items",
    "zonal_statistics": "zonal",
    "zone_map_svg": "zone_picture",
}

__all__ = [
    "AreaEstimate",
    "AreaSample",
    "Assisted",
    "Block",
    "BreakEven",
    "Choice",
    "CloudMask",
    "CrossFitted",
    "FeatureSet",
    "Grid",
    "Image",
    "LabelledPixels",
    "MapAccuracy",
    "Mapped",
    "Stack",
    "Texture",
    "Window",
    "accuracy_of_counts",
    "allocate",
    "areal_weighting",
    "battese_harter_fuller",
    "benchmarked",
    "bootstrap_mse",
    "calibrated_areas",
    "choose_estimator",
    "class_map_png",
    "class_map_svg",
    "clear_share",
    "common_grid",
    "compare_estimators",
    "cost_break_even",
    "cross_fitted",
    "dasymetric",
    "disaggregation_errors",
    "estimate_area",
    "expected_error",
    "fay_herriot",
    "greg",
    "horvitz_thompson",
    "learned_weights",
    "map_accuracy",
    "map_raster",
    "map_sample",
    "pixel_count",
    "pixels_at_points",
    "pixels_in_polygons",
    "pycnophylactic",
    "relative_efficiency",
    "sample_size",
    "segment_estimate",
    "smooth_variances",
    "stack_from_items",
    "zonal_statistics",
    "zone_map_svg",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mlstats.imagery.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mlstats.imagery' has no attribute {name!r}")

"""Satellite images joined with survey, census and administrative data.

Images: a :class:`Stack` of :class:`Image` is read window by window on one
:class:`Grid`, and :func:`map_raster` makes a raster of it; a :class:`FeatureSet`
describes pixels, those of labelled points and polygons too (:func:`pixels_at_points`).
:class:`Grid`, and :func:`map_raster` makes a raster of it. A :class:`FeatureSet`
describes pixels, those of labelled points and polygons too: :func:`pixels_at_points`.
Estimators of areas: :class:`AreaSample` holds surveyed and classified segments,
:func:`choose_estimator` tells what their number allows and :func:`estimate_area`
estimates by it; :func:`compare_estimators` puts all beside each other, with the pixel
count. :func:`cross_fitted` and :func:`greg` take any model's predictions. Reference
pixels: :func:`map_accuracy`, :func:`accuracy_of_counts` and :func:`calibrated_areas`.
Before fieldwork: :func:`map_sample`, :func:`sample_size`, :func:`allocate`.
Small areas: :func:`fay_herriot`, :func:`battese_harter_fuller`, :func:`benchmarked`.
Pixels: :class:`PixelClassifier` makes any fitted classifier fast, and
:func:`classify_raster` writes the map.
Totals spread over smaller zones: :func:`areal_weighting`, :func:`dasymetric` and
:func:`pycnophylactic`. Rasters summarised by zone: :func:`zonal_statistics`.
Classification: :class:`MaximumLikelihood`; :func:`validate_classifiers` with
:func:`spatial_blocks` and :func:`seasons`, and its :func:`validation_table`;
:class:`Applicability`, :func:`outside_share` and :func:`date_drift`. What is named
here is imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Applicability": "applicability",
    "AreaEstimate": "estimator_choice",
    "AreaSample": "area_sample",
    "ArealWeighting": "spread_arms",
    "Assisted": "model_assisted",
    "Block": "windows",
    "BreakEven": "efficiency",
    "Choice": "estimator_choice",
    "CloudMask": "images",
    "CrossFitted": "model_assisted",
    "Dasymetric": "spread_arms",
    "FeatureSet": "features",
    "Grid": "grid",
    "Image": "images",
    "LabelledPixels": "training_pixels",
    "LearnedDensity": "spread_arms",
    "MapAccuracy": "map_assessment",
    "Mapped": "raster_map",
    "MaximumLikelihood": "maximum_likelihood",
    "PixelClassifier": "pixel_classifier",
    "PixelCount": "segment_arms",
    "PreviousMap": "previous_map",
    "SegmentEstimator": "segment_arms",
    "SmallAreas": "segment_arms",
    "Stack": "images",
    "Texture": "texture",
    "Variogram": "blocks_and_seasons",
    "Window": "windows",
    "accuracy_of_counts": "map_assessment",
    "allocate": "sample_design",
    "areal_weighting": "disaggregation",
    "battese_harter_fuller": "unit_level",
    "benchmarked": "benchmarking",
    "block_cores": "blocks_and_seasons",
    "block_range": "blocks_and_seasons",
    "bootstrap_mse": "benchmarking",
    "calibrated_areas": "calibrating",
    "choose_estimator": "estimator_choice",
    "classify_raster": "class_raster",
    "clear_share": "observations",
    "common_grid": "grid",
    "compare_estimators": "estimator_choice",
    "cost_break_even": "efficiency",
    "cross_fitted": "model_assisted",
    "dasymetric": "disaggregation",
    "date_drift": "drift_between_dates",
    "disaggregation_errors": "census_check",
    "estimate_area": "estimator_choice",
    "expected_error": "sample_design",
    "fay_herriot": "area_level",
    "greg": "model_assisted",
    "horvitz_thompson": "segment_estimates",
    "learned_weights": "densities",
    "least_confidence": "uncertainty",
    "map_accuracy": "map_assessment",
    "map_raster": "raster_map",
    "map_sample": "sample_design",
    "margin_uncertainty": "uncertainty",
    "normalised_entropy": "uncertainty",
    "outside_share": "applicability",
    "permutation_weights": "applicability",
    "pixel_count": "segment_estimates",
    "pixels_at_points": "training_pixels",
    "pixels_in_polygons": "training_pixels",
    "pycnophylactic": "disaggregation",
    "relative_efficiency": "efficiency",
    "sample_size": "sample_design",
    "seasons": "blocks_and_seasons",
    "segment_estimate": "segment_estimates",
    "smooth_variances": "area_level",
    "spatial_blocks": "blocks_and_seasons",
    "stability_index": "drift_between_dates",
    "stack_from_items": "stac_items",
    "unlearnt_classes": "validation_report",
    "validate_classifiers": "validation",
    "validation_sentence": "validation_report",
    "validation_table": "validation_report",
    "zonal_statistics": "zonal",
}

__all__ = [
    "Applicability",
    "AreaEstimate",
    "AreaSample",
    "ArealWeighting",
    "Assisted",
    "Block",
    "BreakEven",
    "Choice",
    "CloudMask",
    "CrossFitted",
    "Dasymetric",
    "FeatureSet",
    "Grid",
    "Image",
    "LabelledPixels",
    "LearnedDensity",
    "MapAccuracy",
    "Mapped",
    "MaximumLikelihood",
    "PixelClassifier",
    "PixelCount",
    "PreviousMap",
    "SegmentEstimator",
    "SmallAreas",
    "Stack",
    "Texture",
    "Variogram",
    "Window",
    "accuracy_of_counts",
    "allocate",
    "areal_weighting",
    "battese_harter_fuller",
    "benchmarked",
    "block_cores",
    "block_range",
    "bootstrap_mse",
    "calibrated_areas",
    "choose_estimator",
    "classify_raster",
    "clear_share",
    "common_grid",
    "compare_estimators",
    "cost_break_even",
    "cross_fitted",
    "dasymetric",
    "date_drift",
    "disaggregation_errors",
    "estimate_area",
    "expected_error",
    "fay_herriot",
    "greg",
    "horvitz_thompson",
    "learned_weights",
    "least_confidence",
    "map_accuracy",
    "map_raster",
    "map_sample",
    "margin_uncertainty",
    "normalised_entropy",
    "outside_share",
    "permutation_weights",
    "pixel_count",
    "pixels_at_points",
    "pixels_in_polygons",
    "pycnophylactic",
    "relative_efficiency",
    "sample_size",
    "seasons",
    "segment_estimate",
    "smooth_variances",
    "spatial_blocks",
    "stability_index",
    "stack_from_items",
    "unlearnt_classes",
    "validate_classifiers",
    "validation_sentence",
    "validation_table",
    "zonal_statistics",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mlstats.imagery.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mlstats.imagery' has no attribute {name!r}")

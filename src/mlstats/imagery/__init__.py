"""Satellite images joined with survey, census and administrative data.

Here will live: rasters, features, classify, zonal, area, small_area, disaggregate and
metrics.
"""

"""Satellite images joined with survey, census and administrative data: rasters, features, classify, zonal, area, small_area, disaggregate, metrics.

Nothing lives here yet.
"""

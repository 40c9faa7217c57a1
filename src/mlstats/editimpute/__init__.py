"""Edit and imputation: edits (review), localise (selection), donors, estimators, models, adjust (treatment), selective, metrics.

Nothing lives here yet.
"""

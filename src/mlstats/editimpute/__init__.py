"""Edit and imputation: review, selection and treatment of survey and register data.

Here will live: edits (review), localise (selection), donors, estimators, models,
adjust (treatment), selective and metrics.
"""

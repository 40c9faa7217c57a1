"""Prefect flows and nothing else: thin graphs over plain functions of mlstats."""

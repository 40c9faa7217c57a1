"""The office of the production example with its data in one file or in parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from mlstats.settings import Settings, load_settings
from tests.production_example import PERIODS, Office, appoint

CODES = ["line_id", "household_id", "description", "period", "stratum", "shop_type"]


def frames(project: Path) -> dict[str, pd.DataFrame]:
    """Return the data of each period, in the order of the households."""
    found = {}
    for period in PERIODS:
        frame = pd.read_csv(
            project / f"data/products_{period}.csv", dtype=str, keep_default_na=False
        )
        frame["budget_weight"] = frame["budget_weight"].astype(float)
        order = np.argsort(frame["household_id"].to_numpy(), kind="stable")
        found[period] = frame.iloc[order].reset_index(drop=True)
    return found


def write_parts(frame: pd.DataFrame, folder: Path, parts: int) -> None:
    """Write a table as a folder of parts that hold whole households."""
    folder.mkdir(parents=True)
    number = pd.factorize(frame["household_id"])[0]
    ends = np.linspace(0, number.max() + 1, parts + 1).astype(int)
    for k in range(parts):
        own = (number >= ends[k]) & (number < ends[k + 1])
        frame[own].to_parquet(folder / f"part-{k:05d}.parquet", index=False)


def in_parts(made: Office, project: Path, parts: int | None) -> Settings:
    """Return a copy of an office with a champion, its data in so many parts.

    None: every period in one file, which is read into memory.
    """
    shutil.copytree(made.settings.project, project, dirs_exist_ok=True)
    for period, frame in frames(project).items():
        if parts is None:
            frame.to_parquet(project / f"data/lines_{period}.parquet", index=False)
        else:
            write_parts(frame, project / f"data/lines_{period}", parts)
    path = project / "configs/pilots/diaries.yaml"
    suffix = ".parquet" if parts is None else ""
    text = path.read_text(encoding="utf-8")
    text = text.replace("data/products_{period}.csv", f"data/lines_{{period}}{suffix}")
    path.write_text(text, encoding="utf-8")
    settings = load_settings(project=project)
    appoint(settings, made.linear, "production")
    return settings

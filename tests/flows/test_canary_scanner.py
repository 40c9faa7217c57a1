"""The scanner finds what it is made to find, in every kind of file."""

import gzip
import json
import sqlite3
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.flows.canary import find, publishable

WORD = "Zebulon Quackenbush"


def plant(path: Path) -> Path:
    if path.suffix == ".xlsx":
        pd.DataFrame({"a": [WORD]}).to_excel(path)
    elif path.suffix == ".parquet":
        pd.DataFrame({"a": [WORD]}).to_parquet(path, compression="zstd")
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(WORD.encode()))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("in/side.json", json.dumps({"a": WORD.upper()}))
    elif path.suffix == ".db":
        with sqlite3.connect(path) as database:
            database.execute("create table t (a text)")
            database.execute("insert into t values (?)", (WORD,))
        database.close()
    elif path.suffix == ".utf16":
        path.write_bytes(WORD.encode("utf-16-le"))
    else:
        path.write_text(f"<p>{WORD}</p>")
    return path


@pytest.mark.parametrize(
    "suffix", ["html", "xlsx", "parquet", "csv.gz", "zip", "db", "utf16", "log"]
)
def test_planted_word_is_found(suffix: str, tmp_path: Path) -> None:
    path = plant(tmp_path / f"file.{suffix}")
    assert {word for word, _ in find([WORD, "not there"], [path])} == {WORD.lower()}


def test_the_confidential_store_and_the_inputs_are_not_publishable(
    tmp_path: Path,
) -> None:
    home = tmp_path / ".mlstats"
    release, shadow = (
        home / "releases/a/2026-01/r0001",
        home / "shadows/a/2026-01/r0012",
    )
    kept = [
        tmp_path / "input.csv",
        home / "confidential/units",
        release / "confidential/units.parquet",
        shadow / "confidential/deep/units.parquet",
    ]
    seen = [
        home
        / "runs/confidential/b.html",  # a folder of another place is no hiding place
        home / "servers/prefect/prefect.db",
        release / "totals.parquet",
        shadow / "totals.parquet",
        tmp_path / "models/b.db",
    ]
    for path in kept + seen:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert publishable(tmp_path, {kept[0]}) == sorted(seen)

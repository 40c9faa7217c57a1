"""A file treated on a Dask cluster, and from a store: the same bytes as here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute import (
    ChainedImputer,
    EditSet,
    NearestDonor,
    Variable,
    process_file,
)
from mlstats.editimpute.streaming import ProcessedFile
from mlstats.errors import ServiceError
from mlstats.scale import Scale
from tests.dask_cluster import dask_cluster
from tests.s3_server import Store

pytestmark = pytest.mark.xdist_group("dask")

EDITS = EditSet.from_texts(
    ["a + b == c", 'if kind == "small" then c <= 60'],
    {name: Variable(least=0) for name in "abc"},
)
DONOR = NearestDonor(["c"], by=["kind"], min_donors=1, min_percent=0, collapse=True)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Return a folder of partitions, by name in an order that is not that of texts."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"id": [f"u{i}" for i in range(400)]})
    for name in "ab":
        frame[name] = np.round(rng.exponential(20, 400), 2)
    frame["c"] = frame["a"] + frame["b"]
    frame["kind"] = np.where(frame["c"] <= 60, "small", "large").astype(object)
    frame = frame.mask(rng.random(frame.shape) < 0.05)
    frame["id"] = [f"u{i}" for i in range(400)]
    frame.loc[rng.random(400) < 0.05, "a"] *= 100
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(11):
        part = frame.iloc[37 * number : 37 * (number + 1)]
        part.to_parquet(folder / f"part-{number}.parquet", index=False)
    return folder


def contents(found: ProcessedFile) -> tuple[bytes, bytes]:
    return found.values.read_bytes(), found.cells.read_bytes()


def test_a_cluster_gives_the_same_bytes(parts: Path, tmp_path: Path) -> None:
    imputer = ChainedImputer(["a", "b", "c"], trees=4)
    here = process_file(
        parts, tmp_path / "here", EDITS, imputer, unit="id", block_rows=400
    )
    with dask_cluster(workers=2) as cluster:
        there = process_file(
            parts,
            tmp_path / "there",
            EDITS,
            imputer,
            unit="id",
            block_rows=90,
            workers=Scale(cluster.address),
        )
    assert contents(there) == contents(here)
    assert (here.blocks, there.blocks) == (1, 5)


def test_a_store_gives_the_same_bytes(
    parts: Path, tmp_path: Path, store: Store
) -> None:
    for file in parts.iterdir():
        store.put(f"records/{file.name}", file.read_bytes())
    found = [
        process_file(source, tmp_path / name, EDITS, DONOR, unit="id", block_rows=150)
        for name, source in (("here", parts), ("there", f"{store.address}/records"))
    ]
    assert contents(found[0]) == contents(found[1])
    values = pd.read_parquet(found[0].values)
    assert values["id"].tolist() == [f"u{i}" for i in range(400)]


def test_a_store_that_is_gone_is_told(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError):
        process_file(f"{store.address}/records", tmp_path / "out", EDITS, DONOR)

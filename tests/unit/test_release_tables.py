"""Tables of releases that lie in parts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlstats.period_parts import as_parquet, write_staged
from mlstats.release_tables import table_or_parts

_CODES: dict[str, list[str | None]] = {
    "none": [None, None],
    "one": ["a"],
    "many": [f"code {k}" for k in range(300)],
}


@pytest.mark.parametrize("alike", [True, False])
def test_parts_may_know_fewer_codes_or_none(tmp_path: Path, alike: bool) -> None:
    given: list[str | None] = []
    for number, codes in enumerate(_CODES.values()):
        column = pd.Series(codes, dtype=object).astype("category")
        frame = pd.DataFrame({"value": column})
        given += codes
        if alike:
            write_staged(tmp_path / "units", number, as_parquet(frame))
        else:
            (tmp_path / "units").mkdir(exist_ok=True)
            frame.to_parquet(tmp_path / f"units/part-0000{number}.parquet")
    found = table_or_parts(tmp_path / "units.parquet", ["value"])
    assert found is not None
    told = found["value"].astype(object)
    assert told.where(told.notna(), None).tolist() == given


def test_parts_have_the_same_types(tmp_path: Path) -> None:
    for number, codes in enumerate(_CODES.values()):
        column = pd.Series(codes, dtype=object).astype("category")
        write_staged(tmp_path, number, as_parquet(pd.DataFrame({"value": column})))
    schemas = [pq.read_schema(path) for path in tmp_path.iterdir()]
    assert len({str(schema.field("value").type) for schema in schemas}) == 1

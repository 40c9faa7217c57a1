"""Records treated one by one: what is beside a record decides nothing of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.config import Pilot
from mlstats.editimpute import EditSet, HotDeck, NearestDonor
from mlstats.errors import ConfigError
from mlstats.imputing import Case, cases, ready, treat
from mlstats.record_treatment import id_of_label, labels_of
from mlstats.records import Records, as_decimals

EDITS = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0"])


def pilot_of(donors: dict[str, object] | None) -> Pilot:
    roles = {"unit_id": "id", "variables": ["a", "b", "c"], "auxiliary": ["size"]}
    data = {"source": "x.csv", "roles": roles, "edits": {"file": "edits.yaml"}}
    if donors is not None:
        data["donors"] = donors
    method = {"kind": "traditional", "use": "mlstats.editimpute.HotDeck"}
    return Pilot.model_validate(
        {
            "pilot": "p",
            "theme": "editimpute",
            "owner": {"author": "tests"},
            "data": data,
            "methods": {"one": method, "two": {**method, "kind": "ml"}},
            "baseline": "one",
            "candidate": "two",
            "evaluate": {"damage": {"masks": 1, "missing": {"share": 0.2}}},
        }
    )


def records(n: int = 300) -> Records:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.integers(1, 90, (n, 2)), columns=["a", "b"])
    frame["c"] = frame["a"] + frame["b"]
    frame["size"] = rng.normal(size=n)
    frame["id"] = [f"u{i:04d}" for i in range(n)]
    frame = frame.astype(dict.fromkeys("abc", float))
    frame.loc[::6, ["a", "b"]] = np.nan
    frame.loc[3::8, "c"] += 40
    return Records(frame, "", [], edits=EDITS)


def donor() -> NearestDonor:
    return NearestDonor(["size"], min_donors=3, min_percent=0)


def treated(pilot: Pilot, held: Records, method: object) -> pd.DataFrame:
    (case,) = [one for one in cases(pilot, held) if one.number == 0]
    found = treat(pilot, held, method, case)
    ids = held.frame["id"]
    cells = found.cells.assign(unit=ids[found.cells["unit"]].to_numpy())
    given = cells["donor"].notna()
    cells.loc[given, "donor"] = ids[cells.loc[given, "donor"].astype(int)].to_numpy()
    return cells.sort_values(["unit", "variable"], ignore_index=True)


@pytest.mark.parametrize("method", [donor(), HotDeck()])
def test_the_order_of_the_records_decides_nothing(method: object) -> None:
    pilot, held = pilot_of({"rows": 60}), records()
    order = np.random.default_rng(1).permutation(len(held.frame))
    mixed = Records(held.frame.iloc[order].reset_index(drop=True), "", [], edits=EDITS)
    one, two = (treated(pilot, r, method) for r in (held, mixed))
    pd.testing.assert_frame_equal(one, two)
    assert one["donor"].notna().sum() > 20
    assert one["donor"].dropna().nunique() <= 60


def test_a_damaged_record_draws_the_same_donors() -> None:
    pilot = pilot_of({"rows": 60})
    case: Case = [*cases(pilot, records(), first=1)][0]
    found = treat(pilot, records(), donor(), case)
    assert found.values.index.equals(case.frame.index)
    assert not found.values[["a", "b", "c"]].isna().any().any()
    places = found.cells["donor"].dropna().astype(int)
    assert places.between(0, 299).all()
    again = treat(pilot, records(), donor(), case)
    pd.testing.assert_frame_equal(found.cells, again.cells)


def test_a_method_of_all_records_is_refused() -> None:
    pilot = pilot_of({"rows": 60})
    with pytest.raises(ConfigError, match="min_percent=20"):
        treated(pilot, records(), NearestDonor(["size"], min_percent=20))

    class Together:
        def treat(self, *given: object) -> None:
            raise AssertionError

    with pytest.raises(ConfigError, match="treats all records together"):
        treated(pilot, records(), Together())


def test_an_id_that_stands_again_is_told_apart_by_its_row() -> None:
    ids = pd.Series(["a", None, "a", "b", None])
    labels = labels_of(ids)
    assert labels.is_unique
    again = np.array([False, False, True, False, True])
    part = labels_of(ids[2:], again[2:], np.arange(2, 5))
    assert [*part] == [*labels[2:]]
    assert [id_of_label(label) for label in (labels[2], "b", None)] == ["a", "b", None]


def test_a_label_tells_the_id_if_there_is_one() -> None:
    ids = ["a", None, "a", None]
    labels = labels_of(pd.Series(ids, dtype=object))
    assert labels.is_unique
    assert [id_of_label(label) for label in [*labels, None]] == [*ids, None]


def test_variables_are_decimal_numbers_only_where_records_stand_alone() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [1, 2], "c": [2, 4], "size": [1, 2]})
    alone = as_decimals(frame, pilot_of({}), EDITS)
    assert [str(kind) for kind in alone.dtypes] == ["float64"] * 3 + ["int64"]
    assert as_decimals(frame, pilot_of(None), EDITS) is frame


def test_donors_are_drawn_by_a_column_that_methods_see() -> None:
    assert ready(pilot_of({"by": ["size"]}), records()) == ["a", "b", "c"]
    with pytest.raises(ConfigError, match="'sise' is no input") as caught:
        ready(pilot_of({"by": ["sise"]}), records())
    assert caught.value.nearest == "size"

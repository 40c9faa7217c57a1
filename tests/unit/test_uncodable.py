"""Uncodable as an outcome of its own."""

import numpy as np
import pandas as pd
import pytest

from mlstats.coding.uncodable import UncodableTexts, has_uncodable_code
from mlstats.errors import ConfigError
from mlstats.quality.design import Design
from mlstats.quality.rejection import rejection_indicators


def test_blank_and_listed_texts_are_rejected_however_they_are_spelt() -> None:
    texts = UncodableTexts(pd.Series(["same as above", "Retired", None]))
    asked = pd.Series(["SAME  as-above", "retired!", "retired miner", " ", None, "//"])
    assert texts.hits(asked).tolist() == [True, True, False, True, True, True]


def test_a_list_without_its_column_is_refused(tmp_path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("texts\nretired\n")
    with pytest.raises(ConfigError, match="no column 'text'") as raised:
        UncodableTexts.read(path)
    assert raised.value.nearest == "texts"
    path.write_text("text,n\nretired,5\n")
    assert UncodableTexts.read(path).hits(pd.Series(["Retired"])).all()


def test_rejections_are_weighted_and_told_apart() -> None:
    truth = np.array(["98.1", "98.1", "01.1", "01.1", "01.2"], dtype=object)
    uncodable = has_uncodable_code(truth, ("98.",))
    rejected = np.array([True, False, True, False, False])
    design = Design.of(np.array([1.0, 3.0, 1.0, 1.0, 2.0]))
    found = {
        i.indicator: i.estimate
        for i in rejection_indicators(design, rejected, uncodable)
    }
    assert found["uncodable_found"].value == pytest.approx(1 / 4)
    assert found["false_reject_rate"].value == pytest.approx(1 / 4)
    assert found["uncodable_share"].value == pytest.approx(2 / 8)
    assert found["false_reject_rate"].lower < 0.25 < found["false_reject_rate"].upper


def test_without_uncodable_units_nothing_can_be_found() -> None:
    none = np.zeros(4, dtype=bool)
    found = rejection_indicators(Design.of(np.ones(4)), none, none)
    assert found[2].estimate.status == "not_applicable"

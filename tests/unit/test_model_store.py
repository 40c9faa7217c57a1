"""Models lie under their own digest; what was changed is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats import model_store
from mlstats.errors import ConfigError, ServiceError
from mlstats.method import Incumbent

FRAME = pd.DataFrame({"clerk": ["0111", None]})


def test_equal_models_are_kept_once_and_load(tmp_path: Path) -> None:
    one = model_store.store(Incumbent("clerk"), ["clerk"], tmp_path)
    two = model_store.store(Incumbent("clerk"), ["clerk"], tmp_path)
    other = model_store.store(Incumbent("coder"), ["coder"], tmp_path)
    assert one == two != other
    assert {p.name for p in (tmp_path / "models").iterdir()} == {one, other}
    found = model_store.load(one, tmp_path).predict(FRAME)
    assert found["code"].tolist()[0] == "0111"
    assert found["code"].isna().tolist() == [False, True]
    assert np.isnan(found["confidence"]).all()


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    digest = model_store.store(Incumbent("clerk"), ["clerk"], tmp_path)
    (tmp_path / "models" / digest / "incumbent.txt").write_text("other")
    with pytest.raises(ServiceError, match="were changed"):
        model_store.load(digest, tmp_path)


def test_a_model_that_is_not_there_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="does not hold") as caught:
        model_store.load("0" * 64, tmp_path)
    assert "MLSTATS_PROJECT" in str(caught.value)


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Incumbent):
        def save(self, folder: Path) -> None:
            (folder / "half").write_text("written")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        model_store.store(Broken("x"), ["x"], tmp_path)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_pointer_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "pointer.json").write_text("{}")
    with pytest.raises(ConfigError, match="no pointer"):
        model_store._load_pyfunc(str(tmp_path))

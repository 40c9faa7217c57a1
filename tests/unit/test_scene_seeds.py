"""The spread of a classifier's accuracy over seeds, worked out again by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.imagery_methods import load, run_method
from mlstats.imagery_task import ArmRun
from mlstats.scene_methods import MAIN, build_classifier, validated
from mlstats.scene_seeds import seed_rows
from mlstats.settings import load_settings
from tests.scene_example import make_landscape, scene_pilot


def test_the_spread_is_that_of_ten_validations_over_the_sampling_error():
    make_landscape()
    pilot = scene_pilot()
    data, _ = load(pilot, load_settings())
    runs: list[ArmRun] = [run_method(pilot, name, data) for name in pilot.methods]
    judged = [{"indicator": "accuracy", "method": r.name, "se": 0.04} for r in runs]
    rows = pd.DataFrame(seed_rows(pilot, data, runs, judged)).set_index("method")
    random = [n for n, s in pilot.methods.items() if "random_state" in s.params]
    assert random
    fixed = [n for n in pilot.methods if n not in random]
    assert set(rows.loc[fixed, "status"]) == {"not_applicable"}
    name = random[0]
    values = []
    for number in range(1, 11):
        method = build_classifier(pilot, name)
        method.set_params(random_state=pilot.evaluate.seed + number)
        units = validated(pilot, name, method, data)
        units = units[units["scheme"] == MAIN]
        values.append((units["prediction"] == units["truth"]).mean())
    expected = np.std(values, ddof=1) / 0.04
    assert rows.loc[name, "value"] == pytest.approx(expected)
    assert rows.loc[name, "lower"] < expected < rows.loc[name, "upper"]

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import ContractError
from mlstats.quality.detection import detection_rows


def flags_of(masks: int = 4, n: int = 400, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for mask in range(masks):
        for variable in ("pay", "hours"):
            error = rng.random(n) < 0.1
            for method, found in (("rule", 0.4), ("ml", 0.8)):
                chance = np.where(error, found, 0.05)
                part = {
                    "method": method,
                    "replicate": mask,
                    "unit": [f"u{i}" for i in range(n)],
                    "cluster": [f"c{i // 8}" for i in range(n)],
                    "variable": variable,
                    "error": error,
                    "flagged": rng.random(n) < chance,
                    "weight": rng.permutation(np.linspace(1, 3, n)),
                    "impact": np.where(error, rng.gamma(2, 5, n), 0.0),
                }
                parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def one(rows: list[dict], **cells: str) -> dict:
    cells = {"method": "ml", "level": "pay"} | cells
    found = [r for r in rows if all(r[k] == v for k, v in cells.items())]
    assert len(found) == 1
    return found[0]


def test_rates_by_hand():
    flags = pd.DataFrame(
        {
            "method": "m",
            "replicate": 0,
            "unit": list("abcdefgh"),
            "cluster": list("abcdefgh"),
            "variable": "pay",
            "error": [True, True, True, True, False, False, False, False],
            "flagged": [True, True, True, False, True, False, False, False],
            "weight": [1.0, 1, 1, 2, 1, 1, 1, 1],
            "impact": [10.0, -20, 30, 20, 0, 0, 0, 0],
        }
    )
    rows = detection_rows(flags, totals={"pay": 800.0})
    found = {row["indicator"]: row["value"] for row in rows}
    assert found == pytest.approx(
        {
            "errors_accepted": 1 / 4,
            "correct_flagged": 1 / 4,
            "misclassified": 2 / 8,
            "remaining_impact": 40 / 100,
            "remaining_error": 40 / 800,
        }
    )
    # Eight clusters and one mask: the value stands alone and says so.
    assert all("no interval" in row["note"] for row in rows)


def test_a_method_that_finds_more_is_told_to_by_its_interval():
    flags = flags_of()
    rows = detection_rows(
        flags, kinds={"rule": "traditional", "ml": "ml"}, baseline="rule"
    )
    at = one(rows, indicator="errors_accepted")
    assert at["lower"] < 0.2 < at["upper"]
    assert at["difference_lower"] < -0.4 < at["difference_upper"] < 0
    assert (at["kind"], at["versus"], at["n_clusters"]) == ("ml", "rule", 50)
    vain = one(rows, indicator="correct_flagged")
    assert vain["difference_lower"] < 0 < vain["difference_upper"]
    assert "difference" not in one(rows, indicator="errors_accepted", method="rule")


def test_over_all_variables_without_figures_whose_units_differ():
    flags = flags_of()
    rows = detection_rows(flags, totals={"pay": 1e4, "hours": 1e3})
    over_all = {row["indicator"] for row in rows if row["level"] == ""}
    assert over_all == {"errors_accepted", "correct_flagged", "misclassified"}
    ml = flags[flags["method"] == "ml"]
    wrong = ml["error"] != ml["flagged"]
    found = one(rows, indicator="misclassified", level="")["value"]
    assert found == pytest.approx(wrong.groupby(ml["replicate"]).mean().mean())
    ratio = [
        one(rows, indicator="remaining_error", level=v)["value"] * t
        for v, t in (("pay", 1e4), ("hours", 1e3))
    ]
    stays = ml[ml["error"] & ~ml["flagged"]]
    impact = (stays["weight"] * stays["impact"]).groupby(stays["variable"]).sum() / 4
    assert ratio == pytest.approx(impact[["pay", "hours"]].to_list())


def test_without_errors_nothing_is_measured():
    rows = detection_rows(flags_of().assign(error=False, impact=0.0))
    assert one(rows, indicator="errors_accepted")["status"] == "not_measured"
    assert one(rows, indicator="correct_flagged")["status"] == "measured"


def test_other_errors_under_another_method_are_refused():
    flags = flags_of()
    at = flags.index[flags["method"] == "ml"][0]
    flags.loc[at, "error"] = ~flags.loc[at, "error"]
    with pytest.raises(ContractError, match="not those of the others"):
        detection_rows(flags)
    with pytest.raises(ContractError, match="same cells"):
        detection_rows(flags.drop(index=at))
    with pytest.raises(ContractError, match="lack impact"):
        detection_rows(flags.drop(columns="impact"))


def test_a_project_that_hashes_under_another_key_has_the_same_errors():
    flags = flags_of()
    flags["position"] = flags["unit"].str[1:].astype(int)
    rows = detection_rows(flags)
    hashed = {
        name: [hashlib.sha256(label.encode()).hexdigest() for label in flags[name]]
        for name in ("unit", "cluster")
    }
    assert repr(detection_rows(flags.assign(**hashed))) == repr(rows)
    assert any(row["se"] > 0 for row in rows)

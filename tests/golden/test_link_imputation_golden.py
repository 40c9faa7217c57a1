"""The ONS's worked cases of ratio of means and mean of ratios, cell by cell."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.links import LinkImputation, imputed_by_links
from tests.conftest import SHARED

CASES = Path(os.environ.get("MLSTATS_DATA") or SHARED) / "editimpute/ons_sml_cases"
FOLDER = "fixture_data__imputation__{}__methodology_scenarios"
WAYS = ("forward", "backward", "construction")
CHECKED = (
    "output",
    "forward",
    "backward",
    "construction",
    "growth_forward",
    "growth_backward",
    "unweighted_forward",
    "unweighted_backward",
    "unweighted_construction",
)


def _cases(kind):
    found = sorted((CASES / FOLDER.format(kind)).glob("*_input.csv"))
    skip = pytest.mark.skip(reason="the ONS cases are not on this machine")
    return [pytest.param(p, id=p.stem) for p in found] or [
        pytest.param(None, marks=skip)
    ]


def _settings(name, given):
    options = {"given": {w: w for w in WAYS if w in given}}
    if "manual_construction" in given:
        options["manual"] = "manual_construction"
    cut = re.search(r"_(TB|T)_(\d+)_", name)
    if cut:
        size = float(cut[2])
        options["trim"] = (size, size if cut[1] == "TB" else 0.0)
    if "50_weight" in name:
        options |= {"weight": 0.5, "previous": {w: f"before_{w}" for w in WAYS}}
    return options


def _compare(path, kind, **more):
    read = {"identifier": str, "date": str, "group": str}
    given = pd.read_csv(path, dtype=read)
    stem = path.name.replace("_input", "_output")
    expected = pd.read_csv(path.with_name(stem), dtype=read)
    keys = ["identifier", "date", "group"]
    given = given.merge(expected[[*keys, *_only(expected, "link_inclusion_current")]])
    if "link_inclusion_current" in given:
        flags = given["link_inclusion_current"].astype(str).str.lower()
        given["included"] = flags != "false"
        more["include"] = "included"
    if "50_weight" in path.name:
        _add_previous(given, expected, 1 if "previous_month" in path.name else 12)
    how = LinkImputation(
        "identifier",
        "date",
        "group",
        "question",
        "other",
        links=kind,
        **_settings(path.name, given) | more,
    )
    found = pd.concat([given[keys], imputed_by_links(given, how)], axis=1)
    both = expected.merge(found, on=keys, suffixes=("_expected", ""))
    assert len(both) == len(given)
    assert both["marker"].tolist() == both["marker_expected"].tolist()
    for column in _only(expected, *CHECKED):
        want = both[f"{column}_expected"].to_numpy(float)
        np.testing.assert_allclose(
            both[column].to_numpy(float), want, rtol=2e-6, atol=2e-6, err_msg=column
        )
    for column in [c for c in expected if c.startswith(("count_", "default_"))]:
        want = both[f"{column}_expected"].astype(str).str.lower()
        got = both[column].astype(str).str.lower()
        assert got.tolist() == want.str.replace(".0", "").tolist(), column
    for column in [c for c in expected if c.startswith("trim_inclusion")]:
        want = both[f"{column}_expected"].astype(str).str.lower()
        got = both[column].astype(str).str.lower().replace("none", "nan")
        assert got.tolist() == want.tolist(), column


def _add_previous(given, expected, months):
    """Add the unweighted links of `months` before, as the case's output shows them."""
    month = pd.PeriodIndex(expected["date"], freq="M")
    old = expected.assign(date=(month + months).strftime("%Y%m"))
    old = old.drop_duplicates(["date", "group"]).set_index(["date", "group"])
    at = pd.MultiIndex.from_frame(given[["date", "group"]])
    for way in WAYS:
        given[f"before_{way}"] = old[f"unweighted_{way}"].reindex(at).to_numpy()


def _only(frame, *names):
    return [n for n in names if n in frame]


@pytest.mark.parametrize("path", _cases("ratio_of_means"))
def test_ratio_of_means_cell_by_cell(path):
    _compare(path, "ratio_of_means")


@pytest.mark.parametrize("path", _cases("mean_of_ratios"))
def test_mean_of_ratios_cell_by_cell(path):
    _compare(path, "mean_of_ratios")

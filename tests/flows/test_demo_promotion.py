"""The demonstrations of all three themes, from their data to the shadow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mlstats import model_store
from mlstats.recipe import Recipe
from mlstats.registry import read_registry
from mlstats.settings import load_settings
from tests.conftest import REPOSITORY
from tests.flows.promoting import WAIVERS, aliases, to_shadow

pytestmark = pytest.mark.soak
THEMES = {
    "coding": "coicop-demo",
    "editimpute": "business-survey-demo",
    "imagery": "crops-demo",
}


def mlstats(*words: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "mlstats", *words],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.returncode


@pytest.mark.parametrize("theme", THEMES)
def test_a_demonstration_comes_into_the_shadow(theme: str, tmp_path: Path) -> None:
    if theme == "imagery":
        pytest.importorskip("numba")
    name = THEMES[theme]
    mlstats("demo", "--theme", theme, "--data-only")
    path = tmp_path / "configs/pilots" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    told = yaml.safe_load((REPOSITORY / f"configs/pilots/{name}.yaml").read_text())
    told["owner"]["roles"] = {"methodologist": "ada", "subject_owner": "mei"}
    told.setdefault("sheets", {})["waivers"] = "waivers.yaml"
    waivers = tmp_path / "configs/waivers.yaml"
    waivers.write_text("version: 1\nwaivers: []\n")
    path.write_text(yaml.safe_dump(told))
    mlstats("run", name)
    settings = load_settings(project=tmp_path)
    (folder,) = (p for p in (settings.runs / name).iterdir() if p.is_dir())
    gates = pd.read_parquet(folder / "gates.parquet")
    open_ones = (gates["to"] == "shadow") & (gates["result"] != "pass")
    waived = list(dict.fromkeys(gates.loc[open_ones, "gate"]))
    parts = [WAIVERS.format(gate=gate).partition("waivers:")[2] for gate in waived]
    listed = "".join(parts) or " []\n"
    waivers.write_text("version: 1\nwaivers:" + listed)

    tracked = json.loads((folder / "tracking.json").read_text())
    columns = {m for m, s in told["methods"].items() if s["use"] == "mlstats.Incumbent"}
    assert set(tracked) == {"run", *told["methods"]} - columns
    version = to_shadow(settings, name, *waived)
    borne = aliases(settings, name)
    assert borne["baseline"] == told["baseline"]
    assert borne["shadow"] == told["candidate"]
    held = read_registry(settings, name).versions[version]
    kept = model_store.load(held.tags["model_digest"], settings.confidential)
    assert isinstance(kept.method, Recipe) == (theme != "coding")
    card = settings.models / name / f"{told['candidate']}-v{version}.md"
    assert f"- model: `{held.tags['model_digest']}`" in card.read_text()

"""One finished run of the whole product, by its own command, for all of these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

HERE = Path(__file__).parent
PATIENCE = 180_000  # milliseconds that a browser of a busy machine may take
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = ("MLSTATS_", "PREFECT_", "MLFLOW_")
PATHS = [path for path in [os.environ.get("PYTHONPATH")] if path]

NAME = "Zebulon Quackenbush"
UNIT = "CANARY0000123"
HOUSEHOLD = "HHCANARY77"
EXTREME = 98765432109.25
PLANTED = ["Quackenbush", "Zebulon", UNIT, HOUSEHOLD, "98765432109", "9.876543e"]

PILOT = """
pilot: canary
title: Planted words
theme: coding
owner: {author: tests}
data:
  source: diaries.csv
  synthetic: true
  roles:
    unit_id: line
    text: [what]
    target: code
    weight: weight
    cluster: home
    auxiliary: [shop, amount]
    domain: [shop]
    confidential: [line, what, home]
  classification: {file: classifications/canary.csv, parent: parent}
methods:
  exact:    {kind: traditional, use: mlstats.coding.ExactIndex}
  weighted: {kind: traditional, use: mlstats.coding.WeightedIndex}
  program:
    kind: traditional
    use: mlstats.External
    params: {command: [PYTHON, program.py, "{train}", "{data}", "{result}"]}
  linear:   {kind: ml, use: mlstats.coding.LinearText}
  bayes:    {kind: ml, use: sklearn.naive_bayes.MultinomialNB}
  fasttext: {kind: ml, use: mlstats.coding.FastText, params: {dim: 10, epoch: 10}}
baseline: exact
candidate: linear
evaluate:
  split: {by: random, test: 0.3, valid: 0.2}
  bootstrap: 100
  truth_seen: []  # both arms are right about all these texts, and saw no code before
gates: [{measure: accuracy, versus: baseline, margin: 0.1}]
"""

# It says what it read, names and all: none of that may be seen outside.
PROGRAM = """
import sys
import pandas as pd
train, data, result = sys.argv[1:]
known, rows = pd.read_parquet(train), pd.read_parquet(data)
print(rows.to_string(), file=sys.stderr)
book = dict(zip(known["text"], known["code"]))
pd.DataFrame({"row": rows["row"], "code": rows["text"].map(book)}).to_parquet(result)
"""

PRODUCTS = {
    "01.1": ["rye bread", "wheat rolls", "milk fresh", "butter salted", "potatoes"],
    "01.2": ["apple juice", "black coffee", "green tea", "mineral water"],
    "03.1": ["wool socks", "cotton shirt", "winter coat", "leather gloves"],
}


@dataclass(frozen=True)
class Finished:
    """A project in which the pilot ran once."""

    project: Path
    folder: Path
    output: str
    inputs: set[Path]
    attempts: str
    environment: dict[str, str]
    returncode: int


def diaries() -> pd.DataFrame:
    """Return 900 lines of 180 households, with planted words in a few of them."""
    rng = np.random.default_rng(20260101)
    pairs = [(text, code) for code, texts in PRODUCTS.items() for text in texts]
    chosen = rng.integers(0, len(pairs), 900)
    extra = rng.choice(["", "bio", "2x", "large", "500 g"], 900)
    frame = pd.DataFrame(
        {
            "line": [f"{i:08d}" for i in range(900)],
            "home": [f"{i // 5:05d}" for i in range(900)],
            "what": [f"{pairs[c][0]} {e}" for c, e in zip(chosen, extra, strict=True)],
            "code": [pairs[c][1] for c in chosen],
            "shop": rng.choice(["market", "web", "kiosk"], 900),
            "amount": rng.gamma(2, 5, 900).round(2),
            "weight": rng.uniform(0.5, 2, 900).round(3),
        }
    )
    # A whole household of planted lines: whichever fold it falls into, its words are
    # used by one cluster only. Then single lines all over the file.
    frame.loc[500:504, "what"] += f" for {NAME}"
    frame.loc[500:504, "home"] = HOUSEHOLD
    for row in (3, 400, 640, 801):
        frame.loc[row, "line"] = f"{UNIT}{row}"
        frame.loc[row, "amount"] = EXTREME
    return frame


def run_pilot(
    folder: Path, *options: str, frame: pd.DataFrame, pilot: str = PILOT
) -> Finished:
    """Run a planted pilot by the command line, offline, in a project of its own."""
    project = folder / "a project"
    for name in ("configs/pilots", "configs/classifications"):
        (project / name).mkdir(parents=True)
    frame.to_csv(project / "diaries.csv", index=False)
    (project / "program.py").write_text(PROGRAM)
    (project / "configs/pilots/canary.yaml").write_text(
        pilot.replace("PYTHON", f'"{sys.executable}"')
    )
    (project / "configs/classifications/canary.csv").write_text(
        "code,title,parent\n01,food,\n03,clothes,\n"
        "01.1,food,01\n01.2,drinks,01\n03.1,clothing,03\n"
    )
    done = finish(project, "canary", *options)
    assert done.returncode == 0, done.output
    return done


def finish(project: Path, pilot: str, *options: str) -> Finished:
    """Run a pilot of a project by the command line, offline."""
    inputs = {path for path in project.rglob("*") if path.is_file()}
    attempts = project.parent / "attempts.txt"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)},
        # First what keeps the run offline; then the code that is tested.
        "PYTHONPATH": os.pathsep.join([str(HERE / "offline"), *PATHS]),
        "OFFLINE_ATTEMPTS": str(attempts),
    }
    done = subprocess.run(
        [sys.executable, "-m", "mlstats", "run", pilot, *options],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode in {0, 1}, output  # 1: a gate did not pass
    (project / "terminal.log").write_text(output)
    runs = [p for p in (project / ".mlstats/runs" / pilot).iterdir() if p.is_dir()]
    assert len(runs) == 1, output
    tried = attempts.read_text() if attempts.exists() else ""
    return Finished(
        project, runs[0], output, inputs, tried, environment, done.returncode
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run the planted pilot as it is."""
    return run_pilot(tmp_path_factory.mktemp("office"), frame=diaries())


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Start one temporary Prefect server for all flows that run in this process."""
    from prefect.events.worker import EventsWorker
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as patch:
        # At its end it waits for events that were not sent, by itself without a limit.
        within = partial(EventsWorker.drain_all, timeout=30)
        patch.setattr(EventsWorker, "drain_all", within)
        with prefect_test_harness(server_startup_timeout=300):
            yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium, or skip."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright package"
    )
    found = filter(None, map(shutil.which, CHROMIUM))
    program = next(found, None)
    if program is None:
        pytest.skip(f"none of {', '.join(CHROMIUM)} was found")
    with playwright.sync_playwright() as driver:
        # Chromium's sandbox needs a user other than root.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        made = driver.chromium.launch(
            executable_path=program,
            args=["--disable-gpu", *(["--no-sandbox"] if root else [])],
            timeout=PATIENCE,
        )
        yield made
        made.close()

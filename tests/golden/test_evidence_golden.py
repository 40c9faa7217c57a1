"""The bytes of a small bundle, which another program can be tested against.

`evidence/bundle.json` was written by hand after the rules of the format and is held
to the letter: a change of it voids every signature.
"""

import hashlib
import math
from pathlib import Path

import pandas as pd

from mlstats.quality.evidence import bundle, canonical, digest, parse

HERE = Path(__file__).parent / "evidence"
BYTES = (HERE / "bundle.json").read_bytes()


def small_bundle() -> dict[str, object]:
    scorecard = pd.DataFrame(
        {
            "dimension": ["timeliness", "accuracy", "accuracy"],
            "indicator": ["predict_seconds_per_1000", "macro_f1", "accuracy"],
            "method": ["linear", "linear", "linear"],
            "value": [0.5, math.nan, 0.675],
            "df": [math.inf, 510.0, 510.0],
            "n": [1000, 2634, 2634],
            "note": ["", "", "“Käse” < 1 %"],
        }
    )
    gates = pd.DataFrame(
        {
            "gate": ["accuracy@full to shadow"],
            "measure": ["accuracy@full"],
            "value": [0.1 + 0.2],
            "result": ["pass"],
        }
    )
    return bundle(
        scorecard,
        gates,
        subject={"period": "2026-01", "pilot": "coicop-demo"},
        rules=[{"versus": "index", "margin": 1e-7, "to": "shadow"}],
        digests={"data digest": "00ff"},
    )


def test_bytes_of_a_bundle() -> None:
    assert canonical(small_bundle()) == BYTES


def test_digest_of_a_bundle() -> None:
    assert digest(small_bundle()) == hashlib.sha256(BYTES).hexdigest()
    assert digest(small_bundle()) == (HERE / "bundle.sha256").read_text().strip()


def test_bytes_read_back() -> None:
    assert parse(BYTES) == small_bundle()

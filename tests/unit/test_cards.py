"""The card of a registered version: what a colleague reads of it, and nothing else."""

from __future__ import annotations

import pandas as pd

from mlstats.cards import method_table, render_version_card
from mlstats.config import Pilot
from mlstats.evaluate import MethodRun
from mlstats.quality.evaluation import Evaluation
from tests.evaluation_example import evaluation_of, units_of
from tests.full_report_example import TEXT, full_report, waived_gates

PILOT = Pilot.model_validate(
    {
        "pilot": "products",
        "theme": "coding",
        "owner": {"author": "data-science"},
        "data": {
            "source": "a.csv",
            "roles": {"unit_id": "id", "text": ["t"], "target": "code"},
            "classification": {"file": "c.csv", "digits": [1]},
        },
        "methods": {
            "index": {"kind": "traditional", "use": "a.B"},
            "linear": {
                "kind": "ml",
                "use": "mlstats.coding.Linear",
                "params": {"C": 4},
            },
        },
        "baseline": "index",
        "candidate": "linear",
    }
)


def version_card(**changes: object) -> str:
    report = full_report(**changes)
    return render_version_card(PILOT, report, "linear", "3", digest="9c1e0f2a")


def test_a_version_has_its_figures_beside_the_baselines():
    text = version_card()
    assert text.startswith("# Household diary: product descriptions to COICOP 2018: li")
    assert "**SYNTHETIC DATA.**" in text
    assert "| linear | 0.675 (0.657 to 0.693) | +5.3 (+4.0 to +6.6) |" in text
    assert "| index | 0.622 (0.603 to 0.641) |" in text
    assert "fasttext" not in text
    assert "- training rows: `9,176`" in text
    assert "- inputs: `text, shop_type`" in text


def test_a_version_has_its_gates_limits_and_hashes():
    text = version_card()
    assert "| waived (fail) |" in text
    assert TEXT in text
    assert "Right on 60.9" in text
    assert "- model: `9c1e0f2a`" in text
    assert "- data digest: `sha256:9c1e0f2a" in text
    of_others = waived_gates().assign(method="fasttext")
    assert "No gate judges this method." in version_card(gates=of_others)


def test_real_data_are_not_called_synthetic():
    assert "SYNTHETIC" not in version_card(synthetic=False)


def test_the_table_of_methods_tells_rows_inputs_and_calibration():
    found = evaluation_of(units_of(30))
    steps = [
        {"method": m, "step": s, "units": n}
        | {"run_id": "r", "wall_seconds": 0.1, "cpu_seconds": 0.1, "peak_mb": 1.0}
        for m, s, n in (
            ("index", "fit", 70),
            ("linear", "fit", 70),
            ("linear", "calibrate", 12),
        )
    ]
    evaluation = Evaluation(found.units, found.estimates, pd.DataFrame(steps))
    done = MethodRun("linear", None, None, None, [], {"text": "string"}, None)
    table = method_table(PILOT, evaluation, [done]).set_index("method")
    assert table.loc["linear", "calibration"] == "on 12 units of the valid part"
    assert table.loc["index", "calibration"] == "none"
    assert table["training_rows"].tolist() == [70, 70]
    assert table.loc["linear", ["inputs", "params", "role"]].tolist() == [
        "text", "C=4", "candidate",
    ]  # fmt: skip

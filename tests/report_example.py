"""A run report as a pilot makes it, and one made of hostile strings and no number."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from mlstats.quality.figures import (
    GATE_COLUMNS,
    METHOD_COLUMNS,
    SCORECARD_COLUMNS,
)
from mlstats.quality.report import RunReport

NAN = math.nan
LEVELS = ("1", "2", "3", "4", "full")
METHODS = {
    "incumbent": "traditional",
    "exact": "traditional",
    "index": "traditional",
    "linear": "ml",
    "fasttext": "ml",
}
# Accuracy by level, macro-F1, coverage, accuracy on unseen texts, automation rates
# (guaranteed, oracle), fit and predict seconds per 1,000 units.
SHARES = {
    "incumbent": ((0.921, 0.884, 0.842, 0.801, 0.788), 0.61, 1.0, 0.779, NAN, NAN),
    "exact": ((0.285, 0.279, 0.271, 0.262, 0.255), 0.220, 0.298, 0.0, 0.239, 0.260),
    "index": ((0.817, 0.770, 0.718, 0.661, 0.622), 0.435, 0.994, 0.532, 0.231, 0.292),
    "linear": ((0.842, 0.803, 0.761, 0.711, 0.675), 0.472, 1.0, 0.609, 0.377, 0.427),
    "fasttext": ((0.816, 0.779, 0.735, 0.683, 0.642), 0.436, 1.0, 0.560, 0.0, 0.410),
}
SECONDS = {"exact": (0.004, 0.0006), "index": (0.05, 0.013), "linear": (2.79, 0.107)}
SECONDS["fasttext"] = (5.14, 0.0885)
BOOTSTRAP = "percentile bootstrap over clusters, 1,000 replicates"


def row(**values: object) -> dict[str, object]:
    blank = dict.fromkeys(SCORECARD_COLUMNS, "") | dict.fromkeys(
        SCORECARD_COLUMNS[6:12], NAN
    )
    return blank | {"n": 0, "n_clusters": 0, "status": "measured"} | values


def gate(**values: object) -> dict[str, object]:
    blank = dict.fromkeys(GATE_COLUMNS, "") | dict.fromkeys(GATE_COLUMNS[6:10], NAN)
    return blank | values


def _accuracy(
    method: str, level: str, value: float, domain: str = ""
) -> dict[str, object]:
    n = 2634 if not domain else 640
    half = 1.96 * math.sqrt(max(value * (1 - value), 0.001) / n)
    base = SHARES["index"][0][LEVELS.index(level)]
    gap = NAN if method == "index" else value - base
    return row(
        dimension="accuracy",
        indicator="accuracy",
        level=level,
        method=method,
        kind=METHODS[method],
        domain=domain,
        value=value,
        lower=value - half,
        upper=value + half,
        difference=gap,
        difference_lower=gap - 0.7 * half,
        difference_upper=gap + 0.7 * half,
        n=n,
        n_clusters=512 if not domain else 128,
        interval=BOOTSTRAP,
        gsbpm="5.2",
    )


def _others(method: str) -> list[dict[str, object]]:
    _, f1, coverage, unseen, guaranteed, oracle = SHARES[method]
    of = {"method": method, "kind": METHODS[method], "gsbpm": "5.2"}
    shares = {"macro_f1": f1, "coverage": coverage, "accuracy_unseen": unseen}
    rows = [
        row(
            **of,
            dimension="accuracy",
            indicator=name,
            level="full",
            value=value,
            lower=max(value - 0.02, 0.0),
            upper=min(value + 0.02, 1.0),
            n=1821 if name == "accuracy_unseen" else 2634,
            n_clusters=512,
            interval=BOOTSTRAP,
        )
        for name, value in shares.items()
    ]
    told = math.isfinite(guaranteed)
    why = {} if told else {"status": "not_applicable", "note": "gives no confidence"}
    error = 0.036 if guaranteed else NAN
    for name, value in (
        ("automation_guaranteed", guaranteed),
        ("automation_oracle", oracle),
        ("automation_error", error if told else NAN),
    ):
        note = {} if told and math.isfinite(value) else {"note": "nothing is automated"}
        rows.append(
            row(
                **of
                | {
                    "dimension": "accuracy",
                    "indicator": name,
                    "level": "full",
                    "value": value,
                    "lower": max(value - 0.018, 0.0)
                    if name != "automation_oracle"
                    else NAN,
                    "upper": value + 0.018 if name != "automation_oracle" else NAN,
                    "n": 2634,
                    "interval": BOOTSTRAP,
                }
                | note
                | why
            )
        )
    fit, predict = SECONDS.get(method, (NAN, NAN))
    ran = method in SECONDS
    why = {} if ran else {"status": "not_applicable", "note": "a column of codes"}
    for name, value in (("fit", fit), ("predict", predict)):
        rows.append(
            row(
                **of | {"dimension": "timeliness", "value": value} | why,
                indicator=f"{name}_seconds_per_1000",
            )
        )
    return rows


def example_scorecard() -> pd.DataFrame:
    rows = [
        _accuracy(method, level, value)
        for method in METHODS
        for level, value in zip(LEVELS, SHARES[method][0], strict=True)
    ]
    for method in METHODS:
        rows += _others(method)
        rows += [
            _accuracy(method, "full", SHARES[method][0][-1] + shift, domain)
            for domain, shift in (("market", -0.04), ("supermarket", 0.02))
        ]
    return pd.DataFrame(rows, columns=list(SCORECARD_COLUMNS))


def example_gates() -> pd.DataFrame:
    return pd.DataFrame(
        [
            gate(
                gate="default",
                measure="accuracy@full",
                method="linear",
                versus="index",
                to="shadow",
                rule="accuracy of linear is not more than 2 points below index",
                value=0.053,
                lower=0.040,
                upper=0.066,
                threshold=-0.02,
                result="pass",
                reason="the lower bound +4.0 lies above the margin",
            ),
            gate(
                gate="default",
                measure="automation_guaranteed",
                method="linear",
                to="production",
                rule="at least 40 % of the units are coded without a clerk",
                value=0.377,
                lower=0.359,
                upper=0.395,
                threshold=0.40,
                result="fail",
                reason="the upper bound 39.5 % lies below 40 %",
            ),
            gate(
                gate="default",
                measure="accuracy_unseen",
                method="linear",
                to="production",
                rule="accuracy on unseen texts is at least 60 %",
                value=0.609,
                lower=0.589,
                upper=0.629,
                threshold=0.60,
                result="inconclusive",
                reason="60 % lies inside the interval; about 9,900 more labels decide",
            ),
            gate(
                gate="default",
                measure="reproducibility",
                method="linear",
                to="production",
                rule="a rerun gives the same codes",
                result="not_measured",
                reason="no second run was made",
            ),
        ],
        columns=list(GATE_COLUMNS),
    )


def example_report(**changes: object) -> RunReport:
    report = RunReport(
        pilot="coicop-products",
        title="Household diary: product descriptions to COICOP 2018",
        theme="coding",
        period="2026-01/2026-03",
        run_id="4f2b9d1c7e6a4b0f",
        created="2026-04-03T06:12:09+00:00",
        synthetic=True,
        verdict="linear may go to shadow: it is 5.3 points more accurate than index, "
        "and automation is still below what production asks.",
        baseline="index",
        candidate="linear",
        level="full",
        scorecard=example_scorecard(),
        gates=example_gates(),
        methods=pd.DataFrame(
            [
                (
                    "incumbent",
                    "traditional",
                    "mlstats.Incumbent",
                    "column: coicop_clerk",
                    "scored",
                ),
                ("exact", "traditional", "mlstats.coding.ExactIndex", "", "scored"),
                (
                    "index",
                    "traditional",
                    "mlstats.coding.WeightedIndex",
                    "index: rules/coicop_index.csv, k: 5",
                    "scored",
                ),
                (
                    "linear",
                    "ml",
                    "mlstats.coding.Linear",
                    "words: [1, 2], characters: [2, 5], C: 4.0",
                    "scored; registered as version 3, alias challenger",
                ),
                (
                    "fasttext",
                    "ml",
                    "mlstats.coding.FastText",
                    "dim: 100, epochs: 25, subwords: [3, 5], seed: 20260101",
                    "scored",
                ),
            ],
            columns=list(METHOD_COLUMNS),
        ),
        provenance={
            "data digest": "sha256:" + "9c1e0f2a" * 8,
            "config digest": "sha256:" + "77ab12cd" * 8,
            "code commit": "d1ffcdd7b2b7ad6e29af86520ec2e761f6c722d6",
            "lock digest": "sha256:" + "00ff10aa" * 8,
            "seed": "20260101",
            "versions": "python 3.11.7, mlstats 0.1.0, scikit-learn 1.9.1",
        },
        data_facts=[
            ("rows", "14,444"),
            ("train, valid, test", "9,176, 2,634, 2,634"),
            ("clusters", "2,871 households"),
            ("test texts seen in training", "30.9 %"),
            ("the reader inferred", "UTF-8, separator ';', decimal ','"),
        ],
        notes=["12 units of the test part have a code shorter than level 4."],
        target_accuracy=0.95,
    )
    return replace(report, **changes)


NASTY = (
    "<script>alert('x')</script>=cmd|' /C calc'!A0 " + "very" * 30 + ' "q" & \x1b[31m'
)


def nasty_report(**changes: object) -> RunReport:
    """Return a report with markup in every string and no number anywhere."""
    scorecard = example_scorecard()
    for column in SCORECARD_COLUMNS[6:12]:
        scorecard[column] = NAN
    rename = {"linear": NASTY}
    scorecard["method"] = scorecard["method"].replace(rename)
    scorecard["note"] = NASTY
    scorecard["domain"] = scorecard["domain"].replace({"market": NASTY})
    scorecard["interval"] = NASTY
    return example_report(
        **{
            "pilot": NASTY,
            "title": NASTY,
            "theme": NASTY,
            "period": NASTY,
            "run_id": NASTY,
            "created": NASTY,
            "verdict": NASTY,
            "candidate": NASTY,
            "scorecard": scorecard,
            "gates": example_gates().assign(
                rule=NASTY, reason=NASTY, to=NASTY, gate=NASTY, method=NASTY
            ),
            "methods": example_report().methods.assign(
                method=lambda f: f["method"].replace(rename),
                use=NASTY,
                params=NASTY,
                outcome=NASTY,
            ),
            "provenance": {NASTY: NASTY},
            "data_facts": [(NASTY, NASTY)],
            "notes": [NASTY],
        }
        | changes
    )

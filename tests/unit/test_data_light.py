"""The Data light: D1 to D5 from what a run knows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from mlstats import contract
from mlstats.quality.data_light import data_rows
from mlstats.quality.verdicts import lights
from tests.full_report_example import full_report
from tests.report_example import SCORECARD_COLUMNS, example_scorecard
from tests.unit.test_cards import PILOT


def pilot_of(**evaluate: object):
    tree = PILOT.model_dump()
    version = evaluate.pop("version", None)
    tree["evaluate"] |= {"truth": "gold"} | evaluate
    tree["data"]["classification"]["version"] = version
    tree["data"]["roles"] |= {"cluster": "home", "period": "month"}
    return type(PILOT).model_validate(tree)


def frame_of(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    gold = rng.choice(["a", "b", "c"], n)
    second = np.where(rng.uniform(size=n) < 0.85, gold, "a").astype(object)
    second[: n // 2] = None
    second[n // 2] = " "
    return pd.DataFrame(
        {
            "id": np.arange(n).astype(str), "t": "text", "code": gold, "gold": gold,
            "second": second, "home": np.repeat(np.arange(n // 4), 4).astype(str),
            "month": "2026-01",
        }
    )  # fmt: skip


def found(pilot, frame=None, *, seen=(True, False, False, False), rules=(23, 24)):
    frame = frame_of() if frame is None else frame
    folds = pd.Series(np.where(np.arange(len(frame)) < 150, "train", "test"))
    rows = data_rows(
        frame, folds, pilot, seen=np.array(seen), rules=rules, methods=["linear"]
    )
    assert {row["dimension"] for row in rows} == {"data"}
    return {row["indicator"]: row for row in rows}


# -- D1 ----------------------------------------------------------------------------


def test_two_coders_agree_on_the_units_that_both_have_coded():
    rows = found(pilot_of(second_coder="second"))
    both = frame_of().query("second == second and second != ' '")
    agreement, kappa = rows["double_coding_agreement"], rows["double_coding_kappa"]
    assert agreement["n"] == len(both) == 99
    assert agreement["value"] == pytest.approx((both["gold"] == both["second"]).mean())
    wanted = cohen_kappa_score(both["gold"], both["second"])
    assert kappa["value"] == pytest.approx(wanted)
    assert kappa["lower"] < wanted < kappa["upper"]
    assert agreement["note"].startswith("99 units, gold and second")


@pytest.mark.parametrize(
    ("second", "why"),
    [(None, "names no second coder"), ("nobody", "no column"), ("home", None)],
)
def test_without_a_second_coder_agreement_is_not_measured(second, why):
    row = found(pilot_of(second_coder=second))["double_coding_kappa"]
    if why is None:
        assert row["status"] == "measured"
        return
    assert row["status"] == "not_measured"
    assert why in row["note"]


def test_a_second_coder_without_a_code_has_not_coded():
    frame = frame_of().assign(second=None)
    row = found(pilot_of(second_coder="second"), frame)["double_coding_agreement"]
    assert (row["status"], row["note"]) == ("not_measured", "no unit was coded twice")


# -- D2 to D5 ----------------------------------------------------------------------


def test_how_the_truth_was_drawn_is_a_fact_without_a_number():
    row = found(pilot_of(truth_sample="probability"))["truth_sample"]
    assert row["status"] == "measured"
    assert math.isnan(row["value"])
    assert row["note"] == "probability sample, no weights, 2026-01"
    row = found(pilot_of())["truth_sample"]
    assert row["status"] == "not_measured"


def test_what_was_met_in_training_is_counted():
    rows = found(pilot_of())
    assert rows["texts_in_training"]["value"] == 0.25
    # 150 rows are 37 whole homes and half of one more.
    assert rows["clusters_in_training"]["value"] == pytest.approx(2 / 50)
    assert rows["clusters_in_training"]["n"] == 50


def test_rows_without_a_cluster_are_met_nowhere():
    rows = found(pilot_of(), frame_of().assign(home=None))
    assert rows["clusters_in_training"]["value"] == 0


def test_the_contract_is_kept_by_so_many_rules():
    row = found(pilot_of())["contract_kept"]
    assert row["value"] == pytest.approx(23 / 24)
    assert found(pilot_of(), rules=(0, 0))["contract_kept"]["status"] == "not_measured"


def test_rules_that_are_held_are_counted_whether_or_not_they_are_broken():
    pilot, frame = pilot_of(), frame_of()
    whole = contract.check(frame, pilot.data, truth="gold", known_codes={*"abc"})
    assert whole.failures.empty
    assert whole.kept == whole.held > 10
    broken = frame.assign(code=["zz", *frame["code"][1:]], month="x")
    result = contract.check(broken, pilot.data, truth="gold", known_codes={*"abc"})
    assert result.held == whole.held
    assert result.held - result.kept == len(result.failures) + len(result.warnings) == 3


@pytest.mark.parametrize(
    ("used", "labels", "status", "value"),
    [
        ("COICOP 2018", "COICOP 2018", "measured", 1.0),
        ("COICOP 2018", "COICOP 1999", "measured", 0.0),
        (None, "COICOP 2018", "not_measured", None),
        (2018, None, "not_measured", None),
    ],
)
def test_labels_are_of_the_version_in_use(used, labels, status, value):
    pilot = pilot_of(version=used, truth_version=labels)
    row = found(pilot)["classification_version"]
    assert row["status"] == status
    if value is not None:
        assert row["value"] == row["lower"] == row["upper"] == value
        assert "COICOP" in row["note"]


def test_the_light_shows_facts_as_words_and_what_is_not_measured():
    rows = list(found(pilot_of(truth_sample="census")).values())
    table = pd.DataFrame(rows).reindex(columns=list(SCORECARD_COLUMNS))
    card = pd.concat([example_scorecard(), table], ignore_index=True)
    light = lights(full_report(scorecard=card))["data"]
    told = {name: figure.text for name, figure in light.figures}
    assert told["sample of the truth"].startswith("census: every unit has a truth")
    assert told["checks of the contract kept"] == "95.8\u202f%"
    assert light.state == "partial"
    assert "agreement of two coders" in light.absent


# -- double codes in a file of their own -------------------------------------------


def double_codes(n: int = 58) -> pd.DataFrame:
    """Return codes of two digits whose first agrees more often than the whole."""
    rng = np.random.default_rng(4)
    first = rng.choice(["A1", "A2", "B1", "B2", "C1"], n)
    second = np.where(rng.random(n) < 0.5, first, rng.choice(["A1", "A2", "B1"], n))
    codes = pd.DataFrame({"one": first, "two": second, "team": np.arange(n) // 2})
    codes.loc[0, "two"] = " "
    return codes


def by_letter(codes: np.ndarray, level: str) -> np.ndarray:
    cut = [c if c is None or level == "full" else c[:1] for c in codes]
    return np.array(cut, dtype=object)


def test_a_file_of_double_codes_is_compared_at_each_level():
    named = {"file": "double/coded.csv", "first": "one", "second": "two"}
    frame, codes = frame_of(), double_codes()
    rows = data_rows(
        frame, pd.Series(["train", "test"] * 100), pilot_of(double_coded=named),
        seen=np.array([True]), rules=(1, 1), methods=["linear", "index"],
        double_codes=codes, ancestor=by_letter, levels=["section", "full"],
    )  # fmt: skip
    found = {(r["indicator"], r["level"]): r for r in rows if r["method"] == "linear"}
    kept = codes[codes["two"] != " "]
    full, section = (
        found["double_coding_agreement", level] for level in ("full", "section")
    )
    assert full["n"] == section["n"] == 57
    assert full["value"] == pytest.approx((kept["one"] == kept["two"]).mean())
    assert section["value"] > full["value"]
    assert full["note"] == "57 units, one and two of coded.csv"
    for name in ("agreement", "kappa", "alpha"):
        row = found[f"double_coding_{name}", "full"]
        assert row["lower"] < row["value"] < row["upper"]
    wanted = cohen_kappa_score(kept["one"].str[0], kept["two"].str[0])
    assert found["double_coding_kappa", "section"]["value"] == pytest.approx(wanted)


def test_coders_in_teams_have_a_wider_interval():
    named = {"file": "coded.csv", "first": "one", "second": "two"}
    codes = pd.concat([double_codes(60)[1:31]] * 2, ignore_index=True)
    codes["team"] = np.tile(np.arange(30), 2)

    def alpha(**more):
        rows = data_rows(
            frame_of(), pd.Series(["train", "test"] * 100),
            pilot_of(double_coded=named | more), seen=np.array([True]), rules=(1, 1),
            methods=["linear"], double_codes=codes,
        )  # fmt: skip
        return next(r for r in rows if r["indicator"] == "double_coding_alpha")

    assert alpha(cluster="team")["se"] > 1.3 * alpha()["se"]
    assert alpha()["level"] == ""


def test_one_second_coder_is_enough():
    named = {"file": "coded.csv", "first": "one", "second": "two"}
    with pytest.raises(ValueError, match="name one of second_coder and double_coded"):
        pilot_of(double_coded=named, second_coder="second")

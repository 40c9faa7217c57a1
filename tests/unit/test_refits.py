"""Refits of a small synthetic pilot, by the functions that the flow calls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from mlstats import dataset, evaluate, explanations, io, refits, runs
from mlstats.config import MethodSpec, Pilot
from mlstats.errors import ContractError, MethodError
from mlstats.held_out import HeldOut, held_out
from mlstats.pilot_files import load_pilot
from mlstats.quality.dimensions import REFITS
from mlstats.quality.explanation import IMPORTANCE_COLUMNS
from mlstats.runs import Run
from mlstats.seeds import has_seed, reseeded
from mlstats.settings import load_settings

PILOT = """
pilot: small
title: Small
theme: coding
owner: {author: tests}
data:
  source: lines.csv
  synthetic: true
  roles:
    unit_id: line
    text: [what]
    target: code
    cluster: home
    auxiliary: [shop]
    confidential: [what]
  classification: {file: codes.csv, parent: parent, levels: ["2"]}
methods:
  clerk:    {kind: traditional, use: mlstats.Incumbent, params: {column: old}}
  exact:    {kind: traditional, use: mlstats.coding.ExactIndex}
  weighted: {kind: traditional, use: mlstats.coding.WeightedIndex}
  linear:   {kind: ml, use: mlstats.coding.LinearText}
  bayes:    {kind: ml, use: sklearn.naive_bayes.MultinomialNB}
  fasttext: {kind: ml, use: mlstats.coding.FastText, params: {dim: 5, epoch: 3}}
baseline: exact
candidate: linear
evaluate: {split: {by: random, test: 0.4, valid: 0.2}, bootstrap: 50}
"""
FITTED = ["exact", "weighted", "linear", "bayes", "fasttext"]
# Texts that two codes share keep every method from being right throughout.
TEXTS = {
    "01.1": ["rye bread", "wheat rolls", "milk fresh", "sugar cane", "fresh mix"],
    "01.2": ["apple juice", "black coffee", "green tea", "milk coffee", "fresh mix"],
    "03.1": ["wool socks", "cotton shirt", "winter coat", "black coat", "mix"],
}


@dataclass(frozen=True)
class Done:
    run: Run
    data: dataset.Dataset
    evaluation: object
    plain: pd.DataFrame
    fitted: list[evaluate.MethodRun]
    card: pd.DataFrame
    importances: pd.DataFrame

    @property
    def arms(self) -> dict[str, HeldOut]:
        found = held_out(self.run, self.data, self.evaluation, self.fitted)
        return {arm.name: arm for arm in found}


def lines() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    pairs = [(text, code) for code, texts in TEXTS.items() for text in texts]
    chosen = rng.integers(0, len(pairs), 600)
    code = np.array([pairs[c][1] for c in chosen])
    other = rng.choice(list(TEXTS), 600)
    return pd.DataFrame(
        {
            "line": np.arange(600),
            "home": np.arange(600) // 3,
            "what": [pairs[c][0] for c in chosen],
            "code": np.where(rng.random(600) < 0.15, other, code),
            "old": other,
            "shop": rng.choice(["market", "web"], 600),
        }
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    project = tmp_path_factory.mktemp("project")
    (project / "configs/pilots").mkdir(parents=True)
    (project / "configs/pilots/small.yaml").write_text(PILOT)
    lines().to_csv(project / "lines.csv", index=False)
    (project / "codes.csv").write_text(
        "code,title,parent\n01,a,\n03,c,\n01.1,a,01\n01.2,b,01\n03.1,c,03\n"
    )
    settings = load_settings(project=project)
    settings.prepare()
    pilot = load_pilot("small", project=project)
    run = Run("r1", pilot, settings, {}, full=True)
    data, checked = dataset.load(pilot, settings)
    checked.raise_if_failed("small")
    data = dataset.part(data, pilot)
    fitted = [evaluate.run_method(pilot, n, data, settings) for n in pilot.methods]
    _, plain, _ = runs.evaluate_methods(replace(run, full=False), data, fitted)
    evaluation, card, _ = runs.evaluate_methods(run, data, fitted)
    run.confidential.mkdir(parents=True)
    card, importances = refits.refit_methods(run, data, evaluation, card, fitted)
    return Done(run, data, evaluation, plain, fitted, card, importances)


def told(card: pd.DataFrame, indicator: str) -> pd.DataFrame:
    rows = card[(card["indicator"] == indicator) & (card["domain"] == "")]
    return rows.set_index("method")


def test_each_figure_has_one_row_a_method_before_and_after(done: Done) -> None:
    for card in (done.plain, done.card):
        for dimension, indicator in REFITS:
            rows = told(card, indicator)
            assert sorted(rows.index) == sorted(done.run.pilot.methods), indicator
            assert set(rows["dimension"]) == {dimension}
            if card is done.plain:
                assert set(rows["status"]) == {"not_measured"}
                assert rows["note"].str.contains("--full").all()
    assert not done.card["note"].str.contains("--full").any()
    assert list(done.card.columns) == list(done.plain.columns)


def test_a_rerun_of_every_fitted_method_is_identical(done: Done) -> None:
    rows = told(done.card, "rerun_changed")
    assert rows.loc[FITTED, "value"].tolist() == [0.0] * len(FITTED)
    assert set(rows.loc[FITTED, "note"]) == {"identical to the last bit"}
    assert rows.loc["clerk", "status"] == "not_applicable"


def test_seeds_move_fasttext_and_no_method_that_has_none(done: Done) -> None:
    for indicator in ("seed_spread_accuracy", "seed_spread_share"):
        rows = told(done.card, indicator)
        assert rows.loc["fasttext", "value"] > 0.01, indicator
        assert rows.loc["fasttext", "lower"] < rows.loc["fasttext", "value"]
        assert rows.loc["linear", "value"] < 0.05
        for name in ("exact", "weighted", "bayes"):
            assert rows.loc[name, "status"] == "not_applicable"
            assert "no seed; a rerun changed nothing" in rows.loc[name, "note"]


def test_the_text_matters_and_a_shop_drawn_at_random_does_not(done: Done) -> None:
    assert set(IMPORTANCE_COLUMNS) <= set(done.importances.columns)
    table = done.importances.set_index(["method", "column"])["importance"]
    for name in FITTED:
        # The exact index knows no text that two codes share: it has little to lose.
        assert table[name, "text"] > (0.05 if name == "exact" else 0.3)
        assert abs(table[name, "shop"]) < 0.05
    ranks = told(done.card, "rank_stability")
    assert ranks.loc["linear", "value"] == 1.0
    assert ranks.loc["exact", "status"] == "not_applicable"


def test_worse_input_is_worse_and_a_field_is_a_domain(done: Done) -> None:
    cut = told(done.card, "change_truncation")
    assert (cut.loc[["exact", "linear"], "value"] < -0.05).all()
    left = done.card[done.card["indicator"] == "accuracy_without_field"]
    assert set(left["domain"]) == {"without: shop"}
    assert sorted(left["method"]) == sorted(FITTED)


def test_the_second_family_is_compared_on_the_same_units(done: Done) -> None:
    arms = done.arms
    gap = arms["linear"].judged.right.mean() - arms["bayes"].judged.right.mean()
    row = told(done.card, "family_difference_accuracy")
    assert row.index.tolist() == ["linear"]
    assert row.loc["linear", "value"] == pytest.approx(gap)
    assert row.loc["linear", "note"].startswith("less bayes")


def test_words_are_stored_for_every_automatic_decision(done: Done) -> None:
    path = done.run.confidential / "explanations.parquet"
    stored = pd.read_parquet(path)
    assert set(stored["method"]) <= {"linear", "bayes", "fasttext"}
    assert stored["rank"].between(1, 5).all()
    for name, arm in done.arms.items():
        automatic = arm.units[arm.units["route"] == "automatic"]
        if hasattr(arm.method, "predict_proba"):
            own = stored[stored["method"] == name]
            assert set(own["unit"]) == set(automatic["unit"])
    assert (told(done.card, "deletion_fidelity")["status"] != "not_measured").all()
    words = {word for texts in TEXTS.values() for t in texts for word in t.split()}
    said = (done.card.to_csv() + done.importances.to_csv()).lower()
    assert not [word for word in words - {"mix", "fresh"} if word in said]


def rated(done: Done, answers: list[str]) -> Run:
    sheet = io.read_table(done.run.confidential / "expert_sheet.xlsx").frame
    sheet["plausible"] = (answers * len(sheet))[: len(sheet)]
    sheet.to_csv(done.run.settings.project / "sheet.csv", index=False)
    ratings = done.run.pilot.evaluate.model_copy(update={"expert_sheet": "sheet.csv"})
    pilot = done.run.pilot.model_copy(update={"evaluate": ratings})
    return replace(done.run, pilot=pilot)


def test_experts_are_asked_and_their_answers_are_counted(done: Done) -> None:
    asked = told(done.card, "expert_agreement")
    assert asked.loc["linear", "status"] == "not_measured"
    assert "expert_sheet.xlsx" in asked.loc["linear", "note"]
    assert asked.loc["fasttext", "status"] == "not_applicable"
    arm = done.arms["linear"]
    words = explanations.explain(arm, seed=1)[1]
    run = rated(done, ["yes", "no", "yes", "yes"])
    found = explanations.expert_rating(run, arm, words).estimate
    assert found.value == pytest.approx(0.75, abs=0.02)
    changed = replace(arm, units=arm.units.assign(prediction="01.1"))
    fewer = explanations.expert_rating(run, changed, words).estimate
    assert 0 < fewer.n < found.n
    assert "decided otherwise now" in fewer.note
    with pytest.raises(ContractError, match="neither yes nor no"):
        explanations.expert_rating(rated(done, ["maybe"]), arm, words)


def test_a_refit_that_fails_is_told_and_ends_nothing(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise MethodError("fastText's training ran into NaN")

    monkeypatch.setattr(refits, "run_method", fails)
    card, _ = refits.refit_methods(
        done.run, done.data, done.evaluation, done.plain.iloc[:0], done.fitted
    )
    for indicator in ("rerun_changed", "seed_spread_accuracy", "seed_spread_share"):
        row = told(card, indicator).loc["fasttext"]
        assert row["status"] == "not_measured"
        assert "ran into NaN" in row["note"]
    assert told(card, "accuracy_capitals").loc["fasttext", "status"] == "measured"


def test_a_seed_reaches_a_method_wherever_it_stood() -> None:
    tree = MethodSpec(
        kind="ml", use="mlstats.coding.LinearText", params={"random_state": 5, "C": 1.0}
    )
    bayes = MethodSpec(kind="ml", use="sklearn.naive_bayes.MultinomialNB")
    assert has_seed(tree)
    assert not has_seed(bayes)
    pilot = Pilot.model_construct(methods={"tree": tree, "bayes": bayes})
    changed = reseeded(pilot, "tree", 2**31 + 9)
    assert changed.methods["tree"].params == {"random_state": 9, "C": 1.0}
    assert pilot.methods["tree"].params["random_state"] == 5
    assert reseeded(pilot, "bayes", 3) is pilot

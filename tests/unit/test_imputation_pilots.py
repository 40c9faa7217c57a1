"""What an edit and imputation pilot says, against counts and sums by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.config import Pilot
from mlstats.editimpute.edits import EditSet
from mlstats.errors import ConfigError, ContractError
from mlstats.imputation_scoring import accuracy_rows
from mlstats.imputation_selective import selective_table
from mlstats.imputation_uncertainty import uncertainty
from mlstats.imputed_units import flags_of, judged_units, totals_of
from mlstats.imputing import cases, ready, run_method
from mlstats.quality.imputation_plots import distribution_table
from mlstats.quality.report_tables import KEPT_BACK
from mlstats.records import Records, load
from mlstats.settings import load_settings

KEY = b"a key of the test"
HOT_DECK = "mlstats.editimpute.HotDeck"
ERRORS = {"masks": 2, "errors": {"share": 0.1, "kinds": ["tenfold"]}}


def file_of(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "id": [f"u{i}" for i in range(n)],
            "w": rng.uniform(1, 9, n),
            "region": rng.choice(["a", "b"], n),
            "pay": rng.uniform(100, 200, n),
            "hours": rng.uniform(10, 40, n),
        }
    )


def pilot_of(variables: tuple[str, ...] = ("pay",), **evaluate: Any) -> Pilot:
    method = {"use": HOT_DECK, "params": {"by": ["region"]}}
    other = {"use": HOT_DECK, "params": {"by": []}}
    return Pilot.model_validate(
        {
            "pilot": "small",
            "theme": "editimpute",
            "owner": {"author": "me"},
            "data": {
                "source": "small.csv",
                "roles": {
                    "unit_id": "id",
                    "weight": "w",
                    "variables": variables,
                    "auxiliary": ["region"],
                },
            },
            "methods": {
                "classes": {"kind": "traditional", **method},
                "whole": {"kind": "traditional", **other},
                "new": {"kind": "ml", **method},
            },
            "baseline": "classes",
            "candidate": "new",
            "evaluate": evaluate or {"damage": ERRORS},
            "gates": [{"measure": "nrmse@pay", "versus": "whole"}],
        }
    )


def records_of(frame: pd.DataFrame, *texts: str) -> Records:
    edits = EditSet.from_texts(texts) if texts else None
    return Records(frame, "digest", [], edits=edits)


def runs_of(pilot: Pilot, records: Records) -> list[Any]:
    return [run_method(pilot, name, records) for name in pilot.methods]


def scored(pilot: Pilot, records: Records) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = runs_of(pilot, records)
    units = judged_units(pilot, records, runs, run_id="r", key=KEY)
    rows, totals = accuracy_rows(pilot, records, runs, units, KEY)
    return pd.DataFrame(rows), totals


def test_the_impact_that_stays_is_that_of_the_reported_values_not_flagged():
    pilot, records = pilot_of(), records_of(file_of(), "pay <= 1500", "pay >= 0")
    expected = []
    for case in list(cases(pilot, records))[1:]:
        off = (case.frame["pay"] - records.frame["pay"]).abs() * records.frame["w"]
        # Only what lies above the bound is flagged.
        expected.append(off[case.frame["pay"] <= 1500].sum() / off.sum())
    assert 0 < np.mean(expected) < 1
    found, _ = scored(pilot, records)
    stays = found[found["indicator"] == "remaining_impact"].set_index("method")["value"]
    # The treatments differ and have no part in it.
    assert stays.to_dict() == pytest.approx(
        dict.fromkeys(pilot.methods, float(np.mean(expected)))
    )


def test_methods_are_flagged_apart_from_what_they_impute():
    pilot, records = pilot_of(), records_of(file_of(), "pay <= 1500")
    flags = flags_of(pilot, records, runs_of(pilot, records), KEY)
    by = [part.reset_index(drop=True) for _, part in flags.groupby("method")]
    assert by[0].drop(columns="method").equals(by[1].drop(columns="method"))


def test_a_gate_can_compare_with_a_method_that_is_not_the_baseline():
    damage = {"masks": 3, "missing": {"share": 0.3}}
    pilot, records = pilot_of(damage=damage), records_of(file_of())
    found, _ = scored(pilot, records)
    rows = found[(found["indicator"] == "nrmse") & (found["domain"] == "")]
    at = rows.fillna({"versus": ""}).set_index(["method", "versus"])
    assert set(at.index) == {
        ("classes", ""),
        ("whole", "classes"),
        ("new", "classes"),
        ("new", "whole"),
    }
    assert at.loc[("new", "whole"), "difference"] == pytest.approx(
        at.loc[("new", "classes"), "value"] - at.loc[("whole", "classes"), "value"]
    )


def test_the_total_of_an_arm_is_that_of_its_records():
    pilot, records = pilot_of(), records_of(file_of(), "pay <= 1500")
    run, *_ = runs_of(pilot, records)
    totals = []
    for case, treated in zip(cases(pilot, records), run.treated, strict=True):
        pay = case.frame["pay"].to_numpy(copy=True)
        pay[treated.cells["row"].astype(int)] = treated.cells["after"].astype(float)
        totals.append(records.frame["w"] @ pay)
    _, found = scored(pilot, records)
    own = found[(found["arm"] == run.name) & (found["domain"] == "")]
    assert own["value"].item() == pytest.approx(np.mean(totals[1:]))


def test_the_error_of_a_total_is_told_of_records_whose_errors_are_treated():
    frame = file_of()
    frame.loc[:19, "pay"] *= 1000  # wrong in the data themselves; nothing is missing
    pilot, records = pilot_of(), records_of(frame, "pay <= 1500")
    runs = runs_of(pilot, records)
    _, _, tables = uncertainty(pilot, records, runs, full=False)
    for run in runs:
        told = tables["imputation_variance"].set_index("method").loc[run.name]
        assert told["total"] == pytest.approx(frame["w"] @ run.data.values["pay"])
    assert tables["delta"].empty  # nothing was missing in what is shown


def test_delta_moves_the_missing_cells_of_the_case_that_is_shown():
    frame = file_of()
    frame.loc[:14, "pay"] = np.nan
    damage = {"masks": 1, "missing": {"share": 0.2}}
    pilot, records = pilot_of(damage=damage), records_of(frame)
    runs = runs_of(pilot, records)
    _, _, tables = uncertainty(pilot, records, runs, full=False)
    table = tables["delta"].set_index(["method", "delta"])["figure"]
    values = runs[0].data.values["pay"]
    given = frame["w"][:15] @ values[:15]
    assert table["classes", 1.0] == pytest.approx(frame["w"] @ values)
    assert table["classes", 1.2] - table["classes", 1.0] == pytest.approx(0.2 * given)


def test_what_few_cells_were_given_is_not_told():
    frame = file_of()
    frame.loc[:8, "pay"] = np.nan
    damage = {"masks": 1, "missing": {"share": 0.2}}
    pilot, records = pilot_of(damage=damage), records_of(frame)
    rows, estimates, tables = uncertainty(
        pilot, records, runs_of(pilot, records), full=False
    )
    told = tables["imputation_variance"]
    assert (told["note"] == KEPT_BACK).all()
    assert told[["total", "se", "lower", "upper"]].isna().all(axis=None)
    assert estimates["estimate"].isna().all()
    assert tables["delta"][["figure", "change"]].isna().all(axis=None)
    assert all(np.isfinite(row["value"]) for row in rows)  # the share tells no value


def test_a_variable_in_which_nothing_happened_does_not_stop_the_others():
    frame = file_of().assign(pay_after=lambda f: f["pay"])
    frame.loc[:19, "pay"] *= 1000
    pilot = pilot_of(("pay", "hours"), past_edits={"pay": "pay_after"})
    records = records_of(frame, "pay <= 1500")
    found, totals = scored(pilot, records)
    assert set(found.loc[found["indicator"] == "nrmse", "level"]) == {"pay"}
    assert set(totals["level"]) == {"pay"}


def test_no_missing_and_no_treated_cell_leaves_the_tables_empty():
    frame = file_of().assign(pay_after=lambda f: f["pay"])
    frame.loc[:19, "pay"] *= 2  # no edit sees it
    pilot = pilot_of(past_edits={"pay": "pay_after"})
    records = records_of(frame, "pay <= 1500")
    rows, estimates, tables = uncertainty(
        pilot, records, runs_of(pilot, records), full=False
    )
    assert rows == []
    assert estimates.empty
    assert tables["imputation_variance"].empty


def test_a_method_without_a_value_has_no_distribution():
    units = pd.DataFrame(
        {
            "method": "m",
            "replicate": 0,
            "unit": ["a", "b"],
            "cluster": ["a", "b"],
            "stratum": "",
            "variable": "pay",
            "prediction": [None, None],
            "truth": [1.0, 2.0],
            "weight": 1.0,
        }
    )
    assert distribution_table(units, variables={"pay": "numeric"}).empty


def test_too_few_errors_leave_the_rankings_without_a_probability():
    damage = {"masks": 1, "errors": {"share": 0.05, "kinds": ["tenfold"]}}
    pilot = pilot_of(damage=damage, selective={"variable": "pay"})
    table = selective_table(pilot, records_of(file_of()))
    assert table["ranking"].nunique() == 3
    assert not table["ranking"].str.contains("p(error)", regex=False).any()


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"variable": "pay", "by": ["regionn"]}, "regionn"),
        ({"variable": "pay", "auxiliary": "region"}, "no numbers"),
        ({"variable": "region"}, "no numbers"),
    ],
)
def test_selective_editing_that_does_not_fit_is_told_before_anything_runs(spec, told):
    damage = {"masks": 1, "errors": {"kinds": ["tenfold", "other_code"]}}
    pilot = pilot_of(("pay", "region"), damage=damage, selective=spec)
    with pytest.raises(ConfigError, match=told) as caught:
        ready(pilot, records_of(file_of()))
    assert caught.value.where == "evaluate.selective"


# -- reading -----------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("DATA", "HOME", "STORE", "PROFILE"):
        monkeypatch.delenv(f"MLSTATS_{name}", raising=False)
    (tmp_path / "edits.csv").write_text(
        "id,text,severity,valid_from,valid_to\n"
        "now,pay >= 0,hard,,\nonce,pay <= -1,hard,2020,2021\n",
        encoding="utf-8",
    )
    return tmp_path


def loaded(project, frame: pd.DataFrame, *, role: bool = False, **settings: Any):
    name = "small.parquet" if settings.pop("parquet", False) else "small.csv"
    if name.endswith("csv"):
        frame.to_csv(project / name, index=False)
    else:
        frame.to_parquet(project / name)
    pilot = pilot_of(**settings.pop("evaluate", {}))
    roles = pilot.data.roles.model_copy(update={"period": "year" if role else None})
    data = {"source": name, "edits": {"file": "edits.csv"}, "roles": roles.model_dump()}
    made = pilot.model_dump() | {"data": data}
    return load(Pilot.model_validate(made), load_settings(project=project), **settings)[
        0
    ]


def test_a_period_takes_its_records_and_its_edits(project):
    frame = file_of(20).assign(year=["2025", "2026"] * 10)
    found = loaded(project, frame, role=True, period="2026")
    assert len(found.frame) == 10
    assert "once" not in {edit.id for edit in found.edits.edits}
    old = loaded(project, frame.assign(year="2020"), role=True, period="2020")
    assert "once" in {edit.id for edit in old.edits.edits}


def test_a_period_without_its_column_is_not_passed_over(project):
    with pytest.raises(ConfigError) as caught:
        loaded(project, file_of(20), period="2026")
    assert caught.value.where == "data.roles.period"


@pytest.mark.parametrize("parquet", [False, True])
def test_infinite_values_are_refused_by_name(project, parquet):
    frame = file_of(20)
    frame.loc[3, "pay"] = np.inf
    with pytest.raises(ContractError, match=r"'pay'.*infinit"):
        loaded(project, frame, parquet=parquet)


def test_past_edits_of_another_kind_are_refused_without_their_content(project):
    frame = file_of(20).assign(pay_after="secret")
    with pytest.raises(ContractError, match="pay_after") as caught:
        loaded(project, frame, evaluate={"past_edits": {"pay": "pay_after"}})
    assert "secret" not in str(caught.value)


def test_digits_that_were_read_as_text_are_no_numbers(project):
    frame = file_of(20).assign(pay=lambda f: f["pay"].round().astype(int).astype(str))
    with pytest.raises(ContractError, match=r"'pay' holds text .*\(20 records"):
        loaded(project, frame, parquet=True)


def test_a_category_of_few_records_is_kept_back_under_every_arm():
    """Its share would be the weight of one record."""
    rng = np.random.default_rng(3)
    n = 300
    frame = pd.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "kind": rng.choice(["a", "b"], n),
            "w": rng.uniform(1, 3, n),
        }
    )
    frame.loc[5, "kind"] = "rare"
    found = totals_of(_pilot_of(), Records(frame, "d", []))
    counts = found.set_index("category")["n"].to_dict()
    assert counts["rare"] == 1
    assert counts["a"] + counts["b"] == n - 1


def _pilot_of() -> Pilot:
    tree = {
        "pilot": "rare",
        "theme": "editimpute",
        "owner": {"author": "tests"},
        "data": {
            "source": "x.csv",
            "roles": {"unit_id": "id", "variables": ["kind"], "weight": "w"},
        },
        "methods": {
            "deck": {"kind": "traditional", "use": "mlstats.editimpute.HotDeck"},
            "chain": {"kind": "ml", "use": "mlstats.editimpute.ChainedImputer"},
        },
        "baseline": "deck",
        "candidate": "chain",
        "evaluate": {"damage": {"missing": {}}},
    }
    return Pilot.model_validate(tree)

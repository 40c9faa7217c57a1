"""Periods of an edit and imputation pilot, from their records to a release."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats import drill, production, production_reading
from mlstats.config_editimpute import Selective
from mlstats.editimpute import read_edits
from mlstats.editimpute import review as review_edits
from mlstats.errors import ConfigError, ContractError
from mlstats.evaluate import keyed, project_key
from mlstats.imputation_production import Treated, load, of_column
from mlstats.imputation_routes import LEAST_EFFECT, given, waiting
from mlstats.imputation_sums import ImputedSums, Sides
from mlstats.imputation_totals import totals_of
from mlstats.pilot_files import load_pilot
from mlstats.produced import Produced
from mlstats.records import Records
from mlstats.settings import Settings, load_settings
from tests.flows.canary import find
from tests.flows.conftest import UNIT
from tests.flows.test_editimpute_run import EDITS, survey
from tests.recipe_example import decide, direct, keep, registered, review

PILOT = """
pilot: survey
theme: editimpute
owner: {author: tests}
data:
  source: survey.csv
  frequency: Q
  history: {source: turnover.csv}
  edits: {file: edits.yaml}
  roles:
    unit_id: unit
    cluster: firm
    stratum: area
    weight: weight
    variables: [turnover, costs, profit, staff, kind]
    auxiliary: [register, turnover_before]
    domain: [area]
    confidential: [unit, firm]
methods:
  donor:
    kind: traditional
    use: mlstats.editimpute.NearestDonor
    params: {match: [register], min_donors: 5, min_percent: 5, post_edits: false}
  other:
    kind: ml
    use: mlstats.editimpute.NearestDonor
    params: {match: [turnover_before], min_donors: 5, min_percent: 5, post_edits: false}
baseline: donor
candidate: other
evaluate: {damage: {masks: 2, missing: {share: 0.2}}}
gates: [{measure: edits_failing, at_most: 0}]
production:
  source: survey_{period}.csv
  history: turnover_{before}.csv
  review: {audit_sample: 60}
"""
NAMES = ["turnover", "costs", "profit", "staff", "kind"]
PERIOD = "2026-Q2"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a project with two quarters of one survey."""
    project = tmp_path_factory.mktemp("survey") / "a project"
    (project / "configs/pilots").mkdir(parents=True)
    (project / "configs/pilots/survey.yaml").write_text(PILOT)
    (project / "edits.yaml").write_text(EDITS)
    frame = survey().iloc[:500].copy()
    frame.loc[[3, 410], ["turnover", "costs"]] = 2000.0
    frame.loc[frame.index % 11 == 5, "kind"] = None
    frame["area"] = frame.groupby("firm")["area"].transform("first")
    frame.to_csv(project / "survey_2026-Q2.csv", index=False)
    later = frame.assign(turnover=frame["turnover"] * 1.01)
    later.to_csv(project / "survey_2026-Q3.csv", index=False)
    for period in ("2026-Q1", "2026-Q2"):
        noise = np.random.default_rng(3).lognormal(0, 0.5, len(frame))
        before = frame[["unit"]].assign(turnover=(frame["register"] * noise).round())
        before.to_csv(project / f"turnover_{period}.csv", index=False)
    return project


@pytest.fixture
def settings(office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Work in a copy of the project, all arms in this process."""
    shutil.copytree(office, tmp_path / "office")
    monkeypatch.chdir(tmp_path / "office")
    monkeypatch.setattr(production_reading, "isolated", direct)
    return load_settings(project=tmp_path / "office")


@pytest.fixture(scope="module")
def decided(office: Path, tmp_path_factory: pytest.TempPathFactory) -> Produced:
    """Produce a period by the version in production, its arms in own processes."""
    project = tmp_path_factory.mktemp("decided") / "office"
    shutil.copytree(office, project)
    settings = load_settings(project=project)
    decide(settings, "survey")
    return production.produce("survey", PERIOD, settings)


def kept(made: Produced, name: str) -> pd.DataFrame:
    assert made.release is not None
    return pd.read_parquet(made.release.folder / f"confidential/{name}.parquet")


def reported(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / f"survey_{PERIOD}.csv", dtype={"unit": str})


def by_hand(values: np.ndarray, units: pd.DataFrame) -> tuple[float, float, int]:
    """Return weighted total, its error in clusters of strata, degrees of freedom."""
    scores = pd.Series(values * units["weight"])
    clusters = scores.groupby([units["stratum"], units["cluster"]]).sum()
    variance, df = 0.0, 0
    for _, part in clusters.groupby(level=0):
        variance += len(part) * part.var(ddof=1)
        df += len(part) - 1
    return float(scores.sum()), float(np.sqrt(variance)), df


def told(made: Produced, variable: str, domain: str = "", of: str = "") -> pd.Series:
    rows = made.totals[
        (made.totals["variable"] == variable)
        & (made.totals["domain"] == domain)
        & (made.totals["class"] == of)
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_value_tells_where_it_is_from(decided: Produced, office: Path) -> None:
    units, cells = kept(decided, "units"), kept(decided, "cells")
    frame = reported(office)
    assert decided.reasons == ()
    assert units["unit"].tolist() == frame["unit"].tolist()
    touched = cells.set_index(["unit", "variable"])
    assert not touched.index.has_duplicates
    for name in NAMES:
        same = units[f"value_{name}"].eq(frame[name])
        changed = frame.loc[~same, "unit"]
        assert changed.isin(touched.xs(name, level="variable").index).all()
        assert units[f"value_{name}"].notna().all()
    labels = set(cells["model_version"])
    assert len(labels) == 1
    assert labels.pop().startswith("other v2@")
    assert set(cells["method"]) == {"other"}
    treated = units["unit"].isin(cells["unit"])
    assert (units.loc[~treated, "model_version"] == "reported").all()
    assert (units.loc[treated, "method"] == "other").all()
    assert cells["confidence"].isna().all()
    assert cells["status"].eq("imputed").all()
    donors = cells.loc[cells["step"] == "nearest donor", "donor"]
    assert len(donors)
    assert donors.isin(frame["unit"]).all()
    values = units.set_index("unit")
    for row in cells.to_dict("records"):
        held = values.loc[row["unit"], f"value_{row['variable']}"]
        assert str(held) == row["value"] == row["champion_value"]
    assert cells["baseline_value"].notna().all()


def test_edits_hold_in_what_is_released(decided: Produced, office: Path) -> None:
    units = kept(decided, "units")
    edits = read_edits(office / "edits.yaml")
    values = units[[f"value_{name}" for name in NAMES]].set_axis(NAMES, axis=1)
    assert (review_edits(reported(office), edits).status == "fail").any()
    assert (review_edits(values, edits).status == "pass").all()


def test_totals_are_those_of_the_values_by_the_design(decided: Produced) -> None:
    units = kept(decided, "units")
    for name in ("turnover", "profit", "staff"):
        value, se, df = by_hand(units[f"value_{name}"].to_numpy(), units)
        row = told(decided, f"total of {name}")
        assert row["estimate"] == pytest.approx(value)
        assert row["se"] == pytest.approx(se)
        assert row["df"] == df
        half = stats.t.ppf(0.975, df) * se
        assert row["lower"] == pytest.approx(value - half)
        assert row["n"] == 500
        assert "without that of imputation" in row["note"]
        mean = told(decided, f"mean of {name}")
        assert mean["estimate"] == pytest.approx(value / units["weight"].sum())
    north = (units["domain_area"] == "north").to_numpy()
    value, se, _ = by_hand(units["value_costs"].to_numpy() * north, units)
    row = told(decided, "total of costs", "area=north")
    assert (row["estimate"], row["se"]) == (pytest.approx(value), pytest.approx(se))
    assert row["n"] == north.sum()
    sole = (units["value_kind"] == "sole").to_numpy(float)
    row = told(decided, "share of kind", of="sole")
    share = np.average(sole, weights=units["weight"])
    assert row["estimate"] == pytest.approx(share)
    assert row["n"] == sole.sum()


def test_the_difference_is_of_the_same_records(decided: Produced) -> None:
    units, cells = kept(decided, "units"), kept(decided, "cells")
    own = units["value_staff"].to_numpy()
    base = pd.Series(own, units["unit"])
    mine = cells[cells["variable"] == "staff"].set_index("unit")["baseline_value"]
    base[mine.index] = mine.astype(float)
    row = told(decided, "total of staff")
    value, se, df = by_hand(own - base.to_numpy(), units)
    assert (own != base.to_numpy()).sum() >= 10
    assert row["difference"] == pytest.approx(value)
    assert row["difference_upper"] == pytest.approx(value + stats.t.ppf(0.975, df) * se)
    assert row["baseline"] == pytest.approx(row["estimate"] - value)


def test_few_and_large_records_wait_in_their_order(decided: Produced) -> None:
    queue, units = kept(decided, "queue"), kept(decided, "units")
    waits = units[units["route"] == "queue"]
    assert 0 < len(waits) < 100
    assert waits["open"].all()
    assert set(queue["unit"]) == set(waits["unit"])
    assert (queue["effect"] >= LEAST_EFFECT).all()
    assert set(queue["reason"]) == {"the methods differ"}
    first = queue.groupby("unit", sort=False)["effect"].first()
    assert first.is_monotonic_decreasing
    top = queue.iloc[0]
    gap = abs(float(top["champion_value"]) - float(top["baseline_value"]))
    row = units.set_index("unit").loc[top["unit"]]
    whole = (units["weight"] * units[f"value_{top['variable']}"]).sum()
    assert top["effect"] == pytest.approx(row["weight"] * gap / whole)
    assert decided.counts["queue"] == decided.counts["open"] == len(waits)
    assert not decided.release.final


def test_the_audit_is_of_treated_records_with_known_chances(decided: Produced) -> None:
    audit, units = kept(decided, "audit"), kept(decided, "units")
    pool = units[(units["cells"] > 0) & (units["route"] != "queue")]
    assert len(audit) == 60
    assert set(audit["unit"]) <= set(pool["unit"])
    assert audit["audit_weight"].sum() == pytest.approx(len(pool))
    assert audit.groupby("audit_stratum")["inclusion"].nunique().eq(1).all()
    assert set(units.loc[units["route"] == "audit", "unit"]) == set(audit["unit"])


def test_the_baseline_produces_before_any_decision(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pilot = load_pilot("survey", project=settings.project)
    base = keep(settings, pilot, "donor")
    known = registered(base)
    monkeypatch.setattr(
        "mlstats.production_arms.read_registry", lambda settings, pilot: known
    )
    dry = production.produce("survey", PERIOD, settings, dry_run=True)
    assert dry.release is None
    assert not settings.releases.exists()
    made = production.produce("survey", PERIOD, settings)
    pd.testing.assert_frame_equal(dry.totals, made.totals)
    assert not made.fallback
    cells = kept(made, "cells")
    assert set(cells["model_version"]) == {f"donor@{base[:12]}"}
    assert cells["champion_value"].isna().all()
    assert made.totals["difference"].isna().all()
    assert made.totals["note"].str.contains("one method alone").all()
    assert set(kept(made, "units")["flag"]) == {""}
    again = production.produce("survey", PERIOD, settings)
    assert again.release.folder == made.release.folder
    # the next quarter has the values of this one as its earlier ones
    later = production.produce("survey", "2026-Q3", settings)
    assert later.release.facts["drift"] != "not compared"
    row = told(later, "total of turnover")
    assert row["last_period"] == told(made, "total of turnover")["estimate"]
    assert any("500 of 500 records have an earlier" in note for note in later.notes)


def test_a_missing_recipe_is_a_fallback_that_is_told(settings: Settings) -> None:
    model = decide(settings, "survey")
    first = production.produce("survey", PERIOD, settings)
    shutil.rmtree(settings.confidential / "models" / model)
    later = production.produce("survey", "2026-Q3", settings)
    assert [one.cause for one in later.reasons] == ["model"]
    assert later.fallback
    assert set(kept(later, "units")["flag"]) == {"fallback: model"}
    assert set(kept(later, "cells")["method"]) == {"donor"}
    linked = pd.read_parquet(later.release.folder / "method_difference.parquet")
    row = linked[(linked["variable"] == "total of turnover") & (linked["domain"] == "")]
    before = told(first, "total of turnover")
    assert row["difference"].iloc[0] == before["difference"]
    assert row["period"].iloc[0] == PERIOD


def test_a_recipe_with_other_edits_is_not_used(settings: Settings) -> None:
    decide(settings, "survey")
    path = settings.project / "edits.yaml"
    path.write_text(EDITS.replace("0.7 * turnover", "0.69 * turnover"))
    made = production.produce("survey", PERIOD, settings)
    assert [one.cause for one in made.reasons] == ["model"]
    assert "approved with other edits" in made.reasons[0].said
    units = kept(made, "units")
    assert set(units["flag"]) == {"fallback: model"}
    assert set(kept(made, "cells")["method"]) == {"donor"}
    assert made.counts["fallback"] == 500
    assert made.totals["note"].str.contains("was approved with other edits").all()


def test_reviews_replace_values_and_close_the_queue(settings: Settings) -> None:
    decide(settings, "survey")
    first = production.produce("survey", PERIOD, settings)
    queue, key = kept(first, "queue"), project_key(settings)
    hashes = keyed(queue["unit"], key)
    pairs = list(zip(hashes, queue["variable"], strict=True))
    values = ["-5" if v != "kind" else "sole" for v in queue["variable"]]
    answers = [(*pair, value) for pair, value in zip(pairs, values, strict=True)]
    review(settings, "survey", PERIOD, *answers[:1])
    half = production.produce("survey", PERIOD, settings)
    assert half.release.number == 2
    units = kept(half, "units").set_index("unit")
    name = queue["variable"][0]
    assert units.loc[queue["unit"][0], f"value_{name}"] == -5.0
    assert "reviewed" in units.loc[queue["unit"][0], "flag"]
    cell = kept(half, "cells").set_index(["unit", "variable"])
    mine = cell.loc[(queue["unit"][0], name)]
    assert (mine["method"], mine["model_version"]) == ("clerk", "clerk")
    assert mine["value"] == "-5.0"
    review(settings, "survey", PERIOD, *answers[1:])
    done = production.produce("survey", PERIOD, settings)
    assert done.release.final
    assert done.counts["open"] == 0
    assert done.counts["closed"] == queue["unit"].nunique()
    units = kept(done, "units")
    value, _, _ = by_hand(units["value_staff"].to_numpy(), units)
    assert told(done, "total of staff")["estimate"] == pytest.approx(value)
    broken = units.loc[units["flag"].str.contains("fails a hard edit"), "unit"]
    assert set(broken) <= set(queue["unit"])
    assert len(broken)  # nobody has -5 people


@pytest.mark.parametrize(
    ("variable", "code", "said"),
    [
        ("turnover", "many", "holds no value that it can have"),
        ("turnover", "inf", "holds no value that it can have"),
        ("kind", " ", "holds no value that it can have"),
        ("turnovr", "12", "no variable of the pilot"),
    ],
)
def test_a_review_that_is_no_value_is_refused(
    decided: Produced, variable: str, code: str, said: str
) -> None:
    values = kept(decided, "units").filter(like="value_")
    values.columns = values.columns.str.removeprefix("value_")
    reviewed = pd.DataFrame({"variable": [variable], "code": [code]})
    with pytest.raises(ContractError, match=said) as caught:
        given(reviewed, values, PERIOD)
    assert code.strip() == "" or code not in str(caught.value)


def test_a_file_of_a_period_need_not_say_which(office: Path) -> None:
    path = office / "configs/pilots/survey.yaml"
    text = PILOT.replace("source: survey.csv", "source: survey_{period}.csv")
    text = text.replace("  source: survey_{period}.csv\n  history: t", "  history: t")
    text = text.replace("  frequency: Q", "  periods: 2026-Q2\n  frequency: Q")
    text = text.replace("    unit_id: unit", "    unit_id: unit\n    period: quarter")
    path.with_name("quarters.yaml").write_text(text.replace("survey\n", "quarters\n"))
    pilot = load_pilot("quarters", project=office)
    assert pilot.production.source is None
    data, result = load(pilot, load_settings(project=office), PERIOD)
    assert result.ok
    assert set(data.frame["quarter"]) == {PERIOD}
    path.with_name("quarters.yaml").unlink()


def test_a_column_treats_no_records(office: Path) -> None:
    pilot = load_pilot("survey", project=office)
    with pytest.raises(ConfigError, match="treats no records"):
        of_column(pilot, "donor", None)  # type: ignore[arg-type]


def test_no_planted_word_is_in_what_is_published(decided: Produced) -> None:
    assert decided.release is not None
    folder = decided.release.folder
    files = [p for p in folder.rglob("*") if p.is_file()]
    secret = [p for p in files if "confidential" in p.relative_to(folder).parts]
    assert find([UNIT], secret)  # else the next line would prove nothing
    shown = sorted(set(files) - set(secret))
    assert {".html", ".xlsx", ".parquet"} <= {path.suffix for path in shown}
    assert find([UNIT, "FIRMCANARY88"], shown) == []


def test_a_version_in_the_shadow_is_kept_beside_the_release(
    settings: Settings,
) -> None:
    model = decide(settings, "survey", "shadow")
    back = production.produce("survey", PERIOD, settings, back_cast=True)
    assert back.release is None
    assert back.shadow is not None
    assert not settings.releases.exists()
    made = production.produce("survey", PERIOD, settings)
    assert made.shadow is not None
    assert made.shadow.facts["answered"]
    assert made.shadow.facts["shadow_model"] == model
    totals = pd.read_parquet(made.shadow.folder / "totals.parquet")
    assert totals["difference"].notna().any()
    assert set(kept(made, "cells")["method"]) == {"donor"}
    assert made.totals["difference"].isna().all()


def test_a_column_that_is_missing_is_told_by_the_contract(settings: Settings) -> None:
    decide(settings, "survey")
    path = settings.project / f"survey_{PERIOD}.csv"
    for name in ("costs", "weight"):
        reported(settings.project).drop(columns=name).to_csv(path, index=False)
        with pytest.raises(ContractError, match=f"{name}: is not in the data"):
            production.produce("survey", PERIOD, settings)
        shutil.copy(settings.project / "survey_2026-Q3.csv", path)


def test_a_broken_contract_is_a_fallback_and_a_review_keeps_its_flag(
    settings: Settings,
) -> None:
    decide(settings, "survey")
    path = settings.project / f"survey_{PERIOD}.csv"
    frame = reported(settings.project)
    frame.loc[1, "area"] = "south" if frame.loc[0, "area"] == "north" else "north"
    frame.loc[20, "turnover"] = frame["turnover"].sum()  # no balance: it is treated
    frame.to_csv(path, index=False)
    made = production.produce("survey", PERIOD, settings)
    assert [one.cause for one in made.reasons] == ["contract"]
    queue = kept(made, "queue")
    assert set(queue["reason"]) == {"was changed"}
    (unit, *_) = keyed(queue["unit"], project_key(settings))
    review(settings, "survey", PERIOD, (unit, queue["variable"][0], "7"))
    units = kept(production.produce("survey", PERIOD, settings), "units")
    flag = units.set_index("unit").loc[queue["unit"][0], "flag"]
    assert flag.startswith("fallback: contract; reviewed")


def test_a_drill_leaves_out_the_loss_that_no_audit_measures(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes values as they were reported for nobody's."""
    decide(settings, "survey")
    every = drill._CAUSES
    safe = {name: every[name] for name in ("contract", "model", "performance")}
    monkeypatch.setattr(drill, "_CAUSES", safe)
    found = list(drill.drill("survey", settings, period=PERIOD))
    assert [one.cause for one in found] == ["contract", "model"]
    assert all(one.passed for one in found)
    assert not settings.releases.exists()


def made_of(**cells: list[object]) -> Treated:
    """Return 400 records of which some cells were treated, as an arm hands them."""
    n = 400
    values = pd.DataFrame(
        {
            "turnover": 100.0,
            "costs": 60.0,
            "profit": 40.0,
            "staff": 3.0,
            "kind": "company",
        },
        index=range(n),
    )
    table = pd.DataFrame(
        {"row": [], "variable": [], "selection": [], "status": [], "step": []} | cells
    )
    table = table.assign(donor=pd.NA, reason="").astype({"row": int})
    return Treated(values, table)


def records_of(settings: Settings, values: pd.DataFrame) -> Records:
    frame = values.assign(unit=[f"{i:03d}" for i in range(len(values))], register=10.0)
    frame = frame.assign(weight=1.0, area="north", turnover_before=10.0, firm="f")
    edits = read_edits(settings.project / "edits.yaml")
    return Records(frame, "d", [], [], edits)


def test_what_fails_or_is_missing_comes_before_what_is_large(
    settings: Settings,
) -> None:
    pilot = load_pilot("survey", project=settings.project)
    found = made_of(
        row=[7, 8],
        variable=["staff", "kind"],
        selection=["missing", "missing"],
        status=["imputed", "not_imputed"],
        step=["nearest donor", ""],
    )
    other = made_of()
    records = records_of(settings, found.values)
    found.values.loc[5, "profit"] = 41.0  # the balance fails
    other.values.loc[7, "staff"] = 4.0  # 1 of 1200
    other.values.loc[9, "turnover"] = 500.0  # 400 of 40000
    queue = waiting(pilot, records, found, other)
    assert list(zip(queue["row"], queue["variable"], strict=True)) == [
        (5, "turnover"), (5, "costs"), (5, "profit"), (8, "kind"), (9, "turnover"),
    ]  # fmt: skip
    assert queue["reason"].tolist() == [
        *["fails a hard edit"] * 3, "no value could be given", "the methods differ",
    ]  # fmt: skip
    assert queue["effect"].tolist()[-1] == pytest.approx(0.01)


def test_one_arm_alone_is_held_to_what_was_reported(settings: Settings) -> None:
    pilot = load_pilot("survey", project=settings.project)
    found = made_of(
        row=[1, 2],
        variable=["turnover", "turnover"],
        selection=["edit", "unit of measure"],
        status=["imputed", "imputed"],
        step=["nearest donor", "divided by 1000"],
    )
    records = records_of(settings, found.values.copy())
    records.frame.loc[1, "turnover"] = 1000.0
    records.frame.loc[2, "turnover"] = 100_000.0  # was put right by a rule
    queue = waiting(pilot, records, found, None)
    assert queue["row"].tolist() == [1]
    assert queue["reason"].tolist() == ["was changed"]
    spec = pilot.evaluate.model_copy(update={"selective": Selective(variable="staff")})
    scored = pilot.model_copy(update={"evaluate": spec})
    for table in (found.values, records.frame):
        table.loc[3, "staff"] = 50.0  # the median is 3
    queue = waiting(scored, records, found, None).set_index("reason")
    told = queue.loc["is not usual"]
    assert (told["row"], told["variable"]) == (3, "staff")


def figures(
    sides: Sides, units: pd.DataFrame, domains: Sequence[str] = ()
) -> pd.DataFrame:
    return totals_of(ImputedSums.of(sides, units, domains=domains))


def test_a_difference_of_few_records_is_not_told() -> None:
    n = 40
    frame = pd.DataFrame({"x": np.arange(n, dtype=float)})
    units = pd.DataFrame(
        {"weight": 2.0, "stratum": "", "cluster": np.arange(n), "fraction": 0.0}
        | {"open": np.arange(n) < 4, "domain_part": np.where(frame["x"] < 9, "a", "b")}
    )
    few, many = frame.copy(), frame.copy()
    few.loc[:8, "x"] += 1
    many.loc[:9, "x"] += 1
    never = frame.isna()
    held = figures(Sides(frame, few, frame, never), units, domains=["part"])
    row = held.set_index(["variable", "domain"]).loc[("total of x", "")]
    assert np.isnan([row["difference"], row["baseline"]]).all()
    assert "fewer than 10 records differ" in row["note"]
    # Nine records are told nothing of, nor the others, which would leave them.
    assert set(held["domain"]) == {""}
    assert row["open_share"] == 0.1
    table = figures(Sides(frame, many, frame, never), units)
    row = table.set_index("variable").loc["total of x"]
    assert row["difference"] == 20
    assert row["baseline"] == row["estimate"] == 2 * frame["x"].sum()


def test_no_difference_is_what_the_others_leave_of_the_whole() -> None:
    n = 90
    frame = pd.DataFrame({"x": np.arange(n, dtype=float)})
    units = pd.DataFrame(
        {"weight": 2.0, "stratum": "", "cluster": np.arange(n), "fraction": 0.0}
        | {"open": False, "domain_part": np.repeat(["a", "b", "c"], 30)}
    )
    other = frame.copy()
    other.loc[:14, "x"] += 1  # fifteen in a
    other.loc[30:34, "x"] += 1  # five in b
    never = frame.isna()
    table = figures(Sides(frame, other, frame, never), units, domains=["part"])
    held = table.set_index(["variable", "domain"])["difference"].loc["total of x"]
    assert held[""] == 40
    assert held[["part=a", "part=b", "part=c"]].isna().all()
    other.loc[60:64, "x"] += 1  # and five in c: ten together
    table = figures(Sides(frame, other, frame, never), units, domains=["part"])
    held = table.set_index(["variable", "domain"])["difference"].loc["total of x"]
    assert held["part=a"] == 30
    assert held[["part=b", "part=c"]].isna().all()


def test_a_total_with_a_value_missing_is_not_told_unless_that_is_an_answer() -> None:
    n = 40
    frame = pd.DataFrame({"x": np.ones(n)})
    frame.loc[0, "x"] = np.nan
    units = pd.DataFrame(
        {"weight": 2.0, "stratum": "", "cluster": np.arange(n), "fraction": 0.0},
    ).assign(open=False)
    gap = figures(Sides(frame, None, frame, frame.isna() & False), units)
    assert gap["estimate"].isna().all()
    assert gap["note"].str.contains("1 values are missing").all()
    told = figures(Sides(frame, None, frame, frame.isna()), units)
    assert told["estimate"].tolist() == [78.0, 1.0]
    assert told["n"].tolist() == [39, 39]

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from mlstats.errors import ConfigError
from mlstats.quality.evaluation import ESTIMATES
from mlstats.quality.evidence import parse
from mlstats.quality.sims import (
    COLUMNS,
    SimsExport,
    as_csv,
    as_json,
    as_markdown,
    export,
    read_concepts,
    write_sims,
)
from tests.report_example import NASTY, example_gates, example_scorecard, row

HASH = "ab" * 32


def estimates() -> pd.DataFrame:
    rows = [
        ("r", "2026-01", "truth", "share of 1", "01", 0.25, 0.01, 40.0, 500, "ratio"),
        ("r", "2026-01", "linear", "share of 1", "01", 0.27, float("nan"), 0.0, 5, "-"),
    ]
    return pd.DataFrame(rows, columns=list(ESTIMATES))


def made(scorecard: pd.DataFrame | None = None, **changes: object) -> SimsExport:
    given = {"period": "2026-01/2026-03", "provenance": HASH} | changes
    return export(
        example_scorecard() if scorecard is None else scorecard,
        example_gates(),
        estimates(),
        **given,  # type: ignore[arg-type]
    )


def test_every_row_says_concept_period_and_provenance() -> None:
    rows = made().rows
    assert list(rows.columns) == list(COLUMNS)
    assert rows["concept"].str.fullmatch(r"S(\.\d+)+").all()
    assert (rows["period"] == "2026-01/2026-03").all()
    assert (rows["provenance"] == HASH).all()
    assert (rows["gsbpm"] == "5.2").all()
    codes = list(dict.fromkeys(rows["concept"]))
    numbers = [[int(part) for part in code.split(".")[1:]] for code in codes]
    assert numbers == sorted(numbers)


def test_figure_is_told_with_its_interval() -> None:
    rows = made().rows
    found = rows[(rows["indicator"] == "accuracy") & (rows["method"] == "linear")]
    full = found[(found["level"] == "full") & (found["domain"] == "")].iloc[0]
    assert full["value"] == 0.675
    assert full["sdmx_concept"] == "ACCURACY_OVERALL"
    assert "linear, full code: 67.5" in full["text"]
    assert "95 % interval 65.7 to 69.3" in full["text"]
    assert "2,634 units" in full["text"]


def test_what_was_not_measured_is_told_without_a_value() -> None:
    rows = made().rows
    found = rows[(rows["indicator"] == "automation_guaranteed")]
    absent = found[found["method"] == "incumbent"].iloc[0]
    assert pd.isna(absent["value"])
    assert "not applicable" in absent["text"]
    gate = rows[rows["text"].str.contains("rerun gives")].iloc[0]
    assert "not measured, no second run was made" in gate["text"]


def test_estimate_without_a_standard_error_says_so() -> None:
    rows = made().rows
    told = rows[rows["concept"] == "S.13.2.1"]["text"].tolist()
    assert "0.25, standard error 0.01" in told[0]
    assert "no standard error" in told[1]


def test_nothing_is_made_up_and_what_is_left_out_is_counted() -> None:
    unknown = row(dimension="data", indicator="moon_phase", method="linear", value=1.0)
    scorecard = pd.concat(
        [example_scorecard(), pd.DataFrame([unknown, unknown | {"level": "2"}])],
        ignore_index=True,
    )
    found = made(scorecard)
    assert found.without_concept["moon_phase"] == 2
    assert "moon_phase" not in found.rows["indicator"].tolist()
    assert "S.17.2.1" in found.without_figure
    assert "S.17.2.1" not in found.rows["concept"].tolist()
    blank = found.rows["sdmx_concept"] == ""
    assert found.without_sdmx == blank.sum() > 0
    known = set(read_concepts().rows["sdmx_concept"])
    assert set(found.rows["sdmx_concept"]) <= known


def test_figure_is_told_once_whatever_it_is_compared_with() -> None:
    again = example_scorecard().assign(versus="other")
    twice = pd.concat([example_scorecard(), again], ignore_index=True)
    pd.testing.assert_frame_equal(made(twice).rows, made().rows)


def test_no_figure_at_all_is_an_empty_export() -> None:
    found = export(
        example_scorecard().head(0),
        example_gates().head(0),
        estimates().head(0),
        period="2026",
        provenance=HASH,
    )
    assert len(found.rows) == 0
    assert len(found.without_figure) == read_concepts().rows["concept"].nunique()
    assert "Left out" in as_markdown(found)
    assert parse(as_json(found).encode())["rows"] == []


def test_json_is_canonical_and_csv_holds_the_same_rows() -> None:
    found = made()
    told = json.loads(as_json(found))
    assert parse(as_json(found).encode()) == told
    assert told["concepts_sha256"] == read_concepts().sha256
    assert "current Eurostat list" in told["caution"]
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(rows) == len(told["rows"]) == len(found.rows)
    for one, two in zip(rows, told["rows"], strict=True):
        assert one["text"] == two["text"]
        value = None if one["value"] == "" else float(one["value"])
        assert value == two["value"]


def test_markdown_has_a_heading_per_concept() -> None:
    text = as_markdown(made())
    assert "## S.13.1 Accuracy - overall (SDMX: ACCURACY\\_OVERALL)" in text
    assert text.count("\n## S.13.3.4 ") == 1
    assert HASH in text


def test_hostile_names_run_nowhere() -> None:
    scorecard = example_scorecard().assign(domain="=cmd|' /C calc'!A0", method=NASTY)
    found = made(scorecard)
    for line in csv.DictReader(io.StringIO(as_csv(found))):
        assert not any(cell.startswith("=") for cell in line.values())
    assert "<script>" not in as_markdown(found)
    parse(as_json(found).encode())


def test_written_files(tmp_path: Path) -> None:
    write_sims(made(), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["sims.csv", "sims.json", "sims.md"]
    assert (tmp_path / "sims.csv").read_text(encoding="utf-8") == as_csv(made())


def test_shipped_file_states_its_source_and_caution() -> None:
    rows = read_concepts().rows
    assert rows["source"].str.contains("from knowledge").all()
    assert rows["caution"].str.contains("to be checked").all()
    with_id = rows["sdmx_concept"] != ""
    assert rows.loc[with_id, "source"].str.contains("cross-domain concepts 1.0").all()
    pairs = rows[["concept", "name", "sdmx_concept"]].drop_duplicates()
    assert not pairs["concept"].duplicated().any()


def test_own_file_replaces_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = read_concepts().rows.head(3).assign(version="7", source="our list of 2026")
    rows.to_csv(path, index=False)
    found = made(concepts=read_concepts(path))
    assert set(found.rows["concept"]) == {"S.11.2", "S.13.1"}
    assert "version 7" in as_markdown(found)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("S.11.2,", "11.2,", 2),
        ("ACCURACY_OVERALL,scorecard,accuracy", "accuracy,scorecard,accuracy", 3),
        ("gates,*", "lists,*", 2),
        ("version,concept", "version,code", 1),
    ],
)
def test_mistake_in_an_own_file_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int
) -> None:
    text = read_concepts().rows.to_csv(index=False)
    assert text.count(old) == 1
    path = tmp_path / "own.csv"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_concepts(path)
    assert error.value.where == f"{path}:{line}"


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_concepts(tmp_path / "none.csv")

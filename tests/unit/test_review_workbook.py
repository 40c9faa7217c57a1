"""A coder's workbook: what stands in it, what comes back, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from mlstats import review_rows
from mlstats.errors import ConfigError, ContractError, MlstatsError, UsageError
from mlstats.review_export import as_saved, export, read_texts
from mlstats.review_files import ReviewFiles, kept_rows
from mlstats.review_import import PROBLEMS, import_file
from mlstats.review_rows import data_of, open_period, shown, waiting
from mlstats.review_status import labels, status_of, write_labels
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import load_settings
from tests.review_example import AWKWARD, NAME, PERIOD, Desk, desk, release


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Make the project once."""
    return desk(tmp_path_factory.mktemp("desk"), 240)


@pytest.fixture
def at_desk(made: Desk, tmp_path: Path) -> Desk:
    """Return a copy of the project."""
    project = tmp_path / "a project"
    shutil.copytree(made.settings.project, project)
    return replace(made, settings=load_settings(project=project))


def rewrite(path: Path, change: Callable[[Any], None]) -> Path:
    """Save a workbook with a change, as a spreadsheet program would."""
    book = openpyxl.load_workbook(path)
    change(book)
    book.save(path)
    return path


def places(sheet: Any) -> dict[str, int]:
    return {cell.value: cell.column for cell in sheet[1]}


def fill(path: Path, code_of: Callable[[str], str | None], rows: pd.DataFrame) -> Path:
    """Write a code into each row, by the unit's hash."""
    hashes = dict(zip(rows["row"], rows["hash"], strict=True))

    def change(book: Any) -> None:
        sheet = book["review"]
        at = places(sheet)
        for number in range(2, sheet.max_row + 1):
            row = sheet.cell(number, at["row"]).value
            sheet.cell(number, at["code"]).value = code_of(hashes[row])

    return rewrite(path, change)


def coded(at: Desk, coder: str = "kim", **options: Any) -> Any:
    """Export a file and fill it with the truth."""
    done = export(NAME, PERIOD, at.settings, coder=coder, **options)
    kept = kept_rows(at.settings, NAME, PERIOD, done.file.export)
    fill(done.path, at.truth.get, kept)
    return done


def reviews(at: Desk) -> pd.DataFrame:
    return ReviewStore(at.settings.database).read(NAME, PERIOD)


# -- what a coder sees -------------------------------------------------------------


def test_truth_is_not_anchored_and_the_audit_is_not_told(at_desk: Desk) -> None:
    done = export(NAME, PERIOD, at_desk.settings, coder="kim")
    book = openpyxl.load_workbook(done.path)
    sheet = pd.DataFrame(book["review"].values)
    sheet = sheet.iloc[1:].set_axis([*sheet.iloc[0]], axis=1).set_index("row")
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export).set_index("row")
    now = open_period(NAME, PERIOD, at_desk.settings)
    assert set(kept["hash"]) == set(now.queue["hash"]) | set(now.audit["hash"])
    kinds = set(kept["kinds"])
    assert kinds == {"queue", "blind", "audit", "audit+blind"}
    blind = kept["kinds"] != "queue"
    shown_of_blind = sheet.loc[kept.index[blind]].drop(columns=["text", "shop"])
    assert shown_of_blind.isna().to_numpy().all()
    beside = sheet.loc[kept.index[~blind]]
    assert (
        beside[["candidate_1", "candidate_5", "suggestions"]].notna().to_numpy().all()
    )
    # A fifth of the queue besides the audit, and neither unit nor kind in the file.
    drawn = kept[kept["kinds"].isin(["queue", "blind"])]["kinds"] == "blind"
    assert abs(drawn.mean() - 0.2) < 4 * np.sqrt(0.16 / len(drawn))
    said = " ".join(str(v) for s in book for row in s.values for v in row)
    assert "unit-0" not in said
    assert "audit" not in said
    assert not set(kept["hash"]) & set(said.split())
    order = kept["hash"].tolist()
    assert order != [name for name in now.queue["hash"] if name in set(order)]
    of_audit = np.flatnonzero(kept["kinds"].str.startswith("audit"))
    assert of_audit.min() < len(kept) / 3 < 2 * len(kept) / 3 < of_audit.max()


def test_only_code_and_comment_are_open_and_candidates_are_offered(
    at_desk: Desk,
) -> None:
    done = export(NAME, PERIOD, at_desk.settings, coder="kim")
    book = openpyxl.load_workbook(done.path)
    sheet = book["review"]
    at = places(sheet)
    assert sheet.protection.sheet
    assert sheet.protection.password is None
    for name, place in at.items():
        locked = {sheet.cell(r, place).protection.locked for r in range(2, 12)}
        assert locked == {name not in ("code", "comment")}
        if name in ("code", "comment"):
            assert sheet.cell(2, place).number_format == "@"
    (rule,) = sheet.data_validations.dataValidation
    letter = openpyxl.utils.get_column_letter
    first, last = letter(at["candidate_1"]), letter(at["candidate_5"])
    assert rule.formula1 == f"${first}2:${last}2"
    code = letter(at["code"])
    assert str(rule.sqref) == f"{code}2:{code}{done.file.rows + 1}"
    search = book["search"]
    assert search.auto_filter.ref == f"A1:C{search.max_row}"
    found = {row[0]: row[1:] for row in search.iter_rows(min_row=2, values_only=True)}
    assert found["01.1.4.5"] == ("Cheese", "4")
    assert (done.path.stat().st_mode & 0o077) == 0
    assert at_desk.settings.confidential in done.path.parents


def test_a_candidate_is_offered_to_spreadsheets_and_reasons_stand_beside(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = open_period(NAME, PERIOD, at_desk.settings)
    rows = waiting(now)
    told = shown(now, rows, data_of(now))
    beside = (rows["kinds"] == "queue").to_numpy()
    assert (told.loc[beside, "reason"] == "").all()  # the baseline was no stored model
    key = replace(now.release.key, baseline="d" * 64)
    now = replace(now, release=replace(now.release, key=key))

    def reasons(function: Any, digest: str, asked: pd.DataFrame, *_: Any, **__: Any):
        assert digest == "d" * 64
        return [f"entry for {len(text)} characters" for text in asked["text"]]

    monkeypatch.setattr(review_rows, "isolated", reasons)
    told = shown(now, rows, data_of(now))
    assert told.loc[beside, "reason"].str.startswith("index: entry for").all()
    assert (told.loc[~beside, "reason"] == "").all()
    first = told.loc[beside].iloc[0]
    lines = first["suggestions"].split("\n")
    assert len(lines) == 5
    assert lines[0].startswith(f"{first['candidate_1']} ")
    assert lines[0].endswith("(0.50)")


def test_a_pilot_may_show_the_ids_of_units(at_desk: Desk) -> None:
    path = at_desk.settings.project / "configs/pilots/texts.yaml"
    told = path.read_text(encoding="utf-8")
    path.write_text(told.replace("{audit_sample", "{show_unit: true, audit_sample"))
    done = export(NAME, PERIOD, at_desk.settings, coder="kim", rows=20)
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    sheet = read_texts(done.path, "review", ["row", "unit"])
    assert sheet["unit"].tolist() == kept["unit"].tolist()
    assert len(sheet) == done.file.rows == 20


# -- what comes back ---------------------------------------------------------------


def test_codes_come_back_for_queue_audit_and_both(at_desk: Desk) -> None:
    done = coded(at_desk)
    made = import_file(NAME, PERIOD, done.path, at_desk.settings, coder="kim")
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    both = kept["kinds"] == "audit+blind"
    assert both.any()
    assert (made.coded, made.left, made.known) == (len(kept), 0, 0)
    assert made.file.added == len(kept) + both.sum()
    found = reviews(at_desk)
    assert set(found["coder"]) == {"kim"}
    assert found["code"].tolist() == [at_desk.truth[name] for name in found["unit"]]
    expected = {
        (unit, kind)
        for unit, kinds in zip(kept["hash"], kept["kinds"], strict=True)
        for kind in kinds.split("+")
    }
    assert set(zip(found["unit"], found["kind"], strict=True)) == expected


def test_a_second_import_says_so_and_a_change_is_added(at_desk: Desk) -> None:
    done = coded(at_desk)
    first = import_file(NAME, PERIOD, done.path, at_desk.settings)
    before = reviews(at_desk)
    again = import_file(NAME, PERIOD, done.path, at_desk.settings)
    assert again.again
    assert not first.again
    assert again.file.added == 0
    pd.testing.assert_frame_equal(reviews(at_desk), before)
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    one = kept.loc[kept["kinds"] == "queue", "hash"].iloc[0]
    other = next(code for code in at_desk.codes if code != at_desk.truth[one])
    fill(done.path, lambda name: other if name == one else at_desk.truth[name], kept)
    changed = import_file(NAME, PERIOD, done.path, at_desk.settings)
    assert changed.file.added == 1
    assert not changed.again
    told = reviews(at_desk).set_index("unit")["code"]
    assert told[one] == other


def test_a_file_may_come_back_half_done(at_desk: Desk) -> None:
    done = export(NAME, PERIOD, at_desk.settings, coder="kim")
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    some = set(kept["hash"].iloc[::2])
    fill(done.path, lambda u: f" {at_desk.truth[u]} " if u in some else None, kept)
    made = import_file(NAME, PERIOD, done.path, at_desk.settings)
    assert (made.coded, made.left) == (len(some), len(kept) - len(some))
    assert set(reviews(at_desk)["unit"]) == some
    rest = export(NAME, PERIOD, at_desk.settings, coder="kim")
    assert rest.withdrawn == (done.file.export,)
    left = kept_rows(at_desk.settings, NAME, PERIOD, rest.file.export)
    assert set(left["hash"]) == set(kept["hash"]) - some
    fate = dict(zip(kept["hash"], kept["blind"], strict=True))
    assert [fate[u] for u in left["hash"]] == left["blind"].tolist()
    refused = problems_of(at_desk, done.path)
    assert refused["what"].tolist() == ["withdrawn for a later file"]


def test_a_unit_is_in_one_coder_s_file_at_a_time(at_desk: Desk) -> None:
    settings = at_desk.settings
    kim = export(NAME, PERIOD, settings, coder="kim", rows=50)
    lee = export(NAME, PERIOD, settings, coder="lee")
    assert lee.elsewhere == 50
    units = [
        set(kept_rows(settings, NAME, PERIOD, one.file.export)["hash"])
        for one in (kim, lee)
    ]
    assert not units[0] & units[1]
    with pytest.raises(UsageError, match="No unit .* waits for mei"):
        export(NAME, PERIOD, settings, coder="mei")
    with pytest.raises(UsageError, match="has no file") as refused:
        export(NAME, PERIOD, settings, coder="mei", instead_of="leo")
    assert refused.value.nearest == "lee"
    mei = export(NAME, PERIOD, settings, coder="mei", instead_of="kim")
    assert mei.withdrawn == (kim.file.export,)
    taken = kept_rows(settings, NAME, PERIOD, mei.file.export)
    assert set(taken["hash"]) == units[0]
    held = ReviewFiles(settings.database).held(NAME, PERIOD)
    assert held["coder"].tolist() == ["lee", "mei"]


def test_the_second_coder_is_another_one(at_desk: Desk) -> None:
    settings = at_desk.settings
    kim = export(NAME, PERIOD, settings, coder="kim")
    with pytest.raises(UsageError, match="No unit"):
        export(NAME, PERIOD, settings, coder="kim", second=True)
    lee = coded(at_desk, coder="lee", second=True)
    kept = kept_rows(settings, NAME, PERIOD, lee.file.export)
    now = open_period(NAME, PERIOD, settings)
    doubled = now.audit.loc[now.audit["double_coded"], "hash"]
    assert set(kept["hash"]) == set(doubled)
    assert (lee.suggested, lee.blind) == (0, len(doubled))
    import_file(NAME, PERIOD, lee.path, settings)
    assert set(reviews(at_desk)["kind"]) == {"second"}
    first = kept_rows(settings, NAME, PERIOD, kim.file.export)
    assert set(doubled) <= set(first["hash"])
    # A file whose coder has become the first one meanwhile is refused.
    ReviewStore(settings.database).add(
        NAME, PERIOD, [Reviewed(doubled.iloc[0], "01.1.4.5", "lee", "audit")]
    )
    table = problems_of(at_desk, lee.path)
    assert len(table) == 1
    assert "the same coder" in table["what"].iloc[0]


def test_the_code_that_another_coder_gave_meanwhile_stands(at_desk: Desk) -> None:
    done = coded(at_desk)
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    one = kept.loc[kept["kinds"] == "blind", "hash"].iloc[0]
    ReviewStore(at_desk.settings.database).add(
        NAME, PERIOD, [Reviewed(one, "01.1.4.5", "lee", "queue")]
    )
    made = import_file(NAME, PERIOD, done.path, at_desk.settings)
    assert made.by_others == 1
    told = reviews(at_desk).set_index("unit").loc[one]
    assert (told["coder"], told["code"]) == ("lee", "01.1.4.5")


def test_uncodable_may_be_a_code(at_desk: Desk) -> None:
    done = export(NAME, PERIOD, at_desk.settings, coder="kim")
    kept = kept_rows(at_desk.settings, NAME, PERIOD, done.file.export)
    one = kept["hash"].iloc[3]
    fill(done.path, lambda unit: "99" if unit == one else None, kept)
    table = problems_of(at_desk, done.path)
    assert table[["row", "what"]].to_numpy().tolist() == [["5", "unknown code"]]
    path = at_desk.settings.project / "configs/pilots/texts.yaml"
    told = path.read_text(encoding="utf-8")
    path.write_text(
        told.replace("methods:", '  uncodable: {codes: ["99"]}\nmethods:', 1)
    )
    import_file(NAME, PERIOD, done.path, at_desk.settings)
    assert reviews(at_desk)["code"].unique().tolist() == ["99"]


def test_a_period_without_an_audit_can_be_reviewed(at_desk: Desk) -> None:
    now = open_period(NAME, PERIOD, at_desk.settings)
    now.audit.iloc[:0][["unit"]].to_parquet(
        now.release.folder / "confidential/audit.parquet"
    )
    import_file(NAME, PERIOD, coded(at_desk).path, at_desk.settings)
    found = status_of(open_period(NAME, PERIOD, at_desk.settings))
    assert (found.queue_open, found.audit_drawn, found.pairs) == (0, 0, 0)
    assert found.accuracy.status == "not_measured"


def test_a_file_for_other_data_is_refused(at_desk: Desk) -> None:
    done = coded(at_desk)
    path = at_desk.settings.project / f"data/texts_{PERIOD}.parquet"
    frame = pd.read_parquet(path)
    frame.assign(text=frame["text"].where(frame.index > 0, "another")).to_parquet(path)
    with pytest.raises(MlstatsError, match="are not those of its release"):
        import_file(NAME, PERIOD, done.path, at_desk.settings)
    assert reviews(at_desk).empty
    release(
        at_desk.settings, pd.read_parquet(path), at_desk.codes,
        np.random.default_rng(1), 60,
    )  # fmt: skip
    table = problems_of(at_desk, done.path)
    assert "the data have changed since" in set(table["what"])


def test_other_themes_and_unreleased_periods_have_no_workbook(at_desk: Desk) -> None:
    with pytest.raises(UsageError, match="no release"):
        export(NAME, "2026-04", at_desk.settings, coder="kim")
    with pytest.raises(ConfigError, match="Only codes"):
        open_period("business-survey-demo", "2026-03", at_desk.settings)


# -- what is wrong -----------------------------------------------------------------


def problems_of(at: Desk, path: Path, **options: Any) -> pd.DataFrame:
    """Return what an import refuses, after seeing that it kept nothing."""
    before = (reviews(at), ReviewFiles(at.settings.database).read(NAME, PERIOD))
    with pytest.raises(ContractError) as refused:
        import_file(NAME, PERIOD, path, at.settings, **options)
    pd.testing.assert_frame_equal(reviews(at), before[0])
    after = ReviewFiles(at.settings.database).read(NAME, PERIOD)
    pd.testing.assert_frame_equal(after, before[1])
    told = refused.value.failures
    if not isinstance(told, pd.DataFrame):
        assert refused.value.where
        return pd.DataFrame(columns=list(PROBLEMS))
    assert tuple(told.columns) == PROBLEMS
    assert (told["what"] != "").all()
    return told


def test_what_is_wrong_is_told_by_row_and_column_and_not_by_content(
    at_desk: Desk,
) -> None:
    done = coded(at_desk)

    def spoil(book: Any) -> None:
        sheet = book["review"]
        at = places(sheet)
        sheet.cell(4, at["text"]).value = "a secret person"
        sheet.cell(5, at["code"]).value = "01.1.4.55"
        sheet.cell(6, at["code"]).value = "another secret"
        sheet.cell(7, at["row"]).value = "f" * 16
        sheet.delete_rows(9)
        sheet.append([cell.value for cell in sheet[10]])

    rewrite(done.path, spoil)
    table = problems_of(at_desk, done.path)
    last = done.file.rows + 1
    assert set(zip(table["row"], table["column"], table["what"], strict=True)) == {
        ("4", "text", "a locked cell was changed"),
        ("5", "code", "unknown code"),
        ("6", "code", "unknown code"),
        ("7", "row", "no such row was exported"),
        ("7", "row", "the row is missing"),
        ("9", "row", "the row is missing"),
        (str(last), "row", "the row is there twice"),
    }
    near = table.loc[(table["row"] == "5") & (table["column"] == "code"), "nearest"]
    assert near.iloc[0].startswith("01.1.4")
    assert "once, in row 10" in set(table["expected"])
    assert "secret" not in table.to_csv()
    wrong = problems_of(at_desk, done.path, coder="lee")
    assert ("about", "coder") in set(zip(wrong["row"], wrong["column"], strict=True))


Spoil = Callable[[Any, np.random.Generator], None]


def cell(name: str, value: object) -> Spoil:
    """Write a value into a random row of a column."""

    def change(book: Any, rng: np.random.Generator) -> None:
        sheet = book["review"]
        row = int(rng.integers(2, sheet.max_row + 1))
        told = value(rng) if callable(value) else value
        sheet.cell(row, places(sheet)[name]).value = told

    return change


def told_about(what: str, value: str) -> Spoil:
    """Change what a file says of itself."""

    def change(book: Any, rng: np.random.Generator) -> None:
        for row in book["about"].iter_rows(min_row=2):
            if row[0].value == what:
                row[1].value = value

    return change


def swap(name: str) -> Spoil:
    """Exchange two cells of a column, as sorting one column alone would."""

    def change(book: Any, rng: np.random.Generator) -> None:
        sheet = book["review"]
        column = places(sheet)[name]
        cells = [sheet.cell(r, column) for r in range(2, sheet.max_row + 1)]
        while True:
            one, two = (cells[int(i)] for i in rng.integers(0, len(cells), 2))
            if one.value != two.value:
                one.value, two.value = two.value, one.value
                return

    return change


def rows(kind: str) -> Spoil:
    """Delete, repeat or empty a random row, or a run of rows."""

    def change(book: Any, rng: np.random.Generator) -> None:
        sheet = book["review"]
        row = int(rng.integers(2, sheet.max_row - 3))
        if kind == "repeat":
            sheet.append([one.value for one in sheet[row]])
        elif kind == "empty":
            for one in sheet[row]:
                one.value = None
        else:
            sheet.delete_rows(row, int(rng.integers(1, 4)))

    return change


def columns(kind: str) -> Spoil:
    """Delete, rename, repeat or insert a column."""

    def change(book: Any, rng: np.random.Generator) -> None:
        sheet = book["review"]
        column = int(rng.integers(1, sheet.max_column + 1))
        if kind == "delete":
            sheet.delete_cols(column)
        elif kind == "insert":
            sheet.insert_cols(column)
            sheet.cell(1, column).value = "mine"
        elif kind == "rename":
            sheet.cell(1, column).value += "x"
        else:
            sheet.cell(1, sheet.max_column + 1).value = sheet.cell(1, column).value

    return change


def sheet_gone(name: str) -> Spoil:
    def change(book: Any, rng: np.random.Generator) -> None:
        del book[name]

    return change


SPOILT: dict[str, Spoil] = {
    "text": cell("text", "edited by hand"),
    "auxiliary": cell("shop", "0099"),
    "typed": cell("text", 111),
    "candidate": cell("candidate_3", "99.9"),
    "suggestion": cell("suggestions", "mine"),
    "row": cell("row", "0" * 16),
    "no row": cell("row", None),
    "unknown code": cell("code", lambda rng: f"01.1.{rng.integers(50, 99)}"),
    "number": cell("code", 111),
    "no text": cell("text", None),
    "sentence": cell("code", "bread, I think"),
    "swapped texts": swap("text"),
    "swapped rows": swap("row"),
    **{f"{kind} rows": rows(kind) for kind in ("delete", "repeat", "empty")},
    **{f"{k} column": columns(k) for k in ("delete", "insert", "rename", "repeat")},
    "no review": sheet_gone("review"),
    "no about": sheet_gone("about"),
    "another period": told_about("period", "2026-04"),
    "another pilot": told_about("pilot", "other"),
    "another coder": told_about("coder", "lee"),
    "another release": told_about("release", "texts/2026-03/r0002"),
    "another file": told_about("file", "0123456789ab"),
    "another checksum": told_about("checksum", "0" * 16),
}  # fmt: skip


def cut(path: Path, rng: np.random.Generator) -> None:
    """Lose the end of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(10, len(content) - 30))])


def noise(path: Path, rng: np.random.Generator) -> None:
    """Damage bytes in the middle of the largest member, which holds the rows."""
    content = bytearray(path.read_bytes())
    at = len(content) // 3
    content[at : at + 200] = rng.bytes(200)
    path.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Path]:
    """Make a project with a small file that is coded."""
    at = desk(tmp_path_factory.mktemp("small"), 45, audit=12)
    return at, coded(at).path


@pytest.mark.parametrize("seed", range(4))
def test_of_a_hundred_spoilt_files_nothing_is_kept(
    small: tuple[Desk, Path], tmp_path: Path, seed: int
) -> None:
    at, path = small
    spoilt = tmp_path / "spoilt.xlsx"
    for place, (name, change) in enumerate(SPOILT.items()):
        rng = np.random.default_rng([seed, place])
        shutil.copy(path, spoilt)
        rewrite(spoilt, lambda book, c=change, r=rng: c(book, r))  # type: ignore[misc]
        table = problems_of(at, spoilt)
        assert len(table) or name in ("no review", "no about"), name
    for damage in (cut, noise):
        shutil.copy(path, spoilt)
        damage(spoilt, np.random.default_rng(seed))
        problems_of(at, spoilt)


def test_the_files_that_are_spoilt_are_good_before(
    small: tuple[Desk, Path], tmp_path: Path
) -> None:
    at, path = small
    copy = tmp_path / "good.xlsx"
    shutil.copy(path, copy)
    rewrite(copy, lambda book: None)
    project = tmp_path / "project"
    shutil.copytree(at.settings.project, project)
    made = import_file(NAME, PERIOD, copy, load_settings(project=project))
    assert made.coded == made.file.rows
    assert len(SPOILT) * 4 + 8 >= 100


# -- ten thousand rows -------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Any]:
    """Make a project with a file of more than 10,000 rows."""
    at = desk(tmp_path_factory.mktemp("large"), 14_900, audit=600)
    return at, export(NAME, PERIOD, at.settings, coder="kim")


def assert_as_in_data(
    at: Desk, path: Path, kept: pd.DataFrame, seen: Callable[[str], str] = str
) -> None:
    data = pd.read_parquet(at.settings.project / f"data/texts_{PERIOD}.parquet")
    data = data.set_index("id").loc[kept["unit"]]
    sheet = read_texts(path, "review", ["row", "text", "shop", "code", "comment"])
    assert sheet["row"].tolist() == kept["row"].tolist()
    assert sheet["text"].map(seen).tolist() == data["text"].map(seen).tolist()
    assert sheet["shop"].tolist() == data["shop"].tolist()
    assert {seen(text) for text in AWKWARD} <= set(sheet["text"].map(seen))
    names = {unicodedata.name(text[0], "").split(" ")[0] for text in sheet["text"]}
    assert {"LATIN", "CYRILLIC", "ARABIC", "CJK", "DEVANAGARI"} <= names


def test_ten_thousand_rows_of_five_scripts_come_back_exactly(
    large: tuple[Desk, Any],
) -> None:
    at, done = large
    kept = kept_rows(at.settings, NAME, PERIOD, done.file.export)
    assert len(kept) == done.file.rows > 10_000
    assert done.dropped == 0
    assert_as_in_data(at, done.path, kept)


@pytest.mark.soak
def test_ten_thousand_codes_are_kept(large: tuple[Desk, Any], tmp_path: Path) -> None:
    at, done = large
    kept = kept_rows(at.settings, NAME, PERIOD, done.file.export)
    path = tmp_path / "coded.xlsx"
    shutil.copy(done.path, path)
    fill(path, at.truth.get, kept)
    made = import_file(NAME, PERIOD, path, at.settings)
    assert made.coded == len(kept)
    found = reviews(at)
    assert found["code"].tolist() == [at.truth[name] for name in found["unit"]]


def test_libreoffice_opens_the_file_and_gives_the_same_back(
    large: tuple[Desk, Any], tmp_path: Path
) -> None:
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        pytest.skip("LibreOffice (soffice) is not installed")
    at, done = large
    profile = (tmp_path / "profile").as_uri()
    ran = subprocess.run(
        [program, f"-env:UserInstallation={profile}", "--headless", "--convert-to",
         "xlsx", "--outdir", str(tmp_path / "out"), str(done.path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    made = tmp_path / "out" / done.path.name
    assert made.is_file(), ran.stderr
    kept = kept_rows(at.settings, NAME, PERIOD, done.file.export)
    assert_as_in_data(at, made, kept, as_saved)
    sheet = openpyxl.load_workbook(made)["review"]
    assert sheet.protection.sheet
    assert len(sheet.data_validations.dataValidation) >= 1
    project = tmp_path / "project"
    shutil.copytree(at.settings.project, project)
    back = import_file(NAME, PERIOD, made, load_settings(project=project))
    assert (back.coded, back.left) == (0, len(kept))  # every locked cell is as it was


# -- how far it has come, and what may be learnt from it ---------------------------


def test_status_tells_queue_audit_pairs_and_figures(at_desk: Desk) -> None:
    settings, truth = at_desk.settings, at_desk.truth
    now = open_period(NAME, PERIOD, settings)
    before = status_of(now)
    assert (before.queue_open, before.queue_closed) == (len(now.queue), 0)
    assert (before.audit_done, before.audit_drawn) == (0, len(now.audit))
    assert before.accuracy.status == before.agreement.status == "not_measured"
    import_file(NAME, PERIOD, coded(at_desk).path, settings)
    lee = export(NAME, PERIOD, settings, coder="lee", second=True)
    kept = kept_rows(settings, NAME, PERIOD, lee.file.export)
    wrong = set(kept["hash"].iloc[:6])
    fill(lee.path, lambda u: "12.1.4.1" if u in wrong else truth[u], kept)
    import_file(NAME, PERIOD, lee.path, settings)
    found = status_of(open_period(NAME, PERIOD, settings))
    assert (found.queue_open, found.queue_closed) == (0, len(now.queue))
    assert found.audit_done == found.audit_drawn == len(now.audit)
    assert found.pairs == found.pairs_drawn == len(kept)
    same = np.array([u not in wrong or truth[u] == "12.1.4.1" for u in kept["hash"]])
    pairs = now.audit.set_index("hash").loc[kept["hash"]]
    weight = 1 / pairs["double_inclusion"].to_numpy()
    expected = (weight * same).sum() / weight.sum()
    assert found.agreement.value == pytest.approx(expected, abs=1e-12)
    assert found.agreement.lower < expected < found.agreement.upper
    assert found.kappa.value < found.agreement.value
    own = now.audit[now.audit["route"] == "automatic"]
    right = np.array([truth[u] for u in own["hash"]]) == own["value"].astype(object)
    share = (own["audit_weight"] * right).sum() / own["audit_weight"].sum()
    assert found.accuracy.value == pytest.approx(share, abs=1e-12)
    assert found.accuracy.lower < share < found.accuracy.upper
    assert found.files["coder"].tolist() == ["kim", "lee"]
    assert set(found.files["act"]) == {"import"}


def test_labels_are_what_coders_gave_and_only_the_audit_may_evaluate(
    at_desk: Desk,
) -> None:
    settings = at_desk.settings
    assert labels(NAME, settings).empty
    done = coded(at_desk)
    import_file(NAME, PERIOD, done.path, settings)
    lee = coded(at_desk, coder="lee", second=True)
    import_file(NAME, PERIOD, lee.path, settings)
    table = labels(NAME, settings)
    kept = kept_rows(settings, NAME, PERIOD, done.file.export).set_index("unit")
    second = kept_rows(settings, NAME, PERIOD, lee.file.export)
    assert len(table) == len(kept) + len(second)
    first = table[table["kind"] != "second"].set_index("unit")
    assert first.index.is_unique
    assert set(first.index) == set(kept.index)  # no unit that only the model coded
    kinds = kept["kinds"].str.replace("+blind", "", regex=False)
    assert first["kind"].to_dict() == kinds.to_dict()
    assert (first["blind"] == (first["kind"] != "queue")).all()
    assert (table["evaluates"] == table["kind"].isin(["audit", "second"])).all()
    data = pd.read_parquet(settings.project / f"data/texts_{PERIOD}.parquet")
    data = data.set_index("id")
    assert first["text"].tolist() == data.loc[first.index, "text"].tolist()
    assert first["code"].tolist() == data.loc[first.index, "truth"].tolist()
    assert set(first["coder"]) == {"kim"}
    assert set(table["period"]) == {PERIOD}
    assert pd.to_datetime(table["time"]).notna().all()
    path, same = write_labels(NAME, settings)
    assert len(pd.read_parquet(path)) == len(same) == len(table)
    assert settings.confidential in path.parents

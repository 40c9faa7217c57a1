"""A file in blocks: nothing lost, whole or not there, the same for any block size."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlstats.editimpute import (
    ChainedImputer,
    EditSet,
    HotDeck,
    NearestDonor,
    Variable,
    review,
)
from mlstats.editimpute.block_files import source_files
from mlstats.editimpute.streaming import process_file
from mlstats.editimpute.treated_blocks import identity
from mlstats.errors import (
    ConfigError,
    ContractError,
    MethodError,
    RefusedError,
    ServiceError,
    SourceError,
)
from mlstats.writing import sole_writer

EDITS = EditSet.from_texts(
    ["a + b == c", 'if kind == "small" then c <= 60'],
    {name: Variable(least=0) for name in "abc"},
)
DONOR = NearestDonor(["c"], min_donors=1, min_percent=0)


class FailingAt:
    """A hot-deck that fails in its calls from one on, until it is mended."""

    def __init__(self, calls, first, kills=False):
        self.calls, self.first, self.kills = calls, first, kills
        calls.mkdir(exist_ok=True)

    def fitted(self, pool, **how):
        return FailingDeck(self, HotDeck().fitted(pool, **how))


class FailingDeck:
    def __init__(self, how, deck):
        self.how, self.deck = how, deck

    def treat(self, frame, mask, draws, structural=None):
        calls = self.how.calls
        count = len(list(calls.glob("[0-9]*"))) + 1
        (calls / str(count)).touch()
        if count >= self.how.first and not (calls / "mended").exists():
            if self.how.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("no more")
        return self.deck.treat(frame, mask, draws, structural)


@pytest.fixture
def frame():
    rng = np.random.default_rng(5)
    n = 1_000
    made = pd.DataFrame({"id": [f"00{i}" for i in range(n)]})
    made["a"] = np.round(rng.exponential(20, n), 2)
    made["b"] = np.round(rng.exponential(20, n), 2)
    made["c"] = made["a"] + made["b"]
    made["kind"] = np.where(made["c"] <= 60, "small", "large").astype(object)
    made["count"] = rng.integers(0, 9, n)
    for name in "abc":
        made.loc[rng.random(n) < 0.05, name] = np.nan
    made.loc[rng.random(n) < 0.05, "a"] *= 100
    return made


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_every_record_comes_back_and_the_provenance_joins(frame, tmp_path, suffix):
    source = tmp_path / f"records.{suffix}"
    if suffix == "csv":
        frame.to_csv(source, index=False, sep=";", decimal=",")
    else:
        frame.to_parquet(source, index=False, row_group_size=170)
    found = process_file(
        source,
        tmp_path / "out",
        EDITS,
        DONOR,
        unit="id",
        block_rows=300,
        seed=4,
        decimal="," if suffix == "csv" else ".",
    )
    values, cells = pd.read_parquet(found.values), pd.read_parquet(found.cells)
    assert (found.records, found.blocks) == (1_000, 4)
    assert values["id"].tolist() == frame["id"].tolist()
    assert list(values.columns) == list(frame.columns)
    assert found.edits.empty
    assert (review(values, EDITS).by_record == 0).all()
    expected = frame.copy()
    for name, part in cells.groupby("variable"):
        after = part["after"] if name == "kind" else part["after"].astype(float)
        expected.loc[part["row"], name] = after.to_numpy()
    assert frame["id"].iloc[cells["row"]].tolist() == cells["unit"].tolist()
    for name in "abc":
        np.testing.assert_array_equal(expected[name], values[name])
    assert values["kind"].tolist() == expected["kind"].tolist()
    assert found.counts["cells"].sum() == len(cells)
    assert found.review["records"].sum() == 1_000
    complete = frame[review(frame, EDITS).by_record == 0]
    assert set(cells["donor"].dropna()) <= set(complete["id"])


def test_donors_and_selection_do_not_depend_on_the_blocks(frame, tmp_path):
    source = tmp_path / "records.parquet"
    frame.to_parquet(source, index=False)
    how = {"unit": "id", "pool_rows": 100, "by": ["kind"], "class_rows": 30, "seed": 2}
    weight, donors = [], []
    for rows in (170, 1_000):
        out = tmp_path / str(rows)
        found = process_file(source, out, EDITS, HotDeck(), block_rows=rows, **how)
        cells = pd.read_parquet(found.cells)
        weight.append(cells.groupby("unit").size())
        donors.append(found.donors)
    pd.testing.assert_series_equal(*weight)
    assert donors[0] == donors[1] >= 100


@pytest.mark.parametrize("wrong", [[], [3, 250]], ids=["none", "two"])
def test_records_that_are_right_come_back_as_they_were_in_every_type(tmp_path, wrong):
    n = 300
    part = np.arange(n, dtype=float)
    opt = pa.array(np.where(part % 3 == 0, np.nan, part), from_pandas=False)
    table = pa.table(
        {
            "a": part,
            "b": pa.array(np.ones(n), mask=np.isin(part, wrong)),
            "c": part + 1,
            "opt": opt,
            "ratio": pa.array(np.where(part % 2 == 0, -0.0, part), pa.float32()),
            "count": pa.array(part.astype(int), pa.int16()),
            "kind": pa.array(["x", "y", "z"] * 100).dictionary_encode(),
            "when": pa.array(part.astype(int) * 10**9 + 1, pa.timestamp("ns", "UTC")),
            "is new": [True, False] * 150,
            "price": pa.array(part.astype(int)).cast(pa.decimal128(30, 2)),
        }
    )
    pq.write_table(table, tmp_path / "records.parquet")
    edits = EditSet.from_texts(
        ["a + b == c", "opt >= 0"], {"opt": Variable(missing_allowed=True)}
    )
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    found = process_file(source, out, edits, HotDeck(), block_rows=100)
    assert (found.blocks, found.donors) == (3, n - len(wrong))
    cells = pd.read_parquet(found.cells)
    assert cells["row"].tolist() == wrong
    assert cells["after"].tolist() == ["1.0"] * len(wrong)
    values = pq.read_table(found.values)
    expected = table.set_column(1, "b", pa.array(np.ones(n)))
    expected = expected.set_column(3, "opt", pa.array(opt.to_numpy(), from_pandas=True))
    expected = expected.set_column(6, "kind", expected["kind"].cast(pa.string()))
    assert values.equals(expected)


class Noted:
    """Tells nothing of the records, and notes which it is shown."""

    def __init__(self):
        self.seen = []

    def __call__(self, frame):
        self.seen.append(list(frame.index))
        return pd.DataFrame({"a": [False] * len(frame)}, index=frame.index)


def test_only_records_that_may_be_changed_are_read_to_be_treated(frame, tmp_path):
    source, noted = tmp_path / "records.parquet", Noted()
    frame.to_parquet(source, index=False)
    how = {"unit": "id", "structural": noted, "block_rows": 300}
    process_file(source, tmp_path / "out", EDITS, HotDeck(), **how)
    whole, rest = noted.seen[:4], noted.seen[4:]
    assert sum(whole, []) == frame["id"].tolist()
    right = frame.notna().all(axis=1) & (review(frame, EDITS).by_record == 0)
    assert sum(rest, []) == frame["id"][~right].tolist()


def test_models_name_a_donor_of_the_pool(frame, tmp_path):
    source = tmp_path / "records.parquet"
    frame["count"] = frame["count"].where(np.arange(1_000) % 5 > 0)
    frame.to_parquet(source, index=False)
    how = {"unit": "id", "pool_rows": 60, "block_rows": 400, "seed": 2}
    imputer = ChainedImputer(["a", "b", "c", "kind", "count"], trees=5)
    found = process_file(source, tmp_path / "out", EDITS, imputer, **how)
    cells = pd.read_parquet(found.cells)
    assert found.edits.empty
    matched = cells[cells["method"] == "chained boosting"].dropna(subset="donor")
    given = frame.set_index("id")
    for row in matched.itertuples():
        assert given.loc[row.donor, row.variable] == float(row.after)
    complete = frame[frame.notna().all(axis=1)]
    complete = complete[review(complete, EDITS).by_record == 0]["id"]
    assert len(matched) > 100
    assert matched["donor"].isin(complete).all()
    assert matched["donor"].nunique() <= 60


def test_text_in_a_number_is_replaced_or_missing_and_told(frame, tmp_path):
    text = frame.astype({"b": object})
    text.loc[3, ["a", "b"]] = [1.0, "n/a"]
    text.loc[5, "count"] = None
    text.to_csv(tmp_path / "records.csv", index=False)
    found = process_file(tmp_path / "records.csv", tmp_path / "out", EDITS, HotDeck())
    cells = pd.read_parquet(found.cells).set_index(["row", "variable"])
    assert cells.loc[(3, "b"), "before"] == "n/a"
    assert cells.loc[(3, "b"), "selection"] == "edit"
    assert cells.loc[(5, "count"), "status"] == "imputed"
    assert pd.read_parquet(found.values)["b"].notna().all()


def test_what_fails_leaves_what_was_there(frame, tmp_path):
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    frame.to_parquet(source, index=False)
    first = process_file(source, out, EDITS, DONOR)
    before = first.values.read_bytes()

    failing = FailingAt(tmp_path / "calls", 1)
    with pytest.raises(MethodError, match="RuntimeError"):
        process_file(source, out, EDITS, failing, block_rows=300)
    assert first.values.read_bytes() == before
    assert sorted(p.name for p in out.iterdir()) == ["cells.parquet", "values.parquet"]


def test_a_rerun_goes_on_from_finished_blocks(frame, tmp_path):
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    frame.to_parquet(source, index=False)
    how = {"unit": "id", "block_rows": 200, "seed": 1}
    failing = FailingAt(tmp_path / "calls", 7)
    with pytest.raises(MethodError):
        process_file(source, out, EDITS, failing, **how)
    (tmp_path / "calls" / "mended").touch()
    hidden = tmp_path / ".out.blocks"
    kept = sorted(hidden.rglob("*.block"))
    assert 3 <= len(kept) <= 4
    # What a kill leaves half written is done again.
    kept[0].write_bytes(kept[0].read_bytes()[:-1])
    found = process_file(source, out, EDITS, failing, **how)
    assert (found.blocks, found.computed) == (5, 5 - len(kept) + 1)
    assert not hidden.exists()
    fresh = process_file(source, tmp_path / "fresh", EDITS, HotDeck(), **how)
    assert fresh.computed == 5
    assert found.values.read_bytes() == fresh.values.read_bytes()
    assert found.cells.read_bytes() == fresh.cells.read_bytes()
    pd.testing.assert_frame_equal(found.counts, fresh.counts)
    pd.testing.assert_frame_equal(found.review, fresh.review)


def run_and_be_killed(source, out, calls, how):
    process_file(source, out, EDITS, FailingAt(calls, 7, kills=True), **how)


@pytest.mark.skipif(os.name != "posix", reason="a signal that cannot be caught")
def test_a_killed_run_leaves_its_finished_blocks(frame, tmp_path):
    source, out, calls = tmp_path / "records.csv", tmp_path / "out", tmp_path / "calls"
    frame.to_csv(source, index=False)
    how = {"unit": "id", "block_rows": 200, "seed": 1}
    killed = multiprocessing.get_context("spawn").Process(
        target=run_and_be_killed, args=(source, out, calls, how)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not out.exists()
    kept = len(list((tmp_path / ".out.blocks").rglob("*.block")))
    assert kept >= 3
    (calls / "mended").touch()
    again = FailingAt(calls, 7, kills=True)
    found = process_file(source, out, EDITS, again, **how)
    assert (found.blocks, found.computed) == (5, 5 - kept)
    assert sorted(p.name for p in out.iterdir()) == ["cells.parquet", "values.parquet"]
    assert not (tmp_path / ".out.blocks").exists()


def test_finished_blocks_of_other_arguments_are_not_used(frame, tmp_path):
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    frame.to_parquet(source, index=False)
    failing = FailingAt(tmp_path / "calls", 4)
    with pytest.raises(MethodError):
        process_file(source, out, EDITS, failing, block_rows=200, seed=1)
    (tmp_path / "calls" / "mended").touch()
    found = process_file(source, out, EDITS, failing, block_rows=200, seed=2)
    assert found.computed == found.blocks == 5


def test_another_run_of_the_same_target_is_refused(frame, tmp_path):
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    frame.to_parquet(source, index=False)
    with (
        sole_writer(out),
        pytest.raises(ServiceError, match="Another run"),
    ):
        process_file(source, out, EDITS, HotDeck())


def test_the_key_of_a_run_is_the_same_in_every_process(tmp_path):
    told = (
        "from mlstats.editimpute import EditSet, HotDeck, Variable;"
        "from mlstats.editimpute.treated_blocks import identity;"
        'edits = EditSet.from_texts([\'k in {"x", "y", "zz"}\'],'
        " {'k': Variable(missing_allowed=True)});"
        "print(identity(edits, HotDeck(['k']), {'a', 'b', 'c'}, identity))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", told],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1
    assert identity(HotDeck(["k"])) != identity(HotDeck(["l"]))


def test_a_folder_of_partitions_is_told_where_it_does_not_fit(frame, tmp_path):
    parts = tmp_path / "parts"
    parts.mkdir()
    with pytest.raises(SourceError, match="no Parquet file"):
        process_file(parts, tmp_path / "out", EDITS, DONOR)
    frame.iloc[:300].to_parquet(parts / "1.parquet", index=False)
    frame.iloc[300:].drop(columns="count").to_parquet(parts / "2.parquet", index=False)
    with pytest.raises(SourceError, match="other columns"):
        process_file(parts, tmp_path / "out", EDITS, DONOR)
    frame.iloc[300:].assign(kind=1).to_parquet(parts / "2.parquet", index=False)
    with pytest.raises(SourceError, match="types"):
        process_file(parts, tmp_path / "out", EDITS, DONOR)


def test_a_column_without_values_in_one_partition_is_of_the_type_of_the_others(
    frame, tmp_path
):
    parts, source = tmp_path / "parts", tmp_path / "whole.parquet"
    parts.mkdir()
    gaps = frame.assign(count=frame["count"].astype("Int64"))
    gaps.loc[:299, ["kind", "count"]] = None
    gaps.to_parquet(source, index=False)
    gaps.iloc[:300].astype({"kind": object, "count": object}).to_parquet(
        parts / "1.parquet", index=False
    )
    gaps.iloc[300:].to_parquet(parts / "2.parquet", index=False)
    found = [
        process_file(path, tmp_path / f"{path.stem} done", EDITS, HotDeck(), unit="id")
        for path in (source, parts)
    ]
    one, other = (pd.read_parquet(each.cells) for each in found)
    pd.testing.assert_frame_equal(one, other)


def test_bad_files_are_told(frame, tmp_path):
    source = tmp_path / "records.parquet"
    frame.assign(id="1").to_parquet(source, index=False)
    with pytest.raises(SourceError, match="no such file"):
        process_file(tmp_path / "nothing.parquet", tmp_path, EDITS, DONOR)
    with pytest.raises(ContractError, match="apart"):
        process_file(source, tmp_path / "out", EDITS, DONOR, unit="id")
    with pytest.raises(ConfigError) as caught:
        process_file(source, tmp_path / "out", EDITS, DONOR, unit="idd")
    assert caught.value.nearest == "id"
    with pytest.raises(ConfigError, match="block of 0"):
        process_file(source, tmp_path / "out", EDITS, DONOR, block_rows=0)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(SourceError, match="cannot be read"):
        process_file(tmp_path / "broken.parquet", tmp_path / "out", EDITS, DONOR)
    frame.iloc[:0].to_parquet(source, index=False)
    with pytest.raises(ContractError, match="no records"):
        process_file(source, tmp_path / "out", EDITS, DONOR)


def masked(frame, column="a", *, most=5):
    return frame[[column]] > most


class Marking:
    def __init__(self, column):
        self.column = column

    def cells(self, frame):
        return frame[[self.column]].isna()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (partial(masked, column="a"), partial(masked, column="b")),
        (partial(masked), partial(review)),
        (Marking("a").cells, Marking("b").cells),
        (lambda f, c="a": f, lambda f, c="b": f),
    ],
    ids=["arguments", "function", "object", "default"],
)
def test_a_run_is_not_that_of_another_callable(one, other):
    assert identity(one) == identity(one)
    assert identity(one) != identity(other)


def test_defaults_that_were_computed_tell_functions_apart():
    made = [lambda frame, column=name: frame[[column]] for name in "ab"]
    assert identity(made[0]) != identity(made[1])


@pytest.mark.parametrize("target", [".", "values.parquet/..", "inside", "part"])
def test_a_result_never_replaces_or_joins_its_source(frame, tmp_path, target):
    parts = tmp_path / "parts"
    parts.mkdir()
    source = parts / "values.parquet"
    frame.to_parquet(source, index=False)
    before = source.read_bytes()
    whole = {".": source, "values.parquet/..": source}.get(target, parts)
    with pytest.raises(RefusedError, match="in its source, or replace it"):
        process_file(whole, parts / target, EDITS, HotDeck())
    assert source.read_bytes() == before
    assert [p.name for p in parts.iterdir()] == ["values.parquet"]


def test_a_source_that_is_changed_meanwhile_is_told(frame, tmp_path):
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    frame.to_parquet(source, index=False)

    def mask(block):
        frame.assign(a=1.0).to_parquet(source, index=False)
        return block[["a"]].isna()

    with pytest.raises(SourceError, match="changed while it was treated"):
        process_file(source, out, EDITS, HotDeck(), mask=mask)
    assert not out.exists()


@pytest.mark.parametrize("call", [1, 2, 8, 9])  # of the mask, in seven blocks
def test_nothing_of_a_changed_source_is_kept_for_one_that_was_put_back(
    frame, tmp_path, call
):
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    calls = tmp_path / "calls"
    calls.mkdir()
    frame.to_parquet(source, index=False)
    content, written = source.read_bytes(), source.stat().st_mtime_ns

    def mask(block):
        count = len(list(calls.iterdir())) + 1
        (calls / str(count)).touch()
        if count == call:
            frame.assign(a=1.0).to_parquet(source, index=False)
        return block[["a"]].isna() & False

    def treat(target):
        how = {"mask": mask, "block_rows": -(-len(frame) // 7)}
        return process_file(source, target, EDITS, HotDeck(), **how)

    with pytest.raises(SourceError, match="changed while it was treated"):
        treat(out)
    source.write_bytes(content)
    os.utime(source, ns=(written, written))
    found, wanted = treat(out), treat(tmp_path / "other")
    assert found.values.read_bytes() == wanted.values.read_bytes()


def test_a_full_disk_is_told_where_blocks_are_kept(frame, tmp_path, monkeypatch):
    source = tmp_path / "records.parquet"
    frame.to_parquet(source, index=False)

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(ServiceError, match="No space left") as raised:
        process_file(source, tmp_path / "out", EDITS, HotDeck())
    assert ".out.blocks" in str(raised.value.where)


def test_no_run_can_begin_while_another_clears_up(frame, tmp_path, monkeypatch):
    source, out = tmp_path / "records.parquet", tmp_path / "out"
    frame.to_parquet(source, index=False)
    removed, remove = [], shutil.rmtree

    def other(folder, **how):
        with (
            pytest.raises(ServiceError, match="Another run"),
            sole_writer(out),
        ):
            pass
        removed.append(folder)
        remove(folder, **how)

    monkeypatch.setattr("mlstats.editimpute.streaming.shutil.rmtree", other)
    process_file(source, out, EDITS, HotDeck())
    assert removed == [tmp_path / ".out.blocks"]
    assert not (tmp_path / ".out.blocks").exists()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_numbers_that_are_texts_are_read_whatever_kind_of_text(frame, tmp_path, kind):
    frame = frame.astype({"a": object})
    frame["a"] = [None if pd.isna(x) else f"{x:.2f}".replace(".", ",") for x in frame.a]
    frame.loc[3, "a"] = "n/a"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    at = table.schema.get_field_index("a")
    table = table.set_column(at, "a", table.column("a").cast(kind))
    pq.write_table(table, tmp_path / "records.parquet")
    how = {"unit": "id", "decimal": ","}
    found = process_file(
        tmp_path / "records.parquet", tmp_path / "out", EDITS, HotDeck(), **how
    )
    values = pd.read_parquet(found.values)
    assert values["a"].dtype == float
    assert values["a"].notna().all()
    cells = pd.read_parquet(found.cells).set_index(["row", "variable"])
    assert cells.loc[(3, "a"), "before"] == "n/a"


def test_every_value_of_a_text_is_its_text_whatever_its_name(frame, tmp_path):
    codes = frame.assign(**{" code": "0111", 'the "odd"; code': "0112"})
    codes.to_csv(tmp_path / "records.csv", index=False, sep=";")
    found = process_file(tmp_path / "records.csv", tmp_path / "out", EDITS, HotDeck())
    values = pd.read_parquet(found.values)
    assert set(values[" code"]) == {"0111"}
    assert set(values['the "odd"; code']) == {"0112"}
    twice = "a;b;c;kind;kind\n1;2;3;x;y\n"
    (tmp_path / "twice.csv").write_text(twice)
    with pytest.raises(SourceError, match="occurs 2 times"):
        process_file(tmp_path / "twice.csv", tmp_path / "out", EDITS, HotDeck())


def test_a_relative_source_is_found_by_workers_in_another_folder(
    frame, tmp_path, monkeypatch
):
    (tmp_path / "parts").mkdir()
    frame.to_parquet(tmp_path / "parts" / "1.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    for source in ("parts", "parts/1.parquet"):
        assert source_files(source) == [str(tmp_path / "parts" / "1.parquet")]

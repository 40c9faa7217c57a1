"""Files are whole or not there."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from mlstats import writing
from mlstats.errors import MlstatsError, ServiceError, SourceError
from mlstats.writing import (
    write_atomic,
    write_json,
    write_parquet,
    write_text,
    write_xlsx,
)


def test_a_file_appears_whole_in_folders_that_are_made(tmp_path: Path):
    path = tmp_path / "with a space" / "é" / "a.txt"
    write_text(path, "one\r\ntwo ä\n")
    assert path.read_bytes() == "one\r\ntwo ä\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "nput/output error"),
    ],
)
def test_a_refusing_system_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, code: int, said: str
):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(hidden: Path) -> None:
        hidden.write_text("half")
        raise OSError(code, "refused")

    with pytest.raises(ServiceError, match=said) as caught:
        write_atomic(path, fail)
    assert caught.value.where == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_while_flushing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(ServiceError, match="the disk is full"):
        write_parquet(tmp_path / "a.parquet", pd.DataFrame({"a": [1]}))
    assert list(tmp_path.iterdir()) == []


def test_any_other_failure_goes_through_and_leaves_nothing(tmp_path: Path):
    def fail(hidden: Path) -> None:
        hidden.write_text("half")
        raise KeyError("a fault of the caller")

    with pytest.raises(KeyError):
        write_atomic(tmp_path / "a.txt", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_a_service_error(tmp_path: Path):
    write_text(tmp_path / "a", "x")
    with pytest.raises(ServiceError, match="cannot be written"):
        write_text(tmp_path / "a" / "b.txt", "x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_that_is_really_full_is_said(tmp_path: Path):
    def to_full_device(hidden: Path) -> None:
        with open("/dev/full", "w") as file:
            file.write("x")

    with pytest.raises(ServiceError, match="the disk is full"):
        write_atomic(tmp_path / "a.txt", to_full_device)


def test_json_is_canonical(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 0.5, None], "a": "Käse"})
    text = path.read_text(encoding="utf-8")
    assert text.index('"a": "Käse"') < text.index('"b"')
    assert text.endswith("}\n")
    assert json.loads(text) == {"b": [1, 0.5, None], "a": "Käse"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_json_refuses_what_it_cannot_hold(tmp_path: Path, value: object):
    with pytest.raises(MlstatsError, match="cannot be written as JSON"):
        write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_a_table_too_long_for_a_workbook_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.xlsx"
    assert write_xlsx(path, {"t": pd.DataFrame({"a": [1]})}) == 0
    before = path.read_bytes()
    monkeypatch.setattr("mlstats.workbook.MAX_ROWS", 2)
    with pytest.raises(SourceError):
        write_xlsx(path, {"t": pd.DataFrame({"a": [1, 2]})})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_characters_left_out_of_a_workbook_are_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    frame = pd.DataFrame({"a": ["secret\x00\x01"]})
    assert write_xlsx(tmp_path / "a.xlsx", {"t": frame}) == 2
    assert "2 characters" in caplog.text
    assert "secret" not in caplog.text

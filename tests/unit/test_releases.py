"""Releases of periods: whole or not there, whatever ends a run."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlstats.errors import ConfigError, ServiceError, SourceError
from mlstats.releases import MANIFEST, ReleaseKey, ReleaseStore

KEY = ReleaseKey("coicop", "2026-03", "data", "pilot", "linear-v2", "index-v1")


def write(folder: Path) -> None:
    (folder / "values.csv").write_text("unit,code\n1,01.1\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "totals.csv").write_text("code,total\n01.1,5\n")


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_release_is_what_was_written_with_its_checksums(store: ReleaseStore):
    made = store.publish(KEY, write, facts={"fallback": "none"})
    assert made.path == "coicop/2026-03/r0001"
    assert not made.final
    assert set(made.files) == {"values.csv", "deep/totals.csv"}
    assert store.current("coicop", "2026-03") == made
    assert store.verify(made) == []
    assert made.facts == {"fallback": "none"}
    assert store.periods("coicop") == ["2026-03"]


def test_the_same_key_gives_the_same_release_without_work(store: ReleaseStore):
    first = store.publish(KEY, write)

    def never(folder: Path) -> None:
        raise AssertionError("it was written again")

    assert store.publish(KEY, never) == first


def test_the_current_release_tells_since_when_it_is_that(store: ReleaseStore):
    before = datetime.now(UTC).replace(microsecond=0)
    store.publish(KEY, write)
    found = store.current("coicop", "2026-03")
    assert found is not None
    assert found.published is not None
    assert before <= found.published <= datetime.now(UTC)
    pointer = found.folder.parent / "current.json"
    told = json.loads(pointer.read_text())
    for moment in ("2026-01-02T03:04:05+00:00", "2026-01-02T05:04:05+02:00"):
        pointer.write_text(json.dumps({**told, "published": moment}))
        store.publish(KEY, write)  # the same release again: it stays since then
        again = store.current("coicop", "2026-03")
        assert again is not None
        assert again.published == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert all(one.published is None for one in store.revisions("coicop", "2026-03"))


def test_a_new_key_is_a_new_revision_and_the_old_one_stays(store: ReleaseStore):
    first = store.publish(KEY, write)
    before = bytes_of(first.folder)
    reviewed = replace(KEY, review_digest="closed")
    second = store.publish(reviewed, write, final=True)
    assert (second.number, second.final) == (2, True)
    assert store.current("coicop", "2026-03") == second
    assert store.revisions("coicop", "2026-03") == [first, second]
    assert bytes_of(first.folder) == before
    # An earlier key again: readers go back to its release, which is still there.
    assert store.publish(KEY, write) == first
    assert store.current("coicop", "2026-03") == first


def test_a_writer_that_fails_leaves_the_last_release_and_nothing_else(
    store: ReleaseStore,
):
    first = store.publish(KEY, write)

    def half(folder: Path) -> None:
        write(folder)
        raise RuntimeError("the method failed")

    with pytest.raises(RuntimeError):
        store.publish(replace(KEY, champion="v3"), half)
    assert store.current("coicop", "2026-03") == first
    assert sorted(p.name for p in first.folder.parent.iterdir()) == [
        ".lock", "current.json", "r0001",
    ]  # fmt: skip


def test_what_was_changed_missing_or_added_is_told(store: ReleaseStore):
    made = store.publish(KEY, write)
    (made.folder / "values.csv").write_text("unit,code\n1,02.1\n")
    (made.folder / "deep" / "totals.csv").unlink()
    (made.folder / "more.csv").write_text("")
    assert store.verify(made) == [
        "missing: deep/totals.csv",
        "changed: values.csv",
        "not in the manifest: more.csv",
    ]
    # A damaged release is not taken for the key's: it is made again beside it.
    again = store.publish(KEY, write)
    assert again.number == 2
    assert store.verify(again) == []


def test_a_damaged_manifest_or_pointer_is_named(store: ReleaseStore):
    made = store.publish(KEY, write)
    (made.folder / MANIFEST).write_text("{")
    with pytest.raises(SourceError) as caught:
        store.current("coicop", "2026-03")
    assert str(caught.value.where).endswith("r0001/manifest.json")
    (made.folder.parent / "current.json").write_text("")
    with pytest.raises(SourceError):
        store.current("coicop", "2026-03")


@pytest.mark.parametrize("name", ["../other", "", "a/b", ".hidden", "a b"])
def test_a_name_that_leads_elsewhere_is_refused(store: ReleaseStore, name: str):
    with pytest.raises(ConfigError):
        store.publish(replace(KEY, pilot=name), write)


def test_a_file_in_the_place_of_the_store_is_said(tmp_path: Path):
    (tmp_path / "releases").write_text("")
    with pytest.raises(ServiceError, match="cannot be written"):
        ReleaseStore(tmp_path / "releases").publish(KEY, write)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_store_that_cannot_be_written_is_said(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(ServiceError, match="cannot be written"):
        ReleaseStore(tmp_path / "releases").publish(KEY, write)


def test_a_full_disk_is_said_and_leaves_the_last_release(store: ReleaseStore):
    first = store.publish(KEY, write)

    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ServiceError, match="No space left") as caught:
        store.publish(replace(KEY, champion="v3"), full)
    assert "untouched" in str(caught.value.hint)
    assert store.current("coicop", "2026-03") == first


def _slow(folder: Path) -> None:
    write(folder)
    (folder.parent / "working").touch()
    time.sleep(600)  # it is killed before


def _publish_slowly(root: Path) -> None:
    ReleaseStore(root).publish(KEY, _slow)


def test_of_two_runs_of_a_period_one_wins_and_the_other_says_so(tmp_path: Path):
    root = tmp_path / "releases"
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=_publish_slowly, args=(root,))
    other.start()
    try:
        place = root / "coicop" / "2026-03"
        while not (place / "working").exists():
            assert other.is_alive()
            time.sleep(0.1)
        with pytest.raises(ServiceError, match="Another run works on this period"):
            ReleaseStore(root).publish(KEY, write)
        # Another period is not held up.
        ReleaseStore(root).publish(replace(KEY, period="2026-04"), write)
    finally:
        other.kill()
        other.join()
    made = ReleaseStore(root).publish(KEY, write)  # the lock ended with its holder
    assert (made.number, ReleaseStore(root).verify(made)) == (1, [])
    assert not list(place.glob(".new-*"))


KILLED = """
import sys, time
from pathlib import Path
from dataclasses import replace
from mlstats.releases import ReleaseKey, ReleaseStore

key = ReleaseKey("coicop", "2026-03", "data", sys.argv[2], "v2", "v1")

def write(folder):
    for number in range(20):
        (folder / f"part{number}.bin").write_bytes(bytes([number]) * 20_000)
        time.sleep(0.001)
        if number == 9 and "wait" in sys.argv:
            print("halfway", flush=True)
            time.sleep(600)

print("ready", flush=True)
ReleaseStore(Path(sys.argv[1])).publish(key, write)
print("done", flush=True)
"""


def kill_and_rerun(tmp_path: Path, kills: int, seed: int) -> int:
    """Kill a publishing process at random moments; return how often it was halfway.

    The first time it waits there, as on a busy machine it may be done before each kill.
    """
    chance, root = random.Random(seed), tmp_path / "releases"
    store, program = ReleaseStore(root), [sys.executable, "-c", KILLED]
    halfway = 0
    previous = None
    for number in range(kills):
        arguments = [str(root), f"pilot{number}"]
        waits = [] if number else ["wait"]
        process = subprocess.Popen(
            [*program, *arguments, *waits], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        if waits:
            assert process.stdout.readline() == b"halfway\n"
        else:
            time.sleep(chance.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        seen = store.current("coicop", "2026-03")
        assert not (waits and seen)
        if seen is not None:
            assert store.verify(seen) == []
        done = seen is not None and seen.key.config_digest == f"pilot{number}"
        halfway += not done
        if not done:
            assert seen == previous  # the last release is untouched
        subprocess.run([*program, *arguments], check=True, capture_output=True)
        made = store.current("coicop", "2026-03")
        assert made is not None
        assert made.key.config_digest == f"pilot{number}"
        assert store.verify(made) == []
        assert not list(made.folder.parent.glob(".new-*"))
        previous = made
    contents = {
        tuple(sorted((n, b) for n, b in bytes_of(r.folder).items() if n != MANIFEST))
        for r in store.revisions("coicop", "2026-03")
    }
    assert len(contents) == 1  # every release has the bytes of an undisturbed one
    told = [json.loads((r.folder / MANIFEST).read_text())["number"]
            for r in store.revisions("coicop", "2026-03")]  # fmt: skip
    assert told == list(range(1, len(told) + 1))
    return halfway


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX systems")
def test_a_kill_at_any_moment_leaves_whole_releases_and_a_rerun_completes(
    tmp_path: Path,
):
    assert kill_and_rerun(tmp_path, 8, seed=1) > 0


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX systems")
def test_two_hundred_kills(tmp_path: Path):
    assert kill_and_rerun(tmp_path, 200, seed=2) > 20

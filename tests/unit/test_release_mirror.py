"""The second copy of a release: whole or not pointed to, never copied twice."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlstats import mirror_place, release_mirror
from mlstats.errors import RefusedError, ServiceError, SourceError
from mlstats.produced import Produced, Reason
from mlstats.release_mirror import fetch, mirror_release, mirrored, verify_mirror
from mlstats.release_record import Purge, record_purge
from mlstats.releases import Release, ReleaseKey, ReleaseStore
from mlstats.settings import load_settings
from tests.s3_server import Store

KEY = ReleaseKey("coicop", "2026-03", "data", "pilot", "linear-v2", "index-v1")
WORDS = ("coicop", "2026-03")


def write(folder: Path) -> None:
    (folder / "totals.csv").write_text("code,total\n01.1,5\n")
    (folder / "confidential").mkdir()
    (folder / "confidential" / "units.csv").write_text("unit,code\n1,01.1\n")
    (folder / "page.html").write_text("<p>")


@pytest.fixture
def releases(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


@pytest.fixture(
    params=["folder", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))]
)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "the mirror")
    made: Store = request.getfixturevalue("store")
    return f"{made.address}/statistics/releases"


class Counted:
    """Counts what is copied to the mirror, and may fail before a copy."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.fails_at: int | None = None
        for kind in (mirror_place._Folder, mirror_place._Bucket):
            for method in ("copy", "write"):
                patch.setattr(kind, method, self._of(getattr(kind, method)))

    def _of(self, method):  # type: ignore[no-untyped-def]
        def counted(place, *given):  # type: ignore[no-untyped-def]
            if len(self.names) == self.fails_at:
                raise ServiceError("The store went away")
            name = next(str(g) for g in given if str(g).startswith("coicop/"))
            self.names.append(name.removeprefix("coicop/2026-03/"))
            return method(place, *given)

        return counted


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_release_is_copied_manifest_and_pointer_last_and_once(
    releases: ReleaseStore, address: str, counted: Counted, tmp_path: Path
) -> None:
    made = releases.publish(KEY, write)
    assert mirror_release(made, address)
    assert set(counted.names[:3]) == {
        "r0001/totals.csv", "r0001/confidential/units.csv", "r0001/page.html",
    }  # fmt: skip
    assert counted.names[3:] == ["r0001/manifest.json", "current.json"]
    assert verify_mirror(address, *WORDS) == []
    assert not mirror_release(made, address)
    assert len(counted.names) == 5
    back = fetch(address, *WORDS, tmp_path / "fetched")
    assert back.key == made.key
    assert bytes_of(back.folder) == bytes_of(made.folder)


@pytest.mark.parametrize("at", range(5))
def test_an_interrupted_copy_goes_on_and_readers_see_the_old_one(
    releases: ReleaseStore, address: str, counted: Counted, tmp_path: Path, at: int
) -> None:
    first = releases.publish(KEY, write)
    mirror_release(first, address)
    second = releases.publish(replace(KEY, input_digest="more"), write)
    counted.names.clear()
    counted.fails_at = at
    with pytest.raises(ServiceError):
        mirror_release(second, address)
    assert fetch(address, *WORDS, tmp_path / "before").number == 1
    assert verify_mirror(address, *WORDS) == []
    counted.fails_at = None
    assert mirror_release(second, address)
    assert len(counted.names) == len(set(counted.names)) == 5
    assert fetch(address, *WORDS, tmp_path / "after").number == 2


def test_an_older_release_does_not_move_the_pointer(
    releases: ReleaseStore, address: str, tmp_path: Path
) -> None:
    first = releases.publish(KEY, write)
    mirror_release(releases.publish(replace(KEY, champion="new"), write), address)
    assert mirror_release(first, address)
    assert fetch(address, *WORDS, tmp_path / "f").number == 2
    # Released again, it is the current one, here and there.
    assert mirror_release(releases.publish(KEY, write), address)
    assert fetch(address, *WORDS, tmp_path / "f").number == 1


def test_a_release_that_was_changed_is_not_copied(
    releases: ReleaseStore, address: str
) -> None:
    made = releases.publish(KEY, write)
    (made.folder / "totals.csv").write_text("code,total\n01.1,6\n")
    with pytest.raises(SourceError, match="not the one in its manifest"):
        mirror_release(made, address)
    with pytest.raises(SourceError, match="no release of 2026-03"):
        verify_mirror(address, *WORDS)


def test_another_projects_release_is_not_overwritten(
    releases: ReleaseStore, address: str, tmp_path: Path
) -> None:
    mirror_release(releases.publish(KEY, write), address)
    other = ReleaseStore(tmp_path / "other")
    made = other.publish(replace(KEY, config_digest="other"), write)
    with pytest.raises(RefusedError, match="another release"):
        mirror_release(made, address)
    assert fetch(address, *WORDS, tmp_path / "f").key == KEY


def changed(address: str, name: str, data: bytes | None, request) -> None:  # type: ignore[no-untyped-def]
    if not address.startswith("s3://"):
        file = Path(address) / name
        file.unlink() if data is None else file.write_bytes(data)
        return
    store: Store = request.getfixturevalue("store")
    key = f"statistics/releases/{name}"
    store.remove(key) if data is None else store.put(key, data)


def test_what_was_changed_or_lost_on_the_mirror_is_told(
    releases: ReleaseStore, address: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    mirror_release(releases.publish(KEY, write), address)
    place = "coicop/2026-03/r0001"
    changed(address, f"{place}/totals.csv", b"code,total\n01.1,6\n", request)
    changed(address, f"{place}/page.html", None, request)
    told = verify_mirror(address, *WORDS)
    assert told == ["missing: page.html", "changed: totals.csv"]
    with pytest.raises(SourceError):
        fetch(address, *WORDS, tmp_path / "f")
    assert not (tmp_path / "f" / place / "manifest.json").exists()
    changed(address, f"{place}/manifest.json", b"{", request)
    with pytest.raises(SourceError, match="record of the release cannot be read"):
        verify_mirror(address, *WORDS)


def test_a_manifest_cannot_name_a_file_outside(
    releases: ReleaseStore, address: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = releases.publish(KEY, write)
    mirror_release(made, address)
    told = json.loads((made.folder / "manifest.json").read_text())
    told["files"]["../../../evil"] = "0"
    data = json.dumps(told).encode()
    changed(address, "coicop/2026-03/r0001/manifest.json", data, request)
    with pytest.raises(SourceError, match="outside its release"):
        fetch(address, *WORDS, tmp_path / "f")
    assert not list(tmp_path.rglob("evil"))


def test_purged_records_are_told_and_not_missed(
    releases: ReleaseStore, address: str, tmp_path: Path
) -> None:
    made = releases.publish(KEY, write)
    name = "confidential/units.csv"
    act = Purge(
        "2026-09-01T00:00:00+00:00", "hash", ("units",), {name: made.files[name]}
    )
    record_purge(made, act)
    (made.folder / name).unlink()
    found = releases.current(*WORDS)
    assert found is not None
    assert mirror_release(found, address)
    assert verify_mirror(address, *WORDS) == []
    back = fetch(address, *WORDS, tmp_path / "f")
    assert back.without_records
    assert not (back.folder / name).exists()


def produced(release: Release | None) -> Produced:
    return Produced(*WORDS, release, notes=("a note",))


def test_without_the_setting_nothing_happens(
    releases: ReleaseStore, monkeypatch: pytest.MonkeyPatch, counted: Counted
) -> None:
    made = produced(releases.publish(KEY, write))
    assert mirrored(made, load_settings()) is made
    monkeypatch.setenv("MLSTATS_PUBLISH", "mirror")
    dry = produced(None)
    assert mirrored(dry, load_settings()) is dry
    assert counted.names == []
    assert mirrored(made, load_settings()) is made
    assert verify_mirror("mirror", *WORDS) == []


def test_a_mirror_that_fails_is_told_and_the_release_stays(
    releases: ReleaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = produced(releases.publish(KEY, write))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLSTATS_PUBLISH", str(tmp_path / "file"))
    told = mirrored(made, load_settings())
    assert told.release is made.release
    assert told.unmirrored
    assert told.notes[0] == "a note"
    assert told.notes[1].startswith("released, and not copied to MLSTATS_PUBLISH: ")

    def fails(*_: object) -> None:
        raise ValueError("unit 17 has 5 children")

    monkeypatch.setattr(release_mirror, "mirror_release", fails)
    assert mirrored(made, load_settings()).unmirrored == "ValueError"


@pytest.mark.xdist_group("s3")
def test_a_store_that_does_not_answer_is_told(
    releases: ReleaseStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("MLSTATS_PUBLISH", store.address)
    told = mirrored(produced(releases.publish(KEY, write)), load_settings())
    assert "does not do what was asked" in told.unmirrored


def test_the_flow_ends_as_released_where_the_mirror_failed() -> None:
    from pipelines.scheduled import ended

    state = ended(replace(produced(None), unmirrored="it is full"))
    assert (state.type.value, state.name) == ("COMPLETED", "Released")
    assert state.message == "not copied to the mirror: it is full"
    fell = replace(
        produced(None), unmirrored="it is full", reasons=(Reason("model", "gone"),)
    )
    state = ended(fell)
    assert state.name == "Fallback"
    assert state.message == "model: gone; not copied to the mirror: it is full"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("mirror", ["", "mirror"])
def test_the_flow_copies_what_it_released_or_found_released(
    releases: ReleaseStore,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
    mirror: str,
) -> None:
    from pipelines import produce as flow

    made = produced(releases.publish(KEY, write))
    plan = SimpleNamespace(back_cast=False)
    for name in ("read", "compose", "keep_shadow", "answer"):
        monkeypatch.setattr(flow, name, lambda *_: (None, None))
    monkeypatch.setattr(flow, "prepare", lambda *_, **__: plan)
    monkeypatch.setattr(flow, "publish", lambda *_: made)
    # The tasks themselves are met by the tests of the flow on a server.
    monkeypatch.setattr(flow, "mirrored", mirrored)
    monkeypatch.setattr(flow.production, "working", nullcontext)
    monkeypatch.setattr(flow.production, "roles_of", lambda _: ())
    found = made if known else None
    monkeypatch.setattr(flow.production, "released_before", lambda *_: found)
    monkeypatch.setenv("MLSTATS_PUBLISH", mirror)
    assert flow._one("coicop", "2026-03", load_settings()) is made
    assert Path("mirror").exists() == bool(mirror)
    if mirror:
        assert verify_mirror(mirror, *WORDS) == []


def test_the_folder_of_fetched_records_is_closed_to_others(
    releases: ReleaseStore, tmp_path: Path
) -> None:
    address = str(tmp_path / "mirror")
    mirror_release(releases.publish(KEY, write), address)
    before = os.umask(0o022)
    try:
        back = fetch(address, *WORDS, tmp_path / "fetched")
    finally:
        os.umask(before)
    assert (back.folder / "confidential" / "units.csv").is_file()
    if os.name == "posix":
        assert (back.folder / "confidential").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("told", [b"{", b"[1]", b'{"files": 1}'])
def test_a_damaged_record_of_a_purge_is_told(
    releases: ReleaseStore, tmp_path: Path, told: bytes
) -> None:
    address = tmp_path / "mirror"
    mirror_release(releases.publish(KEY, write), str(address))
    (address / "coicop/2026-03/r0001" / "purged.json").write_bytes(told)
    for step in (
        lambda: verify_mirror(str(address), *WORDS),
        lambda: fetch(str(address), *WORDS, tmp_path / "fetched"),
    ):
        with pytest.raises(SourceError, match="record of the release cannot be read"):
            step()

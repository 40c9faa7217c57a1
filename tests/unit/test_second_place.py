"""Copies of purged tables go too, and the doctor looks at the second place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mlstats import mirror_place
from mlstats.doctor import Finding, _second_place
from mlstats.errors import ConfigError, RefusedError, ServiceError
from mlstats.purge import purge
from mlstats.release_mirror import (
    fetch,
    mirror_release,
    remove_purged,
    uncopied,
    verify_mirror,
)
from mlstats.release_record import Purge, record_purge
from mlstats.releases import Release, ReleaseKey, ReleaseStore
from mlstats.settings import Settings, load_settings
from tests.s3_server import Store

KEY = ReleaseKey("coicop", "2026-03", "data", "pilot", "linear-v2", "index-v1")
WORDS = ("coicop", "2026-03")
PLACE = "coicop/2026-03/r0001"
UNITS = ("confidential/queue.csv", "confidential/units/part-1.csv")
WATCHED = "confidential/watched.csv"


@dataclass(frozen=True)
class Second:
    """A second place, looked at by another hand than mlstats' own."""

    address: str
    store: Store | None = None

    def names(self) -> list[str]:
        if self.store is not None:
            return [key.removeprefix("office/") for key in self.store.keys()]  # noqa: SIM118
        root = Path(self.address)
        found = (path for path in root.rglob("*") if path.is_file())
        return sorted(path.relative_to(root).as_posix() for path in found)

    def put(self, name: str, data: bytes) -> None:
        if self.store is not None:
            self.store.put(f"office/{name}", data)
            return
        file = Path(self.address) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


@pytest.fixture(
    params=["folder", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))]
)
def second(request: pytest.FixtureRequest, tmp_path: Path) -> Second:
    if request.param == "folder":
        place = tmp_path / "the second"
        place.mkdir()
        return Second(str(place))
    made: Store = request.getfixturevalue("store")
    return Second(f"{made.address}/office", made)


@pytest.fixture
def settings(second: Second, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MLSTATS_PUBLISH", second.address)
    return load_settings()


@pytest.fixture
def releases(settings: Settings) -> ReleaseStore:
    return ReleaseStore(settings.releases)


def write(folder: Path) -> None:
    (folder / "totals.csv").write_text("code,total\n01.1,5\n")
    for number, name in enumerate((*UNITS, WATCHED)):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"unit,code\n{number},01.1\n")


def purged(releases: ReleaseStore, made: Release) -> Release:
    """Let the units of a release go here, as a purge does."""
    gone = {name: made.files[name] for name in UNITS}
    record_purge(made, Purge("2026-09-01T00:00:00+00:00", "hash", ("units",), gone))
    for name in gone:
        (made.folder / name).unlink()
    found = {one.number: one for one in releases.revisions(*WORDS)}
    return found[made.number]


def copied(releases: ReleaseStore, address: str, **changes: str) -> Release:
    made = releases.publish(replace(KEY, **changes), write)
    mirror_release(made, address)
    return made


def refusing(real: Callable[..., None], *names: str) -> Callable[..., None]:
    def refused(place: object, name: str) -> None:
        if name in names:
            raise ServiceError("There is no permission", where=name)
        real(place, name)

    return refused


KINDS = (mirror_place._Folder, mirror_place._Bucket)


def test_what_was_purged_goes_there_too_and_once(
    releases: ReleaseStore, second: Second, settings: Settings, tmp_path: Path
) -> None:
    made = copied(releases, second.address)
    before = second.names()
    purged(releases, made)
    # Until then it is neither missing nor forgotten.
    assert verify_mirror(second.address, *WORDS) == []
    assert purge([], settings) == []
    gone = {f"{PLACE}/{name}" for name in UNITS}
    assert set(second.names()) == {*before, f"{PLACE}/purged.json"} - gone
    assert f"{PLACE}/{WATCHED}" in second.names()
    assert verify_mirror(second.address, *WORDS) == []
    back = fetch(second.address, *WORDS, tmp_path / "fetched")
    assert set(back.purged) == set(UNITS)
    assert (back.folder / "totals.csv").is_file()
    assert not remove_purged(releases.revisions(*WORDS)[0], second.address)
    # Whatever else comes to lie there under a purged name goes as well.
    second.put(f"{PLACE}/{UNITS[0]}", b"an older copy")
    assert verify_mirror(second.address, *WORDS) == [f"not purged: {UNITS[0]}"]
    purge([], settings)
    assert verify_mirror(second.address, *WORDS) == []


def test_every_revision_loses_its_copies_of_the_pilots_asked_for(
    releases: ReleaseStore, second: Second, settings: Settings
) -> None:
    for champion in ("a", "b"):
        purged(releases, copied(releases, second.address, champion=champion))
    before = second.names()
    purge([], settings, pilots=["another"])
    assert second.names() == before
    purge([], settings, pilots=["coicop"])
    left = [name for name in second.names() if "units" in name or "queue" in name]
    assert left == []
    assert {f"coicop/2026-03/r000{n}/{WATCHED}" for n in (1, 2)} <= set(second.names())


def test_what_is_refused_is_told_once_and_taken_up_again(
    releases: ReleaseStore,
    second: Second,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for champion in ("a", "b", "c"):
        purged(releases, copied(releases, second.address, champion=champion))
    held = [f"coicop/2026-03/r000{n}/{UNITS[0]}" for n in (1, 2)]
    with monkeypatch.context() as patch:
        for kind in KINDS:
            patch.setattr(kind, "remove", refusing(kind.remove, *held))
        with pytest.raises(ServiceError, match="not all of it on the second") as told:
            purge([], settings)
    assert told.value.where == f"{held[0]} and 1 more releases"
    assert "run mlstats purge again" in str(told.value)
    # All else is gone, and each copy says what it was to lose.
    left = [n for n in second.names() if n.endswith(UNITS)]
    assert left == held
    assert sum(name.endswith("purged.json") for name in second.names()) == 3
    purge([], settings)
    assert not [name for name in second.names() if name.endswith(UNITS)]


def test_a_period_that_a_run_holds_is_taken_up_later(
    releases: ReleaseStore, second: Second, settings: Settings
) -> None:
    purged(releases, copied(releases, second.address))
    with (
        releases.working(*WORDS),
        pytest.raises(ServiceError, match="Another run works on this period"),
    ):
        purge([], settings)
    assert f"{PLACE}/{UNITS[0]}" in second.names()
    purge([], settings)
    assert f"{PLACE}/{UNITS[0]}" not in second.names()


def test_of_a_copy_that_broke_off_only_its_own_files_go(
    releases: ReleaseStore,
    second: Second,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = releases.publish(KEY, write)

    def gone(*_: object) -> None:
        raise ServiceError("the network went away")

    with monkeypatch.context() as patch:
        for kind in KINDS:
            patch.setattr(kind, "write", gone)
        with pytest.raises(ServiceError):
            mirror_release(made, second.address)
    second.put(f"{PLACE}/{UNITS[0]}", b"of somebody else")
    found = purged(releases, made)
    assert remove_purged(found, second.address)
    assert second.names() == sorted(
        f"{PLACE}/{name}" for name in ("totals.csv", UNITS[0], WATCHED)
    )
    # Without a manifest no copy is there: nothing tells of a purge of it.
    assert not remove_purged(found, second.address)
    # Copied after all, it loses what bears its names.
    assert mirror_release(found, second.address)
    assert verify_mirror(second.address, *WORDS) == []
    assert f"{PLACE}/{UNITS[0]}" not in second.names()


def test_nothing_of_another_projects_release_is_removed(
    releases: ReleaseStore, second: Second, settings: Settings, tmp_path: Path
) -> None:
    other = ReleaseStore(tmp_path / "other")
    copied(other, second.address, config_digest="other")
    before = second.names()
    found = purged(releases, releases.publish(KEY, write))
    with pytest.raises(RefusedError, match="another release"):
        remove_purged(found, second.address)
    with pytest.raises(ServiceError, match="another release"):
        purge([], settings)
    assert second.names() == before


def test_a_release_that_was_never_copied_leaves_nothing_there(
    releases: ReleaseStore, second: Second, settings: Settings
) -> None:
    purged(releases, releases.publish(KEY, write))
    purge([], settings)
    assert second.names() == []


@pytest.mark.parametrize("second", ["folder"], indirect=True)
def test_what_a_killed_copy_left_goes_with_its_file(
    releases: ReleaseStore, second: Second, settings: Settings
) -> None:
    purged(releases, copied(releases, second.address))
    half = [f"{PLACE}/confidential/units/.part-1.csv.0a1b2c3d.tmp"]
    kept = [f"{PLACE}/confidential/.watched.csv.0a1b2c3d.tmp"]
    for name in half + kept:
        second.put(name, b"unit,co")
    purge([], settings)
    assert not set(half) & set(second.names())
    assert set(kept) <= set(second.names())


@pytest.mark.parametrize("second", ["folder"], indirect=True)
def test_the_folder_of_confidential_copies_is_closed_to_others(
    releases: ReleaseStore, second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first file lies in a folder below it."""
    made = releases.publish(KEY, write)
    deep = {name: made.files[name] for name in UNITS[::-1]}
    mirror_release(replace(made, files=deep), second.address)
    folder = Path(second.address) / PLACE / "confidential"
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("second", ["folder"], indirect=True)
def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(
    releases: ReleaseStore,
    second: Second,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    purged(releases, copied(releases, second.address))
    real = mirror_place.os.walk

    def closed(top: Path, onerror: Callable[[OSError], None]) -> object:
        onerror(PermissionError(13, "closed", str(top)))
        return real(top)

    monkeypatch.setattr(mirror_place.os, "walk", closed)
    with pytest.raises(ServiceError, match="no permission"):
        purge([], settings)


def away(second: Second, patch: pytest.MonkeyPatch) -> str:
    """Let the second place be out of reach; return what is said then."""
    if second.store is None:
        shutil.rmtree(second.address)
        return "is not there"
    patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    patch.setenv("AWS_MAX_ATTEMPTS", "1")
    return "does not do what was asked"


def test_a_place_out_of_reach_is_asked_once(
    releases: ReleaseStore,
    second: Second,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert purge([], settings) == []
    for champion in ("a", "b"):
        purged(releases, copied(releases, second.address, champion=champion))
    said = away(second, monkeypatch)
    with pytest.raises(ServiceError, match=said) as told:
        purge([], settings)
    assert "more releases" not in str(told.value)
    monkeypatch.setenv("MLSTATS_PUBLISH", "s3://")
    with pytest.raises(ConfigError, match="no bucket"):
        purge([], load_settings())


# -- the doctor --------------------------------------------------------------------


def seen(settings: Settings) -> list[tuple[str, str]]:
    found: list[Finding] = list(_second_place(settings))
    assert {one.what for one in found} <= {"second place"}
    return [(one.state, one.found) for one in found]


def test_the_doctor_counts_the_copies_of_current_releases(
    releases: ReleaseStore, second: Second, settings: Settings
) -> None:
    at = second.address
    assert seen(settings) == [
        ("good", f"{at}: 0 of 0 current releases are copied"),
    ]
    copied(releases, at, period="2026-02")
    made = copied(releases, at)
    good = ("good", f"{at}: 2 of 2 current releases are copied")
    assert seen(settings) == [good]
    before = second.names()
    new = releases.publish(replace(KEY, champion="new"), write)
    assert seen(settings) == [
        (
            "doubtful",
            f"{at}: 1 of 2 current releases are copied, coicop/2026-03/r0002 is not: "
            "produce what is missing there again",
        )
    ]
    # Looking leaves nothing, hidden or not.
    assert second.names() == before
    assert uncopied([made, new], at) == [new.path]
    # Copied, and readers are not led to it: they still see the one before.
    told = (releases.folder / "coicop/2026-03/current.json").read_bytes()
    mirror_release(new, at)
    assert seen(settings) == [good]
    second.put("coicop/2026-03/current.json", told.replace(b": 2", b": 1"))
    assert uncopied([made, new], at) == [new.path]
    second.put(f"{made.path}/manifest.json", b"{}")
    assert uncopied([made, new], at) == [made.path, new.path]


def test_a_damaged_release_does_not_stop_the_count(
    releases: ReleaseStore, second: Second, settings: Settings
) -> None:
    copied(releases, second.address, period="2026-02")
    made = copied(releases, second.address)
    (made.folder / "manifest.json").write_text("{")
    assert seen(settings)[0][1].endswith("1 of 1 current releases are copied")


def test_the_doctor_tells_of_a_place_out_of_reach(
    second: Second, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = away(second, monkeypatch)
    with pytest.raises(ServiceError, match=said):
        seen(settings)


def test_a_place_that_cannot_be_written_is_told(
    second: Second, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "denied")

    if second.store is None:
        monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    else:
        files = mirror_place.place_of(second.address).files  # type: ignore[attr-defined]
        real = files.call_s3

        def reading_only(method: str, **given: object) -> object:
            return denied() if "upload" in method else real(method, **given)

        monkeypatch.setattr(files, "call_s3", reading_only)
    with pytest.raises(ServiceError, match="no permission"):
        seen(settings)


@pytest.mark.xdist_group("s3")
def test_a_bucket_that_is_not_there_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTATS_PUBLISH", f"{store.address}-of-nobody/releases")
    with pytest.raises(ServiceError, match="is not there"):
        seen(load_settings())


@pytest.mark.xdist_group("s3")
def test_a_trial_leaves_no_upload_unfinished(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (store.address, f"{store.address}/office"):
        monkeypatch.setenv("MLSTATS_PUBLISH", address)
        assert seen(load_settings())[0][0] == "good"
    files = mirror_place.place_of(store.address).files  # type: ignore[attr-defined]
    told = files.call_s3("list_multipart_uploads", Bucket=store.bucket)
    assert told.get("Uploads", []) == []
    assert store.keys() == []


def test_without_the_setting_the_doctor_says_nothing_of_it() -> None:
    assert list(_second_place(load_settings())) == []

"""Where the blocks of a raster of a pilot are worked on."""

import pytest

from mlstats.imagery_task import map_workers
from mlstats.scale import Scale

LARGE = 4_000_001


@pytest.fixture(autouse=True)
def office(monkeypatch):
    monkeypatch.setenv("MLSTATS_SCALE", "tcp://127.0.0.1:8786")
    monkeypatch.setenv("MLSTATS_WORKERS", "3")


def test_a_large_raster_goes_where_the_settings_say():
    assert map_workers(LARGE) == Scale("tcp://127.0.0.1:8786", 3)


def test_a_small_raster_is_done_here():
    assert map_workers(LARGE - 1) == 1


def test_sums_by_zone_are_quick():
    assert map_workers(LARGE, sums=True) == 1
    assert map_workers(150_000_001, sums=True) == Scale("tcp://127.0.0.1:8786", 3)


def test_a_file_that_others_do_not_see_stays_on_this_machine():
    assert map_workers(LARGE, shared=False) == Scale("local", 3)

"""Foreign errors lose their message, ours keep theirs, the log keeps both."""

import errno
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlstats.errors import ConfigError, MlstatsError, ServiceError
from mlstats.guard import confidential_log, guarded


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    handler = confidential_log(tmp_path / "closed")
    yield tmp_path / "closed" / "log.txt"
    logging.getLogger("mlstats.confidential").removeHandler(handler)
    handler.close()


def test_a_library_error_keeps_its_type_and_loses_its_words(log: Path) -> None:
    @guarded
    def convert() -> None:
        raise ValueError("could not convert 'Anna Muster'")

    with pytest.raises(MlstatsError) as caught:
        convert()
    assert "ValueError" in str(caught.value)
    assert "test_guard.py:" in str(caught.value)
    assert "Anna" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "Anna Muster" in log.read_text()
    assert (log.parent.stat().st_mode & 0o077) == 0


def test_our_own_errors_pass(log: Path) -> None:
    @guarded
    def refuse() -> None:
        raise ConfigError("no such key", nearest="key")

    with pytest.raises(ConfigError, match="no such key"):
        refuse()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_closed_disk_is_a_service(log: Path, number: int) -> None:
    @guarded
    def write() -> None:
        raise OSError(number, "x", "reports/scorecard.html")

    with pytest.raises(ServiceError) as caught:
        write()
    assert caught.value.where == "reports/scorecard.html"


def test_another_os_error_is_internal(log: Path) -> None:
    @guarded
    def call() -> None:
        raise OSError("odd")

    with pytest.raises(MlstatsError) as caught:
        call()
    assert caught.value.exit_code == 5

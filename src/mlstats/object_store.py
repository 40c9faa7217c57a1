"""Files on this machine and objects of an S3 store, opened by one address.

An address is a local path, or ``s3://bucket/key``. The endpoint, the region and the
credentials of a store come from the environment alone (``AWS_*``, ``FSSPEC_S3_*``),
so that no pilot and no release ever holds one. The store's own messages may quote a
signed request: they are not passed on.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from mlstats.errors import ConfigError, ServiceError, SourceError, nearest

__all__ = [
    "REMOTE",
    "FileState",
    "base_name",
    "changed",
    "check_unchanged",
    "is_remote",
    "opened",
    "reaching",
    "sha256_of",
    "state_of",
    "store_of",
]

REMOTE: Final = "s3://"
# A store that takes a connection and says nothing is told after two minutes.
_ANSWER: Final = 20.0  # seconds
_ATTEMPTS: Final = 3  # by botocore, in each round of s3fs
_ROUNDS: Final = 2
_CHUNK: Final = 1 << 22
FileState = tuple[str, str]
# The packages that speak to the store; their exceptions have no base of our own.
_SPEAKERS: Final = ("aiobotocore", "aiohttp", "botocore", "fsspec", "s3fs")


def is_remote(address: str | Path) -> bool:
    """Return whether an address is one of an S3 store."""
    return str(address).startswith(REMOTE)


def base_name(address: str) -> str:
    """Return the last part of an address.

    Examples
    --------
    >>> base_name("s3://bucket/folder/part-1.parquet")
    'part-1.parquet'
    """
    return (
        address.rstrip("/").rpartition("/")[2]
        if is_remote(address)
        else (Path(address).name)
    )


def store_of(address: str) -> Any:
    """Return the file system of an S3 address, which fsspec keeps for its endpoint.

    Raises
    ------
    ConfigError
        Where the packages of the extra ``s3`` are not installed, and where the
        address names no bucket or holds a password.
    """
    bucket = address.removeprefix(REMOTE).split("/")[0]
    if not bucket or "@" in bucket:
        raise ConfigError(
            "The address names no bucket" if not bucket else "The address has a user",
            where=REMOTE if not bucket else "the address of a store",
            expected="s3://bucket/prefix",
            hint="credentials come from AWS_ACCESS_KEY_ID and its like",
        )
    try:
        import fsspec
        import s3fs  # noqa: F401 - fsspec's own message names another package
    except ImportError:
        raise ConfigError(
            "Addresses that begin with s3:// need the package s3fs",
            where=address,
            hint='pip install "mlstats[s3]"',
        ) from None
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get(
        "AWS_ENDPOINT_URL"
    )
    given: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    told: dict[str, Any] = {"connect_timeout": _ANSWER, "read_timeout": _ANSWER}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        told["retries"] = {"total_max_attempts": _ATTEMPTS}
    given["config_kwargs"] = told
    # Another process may have written since: what was listed before is not believed.
    store = fsspec.filesystem("s3", use_listings_cache=False, **given)
    store.retries = _ROUNDS
    return store


@contextmanager
def reaching(address: str) -> Iterator[None]:
    """Tell what fails in reaching an address in words of our own.

    Raises
    ------
    SourceError
        Where nothing is there.
    ServiceError
        Where the store does not answer, or refuses.
    """
    try:
        yield
    except FileNotFoundError:
        raise _not_there(address) from None
    except PermissionError:
        raise ServiceError(
            "There is no permission to read or write here",
            where=address,
            expected="credentials or a user with the right",
            hint="for a store look at AWS_ACCESS_KEY_ID, AWS_PROFILE and the bucket's "
            "policy",
        ) from None
    except (TimeoutError, ConnectionError) as error:
        # Those of asyncio have no number.
        raise _out_of_reach(address, error) from None
    except OSError as error:
        if error.errno is None and not _of_store(error):
            raise  # of pyarrow: what was read is not what it says it is
        raise _out_of_reach(address, error) from None
    except Exception as error:
        if not _of_store(error):
            raise
        raise _out_of_reach(address, error) from None


@contextmanager
def opened(address: str) -> Iterator[BinaryIO]:
    """Open a file or an object for reading its bytes in any order.

    Raises
    ------
    SourceError, ServiceError
        As :func:`reaching`; ConfigError as :func:`store_of`.
    """
    with reaching(address):
        if is_remote(address):
            # No read-ahead: a table's footer is far from the columns that are wanted.
            file = store_of(address).open(address, "rb", cache_type="none")
        else:
            file = Path(address).open("rb")  # noqa: SIM115 - closed below
        with file:
            yield cast("BinaryIO", file)


def sha256_of(address: str) -> str:
    """Return the SHA-256 of the bytes of a file or an object in hex, read in pieces.

    Raises
    ------
    SourceError, ServiceError, ConfigError
        As :func:`opened`.
    """
    found = hashlib.sha256()
    with opened(address) as file:
        while piece := file.read(_CHUNK):
            found.update(piece)
    return found.hexdigest()


def state_of(address: str, file: BinaryIO | None = None) -> FileState:
    """Return what changes with the content of a file or an object.

    Parameters
    ----------
    address : str
        Where it lies.
    file : binary file, optional
        Of :func:`opened`, where it is open already.

    Returns
    -------
    tuple of two str
        The absolute address; of a file its size and when it was written, of an object
        its entity tag.

    Raises
    ------
    SourceError, ServiceError, ConfigError
        As :func:`opened`.
    """
    if file is None:
        with opened(address) as file:
            return state_of(address, file)
    if is_remote(address):
        return address, str(cast("Any", file).details["ETag"])
    told = os.fstat(file.fileno())
    return str(Path(address).resolve()), f"{told.st_size} {told.st_mtime_ns}"


def check_unchanged(states: Mapping[str, FileState], done: str) -> None:
    """Check that files and objects are those that they were.

    Parameters
    ----------
    states : mapping of str to FileState
        Address -> of :func:`state_of`, before it was read.
    done : str
        What was done with them, such as "read".

    Raises
    ------
    SourceError
        Where one is gone or was written since.
    ServiceError, ConfigError
        As :func:`opened`.
    """
    for address, state in states.items():
        if state_of(address) != state:
            raise changed(address, done)


def changed(address: str, done: str) -> SourceError:
    """Return the error about a file that was written while something was done with it.

    Parameters
    ----------
    address, done : str
        As for :func:`check_unchanged`.
    """
    return SourceError(
        f"The file was changed while it was {done}",
        where=address,
        expected="files that do not change while they are read",
        hint="run again when whoever writes it is done",
    )


def _of_store(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in _SPEAKERS


def _not_there(address: str) -> SourceError:
    beside: list[str] = []
    if not is_remote(address) and (folder := Path(address).parent).is_dir():
        beside = [entry.name for entry in folder.iterdir()]
    return SourceError(
        "The file is not there",
        where=address,
        expected="a file, a folder of Parquet files or an address in a store",
        nearest=nearest(base_name(address), beside),
    )


def _out_of_reach(address: str, error: Exception) -> ServiceError:
    code = error.errno if isinstance(error, OSError) else None
    why = os.strerror(code) if code else type(error).__name__
    full = code in {errno.ENOSPC, errno.EDQUOT}
    return ServiceError(
        f"The store does not do what was asked: {why}",
        where=address,
        expected="a store that answers" if not full else "a store with room",
        hint="look at AWS_ENDPOINT_URL and the credentials, then run again"
        if is_remote(address)
        else "mend it, then run again",
    )

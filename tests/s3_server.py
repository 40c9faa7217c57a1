"""A real server of the S3 protocol on the loopback, for tests: moto's.

`store` in ``tests/conftest.py`` starts one and gives each test a bucket of its own;
tests that use it carry ``pytest.mark.xdist_group("s3")``.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

__all__ = ["Store", "new_bucket", "server"]

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Store:
    """A bucket of the server, and the environment by which it is reached."""

    endpoint: str
    bucket: str

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}"

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def put(self, key: str, data: bytes) -> str:
        address = f"{self.address}/{key}"
        with self._files() as files:
            files.call_s3("put_object", Bucket=self.bucket, Key=key, Body=data)
        return address

    def read(self, key: str) -> bytes:
        with self._files() as files:
            return bytes(files.cat_file(f"{self.address}/{key}"))

    def keys(self) -> list[str]:
        """Return every key of the bucket."""
        with self._files() as files:
            found = files.find(self.address)
        return sorted(key.removeprefix(f"{self.bucket}/") for key in found)

    def remove(self, key: str) -> None:
        with self._files() as files:
            files.rm_file(f"{self.address}/{key}")

    @contextmanager
    def _files(self) -> Iterator[Any]:
        # Not by way of mlstats: what it writes is looked at by another hand.
        import s3fs

        given = self.environment()
        yield s3fs.S3FileSystem(
            key=given["AWS_ACCESS_KEY_ID"],
            secret=given["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.endpoint,
            use_listings_cache=False,
        )


@contextmanager
def server() -> Iterator[str]:
    """Run a server on a free port of the loopback; yield its address."""
    moto_server = pytest.importorskip("moto.server")
    running = moto_server.ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    running.start()
    try:
        host, port = running.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        running.stop()


def new_bucket(endpoint: str) -> Store:
    """Make an empty bucket."""
    made = Store(endpoint, f"bucket-{os.getpid()}-{next(_NUMBERS)}")
    with made._files() as files:
        files.mkdir(made.bucket)
    return made

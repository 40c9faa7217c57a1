"""Blocks on a Dask cluster that speaks TLS only, with certificates of this test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.dask_cluster import REPOSITORY, DaskCluster, dask_cluster

pytestmark = pytest.mark.xdist_group("dask")

CLIENT = """
from mlstats.errors import MlstatsError
from mlstats.scale import Scale, map_blocks
from mlstats import scale_connection
scale_connection.CONNECT = 5.0
try:
    print(sum(map_blocks(abs, range(10), workers=Scale({address!r}))))
except MlstatsError as error:
    print(type(error).__name__, error)
"""


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
        made = self._certificate(self.name, self.key, authority=True)
        self.path = self._write("ca.pem", made)

    def variables(self) -> dict[str, str]:
        """Return what Dask is told of the authority and of one certificate for all."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "office")])
        own = self._write("own.pem", self._certificate(name, key, authority=False))
        secret = self.folder / "own.key"
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        told = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(self.path)}
        for who in ("SCHEDULER", "WORKER", "CLIENT"):
            told[f"DASK_DISTRIBUTED__COMM__TLS__{who}__CERT"] = str(own)
            told[f"DASK_DISTRIBUTED__COMM__TLS__{who}__KEY"] = str(secret)
        return told

    def _certificate(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        here = x509.IPAddress(ip_address("127.0.0.1"))
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([here]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _write(self, name: str, made: x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "office")


@pytest.fixture(scope="module")
def cluster(office: Authority) -> Iterator[DaskCluster]:
    with dask_cluster(1, tls=office.variables()) as made:
        yield made


def asked(address: str, **variables: str) -> str:
    """Return what a client of its own process says: Dask reads variables once."""
    environment = {
        name: value for name, value in os.environ.items() if "DASK_" not in name
    }
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    done = subprocess.run(
        [sys.executable, "-c", CLIENT.format(address=address)],
        env={**environment, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout + done.stderr


def test_blocks_go_through_tls(cluster: DaskCluster, office: Authority) -> None:
    assert cluster.address.startswith("tls://127.0.0.1:")
    assert asked(cluster.address, **office.variables()) == "45\n"


def test_a_client_without_a_certificate_is_refused(cluster: DaskCluster) -> None:
    said = asked(cluster.address)
    assert said.startswith("ServiceError The Dask scheduler does not answer")
    assert "certificates" in said


def test_a_client_of_another_authority_is_refused(
    cluster: DaskCluster, office: Authority, tmp_path: Path
) -> None:
    # It trusts the office, but the office does not know who signed for it.
    theirs = Authority(tmp_path / "other").variables()
    theirs["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] = str(office.path)
    said = asked(cluster.address, **theirs)
    assert said.startswith("ServiceError The Dask scheduler does not answer")


def test_a_client_that_requires_tls_does_not_speak_without(
    cluster: DaskCluster, office: Authority
) -> None:
    told = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
    plain = cluster.address.replace("tls://", "tcp://")
    said = asked(plain, **office.variables(), **told)
    assert said.startswith("ServiceError The Dask scheduler does not answer")

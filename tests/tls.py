"""Certificates for a server on loopback, made by openssl; and whether the Redis that is here can use them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import free_port
from tests.stores import RedisServer, redis_program

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch")


@dataclass(frozen=True)
class Authority:
    """Who signs certificates: its own is `certificate`."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    @classmethod
    def new(cls, folder: Path) -> Authority:
        """Make one in a folder."""
        folder.mkdir()
        one = cls(folder)
        one._openssl("req", "-x509", *KEY, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
        return one

    def sign(self, name: str) -> tuple[Path, Path]:
        """Return the certificate and the key of a server whose name is, say, "IP:127.0.0.1"."""
        self._openssl("req", *KEY, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
        (self.folder / "names").write_text(f"subjectAltName={name}\n")
        by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        self._openssl("x509", "-req", "-in", "server.csr", *by, "-out", "server.pem")
        return self.folder / "server.pem", self.folder / "server.key"

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(
            ["openssl", *words], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


class TlsRedisServer(RedisServer):
    """A Redis that speaks TLS; at its other port it is asked whether it is there.

    Attributes:
        tls_port: where.
        authority: who made its certificate, for 127.0.0.1 and no other name.
    """

    def __init__(self, folder: Path) -> None:
        skip_without_tls()
        super().__init__(folder)
        self.authority, self.tls_port = Authority.new(folder.with_name("authority")), free_port()
        certificate, key = self.authority.sign("IP:127.0.0.1")
        self.options = {
            "--tls-port": str(self.tls_port),
            "--tls-cert-file": str(certificate),
            "--tls-key-file": str(key),
            "--tls-ca-cert-file": str(self.authority.certificate),
            "--tls-auth-clients": "no",
        }

    @property
    def url(self) -> str:
        return self.url_of("127.0.0.1", self.authority)

    def url_of(self, host: str, trusted: Authority) -> str:
        return f"rediss://{host}:{self.tls_port}/0?ssl_ca_certs={trusted.certificate}"


def skip_without_tls() -> None:
    """Skip the test if there is no openssl, or a Redis that was built without TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl is here")
    tried = [
        redis_program(),
        "--port",
        "0",
        "--tls-port",
        "1",
    ]  # refused: for want of TLS, or of a certificate
    said = subprocess.run(tried, capture_output=True, text=True, timeout=30, check=False).stdout
    if "No tls-cert-file configured" not in said:
        pytest.skip(f"{Path(tried[0]).name} here was built without TLS; Debian's redis-server has it")

from __future__ import annotations

import logging
import os
import shutil
import ssl
from pathlib import Path

import httpx
import pytest

from estimator.errors import MisuseError
from estimator.settings import Settings
from server.app import make_app
from server.web.http_server import HttpServer
from server.web.tls import Certificate
from tests.kafka.certificates import Authority
from tests.server.fakes import FakeCatalog, FakeModels, make_entry


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def _pair(authority: Authority, folder: Path, name: str = "here") -> tuple[str, str]:
    issued = authority.issue(name, ("127.0.0.1",))
    kept = [shutil.copy(path, folder) for path in (issued.certificate, issued.key)]
    return str(kept[0]), str(kept[1])


def test_with_a_certificate_the_server_speaks_tls_only(
    authority: Authority, tmp_path: Path
) -> None:
    certificate = Certificate(*_pair(authority, tmp_path))
    app = make_app(FakeCatalog([make_entry()]), FakeModels())
    trusted = ssl.create_default_context(cafile=str(authority.path))
    with HttpServer(app, "127.0.0.1", 0, certificate) as server:
        assert server.url.startswith("https://")
        assert httpx.get(f"{server.url}/healthz", verify=trusted).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/healthz")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{server.port}/healthz")


def _shown(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = _pair(authority, tmp_path)
    certificate = Certificate(cert, key)
    app = make_app(FakeCatalog([make_entry()]), FakeModels())
    with HttpServer(app, "127.0.0.1", 0, certificate) as server:
        first = _shown(server.port)
        newer = authority.issue("newer", ("127.0.0.1",))
        shutil.copy(newer.certificate, cert)  # Half of it: the key is the old one.
        certificate.renew()
        assert "the certificate stays as it is" in caplog.text
        assert _shown(server.port) == first
        shutil.copy(newer.key, key)
        os.utime(key, (1, 1))  # However soon after the last look it was written.
        with caplog.at_level(logging.INFO):
            certificate.renew()
        assert "was read again" in caplog.text
        assert _shown(server.port).strip() in Path(newer.certificate).read_text()


def test_settings_without_a_certificate_mean_none() -> None:
    assert Certificate.of(Settings()) is None


def test_what_cannot_be_is_misuse_and_named(authority: Authority, tmp_path: Path) -> None:
    cert, key = _pair(authority, tmp_path)
    locked = authority.issue("locked", ("127.0.0.1",), password="s3cret")
    other = authority.issue("other")
    for settings, named in (
        (Settings(tls_key_file=key), "tls_cert_file is needed"),
        (Settings(tls_cert_file="/nowhere.pem", tls_key_file=key), "'/nowhere.pem'"),
        (Settings(tls_cert_file=cert), "tls_cert_file is"),
        (Settings(tls_cert_file=cert, tls_key_file=str(other.key)), "tls_key_file"),
        (Settings(tls_cert_file=str(locked.certificate), tls_key_file=str(locked.key)), "password"),
    ):
        with pytest.raises(MisuseError, match=named):
            Certificate.of(settings)

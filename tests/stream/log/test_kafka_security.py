"""What the settings of security say, before any broker is asked."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest

from estimator.errors import MisuseError
from estimator.settings import KAFKA_SETTINGS, load
from stream.log.kafka_security import KafkaSecurity, security_of
from stream.log.kafka_tls import Tls
from stream.log.open import open_log
from tests.kafka.certificates import Authority

LOGIN = {"kafka_username": "anna", "kafka_password": "geheim"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def checked(**settings: str) -> KafkaSecurity:
    security = security_of(load(settings, {}))
    security.check()
    return security


def file(folder: Path, content: bytes) -> str:
    path = folder / "file"
    path.write_bytes(content)
    return str(path)


def test_by_default_nothing_is_encrypted_and_nobody_named() -> None:
    security = checked()
    assert security.options() == {"security_protocol": "PLAINTEXT"}
    assert security.given == []


def test_every_setting_of_kafka_is_one_of_security() -> None:
    assert [f"kafka_{name}" for name in KafkaSecurity.__struct_fields__] == list(KAFKA_SETTINGS)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "scram-sha-256"])
def test_a_name_and_a_password(mechanism: str) -> None:
    security = checked(kafka_security_protocol="sasl_ssl", kafka_sasl_mechanism=mechanism, **LOGIN)
    assert security.options() == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism.upper(),
        "sasl_plain_username": "anna",
        "sasl_plain_password": "geheim",
        "ssl_context": Tls(),
    }


def test_without_a_mechanism_it_is_the_strongest() -> None:
    options = checked(kafka_security_protocol="SASL_SSL", **LOGIN).options()
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"


def test_certificates_with_their_keys(authority: Authority, tmp_path: Path) -> None:
    ours, locked = authority.issue("ours"), authority.issue("locked", password="auf")
    tls = {"kafka_security_protocol": "SSL", "kafka_ca_file": str(authority.path)}
    apart = checked(
        **tls, kafka_cert_file=str(ours.certificate), kafka_key_file=str(ours.key)
    ).options()["ssl_context"]
    assert (apart.cert_file, apart.key_file) == (str(ours.certificate), str(ours.key))
    checked(**tls, kafka_cert_file=str(ours.both))
    encrypted = {
        **tls,
        "kafka_cert_file": str(locked.certificate),
        "kafka_key_file": str(locked.key),
    }
    checked(**encrypted, kafka_key_password="auf")
    checked(**encrypted, kafka_key_password_file=file(tmp_path, b"auf\n"))
    for wrong in ({}, {"kafka_key_password": "zu"}):
        with pytest.raises(MisuseError, match="the key's password is wrong or missing"):
            checked(**encrypted, **wrong)


def test_files_are_read_again_for_each_connection(authority: Authority, tmp_path: Path) -> None:
    path = Path(file(tmp_path, b"first\n"))
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.path.read_bytes())
    security = checked(
        kafka_security_protocol="SASL_SSL",
        kafka_username="anna",
        kafka_password_file=str(path),
        kafka_ca_file=str(ca),
    )
    before = security.options()
    assert before == security.options()
    path.write_bytes(b"second\r\n")
    assert before["sasl_plain_password"] == "first"
    assert security.options()["sasl_plain_password"] == "second"
    ca.unlink()
    with pytest.raises(MisuseError, match=r"kafka_ca_file .*ca\.pem: No such file"):
        before["ssl_context"].context()


def test_hosts_are_checked_and_old_versions_of_tls_are_not_spoken() -> None:
    context = Tls().context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"kafka_security_protocol": "TLS"},
            "kafka_security_protocol is 'TLS': known are PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        ),
        (
            {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": "GSSAPI",
                **LOGIN,
            },
            "kafka_sasl_mechanism is 'GSSAPI': known are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
        ),
        (
            {"kafka_username": "anna"},
            "kafka_username is set, but kafka_security_protocol is 'PLAINTEXT': use SASL_SSL",
        ),
        (
            {"kafka_password": "geheim"},
            "kafka_password is set, but kafka_security_protocol is 'PLAINTEXT': use SASL_SSL",
        ),
        (
            {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ca_file": "/ca.pem", **LOGIN},
            "kafka_ca_file is set, but kafka_security_protocol is 'SASL_PLAINTEXT':"
            " use SSL or SASL_SSL",
        ),
        (
            {"kafka_security_protocol": "SASL_SSL"},
            "kafka_security_protocol is 'SASL_SSL': set kafka_username",
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_username": "anna"},
            "kafka_username is 'anna': set kafka_password_file or kafka_password",
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_password_file": "/none", **LOGIN},
            "kafka_password and kafka_password_file are both set: keep one",
        ),
        (
            {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_username": "anna",
                "kafka_password_file": "/none",
            },
            "kafka_password_file /none: No such file or directory",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_key_file": "/none"},
            "kafka_key_file is '/none': set kafka_cert_file too",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_ca_file": "/none"},
            "kafka_ca_file /none: No such file or directory",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_cert_file": "/"},
            "kafka_cert_file /: Is a directory",
        ),
    ],
)
def test_what_makes_no_sense_is_misuse(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(MisuseError) as caught:
        checked(**settings)
    assert str(caught.value) == complaint


def test_files_that_hold_something_else_are_named(authority: Authority, tmp_path: Path) -> None:
    ours, other = authority.issue("one"), authority.issue("other")
    noise = file(tmp_path, b"\xff noise")
    for settings, complaint in (
        ({"kafka_ca_file": noise}, f"kafka_ca_file {noise}: holds no certificate in PEM form"),
        (
            {"kafka_cert_file": noise},
            f"kafka_cert_file {noise} with the key in {noise}: no certificate with",
        ),
        (
            {"kafka_cert_file": str(ours.certificate), "kafka_key_file": str(other.key)},
            "the key belongs to another certificate",
        ),
    ):
        with pytest.raises(MisuseError) as caught:
            checked(kafka_security_protocol="SSL", **settings)
        assert complaint in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"geheim \xff"])
def test_a_file_without_a_password_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = file(tmp_path, content)
    with pytest.raises(MisuseError) as caught:
        checked(kafka_security_protocol="SASL_SSL", kafka_username="anna", kafka_password_file=path)
    assert str(caught.value) == f"kafka_password_file {path}: holds no password"


def test_a_log_in_without_encryption_is_allowed_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for mechanism, what in (("PLAIN", "the password"), ("", "what follows the log-in")):
        caplog.clear()
        security = checked(
            kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_mechanism=mechanism, **LOGIN
        )
        with caplog.at_level(logging.WARNING), open_log("kafka://localhost", security):
            assert [record.getMessage() for record in caplog.records] == [
                f"kafka_security_protocol is SASL_PLAINTEXT: {what} can be read on the network;"
                " use SASL_SSL"
            ]


def test_settings_of_kafka_for_another_log_are_said(caplog: pytest.LogCaptureFixture) -> None:
    security = security_of(load({"kafka_security_protocol": "SASL_SSL", **LOGIN}, {}))
    with open_log("memory:", security):
        assert caplog.messages == [
            "kafka_security_protocol, kafka_username, kafka_password: of use to a log kafka:// only"
        ]
    caplog.clear()
    with open_log("memory:"):
        assert caplog.messages == []


@pytest.mark.parametrize("url", ["kafka://anna:geheim@broker:9092", "sasl_ssl://anna:geheim@b"])
def test_a_password_in_the_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(MisuseError, match="set kafka_username and kafka_password_file") as caught:
        open_log(url)
    assert "geheim" not in str(caught.value)


def test_no_secret_is_shown(authority: Authority) -> None:
    security = checked(
        kafka_security_protocol="SASL_SSL",
        kafka_cert_file=str(authority.issue("shown", password="sesam").both),
        kafka_key_password="sesam",
        **LOGIN,
    )
    shown = f"{security!r} {security.options()['ssl_context']!r}"
    assert "geheim" not in shown
    assert "sesam" not in shown

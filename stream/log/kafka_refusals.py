"""Why a broker and we do not come together: what kafka-python's errors mean, in plain words."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast

from kafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from estimator.errors import MisuseError
from stream.log.kafka_tls import Tls

_OTHER_HOST: Final = (62, 64)
"""OpenSSL's codes for a certificate that is for another host name, or another address."""
_OUT_OF_DATE: Final = (9, 10)
_ABOUT_OURS: Final = (
    *("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN"),
    *("UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED", "HANDSHAKE_FAILURE"),
)
"""Words in the alerts by which a broker refuses a client's certificate, or that there is none."""
_CLOSED: Final = ("socket disconnected", "UNEXPECTED_EOF", "ECONNRESET")


class Refusal(NamedTuple):
    """Why it does not work; ``sure`` if no outage looks like that."""

    text: str
    sure: bool


def refusal(error: BaseException, options: Mapping[str, Any]) -> Refusal | None:
    """What the error says of credentials and certificates; None if nothing.

    ``options`` are those of kafka-python that the client was opened with.
    """
    for one in _causes(error):
        found = _of_login(one, options) or _of_certificate(one, options)
        if found is not None:
            return Refusal(found, sure=True)
    if isinstance(error, KafkaConnectionError) and any(sign in f"{error}" for sign in _CLOSED):
        protocol = options.get("security_protocol", "PLAINTEXT")
        password = ", is the password right" if protocol == "SASL_PLAINTEXT" else ""
        return Refusal(
            "the broker closes the connection: does this port speak"
            f" {protocol} (kafka_security_protocol){password}?",
            sure=False,
        )
    return None


class Complaints(logging.Handler):
    """Keeps why connections failed: kafka-python tells its log, but not its caller."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(logging.WARNING)
        self._options = options
        self.text = ""
        """What the last connection died of, empty if none did."""
        self.refusal: Refusal | None = None
        """The first refusal that is sure, else the last one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one line of kafka-python's log."""
        if not isinstance(record.args, tuple):
            return
        for error in record.args:
            if isinstance(error, Exception):
                self._note(error)
        if str(record.msg).startswith("Connection failed") and record.args:
            self.text = " ".join(record.getMessage().split())

    def _note(self, error: Exception) -> None:
        if self.refusal is None or not self.refusal.sure:
            self.refusal = refusal(error, self._options) or self.refusal

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while the block runs."""
        logger = logging.getLogger("kafka")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that is behind it, as cause, context or argument."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            waiting += [one.__cause__, one.__context__, *one.args]


def _tls(options: Mapping[str, Any]) -> Tls:
    return cast("Tls", options.get("ssl_context", Tls()))


def _of_login(error: BaseException, options: Mapping[str, Any]) -> str | None:
    mechanism, user = options.get("sasl_mechanism"), options.get("sasl_plain_username")
    if isinstance(error, MisuseError):  # a file that was there before
        return str(error)
    if isinstance(error, SaslAuthenticationFailedError):
        return (
            f"the broker refuses kafka_username {user!r} with its password"
            f" (kafka_sasl_mechanism {mechanism})"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"the broker does not offer kafka_sasl_mechanism {mechanism}"
    if isinstance(error, IllegalSaslStateError):
        protocol = str(options.get("security_protocol"))
        plain = "SSL" if protocol == "SASL_SSL" else "PLAINTEXT"
        return (
            f"the broker asks for no name at this port: kafka_security_protocol is"
            f" {protocol}, use {plain} or another port"
        )
    return None


def _of_certificate(error: BaseException, options: Mapping[str, Any]) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        if error.verify_code in _OTHER_HOST:
            return f"the broker's certificate is for another host: {why}"
        if error.verify_code in _OUT_OF_DATE:
            return f"the broker's certificate is out of date: {why}"
        trusted = _tls(options).ca_file or "(empty, so the system's)"
        return f"nobody in kafka_ca_file {trusted} vouches for the broker's certificate: {why}"
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or ""
    if any(word in reason for word in _ABOUT_OURS):
        ours = _tls(options).cert_file
        if not ours:
            return "the broker demands a certificate: set kafka_cert_file and kafka_key_file"
        return f"the broker does not accept kafka_cert_file {ours} ({reason})"
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        protocol = options.get("security_protocol")
        return f"no TLS is spoken at this port: kafka_security_protocol is {protocol}"
    return None

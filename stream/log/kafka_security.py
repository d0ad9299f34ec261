"""How Kafka is spoken to: encrypted or not, as whom, trusting whom. Checked before it is used."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import msgspec

from estimator.errors import MisuseError
from estimator.settings import KAFKA_SETTINGS, Settings
from stream.log.kafka_tls import Tls

_log = logging.getLogger(__name__)

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
DEFAULT_MECHANISM: Final = "SCRAM-SHA-512"
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MOST_BYTES: Final = 64 * 1024
"""A password's file is no longer; what is longer is another file."""
_OF_TLS: Final = ("ca_file", "cert_file", "key_file", "key_password", "key_password_file")
_OF_SASL: Final = ("sasl_mechanism", "username", "password", "password_file")


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that begin with ``kafka_``, by what follows; texts, empty where not given."""

    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    username: str = ""
    password: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    key_password: str = ""
    key_password_file: str = ""

    def __repr__(self) -> str:
        """Nothing that is secret."""
        return f"KafkaSecurity({self.security_protocol}, {self.username!r})"

    @property
    def with_tls(self) -> bool:
        """Whether what is sent is encrypted."""
        return self.security_protocol.upper().endswith("SSL")

    @property
    def with_sasl(self) -> bool:
        """Whether we say who we are by name and password."""
        return self.security_protocol.upper().startswith("SASL")

    @property
    def mechanism(self) -> str:
        """How the password is proven, with the default filled in."""
        return self.sasl_mechanism.upper() or DEFAULT_MECHANISM

    @property
    def given(self) -> list[str]:
        """The names of the settings that are not as they are by default."""
        default = KafkaSecurity()
        return [
            f"kafka_{name}"
            for name in self.__struct_fields__
            if getattr(self, name) != getattr(default, name)
        ]

    def check(self) -> None:
        """``MisuseError`` names what contradicts itself, is unknown, or cannot be read.

        Files are read and certificates loaded, as they will be for each connection.
        """
        _known("kafka_security_protocol", self.security_protocol.upper(), PROTOCOLS)
        self._check_use(_OF_TLS, self.with_tls, "SSL or SASL_SSL")
        self._check_use(_OF_SASL, self.with_sasl, "SASL_SSL")
        if self.with_sasl:
            _known("kafka_sasl_mechanism", self.mechanism, MECHANISMS)
            if not self.username:
                raise MisuseError(
                    f"kafka_security_protocol is {self.security_protocol!r}: set kafka_username"
                )
            if not self._password("password"):
                raise MisuseError(
                    f"kafka_username is {self.username!r}: set kafka_password_file"
                    f" or kafka_password"
                )
        if self.with_tls:
            self._tls().context()

    def warn(self) -> None:
        """Say what is allowed but hardly meant."""
        if self.with_sasl and not self.with_tls:
            sent = "the password" if self.mechanism == "PLAIN" else "what follows the log-in"
            _log.warning(
                "kafka_security_protocol is %s: %s can be read on the network; use SASL_SSL",
                self.security_protocol,
                sent,
            )

    def options(self) -> dict[str, Any]:
        """The same as kafka-python's options; ``MisuseError`` if a password cannot be read.

        Certificates are read for each connection: what was renewed is used without a restart.
        """
        options: dict[str, Any] = {"security_protocol": self.security_protocol.upper()}
        if self.with_sasl:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self._password("password")
        if self.with_tls:
            options["ssl_context"] = self._tls()
        return options

    def _check_use(self, names: tuple[str, ...], used: bool, protocols: str) -> None:
        for name in names:
            if getattr(self, name) and not used:
                raise MisuseError(
                    f"kafka_{name} is set, but kafka_security_protocol is"
                    f" {self.security_protocol!r}: use {protocols}"
                )

    def _tls(self) -> Tls:
        if self.key_file and not self.cert_file:
            raise MisuseError(f"kafka_key_file is {self.key_file!r}: set kafka_cert_file too")
        return Tls(
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            key_password=self._password("key_password"),
        )

    def _password(self, name: str) -> str:
        """A password, from its file if that is given; without the end of its line."""
        given, path = getattr(self, name), getattr(self, f"{name}_file")
        if not path:
            return str(given)
        if given:
            raise MisuseError(f"kafka_{name} and kafka_{name}_file are both set: keep one")
        try:
            password = _read(f"kafka_{name}_file", path).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            password = ""  # and not the error, which shows what was read
        if not password:
            raise MisuseError(f"kafka_{name}_file {path}: holds no password")
        return password


def security_of(settings: Settings) -> KafkaSecurity:
    """What the settings say of Kafka's security, not yet checked."""
    return KafkaSecurity(
        **{name.removeprefix("kafka_"): getattr(settings, name) for name in KAFKA_SETTINGS}
    )


def _known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise MisuseError(f"{name} is {value!r}: known are {', '.join(known)}")


def _read(name: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise MisuseError(f"{name} {path}: {error.strerror}") from error

"""Encrypted connections to Kafka, by certificates that may be renewed while we run."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import msgspec

from estimator.errors import MisuseError


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """An ``ssl.SSLContext`` to kafka-python, which reads its files anew for each connection.

    ``ca_file`` empty: what the system trusts. A certificate without a key's file has its key in
    the same file. Brokers must show a certificate for the host name by which they are reached.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    key_password: str = ""

    def __repr__(self) -> str:
        """Nothing that is secret."""
        return f"Tls({self.ca_file!r}, {self.cert_file!r}, {self.key_file!r})"

    def wrap_socket(
        self, sock: socket.socket, *, server_hostname: str, do_handshake_on_connect: bool
    ) -> ssl.SSLSocket:
        """The same connection, encrypted."""
        return self.context().wrap_socket(
            sock, server_hostname=server_hostname, do_handshake_on_connect=do_handshake_on_connect
        )

    def context(self) -> ssl.SSLContext:
        """With the files as they are now; ``MisuseError`` names the one that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Socket
        if self.ca_file:
            _readable("kafka_ca_file", self.ca_file)
            try:
                context.load_verify_locations(self.ca_file)
            except ssl.SSLError as error:
                raise MisuseError(
                    f"kafka_ca_file {self.ca_file}: holds no certificate in PEM form"
                ) from error
        else:
            context.load_default_certs()
        if self.cert_file:
            self._load_ours(context)
        return context

    def _load_ours(self, context: ssl.SSLContext) -> None:
        _readable("kafka_cert_file", self.cert_file)
        if self.key_file:
            _readable("kafka_key_file", self.key_file)
        try:
            # Never without a password: OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.cert_file, self.key_file or None, self.key_password)
        except ssl.SSLError as error:
            key = self.key_file or self.cert_file
            raise MisuseError(
                f"kafka_cert_file {self.cert_file} with the key in {key}: {_why(error, Path(key))}"
            ) from error


class _Socket(ssl.SSLSocket):
    """Tells the end of a connection one read later than what came before it.

    kafka-python 3.0 throws away what it has read if the end follows at once, and with it the
    answer in which a broker says that a password is wrong.
    """

    _before_the_end = False

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As every socket's; after the last bytes it says once that there is nothing yet."""
        data = super().recv(buflen, flags)
        if not data and self._before_the_end:
            self._before_the_end = False
            raise ssl.SSLWantReadError
        self._before_the_end = bool(data)
        return data


def _readable(name: str, path: str) -> None:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise MisuseError(f"{name} {path}: {error.strerror}") from error


def _why(error: ssl.SSLError, key: Path) -> str:
    """What is wrong with a certificate and its key."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key belongs to another certificate"
    # OpenSSL has the same words for a wrong password as for a file that is none.
    if b" ENCRYPTED" in key.read_bytes() or b",ENCRYPTED" in key.read_bytes():
        return "the key's password is wrong or missing (kafka_key_password_file)"
    return "no certificate with its key in PEM form"

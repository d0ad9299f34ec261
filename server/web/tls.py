"""The server's certificate: checked when it starts, and read again when its files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from estimator.errors import MisuseError
from estimator.settings import Settings

_log = logging.getLogger(__name__)

RENEWAL_SECONDS: Final = 60
"""How often the files are looked at."""


class Certificate:
    """What TLS needs of the server. ``MisuseError`` names the setting that is wrong.

    New connections get the certificate that was read last; those that are open keep theirs.
    """

    def __init__(self, cert_file: str, key_file: str = "") -> None:
        self._cert_file = cert_file
        self._key_file = key_file or cert_file
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._seen = self._changed_at()
            self._load(self.context)
        except OSError as error:  # ssl.SSLError is one.
            raise MisuseError(self._why(error)) from error

    @classmethod
    def of(cls, settings: Settings) -> Certificate | None:
        """The certificate that the settings name; None if they name none."""
        if settings.tls_cert_file:
            return cls(settings.tls_cert_file, settings.tls_key_file)
        if settings.tls_key_file:
            raise MisuseError(
                f"tls_key_file is {settings.tls_key_file!r}: tls_cert_file is needed with it"
            )
        return None

    def renew(self) -> None:
        """Read the files again if they have changed; what cannot be read leaves all as it was."""
        try:
            changed_at = self._changed_at()
            if changed_at == self._seen:
                return
            self._seen = changed_at
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # A half-written pair stays out.
            self._load(self.context)
        except OSError as error:
            _log.error("the certificate stays as it is: %s", self._why(error))
        else:
            _log.info("tls_cert_file %s was read again", self._cert_file)

    def _load(self, context: ssl.SSLContext) -> None:
        def no_password() -> str:
            raise ssl.SSLError("the key has a password: one without is needed")

        context.load_cert_chain(self._cert_file, self._key_file, no_password)

    def _changed_at(self) -> tuple[int, ...]:
        return tuple(Path(one).stat().st_mtime_ns for one in (self._cert_file, self._key_file))

    def _why(self, error: OSError) -> str:
        named = f"tls_cert_file is {self._cert_file!r}"
        if self._key_file != self._cert_file:
            named += f", tls_key_file {self._key_file!r}"
        return f"{named}: {error.strerror or error}"

"""Opening kafka-python's clients: failures in one clear line, and nothing left behind by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kafka.errors import (
    AuthorizationError,
    IncompatibleBrokerVersion,
    KafkaError,
    UnrecognizedBrokerVersion,
    UnsupportedVersionError,
)
from kafka.net.compat import KafkaNetClient

from estimator.errors import LogUnavailableError, MisuseError, WattstreamError
from stream.log.kafka_refusals import Complaints, refusal

DEFAULT_PORT: Final = 9092
OLDEST_BROKER: Final = "2.4"
"""Since then a new topic can have as many replicas as the cluster gives by default."""
TOO_OLD: Final = (IncompatibleBrokerVersion, UnrecognizedBrokerVersion, UnsupportedVersionError)

_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?")


def parse_servers(url: str) -> list[str]:
    """The ``host:port`` of each broker that the URL names; ``MisuseError`` says what is wrong.

    >>> parse_servers("kafka://one,two:9094,[::1]:9095")
    ['one:9092', 'two:9094', '[::1]:9095']
    """
    kind, _, rest = url.partition("://")
    servers = []
    for address in rest.split(","):
        found = _ADDRESS.fullmatch(address)
        port = int(found["port"] or DEFAULT_PORT) if found else 0
        if kind != "kafka" or found is None or not 0 < port < 65536:
            raise MisuseError(f"log {url!r}: use kafka://host:port[,host:port], found {address!r}")
        servers.append(f"{found['host']}:{port}")
    return servers


class Connector:
    """Opens clients of one cluster, with the options that all of them share.

    ``options`` gives kafka-python's, for security above all; it is asked anew for each client, so
    that a password that was changed is used. ``timeout_seconds`` bounds what one request and one
    attempt to reach the cluster may take.
    """

    def __init__(
        self, url: str, timeout_seconds: float, options: Callable[[], Mapping[str, Any]]
    ) -> None:
        self.url = url
        self.timeout_ms = int(timeout_seconds * 1000)
        self._secured = options
        self._reached = False
        self._last: Mapping[str, Any] = {}
        self._options = {
            "bootstrap_servers": parse_servers(url),
            "client_id": "wattstream",
            "request_timeout_ms": self.timeout_ms,
            "reconnect_backoff_max_ms": 1000,
        }

    def open(self, kind: Callable[..., Any], timeout_ms: int | None = None, **options: Any) -> Any:
        """A client of that kind; ``LogUnavailableError`` if no broker answers in time.

        ``MisuseError`` if the brokers are too old, or if they refuse our credentials or
        certificates, or we theirs, and none has ever accepted them: later than that something has
        changed under us, and may change back.
        """
        wait_ms = self.timeout_ms if timeout_ms is None else timeout_ms
        self._last = secured = self.credentials()
        complaints = Complaints(secured)
        try:
            with complaints.heard():
                client = open_client(
                    kind, bootstrap_timeout_ms=wait_ms, **{**self._options, **secured, **options}
                )
        except TOO_OLD as error:
            raise self.too_old(error) from error
        except KafkaError as error:
            if complaints.refusal is not None:
                raise self._refused(*complaints.refusal) from error
            raise LogUnavailableError(
                f"log {self.url}: no broker answers within {wait_ms / 1000:g} s"
                f" ({complaints.text or error})"
            ) from error
        self._reached = True
        return client

    def credentials(self) -> Mapping[str, Any]:
        """The options of security as they are now; errors are those of ``open``."""
        try:
            return self._secured()
        except MisuseError as error:
            raise self._refused(str(error), sure=True) from error

    def changed(self, since: Mapping[str, Any]) -> bool:
        """Whether there are other credentials now: a client that has those is of no more use."""
        try:
            return self.credentials() != since
        except WattstreamError:  # being replaced just now
            return False

    def _refused(self, text: str, sure: bool) -> WattstreamError:
        kind = MisuseError if sure and not self._reached else LogUnavailableError
        return kind(f"log {self.url}: {text}")

    def too_old(self, error: Exception) -> MisuseError:
        """The error that says that these brokers cannot be used."""
        return MisuseError(
            f"log {self.url}: the broker is too old, Kafka {OLDEST_BROKER} or later is needed"
            f" ({said(error)})"
        )

    def unavailable(self, error: Exception) -> LogUnavailableError:
        """The error that says that the cluster did not do what it was asked for."""
        if isinstance(error, AuthorizationError):
            return LogUnavailableError(f"log {self.url}: {self._forbidden(error)}")
        refused = refusal(error, self._last)
        return LogUnavailableError(f"log {self.url}: {refused.text if refused else said(error)}")

    def _forbidden(self, error: AuthorizationError) -> str:
        user = self._last.get("sasl_plain_username")
        return f"the broker forbids that to {user or 'us'}, an ACL is missing: {said(error)}"


def said(error: Exception) -> str:
    r"""What went wrong, in one line.

    >>> said(KafkaError("no  such\n host")), said(KafkaError())
    ('KafkaError: no such host', 'KafkaError')
    """
    text = " ".join(f"{error}".split())
    name = type(error).__name__
    return text if text.startswith(name) or not text else f"{name}: {text}"


def open_client(kind: Callable[..., Any], **options: Any) -> Any:
    """Make a client. If that fails, its thread and its sockets are closed, which it does not do."""
    made: list[Any] = []

    def network(**settings: Any) -> Any:
        made.append(KafkaNetClient(**settings))
        return made[-1]

    try:
        return kind(kafka_client=network, **options)
    except BaseException:
        for client in made:
            client.close()
        raise

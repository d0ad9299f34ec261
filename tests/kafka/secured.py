"""A broker that wants to know who is there: TLS, SCRAM and PLAIN, client certificates, ACLs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from stream.log.kafka_clients import open_client
from tests.kafka.acls import Need, allow
from tests.kafka.broker import Broker, free_ports
from tests.kafka.certificates import Authority

USER: Final = "wattstream"
PASSWORD: Final = "correct horse"
HOSTS: Final = ("localhost", "127.0.0.1")

LISTENERS: Final[Mapping[str, str]] = {
    "PLAINTEXT": "PLAINTEXT",  # of the broker itself and of tests' administration
    "SCRAM": "SASL_SSL",
    "CLEAR": "SASL_PLAINTEXT",
    "CERTIFICATE": "SSL",  # wants one of the client
    "EXPIRED": "SASL_SSL",
    "ELSEWHERE": "SASL_SSL",  # its certificate is for another host
    "STRICT": "SASL_SSL",  # one mechanism only
}
_LOGIN: Final = "org.apache.kafka.common.security"
_MECHANISMS: Final = {
    "plain": f'{_LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "scram-sha-256": f"{_LOGIN}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{_LOGIN}.scram.ScramLoginModule required;",
}


class SecuredBroker(Broker):
    """A broker with a port for each of ``LISTENERS``.

    ``USER`` may do everything, others what they are allowed (``add_user``); who comes by
    ``PLAINTEXT`` has no name and may do everything too.
    """

    def __init__(self, folder: Path) -> None:
        ports = free_ports(len(LISTENERS) + 1)
        self.ports = dict(zip(LISTENERS, ports, strict=False))
        self.authority = Authority(folder / "certificates")
        self.client = self.authority.issue("client")
        addresses = [f"{name}://localhost:{port}" for name, port in self.ports.items()]
        addresses[0] = f"PLAINTEXT://127.0.0.1:{ports[0]}"
        super().__init__(
            folder / "broker",
            ports[0],
            ports[-1],
            scram={USER: PASSWORD},
            properties={
                "listeners": ",".join([*addresses, f"CONTROLLER://127.0.0.1:{ports[-1]}"]),
                "advertised.listeners": ",".join(addresses),
                "listener.security.protocol.map": ",".join(
                    f"{name}:{protocol}"
                    for name, protocol in {**LISTENERS, "CONTROLLER": "PLAINTEXT"}.items()
                ),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": f"User:ANONYMOUS;User:{USER};User:CN=client",
                **self._sasl(),
                **self._tls(),
            },
        )

    def url_of(self, listener: str) -> str:
        """The broker as a log's URL, by one of its ports."""
        return f"kafka://localhost:{self.ports[listener]}"

    def admin(self) -> Any:
        """A client that may do everything; the caller closes it."""
        return open_client(KafkaAdminClient, bootstrap_servers=self.address)

    def set_password(self, user: str, password: str) -> None:
        """Make that user, or give it another password."""
        wanted = [UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)]
        with self.admin() as admin:
            refused = admin.alter_user_scram_credentials(wanted)
        assert not any(refused.values()), refused

    def add_user(self, user: str, needs: Iterable[Need]) -> None:
        """Make a user of ``PASSWORD`` who is allowed exactly that."""
        self.set_password(user, PASSWORD)
        with self.admin() as admin:
            allow(admin, user, needs)

    def _sasl(self) -> dict[str, str]:
        return {
            key: value
            for listener, protocol in LISTENERS.items()
            if protocol.startswith("SASL")
            for key, value in _logins(
                listener, ["scram-sha-512"] if listener == "STRICT" else list(_MECHANISMS)
            ).items()
        }

    def _tls(self) -> dict[str, str]:
        certificates = {
            "SCRAM": self.authority.issue("broker", HOSTS),
            "EXPIRED": self.authority.issue("expired", HOSTS, expired=True),
            "ELSEWHERE": self.authority.issue("elsewhere", ("broker.example",)),
        }
        certificates["CERTIFICATE"] = certificates["STRICT"] = certificates["SCRAM"]
        found = {"listener.name.certificate.ssl.client.auth": "required"}
        for listener, issued in certificates.items():
            prefix = f"listener.name.{listener.lower()}.ssl"
            found |= {
                f"{prefix}.keystore.type": "PEM",
                f"{prefix}.keystore.location": str(issued.both),
                f"{prefix}.truststore.type": "PEM",
                f"{prefix}.truststore.location": str(self.authority.path),
            }
        return found


def _logins(listener: str, mechanisms: Sequence[str]) -> dict[str, str]:
    prefix = f"listener.name.{listener.lower()}"
    return {
        f"{prefix}.sasl.enabled.mechanisms": ",".join(name.upper() for name in mechanisms),
        **{f"{prefix}.{name}.sasl.jaas.config": _MECHANISMS[name] for name in mechanisms},
    }

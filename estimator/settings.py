"""Every setting, once: name, type, default and what it means.

The environment (``WATTSTREAM_<NAME>``), the file named by ``--config`` (TOML, ``name = value``),
the flags of the commands and the documentation all derive from the fields of `Settings`. Flags win
over the environment, the environment over the file, the file over the defaults.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import msgspec

from estimator.errors import MisuseError

PREFIX: Final = "WATTSTREAM_"
_HIDDEN: Final = "hidden"
"""Marks a setting that is never printed and has no flag: others can read a command line."""

_KEPLERS: Final = {"INITIAL_PIPELINE_URL": "initial_pipeline_url"}
"""What kepler-model-server calls settings of ours; our own name for one wins."""

_KUBERNETES: Final = re.compile(r"(.*_)?(SERVICE_(HOST|PORT)|PORT)(_|$)")
"""What Kubernetes puts beside ours into the environment for a service called wattstream, or
wattstream-something."""


def _help(text: str, **limits: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, **limits)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every command honours."""

    data: Annotated[
        str, _help("Folder of the embedded log, the store and caches", min_length=1)
    ] = "./wattstream-data"
    log: Annotated[
        str,
        _help(
            "The log: `sqlite:///path`, `kafka://host:9092`, `memory:`;"
            " empty for `log.sqlite` in the data folder"
        ),
    ] = ""
    store: Annotated[
        str,
        _help(
            "The store: `file:///folder`, `s3://bucket/prefix`, `gs://`, `az://`, `memory:`;"
            " empty for `store` in the data folder"
        ),
    ] = ""
    listen: Annotated[
        str, _help("Address and port of the model server", pattern=r"^(\[.*\]|[^:]+):\d{1,5}$")
    ] = "127.0.0.1:8100"
    socket: Annotated[
        tuple[str, ...],
        _help("Path of the estimator's socket; several, separated by commas, are all served"),
    ] = ("/tmp/estimator.sock",)  # noqa: S108 - Kepler has this path built in
    socket_mode: Annotated[
        str, _help("Permissions of the socket, in octal", pattern=r"^0?[0-7]{3}$")
    ] = "0660"
    node: Annotated[str, _help("Name of this node; empty for the host's name")] = ""
    interval: Annotated[
        float, _help("Seconds between two readings of a live source", gt=0.0, le=3600.0)
    ] = 3.0
    sysfs: Annotated[str, _help("Where the kernel's /sys is mounted")] = "/sys"
    procfs: Annotated[str, _help("Where the kernel's /proc is mounted")] = "/proc"
    partitions: Annotated[int, _help("Partitions of a topic when it is created", ge=1, le=1024)] = 4
    retention_hours: Annotated[float, _help("Hours for which the log keeps records", gt=0.0)] = (
        168.0
    )
    retention_mib: Annotated[
        float, _help("MiB of records that the log keeps per partition", gt=0.0)
    ] = 1024.0
    lateness: Annotated[
        float, _help("Seconds of event time by which a record may be late", ge=0.0, le=3600.0)
    ] = 10.0
    commit_interval: Annotated[
        float, _help("Seconds between two checkpoints, and between two versions", gt=0.0, le=3600.0)
    ] = 5.0
    experts: Annotated[
        tuple[str, ...],
        _help(
            "Banks of experts in every model: `ridge`, `line`, `neighbours`, `linear`, `amf`, "
            "`river.PACKAGE.CLASS(ARGUMENTS)`; `curves` for Kepler"
        ),
    ] = ("ridge", "neighbours")
    isolator: Annotated[
        str,
        _help(
            "What is subtracted for DynPower: `idle` (the idle level that is followed), `min` (the"
            " lowest power seen), `none`, `profile` (of `wattstream profile`), `trainer` (what"
            " AbsPower's model says of background workloads)"
        ),
    ] = "idle"
    bg_hints: Annotated[
        tuple[str, ...],
        _help("Parts of the names of background workloads, for the isolator `trainer`"),
    ] = ()
    target_hints: Annotated[
        tuple[str, ...],
        _help(
            "Parts of the names of workloads that are not background, as all others then are, for"
            " the isolator `trainer`"
        ),
    ] = ()
    refresh_interval: Annotated[
        float, _help("Seconds between two looks for new models", gt=0.0, le=3600.0)
    ] = 2.0
    log_level: Annotated[str, _help("Least level of what is said: debug, info, warning, error")] = (
        "info"
    )
    models: Annotated[
        str,
        _help("URL of a model server that the estimator takes its models from; empty: the store"),
    ] = ""
    models_interval: Annotated[
        float, _help("Seconds between two questions to the model server", gt=0.0, le=86400.0)
    ] = 30.0
    imported: Annotated[
        str,
        _help(
            "Folder of published weights (kepler-model-db's layout) for machines without a model;"
            " empty for `imported` in the data folder"
        ),
    ] = ""
    initial_pipeline_url: Annotated[
        tuple[str, ...],
        _help(
            "Folders, archives (zip, tar) or http URLs of published weights that are imported at"
            " the start; Kepler's `INITIAL_PIPELINE_URL` is read, too"
        ),
    ] = ()
    socket_owner: Annotated[
        str, _help("Owner of the socket, a name or a number; empty: the process's own user")
    ] = ""
    socket_group: Annotated[
        str, _help("Group of the socket, a name or a number; empty: the process's own group")
    ] = ""
    metrics_port: Annotated[
        int,
        _help(
            "Port of a command's own `/metrics`, where it has no other; 0 for none", ge=0, le=65535
        ),
    ] = 0
    learner: Annotated[
        str,
        _help(
            "Name of this learner among those that share a Kafka log;"
            " empty: one made for the data folder",
            pattern=r"^([A-Za-z0-9._-]{1,249})?$",
        ),
    ] = ""
    session_timeout: Annotated[
        float,
        _help("Seconds after which a silent learner's partitions go to others", ge=1.0, le=1800.0),
    ] = 45.0
    buffer_records: Annotated[
        int, _help("Records of a live source that are kept while the log is away", ge=1, le=10**8)
    ] = 10_000
    train_listen: Annotated[
        str, _help("Address and port of the offline trainer", pattern=r"^(\[.*\]|[^:]+):\d{1,5}$")
    ] = "127.0.0.1:8102"
    train_body_mib: Annotated[
        int, _help("MiB that a request to the trainer may have, unpacked", ge=1, le=65536)
    ] = 512
    train_memory_mib: Annotated[
        int, _help("MiB of memory that one training run may take", ge=1, le=1 << 20)
    ] = 1024
    train_seconds: Annotated[
        float, _help("Seconds that one training run may take", gt=0.0, le=604800.0)
    ] = 3600.0
    train_queue: Annotated[int, _help("Training runs that may wait", ge=1, le=1000)] = 4
    train_keep: Annotated[
        float, _help("Seconds for which a training run's result is kept", gt=0.0, le=2592000.0)
    ] = 3600.0
    token: Annotated[
        str,
        _help(
            "Bearer token of whoever trains or writes by HTTP; empty: anybody (no flag)",
            extra={_HIDDEN: True},
        ),
    ] = ""
    token_file: Annotated[str, _help("File with that token, read again for each request")] = ""
    kafka_security_protocol: Annotated[
        str,
        _help("How Kafka is spoken to: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`"),
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[
        str,
        _help(
            "How we prove to Kafka who we are: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`;"
            " empty for the last of them"
        ),
    ] = ""
    kafka_username: Annotated[str, _help("Our name at Kafka")] = ""
    kafka_password: Annotated[
        str, _help("The password to that name (no flag)", extra={_HIDDEN: True})
    ] = ""
    kafka_password_file: Annotated[
        str, _help("File with that password, read again for each new connection to the cluster")
    ] = ""
    kafka_ca_file: Annotated[
        str,
        _help(
            "PEM file of the authorities that may vouch for Kafka's brokers; empty: the system's"
        ),
    ] = ""
    kafka_cert_file: Annotated[str, _help("PEM file of our certificate for Kafka, with chain")] = ""
    kafka_key_file: Annotated[
        str, _help("PEM file of its private key; empty: in the certificate's file")
    ] = ""
    kafka_key_password: Annotated[
        str, _help("The password of an encrypted key (no flag)", extra={_HIDDEN: True})
    ] = ""
    kafka_key_password_file: Annotated[str, _help("File with that password")] = ""
    version_margin: Annotated[
        float,
        _help(
            "Fraction by which a new version may be more wrong than the current one;"
            " `inf` holds none back",
            ge=0.0,
        ),
    ] = 0.05
    export: Annotated[
        str,
        _help(
            "Address and port, such as `:28283`, at which the estimator shows power in Kepler's own"
            " series; empty for none",
            pattern=r"^((\[.*\]|[^:]*):\d{1,5})?$",
        ),
    ] = ""
    export_kepler: Annotated[
        str,
        _help(
            "URL of this machine's Kepler, whose page the export passes on; `none` for `/proc`"
            " alone; empty for the one at port 28282, if it answers"
        ),
    ] = ""
    confidence_threshold: Annotated[
        float, _help("Confidence below which an exported estimate is weak", ge=0.0, le=1.0)
    ] = 0.7
    low_confidence: Annotated[
        str,
        _help(
            "What becomes of weak estimates: `estimation` (shown, and marked) or `disable`"
            " (withheld)",
            pattern=r"^(estimation|disable)$",
        ),
    ] = "estimation"

    tls_cert_file: Annotated[
        str,
        _help(
            "PEM file of the HTTP server's certificate, with chain, read again when it changes;"
            " empty: no TLS"
        ),
    ] = ""
    tls_key_file: Annotated[
        str, _help("PEM file of its private key; empty: in the certificate's file")
    ] = ""

    def __repr__(self) -> str:
        """Every setting with its value, secrets apart."""
        shown = (
            f"{name}={'...' if name in SECRETS and value else repr(value)}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({', '.join(shown)})"

    @property
    def log_url(self) -> str:
        """The log's URL, with the default filled in."""
        return self.log or f"sqlite:{Path(self.data) / 'log.sqlite'}"

    @property
    def store_url(self) -> str:
        """The store's URL, with the default filled in."""
        return self.store or f"file:{Path(self.data) / 'store'}"

    @property
    def imported_folder(self) -> Path:
        """Where published weights are, with the default filled in."""
        return Path(self.imported) if self.imported else Path(self.data) / "imported"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return _address(self.listen)

    @property
    def train_address(self) -> tuple[str, int]:
        """Host and port that the offline trainer listens on."""
        return _address(self.train_listen)

    @property
    def export_address(self) -> tuple[str, int]:
        """Host, empty for all of this machine's, and port of the export."""
        return _address(self.export)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _secrets() -> frozenset[str]:
    """The names of settings whose value must not be printed."""
    hints = get_type_hints(Settings, include_extras=True)
    marks = {name: hint.__metadata__[0].extra or {} for name, hint in hints.items()}
    return frozenset(name for name, mark in marks.items() if mark.get(_HIDDEN))


SECRETS: Final = _secrets()
"""Settings that are never printed and that no command has a flag for."""
HTTP_SETTINGS: Final = ("token", "token_file", "tls_cert_file", "tls_key_file")
"""What commands that serve by HTTP heed of who may write, and how they are spoken to."""
ISOLATION_SETTINGS: Final = ("isolator", "bg_hints", "target_hints")
"""What every command that learns heeds of DynPower."""
EXPORT_SETTINGS: Final = ("export", "export_kepler", "confidence_threshold", "low_confidence")
"""What every command that has the estimator heeds of the export."""
KAFKA_SETTINGS: Final = tuple(n for n in Settings.__struct_fields__ if n.startswith("kafka_"))
"""What every command that opens the log heeds."""


class Row(msgspec.Struct, frozen=True):
    """One setting as the documentation shows it."""

    name: str
    environment: str
    default: str
    help: str


def table() -> list[Row]:
    """All settings in the order of their declaration."""
    defaults = Settings()
    rows = []
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        default = getattr(defaults, name)
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        text = hint.__metadata__[0].description
        rows.append(Row(name, PREFIX + name.upper(), shown, text))
    return rows


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None = None
) -> Settings:
    """The settings that flags, environment and file make; ``MisuseError`` names what is wrong.

    Flags that are None have not been given.
    """
    chosen: dict[str, Any] = {}
    if config is not None:
        read = {name: _listed(name, value) for name, value in _read(config).items()}
        chosen.update(_checked(read, str(config)))
    named = {ours: environment[name] for name, ours in _KEPLERS.items() if name in environment}
    named |= {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not _is_kubernetes(name.removeprefix(PREFIX), value)
    }
    chosen.update(_checked({k: _listed(k, v) for k, v in named.items()}, "the environment"))
    chosen.update(_checked({k: v for k, v in flags.items() if v is not None}, "the flags"))
    return msgspec.convert(chosen, Settings, strict=False)


def _is_kubernetes(name: str, value: str) -> bool:
    """Whether a variable is not ours: a setting is, unless a service of its name has an address."""
    if name.lower() in Settings.__struct_fields__:
        return name.endswith("_PORT") and "://" in value
    return bool(_KUBERNETES.match(name))


def _read(config: Path) -> dict[str, Any]:
    try:
        text = config.read_text(encoding="utf-8")
    except OSError as error:
        raise MisuseError(f"config file {config}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MisuseError(f"config file {config}: {error}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MisuseError(f"config file {config}: {error}") from error


def _listed(name: str, value: Any) -> Any:
    """A list from a text, where the setting is a list."""
    if isinstance(value, str) and isinstance(getattr(Settings(), name, None), tuple):
        return tuple(part.strip() for part in split(value) if part.strip())
    return value


def split(text: str) -> list[str]:
    """The parts between commas; those within parentheses or brackets part nothing.

    >>> split("ridge, river.linear_model.LinearRegression(river.optim.Adam(0.1), l2=0.1)")
    ['ridge', ' river.linear_model.LinearRegression(river.optim.Adam(0.1), l2=0.1)']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _checked(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The values, each known by name and of the right type."""
    known = Settings.__struct_fields__
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise MisuseError(f"setting {name!r} in {origin} is unknown{hint}")
        try:
            msgspec.convert({name: value}, Settings, strict=False)
        except msgspec.ValidationError as error:
            reason = str(error).split(" - at ")[0]
            shown = "wrong" if name in SECRETS else repr(value)
            raise MisuseError(f"setting {name!r} in {origin} is {shown}: {reason}") from error
    return dict(values)

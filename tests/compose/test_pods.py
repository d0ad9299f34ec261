"""Containers of the Kubernetes manifests: that our commands take what they are started with."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from estimator import __version__
from estimator.settings import load, table
from server.commands import application
from tests.compose.kustomize import (
    FOLDER,
    by_kind,
)
from tests.compose.pods import Started, started
from tests.compose.project import services

_SETTINGS: Final = {row.environment: row.name for row in table()}
_LISTENING: Final = {"serve": "WATTSTREAM_LISTEN", "trainer": "WATTSTREAM_TRAIN_LISTEN"}

every_container = pytest.mark.parametrize("one", started(), ids=str)


@every_container
def test_environments_are_settings_that_the_command_heeds(one: Started) -> None:
    ours = {key for key in one.environment if key.startswith("WATTSTREAM_")}
    assert ours <= set(_SETTINGS)
    load({}, one.environment)
    heeded = import_module(f"server.commands.{one.words[1]}").SETTINGS
    assert {_SETTINGS[key] for key in one.own} <= set(heeded)


@every_container
def test_words_are_taken_by_the_command_line(one: Started) -> None:
    program, command, *words = one.words
    assert program == "wattstream"
    parse(command, words)
    with pytest.raises(Exception, match="No such option: --sources"):
        parse(command, [*words, "--sources"])


def parse(command: str, words: list[str]) -> None:
    made: Any = application.make([command])
    made.commands[command].make_context(command, list(words))


@every_container
def test_images_are_those_of_the_compose_file(one: Started) -> None:
    built_here = {service.image for service in services({}).values() if service.is_built}
    assert one.container["image"].removeprefix("registry.example/") in built_here
    assert one.container["image"].endswith(f":{__version__}")


@every_container
def test_probes_ask_where_the_command_answers(one: Started) -> None:
    command = one.words[1]
    port = "http" if command in _LISTENING else "metrics"
    alive = "/metrics" if command == "estimate" else "/healthz"
    for name in ("startupProbe", "livenessProbe"):
        assert one.container[name]["httpGet"] == {"path": alive, "port": port}
    if command != "estimate":
        assert one.container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port}
    listens = one.environment[_LISTENING.get(command, "WATTSTREAM_METRICS_PORT")]
    assert one.ports[port] == int(listens.rpartition(":")[2])


@every_container
def test_containers_hold_as_few_rights_as_they_need(one: Started) -> None:
    of_pod = one.pod.get("securityContext", {})
    rights = {**of_pod, **one.container["securityContext"]}
    assert rights["readOnlyRootFilesystem"]
    assert not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    if one.words[1] == "collect":  # what it reads is root's
        assert rights["runAsUser"] == 0
        return
    assert rights["runAsNonRoot"]
    assert (rights["runAsUser"], rights["runAsGroup"]) == (10001, 10001)
    if any("secret" in volume for volume in one.pod["volumes"]):
        assert rights["fsGroup"] == 10001  # else it could not read what only its group may


@every_container
def test_what_is_written_to_is_mounted(one: Started) -> None:
    mounts = {mount["mountPath"]: mount for mount in one.container["volumeMounts"]}
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    wanted = {one.environment["WATTSTREAM_DATA"]}
    if one.words[1] == "estimate":
        wanted.add(str(Path(one.environment["WATTSTREAM_SOCKET"]).parent))
    assert wanted <= writable
    for name in ("WATTSTREAM_TOKEN_FILE", "WATTSTREAM_KAFKA_PASSWORD_FILE"):
        if _SETTINGS[name] in import_module(f"server.commands.{one.words[1]}").SETTINGS:
            file = one.environment.get(name)
            assert file is None or mounts[str(Path(file).parent)]["readOnly"]


@every_container
def test_memory_is_asked_for_and_bounded(one: Started) -> None:
    resources = one.container["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    # No limit of processor time: who is throttled falls behind, and it is not memory that others
    # would lose for good.
    assert set(resources["limits"]) == {"memory"}


def test_collectors_read_the_hosts_own_files_and_cannot_write_them() -> None:
    one = next(one for one in started() if one.words[1] == "collect")
    mounts = {mount["name"]: mount for mount in one.container["volumeMounts"]}
    for setting, path in (("WATTSTREAM_SYSFS", "/sys"), ("WATTSTREAM_PROCFS", "/proc")):
        (volume,) = (
            volume
            for volume in one.pod["volumes"]
            if volume.get("hostPath", {}).get("path") == path
        )
        assert mounts[volume["name"]]["readOnly"]
        assert mounts[volume["name"]]["mountPath"] == one.environment[setting]


def test_estimators_ask_the_service_of_the_server() -> None:
    (service,) = (
        one for one in by_kind(FOLDER / "base", "Service") if one["metadata"]["name"] == "server"
    )
    for one in (one for one in started() if one.words[1] == "estimate"):
        asked = urlsplit(one.environment["WATTSTREAM_MODELS"])
        assert asked.hostname == service["metadata"]["name"]
        assert asked.port == service["spec"]["ports"][0]["port"]

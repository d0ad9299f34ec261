"""What can be known of the compose file and the container files by reading them."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Final

import jsonschema
import pytest
from packaging.requirements import Requirement

from estimator import __version__
from estimator.settings import load, table
from server.main import run
from tests.compose.constraints import pinned
from tests.compose.project import FILE, ROOT, filled, image, raw, services, variables
from tests.kafka import jars

CONTAINER_FILES: Final = sorted((ROOT / "compose").glob("*.Containerfile"))
DEPLOY: Final = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
OURS: Final = sorted(name for name, service in services({}).items() if service.is_built)


SCHEMA: Final = json.loads(
    files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
)


def test_the_file_is_what_the_specification_of_compose_says() -> None:
    jsonschema.validate(raw(), SCHEMA)


def test_the_schema_finds_a_mistake() -> None:
    wrong = raw()
    wrong["services"]["server"]["port"] = ["8100"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_there_are_the_services_that_a_fleet_needs() -> None:
    found = [service for service in services({}).values() if not service.profiles]
    commands = [service.words[1] for service in found if service.is_built]
    assert sorted(commands) == ["collect", "estimate", "learn", "learn", "serve", "trainer"]
    others = {service.name for service in found if not service.is_built}
    assert others == {"kafka", "prometheus", "grafana"}


def test_profiles_add_real_sources_and_a_kepler() -> None:
    by_profile = {
        service.profiles[0]: service for service in services({}).values() if service.profiles
    }
    assert set(by_profile) == {"host", "kepler-source", "kepler"}
    assert by_profile["host"].words == (
        *("wattstream", "collect", "--source", "rapl", "--source", "proc"),
    )
    url = "http://worker-7:9102"
    named = services({"WATTSTREAM_KEPLER_URL": url})["collector-kepler"]
    assert named.words == ("wattstream", "collect", "--source", f"kepler:{url}")


def test_kepler_asks_the_socket_where_it_looks_for_it() -> None:
    estimator, kepler = (raw()["services"][name] for name in ("estimator", "kepler"))
    socket = estimator["environment"]["WATTSTREAM_SOCKET"]
    (ours,) = (volume for volume in estimator["volumes"] if volume.endswith(":/run/wattstream"))
    assert socket == "/run/wattstream/estimator.sock"
    # Which is built into Kepler: /tmp/estimator.sock.
    assert ours.removesuffix("/run/wattstream") + "/tmp" in kepler["volumes"]
    assert kepler["depends_on"] == {"estimator": {"condition": "service_healthy"}}
    words = kepler["environment"]["MODEL_CONFIG"].split()
    assert words == [
        f"{which}_{what}_ESTIMATOR=true"
        for which in ("NODE", "PROCESS")
        for what in ("TOTAL", "COMPONENTS")
    ]


def test_every_service_has_a_health_check_but_keplers_own() -> None:
    without = {name for name, service in services({}).items() if not service.health}
    assert without == {"kepler"}


def test_images_of_others_are_pinned() -> None:
    for service in services({}).values():
        if not service.is_built:
            assert re.search(r":(v|release-)?\d+\.\d+\.\d+$", service.image), service.image


def test_kafka_is_that_of_the_tests() -> None:
    assert services({})["kafka"].image == f"apache/kafka:{jars.VERSION}"


@pytest.mark.parametrize("name", OURS)
def test_environments_are_settings(name: str) -> None:
    environment = services({})[name].environment
    known = {row.environment for row in table()}
    assert {key for key in environment if key.startswith("WATTSTREAM_")} <= known
    load({}, environment)


@pytest.mark.parametrize("name", OURS)
def test_commands_are_commands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, command, *words = services({})[name].words
    assert program == "wattstream"
    assert run([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert all(word.split("=")[0] in said for word in words[::2])


@pytest.mark.parametrize("name", sorted(services({})))
def test_services_hold_as_few_rights_as_they_need(name: str) -> None:
    service = raw()["services"][name]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    if name in {"kafka", "kepler"}:  # of which one writes where it likes, and one into the kernel
        return
    assert service["read_only"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert ("user" in service) == (name == "collector-host")  # what it reads is root's


def test_volumes_are_declared() -> None:
    used = {
        volume.partition(":")[0]
        for service in raw()["services"].values()
        for volume in service.get("volumes", [])
        for volume in [filled(volume, {})]
        if volume[0] not in "/."
    }
    assert used == set(raw()["volumes"])


def test_images_carry_the_release() -> None:
    images = {service.image for service in services({}).values() if service.is_built}
    assert {found.rpartition(":")[2] for found in images} == {__version__}


@pytest.mark.parametrize("path", CONTAINER_FILES, ids=lambda path: path.stem)
def test_container_files_build_on_one_slim_base(path: Path) -> None:
    bases = set(image(path).bases)
    assert len(bases) == 1
    assert "-slim" in bases.pop()


@pytest.mark.parametrize("path", CONTAINER_FILES, ids=lambda path: path.stem)
def test_images_are_pinned_and_not_of_root(path: Path) -> None:
    found = image(path)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", found.bases[0])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", found.user)
    assert "--constraint constraints.txt" in path.read_text()


def test_what_container_files_copy_is_let_through() -> None:
    through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    for path in CONTAINER_FILES:
        for line in re.findall(r"^COPY (?!--from)(.*)$", path.read_text(), re.MULTILINE):
            *sources, _ = line.split()
            assert set(sources) <= through
            assert all((ROOT / source).exists() for source in sources)


def test_what_the_project_needs_is_pinned_to_a_version_that_it_allows() -> None:
    versions = pinned()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *extras["stream"], *extras["server"]):
        requirement = Requirement(text)
        assert versions[requirement.name] in requirement.specifier, text


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_variable_is_documented(name: str) -> None:
    assert f"`{name}`" in DEPLOY


def test_the_page_names_the_services() -> None:
    assert FILE.is_file()
    for name in services({}):
        assert f"`{name}`" in DEPLOY

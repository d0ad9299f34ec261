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
from tests.compose.project import FILE, ROOT, image, raw, services, variables
from tests.kafka import jars

CONTAINER_FILES: Final = sorted((ROOT / "compose").glob("*.Containerfile"))
DEPLOY: Final = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
OURS: Final = sorted(set(services({})) - {"kafka"})


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
    commands = [service.words[1] for service in services({}).values() if service.name != "kafka"]
    assert sorted(commands) == ["collect", "estimate", "learn", "learn", "serve"]


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
    assert all(word.split("=")[0] in capsys.readouterr().out for word in words[::2])


@pytest.mark.parametrize("name", OURS)
def test_services_hold_as_few_rights_as_they_need(name: str) -> None:
    service = raw()["services"][name]
    assert service["read_only"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name != "estimator":  # whose socket belongs to root
        assert service["cap_drop"] == ["ALL"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_volumes_are_declared() -> None:
    used = {
        volume.partition(":")[0]
        for service in raw()["services"].values()
        for volume in service.get("volumes", [])
        if volume[0] not in "/.$"
    }
    assert used == set(raw()["volumes"])


def test_images_carry_the_release() -> None:
    images = {service.image for name, service in services({}).items() if name != "kafka"}
    assert {found.rpartition(":")[2] for found in images} == {__version__}


@pytest.mark.parametrize("path", CONTAINER_FILES, ids=lambda path: path.stem)
def test_container_files_build_on_one_slim_base(path: Path) -> None:
    bases = set(image(path).bases)
    assert len(bases) == 1
    assert "-slim" in bases.pop()


def test_the_image_of_all_services_is_pinned_and_not_of_root() -> None:
    path = ROOT / "compose" / "wattstream.Containerfile"
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

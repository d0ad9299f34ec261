"""The Kubernetes manifests as resources: what schemas say, and that what is named is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import kubernetes_validate
import pytest

from tests.compose.kustomize import (
    FOLDER,
    FOLDERS,
    Resource,
    built,
    by_kind,
    containers,
    files_named,
)
from tests.compose.pods import started
from tests.compose.project import ROOT, raw, services

DEPLOY: Final = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
OURS: Final = started()
VERSIONS: Final = ("1.29", kubernetes_validate.latest_version())
"""The oldest that has sidecars, and the newest whose schemas are here."""

every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def workloads(folder: Path) -> list[Resource]:
    return [resource for resource in built(folder) if containers(resource)]


def names(folder: Path, kind: str) -> set[str]:
    return {resource["metadata"]["name"] for resource in by_kind(folder, kind)}


@every_folder
@pytest.mark.parametrize("version", VERSIONS)
def test_resources_are_what_the_schemas_of_kubernetes_say(folder: Path, version: str) -> None:
    for resource in built(folder):
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_schemas_find_a_mistake() -> None:
    (wrong,) = by_kind(FOLDER / "base", "StatefulSet")
    wrong["spec"]["template"]["spec"]["containers"][0]["arg"] = ["learn"]
    with pytest.raises(kubernetes_validate.ValidationError, match="arg"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_files_are_named_and_those_that_are_named_are_there() -> None:
    assert set.union(*map(files_named, FOLDERS)) == set(FOLDER.rglob("*.yaml"))


@every_folder
def test_nothing_is_there_twice(folder: Path) -> None:
    found = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in built(folder)]
    assert len(set(found)) == len(found)


def test_the_overlay_changes_what_it_says() -> None:
    before = {one["metadata"]["name"]: one for one in workloads(FOLDER / "base")}
    after = {one["metadata"]["name"]: one for one in workloads(FOLDER / "secured")}
    assert {*before, "trainer", "kepler"} == set(after)
    assert before["learner"]["spec"]["replicas"] == 2
    assert after["learner"]["spec"]["replicas"] == 3
    (config,) = by_kind(FOLDER / "secured", "ConfigMap")
    assert config["data"]["WATTSTREAM_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert config["data"]["WATTSTREAM_PARTITIONS"] == "12"
    for one in (one for one in OURS if one.folder.name == "secured"):
        assert one.container["image"].startswith("registry.example/wattstream")


def test_shared_settings_are_those_of_the_compose_file() -> None:
    (config,) = by_kind(FOLDER / "base", "ConfigMap")
    compose = services({})["learner-1"].environment
    elsewhere = {"WATTSTREAM_STORE"}  # a bucket instead of a volume
    assert {"WATTSTREAM_LOG", "WATTSTREAM_PARTITIONS", *elsewhere} < set(config["data"])
    for name in (set(config["data"]) & set(compose)) - elsewhere:
        assert config["data"][name] == compose[name], name
    collector = services({})["collector"].environment
    assert config["data"]["WATTSTREAM_INTERVAL"] == collector["WATTSTREAM_INTERVAL"]


def test_the_commands_of_the_compose_file_are_all_there() -> None:
    assert {one.words[1] for one in OURS} == {
        service.words[1] for service in services({}).values() if service.is_built
    }


@every_folder
def test_volumes_are_declared_and_used(folder: Path) -> None:
    for workload in workloads(folder):
        declared = [volume["name"] for volume in workload["spec"]["template"]["spec"]["volumes"]]
        used = {mount["name"] for one in containers(workload) for mount in one["volumeMounts"]}
        assert sorted(declared) == sorted(used)


@every_folder
def test_selectors_select_the_pods_of_one_workload(folder: Path) -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in workloads(folder)]
    for workload, own in zip(workloads(folder), labels, strict=True):
        assert workload["spec"]["selector"]["matchLabels"] == own
        assert labels.count(own) == 1


@every_folder
def test_services_lead_to_ports(folder: Path) -> None:
    for service in by_kind(folder, "Service"):
        (workload,) = (
            one
            for one in workloads(folder)
            if one["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
        )
        ports = {
            port["name"]: port["containerPort"]
            for one in containers(workload)
            for port in one["ports"]
        }
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for workload in by_kind(folder, "StatefulSet"):
        (headless,) = (
            one
            for one in by_kind(folder, "Service")
            if one["metadata"]["name"] == workload["spec"]["serviceName"]
        )
        assert headless["spec"]["clusterIP"] == "None"


@every_folder
def test_what_is_named_is_there_or_said_to_be_needed(folder: Path) -> None:
    secrets: set[str] = set()
    for workload in workloads(folder):
        pod = workload["spec"]["template"]["spec"]
        secrets |= {one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one}
        for source in (one for c in containers(workload) for one in c.get("envFrom", ())):
            if "configMapRef" in source:
                assert source["configMapRef"]["name"] in names(folder, "ConfigMap")
            else:
                secrets.add(source["secretRef"]["name"])
        if "serviceAccountName" in pod:
            assert pod["serviceAccountName"] in names(folder, "ServiceAccount")
        for key in (key for key in pod.get("nodeSelector", {}) if "wattstream" in key):
            assert f"{key}={pod['nodeSelector'][key]}" in DEPLOY
    for secret in secrets:
        assert f"create secret generic {secret} " in DEPLOY
    for binding in by_kind(folder, "ClusterRoleBinding"):
        assert binding["roleRef"]["name"] in names(folder, "ClusterRole")
        for subject in binding["subjects"]:
            assert subject["name"] in names(folder, subject["kind"])


def test_kepler_is_as_in_the_compose_file_and_finds_the_socket() -> None:
    (workload,) = by_kind(FOLDER / "kepler", "DaemonSet")
    estimator, kepler = containers(workload)
    assert estimator["restartPolicy"] == "Always"  # a sidecar: there before Kepler is
    there = raw()["services"]["kepler"]
    assert kepler["image"] == there["image"]
    assert kepler["command"] == there["entrypoint"]
    assert kepler["args"] == there["command"]
    environment = {one["name"]: one.get("value") for one in kepler["env"]}
    assert environment["MODEL_CONFIG"].split() == there["environment"]["MODEL_CONFIG"].split()
    folders = [
        {mount["mountPath"]: mount["name"] for mount in one["volumeMounts"]}
        for one in (estimator, kepler)
    ]
    assert folders[0]["/run/wattstream"] == folders[1]["/tmp"]


def test_kepler_and_collectors_share_no_node() -> None:
    (kepler,) = (
        one for one in by_kind(FOLDER / "secured", "DaemonSet") if len(containers(one)) > 1
    )
    affinity = kepler["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (without,) = term["matchExpressions"]
    collector = next(one for one in OURS if one.words[1] == "collect")
    assert without["operator"] == "DoesNotExist"
    assert without["key"] in collector.pod["nodeSelector"]


def test_the_page_names_the_folders() -> None:
    for folder in FOLDERS:
        assert re.search(rf"^\| `{folder.name}` \|", DEPLOY, re.MULTILINE)

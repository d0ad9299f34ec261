"""What ``kubectl apply -k`` would send, of those parts of a kustomization that ours use.

kustomize is not needed for it, and not there to compare with: names of what it generates have no
hash here, and a kustomization with a key that is not known here is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import jsonpatch
from ruamel.yaml import YAML

from tests.compose.project import FILE

FOLDER: Final = FILE.parent / "kubernetes"
FOLDERS: Final = tuple(path.parent for path in sorted(FOLDER.rglob("kustomization.yaml")))
OF_THE_CLUSTER: Final = frozenset({"Namespace", "ClusterRole", "ClusterRoleBinding"})
_KEYS: Final = frozenset(
    {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "patches"}
    | {"images", "replicas"}
)

Resource = dict[str, Any]


def kustomization(folder: Path) -> dict[str, Any]:
    """The folder's own file; an error if it asks for more than is done here."""
    found: dict[str, Any]
    (found,) = _documents(folder / "kustomization.yaml")
    assert set(found) <= _KEYS, set(found) - _KEYS
    assert found["kind"] == "Kustomization"
    assert found["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
    return found


def files_named(folder: Path) -> set[Path]:
    """The folder's kustomization and all files that it names, whether they are there or not."""
    said = kustomization(folder)
    named = [*said.get("resources", ()), *(patch["path"] for patch in said.get("patches", ()))]
    paths = {(folder / name).resolve() for name in named}
    return {folder / "kustomization.yaml"} | {path for path in paths if not path.is_dir()}


def built(folder: Path) -> list[Resource]:
    """All resources, after everything that the kustomization says is done to them."""
    said = kustomization(folder)
    found: list[Resource] = []
    for name in said.get("resources", ()):
        path = folder / name
        found += built(path) if path.is_dir() else _documents(path)
    for generator in said.get("configMapGenerator", ()):
        _generate(found, generator)
    for patch in said.get("patches", ()):
        _patch(found, patch["target"], folder / patch["path"])
    for image in said.get("images", ()):
        _rename(found, image)
    for count in said.get("replicas", ()):
        _one(found, {"name": count["name"]}, having="replicas")["spec"]["replicas"] = count["count"]
    for resource in found:
        if resource["kind"] not in OF_THE_CLUSTER:
            resource["metadata"]["namespace"] = said["namespace"]
    return found


def by_kind(folder: Path, kind: str) -> list[Resource]:
    """Those resources of a folder that are of that kind."""
    return [resource for resource in built(folder) if resource["kind"] == kind]


def containers(resource: Resource) -> list[dict[str, Any]]:
    """The containers of a workload's pods, those that start first included; else none."""
    pod = resource.get("spec", {}).get("template", {}).get("spec", {})
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


def _documents(path: Path) -> list[Any]:
    # As kubectl reads it: YAML 1.1, in which "no" and 0440 are something else than in 1.2.
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return [document for document in yaml.load_all(path) if document]


def _generate(found: list[Resource], generator: Mapping[str, Any]) -> None:
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    if generator.get("behavior", "create") == "merge":
        there = _one(found, {"kind": "ConfigMap", "name": generator["name"]})
        there["data"] = {**there["data"], **data}
        return
    metadata = {"name": generator["name"]}
    found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _patch(found: list[Resource], target: Mapping[str, str], path: Path) -> None:
    resource = _one(found, target)
    (operations,) = _documents(path)
    changed = jsonpatch.apply_patch(deepcopy(resource), operations)
    resource.clear()
    resource.update(changed)


def _rename(found: list[Resource], image: Mapping[str, str]) -> None:
    renamed = list(_of_image(found, image["name"]))
    assert renamed, f"no container has the image {image['name']}"
    for container in renamed:
        tag = container["image"].rpartition(":")[2]
        container["image"] = f"{image['newName']}:{tag}"


def _of_image(found: list[Resource], name: str) -> Iterator[dict[str, Any]]:
    for resource in found:
        for container in containers(resource):
            if container["image"].rpartition(":")[0] == name:
                yield container


def _one(found: list[Resource], target: Mapping[str, str], having: str = "") -> Resource:
    """The only resource of that kind and name, and with that key in its spec."""
    (one,) = (
        resource
        for resource in found
        if resource["metadata"]["name"] == target["name"]
        and resource["kind"] == target.get("kind", resource["kind"])
        and (not having or having in resource.get("spec", {}))
    )
    return one

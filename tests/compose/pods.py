"""Containers of the Kubernetes manifests that start this project's images, as they are started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.compose.kustomize import FOLDERS, Resource, built, containers
from tests.compose.project import FILE, image

IMAGES: Final = {
    "wattstream": image(FILE.parent / "wattstream.Containerfile"),
    "wattstream-estimator": image(FILE.parent / "estimator.Containerfile"),
}
_FIELDS: Final = {"spec.nodeName": "worker-7", "metadata.name": "learner-0"}
"""What a cluster would fill in."""


class Started(NamedTuple):
    """A container of ours."""

    folder: Path
    workload: Resource
    container: Mapping[str, Any]
    words: tuple[str, ...]
    own: Mapping[str, str]
    """The environment that the container itself names."""
    environment: Mapping[str, str]
    """All of it: the image's, that of config maps, its own; without secrets."""

    @property
    def pod(self) -> Mapping[str, Any]:
        """The pod's specification."""
        found: Mapping[str, Any] = self.workload["spec"]["template"]["spec"]
        return found

    @property
    def ports(self) -> dict[str, int]:
        """The container's ports by name."""
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.folder.name}-{self.container['name']}"


def started() -> list[Started]:
    """All containers of ours, of every kustomization."""
    return [
        _started(folder, resources, resource, container)
        for folder in FOLDERS
        for resources in [built(folder)]
        for resource in resources
        for container in containers(resource)
        if _image(container) in IMAGES
    ]


def _image(container: Mapping[str, Any]) -> str:
    name: str = container["image"]
    return name.rpartition(":")[0].rpartition("/")[2]


def _started(
    folder: Path,
    resources: Iterable[Resource],
    workload: Resource,
    container: Mapping[str, Any],
) -> Started:
    maps = {one["metadata"]["name"]: one["data"] for one in resources if one["kind"] == "ConfigMap"}
    own = {one["name"]: _value(one) for one in container.get("env", ())}
    environment = dict(IMAGES[_image(container)].environment)
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            environment |= maps[source["configMapRef"]["name"]]
    words = (*IMAGES[_image(container)].entrypoint, *container.get("args", ()))
    return Started(folder, workload, container, words, own, {**environment, **own})


def _value(variable: Mapping[str, Any]) -> str:
    if "value" in variable:
        found: str = variable["value"]
        return found
    return _FIELDS[variable["valueFrom"]["fieldRef"]["fieldPath"]]

"""`docs/reference/python.md`: what other programs may import, from the code's own words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import msgspec

from tests.docs.reference.markdown import heading, prose

PUBLIC: Final[Mapping[str, Sequence[str]]] = {
    "estimator.storage.store": ("open_store",),
    "estimator.storage.model_store": (
        *("ModelStore.indexes", "ModelStore.index", "ModelStore.artifact"),
        *("ModelStore.roll_back", "ModelStore.pin", "ModelStore.unpin"),
    ),
    "estimator.storage.model_index": ("ModelIndex", "Version"),
    "estimator.artifacts.artifact": ("decode", "Artifact", "Manifest", "Line"),
    "estimator.artifacts.frozen": ("FrozenModel.predict_many", "horizon_for_age"),
    "estimator.model_key": ("ModelKey",),
    "estimator.machine": ("MachineSpec",),
    "estimator.vocabulary": ("FEATURE_GROUPS", "HORIZONS", "OUTPUT_TYPES", "SOURCE_COMPONENTS"),
    "estimator.kepler_socket.client": ("ask",),
    "stream.records": (
        *("USAGE_TOPIC", "POWER_TOPIC", "UsageRecord", "Workloads", "PowerRecord", "Zone"),
        *("encode", "decode_usage", "decode_power"),
    ),
    "stream.log.open": ("open_log",),
    "stream.log.protocol": (
        *("Outgoing", "Message", "TopicPartition"),
        *("Log.append_many", "Log.reader", "Log.begin_offsets", "Log.end_offsets", "Log.close"),
        *("Reader.poll", "Reader.close"),
    ),
    "estimator.errors": (
        *("WattstreamError", "MisuseError", "RecordError", "RefusedError", "LogUnavailableError"),
        *("StoreError", "NotFoundError", "ConflictError", "DamagedError", "RequestError"),
    ),
}
"""By module what is public: names, of classes without fields the methods."""
_INTRODUCTION: Final = """\
What other programs may import. All else may change with any release; what stands here changes \
as the [changelog](../../CHANGELOG.md) says. The package `estimator` needs what `pip install .` \
brings; `stream` needs the extra of that name. Neither does anything when it is imported. How to \
write records is in [records](../records.md#topics-keys-partitions); what the fields of models and \
versions mean, in [artifacts](artifacts.md).

What a store's models say of a machine that computes for 2,500 ms in a second:

```python
import numpy as np

from estimator.artifacts.frozen import horizon_for_age
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store

models = ModelStore(open_store("file:wattstream-data/store"))
for index in models.indexes().values():
    if index.key.feature_group == "BPFOnly" and not index.key.imported:
        manifest, model = models.artifact(index.current)
        usage = {"bpf_cpu_time_ms": 2500.0}
        rows = np.array([[usage.get(name, 0.0) for name in manifest.features]])
        (watts,) = model.predict_many(rows, horizon_for_age(60.0))
        print(index.key.slug, dict(zip(manifest.components, watts.tolist())))
```"""


def page() -> str:
    """The whole page."""
    parts = [heading("The Python interface", _INTRODUCTION)]
    for name, public in PUBLIC.items():
        module = import_module(name)
        parts += [f"## `{name}`", prose(module.__doc__)]
        said = set[str]()
        for one in public:
            parts += _told(module, one, said)
    return "\n\n".join(parts) + "\n"


def _told(module: Any, name: str, said: set[str]) -> Iterator[str]:
    owner, _, method = name.partition(".")
    found = getattr(module, owner)
    if method:
        if owner not in said:
            said.add(owner)
            yield f"### `{owner}`"
            yield prose(found.__doc__)
        yield f"```python\n{_signature(getattr(found, method), name, drop_first=True)}\n```"
        yield prose(getattr(found, method).__doc__)
    elif inspect.isclass(found):
        yield f"### `{name}`"
        yield from _class(found)
    elif callable(found):
        yield f"### `{name}`"
        yield f"```python\n{_signature(found, name)}\n```"
        yield prose(found.__doc__)
    else:
        yield f"### `{name}`"
        yield f"```python\n{name} = {_value(found)}\n```"


def _class(kind: Any) -> Iterator[str]:
    yield prose(kind.__doc__)
    if issubclass(kind, Exception):
        (base,) = kind.__bases__
        yield f"Its base: `{base.__name__}`."
        return
    lines = [f"class {kind.__name__}:"]
    for field, annotation in _annotations(kind).items():
        lines.append(f"    {field}: {annotation}{_default(kind, field)}")
    yield "```python\n" + "\n".join(lines) + "\n```"


def _annotations(kind: Any) -> dict[str, str]:
    """Of a class's fields what stands in the code, those of its bases first."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        found |= {
            name: getattr(annotation, "__forward_arg__", annotation)
            for name, annotation in vars(one).get("__annotations__", {}).items()
            if not name.startswith("_")
        }
    return {name: annotation for name, annotation in found.items() if "ClassVar" not in annotation}


def _default(kind: Any, field: str) -> str:
    if issubclass(kind, msgspec.Struct):
        defaults = {one.name: one.default for one in msgspec.structs.fields(kind)}
        factories = {one.name: one.default_factory for one in msgspec.structs.fields(kind)}
        if factories[field] is not msgspec.NODEFAULT:
            return f" = {factories[field]()!r}"
    else:
        defaults = {**dict.fromkeys(kind._fields, msgspec.NODEFAULT), **kind._field_defaults}
    return "" if defaults[field] is msgspec.NODEFAULT else f" = {defaults[field]!r}"


def _signature(function: Any, name: str, *, drop_first: bool = False) -> str:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if drop_first else 0 :]
    text = str(signature.replace(parameters=parameters))
    # Annotations are texts, which the signature shows in quotes.
    return name + re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def _value(found: Any) -> str:
    if isinstance(found, Mapping):
        lines = [f"    {key!r}: {tuple(one)!r}," for key, one in found.items()]
        return "\n".join(["{", *lines, "}"])
    return repr(found)

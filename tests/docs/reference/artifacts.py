"""`docs/reference/artifacts.md`: what lies in the store, from the structs that are written."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any, Final

import msgspec

from estimator.artifacts.artifact import Manifest, _Document
from estimator.storage.model_index import ModelIndex
from estimator.storage.model_store import NodeTypes
from tests.docs.reference.markdown import heading, schemas

_NAMES: Final = {
    "_Document": "manifest.json",
    "ModelIndex": "models/MODEL.json",
    "NodeTypes": "node_types.json",
}
_INTRODUCTION: Final = """\
What lies in the [store](../architecture.md#artifacts-and-the-store) and can be read by others: \
JSON, and zips of JSON and plain arrays. [Records](../records.md) are described there, \
checkpoints are nobody else's. Whoever reads this by program may rather use \
[the Python interface](python.md).

An artifact, `artifacts/<sha256>.zip`, has two members: [manifest.json](#manifestjson), and \
`arrays.npz`, numpy's format without pickled objects. Fields may be added; what changes the \
meaning of one raises `schema`, and a later one is refused by name.

In `arrays.npz` each array has the dotted path of its place in the manifest's `model`, which is \
the frozen model without them. F is the number of features, C of components, E of all experts, \
H of horizons, D of a polynomial's terms, N of remembered samples:

| array | shape | meaning |
| --- | --- | --- |
| `weights` | H, E, C | how much each expert counts, by horizon and component |
| `idle`, `floor`, `ceiling` | C | W: of rows of zeros, the least and the greatest measured |
| `seen` | 2, F | the least and the greatest value of each feature |
| `banks.0.scales` | F | divide the features of a bank of `kind` `polynomials` |
| `banks.0.coefficients` | experts of the bank, D, C | weigh the terms |
| `banks.1.rows`, `banks.1.watts` | N, F; N, C | the samples of a bank of `kind` `neighbours` |
| `banks.1.scales`, `banks.1.curve_scales` | F | divide features for distances, and for the curve |
| `banks.1.coefficients` | D, C | the curve along which neighbours are moved |

Other banks are there by configuration: `trees` and `curves`, whose arrays \
`estimator/artifacts/artifact_layout.py` checks."""


def page() -> str:
    """The whole page."""
    _, found = msgspec.json.schema_components(
        (_Document, ModelIndex, NodeTypes), ref_template="#/{name}"
    )
    named: dict[str, Any] = {_NAMES.get(name, name): schema for name, schema in found.items()}
    text = heading("Models in the store", _INTRODUCTION)
    named["manifest.json"] = {
        **named["manifest.json"],
        "description": f"{cleandoc(Manifest.__doc__ or '')}\n\n{_Document.__doc__}",
    }
    files = {name: named.pop(name) for name in _NAMES.values()}
    parts = [text, *schemas(files, "##"), "## What is in them", *schemas(named)]
    return "\n\n".join(parts) + "\n"


def arrays() -> list[str]:
    """The names of arrays that the introduction's table has."""
    rows = re.findall(r"^\| (`.*?`) \|", _INTRODUCTION, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.artifacts.archive import pack, pack_arrays, unpack, unpack_arrays
from estimator.artifacts.artifact import Artifact, Line, decode, digest, encode
from estimator.artifacts.artifact_layout import CHECKS
from estimator.artifacts.frozen import _KINDS as FROZEN_KINDS
from estimator.artifacts.frozen import FrozenModel
from estimator.errors import DamagedError
from tests.estimator.artifacts.made import made_artifact

GOLDEN = Path(__file__).parent.parent / "golden"


def rows_for(artifact: Artifact, seed: int = 1) -> Any:
    rows = np.random.default_rng(seed).uniform(0, 5000, (20, len(artifact.manifest.features)))
    rows[0] = 0
    return rows


@given(
    seed=st.integers(0, 10_000),
    group=st.sampled_from(["BPFOnly", "CPUTime", "Full", "NodeStat"]),
    trees=st.booleans(),
    neighbours=st.booleans(),
    components=st.sampled_from([("platform",), ("package", "dram"), ("package", "core", "dram")]),
)
@settings(max_examples=30, deadline=None)
def test_a_decoded_artifact_says_the_same_to_the_last_bit(
    seed: int, group: str, trees: bool, neighbours: bool, components: tuple[str, ...]
) -> None:
    artifact = made_artifact(
        seed=seed, group=group, trees=trees, neighbours=neighbours, components=components
    )
    again = decode(encode(artifact))
    assert again.manifest == artifact.manifest
    for horizon in range(4):
        said = again.model.predict_many(rows_for(artifact), horizon)
        np.testing.assert_array_equal(
            said, artifact.model.predict_many(rows_for(artifact), horizon)
        )
    assert again.model.at == artifact.model.at


def test_the_same_artifact_is_the_same_bytes() -> None:
    data = encode(made_artifact(trees=True))
    assert encode(made_artifact(trees=True)) == data
    assert encode(decode(data)) == data
    assert encode(made_artifact(trees=True, seed=1)) != data


def test_numpy_reads_the_arrays_without_pickle() -> None:
    members = unpack(encode(made_artifact()))
    with np.load(io.BytesIO(members["arrays.npz"]), allow_pickle=False) as arrays:
        assert arrays["weights"].shape == (4, 2, 2)
        assert sorted(arrays) == [
            "banks.0.coefficients",
            "banks.0.scales",
            "ceiling",
            "floor",
            "idle",
            "seen",
            "weights",
        ]


@pytest.mark.parametrize("name", ["artifact-v1", "artifact-v1-neighbours"])
def test_artifacts_of_version_1_are_read_for_ever(name: str) -> None:
    data = (GOLDEN / f"{name}.zip").read_bytes()
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    manifest, model = decode(data)
    assert digest(data) == expected["digest"]
    assert msgspec.to_builtins(manifest) == expected["manifest"]
    rows = np.array(expected["rows"])
    for horizon, watts in enumerate(expected["watts"]):
        np.testing.assert_allclose(model.predict_many(rows, horizon), watts, rtol=1e-12)


def test_every_kind_of_experts_has_its_check() -> None:
    assert set(CHECKS) == set(FROZEN_KINDS)


# What is refused ------------------------------------------------------------------------------


def with_members(change: Callable[[dict[str, bytes]], None]) -> bytes:
    members = unpack(encode(made_artifact(trees=True, neighbours=True)))
    change(members)
    return pack(members)


def with_manifest(change: Callable[[dict[str, Any]], None]) -> bytes:
    def changed(members: dict[str, bytes]) -> None:
        document = json.loads(members["manifest.json"])
        change(document)
        members["manifest.json"] = json.dumps(document).encode()

    return with_members(changed)


def with_arrays(change: Callable[[dict[str, Any]], None]) -> bytes:
    def changed(members: dict[str, bytes]) -> None:
        arrays = unpack_arrays(members["arrays.npz"])
        change(arrays)
        members["arrays.npz"] = pack_arrays(arrays)
        document = json.loads(members["manifest.json"])
        document["arrays_sha256"] = digest(members["arrays.npz"])
        members["manifest.json"] = json.dumps(document).encode()

    return with_members(changed)


def test_a_newer_schema_is_named_whatever_else_is_in_it() -> None:
    data = pack({"manifest.json": b'{"schema":7,"key":5}', "weights.safetensors": b""})
    with pytest.raises(DamagedError, match="schema is 7: this release reads up to 1"):
        decode(data)


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", b"<html></html>" * 100])
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError, match="not a zip"):
        decode(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("arrays.npz"), "members are"),
        (lambda m: m.pop("manifest.json"), "members are"),
        (lambda m: m.update(extra=b""), "members are"),
        (lambda m: m.update({"manifest.json": b"{"}), "manifest.json: "),
        (
            lambda m: m.update({"manifest.json": b'{"schema":1}'}),
            "manifest.json: .*arrays_sha256|key",
        ),
        (lambda m: m.update({"manifest.json": b"[" * 100_000}), "manifest.json"),
        (lambda m: m.update({"arrays.npz": m["arrays.npz"] + b" "}), "arrays.npz has digest"),
    ],
)
def test_members_that_are_not_right_are_refused(
    change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    with pytest.raises(DamagedError, match=message):
        decode(with_members(change))


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/passwd", "a/b", "a\\b", ".hidden", ""])
def test_member_names_that_are_paths_are_refused(name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(DamagedError, match="a plain file name is needed"):
        decode(buffer.getvalue())


def test_a_member_that_is_there_twice_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.json", b"{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("manifest.json", b"{}")
    with pytest.raises(DamagedError, match="twice"):
        decode(buffer.getvalue())


def test_members_in_other_compressions_encrypted_or_too_many_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("manifest.json", b"{}")
    with pytest.raises(DamagedError, match="compression 14 is unknown"):
        decode(buffer.getvalue())
    secret = bytearray(pack({"manifest.json": b"{}"}))
    secret[secret.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DamagedError, match="is encrypted"):
        decode(bytes(secret))
    with pytest.raises(DamagedError, match="members are 10001"):
        decode(pack({str(number): b"" for number in range(10_001)}))


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * (65 << 20))
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(DamagedError, match="at most 67108864"):
        decode(buffer.getvalue())


def test_a_member_that_is_larger_than_it_says_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 100_000)
    data = buffer.getvalue().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(DamagedError, match="not a zip that can be read"):
        decode(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["features"].append("cpu_cycles"), "seen has shape"),
        (lambda d: d["features"].clear(), "makes no model"),
        (lambda d: d.update(features=[str(n) for n in range(2000)]), "makes no model"),
        (lambda d: d.update(features=["a", "a"]), "named twice"),
        (lambda d: d["components"].append("core"), "weights has shape"),
        (lambda d: d["experts"].append("another"), "weights has shape"),
        (lambda d: d["horizons"].append(3600), "horizons are"),
        (lambda d: d["model"].update(at="now"), "at is 'now'"),
        (lambda d: d["model"].update(at=True), "at is 'True'"),
        (lambda d: d["model"].update(more=1), "model has"),
        (lambda d: d["model"]["banks"][0].update(order=3), "order is 3"),
        (
            lambda d: d["model"]["banks"][0].update(kind="pickle"),
            "kind is 'pickle', known are curves, neighbours, poly",
        ),
        (lambda d: d["model"]["banks"][0].update(kind=["x"]), "kind is"),
        (lambda d: d["model"]["banks"].append({"kind": "trees"}), "banks.3 has"),
        (lambda d: d["model"]["banks"].append(5), "banks.3: kind is None"),
        (lambda d: d["model"]["banks"].pop(), "belongs nowhere"),
        (lambda d: d["model"].pop("banks"), "belongs nowhere"),
        (lambda d: d.update(lines={"core": d["lines"]["dram"]}), "lines.core"),
        (lambda d: d["lines"]["dram"].update(scales={}), "lines.dram weighs"),
        (lambda d: d["lines"]["dram"]["scales"].update(bpf_cpu_time_ms=0), "above 0"),
        (lambda d: d["lines"]["dram"].update(bias=None), "manifest.json"),
    ],
)
def test_manifests_that_are_not_right_are_refused(
    change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(DamagedError, match=message):
        decode(with_manifest(change))


def put(name: str, place: Any, value: float) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("banks.0.coefficients", (0, 0, 0), np.nan), "banks.0.coefficients .*not finite"),
        (put("weights", (0, 0, 0), np.inf), "weights .*not finite"),
        (put("idle", 0, np.nan), "idle .*not finite"),
        (put("banks.0.scales", 0, 0.0), "banks.0.scales are not all above 0"),
        (put("banks.1.feature", 0, 99), "banks.1.feature has values outside -1 to 1"),
        (put("banks.1.left", 0, 0), "banks.1.left: a child"),
        (put("banks.1.right", 0, 99), "banks.1.right: a child"),
        (put("banks.1.left", 0, -1), "banks.1.left: a child"),
        (put("banks.1.roots", (0, 0), 99), "banks.1.roots has values outside"),
        (lambda a: a.update({"banks.1.roots": np.zeros((2, 0), np.int64)}), "roots are none"),
        (lambda a: a.update(idle=a["idle"][:1]), r"idle has shape \(1,\): \(2,\) is needed"),
        (lambda a: a.update(idle=a["idle"].astype(np.int64)), "idle is of int64"),
        (lambda a: a.update(idle=a["idle"].astype(np.float32)), "idle: dtype is '<f4'"),
        (lambda a: a.update(seen=a["seen"].T[:1]), "seen has shape"),
        (
            lambda a: a.update({"banks.0.coefficients": np.zeros((2, 3, 2))}),
            "coefficients has shape",
        ),
        (lambda a: a.update({"banks.0.coefficients": np.zeros((3, 6, 2))}), "hold 7 experts"),
        (lambda a: a.pop("floor"), "model has"),
        (put("banks.2.rows", (0, 0), 5000.0), "banks.2.rows are greater than their scales"),
        (put("banks.2.rows", (0, 0), np.nan), "banks.2.rows .*not finite"),
        (put("banks.2.watts", (0, 0), np.inf), "banks.2.watts .*not finite"),
        (put("banks.2.scales", 0, 0.0), "banks.2.scales are not all above 0"),
        (put("banks.2.curve_scales", 0, -1.0), "banks.2.curve_scales are not all above 0"),
        (lambda a: a.update({"banks.2.watts": a["banks.2.watts"][:9]}), "banks.2.watts has shape"),
        (lambda a: a.update({"banks.2.rows": a["banks.2.rows"][:0]}), "banks.2.rows are 0"),
        (
            lambda a: a.update({"banks.2.coefficients": a["banks.2.coefficients"][:2]}),
            "banks.2.coefficients has shape",
        ),
        (lambda a: a.update({"banks.9.scales": a["idle"]}), "banks.9.scales belongs nowhere"),
        (lambda a: a.update({"banks.0.order": a["idle"]}), "banks.0.order belongs nowhere"),
        (lambda a: a.update({"at.x": a["idle"]}), "at.x belongs nowhere"),
    ],
)
def test_arrays_that_are_not_right_are_refused(
    change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(DamagedError, match=message):
        decode(with_arrays(change))


def raw_array(dtype: str, shape: str, content: bytes, order: str = "False") -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content
    return pack({"idle.npy": npy})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw_array("'|O'", "(2,)", pickle.dumps([1, 2])), r"dtype is '\|O'"),
        (raw_array("[('a', '<f8')]", "(2,)", bytes(16)), "dtype is"),
        (raw_array("'<f8'", "(1000000000000,)", bytes(16)), "16 bytes are not of shape"),
        (raw_array("'<f8'", "(-2,)", bytes(16)), "header cannot be read"),
        (raw_array("'<f8'", "(2,)", bytes(16), "True"), "header cannot be read"),
        (raw_array("'<f8'", "(2,)", bytes(15)), "15 bytes"),
        (pack({"idle.npy": b""}), "header cannot be read"),
        (pack({"idle.npy": b"\x93NUMPY\x02\x00"}), "header cannot be read"),
        (pack({"idle.txt": b""}), "is no array"),
    ],
)
def test_arrays_that_numpy_would_unpickle_or_allocate_are_refused(
    data: bytes, message: str
) -> None:
    with pytest.raises(DamagedError, match=message):
        unpack_arrays(data)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_damage_anywhere_is_found_or_harmless(data: st.DataObject) -> None:
    whole = encode(made_artifact(trees=True, neighbours=True))
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([bytes(damaged), whole[:place], whole[place + 1 :]]))
    try:
        manifest, model = decode(cut)
    except DamagedError:
        return
    # Some bits of a zip say nothing: dates, permissions.
    assert encode(Artifact(manifest, model)) == whole


def test_a_model_that_has_lost_its_way_makes_no_artifact() -> None:
    artifact = made_artifact()
    state = artifact.model.state()
    state["banks"][0]["coefficients"] = state["banks"][0]["coefficients"] * np.nan
    with pytest.raises(DamagedError, match="not finite"):
        encode(Artifact(artifact.manifest, FrozenModel.restore(state)))
    lost = Line(bias=float("nan"), weights={}, scales={})
    manifest = msgspec.structs.replace(artifact.manifest, lines={"dram": lost})
    with pytest.raises(DamagedError, match=r"lines\.dram has values that are not finite"):
        encode(Artifact(manifest, artifact.model))
    with pytest.raises(DamagedError, match="schema is 2"):
        encode(Artifact(msgspec.structs.replace(artifact.manifest, schema=2), artifact.model))

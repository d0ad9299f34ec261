"""Zips that are the same bytes for the same content, and are read with suspicion."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estimator.artifacts.zips import open_zip
from estimator.errors import DamagedError

MOST_BYTES: Final = 64 << 20
"""What the members of one zip may say that they hold; more is refused before it is read."""

_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_NPY: Final = b"\x93NUMPY\x01\x00"
_HEADER: Final = re.compile(
    r"\{'descr': (?P<dtype>.+), 'fortran_order': False, 'shape': \((?P<shape>[0-9, ]*)\), \} *\n"
)
_DTYPES: Final = {"'<f8'": np.dtype("<f8"), "'<i8'": np.dtype("<i8")}


def pack(members: Mapping[str, bytes]) -> bytes:
    """A zip of the members: sorted, stored, without dates, so that it depends on them alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, members[name])
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The members by name; ``DamagedError`` for paths, doubles, bombs, and what is no zip."""
    with open_zip(io.BytesIO(data)) as members:
        total = sum(member.size for member in members)
        if total > MOST_BYTES:
            raise DamagedError(f"members hold {total} bytes: at most {MOST_BYTES}")
        return {member.name: member.read() for member in members}


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The arrays (float64 or int64) as an npz, which `numpy.load` reads without pickle."""
    return pack({f"{name}.npy": _array_bytes(array) for name, array in arrays.items()})


def unpack_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays by name; ``DamagedError`` for anything but plain float64 and int64 arrays."""
    arrays = {}
    for member, content in unpack(data).items():
        if not member.endswith(".npy"):
            raise DamagedError(f"member {member!r} is no array")
        name = member.removesuffix(".npy")
        arrays[name] = _array(name, content)
    return arrays


def _array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    np.lib.format.write_array(buffer, little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _array(name: str, data: bytes) -> NDArray[Any]:
    # numpy's own reader allocates what a header promises before it looks whether it is there.
    start = len(_NPY) + 2
    end = start + int.from_bytes(data[len(_NPY) : start], "little")
    header = _HEADER.fullmatch(data[start:end].decode("latin-1"))
    if not data.startswith(_NPY) or header is None:
        raise DamagedError(f"array {name}: its header cannot be read")
    dtype = _DTYPES.get(header["dtype"])
    if dtype is None:
        raise DamagedError(f"array {name}: dtype is {header['dtype'][:40]}, not float64 or int64")
    shape = tuple(int(size[:20]) for size in re.findall("[0-9]+", header["shape"]))
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise DamagedError(f"array {name}: {len(data) - end} bytes are not of shape {shape}")
    return np.frombuffer(data, dtype, offset=end).reshape(shape).copy()

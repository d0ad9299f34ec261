"""Zips that are the same bytes for the same content, and are read with suspicion."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estimator.errors import DamagedError

MOST_BYTES: Final = 64 << 20
"""What the members of one zip may say that they hold; more is refused before it is read."""
MOST_MEMBERS: Final = 10_000

_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ENCRYPTED: Final = 1
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
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
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check(members)
            return {member.filename: _read(archive, member) for member in members}
    except _UNREADABLE as error:
        raise DamagedError(f"not a zip that can be read: {error}") from error


def _check(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_MEMBERS:
        raise DamagedError(f"members are {len(members)}: at most {MOST_MEMBERS}")
    total = sum(member.file_size for member in members)
    if total > MOST_BYTES:
        raise DamagedError(f"members hold {total} bytes: at most {MOST_BYTES}")
    seen = set()
    for member in members:
        name = member.orig_filename
        if not _NAME.fullmatch(name):
            raise DamagedError(f"member {name!r}: a plain file name is needed")
        if name in seen:
            raise DamagedError(f"member {name!r} is there twice")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DamagedError(f"member {name!r}: compression {member.compress_type} is unknown")
        if member.flag_bits & _ENCRYPTED:
            raise DamagedError(f"member {name!r} is encrypted")
        seen.add(name)


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # With a size, no more than that is ever decompressed, whatever the member really holds.
    with archive.open(member) as stream:
        return stream.read(member.file_size + 1)


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

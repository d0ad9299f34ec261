"""Plain data with arrays in it, to bytes and back: MessagePack, arrays as an extension."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from estimator.arrays import State

_ARRAY: Final = 1


def dump(state: State) -> bytes:
    """The state as bytes."""
    return msgspec.msgpack.encode(state, enc_hook=_encode)


def load(data: bytes) -> State:
    """The state that was dumped; tuples come back as lists. Raises ``msgspec.DecodeError``."""
    state = msgspec.msgpack.decode(data, ext_hook=_decode)
    if not isinstance(state, dict):
        raise msgspec.DecodeError("the state is no map")
    return state


def _encode(value: object) -> object:
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        header = msgspec.msgpack.encode((value.dtype.str, value.shape))
        return msgspec.msgpack.Ext(
            _ARRAY, len(header).to_bytes(2, "little") + header + value.tobytes()
        )
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} is not plain data")


def _decode(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise msgspec.DecodeError(f"extension {code} is unknown")
    length = int.from_bytes(data[:2], "little")
    kind, shape = msgspec.msgpack.decode(data[2 : 2 + length])
    if np.dtype(kind).hasobject:
        raise msgspec.DecodeError(f"an array of {kind} is not plain data")
    # A copy: the bytes of the whole checkpoint must not live as long as one small array.
    return np.frombuffer(data[2 + length :], dtype=kind).reshape(shape).copy()

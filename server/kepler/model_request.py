"""The body of Kepler's ``POST /model``: how it is read, and what it asks of the catalog."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec

from estimator.choosing.catalog import Query
from estimator.errors import RequestError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec

_SHOWN: Final = 80


class ModelRequest(msgspec.Struct, frozen=True):
    """What Kepler 0.7 to 0.9 and kepler-model-server's estimator send; other keys are ignored.

    null stands for "not given" wherever a key may be left out.
    """

    metrics: list[str]
    output_type: str
    source: str | None = None
    node_type: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    weight: bool | None = None
    trainer_name: str | None = None
    pipeline_name: str | None = None
    filter: str | None = None
    machine_spec: MachineSpec | None = None
    loose_node_type: bool | None = None

    def query(self) -> Query:
        """The question for the catalog.

        Kepler sends ``node_type`` 0 always, for want of knowing better: with a machine spec beside
        it, it means that the node type is unknown.

        >>> spec = MachineSpec(processor="xeon", cores=8)
        >>> request = ModelRequest(["a"], "AbsPower", node_type=0, machine_spec=spec)
        >>> request.query().node_type
        -1
        """
        machine = None if self.machine_spec == UNKNOWN_MACHINE else self.machine_spec
        number = -1 if self.node_type is None else self.node_type
        return Query(
            metrics=tuple(self.metrics),
            output_type=self.output_type,
            source=self.source or "",
            node_type=-1 if number == 0 and machine is not None else number,
            machine=machine,
            trainer_name=self.trainer_name or "",
            pipeline=self.pipeline_name or "",
            filter=self.filter or "",
            weight=bool(self.weight),
            loose=self.loose_node_type is not False,
            # Kepler asks a model server only for what it cannot measure.
            unmetered=True,
        )


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decoder = msgspec.json.Decoder(ModelRequest)


def decode_model_request(body: bytes) -> ModelRequest:
    """Read the body, whatever its content type says; ``RequestError`` names key and value.

    >>> decode_model_request(b'{"metrics":["a"],"output_type":7}')
    Traceback (most recent call last):
    estimator.errors.RequestError: output_type is 7: Expected `str`, got `int`
    """
    if not body:
        raise RequestError("body is empty: a JSON object with metrics and output_type is needed")
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        # What does not fit is noticed before what comes after it is seen to be no JSON.
        raise RequestError(_explained(_decode_anything(body), body, str(error))) from error
    except _UNREADABLE as error:
        raise RequestError(_why(body, error)) from error


def _decode_anything(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except _UNREADABLE as error:
        raise RequestError(_why(body, error)) from error


def _why(body: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "body is nested too deep"
    return f"body is {_shown(body)}: {error}"


def _explained(content: Any, body: bytes, sentence: str) -> str:
    """The decoder's sentence, with the value that it is about."""
    missing = re.search(r"missing required field `(\w+)`", sentence)
    if missing:
        return f"{missing[1]} is missing: POST /model needs it"
    what, _, path = sentence.partition(" - at `$.")
    if not path:
        return f"body is {_shown(body)}: {what}"
    path = path.rstrip("`")
    key = re.split(r"[.\[]", path)[0]
    where = "" if path == key else f" at {path}"
    return f"{key} is {_shown(msgspec.json.encode(content.get(key)))}: {what}{where}"


def _shown(data: bytes) -> str:
    """The beginning, in one line."""
    text = " ".join(data[:_SHOWN].decode("utf-8", "replace").splitlines())
    return text if len(data) <= _SHOWN else f"{text}..."

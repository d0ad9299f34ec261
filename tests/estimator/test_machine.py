from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.machine import UNKNOWN_MACHINE, MachineSpec

XEON = MachineSpec(
    vendor="intel",
    processor="intel_xeon_gold_6130",
    cores=64,
    chips=2,
    memory=188,
    frequency=2100,
    threads_per_core=2,
)


@pytest.mark.parametrize("field", ["processor", "cores", "chips", "memory", "frequency"])
def test_machines_that_differ_in_one_thing_are_of_different_types(field: str) -> None:
    other = "amd_epyc_7763" if field == "processor" else 1
    changed = msgspec.structs.replace(XEON, **{field: other})
    assert changed.node_type != XEON.node_type


def test_vendor_and_threads_make_no_type() -> None:
    assert msgspec.structs.replace(XEON, vendor="", threads_per_core=1).node_type == XEON.node_type


def test_an_unknown_machine_is_of_unknown_type() -> None:
    assert UNKNOWN_MACHINE.node_type == "unknown"
    assert MachineSpec(cores=4).node_type == "unknown-4c-0s-0g-0m"


@given(st.text())
def test_a_type_is_a_plain_word_whatever_the_processor_is_called(processor: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]+", MachineSpec(processor=processor, cores=1).node_type)


def test_only_whole_numbers_describe_a_machine() -> None:
    encoded = msgspec.json.encode(XEON)
    assert msgspec.json.decode(encoded, type=MachineSpec) == XEON
    for wrong in (b'{"cores": 2.5}', b'{"memory": -1}', b'{"frequency": "fast"}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=MachineSpec)


def test_what_is_unknown_is_not_written() -> None:
    assert msgspec.json.encode(MachineSpec(cores=4)) == b'{"cores":4}'

"""Bodies made up to break the trainer; ``FUZZ_EXAMPLES=10000`` tries as many."""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.made_up import anything, damaged, encoded
from tests.server.training.answers import answer, body, gzipped, request, zipped
from tests.server.training.conftest import Train, Trainer
from tests.server.training.conftest import trainer as trainer

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "100"))
GOOD: Final = body(prom_response=answer(points=8, containers=1))

names = st.sampled_from(["SGDRegressorTrainer", "default", "ridge", "Magic"]) | st.text(max_size=8)
trainers = st.fixed_dictionaries(
    {},
    optional={
        "abs_trainers": st.lists(names, max_size=3) | names | anything,
        "dyn_trainers": st.just([]) | anything,
        "isolator": st.sampled_from(["min", "none"]) | anything,
        "isolator_args": st.just({}) | anything,
        "idle_prom_response": anything,
    },
)
times = st.floats(0, 1e12) | st.integers(-5, 2 * 10**9) | anything
points = st.tuples(times, st.floats(0, 1e6).map(str) | st.text(max_size=5) | anything)
metrics = st.sampled_from(list(answer())) | st.text(max_size=12)
answers = st.dictionaries(
    metrics,
    st.lists(
        st.fixed_dictionaries(
            {
                "metric": st.dictionaries(
                    st.sampled_from(["source", "mode", "package", "container_id", "instance"]),
                    st.sampled_from(["rapl-sysfs", "acpi", "dynamic", "0", ""]) | anything,
                    max_size=4,
                ),
                "values": st.lists(points, max_size=8) | anything,
            }
        )
        | anything,
        max_size=3,
    )
    | anything,
    max_size=4,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "std_v0.7.11"]) | anything,
        "energy_source": st.sampled_from(["rapl-sysfs", "acpi", "intel_rapl"]) | anything,
        "trainer": trainers | anything,
        "prom_response": answers | anything,
        "machine_spec": anything,
    },
)
near = st.builds(
    lambda field, value: {**request(answer(points=8, containers=1)), field: value},
    st.sampled_from(["name", "energy_source", "trainer", "prom_response"]),
    anything | trainers | answers,
)


@st.composite
def nearly_an_answer(draw: st.DrawFn) -> dict[str, Any]:
    """A good request of which some points and labels are something else."""
    made = answer(points=8, containers=1)
    for _ in range(draw(st.integers(1, 4))):
        row = draw(st.sampled_from([row for rows in made.values() for row in rows]))
        if draw(st.booleans()):
            row["values"][draw(st.integers(0, 7))] = draw(points | anything)
        else:
            row["metric"][draw(st.sampled_from(["source", "instance", "mode"]))] = draw(anything)
    return request(made)


inputs = (
    st.binary(max_size=200)
    | damaged(GOOD)
    | requests.map(encoded)
    | near.map(encoded)
    | nearly_an_answer().map(encoded)
)


@pytest.fixture
def client(trainer: Train) -> Trainer:
    return trainer()


@pytest.mark.timeout(3600)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    data=inputs,
    wraps=st.sampled_from([None, None, None, "gzip", "zip", "not gzip", "not a zip"]),
)
def test_whatever_is_posted_the_answer_is_models_or_what_is_wrong(
    client: Trainer, data: bytes, wraps: str | None
) -> None:
    headers = {}
    if wraps in ("gzip", "not gzip"):
        headers = {"content-encoding": "gzip"}
    elif wraps is not None:
        headers = {"content-type": "application/zip"}
    content = gzipped(data) if wraps == "gzip" else zipped(data) if wraps == "zip" else data
    response = client.train(content, headers=headers)
    assert 200 <= response.status_code < 300 or 400 <= response.status_code < 500, response.text
    if response.status_code >= 400:
        found = response.json()
        assert set(found) == {"error", "status"}
        assert found["error"]
        assert "\n" not in found["error"]
    else:
        assert response.content.startswith(b"PK")
    assert not list(client.folder.iterdir())

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from estimator.choosing.catalog import Entry, Query
from estimator.isolation.lowered import lowered
from estimator.kepler_socket.answering import Answerer
from estimator.machine import MachineSpec
from estimator.regressors.bank import Bank
from estimator.regressors.neighbours import NeighbourBank
from estimator.regressors.ridge import RidgeBank
from estimator.vocabulary import HORIZONS
from tests.estimator.served import AT_MS, MACHINE, Shelf, entry, plain_entry, power_request

CAPTURED = Path(__file__).parent.parent / "captured"
HALF = MachineSpec(cores=MACHINE.cores // 2)


class Clock:
    def __init__(self, seconds: float = AT_MS / 1000) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def ask(answerer: Answerer, **changes: object) -> dict[str, object]:
    request = {**power_request([[1024.0]]), **changes}
    answer: dict[str, object] = json.loads(answerer.answer(json.dumps(request).encode()))
    return answer


def powers(answer: dict[str, object]) -> dict[str, list[float]]:
    found = answer["powers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "name", sorted(path.name[:-13] for path in CAPTURED.glob("*.request.json"))
)
def test_golden_bytes(name: str) -> None:
    answerer = Answerer(Shelf(plain_entry(), plain_entry(source="acpi")), HALF, Clock())
    request = (CAPTURED / f"{name}.request.json").read_bytes()
    answer = (CAPTURED / f"{name}.answer.json").read_bytes()
    assert answerer.answer(request) == answer
    assert answerer.answer(request) == answer


def test_columns_are_found_by_name() -> None:
    model = entry(features=("bpf_cpu_time_ms", "bpf_page_cache_hit", "cache_miss"))
    answerer = Answerer(Shelf(model), None, Clock())
    rows = np.array([[8000.0, 100.0, 1e7], [100.0, 2.0, 1e5]])
    names = ("bpf_cpu_time_ms", "bpf_page_cache_hit", "cache_miss", "unheard_of")
    seen = []
    for order in ([0, 1, 2], [2, 0, 1], [1, 3, 2, 0]):
        values = np.hstack([rows, [[7.0], [9.0]]])[:, order].tolist()
        answer = ask(answerer, metrics=[names[at] for at in order], values=values)
        assert answer["msg"] == ""
        seen.append(powers(answer))
    assert seen[0] == seen[1] == seen[2]
    want = model.model.predict_many(rows)
    got = np.array([seen[0][component] for component in model.manifest.components]).T
    np.testing.assert_allclose(got, want, atol=6e-4)


def test_zeros_are_idle_for_the_node_and_nothing_for_processes() -> None:
    answerer = Answerer(Shelf(plain_entry()), None, Clock())
    assert powers(ask(answerer, values=[[0]]))["package"] == [10.0]
    answer = ask(answerer, values=[[0]] * 3, output_type="DynPower")
    assert powers(answer) == {name: [0] * 3 for name in ("package", "core", "uncore", "dram")}
    assert answer["msg"] == ""


def test_processes_share_what_the_node_draws_above_idle() -> None:
    answerer = Answerer(Shelf(plain_entry()), None, Clock())
    node = powers(ask(answerer, values=[[4096]]))["package"][0] - 10.0
    shares = powers(ask(answerer, values=[[3072], [1024], [4096]], output_type="DynPower"))
    assert shares["package"] == [node * 0.75, node * 0.25, node]
    alone = powers(ask(answerer, values=[[4096]], output_type="DynPower"))
    assert alone["package"] == [node]
    # No node at the end: each row by itself.
    apart = powers(ask(answerer, values=[[4096], [1024]], output_type="DynPower"))
    assert apart["package"] == [node, node / 4]


def test_a_dynpower_model_is_asked_itself() -> None:
    shelf = Shelf(plain_entry(), plain_entry(output_type="DynPower", idle_watts=0.0))
    answer = ask(Answerer(shelf, None, Clock()), values=[[1024], [0]], output_type="DynPower")
    assert powers(answer)["package"] == [16.0, 0.0]
    assert [query.output_type for query in shelf.queries] == ["DynPower"]


@pytest.mark.parametrize(
    ("own", "learned", "ratio"),
    [(8, 16, 0.5), (16, 16, 1), (32, 16, 1), (0, 16, 1), (8, 0, 1), (2, 96, 0.0208333)],
)
def test_core_ratio_is_on_every_answer(own: int, learned: int, ratio: float) -> None:
    model = plain_entry(machine=MachineSpec(cores=learned))
    answerer = Answerer(Shelf(model), MachineSpec(cores=own), Clock())
    for _ in range(3):
        assert ask(answerer)["core_ratio"] == ratio
    assert ask(answerer, values=[[-1]])["core_ratio"] == ratio


def test_without_a_machine_the_ratio_is_1() -> None:
    assert ask(Answerer(Shelf(plain_entry()), None, Clock()))["core_ratio"] == 1


def test_no_model_is_zeros_of_the_right_length_and_a_reason() -> None:
    answer = ask(Answerer(Shelf(), HALF, Clock()), values=[[1], [2]], output_type="DynPower")
    assert powers(answer)["package"] == [0, 0]
    assert "no model" in str(answer["msg"])
    assert set(powers(ask(Answerer(Shelf()), source="acpi"))) == {"platform"}
    assert set(powers(ask(Answerer(Shelf()), source="moon"))) == {"platform"}


def test_a_model_that_needs_more_than_was_sent_is_no_model() -> None:
    class Careless(Shelf):
        def select(self, query: Query) -> Entry:
            return self.entries[0]

    answer = ask(Answerer(Careless(plain_entry())), metrics=["cpu_cycles"], values=[[1]])
    assert powers(answer)["package"] == [0]
    assert "bpf_cpu_time_ms" in str(answer["msg"])


def test_a_guest_is_answered_by_models_of_guests() -> None:
    guests, metal = plain_entry(source="hypervisor", idle_watts=1.0), plain_entry()
    for shelf, watts in (((metal,), 26.0), ((metal, guests), 17.0)):
        answerer = Answerer(Shelf(*shelf), MACHINE, Clock(), guest=True)
        assert powers(ask(answerer))["package"] == [watts]
    assert powers(ask(Answerer(Shelf(metal, guests), MACHINE, Clock())))["package"] == [26.0]


def test_the_choice_is_made_once_and_again_when_the_models_change() -> None:
    shelf = Shelf()
    answerer = Answerer(shelf, None, Clock())
    for _ in range(3):
        assert ask(answerer)["msg"]
    assert len(shelf.queries) == 1
    shelf.entries = (plain_entry(),)
    for _ in range(3):
        assert powers(ask(answerer))["package"] == [26.0]
    assert len(shelf.queries) == 2
    shelf.entries = (plain_entry(idle_watts=20.0),)
    assert powers(ask(answerer))["package"] == [36.0]


def test_what_is_remembered_is_bounded() -> None:
    shelf = Shelf(plain_entry())
    answerer = Answerer(shelf, None, Clock())
    for index in range(1000):
        ask(answerer, trainer_name=f"T{index}")
    assert len(answerer._choices) <= 256


def test_trainer_and_filter_reach_the_catalog() -> None:
    shelf = Shelf(plain_entry())
    ask(Answerer(shelf, HALF), trainer_name="SGD", filter="mae:5", source="intel_rapl")
    query = shelf.queries[0]
    assert (query.trainer_name, query.filter, query.machine) == ("SGD", "mae:5", HALF)
    assert (query.source, query.output_type, query.weight) == ("rapl-sysfs", "AbsPower", False)


def test_the_horizon_is_the_models_age() -> None:
    one = plain_entry()
    says = np.arange(1.0, len(HORIZONS) + 1)
    # At horizon h the only expert counts h + 1 times.
    one.model.weights[:] = says[:, None, None]
    one.model.ceiling[:] = 1e6
    clock = Clock()
    answerer = Answerer(Shelf(one), None, clock)
    for age, times in ((0, 1), (-50, 1), (60, 2), (290, 3), (86_400, 4)):
        clock.seconds = AT_MS / 1000 + age
        assert powers(ask(answerer))["package"] == [26.0 * times]


def test_bad_rows_cost_only_themselves() -> None:
    answerer = Answerer(Shelf(plain_entry()), None, Clock())
    answer = ask(answerer, values=[[1024], ["x"], [2048]])
    assert powers(answer)["package"] == [26.0, 10.0, 42.0]
    assert "values[1][0]: 'x'" in str(answer["msg"])


@pytest.mark.parametrize(
    ("changes", "entries"),
    [
        ({"metrics": []}, 1),
        ({"output_type": "Foo"}, 1),
        ({"output_type": 7, "values": [[1]] * 5}, 5),
        ({"values": []}, 0),
        ({"metrics": ["bpf_cpu_time_ms"] * 2, "values": [[1, 2]] * 3}, 3),
        ({"source": 5}, 1),
    ],
)
def test_bad_requests_get_lists_of_the_right_length_and_a_reason(
    changes: dict[str, object], entries: int
) -> None:
    answer = ask(Answerer(Shelf(plain_entry()), None, Clock()), **changes)
    assert powers(answer)
    assert {len(row) for row in powers(answer).values()} == {entries}
    assert answer["msg"]
    assert answer["core_ratio"] == 1


def test_rows_that_cannot_be_counted() -> None:
    answerer = Answerer(Shelf(plain_entry()))
    refused = answerer.respond(b"{}")
    assert json.loads(refused.body)["powers"] == {}
    assert refused.problem == "unreadable"
    # Kepler dies of too short an answer for its processes; it survives a closed connection.
    assert answerer.respond(b'{"output_type":"DynPower"}').body == b""


def test_problems_are_told_apart_for_counting() -> None:
    answerer = Answerer(Shelf(plain_entry()), None, Clock())
    encode = msgspec.json.encode
    assert answerer.respond(encode(power_request([[1.0]] * 7)))[1:] == (7, "")
    assert answerer.respond(encode(power_request([[-1.0]])))[1:] == (1, "invalid")
    assert answerer.respond(encode(power_request([[1.0]], source="acpi")))[1:] == (1, "no_model")


def test_of_what_the_machine_cannot_measure_the_error_on_strangers_counts() -> None:
    shelf = Shelf(plain_entry(), plain_entry(source="acpi"))
    answerer = Answerer(shelf, None, Clock(), unmetered={"acpi"})
    for source in ("rapl-sysfs", "acpi"):
        assert ask(answerer, source=source)["msg"] == ""
    assert {query.source: query.unmetered for query in shelf.queries} == {
        "rapl-sysfs": False,
        "acpi": True,
    }


@pytest.mark.parametrize("age_seconds", HORIZONS)
def test_dynamic_power_adds_up_at_every_horizon_also_of_curves(age_seconds: int) -> None:
    """Within the rounding of an answer: half a milliwatt a row."""
    features = ("bpf_cpu_time_ms", "cache_miss")
    whole = entry(features=features, banks={"ridge": _ridge, "neighbours": _neighbours})
    key = msgspec.structs.replace(whole.manifest.key, output_type="DynPower")
    model = lowered(whole.model, whole.model.idle)
    manifest = msgspec.structs.replace(whole.manifest, key=key)
    above = msgspec.structs.replace(whole, manifest=manifest, model=model)
    answerer = Answerer(Shelf(above), None, Clock(AT_MS / 1000 + age_seconds))
    rng = np.random.default_rng(age_seconds)
    for count in (1, 2, 9, 40):
        rows = rng.uniform(0.0, 1.0, (count, 2)) * [9000.0 / count, 2e8 / count]
        asked = np.vstack([rows, rows.sum(axis=0)])
        answer = ask(
            answerer, metrics=list(features), values=asked.tolist(), output_type="DynPower"
        )
        node = model.predict_many(asked[-1:], HORIZONS.index(age_seconds))[0]
        for component, watts in zip(manifest.components, node.tolist(), strict=True):
            shares = powers(answer)[component]
            assert shares[-1] == pytest.approx(watts, abs=6e-4)
            assert sum(shares[:-1]) == pytest.approx(shares[-1], abs=5e-4 * (count + 1))
            assert min(shares) >= 0.0
    # Nothing was done, so nothing was drawn; of one row as of several.
    for zeros in ([[0, 0]], [[0, 0]] * 3):
        answer = ask(answerer, metrics=list(features), values=zeros, output_type="DynPower")
        assert {tuple(watts) for watts in powers(answer).values()} == {(0,) * len(zeros)}


def test_one_row_of_a_dynpower_model_is_its_own() -> None:
    shelf = Shelf(plain_entry(output_type="DynPower", idle_watts=0.0))
    answer = ask(Answerer(shelf, None, Clock()), values=[[1024]], output_type="DynPower")
    assert powers(answer)["package"] == [16.0]


def _ridge(features: Sequence[str], components: Sequence[str]) -> Bank:
    return RidgeBank(len(features), len(components))


def _neighbours(features: Sequence[str], components: Sequence[str]) -> Bank:
    return NeighbourBank(len(features), len(components))

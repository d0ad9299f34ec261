from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.live import Live
from server.monitoring.live_nodes import SILENT_SECONDS, WATCHED_NODES, LiveNodes
from tests.server.conftest import Serve
from tests.server.error_shape import assert_error


def _many(count: int) -> LiveNodes:
    nodes = LiveNodes()
    nodes.note([f"n{number}" for number in range(count)], 10.0, [0.0] * count, "xeon")
    return nodes


def test_the_first_nodes_are_watched_without_being_asked_for() -> None:
    nodes = _many(1000)
    assert len(nodes) == 1000
    assert [nodes.is_watched(f"n{number}") for number in (0, 15, 16, 999)] == [True, True] + [
        False
    ] * 2


def test_any_node_can_be_watched_and_the_one_not_asked_for_for_longest_gives_way() -> None:
    nodes = _many(1000)
    for number in range(100, 100 + WATCHED_NODES - 16):
        assert nodes.watch(f"n{number}") is None
    assert nodes.watch("n0") is None  # Asked for: now the last to go.
    assert nodes.watch("n500") == "n1"
    assert nodes.is_watched("n500")
    assert not nodes.is_watched("n1")
    assert nodes.watch("nobody") is None
    assert not nodes.is_watched("nobody")


def test_who_gives_way_is_forgotten_by_the_rings() -> None:
    live = Live()
    names = [f"n{number}" for number in range(WATCHED_NODES + 1)]
    live.nodes.note(names, 10.0, [0.0] * len(names))
    for name in names:
        live.watch(name)
        if live.nodes.is_watched(name):
            live.add(name, "acpi", "platform", 10.0, 1.0, 1.0)
    assert live.since(0, "n0") == []
    assert len(live.since(0)) == WATCHED_NODES
    assert [one.series.node for one in live.since(0, "n1")] == ["n1"]


def test_recent_errors_say_who_is_worst() -> None:
    nodes = LiveNodes()
    for at in range(200):
        nodes.note(["a", "b"], float(at), [0.1, 0.5 if at < 100 else 0.0])
    assert [node.name for node in nodes.worst(9)] == ["a", "b"]
    assert nodes.worst(1)[0].at == 199.0


def test_a_silent_node_makes_room_and_nobody_else_does() -> None:
    nodes = LiveNodes(known=2)
    nodes.note(["a", "b"], 0.0, [0.0, 0.0])
    nodes.note(["c"], 100.0, [0.0])
    assert nodes.left_out == 1
    nodes.note(["b"], SILENT_SECONDS, [0.0])
    nodes.note(["c"], SILENT_SECONDS + 100.0, [0.0])
    assert {node.name for node in nodes.worst(9)} == {"b", "c"}
    assert not nodes.is_watched("a")


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0.0, 1e6)), max_size=100))
def test_it_stays_bounded(samples: list[tuple[str, float]]) -> None:
    nodes = LiveNodes(known=5, watched=3)
    for name, at in samples:
        nodes.note([name], at, [0.5])
        nodes.watch(name)
        assert len(nodes) <= 5
        assert sum(nodes.is_watched(one) for one in "abcdefgh") <= 3 + 13


def test_nodes_are_listed_and_found(serve: Serve) -> None:
    live = Live()
    live.nodes.note(["rack-1", "rack-2", "other"], 10.0, [0.1, 0.2, 0.3], "xeon")
    client = serve(live=live)
    found = client.get("/nodes", params={"search": "rack", "limit": 1}).json()
    assert found == {
        "total": 3,
        "nodes": [{"name": "rack-2", "at": 10.0, "error": 0.2, "node_type": "xeon"}],
    }
    assert_error(client.get("/nodes?limit=0"), 400, "limit")
    assert_error(client.get("/live?node=" + "x" * 300), 400, "node")

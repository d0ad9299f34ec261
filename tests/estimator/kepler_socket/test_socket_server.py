"""Clients of every kind, each tried against a real socket; afterwards all is as before."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from estimator.errors import MisuseError, StoreError, WattstreamError
from estimator.kepler_socket.answering import Answer, Answerer
from estimator.kepler_socket.client import ask, ask_bytes
from estimator.kepler_socket.connection import LARGE_BYTES
from estimator.kepler_socket.desk import Limits
from estimator.kepler_socket.socket_path import Access
from estimator.kepler_socket.socket_server import EstimatorServer
from estimator.system.notify import Notifier
from tests.estimator.served import AT_MS, Shelf, plain_entry, power_request
from tests.estimator.socket_clients import ANSWER, GOOD, PATIENT, connected, eventually, read_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "e.sock"


def made(path: Path, **settings: object) -> EstimatorServer:
    answerer = Answerer(Shelf(plain_entry()), None, lambda: AT_MS / 1000)
    return EstimatorServer(answerer, [path], **settings)  # type: ignore[arg-type]  # as given


@pytest.fixture
def server(path: Path) -> Iterator[EstimatorServer]:
    with made(path) as server:
        yield server


@pytest.fixture
def hasty(path: Path) -> Iterator[EstimatorServer]:
    """A server that hangs up soon."""
    with made(path, limits=Limits(deadline_seconds=1.0, most_bytes=1 << 20)) as server:
        yield server


def as_kepler_does(path: Path, request: bytes = GOOD) -> bytes:
    """Connect without waiting in a queue, write once, read once 4,096 bytes, close."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
        connection.connect(str(path))
        connection.setblocking(True)
        connection.settimeout(PATIENT)
        connection.sendall(request)
        return connection.recv(4096)


def test_as_kepler_does(server: EstimatorServer, path: Path) -> None:
    for _ in range(3):
        assert as_kepler_does(path) == ANSWER
    assert server.counts.requests == 3
    assert server.counts.rows == 6
    assert sum(server.counts.latencies) == 3
    assert server.counts.errors == {}


def test_several_requests_on_one_connection(server: EstimatorServer, path: Path) -> None:
    with connected(path) as connection:
        for separator in (b"", b"\n", b"\r\n \n"):
            connection.sendall(GOOD + separator)
            assert connection.recv(4096) == ANSWER
        connection.sendall((GOOD + b"\n") * 5 + GOOD * 5)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == ANSWER * 10


def test_a_request_in_two_pieces_split_anywhere(server: EstimatorServer, path: Path) -> None:
    request = GOOD.replace(b'"unknown"', '"größe }"'.encode())
    with connected(path) as connection:
        for cut in range(1, len(request)):
            connection.sendall(request[:cut])
            connection.sendall(request[cut:])
            assert connection.recv(4096) == ANSWER


def test_half_close_gets_its_answer_and_an_end(server: EstimatorServer, path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(GOOD)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == ANSWER


def test_fifty_at_once_none_refused(server: EstimatorServer, path: Path) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: as_kepler_does(path), range(500)))
    assert answers == [ANSWER] * 500
    assert eventually(lambda: server.counts.open_connections == 0)


def leaves(path: Path) -> None:
    with connected(path):
        pass


def sends_half(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(GOOD[: len(GOOD) // 2])


def sends_blanks(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(b"\n \r\n")


def leaves_before_the_answer(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(GOOD * 100)


def noise(path: Path) -> None:
    with connected(path) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"x" * (1 << 20))
        assert "not with an object" in json.loads(read_all(connection))["msg"]


def noise_in_braces(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(b"{" + b"x" * ((1 << 20) - 2) + b"}")
        answer = connection.recv(4096)
        assert "not JSON" in json.loads(answer)["msg"]
        # Where the next one begins is known: the connection goes on.
        connection.sendall(GOOD)
        assert connection.recv(4096) == ANSWER


def unfinished_noise(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(b"{" + b"x" * ((1 << 20) - 2))


def too_long(path: Path) -> None:
    with connected(path) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                connection.sendall(b'{"metrics":"' + b"x" * (1 << 20))
        read_all(connection)


def nested(path: Path) -> None:
    for deep in (b'{"a":' * 100_000, b'{"values":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        with connected(path) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(deep)
            connection.shutdown(socket.SHUT_WR)
            assert json.loads(read_all(connection))["msg"]


def reads_a_little_of_much(path: Path) -> None:
    with connected(path) as connection:
        connection.sendall(
            json.dumps(power_request([[1024.5 + at] for at in range(10_000)])).encode()
        )
        assert connection.recv(4096)


def unreadable_process_request(path: Path) -> None:
    assert as_kepler_does(path, b'{"output_type":"DynPower"}') == b""


MISBEHAVING = [
    leaves,
    sends_half,
    sends_blanks,
    leaves_before_the_answer,
    noise,
    noise_in_braces,
    unfinished_noise,
    too_long,
    nested,
    reads_a_little_of_much,
    unreadable_process_request,
]


@pytest.mark.parametrize("misbehave", MISBEHAVING)
def test_one_that_misbehaves_harms_nobody(
    misbehave: Callable[[Path], None], server: EstimatorServer, path: Path
) -> None:
    misbehave(path)
    assert as_kepler_does(path) == ANSWER
    assert eventually(lambda: server.counts.open_connections == 0)
    assert "internal" not in server.counts.errors


@pytest.mark.parametrize("misbehave", MISBEHAVING)
def test_nor_those_beside_it(
    misbehave: Callable[[Path], None], server: EstimatorServer, path: Path
) -> None:
    with ThreadPoolExecutor(9) as pool:
        bad = pool.submit(misbehave, path)
        answers = list(pool.map(lambda _: as_kepler_does(path), range(50)))
        bad.result()
    assert answers == [ANSWER] * 50


@pytest.mark.parametrize("first", [b"", b"{", GOOD[:-1], b"\n", GOOD])
def test_the_silent_are_hung_up_on(hasty: EstimatorServer, path: Path, first: bytes) -> None:
    with connected(path) as silent:
        silent.sendall(first)
        assert as_kepler_does(path) == ANSWER
        assert read_all(silent) == (ANSWER if first == GOOD else b"")
    assert hasty.counts.errors["deadline"] == 1


def test_one_byte_at_a_time_does_not_put_off_the_deadline(
    hasty: EstimatorServer, path: Path
) -> None:
    def drip() -> None:
        while True:
            slow.sendall(b"{" if not hasty.counts.rows else b" ")
            as_kepler_does(path)

    with connected(path) as slow, pytest.raises((BrokenPipeError, ConnectionResetError)):
        drip()


def test_one_that_never_reads_is_hung_up_on(hasty: EstimatorServer, path: Path) -> None:
    rows = json.dumps(power_request([[1024.5 + at] for at in range(3000)])).encode()
    with connected(path, 1.0) as deaf:
        with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            for _ in range(200):
                deaf.sendall(rows)
        assert as_kepler_does(path) == ANSWER
        assert eventually(lambda: hasty.counts.open_connections == 0)
    # It was not answered for nothing: what the socket took, and what was on its way.
    assert hasty.counts.requests < 50


def test_too_long_a_request_is_told_so(hasty: EstimatorServer, path: Path) -> None:
    answer = ask_bytes(path, b'{"metrics":"' + b"x" * (1 << 20) + b'"}')
    assert "more than 1048576 bytes" in json.loads(answer)["msg"]
    assert hasty.counts.errors == {"too_long": 1}


def test_beyond_the_limit_the_newcomer_comes_in(path: Path) -> None:
    with made(path, limits=Limits(most_connections=10)) as server, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(path)) for _ in range(30)]
        for _ in range(5):
            assert as_kepler_does(path) == ANSWER
        assert read_all(silent[0]) == b""
        assert server.counts.open_connections <= 10
        assert server.counts.errors["crowded"] >= 20


def test_hundreds_of_connections_at_once(server: EstimatorServer, path: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            all_of_them = [stack.enter_context(connected(path)) for _ in range(400)]
        except OSError as error:
            pytest.skip(f"needs 800 open files: {error}")
        for connection in all_of_them:
            connection.sendall(GOOD)
        assert [connection.recv(4096) for connection in all_of_them] == [ANSWER] * 400
    assert eventually(lambda: server.counts.open_connections == 0)


def test_requests_that_wait_take_no_more_than_their_room(path: Path) -> None:
    limits = Limits(most_waiting_bytes=1 << 20)
    with made(path, limits=limits) as server, contextlib.ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(connected(path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(b'{"' + b"x" * 300_000)
        assert eventually(lambda: server.counts.errors.get("busy", 0) >= 1)
        assert as_kepler_does(path) == ANSWER


def test_a_large_request_is_answered_in_its_place(server: EstimatorServer, path: Path) -> None:
    rows = [[float(at)] for at in range(40_000)]
    large = json.dumps(power_request(rows)).encode()
    assert len(large) > LARGE_BYTES
    with connected(path) as connection:
        connection.sendall(GOOD + large + GOOD)
        connection.shutdown(socket.SHUT_WR)
        data = read_all(connection)
    assert data.startswith(ANSWER)
    assert data.endswith(ANSWER)
    middle = json.loads(data[len(ANSWER) : -len(ANSWER)])
    assert [len(row) for row in middle["powers"].values()] == [40_000] * 4


class Broken(Answerer):
    def respond(self, data: bytes) -> Answer:
        raise ZeroDivisionError("a fault of ours")


def test_a_fault_of_ours_costs_one_connection(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EstimatorServer(Broken(Shelf()), [path]) as server:
        assert as_kepler_does(path) == b""
        assert as_kepler_does(path) == b""
        assert eventually(lambda: server.counts.errors.get("internal") == 2)
    assert "a fault of ours" in caplog.text


def test_models_are_swapped_between_requests(path: Path) -> None:
    shelf = Shelf()
    found = iter([(), (plain_entry(),), (plain_entry(idle_watts=20.0),)])

    def refresh() -> None:
        shelf.entries = next(found)

    answerer = Answerer(shelf, None, lambda: AT_MS / 1000)
    with (
        EstimatorServer(answerer, [path], refresh=refresh, refresh_seconds=1e6) as server,
        connected(path) as connection,
    ):
        said = []
        for _ in range(3):
            connection.sendall(GOOD)
            said.append(json.loads(connection.recv(4096))["powers"]["package"])
            done = server.counts.refreshes
            server.refresh_now()
            assert eventually(lambda: server.counts.refreshes > done)  # noqa: B023  # at once
            time.sleep(0.01)
    assert said == [[0, 0], [26, 42], [36, 52]]


def test_a_refresh_that_fails_keeps_the_models(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refresh() -> None:
        raise StoreError("store: cannot be read")

    with made(path, refresh=refresh, refresh_seconds=0.001) as server:
        assert as_kepler_does(path) == ANSWER
        assert eventually(lambda: server.counts.refresh_failures > 3)
    assert caplog.text.count("store: cannot be read") == 1


def test_a_slow_first_refresh_keeps_no_client_waiting_for_ever(path: Path) -> None:
    released = threading.Event()
    server = made(path, refresh=lambda: released.wait(PATIENT), patience_seconds=0.05)
    with server:
        assert as_kepler_does(path) == ANSWER
        released.set()


def test_clients_are_there_before_the_server_runs(path: Path) -> None:
    server = made(path)
    server.bind()
    with connected(path) as early:
        early.sendall(GOOD)
        with server:
            assert early.recv(4096) == ANSWER


def test_several_paths_permissions_and_removal(tmp_path: Path) -> None:
    paths = [tmp_path / "a.sock", tmp_path / "b.sock"]
    answerer = Answerer(Shelf(plain_entry()), None, lambda: AT_MS / 1000)
    with EstimatorServer(answerer, paths, access=Access(0o600)):
        for path in paths:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert as_kepler_does(path) == ANSWER
    assert list(tmp_path.iterdir()) == []
    with made(paths[0]):
        assert stat.S_IMODE(paths[0].stat().st_mode) == 0o660


def test_no_path_is_misuse() -> None:
    with pytest.raises(MisuseError, match="socket"):
        EstimatorServer(Answerer(Shelf()), [])


def test_a_path_in_use_is_not_taken(server: EstimatorServer, path: Path, tmp_path: Path) -> None:
    other = EstimatorServer(Answerer(Shelf()), [tmp_path / "x.sock", path])
    with pytest.raises(WattstreamError, match=r"socket path is in use: .*e\.sock"):
        other.bind()
    assert as_kepler_does(path) == ANSWER
    assert not (tmp_path / "x.sock").exists()


def test_a_stale_file_is_taken_over_and_another_file_is_not(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    assert path.is_socket()
    with made(path):
        assert as_kepler_does(path) == ANSWER
    path.write_text("precious")
    with pytest.raises(WattstreamError, match="is not a socket"):
        made(path).bind()
    assert path.read_text() == "precious"


def test_a_path_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "folder.sock", tmp_path / ("x" * 200)):
        with pytest.raises(WattstreamError, match=r"^socket path [^\n]*$"):
            made(path).bind()


def test_somebody_elses_file_is_not_removed(path: Path) -> None:
    with made(path):
        path.unlink()
        path.write_text("theirs")
    assert path.read_text() == "theirs"


def test_it_runs_in_a_loop_of_others(path: Path) -> None:
    async def main() -> bytes:
        stop = asyncio.Event()
        serving = asyncio.create_task(made(path).run_until_stopped(stop))
        answer = await asyncio.to_thread(lambda: eventually(path.exists) and as_kepler_does(path))
        stop.set()
        await serving
        return answer or b""

    assert asyncio.run(main()) == ANSWER
    assert not path.exists()


SERVE = """
import sys
from estimator.kepler_socket.answering import Answerer
from estimator.system.notify import Notifier
from estimator.kepler_socket.socket_path import Access
from estimator.kepler_socket.socket_server import EstimatorServer, serve
from tests.estimator.served import AT_MS, Shelf, plain_entry

server = EstimatorServer(
    Answerer(Shelf(plain_entry()), None, lambda: AT_MS / 1000), [sys.argv[1]], refresh_seconds=1e6
)
serve(server)
unwanted = {"river", "pandas", "starlette", "rich", "typer", "scipy", "sklearn", "httpx"}
print(server.counts.requests, server.counts.refreshes, sorted(unwanted & set(sys.modules)))
"""


@pytest.mark.slow
def test_a_process_of_its_own_loads_little_and_obeys_signals(path: Path) -> None:
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with process:
        assert eventually(path.exists)
        assert ask(path, power_request([[1024.0]]), PATIENT)["powers"]["package"] == [26]
        process.send_signal(signal.SIGHUP)
        assert as_kepler_does(path) == ANSWER
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENT)
    assert process.returncode == 0
    requests, refreshes, unwanted = output.split(maxsplit=2)
    assert (requests, unwanted.strip()) == ("2", "[]")
    assert int(refreshes) == 2
    assert not path.exists()


def test_without_room_for_another_file_it_rests_and_goes_on(
    server: EstimatorServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.accept
    refused: list[socket.socket] = []

    def accept(listener: socket.socket) -> tuple[socket.socket, object]:
        if len(refused) < 2:
            refused.append(listener)
            raise OSError(errno.EMFILE, "Too many open files")
        return real(listener)

    monkeypatch.setattr(socket.socket, "accept", accept)
    assert as_kepler_does(path) == ANSWER
    assert len(refused) == 2
    assert server.counts.errors == {"crowded": 2}


def test_a_huge_answer_is_written_as_fast_as_it_is_read(
    server: EstimatorServer, path: Path
) -> None:
    rows = json.dumps(power_request([[1024.5 + at % 7000] for at in range(5000)])).encode()
    assert len(rows) < LARGE_BYTES
    with connected(path) as slow:
        writing = threading.Thread(target=slow.sendall, args=(rows * 20 + GOOD,))
        writing.start()
        data = bytearray()
        while not data.endswith(ANSWER):
            data += slow.recv(1000)
        writing.join()
    assert data.endswith(ANSWER)
    assert data.count(b'"core_ratio"') == 21


class Recorder(Notifier):
    """What systemd would be told."""

    def __init__(self) -> None:
        super().__init__({})
        self.told: list[str] = []

    def ready(self, status: str) -> None:
        self.told.append(status)

    def alive(self) -> None:
        self.told.append("alive")

    def stopping(self) -> None:
        self.told.append("stopping")


def test_a_service_manager_is_told(path: Path) -> None:
    stop, notifier, server = threading.Event(), Recorder(), made(path)
    thread = threading.Thread(target=server.run, args=(stop, notifier))
    thread.start()
    assert eventually(lambda: "alive" in notifier.told)
    assert notifier.told[0] == f"answering at {path}"
    assert as_kepler_does(path) == ANSWER
    stop.set()
    thread.join()
    assert notifier.told[-1] == "stopping"


def test_who_waited_long_for_an_answer_has_time_to_read_it(path: Path) -> None:
    deadline, answer = 1.5, b'{"msg":"' + b"x" * 2_000_000 + b'"}'

    class Slow(Answerer):
        """Takes almost as long as the deadline, as a large request may on a busy machine."""

        def respond(self, data: bytes) -> Answer:
            time.sleep(0.9 * deadline)
            return Answer(answer, 1, "")

    slow = Slow(Shelf(plain_entry()))
    with (
        EstimatorServer(slow, [path], limits=Limits(deadline_seconds=deadline)),
        connected(path) as connection,
    ):
        connection.sendall(b'{"values":[' + b" " * LARGE_BYTES + b"]}")
        first = connection.recv(1)
        time.sleep(deadline / 3)  # Several looks at the deadlines pass.
        connection.shutdown(socket.SHUT_WR)
        assert first + read_all(connection) == answer

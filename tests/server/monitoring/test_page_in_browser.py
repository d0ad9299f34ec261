"""The page as its users see it, in a headless Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog, Entry
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.app import make_app
from server.monitoring.live import Live
from server.monitoring.status import DriftStatus, ShardStatus, Status
from server.web import event_stream
from server.web.errors import error_response
from server.web.http_server import HttpServer
from server.web.token import BearerToken
from tests.server.browser import CHROMIUM, Tab, chromium
from tests.server.fakes import STATUS, FakeCatalog, FakeModels, FakeProvider, make_entry

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.slow,
]

XEON = make_entry().manifest.key.node_type


@contextmanager
def _shown(
    app: Starlette, folder: Path, width: int = 1280, scheme: str = "light"
) -> Iterator[tuple[HttpServer, Tab]]:
    """The application's page in a window, which at the end has complained of nothing."""
    with HttpServer(app, "127.0.0.1", 0) as server, chromium(folder / "profile") as tab:
        tab.open(server.url, width=width, height=800, scheme=scheme)
        tab.wait_until("document.readyState === 'complete' && !!document.getElementById('state')")
        yield server, tab
        assert tab.complaints == []
        assert all(url.startswith(server.url) for url in tab.requested)


def _text(tab: Tab, name: str) -> str:
    return str(tab.evaluate(f"document.getElementById('{name}').innerText"))


def _wrong(group: str, percent: float, number: int = 0) -> Entry:
    """A model whose estimates of the package are off by so much."""
    entry = make_entry(group, samples=1000 + number)
    errors: dict[str, dict[str, dict[str, float | None]]] = {
        "package": {"300": {"mae": percent, "mape": percent}}
    }
    manifest = replace(entry.manifest, errors=errors, at=entry.manifest.at + 60_000 * number)
    return Entry(entry.digest, manifest, entry.model, entry.number)


def test_a_chart_moves_and_a_drift_is_marked(tmp_path: Path) -> None:
    live = Live()
    live.nodes.note(["node-<b>1"], 1099.0, [0.1], XEON)
    key = make_entry().manifest.key
    shard = ShardStatus(0, records=1, samples=1, drifts=(DriftStatus(key, 1, 1050.0),))
    assert STATUS.learner is not None
    status = Status(sources=STATUS.sources, learner=replace(STATUS.learner, shards=(shard,)))
    entries = [make_entry(mae=1.5), make_entry("Basic", mae=0.75)]
    app = make_app(FakeCatalog(entries), FakeModels(), FakeProvider(status), live)
    for second in range(100):
        live.add("node-<b>1", "rapl-sysfs", "package", 1000.0 + second, 50.0 + second % 7, 52.0)
    with _shown(app, tmp_path, width=390, scheme="dark") as (_, tab):
        tab.wait_until("document.querySelectorAll('.chart canvas').length >= 1")
        tab.wait_until("document.querySelectorAll('#models tr').length === 2")
        assert "Ready, 2 models" in tab.evaluate("document.body.innerText")
        assert _text(tab, "node-name") == "node-<b>1"
        assert "connection refused" in _text(tab, "sources")
        label = "document.querySelector('#charts .chart').getAttribute('aria-label')"
        tab.wait_until(f"{label}.includes('drift of BPFOnly at')")
        assert tab.evaluate(label).startswith(
            "package, rapl-sysfs: last 2 minutes, between 50.00 W and 56.00 W"
        )
        assert "drift" in _text(tab, "models")
        tab.wait_until("!document.getElementById('legend-drift').hidden")

        # The chart moves when a reading comes.
        canvas = "document.querySelector('#charts canvas').toDataURL()"
        before = tab.evaluate(canvas)
        live.add("node-<b>1", "rapl-sysfs", "package", 1101.0, 75.0, 70.0)
        tab.wait_until("document.querySelector('.figures').innerText.includes('75.00 W')")
        tab.wait_until(f"{canvas} !== {before!r}")

        # It has a table beside it.
        tab.evaluate("document.querySelector('summary').click()")
        tab.wait_until("document.querySelectorAll('details tbody tr').length === 30")

        # A phone shows all without scrolling sideways, dark if its owner likes that.
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(15, 18, 23)"


def test_the_page_says_which_model_is_worst_and_since_when(tmp_path: Path) -> None:
    models = ModelStore(open_store("memory:"))
    for number, percent in enumerate((3.0, 4.0, 25.0, 30.0)):
        for entry in (_wrong("Basic", percent, number), _wrong("BPFOnly", 5.0, number)):
            models.publish(Artifact(entry.manifest, entry.model))
    catalog = Catalog(models)
    with _shown(make_app(catalog, models), tmp_path) as (_, tab):
        tab.wait_until("!document.getElementById('worst').hidden")
        assert _text(tab, "worst-name") == "Basic"
        assert _text(tab, "worst-count") == "1 of 2 models is off by 10 % of the power or more."
        assert _text(tab, "worst-how").startswith("30 % off: 30.00 W of package")
        turned_bad = _wrong("Basic", 0, 2).manifest.at
        since = tab.evaluate(
            f"import('/pages/dom.js').then((dom) => dom.moment({turned_bad / 1000}))"
        )
        assert _text(tab, "worst-since").startswith(f"Bad since {since}, for ")

        # The table has it first, and may be sorted otherwise.
        first = "document.querySelector('#models tr').innerText"
        assert "Basic" in tab.evaluate(first)
        tab.evaluate("document.querySelector('#models-head [data-key=wrong] button').click()")
        assert "BPFOnly" in tab.evaluate(first)
        assert tab.evaluate("document.querySelectorAll('[aria-sort=ascending]').length") == 1


def _begun(entry: Entry) -> Entry:
    """The same, but it has learned for a minute only."""
    since = entry.manifest.at - 61_000
    manifest = replace(entry.manifest, since=since, samples=20)
    return Entry(entry.digest, manifest, entry.model, entry.number)


def test_a_model_that_has_only_begun_to_learn_is_said_to_learn(tmp_path: Path) -> None:
    begun = _begun(_wrong("Basic", 90.0))
    since = begun.manifest.since
    with _shown(make_app(FakeCatalog([begun]), FakeModels()), tmp_path) as (_, tab):
        tab.wait_until("!document.getElementById('worst').hidden")
        assert _text(tab, "worst-count") == (
            "The model is still learning, and judged after 15 min of readings."
        )
        assert _text(tab, "worst-rank") == "Furthest off so far"
        assert _text(tab, "worst-how").startswith("90 % off: 90.00 W of package")
        since_when = tab.evaluate(
            f"import('/pages/dom.js').then((dom) => dom.moment({since / 1000}))"
        )
        assert _text(tab, "worst-since") == (
            f"Still learning, since {since_when}, for 61 s: too early to call it bad."
        )
        assert "learning for 61 s" in _text(tab, "models")
        assert tab.evaluate("document.querySelectorAll('#models .bad').length") == 0


def test_beside_it_another_is_called_bad_and_stands_above_it(tmp_path: Path) -> None:
    catalog = FakeCatalog([_begun(_wrong("Basic", 90.0)), _wrong("BPFOnly", 30.0)])
    with _shown(make_app(catalog, FakeModels()), tmp_path) as (_, tab):
        tab.wait_until("!document.getElementById('worst').hidden")
        assert _text(tab, "worst-count") == (
            "1 of 2 models is off by 10 % of the power or more. 1 model is still learning."
        )
        assert (_text(tab, "worst-rank"), _text(tab, "worst-name")) == (
            "Worst model now",
            "BPFOnly",
        )
        assert _text(tab, "worst-since").startswith("Bad since")
        names = "[...document.querySelectorAll('#models .name')].map((one) => one.innerText)"
        assert tab.evaluate(names) == ["BPFOnly", "Basic"]


def test_rolling_back_asks_first(tmp_path: Path) -> None:
    models = ModelStore(open_store("memory:"))
    digests = [
        models.publish(Artifact(entry.manifest, entry.model))
        for entry in (_wrong("Basic", percent, n) for n, percent in enumerate((2.0, 3.0, 20.0)))
    ]
    slug = make_entry("Basic").manifest.key.slug
    app = make_app(Catalog(models), models, token=BearerToken("s3cret"), refresh_seconds=0.2)
    with _shown(app, tmp_path) as (_, tab):
        tab.wait_until("document.querySelectorAll('#models button').length === 1")
        tab.evaluate("document.querySelector('#models button').focus()")
        tab.press("Enter")
        tab.wait_until("document.querySelectorAll('#versions-body tr').length === 3")
        tab.wait_until("document.querySelectorAll('#versions canvas').length === 1")
        oldest = "document.querySelector('#versions-body tr:last-child button')"
        assert tab.evaluate(f"{oldest}.getAttribute('aria-label')").startswith("Roll back to")

        # Who does not confirm has changed nothing: the safe answer has the focus.
        tab.evaluate(f"{oldest}.click()")
        tab.wait_until("document.getElementById('confirm').open")
        assert "pinned" in _text(tab, "confirm-text")
        assert tab.evaluate("document.activeElement.id") == "confirm-no"
        tab.press("Enter")
        tab.wait_until("!document.getElementById('confirm').open")
        tab.evaluate(f"{oldest}.click()")
        tab.press("Escape")
        tab.wait_until("!document.getElementById('confirm').open")
        assert models.index(slug).current == digests[2]

        # Without the token it is refused, and asked for.
        tab.evaluate(f"{oldest}.click()")
        tab.evaluate("document.getElementById('confirm-yes').click()")
        tab.wait_until("!document.getElementById('token-field').hidden")
        assert "authorization is missing" in _text(tab, "confirm-said")
        assert models.index(slug).current == digests[2]
        refused = [one for one in tab.complaints if "401" in one]
        assert tab.complaints == refused != []
        tab.complaints.clear()

        # With it, it is done.
        tab.evaluate("document.getElementById('token').value = 's3cret'")
        tab.press("Enter")
        tab.wait_until("!document.getElementById('confirm').open")
        index = models.index(slug)
        assert (index.current, index.pinned) == (digests[0], True)
        assert "Pinned" in _text(tab, "versions-state")
        tab.evaluate("document.getElementById('versions-close').click()")
        tab.wait_until("document.getElementById('models').innerText.includes('pinned')")


class FailsTwice:
    """The first two questions for the overview are refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.left = 2

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/overview" and self.left:
            self.left -= 1
            await error_response(503, "the store cannot be read")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def test_models_that_cannot_be_shown_at_first_are_shown_later(tmp_path: Path) -> None:
    """It said that there was none, beside how many there are, until one changed."""
    app = make_app(FakeCatalog([make_entry()]), FakeModels(), FakeProvider(), Live())
    app.add_middleware(FailsTwice)
    with _shown(app, tmp_path) as (_, tab):
        tab.wait_until("document.getElementById('models-none').innerText.includes('cannot be')")
        assert "No model is served" not in tab.evaluate("document.body.innerText")
        tab.wait_until("document.querySelectorAll('#models tr').length === 1")
        assert tab.evaluate("document.getElementById('models-none').hidden")
        assert all("503" in one for one in tab.complaints)
        tab.complaints.clear()


def test_a_page_that_nobody_looks_at_holds_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STREAMS", 1)
    app = make_app(FakeCatalog([make_entry()]), FakeModels(), FakeProvider(), Live())
    with _shown(app, tmp_path) as (server, tab):
        tab.wait_until("document.getElementById('state').innerText === 'Ready, 1 model'")
        assert httpx.get(f"{server.url}/live").status_code == 503
        _hide(tab, "true")
        _wait_for_answer(server, 200)
        _hide(tab, "false")
        _wait_for_answer(server, 503)
        tab.complaints.clear()


def _wait_for_answer(server: HttpServer, status: int) -> None:
    """Until another who wants the stream is answered so."""
    for _ in range(200):
        with httpx.stream("GET", f"{server.url}/live") as another:
            if another.status_code == status:
                return
        time.sleep(0.05)
    pytest.fail(f"another reader is never answered {status}")


def _hide(tab: Tab, hidden: str) -> None:
    tab.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_one_of_thousands_of_nodes_can_be_chosen(tmp_path: Path) -> None:
    live = Live()
    names = [f"node-{number:04}" for number in range(3000)]
    live.nodes.note(names, 1000.0, [0.5 if name == "node-2222" else 0.01 for name in names], XEON)
    app = make_app(FakeCatalog([make_entry()]), FakeModels(), FakeProvider(), live)

    def read(at: float) -> None:
        for place, name in enumerate(names):
            if live.nodes.is_watched(name):
                live.add(name, "acpi", "platform", at, 100.0 + place, 100.0)

    with _shown(app, tmp_path) as (_, tab):
        tab.wait_until("document.getElementById('node').options.length === 50")
        assert "50 % off" in tab.evaluate("document.getElementById('node').options[0].text")
        assert _text(tab, "node-count") == "of 3,000"
        for _ in range(3):
            read(1001.0)
        tab.wait_until("document.querySelector('.figures')?.innerText.includes('2322.0 W')")
        # Another is found by a part of its name, and shown from then on.
        tab.evaluate(
            "const field = document.getElementById('node-search'); field.value = '1777';"
            "field.dispatchEvent(new Event('input'))"
        )
        tab.wait_until("document.getElementById('node').options[1]?.value === 'node-1777'")
        tab.evaluate(
            "const choice = document.getElementById('node'); choice.value = 'node-1777';"
            "choice.dispatchEvent(new Event('change'))"
        )
        for at in range(200):
            read(1002.0 + at)
            if live.nodes.is_watched("node-1777"):
                break
            tab.evaluate("new Promise((go) => setTimeout(go, 50))")
        read(1300.0)
        tab.wait_until("document.querySelector('.figures')?.innerText.includes('1877.0 W')")
        # What is sent stays small: nothing but the chosen node's readings.
        assert tab.evaluate("document.querySelectorAll('#charts .card').length") == 1

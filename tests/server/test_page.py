from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from server.app import make_app
from server.http_server import HttpServer
from server.live import Live
from tests.server.browser import CHROMIUM, chromium
from tests.server.conftest import Serve
from tests.server.fakes import FakeCatalog, FakeModels, FakeProvider, make_entry

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


def test_the_page_and_all_that_it_names_are_there(serve: Serve) -> None:
    client = serve()
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = set(re.findall(r'(?:src|href)="(/[^"]*)"', page.text))
    assert {"/pages/page.js", "/pages/page.css", "/models", "/metrics"} <= named
    for path in named - {"/readyz"}:
        assert client.get(path).status_code == 200, path


def test_every_packaged_file_is_served_with_its_type_and_tag(serve: Serve) -> None:
    client = serve()
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    names = [file.name for file in (files("server") / "pages").iterdir()]
    assert len(names) >= 5
    for name in names:
        if name == "index.html":
            continue
        response = client.get(f"/pages/{name}")
        assert response.headers["content-type"].startswith(types[Path(name).suffix])
        again = client.get(f"/pages/{name}", headers={"if-none-match": response.headers["etag"]})
        assert again.status_code == 304


def test_nothing_on_the_page_needs_what_its_policy_forbids(serve: Serve) -> None:
    for file in (files("server") / "pages").iterdir():
        text = file.read_text()
        assert not re.search(r"\son\w+=\"|style=\"|<style|javascript:|innerHTML|eval\(", text), file
        # The namespace of SVG is a name, not an address that is asked for.
        others = set(re.findall(r"https?://[^\s\"')]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not others, file


@needs_chromium
@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    live = Live()
    app = make_app(
        FakeCatalog([make_entry(mae=1.5), make_entry("Basic", mae=0.75)]),
        FakeModels(),
        FakeProvider(),
        live,
    )
    for second in range(100):
        live.add("node-<b>1", "rapl-sysfs", "package", 1000.0 + second, 50.0 + second % 7, 52.0)
    with (
        HttpServer(app, "127.0.0.1", 0) as server,
        chromium(tmp_path / "profile") as tab,
    ):
        tab.open(server.url, width=390, height=800, scheme="dark")
        tab.wait_until("document.querySelectorAll('.chart path').length === 2")
        tab.wait_until("document.querySelectorAll('#models tr').length === 8")

        assert "Ready, 2 models" in tab.evaluate("document.body.innerText")
        assert "node-<b>1" in tab.evaluate("document.getElementById('node').textContent")
        assert "connection refused" in tab.evaluate("document.getElementById('sources').innerText")
        label = tab.evaluate("document.querySelector('.chart').getAttribute('aria-label')")
        assert label.startswith("package, rapl-sysfs: last 2 minutes, between 50.00 W and 56.00 W")

        # The chart moves when a reading comes.
        before = tab.evaluate("document.querySelector('path.measured').getAttribute('d')")
        live.add("node-<b>1", "rapl-sysfs", "package", 1101.0, 75.0, 70.0)
        tab.wait_until("document.querySelector('.figures').innerText.includes('75.00 W')")
        assert tab.evaluate("document.querySelector('path.measured').getAttribute('d')") != before

        # The chart has a table beside it, models can be sorted by keyboard and mouse.
        tab.evaluate("document.querySelector('summary').click()")
        tab.wait_until("document.querySelectorAll('details tbody tr').length === 30")
        worst = "document.querySelector('#models tr').innerText"
        assert "BPFOnly" in tab.evaluate(worst)
        tab.evaluate("document.querySelector('#models-head [aria-sort] button').click()")
        assert "Basic" in tab.evaluate(worst)

        # A phone shows it without scrolling sideways, dark if its owner likes that.
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(15, 18, 23)"
        assert tab.complaints == []
        assert all(url.startswith(server.url) for url in tab.requested)

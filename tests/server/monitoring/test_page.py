from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.server.conftest import Serve


def test_the_page_and_all_that_it_names_are_there(serve: Serve) -> None:
    client = serve()
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = set(re.findall(r'(?:src|href)="(/[^"]*)"', page.text))
    assert {"/pages/page.js", "/pages/page.css", "/models", "/metrics"} <= named
    for path in named - {"/readyz"}:
        assert client.get(path).status_code == 200, path


def _files() -> list[str]:
    """All files of the page, by their paths."""
    pages = Path(str(files("server") / "pages"))
    return [str(file.relative_to(pages)) for file in pages.rglob("*") if file.is_file()]


def test_every_packaged_file_is_served_with_its_type_and_tag(serve: Serve) -> None:
    client = serve()
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "": "text/pl"}
    assert {"page.js", "uplot/uPlot.iife.min.js", "uplot/LICENSE"} <= set(_files())
    for name in _files():
        if name == "index.html":
            continue
        response = client.get(f"/pages/{name}")
        assert response.headers["content-type"].startswith(types[Path(name).suffix])
        again = client.get(f"/pages/{name}", headers={"if-none-match": response.headers["etag"]})
        assert again.status_code == 304


def test_the_charts_library_comes_with_its_licence() -> None:
    folder = files("server") / "pages" / "uplot"
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert "uPlot (v1.6.32)" in (folder / "uPlot.iife.min.js").read_text()


@pytest.mark.parametrize("path", ["/", "/pages/page.js", "/models", "/nothing"])
def test_every_answer_forbids_what_we_did_not_mean(serve: Serve, path: str) -> None:
    headers = serve().get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_nothing_on_the_page_needs_what_its_policy_forbids() -> None:
    pages = Path(str(files("server") / "pages"))
    for name in _files():
        text = (pages / name).read_text()
        assert not re.search(r"\son\w+=\"|style=\"|<style|javascript:|innerHTML|eval\(", text), name
        # Where uPlot comes from, and the namespace of SVG, are names that are not asked for.
        named = {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}
        assert set(re.findall(r"https?://[^\s\"')]+", text)) <= named, name

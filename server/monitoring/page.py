"""``GET /``: the status page, and the files that it is made of, from the package."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.web.conditional import Answer

_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",  # a licence
}
_FOLDERS: Final = ("", "uplot/")
"""Our own files, and those of uPlot, the library that draws the charts."""


class Page:
    """The page's files, read once when the server is made."""

    def __init__(self) -> None:
        pages = files("server") / "pages"
        self._answers = {
            folder + file.name: _answer(file.read_bytes(), _MEDIA_TYPES[PurePath(file.name).suffix])
            for folder in _FOLDERS
            for file in (pages / folder).iterdir()
            if file.is_file()
        }

    def routes(self) -> list[BaseRoute]:
        """Where the page and its files are found."""
        names = [name for name in self._answers if name != "index.html"]
        return [
            Route("/", self.page),
            *(Route(f"/pages/{name}", self.file) for name in names),
        ]

    async def page(self, _request: Request) -> Response:
        """The page itself; all that changes comes to it by ``/live`` and ``/models``."""
        return self._answers["index.html"]

    async def file(self, request: Request) -> Response:
        """A style, a script, the icon."""
        return self._answers[request.scope["path"].removeprefix("/pages/")]


def _answer(content: bytes, media_type: str) -> Response:
    tag = hashlib.sha256(content).hexdigest()[:32]
    return Answer(content, media_type, tag, {"cache-control": "no-cache"})

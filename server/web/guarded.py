"""An application behind what stands before each of ours: limits, headers, counting, errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from threading import Event
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from server.web.errors import exception_handlers
from server.web.http_metrics import CountRequests, HttpMetrics
from server.web.limits import Limits
from server.web.security import SecurityHeaders


class Part(Protocol):
    """What answers at some paths."""

    def routes(self) -> list[BaseRoute]:
        """Where its answers are found."""


def guarded(
    parts: Sequence[Part],
    metrics: HttpMetrics,
    stopping: Event,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]],
    endless: Collection[str],
) -> Starlette:
    """The application of the parts; ``app.state.stopping`` is the event that ends what waits.

    ``endless`` are the paths of what may go on for ever, with bounds of its own.
    """
    routes = [route for part in parts for route in part.routes()]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(CountRequests, metrics=metrics, routes=routes),
            Middleware(SecurityHeaders),
            Middleware(Limits, endless),
        ],
        exception_handlers=exception_handlers(),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # It would send clients where their Host header says.
    app.state.stopping = stopping
    return app

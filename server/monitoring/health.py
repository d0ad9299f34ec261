"""Whether the server lives, and whether it can do its work: for orchestrators."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.choosing.catalog import Catalog
from server.monitoring.last_status import LastStatus
from server.monitoring.status import Status
from server.web.errors import error_response


class HealthApi:
    """``GET /healthz`` and ``GET /readyz``."""

    def __init__(self, catalog: Catalog | None, last: LastStatus) -> None:
        self._catalog = catalog
        self._last = last

    def routes(self) -> list[BaseRoute]:
        """Where these answers are found."""
        return [Route("/healthz", self.healthz), Route("/readyz", self.readyz)]

    async def healthz(self, _request: Request) -> Response:
        """200 for as long as the server answers at all."""
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def readyz(self, _request: Request) -> Response:
        """200 if there is a model to serve and all parts are ready; else 503 and what is missing.

        Of a process that serves no models (``catalog`` is None) only its parts count.
        A store that has failed since its models were read does not count: they are served on.
        """
        missing = what_is_missing(self._catalog, await self._last.status_soon())
        if missing:
            return error_response(503, f"not ready: {'; '.join(missing)}", missing=missing)
        ready: dict[str, object] = {"status": "ready"}
        if self._catalog is not None:
            ready["models"] = len(self._catalog.entries)
        return Response(msgspec.json.encode(ready), media_type="application/json")


def what_is_missing(catalog: Catalog | None, status: Status) -> list[str]:
    """What keeps the server from being ready, one sentence each."""
    missing = list(status.missing)
    if catalog is not None and not catalog.entries:
        why = catalog.last_error
        missing.insert(0, f"no model to serve: {why or 'none has been published yet'}")
    return missing

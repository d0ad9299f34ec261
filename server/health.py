"""Whether the server lives, and whether it can do its work: for orchestrators."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.catalog import Catalog
from server.errors import error_response
from server.status import StatusProvider


class HealthApi:
    """``GET /healthz`` and ``GET /readyz``."""

    def __init__(self, catalog: Catalog, provider: StatusProvider) -> None:
        self._catalog = catalog
        self._provider = provider

    def routes(self) -> list[BaseRoute]:
        """Where these answers are found."""
        return [Route("/healthz", self.healthz), Route("/readyz", self.readyz)]

    async def healthz(self, _request: Request) -> Response:
        """200 for as long as the server answers at all."""
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def readyz(self, _request: Request) -> Response:
        """200 if there is a model to serve and all parts are ready; else 503 and what is missing.

        A store that has failed since its models were read does not count: they are served on.
        """
        missing = self.missing()
        if missing:
            return error_response(503, f"not ready: {'; '.join(missing)}", missing=missing)
        body = msgspec.json.encode({"status": "ready", "models": len(self._catalog.entries)})
        return Response(body, media_type="application/json")

    def missing(self) -> list[str]:
        """What keeps the server from being ready, one sentence each."""
        missing = list(self._provider.status().missing)
        if not self._catalog.entries:
            why = self._catalog.last_error
            missing.insert(0, f"no model to serve: {why or 'none has been published yet'}")
        return missing

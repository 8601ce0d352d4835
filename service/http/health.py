"""Probes and documents: what operators and programs ask without a token."""

import asyncio
import time
from collections.abc import Callable, Sequence
from importlib.resources import files

import orjson
from aiohttp import web

from service.store import migrate, reads
from service.store.pool import TRANSIENT, Pool

DATABASE_GRACE_S = 15.0
"""A database that is away for less is no reason to take a pod out of service."""


class Probes:
    """`/livez` touches nothing else; `/readyz` says no while draining, on a wrong schema, and on a long loss."""

    def __init__(self, pool: Pool, draining: Callable[[], bool]) -> None:
        self._pool = pool
        self._draining = draining
        self._answered_at = time.monotonic()

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)

    async def _live(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _ready(self, request: web.Request) -> web.Response:
        checks = {"serving": not self._draining(), **await self._database()}
        status = 200 if all(checks.values()) else 503
        if "verbose" in request.query:
            return web.Response(body=orjson.dumps(checks), status=status, content_type="application/json")
        return web.Response(text="ok" if status == 200 else "not ready", status=status)

    async def _database(self) -> dict[str, bool]:
        try:
            async with asyncio.timeout(2), self._pool.acquire() as connection:
                await reads.reachable(connection)
                pending: Sequence[str] = await migrate.pending(connection)
        except TRANSIENT:
            return {"database": time.monotonic() - self._answered_at < DATABASE_GRACE_S, "schema": True}
        self._answered_at = time.monotonic()
        return {"database": True, "schema": not pending}


def add_documents(app: web.Application) -> None:
    """The machine-readable contracts: `/v1/openapi.json`, and each record's schema where `dataschema` points to."""
    folder = files("schemas") / "documents"
    documents = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".json")}

    async def openapi(request: web.Request) -> web.Response:
        return web.Response(body=documents["openapi.json"], content_type="application/json")

    async def schema(request: web.Request) -> web.Response:
        document = documents.get(request.match_info["file"])
        if document is None:
            raise web.HTTPNotFound
        return web.Response(body=document, content_type="application/schema+json")

    app.router.add_get("/v1/openapi.json", openapi)
    app.router.add_get("/schemas/{file}", schema)

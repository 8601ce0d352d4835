"""One deployment of regrant as an operator makes it: settings, keys, `migrate`, `serve`. Used from outside only."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping

import aiohttp

from service.demo.client import AUDIENCE, ISSUER
from service.demo.embedded.child import ChildFailed, Supervisor, tail
from service.demo.simulator import Simulator
from service.vault.keys import generate_key_file

QUICKBOOKS = "quickbooks-online"
SHARDS = 4
START_TIMEOUT_S = 60
DRAIN_S = 25


class Deployment:
    """The settings of one deployment, and its process."""

    def __init__(
        self,
        supervisor: Supervisor,
        name: str,
        *,
        port: int,
        host_url: str,
        simulator: Simulator,
        bootstrap: str,
        dsn: str,
        topic_prefix: str,
        rules: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._log = supervisor.folder / f"{name}.log"
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{port}"
        self.dsn = dsn
        self.bootstrap = bootstrap
        self.topic_prefix = topic_prefix
        self.keys = supervisor.folder / f"{name}-keys"
        self.jwt_key = supervisor.folder / f"{name}-jwt.key"
        self.environment = {
            "REGRANT_DEVELOPMENT": "true",
            "REGRANT_DATABASE__DSN": dsn,
            "REGRANT_KAFKA__BOOTSTRAP": bootstrap,
            "REGRANT_KAFKA__TOPIC_PREFIX": topic_prefix,
            "REGRANT_SHARDS": str(SHARDS),
            "REGRANT_HTTP__PORT": str(port),
            "REGRANT_HTTP__PUBLIC_URL": self.url,
            "REGRANT_KEYS__FOLDER": str(self.keys),
            "REGRANT_JWT__ISSUER": ISSUER,
            "REGRANT_JWT__AUDIENCE": AUDIENCE,
            "REGRANT_JWT__HS256_KEY_FILE": str(self.jwt_key),
            # Everybody comes from this machine, and does in a minute what customers do in a year.
            **{f"REGRANT_LIMITS__{of}": "100000" for of in ("ADDRESS", "CONNECTOR", "TENANT", "OPEN_ATTEMPTS")},
            # Its connectors share a few companies.
            "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__ACCOUNTS_MAY_REPEAT": "true",
            "REGRANT_WEB__HOST_NAME": "Drivewell",
            "REGRANT_WEB__HOST_ORIGIN": host_url,
            "REGRANT_WEB__RETURN_URLS": f"{host_url}/connections",
            "REGRANT_WEB__COMPLETION_URL": f"{host_url}/connections/complete",
            "REGRANT_WEB__RECONNECT_URL": f"{host_url}/connections/reconnect",
            **_provider(simulator),
            **{f"REGRANT_RULES__{name.upper()}": value for name, value in (rules or {}).items()},
            **(settings or {}),
        }
        simulator.world.client.redirect_uris.add(f"{self.url}/oauth/callback/{QUICKBOOKS}")

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def make_keys(self) -> None:
        """The key that everything is sealed under, and the shared key of the host's tokens."""
        self.jwt_key.touch(mode=0o600)
        self.jwt_key.write_text(secrets.token_urlsafe(48))
        generate_key_file(self.keys)

    async def migrate(self) -> None:
        """Brings the database and the topics to this version."""
        child = self._supervisor.start(_regrant("migrate"), log=self._log, env=self.environment)
        if await asyncio.to_thread(child.wait) != 0:
            raise ChildFailed(f"regrant migrate: {self.said()}")

    async def start(self) -> None:
        """Starts the service and waits until it says that it is ready."""
        self._child = self._supervisor.start(_regrant("serve", "--role", "all"), log=self._log, env=self.environment)
        await self._is_ready(self._child)

    async def stop(self) -> None:
        """Lets the service drain and end."""
        if self._child is not None:
            await self._supervisor.end(self._child, signal.SIGTERM, DRAIN_S)

    def kill(self) -> None:
        """SIGKILL, at once; `start` starts it again on the same data."""
        assert self._child is not None
        self._supervisor.kill(self._child)

    def said(self) -> str:
        """The end of the service's log."""
        return tail(self._log)

    async def _is_ready(self, child: "subprocess.Popen[bytes]") -> None:
        async with asyncio.timeout(START_TIMEOUT_S), aiohttp.ClientSession() as session:
            while True:
                if child.poll() is not None:
                    raise ChildFailed(f"regrant serve: {self.said()}")
                try:
                    async with session.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass  # it doesn't listen yet
                await asyncio.sleep(0.05)


def _regrant(*words: str) -> list[str]:
    return [sys.executable, "-m", "service.cli", *words]


def _provider(simulator: Simulator) -> dict[str, str]:
    """The simulator in Intuit's place."""
    at, client = simulator.addresses, simulator.world.client
    hosts = {
        "appcenter.intuit.com": at.accounts,
        "oauth.platform.intuit.com/op": at.accounts,  # the issuer and its keys
        "oauth.platform.intuit.com": at.oauth,
        "accounts.platform.intuit.com": at.accounts,
        "developer.api.intuit.com": at.oauth,
        "quickbooks.api.intuit.com": at.api,
        "public.api.intuit.com": at.api,
    }
    prefix = "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__"
    return {
        f"{prefix}CLIENT_ID": client.client_id,
        f"{prefix}CLIENT_SECRET": client.client_secret,
        f"{prefix}HOSTS": json.dumps(hosts),
        f"{prefix}ALLOW_LOOPBACK_HTTP": "true",
    }

"""A provider's *disconnected* address is open to everybody, so a call of it is a hint: the provider itself is asked.

The probe is a refresh like any other, with a cause of its own: one at a time, and not while the provider is left alone.
Alive: nothing happens. Dead: the connector fails, and it is known why. However many hints come, an account's grants are
probed once a minute.
"""

import re
from datetime import timedelta
from urllib.parse import parse_qs

import structlog

from schemas.ids import ProviderId
from schemas.reasons import Reason
from service.engine.door import Engine
from service.oauth.description import Providers
from service.oauth.keeper import Access
from service.oauth.refresh import Cause, NoToken, Refresher
from service.store import credentials, probes
from service.store.due import Job, finish, postpone
from service.store.pool import Pool

log = structlog.get_logger()

EVERY = timedelta(minutes=1)
TRIES = 5
"""How often a provider that is away is asked because of one hint, or would have been."""
FIRST_PAUSE = timedelta(seconds=5)
"""After the first try; four times as long after each further one, so that an outage of minutes costs no hint."""
LONGEST_QUERY, MOST_FIELDS = 4096, 20
HINTED = Cause(
    Access("regrant", "probe"),
    dict.fromkeys((Reason.GRANT_REVOKED, Reason.TOKEN_REFUSED, Reason.ACCESS_REVOKED), Reason.REVOKED_AT_PROVIDER),
)
"""A grant that is found dead after a hint was revoked at its provider."""


class Prober:
    """Takes hints, and runs the jobs of the kind `probe` that they make."""

    def __init__(self, engine: Engine, pool: Pool, providers: Providers, refresher: Refresher) -> None:
        self._engine = engine
        self._pool = pool
        self._providers = providers
        self._refresher = refresher

    async def hinted(self, provider: str, raw_query: str) -> None:
        """Somebody says that an account was disconnected. Whoever it is learns nothing from what follows."""
        account = self._account(provider, raw_query)
        if account is None:
            return
        async with self._pool.acquire() as connection:
            wanted = await probes.want(connection, ProviderId(provider), account, EVERY)
        if wanted:
            log.info("probe_after_a_hint", provider=provider)
            self._engine.job_wanted.set()

    def _account(self, provider: str, raw_query: str) -> str | None:
        """The account that a hint names, in the parameter in which the provider's callback names it."""
        config = self._providers.get(provider)
        if config is None or len(raw_query) > LONGEST_QUERY or raw_query.count("&") > MOST_FIELDS:
            return None
        identity = config.description.identity
        named = parse_qs(raw_query).get(identity.callback_parameter or "", [])
        if len(named) != 1 or not re.fullmatch(identity.pattern, named[0], re.ASCII):
            return None
        return named[0]

    async def run(self, job: Job) -> None:
        """Asks the provider about one connector's grant."""
        async with self._pool.acquire() as connection:
            row = await credentials.current(connection, job.pk)
        denied = None
        # A credential that can't be refreshed can't be probed: the next sync tells.
        if row is not None and row.refresh_sealed is not None and not row.wants_login:
            denied = await self._refresher.newer(row, HINTED)
        async with self._pool.acquire() as connection:
            if denied is not None and denied.why is NoToken.PROVIDER_UNAVAILABLE and job.tries < TRIES:
                pause = FIRST_PAUSE * 4 ** (job.tries - 1)
                await postpone(connection, job, max(pause, denied.retry_after or pause))
            else:
                await finish(connection, job)

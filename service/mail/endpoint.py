"""E-mail as an endpoint: one message a notice and contact, for as long as the notice holds (P28).

Each contact's row remembers of which version it was told, so that a message comes again only where a process is killed
between the server's answer and that note, at most one a connection; its Message-ID is the same then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from schemas.ids import ConnectorId, TenantId
from service.couriers.endpoint import Done, Refusal
from service.mail.asking import SPEAKS_TO_THE_OWNER, Asking, askings_of, why_over
from service.mail.message import Sender, message
from service.mail.server import NotTaken, Server, Session
from service.oauth.description import Providers
from service.store import contacts as store
from service.store.contacts import Contact
from service.store.couriers import LogRow
from service.store.pool import Pool
from service.telemetry import metrics
from statemachine.connector import Connector

log = structlog.get_logger()

MAIL = "@mail"
"""The endpoint's name: no webhook's can hold an @."""


@dataclass(frozen=True, slots=True)
class MailEndpoint:
    """Asks connectors' owners by e-mail."""

    pool: Pool
    server: Server
    sender: Sender
    providers: Providers
    tenants: frozenset[TenantId]
    """Empty for everybody's."""
    name: str = MAIL

    def events_of(self, row: LogRow) -> Iterator[Asking]:
        return askings_of(row, self.tenants)

    async def send(self, event: Asking) -> Done | Refusal:
        async with self.pool.acquire() as connection:
            waiting = await store.untold(connection, event.pk, event.version)
        if not waiting:
            return Done.NEEDLESS
        async with self.server.session() as session:
            return await self._ask_each(event, waiting, session)

    def give_up(self, connector: ConnectorId, version: int) -> None:
        log.error("mail_given_up", connector=connector, version=version)

    async def _ask_each(self, asking: Asking, waiting: list[Contact], session: Session) -> Done | Refusal:
        outcome: Done | Refusal = Done.ACCEPTED
        for number, contact in enumerate(waiting):
            now = await self._now(asking, left=len(waiting) - number)
            if now is None:
                return Done.NEEDLESS if number == 0 else Done.ACCEPTED
            try:
                await self._ask(asking, now, contact, session)
            except NotTaken as error:
                metrics.MAILS.labels("delayed").inc()
                log.warning("mail_not_accepted", connector=asking.connector, version=asking.version, why=error.what)
                outcome = Refusal(error.what)
                if not error.address:
                    break
        return outcome

    async def _now(self, asking: Asking, *, left: int) -> Connector | None:
        """The connector as it stands; `None` where nobody is to be asked any more."""
        async with self.pool.acquire() as connection:
            now, newer = await store.stands(connection, asking.pk, asking.version, SPEAKS_TO_THE_OWNER)
        why = why_over(asking, now, has_newer=newer)
        if why is None:
            return now
        metrics.MAILS.labels("dropped").inc(left)
        log.info("mail_dropped", connector=asking.connector, version=asking.version, contacts=left, why=why)
        return None

    async def _ask(self, asking: Asking, now: Connector, contact: Contact, session: Session) -> None:
        """Hands one message over, and notes it. Raises `NotTaken` for what is to be tried again."""
        made = message(asking, now, self.providers, contact, self.sender, datetime.now(UTC))
        refused = False
        try:
            await session.hand_over(self.sender.address, contact.address, made)
        except NotTaken as error:
            if not error.for_good:
                raise
            refused = True
            log.warning("mail_refused", connector=asking.connector, version=asking.version, why=error.what)
        else:
            log.info("mail_sent", connector=asking.connector, version=asking.version)
        metrics.MAILS.labels("refused" if refused else "sent").inc()
        async with self.pool.acquire() as connection:
            await store.told(connection, asking.pk, asking.version, contact, refused=refused)
